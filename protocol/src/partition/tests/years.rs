//! A year of jobs under owners that come and go and whose clocks disagree: every tick once, none early,
//! none beside its nominal time, also where clocks are changed.
//!
//! What is expected is told by a calendar that knows the hours of that year by heart, not by the code
//! that works ticks out.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::*;
use crate::job::{Job, JobName, Misfire, Plan, Schedule, Source, Zones};
use crate::partition::{Fire, JobChange, Nodes, Precondition};

const SECOND: u64 = 1_000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;
const DAY: u64 = 24 * HOUR;
/// Midnight of the first day of 2027, UTC; [`START`] is two weeks later.
const NEW_YEAR: u64 = 1_798_761_600_000;
/// So long jobs are looked after.
const YEAR: u64 = 365 * DAY;

/// The owners of a partition, one after the other.
struct Churn {
    partition: Partition,
    /// When each job is to be looked at next, by how far it had fired.
    next: BTreeMap<JobName, (Plan, Option<(Wall, Wall)>)>,
    zones: Zones,
    /// The time that no owner knows exactly.
    truth: Wall,
    /// By how much the present owner is ahead of a minute before it.
    clock: u64,
    term: u64,
    index: u64,
    rng: ChaCha8Rng,
    fired: BTreeMap<JobName, Vec<Wall>>,
    tasks: BTreeSet<TaskId>,
}

impl Churn {
    fn new() -> Self {
        Self {
            partition: Partition::new(PARTITION),
            next: BTreeMap::new(),
            zones: Zones::bundled(),
            truth: START,
            clock: 60 * SECOND,
            term: 1,
            index: 10,
            rng: ChaCha8Rng::seed_from_u64(27),
            fired: BTreeMap::new(),
            tasks: BTreeSet::new(),
        }
    }

    /// What the present owner takes the time to be: up to a minute off.
    fn clock(&self) -> Wall {
        self.truth - ms(60 * SECOND) + ms(self.clock)
    }

    fn apply(&mut self, term: u64, commands: Vec<Command>) -> Vec<Change> {
        self.index += 1;
        let (at, mut changes) = (self.clock(), Vec::new());
        let proposal = Proposal::new(term, at, commands);
        self.partition.apply(self.index, self.term, proposal, &mut changes);
        changes
    }

    fn define(&mut self, name: &str, schedule: Schedule, zone: &str) {
        let name: JobName = name.parse().unwrap();
        let mut job = Job::new(schedule, plain());
        job.timezone = zone.to_owned();
        job.misfire = Misfire::All { most: 100 };
        job.check(&self.zones).unwrap();
        let plan = Plan::new(&job.schedule, &job.timezone, &self.zones).unwrap();
        let change = JobChange::Define {
            job: Box::new(job),
            source: Source::Live,
            precondition: Precondition::Any,
        };
        self.apply(self.term, vec![Command::ChangeJob { job: name.clone(), change }]);
        self.next.insert(name, (plan, None));
    }

    /// Another node owns the partition from now on. Its clock is another one, and what it knows comes
    /// from a snapshot at times.
    fn hand_over(&mut self) {
        self.term += 1;
        self.clock = self.rng.random_range(0..120) * SECOND;
        if self.rng.random_bool(0.05) {
            self.partition = Partition::from_bytes(&self.partition.to_bytes()).unwrap();
        }
    }

    /// What an owner finds to be due.
    fn due(&mut self) -> Vec<Command> {
        let now = self.clock().max(self.partition.now());
        let mut due = Vec::new();
        for (name, (plan, next)) in &mut self.next {
            let state = self.partition.job(name).unwrap();
            let through = state.fired_through;
            let known = next.filter(|(after, _)| *after == through).map(|(_, at)| at);
            let at = known.unwrap_or_else(|| state.next_look(name, plan).unwrap());
            *next = Some((through, at));
            let Some(found) = (at <= now).then(|| state.due(name, plan, now).unwrap()) else {
                continue;
            };
            due.push(Command::Fire(Box::new(Fire {
                job: name.clone(),
                revision: state.revision,
                after: through,
                ticks: found.fire,
                missed: found.missed,
                through: found.through,
                template: plain(),
                nodes: Nodes::Any,
            })));
        }
        due
    }

    /// The owner looks what is due, and loses its partition in the middle of that at times.
    fn look(&mut self) {
        let mut due = self.due();
        if due.is_empty() {
            return;
        }
        match self.rng.random_range(0..10) {
            // It is deposed before what it proposed is in the log, or that is read in another term.
            0 => return self.hand_over(),
            1 => {
                let former = self.term;
                self.hand_over();
                self.apply(former, due);
                due = self.due();
            }
            _ => {}
        }
        let again = self.rng.random_bool(0.1).then(|| due.clone());
        self.apply(self.term, due);
        self.note_fired();
        // Whoever was slow says it once more.
        if let Some(again) = again {
            self.apply(self.term, again);
            self.note_fired();
        }
    }

    /// Notes what was fired, and ends it.
    fn note_fired(&mut self) {
        let fresh: Vec<_> = self
            .partition
            .job_tasks()
            .map(|(name, tick, task)| (name.clone(), tick, task))
            .collect();
        let mut ends = Vec::new();
        for (name, tick, task) in fresh {
            assert!(self.tasks.insert(task), "{task} is there twice");
            assert!(tick <= self.partition.now(), "{name} fires {tick:?} too early");
            self.fired.entry(name).or_default().push(tick);
            ends.push(Command::Cancel { task });
        }
        // As an owner does that keeps them for a day.
        let floor = self.partition.now() - ms(DAY);
        ends.push(Command::Forget { finished: each(64), floor });
        self.apply(self.term, ends);
        assert_eq!(self.partition.job_tasks().count(), 0);
    }

    fn run(&mut self) {
        while self.truth < START + ms(YEAR) {
            let pause = match self.rng.random_range(0..100) {
                // Nobody has a majority for hours.
                0 => self.rng.random_range(HOUR..12 * HOUR),
                1..50 => self.rng.random_range(10 * MINUTE..40 * MINUTE),
                _ => self.rng.random_range(MINUTE..15 * MINUTE),
            };
            self.truth = self.truth + ms(pause);
            if self.rng.random_bool(0.2) {
                self.hand_over();
            }
            self.look();
        }
        // All is told that was due by the end.
        self.clock = 120 * SECOND;
        while !self.due().is_empty() {
            self.look();
        }
    }
}

/// A day of 2027, counted from the first of January.
const fn day(month: usize, day: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    BEFORE[month - 1] + day - 1
}

/// Half past two by the clocks of a place on that day, in minutes of that day in UTC.
type HalfPastTwo = fn(u64) -> u64;

fn berlin(of: u64) -> u64 {
    match of {
        // From two it is three at once: the time that is skipped is over at 1:00 UTC.
        of if of == day(3, 28) => 60,
        // It comes twice on the last day of summer time, and counts the first time.
        of if (day(3, 28)..=day(10, 31)).contains(&of) => 30,
        _ => 90,
    }
}

fn new_york(of: u64) -> u64 {
    match of {
        of if of == day(3, 14) => 7 * 60,
        // The hour before it comes twice on the seventh of November.
        of if (day(3, 14)..day(11, 7)).contains(&of) => 6 * 60 + 30,
        _ => 7 * 60 + 30,
    }
}

/// It is the next day there already.
fn lord_howe(of: u64) -> u64 {
    match of {
        // Clocks go half an hour back to half past one on the fourth of April there, and forward to half
        // past two on the third of October.
        of if (day(4, 3)..day(10, 2)).contains(&of) => 16 * 60,
        _ => 15 * 60 + 30,
    }
}

#[test]
fn in_a_year_each_tick_fires_once_and_at_its_time() {
    let mut churn = Churn::new();
    let cron = |text: &str| Schedule::Cron(text.to_owned());
    let places: [(&str, HalfPastTwo); 3] = [
        ("Europe/Berlin", berlin),
        ("America/New_York", new_york),
        ("Australia/Lord_Howe", lord_howe),
    ];
    churn.define("hourly", Schedule::Every(ms(HOUR)), "UTC");
    for (zone, _) in places {
        churn.define(&format!("daily/{zone}"), cron("30 2 * * *"), zone);
        churn.define(&format!("often/{zone}"), cron("*/15 * * * *"), zone);
    }
    churn.run();

    let (first, last) = (START.as_millis(), churn.partition.now().as_millis());
    let within = |tick: &u64| *tick > first && *tick <= last;
    let walls = |ticks: Vec<u64>| ticks.into_iter().map(Wall::from_millis).collect::<Vec<_>>();
    let fired = |name: &str| churn.fired[&name.parse::<JobName>().unwrap()].clone();
    let since = churn.partition.job(&"hourly".parse().unwrap()).unwrap().since.as_millis();
    let hourly: Vec<u64> = (1..=366 * 24).map(|n| since + n * HOUR).filter(within).collect();
    assert!(hourly.len() >= 365 * 24 - 1);
    assert_eq!(fired("hourly"), walls(hourly));
    // Half an hour or a whole one more or less: quarters stay quarters, and none is skipped or doubled.
    let quarters: Vec<u64> =
        (0..400 * 96).map(|n| NEW_YEAR + n * 15 * MINUTE).filter(within).collect();
    for (zone, half_past_two) in places {
        assert_eq!(fired(&format!("often/{zone}")), walls(quarters.clone()), "{zone}");
        // From new year on all is as it was a year before.
        let daily = (0..400).map(|of| NEW_YEAR + of * DAY + half_past_two(of) * MINUTE);
        assert_eq!(
            fired(&format!("daily/{zone}")),
            walls(daily.filter(within).collect()),
            "{zone}"
        );
    }
    for name in churn.next.keys() {
        let counts = churn.partition.job(name).unwrap().counts;
        let count = churn.fired[name].len() as u64;
        assert_eq!((counts.fired, counts.cancelled, counts.missed), (count, count, 0), "{name}");
    }
}
