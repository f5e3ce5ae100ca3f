//! Which steps offer themselves in a state.

use umbel_protocol::id::{Incarnation, Lessee, TaskId, Token};
use umbel_protocol::membership::Liveness;
use umbel_protocol::partition::Look;
use umbel_protocol::task::{Phase, State as TaskState};

use super::Leases;
use super::state::{Bounds, Link, NODES, State};

/// A step. Nodes are told by their places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// An executor repeats the ends that nobody has confirmed, though what it said is under way.
    BeatEarly(usize),
    /// The same, and nothing is under way.
    Beat(usize),
    /// A scheduler takes a node to be down.
    Blame {
        /// Whose.
        at: usize,
        /// Which node.
        of: usize,
        /// Whether that node runs.
        wrongly: bool,
    },
    /// The connection between the two breaks and is opened anew. So much of what is under way was
    /// received and is looked at late; the rest is lost.
    Break {
        /// Of what the first owner says.
        orders: usize,
        /// Of what the second owner says.
        orders_back: usize,
        /// Of what the first executor says.
        words: usize,
        /// Of what the second executor says.
        words_back: usize,
    },
    /// A task is cancelled.
    Cancel(TaskId),
    /// The entry under way is committed, and the leader knows.
    Commit,
    /// A node stops. What it said last may still arrive, or not.
    Crash {
        /// Which.
        node: usize,
        /// Whether it arrives.
        heard: bool,
    },
    /// An owner whose scheduler does not know an executor has it introduce itself.
    Demand {
        /// Whose.
        at: usize,
        /// Whose executor.
        of: usize,
    },
    /// An owner dispatches a run once more.
    DispatchAgain {
        /// Which owner.
        at: usize,
        /// To whom.
        to: Lessee,
        /// The task.
        task: TaskId,
        /// Whether what was said before may still be under way.
        early: bool,
    },
    /// An owner asks an executor once more what it holds.
    AskAgain {
        /// Which owner.
        at: usize,
        /// Whom.
        to: Lessee,
        /// Whether what was said before may still be under way.
        early: bool,
    },
    /// A run ends by itself.
    End {
        /// Where.
        node: usize,
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// How.
        end: End,
    },
    /// An executor takes what an owner says.
    HearOrder {
        /// Whose.
        from: usize,
        /// Where.
        to: usize,
        /// Whether it came over the connection before.
        late: bool,
    },
    /// A scheduler takes what an executor says.
    HearWord {
        /// Whose.
        from: usize,
        /// Where.
        to: usize,
        /// Whether it came over the connection before.
        late: bool,
    },
    /// Gossip tells a scheduler that a node lives, and in which incarnation.
    Learn {
        /// Whose.
        at: usize,
        /// Of which node.
        of: usize,
    },
    /// The owner leases a task.
    Lease {
        /// To the executor of this node.
        to: usize,
        /// Which.
        task: TaskId,
    },
    /// What is under way from one node to another is relayed, and what stands at this place comes
    /// first.
    Overtake {
        /// From where.
        from: usize,
        /// To where.
        to: usize,
        /// Whether an owner has said it, or an executor.
        is_order: bool,
        /// Its place.
        place: usize,
    },
    /// An executor is told that it has a new way to a node.
    Reach {
        /// Where.
        at: usize,
        /// Which node.
        to: usize,
    },
    /// A node starts again.
    Restart(usize),
    /// A deposed owner learns that it is.
    StepDown(usize),
    /// A node becomes owner.
    TakeOver {
        /// Which.
        node: usize,
        /// Whether the entry under way survives.
        survives: bool,
        /// Whether nobody leads.
        vacant: bool,
    },
    /// The time comes for which a task waits.
    Wait,
}

/// How a run ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// It was asked to stop, and does.
    Cancelled,
    /// It fails.
    Failed,
    /// Well.
    Succeeded,
}

impl Leases {
    /// Whether a step happens by itself if one waits long enough.
    pub(super) const fn happens(action: &Action) -> bool {
        match action {
            Action::Beat(_)
            | Action::Blame { wrongly: false, .. }
            | Action::Commit
            | Action::Demand { .. }
            | Action::DispatchAgain { early: false, .. }
            | Action::AskAgain { early: false, .. }
            | Action::End { end: End::Succeeded | End::Cancelled, .. }
            | Action::HearOrder { .. }
            | Action::HearWord { .. }
            | Action::Learn { .. }
            | Action::Lease { .. }
            | Action::Reach { .. }
            | Action::StepDown(_)
            | Action::TakeOver { vacant: true, survives: false, .. }
            | Action::Wait => true,
            // Who has crashed may never come back, and faults need not come.
            Action::BeatEarly(_)
            | Action::Blame { wrongly: true, .. }
            | Action::Break { .. }
            | Action::Cancel(_)
            | Action::Crash { .. }
            | Action::DispatchAgain { early: true, .. }
            | Action::AskAgain { early: true, .. }
            | Action::End { end: End::Failed, .. }
            | Action::Overtake { .. }
            | Action::Restart(_)
            | Action::TakeOver { .. } => false,
        }
    }
}

impl State {
    /// Appends all steps that offer themselves.
    pub fn actions(&self, actions: &mut Vec<Action>) {
        self.deliveries(actions);
        for node in NODES {
            if self.nodes[node].up {
                self.actions_of(node, actions);
            }
        }
        self.log_actions(actions);
        self.faults(actions);
    }

    fn deliveries(&self, actions: &mut Vec<Action>) {
        for from in NODES {
            for to in NODES {
                let link = &self.links[from][to];
                if from != to && self.left.overtakes > 0 {
                    for (is_order, waits) in [(true, link.orders.len()), (false, link.words.len())]
                    {
                        let places = 1..waits;
                        actions.extend(places.map(|place| Action::Overtake {
                            from,
                            to,
                            is_order,
                            place,
                        }));
                    }
                }
                for (late, waits) in [(true, &link.late_orders), (false, &link.orders)] {
                    if !waits.is_empty() {
                        actions.push(Action::HearOrder { from, to, late });
                    }
                }
                for (late, waits) in [(true, &link.late_words), (false, &link.words)] {
                    if !waits.is_empty() {
                        actions.push(Action::HearWord { from, to, late });
                    }
                }
            }
        }
    }

    fn actions_of(&self, at: usize, actions: &mut Vec<Action>) {
        let node = &self.nodes[at];
        let may_repeat = self.left.repeats > 0;
        for to in NODES {
            if node.reached[to] {
                actions.push(Action::Reach { at, to });
            }
        }
        for (task, token) in node.running.iter().copied() {
            actions.push(Action::End { node: at, task, token, end: End::Succeeded });
            if self.left.failures > 0 {
                actions.push(Action::End { node: at, task, token, end: End::Failed });
            }
            if node.stopping.contains(&(task, token)) {
                actions.push(Action::End { node: at, task, token, end: End::Cancelled });
            }
        }
        if node.executor.runs().any(|run| run.end.is_some()) {
            if self.is_quiet(at) {
                actions.push(Action::Beat(at));
            } else if may_repeat {
                actions.push(Action::BeatEarly(at));
            }
        }
        for of in NODES.into_iter().filter(|of| *of != at) {
            let other = &self.nodes[of];
            let (incarnation, liveness) = node.opinion[of];
            if other.up
                && (incarnation, liveness) != (Incarnation(other.incarnation), Liveness::Alive)
            {
                actions.push(Action::Learn { at, of });
            }
            if liveness == Liveness::Alive && (!other.up || self.left.blames > 0) {
                actions.push(Action::Blame { at, of, wrongly: other.up });
            }
        }
        let Some(owner) = &node.owner else {
            return;
        };
        let is_idle = |of: usize| {
            let links = [&self.links[at][of], &self.links[of][at]];
            self.log.flight.is_none() && links.into_iter().all(Link::is_idle)
        };
        for of in NODES {
            let is_quiet = is_idle(of);
            if node.present[of].is_none() && self.nodes[of].up && is_quiet {
                actions.push(Action::Demand { at, of });
            }
        }
        for (lessee, leases) in &owner.leases {
            let of = super::state::place_of(lessee.node);
            let is_quiet = is_idle(of);
            if !is_quiet && !may_repeat {
                continue;
            }
            let (to, early) = (*lessee, !is_quiet);
            if node.present[of] == Some(to) {
                let again = leases.keys();
                actions.extend(again.map(|task| Action::DispatchAgain {
                    at,
                    to,
                    task: *task,
                    early,
                }));
            }
            if owner.asked.contains(&to) {
                actions.push(Action::AskAgain { at, to, early });
            }
        }
        if self.log.leader != Some(at) || owner.term != self.log.term {
            actions.push(Action::StepDown(at));
        }
    }

    /// Whether nothing is under way from or to the executor of a node, nor into the log.
    fn is_quiet(&self, node: usize) -> bool {
        self.log.flight.is_none()
            && NODES.into_iter().all(|other| {
                let (from, to) = (&self.links[node][other], &self.links[other][node]);
                from.words.is_empty()
                    && from.late_words.is_empty()
                    && to.orders.is_empty()
                    && to.late_orders.is_empty()
            })
    }

    fn log_actions(&self, actions: &mut Vec<Action>) {
        let records = || self.log.partition.records();
        if records().any(|(_, record)| {
            matches!(record.phase(), Phase::Scheduled { not_before } if *not_before > self.wall)
        }) {
            actions.push(Action::Wait);
        }
        let Some(leader) = self.log.leader else {
            let live = NODES.into_iter().filter(|node| self.nodes[*node].up);
            for node in live {
                self.takeover(node, true, actions);
            }
            return;
        };
        if self.log.flight.is_some() {
            actions.push(Action::Commit);
        } else {
            for (task, record) in records() {
                let waits = matches!(record.state(), TaskState::Ready | TaskState::Scheduled);
                let is_due = match record.phase() {
                    Phase::Scheduled { not_before } => *not_before <= self.wall,
                    _ => true,
                };
                let free =
                    NODES.into_iter().filter(|to| waits && is_due && self.may_lease(leader, *to));
                actions.extend(free.map(|to| Action::Lease { to, task }));
            }
        }
        if self.left.cancels > 0 {
            let open = records().filter(|(_, record)| !record.state().is_final());
            actions.extend(open.map(|(task, _)| Action::Cancel(task)));
        }
    }

    /// Whether the owner at `leader` holds a slot of the executor of `to`, as `dispatch::assign_ready`
    /// wants. Whose slots are is another protocol, and taken for granted: there are as many to lease
    /// as are free and not leased already.
    fn may_lease(&self, leader: usize, to: usize) -> bool {
        let (node, other) = (&self.nodes[leader], &self.nodes[to]);
        let Some(lessee) = node.present[to] else {
            return false;
        };
        let is_alive = leader == to || node.opinion[to].1 == Liveness::Alive;
        if !is_alive || !other.up || other.executor.me() != lessee {
            return false;
        }
        let known = |task: &TaskId, token: &Token| {
            other.executor.runs().any(|run| run.task == *task && run.token == *token)
        };
        let owner = node.owner.as_ref().expect("it leads");
        let leased = owner.leases.get(&lessee);
        let taken = leased.map_or(0, |runs| runs.iter().filter(|(k, v)| !known(k, v)).count());
        other.executor.free().iter().sum::<u32>() as usize > taken
    }

    fn takeover(&self, node: usize, vacant: bool, actions: &mut Vec<Action>) {
        actions.push(Action::TakeOver { node, survives: false, vacant });
        if self.log.flight.is_some() {
            actions.push(Action::TakeOver { node, survives: true, vacant });
        }
    }

    /// Whether the executor of a node has a lease, or holds a run.
    fn is_lessee(&self, node: usize) -> bool {
        let executor = &self.nodes[node].executor;
        let has_lease = |(_, record): (TaskId, Look<'_>)| matches!(record.phase(), Phase::Leased(lease) if lease.lessee == executor.me());
        executor.held() > 0 || self.log.partition.records().any(has_lease)
    }

    fn faults(&self, actions: &mut Vec<Action>) {
        let Bounds { takeovers, crashes, breaks, .. } = self.left;
        let all_up = NODES.into_iter().all(|node| self.nodes[node].up);
        for node in NODES {
            if !self.nodes[node].up {
                actions.push(Action::Restart(node));
                continue;
            }
            if takeovers > 0 && self.log.leader.is_some() {
                self.takeover(node, false, actions);
            }
            let stays = self.left.lessees_crash && (node == 0 || !self.is_lessee(node));
            if crashes > 0 && all_up && !stays {
                actions.push(Action::Crash { node, heard: false });
                let says = |to: usize| {
                    let link = &self.links[node][to];
                    !link.orders.is_empty() || !link.words.is_empty()
                };
                if NODES.into_iter().any(|to| to != node && says(to)) {
                    actions.push(Action::Crash { node, heard: true });
                }
            }
        }
        if breaks > 0 && all_up {
            let (there, back) = (&self.links[0][1], &self.links[1][0]);
            if there.is_idle() && back.is_idle() {
                return;
            }
            for orders in 0..=there.orders.len() {
                for orders_back in 0..=back.orders.len() {
                    for words in 0..=there.words.len() {
                        for words_back in 0..=back.words.len() {
                            actions.push(Action::Break { orders, orders_back, words, words_back });
                        }
                    }
                }
            }
        }
    }
}
