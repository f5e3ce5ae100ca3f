//! Listings of tasks, of which every owner has its part.

use std::collections::BTreeMap;
use std::sync::Arc;

use bytes::Bytes;

use super::Scheduler;
use super::asks::Origin;
use super::gather::Gather;
use super::replica::Replica;
use crate::id::{NodeId, TaskId};
use crate::job::Labels;
use crate::limits::{COLD_LOOKS_MAX, LIST_MAX, LISTED_BYTES_MAX, LISTED_TEXT_BYTES_MAX};
use crate::partition::{Found, Partition, Shelf};
use crate::task::{Failure, Filter, Record, View};
use crate::time::Span;
use crate::wire::{Answer, Ask};

/// The version of the protocol in which tasks are listed by more than their states and queues, bit by bit.
const FILTERS_SINCE: u16 = 3;
/// How long a listing waits for a member before it goes without it.
pub(super) const WAIT_MAX: Span = Span::from_millis(2_000);

/// A listing to which other nodes still contribute.
pub(super) struct Listing {
    wanted: Filter,
    page: TaskPage,
    /// Partitions that nobody has told of yet.
    partitions_missing: u16,
}

/// Tasks, the newest first.
#[derive(Default)]
pub(super) struct TaskPage {
    pub(super) tasks: Vec<View>,
    /// Those before this one were not looked at.
    pub(super) cut_before: Option<TaskId>,
}

impl Scheduler {
    /// Lists tasks of all owners.
    pub(super) fn list_everywhere(&mut self, origin: Origin, wanted: Filter) {
        let Origin::Here(id) = origin else {
            return;
        };
        let (page, partitions_missing) = (self.list_owned(&wanted), self.partitions_missing());
        let ask = Ask::List(wanted.clone());
        let listing = Listing { wanted, page, partitions_missing };
        self.gather(id, &ask, listing, |scheduler| &mut scheduler.listings);
    }

    /// Lists tasks of the partitions that this node owns.
    pub(super) fn list_here(&mut self, origin: Origin, wanted: &Filter) {
        let TaskPage { tasks, cut_before } = self.list_owned(wanted);
        // Whoever asks may be of a version that does not know of cuts.
        let is_untold = cut_before.is_some() && !self.all_understand(FILTERS_SINCE);
        let partitions_missing = self.partitions_missing() + u16::from(is_untold);
        self.answer(origin, Answer::Tasks { tasks, partitions_missing, cut_before });
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

    /// The newest tasks of the partitions that this node owns. No more records are looked at than it takes to find
    /// them, and of those that are put away only so many that it does not hold up everything else.
    fn list_owned(&self, wanted: &Filter) -> TaskPage {
        let owned = self.replicas.values();
        let owned = owned.filter(|replica| replica.is_settled() && !self.is_cut_off(replica));
        // Of each partition the newest that was not taken yet, and those before it.
        let mut newest: BTreeMap<TaskId, _> = owned
            .filter_map(Replica::partition)
            .filter_map(|partition| {
                let mut older = among(wanted, partition);
                older.next().map(|(id, found)| (id, (found, older)))
            })
            .collect();
        let limit = limit_of(wanted);
        let mut room = Room::new(LISTED_BYTES_MAX);
        let (mut page, mut looks_left, mut last) = (TaskPage::default(), COLD_LOOKS_MAX, None);
        while page.tasks.len() < limit
            && let Some((id, (found, mut older))) = newest.pop_last()
        {
            if found.is_cold() {
                let Some(left) = looks_left.checked_sub(1) else {
                    page.cut_before = last;
                    break;
                };
                looks_left = left;
            }
            last = Some(id);
            if let Some(record) = found.look()
                && has_labels(&record, &wanted.labels)
            {
                let mut view = View::of(id, &record);
                view.metadata = view.metadata.and_then(|said| said.listed()).map(Arc::new);
                view.left_out = !room.fit_view(&mut view);
                page.tasks.push(view);
            }
            if let Some((next, found)) = older.next() {
                newest.insert(next, (found, older));
            }
        }
        page
    }

    pub(super) fn listed(
        &mut self,
        from: NodeId,
        id: u64,
        page: TaskPage,
        partitions_missing: u16,
    ) {
        let told = self.partitions().saturating_sub(partitions_missing);
        let is_newer = self.all_understand(FILTERS_SINCE) || self.version_of(from) >= FILTERS_SINCE;
        let Some(listing) = self.listings.told(from, id) else {
            return;
        };
        // What a member lists that does not know what was asked for is not all that is meant.
        let told = if is_newer || listing.wanted.is_of_2() { told } else { 0 };
        // A member of an older version does not know all that was asked for.
        let meant = page.tasks.into_iter().filter(|view| listing.wanted.includes(view));
        listing.page.tasks.extend(meant);
        listing.page.cut_before = listing.page.cut_before.max(page.cut_before);
        listing.partitions_missing = listing.partitions_missing.saturating_sub(told);
        if let Some(answer) = self.listings.if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }
}

/// The tasks of a partition that may be listed, newest first, as far as can be told without reading what is put
/// away.
fn among<'a>(
    wanted: &'a Filter,
    partition: &'a Partition,
) -> impl Iterator<Item = (TaskId, Found<'a>)> {
    // Once as many have come as have ended that way, or have not ended, nothing is further back.
    let fill = partition.fill();
    let left = match wanted.state.map(Shelf::of) {
        Some(Some(shelf)) => fill.finished[shelf].tasks + fill.timed.tasks,
        Some(None) => fill.open,
        None => usize::MAX,
    };
    let may_be = |found: &Found<'_>| {
        wanted.state.is_none_or(|state| Shelf::of(found.state()) == Shelf::of(state))
    };
    let grouped = wanted.group.map(|group| partition.found_in_group(group, wanted.before));
    let all = wanted.group.is_none().then(|| partition.found_before(wanted.before));
    let newest_first = grouped.into_iter().flatten().rev().chain(all.into_iter().flatten().rev());
    newest_first
        .filter(move |(_, found)| may_be(found))
        .take(left)
        .filter(|(_, found)| may_include(wanted, found))
}

fn may_include(wanted: &Filter, found: &Found<'_>) -> bool {
    let Filter { state, queue, name, limit: _, labels: _, before: _, group: _ } = wanted;
    let has_queue =
        |queue: &String| found.template().is_some_and(|template| template.queue == *queue);
    let has_name = |name: &String| found.template().is_some_and(|template| template.name == *name);
    state.is_none_or(|state| found.state() == state)
        && queue.as_ref().is_none_or(has_queue)
        && name.as_ref().is_none_or(has_name)
}

fn has_labels(record: &Record, labels: &Labels) -> bool {
    labels.is_empty() || record.metadata().is_some_and(|said| said.labels.match_all(labels))
}

/// How many tasks a listing may have.
fn limit_of(wanted: &Filter) -> usize {
    usize::try_from(wanted.limit).unwrap_or(LIST_MAX).min(LIST_MAX)
}

impl Gather for Listing {
    fn complete(self) -> Answer {
        let Self { wanted, page: TaskPage { mut tasks, mut cut_before }, partitions_missing } =
            self;
        // Before where one was cut short the others may have had more between these.
        tasks.retain(|view| cut_before.is_none_or(|cut| view.id >= cut));
        tasks.sort_unstable_by_key(|view| std::cmp::Reverse(view.id));
        tasks.dedup_by_key(|view| view.id);
        tasks.truncate(limit_of(&wanted));
        cut_before.take_if(|_| tasks.len() == limit_of(&wanted));
        // Each node has kept to what fits, all together may not.
        let mut room = Room::new(LISTED_BYTES_MAX);
        for view in &mut tasks {
            view.left_out |= !room.fit_view(view);
        }
        Answer::Tasks { tasks, partitions_missing, cut_before }
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
