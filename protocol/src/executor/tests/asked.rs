//! A new owner asks what is held of its partition: from then on it decides, and nobody before it.

use super::*;
use crate::executor::BEAT;

const HERE: PartitionId = PartitionId(0);

#[test]
fn whoever_asks_is_told_what_is_held_and_how_it_ended() {
    let mut host = Host::unheard(4);
    host.dispatch(OTHER, vec![run(1), run(2), run(101)]);
    host.finish(&[2, 101]);
    assert_eq!(
        host.ask(THIRD, HERE, 6),
        [holds(THIRD, HERE, 6, &[1, 2]), outcomes(THIRD, &[2])],
        "and nothing of other partitions"
    );
}

#[test]
fn whoever_holds_nothing_says_so() {
    let mut host = Host::unheard(4);
    assert_eq!(host.ask(THIRD, HERE, 6), [holds(THIRD, HERE, 6, &[])]);
}

#[test]
fn whoever_asks_decides_from_then_on() {
    let mut host = Host::unheard(4);
    host.dispatch(OTHER, vec![run(1), run(2), run(101)]);
    host.ask(THIRD, HERE, 6);
    assert_eq!(host.pass(BEAT), [beat(OTHER, &[101]), beat(THIRD, &[1, 2])]);
    assert_eq!(host.finish(&[1, 101]), [outcomes(OTHER, &[101]), outcomes(THIRD, &[1])]);
    host.close(THIRD, &[1]);
    assert_eq!(host.executor.held(), 2);
}

#[test]
fn a_question_may_be_repeated_and_an_older_one_is_ignored() {
    let mut host = Host::unheard(4);
    host.dispatch(OTHER, vec![run(1)]);
    for _ in 0..2 {
        assert_eq!(host.ask(THIRD, HERE, 6), [holds(THIRD, HERE, 6, &[1])]);
    }
    assert_eq!(host.ask(OTHER, HERE, 5), []);
    assert_eq!(host.pass(BEAT), [beat(THIRD, &[1])]);
}

#[test]
fn dispatches_of_older_terms_are_refused_once_a_newer_owner_has_asked() {
    let mut host = Host::unheard(4);
    host.ask(THIRD, HERE, TERM + 1);
    assert_eq!(host.dispatch(OTHER, vec![run(1)]), [never_had(OTHER, &[1])]);
    // Nor may the new owner repeat a run of an older term: it was told that it is not held.
    let repeated = Dispatch { term: TERM + 1, ..run(2) };
    assert_eq!(host.dispatch(THIRD, vec![repeated]), [never_had(THIRD, &[2])]);
    let token = Token { term: TERM + 1, index: 99, position: 0 };
    let fresh = Dispatch { term: TERM + 1, token, ..run(3) };
    assert_eq!(host.dispatch(THIRD, vec![fresh.clone()]), [start(&fresh)]);
    // Other partitions have other owners.
    assert_eq!(host.dispatch(OTHER, vec![run(101)]), [start(&run(101))]);
    assert_eq!(host.executor.free(), [2, 1], "what was refused takes no slot");
}

#[test]
fn a_run_that_is_held_goes_on_under_a_newer_owner() {
    let mut host = Host::unheard(4);
    host.dispatch(OTHER, vec![run(1)]);
    host.ask(THIRD, HERE, TERM + 1);
    assert_eq!(host.dispatch(OTHER, vec![run(1)]), [], "neither refused nor started");
    assert_eq!(host.finish(&[1]), [outcomes(THIRD, &[1])]);
}

#[test]
fn a_run_that_was_refused_to_an_owner_stays_refused_to_the_next() {
    let mut host = Host::unheard(1);
    host.dispatch(OTHER, vec![run(1), run(2)]);
    host.finish(&[1]);
    assert_eq!(host.dispatch(THIRD, vec![run(2)]), [never_had(THIRD, &[2])]);
}
