//! What is due is put into the log of its partition.

use crate::id::{GroupId, NodeId};
use crate::job::{JobName, JobState, On, due};
use crate::membership::Liveness;
use crate::partition::{Command, Fire, Nodes};
use crate::sabotage::{self, Defect};
use crate::scheduler::Scheduler;
use crate::task::Template;
use crate::time::{Span, Wall};

/// An owner that cannot tell the time looks again after so long.
const UNTOLD: Span = Span::from_millis(500);
/// Partition time may lag behind this node's clock by more than it seemed: looked at again after so
/// long at the latest.
const BEHIND: Span = Span::from_millis(5_000);
/// A job whose tasks find no room is looked at again after so long.
const FULL: Span = Span::from_millis(1_000);
/// A job whose task no node here declares is looked at again after so long: whoever has just become the
/// owner may not have heard of them all, and how the task is treated is for them to say.
const UNDECLARED: Span = Span::from_millis(500);
/// What is proposed is looked at again after so long if nothing has come of it.
const REPEAT: Span = Span::from_millis(5_000);

impl Scheduler {
    /// Jobs whose time has come are decided about. Partition time says whether it has: no clock of one
    /// node alone fires anything.
    pub(in crate::scheduler) fn fire_jobs(&mut self) {
        while self.plans.budget > 0 {
            let Some(name) = self.plans.pop(self.latest()) else {
                break;
            };
            self.plans.budget -= 1;
            self.fire_job(&name);
        }
        self.tell_notices();
    }

    fn fire_job(&mut self, name: &JobName) {
        let tick = self.now.tick;
        let Some(partition) = self.partition_of_job(name) else {
            return;
        };
        let group = GroupId::of(partition);
        if !self.can_tell_time(group) {
            return self.plans.look_again(name, tick + UNTOLD);
        }
        let Some(owned) = self.owned(partition) else {
            return;
        };
        let Some(state) = owned.job(name) else {
            return;
        };
        let (passed, shown) = self.times_of(owned);
        let now = state.job.schedule.by(passed, shown);
        let mut commands = self.due_commands(name, state, now, passed);
        let is_declared = self.declared(&state.job.template).is_ok();
        let is_undeclared = |command: &Command| match command {
            Command::Fire(fire) if !is_declared => {
                let wait = undeclared_wait(state.job.grace());
                let offset = due::offset(name, state.job.jitter);
                fire.ticks.first().is_some_and(|tick| now.since(*tick + offset) < wait)
            }
            _ => false,
        };
        let waits_for_declaration = commands.iter().any(is_undeclared);
        commands.retain(|command| !is_undeclared(command));
        if state.may_tell() {
            // There was no room for the task that tells of it.
            self.plans.notices.insert(name.clone());
        }
        if waits_for_declaration && commands.is_empty() {
            return self.plans.look_again(name, tick + UNDECLARED);
        }
        if commands.is_empty() {
            // This node's clock is ahead of partition time, or has nothing to do any more.
            self.index_job(name);
            let is_early = self.plans.known.get(name).and_then(|known| known.due);
            if let Some(due) = is_early.filter(|due| *due <= self.latest().wall) {
                self.plans.look_at(name, None);
                let behind = due.since(now.min(passed)).max(Span::from_millis(1)).min(BEHIND);
                self.plans.look_again(name, tick + behind);
            }
            return;
        }
        let fires =
            |command: &Command| matches!(command, Command::Fire(fire) if !fire.ticks.is_empty());
        if commands.iter().any(fires) && !self.has_memory_for_more() {
            return self.job_is_full(name);
        }
        self.plans.look_again(name, tick + REPEAT);
        if let Some(line) = self.line(partition) {
            line.commands.extend(commands);
        }
    }

    /// There was no room for tasks of a job: it is looked at again in a while.
    pub(in crate::scheduler) fn job_is_full(&mut self, name: &JobName) {
        self.plans.look_at(name, None);
        self.plans.look_again(name, self.now.tick + FULL);
    }

    /// What is to be done about a job at `now`, as its ticks are named, which is `passed` as time passes.
    fn due_commands(
        &self,
        name: &JobName,
        state: &JobState,
        now: Wall,
        passed: Wall,
    ) -> Vec<Command> {
        let overdue = state.awaited.iter().filter(|(_, by)| *by <= passed);
        let unreported = |(tick, _): &(Wall, Wall)| {
            let (job, tick) = (name.clone(), *tick);
            Command::NoteUnreported { job, tick }
        };
        let mut commands: Vec<Command> = overdue.map(unreported).collect();
        let plan = self.plans.known.get(name).and_then(|known| known.plan.as_ref());
        if let Some(due) = plan.and_then(|plan| state.due(name, plan, now)) {
            commands.push(Command::Fire(Box::new(Fire {
                job: name.clone(),
                revision: state.revision,
                after: state.fired_through,
                ticks: due.fire,
                missed: due.missed,
                through: due.through,
                template: self.template_of(&state.job.template),
                nodes: self.nodes_of(state),
            })));
        }
        commands
    }

    /// A template with what it leaves to declarations. Whether anybody knows the task was asked when
    /// the job was defined; if nobody does any more, its tick waits a while, and then in the default
    /// queue until somebody does.
    pub(super) fn template_of(&self, template: &Template) -> Template {
        self.declared(template).unwrap_or_else(|_| {
            template.completed(Template::QUEUE_DEFAULT, &template.options.clone())
        })
    }

    /// Where a tick of a job runs.
    pub(super) fn nodes_of(&self, state: &JobState) -> Nodes {
        let (On::Each, Some(meta)) = (state.job.on, &self.meta) else {
            return Nodes::Any;
        };
        let selected = meta
            .members
            .iter()
            .filter(|(_, member)| !member.draining && member.labels.match_all(&state.job.select));
        let selected = selected.map(|(node, _)| *node);
        // One that is suspected is mostly back in a moment, and its task waits for it.
        let (absent, mut present): (Vec<NodeId>, Vec<NodeId>) =
            selected.partition(|node| self.liveness(*node) == Liveness::Down);
        if sabotage::has(Defect::DropHost) {
            present.pop();
        }
        Nodes::Each { present, absent }
    }
}

/// How old a tick may become while nobody declares its task: in time it must be all the same.
fn undeclared_wait(grace: Span) -> Span {
    Span::from_millis(grace.as_millis() / 2).min(UNDECLARED_MAX)
}

/// Nodes that start with a host have begun to serve by then.
const UNDECLARED_MAX: Span = Span::from_millis(10_000);
