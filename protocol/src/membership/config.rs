//! How fast and how patient the gossip is, and what follows from the size of the cluster.

use std::num::{NonZeroU8, NonZeroUsize};
use std::time::Duration;

use crate::limits::DATAGRAM_BYTES_MAX;
use crate::time::Span;

/// Members that are asked to probe on our behalf, and that get each round of gossip.
const FANOUT: NonZeroUsize = NonZeroUsize::new(3).expect("three is not zero");
const PACKET_BYTES: NonZeroUsize =
    NonZeroUsize::new(DATAGRAM_BYTES_MAX).expect("a datagram is not empty");

/// Settings of the gossip; the same on every node of a cluster, or suspicion is uneven.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Config {
    /// Every how much time one member is probed. Default 500 ms.
    pub probe_period: Span,
    /// How long to wait for the direct answer before others are asked to probe; well under half of
    /// `probe_period`, for the way through others is twice as long. Default 150 ms.
    pub probe_rtt: Span,
    /// How long a suspected member of a small cluster has to refute; it grows with the logarithm of
    /// the size, as does the time that news takes. Default 1.5 s.
    pub suspicion_min: Span,
    /// Every how much time news is passed on, if there is any. Default 200 ms.
    pub gossip_period: Span,
    /// Every how much time some member is asked whom it knows, lest news got lost. Default 30 s.
    pub feed_period: Span,
    /// How long a member that is down is remembered. Only a process that neither restarts nor
    /// notices that it was declared down would have to wait for it. Default 15 min.
    pub remember_down: Span,
    /// How long a lost connection counts as a suspicion of our own, if nothing comes from the node
    /// and the others still reach it. Default 5 s.
    pub silence_max: Span,
    /// Least time between two tellings of our own load; it grows with the cluster. Default 200 ms.
    pub load_gap_min: Span,
    /// Most time between two tellings of our own load; it grows with the cluster. Default 5 s.
    pub load_refresh: Span,
}

impl Default for Config {
    fn default() -> Self {
        Self {
            probe_period: Span::from_millis(500),
            probe_rtt: Span::from_millis(150),
            suspicion_min: Span::from_millis(1_500),
            gossip_period: Span::from_millis(200),
            feed_period: Span::from_millis(30_000),
            remember_down: Span::from_millis(15 * 60_000),
            silence_max: Span::from_millis(5_000),
            load_gap_min: Span::from_millis(200),
            load_refresh: Span::from_millis(5_000),
        }
    }
}

impl Config {
    /// How long a suspected member has to refute in a cluster of `nodes`.
    pub(super) fn suspicion(&self, nodes: usize) -> Span {
        // 0.3 of the minimum per doubling: 1.5 s up to 8 nodes, 2.7 s at 50, 4.5 s at 1,000.
        let grown = self.suspicion_min.times(doublings(nodes) * 3).as_micros() / 10;
        self.suspicion_min.max(Span::from_micros(grown))
    }

    /// The same settings as the engine wants them, with suspicion stretched `patience` times.
    pub(super) fn engine(&self, nodes: usize, patience: u64) -> foca::Config {
        // Each telling reaches one random member, so log n of them reach all; the rest is for loss.
        let tellings = u8::try_from(6 + doublings(nodes)).unwrap_or(u8::MAX);
        foca::Config {
            probe_period: duration(self.probe_period),
            probe_rtt: duration(self.probe_rtt),
            num_indirect_probes: FANOUT,
            max_transmissions: NonZeroU8::new(tellings).unwrap_or(NonZeroU8::MIN),
            suspect_to_down_after: duration(self.suspicion(nodes).times(patience)),
            remove_down_after: Some(duration(self.remember_down)),
            max_packet_size: PACKET_BYTES,
            notify_down_members: true,
            periodic_announce: Some(foca::PeriodicParams {
                frequency: duration(self.feed_period),
                num_members: NonZeroUsize::MIN,
            }),
            // The engine stops this once it knows nobody alive: then two nodes that lost each other
            // would never meet again. `search` does it instead.
            periodic_announce_to_down_members: None,
            periodic_gossip: Some(foca::PeriodicParams {
                frequency: duration(self.gossip_period),
                num_members: FANOUT,
            }),
        }
    }

    /// Least time between two tellings of our load in a cluster of `nodes`: a node can pass on some
    /// 300 loads a second and each is passed on a few times, so all together tell 100 a second.
    pub(super) fn load_gap(&self, nodes: usize) -> Span {
        self.load_gap_min.max(Span::from_millis(10).times(nodes as u64))
    }

    /// Most time between two tellings of our load in a cluster of `nodes`: ten a second by all
    /// together. Only for what got lost; whoever is new is told by all at the next gap.
    pub(super) fn load_refresh(&self, nodes: usize) -> Span {
        self.load_refresh.max(Span::from_millis(100).times(nodes as u64))
    }

    /// Every how much time one lost member is tried. All nodes try, so each may be slow.
    pub(super) fn search_pace(&self, nodes: usize) -> Span {
        let pace = Span::from_millis(100).times(nodes as u64);
        pace.clamp(Span::from_millis(1_000), Span::from_millis(30_000))
    }
}

/// How often one node must double to make `nodes`, rounded up.
fn doublings(nodes: usize) -> u64 {
    u64::from(usize::BITS - nodes.saturating_sub(1).leading_zeros())
}

const fn duration(span: Span) -> Duration {
    Duration::from_micros(span.as_micros())
}
