//! One node: its machines, wired as a node wires them, and what of it survives a crash.
//!
//! The files below it are named after what they stand for in `node`.

mod envelopes;
mod executor;
mod former;
mod gossip;
mod leave;
mod mailbox;
mod scheduler;
mod ways;

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use umbel_protocol::executor::{Event as ExecutorEvent, Executor};
use umbel_protocol::formation::{Event as FormationEvent, Formation};
use umbel_protocol::id::{GroupId, Lessee, NodeId, ReplicaId, TaskId, Token};
use umbel_protocol::membership::{Config, Event as MembershipEvent, Identity, Load, Membership};
use umbel_protocol::meta::Join;
use umbel_protocol::scheduler::{Event as SchedulerEvent, Now, Scheduler, Settings};
use umbel_protocol::time::{Span, Tick, Wall};
use umbel_protocol::ways::{Event as WaysEvent, Ways};
use umbel_protocol::wire::Profile;

use crate::disk::Disk;
use crate::invariants::one_vote;
use crate::plan::{MS, SECOND};
use crate::work::Script;
use crate::world::{What, World};

/// 2027-01-15, as good as any.
const EPOCH_MS: u64 = 1_800_000_000_000;

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
    /// How far its wall clock is off, in milliseconds.
    pub clock: i64,
    /// Whether it never comes back.
    pub is_dead: bool,
    /// Until when its disk is slow.
    pub slow_until: u64,
    /// Until when its process stands still.
    pub paused_until: u64,
    /// What it can run.
    pub profile: Profile,
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
    /// Whether it has handed over all that it had.
    has_left: bool,
    /// When it started.
    pub started_at: u64,
    wake_at: [u64; 4],
    /// Hosts whose address is known.
    pub knows: BTreeSet<usize>,
    /// Runs, with their attempts and pools.
    runs: BTreeMap<(TaskId, Token), (u16, usize)>,
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
    /// A batch is durable.
    Synced(u64),
    /// A run is over.
    Ended(TaskId, Token, Script, bool),
}

const SCHEDULER: usize = 0;
const EXECUTOR: usize = 1;
const MEMBERSHIP: usize = 2;
const FORMATION: usize = 3;
const WAYS: usize = 4;

/// Where host `host` listens.
#[must_use]
pub fn address(host: usize) -> SocketAddr {
    let port = 7_000 + u16::try_from(host).expect("few hosts");
    SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), port))
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
            clock,
            is_dead: false,
            slow_until: 0,
            paused_until: 0,
            profile,
        }
    }

    /// Its wall clock.
    #[must_use]
    pub fn wall(&self, now: u64) -> Wall {
        let true_ms = EPOCH_MS + now / MS;
        Wall::from_millis(true_ms.saturating_add_signed(self.clock))
    }
}

impl Process {
    /// Tasks that run.
    pub fn running_tasks(&self) -> impl Iterator<Item = TaskId> {
        self.runs.keys().map(|(task, _)| *task)
    }

    /// How many tasks run in `pool`.
    #[must_use]
    pub fn running(&self, pool: usize) -> u32 {
        let count = self.runs.values().filter(|(_, of)| *of == pool).count();
        u32::try_from(count).expect("few slots")
    }
}

impl World {
    /// Starts the process of a host.
    pub fn start(&mut self, host: usize) {
        let (seed, start) = (self.random(), self.random());
        let seeds = self.plan.seeds;
        let now = self.now;
        let one = &mut self.hosts[host];
        assert!(one.process.is_none(), "it runs");
        one.life += 1;
        one.disk.incarnation.0 += 1;
        let incarnation = one.disk.incarnation;
        let join = Join {
            node: one.node,
            name: format!("host-{host}"),
            address: address(host),
            cluster_name: "simulated".to_owned(),
        };
        let settings = Settings {
            node: one.node,
            incarnation,
            join,
            seed,
            replace_after: Span::from_millis(self.replace_after_ms),
            limits: self.plan.limits,
            has_seeds: true,
            scheduler: 1,
        };
        let at = Now { tick: Tick::START, wall: one.wall(now) };
        let scheduler = Scheduler::new(settings, at, one.disk.open());
        let lessee = Lessee { node: one.node, incarnation, executor: 1 };
        let executor = Executor::new(lessee, one.profile.clone(), Tick::START);
        let identity = Identity::new(one.node, incarnation, start, address(host));
        let membership = Membership::new(Config::default(), identity, seed);
        let formation = one
            .disk
            .cluster
            .is_none()
            .then(|| Formation::new(one.node, seeds, host == 0, Tick::START));
        // A member finds the others through the seeds until it knows the meta group.
        let knows = match formation {
            Some(_) => BTreeSet::new(),
            None => (0..seeds).filter(|seed| *seed != host).collect(),
        };
        one.process = Some(Process {
            scheduler,
            executor,
            membership,
            ways: Ways::new(identity.node),
            formation,
            load: Load::default(),
            has_left: false,
            started_at: now,
            wake_at: [u64::MAX; 4],
            knows,
            runs: BTreeMap::new(),
            lanes: [now; 5],
            is_writing: false,
            kept: BTreeMap::new(),
        });
        for other in 0..self.hosts.len() {
            if other != host {
                self.cut_link(host, other);
            }
        }
        self.trace(|| format!("host {host} starts as incarnation {}", incarnation.0));
        let remembers = one_vote::on_start(self, host);
        self.must("one_vote", remembers);
        let me = self.hosts[host].node;
        self.local(host, Local::Executor(ExecutorEvent::Reached(me)));
        // Opening may leave things to be done at once.
        self.local(host, Local::Scheduler(SchedulerEvent::Due));
        for machine in 0..4 {
            self.plan_wake(host, machine);
        }
    }

    /// The process of a host is gone, and all that it had not synced.
    pub fn crash(&mut self, host: usize) {
        if self.hosts[host].process.is_some() {
            self.trace(|| format!("host {host} crashes"));
            self.end(host, false);
        }
    }

    /// The process of a host is gone: all that it had not synced may be. Whether it `has_left`: then
    /// no run may have ended with it.
    fn end(&mut self, host: usize, has_left: bool) {
        let keep = usize::from(self.flip(0.5));
        let one = &mut self.hosts[host];
        one.process = None;
        one.life += 1;
        one.disk.crash(keep);
        one.paused_until = 0;
        let key = (one.node, one.disk.incarnation);
        let ends = if has_left { &mut self.ledger.left } else { &mut self.ledger.ended };
        ends.insert(key, self.now);
        self.ledger.observer_gone(host, self.now);
        for other in 0..self.hosts.len() {
            if other == host {
                continue;
            }
            // A process that ends says so; a machine that loses power does not, and what it sent
            // still arrives. Whoever speaks to it notices after a while, or when it is back.
            let silent =
                (!has_left && self.flip(0.5)).then(|| self.network.silence(other, host)).flatten();
            match silent {
                Some(epoch) => {
                    self.saw("silent crash");
                    let at = self.now + self.between(0, 5 * SECOND);
                    self.push(at, What::Breaks { a: host, b: other, epoch });
                }
                None => self.cut_link(host, other),
            }
        }
    }

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
            Local::Synced(number) => self.synced(host, number),
            Local::Ended(task, token, script, stopped) => {
                self.run_ended(host, task, token, &script, stopped);
            }
        }
    }

    pub(crate) fn process(&mut self, host: usize) -> &mut Process {
        self.hosts[host].process.as_mut().expect("only what runs is stepped")
    }

    fn tick(&self, host: usize) -> Tick {
        let started_at = self.hosts[host].process.as_ref().map_or(0, |p| p.started_at);
        Tick::from_micros(self.now - started_at)
    }
}
