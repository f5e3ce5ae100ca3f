//! Asking a cluster through the command line, as users do.

use std::collections::BTreeMap;
use std::fs;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::Value;

use super::program::{Program, Ran};

/// Whoever asks. Clients are many and cheap.
#[derive(Clone, Debug)]
pub struct Client {
    pub(super) program: Program,
    /// The network from which it asks, unless it is loopback.
    pub(super) namespace: Option<String>,
    /// The directory of the cluster, in which it works.
    pub(super) dir: PathBuf,
    /// Nodes to ask, of which one that answers is enough.
    pub(super) through: Vec<SocketAddr>,
}

impl Client {
    /// Asks only through these.
    #[must_use]
    pub fn through(&self, nodes: &[SocketAddr]) -> Self {
        Self { through: nodes.to_vec(), ..self.clone() }
    }

    /// Runs a command that talks to the cluster.
    ///
    /// # Panics
    /// When the program is not there.
    #[must_use]
    pub fn ask(&self, args: &[&str]) -> Ran {
        Ran::of(self.command(args).output().expect("it runs"))
    }

    /// The same, to be run otherwise.
    #[must_use]
    pub fn command(&self, args: &[&str]) -> Command {
        let mut command = command(&self.program, self.namespace.as_deref(), &self.dir);
        let through: Vec<_> = self.through.iter().map(ToString::to_string).collect();
        let tls = self.dir.join("tls");
        command.args(args).arg("--connect").arg(through.join(",")).arg("--tls").arg(tls);
        command.stdin(Stdio::null());
        command
    }

    /// What the cluster tells of itself, a line for each node.
    #[must_use]
    pub fn status(&self) -> Vec<Value> {
        self.ask(&["cluster", "status", "--json"]).json()
    }

    /// Submits `lines`, each a task in JSON; what is said of each.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn submit(&self, lines: &[String]) -> Ran {
        self.submit_file(lines, &[])
    }

    /// The same, and waits for the ends of all; what is known of each then.
    ///
    /// # Panics
    /// When the file cannot be written.
    #[must_use]
    pub fn submit_and_wait(&self, lines: &[String]) -> Ran {
        self.submit_file(lines, &["--wait"])
    }

    fn submit_file(&self, lines: &[String], more: &[&str]) -> Ran {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let file = self.dir.join(format!("work-{number}.jsonl"));
        fs::write(&file, lines.join("\n")).expect("there is room");
        let args = ["submit", "--json", "--from", &file.to_string_lossy()];
        let ran = self.ask(&[&args, more].concat());
        drop(fs::remove_file(&file));
        ran
    }

    /// All tasks that the cluster still has on record, by their ids.
    ///
    /// # Errors
    /// It cannot tell of all of them.
    pub fn tasks(&self) -> Result<BTreeMap<String, Value>, String> {
        self.tasks_of("default")
    }

    /// Those of one queue.
    ///
    /// # Errors
    /// It cannot tell of all of them.
    pub fn tasks_of(&self, queue: &str) -> Result<BTreeMap<String, Value>, String> {
        let args = ["task", "list", "--limit", "10000", "--json", "--queue", queue];
        let ran = self.ask(&args);
        if !ran.ok {
            return Err(ran.err);
        }
        let id = |task: &Value| task["id"].as_str().unwrap_or_default().to_owned();
        Ok(ran.json().into_iter().map(|task| (id(&task), task)).collect())
    }

    /// What there is to know of one task.
    #[must_use]
    pub fn show(&self, id: &str) -> Option<Value> {
        self.ask(&["task", "show", id, "--json"]).json().pop()
    }
}

/// A command in the world of one cluster: it finds nothing else of this host.
pub(super) fn command(program: &Program, namespace: Option<&str>, dir: &Path) -> Command {
    let mut command = match namespace {
        Some(namespace) => {
            let mut command = Command::new("ip");
            command.args(["netns", "exec", namespace]).arg(program.path());
            command
        }
        None => Command::new(program.path()),
    };
    command
        .env("XDG_RUNTIME_DIR", dir.join("run"))
        .env("TMPDIR", dir.join("tmp"))
        .env_remove("UMBEL_CONNECT")
        .env_remove("UMBEL_TLS")
        .current_dir(dir);
    command
}

/// Whether a task has come to its end.
#[must_use]
pub fn has_ended(task: &Value) -> bool {
    ["succeeded", "dead", "cancelled", "expired"].iter().any(|state| task["state"] == **state)
}
