//! What the machines inside a host tell each other, in order, and their deadlines.

use umbel_protocol::formation::{self, Formation};
use umbel_protocol::time::Tick;
use umbel_protocol::{executor, membership, scheduler};

use super::{EXECUTOR, FORMATION, Local, MEMBERSHIP, SCHEDULER, WAYS};
use crate::world::{What, World};

impl World {
    /// Something for a machine of the same node: a mailbox keeps the order.
    pub fn local(&mut self, host: usize, what: Local) {
        let lane = match what {
            Local::Executor(_) => EXECUTOR,
            Local::Membership(_) => MEMBERSHIP,
            Local::Formation(_) => FORMATION,
            Local::Ways(_) => WAYS,
            _ => SCHEDULER,
        };
        let at = self.now + self.between(0, 50);
        let life = self.hosts[host].life;
        let Some(process) = &mut self.hosts[host].process else {
            return;
        };
        let at = at.max(process.lanes[lane]);
        process.lanes[lane] = at;
        self.push(at, What::Inside(host, life, what));
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
        process.started_at.saturating_add(tick.as_micros())
    }

    pub(super) fn plan_wake(&mut self, host: usize, machine: usize) {
        let deadline = self.deadline(host, machine);
        let now = self.now;
        let life = self.hosts[host].life;
        let Some(process) = &mut self.hosts[host].process else {
            return;
        };
        if deadline < process.wake_at[machine] {
            process.wake_at[machine] = deadline;
            self.push(deadline.max(now), What::Inside(host, life, Local::Wake(machine)));
        }
    }

    pub(super) fn woken(&mut self, host: usize, machine: usize) {
        self.process(host).wake_at[machine] = u64::MAX;
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
