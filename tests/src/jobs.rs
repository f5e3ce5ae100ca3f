//! The jobs of a world: who defines them, what they are changed to, and what their tasks are called.
//!
//! A third of the worlds has some. All that is said of them is drawn before anything runs, by a
//! generator of its own, so that a world is what it would be without them.

mod answers;
mod draw;
mod ids;
mod looks;

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use umbel_protocol::id::{NodeId, TaskId};
use umbel_protocol::job::{JobName, Labels, On, Source};
use umbel_protocol::partition::{JobChange, Precondition};
use umbel_protocol::wire::Ask;

pub use self::ids::{Purpose, What};
use crate::host::{true_time, true_wall};
use crate::plan::{MS, SECOND};
use crate::world::World;

/// A task may be there for so long before it is seen.
const SEEN_LATE: u64 = 5 * SECOND;
/// So long after a storm jobs still fire.
const FIRES_ON: u64 = 16 * SECOND;
const ANY: Precondition = Precondition::Any;
/// Of two seeds that differ in nothing else.
const SALT: u64 = 0x6a6f_6273;

/// What is known of all jobs that there may ever be.
#[derive(Debug, Default)]
pub struct Jobs {
    /// What stays the same of each, however it is changed.
    pub lasting: BTreeMap<JobName, Lasting>,
    /// Nodes that there ever were.
    pub nodes: BTreeSet<NodeId>,
    /// Until when what was there of a job may have been abandoned: because it was removed, or came to run
    /// another task or to be told of by one.
    pub(crate) abandoned: BTreeMap<JobName, u64>,
    /// When its tasks were seen first.
    met: BTreeMap<TaskId, u64>,
    /// What tasks were found to be for.
    purposes: BTreeMap<TaskId, Purpose>,
}

/// What stays the same of a job, however it is changed.
#[derive(Clone, Copy, Debug)]
pub struct Lasting {
    /// How many nodes run a tick.
    pub on: On,
    /// Whether only some nodes may run it.
    pub is_selective: bool,
    /// Whether a tick may stop the one before.
    pub may_replace: bool,
}

impl Lasting {
    /// What its nodes must have.
    #[must_use]
    pub fn select(self) -> Labels {
        if self.is_selective { "kind=a".parse().expect("a label") } else { Labels::NONE }
    }
}

impl Jobs {
    /// What `task` is for, if it is one of a job.
    pub fn purpose_of(&mut self, task: TaskId) -> Option<&Purpose> {
        if !self.purposes.contains_key(&task) {
            let purpose = ids::find(task, self.lasting.keys(), &self.nodes)?;
            self.purposes.insert(task, purpose);
        }
        self.purposes.get(&task)
    }

    /// Its tasks that were seen.
    pub(crate) fn met_of(&self, job: &JobName) -> Vec<TaskId> {
        let is_of =
            |task: &&TaskId| self.purposes.get(*task).is_some_and(|purpose| purpose.job == *job);
        self.met.keys().filter(is_of).copied().collect()
    }

    /// Whether a job of that name may have asked for `task` to be stopped: by a later tick, or because
    /// it was removed or is to run something else.
    pub fn may_stop(&mut self, task: TaskId, now: u64) -> bool {
        let Some(Purpose { job, what }) = self.purpose_of(task).cloned() else {
            return false;
        };
        let may_replace = self.lasting.get(&job).is_some_and(|lasting| lasting.may_replace);
        // Who was not there until long after is not meant.
        let there_since = *self.met.entry(task).or_insert(now);
        let since = there_since.min(true_time(task.made_at()));
        let abandoned = self.abandoned.get(&job);
        let is_abandoned = abandoned.is_some_and(|until| since <= until.saturating_add(SEEN_LATE));
        match what {
            What::Tick(_) | What::ByHand(_) => may_replace || is_abandoned,
            What::Alert(_) => is_abandoned,
        }
    }
}

/// How many jobs the world of `seed` has.
#[must_use]
pub fn count(seed: u64) -> u32 {
    let mut rng = ChaCha8Rng::seed_from_u64(seed ^ SALT);
    if rng.random_bool(1.0 / 3.0) { rng.random_range(1..=5) } else { 0 }
}

impl World {
    /// Spreads what is said of jobs over the storm and a little after.
    pub fn plan_jobs(&mut self) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed ^ SALT ^ 1);
        self.jobs.nodes.extend(self.index.keys());
        let (from, until) = (self.now + SECOND, self.now + self.plan.storm + 2 * SECOND);
        for number in 0..self.plan.jobs {
            let name: JobName = format!("job-{number}").parse().expect("a name");
            self.plan_job(&name, from, until, &mut rng);
        }
    }

    /// While a minority is about to die there are other jobs.
    pub fn plan_late_jobs(&mut self, at: u64) {
        let mut rng = ChaCha8Rng::seed_from_u64(self.plan.seed ^ SALT ^ 2);
        for number in 0..self.plan.jobs.min(3) {
            let name: JobName = format!("late-{number}").parse().expect("a name");
            let lasting = draw::lasting(&mut rng);
            self.jobs.lasting.insert(name.clone(), lasting);
            let from = rng.random_range(self.now..at);
            let job = draw::lively(lasting, from, &mut rng);
            let precondition = Precondition::Any;
            let change = JobChange::Define { job: job.into(), source: Source::Live, precondition };
            self.begin_job(from, Ask::ChangeJob { job: name.clone(), change });
            let gone = at + rng.random_range(12..20) * SECOND;
            let change = JobChange::Remove { source: Source::Live };
            self.begin_job(gone, Ask::ChangeJob { job: name, change });
        }
    }

    fn plan_job(&mut self, name: &JobName, from: u64, until: u64, rng: &mut ChaCha8Rng) {
        let lasting = draw::lasting(rng);
        self.jobs.lasting.insert(name.clone(), lasting);
        let is_long = until - from > 60 * SECOND;
        let first = from + rng.random_range(0..(until - from) / 3);
        let precondition = if rng.random_bool(0.5) { Precondition::Absent } else { ANY };
        let defined = |at: u64, precondition: Precondition, rng: &mut ChaCha8Rng| {
            let job = Box::new(draw::job(lasting, at, is_long, rng));
            let change = JobChange::Define { job, source: Source::Live, precondition };
            Ask::ChangeJob { job: name.clone(), change }
        };
        self.begin_job(first, defined(first, precondition, rng));
        for _ in 0..rng.random_range(0..4) {
            let at = rng.random_range(first..until);
            let precondition = [ANY, Precondition::Absent, ANY][rng.random_range(0..3)];
            self.begin_job(at, defined(at, precondition, rng));
        }
        // When all is well again most are there.
        let last = until + rng.random_range(0..2 * SECOND);
        if rng.random_bool(0.7) {
            self.begin_job(last, defined(last, ANY, rng));
        }
        let change = |change| Ask::ChangeJob { job: name.clone(), change };
        for _ in 0..rng.random_range(0..8) {
            let at = rng.random_range(first..until);
            let ask = match rng.random_range(0..10) {
                0 => change(JobChange::Remove { source: Source::Live }),
                1..=2 => change(JobChange::Enable { enabled: false }),
                3..=4 => change(JobChange::Enable { enabled: true }),
                5..=7 => Ask::RunJob { job: name.clone(), at: true_wall(at) },
                8 => Ask::ShowJob { job: name.clone() },
                _ => Ask::ListJobs { prefix: "job".to_owned(), after: None, limit: 3 },
            };
            if matches!(ask, Ask::RunJob { .. }) && rng.random_bool(0.5) {
                // Who asked does not know whether it was heard.
                let again = at + rng.random_range(0..3 * SECOND);
                self.begin_job(again, ask.clone());
            }
            self.begin_job(at, ask);
        }
        if rng.random_bool(0.5) {
            // Looked at, to be edited, while somebody else says something of it.
            let at = rng.random_range(first..until);
            self.begin_job(at, Ask::ShowJob { job: name.clone() });
            let meanwhile = at + rng.random_range(0..2 * SECOND);
            self.begin_job(meanwhile, defined(meanwhile, ANY, rng));
        }
        if rng.random_bool(0.3) {
            // Removed and defined anew at once, by two who know nothing of each other.
            let at = rng.random_range(first..until);
            self.begin_job(at, change(JobChange::Remove { source: Source::Live }));
            let later = at + rng.random_range(0..2 * MS);
            self.begin_job(later, defined(at, ANY, rng));
        }
        if rng.random_bool(0.8) {
            self.begin_job(last, change(JobChange::Enable { enabled: true }));
        }
        for _ in 0..rng.random_range(0..3) {
            let at = rng.random_range(last..until + FIRES_ON);
            self.begin_job(at, Ask::ShowJob { job: name.clone() });
        }
        // What fires for ever never comes to rest.
        let end = until + FIRES_ON + rng.random_range(0..4 * SECOND);
        let ends = if rng.random_bool(0.5) {
            JobChange::Remove { source: Source::Live }
        } else {
            JobChange::Enable { enabled: false }
        };
        self.begin_job(end, change(ends));
        self.begin_job(end + 2 * SECOND, Ask::ShowJob { job: name.clone() });
    }
}
