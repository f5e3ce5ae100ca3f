//! Cron expressions: how they are written, and when they tick by the clocks of a place.
//!
//! # Language
//!
//! Five fields, or six with the second in front, or one word for five of them:
//!
//! | field          | values                                        | besides `*`, `a-b`, `*/n`, `a-b/n` and lists |
//! |----------------|-----------------------------------------------|----------------------------------------------|
//! | second         | 0 to 59; 0 if it is left out                  |                                              |
//! | minute         | 0 to 59                                       |                                              |
//! | hour           | 0 to 23                                       |                                              |
//! | day of month   | 1 to 31                                       | `L` the last, `15W` the weekday nearest to the 15th, `LW` the last weekday, `?` any |
//! | month          | 1 to 12 or JAN to DEC                         |                                              |
//! | day of week    | 0 to 7 or SUN to SAT; 0 and 7 are Sunday      | `MON#2` the second Monday, `FRIL` or `5L` the last Friday, `?` any |
//!
//! `@yearly` or `@annually`, `@monthly`, `@weekly`, `@daily` or `@midnight`, `@hourly`. When both the
//! day of the month and the day of the week are something else than `*` or `?`, a day needs to be one
//! of them, not both: so cron has always done it. A month that has no 31st has no day for `31W`, and
//! one that has no fifth Monday none for `MON#5`. Letters may be small.
//!
//! # When clocks are changed
//!
//! An expression is *fixed* when its second, minute and hour are only numbers and lists of numbers:
//! it means times of the day, and each of them should come once on each of its days. Any other means
//! a rhythm, and a rhythm should go on whatever the clock shows.
//!
//! | local time      | fixed: `30 2 * * *`                  | any other: `*/15 * * * *`                    |
//! |-----------------|--------------------------------------|----------------------------------------------|
//! | comes once      | a tick                               | a tick                                       |
//! | is skipped      | a tick when the skipped time is over | no tick                                      |
//! | comes twice     | a tick the first time                | a tick each time                             |
//!
//! So a fixed tick is due as soon as the clock has ever shown its time or a later one, and it makes
//! no difference whether half an hour is skipped or a whole day. Ticks that are due at one instant
//! are one tick.

mod field;
mod next;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::ops::Range;

use serde::{Deserialize, Serialize};

use self::next::Fields;
use super::Zone;
use crate::time::{Span, Wall};

/// A cron expression: see the [language](self) and what it makes of clocks that are changed.
#[derive(Clone)]
pub struct Cron {
    text: Box<str>,
    fields: Fields,
}

impl Cron {
    /// Reads an expression.
    ///
    /// # Errors
    /// When it is not one, or when no date is ever the one it asks for.
    pub fn parse(text: &str) -> Result<Self, InvalidCron> {
        Ok(Self { text: text.into(), fields: parse::fields(text)? })
    }

    /// The expression as it was written.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The first tick after `after` by the clocks of `zone`.
    ///
    /// None if there is none within a hundred years: because the calendar ends with the year 9999, or
    /// because the expression asks for times that the clocks of `zone` always skip.
    #[must_use]
    pub fn next_after(&self, zone: &Zone, after: Wall) -> Option<Wall> {
        self.fields.next_after(zone, after)
    }

    /// How near to each other two of its ticks may be, in whole seconds; a minute for all that are no
    /// nearer. One second is seldom meant: `* * * * * *` is often written for every minute.
    #[must_use]
    pub fn nearest(&self) -> Span {
        Span::from_millis(1_000 * self.fields.seconds_between())
    }
}

impl fmt::Debug for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Cron").field(&self.text).finish()
    }
}

impl fmt::Display for Cron {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// A text that is not a cron expression.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("{why}")]
pub struct InvalidCron {
    /// Where in the text, in bytes; both ends are between characters.
    pub place: Range<usize>,
    /// What is wrong with it, and what to write instead.
    pub why: String,
}
