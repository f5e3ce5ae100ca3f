//! How the command line finds the clusters of this host without being told where they are.
//!
//! A node that only this host can reach leaves a small file in a directory of its user. The file is
//! locked for as long as the process lives, so one whose lock is free was left behind by a node that
//! was killed; whoever finds it removes it. Nothing but convenience depends on any of this.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write};
use std::net::SocketAddr;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use nix::fcntl::{Flock, FlockArg};
use nix::unistd::Uid;
use serde::{Deserialize, Serialize};

/// A node on this host.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Local {
    /// Its name.
    pub node: String,
    /// What its cluster is called.
    pub cluster: String,
    /// Its id: two clusters may be called the same.
    pub cluster_id: String,
    /// Where it listens.
    pub address: SocketAddr,
    /// Directory of certificates, a client's among them.
    pub tls: PathBuf,
    /// Its process.
    pub pid: u32,
}

/// Keeps a node findable; dropping it ends that.
#[derive(Debug)]
pub struct Announced {
    path: PathBuf,
    /// Held, never read.
    _lock: Flock<File>,
}

impl Drop for Announced {
    fn drop(&mut self) {
        // What stays behind is removed by whoever finds it.
        drop(fs::remove_file(&self.path));
    }
}

/// Makes a node findable for as long as what is returned lives.
///
/// # Errors
/// The directory cannot be used. The node works without.
pub fn announce(local: &Local) -> io::Result<Announced> {
    let mut refused = None;
    for dir in directories() {
        match own(&dir).and_then(|()| announce_in(&dir, local)) {
            Ok(announced) => return Ok(announced),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| io::Error::other("there is no directory for it")))
}

/// A directory that is this user's alone: where his nodes are announced.
pub(crate) fn private_directory() -> io::Result<PathBuf> {
    let mut refused = None;
    for dir in directories() {
        match own(&dir) {
            Ok(()) => return Ok(dir),
            Err(error) => refused = Some(error),
        }
    }
    Err(refused.unwrap_or_else(|| io::Error::other("there is no directory for it")))
}

/// The nodes of this host and user that can be found, by cluster and name.
///
/// # Errors
/// The directory cannot be used.
pub fn discover() -> io::Result<Vec<Local>> {
    let mut found: Vec<Local> = Vec::new();
    let mut refused = None;
    let mut seen = 0;
    for dir in directories() {
        match trusted(&dir).and_then(|()| discover_in(&dir)) {
            Ok(more) => {
                seen += 1;
                found.extend(more);
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => seen += 1,
            Err(error) => refused = Some(error),
        }
    }
    sort(&mut found);
    match refused {
        Some(error) if seen == 0 => Err(error),
        _ => Ok(found),
    }
}

fn announce_in(dir: &Path, local: &Local) -> io::Result<Announced> {
    let path = dir.join(format!("{:016x}.json", rand::random::<u64>()));
    let draft = path.with_extension("new");
    let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&draft)?;
    let written = write_locked(file, local).and_then(|lock| {
        // Under its final name it is never without its lock.
        fs::rename(&draft, &path)?;
        Ok(Announced { path, _lock: lock })
    });
    if written.is_err() {
        drop(fs::remove_file(&draft));
    }
    written
}

fn write_locked(file: File, local: &Local) -> io::Result<Flock<File>> {
    let mut lock = Flock::lock(file, FlockArg::LockExclusiveNonblock)
        .map_err(|(_, errno)| io::Error::from(errno))?;
    lock.write_all(&serde_json::to_vec(local)?)?;
    Ok(lock)
}

fn discover_in(dir: &Path) -> io::Result<Vec<Local>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_none_or(|extension| extension != "json") {
            continue;
        }
        // It may go at any moment.
        let Ok(file) = File::open(&path) else { continue };
        match Flock::lock(file, FlockArg::LockSharedNonblock) {
            Ok(_) => drop(fs::remove_file(&path)),
            Err((mut file, _)) => {
                if let Ok(local) = serde_json::from_reader::<_, Local>(&mut file) {
                    found.push(local);
                }
            }
        }
    }
    sort(&mut found);
    Ok(found)
}

fn sort(found: &mut [Local]) {
    found.sort_by(|a, b| {
        (&a.cluster, &a.cluster_id, &a.node).cmp(&(&b.cluster, &b.cluster_id, &b.node))
    });
}

/// Where nodes may be announced, the best place first. A node that was started by the system and a
/// shell of the same user may not agree which it is, so all are looked into.
fn directories() -> Vec<PathBuf> {
    let user = Uid::effective();
    let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
    let runtime = runtime.filter(|dir| dir.is_absolute()).map(|dir| dir.join("umbel"));
    let shared = std::env::temp_dir().join(format!("umbel-{user}"));
    runtime.into_iter().chain([shared]).collect()
}

/// Makes `dir` for this user only.
fn own(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
        Err(error) => return Err(about(dir, &error)),
    }
    trusted(dir)
}

/// In a directory that everybody may write to, somebody else may have made `dir` first, to tell this
/// user of nodes of his own.
fn trusted(dir: &Path) -> io::Result<()> {
    trusted_by(dir, Uid::effective().as_raw())
}

fn trusted_by(dir: &Path, user: u32) -> io::Result<()> {
    let found = fs::symlink_metadata(dir).map_err(|error| about(dir, &error))?;
    if !found.is_dir() || found.uid() != user || found.mode() & 0o022 != 0 {
        let why = format!("{} belongs to somebody else, or others may write to it", dir.display());
        return Err(io::Error::new(io::ErrorKind::PermissionDenied, why));
    }
    Ok(())
}

fn about(dir: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", dir.display()))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn local(node: &str) -> Local {
        Local {
            node: node.to_owned(),
            cluster: "test".to_owned(),
            cluster_id: "1".to_owned(),
            address: "127.0.0.1:7400".parse().unwrap(),
            tls: "/tls".into(),
            pid: 7,
        }
    }

    #[test]
    fn nodes_are_found_while_they_live() {
        let dir = tempfile::tempdir().unwrap();
        let b = announce_in(dir.path(), &local("b")).unwrap();
        let a = announce_in(dir.path(), &local("a")).unwrap();
        assert_eq!(discover_in(dir.path()).unwrap(), [local("a"), local("b")]);
        drop(b);
        assert_eq!(discover_in(dir.path()).unwrap(), [local("a")]);
        drop(a);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_was_left_behind_is_removed() {
        let dir = tempfile::tempdir().unwrap();
        let left = dir.path().join("left.json");
        fs::write(&left, serde_json::to_vec(&local("a")).unwrap()).unwrap();
        assert_eq!(discover_in(dir.path()).unwrap(), []);
        assert!(!left.exists());
    }

    #[test]
    fn a_directory_of_others_is_not_trusted() {
        let dir = tempfile::tempdir().unwrap();
        let (path, user) = (dir.path().join("umbel"), Uid::effective().as_raw());
        own(&path).unwrap();
        own(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().mode() & 0o777, 0o700);
        assert!(trusted_by(&path, user + 1).is_err());
        fs::set_permissions(&path, fs::Permissions::from_mode(0o777)).unwrap();
        assert!(own(&path).is_err());
        let error = own(&dir.path().join("none/umbel")).unwrap_err();
        assert!(error.to_string().contains("none/umbel"), "{error}");
    }
}
