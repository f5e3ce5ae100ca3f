//! The files whose checksums are computed, and what they should be.

use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};

use super::Sums;
use crate::cli::checksum::sha256;
use crate::cli::time::count;

/// The files below a directory.
#[derive(Debug, Default)]
pub(super) struct Files {
    /// What their checksums are, as this process sees them.
    pub(super) sums: Sums,
    bytes: u64,
    /// Files that were left out: unreadable, too large, or with names that are not text.
    skipped: u64,
    /// Whether there are more than these.
    more: bool,
}

impl fmt::Display for Files {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let megabytes = self.bytes as f64 / 1e6;
        write!(f, "{} files, {megabytes:.1} MB", count(self.sums.len() as u64))?;
        if self.skipped > 0 {
            write!(f, " ({} skipped)", count(self.skipped))?;
        }
        if self.more {
            f.write_str(" (there are more, which would show nothing more)")?;
        }
        Ok(())
    }
}

/// Looks for regular files below `over`, and computes their checksums.
pub(super) fn find(over: &Path) -> anyhow::Result<Files> {
    let over = over.canonicalize().with_context(|| format!("cannot read {}", over.display()))?;
    let mut files = Files::default();
    let mut waiting = vec![over.clone()];
    while let Some(dir) = waiting.pop() {
        let listing = match fs::read_dir(&dir) {
            Ok(listing) => listing,
            Err(error) if dir == over => {
                return Err(error).with_context(|| format!("cannot list {}", over.display()));
            }
            Err(_) => continue,
        };
        let mut paths: Vec<_> = listing.filter_map(Result::ok).map(|entry| entry.path()).collect();
        paths.sort();
        for path in paths {
            if files.sums.len() >= FILES_MAX {
                files.more = true;
                return Ok(files);
            }
            let Ok(found) = fs::symlink_metadata(&path) else { continue };
            if found.is_dir() {
                if !SKIPPED.iter().any(|name| path.ends_with(name)) {
                    waiting.push(path);
                }
            } else if found.is_file() {
                files.add(path, found.len());
            }
        }
    }
    if files.sums.is_empty() {
        bail!("there are no files in {}; choose another directory with --over DIR", over.display());
    }
    Ok(files)
}

impl Files {
    fn add(&mut self, path: PathBuf, bytes: u64) {
        let sum = (bytes <= FILE_BYTES_MAX).then(|| sha256(&path).ok()).flatten();
        match (path.into_os_string().into_string(), sum) {
            (Ok(path), Some(sum)) => {
                self.bytes += bytes;
                self.sums.insert(path, sum);
            }
            _ => self.skipped += 1,
        }
    }
}

/// What nobody wants to sum.
const SKIPPED: [&str; 2] = [".git", "target"];
/// More would make the demo long, and show nothing more.
const FILES_MAX: usize = 5_000;
const FILE_BYTES_MAX: u64 = 64 * 1024 * 1024;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_real_files_are_summed() {
        let dir = tempfile::tempdir().unwrap();
        for skipped in ["target", ".git", "src"] {
            fs::create_dir(dir.path().join(skipped)).unwrap();
            fs::write(dir.path().join(skipped).join("a"), skipped).unwrap();
        }
        std::os::unix::fs::symlink("src/a", dir.path().join("link")).unwrap();
        let files = find(dir.path()).unwrap();
        let names: Vec<_> = files.sums.keys().collect();
        assert_eq!(names.len(), 1);
        assert!(names[0].ends_with("src/a"));
        assert!(files.to_string().starts_with("1 files, 0.0 MB"));
        fs::remove_file(dir.path().join("src/a")).unwrap();
        assert!(find(dir.path()).unwrap_err().to_string().contains("--over DIR"));
    }
}
