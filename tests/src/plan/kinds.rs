//! The kinds of worlds: what goes wrong in each, as a table. Seeds take turns through it.

use rand::rngs::ChaCha8Rng;

use super::shapes::{
    as_drawn, at_length, bridged, busy, for_minutes, forgetful, leaving, mixed, overloaded,
    poisoned, renewing, restoring, ruled, thirty, upgraded, wide,
};
use super::{Plan, Work};

/// What can go wrong at some time in a storm.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// Two hosts are cut from each other only, for the rest of the storm.
    Bridge,
    /// All lose power at once.
    Blackout,
    /// A host has other numbers of slots from now on.
    ChangeSlots,
    /// One wall clock steps, or those of a minority or a majority.
    ClockStep,
    /// A host crashes, or just its process.
    Crash,
    /// All hosts but one of those that a group may have copies on crash at once.
    CrashMost,
    /// A third of all hosts fails at once, but only once.
    CrashThird,
    /// A cut in halves, around one host, or one way only.
    Cut,
    /// A store gives up what it has of some groups, or all, when it is opened.
    Damage,
    /// A disk is full for a while: the process ends at its first write.
    DiskFull,
    /// A member is drained for a while.
    Drain,
    /// A disk loses all, and another node takes the place of the one that it was of.
    Empty,
    /// A cut comes and goes.
    Flap,
    /// A process is told to stop, and starts anew when it has.
    Leave,
    /// A cut for longer than anything is remembered.
    LongCut,
    /// A host comes back under another address, or all do.
    Move,
    /// A part of a process falls and is built anew, while the others go on.
    PartFalls,
    /// A process stands still for some seconds.
    Pause,
    /// A connection breaks and comes back.
    Relink,
    /// A member is drained, ends and is forgotten, and another node takes its host over.
    Renew,
    /// Each host hears its two neighbours only.
    Ring,
    /// A disk becomes slow for a while.
    SlowDisk,
    /// A host gets too little of its processor for a while.
    Starve,
    /// A process stands still for longer than anybody waits.
    Stop,
    /// A disk fails to sync, and the process ends.
    SyncError,
    /// A cut in three.
    ThreeWays,
    /// A host starts anew with a newer program, in good order or not.
    Upgrade,
}

/// What becomes of single messages all the while, of a thousand each.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Noise {
    /// Datagrams that get lost.
    pub datagrams_lost: u32,
    /// Datagrams that come twice.
    pub datagrams_doubled: u32,
    /// Messages of consensus that get lost one by one.
    pub consensus_lost: u32,
    /// Messages of consensus that come twice.
    pub consensus_doubled: u32,
    /// Whether those of consensus overtake each other.
    pub is_unruly: bool,
    /// Whether some are very late.
    pub has_tails: bool,
}

/// One kind of worlds.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// For people.
    pub name: &'static str,
    /// What happens in its storms, and how often compared with the others.
    pub troubles: &'static [(Trouble, u32)],
    /// Between two of them, on average, in milliseconds: from this to that.
    pub every: (u64, u64),
    /// What becomes of messages.
    pub noise: Noise,
    /// How far wall clocks are off at most, in milliseconds.
    pub skew: u64,
    /// How fast or slow clocks go at most, in millionths.
    pub drift: u32,
    /// What its tasks do.
    pub work: Work,
    /// What else is special about its worlds.
    pub shape: fn(Plan, &mut ChaCha8Rng) -> Plan,
}

const QUIET: Noise = Noise {
    datagrams_lost: 0,
    datagrams_doubled: 10,
    consensus_lost: 0,
    consensus_doubled: 0,
    is_unruly: false,
    has_tails: false,
};
pub(super) const UNRULY: Noise =
    Noise { consensus_lost: 30, consensus_doubled: 30, is_unruly: true, ..QUIET };
const LOUD: Noise = Noise {
    datagrams_lost: 300,
    datagrams_doubled: 500,
    consensus_lost: 300,
    consensus_doubled: 500,
    is_unruly: true,
    has_tails: true,
};

const CALM: Kind = Kind {
    name: "calm",
    troubles: &[],
    every: (500, 4_000),
    noise: QUIET,
    skew: 0,
    drift: 0,
    work: Work::Usual,
    shape: as_drawn,
};

const EVERYTHING: Kind = Kind {
    name: "everything",
    troubles: &[
        (Trouble::Crash, 4),
        (Trouble::CrashMost, 1),
        (Trouble::Blackout, 1),
        (Trouble::Cut, 3),
        (Trouble::Ring, 1),
        (Trouble::ThreeWays, 1),
        (Trouble::Flap, 1),
        (Trouble::Bridge, 1),
        (Trouble::Relink, 4),
        (Trouble::SlowDisk, 2),
        (Trouble::SyncError, 1),
        (Trouble::DiskFull, 1),
        (Trouble::Empty, 1),
        (Trouble::Damage, 1),
        (Trouble::Pause, 2),
        (Trouble::Starve, 1),
        (Trouble::PartFalls, 2),
        (Trouble::Move, 1),
        (Trouble::Leave, 1),
        (Trouble::Drain, 1),
        (Trouble::Renew, 1),
    ],
    noise: Noise { datagrams_lost: 50, ..QUIET },
    skew: 2_000,
    drift: 5_000,
    shape: mixed,
    ..CALM
};

/// Processes are told to stop and start anew, and members are drained: nothing fails.
pub(super) const LEAVING: Kind = Kind {
    name: "leaving",
    troubles: &[(Trouble::Leave, 3), (Trouble::Drain, 1)],
    every: (4_000, 4_000),
    shape: leaving,
    ..CALM
};

/// Nodes join and leave all the time, and nothing fails.
const RENEWALS: Kind = Kind {
    name: "joining and leaving",
    troubles: &[(Trouble::Renew, 4), (Trouble::Leave, 1)],
    every: (2_000, 4_000),
    shape: leaving,
    ..CALM
};

/// A cluster of thirty, of which a third fails at once: rare, as it is large.
pub(super) const THIRD: Kind = Kind {
    name: "a third of thirty",
    troubles: &[(Trouble::CrashThird, 1)],
    every: (10_000, 10_000),
    shape: thirty,
    ..CALM
};

/// A cluster whose nodes are all of the version before is upgraded while it works.
pub(super) const UPGRADES: Kind = Kind {
    name: "upgrades",
    troubles: &[(Trouble::Upgrade, 3), (Trouble::Leave, 1), (Trouble::Crash, 1)],
    every: (2_000, 4_000),
    shape: upgraded,
    ..CALM
};

/// All kinds. The mix of all is there more than once: most of what is rare needs two faults to meet.
pub const KINDS: [Kind; 48] = [
    Kind { shape: at_length, ..CALM },
    Kind { name: "crashes", troubles: &[(Trouble::Crash, 1)], ..CALM },
    Kind { name: "partitions", troubles: &[(Trouble::Cut, 1)], ..CALM },
    Kind {
        name: "links",
        troubles: &[(Trouble::Relink, 1)],
        noise: Noise { datagrams_lost: 100, ..QUIET },
        ..CALM
    },
    Kind { name: "disks", troubles: &[(Trouble::SlowDisk, 2), (Trouble::Crash, 1)], ..CALM },
    Kind { name: "clocks", troubles: &[(Trouble::Crash, 1)], skew: 5_000, ..CALM },
    Kind { name: "blackouts", troubles: &[(Trouble::Blackout, 1)], every: (1_500, 12_000), ..CALM },
    Kind { name: "pauses", troubles: &[(Trouble::Pause, 2), (Trouble::Cut, 1)], ..CALM },
    Kind {
        name: "unruly",
        troubles: &[(Trouble::Relink, 1), (Trouble::Cut, 1)],
        noise: UNRULY,
        ..CALM
    },
    Kind {
        name: "bridges",
        troubles: &[(Trouble::Bridge, 1)],
        every: (6_000, 6_000),
        shape: bridged,
        ..CALM
    },
    EVERYTHING,
    Kind {
        name: "most at once",
        troubles: &[(Trouble::CrashMost, 1)],
        every: (3_000, 8_000),
        ..CALM
    },
    Kind {
        name: "emptied disks",
        troubles: &[(Trouble::Empty, 3), (Trouble::Crash, 1)],
        every: (3_000, 8_000),
        shape: renewing,
        ..CALM
    },
    Kind {
        name: "damaged disks",
        troubles: &[(Trouble::Damage, 2), (Trouble::Crash, 1)],
        every: (2_000, 6_000),
        shape: restoring,
        ..CALM
    },
    Kind {
        name: "failing disks",
        troubles: &[(Trouble::SyncError, 2), (Trouble::SlowDisk, 1)],
        ..CALM
    },
    Kind { name: "full disks", troubles: &[(Trouble::DiskFull, 1)], ..CALM },
    Kind {
        name: "stopped",
        troubles: &[(Trouble::Stop, 1)],
        every: (30_000, 60_000),
        shape: for_minutes,
        ..CALM
    },
    Kind { name: "starved", troubles: &[(Trouble::Starve, 2), (Trouble::Crash, 1)], ..CALM },
    Kind { name: "parts fall", troubles: &[(Trouble::PartFalls, 1)], ..CALM },
    Kind {
        name: "rings",
        troubles: &[(Trouble::Ring, 2), (Trouble::Crash, 1)],
        shape: wide,
        ..CALM
    },
    LEAVING,
    RENEWALS,
    UPGRADES,
    Kind { name: "three ways", troubles: &[(Trouble::ThreeWays, 1)], shape: wide, ..CALM },
    Kind { name: "flapping", troubles: &[(Trouble::Flap, 1)], every: (3_000, 6_000), ..CALM },
    Kind { name: "loud", troubles: &[(Trouble::Relink, 1)], noise: LOUD, ..CALM },
    Kind {
        name: "long cuts",
        troubles: &[(Trouble::LongCut, 1)],
        every: (4_000, 8_000),
        shape: forgetful,
        ..CALM
    },
    Kind {
        name: "clock steps",
        troubles: &[(Trouble::ClockStep, 2), (Trouble::Crash, 1)],
        every: (2_000, 6_000),
        ..CALM
    },
    Kind { name: "drifting clocks", troubles: &[(Trouble::Crash, 1)], drift: 5_000, ..CALM },
    Kind {
        name: "moves",
        troubles: &[(Trouble::Move, 2), (Trouble::Crash, 1)],
        every: (2_000, 6_000),
        ..CALM
    },
    Kind { name: "poison", work: Work::Poison, shape: poisoned, ..CALM },
    Kind {
        name: "long tasks",
        work: Work::Long,
        troubles: &[(Trouble::Crash, 1)],
        every: (30_000, 90_000),
        shape: for_minutes,
        ..CALM
    },
    Kind {
        name: "hot queue and crashes",
        work: Work::Hot,
        troubles: &[(Trouble::Crash, 1)],
        ..CALM
    },
    Kind { name: "overload", work: Work::Overload, shape: overloaded, ..CALM },
    Kind {
        name: "alone beside cuts",
        work: Work::Alone,
        troubles: &[(Trouble::Cut, 4), (Trouble::Crash, 1), (Trouble::Pause, 1)],
        every: (4_000, 12_000),
        drift: 5_000,
        ..CALM
    },
    Kind { name: "hot queue", work: Work::Hot, ..CALM },
    Kind {
        name: "parts fall beside cuts",
        troubles: &[(Trouble::PartFalls, 2), (Trouble::Cut, 1), (Trouble::Relink, 1)],
        noise: UNRULY,
        ..CALM
    },
    Kind {
        name: "disks and crashes",
        troubles: &[
            (Trouble::Empty, 1),
            (Trouble::Damage, 2),
            (Trouble::SyncError, 2),
            (Trouble::Crash, 2),
            (Trouble::Cut, 1),
        ],
        every: (1_500, 4_000),
        shape: restoring,
        ..CALM
    },
    EVERYTHING,
    Kind {
        name: "poison and cuts",
        troubles: &[(Trouble::Cut, 1)],
        work: Work::Poison,
        shape: poisoned,
        ..CALM
    },
    Kind {
        name: "clocks and cuts",
        troubles: &[(Trouble::ClockStep, 1), (Trouble::Cut, 1), (Trouble::Pause, 1)],
        every: (2_000, 5_000),
        drift: 5_000,
        ..CALM
    },
    Kind {
        name: "joining, leaving and crashes",
        troubles: &[(Trouble::Renew, 3), (Trouble::Crash, 2), (Trouble::Cut, 1)],
        every: (2_000, 4_000),
        shape: leaving,
        ..CALM
    },
    Kind {
        name: "moves and crashes",
        troubles: &[(Trouble::Move, 1), (Trouble::Empty, 1), (Trouble::Blackout, 1)],
        every: (3_000, 6_000),
        shape: restoring,
        ..CALM
    },
    EVERYTHING,
    Kind { name: "ruled", work: Work::Ruled, shape: ruled, ..CALM },
    Kind {
        name: "slots change",
        troubles: &[(Trouble::ChangeSlots, 1)],
        every: (1_000, 4_000),
        shape: busy,
        ..CALM
    },
    Kind {
        name: "slots change beside crashes and cuts",
        troubles: &[
            (Trouble::ChangeSlots, 6),
            (Trouble::Crash, 1),
            (Trouble::Cut, 1),
            (Trouble::Pause, 1),
            (Trouble::Relink, 1),
        ],
        shape: busy,
        ..CALM
    },
    Kind {
        name: "ruled beside crashes and cuts",
        work: Work::Ruled,
        troubles: &[(Trouble::Crash, 2), (Trouble::Cut, 2), (Trouble::Pause, 1)],
        every: (3_000, 9_000),
        shape: ruled,
        ..CALM
    },
];
