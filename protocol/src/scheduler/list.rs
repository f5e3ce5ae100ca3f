//! Listings of tasks, of which every owner has its part.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::Scheduler;
use super::asks::Origin;
use super::gather::Gather;
use super::replica::Replica;
use super::tellers::{Overlap, Tellers};
use crate::id::{NodeId, TaskId};
use crate::job::Labels;
use crate::limits::{
    COLD_LOOKS_MAX, LIST_MAX, LISTED_BYTES_MAX, LISTED_RUNS_MAX, LISTED_TEXT_BYTES_MAX, LOOKS_MAX,
};
use crate::partition::{Found, Partition, Shelf};
use crate::task::{Failure, Filter, Record, RunView, View};
use crate::time::Span;
use crate::wire::{Answer, Ask, Told};

/// The version of the protocol in which tasks are listed by more than their states and queues, bit by bit.
const FILTERS_SINCE: u16 = 3;
/// How long a listing waits for a member before it goes without it.
pub(super) const WAIT_MAX: Span = Span::from_millis(2_000);

/// A listing to which other nodes still contribute.
pub(super) struct Listing {
    wanted: Filter,
    page: TaskPage,
    tellers: Tellers,
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
        let (page, told) = (self.list_owned(&wanted), self.told());
        let ask = Ask::List(wanted.clone());
        let listing = Listing { wanted, page, tellers: Tellers::new(self.partitions(), told) };
        self.gather(id, &ask, listing, |scheduler| &mut scheduler.listings);
    }

    /// Lists tasks of the partitions that this node owns.
    pub(super) fn list_here(&mut self, origin: Origin, wanted: &Filter) {
        let TaskPage { tasks, cut_before } = self.list_owned(wanted);
        // Whoever asks may be of a version that does not know of cuts.
        let is_untold = cut_before.is_some() && !self.all_understand(FILTERS_SINCE);
        let partitions_missing = self.partitions_missing() + u16::from(is_untold);
        let told = self.told();
        self.answer(origin, Answer::Tasks { tasks, partitions_missing, cut_before, told });
    }

    pub(super) fn partitions(&self) -> u16 {
        self.meta.as_ref().map_or(0, |meta| meta.partitions)
    }

    /// Partitions of whose tasks this node cannot tell for sure.
    pub(super) fn partitions_missing(&self) -> u16 {
        let told = self.telling().filter(|replica| replica.partition().is_some());
        self.partitions().saturating_sub(u16::try_from(told.count()).unwrap_or(u16::MAX))
    }

    /// The newest tasks of the partitions that this node owns. No more records are looked at than it takes to find
    /// them, and only so many that it does not hold up everything else, above all of those that are put away.
    fn list_owned(&self, wanted: &Filter) -> TaskPage {
        // Of each partition the newest that was not taken yet, and those before it.
        let mut newest: BTreeMap<TaskId, _> = self
            .telling()
            .filter_map(Replica::partition)
            .filter_map(|partition| {
                let mut older = among(wanted, partition);
                older.next().map(|(id, found)| (id, (found, older)))
            })
            .collect();
        let limit = limit_of(wanted);
        let mut room = Room::new(LISTED_BYTES_MAX);
        let (mut page, mut last) = (TaskPage::default(), None);
        let (mut looks_left, mut cold_looks_left) = (LOOKS_MAX, COLD_LOOKS_MAX);
        while page.tasks.len() < limit
            && let Some((id, (found, mut older))) = newest.pop_last()
        {
            let may_match = may_include(wanted, &found);
            let is_read = may_match && found.is_cold();
            if looks_left == 0 || (is_read && cold_looks_left == 0) {
                page.cut_before = last;
                break;
            }
            looks_left -= 1;
            cold_looks_left -= usize::from(is_read);
            last = Some(id);
            if may_match
                && let Some(record) = found.look()
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
        (told, partitions_missing): (Vec<Told>, u16),
    ) {
        let partitions = self.partitions();
        let is_newer = self.all_understand(FILTERS_SINCE) || self.version_of(from) >= FILTERS_SINCE;
        let Some(listing) = self.listings.told(from, id) else {
            return;
        };
        // What a member lists that does not know what was asked for is not all that is meant.
        let is_all = is_newer || listing.wanted.is_of_2();
        let missing = if is_all { partitions_missing } else { partitions };
        listing.add(page, (told, missing));
        if let Some(answer) = self.listings.if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }
}

/// The tasks of a partition, newest first, as far back as any may be meant that can be told without reading what is
/// put away.
fn among<'a>(
    wanted: &'a Filter,
    partition: &'a Partition,
) -> impl Iterator<Item = (TaskId, Found<'a>)> {
    let shelves: BTreeSet<Option<Shelf>> = wanted.states.iter().map(Shelf::of).collect();
    // Once as many have come as have ended that way, or have not ended, nothing is further back.
    let fill = partition.fill();
    let timed = if shelves.iter().any(Option::is_some) { fill.timed.tasks } else { 0 };
    let on_shelves = shelves.iter().map(|shelf| match shelf {
        Some(shelf) => fill.finished[*shelf].tasks,
        None => fill.open,
    });
    let mut left = on_shelves.sum::<usize>() + timed;
    let grouped = wanted.group.map(|group| partition.found_in_group(group, wanted.before));
    let all = wanted.group.is_none().then(|| partition.found_before(wanted.before));
    let newest_first = grouped.into_iter().flatten().rev().chain(all.into_iter().flatten().rev());
    newest_first.map_while(move |(id, found)| {
        let is_counted = shelves.contains(&Shelf::of(found.state()));
        left = left.checked_sub(usize::from(is_counted)).filter(|_| is_counted || left > 0)?;
        Some((id, found))
    })
}

fn may_include(wanted: &Filter, found: &Found<'_>) -> bool {
    let Filter { states, queue, name, limit: _, labels: _, before: _, group: _ } = wanted;
    let has_queue =
        |queue: &String| found.template().is_some_and(|template| template.queue == *queue);
    let has_name = |name: &String| found.template().is_some_and(|template| template.name == *name);
    states.contains(found.state())
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

impl Listing {
    /// Adds what another owner has told. No more is kept than the answer may have.
    fn add(&mut self, page: TaskPage, (told, partitions_missing): (Vec<Told>, u16)) {
        let Overlap { stale, superseded } = self.tellers.add(told, partitions_missing);
        let tasks = &mut self.page.tasks;
        tasks.retain(|view| !superseded.contains(&view.id.partition()));
        // A member of an older version does not know all that was asked for.
        let meant = page.tasks.into_iter().filter(|view| self.wanted.includes(view));
        tasks.extend(meant.filter(|view| !stale.contains(&view.id.partition())));
        // Whoever tells is no more to be believed than others: none goes on where this one began.
        let cut =
            page.cut_before.filter(|cut| self.wanted.before.is_none_or(|before| *cut < before));
        let cut = self.page.cut_before.max(cut);
        // Before where one was cut short the others may have had more between these.
        tasks.retain(|view| cut.is_none_or(|cut| view.id >= cut));
        tasks.sort_unstable_by_key(|view| std::cmp::Reverse(view.id));
        tasks.dedup_by_key(|view| view.id);
        tasks.truncate(limit_of(&self.wanted));
        // Each node has kept to what fits, all together may not. What has no room now has none beside more, either.
        let mut room = Room::new(LISTED_BYTES_MAX);
        for view in tasks {
            view.left_out |= !room.fit_view(view);
        }
        self.page.cut_before = cut;
    }
}

impl Gather for Listing {
    fn complete(self) -> Answer {
        let Self { wanted, page: TaskPage { tasks, mut cut_before }, tellers } = self;
        cut_before.take_if(|_| tasks.len() == limit_of(&wanted));
        let partitions_missing = tellers.missing();
        Answer::Tasks { tasks, partitions_missing, cut_before, told: Vec::new() }
    }
}

/// Room for what tasks returned or why they failed, in an answer about many.
pub(super) struct Room {
    data: usize,
    texts: usize,
    runs: usize,
}

impl Room {
    /// Room for so much of results and details of failures, and for what else a listing says.
    pub(super) const fn new(data: usize) -> Self {
        Self { data, texts: LISTED_TEXT_BYTES_MAX, runs: LISTED_RUNS_MAX }
    }

    /// As [`fit`](Self::fit), and leaves out what is said of the task besides how it is treated as well if
    /// there is no room for it.
    fn fit_view(&mut self, view: &mut View) -> bool {
        let all = self.fit(&mut view.result, view.error.as_mut()) & self.fit_runs(&mut view.runs);
        let said = view.metadata.as_ref().map_or(0, |said| said.weight());
        if said > 0 && !take(&mut self.texts, said) {
            view.metadata = None;
            return false;
        }
        all
    }

    /// Leaves all runs but the last one out once there is no room for more, and then why they failed.
    fn fit_runs(&mut self, runs: &mut Vec<RunView>) -> bool {
        let before = runs.len().saturating_sub(1);
        let mut all = take(&mut self.runs, before);
        if !all {
            runs.drain(..before);
        }
        for error in runs.iter_mut().map(|run| &mut run.error) {
            if error.as_ref().is_some_and(|text| !take(&mut self.texts, text.len())) {
                (*error, all) = (None, false);
            }
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
    use crate::id::PartitionId;
    use crate::task::{FailureKind, Phase, Template};
    use crate::time::Wall;

    const TASKS: [TaskId; 3] = [task(0, 1), task(1, 2), task(0, 3)];

    /// The task of that partition and number.
    const fn task(partition: u16, number: u64) -> TaskId {
        TaskId::new(Wall::from_millis(number), PartitionId(partition), 0)
    }

    fn view(id: TaskId, queue: &str) -> View {
        let template = Template { queue: queue.into(), ..Template::new("add") };
        let record =
            Record::new(template.into(), Bytes::new(), Wall::from_millis(1), 1, Phase::Ready);
        View::of(id, &record)
    }

    fn told(partition: u16, term: u64) -> Vec<Told> {
        vec![Told { partition: PartitionId(partition), term }]
    }

    fn listing(wanted: Filter) -> Listing {
        let page = TaskPage { tasks: vec![view(TASKS[0], "before")], cut_before: None };
        Listing { wanted, page, tellers: Tellers::new(2, told(0, 5)) }
    }

    fn page(ids: &[TaskId], cut_before: Option<TaskId>) -> TaskPage {
        TaskPage { tasks: ids.iter().map(|id| view(*id, "now")).collect(), cut_before }
    }

    /// The tasks of the answer with their queues, where it goes on, and of how many partitions it is not.
    fn answered(listing: Listing) -> (Vec<(TaskId, String)>, Option<TaskId>, u16) {
        match listing.complete() {
            Answer::Tasks { tasks, partitions_missing, cut_before, .. } => {
                let tasks = tasks.into_iter().map(|view| (view.id, view.queue)).collect();
                (tasks, cut_before, partitions_missing)
            }
            other => panic!("it is a listing: {other:?}"),
        }
    }

    #[test]
    fn what_a_former_owner_tells_counts_for_nothing() {
        let mut late = listing(Filter::default());
        late.add(page(&[TASKS[0], TASKS[2]], None), (told(0, 4), 1));
        assert_eq!(answered(late), (vec![(TASKS[0], "before".into())], None, 1));
        let mut early = listing(Filter::default());
        early.add(page(&[TASKS[2]], None), (told(0, 6), 1));
        early.add(page(&[TASKS[1]], None), (told(1, 1), 1));
        let now = [TASKS[2], TASKS[1]].map(|id| (id, "now".to_owned()));
        assert_eq!(answered(early), (now.to_vec(), None, 0));
    }

    #[test]
    fn no_more_is_kept_than_is_asked_for() {
        let mut few = listing(Filter { limit: 2, ..Filter::default() });
        few.add(page(&[TASKS[2], TASKS[0]], None), (told(0, 6), 1));
        few.add(page(&[TASKS[1]], Some(TASKS[1])), (told(1, 1), 1));
        assert_eq!(few.page.tasks.len(), 2);
        let now = [TASKS[2], TASKS[1]].map(|id| (id, "now".to_owned()));
        assert_eq!(answered(few), (now.to_vec(), None, 0), "it is full, so nobody needs to go on");
    }

    #[test]
    fn nobody_goes_on_where_he_began() {
        let mut again = listing(Filter { before: Some(TASKS[1]), ..Filter::default() });
        again.add(page(&[], Some(TASKS[1])), (told(1, 1), 1));
        assert_eq!(answered(again).1, None);
        let mut on = listing(Filter { before: Some(TASKS[2]), ..Filter::default() });
        on.add(page(&[], Some(TASKS[1])), (told(1, 1), 1));
        assert_eq!(answered(on), (vec![], Some(TASKS[1]), 0), "those before it come with the next");
    }

    #[test]
    fn of_each_task_the_last_run_is_told() {
        let mut room = Room { data: 0, texts: 3, runs: 2 };
        let run = |error: &str| RunView {
            node: NodeId(1),
            started_at: Wall::from_millis(1),
            finished_at: None,
            end: None,
            error: Some(error.to_owned()),
        };
        let mut fit = |errors: &[&str]| {
            let mut runs: Vec<RunView> = errors.iter().map(|error| run(error)).collect();
            let all = room.fit_runs(&mut runs);
            (all, runs.into_iter().map(|run| run.error.unwrap_or_default()).collect::<Vec<_>>())
        };
        assert_eq!(fit(&["a", "b"]), (true, vec!["a".into(), "b".into()]));
        assert_eq!(fit(&["c", "d", "e"]), (false, vec!["e".into()]));
        assert_eq!(fit(&["f"]), (false, vec![String::new()]));
        assert_eq!(fit(&["", ""]), (false, vec![String::new()]));
    }

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
        let mut room = Room { data: 5, texts: 10, runs: 0 };
        let shown = ["12345678", "123", "1"].map(|text| fit(&mut room, text));
        let of = |result, detail, text: &str| (result, detail, text.to_owned());
        assert_eq!(
            shown,
            [of(true, true, "12345678"), of(true, false, LEFT_OUT), of(false, false, LEFT_OUT)]
        );
    }

    #[test]
    fn long_details_do_not_leave_out_why_tasks_failed() {
        let mut room = Room { data: 0, texts: 100, runs: 0 };
        let shown = ["why", "wherefore"].map(|text| fit(&mut room, text));
        assert_eq!(shown.map(|(.., text)| text), ["why", "wherefore"]);
    }
}
