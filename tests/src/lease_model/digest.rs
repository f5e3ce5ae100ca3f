//! States as bytes: equal for those from which the same may follow.
//!
//! Left out are times, and where in the log entries stand: tokens are told by their term and by their
//! place among all tokens of the state, which is all that anybody compares.

use umbel_protocol::executor::Executor;
use umbel_protocol::id::{Lessee, NodeId, TaskId, Token};
use umbel_protocol::membership::Liveness;
use umbel_protocol::partition::{Command, Loss, Partition, Report};
use umbel_protocol::task::{Outcome, Phase, RunEnd};
use umbel_protocol::time::Wall;
use umbel_protocol::wire::{ExecutorSays, OwnerSays};

use super::state::{Bounds, Link, Node, Owner, State, place_of};

/// Writes a state, once to find its tokens and once for good.
struct Writer<'a> {
    bytes: &'a mut Vec<u8>,
    tokens: Vec<Token>,
    is_collecting: bool,
    wall: Wall,
}

impl State {
    /// Appends the state's digest.
    pub fn digest(&self, bytes: &mut Vec<u8>) {
        let first = bytes.len();
        let mut writer = Writer { bytes, tokens: Vec::new(), is_collecting: true, wall: self.wall };
        writer.state(self);
        writer.bytes.truncate(first);
        writer.tokens.sort_unstable();
        writer.tokens.dedup();
        writer.is_collecting = false;
        writer.state(self);
    }
}

#[allow(clippy::cast_possible_truncation, reason = "all numbers of a model are small")]
impl Writer<'_> {
    fn number(&mut self, number: impl TryInto<u8>) {
        let Ok(number) = number.try_into() else {
            panic!("a number of a model is small");
        };
        self.bytes.push(number);
    }

    fn flag(&mut self, flag: bool) {
        self.number(u8::from(flag));
    }

    fn node(&mut self, node: NodeId) {
        self.number(place_of(node));
    }

    fn lessee(&mut self, lessee: Lessee) {
        self.node(lessee.node);
        self.number(lessee.incarnation.0);
    }

    fn task(&mut self, task: TaskId) {
        // Ids of a model differ in their last byte.
        self.bytes.push(task.bits() as u8);
    }

    fn token(&mut self, token: Token) {
        if self.is_collecting {
            return self.tokens.push(token);
        }
        let place = self.tokens.partition_point(|known| *known < token);
        self.number(token.term);
        self.number(place);
    }

    fn run(&mut self, task: TaskId, token: Token) {
        self.task(task);
        self.token(token);
    }

    fn each<T>(&mut self, items: impl IntoIterator<Item = T>, mut write: impl FnMut(&mut Self, T)) {
        for item in items {
            self.bytes.push(1);
            write(self, item);
        }
        self.bytes.push(0);
    }

    fn runs<'a>(&mut self, runs: impl IntoIterator<Item = &'a (TaskId, Token)>) {
        self.each(runs, |writer, (task, token)| writer.run(*task, *token));
    }

    fn outcome(&mut self, outcome: &Outcome) {
        self.number(match outcome {
            Outcome::Cancelled => 0_u8,
            Outcome::Failed(_) => 1,
            Outcome::Succeeded(_) => 2,
            Outcome::Deferred { .. } => 3,
            Outcome::Dropped(_) => 4,
            Outcome::Snoozed { .. } => 5,
        });
    }

    fn state(&mut self, state: &State) {
        let Bounds {
            takeovers,
            crashes,
            blames,
            breaks,
            overtakes,
            repeats,
            failures,
            cancels,
            ..
        } = state.left;
        self.number(overtakes);
        self.bytes.extend([takeovers, crashes, blames, breaks, repeats, failures, cancels]);
        self.number(state.log.term);
        self.number(state.log.leader.map_or(9, |leader| leader));
        self.partition(&state.log.partition);
        self.each(&state.log.flight, |writer, flight| {
            writer.number(flight.term);
            writer.each(&flight.commands, Self::command);
        });
        for node in &state.nodes {
            self.one_node(node);
        }
        for link in state.links.iter().flatten() {
            self.link(link);
        }
        self.runs(&state.started);
        self.runs(&state.denied);
    }

    fn partition(&mut self, partition: &Partition) {
        self.each(partition.records(), |writer, (task, record)| {
            writer.task(task);
            writer.number(record.state() as u8);
            match record.phase() {
                Phase::Scheduled { not_before } => writer.flag(*not_before <= writer.wall),
                Phase::Leased(lease) => {
                    writer.lessee(lease.lessee);
                    writer.token(lease.token);
                    writer.flag(lease.cancelling);
                }
                Phase::Dead(failure) => writer.number(failure.kind as u8),
                Phase::Ready | Phase::Succeeded(_) | Phase::Cancelled | Phase::Expired => {}
            }
            writer.each(&record.history, |writer, history| {
                writer.number(history.failures);
                writer.number(history.crashes);
                writer.flag(history.cancelled);
                writer.number(history.starts);
                writer.each(&history.runs, |writer, run| {
                    writer.lessee(run.lessee);
                    writer.token(run.token);
                    writer.number(match run.end {
                        RunEnd::Cancelled => 0_u8,
                        RunEnd::CutOff => 1,
                        RunEnd::Failed(_) => 2,
                        RunEnd::Lost => 3,
                        RunEnd::NeverHad => 4,
                        RunEnd::Succeeded => 5,
                        RunEnd::Unheard => 6,
                        RunEnd::Dropped => 7,
                        RunEnd::Snoozed => 8,
                    });
                });
            });
        });
    }

    fn command(&mut self, command: &Command) {
        match command {
            Command::Accept { .. }
            | Command::Expire { .. }
            | Command::Forget { .. }
            | Command::ChangeJob { .. }
            | Command::Fire(_)
            | Command::GiveUp { .. }
            | Command::Retry { .. }
            | Command::Delete { .. }
            | Command::Withdraw { .. }
            | Command::ForgetTimed { .. }
            | Command::RunNow(_)
            | Command::Alert(_)
            | Command::NoteUnreported { .. } => {
                unreachable!("no model makes these")
            }
            Command::Lease { lessee, tasks } => {
                self.bytes.push(1);
                self.lessee(*lessee);
                self.each(tasks, |writer, task| writer.task(*task));
            }
            Command::Report { lessee, reports } => {
                self.bytes.push(2);
                self.lessee(*lessee);
                self.each(reports, Self::report);
            }
            Command::Release { runs } => {
                self.bytes.push(3);
                self.runs(runs);
            }
            Command::Lose { lessee, loss, .. } => {
                self.bytes.push(4);
                self.lessee(*lessee);
                self.flag(*loss == Loss::Unheard);
            }
            Command::Pardon { lessee } => {
                self.bytes.push(5);
                self.lessee(*lessee);
            }
            Command::Cancel { task } => {
                self.bytes.push(6);
                self.task(*task);
            }
        }
    }

    fn report(&mut self, report: &Report) {
        self.run(report.task, report.token);
        self.outcome(&report.outcome);
    }

    fn one_node(&mut self, node: &Node) {
        self.flag(node.up);
        self.number(node.incarnation);
        self.executor(&node.executor);
        self.runs(&node.running);
        self.runs(&node.stopping);
        for place in super::state::NODES {
            self.flag(node.reached[place]);
            self.each(node.present[place], |writer, lessee| writer.lessee(lessee));
            let (incarnation, liveness) = node.opinion[place];
            self.number(incarnation.0);
            self.flag(liveness == Liveness::Alive);
        }
        self.each(&node.owner, |writer, owner| writer.owner(owner));
    }

    fn executor(&mut self, executor: &Executor) {
        self.lessee(executor.me());
        self.each(executor.runs(), |writer, run| {
            writer.run(run.task, run.token);
            writer.node(run.owner);
            writer.node(run.dispatcher);
            writer.number(run.repeats);
            writer.each(run.end, Self::outcome);
        });
        self.each(executor.fences(), |writer, (_, term)| writer.number(term));
        self.each(executor.refused(), |writer, (task, token)| writer.run(task, token));
        self.each(executor.crossed(), |writer, node| writer.node(node));
    }

    fn owner(&mut self, owner: &Owner) {
        self.number(owner.term);
        self.partition(&owner.partition);
        self.each(&owner.leases, |writer, (lessee, runs)| {
            writer.lessee(*lessee);
            writer.each(runs, |writer, (task, token)| writer.run(*task, *token));
        });
        for lessees in [&owner.asked, &owner.losing, &owner.unheard] {
            self.each(lessees, |writer, lessee| writer.lessee(*lessee));
        }
        self.each(&owner.line.reports, |writer, (lessee, reports)| {
            writer.lessee(*lessee);
            writer.each(reports, Self::report);
        });
        self.each(&owner.line.commands, Self::command);
        self.each(&owner.line.leases, |writer, (lessee, tasks)| {
            writer.lessee(*lessee);
            writer.each(tasks, |writer, task| writer.task(*task));
        });
        self.each(&owner.line.cancels, |writer, task| writer.task(*task));
    }

    fn link(&mut self, link: &Link) {
        self.flag(link.is_relayed);
        for orders in [&link.orders, &link.late_orders] {
            self.each(orders, |writer, says| writer.order(says));
        }
        for words in [&link.words, &link.late_words] {
            self.each(words, |writer, says| writer.word(says));
        }
    }

    fn order(&mut self, says: &OwnerSays) {
        match says {
            OwnerSays::Ask { lessee, term, .. } => {
                self.bytes.push(1);
                self.lessee(*lessee);
                self.number(*term);
            }
            OwnerSays::Closed { runs } => {
                self.bytes.push(2);
                self.runs(runs);
            }
            OwnerSays::Demand { .. } => self.bytes.push(3),
            OwnerSays::Dispatch { lessee, runs, .. } => {
                self.bytes.push(4);
                self.lessee(*lessee);
                self.each(runs, |writer, dispatch| {
                    writer.run(dispatch.task, dispatch.token);
                    writer.number(dispatch.term);
                });
            }
            OwnerSays::Moved { owner, .. } => {
                self.bytes.push(5);
                self.node(*owner);
            }
            OwnerSays::Follow { .. } | OwnerSays::GoOn { .. } | OwnerSays::Return { .. } => {
                self.bytes.push(6);
            }
            OwnerSays::Stop { runs } => {
                self.bytes.push(7);
                self.runs(runs);
            }
        }
    }

    fn word(&mut self, says: &ExecutorSays) {
        self.lessee(says.lessee());
        match says {
            ExecutorSays::Beat { .. }
            | ExecutorSays::Grant { .. }
            | ExecutorSays::MayGoOn { .. }
            | ExecutorSays::News { .. }
            | ExecutorSays::Recall { .. } => {
                self.bytes.push(1);
            }
            ExecutorSays::Holds { term, runs, .. } => {
                self.bytes.push(2);
                self.number(*term);
                self.runs(runs);
            }
            ExecutorSays::Introduce { .. } => self.bytes.push(3),
            ExecutorSays::NeverHad { runs, .. } => {
                self.bytes.push(4);
                self.runs(runs);
            }
            ExecutorSays::Outcomes { outcomes, .. } => {
                self.bytes.push(5);
                self.each(outcomes, |writer, (task, token, outcome)| {
                    writer.run(*task, *token);
                    writer.outcome(outcome);
                });
            }
        }
    }
}
