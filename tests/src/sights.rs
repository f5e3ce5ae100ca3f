//! What must be seen in some world, else a run proves nothing about it: told from outside, from what
//! is said, answered and kept.

use umbel_protocol::executor::Event as ExecutorEvent;
use umbel_protocol::group::{Body, GroupMessage, RaftKind};
use umbel_protocol::id::{GroupId, TaskId, Token};
use umbel_protocol::membership::Liveness;
use umbel_protocol::task::{Phase, Record, RunEnd, State};
use umbel_protocol::wire::{Answer, ExecutorSays, OwnerSays, PeerMessage, RequestError};

use crate::invariants::owned;
use crate::world::World;

/// All of them that every ordinary run must reach, besides faults.
pub const BRANCHES: [&str; 46] = [
    "alert told",
    "checkpoint",
    "conflict",
    "copy removed",
    "crash hold",
    "cut off and pardoned",
    "exclusive run ended by its executor",
    "forgotten",
    "full node",
    "group asleep",
    "group counted",
    "job run by hand",
    "joint change interrupted",
    "key is taken",
    "late success",
    "lead handed over",
    "lease kept over a takeover",
    "little room told",
    "never had",
    "no quorum",
    "option not known to all yet",
    "outcome redirected",
    "poison",
    "relayed dispatch",
    "relayed outcome",
    "retry was known",
    "run by hand too late",
    "slow disk told",
    "stale leader refused",
    "starvation told",
    "state sent",
    "state waits",
    "task begun anew",
    "task dropped by hand",
    "task withdrawn",
    "tick fired",
    "tick fired by another owner after a crash",
    "tick missed",
    "tick missed by a host",
    "tick not reported in time",
    "tick replaces another",
    "tick skipped",
    "too early",
    "too old",
    "vote split",
    "woken by suspicion",
];

/// A group that slept on a host when the node of its leader was suspected there.
#[derive(Clone, Copy, Debug)]
pub struct Sleeper {
    host: usize,
    life: u64,
    group: GroupId,
}

impl World {
    /// A message arrives at a host.
    pub(crate) fn look_at_message(&mut self, host: usize, message: &PeerMessage) {
        let PeerMessage::Group(messages) = message else {
            return;
        };
        let process = self.hosts[host].process.as_ref();
        let is_stale = |message: &GroupMessage| {
            let Body::Raft(raft) = &message.body else {
                return false;
            };
            let is_lead = matches!(raft.kind, RaftKind::Append | RaftKind::Heartbeat);
            let copy = process.and_then(|process| process.scheduler.copy(message.group));
            is_lead && copy.is_some_and(|copy| copy.term() > raft.term)
        };
        let hands_over = |message: &GroupMessage| matches!(&message.body, Body::Raft(raft) if raft.kind == RaftKind::TimeoutNow);
        let (stale, handed) = (messages.iter().any(is_stale), messages.iter().any(hands_over));
        if stale {
            self.saw("stale leader refused");
        }
        if handed {
            self.saw("lead handed over");
        }
    }

    /// Something is said to the executor of a host.
    pub(crate) fn look_at_order(&mut self, event: &ExecutorEvent) {
        let (ExecutorEvent::Owner { says, .. } | ExecutorEvent::Relayed { says, .. }) = event
        else {
            return;
        };
        if matches!(says, OwnerSays::Moved { .. }) {
            self.saw("outcome redirected");
        }
    }

    /// The executor of a host says something.
    pub(crate) fn look_at_report(&mut self, says: &ExecutorSays) {
        if matches!(says, ExecutorSays::NeverHad { .. }) {
            self.saw("never had");
        }
    }

    /// A run ends.
    pub(crate) fn look_at_end(&mut self, task: TaskId, token: Token) {
        let group = GroupId::of(task.partition());
        let processes = self.hosts.iter().filter_map(|host| host.process.as_ref());
        let copies = processes.filter_map(|process| process.scheduler.copy(group));
        let is_later = copies.filter(|copy| copy.is_settled()).any(|copy| copy.term() > token.term);
        let record = owned(self, task.partition()).and_then(|partition| partition.record(task));
        let is_held = record.is_some_and(
            |record| matches!(record.phase(), Phase::Leased(lease) if lease.token == token),
        );
        if is_later && is_held {
            self.saw("lease kept over a takeover");
        }
    }

    /// A host is about to crash.
    pub(crate) fn look_at_crash(&mut self, host: usize) {
        let process = self.hosts[host].process.as_ref();
        let copies = process.into_iter().flat_map(|process| process.scheduler.copies());
        if copies.map(|copy| copy.copies()).any(|copies| copies.is_joint()) {
            self.saw("joint change interrupted");
        }
    }

    /// A host thinks so of another.
    pub(crate) fn look_at_opinion(&mut self, host: usize, other: usize, liveness: Liveness) {
        if liveness != Liveness::Suspect {
            return;
        }
        let (node, life) = (self.hosts[other].node, self.hosts[host].life);
        let process = self.hosts[host].process.as_ref();
        let copies = process.into_iter().flat_map(|process| process.scheduler.copies());
        let asleep = copies.filter(|copy| copy.is_asleep() && copy.leader() == Some(node));
        let asleep = asleep.map(|copy| Sleeper { host, life, group: copy.group() });
        self.watch.sleepers.extend(asleep.collect::<Vec<_>>());
    }

    /// Some time has passed.
    pub(crate) fn look_at_sleepers(&mut self) {
        for Sleeper { host, life, group } in std::mem::take(&mut self.watch.sleepers) {
            let one = &self.hosts[host];
            let process = one.process.as_ref().filter(|_| one.life == life);
            let copy = process.and_then(|process| process.scheduler.copy(group));
            if copy.is_some_and(|copy| !copy.is_asleep()) {
                self.saw("woken by suspicion");
            }
        }
    }

    /// A record of a copy that has changed.
    pub(crate) fn sights_of(record: &Record) -> impl Iterator<Item = &'static str> + use<> {
        let runs = record.history.as_ref().map_or(&[][..], |history| history.runs.as_slice());
        let crashes_max = record.template.options.crashes_max();
        let is_held = record.crashes() >= crashes_max && record.state() == State::Scheduled;
        let is_poison = record.crashes() >= crashes_max && record.state() == State::Dead;
        let is_pardoned = runs.iter().any(|run| run.end == RunEnd::CutOff);
        let succeeded = runs.iter().position(|run| run.end == RunEnd::Succeeded);
        let is_late = succeeded.is_some_and(|place| place + 1 < runs.len());
        let all = [
            (is_held, "crash hold"),
            (is_poison, "poison"),
            (is_pardoned, "cut off and pardoned"),
            (is_late, "late success"),
        ];
        all.into_iter().filter_map(|(is_so, name)| is_so.then_some(name))
    }

    /// A client is answered, at an attempt of its operation.
    pub(crate) fn look_at_answer(&mut self, attempt: u64, answer: &Answer) {
        match answer {
            Answer::Submitted { known, .. } if attempt > 1 && *known > 0 => {
                self.saw("retry was known");
            }
            Answer::Failed(RequestError::NoQuorum { .. }) => self.saw("no quorum"),
            _ => {}
        }
    }
}
