//! Those who submit, each a piece at a time, so that tasks come at an even rate.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use super::super::client::{Client, has_ended};
use super::super::cluster::run_line;
use super::super::patience::PATIENCE;
use super::books::Books;

/// Tasks of a piece, of which so many are posted and so many are commands.
const PIECE: usize = 1_000;
const POSTS: usize = 300;
const RUNS: usize = 10;

/// What is to be submitted, and when.
#[derive(Debug)]
pub(super) struct Feeding {
    began: Instant,
    pieces: usize,
    every: Duration,
    next: AtomicUsize,
    /// Lines that are to be submitted again, under the ids that they were given, or were not submitted.
    again: Mutex<Vec<String>>,
}

impl Feeding {
    pub(super) fn new(tasks: usize, minutes: f64) -> Self {
        let pieces = tasks.div_ceil(PIECE);
        Self {
            began: Instant::now(),
            pieces,
            every: Duration::from_secs_f64(minutes * 60.0).div_f64(pieces as f64),
            next: AtomicUsize::new(0),
            again: Mutex::default(),
        }
    }

    /// Whether nothing new will come.
    pub(super) fn is_over(&self) -> bool {
        self.next.load(Ordering::Relaxed) >= self.pieces
    }

    /// For how long all should have been submitted.
    pub(super) fn late(&self) -> Duration {
        self.began
            .elapsed()
            .saturating_sub(self.every * u32::try_from(self.pieces).unwrap_or(u32::MAX))
    }

    /// Submits pieces until there are no more, and what is left of those before.
    pub(super) fn feed(&self, client: &Client, books: &Books) {
        loop {
            let piece = self.next.fetch_add(1, Ordering::Relaxed);
            let lines = if piece < self.pieces {
                let due = self.began + self.every * u32::try_from(piece).unwrap_or(u32::MAX);
                while let Some(early) = due.checked_duration_since(Instant::now()) {
                    thread::park_timeout(early);
                }
                lines()
            } else {
                Vec::new()
            };
            let again = std::mem::take(&mut *self.again());
            let lines = [again, lines].concat();
            if lines.is_empty() {
                return;
            }
            self.submit(client, books, &lines);
        }
    }

    fn submit(&self, client: &Client, books: &Books, lines: &[String]) {
        let ran = client.submit_and_wait(lines);
        let rows = ran.json();
        let mut unended = Vec::new();
        for (row, line) in rows.iter().zip(lines) {
            let id = row["id"].as_str();
            match (id, row["error"].as_str(), row["acknowledged"] == true) {
                // Whoever failed has an error, too, and has ended.
                (Some(_), _, _) if has_ended(row) => books.ended(row),
                (Some(id), _, true) => {
                    books.acknowledged.fetch_add(1, Ordering::Relaxed);
                    unended.push(id.to_owned());
                }
                (Some(id), ..) => {
                    books.doubtful();
                    self.again().push(under(line, id));
                }
                (None, why, _) => books.wrong(format!("refused: {why:?}")),
            }
        }
        self.again().extend(lines.iter().skip(rows.len()).cloned());
        let began = Instant::now();
        while let Some(id) = unended.pop() {
            match client.show(&id) {
                Some(task) if has_ended(&task) => books.ended_late(&task),
                Some(_) | None if began.elapsed() < PATIENCE => {
                    unended.insert(0, id);
                    thread::park_timeout(Duration::from_millis(200));
                }
                last => books.lost(format!("{id}, of which is known: {last:?}")),
            }
        }
    }

    fn again(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.again.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The line for the same task again; it may have been given its id before.
fn under(line: &str, id: &str) -> String {
    if line.starts_with("{\"id\"") {
        return line.to_owned();
    }
    format!("{{\"id\":\"{id}\",{}", line.trim_start_matches('{'))
}

fn lines() -> Vec<String> {
    let of = |n: usize| {
        if n.is_multiple_of(PIECE / RUNS) {
            run_line("1")
        } else if n % 10 < POSTS * 10 / PIECE {
            r#"{"task":"post","args":{}}"#.to_owned()
        } else {
            r#"{"task":"umbel.noop"}"#.to_owned()
        }
    };
    (0..PIECE).map(of).collect()
}
