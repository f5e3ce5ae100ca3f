//! Running the world of one seed, and telling how to see a failure again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use umbel_protocol::sabotage;

use crate::faults::Third;
use crate::ledger::tally::Tally;
use crate::plan::{Plan, SECOND};
use crate::sabotage::Sabotage;
use crate::world::World;

/// What a world that kept all promises did.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// Tasks submitted.
    pub tasks: usize,
    /// Runs started.
    pub runs: usize,
    /// What became of the tasks.
    pub tally: Tally,
    /// How long each group of a host that died was without an owner, in microseconds.
    pub owned_after: Vec<u64>,
    /// How long it took each run of a host that died to begin elsewhere.
    pub run_after: Vec<u64>,
    /// The longest that a task and a slot waited for each other while nothing was wrong.
    pub starved: u64,
    /// Events that happened.
    pub steps: u64,
    /// Virtual seconds that passed.
    pub seconds: u64,
    /// What happened how often that must happen in some seed.
    pub seen: BTreeMap<&'static str, u64>,
    /// Of all that happened, if the plan wanted one.
    pub fingerprint: u64,
    /// What became of a third of the hosts, if it failed at once.
    pub third: Option<Third>,
}

impl Report {
    fn of(world: World) -> Self {
        Self {
            tasks: world.ledger.tasks.len(),
            runs: world.ledger.tasks.values().map(|log| log.starts.len()).sum(),
            tally: Tally::of(&world.ledger),
            owned_after: world.watch.takeover.owned_after,
            run_after: world.watch.takeover.run_after,
            starved: world.watch.idle.longest,
            steps: world.steps,
            seconds: world.now / SECOND,
            seen: world.seen,
            fingerprint: world.fingerprint.digest(),
            third: world.third,
        }
    }

    /// Adds another world's.
    pub fn add(&mut self, other: Self) {
        self.tasks += other.tasks;
        self.runs += other.runs;
        self.tally.add(other.tally);
        self.owned_after.extend(other.owned_after);
        self.run_after.extend(other.run_after);
        self.starved = self.starved.max(other.starved);
        self.steps += other.steps;
        self.seconds += other.seconds;
        for (what, count) in other.seen {
            *self.seen.entry(what).or_default() += count;
        }
    }
}

impl std::fmt::Display for Report {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Tally { acknowledged, lost, duplicated, unexpected, recovered } = self.tally;
        let (tasks, runs, steps) = (self.tasks, self.runs, self.steps);
        writeln!(f, "{tasks} tasks, {runs} runs, {steps} events in {} s", self.seconds)?;
        writeln!(
            f,
            "{acknowledged} acknowledged: {lost} lost, {duplicated} duplicated, \
             {unexpected} unexpected, {recovered} recovered"
        )?;
        for (what, times) in
            [("has an owner", &self.owned_after), ("runs elsewhere", &self.run_after)]
        {
            let (middle, most) = (median(times), times.iter().max().copied().unwrap_or(0));
            writeln!(
                f,
                "what the dead had {what} after {:.2} s (median of {}), {:.2} s at most",
                middle as f64 / 1e6,
                times.len(),
                most as f64 / 1e6
            )?;
        }
        writeln!(
            f,
            "no task waited for more than {:.1} s beside a slot",
            self.starved as f64 / 1e6
        )?;
        write!(f, "seen: {:?}", self.seen)
    }
}

/// The one in the middle.
#[must_use]
pub fn median(times: &[u64]) -> u64 {
    let mut times = times.to_vec();
    times.sort_unstable();
    times.get(times.len() / 2).copied().unwrap_or(0)
}

/// A promise was broken.
#[derive(Clone, Debug)]
pub struct Violation {
    /// In which world.
    pub plan: Plan,
    /// When, in virtual microseconds.
    pub at: u64,
    /// What.
    pub what: String,
}

impl std::fmt::Display for Violation {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self { plan, at, what } = self;
        let Plan { seed, hosts, partitions, faults, .. } = plan;
        let sabotage = plan.sabotage.map(|it| format!("UMBEL_SABOTAGE={} ", it.name()));
        let sabotage = sabotage.unwrap_or_default();
        writeln!(f, "seed {seed} ({hosts} hosts, {partitions} partitions, {})", faults.kind)?;
        writeln!(f, "after {:.3} s: {what}", *at as f64 / SECOND as f64)?;
        write!(
            f,
            "see it again: {sabotage}UMBEL_SEED={seed} cargo test -p umbel-tests --test simulation \
             replay -- --nocapture"
        )
    }
}

/// Runs the world of `plan`; prints what happens if `prints`.
///
/// # Errors
/// The first promise that was broken, or the panic of a machine.
pub fn run(plan: Plan, prints: bool) -> Result<Report, Box<Violation>> {
    sabotage::switch(plan.sabotage.and_then(Sabotage::inside));
    let mut world = World::new(plan.clone(), prints);
    let result = catch_unwind(AssertUnwindSafe(|| world.run()));
    sabotage::switch(None);
    let what = match result {
        Ok(result) => match result.and_then(|()| nothing_is_lost(&world)) {
            // Whoever is to speak alone has nothing to say, whatever others find.
            Err(what) if plan.alone.is_none_or(|alone| what.starts_with(alone)) => what,
            Ok(()) | Err(_) => return Ok(Report::of(world)),
        },
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("a machine panics: {}", text.unwrap_or("no message"))
        }
    };
    Err(Box::new(Violation { plan, at: world.now, what }))
}

/// What clients count is as it should be.
fn nothing_is_lost(world: &World) -> Result<(), String> {
    let tally = Tally::of(&world.ledger);
    let is_right = (tally.lost, tally.unexpected) == (0, 0);
    if is_right { Ok(()) } else { Err(format!("acknowledged_is_kept: {tally:?}")) }
}
