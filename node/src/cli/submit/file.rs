//! A task for each line of a file: read and submitted piece by piece and, if wished, waited for, so
//! that a file of any length takes the same memory. What became of a task is told as soon as all
//! before it are.

use std::future;
use std::io::{self, IsTerminal};
use std::path::Path;
use std::pin::pin;
use std::time::Instant;

use anyhow::Context;
use futures_util::stream::FuturesUnordered;
use futures_util::{StreamExt, stream};
use indicatif::ProgressBar;
use tokio::runtime::Handle;
use tokio::sync::mpsc;
use umbel_protocol::id::TaskId;
use umbel_protocol::task::{State, View};
use umbel_protocol::wire::RequestError;

use super::book::Book;
use super::nodes::Nodes;
use super::read::{PIECE_TASKS, Piece, open, read, tasks_of};
use super::settings::Settings;
use super::tally::{Fate, Report, Row, Tally, concerns_one_task, count_tasks};
use crate::cli::interrupt::Interrupts;
use crate::cli::names::Names;
use crate::cli::progress::{of_so_many, progress};
use crate::cli::task_line::{TaskLine, summary};
use crate::cli::{Done, out};
use crate::client::{Client, ClientError};
use crate::work::Submission;

pub(super) async fn run(
    client: Client,
    path: &Path,
    settings: Settings,
    report: Report,
) -> anyhow::Result<Done> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let input = open(path).with_context(|| format!("cannot read {name}"))?;
    let mut interrupts = Interrupts::listen()?;
    let names =
        if report.wait && report.json { Names::ask(&client).await } else { Names::default() };
    let (pieces, arriving) = mpsc::channel(2);
    // Ends by itself when nobody takes what it reads.
    let reading = tokio::task::spawn_blocking({
        let (name, mut nodes) = (name.clone(), Nodes::of(&client));
        let runtime = Handle::current();
        let mut node =
            move |name: &str| runtime.block_on(nodes.find(name)).map_err(|why| format!("{why:#}"));
        move || read(input, &name, &settings, &mut node, &pieces)
    });
    let bar = progress(None);
    if !bar.is_hidden() {
        let (bar, path) = (bar.clone(), path.to_owned());
        tokio::task::spawn_blocking(move || tasks_of(&path).map(|tasks| of_so_many(&bar, tasks)));
    }
    let began = Instant::now();
    let mut book = Book::default();
    let mut teller = Teller {
        name,
        report,
        names,
        tally: Tally::default(),
        results: out::Results::new(),
        bar,
        shares_terminal: io::stdout().is_terminal(),
    };
    let was_interrupted = tokio::select! {
        biased;
        () = interrupts.any() => true,
        done = carry_out(&client, arriving, &mut book, &mut teller) => {
            done.with_context(|| {
                let acknowledged = count_tasks(teller.tally.acknowledged);
                format!("{acknowledged} acknowledged and more on their way, which cannot be told")
            })?;
            false
        }
    };
    teller.bar.finish_and_clear();
    if was_interrupted {
        for row in book.leave() {
            teller.print(&row)?;
        }
        teller.results.flush()?;
        out::note(teller.tally.interrupted(report));
        return Ok(Done::Interrupted);
    }
    let Teller { tally, mut results, .. } = teller;
    tally.conclude(report, &began.elapsed(), &mut results)?;
    if let Some(lost) = tally.lost(report) {
        return Err(lost);
    }
    let acknowledged = count_tasks(tally.acknowledged);
    let read = reading.await.context("reading the file panicked")?;
    read.map_err(|error| {
        if error.downcast_ref::<io::Error>().is_some() {
            return error;
        }
        error.context(format!(
            "stopped at a bad line: {acknowledged} of the lines before it {} acknowledged, nothing \
             after it was submitted",
            if tally.acknowledged == 1 { "was" } else { "were" }
        ))
    })?;
    Ok(if tally.refused + tally.failed == 0 { Done::Well } else { Done::Badly })
}

/// Submits what arrives, and tells what became of it.
async fn carry_out(
    client: &Client,
    mut arriving: mpsc::Receiver<Piece>,
    book: &mut Book,
    teller: &mut Teller,
) -> anyhow::Result<()> {
    // With ids of our own making it can be found out what became of each, whatever happens.
    let numbered = stream::poll_fn(|context| arriving.poll_recv(context)).then(|piece| async {
        let Piece { lines, mut submissions } = piece;
        let numbered = client.number(&mut submissions).await;
        (lines, submissions, numbered)
    });
    let mut numbered = pin!(numbered);
    let mut is_open = true;
    let mut sent = FuturesUnordered::new();
    let mut waited = FuturesUnordered::new();
    loop {
        tokio::select! {
            biased;
            Some((first, answers)) = sent.next(), if !sent.is_empty() => {
                for (number, answer) in (first..).zip(answers) {
                    if let Ok(id) = &answer {
                        book.acknowledge(number, *id);
                    }
                    match answer {
                        Ok(id) if teller.report.wait => {
                            waited.push(end_of(client, number, id, false));
                        }
                        answer => {
                            // Then it makes no sense to submit more.
                            is_open &= answer.as_ref().err().is_none_or(concerns_one_task);
                            teller.bar.inc(1);
                            book.end(number, answer.map(|_| Fate::Acknowledged));
                        }
                    }
                }
            }
            piece = numbered.next(),
                if is_open && sent.len() < SENT_MAX && book.len() < UNTOLD_MAX =>
            {
                let Some((lines, submissions, numbered)) = piece else {
                    is_open = false;
                    continue;
                };
                let ids = submissions.iter().map(|submission| submission.id);
                let first = book.send(lines.into_iter().zip(ids));
                sent.push(submit(client, first, submissions, numbered));
            }
            Some((number, is_again, end)) = waited.next(), if !waited.is_empty() => {
                teller.bar.inc(u64::from(!is_again));
                book.end(number, Ok(teller.fate(end)?));
            }
            // Whoever reads along need not wait for more.
            () = future::ready(()), if teller.results.is_held_back() => teller.flush()?,
            else => return Ok(()),
        }
        for (number, id) in book.ask_again() {
            waited.push(end_of(client, number, id, true));
        }
        teller.tell(book)?;
    }
}

/// Who tells what became of the tasks.
struct Teller {
    /// What the file is called.
    name: String,
    report: Report,
    names: Names,
    tally: Tally,
    results: out::Results,
    bar: ProgressBar,
    /// Whether rows and the bar are seen together.
    shares_terminal: bool,
}

impl Teller {
    /// Tells of all whose turn has come.
    fn tell(&mut self, book: &mut Book) -> anyhow::Result<()> {
        while let Some(row) = book.next() {
            let is_complaint = match &row.answer {
                Ok(Fate::Acknowledged | Fate::Ended { .. }) => false,
                Ok(Fate::Unknown(_)) | Err(_) => true,
            };
            if self.shares_terminal || is_complaint {
                self.bar.clone().suspend(|| self.print(&row))?;
            } else {
                self.print(&row)?;
            }
        }
        Ok(())
    }

    fn print(&mut self, row: &Row) -> anyhow::Result<()> {
        Ok(self.tally.print(row, &self.name, self.report, &mut self.results)?)
    }

    fn flush(&mut self) -> anyhow::Result<()> {
        Ok(if self.shares_terminal {
            self.bar.suspend(|| self.results.flush())
        } else {
            self.results.flush()
        }?)
    }

    /// The end of a task as it will be printed.
    fn fate(&self, end: Result<View, ClientError>) -> anyhow::Result<Fate> {
        let view = match end {
            Ok(view) => view,
            Err(error) => return Ok(Fate::Unknown(error)),
        };
        let line = if self.report.json {
            serde_json::to_string(&TaskLine::of(&view, &self.names))?
        } else {
            summary(&view)
        };
        Ok(Fate::Ended { line, succeeded: view.state == State::Succeeded })
    }
}

async fn submit(
    client: &Client,
    first: u64,
    submissions: Vec<Submission>,
    numbered: Result<(), ClientError>,
) -> (u64, Vec<Result<TaskId, ClientError>>) {
    let answers = match numbered {
        Ok(()) => submit_patiently(client, submissions).await,
        Err(error) => submissions.iter().map(|_| Err(error.clone())).collect(),
    };
    (first, answers)
}

async fn end_of(
    client: &Client,
    number: u64,
    id: TaskId,
    is_again: bool,
) -> (u64, bool, Result<View, ClientError>) {
    (number, is_again, client.wait(id, None).await)
}

/// Submits, and what a busy cluster does not take at once, again.
async fn submit_patiently(
    client: &Client,
    submissions: Vec<Submission>,
) -> Vec<Result<TaskId, ClientError>> {
    let mut answers = client.submit_all(submissions.clone()).await;
    for _ in 0..BUSY_TRIES {
        let busy: Vec<usize> = (answers.iter().enumerate())
            .filter(|(_, answer)| is_busy(answer))
            .map(|(place, _)| place)
            .collect();
        if busy.is_empty() {
            break;
        }
        let again = busy.iter().map(|place| submissions[*place].clone()).collect();
        for (place, answer) in busy.into_iter().zip(client.submit_all(again).await) {
            answers[place] = answer;
        }
    }
    answers
}

const fn is_busy(answer: &Result<TaskId, ClientError>) -> bool {
    matches!(answer, Err(ClientError::Request(RequestError::Overloaded { .. })))
}

/// How often a piece is submitted again that the cluster was too busy for; each try takes seconds.
const BUSY_TRIES: usize = 6;
/// Pieces on their way at a time.
const SENT_MAX: usize = 8;
/// Tasks on their way at a time, about: a slow one must not hold many others back.
const UNTOLD_MAX: usize = 64 * PIECE_TASKS;
