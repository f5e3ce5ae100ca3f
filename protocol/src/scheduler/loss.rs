//! Copies whose storage is gone while their node lives.
//!
//! A store that cannot vouch for a copy gives it up for good: it never votes nor acknowledges again.
//! Nobody would miss it, as its node is there. So the node says so to each leader that speaks to
//! such a copy, the leader notes it, and the mover replaces it, learner first. A node that is a
//! cluster by itself has nobody to be told by, nor to be healed by: it says that the data is lost.

use super::effect::Loss;
use super::{Effect, Scheduler, UNHEARD_MAX};
use crate::group::{Body, GroupMessage};
use crate::id::{GroupId, NodeId, PartitionId};

impl Scheduler {
    /// Answers a leader that speaks to a copy that was destroyed here.
    pub(super) fn tell_loss(&mut self, from: NodeId, message: &GroupMessage) {
        if message.body.is_of_leader() {
            let GroupMessage { group, from: leader, to: lost, .. } = *message;
            let answer = GroupMessage { group, from: lost, to: leader, body: Body::Lost };
            self.outbox.group(from, answer);
        }
    }

    /// The node of a copy says that it is lost: only the group's leader need know.
    pub(super) fn note_loss(&mut self, from: NodeId, message: &GroupMessage) {
        let Some(replica) = self.replicas.get_mut(&message.group) else {
            return;
        };
        let is_meant = replica.group.replica() == message.to
            && replica.group.roster().node(message.from) == Some(from);
        if let Some(owner) = replica.owner.as_mut().filter(|_| is_meant) {
            owner.lost.insert(message.from);
        }
    }

    /// Tells when what this node has lost cannot be had from anybody else.
    pub(super) fn mourn(&mut self) {
        if self.destroyed.is_empty() || !self.is_alone() {
            return;
        }
        let loss = match &self.meta {
            Some(meta) => {
                let lost = (0..meta.partitions)
                    .map(|partition| GroupId::of(PartitionId(partition)))
                    .filter(|group| !self.replicas.contains_key(group));
                Loss::Partitions(lost.count())
            }
            None => Loss::Cluster,
        };
        if loss != Loss::Partitions(0) {
            self.outbox.effects.push(Effect::Lost(loss));
        }
    }

    /// Whether there never was another node that may hold copies, as far as can be known here.
    fn is_alone(&self) -> bool {
        let me = self.node();
        if let Some(meta) = &self.meta {
            return self.is_member && meta.members.keys().all(|node| *node == me);
        }
        // The facts are lost, too: what is left of the groups may tell, or whoever calls.
        self.destroyed.contains_key(&GroupId::META)
            && !self.settings.has_seeds
            && self.peers.is_empty()
            && (self.replicas.values())
                .all(|replica| replica.group.roster().iter().all(|(_, node)| node == me))
            && self.now.tick.since(self.started_at) > UNHEARD_MAX
    }
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, VecDeque};

    use super::*;
    use crate::durable::{StateWrite, StoredGroup};
    use crate::group::{Group, Role};
    use crate::id::{ClusterId, Incarnation, ReplicaId};
    use crate::job::{Labels, Zones};
    use crate::limits::Limits;
    use crate::membership::Liveness;
    use crate::meta::Join;
    use crate::scheduler::{Event, Found, Now, Settings};
    use crate::time::{Span, Tick, Wall};
    use crate::wire::hello::Versions;
    use crate::wire::{Envelope, PeerMessage};

    const PARTITIONS: u16 = 4;

    /// A few schedulers whose disks and network take no time.
    struct World {
        now: Now,
        nodes: BTreeMap<NodeId, Scheduler>,
        /// How often each was started.
        starts: BTreeMap<NodeId, Incarnation>,
        under_way: VecDeque<(NodeId, NodeId, Vec<PeerMessage>)>,
        losses: Vec<Loss>,
    }

    fn settings(node: NodeId, incarnation: Incarnation, has_seeds: bool) -> Settings {
        let name = format!("node-{}", node.0);
        let address = ([127, 0, 0, 1], u16::try_from(node.0).expect("a small number")).into();
        let cluster_name = "test".to_owned();
        let join = Join { node, name, address, cluster_name, labels: Labels::NONE };
        Settings {
            node,
            incarnation,
            join,
            seed: 1,
            replace_after: Span::from_millis(30_000),
            has_seeds,
            versions: Versions::OWN,
            limits: Limits::default(),
            scheduler: 1,
            zones: Zones::bundled(),
            follows_wall: false,
            cold: None,
        }
    }

    impl World {
        fn new() -> Self {
            let now = Now { tick: Tick::START, wall: Wall::from_millis(1_700_000_000_000) };
            let (nodes, starts) = (BTreeMap::new(), BTreeMap::new());
            Self { now, nodes, starts, under_way: VecDeque::new(), losses: Vec::new() }
        }

        /// A cluster of so many nodes, each group with as many copies as there are to be.
        fn formed(count: u128) -> Self {
            let mut world = Self::new();
            for node in (1..=count).map(NodeId) {
                world.start(node, Vec::new());
            }
            let found = Found {
                cluster: ClusterId(7),
                partitions: PARTITIONS,
                replicas: 3,
                founders: usize::try_from(count).expect("a small number"),
            };
            world.step(NodeId(1), Event::Found(found));
            world.pass();
            for node in (2..=count).map(NodeId) {
                world.introduce(node, NodeId(1));
            }
            world.until("all groups have their voters", |world| world.is_whole(count));
            world
        }

        fn start(&mut self, node: NodeId, stored: Vec<StoredGroup>) {
            let start = self.starts.entry(node).or_insert(Incarnation(0));
            start.0 += 1;
            let scheduler = Scheduler::new(settings(node, *start, false), self.now, stored);
            self.nodes.insert(node, scheduler);
            let all: Vec<NodeId> = self.nodes.keys().copied().collect();
            for other in all.into_iter().filter(|other| *other != node) {
                self.introduce(node, other);
                self.introduce(other, node);
            }
        }

        fn introduce(&mut self, to: NodeId, node: NodeId) {
            let (incarnation, liveness) = (self.starts[&node], Liveness::Alive);
            self.step(to, Event::Liveness { node, incarnation, liveness });
            self.step(to, Event::Reached { node, version: Versions::OWN.max });
        }

        fn step(&mut self, node: NodeId, event: Event) {
            let mut events = VecDeque::from([event]);
            while let Some(event) = events.pop_front() {
                let mut effects = Vec::new();
                let scheduler = self.nodes.get_mut(&node).expect("it runs");
                scheduler.step(self.now, event, &mut effects);
                for effect in effects {
                    match effect {
                        Effect::Lost(loss) => self.losses.push(loss),
                        Effect::Keep(StateWrite { group, replica, state }) => {
                            let index = state.index;
                            events.push_back(Event::Kept { group, replica, index });
                        }
                        Effect::Persist(batch) => {
                            events.push_back(Event::Persisted { number: batch.number });
                        }
                        Effect::Send { to, messages, .. } => {
                            self.under_way.push_back((node, to, messages));
                        }
                        Effect::Damaged(why) => panic!("damaged: {why}"),
                        Effect::Answer { .. }
                        | Effect::Execute(_)
                        | Effect::Admitted
                        | Effect::Forget(_)
                        | Effect::Spoken(_)
                        | Effect::Joined(_)
                        | Effect::Left
                        | Effect::Meet { .. }
                        | Effect::Members(_)
                        | Effect::Reload(_) => {}
                        Effect::PassedOver { why, .. } => panic!("passed over: {why}"),
                        Effect::Refused(why) => panic!("refused: {why}"),
                    }
                }
            }
        }

        /// Lets a tick pass for all.
        fn pass(&mut self) {
            let tick = crate::group::TICK;
            self.now = Now { tick: self.now.tick + tick, wall: self.now.wall + tick };
            for node in self.nodes.keys().copied().collect::<Vec<_>>() {
                self.step(node, Event::Due);
            }
            while let Some((from, to, messages)) = self.under_way.pop_front() {
                if self.nodes.contains_key(&to) {
                    let envelope = Envelope { clock: self.now.wall, synced: 0, messages };
                    self.step(to, Event::Peer { from, envelope });
                }
            }
        }

        fn until(&mut self, what: &str, is_met: impl Fn(&Self) -> bool) {
            for _ in 0..600 {
                if is_met(self) {
                    return;
                }
                self.pass();
            }
            panic!("{what}, within a minute");
        }

        /// Whether the voters of every group are copies that are really there, on `count` nodes.
        fn is_whole(&self, count: u128) -> bool {
            let groups = (0..PARTITIONS).map(|partition| GroupId::of(PartitionId(partition)));
            groups.chain([GroupId::META]).all(|group| {
                let copies: Vec<_> =
                    self.nodes.values().filter_map(|node| node.copy(group)).collect();
                let mut there: Vec<ReplicaId> = copies.iter().map(|copy| copy.replica()).collect();
                there.sort_unstable();
                let leader = copies.iter().find(|copy| copy.role() == Role::Leader);
                copies.len() as u128 == count
                    && copies.iter().all(|copy| copy.to_bytes() == copies[0].to_bytes())
                    && leader.is_some_and(|leader| {
                        let held = leader.copies();
                        held.voters == there && held.learners.is_empty() && !held.is_joint()
                    })
            })
        }

        /// What a store tells of the copies on `node` after it has given all of them up.
        fn given_up(&self, node: NodeId) -> Vec<StoredGroup> {
            self.nodes[&node]
                .copies()
                .map(|copy| StoredGroup {
                    destroyed: true,
                    ..Group::blank(copy.group(), copy.replica())
                })
                .collect()
        }
    }

    #[test]
    fn copies_that_lost_their_storage_are_replaced_while_their_node_lives() {
        let mut world = World::formed(3);
        let lost = world.given_up(NodeId(3));
        assert_eq!(lost.len(), usize::from(PARTITIONS) + 1);
        world.start(NodeId(3), lost.clone());
        world.until("all copies of the third are new", |world| {
            let is_new = |old: &StoredGroup| {
                let copy = world.nodes[&NodeId(3)].copy(old.group);
                copy.is_some_and(|copy| copy.replica() > old.replica)
            };
            lost.iter().all(is_new) && world.is_whole(3)
        });
        // Nothing is kept of what was replaced.
        for _ in 0..10 {
            world.pass();
        }
        let kept = |node: &Scheduler| {
            node.replicas.values().filter_map(|r| r.owner.as_ref()).any(|o| !o.lost.is_empty())
        };
        assert!(!world.nodes.values().any(kept));
        assert_eq!(world.losses, []);
    }

    #[test]
    fn a_group_is_not_called_whole_for_what_a_copy_had_before_its_node_was_started_again() {
        let mut world = World::formed(3);
        // All groups sleep, also those that the third leads: nobody would hear of the loss, and these
        // would sleep on without a leader.
        for _ in 0..100 {
            world.pass();
        }
        let whole = |world: &World| {
            let called = world.nodes.values().flat_map(|node| {
                let led = node.replicas.iter().filter(|(_, replica)| replica.owner.is_some());
                led.filter(|(_, replica)| node.is_whole(replica)).map(|(group, _)| *group)
            });
            called.collect::<Vec<_>>()
        };
        assert_eq!(whole(&world).len(), usize::from(PARTITIONS) + 1);
        let lost = world.given_up(NodeId(3));
        world.start(NodeId(3), lost.clone());
        world.until("all copies of the third are new", |world| {
            for group in whole(world) {
                let copy = world.nodes[&NodeId(3)].copy(group).expect("it is called whole");
                assert!(lost.iter().any(|old| old.group == group && copy.replica() > old.replica));
            }
            whole(world).len() == usize::from(PARTITIONS) + 1
        });
    }

    #[test]
    fn only_the_node_of_a_copy_can_say_that_it_is_lost() {
        let mut world = World::formed(3);
        let (leader, group, copy) = world
            .nodes
            .iter()
            .find_map(|(node, scheduler)| {
                let led = scheduler.copies().find(|copy| copy.role() == Role::Leader)?;
                Some((*node, led.group(), led.replica()))
            })
            .expect("somebody leads");
        let other =
            |copy: ReplicaId| world.nodes[&leader].copy(group).and_then(|c| c.node_of(copy));
        let victim = (1..).map(ReplicaId).find(|c| *c != copy && other(*c).is_some()).expect("one");
        let holder = other(victim).expect("it is on a node");
        let liar = world.nodes.keys().copied().find(|n| *n != holder && *n != leader).expect("one");
        let message = GroupMessage { group, from: victim, to: copy, body: Body::Lost };
        let envelope = |messages| Envelope { clock: world.now.wall, synced: 0, messages };
        let event = |from| Event::Peer {
            from,
            envelope: envelope(vec![PeerMessage::Group(vec![message.clone()])]),
        };
        let (lie, truth) = (event(liar), event(holder));
        let noted = |world: &World| {
            let owner = world.nodes[&leader].replicas[&group].owner.as_ref().expect("it leads");
            owner.lost.len()
        };
        world.step(leader, lie);
        assert_eq!(noted(&world), 0);
        world.step(leader, truth);
        assert_eq!(noted(&world), 1);
    }

    #[test]
    fn a_lone_node_says_what_it_has_lost() {
        let mut world = World::formed(1);
        let mut stored: Vec<StoredGroup> = world.given_up(NodeId(1));
        // The facts of the cluster are whole, and one of the partitions.
        stored.retain(|stored| stored.group != GroupId::META);
        stored.pop();
        let whole: Vec<StoredGroup> = [GroupId::META, GroupId::of(PartitionId(PARTITIONS - 1))]
            .into_iter()
            .filter_map(|group| world.nodes[&NodeId(1)].copy(group))
            .filter_map(|copy| copy.to_bytes().map(|data| (copy.group(), data)))
            .map(|(group, data)| Group::founding(group, NodeId(1), data))
            .collect();
        stored.extend(whole);
        world.start(NodeId(1), stored);
        world.until("it says so", |world| !world.losses.is_empty());
        assert_eq!(world.losses[0], Loss::Partitions(usize::from(PARTITIONS) - 1));
    }

    #[test]
    fn a_lone_node_without_any_copy_waits_for_a_call_before_it_says_so() {
        let mut world = World::formed(1);
        let stored = world.given_up(NodeId(1));
        world.start(NodeId(1), stored.clone());
        for _ in 0..90 {
            world.pass();
        }
        assert_eq!(world.losses, []);
        world.until("it says so", |world| !world.losses.is_empty());
        assert_eq!(world.losses[0], Loss::Cluster);

        // Whoever knows of others waits for them, however long.
        let mut world = World::new();
        let scheduler =
            Scheduler::new(settings(NodeId(1), Incarnation(1), true), world.now, stored);
        world.nodes.insert(NodeId(1), scheduler);
        for _ in 0..300 {
            world.pass();
        }
        assert_eq!(world.losses, []);
    }
}
