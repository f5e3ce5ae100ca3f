//! Periodic jobs on the command line: what is said of them, and what becomes of them.

use std::fs;

use serde_json::Value;

use crate::cluster::Node;
use crate::program::{Program, Ran, eventually};

/// What one line of JSON says.
#[track_caller]
fn one(ran: &Ran) -> Value {
    let [line] = &ran.json()[..] else { panic!("{ran:?}") };
    line.clone()
}

#[test]
fn a_job_is_defined_watched_changed_and_removed() {
    let program = Program::new();
    let node = Node::start(&program);
    let ran = program.run(&["job", "list"]);
    assert!(ran.ok && ran.out.lines().count() == 1, "{ran:?}");

    let ran = program.run(&[
        "job",
        "add",
        "greet",
        "--cron",
        "0 0 1 1 *",
        "--timezone",
        "Europe/Berlin",
        "--task",
        "say",
        "--args",
        r#"{"what": "hello"}"#,
    ]);
    assert!(ran.ok && ran.out.contains("job greet is defined; its next tick is"), "{ran:?}");
    assert!(ran.out.contains("-01-01 00:00:00 +01:00 (in "), "{ran:?}");
    let often = ["job", "add", "often", "--every", "1s", "--task", "umbel.noop", "--json"];
    let job = one(&program.run(&often));
    assert_eq!((&job["name"], &job["every"]), (&"often".into(), &"1s".into()));
    assert_eq!((&job["from"], &job["enabled"]), (&"live".into(), &true.into()));
    assert!(job["next"].as_str().unwrap().ends_with('Z'), "{job}");

    // Ticks fire by themselves.
    let history = ["job", "history", "often", "--json"];
    eventually("a tick has succeeded", || {
        let ticks = program.run(&history).json();
        ticks.iter().any(|tick| tick["ends"]["succeeded"] == 1 && tick["by_hand"] == false)
    });
    let ran = program.run(&["job", "disable", "often"]);
    assert!(ran.ok && ran.out.contains("until `umbel job enable often`"), "{ran:?}");
    let job = one(&program.run(&["job", "show", "often", "--json"]));
    assert_eq!((&job["enabled"], &job["next"]), (&false.into(), &Value::Null));
    let job = one(&program.run(&["job", "enable", "often", "--json"]));
    assert_eq!(job["enabled"], true);
    let ran = program.run(&["job", "edit", "often", "--every", "1h", "--attempts", "2"]);
    assert!(ran.ok && ran.out.contains("job often is changed; its next tick"), "{ran:?}");
    let job = one(&program.run(&["job", "edit", "often", "--unset", "attempts", "--json"]));
    assert_eq!((&job["every"], &job["attempts"]), (&"1h".into(), &Value::Null));

    // An alert is a task of its own, and is treated as it is said.
    let alert = ["--alert", "say", "--alert-priority", "9", "--alert-attempts", "5"];
    assert!(program.run(&[&["job", "edit", "often"][..], &alert].concat()).ok);
    let edit = ["job", "edit", "often", "--alert", "umbel.noop", "--alert-on", "missed"];
    let ran = program.run(&[&edit[..], &["--unset", "alert-priority"]].concat());
    assert!(ran.ok, "{ran:?}");
    let ran = program.run(&["job", "show", "often"]);
    assert!(ran.out.contains("umbel.noop on missed\n") && ran.out.contains(" attempts 5\n"));
    let alert = &one(&program.run(&["job", "show", "often", "--json"]))["alert"];
    assert_eq!((&alert["attempts"], &alert["priority"]), (&5.into(), &Value::Null));
    let job = one(&program.run(&["job", "edit", "often", "--unset", "alert", "--json"]));
    assert_eq!(job["alert"], Value::Null);

    // By hand, with what it printed.
    let tick = one(&program.run(&["job", "run", "greet", "--json"]));
    assert_eq!((&tick["by_hand"], &tick["verdict"]), (&true.into(), &"fired".into()));
    let task = tick["runs"][0]["task"].as_str().unwrap().to_owned();
    let ran = program.run(&["task", "wait", &task]);
    assert!(ran.ok, "{ran:?}");
    let ran = program.run(&["job", "history", "greet"]);
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines.len(), 2, "{ran:?}");
    for word in ["by hand", "  a  ", "succeeded", "hello"] {
        assert!(lines[1].contains(word), "{word}: {ran:?}");
    }
    let ran = program.run(&["job", "show", "greet"]);
    for line in ["args         {\"what\": \"hello\"}", "schedule     0 0 1 1 * Europe/Berlin"] {
        let shown: Vec<_> = line.split_whitespace().collect();
        let is_told = |told: &str| told.split_whitespace().collect::<Vec<_>>() == shown;
        assert!(ran.out.lines().any(is_told), "{line}: {ran:?}");
    }

    let listed = program.run(&["job", "list", "--json"]).json();
    let names: Vec<_> = listed.iter().map(|job| job["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["greet", "often"]);
    assert_eq!((&listed[0]["args"], &listed[0]["task"]), (&Value::Null, &"say".into()));
    assert_eq!(listed[0]["last"]["by_hand"], true);
    let ran = program.run(&["job", "list", "--prefix", "gr"]);
    assert!(ran.out.lines().count() == 2 && ran.out.contains("succeeded, "), "{ran:?}");
    let ran = program.run(&["job", "next", "--job", "greet", "--count", "2", "--json"]);
    assert!(ran.ok && ran.out.lines().count() == 2, "{ran:?}");
    assert!(ran.out.lines().all(|line| line.ends_with("-12-31T23:00:00.000Z\"}")), "{ran:?}");

    assert!(program.run(&["job", "remove", "greet"]).ok);
    let removed = one(&program.run(&["job", "remove", "often", "--json"]));
    assert_eq!((&removed["name"], &removed["removed"]), (&"often".into(), &true.into()));
    assert_eq!(program.run(&["job", "list", "--json"]).out, "");
    node.stop();
}

#[test]
fn where_a_command_line_stands_is_told_to_whoever_looks_for_it_here() {
    let program = Program::new();
    for args in [
        &["add", "a", "--run", "echo hi"][..],
        &["add", "a", "--every", "1h", "--run", "pg_dump", "--file=/x", "shop"],
        &["add", "a", "--run=echo hi", "--task", "say"],
        &["add", "a", "--run"],
        &["add", "a", "--command", "echo hi"],
        &["edit", "a", "--run", "echo hi"],
    ] {
        let ran = program.run(&[&["job"], args].concat());
        assert_eq!(
            (ran.code, ran.out.as_str()),
            (Some(2), ""),
            "as any option that is none: {ran:?}"
        );
        assert!(ran.err.starts_with("error: nodes run only commands that stand in"), "{ran:?}");
        for told in ["[jobs.NAME] with run = [", "[tasks.TASK] with command = [", "--task TASK"] {
            assert!(ran.err.contains(told), "{told}: {ran:?}");
        }
        assert!(!ran.err.contains("--cron"), "{ran:?}");
    }
    let ran = program.run(&["job", "add", "--help"]);
    assert!(ran.ok && !ran.out.contains("--run"), "{ran:?}");
}

#[test]
fn an_offset_is_no_zone_and_none_is_offered_that_means_the_opposite() {
    let program = Program::new();
    let next = |zone: &str| program.run(&["job", "next", "@daily", "--timezone", zone]);
    let ran = next("GMT+2");
    assert!(ran.code == Some(1) && !ran.err.contains("Etc/"), "{ran:?}");
    assert!(ran.err.contains("an offset from UTC is no zone, "), "{ran:?}");
    assert!(next("Etc/GMT+2").out.contains(" 00:00:00 -02:00"));
}

/// What a database has of a place whose clocks are always a quarter to six hours ahead.
fn zone_file() -> Vec<u8> {
    let offset: i32 = 5 * 3_600 + 45 * 60;
    // No changes and one offset, of which follows that it is no summer time and what it is called.
    let counts = [0_u32, 0, 0, 0, 1, 4].map(u32::to_be_bytes).concat();
    [b"TZif", &[0; 16][..], &counts, &offset.to_be_bytes(), &[0, 0], b"NOW\0"].concat()
}

#[test]
fn a_database_of_time_zones_that_the_environment_names_is_the_one_that_counts() {
    let program = Program::new();
    let dir = program.path("zoneinfo");
    fs::create_dir_all(format!("{dir}/Test")).unwrap();
    fs::write(format!("{dir}/Test/Nowhere"), zone_file()).unwrap();
    let next = |directory: &str, zone: &str| {
        let mut next = program.command(&["job", "next", "@daily", "--timezone", zone]);
        Ran::from(next.env("TZDIR", directory).output().unwrap())
    };
    let ran = next(&dir, "Test/Nowhere");
    assert!(ran.ok && ran.out.contains(" 00:00:00 +05:45"), "{ran:?}");
    let ran = next(&dir, "Europe/Berlin");
    assert!(!ran.ok && ran.err.contains("there is no time zone \"Europe/Berlin\""), "{ran:?}");
    // Without it those of the binary count, and so they do if there is none.
    for directory in ["", "/nowhere"] {
        assert!(next(directory, "Europe/Berlin").ok, "{directory}");
        let ran = next(directory, "Test/Nowhere");
        assert!(!ran.ok && ran.err.contains("no time zone \"Test/Nowhere\""), "{ran:?}");
    }
}

#[test]
fn a_tick_that_each_node_runs_is_shown_node_by_node() {
    let program = Program::new();
    let node = Node::start(&program);
    let add = ["job", "add", "all", "--cron", "@yearly", "--task", "umbel.noop", "--on", "each"];
    assert!(program.run(&add).ok);
    assert!(program.run(&["job", "run", "all"]).ok);
    let history = ["job", "history", "all"];
    eventually("it has run", || program.run(&history).out.contains("succeeded"));
    let ran = program.run(&history);
    let lines: Vec<_> = ran.out.lines().collect();
    assert_eq!(lines.len(), 3, "{ran:?}");
    assert!(lines[1].contains("1 node") && lines[2].trim_start().starts_with("a "), "{ran:?}");
    node.stop();
}

#[test]
fn a_job_for_which_there_is_no_node_says_which_labels_are_wanted() {
    let program = Program::new();
    let node = Node::start(&program);
    let told = "no node that serves has the labels role=db,zone=a";
    for (name, on) in [("first", "one"), ("second", "each")] {
        let add = ["job", "add", name, "--cron", "@yearly", "--task", "umbel.noop", "--on", on];
        let ran = program.run(&[&add[..], &["--select", "zone=a,role=db"]].concat());
        assert!(ran.ok && ran.err.contains(told), "{ran:?}");
        for line in [&["job", "show", name, "--json"][..], &["job", "edit", name, "--every", "1h"]]
        {
            let ran = program.run(line);
            assert!(ran.ok && ran.err.contains(told), "{ran:?}");
        }
        let ran = program.run(&["job", "run", name]);
        assert!(format!("{}{}", ran.out, ran.err).contains(told), "{ran:?}");
        assert_eq!(ran.ok, on == "one", "a task for one node waits for it: {ran:?}");
    }
    let ran = program.run(&["job", "list"]);
    assert!(ran.out.contains("one role=db,zone=a (no node)"), "{ran:?}");
    let listed = program.run(&["job", "list", "--json"]).json();
    assert!(listed.iter().all(|job| job["placed"] == false), "{listed:?}");
    let ran = program.run(&["job", "edit", "first", "--unset", "select"]);
    assert!(ran.ok && ran.err.is_empty(), "{ran:?}");
    node.stop();
}

#[test]
fn what_cannot_be_is_told_with_what_to_do() {
    let program = Program::new();
    let node = Node::start(&program);
    let add = |more: &[&str]| program.run(&[&["job", "add", "x"][..], more].concat());
    assert!(add(&["--every", "1h", "--task", "say"]).ok);
    let ran = add(&["--every", "2h", "--task", "say"]);
    assert!(!ran.ok && ran.err.contains("there is a job x already"), "{ran:?}");
    for (args, told) in [
        (&["job", "add", "y", "--every", "1h", "--task", "sya"][..], "did you mean say?"),
        (
            &["job", "add", "y", "--every", "1h", "--task", "say", "--alert", "sya"],
            "did you mean say?",
        ),
        (&["job", "show", "y"], "there is no job y; see `umbel job list`"),
        (&["job", "history", "y"], "there is no job y"),
        (&["job", "edit", "y", "--every", "1h"], "there is no job y"),
        (&["job", "enable", "y"], "there is no job y"),
        (&["job", "disable", "y"], "there is no job y"),
        (&["job", "run", "y"], "there is no job y"),
        (&["job", "remove", "y"], "there is no job y"),
        (&["job", "next", "--job", "y"], "there is no job y"),
    ] {
        let ran = program.run(args);
        assert!(!ran.ok && ran.out.is_empty() && ran.err.contains(told), "{args:?}: {ran:?}");
        assert!(ran.err.starts_with("error: cannot "), "{ran:?}");
    }
    // What is refused changes nothing, or says what it has.
    let edit = ["job", "edit", "x", "--disabled"];
    let ran = program.run(&[&edit[..], &["--at", "2020-01-01T00:00:00Z"]].concat());
    assert!(!ran.ok && ran.err.contains("is over ("), "{ran:?}");
    assert_eq!(one(&program.run(&["job", "show", "x", "--json"]))["enabled"], true);
    let ran = program.run(&[&edit[..], &["--task", "sya"]].concat());
    let told = ["job x is disabled, but cannot be edited", "did you mean say?"];
    assert!(!ran.ok && told.iter().all(|told| ran.err.contains(told)), "{ran:?}");
    assert_eq!(one(&program.run(&["job", "show", "x", "--json"]))["enabled"], false);
    node.stop();
}

#[test]
fn what_is_typed_wrong_is_told_without_a_cluster() {
    let program = Program::new();
    let ran = program.run(&["job", "add", "x", "--cron", "0 25 * * *", "--task", "a"]);
    assert!(!ran.ok && ran.out.is_empty(), "{ran:?}");
    assert!(ran.err.starts_with("error: `25` is not a hour") || ran.err.contains("25"), "{ran:?}");
    assert!(ran.err.ends_with("\n  | 0 25 * * *\n  |   ^^\n"), "{ran:?}");
    for (args, told) in [
        (&["job", "add", "x", "--task", "a"][..], "say when it ticks"),
        (&["job", "add", "x", "--every", "5m"], "say what it runs"),
        (
            &["job", "add", "x", "--every", "5m", "--task", "a", "--alert-priority", "9"],
            "say which task it is: --alert TASK",
        ),
        (&["job", "add", "x", "--every", "5m", "--alert-priority", "10"], "10 is not in 0..=9"),
        (&["job", "add", "x", "--every", "5m", "--cron", "@daily"], "cannot be used with"),
        (&["job", "add", "x y", "--every", "5m"], "no job can be called"),
        (&["job", "add", "x", "--every", "soon"], "write whole numbers with units"),
        (&["job", "add", "x", "--at", "2020-01-01T00:00:00Z", "--task", "a"], "is over ("),
        (&["job", "add", "x", "--at", "noon", "--task", "a"], "write 2030-03-01T02:30:00"),
        (&["job", "add", "x", "--every", "5m", "--select", "db"], "write key=value"),
        (&["job", "add", "x", "--every", "5m", "--on", "all"], "[possible values: one, each]"),
        (&["job", "edit", "x", "--cron", "* *"], "\n  | * *\n  | ^^^"),
        (&["job", "next", "@reboot"], "\n  | @reboot\n  | ^^^^^^^"),
        (&["job", "next", "@daily", "--timezone", "Paris"], "did you mean Europe/Paris?"),
        (&["job", "next"], "<EXPR"),
        (&["job", "next", "@daily", "--job", "x"], "cannot be used with"),
        (&["job", "history", "x", "--limit", "0"], "0 is not in 1.."),
        (&["job", "list"], "no cluster found on this host"),
    ] {
        let ran = program.run(args);
        assert!(!ran.ok && ran.out.is_empty() && ran.err.contains(told), "{args:?}: {ran:?}");
    }
}

#[test]
fn ticks_are_previewed_without_a_cluster() {
    let program = Program::new();
    let args = [
        "job",
        "next",
        "30 2 * * *",
        "--timezone",
        "Europe/Berlin",
        "--after",
        "2030-03-30T12:00",
        "--count",
        "2",
    ];
    // The clocks of Berlin are put forward over the first one.
    let ran = program.run(&[&args[..], &["--json"]].concat());
    assert!(ran.ok && ran.err.is_empty(), "{ran:?}");
    assert_eq!(
        ran.out,
        "{\"at\":\"2030-03-31T01:00:00.000Z\"}\n{\"at\":\"2030-04-01T00:30:00.000Z\"}\n"
    );
    let ran = program.run(&args);
    let lines: Vec<_> = ran.out.lines().collect();
    assert!(lines[0].starts_with("Sun 2030-03-31 03:00:00 +02:00  in "), "{ran:?}");
    assert!(lines[1].starts_with("Mon 2030-04-01 02:30:00 +02:00  in "), "{ran:?}");
    assert_eq!(program.run(&["job", "next", "@hourly"]).out.lines().count(), 5);
    let ran = program.run(&["job", "next", "* * * * * *", "--count", "1"]);
    assert!(ran.ok && ran.err.contains("this fires every second"), "{ran:?}");
    let ran = program.run(&["job", "next", "30 2 * * * *", "--count", "1"]);
    assert!(ran.ok && ran.err.contains("write \"30 2 * * *\" to fire every day"), "{ran:?}");
}
