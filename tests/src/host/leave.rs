//! A node that stops in good order, as `node`'s supervisor has it do.

use umbel_protocol::membership::{self, Condition};
use umbel_protocol::{executor, scheduler};

use super::Local;
use crate::faults::Fault;
use crate::plan::SECOND;
use crate::world::{What, World};

impl World {
    /// The process of a host is told to stop. It ends when it has handed over all that it has, or
    /// after `patience` without that.
    pub fn leave(&mut self, host: usize, patience: u64) {
        let Some(process) = &mut self.hosts[host].process else {
            return;
        };
        if process.load.condition == Condition::Leaving {
            return;
        }
        process.load.condition = Condition::Leaving;
        self.trace(|| format!("host {host} is told to stop"));
        self.local(host, Local::Executor(executor::Event::Retire));
        self.local(host, Local::Scheduler(scheduler::Event::Leave));
        self.tell_load(host);
        self.push_inside(host, self.now + patience, Local::Ends);
    }

    /// A process that was told to stop ends.
    pub(super) fn ends(&mut self, host: usize) {
        let process = self.process(host);
        let held = process.executor.held();
        let has_nothing = process.has_nothing();
        self.step_membership(host, membership::Event::Leave);
        let has_left = self.process(host).has_left;
        if has_left {
            self.saw("orderly end");
        } else {
            self.saw("end without patience");
            self.is_troubled = true;
        }
        self.trace(|| format!("host {host} ends with {held} runs, in order: {has_left}"));
        self.end(host, has_left);
        if self.hosts[host].is_renewed {
            self.drained_ends(host, has_left && has_nothing);
        }
        let at = self.now + self.between(SECOND / 10, 12 * SECOND);
        self.push(at, What::Fault(Fault::Restart(host)));
    }
}
