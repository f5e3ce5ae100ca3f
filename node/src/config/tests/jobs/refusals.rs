//! Jobs that are refused. Each case is a whole file and the whole report on it.

use super::super::{Config, refused};

#[test]
fn a_job_has_one_schedule() {
    refused(&[
        (
            r#"[jobs.a]
task = "umbel.noop""#,
            r#"
error: job `a` has no schedule
 --> cluster.toml:1:7
  |
1 | [jobs.a]
  |       ^
  = help: give it a cron = "0 3 * * *", every = "15m" or at = "2027-01-01T00:00:00Z""#,
        ),
        (
            r#"[jobs.a]
every = "1m"
task = "umbel.noop"
cron = "@daily""#,
            r#"
error: job `a` has two schedules
 --> cluster.toml:4:1
  |
4 | cron = "@daily"
  | ^^^^
  = help: keep one of them, and give the other a [jobs.NAME] of its own"#,
        ),
        (
            r#"[jobs.a]
crom = "@daily"
task = "umbel.noop""#,
            r#"
error: unknown key `crom` in [jobs.a]
 --> cluster.toml:2:1
  |
2 | crom = "@daily"
  | ^^^^
  = help: did you mean `cron`?"#,
        ),
    ]);
}

#[test]
fn keys_as_they_are_called_elsewhere_are_understood() {
    for (key, help) in [
        ("command = [\"a\"]", "did you mean `run`, which is the command of a job?"),
        ("webhook = \"https://a\"", "`webhook` belongs to [tasks.NAME]; give a task one"),
        ("timeout = \"1m\"", "did you mean `time_limit`?"),
        ("tz = \"UTC\"", "did you mean `timezone`?"),
        ("retries = 3", "did you mean `attempts`, which counts the first one, too?"),
        ("schedule = \"@daily\"", "did you mean `cron`?"),
        ("interval = \"1m\"", "did you mean `every`?"),
        ("alert = { command = [\"a\"] }", "`command` belongs to [tasks.NAME]; give a task one"),
        ("[tasks.a]\nrun = [\"a\"]", "did you mean `command`?"),
    ] {
        let error = Config::parse("cluster.toml", &format!("[jobs.a]\n{key}\n")).expect_err(key);
        let error = error.to_string();
        assert!(error.contains(&format!("= help: {help}")), "{key}: {error}");
    }
}

#[test]
fn a_job_runs_nothing_that_is_limited_by_a_key() {
    refused(&[
        (
            r#"[tasks.sync]
command = ["true"]
exclusive = true

[jobs.a]
every = "1m"
task = "sync""#,
            r#"
error: task `sync` has `concurrency`, `rate` or `exclusive`, which mean nothing for a job
 --> cluster.toml:7:8
  |
7 | task = "sync"
  |        ^^^^^^
  = help: how many ticks run at once is for `overlap` to say; give the job a task without them"#,
        ),
        (
            r#"[tasks.page]
command = ["true"]
rate = "1/min"

[jobs.a]
every = "1m"
run = ["true"]
alert = "page""#,
            r#"
error: task `page` has `concurrency`, `rate` or `exclusive`, which mean nothing for a job
 --> cluster.toml:8:9
  |
8 | alert = "page"
  |         ^^^^^^
  = help: how many ticks run at once is for `overlap` to say; give the job a task without them"#,
        ),
    ]);
}

#[test]
fn a_job_tells_its_runs_before_they_are_stopped() {
    refused(&[(
        r#"[tasks.slow]
command = ["true"]
time_limit = "30s"

[jobs.a]
every = "1m"
task = "slow"
soft_limit = "40s""#,
        r#"
error: `soft_limit`: it is no shorter than the time limit that the task is declared with
 --> cluster.toml:8:1
  |
8 | soft_limit = "40s"
  | ^^^^^^^^^^
  = help: make it shorter, or say a longer `time_limit` as well"#,
    )]);
}

#[test]
fn a_job_runs_one_thing() {
    refused(&[
        (
            r#"[jobs.a]
every = "1m""#,
            r#"
error: job `a` runs nothing
 --> cluster.toml:1:7
  |
1 | [jobs.a]
  |       ^
  = help: give it the task = "NAME" of a task, or a command: run = ["program", "-x"]"#,
        ),
        (
            r#"[jobs.a]
every = "1m"
run = ["true"]
task = "umbel.noop""#,
            r#"
error: job `a` has both a task and a command
 --> cluster.toml:4:1
  |
4 | task = "umbel.noop"
  | ^^^^
  = help: keep one of them, and give the other a [jobs.NAME] of its own"#,
        ),
        (
            r#"[jobs.a]
every = "1m"
task = "umbel.noop"
env = { A = "b" }
shell = true"#,
            r#"
error: `env` means nothing for a job that runs a task by its name
 --> cluster.toml:4:1
  |
4 | env = { A = "b" }
  | ^^^
  = help: only commands have it: remove it, or give it to the task

error: `shell` means nothing for a job that runs a task by its name
 --> cluster.toml:5:1
  |
5 | shell = true
  | ^^^^^
  = help: only commands have it: remove it, or give it to the task

2 problems in cluster.toml"#,
        ),
        (
            r#"[jobs.a]
every = "1m"
task = "two words""#,
            r#"
error: task name "two words" is not usable: use 1 to 128 of A-Z a-z 0-9 _ - . : /
 --> cluster.toml:3:8
  |
3 | task = "two words"
  |        ^^^^^^^^^^^"#,
        ),
    ]);
}

#[test]
fn the_command_of_a_job_is_a_command() {
    refused(&[
        (
            r#"[jobs.a]
every = "1m"
run = "backup --full""#,
            r#"
error: a command is a list of strings
 --> cluster.toml:3:7
  |
3 | run = "backup --full"
  |       ^^^^^^^^^^^^^^^
  = help: write ["backup", "--full"], or set shell = true"#,
        ),
        (
            r#"[jobs.a]
every = "1m"
run = ["backup", "{path"]
cwd = """#,
            r#"
error: this `{` is not closed
 --> cluster.toml:3:19
  |
3 | run = ["backup", "{path"]
  |                   ^
  = help: write {key} for an argument, {{ for a literal brace

error: `cwd` is not a path
 --> cluster.toml:4:7
  |
4 | cwd = ""
  |       ^^
  = help: leave it out, or name a path

2 problems in cluster.toml"#,
        ),
        (
            r#"[jobs.a]
every = "1m"
run = ["backup", "{path}"]"#,
            r#"
error: the command cannot run: argument `path` is missing: the arguments are not a JSON object
 --> cluster.toml:3:7
  |
3 | run = ["backup", "{path}"]
  |       ^^^^^^^^^^^^^^^^^^^^
  = help: write it into the job: args = { key = "value" }"#,
        ),
        (
            r#"[jobs.a]
every = "1m"
run = "backup"
shell = true
env = { P = "{path}" }
args = { pat = 1 }"#,
            r#"
error: the command cannot run: argument `path` is missing
 --> cluster.toml:6:8
  |
6 | args = { pat = 1 }
  |        ^^^^^^^^^^^
  = help: write it into the job: args = { key = "value" }"#,
        ),
        (
            r#"[jobs.a]
every = "1m"
run = ["a"]
[tasks."job:a"]
command = ["a"]"#,
            "
error: the command of this job is the task `job:a`, and there is one already
 --> cluster.toml:1:7
  |
1 | [jobs.a]
  |       ^
  = help: call one of them something else",
        ),
    ]);
}

#[test]
fn an_alert_names_a_task_that_can_do_with_its_arguments() {
    refused(&[(
        r#"[tasks.t]
command = ["t", "{job}", "{event}", "{tick}", "{at}", "{task}", "{node}", "{failures_in_row}", "{path}"]
env = { OUTPUT = "{output}" }
[jobs.a]
task = "umbel.noop"
every = "1m"
alert = "t""#,
        r#"
error: task `t` cannot run for this alert: argument `path` is missing
 --> cluster.toml:7:9
  |
7 | alert = "t"
  |         ^^^
  = help: the arguments of an alert are job, event, tick, at, task, node, output and failures_in_row: use some of them, or have another task tell"#,
    )]);
}

#[test]
fn an_alert_names_a_task() {
    refused(&[
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
alert = {}"#,
            r#"
error: an alert needs a task
 --> cluster.toml:4:1
  |
4 | alert = {}
  | ^^^^^
  = help: name the one that tells: task = "page""#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
alert = 1"#,
            r#"
error: `alert` must be a table or the name of a task, not an integer
 --> cluster.toml:4:9
  |
4 | alert = 1
  |         ^
  = help: for example: alert = { task = "page", on = ["failure"] }"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
alert = { task = "umbel.noop", on = ["failed", "mist"] }"#,
            r#"
error: `on` cannot be "failed"
 --> cluster.toml:4:38
  |
4 | alert = { task = "umbel.noop", on = ["failed", "mist"] }
  |                                      ^^^^^^^^
  = help: did you mean "failure"?

error: `on` cannot be "mist"
 --> cluster.toml:4:48
  |
4 | alert = { task = "umbel.noop", on = ["failed", "mist"] }
  |                                                ^^^^^^
  = help: use "failure" or "recovery" or "missed"

2 problems in cluster.toml"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
alert = { task = "umbel.noop", on = [] }"#,
            r#"
error: this alert tells of nothing
 --> cluster.toml:4:37
  |
4 | alert = { task = "umbel.noop", on = [] }
  |                                     ^^
  = help: leave `on` out for "failure", "recovery" and "missed", or list some of them"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
alert = { tusk = "umbel.noop" }"#,
            r#"
error: unknown key `tusk` in [jobs.a.alert]
 --> cluster.toml:4:11
  |
4 | alert = { tusk = "umbel.noop" }
  |           ^^^^
  = help: did you mean `task`?"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
alert = """#,
            r#"
error: task name "" is not usable: use 1 to 128 of A-Z a-z 0-9 _ - . : /
 --> cluster.toml:4:9
  |
4 | alert = ""
  |         ^^"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
alert = { task = "umbel.noop", queue = "slow", expires = "1s" }"#,
            r#"
error: there is no queue `slow`
 --> cluster.toml:4:40
  |
4 | alert = { task = "umbel.noop", queue = "slow", expires = "1s" }
  |                                        ^^^^^^
  = help: list it: [queues.slow]

error: unknown key `expires` in [jobs.a.alert]
 --> cluster.toml:4:48
  |
4 | alert = { task = "umbel.noop", queue = "slow", expires = "1s" }
  |                                                ^^^^^^^
  = help: `expires` belongs to [tasks.NAME]

2 problems in cluster.toml"#,
        ),
    ]);
}

#[test]
fn labels_of_nodes_have_their_letters() {
    refused(&[
        (
            r#"[node]
labels = { role = "d b", "é" = "x" }"#,
            r#"
error: "d b" cannot be the value of a label
 --> cluster.toml:2:19
  |
2 | labels = { role = "d b", "é" = "x" }
  |                   ^^^^^
  = help: use 1 to 64 of A-Z a-z 0-9 _ - . : /

error: "é" cannot be the key of a label
 --> cluster.toml:2:26
  |
2 | labels = { role = "d b", "é" = "x" }
  |                          ^^^
  = help: use 1 to 64 of A-Z a-z 0-9 _ - . : /

2 problems in cluster.toml"#,
        ),
        (
            r#"[node]
labels = "role=db""#,
            r#"
error: `labels` must be a table of strings, not a string
 --> cluster.toml:2:10
  |
2 | labels = "role=db"
  |          ^^^^^^^^^
  = help: for example: labels = { role = "db" }"#,
        ),
    ]);
}

#[test]
fn what_is_wrong_with_an_expression_is_shown_in_it() {
    for (cron, line) in [
        ("0 25 * * *", "3 | cron = \"0 25 * * *\"\n  |           ^^"),
        ("* * *", "3 | cron = \"* * *\"\n  |         ^^^^^"),
        ("0 0 30 FEB *", "3 | cron = \"0 0 30 FEB *\"\n  |             ^^"),
        ("@reboot", "3 | cron = \"@reboot\"\n  |         ^^^^^^^"),
        // Nobody can tell where in it the mistake is written.
        ("\\u0030 0 * 13 *", "3 | cron = \"\\u0030 0 * 13 *\"\n  |        ^^^^^^^^^^^^^^^^^"),
    ] {
        let text = format!("[jobs.a]\ntask = \"umbel.noop\"\ncron = \"{cron}\"");
        let report = Config::parse("cluster.toml", &text).expect_err(cron).to_string();
        assert!(report.starts_with("error: "), "{report}");
        assert!(report.ends_with(&format!("\n  |\n{line}")), "{cron}:\n{report}");
    }
}

#[test]
fn the_name_of_a_command_has_room_for_what_it_begins_with() {
    let of = |length, what: &str| {
        Config::parse("", &format!("[jobs.{}]\nevery = \"1m\"\n{what}", "a".repeat(length)))
    };
    assert!(of(124, "run = [\"true\"]").is_ok() && of(128, "task = \"umbel.noop\"").is_ok());
    let error = of(125, "run = [\"true\"]").unwrap_err().to_string();
    assert!(error.contains("= help: use at most 124 characters"), "{error}");
    assert!(of(129, "task = \"umbel.noop\"").is_err());
}

#[test]
fn arguments_and_labels_have_limits() {
    let of = |what: &str| {
        Config::parse("", &format!("[jobs.a]\nevery = \"1m\"\ntask = \"umbel.noop\"\n{what}"))
    };
    let args = |length| of(&format!("args = {:?}", "x".repeat(length)));
    assert!(args(65_534).is_ok());
    let error = args(65_535).unwrap_err().to_string();
    assert!(error.starts_with("error: the arguments take 65537 bytes, 65536 are"), "{error}");
    assert!(error.contains(" --> :4:1\n") && error.contains("= help: put large data"), "{error}");
    let label = |length| of(&format!("select = {{ k = {:?} }}", "x".repeat(length)));
    assert!(label(64).is_ok() && label(65).is_err());
    let labels = |count| {
        let all: Vec<_> = (0..count).map(|n| format!("k{n} = \"v\"")).collect();
        of(&format!("select = {{ {} }}", all.join(", ")))
    };
    assert!(labels(32).is_ok());
    let error = labels(33).unwrap_err().to_string();
    assert!(error.contains("has at most 32 labels"), "{error}");
}

#[test]
fn what_a_node_tells_others_of_itself_has_limits() {
    let tasks = |count: usize| {
        let job = |n| format!("[jobs.j{n}]\nevery = \"1m\"\nrun = [\"true\"]\n");
        let jobs: String = (1..count).map(job).collect();
        Config::parse("", &format!("[tasks.t]\ncommand = [\"true\"]\n{jobs}"))
    };
    assert!(tasks(20_000).is_ok());
    let error = tasks(20_001).unwrap_err().to_string();
    assert!(error.starts_with("error: there are more than 20000 commands and webhooks"), "{error}");
    let queues = |count: usize| {
        Config::parse("", &(0..count).map(|n| format!("[queues.q{n}]\n")).collect::<String>())
    };
    assert!(queues(10_000).is_ok());
    let error = queues(10_001).unwrap_err().to_string();
    assert!(error.starts_with("error: there are more than 10000 queues"), "{error}");
}
