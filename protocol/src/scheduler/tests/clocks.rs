//! Partition time: no clock that is wrong by itself can move it ahead.

use super::super::Now;
use super::super::clocks::Clocks;
use super::*;
use crate::id::GroupId;
use crate::task::{Options, State};
use crate::time::{Span, Tick, Wall};
use crate::wire::Answer;

const YEAR: Span = ms(365 * 24 * 3_600_000);
const HOUR: Span = ms(3_600_000);

/// When task `n`, submitted now, is taken in by partition time.
fn accepted_at(network: &mut Network, n: u64) -> Wall {
    let owner = network.owner(HERE);
    network.ask(owner, n, submit(&[n]));
    let record = network.nodes[owner].record(task(n));
    record.expect("it is taken in").accepted_at
}

/// The time by a clock that is right.
fn true_time(network: &Network) -> Wall {
    START + network.nodes[0].now.tick.since(Tick::START)
}

#[test]
fn what_is_read_late_is_not_taken_for_a_clock_that_was_set_back() {
    let node = id(1);
    let at = |millis| Tick::START + ms(100_000) + ms(millis);
    let right = |millis| START + ms(100_000) + ms(millis);
    let mut clocks = Clocks::default();
    let mut hears = |clock, read_at| {
        clocks.heard(node, clock, read_at);
        clocks.heard.get(&node).copied()
    };
    let known = Some((right(0), at(0)));
    assert_eq!(hears(right(0), at(0)), known);
    // It stood still for a minute and reads now what came meanwhile.
    for sent in 1..50 {
        assert_eq!(hears(right(sent * 1_000), at(60_000 + sent)), known);
    }
    let known = Some((right(60_900), at(60_901)));
    assert_eq!(hears(right(60_900), at(60_901)), known, "and what comes after that counts");
    // Now the clock is set back by a minute.
    assert_eq!(hears(right(10_000), at(70_000)), known);
    assert_eq!(hears(right(10_500), at(70_500)), known);
    let set = Some((right(11_000), at(71_000)));
    assert_eq!(hears(right(11_000), at(71_000)), set);
    // Forward it is believed at once: nothing arrives before it was sent.
    let set = Some((right(90_000), at(72_000)));
    assert_eq!(hears(right(90_000), at(72_000)), set);
}

#[test]
fn an_owner_whose_clock_is_ahead_takes_the_time_of_the_others() {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    let now = &mut network.nodes[owner].now;
    now.wall = now.wall + YEAR;
    assert_eq!(accepted_at(&mut network, 1), true_time(&network));
}

#[test]
fn an_owner_whose_clock_is_set_back_a_little_comes_to_take_its_own() {
    let mut network = Network::formed(3, 3);
    network.pass(HOUR);
    let owner = network.owner(HERE);
    let now = &mut network.nodes[owner].now;
    now.wall = now.wall - ms(20_000);
    assert_eq!(accepted_at(&mut network, 1), true_time(&network), "time does not stand still");
    network.pass(ms(100_000));
    assert_eq!(accepted_at(&mut network, 2), true_time(&network) - ms(10_000));
    network.pass(ms(110_000));
    assert_eq!(accepted_at(&mut network, 3), true_time(&network) - ms(20_000));
}

#[test]
fn one_voter_whose_clock_is_wrong_changes_nothing() {
    for ahead in [true, false] {
        let mut network = Network::formed(3, 3);
        network.pass(HOUR);
        let wrong = network.others(HERE)[0];
        let now = &mut network.nodes[wrong].now;
        now.wall = if ahead { now.wall + YEAR } else { now.wall - HOUR };
        network.pass(ms(20_000));
        // It has been heard of.
        network.ask(wrong, 1, submit(&[1]));
        assert_eq!(accepted_at(&mut network, 2), true_time(&network), "ahead: {ahead}");
    }
}

#[test]
fn an_owner_whose_clock_is_an_hour_behind_takes_the_time_of_the_others() {
    let mut network = Network::formed(3, 3);
    network.pass(HOUR);
    let owner = network.owner(HERE);
    // All have been heard of a moment ago.
    accepted_at(&mut network, 1);
    let now = &mut network.nodes[owner].now;
    now.wall = now.wall - HOUR;
    // Its client's clock is right.
    assert_eq!(accepted_at(&mut network, 2), true_time(&network));
    network.pass(ms(100_000));
    assert_eq!(accepted_at(&mut network, 3), true_time(&network));
    // When the clock is right again it counts.
    network.pass(ms(10_000));
    let now = &mut network.nodes[owner].now;
    now.wall = now.wall + HOUR - ms(3_000);
    network.pass(ms(31_000));
    let late = true_time(&network) - ms(3_000);
    assert_eq!(accepted_at(&mut network, 4), late);
}

#[test]
fn a_minority_whose_clocks_are_ahead_decides_nothing_while_others_are_not_heard() {
    let mut network = Network::formed(5, 5);
    network.pass(HOUR);
    let owner = network.owner(HERE);
    let others = network.others(HERE);
    let known = [others[0], others[1]].map(|place| network.nodes[place].scheduler.node());
    // It has just begun, with a clock that is a year ahead, and has heard of two of the four others, of
    // which one is wrong as well.
    let scheduler = &mut network.nodes[owner].scheduler;
    let now = scheduler.now;
    scheduler.clocks.heard.retain(|node, _| known.contains(node));
    scheduler.clocks.heard(known[0], now.wall + YEAR, now.tick);
    scheduler.now.wall = now.wall + YEAR;
    let time = scheduler.partition_time(GroupId::of(HERE));
    assert!(time <= true_time(&network) + ms(1_000), "{time:?}");
}

#[test]
fn an_owner_that_cannot_tell_the_time_waits_until_it_has_heard_the_others() {
    let mut network = Network::formed(3, 3);
    network.pass(HOUR);
    let owner = network.owner(HERE);
    let scheduler = &mut network.nodes[owner].scheduler;
    // It has just begun, and the partition has had no entry for an hour.
    scheduler.clocks.heard.clear();
    let past = Now { wall: START, ..scheduler.now };
    let replica = scheduler.replica_mut(GroupId::of(HERE)).unwrap();
    replica.settled().unwrap().sure_of = Some(past);
    assert!(!scheduler.can_tell_time(GroupId::of(HERE)));
    network.ask(owner, 1, submit(&[1]));
    network.pass(ms(500));
    assert_eq!(
        network.take_answers(),
        [(owner, 1, Answer::Submitted { refused: vec![], known: 0 })]
    );
    let accepted_at = network.nodes[owner].record(task(1)).unwrap().accepted_at;
    let late = true_time(&network).since(accepted_at);
    assert!(late <= ms(500), "{late:?}: by the clocks of the others, not by what has passed");
}

#[test]
fn partition_time_never_goes_back() {
    let mut network = Network::formed(3, 3);
    network.pass(HOUR);
    let before = accepted_at(&mut network, 1);
    for node in &mut network.nodes {
        node.now.wall = node.now.wall - ms(30_000);
    }
    assert_eq!(accepted_at(&mut network, 2), before);
}

/// Three nodes, and the owner of a task that may start after `delay`, for which there is a slot.
fn with_delayed_task(delay: Span) -> (Network, usize) {
    let mut network = Network::formed(3, 3);
    let owner = network.owner(HERE);
    let lessee = network.lessee(owner);
    network.executor(owner, granted(lessee, 1));
    network.ask(owner, 1, submit_with(Options { delay, ..Options::default() }, 1));
    (network, owner)
}

#[test]
fn a_clock_that_jumps_starts_nothing_before_its_time() {
    let (mut network, owner) = with_delayed_task(HOUR);
    let now = &mut network.nodes[owner].now;
    now.wall = now.wall + YEAR;
    network.pass(ms(3_000_000));
    let state = |network: &Network| network.nodes[owner].record(task(1)).unwrap().state();
    assert_eq!(state(&network), State::Scheduled);
    network.pass(ms(700_000));
    assert_eq!(state(&network), State::Leased);
}

#[test]
fn a_clock_that_was_ahead_and_is_right_again_delays_nothing() {
    let (mut network, owner) = with_delayed_task(ms(60_000));
    // It is ahead before anybody else was heard, so what is due by it waits for partition time.
    let node = &mut network.nodes[owner];
    node.now.wall = node.now.wall + YEAR;
    node.scheduler.clocks.heard.clear();
    node.step(Event::Due);
    node.now.wall = node.now.wall - YEAR;
    network.pass(ms(50_000));
    let state = |network: &Network| network.nodes[owner].record(task(1)).unwrap().state();
    assert_eq!(state(&network), State::Scheduled);
    network.pass(ms(20_000));
    assert_eq!(state(&network), State::Leased);
}

#[test]
fn partition_time_that_was_behind_and_catches_up_delays_nothing() {
    let (mut network, owner) = with_delayed_task(HOUR);
    let others = network.others(HERE);
    let known = [others[0], others[1]].map(|place| network.nodes[place].scheduler.node());
    network.pass(ms(3_599_000));
    // It has just begun to own the partition, which has had no entry for an hour, and has heard of two clocks
    // that are both far behind, and do not agree.
    let node = &mut network.nodes[owner];
    node.now.wall = node.now.wall + ms(2_000);
    node.now.tick = node.now.tick + ms(2_000);
    let (wall, tick) = (node.now.wall, node.now.tick);
    let behind = [(known[0], (wall - HOUR, tick)), (known[1], (wall - HOUR - HOUR, tick))];
    node.scheduler.clocks.heard = behind.into();
    let replica = node.scheduler.replica_mut(GroupId::of(HERE)).unwrap();
    replica.settled().unwrap().sure_of = None;
    node.step(Event::Due);
    let state = |network: &Network| network.nodes[owner].record(task(1)).unwrap().state();
    assert_eq!(state(&network), State::Scheduled, "by the clocks that it knows it is not due");
    // Now it hears that they are right.
    network.nodes[owner].scheduler.clocks.heard = known.map(|node| (node, (wall, tick))).into();
    network.pass(ms(10_000));
    assert_eq!(state(&network), State::Leased);
}
