//! What is done to the nodes.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};

use super::super::cluster::Cluster;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Kill,
    Pause,
    Cut,
}

/// One trouble after the other.
#[derive(Debug)]
pub(super) struct Trouble {
    rng: ChaCha8Rng,
    every: Duration,
    next: Instant,
    now: Option<(Kind, usize, Instant)>,
    pub(super) counts: BTreeMap<Kind, usize>,
}

impl Trouble {
    pub(super) fn new(seed: u64, every: Duration) -> Self {
        Self {
            rng: ChaCha8Rng::seed_from_u64(seed),
            every,
            next: Instant::now() + every,
            now: None,
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
        cluster.fault_is_over(place);
    }
}
