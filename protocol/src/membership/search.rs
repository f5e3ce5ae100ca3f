//! Whom to greet on our own account: the engine answers a greeting with members that it knows, and
//! one from a node that was declared down with that very news.
//!
//! - A newcomer asks quickly for as long as the answers hold somebody new.
//! - A node whose connection fell silent is asked until it answers or the hint expires.
//! - A node that is out of sight (down, forgotten by the engine, or announced and never met) is
//!   tried slowly and for ever, unless the members agree to forget it. So every split heals, even
//!   one in which nobody was left to talk to.

use std::collections::{BTreeMap, VecDeque};

use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::roster::Roster;
use super::{Config, Identity, Peer};
use crate::id::NodeId;
use crate::limits::{FORGOTTEN_MAX, MEMBERS_MAX};
use crate::time::{Span, Tick};

/// How quickly a newcomer asks, and a silent node is asked.
const ASK_PERIOD: Span = Span::from_millis(250);
/// How many members a newcomer asks at a time: an answer holds some twenty members, so a thousand
/// are met in half a minute.
const ASKED: usize = 4;
/// Silent nodes asked at a time; when more fall silent at once, chance takes turns.
const SILENT_ASKED_MAX: usize = 8;

/// When and whom to greet.
pub(super) struct Search {
    rng: Xoshiro256PlusPlus,
    /// Nodes that the engine does not know and that may be there.
    wanted: BTreeMap<NodeId, Peer>,
    /// Nodes that are not looked for, wherever they get lost: the last ones, oldest first.
    forgotten: VecDeque<NodeId>,
    curious_until: Tick,
    ask_at: Tick,
    try_at: Tick,
}

impl Search {
    pub(super) fn new(seed: u64) -> Self {
        Self {
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            wanted: BTreeMap::new(),
            forgotten: VecDeque::new(),
            curious_until: Tick::START,
            ask_at: Tick::NEVER,
            try_at: Tick::NEVER,
        }
    }

    /// When to look again.
    pub(super) fn next_deadline(&self) -> Tick {
        self.ask_at.min(self.try_at)
    }

    /// `peer` may be there.
    pub(super) fn want(&mut self, peer: Peer) {
        if self.forgotten.contains(&peer.node) {
            return;
        }
        if self.wanted.len() < MEMBERS_MAX || self.wanted.contains_key(&peer.node) {
            self.wanted.insert(peer.node, peer);
        }
    }

    /// `node` was met, or is no longer of interest.
    pub(super) fn settle(&mut self, node: NodeId) {
        self.wanted.remove(&node);
    }

    /// `node` is of no interest any more, now or later.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.settle(node);
        if !self.forgotten.contains(&node) {
            self.forgotten.push_back(node);
        }
        if self.forgotten.len() > FORGOTTEN_MAX {
            self.forgotten.pop_front();
        }
    }

    /// An answer held somebody new: the cluster is larger than we know.
    pub(super) fn discovered(&mut self, now: Tick, nodes: usize) {
        // The last few of many take longest to turn up by chance.
        let span = Span::from_millis(2_000 + 5 * nodes as u64);
        self.curious_until = self.curious_until.max(now + span);
    }

    /// Fixes when to look again.
    pub(super) fn plan(&mut self, now: Tick, config: &Config, roster: &Roster) {
        let curious = self.curious_until > now && roster.size() > 1;
        if !curious && roster.silent().next().is_none() {
            self.ask_at = Tick::NEVER;
        } else if self.ask_at == Tick::NEVER {
            self.ask_at = now + ASK_PERIOD;
        }
        if self.wanted.is_empty() && roster.lost() == 0 {
            self.try_at = Tick::NEVER;
        } else if self.try_at == Tick::NEVER {
            // Nodes that lost each other at the same moment must not try in step.
            let pace = config.search_pace(roster.size()).as_micros();
            let pause = pace / 2 + self.rng.random_range(0..=pace / 2);
            self.try_at = now + Span::from_micros(pause);
        }
    }

    /// Whom to greet now.
    pub(super) fn due(&mut self, now: Tick, roster: &Roster) -> Vec<Identity> {
        let mut greeted = Vec::new();
        if self.ask_at <= now {
            self.ask_at = Tick::NEVER;
            let silent: Vec<Identity> = roster.silent().collect();
            if silent.len() <= SILENT_ASKED_MAX {
                greeted.extend(silent);
            } else {
                greeted.extend((0..SILENT_ASKED_MAX).filter_map(|_| self.one_of(&silent)));
            }
            if self.curious_until > now {
                let active: Vec<Identity> = roster.active().copied().collect();
                greeted.extend((0..ASKED).filter_map(|_| self.one_of(&active)));
            }
        }
        if self.try_at <= now {
            self.try_at = Tick::NEVER;
            let wanted = self.wanted.values().copied().map(Identity::any_of);
            let lost: Vec<Identity> = wanted.chain(roster.down().copied()).collect();
            greeted.extend(self.one_of(&lost));
        }
        greeted
    }

    fn one_of(&mut self, among: &[Identity]) -> Option<Identity> {
        if among.is_empty() {
            return None;
        }
        among.get(self.rng.random_range(0..among.len())).copied()
    }
}
