//! How a task is treated: all that can be asked for, with its limits.

use super::{InvalidBatch, Rate, UniquePolicy, UniqueScope, redact};
use crate::limits::{
    ATTEMPTS_DEFAULT, ATTEMPTS_MAX, BACKOFF_FIRST_DEFAULT, BACKOFF_LIST_MAX, BACKOFF_MAX_DEFAULT,
    CONCURRENCY_MAX, CRASHES_ALLOWED_MAX, CRASHES_MAX, DELAY_MAX, EXCLUSIVE_LOST_AFTER,
    LOST_AFTER_MAX, LOST_AFTER_MIN, RATE_PER_SECOND_MAX, RETENTION_MIN,
};
use crate::time::{Span, Wall};
use crate::wire::grown;

/// How a task is treated. What is not said here is as the task's declaration says, which the node
/// that takes the submission [fills in](super::Template::completed), else the default.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Options {
    /// 0 to 9, higher first; 0 unless said.
    pub priority: Option<u8>,
    /// How long after its acceptance it may start at the earliest.
    pub delay: Span,
    /// How often it may fail before it is dead, at least 1; [`ATTEMPTS_DEFAULT`] unless said, or one more
    /// than there are pauses in [`Options::backoff_list`].
    pub attempts_max: Option<u16>,
    /// Pause before the first retry, at most [`DELAY_MAX`]; it doubles with each failure.
    /// [`BACKOFF_FIRST_DEFAULT`] unless said.
    pub backoff_first: Option<Span>,
    /// Longest pause before a retry, at most [`DELAY_MAX`]; [`BACKOFF_MAX_DEFAULT`], or the first if that is
    /// longer, unless said.
    pub backoff_max: Option<Span>,
    /// How long one run may take, 1 ms to [`DELAY_MAX`]; what the executor's declaration says unless said.
    pub time_limit: Option<Span>,
    /// When it is given up: no run of it begins at that time or later.
    pub expires_at: Option<Wall>,
    /// How long after it may [first start](super::Record::due_at) it is given up, in the same way. Since
    /// version 3, as all that follows.
    pub expires: Option<Span>,
    /// How long after it may first start it must have ended, with all its retries. Then a run of it is
    /// stopped, and it is dead.
    pub deadline: Option<Span>,
    /// After so long a run is told that its time will soon be over; what the executor's declaration says
    /// unless said.
    pub soft_limit: Option<Span>,
    /// The pauses before its retries one by one, exactly so long, in place of ones that double; the last
    /// holds for all further ones. At most [`BACKOFF_LIST_MAX`].
    pub backoff_list: Option<Vec<Span>>,
    /// How often it may take its node with it before it is dead, 1 to [`CRASHES_ALLOWED_MAX`];
    /// [`CRASHES_MAX`] unless said.
    pub crashes_max: Option<u16>,
    /// Whether it is never started twice, whatever happens: it is dead as soon as its only run fails or
    /// is lost.
    pub at_most_once: Option<bool>,
    /// For how long it keeps others with its [unique key](super::Particulars::unique_key) out;
    /// [`UniqueScope::UntilFinished`] unless said.
    pub unique_scope: Option<UniqueScope>,
    /// What becomes of it while another with its key is there; [`UniquePolicy::Existing`] unless said.
    pub unique_policy: Option<UniquePolicy>,
    /// How many tasks with its [limit key](super::Particulars::limit_key) may run at once when it starts, 1 to
    /// [`CONCURRENCY_MAX`]; any number unless said.
    pub concurrency: Option<u16>,
    /// How many tasks with its limit key may start in how long; any number unless said. Those start by it that
    /// say one themselves.
    pub rate: Option<Rate>,
    /// Whether no other task with its limit key runs while it does.
    pub exclusive: Option<bool>,
    /// How long its executor must not have been heard of before its run is taken to be lost, [`LOST_AFTER_MIN`]
    /// to [`LOST_AFTER_MAX`]; as soon as its node is taken to be down unless said. A run of an
    /// [exclusive](Options::exclusive) task is ended by its executor when it has not been heard for so long,
    /// [`EXCLUSIVE_LOST_AFTER`] unless said, and no other of its key begins before that.
    pub lost_after: Option<Span>,
    /// The names of arguments and headers that are [never shown](super::redacted); 1 to [`REDACT_MAX`] of at most
    /// [`REDACT_NAME_BYTES_MAX`] bytes. What the task's declaration hides is hidden as well, whatever is
    /// said here. They reach the handler as they are.
    ///
    /// [`REDACT_MAX`]: crate::limits::REDACT_MAX
    /// [`REDACT_NAME_BYTES_MAX`]: crate::limits::REDACT_NAME_BYTES_MAX
    pub redact: Option<Vec<Box<str>>>,
    /// For how long what became of it is kept after it has ended, 1 s to [`DELAY_MAX`]; for as long as of all
    /// others, an [hour](crate::limits::RETENTION), unless said. If those that say so are too many, what would go
    /// first goes earlier.
    pub retention: Option<Span>,
    /// Whether what it returns is dropped: its result is `null` then.
    pub ignore_result: Option<bool>,
}

grown!(Options {
    priority, delay, attempts_max, backoff_first, backoff_max, time_limit, expires_at,
} since 3 {
    expires = None,
    deadline = None,
    soft_limit = None,
    backoff_list = None,
    crashes_max = None,
    at_most_once = None,
    unique_scope = None,
    unique_policy = None,
    concurrency = None,
    rate = None,
    exclusive = None,
    lost_after = None,
    redact = None,
    retention = None,
    ignore_result = None,
});

impl Options {
    /// 0 to 9, higher first.
    #[must_use]
    pub fn priority(&self) -> u8 {
        self.priority.unwrap_or(0)
    }

    /// How often it may fail before it is dead.
    #[must_use]
    pub fn attempts_max(&self) -> u16 {
        if self.is_at_most_once() {
            return 1;
        }
        self.attempts_max.unwrap_or_else(|| match &self.backoff_list {
            Some(list) => u16::try_from(list.len() + 1).unwrap_or(ATTEMPTS_MAX),
            None => ATTEMPTS_DEFAULT,
        })
    }

    /// How often it may take its node with it before it is dead.
    #[must_use]
    pub fn crashes_max(&self) -> u16 {
        self.crashes_max.unwrap_or(CRASHES_MAX)
    }

    /// Whether it is never started twice.
    #[must_use]
    pub fn is_at_most_once(&self) -> bool {
        self.at_most_once.unwrap_or(false)
    }

    /// For how long it keeps others with its unique key out.
    #[must_use]
    pub fn unique_scope(&self) -> UniqueScope {
        self.unique_scope.unwrap_or_default()
    }

    /// What becomes of it while another with its unique key is there.
    #[must_use]
    pub fn unique_policy(&self) -> UniquePolicy {
        self.unique_policy.unwrap_or_default()
    }

    /// Whether no other task with its limit key runs while it does.
    #[must_use]
    pub fn is_exclusive(&self) -> bool {
        self.exclusive.unwrap_or(false)
    }

    /// How long its executor must not have been heard of before its run is taken to be lost, if that is for it
    /// to say.
    #[must_use]
    pub fn lost_after(&self) -> Option<Span> {
        self.lost_after.or_else(|| self.is_exclusive().then_some(EXCLUSIVE_LOST_AFTER))
    }

    /// How many tasks with its limit key may run at once, it included.
    #[must_use]
    pub fn concurrency(&self) -> Option<u16> {
        if self.is_exclusive() { Some(1) } else { self.concurrency }
    }

    /// Whether anything is said that needs a limit key.
    #[must_use]
    pub fn is_limited(&self) -> bool {
        self.concurrency.is_some() || self.rate.is_some() || self.is_exclusive()
    }

    /// Whether what it returns is dropped.
    #[must_use]
    pub fn ignores_result(&self) -> bool {
        self.ignore_result.unwrap_or(false)
    }

    /// The names of arguments and headers that are never shown.
    #[must_use]
    pub fn redact(&self) -> &[Box<str>] {
        self.redact.as_deref().unwrap_or_default()
    }

    /// Hides what is called by one of `names` as well; everything, if those are too many then.
    pub fn hide(&mut self, names: &[Box<str>]) {
        redact::add(&mut self.redact, names);
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

    /// The longest pause after the `failures`th failure: it doubles each time up to the limit.
    #[must_use]
    pub fn backoff(&self, failures: u16) -> Span {
        let doublings = u32::from(failures.saturating_sub(1)).min(32);
        self.backoff_first().times(1 << doublings).min(self.backoff_max())
    }

    /// The pause after the `failures`th failure, if they are listed one by one.
    #[must_use]
    pub fn listed_backoff(&self, failures: u16) -> Option<Span> {
        let list = self.backoff_list.as_ref()?;
        list.get(usize::from(failures.saturating_sub(1))).or_else(|| list.last()).copied()
    }

    /// The same without what came with version 3.
    #[must_use]
    pub fn before_3(&self) -> Self {
        Self {
            priority: self.priority,
            delay: self.delay,
            attempts_max: self.attempts_max,
            backoff_first: self.backoff_first,
            backoff_max: self.backoff_max,
            time_limit: self.time_limit,
            expires_at: self.expires_at,
            ..Self::default()
        }
    }

    /// Whether anything is said that came with version 3.
    #[must_use]
    pub fn is_since_3(&self) -> bool {
        *self != self.before_3()
    }

    /// No fewer bytes than they take on the wire and in the log, with every integer at its longest.
    #[must_use]
    pub fn weight(&self) -> usize {
        let mut late = 15;
        late += if self.retention.is_some() { 9 } else { 0 };
        late += if self.ignore_result.is_some() { 1 } else { 0 };
        late += if self.expires.is_some() { 9 } else { 0 };
        late += if self.deadline.is_some() { 9 } else { 0 };
        late += if self.soft_limit.is_some() { 9 } else { 0 };
        late += if self.crashes_max.is_some() { 3 } else { 0 };
        late += if self.at_most_once.is_some() { 1 } else { 0 };
        late += if self.unique_scope.is_some() { 1 + 9 } else { 0 };
        late += if self.unique_policy.is_some() { 1 } else { 0 };
        late += if self.concurrency.is_some() { 3 } else { 0 };
        late += if self.rate.is_some() { 5 + 9 } else { 0 };
        late += if self.exclusive.is_some() { 1 } else { 0 };
        late += if self.lost_after.is_some() { 9 } else { 0 };
        (2 + 9 + 4 + 3 * 10 + 10) + late + self.list_weight()
    }

    /// What of them takes memory of its own.
    pub(super) fn list_weight(&self) -> usize {
        let pauses = self.backoff_list.as_ref().map_or(0, |list| 9 * (1 + list.len()));
        let redact = self.redact.as_ref().map_or(0, |names| {
            9 + names.iter().map(|name| REDACT_NAME_WEIGHT + name.len()).sum::<usize>()
        });
        pauses + redact
    }

    /// Refuses what no task can be treated by.
    ///
    /// # Errors
    /// The first that breaks a limit, or two that contradict each other.
    pub fn check(&self) -> Result<(), InvalidBatch> {
        in_range("priority", &(0..=9), self.priority(), "0 to 9")?;
        let attempts = self.attempts_max.unwrap_or(1);
        in_range("attempts", &(1..=ATTEMPTS_MAX), attempts, format!("1 to {ATTEMPTS_MAX}"))?;
        let crashes = self.crashes_max();
        in_range(
            "crashes",
            &(1..=CRASHES_ALLOWED_MAX),
            crashes,
            format!("1 to {CRASHES_ALLOWED_MAX}"),
        )?;
        in_range("delay", &(Span::ZERO..=DELAY_MAX), self.delay, "at most 366 days")?;
        let spans = [
            ("expires", self.expires),
            ("deadline", self.deadline),
            ("soft_limit", self.soft_limit),
            ("time_limit", self.time_limit),
        ];
        for (what, span) in spans {
            let shortest = Span::from_millis(1);
            let span = span.unwrap_or(shortest);
            in_range(what, &(shortest..=DELAY_MAX), span, "1 ms to 366 days")?;
        }
        for (what, pause) in
            [("backoff_first", self.backoff_first), ("backoff_max", self.backoff_max)]
        {
            let pause = pause.unwrap_or(Span::ZERO);
            in_range(what, &(Span::ZERO..=DELAY_MAX), pause, "at most 366 days")?;
        }
        if let UniqueScope::For(span) = self.unique_scope() {
            let shortest = Span::from_millis(1);
            in_range("unique_until", &(shortest..=DELAY_MAX), span, "1 ms to 366 days")?;
        }
        let concurrency = self.concurrency.unwrap_or(1);
        let range = format!("1 to {CONCURRENCY_MAX}");
        in_range("concurrency", &(1..=CONCURRENCY_MAX), concurrency, range)?;
        if self.rate.is_some_and(|rate| !rate.is_sane()) {
            let range = format!("at most {RATE_PER_SECOND_MAX} a second, in 1 s to 366 days");
            return Err(InvalidBatch::Option { what: "rate".to_owned(), range });
        }
        let lost_after = self.lost_after.unwrap_or(LOST_AFTER_MIN);
        in_range("lost_after", &(LOST_AFTER_MIN..=LOST_AFTER_MAX), lost_after, "5 s to 1 day")?;
        let retention = self.retention.unwrap_or(RETENTION_MIN);
        in_range("retention", &(RETENTION_MIN..=DELAY_MAX), retention, "1 s to 366 days")?;
        self.redact.as_deref().map_or(Ok(()), redact::check)?;
        self.check_backoff_list()?;
        self.check_conflicts()
    }

    /// Refuses what would never be heeded of tasks that are `declared` so.
    ///
    /// # Errors
    /// If a run would be stopped before it is told that it will be.
    pub fn check_times(&self, declared: &Self) -> Result<(), InvalidBatch> {
        if let (Some(soft), None, Some(end)) = (self.soft_limit, self.deadline, declared.deadline)
            && soft >= end
        {
            return Err(InvalidBatch::conflicting(
                "`soft_limit`",
                "it is no shorter than the deadline that the task is declared with; make it shorter, or say a \
                 longer `deadline` as well",
            ));
        }
        if let (Some(soft), None, Some(hard)) =
            (self.soft_limit, self.time_limit, declared.time_limit)
            && soft >= hard
        {
            return Err(InvalidBatch::conflicting(
                "`soft_limit`",
                "it is no shorter than the time limit that the task is declared with; make it shorter, or say a \
                 longer `time_limit` as well",
            ));
        }
        Ok(())
    }

    fn check_backoff_list(&self) -> Result<(), InvalidBatch> {
        let Some(list) = &self.backoff_list else {
            return Ok(());
        };
        let range = || format!("1 to {BACKOFF_LIST_MAX} pauses of at most 366 days");
        in_range("backoff_list", &(1..=BACKOFF_LIST_MAX), list.len(), range())?;
        for pause in list {
            in_range("backoff_list", &(Span::ZERO..=DELAY_MAX), *pause, range())?;
        }
        Ok(())
    }

    fn check_conflicts(&self) -> Result<(), InvalidBatch> {
        if self.backoff_list.is_some()
            && (self.backoff_first.is_some() || self.backoff_max.is_some())
        {
            return Err(InvalidBatch::conflicting(
                "`backoff_list` and `backoff_first` or `backoff_max`",
                "they say the pauses in two ways; give one of them",
            ));
        }
        if let (Some(first), Some(longest)) = (self.backoff_first, self.backoff_max)
            && first > longest
        {
            return Err(InvalidBatch::conflicting(
                "`backoff_first` and `backoff_max`",
                "the first pause is longer than the longest may be; make it shorter",
            ));
        }
        let pauses = self.backoff_list.is_some()
            || self.backoff_first.is_some()
            || self.backoff_max.is_some();
        if self.is_at_most_once() && (self.attempts_max.unwrap_or(1) > 1 || pauses) {
            return Err(InvalidBatch::conflicting(
                "`at_most_once` and more than one attempt, or pauses before them",
                "what is never started twice cannot be tried again; give one of them",
            ));
        }
        if self.is_at_most_once() && self.crashes_max.is_some() {
            return Err(InvalidBatch::conflicting(
                "`at_most_once` and `crashes`",
                "what is never started twice takes one node with it at most; give one of them",
            ));
        }
        if self.is_exclusive() && self.concurrency.unwrap_or(1) > 1 {
            return Err(InvalidBatch::conflicting(
                "`exclusive` and `concurrency`",
                "an exclusive task runs alone; give one of them",
            ));
        }
        if let (Some(soft), Some(hard)) = (self.soft_limit, self.time_limit)
            && soft >= hard
        {
            return Err(InvalidBatch::conflicting(
                "`soft_limit` and `time_limit`",
                "a run is told some time before it is stopped; make the soft limit shorter",
            ));
        }
        if let (Some(soft), Some(deadline)) = (self.soft_limit, self.deadline)
            && soft >= deadline
        {
            return Err(InvalidBatch::conflicting(
                "`soft_limit` and `deadline`",
                "no run takes so long before its time is over; make the soft limit shorter",
            ));
        }
        Ok(())
    }
}

/// A name of an argument that is not shown, without its text: what points to it, and its length. Part of
/// the log's meaning, as [`limits`](crate::limits) explains.
const REDACT_NAME_WEIGHT: usize = 32;

fn in_range<T: PartialOrd>(
    what: &str,
    range: &std::ops::RangeInclusive<T>,
    value: T,
    told: impl Into<String>,
) -> Result<(), InvalidBatch> {
    if range.contains(&value) {
        return Ok(());
    }
    Err(InvalidBatch::Option { what: what.to_owned(), range: told.into() })
}

#[cfg(test)]
mod tests;
