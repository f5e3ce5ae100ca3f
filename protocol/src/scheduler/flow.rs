//! How much has begun and ended of late in each queue, as people want to see it.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::id::TaskId;
use crate::partition::Partition;
use crate::task::Template;
use crate::time::{Span, Tick};

/// Of so long it is told.
pub(super) const WINDOW: Span = Span::from_millis(SECONDS as u64 * 1_000);
const SECONDS: usize = 10;
/// So many queues are watched at a time; beyond it those are forgotten in which nothing happens.
const QUEUES_MAX: usize = 4_096;

#[derive(Debug, Default)]
pub(super) struct Flow {
    queues: Vec<Queue>,
    places: BTreeMap<String, usize>,
    /// Where the last template that was looked up has its place: most of the time the next is the same.
    last: Option<(Arc<Template>, usize)>,
}

#[derive(Debug, Default)]
struct Queue {
    name: String,
    /// What has happened in each of the last seconds, by the remainder of its number.
    seconds: [Second; SECONDS],
}

#[derive(Clone, Copy, Debug, Default)]
struct Second {
    number: u64,
    begun: u64,
    ended: u64,
}

impl Flow {
    /// A run of `task` has begun.
    pub(super) fn begun(&mut self, partition: Option<&Partition>, task: TaskId, now: Tick) {
        if let Some(second) = self.second(partition, task, now) {
            second.begun += 1;
        }
    }

    /// `task` has ended.
    pub(super) fn ended(&mut self, partition: Option<&Partition>, task: TaskId, now: Tick) {
        if let Some(second) = self.second(partition, task, now) {
            second.ended += 1;
        }
    }

    /// How many have begun and ended of late in each queue.
    pub(super) fn of_late(&self, now: Tick) -> impl Iterator<Item = (&str, u64, u64)> {
        let oldest = number(now).saturating_sub(SECONDS as u64 - 1);
        self.queues.iter().map(move |queue| {
            let of_late = queue.seconds.iter().filter(|second| second.number >= oldest);
            let (begun, ended) = of_late.fold((0, 0), |(begun, ended), second| {
                (begun + second.begun, ended + second.ended)
            });
            (queue.name.as_str(), begun, ended)
        })
    }

    fn second(
        &mut self,
        partition: Option<&Partition>,
        task: TaskId,
        now: Tick,
    ) -> Option<&mut Second> {
        let template = &partition?.record(task)?.template;
        let place = match &self.last {
            Some((last, place)) if Arc::ptr_eq(last, template) => *place,
            Some(_) | None => self.place(template, now)?,
        };
        let number = number(now);
        let at = usize::try_from(number % SECONDS as u64).unwrap_or(0);
        let second = self.queues.get_mut(place)?.seconds.get_mut(at)?;
        if second.number != number {
            *second = Second { number, ..Second::default() };
        }
        Some(second)
    }

    fn place(&mut self, template: &Arc<Template>, now: Tick) -> Option<usize> {
        let place = match self.places.get(&template.queue) {
            Some(place) => *place,
            None => self.add(&template.queue, now)?,
        };
        self.last = Some((Arc::clone(template), place));
        Some(place)
    }

    fn add(&mut self, queue: &str, now: Tick) -> Option<usize> {
        if self.queues.len() >= QUEUES_MAX {
            let oldest = number(now).saturating_sub(SECONDS as u64);
            self.queues.retain(|queue| queue.seconds.iter().any(|second| second.number > oldest));
            if self.queues.len() >= QUEUES_MAX {
                // In so many at once something happens that of the others nothing is told.
                return None;
            }
            let names = self.queues.iter().enumerate();
            self.places = names.map(|(place, queue)| (queue.name.clone(), place)).collect();
            self.last = None;
        }
        let place = self.queues.len();
        self.places.insert(queue.to_owned(), place);
        self.queues.push(Queue { name: queue.to_owned(), ..Queue::default() });
        Some(place)
    }
}

/// The number of a second, from one.
const fn number(now: Tick) -> u64 {
    now.as_micros() / 1_000_000 + 1
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;
    use crate::id::PartitionId;
    use crate::partition::{Command, Proposal};
    use crate::task::{Batch, Template};
    use crate::time::Wall;

    const NOW: Wall = Wall::from_millis(1_700_000_000_000);

    #[test]
    fn what_is_longer_ago_is_not_told() {
        let mut partition = Partition::new(PartitionId(0));
        let task = TaskId::new(NOW, PartitionId(0), 1);
        let template = Template { queue: "mail".to_owned(), ..Template::new("send") };
        let batch = Arc::new(Batch::one(task, template, Bytes::from_static(b"1")));
        let commands = vec![Command::Accept { batch, grants: Vec::new() }];
        let proposal = Proposal { at: NOW, term: 1, commands, ..Proposal::default() };
        partition.apply(1, 1, proposal, &mut Vec::new());
        let mut flow = Flow::default();
        let at = |seconds: u64| Tick::from_micros(seconds * 1_000_000);
        flow.begun(Some(&partition), task, at(0));
        flow.begun(Some(&partition), task, at(5));
        flow.ended(Some(&partition), task, at(9));
        let told = |flow: &Flow, seconds| {
            flow.of_late(at(seconds)).map(|(_, begun, ended)| (begun, ended)).collect::<Vec<_>>()
        };
        assert_eq!(told(&flow, 9), [(2, 1)]);
        assert_eq!(told(&flow, 10), [(1, 1)], "the first was ten seconds ago");
        assert_eq!(told(&flow, 30), [(0, 0)]);
        flow.begun(Some(&partition), task, at(15));
        assert_eq!(told(&flow, 15), [(1, 1)], "its place was that of the fifth second");
    }
}
