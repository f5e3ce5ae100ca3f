//! Effect tests: what an executor is told, and all that it wants done then.

mod asked;
mod crossing;
mod endings;
mod following;
mod guards;
mod lingering;
mod retiring;
mod runs;
mod slots;
mod turns;
mod wishes;

use std::sync::Arc;

use bytes::Bytes;

use super::{Effect, Event, Executor, Start};
use crate::id::{Incarnation, Lessee, NodeId, PartitionId, TaskId, Token};
use crate::task::{Metadata, Options, Outcome, Template};
use crate::time::{Span, Tick, Wall};
use crate::wire::{Declaration, Dispatch, ExecutorSays, OwnerSays, Profile, Queue};

const HOME: NodeId = NodeId(1 << 96);
const OTHER: NodeId = NodeId(2 << 96);
const THIRD: NodeId = NodeId(3 << 96);
const ME: Lessee = Lessee { node: HOME, incarnation: Incarnation(4), executor: 2 };
/// The term under which owners dispatch unless a test says otherwise.
const TERM: u64 = 5;

/// An executor and its clock.
struct Host {
    executor: Executor,
    now: Tick,
}

impl Host {
    /// One that its own scheduler does not know yet, with `slots` slots for most tasks, and one of
    /// the queue "own".
    fn unheard(slots: u32) -> Self {
        let mut host = Self::stranger(slots);
        host.step(Event::Admitted);
        host
    }

    /// The same, of a node that is no member yet.
    fn stranger(slots: u32) -> Self {
        let executor = Executor::new(ME, profile(slots), Tick::START);
        Self { executor, now: Tick::START }
    }

    /// One whose scheduler holds all its slots.
    fn new(slots: u32) -> Self {
        let mut host = Self::unheard(slots);
        host.step(Event::Reached(HOME));
        host
    }

    /// One whose slots all take runs of its own node: tasks 1 to `slots`.
    fn busy(slots: u32) -> Self {
        let mut host = Self::new(slots);
        let runs: Vec<Dispatch> = (1..=u64::from(slots)).map(run).collect();
        let started = host.dispatch(HOME, runs.clone());
        assert_eq!(started, runs.iter().map(start).collect::<Vec<_>>());
        host
    }

    fn step(&mut self, event: Event) -> Vec<Effect> {
        let mut effects = Vec::new();
        self.executor.step(self.now, event, &mut effects);
        effects
    }

    fn hear(&mut self, from: NodeId, says: OwnerSays) -> Vec<Effect> {
        self.step(Event::Owner { from, says })
    }

    fn relayed(&mut self, from: NodeId, says: OwnerSays) -> Vec<Effect> {
        self.step(Event::Relayed { from, says })
    }

    fn ask(&mut self, from: NodeId, partition: PartitionId, term: u64) -> Vec<Effect> {
        self.hear(from, OwnerSays::Ask { lessee: ME, partition, term })
    }

    fn close(&mut self, from: NodeId, runs: &[u64]) -> Vec<Effect> {
        let runs = runs.iter().map(|n| key(*n)).collect();
        self.hear(from, OwnerSays::Closed { runs })
    }

    fn demand(&mut self, from: NodeId, wanted: &[u32]) -> Vec<Effect> {
        self.hear(from, OwnerSays::Demand { lessee: ME, wanted: wanted.to_vec() })
    }

    fn dispatch(&mut self, from: NodeId, runs: Vec<Dispatch>) -> Vec<Effect> {
        let templates = vec![template()];
        self.hear(from, OwnerSays::Dispatch { lessee: ME, templates, runs })
    }

    fn give_back(&mut self, from: NodeId, slots: &[u32]) -> Vec<Effect> {
        self.hear(from, OwnerSays::Return { lessee: ME, slots: slots.to_vec() })
    }

    fn finish(&mut self, runs: &[u64]) -> Vec<Effect> {
        let ends = runs.iter().map(|n| (task(*n), token(*n), result(*n))).collect();
        self.step(Event::Finished(ends))
    }

    /// Lets `span` pass; what is wanted at the deadlines in it.
    fn pass(&mut self, span: Span) -> Vec<Effect> {
        let until = self.now + span;
        let mut effects = Vec::new();
        while self.executor.next_deadline() <= until {
            self.now = self.executor.next_deadline();
            self.executor.step(self.now, Event::Due, &mut effects);
        }
        self.now = until;
        effects
    }
}

fn profile(slots: u32) -> Profile {
    let declaration = |name: &str| Declaration {
        name: name.to_owned(),
        pool: 0,
        queue: "default".to_owned(),
        options: Options::default(),
        takes_resource: false,
    };
    let queue = |name: &str, pool| Queue { name: name.to_owned(), pool, priority: None };
    Profile {
        pools: vec![slots, 1],
        tasks: vec![declaration("add"), declaration("zip")],
        queues: vec![queue("default", None), queue("own", Some(1))],
        pid: 77,
        serves_all: false,
    }
}

fn template() -> Template {
    Template { queue: "default".to_owned(), ..Template::new("add") }
}

/// Tasks up to 99 live in the first partition, those up to 199 in the second, and so on.
fn partition(n: u64) -> PartitionId {
    PartitionId(u16::try_from(n / 100).unwrap())
}

fn task(n: u64) -> TaskId {
    TaskId::new(Wall::from_millis(1_000), partition(n), n)
}

fn token(n: u64) -> Token {
    Token { term: TERM, index: 10 + n, position: 0 }
}

fn key(n: u64) -> (TaskId, Token) {
    (task(n), token(n))
}

fn result(n: u64) -> Outcome {
    Outcome::Succeeded(n.to_string().into())
}

/// What is said of each task, which whoever runs it is to know.
fn said() -> Metadata {
    Metadata { display_name: Some("Invoice 7".into()), ..Metadata::default() }
}

fn run(n: u64) -> Dispatch {
    Dispatch {
        task: task(n),
        token: token(n),
        attempt: 1,
        template: 0,
        args: Bytes::from(format!("[{n}]")),
        term: TERM,
        time_left: None,
        metadata: Some(Arc::new(said())),
    }
}

fn start(run: &Dispatch) -> Effect {
    Effect::Start(Start {
        task: run.task,
        token: run.token,
        attempt: run.attempt,
        template: template().into(),
        args: run.args.clone(),
        time_left: run.time_left,
        metadata: run.metadata.clone(),
    })
}

fn introduce(to: NodeId, slots: u32) -> Effect {
    Effect::Send { to, says: ExecutorSays::Introduce { lessee: ME, profile: profile(slots) } }
}

fn grant(to: NodeId, slots: &[u32]) -> Effect {
    Effect::Send { to, says: ExecutorSays::Grant { lessee: ME, slots: slots.to_vec() } }
}

fn recall(wanted: &[u32]) -> Effect {
    let says = ExecutorSays::Recall { lessee: ME, wanted: wanted.to_vec() };
    Effect::Send { to: HOME, says }
}

fn never_had(to: NodeId, runs: &[u64]) -> Effect {
    let runs = runs.iter().map(|n| key(*n)).collect();
    Effect::Send { to, says: ExecutorSays::NeverHad { lessee: ME, runs } }
}

fn beat(to: NodeId, runs: &[u64]) -> Effect {
    let runs = runs.iter().map(|n| key(*n)).collect();
    Effect::Send { to, says: ExecutorSays::Beat { lessee: ME, runs } }
}

fn outcomes(to: NodeId, runs: &[u64]) -> Effect {
    let outcomes = runs.iter().map(|n| (task(*n), token(*n), result(*n))).collect();
    Effect::Send { to, says: ExecutorSays::Outcomes { lessee: ME, outcomes } }
}

fn holds(to: NodeId, partition: PartitionId, term: u64, runs: &[u64]) -> Effect {
    let runs = runs.iter().map(|n| key(*n)).collect();
    Effect::Send { to, says: ExecutorSays::Holds { lessee: ME, partition, term, runs } }
}
