//! What became of all ticks, as a table.

use std::fmt;

use super::Options;
use super::findings::{Findings, JobFindings};
use super::jobs::GRACE;
use super::kills::Kills;

/// Of what should not be, so many are told.
const TOLD_MAX: usize = 20;

/// What became of all ticks.
#[derive(Debug)]
pub struct Report {
    options: Options,
    kills: Kills,
    found: Findings,
}

impl Report {
    pub(super) const fn new(options: Options, kills: Kills, found: Findings) -> Self {
        Self { options, kills, found }
    }

    /// Whether nothing is missing, nothing twice, nothing unexplained.
    #[must_use]
    pub fn is_clean(&self) -> bool {
        self.found.are_clean()
    }

    /// The same, however late: where others use the machine as well, anything may be late.
    #[must_use]
    pub fn is_exact(&self) -> bool {
        self.found.are_exact()
    }

    /// How many nodes were killed.
    #[must_use]
    pub const fn kills(&self) -> usize {
        self.kills.0.len()
    }
}

/// The median, the 99th percentile and the worst of some lengths of time in milliseconds.
fn spread(mut times: Vec<u64>) -> String {
    times.sort_unstable();
    if times.is_empty() {
        return "none".to_owned();
    }
    let at = |percent: usize| seconds(times[(times.len() * percent).div_ceil(100) - 1]);
    format!("median {} s after its time, p99 {} s, worst {} s", at(50), at(99), at(100))
}

fn seconds(millis: u64) -> String {
    format!("{:.2}", millis as f64 / 1_000.0)
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Findings { jobs, after_kills, .. } = &self.found;
        writeln!(
            f,
            "{:8}  {:>8}  {:>5}  {:>5}  {:>9}  {:>4}  {:>7}",
            "job", "expected", "fired", "tasks", "run again", "late", "worst"
        )?;
        for job in jobs {
            writeln!(
                f,
                "{:8}  {:>8}  {:>5}  {:>5}  {:>9}  {:>4}  {:>5} s",
                job.job,
                job.expected,
                job.fired,
                job.tasks,
                job.again,
                job.late().count(),
                seconds(job.lateness.iter().copied().max().unwrap_or(0))
            )?;
        }
        writeln!(f, "\n{:8}  {:4}  {:>10}  {:>7}", "kill", "node", "late ticks", "worst")?;
        for (number, (kill, late)) in self.kills.0.iter().zip(after_kills).enumerate() {
            let (node, worst) = (&kill.node, seconds(late.iter().copied().max().unwrap_or(0)));
            writeln!(f, "{:<8}  {node:4}  {:>10}  {worst:>5} s", number + 1, late.len())?;
        }
        let sum = |of: fn(&JobFindings) -> usize| jobs.iter().map(of).sum();
        let [expected, fired, tasks, again]: [usize; 4] = [
            sum(|job| job.expected),
            sum(|job| job.fired),
            sum(|job| job.tasks),
            sum(|job| job.again),
        ];
        let all: Vec<u64> = jobs.iter().flat_map(|job| job.lateness.iter().copied()).collect();
        let begun: Vec<u64> = jobs.iter().flat_map(|job| job.begun.iter().copied()).collect();
        let late: Vec<u64> = jobs.iter().flat_map(JobFindings::late).collect();
        writeln!(
            f,
            "\n{} jobs, each every second for {} minutes; {} kills of one of five nodes",
            jobs.len(),
            self.options.minutes,
            self.kills.0.len()
        )?;
        writeln!(f, "ticks expected  {expected}")?;
        writeln!(f, "fired           {fired}, with {tasks} tasks")?;
        writeln!(f, "never fired     {}", self.found.never_fired.len())?;
        writeln!(f, "fired twice     {}", self.found.fired_twice.len())?;
        writeln!(
            f,
            "run again       {again} tasks; nothing explains {}",
            self.found.again_unexplained.len()
        )?;
        writeln!(
            f,
            "late            {}, by more than {} s; nothing explains {}",
            late.len(),
            seconds(GRACE),
            self.found.late_unexplained.len()
        )?;
        for (what, times) in
            [("those, decided", late), ("all, decided", all), ("all, begun", begun)]
        {
            writeln!(f, "{what:15} {}", spread(times))?;
        }
        writeln!(f, "wrong           {}", self.found.wrong.len())?;
        for (word, what) in [
            ("never fired", &self.found.never_fired),
            ("fired twice", &self.found.fired_twice),
            ("run again", &self.found.again_unexplained),
            ("late", &self.found.late_unexplained),
            ("wrong", &self.found.wrong),
        ] {
            for what in what.iter().take(TOLD_MAX) {
                writeln!(f, "  {word}: {what}")?;
            }
        }
        write!(f, "{}", if self.is_clean() { "all is accounted for" } else { "NOT ALL IS WELL" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_spread_of_times() {
        let told = "median 1.00 s after its time, p99 1.98 s, worst 2.00 s";
        assert_eq!(spread((1..=200).map(|n| n * 10).collect()), told);
        assert_eq!(spread(vec![7]), "median 0.01 s after its time, p99 0.01 s, worst 0.01 s");
        assert_eq!(spread(Vec::new()), "none");
    }
}
