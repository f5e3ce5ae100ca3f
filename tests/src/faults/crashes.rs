//! Hosts that crash, and how they come back.

use super::Fault;
use crate::plan::{MS, SECOND};
use crate::world::{What, World};

impl World {
    pub(crate) fn crash_for_a_while(&mut self, host: usize) {
        self.crash(host);
        let quick = self.flip(0.3);
        let at = self.now
            + if quick { self.between(10 * MS, SECOND) } else { self.between(SECOND, 12 * SECOND) };
        self.push(at, What::Fault(Fault::Restart(host)));
    }

    pub(super) fn blackout(&mut self) {
        self.saw_if("blackout", self.hosts.iter().all(|host| host.process.is_some()));
        for host in 0..self.hosts.len() {
            self.crash_for_a_while(host);
        }
    }

    /// As many at once as a group has copies, but one.
    pub(super) fn crash_most(&mut self) {
        let most = usize::from(self.plan.replicas) - 1;
        let hosts = self.some_hosts(most);
        let run = hosts.iter().all(|host| self.hosts[*host].process.is_some());
        self.saw_if("most at once", run && !hosts.is_empty());
        for host in hosts {
            self.crash_for_a_while(host);
        }
    }

    /// A host comes back under another address, or all do, and nobody knows any of the new ones.
    pub(super) fn move_hosts(&mut self, host: usize) {
        let hosts = if self.flip(0.3) {
            self.saw("all moved");
            (0..self.hosts.len()).collect()
        } else {
            self.saw("one moved");
            vec![host]
        };
        for host in hosts {
            self.crash_for_a_while(host);
            self.hosts[host].moves += 1;
        }
    }
}
