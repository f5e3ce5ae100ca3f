//! What is said and written of jobs.

use std::collections::BTreeMap;

use bytes::Bytes;

use super::samples::{AT, NODE, PARTITION, labels, metadata, template};
use super::{check, check_bytes, check_struct, golden, vectors};
use crate::id::{Lessee, NodeId, TaskId};
use crate::job::{
    Alert, AlertEvent, Declared, InvalidCron, InvalidJob, InvalidLabel, Job, JobCounts, JobLine,
    JobName, JobView, Misfire, On, Overlap, Schedule, Source, Target, TickEnd, UnknownZone,
    Verdict,
};
use crate::meta::FileVerdict;
use crate::partition::{
    AlertTask, Command, Fire, JobChange, JobRefusal, Nodes, Partition, Precondition, Proposal,
    Report, RunNow,
};
use crate::task::{InvalidBatch, Outcome, Template};
use crate::time::Span;

golden! {
    Schedule { At, Cron, Every }
    On { One, Each }
    Misfire { Skip, Once, All }
    Overlap { Allow, Forbid, Replace }
    Source { File, Live }
    Target { Anywhere, Labels, Node }
    Verdict { Fired, Missed, Skipped }
    TickEnd { Cancelled, Failed, Missed, Skipped, Succeeded }
    AlertEvent { Failure, Missed, Recovery, Unreported }
    Nodes { Any, Each }
    JobChange { Define, Remove, Enable }
    Precondition { Absent, Any, Revision }
    JobRefusal { Changed, Exists, NotFound, OfFile, Full, OldFile, Overloaded, Untimely }
    InvalidJob { Args, Cron, Label, Option, Task, Zone }
    InvalidLabel { Text, TooMany, Twice }
}

pub(super) fn name() -> JobName {
    "backup".parse().expect("it is a name")
}

pub(super) fn job() -> Job {
    let said = Template { queue: String::new(), ..Template::new("dump") };
    Job {
        schedule: Schedule::Cron("0 3 * * *".into()),
        timezone: "Europe/Berlin".into(),
        template: said,
        args: Bytes::from_static(b"[1]"),
        expires: Some(Span::from_millis(1)),
        on: On::Each,
        select: labels(),
        misfire: Misfire::All { most: 7 },
        misfire_grace: Span::from_millis(2),
        overlap: Overlap::Replace,
        jitter: Span::from_millis(3),
        start: Some(AT),
        end: Some(AT + Span::from_millis(4)),
        enabled: true,
        max_runs: Some(9),
        report_within: Some(Span::from_millis(5)),
        command: Some("pg_dump --all".into()),
        metadata: Some(metadata()),
        alert: Some(Alert {
            template: Template::new("page"),
            on_failure: true,
            on_recovery: false,
            on_missed: true,
        }),
    }
}

fn define() -> JobChange {
    JobChange::Define {
        job: Box::new(job()),
        source: Source::File { number: 3 },
        precondition: Precondition::Absent,
    }
}

fn nodes() -> Nodes {
    Nodes::Each { present: vec![NODE], absent: vec![NodeId(2)] }
}

/// The commands about jobs, in the order of their variants.
pub(super) fn commands() -> [Command; 5] {
    let fire = Fire {
        job: name(),
        revision: 2,
        after: AT,
        ticks: vec![AT + Span::from_millis(6)],
        missed: vec![AT + Span::from_millis(5)],
        through: AT + Span::from_millis(6),
        template: template(),
        nodes: nodes(),
    };
    let (nodes, at) = (Nodes::Any, AT);
    let run = RunNow { job: name(), revision: 3, at, template: template(), nodes };
    let args = Bytes::from_static(b"{}");
    let alert = AlertTask { job: name(), born: 2, number: 4, template: template(), args };
    [
        Command::ChangeJob { job: name(), change: define() },
        Command::Fire(Box::new(fire)),
        Command::RunNow(Box::new(run)),
        Command::Alert(Box::new(alert)),
        Command::NoteUnreported { job: name(), tick: AT },
    ]
}

/// A job that has fired twice: one run ended badly, one goes on, and one host has missed both.
fn partition() -> Partition {
    let mut partition = Partition::new(PARTITION);
    let since = AT - Span::from_millis(10_000);
    let mut apply = |index, at, command| {
        let proposal = Proposal::new(1, at, vec![command]);
        partition.apply(index, 1, proposal, &mut Vec::new());
        partition.job_tasks().map(|(.., task)| task).next()
    };
    let job = Job { schedule: Schedule::Every(Span::from_millis(5_000)), start: None, ..job() };
    let source = Source::Live;
    let change = JobChange::Define { job: Box::new(job), source, precondition: Precondition::Any };
    apply(5, since, Command::ChangeJob { job: name(), change });
    let mut once = Template::new("dump");
    once.options.attempts_max = Some(1);
    let fire = |after, tick| {
        Command::Fire(Box::new(Fire {
            job: name(),
            revision: 5,
            after,
            ticks: vec![tick],
            missed: Vec::new(),
            through: tick,
            template: once.clone(),
            nodes: nodes(),
        }))
    };
    let (first, second) = (since + Span::from_millis(5_000), AT);
    let task = apply(6, first, fire(since, first)).expect("it was fired");
    let lessee = Lessee { node: NODE, ..super::samples::LESSEE };
    apply(7, first, Command::Lease { lessee, tasks: vec![task] });
    let token = crate::id::Token { term: 1, index: 7, position: 0 };
    let outcome = Outcome::Failed(super::samples::failure());
    let reports = vec![Report { task, token, outcome }];
    apply(8, first, Command::Report { lessee, reports });
    apply(9, second, fire(first, second));
    let args = Bytes::from_static(b"{}");
    let template = Template::new("page");
    let alert = AlertTask { job: name(), born: 5, number: 0, template, args };
    apply(10, second, Command::Alert(Box::new(alert)));
    partition
}

#[test]
fn definitions() {
    check(&[
        Schedule::At(AT),
        Schedule::Cron("@daily".into()),
        Schedule::Every(Span::from_millis(1_000)),
    ]);
    check(&[On::One, On::Each]);
    check(&[Misfire::Skip, Misfire::Once, Misfire::All { most: 3 }]);
    check(&[Overlap::Allow, Overlap::Forbid, Overlap::Replace]);
    check(&[Source::File { number: 300 }, Source::Live]);
    check(&[Target::Anywhere, Target::Labels(labels()), Target::Node(NODE)]);
    check_struct("Job", &job());
    check(&[
        define(),
        JobChange::Remove { source: Source::Live },
        JobChange::Enable { enabled: true },
    ]);
    check(&[Precondition::Absent, Precondition::Any, Precondition::Revision(300)]);
    check(&[Nodes::Any, nodes()]);
}

#[test]
fn refusals() {
    let job = name;
    check(&[
        JobRefusal::Changed { job: job() },
        JobRefusal::Exists { job: job() },
        JobRefusal::NotFound { job: job() },
        JobRefusal::OfFile { job: job() },
        JobRefusal::Full,
        JobRefusal::OldFile { job: job() },
        JobRefusal::Overloaded { job: job() },
        JobRefusal::Untimely { job: job() },
    ]);
    check(&[
        InvalidJob::Args { bytes: 70_000 },
        InvalidJob::Cron(InvalidCron { place: 2..3, why: "no".into() }),
        InvalidJob::Label(InvalidLabel::TooMany),
        InvalidJob::Option { what: "end".into(), range: "later".into() },
        InvalidJob::Task(InvalidBatch::Derived { row: TaskId::derived(AT, PARTITION, 1) }),
        InvalidJob::Zone(UnknownZone {
            name: "Berlin".into(),
            alike: vec!["Europe/Berlin".into()],
        }),
    ]);
    check(&[
        InvalidLabel::Text { text: "a b".into() },
        InvalidLabel::TooMany,
        InvalidLabel::Twice { key: "role".into() },
    ]);
}

#[test]
fn what_is_remembered_and_shown() {
    check(&[Verdict::Fired, Verdict::Missed, Verdict::Skipped]);
    check(&[
        TickEnd::Cancelled,
        TickEnd::Failed,
        TickEnd::Missed,
        TickEnd::Skipped,
        TickEnd::Succeeded,
    ]);
    check(&[AlertEvent::Failure, AlertEvent::Missed, AlertEvent::Recovery, AlertEvent::Unreported]);
    check_struct("FileVerdict", &FileVerdict { number: 300, is_current: true });
    let state = partition();
    let known = state.job(&name()).expect("it is defined");
    check_struct(
        "JobView",
        &JobView::of(&name(), known, Declared { task: true, alert: false }, Some(AT)),
    );
    check_struct("JobLine", &JobLine::of(&name(), known, Declared::ALL, None));
}

#[test]
fn in_snapshots() {
    let state = partition();
    let known = state.job(&name()).expect("it is defined");
    let counts =
        JobCounts { fired: 2, failed: 1, missed: 2, failures_in_row: 1, ..Default::default() };
    assert_eq!(known.counts, counts);
    assert_eq!((known.history.iter().count(), known.alerts.len()), (2, 2));
    assert_eq!(state.job_tasks().count(), 1);
    check_bytes(&BTreeMap::from([("Snapshot.Jobs".to_owned(), state.to_bytes())]));
    let committed = &vectors()["Snapshot.Jobs"];
    let read = Partition::from_bytes(committed).expect("ours");
    assert_eq!(&read.to_bytes(), committed);
    assert_eq!(read.fill(), state.fill());
}
