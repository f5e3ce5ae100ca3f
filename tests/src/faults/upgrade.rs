//! Hosts get a newer program, one by one.

use umbel_protocol::wire::hello::Versions;

use super::{Fault, LEAVE_PATIENCE};
use crate::plan::SECOND;
use crate::world::{What, World};

impl World {
    /// An older host is to run the newer program: its process is told to stop, or falls, and the next
    /// one is of that.
    pub(super) fn upgrade(&mut self) {
        let older = |host: &usize| self.hosts[*host].versions != Versions::OWN;
        let older: Vec<usize> = (0..self.hosts.len()).filter(older).collect();
        if older.is_empty() {
            return;
        }
        let pick = usize::try_from(self.random() % older.len() as u64).expect("few hosts");
        let host = older[pick];
        self.saw("upgrade");
        self.trace(|| format!("host {host} gets the newer program"));
        self.hosts[host].versions = Versions::OWN;
        if self.hosts[host].process.is_none() {
            return;
        }
        if self.flip(0.8) {
            self.leave(host, LEAVE_PATIENCE);
        } else {
            self.is_troubled = true;
            self.crash_for_a_while(host);
        }
    }

    /// Whoever is still older is upgraded, one after the other.
    pub(super) fn upgrade_all(&mut self) {
        let older = self.hosts.iter().filter(|host| host.versions != Versions::OWN).count();
        let mut at = self.now;
        for _ in 0..older {
            at += self.between(SECOND, 4 * SECOND);
            self.push(at, What::Fault(Fault::Upgrade));
        }
        self.healed_at = Some(at.max(self.healed_at.unwrap_or_default()));
    }
}
