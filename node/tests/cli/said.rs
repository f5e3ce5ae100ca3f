//! What is said of tasks besides how they are treated, on the command line, and what it never prints.

use std::fs;

use crate::cluster::{Node, pipe};
use crate::program::{Program, Ran};

const SECRET: &str = "hunter2-never-printed";
const TASKS: &str = "[tasks.login]\ncommand = [\"sh\", \"-c\", \"echo ${{#1}}\", \"-\", \"{password}\"]\n\
                     redact = [\"password\"]\n\
                     [tasks.said]\nshell = true\n\
                     command = 'echo \"$UMBEL_DISPLAY_NAME $UMBEL_TASK_LABELS $UMBEL_HEADER_LOCALE\"'\n\
                     [jobs.nightly]\ncron = \"0 0 1 1 *\"\ntask = \"login\"\n\
                     args = { user = \"eve\", password = \"hunter2-never-printed\" }\n\
                     labels = { team = \"ops\" }\nheaders = { locale = \"de\" }\n\
                     display_name = \"Nightly login\"\n";

#[track_caller]
fn keeps_quiet(ran: &Ran) {
    assert!(!ran.out.contains(SECRET) && !ran.err.contains(SECRET), "{ran:?}");
}

#[test]
fn what_is_hidden_is_never_printed() {
    let program = Program::new();
    let node = Node::start_with(&program, TASKS);
    let args = format!(r#"{{"user":"eve","password":"{SECRET}"}}"#);
    let ran = program.run(&["submit", "login", &args, "--wait", "--json"]);
    keeps_quiet(&ran);
    let task = &ran.json()[0];
    // It has reached the program.
    assert_eq!(task["result"]["stdout"], format!("{}\n", SECRET.len()), "{ran:?}");
    let id = task["id"].as_str().unwrap();
    for show in [&["task", "show", id][..], &["task", "show", id, "--json"]] {
        let ran = program.run(show);
        keeps_quiet(&ran);
        assert!(ran.out.contains(r#"{"user":"eve","password":"[redacted]"}"#), "{ran:?}");
    }
    for list in [&["task", "list"][..], &["task", "list", "--json"]] {
        let ran = program.run(list);
        keeps_quiet(&ran);
        assert!(ran.out.contains(id), "{ran:?}");
    }
    // What callers hide is hidden besides; what they hide it in may be wrong.
    let ran = program.run(&["submit", "login", &args, "--redact", "user"]);
    let shown = program.run(&["task", "show", ran.out.trim_end(), "--json"]).json();
    assert_eq!(
        shown[0]["args"],
        serde_json::json!({ "user": "[redacted]", "password": "[redacted]" })
    );
    let broken = format!("{{\"task\":\"said\",\"args\":{{\"token\":\"{SECRET}\"}},\"x\":1}}\n");
    let ran = pipe(&program, &["submit", "--from", "-", "--redact", "token"], &broken);
    assert!(!ran.ok && ran.err.contains("stdin:1:"), "{ran:?}");
    keeps_quiet(&ran);

    for show in [&["job", "show", "nightly"][..], &["job", "show", "nightly", "--json"]] {
        let ran = program.run(show);
        keeps_quiet(&ran);
        assert!(
            ran.ok && ran.out.contains("[redacted]") && ran.out.contains("Nightly login"),
            "{ran:?}"
        );
    }
    keeps_quiet(&program.run(&["job", "list", "--json"]));
    let fired = program.run(&["job", "run", "nightly", "--json"]);
    keeps_quiet(&fired);
    let ran = program.run(&["task", "list", "--label", "team=ops", "--json"]);
    keeps_quiet(&ran);
    let [task] = &ran.json()[..] else { panic!("it is the one of the job: {ran:?}") };
    let shown = program.run(&["task", "wait", task["id"].as_str().unwrap(), "--json"]);
    keeps_quiet(&shown);
    assert_eq!(shown.json()[0]["headers"]["locale"], "de");
    assert_eq!(shown.json()[0]["display_name"], "Nightly login");
    node.stop();
}

#[test]
fn tasks_are_said_things_of_and_found_by_them() {
    let program = Program::new();
    let node = Node::start_with(&program, TASKS);
    let parent = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";
    let typed = [
        "submit",
        "said",
        "--label",
        "tenant=acme,step=1",
        "--label",
        "color=red",
        "--header",
        "locale=de",
        "--display-name",
        "Hello there",
        "--traceparent",
        parent,
        "--wait",
        "--json",
    ];
    let ran = program.run(&typed);
    let task = &ran.json()[0];
    let printed = "Hello there color=red,step=1,tenant=acme de\n";
    assert_eq!(task["result"]["stdout"], printed, "{ran:?}");
    assert_eq!((&task["traceparent"], &task["labels"]["color"]), (&parent.into(), &"red".into()));
    let id = task["id"].as_str().unwrap().to_owned();
    let shown = program.run(&["task", "show", &id]);
    for line in ["called     Hello there\n", "           tenant=acme\n", "headers    locale=de\n"] {
        assert!(shown.out.contains(line), "{line}: {}", shown.out);
    }
    let lines = "{\"task\":\"said\",\"labels\":{\"step\":\"2\"}}\n{\"task\":\"said\"}\n";
    let file = program.path("tasks.jsonl");
    fs::write(&file, lines).unwrap();
    let from = ["submit", "--from", &file, "--label", "tenant=acme,step=3", "--wait"];
    assert!(program.run(&from).ok);
    let found = |labels: &[&str]| {
        let labels = labels.iter().flat_map(|labels| ["--label", *labels]);
        let args: Vec<&str> = ["task", "list", "--json"].into_iter().chain(labels).collect();
        let mut steps: Vec<String> = (program.run(&args).json().iter())
            .map(|task| task["labels"]["step"].as_str().unwrap().to_owned())
            .collect();
        steps.sort_unstable();
        steps
    };
    assert_eq!(found(&["tenant=acme"]), ["1", "2", "3"]);
    assert_eq!(found(&["tenant=acme", "step=2"]), ["2"]);
    assert_eq!(found(&["tenant=other"]), Vec::<String>::new());
    let listed = program.run(&["task", "list", "--label", "step=1"]);
    assert!(listed.out.contains("Hello there (said)"), "{}", listed.out);
    assert!(listed.out.contains("color=red,step=1,tenant=acme"), "{}", listed.out);

    for (args, told) in [
        (&["--label", "a"][..], "write key=value"),
        (&["--label", "a=b c"], "\"b c\" is no label"),
        (&["--header", "a"], "write name=value"),
        (&["--header", "A=b"], "a-z 0-9 and -"),
        (&["--header", "traceparent=b"], "it has a place of its own"),
        (&["--display-name", ""], "display_name must be 1 to 128"),
        (&["--traceparent", "00-1"], "traceparent must be of the form"),
        (&["--tracestate", "a=b"], "--traceparent"),
        (&["--redact", "a,,b"], "redact must be 1 to 16 names"),
    ] {
        let ran = program.run(&[&["submit", "said"], args].concat());
        assert!(!ran.ok && ran.out.is_empty() && ran.err.contains(told), "{args:?}: {ran:?}");
    }
    let ran = program.run(&["task", "list", "--label", "a=b", "--label", "a=c"]);
    assert!(!ran.ok && ran.err.contains("no task has two values of the label \"a\""), "{ran:?}");
    node.stop();
}
