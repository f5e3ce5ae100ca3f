//! A task for each line of a file: read, submitted and, if wished, waited for piece by piece, so
//! that a file of any length takes the same memory.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, anyhow};
use futures_util::{Stream, StreamExt, stream};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tokio::sync::mpsc;
use umbel_protocol::limits::ARGS_BYTES_MAX;
use umbel_protocol::task::{State, View};

use super::line::{self, Settings};
use crate::cli::names::Names;
use crate::cli::task_line::{IdLine, TaskLine, summary};
use crate::cli::time::{count, length};
use crate::cli::{Done, out};
use crate::client::{Client, ClientError};
use crate::work::Submission;

/// What is printed.
#[derive(Clone, Copy, Debug)]
pub(super) struct Report {
    pub(super) json: bool,
    /// Whether the ends are waited for.
    pub(super) wait: bool,
}

/// Tasks that are submitted together.
struct Piece {
    /// The line of each, from 1.
    lines: Vec<u64>,
    submissions: Vec<Submission>,
}

/// What became of one line.
struct Row {
    line: u64,
    answer: Result<Fate, ClientError>,
}

enum Fate {
    Acknowledged(umbel_protocol::id::TaskId),
    Ended(Box<View>),
    /// It was acknowledged, but its end could not be learned.
    Unknown(umbel_protocol::id::TaskId, ClientError),
}

/// What became of all lines so far.
#[derive(Default)]
struct Tally {
    acknowledged: u64,
    refused: u64,
    failed: u64,
    told: u64,
}

pub(super) async fn run(
    client: Client,
    path: &Path,
    settings: Settings,
    report: Report,
) -> anyhow::Result<Done> {
    let name = if path == Path::new("-") { "stdin".to_owned() } else { path.display().to_string() };
    let input = open(path).with_context(|| format!("cannot read {name}"))?;
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
    let mut broken = None;
    let in_flight = if report.wait { WAITED_MAX } else { SENT_MAX };
    let mut done =
        receive(arriving).map(|piece| submit(&client, piece, report.wait)).buffered(in_flight);
    'all: while let Some(rows) = done.next().await {
        for row in rows {
            bar.inc(1);
            if let Err(error) = tally.print(&row, &name, report, &names, &mut results)? {
                broken = Some(error);
                break 'all;
            }
        }
        if report.json {
            results.flush()?;
        }
    }
    drop(done);
    bar.finish_and_clear();
    tally.conclude(report, &began.elapsed(), &mut results)?;
    let acknowledged = count(tally.acknowledged);
    if let Some(error) = broken {
        return Err(anyhow!(error).context(format!(
            "{acknowledged} tasks were acknowledged, then the cluster was lost; of the next lines \
             some may have been taken in: those with an id can be submitted again without harm"
        )));
    }
    let read = reading.await.context("reading the file panicked")?;
    read.map_err(|error| {
        error.context(format!(
            "stopped at a bad line: the {acknowledged} tasks of the lines before it were \
             acknowledged, nothing after it was submitted"
        ))
    })?;
    Ok(if tally.refused + tally.failed == 0 { Done::Well } else { Done::Badly })
}

impl Tally {
    /// Prints what became of a line; an inner error means that it makes no sense to go on.
    fn print(
        &mut self,
        row: &Row,
        name: &str,
        report: Report,
        names: &Names,
        results: &mut out::Results,
    ) -> io::Result<Result<(), ClientError>> {
        match &row.answer {
            Ok(fate) => {
                self.acknowledged += 1;
                match fate {
                    Fate::Acknowledged(id) if report.json => {
                        results.json(&IdLine::taken(*id))?;
                    }
                    Fate::Acknowledged(_) => {}
                    Fate::Ended(view) => {
                        self.failed += u64::from(view.state != State::Succeeded);
                        if report.json {
                            results.json(&TaskLine::of(view, names))?;
                        } else {
                            results.line(summary(view))?;
                        }
                    }
                    Fate::Unknown(id, error) => {
                        self.failed += 1;
                        if report.json {
                            results.json(&IdLine::failed(Some(*id), error))?;
                        }
                        self.complain(name, row.line, error);
                    }
                }
            }
            Err(error) if concerns_one_task(error) => {
                self.refused += 1;
                if report.json {
                    results.json(&IdLine::failed(None, error))?;
                }
                self.complain(name, row.line, error);
            }
            Err(error) => return Ok(Err(error.clone())),
        }
        Ok(Ok(()))
    }

    fn complain(&mut self, name: &str, line: u64, error: &ClientError) {
        self.told += 1;
        if self.told <= TOLD_MAX {
            out::note(format!("{name}:{line}: {error}"));
        }
    }

    fn conclude(
        &self,
        report: Report,
        took: &std::time::Duration,
        results: &mut out::Results,
    ) -> io::Result<()> {
        let Self { acknowledged, refused, failed, told } = *self;
        if told > TOLD_MAX {
            out::note(format!("and {} more", count(told - TOLD_MAX)));
        }
        let rate = acknowledged as f64 / took.as_secs_f64().max(1e-6);
        let mut text = format!(
            "{} tasks acknowledged in {} ({} a second)",
            count(acknowledged),
            length(*took),
            count(rate as u64)
        );
        if refused > 0 {
            text.push_str(&format!(", {} refused", count(refused)));
        }
        if report.wait {
            text.push_str(&format!(", {} did not succeed", count(failed)));
        }
        if report.json || report.wait {
            out::note(text);
        } else {
            results.line(text)?;
        }
        results.flush()
    }
}

/// Whether other tasks may fare better.
const fn concerns_one_task(error: &ClientError) -> bool {
    use umbel_protocol::wire::RequestError;
    match error {
        ClientError::Refused { .. } | ClientError::Call(_) => true,
        ClientError::Request(error) => matches!(
            error,
            RequestError::Invalid(_)
                | RequestError::UnknownQueue { .. }
                | RequestError::UnknownTask { .. }
        ),
        ClientError::Address { .. }
        | ClientError::Closed
        | ClientError::NoAddress
        | ClientError::NoAnswer { .. }
        | ClientError::NoNode { .. }
        | ClientError::NoTls
        | ClientError::Tls(_)
        | ClientError::Unexpected { .. } => false,
    }
}

async fn submit(client: &Client, piece: Piece, wait: bool) -> Vec<Row> {
    let answers = client.submit_all(piece.submissions).await;
    let fates = stream::iter(answers.into_iter().map(|answer| async {
        let id = answer?;
        if !wait {
            return Ok(Fate::Acknowledged(id));
        }
        Ok(match client.wait(id, None).await {
            Ok(view) => Fate::Ended(Box::new(view)),
            Err(error) => Fate::Unknown(id, error),
        })
    }));
    let fates = fates.buffered(PIECE_TASKS).collect::<Vec<_>>().await;
    piece.lines.into_iter().zip(fates).map(|(line, answer)| Row { line, answer }).collect()
}

fn receive<T>(mut receiver: mpsc::Receiver<T>) -> impl Stream<Item = T> {
    stream::poll_fn(move |context| receiver.poll_recv(context))
}

fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
    if path == Path::new("-") {
        return Ok(Box::new(io::stdin()));
    }
    Ok(Box::new(File::open(path)?))
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
            match std::str::from_utf8(text.trim_ascii_end()) {
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
/// Pieces on their way at a time.
const SENT_MAX: usize = 8;
/// Pieces whose tasks are waited for at a time: a slow task must not hold many others back.
const WAITED_MAX: usize = 64;
/// Complaints that are shown.
const TOLD_MAX: u64 = 10;
/// A task with the largest arguments, written in the longest way.
const LINE_BYTES_MAX: u64 = 8 * ARGS_BYTES_MAX as u64;
const READ_BYTES: usize = 256 * 1024;
