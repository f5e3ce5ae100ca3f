//! Requests of clients, from their arrival at any node to their answer.
//!
//! The node that a client asks keeps the request until it is answered: it finds the owner of the
//! partition, passes the request on, and passes it on again if that owner is lost or was none. All
//! requests may be repeated, so a lost answer costs time and nothing else.

use std::collections::{BTreeMap, BTreeSet};

use super::{Caller, Scheduler};
use crate::id::{GroupId, Incarnation, NodeId, PartitionId};
use crate::limits::FORWARDS_MAX;
use crate::membership::Liveness;
use crate::task::InvalidBatch;
use crate::time::{Span, Tick};
use crate::wire::{Answer, Ask, PeerMessage, Request, RequestError};

/// How long a request may take at most.
const DEADLINE_MAX: Span = Span::from_millis(24 * 3_600_000);
/// A request that was passed on and not heard of for so long is passed on again.
const REPEAT_AFTER: Span = Span::from_millis(2_000);
/// How long a request waits for a member that may know its task name.
const NAME_WAIT: Span = Span::from_millis(3_000);

/// A scheduler makes fewer requests than fit in so many bits: what full load makes in ten days.
const REQUESTS_BITS: u32 = 36;
/// So many bits of the number of a scheduler among those of one start go into its requests'
/// numbers. What is cut off comes round after days of falling, when nobody answers the first any
/// more.
const SCHEDULERS_BITS: u32 = 14;

/// Whom to answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    /// A request that this node keeps.
    Here(u64),
    /// One that another node keeps.
    Peer(NodeId, u64),
}

/// The requests that this node keeps.
#[derive(Default)]
pub(super) struct Asks {
    open: BTreeMap<u64, Open>,
    deadlines: BTreeSet<(Tick, u64)>,
    /// Requests that wait for an owner to appear.
    parked: BTreeSet<u64>,
    sessions: BTreeMap<u64, BTreeSet<u64>>,
    last: u64,
    /// What the batches of all of them weigh.
    bytes: usize,
}

struct Open {
    caller: Caller,
    ask: Ask,
    /// What its batch weighed when it came.
    bytes: usize,
    since: Tick,
    deadline: Tick,
    at: Place,
    /// Whether an owner may have acted on it.
    tried: bool,
    /// Whether an owner may have acted on it more than once.
    repeated: bool,
    /// Whether an owner has said that the end of its tasks is waited for.
    acknowledged: bool,
}

enum Place {
    /// This node is the owner.
    Here,
    /// Nobody is, as far as is known.
    Parked,
    /// Another node is, and was asked then.
    Peer(NodeId, Tick),
}

impl Asks {
    /// For this scheduler of this start of the node: an answer to a request of an earlier one must
    /// not be taken for the answer to another of this one.
    pub(super) fn new(incarnation: Incarnation, scheduler: u32) -> Self {
        let scheduler = u64::from(scheduler) % (1 << SCHEDULERS_BITS);
        let start = (incarnation.0 << SCHEDULERS_BITS) | scheduler;
        Self { last: start << REQUESTS_BITS, ..Self::default() }
    }

    pub(super) fn len(&self) -> usize {
        self.open.len()
    }

    pub(super) fn next_deadline(&self) -> Tick {
        self.deadlines.first().map_or(Tick::NEVER, |(at, _)| *at)
    }

    pub(super) fn forget_session(&mut self, session: u64) {
        for id in self.sessions.remove(&session).unwrap_or_default() {
            if let Some(open) = self.open.remove(&id) {
                self.bytes -= open.bytes;
                self.deadlines.remove(&(open.deadline, id));
                self.parked.remove(&id);
            }
        }
    }

    pub(super) const fn bytes(&self) -> usize {
        self.bytes
    }

    fn insert(&mut self, open: Open) -> u64 {
        self.last += 1;
        self.bytes += open.bytes;
        self.deadlines.insert((open.deadline, self.last));
        self.sessions.entry(open.caller.session).or_default().insert(self.last);
        self.open.insert(self.last, open);
        self.last
    }

    /// Whether its caller still waits for an answer.
    pub(super) fn is_open(&self, id: u64) -> bool {
        self.open.contains_key(&id)
    }

    /// Closes a request; whose it was.
    pub(super) fn close(&mut self, id: u64) -> Option<Caller> {
        self.remove(id).map(|open| open.caller)
    }

    fn remove(&mut self, id: u64) -> Option<Open> {
        let open = self.open.remove(&id)?;
        self.bytes -= open.bytes;
        self.deadlines.remove(&(open.deadline, id));
        self.parked.remove(&id);
        if let Some(session) = self.sessions.get_mut(&open.caller.session) {
            session.remove(&id);
            if session.is_empty() {
                self.sessions.remove(&open.caller.session);
            }
        }
        Some(open)
    }
}

impl Scheduler {
    /// A client asks something.
    pub(super) fn asked(&mut self, caller: Caller, request: Request) {
        let Request { deadline, ask } = request;
        let fail =
            |error| super::Effect::Answer { caller, answer: Answer::Failed(error), is_last: true };
        if self.asks.open.len() >= FORWARDS_MAX {
            let what = "open requests".to_owned();
            self.outbox.effects.push(fail(RequestError::Overloaded { what }));
            return;
        }
        let mut bytes = 0;
        if let Ask::Submit { batch, .. } = &ask {
            bytes = batch.weight();
            if let Err(error) =
                batch.check().map_err(Into::into).and_then(|()| self.has_room_for(bytes))
            {
                self.outbox.effects.push(fail(error));
                return;
            }
        }
        let now = self.now.tick;
        let open = Open {
            caller,
            ask,
            bytes,
            since: now,
            deadline: now + deadline.min(DEADLINE_MAX),
            at: Place::Parked,
            tried: false,
            repeated: false,
            acknowledged: false,
        };
        let id = self.asks.insert(open);
        self.route(id);
    }

    /// Finds out who is to answer, and asks.
    fn route(&mut self, id: u64) {
        let origin = Origin::Here(id);
        if let Err(unknown) = self.complete_ask(id) {
            let age = self.asks.open.get(&id).map(|open| self.now.tick.since(open.since));
            // The member that knows the name may not have introduced itself yet.
            if self.profiles_missing() && age.is_some_and(|age| age < NAME_WAIT) {
                return self.park(id);
            }
            return self.answer(origin, Answer::Failed(unknown));
        }
        let Some(open) = self.asks.open.get(&id) else {
            return;
        };
        match &open.ask {
            Ask::List { state, queue, limit } => {
                let (state, queue, limit) = (*state, queue.clone(), *limit);
                return self.list_everywhere(origin, state, queue, limit);
            }
            Ask::Status => return self.status(origin),
            Ask::Welcome => return self.welcome(origin),
            Ask::Cancel { .. } | Ask::Show { .. } | Ask::Submit { .. } | Ask::Wait { .. } => {}
        }
        let Some(partition) = open.ask.partition() else {
            // A submission of nothing.
            let answer = Answer::Submitted { refused: Vec::new(), known: 0 };
            return self.answer(origin, answer);
        };
        if let Some(partitions) = self.meta.as_ref().map(|meta| meta.partitions)
            && partition.0 >= partitions
        {
            let invalid = InvalidBatch::Partition { partition, partitions };
            return self.answer(origin, Answer::Failed(invalid.into()));
        }
        let owner = self.owner_of(partition);
        let ask = open.ask.clone();
        let deadline = open.deadline.since(self.now.tick);
        if owner == Some(self.node()) {
            if let Some(open) = self.asks.open.get_mut(&id) {
                open.at = Place::Here;
                open.repeated = std::mem::replace(&mut open.tried, true);
            }
            self.asks.parked.remove(&id);
            self.serve(origin, ask);
            return;
        }
        match owner.filter(|owner| self.is_alive(*owner)) {
            Some(owner) => {
                if let Some(open) = self.asks.open.get_mut(&id) {
                    open.at = Place::Peer(owner, self.now.tick);
                    open.repeated = std::mem::replace(&mut open.tried, true);
                }
                self.asks.parked.remove(&id);
                self.outbox.send(owner, PeerMessage::Ask { id, deadline, ask });
            }
            None => self.park(id),
        }
    }

    /// Fills in what a request leaves to declarations, which this node may not know yet.
    fn complete_ask(&mut self, id: u64) -> Result<(), RequestError> {
        let Some(mut open) = self.asks.open.remove(&id) else {
            return Ok(());
        };
        let completed = if open.tried { Ok(()) } else { self.complete(&mut open.ask) };
        self.asks.open.insert(id, open);
        completed
    }

    fn park(&mut self, id: u64) {
        if let Some(open) = self.asks.open.get_mut(&id) {
            open.at = Place::Parked;
            // Whoever kept an eye on the task does so no longer.
            open.acknowledged &= !matches!(open.ask, Ask::Wait { .. });
            self.asks.parked.insert(id);
        }
    }

    /// Answers a request whose partition this node should own.
    pub(super) fn serve(&mut self, origin: Origin, ask: Ask) {
        let partition = ask.partition();
        if let Some(partition) = partition
            && self.owned(partition).is_none()
        {
            let owner = self.owner_of(partition);
            return self
                .answer(origin, Answer::Failed(RequestError::NotOwner { partition, owner }));
        }
        // Ends are on record for good; all else needs a majority, and waiting for one is the
        // caller's choice.
        let needs_majority = match &ask {
            Ask::Cancel { .. } | Ask::Submit { .. } => true,
            Ask::Show { task } | Ask::Wait { task } => !self.has_ended(*task),
            Ask::List { .. } | Ask::Status | Ask::Welcome => false,
        };
        if let Some(partition) = partition
            && needs_majority
            && self.lacks_majority(partition)
        {
            let error = RequestError::NoQuorum { partition };
            return self.answer(origin, Answer::Failed(error));
        }
        match ask {
            Ask::Cancel { task } => self.cancel(origin, task),
            Ask::Show { task } => self.read(origin, task, false),
            Ask::Submit { batch, wait } => self.submit(origin, batch, wait),
            Ask::Wait { task } => self.read(origin, task, true),
            Ask::List { state, queue, limit } => self.list_here(origin, state, &queue, limit),
            Ask::Status => self.status(origin),
            Ask::Welcome => self.welcome(origin),
        }
    }

    fn cancel(&mut self, origin: Origin, task: crate::id::TaskId) {
        if let Some(line) = self.line(task.partition()) {
            line.cancels.push((origin, task));
        }
    }

    /// Sends an answer on its way, or asks again if it only says that somebody else should.
    pub(super) fn answer(&mut self, origin: Origin, answer: Answer) {
        let id = match origin {
            Origin::Peer(node, id) => {
                return self.outbox.send(node, PeerMessage::Answer { id, answer });
            }
            Origin::Here(id) => id,
        };
        let Some(open) = self.asks.open.get_mut(&id) else {
            return;
        };
        let caller = open.caller;
        let goes_on = match &answer {
            Answer::Failed(RequestError::NotOwner { .. } | RequestError::Forming { .. }) => {
                // The next upkeep finds the owner, or the deadline comes.
                return self.park(id);
            }
            // The first try may have come through when this one could not.
            Answer::Failed(RequestError::NoQuorum { .. }) if open.repeated && open.ask.acts() => {
                return self.answer(origin, Answer::Failed(RequestError::Unknown));
            }
            Answer::Waiting => {
                open.acknowledged = true;
                return;
            }
            Answer::Submitted { refused, .. } => {
                let Ask::Submit { batch, wait } = &open.ask else {
                    return;
                };
                let waits = *wait && refused.len() < batch.rows.len();
                if open.acknowledged && waits {
                    return;
                }
                open.acknowledged = true;
                waits
            }
            Answer::Failed(_)
            | Answer::Finished(_)
            | Answer::Status(_)
            | Answer::Tasks { .. }
            | Answer::View(_)
            | Answer::Welcome(_) => false,
        };
        if !goes_on {
            self.asks.remove(id);
        }
        self.outbox.effects.push(super::Effect::Answer { caller, answer, is_last: !goes_on });
    }

    /// An answer came from the node that was asked.
    pub(super) fn answered(&mut self, from: NodeId, id: u64, answer: Answer) {
        if let Answer::Tasks { tasks, partitions_missing } = answer {
            return self.listed(from, id, tasks, partitions_missing);
        }
        if let Answer::Failed(error @ RequestError::TooLong { .. }) = &answer
            && self.cannot_list(from, id)
        {
            return self.answer(Origin::Here(id), Answer::Failed(error.clone()));
        }
        let expected = self
            .asks
            .open
            .get(&id)
            .is_some_and(|open| matches!(open.at, Place::Peer(node, _) if node == from));
        if let Answer::Failed(RequestError::NotOwner { partition, owner: Some(owner) }) = &answer
            && *owner != from
        {
            self.owners.insert(*partition, *owner);
        }
        if expected {
            self.answer(Origin::Here(id), answer);
        }
    }

    /// Ends what takes too long.
    pub(super) fn end_overdue_asks(&mut self) {
        while let Some((at, id)) = self.asks.deadlines.first().copied() {
            if at > self.now.tick {
                break;
            }
            self.overdue(id);
        }
    }

    /// Repeats what got lost.
    pub(super) fn tend_asks(&mut self) {
        let now = self.now.tick;
        let parked: Vec<u64> = self.asks.parked.iter().copied().collect();
        for id in parked {
            self.route(id);
        }
        let lost: Vec<u64> = (self.asks.open.iter())
            .filter(|(_, open)| match open.at {
                Place::Peer(node, at) => {
                    self.liveness(node) != Liveness::Alive
                        || (now.since(at) > REPEAT_AFTER && !open.acknowledged)
                        || (now.since(at) > REPEAT_AFTER.times(5))
                        || open.ask.partition().and_then(|p| self.owner_of(p)) != Some(node)
                }
                Place::Here | Place::Parked => false,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.route(id);
        }
    }

    fn overdue(&mut self, id: u64) {
        let Some(open) = self.asks.remove(id) else {
            return;
        };
        let partition = open.ask.partition().unwrap_or(PartitionId(0));
        let error = match &open.ask {
            Ask::Submit { .. } if open.acknowledged => RequestError::TimedOut,
            // Only an owner can know that the task has not ended.
            Ask::Wait { .. } if open.acknowledged && !self.lacks_majority(partition) => {
                RequestError::TimedOut
            }
            Ask::Submit { .. } | Ask::Cancel { .. } if open.tried => RequestError::Unknown,
            Ask::Cancel { .. } | Ask::Show { .. } | Ask::Submit { .. } | Ask::Wait { .. } => {
                RequestError::NoQuorum { partition }
            }
            Ask::List { .. } => return self.finish_listing(id, open.caller),
            Ask::Status | Ask::Welcome => {
                RequestError::Forming { missing: "this node is not a member yet".to_owned() }
            }
        };
        let answer = Answer::Failed(error);
        let caller = open.caller;
        self.outbox.effects.push(super::Effect::Answer { caller, answer, is_last: true });
    }

    /// The node that owns a partition, as far as is known here.
    pub(super) fn owner_of(&self, partition: PartitionId) -> Option<NodeId> {
        // Hearsay: of use only while it may be true.
        let known = (self.owners.get(&partition).copied())
            .filter(|owner| *owner != self.node() && self.is_alive(*owner));
        match self.replicas.get(&GroupId::of(partition)) {
            Some(replica) if replica.is_settled() => Some(self.node()),
            Some(replica) => {
                replica.group.leader().filter(|leader| *leader != self.node()).or(known)
            }
            None => known.or_else(|| self.first_holder(partition)),
        }
    }

    /// Who should hold a partition that has no copy here: it knows the owner.
    fn first_holder(&self, partition: PartitionId) -> Option<NodeId> {
        let meta = self.meta.as_ref()?;
        let alive = meta.members.keys().copied().filter(|node| self.is_alive(*node));
        crate::placement::ranking(GroupId::of(partition), alive).first().copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_two_schedulers_number_a_request_alike() {
        let firsts: BTreeSet<u64> = (1..=50)
            .flat_map(|start| (1..=50).map(move |scheduler| (Incarnation(start), scheduler)))
            .map(|(start, scheduler)| Asks::new(start, scheduler).last)
            .collect();
        assert_eq!(firsts.len(), 50 * 50);
        let apart = firsts.iter().zip(firsts.iter().skip(1)).map(|(one, next)| next - one).min();
        assert_eq!(apart, Some(1 << REQUESTS_BITS));
    }
}
