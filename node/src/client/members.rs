//! Asking about the nodes of the cluster, and having them part, be forgotten, or read their files again.

use umbel_protocol::id::NodeId;
use umbel_protocol::wire::{Answer, Ask, MemberStatus, Reloaded, Status, Welcome};

use super::{Client, ClientError};

impl Client {
    /// Tells who belongs to the cluster, as the node at hand sees it, which asks nobody for it.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn members(&self) -> Result<Vec<MemberStatus>, ClientError> {
        Ok(self.welcome().await?.members)
    }

    /// What the node at hand tells whoever connects.
    pub(crate) async fn welcome(&self) -> Result<Welcome, ClientError> {
        match self.exchange().one(&Ask::Welcome, self.within()).await? {
            Answer::Welcome(welcome) => Ok(*welcome),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// Tells about the cluster: the node at hand asks all others, and waits a second for those that
    /// do not answer.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn status(&self) -> Result<Status, ClientError> {
        match self.exchange().one(&Ask::Status, self.within()).await? {
            Answer::Status(status) => Ok(*status),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// Has a member part with all that it has, or serve again. It has begun when this returns;
    /// [`status`](Self::status) tells how far it is.
    ///
    /// # Errors
    /// There is no such member, it is the last one that is not drained, or nobody who decides that
    /// answers.
    pub async fn drain(&self, node: NodeId, draining: bool) -> Result<(), ClientError> {
        self.done(&Ask::Drain { node, draining }).await
    }

    /// Has the cluster forget a member for good.
    ///
    /// # Errors
    /// As for [`drain`](Self::drain); and if it lives and was not drained.
    pub async fn forget(&self, node: NodeId) -> Result<(), ClientError> {
        self.done(&Ask::Forget { node }).await
    }

    /// Has the node that this client is linked to read its file again; what there is to tell of that.
    ///
    /// # Errors
    /// The node has no file, or it cannot be used: then nothing has changed. Or the cluster does not take
    /// some of its jobs: then all else is as the file says.
    pub async fn reload(&self) -> Result<Reloaded, ClientError> {
        match self.exchange().one(&Ask::Reload, self.within()).await? {
            Answer::Reloaded(reloaded) => Ok(reloaded),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// The node that this client is linked to, as far as is known at this moment.
    #[must_use]
    pub fn node(&self) -> Option<NodeId> {
        self.inner.directory.node()
    }
}
