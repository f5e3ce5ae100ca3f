//! `umbel demo`: a local cluster computes checksums, loses a node in the middle, and loses nothing.

mod course;
mod files;
mod report;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, bail};
use bytes::Bytes;
use clap::Args;
use futures_util::StreamExt;
use futures_util::future::join_all;
use futures_util::stream::FuturesUnordered;
use indicatif::ProgressBar;
use serde_json::json;
use tokio::task::{JoinHandle, spawn_blocking};
use tokio::time::{Instant, interval};
use umbel_protocol::id::TaskId;
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{Template, View};

use self::course::Course;
use self::files::{Files, find};
use self::report::Report;
use super::fleet::{Fleet, Home, Listed, Told, free_ports};
use super::interrupt::Interrupts;
use super::names::Names;
use super::progress::progress;
use super::submit::count_tasks;
use super::time::length;
use super::{Done, out};
use crate::client::{Client, ClientError};
use crate::work::Submission;

#[derive(Debug, Args)]
pub(super) struct DemoArgs {
    /// Directory whose files are summed
    #[arg(long, value_name = "DIR", default_value = ".")]
    over: PathBuf,
    /// How many nodes; with fewer than three none can be killed
    #[arg(long, value_name = "N", default_value_t = 3, value_parser = clap::value_parser!(u16).range(1..=9))]
    nodes: u16,
    /// Print the result as one line of JSON
    #[arg(long)]
    json: bool,
}

pub(super) async fn run(args: DemoArgs) -> anyhow::Result<Done> {
    let mut interrupts = Interrupts::listen()?;
    let home = Home::temporary("demo")?;
    let mut fleet = None;
    let played = tokio::select! {
        played = play(&args, &home, &mut fleet) => played,
        () = interrupts.any() => Err(anyhow::anyhow!("interrupted")),
    };
    if let Some(fleet) = fleet {
        fleet.stop().await;
    }
    let path = home.path().to_owned();
    drop(home);
    let report = played?;
    let mut results = out::Results::new();
    if args.json {
        results.json(&report)?;
    } else {
        for line in report.for_people() {
            results.line(line)?;
        }
    }
    results.flush()?;
    if path.exists() {
        bail!("{} could not be removed", path.display());
    }
    Ok(if report.is_good() { Done::Well } else { Done::Badly })
}

async fn play(args: &DemoArgs, home: &Home, kept: &mut Option<Fleet>) -> anyhow::Result<Report> {
    let over = args.over.clone();
    let files =
        spawn_blocking(move || find(&over)).await.context("looking for files panicked")??;
    out::note(format!("{files} in {}", args.over.display()));
    let told = Told { base: &configuration()?, file: None, labels: &[], listed: Listed::No };
    let fleet = kept.insert(Fleet::start(home, &free_ports(args.nodes)?, &told)?);
    fleet.ready().await.context("the local cluster did not start")?;
    let told: Vec<_> =
        fleet.members.iter().map(|m| format!("{} (pid {})", m.name, m.pid)).collect();
    out::note(format!("cluster is ready: {}", told.join(", ")));

    // Whoever takes a task in owns it: each node gets its share.
    let mut clients = Vec::with_capacity(fleet.members.len());
    for member in &fleet.members {
        clients.push(fleet.client_of(member).await?);
    }
    let watching = clients.last().context("there is a node")?.clone();
    let passes = TASKS_MIN.div_ceil(files.sums.len());
    let bar = progress(Some((files.sums.len() * passes) as u64));
    let mut course = Course::begin();
    let shares = submit(&clients, &files, passes).await?;
    let mut of_victim: BTreeSet<TaskId> = shares[VICTIM].iter().copied().collect();
    let ids = shares.concat();
    tell(
        &bar,
        format!(
            "{} acknowledged after {}",
            count_tasks(ids.len() as u64),
            length(course.elapsed())
        ),
    );

    let mut ends: FuturesUnordered<_> = ids.iter().map(|id| end_of(&watching, *id)).collect();
    let mut views = Vec::with_capacity(ids.len());
    let mut probe: Option<JoinHandle<Option<Duration>>> = None;
    while let Some(end) = ends.next().await {
        let view = end.context("the end of a task could not be learned")?;
        of_victim.remove(&view.id);
        course.ended(&view);
        views.push(view);
        bar.inc(1);
        if probe.is_none() && can_lose_one(args.nodes) && views.len() * 3 >= ids.len() {
            let victim = &fleet.members[VICTIM];
            tell(
                &bar,
                format!(
                    "{} of {} tasks done: killing {} (pid {}) with SIGKILL, which owns {} of the others",
                    views.len(),
                    ids.len(),
                    victim.name,
                    victim.pid,
                    of_victim.len(),
                ),
            );
            let name = victim.name.clone();
            fleet.kill(VICTIM)?;
            course.lost(name.clone());
            probe = Some(tokio::spawn(takeover(watching.clone(), name, Instant::now())));
        }
    }
    drop(ends);
    bar.finish_and_clear();
    if let Some(probe) = probe {
        course.taken_over(probe.await.context("looking for the new owners panicked")?);
    }
    let names = Names::ask(&watching).await;
    let nodes = args.nodes;
    let checked = spawn_blocking(move || {
        let mut report = Report::check(&files, passes, &views, &names);
        report.tell_course(nodes, &course);
        report
    });
    checked.await.context("checking panicked")
}

/// Whether a majority of the copies of each task outlives the loss of one of so many nodes.
const fn can_lose_one(nodes: u16) -> bool {
    nodes >= 3
}

/// What the nodes are told: the work, which is done by this very program.
fn configuration() -> anyhow::Result<String> {
    let program = std::env::current_exe().context("cannot tell where this program is")?;
    let program = program.to_str().context("the path of this program is not UTF-8 text")?;
    let program = program.replace('{', "{{").replace('}', "}}");
    let mut task = toml::Table::new();
    let line =
        [&program, "checksum", "--", "{path}"].map(|part| toml::Value::String(part.to_owned()));
    task.insert("command".to_owned(), toml::Value::Array(line.into()));
    let tasks = toml::Table::from_iter([(TASK.to_owned(), toml::Value::Table(task))]);
    let mut root = toml::Table::new();
    root.insert("tasks".to_owned(), toml::Value::Table(tasks));
    let named =
        toml::Table::from_iter([("name".to_owned(), toml::Value::String("demo".to_owned()))]);
    root.insert("cluster".to_owned(), toml::Value::Table(named));
    Ok(root.to_string())
}

/// Submits a share of the tasks through each of `clients`, all at once; the ids by client.
async fn submit(
    clients: &[Client],
    files: &Files,
    passes: usize,
) -> anyhow::Result<Vec<Vec<TaskId>>> {
    let template = Template::new(TASK);
    let args: Vec<Bytes> =
        files.sums.keys().map(|path| Bytes::from(json!({ "path": path }).to_string())).collect();
    let submissions = (0..passes).flat_map(|_| args.iter()).map(|args| Submission {
        template: template.clone(),
        args: args.clone(),
        particulars: None,
        id: None,
    });
    let mut shares: Vec<Vec<Submission>> = clients.iter().map(|_| Vec::new()).collect();
    for (place, submission) in submissions.enumerate() {
        shares[place % clients.len()].push(submission);
    }
    let submitted = clients.iter().zip(shares).map(|(client, share)| async {
        let answers = client.submit_all(share).await;
        answers.into_iter().collect::<Result<Vec<_>, ClientError>>()
    });
    let ids: Result<_, _> = join_all(submitted).await.into_iter().collect();
    ids.context("a task was not taken in")
}

async fn end_of(client: &Client, id: TaskId) -> Result<View, ClientError> {
    client.wait(id, Some(END_MAX)).await
}

/// How long it took until all partitions had owners other than the node called `lost`.
async fn takeover(client: Client, lost: String, since: Instant) -> Option<Duration> {
    let mut again = interval(Duration::from_millis(20));
    loop {
        again.tick().await;
        if since.elapsed() > END_MAX {
            return None;
        }
        let Ok(status) = client.status().await else { continue };
        let lost = status.members.iter().find(|member| member.name == lost);
        let gone = lost.is_none_or(|lost| {
            lost.liveness != Liveness::Alive && status.share(lost.node).owned == 0
        });
        if gone && status.partitions_owned == status.meta.partitions {
            return Some(since.elapsed());
        }
    }
}

/// Says something while the bar is there.
fn tell(bar: &ProgressBar, text: String) {
    bar.suspend(|| out::note(text));
}

const TASK: &str = "checksum";
/// Fewer tasks would be done before the node is killed.
const TASKS_MIN: usize = 600;
/// The first node: it formed the cluster, so its loss is the hardest.
const VICTIM: usize = 0;
/// A task that has not ended by then is lost.
const END_MAX: Duration = Duration::from_secs(120);

/// What a file's sum should be, by path.
type Sums = BTreeMap<String, String>;
