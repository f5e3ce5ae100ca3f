//! One node: its machines, wired as a node wires them, and what of it survives a crash.
//!
//! The files below it are named after what they stand for in `node`.

mod envelopes;
pub(crate) mod executor;
mod former;
mod gossip;
mod leave;
mod life;
mod mailbox;
mod parts;
mod scheduler;
mod ways;

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};

use umbel_protocol::executor::{Event as ExecutorEvent, Executor};
use umbel_protocol::formation::{Event as FormationEvent, Formation};
use umbel_protocol::id::{GroupId, NodeId, ReplicaId, TaskId, Token};
use umbel_protocol::journal::{Journal, Place};
use umbel_protocol::membership::{Condition, Event as MembershipEvent, Identity, Load, Membership};
use umbel_protocol::scheduler::{Event as SchedulerEvent, Scheduler};
use umbel_protocol::time::{Tick, Wall};
use umbel_protocol::ways::{Event as WaysEvent, Ways};
use umbel_protocol::wire::Profile;
use umbel_protocol::wire::hello::Versions;

use crate::disk::Disk;
use crate::host::executor::Ending;
use crate::plan::MS;
use crate::work::Script;
use crate::world::{What, World};

/// 2027-01-15, as good as any.
const EPOCH_MS: u64 = 1_800_000_000_000;
/// An hour, as wall clocks count.
pub const MS_PER_HOUR: i64 = 3_600_000;

/// What a wall clock shows that is right.
#[must_use]
pub fn true_wall(now: u64) -> Wall {
    Wall::from_millis(EPOCH_MS + now / MS)
}

/// When a wall clock that is right shows `wall`.
#[must_use]
pub const fn true_time(wall: Wall) -> u64 {
    wall.as_millis().saturating_sub(EPOCH_MS) * MS
}

/// A node, whether it runs or not.
pub struct Host {
    /// Which node.
    pub node: NodeId,
    /// What survives.
    pub disk: Disk,
    /// Counts processes: what was meant for one that is gone is dropped.
    pub life: u64,
    /// The process, while it runs.
    pub process: Option<Process>,
    /// What its last scheduler knew when it fell: what that told others stays true.
    pub last_known: Option<Scheduler>,
    /// How far its wall clock is off, in milliseconds.
    pub clock: i64,
    /// How far it has stepped away for a while, in milliseconds.
    pub step: i64,
    /// Until when others may still take its clock to be where it stepped.
    pub known_wild_until: u64,
    /// How much too fast its clocks go, in millionths.
    pub rate: i64,
    /// How often it got another address.
    pub moves: u8,
    /// How often another node took it over.
    pub renewals: u32,
    /// Whether its node was told to stop to be replaced.
    pub is_renewed: bool,
    /// Whether it never comes back.
    pub is_dead: bool,
    /// Until when its disk is slow.
    pub slow_until: u64,
    /// How long a sync takes then at the least and at most.
    pub slow_sync: (u64, u64),
    /// Until when its disk is full.
    pub full_until: u64,
    /// Whether its next sync fails.
    pub fails_sync: bool,
    /// Until when its process stands still.
    pub paused_until: u64,
    /// Until when it gets little of its processor.
    pub starved_until: u64,
    /// For how long it waits for its next turn then at most.
    pub turn_after: u64,
    /// Until when it deals late with what comes, for it stands still or has fallen in part.
    pub late_until: u64,
    /// What came while its process stood still.
    pub backlog: Vec<What>,
    /// What it can run.
    pub profile: Profile,
    /// Slots that it had before, by pool, and until when leases may come for them.
    pub slots_before: Vec<(u64, Vec<u32>)>,
    /// What its program speaks, from its next start on.
    pub versions: Versions,
}

/// A running node.
pub struct Process {
    /// Drives its groups.
    pub scheduler: Scheduler,
    /// Runs tasks.
    pub executor: Executor,
    /// Knows who is alive.
    pub membership: Membership,
    /// Knows how to speak to others.
    ways: Ways,
    formation: Option<Formation>,
    /// What it tells of itself by gossip.
    load: Load,
    /// The version that the whole cluster speaks, as far as it knows.
    pub spoken: u16,
    /// Whether it has handed over all that it had.
    has_left: bool,
    /// When it started.
    pub started_at: u64,
    wake_at: [u64; 4],
    /// Where other hosts were last said to be.
    pub knows: BTreeMap<usize, SocketAddr>,
    /// Nodes that it was told of, and where they were then.
    pub met: BTreeMap<NodeId, SocketAddr>,
    identity: Identity,
    seed: u64,
    /// Counts its schedulers.
    pub schedulers: u32,
    /// Counts how often each of its machines was built anew: what was meant for one that fell is lost.
    builds: [u64; 5],
    /// Runs, with their attempts and pools.
    runs: BTreeMap<(TaskId, Token), (u16, usize)>,
    /// What they say, and after what the executor wants to know of it.
    journals: BTreeMap<(TaskId, Token), (Journal, Option<Place>)>,
    /// When the last message to each machine inside the node arrives.
    lanes: [u64; 5],
    is_writing: bool,
    /// When the bytes of each received state are on the disk.
    kept: BTreeMap<(GroupId, ReplicaId, u64), u64>,
}

/// What happens inside a node.
#[derive(Clone, Debug)]
pub enum Local {
    /// To its scheduler.
    Scheduler(SchedulerEvent),
    /// To its executor.
    Executor(ExecutorEvent),
    /// To its membership.
    Membership(MembershipEvent),
    /// To its formation.
    Formation(FormationEvent),
    /// To its ways.
    Ways(WaysEvent),
    /// It was told to leave and has, or nobody waits for that any more.
    Ends,
    /// A seed would have answered by now.
    Greeted(usize),
    /// The deadline of a machine.
    Wake(usize),
    /// A machine that fell has been built anew.
    Built(usize),
    /// A batch is durable.
    Synced(u64),
    /// Writing has failed.
    WriteFails,
    /// A run says a line.
    Says(TaskId, Token),
    /// A run is over.
    Ended(TaskId, Token, Script, Ending),
}

const SCHEDULER: usize = 0;
const EXECUTOR: usize = 1;
const MEMBERSHIP: usize = 2;
const FORMATION: usize = 3;
const WAYS: usize = 4;

/// Where host `host` listens after so many moves.
#[must_use]
pub fn address(host: usize, moves: u8) -> SocketAddr {
    let port = 7_000 + u16::try_from(host).expect("few hosts");
    SocketAddr::from((Ipv4Addr::new(10, 0, moves, 1), port))
}

impl Host {
    /// A node that has never run.
    #[must_use]
    pub fn new(node: NodeId, profile: Profile, clock: i64) -> Self {
        Self {
            node,
            disk: Disk::default(),
            life: 0,
            process: None,
            last_known: None,
            clock,
            step: 0,
            known_wild_until: 0,
            rate: 0,
            moves: 0,
            renewals: 0,
            is_renewed: false,
            is_dead: false,
            slow_until: 0,
            slow_sync: (0, 1),
            full_until: 0,
            fails_sync: false,
            paused_until: 0,
            starved_until: 0,
            turn_after: 0,
            late_until: 0,
            backlog: Vec::new(),
            profile,
            slots_before: Vec::new(),
            versions: Versions::OWN,
        }
    }

    /// Whether a part of its process has fallen and is not there again.
    #[must_use]
    pub const fn is_being_built(&self, now: u64) -> bool {
        self.late_until > now && self.paused_until <= now && self.starved_until <= now
    }

    /// Its wall clock.
    #[must_use]
    pub fn wall(&self, now: u64) -> Wall {
        let shown = true_wall(self.elapsed(now)).as_millis();
        Wall::from_millis(shown.saturating_add_signed(self.clock + self.step))
    }

    /// How long `time` seems to it.
    fn elapsed(&self, time: u64) -> u64 {
        let gained = i128::from(time) * i128::from(self.rate) / 1_000_000;
        time.saturating_add_signed(i64::try_from(gained).expect("clocks go about right"))
    }

    /// How long it truly takes until `elapsed` has passed here.
    fn takes(&self, elapsed: u64) -> u64 {
        if self.rate == 0 {
            return elapsed;
        }
        let rate = u128::try_from(1_000_000 + self.rate).expect("clocks go forward");
        let time = (u128::from(elapsed) * 1_000_000).div_ceil(rate) + 1;
        u64::try_from(time).unwrap_or(u64::MAX)
    }
}

impl Process {
    /// Whether it has not been told to stop, and nothing keeps it from its work.
    #[must_use]
    pub fn is_serving(&self) -> bool {
        self.load.condition == Condition::Serving
    }

    /// Whether it neither has copies nor runs.
    #[must_use]
    pub fn has_nothing(&self) -> bool {
        self.scheduler.copies().next().is_none() && self.executor.held() == 0
    }

    /// Runs that go on.
    pub fn runs(&self) -> impl Iterator<Item = (TaskId, Token)> {
        self.runs.keys().copied()
    }

    /// Tasks that run.
    pub fn running_tasks(&self) -> impl Iterator<Item = TaskId> {
        self.runs().map(|(task, _)| task)
    }

    /// How many tasks run in `pool`.
    #[must_use]
    pub fn running(&self, pool: usize) -> u32 {
        let count = self.runs.values().filter(|(_, of)| *of == pool).count();
        u32::try_from(count).expect("few slots")
    }
}

impl World {
    /// What happens inside a running node.
    pub fn happens(&mut self, host: usize, what: Local) {
        match what {
            Local::Scheduler(event) => self.step_scheduler(host, event),
            Local::Executor(event) => self.step_executor(host, event),
            Local::Membership(event) => self.step_membership(host, event),
            Local::Formation(event) => self.step_formation(host, event),
            Local::Ways(event) => self.step_ways(host, event),
            Local::Ends => self.ends(host),
            Local::Greeted(seed) => self.greeted(host, seed),
            Local::Wake(machine) => self.woken(host, machine),
            Local::Built(machine) => self.built(host, machine),
            Local::Synced(number) => self.synced(host, number),
            Local::WriteFails => self.fails_to_write(host),
            Local::Says(task, token) => self.run_says(host, task, token),
            Local::Ended(task, token, script, ending) => {
                self.run_ended(host, task, token, &script, ending);
            }
        }
    }

    pub(crate) fn process(&mut self, host: usize) -> &mut Process {
        self.hosts[host].process.as_mut().expect("only what runs is stepped")
    }

    fn tick(&self, host: usize) -> Tick {
        let one = &self.hosts[host];
        let started_at = one.process.as_ref().map_or(0, |process| process.started_at);
        Tick::from_micros(one.elapsed(self.now - started_at))
    }
}
