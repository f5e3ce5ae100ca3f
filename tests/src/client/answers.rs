//! What clients make of answers: each must be right, and agree with all that was said before.

use std::collections::BTreeSet;
use std::sync::Arc;

use umbel_protocol::id::TaskId;
use umbel_protocol::journal::{News, Seen};
use umbel_protocol::partition::Refusal;
use umbel_protocol::task::{Batch, View};
use umbel_protocol::wire::{Answer, RequestError};

use super::{Kind, Sort, Submission};
use crate::invariants::linearizable_tasks::{self, Told};
use crate::invariants::{
    finished_stays, groups_are_counted, nothing_unsynced_is_promised, submitted_once, unique_keys,
    watched_in_order,
};
use crate::plan::SECOND;
use crate::work::Script;
use crate::world::{What, World};

impl World {
    /// A client is answered, perhaps late: what it asked at its `attempt`.
    pub fn answered(&mut self, op: u64, attempt: u64, answer: Answer) {
        self.trace(|| format!("operation {op}.{attempt} is answered {}", brief(&answer)));
        let kind = self.op(op).kind.clone();
        self.look_at_answer(attempt, &answer);
        self.note_answer(op, attempt, &kind, &answer);
        match (kind, answer) {
            (Kind::Submit(submission), Answer::Submitted { refused, .. }) => {
                self.submitted(op, &submission, &refused);
            }
            (Kind::Submit(submission), Answer::Finished(endings)) => {
                let rows = submission.batch.rows.len();
                if endings.is_empty() || endings.len() > rows {
                    let count = endings.len();
                    self.must("finished_stays", Err(format!("{count} endings of {rows} tasks")));
                }
                for ending in endings {
                    let left = finished_stays::left(ending.result.as_ref(), ending.error.as_ref());
                    let (task, state) = (ending.task, ending.state);
                    let told = finished_stays::told(&mut self.ledger, task, state, left);
                    self.must("finished_stays", told);
                }
                self.op(op).done = true;
            }
            (Kind::Submit(_), Answer::Failed(_)) if self.op(op).acknowledged => {
                self.op(op).done = true;
            }
            (kind @ (Kind::Cancel(_) | Kind::Show(_) | Kind::Wait(_)), Answer::View(view)) => {
                self.viewed(op, attempt, &kind, *view)
            }
            (Kind::Show(task) | Kind::Wait(task) | Kind::Cancel(task), Answer::Failed(error)) => {
                self.failed(op, task, &error);
            }
            (Kind::Watch(task, seen), Answer::News(news)) => {
                // What comes late, to an attempt that was given up, was asked by one who knew less.
                if self.op(op).attempt == attempt && !self.op(op).done {
                    self.hears_news(op, task, seen, &news);
                }
            }
            (kind @ Kind::Watch(..), Answer::View(view)) => self.viewed(op, attempt, &kind, *view),
            (Kind::Watch(task, _), Answer::Failed(error)) => self.failed(op, task, &error),
            (Kind::List, _) => self.op(op).done = true,
            (Kind::Steer(steer), answer) => self.steered(op, steer, answer),
            (Kind::Count(group), Answer::TaskGroup { view, partitions_missing }) => {
                if partitions_missing == 0 {
                    self.saw("group counted");
                    let asked_at = self.clients.calls[&(op, attempt)];
                    let right = groups_are_counted::told(self, group, asked_at, &view);
                    self.must("groups_are_counted", right);
                }
                self.op(op).done = true;
            }
            (Kind::Count(_), Answer::Failed(_)) => self.op(op).done = true,
            (Kind::Job(ask), answer) => {
                let asked_at = self.clients.calls[&(op, attempt)];
                if self.job_answered(op, asked_at, &ask, answer) {
                    self.op(op).done = true;
                } else if !self.op(op).done {
                    self.try_later(op);
                }
            }
            (Kind::Submit(_), Answer::Failed(error)) => {
                if matches!(error, RequestError::Overloaded { .. }) {
                    self.saw("full node");
                }
                self.saw_if("option not known to all yet", error == RequestError::NotUpgraded);
                if !self.op(op).done {
                    self.try_later(op);
                }
            }
            (kind, answer) => self.violate(format!("{kind:?} is answered {}", brief(&answer))),
        }
    }

    /// Adds to the histories of tasks what was told of them.
    fn note_answer(&mut self, op: u64, attempt: u64, kind: &Kind, answer: &Answer) {
        let (call, now) = (self.clients.calls[&(op, attempt)], self.now);
        let histories = &mut self.watch.histories;
        match (kind, answer) {
            (Kind::Submit(_), Answer::Submitted { refused, .. }) => {
                // The tasks that were asked for then: a retry may have been given other ids.
                let asked = histories.settles(op, attempt).unwrap_or_default();
                for (place, task) in (0..).zip(asked) {
                    let refusal = refused.iter().find(|(row, _)| *row == place).map(|(_, r)| *r);
                    if let Some(told) = linearizable_tasks::of_row(refusal) {
                        histories.told(task, call, now, told);
                    }
                }
            }
            (Kind::Submit(_), Answer::Finished(endings)) => {
                for ending in endings {
                    let told = Told::Ended(ending.state);
                    histories.told(ending.task, call, now, told);
                }
            }
            (Kind::Cancel(_), Answer::View(view)) => {
                histories.settles(op, attempt);
                histories.shown(view, call, now, true);
            }
            (Kind::Show(_) | Kind::Wait(_) | Kind::Watch(..), Answer::View(view)) => {
                histories.shown(view, call, now, false);
            }
            (Kind::Steer(steer), answer) => {
                let told = steer.told(answer);
                if !told.is_empty() {
                    histories.settles(op, attempt);
                }
                for (task, told) in told {
                    histories.told(task, call, now, told);
                }
            }
            (Kind::Cancel(task), Answer::Failed(RequestError::NotFound { .. })) => {
                histories.settles(op, attempt);
                histories.told(*task, call, now, Told::StopNothing);
            }
            (
                Kind::Show(task) | Kind::Wait(task) | Kind::Watch(task, _),
                Answer::Failed(RequestError::NotFound { .. }),
            ) => {
                histories.told(*task, call, now, Told::Nothing);
            }
            // Whoever is told that nothing was done may rely on it.
            (Kind::Submit(_) | Kind::Cancel(_), Answer::Failed(error)) if had_no_effect(error) => {
                histories.settles(op, attempt);
            }
            _ => {}
        }
    }

    fn viewed(&mut self, op: u64, attempt: u64, kind: &Kind, view: View) {
        let View { id, state, .. } = view;
        // What is told of a task never goes back: runs that are over stay over, and so does it.
        let over = view.runs.iter().filter(|run| run.finished_at.is_some()).count();
        let (now, is_latest) = (self.now, self.op(op).attempt == attempt);
        let tried_at = self.op(op).tried_at;
        if let Some(log) = self.ledger.log_mut(id) {
            let seen = (state.is_final(), over);
            let (told_at, told) = log.viewed.unwrap_or((0, (false, 0)));
            if is_latest && tried_at > told_at && seen < told {
                self.must("linearizable_tasks", Err(format!("{id} was {told:?}, then {seen:?}")));
            } else if seen >= told {
                log.viewed = Some((now, seen));
            }
        }
        if state.is_final() {
            let left = finished_stays::left(view.result.as_ref(), view.error.as_ref());
            let told = finished_stays::told(&mut self.ledger, id, state, left);
            self.must("finished_stays", told);
        } else if matches!(kind, Kind::Wait(_) | Kind::Watch(..)) {
            self.must("finished_stays", Err(format!("a wait for {id} ends with {state:?}")));
        } else if matches!(kind, Kind::Cancel(_))
            && let Some(log) = self.ledger.log_mut(id)
        {
            log.stopped = true;
        }
        self.op(op).done = true;
    }

    /// A watcher is told more, and asks on.
    fn hears_news(&mut self, op: u64, task: TaskId, seen: Option<Seen>, news: &News) {
        self.progress_at = self.now;
        match watched_in_order::on_news(seen, news) {
            Ok(known) => self.op(op).kind = Kind::Watch(task, Some(known)),
            Err(why) => self.must("watched_in_order", Err(format!("{task}: {why}"))),
        }
        let told = news.words.lines.len();
        self.saw_if("watcher that hears several lines at a time", told > 1);
        self.saw_if("watcher of a later run", news.attempt > 1 && told > 0);
        self.push(self.now, What::Try(op));
    }

    pub(super) fn failed(&mut self, op: u64, task: TaskId, error: &RequestError) {
        if matches!(error, RequestError::NotFound { .. }) {
            if !submitted_once::was_forgotten(self, task) {
                self.must("acknowledged_is_kept", Err(format!("{task} is not found")));
            }
            self.saw("forgotten");
            self.op(op).done = true;
        }
        if !self.op(op).done {
            self.try_later(op);
        }
    }

    fn submitted(&mut self, op: u64, submission: &Submission, refused: &[(u32, Refusal)]) {
        self.progress_at = self.now;
        let Submission { batch, marks, wait, sort } = submission;
        let mut left_out = BTreeSet::new();
        for (place, refusal) in refused {
            let place = usize::try_from(*place).expect("few rows");
            let (impostor, early) = (*sort == Sort::Impostor, *sort == Sort::Early);
            let task = batch.rows[place].id;
            match refusal {
                Refusal::Conflict => self.saw("conflict"),
                Refusal::TooEarly => self.saw("too early"),
                Refusal::TooOld => self.saw("too old"),
                Refusal::Exists { task: other } | Refusal::NotUnique { task: other } => {
                    self.saw("key is taken");
                    let template = batch.template(&batch.rows[place]);
                    let right = unique_keys::on_refused(self, task, *other, template);
                    self.must("unique_keys", right);
                }
                Refusal::Overloaded
                | Refusal::TooFar
                | Refusal::TooManyKeys
                | Refusal::WrongPartition => {}
            }
            let right = submitted_once::on_refused(self, task, *refusal, impostor, early);
            self.must("submitted_once", right);
            left_out.insert(place);
        }
        let may_be_ahead = self.slack.was_carried_on;
        if *sort == Sort::Early && refused.len() < batch.rows.len() && !may_be_ahead {
            self.must("submitted_once", Err(format!("{marks:?} come from the future")));
        }
        let taken: Vec<(u64, TaskId)> = (marks.iter().zip(&batch.rows).enumerate())
            .filter(|(place, _)| !left_out.contains(place))
            .map(|(_, (mark, row))| (*mark, row.id))
            .collect();
        for (mark, task) in &taken {
            // Where most clocks were far behind, the one that it is to be taken for was refused.
            let known =
                self.ledger.log_of(*task).is_some_and(|log| log.acknowledged == Some(*task));
            if *sort == Sort::Impostor && known && !submitted_once::was_forgotten(self, *task) {
                self.must("submitted_once", Err(format!("#{mark} is taken for {task}")));
            }
            let kept = nothing_unsynced_is_promised::on_submitted(self, *task);
            self.must("nothing_unsynced_is_promised", kept);
        }
        let first = !std::mem::replace(&mut self.op(op).acknowledged, true);
        if !wait || taken.is_empty() {
            self.op(op).done = true;
        }
        if first && *sort == Sort::New {
            self.follow_up(batch, marks, &taken);
        }
    }

    /// What clients do with tasks that were taken in.
    fn follow_up(&mut self, batch: &Arc<Batch>, marks: &[u64], taken: &[(u64, TaskId)]) {
        for (mark, task) in taken {
            let log = self.ledger.tasks.entry(*mark).or_default();
            log.acknowledged.get_or_insert(*task);
            log.acknowledged_at.get_or_insert(self.now);
        }
        for (_, task) in taken {
            let task = *task;
            let mut is_cancelled = false;
            let at = self.now + self.between(0, 3 * SECOND);
            match self.between(0, 19) {
                0 => {
                    is_cancelled = true;
                    self.begin(at, Kind::Cancel(task));
                }
                1 => self.begin(at, Kind::Show(task)),
                2 => self.begin(at, Kind::Wait(task)),
                // Two of them, who do not know the same.
                5 => {
                    self.begin(at, Kind::Watch(task, None));
                    let later = at + self.between(0, SECOND);
                    self.begin(later, Kind::Watch(task, None));
                }
                3 if self.flip(0.2) => self.begin(at, Kind::List),
                6..9 => {
                    // Soon, and after a while.
                    if let Some(group) = self.ledger.log_of(task).and_then(|log| log.group) {
                        self.begin(at, Kind::Count(group));
                        let later = at + self.between(0, 20 * SECOND);
                        self.begin(later, Kind::Count(group));
                    }
                }
                4 if self.flip(0.5) => {
                    // Somebody looks twice.
                    self.begin(at, Kind::Show(task));
                    let later = at + self.between(0, 2 * SECOND);
                    self.begin(later, Kind::Show(task));
                }
                _ => {}
            }
            if let Some(row) = batch.rows.iter().find(|row| row.id == task) {
                self.plan_steering(row, is_cancelled);
            }
            if self.plan.is_curious {
                for _ in 0..4 {
                    let at = self.now + self.between(0, 4 * SECOND);
                    self.begin(at, Kind::Show(task));
                }
            }
        }
        let at = self.now + self.between(0, 30 * SECOND);
        if self.flip(0.1) {
            let (batch, marks) = (Arc::clone(batch), marks.to_vec());
            let again = Submission { batch, marks, wait: self.flip(0.3), sort: Sort::Again };
            self.begin(at, Kind::Submit(again));
        } else if self.flip(0.05) && taken.len() == batch.rows.len() {
            // What was refused, by clocks that are behind, say, is nobody's yet.
            self.impersonate(at, batch);
        }
    }

    /// Another task is submitted under the ids of these.
    fn impersonate(&mut self, at: u64, batch: &Batch) {
        let mut other = batch.clone();
        let mut marks = Vec::new();
        for row in &mut other.rows {
            self.clients.marks += 1;
            let script = Script::draw(self.clients.marks, self.plan.work, &mut self.rng);
            row.args = script.to_args();
            self.ledger.tasks.entry(script.mark).or_default().impostor = true;
            marks.push(script.mark);
        }
        let sort = Sort::Impostor;
        let impostor = Submission { batch: Arc::new(other), marks, wait: false, sort };
        self.begin(at, Kind::Submit(impostor));
    }
}

/// Whether a request that is answered so was not carried out, and will not be.
const fn had_no_effect(error: &RequestError) -> bool {
    match error {
        RequestError::Forming { .. }
        | RequestError::Invalid(_)
        | RequestError::InvalidJob(_)
        | RequestError::Job(_)
        | RequestError::NoFacts
        | RequestError::NoQuorum { .. }
        | RequestError::NotLeader { .. }
        | RequestError::NotOwner { .. }
        | RequestError::NotSupported { .. }
        | RequestError::NotUpgraded
        | RequestError::Overloaded { .. }
        | RequestError::Reload { .. }
        | RequestError::Parting(_)
        | RequestError::Rule(_)
        | RequestError::Steer(_)
        | RequestError::UnknownQueue { .. }
        | RequestError::UnknownTask { .. } => true,
        RequestError::NotFound { .. }
        | RequestError::TimedOut
        | RequestError::TooLong { .. }
        | RequestError::Unknown => false,
    }
}

fn brief(answer: &Answer) -> String {
    match answer {
        Answer::Failed(error) => error.to_string().chars().take(80).collect(),
        Answer::Finished(endings) => format!("finished: {}", endings.len()),
        Answer::Submitted { refused, known } => {
            format!("submitted, {} refused, {known} known", refused.len())
        }
        Answer::View(view) => format!("{:?}", view.state),
        Answer::Claims(_)
        | Answer::Done
        | Answer::File(_)
        | Answer::TaskGroup { .. }
        | Answer::TaskGroupParts(_)
        | Answer::Job(_)
        | Answer::Jobs { .. }
        | Answer::News(_)
        | Answer::Queues { .. }
        | Answer::Reloaded(_)
        | Answer::Status(_)
        | Answer::Tasks { .. }
        | Answer::Waiting
        | Answer::Welcome(_) => "at length".to_owned(),
    }
}
