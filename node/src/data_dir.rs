//! The data directory: whose it is, and which start this is.
//!
//! *Owns* the lock and the identity file. The identity is made with the directory, so an emptied
//! directory is another node; each [`DataDir::open`] is durably one [`Incarnation`] more before it
//! returns. What else lies in the directory belongs to the store.

pub(crate) mod durable_file;
mod identity;

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::path::{Path, PathBuf};

use nix::errno::Errno;
use nix::fcntl::{Flock, FlockArg};
use umbel_protocol::id::{ClusterId, Incarnation, NodeId};

pub use self::identity::Cluster;
use self::identity::{Identity, Unreadable};

const IDENTITY: &str = "identity";
const LOCK: &str = "lock";
const STORE: &str = "store";

/// An open data directory. No other process can open it while this lives.
#[derive(Debug)]
pub struct DataDir {
    path: PathBuf,
    identity: Identity,
    start: u64,
    /// Held, never read.
    _lock: Flock<File>,
}

impl DataDir {
    /// Opens the directory of the node called `node`, or makes it. If `cluster` names a cluster,
    /// the directory must belong to that one or to none yet.
    pub fn open(path: &Path, node: &str, cluster: Option<&str>) -> Result<Self, DataDirError> {
        durable_file::create_dir(path)
            .map_err(|source| DataDirError::io("create", path, source))?;
        let lock = lock(path)?;
        let identity_path = path.join(IDENTITY);
        let mut identity = match fs::read(&identity_path) {
            Ok(bytes) => Identity::decode(&bytes).map_err(|what| {
                let path = identity_path.clone();
                match what {
                    Unreadable::Damaged => DataDirError::Damaged { path },
                    Unreadable::Newer => DataDirError::Format { path },
                }
            })?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                if path.join(STORE).exists() {
                    return Err(DataDirError::Anonymous { path: path.to_owned() });
                }
                Identity::new(NodeId(rand::random()), node)
            }
            Err(source) => return Err(DataDirError::io("read", &identity_path, source)),
        };
        if identity.name != node {
            let (path, owner, node) = (path.to_owned(), identity.name, node.to_owned());
            return Err(DataDirError::OtherNode { path, owner, node });
        }
        if let (Some(owner), Some(cluster)) = (&identity.cluster, cluster)
            && owner.name != cluster
        {
            let (path, owner) = (path.to_owned(), owner.name.clone());
            return Err(DataDirError::OtherCluster { path, owner, cluster: cluster.to_owned() });
        }
        identity.incarnation = Incarnation(identity.incarnation.0 + 1);
        save(path, &identity)?;
        Ok(Self { path: path.to_owned(), identity, start: rand::random(), _lock: lock })
    }

    /// The node that this directory is.
    #[must_use]
    pub fn node(&self) -> NodeId {
        self.identity.node
    }

    /// Its name in the configuration.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.identity.name
    }

    /// Which start of the node this is.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.identity.incarnation
    }

    /// A random number of this start: two directories that are copies of each other have the same
    /// node and incarnation, but not this.
    #[must_use]
    pub fn start(&self) -> u64 {
        self.start
    }

    /// The cluster that it belongs to, once it has joined one.
    #[must_use]
    pub fn cluster(&self) -> Option<&Cluster> {
        self.identity.cluster.as_ref()
    }

    /// Durably makes it belong to a cluster, for good.
    pub fn join_cluster(&mut self, id: ClusterId, name: &str) -> Result<(), DataDirError> {
        let cluster = Cluster { id, name: name.to_owned() };
        if let Some(owner) = &self.identity.cluster {
            if *owner == cluster {
                return Ok(());
            }
            return Err(DataDirError::OtherCluster {
                path: self.path.clone(),
                owner: format!("{} ({})", owner.name, owner.id),
                cluster: format!("{name} ({id})"),
            });
        }
        let identity = Identity { cluster: Some(cluster), ..self.identity.clone() };
        save(&self.path, &identity)?;
        self.identity = identity;
        Ok(())
    }

    /// Where the store lives.
    #[must_use]
    pub fn store_path(&self) -> PathBuf {
        self.path.join(STORE)
    }
}

/// Takes the directory for this process.
fn lock(dir: &Path) -> Result<Flock<File>, DataDirError> {
    let path = dir.join(LOCK);
    let failed = |source| DataDirError::io("lock", &path, source);
    let file = OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(&path)
        .map_err(failed)?;
    match Flock::lock(file, FlockArg::LockExclusiveNonblock) {
        Ok(mut lock) => {
            // Only for the message that another process may print; the lock itself is what counts.
            lock.set_len(0)
                .and_then(|()| lock.rewind())
                .and_then(|()| writeln!(&mut *lock, "{}", std::process::id()))
                .map_err(failed)?;
            Ok(lock)
        }
        Err((mut file, Errno::EWOULDBLOCK)) => {
            let mut pid = String::new();
            let pid = file.read_to_string(&mut pid).ok().and_then(|_| pid.trim().parse().ok());
            Err(DataDirError::InUse { path: dir.to_owned(), holder: Holder(pid) })
        }
        Err((_, errno)) => Err(failed(errno.into())),
    }
}

fn save(dir: &Path, identity: &Identity) -> Result<(), DataDirError> {
    let path = dir.join(IDENTITY);
    durable_file::replace(&path, &[&identity.encode()])
        .map_err(|source| DataDirError::io("write", &path, source))
}

/// Who holds a lock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Holder(Option<u32>);

impl std::fmt::Display for Holder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.0 {
            Some(pid) => write!(f, "process {pid}"),
            None => f.write_str("another process"),
        }
    }
}

/// Why a data directory could not be used. Nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum DataDirError {
    /// There is data but no identity.
    #[error(
        "{path} holds data but no identity: put the identity file back, or empty the directory to \
         start as a new node"
    )]
    Anonymous {
        /// The directory.
        path: PathBuf,
    },
    /// The identity cannot be read.
    #[error(
        "{path} is damaged: put it back from a copy of this very start, or empty the directory to \
         start as a new node"
    )]
    Damaged {
        /// The file.
        path: PathBuf,
    },
    /// The identity was written by a newer version.
    #[error("{path} was written by a newer version of umbel: start that version")]
    Format {
        /// The file.
        path: PathBuf,
    },
    /// Somebody else has it open.
    #[error("{path} is in use by {holder}: stop that, or give this node a directory of its own")]
    InUse {
        /// The directory.
        path: PathBuf,
        /// By whom.
        holder: Holder,
    },
    /// The system refused.
    #[error("cannot {action} {path}: check the disk and the permissions")]
    Io {
        /// What was tried.
        action: &'static str,
        /// With which file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// It belongs to another cluster.
    #[error(
        "{path} belongs to the cluster {owner}, not {cluster}: name the right directory, or empty \
         it to join {cluster} as a new node"
    )]
    OtherCluster {
        /// The directory.
        path: PathBuf,
        /// The cluster that it belongs to.
        owner: String,
        /// The one that was asked for.
        cluster: String,
    },
    /// It belongs to another node.
    #[error(
        "{path} belongs to the node {owner}, not {node}: name the right directory, or empty it to \
         start {node} as a new node"
    )]
    OtherNode {
        /// The directory.
        path: PathBuf,
        /// The node that it belongs to.
        owner: String,
        /// The one that was asked for.
        node: String,
    },
}

impl DataDirError {
    fn io(action: &'static str, path: &Path, source: io::Error) -> Self {
        Self::Io { action, path: path.to_owned(), source }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(path: &Path) -> DataDir {
        DataDir::open(path, "a", None).unwrap()
    }

    #[test]
    fn each_start_is_another_incarnation_of_the_same_node() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("data");
        let first = open(&path);
        let (node, start) = (first.node(), first.start());
        assert_eq!(first.incarnation(), Incarnation(1));
        drop(first);
        let second = open(&path);
        assert_eq!((second.node(), second.incarnation()), (node, Incarnation(2)));
        assert_ne!(second.start(), start);
        assert_ne!(open(&temp.path().join("other")).node(), node);
    }

    #[test]
    fn two_processes_cannot_share_it() {
        let temp = tempfile::tempdir().unwrap();
        let held = open(temp.path());
        let error = DataDir::open(temp.path(), "a", None).unwrap_err();
        let pid = std::process::id();
        assert!(error.to_string().contains(&format!("in use by process {pid}")), "{error}");
        drop(held);
        assert_eq!(open(temp.path()).incarnation(), Incarnation(2));
    }

    #[test]
    fn it_belongs_to_one_node_and_one_cluster_for_good() {
        let temp = tempfile::tempdir().unwrap();
        let mut data = open(temp.path());
        assert_eq!(data.cluster(), None);
        data.join_cluster(ClusterId(5), "farm").unwrap();
        data.join_cluster(ClusterId(5), "farm").unwrap();
        let other = data.join_cluster(ClusterId(6), "farm").unwrap_err();
        assert!(matches!(other, DataDirError::OtherCluster { .. }), "{other}");
        drop(data);

        let data = DataDir::open(temp.path(), "a", Some("farm")).unwrap();
        let cluster = Cluster { id: ClusterId(5), name: "farm".to_owned() };
        assert_eq!(data.cluster(), Some(&cluster));
        drop(data);
        let error = DataDir::open(temp.path(), "a", Some("garden")).unwrap_err();
        assert!(matches!(error, DataDirError::OtherCluster { .. }), "{error}");
        let error = DataDir::open(temp.path(), "b", Some("farm")).unwrap_err();
        assert!(matches!(error, DataDirError::OtherNode { .. }), "{error}");
        // Refusals do not count as starts.
        assert_eq!(open(temp.path()).incarnation(), Incarnation(3));
    }

    #[test]
    fn a_damaged_or_missing_identity_is_not_made_up() {
        let temp = tempfile::tempdir().unwrap();
        drop(open(temp.path()));
        let path = temp.path().join(IDENTITY);
        let whole = fs::read(&path).unwrap();
        for garbled in [&whole[..whole.len() / 2], b"", b"{}\n"] {
            fs::write(&path, garbled).unwrap();
            let error = DataDir::open(temp.path(), "a", None).unwrap_err();
            assert!(matches!(error, DataDirError::Damaged { .. }), "{error}");
        }
        fs::remove_file(&path).unwrap();
        fs::create_dir(temp.path().join(STORE)).unwrap();
        let error = DataDir::open(temp.path(), "a", None).unwrap_err();
        assert!(matches!(error, DataDirError::Anonymous { .. }), "{error}");
    }
}
