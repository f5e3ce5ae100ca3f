//! What all that was seen and told amounts to, tick by tick.

use std::collections::{BTreeMap, BTreeSet};

use super::Tick;
use super::jobs::{Counts, EVERY, GRACE};
use super::kills::Kills;
use super::runs::{Run, Runs};
use super::told::Told;

/// What became of one job's ticks.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct JobFindings {
    pub(super) job: String,
    /// From the first to the last.
    pub(super) expected: usize,
    /// Those that have a task.
    pub(super) fired: usize,
    /// Tasks of all ticks.
    pub(super) tasks: usize,
    pub(super) again: usize,
    /// By how much later than its nominal time each tick was decided about, as the cluster tells.
    pub(super) lateness: Vec<u64>,
    /// By how much later than that the first run of each began, as seen from outside.
    pub(super) begun: Vec<u64>,
}

impl JobFindings {
    /// Those that were late.
    pub(super) fn late(&self) -> impl Iterator<Item = u64> {
        self.lateness.iter().copied().filter(|lateness| *lateness > GRACE)
    }
}

/// What all of it amounts to.
#[derive(Clone, Debug, Default)]
pub(super) struct Findings {
    pub(super) jobs: Vec<JobFindings>,
    /// Late ticks of each kill, by how much each.
    pub(super) after_kills: Vec<Vec<u64>>,
    pub(super) never_fired: Vec<String>,
    pub(super) fired_twice: Vec<String>,
    pub(super) late_unexplained: Vec<String>,
    pub(super) again_unexplained: Vec<String>,
    /// All else that should not be.
    pub(super) wrong: Vec<String>,
}

impl Findings {
    pub(super) fn of(
        runs: &Runs,
        told: &BTreeMap<Tick, Told>,
        counts: &[Counts],
        kills: &Kills,
        again_unexplained: Vec<String>,
    ) -> Self {
        let mut found = Self {
            after_kills: vec![Vec::new(); kills.0.len()],
            again_unexplained,
            ..Self::default()
        };
        let ran = runs.by_tick();
        let again = runs.twice_under_one_id();
        let twice = runs.twice_under_one_token();
        found.wrong.extend(twice.iter().map(|task| format!("{task} ran twice with one token")));
        for counts in counts {
            let of_job = |tick: &&Tick| tick.job == counts.job;
            let known: BTreeSet<&Tick> =
                ran.keys().copied().chain(told.keys()).filter(of_job).collect();
            let mut job = JobFindings { job: counts.job.clone(), ..JobFindings::default() };
            found.have_gaps(&known, &mut job);
            for tick in known {
                let seen = ran.get(tick).map_or(&[][..], Vec::as_slice);
                found.one(tick, seen, told.get(tick), kills, &mut job);
            }
            job.again = runs
                .0
                .iter()
                .filter(|run| run.tick.job == job.job && again.contains(&run.task))
                .map(|run| &run.task)
                .collect::<BTreeSet<_>>()
                .len();
            found.is_as_counted(counts, &job);
            found.jobs.push(job);
        }
        found
    }

    /// Whether nothing is missing, nothing twice, nothing unexplained.
    pub(super) fn are_clean(&self) -> bool {
        self.are_exact() && self.late_unexplained.is_empty()
    }

    /// The same, however late.
    pub(super) fn are_exact(&self) -> bool {
        let expected: usize = self.jobs.iter().map(|job| job.expected).sum();
        expected > 0
            && self.never_fired.is_empty()
            && self.fired_twice.is_empty()
            && self.again_unexplained.is_empty()
            && self.wrong.is_empty()
    }

    /// From the first to the last there is a tick every second, and no other.
    fn have_gaps(&mut self, known: &BTreeSet<&Tick>, job: &mut JobFindings) {
        let (Some(first), Some(last)) = (known.first(), known.last()) else {
            return self.never_fired.push(format!("{}: no tick at all", job.job));
        };
        let all: BTreeSet<u64> =
            (first.at..=last.at).step_by(usize::try_from(EVERY).expect("a second")).collect();
        job.expected = all.len();
        let are: BTreeSet<u64> = known.iter().map(|tick| tick.at).collect();
        let gap = |at: &u64| format!("{}: {at}, of which nobody has heard", job.job);
        self.never_fired.extend(all.difference(&are).map(gap));
        let stray = |at: &u64| format!("{}: {at} is no tick of it", job.job);
        self.wrong.extend(are.difference(&all).map(stray));
    }

    /// What became of one tick.
    fn one(
        &mut self,
        tick: &Tick,
        seen: &[&Run],
        told: Option<&Told>,
        kills: &Kills,
        job: &mut JobFindings,
    ) {
        let mut tasks: BTreeSet<&str> = seen.iter().map(|run| run.task.as_str()).collect();
        tasks.extend(told.into_iter().flat_map(|told| &told.tasks).map(String::as_str));
        job.fired += usize::from(!tasks.is_empty());
        job.tasks += tasks.len();
        let Tick { job: name, at } = tick;
        if tasks.len() > 1 {
            self.fired_twice.push(format!("{name}: {at} has the tasks {tasks:?}"));
        }
        match seen.iter().map(|run| run.began_at).min() {
            Some(began_at) => job.begun.push(began_at.saturating_sub(*at)),
            None => {
                self.never_fired.push(format!("{name}: {at} never ran, and was told as {told:?}"));
            }
        }
        let Some(told) = told else {
            return self.wrong.push(format!("{name}: {at} ran, and no history told of it"));
        };
        let (Some(decided_at), 1) = (told.decided_at.first(), told.decided_at.len()) else {
            return self.wrong.push(format!("{name}: {at} was decided about twice: {told:?}"));
        };
        if !told.verdicts.iter().eq(["fired"]) {
            self.wrong.push(format!("{name}: {at} was told as {:?}", told.verdicts));
        }
        let lateness = decided_at.saturating_sub(*at);
        job.lateness.push(lateness);
        if lateness <= GRACE {
            return;
        }
        match kills.explain(*at, *decided_at).and_then(|kill| self.after_kills.get_mut(kill)) {
            Some(late) => late.push(lateness),
            None => self.late_unexplained.push(format!("{name}: {at} was {lateness} ms late")),
        }
    }

    /// The cluster's own counts say the same.
    fn is_as_counted(&mut self, counts: &Counts, job: &JobFindings) {
        let ticks = u64::try_from(job.expected).unwrap_or(u64::MAX);
        if (counts.fired, counts.succeeded, counts.other) != (ticks, ticks, 0) {
            self.wrong.push(format!("{ticks} ticks are counted as {counts:?}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::kills::Kill;
    use super::*;

    /// Seen and told: one job with ticks at 10, 11, 12 s, each decided about 20 ms later.
    struct World {
        runs: Runs,
        told: BTreeMap<Tick, Told>,
        counts: Counts,
        kills: Kills,
    }

    impl World {
        fn good() -> Self {
            let ticks = [10_000, 11_000, 12_000].map(|at| Tick { job: "t".to_owned(), at });
            let told = ticks.iter().map(|tick| (tick.clone(), told(tick.at + 20, tick.at)));
            let counts = Counts { job: "t".to_owned(), fired: 3, succeeded: 3, other: 0 };
            let told = told.collect();
            let runs = Runs(ticks.into_iter().map(run).collect());
            Self { runs, told, counts, kills: Kills::default() }
        }

        fn findings(&self) -> Findings {
            let counts = std::slice::from_ref(&self.counts);
            Findings::of(&self.runs, &self.told, counts, &self.kills, Vec::new())
        }

        fn told_mut(&mut self, at: u64) -> &mut Told {
            self.told.get_mut(&Tick { job: "t".to_owned(), at }).unwrap()
        }
    }

    fn told(decided_at: u64, at: u64) -> Told {
        Told {
            decided_at: [decided_at].into(),
            verdicts: ["fired".to_owned()].into(),
            tasks: [format!("task-{at}")].into(),
        }
    }

    fn run(tick: Tick) -> Run {
        Run {
            task: format!("task-{}", tick.at),
            token: "1.1.0".to_owned(),
            node: "a".to_owned(),
            began_at: tick.at + 40,
            tick,
        }
    }

    #[test]
    fn a_tick_every_second_with_one_task_is_what_should_be() {
        let found = World::good().findings();
        assert!(found.are_clean(), "{found:?}");
        let job = &found.jobs[0];
        assert_eq!((job.expected, job.fired, job.tasks, job.again), (3, 3, 3, 0));
        assert_eq!((job.lateness.as_slice(), job.late().count()), (&[20, 20, 20][..], 0));
        assert_eq!(job.begun, [40, 40, 40]);
    }

    #[test]
    fn a_tick_that_is_missing_is_found() {
        let mut world = World::good();
        world.runs.0.remove(1);
        assert_eq!(world.findings().never_fired.len(), 1, "it was told and never ran");
        world.told.remove(&Tick { job: "t".to_owned(), at: 11_000 });
        assert_eq!(world.findings().never_fired.len(), 1, "nobody has heard of it");
        (world.runs, world.told) = (Runs::default(), BTreeMap::new());
        assert!(!world.findings().are_clean(), "nothing at all");
    }

    #[test]
    fn a_tick_with_two_tasks_is_found() {
        let mut world = World::good();
        world.runs.0[2].task = "another".to_owned();
        let found = world.findings();
        assert_eq!((found.fired_twice.len(), found.never_fired.len()), (1, 0), "{found:?}");
        assert!(!found.are_clean());
    }

    #[test]
    fn a_late_tick_needs_a_kill() {
        let mut world = World::good();
        world.told_mut(11_000).decided_at = [14_000].into();
        let found = world.findings();
        assert_eq!((found.late_unexplained.len(), found.jobs[0].late().count()), (1, 1));
        assert!(!found.are_clean());
        world.kills = Kills(vec![Kill { node: "a".to_owned(), at: 10_500 }]);
        let found = world.findings();
        assert!(found.are_clean(), "{found:?}");
        assert_eq!(found.after_kills, [[3_000]]);
    }

    #[test]
    fn what_history_and_counts_say_otherwise_is_found() {
        for spoil in [
            |world: &mut World| world.counts.fired += 1,
            |world: &mut World| world.counts.other += 1,
            |world: &mut World| world.told_mut(10_000).verdicts = ["missed".to_owned()].into(),
            |world: &mut World| world.told_mut(12_000).decided_at.extend([12_500]),
            |world: &mut World| drop(world.told.pop_first()),
            |world: &mut World| world.runs.0[0].tick.at += 500,
            |world: &mut World| {
                let twice = world.runs.0[0].clone();
                world.runs.0.push(twice);
            },
        ] {
            let mut world = World::good();
            spoil(&mut world);
            assert!(!world.findings().are_clean());
        }
    }

    #[test]
    fn a_second_run_is_counted() {
        let mut world = World::good();
        let again = Run { token: "2.1.0".to_owned(), ..world.runs.0[1].clone() };
        world.runs.0.push(again);
        let found = world.findings();
        assert!(found.are_clean() && found.jobs[0].again == 1, "{found:?}");
    }
}
