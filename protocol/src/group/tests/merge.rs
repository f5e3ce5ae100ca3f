//! Writes of one copy that become durable as one leave what they would leave one after another.

use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

use super::disk::apply;
use super::world::{GROUP, stored};
use crate::durable::{Copies, EntryKind, GroupWrite, HardState, LogEntry, Snapshot, StoredGroup};
use crate::id::ReplicaId;

const COPY: ReplicaId = ReplicaId(5);

fn write() -> GroupWrite {
    GroupWrite {
        group: GROUP,
        replica: COPY,
        destroy: false,
        snapshot: None,
        entries: Vec::new(),
        hard_state: None,
        checkpoint: None,
    }
}

fn entries(from: u64, to: u64, term: u64) -> Vec<LogEntry> {
    let data = Bytes::from(term.to_le_bytes().to_vec());
    let entry = |index| LogEntry { index, term, kind: EntryKind::Commands, data: data.clone() };
    (from..=to).map(entry).collect()
}

fn state(index: u64, term: u64) -> Snapshot {
    Snapshot { index, term, copies: Copies::default(), data: Bytes::from(format!("{index}")) }
}

const fn vote(term: u64) -> Option<HardState> {
    Some(HardState { term, vote: 3, commit: term + 1 })
}

/// What `first` is after `later` was added.
fn merged(mut first: GroupWrite, later: GroupWrite) -> GroupWrite {
    first.merge(later);
    first
}

#[test]
fn entries_are_appended() {
    let first = GroupWrite { entries: entries(2, 4, 1), ..write() };
    let later = GroupWrite { entries: entries(5, 6, 1), ..write() };
    assert_eq!(merged(first, later).entries, entries(2, 6, 1));
}

#[test]
fn later_entries_replace_all_from_the_first_of_them_on() {
    let first = GroupWrite { entries: entries(2, 6, 1), ..write() };
    let later = GroupWrite { entries: entries(4, 4, 2), ..write() };
    let expected = [entries(2, 3, 1), entries(4, 4, 2)].concat();
    assert_eq!(merged(first, later).entries, expected);
    let first = GroupWrite { entries: entries(4, 6, 1), ..write() };
    let later = GroupWrite { entries: entries(3, 7, 2), ..write() };
    assert_eq!(merged(first, later).entries, entries(3, 7, 2));
}

#[test]
fn the_later_vote_counts_and_an_earlier_one_is_not_forgotten() {
    let voted = |term| GroupWrite { hard_state: vote(term), ..write() };
    assert_eq!(merged(voted(2), voted(3)), voted(3));
    assert_eq!(merged(voted(2), write()), voted(2));
    assert_eq!(merged(write(), voted(3)), voted(3));
}

#[test]
fn a_state_from_a_leader_replaces_entries_and_saved_states_before_it_but_no_vote() {
    let first = GroupWrite {
        entries: entries(2, 9, 1),
        hard_state: vote(2),
        checkpoint: Some(state(7, 1)),
        ..write()
    };
    let later = GroupWrite { snapshot: Some(state(20, 2)), entries: entries(21, 22, 2), ..write() };
    let expected = GroupWrite { hard_state: vote(2), ..later.clone() };
    assert_eq!(merged(first, later), expected);
}

#[test]
fn entries_go_behind_a_state_that_came_before_them() {
    let first = GroupWrite { snapshot: Some(state(20, 2)), entries: entries(21, 23, 2), ..write() };
    let later = GroupWrite { entries: entries(22, 24, 3), ..write() };
    let both = merged(first, later);
    assert_eq!(both.snapshot, Some(state(20, 2)));
    assert_eq!(both.entries, [entries(21, 21, 2), entries(22, 24, 3)].concat());
}

#[test]
fn of_two_states_the_later_one_counts() {
    let from_leader = |index| GroupWrite { snapshot: Some(state(index, 2)), ..write() };
    assert_eq!(merged(from_leader(20), from_leader(30)), from_leader(30));
    let own = |index| GroupWrite { checkpoint: Some(state(index, 2)), ..write() };
    assert_eq!(merged(own(20), own(30)), own(30));
    assert_eq!(merged(own(20), write()), own(20));
}

#[test]
fn nothing_is_left_to_write_of_a_copy_that_is_destroyed() {
    let first = GroupWrite {
        snapshot: Some(state(20, 2)),
        entries: entries(21, 22, 2),
        hard_state: vote(2),
        ..write()
    };
    let destroy = GroupWrite { destroy: true, ..write() };
    assert_eq!(merged(first, destroy.clone()), destroy);
}

#[test]
fn a_new_copy_takes_the_place_of_an_old_one_destroyed_or_not() {
    let new = GroupWrite {
        replica: ReplicaId(9),
        entries: entries(1, 2, 4),
        hard_state: vote(4),
        ..write()
    };
    for destroy in [true, false] {
        let mut old = GroupWrite { destroy, ..write() };
        if !destroy {
            old.entries = entries(2, 9, 1);
            old.hard_state = vote(6);
        }
        assert_eq!(merged(old, new.clone()), new);
    }
}

/// What a copy may do next; numbers are taken modulo what is possible.
#[derive(Clone, Debug)]
enum Step {
    Append { back: u64, count: u64 },
    Install { ahead: u64 },
    Save { back: u64 },
    Vote,
    Destroy,
    Replace,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        6 => (0..4u64, 1..5u64).prop_map(|(back, count)| Step::Append { back, count }),
        2 => (1..6u64).prop_map(|ahead| Step::Install { ahead }),
        2 => (0..4u64).prop_map(|back| Step::Save { back }),
        2 => Just(Step::Vote),
        1 => Just(Step::Destroy),
        1 => Just(Step::Replace),
    ]
}

/// What a copy writes when it does `step`, given what was stored by then and in which term it is.
fn carry_out(step: &Step, stored: &StoredGroup, term: u64) -> GroupWrite {
    let mut write = GroupWrite { replica: stored.replica, ..write() };
    let base = stored.snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
    let last = base + stored.entries.len() as u64;
    if stored.destroyed || matches!(step, Step::Replace) {
        write.replica = ReplicaId(stored.replica.0 + 1);
        return GroupWrite { hard_state: Some(HardState::default()), ..write };
    }
    match *step {
        Step::Append { back, count } => {
            let from = last.saturating_sub(back).max(base) + 1;
            write.entries = entries(from, from + count, term);
            write.hard_state = vote(term);
        }
        Step::Install { ahead } => {
            write.snapshot = Some(state(last + ahead, term));
            write.hard_state = vote(term);
        }
        Step::Save { back } => {
            let index = last.saturating_sub(back);
            if index > base {
                let entry = stored.entries.iter().find(|entry| entry.index == index).unwrap();
                write.checkpoint = Some(state(index, entry.term));
            }
        }
        Step::Vote => write.hard_state = vote(term),
        Step::Destroy => write.destroy = true,
        Step::Replace => {}
    }
    write
}

proptest! {
    #[test]
    fn merged_or_one_after_another_is_the_same(steps in vec(step(), 2..8)) {
        let mut one_by_one = stored(GROUP, 3, 0).remove(0);
        one_by_one.replica = COPY;
        let mut at_once = one_by_one.clone();
        let mut all: Option<GroupWrite> = None;
        for (term, step) in (2..).zip(&steps) {
            let write = carry_out(step, &one_by_one, term);
            apply(&mut one_by_one, write.clone());
            match &mut all {
                Some(all) => all.merge(write),
                None => all = Some(write),
            }
        }
        apply(&mut at_once, all.unwrap());
        prop_assert_eq!(at_once, one_by_one);
    }
}
