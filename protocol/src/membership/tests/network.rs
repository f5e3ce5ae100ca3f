//! A network of machines in virtual time, driven by one queue and one seed.
//!
//! Datagrams take 1 to 5 ms, may get lost, and do not cross cuts. A machine may be stopped for
//! good, paused, or replaced by its next start.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use rand::rngs::Xoshiro256PlusPlus;
use rand::{RngExt, SeedableRng};

use super::super::{Config, Effect, Event, Identity, Liveness, Load, Membership};
use crate::id::{Incarnation, NodeId};
use crate::time::{Span, Tick, Wall};

pub(super) struct Network {
    pub(super) now: Tick,
    pub(super) hosts: Vec<Host>,
    /// Of a thousand datagrams, how many get lost.
    pub(super) loss: u32,
    /// Datagrams sent since it was last set to zero.
    pub(super) sent: u64,
    /// Everything that machines wanted done but datagrams; those too if `keep_datagrams`.
    pub(super) log: Vec<(Tick, usize, Effect)>,
    pub(super) keep_datagrams: bool,
    queue: BTreeMap<(Tick, u64), What>,
    queued: u64,
    index: BTreeMap<NodeId, usize>,
    rng: Xoshiro256PlusPlus,
}

pub(super) struct Host {
    pub(super) machine: Membership,
    pub(super) stopped: bool,
    paused_until: Tick,
    /// Hosts with different numbers do not reach each other.
    pub(super) side: u8,
    wake_at: Tick,
}

enum What {
    Datagram { to: usize, from: NodeId, data: Bytes },
    Wake { host: usize },
}

pub(super) fn node(host: usize) -> NodeId {
    NodeId((host as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

pub(super) fn identity(host: usize, incarnation: u64) -> Identity {
    let port = 1_000 + u16::try_from(host).unwrap();
    let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), port));
    Identity::new(node(host), Incarnation(incarnation), (host as u64) << 8 | incarnation, address)
}

pub(super) fn load(host: usize, free: u16) -> Load {
    let clock = Wall::from_millis(1_800_000_000_000);
    let backlog = u32::try_from(host).unwrap() * 77;
    Load { free: [free, 2, 3, 4], backlog, clock, ..Load::default() }
}

pub(super) const fn ms(millis: u64) -> Span {
    Span::from_millis(millis)
}

impl Network {
    /// `n` machines that do not know each other.
    pub(super) fn strangers(n: usize, seed: u64) -> Self {
        let mut network = Self {
            now: Tick::from_micros(1),
            hosts: Vec::new(),
            loss: 0,
            sent: 0,
            log: Vec::new(),
            keep_datagrams: false,
            queue: BTreeMap::new(),
            queued: 0,
            index: (0..n).map(|host| (node(host), host)).collect(),
            rng: Xoshiro256PlusPlus::seed_from_u64(seed),
        };
        for host in 0..n {
            let seed = network.rng.random();
            let machine = Membership::new(Config::default(), identity(host, 1), seed);
            network.hosts.push(Host {
                machine,
                stopped: false,
                paused_until: Tick::START,
                side: 0,
                wake_at: Tick::NEVER,
            });
        }
        network
    }

    /// `n` machines, all but the first of which were told of the first.
    pub(super) fn seeded(n: usize, seed: u64) -> Self {
        let mut network = Self::strangers(n, seed);
        for host in 1..n {
            network.event(host, Event::Announce { to: identity(0, 1).peer() });
        }
        network
    }

    /// `n` machines that have known each other for a while, not in step with each other.
    pub(super) fn formed(n: usize, seed: u64) -> Self {
        let mut network = Self::strangers(n, seed);
        let all: Vec<Identity> = (0..n).map(|host| identity(host, 1)).collect();
        for host in 0..n {
            network.event(host, Event::Restore(all.clone()));
            network.run(Span::from_micros(500_000 / n as u64));
        }
        network
    }

    pub(super) fn event(&mut self, host: usize, event: Event) {
        let mut effects = Vec::new();
        let one = &mut self.hosts[host];
        one.machine.step(self.now, event, &mut effects);
        // The whole of suspicion rests on it; checked where it is cheap.
        assert!(self.index.len() > 8 || one.machine.is_consistent());
        let wake_at = one.machine.next_deadline();
        if wake_at != one.wake_at && wake_at != Tick::NEVER {
            self.push(wake_at.max(self.now), What::Wake { host });
        }
        self.hosts[host].wake_at = wake_at;
        for effect in effects {
            if let Effect::SendDatagram { to, data } = &effect {
                self.send(host, to.node, data.clone());
                if !self.keep_datagrams {
                    continue;
                }
            }
            self.log.push((self.now, host, effect));
        }
    }

    fn send(&mut self, host: usize, to: NodeId, data: Bytes) {
        self.sent += 1;
        let latency = Span::from_micros(self.rng.random_range(1_000..5_000));
        let lost = self.rng.random_range(0..1_000) < self.loss;
        let from = node(host);
        let receiver = self.index.get(&to).copied();
        if let Some(to) = receiver.filter(|_| !lost) {
            self.push(self.now + latency, What::Datagram { to, from, data });
        }
    }

    fn push(&mut self, at: Tick, what: What) {
        self.queued += 1;
        self.queue.insert((at, self.queued), what);
    }

    pub(super) fn run(&mut self, span: Span) {
        let end = self.now + span;
        while let Some(entry) = self.queue.first_entry() {
            let at = entry.key().0;
            if at > end {
                break;
            }
            let what = entry.remove();
            self.now = at;
            self.happen(what);
        }
        self.now = end;
    }

    /// Runs until `done`, at most `span`; how long it took.
    pub(super) fn until(&mut self, span: Span, done: impl Fn(&Self) -> bool) -> Option<Span> {
        let start = self.now;
        while self.now.since(start) < span {
            if done(self) {
                return Some(self.now.since(start));
            }
            self.run(ms(20));
        }
        done(self).then(|| self.now.since(start))
    }

    fn happen(&mut self, what: What) {
        let host = match &what {
            What::Datagram { to, .. } => *to,
            What::Wake { host } => *host,
        };
        let one = &self.hosts[host];
        if one.stopped {
            return;
        }
        if one.paused_until > self.now {
            return self.push(self.hosts[host].paused_until, what);
        }
        match what {
            What::Datagram { from, data, .. } => {
                if self.hosts[self.index[&from]].side == self.hosts[host].side {
                    self.event(host, Event::Received { from: Some(from), data });
                }
            }
            What::Wake { .. } => {
                if self.hosts[host].wake_at <= self.now {
                    self.event(host, Event::Tick);
                }
            }
        }
    }

    pub(super) fn stop(&mut self, host: usize) {
        self.hosts[host].stopped = true;
    }

    pub(super) fn pause(&mut self, host: usize, span: Span) {
        self.hosts[host].paused_until = self.now + span;
    }

    /// A new process takes the place of `host`. It is told of `seed`.
    pub(super) fn restart(&mut self, host: usize, incarnation: u64, seed: usize) {
        let rng_seed = self.rng.random();
        let me = identity(host, incarnation);
        let one = &mut self.hosts[host];
        one.machine = Membership::new(Config::default(), me, rng_seed);
        one.stopped = false;
        one.wake_at = Tick::NEVER;
        self.event(host, Event::Announce { to: identity(seed, 1).peer() });
    }

    pub(super) fn live(&self) -> impl Iterator<Item = usize> {
        (0..self.hosts.len()).filter(|&host| !self.hosts[host].stopped)
    }

    pub(super) fn liveness(&self, of: usize, at: usize) -> Option<Liveness> {
        self.hosts[at].machine.liveness(node(of))
    }

    /// Whether every live host thinks `what` of `of`.
    pub(super) fn all_think(&self, of: usize, what: Liveness) -> bool {
        self.live().filter(|&at| at != of).all(|at| self.liveness(of, at) == Some(what))
    }

    /// Whether every live host thinks that exactly the live ones are alive.
    pub(super) fn agreed(&self) -> bool {
        let live: Vec<usize> = self.live().collect();
        live.iter().all(|&of| self.all_think(of, Liveness::Alive))
            && live.iter().all(|&at| {
                let machine = &self.hosts[at].machine;
                machine.nodes().filter(|(_, what)| *what != Liveness::Down).count() + 1
                    == live.len()
            })
    }

    /// When and where `of` was reported as `what` for the first time since `since`.
    pub(super) fn first(&self, of: usize, what: Liveness, since: Tick) -> Option<(Span, usize)> {
        self.log.iter().find_map(|(at, host, effect)| match effect {
            Effect::Changed { identity, liveness }
                if identity.node == node(of) && *liveness == what && *at >= since =>
            {
                Some((at.since(since), *host))
            }
            _ => None,
        })
    }

    /// How many hosts were reported as `what`, by anybody.
    pub(super) fn count(&self, what: Liveness) -> usize {
        let same = |effect: &Effect| match effect {
            Effect::Changed { liveness, .. } => *liveness == what,
            _ => false,
        };
        self.log.iter().filter(|(_, _, effect)| same(effect)).count()
    }

    /// Effects that no healthy network shows.
    pub(super) fn complaints(&self) -> Vec<&Effect> {
        let bad = |effect: &&Effect| {
            matches!(effect, Effect::Rejected { .. } | Effect::Superseded { .. })
        };
        self.log.iter().map(|(_, _, effect)| effect).filter(bad).collect()
    }
}
