//! What a copy keeps in memory and on disk is bounded, whatever its followers and its work do.

use raft::Storage;

use super::super::{ELECTION_TICKS, HEARTBEAT_TICKS, Log, ProposeError, RaftKind};
use super::sent::Sent;
use super::world::{A, B, C, World, command, copy};
use crate::limits::LOG_TAIL_BYTES as TAIL_BYTES;
use crate::limits::{
    APPEND_BYTES_MAX, APPENDS_IN_FLIGHT_MAX, GROUP_UNCOMMITTED_BYTES_MAX, LOG_BYTES_MIN,
    LOG_MEMORY_BYTES_MAX,
};

const MIB: usize = 1024 * 1024;

fn log(world: &World, at: usize) -> &Log {
    world.hosts[at].group.raw.store()
}

/// Lets `count` commands of `bytes` each become what they will, except that `C` does not get its
/// entries onto its disk, though it is heard all the time.
fn fill_without_c(world: &mut World, count: usize, bytes: usize) {
    for n in 0..count {
        if n % 20 == 0 {
            // A beat that is answered, between two entries.
            world.hosts[C].disk.stalled = false;
            world.lose(|sent| sent.to == C);
            world.run(HEARTBEAT_TICKS);
        }
        world.propose(A, &command(n, bytes)).unwrap();
        for _ in 0..6 {
            for at in [A, B] {
                world.drain(at);
                world.sync(at);
            }
            world.lose(|sent| sent.to == C);
            while world.arrive() {}
        }
    }
}

#[test]
fn a_leader_keeps_no_more_than_the_tail_of_what_all_have() {
    let mut world = World::led(3);
    world.fill(A, 40, 10_000);
    assert!(log(&world, A).bytes() <= TAIL_BYTES, "{}", log(&world, A).bytes());
    assert!(log(&world, A).bytes() > TAIL_BYTES / 2, "for one that is a little behind");
}

#[test]
fn a_follower_keeps_no_more_than_the_tail() {
    let mut world = World::led(3);
    world.fill(A, 40, 10_000);
    for at in [B, C] {
        assert!(log(&world, at).bytes() <= TAIL_BYTES, "{}", log(&world, at).bytes());
    }
}

#[test]
fn a_leader_keeps_what_a_copy_that_is_heard_still_needs() {
    let mut world = World::led(3);
    world.say(A, "x");
    fill_without_c(&mut world, 19, 20_000);
    assert!(log(&world, A).bytes() >= 19 * 20_000);
    world.run(HEARTBEAT_TICKS + 1);
    assert!(world.agree(C, A));
    assert_eq!(world.hosts[C].restored, 0);
    assert!(log(&world, A).bytes() <= TAIL_BYTES);
}

#[test]
fn a_leader_does_not_keep_more_than_its_limit_for_anybody() {
    let mut world = World::led(3);
    world.say(A, "x");
    fill_without_c(&mut world, 19, MIB / 3);
    let bytes = log(&world, A).bytes();
    assert!(bytes <= LOG_MEMORY_BYTES_MAX, "{bytes}");
    assert!(bytes > LOG_MEMORY_BYTES_MAX / 2, "{bytes}");
    world.run(2 * HEARTBEAT_TICKS);
    assert!(world.agree(C, A));
    assert_eq!(world.hosts[C].restored, 1);
}

#[test]
fn a_leader_keeps_nothing_for_a_copy_that_is_not_heard() {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.run(2 * ELECTION_TICKS);
    world.fill(A, 40, 10_000);
    assert!(log(&world, A).bytes() <= TAIL_BYTES);
}

#[test]
fn entries_that_others_replaced_are_not_counted() {
    let mut world = World::led(3);
    world.cut.insert(A);
    for n in 0..5 {
        world.propose(A, &command(n, 20_000)).unwrap();
    }
    world.settle();
    assert!(log(&world, A).bytes() >= 100_000);
    let next = world.succeed();
    world.say(next, "x");
    world.cut.clear();
    world.run(HEARTBEAT_TICKS + 1);
    assert_eq!(log(&world, A).bytes(), 1);
}

#[test]
fn entries_that_hold_next_to_nothing_are_bounded_by_their_number() {
    let mut world = World::led(3);
    world.fill(A, 2_000, TAIL_BYTES / 1_500);
    for at in [A, B, C] {
        let log = log(&world, at);
        assert!(log.last_index().unwrap() - log.first_index().unwrap() < 1_500);
    }
}

#[test]
fn a_restart_counts_the_entries_that_it_finds() {
    let mut world = World::led(3);
    world.fill(A, 20, 10_000);
    world.crash(B);
    // It applies them anew as it hears that they are committed.
    world.run(HEARTBEAT_TICKS + 1);
    assert!(world.hosts[B].group.log_bytes >= 20 * 10_000);
}

#[test]
fn what_is_not_applied_is_kept() {
    let mut world = World::led(3);
    world.cut = [B, C].into();
    for n in 0..10 {
        world.propose(A, &command(n, 20_000)).unwrap();
        world.settle();
    }
    assert!(log(&world, A).bytes() >= 10 * 20_000);
    world.cut.clear();
    world.run(HEARTBEAT_TICKS + 1);
    assert_eq!(world.told(B).len(), 10);
    assert!(log(&world, A).bytes() <= TAIL_BYTES);
}

#[test]
fn proposals_are_refused_while_too_much_is_uncommitted() {
    let mut world = World::led(3);
    world.cut = [B, C].into();
    let large = vec![b'x'; 4 * MIB];
    let taken = (0..).find(|_| world.group(A).propose(large.clone()).is_err()).unwrap();
    assert_eq!(taken * large.len() as u64, GROUP_UNCOMMITTED_BYTES_MAX);
    assert_eq!(world.propose(A, "x"), Err(ProposeError::Full));
    // What needs no room is never refused: a leader's first entry, a farewell.
    assert!(world.group(A).propose(Vec::new()).is_ok());
    world.cut.clear();
    world.drain(A);
    world.wire.clear();
    world.run(HEARTBEAT_TICKS + 1);
    assert_eq!(world.told(B).len(), usize::try_from(taken).unwrap());
    assert!(world.propose(A, "x").is_ok());
}

#[test]
fn an_append_message_is_no_larger_than_its_limit_unless_one_entry_is() {
    let mut world = World::led(3);
    world.cut = [B, C].into();
    for n in 0..20 {
        let bytes = if n == 10 { 2 * MIB } else { MIB / 5 };
        world.propose(A, &command(n, bytes)).unwrap();
    }
    world.settle();
    world.cut.clear();
    world.sent.clear();
    world.run(HEARTBEAT_TICKS + 1);
    assert_eq!(world.told(C).len(), 20);
    let appends = world.sent.iter().filter(|s| s.to == C && s.is(RaftKind::Append));
    let mut sizes = Vec::new();
    for append in appends {
        let entries = &append.raft().unwrap().entries;
        let bytes = entries.iter().map(|entry| entry.data.len() as u64).sum::<u64>();
        assert!(bytes <= APPEND_BYTES_MAX || entries.len() == 1, "{bytes}");
        sizes.push(entries.len());
    }
    assert!(sizes.iter().any(|entries| *entries > 2), "yet they are gathered: {sizes:?}");
}

#[test]
fn no_more_than_a_few_appends_are_on_their_way_to_one_copy() {
    let mut world = World::led(3);
    world.cut.insert(C);
    world.sent.clear();
    world.fill(A, APPENDS_IN_FLIGHT_MAX + 40, 10);
    let to = |host: usize| {
        let is_append = |sent: &&Sent| sent.to == host && sent.is(RaftKind::Append);
        let full = |sent: &&Sent| !sent.raft().unwrap().entries.is_empty();
        world.sent.iter().filter(is_append).filter(full).count()
    };
    assert_eq!(to(C), APPENDS_IN_FLIGHT_MAX);
    assert_eq!(to(B), APPENDS_IN_FLIGHT_MAX + 40);
}

#[test]
fn a_state_is_wanted_once_the_log_has_outgrown_it() {
    let wanted_after = |state_bytes: usize| {
        let mut world = World::led(3);
        let mut bytes = 0;
        while !world.hosts[B].group.wants_checkpoint(state_bytes) {
            // The world saves states of its own; this one is of no weight to it.
            world.hosts[B].group.log_bytes += 10_000;
            bytes += 10_000;
        }
        bytes
    };
    assert!((LOG_BYTES_MIN..LOG_BYTES_MIN + 10_000).contains(&wanted_after(0)));
    assert!((LOG_BYTES_MIN..LOG_BYTES_MIN + 10_000).contains(&wanted_after(10_000)));
    assert!((4_000_000..=4_010_000).contains(&wanted_after(1_000_000)), "four times the state");
}

#[test]
fn a_saved_state_cuts_the_log_on_disk_and_a_restart_begins_with_it() {
    let mut world = World::led(3);
    world.fill(A, 30, 10_000);
    for at in [A, B, C] {
        let stored = &world.hosts[at].disk.stored;
        let snapshot = stored.snapshot.as_ref().unwrap();
        assert!(snapshot.index > 1, "saved at {at}");
        assert!(stored.entries.len() < 10, "{}", stored.entries.len());
        assert_eq!(stored.entries.first().map(|e| e.index), Some(snapshot.index + 1));
        assert_eq!(snapshot.copies, world.hosts[at].group.copies());
        assert!(world.hosts[at].group.log_bytes < 10 * 10_000, "and it counts anew");
    }
    let told = world.told(B).len();
    world.crash(B);
    assert!(world.told(B).len() > 20, "it is not applied again");
    world.run(HEARTBEAT_TICKS + 1);
    assert_eq!(world.told(B).len(), told);
    assert!(world.agree(B, A));
    assert!(world.group(A).is_caught_up(copy(B)));
}

#[test]
fn a_follower_that_was_brought_up_to_date_by_a_state_keeps_no_more_than_the_tail() {
    let mut world = World::led(3);
    world.fill(A, 4, 10_000);
    world.cut.insert(C);
    world.run(2 * ELECTION_TICKS);
    world.fill(A, 20, 10_000);
    world.cut.clear();
    world.run(HEARTBEAT_TICKS + 1);
    assert_eq!(world.hosts[C].restored, 1);
    assert_eq!(log(&world, C).bytes(), 0);
    world.fill(A, 40, 10_000);
    assert!(log(&world, C).bytes() <= TAIL_BYTES, "{}", log(&world, C).bytes());
}

#[test]
fn a_copy_that_always_has_a_write_under_way_is_saved_as_well() {
    let mut world = World::led(3);
    world.hosts[A].disk.stalled = true;
    for n in 0..60 {
        // The next is proposed as soon as the last is durable, before anything else is done.
        world.sync(A);
        world.propose(A, &command(n, 10_000)).unwrap();
        world.settle();
        assert!(!world.hosts[A].disk.writing.is_empty());
    }
    let stored = &world.hosts[A].disk.stored;
    assert!(stored.snapshot.as_ref().unwrap().index > 1);
    assert!(stored.entries.len() < 40, "{}", stored.entries.len());
    world.crash(A);
    world.run(1);
    assert!(world.told(A).len() > 20);
}

#[test]
fn a_state_is_saved_of_what_was_applied_not_of_what_waits() {
    let mut world = World::led(3);
    let bytes = 20_000;
    for n in 0..2 * LOG_BYTES_MIN / bytes {
        world.propose(A, &command(n, bytes)).unwrap();
    }
    // Nobody else has them yet: a state that is saved now would have none of them.
    world.drain(A);
    world.settle();
    let left = &world.hosts[A].disk.stored.entries;
    let left: usize = left.iter().map(|entry| entry.data.len()).sum();
    assert!(left <= LOG_BYTES_MIN, "{left} bytes are left on the disk");
}
