//! Running the world of one seed, and telling how to see a failure again.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};

use umbel_protocol::sabotage;

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
    /// Events that happened.
    pub steps: u64,
    /// Virtual seconds that passed.
    pub seconds: u64,
    /// What happened how often that must happen in some seed.
    pub seen: BTreeMap<&'static str, u64>,
    /// Of all that happened, if the plan wanted one.
    pub fingerprint: u64,
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
        Ok(Ok(())) => {
            return Ok(Report {
                tasks: world.ledger.tasks.len(),
                runs: world.ledger.tasks.values().map(|log| log.starts.len()).sum(),
                steps: world.steps,
                seconds: world.now / SECOND,
                seen: world.seen,
                fingerprint: world.fingerprint.digest(),
            });
        }
        Ok(Err(what)) => what,
        Err(panic) => {
            let text = panic.downcast_ref::<String>().map(String::as_str);
            let text = text.or_else(|| panic.downcast_ref::<&str>().copied());
            format!("a machine panics: {}", text.unwrap_or("no message"))
        }
    };
    Err(Box::new(Violation { plan, at: world.now, what }))
}
