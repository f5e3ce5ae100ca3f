//! The directory of a local cluster, and what its nodes are told.

use std::fs::{self, DirBuilder, File};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow, bail};
use nix::fcntl::{Flock, FlockArg};
use toml::{Table, Value};

/// The directory of a local cluster. One that was made for the occasion goes when this does.
#[derive(Debug)]
pub(in super::super) struct Home {
    path: PathBuf,
    is_temporary: bool,
    /// Held, never read: two clusters in one directory would write over each other.
    _lock: Flock<File>,
}

impl Home {
    /// A directory that stays.
    pub(in super::super) fn lasting(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let path = path.canonicalize()?;
        Ok(Self { _lock: lock(&path)?, path, is_temporary: false })
    }

    /// A new directory that does not stay.
    pub(in super::super) fn temporary(purpose: &str) -> anyhow::Result<Self> {
        let name = format!("umbel-{purpose}-{:08x}", rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("cannot make {}", path.display()))?;
        let path = path.canonicalize()?;
        Ok(Self { _lock: lock(&path)?, path, is_temporary: true })
    }

    /// How many nodes have data in it.
    pub(in super::super) fn nodes(&self) -> u16 {
        let is_missing = |number: &u16| !self.path.join(node_name(*number)).is_dir();
        (1..u16::MAX).find(is_missing).map_or(u16::MAX, |missing| missing - 1)
    }

    /// Whether it stays when this ends.
    pub(in super::super) const fn stays(&self) -> bool {
        !self.is_temporary
    }

    /// Writes what the nodes are told, over nothing but what was written here before.
    pub(in super::super) fn write(&self, text: &str) -> anyhow::Result<()> {
        let file = self.path.join(FILE);
        if fs::read_to_string(&file).is_ok_and(|before| !before.starts_with(FIRST_LINE)) {
            bail!(
                "{} was not written by `umbel dev` and is left alone: move it away, or use another \
                 directory",
                file.display()
            );
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    pub(in super::super) fn path(&self) -> &Path {
        &self.path
    }
}

impl Drop for Home {
    fn drop(&mut self) {
        if self.is_temporary {
            drop(fs::remove_dir_all(&self.path));
        }
    }
}

/// The name of one of its nodes, counted from 1.
pub(super) fn node_name(number: u16) -> String {
    format!("node-{number}")
}

fn lock(dir: &Path) -> anyhow::Result<Flock<File>> {
    let path = dir.join("dev.lock");
    let file = File::options().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("cannot write {}", path.display()))?;
    Flock::lock(file, FlockArg::LockExclusiveNonblock).map_err(|_| {
        anyhow!(
            "{} is in use by another local cluster: stop that, or use another directory",
            dir.display()
        )
    })
}

/// What the nodes are told. Not `cluster.toml`: that may be somebody's own.
pub(in super::super) const FILE: &str = "dev.toml";
const FIRST_LINE: &str =
    "# Written by `umbel dev` at each start: seeds, data and certificates are its business.";

/// What `base` says, but for a cluster of nodes at `addresses` that keeps everything in `dir`.
pub(in super::super) fn cluster_toml(
    base: &str,
    dir: &Path,
    addresses: &[SocketAddr],
) -> anyhow::Result<String> {
    let mut root: Table = base.parse().context("cannot read the configuration")?;
    let seeds = addresses.iter().map(|address| Value::String(address.to_string())).collect();
    let dir = dir.to_str().ok_or_else(|| anyhow!("{} is not UTF-8 text", dir.display()))?;
    section(&mut root, "cluster")?.insert("seeds".to_owned(), Value::Array(seeds));
    let node = section(&mut root, "node")?;
    node.remove("listen");
    node.remove("advertise");
    node.insert("data".to_owned(), Value::String(dir.to_owned()));
    // The cluster makes its own certificates.
    root.remove("tls");
    Ok(format!("{FIRST_LINE}\n\n{root}"))
}

fn section<'a>(root: &'a mut Table, name: &str) -> anyhow::Result<&'a mut Table> {
    root.entry(name)
        .or_insert_with(|| Value::Table(Table::new()))
        .as_table_mut()
        .ok_or_else(|| anyhow!("{name} is not a section"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Config;

    #[test]
    fn what_was_configured_is_kept() {
        let base = r#"
            [cluster]
            name = "farm"
            seeds = ["a:1"]
            [node]
            listen = "127.0.0.1:9"
            [tls]
            dir = "/etc/umbel"
            [queues.mail]
            [tasks.say]
            command = ["echo", "{what}"]
            queue = "mail"
        "#;
        let addresses = ["127.0.0.1:7400".parse().unwrap(), "127.0.0.1:7401".parse().unwrap()];
        let text = cluster_toml(base, Path::new("/x"), &addresses).unwrap();
        let config = Config::parse("cluster.toml", &text).unwrap();
        assert_eq!(config.cluster.name, "farm");
        assert_eq!(config.cluster.seeds.len(), 2);
        assert_eq!(config.node.data, PathBuf::from("/x"));
        assert_eq!(config.tls.dir, None);
        assert_eq!(config.tasks["say"].queue, "mail");
        // Once more with what was written.
        assert_eq!(cluster_toml(&text, Path::new("/x"), &addresses).unwrap(), text);
        let text = cluster_toml("", Path::new("/x"), &addresses).unwrap();
        Config::parse("cluster.toml", &text).unwrap();
    }

    #[test]
    fn what_others_wrote_is_left_alone_and_one_cluster_lives_in_a_directory() {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::lasting(dir.path()).unwrap();
        let text = cluster_toml("", home.path(), &[]).unwrap();
        home.write(&text).unwrap();
        home.write(&text).unwrap();
        let file = dir.path().join(FILE);
        fs::write(&file, "# mine\n").unwrap();
        let error = home.write(&text).unwrap_err();
        assert!(error.to_string().contains("left alone"), "{error}");
        assert_eq!(fs::read_to_string(&file).unwrap(), "# mine\n");
        let error = Home::lasting(dir.path()).unwrap_err();
        assert!(error.to_string().contains("in use by another local cluster"), "{error}");
        assert_eq!(home.nodes(), 0);
        fs::create_dir(dir.path().join("node-1")).unwrap();
        fs::create_dir(dir.path().join("node-2")).unwrap();
        assert_eq!(home.nodes(), 2);
        drop(home);
        Home::lasting(dir.path()).unwrap();
    }

    #[test]
    fn a_temporary_home_goes() {
        let home = Home::temporary("test").unwrap();
        let path = home.path().to_owned();
        fs::write(path.join("a"), "b").unwrap();
        drop(home);
        assert!(!path.exists());
    }
}
