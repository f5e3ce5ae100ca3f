//! How loaded the executors of other nodes are, as gossip tells, and whom to ask for slots.

use std::collections::BTreeMap;

use crate::id::{Incarnation, Lessee, NodeId};
use crate::membership::{Condition, Load};

/// What other nodes told last. It is some gossip rounds old, so it guides a choice and decides
/// nothing: who is asked in vain says so by granting nothing.
#[derive(Debug, Default)]
pub(super) struct Loads {
    by_node: BTreeMap<NodeId, (Incarnation, Load)>,
}

impl Loads {
    pub(super) fn told(&mut self, node: NodeId, incarnation: Incarnation, load: Load) {
        self.by_node.insert(node, (incarnation, load));
    }

    /// The node is not there any more.
    pub(super) fn forget(&mut self, node: NodeId) {
        self.by_node.remove(&node);
    }

    /// Slots of a pool that no run takes, if the node told.
    pub(super) fn free(&self, lessee: Lessee, pool: usize) -> Option<u32> {
        let (_, load) = self.by_node.get(&lessee.node)?;
        load.free.get(pool).map(|free| u32::from(*free))
    }

    /// Whether a node told that it is tight.
    pub(super) fn is_tight(&self, node: NodeId) -> bool {
        self.by_node.get(&node).is_some_and(|(_, load)| load.is_tight)
    }

    /// What condition a node is in, as it told since its start `incarnation`. One that has not told
    /// is taken to be well: it was a moment ago, or has only begun.
    pub(super) fn condition(&self, node: NodeId, incarnation: Incarnation) -> Condition {
        let told = self.by_node.get(&node).filter(|(of, _)| *of >= incarnation);
        told.map_or_else(Condition::default, |(_, load)| load.condition)
    }
}
