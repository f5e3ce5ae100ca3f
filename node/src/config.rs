//! Reading `cluster.toml`: the one file that is the same on every host of a cluster.
//!
//! Reading has two stages. The first takes what stands in the file as typed values with their
//! places (unknown keys and wrong types end here); the second makes a [`Config`] of them, in which
//! everything has its default and its unit and only what makes sense can be said. Both report all
//! problems at once, each with its line and what to write instead.
//!
//! What differs between hosts is not in the file: the name of a node and labels of its own are given
//! when it is started, its data lies below a directory by that name, and `{name}` in the advertised
//! address stands for it. Relative paths start at the directory in which the node is started. The
//! file's own reference is the commented `cluster.toml` at the top of the repository.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};

use toml::de::DeTable;
use umbel_protocol::job::Labels;
use umbel_protocol::limits::{NODE_BYTES_MAX, PARTITIONS_DEFAULT, REPLICAS_DEFAULT};
use umbel_protocol::meta::{Rule, Subject};
use umbel_protocol::task::Template;
use umbel_protocol::time::Span;

mod address;
pub(crate) mod check;
mod command_line;
pub(crate) mod cron_doubt;
mod duplicate;
mod error;
mod jobs;
mod json;
mod keys;
mod nodes;
pub(crate) mod quantity;
mod raw;
mod reader;
mod report;
mod suggest;
mod task;
#[cfg(test)]
mod tests;

pub use self::address::{Advertise, HostPort, InvalidAddress};
#[cfg(feature = "cli")]
pub(crate) use self::command_line::quoted;
pub use self::command_line::{
    CommandLine, ExpandError, InvalidCommandLine, InvalidPattern, Pattern,
};
pub use self::error::{ConfigError, OpenWithoutTls};
pub use self::jobs::{ConfiguredJob, file_hash, jobs_hash};
pub use self::nodes::Nodes;
pub use self::report::{Problem, Report};
pub use self::task::{Command, Invocation, Program, Secret, Task, Webhook, Work};

/// What a cluster is told by its operator.
///
/// The default is what a node without any file uses: a one-node cluster that only this host can
/// reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Config {
    /// The cluster as a whole.
    pub cluster: Cluster,
    /// Each of its nodes.
    pub node: Node,
    /// Where certificates come from.
    pub tls: Tls,
    /// How much runs at once on each node.
    pub slots: Slots,
    /// What is said of nodes with certain labels in place of that.
    pub nodes: Vec<Nodes>,
    /// What is said of queues for each node; `default` is among them.
    pub queues: BTreeMap<String, Queue>,
    /// What is said of queues, and of tasks by name, for the whole cluster.
    pub rules: BTreeMap<Subject, Rule>,
    /// The commands and webhooks that may run, by task name.
    pub tasks: BTreeMap<String, Task>,
    /// What is run periodically, by name.
    pub jobs: Vec<ConfiguredJob>,
    /// What in the file may not do what was meant, if anything.
    pub warnings: Option<Report>,
}

impl Config {
    /// Reads the file at `path`.
    ///
    /// # Errors
    /// It cannot be read, or it says what makes no sense; nothing has been changed.
    pub fn load(path: &Path) -> Result<Self, ConfigError> {
        let name = path.display().to_string();
        let mut bytes = Vec::new();
        // One byte more than allowed is enough to tell, whatever is at the other end.
        let read = File::open(path)
            .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_end(&mut bytes))
            .map(|length| length as u64);
        match read {
            Err(source) => return Err(ConfigError::Read { file: name, source }),
            Ok(length) if length > FILE_BYTES_MAX => {
                return Err(ConfigError::TooLarge { file: name });
            }
            Ok(_) => {}
        }
        match String::from_utf8(bytes) {
            Ok(text) => Self::parse(&name, &text),
            Err(error) => {
                Err(ConfigError::NotText { file: name, at: error.utf8_error().valid_up_to() })
            }
        }
    }

    /// Reads `text`, which reports call `file`.
    ///
    /// # Errors
    /// It says what makes no sense.
    pub fn parse(file: &str, text: &str) -> Result<Self, ConfigError> {
        let mut problems = report::Problems::of(text);
        let config = match DeTable::parse(text) {
            Ok(root) => {
                let raw = raw::RawConfig::read(root.get_ref(), &mut problems);
                check::check(raw, &mut problems)
            }
            // What follows a syntax error cannot be told from it, so it is reported alone.
            Err(error) => {
                let end = text.trim_end().len();
                let place = error.span().unwrap_or(end..end);
                let (what, help) = if error.message() == duplicate::MESSAGE {
                    duplicate::told(text, place.clone())
                } else {
                    (error.message().to_owned(), String::new())
                };
                problems.add(place, what, help);
                Self::default()
            }
        };
        Ok(Self { warnings: problems.into_report(file)?, ..config })
    }

    /// Every key that a file may hold by its whole path, `NAME` standing for the operator's own
    /// names.
    pub fn known_keys() -> impl Iterator<Item = String> {
        keys::all()
    }

    /// Listens elsewhere than the file says: several nodes of one host cannot share its port.
    ///
    /// # Errors
    /// The address is open to others while the cluster has no certificates that others share; the
    /// configuration is as it was.
    pub fn listen_on(&mut self, listen: SocketAddr) -> Result<(), OpenWithoutTls> {
        if !listen.ip().is_loopback() && self.tls.dir.is_none() {
            return Err(OpenWithoutTls { listen });
        }
        self.node.listen = listen;
        Ok(())
    }

    /// Takes the place of what the file says of where a cluster is: it is one of this host, which keeps
    /// everything below `data`.
    pub(crate) fn make_local(&mut self, seeds: Vec<HostPort>, data: PathBuf) {
        self.cluster.seeds = seeds;
        let Node { listen, advertise, .. } = Node::default();
        self.node = Node { listen, advertise, data, ..self.node.clone() };
        // Such a cluster makes its own certificates.
        self.tls = Tls::default();
    }

    /// Everything that the file itself makes runnable, by the names of tasks: `[tasks]`, and the
    /// commands that jobs bring along.
    pub fn runnable(&self) -> impl Iterator<Item = (String, &Task)> {
        let tasks = self.tasks.iter().map(|(name, task)| (name.clone(), task));
        let jobs = self.jobs.iter();
        let commands = jobs.filter_map(|job| Some((job.command_name(), job.command.as_ref()?)));
        tasks.chain(commands)
    }

    /// The variables that hold the secrets of its webhooks.
    pub(crate) fn secret_variables(&self) -> impl Iterator<Item = &str> {
        self.tasks.values().filter_map(|task| match &task.work {
            Work::Webhook(Webhook { secret: Some(Secret::Env(variable)), .. }) => {
                Some(variable.as_str())
            }
            Work::Webhook(_) | Work::Command(_) => None,
        })
    }

    /// Whether tasks may be submitted to `queue`.
    #[must_use]
    pub fn has_queue(&self, queue: &str) -> bool {
        self.queues.contains_key(queue)
    }
}

impl Default for Config {
    fn default() -> Self {
        let queues = [(Template::QUEUE_DEFAULT.to_owned(), Queue::default())].into();
        Self {
            cluster: Cluster::default(),
            node: Node::default(),
            tls: Tls::default(),
            slots: Slots::default(),
            nodes: Vec::new(),
            queues,
            rules: BTreeMap::new(),
            tasks: BTreeMap::new(),
            jobs: Vec::new(),
            warnings: None,
        }
    }
}

/// The cluster as a whole.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cluster {
    /// What people call it; default `umbel`.
    pub name: String,
    /// Nodes to join through, the first of which forms the cluster; none means a cluster of one
    /// node.
    pub seeds: Vec<HostPort>,
    /// Copies of each partition, 1 to [`REPLICAS_MAX`](umbel_protocol::limits::REPLICAS_MAX).
    pub replicas: u8,
    /// Partitions, at most [`PARTITIONS_MAX`](umbel_protocol::limits::PARTITIONS_MAX); read when
    /// the cluster is formed and never again.
    pub partitions: u16,
}

impl Cluster {
    /// How many of the copies vote. The number is odd: the last copy of an even number only learns,
    /// since its vote would make a majority larger and no loss more bearable.
    #[must_use]
    pub const fn voters(&self) -> u8 {
        if self.replicas.is_multiple_of(2) {
            self.replicas.saturating_sub(1)
        } else {
            self.replicas
        }
    }
}

impl Default for Cluster {
    fn default() -> Self {
        Self {
            name: "umbel".to_owned(),
            seeds: Vec::new(),
            replicas: REPLICAS_DEFAULT,
            partitions: PARTITIONS_DEFAULT,
        }
    }
}

/// Each node of the cluster.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Node {
    /// Where it listens; port 0 is any free port.
    pub listen: SocketAddr,
    /// How others reach it, if that is not where it listens.
    pub advertise: Option<Advertise>,
    /// The directory below which each node has one of its own name.
    pub data: PathBuf,
    /// Bytes of log on its disk above which old files are cleared away, at least 32 MiB. Files go one by
    /// one and what is still needed of them is written anew, so it may be somewhat more.
    pub disk_log: u64,
    /// Bytes that should be free on its disk: with fewer it hands over what it owns. Zero if that does
    /// not matter.
    pub disk_reserve: u64,
    /// Most bytes that the records of all tasks on one node take, at least
    /// [`NODE_BYTES_MIN`](umbel_protocol::limits::NODE_BYTES_MIN).
    pub memory: usize,
    /// How long a node that is told to stop may take to hand over what it owns and to let its runs
    /// end, before they are ended. With zero they are ended at once, and run again elsewhere.
    pub stop_patience: Span,
    /// What is said of each node, besides what is said of one alone when it is started. Jobs select
    /// nodes by it.
    pub labels: Labels,
    /// The only queues that it serves; all if nothing is said.
    pub queues: Option<Vec<String>>,
}

impl Node {
    /// How others reach the node called `name`, which listens on `bound`. Where that is a wildcard
    /// address, its name is taken for the name of its host.
    ///
    /// # Errors
    /// The name makes no host name.
    pub fn advertised(&self, name: &str, bound: SocketAddr) -> Result<HostPort, InvalidAddress> {
        match &self.advertise {
            Some(advertise) => advertise.of(name),
            None => Advertise::of_socket(bound).of(name),
        }
    }
}

impl Default for Node {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 7400)),
            advertise: None,
            data: PathBuf::from("umbel-data"),
            disk_log: DISK_LOG,
            disk_reserve: DISK_RESERVE,
            memory: NODE_BYTES_MAX,
            stop_patience: STOP_PATIENCE,
            labels: Labels::NONE,
            queues: None,
        }
    }
}

/// Where certificates come from.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tls {
    /// The directory that `umbel ca init` made. Without one the nodes of this host share an
    /// authority that they make below their data, which only serves a cluster that other hosts
    /// cannot reach.
    pub dir: Option<PathBuf>,
}

/// How many runs of each kind one node has at once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Async handlers: they mostly wait.
    pub asynchronous: u32,
    /// Blocking handlers: each takes a thread.
    pub blocking: u32,
    /// Commands: each is a process.
    pub command: u32,
    /// Webhooks: each holds a connection.
    pub webhook: u32,
    /// What tasks ask for by its name, such as a graphics card: each of their runs takes one, in place of a slot of
    /// its kind or queue.
    pub resources: BTreeMap<String, u32>,
}

impl Default for Slots {
    fn default() -> Self {
        let cores = std::thread::available_parallelism().map_or(1, usize::from);
        let cores = u32::try_from(cores).unwrap_or(SLOTS_MAX).min(SLOTS_MAX / 2);
        // Commands often wait for something else, and one that hangs must not stop all others.
        let (asynchronous, webhook, resources) = (4096, 64, BTreeMap::new());
        Self { asynchronous, blocking: cores, command: 2 * cores, webhook, resources }
    }
}

/// A queue.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Queue {
    /// Most of its tasks that run at once on one node; nothing means as many as the node has slots.
    pub slots: Option<u32>,
    /// Priority of tasks that have none of their own, 0 to 9.
    pub priority: Option<u8>,
}

/// How long a node that is told to stop waits for its runs: longer than most tasks take, and no longer
/// than whoever restarts a host will bear.
const STOP_PATIENCE: Span = Span::from_millis(60_000);
/// Most slots of a kind or queue: beyond it the bookkeeping costs more than a second node.
const SLOTS_MAX: u32 = 65_536;
/// To clear away is to write anew what is still needed of old files, so fewer times are cheaper; half a
/// gigabyte is what the smallest of hosts can spare.
const DISK_LOG: u64 = 512 * 1024 * 1024;
/// A busy partition needs a quarter of a megabyte: enough for some dozens of them.
const DISK_LOG_MIN: u64 = 32 * 1024 * 1024;
/// Under load the log grows by some hundred MiB before it gives any of that back.
const DISK_RESERVE: u64 = 256 * 1024 * 1024;
/// Largest file: a hundred thousand jobs with arguments. While it is read it takes some fifty times its
/// size in memory.
const FILE_BYTES_MAX: u64 = 16 * 1024 * 1024;
