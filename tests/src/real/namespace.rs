//! A network namespace: a host's own network, of which a switch holds the other end.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use super::program::system;

/// All names begin with it, and go on with the process that made the namespace.
const PREFIX: &str = "umbel-";

/// A network namespace, which goes with its owner, and with it whatever runs in it.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one in which nothing but loopback is up.
    ///
    /// # Errors
    /// That is not allowed here, or there is no `ip`.
    pub fn new() -> Result<Self, String> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        if number == 0 {
            sweep();
        }
        let name = format!("{PREFIX}{}-{number}", std::process::id());
        system("ip", &["netns", "add", &name])?;
        let namespace = Self { name };
        namespace.ip(&["link", "set", "lo", "up"])?;
        Ok(namespace)
    }

    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Where it is found.
    #[must_use]
    pub fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs `ip` in it.
    ///
    /// # Errors
    /// What `ip` complains about.
    pub fn ip(&self, args: &[&str]) -> Result<String, String> {
        system("ip", &[&["-n", &self.name], args].concat())
    }

    /// A command that becomes `program` in it; the process keeps its number.
    #[must_use]
    pub fn command(&self, program: &Path) -> Command {
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.name]).arg(program);
        command
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        remove(&self.name);
    }
}

/// Ends what runs in a namespace, all of which was started by its owner, and removes it.
fn remove(name: &str) {
    for pid in system("ip", &["netns", "pids", name]).unwrap_or_default().split_whitespace() {
        // Who has ended meanwhile needs no more.
        drop(system("kill", &["-9", pid]));
    }
    drop(system("ip", &["netns", "delete", name]));
}

/// Removes namespaces of processes that are gone and could not do it themselves.
fn sweep() {
    let listed = system("ip", &["netns", "list"]).unwrap_or_default();
    for name in listed.lines().filter_map(|line| line.split_whitespace().next()) {
        let owner = name.strip_prefix(PREFIX).and_then(|rest| rest.split_once('-'));
        if let Some((pid, _)) = owner
            && pid.parse::<u32>().is_ok()
            && !fs::exists(format!("/proc/{pid}")).unwrap_or(true)
        {
            remove(name);
        }
    }
}
