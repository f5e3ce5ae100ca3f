//! The `umbel` binary, and what comes of running it.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::OnceLock;

use serde_json::Value;

/// Where the binary is.
#[derive(Clone, Debug)]
pub struct Program(PathBuf);

impl Program {
    /// The binary of this workspace, built if need be, with the profile of whoever asks; another one
    /// if `UMBEL_BIN` names it.
    ///
    /// # Panics
    /// When it cannot be built.
    #[must_use]
    pub fn built() -> Self {
        static BUILT: OnceLock<PathBuf> = OnceLock::new();
        let path = BUILT.get_or_init(|| {
            if let Some(path) = env::var_os("UMBEL_BIN") {
                return path.into();
            }
            let own = env::current_exe().expect("a test knows where it is");
            // TARGET/PROFILE/deps/real-0123
            let profile = own.ancestors().nth(2).expect("it lies in a target directory");
            let mut build = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            build.args(["build", "--workspace", "--bin", "umbel"]);
            if profile.ends_with("release") {
                build.arg("--release");
            }
            let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it lies in the root");
            let target = profile.parent().expect("it lies in a target directory");
            let built = build.current_dir(root).env("CARGO_TARGET_DIR", target).output();
            let built = Ran::of(built.expect("cargo starts"));
            assert!(built.ok, "the binary cannot be built: {}", built.err);
            profile.join("umbel")
        });
        Self(path.clone())
    }

    /// The binary at `path`.
    #[must_use]
    pub fn at(path: &Path) -> Self {
        Self(path.to_owned())
    }

    /// Where it is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.0
    }
}

/// What came of a run.
#[derive(Debug)]
pub struct Ran {
    /// Whether it succeeded.
    pub ok: bool,
    /// What it printed.
    pub out: String,
    /// What it complained about.
    pub err: String,
}

impl Ran {
    /// Reads what a program left.
    #[must_use]
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        Self { ok: output.status.success(), out: text(output.stdout), err: text(output.stderr) }
    }

    /// What it printed, one JSON value a line.
    #[must_use]
    pub fn json(&self) -> Vec<Value> {
        self.out.lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
    }
}

/// Runs a program of the system.
///
/// # Errors
/// It is not there or does not succeed; what it said.
pub fn system(program: &str, args: &[&str]) -> Result<String, String> {
    let output = Command::new(program).args(args).output();
    let ran = Ran::of(output.map_err(|why| format!("{program}: {why}"))?);
    if ran.ok {
        Ok(ran.out)
    } else {
        Err(format!("{program} {}: {}", args.join(" "), ran.err.trim()))
    }
}
