//! What tasks of one kind have in common, and what of it the caller left to their declaration.

use serde::{Deserialize, Serialize};

use super::{InvalidBatch, Options, redact};
use crate::limits::{BACKOFF_FIRST_DEFAULT, NAME_BYTES_MAX};
use crate::time::Span;
use crate::wire::grown;

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
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
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
    /// See [`Options::expires`]. Since version 3, as all that follows.
    pub expires: bool,
    /// See [`Options::deadline`].
    pub deadline: bool,
    /// See [`Options::backoff_list`].
    pub backoff_list: bool,
    /// See [`Options::crashes_max`].
    pub crashes_max: bool,
    /// See [`Options::at_most_once`].
    pub at_most_once: bool,
    /// See [`Options::unique_scope`].
    pub unique_scope: bool,
    /// See [`Options::unique_policy`].
    pub unique_policy: bool,
    /// See [`Options::concurrency`].
    pub concurrency: bool,
    /// See [`Options::rate`].
    pub rate: bool,
    /// See [`Options::exclusive`].
    pub exclusive: bool,
    /// See [`Options::lost_after`].
    pub lost_after: bool,
    /// How many of the last of [`Options::redact`]: a declaration adds to what the caller says.
    pub redact: u8,
    /// See [`Options::retention`].
    pub retention: bool,
    /// See [`Options::ignore_result`].
    pub ignore_result: bool,
}

grown!(FilledIn { queue, priority, attempts_max, backoff_first, backoff_max } since 3 {
    expires = false,
    deadline = false,
    backoff_list = false,
    crashes_max = false,
    at_most_once = false,
    unique_scope = false,
    unique_policy = false,
    concurrency = false,
    rate = false,
    exclusive = false,
    lost_after = false,
    redact = 0,
    retention = false,
    ignore_result = false,
});

/// Does something for each option that a declaration may fill in.
macro_rules! each_option {
    ($do:ident) => {
        $do!(priority);
        $do!(attempts_max);
        $do!(backoff_first);
        $do!(backoff_max);
        $do!(expires);
        $do!(deadline);
        $do!(backoff_list);
        $do!(crashes_max);
        $do!(at_most_once);
        $do!(unique_scope);
        $do!(unique_policy);
        $do!(concurrency);
        $do!(rate);
        $do!(exclusive);
        $do!(lost_after);
        $do!(retention);
        $do!(ignore_result);
    };
}

impl Template {
    /// The queue of tasks that name none.
    pub const QUEUE_DEFAULT: &'static str = "default";

    /// Beyond its names and options: two lengths, and which options were filled in.
    const FIXED: usize = 2 * 3 + 5 + 14;

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

    /// Fills in what the caller left open from the declaration that holds now, except time limits:
    /// those of the executor's present declaration count, so that a changed one also holds for tasks
    /// that wait already.
    #[must_use]
    pub fn completed(&self, queue: &str, declared: &Options) -> Self {
        let mut whole = self.said();
        if whole.queue.is_empty() {
            whole.filled_in.queue = !queue.is_empty();
            queue.clone_into(&mut whole.queue);
        }
        let declared = declared.without_rivals_of(&whole.options);
        let (options, filled_in) = (&mut whole.options, &mut whole.filled_in);
        macro_rules! fill_in {
            ($option:ident) => {
                if options.$option.is_none() && declared.$option.is_some() {
                    options.$option.clone_from(&declared.$option);
                    filled_in.$option = true;
                }
            };
        }
        each_option!(fill_in);
        // The pauses double up to the longest, and not beyond it from the first on.
        if options.backoff_first.is_none()
            && let Some(longest) = options.backoff_max
            && longest < BACKOFF_FIRST_DEFAULT
        {
            options.backoff_first = Some(longest);
            filled_in.backoff_first = true;
        }
        filled_in.redact = redact::add(&mut options.redact, declared.redact());
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
        macro_rules! take_out {
            ($option:ident) => {
                said.options.$option.take_if(|_| filled_in.$option);
            };
        }
        each_option!(take_out);
        redact::take_out(&mut said.options.redact, filled_in.redact);
        said
    }

    /// Whether the callers of both said the same, whatever was filled in.
    #[must_use]
    pub fn says_the_same(&self, other: &Self) -> bool {
        self == other || self.said() == other.said()
    }

    /// No fewer bytes than it takes on the wire and in the log, whatever queue is filled in.
    #[must_use]
    pub fn weight(&self) -> usize {
        let queue = if self.queue.is_empty() { NAME_BYTES_MAX } else { self.queue.len() };
        Self::FIXED + self.options.weight() + self.name.len() + queue
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
        self.options.check()
    }
}

impl Options {
    /// What is declared, without that which the caller has said otherwise in another way.
    fn without_rivals_of(&self, said: &Self) -> Self {
        let mut declared = self.clone();
        if said.backoff_list.is_some() || said.is_at_most_once() {
            (declared.backoff_first, declared.backoff_max) = (None, None);
        }
        if said.backoff_list.is_some() {
            // One attempt more than there are pauses, unless the caller says otherwise.
            declared.attempts_max = None;
        }
        if said.backoff_first.is_some() || said.backoff_max.is_some() || said.is_at_most_once() {
            declared.backoff_list = None;
        }
        if said.is_at_most_once() {
            (declared.attempts_max, declared.crashes_max) = (None, None);
        }
        if said.is_exclusive() {
            declared.concurrency = None;
        }
        if said.concurrency.is_some() {
            declared.exclusive = None;
        }
        let pauses = said.backoff_list.is_some()
            || said.backoff_first.is_some()
            || said.backoff_max.is_some();
        if said.attempts_max.unwrap_or(1) > 1 || pauses || said.crashes_max.is_some() {
            declared.at_most_once = None;
        }
        let contradicts = |smaller: Option<Span>, larger: Option<Span>| match (smaller, larger) {
            (Some(smaller), Some(larger)) => smaller >= larger,
            _ => false,
        };
        if contradicts(declared.backoff_first, said.backoff_max) {
            declared.backoff_first = said.backoff_max;
        }
        if contradicts(said.backoff_first, declared.backoff_max) {
            declared.backoff_max = None;
        }
        declared
    }
}

/// Whether a task or a queue can be called that.
pub(crate) fn is_name(name: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    (1..=NAME_BYTES_MAX).contains(&name.len()) && name.chars().all(legal)
}

fn check_name(what: &'static str, name: &str) -> Result<(), InvalidBatch> {
    if !is_name(name) {
        return Err(InvalidBatch::Name {
            what: what.to_owned(),
            name: name.chars().take(40).collect(),
        });
    }
    Ok(())
}
