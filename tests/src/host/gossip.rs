//! The membership of a host, as `node`'s gossip actor wires it.

use bytes::Bytes;
use rand::RngExt;
use umbel_protocol::executor;
use umbel_protocol::id::NodeId;
use umbel_protocol::membership::{self, Condition, Identity, Liveness};
use umbel_protocol::scheduler;
use umbel_protocol::ways;

use super::{Local, MEMBERSHIP};
use crate::invariants::second_run_after_loss;
use crate::plan::MS;
use crate::world::{What, World};

impl World {
    pub(super) fn step_membership(&mut self, host: usize, event: membership::Event) {
        let tick = self.tick(host);
        let mut effects = Vec::new();
        self.process(host).membership.step(tick, event, &mut effects);
        for effect in effects {
            match effect {
                membership::Effect::Changed { identity, liveness } => {
                    let Identity { node, incarnation, .. } = identity;
                    self.trace(|| format!("host {host} finds {node:?} {liveness:?}"));
                    let down = liveness == Liveness::Down;
                    if let Some(other) = self.index.get(&node).copied() {
                        self.look_at_opinion(host, other, liveness);
                        let excused = second_run_after_loss::is_excused(self, host, other);
                        let start = (node, incarnation);
                        self.ledger.opinion(host, start, down && excused, self.now);
                    }
                    self.local(host, Local::Ways(ways::Event::Liveness { node, liveness }));
                    let event = scheduler::Event::Liveness { node, incarnation, liveness };
                    self.local(host, Local::Scheduler(event));
                    let event = match liveness {
                        Liveness::Alive => executor::Event::Reached(node),
                        Liveness::Suspect | Liveness::Down => executor::Event::Unheard(node),
                    };
                    self.local(host, Local::Executor(event));
                }
                membership::Effect::SendDatagram { to, data } => {
                    self.send_datagram(host, to.node, data);
                }
                membership::Effect::Superseded { by } => {
                    self.violate(format!("host {host} is superseded by {by:?}"));
                }
                membership::Effect::Load { node, incarnation, load } => {
                    let event = scheduler::Event::Load { node, incarnation, load };
                    self.local(host, Local::Scheduler(event));
                }
                membership::Effect::Rejected { .. } | membership::Effect::Rejoined { .. } => {}
            }
        }
        self.plan_wake(host, MEMBERSHIP);
    }

    /// Gossip is told how loaded this node is, once a second.
    pub(super) fn tell_load(&mut self, host: usize) {
        let clock = self.hosts[host].wall(self.now);
        let process = self.process(host);
        let load = &mut process.load;
        for (told, free) in load.free.iter_mut().zip(process.executor.free()) {
            *told = u16::try_from(free).unwrap_or(u16::MAX);
        }
        load.clock = clock;
        load.is_tight = process.scheduler.is_tight();
        // The scheduler may not have heard yet that the node leaves.
        if load.condition != Condition::Leaving {
            load.condition = process.scheduler.condition();
        }
        let sight = match load.condition {
            Condition::DiskSlow => Some("slow disk told"),
            Condition::Starved => Some("starvation told"),
            Condition::DiskFull => Some("little room told"),
            Condition::Serving | Condition::Leaving => None,
        };
        load.backlog = u32::try_from(process.scheduler.backlog()).unwrap_or(u32::MAX);
        let event = membership::Event::LoadChanged(*load);
        if let Some(sight) = sight {
            self.saw(sight);
        }
        self.local(host, Local::Membership(event));
    }

    fn send_datagram(&mut self, host: usize, to: NodeId, data: Bytes) {
        let Some(other) = self.index.get(&to).copied() else {
            return;
        };
        let noise = self.network.noise;
        let is_carried = self.network.carries(host, other);
        if !is_carried || self.rng.random_ratio(noise.datagrams_lost, 1_000) {
            return self.saw_if("datagram lost", is_carried);
        }
        self.traffic.datagrams += 1;
        self.traffic.datagram_bytes += data.len() as u64;
        let times = if self.rng.random_ratio(noise.datagrams_doubled, 1_000) { 2 } else { 1 };
        for _ in 0..times {
            let at = self.now + self.network.delay(5 * MS, &mut self.rng);
            self.push(at, What::Datagram { from: host, to: other, data: data.clone() });
        }
    }
}
