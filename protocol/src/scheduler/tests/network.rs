//! A few schedulers and the links between them; time passes and links break as a test says.

use std::collections::{BTreeSet, VecDeque};

use super::node::Node;
use super::said::{id, lessee, ms, profile};
use super::{Effect, Event, Step};
use crate::group::{Body, GroupMessage, RaftKind};
use crate::id::{GroupId, Lessee, NodeId, PartitionId};
use crate::membership::{Condition, Liveness, Load};
use crate::meta::JoinRefusal;
use crate::time::Span;
use crate::wire::hello::Versions;
use crate::wire::{Answer, Ask, Dispatch, Envelope, ExecutorSays, OwnerSays, PeerMessage};

/// Nodes whose disks and links take no time.
pub(super) struct Network {
    pub(super) nodes: Vec<Node>,
    /// Nodes that do nothing any more.
    pub(super) stopped: BTreeSet<usize>,
    /// Nodes that reach each other, and nobody else.
    pub(super) apart: BTreeSet<usize>,
    /// Whether states of groups are lost on their way, and those that were.
    pub(super) loses_states: bool,
    pub(super) lost_states: Vec<GroupId>,
    on_the_way: VecDeque<(usize, usize, Vec<PeerMessage>)>,
    /// What callers were answered: at which node, which request, what.
    pub(super) answers: Vec<(usize, u64, Answer)>,
    /// Nodes that have told that they have handed all over.
    pub(super) left: Vec<usize>,
    /// Nodes that were told that they cannot be members.
    pub(super) refused: Vec<(usize, JoinRefusal)>,
    /// Nodes that others are to forget: by whom, whom.
    pub(super) forgotten: Vec<(usize, NodeId)>,
    /// What executors were told: by which node, of which node, what.
    pub(super) told: Vec<(usize, usize, OwnerSays)>,
}

impl Network {
    /// A cluster of `n` nodes that keeps `replicas` copies. No executor has any slots.
    pub(super) fn formed(n: u16, replicas: u8) -> Self {
        Self::speaking(n, replicas, Versions::OWN)
    }

    /// As [`formed`](Self::formed), of nodes that speak `versions`.
    pub(super) fn speaking(n: u16, replicas: u8, versions: Versions) -> Self {
        let nodes = (0..n).map(|n| Node::speaking(n, versions)).collect();
        let mut network = Self {
            nodes,
            stopped: BTreeSet::new(),
            apart: BTreeSet::new(),
            loses_states: false,
            lost_states: Vec::new(),
            on_the_way: VecDeque::new(),
            answers: Vec::new(),
            left: Vec::new(),
            refused: Vec::new(),
            forgotten: Vec::new(),
            told: Vec::new(),
        };
        let step = network.nodes[0].found(replicas, usize::from(n));
        network.perform(0, step);
        for of in 0..usize::from(n) {
            network.all_hear(of, Liveness::Alive);
            for at in (0..usize::from(n)).filter(|at| *at != of) {
                let node = network.node_id(of);
                network.step(at, Event::Reached { node, version: versions.max });
            }
            let (lessee, profile) = (network.lessee(of), profile(0));
            for at in 0..usize::from(n) {
                let profile = profile.clone();
                network.executor(at, ExecutorSays::Introduce { lessee, profile });
            }
        }
        network.pass(ms(5_000));
        network.told.clear();
        network
    }

    pub(super) fn node_id(&self, at: usize) -> NodeId {
        self.nodes[at].scheduler.node()
    }

    /// The node that is called `node`.
    pub(super) fn index(&self, node: NodeId) -> usize {
        (0..self.nodes.len()).find(|n| id(u16::try_from(*n).unwrap()) == node).unwrap()
    }

    pub(super) fn lessee(&self, at: usize) -> Lessee {
        let lessee = lessee(u16::try_from(at).unwrap());
        assert_eq!(lessee.node, self.node_id(at));
        lessee
    }

    /// What happens at a node, and all that follows from it anywhere.
    pub(super) fn step(&mut self, at: usize, event: Event) {
        if self.stopped.contains(&at) {
            return;
        }
        let step = self.nodes[at].step(event);
        self.perform(at, step);
    }

    /// Carries out what a node wants done, and all that follows from it anywhere.
    pub(super) fn perform(&mut self, at: usize, step: Step) {
        self.send(at, step);
        while let Some((from, to, messages)) = self.on_the_way.pop_front() {
            if self.apart.contains(&from) != self.apart.contains(&to) || self.stopped.contains(&to)
            {
                continue;
            }
            let (mut for_executor, mut rest) = (Vec::new(), Vec::new());
            for message in messages {
                match message {
                    PeerMessage::ToExecutor(says) => for_executor.push((from, to, says)),
                    PeerMessage::Group(mut messages) if self.loses_states => {
                        self.lost_states.extend(messages.extract_if(.., is_state).map(|m| m.group));
                        rest.push(PeerMessage::Group(messages));
                    }
                    other => rest.push(other),
                }
            }
            self.told.append(&mut for_executor);
            let envelope = Envelope { clock: self.nodes[from].now.wall, synced: 0, messages: rest };
            let event = Event::Peer { from: self.node_id(from), envelope };
            let step = self.nodes[to].step(event);
            self.send(to, step);
        }
    }

    fn send(&mut self, at: usize, mut step: Step) {
        if !self.nodes[at].is_stuck {
            step.extend(self.nodes[at].settle());
        }
        for effect in step.said {
            match effect {
                Effect::Answer { caller, answer, is_last: _ } => {
                    self.answers.push((at, caller.request, answer));
                }
                Effect::Execute(says) => self.told.push((at, at, says)),
                Effect::Send { to, messages, .. } => {
                    self.on_the_way.push_back((at, self.index(to), messages));
                }
                Effect::Damaged(why) => panic!("damaged: {why}"),
                Effect::Admitted
                | Effect::Joined(_)
                | Effect::Meet { .. }
                | Effect::Members(_)
                | Effect::Reload(_)
                | Effect::Spoken(_) => {}
                Effect::Forget(node) => self.forgotten.push((at, node)),
                Effect::Left => self.left.push(at),
                Effect::Refused(why) => {
                    self.refused.push((at, why));
                    self.stopped.insert(at);
                }
                Effect::Keep(_)
                | Effect::Lost(_)
                | Effect::PassedOver { .. }
                | Effect::Persist(_) => {
                    panic!("at {at}: {effect:?}")
                }
            }
        }
    }

    pub(super) fn pass(&mut self, span: Span) {
        let until = self.nodes[0].now.tick + span;
        loop {
            let running = (0..self.nodes.len()).filter(|at| !self.stopped.contains(at));
            let next = running.map(|at| (self.nodes[at].scheduler.next_deadline(), at)).min();
            let Some((tick, at)) = next.filter(|(tick, _)| *tick <= until) else {
                break;
            };
            for node in &mut self.nodes {
                node.advance_to(tick.max(node.now.tick));
            }
            self.step(at, Event::Due);
        }
        for node in &mut self.nodes {
            node.advance_to(until);
        }
    }

    pub(super) fn ask(&mut self, at: usize, request: u64, ask: Ask) {
        let step = self.nodes[at].ask(request, ask);
        self.perform(at, step);
    }

    /// An executor tells node `at` something.
    pub(super) fn executor(&mut self, at: usize, says: ExecutorSays) {
        let from = says.node();
        if from == self.node_id(at) {
            return self.step(at, Event::Executor(says));
        }
        let step = self.nodes[at].peer(from, vec![PeerMessage::FromExecutor(says)]);
        self.perform(at, step);
    }

    /// What gossip tells everybody of node `of`.
    pub(super) fn all_hear(&mut self, of: usize, liveness: Liveness) {
        let Lessee { node, incarnation, .. } = self.lessee(of);
        for at in (0..self.nodes.len()).filter(|at| *at != of) {
            self.step(at, Event::Liveness { node, incarnation, liveness });
        }
    }

    /// All others hear by gossip which condition node `of` is in.
    pub(super) fn all_hear_condition(&mut self, of: usize, condition: Condition) {
        let Lessee { node, incarnation, .. } = self.lessee(of);
        let load = Load { condition, ..Load::default() };
        for at in (0..self.nodes.len()).filter(|at| *at != of) {
            self.step(at, Event::Load { node, incarnation, load });
        }
    }

    /// A node stops, and all find out in the end.
    pub(super) fn stop(&mut self, at: usize) {
        self.stopped.insert(at);
        self.all_hear(at, Liveness::Suspect);
        self.pass(ms(2_000));
        self.all_hear(at, Liveness::Down);
        self.pass(ms(200));
    }

    /// The only running node that owns `partition`.
    #[track_caller]
    pub(super) fn owner(&self, partition: PartitionId) -> usize {
        let owners: Vec<usize> = (0..self.nodes.len())
            .filter(|at| !self.stopped.contains(at) && self.nodes[*at].owns(partition))
            .collect();
        assert_eq!(owners.len(), 1, "owners of {partition}: {owners:?}");
        owners[0]
    }

    /// Nodes that do not own `partition`.
    pub(super) fn others(&self, partition: PartitionId) -> Vec<usize> {
        let owner = self.owner(partition);
        (0..self.nodes.len()).filter(|at| *at != owner && !self.stopped.contains(at)).collect()
    }

    /// Voters of `partition`, as its owner knows them.
    pub(super) fn voters(&self, partition: PartitionId) -> Vec<NodeId> {
        let copy = self.nodes[self.owner(partition)].scheduler.copy(GroupId::of(partition));
        let copy = copy.expect("the owner has a copy");
        copy.copies().voters.iter().filter_map(|voter| copy.node_of(*voter)).collect()
    }

    /// Takes out what was answered.
    pub(super) fn take_answers(&mut self) -> Vec<(usize, u64, Answer)> {
        std::mem::take(&mut self.answers)
    }

    /// Runs that the executor of node `at` was told to start, by whom.
    pub(super) fn dispatched(&self, at: usize) -> Vec<(usize, Dispatch)> {
        let told = self.told.iter().filter(|(_, to, _)| *to == at);
        let runs = told.flat_map(|(by, _, says)| match says {
            OwnerSays::Dispatch { runs, .. } => runs.iter().map(|run| (*by, run.clone())).collect(),
            _ => Vec::new(),
        });
        runs.collect()
    }
}

fn is_state(message: &mut GroupMessage) -> bool {
    matches!(&message.body, Body::Raft(raft) if raft.kind == RaftKind::Snapshot)
}
