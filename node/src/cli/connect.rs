//! Which cluster a command talks to.

use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;

use crate::client::Client;
use crate::local::{self, Local};

/// Where the cluster is
#[derive(Debug, Args)]
#[command(next_help_heading = "Connection")]
pub(super) struct ConnectArgs {
    /// Nodes, of which one that answers is enough [default: the cluster on this host]
    #[arg(
        long,
        value_name = "HOST:PORT",
        env = "UMBEL_CONNECT",
        hide_env_values = true,
        value_delimiter = ','
    )]
    connect: Vec<String>,
    /// Directory with ca.pem and a client certificate [default: that of the cluster on this host]
    #[arg(long, value_name = "DIR", env = "UMBEL_TLS", hide_env_values = true)]
    tls: Option<PathBuf>,
}

/// A cluster to talk to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    addresses: Vec<String>,
    tls: PathBuf,
}

impl ConnectArgs {
    /// Finds the cluster and connects to it.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        self.target()?.client().await
    }

    /// Finds the cluster.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        if let (false, Some(tls)) = (self.connect.is_empty(), &self.tls) {
            let addresses = self.connect.clone();
            return Ok(Target { addresses, tls: tls.clone() });
        }
        let found = local::discover().context("cannot look for clusters on this host")?;
        choose(clusters(found), &self.connect, self.tls.clone())
    }
}

impl Target {
    /// Nodes known beforehand.
    pub(super) const fn new(addresses: Vec<String>, tls: PathBuf) -> Self {
        Self { addresses, tls }
    }

    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        Ok(Client::connect(self.addresses.clone(), &self.tls).await?)
    }

    /// A client of one node of the cluster.
    pub(super) async fn client_of(&self, address: String) -> anyhow::Result<Client> {
        Ok(Client::connect([address], &self.tls).await?)
    }
}

/// Nodes with the same authority are one cluster.
fn clusters(found: Vec<Local>) -> Vec<Vec<Local>> {
    let mut clusters: Vec<Vec<Local>> = Vec::new();
    for local in found {
        let known = clusters.iter_mut().find(|nodes| {
            nodes.iter().any(|node| (&node.cluster, &node.tls) == (&local.cluster, &local.tls))
        });
        match known {
            Some(nodes) => nodes.push(local),
            None => clusters.push(vec![local]),
        }
    }
    clusters
}

fn choose(
    mut clusters: Vec<Vec<Local>>,
    connect: &[String],
    tls: Option<PathBuf>,
) -> anyhow::Result<Target> {
    if let Some(tls) = &tls {
        clusters.retain(|nodes| nodes[0].tls == *tls);
    }
    if !connect.is_empty() {
        clusters
            .retain(|nodes| nodes.iter().any(|node| connect.contains(&node.address.to_string())));
        if clusters.len() != 1 {
            bail!(
                "no certificates to talk to {}; name a directory that holds ca.pem and a client \
                 certificate with --tls DIR (`umbel ca issue NAME --dir DIR --client` makes one)",
                connect.join(",")
            );
        }
    }
    if clusters.len() > 1 {
        let list: String = clusters.iter().map(|nodes| describe(nodes)).collect();
        bail!("there are several clusters on this host; choose one:{list}");
    }
    let Some(nodes) = clusters.pop() else {
        bail!(
            "no cluster found on this host; start one with `umbel dev` or `umbel node`, or name \
             one elsewhere with --connect HOST:PORT --tls DIR"
        );
    };
    let addresses = if connect.is_empty() {
        nodes.iter().map(|node| node.address.to_string()).collect()
    } else {
        connect.to_vec()
    };
    Ok(Target { addresses, tls: nodes[0].tls.clone() })
}

fn describe(nodes: &[Local]) -> String {
    let names: Vec<_> = nodes.iter().map(|node| node.node.as_str()).collect();
    format!(
        "\n  --connect {} --tls {}   ({}: {})",
        nodes[0].address,
        nodes[0].tls.display(),
        nodes[0].cluster,
        names.join(", ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn local(node: &str, port: u16, tls: &str) -> Local {
        Local {
            node: node.to_owned(),
            cluster: "umbel".to_owned(),
            address: ([127, 0, 0, 1], port).into(),
            tls: tls.into(),
            pid: 1,
        }
    }

    #[test]
    fn the_only_cluster_of_the_host_is_taken() {
        let found = clusters(vec![local("a", 1, "/x"), local("b", 2, "/x")]);
        let target = choose(found, &[], None).unwrap();
        assert_eq!(target.addresses, ["127.0.0.1:1", "127.0.0.1:2"]);
        assert_eq!(target.tls, PathBuf::from("/x"));
        let error = choose(Vec::new(), &[], None).unwrap_err();
        assert!(error.to_string().contains("umbel dev"), "{error}");
    }

    #[test]
    fn of_several_one_must_be_chosen() {
        let found = || clusters(vec![local("a", 1, "/x"), local("b", 2, "/y")]);
        let error = choose(found(), &[], None).unwrap_err().to_string();
        assert!(error.contains("--connect 127.0.0.1:1 --tls /x   (umbel: a)"), "{error}");
        let target = choose(found(), &[], Some("/y".into())).unwrap();
        assert_eq!(target.addresses, ["127.0.0.1:2"]);
        let target = choose(found(), &["127.0.0.1:1".into()], None).unwrap();
        assert_eq!(target.tls, PathBuf::from("/x"));
        let error = choose(found(), &["10.0.0.1:1".into()], None).unwrap_err();
        assert!(error.to_string().contains("--tls DIR"), "{error}");
    }
}
