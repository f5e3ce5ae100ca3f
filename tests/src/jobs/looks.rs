//! Looking at jobs whenever a copy has applied what none had before, and what is seen of them.

use umbel_protocol::id::GroupId;
use umbel_protocol::job::{JobName, JobState, Overlap, TickEnd, TickRecord, Verdict};
use umbel_protocol::partition::Partition;

use super::What;
use crate::invariants::{
    alerts_are_told, each_host_has_its_run, jobs_are_fired, jobs_are_kept, ticks_fire_once,
};
use crate::world::World;

impl World {
    /// A host has done something.
    pub(crate) fn look_at_jobs(&mut self, host: usize) {
        if self.plan.jobs == 0 {
            return;
        }
        let one = &self.hosts[host];
        self.watch.held.note(host, one, self.now);
        // A cluster that is formed may yet be formed anew, unless that is on disk.
        let process = one.process.as_ref().filter(|_| one.disk.cluster.is_some());
        let copies = process.into_iter().flat_map(|process| process.scheduler.copies());
        let applied = &mut self.watch.applied;
        let mut fresh: Vec<GroupId> = Vec::new();
        for copy in copies.filter(|copy| copy.partition().is_some()) {
            let furthest = applied.entry(copy.group()).or_default();
            if copy.applied() > *furthest {
                *furthest = copy.applied();
                fresh.push(copy.group());
            }
        }
        for group in fresh {
            self.look_at_jobs_of(host, group);
        }
    }

    fn look_at_jobs_of(&mut self, host: usize, group: GroupId) {
        let Self { hosts, watch, jobs, zones, plan, slack, .. } = self;
        let scheduler = hosts[host].process.as_ref().map(|process| &process.scheduler);
        let Some(copy) = scheduler.and_then(|scheduler| scheduler.copy(group)) else {
            return;
        };
        let (Some(id), Some(partition)) = (group.partition(), copy.partition()) else {
            return;
        };
        let seen_before: Vec<bool> = ticks(partition)
            .map(|(name, _, tick)| ticks_fire_once::knows(&watch.ticks, name, tick))
            .collect();
        let once = ticks_fire_once::check(&mut watch.ticks, jobs, partition);
        let seen = jobs_are_fired::Applied { zones, id, partitions: plan.partitions, partition };
        let fired = jobs_are_fired::on_applied(&mut watch.fired, &watch.held, *slack, &seen);
        let told = alerts_are_told::on_applied(&mut watch.told, partition);
        let mut each = Ok(());
        let mut sights = Vec::new();
        for ((name, state, tick), _) in
            ticks(partition).zip(seen_before).filter(|(_, is_known)| !is_known)
        {
            sights.extend(sights_of(name, state, tick, partition));
            let check = || each_host_has_its_run::check(&watch.held, jobs, *slack, name, tick);
            each = each.and_then(|()| check());
            if copy.is_settled() && tick.verdict == Verdict::Fired && !tick.by_hand {
                let me = (host, hosts[host].life);
                let before = watch.fired_by.insert(name.clone(), me);
                let has_died =
                    before.is_some_and(|(other, life)| other != host && hosts[other].life != life);
                sights.extend(has_died.then_some("tick fired by another owner after a crash"));
            }
        }
        let is_unreported = ticks(partition).any(|(.., tick)| tick.unreported);
        sights.extend(is_unreported.then_some("tick not reported in time"));
        let understood = jobs_are_kept::is_understood(hosts, partition);
        for sight in sights {
            self.saw(sight);
        }
        self.must("ticks_fire_once", once);
        self.must("each_host_has_its_run", each);
        self.must("jobs_are_fired", fired);
        self.must("alerts_are_told", told);
        self.must("jobs_are_kept", understood);
    }
}

/// All ticks that the jobs of a partition remember.
fn ticks(partition: &Partition) -> impl Iterator<Item = (&JobName, &JobState, &TickRecord)> {
    partition
        .jobs()
        .flat_map(|(name, state)| state.history.iter().map(move |tick| (name, state, tick)))
}

/// What is special about a tick that was just decided about.
fn sights_of(
    name: &JobName,
    state: &JobState,
    tick: &TickRecord,
    partition: &Partition,
) -> impl Iterator<Item = &'static str> {
    let is_stopped = |run: &umbel_protocol::job::TickRun| {
        run.end == Some(TickEnd::Cancelled) && run.finished_at == Some(tick.decided_at)
    };
    let mut open = partition.job_tasks().filter(|(job, at, _)| *job == name && *at < tick.tick);
    let is_stopping = open.any(|(.., task)| {
        let record = partition.record(task);
        let history = record.as_ref().and_then(|record| record.history.as_ref());
        history.is_some_and(|history| history.cancelled)
    });
    let ended = state.history.iter().flat_map(|tick| &tick.runs).any(is_stopped);
    let is_replaced = state.job.overlap == Overlap::Replace && (is_stopping || ended);
    let is = |verdict| tick.verdict == verdict && !tick.by_hand;
    let all = [
        (is(Verdict::Fired), "tick fired"),
        (is(Verdict::Missed), "tick missed"),
        (is(Verdict::Skipped), "tick skipped"),
        (is(Verdict::Fired) && is_replaced, "tick replaces another"),
        (tick.by_hand, "job run by hand"),
        (tick.ends.missed > 0, "tick missed by a host"),
    ];
    all.into_iter().filter_map(|(is_so, name)| is_so.then_some(name))
}

impl World {
    /// A run starts of a task that a job has made.
    pub(crate) fn look_at_job_task(&mut self, task: umbel_protocol::id::TaskId) {
        match self.jobs.purpose_of(task).map(|purpose| purpose.what) {
            Some(What::Alert(_)) => self.saw("alert told"),
            Some(What::Tick(_) | What::ByHand(_)) => {}
            None => {
                let none = Err(format!("{task} runs, and is none of any job"));
                self.must("ticks_fire_once", none);
            }
        }
    }
}
