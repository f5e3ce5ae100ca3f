//! One request from its first try to its answer.
//!
//! A request whose link was lost, or that met a cluster in the middle of a takeover, is asked again
//! until its time is over. That is safe: all requests may be repeated.

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, timeout_at};
use umbel_protocol::partition::{JobChange, JobRefusal, Refusal, SteerRefusal};
use umbel_protocol::task::Batch;
use umbel_protocol::time::Span;
use umbel_protocol::wire::{Answer, Ask, Ending, Request, RequestError};

use super::ClientError;
use super::directory::Directory;
use super::link::Link;

/// What an exchange needs of its client.
pub(super) struct Exchange<'a> {
    pub(super) link: &'a Link,
    pub(super) directory: &'a Directory,
    pub(super) limits: Limits,
}

/// Limits of requests without a deadline.
#[derive(Clone, Copy, Debug)]
pub(super) struct Limits {
    /// Of one try: a node that forgot who waits is asked again after it.
    pub(super) slice: Duration,
    /// Of meeting nothing but trouble: then it is given up.
    pub(super) trouble: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self { slice: Duration::from_secs(30), trouble: Duration::from_secs(15) }
    }
}

/// How long an answer is waited for.
#[derive(Clone, Copy, Debug)]
pub(super) enum Until {
    /// However long it takes.
    Answered,
    /// Until this moment, which is this much after the question.
    At(Instant, Duration),
}

/// What came of a submission.
#[derive(Debug, Default)]
pub(crate) struct Submitted {
    /// Rows that were not taken in, by position.
    pub(crate) refused: Vec<(u32, Refusal)>,
    /// How the others ended, if that was waited for.
    pub(crate) endings: Vec<Ending>,
}

impl Until {
    pub(super) fn after(duration: Duration) -> Self {
        Instant::now()
            .checked_add(duration)
            .map_or(Self::Answered, |deadline| Self::At(deadline, duration))
    }

    /// Until when the present try may take.
    fn of_try(self, slice: Duration) -> Instant {
        let end = Instant::now() + slice;
        match self {
            Self::Answered => end,
            Self::At(deadline, _) => deadline.min(end),
        }
    }

    fn is_over(self) -> bool {
        match self {
            Self::Answered => false,
            Self::At(deadline, _) => Instant::now() >= deadline,
        }
    }
}

impl Exchange<'_> {
    /// A request with one answer.
    pub(super) async fn one(&self, ask: &Ask, until: Until) -> Result<Answer, ClientError> {
        self.converse(ask, until, Some).await
    }

    /// A submission.
    pub(super) async fn submit(
        &self,
        batch: Arc<Batch>,
        wait: bool,
        until: Until,
    ) -> Result<Submitted, ClientError> {
        let rows = batch.rows.len();
        let ask = Ask::Submit { batch, wait };
        let mut receipt: Option<Submitted> = None;
        self.converse(&ask, until, |answer| match answer {
            Answer::Submitted { refused, .. } => {
                let none_left = refused.len() >= rows;
                // What a second try says of rows that the first one took in is of no interest.
                let submitted =
                    receipt.get_or_insert_with(|| Submitted { refused, endings: Vec::new() });
                (!wait || none_left).then(|| Ok(std::mem::take(submitted)))
            }
            Answer::Finished(endings) => {
                Some(Ok(Submitted { endings, ..receipt.take().unwrap_or_default() }))
            }
            other => Some(Err(ClientError::unexpected(&other))),
        })
        .await?
    }

    /// Asks until `hear` has heard enough or the time is over.
    async fn converse<T>(
        &self,
        ask: &Ask,
        until: Until,
        mut hear: impl FnMut(Answer) -> Option<T>,
    ) -> Result<T, ClientError> {
        let mut pause = PAUSE_MIN;
        let mut troubled_since = None;
        let mut last = None;
        // Whether a try whose answer is not known may have come through.
        let mut in_doubt = false;
        loop {
            let began = Instant::now();
            let mut progress = false;
            match self.attempt(ask, until.of_try(self.limits.slice), &mut hear, &mut progress).await
            {
                Ok(heard) => return Ok(heard),
                // Nothing is wrong, the task just takes longer than one try.
                Err(Missed::Answer(RequestError::TimedOut)) if !until.is_over() => {
                    troubled_since = None;
                    continue;
                }
                Err(Missed::Answer(error)) if may_pass(&error) => {
                    in_doubt |= ask.acts() && error == RequestError::Unknown;
                    last = Some(error);
                }
                // An earlier try was the one that has removed it.
                Err(Missed::Answer(error)) if in_doubt && is_gone(ask, &error) => {
                    return match hear(Answer::Done) {
                        Some(heard) => Ok(heard),
                        None => Err(error.into()),
                    };
                }
                Err(Missed::Answer(error)) => return Err(error.into()),
                Err(Missed::Link(_)) if in_doubt => return Err(RequestError::Unknown.into()),
                Err(Missed::Link(error)) => {
                    return Err(match (error, last) {
                        // The last node that was there had something to say.
                        (ClientError::NoNode { .. }, Some(last)) => last.into(),
                        (error, _) => error,
                    });
                }
                // The node was there and well until it went.
                Err(Missed::Lost) => {
                    in_doubt |= ask.acts();
                    progress |= began.elapsed() >= PAUSE_MAX;
                }
                Err(Missed::Silent) => in_doubt |= ask.acts(),
            }
            // Whatever happened before is over. A try that came to nothing was trouble from its
            // beginning, else one without a deadline would go on for ever.
            let begin = if progress {
                troubled_since = None;
                pause = PAUSE_MIN;
                Instant::now()
            } else {
                began
            };
            let since = *troubled_since.get_or_insert(begin);
            let (deadline, after) = match until {
                Until::Answered => (since + self.limits.trouble, self.limits.trouble),
                Until::At(deadline, after) => (deadline, after),
            };
            if Instant::now() + pause >= deadline {
                return Err(match last {
                    None => ClientError::NoAnswer { after },
                    // What the last try met says nothing of those before it.
                    Some(_) if in_doubt => RequestError::Unknown.into(),
                    Some(error) => error.into(),
                });
            }
            // Somebody else may own the partition by now.
            self.directory.doubt();
            sleep(pause).await;
            pause = (pause * 2).min(PAUSE_MAX);
        }
    }

    /// Asks once; sets `progress` when something was heard that is not all yet.
    async fn attempt<T>(
        &self,
        ask: &Ask,
        deadline: Instant,
        hear: &mut impl FnMut(Answer) -> Option<T>,
        progress: &mut bool,
    ) -> Result<T, Missed> {
        let left = deadline.saturating_duration_since(Instant::now());
        let span = Span::from_micros(u64::try_from(left.as_micros()).unwrap_or(u64::MAX));
        let request = Request { deadline: span, ask: ask.clone() };
        self.directory.touch();
        let mut answers = self.link.send(request, deadline).await.map_err(Missed::Link)?;
        // The node's own word on why it took too long says more than ours.
        let patience = deadline + GRACE;
        loop {
            match timeout_at(patience, answers.next()).await {
                Ok(Some(Answer::Failed(error))) => return Err(Missed::Answer(error)),
                Ok(Some(answer)) => {
                    if let Some(heard) = hear(answer) {
                        return Ok(heard);
                    }
                    *progress = true;
                }
                Ok(None) => return Err(Missed::Lost),
                Err(_) => return Err(Missed::Silent),
            }
        }
    }
}

/// Why one try has no answer.
enum Missed {
    /// The node answered with an error.
    Answer(RequestError),
    /// There was no node to ask.
    Link(ClientError),
    /// The link was lost.
    Lost,
    /// The node says nothing.
    Silent,
}

/// Whether asking again may help.
const fn may_pass(error: &RequestError) -> bool {
    match error {
        RequestError::Forming { .. }
        | RequestError::NoQuorum { .. }
        | RequestError::NotOwner { .. }
        | RequestError::Overloaded { .. }
        | RequestError::TimedOut
        | RequestError::NoFacts
        | RequestError::NotLeader { .. }
        | RequestError::Unknown => true,
        RequestError::Invalid(_)
        | RequestError::InvalidJob(_)
        | RequestError::Job(_)
        | RequestError::Reload { .. }
        | RequestError::NotSupported { .. }
        | RequestError::NotUpgraded
        | RequestError::Parting(_)
        | RequestError::Rule(_)
        | RequestError::Steer(_)
        | RequestError::NotFound { .. }
        | RequestError::TooLong { .. }
        | RequestError::UnknownTask { .. }
        | RequestError::UnknownQueue { .. } => false,
    }
}

/// Whether what was to be removed is not there: asked again, that is what was wanted.
const fn is_gone(ask: &Ask, error: &RequestError) -> bool {
    match ask {
        Ask::ChangeJob { change: JobChange::Remove { .. }, .. } => {
            matches!(error, RequestError::Job(JobRefusal::NotFound { .. }))
        }
        Ask::Delete { .. } => matches!(error, RequestError::Steer(SteerRefusal::NotFound { .. })),
        _ => false,
    }
}

/// What an answer that was sent in time may need to arrive.
const GRACE: Duration = Duration::from_millis(500);
const PAUSE_MIN: Duration = Duration::from_millis(10);
const PAUSE_MAX: Duration = Duration::from_secs(1);
