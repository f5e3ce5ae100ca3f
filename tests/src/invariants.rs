//! The promises of the design, one file each.

pub mod acknowledged_is_kept;
pub mod alerts_are_told;
pub mod at_most_once;
pub mod each_host_has_its_run;
pub mod every_task_ends;
pub mod exactly_one_run;
pub mod exclusive;
pub mod finished_never_runs;
pub mod finished_stays;
pub mod forgotten_in_time;
pub mod groups_are_counted;
pub mod jobs_are_fired;
pub mod jobs_are_kept;
pub mod leased_runs_only;
pub mod limited_by_key;
pub mod limited_by_rule;
pub mod linearizable_tasks;
pub mod majority_serves;
pub mod memory_is_counted;
pub mod nobody_starves;
pub mod nothing_goes_back;
pub mod nothing_is_left;
pub mod nothing_is_unbounded;
pub mod nothing_unsynced_is_promised;
pub mod one_owner;
pub mod one_vote;
pub mod orderly_end;
pub mod relayed_in_time;
pub mod replicas_converge;
pub mod said_as_it_was;
pub mod second_run_after_loss;
pub mod starts_in_place;
pub mod states_take_turns;
pub mod submitted_once;
pub mod taken_over_in_time;
pub mod ticks_fire_once;
pub mod unfit_part_with_all;
pub mod unique_keys;
pub mod voters_are_odd;
pub mod watched_in_order;

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::executor::Start;
use umbel_protocol::id::{GroupId, Lessee, PartitionId, ReplicaId, TaskId};
use umbel_protocol::job::JobName;
use umbel_protocol::partition::Partition;

use crate::ledger::StartLog;
use crate::ledger::may_be_given_up;
use crate::world::World;

/// What invariants remember of what they saw.
#[derive(Debug, Default)]
pub struct Watch {
    /// Who voted for whom.
    pub votes: one_vote::Votes,
    /// Which slots have been idle, and since when.
    pub idle: nobody_starves::Idle,
    /// When something was last wrong with a host, or between it and others.
    pub troubles: BTreeMap<usize, u64>,
    /// Groups that slept when their leader was suspected.
    pub sleepers: Vec<crate::sights::Sleeper>,
    /// Which candidate asked for votes first, by group and term.
    pub candidates: BTreeMap<(GroupId, u64), ReplicaId>,
    /// Which logs are too long, and since when.
    pub overlong: nothing_is_unbounded::Overlong,
    /// Who can do its part, and who cannot.
    pub fitness: unfit_part_with_all::Fitness,
    /// What a majority that is well has not seen to yet.
    pub pending: majority_serves::Pending,
    /// Who keeps what is too old.
    pub late: forgotten_in_time::Late,
    /// What was taken over from the dead.
    pub takeover: taken_over_in_time::Takeover,
    /// What clients asked and were told of each task.
    pub histories: linearizable_tasks::Histories,
    /// How far any copy of each group has applied.
    pub applied: BTreeMap<GroupId, u64>,
    /// What was decided about ticks of jobs.
    pub ticks: ticks_fire_once::Ticks,
    /// What each host has held of the cluster's facts.
    pub held: each_host_has_its_run::Held,
    /// How far jobs have fired.
    pub fired: jobs_are_fired::Fired,
    /// How far jobs were told of.
    pub told: alerts_are_told::Told,
    /// Which process of which host was the last to fire a tick of each job.
    pub fired_by: BTreeMap<JobName, (usize, u64)>,
    /// What was said of jobs.
    pub words: jobs_are_kept::Words,
    /// Which revisions of jobs were seen when.
    pub seen: jobs_are_kept::Seen,
}

/// A run starts.
pub fn on_start(world: &mut World, mark: u64, start: &Start, lessee: Lessee) {
    let Start { task, token, attempt, .. } = *start;
    if task.is_derived() {
        world.look_at_job_task(task);
        let may_stop = world.jobs.may_stop(task, world.now);
        world.ledger.meets(task, may_be_given_up(&start.template.options), may_stop);
    }
    world.must("leased_runs_only", leased_runs_only::on_start(world, task, token));
    world.must("submitted_once", submitted_once::on_start(world, mark));
    world.must("exactly_one_run", exactly_one_run::on_start(world, mark));
    world.must("at_most_once", at_most_once::on_start(world, mark, start));
    world.must("exclusive", exclusive::on_start(world, task, token));
    world.must("said_as_it_was", said_as_it_was::on_start(world, mark, start));
    let after_loss = second_run_after_loss::on_start(world, mark, task, token, lessee);
    world.must("second_run_after_loss", after_loss);
    taken_over_in_time::on_start(world, task);
    if let Some(why) = second_run_after_loss::why(world, mark, token) {
        world.saw(why);
    }
    let at = world.now;
    let start = StartLog { at, task, token, attempt, lessee, end: None };
    world.ledger.tasks.entry(mark).or_default().starts.push(start);
}

/// Makes results say which promise was broken, and hears only one if that is to speak alone.
#[derive(Clone, Copy, Debug)]
pub struct Named(Option<&'static str>);

impl Named {
    /// As it is planned for `world`.
    #[must_use]
    pub const fn of(world: &World) -> Self {
        Self(world.plan.alone)
    }

    /// What `invariant` says.
    ///
    /// # Errors
    /// As in `result`, unless another is to speak alone.
    pub fn by<T: Default>(self, invariant: &str, result: Result<T, String>) -> Result<T, String> {
        match result {
            Err(_) if self.0.is_some_and(|alone| alone != invariant) => Ok(T::default()),
            result => result.map_err(|what| format!("{invariant}: {what}")),
        }
    }
}

/// What is compared all the while.
///
/// # Errors
/// What is not as it was promised.
pub fn check(world: &mut World) -> Result<(), String> {
    let named = Named::of(world);
    second_run_after_loss::look(world);
    limited_by_rule::look(world);
    world.look_at_sleepers();
    named.by("memory_is_counted", memory_is_counted::check(world))?;
    named.by("states_take_turns", states_take_turns::check(world))?;
    named.by("voters_are_odd", voters_are_odd::check(world))?;
    named.by("majority_serves", majority_serves::check(world))?;
    named.by("unfit_part_with_all", unfit_part_with_all::check(world))?;
    named.by("nothing_is_unbounded", nothing_is_unbounded::check(world))?;
    named.by("forgotten_in_time", forgotten_in_time::check(world))?;
    named.by("nobody_starves", nobody_starves::check(world))?;
    named.by("jobs_are_fired", jobs_are_fired::check(world))?;
    world.jobs.nodes.extend(world.index.keys());
    let World { hosts, images, furthest, ledger, jobs, looked_at, now, plan, .. } = world;
    let mut ended = Vec::new();
    let mut sights = BTreeSet::new();
    for (host, one) in hosts.iter().enumerate() {
        // A cluster that is formed may yet be formed anew, unless that is on disk.
        let process = one.process.as_ref().filter(|_| one.disk.cluster.is_some());
        let copies = process.into_iter().flat_map(|process| process.scheduler.copies());
        for copy in copies {
            let seen = (one.life, copy.applied());
            if looked_at.insert((host, copy.group()), seen) == Some(seen) {
                continue;
            }
            named.by("replicas_converge", replicas_converge::check_copy(images, host, &copy))?;
            if let Some(partition) = copy.partition() {
                named.by("nothing_goes_back", furthest.check_copy(&copy, partition))?;
                let wanted = jobs_are_kept::nobody_waits_for_what_is_gone(partition);
                named.by("jobs_are_kept", wanted)?;
                for (task, record) in partition.records().filter(|(task, _)| task.is_derived()) {
                    let expires = may_be_given_up(&record.template.options);
                    ledger.meets(task, expires, jobs.may_stop(task, *now));
                }
                named.by("unique_keys", unique_keys::check(partition, plan.partitions))?;
                let limited = limited_by_key::check(partition, plan.partitions);
                named.by("limited_by_key", limited)?;
                let fresh = finished_stays::check_copy(ledger, &copy, partition);
                for (task, record) in partition.records() {
                    ledger.counts(task, record.crashes());
                    named.by("at_most_once", at_most_once::check(task, &record))?;
                }
                sights
                    .extend(partition.records().flat_map(|(_, record)| World::sights_of(&record)));
                for task in named.by("finished_stays", fresh)? {
                    ended.push((host, task));
                }
            }
        }
    }
    for sight in sights {
        world.saw(sight);
    }
    if !ended.is_empty() {
        world.progress_at = world.now;
    }
    for (host, task) in ended {
        let group = GroupId::of(task.partition());
        let process = world.hosts[host].process.as_ref();
        let copy = process.and_then(|process| process.scheduler.copy(group));
        if let Some(record) = copy.and_then(|copy| copy.partition()?.record(task)) {
            named.by("every_task_ends", every_task_ends::judge(world, task, &record))?;
            named.by("orderly_end", orderly_end::check(world, task, &record))?;
        }
    }
    named.by("relayed_in_time", relayed_in_time::check(world))?;
    named.by("taken_over_in_time", taken_over_in_time::check(world))?;
    named.by("nothing_goes_back", nothing_goes_back::check_metas(world))
}

/// All has come to rest.
///
/// # Errors
/// What is not as it was promised.
pub fn at_end(world: &World) -> Result<(), String> {
    let named = Named::of(world);
    named.by("acknowledged_is_kept", acknowledged_is_kept::at_end(world))?;
    named.by("every_task_ends", every_task_ends::at_end(world))?;
    named.by("jobs_are_kept", jobs_are_kept::at_end(world))?;
    named.by("leased_runs_only", leased_runs_only::at_end(world))?;
    named.by("linearizable_tasks", linearizable_tasks::at_end(world))
}

/// The partition, as its settled owner has it.
#[must_use]
pub fn owned(world: &World, partition: PartitionId) -> Option<&Partition> {
    owner(world, partition).map(|(_, partition)| partition)
}

/// The host that owns a partition, and what it has of it.
#[must_use]
pub fn owner(world: &World, partition: PartitionId) -> Option<(usize, &Partition)> {
    let hosts = world.hosts.iter().enumerate();
    let copies = hosts.filter_map(|(host, one)| {
        Some((host, one.process.as_ref()?.scheduler.copy(GroupId::of(partition))?))
    });
    let settled = copies.filter(|(_, copy)| copy.is_settled());
    let (host, copy) = settled.max_by_key(|(_, copy)| copy.term())?;
    Some((host, copy.partition()?))
}

/// Whether the partition has known `task`, and has it no more because it ended long ago.
#[must_use]
pub fn is_forgotten(partition: &Partition, task: TaskId) -> bool {
    partition.stub(task).is_some() || task.made_at() <= partition.dedup_floor()
}

/// All partitions.
pub fn partitions(world: &World) -> impl Iterator<Item = PartitionId> {
    (0..world.plan.partitions).map(PartitionId)
}
