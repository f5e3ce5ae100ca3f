//! Tasks of a file that are on their way. They end in any order and are told in the order of their
//! lines.
//!
//! What has ended waits here for those before it. That takes bounded memory: answers that do not fit
//! are let go, and asked for again when their turn comes.

use std::collections::VecDeque;

use umbel_protocol::id::TaskId;
use umbel_protocol::wire::RequestError;

use super::tally::{Fate, Row};
use crate::client::ClientError;

/// Tasks that were not told of yet. They are numbered in the order of their lines.
#[derive(Default)]
pub(super) struct Book {
    entries: VecDeque<Entry>,
    /// The number of the first of them.
    first: u64,
    /// Bytes of the answers that are held.
    held: usize,
    /// Answers that were let go.
    let_go: usize,
}

struct Entry {
    line: u64,
    /// Its id, unless not even that could be made.
    id: Option<TaskId>,
    known: Known,
}

/// What is known of a task.
enum Known {
    /// Nothing: it was sent.
    Sent,
    /// It is acknowledged, and its end is waited for.
    Acknowledged,
    /// It has ended, and how has to be asked for again.
    LetGo,
    /// What there is to tell.
    All(Result<Fate, ClientError>),
}

impl Book {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Adds tasks that are about to be sent; the number of the first.
    pub(super) fn send(&mut self, tasks: impl Iterator<Item = (u64, Option<TaskId>)>) -> u64 {
        let number = self.first + self.entries.len() as u64;
        self.entries.extend(tasks.map(|(line, id)| Entry { line, id, known: Known::Sent }));
        number
    }

    /// Notes that a task is acknowledged and its end waited for. It may be another one than was sent, that
    /// has the same unique key.
    pub(super) fn acknowledge(&mut self, number: u64, id: TaskId) {
        if let Some((_, entry)) = self.entry(number) {
            entry.id = Some(id);
            entry.known = Known::Acknowledged;
        }
    }

    /// Notes the last there is to know of a task.
    pub(super) fn end(&mut self, number: u64, answer: Result<Fate, ClientError>) {
        let bytes = weight(&answer);
        let is_too_much = self.held + bytes > HELD_BYTES_MAX;
        let Some((place, entry)) = self.entry(number) else { return };
        // Those whose turn is near are few.
        if is_too_much && place >= NEAR {
            entry.known = Known::LetGo;
            self.let_go += 1;
        } else {
            entry.known = Known::All(answer);
            self.held += bytes;
        }
    }

    /// Takes out the first one if all is known of it.
    pub(super) fn next(&mut self) -> Option<Row> {
        let known = self.entries.pop_front_if(|entry| matches!(entry.known, Known::All(_)))?;
        let Entry { line, id, known: Known::All(answer) } = known else { return None };
        self.first += 1;
        self.held -= weight(&answer);
        Some(Row { line, id, answer })
    }

    /// Those whose turn is near and which have to be asked for again.
    pub(super) fn ask_again(&mut self) -> Vec<(u64, TaskId)> {
        if self.let_go == 0 {
            return Vec::new();
        }
        let mut asked = Vec::new();
        for (number, entry) in (self.first..).zip(self.entries.iter_mut().take(NEAR)) {
            if let (Known::LetGo, Some(id)) = (&entry.known, entry.id) {
                entry.known = Known::Acknowledged;
                asked.push((number, id));
            }
        }
        self.let_go -= asked.len();
        asked
    }

    /// All of them, for one who waits no longer. What was acknowledged goes on, and of what was
    /// sent nobody knows.
    pub(super) fn leave(self) -> impl Iterator<Item = Row> {
        self.entries.into_iter().map(|Entry { line, id, known }| {
            let answer = match known {
                Known::Sent => Err(RequestError::Unknown.into()),
                Known::Acknowledged | Known::LetGo => Ok(Fate::Acknowledged),
                Known::All(answer) => answer,
            };
            Row { line, id, answer }
        })
    }

    fn entry(&mut self, number: u64) -> Option<(usize, &mut Entry)> {
        let place = usize::try_from(number.checked_sub(self.first)?).ok()?;
        Some((place, self.entries.get_mut(place)?))
    }
}

/// Bytes that an answer takes besides its place.
fn weight(answer: &Result<Fate, ClientError>) -> usize {
    match answer {
        Ok(Fate::Ended { line, .. }) => line.len(),
        Ok(Fate::Acknowledged | Fate::Unknown(_)) | Err(_) => 0,
    }
}

/// Bytes of answers that wait for a task before them.
const HELD_BYTES_MAX: usize = 64 * 1024 * 1024;
/// So many at the front keep their answers in any case: they are asked for together.
const NEAR: usize = 64;

#[cfg(test)]
mod tests {
    use umbel_protocol::id::PartitionId;
    use umbel_protocol::time::Wall;

    use super::*;

    fn id(n: u64) -> TaskId {
        TaskId::new(Wall::from_millis(1), PartitionId(3), n)
    }

    fn book(tasks: u64) -> Book {
        let mut book = Book::default();
        assert_eq!(book.send((0..tasks).map(|n| (n + 1, Some(id(n))))), 0);
        book
    }

    fn ended(line: &str) -> Result<Fate, ClientError> {
        Ok(Fate::Ended { line: line.to_owned(), succeeded: true })
    }

    fn lines(book: &mut Book) -> Vec<u64> {
        std::iter::from_fn(|| book.next()).map(|row| row.line).collect()
    }

    #[test]
    fn what_ends_in_any_order_is_told_in_the_order_of_lines() {
        let mut book = book(3);
        book.end(2, ended("c"));
        book.end(1, ended("b"));
        assert!(book.next().is_none(), "the first one has not ended");
        book.end(0, ended("a"));
        assert_eq!(lines(&mut book), [1, 2, 3]);
        assert_eq!((book.len(), book.held), (0, 0));
        assert_eq!(book.send([(7, None)].into_iter()), 3);
        book.end(3, Err(ClientError::Closed));
        assert_eq!(lines(&mut book), [7]);
    }

    #[test]
    fn whoever_waits_no_longer_is_told_of_all() {
        let mut book = book(4);
        book.acknowledge(0, id(0));
        book.acknowledge(1, id(1));
        book.end(1, ended("b"));
        book.end(3, Err(ClientError::Closed));
        let rows: Vec<_> = book.leave().collect();
        assert!(rows.iter().zip(0..).all(|(row, n)| row.id == Some(id(n))));
        assert!(matches!(rows[0].answer, Ok(Fate::Acknowledged)));
        assert!(matches!(rows[1].answer, Ok(Fate::Ended { .. })));
        assert!(matches!(rows[2].answer, Err(ClientError::Request(RequestError::Unknown))));
        assert!(matches!(rows[3].answer, Err(ClientError::Closed)));
    }

    #[test]
    fn answers_that_do_not_fit_are_asked_for_again() {
        let (near, long) = (NEAR as u64, "x".repeat(HELD_BYTES_MAX / 2));
        let mut book = book(near + 3);
        for number in 1..near + 3 {
            book.acknowledge(number, id(number));
        }
        book.end(near, ended(&long));
        book.end(near + 1, ended(&long));
        book.end(near + 2, ended("short"));
        assert_eq!(book.held, HELD_BYTES_MAX);
        // Its turn is near, so it is kept.
        book.end(1, ended("near"));
        assert!(book.ask_again().is_empty(), "not yet");
        for number in (0..near).filter(|number| *number != 1) {
            book.end(number, ended(""));
        }
        assert_eq!(lines(&mut book).len() as u64, near + 2);
        assert_eq!(book.ask_again(), [(near + 2, id(near + 2))]);
        assert!(book.ask_again().is_empty(), "once is enough");
        book.end(near + 2, ended("short"));
        assert_eq!(lines(&mut book), [near + 3]);
        assert_eq!((book.len(), book.held), (0, 0));
    }
}
