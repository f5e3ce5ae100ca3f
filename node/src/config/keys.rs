//! Every key that `cluster.toml` may hold, in one list.
//!
//! The reader asks for nothing that is not listed here, the hints about misspelt keys come from
//! here, and a test checks that the `cluster.toml` of this repository explains each of them.

/// A key, and a value that shows how it is written.
#[derive(Clone, Copy, Debug)]
pub(super) struct Key {
    pub(super) name: &'static str,
    pub(super) example: &'static str,
}

/// A section: `NAME` in the path stands for the operator's own name.
#[derive(Clone, Copy, Debug)]
pub(super) struct Section {
    pub(super) name: &'static str,
    pub(super) path: &'static str,
    pub(super) keys: &'static [Key],
}

/// Those that stand at the top of a file.
pub(super) const SECTIONS: [&Section; 9] =
    [&CLUSTER, &NODE, &TLS, &SLOTS, &NODES, &QUEUES, &RULES, &TASKS, &JOBS];

pub(super) const CLUSTER: Section = Section {
    name: "cluster",
    path: "cluster",
    keys: &[
        key("name", "\"umbel\""),
        key("seeds", "[\"a.example.net:7400\", \"b.example.net:7400\"]"),
        key("replicas", "3"),
        key("partitions", "256"),
    ],
};

pub(super) const NODE: Section = Section {
    name: "node",
    path: "node",
    keys: &[
        key("listen", "\"127.0.0.1:7400\""),
        key("advertise", "\"{name}.example.net:7400\""),
        key("data", "\"/var/lib/umbel\""),
        key("disk_log", "\"512 MiB\""),
        key("disk_reserve", "\"256 MiB\""),
        key("memory", "\"1 GiB\""),
        key("stop_patience", "\"1m\""),
        key("labels", "{ role = \"db\" }"),
        key("queues", "[\"default\", \"reports\"]"),
    ],
};

pub(super) const TLS: Section =
    Section { name: "tls", path: "tls", keys: &[key("dir", "\"/etc/umbel/tls\"")] };

pub(super) const SLOTS: Section = Section {
    name: "slots",
    path: "slots",
    keys: &[
        key("async", "4096"),
        key("blocking", "4"),
        key("command", "8"),
        key("webhook", "64"),
        key("resources", "{ gpu = 1 }"),
    ],
};

pub(super) const NODES: Section = Section {
    name: "nodes",
    path: "nodes.NAME",
    keys: &[
        key("select", "{ role = \"gpu\" }"),
        key("queues", "[\"default\", \"train\"]"),
        key("slots", "{ command = 2 }"),
        key("resources", "{ gpu = 1 }"),
        key("queue_slots", "{ train = 1 }"),
    ],
};

pub(super) const QUEUES: Section = Section {
    name: "queues",
    path: "queues.NAME",
    keys: &[
        key("slots", "4"),
        key("priority", "5"),
        key("weight", "3"),
        key("rank", "1"),
        key("concurrency", "10"),
        key("rate", "\"100/s\""),
        key("select", "{ role = \"db\" }"),
    ],
};

pub(super) const RULES: Section = Section {
    name: "rules",
    path: "rules.NAME",
    keys: &[
        key("queue", "\"default\""),
        key("priority", "5"),
        key("concurrency", "10"),
        key("rate", "\"100/s\""),
        key("select", "{ role = \"db\" }"),
    ],
};

pub(super) const TASKS: Section = Section {
    name: "tasks",
    path: "tasks.NAME",
    keys: &[
        key("command", "[\"sha256sum\", \"{path}\"]"),
        key("webhook", "\"https://example.net/hook\""),
        key("queue", "\"default\""),
        key("attempts", "3"),
        key("backoff_first", "\"1s\""),
        key("backoff_max", "\"10m\""),
        key("backoff_list", "[\"1s\", \"30s\", \"5m\"]"),
        key("time_limit", "\"1m30s\""),
        key("soft_limit", "\"1m\""),
        key("expires", "\"10m\""),
        key("deadline", "\"1h\""),
        key("crashes", "3"),
        key("at_most_once", "true"),
        key("unique_until", "\"finished\""),
        key("if_exists", "\"replace\""),
        key("concurrency", "2"),
        key("rate", "\"100/s\""),
        key("exclusive", "true"),
        key("lost_after", "\"30s\""),
        key("retention", "\"7d\""),
        key("ignore_result", "true"),
        key("resource", "\"gpu\""),
        key("priority", "5"),
        key("redact", "[\"password\"]"),
        key("shell", "true"),
        key("env", "{ LANG = \"C\" }"),
        key("cwd", "\"/srv\""),
        key("capture_bytes", "\"64 KiB\""),
        key("memory", "\"512 MiB\""),
        key("grace", "\"30s\""),
        key("headers", "{ x-team = \"billing\" }"),
        key("secret_env", "\"HOOK_SECRET\""),
        key("secret_file", "\"/etc/umbel/hook.secret\""),
        key("allow_private", "true"),
    ],
};

pub(super) const JOBS: Section = Section {
    name: "jobs",
    path: "jobs.NAME",
    keys: &[
        key("cron", "\"0 3 * * *\""),
        key("every", "\"15m\""),
        key("at", "\"2027-01-01T00:00:00Z\""),
        key("timezone", "\"Europe/Berlin\""),
        key("task", "\"sha256\""),
        key("run", "[\"backup.sh\", \"--full\"]"),
        key("args", "{ path = \"/etc/hosts\" }"),
        key("queue", "\"default\""),
        key("attempts", "3"),
        key("backoff_first", "\"1s\""),
        key("backoff_max", "\"10m\""),
        key("backoff_list", "[\"1s\", \"30s\", \"5m\"]"),
        key("time_limit", "\"1m30s\""),
        key("soft_limit", "\"1m\""),
        key("deadline", "\"1h\""),
        key("crashes", "3"),
        key("at_most_once", "true"),
        key("lost_after", "\"30s\""),
        key("retention", "\"30d\""),
        key("ignore_result", "true"),
        key("priority", "5"),
        key("expires", "\"1h\""),
        key("shell", "true"),
        key("env", "{ LANG = \"C\" }"),
        key("cwd", "\"/srv\""),
        key("capture_bytes", "\"64 KiB\""),
        key("memory", "\"512 MiB\""),
        key("grace", "\"30s\""),
        key("on", "\"each\""),
        key("select", "{ role = \"db\" }"),
        key("misfire", "\"once\""),
        key("misfire_max", "10"),
        key("misfire_grace", "\"1m\""),
        key("overlap", "\"forbid\""),
        key("jitter", "\"5m\""),
        key("start", "\"2027-01-01T00:00:00Z\""),
        key("end", "\"2028-01-01T00:00:00Z\""),
        key("enabled", "false"),
        key("max_runs", "10"),
        key("report_within", "\"1h\""),
        key("alert", "{ task = \"page\", on = [\"failure\"] }"),
        key("redact", "[\"password\"]"),
        key("labels", "{ tenant = \"acme\" }"),
        key("headers", "{ locale = \"de\" }"),
        key("display_name", "\"Nightly backup\""),
    ],
};

/// A table within one of a job.
pub(super) const ALERT: Section = Section {
    name: "alert",
    path: "jobs.NAME.alert",
    keys: &[
        key("task", "\"page\""),
        key("on", "[\"failure\", \"recovery\", \"missed\"]"),
        key("queue", "\"default\""),
        key("attempts", "3"),
        key("backoff_first", "\"1s\""),
        key("backoff_max", "\"10m\""),
        key("time_limit", "\"1m30s\""),
        key("priority", "5"),
    ],
};

/// Those keys of a task, or of a job with `run`, that only a command has.
pub(super) const COMMAND_ONLY: [&str; 6] =
    ["shell", "env", "cwd", "capture_bytes", "memory", "grace"];
/// Those keys of a task that only a webhook has.
pub(super) const WEBHOOK_ONLY: [&str; 4] =
    ["headers", "secret_env", "secret_file", "allow_private"];

/// Every key by its whole path, such as `cluster.seeds` and `queues.NAME.slots`.
pub(super) fn all() -> impl Iterator<Item = String> {
    SECTIONS
        .into_iter()
        .chain([&ALERT])
        .flat_map(|section| section.keys.iter().map(|key| format!("{}.{}", section.path, key.name)))
}

/// The section whose key this is, for those who wrote it elsewhere.
pub(super) fn home_of(name: &str) -> Option<&'static Section> {
    SECTIONS.into_iter().find(|section| section.keys.iter().any(|key| key.name == name))
}

/// What is written by those who know it from elsewhere, and the key that they mean.
const MEANT: [(&str, &str); 20] = [
    ("command", "run"),
    ("cmd", "run"),
    ("cmd", "command"),
    ("run", "command"),
    ("schedule", "cron"),
    ("interval", "every"),
    ("tz", "timezone"),
    ("timeout", "time_limit"),
    ("soft_time_limit", "soft_limit"),
    ("kill_timeout", "grace"),
    ("grace_period", "grace"),
    ("ttl", "expires"),
    ("retry_delays", "backoff_list"),
    ("retries", "attempts"),
    ("max_retries", "attempts"),
    ("url", "webhook"),
    ("tags", "labels"),
    ("meta", "labels"),
    ("title", "display_name"),
    ("nodes", "select"),
];

/// What to write instead of `name` in a section with the keys `known`, where that is no matter of
/// spelling.
pub(super) fn meant(name: &str, known: &[Key]) -> Option<String> {
    let has = |name: &str| known.iter().any(|key| key.name == name);
    if let Some((_, key)) = MEANT.iter().find(|(wrong, key)| *wrong == name && has(key)) {
        let remark = match *key {
            "run" => ", which is the command of a job",
            "attempts" => ", which counts the first one, too",
            _ => "",
        };
        return Some(format!("did you mean `{key}`{remark}?"));
    }
    // Neither a job nor an alert has one of its own, but the task that they name may.
    let is_work = matches!(name, "command" | "run" | "cmd" | "webhook" | "url");
    (has("task") && is_work).then(|| {
        format!("`{name}` belongs to [tasks.NAME]; give a task one, and name it: task = \"NAME\"")
    })
}

const fn key(name: &'static str, example: &'static str) -> Key {
    Key { name, example }
}
