//! Runs that must not overlap with others: each goes on only as long as its owner says that it may.
//!
//! An owner that hears nothing of an executor gives such a run to another some time after its *term of
//! validity* is over; so the executor ends the run itself when that comes. The term counts from when it
//! asked, as the owner counts it from when it was asked, and the owner answers only after a majority has
//! confirmed that it is one. Before the first answer nothing is started: a dispatch may have been long on
//! its way. An executor that is not answered may be asking a node that is the owner no more, about a task that
//! others have done since, so a run that has not begun after [some time](BEGINS_WITHIN) gives its slot back.
//! (Leases: Gray and Cheriton, 1989.)

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::{Effect, Executor, Start};
use crate::id::{NodeId, TaskId, Token};
use crate::limits::EXCLUSIVE_LOST_AFTER;
use crate::task::Outcome;
use crate::time::{Span, Tick};
use crate::wire::ExecutorSays;

/// How long a run waits to begin: some beats may be lost, and a takeover takes less.
const BEGINS_WITHIN: Span = EXCLUSIVE_LOST_AFTER;

/// For so long a question is remembered: no answer that is still of use takes longer.
const ANSWERED_WITHIN: Span = Span::from_millis(60_000);
/// And so many at the most: far more than are asked in the time that an answer takes.
const ASKED_MAX: usize = 65_536;

/// What a run that must not overlap with others goes on by.
#[derive(Clone, Debug)]
pub(super) struct Guard {
    /// For how long it may go on after its owner was asked.
    lasts: Span,
    /// What is to be started once its owner says so, and since when it waits for that.
    waiting: Option<(Start, Tick)>,
    /// Until when it may go on.
    until: Option<Tick>,
    is_killed: bool,
}

impl Guard {
    pub(super) fn new(lasts: Span, start: Start, now: Tick) -> Self {
        Self { lasts, waiting: Some((start, now)), until: None, is_killed: false }
    }

    /// Whether its run has not been started.
    pub(super) const fn is_waiting(&self) -> bool {
        self.waiting.is_some()
    }

    /// Until when what was started may go on.
    fn ends_at(&self) -> Option<Tick> {
        self.until.filter(|_| self.waiting.is_none() && !self.is_killed)
    }

    /// When it is to be looked at if nothing happens.
    fn due_at(&self) -> Option<Tick> {
        let in_vain_at = self.waiting.as_ref().map(|(_, since)| *since + BEGINS_WITHIN);
        in_vain_at.or_else(|| self.ends_at())
    }

    fn waits_in_vain(&self, now: Tick) -> bool {
        self.waiting.as_ref().is_some_and(|(_, since)| *since + BEGINS_WITHIN <= now)
    }
}

/// What owners were asked lately.
#[derive(Clone, Debug, Default)]
pub(super) struct Questions {
    last: u64,
    asked_at: VecDeque<(u64, Tick)>,
}

impl Questions {
    fn ask(&mut self, now: Tick) -> u64 {
        self.last += 1;
        self.asked_at.push_back((self.last, now));
        let is_old = |(_, at): &(u64, Tick)| *at + ANSWERED_WITHIN < now;
        while self.asked_at.len() > ASKED_MAX || self.asked_at.front().is_some_and(is_old) {
            self.asked_at.pop_front();
        }
        self.last
    }

    fn asked_at(&self, number: u64) -> Option<Tick> {
        let found = self.asked_at.binary_search_by_key(&number, |(asked, _)| *asked).ok()?;
        self.asked_at.get(found).map(|(_, at)| *at)
    }
}

impl Executor {
    /// Asks whether these runs may go on, or begin.
    pub(super) fn ask_to_go_on(
        &mut self,
        now: Tick,
        runs: BTreeMap<NodeId, Vec<(TaskId, Token)>>,
        effects: &mut Vec<Effect>,
    ) {
        if runs.is_empty() {
            return;
        }
        let (lessee, number) = (self.me, self.questions.ask(now));
        for (to, runs) in runs {
            let says = ExecutorSays::MayGoOn { lessee, number, runs };
            effects.push(Effect::Send { to, says });
        }
    }

    /// All runs for which that has to be asked, by owner.
    pub(super) fn guarded(&self) -> BTreeMap<NodeId, Vec<(TaskId, Token)>> {
        let mut guarded: BTreeMap<NodeId, Vec<_>> = BTreeMap::new();
        for (key, run) in self.runs.iter().filter(|(_, run)| run.end.is_none()) {
            if run.guard.as_ref().is_some_and(|guard| !guard.is_killed) {
                guarded.entry(run.owner).or_default().push(*key);
            }
        }
        guarded
    }

    /// Their owner says that these runs may go on, as it was asked.
    pub(super) fn may_go_on(
        &mut self,
        now: Tick,
        number: u64,
        runs: &[(TaskId, Token)],
        effects: &mut Vec<Effect>,
    ) {
        let Some(asked_at) = self.questions.asked_at(number) else {
            return;
        };
        for key in runs {
            let Some(run) = self.runs.get_mut(key).filter(|run| run.end.is_none()) else {
                continue;
            };
            let Some(guard) = &mut run.guard else {
                continue;
            };
            let until = asked_at + guard.lasts;
            guard.until = guard.until.max(Some(until));
            if now < until
                && let Some((mut start, since)) = guard.waiting.take()
            {
                // Its deadline does not wait with it.
                let waited = now.since(since);
                start.time_left = start.time_left.map(|left| {
                    Span::from_micros(left.as_micros().saturating_sub(waited.as_micros()))
                });
                effects.push(Effect::Start(start));
            }
        }
        self.watch_guards();
    }

    /// Until when a run that was started and must not overlap with others may go on, as far as its owner
    /// has said; nothing for others.
    #[must_use]
    pub fn guarded_until(&self, task: TaskId, token: Token) -> Option<Tick> {
        self.runs.get(&(task, token))?.guard.as_ref()?.ends_at()
    }

    /// Ends runs whose owners have been silent for too long, and those that have not begun for as long.
    pub(super) fn end_unguarded(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        if now < self.guard_at {
            return;
        }
        let mut in_vain = BTreeSet::new();
        for ((task, token), run) in &mut self.runs {
            let Some(guard) = run.guard.as_mut().filter(|_| run.end.is_none()) else {
                continue;
            };
            if guard.waits_in_vain(now) {
                in_vain.insert((*task, *token));
            }
            if guard.ends_at().is_some_and(|at| at <= now) {
                guard.is_killed = true;
                effects.push(Effect::Kill { task: *task, token: *token });
            }
        }
        self.drop_waiting(now, |key| in_vain.contains(key), effects);
        self.watch_guards();
    }

    /// Ends runs that were not started and are not to be any more.
    pub(super) fn drop_waiting(
        &mut self,
        now: Tick,
        is_meant: impl Fn(&(TaskId, Token)) -> bool,
        effects: &mut Vec<Effect>,
    ) {
        let waits = |run: &super::Run| run.guard.as_ref().is_some_and(|guard| guard.is_waiting());
        let dropped = (self.runs.iter())
            .filter(|(key, run)| run.end.is_none() && waits(run) && is_meant(key))
            .map(|((task, token), _)| (*task, *token, Outcome::Cancelled));
        let dropped: Vec<_> = dropped.collect();
        if !dropped.is_empty() {
            self.finished(now, dropped, effects);
        }
    }

    /// Notes when the first of them is due.
    pub(super) fn watch_guards(&mut self) {
        let running = self.runs.values().filter(|run| run.end.is_none());
        let due = running.filter_map(|run| run.guard.as_ref()?.due_at());
        self.guard_at = due.min().unwrap_or(Tick::NEVER);
    }
}
