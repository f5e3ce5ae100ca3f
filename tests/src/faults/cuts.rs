//! Cuts of any shape between hosts, and how they heal.

use std::collections::BTreeSet;

use super::Fault;
use crate::plan::{MS, SECOND};
use crate::world::{What, World};

/// Two hosts that are cut from each other only.
#[derive(Clone, Copy, Debug)]
pub struct Apart {
    /// Which.
    pub hosts: [usize; 2],
    /// Since when.
    pub since: u64,
}

/// A cut that comes and goes.
#[derive(Clone, Debug)]
pub struct Flap {
    /// Ways that nothing passes while it is there.
    blocked: BTreeSet<(usize, usize)>,
    /// Until when.
    until: u64,
    /// Which of all cuts it is.
    cut: u64,
}

impl World {
    /// Nothing is blocked any more.
    pub(super) fn heal(&mut self) {
        self.network.cut += 1;
        if !self.network.blocked.is_empty() {
            self.trace(|| "nothing is blocked any more".to_owned());
            self.network.blocked.clear();
            self.apart = None;
        }
    }

    /// Ways between hosts that are apart.
    fn ways(&self, apart: impl Fn(usize, usize) -> bool) -> BTreeSet<(usize, usize)> {
        let hosts = self.hosts.len();
        let pairs = (0..hosts).flat_map(|a| (0..hosts).map(move |b| (a, b)));
        pairs.filter(|(a, b)| a != b && apart(*a, *b)).collect()
    }

    /// These ways are blocked and no others, for so long or until there is another cut.
    fn block(&mut self, name: &'static str, blocked: BTreeSet<(usize, usize)>, time: u64) {
        self.saw_if(name, !blocked.is_empty());
        self.trace(|| format!("a cut for {time} us: {blocked:?}"));
        self.network.blocked = blocked;
        self.network.cut += 1;
        self.apart = None;
        self.push(self.now + time, What::Fault(Fault::Heal(self.network.cut)));
    }

    fn some_time(&mut self) -> u64 {
        self.between(SECOND / 2, 15 * SECOND)
    }

    /// A cut in two parts, around one host, or one way only.
    fn some_cut(&mut self) -> BTreeSet<(usize, usize)> {
        let alone = self.some_host();
        let shape = self.between(0, 2);
        let side: Vec<bool> = (0..self.hosts.len()).map(|_| self.flip(0.5)).collect();
        let blocked = self.ways(|a, b| match shape {
            0 => side[a] != side[b],
            1 => (a == alone) != (b == alone),
            _ => a == alone && side[b],
        });
        let shapes = ["cut in halves", "cut around one", "cut one way"];
        self.saw_if(shapes[shape as usize], !blocked.is_empty());
        blocked
    }

    pub(super) fn cut_in_parts(&mut self) {
        let (blocked, time) = (self.some_cut(), self.some_time());
        self.block("cut", blocked, time);
    }

    /// For longer than nodes remember what has ended, where they remember little.
    pub(super) fn cut_for_long(&mut self) {
        if !self.network.blocked.is_empty() {
            return;
        }
        let blocked = self.some_cut();
        let time = self.between(30 * SECOND, 50 * SECOND);
        self.block("long cut", blocked, time);
    }

    pub(super) fn cut_in_three(&mut self) {
        let side: Vec<u64> = (0..self.hosts.len()).map(|_| self.between(0, 2)).collect();
        let blocked = self.ways(|a, b| side[a] != side[b]);
        let time = self.some_time();
        self.block("three ways", blocked, time);
    }

    /// Each host hears its two neighbours only, in an order of their own.
    pub(super) fn cut_to_ring(&mut self) {
        let hosts = self.hosts.len();
        if hosts < 4 {
            return;
        }
        let mut order = Vec::new();
        for host in 0..hosts {
            let place = self.between(0, order.len() as u64) as usize;
            order.insert(place, host);
        }
        let place: Vec<usize> =
            (0..hosts).filter_map(|h| order.iter().position(|it| *it == h)).collect();
        let blocked = self.ways(|a, b| {
            let steps = place[a].abs_diff(place[b]);
            steps != 1 && steps != hosts - 1
        });
        let time = self.some_time();
        self.block("ring", blocked, time);
    }

    /// A cut comes and goes, before anybody has got used to either.
    pub(super) fn begin_flapping(&mut self) {
        let blocked = self.some_cut();
        self.saw_if("flapping", !blocked.is_empty());
        let until = self.now + self.between(2 * SECOND, 12 * SECOND);
        self.network.cut += 1;
        self.apart = None;
        self.flap(Flap { blocked, until, cut: self.network.cut });
    }

    pub(super) fn flap(&mut self, flap: Flap) {
        if self.network.cut != flap.cut {
            return;
        }
        let is_there = !self.network.blocked.is_empty();
        self.network.blocked =
            if is_there || self.now >= flap.until { BTreeSet::new() } else { flap.blocked.clone() };
        self.trace(|| format!("a cut comes or goes: {:?}", flap.blocked));
        if self.now < flap.until {
            let at = self.now + self.between(200 * MS, 2 * SECOND);
            self.push(at, What::Fault(Fault::Flap(flap)));
        }
    }

    /// Host `one` and another are cut from each other, both ways or one, and from nobody else, until
    /// all is healed: longer than anything waits.
    pub(super) fn bridge(&mut self, one: usize) {
        let hosts = self.hosts.len();
        if hosts < 3 || !self.network.blocked.is_empty() {
            return;
        }
        self.saw("bridge");
        let step = usize::try_from(self.between(1, hosts as u64 - 1)).expect("few hosts");
        let other = (one + step) % hosts;
        let is_one_way = self.flip(0.3);
        self.network.cut += 1;
        self.network.blocked.insert((one, other));
        if !is_one_way {
            self.network.blocked.insert((other, one));
        }
        self.apart = Some(Apart { hosts: [one, other], since: self.now });
        self.trace(|| format!("a cut between {one} and {other} only, one way: {is_one_way}"));
    }
}
