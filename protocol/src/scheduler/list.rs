//! Listings of tasks, of which every owner has its part.

use std::cell::{Cell, RefCell};
use std::collections::{BTreeMap, BTreeSet};
use std::iter;
use std::sync::Arc;

use bytes::Bytes;

use super::Scheduler;
use super::asks::Origin;
use super::gather::Gather;
use super::replica::Replica;
use crate::id::{NodeId, PartitionId, TaskId};
use crate::job::Labels;
use crate::limits::{COLD_LOOKS_MAX, LIST_MAX, LISTED_BYTES_MAX, LISTED_TEXT_BYTES_MAX};
use crate::partition::{Found, Look, Partition, Shelf};
use crate::task::{Failure, Record, State, View};
use crate::time::Span;
use crate::wire::{Answer, Ask};

/// How long a listing waits for a member before it goes without it.
pub(super) const WAIT_MAX: Span = Span::from_millis(2_000);

/// Which tasks are to be listed.
pub(super) struct Wanted {
    /// Only those in this state.
    pub(super) state: Option<State>,
    /// Only those of this queue.
    pub(super) queue: Option<String>,
    /// Only those that have all of these.
    pub(super) labels: Labels,
    /// Only those that are called so.
    pub(super) name: Option<String>,
    /// Only those whose ids come before this one.
    pub(super) before: Option<TaskId>,
}

/// A listing to which other nodes still contribute.
pub(super) struct Listing {
    tasks: Vec<View>,
    /// Partitions that nobody has told of yet.
    partitions_missing: u16,
    limit: usize,
    labels: Labels,
    name: Option<String>,
    before: Option<TaskId>,
}

impl Scheduler {
    /// Lists tasks of all owners.
    pub(super) fn list_everywhere(&mut self, origin: Origin, wanted: Wanted, limit: u32) {
        let Origin::Here(id) = origin else {
            return;
        };
        let shown = limit_of(limit);
        let (tasks, partitions_missing) = self.list_owned(&wanted, shown);
        let Wanted { state, queue, labels, name, before } = wanted;
        let (with, called) = (labels.clone(), name.clone());
        let listing =
            Listing { tasks, partitions_missing, limit: shown, labels: with, name: called, before };
        let ask = Ask::List { state, queue, limit, labels, name, before };
        self.gather(id, &ask, listing, |scheduler| &mut scheduler.listings);
    }

    /// Lists tasks of the partitions that this node owns.
    pub(super) fn list_here(&mut self, origin: Origin, wanted: &Wanted, limit: u32) {
        let (tasks, partitions_missing) = self.list_owned(wanted, limit_of(limit));
        self.answer(origin, Answer::Tasks { tasks, partitions_missing });
    }

    pub(super) fn partitions(&self) -> u16 {
        self.meta.as_ref().map_or(0, |meta| meta.partitions)
    }

    /// Partitions of whose tasks this node cannot tell for sure.
    pub(super) fn partitions_missing(&self) -> u16 {
        let told = (self.replicas.values())
            .filter(|replica| replica.partition().is_some() && replica.is_settled())
            .filter(|replica| !self.is_cut_off(replica));
        self.partitions().saturating_sub(u16::try_from(told.count()).unwrap_or(u16::MAX))
    }

    /// The newest tasks of the partitions that this node owns. No more records are looked at than
    /// it takes to find them. And the partitions of whose tasks this node cannot tell for sure.
    fn list_owned(&self, wanted: &Wanted, limit: usize) -> (Vec<View>, u16) {
        let owned = self.replicas.values().filter(|replica| replica.is_settled());
        let looks = Looks { left: Cell::new(COLD_LOOKS_MAX), cut_short: RefCell::default() };
        // Of each partition the newest that was not taken yet, and those before it.
        let mut newest: BTreeMap<TaskId, _> = owned
            .filter_map(Replica::partition)
            .filter_map(|partition| {
                let mut older = wanted.among(partition, &looks);
                older.next().map(|(id, record)| (id, (record, older)))
            })
            .collect();
        let found = iter::from_fn(|| {
            let (id, (record, mut older)) = newest.pop_last()?;
            if let Some((next, record)) = older.next() {
                newest.insert(next, (record, older));
            }
            Some((id, record))
        });
        let mut room = Room::new(LISTED_BYTES_MAX);
        let shown = found.take(limit).map(|(id, record)| {
            let mut view = View::of(id, &record);
            view.metadata = view.metadata.and_then(|said| said.listed()).map(Arc::new);
            view.left_out = !room.fit_view(&mut view);
            view
        });
        let shown = shown.collect();
        let cut_short = u16::try_from(looks.cut_short.borrow().len()).unwrap_or(u16::MAX);
        (shown, self.partitions_missing().saturating_add(cut_short))
    }

    pub(super) fn listed(
        &mut self,
        from: NodeId,
        id: u64,
        tasks: Vec<View>,
        partitions_missing: u16,
    ) {
        let told = self.partitions().saturating_sub(partitions_missing);
        let Some(listing) = self.listings.told(from, id) else {
            return;
        };
        // A member of an older version does not know that labels, or a name, were asked for.
        let (labels, name, before) = (&listing.labels, &listing.name, listing.before);
        let meant = tasks.into_iter().filter(|view| {
            view.has_labels(labels)
                && name.as_ref().is_none_or(|name| view.task == *name)
                && before.is_none_or(|before| view.id < before)
        });
        listing.tasks.extend(meant);
        listing.partitions_missing = listing.partitions_missing.saturating_sub(told);
        if let Some(answer) = self.listings.if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }
}

impl Wanted {
    /// The tasks of a partition that are to be listed, newest first.
    fn among<'a>(
        &'a self,
        partition: &'a Partition,
        looks: &'a Looks,
    ) -> impl Iterator<Item = (TaskId, Look<'a>)> {
        // Once as many have come as have ended that way, or have not ended, nothing is further back.
        let fill = partition.fill();
        let left = match self.state.map(Shelf::of) {
            Some(Some(shelf)) => fill.finished[shelf].tasks + fill.timed.tasks,
            Some(None) => fill.open,
            None => usize::MAX,
        };
        let may_be = |found: &Found<'_>| {
            self.state.is_none_or(|state| Shelf::of(found.state()) == Shelf::of(state))
        };
        let newest_first = partition.found_before(self.before).rev();
        newest_first
            .filter(move |(_, found)| may_be(found))
            .take(left)
            .filter(move |(_, found)| {
                self.may_include(found) && looks.may_look(found, partition.id())
            })
            .filter_map(|(task, found)| Some((task, found.look()?)))
            .filter(move |(_, record)| self.has_labels(record))
    }

    /// Whether a task is to be listed, as far as can be told without reading what is put away.
    fn may_include(&self, found: &Found<'_>) -> bool {
        let Self { state, queue, name, labels: _, before: _ } = self;
        let has_queue =
            |queue: &String| found.template().is_some_and(|template| template.queue == *queue);
        let has_name =
            |name: &String| found.template().is_some_and(|template| template.name == *name);
        state.is_none_or(|state| found.state() == state)
            && queue.as_ref().is_none_or(has_queue)
            && name.as_ref().is_none_or(has_name)
    }

    fn has_labels(&self, record: &Record) -> bool {
        self.labels.is_empty()
            || record.metadata().is_some_and(|said| said.labels.match_all(&self.labels))
    }
}

/// How many records that are put away may still be read for a listing. Beyond that they are passed over, so
/// that one that asks for labels which nothing has does not hold up everything else; nobody can tell of the
/// whole of their partitions then.
struct Looks {
    left: Cell<usize>,
    cut_short: RefCell<BTreeSet<PartitionId>>,
}

impl Looks {
    fn may_look(&self, found: &Found<'_>, partition: PartitionId) -> bool {
        if !found.is_cold() {
            return true;
        }
        let left = self.left.get().checked_sub(1);
        self.left.set(left.unwrap_or(0));
        if left.is_none() {
            self.cut_short.borrow_mut().insert(partition);
        }
        left.is_some()
    }
}

/// How many tasks a listing may have, of which `asked` are wanted.
fn limit_of(asked: u32) -> usize {
    usize::try_from(asked).unwrap_or(LIST_MAX).min(LIST_MAX)
}

impl Gather for Listing {
    fn complete(mut self) -> Answer {
        self.tasks.sort_unstable_by_key(|view| std::cmp::Reverse(view.id));
        self.tasks.dedup_by_key(|view| view.id);
        self.tasks.truncate(self.limit);
        // Each node has kept to what fits, all together may not.
        let mut room = Room::new(LISTED_BYTES_MAX);
        for view in &mut self.tasks {
            view.left_out |= !room.fit_view(view);
        }
        Answer::Tasks { tasks: self.tasks, partitions_missing: self.partitions_missing }
    }
}

/// Room for what tasks returned or why they failed, in an answer about many.
pub(super) struct Room {
    data: usize,
    texts: usize,
}

impl Room {
    /// Room for so much of results and details of failures, and for what else a listing says.
    pub(super) const fn new(data: usize) -> Self {
        Self { data, texts: LISTED_TEXT_BYTES_MAX }
    }

    /// As [`fit`](Self::fit), and leaves out what is said of the task besides how it is treated as well if
    /// there is no room for it.
    fn fit_view(&mut self, view: &mut View) -> bool {
        let all = self.fit(&mut view.result, view.error.as_mut());
        let said = view.metadata.as_ref().map_or(0, |said| said.weight());
        if said > 0 && !take(&mut self.texts, said) {
            view.metadata = None;
            return false;
        }
        all
    }

    /// Leaves a result, or the detail of a failure, out once the room for them is used up, and the
    /// text of an error once that for texts is. Whether there was room for all.
    pub(super) fn fit(&mut self, result: &mut Option<Bytes>, error: Option<&mut Failure>) -> bool {
        let mut all = true;
        if let Some(bytes) = result
            && !take(&mut self.data, bytes.len())
        {
            *result = None;
            all = false;
        }
        let Some(error) = error else { return all };
        if let Some(detail) = error.detail()
            && !take(&mut self.data, detail.len())
        {
            error.strip();
            all = false;
        }
        if !take(&mut self.texts, error.message.len()) {
            LEFT_OUT.clone_into(&mut error.message);
            all = false;
        }
        all
    }
}

/// Takes `bytes` of what is left, or nothing any more: the newest have what there is room for.
fn take(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

/// What stands for the text of an error that did not fit.
const LEFT_OUT: &str = "[left out]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::FailureKind;

    /// What is left of a result, a detail and the text of an error.
    #[track_caller]
    fn fit(room: &mut Room, text: &str) -> (bool, bool, String) {
        let detail = Bytes::from_static(b"12");
        let mut failure = Failure::new(FailureKind::Error, text).with_detail(detail);
        let mut result = Some(Bytes::from_static(b"1"));
        let all = room.fit(&mut result, Some(&mut failure));
        let shown = (result.is_some(), failure.detail().is_some(), failure.message);
        assert_eq!(all, shown.0 && shown.1 && shown.2 == text, "it says whether it left out any");
        shown
    }

    #[test]
    fn the_newest_have_what_there_is_room_for() {
        let mut room = Room { data: 5, texts: 10 };
        let shown = ["12345678", "123", "1"].map(|text| fit(&mut room, text));
        let of = |result, detail, text: &str| (result, detail, text.to_owned());
        assert_eq!(
            shown,
            [of(true, true, "12345678"), of(true, false, LEFT_OUT), of(false, false, LEFT_OUT)]
        );
    }

    #[test]
    fn long_details_do_not_leave_out_why_tasks_failed() {
        let mut room = Room { data: 0, texts: 100 };
        let shown = ["why", "wherefore"].map(|text| fit(&mut room, text));
        assert_eq!(shown.map(|(.., text)| text), ["why", "wherefore"]);
    }
}
