//! The directory of a local cluster, and what its nodes are told.

use std::fs::{self, DirBuilder};
use std::net::SocketAddr;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use anyhow::{Context, anyhow};
use toml::{Table, Value};

/// The directory of a local cluster. One that was made for the occasion goes when this does.
#[derive(Debug)]
pub(in super::super) struct Home {
    path: PathBuf,
    is_temporary: bool,
}

impl Home {
    /// A directory that stays.
    pub(in super::super) fn lasting(path: &Path) -> anyhow::Result<Self> {
        fs::create_dir_all(path).with_context(|| format!("cannot make {}", path.display()))?;
        let path = path.canonicalize()?;
        Ok(Self { path, is_temporary: false })
    }

    /// A new directory that does not stay.
    pub(in super::super) fn temporary(purpose: &str) -> anyhow::Result<Self> {
        let name = format!("umbel-{purpose}-{:08x}", rand::random::<u32>());
        let path = std::env::temp_dir().join(name);
        let made = DirBuilder::new().mode(0o700).create(&path);
        made.with_context(|| format!("cannot make {}", path.display()))?;
        Ok(Self { path: path.canonicalize()?, is_temporary: true })
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
    Ok(format!(
        "# Written by `umbel dev` at each start: seeds, data and certificates are its business.\n\n{root}"
    ))
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
    fn a_temporary_home_goes() {
        let home = Home::temporary("test").unwrap();
        let path = home.path().to_owned();
        fs::write(path.join("a"), "b").unwrap();
        drop(home);
        assert!(!path.exists());
    }
}
