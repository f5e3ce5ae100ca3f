//! The jobs of the file, brought to the cluster.
//!
//! All hosts have the same file, so each could say what its jobs are, and whoever comes first does. The
//! cluster keeps which version of the file counts ([`JobsFile`](umbel_protocol::meta::JobsFile)): a node
//! that is started with a newer one brings it, one that is started with a former one is told so and
//! brings nothing. Every definition carries the number of its version, and partitions refuse what is older
//! than what they have. So two nodes that bring two versions at once do not mix them: who has the newer
//! one removes last what it has not, and who has the older one learns in the end that it is, and takes
//! back what it has defined where the newer one says nothing.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::StreamExt as _;
use futures_util::stream;
use tracing::warn;
use umbel_protocol::job::{Job, JobLine, JobName, Source};
use umbel_protocol::meta::{Rule, Subject};
use umbel_protocol::partition::{JobRefusal, Precondition};
use umbel_protocol::wire::RequestError;

use crate::client::{Client, ClientError};
use crate::config::{ConfiguredJob, file_hash};
use crate::work::chain;

/// Requests that are under way at a time.
const TOGETHER: usize = 64;

/// What has come of bringing the jobs of a file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Brought {
    /// Which version of the file counts now; none yet at zero.
    pub(super) number: u64,
    /// Whether it is another one, which is newer: what this one has changed was taken back.
    pub(super) is_former: bool,
    /// Jobs that were defined, also if they are as they were: under the number of this version.
    pub(super) defined: usize,
    /// How many of those the cluster did not have.
    pub(super) added: usize,
    /// How many it had as something else.
    pub(super) changed: usize,
    /// Jobs that are in the file no more.
    pub(super) removed: usize,
    /// Jobs that somebody had added while the cluster ran, and that are now what the file says.
    pub(super) taken_over: Vec<JobName>,
    /// Jobs that the cluster does not take as they are, and why.
    pub(super) refused: Vec<String>,
}

/// What the tries to bring the jobs of one file have in common.
#[derive(Debug, Default)]
pub(super) struct Tries {
    /// Whether a former file is to count again. That is said once: as soon as the cluster has heard it
    /// this is false.
    pub(super) is_deliberate: bool,
    /// What they have come to so far.
    brought: Brought,
    /// Whether it is known what the cluster had before the first one of them.
    has_listed: bool,
}

impl Tries {
    pub(super) fn new(is_deliberate: bool) -> Self {
        Self { is_deliberate, ..Self::default() }
    }
}

/// Brings `jobs` and `rules`, all of those of the file, which had those of `before` when it was read the last time:
/// the cluster does not list all of what a job is.
///
/// # Errors
/// When nobody answers in time; what was done is done, and all of it can be done once more.
pub(super) async fn bring(
    client: &Client,
    (jobs, rules): (&[ConfiguredJob], &BTreeMap<Subject, Rule>),
    before: &[ConfiguredJob],
    tries: &mut Tries,
) -> Result<Brought, ClientError> {
    // Nothing is news only to a cluster that has had some of a file.
    let says_nothing = jobs.is_empty() && rules.is_empty();
    if says_nothing && client.status().await?.meta.jobs_file.number == 0 {
        return Ok(Brought::default());
    }
    let hash = file_hash(jobs, rules);
    let verdict = client.offer_jobs_file(hash, tries.is_deliberate).await?;
    tries.is_deliberate = false;
    let number = verdict.number;
    let brought = &mut tries.brought;
    (brought.number, brought.is_former) = (number, !verdict.is_current);
    brought.refused.clear();
    if brought.is_former {
        return Ok(brought.clone());
    }
    let source = Source::File { number };
    let known = known(client).await?;
    let is_there: BTreeSet<&JobName> =
        known.iter().filter(|line| line.source == source).map(|line| &line.name).collect();
    let of_file: BTreeSet<&JobName> = jobs.iter().map(|job| &job.name).collect();
    let missing: Vec<ConfiguredJob> =
        jobs.iter().filter(|job| !is_there.contains(&job.name)).cloned().collect();
    if !tries.has_listed {
        tries.has_listed = true;
        let added = known.iter().filter(|line| line.source == Source::Live);
        let added = added.map(|line| &line.name).filter(|name| of_file.contains(name));
        brought.taken_over = added.cloned().collect();
        (brought.added, brought.changed) = news(&missing, &known, before);
    }
    let defined = all(client, missing, move |client, ConfiguredJob { name, job, .. }| async move {
        let result = client.define_job_of(&name, job, source, Precondition::Any).await;
        (name, result)
    });
    note(defined.await, brought, |brought| &mut brought.defined)?;

    // Listed once more: whoever brings a former file may have defined some meanwhile.
    let left = known_that(client, |line| {
        matches!(line.source, Source::File { number: before } if before < number)
            && !of_file.contains(&line.name)
    });
    remove(client, left.await?, source, brought).await?;

    // A cluster that has had none, and is to have none, may not even know what they are.
    if !rules.is_empty() || !client.status().await?.meta.rules.file.is_empty() {
        match client.set_file_rules(number, rules.clone()).await {
            Ok(()) => {}
            Err(ClientError::Request(error @ RequestError::Rule(_))) => {
                warn!(why = chain(&error), "the cluster does not take the rules of the file");
                brought.refused.push(format!("no rule of the file is taken: {}", chain(&error)));
            }
            Err(error) => return Err(error),
        }
    }

    let verdict = client.offer_jobs_file(hash, false).await?;
    brought.number = verdict.number;
    brought.is_former = !verdict.is_current;
    if brought.is_former {
        // By its own number: what the newer file has defined meanwhile is not removed by that.
        let own = known_that(client, |line| line.source == source).await?;
        let mut taken_back = Brought::default();
        remove(client, own, source, &mut taken_back).await?;
    }
    Ok(brought.clone())
}

/// How many of `jobs` are new to a cluster that has those of `known`, and how many are changed.
fn news(jobs: &[ConfiguredJob], known: &[JobLine], before: &[ConfiguredJob]) -> (usize, usize) {
    let known: BTreeMap<&JobName, &Job> =
        known.iter().map(|line| (&line.name, &line.job)).collect();
    let before: BTreeMap<&JobName, &ConfiguredJob> =
        before.iter().map(|job| (&job.name, job)).collect();
    let (mut added, mut changed) = (0, 0);
    for ConfiguredJob { name, job, command, .. } in jobs {
        let Some(listed) = known.get(name) else {
            added += 1;
            continue;
        };
        let is_other = |before: &&ConfiguredJob| before.job != *job || before.command != *command;
        let is_changed = job.listed() != **listed || before.get(name).is_some_and(is_other);
        changed += usize::from(is_changed);
    }
    (added, changed)
}

/// The jobs that the cluster has, all of them.
async fn known(client: &Client) -> Result<Vec<JobLine>, ClientError> {
    let listing = client.jobs("").await?;
    if listing.partitions_missing > 0 {
        // What they have may have to be removed.
        let missing = format!("the owners of {} partitions", listing.partitions_missing);
        return Err(RequestError::Forming { missing }.into());
    }
    Ok(listing.jobs)
}

/// The names of those of which `is_meant` is true.
async fn known_that(
    client: &Client,
    is_meant: impl Fn(&JobLine) -> bool,
) -> Result<Vec<JobName>, ClientError> {
    let meant = known(client).await?.into_iter().filter(|line| is_meant(line));
    Ok(meant.map(|line| line.name).collect())
}

async fn remove(
    client: &Client,
    names: Vec<JobName>,
    source: Source,
    brought: &mut Brought,
) -> Result<(), ClientError> {
    let removed = all(client, names, move |client, name| async move {
        let result = client.remove_job_of(&name, source).await;
        (name, result)
    });
    note(removed.await, brought, |brought| &mut brought.removed)
}

/// Does something about all of `things`, some at a time.
async fn all<T, F>(client: &Client, things: Vec<T>, act: impl Fn(Client, T) -> F) -> Vec<Said>
where
    F: Future<Output = Said>,
{
    let acts = things.into_iter().map(|thing| act(client.clone(), thing));
    stream::iter(acts).buffer_unordered(TOGETHER).collect().await
}

/// What was answered about a job.
type Said = (JobName, Result<(), ClientError>);

/// Counts what was done and keeps what was refused; the first failure that may pass is an error.
fn note(
    results: Vec<Said>,
    brought: &mut Brought,
    count: impl Fn(&mut Brought) -> &mut usize,
) -> Result<(), ClientError> {
    let mut failed = None;
    for (name, result) in results {
        match result {
            Ok(()) => *count(brought) += 1,
            // Somebody has brought a newer file meanwhile, which the cluster tells in the end; or somebody
            // else was faster.
            Err(ClientError::Request(RequestError::Job(
                JobRefusal::OldFile { .. } | JobRefusal::NotFound { .. },
            ))) => {}
            Err(ClientError::Request(
                error @ (RequestError::Job(_) | RequestError::InvalidJob(_)),
            )) => {
                warn!(job = %name, why = chain(&error), "the cluster does not take a job of the file");
                brought.refused.push(format!("the job {name} is not taken: {}", chain(&error)));
            }
            // What others have come to is counted all the same.
            Err(error) => failed = failed.or(Some(error)),
        }
    }
    failed.map_or(Ok(()), Err)
}

#[cfg(test)]
mod tests {
    use tokio::sync::mpsc;
    use umbel_protocol::id::{ClusterId, NodeId};
    use umbel_protocol::job::{JobCounts, Schedule};
    use umbel_protocol::meta::Meta;
    use umbel_protocol::partition::JobChange;
    use umbel_protocol::task::Template;
    use umbel_protocol::time::Span;
    use umbel_protocol::wire::{Answer, Ask, Status};

    use super::*;
    use crate::client::local::LocalRequest;

    fn job() -> Job {
        Job::new(Schedule::Every(Span::from_millis(60_000)), Template::new("add"))
    }

    fn file(names: &[&str]) -> Vec<ConfiguredJob> {
        let of = |name: &&str| {
            let name = name.parse().unwrap();
            ConfiguredJob { name, job: job(), command: None, line: 1 }
        };
        names.iter().map(of).collect()
    }

    /// A cluster to which somebody else brings a file with the job `other` as soon as it has one of the
    /// jobs that are brought here.
    struct Cluster {
        meta: Meta,
        jobs: BTreeMap<JobName, Source>,
        is_raced: bool,
        /// Whether it cannot be told once whether this is done.
        is_lost: bool,
    }

    /// As often as it takes.
    async fn bring_all(
        client: &Client,
        said: (&[ConfiguredJob], &BTreeMap<Subject, Rule>),
        tries: &mut Tries,
    ) -> Result<Brought, ClientError> {
        match bring(client, said, &[], tries).await {
            Err(_) => bring(client, said, &[], tries).await,
            brought => brought,
        }
    }

    impl Cluster {
        fn new(is_raced: bool) -> Self {
            let meta = Meta::new(ClusterId(1), "test".to_owned(), 4, 3, 1);
            Self { meta, jobs: BTreeMap::new(), is_raced, is_lost: false }
        }

        fn answer(&mut self, ask: Ask) -> Answer {
            match ask {
                Ask::FileRules { number, rules } => {
                    match self.meta.take_file_rules(number, rules) {
                        Ok(()) => Answer::Done,
                        Err(why) => Answer::Failed(why.into()),
                    }
                }
                Ask::Status => Answer::Status(Box::new(Status {
                    node: NodeId(1),
                    meta: self.meta.clone(),
                    members: Vec::new(),
                    shares: BTreeMap::new(),
                    partitions_owned: 4,
                    partitions_whole: 4,
                    open: 0,
                    running: 0,
                })),
                Ask::OfferFile { hash, deliberate } => {
                    Answer::File(self.meta.take_file(hash, deliberate))
                }
                Ask::ListJobs { after, .. } => {
                    let listed = self.jobs.iter().filter(|(name, _)| Some(*name) > after.as_ref());
                    let jobs = listed.map(|(name, source)| JobLine {
                        name: name.clone(),
                        job: job().listed(),
                        source: *source,
                        enabled: true,
                        declared: umbel_protocol::job::Declared::ALL,
                        next: None,
                        counts: JobCounts::default(),
                        last: None,
                    });
                    Answer::Jobs {
                        jobs: jobs.collect(),
                        has_more: false,
                        partitions_missing: 0,
                        told: Vec::new(),
                    }
                }
                Ask::ChangeJob { job, change: JobChange::Define { source, .. } } => {
                    self.jobs.insert(job, source);
                    if std::mem::take(&mut self.is_raced) {
                        let number = self.meta.take_file(99, false).number;
                        self.jobs.insert("other".parse().unwrap(), Source::File { number });
                    }
                    Answer::Done
                }
                Ask::ChangeJob { job, change: JobChange::Remove { .. } } => {
                    self.jobs.remove(&job);
                    match std::mem::take(&mut self.is_lost) {
                        true => Answer::Failed(RequestError::NotUpgraded),
                        false => Answer::Done,
                    }
                }
                other => panic!("{other:?}"),
            }
        }

        /// What comes of bringing these jobs, and the jobs that there are then.
        async fn take(&mut self, jobs: &[ConfiguredJob]) -> (Brought, Vec<(String, Source)>) {
            self.take_all(jobs, &BTreeMap::new()).await
        }

        /// The same with rules.
        async fn take_all(
            &mut self,
            jobs: &[ConfiguredJob],
            rules: &BTreeMap<Subject, Rule>,
        ) -> (Brought, Vec<(String, Source)>) {
            let (requests, mut asked) = mpsc::channel(64);
            let client = Client::local(requests);
            let mut tries = Tries::new(true);
            let bringing = bring_all(&client, (jobs, rules), &mut tries);
            let answering = async {
                while let Some(LocalRequest { request, answers }) = asked.recv().await {
                    if request.ask != Ask::Welcome {
                        answers.try_send(self.answer(request.ask)).unwrap();
                    }
                }
            };
            let brought = tokio::select! {
                brought = bringing => brought.unwrap(),
                () = answering => panic!("the client lives"),
            };
            assert!(!tries.is_deliberate, "that is said once");
            let jobs = self.jobs.iter().map(|(name, source)| (name.to_string(), *source));
            (brought, jobs.collect())
        }
    }

    #[tokio::test]
    async fn jobs_that_are_in_the_file_no_more_are_removed() {
        let mut cluster = Cluster::new(false);
        let (brought, jobs) = cluster.take(&file(&["a", "b"])).await;
        assert_eq!(brought, Brought { number: 1, defined: 2, added: 2, ..Brought::default() });
        assert_eq!(jobs.len(), 2);
        let (brought, jobs) = cluster.take(&file(&["b"])).await;
        assert_eq!(brought, Brought { number: 2, defined: 1, removed: 1, ..Brought::default() });
        assert_eq!(jobs, [("b".to_owned(), Source::File { number: 2 })]);
        assert_eq!(
            super::super::reload::told(&brought, 1),
            ["jobs: 1 in the file: 1 removed (version 2)"]
        );
    }

    #[tokio::test]
    async fn what_a_file_says_of_queues_is_brought_and_is_gone_with_it() {
        let mut cluster = Cluster::new(false);
        let queue = |name: &str| Subject::Queue(name.to_owned());
        let rules = |weight| {
            let rule = Rule { weight: Some(weight), ..Rule::default() };
            BTreeMap::from([(queue("mail"), rule)])
        };
        cluster.take_all(&[], &rules(3)).await;
        assert_eq!(cluster.meta.rules.file, rules(3));
        let (brought, _) = cluster.take_all(&file(&["a"]), &rules(4)).await;
        assert_eq!((brought.number, &cluster.meta.rules.file), (2, &rules(4)));
        // What cannot be meant is told, and the jobs are there.
        let (brought, jobs) = cluster.take_all(&file(&["a", "b"]), &rules(0)).await;
        assert_eq!((brought.refused.len(), jobs.len()), (1, 2), "{brought:?}");
        assert_eq!(cluster.meta.rules.file, rules(4));
        cluster.take(&file(&["a"])).await;
        assert_eq!(cluster.meta.rules.file, BTreeMap::new());
    }

    #[tokio::test]
    async fn what_a_first_try_has_done_is_told_after_the_second_one() {
        let mut cluster = Cluster::new(false);
        cluster.take(&file(&["a", "b", "c"])).await;
        cluster.is_lost = true;
        let (brought, jobs) = cluster.take(&file(&["b", "d"])).await;
        assert_eq!((brought.number, brought.added, brought.removed), (2, 1, 1), "{brought:?}");
        assert_eq!(jobs.len(), 2);
    }

    #[test]
    fn what_is_new_or_changed_is_counted() {
        let line = |name: &str| JobLine {
            name: name.parse().unwrap(),
            job: job().listed(),
            source: Source::Live,
            enabled: true,
            declared: umbel_protocol::job::Declared::ALL,
            next: None,
            counts: JobCounts::default(),
            last: None,
        };
        let known = ["a", "b", "c"].map(line);
        let before = file(&["a", "b", "c"]);
        let mut now = file(&["a", "b", "c", "d"]);
        assert_eq!(news(&now, &known, &before), (1, 0));
        now[0].job.max_runs = Some(3);
        assert_eq!(news(&now, &known, &[]), (1, 1));
        // No list of the cluster has arguments.
        now[1].job.args = "[1]".into();
        assert_eq!(news(&now, &known, &before), (1, 2));
    }

    #[tokio::test]
    async fn a_job_that_was_added_and_is_in_the_file_is_taken_over_and_that_is_told() {
        let mut cluster = Cluster::new(false);
        let (a, b) = ("a".parse().unwrap(), "b".parse().unwrap());
        cluster.jobs.extend([(a, Source::Live), (b, Source::Live)]);
        let (brought, jobs) = cluster.take(&file(&["a", "c"])).await;
        assert_eq!(brought.taken_over, ["a".parse().unwrap()]);
        let (file, live) = (Source::File { number: 1 }, Source::Live);
        assert_eq!(jobs, [("a".into(), file), ("b".into(), live), ("c".into(), file)]);
        assert_eq!(
            super::super::reload::told(&brought, 2),
            [
                "jobs: 2 in the file: 1 new (version 1)",
                "job a was added by hand: the file defines it now"
            ]
        );
    }

    #[tokio::test]
    async fn a_file_that_another_one_overtakes_is_taken_back() {
        let mut cluster = Cluster::new(true);
        let (brought, jobs) = cluster.take(&file(&["a", "b"])).await;
        assert_eq!((brought.number, brought.is_former), (2, true));
        assert_eq!(jobs, [("other".to_owned(), Source::File { number: 2 })]);
    }
}
