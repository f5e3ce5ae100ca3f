//! Programs that do not want to end, and their children, which do not either.

use std::fs;
use std::time::{Duration, SystemTime};

use crate::cluster::Node;
use crate::program::{Program, eventually};

/// A program that goes on after SIGTERM, which it notes, and has a child and a grandchild that ignore it. Each is a
/// shell, which tells its process by a file, and what it waits for.
const TASKS: &str = r#"
[tasks.stubborn]
shell = true
command = '''
trap ': > asked' TERM
tell='echo $$ > $0.new; mv $0.new $0;'
linger='while :; do sleep 600; done'
sh -c "trap '' TERM; $tell sh -c 'trap \"\" TERM; $tell $linger' grandchild & $linger" child &
echo $$ > leader.new; mv leader.new leader
while :; do sleep 600; done
'''
"#;

/// How long a program that was asked to end may take, if its task says nothing else.
const GRACE: Duration = Duration::from_secs(5);
/// Longer than it takes to kill a few processes on any machine, and less than another grace would take.
const MARGIN: Duration = Duration::from_secs(14);

/// The processes of a group, but for those that are only to be waited for.
fn members(group: i32) -> Vec<i32> {
    let entries = fs::read_dir("/proc")
        .unwrap()
        .filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let pids = entries.filter_map(|name| name.parse().ok());
    pids.filter(|pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        // The name, in parentheses, may hold anything; after it come state, parent and group.
        let fields = stat.rsplit_once(") ").map_or("", |(_, fields)| fields);
        let fields: Vec<_> = fields.split_ascii_whitespace().collect();
        let is_dead = matches!(fields.first(), Some(&("Z" | "X")) | None);
        !is_dead && fields.get(2) == Some(&group.to_string().as_str())
    })
    .collect()
}

#[test]
fn a_cancelled_program_that_does_not_listen_is_gone_with_all_its_children_within_the_grace() {
    let (since_cancel, _) = gone_after(TASKS);
    assert!(since_cancel >= GRACE, "it is asked before it is killed: {since_cancel:?}");
}

#[test]
fn a_program_may_take_longer_to_end_if_its_task_says_so() {
    let grace = Duration::from_secs(15);
    let (since_cancel, since_asked) = gone_after(&format!("{TASKS}grace = \"15s\"\n"));
    assert!(since_cancel >= grace, "{since_cancel:?}");
    assert!(since_asked <= grace + MARGIN, "it had its grace once: {since_asked:?}");
}

/// Cancels the program of `tasks`; how long after that, and after it was asked to end, all of it was gone.
fn gone_after(tasks: &str) -> (Duration, Duration) {
    let program = Program::new();
    let node = Node::start_with(&program, tasks);
    let ran = program.run(&["submit", "stubborn"]);
    assert!(ran.ok, "{ran:?}");
    let id = ran.out.trim_end();
    let told = |name: &str| -> Option<i32> {
        fs::read_to_string(program.path(name)).ok()?.trim_end().parse().ok()
    };
    let names = ["leader", "child", "grandchild"];
    eventually("all three run", || names.iter().all(|name| told(name).is_some()));
    let pids = names.map(|name| told(name).unwrap());
    let before = members(pids[0]);
    assert!(pids.iter().all(|pid| before.contains(pid)), "{pids:?} are of a group: {before:?}");

    let cancelled_at = SystemTime::now();
    let ran = program.run(&["task", "cancel", id]);
    assert!(ran.ok, "{ran:?}");
    eventually("they are gone", || members(pids[0]).is_empty());
    let gone_at = SystemTime::now();
    let asked_at = fs::metadata(program.path("asked")).and_then(|file| file.modified());
    eventually("it is told as cancelled", || {
        program.run(&["task", "show", id, "--json"]).json()[0]["state"] == "cancelled"
    });
    let left = members(pids[0]);
    assert!(left.is_empty(), "{left:?} of {before:?} go on beside what may run next");

    let ran = program.run(&["submit", "umbel.noop", "--wait"]);
    assert!(ran.ok, "{ran:?}");
    node.stop();
    let since = |at| gone_at.duration_since(at).unwrap_or_default();
    (since(cancelled_at), since(asked_at.expect("it was asked to end")))
}
