//! What must hold after every entry of any log, checked from outside: from the entries, from what
//! the owner was told, and from what the records show.

use std::collections::BTreeMap;

use super::history::Entry;
use super::*;
use crate::job::JobName;
use crate::limits::CRASH_HOLD;
use crate::task::View;

/// Follows one replica through a log.
#[derive(Default)]
pub(super) struct Audit {
    tasks: BTreeMap<TaskId, Life>,
    tokens: BTreeSet<Token>,
    now: Wall,
    floor: Wall,
    /// How far each job had fired, since when it has its schedule, and what was counted.
    jobs: BTreeMap<JobName, (Wall, Wall, u64)>,
}

/// One task as its owner knows it, from what it was told alone.
#[derive(Default)]
struct Life {
    told: Told,
    /// The run that has been granted and not closed.
    run: Option<(Token, Lessee)>,
    tokens: Vec<Token>,
    /// What it was when it was first seen.
    template: Option<Template>,
    attempts: u16,
    end: Option<State>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Told {
    #[default]
    Nothing,
    Ready,
    Scheduled(Wall),
    Leased(Token, Lessee),
    Finished,
}

impl Audit {
    /// Checks `partition`, which has just applied `entry` with these `changes`.
    pub(super) fn check(&mut self, entry: &Entry, changes: &[Change], partition: &Partition) {
        assert_counted(partition);
        self.check_time(entry, changes, partition);
        self.check_jobs(partition);
        for change in changes {
            self.hear(change);
        }
        for (id, _) in partition.records() {
            assert!(self.tasks.contains_key(&id), "nobody was told of {id}");
        }
        for (id, life) in &mut self.tasks {
            match partition.record(*id) {
                Some(record) => {
                    if life.end.is_none() && record.state().is_final() {
                        life.check_end(*id, &record, &entry.proposal.commands);
                    }
                    life.check(*id, &record);
                }
                None => life.check_forgotten(*id, partition),
            }
        }
    }

    fn check_time(&mut self, entry: &Entry, changes: &[Change], partition: &Partition) {
        if entry.proposal.term == entry.term {
            self.now = self.now.max(entry.proposal.at);
        } else {
            assert_eq!(changes, [], "a proposal of another term");
        }
        assert_eq!(partition.now(), self.now);
        assert!(partition.dedup_floor() >= self.floor, "the floor went back");
        self.floor = partition.dedup_floor();
    }

    /// What was decided about a tick stays so, and what is open of a job is open.
    fn check_jobs(&mut self, partition: &Partition) {
        let known: BTreeSet<JobName> = partition.jobs().map(|(name, _)| name.clone()).collect();
        self.jobs.retain(|name, _| known.contains(name));
        for (name, state) in partition.jobs() {
            let now = (state.fired_through, state.since, state.counts.fired);
            let before = self.jobs.insert(name.clone(), now).unwrap_or(now);
            assert!(before.0 <= now.0, "{name} went back");
            assert!(before.1 != now.1 || before.2 <= now.2, "{name} has fired less");
            assert!(now.0 <= partition.now(), "{name} has fired ahead of time");
        }
        for (_, _, task) in partition.job_tasks() {
            let record = partition.record(task).expect("an open task has a record");
            assert!(!record.state().is_final(), "{task} has ended and nobody was told");
            assert!(task.is_derived() && partition.job_target(task).is_some());
        }
    }

    fn hear(&mut self, change: &Change) {
        match change {
            Change::Ready { task } => self.life(*task).told(Told::Ready),
            Change::Scheduled { task, not_before } => {
                self.life(*task).told(Told::Scheduled(*not_before))
            }
            Change::Leased { task, token, lessee } => {
                self.life(*task).lease(*token, *lessee);
                assert!(self.tokens.insert(*token), "{token} was granted twice");
            }
            Change::Closed { task, token, lessee }
            | Change::ClosedAlready { task, token, lessee }
            | Change::Lost { task, token, lessee } => {
                // Also told of tasks that are not there.
                if let Some(life) = self.tasks.get_mut(task) {
                    life.run.take_if(|run| *run == (*token, *lessee));
                }
            }
            Change::Stop { task, token, lessee } => {
                let run = self.life(*task).run;
                assert_eq!(run, Some((*token, *lessee)), "{task} does not run there");
            }
            Change::Finished { task } => self.life(*task).told(Told::Finished),
            Change::Accepted { .. }
            | Change::KeyFreed { .. }
            | Change::NotLeased { .. }
            | Change::Steered { .. }
            | Change::JobChanged { .. }
            | Change::JobDue { .. }
            | Change::JobFull { .. }
            | Change::JobNotice { .. } => {}
        }
    }

    fn life(&mut self, task: TaskId) -> &mut Life {
        self.tasks.entry(task).or_default()
    }
}

impl Life {
    fn told(&mut self, what: Told) {
        assert_ne!(self.told, Told::Finished, "a task that has ended is {what:?}");
        self.told = what;
    }

    fn lease(&mut self, token: Token, lessee: Lessee) {
        self.told(Told::Leased(token, lessee));
        assert_eq!(self.run, None, "leased to {lessee:?} while it runs");
        assert!(self.tokens.last() < Some(&token), "{token} after {:?}", self.tokens);
        self.run = Some((token, lessee));
        self.tokens.push(token);
    }

    /// The record is what the owner was told, and accounts for every start.
    fn check(&mut self, id: TaskId, record: &Record) {
        let told = match record.phase() {
            Phase::Scheduled { not_before } => Told::Scheduled(*not_before),
            Phase::Ready => Told::Ready,
            Phase::Leased(lease) => Told::Leased(lease.token, lease.lessee),
            Phase::Succeeded(_) | Phase::Dead(_) | Phase::Cancelled | Phase::Expired => {
                Told::Finished
            }
        };
        assert_eq!(self.told, told, "{id}: the owner believes otherwise");
        let template = self.template.get_or_insert_with(|| (*record.template).clone());
        assert_eq!(*template, *record.template, "{id} was changed");
        let none = History::default();
        let history = record.history.as_deref().unwrap_or(&none);
        let starts = history.starts as usize + usize::from(record.state() == State::Leased);
        assert_eq!(starts, self.tokens.len(), "{id}: starts");
        let attempts = View::of(id, record).attempts;
        assert!(self.attempts <= attempts, "{id}: {} attempts, then {attempts}", self.attempts);
        if record.template.options.is_at_most_once() {
            assert!(starts <= 1, "{id} is never leased twice");
        }
        assert!(attempts <= record.template.options.attempts_max(), "{id}: {attempts} attempts");
        self.attempts = attempts;
        let obeys = match record.phase() {
            Phase::Leased(lease) => lease.cancelling == history.cancelled,
            Phase::Succeeded(_) | Phase::Cancelled => true,
            Phase::Scheduled { .. } | Phase::Ready | Phase::Dead(_) | Phase::Expired => {
                !history.cancelled
            }
        };
        assert!(obeys, "{id} was to stop and is {:?}", record.state());
        if record.state().is_final() {
            let end = *self.end.get_or_insert_with(|| record.state());
            assert_eq!(record.state(), end, "{id} has left its final state");
            self.run = None;
        } else {
            assert_eq!(self.end, None, "{id} has risen from the dead");
            let run = match told {
                Told::Leased(token, lessee) => Some((token, lessee)),
                _ => None,
            };
            assert_eq!(self.run, run, "{id}: a run whose end nobody was told");
            assert!(history.failures < record.template.options.attempts_max());
        }
        if !record.state().is_final() && history.starts as usize == history.runs.len() {
            let ends =
                |is: fn(&RunEnd) -> bool| history.runs.iter().filter(|run| is(&run.end)).count();
            let crashes = ends(|end| matches!(end, RunEnd::Lost | RunEnd::Unheard));
            assert_eq!(usize::from(history.crashes), crashes, "{id}: crashes");
            let failures = ends(|end| matches!(end, RunEnd::Failed(_)));
            assert_eq!(usize::from(history.failures), failures, "{id}: failures");
        }
    }

    /// Only what has ended is forgotten, and what is forgotten can never be taken for new.
    fn check_forgotten(&mut self, id: TaskId, partition: &Partition) {
        assert_eq!(self.told, Told::Finished, "{id} was forgotten before its end");
        self.run = None;
        match partition.stub(id) {
            Some(stub) => assert_eq!(stub, *self.end.get_or_insert(stub)),
            None => assert!(id.made_at() <= partition.dedup_floor(), "{id} could run again"),
        }
    }

    /// Nobody succeeds without a run that says so, or dies of losses before they are proved or the
    /// time to explain them is over.
    fn check_end(&self, id: TaskId, record: &Record, commands: &[Command]) {
        let history = record.history.as_deref().unwrap();
        let is_honest = |report: &Report| {
            report.task == id
                && matches!(report.outcome, Outcome::Succeeded(_))
                && self.tokens.contains(&report.token)
        };
        let mut reports = commands.iter().flat_map(|command| match command {
            Command::Report { reports, .. } => reports.as_slice(),
            _ => &[],
        });
        match record.phase() {
            Phase::Succeeded(_) => {
                // Of a run that the record has forgotten nothing can be told.
                let is_known = history.starts as usize == history.runs.len();
                assert!(!is_known || reports.any(is_honest), "{id} never succeeded");
            }
            Phase::Dead(failure) if failure.kind == FailureKind::Crashed => {
                let pardon = |command: &Command| matches!(command, Command::Pardon { .. });
                assert!(
                    history.crashes == record.template.options.crashes_max()
                        || commands.iter().any(pardon)
                );
                let last = history.runs.last().unwrap().finished_at;
                let has_doubts = history.runs.iter().any(|run| run.end == RunEnd::Unheard);
                let is_held = history.finished_at.unwrap() < last + CRASH_HOLD;
                assert!(!(has_doubts && is_held), "{id} was given up too early");
            }
            _ => {}
        }
    }
}
