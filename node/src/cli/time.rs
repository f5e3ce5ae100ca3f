//! Times, lengths of time and numbers of things, as they are printed and typed.

use std::time::Duration;

use umbel_protocol::time::{Span, Wall};

use crate::config::quantity::{SPAN_HELP, SPAN_UNITS, span};

/// RFC 3339 with milliseconds.
pub(super) fn stamp(at: Wall) -> String {
    let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
    match jiff::Timestamp::from_millisecond(millis) {
        Ok(stamp) => format!("{stamp:.3}"),
        // No clock shows a time beyond the year 9999.
        Err(_) => format!("{millis} ms after 1970"),
    }
}

/// `1.234 s`, `12.3 ms`, `45 us`.
pub(super) fn length(duration: Duration) -> String {
    let micros = duration.as_micros();
    if micros >= 1_000_000 {
        format!("{:.2} s", duration.as_secs_f64())
    } else if micros >= 1_000 {
        format!("{:.1} ms", duration.as_secs_f64() * 1e3)
    } else {
        format!("{micros} us")
    }
}

/// As [`length`], of a span of the protocol.
pub(super) fn between(from: Wall, to: Wall) -> String {
    length(Duration::from_micros(to.since(from).as_micros()))
}

/// How far `to` is from `from`, for people: `in 3d 4h`, `5m ago`. Two units are as exact as anybody
/// wants to know it.
pub(super) fn away(from: Wall, to: Wall) -> String {
    let (span, is_past) = if to < from { (from.since(to), true) } else { (to.since(from), false) };
    let mut millis = span.as_millis();
    let mut parts = Vec::new();
    for (unit, factor) in SPAN_UNITS.into_iter().take_while(|(unit, _)| *unit != "ms") {
        if millis >= factor && parts.len() < 2 {
            parts.push(format!("{}{unit}", millis / factor));
        }
        // Two hours and some seconds are two hours.
        if !parts.is_empty() && millis < factor {
            break;
        }
        millis %= factor;
    }
    match (parts.is_empty(), is_past) {
        (true, true) => "just now".to_owned(),
        (true, false) => "now".to_owned(),
        (false, true) => format!("{} ago", parts.join(" ")),
        (false, false) => format!("in {}", parts.join(" ")),
    }
}

/// Reads `10s`, `1m30s`.
pub(super) fn parse(text: &str) -> Result<Duration, String> {
    if text.trim_start().starts_with('-') {
        return Err("there is no time before now: leave the minus out".to_owned());
    }
    span(text).map(duration).ok_or_else(|| SPAN_HELP.to_owned())
}

/// As [`parse`], but not nothing.
pub(super) fn parse_some(text: &str) -> Result<Duration, String> {
    let length = parse(text)?;
    if length.is_zero() {
        Err("it must be longer than no time at all".to_owned())
    } else {
        Ok(length)
    }
}

/// Reads a time that is the same everywhere: `2030-03-01T02:30:00+01:00`.
pub(super) fn parse_stamp(text: &str) -> Result<Wall, String> {
    let at: jiff::Timestamp = text.trim().parse().map_err(|_| STAMP_HELP.to_owned())?;
    let millis =
        u64::try_from(at.as_millisecond()).map_err(|_| "it lies before 1970".to_owned())?;
    Ok(Wall::from_millis(millis))
}

const STAMP_HELP: &str = "write a date, a time and how far its clocks are from UTC: \
                          2030-03-01T02:30:00+01:00, or with Z for UTC itself";

/// As [`parse`], as a span of the protocol.
pub(super) fn parse_span(text: &str) -> Result<Span, String> {
    parse(text).map(span_of)
}

/// As [`parse_some`], as a span of the protocol.
pub(super) fn parse_some_span(text: &str) -> Result<Span, String> {
    parse_some(text).map(span_of)
}

/// The same length of time, as long as can be told.
pub(super) fn span_of(duration: Duration) -> Span {
    Span::from_micros(u64::try_from(duration.as_micros()).unwrap_or(u64::MAX))
}

fn duration(span: Span) -> Duration {
    Duration::from_micros(span.as_micros())
}

/// `1,234,567`.
pub(super) fn count(number: u64) -> String {
    let digits = number.to_string();
    let mut shown = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            shown.push(',');
        }
        shown.push(digit);
    }
    shown
}

/// `1 node`, `2,000 nodes`.
pub(super) fn count_of(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", count(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_shown() {
        assert_eq!(stamp(Wall::from_millis(1_700_000_000_123)), "2023-11-14T22:13:20.123Z");
        assert_eq!(stamp(Wall::from_millis(1_700_000_000_000)), "2023-11-14T22:13:20.000Z");
        assert_eq!(length(Duration::from_micros(999)), "999 us");
        assert_eq!(length(Duration::from_micros(12_345)), "12.3 ms");
        assert_eq!(length(Duration::from_millis(61_500)), "61.50 s");
        assert_eq!(between(Wall::from_millis(5), Wall::from_millis(7)), "2.0 ms");
        assert_eq!([count(0), count(999), count(1_234_567)], ["0", "999", "1,234,567"]);
        assert_eq!(count_of(1, "node"), "1 node");
        assert_eq!(count_of(2_000, "node"), "2,000 nodes");
    }

    #[test]
    fn it_is_said_how_far_away_something_is() {
        let now = Wall::from_millis(1_700_000_000_000);
        for (span, ahead, past) in [
            ("0s", "now", "now"),
            ("999ms", "now", "just now"),
            ("45s", "in 45s", "45s ago"),
            ("5m1s", "in 5m 1s", "5m 1s ago"),
            ("2h7s", "in 2h", "2h ago"),
            ("1d2h3m", "in 1d 2h", "1d 2h ago"),
            ("400d", "in 400d", "400d ago"),
        ] {
            let span = super::span(span).unwrap();
            assert_eq!(away(now, now + span), ahead);
            assert_eq!(away(now, now - span), past);
        }
    }

    #[test]
    fn lengths_are_read() {
        assert_eq!(parse("1m30s"), Ok(Duration::from_secs(90)));
        assert!(parse_some("0s").is_err() && parse_some("1ms").is_ok());
        assert!(parse("-1s").unwrap_err().contains("no time before now"));
        assert!(parse("soon").unwrap_err().contains("1m30s"));
    }
}
