//! A cluster of processes, all on this machine.

use std::fmt::Write as _;
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU16, Ordering};
use std::thread;

use serde_json::Value;
use tempfile::TempDir;

use super::account::Account;
use super::audit::Audit;
use super::client::{self, Client, has_ended};
use super::faults::Faults;
use super::ledger::{self, Ledger};
use super::load::Load;
use super::namespace::Namespace;
use super::node::Node;
use super::patience::{so, until};
use super::program::{Program, system};
use super::skipped;
use super::small_disk::SmallDisk;
use super::switch::{self, FIRST_CLIENT, Switch};

/// What a cluster is to be like.
#[derive(Clone, Debug)]
pub struct Setting {
    /// How many nodes.
    pub nodes: usize,
    /// Copies of every task.
    pub replicas: u8,
    /// Parts of the whole; few, so that small work reaches all of them.
    pub partitions: u16,
    /// Commands that a node runs at once.
    pub slots: u16,
    /// Memory that a node has for tasks.
    pub memory: String,
    /// What its log may take of its disk.
    pub disk_log: String,
    /// What else stands in the configuration.
    pub more: String,
    /// The program that the nodes run.
    pub program: Program,
    /// What the switch draws from, where there is one.
    pub seed: u64,
    /// Variables of the environment of each node, made of its name.
    pub environment: fn(&str, &Path) -> Vec<(String, String)>,
}

impl Setting {
    /// Three nodes with three copies, running the program of this workspace.
    #[must_use]
    pub fn three() -> Self {
        Self::of(Program::built())
    }

    /// The same with another program.
    #[must_use]
    pub fn of(program: Program) -> Self {
        Self {
            nodes: 3,
            replicas: 3,
            partitions: 16,
            slots: 4,
            memory: "1 GiB".to_owned(),
            disk_log: "512 MiB".to_owned(),
            more: String::new(),
            program,
            seed: 1,
            environment: |_, _| Vec::new(),
        }
    }
}

/// Nodes, and what they stand on. All of it goes with its owner.
#[derive(Debug)]
pub struct Cluster {
    /// The nodes, in the order of their names.
    pub nodes: Vec<Node>,
    switch: Option<Switch>,
    /// Of the nodes in their order, then of the clients.
    namespaces: Vec<Namespace>,
    disks: Vec<SmallDisk>,
    setting: Setting,
    /// What was done to nodes that may cost them their runs.
    pub faults: Faults,
    dir: TempDir,
}

/// Where nodes behind a switch listen.
const PORT: u16 = 7_400;
/// Lines of each log that are shown of a cluster that failed.
const LINES_SHOWN: usize = 150;

impl Cluster {
    /// Starts one on loopback and waits until it is whole.
    #[must_use]
    pub fn on_loopback(setting: Setting) -> Self {
        let mut cluster = Self::prepared(setting, false).expect("loopback is there");
        cluster.start_all();
        cluster.is_whole();
        cluster
    }

    /// Starts one whose nodes have networks of their own, and waits until it is whole; none where
    /// that is not allowed.
    #[must_use]
    pub fn networked(setting: Setting) -> Option<Self> {
        let mut cluster = Self::prepared(setting, true).inspect_err(|why| skipped(why)).ok()?;
        cluster.start_all();
        cluster.is_whole();
        Some(cluster)
    }

    /// One of which nothing runs yet.
    ///
    /// # Errors
    /// It should have networks of its own, and may not.
    pub fn prepared(setting: Setting, is_networked: bool) -> Result<Self, String> {
        let dir = TempDir::with_prefix("umbel-real-").expect("a directory");
        for name in ["run", "tmp", "data"] {
            fs::create_dir(dir.path().join(name)).expect("a directory");
        }
        let mut namespaces = Vec::new();
        let mut switch = None;
        let ports: Vec<u8> = (1..).take(setting.nodes).collect();
        if is_networked {
            for _ in 0..=setting.nodes {
                namespaces.push(Namespace::new()?);
            }
            let ports = ports.iter().copied().chain([FIRST_CLIENT]);
            let ports: Vec<_> = ports.zip(&namespaces).collect();
            switch = Some(Switch::start(&ports, setting.seed)?);
        }
        let node = |port: u8| {
            let at = match &switch {
                Some(_) => (switch::address(port, 1), PORT).into(),
                None => free_address(),
            };
            Node::new(name_of(port), port, at, dir.path())
        };
        let nodes: Vec<_> = ports.iter().copied().map(node).collect();
        let (disks, faults) = (Vec::new(), Faults::default());
        let cluster = Self { nodes, switch, namespaces, disks, setting, faults, dir };
        cluster.make_certificates();
        cluster.configure();
        Ok(cluster)
    }

    /// Where everything of it is.
    #[must_use]
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// Whoever asks it, through any node.
    #[must_use]
    pub fn client(&self) -> Client {
        Client {
            program: self.setting.program.clone(),
            namespace: self.namespaces.last().map(|own| own.name().to_owned()),
            dir: self.dir().to_owned(),
            through: self.nodes.iter().map(|node| node.address).collect(),
        }
    }

    /// Whoever asks it through one node only.
    #[must_use]
    pub fn client_of(&self, place: usize) -> Client {
        self.client().through(&[self.nodes[place].address])
    }

    /// Whether its nodes have networks of their own.
    #[must_use]
    pub const fn has_switch(&self) -> bool {
        self.switch.is_some()
    }

    /// Adds to the configuration.
    pub fn declare(&mut self, more: &str) {
        self.setting.more.push_str(more);
        self.configure();
    }

    /// The network between the nodes.
    ///
    /// # Panics
    /// When they are on loopback.
    #[must_use]
    pub const fn switch(&self) -> &Switch {
        self.switch.as_ref().expect("it was started with networks")
    }

    /// The network of a node, or behind all nodes that of the clients.
    ///
    /// # Panics
    /// When they are on loopback.
    #[must_use]
    pub fn namespace(&self, place: usize) -> &Namespace {
        self.namespaces.get(place).expect("it was started with networks")
    }

    /// Notes that something is done to a node from now on which may cost it its runs.
    pub fn fault(&mut self, place: usize) -> &mut Node {
        let node = &mut self.nodes[place];
        self.faults.begin(&node.name);
        node
    }

    /// Notes that nothing is done to a node any more, and that it takes part again.
    pub fn fault_is_over(&mut self, place: usize) {
        self.faults.end(&self.nodes[place].name);
    }

    /// Ends nodes with signal 9, as nearly at once as can be.
    pub fn kill(&mut self, places: &[usize]) {
        for place in places {
            // First to all, then the waiting for them.
            let node = self.fault(*place);
            if node.is_started() {
                node.signal(nix::sys::signal::Signal::SIGKILL);
            }
        }
        for place in places {
            self.nodes[*place].kill();
        }
    }

    /// Starts the process of a node.
    pub fn start(&mut self, place: usize) {
        let command = self.node_command(place, &[]);
        self.nodes[place].start(command);
    }

    /// Starts a node with more arguments.
    pub fn start_with(&mut self, place: usize, more: &[&str]) {
        let command = self.node_command(place, more);
        self.nodes[place].start(command);
    }

    /// Starts all nodes that do not run, and waits until they are ready.
    pub fn start_all(&mut self) {
        let places: Vec<_> =
            (0..self.nodes.len()).filter(|place| !self.nodes[*place].is_started()).collect();
        for place in &places {
            self.start(*place);
        }
        for place in places {
            self.nodes[place].ready();
        }
    }

    /// Puts the data of a node, which does not run, on a small disk.
    ///
    /// # Errors
    /// That is not allowed here.
    pub fn put_on_small_disk(&mut self, place: usize, mib: u32) -> Result<(), String> {
        self.disks.push(SmallDisk::mount(&self.nodes[place].data, mib)?);
        Ok(())
    }

    /// Gives all small disks another size.
    pub fn resize_disks(&self, mib: u32) {
        self.disks.iter().for_each(|disk| disk.resize(mib));
    }

    /// Gives a node, which does not run, another address. Seeds are told of it by [`configure`].
    ///
    /// [`configure`]: Self::configure
    pub fn move_node(&mut self, place: usize) {
        let node = &mut self.nodes[place];
        let Some(_) = &self.switch else {
            node.address = free_address();
            return;
        };
        let SocketAddr::V4(old) = node.address else { unreachable!("only these are given") };
        let [.., nth] = old.ip().octets();
        let new = switch::address(node.port, nth + 1);
        let (device, namespace) = (switch::device(node.port), &self.namespaces[place]);
        // The first address takes all others of its network with it.
        for args in [
            vec!["address", "flush", "dev", &device],
            vec!["address", "add", &format!("{new}/16"), "dev", &device],
        ] {
            namespace.ip(&args).expect("it is ours");
        }
        node.address = (new, PORT).into();
    }

    /// Calls a node, which does not run, by another name from its next start on: to its cluster it is
    /// another node, with data of its own.
    pub fn rename(&mut self, place: usize, name: &str) {
        let tls = self.dir().join("tls").to_string_lossy().into_owned();
        self.umbel(&["ca", "issue", name, "--dir", &tls]);
        let Node { port, address, .. } = self.nodes[place];
        self.nodes[place] = Node::new(name.to_owned(), port, address, self.dir.path());
    }

    /// Waits until all nodes that run are alive, and all partitions have owners and all copies: what was
    /// done to those nodes is over.
    pub fn is_whole(&mut self) {
        let running: Vec<_> = self.nodes.iter().filter(|node| node.is_started()).collect();
        let through: Vec<_> = running.iter().map(|node| node.address).collect();
        let client = self.client().through(&through);
        until("the cluster is whole", || {
            let status = client.status();
            let partitions = u64::from(self.setting.partitions);
            let is_alive = |node: &&&Node| {
                status.iter().any(|line| line["name"] == *node.name && line["state"] == "alive")
            };
            let counts = ["cluster_partitions_owned", "cluster_partitions_whole"];
            let is_whole = running.iter().filter(is_alive).count() == running.len()
                && counts.iter().all(|count| status[0][*count] == partitions);
            so(is_whole, || format!("{status:?}"))
        });
        for node in running {
            self.faults.end(&node.name);
        }
    }

    /// Waits until every partition has an owner, as `client` sees it.
    pub fn is_owned(&self, client: &Client) {
        until("all partitions have owners", || {
            let status = client.status();
            let owned = status.first().map(|node| &node["cluster_partitions_owned"]);
            so(owned == Some(&self.setting.partitions.into()), || format!("{status:?}"))
        });
    }

    /// Waits until a node is taken for `state`, as `client` sees it.
    pub fn is_taken_for(&self, client: &Client, place: usize, state: &str) {
        let name = self.nodes[place].name.as_str();
        until(&format!("{name} is {state}"), || {
            let status = client.status();
            let is_so = status.iter().any(|node| node["name"] == name && node["state"] == state);
            so(is_so, || format!("{status:?}"))
        });
    }

    /// Waits until a node tells `condition` and has given up all partitions for that, as `client` sees it.
    pub fn has_parted(&self, client: &Client, place: usize, condition: &str) {
        let name = self.nodes[place].name.as_str();
        until(&format!("{name} tells \"{condition}\" and owns nothing"), || {
            let status = client.status();
            let line = status.iter().find(|line| line["name"] == name);
            let is_so = |line: &Value| line["condition"] == condition && line["partitions"] == 0;
            so(line.is_some_and(is_so), || format!("{line:?}"))
        });
    }

    /// Waits until a node can do its part again, as `client` sees it.
    pub fn is_serving(&self, client: &Client, place: usize) {
        let name = self.nodes[place].name.as_str();
        until(&format!("{name} serves again"), || {
            let status = client.status();
            let line = status.iter().find(|line| line["name"] == name);
            so(line.is_some_and(|line| line["condition"] == "serving"), || format!("{line:?}"))
        });
    }

    /// Work that takes `time` each, submitted in small pieces until `tasks` are acknowledged.
    #[must_use]
    pub fn load(&self, time: &str, tasks: usize) -> Load {
        Load::start(self.client(), run_line(time), 10, tasks)
    }

    /// What runs have written by now.
    #[must_use]
    pub fn ledger(&self) -> Ledger {
        Ledger::read(&self.ledger_path())
    }

    /// Waits until all that was acknowledged has ended, and compares all that is known.
    ///
    /// # Panics
    /// When something is lost or wrong.
    #[track_caller]
    pub fn audit(&self, account: &Account) -> Audit {
        let client = self.client();
        let mut tasks = until("all that was acknowledged has ended", || {
            let tasks = client.tasks()?;
            let is_open = |id: &&String| !tasks.get(*id).is_some_and(has_ended);
            let open: Vec<_> = account.acknowledged.iter().filter(is_open).collect();
            let first = open.first().map(|id| (id, tasks.get(*id)));
            so(open.is_empty(), || format!("{} have not, such as {first:?}", open.len()))?;
            Ok(tasks)
        });
        tasks.retain(|id, _| account.knows(id));
        let audit = Audit::of(account, &tasks, &self.ledger(), &self.faults);
        assert!(audit.is_clean(), "{audit}");
        audit
    }

    /// Writes the configuration with the addresses that nodes have from their next start on.
    pub fn configure(&self) {
        let Setting { replicas, partitions, slots, memory, disk_log, more, .. } = &self.setting;
        let seeds: Vec<_> = self.nodes.iter().map(|node| node.address.to_string()).collect();
        let (start, end) = (ledger::line("start"), ledger::line("end"));
        let text = format!(
            "[cluster]\nseeds = {seeds:?}\nreplicas = {replicas}\npartitions = {partitions}\n\
             [node]\ndata = {:?}\nmemory = {memory:?}\ndisk_log = {disk_log:?}\n[tls]\ndir = {:?}\n[slots]\ncommand = {slots}\n\
             [tasks.run]\nshell = true\nenv = {{ FOR = \"{{for}}\" }}\n\
             command = '''\n{start}\nsleep \"$FOR\"\n{end}\n'''\n{more}",
            self.dir().join("data"),
            self.dir().join("tls"),
        );
        fs::write(self.dir().join("cluster.toml"), text).expect("it can be written");
    }

    fn make_certificates(&self) {
        let tls = self.dir().join("tls").to_string_lossy().into_owned();
        self.umbel(&["ca", "init", &tls]);
        for node in &self.nodes {
            self.umbel(&["ca", "issue", &node.name, "--dir", &tls]);
        }
        self.umbel(&["ca", "issue", "client", "--dir", &tls, "--client"]);
    }

    fn umbel(&self, args: &[&str]) {
        let program = self.setting.program.path().to_string_lossy();
        system(&program, args).expect("the authority works");
    }

    fn ledger_path(&self) -> PathBuf {
        self.dir().join("ledger")
    }

    fn node_command(&self, place: usize, more: &[&str]) -> std::process::Command {
        let node = &self.nodes[place];
        let namespace = self.namespaces.get(place).map(Namespace::name);
        let mut command = client::command(&self.setting.program, namespace, self.dir());
        command
            .args(["node", "--tethered", "--name", &node.name, "-c"])
            .arg(self.dir().join("cluster.toml"))
            .args(["--listen", &node.address.to_string(), "--data"])
            .arg(&node.data)
            .args(more)
            .env("STALK", &node.name)
            .env("LEDGER", self.ledger_path())
            .envs((self.setting.environment)(&node.name, self.dir()));
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        if thread::panicking() {
            let mut told = String::new();
            for node in &self.nodes {
                let said = node.said();
                let lines: Vec<_> = said.lines().collect();
                let from = lines.len().saturating_sub(LINES_SHOWN);
                let shown = lines[from..].join("\n  ");
                let _ = write!(told, "\n--- {} said\n  {shown}\n", node.name);
            }
            eprintln!("{told}");
            if std::env::var_os("UMBEL_KEEP").is_some() {
                self.dir.disable_cleanup(true);
                eprintln!("kept: {}", self.dir().display());
            }
        }
        for node in &mut self.nodes {
            node.kill();
        }
        // Runs outlive the node that started them; those of namespaces go with these.
        for entry in self.ledger().0 {
            let environment = fs::read(format!("/proc/{}/environ", entry.pid)).unwrap_or_default();
            let mark = format!("LEDGER={}", self.ledger_path().display());
            if environment.split(|byte| *byte == 0).any(|variable| variable == mark.as_bytes()) {
                drop(system("kill", &["-9", "--", &format!("-{}", entry.pid)]));
            }
        }
    }
}

/// A task that takes `time` and writes its start and its end into the ledger.
#[must_use]
pub fn run_line(time: &str) -> String {
    format!(r#"{{"task":"run","args":{{"for":"{time}"}}}}"#)
}

fn name_of(port: u8) -> String {
    char::from(b'a' + port - 1).to_string()
}

/// An address that nobody else uses: each process has a loopback address of its own, and each node a
/// port there.
fn free_address() -> SocketAddr {
    static NEXT: AtomicU16 = AtomicU16::new(PORT);
    // Linux has no process beyond 2^22.
    let [_, high, middle, low] = std::process::id().to_be_bytes();
    let host = Ipv4Addr::new(127, 128 + high, middle, low);
    (host, NEXT.fetch_add(1, Ordering::Relaxed)).into()
}
