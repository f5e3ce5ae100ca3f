//! A cluster of processes on this host, for `umbel dev` and `umbel demo`.
//!
//! Everything is in one directory: what the nodes are told (`dev.toml`), their certificates,
//! data and logs. The nodes stop when this process does, however it ends: each holds one end of a
//! pipe, and goes when the other end is gone.

mod home;

use std::ffi::OsString;
use std::fs::{self, File};
use std::net::{Ipv4Addr, SocketAddr, UdpSocket};
use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use anyhow::{Context, bail};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::time::{Instant, interval, timeout};
use umbel_protocol::job::Labels;
use umbel_protocol::membership::Liveness;
use umbel_protocol::wire::Status;

use self::home::node_name;
pub(super) use self::home::{FILE, Home, cluster_toml};
use super::connect::Target;
use crate::client::Client;
use crate::config::quoted;
use crate::tls::ensure_local;

/// A cluster of processes on this host.
pub(super) struct Fleet {
    pub(super) members: Vec<Member>,
    target: Target,
}

/// What the nodes of a cluster are told.
#[derive(Debug)]
pub(super) struct Told<'a> {
    /// A cluster.toml to begin with.
    pub(super) base: &'a str,
    /// Where that is, if they are to read it again there when somebody has changed it.
    pub(super) file: Option<&'a Path>,
    /// What is said of single nodes, by their names.
    pub(super) labels: &'a [(String, Labels)],
    pub(super) listed: Listed,
}

/// Whether commands find its nodes by themselves.
#[derive(Clone, Copy, Debug)]
pub(super) enum Listed {
    Yes,
    No,
}

/// One of its nodes.
pub(super) struct Member {
    pub(super) name: String,
    pub(super) address: SocketAddr,
    pub(super) pid: u32,
    /// What it was told.
    args: Vec<OsString>,
    log: PathBuf,
    child: Child,
    /// How it ended, once that is known.
    ended: Option<ExitStatus>,
}

impl Fleet {
    /// Starts nodes in `home` on these ports.
    pub(super) fn start(home: &Home, ports: &[u16], told: &Told<'_>) -> anyhow::Result<Self> {
        let dir = home.path();
        let addresses: Vec<_> =
            ports.iter().map(|port| SocketAddr::from((Ipv4Addr::LOCALHOST, *port))).collect();
        home.write(&cluster_toml(told.base, dir, &addresses)?)?;
        ensure_local(&dir.join("tls"))?;
        let names = (1..).map(node_name).take(addresses.len());
        if let Some((name, _)) =
            told.labels.iter().find(|(name, _)| !names.clone().any(|known| known == *name))
        {
            bail!(
                "there is no node {name} to have labels: nodes are called node-1, node-2 and so on"
            );
        }
        let mut members = Vec::new();
        for (name, address) in names.zip(&addresses) {
            members.push(Member::start(dir, name, *address, &addresses, told)?);
        }
        let texts = addresses.iter().map(SocketAddr::to_string).collect();
        Ok(Self { members, target: Target::new(texts, dir.join("tls")) })
    }

    /// Writes anew what its nodes would be told if they were started now.
    pub(super) fn keep(&self, home: &Home, base: &str) -> anyhow::Result<()> {
        let addresses: Vec<_> = self.members.iter().map(|member| member.address).collect();
        home.write(&cluster_toml(base, home.path(), &addresses)?)
    }

    /// A client of one of the nodes.
    pub(super) async fn client_of(&self, member: &Member) -> anyhow::Result<Client> {
        self.target.client_of(member.address.to_string()).await
    }

    /// Waits until all nodes are members and alive, and all partitions have owners.
    pub(super) async fn ready(&mut self) -> anyhow::Result<Status> {
        let deadline = Instant::now() + READY_MAX;
        let mut again = interval(Duration::from_millis(100));
        let mut client = None;
        let mut missing = "no node answers".to_owned();
        loop {
            again.tick().await;
            if let Some(member) = self.newly_ended().first() {
                bail!("{}", self.obituary(member));
            }
            if Instant::now() > deadline {
                bail!("the cluster is not ready after {} s: {missing}", READY_MAX.as_secs());
            }
            if client.is_none() {
                client = self.target.client().await.ok();
            }
            let Some(asked) = &client else { continue };
            match timeout(STATUS_MAX, asked.status()).await {
                Ok(Ok(status)) => match self.lacking(&status) {
                    None => return Ok(status),
                    Some(lacking) => missing = lacking,
                },
                Ok(Err(error)) => missing = error.to_string(),
                Err(_) => missing = "the nodes have not formed a cluster yet".to_owned(),
            }
        }
    }

    fn lacking(&self, status: &Status) -> Option<String> {
        for Member { name, .. } in &self.members {
            let seen = status.members.iter().find(|member| member.name == *name);
            if seen.is_none_or(|member| member.liveness != Liveness::Alive) {
                return Some(format!("{name} is not a member yet"));
            }
        }
        let (owned, all) = (status.partitions_owned, status.meta.partitions);
        if owned < all {
            return Some(format!("{owned} of {all} partitions have an owner"));
        }
        // Until then the end of one node may leave a partition with nobody.
        let whole = status.partitions_whole;
        (whole < all).then(|| format!("{whole} of {all} partitions have all their copies"))
    }

    /// Nodes that have ended since this was last asked, by position.
    pub(super) fn newly_ended(&mut self) -> Vec<usize> {
        let mut ended = Vec::new();
        for (place, member) in self.members.iter_mut().enumerate() {
            if member.ended.is_none()
                && let Ok(Some(status)) = member.child.try_wait()
            {
                member.ended = Some(status);
                ended.push(place);
            }
        }
        ended
    }

    /// Whether any node still runs.
    pub(super) fn is_alive(&self) -> bool {
        self.members.iter().any(|member| member.ended.is_none())
    }

    /// How a node ended, with the last words of its log.
    pub(super) fn obituary(&self, place: &usize) -> String {
        let member = &self.members[*place];
        let how = match member.ended {
            Some(status) => match (status.code(), status.signal()) {
                (Some(code), _) => format!("ended with code {code}"),
                (None, Some(signal)) => format!("was ended by signal {signal}"),
                (None, None) => "ended".to_owned(),
            },
            None => "runs".to_owned(),
        };
        let mut text = format!("{} (pid {}) {how}", member.name, member.pid);
        for line in last_lines(&member.log) {
            text.push_str("\n  | ");
            text.push_str(&line);
        }
        text
    }

    /// Ends a node as if its power was cut.
    pub(super) fn kill(&mut self, place: usize) -> anyhow::Result<()> {
        self.members[place].child.start_kill().context("cannot kill the node")
    }

    /// Stops all nodes in order.
    pub(super) async fn stop(mut self) {
        for member in &self.members {
            member.tell(Signal::SIGTERM);
        }
        let all = futures_util::future::join_all(self.members.iter_mut().map(|m| m.child.wait()));
        if timeout(LEAVE_MAX, all).await.is_err() {
            // Whoever stops them all does not want to wait for what they run.
            self.members.iter().for_each(|member| member.tell(Signal::SIGTERM));
        }
        for member in &mut self.members {
            if timeout(STOP_MAX, member.child.wait()).await.is_err() {
                drop(member.child.start_kill());
                drop(member.child.wait().await);
            }
        }
    }
}

impl Member {
    /// The command that starts it by hand.
    pub(super) fn command_line(&self) -> String {
        let args = self.args.iter().map(|arg| quoted(&arg.to_string_lossy()).into_owned());
        let words = ["umbel".to_owned(), "node".to_owned()].into_iter().chain(args);
        words.collect::<Vec<_>>().join(" ")
    }

    fn start(
        dir: &Path,
        name: String,
        address: SocketAddr,
        all: &[SocketAddr],
        told: &Told<'_>,
    ) -> anyhow::Result<Self> {
        let program = std::env::current_exe().context("cannot tell where this program is")?;
        let log = dir.join(format!("{name}.log"));
        let output = File::options().append(true).create(true).open(&log);
        let output = output.with_context(|| format!("cannot write {}", log.display()))?;
        let mut command = Command::new(program);
        let args = args_of(dir, &name, address, all, told);
        command.arg("node").args(&args).arg("--tethered");
        if let Listed::No = told.listed {
            command.arg("--unlisted");
        }
        let child = command
            .stdin(Stdio::piped())
            .stdout(output.try_clone()?)
            .stderr(output)
            // Ctrl-C is for this process, which then stops them in order.
            .process_group(0)
            .kill_on_drop(true)
            .spawn()
            .context("cannot start a node")?;
        let pid = child.id().unwrap_or_default();
        Ok(Self { name, address, pid, args, log, child, ended: None })
    }

    fn tell(&self, signal: Signal) {
        // Until it is waited for, its number belongs to nobody else.
        if let Some(pid) = self.child.id().and_then(|pid| i32::try_from(pid).ok()) {
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

/// The ports from `base` on; they must be free, for the nodes would not say so as clearly.
pub(super) fn ports_from(base: u16, count: u16) -> anyhow::Result<Vec<u16>> {
    let Some(end) = base.checked_add(count) else {
        bail!("there are no {count} ports from {base} on; choose a lower one with --base-port");
    };
    for port in base..end {
        UdpSocket::bind((Ipv4Addr::LOCALHOST, port)).with_context(|| {
            format!(
                "UDP port {port} is taken: stop whatever uses it (is a cluster running already?) \
                 or choose others with --base-port"
            )
        })?;
    }
    Ok((base..end).collect())
}

/// Ports that nobody uses at this moment.
pub(super) fn free_ports(count: u16) -> anyhow::Result<Vec<u16>> {
    // All are held until all are known, so that none comes twice.
    let held: Vec<_> = (0..count)
        .map(|_| UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)))
        .collect::<Result<_, _>>()
        .context("cannot find free ports")?;
    let ports = held.iter().map(|socket| socket.local_addr().map(|address| address.port()));
    ports.collect::<Result<_, _>>().context("cannot find free ports")
}

/// What the node `name` is told at its start, as it could be started by hand.
fn args_of(
    dir: &Path,
    name: &str,
    address: SocketAddr,
    all: &[SocketAddr],
    told: &Told<'_>,
) -> Vec<OsString> {
    let address = address.to_string();
    let mut args: Vec<OsString> =
        ["--name", name, "--listen", &address, "--config"].map(OsString::from).into();
    match told.file {
        None => args.push(dir.join(FILE).into()),
        Some(file) => {
            args.extend([file.into(), "--local".into(), dir.into()]);
            args.extend(all.iter().flat_map(|seed| ["--join".into(), seed.to_string().into()]));
        }
    }
    let labels = told.labels.iter().filter(|(of, _)| *of == name);
    args.extend(labels.flat_map(|(_, labels)| ["--label".into(), labels.to_string().into()]));
    args
}

fn last_lines(log: &Path) -> Vec<String> {
    let text = fs::read(log).unwrap_or_default();
    let text = String::from_utf8_lossy(&text[text.len().saturating_sub(LOG_BYTES)..]).into_owned();
    let mut lines: Vec<_> = text.lines().rev().take(LOG_LINES).map(str::to_owned).collect();
    lines.reverse();
    lines
}

/// A cluster that takes longer to form has another problem than time.
const READY_MAX: Duration = Duration::from_secs(60);
/// One question for the status, longer than the asked node waits for others; it is asked again.
const STATUS_MAX: Duration = Duration::from_secs(2);
/// What nodes may need to hand over what they have, as they all stop.
const LEAVE_MAX: Duration = Duration::from_secs(3);
/// What a node may need to stop in order.
const STOP_MAX: Duration = Duration::from_secs(10);
/// Of a log that is shown.
const LOG_LINES: usize = 5;
const LOG_BYTES: usize = 4096;
