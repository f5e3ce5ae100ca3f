//! Hosts whose files say other numbers of slots, and are read again.

use umbel_protocol::executor::Event;
use umbel_protocol::limits::CROSSING_MAX;

use crate::host::Local;
use crate::world::World;

impl World {
    /// A host has other numbers of slots from now on; as many as it has when it starts anew.
    pub(super) fn change_slots(&mut self, host: usize) {
        let pools = [7, 3].map(|most| u32::try_from(self.between(1, most)).expect("few slots"));
        self.trace(|| format!("host {host} has {pools:?} slots from now on"));
        let one = &mut self.hosts[host];
        let before = std::mem::replace(&mut one.profile.pools, pools.to_vec());
        // What was leased for slots that were granted before may come for so long.
        let until = self.now + CROSSING_MAX.as_micros();
        one.slots_before.retain(|(until, _)| *until > self.now);
        one.slots_before.push((until, before));
        let (node, profile) = (one.node, one.profile.clone());
        if one.process.is_none() {
            return;
        }
        self.saw("slots changed beside runs");
        self.local(host, Local::Executor(Event::Learned(profile)));
        // Whoever can be reached is told at once, as after a new connection.
        self.local(host, Local::Executor(Event::Reached(node)));
        for other in 0..self.hosts.len() {
            if other != host && self.network.is_up(host, other) {
                let node = self.hosts[other].node;
                self.local(host, Local::Executor(Event::Reached(node)));
            }
        }
    }
}
