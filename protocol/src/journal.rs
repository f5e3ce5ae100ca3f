//! What a run says of itself while it goes on: how far it is, and lines of text.
//!
//! None of this is in a log or has copies. The node that runs a task keeps the [`Journal`] of the run, and
//! whoever wants to know asks on from where it was: everything that is said has a number, so that nothing
//! is told twice, and what was dropped meanwhile is missed by its count. The journal ends with its run.
//!
//! Invariant: a journal is never larger than [`JOURNAL_LINES_MAX`] lines and [`JOURNAL_BYTES_MAX`] bytes;
//! the oldest lines give way. How far the run is, is one fact: the latest wins.

use std::collections::VecDeque;

use serde::{Deserialize, Serialize};

use crate::id::{NodeId, TaskId, Token};
use crate::limits::{
    JOURNAL_BYTES_MAX, JOURNAL_LINES_MAX, JOURNAL_TAIL_LINES, LINE_BYTES_MAX,
    PROGRESS_MESSAGE_BYTES_MAX,
};
use crate::time::Wall;

/// How far a run is, in its own words.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Progress {
    /// How much is done, in whatever the run counts.
    pub done: u64,
    /// Of how much, if it knows.
    pub total: Option<u64>,
    /// What it is at, if it says so; at most
    /// [`PROGRESS_MESSAGE_BYTES_MAX`] bytes.
    pub message: Option<Box<str>>,
}

/// A line that a run has said; at most [`LINE_BYTES_MAX`] bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogLine {
    /// When, by the clock of its node.
    pub at: Wall,
    /// Whether it complains; of a command, whether it is of its standard error.
    pub is_error: bool,
    /// What, without an end of line.
    pub text: Box<str>,
}

/// How much of a journal somebody knows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Place {
    /// So many changes of how far the run is.
    pub changes: u64,
    /// So many lines.
    pub lines: u64,
}

/// How much somebody knows of what a task says.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Seen {
    /// Of which run.
    pub token: Token,
    /// How much of its journal.
    pub place: Place,
}

/// Part of a journal: how far its run is, and the lines after some place.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Words {
    /// Changes of how far it is, so far.
    pub changes: u64,
    /// How far it is, if it has said so.
    pub progress: Option<Progress>,
    /// So many lines were not asked for.
    pub after: u64,
    /// So many lines were said before the first of these: if more than were not asked for, the others
    /// are not kept any more.
    pub first: u64,
    /// The lines.
    pub lines: Vec<LogLine>,
}

/// What is new of a task that is watched.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct News {
    /// The run that says it.
    pub token: Token,
    /// Which attempt that is, from one.
    pub attempt: u16,
    /// The node that has it.
    pub node: NodeId,
    /// What it says: nothing, if it has just begun.
    pub words: Words,
}

impl News {
    /// What whoever has heard this has seen, to ask on with.
    #[must_use]
    pub fn seen(&self) -> Seen {
        Seen { token: self.token, place: self.words.place() }
    }
}

/// What an owner wants to hear of a run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Follow {
    /// The task.
    pub task: TaskId,
    /// The run.
    pub token: Token,
    /// What it says after this, once it says more; without, how far it is now, and its last lines.
    pub place: Option<Place>,
}

/// What the run of a task that is shown says of itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Live {
    /// Its node did not answer in time.
    Silent,
    /// How far it is, and its last lines.
    Says(Words),
}

/// What a run has said, as far as it is kept.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Journal {
    changes: u64,
    progress: Option<Progress>,
    /// Lines that are not kept any more.
    dropped: u64,
    lines: VecDeque<LogLine>,
    bytes: usize,
}

impl Progress {
    /// `done` of `total`, if that is known.
    #[must_use]
    pub fn new(done: u64, total: impl Into<Option<u64>>) -> Self {
        Self { done, total: total.into(), message: None }
    }
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.total {
            Some(total) => write!(f, "{}/{total}", self.done)?,
            None => write!(f, "{}", self.done)?,
        }
        match &self.message {
            Some(message) => write!(f, " {message}"),
            None => Ok(()),
        }
    }
}

impl Place {
    /// The lesser of both in each.
    #[must_use]
    pub fn min(self, other: Self) -> Self {
        Self { changes: self.changes.min(other.changes), lines: self.lines.min(other.lines) }
    }
}

impl Words {
    /// What somebody knows who has heard this.
    #[must_use]
    pub fn place(&self) -> Place {
        Place { changes: self.changes, lines: self.first + self.lines.len() as u64 }
    }

    /// Whether somebody who knows as much is told something new, and misses nothing of it.
    #[must_use]
    pub fn is_news_to(&self, place: Place) -> bool {
        let told = self.place();
        self.after <= place.lines && (told.changes > place.changes || told.lines > place.lines)
    }

    /// The same without the lines that somebody knows.
    #[must_use]
    pub fn without(mut self, known: u64) -> Self {
        let spare = known.saturating_sub(self.first).min(self.lines.len() as u64);
        self.lines.drain(..usize::try_from(spare).unwrap_or(usize::MAX).min(self.lines.len()));
        self.first += spare;
        self.after = self.after.max(known);
        self
    }

    /// The same with the last few lines only.
    #[must_use]
    pub fn tail(self) -> Self {
        let spare = self.lines.len().saturating_sub(JOURNAL_TAIL_LINES) as u64;
        let known = self.first + spare;
        self.without(known)
    }

    /// What they take.
    #[must_use]
    pub fn weight(&self) -> usize {
        let message = self.progress.as_ref().and_then(|progress| progress.message.as_ref());
        let lines: usize = self.lines.iter().map(LogLine::weight).sum();
        lines + message.map_or(0, |message| message.len()) + LINE_WEIGHT
    }
}

impl LogLine {
    fn weight(&self) -> usize {
        self.text.len() + LINE_WEIGHT
    }
}

impl Journal {
    /// The run is so far. What it is at stays as it was said last.
    pub fn progress(&mut self, done: u64, total: Option<u64>) {
        let message = self.progress.take().and_then(|progress| progress.message);
        self.progress = Some(Progress { done, total, message });
        self.changes += 1;
    }

    /// The run is at this; nothing is said of that any more if it is empty.
    pub fn message(&mut self, message: &str) {
        let message = Some(cut(message, PROGRESS_MESSAGE_BYTES_MAX)).filter(|it| !it.is_empty());
        let progress = self.progress.get_or_insert_default();
        progress.message = message.map(Into::into);
        self.changes += 1;
    }

    /// The run says a line, or several.
    pub fn say(&mut self, at: Wall, is_error: bool, text: &str) {
        for line in text.split('\n') {
            let line = line.strip_suffix('\r').unwrap_or(line);
            let line = LogLine { at, is_error, text: cut(line, LINE_BYTES_MAX).into() };
            self.bytes += line.weight();
            self.lines.push_back(line);
            while self.lines.len() > JOURNAL_LINES_MAX || self.bytes > JOURNAL_BYTES_MAX {
                self.drop_oldest();
            }
        }
    }

    /// Makes room: the oldest line is not kept any longer. Whether there was one.
    pub fn drop_oldest(&mut self) -> bool {
        let Some(line) = self.lines.pop_front() else {
            return false;
        };
        self.bytes -= line.weight();
        self.dropped += 1;
        true
    }

    /// Bytes of the lines that are kept, and what keeping them takes.
    #[must_use]
    pub const fn weight(&self) -> usize {
        self.bytes
    }

    /// How far it is, if that was said.
    #[must_use]
    pub const fn is_at(&self) -> Option<&Progress> {
        self.progress.as_ref()
    }

    /// The lines that are kept.
    pub fn lines(&self) -> impl Iterator<Item = &LogLine> {
        self.lines.iter()
    }

    /// Whether more was said than somebody knows.
    #[must_use]
    pub fn has_more(&self, place: Place) -> bool {
        let said = self.dropped + self.lines.len() as u64;
        self.changes > place.changes || said > place.lines
    }

    /// How far the run is, and what it said after so many lines.
    #[must_use]
    pub fn after(&self, lines: u64) -> Words {
        let said = self.dropped + self.lines.len() as u64;
        // Whoever knows of more has it from somebody else.
        let after = lines.min(said);
        let first = after.max(self.dropped);
        let known = usize::try_from(first - self.dropped).unwrap_or(usize::MAX);
        Words {
            changes: self.changes,
            progress: self.progress.clone(),
            after,
            first,
            lines: self.lines.iter().skip(known).cloned().collect(),
        }
    }

    /// How far the run is, and its last lines.
    #[must_use]
    pub fn tail(&self) -> Words {
        let spare = self.lines.len().saturating_sub(JOURNAL_TAIL_LINES) as u64;
        self.after(self.dropped + spare)
    }
}

/// As much of the beginning of `text` as fits.
fn cut(text: &str, limit: usize) -> &str {
    let end = text.floor_char_boundary(limit);
    text.get(..end).unwrap_or(text)
}

/// What keeping or sending a line takes besides its text.
const LINE_WEIGHT: usize = 32;

#[cfg(test)]
mod tests {
    use super::*;

    const AT: Wall = Wall::from_millis(7);

    fn texts(words: &Words) -> Vec<&str> {
        words.lines.iter().map(|line| &*line.text).collect()
    }

    #[test]
    fn what_is_said_is_told_once_to_whoever_asks_on() {
        let mut journal = Journal::default();
        assert!(!journal.has_more(Place::default()));
        journal.say(AT, false, "one");
        journal.say(AT, true, "two\r\nthree");
        let words = journal.after(0);
        assert_eq!(texts(&words), ["one", "two", "three"]);
        assert_eq!(
            words.lines.iter().map(|line| line.is_error).collect::<Vec<_>>(),
            [false, true, true]
        );
        let place = words.place();
        assert!(!journal.has_more(place));
        journal.progress(3, Some(10));
        assert!(journal.has_more(place));
        let words = journal.after(place.lines);
        assert_eq!(texts(&words), Vec::<&str>::new());
        assert_eq!(words.progress, Some(Progress::new(3, 10)));
        // Whoever knows of more than there is has heard another journal.
        assert_eq!(journal.after(9).first, 3);
    }

    #[test]
    fn the_latest_word_on_how_far_it_is_wins_and_keeps_what_it_is_at() {
        let mut journal = Journal::default();
        journal.progress(1, Some(3));
        journal.message("pictures");
        journal.progress(2, None);
        assert_eq!(journal.is_at().unwrap().to_string(), "2 pictures");
        assert_eq!(journal.after(0).changes, 3);
        journal.message("");
        assert_eq!(journal.is_at(), Some(&Progress::new(2, None)));
        journal.message(&"é".repeat(PROGRESS_MESSAGE_BYTES_MAX));
        let message = journal.is_at().unwrap().message.clone().unwrap();
        assert_eq!(message.len(), PROGRESS_MESSAGE_BYTES_MAX);
    }

    #[test]
    fn the_oldest_lines_give_way_and_are_counted() {
        let mut journal = Journal::default();
        let said = JOURNAL_LINES_MAX as u64 + 5;
        for line in 0..said {
            journal.say(AT, false, &line.to_string());
        }
        let words = journal.after(2);
        assert_eq!((words.after, words.first), (2, 5), "three were missed");
        assert_eq!(words.lines.len(), JOURNAL_LINES_MAX);
        assert_eq!(words.place().lines, said);
        let long = "x".repeat(2 * LINE_BYTES_MAX);
        for _ in 0..100 {
            journal.say(AT, false, &long);
            assert!(journal.weight() <= JOURNAL_BYTES_MAX);
        }
        assert_eq!(journal.after(0).lines.last().unwrap().text.len(), LINE_BYTES_MAX);
        assert!(journal.after(0).weight() <= JOURNAL_BYTES_MAX + LINE_WEIGHT);
        while journal.drop_oldest() {}
        assert_eq!((journal.weight(), journal.after(0).first), (0, said + 100));
    }

    #[test]
    fn whoever_knows_more_is_told_less() {
        let mut journal = Journal::default();
        for line in 0..50 {
            journal.say(AT, false, &line.to_string());
        }
        let words = journal.after(10).without(48);
        assert_eq!((texts(&words), words.first, words.after), (vec!["48", "49"], 48, 48));
        assert!(journal.after(10).is_news_to(Place { changes: 0, lines: 10 }));
        assert!(!journal.after(10).is_news_to(Place { changes: 0, lines: 9 }), "it would miss one");
        assert!(!journal.after(10).is_news_to(Place { changes: 0, lines: 50 }), "it knows all");
        let tail = journal.tail();
        assert_eq!((tail.lines.len(), tail.first), (JOURNAL_TAIL_LINES, 30));
        assert_eq!(journal.after(0).tail(), tail);
        assert_eq!(journal.after(45).tail(), journal.after(45));
    }
}
