//! The journals of this node's runs: what handlers and commands say of themselves.
//!
//! A run has one from its first word on, or from when somebody watches it. A run that says nothing and
//! that nobody watches has none.
//!
//! Invariant: the lines of all of them take at most [`JOURNALS_BYTES_MAX`], besides one line each.

use std::collections::HashMap;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use umbel_protocol::id::{TaskId, Token};
use umbel_protocol::journal::{Journal, Place, Words};
use umbel_protocol::limits::JOURNALS_BYTES_MAX;
use umbel_protocol::time::Wall;

/// One run.
type Key = (TaskId, Token);

/// The journals of all runs of a node.
#[derive(Debug)]
pub(crate) struct Journals {
    by_run: Mutex<HashMap<Key, Arc<Voice>>>,
    /// How many there are: most runs end without a look at more than this.
    count: AtomicUsize,
    /// What the lines of all of them take.
    bytes: Arc<AtomicUsize>,
    /// What they may take.
    bytes_max: usize,
}

/// What a run says, as far as it is kept.
pub(crate) struct Voice {
    said: Mutex<Said>,
    all: Arc<AtomicUsize>,
    all_max: usize,
}

#[derive(Default)]
struct Said {
    journal: Journal,
    /// Who is to be told once there is more than this.
    heeded: Option<(Place, Box<dyn FnOnce() + Send>)>,
}

impl Default for Journals {
    fn default() -> Self {
        Self::of_bytes(JOURNALS_BYTES_MAX)
    }
}

impl Journals {
    fn of_bytes(bytes_max: usize) -> Self {
        Self {
            by_run: Mutex::default(),
            count: AtomicUsize::default(),
            bytes: Arc::default(),
            bytes_max,
        }
    }

    /// The journal of a run, from now on if it had none.
    pub(crate) fn of(&self, task: TaskId, token: Token) -> Arc<Voice> {
        let mut by_run = self.by_run();
        let voice = by_run.entry((task, token)).or_insert_with(|| {
            Arc::new(Voice {
                said: Mutex::default(),
                all: Arc::clone(&self.bytes),
                all_max: self.bytes_max,
            })
        });
        let voice = Arc::clone(voice);
        self.count.store(by_run.len(), Ordering::Release);
        voice
    }

    /// Calls `tell` once when a run has said more than `place`.
    pub(crate) fn heed(
        &self,
        task: TaskId,
        token: Token,
        place: Place,
        tell: impl FnOnce() + Send + 'static,
    ) {
        let voice = self.of(task, token);
        let mut said = voice.said();
        if said.journal.has_more(place) {
            drop(said);
            return tell();
        }
        said.heeded = Some((place, Box::new(tell)));
    }

    /// What a run has said after so many lines, or last.
    pub(crate) fn words(&self, task: TaskId, token: Token, after: Option<u64>) -> Words {
        let voice = self.by_run().get(&(task, token)).cloned();
        voice.map(|voice| voice.words(after)).unwrap_or_default()
    }

    /// A run has ended: its journal, if it has one. What it says from now on is not heard.
    pub(crate) fn end(&self, task: TaskId, token: Token) -> Option<Arc<Voice>> {
        if self.is_empty() {
            return None;
        }
        let mut by_run = self.by_run();
        let ended = by_run.remove(&(task, token));
        self.count.store(by_run.len(), Ordering::Release);
        ended
    }

    /// Forgets all runs but those that go on. Something that a run has started may speak up after its end,
    /// for the first time.
    pub(crate) fn keep(&self, goes_on: impl Fn(&Key) -> bool) {
        if !self.is_empty() {
            let mut by_run = self.by_run();
            by_run.retain(|key, _| goes_on(key));
            self.count.store(by_run.len(), Ordering::Release);
        }
    }

    /// Whether no run has one.
    pub(crate) fn is_empty(&self) -> bool {
        self.count.load(Ordering::Acquire) == 0
    }

    fn by_run(&self) -> MutexGuard<'_, HashMap<Key, Arc<Voice>>> {
        self.by_run.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Voice {
    pub(crate) fn progress(&self, done: u64, total: Option<u64>) {
        self.write(|journal| journal.progress(done, total));
    }

    pub(crate) fn message(&self, message: &str) {
        self.write(|journal| journal.message(message));
    }

    pub(crate) fn say(&self, at: Wall, is_error: bool, text: &str) {
        self.write(|journal| journal.say(at, is_error, text));
    }

    /// What was said after so many lines, or last.
    pub(crate) fn words(&self, after: Option<u64>) -> Words {
        let said = self.said();
        after.map_or_else(|| said.journal.tail(), |lines| said.journal.after(lines))
    }

    fn write(&self, write: impl FnOnce(&mut Journal)) {
        let mut said = self.said();
        let before = said.journal.weight();
        write(&mut said.journal);
        let others = self.all.load(Ordering::Relaxed).saturating_sub(before);
        while others + said.journal.weight() > self.all_max && said.journal.lines().nth(1).is_some()
        {
            said.journal.drop_oldest();
        }
        let after = said.journal.weight();
        if after >= before {
            self.all.fetch_add(after - before, Ordering::Relaxed);
        } else {
            self.all.fetch_sub(before - after, Ordering::Relaxed);
        }
        let is_told = said.heeded.as_ref().is_some_and(|(place, _)| said.journal.has_more(*place));
        let heeded = if is_told { said.heeded.take() } else { None };
        drop(said);
        if let Some((_, tell)) = heeded {
            tell();
        }
    }

    fn said(&self) -> MutexGuard<'_, Said> {
        self.said.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Voice {
    fn drop(&mut self) {
        let weight = self.said().journal.weight();
        self.all.fetch_sub(weight, Ordering::Relaxed);
    }
}

impl fmt::Debug for Voice {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Voice").field("journal", &self.said().journal).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::limits::LINE_BYTES_MAX;

    use super::*;

    const AT: Wall = Wall::from_millis(7);
    const TOKEN: Token = Token { term: 1, index: 2, position: 3 };

    fn task(n: u64) -> TaskId {
        TaskId::new(AT, umbel_protocol::id::PartitionId(1), n)
    }

    #[test]
    fn whoever_heeds_a_run_is_told_once_when_there_is_more() {
        let journals = Journals::default();
        let told = Arc::new(AtomicUsize::new(0));
        let heed = |lines| {
            let told = Arc::clone(&told);
            let place = Place { changes: 0, lines };
            journals.heed(task(1), TOKEN, place, move || {
                told.fetch_add(1, Ordering::Relaxed);
            });
        };
        heed(0);
        let voice = journals.of(task(1), TOKEN);
        assert_eq!(told.load(Ordering::Relaxed), 0);
        voice.say(AT, false, "one");
        voice.say(AT, false, "two");
        assert_eq!(told.load(Ordering::Relaxed), 1);
        heed(1);
        assert_eq!(told.load(Ordering::Relaxed), 2, "there is more already");
        heed(2);
        assert_eq!(told.load(Ordering::Relaxed), 2);
        voice.progress(1, None);
        assert_eq!(told.load(Ordering::Relaxed), 3);
    }

    #[test]
    fn all_of_them_together_are_limited_and_leave_nothing_behind() {
        let journals = Journals::of_bytes(10 * LINE_BYTES_MAX);
        let line = "x".repeat(LINE_BYTES_MAX);
        for n in 0..20 {
            let voice = journals.of(task(n), TOKEN);
            for _ in 0..8 {
                voice.say(AT, false, &line);
            }
        }
        let most = 10 * LINE_BYTES_MAX + 20 * (LINE_BYTES_MAX + 64);
        assert!(journals.bytes.load(Ordering::Relaxed) <= most);
        let words = journals.words(task(19), TOKEN, Some(0));
        assert_eq!((words.lines.len(), words.first), (1, 7), "the newest is there");
        // What was started by a run goes on after its end.
        let late = journals.of(task(1), TOKEN);
        for n in 0..19 {
            journals.end(task(n), TOKEN);
        }
        late.say(AT, false, "nobody hears this");
        assert_eq!(journals.words(task(1), TOKEN, None), Words::default());
        journals.keep(|_| false);
        drop(late);
        assert!(journals.is_empty());
        assert_eq!(journals.bytes.load(Ordering::Relaxed), 0);
    }
}
