//! Memory that a program takes is no danger for its node.

use std::io::{BufRead as _, BufReader};
use std::os::unix::process::CommandExt as _;
use std::process::Command;

use super::super::memory::mark_group;
use super::*;

/// What the kernel makes of a process when memory runs out.
fn mark_of(pid: i32) -> i32 {
    let text = std::fs::read_to_string(format!("/proc/{pid}/oom_score_adj")).unwrap();
    text.trim().parse().unwrap()
}

/// That of programs of this process.
fn marked() -> i32 {
    (mark_of(std::process::id().try_into().unwrap()) + 500).min(1000)
}

#[tokio::test]
async fn programs_are_ended_before_their_node_if_memory_runs_out() {
    let bench = Bench::new();
    // It may look before it has been marked; whatever it starts afterwards inherits that.
    let text = format!(
        "until read mark < /proc/self/oom_score_adj && [ $mark = {} ]; do :; done; \
         cat /proc/self/oom_score_adj",
        marked()
    );
    let (stdout, _) = output(bench.run(bench.shell(&text).time_limit(NEVER), "null").await);
    assert_eq!(stdout.trim(), marked().to_string());
}

#[test]
fn what_a_program_had_started_before_is_marked_with_it() {
    let text = "sleep 1000 & echo $!; echo $$; wait";
    let mut command = Command::new("sh");
    command.args(["-c", text]).process_group(0).stdout(Stdio::piped());
    let mut leader = command.spawn().unwrap();
    let lines = BufReader::new(leader.stdout.take().unwrap()).lines().take(2);
    let pids: Vec<i32> = lines.map(|line| line.unwrap().parse().unwrap()).collect();
    let group = Pid::from_raw(leader.id().try_into().unwrap());
    mark_group(group);
    let marks: Vec<i32> = pids.iter().map(|pid| mark_of(*pid)).collect();
    // Another group is none of its business.
    let own = mark_of(std::process::id().try_into().unwrap());
    process_group::signal(group, Signal::SIGKILL);
    leader.wait().unwrap();
    assert_eq!(marks, [marked(), marked()]);
    assert!(own < marked() || own == 1000);
}

/// Takes more and more memory until it has some 128 MiB.
const HUNGRY: &str = "BEGIN { x = \"x\"; while (length(x) < 100000000) x = x x; print \"full\" }";

#[tokio::test]
async fn a_program_that_wants_more_memory_than_it_may_have_fails_alone() {
    let bench = Bench::new();
    let hungry = |memory_bytes| {
        let spec = CommandSpec { memory_bytes, ..argv(&["awk", HUNGRY]) };
        Definition::command("hungry", spec)
    };
    let (kind, message) = failure(bench.run(hungry(Some(64 << 20)), "null").await);
    assert_eq!(kind, FailureKind::Error, "{message}");
    // What it does that is refused memory is its own affair.
    assert!(message.contains("exited with code") || message.contains("killed by"), "{message}");
    let (stdout, _) = output(bench.run(hungry(Some(4 << 30)), "null").await);
    assert_eq!(stdout, "full\n");
}

#[tokio::test]
async fn a_limit_of_memory_holds_for_all_that_a_program_starts_and_changes_nothing_else() {
    let bench = Bench::new();
    let text = "sh -c 'ulimit -v'; cat; echo; echo \"$UMBEL_ARGS\" $UMBEL_TASK; pwd; \
                [ $$ = $(cut -d' ' -f5 /proc/$$/stat) ] && echo leads";
    let mut spec = CommandSpec::new(Program::Shell(text.to_owned()));
    spec.cwd = Some(bench.dir.path().canonicalize().unwrap());
    spec.memory_bytes = Some(1 << 30);
    let expected = format!(
        "1048576\n[\"a b\"]\n[\"a b\"] job\n{}\nleads\n",
        spec.cwd.as_ref().unwrap().display()
    );
    let (stdout, stderr) = output(bench.run(Definition::command("job", spec), r#"["a b"]"#).await);
    assert_eq!((stdout, stderr.as_str()), (expected, ""));
}

#[tokio::test]
async fn a_failure_for_which_a_limit_may_be_the_reason_names_it() {
    let bench = Bench::new();
    for (memory_bytes, expected) in [
        (None, "killed by SIGSEGV"),
        (Some(1 << 30), "killed by SIGSEGV; it may take no more than 1073741824 bytes of memory"),
    ] {
        let spec = CommandSpec::new(Program::Shell("kill -SEGV $$".to_owned()));
        let spec = CommandSpec { memory_bytes, ..spec };
        let outcome = bench.run(Definition::command("job", spec), "null").await;
        assert_eq!(failure(outcome), (FailureKind::Error, expected.to_owned()));
    }
}
