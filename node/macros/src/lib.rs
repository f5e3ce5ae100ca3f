//! The `#[task]` attribute.
//!
//! It leaves the function alone and adds, under the function's name, a type that stands for the
//! task. Decides nothing at run time: all it writes is calls of `umbel::work::declare`.

mod expand;
mod keys;
mod labels;
mod limits;
mod options;
mod signature;
mod unique;

use proc_macro::TokenStream;

/// Makes a task of a function.
///
/// The function stays what it is, so tests call it as ever. Beside it stands a type of the same name
/// that is the task:
///
/// - `add::submit(&client, ..)` is a [`Submit`]: awaited, the task is submitted, and its [`Handle`] is
///   there, which knows the type that it returns;
/// - `add::run(&client, ..)` is a [`Run`]: awaited, it comes to what the task returned;
/// - `add::call(..)` is a [`Call`], for a client to submit, alone or with others;
/// - `registry.task::<add>()` registers it where the linker might miss it.
///
/// ```text
/// #[umbel::task(queue = "sums", attempts = 5, backoff = "2s", time_limit = "30s")]
/// async fn add(a: u64, b: u64) -> Result<u64, umbel::TaskError> {
///     Ok(a + b)
/// }
///
/// assert_eq!(add(1, 2).await?, 3); // the function, here and now
/// let sum = add::submit(&client, 1, 2).priority(7).await?; // the task, somewhere, some time
/// assert_eq!(sum.result().await?, 3);
/// ```
///
/// # Arguments
/// They travel as JSON. One argument travels as itself; two or more travel as an object with their
/// names, `{"a": 1, "b": 2}`; none as `null`. The return type is a `Result`, under whatever name; any
/// error will do.
///
/// # What does not travel
/// Before its arguments a function may take up to six others, in any order, that are found where it
/// runs and that `submit`, `run` and `call` do not ask for:
///
/// - a type called `Context`: the [`Context`] of the run;
/// - a type called `State`: a [`State`] that the node was given;
/// - any type that implements [`FromContext`], if the parameter has the attribute `#[from_context]`.
///
/// ```text
/// #[umbel::task]
/// async fn send(ctx: Context, smtp: State<Smtp>, #[from_context] who: Tenant, to: String) -> Result<..>
///
/// send::submit(&client, "you@example.net".to_owned()).await?;
/// ```
///
/// A type of yours that is called `State` or `Context` and is to travel has to be named otherwise, by
/// an alias say.
///
/// # What is never shown
/// An argument with the attribute `#[redact]` reaches the handler as it is, and is shown nowhere else: not
/// by `umbel task show`, nor in what is said of arguments that do not fit. `redact = [...]` does the same
/// for arguments, fields of them and headers by their names, however deep they lie. An argument that travels
/// alone is shown without the fields of these names if it is an object, and else not at all: it has no names.
/// This is about what people see: arguments are not encrypted in logs or on disks.
///
/// ```text
/// #[umbel::task]
/// async fn login(user: String, #[redact] password: String) -> Result<..>
/// ```
///
/// # Submitting from within a task
/// `submit` and `run` take the [`Context`] of a run as well as a client: then the task is a child of the one
/// that runs, and takes over its labels, its headers and its trace.
///
/// # Options
/// | option | meaning | unless given |
/// |---|---|---|
/// | `name = "..."` | the task name | the name of the function |
/// | `queue = "..."` | the queue of calls that name none | `default` |
/// | `attempts = n` | how often it may fail before it is dead, 1 to 1000; the first one counts, too. Or `retries = n`, which is one less | 3 |
/// | `backoff = "1s"` | pause before the first retry; doubles with each failure | 1 s |
/// | `backoff_max = "10m"` | the longest pause that a doubling one comes to | 10 m, or the first if that is longer |
/// | `backoff_list = ["1s", "5m"]` | the pauses before its retries one by one; the last holds for all that follow | |
/// | `time_limit = "30s"` | how long one run may take; or `timeout = "30s"` | no limit |
/// | `soft_limit = "25s"` | after how long a run is told that its time will soon be over | never |
/// | `expires = "10m"` | how long after it may first start it is given up if it does not run then | never |
/// | `deadline = "1h"` | how long after it may first start it must have ended, with all retries | none |
/// | `crashes = n` | how often it may take its node with it before it is dead, 1 to 16 | 3 |
/// | `at_most_once` | it is never started twice, whatever happens | |
/// | `priority = n` | 0 to 9, higher first | 0 |
/// | `unique_by = "..."` | the arguments, separated by commas, of which its [key](#one-task-at-a-time) is made | it has none |
/// | `unique_until = "..."` | how long it keeps others with its key out: until it is `started` or `finished`, or a duration at the least | `finished` |
/// | `if_exists = "..."` | what becomes of another one meanwhile: its caller gets the `existing` one, it takes the place of that (`replace`), or it is refused (`refuse`) | `existing` |
/// | `limit_by = "..."` | the arguments, separated by commas, of which its [limit key](#limits) is made | it has none |
/// | `concurrency = n` | how many tasks with its limit key may run at once when it starts, 1 to 10,000, it included | any number |
/// | `rate = "100/s"` | how many tasks with its limit key that say a rate may start in how long | any number |
/// | `exclusive` | no other task with its limit key is started while it runs; of several that say so one runs at a time even if nodes are cut off from each other | |
/// | `lost_after = "15s"` | how long the node that runs it must not have been heard of before the run is taken to be lost, 5 s to 1 day | as soon as the node is taken to be down; 15 s if `exclusive` |
/// | `retention = "7d"` | how long what became of it is kept after it has ended, 1 s to 366 days | an hour |
/// | `ignore_result` | what it returns is dropped: its handle is one of `()`, whatever the function returns | |
/// | `resource = "gpu"` | what each run takes one of, in place of a slot of its kind or queue; `cluster.toml` says how many a node has | none |
/// | `fair_by = "..."` | the arguments, separated by commas, of which the key is made of those on [whose behalf](#turns) it is | it has none |
/// | `select = "role=db, zone=a"` | the [labels](#where-it-runs) that a node must have to run it, all of them | any node |
/// | `labels = "team=billing"` | the labels by which people find its tasks | none |
/// | `display_name = "..."` | what people call it, 1 to 128 bytes in one line | its name |
/// | `redact = ["password"]` | names of arguments, and of fields of them, that are never shown | |
/// | `blocking` | the function is not async and runs on a thread of its own | |
///
/// Durations are numbers with units, as in `500ms`, `30s`, `1h30m`, `2d`. A rate is how many in how long, as
/// in `100/s`, `20/min`, `5/h`, `1000/d` or `10/30s`: 1 to 10,000 in 1 s to 366 days. Labels are up to 32 keys
/// with their values, separated by commas, each 1 to 64 of `A-Z a-z 0-9 _ - . : /`. Whatever is out of range,
/// or contradicts something else, does not compile.
///
/// # One task at a time
/// Of all tasks of a name with the same key there is one at a time. `unique_by` names the arguments that
/// make the key, so that all of this program that submit it agree:
///
/// ```text
/// #[umbel::task(queue = "mail", unique_by = "user_id, month", unique_until = "1h")]
/// async fn send_statement(user_id: u64, month: String, copies: u8) -> Result<..>
///
/// let first = send_statement::submit(&client, 7, "2030-01".to_owned(), 1).await?;
/// let second = send_statement::submit(&client, 7, "2030-01".to_owned(), 2).await?;
/// assert_eq!(first.id(), second.id()); // the second was not made
/// ```
///
/// A call that says [`unique`] itself has that key instead. Where there is a [limit key](#limits), too, only
/// tasks with the same one are compared. What is submitted by its name alone, by another program say, has the
/// key that is said there, or none.
///
/// The key is the value of the argument: a string as it is, anything else as JSON, `7` say. Of several
/// arguments it is their list in JSON, `[7,"2030-01"]`. A string is written in quotation marks, as in JSON,
/// where it could be taken for something else: if it is empty, `null`, or begins with a quotation mark. A
/// key of more than 256 bytes is its digest instead, `sha256:` and 64 hexadecimal digits.
///
/// # Limits
/// Tasks with the same limit key are limited together, whatever their names. `limit_by` names the arguments
/// that make it, [in the same way](#one-task-at-a-time); at least one of `concurrency`, `rate` and `exclusive`
/// says how. While a task waits for its limit it takes no slot, and keeps no other from one.
///
/// ```text
/// #[umbel::task(limit_by = "account", concurrency = 2, rate = "10/min")]
/// async fn import(account: u64, file: String) -> Result<..>
///
/// #[umbel::task(limit_by = "account", exclusive, lost_after = "30s")]
/// async fn close(account: u64) -> Result<..>
/// ```
///
/// No more than two imports of account 7 run at once, no more than ten start in a minute, and while its
/// `close` runs none does. That both keys are `7` is what makes them one: a task of users that has the key `7`
/// is limited with them, too. Where that is not meant, have the calls say another [`limit_key`], which counts in
/// place of this one.
///
/// What is submitted by its name alone has no key unless it says [`limit_key`] itself, and is refused
/// without. For limits of all tasks of a name, or of a queue, there are rules. Nor have the ticks of
/// a job a key: how many of them run at once is for its `overlap` to say. A client is refused a job of such a
/// task; one in a file runs it without these limits.
///
/// # Turns
/// Of tasks of one queue and priority those of different fairness keys are served in turn, whatever their
/// names and whatever each has waiting. `fair_by` names the arguments that make it,
/// [in the same way](#one-task-at-a-time). How much one of them counts is for its calls to say, with
/// [`fairness_weight`].
///
/// ```text
/// #[umbel::task(fair_by = "tenant")]
/// async fn export(tenant: String, table: String) -> Result<..>
/// ```
///
/// # Where it runs
/// A task with `select` runs only on nodes that have all of these labels, and waits while there is none. A
/// call that says [`select`] or [`on_node`] itself runs there instead. What is submitted by its name alone runs
/// where that says, or anywhere, and the ticks of a job where the job says.
///
/// [`Call`]: https://docs.rs/umbel/latest/umbel/struct.Call.html
/// [`Context`]: https://docs.rs/umbel/latest/umbel/struct.Context.html
/// [`FromContext`]: https://docs.rs/umbel/latest/umbel/trait.FromContext.html
/// [`fairness_weight`]: https://docs.rs/umbel/latest/umbel/struct.Call.html#method.fairness_weight
/// [`Handle`]: https://docs.rs/umbel/latest/umbel/struct.Handle.html
/// [`limit_key`]: https://docs.rs/umbel/latest/umbel/struct.Call.html#method.limit_key
/// [`on_node`]: https://docs.rs/umbel/latest/umbel/struct.Call.html#method.on_node
/// [`Run`]: https://docs.rs/umbel/latest/umbel/client/type.Run.html
/// [`select`]: https://docs.rs/umbel/latest/umbel/struct.Call.html#method.select
/// [`State`]: https://docs.rs/umbel/latest/umbel/struct.State.html
/// [`unique`]: https://docs.rs/umbel/latest/umbel/struct.Call.html#method.unique
/// [`Submit`]: https://docs.rs/umbel/latest/umbel/client/type.Submit.html
#[proc_macro_attribute]
pub fn task(options: TokenStream, function: TokenStream) -> TokenStream {
    expand::task(options.into(), function.into())
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
