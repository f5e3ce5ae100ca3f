//! Files of tasks: what is told of each line, and when.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::process::{ChildStdout, Stdio};

use nix::sys::signal::Signal;

use crate::cluster::{Node, pipe};
use crate::program::{Program, eventually, output, tell};

#[test]
fn a_file_of_tasks_is_submitted_line_by_line() {
    let program = Program::new();
    let node = Node::start(&program);
    let line = |n: usize| format!("{{\"task\":\"umbel.noop\",\"args\":{n}}}\n");
    let many: String = (0..5_000).map(line).collect();
    fs::write(program.path("many.jsonl"), &many).unwrap();
    let ran = program.run(&["submit", "--from", "many.jsonl", "--json"]);
    assert!(ran.ok, "{}", ran.err);
    let ids = ran.json();
    assert!(ids.iter().all(|line| line["id"].is_string()) && ids.len() == 5_000);
    assert!(ran.err.starts_with("5,000 tasks acknowledged in "), "{}", ran.err);

    let say = |what: &str| format!("{{\"task\":\"say\",\"args\":{{\"what\":\"{what}\"}}}}\n");
    let ran = pipe(
        &program,
        &["submit", "--from", "-", "--wait", "--json"],
        &[say("a"), say("b"), "{\"task\":\"fail\"}\n".into(), say("c")].concat(),
    );
    let said: Vec<_> = ran.json().iter().map(|task| task["result"]["stdout"].clone()).collect();
    assert_eq!(said, ["a", "b", "", "c"]);
    let ended: Vec<_> = ran.json().iter().map(|task| task["result"]["exit_code"].clone()).collect();
    assert_eq!(ended, [0, 0, 1, 0]);
    assert!(!ran.ok && ran.err.contains("1 did not succeed"), "{}", ran.err);

    let bad = [line(1), line(2), "\n{\"task\": 3}\n".into(), line(4)].concat();
    fs::write(program.path("bad.jsonl"), bad).unwrap();
    let ran = program.run(&["submit", "--from", "bad.jsonl"]);
    assert!(!ran.ok && ran.out.starts_with("2 tasks acknowledged"), "{ran:?}");
    assert!(ran.err.contains("2 tasks of the lines before it were acknowledged"), "{ran:?}");
    assert!(ran.err.contains("bad.jsonl:4:"), "{ran:?}");
    let ran = program.run(&["submit", "--from", "tmp"]);
    assert!(!ran.ok && ran.err.starts_with("error: cannot read tmp\n"), "{ran:?}");
    let exact = r#"{"n":123456789012345678901234567890,"x":1.10,"b":1,"a":2}"#;
    let marked = format!("\u{feff}{{\"task\":\"echo\",\"args\":{exact}}}\n");
    let ran = pipe(&program, &["submit", "--from", "-", "--wait", "--json"], &marked);
    assert!(ran.ok && ran.json()[0]["result"]["stdout"] == exact, "{ran:?}");

    // More results than fit into one listing: the newest are there, of the others it is said.
    let long = "{\"task\":\"long\"}\n".repeat(14);
    assert!(pipe(&program, &["submit", "--from", "-", "--wait"], &long).ok);
    let ran = program.run(&["task", "list", "--queue", "long", "--json"]);
    let tasks = ran.json();
    let full = |task: &serde_json::Value| task["result"]["stdout"].is_string();
    assert_eq!(tasks.iter().filter(|task| full(task)).count(), 9, "{}", ran.err);
    assert!(tasks[..9].iter().all(|task| full(task) && task["left_out"].is_null()));
    assert!(tasks[9..].iter().all(|task| task["result"].is_null() && task["left_out"] == true));
    assert!(ran.ok && ran.err.starts_with("of 5 tasks the result or the error was left out"));
    let ran = program.run(&["task", "show", tasks[13]["id"].as_str().unwrap(), "--json"]);
    assert!(full(&ran.json()[0]), "by itself it has its result");

    // An id of a partition that this cluster does not have.
    let foreign = "018bcfe5-6800-73ff-8000-000000000007";
    for args in [&["submit", "say", "--id", foreign][..], &["task", "show", foreign]] {
        let ran = program.run(args);
        assert!(!ran.ok && ran.err.contains("this cluster has 16 partitions"), "{ran:?}");
    }

    let ran = pipe(
        &program,
        &["submit", "--from", "-", "--json"],
        &[line(1), "{\"task\":\"umbel.nop\"}\n".into(), line(2)].concat(),
    );
    let rows = ran.json();
    assert!(!ran.ok && rows[0]["id"].is_string() && rows[2]["id"].is_string(), "{ran:?}");
    assert!(rows[1]["id"].is_null() && rows[1]["error"].is_string(), "{ran:?}");
    assert!(ran.err.contains("stdin:2: no node of the cluster knows"), "{ran:?}");
    node.stop();
}

#[test]
fn rows_of_a_file_are_told_one_by_one_and_none_is_lost() {
    let program = Program::new();
    let node = Node::start(&program);
    let noop = "{\"task\":\"umbel.noop\"}\n";
    let nap = "{\"task\":\"nap\"}\n";
    let begin = |args: &[&str], input: &str| {
        let mut command = program.command(args);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let mut stdin = child.stdin.take().unwrap();
        stdin.write_all(input.as_bytes()).unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        (child, stdin, stdout)
    };
    let row = |stdout: &mut BufReader<ChildStdout>| {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        serde_json::from_str::<serde_json::Value>(&line).unwrap()
    };

    // The ids of what is written so far, although more may come.
    let (child, stdin, mut stdout) = begin(&["submit", "--from", "-", "--json"], noop);
    assert!(row(&mut stdout)["id"].is_string());
    drop((stdin, stdout));
    assert!(output(child).ok);

    // Two have ended in front of one that does not, and one behind it.
    for json in [true, false] {
        let mut args = vec!["submit", "--from", "-", "--wait"];
        args.extend(json.then_some("--json"));
        let ended =
            || program.run(&["task", "list", "--state", "succeeded", "--json"]).json().len();
        let before = ended();
        let (child, stdin, mut stdout) = begin(&args, &[noop, noop, nap, noop].concat());
        let mut first = [String::new(), String::new()];
        for line in &mut first {
            stdout.read_line(line).unwrap();
            assert!(line.contains("succeeded"), "{line}");
        }
        eventually("the last one has ended", || ended() == before + 3);
        tell(&child, Signal::SIGINT);
        let ran = output(child);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).unwrap();
        let [napping, last] = rest.lines().collect::<Vec<_>>()[..] else { panic!("{rest}") };
        assert_eq!(ran.code, Some(130), "{ran:?}");
        assert!(ran.err.starts_with("interrupted: 4 tasks acknowledged, "), "{}", ran.err);
        let naps = program.run(&["task", "list", "--state", "leased", "--json"]).json();
        let id = naps[0]["id"].as_str().unwrap();
        if json {
            assert_eq!(napping, format!("{{\"id\":\"{id}\"}}"));
            assert!(last.starts_with("{\"id\":"), "{last}");
        } else {
            assert_eq!(napping, format!("{id}  acknowledged, and not waited for"));
        }
        assert!(ran.err.contains("`umbel task wait ID` waits for one"), "{}", ran.err);
        assert!(program.run(&["task", "cancel", id]).ok);
        eventually("it has ended", || {
            program.run(&["task", "list", "--state", "leased"]).out.lines().count() < 2
        });
        drop(stdin);
    }
    node.stop();
}
