//! Running the binary in a world of its own.

use std::net::UdpSocket;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tempfile::TempDir;

/// The binary, which finds nothing but what the test put into its directory.
pub(crate) struct Program {
    dir: TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ok: bool,
    /// Absent if a signal has ended it.
    pub(crate) code: Option<i32>,
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Program {
    pub(crate) fn new() -> Self {
        let dir = TempDir::new().unwrap();
        for name in ["run", "tmp"] {
            std::fs::create_dir(dir.path().join(name)).unwrap();
        }
        Self { dir }
    }

    /// A path in the directory of the test.
    pub(crate) fn path(&self, name: &str) -> String {
        self.dir.path().join(name).to_str().unwrap().to_owned()
    }

    pub(crate) fn run(&self, args: &[&str]) -> Ran {
        self.command(args).stdin(Stdio::null()).output().unwrap().into()
    }

    /// It hears that its terminal is closed, also where the tests themselves are not to.
    pub(crate) fn command(&self, args: &[&str]) -> Command {
        let hears = ["--default-signal=HUP", env!("CARGO_BIN_EXE_umbel")];
        self.command_by("env", &hears, args)
    }

    /// The same by way of another program.
    pub(crate) fn command_by(&self, program: &str, before: &[&str], args: &[&str]) -> Command {
        let mut command = Command::new(program);
        command
            .args(before)
            .args(args)
            .env("XDG_RUNTIME_DIR", self.path("run"))
            .env("TMPDIR", self.path("tmp"))
            .env_remove("UMBEL_CONNECT")
            .env_remove("UMBEL_LABELS")
            .env_remove("UMBEL_TLS")
            .current_dir(self.dir.path());
        command
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        let status = output.status;
        Self {
            ok: status.success(),
            code: status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }
}

impl Ran {
    /// What was printed, as one JSON value a line.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

/// The first of `count` ports in a row that nobody uses.
pub(crate) fn free_ports(count: u16) -> u16 {
    loop {
        let first = UdpSocket::bind("127.0.0.1:0").unwrap();
        let port = first.local_addr().unwrap().port();
        let is_free = |port: u16| UdpSocket::bind(("127.0.0.1", port)).is_ok();
        let end = port.checked_add(count);
        if end.is_some_and(|end| (port + 1..end).all(is_free)) {
            return port;
        }
    }
}

/// What comes of a program that runs.
pub(crate) fn output(child: Child) -> Ran {
    child.wait_with_output().unwrap().into()
}

/// Sends a signal to a program that runs.
pub(crate) fn tell(child: &Child, signal: Signal) {
    kill(Pid::from_raw(child.id().try_into().unwrap()), signal).unwrap();
}

/// Looks until something is so.
#[track_caller]
pub(crate) fn eventually(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
    }
}

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
