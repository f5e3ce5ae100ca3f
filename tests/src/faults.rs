//! What breaks, when, and for how long.

use umbel_protocol::wire::Ask;

use crate::plan::{MS, SECOND};
use crate::world::{What, World};

/// For how long a process stands still at most.
pub const PAUSE_MAX: u64 = 8 * SECOND;

/// For how long a process that was told to stop has time to do so.
const LEAVE_PATIENCE: u64 = 60 * SECOND;

/// So long after a storm all hosts are to serve again: no request to drain one is under way then.
const UNDRAIN_AFTER: u64 = 25 * SECOND;

/// Something breaks, or heals.
#[derive(Clone, Debug)]
pub enum Fault {
    /// It is time for the next fault.
    Next,
    /// A host starts, if it does not run.
    Restart(usize),
    /// The process of a host is told to stop.
    Leave(usize),
    /// A host is drained, or serves again.
    Drain(usize, bool),
    /// Nothing is blocked any more.
    Heal,
    /// A minority dies for good.
    Lose,
    /// The storm is over: all that is broken heals.
    Calm,
}

/// Two hosts that are cut from each other only.
#[derive(Clone, Copy, Debug)]
pub struct Apart {
    /// Which.
    pub hosts: [usize; 2],
    /// Since when.
    pub since: u64,
}

impl World {
    /// Puts the first fault and the end of all faults in line.
    pub fn plan_faults(&mut self) {
        let end = self.now + self.plan.storm;
        self.push(end, What::Fault(Fault::Calm));
        if self.plan.faults.every > 0 {
            self.next_fault();
        }
    }

    fn next_fault(&mut self) {
        let every = self.plan.faults.every;
        let at = self.now + self.between(every / 4, every * 2);
        self.push(at, What::Fault(Fault::Next));
    }

    /// Something breaks or heals now.
    pub fn strike(&mut self, fault: Fault) {
        match fault {
            Fault::Next if self.healed_at.is_some() => {}
            Fault::Next => {
                self.break_something();
                self.next_fault();
            }
            Fault::Restart(host) => {
                if self.hosts[host].process.is_none() && !self.hosts[host].is_dead {
                    self.start(host);
                }
            }
            Fault::Leave(host) => self.leave(host, LEAVE_PATIENCE),
            Fault::Drain(host, draining) => {
                let node = self.hosts[host].node;
                self.operate(Ask::Drain { node, draining });
            }
            Fault::Heal => self.heal(),
            Fault::Lose => self.lose_minority(),
            Fault::Calm => self.calm(),
        }
    }

    fn heal(&mut self) {
        if !self.network.blocked.is_empty() {
            self.trace(|| "nothing is blocked any more".to_owned());
            self.network.blocked.clear();
            self.apart = None;
        }
    }

    fn calm(&mut self) {
        self.trace(|| "the storm is over".to_owned());
        self.healed_at = Some(self.now);
        self.progress_at = self.now;
        self.heal();
        self.network.unruly = false;
        self.network.lags = false;
        self.datagram_loss = 0;
        if self.plan.faults.drain > 0 {
            // Requests that were asked more than once may have come in another order.
            for host in 0..self.hosts.len() {
                self.push(self.now + UNDRAIN_AFTER, What::Fault(Fault::Drain(host, false)));
            }
            self.healed_at = Some(self.now + UNDRAIN_AFTER);
        }
        for host in 0..self.hosts.len() {
            self.hosts[host].slow_until = self.now;
            if self.hosts[host].process.is_none() {
                let at = self.now + self.between(0, 3 * SECOND);
                self.push(at, What::Fault(Fault::Restart(host)));
            }
        }
    }

    fn break_something(&mut self) {
        let faults = self.plan.faults.clone();
        let weights = [
            faults.crash,
            faults.blackout,
            faults.partition,
            faults.relink,
            faults.slow_disk,
            faults.pause,
            faults.bridge,
            faults.leave,
            faults.drain,
        ];
        let total: u32 = weights.iter().sum();
        if total == 0 {
            return;
        }
        let mut pick = self.between(1, u64::from(total));
        for (kind, weight) in weights.into_iter().enumerate() {
            if pick <= u64::from(weight) {
                return self.break_one(kind);
            }
            pick -= u64::from(weight);
        }
    }

    fn some_host(&mut self) -> usize {
        usize::try_from(self.random() % self.hosts.len() as u64).expect("few hosts")
    }

    fn break_one(&mut self, kind: usize) {
        let host = self.some_host();
        if kind == 7 {
            return self.strike(Fault::Leave(host));
        }
        if kind == 8 {
            let at = self.now + self.between(SECOND, 20 * SECOND);
            self.push(at, What::Fault(Fault::Drain(host, false)));
            return self.strike(Fault::Drain(host, true));
        }
        self.is_troubled = true;
        let names = ["crash", "blackout", "cut", "connection breaks", "slow disk", "pause"];
        if let Some(name) = names.get(kind) {
            self.saw(name);
        }
        match kind {
            0 => self.crash_for_a_while(host),
            1 => {
                for host in 0..self.hosts.len() {
                    self.crash_for_a_while(host);
                }
            }
            2 => self.block(),
            3 => {
                let other = self.some_host();
                if other != host {
                    self.cut_link(host, other);
                }
            }
            4 => {
                self.trace(|| format!("the disk of host {host} is slow"));
                self.hosts[host].slow_until = self.now + self.between(SECOND, 8 * SECOND);
            }
            5 => {
                self.trace(|| format!("host {host} stands still"));
                let until = self.now + self.between(100 * MS, PAUSE_MAX);
                self.hosts[host].paused_until = until;
            }
            _ => self.bridge(host),
        }
    }

    fn crash_for_a_while(&mut self, host: usize) {
        self.crash(host);
        let quick = self.flip(0.3);
        let at = self.now
            + if quick { self.between(10 * MS, SECOND) } else { self.between(SECOND, 12 * SECOND) };
        self.push(at, What::Fault(Fault::Restart(host)));
    }

    /// A cut: in two parts, around one host, or one way only.
    fn block(&mut self) {
        let hosts = self.hosts.len();
        let alone = self.some_host();
        let shape = self.between(0, 2);
        let side: Vec<bool> = (0..hosts).map(|_| self.flip(0.5)).collect();
        let apart = |a: usize, b: usize| match shape {
            0 => side[a] != side[b],
            1 => (a == alone) != (b == alone),
            _ => a == alone && side[b],
        };
        let pairs = (0..hosts).flat_map(|a| (0..hosts).map(move |b| (a, b)));
        let blocked = pairs.filter(|(a, b)| a != b && apart(*a, *b)).collect();
        self.network.blocked = blocked;
        self.apart = None;
        self.trace(|| format!("a cut of shape {shape}: host {alone}, sides {side:?}"));
        let at = self.now + self.between(SECOND / 2, 15 * SECOND);
        self.push(at, What::Fault(Fault::Heal));
    }

    /// Host `one` and another are cut from each other, both ways or one, and from nobody else, until
    /// all is healed: longer than anything waits.
    fn bridge(&mut self, one: usize) {
        let hosts = self.hosts.len();
        if hosts < 3 || !self.network.blocked.is_empty() {
            return;
        }
        self.saw("bridge");
        let step = usize::try_from(self.between(1, hosts as u64 - 1)).expect("few hosts");
        let other = (one + step) % hosts;
        let is_one_way = self.flip(0.3);
        self.network.blocked.insert((one, other));
        if !is_one_way {
            self.network.blocked.insert((other, one));
        }
        self.apart = Some(Apart { hosts: [one, other], since: self.now });
        self.trace(|| format!("a cut between {one} and {other} only, one way: {is_one_way}"));
    }
}
