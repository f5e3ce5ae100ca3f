//! Virtual time: one queue of events, one generator, and the loop that takes one after the other.

mod connections;

use std::collections::{BTreeMap, VecDeque};

use bytes::Bytes;
use rand::rngs::ChaCha8Rng;
use rand::{RngExt, SeedableRng};
use umbel_protocol::id::{GroupId, NodeId};
use umbel_protocol::job::Zones;
use umbel_protocol::membership;
use umbel_protocol::wire::Answer;
use umbel_protocol::wire::hello::Versions;
use xxhash_rust::xxh3::Xxh3Default;

use crate::client::Clients;
use crate::disk::Disk;
use crate::faults::{Apart, Fault, Slack, Third, Traffic};
use crate::host::{Host, Local, true_wall};
use crate::invariants;
use crate::jobs::Jobs;
use crate::ledger::Ledger;
use crate::loss::Loss;
use crate::network::Network;
use crate::operator::{OPERATOR, Operator};
use crate::plan::{MS, Plan, SECOND, Work};
use crate::rules::Rules;
use crate::work;

/// What nodes spoke before this version.
const BEFORE: Versions = Versions { min: Versions::OWN.min, max: Versions::OWN.max - 1 };
/// How often everything is compared.
const CHECK_EVERY: u64 = 500 * MS;
/// Without a start, an end or an answer for so long, something hangs: no pause of a task is longer.
const STALLED: u64 = 40 * SECOND;
/// So long after that all copies must be where they belong, and equal.
const SETTLED: u64 = 20 * SECOND;
/// More events than any world needs: something spins.
const STEPS_MAX: u64 = 20_000_000;
/// More events than any moment has.
const STEPS_AT_ONCE_MAX: u64 = 50_000;

/// A cluster, its clients and all that goes wrong.
pub struct World {
    /// What it is made of.
    pub plan: Plan,
    /// Virtual time, in microseconds.
    pub now: u64,
    /// The nodes.
    pub hosts: Vec<Host>,
    /// Where each node is.
    pub index: BTreeMap<NodeId, usize>,
    /// What connects them.
    pub network: Network,
    /// Who asks them.
    pub clients: Clients,
    /// Who runs it.
    pub operator: Operator,
    /// What was seen.
    pub ledger: Ledger,
    /// What copies looked like.
    pub images: invariants::replicas_converge::Images,
    /// How far everything was.
    pub furthest: invariants::nothing_goes_back::Furthest,
    /// The life of each host and what each of its copies had applied when it was last looked at.
    pub looked_at: BTreeMap<(usize, GroupId), (u64, u64)>,
    /// Who was seen to own what.
    pub owners: invariants::one_owner::Owners,
    /// What else invariants remember.
    pub watch: invariants::Watch,
    /// What disks held before they lost it: promises were made on it.
    pub lost_disks: Vec<Disk>,
    /// What is known of jobs.
    pub jobs: Jobs,
    /// What is known of rules.
    pub rules: Rules,
    /// The time zones that all of them know.
    pub zones: Zones,
    /// How far times may be off.
    pub slack: Slack,
    /// What was sent so far.
    pub traffic: Traffic,
    /// What had been sent when everything was compared lately.
    pub traffic_past: VecDeque<(u64, Traffic)>,
    /// What became of a third that failed.
    pub third: Option<Third>,
    /// The two that are cut from each other only, if any are.
    pub apart: Option<Apart>,
    /// How the last loss goes.
    pub loss: Loss,
    /// What happened how often.
    pub seen: BTreeMap<&'static str, u64>,
    /// Whether anything has gone wrong yet.
    pub is_troubled: bool,
    /// When everything was healed.
    pub healed_at: Option<u64>,
    /// When anything last went on.
    pub progress_at: u64,
    /// What went wrong.
    pub violation: Option<String>,
    /// Decides everything.
    pub rng: ChaCha8Rng,
    /// Of all that happened, if the plan wants one.
    pub fingerprint: Xxh3Default,
    /// Events so far.
    pub steps: u64,
    /// Events of this very moment.
    at_once: u64,
    queue: BTreeMap<(u64, u64), What>,
    queued: u64,
    prints: bool,
}

/// What happens in a world.
#[derive(Clone, Debug)]
pub enum What {
    /// A client is answered.
    Answer {
        /// Its operation.
        op: u64,
        /// Which attempt of it.
        attempt: u64,
        /// What.
        answer: Answer,
    },
    /// A connection breaks.
    Breaks {
        /// One side.
        a: usize,
        /// The other.
        b: usize,
        /// Which connection.
        epoch: u64,
    },
    /// Everything is compared.
    Check,
    /// Hosts are connected.
    Connect,
    /// A datagram arrives.
    Datagram {
        /// From where.
        from: usize,
        /// Where.
        to: usize,
        /// What.
        data: Bytes,
    },
    /// An envelope arrives.
    Envelope {
        /// From where.
        from: usize,
        /// Where.
        to: usize,
        /// On which connection.
        epoch: u64,
        /// In which version it is written.
        version: u16,
        /// In which class.
        urgent: bool,
        /// What.
        bytes: Vec<u8>,
    },
    /// Something breaks or heals.
    Fault(Fault),
    /// Inside a process: host, of which life and build, what.
    Inside(usize, (u64, u64), Local),
    /// The operator asks again.
    Operate(u64),
    /// A client gives up waiting: operation, attempt.
    Timeout(u64, u64),
    /// A client tries.
    Try(u64),
}

impl World {
    /// A world before its first moment.
    #[must_use]
    pub fn new(plan: Plan, prints: bool) -> Self {
        let mut rng = ChaCha8Rng::seed_from_u64(plan.seed);
        let mut hosts = Vec::new();
        let mut index = BTreeMap::new();
        for host in 0..plan.hosts {
            let node = NodeId((u128::from(rng.random::<u64>()) << 64) | host as u128);
            let skew = i64::try_from(plan.faults.clock_skew).unwrap_or(0);
            let clock = if skew == 0 { 0 } else { rng.random_range(-skew..=skew) };
            index.insert(node, host);
            let drift = i64::from(plan.faults.clock_drift);
            let rate = if drift == 0 { 0 } else { rng.random_range(-drift..=drift) };
            let new = Host::new(node, work::profile(host, &mut rng), clock);
            // The first one forms the cluster, which then speaks what that one does.
            let is_older = host + plan.older >= plan.hosts;
            let versions = if is_older { BEFORE } else { new.versions };
            hosts.push(Host { rate, versions, ..new });
        }
        let mut world = Self {
            now: SECOND,
            hosts,
            index,
            network: Network::new(plan.faults.noise, plan.faults.lags),
            clients: Clients::default(),
            operator: Operator::default(),
            ledger: Ledger::default(),
            images: Default::default(),
            furthest: Default::default(),
            looked_at: BTreeMap::new(),
            owners: Default::default(),
            watch: Default::default(),
            lost_disks: Vec::new(),
            jobs: Jobs::default(),
            rules: Rules::default(),
            zones: Zones::bundled(),
            slack: Slack::default(),
            traffic: Traffic::default(),
            traffic_past: VecDeque::new(),
            third: None,
            apart: None,
            loss: Loss::default(),
            seen: BTreeMap::new(),
            is_troubled: plan.faults.is_troubled_at_once(),
            healed_at: None,
            progress_at: 0,
            violation: None,
            rng,
            fingerprint: Xxh3Default::new(),
            steps: 0,
            at_once: 0,
            queue: BTreeMap::new(),
            queued: 0,
            prints,
            plan,
        };
        for host in 0..world.hosts.len() {
            let at = world.now + world.between(0, 2 * SECOND);
            world.push(at, What::Fault(Fault::Restart(host)));
        }
        world.push(world.now, What::Connect);
        world.push(world.now + CHECK_EVERY, What::Check);
        world.plan_work();
        world.plan_jobs();
        world.plan_rules();
        world.plan_faults();
        world
    }

    /// Lets it run until it is at rest, or something is wrong.
    ///
    /// # Errors
    /// What is wrong.
    pub fn run(&mut self) -> Result<(), String> {
        loop {
            self.steps += 1;
            if self.steps > STEPS_MAX {
                self.violate(format!("it spins: {} events wait", self.queue.len()));
            }
            if let Some(violation) = self.violation.take() {
                return Err(violation);
            }
            let Some(((at, _), what)) = self.queue.pop_first() else {
                return Err("nothing is left to happen".to_owned());
            };
            self.at_once = if at == self.now { self.at_once + 1 } else { 0 };
            if self.at_once > STEPS_AT_ONCE_MAX {
                self.violate(format!("time stands still at {what:?}"));
            }
            self.now = at;
            if self.plan.is_fingerprinted {
                self.fingerprint.update(format!("{at} {what:?}").as_bytes());
            }
            if matches!(what, What::Check) && self.is_over()? {
                return Ok(());
            }
            self.happen(what);
        }
    }

    fn is_over(&mut self) -> Result<bool, String> {
        self.note_clocks();
        self.count_traffic();
        invariants::check(self)?;
        let Some(healed_at) = self.healed_at else {
            return Ok(false);
        };
        if self.now < healed_at {
            return Ok(false);
        }
        let open = self
            .clients
            .open()
            .or_else(|| self.operator.open())
            .or_else(|| invariants::every_task_ends::open(self));
        let unsettled = invariants::replicas_converge::unsettled(self)
            .map(|what| format!("replicas_converge: {what}"))
            .or_else(|| {
                let left = invariants::nothing_is_left::left(self);
                left.map(|what| format!("nothing_is_left: {what}"))
            });
        if open.is_none() && unsettled.is_none() {
            if self.begin_loss() {
                return Ok(false);
            }
            if self.loss.begun && self.loss.at.is_none() {
                return Ok(false);
            }
            invariants::at_end(self)?;
            return Ok(true);
        }
        let patience = self.patience();
        if open.is_some() && self.waits_for_time() {
            self.progress_at = self.now;
        }
        if let Some(open) = open.filter(|_| self.now > self.progress_at.max(healed_at) + patience) {
            let slots = |host: &Host| {
                let process = host.process.as_ref();
                process.map(|p| (p.executor.held(), p.executor.free(), p.scheduler.idle()))
            };
            let slots: Vec<_> = self.hosts.iter().map(slots).collect();
            return Err(format!(
                "every_task_ends: nothing goes on, but {open}; besides, {unsettled:?}; held, free, \
                 idle: {slots:?}"
            ));
        }
        if let Some(unsettled) =
            unsettled.filter(|_| self.now > self.progress_at.max(healed_at) + SETTLED + patience)
        {
            return Err(format!("{unsettled}, long after everything was healed"));
        }
        Ok(false)
    }

    /// For how long nothing may go on: no task takes longer.
    const fn patience(&self) -> u64 {
        match self.plan.work {
            Work::Long => STALLED + work::LONGEST,
            Work::Alone | Work::Hot | Work::Overload | Work::Poison | Work::Ruled | Work::Usual => {
                STALLED
            }
        }
    }

    /// Whether wild clocks have carried the time of a partition on, which stands still until it is due.
    fn waits_for_time(&self) -> bool {
        let soon = true_wall(self.now + STALLED / 4);
        self.slack.was_carried_on
            && invariants::partitions(self)
                .filter_map(|id| invariants::owned(self, id))
                .any(|partition| partition.now() > soon)
    }

    /// Something happens.
    pub(crate) fn happen(&mut self, what: What) {
        match what {
            What::Answer { op: OPERATOR, attempt, answer } => self.operated(attempt, answer),
            What::Answer { op, attempt, answer } => self.answered(op, attempt, answer),
            What::Breaks { a, b, epoch } => {
                if self.network.is_current(a, b, epoch) {
                    self.cut_link(a, b);
                }
            }
            What::Check => self.push(self.now + CHECK_EVERY, What::Check),
            What::Connect => self.connect_all(),
            What::Datagram { from, to, data } => {
                if self.stands_still(to) {
                    return self.hosts[to].backlog.push(What::Datagram { from, to, data });
                }
                let sender = Some(self.hosts[from].node);
                let event = membership::Event::Received { from: sender, data };
                self.local(to, Local::Membership(event));
            }
            What::Envelope { from, to, epoch, version, urgent, bytes } => {
                let read_at = self.network.read_at(from, to, epoch, urgent, self.now);
                let Some(read_at) = read_at else {
                    return;
                };
                if read_at > self.now {
                    let late = What::Envelope { from, to, epoch, version, urgent, bytes };
                    return self.push(read_at, late);
                }
                if self.stands_still(to) {
                    let late = What::Envelope { from, to, epoch, version, urgent, bytes };
                    return self.hosts[to].backlog.push(late);
                }
                if !self.network.is_current(from, to, epoch) {
                    self.saw("frame of an old connection");
                }
                if self.hosts[to].process.is_some() {
                    self.received(from, to, version, &bytes);
                }
            }
            What::Fault(fault) => self.strike(fault),
            What::Inside(host, meant, local) => {
                if !self.is_there(host, meant, &local) {
                    return;
                }
                if self.stands_still(host) {
                    return self.hosts[host].backlog.push(What::Inside(host, meant, local));
                }
                self.happens(host, local);
            }
            What::Operate(number) => self.operate_again(number),
            What::Timeout(op, attempt) => self.timed_out(op, attempt),
            What::Try(op) => self.try_op(op),
        }
    }

    fn stands_still(&self, host: usize) -> bool {
        self.hosts[host].paused_until > self.now
    }

    /// Where a node is, unless it is gone for ever.
    #[must_use]
    pub fn host_of(&self, node: NodeId) -> Option<usize> {
        self.index.get(&node).copied()
    }

    /// Puts an event in line.
    pub fn push(&mut self, at: u64, what: What) {
        self.queued += 1;
        self.queue.insert((at.max(self.now), self.queued), what);
    }

    /// Something is wrong; the first such thing counts.
    pub fn violate(&mut self, what: String) {
        if self.plan.alone.is_none() {
            self.violation.get_or_insert(what);
        }
    }

    /// What has just been checked must hold.
    pub fn must(&mut self, invariant: &str, result: Result<(), String>) {
        if let Err(what) = invariants::Named::of(self).by(invariant, result) {
            self.violation.get_or_insert(what);
        }
    }

    /// Something happened that must happen in some seed, else the seeds prove nothing about it.
    pub fn saw(&mut self, what: &'static str) {
        *self.seen.entry(what).or_default() += 1;
    }

    /// The same, if it really came to that.
    pub fn saw_if(&mut self, what: &'static str, is_so: bool) {
        if is_so {
            self.saw(what);
        }
    }

    /// Notes what happens, for people.
    pub fn trace(&mut self, line: impl FnOnce() -> String) {
        if self.prints {
            let line = format!("{:>12.6} {}", self.now as f64 / SECOND as f64, line());
            println_line(&line);
        }
    }

    /// A number.
    pub fn random(&mut self) -> u64 {
        self.rng.random()
    }

    /// A number from `low` up to `high`.
    pub fn between(&mut self, low: u64, high: u64) -> u64 {
        self.rng.random_range(low..=high)
    }

    /// Whether something of this probability happens.
    pub fn flip(&mut self, probability: f64) -> bool {
        self.rng.random_bool(probability)
    }
}

#[allow(clippy::print_stdout, reason = "the trace of a replay is for people")]
fn println_line(line: &str) {
    println!("{line}");
}
