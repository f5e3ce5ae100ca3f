//! What jobs come to: every key, and what it is if it is left out.

use bytes::Bytes;
use serde_json::json;
use umbel_protocol::job::{Alert, Job, Labels, Misfire, On, Overlap, Schedule};
use umbel_protocol::task::{Options, Template};
use umbel_protocol::time::{Span, Wall};

use super::super::{ConfiguredJob, jobs_hash};
use super::{Config, Program, Work, parse};

mod refusals;
mod said;
mod values;
mod warnings;

/// The only job of a file.
fn only(text: &str) -> ConfiguredJob {
    let mut jobs = parse(text).jobs;
    assert_eq!(jobs.len(), 1);
    jobs.remove(0)
}

/// A job that runs `umbel.noop`, with these lines.
fn noop(lines: &str) -> Job {
    only(&format!("[jobs.a]\ntask = \"umbel.noop\"\n{lines}")).job
}

fn seconds(seconds: u64) -> Span {
    Span::from_millis(seconds * 1_000)
}

#[test]
fn what_is_left_out_is_as_for_any_job() {
    let job = only("[jobs.\"db/nightly\"]\ncron = \"@daily\"\ntask = \"umbel.noop\"");
    assert_eq!(job.name.as_str(), "db/nightly");
    assert_eq!((job.line, job.command), (1, None));
    let schedule = Schedule::Cron("@daily".to_owned());
    assert_eq!(job.job, Job::new(schedule, Template::new("umbel.noop")));
}

#[test]
fn every_key_is_heard() {
    let text = r#"
        queues.fast = {}
        [tasks.page]
        webhook = "https://example.net"
        [jobs.a]
        every = "1m30s"
        timezone = "Europe/Berlin"
        task = "work"
        args = { n = 1 }
        queue = "fast"
        attempts = 7
        backoff_first = "2s"
        backoff_max = "20s"
        time_limit = "1h"
        priority = 9
        expires = "5m"
        on = "each"
        select = { role = "db", zone = "a" }
        misfire = "all"
        misfire_max = 3
        misfire_grace = "2m"
        overlap = "replace"
        jitter = "10s"
        start = "2026-07-01T00:00:00"
        end = "2100-01-01T00:00:00Z"
        enabled = false
        max_runs = 5
        report_within = "1d"
        [jobs.a.alert]
        task = "page"
        on = ["missed", "recovery"]
        queue = "fast"
        attempts = 2
        backoff_first = "3s"
        backoff_max = "30s"
        time_limit = "9s"
        priority = 0
    "#;
    let options = Options {
        priority: Some(9),
        attempts_max: Some(7),
        backoff_first: Some(seconds(2)),
        backoff_max: Some(seconds(20)),
        time_limit: Some(seconds(3_600)),
        ..Options::default()
    };
    let of_alert = Options {
        priority: Some(0),
        attempts_max: Some(2),
        backoff_first: Some(seconds(3)),
        backoff_max: Some(seconds(30)),
        time_limit: Some(seconds(9)),
        ..Options::default()
    };
    let template = |name: &str, options| {
        let queue = "fast".to_owned();
        Template { queue, options, ..Template::new(name) }
    };
    let expected = Job {
        schedule: Schedule::Every(seconds(90)),
        timezone: "Europe/Berlin".to_owned(),
        template: template("work", options),
        command: None,
        args: Bytes::from_static(br#"{"n":1}"#),
        expires: Some(seconds(300)),
        on: On::Each,
        select: "role=db,zone=a".parse().unwrap(),
        misfire: Misfire::All { most: 3 },
        misfire_grace: seconds(120),
        overlap: Overlap::Replace,
        jitter: seconds(10),
        // Two hours before, by the clocks of Berlin.
        start: Some(Wall::from_millis(1_782_856_800_000)),
        end: Some(Wall::from_millis(4_102_444_800_000)),
        enabled: false,
        max_runs: Some(5),
        report_within: Some(seconds(86_400)),
        alert: Some(Alert {
            template: template("page", of_alert),
            on_failure: false,
            on_recovery: true,
            on_missed: true,
        }),
        metadata: None,
    };
    let job = only(text);
    assert_eq!(job.job, expected);
    assert_eq!(job.line, 5);
}

#[test]
fn words_say_what_else_there_is() {
    for (line, on) in [("", On::One), ("on = \"one\"", On::One), ("on = \"each\"", On::Each)] {
        assert_eq!(noop(&format!("every = \"1m\"\n{line}")).on, on);
    }
    for (word, misfire) in
        [("skip", Misfire::Skip), ("once", Misfire::Once), ("all", Misfire::All { most: 10 })]
    {
        assert_eq!(noop(&format!("every = \"1m\"\nmisfire = {word:?}")).misfire, misfire);
    }
    for (word, overlap) in
        [("allow", Overlap::Allow), ("forbid", Overlap::Forbid), ("replace", Overlap::Replace)]
    {
        assert_eq!(noop(&format!("every = \"1m\"\noverlap = {word:?}")).overlap, overlap);
    }
}

#[test]
fn times_are_read_where_they_are() {
    let midnight = 4_102_444_800_000;
    for (at, zone, expected) in [
        ("\"2100-01-01T00:00:00Z\"", "UTC", midnight),
        ("\"2100-01-01T01:00:00+01:00\"", "UTC", midnight),
        ("\"2100-01-01T01:00:00+01:00\"", "Asia/Tokyo", midnight),
        ("\"2100-01-01 00:00\"", "UTC", midnight),
        ("\"2100-01-01\"", "UTC", midnight),
        ("2100-01-01", "UTC", midnight),
        ("2100-01-01T00:00:00Z", "Europe/Berlin", midnight),
        ("2100-01-01T00:00:00", "Asia/Tokyo", midnight - 9 * 3_600_000),
        ("2099-12-31 19:00:00-05:00", "UTC", midnight),
        ("\"2099-12-31T23:59:59.5\"", "UTC", midnight - 500),
        // It comes twice, first by summer time.
        ("\"2027-10-31T02:30:00\"", "Europe/Berlin", 1_824_942_600_000),
        ("\"2027-10-31T02:30:00+01:00\"", "Europe/Berlin", 1_824_946_200_000),
    ] {
        let job = noop(&format!("at = {at}\ntimezone = {zone:?}"));
        assert_eq!(job.schedule, Schedule::At(Wall::from_millis(expected)), "{at} in {zone}");
        assert_eq!(job.timezone, zone);
    }
}

#[test]
fn arguments_are_json() {
    for (toml, expected) in [
        ("7", json!(7)),
        ("0xff", json!(255)),
        ("-1.5e3", json!(-1500.0)),
        ("\"a\\\"b\\n\"", json!("a\"b\n")),
        ("[1, [true], {}]", json!([1, [true], {}])),
        ("{ b = 1, a.c = \"x\" }", json!({"a": {"c": "x"}, "b": 1})),
        ("2027-01-01T00:00:00Z", json!("2027-01-01T00:00:00Z")),
        ("[07:32:00, 2027-01-01]", json!(["07:32:00", "2027-01-01"])),
    ] {
        let args = noop(&format!("every = \"1m\"\nargs = {toml}")).args;
        assert_eq!(serde_json::from_slice::<serde_json::Value>(&args).unwrap(), expected, "{toml}");
    }
    assert_eq!(noop("every = \"1m\"").args, "null");
}

#[test]
fn a_command_of_its_own_is_a_task_of_its_own() {
    let config = parse(
        r#"
        [tasks.other]
        command = ["true"]
        [jobs.b]
        cron = "@daily"
        run = "echo $X"
        shell = true
        env = { X = "{x}" }
        cwd = "/tmp"
        capture_bytes = "1 KiB"
        memory = "32 MiB"
        grace = "0s"
        args = { x = "y" }
        attempts = 5
        time_limit = "1m"
        [jobs.a]
        every = "1m"
        run = ["echo", "{x}"]
        args = { x = "-n" }
        "#,
    );
    let names: Vec<_> = config.runnable().map(|(name, _)| name).collect();
    assert_eq!(names, ["other", "job:a", "job:b"]);
    let [a, b] = config.jobs.as_slice() else { panic!("not two jobs") };
    assert_eq!(a.job.template, Template::new("job:a"));
    let command = b.command.as_ref().unwrap();
    let Options { attempts_max, time_limit, .. } = command.options;
    assert_eq!((attempts_max, time_limit), (Some(5), Some(seconds(60))));
    assert_eq!(command.queue, "default");
    assert_eq!(b.job.template.options.attempts_max, Some(5));
    let Work::Command(command) = &command.work else { panic!("not a command") };
    assert_eq!(command.program, Program::Shell("echo $X".to_owned()));
    assert_eq!((command.cwd.as_deref(), command.capture_bytes), (Some("/tmp".as_ref()), 1024));
    assert_eq!((command.memory_bytes, command.grace), (Some(32 << 20), Some(Span::ZERO)));
    assert_eq!(command.env["X"].to_string(), "{x}");
}

#[test]
fn the_name_of_a_task_is_an_alert() {
    let alert = noop("every = \"1m\"\nalert = \"umbel.noop\"").alert.unwrap();
    assert_eq!(alert.template, Template::new("umbel.noop"));
    assert!(alert.on_failure && alert.on_recovery && alert.on_missed);
}

#[test]
fn nodes_have_labels() {
    assert_eq!(parse("").node.labels, Labels::NONE);
    let node = parse("[node]\nlabels = { zone = \"a\", role = \"db\" }").node;
    assert_eq!(node.labels.to_string(), "role=db,zone=a");
}

#[test]
fn the_hash_is_that_of_the_definitions_and_commands() {
    let hash = |text: &str| jobs_hash(&parse(text).jobs);
    let a = "[jobs.a]\nevery = \"1m\"\ntask = \"umbel.noop\"\n";
    let b = "[jobs.b]\nevery = \"2m\"\nrun = [\"true\"]\n";
    let both = hash(&format!("{a}{b}"));
    assert_eq!(both, hash(&format!("# They stand elsewhere.\n\n{b}{a}")));
    assert_eq!(both, hash(&format!("{a}{b}misfire = \"once\"")), "as by default");
    for other in [
        "",
        a,
        b,
        &format!("{a}priority = 1\n{b}"),
        &format!("{a}{b}enabled = false"),
        &format!("{a}{}", b.replace("true", "false")),
        &format!("{a}{}shell = true", b.replace("[\"true\"]", "\"true\"")),
        &format!("{a}{b}env = {{ A = \"b\" }}"),
        &format!("{a}{b}cwd = \"/tmp\""),
        &format!("{a}{b}capture_bytes = \"1 KiB\""),
        &format!("{a}{b}memory = \"1 GiB\""),
        &format!("{a}{b}grace = \"5s\""),
        &format!("{a}{b}grace = \"6s\""),
    ] {
        assert_ne!(both, hash(other), "{other}");
    }
    let mut jobs = parse(&format!("{a}{b}")).jobs;
    jobs.reverse();
    assert_eq!(both, jobs_hash(&jobs));
    // A node of the next version would take the file for a new one.
    assert_eq!(hash(""), 14_144_645_293_874_801_883);
    assert_eq!(both, 1_736_142_370_932_127_153);
}

#[test]
fn many_jobs_with_many_warnings_are_read() {
    let job = |n: usize| {
        format!(
            "[jobs.job-{n}]\ncron = \"{} 3 * * *\"\ntimezone = \"Europe/Berlin\"\ntask = \"t{n}\"\n",
            n % 60
        )
    };
    let text: String = (0..10_000).map(job).collect();
    let config = Config::parse("", &text).unwrap();
    assert_eq!(config.jobs.len(), 10_000);
    assert_eq!(config.warnings.unwrap().problems().len(), 10_000);
}
