//! Whole states on their way to other nodes: how many at once, and whose turn it is.
//!
//! A copy that is too far behind for entries gets the state of its group. When a node joins, or comes
//! back after long, that is so for all of its groups at the same moment, and each state is made,
//! queued, sent, read and written as a whole. So there are limits, for each node that gets some and
//! for this one together. A group that has to wait is in line here; until its turn comes nothing is
//! made or kept for it, and its copy stays a follower that is asked now and then what it has. A
//! state is on its way until the copy acknowledges it or it is taken to be lost; the group tells. It is
//! lost as soon as another way to its node is opened or the node is gone, and else after so long that it
//! must be: meanwhile it would hold up copies on nodes that are well.

use std::collections::{BTreeMap, VecDeque};
use std::mem;

use super::Scheduler;
use crate::id::{GroupId, NodeId, ReplicaId};
use crate::limits::Limits;
use crate::sabotage::{self, Defect};

/// See the [module](self).
#[derive(Debug, Default)]
pub(super) struct States {
    /// Groups with copies that want a state, first come first served.
    line: VecDeque<GroupId>,
    /// Of each group with states on their way: to which nodes, and how large one is.
    flying: BTreeMap<GroupId, (Vec<NodeId>, usize)>,
    /// Whether it may be somebody's turn.
    is_due: bool,
}

impl States {
    fn to(&self, node: NodeId) -> usize {
        self.flying.values().flat_map(|(nodes, _)| nodes).filter(|to| **to == node).count()
    }

    fn has_room(&self, bytes: usize, limits: &Limits) -> bool {
        let many = self.flying.values().map(|(nodes, _)| nodes.len()).sum::<usize>();
        let large = self.flying.values().map(|(_, bytes)| bytes).sum::<usize>();
        // One alone may be as large as it is: else it would wait for ever.
        many == 0
            || (many < limits.states_in_flight_max
                && large + bytes <= limits.states_bytes_in_flight_max)
    }
}

impl Scheduler {
    /// Groups with copies that want a state and have to wait for their turn.
    #[must_use]
    pub fn states_waiting(&self) -> usize {
        self.states.line.len()
    }

    /// Copies of a group want its state.
    pub(super) fn wants_state(&mut self, id: GroupId) {
        if !self.states.line.contains(&id) {
            self.states.line.push_back(id);
            self.states.is_due = true;
        }
    }

    /// States of a group may have arrived, or more of them may be on their way.
    pub(super) fn follow_states(&mut self, id: GroupId) {
        let Some((nodes, _)) = self.states.flying.get_mut(&id) else {
            return;
        };
        let replica = self.replicas.get(&id);
        let flying = replica.map(|replica| replica.group.states_under_way()).unwrap_or_default();
        self.states.is_due |= flying.len() < nodes.len();
        *nodes = flying;
        if nodes.is_empty() {
            self.states.flying.remove(&id);
        }
    }

    /// States that were under way to a node do not arrive any more: others have their turn.
    pub(super) fn lose_states_to(&mut self, node: NodeId) {
        let flying = self.states.flying.iter().filter(|(_, (nodes, _))| nodes.contains(&node));
        let lost: Vec<GroupId> = flying.map(|(id, _)| *id).collect();
        for id in lost {
            if let Some(replica) = self.replicas.get_mut(&id) {
                replica.group.lose_states_to(node);
            }
            self.follow_states(id);
        }
    }

    /// Gives those in line their turn, as far as there is room.
    pub(super) fn give_states(&mut self) {
        if !mem::take(&mut self.states.is_due) {
            return;
        }
        for id in mem::take(&mut self.states.line) {
            if !self.give_state(id) {
                self.states.line.push_back(id);
            }
        }
    }

    /// Sends a group's state to the copies that want it and may have it now; whether none is left
    /// that has to wait.
    fn give_state(&mut self, id: GroupId) -> bool {
        let bytes = self.weight_of(id);
        let limits = self.settings.limits;
        let Some(replica) = self.replicas.get_mut(&id) else {
            return true;
        };
        let wanted = replica.group.wants_state();
        let (Some(machine), false) = (&replica.machine, wanted.is_empty()) else {
            replica.group.forget_wish();
            return true;
        };
        let mut now: Vec<ReplicaId> = Vec::new();
        let states = &mut self.states;
        for (copy, node) in &wanted {
            let is_next =
                states.to(*node) < limits.states_to_node_max && states.has_room(bytes, &limits);
            if is_next || sabotage::has(Defect::AllStates) {
                let flying = states.flying.entry(id).or_insert((Vec::new(), bytes));
                flying.0.push(*node);
                now.push(*copy);
            }
        }
        if now.is_empty() {
            return false;
        }
        replica.group.offer_snapshot(&machine.to_bytes(), &now);
        self.dirty.insert(id);
        self.follow_states(id);
        now.len() == wanted.len()
    }

    fn weight_of(&self, id: GroupId) -> usize {
        let machine = self.replicas.get(&id).and_then(|replica| replica.machine.as_ref());
        machine.map_or(0, super::replica::Machine::weight)
    }

    /// Some may have been lost since the last tick.
    pub(super) fn tend_states(&mut self) {
        let flying: Vec<GroupId> = self.states.flying.keys().copied().collect();
        for id in flying {
            self.follow_states(id);
        }
        self.states.is_due = !self.states.line.is_empty();
    }
}
