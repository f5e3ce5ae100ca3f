//! The end of a step: propose, drain, apply, write, send.
//!
//! What arrives while the disk is busy waits in line. Once it is free all of it goes into one entry
//! a group, and all groups' entries into one batch with one sync; see [`disk`](super::disk).

use std::collections::BTreeSet;
use std::mem;

use super::asks::Origin;
use super::replica::{InFlight, Line, Machine, Owner};
use super::{Effect, Scheduler};
use crate::durable::GroupWrite;
use crate::group::{Drained, ProposeError, Role};
use crate::id::GroupId;
use crate::limits::{BATCH_BYTES_MAX, GATHERED_BYTES_MAX};
use crate::partition::{Command, Proposal};
use crate::sabotage::{self, Defect};
use crate::wire::RequestError;
use crate::wire::hello::Versions;

impl Scheduler {
    /// Carries out all that the events since the last round have made possible.
    pub(super) fn round(&mut self, effects: &mut Vec<Effect>) {
        let mut drained = Drained::default();
        // Groups that take no proposals now; what changes that is an event.
        let mut refused = BTreeSet::new();
        loop {
            self.ask_confirmations();
            if self.disk.is_free() {
                self.assign();
                self.propose_staged(&mut refused);
            }
            if self.dirty.is_empty() {
                self.give_states();
            }
            let Some(id) = self.dirty.pop_first() else {
                break;
            };
            self.drain(id, &mut drained);
        }
        self.staged.append(&mut refused);
        effects.extend(self.disk.states_to_keep().map(Effect::Keep));
        if let Some(batch) = self.disk.next_batch() {
            self.writes();
            effects.push(Effect::Persist(batch));
        }
        self.flush_outbox(effects);
    }

    pub(super) fn persisted(&mut self, number: u64) {
        self.wrote();
        for (id, copy, number) in self.disk.persisted(number) {
            if let Some(replica) = self.replicas.get_mut(&id)
                && replica.group.replica() == copy
            {
                replica.group.persisted(number);
                self.dirty.insert(id);
            }
        }
    }

    fn drain(&mut self, id: GroupId, drained: &mut Drained) {
        let Some(replica) = self.replicas.get_mut(&id) else {
            return;
        };
        drained.clear();
        replica.group.release(drained);
        replica.group.drain(drained);
        if let Some((write, number)) = drained.write.take() {
            self.disk.write(write, number);
        }
        for (to, message) in drained.messages.drain(..) {
            self.outbox.group(to, message);
        }
        if let Some((_, data)) = drained.restored.take() {
            replica.restore(&data, self.settings.cold.as_ref());
            if id == GroupId::META {
                self.learn_own_meta();
            }
        }
        for (index, why) in drained.passed_over.drain(..) {
            self.pass_over(id, index, why);
        }
        self.apply(id, &drained.committed);
        self.weigh(id);
        self.follow_states(id);
        if drained.snapshot_wanted {
            self.wants_state(id);
        }
        self.follow_role(id);
        self.confirm_reads(id, &drained.reads);
        if drained.restored.is_some() || drained.copies_changed || !drained.committed.is_empty() {
            self.after_apply(id, drained.copies_changed);
        }
        self.checkpoint(id);
    }

    /// Saves the state in place of a log that has grown too long.
    fn checkpoint(&mut self, id: GroupId) {
        let Some(replica) = self.replicas.get_mut(&id) else {
            return;
        };
        let Some(machine) = &replica.machine else {
            return;
        };
        if !replica.group.wants_checkpoint(machine.weight()) || sabotage::has(Defect::NoCheckpoint)
        {
            return;
        }
        let snapshot = replica.group.checkpoint(&machine.to_bytes());
        let write = GroupWrite {
            group: id,
            replica: replica.group.replica(),
            destroy: false,
            snapshot: None,
            entries: Vec::new(),
            hard_state: None,
            checkpoint: Some(snapshot),
        };
        self.disk.write(write, 0);
    }

    fn propose_staged(&mut self, refused: &mut BTreeSet<GroupId>) {
        let mut too_large = Line::default();
        let version = self.meta.as_ref().map_or(Versions::OWN.min, |meta| meta.spoken);
        for id in mem::take(&mut self.staged) {
            if refused.contains(&id) {
                continue;
            }
            if !self.has_to_propose(id) {
                continue;
            }
            self.dirty.insert(id);
            let is_timely = self.can_tell_time(id);
            let at = self.partition_time(id);
            let shown = self.is_carried().then(|| self.shown_time(id));
            let stamp = Proposal { version, at, shown, ..Proposal::default() };
            let Some(replica) = self.replicas.get_mut(&id) else {
                continue;
            };
            if !is_timely {
                // If they sleep, the others answer when they are woken, and tell what their clocks show.
                replica.group.wake();
                refused.insert(id);
                continue;
            }
            let Some(owner) = &mut replica.owner else {
                continue;
            };
            let line = mem::take(&mut owner.line);
            let rest = match &replica.machine {
                Some(Machine::Meta(_)) => propose_meta(&mut replica.group, owner, line),
                Some(Machine::Partition(_)) | None => {
                    propose_commands(&mut replica.group, owner, line, stamp, &mut too_large)
                }
            };
            if let Some(line) = rest {
                // Too much is uncommitted: what did not fit keeps its place.
                owner.line = line;
                refused.insert(id);
            }
            if sabotage::has(Defect::DispatchUncommitted) {
                self.dispatch_proposed(id);
            }
        }
        self.refuse_line(too_large);
    }

    /// Whether anything waits to be put into the log of a group that is owned here.
    fn has_to_propose(&self, id: GroupId) -> bool {
        self.replicas.get(&id).is_some_and(|replica| {
            replica.group.role() == Role::Leader
                && (replica.owner.as_ref())
                    .is_some_and(|owner| owner.is_settled && !owner.line.is_empty())
        })
    }

    /// What callers ask and would not fit into an entry is refused.
    fn refuse_line(&mut self, line: Line) {
        let Line { submissions, cancels, asked, mut slots, .. } = line;
        let mut origins: Vec<Origin> = cancels.into_iter().map(|(origin, _)| origin).collect();
        origins.extend(asked.into_iter().map(|(origin, _)| origin));
        for mut submission in submissions {
            self.leave_line(&submission);
            slots.append(&mut submission.slots);
            origins.push(submission.origin);
        }
        for (lessee, pool, count) in slots {
            self.hold_again(lessee, pool, count);
        }
        for origin in origins {
            let what = "commands for one partition".to_owned();
            self.fail(origin, RequestError::Overloaded { what });
        }
    }
}

/// Puts commands of the meta group into entries of their own; returns those that were not taken.
fn propose_meta(group: &mut crate::group::Group, owner: &mut Owner, line: Line) -> Option<Line> {
    let mut kept = Line::default();
    for (origin, command) in line.meta {
        match group.propose(command.to_bytes()) {
            Ok(index) => {
                owner.in_flight.push_back(InFlight { index, facts: origin, ..InFlight::default() });
            }
            // A lost lead shows in the next drain.
            Err(_) => kept.meta.push((origin, command)),
        }
    }
    (!kept.is_empty()).then_some(kept)
}

/// Turns a line into entries, each not much larger than a batch; returns what could not be
/// proposed.
fn propose_commands(
    group: &mut crate::group::Group,
    owner: &mut Owner,
    line: Line,
    stamp: Proposal,
    too_large: &mut Line,
) -> Option<Line> {
    let stamp = Proposal { term: owner.term, ..stamp };
    let stamped = |commands| Proposal { commands, ..stamp.clone() };
    let Line { reports, commands: others, leases, slots, submissions, cancels, asked, meta: _ } =
        line;
    let mut commands = Vec::new();
    let mut gathered = 0;
    for (lessee, reports) in reports {
        gathered += reports.iter().map(|report| report.outcome.weight()).sum::<usize>();
        commands.push(Command::Report { lessee, reports });
    }
    if gathered >= GATHERED_BYTES_MAX {
        // Large results have entries of their own: an entry must fit into a frame.
        commands = propose_reports(group, stamped, commands);
    }
    commands.extend(others);
    commands.extend(cancels.iter().map(|(_, task)| Command::Cancel { task: *task }));
    commands.extend(asked.iter().map(|(_, command)| command.clone()));
    commands.extend(leases.into_iter().map(|(lessee, tasks)| Command::Lease { lessee, tasks }));
    let mut next = InFlight { cancels, asked, slots, ..InFlight::default() };
    let mut waiting = submissions.into_iter().peekable();
    let mut kept = Line::default();
    loop {
        let mut bytes = 0;
        while let Some(submission) =
            waiting.next_if(|next| bytes == 0 || bytes + next.bytes <= BATCH_BYTES_MAX)
        {
            bytes += submission.bytes;
            commands.push(submission.accept());
            next.submissions.push(submission);
        }
        if commands.is_empty() {
            return (!kept.is_empty()).then_some(kept);
        }
        next.proposal = stamped(mem::take(&mut commands));
        match group.propose(next.proposal.write()) {
            Ok(index) => owner.in_flight.push_back(InFlight { index, ..mem::take(&mut next) }),
            // All that is large is counted, so this is only met by far too many small commands.
            Err(ProposeError::TooLarge { .. }) => {
                propose_singly(group, owner, mem::take(&mut next), &mut kept, too_large);
            }
            Err(ProposeError::Full | ProposeError::NotLeader) => {
                let InFlight { proposal, mut submissions, cancels, asked, slots, .. } = next;
                submissions.extend(waiting);
                kept.commands.extend(proposal.commands.into_iter().filter(is_own));
                kept.slots.extend(slots);
                return Some(Line { submissions, cancels, asked, ..kept });
            }
        }
    }
}

/// Proposes each command of what does not fit into one entry in an entry of its own. Of what is not
/// taken even so, requests of callers go to `too_large`; all else, which nobody would say again, is
/// kept for later.
fn propose_singly(
    group: &mut crate::group::Group,
    owner: &mut Owner,
    whole: InFlight,
    kept: &mut Line,
    too_large: &mut Line,
) {
    let InFlight { index: _, proposal, submissions, cancels, asked, facts: _, mut slots } = whole;
    let Proposal { version, term, at, shown, commands } = proposal;
    let mut submissions = submissions.into_iter();
    let mut cancels = cancels.into_iter();
    let mut asked = asked.into_iter();
    for command in commands {
        let mut next = InFlight::default();
        match &command {
            Command::Accept { .. } => next.submissions.extend(submissions.next()),
            Command::Cancel { .. } => next.cancels.extend(cancels.next()),
            Command::ChangeJob { .. }
            | Command::RunNow(_)
            | Command::Retry { .. }
            | Command::Delete { .. }
            | Command::Withdraw { .. } => next.asked.extend(asked.next()),
            Command::Lease { lessee, .. } => {
                next.slots = slots.extract_if(.., |(holder, ..)| holder == lessee).collect();
            }
            Command::Report { .. }
            | Command::Release { .. }
            | Command::GiveUp { .. }
            | Command::Lose { .. }
            | Command::Pardon { .. }
            | Command::Expire { .. }
            | Command::Forget { .. }
            | Command::ForgetTimed { .. }
            | Command::Fire(_)
            | Command::Alert(_)
            | Command::NoteUnreported { .. } => {}
        }
        next.proposal = Proposal { version, term, at, shown, commands: vec![command] };
        match group.propose(next.proposal.write()) {
            Ok(index) => owner.in_flight.push_back(InFlight { index, ..next }),
            Err(_) => {
                too_large.submissions.append(&mut next.submissions);
                too_large.cancels.append(&mut next.cancels);
                too_large.asked.append(&mut next.asked);
                kept.slots.append(&mut next.slots);
                kept.commands.extend(next.proposal.commands.into_iter().filter(is_own));
            }
        }
    }
}

/// Proposes reports in entries of bounded size; returns those that were not taken.
fn propose_reports(
    group: &mut crate::group::Group,
    stamped: impl Fn(Vec<Command>) -> Proposal,
    reports: Vec<Command>,
) -> Vec<Command> {
    let mut left = Vec::new();
    for command in reports {
        let Command::Report { lessee, reports } = command else {
            left.push(command);
            continue;
        };
        let mut part = Vec::new();
        let mut bytes = 0;
        let mut reports = reports.into_iter().peekable();
        while let Some(report) = reports.next() {
            bytes += report.outcome.weight();
            part.push(report);
            if bytes < GATHERED_BYTES_MAX && reports.peek().is_some() {
                continue;
            }
            bytes = 0;
            let mut proposal =
                stamped(vec![Command::Report { lessee, reports: mem::take(&mut part) }]);
            if group.propose(proposal.write()).is_err() {
                left.extend(proposal.commands);
            }
        }
    }
    left
}

/// Whether nobody but the owner asks for it, and nobody would say it again.
const fn is_own(command: &Command) -> bool {
    !matches!(
        command,
        Command::Accept { .. }
            | Command::Cancel { .. }
            | Command::ChangeJob { .. }
            | Command::RunNow(_)
            | Command::Retry { .. }
            | Command::Delete { .. }
            | Command::Withdraw { .. }
    )
}
