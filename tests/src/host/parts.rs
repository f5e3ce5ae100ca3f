//! Machines of a process that fall one by one and are built anew while the others go on, as `node`'s
//! supervisor has it.

use umbel_protocol::executor::{self, Executor};
use umbel_protocol::id::Lessee;
use umbel_protocol::membership::{self, Config, Membership, Peer};
use umbel_protocol::scheduler::{self, Now, Scheduler};

use super::{EXECUTOR, Local, MEMBERSHIP, SCHEDULER};
use crate::plan::{MS, SECOND};
use crate::world::World;

impl World {
    /// One of the machines of a process falls. Its successor is there after a pause. What had come to
    /// it is lost; what comes meanwhile waits.
    pub(crate) fn part_falls(&mut self, host: usize) {
        let is_member = |process: &super::Process| process.scheduler.meta().is_some();
        if self.stands(host) || !self.hosts[host].process.as_ref().is_some_and(is_member) {
            return;
        }
        let machine = [SCHEDULER, EXECUTOR, MEMBERSHIP][self.between(0, 2) as usize];
        let quick = self.flip(0.5);
        let pause =
            if quick { self.between(20 * MS, 80 * MS) } else { self.between(MS, 5 * SECOND) };
        let back_at = self.now + pause;
        self.trace(|| format!("machine {machine} of host {host} falls for {pause} us"));
        self.hosts[host].late_until = self.hosts[host].late_until.max(back_at);
        let process = self.process(host);
        process.builds[machine] += 1;
        process.wake_at[machine] = u64::MAX;
        process.lanes[machine] = back_at;
        match machine {
            SCHEDULER => self.scheduler_falls(host),
            EXECUTOR => self.executor_falls(host),
            _ => {
                self.saw("gossip falls");
                let process = self.process(host);
                let (identity, seed) = (process.identity, process.seed);
                process.membership = Membership::new(Config::default(), identity, seed);
            }
        }
        self.push_inside(host, back_at, Local::Built(machine));
    }

    /// Nobody looks after its groups; the store ends what it was told to write.
    fn scheduler_falls(&mut self, host: usize) {
        self.saw("scheduler falls");
        let settings = self.settings(host, 0, 0);
        let at = Now { tick: self.tick(host), wall: self.hosts[host].wall(self.now) };
        self.hosts[host].disk.sync(u64::MAX);
        let process = self.process(host);
        process.is_writing = false;
        process.kept.clear();
        let fallen =
            std::mem::replace(&mut process.scheduler, Scheduler::new(settings, at, Vec::new()));
        self.hosts[host].last_known = Some(fallen);
    }

    /// Its runs are dropped, and how they end nobody hears.
    fn executor_falls(&mut self, host: usize) {
        self.saw("executor falls");
        let tick = self.tick(host);
        let profile = self.hosts[host].profile.clone();
        let now = self.now;
        let process = self.process(host);
        let fallen = process.executor.me();
        process.runs.clear();
        let me = Lessee { executor: fallen.executor + 1, ..fallen };
        process.executor = Executor::new(me, profile, tick);
        self.ledger.fallen.insert(fallen, now);
    }

    /// The successor of a machine that fell begins.
    pub(super) fn built(&mut self, host: usize, machine: usize) {
        self.trace(|| format!("machine {machine} of host {host} is there again"));
        match machine {
            SCHEDULER => {
                let process = self.process(host);
                process.schedulers += 1;
                let (seed, schedulers) = (process.seed, process.schedulers);
                self.note_start(host);
                let settings = self.settings(host, seed, schedulers);
                let at = Now { tick: self.tick(host), wall: self.hosts[host].wall(self.now) };
                let stored = self.hosts[host].disk.open();
                self.process(host).scheduler = Scheduler::new(settings, at, stored);
                // A new scheduler knows neither who is reached, nor who is alive, nor what its executor
                // can do.
                for other in (0..self.hosts.len()).filter(|other| *other != host) {
                    if self.network.is_up(host, other) {
                        let (node, version) =
                            (self.hosts[other].node, self.network.version(host, other));
                        let event = scheduler::Event::Reached { node, version };
                        self.local(host, Local::Scheduler(event));
                    }
                }
                let nodes = self.process(host).membership.nodes();
                let all: Vec<_> = nodes
                    .map(|(identity, liveness)| scheduler::Event::Liveness {
                        node: identity.node,
                        incarnation: identity.incarnation,
                        liveness,
                    })
                    .collect();
                for event in all {
                    self.local(host, Local::Scheduler(event));
                }
                let me = self.hosts[host].node;
                self.local(host, Local::Executor(executor::Event::Reached(me)));
                self.step_scheduler(host, scheduler::Event::Due);
            }
            EXECUTOR => {
                let (tick, profile) = (self.tick(host), self.hosts[host].profile.clone());
                let me = self.process(host).executor.me();
                self.process(host).executor = Executor::new(me, profile, tick);
                self.step_executor(host, executor::Event::Admitted);
                self.step_executor(host, executor::Event::Reached(me.node));
            }
            _ => {
                self.step_membership(host, membership::Event::Tick);
                for (node, address) in self.process(host).met.clone() {
                    let to = Peer { node, address };
                    self.local(host, Local::Membership(membership::Event::Announce { to }));
                }
            }
        }
    }
}
