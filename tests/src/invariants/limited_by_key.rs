//! Of all tasks of one limit key no more are leased than each of them allows, nor sooner.
//!
//! All of them live in one partition, so every copy of it can tell.

use std::collections::BTreeMap;

use umbel_protocol::id::Token;
use umbel_protocol::partition::Partition;
use umbel_protocol::task::{Options, Phase, Rate};
use umbel_protocol::time::{Span, Wall};

/// A copy of a partition of so many.
///
/// # Errors
/// If a task of it was leased beside more of its key than it allows, or too soon after them, or lives elsewhere
/// than its key.
pub fn check(partition: &Partition, partitions: u16) -> Result<(), String> {
    let mut leased: BTreeMap<&str, BTreeMap<Token, &Options>> = BTreeMap::new();
    let mut begun: BTreeMap<(&str, Rate), Vec<Wall>> = BTreeMap::new();
    let records: Vec<_> = partition.records().collect();
    for (task, record) in &records {
        let Some(particulars) = record.particulars.as_ref() else {
            continue;
        };
        let Some(key) = particulars.limit_key.as_deref() else {
            continue;
        };
        if particulars.partition(&record.template.name, partitions) != Some(partition.id()) {
            return Err(format!("{task} of the limit key {key:?} lives in {}", partition.id()));
        }
        let options = &record.template.options;
        let mut starts = Vec::new();
        if let Phase::Leased(lease) = record.phase() {
            leased.entry(key).or_default().insert(lease.token, options);
            starts.push(lease.since);
        }
        let history = record.history.as_ref();
        starts.extend(
            history.into_iter().flat_map(|history| &history.runs).map(|run| run.started_at),
        );
        if let Some(rate) = options.rate {
            begun.entry((key, rate)).or_default().extend(starts);
        }
    }
    for (key, leased) in leased {
        let mut earlier: Vec<&Options> = Vec::new();
        for (token, options) in leased {
            let most = options.concurrency().map_or(usize::MAX, usize::from);
            if earlier.len() >= most || earlier.iter().any(|other| other.is_exclusive()) {
                return Err(format!(
                    "{token} of {key:?} is leased beside {} others",
                    earlier.len()
                ));
            }
            earlier.push(options);
        }
    }
    for ((key, rate), mut starts) in begun {
        starts.sort_unstable();
        let apart = Span::from_micros(rate.per.as_micros() / u64::from(rate.count));
        for pair in starts.windows(2) {
            if let [one, next] = pair
                && *next + Span::from_millis(1) < *one + apart
            {
                let passed = next.since(*one).as_millis();
                return Err(format!("two of {key:?} start within {passed} ms, at {rate}"));
            }
        }
    }
    Ok(())
}
