//! The executor's side of the lease protocol: which runs it holds, and whose its slots are.
//!
//! A run is *held* from its dispatch until the executor is told that its end is on record. While it
//! is held, its outcome is repeated; what was never held is refused for ever once that was said.
//!
//! A free slot always belongs to somebody: to the owner on the same node unless others want it, so
//! that a task submitted here starts without asking. Who holds a slot dispatches to it or gives it
//! back; slots of other nodes that are not used come back by themselves.

mod follow;
mod guard;
mod inspect;
mod linger;
mod retire;
mod runs;
mod slots;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;

use self::follow::Follower;
use self::guard::Questions;
pub use self::inspect::HeldRun;
use self::retire::Retirement;
use self::runs::Run;
use self::slots::Slots;
use crate::id::{Lessee, NodeId, PartitionId, TaskId, Token};
use crate::journal::Place;
use crate::limits::CROSSING_MAX;
use crate::task::{Metadata, Outcome, Template, discreet};
use crate::time::{Span, Tick};
use crate::wire::{ExecutorSays, OwnerSays, Profile};

/// How often held runs are listed to their owners and unconfirmed outcomes repeated.
pub const BEAT: Span = Span::from_millis(1_000);

/// The executor of a node. A copy of it goes on as the original would.
#[derive(Clone, Debug)]
pub struct Executor {
    me: Lessee,
    profile: Profile,
    slots: Slots,
    runs: BTreeMap<(TaskId, Token), Run>,
    /// The highest term under which each partition's runs were asked for.
    fences: BTreeMap<PartitionId, u64>,
    /// Runs that were answered with "never had it", oldest first.
    refused: VecDeque<(TaskId, Token)>,
    refused_set: BTreeSet<(TaskId, Token)>,
    /// When each other node was last heard by another way than before: what it says may have come
    /// out of order since.
    crossed_at: BTreeMap<NodeId, Tick>,
    retirement: Retirement,
    questions: Questions,
    /// Runs whose code goes on whatever becomes of them, and the pool whose slot each takes.
    lingering: BTreeMap<(TaskId, Token), usize>,
    /// Runs that somebody watches.
    followed: BTreeMap<(TaskId, Token), Follower>,
    /// Until then runs are begun for which there is no slot: the slots have become others.
    lends_until: Tick,
    /// When the first of them is told of.
    news_at: Tick,
    /// When the first run ends whose owner does not say that it may go on.
    guard_at: Tick,
    /// Until its node is known to be a member: whoever was reached meanwhile, and hears of it then.
    awaiting: Option<BTreeSet<NodeId>>,
    beat_at: Tick,
}

/// What happens to an executor.
#[derive(Clone, Debug)]
pub enum Event {
    /// Its node is a member of its cluster. Before that it offers its slots to no other: the cluster
    /// may refuse its node, and what ran here would be lost.
    Admitted,
    /// These runs ended.
    Finished(Vec<(TaskId, Token, Outcome)>),
    /// An owner says something.
    Owner {
        /// Its node.
        from: NodeId,
        /// What it says.
        says: OwnerSays,
    },
    /// An owner says something that came through a third node, or that may overtake what does.
    Relayed {
        /// Its node.
        from: NodeId,
        /// What it says.
        says: OwnerSays,
    },
    /// A new way to this node was opened, its scheduler was started anew, or it is heard of again:
    /// what was under way to it may be lost. It must be told before anything that came by the new way:
    /// a run that is closed by that may still be dispatched by the old one.
    Reached(NodeId),
    /// What this executor can run, and in how many slots, is another from now on. Whoever is told that it is
    /// [reached](Event::Reached) next hears of it.
    Learned(Profile),
    /// The code of a run cannot be stopped and goes on, whatever becomes of the run: its slot stays taken
    /// until it is [quiet](Event::Quiet). Told before the end of the run; and to an executor that does not
    /// know the run, because a former one began it, before all else.
    Lingers {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// The queue that the task is served from, which counts if the run is not known.
        queue: String,
        /// The name of the task, likewise.
        name: String,
    },
    /// The code of a run that [lingers](Event::Lingers) has come to its end: its slot is free again.
    Quiet {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
    },
    /// A run that is [heeded](Effect::Heed) has said more.
    Spoke {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
    },
    /// This node is to stop: no run is begun any more. Those that are held come to their ends.
    Retire,
    /// This node is not heard of: it may have died, and its successors are not to find the slots taken
    /// that it held. If it lives its dispatches are taken as far as there is room.
    Unheard(NodeId),
    /// The deadline has come.
    Due,
}

/// What an executor wants done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Effect {
    /// Tell an owner.
    Send {
        /// Its node.
        to: NodeId,
        /// What.
        says: ExecutorSays,
    },
    /// It was told to [retire](Event::Retire), and nobody has a slot or a run here any more: the node's
    /// scheduler is to know. Told again to one that is started anew.
    Retired,
    /// Start a run.
    Start(Start),
    /// End a run at once, whatever it does: it must not overlap with others, and its owner may give it to
    /// another soon.
    Kill {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
    },
    /// Ask a run to stop.
    Stop {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
    },
    /// Say [once](Event::Spoke) when the journal of a run holds more than this. It may do so already.
    Heed {
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// What is known of it.
        place: Place,
    },
    /// Tell an owner what the journal of a run holds, with [`ExecutorSays::News`]. The journal of a run
    /// that has [ended](Event::Finished) is needed until the effects of that are carried out.
    Tell {
        /// Its node.
        to: NodeId,
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// All after so many lines; without, the last ones.
        after: Option<u64>,
        /// Whether it will say no more.
        is_last: bool,
    },
}

/// A run to be started.
#[derive(Clone, PartialEq, Eq)]
pub struct Start {
    /// The task.
    pub task: TaskId,
    /// The run.
    pub token: Token,
    /// Which attempt this is, from one.
    pub attempt: u16,
    /// What it has in common with others of its dispatch.
    pub template: std::sync::Arc<Template>,
    /// Its arguments, JSON.
    pub args: Bytes,
    /// What is left until the task must have ended.
    pub time_left: Option<Span>,
    /// What is said of it besides how it is treated.
    pub metadata: Option<std::sync::Arc<Metadata>>,
}

discreet!(Start { task, token, attempt, template, time_left, metadata } hides { args });

impl Executor {
    /// An executor without runs; `me` must be new. It introduces itself to its own node when told
    /// that it is [reached](Event::Reached).
    #[must_use]
    pub fn new(me: Lessee, profile: Profile, now: Tick) -> Self {
        Self {
            me,
            slots: Slots::new(me.node, &profile.pools),
            profile,
            runs: BTreeMap::new(),
            fences: BTreeMap::new(),
            refused: VecDeque::new(),
            refused_set: BTreeSet::new(),
            crossed_at: BTreeMap::new(),
            retirement: Retirement::default(),
            questions: Questions::default(),
            lingering: BTreeMap::new(),
            followed: BTreeMap::new(),
            lends_until: Tick::START,
            news_at: Tick::NEVER,
            guard_at: Tick::NEVER,
            awaiting: Some(BTreeSet::new()),
            beat_at: now + BEAT,
        }
    }

    /// Who it is.
    #[must_use]
    pub const fn me(&self) -> Lessee {
        self.me
    }

    /// Slots that no run takes, nor what is left of one, by pool. Of one that retires none are.
    #[must_use]
    pub fn free(&self) -> Vec<u32> {
        let mut free = self.slots.unused();
        if self.retirement.is_under_way() {
            free.fill(0);
        }
        free
    }

    /// Whether it holds this run, whether it has begun or not.
    #[must_use]
    pub fn holds(&self, task: TaskId, token: Token) -> bool {
        self.runs.contains_key(&(task, token))
    }

    /// How many runs it holds.
    #[must_use]
    pub fn held(&self) -> usize {
        self.runs.len()
    }

    /// When [`Event::Due`] is to be given.
    #[must_use]
    pub fn next_deadline(&self) -> Tick {
        self.beat_at.min(self.guard_at).min(self.news_at)
    }

    /// Takes an event and appends what is to be done to `effects`.
    pub fn step(&mut self, now: Tick, event: Event, effects: &mut Vec<Effect>) {
        match event {
            Event::Admitted => {
                for node in self.awaiting.take().into_iter().flatten() {
                    self.introduce(node, effects);
                }
            }
            Event::Finished(ends) => self.finished(now, ends, effects),
            Event::Learned(profile) => {
                if profile.pools != self.profile.pools {
                    let used = self.slots_used(profile.pools.len());
                    self.slots.resize(&profile.pools, &used, now < self.lends_until);
                    // What was leased for slots that were granted before is on its way.
                    self.lends_until = now + CROSSING_MAX;
                }
                self.profile = profile;
            }
            Event::Lingers { task, token, queue, name } => {
                self.lingers((task, token), &queue, &name);
            }
            Event::Owner { from, says } => self.owner_says(now, from, says, effects),
            Event::Quiet { task, token } => self.quiet((task, token), effects),
            Event::Reached(node) => {
                // Within a node there is one mailbox, and one order.
                if node == self.me.node {
                    self.retirement.tell_again();
                } else {
                    self.crossed_at.insert(node, now);
                }
                match &mut self.awaiting {
                    Some(awaiting) if node != self.me.node => {
                        awaiting.insert(node);
                    }
                    Some(_) | None => self.introduce(node, effects),
                }
            }
            Event::Relayed { from, says } => {
                self.crossed_at.insert(from, now);
                self.owner_says(now, from, says, effects);
            }
            Event::Retire => self.retire(now, effects),
            Event::Spoke { task, token } => self.spoke(now, task, token, effects),
            Event::Unheard(node) => {
                if node != self.me.node {
                    self.slots.forget(node);
                    self.slots.allocate(self.me, effects);
                }
            }
            Event::Due => {
                self.end_unguarded(now, effects);
                if self.news_at <= now {
                    self.tell_news(now, effects);
                }
                if now < self.beat_at {
                    return;
                }
                self.beat_at = now + BEAT;
                self.beat(now, effects);
                self.tend_followers(now);
                self.slots.reclaim(now);
                self.recall_slots(effects);
                self.slots.allocate(self.me, effects);
            }
        }
        self.tell_if_retired(now, effects);
    }

    fn owner_says(&mut self, now: Tick, from: NodeId, says: OwnerSays, effects: &mut Vec<Effect>) {
        match says {
            OwnerSays::Ask { lessee, .. }
            | OwnerSays::Demand { lessee, .. }
            | OwnerSays::Dispatch { lessee, .. }
            | OwnerSays::Follow { lessee, .. }
            | OwnerSays::GoOn { lessee, .. }
            | OwnerSays::Return { lessee, .. }
                if lessee != self.me =>
            {
                // It means an earlier start of this executor.
                self.introduce(from, effects);
            }
            OwnerSays::Ask { lessee: _, partition, term } => {
                self.asked(now, from, partition, term, effects);
            }
            OwnerSays::Closed { runs } => self.closed(now, from, &runs),
            OwnerSays::GoOn { lessee: _, number, runs } => {
                self.may_go_on(now, number, &runs, effects);
            }
            OwnerSays::Demand { lessee: _, wanted } => {
                self.slots.demand(now, from, &wanted);
                self.slots.allocate(self.me, effects);
            }
            OwnerSays::Dispatch { lessee: _, templates, runs } => {
                self.dispatched(now, from, templates, runs, effects);
            }
            OwnerSays::Follow { lessee: _, runs } => self.follow(now, from, &runs, effects),
            OwnerSays::Moved { partition, owner } => self.moved(from, partition, owner),
            OwnerSays::Return { lessee: _, slots } => {
                self.slots.returned(from, &slots);
                self.slots.allocate(self.me, effects);
            }
            OwnerSays::Stop { runs } => self.stop(now, &runs, effects),
        }
    }

    /// Whoever hears an introduction counts the slots that it holds anew, and so must this side.
    fn introduce(&mut self, to: NodeId, effects: &mut Vec<Effect>) {
        self.slots.forget(to);
        if to == self.me.node {
            self.slots.keep_for_home();
        }
        let says = ExecutorSays::Introduce { lessee: self.me, profile: self.profile.clone() };
        effects.push(Effect::Send { to, says });
        self.slots.allocate(self.me, effects);
    }
}
