//! The nodes that are killed, one after the other.

use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::super::cluster::Cluster;

/// One node is killed so often.
const EVERY: Duration = Duration::from_secs(30);
/// And by this later each time: between two ticks each kill falls at another moment.
const SHIFT: Duration = Duration::from_millis(170);
/// For so long it stays away: longer than it takes the others to take over.
const AWAY: Duration = Duration::from_secs(6);
/// For so long after a kill ticks may be noticed late: until all partitions have new owners.
const WINDOW: u64 = 10_000;
/// A tick that was due so shortly before a kill may have been in the hands of the one that was killed.
const UNDER_WAY: u64 = 1_500;

/// One kill.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Kill {
    pub(super) node: String,
    pub(super) at: u64,
}

/// All of them.
#[derive(Clone, Debug, Default)]
pub(super) struct Kills(pub(super) Vec<Kill>);

impl Kills {
    /// Kills one node after the other until it has lasted for `length`. All are back then.
    pub(super) fn go_on(&mut self, cluster: &mut Cluster, began: Instant, length: Duration) {
        let mut next = began + EVERY;
        let end = began + length;
        while Instant::now() < end {
            // What is killed comes back in time to be seen at work again.
            if Instant::now() >= next && next + EVERY / 2 < end {
                let place = self.0.len() % cluster.nodes.len();
                self.0.push(kill(cluster, place));
                next += EVERY + SHIFT;
            }
            thread::park_timeout(Duration::from_millis(50));
        }
    }

    /// The kill that explains why a tick that was due `at` was decided about only then.
    pub(super) fn explain(&self, at: u64, decided_at: u64) -> Option<usize> {
        let is_in = |kill: &Kill| kill.at <= at + UNDER_WAY && decided_at <= kill.at + WINDOW;
        self.0.iter().position(is_in)
    }
}

fn kill(cluster: &mut Cluster, place: usize) -> Kill {
    let node = cluster.nodes[place].name.clone();
    let at = SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_millis();
    let back = Instant::now() + AWAY;
    cluster.kill(&[place]);
    while Instant::now() < back {
        thread::park_timeout(Duration::from_millis(50));
    }
    cluster.start_all();
    cluster.is_whole();
    Kill { node, at: u64::try_from(at).expect("for long") }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kill_explains_what_was_due_about_it_and_is_noticed_soon() {
        let kill = |at| Kill { node: "a".to_owned(), at };
        let kills = Kills(vec![kill(100_000), kill(130_000)]);
        assert_eq!(kills.explain(99_000, 103_000), Some(0));
        assert_eq!(kills.explain(103_000, 109_999), Some(0));
        assert_eq!(kills.explain(131_000, 134_000), Some(1));
        assert_eq!(kills.explain(97_000, 103_000), None, "it was due long before");
        assert_eq!(kills.explain(103_000, 110_001), None, "it was noticed long after");
        assert_eq!(kills.explain(115_000, 118_000), None);
    }
}
