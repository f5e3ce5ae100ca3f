//! How many tasks of each queue and name there are in each state: counted as records change, so that nobody
//! has to look through a million of them to tell how long a line is.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::task::{Record, State, Template};

/// So few kinds of which there is no task are not worth looking for.
const SLACK: usize = 256;

/// Counts by queue and name. Derived from the records.
#[derive(Clone, Debug, Default)]
pub(super) struct Census {
    kinds: Vec<Kind>,
    places: BTreeMap<String, BTreeMap<String, usize>>,
    /// Where the last template that was looked up has its place: most of the time the next is the same.
    last: Option<(Arc<Template>, usize)>,
    /// Kinds of which there are tasks.
    used: usize,
}

/// Tasks of one queue and one name.
#[derive(Clone, Debug)]
struct Kind {
    queue: String,
    name: String,
    counts: Counts,
}

/// How many tasks are in each state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// They wait for their time.
    pub scheduled: usize,
    /// They wait for a slot.
    pub ready: usize,
    /// They run.
    pub leased: usize,
    /// They ended well and are kept.
    pub succeeded: usize,
    /// They failed for good and are kept.
    pub dead: usize,
    /// They were cancelled, or have expired, and are kept.
    pub stopped: usize,
}

impl Counts {
    const NONE: Self =
        Self { scheduled: 0, ready: 0, leased: 0, succeeded: 0, dead: 0, stopped: 0 };

    pub(super) const fn of(&mut self, state: State) -> &mut usize {
        match state {
            State::Scheduled => &mut self.scheduled,
            State::Ready => &mut self.ready,
            State::Leased => &mut self.leased,
            State::Succeeded => &mut self.succeeded,
            State::Dead => &mut self.dead,
            State::Cancelled | State::Expired => &mut self.stopped,
        }
    }
}

impl Census {
    /// A record has come.
    pub(super) fn add(&mut self, record: &Record) {
        let place = self.place(&record.template);
        if let Some(kind) = self.kinds.get_mut(place) {
            self.used += usize::from(kind.counts == Counts::NONE);
            *kind.counts.of(record.state()) += 1;
        }
    }

    /// A record is gone.
    pub(super) fn subtract(&mut self, record: &Record) {
        let place = self.place(&record.template);
        if let Some(kind) = self.kinds.get_mut(place) {
            *kind.counts.of(record.state()) -= 1;
            self.used -= usize::from(kind.counts == Counts::NONE);
        }
    }

    /// Queues, names, and how many tasks there are of them.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &str, Counts)> {
        let used = self.kinds.iter().filter(|kind| kind.counts != Counts::NONE);
        used.map(|kind| (kind.queue.as_str(), kind.name.as_str(), kind.counts))
    }

    fn place(&mut self, template: &Arc<Template>) -> usize {
        if let Some((last, place)) = &self.last
            && Arc::ptr_eq(last, template)
        {
            return *place;
        }
        let known = self.places.get(&template.queue).and_then(|names| names.get(&template.name));
        let place = match known {
            Some(place) => *place,
            None => self.make(template),
        };
        self.last = Some((Arc::clone(template), place));
        place
    }

    fn make(&mut self, template: &Template) -> usize {
        if self.kinds.len() > 2 * self.used + SLACK {
            self.kinds.retain(|kind| kind.counts != Counts::NONE);
            self.places.clear();
            for (place, kind) in self.kinds.iter().enumerate() {
                let names = self.places.entry(kind.queue.clone()).or_default();
                names.insert(kind.name.clone(), place);
            }
        }
        let place = self.kinds.len();
        let (queue, name) = (template.queue.clone(), template.name.clone());
        self.places.entry(queue.clone()).or_default().insert(name.clone(), place);
        self.kinds.push(Kind { queue, name, counts: Counts::NONE });
        place
    }
}
