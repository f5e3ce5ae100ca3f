//! One node: its machines, wired as a node wires them, and what of it survives a crash.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};

use bytes::Bytes;
use umbel_protocol::executor::{self, Executor};
use umbel_protocol::formation::{self, Formation};
use umbel_protocol::id::{Lessee, NodeId, TaskId, Token};
use umbel_protocol::limits::FRAME_BYTES_MAX;
use umbel_protocol::membership::{self, Config, Identity, Liveness, Membership, Peer};
use umbel_protocol::meta::Join;
use umbel_protocol::scheduler::{self, Found, Now, Scheduler, Settings};
use umbel_protocol::task::Outcome;
use umbel_protocol::time::{Span, Tick, Wall};
use umbel_protocol::wire::{
    Envelope, ExecutorSays, OwnerSays, PeerMessage, Profile, decode, encode,
};

use crate::disk::Disk;
use crate::invariants;
use crate::network::Fate;
use crate::plan::{MS, Sabotage};
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
    /// Until when its disk is slow.
    pub slow_until: u64,
    /// Until when its process stands still.
    pub paused_until: u64,
    profile: Profile,
}

/// A running node.
pub struct Process {
    /// Drives its groups.
    pub scheduler: Scheduler,
    /// Runs tasks.
    pub executor: Executor,
    /// Knows who is alive.
    pub membership: Membership,
    formation: Option<Formation>,
    /// When it started.
    pub started_at: u64,
    wake_at: [u64; 4],
    /// Hosts whose address is known.
    pub knows: BTreeSet<usize>,
    runs: BTreeMap<(TaskId, Token), u32>,
    /// When the last message to each machine inside the node arrives.
    lanes: [u64; 4],
    is_writing: bool,
}

/// What happens inside a node.
#[derive(Clone, Debug)]
pub enum Local {
    /// To its scheduler.
    Scheduler(scheduler::Event),
    /// To its executor.
    Executor(executor::Event),
    /// To its membership.
    Membership(membership::Event),
    /// To its formation.
    Formation(formation::Event),
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
            formation,
            started_at: now,
            wake_at: [u64::MAX; 4],
            knows,
            runs: BTreeMap::new(),
            lanes: [now; 4],
            is_writing: false,
        });
        self.trace(|| format!("host {host} starts as incarnation {}", incarnation.0));
        let me = self.hosts[host].node;
        self.local(host, Local::Executor(executor::Event::Reached(me)));
        // Opening may leave things to be done at once.
        self.local(host, Local::Scheduler(scheduler::Event::Due));
        for machine in 0..4 {
            self.plan_wake(host, machine);
        }
    }

    /// The process of a host is gone, and all that it had not synced.
    pub fn crash(&mut self, host: usize) {
        let keep = usize::from(self.flip(0.5));
        let one = &mut self.hosts[host];
        if one.process.take().is_none() {
            return;
        }
        one.life += 1;
        one.disk.crash(keep);
        one.paused_until = 0;
        let key = (one.node, one.disk.incarnation);
        self.ledger.ended.insert(key, self.now);
        self.ledger.observer_gone(host, self.now);
        self.trace(|| format!("host {host} crashes"));
        for other in 0..self.hosts.len() {
            if other != host {
                self.cut_link(host, other);
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
            Local::Greeted(seed) => self.greeted(host, seed),
            Local::Wake(machine) => self.woken(host, machine),
            Local::Synced(number) => self.synced(host, number),
            Local::Ended(task, token, script, stopped) => {
                self.run_ended(host, task, token, &script, stopped);
            }
        }
    }

    fn process(&mut self, host: usize) -> &mut Process {
        self.hosts[host].process.as_mut().expect("only what runs is stepped")
    }

    fn tick(&self, host: usize) -> Tick {
        let started_at = self.hosts[host].process.as_ref().map_or(0, |p| p.started_at);
        Tick::from_micros(self.now - started_at)
    }

    fn step_scheduler(&mut self, host: usize, event: scheduler::Event) {
        let now = Now { tick: self.tick(host), wall: self.hosts[host].wall(self.now) };
        let mut effects = Vec::new();
        self.process(host).scheduler.step(now, event, &mut effects);
        for effect in effects {
            self.perform(host, effect);
        }
        invariants::one_owner::check(self, host);
        self.plan_wake(host, SCHEDULER);
    }

    fn perform(&mut self, host: usize, effect: scheduler::Effect) {
        use scheduler::Effect;
        let me = self.hosts[host].node;
        match effect {
            Effect::Answer { caller, answer, is_last: _ } => {
                let at = self.now + self.between(MS / 10, MS);
                self.push(at, What::Answer { op: caller.session, answer });
            }
            Effect::Execute(says) => {
                self.note_leases(&says);
                self.local(host, Local::Executor(executor::Event::Owner { from: me, says }));
            }
            Effect::Joined(cluster) => {
                self.trace(|| format!("host {host} belongs to {cluster:?}"));
                let known = *self.hosts[host].disk.cluster.get_or_insert(cluster);
                if known != cluster {
                    self.violate(format!("host {host} joins a second cluster"));
                }
                self.local(host, Local::Formation(formation::Event::Joined));
            }
            Effect::Meet { node, address } => {
                if let Some(other) = self.index.get(&node).copied() {
                    self.process(host).knows.insert(other);
                    let to = Peer { node, address };
                    self.local(host, Local::Membership(membership::Event::Announce { to }));
                }
            }
            Effect::Persist(batch) => {
                let number = batch.number;
                assert!(!self.process(host).is_writing, "one batch at a time");
                self.process(host).is_writing = true;
                self.hosts[host].disk.write(batch);
                let slow = self.hosts[host].slow_until > self.now;
                let fsync = if slow {
                    self.between(50 * MS, 400 * MS)
                } else {
                    self.between(MS / 5, 4 * MS)
                };
                let life = self.hosts[host].life;
                if self.plan.sabotage == Some(Sabotage::EarlyDisk) {
                    let event = scheduler::Event::Persisted { number };
                    self.push(self.now, What::Inside(host, life, Local::Scheduler(event)));
                }
                self.push(self.now + fsync, What::Inside(host, life, Local::Synced(number)));
                if self.plan.sabotage == Some(Sabotage::EarlyDisk) {
                    self.process(host).is_writing = false;
                }
            }
            Effect::Lost(loss) => self.violate(format!("host {host} has lost {loss:?}")),
            Effect::Refused(refusal) => self.violate(format!("host {host} is refused: {refusal}")),
            Effect::Send { to, urgent, messages } => self.send(host, to, urgent, messages),
        }
    }

    fn synced(&mut self, host: usize, number: u64) {
        let forgets = self.plan.sabotage == Some(Sabotage::ForgetfulDisk) && self.flip(0.2);
        let disk = &mut self.hosts[host].disk;
        if forgets {
            disk.forget(number);
        } else {
            disk.sync(number);
        }
        if self.plan.sabotage != Some(Sabotage::EarlyDisk) {
            self.process(host).is_writing = false;
            self.step_scheduler(host, scheduler::Event::Persisted { number });
        }
    }

    fn note_leases(&mut self, says: &OwnerSays) {
        if let OwnerSays::Dispatch { runs, .. } = says {
            for run in runs {
                self.ledger.leased.entry((run.task, run.token)).or_insert(self.now);
            }
        }
    }

    /// Puts messages on their way, as bytes.
    fn send(&mut self, host: usize, to: NodeId, urgent: bool, messages: Vec<PeerMessage>) {
        let Some(other) = self.index.get(&to).copied() else {
            return self.violate(format!("host {host} speaks to nobody"));
        };
        for message in &messages {
            if let PeerMessage::ToExecutor(says) = message {
                self.note_leases(says);
            }
        }
        let clock = self.hosts[host].wall(self.now);
        let mut bytes = encode(&Envelope { clock, messages });
        if self.plan.sabotage == Some(Sabotage::LostHolds) {
            bytes = lose_holds(&bytes);
        }
        let times = if self.network.unruly && urgent && self.flip(0.03) { 2 } else { 1 };
        for _ in 0..times {
            match self.network.send(host, other, urgent, self.now, &mut self.rng) {
                Fate::Arrives { at, epoch } => {
                    let bytes = bytes.clone();
                    self.push(at, What::Envelope { from: host, to: other, epoch, bytes });
                }
                Fate::Dooms { at, epoch } => {
                    self.push(at, What::Breaks { a: host, b: other, epoch });
                }
                Fate::Lost => {}
            }
        }
    }

    /// An envelope arrives.
    pub fn received(&mut self, from: usize, host: usize, bytes: &[u8]) {
        let sender = self.hosts[from].node;
        let Envelope { clock, messages } =
            decode(bytes, FRAME_BYTES_MAX).expect("what is sent can be read");
        let mut for_scheduler = Vec::new();
        for message in messages {
            match message {
                PeerMessage::ToExecutor(says) => {
                    let event = executor::Event::Owner { from: sender, says };
                    self.local(host, Local::Executor(event));
                }
                other => for_scheduler.push(other),
            }
        }
        if !for_scheduler.is_empty() {
            let envelope = Envelope { clock, messages: for_scheduler };
            let event = scheduler::Event::Peer { from: sender, envelope };
            self.local(host, Local::Scheduler(event));
        }
        self.local(host, Local::Membership(membership::Event::Heard { node: sender }));
    }

    fn step_executor(&mut self, host: usize, event: executor::Event) {
        let me = self.hosts[host].node;
        let tick = self.tick(host);
        let mut effects = Vec::new();
        self.process(host).executor.step(tick, event, &mut effects);
        for effect in effects {
            match effect {
                executor::Effect::Send { to, says } if to == me => {
                    let says = if self.plan.sabotage == Some(Sabotage::LostHolds) {
                        without_runs(says)
                    } else {
                        says
                    };
                    self.local(host, Local::Scheduler(scheduler::Event::Executor(says)));
                }
                executor::Effect::Send { to, says } => {
                    self.send(host, to, false, vec![PeerMessage::FromExecutor(says)]);
                }
                executor::Effect::Start(start) => self.run_starts(host, &start),
                executor::Effect::Stop { task, token } => {
                    if self.flip(0.8) {
                        let script = Script { mark: 0, takes: 0, failures: 0, permanent: false };
                        let at = self.now + self.between(MS, 50 * MS);
                        let life = self.hosts[host].life;
                        let ended = Local::Ended(task, token, script, true);
                        self.push(at, What::Inside(host, life, ended));
                    }
                }
            }
        }
        self.plan_wake(host, EXECUTOR);
    }

    fn run_starts(&mut self, host: usize, start: &executor::Start) {
        let script = Script::of(&start.args).expect("arguments arrive as they were given");
        let lessee = self.process(host).executor.me();
        self.trace(|| {
            let (task, token, mark) = (start.task, start.token, script.mark);
            format!("host {host} starts #{mark} {task} {token} attempt {}", start.attempt)
        });
        let times = if self.plan.sabotage == Some(Sabotage::DoubleStart) { 2 } else { 1 };
        for _ in 0..times {
            invariants::on_start(self, script.mark, start.task, start.token, lessee);
        }
        self.progress_at = self.now;
        let known = self.process(host).runs.insert((start.task, start.token), start.attempt);
        if known.is_some() {
            self.violate(format!("host {host} starts {} {} again", start.task, start.token));
        }
        let at = self.now + script.takes;
        let life = self.hosts[host].life;
        let ended = Local::Ended(start.task, start.token, script, false);
        self.push(at, What::Inside(host, life, ended));
    }

    fn run_ended(
        &mut self,
        host: usize,
        task: TaskId,
        token: Token,
        script: &Script,
        stopped: bool,
    ) {
        let Some(attempt) = self.process(host).runs.remove(&(task, token)) else {
            return;
        };
        let outcome = if stopped { Outcome::Cancelled } else { script.outcome(attempt) };
        self.trace(|| format!("host {host} ends {task} {token}: {outcome:?}"));
        self.progress_at = self.now;
        self.ledger.ended_run(task, token, self.now, &outcome);
        self.step_executor(host, executor::Event::Finished(vec![(task, token, outcome)]));
    }

    fn step_membership(&mut self, host: usize, event: membership::Event) {
        let tick = self.tick(host);
        let mut effects = Vec::new();
        self.process(host).membership.step(tick, event, &mut effects);
        for effect in effects {
            match effect {
                membership::Effect::Changed { identity, liveness } => {
                    let Identity { node, incarnation, .. } = identity;
                    self.trace(|| format!("host {host} finds {node:?} {liveness:?}"));
                    let down = liveness == Liveness::Down;
                    self.ledger.opinion(host, (node, incarnation), down, self.now);
                    let event = scheduler::Event::Liveness { node, incarnation, liveness };
                    self.local(host, Local::Scheduler(event));
                }
                membership::Effect::SendDatagram { to, data } => {
                    self.send_datagram(host, to.node, data);
                }
                membership::Effect::Superseded { by } => {
                    self.violate(format!("host {host} is superseded by {by:?}"));
                }
                membership::Effect::Load { .. }
                | membership::Effect::Rejected { .. }
                | membership::Effect::Rejoined { .. } => {}
            }
        }
        self.plan_wake(host, MEMBERSHIP);
    }

    fn send_datagram(&mut self, host: usize, to: NodeId, data: Bytes) {
        let Some(other) = self.index.get(&to).copied() else {
            return;
        };
        let lost = f64::from(self.datagram_loss) / 1_000.0;
        if self.network.blocked.contains(&(host, other)) || self.flip(lost) {
            return;
        }
        let times = if self.flip(0.01) { 2 } else { 1 };
        for _ in 0..times {
            let at = self.now + self.between(MS / 10, 5 * MS);
            self.push(at, What::Datagram { from: host, to: other, data: data.clone() });
        }
    }

    fn step_formation(&mut self, host: usize, event: formation::Event) {
        let tick = self.tick(host);
        let mut effects = Vec::new();
        let Some(formation) = &mut self.process(host).formation else {
            return;
        };
        formation.step(tick, event, &mut effects);
        for effect in effects {
            match effect {
                formation::Effect::Ask { seed } => {
                    let at = self.now + self.between(MS, 200 * MS);
                    let life = self.hosts[host].life;
                    self.push(at, What::Inside(host, life, Local::Greeted(seed)));
                }
                formation::Effect::Join { seed } => {
                    self.process(host).knows.insert(seed);
                }
                formation::Effect::Found { founders } => {
                    self.trace(|| format!("host {host} forms a cluster of {founders}"));
                    let cluster =
                        umbel_protocol::id::ClusterId(u128::from(self.random()) << 64 | 1);
                    let found = Found {
                        cluster,
                        partitions: self.plan.partitions,
                        replicas: self.plan.replicas,
                        founders,
                    };
                    self.local(host, Local::Scheduler(scheduler::Event::Found(found)));
                }
            }
        }
        self.plan_wake(host, FORMATION);
    }

    fn greeted(&mut self, host: usize, seed: usize) {
        let other = &self.hosts[seed];
        let answers = other.process.is_some()
            && other.paused_until <= self.now
            && (host == seed || self.network.passes(host, seed));
        let event = if answers {
            let answer = formation::Answer { node: other.node, cluster: other.disk.cluster };
            formation::Event::Answered { seed, answer }
        } else {
            formation::Event::Silent { seed }
        };
        self.step_formation(host, event);
    }

    /// Something for a machine of the same node: a mailbox keeps the order.
    pub fn local(&mut self, host: usize, what: Local) {
        let lane = match what {
            Local::Executor(_) => EXECUTOR,
            Local::Membership(_) => MEMBERSHIP,
            Local::Formation(_) => FORMATION,
            _ => SCHEDULER,
        };
        let at = self.now + self.between(0, 50);
        let life = self.hosts[host].life;
        let Some(process) = &mut self.hosts[host].process else {
            return;
        };
        let at = at.max(process.lanes[lane]);
        process.lanes[lane] = at;
        self.push(at, What::Inside(host, life, what));
    }

    fn deadline(&self, host: usize, machine: usize) -> u64 {
        let Some(process) = &self.hosts[host].process else {
            return u64::MAX;
        };
        let tick = match machine {
            SCHEDULER => process.scheduler.next_deadline(),
            EXECUTOR => process.executor.next_deadline(),
            MEMBERSHIP => process.membership.next_deadline(),
            _ => process.formation.as_ref().map_or(Tick::NEVER, Formation::next_deadline),
        };
        process.started_at.saturating_add(tick.as_micros())
    }

    fn plan_wake(&mut self, host: usize, machine: usize) {
        let deadline = self.deadline(host, machine);
        let now = self.now;
        let life = self.hosts[host].life;
        let Some(process) = &mut self.hosts[host].process else {
            return;
        };
        if deadline < process.wake_at[machine] {
            process.wake_at[machine] = deadline;
            self.push(deadline.max(now), What::Inside(host, life, Local::Wake(machine)));
        }
    }

    fn woken(&mut self, host: usize, machine: usize) {
        self.process(host).wake_at[machine] = u64::MAX;
        if self.deadline(host, machine) > self.now {
            return self.plan_wake(host, machine);
        }
        match machine {
            SCHEDULER => self.step_scheduler(host, scheduler::Event::Due),
            EXECUTOR => self.step_executor(host, executor::Event::Due),
            MEMBERSHIP => self.step_membership(host, membership::Event::Tick),
            _ => self.step_formation(host, formation::Event::Due),
        }
    }
}

fn without_runs(says: ExecutorSays) -> ExecutorSays {
    match says {
        ExecutorSays::Holds { lessee, partition, term, .. } => {
            ExecutorSays::Holds { lessee, partition, term, runs: Vec::new() }
        }
        other => other,
    }
}

fn lose_holds(bytes: &[u8]) -> Vec<u8> {
    let mut envelope: Envelope = decode(bytes, FRAME_BYTES_MAX).expect("just encoded");
    for message in &mut envelope.messages {
        if let PeerMessage::FromExecutor(says) = message {
            *says = without_runs(says.clone());
        }
    }
    encode(&envelope)
}
