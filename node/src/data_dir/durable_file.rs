//! Replacing a file so that after any crash either the old or the new one is there, whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Ends the names of files that are not yet complete.
const UNFINISHED: &str = ".tmp";

/// Makes `parts`, one after the other, the contents of `path`, durably.
pub(crate) fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(UNFINISHED);
    let unfinished = Path::new(&unfinished);
    let mut file = File::create(unfinished)?;
    for part in parts {
        file.write_all(part)?;
    }
    file.sync_all()?;
    fs::rename(unfinished, path)?;
    match path.parent() {
        Some(parent) => sync_dir(parent),
        None => Ok(()),
    }
}

/// Makes durable which files `dir` holds.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}
