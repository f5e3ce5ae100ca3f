//! Whether the actors of a node still take messages: one that hangs has not fallen, and nobody
//! would build it anew.

use std::time::Duration;

use actix::dev::{MessageResponse, ToEnvelope};
use actix::{Actor, Context, Handler, Message};
use tokio::time::timeout_at;

use super::{Executor, Gossip, Handles, Post, Scheduler, Which};

/// Asks an actor whether it takes messages. The answer says so.
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "()")]
pub(super) struct Pulse;

impl Handles {
    /// Asks all actors that are watched.
    ///
    /// # Errors
    /// The first of those that have not answered in time.
    pub(crate) async fn pulse(&self, within: Duration) -> Result<(), Which> {
        let until = tokio::time::Instant::now() + within;
        let (executor, gossip, scheduler) = tokio::join!(
            timeout_at(until, beats(&self.executor)),
            timeout_at(until, beats(&self.gossip)),
            timeout_at(until, beats(&self.scheduler)),
        );
        executor.map_err(|_| Which::Executor)?;
        gossip.map_err(|_| Which::Gossip)?;
        scheduler.map_err(|_| Which::Scheduler)
    }
}

/// Returns when the actor has answered, or the one that is built in its place.
async fn beats<A>(post: &Post<A>)
where
    A: Actor<Context = Context<A>> + Handler<Pulse>,
    A::Context: ToEnvelope<A, Pulse>,
    <Pulse as Message>::Result: MessageResponse<A, Pulse>,
{
    while post.send(Pulse).await.is_err() {}
}

impl Handler<Pulse> for Executor {
    type Result = ();

    fn handle(&mut self, _: Pulse, _: &mut Self::Context) {}
}

impl Handler<Pulse> for Gossip {
    type Result = ();

    fn handle(&mut self, _: Pulse, _: &mut Self::Context) {}
}

impl Handler<Pulse> for Scheduler {
    type Result = ();

    fn handle(&mut self, _: Pulse, _: &mut Self::Context) {}
}
