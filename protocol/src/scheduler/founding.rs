//! Forming a cluster.

use super::{Found, Scheduler};
use crate::durable::{GroupWrite, StoredGroup};
use crate::group::Group;
use crate::id::{GroupId, PartitionId};
use crate::meta::Meta;
use crate::partition::Partition;
use crate::placement::voters_of;

impl Scheduler {
    /// Makes the meta group and the groups of all partitions, each with its first copy here. All
    /// else is moving copies, as at any later time.
    pub(super) fn found(&mut self, found: &Found) {
        if self.meta.is_some() || !self.replicas.is_empty() {
            return;
        }
        let founders = found.founders.clamp(1, usize::from(found.replicas).max(1));
        let voters_min = u8::try_from(voters_of(founders)).unwrap_or(u8::MAX);
        let name = self.settings.join.cluster_name.clone();
        let mut meta = Meta::new(found.cluster, name, found.partitions, found.replicas, voters_min);
        // Who is older than that is told so when it wants to join.
        meta.spoken = self.settings.versions.max;
        meta.admit(self.settings.join.clone(), self.now.wall);
        let node = self.node();
        self.begin(Group::founding(GroupId::META, node, meta.to_bytes().into()));
        for partition in (0..found.partitions).map(PartitionId) {
            let data = Partition::new(partition).to_bytes().into();
            self.begin(Group::founding(GroupId::of(partition), node, data));
        }
        // Nobody, this node included, is told before it is durable: the leader of the meta group
        // tells. Else a crash could leave members of a cluster that its founder never heard of.
    }

    fn begin(&mut self, stored: StoredGroup) {
        self.disk.found(GroupWrite {
            group: stored.group,
            replica: stored.replica,
            destroy: false,
            snapshot: stored.snapshot.clone(),
            entries: Vec::new(),
            hard_state: Some(stored.hard_state),
            checkpoint: None,
        });
        self.open_replica(stored);
    }
}
