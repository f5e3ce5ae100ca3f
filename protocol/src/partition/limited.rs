//! Limit keys: how many tasks of each run, and when the next may begin.
//!
//! All tasks of a key live in one partition, so nobody else need be asked. What runs is an index over
//! records; only what a rate remembers of the past is a part of the state, and goes when it is made up for.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::Partition;
use crate::id::TaskId;
use crate::limits::RATED_KEYS_MAX;
use crate::sabotage::{self, Defect};
use crate::task::{Options, Rate, Record, State, Steady};
use crate::time::Wall;

/// What runs of each limit key, and what has begun.
#[derive(Clone, Debug, Default)]
pub(super) struct Limited {
    running: BTreeMap<Arc<str>, Running>,
    begun: BTreeMap<Arc<str>, Steady>,
    /// The latter by when they are made up for.
    made_up: BTreeSet<(Steady, Arc<str>)>,
    /// What the latter take.
    bytes: usize,
}

/// Tasks of a key that are leased.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Running {
    all: u32,
    exclusive: u32,
}

/// What has begun of a key, as it is written.
pub(super) type BegunImage = (String, Steady);

/// Whether tasks of a limit key may start.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyRoom {
    /// So many may.
    For(u32),
    /// When one that runs has ended.
    AfterAnother,
    /// At that time.
    At(Wall),
}

impl Limited {
    /// The limit key of a record.
    pub(super) fn key(record: &Record) -> Option<&str> {
        record.particulars.as_ref()?.limit_key.as_deref()
    }

    /// Whether tasks of `key` with `options` may start at `now`.
    pub(super) fn room(&self, key: &str, options: &Options, now: Wall) -> KeyRoom {
        let running = self.running.get(key).copied().unwrap_or_default();
        if sabotage::has(Defect::IgnoreLimits) {
            return KeyRoom::For(1);
        }
        let mut room = u32::MAX;
        if let Some(most) = options.concurrency() {
            room = u32::from(most).saturating_sub(running.all);
        }
        if running.exclusive > 0 {
            room = 0;
        }
        if room == 0 {
            return KeyRoom::AfterAnother;
        }
        let Some(rate) = &options.rate else {
            return KeyRoom::For(room);
        };
        let begun = self.begun.get(key).copied();
        if begun.is_none()
            && self.begun.len() >= RATED_KEYS_MAX
            && let Some((first, _)) = self.made_up.first()
            // What is made up for goes before the next entry is carried out.
            && first.made_up_at() > now
        {
            return KeyRoom::At(first.made_up_at());
        }
        match rate.room(begun, now) {
            0 => KeyRoom::At(rate.next(begun)),
            rated => KeyRoom::For(room.min(rated)),
        }
    }

    /// Whether a task may start at `now`, as far as its limit key says.
    pub(super) fn has_room(&self, record: &Record, now: Wall) -> bool {
        Self::key(record).is_none_or(|key| {
            matches!(self.room(key, &record.template.options, now), KeyRoom::For(_))
        })
    }

    /// A run of a task begins at `now`.
    pub(super) fn begins(&mut self, record: &Record, now: Wall) {
        let Some(key) = Self::key(record) else {
            return;
        };
        self.count(record);
        if let Some(rate) = record.template.options.rate {
            self.spend(key.into(), &rate, now);
        }
    }

    /// A leased task of a state that is read.
    pub(super) fn restore(&mut self, record: &Record) {
        if record.state() == State::Leased {
            self.count(record);
        }
    }

    fn count(&mut self, record: &Record) {
        let Some(key) = Self::key(record) else {
            return;
        };
        let running = match self.running.get_mut(key) {
            Some(running) => running,
            None => self.running.entry(key.into()).or_default(),
        };
        running.all += 1;
        running.exclusive += u32::from(record.template.options.is_exclusive());
    }

    /// A run of a task is over; its key.
    pub(super) fn ends(&mut self, record: &Record) -> Option<Arc<str>> {
        let key = Self::key(record)?;
        let (key, _) = self.running.get_key_value(key)?;
        let key = Arc::clone(key);
        let running = self.running.get_mut(&key)?;
        running.all -= 1;
        running.exclusive -= u32::from(record.template.options.is_exclusive());
        if running.all == 0 {
            self.running.remove(&key);
        }
        Some(key)
    }

    fn spend(&mut self, key: Arc<str>, rate: &Rate, now: Wall) {
        let before = self.begun.get(&key).copied();
        let begun = rate.begin(before, now);
        self.remember(key, begun);
    }

    fn remember(&mut self, key: Arc<str>, begun: Steady) {
        match self.begun.insert(Arc::clone(&key), begun) {
            Some(before) => {
                self.made_up.remove(&(before, Arc::clone(&key)));
            }
            None => self.bytes += BEGUN_WEIGHT + key.len(),
        }
        self.made_up.insert((begun, key));
    }

    /// Drops what is made up for at `now`.
    pub(super) fn pass(&mut self, now: Wall) {
        while let Some((begun, _)) = self.made_up.first()
            && begun.made_up_at() <= now
            && let Some((_, key)) = self.made_up.pop_first()
        {
            self.bytes -= BEGUN_WEIGHT + key.len();
            self.begun.remove(&key);
        }
    }

    /// What the memory of what has begun is counted as.
    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    pub(super) fn to_image(&self) -> Vec<BegunImage> {
        self.begun.iter().map(|(key, begun)| (key.to_string(), *begun)).collect()
    }

    pub(super) fn from_image(image: Vec<BegunImage>) -> Self {
        let mut limited = Self::default();
        for (key, begun) in image {
            limited.remember(key.into(), begun);
        }
        limited
    }

    /// What runs, to be compared with the records.
    #[cfg(test)]
    pub(super) fn running(&self) -> impl Iterator<Item = (&str, u32, u32)> {
        self.running.iter().map(|(key, running)| (&**key, running.all, running.exclusive))
    }
}

impl Partition {
    /// Whether a task may start at `now`, as far as its limit key says; nothing if it has none.
    #[must_use]
    pub fn key_room(&self, task: TaskId, now: Wall) -> Option<KeyRoom> {
        let record = self.records.get(task)?;
        let key = Limited::key(&record)?;
        Some(self.limited.room(key, &record.template.options, now))
    }
}

/// What the past of a key is counted as, without its text. Part of the log's meaning, as
/// [`limits`](crate::limits) explains.
const BEGUN_WEIGHT: usize = 128;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::Span;

    #[test]
    fn keys_whose_rates_are_kept_to_are_limited_until_one_is_made_up_for() {
        let now = Wall::from_millis(1_700_000_000_000);
        let rate = Rate { count: 1, per: Span::from_millis(1_000) };
        let mut limited = Limited::default();
        for n in 0..RATED_KEYS_MAX {
            limited.spend(n.to_string().into(), &rate, now);
        }
        let options = Options { rate: Some(rate), ..Options::default() };
        let later = now + rate.per;
        assert_eq!(limited.room("another", &options, now), KeyRoom::At(later));
        assert_eq!(limited.room("0", &options, now), KeyRoom::At(later), "it has begun itself");
        // Whoever waits need not wait for an entry that makes room.
        assert_eq!(limited.room("another", &options, later), KeyRoom::For(1));
        limited.pass(later);
        assert_eq!((limited.bytes(), limited.to_image()), (0, Vec::new()));
    }
}
