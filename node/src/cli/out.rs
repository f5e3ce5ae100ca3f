//! The only place that prints.

use std::io::{self, BufWriter, IsTerminal, Stdout, Write};

use serde::Serialize;

/// Results, on stdout. Written when it is dropped, full or flushed.
pub(super) struct Results(BufWriter<Stdout>);

impl Results {
    pub(super) fn new() -> Self {
        Self(BufWriter::new(io::stdout()))
    }

    /// One line of text.
    pub(super) fn line(&mut self, text: impl AsRef<str>) -> io::Result<()> {
        writeln!(self.0, "{}", text.as_ref())
    }

    /// One line of JSON.
    pub(super) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        serde_json::to_writer(&mut self.0, value)?;
        self.0.write_all(b"\n")
    }

    /// Shows what was written so far.
    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// One line of text as the whole result.
pub(super) fn line(text: impl AsRef<str>) -> io::Result<()> {
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
    error.downcast_ref::<io::Error>().is_some_and(|error| error.kind() == io::ErrorKind::BrokenPipe)
}
