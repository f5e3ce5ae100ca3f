//! What keeps a program that eats memory from taking its node with it.
//!
//! When the memory of a host runs out the kernel ends the process that stands out most: programs are
//! [marked](mark) so that they do, not their node. What a process may take at all is limited by a shell,
//! which then becomes the program: only what happens in the new process, before the program does, holds from
//! its first instruction on, and to do that from here takes unsafe code. The mark is worth less than that, and
//! is made from outside, right after the start.
//!
//! Absent: a limit on what all processes of a run take together. That takes a control group, which is for
//! whoever starts the node to set.

use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::{Path, PathBuf};
use std::process::ExitStatus;
use std::time::Duration;

use nix::sys::resource::{Resource, getrlimit};
use nix::sys::signal::Signal;
use nix::unistd::{AccessFlags, Pid, access};

use crate::work::process_group;

/// How much more than its node a program stands out, in thousandths of the memory of the host: as if it
/// took half of it besides what it does take. With all of it, a small program that lasts would be ended before
/// a large one of someone else that leaks.
const SOONER: i32 = 500;
/// The most that the kernel takes for a mark.
const MARK_MAX: i32 = 1000;
/// When a group is marked once more: what a program has started before it had a mark itself has none.
/// By then it has been marked, however busy the host is, and whatever it starts later inherits that.
pub(super) const SETTLED_AFTER: Duration = Duration::from_secs(1);
/// What a shell does that becomes a limited program: `$1` are KiB, the rest is the command line.
const LIMIT: &str = r#"ulimit -v "$1" && shift && exec "$@""#;
/// Where programs are looked for if the environment does not say so.
const PATH_DEFAULT: &str = "/bin:/usr/bin";

/// Has the kernel end the process `leader` before this one, if memory runs out. That it cannot be is no
/// error: where there is no `/proc`, the kernel decides by itself.
pub(super) fn mark(leader: Pid) {
    if let Some(wanted) = wanted() {
        raise(leader.as_raw(), wanted);
    }
}

/// Does so with all processes of `group`. Looks at every process of the host.
pub(super) fn mark_group(group: Pid) {
    let Some(wanted) = wanted() else { return };
    let living = process_group::living().unwrap_or_default();
    for process in living.iter().filter(|process| process.group == group.as_raw()) {
        raise(process.pid, wanted);
    }
}

/// The mark of a program of this node.
fn wanted() -> Option<i32> {
    Some((marked("self")? + SOONER).min(MARK_MAX))
}

fn marked(process: &str) -> Option<i32> {
    std::fs::read_to_string(format!("/proc/{process}/oom_score_adj")).ok()?.trim().parse().ok()
}

fn raise(pid: i32, wanted: i32) {
    // One that wants to stand out even more may.
    if marked(&pid.to_string()).is_none_or(|mark| mark >= wanted) {
        return;
    }
    if let Err(error) = std::fs::write(format!("/proc/{pid}/oom_score_adj"), wanted.to_string()) {
        tracing::debug!(pid, %error, "the kernel is not told to end a program before its node");
    }
}

/// The command line that runs `argv` with at most `bytes` of address space for each of its processes.
pub(super) fn limited(argv: Vec<String>, bytes: u64) -> Vec<String> {
    // A shell refuses to go beyond what holds for the node itself.
    let most = getrlimit(Resource::RLIMIT_AS).map_or(u64::MAX, |(_, hard)| hard);
    let kibibytes = bytes.min(most) / 1024;
    let shell = ["/bin/sh", "-c", LIMIT, "sh"].map(str::to_owned);
    shell.into_iter().chain([kibibytes.to_string()]).chain(argv).collect()
}

/// Whether `program` can be started in `cwd`, looked for in the directories of `path`.
///
/// # Errors
/// As its start would fail. A shell that cannot become a program says so with an exit code, which might
/// as well be that of the program.
pub(super) fn find(program: &str, cwd: Option<&Path>, path: Option<&str>) -> io::Result<()> {
    let place = |relative: &Path| cwd.map_or_else(|| relative.to_owned(), |cwd| cwd.join(relative));
    if program.contains('/') {
        return executable(&place(Path::new(program)));
    }
    let mut found = Err(io::ErrorKind::NotFound.into());
    for dir in path.unwrap_or(PATH_DEFAULT).split(':') {
        match executable(&place(&PathBuf::from(dir).join(program))) {
            Ok(()) => return Ok(()),
            // Another directory may have one that is.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => found = Err(error),
            Err(_) => {}
        }
    }
    found
}

fn executable(path: &Path) -> io::Result<()> {
    access(path, AccessFlags::X_OK)?;
    if path.is_dir() { Err(io::ErrorKind::PermissionDenied.into()) } else { Ok(()) }
}

/// What memory may have to do with it that a program ended so, unasked: to be added to what is told of it.
/// `limit` is what each of its processes may take, in bytes.
pub(super) fn suspicion(status: ExitStatus, limit: Option<u64>) -> Option<String> {
    const RUN_OUT: &str = "the system may have run out of memory";
    let killed = Signal::SIGKILL as i32;
    if status.signal() == Some(killed) {
        return Some(format!(", which umbel has not sent; {RUN_OUT}"));
    }
    if status.code() == Some(SHELL_SIGNALS + killed) {
        return Some(format!(", as a shell does if SIGKILL has ended what it ran; {RUN_OUT}"));
    }
    let signal = Signal::try_from(status.signal()?).ok()?;
    let gave_up = matches!(
        signal,
        Signal::SIGABRT | Signal::SIGBUS | Signal::SIGILL | Signal::SIGSEGV | Signal::SIGTRAP
    );
    // Those are the ways in which programs end that were refused memory and did not expect that.
    limit
        .filter(|_| gave_up)
        .map(|bytes| format!("; it may take no more than {bytes} bytes of memory"))
}

/// What shells add to the number of a signal, to make an exit code of it.
const SHELL_SIGNALS: i32 = 128;
