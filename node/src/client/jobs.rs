//! What a client says of periodic jobs, and asks about them.
//!
//! ```standalone_crate
//! # use umbel::testing::Cluster;
//! # #[tokio::main]
//! # async fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let cluster = Cluster::builder().nodes(1).start().await?;
//! # let client = cluster.client();
//! use umbel::protocol::job::{Job, Schedule};
//! use umbel::protocol::partition::Precondition;
//! use umbel::protocol::task::Template;
//!
//! let nightly = Schedule::Cron("30 2 * * *".to_owned());
//! let job = Job::new(nightly, Template::new("umbel.noop"));
//! client.define_job(&"nightly-backup".parse()?, job, Precondition::Any).await?;
//! assert!(client.job(&"nightly-backup".parse()?).await?.enabled);
//! # cluster.stop().await;
//! # Ok(()) }
//! ```

use umbel_protocol::job::{Job, JobLine, JobName, JobView, Source};
use umbel_protocol::limits::JOBS_LISTED_MAX;
use umbel_protocol::meta::FileVerdict;
use umbel_protocol::partition::{JobChange, JobRefusal, Precondition};
use umbel_protocol::time::Wall;
use umbel_protocol::wire::{Answer, Ask, RequestError};

use super::{Client, ClientError};

/// Jobs that were found.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct JobListing {
    /// The jobs, by name. Their arguments are left out, and of their ticks only the last one is told:
    /// [`Client::job`] tells all that is known of a job.
    pub jobs: Vec<JobLine>,
    /// Partitions whose jobs are missing, because nobody who owns them could tell. With 0 the
    /// listing is complete.
    pub partitions_missing: u16,
}

/// How often a job is asked to run that is changed at the same time.
const RUN_TRIES: u32 = 5;

impl Client {
    /// Says what a job is from now on. To say it once more changes nothing.
    ///
    /// With a `precondition` nothing is changed unless it holds: a job that was looked at, and is to be
    /// changed, is given with the [revision](JobView::revision) that was seen.
    ///
    /// # Errors
    /// There can be no such job, nobody knows its task, it belongs to the cluster's file, the
    /// precondition does not hold, or nobody answers for it.
    pub async fn define_job(
        &self,
        name: &JobName,
        job: Job,
        precondition: Precondition,
    ) -> Result<(), ClientError> {
        self.define_job_of(name, job, Source::Live, precondition).await
    }

    /// As [`define_job`](Self::define_job), said by `source`.
    pub(crate) async fn define_job_of(
        &self,
        name: &JobName,
        job: Job,
        source: Source,
        precondition: Precondition,
    ) -> Result<(), ClientError> {
        let job = Box::new(job);
        self.change_job(name, JobChange::Define { job, source, precondition }).await
    }

    /// Removes a job, and with it what is remembered of its ticks. Tasks that it has led to go on if
    /// they run, and are cancelled if they wait.
    ///
    /// # Errors
    /// There is none, it belongs to the cluster's file, or nobody answers for it.
    pub async fn remove_job(&self, name: &JobName) -> Result<(), ClientError> {
        self.remove_job_of(name, Source::Live).await
    }

    /// As [`remove_job`](Self::remove_job), said by `source`.
    pub(crate) async fn remove_job_of(
        &self,
        name: &JobName,
        source: Source,
    ) -> Result<(), ClientError> {
        self.change_job(name, JobChange::Remove { source }).await
    }

    /// Has a job fire from now on, or not. Ticks that pass meanwhile are no missed ones.
    ///
    /// # Errors
    /// There is none, or nobody answers for it.
    pub async fn enable_job(&self, name: &JobName, enabled: bool) -> Result<(), ClientError> {
        self.change_job(name, JobChange::Enable { enabled }).await
    }

    /// Has a job run now, whatever its schedule says and also if it is disabled. Tells as what time
    /// this was asked for: that is the tick in its history, which is said to be by hand.
    ///
    /// # Errors
    /// There is none, there is no room for its tasks, or nobody answers for it.
    pub async fn run_job(&self, name: &JobName) -> Result<Wall, ClientError> {
        // Made once, so that a try whose answer was lost is recognised.
        let at = self.inner.directory.now();
        let ask = Ask::RunJob { job: name.clone(), at };
        let mut tries = RUN_TRIES;
        loop {
            tries -= 1;
            match self.done(&ask).await {
                // Somebody changed it just then: whoever wants it to run wants it as it is now.
                Err(ClientError::Request(RequestError::Job(JobRefusal::Changed { .. })))
                    if tries > 0 => {}
                result => return result.map(|()| at),
            }
        }
    }

    /// All that is known of a job.
    ///
    /// # Errors
    /// There is none, or nobody answers for it.
    pub async fn job(&self, name: &JobName) -> Result<JobView, ClientError> {
        match self.exchange().one(&Ask::ShowJob { job: name.clone() }, self.within()).await? {
            Answer::Job(view) => Ok(*view),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    /// Lists the jobs whose names begin with `prefix`, by name; all of them if it is empty. Jobs that
    /// come or go meanwhile may be among them or not.
    ///
    /// # Errors
    /// Nobody answers.
    pub async fn jobs(&self, prefix: &str) -> Result<JobListing, ClientError> {
        let mut listing = JobListing::default();
        let limit = u32::try_from(JOBS_LISTED_MAX).unwrap_or(u32::MAX);
        loop {
            let after = listing.jobs.last().map(|line| line.name.clone());
            let ask = Ask::ListJobs { prefix: prefix.to_owned(), after: after.clone(), limit };
            let (jobs, has_more, missing) = match self.exchange().one(&ask, self.within()).await? {
                Answer::Jobs { jobs, has_more, partitions_missing, told: _ } => {
                    (jobs, has_more, partitions_missing)
                }
                other => return Err(ClientError::unexpected(&other)),
            };
            // Whatever a node answers, each page goes on where the last one ended.
            let known = listing.jobs.len();
            listing.jobs.extend(jobs.into_iter().filter(|line| Some(&line.name) > after.as_ref()));
            listing.partitions_missing = listing.partitions_missing.max(missing);
            if !has_more || listing.jobs.len() == known {
                return Ok(listing);
            }
        }
    }

    /// Tells the cluster that this is the file of its jobs: `hash` is that of what they are. Only a
    /// file that was offered, and is the current one, may say what its jobs are. A former file counts
    /// again only if that is `deliberate`.
    ///
    /// # Errors
    /// Nobody who decides that answers.
    pub async fn offer_jobs_file(
        &self,
        hash: u64,
        deliberate: bool,
    ) -> Result<FileVerdict, ClientError> {
        match self.exchange().one(&Ask::OfferFile { hash, deliberate }, self.within()).await? {
            Answer::File(verdict) => Ok(verdict),
            other => Err(ClientError::unexpected(&other)),
        }
    }

    async fn change_job(&self, name: &JobName, change: JobChange) -> Result<(), ClientError> {
        self.done(&Ask::ChangeJob { job: name.clone(), change }).await
    }
}
