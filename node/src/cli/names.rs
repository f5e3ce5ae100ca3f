//! Names of nodes: people know those, not ids.

use std::collections::BTreeMap;

use umbel_protocol::id::NodeId;

use crate::client::Client;

/// What nodes are called, as far as is known.
#[derive(Debug, Default)]
pub(super) struct Names(BTreeMap<NodeId, String>);

impl Names {
    /// Asks the cluster; if that fails, ids have to do.
    pub(super) async fn ask(client: &Client) -> Self {
        let members = client.members().await.unwrap_or_default();
        Self(members.into_iter().map(|member| (member.node, member.name)).collect())
    }

    /// The name, or else the id.
    pub(super) fn name(&self, node: NodeId) -> String {
        self.0.get(&node).cloned().unwrap_or_else(|| node.to_string())
    }
}
