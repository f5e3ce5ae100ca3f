//! Hosts that know each other are connected as soon as they can be, and notice when they no longer are.

use umbel_protocol::membership::{self, Peer};
use umbel_protocol::wire::hello::Versions;
use umbel_protocol::{executor, scheduler, ways};

use super::{What, World};
use crate::host::{Local, address};
use crate::plan::MS;

/// How often hosts that are not connected are looked at.
const CONNECT_EVERY: u64 = 50 * MS;

impl World {
    pub(super) fn connect_all(&mut self) {
        self.push(self.now + CONNECT_EVERY, What::Connect);
        for a in 0..self.hosts.len() {
            for b in a + 1..self.hosts.len() {
                let knows = |one: usize, other: usize| {
                    self.hosts[one].process.as_ref().is_some_and(|p| p.knows.contains(&other))
                };
                let runs = |one: usize| {
                    self.hosts[one].process.is_some() && self.hosts[one].paused_until <= self.now
                };
                let may = runs(a) && runs(b) && (knows(a, b) || knows(b, a));
                if may && self.network.passes(a, b) && self.network.wants_try(a, b, self.now) {
                    self.connect(a, b);
                }
            }
        }
    }

    fn connect(&mut self, a: usize, b: usize) {
        self.network.connect(a, b);
        let version = Versions::OWN.max;
        self.trace(|| format!("{a} and {b} are connected"));
        for (one, other) in [(a, b), (b, a)] {
            let node = self.hosts[other].node;
            self.local(one, Local::Ways(ways::Event::Connected(node)));
            let to = Peer { node, address: address(other) };
            self.local(one, Local::Membership(membership::Event::Announce { to }));
            self.local(one, Local::Membership(membership::Event::Heard { node }));
            // An executor is told before it hears anything that comes over the new connection; of
            // what a scheduler hears some may overtake that.
            self.local(one, Local::Executor(executor::Event::Reached(node)));
            let life = self.hosts[one].life;
            let late = if self.flip(0.3) { self.between(0, 20 * MS) } else { 0 };
            let what = Local::Scheduler(scheduler::Event::Reached { node, version });
            self.push(self.now + late, What::Inside(one, life, what));
        }
    }

    /// The connection of two hosts breaks; both notice.
    pub fn cut_link(&mut self, a: usize, b: usize) {
        let retry_at = self.now + self.between(0, 500 * MS);
        if self.network.cut(a, b, self.now, retry_at, &mut self.rng) {
            self.trace(|| format!("{a} and {b} lose each other"));
            for (one, other) in [(a, b), (b, a)] {
                let node = self.hosts[other].node;
                self.local(one, Local::Ways(ways::Event::Disconnected(node)));
                self.local(one, Local::Membership(membership::Event::Silent { node }));
            }
        }
    }
}
