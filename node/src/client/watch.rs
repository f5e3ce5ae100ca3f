//! Watching a task: what its runs say, as they say it, and its end.
//!
//! A watch remembers how much it knows and asks on from there, so that it misses nothing and hears nothing
//! twice when its link is lost, when the task moves to another owner or is run once more.

use std::collections::VecDeque;
use std::time::Duration;

#[cfg(feature = "cli")]
use tokio::time::Instant;
use umbel_protocol::id::{NodeId, TaskId, Token};
use umbel_protocol::journal::{LogLine, News, Place, Progress, Seen};
use umbel_protocol::task::View;
use umbel_protocol::wire::{Answer, Ask};

use super::exchange::Until;
use super::{Client, ClientError};

/// What happens to a task that is watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Event {
    /// A run of it has begun. What it says follows; of a run before it nothing does any more.
    Started {
        /// Which attempt it is, from one.
        attempt: u16,
        /// The node that runs it.
        node: NodeId,
    },
    /// So far is it now.
    Progress(Progress),
    /// It said this.
    Log(LogLine),
    /// It said so many lines more than its node keeps: they came too fast, or before it was watched.
    Missed(u64),
    /// It has ended. Nothing follows.
    Ended(Box<View>),
}

/// A task that is watched; made by [`Client::watch`] and [`Handle::watch`](crate::Handle::watch). Dropping
/// it changes nothing: the task goes on.
///
/// What a run says reaches a watch within a few milliseconds, or after a tenth of a second if it says a
/// lot. All that its node keeps of it comes, what it said before it was watched among it. Lost may be only what is
/// said just before the owner of the task, or the node that runs it, is lost; and the last lines of a run for a
/// watch that began in the very moment of its end, or of which [`next`](Self::next) was not called for thirty
/// seconds around it.
#[derive(Debug)]
pub struct Watch {
    client: Client,
    task: TaskId,
    seen: Option<Seen>,
    /// What was heard and not yet handed out.
    heard: VecDeque<Event>,
    has_ended: bool,
}

impl Client {
    /// Watches a task. Nothing is asked before [`Watch::next`].
    #[must_use]
    pub fn watch(&self, task: TaskId) -> Watch {
        let client = self.clone();
        Watch { client, task, seen: None, heard: VecDeque::new(), has_ended: false }
    }
}

impl Watch {
    /// Its task.
    #[must_use]
    pub const fn task(&self) -> TaskId {
        self.task
    }

    /// Waits for what happens next, however long that takes; nothing after the [end](Event::Ended). May be
    /// given up at any time and called again: nothing is lost.
    ///
    /// # Errors
    /// There is no such task, which is told at once; or nobody answers for it. May be called again.
    pub async fn next(&mut self) -> Result<Option<Event>, ClientError> {
        self.next_until(Until::Answered).await
    }

    /// As [`next`](Self::next), but for so long at most.
    ///
    /// # Errors
    /// As [`next`](Self::next), or nothing has happened in time.
    pub async fn next_within(&mut self, timeout: Duration) -> Result<Option<Event>, ClientError> {
        self.next_until(Until::after(timeout)).await
    }

    /// As [`next`](Self::next), until this moment at most.
    #[cfg(feature = "cli")]
    pub(crate) async fn next_before(
        &mut self,
        deadline: Option<Instant>,
    ) -> Result<Option<Event>, ClientError> {
        match deadline {
            Some(deadline) => {
                let left = deadline.saturating_duration_since(Instant::now());
                self.next_until(Until::At(deadline, left)).await
            }
            None => self.next().await,
        }
    }

    async fn next_until(&mut self, until: Until) -> Result<Option<Event>, ClientError> {
        loop {
            if let Some(event) = self.heard.pop_front() {
                return Ok(Some(event));
            }
            if self.has_ended {
                return Ok(None);
            }
            let ask = Ask::Watch { task: self.task, seen: self.seen };
            match self.client.exchange().one(&ask, until).await? {
                Answer::News(news) => self.hear(*news),
                Answer::View(view) => {
                    self.has_ended = true;
                    self.heard.push_back(Event::Ended(view));
                }
                other => return Err(ClientError::unexpected(&other)),
            }
        }
    }

    fn hear(&mut self, news: News) {
        let News { token, attempt, node, words } = news;
        let known = self.known(token);
        if known.is_none() {
            self.heard.push_back(Event::Started { attempt, node });
        }
        let known = known.unwrap_or_default();
        let told = words.place();
        let missed = words.first.saturating_sub(known.lines);
        if missed > 0 {
            self.heard.push_back(Event::Missed(missed));
        }
        let words = words.without(known.lines);
        self.heard.extend(words.lines.into_iter().map(Event::Log));
        if told.changes > known.changes {
            self.heard.extend(words.progress.map(Event::Progress));
        }
        let place =
            Place { changes: told.changes.max(known.changes), lines: told.lines.max(known.lines) };
        self.seen = Some(Seen { token, place });
    }

    /// What is known of a run, if it is the one that was heard of last.
    fn known(&self, token: Token) -> Option<Place> {
        self.seen.filter(|seen| seen.token == token).map(|seen| seen.place)
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::journal::Words;
    use umbel_protocol::time::Wall;

    use super::*;

    fn token(term: u64) -> Token {
        Token { term, index: 1, position: 0 }
    }

    fn line(n: u64) -> LogLine {
        LogLine { at: Wall::EPOCH, is_error: false, text: n.to_string().into() }
    }

    fn news(term: u64, changes: u64, first: u64, until: u64) -> News {
        let words = Words {
            changes,
            progress: (changes > 0).then(|| Progress::new(changes, 9)),
            after: first,
            first,
            lines: (first..until).map(line).collect(),
        };
        News { token: token(term), attempt: 2, node: NodeId(7), words }
    }

    #[tokio::test]
    async fn nothing_is_heard_twice_and_what_is_missed_is_counted() {
        let (requests, _taken) = tokio::sync::mpsc::channel(1);
        let task = TaskId::new(Wall::EPOCH, umbel_protocol::id::PartitionId(1), 1);
        let mut watch = Client::local(requests).watch(task);
        let mut hear = |news| {
            watch.hear(news);
            watch.heard.drain(..).collect::<Vec<_>>()
        };
        let started = Event::Started { attempt: 2, node: NodeId(7) };
        assert_eq!(hear(news(1, 0, 0, 0)), std::slice::from_ref(&started));
        let heard = hear(news(1, 1, 0, 2));
        assert_eq!(
            heard,
            [Event::Log(line(0)), Event::Log(line(1)), Event::Progress(Progress::new(1, 9))]
        );
        assert_eq!(hear(news(1, 1, 0, 3)), [Event::Log(line(2))]);
        assert_eq!(hear(news(1, 1, 7, 8)), [Event::Missed(4), Event::Log(line(7))]);
        assert_eq!(hear(news(2, 0, 0, 1)), [started, Event::Log(line(0))], "another run");
    }
}
