//! The way to a node: over the network, or within the process.

use std::sync::Arc;

use tokio::sync::{mpsc, watch};
use tokio::time::{Instant, timeout_at};
use umbel_protocol::wire::{Answer, Request};

use super::local::{ANSWERS_MAX, LocalRequest};
use super::session::{Session, Ticket};
use super::{ClientError, Tried};

/// The way to a node.
pub(super) enum Link {
    /// Channels to the node in this process.
    Local(mpsc::Sender<LocalRequest>),
    /// The session of the moment, kept by a courier.
    Remote(watch::Receiver<Connection>),
}

/// How things stand between a client and its cluster.
#[derive(Clone)]
pub(super) enum Connection {
    /// There is a session.
    Up(Arc<Session>),
    /// There is none, after these attempts.
    Down(Arc<[Tried]>),
}

/// Answers to one request. There are no more when the link is lost.
pub(super) struct Answers {
    receiver: mpsc::Receiver<Answer>,
    /// Takes the request off the books when it is dropped.
    _ticket: Option<Ticket>,
}

impl Link {
    /// Sends a request as soon as there is a node to take it.
    pub(super) async fn send(
        &self,
        request: Request,
        deadline: Instant,
    ) -> Result<Answers, ClientError> {
        match self {
            Self::Local(requests) => {
                let (answers, receiver) = mpsc::channel(ANSWERS_MAX);
                let sent = requests.send(LocalRequest { request, answers });
                match timeout_at(deadline, sent).await {
                    Ok(Ok(())) => Ok(Answers { receiver, _ticket: None }),
                    Ok(Err(_)) => Err(ClientError::Closed),
                    Err(_) => Err(ClientError::NoNode { tried: Vec::new() }),
                }
            }
            Self::Remote(connection) => {
                let mut connection = connection.clone();
                let sent = async {
                    loop {
                        let session = up(&mut connection).await?;
                        if let Some((receiver, ticket)) = session.ask(request.clone()).await {
                            return Ok(Answers { receiver, _ticket: Some(ticket) });
                        }
                        // It is lost, and its courier is about to notice.
                        let lost = |now: &Connection| match now {
                            Connection::Up(other) => !Arc::ptr_eq(other, &session),
                            Connection::Down(_) => true,
                        };
                        connection.wait_for(lost).await.map_err(|_| ClientError::Closed)?;
                    }
                };
                let sent = timeout_at(deadline, sent).await;
                sent.unwrap_or_else(|_| Err(ClientError::NoNode { tried: self.tried() }))
            }
        }
    }

    /// Who was tried last, while there is no session.
    fn tried(&self) -> Vec<Tried> {
        match self {
            Self::Local(_) => Vec::new(),
            Self::Remote(connection) => match &*connection.borrow() {
                Connection::Up(_) => Vec::new(),
                Connection::Down(tried) => tried.to_vec(),
            },
        }
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Local(_) => f.write_str("Local"),
            Self::Remote(connection) => match &*connection.borrow() {
                Connection::Up(session) => write!(f, "Up({})", session.address()),
                Connection::Down(tried) => f.debug_tuple("Down").field(tried).finish(),
            },
        }
    }
}

impl Answers {
    /// The next one; `None` when the link is lost.
    pub(super) async fn next(&mut self) -> Option<Answer> {
        self.receiver.recv().await
    }
}

async fn up(connection: &mut watch::Receiver<Connection>) -> Result<Arc<Session>, ClientError> {
    let up = connection
        .wait_for(|now| matches!(now, Connection::Up(_)))
        .await
        .map_err(|_| ClientError::Closed)?;
    match &*up {
        Connection::Up(session) => Ok(Arc::clone(session)),
        Connection::Down(_) => Err(ClientError::Closed),
    }
}
