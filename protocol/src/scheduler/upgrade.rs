//! Which version the whole cluster speaks, and when it begins to speak a newer one.
//!
//! A cluster is upgraded node by node. What all members read, states and logs above all, is written as
//! the oldest of them can read it; that version is one of the cluster's facts. Once every member has
//! shown that it speaks a newer one, in the handshake of a connection, the leader of the meta group
//! raises it, for good: from then on nodes that speak only the older are refused, by name of what they
//! lack. Until then nothing is done that they would not understand.

use super::Scheduler;
use super::replica::Replica;
use crate::id::{GroupId, NodeId};
use crate::limits::MEMBERS_MAX;
use crate::meta::MetaCommand;

impl Scheduler {
    /// A node was reached, and this is the newest version that both speak.
    pub(super) fn speaks(&mut self, node: NodeId, version: u16) {
        self.spoken.insert(node, version);
        self.forget_versions();
    }

    /// Whether all members understand what came with `version`.
    pub(super) fn all_understand(&self, version: u16) -> bool {
        self.meta.as_ref().is_some_and(|meta| meta.spoken >= version)
    }

    /// Has the cluster speak what all of its members do.
    pub(super) fn raise_version(&mut self) {
        let Some(meta) = self.meta.as_ref().filter(|_| self.leads_meta()) else {
            return;
        };
        let common = (meta.members.keys())
            .map(|node| self.version_of(*node))
            .fold(self.settings.versions.max, u16::min);
        if common > meta.spoken {
            let command = MetaCommand::Raise { version: common };
            if let Some(owner) = self.replicas.get_mut(&GroupId::META).and_then(Replica::settled)
                && owner.line.meta.is_empty()
            {
                owner.line.meta.push((None, command));
                self.staged.insert(GroupId::META);
            }
        }
    }

    /// The newest version that a member is known to speak; the oldest if it has not been met.
    pub(super) fn version_of(&self, node: NodeId) -> u16 {
        if node == self.node() {
            return self.settings.versions.max;
        }
        self.spoken.get(&node).copied().unwrap_or(self.settings.versions.min)
    }

    /// Forgets nodes that are no members, if they are many: one that was met may be about to become one,
    /// and would not say again what it speaks.
    fn forget_versions(&mut self) {
        if let Some(meta) = self.meta.as_ref().filter(|_| self.spoken.len() > MEMBERS_MAX) {
            self.spoken.retain(|node, _| meta.members.contains_key(node));
        }
    }
}
