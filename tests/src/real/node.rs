//! One node: its process, and what can be done to it.

use std::fs;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver};
use std::thread;

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use super::patience::{PATIENCE, until};
use super::switch::Port;

/// A node and the directory of its data, whether it runs or not.
#[derive(Debug)]
pub struct Node {
    /// What it is called.
    pub name: String,
    /// The port of the switch behind which it is, if there is a switch.
    pub port: Port,
    /// Where it listens, from its next start on.
    pub address: SocketAddr,
    /// Its own data.
    pub data: PathBuf,
    log: PathBuf,
    process: Option<Process>,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// Tells once that it is ready.
    ready: Receiver<()>,
    is_ready: bool,
    is_paused: bool,
}

impl Node {
    pub(super) fn new(name: String, port: Port, address: SocketAddr, dir: &Path) -> Self {
        let data = dir.join("data").join(&name);
        let log = dir.join(format!("{name}.log"));
        Self { name, port, address, data, log, process: None }
    }

    /// Starts its process.
    pub(super) fn start(&mut self, mut command: Command) {
        assert!(self.process.is_none(), "{} runs", self.name);
        let log = fs::File::options().append(true).create(true).open(&self.log);
        // Whoever reads what it says on its way out ends with it.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log.expect("a log"));
        let mut child = command.spawn().expect("it starts");
        let mut lines = BufReader::new(child.stdout.take().expect("it is piped")).lines();
        let (told, ready) = mpsc::channel();
        thread::spawn(move || {
            while let Some(Ok(line)) = lines.next() {
                if line.contains(" is ready on ") {
                    // Nobody need wait for it.
                    let _ = told.send(());
                }
            }
        });
        self.process = Some(Process { child, ready, is_ready: false, is_paused: false });
    }

    /// Waits until it is ready.
    ///
    /// # Panics
    /// When it does not run, or ends first.
    pub fn ready(&mut self) {
        let process = self.process.as_mut().expect("it runs");
        process.is_ready = process.is_ready || process.ready.recv_timeout(PATIENCE).is_ok();
        assert!(process.is_ready, "{} is not ready: {:?}", self.name, process.child.try_wait());
    }

    /// The number of its process.
    ///
    /// # Panics
    /// When it does not run.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.process.as_ref().expect("it runs").child.id()
    }

    /// Whether it has a process, which need not have noticed its end.
    #[must_use]
    pub const fn is_started(&self) -> bool {
        self.process.is_some()
    }

    /// Whether it was stopped and not continued.
    #[must_use]
    pub fn is_paused(&self) -> bool {
        self.process.as_ref().is_some_and(|process| process.is_paused)
    }

    /// All that its processes have written to their log.
    #[must_use]
    pub fn said(&self) -> String {
        let bytes = fs::read(&self.log).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// Ends it with signal 9.
    pub fn kill(&mut self) {
        if let Some(mut process) = self.process.take() {
            drop(process.child.kill());
            drop(process.child.wait());
        }
    }

    /// Lets it stop in order, and waits for that.
    ///
    /// # Panics
    /// When it does not run, or does not stop.
    pub fn stop(&mut self) -> ExitStatus {
        self.signal(Signal::SIGTERM);
        self.ended()
    }

    /// Waits until its process ends by itself.
    ///
    /// # Panics
    /// When it does not run, or does not end.
    pub fn ended(&mut self) -> ExitStatus {
        let mut process = self.process.take().expect("it runs");
        let status = until(&format!("the end of {}", self.name), || {
            process
                .child
                .try_wait()
                .map_err(|why| why.to_string())?
                .ok_or_else(|| "it runs".to_owned())
        });
        drop(process.child.stdin.take());
        status
    }

    /// How its process has ended, if it has by itself.
    pub fn has_ended(&mut self) -> Option<ExitStatus> {
        let ended = self.process.as_mut()?.child.try_wait().ok().flatten();
        if ended.is_some() {
            self.process = None;
        }
        ended
    }

    /// Makes it stand still. What it has started goes on.
    pub fn pause(&mut self) {
        self.signal(Signal::SIGSTOP);
        if let Some(process) = &mut self.process {
            process.is_paused = true;
        }
    }

    /// Makes it go on.
    pub fn resume(&mut self) {
        self.signal(Signal::SIGCONT);
        if let Some(process) = &mut self.process {
            process.is_paused = false;
        }
    }

    /// Sends it a signal.
    ///
    /// # Panics
    /// When it does not run.
    pub fn signal(&self, signal: Signal) {
        let pid = i32::try_from(self.pid()).expect("Linux has none beyond 2^22");
        kill(Pid::from_raw(pid), signal).expect("it is ours, and not buried");
    }

    /// Bytes of memory that its process has resident.
    #[must_use]
    pub fn resident_bytes(&self) -> u64 {
        let Some(process) = &self.process else { return 0 };
        let status = fs::read_to_string(format!("/proc/{}/status", process.child.id()));
        let status = status.unwrap_or_default();
        let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
        let kib = line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse::<u64>().ok());
        kib.unwrap_or(0) * 1024
    }

    /// Bytes that its data takes on disk.
    #[must_use]
    pub fn disk_bytes(&self) -> u64 {
        bytes_below(&self.data)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.kill();
    }
}

fn bytes_below(dir: &Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let entries = fs::read_dir(dir).into_iter().flatten().flatten();
    let bytes = entries.map(|entry| match entry.metadata() {
        Ok(of) if of.is_dir() => bytes_below(&entry.path()),
        // What is preallocated and never written takes nothing.
        Ok(of) => of.blocks() * 512,
        Err(_) => 0,
    });
    bytes.sum()
}
