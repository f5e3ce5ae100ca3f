//! What breaks, when, and for how long.

mod clocks;
mod crashes;
mod cuts;
mod disks;
mod renewal;
mod slots;
mod standing;
mod third;
mod upgrade;

use umbel_protocol::id::NodeId;
use umbel_protocol::wire::Ask;

use crate::plan::{SECOND, Trouble};
use crate::world::{What, World};

pub use self::clocks::Slack;
pub use self::cuts::Apart;
pub use self::disks::Damage;
pub use self::third::{COUNTED_FOR, Third, Traffic};

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
    /// A host is about to start with less on its disk than it had.
    Damaged(usize, Damage),
    /// The process of a host is told to stop.
    Leave(usize),
    /// A host gets the newer program.
    Upgrade,
    /// A host is drained, or serves again.
    Drain(usize, bool),
    /// A member that was drained to be replaced is looked at.
    Renew(usize),
    /// A node that is gone is struck off.
    Forget(NodeId),
    /// A process that stood still may go on.
    GoOn(usize),
    /// A starved process has had its turn.
    TurnEnds(usize),
    /// A cut comes or goes again.
    Flap(cuts::Flap),
    /// The wall clocks that stepped away are set right.
    ClocksRight,
    /// Nothing is blocked any more, unless there was another cut since this one.
    Heal(u64),
    /// A minority dies for good.
    Lose,
    /// The storm is over: all that is broken heals.
    Calm,
}

impl World {
    /// Puts the first fault and the end of all faults in line.
    pub fn plan_faults(&mut self) {
        let end = self.now + self.plan.storm;
        self.push(end, What::Fault(Fault::Calm));
        if !self.plan.faults.troubles.is_empty() {
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
            Fault::Damaged(host, damage) => self.damaged(host, damage),
            Fault::Leave(host) => self.leave(host, LEAVE_PATIENCE),
            Fault::Upgrade => self.upgrade(),
            Fault::Drain(host, draining) => {
                let node = self.hosts[host].node;
                self.operate(Ask::Drain { node, draining });
            }
            Fault::Renew(host) => self.stop_if_drained(host),
            Fault::Forget(node) => self.forget(node),
            Fault::GoOn(host) => self.go_on(host),
            Fault::TurnEnds(host) => self.turn_ends(host),
            Fault::Flap(flap) => self.flap(flap),
            Fault::ClocksRight => self.set_clocks_right(),
            Fault::Heal(cut) => {
                if self.network.cut == cut {
                    self.heal();
                }
            }
            Fault::Lose => self.lose_minority(),
            Fault::Calm => self.calm(),
        }
    }

    fn calm(&mut self) {
        self.trace(|| "the storm is over".to_owned());
        self.healed_at = Some(self.now);
        self.progress_at = self.now;
        self.heal();
        self.network.noise = Default::default();
        self.network.lags = false;
        self.set_clocks_right();
        let drains = |trouble: &Trouble| matches!(trouble, Trouble::Drain | Trouble::Renew);
        if self.plan.faults.troubles.iter().any(|(trouble, _)| drains(trouble)) {
            // Requests that were asked more than once may have come in another order.
            for host in 0..self.hosts.len() {
                self.push(self.now + UNDRAIN_AFTER, What::Fault(Fault::Drain(host, false)));
            }
            self.healed_at = Some(self.now + UNDRAIN_AFTER);
        }
        self.upgrade_all();
        for host in 0..self.hosts.len() {
            self.hosts[host].slow_until = self.now;
            self.hosts[host].full_until = self.now;
            self.hosts[host].starved_until = self.now;
            self.hosts[host].paused_until = self.hosts[host].paused_until.min(self.now);
            self.go_on(host);
            if self.hosts[host].process.is_none() {
                let at = self.now + self.between(0, 3 * SECOND);
                self.push(at, What::Fault(Fault::Restart(host)));
            }
        }
    }

    fn break_something(&mut self) {
        let troubles = self.plan.faults.troubles;
        let total: u32 = troubles.iter().map(|(_, weight)| weight).sum();
        let mut pick = self.between(1, u64::from(total));
        for (trouble, weight) in troubles {
            if pick <= u64::from(*weight) {
                return self.break_one(*trouble);
            }
            pick -= u64::from(*weight);
        }
    }

    /// Any host.
    pub(super) fn some_host(&mut self) -> usize {
        usize::try_from(self.random() % self.hosts.len() as u64).expect("few hosts")
    }

    /// `count` different hosts, in no order.
    pub(super) fn some_hosts(&mut self, count: usize) -> Vec<usize> {
        let mut hosts: Vec<usize> = (0..self.hosts.len()).collect();
        while hosts.len() > count {
            let place = usize::try_from(self.random() % hosts.len() as u64).expect("few hosts");
            hosts.swap_remove(place);
        }
        hosts
    }

    fn break_one(&mut self, trouble: Trouble) {
        let host = self.some_host();
        self.note_trouble(host);
        // In good order nothing breaks.
        self.is_troubled |= !matches!(
            trouble,
            Trouble::ChangeSlots
                | Trouble::Drain
                | Trouble::Leave
                | Trouble::Renew
                | Trouble::Upgrade
        );
        match trouble {
            Trouble::Drain => {
                let at = self.now + self.between(SECOND, 20 * SECOND);
                self.push(at, What::Fault(Fault::Drain(host, false)));
                self.strike(Fault::Drain(host, true));
            }
            Trouble::Leave => self.strike(Fault::Leave(host)),
            Trouble::Bridge => self.bridge(host),
            Trouble::Blackout => self.blackout(),
            Trouble::ClockStep => self.step_clocks(),
            Trouble::Crash => {
                self.saw_if("crash", self.hosts[host].process.is_some());
                self.crash_for_a_while(host);
            }
            Trouble::CrashMost => self.crash_most(),
            Trouble::CrashThird => self.fail_third(),
            Trouble::Cut => self.cut_in_parts(),
            Trouble::Damage => self.break_disk(host, Damage::Copies),
            Trouble::DiskFull => self.fill_disk(host),
            Trouble::Empty => self.break_disk(host, Damage::All),
            Trouble::Flap => self.begin_flapping(),
            Trouble::LongCut => self.cut_for_long(),
            Trouble::Move => self.move_hosts(host),
            Trouble::ChangeSlots => self.change_slots(host),
            Trouble::PartFalls => self.part_falls(host),
            Trouble::Pause => self.pause(host),
            Trouble::Relink => {
                let other = self.some_host();
                if other != host {
                    self.saw_if("connection breaks", self.network.is_up(host, other));
                    self.cut_link(host, other);
                    if self.flip(0.5) {
                        let until = self.now + self.between(0, 2 * SECOND);
                        self.network.read_late(host, other, until);
                        self.network.read_late(other, host, until);
                    }
                }
            }
            Trouble::Renew => self.renew(host),
            Trouble::Ring => self.cut_to_ring(),
            Trouble::SlowDisk => self.slow_down(host),
            Trouble::Starve => self.starve(host),
            Trouble::Stop => self.stop_for_long(host),
            Trouble::SyncError => self.fail_sync(host),
            Trouble::ThreeWays => self.cut_in_three(),
            Trouble::Upgrade => self.upgrade(),
        }
    }
}
