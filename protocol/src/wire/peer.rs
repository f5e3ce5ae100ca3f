//! What nodes say to each other over streams.

use std::sync::Arc;

use bytes::Bytes;
use serde::{Deserialize, Serialize};

use super::request::{Answer, Ask};
use crate::group::GroupMessage;
use crate::id::{ClusterId, Lessee, NodeId, PartitionId, TaskId, Token};
use crate::journal::{Follow, Words};
use crate::meta::{Join, JoinRefusal, Meta, Subject};
use crate::task::{Metadata, Options, Outcome, Template, discreet};
use crate::time::{Span, Wall};
use crate::wire::{grown, since_3};

/// One frame between two nodes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Envelope {
    /// The sender's wall clock: owners take the median of their voters' for partition time.
    pub clock: Wall,
    /// How many writes the sender's store had synced: whoever comes back with fewer has lost what
    /// it promised here.
    pub synced: u64,
    /// What is said, in this order.
    pub messages: Vec<PeerMessage>,
}

/// What one node says to another.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum PeerMessage {
    /// The answer to [`PeerMessage::Ask`].
    Answer {
        /// As asked.
        id: u64,
        /// The answer. Only [`Answer::Submitted`] of a waiting caller is followed by another.
        answer: Answer,
    },
    /// A request passed on. Lost ones are repeated: all requests may be.
    Ask {
        /// To be repeated in the answer.
        id: u64,
        /// What is left of the caller's time.
        deadline: Span,
        /// What is asked.
        ask: Ask,
    },
    /// From an executor to an owner.
    FromExecutor(ExecutorSays),
    /// Between the copies of groups.
    Group(Vec<GroupMessage>),
    /// From a node that wants to be a member; passed on to the leader of the meta group.
    Join(Join),
    /// The answer to [`PeerMessage::Join`].
    Joined(Result<ClusterId, JoinRefusal>),
    /// The sender's copy of what the meta group says. Newer versions replace older ones.
    Meta(Box<Meta>),
    /// The version that the sender has: who has a newer one sends it.
    MetaVersion(u64),
    /// The answer to [`PeerMessage::Relay`] of a member that has no direct way to that node either.
    NoWay {
        /// Who was to be told.
        to: NodeId,
    },
    /// What an owner and an executor say to each other by way of a third: the sender gives it to a
    /// member that both can reach, and that one gives it to the receiver, or drops it. For a while
    /// after two nodes have found a direct way again they go on to say it so, to each other: then
    /// the receiver knows that it may overtake what is still under way. See [`ways`](crate::ways).
    Relay(Box<Relayed>),
    /// From an owner to an executor.
    ToExecutor(OwnerSays),
    /// From an owner to the home of a limit. Repeated while it is of use. Since version 3.
    AskPermits(AskPermits),
    /// From the home of a limit to an owner. Since version 3.
    Permits(Permits),
}

/// What an owner asks of a limit that all owners share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct AskPermits {
    /// What is limited.
    pub subject: Subject,
    /// Counts the questions about it.
    pub number: u64,
    /// How many tasks of the owner run, or are about to. What it was given beyond that it gives back.
    pub holds: u32,
    /// How many more wait.
    pub wants: u32,
    /// The last answer that it has, as [`Permits::number`].
    pub seen: (u64, u64),
}

/// What an owner is given of a limit that all owners share.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Permits {
    /// What is limited.
    pub subject: Subject,
    /// The term of who gives it, and the number of the answer in that. Each holds once.
    pub number: (u64, u64),
    /// The last question that was heard of.
    pub asked: u64,
    /// So many tasks may begin, soon, of a rate.
    pub starts: u32,
    /// So many tasks may run at a time, for a while, of a concurrency.
    pub runs: u32,
    /// Whether others wait for what is not used.
    pub is_contended: bool,
    /// After how long to ask again, if more is needed.
    pub again: Span,
}

/// What one node says to another by way of a third.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Relayed {
    /// Who says it.
    pub from: NodeId,
    /// To whom.
    pub to: NodeId,
    /// What.
    pub said: Said,
}

/// What may be relayed: a closed list, and nothing in it that is relayed itself.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum Said {
    /// As [`PeerMessage::FromExecutor`].
    FromExecutor(ExecutorSays),
    /// As [`PeerMessage::ToExecutor`].
    ToExecutor(OwnerSays),
}

/// What an owner says to an executor. All of it may be repeated.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum OwnerSays {
    /// Which runs of this partition do you hold? From now on take no dispatch of an older term for
    /// it. Answered with [`ExecutorSays::Holds`].
    Ask {
        /// The executor that is meant.
        lessee: Lessee,
        /// The partition.
        partition: PartitionId,
        /// The owner's term.
        term: u64,
    },
    /// The ends of these runs are on record: forget them.
    Closed {
        /// The runs.
        runs: Vec<(TaskId, Token)>,
    },
    /// I have so much work waiting for slots of these pools. Replaces what was said before.
    Demand {
        /// The executor that is meant.
        lessee: Lessee,
        /// Slots wanted, by pool.
        wanted: Vec<u32>,
    },
    /// Run these. A run that is known already is not started again; one without a slot is answered
    /// with [`ExecutorSays::NeverHad`].
    Dispatch {
        /// The executor that is meant.
        lessee: Lessee,
        /// What the runs refer to.
        templates: Vec<Template>,
        /// The runs.
        runs: Vec<Dispatch>,
    },
    /// The ends of runs of this partition are not for me to decide.
    Moved {
        /// The partition.
        partition: PartitionId,
        /// Who decides, as far as I know.
        owner: NodeId,
    },
    /// These slots are not needed: they are free again.
    Return {
        /// The executor that is meant.
        lessee: Lessee,
        /// Slots, by pool.
        slots: Vec<u32>,
    },
    /// Ask these runs to stop.
    Stop {
        /// The runs.
        runs: Vec<(TaskId, Token)>,
    },
    /// The answer to [`ExecutorSays::MayGoOn`]: these may. Since version 3.
    GoOn {
        /// The executor that is meant.
        lessee: Lessee,
        /// As asked.
        number: u64,
        /// The runs.
        runs: Vec<(TaskId, Token)>,
    },
    /// Somebody watches these runs. Answered with [`ExecutorSays::News`] once there is more to tell.
    /// Replaces what was said before of the same run. Since version 3.
    Follow {
        /// The executor that is meant.
        lessee: Lessee,
        /// The runs, and what is known of them.
        runs: Vec<Follow>,
    },
}

/// One run to be started.
#[derive(Clone, PartialEq, Eq)]
pub struct Dispatch {
    /// The task.
    pub task: TaskId,
    /// The run.
    pub token: Token,
    /// Which attempt this is, from one.
    pub attempt: u16,
    /// Position of its template.
    pub template: u16,
    /// Its arguments, JSON.
    pub args: Bytes,
    /// The owner's term: executors refuse older ones after they were asked under a newer one.
    pub term: u64,
    /// What is left until the task's [deadline](crate::task::Options::deadline). Since version 3.
    pub time_left: Option<Span>,
    /// What is said of it besides how it is treated.
    pub metadata: Option<Arc<Metadata>>,
}

grown!(Dispatch { task, token, attempt, template, args, term } since 3 {
    time_left = None,
    metadata = None,
});
discreet!(Dispatch { task, token, attempt, template, term, time_left, metadata } hides { args });

/// What an executor says to an owner.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub enum ExecutorSays {
    /// These runs of yours I hold: sent now and then, so that lost dispatches are noticed.
    Beat {
        /// Who says it.
        lessee: Lessee,
        /// The runs.
        runs: Vec<(TaskId, Token)>,
    },
    /// These slots are yours: dispatch to them or give them back.
    Grant {
        /// Who says it.
        lessee: Lessee,
        /// Slots, by pool.
        slots: Vec<u32>,
    },
    /// The answer to [`OwnerSays::Ask`].
    Holds {
        /// Who says it.
        lessee: Lessee,
        /// The partition.
        partition: PartitionId,
        /// As asked.
        term: u64,
        /// All runs of the partition that it holds; their outcomes follow by themselves.
        runs: Vec<(TaskId, Token)>,
    },
    /// I am here, and this is what I can run. Said at every start and new connection.
    Introduce {
        /// Who says it.
        lessee: Lessee,
        /// What it can run.
        profile: Profile,
    },
    /// I never had these runs and never will start them.
    NeverHad {
        /// Who says it.
        lessee: Lessee,
        /// The runs.
        runs: Vec<(TaskId, Token)>,
    },
    /// So these runs ended. Repeated until [`OwnerSays::Closed`].
    Outcomes {
        /// Who says it.
        lessee: Lessee,
        /// The runs and their ends.
        outcomes: Vec<(TaskId, Token, Outcome)>,
    },
    /// Others need slots: give back those you do not use.
    Recall {
        /// Who says it.
        lessee: Lessee,
        /// Slots wanted, by pool.
        wanted: Vec<u32>,
    },
    /// May these runs begin, or go on, which must not overlap with others? Asked again and again, and
    /// answered with [`OwnerSays::GoOn`] as long as they may; after some time without that they are ended.
    /// Since version 3.
    MayGoOn {
        /// Who says it.
        lessee: Lessee,
        /// To be repeated in the answer.
        number: u64,
        /// The runs.
        runs: Vec<(TaskId, Token)>,
    },
    /// The answer to [`OwnerSays::Follow`]; also said of its own accord when a run has ended that was
    /// followed, before its end. Since version 3.
    News {
        /// Who says it.
        lessee: Lessee,
        /// The task.
        task: TaskId,
        /// The run.
        token: Token,
        /// What it says.
        words: Words,
        /// Whether that was the last of it.
        is_last: bool,
    },
}

/// What an executor can run.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Profile {
    /// Slots of each pool.
    pub pools: Vec<u32>,
    /// What it can run, by name, ascending.
    pub tasks: Vec<Declaration>,
    /// Queues that it serves, by name, ascending.
    pub queues: Vec<Queue>,
    /// Process id of the node, for people.
    pub pid: u32,
    /// Whether it serves all other queues as well. Since version 3.
    #[serde(with = "since_3")]
    pub serves_all: bool,
}

/// A task that an executor can run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Declaration {
    /// Its name.
    pub name: String,
    /// The pool whose slots its runs take, unless its queue has slots of its own.
    pub pool: u8,
    /// The queue of submissions that name none.
    pub queue: String,
    /// The options that submissions do not say.
    pub options: Options,
    /// Whether its runs take slots of that pool also if its queue has some of its own. Since version 3.
    pub takes_resource: bool,
}

grown!(Declaration { name, pool, queue, options } since 3 { takes_resource = false });

/// A queue that an executor serves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Queue {
    /// Its name.
    pub name: String,
    /// The pool of its own slots, if it has some.
    pub pool: Option<u8>,
    /// Priority of tasks that have none of their own.
    pub priority: Option<u8>,
}

impl Profile {
    /// What it says of `queue`, if it serves it.
    #[must_use]
    pub fn queue(&self, queue: &str) -> Option<&Queue> {
        let place = self.queues.binary_search_by(|known| known.name.as_str().cmp(queue)).ok()?;
        self.queues.get(place)
    }

    /// Whether it serves `queue`.
    #[must_use]
    pub fn serves(&self, queue: &str) -> bool {
        self.serves_all || self.queue(queue).is_some()
    }

    /// The declaration of the task `name`.
    #[must_use]
    pub fn declaration(&self, name: &str) -> Option<&Declaration> {
        let place = self.tasks.binary_search_by(|known| known.name.as_str().cmp(name)).ok()?;
        self.tasks.get(place)
    }

    /// Whether there is any slot for tasks called `name` of `queue`.
    #[must_use]
    pub fn has_slots(&self, queue: &str, name: &str) -> bool {
        let pool = self.pool(queue, name).and_then(|pool| self.pools.get(pool));
        pool.is_some_and(|slots| *slots > 0)
    }

    /// The pool for tasks called `name` of `queue`, if they can run here.
    #[must_use]
    pub fn pool(&self, queue: &str, name: &str) -> Option<usize> {
        let own = match self.queue(queue) {
            Some(queue) => queue.pool,
            None if self.serves_all => None,
            None => return None,
        };
        let declared = self.declaration(name)?;
        let own = own.filter(|_| !declared.takes_resource);
        Some(usize::from(own.unwrap_or(declared.pool)))
    }
}

impl ExecutorSays {
    /// Who says it.
    #[must_use]
    pub const fn lessee(&self) -> Lessee {
        match self {
            Self::Beat { lessee, .. }
            | Self::Grant { lessee, .. }
            | Self::Holds { lessee, .. }
            | Self::Introduce { lessee, .. }
            | Self::NeverHad { lessee, .. }
            | Self::Outcomes { lessee, .. }
            | Self::MayGoOn { lessee, .. }
            | Self::News { lessee, .. }
            | Self::Recall { lessee, .. } => *lessee,
        }
    }

    /// The node that says it.
    #[must_use]
    pub const fn node(&self) -> NodeId {
        self.lessee().node
    }
}
