//! What the model is made of: a log, two nodes with an executor and a scheduler each, and what is
//! under way between them.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::Arc;

use umbel_protocol::executor::{Event, Executor};
use umbel_protocol::id::{Incarnation, Lessee, NodeId, PartitionId, TaskId, Token};
use umbel_protocol::membership::Liveness;
use umbel_protocol::partition::{Command, Partition, Proposal, Report};
use umbel_protocol::task::{Batch, Options, Template};
use umbel_protocol::time::{Span, Tick, Wall};
use umbel_protocol::wire::{Declaration, ExecutorSays, OwnerSays, Profile, Queue};

/// Nodes of the model, by their place.
pub const NODES: [usize; 2] = [0, 1];
/// The only partition.
pub const PARTITION: PartitionId = PartitionId(0);
/// When everything begins.
pub const WALL: Wall = Wall::from_millis(1_700_000_000_000);
/// How long a task is held that may have crashed too often.
pub const HOLD: Span = Span::from_millis(600_000);

/// How much may happen that need not, on any way from the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Bounds {
    /// Tasks.
    pub tasks: u8,
    /// Each executor has a slot for each of them, and so many more.
    pub spare_slots: u8,
    /// Whether only a node crashes that has a lease and was not the owner at first.
    pub lessees_crash: bool,
    /// A node becomes owner though the one before lives.
    pub takeovers: u8,
    /// A node stops, and all that is only in its memory is gone.
    pub crashes: u8,
    /// A node takes another to be down that is not.
    pub blames: u8,
    /// The connection between two nodes breaks.
    pub breaks: u8,
    /// Something overtakes what was said before it, as both are relayed.
    pub overtakes: u8,
    /// Something is repeated though what was said before is still under way.
    pub repeats: u8,
    /// A run fails.
    pub failures: u8,
    /// A task is cancelled.
    pub cancels: u8,
}

impl Bounds {
    /// One task, and nothing goes wrong.
    #[must_use]
    pub const fn one_task() -> Self {
        Self {
            tasks: 1,
            spare_slots: 0,
            lessees_crash: false,
            takeovers: 0,
            crashes: 0,
            blames: 0,
            breaks: 0,
            overtakes: 0,
            repeats: 0,
            failures: 0,
            cancels: 0,
        }
    }

    /// Slots of each executor.
    #[must_use]
    pub const fn slots(&self) -> u32 {
        (self.tasks + self.spare_slots) as u32
    }
}

/// All that there is.
#[derive(Clone)]
pub struct State {
    /// What a majority has agreed on.
    pub log: Log,
    /// The nodes.
    pub nodes: [Node; 2],
    /// What is under way, by sender and receiver.
    pub links: [[Link; 2]; 2],
    /// What may still happen.
    pub left: Bounds,
    /// The time of the log. It stands still unless a task waits for it.
    pub wall: Wall,
    /// Runs that were started anywhere.
    pub started: BTreeSet<(TaskId, Token)>,
    /// Runs of which a living executor has said that it never had them.
    pub denied: BTreeSet<(TaskId, Token)>,
}

/// The log of the partition.
#[derive(Clone)]
pub struct Log {
    /// What all entries so far have made.
    pub partition: Arc<Partition>,
    /// The last entry.
    pub index: u64,
    /// The present term.
    pub term: u64,
    /// Who leads in it, while it lives.
    pub leader: Option<usize>,
    /// The entry that the leader has proposed and that is not known to be committed. If the leader
    /// is deposed it may survive in the copies of the others, or not.
    pub flight: Option<Arc<Proposal>>,
}

/// A node.
#[derive(Clone)]
pub struct Node {
    /// Whether it runs.
    pub up: bool,
    /// Which start of it.
    pub incarnation: u64,
    /// Its executor's clock: it goes from beat to beat.
    pub now: Tick,
    /// Its executor.
    pub executor: Arc<Executor>,
    /// Runs that go on in it.
    pub running: BTreeSet<(TaskId, Token)>,
    /// Those of them that were asked to stop.
    pub stopping: BTreeSet<(TaskId, Token)>,
    /// Its executor is still to be told that it has a new way to each node.
    pub reached: [bool; 2],
    /// The executors that have introduced themselves to its scheduler.
    pub present: [Option<Lessee>; 2],
    /// What its scheduler was told of each node by gossip.
    pub opinion: [(Incarnation, Liveness); 2],
    /// What it knows as owner, while it takes itself for that.
    pub owner: Option<Arc<Owner>>,
}

/// What only an owner knows: of `scheduler::replica::Owner` and `scheduler::lessees::Lessees` what
/// matters to leases.
#[derive(Clone)]
pub struct Owner {
    /// Its term.
    pub term: u64,
    /// What it has applied: of a deposed owner that is old.
    pub partition: Arc<Partition>,
    /// Runs that are leased, as far as it knows.
    pub leases: BTreeMap<Lessee, BTreeMap<TaskId, Token>>,
    /// Executors that it has asked what they hold, and that have not answered.
    pub asked: BTreeSet<Lessee>,
    /// Executors whose loss is on its way into the log.
    pub losing: BTreeSet<Lessee>,
    /// Executors that were taken to be gone without proof.
    pub unheard: BTreeSet<Lessee>,
    /// What waits to be proposed.
    pub line: Line,
}

/// As `scheduler::replica::Line`.
#[derive(Clone, Default)]
pub struct Line {
    /// Ends of runs.
    pub reports: BTreeMap<Lessee, Vec<Report>>,
    /// Whatever an owner decides by itself.
    pub commands: Vec<Command>,
    /// What is to be leased.
    pub leases: BTreeMap<Lessee, Vec<TaskId>>,
    /// What is to be cancelled.
    pub cancels: Vec<TaskId>,
}

/// What is under way from one node to another, or within one. Each kind has a mailbox of its own.
#[derive(Clone, Default)]
pub struct Link {
    /// From the scheduler to the executor.
    pub orders: VecDeque<Arc<OwnerSays>>,
    /// From the executor to the scheduler.
    pub words: VecDeque<Arc<ExecutorSays>>,
    /// What had arrived over the connection before, and is looked at late.
    pub late_orders: VecDeque<Arc<OwnerSays>>,
    /// The same, of the executor.
    pub late_words: VecDeque<Arc<ExecutorSays>>,
    /// What is said goes through others, and executors are told so.
    pub is_relayed: bool,
}

impl Link {
    /// Whether nothing is under way.
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.orders.is_empty()
            && self.words.is_empty()
            && self.late_orders.is_empty()
            && self.late_words.is_empty()
    }
}

/// The id of the node at a place.
#[must_use]
pub const fn node_id(place: usize) -> NodeId {
    NodeId((place as u128 + 1) << 96)
}

/// The place of a node.
#[must_use]
pub fn place_of(node: NodeId) -> usize {
    NODES.into_iter().find(|place| node_id(*place) == node).expect("there are two")
}

/// The id of a task.
#[must_use]
pub const fn task_id(n: u8) -> TaskId {
    TaskId::new(WALL, PARTITION, n as u64)
}

/// What all tasks have in common: they fail often, and are tried again at once.
#[must_use]
pub fn template() -> Template {
    let mut template = Template { queue: Template::QUEUE_DEFAULT.into(), ..Template::new("work") };
    template.options.attempts_max = Some(100);
    template.options.backoff_first = Some(Span::ZERO);
    template.options.backoff_max = Some(Span::ZERO);
    template
}

fn profile(slots: u32) -> Profile {
    let declaration = Declaration {
        name: "work".into(),
        pool: 0,
        queue: Template::QUEUE_DEFAULT.into(),
        options: Options::default(),
        takes_resource: false,
    };
    let queue = Queue { name: Template::QUEUE_DEFAULT.into(), pool: None, priority: None };
    Profile {
        pools: vec![slots],
        tasks: vec![declaration],
        queues: vec![queue],
        pid: 1,
        serves_all: false,
    }
}

impl Node {
    /// A start of the node at `place`.
    #[must_use]
    pub fn start(place: usize, incarnation: u64, slots: u32) -> Self {
        let me =
            Lessee { node: node_id(place), incarnation: Incarnation(incarnation), executor: 1 };
        let mut executor = Executor::new(me, profile(slots), Tick::START);
        // Its node is a member all the while.
        executor.step(Tick::START, Event::Admitted, &mut Vec::new());
        Self {
            up: true,
            incarnation,
            now: Tick::START,
            executor: Arc::new(executor),
            running: BTreeSet::new(),
            stopping: BTreeSet::new(),
            reached: [false; 2],
            present: [None; 2],
            opinion: [(Incarnation(1), Liveness::Alive); 2],
            owner: None,
        }
    }

    /// What its executor says when it introduces itself.
    #[must_use]
    pub fn introduction(&self, slots: u32) -> ExecutorSays {
        ExecutorSays::Introduce { lessee: self.executor.me(), profile: profile(slots) }
    }
}

impl Owner {
    /// An owner that has just taken over.
    #[must_use]
    pub const fn new(term: u64, partition: Arc<Partition>) -> Self {
        Self {
            term,
            partition,
            leases: BTreeMap::new(),
            asked: BTreeSet::new(),
            losing: BTreeSet::new(),
            unheard: BTreeSet::new(),
            line: Line {
                reports: BTreeMap::new(),
                commands: Vec::new(),
                leases: BTreeMap::new(),
                cancels: Vec::new(),
            },
        }
    }
}

impl Line {
    /// Whether nothing waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.reports.is_empty()
            && self.commands.is_empty()
            && self.leases.is_empty()
            && self.cancels.is_empty()
    }
}

impl State {
    /// All tasks are accepted, the first node owns them, and everybody knows everybody.
    #[must_use]
    pub fn start(bounds: Bounds) -> Self {
        let mut partition = Partition::new(PARTITION);
        let templates = vec![template()];
        let rows = (0..bounds.tasks)
            .map(|n| umbel_protocol::task::Row::new(task_id(n), 0, bytes::Bytes::new()))
            .collect();
        let batch = Arc::new(Batch { templates, rows });
        let commands = vec![Command::Accept { batch, grants: Vec::new() }];
        partition.apply(1, 1, Proposal::new(1, WALL, commands), &mut Vec::new());
        let partition = Arc::new(partition);
        let slots = bounds.slots();
        let mut nodes = NODES.map(|place| Node::start(place, 1, slots));
        let lessees = NODES.map(|place| Some(nodes[place].executor.me()));
        for node in &mut nodes {
            node.present = lessees;
        }
        nodes[0].owner = Some(Arc::new(Owner::new(1, Arc::clone(&partition))));
        Self {
            log: Log { partition, index: 1, term: 1, leader: Some(0), flight: None },
            nodes,
            links: Default::default(),
            left: bounds,
            wall: WALL,
            started: BTreeSet::new(),
            denied: BTreeSet::new(),
        }
    }
}
