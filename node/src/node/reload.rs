//! Reading the file again while the node runs.
//!
//! Its tasks, its jobs, its rules, the queues that the node serves and its slots are taken over at once: a command
//! that is new can be run, one that is gone cannot, and the cluster has the jobs and the rules. Everything else in
//! the file is for the next start, which is said. A file that cannot be used changes nothing.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;
use tracing::{debug, info, warn};
use umbel_protocol::job::Labels;
use umbel_protocol::meta::FileVerdict;
use umbel_protocol::wire::Reloaded;

use super::definitions::{InvalidTask, add_configured};
use super::jobs_file::{Brought, Tries, bring};
use super::profile::{OwnPools, profile};
use crate::actors::{Handles, Learned, Reload, Repertoire};
use crate::client::{Client, ClientError};
use crate::config::{Config, ConfigError, ConfiguredJob, Node};
use crate::work::{Registry, Withheld, chain};

/// How long a request to read the file again waits until the cluster has its jobs: less than a client
/// waits for the answer, so that it hears why.
const BRING_WAIT: Duration = Duration::from_secs(8);
/// Pause before jobs are brought once more, if the cluster does not answer.
const BRING_AGAIN: Duration = Duration::from_secs(2);
/// Most that is told of one kind: who reads an answer wants to see all of it.
const TOLD_MAX: usize = 20;

/// The file was not taken over, or not all of it.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ReloadError {
    /// Too many ask for that at once.
    #[error("the file is being read again already; ask again in a moment")]
    Busy,
    /// It cannot be read, or says what makes no sense. What was read before holds.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// It was taken over, but for some of its jobs, or its rules.
    #[error("the file was read again, but the cluster does not take all that it says:\n  {}", .notes.join("\n  "))]
    Jobs {
        /// Which ones, and why; then whatever else there is to tell.
        notes: Vec<String>,
    },
    /// The node was started without a file.
    #[error("this node was started without a file; start it with `umbel node -c cluster.toml`")]
    NoFile,
    /// The node stops.
    #[error("the node is being stopped")]
    Stopping,
    /// A task of it cannot be run on this host. What was read before holds.
    #[error(transparent)]
    Task(#[from] InvalidTask),
}

/// Whoever takes the file over, at the start of the node and later.
pub(super) struct Reloader {
    /// Where it is.
    pub(super) file: Option<PathBuf>,
    /// What it said when it was read last.
    pub(super) config: Config,
    /// What the program itself can run.
    pub(super) handlers: Registry,
    pub(super) own_pools: OwnPools,
    /// What is said of the node itself.
    pub(super) labels: Labels,
    pub(super) handles: Handles,
    pub(super) client: Client,
    pub(super) withheld: Withheld,
    pub(super) requests: mpsc::Receiver<Reload>,
}

/// Jobs that are being brought to the cluster.
struct Bringing {
    task: JoinHandle<Brought>,
    /// Why they could not be brought so far; empty before that is known.
    why: watch::Receiver<String>,
}

impl Reloader {
    /// Takes over what the node was started with, and then whatever is asked for.
    pub(super) async fn run(mut self) {
        let mut member = self.handles.member.subscribe();
        if member.wait_for(|member| *member).await.is_err() {
            return;
        }
        // A file without any has nothing to say of them when a node starts with it.
        let says_anything = !self.config.jobs.is_empty() || !self.config.rules.is_empty();
        let mut bringing = says_anything.then(|| self.bring(Vec::new(), false));
        while let Some(Reload { by }) = self.requests.recv().await {
            let result = self.reload(&mut bringing).await;
            match &result {
                Ok(Reloaded { notes, .. }) => {
                    info!(notes = notes.join("; "), "the file was read again")
                }
                Err(why @ ReloadError::Jobs { .. }) => {
                    warn!(why = chain(why), "not all that the file says is taken over");
                }
                Err(why) => {
                    warn!(why = chain(why), "the file is not taken over: the old one holds")
                }
            }
            by.tell(result, &self.handles);
        }
        if let Some(bringing) = bringing {
            bringing.task.abort();
        }
    }

    async fn reload(&mut self, bringing: &mut Option<Bringing>) -> Result<Reloaded, ReloadError> {
        let file = self.file.clone().ok_or(ReloadError::NoFile)?;
        // A large file takes its time, on a thread that nobody else needs.
        let read = tokio::task::spawn_blocking(move || Config::load(&file)).await;
        let config = read.map_err(|_| ReloadError::Stopping)??;
        let mut registry = self.handlers.clone();
        add_configured(&mut registry, &config)?;
        self.withheld.add(config.secret_variables());

        let mut notes: Vec<String> = tasks_changed(&self.config, &config).into_iter().collect();
        notes.extend(not_taken(&self.config, &config));
        if let Some(warnings) = &config.warnings {
            let file = warnings.file();
            let warnings = warnings.lines(|task| registry.get(task).is_some());
            notes.extend(first(warnings, |more| {
                format!("{more} more warnings: see `umbel config check {file}`")
            }));
        }
        let here = config.on(&self.labels);
        let profile = profile(&here, &registry, &mut self.own_pools);
        let repertoire = Repertoire { registry: Arc::new(registry), profile };
        self.handles.repertoire.send_replace(repertoire.clone());
        self.handles.tell(&self.handles.executor, Learned(repertoire));

        let Config { cluster, mut node, tls, .. } = self.config.clone();
        node.queues.clone_from(&config.node.queues);
        // What waits for the next start is said again the next time.
        let config = Config { cluster, node, tls, ..config };
        let before = std::mem::replace(&mut self.config, config).jobs;
        if let Some(before) = bringing.take() {
            before.task.abort();
        }
        let mut now = self.bring(before, true);
        let mut jobs = None;
        let Brought { refused, .. } = match tokio::time::timeout(BRING_WAIT, &mut now.task).await {
            Ok(Ok(brought)) => {
                notes.splice(0..0, told(&brought, self.config.jobs.len()));
                let Brought { number, is_former, .. } = brought;
                jobs = Some(FileVerdict { number, is_current: !is_former });
                brought
            }
            Ok(Err(_)) => return Err(ReloadError::Stopping),
            Err(_) => {
                let why = match now.why.borrow().as_str() {
                    "" => String::new(),
                    why => format!(" ({why})"),
                };
                let note =
                    format!("jobs: the cluster does not answer{why}; it will have them later");
                notes.insert(0, note);
                *bringing = Some(now);
                Brought::default()
            }
        };
        if refused.is_empty() {
            return Ok(Reloaded { notes, jobs });
        }
        let refused = first(refused.into_iter(), |more| format!("{more} more jobs are not taken"));
        notes.splice(0..0, refused);
        Err(ReloadError::Jobs { notes })
    }

    /// Brings the jobs, as often as it takes. Those of `before` are what the file had.
    fn bring(&self, before: Vec<ConfiguredJob>, is_deliberate: bool) -> Bringing {
        let (client, jobs) = (self.client.clone(), self.config.jobs.clone());
        let rules = self.config.rules.clone();
        let (tell_why, why) = watch::channel(String::new());
        let mut tries = Tries::new(is_deliberate);
        let task = self.handles.runtime.spawn(async move {
            loop {
                match bring(&client, (&jobs, &rules), &before, &mut tries).await {
                    Ok(brought) => {
                        tell(&brought, jobs.len());
                        return brought;
                    }
                    Err(ClientError::Closed) => return Brought::default(),
                    Err(why) => {
                        let why = chain(&why);
                        debug!(why, "the jobs of the file are brought once more");
                        tell_why.send_replace(why);
                        tokio::time::sleep(BRING_AGAIN).await;
                    }
                }
            }
        });
        Bringing { task, why }
    }
}

fn tell(brought: &Brought, jobs: usize) {
    let Brought { number, is_former, added, changed, removed, taken_over, .. } = brought;
    if *is_former {
        warn!(
            number,
            "the cluster has the jobs of a newer file; `umbel config reload` goes back to this one"
        );
    } else if *number > 0 {
        info!(number, jobs, added, changed, removed, "the cluster has the jobs of this file");
        for name in taken_over {
            warn!(job = %name, "it was added by hand: the file defines it now");
        }
    }
}

/// What came of the jobs, if there are any or were.
pub(super) fn told(brought: &Brought, jobs: usize) -> Vec<String> {
    let Brought { number, is_former, added, changed, removed, taken_over, .. } = brought;
    if *is_former {
        return vec![format!("jobs: a newer file of another node counts (version {number})")];
    }
    let news = [(*added, "new"), (*changed, "changed"), (*removed, "removed")];
    let news = news.iter().filter(|(count, _)| *count > 0);
    let news: Vec<_> = news.map(|(count, what)| format!("{count} {what}")).collect();
    let colon = if news.is_empty() { "" } else { ": " };
    let news = news.join(", ");
    let all =
        (*number > 0).then(|| format!("jobs: {jobs} in the file{colon}{news} (version {number})"));
    let taken_over = taken_over
        .iter()
        .map(|name| format!("job {name} was added by hand: the file defines it now"));
    let more = |more| format!("{more} more jobs were added by hand and are in the file now");
    all.into_iter().chain(first(taken_over, more)).collect()
}

/// The first ones of `lines`, and how many there are more.
fn first(
    lines: impl Iterator<Item = String>,
    more: impl Fn(usize) -> String,
) -> impl Iterator<Item = String> {
    let mut lines = lines.fuse();
    let shown: Vec<String> = lines.by_ref().take(TOLD_MAX).collect();
    let rest = lines.count();
    shown.into_iter().chain((rest > 0).then(|| more(rest)))
}

/// What a new file says of tasks that the one before did not.
fn tasks_changed(before: &Config, now: &Config) -> Option<String> {
    let (before, now): (BTreeMap<_, _>, BTreeMap<_, _>) =
        (before.runnable().collect(), now.runnable().collect());
    let changed = now.iter().filter(|(name, task)| before.get(*name) != Some(task)).count();
    let gone = before.keys().filter(|name| !now.contains_key(*name)).count();
    (changed + gone > 0).then(|| format!("tasks: {changed} new or changed, {gone} gone"))
}

/// What a new file says and only counts when the node is started anew.
fn not_taken(before: &Config, now: &Config) -> Option<String> {
    // Which queues a node serves is taken over at once, and so are slots.
    let node = Node { queues: now.node.queues.clone(), ..before.node.clone() };
    let sections = [
        ("[cluster]", before.cluster != now.cluster),
        ("[node]", node != now.node),
        ("[tls]", before.tls != now.tls),
    ];
    let changed: Vec<&str> =
        sections.iter().filter(|(_, changed)| *changed).map(|(name, _)| *name).collect();
    (!changed.is_empty()).then(|| {
        format!("{} changed: that counts when the node is started anew", changed.join(", "))
    })
}
