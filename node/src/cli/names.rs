//! Names of nodes: people know those, not ids.

use std::collections::BTreeMap;

use umbel_protocol::id::NodeId;
use umbel_protocol::wire::Status;

use crate::client::Client;

/// What nodes are called, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<NodeId, String>);

impl Names {
    /// Asks the cluster; if that fails, ids have to do.
    pub(super) async fn ask(client: &Client) -> Self {
        client.status().await.map(|status| Self::of(&status)).unwrap_or_default()
    }

    pub(super) fn of(status: &Status) -> Self {
        let of_meta = status.meta.members.iter().map(|(id, member)| (*id, member.name.clone()));
        let of_gossip = status.members.iter().map(|member| (member.node, member.name.clone()));
        Self(of_gossip.chain(of_meta).collect())
    }

    /// The name, or else the id.
    pub(super) fn name(&self, node: NodeId) -> String {
        self.0.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }
}
