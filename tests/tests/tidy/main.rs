//! What the code looks like, as tests: habits that are only asked for do not last.
//!
//! Each file here holds the rules of one matter. A rule that must be broken has a list of exceptions
//! beside it, each with its reason; an exception that nobody needs any more fails, too.

#![allow(clippy::disallowed_methods, reason = "it reads the sources")]

mod links;
mod manifests;
mod purity;
mod readme;
mod sources;
mod tested;

use std::fs;
use std::path::{Path, PathBuf};

/// A file of the workspace.
struct File {
    /// From the root, with slashes.
    path: String,
    text: String,
}

impl File {
    /// Its lines from one, without comments.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        self.text.lines().enumerate().map(|(at, line)| (at + 1, without_comment(line)))
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("tests/ stands in the root")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|why| panic!("{path}: {why}"))
}

/// All files below `under` that end with `suffix`, in order.
fn files(under: &str, suffix: &str) -> Vec<File> {
    let mut found = Vec::new();
    let mut waiting = vec![root().join(under)];
    while let Some(dir) = waiting.pop() {
        for entry in fs::read_dir(&dir).unwrap_or_else(|why| panic!("{}: {why}", dir.display())) {
            let path = entry.expect("it can be read").path();
            if path.is_dir() && !is_built(&path) {
                waiting.push(path);
            } else if path.is_file() && name(&path).ends_with(suffix) {
                let text = fs::read_to_string(&path).expect("text");
                found.push(File { path: from_root(&path), text });
            }
        }
    }
    found.sort_by(|a, b| a.path.cmp(&b.path));
    assert!(!found.is_empty(), "no {suffix} below {under:?}");
    found
}

/// What is made by building or running, and what is not ours.
fn is_built(dir: &Path) -> bool {
    ["target", ".git", "umbel-data"].contains(&name(dir).as_str())
}

fn name(path: &Path) -> String {
    path.file_name().expect("a name").to_string_lossy().into_owned()
}

fn from_root(path: &Path) -> String {
    let inside: PathBuf = path.strip_prefix(root()).expect("inside").into();
    inside.to_string_lossy().replace('\\', "/")
}

/// What stands before a comment; the slashes of an address are none.
fn without_comment(line: &str) -> &str {
    let comment = line.match_indices("//").find(|(at, _)| !line[..*at].ends_with(':'));
    comment.map_or(line, |(at, _)| &line[..at])
}

/// Fails with all of `broken`, one a line.
#[track_caller]
fn none(broken: Vec<String>, rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

/// Splits what breaks a rule from its `exceptions`, of which each must be needed.
fn excused(broken: Vec<(String, usize)>, exceptions: &[(&str, &str)]) -> Vec<String> {
    let mut complaints: Vec<String> = exceptions
        .iter()
        .filter(|(path, _)| !broken.iter().any(|(found, _)| found == path))
        .map(|(path, _)| format!("{path} is excepted and does not need it"))
        .collect();
    let left = broken.into_iter().filter(|(path, _)| !exceptions.iter().any(|(e, _)| e == path));
    complaints.extend(left.map(|(path, line)| format!("{path}:{line}")));
    complaints
}
