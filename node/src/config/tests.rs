//! The commented `cluster.toml`, defaults, and what a file comes to.

use std::collections::BTreeSet;

use serde_json::json;
use umbel_protocol::job::{Labels, MISFIRES_DEFAULT, Misfire};
use umbel_protocol::limits::{
    BACKOFF_FIRST_DEFAULT, BACKOFF_MAX_DEFAULT, CAPTURE_BYTES_MAX, JOB_ARGS_BYTES_MAX, MISFIRES_MAX,
};
use umbel_protocol::meta::{Rule, Subject};
use umbel_protocol::task::{Batch, Options, Template};
use umbel_protocol::time::Span;

use super::{Config, ConfigError, Invocation, Program, Queue, Secret, Slots, Work};

mod jobs;
mod meaning;
mod quantities;
mod shape;
mod tasks;
mod treatment;

const REFERENCE: &str = include_str!("../../../cluster.toml");

fn parse(text: &str) -> Config {
    Config::parse("cluster.toml", text).unwrap_or_else(|error| panic!("{error}\n"))
}

/// Asserts that each text is refused with exactly this report.
fn refused(cases: &[(&str, &str)]) {
    for (text, expected) in cases {
        let report = Config::parse("cluster.toml", text).expect_err(text).to_string();
        assert_eq!(report.trim(), expected.trim(), "\nin:\n{text}\nreported:\n{report}\n");
    }
}

/// The reference with every setting on that is off in it.
fn reference_with_all() -> String {
    let on = |line: &str| match line.strip_prefix('#') {
        Some(rest) if rest.starts_with(|c: char| c == '[' || c.is_ascii_lowercase()) => {
            rest.to_owned()
        }
        Some(_) | None => line.to_owned(),
    };
    REFERENCE.lines().map(on).collect::<Vec<_>>().join("\n")
}

#[test]
fn the_reference_serves_three_nodes_of_one_host() {
    let config = parse(REFERENCE);
    let seeds: Vec<_> = config.cluster.seeds.iter().map(ToString::to_string).collect();
    assert_eq!(seeds, ["127.0.0.1:7401", "127.0.0.1:7402", "127.0.0.1:7403"]);
    assert!(config.node.listen.ip().is_loopback() && config.tls.dir.is_none());
    let Work::Command(sha256) = &config.tasks["sha256"].work else { panic!("not a command") };
    let Invocation { argv, .. } = sha256.invocation(&(&json!({"path": "/a b"})).into()).unwrap();
    assert_eq!(argv, ["sha256sum", "--", "/a b"]);
}

#[test]
fn the_reference_explains_every_key_and_no_other() {
    let mut section = String::new();
    let mut explained = BTreeSet::new();
    for line in reference_with_all().lines() {
        if let Some(header) = line.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
            section = match header.split('.').collect::<Vec<_>>().as_slice() {
                [kind, _] => format!("{kind}.NAME"),
                [kind, _, within] => {
                    explained.insert(format!("{kind}.NAME.{within}"));
                    format!("{kind}.NAME.{within}")
                }
                _ => header.to_owned(),
            };
        } else if let Some((key, _)) = line.split_once(" = ").filter(|_| !line.starts_with('#')) {
            explained.insert(format!("{section}.{key}"));
        }
    }
    assert_eq!(explained, Config::known_keys().collect());
}

#[test]
fn every_key_that_is_known_is_read() {
    for path in Config::known_keys() {
        let (section, key) = path.rsplit_once('.').unwrap();
        // No key is infinite or the time of any day, so the one that is read complains.
        let value = if key == "args" { "inf" } else { "07:32:00" };
        let text = format!("[{section}]\n{key} = {value}");
        let error = Config::parse("", &text).unwrap_err().to_string();
        assert!(error.contains(&format!("`{key}` must be ")), "{path}: {error}");
    }
}

#[test]
fn the_settings_that_are_off_in_the_reference_can_be_switched_on() {
    let all = parse(&reference_with_all());
    assert_ne!(all, parse(REFERENCE));
    assert_eq!(all.warnings.map(|warnings| warnings.to_string()), None);
    let names: Vec<_> = all.jobs.iter().map(|job| job.name.as_str()).collect();
    assert_eq!(names, ["backup", "checksums", "new-century"]);
    let Work::Webhook(notify) = &all.tasks["notify"].work else { panic!("not a webhook") };
    assert_eq!(notify.secret, Some(Secret::Env("NOTIFY_SECRET".to_owned())));
    assert_eq!(notify.headers["x-team"], "billing");
}

#[test]
fn what_is_said_of_queues_and_tasks_for_the_whole_cluster_is_kept_apart() {
    let config = parse(
        r#"
[node]
queues = ["mail"]
[queues.mail]
slots = 2
weight = 3
rank = 2
rate = "100/s"
[queues.plain]
priority = 4
[rules."crm.*"]
queue = "mail"
priority = 7
concurrency = 20
select = { role = "crm" }
"#,
    );
    let of_queue = Rule {
        weight: Some(3),
        rank: Some(2),
        rate: Some("100/s".parse().ok()),
        ..Rule::default()
    };
    let of_tasks = Rule {
        queue: Some("mail".to_owned()),
        priority: Some(7),
        concurrency: Some(Some(20)),
        select: Some("role=crm".parse().unwrap()),
        ..Rule::default()
    };
    let rules = [
        (Subject::Queue("mail".to_owned()), of_queue),
        (Subject::Tasks("crm.*".to_owned()), of_tasks),
    ];
    assert_eq!(config.rules, rules.into());
    assert_eq!(config.node.queues, Some(vec!["mail".to_owned()]));
    assert_eq!(config.queues["mail"], Queue { slots: Some(2), priority: None });
}

#[test]
fn the_reference_shows_the_defaults() {
    let (mut shown, default) = (parse(&reference_with_all()), Config::default());
    assert_eq!(shown.cluster.name, default.cluster.name);
    assert_eq!(shown.cluster.replicas, default.cluster.replicas);
    assert_eq!(shown.cluster.partitions, default.cluster.partitions);
    shown.node.advertise = None;
    shown.node.labels = Labels::NONE;
    shown.node.queues = None;
    assert_eq!(shown.node, default.node);
    // The other two depend on the host.
    let Slots { asynchronous, webhook, .. } = default.slots;
    assert_eq!((shown.slots.asynchronous, shown.slots.webhook), (asynchronous, webhook));
    let (written, unsaid) = (&shown.tasks["archive"], &shown.tasks["sha256"]);
    let (said, not_said) = (&written.options, &unsaid.options);
    assert_eq!(said.attempts_max(), not_said.attempts_max());
    assert_eq!(said.backoff_first(), not_said.backoff_first());
    assert_eq!(said.backoff_max(), not_said.backoff_max());
    assert_eq!(said.crashes_max(), not_said.crashes_max());
    let (Work::Command(written), Work::Command(unsaid)) = (&written.work, &unsaid.work) else {
        panic!("not commands")
    };
    assert_eq!(written.capture_bytes, unsaid.capture_bytes);
    assert_eq!(shown.tasks["notify"].options.time_limit, Some(Span::from_millis(30_000)));
    assert!(REFERENCE.contains(&format!("up to \"{} KiB\"", CAPTURE_BYTES_MAX / 1024)));
    let job = |name: &str| &shown.jobs.iter().find(|job| job.name.as_str() == name).unwrap().job;
    let (written, unsaid) = (job("backup"), job("checksums"));
    assert_eq!(unsaid.misfire, Misfire::Once);
    assert_eq!(written.misfire, Misfire::All { most: MISFIRES_DEFAULT });
    assert_eq!(written.misfire_grace, unsaid.misfire_grace);
    assert_eq!(written.enabled, unsaid.enabled);
    assert_eq!(
        written.alert.as_ref().unwrap().on_missed,
        job("new-century").alert.as_ref().unwrap().on_missed
    );
    assert!(REFERENCE.contains(&format!("at most {} KiB of it", JOB_ARGS_BYTES_MAX / 1024)));
    assert!(REFERENCE.contains(&format!("`misfire_max` (1 to {MISFIRES_MAX})")));
}

#[test]
fn an_empty_file_is_no_file() {
    let config = Config::default();
    assert_eq!(parse(""), config);
    assert_eq!(parse("[cluster]\n[node]\n[tls]\n[slots]\n[queues]\n[tasks]\n[jobs]\n"), config);
    assert_eq!(config.node.listen.to_string(), "127.0.0.1:7400");
    assert!(config.cluster.seeds.is_empty());
    assert!(config.slots.blocking >= 1 && config.slots.command >= 2);
    assert!(config.has_queue("default") && !config.has_queue("other"));
}

#[test]
fn values_are_what_was_written() {
    let config = parse(
        r#"
        cluster = { name = "prod.eu", replicas = 4, partitions = 0x400 }
        slots.async = 7
        "#,
    );
    assert_eq!((config.cluster.name.as_str(), config.cluster.partitions), ("prod.eu", 1024));
    assert_eq!((config.cluster.replicas, config.cluster.voters()), (4, 3));
    assert_eq!(config.slots, Slots { asynchronous: 7, ..Slots::default() });
    assert_eq!(parse("cluster.replicas = 2").cluster.voters(), 1);
    assert_eq!(parse("cluster.replicas = 1").cluster.voters(), 1);
    assert_eq!(parse("cluster.replicas = 5").cluster.voters(), 5);

    let config = parse(
        r#"
        [cluster]
        seeds = ["[::1]:7401", "DB.example.net:7400"]
        [node]
        listen = "[::]:7400"
        data = "/var/lib/umbel"
        [tls]
        dir = "/etc/umbel/tls"
        "#,
    );
    let seeds: Vec<_> = config.cluster.seeds.iter().map(ToString::to_string).collect();
    assert_eq!(seeds, ["[::1]:7401", "db.example.net:7400"]);
    let advertised = config.node.advertised("db", config.node.listen).unwrap();
    assert_eq!(advertised.to_string(), "db:7400");
}

#[test]
fn commands_of_a_shell_are_never_written_by_arguments() {
    let config = parse(
        r#"
        [tasks.t]
        command = "awk '{print $1}' \"$FILE\" {path}"
        shell = true
        env = { FILE = "{path}", BRACES = "{{}}" }
        capture_bytes = 0
        "#,
    );
    let Work::Command(command) = &config.tasks["t"].work else { panic!("not a command") };
    assert!(matches!(command.program, Program::Shell(_)) && command.capture_bytes == 0);
    let invocation = command.invocation(&(&json!({"path": "$(reboot)"})).into()).unwrap();
    assert_eq!(invocation.argv, ["/bin/sh", "-c", "awk '{print $1}' \"$FILE\" {path}"]);
    let env = [("BRACES".to_owned(), "{}".to_owned()), ("FILE".to_owned(), "$(reboot)".to_owned())];
    assert_eq!(invocation.env, env);
    assert!(command.invocation(&(&json!({})).into()).is_err());
}

#[test]
fn what_a_submission_leaves_open_comes_from_task_then_queue() {
    let config = parse(
        r#"
        queues.fast = { slots = 2, priority = 7 }
        queues.plain = {}
        [tasks.a]
        command = ["a"]
        queue = "fast"
        attempts = 9
        backoff_first = "2s"
        time_limit = "5s"
        [tasks.b]
        webhook = "http://[::1]:80/b"
        priority = 0
        queue = "fast"
        "#,
    );
    assert_eq!(config.queues["fast"], Queue { slots: Some(2), priority: Some(7) });
    let template = config.tasks["a"].template("a");
    assert_eq!(template.queue, "fast");
    assert_eq!(
        template.options,
        Options {
            priority: None,
            attempts_max: Some(9),
            backoff_first: Some(Span::from_millis(2_000)),
            time_limit: Some(Span::from_millis(5_000)),
            ..Options::default()
        }
    );
    assert_eq!(config.tasks["b"].template("b").options.priority, Some(0));
}

#[test]
fn a_node_listens_to_others_only_with_certificates() {
    let mut config = Config::default();
    config.listen_on("[::1]:7401".parse().unwrap()).unwrap();
    let error = config.listen_on("0.0.0.0:7400".parse().unwrap()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "other hosts can reach 0.0.0.0:7400, but there are no certificates that they could share; \
         make certificates with `umbel ca init` and `umbel ca issue`; copy ca.pem, NAME.pem and \
         NAME.key, never ca.key, to each host and set their directory as dir in [tls]"
    );
    assert_eq!(config.node.listen.to_string(), "[::1]:7401");
    config.tls.dir = Some("tls".into());
    config.listen_on("0.0.0.0:7400".parse().unwrap()).unwrap();
}

#[test]
fn names_of_the_file_are_those_that_can_be_submitted() {
    let long = "x".repeat(128);
    let too_long = "x".repeat(129);
    // An empty name is no queue; in a submission it stands for the declared one.
    for name in ["a", "A.b:c/d-e_9", " ", "a b", "ä", "a\"", &long, &too_long] {
        let template = Template { queue: name.to_owned(), ..Template::new("t") };
        let batch = Batch { templates: vec![template], rows: Vec::new() };
        let text = format!("[queues.{name:?}]");
        assert_eq!(Config::parse("", &text).is_ok(), batch.check().is_ok(), "{name:?}");
    }
}

#[test]
fn files_that_are_no_configuration_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let load = |bytes: &[u8]| {
        let path = dir.path().join("cluster.toml");
        std::fs::write(&path, bytes).unwrap();
        Config::load(&path)
    };
    assert_eq!(load(REFERENCE.as_bytes()).unwrap(), parse(REFERENCE));
    assert!(matches!(load(b"a = \"\xff\""), Err(ConfigError::NotText { at: 5, .. })));
    let most = usize::try_from(super::FILE_BYTES_MAX).unwrap();
    assert!(load(&vec![b'\n'; most]).is_ok());
    assert!(matches!(load(&vec![b'\n'; most + 1]), Err(ConfigError::TooLarge { .. })));
    assert!(matches!(Config::load(&dir.path().join("none")), Err(ConfigError::Read { .. })));
    assert!(matches!(Config::load(dir.path()), Err(ConfigError::Read { .. })));
}

#[test]
fn unsaid_pauses_are_those_of_any_task() {
    let config = parse("[tasks.t]\ncommand = [\"t\"]\ntime_limit = \"1d\"");
    let task = &config.tasks["t"];
    assert_eq!(
        (task.options.backoff_first(), task.options.backoff_max()),
        (BACKOFF_FIRST_DEFAULT, BACKOFF_MAX_DEFAULT)
    );
    assert_eq!(task.options.time_limit, Some(Span::from_millis(86_400_000)));
}
