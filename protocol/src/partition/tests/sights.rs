//! What happens in a log: a generator that reaches little shows here.

use std::collections::BTreeMap;

use super::history::Entry;
use super::*;
use crate::job::{Source, Verdict};

/// All that generated logs must bring about for what they prove to mean anything.
pub(super) const WANTED: [&str; 61] = [
    "a cancelled task",
    "a clock that goes back",
    "a conflict",
    "a death after the hold",
    "a death at the deadline",
    "a death by explanation",
    "a death of failures",
    "a death of proved crashes",
    "a death of the only run",
    "a delay",
    "a hold",
    "a job by a later file",
    "a job that has something to tell",
    "a job that is kept from firing",
    "a lease in vain",
    "a limit with room again",
    "a pardon from the hold",
    "a proposal of another term",
    "a refusal about a job",
    "a retry",
    "a run by hand",
    "a run in doubt",
    "a run that dropped its task",
    "a run that failed",
    "a run that is to stop",
    "a run that never was",
    "a run that said why",
    "a run that snoozed",
    "a run that stopped",
    "a run that succeeded",
    "a run that was cut off",
    "a run that was lost",
    "a slot on acceptance",
    "a slot without a row",
    "a success before the stop",
    "a success that stops a run",
    "a success",
    "a task of a key that is taken",
    "a task that gets another",
    "a task that is dropped",
    "a task that is known",
    "a task that is not steered",
    "a task that is replaced",
    "a task that is tried again",
    "a task that never ran",
    "a task that tells of a job",
    "a task too old to be known",
    "a tick fired in vain",
    "a tick of a job",
    "a tick on each host",
    "a tick that was missed",
    "a tick that was not reported",
    "a tick that was skipped",
    "an end forgotten at once",
    "an expired task",
    "an id of another partition",
    "an id too early",
    "an id too old",
    "one that is to wait too long",
    "stubs that go",
    "what was kept for its own time goes",
];

/// What has been seen, and how often.
#[derive(Default)]
pub(super) struct Sights {
    pub(super) seen: BTreeMap<&'static str, u32>,
}

/// What one replica has been through, as far as a later sight depends on it.
#[derive(Default)]
pub(super) struct Past {
    now: Wall,
    stubs: usize,
    timed: usize,
    tasks: BTreeSet<TaskId>,
    held: BTreeSet<TaskId>,
}

impl Sights {
    /// Looks at `partition`, which has just applied `entry` with these `changes`.
    pub(super) fn look(
        &mut self,
        past: &mut Past,
        entry: &Entry,
        changes: &[Change],
        partition: &Partition,
    ) {
        if entry.proposal.term != entry.term {
            self.see("a proposal of another term");
        }
        if entry.proposal.at < past.now {
            self.see("a clock that goes back");
        }
        past.now = partition.now();
        let stubs = partition.fill().stubs;
        if stubs < std::mem::replace(&mut past.stubs, stubs) {
            self.see("stubs that go");
        }
        let timed = partition.fill().timed.tasks;
        if timed < std::mem::replace(&mut past.timed, timed) {
            self.see("what was kept for its own time goes");
        }
        self.look_at_jobs(entry, changes, partition);
        for change in changes {
            match change {
                Change::Accepted { ordinal, refused, known, unused } => {
                    let batch = batches(entry).nth(*ordinal).unwrap();
                    self.look_at_refused(past, batch, refused);
                    if *known > 0 {
                        self.see("a task that is known");
                    }
                    if !unused.is_empty() {
                        self.see("a slot without a row");
                    }
                }
                Change::Ready { task } => {
                    if past.held.remove(task) {
                        self.see("a pardon from the hold");
                    }
                    past.tasks.insert(*task);
                }
                Change::Scheduled { task, .. } => {
                    past.tasks.insert(*task);
                    let record = partition.record(*task);
                    let crashes_max =
                        record.as_ref().map_or(0, |record| record.template.options.crashes_max());
                    match record.as_ref().and_then(|record| record.history.as_ref()) {
                        None => self.see("a delay"),
                        Some(history) if history.crashes >= crashes_max => {
                            past.held.insert(*task);
                            self.see("a hold");
                        }
                        Some(_) => self.see("a retry"),
                    }
                }
                Change::Leased { task, .. } => {
                    past.tasks.insert(*task);
                    if !is_leased_by_name(entry, *task) {
                        self.see("a slot on acceptance");
                    }
                }
                Change::Steered { result: Err(_), .. } => self.see("a task that is not steered"),
                Change::Steered { task, .. } => {
                    let is_anew = |record: &Record| {
                        let said = record.particulars.as_ref();
                        said.is_some_and(|said| said.retry_of == Some(*task))
                    };
                    if partition.records().any(|(_, record)| is_anew(&record)) {
                        self.see("a task that is tried again");
                    } else {
                        self.see("a task that is dropped");
                    }
                }
                Change::KeyFreed { .. } => self.see("a limit with room again"),
                Change::NotLeased { .. } => self.see("a lease in vain"),
                Change::Closed { task, token, .. }
                | Change::ClosedAlready { task, token, .. }
                | Change::Lost { task, token, .. } => {
                    self.look_at_run(partition, *task, *token);
                }
                Change::Stop { .. } => self.see("a run that is to stop"),
                Change::Finished { task } => {
                    past.held.remove(task);
                    self.look_at_end(partition, entry, changes, *task);
                }
                Change::JobChanged { result: Err(_), .. } => self.see("a refusal about a job"),
                Change::JobNotice { .. } => self.see("a job that has something to tell"),
                Change::JobChanged { .. } | Change::JobDue { .. } | Change::JobFull { .. } => {}
            }
        }
    }

    fn look_at_jobs(&mut self, entry: &Entry, changes: &[Change], partition: &Partition) {
        if entry.proposal.term != entry.term {
            return;
        }
        let makes = changes.iter().any(
            |change| matches!(change, Change::Ready { task } if task.is_derived() && partition.job_target(*task).is_none()),
        );
        for command in &entry.proposal.commands {
            match command {
                Command::Alert(_) if makes => self.see("a task that tells of a job"),
                Command::Fire(fire) => {
                    let state = partition.job(&fire.job);
                    // Nothing was decided about what comes after it.
                    if state.is_none_or(|state| state.fired_through < fire.through) {
                        self.see("a tick fired in vain");
                    }
                }
                _ => {}
            }
        }
        for (_, state) in partition.jobs() {
            if matches!(state.source, Source::File { number: 2 }) {
                self.see("a job by a later file");
            }
            if !state.enabled {
                self.see("a job that is kept from firing");
            }
            for tick in state.history.iter() {
                self.see(match tick.verdict {
                    Verdict::Missed => "a tick that was missed",
                    Verdict::Skipped => "a tick that was skipped",
                    Verdict::Fired if tick.by_hand => "a run by hand",
                    Verdict::Fired if tick.unreported => "a tick that was not reported",
                    Verdict::Fired if tick.ends.missed > 0 => "a tick on each host",
                    Verdict::Fired => "a tick of a job",
                });
            }
        }
    }

    fn look_at_refused(&mut self, past: &Past, batch: &Batch, refused: &[(u32, Refusal)]) {
        for (row, refusal) in refused {
            let is_past = past.tasks.contains(&batch.rows[*row as usize].id);
            self.see(match refusal {
                Refusal::Conflict => "a conflict",
                Refusal::Overloaded => "an overload",
                Refusal::TooManyKeys => "too many keys",
                Refusal::TooOld if is_past => "a task too old to be known",
                Refusal::TooOld => "an id too old",
                Refusal::TooEarly => "an id too early",
                Refusal::WrongPartition => "an id of another partition",
                Refusal::TooFar => "one that is to wait too long",
                Refusal::Exists { .. } => "a task that gets another",
                Refusal::NotUnique { .. } => "a task of a key that is taken",
            });
        }
    }

    fn look_at_run(&mut self, partition: &Partition, task: TaskId, token: Token) {
        let record = partition.record(task);
        let history = record.as_ref().and_then(|record| record.history.as_ref());
        let runs = history.map_or(&[][..], |history| &history.runs);
        if let Some(run) = runs.iter().find(|run| run.token == token) {
            if run.error.is_some() {
                self.see("a run that said why");
            }
            self.see(match run.end {
                RunEnd::Dropped => "a run that dropped its task",
                RunEnd::Snoozed => "a run that snoozed",
                RunEnd::Cancelled => "a run that stopped",
                RunEnd::CutOff => "a run that was cut off",
                RunEnd::Failed(_) => "a run that failed",
                RunEnd::Lost => "a run that was lost",
                RunEnd::NeverHad => "a run that never was",
                RunEnd::Succeeded => "a run that succeeded",
                RunEnd::Unheard => "a run in doubt",
            });
        }
    }

    fn look_at_end(
        &mut self,
        partition: &Partition,
        entry: &Entry,
        changes: &[Change],
        task: TaskId,
    ) {
        let Some(record) = partition.record(task) else {
            return self.see("an end forgotten at once");
        };
        let was_closed = changes.iter().any(|change| {
            matches!(change, Change::Closed { task: closed, .. } | Change::Lost { task: closed, .. }
                if *closed == task)
        });
        let was_stopped = changes
            .iter()
            .any(|change| matches!(change, Change::Stop { task: stopped, .. } if *stopped == task));
        self.see(match record.phase() {
            Phase::Succeeded(_) if was_stopped => "a success that stops a run",
            Phase::Succeeded(_) if record.history.as_ref().unwrap().cancelled => {
                "a success before the stop"
            }
            Phase::Succeeded(_) => "a success",
            Phase::Dead(failure) if failure.kind == FailureKind::Deadline => {
                "a death at the deadline"
            }
            Phase::Dead(failure) if failure.kind == FailureKind::Lost => {
                match record.history.as_ref().and_then(|history| history.runs.last()) {
                    Some(run) if run.end == RunEnd::NeverHad => "a task that never ran",
                    _ => "a death of the only run",
                }
            }
            Phase::Dead(failure) if failure.kind != FailureKind::Crashed => "a death of failures",
            Phase::Dead(_) if is_leased_by_name(entry, task) => "a death after the hold",
            Phase::Dead(_) if was_closed => "a death of proved crashes",
            Phase::Dead(_) => "a death by explanation",
            Phase::Cancelled
                if record.history.as_ref().is_some_and(|history| {
                    !history.cancelled
                        && history.runs.last().is_none_or(|run| run.end != RunEnd::Dropped)
                }) =>
            {
                "a task that is replaced"
            }
            Phase::Cancelled => "a cancelled task",
            Phase::Expired => "an expired task",
            Phase::Scheduled { .. } | Phase::Ready | Phase::Leased(_) => "an end that is none",
        });
    }

    fn see(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }
}

fn batches(entry: &Entry) -> impl Iterator<Item = &Batch> {
    entry.proposal.commands.iter().filter_map(|command| match command {
        Command::Accept { batch, .. } => Some(&**batch),
        _ => None,
    })
}

fn is_leased_by_name(entry: &Entry, task: TaskId) -> bool {
    entry
        .proposal
        .commands
        .iter()
        .any(|command| matches!(command, Command::Lease { tasks, .. } if tasks.contains(&task)))
}
