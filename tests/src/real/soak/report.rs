//! What a long run has shown.

use std::fmt;
use std::time::Duration;

use super::super::cluster::Cluster;
use super::Options;
use super::books::Found;
use super::trouble::Trouble;

const MIB: u64 = 1024 * 1024;
/// More than that of growth from the third quarter to the last is not flat.
const GROWTH_MAX: f64 = 1.10;
/// Nor is it growth if it is less than this: what an allocator keeps, and on disk two files of the log.
const MEMORY_NOISE: u64 = 16 * MIB;
const DISK_NOISE: u64 = 8 * MIB;
/// Of what should not be, so many are told.
const TOLD_MAX: usize = 20;
/// Samples shown, evenly spread.
const SHOWN: usize = 16;

/// What nodes take at one time.
#[derive(Clone, Debug)]
pub(super) struct Sample {
    at: Duration,
    acknowledged: usize,
    /// Of each node: resident bytes, bytes on disk. Nothing of one that does not run.
    nodes: Vec<Option<(u64, u64)>>,
}

impl Sample {
    pub(super) fn of(cluster: &Cluster, at: Duration, acknowledged: usize) -> Self {
        let nodes = cluster
            .nodes
            .iter()
            .map(|node| node.is_started().then(|| (node.resident_bytes(), node.disk_bytes())));
        Self { at, acknowledged, nodes: nodes.collect() }
    }
}

/// What a long run has shown.
#[derive(Debug)]
pub struct Report {
    options: Options,
    took: Duration,
    trouble: Trouble,
    samples: Vec<Sample>,
    found: Found,
}

impl Report {
    pub(super) fn new(
        options: &Options,
        took: Duration,
        trouble: Trouble,
        samples: Vec<Sample>,
        found: Found,
    ) -> Self {
        Self { options: options.clone(), took, trouble, samples, found }
    }

    /// Whether nothing is lost, nothing unexplained, nothing wrong, and nothing grows.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        let Found { lost, wrong, unexplained, acknowledged, ended, .. } = &self.found;
        let is_flat = self.memory().is_flat() && self.disk().is_flat();
        lost.is_empty()
            && wrong.is_empty()
            && unexplained.is_empty()
            && acknowledged == ended
            && is_flat
    }

    fn memory(&self) -> Late {
        self.late(MEMORY_NOISE, |(memory, _)| *memory)
    }

    fn disk(&self) -> Late {
        self.late(DISK_NOISE, |(_, disk)| *disk)
    }

    fn late(&self, noise: u64, of: impl Fn(&(u64, u64)) -> u64) -> Late {
        let count = self.samples.len();
        let most = |samples: &[Sample]| {
            let nodes = samples.iter().flat_map(|sample| sample.nodes.iter().flatten());
            nodes.map(&of).max().unwrap_or(0)
        };
        let third = most(&self.samples[count / 2..count * 3 / 4]);
        Late { third, last: most(&self.samples[count * 3 / 4..]), noise }
    }
}

/// The most that any node took in the third quarter, and in the last.
struct Late {
    third: u64,
    last: u64,
    noise: u64,
}

impl Late {
    fn is_flat(&self) -> bool {
        let Self { third, last, noise } = *self;
        last <= third + noise || last as f64 <= third as f64 * GROWTH_MAX
    }
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let found = &self.found;
        writeln!(f, "{:>7}  {:>12}  MiB of memory, disk of each node", "s", "acknowledged")?;
        let step = self.samples.len().div_ceil(SHOWN).max(1);
        let last = self.samples.len().saturating_sub(1);
        for (_, sample) in
            self.samples.iter().enumerate().filter(|(at, _)| at % step == 0 || *at == last)
        {
            write!(f, "{:>7.0}  {:>12}", sample.at.as_secs_f64(), sample.acknowledged)?;
            for node in &sample.nodes {
                match node {
                    Some((memory, disk)) => write!(f, "  {:>5} {:>5}", memory / MIB, disk / MIB)?,
                    None => write!(f, "      -     -")?,
                }
            }
            writeln!(f)?;
        }
        let Options { minutes, seed, .. } = self.options;
        writeln!(
            f,
            "\n{minutes} minutes of three nodes, seed {seed}; all of it took {:.0} s",
            self.took.as_secs_f64()
        )?;
        writeln!(f, "done to them   {:?}", self.trouble.counts)?;
        writeln!(f, "acknowledged   {}", found.acknowledged)?;
        writeln!(f, "ended          {}", found.ended)?;
        writeln!(f, "lost           {}", found.lost.len())?;
        writeln!(f, "in doubt       {} submissions, each repeated under its id", found.doubtful)?;
        writeln!(
            f,
            "run again      {} tasks by what is on record; {} of {} posts and {} commands by what was seen",
            found.again, found.seen_again, found.posts, found.runs
        )?;
        writeln!(
            f,
            "runs in vain   {:?}; nothing explains {}",
            found.vain,
            found.unexplained.len()
        )?;
        writeln!(f, "wrong          {}", found.wrong.len())?;
        for (what, late) in [("memory", self.memory()), ("disk", self.disk())] {
            let word = if late.is_flat() { "flat" } else { "NOT FLAT" };
            let (third, last) = (late.third / MIB, late.last / MIB);
            writeln!(
                f,
                "{what:14} {word}: at most {third} MiB in the third quarter, {last} MiB in the last"
            )?;
        }
        for what in found.lost.iter().take(TOLD_MAX) {
            writeln!(f, "  lost: {what}")?;
        }
        for what in found.unexplained.iter().take(TOLD_MAX) {
            writeln!(f, "  unexplained: {what}")?;
        }
        for what in found.wrong.iter().take(TOLD_MAX) {
            writeln!(f, "  wrong: {what}")?;
        }
        write!(f, "{}", if self.is_clean() { "all is accounted for" } else { "NOT ALL IS WELL" })
    }
}
