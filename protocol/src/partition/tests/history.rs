//! Generated logs: what owners might write, right and wrong, of few tasks and few executors.
//!
//! Entries are generated as wishes whose numbers choose among what is there when they are written
//! down, so that most of a log has an effect, and shrinking one leaves a log that makes sense.

use proptest::collection::vec;
use proptest::prelude::*;

use super::super::{AlertTask, Fire, Grant, JobChange, Nodes, Precondition, RunNow};
use super::*;
use crate::job::{Alert, Job, JobName, Overlap, Schedule, Source};
use crate::limits::DELAY_MAX;

/// One committed entry.
#[derive(Clone, Debug)]
pub(super) struct Entry {
    pub(super) index: u64,
    pub(super) term: u64,
    pub(super) proposal: Proposal,
}

/// Whole logs.
pub(super) fn logs() -> impl Strategy<Value = Vec<Entry>> {
    vec(wish(), 1..120).prop_map(|wishes| {
        let mut scribe = Scribe::default();
        wishes.iter().map(|wish| scribe.write(wish)).collect()
    })
}

/// What goes into one entry.
#[derive(Clone, Debug)]
struct Wish {
    clock: Clock,
    author: Author,
    deeds: Vec<Deed>,
}

#[derive(Clone, Debug)]
enum Clock {
    Forward(u64),
    Back(u64),
}

/// Who proposed an entry, and when it got into the log.
#[derive(Clone, Copy, Debug)]
enum Author {
    /// The owner.
    Owner,
    /// One that has just become the owner.
    Successor,
    /// One that was the owner in an earlier term.
    Predecessor,
    /// One that lost its partition before the entry was in the log.
    Deposed,
}

#[derive(Clone, Debug)]
enum Deed {
    Accept {
        rows: Vec<Id>,
        slots: Vec<(u8, u32)>,
    },
    Lease {
        lessee: u8,
        tasks: Vec<u8>,
    },
    Report {
        runs: Vec<(Which, Outcome)>,
        by_stranger: bool,
    },
    Release {
        runs: Vec<Which>,
    },
    Lose {
        lessee: u8,
        loss: Loss,
    },
    Pardon {
        lessee: u8,
    },
    Cancel {
        task: u8,
    },
    Expire {
        tasks: Vec<u8>,
    },
    Forget {
        finished: Shelves<u32>,
        floor: Floor,
    },
    Job {
        job: u8,
        said: Said,
    },
    Fire {
        job: u8,
        fire: Firing,
    },
    RunNow {
        job: u8,
        again: bool,
    },
    Alert {
        job: u8,
        is_right: bool,
    },
    Unreported {
        job: u8,
    },
    /// Under the id of the task that came last if it is done again.
    Retry {
        task: u8,
        again: bool,
    },
    Delete {
        task: u8,
    },
}

#[derive(Clone, Copy, Debug)]
enum Said {
    Define { kind: u8, is_new: Option<bool>, by_file: Option<u8> },
    Remove { by_file: Option<u8> },
    Enable(bool),
}

/// What an owner decides about a job: how many ticks are missed and fired, a second apart.
#[derive(Clone, Copy, Debug)]
struct Firing {
    missed: u8,
    fired: u8,
    /// Whether it has seen the job as it is.
    is_right: bool,
    each: bool,
}

#[derive(Clone, Copy, Debug)]
enum Id {
    New { kind: u8 },
    Again(u8),
    AsAnother(u8),
    Ahead,
    BelowFloor,
    OfAnotherPartition,
    TooFar,
}

#[derive(Clone, Copy, Debug)]
enum Which {
    Present(u8),
    AnyEver(u8),
    Invented(u8),
}

#[derive(Clone, Copy, Debug)]
enum Floor {
    Stays,
    Behind(u64),
    Crowded(u8),
}

fn wish() -> impl Strategy<Value = Wish> {
    let clock = prop_oneof![
        6 => (0..3_000_u64).prop_map(Clock::Forward),
        3 => (3_000..60_000_u64).prop_map(Clock::Forward),
        1 => (590_000..610_000_u64).prop_map(Clock::Forward),
        1 => (1..100_000_u64).prop_map(Clock::Back),
    ];
    let author = prop_oneof![
        20 => Just(Author::Owner),
        1 => Just(Author::Successor),
        1 => Just(Author::Predecessor),
        1 => Just(Author::Deposed),
    ];
    (clock, author, vec(deed(), 0..4)).prop_map(|(clock, author, deeds)| Wish {
        clock,
        author,
        deeds,
    })
}

fn deed() -> impl Strategy<Value = Deed> {
    let tasks = || vec(any::<u8>(), 1..6);
    let loss = prop_oneof![2 => Just(Loss::Unheard), 1 => Just(Loss::Restarted)];
    let floor = prop_oneof![
        2 => Just(Floor::Stays),
        1 => (0..900_000_u64).prop_map(Floor::Behind),
        1 => (0..4_u8).prop_map(Floor::Crowded),
    ];
    prop_oneof![
        4 => (vec(id(), 1..4), vec((any::<u8>(), 1..3_u32), 0..2))
            .prop_map(|(rows, slots)| Deed::Accept { rows, slots }),
        8 => (any::<u8>(), tasks()).prop_map(|(lessee, tasks)| Deed::Lease { lessee, tasks }),
        5 => (vec((which(), outcome()), 1..4), any::<u8>())
            .prop_map(|(runs, by)| Deed::Report { runs, by_stranger: by < 25 }),
        1 => vec(which(), 1..3).prop_map(|runs| Deed::Release { runs }),
        6 => (any::<u8>(), loss).prop_map(|(lessee, loss)| Deed::Lose { lessee, loss }),
        1 => any::<u8>().prop_map(|lessee| Deed::Pardon { lessee }),
        1 => any::<u8>().prop_map(|task| Deed::Cancel { task }),
        1 => tasks().prop_map(|tasks| Deed::Expire { tasks }),
        1 => ((0..4_u32, 0..4_u32, 0..4_u32), floor).prop_map(|((succeeded, stopped, dead), floor)| {
            Deed::Forget { finished: Shelves { succeeded, stopped, dead }, floor }
        }),
        3 => (any::<u8>(), said()).prop_map(|(job, said)| Deed::Job { job, said }),
        6 => (any::<u8>(), firing()).prop_map(|(job, fire)| Deed::Fire { job, fire }),
        1 => (any::<u8>(), any::<bool>()).prop_map(|(job, again)| Deed::RunNow { job, again }),
        2 => (any::<u8>(), 0..4_u8)
            .prop_map(|(job, right)| Deed::Alert { job, is_right: right > 0 }),
        1 => any::<u8>().prop_map(|job| Deed::Unreported { job }),
        2 => (any::<u8>(), 0..9_u8)
            .prop_map(|(task, again)| Deed::Retry { task, again: again == 0 }),
        1 => any::<u8>().prop_map(|task| Deed::Delete { task }),
    ]
}

fn said() -> impl Strategy<Value = Said> {
    let by_file = || proptest::option::weighted(0.3, 0..3_u8);
    prop_oneof![
        6 => (0..KINDS, proptest::option::of(any::<bool>()), by_file())
            .prop_map(|(kind, is_new, by_file)| Said::Define { kind, is_new, by_file }),
        1 => by_file().prop_map(|by_file| Said::Remove { by_file }),
        1 => any::<bool>().prop_map(Said::Enable),
    ]
}

fn firing() -> impl Strategy<Value = Firing> {
    (0..3_u8, 0..4_u8, 0..8_u8, any::<bool>()).prop_map(|(missed, fired, right, each)| Firing {
        missed,
        fired,
        is_right: right > 0,
        each,
    })
}

fn id() -> impl Strategy<Value = Id> {
    prop_oneof![
        12 => (0..KINDS).prop_map(|kind| Id::New { kind }),
        6 => any::<u8>().prop_map(Id::Again),
        2 => any::<u8>().prop_map(Id::AsAnother),
        1 => Just(Id::Ahead),
        1 => Just(Id::BelowFloor),
        1 => Just(Id::OfAnotherPartition),
        1 => Just(Id::TooFar),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    prop_oneof![
        6 => any::<u8>().prop_map(Which::Present),
        2 => any::<u8>().prop_map(Which::AnyEver),
        1 => any::<u8>().prop_map(Which::Invented),
    ]
}

fn outcome() -> impl Strategy<Value = Outcome> {
    prop_oneof![
        3 => (0..40_usize).prop_map(|len| Outcome::Succeeded(Bytes::from(vec![b'0'; len]))),
        4 => (0..40_usize).prop_map(|len| {
            let detail = Bytes::from(vec![b'1'; len]);
            Outcome::Failed(failure(FailureKind::Error).with_detail(detail))
        }),
        1 => Just(failed(FailureKind::Permanent)),
        2 => Just(Outcome::Cancelled),
        1 => (0..9_000_u64).prop_map(|millis| {
            Outcome::Deferred { failure: failure(FailureKind::Error), pause: ms(millis) }
        }),
        1 => Just(Outcome::Dropped(failure(FailureKind::Dropped))),
        1 => (0..9_000_u64).prop_map(|millis| Outcome::Snoozed { pause: ms(millis) }),
    ]
}

const KINDS: u8 = 17;

/// The specification of kind `kind` of a task made at `made_at`.
fn template(kind: u8, made_at: Wall) -> Template {
    match kind % KINDS {
        0 => plain(),
        1 => delayed(ms(20_000)),
        2 => tried(1),
        3 => with(Options {
            attempts_max: Some(4),
            backoff_first: Some(ms(500)),
            backoff_max: Some(ms(1_500)),
            ..Options::default()
        }),
        4 => expiring(made_at + ms(40_000)),
        5 => with(Options { at_most_once: Some(true), ..Options::default() }),
        6 => with(Options { deadline: Some(ms(25_000)), ..tried(5).options }),
        7 => with(Options { expires: Some(ms(30_000)), ..Options::default() }),
        8 => with(Options { backoff_list: Some(vec![ms(0), ms(3_000)]), ..Options::default() }),
        9 => with(Options {
            crashes_max: Some(2),
            redact: Some(vec!["password".into()]),
            ..tried(4).options
        }),
        10 => unique(UniqueScope::UntilFinished, UniquePolicy::Existing),
        11 => unique(UniqueScope::UntilStarted, UniquePolicy::Refuse),
        12 => unique(UniqueScope::For(ms(30_000)), UniquePolicy::Replace),
        13 => with(Options { concurrency: Some(2), ..tried(4).options }),
        14 => with(Options { rate: "1/3s".parse().ok(), ..tried(4).options }),
        15 => with(Options { exclusive: Some(true), ..tried(4).options }),
        _ => Template { queue: "mail".to_owned(), ..tried(9) },
    }
}

fn unique(scope: UniqueScope, policy: UniquePolicy) -> Template {
    let (unique_scope, unique_policy) = (Some(scope), Some(policy));
    with(Options { unique_scope, unique_policy, ..tried(2).options })
}

/// What is said of task `task` of kind `kind` alone.
fn particulars(kind: u8, task: TaskId) -> Particulars {
    let kind = kind % KINDS;
    let key = if task.bits().is_multiple_of(3) { "rare" } else { "often" };
    Particulars {
        not_before: (kind == 7).then(|| task.made_at() + ms(9_000)),
        unique_key: (10..13).contains(&kind).then(|| key.into()),
        fairness_key: (kind == 8).then(|| key.into()),
        limit_key: (13..16).contains(&kind).then(|| key.into()),
        metadata: (kind == 9).then(|| Arc::new(metadata(key))),
        fairness_weight: (kind == 8).then_some(3),
        ..Particulars::NONE
    }
}

/// What is said of a task besides how it is treated.
fn metadata(word: &str) -> Metadata {
    let mut said = Metadata { display_name: Some(word.into()), ..Metadata::default() };
    said.labels.insert("word", word).expect("it is a label");
    said.headers.insert("word", word).expect("it is a header");
    said
}

/// One of two.
fn job_name(number: u8) -> JobName {
    format!("job-{}", number % 2).parse().expect("it is a name")
}

fn nodes(each: bool) -> Nodes {
    if each {
        Nodes::Each { present: vec![NodeId(1), NodeId(2)], absent: vec![NodeId(3)] }
    } else {
        Nodes::Any
    }
}

/// What is said of a job that has this revision.
fn change_of(said: Said, revision: u64) -> JobChange {
    let source = |by_file: Option<u8>| match by_file {
        Some(number) => Source::File { number: number.into() },
        None => Source::Live,
    };
    match said {
        Said::Define { kind, is_new, by_file } => {
            let mut job = Job::new(Schedule::Every(ms(1_000)), plain());
            job.overlap =
                [Overlap::Allow, Overlap::Forbid, Overlap::Replace][usize::from(kind % 3)];
            job.expires = (kind % 2 == 0).then_some(ms(30_000));
            job.metadata = (kind % 3 == 1).then(|| Arc::new(metadata("job")));
            job.report_within = (kind % 2 == 1).then_some(ms(20_000));
            job.alert = (kind > 1).then(|| Alert {
                template: plain(),
                on_failure: true,
                on_recovery: true,
                on_missed: true,
            });
            let precondition = match is_new {
                None => Precondition::Any,
                Some(true) => Precondition::Absent,
                Some(false) => Precondition::Revision(revision),
            };
            JobChange::Define { job: Box::new(job), source: source(by_file), precondition }
        }
        Said::Remove { by_file } => JobChange::Remove { source: source(by_file) },
        Said::Enable(enabled) => JobChange::Enable { enabled },
    }
}

/// Three starts of executors on two nodes.
fn lessee(number: u8) -> Lessee {
    let restarted = Lessee { incarnation: Incarnation(2), ..executor(1) };
    [executor(1), executor(2), restarted][usize::from(number % 3)]
}

/// Writes wishes down as they can be meant at that place of the log.
struct Scribe {
    /// A replica that has applied all that is written.
    owner: Owner,
    /// All tasks that were ever handed in, with their kinds.
    tasks: Vec<(TaskId, u8)>,
    /// All runs that were ever granted.
    runs: Vec<(TaskId, Token, Lessee)>,
    /// When a job was last asked to run.
    asked_at: Wall,
}

impl Default for Scribe {
    fn default() -> Self {
        Self { owner: Owner::new(), tasks: Vec::new(), runs: Vec::new(), asked_at: START }
    }
}

impl Scribe {
    fn write(&mut self, wish: &Wish) -> Entry {
        let owner = &mut self.owner;
        owner.clock = match wish.clock {
            Clock::Forward(millis) => owner.clock + ms(millis),
            Clock::Back(millis) => owner.clock - ms(millis),
        };
        owner.index += 1;
        let written = match wish.author {
            Author::Owner => owner.term,
            Author::Successor => owner.term + 1,
            Author::Predecessor => owner.term - 1,
            Author::Deposed => owner.term,
        };
        owner.term += u64::from(matches!(wish.author, Author::Successor | Author::Deposed));
        let commands = wish.deeds.iter().map(|deed| self.command(deed)).collect();
        let proposal = Proposal::new(written, self.owner.clock, commands);
        let Owner { index, term, .. } = self.owner;
        let mut changes = Vec::new();
        self.owner.partition.apply(index, term, proposal.clone(), &mut changes);
        // So that tasks of jobs are leased, cancelled and forgotten like others.
        let made = changes.iter().filter_map(|change| match change {
            Change::Ready { task } if task.is_derived() => Some((*task, 0)),
            _ => None,
        });
        self.tasks.extend(made);
        self.runs.extend(changes.iter().filter_map(|change| match change {
            Change::Leased { task, token, lessee } => Some((*task, *token, *lessee)),
            _ => None,
        }));
        Entry { index, term, proposal }
    }

    fn revision_of(&self, job: &JobName) -> u64 {
        self.owner.partition.job(job).map_or(0, |state| state.revision)
    }

    fn command(&mut self, deed: &Deed) -> Command {
        match deed {
            Deed::Accept { rows, slots } => {
                let rows: Vec<_> = rows.iter().map(|id| self.row(*id)).collect();
                let said: Vec<_> = rows.iter().map(|(id, template, _)| (*id, template)).collect();
                let mut batch = batch(&said);
                for (row, (_, _, particulars)) in batch.rows.iter_mut().zip(rows) {
                    row.particulars = particulars.boxed();
                }
                let slots =
                    slots.iter().map(|(by, rows)| Grant { lessee: lessee(*by), rows: *rows });
                Command::Accept { batch: Arc::new(batch), grants: slots.collect() }
            }
            Deed::Lease { lessee: by, tasks } => {
                Command::Lease { lessee: lessee(*by), tasks: self.tasks(tasks) }
            }
            Deed::Report { runs, by_stranger } => {
                let mut by = lessee(0);
                let mut reports = Vec::new();
                for (which, outcome) in runs.iter().rev() {
                    let (task, token, ran_on) = self.run(*which);
                    reports.push(Report { task, token, outcome: outcome.clone() });
                    by = ran_on;
                }
                by.executor += u32::from(*by_stranger);
                Command::Report { lessee: by, reports }
            }
            Deed::Release { runs } => {
                let runs = runs.iter().map(|which| self.run(*which));
                Command::Release { runs: runs.map(|(task, token, _)| (task, token)).collect() }
            }
            Deed::Lose { lessee: by, loss } => {
                Command::Lose { lessee: lessee(*by), loss: *loss, hold: CRASH_HOLD }
            }
            Deed::Pardon { lessee: by } => Command::Pardon { lessee: lessee(*by) },
            Deed::Cancel { task } => Command::Cancel { task: self.task(*task).0 },
            Deed::Retry { task, again } => {
                let (task, kind) = self.task(*task);
                if !again {
                    self.tasks.push((self.owner.id(), kind));
                }
                Command::Retry { task, id: self.tasks.last().map_or(task, |(last, _)| *last) }
            }
            Deed::Delete { task } => Command::Delete { task: self.task(*task).0 },
            Deed::Expire { tasks } => Command::Expire { tasks: self.tasks(tasks) },
            Deed::Forget { finished, floor } => {
                let partition = &self.owner.partition;
                let floor = match floor {
                    Floor::Stays => Wall::EPOCH,
                    Floor::Behind(millis) => partition.now() - ms(*millis),
                    Floor::Crowded(stubs) => {
                        partition.stub_floor(usize::from(*stubs)).unwrap_or(Wall::EPOCH)
                    }
                };
                Command::Forget { finished: *finished, floor }
            }
            Deed::Job { job, said } => {
                let job = job_name(*job);
                let change = change_of(*said, self.revision_of(&job));
                Command::ChangeJob { job, change }
            }
            Deed::Fire { job, fire } => self.fire(&job_name(*job), *fire),
            Deed::RunNow { job, again } => {
                if !again {
                    self.asked_at = self.owner.clock;
                }
                let job = job_name(*job);
                Command::RunNow(Box::new(RunNow {
                    revision: self.revision_of(&job),
                    job,
                    at: self.asked_at,
                    template: plain(),
                    nodes: nodes(*again),
                }))
            }
            Deed::Alert { job, is_right } => {
                let job = job_name(*job);
                let told = self.owner.partition.job(&job).map_or(0, |state| state.alert_next);
                let number = told + u64::from(!is_right);
                let args = Bytes::from_static(b"{}");
                let born = self.owner.partition.job(&job).map_or(0, |state| state.born);
                Command::Alert(Box::new(AlertTask { job, born, number, template: plain(), args }))
            }
            Deed::Unreported { job } => {
                let job = job_name(*job);
                let state = self.owner.partition.job(&job);
                let last = state.and_then(|state| state.history.last());
                let tick = last.map_or(START, |last| last.tick);
                Command::NoteUnreported { job, tick }
            }
        }
    }

    fn fire(&self, job: &JobName, fire: Firing) -> Command {
        let state = self.owner.partition.job(job);
        let (after, revision) =
            state.map_or((START, 1), |state| (state.fired_through, state.revision));
        let after = if fire.is_right { after } else { after - ms(1) };
        let mut next = after;
        let mut ticks = |count: u8| -> Vec<Wall> {
            let ticks = (0..count).map(|_| {
                next = next + ms(1_000);
                next
            });
            ticks.collect()
        };
        let (missed, fired) = (ticks(fire.missed), ticks(fire.fired));
        Command::Fire(Box::new(Fire {
            job: job.clone(),
            revision,
            after,
            through: fired.last().or_else(|| missed.last()).copied().unwrap_or(after),
            ticks: fired,
            missed,
            template: tried(1),
            nodes: nodes(fire.each),
        }))
    }

    fn row(&mut self, id: Id) -> (TaskId, Template, Particulars) {
        let (task, kind) = match id {
            Id::New { kind } => {
                self.tasks.push((self.owner.id(), kind));
                *self.tasks.last().unwrap()
            }
            Id::Again(number) => self.task(number),
            Id::AsAnother(number) => {
                let (task, kind) = self.task(number);
                (task, kind + 1)
            }
            Id::Ahead => (TaskId::new(self.owner.clock + ms(900_000), PARTITION, 1), 0),
            Id::BelowFloor => (TaskId::new(self.owner.partition.dedup_floor(), PARTITION, 1), 0),
            Id::OfAnotherPartition => (TaskId::new(self.owner.clock, PartitionId(1), 1), 0),
            Id::TooFar => (self.owner.id(), 0),
        };
        let mut particulars = particulars(kind, task);
        if matches!(id, Id::TooFar) {
            particulars.not_before = Some(task.made_at() + DELAY_MAX + ms(1_000_000));
        }
        (task, template(kind, task.made_at()), particulars)
    }

    /// One of the tasks that were handed in, more likely one of the last.
    fn task(&self, number: u8) -> (TaskId, u8) {
        let recent = if number < 200 { 8 } else { usize::MAX };
        choose(self.tasks.iter().rev().take(recent), number)
            .copied()
            .unwrap_or_else(|| (TaskId::new(START, PARTITION, 0), 0))
    }

    fn tasks(&self, numbers: &[u8]) -> Vec<TaskId> {
        numbers.iter().map(|number| self.task(*number).0).collect()
    }

    fn run(&self, which: Which) -> (TaskId, Token, Lessee) {
        let nothing = Token { term: 0, index: 0, position: 0 };
        match which {
            Which::Present(number) => {
                let records = self.owner.partition.records();
                let leases = records.filter_map(|(id, record)| match record.phase() {
                    Phase::Leased(lease) => Some((id, lease.token, lease.lessee)),
                    _ => None,
                });
                let leases: Vec<_> = leases.collect();
                choose(leases.iter(), number).copied()
            }
            Which::AnyEver(number) => choose(self.runs.iter(), number).copied(),
            Which::Invented(number) => {
                let token = Token { term: self.owner.term, index: self.owner.index, position: 99 };
                Some((self.task(number).0, token, lessee(number)))
            }
        }
        .unwrap_or_else(|| (self.task(0).0, nothing, lessee(0)))
    }
}

fn choose<'a, T>(mut among: impl Iterator<Item = &'a T> + Clone, number: u8) -> Option<&'a T> {
    let count = among.clone().count();
    among.nth(usize::from(number).checked_rem(count)?)
}
