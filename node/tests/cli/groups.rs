//! Tasks that belong together, and tasks that are named one by one, on the command line.

use crate::cluster::Node;
use crate::program::{Program, Ran};

const TASKS: &str = r#"
[tasks.say]
command = ["echo", "{word}"]
[tasks.stay]
command = ["sleep", "60"]
[tasks.fail]
command = ["sh", "-c", "echo no such host >&2; exit 3"]
attempts = 1
"#;

/// The last word of a line of output that begins with `first`.
#[track_caller]
fn said<'a>(ran: &'a Ran, first: &str) -> &'a str {
    let line = ran.out.lines().chain(ran.err.lines()).find(|line| line.contains(first));
    line.and_then(|line| line.rsplit(' ').next()).unwrap_or_else(|| panic!("no {first}: {ran:?}"))
}

#[test]
fn a_group_is_counted_listed_and_cancelled_by_its_id() {
    let program = Program::new();
    let node = Node::start_with(&program, TASKS);
    let word = r#"{"word":"a"}"#;
    let ran = program.run(&["submit", "say", word, "--group", "new"]);
    let group = said(&ran, "group").to_owned();
    assert!(program.run(&["submit", "say", word, "--group", &group]).ok);
    let ran = program.run(&["task", "group", &group, "--wait", "--json"]);
    assert!(ran.ok, "{ran:?}");
    assert_eq!((&ran.json()[0]["succeeded"], &ran.json()[0]["dead"]), (&2.into(), &0.into()));

    for _ in 0..3 {
        assert!(program.run(&["submit", "stay", "{}", "--delay", "1h", "--group", &group]).ok);
    }
    let listed = program.run(&["task", "list", "--group", &group, "--json"]).json();
    assert_eq!(listed.len(), 5);
    assert!(listed.iter().all(|task| task["group"] == *group), "{listed:?}");
    let before = listed[1]["id"].as_str().expect("an id");
    let older = program.run(&["task", "list", "--group", &group, "--before", before, "--json"]);
    assert_eq!(older.json().len(), 3, "{older:?}");
    let ran = program.run(&["task", "cancel", "--group", &group, "--json"]);
    assert!(ran.ok, "{ran:?}");
    assert_eq!((&ran.json()[0]["done"], &ran.json()[0]["refused"]), (&3.into(), &0.into()));
    let ran = program.run(&["task", "group", &group]);
    assert!(ran.out.contains("5 tasks: 2 succeeded, 3 cancelled or expired"), "{ran:?}");
    node.stop();
}

#[test]
fn each_node_gets_one_and_what_had_ended_is_not_cancelled() {
    let program = Program::new();
    let node = Node::start_with(&program, TASKS);
    let word = r#"{"word":"a"}"#;
    let ran = program.run(&["submit", "say", word, "--each-node", "--wait", "--json"]);
    assert!(ran.ok, "{ran:?}");
    let ids: Vec<String> =
        (ran.json().iter()).filter_map(|line| line["id"].as_str().map(str::to_owned)).collect();
    assert_eq!(ids.len(), 1, "there is one node: {ran:?}");

    let ran = program.run(&["submit", "fail", "{}", "--each-node", "--wait"]);
    assert!(
        !ran.ok && ran.err.contains("is dead: "),
        "it is said which one failed, and why: {ran:?}"
    );

    let other = program.run(&["submit", "say", word, "--wait", "--json"]).json();
    let other = other[0]["id"].as_str().expect("an id");
    let ran = program.run(&["task", "cancel", &ids[0], other, "--json"]);
    assert!(!ran.ok, "{ran:?}");
    let told = &ran.json()[0];
    assert_eq!((&told["done"], &told["refused"]), (&0.into(), &2.into()));
    assert!(
        told["why"][0]["error"].as_str().is_some_and(|why| why.contains("had ended")),
        "{ran:?}"
    );

    let shown = program.run(&["submit", "stay", "{}", "--delay", "1h", "--attempts", "7"]);
    let id = shown.out.trim_end();
    let view = program.run(&["task", "show", id, "--json"]).json();
    assert_eq!(view[0]["treatment"]["attempts"], 7);
    let shown = program.run(&["task", "show", id]);
    assert!(shown.out.contains("treated    attempts 7"), "{shown:?}");
    let refused = program.run(&["submit", "stay", "{}", "--if-exists", "refuse"]);
    assert!(!refused.ok, "{refused:?}");

    let paused = program.run(&["queue", "pause", "defualt"]);
    assert!(
        paused.ok && paused.err.contains("no task is in a queue \"defualt\" now"),
        "{paused:?}"
    );
    node.stop();
}

#[test]
fn a_queue_is_purged_of_what_waits_and_has_certain_labels() {
    let program = Program::new();
    let node = Node::start_with(&program, TASKS);
    for label in ["tenant=acme", "tenant=acme", "tenant=other"] {
        assert!(program.run(&["submit", "stay", "{}", "--delay", "1h", "--label", label]).ok);
    }
    let purged = program.run(&["queue", "purge", "default", "--label", "tenant=acme", "--json"]);
    assert_eq!(purged.json()[0]["done"], 2, "{purged:?}");
    let args = ["task", "list", "--state", "ready", "--state", "scheduled", "--json"];
    let left = program.run(&args).json();
    assert_eq!(left.len(), 1, "{left:?}");
    assert_eq!(left[0]["labels"]["tenant"], "other");
    let purged = program.run(&["queue", "purge", "default", "--json"]);
    assert_eq!(purged.json()[0]["done"], 1, "{purged:?}");
    assert!(program.run(&args).json().is_empty());
    let refused = program.run(&["task", "cancel", "--state", "ready", "--state", "dead"]);
    assert!(
        !refused.ok && refused.err.contains("no task is cancelled that is dead"),
        "{refused:?}"
    );
    node.stop();
}

#[test]
fn what_a_task_submits_through_a_program_is_its_child() {
    let program = Program::new();
    let tasks = concat!(
        "[tasks.say]\ncommand = [\"echo\", \"{word}\"]\n[tasks.parent]\ncommand = [\"",
        env!("CARGO_BIN_EXE_umbel"),
        "\", \"submit\", \"say\", '{{\"word\":\"b\"}}']\n"
    );
    let node = Node::start_with(&program, tasks);
    let ran =
        program.run(&["submit", "parent", "{}", "--label", "tenant=acme", "--wait", "--json"]);
    assert!(ran.ok, "{ran:?}");
    let parent = &ran.json()[0];
    let child =
        parent["result"]["stdout"].as_str().expect("it printed an id").trim_end().to_owned();
    let child = program.run(&["task", "show", &child, "--json"]).json();
    assert_eq!((&child[0]["parent_id"], &child[0]["root_id"]), (&parent["id"], &parent["id"]));
    assert_eq!(child[0]["labels"]["tenant"], "acme");
    let parent = parent["id"].as_str().expect("an id");
    let by_parent = |args: &[&str]| -> Ran {
        let mut command = program.command(&[&["submit", "say", r#"{"word":"c"}"#], args].concat());
        command.env("UMBEL_TASK_ID", parent).output().expect("it runs").into()
    };
    let child = by_parent(&[]).out.trim_end().to_owned();
    assert!(by_parent(&["--id", &child]).ok, "its parent may submit it again");
    let shown = program.run(&["task", "show", &child, "--json"]).json();
    assert_eq!(shown[0]["parent_id"], parent);
    let alone = by_parent(&["--no-parent"]).out.trim_end().to_owned();
    let shown = program.run(&["task", "show", &alone, "--json"]).json();
    assert!(shown[0]["id"] == *alone && shown[0]["parent_id"].is_null(), "{shown:?}");
    node.stop();
}
