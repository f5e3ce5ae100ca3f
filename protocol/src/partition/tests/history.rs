//! Generated logs: what owners might write, right and wrong, of few tasks and few executors.
//!
//! Entries are generated as wishes whose numbers choose among what is there when they are written
//! down, so that most of a log has an effect, and shrinking one leaves a log that makes sense.

mod scribe;

use proptest::collection::vec;
use proptest::prelude::*;

use self::scribe::Scribe;
use super::super::{JobChange, Nodes, Precondition};
use super::*;
use crate::id::TaskGroupId;
use crate::job::{Alert, Job, JobName, Overlap, Schedule, Source};
use crate::limits::DELAY_MAX;
use crate::task::TaskGroup;

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
    ForgetTimed {
        tasks: u32,
        is_late: bool,
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
        1 => (0..3_u32, any::<bool>())
            .prop_map(|(tasks, is_late)| Deed::ForgetTimed { tasks, is_late }),
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

const KINDS: u8 = 18;

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
        16 => with(Options {
            retention: Some(ms(4_000)),
            ignore_result: Some(true),
            ..tried(2).options
        }),
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
        group: matches!(kind, 3 | 9)
            .then(|| TaskGroup { id: TaskGroupId::new(START, kind.into()), size: 7 }),
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
