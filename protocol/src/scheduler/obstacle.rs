//! What keeps tasks from starting that may.

use super::Scheduler;
use super::ready::Class;
use crate::id::{Lessee, NodeId, TaskId};
use crate::job::Labels;
use crate::meta::Subject;
use crate::partition::KeyRoom;
use crate::task::{Obstacle, State};
use crate::wire::Profile;

impl Scheduler {
    /// What keeps a task of a partition that is owned here from starting, if it may.
    pub(super) fn obstacle_of(&mut self, task: TaskId) -> Option<Obstacle> {
        let owner = self.replicas.get(&crate::id::GroupId::of(task.partition()))?;
        let is_settled = owner.is_settled();
        let partition = owner.partition()?;
        let (now, shown) = self.times_of(partition);
        let record = partition.record(task)?;
        let may_start = match record.state() {
            State::Ready => true,
            State::Scheduled => record.waits_since() <= record.starts_by(now, shown),
            _ => false,
        };
        if !may_start {
            return None;
        }
        let template = record.template.clone();
        let target = partition.target(task, &record);
        drop(record);
        if !is_settled || !self.disk.is_free() {
            return Some(Obstacle::Owner);
        }
        if self.owned(task.partition()).is_some_and(|partition| partition.is_cold(task)) {
            return Some(Obstacle::Memory).filter(|_| !self.has_memory_for_more());
        }
        let class = self.ready.class(&template, &target);
        if let Some(why) = self.ready.classes().get(class).and_then(|it| self.closed_gate(it)) {
            return Some(why);
        }
        let executors = self.executors_for(class);
        if executors.is_empty() {
            return self.ready.classes().get(class).map(|class| self.nobody(class));
        }
        let profiles = executors.iter().filter_map(|(lessee, _)| self.lessees.profile_of(*lessee));
        let mut has_slots =
            profiles.map(|profile| profile.has_slots(&template.queue, &template.name));
        if !has_slots.any(|has| has) {
            return Some(Obstacle::NoResource);
        }
        // It may be set aside though there is room: for others that come first.
        let may_go = |room| matches!(room, KeyRoom::For(1..)) && self.throttled.goes(task);
        if self.room_for(task).is_some_and(|(_, room)| !may_go(room)) {
            return Some(Obstacle::KeyLimited);
        }
        Some(Obstacle::Slots)
    }

    /// What a rule has to do with it.
    fn closed_gate(&self, class: &Class) -> Option<Obstacle> {
        let gate = class.gate.as_ref()?;
        if let Some(subject) = &gate.paused {
            return Some(Obstacle::Paused(subject.clone()));
        }
        let now = self.now.tick;
        let full = gate.limits.iter().find(|subject| self.permits.room(subject, now) == 0)?;
        Some(Obstacle::Limited((**full).clone()))
    }

    /// Why no executor can run it.
    fn nobody(&self, class: &Class) -> Obstacle {
        let there = || self.lessees.present().filter(|(lessee, _)| self.is_here(lessee.node));
        let knows = || there().filter(|(_, profile)| profile.declaration(&class.name).is_some());
        let serves = || knows().filter(|(_, profile)| profile.serves(&class.queue));
        if knows().next().is_none() {
            Obstacle::NobodyKnowsIt
        } else if serves().next().is_none() {
            Obstacle::NobodyServesItsQueue
        } else if !serves().any(|(lessee, _)| self.may_run(lessee.node, class)) {
            Obstacle::NobodySelected(self.rule_that_selects_nobody(class, serves()))
        } else {
            Obstacle::Leaving
        }
    }

    /// The first rule that, with those before it, leaves none of the executors that a class selects itself.
    fn rule_that_selects_nobody<'a>(
        &self,
        class: &Class,
        executors: impl Iterator<Item = (Lessee, &'a Profile)>,
    ) -> Option<Subject> {
        let none = Labels::NONE;
        let labels = |node| self.meta.as_ref().map_or(&none, |meta| meta.labels(node));
        let nodes = executors.map(|(lessee, _)| lessee.node);
        let mut left: Vec<NodeId> =
            nodes.filter(|node| class.target.includes(*node, labels(*node))).collect();
        if left.is_empty() {
            return None;
        }
        for (subject, selection) in class.gate.iter().flat_map(|gate| &gate.select) {
            left.retain(|node| labels(*node).match_all(selection));
            if left.is_empty() {
                return Some(subject.clone());
            }
        }
        None
    }

    fn is_here(&self, node: NodeId) -> bool {
        node == self.node() || self.is_alive(node)
    }
}
