//! What time it is while some voters have not said what their clocks show.

use std::collections::VecDeque;

use super::lone_owner::{HOME, PARTITION, START, batch, join, lessee, profile, template};
use super::{Network, ms, submit};
use crate::durable::{Copies, HardState, Snapshot, StoredGroup};
use crate::group::{Change, Roster};
use crate::id::{ClusterId, GroupId, Incarnation, NodeId, ReplicaId, TaskId};
use crate::job::Zones;
use crate::membership::Liveness;
use crate::meta::Meta;
use crate::partition::Partition;
use crate::scheduler::{Caller, Effect, Event, Now, Scheduler, Settings};
use crate::time::{Span, Tick, Wall};
use crate::wire::hello::Versions;
use crate::wire::{Ask, Envelope, ExecutorSays, PeerMessage, Request, encode};

const NODES: [NodeId; 3] = [HOME, NodeId(2 << 96), NodeId(3 << 96)];
const YEAR: Span = ms(365 * 24 * 3_600_000);
const HOUR: Span = ms(3_600_000);

/// Two of three voters that have just started; the third never says anything.
struct Pair {
    nodes: Vec<(Scheduler, Now)>,
    on_the_way: VecDeque<(usize, NodeId, Vec<PeerMessage>)>,
}

impl Pair {
    fn new() -> Self {
        let start = |at: usize| {
            let settings = Settings {
                node: NODES[at],
                incarnation: Incarnation(1),
                join: join(NODES[at]),
                seed: 5,
                replace_after: YEAR,
                limits: crate::limits::Limits::default(),
                has_seeds: true,
                versions: Versions::OWN,
                scheduler: 1,
                zones: Zones::bundled(),
                follows_wall: false,
                cold: None,
            };
            let now = Now { tick: Tick::START, wall: START };
            let mut meta = Meta::new(ClusterId(7), "test".to_owned(), 1, 3, 3);
            NODES.iter().for_each(|node| meta.admit(join(*node), START));
            let partition = Partition::new(PARTITION).to_bytes();
            let stored = vec![
                stored(GroupId::META, at, meta.to_bytes()),
                stored(GroupId::of(PARTITION), at, partition),
            ];
            (Scheduler::new(settings, now, stored), now)
        };
        let mut pair = Self { nodes: vec![start(0), start(1)], on_the_way: VecDeque::new() };
        for (at, node) in [(0, NODES[1]), (1, NODES[0])] {
            let (incarnation, liveness) = (Incarnation(1), Liveness::Alive);
            pair.step(at, Event::Liveness { node, incarnation, liveness });
            let (lessee, profile) = (lessee(NODES[at]), profile(0));
            pair.step(at, Event::Executor(ExecutorSays::Introduce { lessee, profile }));
        }
        pair
    }

    fn step(&mut self, at: usize, event: Event) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            let (scheduler, now) = &mut self.nodes[at];
            let mut effects = Vec::new();
            scheduler.step(*now, event, &mut effects);
            for effect in effects {
                match effect {
                    Effect::Persist(batch) => {
                        events.push(Event::Persisted { number: batch.number });
                    }
                    Effect::Send { to, messages, .. } => {
                        self.on_the_way.push_back((at, to, messages));
                    }
                    Effect::Keep(write) => panic!("both have all there is: {write:?}"),
                    _ => {}
                }
            }
        }
    }

    fn deliver(&mut self) {
        while let Some((from, to, messages)) = self.on_the_way.pop_front() {
            let envelope = Envelope { clock: self.nodes[from].1.wall, synced: 0, messages };
            if let Some(at) = NODES.iter().take(2).position(|node| *node == to) {
                self.step(at, Event::Peer { from: NODES[from], envelope });
            }
        }
    }

    fn pass(&mut self, span: Span) {
        for _ in 0..span.as_millis() / 100 {
            for at in 0..2 {
                let now = &mut self.nodes[at].1;
                *now = Now { tick: now.tick + ms(100), wall: now.wall + ms(100) };
                self.step(at, Event::Due);
                self.deliver();
            }
        }
    }

    fn owner(&self) -> usize {
        let group = GroupId::of(PARTITION);
        (0..2).find(|at| self.nodes[*at].0.copy(group).unwrap().is_settled()).unwrap()
    }

    /// When a task that is submitted now is taken in, by partition time.
    fn accepted_at(&mut self, made_at: Wall) -> Wall {
        let owner = self.owner();
        let task = TaskId::new(made_at, PARTITION, 1);
        let batch = batch(template("add"), [task]).into();
        let request = Request { deadline: HOUR, ask: Ask::Submit { batch, wait: false } };
        let caller = Caller { session: 1, request: 1 };
        self.step(owner, Event::Asked { caller, request });
        self.deliver();
        let copy = self.nodes[owner].0.copy(GroupId::of(PARTITION)).unwrap();
        copy.partition().unwrap().record(task).expect("it is taken in").accepted_at
    }
}

/// A copy on `NODES[at]` that has been one of three for long.
fn stored(group: GroupId, at: usize, data: Vec<u8>) -> StoredGroup {
    let ids = [1, 2, 3].map(ReplicaId);
    let copies = Copies { voters: ids.to_vec(), ..Copies::default() };
    let mut roster = Roster::founding(NODES[0]);
    let others = vec![(ids[1], NODES[1]), (ids[2], NODES[2])];
    roster.apply(&Change { learners: others, ..Change::default() }, &copies);
    let data = encode(&(roster, bytes::Bytes::from(data))).into();
    StoredGroup {
        group,
        replica: ids[at],
        destroyed: false,
        hard_state: HardState { term: 1, vote: 0, commit: 1 },
        snapshot: Some(Snapshot { index: 1, term: 1, copies, data }),
        entries: Vec::new(),
    }
}

#[test]
fn a_voter_that_was_not_heard_of_does_not_vote_for_the_clock_of_the_owner() {
    let mut pair = Pair::new();
    pair.pass(ms(5_000));
    let right = pair.nodes[0].1.wall;
    let owner = pair.owner();
    let now = &mut pair.nodes[owner].1;
    now.wall = now.wall + YEAR;
    assert_eq!(pair.accepted_at(START), right);
}

#[test]
fn the_only_other_clock_may_stand_and_time_goes_on() {
    let mut pair = Pair::new();
    pair.pass(ms(5_000));
    let owner = pair.owner();
    pair.nodes[1 - owner].1.wall = Wall::EPOCH;
    pair.pass(ms(120_000));
    let right = pair.nodes[owner].1.wall;
    let taken = pair.accepted_at(right);
    assert!(right.since(taken) < ms(10_000), "at most the time before there was an owner is lost");
}

#[test]
fn a_copy_that_only_learns_has_no_say() {
    let mut network = Network::formed(2, 2);
    let owner = network.owner(PARTITION);
    let learner = network.others(PARTITION)[0];
    let now = &mut network.nodes[learner].now;
    now.wall = now.wall - HOUR;
    network.pass(ms(10_000));
    network.ask(owner, 1, submit(&[1]));
    let right = network.nodes[owner].now.wall;
    assert_eq!(network.nodes[owner].record(super::task(1)).unwrap().accepted_at, right);
}
