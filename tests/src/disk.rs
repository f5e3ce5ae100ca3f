//! A node's disk: what was synced survives a crash, whole batches only.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::durable::{GroupWrite, HardState, LogEntry, Snapshot, StoredGroup, WriteBatch};
use umbel_protocol::id::{ClusterId, GroupId, Incarnation, ReplicaId, TaskId};
use umbel_protocol::partition::{Command, Proposal};

/// What a node keeps.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    /// How often the node has started.
    pub incarnation: Incarnation,
    /// The cluster that it belongs to.
    pub cluster: Option<ClusterId>,
    groups: BTreeMap<GroupId, Stored>,
    /// Where tasks were taken in, by entries that were ever durable here.
    accepts: BTreeMap<TaskId, BTreeSet<(u64, u64)>>,
    /// Written and not synced.
    unsynced: Vec<WriteBatch>,
    /// Whether it keeps nothing of what is written.
    is_forgetful: bool,
    /// Batches that were made durable.
    pub syncs: u64,
}

#[derive(Clone, Debug)]
struct Stored {
    replica: ReplicaId,
    destroyed: bool,
    hard_state: HardState,
    snapshot: Option<Snapshot>,
    entries: Vec<LogEntry>,
}

impl Stored {
    fn blank(replica: ReplicaId) -> Self {
        let (hard_state, snapshot) = (HardState::default(), None);
        Self { replica, destroyed: false, hard_state, snapshot, entries: Vec::new() }
    }
}

impl Disk {
    /// Takes a batch; it may still get lost.
    pub fn write(&mut self, batch: WriteBatch) {
        self.unsynced.push(batch);
    }

    /// The batch `number` is durable.
    pub fn sync(&mut self, number: u64) {
        while self.unsynced.first().is_some_and(|batch| batch.number <= number) {
            let batch = self.unsynced.remove(0);
            for write in batch.groups {
                if !self.is_forgetful {
                    self.apply(write);
                }
            }
            self.syncs += 1;
        }
    }

    /// Keeps nothing from now on until the power goes, although it is said to be durable.
    pub const fn forget(&mut self) {
        self.is_forgetful = true;
    }

    /// Batches that were written and not synced.
    #[must_use]
    pub const fn unsynced(&self) -> usize {
        self.unsynced.len()
    }

    /// The power goes; batches that were being written are kept or lost, each as a whole and none
    /// without those before it.
    pub fn crash(&mut self, keep: usize) {
        for _ in 0..keep.min(self.unsynced.len()) {
            let number = self.unsynced[0].number;
            self.sync(number);
        }
        self.unsynced.clear();
        self.is_forgetful = false;
    }

    /// What is kept of `group` cannot be vouched for, and is given up for ever, as a store does when
    /// it is opened.
    pub fn give_up(&mut self, group: GroupId) {
        if let Some(stored) = self.groups.get_mut(&group) {
            let replica = stored.replica;
            *stored = Stored { destroyed: true, ..Stored::blank(replica) };
        }
    }

    /// Groups of which there is a copy.
    pub fn groups(&self) -> impl Iterator<Item = GroupId> {
        self.groups.iter().filter(|(_, stored)| !stored.destroyed).map(|(group, _)| *group)
    }

    /// Whether a change of the copies of `group` is here of which it is not known that it is decided:
    /// until then those that it leaves out decide as well.
    #[must_use]
    pub fn has_open_change(&self, group: GroupId) -> bool {
        self.groups.get(&group).is_some_and(|stored| {
            let decided = stored.hard_state.commit;
            let mut changes = stored.entries.iter().filter(|entry| !entry.is_commands());
            changes.any(|entry| entry.index > decided)
        })
    }

    /// Whether copy `replica` of `group` is here.
    #[must_use]
    pub fn has_copy(&self, group: GroupId, replica: ReplicaId) -> bool {
        let stored = self.groups.get(&group);
        stored.is_some_and(|stored| stored.replica == replica && !stored.destroyed)
    }

    /// What the store finds when it is opened.
    #[must_use]
    pub fn open(&self) -> Vec<StoredGroup> {
        self.groups
            .iter()
            .map(|(group, stored)| StoredGroup {
                group: *group,
                replica: stored.replica,
                destroyed: stored.destroyed,
                hard_state: stored.hard_state,
                snapshot: stored.snapshot.clone(),
                entries: stored.entries.clone(),
            })
            .collect()
    }

    /// What is durable of copy `replica` of `group`: its votes, and the last index.
    #[must_use]
    pub fn synced(&self, group: GroupId, replica: ReplicaId) -> (HardState, u64) {
        let stored = self.groups.get(&group).filter(|stored| stored.replica == replica);
        stored.map_or_else(Default::default, |stored| {
            let snapshot = stored.snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
            let last = stored.entries.last().map_or(snapshot, |entry| entry.index);
            (stored.hard_state, last)
        })
    }

    /// Index and term of entries that were durable here at some time and take `task` in.
    pub fn accepted(&self, task: TaskId) -> impl Iterator<Item = (u64, u64)> {
        self.accepts.get(&task).into_iter().flatten().copied()
    }

    fn note_accepts(&mut self, group: GroupId, entry: &LogEntry) {
        if group.partition().is_none() || !entry.is_commands() || entry.data.is_empty() {
            return;
        }
        let proposal: Proposal = Proposal::from_bytes(&entry.data).expect("it was proposed");
        for command in proposal.commands {
            let accepted: Vec<TaskId> = match &command {
                Command::Accept { batch, .. } => batch.rows.iter().map(|row| row.id).collect(),
                Command::Retry { id, .. } => vec![*id],
                _ => continue,
            };
            for task in accepted {
                self.accepts.entry(task).or_default().insert((entry.index, entry.term));
            }
        }
    }

    /// Whether the entry at `index` of `term` is durable here, in copy `replica` of `group`.
    #[must_use]
    pub fn holds(&self, group: GroupId, replica: ReplicaId, index: u64, term: u64) -> bool {
        let stored = self.groups.get(&group).filter(|stored| stored.replica == replica);
        stored.is_some_and(|stored| {
            let has_entry =
                stored.entries.iter().any(|entry| entry.index == index && entry.term == term);
            has_entry || stored.snapshot.as_ref().is_some_and(|snapshot| snapshot.index >= index)
        })
    }

    /// Bytes of the entries up to `applied` of copy `replica` of `group` that stand behind its last
    /// saved state.
    #[must_use]
    pub fn log_bytes(&self, group: GroupId, replica: ReplicaId, applied: u64) -> usize {
        let stored = self.groups.get(&group).filter(|stored| stored.replica == replica);
        let entries = stored.into_iter().flat_map(|stored| &stored.entries);
        entries.filter(|entry| entry.index <= applied).map(|entry| entry.data.len()).sum()
    }

    /// The index of the last saved state of `group`, 0 if there is none.
    #[must_use]
    pub fn saved_at(&self, group: GroupId) -> u64 {
        let saved = self.groups.get(&group).and_then(|stored| stored.snapshot.as_ref());
        saved.map_or(0, |state| state.index)
    }

    /// What is kept of a group, for people.
    #[must_use]
    pub fn tell(&self, group: GroupId) -> String {
        let tell = |stored: &Stored| {
            let snapshot = stored.snapshot.as_ref().map(|s| (s.index, s.term));
            let first = stored.entries.first().map(|e| (e.index, e.term));
            let last = stored.entries.last().map(|e| (e.index, e.term));
            let Stored { replica, destroyed, hard_state, .. } = stored;
            format!("{replica:?} {destroyed} {hard_state:?} {snapshot:?} {first:?}..{last:?}")
        };
        self.groups.get(&group).map_or_else(|| "nothing".to_owned(), tell)
    }

    fn apply(&mut self, write: GroupWrite) {
        let GroupWrite { group, replica, destroy, snapshot, entries, hard_state, checkpoint } =
            write;
        let blank = || Stored::blank(replica);
        let stored = self.groups.entry(group).or_insert_with(blank);
        assert!(stored.replica <= replica, "{group}: a lower copy writes after a higher one");
        if stored.replica < replica {
            *stored = blank();
        }
        assert!(!stored.destroyed || destroy, "{group}: a destroyed copy writes");
        if destroy {
            *stored = Stored { destroyed: true, ..blank() };
            return;
        }
        if let Some(snapshot) = snapshot {
            stored.snapshot = Some(snapshot);
            stored.entries.clear();
        }
        for entry in &entries {
            self.note_accepts(group, entry);
        }
        let stored = self.groups.get_mut(&group).expect("it was just there");
        if let Some(first) = entries.first() {
            let from = first.index;
            stored.entries.retain(|entry| entry.index < from);
            let before = stored.snapshot.as_ref().map_or(0, |snapshot| snapshot.index);
            let end = stored.entries.last().map_or(before, |entry| entry.index);
            assert!(end + 1 == from, "{group}: entry {from} after {end} leaves a gap");
            stored.entries.extend(entries);
        }
        if let Some(state) = hard_state {
            assert!(state.term >= stored.hard_state.term, "{group}: the term goes back");
            stored.hard_state = state;
        }
        if let Some(checkpoint) = checkpoint {
            stored.entries.retain(|entry| entry.index > checkpoint.index);
            stored.snapshot = Some(checkpoint);
        }
    }
}
