//! What a seed decides before anything runs: how large, how much work, which faults.

mod kinds;
mod shapes;

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use umbel_protocol::limits::Limits;
use umbel_protocol::partition::{Room, Shelves};
use umbel_protocol::time::Span;

pub use self::kinds::{KINDS, Kind, Noise, Trouble};
use self::kinds::{LEAVING, THIRD};
use crate::sabotage::Sabotage;

/// A microsecond of virtual time.
pub const US: u64 = 1;
/// A millisecond.
pub const MS: u64 = 1_000 * US;
/// A second.
pub const SECOND: u64 = 1_000 * MS;

/// What a world is made of.
#[derive(Clone, Debug)]
pub struct Plan {
    /// Decides all the rest.
    pub seed: u64,
    /// Nodes.
    pub hosts: usize,
    /// Seeds in everyone's configuration; the first of them forms the cluster.
    pub seeds: usize,
    /// Partitions of the cluster.
    pub partitions: u16,
    /// Copies of each.
    pub replicas: u8,
    /// Submissions of all clients together.
    pub submissions: u64,
    /// Most tasks of one submission.
    pub batch_max: u32,
    /// What tasks do.
    pub work: Work,
    /// How long things are broken for.
    pub storm: u64,
    /// What may go wrong.
    pub faults: FaultPlan,
    /// How much nodes keep.
    pub limits: Limits,
    /// How long members may be away before others take over their copies.
    pub replace_after: u64,
    /// Whether clients look at their tasks again and again.
    pub is_curious: bool,
    /// Whether a minority dies for good when all else is done.
    pub loses_minority: bool,
    /// How many jobs there are.
    pub jobs: u32,
    /// How many hosts begin with the version before this one.
    pub older: usize,
    /// Whether its report tells a fingerprint of all that happened.
    pub is_fingerprinted: bool,
    /// A bug put in on purpose, to see that it is found.
    pub sabotage: Option<Sabotage>,
    /// The only invariant that may find it, if it is to show that it can.
    pub alone: Option<&'static str>,
}

/// What tasks do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Most are brief, some take seconds, some fail.
    Usual,
    /// Many must not overlap with others of their key, and take some seconds.
    Alone,
    /// All are for one queue, and most of one partition.
    Hot,
    /// Some take minutes: longer than anything waits.
    Long,
    /// They are brief, and far more than there are slots.
    Overload,
    /// Some kill the process that runs them, each time.
    Poison,
    /// They are brief, and people say how many of a queue may run, and pause another.
    Ruled,
}

/// What may go wrong, and how often.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// What they are together, for people.
    pub kind: &'static str,
    /// What happens, and how often compared with the others.
    pub troubles: &'static [(Trouble, u32)],
    /// Pause between two faults, on average.
    pub every: u64,
    /// What becomes of single messages.
    pub noise: Noise,
    /// Most that a wall clock is off, in milliseconds.
    pub clock_skew: u64,
    /// Most that a clock goes too fast or too slow, in millionths.
    pub clock_drift: u32,
    /// Whether messages of a connection are seconds late at times.
    pub lags: bool,
}

impl Plan {
    /// The plan of `seed`: kinds of faults take turns, so that any range of seeds has all.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let count = KINDS.len() as u64;
        let kind = usize::try_from(seed % count).expect("few kinds");
        Self::of_kind(seed, &KINDS[kind])
    }

    /// The plan that `seed` draws for a world of this kind.
    #[must_use]
    pub fn of_kind(seed: u64, kind: &Kind) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x706c_616e);
        let sizes = [1, 2, 3, 3, 3, 3, 4, 5, 5, 6, 7, 8, 9];
        let hosts = sizes[rng.random_range(0..sizes.len())];
        let faults = FaultPlan::of(kind, &mut rng);
        let plan = Self {
            seed,
            hosts,
            seeds: 0,
            partitions: [4, 6, 8, 16][rng.random_range(0..4)],
            replicas: if rng.random_bool(0.25) { 5 } else { 3 },
            submissions: rng.random_range(20..80),
            batch_max: [1, 4, 20][rng.random_range(0..3)],
            work: kind.work,
            storm: rng.random_range(10..30) * SECOND,
            faults,
            limits: draw_limits(&mut rng),
            replace_after: if rng.random_bool(0.5) { 5 * SECOND } else { 30 * SECOND },
            is_curious: rng.random_bool(0.2),
            loses_minority: rng.random_bool(0.5),
            jobs: crate::jobs::count(seed),
            older: 0,
            is_fingerprinted: false,
            sabotage: None,
            alone: None,
        };
        (kind.shape)(plan, &mut rng).of_hosts_from(1).with_room()
    }

    /// With so much memory that the largest batch, some 22 KiB, fits into the last quarter: before that is touched
    /// nothing is kept for a shorter time, so a larger one might find no room for as long as all is kept.
    fn with_room(self) -> Self {
        let node_bytes_max = self.limits.node_bytes_max.max(1 << 17);
        Self { limits: Limits { node_bytes_max, ..self.limits }, ..self }
    }

    /// With at least `hosts` hosts, and all that depends on how many there are.
    #[must_use]
    pub fn of_hosts_from(self, hosts: usize) -> Self {
        let hosts = self.hosts.max(hosts);
        Self {
            hosts,
            seeds: if hosts == 1 { 0 } else { hosts.min(3) },
            replicas: if hosts >= 5 { self.replicas } else { 3 },
            loses_minority: hosts >= 3 && self.loses_minority,
            ..self
        }
    }

    /// The plan of `seed` for thirty hosts of which a third fails at once.
    #[must_use]
    pub fn of_third(seed: u64) -> Self {
        Self::of_kind(seed, &THIRD)
    }

    /// The plan of `seed`, with processes that are told to stop and start anew as its only trouble:
    /// nothing fails.
    #[must_use]
    pub fn of_leaving(seed: u64) -> Self {
        Self::of_kind(seed, &LEAVING)
    }
}

/// Limits that are met within seconds, in three worlds of four.
fn draw_limits(rng: &mut ChaCha8Rng) -> Limits {
    let span = |rng: &mut ChaCha8Rng| Span::from_millis(rng.random_range(2_000..60_000));
    let hold = Limits { crash_hold: Span::from_millis(5_000), ..Limits::default() };
    if rng.random_bool(0.25) {
        return hold;
    }
    let size = |rng: &mut ChaCha8Rng, low: u32, high: u32| 1 << rng.random_range(low..=high);
    Limits {
        dedup_window: span(rng),
        kept: Shelves::of(|_| Room { tasks: size(rng, 1, 12), bytes: size(rng, 12, 23) }),
        log_bytes_min: size(rng, 10, 18),
        log_per_state: rng.random_range(0..3),
        log_tail_bytes: if rng.random_bool(0.3) { 0 } else { size(rng, 8, 16) },
        node_bytes_max: size(rng, 15, 24),
        retention: span(rng),
        states_bytes_in_flight_max: size(rng, 8, 16),
        states_in_flight_max: rng.random_range(1..6),
        states_to_node_max: rng.random_range(1..3),
        stubs_max: size(rng, 2, 14),
        ..hold
    }
}

impl FaultPlan {
    fn of(kind: &Kind, rng: &mut ChaCha8Rng) -> Self {
        let (low, high) = kind.every;
        Self {
            kind: kind.name,
            troubles: kind.troubles,
            every: rng.random_range(low..=high) * MS,
            noise: kind.noise,
            clock_skew: kind.skew,
            clock_drift: kind.drift,
            lags: rng.random_bool(0.5) && !kind.troubles.is_empty(),
        }
    }

    /// Whether two hosts are cut from each other and all else is well.
    #[must_use]
    pub fn is_bridged_only(&self) -> bool {
        matches!(self.troubles, [(Trouble::Bridge, _)])
            && self.noise.datagrams_lost == 0
            && !self.noise.is_unruly
    }

    /// Whether something goes wrong from the first moment on.
    #[must_use]
    pub const fn is_troubled_at_once(&self) -> bool {
        let Self { noise, clock_skew, clock_drift, lags, .. } = self;
        noise.datagrams_lost > 0 || noise.is_unruly || *clock_skew > 0 || *clock_drift > 0 || *lags
    }
}
