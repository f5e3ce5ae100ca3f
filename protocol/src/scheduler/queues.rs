//! Listings of queues, of whose tasks every owner has its part.

use std::collections::BTreeMap;

use super::Scheduler;
use super::asks::Origin;
use super::gather::Gather;
use super::replica::Replica;
use super::tellers::Tellers;
use crate::id::NodeId;
use crate::limits::QUEUES_LISTED_MAX;
use crate::meta::{Rules, Subject};
use crate::wire::{Answer, Ask, QueueLine, RequestError, Told};

/// A listing to which other nodes still contribute.
pub(super) struct QueueListing {
    queues: BTreeMap<String, QueueLine>,
    rules: Box<Rules>,
    tellers: Tellers,
}

impl Scheduler {
    /// Lists the queues of all owners.
    pub(super) fn list_queues_everywhere(&mut self, origin: Origin) {
        let Origin::Here(id) = origin else {
            return;
        };
        if !self.all_understand(QUEUES_SINCE) {
            return self.answer(origin, Answer::Failed(RequestError::NotUpgraded));
        }
        let rules = Box::new(self.meta.as_ref().map(|meta| meta.rules.clone()).unwrap_or_default());
        let mut queues = self.queues_owned();
        for subject in rules.subjects() {
            if let Subject::Queue(name) = subject {
                let line = || QueueLine { name: name.clone(), ..QueueLine::default() };
                queues.entry(name.clone()).or_insert_with(line);
            }
        }
        let tellers = Tellers::new(self.partitions(), self.told());
        let listing = QueueListing { queues, rules, tellers };
        self.gather(id, &Ask::Queues, listing, |scheduler| &mut scheduler.queue_listings);
    }

    /// Tells another node of the queues of the partitions that this node owns.
    pub(super) fn list_queues_here(&mut self, origin: Origin) {
        let queues = self.queues_owned().into_values().take(QUEUES_LISTED_MAX).collect();
        let (told, rules) = (self.told(), Box::default());
        let partitions_missing = self.partitions_missing();
        self.answer(origin, Answer::Queues { queues, rules, partitions_missing, told });
    }

    /// Another node has told of the queues of the partitions that it owns.
    pub(super) fn queues_listed(
        &mut self,
        from: NodeId,
        id: u64,
        queues: Vec<QueueLine>,
        (told, partitions_missing): (Vec<Told>, u16),
    ) {
        let Some(listing) = self.queue_listings.told(from, id) else {
            return;
        };
        for line in queues {
            let name = line.name.clone();
            listing.queues.entry(name).or_default().add(line);
        }
        // What two tell of one partition is in the sums of both: it stays so for as long as it takes to hear of
        // the election.
        listing.tellers.add(told, partitions_missing);
        if let Some(answer) = self.queue_listings.if_complete(id) {
            self.answer(Origin::Here(id), answer);
        }
    }

    fn queues_owned(&self) -> BTreeMap<String, QueueLine> {
        let mut queues: BTreeMap<String, QueueLine> = BTreeMap::new();
        for partition in self.telling().filter_map(Replica::partition) {
            for (queue, _, counts) in partition.counts() {
                let line = line_of(&mut queues, queue);
                line.scheduled += counts.scheduled as u64;
                line.ready += counts.ready as u64;
                line.running += counts.leased as u64;
                line.dead += counts.dead as u64;
            }
        }
        for head in self.ready.heads() {
            if let Some(class) = self.ready.classes().get(head.class())
                && let Some(line) = queues.get_mut(&class.queue).filter(|line| line.ready > 0)
            {
                line.oldest = line.oldest.max(Some(self.now.wall.since(head.came())));
            }
        }
        for (queue, begun, ended) in self.flow.of_late(self.now.tick) {
            if begun + ended > 0 {
                let line = line_of(&mut queues, queue);
                line.begun += begun;
                line.ended += ended;
            }
        }
        queues
    }
}

fn line_of<'a>(queues: &'a mut BTreeMap<String, QueueLine>, name: &str) -> &'a mut QueueLine {
    if !queues.contains_key(name) {
        let line = QueueLine { name: name.to_owned(), ..QueueLine::default() };
        queues.insert(name.to_owned(), line);
    }
    queues.get_mut(name).expect("it was put there")
}

impl QueueLine {
    fn add(&mut self, other: Self) {
        let Self { name, ready, scheduled, running, dead, oldest, begun, ended } = other;
        self.name = name;
        self.ready = self.ready.saturating_add(ready);
        self.scheduled = self.scheduled.saturating_add(scheduled);
        self.running = self.running.saturating_add(running);
        self.dead = self.dead.saturating_add(dead);
        self.oldest = self.oldest.max(oldest);
        self.begun = self.begun.saturating_add(begun);
        self.ended = self.ended.saturating_add(ended);
    }
}

impl Gather for QueueListing {
    fn complete(self) -> Answer {
        let Self { queues, rules, tellers } = self;
        let queues = queues.into_values().take(QUEUES_LISTED_MAX).collect();
        Answer::Queues { queues, rules, partitions_missing: tellers.missing(), told: Vec::new() }
    }
}

/// The version of the protocol in which queues can be listed.
const QUEUES_SINCE: u16 = 3;

const _: () = assert!(super::flow::WINDOW.as_millis() == 10_000, "as `QueueLine` says");
