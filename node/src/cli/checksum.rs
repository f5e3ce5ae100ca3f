//! `umbel checksum`: the SHA-256 of a file, as `sha256sum` prints it. The demo's tasks run it, so
//! that they need no program that may not be installed.

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use anyhow::Context;
use clap::Args;
use ring::digest::{self, SHA256};

use super::{Done, out};

#[derive(Debug, Args)]
pub(super) struct ChecksumArgs {
    /// The file
    path: PathBuf,
}

pub(super) fn run(args: &ChecksumArgs) -> anyhow::Result<Done> {
    let path = &args.path;
    let sum = sha256(path).with_context(|| format!("cannot read {}", path.display()))?;
    out::line(format!("{sum}  {}", path.display()))?;
    Ok(Done::Well)
}

/// The SHA-256 of the file at `path`, in hex.
pub(super) fn sha256(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let mut sum = digest::Context::new(&SHA256);
    let mut piece = vec![0; 64 * 1024];
    loop {
        match file.read(&mut piece)? {
            0 => break,
            len => sum.update(&piece[..len]),
        }
    }
    Ok(sum.finish().as_ref().iter().map(|byte| format!("{byte:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_sha_256() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("abc");
        std::fs::write(&path, "abc").unwrap();
        assert_eq!(
            sha256(&path).unwrap(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
        );
        assert!(sha256(dir.path()).is_err());
    }
}
