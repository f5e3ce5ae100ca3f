//! The owner of one partition, alone in its cluster, over any state that a test wants to begin with.
//! The cluster has another partition, which nobody owns.

use bytes::Bytes;

use crate::cold::Cold;
use crate::durable::WriteBatch;
use crate::group::Group;
use crate::id::{ClusterId, GroupId, Incarnation, Lessee, NodeId, PartitionId, TaskId, Token};
use crate::job::{Labels, Zones};
use crate::limits::Limits;
use crate::membership::Liveness;
use crate::meta::{Join, Meta};
use crate::partition::{Command, Look, Partition, Proposal};
use crate::scheduler::{Caller, Effect, Event, Now, Scheduler, Settings};
use crate::task::{Batch, Options, Record, Row, Template};
use crate::time::{Span, Tick, Wall};
use crate::wire::hello::Versions;
use crate::wire::{
    Answer, Ask, Declaration, Envelope, ExecutorSays, OwnerSays, PeerMessage, Profile, Queue,
    Request,
};

pub(super) const HOME: NodeId = NodeId(1 << 96);
pub(super) const PARTITION: PartitionId = PartitionId(0);
/// When every test begins.
pub(super) const START: Wall = Wall::from_millis(1_800_000_000_000);

/// See the [module](self).
pub(super) struct LoneOwner {
    pub(super) scheduler: Scheduler,
    pub(super) now: Now,
    /// While it is, nothing becomes durable by itself.
    pub(super) disk_is_stuck: bool,
    /// Whether others have put into its log what nobody can read.
    pub(super) is_fed_garbage: bool,
    writing: Option<WriteBatch>,
    /// All commands that were proposed so far.
    pub(super) commands: Vec<Command>,
    /// In how many entries, and how long the longest was.
    pub(super) entries: usize,
    pub(super) entries_bytes_max: usize,
    /// All else that was to be done so far.
    pub(super) said: Vec<Effect>,
    requests: u64,
}

impl LoneOwner {
    /// With an empty partition and an executor that has `slots` slots.
    pub(super) fn new(slots: u32) -> Self {
        let mut owner = Self::over(&Partition::new(PARTITION));
        owner.introduce(owner.lessee(), slots);
        owner
    }

    /// With a partition in this state, and no executor.
    pub(super) fn over(partition: &Partition) -> Self {
        Self::limited(partition, Limits::default())
    }

    /// The same under other limits.
    pub(super) fn limited(partition: &Partition, limits: Limits) -> Self {
        Self::one_of(2, partition, limits)
    }

    /// The same in a cluster of so many partitions, of which it has no copies.
    pub(super) fn one_of(partitions: u16, partition: &Partition, limits: Limits) -> Self {
        Self::set_up(partitions, partition, limits, None, START)
    }

    /// With a partition in this state, of which it puts away what `cold` says, and no executor.
    pub(super) fn with_cold(partition: &Partition, limits: Limits, cold: Cold) -> Self {
        Self::set_up(2, partition, limits, Some(cold), START)
    }

    /// One that begins when its clock shows `wall`, with a partition in this state and no executor.
    pub(super) fn later(partition: &Partition, wall: Wall) -> Self {
        Self::set_up(2, partition, Limits::default(), None, wall)
    }

    fn set_up(
        partitions: u16,
        partition: &Partition,
        limits: Limits,
        cold: Option<Cold>,
        wall: Wall,
    ) -> Self {
        let join = join(HOME);
        let mut meta = Meta::new(ClusterId(7), join.cluster_name.clone(), partitions, 1, 1);
        meta.admit(join.clone(), START);
        let stored = vec![
            Group::founding(GroupId::META, HOME, meta.to_bytes().into()),
            Group::founding(GroupId::of(PARTITION), HOME, partition.to_bytes().into()),
        ];
        let settings = Settings {
            node: HOME,
            incarnation: Incarnation(1),
            join,
            seed: 3,
            replace_after: Span::from_millis(30_000),
            limits,
            has_seeds: false,
            versions: Versions::OWN,
            scheduler: 1,
            zones: Zones::bundled(),
            follows_wall: false,
            cold,
        };
        let now = Now { tick: Tick::START, wall };
        let mut owner = Self {
            scheduler: Scheduler::new(settings, now, stored),
            now,
            disk_is_stuck: false,
            is_fed_garbage: false,
            writing: None,
            commands: Vec::new(),
            entries: 0,
            entries_bytes_max: 0,
            said: Vec::new(),
            requests: 0,
        };
        owner.step(Event::Due);
        assert!(owner.copy().is_settled(), "it has nobody to wait for");
        owner
    }

    fn copy(&self) -> crate::scheduler::CopyView<'_> {
        self.scheduler.copy(GroupId::of(PARTITION)).unwrap()
    }

    pub(super) fn partition(&self) -> &Partition {
        self.copy().partition().unwrap()
    }

    pub(super) fn term(&self) -> u64 {
        self.copy().term()
    }

    pub(super) fn record(&self, task: TaskId) -> Option<&Record> {
        self.partition().record(task).map(Look::in_memory)
    }

    /// One event, and what follows from it once all of it is durable.
    pub(super) fn step(&mut self, event: Event) {
        self.step_all(vec![event]);
    }

    /// The deadline has come, and what is being written is durable: both at once.
    pub(super) fn due_and_persisted(&mut self) {
        let number = self.writing.take().expect("something is being written").number;
        self.disk_is_stuck = false;
        self.step_all(vec![Event::Due, Event::Persisted { number }]);
    }

    fn step_all(&mut self, events: Vec<Event>) {
        let mut effects = Vec::new();
        self.scheduler.step_all(self.now, events, &mut effects);
        for effect in effects {
            match effect {
                Effect::Keep(write) => panic!("a lone owner is sent no state: {write:?}"),
                Effect::Persist(batch) => self.write(batch),
                other => self.said.push(other),
            }
        }
        if !self.disk_is_stuck {
            self.settle();
        }
    }

    fn write(&mut self, batch: WriteBatch) {
        let entries = (batch.groups.iter())
            .filter(|write| write.group != GroupId::META)
            .flat_map(|write| &write.entries)
            .filter(|entry| entry.is_commands() && !entry.data.is_empty());
        for entry in entries {
            self.entries += 1;
            self.entries_bytes_max = self.entries_bytes_max.max(entry.data.len());
            let proposal: Result<Proposal, _> = Proposal::from_bytes(&entry.data);
            assert!(proposal.is_ok() || self.is_fed_garbage, "{entry:?}");
            self.commands.extend(proposal.unwrap_or_default().commands);
        }
        self.writing = Some(batch);
    }

    pub(super) fn settle(&mut self) {
        self.disk_is_stuck = false;
        let mut batches = 0;
        while let Some(batch) = self.writing.take() {
            batches += 1;
            assert!(batches < 1_000, "it comes to rest: {:?}", self.commands.last());
            self.step(Event::Persisted { number: batch.number });
        }
    }

    /// Lets `span` pass, with all that is due in it.
    pub(super) fn pass(&mut self, span: Span) {
        let until = self.now.tick + span;
        let mut at_once = 0;
        while self.scheduler.next_deadline() <= until {
            let wait = self.scheduler.next_deadline().since(self.now.tick);
            at_once = if wait == Span::ZERO { at_once + 1 } else { 0 };
            assert!(at_once < 1_000, "it wants to be woken at once, for ever");
            self.advance(wait);
            self.step(Event::Due);
        }
        self.advance(until.since(self.now.tick));
    }

    /// Both clocks go on, and nothing else happens.
    pub(super) fn advance(&mut self, span: Span) {
        self.now = Now { tick: self.now.tick + span, wall: self.now.wall + span };
    }

    pub(super) fn ask(&mut self, ask: Ask) -> u64 {
        self.requests += 1;
        let caller = Caller { session: 1, request: self.requests };
        let deadline = Span::from_millis(60_000);
        self.step(Event::Asked { caller, request: Request { deadline, ask } });
        self.requests
    }

    pub(super) fn submit(&mut self, batch: Batch) -> u64 {
        self.ask(Ask::Submit { batch: batch.into(), wait: false })
    }

    /// What request `number` was answered with, so far.
    pub(super) fn answers(&self, number: u64) -> Vec<&Answer> {
        let own = self.said.iter().filter_map(|effect| match effect {
            Effect::Answer { caller, answer, .. } if caller.request == number => Some(answer),
            _ => None,
        });
        own.collect()
    }

    pub(super) const fn lessee(&self) -> Lessee {
        lessee(HOME)
    }

    /// An executor, here or elsewhere, is there and leaves `slots` slots to this owner.
    pub(super) fn introduce(&mut self, lessee: Lessee, slots: u32) {
        if lessee.node != HOME {
            let (node, incarnation) = (lessee.node, lessee.incarnation);
            self.step(Event::Liveness { node, incarnation, liveness: Liveness::Alive });
        }
        self.executor(ExecutorSays::Introduce { lessee, profile: profile(slots) });
        if slots > 0 {
            self.executor(ExecutorSays::Grant { lessee, slots: vec![slots] });
        }
    }

    /// An executor says something.
    pub(super) fn executor(&mut self, says: ExecutorSays) {
        if says.node() == HOME {
            return self.step(Event::Executor(says));
        }
        self.peer(says.node(), PeerMessage::FromExecutor(says));
    }

    pub(super) fn peer(&mut self, from: NodeId, message: PeerMessage) {
        let envelope = Envelope { clock: self.now.wall, synced: 0, messages: vec![message] };
        self.step(Event::Peer { from, envelope });
    }

    /// What executors were told since this was last asked.
    pub(super) fn told(&mut self) -> Vec<(NodeId, OwnerSays)> {
        let mut told = Vec::new();
        for effect in std::mem::take(&mut self.said) {
            match effect {
                Effect::Execute(says) => told.push((HOME, says)),
                Effect::Send { to, messages, .. } => {
                    told.extend(messages.into_iter().filter_map(|message| match message {
                        PeerMessage::ToExecutor(says) => Some((to, says)),
                        _ => None,
                    }));
                }
                _ => {}
            }
        }
        told
    }

    /// The present run of `task`.
    pub(super) fn token(&self, task: TaskId) -> Token {
        match self.record(task).map(Record::phase) {
            Some(crate::task::Phase::Leased(lease)) => lease.token,
            other => panic!("it is leased, not {other:?}"),
        }
    }
}

pub(super) const fn lessee(node: NodeId) -> Lessee {
    Lessee { node, incarnation: Incarnation(1), executor: 1 }
}

pub(super) fn join(node: NodeId) -> Join {
    Join {
        node,
        name: format!("{node:?}"),
        address: ([10, 0, 0, 1], 7_000).into(),
        cluster_name: "test".to_owned(),
        labels: Labels::NONE,
    }
}

pub(super) fn profile(slots: u32) -> Profile {
    let declaration = |name: &str| Declaration {
        name: name.to_owned(),
        pool: 0,
        queue: "default".to_owned(),
        options: Options::default(),
        takes_resource: false,
    };
    let queue = Queue { name: "default".to_owned(), pool: None, priority: None };
    Profile {
        pools: vec![slots],
        tasks: vec![declaration("add"), declaration("zip")],
        queues: vec![queue],
        pid: 7,
        serves_all: false,
    }
}

pub(super) fn template(name: &str) -> Template {
    Template { queue: "default".to_owned(), ..Template::new(name) }
}

/// The `n`th task whose id was made at `at`.
pub(super) const fn made(at: Wall, n: u64) -> TaskId {
    TaskId::new(at, PARTITION, n)
}

/// The `n`th task of a test.
pub(super) const fn task(n: u64) -> TaskId {
    made(START, n)
}

pub(super) fn batch(template: Template, tasks: impl IntoIterator<Item = TaskId>) -> Batch {
    let row = |id| Row::new(id, 0, Bytes::new());
    Batch { templates: vec![template], rows: tasks.into_iter().map(row).collect() }
}
