//! Nodes by the names that tasks ask for them by.

use std::collections::BTreeMap;

use anyhow::Context;
use umbel_protocol::id::NodeId;

use crate::client::Client;

/// Nodes by their names, as far as they were asked for.
pub(super) struct Nodes {
    client: Client,
    known: BTreeMap<String, NodeId>,
}

impl Nodes {
    /// Those of the cluster of `client`, which is not asked before it has to be.
    pub(super) fn of(client: &Client) -> Self {
        Self { client: client.clone(), known: BTreeMap::new() }
    }

    /// The node called `name`.
    ///
    /// # Errors
    /// There is none of that name, or nobody answers.
    pub(super) async fn find(&mut self, name: &str) -> anyhow::Result<NodeId> {
        if !self.known.contains_key(name) {
            let members = self.client.members().await.context("cannot find the node")?;
            self.known = members.into_iter().map(|member| (member.name, member.node)).collect();
        }
        let found = self.known.get(name).copied();
        found.with_context(|| format!("no node is called {name:?}; see `umbel cluster status`"))
    }
}
