//! Files with jobs, as they are checked and as a node takes them.

use std::fs;

use crate::program::Program;

#[test]
fn jobs_are_checked() {
    let program = Program::new();
    let file = program.path("cluster.toml");
    fs::write(&file, "[jobs.a]\ncron = \"0 25 * * *\"\ntask = \"umbel.noop\"\n").unwrap();
    let ran = program.run(&["config", "check", &file]);
    assert_eq!((ran.code, ran.out.as_str()), (Some(1), ""), "{ran:?}");
    let place = format!(" --> {file}:2:11\n  |\n2 | cron = \"0 25 * * *\"\n  |           ^^\n");
    assert!(ran.err.starts_with("error: ") && ran.err.contains(&place), "{}", ran.err);
    let json = program.run(&["config", "check", &file, "--json"]);
    assert_eq!((json.code, json.out, json.err), (ran.code, ran.out, ran.err));
}

#[test]
fn what_may_not_be_meant_is_said_and_no_error() {
    let program = Program::new();
    let file = program.path("cluster.toml");
    let tasks = "[tasks.page]\ncommand = [\"true\"]\n";
    fs::write(&file, format!("{tasks}[jobs.a]\ncron = \"@daily\"\ntask = \"pag\"\n")).unwrap();
    let ran = program.run(&["config", "check", &file]);
    let good = format!("{file} is good: cluster \"umbel\", 0 seeds, 1 queue, 1 task, 1 job\n");
    assert_eq!((ran.code, ran.out), (Some(0), good));
    let help = "did you mean `page`? else fine if a service registers a handler of that name";
    assert_eq!(
        ran.err,
        format!(
            "warning: there is no [tasks.pag] here\n --> {file}:5:8\n  |\n5 | task = \"pag\"\n  |        \
             ^^^^^\n  = help: {help}\n\n"
        )
    );
    // With --json stdout has the same for a program, and stderr stays.
    let json = program.run(&["config", "check", &file, "--json"]);
    assert_eq!((json.code, &json.err), (Some(0), &ran.err));
    let [line] = &json.json()[..] else { panic!("{json:?}") };
    let warning = serde_json::json!(
        { "line": 5, "column": 8, "message": "there is no [tasks.pag] here", "help": help }
    );
    assert_eq!(
        *line,
        serde_json::json!({
            "file": file, "cluster": "umbel", "seeds": 0, "queues": 1, "tasks": 1, "jobs": 1,
            "warnings": [warning],
        })
    );
    // A node begins with that, and ends here for another reason.
    let ran = program.run(&["node", "-c", &file, "--listen", "127.0.0.1:0", "--name", "No"]);
    assert!(!ran.ok, "{ran:?}");
    let line = format!("{file}:5:8: there is no [tasks.pag] here; {help}");
    assert!(ran.err.contains(" WARN ") && ran.err.contains(&line), "{}", ran.err);
}

#[test]
fn labels_are_checked_before_a_node_starts() {
    let program = Program::new();
    let ran = program.run(&["node", "--label", "role"]);
    assert!(!ran.ok && ran.err.contains("is no label: write key=value"), "{}", ran.err);
    let ran = program.command(&["node"]).env("UMBEL_LABELS", "role=d b").output().unwrap();
    let err = String::from_utf8(ran.stderr).unwrap();
    assert!(!ran.status.success() && err.contains("UMBEL_LABELS is not a list"), "{err}");
}
