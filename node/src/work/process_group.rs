//! Process groups as the kernel knows them: who is in one, and whether anybody is.
//!
//! The number of a group is not given to another process while the group has a member, not even
//! one that is dead and not yet waited for. Everything here builds on that.

use std::path::Path;
use std::time::Duration;

use nix::errno::Errno;
use nix::sys::signal::{Signal, killpg};
use nix::sys::wait::{WaitPidFlag, waitpid};
use nix::unistd::Pid;

/// How often a group is asked whether it is gone, at first and at the most.
const POLL_FIRST: Duration = Duration::from_millis(1);
const POLL_MAX: Duration = Duration::from_millis(50);
/// When to say that a group does not go away.
const STUCK_AFTER: Duration = Duration::from_secs(10);
/// How long a group that was killed is waited for. A process with much memory may need seconds; one that
/// hangs in the kernel, on a disk or a network that does not answer, may never go.
const KILLED_WAIT: Duration = Duration::from_secs(30);

/// What `/proc` says about one process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Process {
    pub(super) pid: i32,
    pub(super) group: i32,
    /// When it started, in the kernel's ticks since boot.
    pub(super) start: u64,
    is_dead: bool,
}

/// What `/proc` says about `pid`.
pub(super) fn process(pid: i32) -> Option<Process> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    parse(pid, &stat)
}

fn parse(pid: i32, stat: &str) -> Option<Process> {
    // The second field is the program's name in parentheses and may hold anything, these included.
    let (_, fields) = stat.rsplit_once(") ")?;
    let mut fields = fields.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    let start = fields.nth(16)?.parse().ok()?;
    Some(Process { pid, group, start, is_dead: matches!(state, "Z" | "X" | "x") })
}

/// All living processes, or nothing where there is no `/proc`.
pub(super) fn living() -> Option<Vec<Process>> {
    let entries = Path::new("/proc").read_dir().ok()?;
    let pids = entries.filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok());
    Some(pids.filter_map(process).filter(|process| !process.is_dead).collect())
}

/// Whether the environment with which `pid` was started holds all of `marks`, each `NAME=value`.
pub(super) fn has_marks(pid: i32, marks: &[&str]) -> bool {
    let Ok(environ) = std::fs::read(format!("/proc/{pid}/environ")) else { return false };
    marks.iter().all(|mark| environ.split(|byte| *byte == 0).any(|var| var == mark.as_bytes()))
}

/// Whether the group has no living member left. The dead do not count: their parent may be a
/// process that never waits for them.
pub(super) fn is_gone(group: Pid) -> bool {
    match killpg(group, None) {
        Err(Errno::ESRCH) => true,
        Ok(()) | Err(_) => living()
            .is_some_and(|living| living.iter().all(|process| process.group != group.as_raw())),
    }
}

/// Sends `signal` to every member of the group. That there is none left is no error.
pub(super) fn signal(group: Pid, signal: Signal) {
    match killpg(group, signal) {
        Ok(()) | Err(Errno::ESRCH) => {}
        Err(error) => tracing::warn!(%group, %signal, %error, "cannot signal a process group"),
    }
}

/// Ends when the group has no living member left. Its leader must have been waited for.
pub(super) async fn gone(group: Pid) {
    let mut pause = POLL_FIRST;
    let mut waited = Duration::ZERO;
    loop {
        // Where this process is the first of its container, orphans of the group are its children.
        while waitpid(Pid::from_raw(-group.as_raw()), Some(WaitPidFlag::WNOHANG))
            .is_ok_and(|status| status.pid().is_some())
        {}
        if is_gone(group) {
            return;
        }
        tokio::time::sleep(pause).await;
        let before = waited;
        waited += pause;
        if before < STUCK_AFTER && waited >= STUCK_AFTER {
            tracing::warn!(%group, "processes of a run do not go away");
        }
        pause = (pause * 2).min(POLL_MAX);
    }
}

/// Waits for `gone`, that the group, which was killed, has no living member left; but not for ever.
/// Whether that was so.
pub(super) async fn killed(group: Pid, gone: impl Future<Output = ()>) -> bool {
    killed_within(KILLED_WAIT, group, gone).await
}

async fn killed_within(wait: Duration, group: Pid, gone: impl Future<Output = ()>) -> bool {
    let is_gone = tokio::time::timeout(wait, gone).await.is_ok();
    if !is_gone {
        tracing::error!(
            %group,
            waited = ?wait,
            "killed processes of a run do not go away: that it is over is told all the same"
        );
    }
    is_gone
}

/// Ends when the group has no living member left, whoever is to wait for the dead.
pub(super) async fn lifeless(group: Pid) {
    let mut pause = POLL_FIRST;
    while !is_gone(group) {
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(POLL_MAX);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::log_capture::LogCapture;

    #[tokio::test]
    async fn a_group_that_cannot_be_killed_is_told_and_not_waited_for_for_ever() {
        let log = LogCapture::begin();
        // Of no process: no system has so many.
        let group = Pid::from_raw(i32::MAX);
        assert!(killed(group, lifeless(group)).await);
        assert!(log.lines("ERROR").is_empty());
        assert!(!killed_within(Duration::ZERO, group, std::future::pending()).await);
        assert_eq!(log.lines("ERROR").len(), 1);
    }

    #[test]
    fn reads_a_stat_line_whatever_the_program_is_called() {
        let stat = "42 (a) Z) S 1 17 17 0 -1 4194304 102 0 0 0 0 0 0 0 20 0 1 0 160873 3133440 382";
        let process = parse(42, stat).unwrap();
        assert_eq!(process, Process { pid: 42, group: 17, start: 160_873, is_dead: false });
        assert!(parse(42, &stat.replace(" S ", " Z ")).unwrap().is_dead);
        assert_eq!(parse(42, "42 (a)"), None);
    }

    #[test]
    fn finds_this_process() {
        let me = i32::try_from(std::process::id()).unwrap();
        let found = living().unwrap().into_iter().find(|process| process.pid == me).unwrap();
        assert_eq!(Some(found), process(me));
        let path = format!("PATH={}", std::env::var("PATH").unwrap());
        assert!(has_marks(me, &[&path]));
        assert!(!has_marks(me, &[&path, "UMBEL_NO_SUCH=1"]));
    }
}
