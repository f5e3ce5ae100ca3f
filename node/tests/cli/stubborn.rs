//! Programs that do not want to end, and their children, which do not either.

use std::fs;
use std::time::{Duration, Instant, SystemTime};

use crate::cluster::Node;
use crate::program::{Program, eventually};

/// A program that ignores SIGTERM and has a child and a grandchild that do. Each is a shell, which tells its
/// process by a file, and what it waits for.
const TASKS: &str = r#"
[tasks.stubborn]
shell = true
command = '''
trap "" TERM
tell='echo $$ > $0.new; mv $0.new $0;'
linger='while :; do sleep 600; done'
sh -c "trap '' TERM; $tell sh -c 'trap \"\" TERM; $tell $linger' grandchild & $linger" child &
echo $$ > leader.new; mv leader.new leader
while :; do sleep 600; done
'''
"#;

/// How long a program that was asked to end may take, if its task says nothing else.
const GRACE: Duration = Duration::from_secs(5);
/// What a task may say of that.
const LONGER: Duration = Duration::from_secs(15);
/// What a node does besides takes far less on any machine. One that waits for [`LONGER`] though nobody has said so
/// takes more.
const BESIDES: Duration = Duration::from_secs(10);

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
    gone_after(TASKS, GRACE);
}

#[test]
fn a_program_may_take_longer_to_end_if_its_task_says_so() {
    gone_after(&format!("{TASKS}grace = \"15s\"\n"), LONGER);
}

/// Cancels the program of `tasks`, which has so much time then: it is gone after that, and not much later.
fn gone_after(tasks: &str, grace: Duration) {
    let program = Program::new();
    let node = Node::start_with(&program, tasks);
    let names = ["leader", "child", "grandchild"];
    let ran = program.run(&["submit", "stubborn"]);
    assert!(ran.ok, "{ran:?}");
    let id = ran.out.trim_end();
    let told = |name: &str| -> Option<i32> {
        fs::read_to_string(program.path(name)).ok()?.trim_end().parse().ok()
    };
    eventually("all three run", || names.iter().all(|name| told(name).is_some()));
    let pids = names.map(|name| told(name).unwrap());
    let before = members(pids[0]);
    assert!(pids.iter().all(|pid| before.contains(pid)), "{pids:?} are of a group: {before:?}");

    let (began, began_at) = (Instant::now(), SystemTime::now());
    let ran = program.run(&["task", "cancel", id]);
    assert!(ran.ok, "{ran:?}");
    let mut shown = serde_json::Value::Null;
    eventually("it is told as cancelled", || {
        shown = program.run(&["task", "show", id, "--json"]).json().remove(0);
        shown["state"] == "cancelled"
    });
    let (left, seen_after) = (members(pids[0]), began.elapsed());
    assert!(left.is_empty(), "{left:?} of {before:?} go on beside what may run next");
    // The node had to ask before it killed.
    assert!(seen_after >= grace, "{seen_after:?}");

    let ran = program.run(&["submit", "umbel.noop", "--wait"]);
    assert!(ran.ok, "{ran:?}");
    node.stop();
    // By its own record: how long it takes to ask for that says nothing.
    let ended = shown["runs"][0]["finished_at"].as_str().unwrap();
    let ended: SystemTime = ended.parse::<jiff::Timestamp>().unwrap().into();
    let took = ended.duration_since(began_at).unwrap();
    assert!(took < grace + BESIDES, "{took:?}");
}
