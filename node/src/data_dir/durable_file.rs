//! Replacing a file so that after any crash either the old or the new one is there, whole.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

/// Makes `parts`, one after the other, the contents of `path`, durably. One caller at a time for
/// the same path.
pub(crate) fn replace(path: &Path, parts: &[&[u8]]) -> io::Result<()> {
    let mut unfinished = path.as_os_str().to_owned();
    unfinished.push(".tmp");
    replace_by(Path::new(&unfinished), path, parts)
}

/// The same by way of the file `unfinished` in the same directory.
pub(crate) fn replace_by(unfinished: &Path, path: &Path, parts: &[&[u8]]) -> io::Result<()> {
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
