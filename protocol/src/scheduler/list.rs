//! Answers gathered from more than one place: listings, and what the cluster looks like.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;

use super::asks::Origin;
use super::replica::Replica;
use super::{Caller, Effect, Scheduler};
use crate::group::Role;
use crate::id::{NodeId, PartitionId};
use crate::limits::{LIST_MAX, LISTED_BYTES_MAX, LISTED_TEXT_BYTES_MAX};
use crate::task::{Failure, State, View};
use crate::time::{Span, Tick};
use crate::wire::{Answer, Ask, MemberStatus, PeerMessage, RequestError, Status, Welcome};

/// How long a listing waits for a member before it goes without it.
const WAIT_MAX: Span = Span::from_millis(2_000);

/// Listings that other nodes still contribute to.
#[derive(Default)]
pub(super) struct Listings {
    open: BTreeMap<u64, Listing>,
}

struct Listing {
    missing: BTreeSet<NodeId>,
    tasks: Vec<View>,
    /// Partitions that nobody has told of yet.
    partitions_missing: u16,
    limit: usize,
    since: Tick,
}

impl Scheduler {
    /// Lists tasks of all owners.
    pub(super) fn list_everywhere(
        &mut self,
        origin: Origin,
        state: Option<State>,
        queue: Option<String>,
        limit: u32,
    ) {
        let Origin::Here(id) = origin else {
            return;
        };
        let limit_here = usize::try_from(limit).unwrap_or(LIST_MAX).min(LIST_MAX);
        let tasks = self.list_owned(state, &queue, limit_here);
        let others: BTreeSet<NodeId> =
            (self.members()).filter(|node| *node != self.node() && self.is_alive(*node)).collect();
        for node in &others {
            let ask = Ask::List { state, queue: queue.clone(), limit };
            self.outbox.send(*node, PeerMessage::Ask { id, deadline: WAIT_MAX, ask });
        }
        let since = self.now.tick;
        let partitions_missing = self.partitions_missing();
        self.listings.open.insert(
            id,
            Listing { missing: others, tasks, partitions_missing, limit: limit_here, since },
        );
        self.try_finish_listing(id);
    }

    /// Lists tasks of the partitions that this node owns.
    pub(super) fn list_here(
        &mut self,
        origin: Origin,
        state: Option<State>,
        queue: &Option<String>,
        limit: u32,
    ) {
        let limit = usize::try_from(limit).unwrap_or(LIST_MAX).min(LIST_MAX);
        let tasks = self.list_owned(state, queue, limit);
        let partitions_missing = self.partitions_missing();
        self.answer(origin, Answer::Tasks { tasks, partitions_missing });
    }

    fn partitions(&self) -> u16 {
        self.meta.as_ref().map_or(0, |meta| meta.partitions)
    }

    /// Partitions of whose tasks this node cannot tell for sure.
    fn partitions_missing(&self) -> u16 {
        let told = (self.replicas.values())
            .filter(|replica| replica.partition().is_some() && replica.is_settled())
            .filter(|replica| !self.is_cut_off(replica));
        self.partitions().saturating_sub(u16::try_from(told.count()).unwrap_or(u16::MAX))
    }

    fn list_owned(&self, state: Option<State>, queue: &Option<String>, limit: usize) -> Vec<View> {
        let owned = self.replicas.values().filter(|replica| replica.is_settled());
        let mut found: Vec<_> = owned
            .filter_map(Replica::partition)
            .flat_map(|partition| partition.records())
            .filter(|(_, record)| {
                state.is_none_or(|state| record.state() == state)
                    && queue.as_ref().is_none_or(|queue| record.template.queue == *queue)
            })
            .collect();
        found.sort_unstable_by_key(|(id, _)| std::cmp::Reverse(*id));
        found.truncate(limit);
        let mut room = Room::new(LISTED_BYTES_MAX);
        let shown = found.into_iter().map(|(id, record)| {
            let mut view = View::of(id, record);
            view.left_out = !room.fit(&mut view.result, view.error.as_mut());
            view
        });
        shown.collect()
    }

    pub(super) fn listed(
        &mut self,
        from: NodeId,
        id: u64,
        tasks: Vec<View>,
        partitions_missing: u16,
    ) {
        let told = self.partitions().saturating_sub(partitions_missing);
        if let Some(listing) = self.listings.open.get_mut(&id)
            && listing.missing.remove(&from)
        {
            listing.tasks.extend(tasks);
            listing.partitions_missing = listing.partitions_missing.saturating_sub(told);
            self.try_finish_listing(id);
        }
    }

    /// A node has more to list than fits into a frame: whether this ends a listing.
    pub(super) fn cannot_list(&mut self, from: NodeId, id: u64) -> bool {
        let is_missing = |listing: &Listing| listing.missing.contains(&from);
        self.listings.open.get(&id).is_some_and(is_missing)
            && self.listings.open.remove(&id).is_some()
    }

    /// Ends listings that wait for members that do not answer.
    pub(super) fn tend_listings(&mut self) {
        let now = self.now.tick;
        let stale: Vec<u64> = (self.listings.open.iter())
            .filter(|(_, listing)| {
                now.since(listing.since) > WAIT_MAX
                    || listing.missing.iter().all(|node| !self.is_alive(*node))
            })
            .map(|(id, _)| *id)
            .collect();
        for id in stale {
            if let Some(listing) = self.listings.open.get_mut(&id) {
                listing.missing.clear();
            }
            self.try_finish_listing(id);
        }
    }

    fn try_finish_listing(&mut self, id: u64) {
        if self.listings.open.get(&id).is_some_and(|listing| listing.missing.is_empty())
            && let Some(listing) = self.listings.open.remove(&id)
        {
            self.answer(Origin::Here(id), listing.complete());
        }
    }

    /// The deadline of a listing has come: what is here is told.
    pub(super) fn finish_listing(&mut self, id: u64, caller: Caller) {
        if let Some(listing) = self.listings.open.remove(&id) {
            let answer = listing.complete();
            self.outbox.effects.push(Effect::Answer { caller, answer, is_last: true });
        }
    }

    pub(super) fn status(&mut self, origin: Origin) {
        let Some(meta) = self.meta.clone() else {
            return self.not_a_member(origin);
        };
        let members = self.member_statuses();
        let settled = |replica: &&Replica| {
            !self.is_cut_off(replica)
                && (replica.is_settled()
                    || (replica.group.role() == Role::Follower && replica.group.leader().is_some()))
        };
        let here: Vec<&Replica> =
            self.replicas.values().filter(|r| r.partition().is_some()).collect();
        let owned_here = here.iter().filter(|replica| replica.is_settled());
        let open = owned_here
            .filter_map(|replica| replica.partition())
            .map(|partition| partition.fill().open as u64)
            .sum();
        let status = Status {
            node: self.node(),
            partitions_owned: u16::try_from(here.iter().copied().filter(settled).count())
                .unwrap_or(u16::MAX),
            open,
            running: self.lessees.runs(),
            meta,
            members,
        };
        self.answer(origin, Answer::Status(Box::new(status)));
    }

    pub(super) fn welcome(&mut self, origin: Origin) {
        let Some(meta) = &self.meta else {
            return self.not_a_member(origin);
        };
        let owned: Vec<PartitionId> = (self.replicas.iter())
            .filter(|(_, replica)| replica.is_settled())
            .filter_map(|(group, _)| group.partition())
            .collect();
        let welcome = Welcome {
            node: self.node(),
            cluster: meta.cluster,
            partitions: meta.partitions,
            owned,
            members: self.member_statuses(),
        };
        self.answer(origin, Answer::Welcome(Box::new(welcome)));
    }

    fn not_a_member(&mut self, origin: Origin) {
        let missing = "this node has not joined its cluster yet".to_owned();
        // Unlike a request about a task it is not kept: whoever asks wants to know now.
        let Origin::Here(_) = origin else {
            return;
        };
        self.fail(origin, RequestError::Forming { missing });
    }

    fn member_statuses(&self) -> Vec<MemberStatus> {
        let Some(meta) = &self.meta else {
            return Vec::new();
        };
        let mut owned: BTreeMap<NodeId, u16> = BTreeMap::new();
        for group in self.replicas.values() {
            if group.partition().is_some()
                && let Some(leader) = group.group.leader()
            {
                *owned.entry(leader).or_default() += 1;
            }
        }
        (meta.members.iter())
            .map(|(node, member)| MemberStatus {
                node: *node,
                name: member.name.clone(),
                address: member.address,
                liveness: self.liveness(*node),
                owned: owned.get(node).copied().unwrap_or(0),
                pid: self.lessees.profile(*node).map_or(0, |profile| profile.pid),
            })
            .collect()
    }

    /// All members.
    pub(super) fn members(&self) -> impl Iterator<Item = NodeId> {
        self.meta.iter().flat_map(|meta| meta.members.keys().copied())
    }
}

impl Listing {
    fn complete(mut self) -> Answer {
        self.tasks.sort_unstable_by_key(|view| std::cmp::Reverse(view.id));
        self.tasks.dedup_by_key(|view| view.id);
        self.tasks.truncate(self.limit);
        // Each node has kept to what fits, all together may not.
        let mut room = Room::new(LISTED_BYTES_MAX);
        for view in &mut self.tasks {
            view.left_out |= !room.fit(&mut view.result, view.error.as_mut());
        }
        Answer::Tasks { tasks: self.tasks, partitions_missing: self.partitions_missing }
    }
}

/// Room for what tasks returned or why they failed, in an answer about many.
pub(super) struct Room {
    data: usize,
    texts: usize,
}

impl Room {
    /// Room for so much of results and details of failures, and for what else a listing says.
    pub(super) const fn new(data: usize) -> Self {
        Self { data, texts: LISTED_TEXT_BYTES_MAX }
    }

    /// Leaves a result, or the detail of a failure, out once the room for them is used up, and the
    /// text of an error once that for texts is. Whether there was room for all.
    pub(super) fn fit(&mut self, result: &mut Option<Bytes>, error: Option<&mut Failure>) -> bool {
        let mut all = true;
        if let Some(bytes) = result
            && !take(&mut self.data, bytes.len())
        {
            *result = None;
            all = false;
        }
        let Some(error) = error else { return all };
        if let Some(detail) = error.detail()
            && !take(&mut self.data, detail.len())
        {
            error.strip();
            all = false;
        }
        if !take(&mut self.texts, error.message.len()) {
            LEFT_OUT.clone_into(&mut error.message);
            all = false;
        }
        all
    }
}

/// Takes `bytes` of what is left, or nothing any more: the newest have what there is room for.
fn take(left: &mut usize, bytes: usize) -> bool {
    let rest = left.checked_sub(bytes);
    *left = rest.unwrap_or(0);
    rest.is_some()
}

/// What stands for the text of an error that did not fit.
const LEFT_OUT: &str = "[left out]";

#[cfg(test)]
mod tests {
    use super::*;
    use crate::task::FailureKind;

    /// What is left of a result, a detail and the text of an error.
    #[track_caller]
    fn fit(room: &mut Room, text: &str) -> (bool, bool, String) {
        let detail = Bytes::from_static(b"12");
        let mut failure = Failure::new(FailureKind::Error, text).with_detail(detail);
        let mut result = Some(Bytes::from_static(b"1"));
        let all = room.fit(&mut result, Some(&mut failure));
        let shown = (result.is_some(), failure.detail().is_some(), failure.message);
        assert_eq!(all, shown.0 && shown.1 && shown.2 == text, "it says whether it left out any");
        shown
    }

    #[test]
    fn the_newest_have_what_there_is_room_for() {
        let mut room = Room { data: 5, texts: 10 };
        let shown = ["12345678", "123", "1"].map(|text| fit(&mut room, text));
        let of = |result, detail, text: &str| (result, detail, text.to_owned());
        assert_eq!(
            shown,
            [of(true, true, "12345678"), of(true, false, LEFT_OUT), of(false, false, LEFT_OUT)]
        );
    }

    #[test]
    fn long_details_do_not_leave_out_why_tasks_failed() {
        let mut room = Room { data: 0, texts: 100 };
        let shown = ["why", "wherefore"].map(|text| fit(&mut room, text));
        assert_eq!(shown.map(|(.., text)| text), ["why", "wherefore"]);
    }
}
