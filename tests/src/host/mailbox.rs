//! What the machines inside a host tell each other, in order, and their deadlines.

use umbel_protocol::formation::{self, Formation};
use umbel_protocol::time::Tick;
use umbel_protocol::{executor, membership, scheduler};

use super::{EXECUTOR, FORMATION, Local, MEMBERSHIP, SCHEDULER, WAYS};
use crate::world::{What, World};

/// The machine that something is for.
const fn lane_of(what: &Local) -> usize {
    match what {
        Local::Executor(_) | Local::Ended(..) | Local::Says(..) => EXECUTOR,
        Local::Membership(_) => MEMBERSHIP,
        Local::Formation(_) | Local::Greeted(_) => FORMATION,
        // What ends the process does so whatever machine of it has fallen.
        Local::Ways(_) | Local::Ends | Local::WriteFails => WAYS,
        Local::Scheduler(_) | Local::Synced(_) => SCHEDULER,
        Local::Built(machine) | Local::Wake(machine) => *machine,
    }
}

impl World {
    /// Something for a machine of the same node: a mailbox keeps the order.
    pub fn local(&mut self, host: usize, what: Local) {
        let lane = lane_of(&what);
        let at = self.now + self.between(0, 50);
        let Some(process) = &mut self.hosts[host].process else {
            return;
        };
        let at = at.max(process.lanes[lane]);
        process.lanes[lane] = at;
        self.push_inside(host, at, what);
    }

    /// Something happens inside a process at that time, unless it or the machine that it is meant for
    /// has ended by then.
    pub(crate) fn push_inside(&mut self, host: usize, at: u64, what: Local) {
        let one = &self.hosts[host];
        let builds = one.process.as_ref().map_or(0, |process| process.builds[lane_of(&what)]);
        let meant = (one.life, builds);
        self.push(at, What::Inside(host, meant, what));
    }

    /// Whether the process and the machine are there that something was meant for.
    pub(crate) fn is_there(&self, host: usize, (life, builds): (u64, u64), what: &Local) -> bool {
        let one = &self.hosts[host];
        let process = one.process.as_ref().filter(|_| one.life == life);
        process.is_some_and(|process| process.builds[lane_of(what)] == builds)
    }

    fn deadline(&self, host: usize, machine: usize) -> u64 {
        let Some(process) = &self.hosts[host].process else {
            return u64::MAX;
        };
        let tick = match machine {
            SCHEDULER => process.scheduler.next_deadline(),
            EXECUTOR => process.executor.next_deadline(),
            MEMBERSHIP => process.membership.next_deadline(),
            _ => process.formation.as_ref().map_or(Tick::NEVER, Formation::next_deadline),
        };
        if tick == Tick::NEVER {
            return u64::MAX;
        }
        process.started_at.saturating_add(self.hosts[host].takes(tick.as_micros()))
    }

    pub(super) fn plan_wake(&mut self, host: usize, machine: usize) {
        let deadline = self.deadline(host, machine);
        let Some(process) = &mut self.hosts[host].process else {
            return;
        };
        if deadline < process.wake_at[machine] {
            process.wake_at[machine] = deadline;
            self.push_inside(host, deadline, Local::Wake(machine));
        }
    }

    pub(super) fn woken(&mut self, host: usize, machine: usize) {
        let now = self.now;
        let wake_at = &mut self.process(host).wake_at[machine];
        if *wake_at > now {
            // An earlier one came before it, and the next is planned.
            return;
        }
        *wake_at = u64::MAX;
        if self.deadline(host, machine) > self.now {
            return self.plan_wake(host, machine);
        }
        match machine {
            SCHEDULER => self.step_scheduler(host, scheduler::Event::Due),
            EXECUTOR => {
                self.step_executor(host, executor::Event::Due);
                self.tell_load(host);
            }
            MEMBERSHIP => self.step_membership(host, membership::Event::Tick),
            _ => self.step_formation(host, formation::Event::Due),
        }
    }
}
