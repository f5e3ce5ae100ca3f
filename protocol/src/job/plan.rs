//! The ticks of a schedule, worked out.

use super::cron::Cron;
use super::definition::{InvalidJob, Schedule};
use super::zone::{Zone, Zones};
use crate::time::Wall;

/// A schedule that was parsed, with its time zone: it tells ticks cheaply.
#[derive(Clone, Debug)]
pub enum Plan {
    /// Once.
    At(Wall),
    /// By an expression.
    Cron(Box<Cron>, Zone),
    /// At a distance, from an anchor.
    Every(u64),
}

impl Plan {
    /// The ticks of `schedule`, by the clocks of `timezone`.
    ///
    /// # Errors
    /// When the expression makes no sense or there is no such zone.
    pub fn new(schedule: &Schedule, timezone: &str, zones: &Zones) -> Result<Self, InvalidJob> {
        let zone = zones.zone(timezone)?;
        Ok(match schedule {
            Schedule::At(at) => Self::At(*at),
            Schedule::Cron(text) => Self::Cron(Box::new(Cron::parse(text)?), zone),
            Schedule::Every(span) => Self::Every(span.as_millis().max(1)),
        })
    }

    /// The first tick after `after`. An interval is counted from `anchor`, whose first tick is one
    /// interval later.
    #[must_use]
    pub fn next_after(&self, anchor: Wall, after: Wall) -> Option<Wall> {
        match self {
            Self::At(at) => (*at > after).then_some(*at),
            Self::Cron(cron, zone) => cron.next_after(zone, after),
            Self::Every(millis) => {
                let since = after.as_millis().saturating_sub(anchor.as_millis());
                let next = (since / millis + 1).checked_mul(*millis)?;
                anchor.as_millis().checked_add(next).map(Wall::from_millis)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Wall {
        Wall::from_millis(millis)
    }

    #[test]
    fn an_interval_stays_on_its_anchor() {
        let plan = Plan::Every(1_000);
        let anchor = at(500);
        for (after, next) in
            [(0, 1_500), (500, 1_500), (1_499, 1_500), (1_500, 2_500), (9_999, 10_500)]
        {
            assert_eq!(plan.next_after(anchor, at(after)), Some(at(next)), "after {after}");
        }
    }

    #[test]
    fn once_is_once() {
        assert_eq!(Plan::At(at(5)).next_after(at(0), at(4)), Some(at(5)));
        assert_eq!(Plan::At(at(5)).next_after(at(0), at(5)), None);
    }
}
