//! A task that is about to be submitted, with the type of what it will return.

use std::fmt;
use std::marker::PhantomData;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use bytes::Bytes;
use serde::Serialize;
use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Particulars, Rate, Template, UniquePolicy, UniqueScope};
use umbel_protocol::time::Wall;

use super::declare::Task;
use super::definition::{set_backoff, set_backoff_list, span};

/// A task that is about to be submitted. `R` is what it returns; `By` is the client that submits it as
/// soon as it is awaited, if it has one: then it is a [`Submit`] or a [`Run`].
///
/// `#[umbel::task]` makes one with `add::call(1, 2)`; [`Call::named`] makes one for a task that this
/// program does not know. Nothing happens before a client submits it.
///
/// ```
/// use std::time::Duration;
/// use umbel::Call;
///
/// let call = Call::<u64>::named("add", &[1, 2]).queue("sums").delay(Duration::from_secs(5));
/// ```
///
/// [`Submit`]: crate::client::Submit
/// [`Run`]: crate::client::Run
#[must_use = "nothing happens until a client submits it: give it to one, or await it if it has one"]
pub struct Call<R, By = ()> {
    template: Template,
    args: Result<Bytes, serde_json::Error>,
    particulars: Particulars,
    id: Option<TaskId>,
    by: By,
    output: PhantomData<fn() -> R>,
}

/// What is left of a [`Call`] when it is submitted.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Submission {
    /// Name, queue and options.
    pub template: Template,
    /// The arguments, JSON.
    pub args: Bytes,
    /// What is said of it alone.
    pub particulars: Option<Box<Particulars>>,
    /// The id, if the caller has chosen one.
    pub id: Option<TaskId>,
}

impl<R> Call<R> {
    /// The task that `T` stands for, with `args` in the shape that its handler expects.
    pub fn of<T: Task<Output = R>>(args: &impl Serialize) -> Self {
        Self::with_template(T::template(), args)
    }

    /// The task called `name`, with default options. The caller says what it returns.
    pub fn named(name: impl Into<String>, args: &impl Serialize) -> Self {
        Self::with_template(Template::new(name), args)
    }

    /// A task with these options.
    pub fn with_template(template: Template, args: &impl Serialize) -> Self {
        Self {
            template,
            args: serde_json::to_vec(args).map(Bytes::from),
            particulars: Particulars::default(),
            id: None,
            by: (),
            output: PhantomData,
        }
    }

    /// A call that nobody can submit.
    pub(super) fn spoilt(mut self, why: serde_json::Error) -> Self {
        self.args = Err(why);
        self
    }

    /// What a client submits.
    ///
    /// # Errors
    /// When the arguments could not be written as JSON. Submitting it again cannot help.
    pub fn into_submission(self) -> Result<Submission, InvalidCall> {
        match self.args {
            Ok(args) => Ok(Submission {
                template: self.template,
                args,
                particulars: self.particulars.boxed(),
                id: self.id,
            }),
            Err(source) => Err(InvalidCall { name: self.template.name, source }),
        }
    }
}

/// What can be said of it, whoever submits it.
impl<R, By> Call<R, By> {
    /// Sends it to another queue.
    pub fn queue(mut self, queue: impl Into<String>) -> Self {
        self.template.queue = queue.into();
        self
    }

    /// Starts it this much later at the earliest.
    pub fn delay(mut self, delay: Duration) -> Self {
        self.template.options.delay = span(delay);
        self
    }

    /// Starts it at this time at the earliest; at once, if that has passed. In place of a
    /// [delay](Self::delay): with both it is refused.
    pub fn at(mut self, at: SystemTime) -> Self {
        self.particulars.not_before = Some(wall(at));
        self
    }

    /// 0 to 9, higher first.
    pub fn priority(mut self, priority: u8) -> Self {
        self.template.options.priority = Some(priority);
        self
    }

    /// How often it may fail before it is dead.
    pub fn attempts(mut self, attempts: u16) -> Self {
        self.template.options.attempts_max = Some(attempts);
        self
    }

    /// Pause before the first retry; it doubles with each failure.
    pub fn backoff(mut self, first: Duration) -> Self {
        set_backoff(&mut self.template.options, first);
        self
    }

    /// The pauses before its retries one by one, exactly so long, in place of one that doubles; the last
    /// holds for all further ones. There is one attempt more than there are pauses, unless said otherwise.
    pub fn backoff_list(mut self, pauses: impl IntoIterator<Item = Duration>) -> Self {
        set_backoff_list(&mut self.template.options, pauses);
        self
    }

    /// How often it may take its node with it before it is dead, 1 to
    /// [16](umbel_protocol::limits::CRASHES_ALLOWED_MAX); 3 unless said.
    pub fn crashes(mut self, crashes: u16) -> Self {
        self.template.options.crashes_max = Some(crashes);
        self
    }

    /// It is never started twice, whatever happens: it is dead as soon as its only run fails or is lost.
    pub fn at_most_once(mut self) -> Self {
        self.template.options.at_most_once = Some(true);
        self
    }

    /// How long one run may take.
    pub fn time_limit(mut self, limit: Duration) -> Self {
        self.template.options.time_limit = Some(span(limit));
        self
    }

    /// After how long a run is told that its time will soon be over: see
    /// [`Context::warned`](super::Context::warned). A command gets SIGTERM then.
    pub fn soft_limit(mut self, limit: Duration) -> Self {
        self.template.options.soft_limit = Some(span(limit));
        self
    }

    /// Gives it up at that time if it does not run then.
    pub fn expires_at(mut self, at: SystemTime) -> Self {
        self.template.options.expires_at = Some(wall(at));
        self
    }

    /// Gives it up so long after it may first start if it does not run then.
    pub fn expires(mut self, after: Duration) -> Self {
        self.template.options.expires = Some(span(after));
        self
    }

    /// It must have ended so long after it may first start, with all its retries: then a run of it is
    /// ended, and it is dead.
    pub fn deadline(mut self, after: Duration) -> Self {
        self.template.options.deadline = Some(span(after));
        self
    }

    /// Of all tasks of its name with this key, 1 to 256 bytes, there is one at a time: while one has not
    /// ended, whoever submits another gets the handle of that one. See [`unique_scope`](Self::unique_scope)
    /// and [`unique_policy`](Self::unique_policy) for other ways. `#[umbel::task(unique_by = "...")]` makes
    /// one of arguments for all calls that say none.
    ///
    /// ```
    /// # use umbel::Call;
    /// let call = Call::<()>::named("rebuild-index", &"products").unique("products");
    /// ```
    pub fn unique(mut self, key: impl Into<Box<str>>) -> Self {
        self.particulars.unique_key = Some(key.into());
        self
    }

    /// For how long it keeps others with its unique key out: until it has ended, unless said.
    pub fn unique_scope(mut self, scope: UniqueScope) -> Self {
        self.template.options.unique_scope = Some(scope);
        self
    }

    /// What becomes of it while another with its unique key is there: its caller gets that one, unless
    /// said.
    pub fn unique_policy(mut self, policy: UniquePolicy) -> Self {
        self.template.options.unique_policy = Some(policy);
        self
    }

    /// On whose behalf it is, 1 to 256 bytes: of tasks of one name, queue and priority those of different
    /// keys are served in turn, whatever each has waiting.
    pub fn fairness_key(mut self, key: impl Into<Box<str>>) -> Self {
        self.particulars.fairness_key = Some(key.into());
        self
    }

    /// Tasks with this key, 1 to 256 bytes, are limited together, whatever their names: see
    /// [`concurrency`](Self::concurrency), [`rate`](Self::rate) and [`exclusive`](Self::exclusive), of which
    /// one must be said. While a task waits for its limit it takes no slot, and keeps no other from one.
    ///
    /// ```
    /// # use umbel::Call;
    /// // No more than two imports of one account at a time, and no more than ten in a minute.
    /// let call = Call::<()>::named("import", &"march.csv")
    ///     .limit_key("account 7")
    ///     .concurrency(2)
    ///     .rate("10/min".parse()?);
    /// # Ok::<(), umbel::InvalidRate>(())
    /// ```
    pub fn limit_key(mut self, key: impl Into<Box<str>>) -> Self {
        self.particulars.limit_key = Some(key.into());
        self
    }

    /// How many tasks with its limit key may run at once when it starts, 1 to 10,000, it included. When the
    /// node that ran one is taken to be lost it does not count any more.
    pub fn concurrency(mut self, most: u16) -> Self {
        self.template.options.concurrency = Some(most);
        self
    }

    /// How many tasks with its limit key that say a rate may start in how long: evenly spread, but for what a
    /// tenth of a second has room for. Each start counts, also of one that failed before.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.template.options.rate = Some(rate);
        self
    }

    /// No other task with its limit key runs while it does.
    pub fn exclusive(mut self) -> Self {
        self.template.options.exclusive = Some(true);
        self
    }

    /// The id, which is also the idempotency key. The client draws one if none is set.
    pub fn id(mut self, id: TaskId) -> Self {
        self.id = Some(id);
        self
    }

    /// The same, submitted by `by`; and by whom it was to be submitted before.
    pub(crate) fn by<Other>(self, by: Other) -> (Call<R, Other>, By) {
        let Self { template, args, particulars, id, by: before, output } = self;
        (Call { template, args, particulars, id, by, output }, before)
    }
}

/// `time` as the protocol counts it, as far as that goes.
fn wall(time: SystemTime) -> Wall {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}

impl<R, By> fmt::Debug for Call<R, By> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Call")
            .field("template", &self.template)
            .field("args", &self.args)
            .field("particulars", &self.particulars)
            .field("id", &self.id)
            .finish()
    }
}

/// Arguments that cannot be written as JSON. Nothing was submitted.
#[derive(Debug, thiserror::Error)]
#[error("the arguments of {name:?} do not fit JSON")]
pub struct InvalidCall {
    name: String,
    #[source]
    source: serde_json::Error,
}

#[cfg(test)]
mod tests {
    use umbel_protocol::id::PartitionId;

    use super::*;

    #[test]
    fn carries_what_was_set() {
        let id = TaskId::new(Wall::from_millis(1), PartitionId(3), 7);
        let submission = Call::<u64>::named("add", &[1, 2])
            .queue("sums")
            .delay(Duration::from_secs(5))
            .priority(7)
            .attempts(9)
            .backoff(Duration::from_secs(3600))
            .id(id)
            .into_submission()
            .unwrap();
        assert_eq!(submission.args, "[1,2]");
        assert_eq!(submission.id, Some(id));
        let at = UNIX_EPOCH + Duration::from_millis(7);
        let timed = Call::<u64>::named("add", &[1, 2]).at(at).into_submission().unwrap();
        let not_before = Some(Wall::from_millis(7));
        assert_eq!(
            (submission.particulars, timed.particulars.unwrap().not_before),
            (None, not_before)
        );
        let Template { name, queue, options, .. } = submission.template;
        assert_eq!((name.as_str(), queue.as_str()), ("add", "sums"));
        assert_eq!((options.priority(), options.attempts_max()), (7, 9));
        assert_eq!(options.delay, span(Duration::from_secs(5)));
        assert_eq!(options.backoff_max(), options.backoff_first());
    }

    #[test]
    fn says_which_arguments_cannot_travel() {
        let keys = std::collections::BTreeMap::from([((1, 2), 3)]);
        let error = Call::<()>::named("add", &keys).into_submission().unwrap_err();
        assert_eq!(error.to_string(), "the arguments of \"add\" do not fit JSON");
    }
}
