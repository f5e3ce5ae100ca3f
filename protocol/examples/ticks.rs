//! When cron expressions tick, line by line: what another implementation can be compared with.
//!
//! Each line of the input is a question: an expression, a zone, an instant in unix seconds and how
//! many ticks after it are asked for, with tabs in between. The answer is the ticks in unix seconds,
//! one a line, fewer if there are no more, and then an empty line. What is no question is answered by
//! `error: ` and why.
//!
//! ```sh
//! printf '30 2 * * *\tEurope/Berlin\t1742990400\t5\n' | cargo run -p umbel-protocol --example ticks
//! ```

use std::io::{self, BufRead, BufWriter, Write};

use umbel_protocol::job::{Cron, Zones};
use umbel_protocol::time::Wall;

fn main() -> io::Result<()> {
    let zones = Zones::bundled();
    let mut out = BufWriter::new(io::stdout().lock());
    for line in io::stdin().lock().lines() {
        match ticks(&zones, &line?) {
            Ok(ticks) => ticks.iter().try_for_each(|tick| writeln!(out, "{tick}"))?,
            Err(why) => writeln!(out, "error: {why}")?,
        }
        writeln!(out)?;
    }
    out.flush()
}

/// The ticks that `question` asks for, in unix seconds.
fn ticks(zones: &Zones, question: &str) -> Result<Vec<u64>, String> {
    let parts: Vec<_> = question.split('\t').collect();
    let [expression, zone, after, count] = parts.as_slice() else {
        return Err("write an expression, a zone, unix seconds and a count, with tabs".to_owned());
    };
    let cron = Cron::parse(expression).map_err(|why| why.to_string())?;
    let zone = zones.zone(zone).map_err(|why| why.to_string())?;
    let after: u64 = after.parse().map_err(|why| format!("{after:?}: {why}"))?;
    let count: usize = count.parse().map_err(|why| format!("{count:?}: {why}"))?;
    let first = Wall::from_millis(after.saturating_mul(1_000));
    let next = |tick: &Wall| cron.next_after(&zone, *tick);
    let all = std::iter::successors(next(&first), next);
    Ok(all.take(count).map(|tick| tick.as_millis() / 1_000).collect())
}
