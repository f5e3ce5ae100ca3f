//! A year of jobs where their partition is owned, by owners that take turns: every tick is fired once, at
//! its nominal time, also where clocks are changed.
//!
//! What is expected is told by a walk through all minutes of that year with the clock of each place in
//! hand, which is set as people set it there.

use std::collections::{BTreeMap, BTreeSet};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::lone_owner::{LoneOwner, PARTITION, START, template};
use crate::job::{Job, JobName, Misfire, Schedule, Source, Verdict};
use crate::partition::{JobChange, Precondition};
use crate::scheduler::Event;
use crate::time::{Span, Wall};
use crate::wire::{Answer, Ask};

const MINUTE: u64 = 60_000;
const HOUR: u64 = 60 * MINUTE;
/// Midnight of the first day of 2027, UTC; [`START`] is two weeks later.
const NEW_YEAR: u64 = 1_798_761_600_000;
/// So long jobs are looked after.
const YEAR: u64 = 365 * 24 * HOUR;
/// No day is a multiple of it.
const INTERVAL: u64 = 5 * HOUR + 7 * MINUTE;
/// Clocks of owners are off by less, in milliseconds.
const OFF_MAX: u64 = 200;

/// A place, and by how many minutes its clock is ahead of UTC, from each of these minutes of 2027 on. Where
/// it is behind, it is taken to be ahead by what is left of a day: what it shows is the same.
type Place = (&'static str, [(u64, u64); 3]);

const PLACES: [Place; 3] = [
    (
        "America/New_York",
        [(0, 19 * 60), (minute(3, 14, 7, 0), 20 * 60), (minute(11, 7, 6, 0), 19 * 60)],
    ),
    ("Australia/Lord_Howe", [(0, 660), (minute(4, 3, 15, 0), 630), (minute(10, 2, 15, 30), 660)]),
    ("Europe/Berlin", [(0, 60), (minute(3, 28, 1, 0), 120), (minute(10, 31, 1, 0), 60)]),
];

/// Minutes of 2027 until this one, UTC.
const fn minute(month: usize, day: u64, hour: u64, minute: u64) -> u64 {
    const BEFORE: [u64; 12] = [0, 31, 59, 90, 120, 151, 181, 212, 243, 273, 304, 334];
    ((BEFORE[month - 1] + day - 1) * 24 + hour) * 60 + minute
}

/// When each hour begins by the clock of a place, and when that shows half past two or later for the first
/// time on each day, in the year after [`START`].
fn hours_and_days((_, changes): Place) -> (Vec<Wall>, Vec<Wall>) {
    const DAY: u64 = 24 * 60;
    let (mut hours, mut days) = (Vec::new(), Vec::new());
    let mut next_day = None;
    for utc in 0..400 * DAY {
        let (_, ahead) = changes.iter().rfind(|(from, _)| *from <= utc).expect("the first is 0");
        let shown = utc + ahead;
        let at = Wall::from_millis(NEW_YEAR + utc * MINUTE);
        if shown.is_multiple_of(60) {
            hours.push(at);
        }
        let half_past_two = *next_day.get_or_insert(shown / DAY * DAY + DAY + 150);
        if shown >= half_past_two {
            days.push(at);
            next_day = Some(half_past_two + DAY);
        }
    }
    (hours, days)
}

fn name(n: usize) -> JobName {
    let names = (0..).map(|n| format!("job-{n}").parse::<JobName>().unwrap());
    names.filter(|name| name.partition(2) == PARTITION).nth(n).unwrap()
}

struct Year {
    owner: LoneOwner,
    rng: ChaCha8Rng,
    /// What was fired of each job, in the order in which it was decided about.
    fired: BTreeMap<JobName, Vec<Wall>>,
    owners: u32,
    pauses: u32,
}

impl Year {
    fn define(&mut self, name: JobName, schedule: Schedule, zone: &str) {
        let mut job = Job::new(schedule, template("add"));
        zone.clone_into(&mut job.timezone);
        job.misfire = Misfire::All { most: 100 };
        // Nobody runs it: it is not to be in the way of the next one.
        job.expires = Some(Span::from_millis(1_000));
        let change = JobChange::Define {
            job: Box::new(job),
            source: Source::Live,
            precondition: Precondition::Any,
        };
        let asked = self.owner.ask(Ask::ChangeJob { job: name.clone(), change });
        assert_eq!(self.owner.answers(asked), [&Answer::Done]);
        self.fired.insert(name, Vec::new());
    }

    /// Another one owns the partition `after` so long, with another clock.
    fn hand_over(&mut self, after: Span) {
        let off = self.rng.random_range(0..OFF_MAX);
        let later = self.owner.now.wall + after + Span::from_millis(off);
        let later = later - Span::from_millis(OFF_MAX / 2);
        let mut next = LoneOwner::later(self.owner.partition(), later);
        next.introduce(next.lessee(), 0);
        next.step(Event::Due);
        self.owner = next;
        self.owners += 1;
    }

    /// The owner looks around a tick, and may lose its partition then.
    fn look_around(&mut self, tick: Wall) {
        let until = tick + Span::from_millis(OFF_MAX);
        let from = tick - Span::from_millis(OFF_MAX);
        self.owner.advance(from.since(self.owner.now.wall));
        if self.rng.random_bool(0.02) {
            // As it becomes due.
            let at = from + Span::from_millis(self.rng.random_range(0..2 * OFF_MAX));
            self.owner.pass(at.since(self.owner.now.wall));
            self.hand_over(Span::ZERO);
        }
        self.owner.pass(until.since(self.owner.now.wall));
        self.note_fired();
        if self.rng.random_bool(0.003) {
            // Nobody owns it for hours.
            let pause = self.rng.random_range(HOUR / 2..12 * HOUR);
            self.hand_over(Span::from_millis(pause));
            self.pauses += 1;
            self.owner.pass(Span::from_millis(OFF_MAX));
            self.note_fired();
        }
        self.owner.commands.clear();
        self.owner.said.clear();
    }

    fn note_fired(&mut self) {
        let Self { owner, fired, .. } = self;
        for (name, fired) in fired {
            let state = owner.partition().job(name).unwrap();
            let known = fired.last().copied();
            for tick in state.history.iter().filter(|tick| Some(tick.tick) > known) {
                assert!(tick.decided_at >= tick.tick, "{name} fires too early: {tick:?}");
                assert_eq!(tick.verdict, Verdict::Fired, "{name}: {tick:?}");
                fired.push(tick.tick);
            }
            assert_eq!(state.counts.fired, fired.len() as u64, "{name} fires nothing twice");
        }
    }
}

#[test]
fn in_a_year_owners_fire_each_tick_once_and_at_its_time() {
    let mut year = Year {
        owner: LoneOwner::new(0),
        rng: ChaCha8Rng::seed_from_u64(27),
        fired: BTreeMap::new(),
        owners: 1,
        pauses: 0,
    };
    let mut expected: BTreeMap<JobName, Vec<Wall>> = BTreeMap::new();
    let cron = |text: &str| Schedule::Cron(text.to_owned());
    year.define(name(0), Schedule::Every(Span::from_millis(INTERVAL)), "UTC");
    let since = year.owner.partition().job(&name(0)).unwrap().since;
    let intervals = (1..=YEAR / INTERVAL + 1).map(|n| since + Span::from_millis(n * INTERVAL));
    expected.insert(name(0), intervals.collect());
    for (n, place) in PLACES.into_iter().enumerate() {
        let (hours, days) = hours_and_days(place);
        for (n, text, ticks) in [(1, "0 * * * *", hours), (2, "30 2 * * *", days)]
            .map(|(kind, text, ticks)| (2 * n + kind, text, ticks))
        {
            year.define(name(n), cron(text), place.0);
            expected.insert(name(n), ticks);
        }
    }
    let (first, last) = (year.owner.now.wall, START + Span::from_millis(YEAR));
    for ticks in expected.values_mut() {
        ticks.retain(|tick| *tick > first && *tick <= last);
    }
    let all: BTreeSet<Wall> = expected.values().flatten().copied().collect();
    for tick in all {
        year.look_around(tick);
    }
    // What a pause at the end has left.
    year.owner.pass(Span::from_millis(1_000));
    year.note_fired();
    for (name, expected) in expected {
        let mut fired = year.fired.remove(&name).unwrap();
        fired.retain(|tick| *tick <= last);
        let job = &year.owner.partition().job(&name).unwrap().job;
        assert!(expected.len() >= 364, "{job:?}");
        assert_eq!(fired, expected, "{job:?}");
    }
    assert!(year.owners > 300 && year.pauses > 20, "{} owners", year.owners);
}
