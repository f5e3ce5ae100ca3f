//! Telling those who watch tasks what their runs say.
//!
//! A watcher says how much it knows, is answered as soon as there is more, and asks on. The owner keeps
//! nothing of what is said: it [follows](crate::journal::Follow) the run at its executor as long as
//! somebody watches, and passes on what it hears. But a run that ends fast says its last while its
//! watchers are about to ask on; that is kept for them for a moment.
//!
//! Whoever shows a task that runs [looks](Kind::Looks) how far it is in the same way, and does not wait
//! for it for long.

use std::collections::{BTreeMap, BTreeSet};

use super::Scheduler;
use super::asks::Origin;
use crate::id::{Lessee, PartitionId, TaskId, Token};
use crate::journal::{Follow, Live, News, Place, Seen, Words};
use crate::limits::{LAST_WORDS_BYTES_MAX, WAITERS_MAX};
use crate::membership::Liveness;
use crate::sabotage::{self, Defect};
use crate::task::{Lease, Phase, Record, RunEnd};
use crate::time::{Span, Tick};
use crate::wire::{Answer, RequestError};

/// A watch that another node has not repeated for so long is void: while its caller watches, it does so
/// every few seconds.
const FORGOTTEN_AFTER: Span = Span::from_millis(60_000);
/// An executor is asked again after so long: it may have been started anew, or the question was lost.
const REPEAT_AFTER: Span = Span::from_millis(5_000);
/// For so long whoever shows a task waits to hear how far it is: far longer than that takes, and not so
/// long that anybody wonders.
const LOOK_WAIT: Span = Span::from_millis(500);
/// What a run said last is kept for so long: a watcher that lost its node is back by then.
const LAST_WORDS_KEPT: Span = Span::from_millis(30_000);

/// Who watches which tasks.
#[derive(Default)]
pub(super) struct Watches {
    open: BTreeMap<u64, Watch>,
    /// The watch of each request: one that is repeated replaces the one before.
    by_origin: BTreeMap<Origin, u64>,
    by_task: BTreeSet<(TaskId, u64)>,
    /// After what executors were asked last for more of a run, and when. While that may still be answered
    /// whoever knows as much or more waits for the same answer.
    followed: BTreeMap<TaskId, (Token, Place, Tick)>,
    last: u64,
    last_words: LastWords,
}

struct Watch {
    origin: Origin,
    task: TaskId,
    since: Tick,
    kind: Kind,
}

#[derive(Clone, Copy)]
enum Kind {
    /// It is shown, with how far this run is.
    Looks { token: Token },
    /// What it says is told.
    Watches {
        seen: Option<Seen>,
        /// When its executor was last asked for it.
        followed_at: Tick,
    },
}

/// What runs said last, by task.
#[derive(Default)]
struct LastWords {
    by_task: BTreeMap<TaskId, (Tick, News)>,
    bytes: usize,
}

impl LastWords {
    fn keep(&mut self, now: Tick, task: TaskId, news: News) {
        // Of a run before that it may come later.
        if self.by_task.get(&task).is_some_and(|(_, kept)| kept.token > news.token) {
            return;
        }
        self.forget(task);
        self.bytes += news.words.weight();
        self.by_task.insert(task, (now, news));
        while self.bytes > LAST_WORDS_BYTES_MAX {
            let oldest = self.by_task.iter().min_by_key(|(_, (at, _))| *at);
            let Some(oldest) = oldest.map(|(task, _)| *task) else {
                return;
            };
            self.forget(oldest);
        }
    }

    fn forget(&mut self, task: TaskId) {
        if let Some((_, news)) = self.by_task.remove(&task) {
            self.bytes -= news.words.weight();
        }
    }

    /// What somebody has not heard who knows as much.
    fn after(&self, task: TaskId, seen: Seen) -> Option<News> {
        let (_, news) = self.by_task.get(&task)?;
        let is_new = news.token == seen.token && news.words.is_news_to(seen.place);
        is_new.then(|| news.clone().after(seen.place))
    }
}

impl News {
    fn after(self, place: Place) -> Self {
        if sabotage::has(Defect::RepeatWords) {
            return self;
        }
        Self { words: self.words.without(place.lines), ..self }
    }

    /// That a run has begun.
    fn begun(record: &Record, lease: &Lease) -> Self {
        Self {
            token: lease.token,
            attempt: attempt(record),
            node: lease.lessee.node,
            words: Words::default(),
        }
    }
}

fn attempt(record: &Record) -> u16 {
    record.history.as_ref().map_or(0, |history| history.failures).saturating_add(1)
}

impl Watches {
    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    fn remove(&mut self, id: u64) -> Option<Watch> {
        let watch = self.open.remove(&id)?;
        self.by_origin.remove(&watch.origin);
        self.by_task.remove(&(watch.task, id));
        Some(watch)
    }

    fn of(&self, task: TaskId) -> Vec<u64> {
        self.by_task.range((task, 0)..=(task, u64::MAX)).map(|(_, id)| *id).collect()
    }

    /// What the least of those knows who watch this run.
    fn least(&self, task: TaskId, token: Token) -> Option<Place> {
        let of_run = self.of(task).into_iter().filter_map(|id| match self.open.get(&id)?.kind {
            Kind::Watches { seen: Some(seen), .. } if seen.token == token => Some(seen.place),
            Kind::Watches { .. } | Kind::Looks { .. } => None,
        });
        of_run.reduce(Place::min)
    }
}

impl Scheduler {
    /// Tells what a task says of itself after what is known of it, now or once it does.
    pub(super) fn watch(&mut self, origin: Origin, task: TaskId, seen: Option<Seen>) {
        if let Some(news) = seen.and_then(|seen| self.watches.last_words.after(task, seen)) {
            return self.answer(origin, Answer::News(Box::new(news)));
        }
        let record = self.owned(task.partition()).and_then(|p| p.record(task));
        let Some(record) = record.filter(|record| !record.state().is_final()) else {
            return self.show(origin, task);
        };
        if let Phase::Leased(lease) = record.phase()
            && seen.is_none_or(|seen| seen.token != lease.token)
        {
            let (news, lessee) = (News::begun(&record, lease), lease.lessee);
            self.follow_from_start(lessee, task, news.token);
            return self.answer(origin, Answer::News(Box::new(news)));
        }
        let kind = Kind::Watches { seen, followed_at: self.now.tick };
        if self.add_watch(origin, task, kind) {
            let lease = self.lease(task);
            if let Some((lease, seen)) = lease.zip(seen).filter(|(l, s)| l.token == s.token) {
                self.follow_after(lease.lessee, task, lease.token, seen.place);
            }
            self.answer(origin, Answer::Waiting);
        }
    }

    /// Shows a task with all that is known of it; of one that runs, with how far it is, as soon as its
    /// executor has told.
    pub(super) fn show_live(&mut self, origin: Origin, task: TaskId) {
        let lessee = self.lease(task).map(|lease| (lease.lessee, lease.token));
        // An older executor has nothing to tell.
        let Some((lessee, token)) = lessee.filter(|_| self.all_understand(3)) else {
            return self.show_whole(origin, task);
        };
        if !self.is_present(lessee) || self.liveness(lessee.node) == Liveness::Down {
            return self.show_whole_with(origin, task, Live::Silent);
        }
        if self.add_watch(origin, task, Kind::Looks { token }) {
            self.outbox.follow(lessee, Follow { task, token, place: None });
        }
    }

    fn add_watch(&mut self, origin: Origin, task: TaskId, kind: Kind) -> bool {
        if self.waits.waiting() + self.watches.len() >= WAITERS_MAX {
            let what = "callers that wait for tasks".to_owned();
            self.answer(origin, Answer::Failed(RequestError::Overloaded { what }));
            return false;
        }
        if let Some(earlier) = self.watches.by_origin.get(&origin).copied() {
            self.watches.remove(earlier);
        }
        self.watches.last += 1;
        let id = self.watches.last;
        self.watches.by_origin.insert(origin, id);
        self.watches.by_task.insert((task, id));
        self.watches.open.insert(id, Watch { origin, task, since: self.now.tick, kind });
        true
    }

    fn lease(&self, task: TaskId) -> Option<Lease> {
        self.owned(task.partition())?.record(task)?.lease().copied()
    }

    /// Asks the executor of a task that is watched for more than its watchers know.
    fn follow(&mut self, task: TaskId) {
        self.watches.followed.remove(&task);
        let Some((lessee, token)) = self.lease(task).map(|lease| (lease.lessee, lease.token))
        else {
            return;
        };
        if let Some(place) = self.watches.least(task, token) {
            self.follow_after(lessee, task, token, place);
        }
    }

    /// Asks an executor for more than `place` of a run, if it was not asked for that.
    fn follow_after(&mut self, lessee: Lessee, task: TaskId, token: Token, place: Place) {
        let now = self.now.tick;
        if let Some((asked, after, at)) = self.watches.followed.get(&task)
            && *asked == token
            && *after <= place
            && now.since(*at) < REPEAT_AFTER
        {
            return;
        }
        self.watches.followed.insert(task, (token, place, now));
        self.outbox.follow(lessee, Follow { task, token, place: Some(place) });
    }

    /// A run has begun: those who watch its task are told, and ask on.
    pub(super) fn tell_of_start(&mut self, task: TaskId) {
        if self.watches.open.is_empty() {
            return;
        }
        let record = self.owned(task.partition()).and_then(|partition| partition.record(task));
        let news = record.zip(self.lease(task)).map(|(record, lease)| News::begun(&record, &lease));
        let Some(news) = news else {
            return;
        };
        let mut is_followed = false;
        for id in self.watches.of(task) {
            let is_new = self.watches.open.get(&id).is_some_and(|watch| match watch.kind {
                Kind::Watches { seen, .. } => seen.is_none_or(|seen| seen.token != news.token),
                Kind::Looks { .. } => false,
            });
            if is_new && let Some(watch) = self.watches.remove(id) {
                is_followed = true;
                self.answer(watch.origin, Answer::News(Box::new(news.clone())));
            }
        }
        if is_followed && let Some(lessee) = self.lease(task).map(|lease| lease.lessee) {
            self.follow_from_start(lessee, task, news.token);
        }
    }

    /// Whoever hears of a run asks on at once; it may have ended by then, and is to have been followed.
    fn follow_from_start(&mut self, lessee: Lessee, task: TaskId, token: Token) {
        self.follow_after(lessee, task, token, Place::default());
    }

    /// An executor tells what a run of its says.
    pub(super) fn heard_news(
        &mut self,
        lessee: Lessee,
        (task, token): (TaskId, Token),
        words: Words,
        is_last: bool,
    ) {
        let record = self.owned(task.partition()).and_then(|partition| partition.record(task));
        // A run that was closed before this came is not forgotten at once.
        let Some(attempt) = record.and_then(|record| attempt_of(&record, lessee, token)) else {
            return;
        };
        let news = News { token, attempt, node: lessee.node, words };
        for id in self.watches.of(task) {
            let Some(kind) = self.watches.open.get(&id).map(|watch| watch.kind) else {
                continue;
            };
            match kind {
                Kind::Looks { token: looked_at } if looked_at == token => {
                    if let Some(watch) = self.watches.remove(id) {
                        let live = Live::Says(news.words.clone().tail());
                        self.show_whole_with(watch.origin, task, live);
                    }
                }
                Kind::Watches { seen: Some(seen), .. }
                    if seen.token == token && news.words.is_news_to(seen.place) =>
                {
                    if let Some(watch) = self.watches.remove(id) {
                        let news = news.clone().after(seen.place);
                        self.answer(watch.origin, Answer::News(Box::new(news)));
                    }
                }
                Kind::Looks { .. } | Kind::Watches { .. } => {}
            }
        }
        if is_last {
            self.watches.last_words.keep(self.now.tick, task, news);
        } else {
            // Those who knew all of it.
            self.follow(task);
        }
    }

    /// A task has ended.
    pub(super) fn end_watches(&mut self, task: TaskId) {
        if self.watches.open.is_empty() {
            return;
        }
        for id in self.watches.of(task) {
            match self.watches.remove(id) {
                Some(Watch { origin, kind: Kind::Looks { .. }, .. }) => {
                    self.show_whole(origin, task)
                }
                Some(Watch { origin, kind: Kind::Watches { seen, .. }, .. }) => {
                    self.watch(origin, task, seen);
                }
                None => {}
            }
        }
    }

    /// Ends what nobody waits for any more, and asks again for what may be lost.
    pub(super) fn tend_watches(&mut self) {
        let now = self.now.tick;
        self.watches.last_words.by_task.retain(|_, (at, news)| {
            let keeps = now.since(*at) < LAST_WORDS_KEPT;
            if !keeps {
                self.watches.last_words.bytes -= news.words.weight();
            }
            keeps
        });
        let (mut over, mut silent, mut again) = (Vec::new(), Vec::new(), BTreeSet::new());
        for (id, watch) in &mut self.watches.open {
            let is_over = match watch.origin {
                Origin::Here(id) => !self.asks.is_open(id),
                Origin::Peer(..) => now.since(watch.since) > FORGOTTEN_AFTER,
            };
            match &mut watch.kind {
                _ if is_over => over.push(*id),
                Kind::Looks { .. } if now.since(watch.since) >= LOOK_WAIT => silent.push(*id),
                Kind::Watches { followed_at, .. } if now.since(*followed_at) > REPEAT_AFTER => {
                    *followed_at = now;
                    again.insert(watch.task);
                }
                Kind::Looks { .. } | Kind::Watches { .. } => {}
            }
        }
        self.watches.followed.retain(|_, (.., at)| now.since(*at) < REPEAT_AFTER);
        for id in over {
            self.watches.remove(id);
        }
        for id in silent {
            if let Some(Watch { origin, task, .. }) = self.watches.remove(id) {
                self.show_whole_with(origin, task, Live::Silent);
            }
        }
        for task in again {
            self.follow(task);
        }
    }

    /// The partition changes hands: whoever watches here must watch elsewhere.
    pub(super) fn give_up_watches(&mut self, partition: PartitionId) {
        self.watches.followed.retain(|task, _| task.partition() != partition);
        let here = self.watches.by_task.iter().filter(|(task, _)| task.partition() == partition);
        let here: Vec<u64> = here.map(|(_, id)| *id).collect();
        for id in here {
            if let Some(Watch { origin, .. }) = self.watches.remove(id) {
                let error = RequestError::NotOwner { partition, owner: None };
                self.answer(origin, Answer::Failed(error));
            }
        }
    }
}

/// Which attempt a run is or was, if the task has or had it.
fn attempt_of(record: &Record, lessee: Lessee, token: Token) -> Option<u16> {
    if let Phase::Leased(lease) = record.phase()
        && lease.token == token
    {
        return (lease.lessee == lessee).then(|| attempt(record));
    }
    let history = record.history.as_ref()?;
    let run = history.runs.iter().rfind(|run| run.token == token && run.lessee == lessee)?;
    // Of one that has failed the number was counted on.
    Some(history.failures.saturating_add(u16::from(!matches!(run.end, RunEnd::Failed(_)))))
}
