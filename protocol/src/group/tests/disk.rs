//! A disk with one copy on it: what was synced survives, all else is lost in a crash.

use std::collections::VecDeque;

use crate::durable::{GroupWrite, HardState, StoredGroup};
use crate::id::ReplicaId;

pub(super) struct Disk {
    /// What a crash leaves.
    pub(super) stored: StoredGroup,
    /// Handed over and not durable, oldest first, with the numbers that the copy is told then.
    pub(super) writing: VecDeque<(GroupWrite, u64)>,
    /// Whether writes wait until the test syncs them.
    pub(super) stalled: bool,
}

impl Disk {
    pub(super) const fn new(stored: StoredGroup) -> Self {
        Self { stored, writing: VecDeque::new(), stalled: false }
    }

    /// Makes the oldest write durable and returns its number.
    pub(super) fn sync_one(&mut self) -> Option<u64> {
        let (write, number) = self.writing.pop_front()?;
        apply(&mut self.stored, write);
        Some(number)
    }

    /// The last entry that survives a crash.
    pub(super) fn last(&self) -> u64 {
        let base = self.stored.snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
        self.stored.entries.last().map_or(base, |entry| entry.index)
    }

    /// Whether the entry at `index` survives a crash.
    pub(super) fn holds(&self, index: u64) -> bool {
        self.last() >= index
    }
}

/// What a store does with a write; it refuses those that no copy may make.
pub(super) fn apply(stored: &mut StoredGroup, write: GroupWrite) {
    let GroupWrite { group, replica, destroy, snapshot, entries, hard_state, checkpoint } = write;
    assert_eq!(stored.group, group);
    assert!(stored.replica <= replica, "a lower copy writes after a higher one");
    if stored.replica < replica || destroy {
        *stored = blank(stored, replica);
        stored.destroyed = destroy;
    }
    if destroy {
        return;
    }
    assert!(!stored.destroyed, "a destroyed copy writes");
    if let Some(snapshot) = snapshot {
        stored.snapshot = Some(snapshot);
        stored.entries.clear();
    }
    if let Some(first) = entries.first().map(|entry| entry.index) {
        stored.entries.retain(|entry| entry.index < first);
        stored.entries.extend(entries);
        let base = stored.snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
        let indexes = stored.entries.iter().map(|entry| entry.index);
        assert!(indexes.eq(base + 1..=base + stored.entries.len() as u64), "a gap in the log");
    }
    if let Some(state) = hard_state {
        assert!(state.term >= stored.hard_state.term, "the term goes back");
        stored.hard_state = state;
    }
    if let Some(checkpoint) = checkpoint {
        stored.entries.retain(|entry| entry.index > checkpoint.index);
        stored.snapshot = Some(checkpoint);
    }
}

fn blank(of: &StoredGroup, replica: ReplicaId) -> StoredGroup {
    StoredGroup {
        group: of.group,
        replica,
        destroyed: false,
        hard_state: HardState::default(),
        snapshot: None,
        entries: Vec::new(),
    }
}
