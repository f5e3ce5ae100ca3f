//! Which cluster a command talks to.

use std::net::{SocketAddr, ToSocketAddrs};
use std::path::PathBuf;

use anyhow::{Context, bail};
use clap::Args;
use rand::seq::SliceRandom as _;

use crate::client::{Client, ClientBuilder};
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
    /// Name of the client certificate, if the directory has several
    #[arg(long, value_name = "NAME", env = "UMBEL_CERT", hide_env_values = true)]
    cert: Option<String>,
}

/// A cluster to talk to.
#[derive(Clone, Debug)]
pub(super) struct Target {
    addresses: Vec<String>,
    tls: PathBuf,
    cert: Option<String>,
}

impl ConnectArgs {
    /// Finds the cluster and connects to it.
    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        self.target()?.client().await
    }

    /// Finds the cluster.
    pub(super) fn target(&self) -> anyhow::Result<Target> {
        let connect = self.connect.iter().map(|address| address.trim());
        let connect: Vec<String> =
            connect.filter(|address| !address.is_empty()).map(str::to_owned).collect();
        // What is not there is told in the words of whoever looks for certificates in it.
        let tls = self.tls.as_ref().filter(|dir| !dir.as_os_str().is_empty());
        let tls = tls.map(|dir| dir.canonicalize().unwrap_or_else(|_| dir.clone()));
        if let (false, Some(tls)) = (connect.is_empty(), &tls) {
            return Ok(Target { addresses: connect, tls: tls.clone(), cert: self.cert.clone() });
        }
        let found = local::discover().context("cannot look for clusters on this host")?;
        let target = choose(clusters(found), &connect, tls)?;
        Ok(Target { cert: self.cert.clone(), ..target })
    }
}

impl Target {
    /// Nodes known beforehand.
    pub(super) const fn new(addresses: Vec<String>, tls: PathBuf) -> Self {
        Self { addresses, tls, cert: None }
    }

    /// Its nodes, as far as they are known beforehand.
    pub(super) fn addresses(&self) -> &[String] {
        &self.addresses
    }

    pub(super) async fn client(&self) -> anyhow::Result<Client> {
        self.client_at(self.addresses.clone()).await
    }

    /// A client of one node of the cluster.
    pub(super) async fn client_of(&self, address: String) -> anyhow::Result<Client> {
        self.client_at(vec![address]).await
    }

    async fn client_at(&self, addresses: Vec<String>) -> anyhow::Result<Client> {
        let builder = addresses.into_iter().fold(Client::builder(), ClientBuilder::address);
        let builder = builder.tls(&self.tls);
        let builder = match &self.cert {
            Some(cert) => builder.certificate(cert),
            None => builder,
        };
        Ok(builder.connect().await?)
    }
}

/// The nodes of each cluster.
fn clusters(found: Vec<Local>) -> Vec<Vec<Local>> {
    let mut clusters: Vec<Vec<Local>> = Vec::new();
    for local in found {
        let known = clusters.iter_mut().find(|nodes| nodes[0].cluster_id == local.cluster_id);
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
        let is_meant = |node: &Local| node.tls.canonicalize().is_ok_and(|own| own == *tls);
        clusters.retain(|nodes| nodes.iter().any(|node| node.tls == *tls || is_meant(node)));
    }
    if !connect.is_empty() {
        // Names are looked up: `localhost` is as good as its address.
        let meant: Vec<SocketAddr> = connect
            .iter()
            .flat_map(|address| address.to_socket_addrs().into_iter().flatten())
            .collect();
        clusters.retain(|nodes| nodes.iter().any(|node| meant.contains(&node.address)));
        if clusters.len() != 1 {
            bail!(
                "no certificates to talk to {}; name a directory that holds ca.pem and a client \
                 certificate with --tls DIR (`umbel ca issue NAME --dir DIR --client` makes one)",
                connect.join(",")
            );
        }
    }
    if clusters.is_empty()
        && let Some(tls) = &tls
    {
        bail!(
            "no node on this host has its certificates in {}; name one elsewhere with --connect \
             HOST:PORT",
            tls.display()
        );
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
        let mut addresses: Vec<_> = nodes.iter().map(|node| node.address.to_string()).collect();
        // Whoever is asked takes the tasks in and owns them: scripts are not to burden one node.
        addresses.shuffle(&mut rand::rng());
        addresses
    } else {
        connect.to_vec()
    };
    Ok(Target { addresses, tls: nodes[0].tls.clone(), cert: None })
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
            cluster_id: tls.to_owned(),
            address: ([127, 0, 0, 1], port).into(),
            tls: tls.into(),
            pid: 1,
        }
    }

    #[test]
    fn the_only_cluster_of_the_host_is_taken() {
        let found = || clusters(vec![local("a", 1, "/x"), local("b", 2, "/x")]);
        let target = choose(found(), &[], None).unwrap();
        let mut all = target.addresses.clone();
        all.sort();
        assert_eq!(all, ["127.0.0.1:1", "127.0.0.1:2"]);
        // Each of them is asked first now and then; that this fails by chance is beyond all odds.
        let first = || choose(found(), &[], None).unwrap().addresses.swap_remove(0);
        assert!((0..200).any(|_| first() != target.addresses[0]));
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
        let target = choose(found(), &["localhost:2".into()], None).unwrap();
        assert_eq!((target.addresses, target.tls), (vec!["localhost:2".into()], "/y".into()));
        let error = choose(found(), &[], Some("/z".into())).unwrap_err();
        assert!(error.to_string().contains("certificates in /z"), "{error}");
    }

    #[test]
    fn clusters_of_the_same_name_and_directory_are_told_apart() {
        let one = |id: &str, port| Local { cluster_id: id.to_owned(), ..local("a", port, "/x") };
        let found = clusters(vec![one("1", 1), one("2", 2), one("1", 3)]);
        assert_eq!(found.iter().map(Vec::len).collect::<Vec<_>>(), [2, 1]);
        let error = choose(found, &[], None).unwrap_err();
        assert!(error.to_string().contains("several clusters"), "{error}");
    }

    #[test]
    fn what_is_empty_is_not_said_and_spaces_mean_nothing() {
        let args = |connect: &[&str]| ConnectArgs {
            connect: connect.iter().map(|&text| text.to_owned()).collect(),
            tls: Some("/nowhere".into()),
            cert: None,
        };
        let target = args(&["a:1", " b:2", ""]).target().unwrap();
        assert_eq!(target.addresses, ["a:1", "b:2"]);
    }
}
