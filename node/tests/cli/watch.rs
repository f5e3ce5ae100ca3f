//! `umbel task watch`: what a program prints, as it prints it.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::Stdio;

use crate::cluster::Node;
use crate::program::Program;

/// Prints a line, and ends once there is the file.
const TASKS: &str = "[tasks.build]\nshell = true\n\
                     command = 'echo one; echo \"::umbel progress 1/2 half way\"; \
                     until [ -e \"$GATE\" ]; do sleep 0.01; done; echo two; exit $CODE'\n\
                     env = { GATE = \"{gate}\", CODE = \"{code}\" }\nattempts = 1\n";

fn submit(program: &Program, gate: &str, code: u8) -> String {
    let args = format!(r#"{{"gate":{gate:?},"code":{code}}}"#);
    let ran = program.run(&["submit", "build", &args]);
    assert!(ran.ok, "{ran:?}");
    ran.out.trim_end().to_owned()
}

#[test]
fn a_task_is_watched_to_its_end() {
    let program = Program::new();
    let node = Node::start_with(&program, TASKS);
    for (number, code) in [0, 3].into_iter().enumerate() {
        let gate = program.path(&format!("gate-{number}"));
        let id = submit(&program, &gate, code);
        let mut watching = program.command(&["task", "watch", &id]);
        let mut watching =
            watching.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("it starts");
        let mut lines = BufReader::new(watching.stdout.take().expect("it is piped")).lines();
        let mut line = || lines.next().expect("there is more").expect("it is text");
        assert_eq!(line(), "one", "while it runs");
        let shown = program.run(&["task", "show", &id]);
        assert!(shown.out.contains("says       one\n"), "{shown:?}");
        let shown = program.run(&["task", "show", &id, "--json"]).json();
        assert_eq!(shown[0]["log"][0]["line"], "one");
        fs::write(&gate, "").expect("it is written");
        assert_eq!(line(), "two");
        let rest: Vec<String> = lines.map(|line| line.expect("it is text")).collect();
        assert!(rest.iter().any(|line| line.starts_with("state      ")), "{rest:?}");
        let ended = watching.wait_with_output().expect("it ends");
        assert_eq!(ended.status.success(), code == 0);
        let told = String::from_utf8_lossy(&ended.stderr).into_owned();
        assert!(told.contains("1/2 half way\n"), "{told}");
        assert!(told.contains("attempt 1 runs on "), "{told}");

        // What it said is gone with its run.
        let ran = program.run(&["task", "watch", &id, "--json"]);
        assert_eq!(ran.ok, code == 0);
        let [ended] = &ran.json()[..] else { panic!("it has ended: {ran:?}") };
        assert_eq!((&ended["event"], &ended["task"]["id"]), (&"ended".into(), &id.into()));
    }
    let unknown = "018bcfe5-687b-7003-8000-000000000001";
    let ran = program.run(&["task", "watch", unknown]);
    assert!(!ran.ok && ran.err.contains("no task"), "{ran:?}");
    let id = submit(&program, &program.path("never"), 0);
    let ran = program.run(&["task", "watch", &id, "--timeout", "5s"]);
    assert!(!ran.ok && ran.out == "one\n", "{ran:?}");
    assert!(program.run(&["task", "cancel", &id]).ok);
    node.stop();
}
