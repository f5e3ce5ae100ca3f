//! Taking a step: from a state and an action to the next state, or to what is broken.

use std::sync::Arc;

use umbel_protocol::executor;
use umbel_protocol::id::{Incarnation, Lessee};
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{Failure, FailureKind, Outcome, Phase};
use umbel_protocol::wire::OwnerSays;

use super::Leases;
use super::actions::{Action, End};
use super::explore::{Model, Step};
use super::properties;
use super::sabotage::Sabotage;
use super::state::{PARTITION, State, node_id};

/// A step that is being taken.
pub struct Act {
    pub(super) state: State,
    pub(super) slots: u32,
    pub(super) seen: Vec<&'static str>,
    pub(super) broken: Option<String>,
    sabotage: Option<Sabotage>,
}

impl Act {
    pub(super) fn has(&self, sabotage: Sabotage) -> bool {
        self.sabotage == Some(sabotage)
    }

    pub(super) fn breaks(&mut self, what: String) {
        self.broken.get_or_insert(what);
    }

    fn take(&mut self, action: &Action) {
        match *action {
            Action::Beat(node) => self.beat(node),
            Action::BeatEarly(node) => {
                self.state.left.repeats -= 1;
                self.beat(node);
            }
            Action::Blame { at, of, wrongly } => {
                self.state.left.blames -= u8::from(wrongly);
                self.state.nodes[at].opinion[of].1 = Liveness::Down;
                self.tend(at);
            }
            Action::Break { orders, orders_back, words, words_back } => {
                self.break_links([orders, orders_back], [words, words_back]);
            }
            Action::Cancel(task) => self.cancel(task),
            Action::Commit => self.commit(),
            Action::Crash { node, heard } => self.crash(node, heard),
            Action::Demand { at, of } => {
                // By a name that none has.
                let lessee = Lessee { node: node_id(of), incarnation: Incarnation(0), executor: 0 };
                self.order(at, of, OwnerSays::Demand { lessee, wanted: Vec::new() });
            }
            Action::DispatchAgain { at, to, task, early } => {
                self.state.left.repeats -= u8::from(early);
                // `lessees::dispatch_again`: not to one that is about to be lost.
                if !self.is_losing(at, to) || self.has(Sabotage::KeepTakenBack) {
                    self.dispatch(at, to, task);
                }
            }
            Action::AskAgain { at, to, early } => {
                self.state.left.repeats -= u8::from(early);
                self.ask(at, to);
            }
            Action::End { node, task, token, end } => {
                let outcome = match end {
                    End::Cancelled => Outcome::Cancelled,
                    End::Failed => {
                        self.state.left.failures -= 1;
                        Outcome::Failed(Failure::new(FailureKind::Error, ""))
                    }
                    End::Succeeded => Outcome::Succeeded(bytes::Bytes::from_static(b"1")),
                };
                let here = &mut self.state.nodes[node];
                here.running.remove(&(task, token));
                here.stopping.remove(&(task, token));
                self.step_executor(node, executor::Event::Finished(vec![(task, token, outcome)]));
            }
            Action::HearOrder { from, to, late } => self.hear_order(from, to, late),
            Action::HearWord { from, to, late } => self.hear_word(from, to, late),
            Action::Learn { at, of } => self.learn(at, of),
            Action::Lease { to, task } => self.lease(to, task),
            Action::Overtake { from, to, is_order, place } => {
                self.overtake(from, to, is_order, place);
            }
            Action::Reach { at, to } => {
                self.state.nodes[at].reached[to] = false;
                self.step_executor(at, executor::Event::Reached(node_id(to)));
            }
            Action::Restart(node) => self.restart(node),
            Action::StepDown(node) => self.state.nodes[node].owner = None,
            Action::TakeOver { node, survives, vacant } => {
                self.state.left.takeovers -= u8::from(!vacant);
                self.take_over(node, survives);
            }
            Action::Wait => {
                let times =
                    self.state.log.partition.records().filter_map(|(_, record)| {
                        match record.phase() {
                            Phase::Scheduled { not_before } => Some(*not_before),
                            _ => None,
                        }
                    });
                let wall = self.state.wall;
                self.state.wall = times.filter(|at| *at > wall).min().unwrap_or(wall);
            }
        }
    }

    fn learn(&mut self, at: usize, of: usize) {
        let incarnation = self.state.nodes[of].incarnation;
        let alive = (Incarnation(incarnation), Liveness::Alive);
        let before = std::mem::replace(&mut self.state.nodes[at].opinion[of], alive);
        if before.1 == Liveness::Down {
            // Whoever is heard of again is told who is here: what was said to it may be lost.
            self.reach(at, of);
        }
        self.tend(at);
    }
}

impl Model for Leases {
    type State = State;
    type Action = Action;

    fn start(&self) -> State {
        State::start(self.bounds)
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        state.actions(actions);
    }

    fn is_fair(&self, action: &Action) -> bool {
        Self::happens(action)
    }

    fn next(&self, state: &State, action: &Action) -> Result<Step<State>, String> {
        let mut act = Act {
            state: state.clone(),
            slots: self.bounds.slots(),
            seen: Vec::new(),
            broken: None,
            sabotage: self.sabotage,
        };
        act.take(action);
        properties::check_step(state, &mut act);
        match act.broken {
            Some(what) => Err(what),
            None => Ok(Step { state: act.state, seen: act.seen }),
        }
    }

    fn is_at_rest(&self, state: &State) -> bool {
        properties::is_at_rest(state, self.bounds.slots())
    }

    fn digest(&self, state: &State, bytes: &mut Vec<u8>) {
        state.digest(bytes);
    }
}

impl Act {
    pub(super) fn order(&mut self, from: usize, to: usize, says: OwnerSays) {
        // Nobody is there, and what comes for a process that was is dropped.
        if self.state.nodes[to].up {
            self.state.links[from][to].orders.push_back(Arc::new(says));
        }
    }

    pub(super) fn ask(&mut self, at: usize, lessee: Lessee) {
        let Some(owner) = &self.state.nodes[at].owner else {
            return;
        };
        let (partition, term) = (PARTITION, owner.term);
        let to = super::state::place_of(lessee.node);
        self.order(at, to, OwnerSays::Ask { lessee, partition, term });
    }
}
