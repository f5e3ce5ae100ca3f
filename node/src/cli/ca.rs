//! `umbel ca`: the cluster's own authority.

use std::path::PathBuf;

use clap::{Args, Subcommand};

use super::{Done, out};
use crate::tls::{Role, ca};

#[derive(Debug, Subcommand)]
pub(super) enum CaCommand {
    /// Make an authority in a directory that stays with the operator
    Init {
        /// Where ca.pem and ca.key go
        dir: PathBuf,
    },
    /// Issue a certificate for a node, or for clients
    Issue(IssueArgs),
}

#[derive(Debug, Args)]
pub(super) struct IssueArgs {
    /// Whom it is for: the name of a node or of a client
    name: String,
    /// Directory that `umbel ca init` made; NAME.pem and NAME.key go there, too
    #[arg(long, value_name = "DIR")]
    dir: PathBuf,
    /// For a client: it may submit and ask, but is no node
    #[arg(long)]
    client: bool,
}

pub(super) fn run(command: CaCommand) -> anyhow::Result<Done> {
    match command {
        CaCommand::Init { dir } => {
            ca::init(&dir)?;
            let dir = dir.display();
            out::line(format!("made {dir}/ca.pem and {dir}/ca.key"))?;
            out::note(format!(
                "Issue a certificate for every node with `umbel ca issue NAME --dir {dir}`, and \
                 for clients with --client.\nca.key stays here; ca.pem and NAME.* go to the host \
                 of that name, into the directory that [tls] dir in cluster.toml names."
            ));
        }
        CaCommand::Issue(IssueArgs { name, dir, client }) => {
            let role = if client { Role::Client } else { Role::Node };
            ca::issue(&dir, &name, role)?;
            let dir = dir.display();
            out::line(format!("made {dir}/{name}.pem and {dir}/{name}.key"))?;
        }
    }
    Ok(Done::Well)
}
