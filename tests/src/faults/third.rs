//! A third of the cluster fails at once: who takes over what is left, how soon, and what it costs.

use std::collections::BTreeMap;

use umbel_protocol::id::GroupId;
use umbel_protocol::scheduler::CopyView;

use crate::plan::SECOND;
use crate::world::{What, World};

use super::Fault;

/// What is sent in so long belongs to the takeover.
pub const COUNTED_FOR: u64 = 10 * SECOND;

/// What was sent between hosts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Frames on streams.
    pub frames: u64,
    /// Their bytes.
    pub frame_bytes: u64,
    /// Datagrams.
    pub datagrams: u64,
    /// Their bytes.
    pub datagram_bytes: u64,
}

impl Traffic {
    /// What has come since it was `before`.
    #[must_use]
    pub const fn since(self, before: Self) -> Self {
        Self {
            frames: self.frames - before.frames,
            frame_bytes: self.frame_bytes - before.frame_bytes,
            datagrams: self.datagrams - before.datagrams,
            datagram_bytes: self.datagram_bytes - before.datagram_bytes,
        }
    }
}

/// What became of a cluster of which a third failed.
#[derive(Clone, Debug)]
pub struct Third {
    /// When.
    pub at: u64,
    /// How many hosts failed.
    pub failed: usize,
    /// Groups that the failed ones owned and that kept a majority: after how long others own them.
    pub groups: BTreeMap<GroupId, Option<u64>>,
    /// Groups that lost their majority: they wait for the failed ones.
    pub stuck: usize,
    /// What was sent in the time before, as long as the one after.
    pub before: Traffic,
    /// What was sent from then on, for [`COUNTED_FOR`].
    pub after: Traffic,
    sent: Traffic,
}

impl World {
    /// A third of the hosts fails at once, once, for half a minute.
    pub(super) fn fail_third(&mut self) {
        let owns = |world: &Self, group| world.hosts.iter().any(|host| owns(host, group));
        let groups: Vec<GroupId> = self.groups().collect();
        if self.third.is_some() || !groups.iter().all(|group| owns(self, *group)) {
            return;
        }
        self.saw("a third at once");
        let chosen = self.some_hosts(self.hosts.len() / 3);
        let owned_by_chosen = |world: &Self, group: GroupId| {
            chosen.iter().any(|host| self::owns(&world.hosts[*host], group))
        };
        let orphans: Vec<GroupId> =
            groups.iter().copied().filter(|group| owned_by_chosen(self, *group)).collect();
        let keeps = |world: &Self, group: GroupId| world.keeps_majority(group, &chosen);
        let stuck = groups.iter().filter(|group| !keeps(self, **group)).count();
        let kept = orphans.into_iter().filter(|group| keeps(self, *group));
        let groups = kept.map(|group| (group, None)).collect();
        for host in &chosen {
            self.crash(*host);
            let at = self.now + self.between(25 * SECOND, 35 * SECOND);
            self.push(at, What::Fault(Fault::Restart(*host)));
        }
        let (at, sent) = (self.now, self.traffic);
        let first = self.traffic_past.front().map_or(sent, |(_, sent)| *sent);
        let before = sent.since(first);
        let (failed, after) = (chosen.len(), Traffic::default());
        self.third = Some(Third { at, failed, groups, stuck, before, after, sent });
    }

    fn keeps_majority(&self, group: GroupId, failed: &[usize]) -> bool {
        let processes = self.hosts.iter().filter_map(|host| host.process.as_ref());
        let copies = processes.filter_map(|process| process.scheduler.copy(group));
        copies.filter(CopyView::is_settled).all(|copy| {
            let voters = copy.copies().voters;
            let nodes = voters.iter().filter_map(|voter| copy.node_of(*voter));
            let left = nodes.filter_map(|node| self.host_of(node)).filter(|h| !failed.contains(h));
            left.count() * 2 > voters.len()
        })
    }

    /// Notes which groups `host` owns that the failed ones had.
    pub(crate) fn note_third(&mut self, host: usize) {
        let now = self.now;
        let Some(third) = &mut self.third else {
            return;
        };
        for (group, after) in third.groups.iter_mut().filter(|(_, after)| after.is_none()) {
            if owns(&self.hosts[host], *group) {
                *after = Some(now - third.at);
            }
        }
    }

    /// Counts what was sent, each time that everything is compared.
    pub(crate) fn count_traffic(&mut self) {
        if let Some(third) = self.third.as_mut().filter(|it| self.now <= it.at + COUNTED_FOR) {
            third.after = self.traffic.since(third.sent);
        }
        let from = self.now.saturating_sub(COUNTED_FOR);
        self.traffic_past.push_back((self.now, self.traffic));
        while self.traffic_past.front().is_some_and(|(at, _)| *at < from) {
            self.traffic_past.pop_front();
        }
    }
}

fn owns(host: &crate::host::Host, group: GroupId) -> bool {
    let copy = host.process.as_ref().and_then(|process| process.scheduler.copy(group));
    copy.is_some_and(|copy| copy.is_settled())
}
