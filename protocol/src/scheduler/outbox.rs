//! What goes to other nodes at the end of a step, gathered so that one frame carries it.

use std::collections::BTreeMap;
use std::mem;
use std::sync::Arc;

use super::{Effect, Scheduler};
use crate::group::GroupMessage;
use crate::id::{Lessee, NodeId, TaskId, Token};
use crate::journal::Follow;
use crate::limits::GATHERED_BYTES_MAX;
use crate::task::Template;
use crate::wire::{Dispatch, OwnerSays, PeerMessage};

#[derive(Default)]
pub(super) struct Outbox {
    groups: BTreeMap<NodeId, Vec<GroupMessage>>,
    messages: BTreeMap<NodeId, Vec<PeerMessage>>,
    dispatches: BTreeMap<Lessee, Vec<Dispatches>>,
    /// Runs that are to be dispatched once more.
    pub(super) again: Vec<(Lessee, TaskId, Token)>,
    closed: BTreeMap<NodeId, Vec<(TaskId, Token)>>,
    stops: BTreeMap<NodeId, Vec<(TaskId, Token)>>,
    /// After dispatches: what is followed may just have begun.
    follows: BTreeMap<Lessee, Vec<Follow>>,
    /// Answers and the like that are not for other nodes.
    pub(super) effects: Vec<Effect>,
}

#[derive(Default)]
struct Dispatches {
    templates: Vec<Arc<Template>>,
    runs: Vec<Dispatch>,
    bytes: usize,
}

impl Outbox {
    pub(super) fn group(&mut self, to: NodeId, message: GroupMessage) {
        self.groups.entry(to).or_default().push(message);
    }

    pub(super) fn send(&mut self, to: NodeId, message: PeerMessage) {
        self.messages.entry(to).or_default().push(message);
    }

    pub(super) fn closed(&mut self, node: NodeId, task: TaskId, token: Token) {
        self.closed.entry(node).or_default().push((task, token));
    }

    pub(super) fn stop(&mut self, node: NodeId, task: TaskId, token: Token) {
        self.stops.entry(node).or_default().push((task, token));
    }

    pub(super) fn follow(&mut self, lessee: Lessee, follow: Follow) {
        self.follows.entry(lessee).or_default().push(follow);
    }

    /// `dispatch`, whose place for a template is filled in here.
    pub(super) fn dispatch(
        &mut self,
        lessee: Lessee,
        template: &Arc<Template>,
        mut dispatch: Dispatch,
    ) {
        let messages = self.dispatches.entry(lessee).or_default();
        if messages.last().is_none_or(|last| last.bytes >= GATHERED_BYTES_MAX) {
            messages.push(Dispatches::default());
        }
        let Some(dispatches) = messages.last_mut() else {
            return;
        };
        let metadata = dispatch.metadata.as_ref().map_or(0, |metadata| metadata.weight());
        dispatches.bytes += dispatch.args.len() + metadata;
        let known = dispatches.templates.iter().rposition(|known| Arc::ptr_eq(known, template));
        let place = known.unwrap_or_else(|| {
            dispatches.templates.push(Arc::clone(template));
            dispatches.templates.len() - 1
        });
        // No step leases tasks of more templates than fit: slots are far fewer.
        dispatch.template = u16::try_from(place).unwrap_or(u16::MAX);
        dispatches.runs.push(dispatch);
    }
}

impl Scheduler {
    /// Hands over all that was gathered.
    pub(super) fn flush_outbox(&mut self, effects: &mut Vec<Effect>) {
        self.dispatch_again();
        let own = mem::take(&mut self.outbox.effects);
        let is_answer = |effect: &Effect| matches!(effect, Effect::Answer { .. });
        let (answers, others): (Vec<Effect>, Vec<Effect>) = own.into_iter().partition(is_answer);
        effects.extend(others);
        for (node, runs) in mem::take(&mut self.outbox.closed) {
            self.tell_executor(node, OwnerSays::Closed { runs }, effects);
        }
        for (lessee, messages) in mem::take(&mut self.outbox.dispatches) {
            for Dispatches { templates, runs, .. } in messages {
                let templates = templates.iter().map(|template| (**template).clone()).collect();
                let says = OwnerSays::Dispatch { lessee, templates, runs };
                self.tell_executor(lessee.node, says, effects);
            }
        }
        for (node, runs) in mem::take(&mut self.outbox.stops) {
            self.tell_executor(node, OwnerSays::Stop { runs }, effects);
        }
        for (lessee, runs) in mem::take(&mut self.outbox.follows) {
            self.tell_executor(lessee.node, OwnerSays::Follow { lessee, runs }, effects);
        }
        for (to, messages) in mem::take(&mut self.outbox.groups) {
            let messages = vec![PeerMessage::Group(messages)];
            effects.push(Effect::Send { to, urgent: true, messages });
        }
        for (to, messages) in mem::take(&mut self.outbox.messages) {
            effects.push(Effect::Send { to, urgent: false, messages });
        }
        // Runs start and copies are written while clients are answered.
        effects.extend(answers);
    }

    fn tell_executor(&mut self, node: NodeId, says: OwnerSays, effects: &mut Vec<Effect>) {
        if node == self.node() {
            effects.push(Effect::Execute(says));
        } else {
            self.outbox.send(node, PeerMessage::ToExecutor(says));
        }
    }

    /// As [`tell_executor`](Self::tell_executor), before the end of the step.
    pub(super) fn tell(&mut self, node: NodeId, says: OwnerSays) {
        if node == self.node() {
            self.outbox.effects.push(Effect::Execute(says));
        } else {
            self.outbox.send(node, PeerMessage::ToExecutor(says));
        }
    }
}
