//! How tasks are treated that do not say otherwise themselves.

use std::time::Duration;

use umbel_protocol::task::{Options, Rate, UniquePolicy, UniqueScope};

use super::{Definition, span};

impl Definition {
    /// The queue of submissions that name none.
    #[must_use]
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.template.queue = queue.into();
        self
    }

    /// How often it may fail before it is dead.
    #[must_use]
    pub const fn attempts(mut self, attempts: u16) -> Self {
        self.template.options.attempts_max = Some(attempts);
        self
    }

    /// Pause before the first retry; it doubles with each failure.
    #[must_use]
    pub fn backoff(mut self, first: Duration) -> Self {
        set_backoff(&mut self.template.options, first);
        self
    }

    /// The longest pause before a retry that a doubling one comes to; 10 minutes, or the first if
    /// that is longer, unless said.
    #[must_use]
    pub fn backoff_max(mut self, longest: Duration) -> Self {
        set_backoff_max(&mut self.template.options, longest);
        self
    }

    /// The pauses before its retries one by one, exactly so long, in place of one that doubles; the last
    /// holds for all further ones. There is one attempt more than there are pauses, unless said otherwise.
    #[must_use]
    pub fn backoff_list(mut self, pauses: impl IntoIterator<Item = Duration>) -> Self {
        set_backoff_list(&mut self.template.options, pauses);
        self
    }

    /// How often it may take its node with it before it is dead, 1 to
    /// [16](umbel_protocol::limits::CRASHES_ALLOWED_MAX); 3 unless said.
    #[must_use]
    pub const fn crashes(mut self, crashes: u16) -> Self {
        self.template.options.crashes_max = Some(crashes);
        self
    }

    /// It is never started twice: it is dead as soon as its only run fails or is lost.
    #[must_use]
    pub const fn at_most_once(mut self) -> Self {
        self.template.options.at_most_once = Some(true);
        self
    }

    /// How long after it may first start it is given up if it does not run then.
    #[must_use]
    pub fn expires(mut self, after: Duration) -> Self {
        self.template.options.expires = Some(span(after));
        self
    }

    /// How long after it may first start it must have ended, with all its retries: then a run of it is
    /// ended, and it is dead.
    #[must_use]
    pub fn deadline(mut self, after: Duration) -> Self {
        self.template.options.deadline = Some(span(after));
        self
    }

    /// After how long a run is told that its time will soon be over: see
    /// [`Context::warned`](crate::Context::warned). A command gets SIGTERM then.
    #[must_use]
    pub fn soft_limit(mut self, limit: Duration) -> Self {
        self.template.options.soft_limit = Some(span(limit));
        self
    }

    /// How long what became of it is kept after it has ended, 1 second to 366 days; an hour unless said.
    #[must_use]
    pub fn retention(mut self, retention: Duration) -> Self {
        self.template.options.retention = Some(span(retention));
        self
    }

    /// What it returns is dropped.
    #[must_use]
    pub const fn ignore_result(mut self) -> Self {
        self.template.options.ignore_result = Some(true);
        self
    }

    /// 0 to 9, higher first.
    #[must_use]
    pub const fn priority(mut self, priority: u8) -> Self {
        self.template.options.priority = Some(priority);
        self
    }

    /// Never shows the arguments of these names; see [`Call::redact`](crate::Call::redact).
    #[must_use]
    pub fn redact<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let all = self.template.options.redact.get_or_insert_default();
        all.extend(names.into_iter().map(Into::into));
        self
    }

    /// How long one run may take.
    #[must_use]
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.template.options.time_limit = Some(span(limit));
        self
    }

    /// For how long one keeps others with its unique key out: until it has ended, unless said.
    #[must_use]
    pub const fn unique_until(mut self, scope: UniqueScope) -> Self {
        self.template.options.unique_scope = Some(scope);
        self
    }

    /// What becomes of one while another with its unique key is there: its caller gets that one, unless said.
    #[must_use]
    pub const fn if_exists(mut self, policy: UniquePolicy) -> Self {
        self.template.options.unique_policy = Some(policy);
        self
    }

    /// How many with the same limit key may run at once; every submission must say its [key](crate::Call::limit_key)
    /// then, as with [`rate`](Self::rate) and [`exclusive`](Self::exclusive). See
    /// [`Call::concurrency`](crate::Call::concurrency).
    #[must_use]
    pub const fn concurrency(mut self, most: u16) -> Self {
        self.template.options.concurrency = Some(most);
        self
    }

    /// How many with the same limit key may start in how long; see [`Call::rate`](crate::Call::rate).
    #[must_use]
    pub const fn rate(mut self, rate: Rate) -> Self {
        self.template.options.rate = Some(rate);
        self
    }

    /// Of those with the same limit key one runs at a time, even if nodes are cut off from each other; see
    /// [`Call::exclusive`](crate::Call::exclusive).
    #[must_use]
    pub const fn exclusive(mut self) -> Self {
        self.template.options.exclusive = Some(true);
        self
    }

    /// How long the node that runs one must not have been heard of before the run is taken to be lost, 5 seconds to a
    /// day; as soon as the node is taken to be down unless said.
    #[must_use]
    pub fn lost_after(mut self, silence: Duration) -> Self {
        self.template.options.lost_after = Some(span(silence));
        self
    }
}

/// Pauses one by one take the place of one that doubles.
pub(in crate::work) fn set_backoff_list(
    options: &mut Options,
    pauses: impl IntoIterator<Item = Duration>,
) {
    options.backoff_list = Some(pauses.into_iter().map(span).collect());
    (options.backoff_first, options.backoff_max) = (None, None);
}

/// A pause that doubles takes the place of ones that were said one by one.
pub(in crate::work) fn set_backoff(options: &mut Options, first: Duration) {
    options.backoff_first = Some(span(first));
    options.backoff_list = None;
}

/// The same for how far it doubles.
pub(in crate::work) fn set_backoff_max(options: &mut Options, longest: Duration) {
    options.backoff_max = Some(span(longest));
    options.backoff_list = None;
}
