//! The copies of groups on this node, and where messages between copies go.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::mem;

use bytes::Bytes;

use super::asks::Origin;
use super::read::Read;
use super::slots::SlotCount;
use super::submit::Submission;
use super::{Now, Scheduler};
use crate::cold::Cold;
use crate::durable::{GroupWrite, StoredGroup};
use crate::group::{Body, Group, GroupMessage, RaftKind, Role, Roster};
use crate::id::{GroupId, Lessee, NodeId, PartitionId, ReplicaId, TaskId};
use crate::meta::{Meta, MetaCommand};
use crate::partition::{Command, Partition, Proposal, Report};
use crate::sabotage::{self, Defect};
use crate::time::Tick;

/// One copy of a group.
pub(super) struct Replica {
    pub(super) group: Group,
    /// Absent while the copy is blank.
    pub(super) machine: Option<Machine>,
    /// Present while this copy leads.
    pub(super) owner: Option<Owner>,
    /// What its records were last found to take.
    pub(super) weighed: usize,
}

/// What a group's entries are commands for.
pub(super) enum Machine {
    Meta(Meta),
    Partition(Box<Partition>),
}

/// What only an owner keeps: all of it is rebuilt or given up when the group changes hands.
pub(super) struct Owner {
    pub(super) term: u64,
    /// Since when it leads.
    pub(super) since: Tick,
    /// Whether an entry of its own term is applied: from then on it grants and answers.
    pub(super) is_settled: bool,
    /// When it was last sure what time it was, and what time.
    pub(super) sure_of: Option<Now>,
    pub(super) line: Line,
    /// What was proposed and is not applied, oldest first.
    pub(super) in_flight: VecDeque<InFlight>,
    /// Reads whose confirmation was asked for, by the number that comes back.
    pub(super) reads: BTreeMap<u64, (Tick, Vec<Read>)>,
    /// Executors that were asked what they hold, and when.
    pub(super) asked: BTreeMap<Lessee, Tick>,
    /// Executors whose loss is on its way into the log.
    pub(super) losing: BTreeSet<Lessee>,
    /// When it last had work: a group at rest may be handed back.
    pub(super) worked_at: Tick,
    /// Who ranks first among the voters, once that was looked at since they changed. Mostly it is
    /// this node, and then there is nothing to be done about it ten times a second.
    pub(super) best: Option<NodeId>,
    /// When its copies were last looked after.
    pub(super) moved_at: Tick,
    /// Whether a command to forget is on its way into the log.
    pub(super) forgetting: bool,
    /// Copies of the group that are known to have lost their storage.
    pub(super) lost: BTreeSet<ReplicaId>,
    /// Copies that were heard since their nodes were last reached: a node that was started again may
    /// have lost what it had.
    pub(super) heard: BTreeSet<ReplicaId>,
}

/// What waits to be proposed.
#[derive(Default)]
pub(super) struct Line {
    pub(super) reports: BTreeMap<Lessee, Vec<Report>>,
    pub(super) commands: Vec<Command>,
    pub(super) leases: BTreeMap<Lessee, Vec<TaskId>>,
    /// Slots that those leases take.
    pub(super) slots: Vec<SlotCount>,
    pub(super) submissions: Vec<Submission>,
    pub(super) cancels: Vec<(Origin, TaskId)>,
    /// What people want of jobs, and of tasks that have ended.
    pub(super) asked: Vec<(Origin, Command)>,
    pub(super) meta: Vec<FactsCommand>,
}

/// A command for the meta group, and whom to tell what came of it.
pub(super) type FactsCommand = (Option<Origin>, MetaCommand);

/// What one entry will decide.
#[derive(Default)]
pub(super) struct InFlight {
    pub(super) index: u64,
    /// What the entry holds, so that it need not be decoded here.
    pub(super) proposal: Proposal,
    pub(super) submissions: Vec<Submission>,
    pub(super) cancels: Vec<(Origin, TaskId)>,
    /// See [`Line::asked`].
    pub(super) asked: Vec<(Origin, Command)>,
    /// Who is told what came of the command of the meta group that it holds.
    pub(super) facts: Option<Origin>,
    /// Slots that its leases take if it is applied.
    pub(super) slots: Vec<SlotCount>,
}

impl InFlight {
    /// All slots that it takes if it is applied.
    pub(super) fn take_slots(&mut self) -> Vec<SlotCount> {
        let mut slots = mem::take(&mut self.slots);
        for submission in &mut self.submissions {
            slots.append(&mut submission.slots);
        }
        slots
    }
}

impl Line {
    pub(super) fn is_empty(&self) -> bool {
        self.reports.is_empty()
            && self.commands.is_empty()
            && self.leases.is_empty()
            && self.submissions.is_empty()
            && self.cancels.is_empty()
            && self.asked.is_empty()
            && self.meta.is_empty()
    }
}

impl Owner {
    pub(super) fn new(term: u64, now: Tick) -> Self {
        Self {
            term,
            since: now,
            is_settled: false,
            sure_of: None,
            line: Line::default(),
            in_flight: VecDeque::new(),
            reads: BTreeMap::new(),
            asked: BTreeMap::new(),
            losing: BTreeSet::new(),
            worked_at: now,
            best: None,
            moved_at: Tick::START,
            forgetting: false,
            lost: BTreeSet::new(),
            heard: BTreeSet::new(),
        }
    }

    /// The entry at `index` is being applied: what was in flight for it.
    pub(super) fn applied(&mut self, index: u64) -> Option<InFlight> {
        let in_flight = self.in_flight.pop_front_if(|oldest| oldest.index == index)?;
        for command in &in_flight.proposal.commands {
            match command {
                Command::Forget { .. } | Command::ForgetTimed { .. } => self.forgetting = false,
                Command::Lose { lessee, .. } => {
                    self.losing.remove(lessee);
                }
                Command::Accept { .. }
                | Command::Lease { .. }
                | Command::Report { .. }
                | Command::Release { .. }
                | Command::Pardon { .. }
                | Command::GiveUp { .. }
                | Command::Retry { .. }
                | Command::Delete { .. }
                | Command::Withdraw { .. }
                | Command::Cancel { .. }
                | Command::Expire { .. }
                | Command::ChangeJob { .. }
                | Command::Fire(_)
                | Command::RunNow(_)
                | Command::Alert(_)
                | Command::NoteUnreported { .. } => {}
            }
        }
        Some(in_flight)
    }
}

impl Machine {
    fn from_bytes(group: GroupId, data: &Bytes, cold: Option<&Cold>) -> Option<Self> {
        match group.partition() {
            Some(_) => {
                let partition = Partition::from_bytes_with(data, cold).ok()?;
                Some(Self::Partition(Box::new(partition)))
            }
            None => Meta::from_bytes(data).ok().map(Self::Meta),
        }
    }

    pub(super) fn to_bytes(&self) -> Bytes {
        match self {
            Self::Meta(meta) => meta.to_bytes().into(),
            Self::Partition(partition) => partition.to_bytes().into(),
        }
    }

    /// What its bytes will be, about.
    pub(super) fn weight(&self) -> usize {
        match self {
            Self::Meta(meta) => meta.members.len() * 128,
            Self::Partition(partition) => partition.fill().weight(),
        }
    }
}

impl Replica {
    pub(super) const fn partition(&self) -> Option<&Partition> {
        match &self.machine {
            Some(Machine::Partition(partition)) => Some(partition),
            Some(Machine::Meta(_)) | None => None,
        }
    }

    /// Puts `data`, a leader's state, in place of the machine's.
    pub(super) fn restore(&mut self, data: &Bytes, cold: Option<&Cold>) {
        // What the one before has put away is not needed beside this.
        self.machine = None;
        let machine = Machine::from_bytes(self.group.id(), data, cold);
        self.machine = Some(machine.expect("it was checked when it arrived"));
    }

    /// The owner, if it may grant and answer.
    pub(super) fn settled(&mut self) -> Option<&mut Owner> {
        self.owner.as_mut().filter(|owner| owner.is_settled)
    }

    pub(super) fn is_settled(&self) -> bool {
        self.owner.as_ref().is_some_and(|owner| owner.is_settled)
    }
}

impl Scheduler {
    pub(super) fn replica_mut(&mut self, group: GroupId) -> Option<&mut Replica> {
        self.replicas.get_mut(&group)
    }

    /// The partition, if this node owns it and may answer for it.
    pub(super) fn owned(&self, partition: PartitionId) -> Option<&Partition> {
        self.replicas
            .get(&GroupId::of(partition))
            .filter(|replica| replica.is_settled())
            .and_then(Replica::partition)
    }

    /// The settled owner of the partition, here.
    pub(super) fn owner_mut(&mut self, partition: PartitionId) -> Option<&mut Owner> {
        self.replica_mut(GroupId::of(partition)).and_then(Replica::settled)
    }

    /// As [`owner_mut`](Self::owner_mut), for adding to its line.
    pub(super) fn line(&mut self, partition: PartitionId) -> Option<&mut Line> {
        let group = GroupId::of(partition);
        let now = self.now.tick;
        let owner = self.replicas.get_mut(&group).and_then(Replica::settled)?;
        owner.worked_at = now;
        self.staged.insert(group);
        Some(&mut owner.line)
    }

    /// Opens what the store, or the founder, has of a group.
    pub(super) fn open_replica(&mut self, stored: StoredGroup) {
        let id = stored.group;
        if stored.destroyed {
            self.destroyed.insert(id, stored.replica);
            return;
        }
        let (mut group, data) = Group::open(stored);
        group.set_limits(self.settings.limits);
        group.set_reluctant(!self.is_fit(self.node()));
        let cold = self.settings.cold.as_ref();
        let machine = data.map(|data| {
            Machine::from_bytes(id, &data, cold).expect("the store checks what it returns")
        });
        let alone = group.copies().voters == [group.replica()];
        if alone {
            // There is nobody to wait for.
            group.campaign();
        }
        self.dirty.insert(id);
        self.replicas.insert(id, Replica { group, machine, owner: None, weighed: 0 });
        self.weigh(id);
    }

    pub(super) fn group_says(&mut self, from: NodeId, message: GroupMessage) {
        let id = message.group;
        if id.partition().is_some_and(|partition| {
            self.meta.as_ref().is_some_and(|meta| partition.0 >= meta.partitions)
        }) {
            return;
        }
        let here = self.replicas.get(&id).map(|replica| replica.group.replica());
        if message.body == Body::Gone {
            if here == Some(message.to) && !sabotage::has(Defect::KeepRemoved) {
                self.destroy_replica(id);
            }
            return;
        }
        if message.body == Body::Stray {
            return self.answer_stray(from, &message);
        }
        if message.body == Body::Lost {
            return self.note_loss(from, &message);
        }
        match here {
            Some(here) if here == message.to => {}
            _ if here > Some(message.to) || self.was_destroyed(id, message.to) => {
                return self.tell_loss(from, &message);
            }
            _ if !may_begin(&message) => return,
            here => {
                if here.is_some() {
                    self.destroy_replica(id);
                }
                self.open_replica(Group::blank(id, message.to));
            }
        }
        if !is_sound(&message) {
            return;
        }
        let Some(replica) = self.replicas.get_mut(&id) else {
            return;
        };
        if replica.group.roster().has_lost(message.from) {
            return self.dismiss(from, &message);
        }
        if let Some(owner) = &mut replica.owner {
            owner.heard.insert(message.from);
        }
        replica.group.step(from, message);
        self.dirty.insert(id);
    }

    /// A copy on `from` asks whether it still is one.
    fn answer_stray(&mut self, from: NodeId, message: &GroupMessage) {
        self.dismiss(from, message);
        if let Some(replica) = self.replicas.get_mut(&message.group) {
            replica.group.ask_stray(message.from);
            self.dirty.insert(message.group);
        }
    }

    /// Tells a copy on `from` that was removed and does not know that it may go.
    fn dismiss(&mut self, from: NodeId, message: &GroupMessage) {
        let Some(replica) = self.replicas.get(&message.group) else {
            return;
        };
        if replica.group.roster().has_lost(message.from) && replica.group.may_dismiss() {
            let gone = GroupMessage {
                group: message.group,
                from: replica.group.replica(),
                to: message.from,
                body: Body::Gone,
            };
            self.outbox.group(from, gone);
        }
    }

    /// Copies here that hear nothing ask everybody whether they still are copies.
    pub(super) fn ask_for_strays(&mut self) {
        let strays: Vec<(GroupId, ReplicaId)> = (self.replicas.iter_mut())
            .filter_map(|(id, replica)| {
                replica.group.is_stray().then(|| (*id, replica.group.replica()))
            })
            .collect();
        for (group, from) in strays {
            let others: Vec<NodeId> =
                self.members().filter(|n| *n != self.node() && self.is_alive(*n)).collect();
            for node in others {
                let to = ReplicaId(0);
                self.outbox.group(node, GroupMessage { group, from, to, body: Body::Stray });
            }
        }
    }

    fn was_destroyed(&self, group: GroupId, replica: ReplicaId) -> bool {
        self.destroyed.get(&group).is_some_and(|destroyed| *destroyed >= replica)
    }

    /// Drops this node's copy of a group for ever.
    pub(super) fn destroy_replica(&mut self, id: GroupId) {
        let Some(mut replica) = self.replicas.remove(&id) else {
            return;
        };
        if !sabotage::has(Defect::KeepWeight) {
            self.memory -= replica.weighed;
        }
        self.give_up(&mut replica);
        let copy = replica.group.replica();
        self.destroyed.insert(id, copy);
        self.dirty.remove(&id);
        self.staged.remove(&id);
        self.disk.write(
            GroupWrite {
                group: id,
                replica: copy,
                destroy: true,
                snapshot: None,
                entries: Vec::new(),
                hard_state: None,
                checkpoint: None,
            },
            0,
        );
    }

    /// Follows what the group decided about who leads it.
    pub(super) fn follow_role(&mut self, id: GroupId) {
        let now = self.now.tick;
        let as_before = |replica: &Replica| match &replica.owner {
            Some(owner) => {
                owner.is_settled
                    && owner.term == replica.group.term()
                    && replica.group.role() == Role::Leader
            }
            None => replica.group.role() != Role::Leader,
        };
        if self.replicas.get(&id).is_none_or(as_before) {
            return;
        }
        let Some(mut replica) = self.replicas.remove(&id) else {
            return;
        };
        let leads = replica.group.role() == Role::Leader;
        let term = replica.group.term();
        if replica.owner.as_ref().is_some_and(|owner| !leads || owner.term != term) {
            self.give_up(&mut replica);
        }
        if leads && replica.owner.is_none() {
            replica.owner = Some(Owner::new(term, now));
        }
        let settles = replica.owner.as_ref().is_some_and(|owner| !owner.is_settled)
            && replica.machine.is_some()
            && replica.group.is_settled_leader();
        self.replicas.insert(id, replica);
        if settles {
            self.take_over(id);
        }
    }
}

/// Whether a message may be the first that a new copy hears: one of Raft's own, from a leader.
const fn may_begin(message: &GroupMessage) -> bool {
    matches!(message.body, Body::Raft(_)) && message.body.is_of_leader()
}

/// Whether a state that came with a message can be read.
fn is_sound(message: &GroupMessage) -> bool {
    let Body::Raft(raft) = &message.body else {
        return true;
    };
    match (&raft.snapshot, raft.kind) {
        (Some(snapshot), RaftKind::Snapshot) => Roster::unseal(&snapshot.data)
            .is_ok_and(|(_, data)| Machine::from_bytes(message.group, &data, None).is_some()),
        (None, RaftKind::Snapshot) => false,
        _ => true,
    }
}
