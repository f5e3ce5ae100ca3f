//! How loaded every node is: told by each node itself, passed on by all.
//!
//! Of the tellings of a node only the newest counts, by (incarnation, version). An older one is
//! neither believed nor passed on, whenever it comes.

use std::collections::BTreeMap;
use std::sync::mpsc::Sender;

use serde::{Deserialize, Serialize};

use super::{Condition, Config, Identity};
use crate::id::{Incarnation, NodeId};
use crate::limits::MEMBERS_MAX;
use crate::time::{Span, Tick, Wall};
use crate::wire::{DecodeError, decode, decode_from, encode_for, grown};

/// Longest telling: 63 bytes with every integer at its longest, so several fit each datagram.
const NEWS_BYTES_MAX: usize = 96;
/// Nodes whose newest telling is remembered; beyond it the one not heard of for longest goes.
const TELLERS_MAX: usize = 2 * MEMBERS_MAX;
/// A clock this far from where it should have run to was set by somebody.
const CLOCK_STEP: Span = Span::from_millis(1_000);

/// What a node can take at the moment.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Load {
    /// Free slots for each kind of work.
    pub free: [u16; 4],
    /// Tasks that are ready on this node's partitions and have no slot.
    pub backlog: u32,
    /// The node's wall clock when it told this. It is some gossip rounds old on arrival.
    pub clock: Wall,
    /// Whether it can do its part.
    pub condition: Condition,
    /// Whether the records that it holds take most of the memory that it has for them.
    pub is_tight: bool,
}

grown!(Load { free, backlog, clock } since 2 { condition = Condition::Serving, is_tight = false });

/// One telling, as it travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct News {
    pub(super) node: NodeId,
    pub(super) incarnation: Incarnation,
    /// Goes up within a life of the node, whatever falls in it and is built anew.
    pub(super) version: u64,
    pub(super) load: Load,
}

impl News {
    /// Gossip goes from node to node as it is. One of which all is well says nothing of that.
    pub(super) fn to_bytes(self) -> Vec<u8> {
        let Load { condition, is_tight, .. } = self.load;
        let version = if condition.is_serving() && !is_tight { 1 } else { 2 };
        encode_for(version, &self)
    }

    /// # Errors
    /// When they are no telling of any version.
    pub(super) fn from_bytes(data: &[u8]) -> Result<Self, DecodeError> {
        decode(data, NEWS_BYTES_MAX)
            .or_else(|why| decode_from(1, data, NEWS_BYTES_MAX).map_err(|_| why))
    }
}

/// When this node tells of its own load.
#[derive(Default)]
pub(super) struct Teller {
    load: Option<(Tick, Load)>,
    told_at: Option<Tick>,
    version: u64,
    stale: bool,
    due: Option<Tick>,
}

impl Teller {
    /// When to tell next.
    pub(super) fn next_deadline(&self) -> Tick {
        self.due.unwrap_or(Tick::NEVER)
    }

    /// The load is `load` from `now` on.
    pub(super) fn set(&mut self, now: Tick, load: Load) {
        let same = self.load.is_some_and(|(at, old)| {
            let clock = old.clock + now.since(at);
            let step = clock.since(load.clock).max(load.clock.since(clock));
            Load { clock: load.clock, ..old } == load && step < CLOCK_STEP
        });
        self.stale |= !same;
        self.load = Some((now, load));
    }

    /// Somebody is new here and has not heard it.
    pub(super) const fn repeat(&mut self) {
        self.stale = true;
    }

    /// Fixes when to tell next in a cluster of `nodes`.
    pub(super) fn plan(&mut self, now: Tick, config: &Config, nodes: usize) {
        let pause = if self.stale { config.load_gap(nodes) } else { config.load_refresh(nodes) };
        self.due = self.load.map(|_| self.told_at.map_or(now, |at| (at + pause).max(now)));
    }

    /// What to tell, if it is time.
    pub(super) fn tell(&mut self, now: Tick, me: &Identity) -> Option<Vec<u8>> {
        let (at, load) = self.load?;
        if self.due.is_none_or(|due| due > now) {
            return None;
        }
        // By the clock of the process: whoever heard a teller that fell has to listen to its successor.
        self.version = now.as_micros().max(self.version + 1);
        self.told_at = Some(now);
        self.stale = false;
        // The wall clock is not read here; it has run on with the monotonic one.
        let load = Load { clock: load.clock + now.since(at), ..load };
        let news = News { node: me.node, incarnation: me.incarnation, version: self.version, load };
        Some(news.to_bytes())
    }
}

/// Decides what is news: the engine asks for every telling that arrives.
pub(super) struct Listener {
    me: NodeId,
    news: Sender<News>,
    newest: BTreeMap<NodeId, Newest>,
    heard: u64,
}

struct Newest {
    age: (Incarnation, u64),
    heard: u64,
}

impl Listener {
    /// Hands what is news to `news`.
    pub(super) const fn new(me: NodeId, news: Sender<News>) -> Self {
        Self { me, news, newest: BTreeMap::new(), heard: 0 }
    }

    fn remember(&mut self, node: NodeId, age: (Incarnation, u64)) {
        self.heard += 1;
        if self.newest.len() >= TELLERS_MAX && !self.newest.contains_key(&node) {
            let oldest = self.newest.iter().min_by_key(|(_, newest)| newest.heard);
            if let Some(oldest) = oldest.map(|(&node, _)| node) {
                self.newest.remove(&oldest);
            }
        }
        self.newest.insert(node, Newest { age, heard: self.heard });
    }
}

impl foca::BroadcastHandler<Identity> for Listener {
    type Key = Key;
    type Error = DecodeError;

    fn receive_item(
        &mut self,
        data: &[u8],
        sender: Option<&Identity>,
    ) -> Result<Option<Key>, DecodeError> {
        let news = News::from_bytes(data)?;
        let key = Key { node: news.node, age: (news.incarnation, news.version) };
        if news.node == self.me {
            // Nobody tells us our own load; what comes back has been passed on already.
            return Ok(sender.is_none().then_some(key));
        }
        if self.newest.get(&news.node).is_some_and(|newest| newest.age >= key.age) {
            return Ok(None);
        }
        self.remember(news.node, key.age);
        // The other end lives as long as the engine; without it nobody would care.
        let _ = self.news.send(news);
        Ok(Some(key))
    }
}

/// What a telling is about, so that a newer one stops the spread of an older one.
pub(super) struct Key {
    node: NodeId,
    age: (Incarnation, u64),
}

impl foca::Invalidates for Key {
    fn invalidates(&self, other: &Self) -> bool {
        self.node == other.node && self.age >= other.age
    }
}
