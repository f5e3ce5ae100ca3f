//! The owner, rule by rule as in `protocol/src/scheduler`: the whole scheduler is too large to be told
//! apart from its like a million times, so what concerns leases is written down here once more. Each
//! function has the name of the one that it follows, most of them in `lessees`.

use std::collections::BTreeMap;
use std::sync::Arc;

use umbel_protocol::id::{Lessee, TaskId, Token};
use umbel_protocol::membership::Liveness;
use umbel_protocol::partition::{Change, Command, Loss, Report};
use umbel_protocol::task::{Outcome, Phase};
use umbel_protocol::wire::{Dispatch, ExecutorSays, OwnerSays};

use super::sabotage::Sabotage;
use super::state::{HOLD, Line, Owner, PARTITION, node_id, place_of, template};
use super::step::Act;

/// What is to be thought of the holder of a lease.
enum Standing {
    Present,
    Gone(Loss),
    Unknown,
}

impl Act {
    fn owner(&self, at: usize) -> Option<&Owner> {
        self.state.nodes[at].owner.as_deref()
    }

    fn owner_mut(&mut self, at: usize) -> Option<&mut Owner> {
        self.state.nodes[at].owner.as_mut().map(Arc::make_mut)
    }

    /// The line of the owner, if what is put there can be committed.
    fn line(&mut self, at: usize) -> Option<&mut Line> {
        if !self.leads(at) {
            return None;
        }
        self.owner_mut(at).map(|owner| &mut owner.line)
    }

    pub(super) fn executor_says(&mut self, at: usize, says: ExecutorSays) {
        match says {
            ExecutorSays::Introduce { lessee, .. } => self.introduced(at, lessee),
            ExecutorSays::Outcomes { lessee, outcomes } => self.outcomes(at, lessee, outcomes),
            ExecutorSays::NeverHad { lessee: _, runs } => self.release(at, runs),
            ExecutorSays::Holds { lessee, partition: _, term, runs } => {
                self.holds(at, lessee, term, &runs);
            }
            // Slots are taken for granted, lists of runs are not sent.
            ExecutorSays::Beat { .. }
            | ExecutorSays::Grant { .. }
            | ExecutorSays::MayGoOn { .. }
            | ExecutorSays::News { .. }
            | ExecutorSays::Recall { .. } => {}
        }
        self.tend(at);
    }

    fn introduced(&mut self, at: usize, lessee: Lessee) {
        if !self.is_replaced(at, lessee) {
            self.state.nodes[at].present[place_of(lessee.node)] = Some(lessee);
        }
    }

    pub(super) fn is_replaced(&self, at: usize, lessee: Lessee) -> bool {
        self.state.nodes[at].present[place_of(lessee.node)].is_some_and(|present| present > lessee)
    }

    fn knows_of(&self, at: usize, token: Token) -> bool {
        self.owner(at).is_some_and(|owner| token.term <= owner.term)
    }

    fn outcomes(&mut self, at: usize, lessee: Lessee, outcomes: Vec<(TaskId, Token, Outcome)>) {
        let executor = place_of(lessee.node);
        let mut closed = Vec::new();
        let mut reports = Vec::new();
        let mut elsewhere = false;
        for (task, token, outcome) in outcomes {
            let Some(owner) = self.owner(at).filter(|_| self.knows_of(at, token)) else {
                elsewhere = true;
                continue;
            };
            let record = owner.partition.record(task);
            if record.as_ref().is_none_or(|record| record.state().is_final()) {
                closed.push((task, token));
                continue;
            }
            let mut token = token;
            if let (true, Some(Phase::Leased(lease))) =
                (self.has(Sabotage::AnyToken), record.as_ref().map(|record| record.phase()))
            {
                token = lease.token;
            }
            reports.push(Report { task, token, outcome });
        }
        for (task, token) in &closed {
            self.forget_lease(at, lessee, *task, *token);
        }
        if let Some(line) = self.line(at).filter(|_| !reports.is_empty()) {
            line.reports.entry(lessee).or_default().extend(reports);
        }
        // `route::owner_of`: a copy follows whoever leads, and an owner is not told of others.
        let leader = self.state.log.leader.filter(|leader| *leader != at);
        if let (true, Some(leader)) = (elsewhere && self.owner(at).is_none(), leader) {
            let owner = node_id(leader);
            self.order(at, executor, OwnerSays::Moved { partition: PARTITION, owner });
        }
        if !closed.is_empty() {
            self.order(at, executor, OwnerSays::Closed { runs: closed });
        }
    }

    fn release(&mut self, at: usize, runs: Vec<(TaskId, Token)>) {
        if let Some(line) = self.line(at) {
            line.commands.push(Command::Release { runs });
        }
    }

    /// `takeover::holds`.
    fn holds(&mut self, at: usize, lessee: Lessee, term: u64, held: &[(TaskId, Token)]) {
        let Some(owner) = self.owner_mut(at) else {
            return;
        };
        if owner.term != term || !owner.asked.remove(&lessee) {
            return;
        }
        let leases = owner.leases.get(&lessee).into_iter().flatten();
        let mut lost: Vec<_> = leases.map(|(task, token)| (*task, *token)).collect();
        let leased = lost.len();
        lost.retain(|run| !held.contains(run) && run.1.term < term);
        if lost.len() < leased {
            self.seen.push("lease kept over a takeover");
        }
        if !lost.is_empty() {
            self.seen.push("lease never dispatched");
            self.release(at, lost);
        }
    }

    fn standing(&self, at: usize, lessee: Lessee) -> Standing {
        let (node, of) = (&self.state.nodes[at], place_of(lessee.node));
        if self.is_replaced(at, lessee) {
            return Standing::Gone(Loss::Restarted);
        }
        if of == at && lessee.incarnation.0 < node.incarnation {
            return Standing::Gone(Loss::Restarted);
        }
        let (incarnation, liveness) = node.opinion[of];
        if of != at && incarnation > lessee.incarnation {
            return Standing::Gone(Loss::Restarted);
        }
        let liveness = if of == at { Liveness::Alive } else { liveness };
        match liveness {
            Liveness::Down if self.has(Sabotage::NeverLose) => Standing::Unknown,
            Liveness::Down => Standing::Gone(Loss::Unheard),
            Liveness::Alive if node.present[of] == Some(lessee) => Standing::Present,
            Liveness::Alive | Liveness::Suspect => Standing::Unknown,
        }
    }

    /// `lessees::tend_lessees`, and `round`: both come some time after anything has happened, and are
    /// done at once here. That they come later is the same as that what they see happens later.
    pub(super) fn tend(&mut self, at: usize) {
        if self.leads(at) {
            self.end_leases(at);
            self.pardon_or_prove(at);
        }
        if let Some(owner) = self.owner(at) {
            // `takeover::ask_executors`: once its leases are closed nobody waits for an answer.
            let idle = |lessee: &Lessee| !owner.leases.contains_key(lessee);
            let idle: Vec<Lessee> = owner.asked.iter().copied().filter(idle).collect();
            if let Some(owner) = self.owner_mut(at).filter(|_| !idle.is_empty()) {
                owner.asked.retain(|lessee| !idle.contains(lessee));
            }
        }
        self.round(at);
    }

    fn end_leases(&mut self, at: usize) {
        let holders = self.owner(at).map(|owner| owner.leases.keys().copied());
        for lessee in holders.into_iter().flatten().collect::<Vec<_>>() {
            let Standing::Gone(loss) = self.standing(at, lessee) else {
                continue;
            };
            let Some(owner) = self.owner_mut(at) else {
                continue;
            };
            if owner.losing.insert(lessee) {
                owner.line.commands.push(Command::Lose { lessee, loss, hold: HOLD });
                if loss == Loss::Unheard {
                    owner.unheard.insert(lessee);
                }
            }
        }
    }

    fn pardon_or_prove(&mut self, at: usize) {
        let doubted = self.owner(at).map(|owner| owner.unheard.iter().copied());
        for lessee in doubted.into_iter().flatten().collect::<Vec<_>>() {
            let command = match self.standing(at, lessee) {
                Standing::Present => Command::Pardon { lessee },
                Standing::Gone(Loss::Restarted) => {
                    Command::Lose { lessee, loss: Loss::Restarted, hold: HOLD }
                }
                Standing::Gone(Loss::Unheard) | Standing::Unknown => continue,
            };
            if let Some(owner) = self.owner_mut(at) {
                owner.unheard.remove(&lessee);
                owner.line.commands.push(command);
            }
        }
    }

    /// `applied::after_entry`, and `outbox::flush_outbox`: closed runs are told first, then
    /// dispatches, then what is to stop.
    pub(super) fn after_entry(&mut self, at: usize, changes: Vec<Change>) {
        let mut closed: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        let mut leased = Vec::new();
        let mut stops: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for change in changes {
            match change {
                Change::Leased { task, token, lessee } => {
                    // `applied::leased`: one that went meanwhile, or whose loss is on its way, is not told
                    // of the run.
                    let starts = self.may_start(at, lessee) && !self.is_losing(at, lessee);
                    if starts || self.has(Sabotage::KeepTakenBack) {
                        self.note_lease(at, lessee, task, token);
                    }
                    if starts {
                        leased.push((lessee, task));
                    } else {
                        self.seen.push("lease taken back");
                        self.release(at, vec![(task, token)]);
                    }
                }
                Change::Closed { task, token, lessee }
                | Change::ClosedAlready { task, token, lessee } => {
                    self.forget_lease(at, lessee, task, token);
                    closed.entry(place_of(lessee.node)).or_default().push((task, token));
                }
                Change::Lost { task, token, lessee } => {
                    self.forget_lease(at, lessee, task, token);
                    if self.has(Sabotage::CloseLost) {
                        closed.entry(place_of(lessee.node)).or_default().push((task, token));
                    }
                }
                Change::Stop { task, token, lessee } => {
                    stops.entry(place_of(lessee.node)).or_default().push((task, token));
                }
                Change::Accepted { .. }
                | Change::Steered { .. }
                | Change::KeyFreed { .. }
                | Change::Ready { .. }
                | Change::Scheduled { .. }
                | Change::NotLeased { .. }
                | Change::Finished { .. }
                | Change::JobChanged { .. }
                | Change::JobDue { .. }
                | Change::JobFull { .. }
                | Change::JobNotice { .. } => {}
            }
        }
        for (to, runs) in closed {
            self.order(at, to, OwnerSays::Closed { runs });
        }
        for (lessee, task) in leased {
            self.dispatch(at, lessee, task);
        }
        for (to, runs) in stops {
            self.order(at, to, OwnerSays::Stop { runs });
        }
    }

    fn note_lease(&mut self, at: usize, lessee: Lessee, task: TaskId, token: Token) {
        if let Some(owner) = self.owner_mut(at) {
            owner.leases.entry(lessee).or_default().insert(task, token);
        }
    }

    /// `applied::is_losing`.
    pub(super) fn is_losing(&self, at: usize, lessee: Lessee) -> bool {
        self.owner(at).is_some_and(|owner| owner.losing.contains(&lessee))
    }

    /// `applied::may_start`.
    fn may_start(&self, at: usize, lessee: Lessee) -> bool {
        let (node, of) = (&self.state.nodes[at], place_of(lessee.node));
        let is_down = of != at && node.opinion[of].1 == Liveness::Down;
        node.present[of] == Some(lessee) && !is_down
    }

    fn forget_lease(&mut self, at: usize, lessee: Lessee, task: TaskId, token: Token) {
        let Some(owner) = self.owner_mut(at) else {
            return;
        };
        if let Some(leases) = owner.leases.get_mut(&lessee) {
            if leases.get(&task) == Some(&token) {
                leases.remove(&task);
            }
            if leases.is_empty() {
                owner.leases.remove(&lessee);
            }
        }
    }

    /// `applied::dispatch`.
    pub(super) fn dispatch(&mut self, at: usize, lessee: Lessee, task: TaskId) {
        let Some(owner) = self.owner(at) else {
            return;
        };
        let Some(token) = owner.leases.get(&lessee).and_then(|leases| leases.get(&task)).copied()
        else {
            return;
        };
        let Some(record) = owner.partition.record(task) else {
            return;
        };
        let is_leased = matches!(record.phase(), Phase::Leased(lease) if lease.token == token);
        if !is_leased {
            return;
        }
        let failures = record.history.as_ref().map_or(0, |history| history.failures);
        let run = Dispatch {
            task,
            token,
            attempt: failures.saturating_add(1),
            template: 0,
            args: record.args.clone(),
            term: owner.term,
            time_left: None,
            metadata: None,
        };
        let (templates, runs) = (vec![template()], vec![run]);
        let to = place_of(lessee.node);
        self.order(at, to, OwnerSays::Dispatch { lessee, templates, runs });
    }
}
