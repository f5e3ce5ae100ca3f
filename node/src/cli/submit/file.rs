//! A task for each line of a file: read, submitted and, if wished, waited for piece by piece, so
//! that a file of any length takes the same memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::task::Poll;
use std::time::Instant;

use anyhow::{Context, anyhow};
use futures_util::{Stream, StreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc;
use umbel_protocol::id::TaskId;
use umbel_protocol::limits::ARGS_BYTES_MAX;
use umbel_protocol::wire::RequestError;

use super::line::{self, Settings};
use super::tally::{Fate, Report, Row, Tally, count_tasks};
use crate::cli::interrupt::Interrupts;
use crate::cli::names::Names;
use crate::cli::{Done, out};
use crate::client::{Client, ClientError};
use crate::work::Submission;

/// Tasks that are submitted together.
struct Piece {
    /// The line of each, from 1.
    lines: Vec<u64>,
    submissions: Vec<Submission>,
}

/// What happens meanwhile, told by those who submit to whoever counts.
#[derive(Default)]
struct Progress {
    acknowledged: AtomicU64,
    /// Set when it makes no sense to submit more.
    stop: AtomicBool,
}

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
        let name = name.clone();
        move || read(input, &name, &settings, &pieces)
    });
    let bar = progress();
    let began = Instant::now();
    let mut results = out::Results::new();
    let mut tally = Tally::default();
    let progress = Progress::default();
    let in_flight = if report.wait { WAITED_MAX } else { SENT_MAX };
    let mut done = receive(arriving, &progress.stop)
        .map(|piece| submit(&client, piece, report.wait, &progress))
        .buffered(in_flight);
    let mut interrupted = false;
    loop {
        let rows = tokio::select! {
            biased;
            () = interrupts.any() => {
                interrupted = true;
                break;
            }
            rows = done.next() => rows,
        };
        let Some(rows) = rows else { break };
        for row in rows {
            bar.inc(1);
            tally.print(&row, &name, report, &names, &mut results)?;
        }
        if tally.is_broken() {
            // What is on its way is still told of, each line with its id.
            progress.stop.store(true, Ordering::Relaxed);
        }
        if report.json {
            results.flush()?;
        }
    }
    drop(done);
    bar.finish_and_clear();
    if interrupted {
        results.flush()?;
        let acknowledged = count_tasks(progress.acknowledged.load(Ordering::Relaxed));
        out::note(format!(
            "interrupted: {acknowledged} acknowledged and {} on; lines after these may have been \
             taken in as well",
            if progress.acknowledged.load(Ordering::Relaxed) == 1 { "goes" } else { "go" }
        ));
        return Ok(Done::Interrupted);
    }
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

async fn submit(client: &Client, piece: Piece, wait: bool, progress: &Progress) -> Vec<Row> {
    let Piece { lines, mut submissions } = piece;
    // With ids of our own making it can be found out what became of each, whatever happens.
    let numbered = client.number(&mut submissions).await;
    let ids: Vec<_> = submissions.iter().map(|submission| submission.id).collect();
    let answers = match numbered {
        Ok(()) => submit_patiently(client, submissions).await,
        Err(error) => ids.iter().map(|_| Err(error.clone())).collect(),
    };
    let acknowledged = answers.iter().filter(|answer| answer.is_ok()).count();
    progress.acknowledged.fetch_add(acknowledged as u64, Ordering::Relaxed);
    let fates = stream::iter(answers.into_iter().map(|answer| async {
        let id = answer?;
        if !wait {
            return Ok(Fate::Acknowledged);
        }
        Ok(match client.wait(id, None).await {
            Ok(view) => Fate::Ended(Box::new(view)),
            Err(error) => Fate::Unknown(error),
        })
    }));
    let fates = fates.buffered(PIECE_TASKS).collect::<Vec<_>>().await;
    let rows = lines.into_iter().zip(ids).zip(fates);
    rows.map(|((line, id), answer)| Row { line, id, answer }).collect()
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

/// What arrives until `stop` is set.
fn receive<'a, T>(
    mut receiver: mpsc::Receiver<T>,
    stop: &'a AtomicBool,
) -> impl Stream<Item = T> + use<'a, T> {
    stream::poll_fn(move |context| {
        if stop.load(Ordering::Relaxed) {
            return Poll::Ready(None);
        }
        receiver.poll_recv(context)
    })
}

fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    let file = File::open(path)?;
    if file.metadata()?.is_dir() {
        return Err(io::ErrorKind::IsADirectory.into());
    }
    Ok(Box::new(file))
}

/// Reads until the end, a bad line, or until nobody wants more.
fn read(
    input: Box<dyn Read + Send>,
    name: &str,
    settings: &Settings,
    pieces: &mpsc::Sender<Piece>,
) -> anyhow::Result<()> {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    let mut piece = Piece { lines: Vec::new(), submissions: Vec::new() };
    let (mut bytes, mut number) = (0, 0);
    let mut text = Vec::new();
    let ended = loop {
        text.clear();
        // A line that is longer than any task may be is not read to its end.
        let read = (&mut input).take(LINE_BYTES_MAX + 1).read_until(b'\n', &mut text);
        match read {
            Ok(0) => break Ok(()),
            Ok(_) => number += 1,
            Err(error) => break Err(anyhow!(error).context(format!("cannot read {name}"))),
        }
        let parsed = if text.len() as u64 > LINE_BYTES_MAX {
            Err(anyhow!(
                "{name}:{number}: the line is longer than {LINE_BYTES_MAX} bytes, and arguments \
                 may take {ARGS_BYTES_MAX}; put large data where both sides can reach it"
            ))
        } else {
            // Some editors begin a file with a mark that says nothing.
            let mark = if number == 1 { "\u{feff}".as_bytes() } else { b"" };
            let line = text.strip_prefix(mark).unwrap_or(&text);
            match std::str::from_utf8(line.trim_ascii_end()) {
                Ok("") => continue,
                Ok(text) => line::parse(text, settings)
                    .map_err(|bad| anyhow!("{name}:{number}:{}: {}", bad.column, bad.what)),
                Err(_) => Err(anyhow!("{name}:{number}: the line is not UTF-8 text")),
            }
        };
        match parsed {
            Ok(submission) => {
                bytes += submission.args.len();
                piece.lines.push(number);
                piece.submissions.push(submission);
            }
            Err(error) => break Err(error),
        }
        // A slow writer's lines are not held back for ever.
        let idle = input.buffer().is_empty();
        if piece.lines.len() >= PIECE_TASKS || bytes >= PIECE_BYTES || idle {
            bytes = 0;
            let full = Piece {
                lines: std::mem::take(&mut piece.lines),
                submissions: std::mem::take(&mut piece.submissions),
            };
            if pieces.blocking_send(full).is_err() {
                return Ok(());
            }
        }
    };
    if !piece.lines.is_empty() {
        // Nobody listens: then there is nothing to add either.
        drop(pieces.blocking_send(piece));
    }
    ended
}

fn progress() -> ProgressBar {
    if !out::is_watched() {
        return ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden());
    }
    let style = ProgressStyle::with_template("{spinner} {human_pos} tasks, {per_sec}, {elapsed}");
    let bar = ProgressBar::no_length();
    bar.with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner()))
}

/// Tasks that are submitted together.
const PIECE_TASKS: usize = 1_024;
/// Bytes of arguments that are submitted together.
const PIECE_BYTES: usize = 1024 * 1024;
/// How often a piece is submitted again that the cluster was too busy for; each try takes seconds.
const BUSY_TRIES: usize = 6;
/// Pieces on their way at a time.
const SENT_MAX: usize = 8;
/// Pieces whose tasks are waited for at a time: a slow task must not hold many others back.
const WAITED_MAX: usize = 64;
/// A task with the largest arguments, written in the longest way.
const LINE_BYTES_MAX: u64 = 8 * ARGS_BYTES_MAX as u64;
const READ_BYTES: usize = 256 * 1024;
