//! How loaded the executors of other nodes are, as gossip tells, and whom to ask for slots.

use std::collections::BTreeMap;

use crate::id::{Lessee, NodeId};
use crate::membership::Load;

/// What other nodes told last. It is some gossip rounds old, so it guides a choice and decides
/// nothing: who is asked in vain says so by granting nothing.
#[derive(Debug, Default)]
pub(super) struct Loads {
    by_node: BTreeMap<NodeId, Load>,
}

impl Loads {
    pub(super) fn told(&mut self, node: NodeId, load: Load) {
        self.by_node.insert(node, load);
    }

    /// The node is not there any more.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.by_node.remove(&node);
    }

    /// Slots of a pool that no run takes, if the node told.
    pub(super) fn free(&self, lessee: Lessee, pool: usize) -> Option<u32> {
        let load = self.by_node.get(&lessee.node)?;
        load.free.get(pool).map(|free| u32::from(*free))
    }
}
