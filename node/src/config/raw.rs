//! The first stage of reading: what stands in the file, as typed values and where they stand.
//!
//! Every field is optional here and nothing is judged but its shape: what the values may be, what
//! they are if left out, and how they go together is the business of the second stage.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::keys::{
    CLUSTER, JOBS, NODE, NODES, QUEUES, RULES, SECTIONS, SLOTS, Section, TASKS, TLS, home_of,
};
use super::reader::Reader;
use super::report::Problems;
use super::suggest::nearest;

mod job;

pub(super) use self::job::{RawAlert, RawJob};

pub(super) type Text = Spanned<String>;

/// A whole file.
#[derive(Debug, Default)]
pub(super) struct RawConfig {
    pub(super) cluster: RawCluster,
    pub(super) node: RawNode,
    pub(super) tls: RawTls,
    pub(super) slots: RawSlots,
    pub(super) nodes: Vec<(Text, RawNodes)>,
    pub(super) queues: Vec<(Text, RawQueue)>,
    pub(super) rules: Vec<(Text, RawRule)>,
    pub(super) tasks: Vec<(Text, RawTask)>,
    pub(super) jobs: Vec<(Text, RawJob)>,
}

#[derive(Debug, Default)]
pub(super) struct RawCluster {
    pub(super) name: Option<Text>,
    pub(super) seeds: Option<Spanned<Vec<Text>>>,
    pub(super) replicas: Option<Spanned<i64>>,
    pub(super) partitions: Option<Spanned<i64>>,
}

#[derive(Debug, Default)]
pub(super) struct RawNode {
    pub(super) listen: Option<Text>,
    pub(super) advertise: Option<Text>,
    pub(super) data: Option<Text>,
    pub(super) disk_log: Option<Text>,
    pub(super) disk_reserve: Option<Text>,
    pub(super) memory: Option<Text>,
    pub(super) stop_patience: Option<Text>,
    pub(super) labels: Vec<(Text, Text)>,
    pub(super) queues: Option<Spanned<Vec<Text>>>,
}

#[derive(Debug, Default)]
pub(super) struct RawTls {
    pub(super) dir: Option<Text>,
}

#[derive(Debug, Default)]
pub(super) struct RawSlots {
    pub(super) asynchronous: Option<Spanned<i64>>,
    pub(super) blocking: Option<Spanned<i64>>,
    pub(super) command: Option<Spanned<i64>>,
    pub(super) webhook: Option<Spanned<i64>>,
    pub(super) resources: Vec<(Text, Spanned<i64>)>,
}

/// What is said of nodes with certain labels.
#[derive(Debug)]
pub(super) struct RawNodes {
    pub(super) select: Vec<(Text, Text)>,
    pub(super) queues: Option<Spanned<Vec<Text>>>,
    pub(super) slots: Vec<(Text, Spanned<i64>)>,
    pub(super) resources: Vec<(Text, Spanned<i64>)>,
    pub(super) queue_slots: Vec<(Text, Spanned<i64>)>,
}

#[derive(Debug, Default)]
pub(super) struct RawQueue {
    pub(super) slots: Option<Spanned<i64>>,
    pub(super) priority: Option<Spanned<i64>>,
    pub(super) weight: Option<Spanned<i64>>,
    pub(super) rank: Option<Spanned<i64>>,
    pub(super) shared: RawShared,
}

/// About tasks by name.
#[derive(Debug, Default)]
pub(super) struct RawRule {
    pub(super) queue: Option<Text>,
    pub(super) priority: Option<Spanned<i64>>,
    pub(super) shared: RawShared,
}

/// What holds for a queue, or for tasks of a name, in the whole cluster.
#[derive(Debug, Default)]
pub(super) struct RawShared {
    pub(super) concurrency: Option<Spanned<i64>>,
    pub(super) rate: Option<Text>,
    pub(super) select: Vec<(Text, Text)>,
}

#[derive(Debug, Default)]
pub(super) struct RawTask {
    pub(super) present: Present,
    pub(super) program: RawProgram,
    pub(super) webhook: Option<Text>,
    pub(super) options: RawOptions,
    pub(super) headers: Vec<(Text, Text)>,
    pub(super) secret_env: Option<Text>,
    pub(super) secret_file: Option<Text>,
    pub(super) allow_private: Option<Spanned<bool>>,
    pub(super) resource: Option<Text>,
}

/// What a table holds, whatever can be read of it.
#[derive(Debug, Default)]
pub(super) struct Present {
    /// Where the keys that are there stand, also of those whose values could not be read.
    keys: Vec<(&'static str, Range<usize>)>,
    /// Whether there are also keys that nobody knows.
    pub(super) has_unknown: bool,
}

/// A command, in a task or in a job.
#[derive(Debug, Default)]
pub(super) struct RawProgram {
    pub(super) command: Option<RawCommand>,
    pub(super) shell: Option<Spanned<bool>>,
    pub(super) env: Vec<(Text, Text)>,
    pub(super) cwd: Option<Text>,
    pub(super) capture_bytes: Option<Text>,
    pub(super) memory: Option<Text>,
    pub(super) grace: Option<Text>,
}

/// How tasks are treated.
#[derive(Debug, Default)]
pub(super) struct RawOptions {
    pub(super) queue: Option<Text>,
    pub(super) attempts: Option<Spanned<i64>>,
    pub(super) backoff_first: Option<Text>,
    pub(super) backoff_max: Option<Text>,
    pub(super) backoff_list: Option<Spanned<Vec<Text>>>,
    pub(super) time_limit: Option<Text>,
    pub(super) soft_limit: Option<Text>,
    /// Only of a task: a job says it of its runs.
    pub(super) expires: Option<Text>,
    pub(super) deadline: Option<Text>,
    pub(super) crashes: Option<Spanned<i64>>,
    pub(super) at_most_once: Option<Spanned<bool>>,
    /// This and the next four only of a task.
    pub(super) unique_until: Option<Text>,
    pub(super) if_exists: Option<Text>,
    pub(super) concurrency: Option<Spanned<i64>>,
    pub(super) rate: Option<Text>,
    pub(super) exclusive: Option<Spanned<bool>>,
    /// This and what follows, but for the priority, only of a task and a job.
    pub(super) lost_after: Option<Text>,
    pub(super) retention: Option<Text>,
    pub(super) ignore_result: Option<Spanned<bool>>,
    pub(super) priority: Option<Spanned<i64>>,
    pub(super) redact: Option<Spanned<Vec<Text>>>,
}

#[derive(Debug)]
pub(super) enum RawCommand {
    List(Spanned<Vec<Text>>),
    Text(Text),
}

impl RawConfig {
    /// What stands in `root`; whatever cannot be read is reported and left out.
    pub(super) fn read(root: &DeTable<'_>, problems: &mut Problems<'_>) -> Self {
        for (key, value) in root {
            let name: &str = key.get_ref();
            if !SECTIONS.iter().any(|section| section.name == name) {
                unknown_at_top(name, key.span(), value.get_ref(), problems);
            }
        }
        Self {
            cluster: section(root, CLUSTER, problems, RawCluster::read).unwrap_or_default(),
            node: section(root, NODE, problems, RawNode::read).unwrap_or_default(),
            tls: section(root, TLS, problems, RawTls::read).unwrap_or_default(),
            slots: section(root, SLOTS, problems, RawSlots::read).unwrap_or_default(),
            nodes: named(root, NODES, problems, RawNodes::read),
            queues: named(root, QUEUES, problems, RawQueue::read),
            rules: named(root, RULES, problems, RawRule::read),
            tasks: named(root, TASKS, problems, RawTask::read),
            jobs: named(root, JOBS, problems, RawJob::read),
        }
    }
}

impl RawCluster {
    fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self {
            name: reader.text("name"),
            seeds: reader.texts("seeds"),
            replicas: reader.integer("replicas"),
            partitions: reader.integer("partitions"),
        }
    }
}

impl RawNode {
    fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self {
            listen: reader.text("listen"),
            advertise: reader.text("advertise"),
            data: reader.text("data"),
            disk_log: reader.size("disk_log"),
            disk_reserve: reader.size("disk_reserve"),
            memory: reader.size("memory"),
            stop_patience: reader.text("stop_patience"),
            labels: reader.named_texts("labels"),
            queues: reader.texts("queues"),
        }
    }
}

impl RawTls {
    fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self { dir: reader.text("dir") }
    }
}

impl RawSlots {
    fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self {
            asynchronous: reader.integer("async"),
            blocking: reader.integer("blocking"),
            command: reader.integer("command"),
            webhook: reader.integer("webhook"),
            resources: reader.named_integers("resources"),
        }
    }
}

impl RawNodes {
    fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self {
            select: reader.named_texts("select"),
            queues: reader.texts("queues"),
            slots: reader.named_integers("slots"),
            resources: reader.named_integers("resources"),
            queue_slots: reader.named_integers("queue_slots"),
        }
    }
}

impl RawQueue {
    fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self {
            slots: reader.integer("slots"),
            priority: reader.integer("priority"),
            weight: reader.integer("weight"),
            rank: reader.integer("rank"),
            shared: RawShared::read(&mut reader),
        }
    }
}

impl RawRule {
    fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self {
            queue: reader.text("queue"),
            priority: reader.integer("priority"),
            shared: RawShared::read(&mut reader),
        }
    }
}

impl RawShared {
    fn read(reader: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            concurrency: reader.integer("concurrency"),
            rate: reader.text("rate"),
            select: reader.named_texts("select"),
        }
    }
}

impl RawTask {
    fn read(mut reader: Reader<'_, '_, '_>) -> Self {
        Self {
            present: Present::read(&reader),
            program: RawProgram::read("command", &mut reader),
            webhook: reader.text("webhook"),
            options: RawOptions {
                expires: reader.text("expires"),
                unique_until: reader.text("unique_until"),
                if_exists: reader.text("if_exists"),
                concurrency: reader.integer("concurrency"),
                rate: reader.text("rate"),
                exclusive: reader.boolean("exclusive"),
                ..RawOptions::read_all(&mut reader)
            },
            headers: reader.named_texts("headers"),
            secret_env: reader.text("secret_env"),
            secret_file: reader.text("secret_file"),
            allow_private: reader.boolean("allow_private"),
            resource: reader.text("resource"),
        }
    }
}

impl Present {
    fn read(reader: &Reader<'_, '_, '_>) -> Self {
        Self { keys: reader.present(), has_unknown: reader.has_unknown() }
    }

    /// Where `key` stands, if it is there.
    pub(super) fn key(&self, key: &str) -> Option<Range<usize>> {
        self.keys.iter().find(|(name, _)| *name == key).map(|(_, span)| span.clone())
    }
}

impl RawProgram {
    /// The command is written under `key`.
    fn read(key: &str, reader: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            command: if reader.is_text(key) {
                reader.text(key).map(RawCommand::Text)
            } else {
                reader.texts(key).map(RawCommand::List)
            },
            shell: reader.boolean("shell"),
            env: reader.named_texts("env"),
            cwd: reader.text("cwd"),
            capture_bytes: reader.size("capture_bytes"),
            memory: reader.size("memory"),
            grace: reader.text("grace"),
        }
    }
}

impl RawCommand {
    pub(super) fn span(&self) -> Range<usize> {
        match self {
            Self::List(list) => list.span(),
            Self::Text(text) => text.span(),
        }
    }
}

impl RawOptions {
    /// What may be said wherever a task is named.
    fn read(reader: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            queue: reader.text("queue"),
            attempts: reader.integer("attempts"),
            backoff_first: reader.text("backoff_first"),
            backoff_max: reader.text("backoff_max"),
            time_limit: reader.text("time_limit"),
            priority: reader.integer("priority"),
            ..Self::default()
        }
    }

    /// The same with what is said of tasks and jobs only.
    fn read_all(reader: &mut Reader<'_, '_, '_>) -> Self {
        Self {
            backoff_list: reader.texts("backoff_list"),
            soft_limit: reader.text("soft_limit"),
            deadline: reader.text("deadline"),
            crashes: reader.integer("crashes"),
            at_most_once: reader.boolean("at_most_once"),
            lost_after: reader.text("lost_after"),
            retention: reader.text("retention"),
            ignore_result: reader.boolean("ignore_result"),
            redact: reader.texts("redact"),
            ..Self::read(reader)
        }
    }
}

fn section<T>(
    root: &DeTable<'_>,
    section: Section,
    problems: &mut Problems<'_>,
    read: impl FnOnce(Reader<'_, '_, '_>) -> T,
) -> Option<T> {
    let value = root.get(section.name)?;
    Reader::open(section.name, value, section.keys, problems).map(read)
}

/// The tables of a section whose keys are names of the operator's choice.
fn named<T>(
    root: &DeTable<'_>,
    section: Section,
    problems: &mut Problems<'_>,
    read: impl Fn(Reader<'_, '_, '_>) -> T,
) -> Vec<(Text, T)> {
    let Some(value) = root.get(section.name) else { return Vec::new() };
    let Some(table) = value.get_ref().as_table() else {
        problems.add(
            value.span(),
            format!("`{}` must hold one table for each name", section.name),
            format!("write [{}] and below it its keys", section.path),
        );
        return Vec::new();
    };
    let mut entries = Vec::new();
    for (key, value) in table {
        let name = key.get_ref().to_string();
        let title = format!("{}.{}", section.name, quoted(&name));
        if let Some(reader) = Reader::open(&title, value, section.keys, problems) {
            entries.push((Spanned::new(key.span(), name), read(reader)));
        }
    }
    entries
}

fn unknown_at_top(
    name: &str,
    span: Range<usize>,
    value: &DeValue<'_>,
    problems: &mut Problems<'_>,
) {
    let sections = || SECTIONS.iter().map(|section| section.name);
    let (what, help) = if value.is_table() {
        let help = nearest(name, sections()).map(|near| format!("did you mean [{near}]?"));
        (format!("unknown section [{}]", quoted(name)), help)
    } else {
        let help = home_of(name).map(|home| format!("`{name}` belongs to [{}]", home.path));
        (format!("`{name}` stands outside of all sections"), help)
    };
    let known = || format!("sections are {}", sections().collect::<Vec<_>>().join(", "));
    problems.add(span, what, help.unwrap_or_else(known));
}

/// A name as TOML wants it in a header.
pub(super) fn quoted(name: &str) -> String {
    let bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(bare) { name.to_owned() } else { format!("{name:?}") }
}
