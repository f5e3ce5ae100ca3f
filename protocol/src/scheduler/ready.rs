//! Tasks that wait for a slot: an index over records, rebuilt at each takeover.
//!
//! Tasks of one queue, one name and one target form a *class*: whatever executor may run one of them may
//! run all. The order is priority, then first come first served, within a class and between classes
//! that take the same slots: a long line of one name must not keep another from its turn.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet, VecDeque};

use crate::id::{PartitionId, TaskId};
use crate::job::Target;
use crate::task::Template;

/// 0 to 9.
const PRIORITIES: usize = 10;

/// So few are not worth a sweep.
const SLACK: usize = 1_024;

#[derive(Debug, Default)]
pub(super) struct Ready {
    classes: Vec<Class>,
    /// Places of classes that are none any more.
    free: Vec<usize>,
    places: BTreeMap<String, BTreeMap<String, BTreeMap<Target, usize>>>,
    /// Classes in which anybody waits: there may be one for each job and host, most of them empty.
    waited_for: BTreeSet<usize>,
    len: usize,
    /// Numbers those who join a line.
    last: u64,
    /// How many were left when tasks that do not wait any more were last swept out.
    swept: usize,
}

/// The first in line of a class; the greatest of several is to be served first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Head {
    priority: usize,
    came: Reverse<u64>,
    pub(super) class: usize,
}

/// Waiting tasks that the same executors may run.
#[derive(Debug)]
pub(super) struct Class {
    pub(super) queue: String,
    pub(super) name: String,
    pub(super) target: Target,
    lines: [VecDeque<(u64, TaskId)>; PRIORITIES],
    len: usize,
}

impl Ready {
    /// The class of `template` where `target` may run it.
    pub(super) fn class(&mut self, template: &Template, target: &Target) -> usize {
        let names = self.places.get(&template.queue);
        let targets = names.and_then(|names| names.get(&template.name));
        if let Some(place) = targets.and_then(|targets| targets.get(target)) {
            return *place;
        }
        let class = Class {
            queue: template.queue.clone(),
            name: template.name.clone(),
            target: target.clone(),
            lines: Default::default(),
            len: 0,
        };
        let place = match self.free.pop() {
            Some(place) => place,
            None => self.classes.len(),
        };
        match self.classes.get_mut(place) {
            Some(freed) => *freed = class,
            None => self.classes.push(class),
        }
        let names = self.places.entry(template.queue.clone()).or_default();
        names.entry(template.name.clone()).or_default().insert(target.clone(), place);
        place
    }

    /// Puts a task into its line: at the end, or if it waits `again`, having been started before, at
    /// the front. It came before those that wait, and whoever waits for it has waited longest.
    pub(super) fn push(&mut self, template: &Template, target: &Target, task: TaskId, again: bool) {
        let place = self.class(template, target);
        let priority = usize::from(template.options.priority()).min(PRIORITIES - 1);
        self.last += 1;
        let came = self.last;
        let class = self.classes.get_mut(place);
        if let Some(line) = class.and_then(|class| {
            class.len += 1;
            class.lines.get_mut(priority)
        }) {
            match line.front().copied().filter(|_| again) {
                Some((first, _)) => line.push_front((first, task)),
                None => line.push_back((came, task)),
            }
            self.len += 1;
            self.waited_for.insert(place);
        }
    }

    /// The first waiting task of a class.
    pub(super) fn pop(&mut self, place: usize) -> Option<TaskId> {
        let class = self.classes.get_mut(place)?;
        let (_, task) = class.lines.iter_mut().rev().find_map(VecDeque::pop_front)?;
        class.len -= 1;
        self.len -= 1;
        if class.len == 0 {
            self.waited_for.remove(&place);
        }
        Some(task)
    }

    /// The first in line of a class.
    pub(super) fn head(&self, class: usize) -> Option<Head> {
        let mut lines = self.classes.get(class)?.lines.iter().enumerate().rev();
        lines.find_map(|(priority, line)| {
            let (came, _) = line.front()?;
            Some(Head { priority, came: Reverse(*came), class })
        })
    }

    /// The first in line of each class in which anybody waits.
    pub(super) fn heads(&self) -> impl Iterator<Item = Head> {
        self.waited_for.iter().filter_map(|class| self.head(*class))
    }

    /// How many tasks of a class wait.
    pub(super) fn waiting(&self, class: usize) -> usize {
        self.classes.get(class).map_or(0, |class| class.len)
    }

    pub(super) fn classes(&self) -> &[Class] {
        &self.classes
    }

    pub(super) const fn is_empty(&self) -> bool {
        self.len == 0
    }

    pub(super) const fn len(&self) -> usize {
        self.len
    }

    /// Drops tasks that do not wait any more, if they may be more than half of all: nobody may come
    /// for their class who would find out. The same with classes in which nobody waits: of nodes that are
    /// gone and of jobs that are removed nobody will. Places of classes hold until then.
    pub(super) fn sweep(&mut self, waits: impl Fn(TaskId) -> bool) {
        if self.len > self.swept * 2 + SLACK {
            self.retain(waits);
            self.swept = self.len;
        }
        let empty = self.classes.len() - self.free.len() - self.waited_for.len();
        if empty > self.waited_for.len() + SLACK {
            self.drop_empty();
        }
    }

    fn drop_empty(&mut self) {
        let Self { free, places, waited_for, .. } = self;
        for names in places.values_mut() {
            for targets in names.values_mut() {
                targets.retain(|_, place| {
                    let is_waited_for = waited_for.contains(place);
                    if !is_waited_for {
                        free.push(*place);
                    }
                    is_waited_for
                });
            }
            names.retain(|_, targets| !targets.is_empty());
        }
        places.retain(|_, names| !names.is_empty());
    }

    pub(super) fn forget(&mut self, partition: PartitionId) {
        self.retain(|task| task.partition() != partition);
    }

    fn retain(&mut self, keep: impl Fn(TaskId) -> bool) {
        for (place, class) in self.classes.iter_mut().enumerate() {
            for line in &mut class.lines {
                line.retain(|(_, task)| keep(*task));
            }
            class.len = class.lines.iter().map(VecDeque::len).sum();
            if class.len == 0 {
                self.waited_for.remove(&place);
            }
        }
        self.len = self.classes.iter().map(|class| class.len).sum();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::id::NodeId;
    use crate::time::Wall;

    #[test]
    fn classes_in_which_nobody_waits_any_more_are_dropped() {
        let task = |n| TaskId::new(Wall::from_millis(1), PartitionId(0), n);
        let (template, mut ready) = (Template::new("add"), Ready::default());
        ready.push(&template, &Target::Anywhere, task(1), false);
        for round in 0..10_u128 {
            for n in 0..1_000 {
                let target = Target::Node(NodeId(round * 1_000 + n));
                ready.push(&template, &target, task(2), false);
                let class = ready.class(&template, &target);
                assert_eq!(ready.pop(class), Some(task(2)));
            }
            ready.sweep(|_| true);
        }
        assert!(ready.classes.len() < 3 * SLACK, "{} classes", ready.classes.len());
        let class = ready.class(&template, &Target::Anywhere);
        assert_eq!((ready.len(), ready.pop(class)), (1, Some(task(1))));
    }

    #[test]
    fn who_waits_again_is_first_among_its_like() {
        let task = |n| TaskId::new(Wall::from_millis(1), PartitionId(0), n);
        let (template, mut ready) = (Template::new("add"), Ready::default());
        ready.push(&template, &Target::Anywhere, task(1), true);
        for n in 2..4 {
            ready.push(&template, &Target::Anywhere, task(n), false);
        }
        let urgent = {
            let mut urgent = template.clone();
            urgent.options.priority = Some(9);
            urgent
        };
        ready.push(&urgent, &Target::Anywhere, task(5), false);
        ready.push(&template, &Target::Anywhere, task(4), true);
        let served: Vec<_> = std::iter::from_fn(|| ready.pop(0)).collect();
        assert_eq!(served, [5, 4, 1, 2, 3].map(task));
    }
}
