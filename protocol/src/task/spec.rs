//! What is asked for: the part of a task that never changes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::TaskId;
use crate::limits::{
    ARGS_BYTES_MAX, ATTEMPTS_DEFAULT, ATTEMPTS_MAX, BACKOFF_FIRST_DEFAULT, BACKOFF_MAX_DEFAULT,
    BATCH_BYTES_MAX, BATCH_TASKS_MAX, DELAY_MAX, NAME_BYTES_MAX,
};
use crate::time::{Span, Wall};

/// Tasks submitted together. What many of them have in common is written once, as a template.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Batch {
    /// What rows refer to by position.
    pub templates: Vec<Template>,
    /// The tasks.
    pub rows: Vec<Row>,
}

/// What tasks of one kind have in common.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Template {
    /// Name of the task: which code runs it.
    pub name: String,
    /// Queue in which it waits.
    pub queue: String,
    /// How it is treated.
    pub options: Options,
}

/// One task of a batch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Row {
    /// Its id, made before the first try: the idempotency key.
    pub id: TaskId,
    /// Position of its template in the batch.
    pub template: u16,
    /// Its arguments, JSON.
    pub args: Bytes,
}

/// How a task is treated.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Options {
    /// 0 to 9, higher first.
    pub priority: u8,
    /// How long after its acceptance it may start at the earliest.
    pub delay: Span,
    /// How often it may fail before it is dead, at least 1.
    pub attempts_max: u16,
    /// Pause before the first retry; it doubles with each failure.
    pub backoff_first: Span,
    /// Longest pause before a retry.
    pub backoff_max: Span,
    /// How long one run may take; nothing means what the executor's own definition says.
    pub time_limit: Option<Span>,
    /// When it is given up if it has not started.
    pub expires_at: Option<Wall>,
    /// The finished task of which this one is a retry by hand.
    pub retry_of: Option<TaskId>,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            priority: 0,
            delay: Span::ZERO,
            attempts_max: ATTEMPTS_DEFAULT,
            backoff_first: BACKOFF_FIRST_DEFAULT,
            backoff_max: BACKOFF_MAX_DEFAULT,
            time_limit: None,
            expires_at: None,
            retry_of: None,
        }
    }
}

impl Template {
    /// The queue of tasks that name none.
    pub const QUEUE_DEFAULT: &'static str = "default";

    /// Tasks called `name` in the default queue with default options.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            queue: Self::QUEUE_DEFAULT.to_owned(),
            options: Options::default(),
        }
    }
}

impl Batch {
    /// One task.
    #[must_use]
    pub fn one(id: TaskId, template: Template, args: Bytes) -> Self {
        Self { templates: vec![template], rows: vec![Row { id, template: 0, args }] }
    }

    /// Refuses what no partition would take.
    ///
    /// # Errors
    /// The first limit that the batch breaks.
    pub fn check(&self) -> Result<(), InvalidBatch> {
        if self.rows.len() > BATCH_TASKS_MAX || self.templates.len() > BATCH_TASKS_MAX {
            return Err(InvalidBatch::TooManyTasks { tasks: self.rows.len() });
        }
        for template in &self.templates {
            template.check()?;
        }
        let mut bytes = 0;
        for row in &self.rows {
            if self.templates.get(usize::from(row.template)).is_none() {
                return Err(InvalidBatch::NoTemplate { row: row.id });
            }
            if row.args.len() > ARGS_BYTES_MAX {
                return Err(InvalidBatch::ArgsTooLarge { row: row.id, bytes: row.args.len() });
            }
            bytes += row.args.len();
        }
        if bytes > BATCH_BYTES_MAX {
            return Err(InvalidBatch::TooManyBytes { bytes });
        }
        Ok(())
    }

    /// The template of `row`.
    #[must_use]
    pub fn template(&self, row: &Row) -> Option<&Template> {
        self.templates.get(usize::from(row.template))
    }
}

impl Template {
    fn check(&self) -> Result<(), InvalidBatch> {
        check_name("task name", &self.name)?;
        check_name("queue", &self.queue)?;
        let options = &self.options;
        if options.priority > 9 {
            return Err(InvalidBatch::Option { what: "priority".into(), range: "0 to 9".into() });
        }
        if options.attempts_max == 0 || options.attempts_max > ATTEMPTS_MAX {
            return Err(InvalidBatch::Option {
                what: "attempts".into(),
                range: format!("1 to {ATTEMPTS_MAX}"),
            });
        }
        if options.delay > DELAY_MAX {
            return Err(InvalidBatch::Option {
                what: "delay".into(),
                range: "at most 366 days".into(),
            });
        }
        Ok(())
    }
}

fn check_name(what: &'static str, name: &str) -> Result<(), InvalidBatch> {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    if name.is_empty() || name.len() > NAME_BYTES_MAX || !name.chars().all(legal) {
        return Err(InvalidBatch::Name {
            what: what.to_owned(),
            name: name.chars().take(40).collect(),
        });
    }
    Ok(())
}

/// A submission that no node would take, whatever its state.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
pub enum InvalidBatch {
    /// The arguments of a task are longer than [`ARGS_BYTES_MAX`].
    #[error(
        "the arguments of task {row} take {bytes} bytes, {ARGS_BYTES_MAX} are allowed; \
         put large data where both sides can reach it and pass a reference"
    )]
    ArgsTooLarge {
        /// The task.
        row: TaskId,
        /// Length of its arguments.
        bytes: usize,
    },
    /// A name is empty, too long or holds other characters than letters, digits and `_-.:/`.
    #[error("{what} {name:?} is not usable: use 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ - . : /")]
    Name {
        /// Which name.
        what: String,
        /// Its beginning.
        name: String,
    },
    /// A row refers to a template that is not there.
    #[error("task {row} refers to a template that the batch does not hold")]
    NoTemplate {
        /// The task.
        row: TaskId,
    },
    /// An option is out of its range.
    #[error("{what} must be {range}")]
    Option {
        /// Which option.
        what: String,
        /// What it may be.
        range: String,
    },
    /// All arguments together are longer than [`BATCH_BYTES_MAX`].
    #[error("the batch takes {bytes} bytes, {BATCH_BYTES_MAX} are allowed; submit it in parts")]
    TooManyBytes {
        /// Length of all arguments.
        bytes: usize,
    },
    /// More tasks than [`BATCH_TASKS_MAX`].
    #[error("the batch holds {tasks} tasks, {BATCH_TASKS_MAX} are allowed; submit it in parts")]
    TooManyTasks {
        /// How many it holds.
        tasks: usize,
    },
}
