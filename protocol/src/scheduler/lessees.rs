//! Executors as owners see them: who is there, what each has of ours, and when one is gone.

use std::collections::btree_map::Entry;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::Bound;

use super::Scheduler;
use crate::id::{GroupId, Incarnation, Lessee, NodeId, PartitionId, TaskId, Token};
use crate::limits::BATCH_TASKS_MAX;
use crate::membership::Liveness;
use crate::partition::{Command, Loss, Report};
use crate::sabotage::{self, Defect};
use crate::task::{Outcome, Phase, State, Template};
use crate::time::{Span, Tick};
use crate::wire::{ExecutorSays, OwnerSays, Profile};

/// A run that its executor does not list so long after its dispatch is dispatched again.
const DISPATCH_AGAIN: Span = Span::from_millis(2_500);

/// What is known of executors.
#[derive(Debug, Default)]
pub(super) struct Lessees {
    /// The present executor of each node, and what it can run.
    present: BTreeMap<NodeId, (Lessee, Profile)>,
    /// Runs that are leased in partitions of this owner, and when they were last dispatched. A task
    /// has one at a time.
    leases: BTreeMap<Lessee, BTreeMap<TaskId, (Token, Tick)>>,
    /// Executors that were taken to be gone without proof, and where that was noted.
    unheard: BTreeMap<Lessee, BTreeSet<PartitionId>>,
}

impl Lessees {
    pub(super) fn present(&self) -> impl Iterator<Item = (Lessee, &Profile)> {
        self.present.values().map(|(lessee, profile)| (*lessee, profile))
    }

    pub(super) fn profile(&self, node: NodeId) -> Option<&Profile> {
        self.present.get(&node).map(|(_, profile)| profile)
    }

    /// What `lessee` can run, if it is the present executor of its node.
    pub(super) fn profile_of(&self, lessee: Lessee) -> Option<&Profile> {
        let (present, profile) = self.present.get(&lessee.node)?;
        (*present == lessee).then_some(profile)
    }

    /// The pool of the lessee's slots that tasks of `template` take.
    pub(super) fn pool(&self, lessee: Lessee, template: &Template) -> Option<usize> {
        self.profile_of(lessee)?.pool(&template.queue, &template.name)
    }

    pub(super) fn leased(&mut self, lessee: Lessee, task: TaskId, token: Token, now: Tick) {
        self.leases.entry(lessee).or_default().insert(task, (token, now));
    }

    pub(super) fn closed(&mut self, lessee: Lessee, task: TaskId, token: Token) {
        if let Some(leases) = self.leases.get_mut(&lessee) {
            if let Entry::Occupied(lease) = leases.entry(task)
                && lease.get().0 == token
            {
                lease.remove();
            }
            if leases.is_empty() {
                self.leases.remove(&lessee);
            }
        }
    }

    pub(super) fn unheard(&mut self, lessee: Lessee, partition: PartitionId) {
        self.unheard.entry(lessee).or_default().insert(partition);
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        for leases in self.leases.values_mut() {
            leases.retain(|task, _| task.partition() != partition);
        }
        self.leases.retain(|_, leases| !leases.is_empty());
        for partitions in self.unheard.values_mut() {
            partitions.remove(&partition);
        }
        self.unheard.retain(|_, partitions| !partitions.is_empty());
    }

    /// The executor of a node is of no use any more, whatever it says.
    pub(super) fn dismiss(&mut self, node: NodeId) {
        self.present.remove(&node);
    }

    /// Whether it holds any lease of a partition that is owned here.
    pub(super) fn has_leases(&self, lessee: Lessee) -> bool {
        self.leases.contains_key(&lessee)
    }

    /// Whether a later start of the same node's executor has introduced itself.
    pub(super) fn is_replaced(&self, lessee: Lessee) -> bool {
        self.present.get(&lessee.node).is_some_and(|(present, _)| *present > lessee)
    }

    /// Tasks that are leased in partitions of this owner.
    pub(super) fn leased_tasks(&self) -> Vec<TaskId> {
        self.leases.values().flat_map(|leases| leases.keys().copied()).collect()
    }

    /// How many runs each node has of ours.
    pub(super) fn runs(&self) -> Vec<(NodeId, u64)> {
        let mut runs: BTreeMap<NodeId, u64> = BTreeMap::new();
        for (lessee, leases) in &self.leases {
            *runs.entry(lessee.node).or_default() += leases.len() as u64;
        }
        runs.into_iter().collect()
    }

    /// Runs of `lessee` in `partition`.
    pub(super) fn runs_in(&self, lessee: Lessee, partition: PartitionId) -> Vec<(TaskId, Token)> {
        let leases = self.leases.get(&lessee);
        leases
            .into_iter()
            .flatten()
            .filter(|(task, _)| task.partition() == partition)
            .map(|(task, (token, _))| (*task, *token))
            .collect()
    }
}

/// What is to be thought of the holder of a lease.
enum Standing {
    Present,
    Gone(Loss),
    /// Not known yet.
    Unknown,
}

impl Scheduler {
    pub(super) fn executor_says(&mut self, says: ExecutorSays) {
        match says {
            ExecutorSays::Introduce { lessee, profile } => self.introduced(lessee, profile),
            ExecutorSays::Grant { lessee, slots } => {
                if self.is_present(lessee) {
                    self.slots.granted(lessee, &slots);
                }
            }
            ExecutorSays::Recall { lessee, wanted } => self.recalled(lessee, &wanted),
            ExecutorSays::Beat { lessee, runs } => self.beat(lessee, &runs),
            ExecutorSays::MayGoOn { lessee, number, runs } => {
                self.asked_to_go_on(lessee, number, &runs);
            }
            ExecutorSays::News { lessee, task, token, words, is_last } => {
                self.heard_news(lessee, (task, token), words, is_last);
            }
            ExecutorSays::Outcomes { lessee, outcomes } => self.outcomes(lessee, outcomes),
            ExecutorSays::NeverHad { lessee: _, runs } => self.never_had(runs),
            ExecutorSays::Holds { lessee, partition, term, runs } => {
                self.holds(lessee, partition, term, &runs);
            }
        }
    }

    pub(super) fn is_present(&self, lessee: Lessee) -> bool {
        self.lessees.present.get(&lessee.node).is_some_and(|(present, _)| *present == lessee)
    }

    fn introduced(&mut self, lessee: Lessee, profile: Profile) {
        if self.meta.as_ref().is_some_and(|meta| meta.is_forgotten(lessee.node)) {
            return;
        }
        if self.lessees.present.get(&lessee.node).is_some_and(|(present, _)| *present > lessee) {
            return;
        }
        // Its slots are counted anew: it took back those that it had granted.
        self.slots.forget(lessee.node);
        self.lessees.present.insert(lessee.node, (lessee, profile));
    }

    fn beat(&mut self, lessee: Lessee, held: &[(TaskId, Token)]) {
        let now = self.now.tick;
        self.guards.heard(held, now);
        if let Some(leases) = self.lessees.leases.get_mut(&lessee) {
            for (task, token) in held {
                if let Some((leased, seen_at)) = leases.get_mut(task)
                    && leased == token
                {
                    *seen_at = now;
                }
            }
        }
        // They were asked to stop once. That may have been lost, with a link or with the owner that
        // decided it, and nobody but this list tells.
        for (task, token) in held {
            if self.should_stop(*task, *token) {
                self.outbox.stop(lessee.node, *task, *token);
            }
        }
    }

    /// Whether a run that its executor holds is in vain, as far as this owner decides.
    fn should_stop(&self, task: TaskId, token: Token) -> bool {
        let Some(partition) = self.owned(task.partition()).filter(|_| self.knows_of(task, token))
        else {
            return false;
        };
        match partition.record(task).as_ref().map(|record| record.phase()) {
            // It has ended, so long ago that it is forgotten.
            None => true,
            Some(Phase::Leased(lease)) => lease.cancelling && lease.token == token,
            // The run was taken to be lost. A success of it still counts.
            Some(Phase::Scheduled { .. } | Phase::Ready) => false,
            Some(Phase::Succeeded(_) | Phase::Dead(_) | Phase::Cancelled | Phase::Expired) => true,
        }
    }

    /// Whether the lease of a run is in the log that this owner has applied. Its successor may have
    /// granted it: then this node only does not know yet that it is the owner no more.
    pub(super) fn knows_of(&self, task: TaskId, token: Token) -> bool {
        let replica = self.replicas.get(&GroupId::of(task.partition()));
        let owner = replica.and_then(|replica| replica.owner.as_ref());
        owner.is_some_and(|owner| token.term <= owner.term)
    }

    /// Runs that their executors do not list were not dispatched, or the dispatch was lost.
    pub(super) fn repeat_dispatches(&mut self) {
        let now = self.now.tick;
        let mut again = Vec::new();
        for (lessee, leases) in &mut self.lessees.leases {
            for (task, (token, seen_at)) in leases {
                if now.since(*seen_at) > DISPATCH_AGAIN {
                    *seen_at = now;
                    again.push((*lessee, *task, *token));
                }
            }
        }
        self.outbox.again.extend(again);
    }

    /// Repeats those whose leases hold at the end of the step. A run that was closed in it is not
    /// among them: its executor has forgotten it by then, and would start it anew. Nor is one whose
    /// executor is about to be lost.
    pub(super) fn dispatch_again(&mut self) {
        for (lessee, task, token) in std::mem::take(&mut self.outbox.again) {
            if self.is_present(lessee) && !self.is_losing(task.partition(), lessee) {
                self.dispatch(task, token, lessee);
            }
        }
    }

    fn outcomes(&mut self, lessee: Lessee, outcomes: Vec<(TaskId, Token, Outcome)>) {
        let mut elsewhere = BTreeSet::new();
        let mut reports: BTreeMap<PartitionId, Vec<Report>> = BTreeMap::new();
        for (task, token, outcome) in outcomes {
            let known = self.knows_of(task, token);
            let Some(partition) = self.owned(task.partition()).filter(|_| known) else {
                elsewhere.insert(task.partition());
                continue;
            };
            let ended = partition.state(task).is_none_or(State::is_final);
            if ended {
                // On record already, or a late end of a task that has ended: nothing to decide.
                self.lessees.closed(lessee, task, token);
                self.outbox.closed(lessee.node, task, token);
                continue;
            }
            if sabotage::has(Defect::CloseUncommitted) {
                self.outbox.closed(lessee.node, task, token);
            }
            reports.entry(task.partition()).or_default().push(Report { task, token, outcome });
        }
        for (partition, mut reports) in reports {
            if let Some(line) = self.line(partition) {
                line.reports.entry(lessee).or_default().append(&mut reports);
            }
        }
        for partition in elsewhere {
            if let Some(owner) = self.redirected_to(partition) {
                self.tell(lessee.node, OwnerSays::Moved { partition, owner });
            }
        }
    }

    fn never_had(&mut self, runs: Vec<(TaskId, Token)>) {
        let mut by_partition: BTreeMap<PartitionId, Vec<(TaskId, Token)>> = BTreeMap::new();
        for (task, token) in runs {
            by_partition.entry(task.partition()).or_default().push((task, token));
        }
        for (partition, runs) in by_partition {
            self.release(partition, &runs);
        }
    }

    /// Takes back runs of `partition` that their executors never had.
    pub(super) fn release(&mut self, partition: PartitionId, runs: &[(TaskId, Token)]) {
        if let Some(line) = self.line(partition) {
            // As many as an executor has slots, unless it talks nonsense: that too is to fit.
            let parts = runs.chunks(BATCH_TASKS_MAX);
            line.commands.extend(parts.map(|runs| Command::Release { runs: runs.to_vec() }));
        }
    }

    /// Notes what gossip tells of a node.
    pub(super) fn heard_of(&mut self, node: NodeId, incarnation: Incarnation, liveness: Liveness) {
        let now = self.now.tick;
        let peer = super::Peer { incarnation, liveness, since: now };
        let known = self.peers.get(&node).map(|peer| peer.incarnation);
        self.strangers.remove(&node);
        match self.peers.insert(node, peer) {
            Some(before) if before.incarnation > incarnation => {
                self.peers.insert(node, before);
                return;
            }
            Some(before) if before.liveness == liveness && before.incarnation == incarnation => {
                self.peers.insert(node, before);
                return;
            }
            _ => {}
        }
        match liveness {
            Liveness::Alive => self.wake_groups_with(node, known < Some(incarnation)),
            Liveness::Suspect => {}
            Liveness::Down => {
                self.loads.forget(node);
                self.lose_states_to(node);
                self.wake_groups_cut_off();
            }
        }
    }

    fn standing(&self, lessee: Lessee) -> Standing {
        if let Some((present, _)) = self.lessees.present.get(&lessee.node)
            && *present > lessee
        {
            return Standing::Gone(Loss::Restarted);
        }
        if lessee.node == self.node() && lessee.incarnation < self.settings.incarnation {
            return Standing::Gone(Loss::Restarted);
        }
        let peer = self.peers.get(&lessee.node);
        if peer.is_some_and(|peer| peer.incarnation > lessee.incarnation) {
            return Standing::Gone(Loss::Restarted);
        }
        if self.meta.as_ref().is_some_and(|meta| meta.is_forgotten(lessee.node)) {
            return Standing::Gone(Loss::Unheard);
        }
        match self.liveness(lessee.node) {
            Liveness::Down if sabotage::has(Defect::CutOffIsCrash) => {
                Standing::Gone(Loss::Restarted)
            }
            Liveness::Down => Standing::Gone(Loss::Unheard),
            Liveness::Alive if self.is_present(lessee) => Standing::Present,
            Liveness::Alive | Liveness::Suspect => Standing::Unknown,
        }
    }

    /// Ends the leases of executors that are gone, and pardons those that are back.
    pub(super) fn tend_lessees(&mut self) {
        let holders: Vec<Lessee> = self.lessees.leases.keys().copied().collect();
        for lessee in holders {
            let Standing::Gone(loss) = self.standing(lessee) else {
                continue;
            };
            let partitions: BTreeSet<PartitionId> = self
                .lessees
                .leases
                .get(&lessee)
                .into_iter()
                .flat_map(BTreeMap::keys)
                .filter(|task| loss == Loss::Restarted || !self.guards.has(**task))
                .map(|task| task.partition())
                .collect();
            for partition in partitions {
                self.lose(lessee, loss, partition);
            }
            if loss == Loss::Unheard {
                self.give_up_guarded(lessee);
            }
        }
        let hold = self.settings.limits.crash_hold;
        let doubted: Vec<Lessee> = self.lessees.unheard.keys().copied().collect();
        for lessee in doubted {
            let command = match self.standing(lessee) {
                Standing::Present => Command::Pardon { lessee },
                Standing::Gone(Loss::Restarted) => {
                    Command::Lose { lessee, loss: Loss::Restarted, hold }
                }
                Standing::Gone(Loss::Unheard) | Standing::Unknown => continue,
            };
            for partition in self.lessees.unheard.remove(&lessee).unwrap_or_default() {
                if let Some(line) = self.line(partition) {
                    line.commands.push(command.clone());
                }
            }
        }
    }

    fn lose(&mut self, lessee: Lessee, loss: Loss, partition: PartitionId) {
        let fresh = self.owner_mut(partition).is_some_and(|owner| owner.losing.insert(lessee));
        if !fresh {
            return;
        }
        let hold = self.settings.limits.crash_hold;
        if let Some(line) = self.line(partition) {
            line.commands.push(Command::Lose { lessee, loss, hold });
        }
        if loss == Loss::Unheard {
            self.lessees.unheard(lessee, partition);
        }
    }

    /// Executors of members that have not introduced themselves are spoken to, by a name that none
    /// has: they answer by saying who they are. An introduction may have been lost with its link. So may
    /// that of a successor, if something is leased to a later one than is known.
    pub(super) fn ask_for_introductions(&mut self) {
        let is_known = |node: NodeId| {
            self.lessees.present.get(&node).is_some_and(|(present, _)| {
                let later = (Bound::Excluded(*present), Bound::Unbounded);
                let next = self.lessees.leases.range(later).next();
                next.is_none_or(|(holder, _)| holder.node != node)
            })
        };
        let strangers: Vec<NodeId> =
            self.members().filter(|node| self.is_alive(*node) && !is_known(*node)).collect();
        for node in strangers {
            let lessee = Lessee { node, incarnation: Incarnation(0), executor: 0 };
            self.tell(node, OwnerSays::Demand { lessee, wanted: Vec::new() });
        }
    }

    /// Whether some member's executor has not introduced itself, though it may yet.
    pub(super) fn profiles_missing(&self) -> bool {
        self.meta.is_none()
            || self.members().any(|node| {
                !self.lessees.present.contains_key(&node) && self.liveness(node) != Liveness::Down
            })
    }
}
