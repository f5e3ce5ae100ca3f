//! Ends of runs, told until they are on record, to whoever decides them.

use super::*;
use crate::executor::BEAT;
use crate::limits::GATHERED_BYTES_MAX;

fn moved(partition: PartitionId, owner: NodeId) -> OwnerSays {
    OwnerSays::Moved { partition, owner }
}

#[test]
fn held_runs_are_listed_with_every_beat() {
    let mut host = Host::busy(2);
    assert_eq!(host.pass(BEAT), [beat(HOME, &[1, 2])]);
    assert_eq!(host.pass(BEAT), [beat(HOME, &[1, 2])]);
}

#[test]
fn each_owner_hears_of_its_own_runs() {
    let mut host = Host::unheard(2);
    host.dispatch(OTHER, vec![run(1)]);
    host.dispatch(THIRD, vec![run(2)]);
    assert_eq!(host.pass(BEAT), [beat(OTHER, &[1]), beat(THIRD, &[2])]);
    assert_eq!(host.finish(&[1, 2]), [outcomes(OTHER, &[1]), outcomes(THIRD, &[2])]);
}

#[test]
fn an_end_is_told_once_and_repeated_with_every_beat_until_it_is_closed() {
    let mut host = Host::busy(2);
    assert_eq!(host.finish(&[1]), [grant(HOME, &[1, 0]), outcomes(HOME, &[1])]);
    assert_eq!(host.finish(&[1]), [], "it has ended already");
    assert_eq!(host.pass(BEAT), [beat(HOME, &[1, 2]), outcomes(HOME, &[1])]);
    assert_eq!(host.pass(BEAT), [beat(HOME, &[1, 2]), outcomes(HOME, &[1])]);
    assert_eq!(host.close(HOME, &[1]), []);
    assert_eq!(host.pass(BEAT), [beat(HOME, &[2])]);
    assert_eq!(host.executor.held(), 1);
}

#[test]
fn an_end_that_was_told_just_now_is_not_repeated() {
    let mut host = Host::busy(1);
    host.pass(Span::from_millis(500));
    host.finish(&[1]);
    assert_eq!(host.pass(Span::from_millis(500)), [beat(HOME, &[1])]);
    assert_eq!(host.pass(BEAT), [beat(HOME, &[1]), outcomes(HOME, &[1])]);
}

#[test]
fn the_end_of_a_run_that_nobody_dispatched_is_nothing() {
    let mut host = Host::busy(1);
    assert_eq!(host.finish(&[7]), []);
    assert_eq!(host.executor.free(), [0, 1]);
}

#[test]
fn a_run_that_goes_on_cannot_be_closed() {
    let mut host = Host::busy(1);
    // Its owner took it to be lost.
    host.close(HOME, &[1]);
    assert_eq!(host.finish(&[1]), [grant(HOME, &[1, 0]), outcomes(HOME, &[1])]);
}

#[test]
fn large_ends_are_told_in_messages_that_fit() {
    let mut host = Host::busy(3);
    let large = Outcome::Succeeded(vec![b'1'; GATHERED_BYTES_MAX / 2].into());
    let ends: Vec<_> = (1..=3).map(|n| (task(n), token(n), large.clone())).collect();
    let told = |outcomes: &[(TaskId, Token, Outcome)]| {
        let outcomes = outcomes.to_vec();
        Effect::Send { to: HOME, says: ExecutorSays::Outcomes { lessee: ME, outcomes } }
    };
    let effects = host.step(Event::Finished(ends.clone()));
    assert_eq!(effects, [grant(HOME, &[3, 0]), told(&ends[..2]), told(&ends[2..])]);
}

#[test]
fn an_end_follows_its_partition_at_the_next_beat() {
    let mut host = Host::busy(1);
    host.finish(&[1]);
    assert_eq!(host.hear(HOME, moved(partition(1), THIRD)), []);
    assert_eq!(host.pass(BEAT), [beat(THIRD, &[1]), outcomes(THIRD, &[1])]);
}

#[test]
fn only_who_is_told_an_end_can_send_it_on() {
    let mut host = Host::busy(1);
    host.finish(&[1]);
    host.hear(OTHER, moved(partition(1), THIRD));
    host.hear(HOME, moved(partition(101), THIRD));
    assert_eq!(host.pass(BEAT), [beat(HOME, &[1]), outcomes(HOME, &[1])]);
}

#[test]
fn a_run_that_goes_on_keeps_its_owner() {
    let mut host = Host::busy(1);
    host.hear(HOME, moved(partition(1), THIRD));
    assert_eq!(host.finish(&[1])[1..], [outcomes(HOME, &[1])]);
}

#[test]
fn after_three_repeats_in_vain_the_own_scheduler_is_asked() {
    let mut host = Host::unheard(1);
    host.dispatch(OTHER, vec![run(1)]);
    host.finish(&[1]);
    assert_eq!(host.pass(BEAT), [beat(OTHER, &[1]), outcomes(OTHER, &[1])]);
    assert_eq!(host.pass(BEAT), [beat(OTHER, &[1]), outcomes(OTHER, &[1])]);
    assert_eq!(host.pass(BEAT), [beat(OTHER, &[1]), outcomes(HOME, &[1])]);
    host.hear(HOME, moved(partition(1), THIRD));
    assert_eq!(host.pass(BEAT), [beat(THIRD, &[1]), outcomes(THIRD, &[1])]);
    assert_eq!(host.pass(BEAT), [beat(THIRD, &[1]), outcomes(THIRD, &[1])]);
    // That one is silent, too.
    assert_eq!(host.pass(BEAT), [beat(THIRD, &[1]), outcomes(HOME, &[1])]);
}

#[test]
fn an_end_is_told_to_whoever_repeats_the_dispatch() {
    let mut host = Host::unheard(2);
    host.dispatch(OTHER, vec![run(1), run(2)]);
    host.finish(&[1]);
    for _ in 0..3 {
        host.pass(BEAT);
    }
    // It was not heard for a while, and the own scheduler knows of no owner.
    assert_eq!(host.pass(BEAT), [beat(HOME, &[1]), beat(OTHER, &[2]), outcomes(HOME, &[1])]);
    assert_eq!(host.dispatch(OTHER, vec![run(1)]), []);
    assert_eq!(host.pass(BEAT), [beat(OTHER, &[1, 2]), outcomes(OTHER, &[1])]);
    // One that was succeeded by another does not count, whenever it comes.
    host.ask(THIRD, partition(1), TERM + 1);
    assert_eq!(host.dispatch(OTHER, vec![run(1), run(2)]), []);
    assert_eq!(host.pass(BEAT), [beat(THIRD, &[1, 2]), outcomes(THIRD, &[1])]);
}

#[test]
fn a_run_that_was_closed_by_another_than_its_dispatcher_is_refused_to_that_one() {
    let mut host = Host::unheard(1);
    host.dispatch(OTHER, vec![run(1)]);
    host.finish(&[1]);
    host.hear(OTHER, moved(partition(1), THIRD));
    host.close(THIRD, &[1]);
    assert_eq!(host.executor.held(), 0);
    // It repeats what it said before it knew better.
    assert_eq!(host.dispatch(OTHER, vec![run(1)]), [never_had(OTHER, &[1])]);
}
