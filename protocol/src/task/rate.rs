//! How many runs may begin in a time.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::limits::{RATE_PER_MAX, RATE_PER_SECOND_MAX};
use crate::time::{Span, Wall};

/// So many runs may begin in so long: evenly spread, but for what a tenth of a second has room for, which may
/// begin at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Rate {
    /// How many, at least 1 and no more than [`RATE_PER_SECOND_MAX`] in a second.
    pub count: u32,
    /// In how long, 1 s to [`RATE_PER_MAX`].
    pub per: Span,
}

/// What may begin at once is what there is room for in this time.
const BURST: Span = Span::from_millis(100);

/// When the next run of a key may begin at a steady rate, in microseconds since 1970: the *theoretical arrival
/// time* of the generic cell rate algorithm (ITU-T I.371, 1996). It says all about the past that a rate asks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Steady(u64);

impl Steady {
    /// When all that was taken is made up for.
    #[must_use]
    pub const fn made_up_at(self) -> Wall {
        Wall::from_millis(self.0.div_ceil(1_000))
    }
}

impl Rate {
    /// Whether it can be kept.
    #[must_use]
    pub fn is_sane(&self) -> bool {
        let most = u128::from(RATE_PER_SECOND_MAX) * u128::from(self.per.as_micros()) / 1_000_000;
        (Span::from_millis(1_000)..=RATE_PER_MAX).contains(&self.per)
            && (1..=most).contains(&u128::from(self.count))
    }

    /// The time of one run, rounded up: the rate is kept to one percent, and never passed.
    fn interval(&self) -> u64 {
        self.per.as_micros().div_ceil(u64::from(self.count.max(1))).max(1)
    }

    /// How far ahead of a steady rate runs may begin.
    fn tolerance(&self) -> u64 {
        BURST.as_micros().saturating_sub(self.interval())
    }

    /// How many runs may begin at `now` after what has begun.
    #[must_use]
    pub fn room(&self, begun: Option<Steady>, now: Wall) -> u32 {
        let now = micros(now);
        let begun = begun.map_or(0, |Steady(at)| at).max(now);
        let Some(ahead) = (now + self.tolerance()).checked_sub(begun) else {
            return 0;
        };
        u32::try_from(ahead / self.interval() + 1).unwrap_or(u32::MAX)
    }

    /// When a run may begin after what has begun.
    #[must_use]
    pub fn next(&self, begun: Option<Steady>) -> Wall {
        let begun = begun.map_or(0, |Steady(at)| at);
        Wall::from_millis(begun.saturating_sub(self.tolerance()).div_ceil(1_000))
    }

    /// A run begins at `now`.
    #[must_use]
    pub fn begin(&self, begun: Option<Steady>, now: Wall) -> Steady {
        let begun = begun.map_or(0, |Steady(at)| at).max(micros(now));
        Steady(begun.saturating_add(self.interval()))
    }

    /// How long so many runs take.
    #[must_use]
    pub fn time_of(&self, runs: u32) -> Span {
        Span::from_micros(self.interval().saturating_mul(runs.into()))
    }
}

const fn micros(at: Wall) -> u64 {
    at.as_millis().saturating_mul(1_000)
}

const UNITS: [(&str, u64); 4] =
    [("s", 1_000), ("min", 60_000), ("h", 3_600_000), ("d", 24 * 3_600_000)];

impl fmt::Display for Rate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let per = self.per.as_millis();
        let fits = |(_, unit): &&(&str, u64)| per.is_multiple_of(*unit);
        let (name, unit) = UNITS.iter().rev().find(fits).unwrap_or(&("ms", 1));
        match per / unit {
            1 => write!(f, "{}/{name}", self.count),
            many => write!(f, "{}/{many}{name}", self.count),
        }
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let invalid = || InvalidRate { text: text.chars().take(40).collect() };
        let (count, per) = text.split_once('/').ok_or_else(invalid)?;
        let count = count.trim().parse().map_err(|_| invalid())?;
        let per = per.trim();
        let digits = per.len() - per.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (many, name) = per.split_at(digits);
        let many: u64 = if many.is_empty() { 1 } else { many.parse().map_err(|_| invalid())? };
        let unit = UNITS.iter().find(|(unit, _)| *unit == name.trim()).ok_or_else(invalid)?.1;
        let per = Span::from_millis(many.saturating_mul(unit));
        Some(Self { count, per }).filter(Self::is_sane).ok_or_else(invalid)
    }
}

/// A text that is no rate.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{text}` is no rate; write how many runs may begin in how long, like 100/s, 20/min, 5/h, 1000/d or \
     10/30s: at most {RATE_PER_SECOND_MAX} a second, in 1 s to {} days",
    RATE_PER_MAX.as_millis() / (24 * 3_600_000)
)]
pub struct InvalidRate {
    /// Its beginning.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Wall = Wall::from_millis(1_700_000_000_000);

    const fn ms(millis: u64) -> Span {
        Span::from_millis(millis)
    }

    /// How many runs begin in `millis` if as many do as may.
    fn begun(rate: Rate, millis: u64) -> u32 {
        let mut steady = None;
        let mut begun = 0;
        for at in (0..millis).map(|at| NOW + ms(at)) {
            while rate.room(steady, at) > 0 {
                assert!(rate.next(steady) <= at);
                steady = Some(rate.begin(steady, at));
                begun += 1;
            }
            assert!(rate.next(steady) > at);
        }
        begun
    }

    #[test]
    fn a_rate_is_kept_to_what_a_tenth_of_a_second_has_room_for() {
        for (text, expected) in [("100/s", 2_009), ("1000/s", 20_099), ("1/s", 20), ("3/s", 60)] {
            assert_eq!(begun(text.parse().unwrap(), 20_000), expected, "{text}");
        }
        assert_eq!(begun("10/min".parse().unwrap(), 120_000), 20);
        let fast = begun("10000/s".parse().unwrap(), 2_000);
        assert!((20_990..=21_000).contains(&fast), "{fast}");
    }

    #[test]
    fn what_was_not_used_is_not_saved_up() {
        let rate: Rate = "100/s".parse().unwrap();
        let begun = Some(rate.begin(None, NOW));
        assert_eq!(rate.room(begun, NOW), 9);
        assert_eq!(rate.room(begun, NOW + ms(3_600_000)), 10);
        assert_eq!(rate.begin(None, NOW).made_up_at(), NOW + ms(10));
    }

    #[test]
    fn rates_are_written_as_they_are_read() {
        for text in ["100/s", "20/min", "5/h", "1000/d", "10/30s", "7/90s", "1/366d"] {
            assert_eq!(text.parse::<Rate>().unwrap().to_string(), text);
        }
        assert_eq!("60 / 1min".parse::<Rate>().unwrap().to_string(), "60/min");
        for text in ["", "100", "/s", "100/", "100/x", "0/s", "-1/s", "10/0s", "1/367d", "1e3/s"] {
            let why = text.parse::<Rate>().unwrap_err().to_string();
            assert!(why.starts_with(&format!("`{text}` is no rate; ")), "{why}");
        }
        let huge = format!("{}/s", RATE_PER_SECOND_MAX + 1);
        assert!(huge.parse::<Rate>().is_err());
        // What counts is how fast it is, not how many they are.
        for fast in ["100000/d", "600000/min"] {
            assert_eq!(fast.parse::<Rate>().unwrap().to_string(), fast);
        }
        assert!("600001/min".parse::<Rate>().is_err());
    }
}
