//! The executors of the model: the real machine, and the runs that it starts.

use std::sync::Arc;

use umbel_protocol::executor::{BEAT, Effect, Event, HeldRun, Start};
use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::limits::CROSSING_MAX;
use umbel_protocol::partition::{Command, Report};
use umbel_protocol::task::Outcome;
use umbel_protocol::time::Tick;
use umbel_protocol::wire::{Dispatch, ExecutorSays, OwnerSays};

use super::Sabotage;
use super::state::{node_id, place_of};
use super::step::Act;

impl Act {
    /// The deadline of an executor comes.
    pub(super) fn beat(&mut self, node: usize) {
        let here = &mut self.state.nodes[node];
        here.now = here.now + BEAT;
        // Nothing is under way for longer than executors are told that it may be.
        assert!(here.now.since(Tick::START) < CROSSING_MAX, "a way longer than the clock allows");
        self.step_executor(node, Event::Due);
    }

    pub(super) fn hear_order(&mut self, from: usize, to: usize, late: bool) {
        let link = &mut self.state.links[from][to];
        let orders = if late { &mut link.late_orders } else { &mut link.orders };
        let Some(says) = orders.pop_front() else {
            return;
        };
        let mut says = (*says).clone();
        if let OwnerSays::Moved { .. } = &says {
            let node = &self.state.nodes[to];
            let told = |run: HeldRun<'_>| run.owner == node_id(from) && run.end.is_some();
            if node.executor.runs().any(told) {
                self.seen.push("outcome redirected");
            }
        }
        if let OwnerSays::Closed { runs } = &says {
            self.check_forgotten(to, runs);
        }
        if let OwnerSays::Dispatch { lessee, runs, .. } = &says {
            let executor = &self.state.nodes[to].executor;
            let is_known = |dispatch: &Dispatch| {
                executor.runs().any(|run| (run.task, run.token) == (dispatch.task, dispatch.token))
            };
            if *lessee == executor.me() && !runs.iter().all(is_known) {
                self.lend(from, to);
            }
        }
        let mut asked = None;
        if let OwnerSays::Ask { term, .. } = &mut says
            && self.has(Sabotage::IgnoreFence)
        {
            asked = Some(std::mem::take(term));
        }
        let first = self.state.links[to][from].words.len();
        let is_told = !self.has(Sabotage::HideRelays);
        let event = if self.state.links[from][to].is_relayed && is_told {
            Event::Relayed { from: node_id(from), says }
        } else {
            Event::Owner { from: node_id(from), says }
        };
        self.step_executor(to, event);
        for says in self.state.links[to][from].words.iter_mut().skip(first) {
            if let ExecutorSays::Holds { term, .. } = Arc::make_mut(says) {
                *term = asked.unwrap_or(*term);
            }
        }
    }

    /// Sees to it that the owner at `from` holds a slot if one is free: it would not have leased to it
    /// otherwise. The owner on the executor's own node gives away one that it does not use.
    fn lend(&mut self, from: usize, to: usize) {
        let free: u32 = self.state.nodes[to].executor.free().iter().sum();
        if from == to || free == 0 {
            return;
        }
        let lessee = self.state.nodes[to].executor.me();
        let demand = OwnerSays::Demand { lessee, wanted: vec![1] };
        self.step_executor(to, Event::Owner { from: node_id(from), says: demand });
        let back = OwnerSays::Return { lessee, slots: vec![1] };
        self.step_executor(to, Event::Owner { from: node_id(to), says: back });
        let none = OwnerSays::Demand { lessee, wanted: vec![0] };
        self.step_executor(to, Event::Owner { from: node_id(from), says: none });
    }

    pub(super) fn step_executor(&mut self, at: usize, event: Event) {
        let now = self.state.nodes[at].now;
        let before = Arc::clone(&self.state.nodes[at].executor);
        let mut effects = Vec::new();
        Arc::make_mut(&mut self.state.nodes[at].executor).step(now, event, &mut effects);
        for effect in effects {
            match effect {
                Effect::Send { to, says } => {
                    // Lists of runs only tell owners what not to repeat, and here they repeat at any
                    // time; that they make up for a lost word to stop matters to nobody whose runs end.
                    // Whose slots are is no concern of this model.
                    if matches!(
                        says,
                        ExecutorSays::Beat { .. }
                            | ExecutorSays::Grant { .. }
                            | ExecutorSays::MayGoOn { .. }
                            | ExecutorSays::News { .. }
                            | ExecutorSays::Recall { .. }
                    ) {
                        continue;
                    }
                    let mut says = says;
                    if let ExecutorSays::Holds { runs, .. } = &mut says
                        && self.has(Sabotage::DenyAll)
                    {
                        runs.clear();
                    }
                    if let ExecutorSays::NeverHad { runs, .. } = &says {
                        self.state.denied.extend(runs.iter().copied());
                        if self.has(Sabotage::ForgetRefusals) {
                            self.state.nodes[at].executor = Arc::clone(&before);
                        }
                    }
                    let to = place_of(to);
                    if self.state.nodes[to].up {
                        self.state.links[at][to].words.push_back(Arc::new(says));
                    }
                }
                Effect::Retired => unreachable!("nobody told it to retire"),
                Effect::Heed { .. } | Effect::Tell { .. } => unreachable!("nobody watches"),
                Effect::Kill { .. } => unreachable!("no run must be alone here"),
                Effect::Start(start) => self.run_starts(at, &start),
                Effect::Stop { task, token } => {
                    self.state.nodes[at].stopping.insert((task, token));
                }
            }
        }
    }

    fn run_starts(&mut self, at: usize, start: &Start) {
        let key = (start.task, start.token);
        let me = self.state.nodes[at].executor.me();
        let record = self.state.log.partition.record(start.task);
        let lessee = record.and_then(|record| super::properties::lessee_of(&record, start.token));
        if lessee != Some(me) {
            self.breaks(format!("{} starts on {me:?} without a committed lease", start.token));
        }
        if self.state.denied.contains(&key) {
            self.breaks(format!("{} starts after it was denied", start.token));
        }
        if !self.state.started.insert(key) {
            self.breaks(format!("{} starts twice", start.token));
        }
        let holds = |run: HeldRun<'_>| (run.task, run.token) == key;
        if !self.state.nodes[at].executor.runs().any(holds) {
            self.breaks(format!("{} starts and is not held", start.token));
        }
        self.state.nodes[at].running.insert(key);
    }

    /// An executor forgets a run when it is told that its end is on record. A success must be: the
    /// task has ended, this way or another, or what was said of it is still under way.
    fn check_forgotten(&mut self, at: usize, runs: &[(TaskId, Token)]) {
        let mut lost = Vec::new();
        for run in self.state.nodes[at].executor.runs() {
            let key = (run.task, run.token);
            let succeeded = matches!(run.end, Some(Outcome::Succeeded(_)));
            let record = self.state.log.partition.record(run.task);
            let is_final = record.is_some_and(|record| record.state().is_final());
            if runs.contains(&key) && succeeded && !is_final && !self.is_told(at, key) {
                lost.push(run.token);
            }
        }
        for token in lost {
            self.breaks(format!("the success of {token} is forgotten, and its task goes on"));
        }
    }

    /// Whether the end of a run at `at` is under way to an owner or into the log.
    fn is_told(&self, at: usize, (task, token): (TaskId, Token)) -> bool {
        let links = self.state.links[at].iter();
        let said = links.flat_map(|link| link.words.iter().chain(&link.late_words));
        let is_said = said.into_iter().any(|says| match &**says {
            ExecutorSays::Outcomes { outcomes, .. } => {
                outcomes.iter().any(|end| (end.0, end.1) == (task, token))
            }
            _ => false,
        });
        let is_reported =
            |reports: &[Report]| reports.iter().any(|end| (end.task, end.token) == (task, token));
        let leader =
            self.state.log.leader.and_then(|leader| self.state.nodes[leader].owner.as_ref());
        is_said
            || leader.is_some_and(|owner| owner.line.reports.values().any(|r| is_reported(r)))
            || self.state.log.flight.iter().flat_map(|flight| &flight.commands).any(|command| {
                matches!(command, Command::Report { reports, .. } if is_reported(reports))
            })
    }
}
