//! Hosts that know each other are connected as soon as they can be, and notice when they no longer are.

use std::net::SocketAddr;

use umbel_protocol::membership::{self, Peer};
use umbel_protocol::wire::hello::Versions;
use umbel_protocol::{executor, formation, scheduler, ways};

use super::{What, World};
use crate::host::{Local, address};
use crate::plan::{MS, SECOND};

/// How often hosts that are not connected are looked at.
const CONNECT_EVERY: u64 = 50 * MS;

impl World {
    pub(super) fn connect_all(&mut self) {
        self.push(self.now + CONNECT_EVERY, What::Connect);
        for a in 0..self.hosts.len() {
            for b in a + 1..self.hosts.len() {
                let runs = |one: usize| self.hosts[one].process.is_some() && !self.stands(one);
                let may = runs(a) && runs(b) && (self.calls(a, b) || self.calls(b, a));
                if may && self.network.passes(a, b) && self.network.wants_try(a, b, self.now) {
                    // Who shares no version with others is refused by them.
                    let Some(version) = self.versions(a).common(self.versions(b)) else {
                        self.saw("no common version");
                        continue;
                    };
                    self.connect(a, b, version);
                }
            }
        }
    }

    /// Whether `one` calls where `other` is: it was told, or it calls a seed by its name.
    fn calls(&self, one: usize, other: usize) -> bool {
        let caller = &self.hosts[one];
        let known = caller.process.as_ref().and_then(|process| process.knows.get(&other));
        let others = caller.process.as_ref().map_or(0, |process| process.met.len());
        known == Some(&self.address(other))
            || (other < self.plan.seeds
                && caller.disk.cluster.is_some()
                && formation::calls_seeds(self.network.connected(one), others))
    }

    /// Where a host listens now.
    #[must_use]
    pub fn address(&self, host: usize) -> SocketAddr {
        address(host, self.hosts[host].moves)
    }

    /// What a host says in its greeting that it speaks.
    fn versions(&self, host: usize) -> Versions {
        let one = &self.hosts[host];
        let spoken = one.process.as_ref().map_or(0, |process| process.spoken);
        Versions { min: one.versions.min.max(spoken), max: one.versions.max }
    }

    fn connect(&mut self, a: usize, b: usize, version: u16) {
        self.network.connect(a, b, version);
        self.trace(|| format!("{a} and {b} are connected"));
        for (one, other) in [(a, b), (b, a)] {
            let node = self.hosts[other].node;
            self.local(one, Local::Ways(ways::Event::Connected(node)));
            let to = Peer { node, address: self.address(other) };
            self.local(one, Local::Membership(membership::Event::Announce { to }));
            self.local(one, Local::Membership(membership::Event::Heard { node }));
            // An executor is told before it hears anything that comes over the new connection; of
            // what a scheduler hears some may overtake that.
            self.local(one, Local::Executor(executor::Event::Reached(node)));
            let late = if self.flip(0.3) { self.between(0, 20 * MS) } else { 0 };
            let what = Local::Scheduler(scheduler::Event::Reached { node, version });
            self.push_inside(one, self.now + late, what);
        }
    }

    /// Ends the connections of a host that speak an older version.
    pub fn cut_older(&mut self, host: usize, version: u16) {
        for other in 0..self.hosts.len() {
            let is_up = self.network.is_up(host, other);
            if is_up && self.network.version(host, other) < version {
                self.cut_link(host, other);
            }
        }
    }

    /// The connection of two hosts breaks; both notice.
    pub fn cut_link(&mut self, a: usize, b: usize) {
        let retry_at = self.now + self.between(0, 500 * MS);
        if self.network.cut(a, b, self.now, retry_at, &mut self.rng) {
            self.trace(|| format!("{a} and {b} lose each other"));
            if self.hosts[a].process.is_some() && self.hosts[b].process.is_some() {
                self.note_trouble(a);
                self.note_trouble(b);
            }
            for (one, other) in [(a, b), (b, a)] {
                if self.stands_still(one) && self.flip(0.5) {
                    // What had come lies there until the process goes on, and may be read late.
                    let until = self.hosts[one].paused_until + self.between(0, SECOND);
                    self.network.read_late(other, one, until);
                }
                let node = self.hosts[other].node;
                self.local(one, Local::Ways(ways::Event::Disconnected(node)));
                self.local(one, Local::Membership(membership::Event::Silent { node }));
            }
        }
    }
}
