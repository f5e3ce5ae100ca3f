//! What stands in the parentheses of `#[task(...)]`.
//!
//! The ranges are those of `umbel-protocol`, repeated here because a macro should not take all of
//! that to build; registering a task checks them again.

use std::collections::BTreeSet;
use std::ops::RangeInclusive;

use proc_macro2::TokenStream;
use syn::meta::ParseNestedMeta;
use syn::parse::Parser as _;
use syn::spanned::Spanned as _;
use syn::{Error, Expr, ExprArray, ExprLit, Lit, LitInt, LitStr, Result};

use crate::keys::{self, By};
use crate::labels::labels;
use crate::limits::{self, CONCURRENCY_MAX, Limits};
use crate::unique::{self, Unique};

const ATTEMPTS_MAX: u16 = 1000;
const BACKOFF_LIST_MAX: usize = 32;
const CRASHES_MAX: u16 = 16;
const PRIORITY_MAX: u8 = 9;
const NAME_BYTES_MAX: usize = 128;
const DISPLAY_NAME_BYTES_MAX: usize = 128;
pub(crate) const REDACT_MAX: usize = 16;
pub(crate) const REDACT_NAME_BYTES_MAX: usize = 64;

/// The options that were given.
#[derive(Default)]
pub(crate) struct Options {
    pub(crate) name: Option<String>,
    pub(crate) queue: Option<String>,
    pub(crate) attempts: Option<u16>,
    pub(crate) backoff_ms: Option<u64>,
    pub(crate) backoff_max_ms: Option<u64>,
    pub(crate) backoff_list_ms: Option<Vec<u64>>,
    pub(crate) time_limit_ms: Option<u64>,
    pub(crate) soft_limit_ms: Option<u64>,
    pub(crate) expires_ms: Option<u64>,
    pub(crate) deadline_ms: Option<u64>,
    pub(crate) crashes: Option<u16>,
    pub(crate) at_most_once: bool,
    pub(crate) priority: Option<u8>,
    pub(crate) unique: Unique,
    pub(crate) limits: Limits,
    pub(crate) lost_after_ms: Option<u64>,
    pub(crate) retention_ms: Option<u64>,
    pub(crate) ignore_result: bool,
    pub(crate) resource: Option<String>,
    pub(crate) fair_by: Option<By>,
    pub(crate) select: Vec<(String, String)>,
    pub(crate) labels: Vec<(String, String)>,
    pub(crate) display_name: Option<String>,
    pub(crate) blocking: bool,
    pub(crate) redact: Vec<String>,
}

impl Options {
    pub(crate) fn parse(tokens: TokenStream) -> Result<Self> {
        let mut options = Self::default();
        let mut seen = BTreeSet::new();
        let parser = syn::meta::parser(|meta| {
            let Some(ident) = meta.path.get_ident().map(ToString::to_string) else {
                return Err(meta.error(EXPECTED));
            };
            options.set(&ident, &meta)?;
            let said = match ident.as_str() {
                "retries" => "attempts".to_owned(),
                "timeout" => "time_limit".to_owned(),
                _ => ident,
            };
            if seen.insert(said) {
                Ok(())
            } else {
                Err(meta.error(
                    "this option is given twice; `retries` is one less than `attempts`, and `timeout` is `time_limit`",
                ))
            }
        });
        let span = tokens.span();
        parser.parse2(tokens)?;
        match options.contradiction() {
            Some(why) => Err(Error::new(span, why)),
            None => Ok(options),
        }
    }

    fn set(&mut self, option: &str, meta: &ParseNestedMeta<'_>) -> Result<()> {
        match option {
            "name" => self.name = Some(name(meta)?),
            "queue" => self.queue = Some(name(meta)?),
            "attempts" => self.attempts = Some(number(meta, 1, ATTEMPTS_MAX)?),
            // The first one is an attempt, and no retry.
            "retries" => self.attempts = Some(1 + number(meta, 0, ATTEMPTS_MAX - 1)?),
            "backoff" => self.backoff_ms = Some(duration(meta)?),
            "backoff_max" => self.backoff_max_ms = Some(duration(meta)?),
            "backoff_list" => self.backoff_list_ms = Some(durations(meta)?),
            "time_limit" | "timeout" => self.time_limit_ms = Some(duration(meta)?),
            "soft_limit" => self.soft_limit_ms = Some(duration(meta)?),
            "expires" => self.expires_ms = Some(duration(meta)?),
            "deadline" => self.deadline_ms = Some(duration(meta)?),
            "crashes" => self.crashes = Some(number(meta, 1, CRASHES_MAX)?),
            "at_most_once" => self.at_most_once = true,
            "priority" => self.priority = Some(number(meta, 0, PRIORITY_MAX)?),
            "unique_by" => self.unique.by = Some(keys::by(meta)?),
            "unique_until" => self.unique.until = Some(unique::until(meta)?),
            "if_exists" => self.unique.if_exists = Some(unique::if_exists(meta)?),
            "limit_by" => self.limits.by = Some(keys::by(meta)?),
            "concurrency" => self.limits.concurrency = Some(number(meta, 1, CONCURRENCY_MAX)?),
            "rate" => self.limits.rate = Some(limits::rate(meta)?),
            "exclusive" => self.limits.exclusive = true,
            "lost_after" => self.lost_after_ms = Some(limits::lost_after(meta)?),
            "retention" => {
                let said = duration_in(meta, RETENTION_MS, "must be 1 s to 366 days")?;
                self.retention_ms = Some(said);
            }
            "ignore_result" => self.ignore_result = true,
            "resource" => self.resource = Some(name(meta)?),
            "fair_by" => self.fair_by = Some(keys::by(meta)?),
            "select" => self.select = labels(meta)?,
            "labels" => self.labels = labels(meta)?,
            "display_name" => self.display_name = Some(display_name(meta)?),
            "blocking" => self.blocking = true,
            "redact" => self.redact = names(meta)?,
            "max_retries" => {
                return Err(meta.error("there is no `max_retries`: write `retries = n`, or `attempts`, which counts the first one, too"));
            }
            _ => return Err(meta.error(EXPECTED)),
        }
        Ok(())
    }

    /// What is wrong with options each of which is right by itself.
    fn contradiction(&self) -> Option<&'static str> {
        if self.unique.lacks_key() {
            return Some(
                "`unique_until` and `if_exists` are about tasks that have a key; say of which \
                 arguments it is made, as in `unique_by = \"user_id\"`",
            );
        }
        if let Some(why) = self.limits.contradiction() {
            return Some(why);
        }
        let doubles = self.backoff_ms.is_some() || self.backoff_max_ms.is_some();
        if doubles && self.backoff_list_ms.is_some() {
            return Some(
                "`backoff_list` and `backoff` or `backoff_max` say the pauses in two ways; give one of them",
            );
        }
        if let (Some(first), Some(longest)) = (self.backoff_ms, self.backoff_max_ms)
            && first > longest
        {
            return Some(
                "the first pause is longer than the longest may be; make `backoff` shorter",
            );
        }
        let pauses = self.backoff_ms.is_some()
            || self.backoff_max_ms.is_some()
            || self.backoff_list_ms.is_some();
        if self.at_most_once && (self.attempts.unwrap_or(1) > 1 || pauses) {
            return Some(
                "what is never started twice cannot be tried again; give `at_most_once`, or attempts and \
                 the pauses before them",
            );
        }
        if self.at_most_once && self.crashes.is_some() {
            return Some(
                "what is never started twice takes one node with it at most; give `at_most_once` or `crashes`",
            );
        }
        if let (Some(soft), Some(end)) = (self.soft_limit_ms, self.deadline_ms)
            && soft >= end
        {
            return Some("no run takes so long before its deadline; make `soft_limit` shorter");
        }
        match (self.soft_limit_ms, self.time_limit_ms) {
            (Some(soft), Some(hard)) if soft >= hard => {
                Some("a run is told some time before it is stopped; make `soft_limit` shorter")
            }
            _ => None,
        }
    }
}

/// 366 days.
const DURATION_MS_MAX: u64 = 366 * 86_400_000;
/// 1 second to that.
const RETENTION_MS: RangeInclusive<u64> = 1_000..=DURATION_MS_MAX;

const EXPECTED: &str = "unknown option; there are `name`, `queue`, `attempts`, `retries`, `backoff`, \
                        `backoff_max`, \
                        `backoff_list`, `time_limit`, `timeout`, `soft_limit`, `expires`, `deadline`, `crashes`, \
                        `at_most_once`, `priority`, `unique_by`, `unique_until`, \
                        `if_exists`, `limit_by`, `concurrency`, `rate`, `exclusive`, `lost_after`, \
                        `retention`, `ignore_result`, `resource`, `fair_by`, `select`, `labels`, `display_name`, `redact` and `blocking`";

fn name(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let literal: LitStr = meta.value()?.parse()?;
    let text = literal.value();
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.chars().all(legal) {
        let message =
            format!("not usable as a name: use 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ - . : /");
        return Err(Error::new(literal.span(), message));
    }
    if text.starts_with("umbel.") {
        return Err(Error::new(literal.span(), "names that begin with `umbel.` are umbel's own"));
    }
    Ok(text)
}

fn display_name(meta: &ParseNestedMeta<'_>) -> Result<String> {
    let literal: LitStr = meta.value()?.parse()?;
    let text = literal.value();
    let is_long = text.len() > DISPLAY_NAME_BYTES_MAX;
    if is_long || text.chars().any(char::is_control) || text.trim().is_empty() {
        let message =
            format!("must be 1 to {DISPLAY_NAME_BYTES_MAX} bytes long, in one line and not blank");
        return Err(Error::new(literal.span(), message));
    }
    Ok(text)
}

fn number<N>(meta: &ParseNestedMeta<'_>, min: N, max: N) -> Result<N>
where
    N: PartialOrd + std::fmt::Display + std::str::FromStr<Err: std::fmt::Display>,
{
    let literal: LitInt = meta.value()?.parse()?;
    match literal.base10_parse::<N>() {
        Ok(number) if number >= min && number <= max => Ok(number),
        Ok(_) | Err(_) => Err(Error::new(literal.span(), format!("must be {min} to {max}"))),
    }
}

/// 1 millisecond to 366 days.
fn duration(meta: &ParseNestedMeta<'_>) -> Result<u64> {
    duration_in(meta, 1..=DURATION_MS_MAX, "must be 1 ms to 366 days")
}

/// A duration of so many milliseconds; `told` says which.
pub(crate) fn duration_in(
    meta: &ParseNestedMeta<'_>,
    range: RangeInclusive<u64>,
    told: &str,
) -> Result<u64> {
    let literal: Lit = meta.value()?.parse()?;
    let millis = read(&literal)?;
    if range.contains(&millis) { Ok(millis) } else { Err(Error::new(literal.span(), told)) }
}

/// Durations in brackets, each of which may be no time at all.
fn durations(meta: &ParseNestedMeta<'_>) -> Result<Vec<u64>> {
    let list: ExprArray = meta.value()?.parse()?;
    if !(1..=BACKOFF_LIST_MAX).contains(&list.elems.len()) {
        let message = format!("must be 1 to {BACKOFF_LIST_MAX} durations");
        return Err(Error::new(list.span(), message));
    }
    let read = |element: &Expr| match element {
        Expr::Lit(ExprLit { lit, .. }) => match read(lit)? {
            millis @ 0..=DURATION_MS_MAX => Ok(millis),
            _ => Err(Error::new(lit.span(), "must be at most 366 days")),
        },
        other => Err(Error::new(other.span(), "not a duration in quotes, as \"30s\"")),
    };
    list.elems.iter().map(read).collect()
}

/// The names of arguments, in brackets.
fn names(meta: &ParseNestedMeta<'_>) -> Result<Vec<String>> {
    let list: ExprArray = meta.value()?.parse()?;
    if !(1..=REDACT_MAX).contains(&list.elems.len()) {
        let message = format!("must be 1 to {REDACT_MAX} names of arguments");
        return Err(Error::new(list.span(), message));
    }
    let read = |element: &Expr| match element {
        Expr::Lit(ExprLit { lit: Lit::Str(text), .. })
            if (1..=REDACT_NAME_BYTES_MAX).contains(&text.value().len())
                && !text.value().chars().any(char::is_control) =>
        {
            Ok(text.value())
        }
        other => Err(Error::new(
            other.span(),
            format!(
                "not the name of an argument in quotes, of 1 to {REDACT_NAME_BYTES_MAX} bytes, or \"*\" \
                 for all"
            ),
        )),
    };
    list.elems.iter().map(read).collect()
}

/// The milliseconds that `literal` says.
pub(crate) fn read(literal: &Lit) -> Result<u64> {
    let millis = match literal {
        Lit::Str(text) => millis(&text.value()),
        _ => None,
    };
    match millis {
        Some(millis) => Ok(millis),
        None => Err(Error::new(
            literal.span(),
            "not a duration: write numbers with units in quotes, as in \"500ms\", \"30s\", \
             \"1h30m\" or \"2d\"",
        )),
    }
}

/// The milliseconds of numbers with units, the larger units first.
fn millis(text: &str) -> Option<u64> {
    let mut rest = text;
    let mut sum = 0_u64;
    let mut last_unit = u64::MAX;
    while !rest.is_empty() {
        let (number, after) = rest.split_at(rest.find(|c: char| !c.is_ascii_digit())?);
        let (unit, after) =
            after.split_at(after.find(|c: char| c.is_ascii_digit()).unwrap_or(after.len()));
        let unit = match unit {
            "d" => 86_400_000,
            "h" => 3_600_000,
            "m" => 60_000,
            "s" => 1_000,
            "ms" => 1,
            _ => return None,
        };
        if unit >= last_unit {
            return None;
        }
        last_unit = unit;
        sum = sum.checked_add(number.parse::<u64>().ok()?.checked_mul(unit)?)?;
        rest = after;
    }
    (last_unit != u64::MAX).then_some(sum)
}

#[cfg(test)]
mod tests {
    use super::millis;

    #[test]
    fn reads_durations() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("30s", Some(30_000)),
            ("1h30m", Some(5_400_000)),
            ("2d", Some(172_800_000)),
            ("1m1ms", Some(60_001)),
            ("", None),
            ("30", None),
            ("s", None),
            ("30 s", None),
            ("1.5s", None),
            ("1m1h", None),
            ("-1s", None),
            ("99999999999999999999d", None),
            ("9999999999999999d", None),
        ] {
            assert_eq!(millis(text), expected, "{text:?}");
        }
    }
}
