//! Nodes that go for good, and others that come in their place.

use umbel_protocol::id::NodeId;
use umbel_protocol::wire::Ask;

use super::{Fault, LEAVE_PATIENCE};
use crate::plan::SECOND;
use crate::world::{What, World};

/// How often it is looked whether a member has nothing left.
const LOOK_EVERY: u64 = SECOND;

impl World {
    /// Another node is to take a host over, in good order: the one that is there is drained first.
    pub(super) fn renew(&mut self, host: usize) {
        if self.hosts[host].process.is_some() && self.is_formed_without(host) {
            self.strike(Fault::Drain(host, true));
            self.push(self.now + LOOK_EVERY, What::Fault(Fault::Renew(host)));
        }
    }

    /// Tells a node to stop that was drained to be replaced, once it has nothing left. What has not
    /// come so far when the storm is over does not come to pass.
    pub(super) fn stop_if_drained(&mut self, host: usize) {
        if self.healed_at.is_some() {
            return;
        }
        let one = &self.hosts[host];
        let is_drained = one.process.as_ref().is_some_and(|process| {
            process.is_serving()
                && process.scheduler.meta().is_some_and(|meta| meta.is_draining(one.node))
                && process.has_nothing()
        });
        if is_drained && self.is_formed_without(host) {
            self.hosts[host].is_renewed = true;
            self.leave(host, LEAVE_PATIENCE);
        } else {
            self.push(self.now + LOOK_EVERY, What::Fault(Fault::Renew(host)));
        }
    }

    /// A node that was told to stop, as it was drained to be replaced, has ended; whether it is as it
    /// should be: `in_order`, and without anything left.
    pub(crate) fn drained_ends(&mut self, host: usize, in_order: bool) {
        self.hosts[host].is_renewed = false;
        if in_order {
            self.saw("host renewed");
            let gone = self.put_another_node(host);
            self.forget_later(gone);
        }
    }

    /// The operator strikes a node off that is gone.
    pub(super) fn forget_later(&mut self, node: NodeId) {
        let at = self.now + self.between(SECOND, 15 * SECOND);
        self.push(at, What::Fault(Fault::Forget(node)));
    }

    pub(super) fn forget(&mut self, node: NodeId) {
        self.operate(Ask::Forget { node });
    }

    /// A host whose process is down gets an empty disk and a node of another name; which one is gone
    /// for ever.
    pub(super) fn put_another_node(&mut self, host: usize) -> NodeId {
        let node = NodeId((u128::from(self.random()) << 64) | host as u128);
        let one = &mut self.hosts[host];
        self.lost_disks.push(std::mem::take(&mut one.disk));
        self.index.remove(&one.node);
        self.index.insert(node, host);
        one.renewals += 1;
        std::mem::replace(&mut one.node, node)
    }

    /// Whether a seed other than `host` belongs to a cluster: else another one would be formed.
    pub(super) fn is_formed_without(&self, host: usize) -> bool {
        let can_form = |other: usize| other != host && self.hosts[other].disk.cluster.is_some();
        (0..self.plan.seeds).any(can_form)
    }
}
