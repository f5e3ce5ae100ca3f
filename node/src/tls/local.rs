//! Certificates for a cluster on one host, made without being asked.

use std::fs::{self, File};
use std::path::Path;

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
    for (role, name) in [(Role::Node, "node"), (Role::Client, "client")] {
        if TlsFiles::names(dir, role)?.is_empty() {
            ca::issue(dir, name, role)?;
        }
    }
    Ok(())
}
