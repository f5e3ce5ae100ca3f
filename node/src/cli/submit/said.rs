//! What is said of a task besides how it is treated, as it is typed or written in a file.

use clap::Args;
use umbel_protocol::job::Labels;
use umbel_protocol::task::{Headers, Metadata, Trace};

/// What is said of a task besides how it is treated.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What is said of it")]
pub(in crate::cli) struct Said {
    /// Words that it is found by; can be given several times
    #[arg(long = "label", value_name = "KEY=VALUE,...", value_parser = labels)]
    pub(in crate::cli) labels: Vec<Labels>,
    /// What its handler is handed besides its arguments; can be given several times
    #[arg(long = "header", value_name = "NAME=VALUE", value_parser = header)]
    pub(in crate::cli) headers: Vec<(String, String)>,
    /// What people call it, in place of the name of the task
    #[arg(long = "display-name", value_name = "TEXT")]
    pub(in crate::cli) display_name: Option<String>,
}

/// The trace that a task is part of.
#[derive(Args, Clone, Debug, Default)]
#[command(next_help_heading = "What is said of it")]
pub(super) struct Traced {
    /// The trace that it is part of, as W3C Trace Context has it
    #[arg(long, value_name = "00-TRACE-SPAN-FLAGS")]
    pub(super) traceparent: Option<String>,
    /// What tracers have to say of that
    #[arg(long, value_name = "KEY=VALUE,...", requires = "traceparent")]
    pub(super) tracestate: Option<String>,
}

impl Said {
    /// All of it together.
    ///
    /// # Errors
    /// Labels or headers are too many.
    pub(in crate::cli) fn metadata(&self) -> Result<Metadata, String> {
        let mut metadata = Metadata::default();
        for (key, value) in self.labels.iter().flat_map(Labels::iter) {
            metadata.labels.insert(key, value).map_err(|error| error.to_string())?;
        }
        for (name, value) in &self.headers {
            metadata.headers.insert(name, value).map_err(|error| error.to_string())?;
        }
        metadata.display_name = self.display_name.as_deref().map(Into::into);
        metadata.check().map_err(|error| error.to_string())?;
        Ok(metadata)
    }
}

impl Traced {
    /// The span from within which it is submitted, if it is part of a trace.
    ///
    /// # Errors
    /// It is none.
    pub(super) fn trace(&self) -> Result<Option<Trace>, String> {
        Trace::parse_some(self.traceparent.as_deref(), self.tracestate.as_deref())
            .map_err(|error| error.to_string())
    }
}

/// At least one label.
pub(in crate::cli) fn labels(text: &str) -> Result<Labels, String> {
    let labels: Labels = text.parse().map_err(|error| format!("{error}"))?;
    if labels.is_empty() { Err("write key=value".to_owned()) } else { Ok(labels) }
}

fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write name=value")?;
    let mut alone = Headers::NONE;
    alone.insert(name, value).map_err(|error| error.to_string())?;
    Ok((name.to_owned(), value.to_owned()))
}
