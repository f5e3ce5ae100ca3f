//! What several nodes wish for at once, and for how long a wish lasts.

use super::*;

#[test]
fn a_slot_that_becomes_free_goes_to_whoever_wants_it_before_the_end_is_told() {
    let mut host = Host::busy(2);
    assert_eq!(host.demand(OTHER, &[1, 0]), []);
    assert_eq!(host.finish(&[1]), [grant(OTHER, &[1, 0]), outcomes(HOME, &[1])]);
    assert_eq!(host.finish(&[2]), [grant(HOME, &[1, 0]), outcomes(HOME, &[2])]);
}

/// Who is granted the only slot, time after time, when it is taken at once and soon free again.
fn holders(host: &mut Host, turns: u64) -> Vec<NodeId> {
    let mut holders = Vec::new();
    for n in 1..=turns {
        let effects = host.finish(&[n]);
        let granted = effects.iter().find_map(|effect| match effect {
            Effect::Send { to, says: ExecutorSays::Grant { .. } } => Some(*to),
            _ => None,
        });
        let to = granted.expect("a slot that is wanted is granted");
        host.dispatch(to, vec![run(n + 1)]);
        holders.push(to);
    }
    holders
}

#[test]
fn others_get_one_slot_in_eight_while_home_wants_them_too() {
    let mut host = Host::busy(1);
    host.demand(HOME, &[99, 0]);
    host.demand(OTHER, &[99, 0]);
    let holders = holders(&mut host, 64);
    assert_eq!(holders.iter().filter(|node| **node == OTHER).count(), 8);
    let longest = holders.split(|node| *node == OTHER).map(<[NodeId]>::len).max();
    assert_eq!(longest, Some(7), "no starving between: {holders:?}");
}

#[test]
fn a_home_that_wants_nothing_more_leaves_all_slots_to_others() {
    let mut host = Host::busy(1);
    host.demand(HOME, &[99, 0]);
    host.demand(OTHER, &[99, 0]);
    host.demand(HOME, &[0, 0]);
    assert_eq!(holders(&mut host, 20), [OTHER; 20]);
}

#[test]
fn a_wish_replaces_the_one_before() {
    let mut host = Host::new(4);
    assert_eq!(host.demand(OTHER, &[3, 0]), [recall(&[3, 0])]);
    assert_eq!(host.demand(OTHER, &[1, 0]), [recall(&[1, 0])]);
    assert_eq!(host.give_back(HOME, &[3, 0]), [grant(HOME, &[2, 0]), grant(OTHER, &[1, 0])]);
}

#[test]
fn a_wish_that_is_taken_back_is_none() {
    let mut host = Host::new(4);
    host.demand(OTHER, &[3, 0]);
    assert_eq!(host.demand(OTHER, &[0, 0]), []);
    assert_eq!(host.give_back(HOME, &[3, 0]), [grant(HOME, &[3, 0])]);
}

#[test]
fn a_wish_that_is_not_renewed_lapses() {
    let mut host = Host::busy(1);
    host.demand(OTHER, &[1, 0]);
    host.pass(Span::from_millis(2_000));
    assert_eq!(host.finish(&[1]), [grant(HOME, &[1, 0]), outcomes(HOME, &[1])]);
}

#[test]
fn a_wish_that_is_renewed_lasts() {
    let mut host = Host::busy(1);
    for _ in 0..200 {
        host.demand(OTHER, &[1, 0]);
        host.pass(Span::from_millis(100));
        assert_eq!(host.executor.free(), [0, 1]);
    }
    assert_eq!(host.finish(&[1]), [grant(OTHER, &[1, 0]), outcomes(HOME, &[1])]);
}

#[test]
fn a_wish_outlives_the_slots_that_came_back_unused() {
    let mut host = Host::busy(1);
    host.demand(OTHER, &[1, 0]);
    host.finish(&[1]);
    host.close(HOME, &[1]);
    // It got the slot and used it only long after; then it wanted another.
    host.pass(Span::from_millis(3_500));
    host.demand(OTHER, &[2, 0]);
    assert_eq!(host.pass(Span::from_millis(500)), [grant(OTHER, &[1, 0])]);
}
