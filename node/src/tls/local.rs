//! Certificates for a cluster on one host, made without being asked.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::Path;

use umbel_protocol::wire::hello::SHARED_NAME;

use super::{Role, TlsError, TlsFiles, ca};

/// Makes an authority, a certificate for all local nodes and one for local clients, as far as
/// `dir` does not hold them. Any number of processes may do so at once: one makes them, the others
/// wait and find them.
///
/// # Errors
/// When the directory cannot be written or holds something else.
pub fn ensure_local(dir: &Path) -> Result<(), TlsError> {
    fs::create_dir_all(dir).map_err(TlsError::io("create directory", dir))?;
    let path = dir.join(".lock");
    let lock = File::create(&path).map_err(TlsError::io("create", &path))?;
    // Held until the file is closed, also when the process is killed.
    lock.lock().map_err(TlsError::io("lock", &path))?;
    if !ca::ca_pem(dir).exists() {
        ca::complete(dir)?;
    }
    for (role, name) in [(Role::Node, SHARED_NAME), (Role::Client, "client")] {
        if TlsFiles::names(dir, role)?.is_empty() {
            ca::issue(dir, name, role)?;
        }
    }
    Ok(())
}

/// As [`ensure_local`]; but what `dir` does not hold comes from `common`, where it is made at need:
/// so nodes of one user whose data lies in different places speak to each other. Each keeps a copy
/// with its data, as `common` may go away with a restart of the host.
///
/// # Errors
/// When one of the directories cannot be written or holds something else.
pub fn share_local(dir: &Path, common: &Path) -> Result<(), TlsError> {
    if !ca::ca_pem(dir).exists() {
        ensure_local(common)?;
        copy_files(common, dir).map_err(TlsError::io("copy certificates to", dir))?;
    }
    ensure_local(dir)
}

fn copy_files(from: &Path, to: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(to)?;
    let mut files = fs::read_dir(from)?
        .map(|entry| entry.map(|entry| entry.file_name()))
        .collect::<io::Result<Vec<_>>>()?;
    // The authority comes last: where it is, all else is.
    files.sort_by_key(|name| name == "ca.pem");
    for name in files.iter().filter(|name| *name != ".lock") {
        fs::copy(from.join(name), to.join(name))?;
    }
    Ok(())
}
