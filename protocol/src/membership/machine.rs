//! The machine itself: which event does what, and in which order.

use std::collections::BTreeMap;
use std::sync::mpsc::{self, Receiver};

use bytes::Bytes;
use foca::{Foca, Member, Message, State, Timer};
use rand::SeedableRng;
use rand::rngs::Xoshiro256PlusPlus;

use super::codec::{Codec, decode_header};
use super::health::Health;
use super::load::{Listener, News, Teller};
use super::roster::Roster;
use super::search::Search;
use super::timers::{Outbox, Timers};
use super::{Config, Effect, Event, Identity, Liveness, Load, Peer, Rejection};
use crate::id::{Incarnation, NodeId};
use crate::limits::{DATAGRAM_BYTES_MAX, MEMBERS_MAX};
use crate::time::{Span, Tick};
use crate::wire::DecodeError;

/// Nodes that are remembered, dead ones included.
const KNOWN_MAX: usize = 2 * MEMBERS_MAX;
/// A node that was declared down comes back at most once in this time. Else two processes under one
/// id would drive each other through renewals as fast as datagrams travel.
const REJOIN_PAUSE: Span = Span::from_millis(1_000);

/// Forms this node's opinion of who is alive.
///
/// One owner drives it: it calls [`step`](Self::step) with every event as it comes, and with
/// [`Event::Tick`] when [`next_deadline`](Self::next_deadline) has come, which it asks for anew
/// after each step. `now` never goes back. Effects are to be performed in order; a datagram that
/// cannot be sent is simply lost. The same seed and events give the same effects, byte for byte.
pub struct Membership {
    config: Config,
    foca: Foca<Identity, Codec, Xoshiro256PlusPlus, Listener>,
    journal: Receiver<Member<Identity>>,
    news: Receiver<News>,
    timers: Timers,
    roster: Roster,
    search: Search,
    health: Health,
    teller: Teller,
    loads: BTreeMap<NodeId, (Incarnation, Load)>,
    /// The size of the cluster and the patience that the engine is set to.
    tuned: (usize, u64),
    rejoined_at: Option<Tick>,
    superseded_by: Option<Identity>,
    rejected: u64,
    left: bool,
}

impl Membership {
    /// A machine that knows nobody. `seed` must differ from node to node, else all choose alike.
    #[must_use]
    pub fn new(config: Config, me: Identity, seed: u64) -> Self {
        // Sends and receives in one thread: channels only because the engine owns its codec and
        // its listener, and does not lend them out.
        let (journal_in, journal) = mpsc::channel();
        let (news_in, news) = mpsc::channel();
        let mut rng = Xoshiro256PlusPlus::seed_from_u64(seed);
        let search = Search::new(rand::Rng::next_u64(&mut rng));
        let tuned = (1, 1);
        Self {
            config,
            foca: Foca::with_custom_broadcast(
                me,
                config.engine(tuned.0, tuned.1),
                rng,
                Codec::new(journal_in),
                Listener::new(me.node, news_in),
            ),
            journal,
            news,
            timers: Timers::default(),
            roster: Roster::new(me.node),
            search,
            health: Health::default(),
            teller: Teller::default(),
            loads: BTreeMap::new(),
            tuned,
            rejoined_at: None,
            superseded_by: None,
            rejected: 0,
            left: false,
        }
    }

    /// Takes in one event and writes down what is to be done.
    pub fn step(&mut self, now: Tick, event: Event, effects: &mut Vec<Effect>) {
        if self.left {
            return;
        }
        if let Some(span) = self.health.held_up(now, self.timers.next_deadline()) {
            self.timers.postpone(span);
        }
        match event {
            Event::Announce { to } => self.announce(now, to, effects),
            Event::Forget { node } => self.forget(now, node, effects),
            Event::Heard { node } => self.roster.heard(node),
            Event::Leave => return self.leave(now, effects),
            Event::LoadChanged(load) => self.teller.set(now, load),
            Event::Received { from, data } => self.receive(now, from, &data, effects),
            Event::Restore(identities) => self.restore(now, identities, effects),
            Event::Silent { node } => self.silence(now, node, effects),
            Event::Tick => self.tick(now, effects),
        }
        self.settle(now, effects);
    }

    /// When [`Event::Tick`] is due, [`Tick::NEVER`] if nothing is waited for.
    #[must_use]
    pub fn next_deadline(&self) -> Tick {
        self.timers
            .next_deadline()
            .min(self.search.next_deadline())
            .min(self.teller.next_deadline())
    }

    /// Who this node is to the others at present.
    #[must_use]
    pub const fn me(&self) -> &Identity {
        self.foca.identity()
    }

    /// What is thought of `node`, if anything is known of it.
    #[must_use]
    pub fn liveness(&self, node: NodeId) -> Option<Liveness> {
        self.roster.liveness(node)
    }

    /// All nodes that are known, but this one, and what is thought of them.
    pub fn nodes(&self) -> impl Iterator<Item = (&Identity, Liveness)> {
        let liveness = |identity: &Identity| self.roster.liveness(identity.node);
        self.roster.identities().filter_map(move |one| Some((one, liveness(one)?)))
    }

    /// What `node` last told of its load, while it is known.
    #[must_use]
    pub fn load(&self, node: NodeId) -> Option<&Load> {
        self.loads.get(&node).map(|(_, load)| load)
    }

    /// What all nodes that are known last told of their loads, and in which of their lives.
    pub fn loads(&self) -> impl Iterator<Item = (NodeId, Incarnation, Load)> {
        self.loads.iter().map(|(node, (incarnation, load))| (*node, *incarnation, *load))
    }

    /// How many datagrams were rejected.
    #[must_use]
    pub const fn rejected(&self) -> u64 {
        self.rejected
    }

    /// Whether the roster says of every node what the engine says.
    #[cfg(test)]
    pub(super) fn is_consistent(&self) -> bool {
        let me = self.me().node;
        let others = || self.foca.iter_membership_state().filter(|one| one.id().node != me);
        others().count() == self.roster.len() && others().all(|one| self.roster.mirrors(one))
    }

    fn announce(&mut self, now: Tick, to: Peer, effects: &mut Vec<Effect>) {
        if to.node == self.me().node {
            return;
        }
        if self.roster.liveness(to.node).is_none_or(|liveness| liveness == Liveness::Down) {
            if self.roster.identity(to.node).is_none() {
                self.search.want(to);
            }
            self.greet(now, Identity::any_of(to), effects);
        }
    }

    fn forget(&mut self, now: Tick, node: NodeId, effects: &mut Vec<Effect>) {
        self.search.forget(node);
        self.loads.remove(&node);
        if self.roster.liveness(node) == Some(Liveness::Down)
            && let Some(identity) = self.roster.identity(node)
        {
            self.roster.remove(&identity);
            self.run_timer(now, Timer::RemoveDown(identity), effects);
        }
    }

    fn leave(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let outbox = Outbox { now, timers: &mut self.timers, effects };
        if let Err(error) = self.foca.leave_cluster(outbox) {
            self.reject(None, Rejection::Refused(error.to_string()), effects);
        }
        self.left = true;
        self.timers.clear();
        self.search = Search::new(0);
        self.teller = Teller::default();
    }

    fn restore(&mut self, now: Tick, identities: Vec<Identity>, effects: &mut Vec<Effect>) {
        let room = KNOWN_MAX.saturating_sub(self.roster.len());
        let me = *self.me();
        let members: Vec<_> = identities
            .into_iter()
            .filter(|one| one.node != me.node)
            .take(room)
            .map(Member::alive)
            .collect();
        // Others know them already: the engine is not to spread them, so it does not write them
        // down either, and the journal is filled here.
        let before: Vec<_> =
            members.iter().filter(|one| self.is_older(one.id())).cloned().collect();
        let outbox = Outbox { now, timers: &mut self.timers, effects };
        if let Err(error) = self.foca.apply_many(members.into_iter(), false, outbox) {
            self.reject(None, Rejection::Refused(error.to_string()), effects);
        }
        for member in before {
            self.take_over(&member);
        }
    }

    fn is_older(&self, than: &Identity) -> bool {
        self.roster.identity(than.node).is_none_or(|known| known < *than)
    }

    fn silence(&mut self, now: Tick, node: NodeId, effects: &mut Vec<Effect>) {
        if let Some(identity) = self.roster.silence(node, now + self.config.silence_max) {
            self.greet(now, identity, effects);
        }
    }

    fn receive(
        &mut self,
        now: Tick,
        from: Option<NodeId>,
        data: &Bytes,
        effects: &mut Vec<Effect>,
    ) {
        if data.len() > DATAGRAM_BYTES_MAX {
            let why = DecodeError::TooLong { bytes: data.len(), limit: DATAGRAM_BYTES_MAX };
            return self.reject(from, Rejection::Malformed(why), effects);
        }
        let header = match decode_header(data) {
            Ok(header) => header,
            Err(error) => return self.reject(from, Rejection::Malformed(error), effects),
        };
        let claimed = header.src.node;
        self.check_place(&header.src, effects);
        self.check_place(&header.dst, effects);
        if claimed == self.me().node {
            return self.reject(from, Rejection::FromOurselves, effects);
        }
        if from.is_some_and(|from| from != claimed) {
            return self.reject(from, Rejection::Foreign { claimed }, effects);
        }
        if self.roster.len() >= KNOWN_MAX && self.roster.identity(claimed).is_none() {
            return self.reject(from, Rejection::Crowded, effects);
        }
        let rested = self.rejoined_at.is_none_or(|at| now.since(at) >= REJOIN_PAUSE);
        if header.message == Message::TurnUndead && !rested {
            return;
        }
        let me = *self.me();
        if header.dst != me && header.dst.same_process(&me) {
            // The sender has not heard of our new bump, and the engine does not listen to what is
            // meant for the old one: without a word from us it would find us dead once more.
            self.greet(now, header.src, effects);
        }
        let alone = self.roster.size() == 1;
        let outbox = Outbox { now, timers: &mut self.timers, effects };
        if let Err(error) = self.foca.handle_data(data, outbox) {
            self.reject(Some(claimed), Rejection::Refused(error.to_string()), effects);
        }
        if *self.me() != me {
            self.rejoined_at = Some(now);
            self.teller.repeat();
        }
        let discovered = self.read_journal(effects);
        if discovered > 0 && (alone || header.message == Message::Feed) {
            self.search.discovered(now, self.roster.size());
        }
        if self.roster.identity(claimed) == Some(header.src) {
            self.roster.heard(claimed);
        }
    }

    fn tick(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        // What a timer asks for lies ahead, so this ends by itself; the bound is for the reader.
        for _ in 0..=self.timers.len() {
            let Some(timer) = self.timers.pop_due(now) else { break };
            self.run_timer(now, timer, effects);
        }
        self.roster.expire_silence(now);
        for identity in self.search.due(now, &self.roster) {
            self.greet(now, identity, effects);
        }
        if let Some(telling) = self.teller.tell(now, self.foca.identity())
            && let Err(error) = self.foca.add_broadcast(&telling)
        {
            self.reject(None, Rejection::Refused(error.to_string()), effects);
        }
    }

    fn run_timer(&mut self, now: Tick, timer: Timer<Identity>, effects: &mut Vec<Effect>) {
        let probes = matches!(timer, Timer::ProbeRandomMember(_));
        match &timer {
            // The engine (2.0) tells a member that it is down whenever its suspicion ends, even if
            // that was refuted: a healthy node would renew itself for nothing.
            Timer::ChangeSuspectToDown { member_id, incarnation, .. }
                if !self.roster.suspects(member_id, *incarnation) =>
            {
                return;
            }
            Timer::RemoveDown(identity) => {
                if self.roster.remove(identity) {
                    self.loads.remove(&identity.node);
                    self.search.want(identity.peer());
                }
            }
            Timer::ChangeSuspectToDown { .. }
            | Timer::PeriodicAnnounce(_)
            | Timer::PeriodicAnnounceDown(_)
            | Timer::PeriodicGossip(_)
            | Timer::ProbeRandomMember(_)
            | Timer::SendIndirectProbe { .. } => {}
        }
        let outbox = Outbox { now, timers: &mut self.timers, effects };
        if let Err(error) = self.foca.handle_timer(timer, outbox) {
            self.reject(None, Rejection::Refused(error.to_string()), effects);
        }
        if probes {
            self.health.probed(now);
        }
        while let Ok(member) = self.journal.try_recv() {
            // In this call the engine suspects only whom it has just failed to reach itself.
            if probes && member.state() == State::Suspect {
                self.health.probe_failed(now, member.id().node);
            }
            self.take_over(&member);
        }
    }

    fn greet(&mut self, now: Tick, identity: Identity, effects: &mut Vec<Effect>) {
        let outbox = Outbox { now, timers: &mut self.timers, effects };
        if let Err(error) = self.foca.announce(identity, outbox) {
            self.reject(None, Rejection::Refused(error.to_string()), effects);
        }
    }

    /// Reads what the engine has written down. How many nodes were unknown before.
    fn read_journal(&mut self, effects: &mut Vec<Effect>) -> usize {
        let mut discovered = 0;
        while let Ok(member) = self.journal.try_recv() {
            self.check_place(member.id(), effects);
            discovered += usize::from(self.take_over(&member));
        }
        discovered
    }

    fn take_over(&mut self, member: &Member<Identity>) -> bool {
        let node = member.id().node;
        let first = self.roster.note(member);
        if first {
            self.search.settle(node);
            self.teller.repeat();
        }
        first
    }

    /// Whether another process took this one's place, told once for each such process.
    fn check_place(&mut self, claim: &Identity, effects: &mut Vec<Effect>) {
        let told = self.superseded_by.is_some_and(|by| by.same_process(claim));
        if self.me().superseded_by(claim) && !told {
            self.superseded_by = Some(*claim);
            effects.push(Effect::Superseded { by: *claim });
        }
    }

    fn reject(&mut self, from: Option<NodeId>, why: Rejection, effects: &mut Vec<Effect>) {
        self.rejected += 1;
        effects.push(Effect::Rejected { from, why });
    }

    /// Tells what has changed and fixes what to do next.
    fn settle(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        self.read_journal(effects);
        self.roster.report(effects);
        while let Ok(News { node, incarnation, load, .. }) = self.news.try_recv() {
            if self.loads.len() < KNOWN_MAX || self.loads.contains_key(&node) {
                self.loads.insert(node, (incarnation, load));
            }
            effects.push(Effect::Load { node, incarnation, load });
        }
        let size = self.roster.size();
        let tuned = (size, self.health.patience());
        if tuned != self.tuned {
            self.tuned = tuned;
            let engine = self.config.engine(tuned.0, tuned.1);
            if let Err(error) = self.foca.set_config(engine) {
                self.reject(None, Rejection::Refused(error.to_string()), effects);
            }
        }
        self.search.plan(now, &self.config, &self.roster);
        self.teller.plan(now, &self.config, size);
    }
}
