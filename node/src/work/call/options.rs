//! What can be said of a call, whoever submits it.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use umbel_protocol::id::{NodeId, TaskGroupId, TaskId};
use umbel_protocol::job::{Labels, Target};
use umbel_protocol::task::{InvalidBatch, Rate, TaskGroup, UniquePolicy, UniqueScope};
use umbel_protocol::time::Wall;

use super::Call;
use crate::work::definition::{set_backoff, set_backoff_list, set_backoff_max, span};

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

    /// Runs it only on nodes that have all of these labels, in place of what was said of it before, also with
    /// `#[umbel::task(select = "...")]`.
    pub fn select<K: AsRef<str>, V: AsRef<str>>(
        mut self,
        labels: impl IntoIterator<Item = (K, V)>,
    ) -> Self {
        let mut selection = Labels::NONE;
        for (key, value) in labels {
            if let Err(why) = selection.insert(key.as_ref(), value.as_ref()) {
                let (what, range) = ("select".to_owned(), format!("labels: {why}"));
                self.invalid.get_or_insert(InvalidBatch::Option { what, range });
            }
        }
        self.particulars.target = Target::Labels(selection);
        self
    }

    /// Runs it only on this node, in place of what was said of it before. While that is away it waits.
    pub fn on_node(mut self, node: NodeId) -> Self {
        self.particulars.target = Target::Node(node);
        self
    }

    /// Makes it one of a group, that was [made](crate::Client::new_group) before and to which more may be added.
    /// A [group that is submitted at once](crate::Client::submit_group) knows how many tasks it has.
    pub fn group(self, id: TaskGroupId) -> Self {
        self.in_group(TaskGroup { id, size: 0 })
    }

    pub(crate) const fn has_group(&self) -> bool {
        self.particulars.group.is_some()
    }

    pub(crate) fn in_group(mut self, group: TaskGroup) -> Self {
        self.particulars.group = Some(group);
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

    /// The longest pause before a retry that a doubling one comes to; 10 minutes, or the first if that is longer,
    /// unless said.
    pub fn backoff_max(mut self, longest: Duration) -> Self {
        set_backoff_max(&mut self.template.options, longest);
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
    /// [`Context::warned`](crate::Context::warned). A command gets SIGTERM then; for a
    /// webhook it means nothing. It must be shorter than the time limit, also one that only the task's declaration says.
    pub fn soft_limit(mut self, limit: Duration) -> Self {
        self.template.options.soft_limit = Some(span(limit));
        self
    }

    /// Gives it up at that time if it does not run then; with [`expires`](Self::expires) as well, at the earlier of
    /// both.
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
    /// ended, whoever submits another gets the handle of that one. See [`unique_until`](Self::unique_until)
    /// and [`if_exists`](Self::if_exists) for other ways. `#[umbel::task(unique_by = "...")]` makes
    /// one of arguments for all calls that say none. Of tasks with a [limit key](Self::limit_key) there is one for
    /// each of those.
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
    pub fn unique_until(mut self, scope: UniqueScope) -> Self {
        self.template.options.unique_scope = Some(scope);
        self
    }

    /// What becomes of it while another with its unique key is there: its caller gets that one, unless
    /// said.
    pub fn if_exists(mut self, policy: UniquePolicy) -> Self {
        self.template.options.unique_policy = Some(policy);
        self
    }

    /// On whose behalf it is, 1 to 256 bytes: of tasks of one queue and priority those of different keys are
    /// served in turn by each owner, whatever each has waiting and whatever their names and the nodes that they
    /// may run on. All that have no key are served as if they had one together.
    /// `#[umbel::task(fair_by = "...")]` makes one of arguments for all calls that say none.
    pub fn fairness_key(mut self, key: impl Into<Box<str>>) -> Self {
        self.particulars.fairness_key = Some(key.into());
        self
    }

    /// How many tasks of its [fairness key](Self::fairness_key) are served for each of one that weighs 1: 1 to
    /// [1,000](umbel_protocol::limits::WEIGHT_MAX). What was said last of a key holds for all that waits,
    /// of each queue and priority.
    pub fn fairness_weight(mut self, weight: u16) -> Self {
        self.particulars.fairness_weight = Some(weight);
        self
    }

    /// Tasks with this key, 1 to 256 bytes, are limited together, whatever their names: see
    /// [`concurrency`](Self::concurrency), [`rate`](Self::rate) and [`exclusive`](Self::exclusive), of which
    /// one must be said. While a task waits for its limit it takes no slot, and keeps no other from one.
    /// `#[umbel::task(limit_by = "...")]` makes one of arguments for all calls that say none.
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

    /// No other task with its limit key is started while it runs. Of several that say so one runs at a time
    /// even if nodes are cut off from each other: a node that cannot reach the owner of its task for 15
    /// seconds, or for as long as [`lost_after`](Self::lost_after) says, ends the run itself (a command's
    /// processes are killed, an async handler is dropped where it waits), and the next one begins some time
    /// after that. A blocking handler must look at [`Context::cancelled`](crate::Context::cancelled), and a
    /// process that is stopped as a whole cannot end anything: let whatever it writes to compare
    /// [tokens](crate::Context::token).
    pub fn exclusive(mut self) -> Self {
        self.template.options.exclusive = Some(true);
        self
    }

    /// How long the node that runs it must not have been heard of before the run is taken to be lost, 5
    /// seconds to a day; as soon as the node is taken to be down unless said.
    pub fn lost_after(mut self, silence: Duration) -> Self {
        self.template.options.lost_after = Some(span(silence));
        self
    }

    /// How long what became of it is kept after it has ended, 1 second to 366 days; an hour unless said. What
    /// says so itself may take as much room as all else that has ended: if there is more, what would go first
    /// goes earlier.
    pub fn retention(mut self, retention: Duration) -> Self {
        self.template.options.retention = Some(span(retention));
        self
    }

    /// What it returns is dropped: whoever waits for it hears that it has succeeded, and its result is `null`, which
    /// only a handle of `()` or of an option takes. It must be no larger than
    /// [any other](umbel_protocol::limits::RESULT_BYTES_MAX) nevertheless.
    pub fn ignore_result(mut self) -> Self {
        self.template.options.ignore_result = Some(true);
        self
    }

    /// Adds a label: a key and a value by which people find it, each 1 to
    /// [64](umbel_protocol::limits::LABEL_BYTES_MAX) of `A-Z a-z 0-9 _ - . : /`, and at most
    /// [32](umbel_protocol::limits::LABELS_MAX) of them. They are shown in lists, and
    /// [passed on](crate::Context::client).
    ///
    /// ```
    /// # use umbel::Call;
    /// let call = Call::<()>::named("bill", &7)
    ///     .label("tenant", "acme")
    ///     .header("request-id", "8f14e45f")
    ///     .display_name("Invoice 2031-7")
    ///     .redact(["iban"]);
    /// ```
    pub fn label(mut self, key: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let said = self.metadata.labels.insert(key.as_ref(), value.as_ref());
        self.note(said.map_err(InvalidBatch::from));
        self
    }

    /// Adds a header: a value that its handler is handed besides the arguments. A name is 1 to
    /// [64](umbel_protocol::limits::HEADER_NAME_BYTES_MAX) of `a-z 0-9 -`, a value printable ASCII; there
    /// are at most [32](umbel_protocol::limits::HEADERS_MAX), which take at most
    /// [4 KiB](umbel_protocol::limits::HEADERS_BYTES_MAX) together. No list shows them; they are
    /// [passed on](crate::Context::client).
    pub fn header(mut self, name: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        let said = self.metadata.headers.insert(name.as_ref(), value.as_ref());
        self.note(said);
        self
    }

    /// What people call it, in place of the name of the task: 1 to
    /// [128](umbel_protocol::limits::DISPLAY_NAME_BYTES_MAX) bytes in one line.
    pub fn display_name(mut self, name: impl Into<Box<str>>) -> Self {
        self.metadata.display_name = Some(name.into());
        self
    }

    /// The trace that it is part of, and the span from within which it is submitted, as the `traceparent` of
    /// [W3C Trace Context](https://www.w3.org/TR/trace-context-2/) has it.
    ///
    /// ```
    /// # use umbel::Call;
    /// let call = Call::<()>::named("bill", &7)
    ///     .traceparent("00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01")
    ///     .tracestate("rojo=00f067aa0ba902b7");
    /// ```
    pub fn traceparent(mut self, parent: impl Into<Box<str>>) -> Self {
        self.traceparent = Some(parent.into());
        self
    }

    /// What the `tracestate` of that has, at most
    /// [512 bytes](umbel_protocol::limits::TRACESTATE_BYTES_MAX). It means nothing without a
    /// [`traceparent`](Self::traceparent).
    pub fn tracestate(mut self, state: impl Into<Box<str>>) -> Self {
        self.tracestate = Some(state.into());
        self
    }

    /// Never shows the arguments and the headers of these names, be they fields of others: not when the task
    /// is shown, nor in errors. `"*"` stands for all. Arguments that are no object, as a text that travels
    /// alone or a list, have no names: whatever is named, none of them is shown. They reach the handler as they are,
    /// and lie so in logs and on disks. What the task's declaration hides is hidden as well. At most
    /// [16](umbel_protocol::limits::REDACT_MAX) names.
    pub fn redact<N: Into<Box<str>>>(mut self, names: impl IntoIterator<Item = N>) -> Self {
        let all = self.template.options.redact.get_or_insert_default();
        all.extend(names.into_iter().map(Into::into));
        self
    }

    fn note(&mut self, said: Result<(), InvalidBatch>) {
        if let (None, Err(invalid)) = (&self.invalid, said) {
            self.invalid = Some(invalid);
        }
    }

    /// The id, which is also the idempotency key. The client draws one if none is set.
    pub fn id(mut self, id: TaskId) -> Self {
        self.id = Some(id);
        self
    }
}

/// `time` as the protocol counts it, as far as that goes.
fn wall(time: SystemTime) -> Wall {
    let since = time.duration_since(UNIX_EPOCH).unwrap_or_default();
    Wall::from_millis(u64::try_from(since.as_millis()).unwrap_or(u64::MAX))
}
