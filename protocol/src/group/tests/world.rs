//! A few copies of one group on as many hosts. Nothing moves unless a test moves it.
//!
//! Whatever a test does, the world watches what must always hold: copies apply the same entries in
//! the same order, a term has one leader, and nothing leaves a host that a crash there could undo.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use super::super::{Body, Change, Drained, Group, ProposeError, RaftKind, Role, Roster};
use super::disk::Disk;
use super::sent::Sent;
use crate::durable::{Copies, GroupWrite, HardState, Snapshot, StoredGroup};
use crate::id::{GroupId, NodeId, ReplicaId};
use crate::limits::SNAPSHOT_BYTES_MAX;
use crate::wire::{decode, encode};

pub(super) const A: usize = 0;
pub(super) const B: usize = 1;
pub(super) const C: usize = 2;
pub(super) const D: usize = 3;
pub(super) const E: usize = 4;
pub(super) const GROUP: GroupId = GroupId(7);

pub(super) struct World {
    pub(super) hosts: Vec<Host>,
    /// Sent and not arrived, oldest first.
    pub(super) wire: VecDeque<Sent>,
    /// All that was ever sent.
    pub(super) sent: Vec<Sent>,
    /// Hosts that nothing leaves or reaches.
    pub(super) cut: BTreeSet<usize>,
    applied: BTreeMap<u64, (u64, Bytes)>,
    leaders: BTreeMap<u64, usize>,
}

pub(super) struct Host {
    pub(super) group: Group,
    pub(super) disk: Disk,
    /// The state machine: all commands, in order.
    pub(super) machine: Vec<Bytes>,
    /// Reads that were confirmed: (context, index).
    pub(super) reads: Vec<(u64, u64)>,
    /// How often the copies have changed.
    pub(super) changes: usize,
    /// How often a state came in place of entries.
    pub(super) restored: usize,
    /// How often it was asked for its state.
    pub(super) asked: usize,
}

pub(super) fn node(host: usize) -> NodeId {
    NodeId((host as u128 + 1) << 96)
}

pub(super) fn host(node: NodeId) -> usize {
    usize::try_from(node.0 >> 96).unwrap() - 1
}

pub(super) fn copy(host: usize) -> ReplicaId {
    ReplicaId(host as u64 + 1)
}

/// A group whose first copies vote and whose others learn, as it was before anything happened.
pub(super) fn stored(group: GroupId, voters: usize, learners: usize) -> Vec<StoredGroup> {
    let ids: Vec<ReplicaId> = (0..voters + learners).map(copy).collect();
    let (voting, learning) = ids.split_at(voters);
    let copies =
        Copies { voters: voting.to_vec(), learners: learning.to_vec(), ..Copies::default() };
    let mut roster = Roster::founding(node(A));
    let others = (1..ids.len()).map(|host| (copy(host), node(host))).collect();
    roster.apply(&Change { learners: others, ..Change::default() }, &copies);
    let data = roster.seal(&encode(&Vec::<Bytes>::new()).into());
    let of = |replica: &ReplicaId| StoredGroup {
        group,
        replica: *replica,
        destroyed: false,
        hard_state: HardState { term: 1, vote: 0, commit: 1 },
        snapshot: Some(Snapshot { index: 1, term: 1, copies: copies.clone(), data: data.clone() }),
        entries: Vec::new(),
    };
    ids.iter().map(of).collect()
}

impl Host {
    pub(super) fn open(stored: StoredGroup) -> Self {
        let (group, data) = Group::open(stored.clone());
        let machine = data.map_or_else(Vec::new, |data| machine(&data));
        let disk = Disk::new(stored);
        Self { group, disk, machine, reads: Vec::new(), changes: 0, restored: 0, asked: 0 }
    }

    pub(super) fn state(&self) -> Bytes {
        encode(&self.machine).into()
    }
}

/// The command number `n`, of `bytes` bytes.
pub(super) fn command(n: usize, bytes: usize) -> String {
    let mut command = format!("{n}:");
    command.extend(std::iter::repeat_n('x', bytes - command.len()));
    command
}

fn machine(data: &Bytes) -> Vec<Bytes> {
    decode(data, SNAPSHOT_BYTES_MAX).unwrap()
}

impl World {
    /// `voters` copies that vote.
    pub(super) fn of(voters: usize) -> Self {
        Self::open(stored(GROUP, voters, 0))
    }

    /// As [`of`](Self::of), and `A` leads.
    pub(super) fn led(voters: usize) -> Self {
        let mut world = Self::of(voters);
        world.lead(A);
        world
    }

    pub(super) fn open(stored: Vec<StoredGroup>) -> Self {
        Self {
            hosts: stored.into_iter().map(Host::open).collect(),
            wire: VecDeque::new(),
            sent: Vec::new(),
            cut: BTreeSet::new(),
            applied: BTreeMap::new(),
            leaders: BTreeMap::new(),
        }
    }

    pub(super) fn group(&mut self, at: usize) -> &mut Group {
        &mut self.hosts[at].group
    }

    /// Makes `at` the leader of a group that has none.
    pub(super) fn lead(&mut self, at: usize) {
        self.group(at).campaign();
        self.settle();
        assert!(self.group(at).is_settled_leader());
    }

    /// Hosts that think they lead.
    pub(super) fn leaders(&self) -> Vec<usize> {
        let leads = |at: &usize| self.hosts[*at].group.role() == Role::Leader;
        (0..self.hosts.len()).filter(leads).collect()
    }

    /// Ticks until one that is not cut off leads, and returns it.
    pub(super) fn succeed(&mut self) -> usize {
        let reached = |world: &Self| world.leaders().into_iter().find(|at| !world.cut.contains(at));
        self.until(60, |world| reached(world).is_some());
        let next = reached(self).unwrap();
        assert!(self.group(next).is_settled_leader());
        next
    }

    pub(super) fn propose(&mut self, at: usize, command: &str) -> Result<u64, ProposeError> {
        self.group(at).propose(command.as_bytes().to_vec())
    }

    /// Proposes at `at` and lets it become what it will.
    pub(super) fn say(&mut self, at: usize, command: &str) -> u64 {
        let index = self.propose(at, command).unwrap();
        self.settle();
        index
    }

    /// Lets `count` commands of `bytes` each become what they will.
    pub(super) fn fill(&mut self, at: usize, count: usize, bytes: usize) {
        for n in 0..count {
            self.say(at, &command(n, bytes));
        }
    }

    /// The commands that `at` has applied.
    pub(super) fn told(&self, at: usize) -> Vec<&str> {
        self.hosts[at].machine.iter().map(|data| str::from_utf8(data).unwrap()).collect()
    }

    /// Whether two hosts have applied the same.
    pub(super) fn agree(&self, one: usize, other: usize) -> bool {
        self.hosts[one].machine == self.hosts[other].machine
    }

    /// Takes out what `at` wants done and does it, as far as it needs no disk; returns what it
    /// sends.
    pub(super) fn drain(&mut self, at: usize) -> Vec<Sent> {
        let one = &mut self.hosts[at];
        let mut out = Drained::default();
        one.group.release(&mut out);
        one.group.drain(&mut out);
        one.disk.writing.extend(out.write.take());
        if let Some((_, data)) = &out.restored {
            one.machine = machine(data);
            one.restored += 1;
        }
        for entry in &out.committed {
            one.machine.push(entry.data.clone());
            let applied = (entry.term, entry.data.clone());
            let first = self.applied.entry(entry.index).or_insert_with(|| applied.clone());
            assert_eq!(*first, applied, "{at} applies another entry at {}", entry.index);
        }
        one.reads.extend(&out.reads);
        one.changes += usize::from(out.copies_changed);
        if out.snapshot_wanted {
            let state = one.state();
            let to: Vec<_> = one.group.wants_state().iter().map(|(copy, _)| *copy).collect();
            one.group.offer_snapshot(&state, &to);
            one.asked += 1;
        }
        // As if it took no room, so that a state is saved now and then.
        if one.group.wants_checkpoint(0) {
            let state = one.state();
            let checkpoint = Some(one.group.checkpoint(&state));
            one.disk.writing.push_back((GroupWrite { checkpoint, ..nothing(&one.group) }, 0));
        }
        if one.group.is_asleep() {
            assert!(one.group.leader().is_some(), "{at} sleeps and knows no leader");
        }
        if one.group.role() == Role::Leader {
            let leader = *self.leaders.entry(one.group.term()).or_insert(at);
            assert_eq!(leader, at, "term {} has two leaders", one.group.term());
        }
        let to_sent = |(to, message)| Sent { from: at, to: host(to), message };
        let sent: Vec<Sent> = out.messages.into_iter().map(to_sent).collect();
        for sent in &sent {
            self.check(sent);
        }
        self.sent.extend(sent.iter().cloned());
        let cut = &self.cut;
        self.wire.extend(sent.iter().filter(|s| !cut.contains(&s.from)).cloned());
        sent
    }

    /// What is said must still be true after a crash.
    fn check(&mut self, sent: &Sent) {
        let Body::Raft(raft) = &sent.message.body else {
            return;
        };
        let disk = &self.hosts[sent.from].disk;
        let durable = disk.stored.hard_state;
        // These speak of a term that may come.
        if matches!(raft.kind, RaftKind::PreVote | RaftKind::PreVoteResponse | RaftKind::ReadIndex)
        {
            return;
        }
        assert!(raft.term <= durable.term, "a term that is not durable: {sent:?}");
        if sent.message.body.is_of_leader() {
            let leader = *self.leaders.entry(raft.term).or_insert(sent.from);
            assert_eq!(leader, sent.from, "another leads that term: {sent:?}");
        }
        if raft.term < durable.term {
            return;
        }
        match raft.kind {
            RaftKind::Vote => assert_eq!(durable.vote, sent.message.from.0, "{sent:?}"),
            RaftKind::VoteResponse if !raft.reject => {
                assert_eq!(durable.vote, sent.message.to.0, "{sent:?}");
            }
            RaftKind::AppendResponse if !raft.reject => {
                assert!(disk.holds(raft.index), "what is not durable: {sent:?}");
            }
            _ => {}
        }
    }

    /// Makes all that `at` has written durable.
    pub(super) fn sync(&mut self, at: usize) {
        while self.sync_one(at) {}
    }

    /// Makes the oldest write of `at` durable; whether there was any.
    pub(super) fn sync_one(&mut self, at: usize) -> bool {
        let one = &mut self.hosts[at];
        let number = one.disk.sync_one();
        if let Some(number) = number {
            one.group.persisted(number);
        }
        number.is_some()
    }

    /// The oldest message arrives; whether there was any.
    pub(super) fn arrive(&mut self) -> bool {
        let Some(sent) = self.wire.pop_front() else {
            return false;
        };
        self.hand(sent);
        true
    }

    /// Gives a message to whom it is for, if that copy is still there.
    pub(super) fn hand(&mut self, sent: Sent) {
        let Sent { from, to, message } = sent;
        let is_cut = self.cut.contains(&from) || self.cut.contains(&to);
        if let Some(there) = self.hosts.get_mut(to)
            && there.group.replica() == message.to
            && !is_cut
        {
            let bytes = encode(&message);
            let arrived = decode(&bytes, SNAPSHOT_BYTES_MAX).unwrap();
            assert_eq!(message, arrived);
            there.group.step(node(from), arrived);
        }
    }

    /// Drops messages that are under way; returns them.
    pub(super) fn lose(&mut self, which: impl Fn(&Sent) -> bool) -> Vec<Sent> {
        let (lost, kept) = self.wire.drain(..).partition(which);
        self.wire = kept;
        Vec::from(lost)
    }

    /// Drains, syncs and delivers until nothing is left to do but on stalled disks.
    pub(super) fn settle(&mut self) {
        for _ in 0..10_000 {
            let mut moved = false;
            for at in 0..self.hosts.len() {
                moved |= !self.drain(at).is_empty() || self.hosts[at].group.has_work();
                if !self.hosts[at].disk.stalled {
                    while self.sync_one(at) {
                        moved = true;
                    }
                }
            }
            for _ in 0..self.wire.len() {
                moved |= self.arrive();
            }
            if !moved {
                return;
            }
        }
        panic!("it never comes to rest");
    }

    /// As [`settle`](Self::settle), message by message, and stops as soon as `done`.
    pub(super) fn settle_until(&mut self, done: impl Fn(&Self) -> bool) {
        for _ in 0..10_000 {
            for at in 0..self.hosts.len() {
                self.drain(at);
                if !self.hosts[at].disk.stalled {
                    self.sync(at);
                    self.drain(at);
                }
                if done(self) {
                    return;
                }
            }
            self.arrive();
        }
        panic!("it never comes to that");
    }

    /// All tick, `ticks` times, and settle after each.
    pub(super) fn run(&mut self, ticks: usize) {
        for _ in 0..ticks {
            self.tick();
        }
    }

    pub(super) fn tick(&mut self) {
        for one in &mut self.hosts {
            one.group.tick();
        }
        self.settle();
    }

    /// Ticks until `done`; returns how many ticks that took.
    pub(super) fn until(&mut self, ticks_max: usize, done: impl Fn(&Self) -> bool) -> usize {
        for ticks in 0..=ticks_max {
            if done(self) {
                return ticks;
            }
            self.tick();
        }
        panic!("not within {ticks_max} ticks");
    }

    /// The power goes at `at`, and it starts again from what was durable.
    pub(super) fn crash(&mut self, at: usize) {
        let stalled = self.hosts[at].disk.stalled;
        self.hosts[at] = Host::open(self.hosts[at].disk.stored.clone());
        self.hosts[at].disk.stalled = stalled;
    }

    /// A host with a copy that knows nothing.
    pub(super) fn join(&mut self, replica: ReplicaId) {
        self.hosts.push(Host::open(Group::blank(self.hosts[A].group.id(), replica)));
    }
}

pub(super) fn nothing(group: &Group) -> GroupWrite {
    GroupWrite {
        group: group.id(),
        replica: group.replica(),
        destroy: false,
        snapshot: None,
        entries: Vec::new(),
        hard_state: None,
        checkpoint: None,
    }
}
