//! Driving a run that has middleware around it.
//!
//! The work inside is not driven by the middleware, which may stop to poll it or drop it at any time:
//! both are polled side by side. Invariants: the work keeps to its own time limit and grace, whatever
//! the middleware does; a run is over only when its work is; and middleware that hangs is dropped when
//! its time is over.
//!
//! ```text
//! before --asks for the work--> inside --outcome--> after --outcome--> over
//!    |  time over: dropped        |  middleware gone:  |  time over or cancelled:
//!    |  cancelled: grace          |  as a cancel       |  grace, then dropped
//! ```

use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::maybe_done;
use tokio::sync::oneshot;
use umbel_protocol::limits::ERROR_BYTES_MAX;
use umbel_protocol::task::{Failure, FailureKind, Outcome};

use super::context::Context;
use super::handler::Work;
use super::limit::Limit;
use super::middleware::Next;
use super::run::{Guarded, alongside, ended};

/// The run of `context`, with the middleware of its node around what `work` makes: that ends by
/// itself soon after its time is over or the token of its own context is cancelled.
pub(super) fn around(
    context: Context,
    limit: Limit,
    grace: Duration,
    work: impl FnOnce(Context) -> Work + Send + 'static,
) -> Work {
    // Tells all that belongs to the run when it is dropped, begun or not.
    let told = context.cancel.clone().drop_guard();
    let (begin, mut asked) = oneshot::channel();
    let (host, inner) = (Arc::clone(&context.host), context.clone());
    let middleware =
        Guarded::new(Box::pin(
            async move { Next::new(&host.middleware, &inner, begin).run().await },
        ));
    Box::pin(async move {
        let mut middleware = maybe_done(middleware);
        let cancel = &context.cancel;
        let answer: Option<oneshot::Sender<Outcome>> = tokio::select! {
            biased;
            () = &mut middleware => None,
            asked = &mut asked => asked.ok(),
            () = cancel.cancelled() => None,
            () = context.time_over() => {
                cancel.cancel();
                return Outcome::Failed(limit.exceeded());
            }
        };
        // Whoever asks from here on hears that nothing is begun any more.
        drop(asked);
        let mut is_late = false;
        if let Some(mut answer) = answer {
            let inner = context.inner();
            let cancel_inner = inner.cancel.clone();
            let mut work = work(inner);
            let outcome = alongside(&mut middleware, async {
                tokio::select! {
                    biased;
                    outcome = &mut work => outcome,
                    () = answer.closed() => {
                        cancel_inner.cancel();
                        work.await
                    }
                }
            })
            .await;
            is_late = !cancel.is_cancelled() && context.is_time_over();
            if is_late {
                cancel.cancel();
            }
            // Nobody may want to know any more.
            drop(answer.send(outcome));
        }
        tokio::select! {
            biased;
            () = &mut middleware => {}
            () = cancel.cancelled() => drop(tokio::time::timeout(grace, &mut middleware).await),
            () = context.time_over() => {
                is_late = true;
                cancel.cancel();
                drop(tokio::time::timeout(grace, &mut middleware).await);
            }
        }
        let outcome = Pin::new(&mut middleware).take_output().map(bounded);
        told.disarm();
        match outcome {
            Some(Outcome::Cancelled) if is_late => Outcome::Failed(limit.exceeded()),
            // Nobody has cancelled it: as a cancelled run it would be begun again at once, for ever.
            Some(Outcome::Cancelled) if !cancel.is_cancelled() => {
                Outcome::Dropped(Failure::new(FailureKind::Dropped, "its middleware gave it up"))
            }
            Some(outcome) if is_late => outcome,
            Some(outcome) => ended(outcome, cancel),
            None if is_late => Outcome::Failed(limit.exceeded()),
            None => Outcome::Cancelled,
        }
    })
}

/// `outcome` as one that a handler could have had: middleware may have made it of anything.
fn bounded(outcome: Outcome) -> Outcome {
    match outcome {
        Outcome::Succeeded(result) => Outcome::of_result(result),
        Outcome::Deferred { failure, pause } => Outcome::Deferred { failure: cut(failure), pause },
        Outcome::Dropped(reason) => Outcome::Dropped(cut(reason)),
        Outcome::Failed(failure) => Outcome::Failed(cut(failure)),
        Outcome::Cancelled | Outcome::Snoozed { .. } => outcome,
    }
}

fn cut(mut failure: Failure) -> Failure {
    if failure.message.len() <= ERROR_BYTES_MAX {
        return failure;
    }
    let detail = failure.strip().unwrap_or_default();
    Failure::new(failure.kind, failure.message).with_detail(detail)
}

#[cfg(test)]
mod tests;
