//! What was said on one connection and comes when there is another already.

use super::*;

#[test]
fn a_dispatch_that_is_overtaken_by_its_repeat_and_by_the_end_starts_nothing() {
    let mut host = Host::new(1);
    host.demand(OTHER, &[1, 0]);
    host.give_back(HOME, &[1, 0]);
    // The dispatch is under way on a connection that breaks; it is repeated on the next.
    host.step(Event::Reached(OTHER));
    host.demand(OTHER, &[1, 0]);
    host.give_back(HOME, &[1, 0]);
    assert_eq!(host.dispatch(OTHER, vec![run(1)]), [start(&run(1))]);
    host.finish(&[1]);
    let runs = vec![(run(1).task, run(1).token)];
    host.hear(OTHER, OwnerSays::Closed { runs: runs.clone() });
    assert_eq!(host.executor.held(), 0);
    let effects = host.dispatch(OTHER, vec![run(1)]);
    let never = Effect::Send { to: OTHER, says: ExecutorSays::NeverHad { lessee: ME, runs } };
    assert!(effects.contains(&never), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Start(_))), "{effects:?}");
}

#[test]
fn a_dispatch_that_is_overtaken_through_a_third_node_starts_nothing() {
    let mut host = Host::new(1);
    host.demand(OTHER, &[1, 0]);
    host.give_back(HOME, &[1, 0]);
    // It was sent one way, and is repeated another, where its end is told, too.
    assert_eq!(host.dispatch(OTHER, vec![run(1)]), [start(&run(1))]);
    host.finish(&[1]);
    let runs = vec![(run(1).task, run(1).token)];
    host.relayed(OTHER, OwnerSays::Closed { runs: runs.clone() });
    assert_eq!(host.executor.held(), 0);
    let effects = host.dispatch(OTHER, vec![run(1)]);
    let never = Effect::Send { to: OTHER, says: ExecutorSays::NeverHad { lessee: ME, runs } };
    assert!(effects.contains(&never), "{effects:?}");
    assert!(!effects.iter().any(|effect| matches!(effect, Effect::Start(_))), "{effects:?}");
}

#[test]
fn what_is_relayed_is_heard_like_anything_else() {
    let mut host = Host::new(1);
    host.relayed(OTHER, OwnerSays::Demand { lessee: ME, wanted: vec![1, 0] });
    let effects = host.give_back(HOME, &[1, 0]);
    let says = ExecutorSays::Grant { lessee: ME, slots: vec![1, 0] };
    assert!(effects.contains(&Effect::Send { to: OTHER, says }), "{effects:?}");
    let dispatch =
        OwnerSays::Dispatch { lessee: ME, templates: vec![template()], runs: vec![run(1)] };
    assert_eq!(host.relayed(OTHER, dispatch), [start(&run(1))]);
}
