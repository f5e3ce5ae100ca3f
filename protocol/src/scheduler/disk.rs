//! What is to be written, and what is being written: one batch at a time, for all groups.
//!
//! A group's received state is put on the disk beside the batches, as it may be large and would hold
//! up all other groups. Until that is done its group stays out of them, with all that it writes: so
//! what becomes durable of one group still does so in the order in which the group handed it over,
//! and nothing is sent that the group makes dependent on it. Other groups notice nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::durable::{GroupWrite, StateWrite, WriteBatch};
use crate::id::{GroupId, ReplicaId};

/// States that the store is given beside its batches at a time. It puts one after the other on the
/// disk, so more would only wait there.
const KEEPING_MAX: usize = 2;

/// See the [module](self).
#[derive(Default)]
pub(super) struct Disk {
    waiting: BTreeMap<GroupId, (GroupWrite, u64)>,
    /// Those of them with a state that is on its way to the disk or has to begin it.
    with_states: BTreeSet<GroupId>,
    /// States on their way to the disk, and those that are there and not named by a batch.
    states: BTreeMap<GroupId, Keeping>,
    /// The batch that the store has: for each group the copy and what becomes durable of it.
    writing: Option<Writing>,
    batches: u64,
}

/// A state that the store was given.
struct Keeping {
    replica: ReplicaId,
    index: u64,
    is_kept: bool,
}

/// What one batch makes durable.
struct Writing {
    batch: u64,
    groups: Vec<(GroupId, ReplicaId, u64)>,
}

impl Keeping {
    fn is_of(&self, write: &GroupWrite) -> bool {
        self.replica == write.replica
            && write.snapshot.as_ref().is_some_and(|state| state.index == self.index)
    }
}

impl Disk {
    /// Adds to the next batch. `number` is what the group is told once it is durable; 0 if it need
    /// not be told.
    pub(super) fn write(&mut self, write: GroupWrite, number: u64) {
        let id = write.group;
        match self.waiting.get_mut(&id) {
            Some((earlier, earlier_number)) => {
                earlier.merge(write);
                if number > 0 {
                    *earlier_number = number;
                }
            }
            None => {
                self.waiting.insert(id, (write, number));
            }
        }
        if self.waiting.get(&id).is_some_and(|(write, _)| write.snapshot.is_some()) {
            self.with_states.insert(id);
        }
    }

    /// The same for the state with which a group is founded. It is small, and all groups of a new
    /// cluster begin with one batch, which is there as a whole or not at all.
    pub(super) fn found(&mut self, write: GroupWrite) {
        if let Some(state) = &write.snapshot {
            let keeping = Keeping { replica: write.replica, index: state.index, is_kept: true };
            self.states.insert(write.group, keeping);
        }
        self.write(write, 0);
    }

    pub(super) const fn is_free(&self) -> bool {
        self.writing.is_none()
    }

    /// States that the store is to be given now.
    pub(super) fn states_to_keep(&mut self) -> impl Iterator<Item = StateWrite> + use<> {
        let mut begun = Vec::new();
        for id in &self.with_states {
            let under_way = self.states.values().filter(|state| !state.is_kept).count();
            if under_way >= KEEPING_MAX {
                break;
            }
            let Some((write, _)) = self.waiting.get(id) else {
                continue;
            };
            let Some(state) = &write.snapshot else {
                continue;
            };
            let (group, replica) = (write.group, write.replica);
            // One at a time for a group, and a later one has taken the place of one that is there.
            if self.states.get(id).is_some_and(|known| !known.is_kept || known.is_of(write)) {
                continue;
            }
            self.states.insert(*id, Keeping { replica, index: state.index, is_kept: false });
            begun.push(StateWrite { group, replica, state: state.clone() });
        }
        begun.into_iter()
    }

    /// A state is on the disk.
    pub(super) fn kept(&mut self, group: GroupId, replica: ReplicaId, index: u64) {
        if let Some(state) = self.states.get_mut(&group)
            && state.replica == replica
            && state.index == index
        {
            state.is_kept = true;
        }
    }

    /// The next batch, if there is something to write and the store has none.
    pub(super) fn next_batch(&mut self) -> Option<WriteBatch> {
        if self.waiting.is_empty() || !self.is_free() {
            return None;
        }
        let states = &self.states;
        let may_go = |id: &GroupId, (write, _): &mut (GroupWrite, u64)| {
            match (&write.snapshot, states.get(id)) {
                (Some(_), state) => state.is_some_and(|state| state.is_kept && state.is_of(write)),
                // Whatever took its place waits for it as well, so that it can be cleared away.
                (None, state) => state.is_none_or(|state| state.is_kept),
            }
        };
        let mut numbers = Vec::with_capacity(self.waiting.len());
        let mut groups = Vec::with_capacity(self.waiting.len());
        for (id, (write, number)) in self.waiting.extract_if(.., may_go) {
            numbers.push((id, write.replica, number));
            groups.push(write);
        }
        for (id, ..) in &numbers {
            self.states.remove(id);
            self.with_states.remove(id);
        }
        if groups.is_empty() {
            return None;
        }
        self.batches += 1;
        self.writing = Some(Writing { batch: self.batches, groups: numbers });
        Some(WriteBatch { number: self.batches, groups })
    }

    /// Batch `number` is durable: what of which groups.
    pub(super) fn persisted(&mut self, number: u64) -> Vec<(GroupId, ReplicaId, u64)> {
        let done = self.writing.take_if(|writing| writing.batch == number);
        done.map(|writing| writing.groups).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::durable::{Copies, EntryKind, LogEntry, Snapshot};

    fn nothing(group: u16, replica: u64) -> GroupWrite {
        GroupWrite {
            group: GroupId(group),
            replica: ReplicaId(replica),
            destroy: false,
            snapshot: None,
            entries: Vec::new(),
            hard_state: None,
            checkpoint: None,
        }
    }

    fn state(group: u16, replica: u64, index: u64) -> GroupWrite {
        let data = bytes::Bytes::from_static(b"state");
        let snapshot = Some(Snapshot { index, term: 1, copies: Copies::default(), data });
        GroupWrite { snapshot, ..nothing(group, replica) }
    }

    fn entry(group: u16, replica: u64, index: u64) -> GroupWrite {
        let kind = EntryKind::Commands;
        let entries = vec![LogEntry { index, term: 1, kind, data: bytes::Bytes::new() }];
        GroupWrite { entries, ..nothing(group, replica) }
    }

    /// Which groups a batch has.
    fn groups(batch: Option<WriteBatch>) -> Vec<u16> {
        batch.iter().flat_map(|batch| &batch.groups).map(|write| write.group.0).collect()
    }

    fn begun(disk: &mut Disk) -> Vec<(u16, u64, u64)> {
        let writes = disk.states_to_keep();
        writes.map(|write| (write.group.0, write.replica.0, write.state.index)).collect()
    }

    #[test]
    fn a_group_waits_for_its_state_with_all_that_it_writes_and_others_do_not() {
        let mut disk = Disk::default();
        disk.write(state(1, 1, 10), 1);
        disk.write(entry(2, 1, 5), 1);
        assert_eq!(begun(&mut disk), [(1, 1, 10)]);
        assert_eq!(begun(&mut disk), [], "it is under way");
        assert_eq!(groups(disk.next_batch()), [2]);
        disk.write(entry(1, 1, 11), 2);
        disk.write(entry(2, 1, 6), 2);
        assert_eq!(groups(disk.next_batch()), [], "the store has one");
        assert_eq!(disk.persisted(1), [(GroupId(2), ReplicaId(1), 1)]);
        assert_eq!(groups(disk.next_batch()), [2]);
        disk.persisted(2);
        // Another one is not it.
        disk.kept(GroupId(1), ReplicaId(1), 9);
        disk.kept(GroupId(1), ReplicaId(2), 10);
        assert_eq!(groups(disk.next_batch()), []);
        disk.kept(GroupId(1), ReplicaId(1), 10);
        let batch = disk.next_batch().expect("all of it goes now");
        let [write] = &batch.groups[..] else { panic!("{batch:?}") };
        assert_eq!(write.snapshot.as_ref().map(|state| state.index), Some(10));
        assert_eq!(write.entries.len(), 1);
        assert_eq!(disk.persisted(batch.number), [(GroupId(1), ReplicaId(1), 2)]);
        assert!(disk.states.is_empty() && disk.with_states.is_empty() && disk.waiting.is_empty());
    }

    #[test]
    fn all_groups_of_a_cluster_are_founded_at_once() {
        let mut disk = Disk::default();
        (0..9).for_each(|group| disk.found(state(group, 1, 1)));
        disk.write(entry(3, 1, 2), 1);
        assert_eq!(begun(&mut disk), []);
        let batch = disk.next_batch().expect("all of them go");
        assert!(batch.groups.len() == 9 && batch.groups.iter().all(|w| w.snapshot.is_some()));
    }

    #[test]
    fn a_few_states_are_kept_at_a_time() {
        let mut disk = Disk::default();
        (1..=5).for_each(|group| disk.write(state(group, 1, 10), 1));
        assert_eq!(begun(&mut disk).len(), KEEPING_MAX);
        disk.kept(GroupId(2), ReplicaId(1), 10);
        assert_eq!(begun(&mut disk), [(3, 1, 10)]);
        assert_eq!(groups(disk.next_batch()), [2]);
        for group in [1, 3, 4, 5] {
            begun(&mut disk);
            disk.kept(GroupId(group), ReplicaId(1), 10);
        }
        disk.persisted(1);
        assert_eq!(groups(disk.next_batch()), [1, 3, 4, 5]);
    }

    #[test]
    fn a_later_state_is_kept_as_well_before_it_is_named() {
        let mut disk = Disk::default();
        disk.write(state(1, 1, 10), 1);
        assert_eq!(begun(&mut disk), [(1, 1, 10)]);
        disk.write(state(1, 1, 20), 2);
        assert_eq!(begun(&mut disk), [], "one after the other");
        disk.kept(GroupId(1), ReplicaId(1), 10);
        assert_eq!(groups(disk.next_batch()), []);
        assert_eq!(begun(&mut disk), [(1, 1, 20)]);
        disk.kept(GroupId(1), ReplicaId(1), 20);
        assert_eq!(groups(disk.next_batch()), [1]);
    }

    #[test]
    fn a_copy_that_is_destroyed_meanwhile_is_destroyed_afterwards() {
        let mut disk = Disk::default();
        disk.write(state(1, 1, 10), 1);
        assert_eq!(begun(&mut disk), [(1, 1, 10)]);
        disk.write(GroupWrite { destroy: true, ..nothing(1, 1) }, 0);
        assert_eq!(groups(disk.next_batch()), []);
        disk.kept(GroupId(1), ReplicaId(1), 10);
        let batch = disk.next_batch().expect("it goes");
        assert!(batch.groups[0].destroy && batch.groups[0].snapshot.is_none());
        disk.persisted(batch.number);
        // The next copy has nothing to do with it.
        disk.write(state(1, 2, 30), 1);
        assert_eq!(begun(&mut disk), [(1, 2, 30)]);
        disk.kept(GroupId(1), ReplicaId(2), 30);
        assert_eq!(groups(disk.next_batch()), [1]);
    }
}
