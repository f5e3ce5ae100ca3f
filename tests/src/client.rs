//! Clients: they submit, ask, wait and cancel at random nodes, and try again until they are told.

mod answers;
mod steering;

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

use umbel_protocol::id::{PartitionId, TaskGroupId, TaskId};
use umbel_protocol::job::Target;
use umbel_protocol::journal::Seen;
use umbel_protocol::scheduler::{Caller, Event};
use umbel_protocol::task::{Batch, Filter, Metadata, Particulars, Row, TaskGroup, Template};
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Ask, Request};

pub use self::steering::Steer;
use crate::host::{Local, true_time, true_wall};
use crate::invariants::linearizable_tasks::Told;
use crate::invariants::{jobs_are_kept, said_as_it_was};
use crate::ledger::may_be_given_up;
use crate::plan::{MS, SECOND, Work};
use crate::work::{Manner, Script, draw_template, id_of_new};
use crate::world::{What, World};

/// So far ahead a clock is that is refused: more than a minute, however long a client tries.
const TOO_FAR_AHEAD: u64 = 600 * SECOND;

/// So many groups there are in a world.
const GROUPS: u64 = 3;

/// All clients together.
#[derive(Debug, Default)]
pub struct Clients {
    ops: Vec<Op>,
    marks: u64,
    /// When each attempt of each operation was made.
    calls: BTreeMap<(u64, u64), u64>,
    /// Which host was asked, and until when its answer was waited for.
    asked: VecDeque<(usize, u64)>,
}

#[derive(Debug)]
struct Op {
    kind: Kind,
    attempt: u64,
    /// When that was.
    tried_at: u64,
    /// Whether a submission was acknowledged.
    acknowledged: bool,
    done: bool,
}

#[derive(Clone, Debug)]
enum Kind {
    Cancel(TaskId),
    /// Count a group.
    Count(TaskGroupId),
    /// Something about jobs.
    Job(Box<Ask>),
    List,
    Show(TaskId),
    Steer(Steer),
    Submit(Submission),
    Wait(TaskId),
    /// Hear all that it says, until its end.
    Watch(TaskId, Option<Seen>),
}

/// Tasks that a client submits.
#[derive(Clone, Debug)]
struct Submission {
    batch: Arc<Batch>,
    marks: Vec<u64>,
    wait: bool,
    sort: Sort,
}

/// What is special about a submission.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Sort {
    /// It is new.
    New,
    /// It was acknowledged long ago, and its client does not know.
    Again,
    /// Its ids are those of other tasks.
    Impostor,
    /// Its client's clock is far ahead.
    Early,
}

impl Kind {
    /// For people.
    fn brief(&self) -> String {
        match self {
            Self::Cancel(task) => format!("cancel {task}"),
            Self::Count(group) => format!("count {group}"),
            Self::Job(ask) => format!("{ask:?}"),
            Self::List => "list".to_owned(),
            Self::Show(task) => format!("show {task}"),
            Self::Steer(steer) => format!("{steer:?}"),
            Self::Submit(submission) => {
                let Submission { batch, marks, wait, sort } = submission;
                let first = batch.rows.first().map(|row| row.id.to_string()).unwrap_or_default();
                format!("submit {sort:?} {marks:?}, {first} and so on; wait: {wait}")
            }
            Self::Wait(task) => format!("wait for {task}"),
            Self::Watch(task, _) => format!("watch {task}"),
        }
    }
}

impl Clients {
    /// How many requests `host` was asked whose callers waited for an answer at `time`.
    #[must_use]
    pub fn asked_of(&self, host: usize, time: u64) -> usize {
        self.asked.iter().filter(|(of, until)| *of == host && *until >= time).count()
    }

    /// What is not answered yet, if anything.
    #[must_use]
    pub fn open(&self) -> Option<String> {
        let open = self.ops.iter().enumerate().find(|(_, op)| !op.done);
        open.map(|(place, op)| {
            let what = match &op.kind {
                Kind::Submit(Submission { marks, wait, sort, .. }) => {
                    format!("{sort:?} #{marks:?} (wait: {wait}, {})", op.acknowledged)
                }
                Kind::Cancel(_)
                | Kind::Count(_)
                | Kind::Job(_)
                | Kind::List
                | Kind::Show(_)
                | Kind::Steer(_)
                | Kind::Wait(_)
                | Kind::Watch(..) => format!("{:?}", op.kind),
            };
            format!("operation {place} is open after {} tries: {what}", op.attempt)
        })
    }
}

/// The `number`th of the groups in a world.
fn group(number: u64) -> TaskGroup {
    TaskGroup { id: TaskGroupId::new(true_wall(0), number), size: 0 }
}

/// What is said of the task `mark` besides how it is treated.
fn labelled(mark: u64) -> Metadata {
    let mut said = Metadata::default();
    said.labels.insert(said_as_it_was::LABEL, &mark.to_string()).expect("it is a label");
    said
}

impl World {
    /// Spreads the workload over the storm and a little after.
    pub fn plan_work(&mut self) {
        let (from, until) = (self.now + SECOND, self.now + self.plan.storm + 2 * SECOND);
        self.submit_within(from, until, self.plan.submissions);
    }

    /// Spreads `submissions` over a time.
    pub fn submit_within(&mut self, from: u64, until: u64, submissions: u64) {
        for _ in 0..submissions {
            let at = self.between(from, until);
            let rows = self.between(1, u64::from(self.plan.batch_max));
            let partition = self.between(0, u64::from(self.plan.partitions) - 1);
            let is_hot = self.plan.work == Work::Hot && self.flip(0.8);
            self.saw_if("hot queue", is_hot);
            let partition = if is_hot { 0 } else { partition };
            let partition = PartitionId(u16::try_from(partition).expect("few partitions"));
            // What members of an older version do not know is not for the whole of a world.
            let is_grouped = self.flip(if self.plan.older > 0 { 0.1 } else { 0.3 });
            let group = is_grouped.then(|| group(self.between(0, GROUPS - 1)));
            let sort = if self.flip(0.03) { Sort::Early } else { Sort::New };
            let ahead = if sort == Sort::Early { TOO_FAR_AHEAD } else { 0 };
            let (wall, work) = (true_wall(at + ahead), self.plan.work);
            let mut templates: Vec<_> =
                (0..self.between(1, 2)).map(|_| draw_template(wall, work, &mut self.rng)).collect();
            let target = self.target_of_limited(&mut templates);
            let mut batch = Batch { templates, rows: Vec::new() };
            let mut marks = Vec::new();
            for _ in 0..rows {
                self.clients.marks += 1;
                let script = Script::draw(self.clients.marks, work, &mut self.rng);
                let id = id_of_new(wall, partition, self.random());
                let last = batch.templates.len() as u64 - 1;
                let template = u16::try_from(self.between(0, last)).expect("few templates");
                self.ledger.submits(script.mark, id);
                let options = &batch.templates[usize::from(template)].options;
                let is_timed = options.delay.is_zero() && self.flip(0.05);
                let at = is_timed.then(|| wall + Span::from_millis(self.between(0, 8_000)));
                // Nobody may ask for what is given up before it may start.
                let end = options.expires_at;
                let at = at.filter(|at| end.is_none_or(|end| *at < end));
                let fairness_key =
                    self.flip(0.1).then(|| format!("tenant {}", self.between(0, 2)).into());
                let name = &batch.templates[usize::from(template)].name;
                let is_unique = options.unique_scope.is_some();
                let is_exclusive = options.is_exclusive();
                let key = is_unique.then(|| self.unique_key_in(name, partition));
                let is_limited = options.is_limited();
                let limit_key = is_limited.then(|| self.limit_key_in(partition));
                let log = self.ledger.tasks.entry(script.mark).or_default();
                // One with a key may be replaced while it waits.
                log.expires = may_be_given_up(options) || is_unique;
                log.not_before = at.map(true_time);
                log.limit_key = limit_key.clone().map(|key| (key, is_exclusive));
                log.drops = script.manner == Manner::Drops || is_unique;
                log.group = group.map(|group| group.id);
                let metadata = None;
                let mut particulars = Particulars {
                    group,
                    not_before: at,
                    unique_key: key,
                    fairness_key,
                    limit_key,
                    target: target.clone().filter(|_| is_limited).unwrap_or_default(),
                    metadata,
                    ..Particulars::NONE
                };
                // Of what is plain nothing is said: all versions of the protocol are to understand it.
                log.label = (particulars != Particulars::NONE).then_some(script.mark);
                if log.label.is_some() {
                    particulars = particulars.with_metadata(labelled(script.mark));
                }
                let particulars = particulars.boxed();
                batch.rows.push(Row { particulars, ..Row::new(id, template, script.to_args()) });
                marks.push(script.mark);
            }
            let wait = self.flip(0.3);
            let batch = Arc::new(batch);
            self.begin(at, Kind::Submit(Submission { batch, marks, wait, sort }));
        }
    }

    /// The host that alone may run those of a batch that have a limit key, in some batches. It may be gone for good:
    /// they are given up some time.
    fn target_of_limited(&mut self, templates: &mut [Template]) -> Option<Target> {
        if !self.flip(0.3) {
            return None;
        }
        let host = self.between(0, self.hosts.len() as u64 - 1);
        let host = usize::try_from(host).expect("few hosts");
        for options in templates.iter_mut().map(|template| &mut template.options) {
            if options.is_limited() {
                options.deadline = Some(Span::from_millis(self.between(5_000, 20_000)));
            }
        }
        Some(Target::Node(self.hosts[host].node))
    }

    /// One of two unique keys whose tasks live in `partition`.
    fn unique_key_in(&mut self, name: &str, partition: PartitionId) -> Box<str> {
        self.key_in(partition, name, |key| Particulars {
            unique_key: Some(key.into()),
            ..Particulars::NONE
        })
    }

    /// The same with limit keys.
    fn limit_key_in(&mut self, partition: PartitionId) -> Box<str> {
        self.key_in(partition, "", |key| Particulars {
            limit_key: Some(key.into()),
            ..Particulars::NONE
        })
    }

    fn key_in(
        &mut self,
        partition: PartitionId,
        name: &str,
        with: impl Fn(&str) -> Particulars,
    ) -> Box<str> {
        let partitions = self.plan.partitions;
        let lives_there = |key: &String| with(key).partition(name, partitions) == Some(partition);
        let which = usize::from(self.flip(0.3));
        let mut keys = (0..).map(|n: u32| format!("key {n}")).filter(lives_there);
        keys.nth(which).expect("there are keys without end").into()
    }

    /// Somebody wants something of jobs, or says something of queues, at `at`.
    pub(crate) fn begin_job(&mut self, at: u64, ask: Ask) {
        self.begin(at, Kind::Job(Box::new(ask)));
    }

    /// Somebody wants a task of a job to be stopped, or to see it.
    pub(crate) fn begin_with_task(&mut self, at: u64, task: TaskId, stop: bool) {
        // What no copy was seen to hold when all were looked at may have ended in any way meanwhile.
        let is_known = self.ledger.log_of(task).is_some();
        let may_stop = self.jobs.may_stop(task, self.now);
        self.ledger.meets(task, !is_known, may_stop);
        self.begin(at, if stop { Kind::Cancel(task) } else { Kind::Show(task) });
    }

    fn begin(&mut self, at: u64, kind: Kind) {
        let op = self.clients.ops.len() as u64;
        self.clients.ops.push(Op {
            kind,
            attempt: 0,
            tried_at: 0,
            acknowledged: false,
            done: false,
        });
        self.push(at, What::Try(op));
    }

    /// Whether something else was said since of the queue that it is about: nobody says it again then.
    fn is_outdone(&mut self, op: u64) -> bool {
        let subject_of = |op: &Op| match &op.kind {
            Kind::Job(ask) => match &**ask {
                Ask::ChangeRule { subject, .. } => Some(subject.clone()),
                _ => None,
            },
            _ => None,
        };
        let subject = subject_of(self.op(op));
        let later = self.clients.ops.iter().skip(usize::try_from(op).expect("it was counted") + 1);
        let mut later = later.filter(|other| other.attempt > 0);
        subject.is_some() && later.any(|other| subject_of(other) == subject)
    }

    fn op(&mut self, op: u64) -> &mut Op {
        &mut self.clients.ops[usize::try_from(op).expect("it was counted")]
    }

    /// A client asks some node.
    pub fn try_op(&mut self, op: u64) {
        if self.op(op).acknowledged {
            // The answer came late, to an attempt that was given up: nobody waits for the end.
            self.op(op).done = true;
        }
        self.op(op).done |= self.is_outdone(op);
        if self.op(op).done {
            return;
        }
        self.op(op).attempt += 1;
        self.op(op).tried_at = self.now;
        let attempt = self.op(op).attempt;
        if self.renames_retries() && attempt > 1 {
            self.rename(op);
        }
        let host = usize::try_from(self.random() % self.hosts.len() as u64).expect("few hosts");
        if self.hosts[host].process.is_none() {
            return self.try_later(op);
        }
        let ask = match self.op(op).kind.clone() {
            Kind::Cancel(task) => {
                if let Some(log) = self.ledger.log_mut(task) {
                    log.cancel_asked = true;
                }
                Ask::Cancel { task }
            }
            Kind::Count(group) => Ask::TaskGroup { group },
            Kind::Job(ask) => *ask,
            Kind::List => Ask::List(Filter::default()),
            Kind::Show(task) => Ask::Show { task },
            Kind::Steer(steer) => {
                self.steers(steer, attempt > 1);
                steer.ask()
            }
            Kind::Submit(Submission { batch, marks, wait, .. }) => {
                for mark in marks {
                    let log = self.ledger.tasks.entry(mark).or_default();
                    log.first_try.get_or_insert(self.now);
                    log.repeated |= attempt > 1;
                }
                Ask::Submit { batch, wait }
            }
            Kind::Wait(task) => Ask::Wait { task },
            Kind::Watch(task, seen) => Ask::Watch { task, seen },
        };
        self.rule_is_asked(&ask);
        let deadline = self.between(SECOND, 6 * SECOND);
        let what = self.op(op).kind.brief();
        self.trace(|| format!("operation {op}.{attempt} asks host {host} to {what}"));
        self.note_call(op, attempt);
        let until = self.now.max(self.hosts[host].paused_until) + deadline;
        self.clients.asked.push_back((host, until));
        while self.clients.asked.front().is_some_and(|(_, until)| until + 60 * SECOND < self.now) {
            self.clients.asked.pop_front();
        }
        let caller = Caller { session: op, request: attempt };
        let request = Request { deadline: Span::from_micros(deadline), ask };
        self.local(host, Local::Scheduler(Event::Asked { caller, request }));
        // Long enough for a process that stands still, not for one that is gone.
        self.push(self.now + deadline + 2 * SECOND, What::Timeout(op, attempt));
    }

    /// Notes what may come of an attempt, whether it is answered or not.
    fn note_call(&mut self, op: u64, attempt: u64) {
        self.clients.calls.insert((op, attempt), self.now);
        let (tasks, told) = match &self.op(op).kind {
            Kind::Cancel(task) => (vec![*task], Told::LostCancel),
            Kind::Steer(steer) => match steer.lost() {
                Some((task, told)) => (vec![task], told),
                None => return,
            },
            Kind::Submit(Submission { batch, sort, .. }) if *sort != Sort::Impostor => {
                (batch.rows.iter().map(|row| row.id).collect(), Told::In)
            }
            Kind::Job(ask) => {
                if let Ask::ChangeJob { job, change } = &**ask {
                    let (job, change) = (job.clone(), change.clone());
                    jobs_are_kept::said(self, op, &job, &change);
                }
                return;
            }
            Kind::Count(_)
            | Kind::List
            | Kind::Show(_)
            | Kind::Submit(_)
            | Kind::Wait(_)
            | Kind::Watch(..) => {
                return;
            }
        };
        self.watch.histories.asks((op, attempt), self.now, tasks, told);
    }

    fn try_later(&mut self, op: u64) {
        let at = self.now + self.between(50 * MS, SECOND);
        self.push(at, What::Try(op));
    }

    /// The submission is tried again as if it were another one.
    fn rename(&mut self, op: u64) {
        let random = self.random();
        let Kind::Submit(Submission { batch, marks, .. }) = &mut self.op(op).kind else {
            return;
        };
        let mut renamed = (**batch).clone();
        for (place, row) in renamed.rows.iter_mut().enumerate() {
            let random = random ^ ((place as u64) << 1);
            row.id = id_of_new(row.id.made_at(), row.id.partition(), random);
        }
        let marks = marks.clone();
        *batch = Arc::new(renamed.clone());
        for (mark, row) in marks.iter().zip(&renamed.rows) {
            self.ledger.submits(*mark, row.id);
        }
    }

    /// Nobody has answered in time: the connection or the node is gone.
    pub fn timed_out(&mut self, op: u64, attempt: u64) {
        let one = self.op(op);
        if one.done || one.attempt != attempt {
            return;
        }
        if one.acknowledged {
            // It only waited for the end.
            one.done = true;
            return;
        }
        self.try_later(op);
    }
}
