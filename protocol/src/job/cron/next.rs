//! When an expression ticks next.
//!
//! The calendar is searched by local time, from months to days to times of the day, and never by
//! steps of seconds. What changes of the clock make of it is told in [the table](super); here, a local
//! time is a [`DateTime`], and an instant is a number of unix seconds.
//!
//! jiff is asked for nothing but offsets and the changes that follow an instant. What it tells of local
//! times directly does not always agree with these: it has some of 2023-10-28 come twice in
//! America/Nuuk, where no clock was changed on that day.

use croner::{CronPattern, Weekday};
use jiff::Timestamp;
use jiff::civil::{Date, DateTime, Time};
use jiff::tz::Offset;

use crate::job::Zone;
use crate::job::zone::OFFSET_MAX;
use crate::time::Wall;

/// How far ahead a tick is looked for, in seconds. The rarest thing to ask for is a weekday on a
/// 29th of February, which may take 40 years when a leap year is left out in between.
const AHEAD_MAX: i64 = 100 * 366 * 86_400;

/// What the fields of an expression say.
#[derive(Clone)]
pub(super) struct Fields {
    seconds: Set,
    minutes: Set,
    hours: Set,
    months: Set,
    /// Asked for days only: the parts that are asked often have sets of their own.
    pattern: CronPattern,
    is_fixed: bool,
}

impl Fields {
    /// The fields of `pattern`, which names times of the day if it `is_fixed`.
    pub(super) fn new(mut pattern: CronPattern, is_fixed: bool) -> Self {
        // The years take five kilobytes, and umbel's expressions have none.
        pattern.years = croner::CronComponent::default();
        Self {
            seconds: Set::new(&pattern.seconds.values()),
            minutes: Set::new(&pattern.minutes.values()),
            hours: Set::new(&pattern.hours.values()),
            months: Set::new(&pattern.months.values()),
            pattern,
            is_fixed,
        }
    }

    /// The least number of seconds from one of its seconds to the next, in the same minute or the one
    /// after.
    pub(super) fn seconds_between(&self) -> u64 {
        let all = (0..60).filter(|second| self.seconds.has(*second));
        let next = |second: i8| {
            let later = self.seconds.from(second + 1);
            later.or_else(|| Some(60 + self.seconds.from(0)?)).map(|next| next - second)
        };
        let least = all.filter_map(next).min().unwrap_or(60);
        u64::from(least.unsigned_abs())
    }

    pub(super) fn next_after(&self, zone: &Zone, after: Wall) -> Option<Wall> {
        let after = i64::try_from(after.as_millis() / 1_000).ok()?;
        let next =
            if self.is_fixed { self.next_time(zone, after)? } else { self.next_beat(zone, after)? };
        Some(Wall::from_millis(u64::try_from(next).ok()?.checked_mul(1_000)?))
    }

    /// The next tick of an expression that is fixed: the first of its times that the clock has not
    /// shown or passed by until `after`, when it does that.
    fn next_time(&self, zone: &Zone, after: i64) -> Option<i64> {
        let shown = latest_shown(zone, after)?;
        let due = self.search(local(shown + 1, 0)?, local_or_max(shown + AHEAD_MAX))?;
        let due = instant(due, 0)?;
        // However far clocks are ahead, before this none shows what is due.
        let from = (after + 1).max(due - OFFSET_MAX);
        let mut stretches = zone.stretches(Timestamp::from_second(from).ok()?);
        stretches.find_map(|stretch| {
            let at = (due - stretch.offset).max(stretch.start);
            (at < stretch.end).then_some(at)
        })
    }

    /// The next tick of any other expression: the first instant at which the clock shows one of its
    /// times.
    fn next_beat(&self, zone: &Zone, after: i64) -> Option<i64> {
        let from = after + 1;
        for stretch in zone.stretches(Timestamp::from_second(from).ok()?) {
            if stretch.start > from + AHEAD_MAX {
                return None;
            }
            let end = stretch.end.min(from + AHEAD_MAX);
            let start = local(stretch.start, stretch.offset)?;
            if let Some(found) = self.search(start, local_or_max(end + stretch.offset)) {
                return instant(found, stretch.offset);
            }
        }
        None
    }

    /// The first local time from `from` on, and before `until`, that the fields say.
    fn search(&self, from: DateTime, until: DateTime) -> Option<DateTime> {
        let mut date = from.date();
        let mut earliest = from.time();
        while date <= until.date() {
            if !self.months.has(date.month()) {
                date = date.last_of_month().tomorrow().ok()?;
                earliest = Time::midnight();
                continue;
            }
            if self.has_day(date)
                && let Some(time) = self.time_from(earliest)
            {
                let found = date.to_datetime(time);
                return (found < until).then_some(found);
            }
            date = date.tomorrow().ok()?;
            earliest = Time::midnight();
        }
        None
    }

    /// Whether one day of a year, at least, is a day of the fields. A leap year has every date that
    /// there is, though not on every weekday.
    pub(super) fn has_day_in_leap_year(&self) -> bool {
        let mut days = Date::constant(2024, 1, 1).series(jiff::Span::new().days(1)).take(366);
        days.any(|date| self.months.has(date.month()) && self.has_day(date))
    }

    /// The days that the longest of the months has.
    pub(super) fn days_of_longest_month(&self) -> i8 {
        let months = (1..=12).filter(|month| self.months.has(*month));
        let days = months.filter_map(|month| Some(Date::new(2024, month, 1).ok()?.days_in_month()));
        days.max().unwrap_or(0)
    }

    pub(super) fn is_any_weekday(&self) -> bool {
        self.pattern.is_dow_wildcard()
    }

    fn has_day(&self, date: Date) -> bool {
        let weekday = date.weekday().to_sunday_zero_offset().unsigned_abs();
        let is_day = self.pattern.day_match(
            date.year().into(),
            date.month().unsigned_abs().into(),
            date.day().unsigned_abs().into(),
            Weekday::from_days_from_sunday(weekday.into()),
        );
        // It fails for dates that do not exist; this one does.
        is_day.unwrap_or(false)
    }

    /// The first time of a day from `earliest` on.
    fn time_from(&self, earliest: Time) -> Option<Time> {
        let Self { seconds, minutes, hours, .. } = self;
        let (hour, minute, second) = (earliest.hour(), earliest.minute(), earliest.second());
        if hours.has(hour) {
            if minutes.has(minute)
                && let Some(second) = seconds.from(second)
            {
                return Time::new(hour, minute, second, 0).ok();
            }
            if let Some(minute) = minutes.from(minute + 1) {
                return Time::new(hour, minute, seconds.from(0)?, 0).ok();
            }
        }
        Time::new(hours.from(hour + 1)?, minutes.from(0)?, seconds.from(0)?, 0).ok()
    }
}

/// Numbers from 0 to 63, one bit each.
#[derive(Clone, Copy)]
struct Set(u64);

impl Set {
    fn new(numbers: &[u16]) -> Self {
        Self(numbers.iter().filter_map(|number| 1u64.checked_shl((*number).into())).sum())
    }

    fn has(self, number: i8) -> bool {
        self.from(number) == Some(number)
    }

    /// The first from `least` on.
    fn from(self, least: i8) -> Option<i8> {
        let rest = self.0.checked_shr(u32::try_from(least).ok()?)?;
        (rest != 0).then_some(least + i8::try_from(rest.trailing_zeros()).ok()?)
    }
}

/// The latest that clocks have shown until `at`, in the seconds of a clock that is never changed: more
/// than they show now if they were put back not long ago.
fn latest_shown(zone: &Zone, at: i64) -> Option<i64> {
    // Before that, not even a clock at one end of the world showed what one at the other shows now.
    let from = Timestamp::from_second(at - 2 * OFFSET_MAX).ok()?;
    let stretches = zone.stretches(from).take_while(|stretch| stretch.start <= at);
    stretches.map(|stretch| (stretch.end - 1).min(at) + stretch.offset).max()
}

/// What a clock that is `offset` ahead shows at an instant; none outside of the calendar.
fn local(at: i64, offset: i64) -> Option<DateTime> {
    Some(Offset::UTC.to_datetime(Timestamp::from_second(at.checked_add(offset)?).ok()?))
}

fn local_or_max(at: i64) -> DateTime {
    local(at, 0).unwrap_or(DateTime::MAX)
}

/// When a clock that is `offset` ahead shows `local`.
fn instant(local: DateTime, offset: i64) -> Option<i64> {
    Some(Offset::UTC.to_timestamp(local).ok()?.as_second() - offset)
}
