//! What each verb of a partition promises, tried on one partition whose log is written by hand.

mod accept;
mod anew;
mod apply;
mod audit;
mod bounds;
mod cancel;
mod cold;
mod declared;
mod expire;
mod failures;
mod forget;
mod history;
mod jobs;
mod late;
mod lease;
mod lose;
mod once;
mod recorded;
mod release;
mod replicas;
mod report;
mod retry;
mod sights;
mod snapshot;
mod steer;
mod unique;
mod years;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use bytes::Bytes;

use super::limited::Limited;
use super::uniques::Uniques;
use super::{
    Change, Command, Counts, Look, Loss, Partition, Proposal, Refusal, Report, Room, Shelf, Shelves,
};
use crate::id::{Incarnation, Lessee, NodeId, PartitionId, TaskId, Token};
use crate::limits::{CRASH_HOLD, CRASH_SPREAD, CRASHES_MAX, RUNS_KEPT_MAX};
use crate::task::{
    Batch, Failure, FailureKind, History, Lease, Metadata, Options, Outcome, Particulars, Phase,
    Record, Row, RunEnd, State, Template, UniquePolicy, UniqueScope,
};
use crate::time::{Span, Wall};

const PARTITION: PartitionId = PartitionId(7);
/// When all this happens: after dates at which small numbers could be mistaken for times.
const START: Wall = Wall::from_millis(1_800_000_000_000);

/// A partition and the owner that writes its log. What it writes is applied at once, and after each
/// entry what is counted must be what is there.
struct Owner {
    partition: Partition,
    term: u64,
    /// Of the last entry.
    index: u64,
    clock: Wall,
    ids: u64,
}

impl Owner {
    fn new() -> Self {
        Self { partition: Partition::new(PARTITION), term: 4, index: 10, clock: START, ids: 0 }
    }

    fn wait(&mut self, span: Span) {
        self.clock = self.clock + span;
    }

    /// Writes one entry; what came of it.
    fn write(&mut self, commands: Vec<Command>) -> Vec<Change> {
        let changes = self.write_uncounted(commands);
        assert_counted(&self.partition);
        changes
    }

    /// The same where the counts were set by hand, to be at a limit.
    fn write_uncounted(&mut self, commands: Vec<Command>) -> Vec<Change> {
        self.index += 1;
        let proposal = Proposal::new(self.term, self.clock, commands);
        let mut changes = Vec::new();
        self.partition.apply(self.index, self.term, proposal, &mut changes);
        changes
    }

    fn order(&mut self, command: Command) -> Vec<Change> {
        self.write(vec![command])
    }

    /// An id made now.
    fn id(&mut self) -> TaskId {
        self.ids += 1;
        TaskId::new(self.clock, PARTITION, self.ids)
    }

    fn accept(&mut self, rows: &[(TaskId, &Template)]) -> Vec<Change> {
        self.order(accept(rows))
    }

    /// Hands in one row; whether it was new, or why it was not taken.
    fn hand_in(&mut self, id: TaskId, template: &Template) -> Result<bool, Refusal> {
        let changes = self.accept(&[(id, template)]);
        match changes.last() {
            Some(Change::Accepted { refused, known, .. }) => match refused.first() {
                Some((0, refusal)) => {
                    assert_eq!(changes.len(), 1, "a refusal has no other effect: {changes:?}");
                    Err(*refusal)
                }
                _ => Ok(*known == 0),
            },
            _ => panic!("no answer: {changes:?}"),
        }
    }

    /// A new task.
    fn submit(&mut self, template: &Template) -> TaskId {
        let id = self.id();
        assert_eq!(self.hand_in(id, template), Ok(true));
        id
    }

    fn lease(&mut self, task: TaskId, lessee: Lessee) -> Token {
        let changes = self.order(Command::Lease { lessee, tasks: vec![task] });
        let token = Token { term: self.term, index: self.index, position: 0 };
        assert_eq!(changes, [Change::Leased { task, token, lessee }]);
        token
    }

    /// A new task that runs on `lessee`.
    fn run(&mut self, template: &Template, lessee: Lessee) -> (TaskId, Token) {
        let task = self.submit(template);
        (task, self.lease(task, lessee))
    }

    /// Waits for the pause that a task is given before its last run, if it is.
    fn wait_for_last(&mut self, task: TaskId) {
        if let Phase::Scheduled { not_before } = self.record(task).phase() {
            self.clock = self.clock.max(*not_before);
        }
    }

    /// A new task that has ended.
    fn finished(&mut self) -> TaskId {
        let (task, token) = self.run(&plain(), executor(1));
        self.report(executor(1), task, token, succeeded());
        task
    }

    /// Leases `task` and loses the run.
    fn crash(&mut self, task: TaskId, lessee: Lessee, loss: Loss) -> Vec<Change> {
        self.wait_for_last(task);
        self.lease(task, lessee);
        self.order(Command::Lose { lessee, loss, hold: CRASH_HOLD })
    }

    fn report(
        &mut self,
        lessee: Lessee,
        task: TaskId,
        token: Token,
        outcome: Outcome,
    ) -> Vec<Change> {
        self.order(Command::Report { lessee, reports: vec![Report { task, token, outcome }] })
    }

    fn cancel(&mut self, task: TaskId) -> Vec<Change> {
        self.order(Command::Cancel { task })
    }

    fn record(&self, task: TaskId) -> &Record {
        self.partition.record(task).unwrap().in_memory()
    }

    fn state(&self, task: TaskId) -> State {
        self.record(task).state()
    }

    fn history(&self, task: TaskId) -> &History {
        self.record(task).history.as_deref().unwrap()
    }

    /// How its runs ended, oldest first.
    fn ends(&self, task: TaskId) -> Vec<RunEnd> {
        self.history(task).runs.iter().map(|run| run.end).collect()
    }

    fn not_before(&self, task: TaskId) -> Wall {
        match self.record(task).phase() {
            Phase::Scheduled { not_before } => *not_before,
            phase => panic!("not scheduled: {phase:?}"),
        }
    }
}

/// Tries `act` on a copy, which must not change anything.
#[track_caller]
fn assert_unchanged(owner: &mut Owner, act: impl FnOnce(&mut Owner)) {
    let before = owner.partition.to_bytes();
    act(owner);
    assert!(owner.partition.to_bytes() == before, "it had an effect");
}

/// Everything derived is what a recount over the records gives.
#[track_caller]
fn assert_counted(partition: &Partition) {
    partition.jobs.assert_counted();
    let fill = partition.fill();
    let is_final = |record: &&Record| record.state().is_final();
    let all: Vec<(TaskId, Look<'_>)> = partition.records().collect();
    let records = || all.iter().map(|(_, record)| &**record);
    let shared: BTreeSet<&Arc<Template>> = records().map(|record| &record.template).collect();
    let shared: usize = shared.iter().map(|template| template.weight_kept()).sum();
    assert_eq!(fill.bytes, records().map(Record::weight).sum::<usize>() + shared, "bytes");
    assert_eq!(fill.open, records().filter(|record| !is_final(record)).count(), "open");
    assert_eq!(fill.stubs, partition.stubs.len(), "stubs");
    let failures = records().filter(|record| !is_final(record)).filter_map(|record| {
        let history = record.history.as_ref()?;
        let failure = history.failure.as_ref().map_or(0, |failure| failure.weight_kept());
        Some(failure + history.errors_weight())
    });
    assert_eq!(partition.tally.failures_bytes, failures.sum::<usize>(), "bytes of failures");
    let mut counted: BTreeMap<(&str, &str, State), usize> = BTreeMap::new();
    for record in records() {
        let Template { queue, name, .. } = &*record.template;
        let state = match record.state() {
            State::Expired => State::Cancelled,
            state => state,
        };
        *counted.entry((queue, name, state)).or_default() += 1;
    }
    let told = partition.counts().flat_map(|(queue, name, counts)| {
        let Counts { scheduled, ready, leased, succeeded, dead, stopped } = counts;
        [
            (State::Scheduled, scheduled),
            (State::Ready, ready),
            (State::Leased, leased),
            (State::Succeeded, succeeded),
            (State::Dead, dead),
            (State::Cancelled, stopped),
        ]
        .map(|(state, count)| ((queue, name, state), count))
    });
    let told: BTreeMap<_, _> = told.filter(|(_, count)| *count > 0).collect();
    assert_eq!(told, counted, "by queue, name and state");

    for shelf in Shelf::ALL {
        let is_kept = move |record: &Record| {
            record.template.options.retention.is_none() && Shelf::of(record.state()) == Some(shelf)
        };
        let kept = || records().filter(move |record| is_kept(record));
        let bytes: usize = kept().map(Record::weight).sum();
        assert_eq!(fill.finished[shelf], Room { tasks: kept().count(), bytes }, "{shelf:?}");
        let mut ended: Vec<_> = (all.iter())
            .filter(|(_, record)| is_kept(record))
            .map(|(id, record)| (record.history.as_ref().unwrap(), id))
            .map(|(history, id)| (history.finish_order, history.finished_at.unwrap(), id))
            .collect();
        ended.sort_unstable();
        let order: Vec<TaskId> = ended.iter().map(|(_, _, id)| **id).collect();
        let tasks = partition.tally.finished[shelf].tasks.clone();
        assert_eq!(Vec::from(tasks), order, "the finished in their order");
        assert!(ended.is_sorted_by_key(|(_, finished_at, _)| finished_at), "by their times, too");
    }

    let timed: BTreeSet<(Wall, TaskId)> = (all.iter())
        .filter(|(_, record)| record.state().is_final())
        .filter_map(|(id, record)| Some((super::tally::kept_until(record)?, *id)))
        .collect();
    let is_timed =
        |record: &&Record| record.state().is_final() && record.template.options.retention.is_some();
    let bytes = records().filter(is_timed).map(Record::weight).sum();
    let room = Room { tasks: timed.len(), bytes };
    assert_eq!(
        (&partition.tally.timed, fill.timed),
        (&timed, room),
        "those with a time of their own"
    );

    let mut groups = super::task_groups::TaskGroups::default();
    for (id, record) in &all {
        groups.add(*id, record);
    }
    assert_eq!(partition.tally.task_groups, groups, "groups");

    let used: BTreeSet<&Arc<Template>> = records().map(|record| &record.template).collect();
    assert_eq!(partition.templates.len(), used.len(), "a template that no record uses");
    assert_eq!(partition.templates.values().sum::<usize>(), records().count(), "users");
    let places: BTreeSet<u64> = records().map(|record| record.order).collect();
    assert_eq!(places.len(), records().count(), "two tasks have one place in line");
    for record in records() {
        let shared = partition.templates.get_key_value(&record.template).expect("it is known");
        assert!(Arc::ptr_eq(shared.0, &record.template), "a template is kept twice");
        let users = records().filter(|other| other.template == record.template);
        assert_eq!(*shared.1, users.count(), "users of {:?}", record.template);
        if let Some(history) = &record.history {
            assert!(
                history.runs.len() <= RUNS_KEPT_MAX
                    && history.crashes <= record.template.options.crashes_max()
            );
        }
    }
    let holds = all.iter().filter_map(|(id, record)| {
        let key = Uniques::key(&record.template.name, record.particulars.as_deref())?;
        let waits = matches!(record.state(), State::Scheduled | State::Ready);
        let is_held = match record.template.options.unique_scope() {
            UniqueScope::UntilStarted => waits && !record.waits_again(),
            UniqueScope::UntilFinished | UniqueScope::For(_) => !is_final(&&**record),
        };
        is_held.then(|| (key.to_string(), *id))
    });
    let holds: Vec<(String, TaskId)> = holds.collect();
    let mut held: Vec<_> =
        partition.uniques.held().map(|(key, task)| (key.to_owned(), task)).collect();
    held.sort_by_key(|(_, task)| *task);
    assert_eq!(held, holds, "each key is held by one task");
    let mut running: BTreeMap<&str, (u32, u32)> = BTreeMap::new();
    for record in records().filter(|record| record.state() == State::Leased) {
        if let Some(key) = Limited::key(record) {
            let (all, exclusive) = running.entry(key).or_default();
            *all += 1;
            *exclusive += u32::from(record.template.options.is_exclusive());
        }
    }
    let counted = partition.limited.running().map(|(key, all, alone)| (key, (all, alone)));
    assert_eq!(counted.collect::<BTreeMap<_, _>>(), running, "runs by limit key");
    for (stub, state) in partition.stubs.all_ended() {
        assert!(state.is_final(), "{stub} was forgotten before its end");
        assert!(partition.record(stub).is_none(), "{stub} is there and forgotten");
        assert!(stub.made_at() > partition.dedup_floor, "{stub} is too old to be needed");
    }
    for (stub, refusal) in partition.stubs.all_turned_away() {
        assert!(partition.record(stub).is_none(), "{stub} is there, but was refused: {refusal}");
        assert!(partition.stub(stub).is_none(), "{stub} was there, but was refused: {refusal}");
        assert!(stub.made_at() > partition.dedup_floor, "{stub} is too old to be needed");
    }
}

fn accept(rows: &[(TaskId, &Template)]) -> Command {
    Command::Accept { batch: Arc::new(batch(rows)), grants: Vec::new() }
}

fn batch(rows: &[(TaskId, &Template)]) -> Batch {
    let mut batch = Batch::default();
    for (id, template) in rows {
        let known = batch.templates.iter().position(|other| other == *template);
        let place = known.unwrap_or(batch.templates.len());
        if known.is_none() {
            batch.templates.push((*template).clone());
        }
        batch.rows.push(Row::new(*id, u16::try_from(place).unwrap(), args()));
    }
    batch
}

fn args() -> Bytes {
    Bytes::from_static(b"[1,2,3]")
}

/// Tasks like most: the default of everything.
fn plain() -> Template {
    Template { queue: Template::QUEUE_DEFAULT.to_owned(), ..Template::new("shop.send") }
}

fn with(options: Options) -> Template {
    Template { options, ..plain() }
}

fn delayed(delay: Span) -> Template {
    with(Options { delay, ..Options::default() })
}

/// Tasks that may fail `attempts` times, with a pause of a second before the first retry.
fn tried(attempts: u16) -> Template {
    with(Options { attempts_max: Some(attempts), ..Options::default() })
}

fn expiring(expires_at: Wall) -> Template {
    with(Options { expires_at: Some(expires_at), ..Options::default() })
}

fn executor(node: u128) -> Lessee {
    Lessee { node: NodeId(node), incarnation: Incarnation(1), executor: 1 }
}

fn succeeded() -> Outcome {
    Outcome::Succeeded(Bytes::from_static(b"{\"sent\":true}"))
}

fn failed(kind: FailureKind) -> Outcome {
    Outcome::Failed(failure(kind))
}

fn failure(kind: FailureKind) -> Failure {
    Failure::new(kind, "the mail server does not answer")
        .with_detail(Bytes::from_static(b"{\"status\":503}"))
}

/// So many of each kind that ended.
const fn each(tasks: u32) -> Shelves<u32> {
    Shelves { succeeded: tasks, stopped: tasks, dead: tasks }
}

const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}
