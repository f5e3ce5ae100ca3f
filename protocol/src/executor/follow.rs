//! Owners that are told what runs say of themselves, because somebody watches.
//!
//! An owner asks for more than it knows, and is answered once there is more, then asks on. Nothing is
//! kept here of what is said: that is in the [journal](crate::journal) of the run, which the driver has.
//! The driver is told to [heed](Effect::Heed) it, and says when it holds more; this decides when that is
//! told. A run that nobody follows costs nothing, whatever it says.

use super::{Effect, Executor};
use crate::id::{NodeId, TaskId, Token};
use crate::journal::{Follow, Place};
use crate::limits::NEWS_EVERY;
use crate::time::{Span, Tick};

/// An owner that has not asked on for so long does not want to hear more.
const FORGOTTEN_AFTER: Span = Span::from_millis(60_000);

/// Who follows a run: its owner.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Follower {
    owner: NodeId,
    /// What it knew when it asked last.
    place: Place,
    asked_at: Tick,
    /// Whether it was not answered yet.
    waits: bool,
    told_at: Option<Tick>,
    /// Whether there is more, which it is told when it is time.
    has_more: bool,
}

impl Follower {
    /// When it may be told more.
    fn due_at(&self) -> Tick {
        self.told_at.map_or(Tick::START, |at| at + NEWS_EVERY)
    }

    /// It is told more.
    fn tell(&mut self, now: Tick, task: TaskId, token: Token) -> Effect {
        self.has_more = false;
        self.waits = false;
        self.told_at = Some(now);
        let after = Some(self.place.lines);
        Effect::Tell { to: self.owner, task, token, after, is_last: false }
    }
}

impl Executor {
    /// An owner wants to hear of runs.
    pub(super) fn follow(
        &mut self,
        now: Tick,
        from: NodeId,
        runs: &[Follow],
        effects: &mut Vec<Effect>,
    ) {
        for Follow { task, token, place } in runs {
            let (task, token) = (*task, *token);
            let key = (task, token);
            // Of what has ended all was said.
            if self.runs.get(&key).is_none_or(|run| run.end.is_some()) {
                continue;
            }
            let Some(place) = *place else {
                effects.push(Effect::Tell { to: from, task, token, after: None, is_last: false });
                continue;
            };
            let before = self.followed.get(&key).filter(|before| before.owner == from);
            let told_at = before.and_then(|before| before.told_at);
            let follower = Follower {
                owner: from,
                place,
                asked_at: now,
                waits: true,
                told_at,
                has_more: false,
            };
            self.followed.insert(key, follower);
            effects.push(Effect::Heed { task, token, place });
        }
    }

    /// A run has said more than its owner knew.
    pub(super) fn spoke(
        &mut self,
        now: Tick,
        task: TaskId,
        token: Token,
        effects: &mut Vec<Effect>,
    ) {
        let Some(follower) = self.followed.get_mut(&(task, token)).filter(|it| it.waits) else {
            return;
        };
        follower.has_more = true;
        match follower.due_at() {
            due_at if due_at <= now => effects.push(follower.tell(now, task, token)),
            due_at => self.news_at = self.news_at.min(due_at),
        }
    }

    /// Tells those for whom there is more and it is time.
    pub(super) fn tell_news(&mut self, now: Tick, effects: &mut Vec<Effect>) {
        let mut next = Tick::NEVER;
        for ((task, token), follower) in &mut self.followed {
            if !follower.has_more {
                continue;
            }
            if follower.due_at() > now {
                next = next.min(follower.due_at());
                continue;
            }
            effects.push(follower.tell(now, *task, *token));
        }
        self.news_at = next;
    }

    /// A run has ended: whoever follows it hears the rest, before its end. What it was told last may be on
    /// its way, and of several who watch one may know less than the others: it is told all that there is.
    pub(super) fn tell_last(&mut self, task: TaskId, token: Token, effects: &mut Vec<Effect>) {
        if let Some(follower) = self.followed.remove(&(task, token)) {
            let (to, after) = (follower.owner, Some(0));
            effects.push(Effect::Tell { to, task, token, after, is_last: true });
        }
    }

    /// Forgets those who do not ask any more.
    pub(super) fn tend_followers(&mut self, now: Tick) {
        self.followed.retain(|_, follower| now.since(follower.asked_at) < FORGOTTEN_AFTER);
    }
}
