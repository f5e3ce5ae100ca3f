//! Lists of jobs, of which every owner has its part.

use std::collections::BTreeMap;
use std::iter;

use crate::id::NodeId;
use crate::job::{JobLine, JobName};
use crate::limits::JOBS_LISTED_MAX;
use crate::scheduler::Scheduler;
use crate::scheduler::asks::Origin;
use crate::scheduler::gather::Gather;
use crate::scheduler::replica::Replica;
use crate::wire::{Answer, Ask};

/// A list to which other nodes still contribute.
pub(in crate::scheduler) struct JobListing {
    jobs: Vec<JobLine>,
    /// Partitions that nobody has told of yet.
    partitions_missing: u16,
    limit: usize,
}

/// What a list is of.
pub(in crate::scheduler) struct Wanted<'a> {
    prefix: &'a str,
    after: Option<&'a JobName>,
    limit: usize,
}

impl<'a> Wanted<'a> {
    /// What `ask` wants, if it wants a list of jobs.
    pub(in crate::scheduler) fn of(ask: &'a Ask) -> Option<Self> {
        let Ask::ListJobs { prefix, after, limit } = ask else {
            return None;
        };
        let limit = usize::try_from(*limit).unwrap_or(usize::MAX).min(JOBS_LISTED_MAX);
        Some(Self { prefix, after: after.as_ref(), limit })
    }
}

impl Scheduler {
    /// Lists jobs of all owners.
    pub(in crate::scheduler) fn list_jobs_everywhere(&mut self, origin: Origin, ask: &Ask) {
        let (Origin::Here(id), Some(wanted)) = (origin, Wanted::of(ask)) else {
            return;
        };
        let jobs = self.list_owned_jobs(&wanted);
        let partitions_missing = self.partitions_missing();
        let listing = JobListing { jobs, partitions_missing, limit: wanted.limit };
        self.gather(id, ask, listing, |scheduler| &mut scheduler.job_listings);
    }

    /// Lists jobs of the partitions that this node owns.
    pub(in crate::scheduler) fn list_jobs_here(&mut self, origin: Origin, ask: &Ask) {
        let Some(wanted) = Wanted::of(ask) else {
            return;
        };
        let jobs = self.list_owned_jobs(&wanted);
        let partitions_missing = self.partitions_missing();
        self.answer(origin, Answer::Jobs { jobs, partitions_missing });
    }

    fn list_owned_jobs(&self, wanted: &Wanted<'_>) -> Vec<JobLine> {
        let owned = self.replicas.values().filter(|replica| replica.is_settled());
        // Of each partition the first that was not taken yet, and those after it.
        let mut first: BTreeMap<&JobName, _> = owned
            .filter_map(Replica::partition)
            .filter_map(|partition| {
                let mut after = partition.jobs_from(wanted.prefix, wanted.after);
                after.next().map(|(name, state)| (name, (state, after)))
            })
            .collect();
        let found = iter::from_fn(|| {
            let (name, (state, mut after)) = first.pop_first()?;
            if let Some((next, state)) = after.next() {
                first.insert(next, (state, after));
            }
            Some((name, state))
        });
        let line = |(name, state)| JobLine::of(name, state, self.next_tick_of(name, state));
        found.take(wanted.limit).map(line).collect()
    }

    pub(in crate::scheduler) fn jobs_listed(
        &mut self,
        from: NodeId,
        id: u64,
        jobs: Vec<JobLine>,
        partitions_missing: u16,
    ) {
        let told = self.partitions().saturating_sub(partitions_missing);
        let Some(listing) = self.job_listings.told(from, id) else {
            return;
        };
        listing.jobs.extend(jobs);
        listing.partitions_missing = listing.partitions_missing.saturating_sub(told);
        if let Some(answer) = self.job_listings.if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }
}

impl Gather for JobListing {
    fn complete(mut self) -> Answer {
        self.jobs.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        self.jobs.dedup_by(|one, other| one.name == other.name);
        self.jobs.truncate(self.limit);
        Answer::Jobs { jobs: self.jobs, partitions_missing: self.partitions_missing }
    }
}
