//! `umbel config`: what a file says, before a node is started with it.

use std::collections::BTreeSet;
use std::net::{SocketAddr, ToSocketAddrs};
use std::path::{Path, PathBuf};

use clap::Subcommand;
use serde::Serialize;
use umbel_protocol::id::NodeId;
use umbel_protocol::membership::Liveness;
use umbel_protocol::meta::FileVerdict;
use umbel_protocol::wire::{MemberStatus, Reloaded, Welcome};

use super::connect::ConnectArgs;
use super::{Done, block_on, failure, out};
use crate::client::Client;
use crate::config::{Config, ConfigError, Problem, Report};

#[derive(Debug, Subcommand)]
pub(super) enum ConfigCommand {
    /// Check a cluster.toml; every problem is shown with its line, and what may not
    /// be meant
    ///
    /// With --json a good file has a line with "file", "cluster", how many "seeds", "queues", "tasks"
    /// and "jobs" it has, and "warnings", a list of "line", "column", "message" and "help", which may be
    /// null. One that cannot be used has none: its problems are told on stderr only.
    Check {
        /// The file
        file: PathBuf,
        /// Print one line of JSON
        #[arg(long)]
        json: bool,
    },
    /// Have nodes read their file again
    ///
    /// Jobs and tasks are taken over at once; what else has changed is told, and counts when a node
    /// is started anew. A file that cannot be used changes nothing. Asked are the nodes of the cluster
    /// on this host, or all of those of --connect; it is an error if their files have different jobs.
    /// SIGHUP does the same.
    ///
    /// With --json each node that has taken its file over has a line with "address", "notes", a list of
    /// what there is to tell, "version", the number of the file whose jobs the cluster has, and
    /// "current", whether that is the file of this node. Both are null while the cluster does not answer.
    /// What went wrong is told on stderr only.
    Reload {
        /// Print one line of JSON for each node
        #[arg(long)]
        json: bool,
        #[command(flatten)]
        connect: ConnectArgs,
    },
}

pub(super) fn run(command: ConfigCommand) -> anyhow::Result<Done> {
    match command {
        ConfigCommand::Check { file, json } => check(&file, json),
        ConfigCommand::Reload { json, connect } => block_on(reload(json, connect)),
    }
}

/// What a node says that has read its file again.
#[derive(Debug, Serialize)]
struct ReloadedLine<'a> {
    address: &'a str,
    notes: &'a [String],
    /// Which file's jobs the cluster has; this and the next are null while it does not answer.
    version: Option<u64>,
    /// Whether those are the jobs of this node's file.
    current: Option<bool>,
}

async fn reload(json: bool, connect: ConnectArgs) -> anyhow::Result<Done> {
    let target = connect.target()?;
    let mut done = Done::Well;
    // What each says of the jobs that it has read.
    let mut files: Vec<(&str, FileVerdict)> = Vec::new();
    let mut others = Others::default();
    for address in target.addresses() {
        let result = async {
            let client = target.client_of(address.clone()).await?;
            others.ask(&client).await;
            Ok(client.reload().await?)
        };
        match result.await {
            Ok(Reloaded { notes, jobs }) => {
                tell(address, &notes, jobs, json)?;
                files.extend(jobs.map(|verdict| (address.as_str(), verdict)));
            }
            Err(why) => {
                let why: anyhow::Error = why;
                out::note(format!("{address}: {}", failure::told(&why)));
                done = Done::Badly;
            }
        }
    }
    if let Some(problem) = differing(&files) {
        out::note(format!("error: {problem}"));
        done = Done::Badly;
    }
    if let Some(note) = others.left_out(target.addresses()) {
        out::note(note);
    }
    Ok(done)
}

/// Tells what a node has read, at once: the next one may take its time.
fn tell(
    address: &str,
    notes: &[String],
    jobs: Option<FileVerdict>,
    json: bool,
) -> anyhow::Result<()> {
    let mut results = out::Results::new();
    if json {
        let version = jobs.map(|verdict| verdict.number);
        let current = jobs.map(|verdict| verdict.is_current);
        results.json(&ReloadedLine { address, notes, version, current })?;
    } else {
        let notes = match notes.is_empty() {
            true => "nothing has changed".to_owned(),
            false => notes.join("\n  "),
        };
        results.line(format!("{address} has read its file again: {notes}"))?;
    }
    Ok(results.flush()?)
}

/// What is wrong if the nodes at these addresses have not read the same jobs: of two files the one that
/// was read last counts, which may be the older one.
fn differing(files: &[(&str, FileVerdict)]) -> Option<String> {
    let (last, FileVerdict { number, .. }) = files.last()?;
    let counts = |verdict: &FileVerdict| verdict.number == *number && verdict.is_current;
    // Without any jobs there is no file that counts.
    let is_former = |verdict: &FileVerdict| *number > 0 && !counts(verdict);
    let former = files.iter().filter(|(_, verdict)| is_former(verdict));
    let former: Vec<&str> = former.map(|(address, _)| *address).collect();
    if former.is_empty() {
        return None;
    }
    let now = match files.last().is_some_and(|(_, verdict)| verdict.is_current) {
        true => format!("the cluster has those of {last} now"),
        false => "the cluster has those of another node now".to_owned(),
    };
    Some(format!(
        "the nodes have files with different jobs: {now} (version {number}), not those of {}; bring \
         the same file to all hosts, then have all nodes read it again",
        former.join(", ")
    ))
}

/// The nodes of the cluster, and which of them were asked.
#[derive(Default)]
struct Others {
    members: Vec<MemberStatus>,
    asked: BTreeSet<NodeId>,
}

impl Others {
    /// Learns who is at the other end, and who else there is. If that fails nothing is said of others.
    async fn ask(&mut self, client: &Client) {
        if let Ok(Welcome { node, members, .. }) = client.welcome().await {
            self.asked.insert(node);
            self.members = members;
        }
    }

    /// Who was left out, besides those at `addresses`, of which some may not have answered.
    fn left_out(&self, addresses: &[String]) -> Option<String> {
        let of = |address: &String| address.to_socket_addrs().into_iter().flatten();
        let named: BTreeSet<SocketAddr> = addresses.iter().flat_map(of).collect();
        let is_left_out = |member: &&MemberStatus| {
            member.liveness == Liveness::Alive
                && !self.asked.contains(&member.node)
                && !named.contains(&member.address)
        };
        let left_out: Vec<_> = self.members.iter().filter(is_left_out).collect();
        let shown: Vec<_> = left_out
            .iter()
            .take(SHOWN_MAX)
            .map(|member| format!("{} ({})", member.name, member.address))
            .collect();
        let more = left_out.len() - shown.len();
        let more = if more > 0 { format!(" and {more} more") } else { String::new() };
        let (were, them) = match left_out.len() {
            0 => return None,
            1 => ("1 other node was".to_owned(), "it"),
            count => (format!("{count} other nodes were"), "them"),
        };
        Some(format!(
            "note: {were} not asked: {}{more}; name {them} with --connect, too",
            shown.join(", ")
        ))
    }
}

/// Nodes that are told by their names.
const SHOWN_MAX: usize = 20;

/// What a good file says.
#[derive(Debug, Serialize)]
struct CheckLine<'a> {
    file: String,
    /// What the cluster is called.
    cluster: &'a str,
    /// How many of them there are.
    seeds: usize,
    queues: usize,
    tasks: usize,
    jobs: usize,
    /// What may not be meant.
    warnings: Vec<WarningLine<'a>>,
}

#[derive(Debug, Serialize)]
struct WarningLine<'a> {
    line: usize,
    column: usize,
    message: &'a str,
    /// Null where nobody can know what to write instead.
    help: Option<&'a str>,
}

impl<'a> WarningLine<'a> {
    fn of(warning: &'a Problem) -> Self {
        let Problem { line, column, message, help, .. } = warning;
        let help = (!help.is_empty()).then_some(help.as_str());
        Self { line: *line, column: *column, message, help }
    }
}

fn check(file: &Path, json: bool) -> anyhow::Result<Done> {
    let config = match Config::load(file) {
        Ok(config) => config,
        Err(ConfigError::Invalid(report)) => {
            // It has its own form, with carets.
            out::note(report.to_string());
            return Ok(Done::Badly);
        }
        Err(error) => return Err(error.into()),
    };
    let Config { cluster, queues, tasks, jobs, warnings, .. } = &config;
    if let Some(warnings) = warnings {
        out::note(format!("{warnings}\n"));
    }
    if json {
        let warnings = warnings.iter().flat_map(Report::problems);
        let mut results = out::Results::new();
        results.json(&CheckLine {
            file: file.display().to_string(),
            cluster: &cluster.name,
            seeds: cluster.seeds.len(),
            queues: queues.len(),
            tasks: tasks.len(),
            jobs: jobs.len(),
            warnings: warnings.map(WarningLine::of).collect(),
        })?;
        results.flush()?;
        return Ok(Done::Well);
    }
    let many = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        _ => format!("{count} {what}s"),
    };
    out::line(format!(
        "{} is good: cluster {:?}, {}, {}, {}, {}",
        file.display(),
        cluster.name,
        many(cluster.seeds.len(), "seed"),
        many(queues.len(), "queue"),
        many(tasks.len(), "task"),
        many(jobs.len(), "job")
    ))?;
    Ok(Done::Well)
}

#[cfg(test)]
mod tests {
    use umbel_protocol::membership::Condition;

    use super::*;

    #[test]
    fn files_that_differ_are_told() {
        let is = |number, is_current| FileVerdict { number, is_current };
        assert_eq!(differing(&[]), None);
        assert_eq!(differing(&[("a:1", is(3, true)), ("b:1", is(3, true))]), None);
        assert_eq!(differing(&[("a:1", is(0, false)), ("b:1", is(0, false))]), None, "no jobs");
        let told = differing(&[("a:1", is(3, true)), ("b:1", is(4, true)), ("c:1", is(4, true))]);
        let told = told.unwrap();
        assert!(told.contains("has those of c:1 now (version 4), not those of a:1;"), "{told}");
        let told = differing(&[("a:1", is(0, false)), ("b:1", is(1, true))]).unwrap();
        assert!(told.contains("not those of a:1;"), "{told}");
        let told = differing(&[("a:1", is(3, true)), ("b:1", is(4, false))]).unwrap();
        assert!(told.contains("of another node now (version 4), not those of a:1, b:1;"), "{told}");
    }

    #[test]
    fn who_was_not_asked_is_told() {
        let member = |number: u16, liveness| MemberStatus {
            node: NodeId(number.into()),
            name: format!("n{number}"),
            address: ([127, 0, 0, 1], number).into(),
            liveness,
            pid: 1,
            condition: Condition::Serving,
        };
        let alive = (1..=4).map(|number| member(number, Liveness::Alive));
        let members = alive.chain([member(5, Liveness::Down)]).collect();
        let others = Others { members, asked: [NodeId(1)].into() };
        let told = others.left_out(&["x:1".to_owned(), "localhost:3".to_owned()]).unwrap();
        assert_eq!(
            told,
            "note: 2 other nodes were not asked: n2 (127.0.0.1:2), n4 (127.0.0.1:4); name them with \
             --connect, too"
        );
        let all: Vec<_> = (2..=4).map(|number| format!("127.0.0.1:{number}")).collect();
        assert_eq!(others.left_out(&all), None);
    }
}
