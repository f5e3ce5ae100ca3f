//! When nodes have found together.

use std::time::Duration;

use tokio::time::{Instant, sleep, timeout};
use umbel_protocol::membership::Liveness;
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Answer, Ask, Request, Status};

use super::{ClusterError, PATIENCE};
use crate::node::Node;

/// Between two looks.
const LOOK_EVERY: Duration = Duration::from_millis(5);
/// How long a node may take to tell how it stands.
const ANSWER: Duration = Duration::from_secs(5);

/// Waits until each is a member.
pub(super) async fn all_joined(
    nodes: impl Iterator<Item = (usize, &Node)>,
) -> Result<(), ClusterError> {
    for (place, node) in nodes {
        match timeout(PATIENCE, node.joined()).await {
            Ok(joined) => joined.map_err(|source| ClusterError::Node { place, source })?,
            Err(_) => {
                let found = format!("{} is no member yet", node.name());
                return Err(ClusterError::NotReady { after: PATIENCE, found });
            }
        }
    }
    Ok(())
}

/// Waits until each takes all for alive, and all partitions have an owner and their copies.
pub(super) async fn work_is_shared(nodes: impl Iterator<Item = &Node>) -> Result<(), ClusterError> {
    let nodes: Vec<_> = nodes.collect();
    let give_up = Instant::now() + PATIENCE;
    for node in &nodes {
        while let Some(found) = lacks(node, nodes.len()).await {
            if Instant::now() >= give_up {
                return Err(ClusterError::NotReady { after: PATIENCE, found });
            }
            sleep(LOOK_EVERY).await;
        }
    }
    Ok(())
}

/// What is still to come, as `node` sees it.
async fn lacks(node: &Node, nodes: usize) -> Option<String> {
    let deadline = Span::from_micros(u64::try_from(ANSWER.as_micros()).unwrap_or(u64::MAX));
    let mut answers = node.ask(Request { deadline, ask: Ask::Status }).await;
    let status = match timeout(ANSWER, answers.recv()).await {
        Ok(Some(Answer::Status(status))) => status,
        Ok(Some(Answer::Failed(why))) => return Some(format!("{}: {why}", node.name())),
        _ => return Some(format!("{} does not answer", node.name())),
    };
    let Status { members, partitions_owned, partitions_whole, meta, .. } = *status;
    let alive = members.iter().filter(|member| member.liveness == Liveness::Alive).count();
    let partitions = meta.partitions;
    let is_ready =
        alive >= nodes && partitions_owned == partitions && partitions_whole == partitions;
    (!is_ready).then(|| {
        format!(
            "{} takes {alive} of {nodes} nodes for alive, and {partitions_owned} of {partitions} \
             partitions have an owner, {partitions_whole} all copies",
            node.name()
        )
    })
}
