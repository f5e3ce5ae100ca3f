//! What is done to the nodes, and when it was done.

use std::collections::BTreeMap;
use std::time::{Duration, Instant, SystemTime};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::super::cluster::Cluster;

/// For how long after it something may still cost a run: it takes a while until all have noticed.
const AFTER: Duration = Duration::from_secs(3);
/// Before it nothing may, but for how exactly times are told.
const BEFORE: Duration = Duration::from_millis(500);

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Kill,
    Pause,
    Cut,
}

/// Something that was done, or is.
#[derive(Clone, Debug)]
struct Done {
    node: String,
    from: SystemTime,
    to: Option<SystemTime>,
}

/// One trouble after the other.
#[derive(Debug)]
pub(super) struct Trouble {
    rng: ChaCha8Rng,
    every: Duration,
    next: Instant,
    now: Option<(Kind, usize, Instant)>,
    done: Vec<Done>,
    pub(super) counts: BTreeMap<Kind, usize>,
}

impl Trouble {
    pub(super) fn new(seed: u64, every: Duration) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            every,
            next: Instant::now() + every,
            now: None,
            done: Vec::new(),
            counts: BTreeMap::new(),
        }
    }

    /// Begins or ends what is due. Nothing new begins when all `is_over`.
    pub(super) fn look(&mut self, cluster: &mut Cluster, is_over: bool) {
        if self.now.is_some_and(|(_, _, until)| Instant::now() >= until) {
            self.end(cluster);
        }
        if self.now.is_none() && !is_over && Instant::now() >= self.next {
            self.next += self.every;
            self.begin(cluster);
        }
    }

    fn begin(&mut self, cluster: &mut Cluster) {
        let place = self.rng.random_range(0..cluster.nodes.len());
        let kinds: &[Kind] = if cluster.has_switch() {
            &[Kind::Kill, Kind::Pause, Kind::Cut]
        } else {
            &[Kind::Kill, Kind::Pause]
        };
        let kind = kinds[self.rng.random_range(0..kinds.len())];
        // From shorter than a suspicion to longer than any timeout but that of replacement.
        let length = Duration::from_millis(self.rng.random_range(500..12_000));
        let node = cluster.nodes[place].name.clone();
        self.done.push(Done { node, from: SystemTime::now(), to: None });
        *self.counts.entry(kind).or_default() += 1;
        self.now = Some((kind, place, Instant::now() + length));
        match kind {
            Kind::Kill => cluster.kill(&[place]),
            Kind::Pause => cluster.fault(place).pause(),
            Kind::Cut => {
                let own = cluster.fault(place).port;
                let ports = cluster.nodes.iter().map(|node| node.port);
                let others: Vec<_> = ports.filter(|port| *port != own).collect();
                cluster.switch().cut(&[own], &others);
            }
        }
    }

    /// Ends what is being done, if anything is.
    pub(super) fn end(&mut self, cluster: &mut Cluster) {
        let Some((kind, place, _)) = self.now.take() else { return };
        match kind {
            Kind::Kill => {
                cluster.start(place);
                cluster.nodes[place].ready();
            }
            Kind::Pause => cluster.nodes[place].resume(),
            Kind::Cut => cluster.switch().heal(),
        }
        if let Some(done) = self.done.last_mut() {
            done.to = Some(SystemTime::now());
        }
    }

    /// Whether something was done to `node` that may have cost it a run which began and ended then.
    pub(super) fn explains(&self, node: &str, began: SystemTime, ended: SystemTime) -> bool {
        self.done.iter().filter(|done| done.node == node).any(|done| {
            let is_after = done.to.is_some_and(|to| began > to + AFTER);
            !is_after && ended + BEFORE >= done.from
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_done_explains_what_ran_then_and_there() {
        let at = |seconds| SystemTime::UNIX_EPOCH + Duration::from_secs(seconds);
        let mut trouble = Trouble::new(1, Duration::from_secs(20));
        let done = Done { node: "b".into(), from: at(100), to: Some(at(105)) };
        trouble.done.push(done);
        assert!(trouble.explains("b", at(90), at(102)));
        assert!(trouble.explains("b", at(103), at(106)));
        assert!(!trouble.explains("b", at(80), at(99)));
        assert!(!trouble.explains("b", at(120), at(122)));
        assert!(!trouble.explains("a", at(90), at(102)));
    }
}
