//! What is done every tick, whether anything happens or not.

use rand::RngExt;

use super::asks::Origin;
use super::replica::{Owner, Replica};
use super::{Effect, Scheduler};
use crate::group::{Role, TICK};
use crate::id::{GroupId, NodeId, ReplicaId};
use crate::limits::META_VOTERS_MAX;
use crate::membership::Liveness;
use crate::placement::{Aim, next_change, ranking};
use crate::time::Span;
use crate::wire::{Answer, Envelope, PeerMessage, RequestError};

/// Groups that campaign in one tick at most when a node is suspected: its whole share at once would
/// be a herd.
const CAMPAIGNS_PER_TICK: usize = 64;
/// Groups handed to another owner in one tick at most.
const HANDOVERS_PER_TICK: usize = 16;
/// The same when this node is to own nothing: each is without an owner for a moment, and all should
/// be over within seconds.
const PARTINGS_PER_TICK: usize = 64;
/// How long a group must have been without work, and its better owner alive, before it is handed
/// over: rank alone never takes it from a healthy owner.
const QUIET_BEFORE_HANDOVER: Span = Span::from_millis(60_000);
/// The same for a group that has never had work: a new cluster spreads at once.
const QUIET_WHEN_NEW: Span = Span::from_millis(500);
/// How often each group's copies are looked after.
const MOVE_EVERY: Span = Span::from_millis(500);
/// Ticks between two of the slower rounds.
const SLOW_TURN: u64 = 10;

impl Scheduler {
    /// The deadline has come.
    pub(super) fn due(&mut self) {
        self.end_overdue_asks();
        if self.now.tick < self.tick_at {
            return;
        }
        self.woke(self.tick_at);
        // A node that slept does not make up for ticks: it would campaign at once.
        self.tick_at = self.now.tick + TICK;
        self.upkeep_turn += 1;
        for (id, replica) in &mut self.replicas {
            replica.group.tick();
            if replica.group.has_work() {
                self.dirty.insert(*id);
            }
        }
        self.suspect_leaders();
        self.tend_lessees();
        self.end_wishes();
        self.return_slots();
        self.tend_asks();
        self.tend_gatherings();
        self.repeat_dispatches();
        self.repeat_reads();
        self.tend_states();
        self.tend_watches();
        self.tend_groups();
        self.warm_records();
        self.tell_if_left();
        if self.upkeep_turn.is_multiple_of(SLOW_TURN) {
            self.compare_meta();
            self.ask_for_introductions();
            self.ask_for_strays();
            self.ask_to_join();
            self.raise_version();
            self.tend_waits();
            self.sweep_indexes();
            self.mourn();
        }
    }

    fn tend_groups(&mut self) {
        let led = self.replicas.iter().filter(|(_, replica)| replica.owner.is_some());
        let led: Vec<GroupId> = led.map(|(id, _)| *id).collect();
        let slow = self.upkeep_turn.is_multiple_of(SLOW_TURN);
        let mut handovers = 0;
        let most = if self.is_fit(self.node()) { HANDOVERS_PER_TICK } else { PARTINGS_PER_TICK };
        if slow {
            self.clocks.doubt();
        }
        for id in led {
            let due = self
                .replicas
                .get_mut(&id)
                .and_then(Replica::settled)
                .is_some_and(|owner| self.now.tick.since(owner.moved_at) >= MOVE_EVERY);
            if due {
                self.move_copies(id);
            }
            if handovers < most && (self.part_with(id) || self.hand_over(id)) {
                handovers += 1;
            }
            if !self.replicas.get(&id).is_some_and(Replica::is_settled) {
                continue;
            }
            self.ask_executors(id);
            if slow {
                self.note_time(id);
                self.retain(id);
            }
        }
    }

    /// Followers of a leader whose node is suspected campaign, a few at a time.
    fn suspect_leaders(&mut self) {
        let mut left = CAMPAIGNS_PER_TICK;
        let suspected: Vec<(GroupId, NodeId)> = (self.replicas.iter())
            .filter(|(_, replica)| replica.group.role() == Role::Follower)
            .filter_map(|(id, replica)| replica.group.leader().map(|leader| (*id, leader)))
            .filter(|(_, leader)| self.peers.contains_key(leader) && !self.is_alive(*leader))
            .collect();
        for (id, leader) in suspected {
            if left == 0 {
                break;
            }
            let jitter = self.rng.random_range(0..3);
            if let Some(replica) = self.replicas.get_mut(&id) {
                replica.group.suspect_leader(leader, jitter);
                left -= 1;
            }
        }
    }

    /// A node is back: leaders of groups that it holds copies of speak to it, so that it does not
    /// campaign for want of a leader.
    ///
    /// If it `was_started_again`, it leads nothing any more, and may have lost the copies with which
    /// it led: whoever slept and trusted in it must see to a new leader.
    pub(super) fn wake_groups_with(&mut self, node: NodeId, was_started_again: bool) {
        for (id, replica) in &mut self.replicas {
            let group = &mut replica.group;
            let is_leader = group.role() == Role::Leader;
            let is_orphan = was_started_again && group.leader() == Some(node);
            let copy = group.roster().replica_on(node);
            if is_orphan || (is_leader && copy.is_some()) {
                group.wake();
                self.dirty.insert(*id);
            }
            if let (Some(owner), Some(copy)) = (&mut replica.owner, copy) {
                owner.heard.remove(&copy);
            }
        }
    }

    /// Takes the next step that brings the copies of a group to where they should be.
    pub(super) fn move_copies(&mut self, id: GroupId) {
        let now = self.now.tick;
        let Some(aim) = self.aim(id) else {
            return;
        };
        let Some(replica) = self.replicas.get_mut(&id) else {
            return;
        };
        let Some(owner) = replica.owner.as_mut().filter(|owner| owner.is_settled) else {
            return;
        };
        owner.moved_at = now;
        let group = &replica.group;
        if group.is_changing() && !group.copies().is_joint() {
            return;
        }
        // What was replaced is not remembered.
        owner.lost.retain(|copy| group.roster().node(*copy).is_some());
        owner.heard.retain(|copy| group.roster().node(*copy).is_some());
        let lost = &owner.lost;
        let change = next_change(
            &group.copies(),
            group.roster(),
            &aim,
            |copy| group.is_caught_up(copy),
            |copy| lost.contains(&copy),
        );
        let Some(mut change) = change else {
            return;
        };
        let own = group.replica();
        let leaves =
            |copy: &ReplicaId| change.removed.contains(copy) || change.demoted.contains(copy);
        if leaves(&own) {
            // An owner never takes its own vote: it lets another lead, which then does.
            let staying: Vec<ReplicaId> =
                group.copies().voters.into_iter().filter(|copy| !leaves(copy)).collect();
            let ready = staying.iter().filter(|copy| group.is_caught_up(**copy));
            let nodes: Vec<NodeId> = ready.filter_map(|copy| group.roster().node(*copy)).collect();
            let next = nodes.into_iter().min_by_key(|node| self.lead_worth(*node));
            if next.is_some_and(|next| self.burden_of(next) > self.burden_of(self.node())) {
                // It would have this one lead again.
                return;
            }
            if let Some(to) = next
                && let Some(replica) = self.replicas.get_mut(&id)
            {
                replica.group.hand_over(to);
                self.dirty.insert(id);
                return;
            }
            if !staying.is_empty() {
                return;
            }
            // Nobody is left to lead: it keeps its vote in place of the last of the new ones.
            change.removed.retain(|copy| *copy != own);
            change.demoted.retain(|copy| *copy != own);
            if change.promoted.len() > 1 {
                change.promoted.pop();
            }
        }
        if let Some(replica) = self.replicas.get_mut(&id) {
            // Refused while another change is under way: the next upkeep tries again.
            let _ = replica.group.propose_change(&change);
            self.dirty.insert(id);
        }
    }

    /// Where the copies of a group should be.
    pub(super) fn aim(&self, id: GroupId) -> Option<Aim> {
        let meta = self.meta.as_ref()?;
        let limit = match id.partition() {
            Some(_) => usize::from(meta.replicas),
            None => META_VOTERS_MAX,
        };
        let mut eligible = ranking(id, meta.serving().filter(|node| !self.is_given_up(*node)));
        // Those that cannot do their part keep what they have, and come last for what is new.
        let roster = self.replicas.get(&id).map(|replica| replica.group.roster());
        let holds = |node: NodeId| roster.is_some_and(|roster| roster.replica_on(node).is_some());
        eligible.sort_by_key(|node| !holds(*node) && !self.is_fit(*node));
        Some(Aim { eligible, copies: limit.min(meta.serving().count()) })
    }

    /// Whether a member has been away for so long that others take over its copies.
    fn is_given_up(&self, node: NodeId) -> bool {
        if node == self.node() {
            return false;
        }
        let since = match self.peers.get(&node) {
            Some(peer) if peer.liveness == Liveness::Down => peer.since,
            Some(_) => return false,
            None => self.unheard_since(node),
        };
        self.now.tick.since(since) > self.settings.replace_after
    }

    /// Hands a quiet group to the node that ranks first among its voters; whether it did.
    fn hand_over(&mut self, id: GroupId) -> bool {
        let now = self.now.tick;
        let Some(replica) = self.replicas.get(&id) else {
            return false;
        };
        let is_at_rest = |owner: &&Owner| owner.is_settled && owner.line.is_empty();
        let Some(owner) = replica.owner.as_ref().filter(is_at_rest) else {
            return false;
        };
        if owner.best == Some(self.node()) {
            return false;
        }
        let is_new = replica.partition().is_some_and(|p| p.fill() == Default::default());
        let patience = if is_new { QUIET_WHEN_NEW } else { QUIET_BEFORE_HANDOVER };
        if now.since(owner.worked_at) < patience || replica.group.is_changing() {
            return false;
        }
        let roster = replica.group.roster();
        let voters = || roster.iter().filter(|(copy, _)| replica.group.votes(*copy));
        let best =
            owner.best.or_else(|| ranking(id, voters().map(|(_, node)| node)).first().copied());
        let Some(best) = best else {
            return false;
        };
        let ready = self.peers.get(&best).is_some_and(|peer| {
            peer.liveness == Liveness::Alive && now.since(peer.since) >= patience
        });
        let goes = ready
            && self.is_fit(best)
            && roster.replica_on(best).is_some_and(|copy| replica.group.is_caught_up(copy))
            && self.aim(id).is_some_and(|aim| voters().count() >= aim.voters(voters().count()));
        if let Some(owner) = self.replicas.get_mut(&id).and_then(Replica::settled) {
            owner.best = Some(best);
        }
        if !goes {
            return false;
        }
        if let Some(replica) = self.replicas.get_mut(&id) {
            replica.group.hand_over(best);
            self.dirty.insert(id);
        }
        true
    }

    /// A new way to a node was opened.
    pub(super) fn reached(&mut self, node: NodeId) {
        self.lose_states_to(node);
        // It may have been started again: gossip will tell, and not as fast.
        self.wake_groups_with(node, false);
        let version = self.meta.as_ref().map_or(0, |meta| meta.version);
        self.outbox.send(node, PeerMessage::MetaVersion(version));
        if self.meta.is_none() || !self.is_member {
            let join = self.settings.join.clone();
            self.outbox.send(node, PeerMessage::Join(join));
        }
    }

    pub(super) fn peer_says(&mut self, from: NodeId, envelope: Envelope) {
        self.clocks.heard(from, envelope.clock, self.now.tick);
        for message in envelope.messages {
            match message {
                PeerMessage::Answer { id, answer } => self.answered(from, id, answer),
                PeerMessage::Ask { id, deadline: _, ask } => {
                    self.serve(Origin::Peer(from, id), ask);
                }
                PeerMessage::FromExecutor(says) => {
                    if says.node() == from {
                        self.executor_says(says);
                    }
                }
                PeerMessage::Group(messages) => {
                    for message in messages {
                        self.group_says(from, message);
                    }
                }
                PeerMessage::Join(join) => self.wants_to_join(join),
                PeerMessage::Joined(result) => self.joined(result),
                PeerMessage::Meta(meta) => self.learn_meta(*meta),
                PeerMessage::MetaVersion(version) => self.compared_meta(from, version),
                PeerMessage::AskPermits(ask) => self.permits_asked(from, ask),
                PeerMessage::Permits(given) => {
                    if self.home_of(&given.subject).and_then(|home| self.owner_of(home))
                        == Some(from)
                    {
                        self.permitted(&given);
                    }
                }
                // The driver hands these to the executor, and to whoever decides on ways.
                PeerMessage::NoWay { .. } | PeerMessage::Relay(_) | PeerMessage::ToExecutor(_) => {}
            }
        }
    }

    /// All members.
    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> {
        self.meta.iter().flat_map(|meta| meta.members.keys().copied())
    }

    /// Answers with an error that is final.
    pub(super) fn fail(&mut self, origin: Origin, error: RequestError) {
        match origin {
            Origin::Here(id) => {
                if let Some(caller) = self.asks.close(id) {
                    let answer = Answer::Failed(error);
                    self.outbox.effects.push(Effect::Answer { caller, answer, is_last: true });
                }
            }
            Origin::Peer(..) => self.answer(origin, Answer::Failed(error)),
        }
    }
}
