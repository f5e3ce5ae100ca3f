//! One scheduler, with its clocks, its disk and its callers in the hands of a test.

use std::collections::BTreeMap;

use super::said::{CLUSTER, START, id, join, ms};
use crate::durable::{GroupWrite, StateWrite, StoredGroup, WriteBatch};
use crate::group::Group;
use crate::id::{GroupId, Incarnation, Lessee, NodeId, PartitionId, TaskId};
use crate::job::Zones;
use crate::limits::Limits;
use crate::membership::Liveness;
use crate::partition::{Command, Look, Proposal};
use crate::scheduler::{Caller, Effect, Event, Found, Now, Scheduler, Settings};
use crate::task::Record;
use crate::time::{Span, Tick};
use crate::wire::hello::Versions;
use crate::wire::{Ask, Envelope, ExecutorSays, PeerMessage, Request};

/// Partitions of a test cluster: each costs time, and more than two show nothing new.
pub(super) const PARTITIONS: u16 = 2;
/// How long callers wait if a test does not say otherwise.
pub(super) const DEADLINE: Span = Span::from_millis(60_000);
/// The client that asks.
pub(super) const SESSION: u64 = 7;

pub(super) struct Node {
    pub(super) scheduler: Scheduler,
    pub(super) now: Now,
    /// What it speaks, from its next start on.
    pub(super) versions: Versions,
    /// While it is stuck nothing that is written becomes durable by itself.
    pub(super) is_stuck: bool,
    writing: Option<WriteBatch>,
    disk: BTreeMap<GroupId, StoredGroup>,
}

/// What came of an event.
#[derive(Debug, Default)]
pub(super) struct Step {
    /// The commands of each entry that is to be written.
    pub(super) entries: Vec<Vec<Command>>,
    /// All that is to be done besides.
    pub(super) said: Vec<Effect>,
}

impl Node {
    /// The first start of node `n`, which belongs to no cluster.
    pub(super) fn blank(n: u16) -> Self {
        Self::speaking(n, Versions::OWN)
    }

    /// As [`blank`](Self::blank), of another version.
    pub(super) fn speaking(n: u16, versions: Versions) -> Self {
        let now = Now { tick: Tick::START, wall: START };
        Self::start(n, 1, versions, now, BTreeMap::new())
    }

    /// One that is a cluster of its own, whose executor has `slots` slots.
    pub(super) fn alone(slots: u32) -> Self {
        let mut node = Self::blank(0);
        node.found(1, 1);
        node.settle();
        node.introduce(node.lessee(), slots);
        node
    }

    pub(super) fn found(&mut self, replicas: u8, founders: usize) -> Step {
        let partitions = PARTITIONS;
        self.step(Event::Found(Found { cluster: CLUSTER, partitions, replicas, founders }))
    }

    fn start(
        n: u16,
        incarnation: u64,
        versions: Versions,
        now: Now,
        disk: BTreeMap<GroupId, StoredGroup>,
    ) -> Self {
        let settings = Settings {
            node: id(n),
            incarnation: Incarnation(incarnation),
            join: join(n),
            seed: 42,
            replace_after: ms(30_000),
            limits: Limits::default(),
            has_seeds: true,
            versions,
            scheduler: 1,
            zones: Zones::bundled(),
            follows_wall: false,
            cold: None,
        };
        let scheduler = Scheduler::new(settings, now, disk.values().cloned().collect());
        Self { scheduler, now, versions, is_stuck: false, writing: None, disk }
    }

    /// The node starts anew, with what was durable before; its groups have settled owners again.
    pub(super) fn restart(&mut self, n: u16, incarnation: u64) -> Step {
        self.now.tick = Tick::START;
        self.restart_among(n, incarnation)
    }

    /// As [`restart`](Self::restart), of a node whose clock goes with those of others.
    pub(super) fn restart_among(&mut self, n: u16, incarnation: u64) -> Step {
        let (now, disk) = (self.now, std::mem::take(&mut self.disk));
        *self = Self::start(n, incarnation, self.versions, now, disk);
        let mut step = self.step(Event::Due);
        step.extend(self.settle());
        step
    }

    pub(super) fn step(&mut self, event: Event) -> Step {
        let mut effects = Vec::new();
        self.scheduler.step(self.now, event, &mut effects);
        let mut step = Step::default();
        let mut kept = Vec::new();
        for effect in effects {
            match effect {
                Effect::Keep(StateWrite { group, replica, state }) => {
                    kept.push(Event::Kept { group, replica, index: state.index });
                }
                Effect::Persist(batch) => {
                    assert!(self.writing.is_none(), "one batch at a time");
                    step.entries.extend(batch.groups.iter().flat_map(commands));
                    self.writing = Some(batch);
                }
                // Which of two answers is the last follows from them; see the tests beside `asks`.
                Effect::Answer { caller, answer, is_last: _ } => {
                    step.said.push(Effect::Answer { caller, answer, is_last: true });
                }
                other => step.said.push(other),
            }
        }
        // Callers are answered when all else is under way; told first they read better.
        for event in kept {
            step.extend(self.step(event));
        }
        let is_answer = |effect: &Effect| matches!(effect, Effect::Answer { .. });
        assert!(step.said.is_sorted_by_key(is_answer), "answers hold nothing up: {step:?}");
        step.said.sort_by_key(|effect| !is_answer(effect));
        step
    }

    /// What is being written is durable from now on.
    pub(super) fn persisted(&mut self) -> Step {
        let batch = self.writing.take().expect("something is being written");
        for write in batch.groups {
            store(&mut self.disk, write);
        }
        self.step(Event::Persisted { number: batch.number })
    }

    pub(super) const fn is_writing(&self) -> bool {
        self.writing.is_some()
    }

    /// All that is written becomes durable, and what follows from it.
    pub(super) fn settle(&mut self) -> Step {
        let mut all = Step::default();
        while self.is_writing() {
            all.extend(self.persisted());
        }
        all
    }

    /// Lets `span` pass, with a disk that takes no time unless it is stuck.
    pub(super) fn pass(&mut self, span: Span) -> Step {
        let until = self.now.tick + span;
        let mut all = Step::default();
        while self.scheduler.next_deadline() <= until {
            self.advance_to(self.scheduler.next_deadline());
            all.extend(self.step(Event::Due));
            if !self.is_stuck {
                all.extend(self.settle());
            }
        }
        self.advance_to(until);
        all
    }

    pub(super) fn advance_to(&mut self, tick: Tick) {
        let micros = tick.as_micros() - self.now.tick.as_micros();
        self.now.tick = tick;
        // Whole ticks and whole milliseconds, so that no fractions get lost.
        assert_eq!(micros % 1_000, 0);
        self.now.wall = self.now.wall + Span::from_micros(micros);
    }

    pub(super) fn ask(&mut self, request: u64, ask: Ask) -> Step {
        self.ask_within(DEADLINE, request, ask)
    }

    pub(super) fn ask_within(&mut self, deadline: Span, request: u64, ask: Ask) -> Step {
        let caller = Caller { session: SESSION, request };
        self.step(Event::Asked { caller, request: Request { deadline, ask } })
    }

    /// As [`ask`](Self::ask), and what follows once it is durable.
    pub(super) fn ask_and_settle(&mut self, request: u64, ask: Ask) -> Step {
        let mut step = self.ask(request, ask);
        step.extend(self.settle());
        step
    }

    /// The executor of this node says something.
    pub(super) fn executor(&mut self, says: ExecutorSays) -> Step {
        self.step(Event::Executor(says))
    }

    /// Another node says something.
    pub(super) fn peer(&mut self, from: NodeId, messages: Vec<PeerMessage>) -> Step {
        let envelope = Envelope { clock: self.now.wall, synced: 0, messages };
        self.step(Event::Peer { from, envelope })
    }

    /// The executor of another node says something.
    pub(super) fn far_executor(&mut self, says: ExecutorSays) -> Step {
        self.peer(says.node(), vec![PeerMessage::FromExecutor(says)])
    }

    /// An executor, here or elsewhere, is there and leaves `slots` slots to this node.
    pub(super) fn introduce(&mut self, lessee: Lessee, slots: u32) {
        let profile = super::said::profile(slots);
        let mut says = vec![ExecutorSays::Introduce { lessee, profile }];
        if slots > 0 {
            says.push(ExecutorSays::Grant { lessee, slots: vec![slots] });
        }
        for says in says {
            if lessee.node == self.scheduler.node() {
                self.executor(says);
            } else {
                self.far_executor(says);
            }
        }
    }

    /// Node `n` is alive, and its executor leaves `slots` slots to this node.
    pub(super) fn far(&mut self, n: u16, slots: u32) {
        self.hear_of(super::said::lessee(n), Liveness::Alive);
        self.introduce(super::said::lessee(n), slots);
    }

    pub(super) fn hear_of(&mut self, lessee: Lessee, liveness: Liveness) -> Step {
        let Lessee { node, incarnation, .. } = lessee;
        self.step(Event::Liveness { node, incarnation, liveness })
    }

    /// The first executor of this start of the node.
    pub(super) fn lessee(&self) -> Lessee {
        Lessee { node: self.scheduler.node(), incarnation: Incarnation(1), executor: 1 }
    }

    pub(super) fn record(&self, task: TaskId) -> Option<&Record> {
        let group = GroupId::of(task.partition());
        self.scheduler.copy(group)?.partition()?.record(task).map(Look::in_memory)
    }

    /// Whether it owns `partition` and may grant and answer.
    pub(super) fn owns(&self, partition: PartitionId) -> bool {
        let copy = self.scheduler.copy(GroupId::of(partition));
        copy.is_some_and(|copy| copy.is_settled())
    }
}

impl Step {
    pub(super) fn extend(&mut self, later: Self) {
        self.entries.extend(later.entries);
        self.said.extend(later.said);
    }
}

/// The commands of each entry of a partition.
fn commands(write: &GroupWrite) -> Vec<Vec<Command>> {
    if write.group == GroupId::META {
        return Vec::new();
    }
    let with_commands =
        write.entries.iter().filter(|entry| entry.is_commands() && !entry.data.is_empty());
    with_commands.map(|entry| Proposal::from_bytes(&entry.data).unwrap().commands).collect()
}

/// Carries a write out.
fn store(disk: &mut BTreeMap<GroupId, StoredGroup>, write: GroupWrite) {
    let blank = Group::blank(write.group, write.replica);
    let stored = disk.entry(write.group).or_insert_with(|| blank.clone());
    if stored.replica != write.replica || write.destroy {
        *stored = StoredGroup { destroyed: write.destroy, ..blank };
    }
    if let Some(snapshot) = write.snapshot {
        stored.entries.clear();
        stored.snapshot = Some(snapshot);
    }
    if let Some(first) = write.entries.first() {
        stored.entries.retain(|entry| entry.index < first.index);
    }
    stored.entries.extend(write.entries);
    stored.hard_state = write.hard_state.unwrap_or(stored.hard_state);
    if let Some(checkpoint) = write.checkpoint {
        stored.entries.retain(|entry| entry.index > checkpoint.index);
        stored.snapshot = Some(checkpoint);
    }
}
