//! Reading a file of tasks, piece by piece.

use std::fs::File;
use std::io::{self, BufRead, BufReader, Read};
use std::path::Path;

use anyhow::anyhow;
use tokio::sync::mpsc;
use umbel_protocol::limits::ARGS_BYTES_MAX;

use super::line::{self, FindNode};
use super::settings::Settings;
use crate::work::Submission;

/// Tasks that are submitted together.
#[derive(Default)]
pub(super) struct Piece {
    /// The line of each, from 1.
    pub(super) lines: Vec<u64>,
    pub(super) submissions: Vec<Submission>,
}

pub(super) fn open(path: &Path) -> io::Result<Box<dyn Read + Send>> {
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
pub(super) fn read(
    input: Box<dyn Read + Send>,
    name: &str,
    settings: &Settings,
    node: &mut FindNode<'_>,
    pieces: &mpsc::Sender<Piece>,
) -> anyhow::Result<()> {
    let mut input = BufReader::with_capacity(READ_BYTES, input);
    let mut piece = Piece::default();
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
                Ok(text) => line::parse(text, settings, node)
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
            if pieces.blocking_send(std::mem::take(&mut piece)).is_err() {
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

/// How many tasks a file has, for those who watch; nothing where it cannot be read twice.
pub(super) fn tasks_of(path: &Path) -> Option<u64> {
    let file = File::open(path).ok()?;
    file.metadata()
        .ok()?
        .is_file()
        .then(|| count_lines(BufReader::with_capacity(READ_BYTES, file)))?
}

/// Lines that are not blank.
fn count_lines(mut input: impl BufRead) -> Option<u64> {
    let (mut lines, mut is_blank) = (0, true);
    loop {
        let bytes = input.fill_buf().ok()?;
        if bytes.is_empty() {
            return Some(lines + u64::from(!is_blank));
        }
        for byte in bytes {
            if *byte == b'\n' {
                lines += u64::from(!is_blank);
                is_blank = true;
            } else {
                is_blank &= byte.is_ascii_whitespace();
            }
        }
        let taken = bytes.len();
        input.consume(taken);
    }
}

/// Tasks that are submitted together.
pub(super) const PIECE_TASKS: usize = 1_024;
/// Bytes of arguments that are submitted together.
const PIECE_BYTES: usize = 1024 * 1024;
/// A task with the largest arguments, written in the longest way.
const LINE_BYTES_MAX: u64 = 8 * ARGS_BYTES_MAX as u64;
const READ_BYTES: usize = 256 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tasks_are_counted() {
        for (text, tasks) in [("", 0), ("\n \r\n", 0), ("a", 1), ("a\nb\n", 2), ("\na\n\n  b", 2)] {
            assert_eq!(count_lines(text.as_bytes()), Some(tasks), "{text:?}");
        }
    }
}
