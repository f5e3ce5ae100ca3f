//! Finding who is to answer a request, as often as it takes.

use std::sync::Arc;

use super::asks::{Open, Origin, Place};
use super::{Caller, Effect, Scheduler};
use crate::id::{GroupId, NodeId, PartitionId};
use crate::limits::{BATCH_BYTES_MAX, FORWARDS_MAX};
use crate::membership::Liveness;
use crate::partition::JobChange;
use crate::task::{Batch, InvalidBatch};
use crate::time::Span;
use crate::wire::{Answer, Ask, PeerMessage, Reloaded, Request, RequestError};

/// How long a request may take at most.
const DEADLINE_MAX: Span = Span::from_millis(24 * 3_600_000);
/// A request that was passed on and not heard of for so long is passed on again.
const REPEAT_AFTER: Span = Span::from_millis(2_000);
/// How long a request waits for a member that may know its task name.
pub(super) const NAME_WAIT: Span = Span::from_millis(3_000);

impl Scheduler {
    /// A client asks something.
    pub(super) fn asked(&mut self, caller: Caller, request: Request) {
        let Request { deadline, ask } = request;
        if ask == Ask::Reload {
            return self.outbox.effects.push(Effect::Reload(caller));
        }
        let fail = |error| Effect::Answer { caller, answer: Answer::Failed(error), is_last: true };
        if self.asks.open.len() >= FORWARDS_MAX {
            let what = "open requests".to_owned();
            self.outbox.effects.push(fail(RequestError::Overloaded { what }));
            return;
        }
        let (bytes, checked) = match &ask {
            Ask::Submit { batch, .. } => (batch.weight(), batch.check().map_err(Into::into)),
            Ask::ChangeJob { change: JobChange::Define { job, .. }, .. } => (job.weight(), Ok(())),
            _ => (0, Ok(())),
        };
        if let Err(error) = checked.and_then(|()| self.has_room_for(bytes)) {
            self.outbox.effects.push(fail(error));
            return;
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

    /// The file was read for a client, or could not be.
    pub(super) fn reloaded(&mut self, caller: Caller, result: Result<Reloaded, String>) {
        let answer = match result {
            Ok(reloaded) => Answer::Reloaded(reloaded),
            Err(why) => Answer::Failed(RequestError::Reload { why }),
        };
        self.outbox.effects.push(Effect::Answer { caller, answer, is_last: true });
    }

    /// Somebody else's client asks what only this node's own may.
    pub(super) fn not_yours(&mut self, origin: Origin) {
        let why = "only who is connected to a node can have it read its file again".to_owned();
        self.answer(origin, Answer::Failed(RequestError::Reload { why }));
    }

    /// Finds out who is to answer, and asks.
    fn route(&mut self, id: u64) {
        let origin = Origin::Here(id);
        if let Err(unknown) = self.complete_ask(id) {
            let age = self.asks.open.get(&id).map(|open| self.now.tick.since(open.since));
            let is_of_names = matches!(
                unknown,
                RequestError::UnknownTask { .. } | RequestError::UnknownQueue { .. }
            );
            // The member that knows the name may not have introduced itself yet.
            if is_of_names && self.profiles_missing() && age.is_some_and(|age| age < NAME_WAIT) {
                return self.park(id);
            }
            return self.answer(origin, Answer::Failed(unknown));
        }
        let Some(open) = self.asks.open.get(&id) else {
            return;
        };
        match &open.ask {
            // Of what all owners tell nothing is known before it is known who they are.
            Ask::List(_) | Ask::ListJobs { .. } | Ask::Queues | Ask::TaskGroup { .. }
                if self.meta.is_none() =>
            {
                return self.park(id);
            }
            Ask::List(wanted) => {
                let wanted = wanted.clone();
                return self.list_everywhere(origin, wanted);
            }
            Ask::ListJobs { .. } => {
                let ask = open.ask.clone();
                return self.list_jobs_everywhere(origin, &ask);
            }
            Ask::Reload => return self.not_yours(origin),
            Ask::Status => return self.survey(origin),
            Ask::Welcome => return self.welcome(origin),
            Ask::Queues => return self.list_queues_everywhere(origin),
            Ask::TaskGroup { group } => {
                let group = *group;
                return self.count_task_group_everywhere(origin, group);
            }
            Ask::Drain { .. }
            | Ask::Forget { .. }
            | Ask::OfferFile { .. }
            | Ask::ChangeRule { .. }
            | Ask::FileRules { .. } => return self.route_to_facts(id),
            Ask::ChangeJob { .. } | Ask::RunJob { .. } | Ask::ShowJob { .. } => {
                // Where a job lives depends on how many partitions there are.
                if self.meta.is_none() {
                    return self.park(id);
                }
            }
            Ask::Watch { .. } => {
                if self.meta.is_none() {
                    return self.park(id);
                }
                if !self.all_understand(3) {
                    return self.answer(origin, Answer::Failed(RequestError::NotUpgraded));
                }
            }
            Ask::Cancel { .. } | Ask::Show { .. } | Ask::Submit { .. } | Ask::Wait { .. } => {}
            Ask::Retry { .. } | Ask::Delete { .. } | Ask::Withdraw { .. } => {}
        }
        let Some(partition) = open.ask.partition(self.partitions()) else {
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
        self.hand_on(id, owner);
    }

    /// Gives a request to `owner`, this node or another, or has it wait for one.
    pub(super) fn hand_on(&mut self, id: u64, owner: Option<NodeId>) {
        let origin = Origin::Here(id);
        let Some(open) = self.asks.open.get(&id) else {
            return;
        };
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
        if let Some(open) = self.asks.open.get(&id).filter(|open| !open.tried) {
            self.check_job(&open.ask)?;
        }
        let Some(Open { ask: Ask::Submit { batch, .. }, tried: false, .. }) =
            self.asks.open.get(&id)
        else {
            return Ok(());
        };
        if self.meta.is_some() && !self.all_understand(batch.needs_version()) {
            return Err(RequestError::NotUpgraded);
        }
        if let Some(meta) = &self.meta {
            batch.check_places(meta.partitions)?;
        }
        let templates = self.complete(batch)?;
        // Whether its tasks are limited may be for their declarations to say.
        if templates.iter().any(|template| template.options.is_limited()) {
            Batch { templates: templates.clone(), rows: batch.rows.clone() }.check()?;
        }
        for row in &batch.rows {
            if let Some(said) = &row.particulars
                && let Some(template) = templates.get(usize::from(row.template))
            {
                said.check_limited(template)?;
            }
        }
        if let Some(Open { ask: Ask::Submit { batch, .. }, .. }) = self.asks.open.get_mut(&id)
            && batch.templates != templates
        {
            Arc::make_mut(batch).templates = templates;
            // Its owner would not take it from here, and no entry has room for whatever is filled in.
            let bytes = batch.weight();
            if bytes > BATCH_BYTES_MAX {
                return Err(InvalidBatch::TooManyBytes { bytes }.into());
            }
        }
        Ok(())
    }

    /// Has a request wait for an owner to appear.
    pub(super) fn park(&mut self, id: u64) {
        if let Some(open) = self.asks.open.get_mut(&id) {
            open.at = Place::Parked;
            // Whoever kept an eye on the task does so no longer.
            open.acknowledged &= !matches!(open.ask, Ask::Wait { .. } | Ask::Watch { .. });
            self.asks.parked.insert(id);
        }
    }

    /// Ends what takes too long.
    pub(super) fn end_overdue_asks(&mut self) {
        while let Some(id) = self.asks.overdue(self.now.tick) {
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
                        || !self.is_asked(&open.ask, node)
                }
                Place::Here | Place::Parked => false,
            })
            .map(|(id, _)| *id)
            .collect();
        for id in lost {
            self.route(id);
        }
    }

    /// Whether `node` is who is to answer `ask`, as far as is known here.
    fn is_asked(&self, ask: &Ask, node: NodeId) -> bool {
        let partition = ask.partition(self.partitions());
        ask.is_of_facts() || partition.and_then(|p| self.owner_of(p)) == Some(node)
    }

    fn overdue(&mut self, id: u64) {
        let Some(open) = self.asks.remove(id) else {
            return;
        };
        let partition = open.ask.partition(self.partitions()).unwrap_or(PartitionId(0));
        let error = match &open.ask {
            Ask::Submit { .. } if open.acknowledged => RequestError::TimedOut,
            // Only an owner can know that the task has not ended.
            Ask::Wait { .. } | Ask::Watch { .. }
                if open.acknowledged && !self.lacks_majority(partition) =>
            {
                RequestError::TimedOut
            }
            Ask::Submit { .. }
            | Ask::Cancel { .. }
            | Ask::ChangeJob { .. }
            | Ask::RunJob { .. }
            | Ask::Retry { .. }
            | Ask::Delete { .. }
            | Ask::Withdraw { .. }
                if open.tried =>
            {
                RequestError::Unknown
            }
            Ask::Drain { .. }
            | Ask::Forget { .. }
            | Ask::OfferFile { .. }
            | Ask::ChangeRule { .. }
            | Ask::FileRules { .. } => RequestError::NoFacts,
            Ask::Cancel { .. } | Ask::Show { .. } | Ask::Submit { .. } | Ask::Wait { .. } => {
                RequestError::NoQuorum { partition }
            }
            Ask::ChangeJob { .. } | Ask::RunJob { .. } | Ask::ShowJob { .. } => {
                RequestError::NoQuorum { partition }
            }
            Ask::Retry { .. } | Ask::Delete { .. } | Ask::Withdraw { .. } | Ask::Watch { .. } => {
                RequestError::NoQuorum { partition }
            }
            Ask::List { .. }
            | Ask::ListJobs { .. }
            | Ask::Queues
            | Ask::TaskGroup { .. }
            | Ask::Reload
            | Ask::Status
            | Ask::Welcome => {
                RequestError::Forming { missing: "this node is not a member yet".to_owned() }
            }
        };
        // What was to be gathered from many is told as far as it is here.
        let gathered = self.listings.as_it_is(id).or_else(|| self.job_listings.as_it_is(id));
        let gathered = gathered.or_else(|| self.surveys.as_it_is(id));
        let gathered = gathered.or_else(|| self.queue_listings.as_it_is(id));
        let gathered = gathered.or_else(|| self.task_group_counts.as_it_is(id));
        let gathered = gathered.filter(|_| !open.ask.is_of_facts());
        let answer = gathered.unwrap_or(Answer::Failed(error));
        let caller = open.caller;
        self.outbox.effects.push(Effect::Answer { caller, answer, is_last: true });
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

    /// Whom an executor is to tell of a partition that is not owned here. Not by hearsay if that can be:
    /// those whom nothing that concerns it reaches might point at each other for ever.
    pub(super) fn redirected_to(&self, partition: PartitionId) -> Option<NodeId> {
        let is_held = self.replicas.contains_key(&GroupId::of(partition));
        let holder = if is_held { None } else { self.first_holder(partition) };
        holder.or_else(|| self.owner_of(partition)).filter(|owner| *owner != self.node())
    }

    /// Who should hold a partition that has no copy here: it knows the owner. One that cannot do its part
    /// is given no copies.
    fn first_holder(&self, partition: PartitionId) -> Option<NodeId> {
        let meta = self.meta.as_ref()?;
        let others = meta.serving().filter(|node| *node != self.node() && self.is_alive(*node));
        let ranked = crate::placement::ranking(GroupId::of(partition), others);
        ranked.iter().find(|node| self.is_fit(**node)).or_else(|| ranked.first()).copied()
    }
}
