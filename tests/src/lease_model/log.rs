//! The log of the partition, and who leads it. Consensus itself is not modelled: an entry is
//! committed when it pleases, one is under way at a time, and of a leader that is deposed or dies the
//! last entry survives or does not.

use std::sync::Arc;

use umbel_protocol::id::TaskId;
use umbel_protocol::partition::{Change, Command, Proposal};
use umbel_protocol::task::{FailureKind, Phase, RunEnd};

use super::sabotage::Sabotage;
use super::state::{NODES, Owner};
use super::step::Act;

impl Act {
    /// The owner at `at`, if it is the one whose proposals count. What others put in line is never
    /// committed, and never shows: it is left out.
    pub(super) fn leads(&self, at: usize) -> bool {
        let owner = self.state.nodes[at].owner.as_ref();
        self.state.log.leader == Some(at)
            && owner.is_some_and(|owner| owner.term == self.state.log.term)
    }

    /// Proposes what waits, if nothing is under way: `round::propose_commands`.
    pub(super) fn round(&mut self, at: usize) {
        if !self.leads(at) || self.state.log.flight.is_some() {
            return;
        }
        let term = self.state.log.term;
        let Some(owner) = &mut self.state.nodes[at].owner else {
            return;
        };
        if owner.line.is_empty() {
            return;
        }
        let line = std::mem::take(&mut Arc::make_mut(owner).line);
        let mut commands = Vec::new();
        let reports = line.reports.into_iter();
        commands.extend(reports.map(|(lessee, reports)| Command::Report { lessee, reports }));
        commands.extend(line.commands);
        commands.extend(line.cancels.into_iter().map(|task| Command::Cancel { task }));
        let leases = line.leases.into_iter();
        commands.extend(leases.map(|(lessee, tasks)| Command::Lease { lessee, tasks }));
        let proposal = Proposal::new(term, self.state.wall, commands);
        self.state.log.flight = Some(Arc::new(proposal));
    }

    /// The owner leases a task: `dispatch::assign_pool`.
    pub(super) fn lease(&mut self, to: usize, task: TaskId) {
        let Some(leader) = self.state.log.leader else {
            return;
        };
        let lessee = self.state.nodes[leader].present[to].expect("it is there");
        if let Some(owner) = &mut self.state.nodes[leader].owner {
            Arc::make_mut(owner).line.leases.entry(lessee).or_default().push(task);
        }
        self.round(leader);
    }

    pub(super) fn cancel(&mut self, task: TaskId) {
        self.state.left.cancels -= 1;
        let Some(leader) = self.state.log.leader else {
            return;
        };
        if let Some(owner) = &mut self.state.nodes[leader].owner {
            Arc::make_mut(owner).line.cancels.push(task);
        }
        self.round(leader);
    }

    /// The entry under way is committed and applied by its owner: `applied::after_entry`.
    pub(super) fn commit(&mut self) {
        let (Some(at), Some(proposal)) = (self.state.log.leader, self.state.log.flight.take())
        else {
            return;
        };
        let changes = self.apply(&proposal);
        let partition = Arc::clone(&self.state.log.partition);
        if let Some(owner) = &mut self.state.nodes[at].owner {
            let owner = Arc::make_mut(owner);
            owner.partition = partition;
            for command in &proposal.commands {
                if let Command::Lose { lessee, .. } = command {
                    owner.losing.remove(lessee);
                }
            }
        }
        self.after_entry(at, changes);
        self.tend(at);
    }

    /// Applies an entry of the present term to the log.
    fn apply(&mut self, proposal: &Proposal) -> Vec<Change> {
        let log = &mut self.state.log;
        log.index += 1;
        let before = Arc::clone(&log.partition);
        let mut changes = Vec::new();
        let partition = Arc::make_mut(&mut log.partition);
        partition.apply(log.index, log.term, proposal.clone(), &mut changes);
        for (task, record) in log.partition.records() {
            let Some(old) = before.record(task) else {
                continue;
            };
            let ends = |record: &umbel_protocol::task::Record, end: RunEnd| {
                let runs = record.history.as_ref().map(|history| history.runs.as_slice());
                runs.unwrap_or_default().iter().filter(|run| run.end == end).count()
            };
            if ends(&record, RunEnd::CutOff) > ends(&old, RunEnd::CutOff) {
                self.seen.push("cut-off run pardoned");
            }
            let given_up = |record| ends(record, RunEnd::Unheard) + ends(record, RunEnd::CutOff);
            if given_up(&record) < given_up(&old) && matches!(record.phase(), Phase::Succeeded(_)) {
                self.seen.push("late success wins");
            }
            if matches!(record.phase(), Phase::Dead(why) if why.kind == FailureKind::Crashed) {
                self.seen.push("poison");
            }
            let is_held = |record: &umbel_protocol::task::Record| matches!(record.phase(), Phase::Scheduled { not_before } if *not_before > proposal.at);
            if is_held(&record) {
                self.seen.push("held for doubts");
            }
            super::properties::check_entry(task, &old, &record, &mut self.broken);
        }
        changes
    }

    /// `node` becomes owner in a new term: `takeover::take_over`. Whoever was it before goes on in
    /// the belief that it is, until it learns better.
    pub(super) fn take_over(&mut self, node: usize, survives: bool) {
        // In the code of the new owner this entry is of a term that is not its own: no conclusions
        // are drawn from it, they follow from the records.
        if let Some(proposal) = self.state.log.flight.take().filter(|_| survives) {
            self.seen.push("entry survives");
            self.apply(&proposal);
        }
        for at in NODES {
            if let Some(owner) = &mut self.state.nodes[at].owner {
                let owner = Arc::make_mut(owner);
                owner.line = super::state::Line::default();
                owner.losing.clear();
                owner.unheard.clear();
            }
        }
        let forgets = self.has(Sabotage::ForgetLeases);
        let lists = !self.has(Sabotage::LoseCount);
        let log = &mut self.state.log;
        log.term += 1;
        log.index += 1;
        log.leader = Some(node);
        let mut owner = Owner::new(log.term, Arc::clone(&log.partition));
        for (task, record) in log.partition.records() {
            if let Phase::Leased(lease) = record.phase() {
                if forgets {
                    let runs = vec![(task, lease.token)];
                    owner.line.commands.push(Command::Release { runs });
                } else if lists {
                    owner.leases.entry(lease.lessee).or_default().insert(task, lease.token);
                    owner.asked.insert(lease.lessee);
                }
            }
            let runs = record.history.as_ref().map(|history| history.runs.as_slice());
            for run in runs.unwrap_or_default().iter().filter(|run| run.end == RunEnd::Unheard) {
                owner.unheard.insert(run.lessee);
            }
        }
        let asked = owner.asked.clone();
        self.state.nodes[node].owner = Some(Arc::new(owner));
        for lessee in asked {
            // `takeover::ask_executors`: one that was replaced never answers.
            if !self.is_replaced(node, lessee) {
                self.ask(node, lessee);
            }
        }
        self.tend(node);
    }
}
