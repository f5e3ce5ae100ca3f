//! Running a program as a task.
//!
//! The program leads a process group of its own. Invariant: a run is over only when no process of
//! that group lives any more, whatever ended it; so a task that has ended can safely be run elsewhere. A
//! process that hangs in the kernel cannot be killed: after a while the run is told to be over all the
//! same, and the log says so.
//! If memory runs out, programs are ended before their node, see [`memory`].

mod group;
mod lines;
mod memory;

use std::fmt;
use std::io::ErrorKind;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::pin::pin;
use std::process::{ExitStatus, Stdio};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use futures_util::future::maybe_done;
use nix::sys::signal::Signal;
use nix::unistd::Pid;
use serde_json::json;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::process::Child;
use umbel_protocol::limits::{CAPTURE_BYTES_MAX, DETAIL_BYTES_MAX, RESULT_BYTES_MAX};
use umbel_protocol::task::{Failure, FailureKind, Outcome, Trace};

use self::group::Group;
use self::lines::Lines;
use super::arguments::Arguments;
use super::context::Context;
use super::definition::Body;
use super::error::chain;
use super::excerpt::{Excerpt, fit};
use super::ledger::{Ledger, marks};
use super::limit::Limit;
use super::process_group;
use super::run::alongside;
use crate::client::PassedOn;

/// The longest `NAME=value` that Linux passes to a program, its final zero included.
const ENV_BYTES_MAX: usize = 128 * 1024;
/// How long the rest of a group may go on, and output be read, after the program itself has ended:
/// the last member of a pipeline needs a moment, a daemon that was left behind does not get more.
const LINGER: Duration = Duration::from_secs(1);
/// How often its outputs are read before all else that goes on around it has a turn: tokio grants a task 128
/// such steps together, and there are two of them.
const READS_AT_ONCE: usize = 16;
/// How much of the end of its output the message of a failure quotes; its detail has more.
const QUOTED_BYTES_MAX: usize = 1024;

/// Makes a program and its arguments of a task's arguments, or says why those do not fit.
pub type Expand = Box<dyn Fn(&Arguments) -> Result<Vec<String>, String> + Send + Sync>;

/// Makes variables of a task's arguments, or says why those do not fit.
pub type Environment =
    Box<dyn Fn(&Arguments) -> Result<Vec<(String, String)>, String> + Send + Sync>;

/// What a command runs.
pub enum Program {
    /// A program and its arguments, made of the task's arguments. No shell sees them.
    Argv(Expand),
    /// A text for `/bin/sh -c`, always the same. The task's arguments are never spliced into it: the
    /// text finds them in its input and its environment.
    Shell(String),
}

/// A task that is a program.
///
/// The program gets the task's arguments as JSON on its standard input and, unless they are longer
/// than the 128 KiB that Linux allows, in `UMBEL_ARGS`; otherwise `UMBEL_ARGS_TOO_LARGE` is `1`.
/// `UMBEL_TASK`, `UMBEL_TASK_ID`, `UMBEL_ATTEMPT` and `UMBEL_TOKEN` say which run it is. If it is said of
/// the task, `UMBEL_DISPLAY_NAME` is what people call it, `UMBEL_TASK_LABELS` its labels as
/// `key=value,key=value`, `UMBEL_HEADER_REQUEST_ID` its header `request-id`, `UMBEL_REDACT` the
/// names of those of its headers that are never shown, separated by commas, `UMBEL_PARENT_ID` and
/// `UMBEL_ROOT_ID` from within which tasks it was submitted, and `TRACEPARENT` and `TRACESTATE` the span
/// that this run is of a trace. The rest of the environment is the node's own, without anything else
/// called so, or `UMBEL_`, and without the secrets of webhooks that its configuration finds there.
///
/// Each line that it prints is told to whoever watches the task, as it is printed. One like
/// `::umbel progress 3/10 thumbnails` says how far it is instead: so much is done, of how much and of what
/// may be left out. All of it is in the output that is kept.
///
/// ```
/// use umbel::work::{Argument, CommandSpec, Program};
///
/// let argv = Program::Argv(Box::new(|args| match args.get("path") {
///     Some(Argument::String(path)) => Ok(vec!["sha256sum".to_owned(), "--".to_owned(), path]),
///     Some(_) | None => Err("it has no path".to_owned()),
/// }));
/// let spec = CommandSpec { cwd: Some("/srv".into()), ..CommandSpec::new(argv) };
/// ```
pub struct CommandSpec {
    /// What is run.
    pub program: Program,
    /// What is added to the environment, made of the task's arguments; wins over what is inherited.
    pub environment: Environment,
    /// Where it is run; nothing means where the node runs.
    pub cwd: Option<PathBuf>,
    /// How much of each of its two outputs is kept: the first and the last half of it. At most
    /// [`CAPTURE_BYTES_MAX`].
    pub capture_bytes: usize,
    /// How much address space each of its processes may take, in bytes; nothing means that there is no
    /// limit. What is mapped counts, whether it is used or not. One that wants more is refused it, and fails
    /// in its own way. Less than the program itself needs to start, some MiB, makes it always fail.
    pub memory_bytes: Option<u64>,
    /// How long its processes may go on after SIGTERM, which they get when the run is cancelled or its time is
    /// over; those that do get SIGKILL. At most [`GRACE_MAX`](Self::GRACE_MAX), and
    /// [`GRACE_DEFAULT`](Self::GRACE_DEFAULT) if nothing is said. A run that must not overlap with others has
    /// less if the owner of its task is not heard of: then it is killed before another may begin.
    pub grace: Option<Duration>,
}

impl fmt::Debug for CommandSpec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("CommandSpec")
            .field("program", &self.program)
            .field("cwd", &self.cwd)
            .field("capture_bytes", &self.capture_bytes)
            .field("memory_bytes", &self.memory_bytes)
            .field("grace", &self.grace)
            .finish_non_exhaustive()
    }
}

impl CommandSpec {
    /// How long the processes of a command may go on after SIGTERM that says nothing of it.
    pub const GRACE_DEFAULT: Duration = Duration::from_secs(5);
    /// The most that it can say: as long a node that is told to stop may have to wait for it.
    pub const GRACE_MAX: Duration = Duration::from_secs(300);

    /// `program` with nothing added to its environment, keeping as much output as allowed, its memory not
    /// limited.
    #[must_use]
    pub fn new(program: Program) -> Self {
        let environment: Environment = Box::new(|_| Ok(Vec::new()));
        let capture_bytes = CAPTURE_BYTES_MAX;
        Self { program, environment, cwd: None, capture_bytes, memory_bytes: None, grace: None }
    }
}

impl fmt::Debug for Program {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Argv(_) => f.write_str("Argv"),
            Self::Shell(text) => f.debug_tuple("Shell").field(text).finish(),
        }
    }
}

/// What made a run come to its end.
enum End {
    Exited(ExitStatus),
    Cancelled,
    TimedOut,
}

/// Runs the command that `context` is about.
pub(super) async fn run(
    context: Context,
    args: Bytes,
    ledger: Arc<Ledger>,
    limit: Limit,
    grace: Duration,
) -> Outcome {
    let definition = Arc::clone(&context.definition);
    let Body::Command(spec) = &definition.body else {
        unreachable!("only commands are run as one")
    };
    let (mut child, mut group) = match start(spec, &context, &args, &ledger) {
        Ok(started) => started,
        Err(failure) => return Outcome::Failed(failure),
    };
    let kept = spec.capture_bytes.min(CAPTURE_BYTES_MAX);
    let mut printed = Printed { kept, stdout: Excerpt::new(kept), stderr: Excerpt::new(kept) };
    let ended = {
        let (stdin, out, err) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let feed = async move {
            if let Some(mut stdin) = stdin {
                // A program need not read its input; one that is gone has failed for other reasons.
                let _ = stdin.write_all(&args).await;
            }
        };
        let Printed { stdout, stderr, .. } = &mut printed;
        // Of whom nothing is kept, nothing is shown.
        let speaker = (kept > 0).then_some(&context);
        let lines = |is_error| Lines::new(speaker, is_error);
        let pipes = async {
            let out = capture(out, stdout, lines(false));
            tokio::join!(feed, out, capture(err, stderr, lines(true)))
        };
        // Polled on after its end, again and again, and stays ready.
        let mut pipes = pin!(maybe_done(pipes));
        let ended = alongside(&mut pipes, until_ended(&mut child, group.id, &context)).await;
        match ended {
            Ok(End::Exited(_)) => {
                let rest = async { tokio::join!(&mut pipes, process_group::gone(group.id)) };
                let over = async {
                    tokio::select! {
                        () = context.time_over() => {}
                        () = context.cancel.cancelled() => {}
                    }
                };
                linger(rest, over).await;
                if !process_group::is_gone(group.id) {
                    alongside(&mut pipes, group.stop(&mut child, grace)).await;
                }
            }
            Ok(End::Cancelled | End::TimedOut) | Err(_) => {
                alongside(&mut pipes, group.stop(&mut child, grace)).await;
                // What it said last is still in the pipes, unless someone else holds them.
                let _ = tokio::time::timeout(LINGER, &mut pipes).await;
            }
        }
        ended
    };
    group.close();
    match ended {
        Ok(End::Exited(status)) if status.success() => Outcome::of_result(printed.success()),
        Ok(End::Exited(status)) => {
            let how = how(status, spec.memory_bytes);
            Outcome::Failed(printed.failure(FailureKind::Error, how, Some(status)))
        }
        Ok(End::Cancelled) => Outcome::Cancelled,
        Ok(End::TimedOut) => {
            let failure = limit.exceeded();
            // It is gone: this only asks how.
            let status = child.try_wait().ok().flatten();
            Outcome::Failed(printed.failure(failure.kind, failure.message, status))
        }
        Err(error) => Outcome::Failed(Failure::new(
            FailureKind::Error,
            format!("cannot wait for the program: {error}"),
        )),
    }
}

/// Waits for what a program has left behind: not for long, and not when its run is `over`.
async fn linger<T>(rest: impl Future<Output = T>, over: impl Future<Output = ()>) {
    tokio::select! {
        biased;
        _ = rest => {}
        () = over => {}
        () = tokio::time::sleep(LINGER) => {}
    }
}

/// Waits until the program has ended by itself, or is to be ended. At its soft limit it is asked to end;
/// how it does so is then for itself to say.
async fn until_ended(child: &mut Child, group: Pid, context: &Context) -> std::io::Result<End> {
    let ended = async {
        tokio::select! {
            biased;
            status = child.wait() => status.map(End::Exited),
            () = context.time_over() => Ok(End::TimedOut),
            () = context.cancel.cancelled() => Ok(End::Cancelled),
        }
    };
    let warn = async {
        context.warned().await;
        process_group::signal(group, Signal::SIGTERM);
        std::future::pending().await
    };
    let mark = async {
        tokio::time::sleep(memory::SETTLED_AFTER).await;
        // There may be thousands of processes to look through.
        drop(tokio::task::spawn_blocking(move || memory::mark_group(group)).await);
        std::future::pending().await
    };
    tokio::select! {
        biased;
        ended = ended => ended,
        never = warn => never,
        never = mark => never,
    }
}

/// Reads `pipe` to its end: a program is never held up because nobody wants more of its output.
async fn capture(pipe: Option<impl AsyncRead + Unpin>, into: &mut Excerpt, mut lines: Lines<'_>) {
    let Some(mut pipe) = pipe else { return };
    let mut buffer = vec![0; 16 * 1024];
    let mut reads = 0_usize;
    while let Ok(read @ 1..) = pipe.read(&mut buffer).await {
        into.push(&buffer[..read]);
        lines.push(&buffer[..read]);
        reads += 1;
        // One that prints faster than this reads would leave its time limit no turn.
        if reads.is_multiple_of(READS_AT_ONCE) {
            tokio::task::yield_now().await;
        }
    }
    lines.end();
}

fn start(
    spec: &CommandSpec,
    context: &Context,
    args: &[u8],
    ledger: &Ledger,
) -> Result<(Child, Group), Failure> {
    let bad = |message: String| Failure::new(FailureKind::BadArguments, message);
    let value = Arguments::parse(args)
        .map_err(|error| bad(format!("the arguments are not JSON: {error}")))?;
    let argv = match &spec.program {
        Program::Argv(expand) => expand(&value).map_err(bad)?,
        Program::Shell(text) => vec!["/bin/sh".to_owned(), "-c".to_owned(), text.clone()],
    };
    let Some(program) = argv.first() else {
        return Err(bad("the command line is empty".to_owned()));
    };
    // The program may be named by an argument.
    let named = if context.redacts() { "its program".to_owned() } else { format!("{program:?}") };
    let added = (spec.environment)(&value).map_err(bad)?;
    let argv = match spec.memory_bytes {
        Some(bytes) => {
            let path = added.iter().rev().find(|(name, _)| name == "PATH");
            let path = path.map(|(_, value)| value.clone()).or_else(|| std::env::var("PATH").ok());
            memory::find(program, spec.cwd.as_deref(), path.as_deref())
                .map_err(|error| not_started(&error, &named, spec))?;
            memory::limited(argv, bytes)
        }
        None => argv,
    };
    let mut words = argv.into_iter();
    let mut command = tokio::process::Command::new(words.next().unwrap_or_default());
    command.args(words).process_group(0);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    if let Some(cwd) = &spec.cwd {
        command.current_dir(cwd);
    }
    set_environment(&mut command, added, context, args);

    let remembered = |error| Failure::new(FailureKind::Error, chain(&error));
    let entry = ledger.enter(context.id, context.token).map_err(remembered)?;
    let spawned = command.spawn().map_err(|error| not_started(&error, &named, spec));
    // A child that was not waited for has a number, and Linux has none beyond 2^22.
    let leader = |child: &Child| child.id().and_then(|pid| i32::try_from(pid).ok());
    match spawned.map(|child| (leader(&child), child)) {
        Ok((Some(leader), child)) => {
            // From here on whatever goes wrong kills the group.
            let mut group = Group::new(Pid::from_raw(leader), entry);
            memory::mark(group.id);
            group.remember().map_err(remembered)?;
            Ok((child, group))
        }
        Ok((None, _)) => unreachable!("a program that was just started has a number"),
        Err(failure) => {
            entry.close();
            Err(failure)
        }
    }
}

fn set_environment(
    command: &mut tokio::process::Command,
    added: Vec<(String, String)>,
    context: &Context,
    args: &[u8],
) {
    // The node's own settings, secrets among them, are not the program's business.
    for (name, _) in std::env::vars_os() {
        let is_traced = name == "TRACEPARENT" || name == "TRACESTATE";
        if is_traced || name.as_encoded_bytes().starts_with(b"UMBEL_") {
            command.env_remove(name);
        }
    }
    for name in context.host.withheld.all() {
        command.env_remove(name);
    }
    command.envs(added);
    for (name, value) in said(context) {
        command.env(name, value);
    }
    for mark in marks(context.id, context.token) {
        if let Some((name, value)) = mark.split_once('=') {
            command.env(name, value);
        }
    }
    command.env("UMBEL_TASK", context.name()).env("UMBEL_ATTEMPT", context.attempt.to_string());
    match std::str::from_utf8(args) {
        Ok(text) if "UMBEL_ARGS=\0".len() + text.len() <= ENV_BYTES_MAX => {
            command.env("UMBEL_ARGS", text);
        }
        Ok(_) | Err(_) => {
            command.env("UMBEL_ARGS_TOO_LARGE", "1");
        }
    }
}

/// Variables that tell what is said of the task besides how it is treated.
fn said(context: &Context) -> Vec<(String, String)> {
    let Some(metadata) = context.metadata() else { return Vec::new() };
    let mut said = Vec::new();
    let mut add = |name: &str, value: Option<String>| {
        said.extend(value.map(|value| (name.to_owned(), value)));
    };
    add("UMBEL_DISPLAY_NAME", context.display_name().map(str::to_owned));
    add("UMBEL_TASK_LABELS", (!metadata.labels.is_empty()).then(|| metadata.labels.to_string()));
    add("UMBEL_PARENT_ID", metadata.parent.map(|id| id.to_string()));
    add("UMBEL_ROOT_ID", metadata.root.map(|id| id.to_string()));
    add("TRACEPARENT", context.trace().map(Trace::traceparent));
    add("TRACESTATE", context.trace().and_then(Trace::tracestate).map(str::to_owned));
    for (name, value) in context.headers() {
        let name = name.to_ascii_uppercase().replace('-', "_");
        add(&format!("UMBEL_HEADER_{name}"), Some(value.to_owned()));
    }
    // So that what the program submits hides them as well.
    let redact = PassedOn::of(context.id, Some(metadata), None, &context.redact).redact;
    add("UMBEL_REDACT", (!redact.is_empty()).then(|| redact.join(",")));
    said
}

/// Why `program` could not be started. What only another configuration can mend is permanent.
fn not_started(error: &std::io::Error, program: &str, spec: &CommandSpec) -> Failure {
    let cwd = spec.cwd.as_deref().filter(|cwd| !cwd.is_dir());
    let (kind, why) = match (error.kind(), cwd) {
        (
            ErrorKind::NotFound | ErrorKind::PermissionDenied | ErrorKind::NotADirectory,
            Some(cwd),
        ) => (FailureKind::Permanent, format!("its directory {} cannot be entered", cwd.display())),
        (ErrorKind::NotFound, None) => (FailureKind::Permanent, "there is no such program".into()),
        (ErrorKind::PermissionDenied, None) => {
            (FailureKind::Permanent, "it is not executable".into())
        }
        (ErrorKind::ExecutableFileBusy, _) => (FailureKind::Error, error.to_string()),
        (ErrorKind::InvalidInput, _) => {
            (FailureKind::BadArguments, "an argument holds a zero byte".into())
        }
        (ErrorKind::ArgumentListTooLong, _) => (
            FailureKind::BadArguments,
            "the arguments are too long for a command line; read them from standard input".into(),
        ),
        _ if error.raw_os_error() == Some(nix::libc::ENOEXEC) => {
            (FailureKind::Permanent, "it is not a program of this system".into())
        }
        _ => (FailureKind::Error, error.to_string()),
    };
    Failure::new(kind, format!("cannot start {program}: {why}"))
}

/// How a program ended that did not end well and was not made to, in words. `memory_bytes` is the limit that
/// it had.
fn how(status: ExitStatus, memory_bytes: Option<u64>) -> String {
    let how = match (status.code(), signal_name(status)) {
        (Some(code), _) => format!("exited with code {code}"),
        (None, Some(name)) => format!("killed by {name}"),
        (None, None) => format!("ended with {status}"),
    };
    how + memory::suspicion(status, memory_bytes).as_deref().unwrap_or_default()
}

/// The signal that ended it: those of real time have no names, only numbers.
fn signal_name(status: ExitStatus) -> Option<String> {
    let number = status.signal()?;
    Some(Signal::try_from(number).map_or_else(|_| number.to_string(), |signal| signal.to_string()))
}

/// What a program has printed.
struct Printed {
    /// How much of each output may be told.
    kept: usize,
    stdout: Excerpt,
    stderr: Excerpt,
}

impl Printed {
    fn success(&self) -> Bytes {
        fit(RESULT_BYTES_MAX, self.kept, |limit| {
            json!({
                "exit_code": 0,
                "stdout": self.stdout.text(limit),
                "stderr": self.stderr.text(limit),
            })
        })
    }

    /// A failure that says `how`, quotes what the program said last (many complain on standard
    /// output), and tells the same as data, in the shape of a success.
    fn failure(&self, kind: FailureKind, how: String, status: Option<ExitStatus>) -> Failure {
        let said = [&self.stderr, &self.stdout].map(|output| output.last(QUOTED_BYTES_MAX));
        let failure = match said.into_iter().find(|said| !said.is_empty()) {
            Some(said) => Failure::new(kind, format!("{how}: {said}")),
            None => Failure::new(kind, how),
        };
        let signal = status.and_then(signal_name);
        failure.with_detail(fit(DETAIL_BYTES_MAX, self.kept, |limit| {
            let mut detail = json!({ "exit_code": status.and_then(|status| status.code()) });
            if let Some(name) = &signal {
                detail["signal"] = name.as_str().into();
            }
            detail["stdout"] = self.stdout.text(limit).into();
            detail["stderr"] = self.stderr.text(limit).into();
            detail
        }))
    }
}

#[cfg(test)]
mod tests;
