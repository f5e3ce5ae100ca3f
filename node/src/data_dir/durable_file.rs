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

/// Makes `dir`, and whatever is missing above it, durably.
pub(crate) fn create_dir(dir: &Path) -> io::Result<()> {
    if dir.is_dir() {
        return Ok(());
    }
    // A path of one part stands in the directory that the process is in.
    let parent = dir.parent().filter(|parent| !parent.as_os_str().is_empty());
    if let Some(parent) = parent {
        create_dir(parent)?;
    }
    match fs::create_dir(dir) {
        Ok(()) => {}
        // Somebody else was faster, or a link leads nowhere: then the next step fails.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(error),
    }
    sync_dir(parent.unwrap_or_else(|| Path::new(".")))
}

/// Makes durable which files `dir` holds.
pub(crate) fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn directories_are_made_with_all_above_them_and_may_be_there() {
        let dir = tempfile::tempdir().unwrap();
        let deep = dir.path().join("a/b/c");
        for _ in 0..2 {
            create_dir(&deep).unwrap();
            assert!(deep.is_dir());
        }
        fs::write(dir.path().join("file"), "").unwrap();
        assert!(create_dir(&dir.path().join("file/a")).is_err());
    }
}
