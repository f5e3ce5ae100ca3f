//! Where an actor is found, across its restarts.

use std::sync::{Arc, PoisonError, RwLock};

use actix::dev::{MessageResponse, ToEnvelope};
use actix::{Actor, Addr, Context, Handler, MailboxError, Message};
use tokio::sync::Notify;

/// A place that always leads to the present actor of a kind. Cheap to clone.
///
/// An actor that panicked is gone with its mailbox; the supervisor puts its successor here. What was
/// sent to the old one is lost: everything said between actors is repeated or rebuilt.
#[derive(Debug)]
pub struct Post<A: Actor>(Arc<Inner<A>>);

#[derive(Debug)]
struct Inner<A: Actor> {
    present: RwLock<Option<Addr<A>>>,
    filled: Notify,
}

/// A message was not delivered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// There is no actor at the moment; one is being built. Try again.
    #[error("the actor is being restarted")]
    Absent,
    /// It has too much to do. Try again later.
    #[error("the actor's mailbox is full")]
    Full,
}

impl<A: Actor> Clone for Post<A> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<A: Actor> Default for Post<A> {
    fn default() -> Self {
        Self(Arc::new(Inner { present: RwLock::new(None), filled: Notify::new() }))
    }
}

impl<A: Actor<Context = Context<A>>> Post<A> {
    /// The present actor, unless one is just being built.
    #[must_use]
    pub fn addr(&self) -> Option<Addr<A>> {
        let present = self.0.present.read().unwrap_or_else(PoisonError::into_inner);
        present.as_ref().filter(|addr| addr.connected()).cloned()
    }

    pub(crate) fn fill(&self, addr: Addr<A>) {
        *self.0.present.write().unwrap_or_else(PoisonError::into_inner) = Some(addr);
        self.0.filled.notify_waiters();
    }

    pub(crate) fn empty(&self) {
        *self.0.present.write().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Delivers `message` at once or not at all.
    ///
    /// # Errors
    /// When there is no actor or no room; the message is given back.
    pub fn try_send<M>(&self, message: M) -> Result<(), (PostError, M)>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send,
    {
        let present = self.0.present.read().unwrap_or_else(PoisonError::into_inner);
        let Some(addr) = present.as_ref() else {
            return Err((PostError::Absent, message));
        };
        addr.try_send(message).map_err(|error| match error {
            actix::prelude::SendError::Full(message) => (PostError::Full, message),
            actix::prelude::SendError::Closed(message) => (PostError::Absent, message),
        })
    }

    /// Delivers `message`. While there is no actor, or no room, it waits; what an actor had when it
    /// fell is lost with it.
    pub async fn deliver<M>(&self, message: M)
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send + MessageResponse<A, M>,
    {
        let mut message = message;
        loop {
            let filled = self.0.filled.notified();
            message = match self.try_send(message) {
                Ok(()) => return,
                Err((PostError::Absent, message)) => {
                    if self.addr().is_none() {
                        filled.await;
                    }
                    message
                }
                Err((PostError::Full, message)) => {
                    if let Some(addr) = self.addr() {
                        // Waits for its turn, and then until it was handled.
                        drop(addr.send(message).await);
                        return;
                    }
                    message
                }
            };
        }
    }

    /// Delivers `message` and waits for the answer. While there is no actor, or no room, it waits.
    ///
    /// # Errors
    /// When the actor was lost while it had the message.
    pub async fn send<M>(&self, message: M) -> Result<M::Result, MailboxError>
    where
        A: Handler<M>,
        A::Context: ToEnvelope<A, M>,
        M: Message + Send + 'static,
        M::Result: Send + MessageResponse<A, M>,
    {
        loop {
            let filled = self.0.filled.notified();
            match self.addr() {
                Some(addr) => return addr.send(message).await,
                None => filled.await,
            }
        }
    }
}
