//! What a node does for the groups that it holds copies of, and for whoever asks it something.
//!
//! One machine drives all groups of a node together, because batching is the whole art: what
//! arrives while the disk is busy goes into the next few entries of few groups, all of which become
//! durable with one sync. The way of a task through the files:
//!
//! 1. [`asks`] keeps the request and [`route`] finds the owner of its partition, here or elsewhere,
//!    which begins to [`serve`] it;
//! 2. [`submit`] checks it and puts it in line for the log;
//! 3. [`round`] proposes, writes, sends and applies;
//! 4. [`applied`] turns what was applied into dispatches and answers, and [`answer`] has these
//!    find their way back;
//! 5. [`dispatch`] matches waiting tasks with free slots, which [`slots`] keeps and [`wishes`] asks
//!    for; [`ready`] and [`timers`] keep the lines;
//! 6. [`lessees`] takes the ends of runs, and decides when an executor is gone;
//! 7. [`takeover`] begins anew when a group gets a new owner;
//! 8. [`loss`] has copies replaced whose storage is gone;
//! 9. [`memory`] says when the node is full, [`cold`] what need not be in memory, [`states`] which copies get a whole state now;
//! 10. [`meta`] keeps up with the cluster's facts, and [`facts`] has them changed by request;
//! 11. [`jobs`] has what is due put into the log, and does what people want of jobs;
//! 12. [`fitness`] knows which nodes can do their part, and [`leave`] hands all over in order.
//!
//! What the cluster's rules say of queues and tasks is heeded in [`gates`], on the way from the lines to the
//! slots; how many may run or begin in the whole cluster is shared out by [`permits`], and [`turns`] weighs
//! queues against each other.
//!
//! What every member has a part of, it tells when it is asked: [`list`], [`queues`] and [`survey`] put
//! together what [`gather`] brings.
//!
//! **Contract.** [`Scheduler::step`] is called with times that never go back and one event (or
//! [`step_all`](Scheduler::step_all) with those that came together); all effects are to be carried
//! out in order. A [`Effect::Persist`] is answered with
//! [`Event::Persisted`]; no second one comes before. A [`Effect::Keep`] is answered with
//! [`Event::Kept`].

mod answer;
mod applied;
mod asks;
mod clocks;
mod cold;
mod disk;
mod dispatch;
mod effect;
mod event;
mod facts;
mod fitness;
mod flow;
mod founding;
mod gates;
mod gather;
mod guards;
mod inspect;
mod jobs;
mod leave;
mod lessees;
mod list;
mod loads;
mod loss;
mod memory;
mod meta;
mod names;
mod obstacle;
mod outbox;
mod permits;
mod queues;
mod quorum;
mod read;
mod ready;
mod replica;
mod retention;
mod round;
mod route;
mod serve;
mod slots;
mod states;
mod strain;
mod submit;
mod survey;
mod sweep;
mod takeover;
mod task_groups;
mod tellers;
#[cfg(test)]
mod tests;
mod throttled;
mod timers;
mod turns;
mod upgrade;
mod upkeep;
mod waits;
mod watches;
mod wishes;

use std::collections::{BTreeMap, BTreeSet};

use rand::SeedableRng;
use rand::rngs::ChaCha8Rng;

use self::asks::Asks;
use self::clocks::Clocks;
use self::disk::Disk;
pub use self::effect::{Effect, Loss};
pub use self::event::{Caller, Event, Found, Now};
use self::fitness::Fitness;
use self::flow::Flow;
use self::gather::Gatherings;
use self::guards::Guards;
pub use self::inspect::CopyView;
use self::jobs::{JobListing, Plans};
use self::lessees::Lessees;
use self::list::Listing;
use self::loads::Loads;
use self::outbox::Outbox;
use self::permits::Permits;
use self::permits::home::Homes;
use self::queues::QueueListing;
use self::read::Read;
use self::ready::Ready;
use self::replica::Replica;
use self::slots::Slots;
use self::states::States;
use self::submit::OnTheWay;
use self::survey::Survey;
use self::task_groups::TaskGroupCount;
use self::throttled::Throttled;
use self::timers::Timers;
use self::turns::Turns;
use self::waits::Waits;
use self::watches::Watches;
use crate::cold::Cold;
use crate::durable::StoredGroup;
use crate::id::{GroupId, Incarnation, NodeId, PartitionId, ReplicaId};
use crate::job::Zones;
use crate::limits::Limits;
use crate::membership::Liveness;
use crate::meta::{Join, Meta};
use crate::time::{Span, Tick};
use crate::wire::hello::Versions;

/// How a scheduler is set up.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The node.
    pub node: NodeId,
    /// Which start of it.
    pub incarnation: Incarnation,
    /// How the node presents itself to the cluster.
    pub join: Join,
    /// Seeds its generator.
    pub seed: u64,
    /// How long a member may be away before others take over its copies.
    pub replace_after: Span,
    /// How much is kept, and for how long.
    pub limits: Limits,
    /// Whether it was told of other nodes that may know more than it does.
    pub has_seeds: bool,
    /// What it speaks: [`Versions::OWN`](crate::wire::hello::Versions::OWN), but where an older node is
    /// to be played.
    pub versions: Versions,
    /// Counts the schedulers of this start of the node.
    pub scheduler: u32,
    /// The time zones that it knows.
    pub zones: Zones,
    /// Whether its wall clock is moved by a test, which wants all that waits to go along with it. Else that
    /// goes by the time that passes.
    pub follows_wall: bool,
    /// Where records lie that nobody will look at for a while; absent if all of them stay in memory. No other
    /// scheduler has this one, nor had any before.
    pub cold: Option<Cold>,
}

/// Drives the groups of a node.
pub struct Scheduler {
    settings: Settings,
    now: Now,
    started_at: Tick,
    rng: ChaCha8Rng,

    // What this node holds.
    replicas: BTreeMap<GroupId, Replica>,
    /// What their records take together.
    memory: usize,
    /// The highest copy of each group that was destroyed here: it never comes back.
    destroyed: BTreeMap<GroupId, ReplicaId>,
    /// Groups that have something to be drained.
    dirty: BTreeSet<GroupId>,
    /// Groups with commands to be proposed.
    staged: BTreeSet<GroupId>,
    disk: Disk,
    states: States,

    /// What condition this node is in.
    fitness: Fitness,

    // What it knows of others.
    meta: Option<Meta>,
    is_member: bool,
    peers: BTreeMap<NodeId, Peer>,
    /// Nodes that gossip has not told of, and since when they are known by name: as members, as those who run
    /// something, or as those who want to join.
    strangers: BTreeMap<NodeId, Tick>,
    /// The newest version that this node and another both speak, as it was when they met.
    spoken: BTreeMap<NodeId, u16>,
    /// Who said that it owns a partition of which there is no copy here.
    owners: BTreeMap<PartitionId, NodeId>,
    /// Who was said to lead the meta group, by one that does not.
    keeper_of_facts: Option<NodeId>,
    clocks: Clocks,
    lessees: Lessees,
    guards: Guards,

    // Indexes over the records of the partitions that it owns.
    ready: Ready,
    turns: Turns,
    throttled: Throttled,
    permits: Permits,
    homes: Homes,
    flow: Flow,
    timers: Timers,
    plans: Plans,
    slots: Slots,
    loads: Loads,

    // Who waits for what.
    asks: Asks,
    waits: Waits,
    watches: Watches,
    /// The number of the next confirmation of reads.
    next_read: u64,
    /// Groups with reads whose confirmation is to be asked for.
    unconfirmed: BTreeSet<GroupId>,
    /// Confirmed reads that wait for entries to be applied.
    confirmed: BTreeMap<GroupId, Vec<(u64, Vec<Read>)>>,
    on_the_way: OnTheWay,
    listings: Gatherings<Listing>,
    job_listings: Gatherings<JobListing>,
    surveys: Gatherings<Survey>,
    queue_listings: Gatherings<QueueListing>,
    /// Counts of groups of tasks to which other nodes still contribute.
    task_group_counts: Gatherings<TaskGroupCount>,
    joins: BTreeMap<NodeId, Join>,

    outbox: Outbox,
    tick_at: Tick,
    upkeep_turn: u64,
    /// Whether it does nothing any more, because of what it cannot read.
    is_over: bool,
}

/// What is known of another node.
#[derive(Clone, Copy, Debug)]
struct Peer {
    incarnation: Incarnation,
    liveness: Liveness,
    since: Tick,
}

impl Scheduler {
    /// A scheduler over what the store holds.
    #[must_use]
    pub fn new(settings: Settings, now: Now, stored: Vec<StoredGroup>) -> Self {
        let mut scheduler = Self {
            now,
            started_at: now.tick,
            rng: ChaCha8Rng::seed_from_u64(settings.seed),
            replicas: BTreeMap::new(),
            memory: 0,
            destroyed: BTreeMap::new(),
            dirty: BTreeSet::new(),
            staged: BTreeSet::new(),
            disk: Disk::default(),
            states: States::default(),
            fitness: Fitness::default(),
            meta: None,
            is_member: false,
            peers: BTreeMap::new(),
            strangers: BTreeMap::new(),
            spoken: BTreeMap::new(),
            owners: BTreeMap::new(),
            keeper_of_facts: None,
            clocks: Clocks::default(),
            lessees: Lessees::default(),
            guards: Guards::default(),
            ready: Ready::default(),
            turns: Turns::default(),
            throttled: Throttled::default(),
            permits: Permits::default(),
            homes: Homes::default(),
            flow: Flow::default(),
            timers: Timers::default(),
            plans: Plans::default(),
            slots: Slots::default(),
            loads: Loads::default(),
            asks: Asks::new(settings.incarnation, settings.scheduler),
            waits: Waits::default(),
            watches: Watches::default(),
            next_read: 1,
            unconfirmed: BTreeSet::new(),
            confirmed: BTreeMap::new(),
            on_the_way: OnTheWay::default(),
            listings: Gatherings::new(list::WAIT_MAX),
            job_listings: Gatherings::new(list::WAIT_MAX),
            surveys: Gatherings::new(survey::WAIT_MAX),
            queue_listings: Gatherings::new(list::WAIT_MAX),
            task_group_counts: Gatherings::new(list::WAIT_MAX),
            joins: BTreeMap::new(),
            outbox: Outbox::default(),
            tick_at: now.tick + crate::group::TICK,
            upkeep_turn: 0,
            is_over: false,
            settings,
        };
        for stored in stored {
            scheduler.open_replica(stored);
        }
        scheduler.learn_own_meta();
        scheduler
    }

    /// The node.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.settings.node
    }

    /// What the meta group says, as far as it is known here.
    #[must_use]
    pub const fn meta(&self) -> Option<&Meta> {
        self.meta.as_ref()
    }

    /// When [`Event::Due`] is to be given.
    #[must_use]
    pub fn next_deadline(&self) -> Tick {
        if self.is_over {
            return Tick::NEVER;
        }
        // While the disk is busy nothing is leased: what is due waits for it, not for a deadline.
        let due = self
            .timers
            .next(self.now)
            .min(self.plans.next(self.latest()))
            .min(self.throttled.next());
        let due = due.min(self.permits.next());
        let timer = if self.disk.is_free() { due } else { Tick::NEVER };
        self.tick_at.min(timer.max(self.now.tick)).min(self.asks.next_deadline())
    }

    /// Takes an event and appends what is to be done to `effects`.
    pub fn step(&mut self, now: Now, event: Event, effects: &mut Vec<Effect>) {
        self.step_all(now, [event], effects);
    }

    /// As [`step`](Self::step), with events that came together: what follows from all of them is
    /// written together, too.
    pub fn step_all(
        &mut self,
        now: Now,
        events: impl IntoIterator<Item = Event>,
        effects: &mut Vec<Effect>,
    ) {
        debug_assert!(now.tick >= self.now.tick, "time goes back");
        let first = effects.len();
        self.end_if_damaged(first, effects);
        if self.is_over {
            return;
        }
        self.take_time(now);
        self.plans.begin_step();
        for event in events {
            self.take(event);
        }
        self.round(effects);
        self.end_if_damaged(first, effects);
    }

    fn take(&mut self, event: Event) {
        match event {
            Event::Asked { caller, request } => self.asked(caller, request),
            Event::CallerGone { session } => self.asks.forget_session(session),
            Event::Condition(condition) => self.is_in(condition),
            Event::Due => self.due(),
            Event::Executor(says) => self.executor_says(says),
            Event::Found(found) => self.found(&found),
            Event::Kept { group, replica, index } => self.disk.kept(group, replica, index),
            Event::Leave => self.leave(),
            Event::Load { node, incarnation, load } => self.loads.told(node, incarnation, load),
            Event::Liveness { node, incarnation, liveness } => {
                self.heard_of(node, incarnation, liveness);
            }
            Event::Peer { from, envelope } => self.peer_says(from, envelope),
            Event::Persisted { number } => self.persisted(number),
            Event::Reached { node, version } => {
                self.speaks(node, version);
                self.reached(node);
            }
            Event::Reloaded { caller, result } => self.reloaded(caller, result),
            Event::Retired => self.fitness.retired(),
        }
    }

    fn liveness(&self, node: NodeId) -> Liveness {
        if node == self.node() {
            return Liveness::Alive;
        }
        if let Some(peer) = self.peers.get(&node) {
            return peer.liveness;
        }
        // Nobody has told of it: that is suspicious after a while.
        let is_overdue = self.now.tick.since(self.unheard_since(node)) > UNHEARD_MAX;
        if is_overdue { Liveness::Down } else { Liveness::Suspect }
    }

    /// Since when somebody could have told of a node, of which nobody has: it may have come just now.
    fn unheard_since(&self, node: NodeId) -> Tick {
        self.strangers.get(&node).copied().unwrap_or(self.started_at)
    }

    /// Somebody is known by name, of whom gossip may not have told yet.
    fn know_by_name(&mut self, node: NodeId) {
        let is_forgotten = self.meta.as_ref().is_some_and(|meta| meta.is_forgotten(node));
        if node != self.settings.node && !is_forgotten && !self.peers.contains_key(&node) {
            self.strangers.entry(node).or_insert(self.now.tick);
        }
    }

    fn is_alive(&self, node: NodeId) -> bool {
        self.liveness(node) == Liveness::Alive
    }
}

/// Whoever is known by name for so long and nobody has told of is taken to be down.
const UNHEARD_MAX: Span = Span::from_millis(10_000);
