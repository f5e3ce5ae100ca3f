//! Jobs that can be what is not meant. Each case is a whole file and all that is said of it.

use super::super::parse;

/// Asserts that each text is taken with exactly this report.
fn warned(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let report = parse(text).warnings.expect(text).to_string();
        assert_eq!(report.trim(), expected.trim(), "\nin:\n{text}\nreported:\n{report}\n");
    }
}

#[test]
fn tasks_that_the_file_does_not_know_are_told() {
    warned(&[
        (
            r#"[tasks.page]
webhook = "https://a"
[jobs.a]
every = "1m"
task = "pag"
[jobs.b]
every = "1m"
task = "invoice"
alert = "invoice"
[jobs.c]
every = "1m"
task = "invoice""#,
            r#"
warning: there is no [tasks.pag] here
 --> cluster.toml:5:8
  |
5 | task = "pag"
  |        ^^^^^
  = help: did you mean `page`? else fine if a service registers a handler of that name

warning: there is no [tasks.invoice] here, which is named 2 times more below
 --> cluster.toml:8:8
  |
8 | task = "invoice"
  |        ^^^^^^^^^
  = help: fine if a service registers a handler of that name

2 warnings in cluster.toml"#,
        ),
        (
            r#"[jobs.a]
every = "1m"
run = ["a"]
[jobs.b]
every = "1m"
task = "job:a"
[jobs.c]
every = "1m"
task = "job:b""#,
            r#"
warning: there is no [tasks."job:b"] here
 --> cluster.toml:9:8
  |
9 | task = "job:b"
  |        ^^^^^^^
  = help: did you mean `job:a`? else fine if a service registers a handler of that name"#,
        ),
    ]);
}

#[test]
fn what_is_over_is_told() {
    warned(&[
        (
            r#"[jobs.a]
task = "umbel.noop"
at = "2001-01-01""#,
            r#"
warning: `at` is over: this job does not fire any more
 --> cluster.toml:3:6
  |
3 | at = "2001-01-01"
  |      ^^^^^^^^^^^^
  = help: remove the job, or write a later time"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
end = "2001-01-01""#,
            r#"
warning: `end` is over: this job does not fire any more
 --> cluster.toml:4:7
  |
4 | end = "2001-01-01"
  |       ^^^^^^^^^^^^
  = help: remove the job, or write a later time"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
at = "2100-01-01"
end = "2099-01-01""#,
            r#"
warning: this job never fires: there is no tick from its `start` to its `end`
 --> cluster.toml:3:6
  |
3 | at = "2100-01-01"
  |      ^^^^^^^^^^^^
  = help: write other times, or remove the job"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "0 0 29 FEB *"
start = "2101-01-01"
end = "2103-01-01""#,
            r#"
warning: this job never fires: there is no tick from its `start` to its `end`
 --> cluster.toml:3:8
  |
3 | cron = "0 0 29 FEB *"
  |        ^^^^^^^^^^^^^^
  = help: write other times, or remove the job"#,
        ),
    ]);
}

#[test]
fn late_ticks_that_meet_each_other_are_told() {
    warned(&[
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
misfire = "all"
overlap = "forbid""#,
            r#"
warning: the first of several late ticks runs, and `overlap` skips the others
 --> cluster.toml:4:11
  |
4 | misfire = "all"
  |           ^^^^^
  = help: write misfire = "once", or overlap = "allow""#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "1m"
misfire = "all"
overlap = "replace""#,
            r#"
warning: of several late ticks the last one runs, which cancels the others
 --> cluster.toml:4:11
  |
4 | misfire = "all"
  |           ^^^^^
  = help: write misfire = "once", or overlap = "allow""#,
        ),
    ]);
}

#[test]
fn an_alert_that_cannot_tell_of_what_hangs_is_told() {
    warned(&[(
        r#"[tasks.page]
webhook = "https://a"
[jobs.a]
every = "1m"
run = ["a"]
select = { role = "db" }
time_limit = "5s"
alert = "page""#,
        r#"
warning: nobody is told of a run that waits for ever, or never ends
 --> cluster.toml:8:1
  |
8 | alert = "page"
  | ^^^^^
  = help: write report_within = "1h", or as long as it may take"#,
    )]);
    for watched in [
        "report_within = \"5m\"",
        "time_limit = \"5s\"\nexpires = \"5s\"",
        "time_limit = \"5s\"\non = \"each\"",
        "[jobs.a.alert]\ntask = \"page\"\non = [\"failure\"]",
    ] {
        let alert = if watched.contains("[jobs") { "" } else { "alert = \"page\"" };
        let text = format!(
            "[tasks.page]\nwebhook = \"https://a\"\n[jobs.a]\nevery = \"1m\"\nrun = [\"a\"]\n\
             {alert}\n{watched}\n"
        );
        let warnings = parse(&text).warnings;
        assert!(warnings.is_none(), "{text}\n{}", warnings.unwrap());
    }
}

#[test]
fn six_fields_that_may_be_five_are_told() {
    warned(&[
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "30 2 * * * *""#,
            r#"
warning: this fires every hour, at second 30 of minute 2
 --> cluster.toml:3:8
  |
3 | cron = "30 2 * * * *"
  |        ^^^^^^^^^^^^^^
  = help: six fields begin with the second; write "30 2 * * *" to fire every day at 02:30, or "2 * * * *" to fire every hour"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "* 0 3 * * *"
overlap = "forbid""#,
            r#"
warning: this fires every second of each minute that `0 3 * * *` is
 --> cluster.toml:3:8
  |
3 | cron = "* 0 3 * * *"
  |        ^^^^^^^^^^^^^
  = help: six fields begin with the second; write "0 3 * * *" to fire once in each of these minutes"#,
        ),
    ]);
}

#[test]
fn runs_that_may_pile_up_are_told() {
    warned(&[
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "* * * * * *""#,
            r#"
warning: this fires every second
 --> cluster.toml:3:8
  |
3 | cron = "* * * * * *"
  |        ^^^^^^^^^^^^^
  = help: six fields begin with the second; leave that out to fire once a minute; runs pile up if one takes longer; set overlap = "forbid""#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "* * * * * *"
overlap = "forbid""#,
            r#"
warning: this fires every second
 --> cluster.toml:3:8
  |
3 | cron = "* * * * * *"
  |        ^^^^^^^^^^^^^
  = help: six fields begin with the second; leave that out to fire once a minute"#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
cron = "*/2 * * * * *""#,
            r#"
warning: ticks of this are only 2s apart
 --> cluster.toml:3:8
  |
3 | cron = "*/2 * * * * *"
  |        ^^^^^^^^^^^^^^^
  = help: runs pile up if one takes longer; set overlap = "forbid""#,
        ),
        (
            r#"[jobs.a]
task = "umbel.noop"
every = "5s"
time_limit = "6s""#,
            r#"
warning: this fires every 5s
 --> cluster.toml:3:9
  |
3 | every = "5s"
  |         ^^^^
  = help: runs pile up if one takes longer; set overlap = "forbid""#,
        ),
        (
            r#"[tasks.t]
webhook = "https://a"
[jobs.a]
every = "9s"
task = "t""#,
            r#"
warning: this fires every 9s
 --> cluster.toml:4:9
  |
4 | every = "9s"
  |         ^^^^
  = help: runs pile up if one takes longer; set overlap = "forbid""#,
        ),
        (
            r#"[jobs.a]
every = "1s"
run = ["a"]"#,
            r#"
warning: this fires every 1s
 --> cluster.toml:2:9
  |
2 | every = "1s"
  |         ^^^^
  = help: runs pile up if one takes longer; set overlap = "forbid""#,
        ),
    ]);
}

#[test]
fn arguments_that_do_not_fit_their_task_are_told() {
    warned(&[(
        r#"[tasks.t]
command = ["t", "{path}"]
[jobs.a]
every = "1m"
task = "t"
args = { pat = "x" }"#,
        r#"
warning: task `t` cannot run for this job: argument `path` is missing
 --> cluster.toml:5:8
  |
5 | task = "t"
  |        ^^^
  = help: write it into the job: args = { ... }"#,
    )]);
}

#[test]
fn what_is_meant_is_not_warned_of() {
    for job in [
        "every = \"10s\"",
        "every = \"1s\"\noverlap = \"forbid\"",
        "every = \"1s\"\noverlap = \"replace\"",
        "every = \"5s\"\ntime_limit = \"5s\"",
        "cron = \"*/2 * * * * *\"\noverlap = \"forbid\"",
        "cron = \"*/10 * * * * *\"",
        "cron = \"* * * * *\"",
        "at = \"2100-01-01\"\nstart = \"2099-01-01\"\nend = \"2101-01-01\"",
        "cron = \"0 0 29 FEB *\"\nend = \"2101-01-01\"",
        "every = \"1d\"\nend = \"2101-01-01\"",
        "every = \"1d\"\nalert = \"t\"",
    ] {
        let text = format!("[tasks.t]\ncommand = [\"t\"]\n[jobs.a]\ntask = \"umbel.noop\"\n{job}");
        assert_eq!(parse(&text).warnings, None, "{job}");
    }
}

#[test]
fn a_limit_of_the_task_counts() {
    let text = |limit| {
        format!(
            "[tasks.t]\ncommand = [\"t\"]\ntime_limit = \"{limit}\"\n[jobs.a]\nevery = \"5s\"\ntask = \"t\""
        )
    };
    assert!(parse(&text("5s")).warnings.is_none());
    assert!(parse(&text("6s")).warnings.is_some());
}

#[test]
fn a_log_has_a_line_for_each_but_for_tasks_that_are_known_after_all() {
    let config = parse("[jobs.a]\nevery = \"1s\"\ntask = \"x\"\nalert = \"y\"");
    let warnings = config.warnings.unwrap();
    let lines: Vec<_> = warnings.lines(|task| task == "y").collect();
    assert_eq!(
        lines,
        [
            "cluster.toml:2:9: this fires every 1s; runs pile up if one takes longer; set overlap = \
             \"forbid\"",
            "cluster.toml:3:8: there is no [tasks.x] here; fine if a service registers a handler of \
             that name",
        ]
    );
    assert_eq!(warnings.problems().len(), 3);
}
