//! The ways of a host to others, as `node` has its actors and its router use them.

use umbel_protocol::id::NodeId;
use umbel_protocol::wire::{ExecutorSays, OwnerSays, Relayed, Said};
use umbel_protocol::{executor, scheduler, ways};

use super::Local;
use crate::world::World;

impl World {
    pub(super) fn step_ways(&mut self, host: usize, event: ways::Event) {
        let tick = self.tick(host);
        let mut effects = Vec::new();
        self.process(host).ways.step(tick, event, &mut effects);
        for effect in effects {
            match effect {
                ways::Effect::Deliver { from, said: Said::FromExecutor(says) } => {
                    self.trace(|| format!("host {host} hears {from:?} out of line: {says:?}"));
                    self.local(host, Local::Scheduler(scheduler::Event::Executor(says)));
                }
                ways::Effect::Deliver { from, said: Said::ToExecutor(says) } => {
                    self.trace(|| format!("host {host} hears {from:?} out of line: {says:?}"));
                    self.local(host, Local::Executor(executor::Event::Relayed { from, says }));
                }
                ways::Effect::Send { to, messages } => self.transmit(host, to, false, messages),
            }
        }
    }

    /// Something relayed arrives at `host`, or is to be relayed there.
    pub(super) fn relay(&mut self, sender: NodeId, host: usize, relayed: Vec<Relayed>) {
        let me = self.hosts[host].node;
        for one in relayed.iter().filter(|one| one.to == me && one.from != sender) {
            match &one.said {
                Said::FromExecutor(ExecutorSays::Outcomes { .. }) => self.saw("relayed outcome"),
                Said::ToExecutor(OwnerSays::Dispatch { .. }) => self.saw("relayed dispatch"),
                Said::FromExecutor(_) | Said::ToExecutor(_) => {}
            }
        }
        self.step_ways(host, ways::Event::Relayed { sender, relayed });
    }
}
