//! Generated expressions, asked around changes of the clock and compared with what is found when every
//! second of the local calendar is looked at.

use std::collections::BTreeSet;
use std::sync::LazyLock;

use jiff::Span;
use jiff::civil::{Date, Time};
use jiff::tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase};
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use super::*;

/// Places, and an instant near which their clocks were changed.
const CHANGES: [(&str, &str); 20] = [
    ("Africa/Monrovia", "1972-01-07T00:44:30Z"),
    ("America/New_York", "2025-03-09T07:00:00Z"),
    ("America/New_York", "2025-11-02T06:00:00Z"),
    ("America/Santiago", "2025-04-06T03:00:00Z"),
    ("America/Santiago", "2025-09-07T04:00:00Z"),
    ("Antarctica/Troll", "2025-03-30T01:00:00Z"),
    ("Antarctica/Troll", "2025-10-26T01:00:00Z"),
    ("Asia/Kathmandu", "1985-12-31T18:30:00Z"),
    ("Asia/Kolkata", "2025-06-01T00:00:00Z"),
    ("Australia/Lord_Howe", "2025-04-05T15:00:00Z"),
    ("Australia/Lord_Howe", "2025-10-04T15:30:00Z"),
    ("Europe/Berlin", "2025-03-30T01:00:00Z"),
    ("Europe/Berlin", "2025-10-26T01:00:00Z"),
    ("Europe/Berlin", "2096-02-29T00:00:00Z"),
    ("Europe/Dublin", "2025-03-30T01:00:00Z"),
    ("Europe/Dublin", "2025-10-26T01:00:00Z"),
    ("Pacific/Apia", "2011-12-30T10:00:00Z"),
    ("Pacific/Apia", "2012-03-31T14:00:00Z"),
    ("Pacific/Kwajalein", "1993-08-21T12:00:00Z"),
    ("UTC", "2000-03-01T00:00:00Z"),
];

/// How long an expression is watched.
const WATCHED: i64 = 4 * 86_400;
/// Most ticks that are asked for in that time, so that those of every second do not take too long.
const ASKED_MAX: usize = 2_000;

/// A field: how it is written, what it means, and whether it says numbers only.
#[derive(Clone, Debug)]
struct Written {
    text: String,
    values: BTreeSet<i8>,
    is_numbers: bool,
}

impl Written {
    fn is_any(&self) -> bool {
        self.text == "*"
    }
}

fn any(least: i8, most: i8) -> Written {
    Written { text: "*".to_owned(), values: (least..=most).collect(), is_numbers: false }
}

fn numbers(least: i8, most: i8) -> impl Strategy<Value = Written> {
    vec(least..=most, 1..5).prop_map(|numbers| {
        let text: Vec<_> = numbers.iter().map(i8::to_string).collect();
        Written { text: text.join(","), values: numbers.into_iter().collect(), is_numbers: true }
    })
}

fn range(least: i8, most: i8) -> impl Strategy<Value = Written> {
    (least..=most, least..=most, 1..=most).prop_map(|(a, b, step)| {
        let (from, to) = (a.min(b), a.max(b));
        let values = (from..=to).step_by(step.unsigned_abs().into()).collect();
        Written { text: format!("{from}-{to}/{step}"), values, is_numbers: false }
    })
}

fn field(least: i8, most: i8) -> impl Strategy<Value = Written> {
    prop_oneof![
        2 => Just(any(least, most)),
        5 => numbers(least, most),
        2 => range(least, most),
    ]
}

/// Mostly around the hours in which clocks are changed.
fn hour() -> impl Strategy<Value = Written> {
    prop_oneof![
        1 => Just(any(0, 23)),
        4 => numbers(0, 3),
        2 => numbers(0, 23),
        2 => range(0, 23),
    ]
}

/// Six fields.
#[derive(Clone, Debug)]
struct Expression([Written; 6]);

fn expressions() -> impl Strategy<Value = Expression> {
    let second = prop_oneof![3 => Just("0"), 1 => Just("17,30")].prop_map(|text| Written {
        text: text.to_owned(),
        values: text.split(',').map(|number| number.parse().unwrap()).collect(),
        is_numbers: true,
    });
    let second = prop_oneof![8 => second, 1 => range(0, 59)];
    // Each month has those that are said.
    let day = prop_oneof![6 => Just(any(1, 31)), 1 => numbers(1, 28), 1 => range(1, 28)];
    let month = prop_oneof![4 => Just(any(1, 12)), 1 => field(1, 12)];
    let weekday = prop_oneof![3 => Just(any(0, 6)), 1 => field(0, 6)];
    (second, field(0, 59), hour(), day, month, weekday).prop_map(
        |(second, minute, hour, day, month, weekday)| {
            Expression([second, minute, hour, day, month, weekday])
        },
    )
}

impl Expression {
    fn text(&self) -> String {
        self.0.each_ref().map(|field| field.text.as_str()).join(" ")
    }

    fn is_fixed(&self) -> bool {
        self.0[..3].iter().all(|field| field.is_numbers)
    }

    fn has_day(&self, date: Date) -> bool {
        let [_, _, _, day, month, weekday] = &self.0;
        let is_day = day.values.contains(&date.day());
        let is_weekday = weekday.values.contains(&date.weekday().to_sunday_zero_offset());
        let is_either = match (day.is_any(), weekday.is_any()) {
            (false, false) => is_day || is_weekday,
            (true, false) | (false, true) | (true, true) => is_day && is_weekday,
        };
        month.values.contains(&date.month()) && is_either
    }

    /// All ticks from `from` to `to`, found in the whole calendar around them.
    fn ticks(&self, zone: &TimeZone, from: i64, to: i64) -> BTreeSet<i64> {
        let [seconds, minutes, hours, ..] = self.0.each_ref().map(|field| &field.values);
        let first = Timestamp::from_second(from).unwrap().to_zoned(TimeZone::UTC).date();
        let days = (WATCHED / 86_400) + 5;
        let dates = first.checked_sub(Span::new().days(2)).unwrap().series(Span::new().days(1));
        let mut found = BTreeSet::new();
        for date in dates.take(days.try_into().unwrap()).filter(|date| self.has_day(*date)) {
            for (hour, minute) in hours.iter().flat_map(|h| minutes.iter().map(move |m| (h, m))) {
                for second in seconds {
                    let local = date.to_datetime(Time::new(*hour, *minute, *second, 0).unwrap());
                    let by = |offset: Offset| offset.to_timestamp(local).unwrap().as_second();
                    match zone.to_ambiguous_timestamp(local).offset() {
                        AmbiguousOffset::Unambiguous { offset } => {
                            found.insert(by(offset));
                        }
                        AmbiguousOffset::Fold { before, after } => {
                            found.insert(by(before));
                            if !self.is_fixed() {
                                found.insert(by(after));
                            }
                        }
                        AmbiguousOffset::Gap { before, .. } if self.is_fixed() => {
                            // By the clock as it was, the time comes after it was changed.
                            let late = Timestamp::from_second(by(before) + 1).unwrap();
                            let change = zone.preceding(late).next().unwrap();
                            found.insert(change.timestamp().as_second());
                        }
                        AmbiguousOffset::Gap { .. } => {}
                    }
                }
            }
        }
        found.retain(|tick| (from..=to).contains(tick));
        found
    }
}

static DATABASE: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..Default::default() })]

    /// No tick is left out, none is added, and each is after the one before.
    #[test]
    fn ticks_are_those_of_the_calendar(
        expression in expressions(),
        (place, near) in select(&CHANGES[..]),
        ahead in -WATCHED..86_400,
        millis in 0..1_000u64,
    ) {
        let from = near.parse::<Timestamp>().unwrap().as_second() + ahead;
        let expected = expression.ticks(&DATABASE.get(place).unwrap(), from + 1, from + WATCHED);
        let (cron, zone) = (cron(&expression.text()), zone(place));
        let mut at = Wall::from_millis(u64::try_from(from).unwrap() * 1_000 + millis);
        let is_watched_to_the_end = expected.len() <= ASKED_MAX;
        for tick in expected.into_iter().take(ASKED_MAX) {
            let next = cron.next_after(&zone, at);
            prop_assert!(next.is_none_or(|next| next > at));
            let tick = Wall::from_millis(u64::try_from(tick).unwrap() * 1_000);
            prop_assert_eq!(next, Some(tick), "{} in {}", expression.text(), place);
            at = tick;
        }
        let end = Wall::from_millis(u64::try_from(from + WATCHED).unwrap() * 1_000);
        if is_watched_to_the_end {
            prop_assert!(cron.next_after(&zone, at).is_none_or(|next| next > end));
        }
    }

    /// Wherever it is asked, the answer is the same as from right before it.
    #[test]
    fn it_makes_no_difference_from_where_a_tick_is_seen(
        expression in expressions(),
        (place, near) in select(&CHANGES[..]),
        ahead in -WATCHED..WATCHED,
        closer in 0..1_000u64,
    ) {
        let (cron, zone) = (cron(&expression.text()), zone(place));
        let from = near.parse::<Timestamp>().unwrap().as_second() + ahead;
        let from = Wall::from_millis(u64::try_from(from).unwrap() * 1_000);
        if let Some(next) = cron.next_after(&zone, from) {
            let between = next.since(from).as_millis() * closer / 1_000;
            let later = Wall::from_millis(from.as_millis() + between);
            prop_assert_eq!(cron.next_after(&zone, later), Some(next));
        }
    }

    /// What is let through can be read, and what is refused is pointed at.
    #[test]
    fn every_text_is_read_or_pointed_at(text in "[-0-9*/,?#@LWlwJANMONSUN \tä]{0,24}|\\PC{0,300}") {
        if let Err(error) = Cron::parse(&text) {
            prop_assert!(text.get(error.place.clone()).is_some(), "{error:?}");
            prop_assert!(!error.place.is_empty() || text.is_empty(), "{error:?}");
        }
    }

    /// The same of what looks more like an expression, and croner has nothing to add.
    #[test]
    fn croner_takes_what_was_checked(
        fields in vec(
            "(\\*|[0-9]{1,2}|(MON|SUN|JAN|DEC|L|LW|15W|31W|5L|0L|7#5|TUE#1))([-/,][0-9SUN]{1,3}){0,2}",
            5..7,
        ),
    ) {
        let text = fields.join(" ");
        if let Err(error) = Cron::parse(&text) {
            prop_assert!(text.get(error.place.clone()).is_some(), "{error:?}");
            prop_assert!(!error.why.contains("omponent") && !error.why.contains("attern"), "{error:?}");
        }
    }
}
