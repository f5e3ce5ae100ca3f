//! The network of a crowd: datagrams take one to five milliseconds and may get lost. One seed decides
//! everything.

use std::cmp::Ordering;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use bytes::Bytes;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};
use umbel_protocol::id::NodeId;
use umbel_protocol::membership::{Effect, Event, Identity, Liveness};
use umbel_protocol::time::{Span, Tick};

use super::host::{Host, identity, load, node};

/// How often the load of each host changes.
const LOAD_EVERY: Span = Span::from_millis(1_000);

/// Hosts and what is between them.
pub struct Network {
    /// The time.
    pub now: Tick,
    /// The hosts.
    pub hosts: Vec<Host>,
    /// Of a thousand datagrams, how many get lost.
    pub loss: u32,
    /// Datagrams sent so far.
    pub datagrams: u64,
    /// Bytes of those.
    pub bytes: u64,
    /// Who was thought to be down by whom, and when.
    pub downs: Vec<(Tick, usize, usize)>,
    /// Who was found to be alive in which start by whom, since that was last cleared.
    pub ups: Vec<(usize, u64, usize)>,
    queue: BinaryHeap<Queued>,
    queued: u64,
    places: HashMap<NodeId, usize>,
    rng: Xoshiro256PlusPlus,
    effects: Vec<Effect>,
}

struct Queued {
    at: Tick,
    number: u64,
    host: usize,
    what: What,
}

enum What {
    Datagram { from: usize, data: Bytes },
    Load(u64),
    Wake,
}

impl PartialEq for Queued {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other).is_eq()
    }
}

impl Eq for Queued {}

impl PartialOrd for Queued {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

/// The first due is the greatest.
impl Ord for Queued {
    fn cmp(&self, other: &Self) -> Ordering {
        (other.at, other.number).cmp(&(self.at, self.number))
    }
}

impl Network {
    /// So many hosts that have known each other for a while, not in step with each other. If they are
    /// `busy` the load of each changes every second.
    #[must_use]
    pub fn formed(hosts: usize, busy: bool, seed: u64) -> Self {
        let mut network = Self {
            now: Tick::from_micros(1),
            hosts: Vec::new(),
            loss: 0,
            datagrams: 0,
            bytes: 0,
            downs: Vec::new(),
            ups: Vec::new(),
            queue: BinaryHeap::new(),
            queued: 0,
            places: HashMap::new(),
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
            effects: Vec::new(),
        };
        for _ in 0..hosts {
            network.add();
        }
        let all: Vec<Identity> = (0..hosts).map(|host| identity(host, 1)).collect();
        for host in 0..hosts {
            network.event(host, Event::Restore(all.clone()));
            network.ups.clear();
            if busy {
                let first = network.now + Span::from_micros(network.rng.random_range(0..1_000_000));
                network.push(first, host, What::Load(0));
            }
            network.run(Span::from_micros(500_000 / hosts as u64));
        }
        network
    }

    /// One more host, which knows nobody; its place.
    pub fn add(&mut self) -> usize {
        let place = self.hosts.len();
        let seed = self.rng.random();
        self.hosts.push(Host::start(place, 1, seed));
        self.places.insert(node(place), place);
        place
    }

    /// Something happens to a host.
    pub fn event(&mut self, host: usize, event: Event) {
        let mut effects = std::mem::take(&mut self.effects);
        let one = &mut self.hosts[host];
        one.machine.step(self.now, event, &mut effects);
        let wake_at = one.machine.next_deadline();
        // One that comes too early looks again; none comes too late.
        if wake_at < one.wake_at {
            one.wake_at = wake_at;
            self.push(wake_at.max(self.now), host, What::Wake);
        }
        for effect in effects.drain(..) {
            match effect {
                Effect::SendDatagram { to, data } => self.send(host, to.node, data),
                Effect::Changed { identity, liveness: Liveness::Down } => {
                    self.downs.push((self.now, self.places[&identity.node], host));
                }
                Effect::Changed { identity, liveness: Liveness::Alive } => {
                    self.ups.push((self.places[&identity.node], identity.incarnation.0, host));
                }
                Effect::Changed { .. } | Effect::Load { .. } | Effect::Rejoined { .. } => {}
                Effect::Rejected { why, .. } => panic!("a healthy network: {why}"),
                Effect::Superseded { by } => panic!("nobody took its place: {by:?}"),
            }
        }
        self.effects = effects;
    }

    fn send(&mut self, from: usize, to: NodeId, data: Bytes) {
        self.datagrams += 1;
        self.bytes += data.len() as u64;
        let latency = Span::from_micros(self.rng.random_range(1_000..5_000));
        let is_lost = self.loss > 0 && self.rng.random_range(0..1_000) < self.loss;
        if let Some(to) = self.places.get(&to).copied().filter(|_| !is_lost) {
            self.push(self.now + latency, to, What::Datagram { from, data });
        }
    }

    fn push(&mut self, at: Tick, host: usize, what: What) {
        self.queued += 1;
        self.queue.push(Queued { at, number: self.queued, host, what });
    }

    /// Lets time pass.
    pub fn run(&mut self, span: Span) {
        let until = self.now + span;
        while self.queue.peek().is_some_and(|next| next.at <= until) {
            let Some(Queued { at, host, what, .. }) = self.queue.pop() else {
                break;
            };
            self.now = at;
            self.happen(host, what);
        }
        self.now = until;
    }

    fn happen(&mut self, host: usize, what: What) {
        let one = &self.hosts[host];
        if one.stopped {
            return;
        }
        if one.paused_until > self.now {
            return self.push(one.paused_until, host, what);
        }
        match what {
            What::Datagram { from, data } => {
                self.event(host, Event::Received { from: Some(node(from)), data });
            }
            What::Load(turn) => {
                self.event(host, Event::LoadChanged(load(turn)));
                self.push(self.now + LOAD_EVERY, host, What::Load(turn + 1));
            }
            What::Wake => self.wake(host),
        }
    }

    fn wake(&mut self, host: usize) {
        let one = &mut self.hosts[host];
        if one.wake_at > self.now {
            return;
        }
        one.wake_at = Tick::NEVER;
        let deadline = one.machine.next_deadline();
        if deadline <= self.now {
            return self.event(host, Event::Tick);
        }
        if deadline != Tick::NEVER {
            one.wake_at = deadline;
            self.push(deadline, host, What::Wake);
        }
    }

    /// Lets time pass until something holds, and tells how long that took; `None` if it does not
    /// within `longest`.
    pub fn until(&mut self, longest: Span, holds: impl Fn(&Self) -> bool) -> Option<Span> {
        let start = self.now;
        while self.now.since(start) < longest {
            if holds(self) {
                return Some(self.now.since(start));
            }
            self.run(Span::from_millis(20));
        }
        holds(self).then(|| self.now.since(start))
    }

    /// A host dies.
    pub fn stop(&mut self, host: usize) {
        self.hosts[host].stopped = true;
    }

    /// A host stands still for a while.
    pub fn pause(&mut self, host: usize, span: Span) {
        self.hosts[host].paused_until = self.now + span;
    }

    /// A new process takes the place of one that is gone. It is told of one other host.
    pub fn restart(&mut self, host: usize, incarnation: u64, seed: usize) {
        let rng_seed = self.rng.random();
        self.hosts[host] = Host::start(host, incarnation, rng_seed);
        self.join(host, seed);
    }

    /// A host that knows nobody is told of another.
    pub fn join(&mut self, host: usize, seed: usize) {
        self.ups.clear();
        self.event(host, Event::Announce { to: identity(seed, 1).peer() });
    }

    /// Hosts that live.
    pub fn live(&self) -> impl Iterator<Item = usize> {
        (0..self.hosts.len()).filter(|host| !self.hosts[*host].stopped)
    }

    /// Whether every live host thinks `what` of `of`.
    #[must_use]
    pub fn all_think(&self, of: usize, what: Liveness) -> bool {
        let others = || self.live().filter(|at| *at != of);
        others().all(|at| self.hosts[at].machine.liveness(node(of)) == Some(what))
    }

    /// Whether every live host has found `of` to live in its `incarnation`, since
    /// [`ups`](Self::ups) was cleared.
    #[must_use]
    pub fn all_found(&self, of: usize, incarnation: u64) -> bool {
        let found = self.ups.iter().filter(|(up, start, _)| (*up, *start) == (of, incarnation));
        let found: BTreeSet<usize> = found.map(|(_, _, at)| *at).collect();
        self.live().filter(|at| *at != of).all(|at| found.contains(&at))
    }

    /// Whether a host knows all others that live.
    #[must_use]
    pub fn knows_all(&self, at: usize) -> bool {
        let machine = &self.hosts[at].machine;
        let knows = |of: usize| machine.liveness(node(of)) == Some(Liveness::Alive);
        self.live().filter(|of| *of != at).all(knows)
    }
}
