//! What was seen from outside: what clients were told, what ran where, who was thought lost.

pub mod tally;

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::id::{GroupId, Incarnation, Lessee, NodeId, TaskGroupId, TaskId, Token};
use umbel_protocol::limits::CRASHES_MAX;
use umbel_protocol::task::{Options, Outcome, State};

use crate::host::true_time;
use crate::work::{is_known_by_id, mark_by_id};

/// All that was seen.
#[derive(Debug, Default)]
pub struct Ledger {
    /// By the mark of the task's arguments.
    pub tasks: BTreeMap<u64, TaskLog>,
    /// Tasks of each group that were seen to have ended.
    pub ended_tasks: BTreeMap<GroupId, BTreeSet<TaskId>>,
    marks: BTreeMap<TaskId, u64>,
    /// Who took which start of a node to be down, from when until when.
    down: Vec<(usize, NodeId, Incarnation, u64, u64)>,
    /// When each run was first sent to its executor.
    pub leased: BTreeMap<(TaskId, Token), u64>,
    /// When an executor fell whose process went on.
    pub fallen: BTreeMap<Lessee, u64>,
    /// When a start of a node ended, other than in good order.
    pub ended: BTreeMap<(NodeId, Incarnation), u64>,
    /// When a start of a node ended that had handed over all that it had.
    pub left: BTreeMap<(NodeId, Incarnation), u64>,
}

/// What was seen of a task.
#[derive(Debug, Default)]
pub struct TaskLog {
    /// Under which ids it was submitted.
    pub ids: Vec<TaskId>,
    /// Whether a client was told that it is durable, and under which id.
    pub acknowledged: Option<TaskId>,
    /// When that was.
    pub acknowledged_at: Option<u64>,
    /// The group that it belongs to.
    pub group: Option<TaskGroupId>,
    /// Whether it was submitted under the id of another task: then it must never run.
    pub impostor: bool,
    /// When it was first submitted.
    pub first_try: Option<u64>,
    /// Whether its submission was tried more than once.
    pub repeated: bool,
    /// Whether it may be given up before any run of it was sent, as time passes or its owner falls.
    pub expires: bool,
    /// Whether a run of it may end it as cancelled, as there is nothing to be done.
    pub drops: bool,
    /// Its limit key, and whether it is to run alone of those that have it.
    pub limit_key: Option<(Box<str>, bool)>,
    /// The mark that its label carries, if it has one: its own, or that of the task in whose place it was begun.
    pub label: Option<u64>,
    /// When it may start at the earliest, if that was said.
    pub not_before: Option<u64>,
    /// When a client was last shown it: whether it had ended, and how many of its runs.
    pub viewed: Option<(u64, (bool, usize))>,
    /// Whether any client has asked for it to be stopped.
    pub cancel_asked: bool,
    /// Whether anybody has asked for it to be begun anew or dropped, once it has ended.
    pub may_be_dropped: bool,
    /// Whether a client was told that it will be stopped: it had not ended then.
    pub stopped: bool,
    /// Its starts, in order.
    pub starts: Vec<StartLog>,
    /// Most lost runs that any copy has counted.
    pub crashes: u16,
    /// The lowest index at which a copy had it as ended.
    pub final_at: Option<u64>,
    /// The first final state that anybody was told, and what it returned.
    pub ending: Option<(State, Option<Vec<u8>>)>,
}

/// One start.
#[derive(Clone, Debug)]
pub struct StartLog {
    /// When.
    pub at: u64,
    /// Under which id.
    pub task: TaskId,
    /// Which run.
    pub token: Token,
    /// Which attempt that is.
    pub attempt: u16,
    /// By whom.
    pub lessee: Lessee,
    /// When it ended and how, if it did.
    pub end: Option<(u64, Outcome)>,
}

impl StartLog {
    /// Whether its task may be tried again after it, as it failed, said so itself, or was stopped with its
    /// node.
    #[must_use]
    pub const fn has_passed_on(&self) -> bool {
        match &self.end {
            Some((_, outcome)) => match outcome {
                Outcome::Cancelled
                | Outcome::Deferred { .. }
                | Outcome::Failed(_)
                | Outcome::Snoozed { .. } => true,
                Outcome::Dropped(_) | Outcome::Succeeded(_) => false,
            },
            None => false,
        }
    }
}

/// Whether a task with these options may be given up before any run of it was sent.
#[must_use]
pub fn may_be_given_up(options: &Options) -> bool {
    options.expires_at.is_some()
        || options.expires.is_some()
        || options.deadline.is_some()
        // Or lost with its owner before it was sent, fewer times than most.
        || options.is_at_most_once()
        || options.crashes_max() < CRASHES_MAX
}

impl Ledger {
    /// `observer` thinks so of a node from `now` on.
    pub fn opinion(
        &mut self,
        observer: usize,
        (node, incarnation): (NodeId, Incarnation),
        down: bool,
        now: u64,
    ) {
        let open = |entry: &&mut (usize, NodeId, Incarnation, u64, u64)| {
            entry.0 == observer && entry.1 == node && entry.4 == u64::MAX
        };
        for entry in self.down.iter_mut().filter(open) {
            entry.4 = now;
        }
        if down {
            self.down.push((observer, node, incarnation, now, u64::MAX));
        }
    }

    /// An observer is gone, and its opinions with it.
    pub fn observer_gone(&mut self, observer: usize, now: u64) {
        for entry in self.down.iter_mut().filter(|entry| entry.0 == observer) {
            entry.4 = entry.4.min(now);
        }
    }

    /// The task `mark` is going to be submitted under `id`.
    pub fn submits(&mut self, mark: u64, id: TaskId) {
        self.tasks.entry(mark).or_default().ids.push(id);
        self.marks.insert(id, mark);
    }

    /// A task is seen that a job has made, so it is there to stay. Whether it is given up if it does not
    /// start in time, and whether its job may have it stopped.
    pub fn meets(&mut self, task: TaskId, expires: bool, may_stop: bool) {
        let log = self.tasks.entry(mark_by_id(task)).or_insert_with(|| TaskLog {
            ids: vec![task],
            acknowledged: Some(task),
            first_try: Some(true_time(task.made_at())),
            ..TaskLog::default()
        });
        log.expires |= expires;
        log.cancel_asked |= may_stop;
    }

    /// Somebody is going to ask for `task` to be begun anew as `id`.
    pub fn begins_anew(&mut self, task: TaskId, id: TaskId) {
        let Some(old) = self.log_of(task) else {
            return;
        };
        let log = TaskLog {
            ids: vec![id],
            group: old.group,
            expires: old.expires,
            drops: old.drops,
            limit_key: old.limit_key.clone(),
            label: old.label,
            ..TaskLog::default()
        };
        self.tasks.insert(mark_by_id(id), log);
    }

    /// A run ended.
    pub fn ended_run(&mut self, task: TaskId, token: Token, now: u64, outcome: &Outcome) {
        let starts = self.log_mut(task).into_iter().flat_map(|log| &mut log.starts);
        for start in starts.filter(|start| (start.task, start.token) == (task, token)) {
            start.end = Some((now, outcome.clone()));
        }
    }

    /// The mark of the task that was submitted under `id`.
    #[must_use]
    pub fn mark_of(&self, id: TaskId) -> Option<u64> {
        if is_known_by_id(id) {
            return Some(mark_by_id(id));
        }
        self.marks.get(&id).copied()
    }

    /// What was seen of the task that was submitted under `id`.
    #[must_use]
    pub fn log_of(&self, id: TaskId) -> Option<&TaskLog> {
        self.tasks.get(&self.mark_of(id)?)
    }

    /// As [`log_of`](Self::log_of), to be added to.
    pub fn log_mut(&mut self, id: TaskId) -> Option<&mut TaskLog> {
        let mark = self.mark_of(id)?;
        self.tasks.get_mut(&mark)
    }

    /// A copy counts so many lost runs of `task`.
    pub fn counts(&mut self, task: TaskId, crashes: u16) {
        if let Some(log) = self.log_mut(task) {
            log.crashes = log.crashes.max(crashes);
        }
    }

    /// Whether `lessee` was lost, or taken to be, between the two times.
    #[must_use]
    pub fn was_lost(&self, lessee: Lessee, from: u64, to: u64) -> bool {
        let key = (lessee.node, lessee.incarnation);
        // One that has left in good order is down from then on, and that excuses nothing.
        let to = self.left.get(&key).map_or(to, |left| to.min(left.saturating_sub(1)));
        // Who has not heard of this start goes by what became of the one before.
        let declared = self.down.iter().any(|(_, node, incarnation, since, until)| {
            *node == lessee.node
                && *incarnation <= lessee.incarnation
                && *since <= to
                && *until >= from
        });
        let fell = self.fallen.get(&lessee).is_some_and(|at| *at <= to);
        declared || fell || self.ended.get(&key).is_some_and(|at| *at <= to)
    }
}
