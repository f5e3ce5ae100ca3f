//! An executor that is to stop begins nothing, gives nothing away, and waits for what it holds.

use super::super::BEAT;
use super::*;

fn span(millis: u64) -> Span {
    Span::from_millis(millis)
}

#[test]
fn all_slots_are_recalled_and_none_is_granted_any_more() {
    let mut host = Host::new(4);
    host.demand(OTHER, &[2, 0]);
    host.give_back(HOME, &[2, 0]);
    let recall_from_other =
        Effect::Send { to: OTHER, says: ExecutorSays::Recall { lessee: ME, wanted: vec![2, 0] } };
    assert_eq!(host.step(Event::Retire), [recall(&[2, 1]), recall_from_other.clone()]);
    assert_eq!(host.executor.free(), [0, 0]);
    assert_eq!(host.give_back(HOME, &[2, 1]), []);
    assert_eq!(host.demand(THIRD, &[1, 1]), []);
    assert_eq!(host.pass(BEAT), [recall_from_other], "until all are back");
    assert_eq!(host.give_back(OTHER, &[2, 0]), [Effect::Retired]);
}

#[test]
fn slots_of_an_owner_that_says_nothing_come_back_by_themselves() {
    let mut host = Host::new(1);
    host.demand(OTHER, &[1, 0]);
    host.give_back(HOME, &[1, 0]);
    host.step(Event::Retire);
    host.give_back(HOME, &[0, 1]);
    assert!(host.pass(span(7_000)).contains(&Effect::Retired));
}

#[test]
fn what_is_dispatched_all_the_same_is_refused_for_ever() {
    let mut host = Host::new(1);
    host.step(Event::Retire);
    assert_eq!(host.dispatch(HOME, vec![run(1)]), [never_had(HOME, &[1])]);
    host.give_back(HOME, &[0, 1]);
    assert_eq!(host.pass(BEAT), [Effect::Retired]);
    assert_eq!(host.dispatch(HOME, vec![run(1)]), [never_had(HOME, &[1])]);
}

#[test]
fn runs_that_are_held_end_and_are_closed_first() {
    let mut host = Host::busy(1);
    host.step(Event::Retire);
    host.give_back(HOME, &[0, 1]);
    assert_eq!(host.pass(BEAT), [beat(HOME, &[1])]);
    assert_eq!(host.finish(&[1]), [outcomes(HOME, &[1])]);
    assert_eq!(host.close(HOME, &[1]), [Effect::Retired]);
}

#[test]
fn leases_that_are_on_their_way_uncounted_are_waited_for() {
    let mut host = Host::new(1);
    host.step(Event::Retire);
    assert_eq!(host.give_back(HOME, &[1, 1]), [], "another may have leased to a slot of it");
    assert_eq!(host.pass(span(900)), []);
    assert_eq!(host.dispatch(OTHER, vec![run(1)]), [never_had(OTHER, &[1])]);
    assert_eq!(host.pass(span(400)), [], "the refusal is on its way");
    assert_eq!(host.pass(BEAT), [Effect::Retired]);
}

#[test]
fn a_new_scheduler_of_the_node_is_told_again() {
    let mut host = Host::new(0);
    host.step(Event::Retire);
    host.give_back(HOME, &[0, 1]);
    assert_eq!(host.pass(BEAT), [Effect::Retired]);
    assert_eq!(host.step(Event::Reached(HOME)), [introduce(HOME, 0), Effect::Retired]);
}
