//! What expressions say, told by the dates they come to; further tests by what they are about.

mod clocks;
mod laws;
mod refusals;

use jiff::Timestamp;
use jiff::tz::Offset;

use super::*;
use crate::job::Zones;

fn cron(text: &str) -> Cron {
    Cron::parse(text).unwrap_or_else(|why| panic!("{text}: {why} at {:?}", why.place))
}

fn zone(name: &str) -> Zone {
    Zones::bundled().zone(name).unwrap()
}

/// The instant that `text` says, with its offset.
fn wall(text: &str) -> Wall {
    let at: Timestamp = text.parse().unwrap_or_else(|why| panic!("{text}: {why}"));
    Wall::from_millis(at.as_millisecond().try_into().unwrap())
}

/// What the clock of `zone` shows at `at`, and how far it is ahead.
fn shown(zone: &Zone, at: Wall) -> String {
    let at = Timestamp::from_millisecond(at.as_millis().try_into().unwrap()).unwrap();
    let offset = Offset::from_seconds(zone.offset(at).try_into().unwrap()).unwrap();
    at.display_with_offset(offset).to_string()
}

/// The first `count` ticks after `after`.
fn ticks(text: &str, zone: &Zone, after: &str, count: usize) -> Vec<String> {
    let cron = cron(text);
    let mut at = wall(after);
    let next = || {
        at = cron.next_after(zone, at)?;
        Some(shown(zone, at))
    };
    std::iter::from_fn(next).take(count).collect()
}

/// The first ticks after the beginning of 2025 in UTC, without seconds and offset.
fn dates(text: &str, count: usize) -> Vec<String> {
    let ticks = ticks(text, &Zone::UTC, "2025-01-01T00:00:00Z", count);
    ticks.into_iter().map(|tick| tick.replace('T', " ").replace(":00+00:00", "")).collect()
}

#[test]
fn fields_are_minute_hour_day_month_weekday() {
    for (text, expected) in [
        ("30 2 * * *", ["2025-01-01 02:30", "2025-01-02 02:30", "2025-01-03 02:30"]),
        ("*/20 * * * *", ["2025-01-01 00:20", "2025-01-01 00:40", "2025-01-01 01:00"]),
        ("5-7 3 * * *", ["2025-01-01 03:05", "2025-01-01 03:06", "2025-01-01 03:07"]),
        ("10-40/15 3 * * *", ["2025-01-01 03:10", "2025-01-01 03:25", "2025-01-01 03:40"]),
        ("0 22,1,*/12 * * *", ["2025-01-01 01:00", "2025-01-01 12:00", "2025-01-01 22:00"]),
        ("0 0 1 */5 *", ["2025-06-01 00:00", "2025-11-01 00:00", "2026-01-01 00:00"]),
        ("0 0 1 jAn,JUL *", ["2025-07-01 00:00", "2026-01-01 00:00", "2026-07-01 00:00"]),
        ("0 0 1 OCT-DEC *", ["2025-10-01 00:00", "2025-11-01 00:00", "2025-12-01 00:00"]),
        ("0 12 ? * Mon", ["2025-01-06 12:00", "2025-01-13 12:00", "2025-01-20 12:00"]),
        ("0 12 1 * ?", ["2025-01-01 12:00", "2025-02-01 12:00", "2025-03-01 12:00"]),
        (" \t0  12 \n 1 1 * ", ["2025-01-01 12:00", "2026-01-01 12:00", "2027-01-01 12:00"]),
        ("0 0 31 * *", ["2025-01-31 00:00", "2025-03-31 00:00", "2025-05-31 00:00"]),
        ("059 0023 * * *", ["2025-01-01 23:59", "2025-01-02 23:59", "2025-01-03 23:59"]),
        ("* * * * *", ["2025-01-01 00:01", "2025-01-01 00:02", "2025-01-01 00:03"]),
        ("0 0 31,1 2 *", ["2025-02-01 00:00", "2026-02-01 00:00", "2027-02-01 00:00"]),
    ] {
        assert_eq!(dates(text, 3), expected, "{text}");
    }
}

#[test]
fn a_sixth_field_in_front_is_the_second() {
    for (text, expected) in [
        ("*/30 * * * * *", ["00:00:30", "00:01:00", "00:01:30"]),
        ("15 0 12 * * *", ["12:00:15", "12:00:15", "12:00:15"]),
        ("58-59 59 23 * * *", ["23:59:58", "23:59:59", "23:59:58"]),
        ("* * * * * *", ["00:00:01", "00:00:02", "00:00:03"]),
    ] {
        let ticks = ticks(text, &Zone::UTC, "2025-01-01T00:00:00Z", 3);
        let times: Vec<_> = ticks.iter().map(|tick| &tick[11..19]).collect();
        assert_eq!(times, expected, "{text}");
    }
}

#[test]
fn sunday_is_at_both_ends_of_the_week() {
    let days = |text: &str| -> Vec<String> {
        let first_week = dates(text, 7).into_iter().filter(|date| date.as_str() < "2025-01-08");
        first_week.map(|date| date[8..10].to_owned()).collect()
    };
    // 2025-01-05 is a Sunday.
    for (text, expected) in [
        ("0 1 * * 0", &["05"][..]),
        ("0 1 * * 7", &["05"]),
        ("0 1 * * SUN", &["05"]),
        ("0 1 * * SUN-SUN", &["05"]),
        ("0 1 * * 0,7", &["05"]),
        ("0 1 * * 6-7", &["04", "05"]),
        ("0 1 * * SAT-SUN", &["04", "05"]),
        ("0 1 * * SUN-TUE", &["05", "06", "07"]),
        ("0 1 * * 7-2", &["05", "06", "07"]),
        ("0 1 * * MON-FRI", &["01", "02", "03", "06", "07"]),
        ("0 1 * * 0-7", &["01", "02", "03", "04", "05", "06", "07"]),
        ("0 1 * * */3", &["01", "04", "05"]),
        ("0 1 * * 1-7/2", &["01", "03", "05", "06"]),
    ] {
        assert_eq!(days(text), expected, "{text}");
    }
}

#[test]
fn days_can_be_counted_from_ends_and_weekdays() {
    let days = |text: &str, count| -> Vec<String> {
        dates(text, count).into_iter().map(|date| date[2..10].to_owned()).collect()
    };
    for (text, expected) in [
        ("0 1 L * *", &["25-01-31", "25-02-28", "25-03-31", "25-04-30"][..]),
        ("0 1 L 2 *", &["25-02-28", "26-02-28", "27-02-28", "28-02-29"]),
        ("0 1 10,l * *", &["25-01-10", "25-01-31", "25-02-10", "25-02-28"]),
        // The 15th is a Saturday in February and in March, and a Sunday in June.
        ("0 1 15W 2-6 *", &["25-02-14", "25-03-14", "25-04-15", "25-05-15", "25-06-16"]),
        // Never into another month.
        ("0 1 1w 2,6 *", &["25-02-03", "25-06-02"]),
        ("0 1 31W 5,8 *", &["25-05-30", "25-08-29"]),
        ("0 1 30W 2-4 *", &["25-03-31", "25-04-30"]),
        ("0 1 LW * *", &["25-01-31", "25-02-28", "25-03-31", "25-04-30", "25-05-30", "25-06-30"]),
        ("0 1 15W,L 2 *", &["25-02-14", "25-02-28"]),
        ("0 1 * * MON#1", &["25-01-06", "25-02-03", "25-03-03"]),
        ("0 1 * * 2#5", &["25-04-29", "25-07-29"]),
        ("0 1 * * 7#2,wed#1", &["25-01-01", "25-01-12", "25-02-05", "25-02-09"]),
        ("0 1 * * 5L", &["25-01-31", "25-02-28", "25-03-28"]),
        ("0 1 * * friL", &["25-01-31", "25-02-28", "25-03-28"]),
        ("0 1 * * 7L", &["25-01-26", "25-02-23", "25-03-30"]),
    ] {
        assert_eq!(days(text, expected.len()), expected, "{text}");
    }
}

#[test]
fn a_day_of_month_or_a_day_of_week_is_enough() {
    for (text, expected) in [
        ("0 0 13 * FRI", ["2025-01-03", "2025-01-10", "2025-01-13", "2025-01-17"]),
        ("0 0 L * MON#1", ["2025-01-06", "2025-01-31", "2025-02-03", "2025-02-28"]),
        ("0 0 */10 * SAT", ["2025-01-04", "2025-01-11", "2025-01-18", "2025-01-21"]),
        ("0 0 30 2 MON", ["2025-02-03", "2025-02-10", "2025-02-17", "2025-02-24"]),
    ] {
        let days: Vec<_> = dates(text, 4).iter().map(|date| date[..10].to_owned()).collect();
        assert_eq!(days, expected, "{text}");
    }
}

#[test]
fn the_rarest_days_are_found() {
    let after = "2093-01-01T00:00:00Z";
    for (text, expected) in [
        ("0 0 29 2 *", &["2096-02-29T00:00:00+00:00", "2104-02-29T00:00:00+00:00"][..]),
        ("0 0 29W 2 *", &["2096-02-29T00:00:00+00:00", "2104-02-29T00:00:00+00:00"]),
        // Every 28 years, but 40 years apart when a leap year is left out in between.
        ("0 0 ? 2 THU#5", &["2120-02-29T00:00:00+00:00", "2148-02-29T00:00:00+00:00"]),
        ("*/59 0 29 2 ?", &["2096-02-29T00:00:00+00:00", "2096-02-29T00:59:00+00:00"]),
    ] {
        assert_eq!(ticks(text, &Zone::UTC, after, 2), expected, "{text}");
        // Clocks that are changed twice a year do not stand in the way.
        let berlin = ticks(text, &zone("Europe/Berlin"), after, 2);
        let berlin: Vec<_> = berlin.iter().map(|tick| tick.replace("+01:00", "+00:00")).collect();
        assert_eq!(berlin, expected, "{text}");
    }
}

#[test]
fn nicknames_stand_for_expressions() {
    for (name, meaning) in [
        ("@yearly", "0 0 1 1 *"),
        ("@annually", "0 0 1 JAN ?"),
        ("@monthly", "0 0 1 * *"),
        ("@weekly", "0 0 * * SUN"),
        ("@daily", "0 0 * * *"),
        ("@midnight", "0 0 0 * * *"),
        ("@hourly", "0 * * * *"),
    ] {
        let berlin = zone("Europe/Berlin");
        let after = "2025-10-25T12:00:00Z";
        let expected = ticks(meaning, &berlin, after, 20);
        assert_eq!(expected.len(), 20);
        assert_eq!(ticks(name, &berlin, after, 20), expected, "{name}");
        let shouted = format!(" {} ", name.to_ascii_uppercase());
        assert_eq!(ticks(&shouted, &berlin, after, 20), expected, "{name}");
    }
}

#[test]
fn the_text_stays_as_it_was_written() {
    let text = " @Daily ";
    assert_eq!(cron(text).as_str(), text);
    assert_eq!(cron(text).to_string(), text);
    assert_eq!(format!("{:?}", cron("* * * * *")), "Cron(\"* * * * *\")");
}

#[test]
fn it_is_known_how_near_ticks_may_be() {
    for (text, seconds) in [
        ("* * * * * *", 1),
        ("*/1 * * * * *", 1),
        ("0-59 0 12 * * *", 1),
        ("0,1 * * * * *", 1),
        ("0,59 * * * * *", 1),
        ("*/2 * * * * *", 2),
        ("0,20 * * * * *", 20),
        ("10,57 * * * * *", 13),
        ("0 * * * * *", 60),
        ("59 * * * * *", 60),
        ("* * * * *", 60),
    ] {
        assert_eq!(cron(text).nearest(), Span::from_millis(1_000 * seconds), "{text}");
    }
}

#[test]
fn a_tick_is_after_what_it_is_asked_after() {
    let cron = cron("* * * * * *");
    for (after, next) in [(0, 1_000), (1, 1_000), (999, 1_000), (1_000, 2_000), (1_001, 2_000)] {
        let found = cron.next_after(&Zone::UTC, Wall::from_millis(after));
        assert_eq!(found, Some(Wall::from_millis(next)), "{after}");
    }
}

#[test]
fn there_is_nothing_after_the_calendar() {
    for text in ["* * * * *", "0 0 * * *", "0 0 29 2 *"] {
        for zone in [Zone::UTC, zone("Pacific/Apia"), zone("America/New_York")] {
            let next = |after: Wall| cron(text).next_after(&zone, after);
            assert_eq!(next(wall("9999-12-30T22:00:00Z")), None, "{text}");
            assert_eq!(next(Wall::from_millis(u64::MAX)), None, "{text}");
            assert_eq!(next(Wall::from_millis(u64::MAX / 1_000)), None, "{text}");
            // Right before it is not there yet.
            assert!(next(wall("9990-01-01T00:00:00Z")).is_some(), "{text}");
        }
    }
}
