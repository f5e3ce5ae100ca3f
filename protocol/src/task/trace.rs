//! Of which distributed trace a task is part, as the W3C's Trace Context, level 2, has it.
//!
//! Read strictly, and written in version 00. What it names is a *span*: the one from within which a task
//! is submitted, until a run of it makes one of its own ([`Trace::continued`]) to be the parent of all
//! that comes of that run.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use super::InvalidBatch;
use crate::limits::{TRACESTATE_BYTES_MAX, TRACESTATE_MEMBERS_MAX};

/// A span of a trace.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trace {
    trace_id: u128,
    span_id: u64,
    flags: u8,
    state: Option<Box<str>>,
}

impl Trace {
    /// Reads what stands in `traceparent` and, if there is one, in `tracestate`, whose members it keeps as
    /// they are.
    ///
    /// # Errors
    /// Either is not as the specification has it. There a receiver ignores what it cannot read; here it can
    /// still be mended by whoever wrote it.
    pub fn parse(traceparent: &str, tracestate: Option<&str>) -> Result<Self, InvalidBatch> {
        let (trace_id, span_id, flags) =
            parent(traceparent).map_err(|range| InvalidBatch::option("traceparent", range))?;
        let state = match tracestate {
            Some(text) => state(text).map_err(|range| InvalidBatch::option("tracestate", range))?,
            None => None,
        };
        Ok(Self { trace_id, span_id, flags, state })
    }

    /// The same from texts of which each may be missing. There is no state without a parent.
    ///
    /// # Errors
    /// As for [`parse`](Self::parse), or the state stands alone.
    pub fn parse_some(
        traceparent: Option<&str>,
        tracestate: Option<&str>,
    ) -> Result<Option<Self>, InvalidBatch> {
        match (traceparent, tracestate) {
            (None, None) => Ok(None),
            (Some(parent), state) => Self::parse(parent, state).map(Some),
            (None, Some(_)) => Err(InvalidBatch::conflicting(
                "`tracestate` without `traceparent`",
                "it means nothing alone; give both of them",
            )),
        }
    }

    /// What to write into `traceparent`.
    #[must_use]
    pub fn traceparent(&self) -> String {
        format!("00-{:032x}-{:016x}-{:02x}", self.trace_id, self.span_id, self.flags & KNOWN)
    }

    /// What to write into `tracestate`, if anything.
    #[must_use]
    pub fn tracestate(&self) -> Option<&str> {
        self.state.as_deref()
    }

    /// The id of the whole trace, 32 hexadecimal digits.
    #[must_use]
    pub fn trace_id(&self) -> String {
        format!("{:032x}", self.trace_id)
    }

    /// The id of this span, 16 hexadecimal digits.
    #[must_use]
    pub fn span_id(&self) -> String {
        format!("{:016x}", self.span_id)
    }

    /// Whether whoever began the trace may have recorded it.
    #[must_use]
    pub const fn is_sampled(&self) -> bool {
        self.flags & SAMPLED != 0
    }

    /// Another span of the same trace. No span has the number zero: it would be the first one.
    #[must_use]
    pub fn continued(&self, span_id: u64) -> Self {
        Self { span_id: span_id.max(1), ..self.clone() }
    }

    /// Refuses what [`parse`](Self::parse) would not have made.
    ///
    /// # Errors
    /// It is no span, or its state is none.
    pub fn check(&self) -> Result<(), InvalidBatch> {
        let read = Self::parse(&self.traceparent(), self.tracestate())?;
        if read.state != self.state {
            return Err(InvalidBatch::option("tracestate", "written without blanks and not empty"));
        }
        Ok(())
    }

    /// What its state takes: the rest is counted with whatever it is part of.
    #[must_use]
    pub(super) fn weight(&self) -> usize {
        self.state.as_ref().map_or(0, |state| state.len())
    }
}

/// A trace's id, a span's, and flags.
fn parent(text: &str) -> Result<(u128, u64, u8), &'static str> {
    const SHAPE: &str =
        "of the form 00-TRACE-SPAN-FLAGS with 32, 16 and 2 of 0-9 a-f, as W3C Trace Context has it";
    let bytes = text.as_bytes();
    // Later versions may add something behind another dash, and this one may not.
    let (known, rest) = bytes.split_at_checked(PARENT_BYTES).ok_or(SHAPE)?;
    let [version, trace, span, flags] = known.split(|byte| *byte == b'-').collect::<Vec<_>>()[..]
    else {
        return Err(SHAPE);
    };
    let version = hex(version, 2).ok_or(SHAPE)?;
    if version == 0xff || (version == 0 && !rest.is_empty()) || !matches!(rest, [] | [b'-', ..]) {
        return Err(SHAPE);
    }
    let (trace, span) = (hex(trace, 32).ok_or(SHAPE)?, hex(span, 16).ok_or(SHAPE)?);
    let flags = hex(flags, 2).ok_or(SHAPE)?;
    if trace == 0 || span == 0 {
        return Err("of a trace and of a span, neither of them all zeros");
    }
    let span = u64::try_from(span).map_err(|_| SHAPE)?;
    Ok((trace, span, u8::try_from(flags).map_err(|_| SHAPE)? & KNOWN))
}

/// The number that exactly so many small hexadecimal digits make.
fn hex(digits: &[u8], count: usize) -> Option<u128> {
    if digits.len() != count {
        return None;
    }
    digits.iter().try_fold(0_u128, |number, digit| {
        let digit = match digit {
            b'0'..=b'9' => digit - b'0',
            b'a'..=b'f' => digit - b'a' + 10,
            _ => return None,
        };
        Some(number << 4 | u128::from(digit))
    })
}

/// The members of a state, without what may stand between them.
fn state(text: &str) -> Result<Option<Box<str>>, String> {
    let members: Vec<&str> = text
        .split(',')
        .map(|member| member.trim_matches([' ', '\t']))
        .filter(|member| !member.is_empty())
        .collect();
    if members.len() > TRACESTATE_MEMBERS_MAX {
        return Err(format!("of at most {TRACESTATE_MEMBERS_MAX} members"));
    }
    let mut keys = BTreeSet::new();
    for member in &members {
        let (key, value) = member.split_once('=').ok_or("key=value, and a comma between two")?;
        if !is_key(key) || !is_value(value) {
            return Err(format!(
                "key=value as W3C Trace Context has it, which {:?} is not",
                member.chars().take(40).collect::<String>()
            ));
        }
        if !keys.insert(key) {
            return Err(format!("of different keys: {key:?} is said twice"));
        }
    }
    let state = members.join(",");
    if state.len() > TRACESTATE_BYTES_MAX {
        return Err(format!("at most {TRACESTATE_BYTES_MAX} bytes long"));
    }
    Ok((!state.is_empty()).then(|| state.into()))
}

fn is_key(key: &str) -> bool {
    let legal = |c: char| {
        c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-' | '*' | '/' | '@')
    };
    let begins_well = key.starts_with(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    begins_well && key.len() <= 256 && key.chars().all(legal)
}

fn is_value(value: &str) -> bool {
    // Neither `,` nor `=`; no blank at the end, where it would be one between members.
    let legal = |c: char| (' '..='~').contains(&c) && c != ',' && c != '=';
    (1..=256).contains(&value.len()) && value.chars().all(legal) && !value.ends_with(' ')
}

const PARENT_BYTES: usize = 2 + 1 + 32 + 1 + 16 + 1 + 2;
/// Whoever began the trace may have recorded it.
const SAMPLED: u8 = 1;
/// Flags that have a meaning: that one, and that the trace's id is random. All others are written as zero.
const KNOWN: u8 = SAMPLED | 2;

#[cfg(test)]
mod tests {
    use super::*;

    const PARENT: &str = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01";

    #[test]
    fn a_trace_goes_on_in_another_span() {
        let trace =
            Trace::parse(PARENT, Some("rojo=00f067aa0ba902b7, ,congo=t61rcWkgMzE")).unwrap();
        assert_eq!(trace.traceparent(), PARENT);
        assert_eq!(trace.tracestate(), Some("rojo=00f067aa0ba902b7,congo=t61rcWkgMzE"));
        assert!(trace.is_sampled());
        let next = trace.continued(0xab);
        assert_eq!(next.traceparent(), "00-4bf92f3577b34da6a3ce929d0e0e4736-00000000000000ab-01");
        assert_eq!((next.trace_id(), next.tracestate()), (trace.trace_id(), trace.tracestate()));
        assert_eq!((next.check(), trace.continued(0).check()), (Ok(()), Ok(())));
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        let later = "cc-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-ff-what-comes";
        let trace = Trace::parse(later, None).unwrap();
        assert_eq!(trace.traceparent(), PARENT.replace("-01", "-03"));
        for wrong in [
            "",
            "00",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-1",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01-more",
            "01-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01.more",
            "ff-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4BF92F3577B34DA6A3CE929D0E0E4736-00f067aa0ba902b7-01",
            "00-00000000000000000000000000000000-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e4736-0000000000000000-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473-600f067aa0ba902b7-01",
            "00_4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "0x-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            " 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "00-4bf92f3577b34da6a3ce929d0e0e473é-00f067aa0ba902b7-01",
        ] {
            let told = Trace::parse(wrong, None).unwrap_err().to_string();
            assert!(told.starts_with("traceparent must be of "), "{wrong}: {told}");
        }
    }

    #[test]
    fn a_state_is_read_by_the_letter() {
        let read = |state: &str| Trace::parse(PARENT, Some(state));
        for right in ["a=1", "0a@b-c_d*e/f=x y!", "a= 1", &format!("{}=v", "k".repeat(256))] {
            assert_eq!(read(right).unwrap().tracestate(), Some(right), "{right}");
        }
        assert_eq!(read(" , ").unwrap().tracestate(), None);
        let many = |n: usize| (0..n).map(|n| format!("k{n}=v")).collect::<Vec<_>>().join(",");
        assert!(read(&many(TRACESTATE_MEMBERS_MAX)).is_ok());
        let long = format!("a={},b={}", "v".repeat(256), "v".repeat(256));
        for wrong in [
            "a",
            "=1",
            "a=",
            "A=1",
            "-a=1",
            "a b=1",
            "a=1=2",
            "a=é",
            "a=1,a=2",
            &format!("{}=v", "k".repeat(257)),
            &format!("a={}", "v".repeat(257)),
            &many(TRACESTATE_MEMBERS_MAX + 1),
            &long,
        ] {
            let told = read(wrong).unwrap_err().to_string();
            assert!(told.starts_with("tracestate must be "), "{wrong}: {told}");
        }
        let alone = Trace::parse_some(None, Some("a=1")).unwrap_err().to_string();
        assert!(alone.starts_with("`tracestate` without `traceparent`"), "{alone}");
        assert_eq!(Trace::parse_some(None, None), Ok(None));
    }

    #[test]
    fn what_nobody_could_have_written_is_refused() {
        let trace = Trace::parse(PARENT, None).unwrap();
        for wrong in [
            Trace { trace_id: 0, ..trace.clone() },
            Trace { span_id: 0, ..trace.clone() },
            Trace { state: Some("a".into()), ..trace.clone() },
            Trace { state: Some("".into()), ..trace.clone() },
            Trace { state: Some(" a=1".into()), ..trace },
        ] {
            assert!(wrong.check().is_err(), "{wrong:?}");
        }
    }
}
