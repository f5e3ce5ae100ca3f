//! What is asked for: the part of a task that never changes.

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use crate::id::{PartitionId, TaskId};
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
    /// Queue in which it waits. Empty means that of the task's declaration, which the node that
    /// takes the submission fills in.
    pub queue: String,
    /// How it is treated.
    pub options: Options,
    /// Which of these are not the caller's. The node that takes the submission writes it.
    pub filled_in: FilledIn,
}

/// What a node filled in from the task's declaration because the caller left it open. It is no part
/// of what was submitted: the declaration may have changed when the same submission comes once more.
#[allow(clippy::struct_excessive_bools, reason = "one for each of what can be left open")]
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct FilledIn {
    /// See [`Template::queue`].
    pub queue: bool,
    /// See [`Options::priority`].
    pub priority: bool,
    /// See [`Options::attempts_max`].
    pub attempts_max: bool,
    /// See [`Options::backoff_first`].
    pub backoff_first: bool,
    /// See [`Options::backoff_max`].
    pub backoff_max: bool,
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

/// How a task is treated. What is not said here is as the task's declaration says, which the node
/// that takes the submission [fills in](Template::completed), else the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Options {
    /// 0 to 9, higher first; 0 unless said.
    pub priority: Option<u8>,
    /// How long after its acceptance it may start at the earliest.
    pub delay: Span,
    /// How often it may fail before it is dead, at least 1; [`ATTEMPTS_DEFAULT`] unless said.
    pub attempts_max: Option<u16>,
    /// Pause before the first retry; it doubles with each failure.
    /// [`BACKOFF_FIRST_DEFAULT`] unless said.
    pub backoff_first: Option<Span>,
    /// Longest pause before a retry; [`BACKOFF_MAX_DEFAULT`] unless said.
    pub backoff_max: Option<Span>,
    /// How long one run may take; what the executor's declaration says unless said.
    pub time_limit: Option<Span>,
    /// When it is given up if it has not started.
    pub expires_at: Option<Wall>,
}

impl Options {
    /// 0 to 9, higher first.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.priority.unwrap_or(0)
    }

    /// How often it may fail before it is dead.
    #[must_use]
    pub fn attempts_max(&self) -> u16 {
        self.attempts_max.unwrap_or(ATTEMPTS_DEFAULT)
    }

    /// Pause before the first retry.
    #[must_use]
    pub fn backoff_first(&self) -> Span {
        self.backoff_first.unwrap_or(BACKOFF_FIRST_DEFAULT)
    }

    /// Longest pause before a retry.
    #[must_use]
    pub fn backoff_max(&self) -> Span {
        self.backoff_max.unwrap_or(BACKOFF_MAX_DEFAULT).max(self.backoff_first())
    }
}

impl Template {
    /// The queue of tasks that name none.
    pub const QUEUE_DEFAULT: &'static str = "default";

    /// Tasks called `name`, in the queue and with the options that they are declared with.
    #[must_use]
    pub fn new(name: impl Into<String>) -> Self {
        Self {
            name: name.into(),
            queue: String::new(),
            options: Options::default(),
            filled_in: FilledIn::default(),
        }
    }

    /// Fills in what the caller left open from the declaration that holds now, except the time limit:
    /// that of the executor's present declaration counts, so that a changed one also holds for tasks
    /// that wait already.
    #[must_use]
    pub fn completed(&self, queue: &str, declared: &Options) -> Self {
        let mut whole = self.said();
        if whole.queue.is_empty() {
            whole.filled_in.queue = !queue.is_empty();
            queue.clone_into(&mut whole.queue);
        }
        let (options, filled_in) = (&mut whole.options, &mut whole.filled_in);
        filled_in.priority = fill_in(&mut options.priority, declared.priority);
        filled_in.attempts_max = fill_in(&mut options.attempts_max, declared.attempts_max);
        filled_in.backoff_first = fill_in(&mut options.backoff_first, declared.backoff_first);
        filled_in.backoff_max = fill_in(&mut options.backoff_max, declared.backoff_max);
        whole
    }

    /// What the caller said: without all that was filled in.
    #[must_use]
    pub fn said(&self) -> Self {
        let mut said = self.clone();
        let filled_in = std::mem::take(&mut said.filled_in);
        if filled_in.queue {
            said.queue.clear();
        }
        let options = &mut said.options;
        options.priority.take_if(|_| filled_in.priority);
        options.attempts_max.take_if(|_| filled_in.attempts_max);
        options.backoff_first.take_if(|_| filled_in.backoff_first);
        options.backoff_max.take_if(|_| filled_in.backoff_max);
        said
    }

    /// Whether the callers of both said the same, whatever was filled in.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self == other || self.said() == other.said()
    }
}

/// Gives `open` the value that is `declared` if it has none; whether it did.
fn fill_in<T: Copy>(open: &mut Option<T>, declared: Option<T>) -> bool {
    if open.is_some() {
        return false;
    }
    *open = declared;
    declared.is_some()
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
        for row in &self.rows {
            if self.templates.get(usize::from(row.template)).is_none() {
                return Err(InvalidBatch::NoTemplate { row: row.id });
            }
            if row.id.is_derived() {
                return Err(InvalidBatch::Derived { row: row.id });
            }
            if row.args.len() > ARGS_BYTES_MAX {
                return Err(InvalidBatch::ArgsTooLarge { row: row.id, bytes: row.args.len() });
            }
        }
        let bytes = self.weight();
        if bytes > BATCH_BYTES_MAX {
            return Err(InvalidBatch::TooManyBytes { bytes });
        }
        Ok(())
    }

    /// No fewer bytes than it takes on the wire and in the log.
    #[must_use]
    pub fn weight(&self) -> usize {
        let templates: usize = self.templates.iter().map(Template::weight).sum();
        templates + self.rows.iter().map(Row::weight).sum::<usize>()
    }

    /// The template of `row`.
    #[must_use]
    pub fn template(&self, row: &Row) -> Option<&Template> {
        self.templates.get(usize::from(row.template))
    }
}

impl Row {
    /// Beyond its arguments: an id, a position and a length, with every integer at its longest.
    const FIXED: usize = 17 + 3 + 5;

    /// No fewer bytes than it takes on the wire and in the log.
    #[must_use]
    pub const fn weight(&self) -> usize {
        Self::FIXED + self.args.len()
    }
}

impl Template {
    /// Beyond its names: two lengths and all options, with every integer at its longest, and which of
    /// them were filled in.
    const FIXED: usize = 2 * 3 + (2 + 9 + 4 + 3 * 10 + 10) + 5;

    /// No fewer bytes than it takes on the wire and in the log, whatever queue is filled in.
    #[must_use]
    pub const fn weight(&self) -> usize {
        let queue = if self.queue.is_empty() { NAME_BYTES_MAX } else { self.queue.len() };
        Self::FIXED + self.name.len() + queue
    }

    /// Refuses what no partition would take.
    ///
    /// # Errors
    /// The first limit that it breaks.
    pub fn check(&self) -> Result<(), InvalidBatch> {
        check_name("task name", &self.name)?;
        if !self.queue.is_empty() {
            check_name("queue", &self.queue)?;
        }
        let options = &self.options;
        if options.priority() > 9 {
            return Err(InvalidBatch::Option { what: "priority".into(), range: "0 to 9".into() });
        }
        if !(1..=ATTEMPTS_MAX).contains(&options.attempts_max()) {
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
    /// All tasks together, with what they have in common, are longer than [`BATCH_BYTES_MAX`].
    #[error("the batch takes {bytes} bytes, {BATCH_BYTES_MAX} are allowed; submit it in parts")]
    TooManyBytes {
        /// How long they are.
        bytes: usize,
    },
    /// More tasks than [`BATCH_TASKS_MAX`].
    #[error("the batch holds {tasks} tasks, {BATCH_TASKS_MAX} are allowed; submit it in parts")]
    TooManyTasks {
        /// How many it holds.
        tasks: usize,
    },
    /// The id belongs to a partition that the cluster does not have.
    #[error(
        "no task can be called that here: the id belongs to {partition}, and this cluster has \
         {partitions} partitions; is it of another cluster?"
    )]
    Partition {
        /// The partition of the id.
        partition: PartitionId,
        /// How many there are.
        partitions: u16,
    },
    /// The id is one that the cluster makes for a job's tick. Since version 2.
    #[error(
        "the id {row} is of the kind that jobs give their tasks; make one of version 7, or leave it out"
    )]
    Derived {
        /// The task.
        row: TaskId,
    },
}
