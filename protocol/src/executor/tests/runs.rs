//! Runs from their dispatch on: started once, or refused for ever.

use super::*;

#[test]
fn a_dispatch_starts_a_run_once() {
    let mut host = Host::new(4);
    assert_eq!(host.dispatch(HOME, vec![run(1), run(2)]), [start(&run(1)), start(&run(2))]);
    assert_eq!(host.dispatch(HOME, vec![run(1)]), []);
    assert_eq!(host.dispatch(OTHER, vec![run(1), run(2)]), []);
    assert_eq!(host.executor.held(), 2);
    assert_eq!(host.executor.free(), [2, 1]);
}

#[test]
fn a_run_that_has_ended_is_not_started_again_while_it_is_held() {
    let mut host = Host::busy(1);
    host.finish(&[1]);
    assert_eq!(host.dispatch(HOME, vec![run(1)]), []);
    assert_eq!(host.executor.free(), [1, 1]);
}

#[test]
fn another_run_of_the_same_task_is_another_run() {
    let mut host = Host::busy(2);
    host.finish(&[1, 2]);
    let again = Dispatch { token: token(50), attempt: 2, ..run(1) };
    assert_eq!(host.dispatch(HOME, vec![again.clone()]), [start(&again)]);
    assert_eq!(host.executor.held(), 3);
}

#[test]
fn a_dispatch_without_a_slot_is_refused_for_ever() {
    let mut host = Host::busy(1);
    assert_eq!(host.dispatch(HOME, vec![run(2)]), [never_had(HOME, &[2])]);
    host.finish(&[1]);
    assert_eq!(host.dispatch(HOME, vec![run(2), run(3)]), [start(&run(3)), never_had(HOME, &[2])]);
}

#[test]
fn the_slot_of_a_dispatch_that_is_refused_is_granted_anew() {
    let mut host = Host::busy(1);
    host.dispatch(HOME, vec![run(2)]);
    host.finish(&[1]);
    assert_eq!(
        host.dispatch(HOME, vec![run(2)]),
        [never_had(HOME, &[2]), grant(HOME, &[1, 0])],
        "its owner has counted it as taken"
    );
}

#[test]
fn slots_of_others_are_not_taken() {
    let mut host = Host::new(2);
    assert_eq!(host.dispatch(OTHER, vec![run(1)]), [never_had(OTHER, &[1])]);
    host.demand(OTHER, &[1, 0]);
    host.give_back(HOME, &[1, 0]);
    assert_eq!(
        host.dispatch(OTHER, vec![run(2), run(3)]),
        [start(&run(2)), never_had(OTHER, &[3])]
    );
    assert_eq!(host.dispatch(HOME, vec![run(4)]), [start(&run(4))]);
}

#[test]
fn a_slot_that_is_nobodys_serves_whoever_comes() {
    let mut host = Host::unheard(1);
    assert_eq!(
        host.dispatch(OTHER, vec![run(1), run(2)]),
        [start(&run(1)), never_had(OTHER, &[2])]
    );
}

#[test]
fn what_cannot_run_here_is_refused() {
    let mut host = Host::new(4);
    let elsewhere = Template { queue: "elsewhere".to_owned(), ..template() };
    let unknown = Template { name: "unknown".to_owned(), ..template() };
    let templates = vec![elsewhere, unknown, template()];
    let runs = (1..=4).zip(0..).map(|(n, template)| Dispatch { template, ..run(n) }).collect();
    let effects = host.hear(HOME, OwnerSays::Dispatch { lessee: ME, templates, runs });
    assert_eq!(
        effects,
        [start(&run(3)), never_had(HOME, &[1, 2, 4])],
        "no such queue, no such name, no such template"
    );
    assert_eq!(host.executor.free(), [3, 1]);
}

#[test]
fn a_run_is_asked_to_stop_while_it_goes_on() {
    let mut host = Host::busy(2);
    host.finish(&[2]);
    let stop = OwnerSays::Stop { runs: vec![key(1), key(2), key(3)] };
    // Twice: whoever runs it may have missed the first.
    for _ in 0..2 {
        let stopped = Effect::Stop { task: task(1), token: token(1) };
        assert_eq!(host.hear(OTHER, stop.clone()), [stopped]);
    }
    assert_eq!(host.executor.held(), 2, "it ends by itself");
}
