//! Running the binary in a world of its own.

use std::process::{Command, Output, Stdio};

use tempfile::TempDir;

/// The binary, which finds nothing but what the test put into its directory.
pub(crate) struct Program {
    dir: TempDir,
}

/// What came of a run.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) ok: bool,
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

    pub(crate) fn command(&self, args: &[&str]) -> Command {
        self.command_by(env!("CARGO_BIN_EXE_umbel"), &[], args)
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
            .env_remove("UMBEL_TLS")
            .current_dir(self.dir.path());
        command
    }
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }
}

impl Ran {
    /// What was printed, as one JSON value a line.
    pub(crate) fn json(&self) -> Vec<serde_json::Value> {
        self.out.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}
