//! The formation of a host that belongs to no cluster yet, as `node`'s former wires it.

use umbel_protocol::formation;
use umbel_protocol::id::ClusterId;
use umbel_protocol::scheduler::{self, Found};

use super::{FORMATION, Local};
use crate::plan::MS;
use crate::world::World;

impl World {
    pub(super) fn step_formation(&mut self, host: usize, event: formation::Event) {
        let tick = self.tick(host);
        let mut effects = Vec::new();
        let Some(formation) = &mut self.process(host).formation else {
            return;
        };
        formation.step(tick, event, &mut effects);
        for effect in effects {
            match effect {
                formation::Effect::Ask { seed } => {
                    let at = self.now + self.between(MS, 200 * MS);
                    self.push_inside(host, at, Local::Greeted(seed));
                }
                formation::Effect::Join { seed } => {
                    let address = self.address(seed);
                    self.process(host).knows.insert(seed, address);
                }
                formation::Effect::Found { founders } => {
                    self.trace(|| format!("host {host} forms a cluster of {founders}"));
                    let cluster = ClusterId(u128::from(self.random()) << 64 | 1);
                    let found = Found {
                        cluster,
                        partitions: self.plan.partitions,
                        replicas: self.plan.replicas,
                        founders,
                    };
                    self.local(host, Local::Scheduler(scheduler::Event::Found(found)));
                }
            }
        }
        self.plan_wake(host, FORMATION);
    }

    pub(super) fn greeted(&mut self, host: usize, seed: usize) {
        let other = &self.hosts[seed];
        let answers = other.process.is_some()
            && !self.stands(seed)
            && (host == seed || self.network.passes(host, seed));
        let event = if answers {
            let answer = formation::Answer { node: other.node, cluster: other.disk.cluster };
            formation::Event::Answered { seed, answer }
        } else {
            formation::Event::Silent { seed }
        };
        self.step_formation(host, event);
    }
}
