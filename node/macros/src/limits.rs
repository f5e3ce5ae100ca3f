//! What `limit_by` and the options beside it say: which tasks are limited together, and how.

use proc_macro2::TokenStream;
use quote::quote;
use syn::meta::ParseNestedMeta;
use syn::{Error, LitStr, Result};

use crate::keys::By;
use crate::options::duration_in;

pub(crate) const CONCURRENCY_MAX: u16 = 10_000;
const RATE_PER_SECOND_MAX: u32 = 10_000;
/// 366 days.
const RATE_PER_MS_MAX: u64 = 366 * 86_400_000;
const LOST_AFTER_MS_MIN: u64 = 5_000;
const LOST_AFTER_MS_MAX: u64 = 86_400_000;

/// What limits a task.
#[derive(Default)]
pub(crate) struct Limits {
    /// The arguments that the key is made of which it shares with those that are limited with it.
    pub(crate) by: Option<By>,
    pub(crate) concurrency: Option<u16>,
    pub(crate) rate: Option<Rate>,
    pub(crate) exclusive: bool,
}

/// How many runs may begin in how many milliseconds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Rate {
    count: u32,
    per_ms: u64,
}

impl Limits {
    /// What is wrong with options each of which is right by itself.
    pub(crate) fn contradiction(&self) -> Option<&'static str> {
        let is_limited = self.concurrency.is_some() || self.rate.is_some() || self.exclusive;
        if self.by.is_none() && is_limited {
            return Some(
                "`concurrency`, `rate` and `exclusive` limit tasks that have a key in common; say of \
                 which arguments it is made, as in `limit_by = \"user_id\"`, or leave them to the calls \
                 that say `.limit_key(..)`",
            );
        }
        if self.by.is_some() && !is_limited {
            return Some("say what `limit_by` limits: `concurrency`, `rate` or `exclusive`");
        }
        if self.exclusive && self.concurrency.is_some() {
            return Some("an exclusive task runs alone; give `exclusive` or `concurrency`");
        }
        None
    }
}

impl Rate {
    /// As it stands in the settings of the task.
    pub(crate) fn written(self, work: &TokenStream) -> TokenStream {
        let Self { count, per_ms } = self;
        quote! {
            #work::declare::Rate { count: #count, per: #work::declare::Span::from_millis(#per_ms) }
        }
    }

    /// As `umbel-protocol` reads it.
    fn read(text: &str) -> Option<Self> {
        let (count, per) = text.split_once('/')?;
        let per = per.trim();
        let (many, unit) = per.split_at(per.find(|c: char| !c.is_ascii_digit())?);
        let many: u64 = if many.is_empty() { 1 } else { many.parse().ok()? };
        let unit = match unit.trim() {
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            "d" => 86_400_000,
            _ => return None,
        };
        let rate = Self { count: count.trim().parse().ok()?, per_ms: many.saturating_mul(unit) };
        let most = u64::from(RATE_PER_SECOND_MAX).saturating_mul(rate.per_ms) / 1_000;
        let is_sane = (1_000..=RATE_PER_MS_MAX).contains(&rate.per_ms)
            && (1..=most).contains(&u64::from(rate.count));
        is_sane.then_some(rate)
    }
}

/// How many in how long.
pub(crate) fn rate(meta: &ParseNestedMeta<'_>) -> Result<Rate> {
    let literal: LitStr = meta.value()?.parse()?;
    Rate::read(&literal.value()).ok_or_else(|| {
        let message = format!(
            "not a rate: write how many runs may begin in how long, as in \"100/s\", \"20/min\", \
             \"5/h\", \"1000/d\" or \"10/30s\": at most {RATE_PER_SECOND_MAX} a second, in 1 s to 366 days"
        );
        Error::new(literal.span(), message)
    })
}

/// After how long a silence.
pub(crate) fn lost_after(meta: &ParseNestedMeta<'_>) -> Result<u64> {
    duration_in(meta, LOST_AFTER_MS_MIN..=LOST_AFTER_MS_MAX, "must be 5 s to 1 day")
}

#[cfg(test)]
mod tests {
    use super::Rate;

    #[test]
    fn reads_rates() {
        for (text, count, per_ms) in [
            ("100/s", 100, 1_000),
            ("20/min", 20, 60_000),
            ("5/h", 5, 3_600_000),
            ("1000/d", 1_000, 86_400_000),
            ("10/30s", 10, 30_000),
            ("60 / 1min", 60, 60_000),
            ("1/366d", 1, 366 * 86_400_000),
            ("10000/s", 10_000, 1_000),
        ] {
            assert_eq!(Rate::read(text), Some(Rate { count, per_ms }), "{text}");
        }
        for text in [
            "",
            "100",
            "/s",
            "100/",
            "100/x",
            "0/s",
            "-1/s",
            "10/0s",
            "1/367d",
            "1e3/s",
            "10001/s",
            "1/99999999999999999999d",
            "1/m",
            "1/ms",
            "1/30",
        ] {
            assert_eq!(Rate::read(text), None, "{text}");
        }
    }
}
