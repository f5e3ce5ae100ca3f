//! The only place that prints.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

/// Results, on stdout. Written when it is dropped, full or flushed.
pub(super) struct Results(BufWriter<Stdout>);

/// Results that could not be written.
#[derive(Debug, thiserror::Error)]
#[error("cannot write to stdout")]
pub(super) struct Unwritten(#[from] io::Error);

impl Results {
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// One line of text.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> Result<(), Unwritten> {
        Ok(writeln!(self.0, "{}", text.as_ref())?)
    }

    /// One line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> Result<(), Unwritten> {
        serde_json::to_writer(&mut self.0, value).map_err(io::Error::from)?;
        Ok(self.0.write_all(b"\n")?)
    }

    /// Shows what was written so far.
    pub(super) fn flush(&mut self) -> Result<(), Unwritten> {
        Ok(self.0.flush()?)
    }

    /// Whether something was not shown yet.
    pub(super) fn is_held_back(&self) -> bool {
        !self.0.buffer().is_empty()
    }
}

/// One line of text as the whole result.
pub(super) fn line(text: impl AsRef<str>) -> Result<(), Unwritten> {
    let mut results = Results::new();
    results.line(text)?;
    results.flush()
}

/// What people want to know besides the result, on stderr.
pub(super) fn note(text: impl AsRef<str>) {
    // Nobody is left to be told that nobody listens.
    drop(writeln!(io::stderr(), "{}", text.as_ref()));
}

/// Whether somebody watches stderr.
pub(super) fn is_watched() -> bool {
    io::stderr().is_terminal()
}

/// Whether the reader of the results has gone away.
pub(super) fn is_closed(error: &anyhow::Error) -> bool {
    let unwritten = error.downcast_ref::<Unwritten>();
    unwritten.is_some_and(|Unwritten(error)| error.kind() == io::ErrorKind::BrokenPipe)
}
