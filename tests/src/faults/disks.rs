//! Disks that are slow, full or fail, and what they lose.

use umbel_protocol::id::GroupId;
use umbel_protocol::membership::Condition;
use umbel_protocol::scheduler::{self, CopyView};

use super::Fault;
use crate::host::Local;
use crate::invariants::partitions;
use crate::plan::{MS, SECOND};
use crate::world::{What, World};

/// What becomes of a disk.
#[derive(Clone, Copy, Debug)]
pub enum Damage {
    /// All is gone.
    All,
    /// Copies of some groups can no longer be read.
    Copies,
}

impl World {
    pub(super) fn slow_down(&mut self, host: usize) {
        self.saw_if("slow disk", self.hosts[host].process.is_some());
        // Now so that all wait for it, now so that its node has to let others do its part.
        let hangs = self.flip(0.4);
        self.trace(|| format!("the disk of host {host} is slow, and hangs: {hangs}"));
        let (longest, slow_sync) = match hangs {
            true => (20 * SECOND, (300 * MS, 4 * SECOND)),
            false => (8 * SECOND, (50 * MS, 400 * MS)),
        };
        self.hosts[host].slow_sync = slow_sync;
        self.hosts[host].slow_until = self.now + self.between(SECOND, longest);
    }

    /// The next sync of a host fails.
    pub(super) fn fail_sync(&mut self, host: usize) {
        self.hosts[host].fails_sync = self.hosts[host].process.is_some();
    }

    pub(super) fn fill_disk(&mut self, host: usize) {
        if self.flip(0.5) {
            return self.run_short(host);
        }
        self.trace(|| format!("the disk of host {host} is full"));
        self.hosts[host].full_until = self.now + self.between(SECOND, 10 * SECOND);
    }

    /// Less is left than there should be, which its driver sees in time, and then there is room again.
    fn run_short(&mut self, host: usize) {
        let time = self.between(SECOND, 15 * SECOND);
        self.trace(|| format!("the disk of host {host} has little room for {time} us"));
        for (at, condition) in
            [(self.now, Condition::DiskFull), (self.now + time, Condition::Serving)]
        {
            self.push_inside(host, at, Local::Scheduler(scheduler::Event::Condition(condition)));
        }
    }

    /// The process ends because it cannot write; whoever watches it starts it again.
    pub(crate) fn fails_to_write(&mut self, host: usize) {
        self.is_troubled = true;
        self.crash(host);
        let at = self.now + self.between(100 * MS, 3 * SECOND);
        self.push(at, What::Fault(Fault::Restart(host)));
    }

    /// The process of a host ends, and what its disk had is lost in part or whole: that shows when it
    /// starts again. Till then all know that it is gone, so that nobody counts on it.
    pub(super) fn break_disk(&mut self, host: usize, damage: Damage) {
        self.crash(host);
        let at = self.now + self.between(5 * SECOND / 2, 9 * SECOND / 2);
        self.push(at, What::Fault(Fault::Damaged(host, damage)));
        self.push(at, What::Fault(Fault::Restart(host)));
    }

    /// A host is about to start, on a disk that was damaged meanwhile.
    pub(super) fn damaged(&mut self, host: usize, damage: Damage) {
        if self.hosts[host].process.is_some() {
            // It has started again in time.
            return;
        }
        match damage {
            Damage::All => self.empty(host),
            Damage::Copies => self.give_up_copies(host),
        }
    }

    /// A disk loses all. Who it was of is gone for ever: another node, by another name, takes the
    /// host over, and others replace the copies: after a while, or as soon as it is struck off. Only as
    /// many as each group can do without.
    fn empty(&mut self, host: usize) {
        let groups: Vec<GroupId> = self.groups().collect();
        if !self.is_formed_without(host)
            || !groups.into_iter().all(|group| self.can_spare(group, host))
        {
            return;
        }
        self.saw("emptied disk");
        self.trace(|| format!("host {host} loses its disk"));
        let gone = self.put_another_node(host);
        if self.flip(0.5) {
            self.forget_later(gone);
        }
    }

    /// A store gives up what it has of some groups, or of all, when it is opened again.
    fn give_up_copies(&mut self, host: usize) {
        let all = self.flip(0.3);
        let held: Vec<GroupId> = self.hosts[host].disk.groups().collect();
        let chosen: Vec<GroupId> = held.into_iter().filter(|_| all || self.flip(0.3)).collect();
        let given_up: Vec<GroupId> =
            chosen.into_iter().filter(|group| self.can_spare(*group, host)).collect();
        if given_up.is_empty() {
            return;
        }
        self.saw("copies given up");
        self.trace(|| format!("host {host} cannot vouch for {given_up:?}"));
        self.lost_disks.push(self.hosts[host].disk.clone());
        for group in given_up {
            self.hosts[host].disk.give_up(group);
        }
    }

    /// All groups of the cluster.
    pub(crate) fn groups(&self) -> impl Iterator<Item = GroupId> + use<> {
        partitions(self).map(GroupId::of).chain([GroupId::META]).collect::<Vec<_>>().into_iter()
    }

    /// Whether a majority of the voters of `group` have their copies without those on `host`, as all
    /// see it who hold one. There must be an owner, and all voters must agree with it, after a crash as
    /// well: one that does not know that a change is over asks those that it left out.
    pub(crate) fn can_spare(&self, group: GroupId, host: usize) -> bool {
        let processes = self.hosts.iter().filter_map(|one| one.process.as_ref());
        let copies: Vec<CopyView<'_>> =
            processes.filter_map(|process| process.scheduler.copy(group)).collect();
        let is_kept = |copy: &CopyView<'_>| {
            let known = copy.copies();
            [&known.voters, &known.voters_outgoing].into_iter().all(|voters| {
                let kept = voters.iter().filter(|voter| {
                    let at = copy.node_of(**voter).and_then(|node| self.host_of(node));
                    at.is_some_and(|at| at != host && self.hosts[at].disk.has_copy(group, **voter))
                });
                voters.is_empty() || kept.count() * 2 > voters.len()
            })
        };
        let settled = copies.iter().filter(|copy| copy.is_settled());
        let Some(owner) = settled.max_by_key(|copy| copy.term()) else {
            return false;
        };
        let agrees = |copy: &&CopyView<'_>| {
            copy.copies().voters == owner.copies().voters && !copy.copies().is_joint()
        };
        let mut voters = owner.copies().voters;
        voters.retain(|voter| {
            owner.node_of(*voter).and_then(|node| self.host_of(node)) != Some(host)
        });
        let agreed = copies.iter().filter(|copy| voters.contains(&copy.replica())).filter(agrees);
        let is_open = self.hosts.iter().any(|one| one.disk.has_open_change(group));
        !is_open && agreed.count() == voters.len() && copies.iter().all(is_kept)
    }
}
