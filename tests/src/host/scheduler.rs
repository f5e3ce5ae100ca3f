//! The scheduler of a host and its disk, as `node`'s scheduler actor and store wire them.

use umbel_protocol::durable::{StateWrite, WriteBatch};
use umbel_protocol::membership::Peer;
use umbel_protocol::scheduler::{self, Effect, Now};
use umbel_protocol::{executor, formation, membership, ways};

use super::{Local, SCHEDULER};
use crate::invariants;
use crate::plan::MS;
use crate::world::{What, World};

impl World {
    pub(super) fn step_scheduler(&mut self, host: usize, event: scheduler::Event) {
        let now = Now { tick: self.tick(host), wall: self.hosts[host].wall(self.now) };
        let mut effects = Vec::new();
        self.process(host).scheduler.step(now, event, &mut effects);
        for effect in effects {
            self.perform(host, effect);
        }
        invariants::one_owner::check(self, host);
        self.look_at_jobs(host);
        self.note_third(host);
        self.plan_wake(host, SCHEDULER);
    }

    fn perform(&mut self, host: usize, effect: Effect) {
        let me = self.hosts[host].node;
        match effect {
            Effect::Admitted => {
                self.trace(|| format!("host {host} is a member"));
                self.local(host, Local::Executor(executor::Event::Admitted));
            }
            Effect::Answer { caller, answer, is_last: _ } => {
                let at = self.now + self.between(MS / 10, MS);
                self.push(at, What::Answer { op: caller.session, attempt: caller.request, answer });
            }
            Effect::Execute(says) => {
                self.note_leases(host, &says);
                self.local(host, Local::Executor(executor::Event::Owner { from: me, says }));
            }
            Effect::Joined(cluster) => {
                self.trace(|| format!("host {host} belongs to {cluster:?}"));
                let known = *self.hosts[host].disk.cluster.get_or_insert(cluster);
                if known != cluster {
                    self.violate(format!("host {host} joins a second cluster"));
                }
                self.local(host, Local::Formation(formation::Event::Joined));
            }
            Effect::Spoken(version) => {
                self.process(host).spoken = version;
                self.cut_older(host, version);
            }
            Effect::Forget(node) => {
                if let Some(other) = self.host_of(node) {
                    self.process(host).knows.remove(&other);
                }
                self.process(host).met.remove(&node);
                self.local(host, Local::Membership(membership::Event::Forget { node }));
            }
            Effect::Left => {
                self.process(host).has_left = true;
                self.push_inside(host, self.now, Local::Ends);
            }
            Effect::Meet { node, address } => {
                if let Some(other) = self.host_of(node) {
                    self.process(host).knows.insert(other, address);
                }
                if self.process(host).met.insert(node, address) != Some(address) {
                    let to = Peer { node, address };
                    self.local(host, Local::Membership(membership::Event::Announce { to }));
                }
            }
            Effect::Members(members) => {
                self.local(host, Local::Ways(ways::Event::Members(members)));
            }
            Effect::Keep(StateWrite { group, replica, state }) => {
                let slow = self.hosts[host].slow_until > self.now;
                // It is large, or the disk is busy with another one.
                let takes = self.between(MS / 5, if slow { 2_000 * MS } else { 40 * MS });
                let (at, index) = (self.now + takes, state.index);
                if self.has_no_room(host) {
                    return self.push_inside(host, at, Local::WriteFails);
                }
                self.process(host).kept.insert((group, replica, index), at);
                let event = scheduler::Event::Kept { group, replica, index };
                self.push_inside(host, at, Local::Scheduler(event));
            }
            Effect::Persist(batch) => {
                let number = batch.number;
                self.check_states(host, &batch);
                if batch.groups.iter().any(|write| write.destroy) {
                    self.saw("copy removed");
                }
                if batch.groups.iter().any(|write| write.checkpoint.is_some()) {
                    self.saw("checkpoint");
                }
                assert!(!self.process(host).is_writing, "one batch at a time");
                self.process(host).is_writing = true;
                self.hosts[host].disk.write(batch);
                let slow = self.hosts[host].slow_until > self.now;
                let fsync = if slow {
                    let (least, most) = self.hosts[host].slow_sync;
                    self.between(least, most)
                } else {
                    self.between(MS / 5, 4 * MS)
                };
                if self.answers_early() {
                    let event = scheduler::Event::Persisted { number };
                    self.push_inside(host, self.now, Local::Scheduler(event));
                }
                self.push_inside(host, self.now + fsync, Local::Synced(number));
                if self.answers_early() {
                    self.process(host).is_writing = false;
                }
            }
            Effect::PassedOver { group, index, why } => {
                self.violate(format!("host {host} passes over entry {index} of {group}: {why}"));
            }
            // No simulated disk damages what is put away.
            Effect::Damaged(why) => self.violate(format!("host {host}: {why}")),
            Effect::Lost(loss) => self.violate(format!("host {host} has lost {loss:?}")),
            // No simulated client asks for it.
            Effect::Reload(_) => {}
            Effect::Refused(refusal) => self.violate(format!("host {host} is refused: {refusal}")),
            Effect::Send { to, urgent, messages } => self.send(host, to, urgent, messages),
        }
    }

    /// No received state is named before its bytes are on the disk. A group is founded at its first
    /// index, and that state comes with the batch.
    fn check_states(&mut self, host: usize, batch: &WriteBatch) {
        for write in &batch.groups {
            let Some(state) = write.snapshot.as_ref().filter(|state| state.index > 1) else {
                continue;
            };
            let (group, index) = (write.group, state.index);
            let kept = self.process(host).kept.get(&(group, write.replica, index)).copied();
            if kept.is_none_or(|at| at > self.now) {
                let what = format!("host {host} names the state of {group} at {index} too early");
                self.must("nothing_unsynced_is_promised", Err(what));
            }
        }
    }

    /// Whether the disk is full.
    fn has_no_room(&mut self, host: usize) -> bool {
        let is_full = self.hosts[host].full_until > self.now;
        if is_full {
            self.saw("full disk");
        }
        is_full
    }

    pub(super) fn synced(&mut self, host: usize, number: u64) {
        if self.has_no_room(host) {
            self.hosts[host].disk.crash(0);
            return self.fails_to_write(host);
        }
        if std::mem::take(&mut self.hosts[host].fails_sync) {
            self.saw("failed sync");
            return self.fails_to_write(host);
        }
        let forgets = self.forgets();
        let disk = &mut self.hosts[host].disk;
        if forgets {
            disk.forget();
        }
        disk.sync(number);
        if !self.answers_early() {
            self.process(host).is_writing = false;
            self.step_scheduler(host, scheduler::Event::Persisted { number });
        }
    }
}
