//! The second stage of reading: what the values of a file mean, and whether they go together.
//!
//! Each check reports what is wrong and leaves the default in its place, so that the next one has
//! something to work with; the result only counts if nothing has been reported.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::ops::{Range, RangeInclusive};
use std::path::PathBuf;

use toml::Spanned;
use umbel_protocol::job::{InvalidLabel, Labels};
use umbel_protocol::limits::{
    DELAY_MAX, FRAME_BYTES_MAX, NAME_BYTES_MAX, NODE_BYTES_MIN, PARTITIONS_MAX, REPLICAS_MAX,
};
use umbel_protocol::meta::Subject;
use umbel_protocol::time::Span;

use super::address::{Advertise, HostPort};
use super::error::{OPEN_HELP, OpenWithoutTls};
use super::quantity::{self, SIZE_HELP, SPAN_HELP};
use super::raw::{RawCluster, RawConfig, RawNode, RawQueue, RawTls, Text};
use super::report::Problems;
use super::suggest::nearest;
use super::{Cluster, Config, DISK_LOG_MIN, Node, Queue, SLOTS_MAX, Tls};
use crate::work::Registry;

mod command;
mod job;
mod nodes;
pub(crate) mod options;
mod rule;
mod task;

/// The configuration that `raw` stands for.
pub(super) fn check(raw: RawConfig, problems: &mut Problems<'_>) -> Config {
    let mut config = Config::default();
    cluster(raw.cluster, &mut config.cluster, problems);
    tls(raw.tls, &mut config.tls, problems);
    node(raw.node, &config.cluster, &config.tls, &mut config.node, problems);
    nodes::slots(raw.slots, &mut config.slots, problems);
    for (name, raw) in raw.nodes {
        config.nodes.push(nodes::nodes(&name, raw, problems));
        let pools = nodes::resources(&config).len() + nodes::queues(&config).len();
        nodes::check_pools(pools, name.span(), problems);
    }
    let resources = nodes::resources(&config);
    let mut with_slots = nodes::queues(&config);
    for (count, (name, raw)) in raw.queues.into_iter().enumerate() {
        check_name("queue", &name, problems);
        if raw.slots.is_some() && with_slots.insert(name.get_ref().clone()) {
            nodes::check_pools(resources.len() + with_slots.len(), name.span(), problems);
        }
        if count == QUEUES_MAX {
            let problem = format!("there are more than {QUEUES_MAX} queues");
            problems.add(name.span(), problem, "let tasks that are treated alike share one");
        }
        if let Some(rule) = rule::of_queue(&raw, problems) {
            config.rules.insert(Subject::Queue(name.get_ref().clone()), rule);
        }
        config.queues.insert(name.into_inner(), queue(&raw, problems));
    }
    let first = raw.rules.first().map(|(name, _)| name.span());
    for (name, raw) in raw.rules {
        if let Some((subject, rule)) = rule::of_tasks(&name, raw, problems) {
            config.rules.insert(subject, rule);
        }
    }
    rule::check_all(&config.rules, first, problems);
    for (count, (name, raw)) in raw.tasks.into_iter().enumerate() {
        check_name("task", &name, problems);
        if count == TASKS_MAX {
            too_many_tasks(name.span(), problems);
        }
        if let Some(task) = task::task(&name, raw, &config.queues, &resources, problems) {
            config.tasks.insert(name.into_inner(), task);
        }
    }
    config.jobs = job::jobs(raw.jobs, &config, problems);
    config
}

fn too_many_tasks(place: Range<usize>, problems: &mut Problems<'_>) {
    problems.add(
        place,
        format!("there are more than {TASKS_MAX} commands and webhooks"),
        "write down once what differs only in its arguments: [tasks.NAME], and args in each job",
    );
}

fn cluster(raw: RawCluster, cluster: &mut Cluster, problems: &mut Problems<'_>) {
    if let Some(name) = raw.name {
        check_name("cluster", &name, problems);
        cluster.name = name.into_inner();
    }
    let replicas = 1..=i64::from(REPLICAS_MAX);
    integer("replicas", raw.replicas.as_ref(), replicas, &mut cluster.replicas, problems);
    let partitions = 1..=i64::from(PARTITIONS_MAX);
    integer("partitions", raw.partitions.as_ref(), partitions, &mut cluster.partitions, problems);
    let mut places = HashMap::new();
    for seed in raw.seeds.map(Spanned::into_inner).unwrap_or_default() {
        match seed.get_ref().parse::<HostPort>() {
            Ok(address) => {
                if let Some(first) = places.insert(address.clone(), seed.span()) {
                    let line = problems.line_of(&first);
                    problems.add(
                        seed.span(),
                        format!("seed {address} is given twice"),
                        format!("remove it, it already stands in line {line}"),
                    );
                }
                cluster.seeds.push(address);
            }
            Err(error) => problems.add(seed.span(), error.to_string(), SEED_HELP),
        }
    }
}

fn tls(raw: RawTls, tls: &mut Tls, problems: &mut Problems<'_>) {
    // A directory that cannot be one is still an answer: it must not bring a second complaint.
    tls.dir = raw.dir.map(|dir| path("dir", dir, problems).unwrap_or_default());
}

fn node(raw: RawNode, cluster: &Cluster, tls: &Tls, node: &mut Node, problems: &mut Problems<'_>) {
    if let Some(listen) = raw.listen {
        match listen.get_ref().parse::<SocketAddr>() {
            Ok(address) => {
                if !address.ip().is_loopback() && tls.dir.is_none() {
                    let open = OpenWithoutTls { listen: address };
                    problems.add(listen.span(), open.problem(), OPEN_HELP);
                }
                node.listen = address;
            }
            Err(_) => problems.add(
                listen.span(),
                format!("{:?} is not an IP address and a port", listen.get_ref()),
                LISTEN_HELP,
            ),
        }
    }
    if let Some(advertise) = raw.advertise {
        match advertise.get_ref().parse::<Advertise>() {
            Ok(address) if address.is_one_node() && !cluster.seeds.is_empty() => problems.add(
                advertise.span(),
                "every node of the cluster would say that it is reached here",
                "put {name} where the name of the node belongs: \"{name}.example.net:7400\"",
            ),
            Ok(address) => node.advertise = Some(address),
            Err(error) => problems.add(advertise.span(), error.to_string(), ADVERTISE_HELP),
        }
    }
    if let Some(data) = raw.data.and_then(|data| path("data", data, problems)) {
        node.data = data;
    }
    if let Some(log) = raw.disk_log.and_then(|size| disk_log(&size, problems)) {
        node.disk_log = log;
    }
    if let Some(reserve) = raw.disk_reserve.and_then(|size| bytes_of(&size, problems)) {
        node.disk_reserve = reserve;
    }
    if let Some(memory) = raw.memory.and_then(|size| memory(&size, problems)) {
        node.memory = memory;
    }
    let patience = raw.stop_patience.as_ref();
    if let Some(patience) = span("stop_patience", patience, Span::ZERO..=DELAY_MAX, problems) {
        node.stop_patience = patience;
    }
    node.labels = labels(raw.labels, problems);
    node.queues = raw.queues.map(|queues| {
        let queues = queues.into_inner().into_iter();
        queues
            .inspect(|name| check_name("queue", name, problems))
            .map(Spanned::into_inner)
            .collect()
    });
}

fn bytes_of(size: &Text, problems: &mut Problems<'_>) -> Option<u64> {
    let bytes = quantity::size(size.get_ref());
    if bytes.is_none() {
        problems.add(size.span(), format!("{:?} is not a size", size.get_ref()), SIZE_HELP);
    }
    bytes
}

fn memory(size: &Text, problems: &mut Problems<'_>) -> Option<usize> {
    let bytes = bytes_of(size, problems)?;
    let fitting = usize::try_from(bytes).ok().filter(|bytes| *bytes >= NODE_BYTES_MIN);
    if fitting.is_none() {
        let least = NODE_BYTES_MIN / (1024 * 1024);
        problems.add(
            size.span(),
            format!("`memory` cannot be {bytes}"),
            format!("use at least {least} MiB: results are kept in it, too, not only what waits"),
        );
    }
    fitting
}

fn disk_log(size: &Text, problems: &mut Problems<'_>) -> Option<u64> {
    let bytes = bytes_of(size, problems)?;
    if bytes < DISK_LOG_MIN {
        let least = DISK_LOG_MIN / (1024 * 1024);
        problems.add(
            size.span(),
            format!("`disk_log` cannot be {bytes}"),
            format!("use at least {least} MiB: less would be written anew all the time"),
        );
        return None;
    }
    Some(bytes)
}

fn queue(raw: &RawQueue, problems: &mut Problems<'_>) -> Queue {
    let slots = 1..=i64::from(SLOTS_MAX);
    Queue {
        slots: optional("slots", raw.slots.as_ref(), slots, problems),
        priority: optional("priority", raw.priority.as_ref(), PRIORITY, problems),
    }
}

/// The same rule as for the names of a submission: what the file names must be possible to submit.
fn check_name(what: &str, name: &Text, problems: &mut Problems<'_>) {
    let text = name.get_ref();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.chars().all(legal) {
        let shown: String = text.chars().take(40).collect();
        problems.add(
            name.span(),
            format!("{shown:?} cannot be the name of a {what}"),
            format!("use 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ - . : /"),
        );
    } else if what == "task" && text.starts_with(Registry::OURS) {
        problems.add(
            name.span(),
            format!("names that begin with `{}` are umbel's own", Registry::OURS),
            "choose another one",
        );
    }
}

fn integer<T: TryFrom<i64>>(
    name: &str,
    raw: Option<&Spanned<i64>>,
    range: RangeInclusive<i64>,
    into: &mut T,
    problems: &mut Problems<'_>,
) {
    if let Some(value) = optional(name, raw, range, problems) {
        *into = value;
    }
}

fn optional<T: TryFrom<i64>>(
    name: &str,
    raw: Option<&Spanned<i64>>,
    range: RangeInclusive<i64>,
    problems: &mut Problems<'_>,
) -> Option<T> {
    let raw = raw?;
    let value = *raw.get_ref();
    let fitting = if range.contains(&value) { T::try_from(value).ok() } else { None };
    if fitting.is_none() {
        problems.add(
            raw.span(),
            format!("`{name}` cannot be {value}"),
            match *range.end() {
                i64::MAX => format!("use at least {}", range.start()),
                end => format!("use {} to {end}", range.start()),
            },
        );
    }
    fitting
}

fn span(
    name: &str,
    raw: Option<&Text>,
    range: RangeInclusive<Span>,
    problems: &mut Problems<'_>,
) -> Option<Span> {
    let raw = raw?;
    let Some(span) = quantity::span(raw.get_ref()) else {
        let problem = format!("{:?} is not a length of time", raw.get_ref());
        problems.add(raw.span(), problem, SPAN_HELP);
        return None;
    };
    if !range.contains(&span) {
        let (min, max) = (quantity::spelled(*range.start()), quantity::spelled(*range.end()));
        let problem = format!("`{name}` cannot be {}", quantity::spelled(span));
        problems.add(raw.span(), problem, format!("use {min} to {max}"));
        return None;
    }
    Some(span)
}

/// One of a few words.
fn choice<T: Copy>(
    name: &str,
    raw: Option<&Text>,
    choices: &[(&str, T)],
    problems: &mut Problems<'_>,
) -> Option<T> {
    let raw = raw?;
    let word = raw.get_ref().as_str();
    let found = choices.iter().find(|(known, _)| *known == word);
    if found.is_none() {
        let known = || choices.iter().map(|(known, _)| *known);
        let help = nearest(word, known()).map_or_else(
            || {
                format!(
                    "use {}",
                    known().map(|known| format!("{known:?}")).collect::<Vec<_>>().join(" or ")
                )
            },
            |near| format!("did you mean {near:?}?"),
        );
        problems.add(raw.span(), format!("`{name}` cannot be {word:?}"), help);
    }
    found.map(|(_, meaning)| *meaning)
}

/// What is said of a node, or what it must have.
fn labels(raw: Vec<(Text, Text)>, problems: &mut Problems<'_>) -> Labels {
    let mut labels = Labels::NONE;
    for (key, value) in raw {
        match labels.insert(key.get_ref(), value.get_ref()) {
            Ok(()) => {}
            Err(InvalidLabel::Text { text }) => {
                let is_key = Labels::default().insert(key.get_ref(), "x").is_err();
                let (place, what) =
                    if is_key { (key.span(), "key") } else { (value.span(), "value") };
                problems.add(
                    place,
                    format!("{text:?} cannot be the {what} of a label"),
                    "use 1 to 64 of A-Z a-z 0-9 _ - . : /",
                );
            }
            // A table that says a key twice is no TOML, which has been reported.
            Err(InvalidLabel::Twice { .. }) => {}
            Err(error @ InvalidLabel::TooMany) => {
                problems.add(key.span(), error.to_string(), "");
                break;
            }
        }
    }
    labels
}

fn path(name: &str, raw: Text, problems: &mut Problems<'_>) -> Option<PathBuf> {
    if raw.get_ref().is_empty() || raw.get_ref().contains('\0') {
        problems.add(raw.span(), format!("`{name}` is not a path"), "leave it out, or name a path");
        return None;
    }
    Some(PathBuf::from(raw.into_inner()))
}

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && !name.is_empty()
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

/// Neither pauses nor limits can be nothing: retries would spin, and no run could end in time.
const SPAN_MIN: Span = Span::from_millis(1);
const VARIABLE_HELP: &str = "use A-Z a-z 0-9 and _, not starting with a digit";
/// What runs here is told to every other node in one message, with names as long as can be.
const TASKS_MAX: usize = 20_000;
/// The same of queues.
const QUEUES_MAX: usize = 10_000;
const _: () = {
    assert!(TASKS_MAX * (2 * NAME_BYTES_MAX + 64) + QUEUES_MAX * 160 < FRAME_BYTES_MAX);
};
const PRIORITY: RangeInclusive<i64> = 0..=9;
const SEED_HELP: &str =
    "write a seed as host:port, such as \"a.example.net:7400\" or \"[::1]:7400\"";
const LISTEN_HELP: &str =
    "write \"127.0.0.1:7400\" for this host only, \"0.0.0.0:7400\" or \"[::]:7400\" for all";
const ADVERTISE_HELP: &str = "write host:port, with {name} for the name of the node";
