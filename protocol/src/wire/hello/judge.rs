//! The decision: may these two go on, and in which version.

use super::{Hello, NodeHello, Proof, Refusal, Role, SHARED_NAME, Who};
use crate::id::Incarnation;

/// The latest start of a node that has been seen, and what it told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// Which start.
    pub incarnation: Incarnation,
    /// The nonce of its process, if it was met and not only heard of.
    pub start: Option<u64>,
    /// The most writes that it, or an earlier start, said were synced.
    pub synced: u64,
    /// Whether its process is connected and still answers.
    pub lives: bool,
}

/// Decides whether `own` goes on with an end that says `hello` and whose certificate is a `proof`.
/// `known` is the latest start of that node that has been seen.
///
/// # Errors
/// Why not.
pub fn judge(
    own: &Hello,
    known: Option<Known>,
    hello: &Hello,
    proof: Proof<'_>,
) -> Result<u16, Refusal> {
    let version = own
        .versions
        .common(hello.versions)
        .ok_or(Refusal::NoCommonVersion { own: own.versions, other: hello.versions })?;
    let Who::Node(other) = &hello.who else { return Ok(version) };
    if proof.role != Role::Node {
        return Err(Refusal::NotNodeCertificate { node: other.node });
    }
    if proof.name != other.name && proof.name != SHARED_NAME {
        return Err(Refusal::WrongName { told: other.name.clone(), proven: proof.name.to_owned() });
    }
    if let Who::Node(own) = &own.who {
        if own.node == other.node {
            return Err(judge_namesake(own, other));
        }
        judge_cluster(own, other)?;
    }
    judge_start(known, other)?;
    Ok(version)
}

/// Two ends with the same node id: one process, or a data directory in two places. Which of the two
/// is the copy is for others to say.
fn judge_namesake(own: &NodeHello, other: &NodeHello) -> Refusal {
    if own.start == other.start && own.incarnation == other.incarnation {
        Refusal::Yourself
    } else {
        Refusal::InUse { node: own.node, incarnation: other.incarnation }
    }
}

fn judge_cluster(own: &NodeHello, other: &NodeHello) -> Result<(), Refusal> {
    if let (Some(own_id), Some(other_id)) = (own.cluster, other.cluster)
        && own_id != other_id
    {
        return Err(Refusal::AnotherCluster {
            own: own_id,
            own_name: own.cluster_name.clone(),
            other: other_id,
            other_name: other.cluster_name.clone(),
        });
    }
    if own.cluster_name != other.cluster_name {
        return Err(Refusal::WrongClusterName {
            own: own.cluster_name.clone(),
            other: other.cluster_name.clone(),
        });
    }
    Ok(())
}

fn judge_start(known: Option<Known>, other: &NodeHello) -> Result<(), Refusal> {
    let Some(known) = known else { return Ok(()) };
    if other.incarnation < known.incarnation {
        return Err(Refusal::StaleIncarnation {
            node: other.node,
            known: known.incarnation,
            told: other.incarnation,
        });
    }
    // The same process may come back after its connection was lost.
    if known.start == Some(other.start) {
        return Ok(());
    }
    // Another one must have counted, and found the directory free.
    let is_as_old = known.start.is_some() && other.incarnation == known.incarnation;
    if is_as_old || known.lives {
        return Err(Refusal::InUse { node: other.node, incarnation: other.incarnation });
    }
    if other.synced < known.synced {
        return Err(Refusal::RolledBack {
            node: other.node,
            known: known.synced,
            told: other.synced,
        });
    }
    Ok(())
}
