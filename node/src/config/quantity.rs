//! Lengths of time and of data as people write them: `1m30s`, `256 KiB`.

use umbel_protocol::time::Span;

/// How lengths of time are written, for those who wrote something else.
pub(crate) const SPAN_HELP: &str =
    "write whole numbers with units, the largest first: 500ms, 30s, 1m30s, 2h, 7d";
/// How sizes are written, for those who wrote something else.
pub(super) const SIZE_HELP: &str =
    "write a whole number of bytes, or one with a unit: 512 B, 64 KiB, 1 MiB, 1 GiB";

/// The units in which lengths of time are written, and their milliseconds.
pub(crate) const SPAN_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];
const SIZE_UNITS: [(&str, u64); 4] =
    [("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];

/// Reads `500ms`, `1m30s` or `1m 30s`; nothing if it is anything else.
pub(crate) fn span(text: &str) -> Option<Span> {
    let mut rest = text.trim();
    let mut millis = 0_u64;
    let mut units = SPAN_UNITS.iter();
    while !rest.is_empty() {
        let (number, unit, tail) = number_and_unit(rest)?;
        // The iterator moves on: a unit can neither come twice nor after a smaller one.
        let (_, factor) = units.find(|(name, _)| *name == unit)?;
        millis = millis.checked_add(number.checked_mul(*factor)?)?;
        rest = tail;
    }
    // A span counts microseconds.
    (!text.trim().is_empty() && millis <= u64::MAX / 1_000).then(|| Span::from_millis(millis))
}

/// Reads `512`, `64 KiB` or `1MiB` as bytes; nothing if it is anything else.
pub(super) fn size(text: &str) -> Option<u64> {
    let text = text.trim();
    if let Ok(bytes) = text.parse() {
        return Some(bytes);
    }
    let (number, unit, rest) = number_and_unit(text)?;
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| name.eq_ignore_ascii_case(unit))?;
    if rest.is_empty() { number.checked_mul(*factor) } else { None }
}

/// The way in which [`span`] reads a length of time. Less than a millisecond is not told.
pub(crate) fn spelled(span: Span) -> String {
    let mut millis = span.as_millis();
    let mut text = String::new();
    for (unit, factor) in SPAN_UNITS {
        if millis >= factor {
            text.push_str(&format!("{}{unit}", millis / factor));
            millis %= factor;
        }
    }
    if text.is_empty() { "0s".to_owned() } else { text }
}

fn number_and_unit(text: &str) -> Option<(u64, &str, &str)> {
    let digits = text.find(|c: char| !c.is_ascii_digit())?;
    let number = text[..digits].parse().ok()?;
    let unit = text[digits..].trim_start();
    let letters = unit.find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(unit.len());
    Some((number, &unit[..letters], unit[letters..].trim_start()))
}

#[cfg(test)]
mod tests {
    use umbel_protocol::time::Span;

    use super::{size, span, spelled};

    #[test]
    fn spans_are_read_and_spelled() {
        for (text, millis) in [
            ("500ms", 500),
            ("30s", 30_000),
            ("1m30s", 90_000),
            ("2h", 7_200_000),
            ("7d", 604_800_000),
            ("1d2h3m4s5ms", 93_784_005),
            ("0s", 0),
        ] {
            assert_eq!(span(text), Some(Span::from_millis(millis)), "{text}");
            assert_eq!(spelled(Span::from_millis(millis)), text);
        }
        assert_eq!(span(" 1 m 30 s "), Some(Span::from_millis(90_000)));
        assert_eq!(spelled(Span::from_millis(90_000)), "1m30s");
        assert_eq!(spelled(Span::from_micros(1_999)), "1ms");
    }

    #[test]
    fn other_spans_are_refused() {
        for text in [
            "",
            " ",
            "30",
            "s",
            "1.5s",
            "-1s",
            "30 sec",
            "30s1m",
            "1s1s",
            "1us",
            "1M",
            "1s,",
            "99999999999999999999s",
            "999999999999999999d",
            "18446744073709551615ms",
            "١s",
        ] {
            assert_eq!(span(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_read() {
        for (text, bytes) in [
            ("512", 512),
            ("512 B", 512),
            ("64 KiB", 65_536),
            ("1MiB", 1 << 20),
            ("2 gib", 2 << 30),
        ] {
            assert_eq!(size(text), Some(bytes), "{text}");
        }
        for text in ["", "KiB", "64 kB", "64 K", "1.5 MiB", "-1", "1 MiB 2", "17179869185 GiB"] {
            assert_eq!(size(text), None, "{text}");
        }
    }
}
