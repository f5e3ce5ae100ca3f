//! Lists of jobs, of which every owner has its part.

use std::collections::{BTreeMap, BTreeSet};
use std::iter;

use crate::id::{NodeId, PartitionId};
use crate::job::{JobLine, JobName, JobState};
use crate::limits::JOBS_LISTED_MAX;
use crate::scheduler::Scheduler;
use crate::scheduler::asks::Origin;
use crate::scheduler::gather::Gather;
use crate::scheduler::replica::Replica;
use crate::scheduler::tellers::{Overlap, Tellers};
use crate::wire::{Answer, Ask, Told};

/// A list to which other nodes still contribute.
pub(in crate::scheduler) struct JobListing {
    page: Page,
    tellers: Tellers,
    limit: usize,
}

/// Jobs by name: all that somebody has up to the last of them.
pub(in crate::scheduler) struct Page {
    pub(in crate::scheduler) jobs: Vec<JobLine>,
    /// Whether others come after those.
    pub(in crate::scheduler) has_more: bool,
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
    /// Lists jobs of all owners. Each is asked for its part of a page and as much again: owners have
    /// about as many jobs as each other, and what does not get onto the page was sent in vain.
    pub(in crate::scheduler) fn list_jobs_everywhere(&mut self, origin: Origin, ask: &Ask) {
        let (Origin::Here(id), Some(wanted)) = (origin, Wanted::of(ask)) else {
            return;
        };
        let (limit, members) = (wanted.limit, self.members().count().max(1));
        let each = (2 * limit / members).max(PART_MIN).min(limit);
        let wanted = Wanted { limit: each, ..wanted };
        let page = self.list_owned_jobs(&wanted);
        let tellers = Tellers::new(self.partitions(), self.told());
        let listing = JobListing { page, tellers, limit };
        let ask = Ask::ListJobs {
            prefix: wanted.prefix.to_owned(),
            after: wanted.after.cloned(),
            limit: u32::try_from(each).unwrap_or(u32::MAX),
        };
        self.gather(id, &ask, listing, |scheduler| &mut scheduler.job_listings);
    }

    /// Lists jobs of the partitions that this node owns.
    pub(in crate::scheduler) fn list_jobs_here(&mut self, origin: Origin, ask: &Ask) {
        let Some(wanted) = Wanted::of(ask) else {
            return;
        };
        let Page { jobs, has_more } = self.list_owned_jobs(&wanted);
        let (told, partitions_missing) = (self.told(), self.partitions_missing());
        self.answer(origin, Answer::Jobs { jobs, has_more, partitions_missing, told });
    }

    fn list_owned_jobs(&self, wanted: &Wanted<'_>) -> Page {
        // Of each partition the first that was not taken yet, and those after it.
        let mut first: BTreeMap<&JobName, _> = self
            .telling()
            .filter_map(Replica::partition)
            .filter_map(|partition| {
                let mut after = partition.jobs_from(wanted.prefix, wanted.after);
                after.next().map(|(name, state)| (name, (state, after)))
            })
            .collect();
        let mut found = iter::from_fn(|| {
            let (name, (state, mut after)) = first.pop_first()?;
            if let Some((next, state)) = after.next() {
                first.insert(next, (state, after));
            }
            Some((name, state))
        });
        let line = |(name, state): (&JobName, &JobState)| {
            let declared = self.declared_of(&state.job);
            JobLine::of(name, state, declared, self.next_tick_of(name, state))
        };
        let jobs = found.by_ref().take(wanted.limit).map(line).collect();
        Page { jobs, has_more: found.next().is_some() }
    }

    pub(in crate::scheduler) fn jobs_listed(
        &mut self,
        from: NodeId,
        id: u64,
        page: Page,
        (told, partitions_missing): (Vec<Told>, u16),
    ) {
        let partitions = self.partitions();
        let Some(listing) = self.job_listings.told(from, id) else {
            return;
        };
        let Overlap { stale, superseded } = listing.tellers.add(told, partitions_missing);
        let is_of = |some: &BTreeSet<PartitionId>, line: &JobLine| {
            !some.is_empty() && some.contains(&line.name.partition(partitions))
        };
        let Page { mut jobs, has_more } = page;
        jobs.retain(|line| !is_of(&stale, line));
        listing.page.jobs.retain(|line| !is_of(&superseded, line));
        listing.page.merge(Page { jobs, has_more }, listing.limit);
        if let Some(answer) = self.job_listings.if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }
}

impl Page {
    /// Adds what another owner has told, and keeps at most `limit`: nothing after what anybody has told
    /// last who has more.
    fn merge(&mut self, other: Self, limit: usize) {
        let end = |page: &Self| {
            let last = page.jobs.last().filter(|_| page.has_more);
            last.map(|line| line.name.clone())
        };
        let end = end(self).into_iter().chain(end(&other)).min();
        self.jobs.extend(other.jobs);
        self.jobs.sort_unstable_by(|one, other| one.name.cmp(&other.name));
        self.jobs.dedup_by(|one, other| one.name == other.name);
        self.has_more |= other.has_more;
        if let Some(end) = end {
            self.jobs.retain(|line| line.name <= end);
        }
        self.has_more |= self.jobs.len() > limit;
        self.jobs.truncate(limit);
    }
}

impl Gather for JobListing {
    fn complete(self) -> Answer {
        let Self { page: Page { jobs, has_more }, tellers, limit: _ } = self;
        Answer::Jobs { jobs, has_more, partitions_missing: tellers.missing(), told: Vec::new() }
    }
}

/// Of less a message is hardly worth its while.
const PART_MIN: usize = 16;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::{Declared, Job, JobCounts, Schedule, Source};
    use crate::task::Template;
    use crate::time::Span;

    fn page(numbers: &[u8], has_more: bool) -> Page {
        let line = |number: &u8| JobLine {
            name: format!("job-{number}").parse().unwrap(),
            job: Job::new(Schedule::Every(Span::from_millis(1_000)), Template::new("add")),
            source: Source::Live,
            enabled: true,
            declared: Declared::ALL,
            next: None,
            counts: JobCounts::default(),
            last: None,
        };
        Page { jobs: numbers.iter().map(line).collect(), has_more }
    }

    #[test]
    fn a_page_ends_where_somebody_may_have_more() {
        for (one, other, limit, merged, has_more) in [
            ((&[1, 4][..], false), (&[2, 3][..], false), 9, &[1, 2, 3, 4][..], false),
            ((&[1, 4], false), (&[2, 3], true), 9, &[1, 2, 3], true),
            ((&[1, 4], true), (&[2, 3], true), 9, &[1, 2, 3], true),
            ((&[1, 2], true), (&[3, 4], false), 9, &[1, 2], true),
            ((&[1, 2], false), (&[3, 4], false), 3, &[1, 2, 3], true),
            ((&[], false), (&[2, 3], true), 9, &[2, 3], true),
            ((&[1, 2], false), (&[2, 3], false), 9, &[1, 2, 3], false),
        ] {
            let mut page_of = page(one.0, one.1);
            page_of.merge(page(other.0, other.1), limit);
            let expected = page(merged, has_more);
            assert_eq!((page_of.jobs, page_of.has_more), (expected.jobs, expected.has_more));
        }
    }
}
