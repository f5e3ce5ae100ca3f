//! Real processes that outlive whoever started them, and others that must not be touched.

use std::os::unix::process::{CommandExt as _, ExitStatusExt as _};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU64, Ordering};

use umbel_protocol::id::PartitionId;
use umbel_protocol::time::Wall;

use super::*;

/// Tests run side by side, and so may several of these programs: each test has a token of its own,
/// so that none finds another's processes.
static NEXT: AtomicU64 = AtomicU64::new(1);

fn id() -> TaskId {
    TaskId::new(Wall::from_millis(1), PartitionId(0), 1)
}

/// A ledger and a process that was started for it; both go away with the test.
struct Bench {
    dir: tempfile::TempDir,
    ledger: Ledger,
    token: Token,
}

/// A process that is killed with the test, whatever the test finds.
struct Sleeper(Child);

impl Bench {
    fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ledger = Ledger::open(dir.path()).unwrap();
        let (term, index) = (u64::from(std::process::id()), NEXT.fetch_add(1, Ordering::Relaxed));
        Self { dir, ledger, token: Token { term, index, position: 0 } }
    }

    fn enter(&self) -> Entry {
        self.ledger.enter(id(), self.token).unwrap()
    }

    fn files(&self) -> usize {
        self.dir.path().read_dir().unwrap().count()
    }

    /// What the only file says, changed by `change`.
    fn rewrite(&self, change: impl FnOnce(String) -> String) {
        let path = self.dir.path().join(file_name(id(), self.token));
        let text = std::fs::read_to_string(&path).unwrap();
        std::fs::write(&path, change(text)).unwrap();
    }
}

impl Sleeper {
    /// Leads a group of its own.
    fn unmarked() -> Self {
        Self(Command::new("sleep").arg("1000").process_group(0).spawn().unwrap())
    }

    /// Leads a group of its own, with the marks of a run.
    fn marked(token: Token) -> Self {
        let mut command = Command::new("sleep");
        command.arg("1000").process_group(0).envs(pairs(&marks(id(), token)));
        let sleeper = Self(command.spawn().unwrap());
        await_marks(sleeper.pid().as_raw(), token);
        sleeper
    }

    fn pid(&self) -> Pid {
        Pid::from_raw(i32::try_from(self.0.id()).unwrap())
    }

    fn lives(&mut self) -> bool {
        self.0.try_wait().unwrap().is_none()
    }

    fn was_killed(&mut self) -> bool {
        self.0.wait().unwrap().signal() == Some(9)
    }
}

fn pairs(marks: &[String; 2]) -> impl Iterator<Item = (&str, &str)> {
    marks.iter().filter_map(|mark| mark.split_once('='))
}

/// Waits until the kernel shows the environment of `pid`, which it does only a moment after whoever
/// started it goes on.
fn await_marks(pid: i32, token: Token) {
    let marks = marks(id(), token);
    while !process_group::has_marks(pid, &[&marks[0], &marks[1]]) {
        assert!(process_group::process(pid).is_some(), "it is gone");
        std::thread::yield_now();
    }
}

impl Drop for Sleeper {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn kills_a_group_whose_leader_lives() {
    let bench = Bench::new();
    let mut sleeper = Sleeper::unmarked();
    bench.enter().started(sleeper.pid()).unwrap();
    assert_eq!(bench.ledger.sweep().unwrap(), 1);
    assert!(sleeper.was_killed());
    assert_eq!(bench.files(), 0);
    assert_eq!(bench.ledger.sweep().unwrap(), 0);
}

#[test]
fn kills_what_was_started_but_not_yet_recorded() {
    let bench = Bench::new();
    let mut other = Sleeper::unmarked();
    let mut sleeper = Sleeper::marked(bench.token);
    bench.enter();
    assert_eq!(bench.ledger.sweep().unwrap(), 1);
    assert!(sleeper.was_killed());
    assert!(other.lives());
}

#[test]
fn kills_members_whose_leader_is_gone() {
    let bench = Bench::new();
    let text = "sleep 1000 </dev/null >/dev/null 2>&1 & echo $!";
    let mut command = Command::new("/bin/sh");
    command.args(["-c", text]).process_group(0).stdout(std::process::Stdio::piped());
    command.envs(pairs(&marks(id(), bench.token)));
    let leader = command.spawn().unwrap();
    let group = Pid::from_raw(i32::try_from(leader.id()).unwrap());
    bench.enter().started(group).unwrap();
    let output = leader.wait_with_output().unwrap();
    let member: i32 = String::from_utf8(output.stdout).unwrap().trim().parse().unwrap();
    await_marks(member, bench.token);
    assert!(!process_group::is_gone(group));
    assert_eq!(bench.ledger.sweep().unwrap(), 1);
    assert!(process_group::is_gone(group));
    let is_member = |process: &Process| process.pid == member;
    assert!(!process_group::living().unwrap().iter().any(is_member));
}

#[test]
fn leaves_a_number_alone_that_someone_else_has_now() {
    let bench = Bench::new();
    // Marked, to show that even that does not count against the leader's start.
    let mut sleeper = Sleeper::marked(bench.token);
    bench.enter().started(sleeper.pid()).unwrap();
    bench.rewrite(|text| {
        let (first, second) = text.split_once('\n').unwrap();
        let (group, start) = second.trim().split_once(' ').unwrap();
        format!("{first}\n{group} {}\n", start.parse::<u64>().unwrap() - 1)
    });
    assert_eq!(bench.ledger.sweep().unwrap(), 0);
    assert!(sleeper.lives());
    assert_eq!(bench.files(), 0);
}

#[test]
fn leaves_numbers_of_another_boot_alone() {
    let bench = Bench::new();
    let mut sleeper = Sleeper::marked(bench.token);
    bench.enter().started(sleeper.pid()).unwrap();
    bench.rewrite(|text| format!("other{text}"));
    assert_eq!(bench.ledger.sweep().unwrap(), 0);
    assert!(sleeper.lives());
}

#[test]
fn forgets_what_is_gone_or_unreadable() {
    let bench = Bench::new();
    let mut sleeper = Sleeper::marked(bench.token);
    let mut entry = bench.enter();
    entry.started(sleeper.pid()).unwrap();
    std::fs::write(bench.dir.path().join("garbage"), "what\nis this").unwrap();
    std::fs::write(bench.dir.path().join("empty"), "").unwrap();
    sleeper.0.kill().unwrap();
    sleeper.0.wait().unwrap();
    assert_eq!(bench.ledger.sweep().unwrap(), 0);
    assert_eq!(bench.files(), 0);
    // Its own entry has been forgotten already; closing it is nothing.
    entry.close();
}

#[test]
fn an_entry_that_is_closed_is_forgotten() {
    let bench = Bench::new();
    let entry = bench.enter();
    assert_eq!(bench.files(), 1);
    entry.close();
    assert_eq!(bench.files(), 0);
}
