//! What a seed decides before anything runs: how large, how much work, which faults.

use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use umbel_protocol::limits::Limits;
use umbel_protocol::partition::{Room, Shelves};
use umbel_protocol::time::Span;

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
    /// How long things are broken for.
    pub storm: u64,
    /// What may go wrong.
    pub faults: FaultPlan,
    /// How much nodes keep.
    pub limits: Limits,
    /// Whether clients look at their tasks again and again.
    pub is_curious: bool,
    /// Whether a minority dies for good when all else is done.
    pub loses_minority: bool,
    /// Whether its report tells a fingerprint of all that happened.
    pub is_fingerprinted: bool,
    /// A bug put in on purpose, to see that it is found.
    pub sabotage: Option<Sabotage>,
}

/// What may go wrong, and how often.
#[derive(Clone, Debug, Default)]
pub struct FaultPlan {
    /// What they are together, for people.
    pub kind: &'static str,
    /// Of a thousand datagrams, so many get lost.
    pub datagram_loss: u32,
    /// Pause between two faults, on average; none happen if it is zero.
    pub every: u64,
    /// Weights of each fault.
    pub crash: u32,
    /// All nodes lose power at once.
    pub blackout: u32,
    /// A cut of any shape.
    pub partition: u32,
    /// A connection breaks and comes back.
    pub relink: u32,
    /// A disk becomes slow for a while.
    pub slow_disk: u32,
    /// A process stands still for a while.
    pub pause: u32,
    /// Two hosts are cut from each other only, for the rest of the storm.
    pub bridge: u32,
    /// A process is told to stop, and starts anew when it has.
    pub leave: u32,
    /// A member is drained for a while.
    pub drain: u32,
    /// Most that a wall clock is off, in milliseconds.
    pub clock_skew: u64,
    /// Whether messages of consensus are reordered, doubled and lost one by one.
    pub unruly: bool,
    /// Whether messages of a connection are seconds late at times.
    pub lags: bool,
}

impl Plan {
    /// The plan of `seed`: kinds of faults take turns, so that any range of seeds has all.
    #[must_use]
    pub fn of(seed: u64) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(seed ^ 0x706c_616e);
        let sizes = [1, 2, 3, 3, 3, 5, 5, 7];
        let hosts = sizes[rng.random_range(0..sizes.len())];
        let faults = FaultPlan::of(seed, &mut rng);
        let is_bridged = faults.is_bridged_only();
        // Two that are cut from each other need a third.
        let hosts = if is_bridged { hosts.max(3) } else { hosts };
        let plan = Self {
            seed,
            hosts,
            seeds: if hosts == 1 { 0 } else { hosts.min(3) },
            partitions: [4, 6, 8, 16][rng.random_range(0..4)],
            replicas: if hosts >= 5 && rng.random_bool(0.25) { 5 } else { 3 },
            submissions: rng.random_range(20..80),
            batch_max: [1, 4, 20][rng.random_range(0..3)],
            storm: rng.random_range(10..30) * SECOND,
            faults,
            limits: draw_limits(&mut rng),
            loses_minority: hosts >= 3 && rng.random_bool(0.5),
            is_curious: rng.random_bool(0.2),
            is_fingerprinted: false,
            sabotage: None,
        };
        if !is_bridged {
            return plan;
        }
        // They have much to say to each other, and are cut for longer than anything waits.
        Self { submissions: 4 * plan.submissions, storm: plan.storm + 30 * SECOND, ..plan }
    }

    /// The plan of `seed`, with processes that are told to stop and start anew as its only trouble:
    /// nothing fails.
    #[must_use]
    pub fn of_leaving(seed: u64) -> Self {
        let plan = Self::of(seed);
        let every = 4 * SECOND;
        let faults =
            FaultPlan { kind: "leaving", every, leave: 3, drain: 1, ..FaultPlan::default() };
        let (submissions, storm) = (4 * plan.submissions, plan.storm + 30 * SECOND);
        // One that is alone has nobody to hand over to.
        let hosts = plan.hosts.max(2);
        Self { faults, submissions, storm, hosts, seeds: hosts.min(3), ..plan }
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
    fn of(seed: u64, rng: &mut ChaCha8Rng) -> Self {
        let every = rng.random_range(500..4_000) * MS;
        let calm = Self { kind: "calm", ..Self::default() };
        let lags = rng.random_bool(0.5);
        let broken = Self { every, lags, ..calm };
        match seed % 11 {
            0 => calm,
            1 => Self { kind: "crashes", crash: 1, ..broken },
            2 => Self { kind: "partitions", partition: 1, ..broken },
            3 => Self { kind: "links", relink: 1, datagram_loss: 100, ..broken },
            4 => Self { kind: "disks", slow_disk: 2, crash: 1, ..broken },
            5 => Self { kind: "clocks", crash: 1, clock_skew: 5_000, ..broken },
            6 => Self { kind: "blackouts", every: every * 3, blackout: 1, ..broken },
            7 => Self { kind: "pauses", pause: 2, partition: 1, ..broken },
            8 => Self { kind: "unruly", relink: 1, partition: 1, unruly: true, ..broken },
            9 => Self { kind: "bridges", every: 6 * SECOND, bridge: 1, ..broken },
            _ => Self {
                kind: "everything",
                datagram_loss: 50,
                every,
                crash: 4,
                blackout: 1,
                partition: 4,
                relink: 4,
                slow_disk: 2,
                pause: 2,
                bridge: 1,
                leave: 1,
                drain: 1,
                clock_skew: 2_000,
                unruly: rng.random_bool(0.5),
                lags,
            },
        }
    }

    /// Whether two hosts are cut from each other and all else is well.
    #[must_use]
    pub const fn is_bridged_only(&self) -> bool {
        let others = self.crash + self.blackout + self.partition;
        let others = others + self.relink + self.slow_disk + self.pause;
        self.bridge > 0 && others == 0 && self.datagram_loss == 0 && !self.unruly
    }

    /// Whether something goes wrong from the first moment on.
    #[must_use]
    pub const fn is_troubled_at_once(&self) -> bool {
        self.datagram_loss > 0 || self.clock_skew > 0 || self.unruly || self.lags
    }
}
