//! What deciding alone costs: the scheduler and the executor of a lone node, stepped by hand without
//! threads, disk or network. No-op tasks are submitted in batches, a few at a time, and waited for.
//! The same run under `valgrind --tool=callgrind` counts instructions, whatever else the machine does.
//!
//! `deciding [TASKS] [BATCH] [BATCHES IN FLIGHT]`

#![allow(clippy::print_stdout, reason = "it prints figures")]

use std::collections::VecDeque;
use std::mem;
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use umbel_protocol::executor::{self, Executor};
use umbel_protocol::id::{ClusterId, Incarnation, Lessee, NodeId, PartitionId, TaskId};
use umbel_protocol::job::{Labels, Zones};
use umbel_protocol::limits::Limits;
use umbel_protocol::meta::Join;
use umbel_protocol::scheduler::{self, Caller, Found, Now, Scheduler, Settings};
use umbel_protocol::task::{Batch, Options, Outcome, Row, Template};
use umbel_protocol::time::{Span, Tick, Wall};
use umbel_protocol::wire::hello::Versions;
use umbel_protocol::wire::{Answer, Ask, Declaration, Profile, Queue, Request};

const NODE: NodeId = NodeId(1);
const NAME: &str = "noop";
const PARTITIONS: u16 = 256;

/// Both machines, wired as a node wires them, on a disk that syncs at once.
struct Lone {
    scheduler: Scheduler,
    executor: Executor,
    events: VecDeque<scheduler::Event>,
    /// Microseconds since the start.
    micros: u64,
    finished: usize,
    written: usize,
    batches: usize,
}

impl Lone {
    fn new(slots: u32) -> Self {
        let join = Join {
            node: NODE,
            name: "lone".to_owned(),
            address: ([127, 0, 0, 1], 7400).into(),
            cluster_name: "bench".to_owned(),
            labels: Labels::NONE,
        };
        let settings = Settings {
            node: NODE,
            incarnation: Incarnation(1),
            join,
            seed: 1,
            follows_wall: false,
            replace_after: Span::from_millis(30_000),
            limits: Limits::default(),
            has_seeds: false,
            versions: Versions::OWN,
            scheduler: 1,
            zones: Zones::bundled(),
            cold: None,
        };
        let declaration = Declaration {
            name: NAME.to_owned(),
            pool: 0,
            queue: Template::QUEUE_DEFAULT.to_owned(),
            options: Options::default(),
            takes_resource: false,
        };
        let queue = Queue { name: Template::QUEUE_DEFAULT.to_owned(), pool: None, priority: None };
        let profile = Profile {
            pools: vec![slots],
            tasks: vec![declaration],
            queues: vec![queue],
            pid: 1,
            serves_all: false,
        };
        let lessee = Lessee { node: NODE, incarnation: Incarnation(1), executor: 1 };
        let mut lone = Self {
            scheduler: Scheduler::new(settings, now(0), Vec::new()),
            executor: Executor::new(lessee, profile, Tick::START),
            events: VecDeque::new(),
            micros: 0,
            finished: 0,
            written: 0,
            batches: 0,
        };
        let found =
            Found { cluster: ClusterId(1), partitions: PARTITIONS, replicas: 1, founders: 1 };
        lone.events.push_back(scheduler::Event::Found(found));
        lone.execute(vec![executor::Event::Reached(NODE)]);
        lone.run();
        lone
    }

    fn submit(&mut self, request: u64, batch: Batch) {
        let ask = Ask::Submit { batch: Arc::new(batch), wait: true };
        let request = scheduler::Event::Asked {
            caller: Caller { session: 1, request },
            request: Request { deadline: Span::from_millis(60_000), ask },
        };
        self.events.push_back(request);
    }

    /// Until nothing is left to be done now.
    fn run(&mut self) {
        let mut effects = Vec::new();
        while let Some(event) = self.next() {
            self.micros += 1;
            self.scheduler.step(now(self.micros), event, &mut effects);
            let mut says = Vec::new();
            for effect in effects.drain(..) {
                match effect {
                    scheduler::Effect::Damaged(why) => panic!("damaged: {why}"),
                    scheduler::Effect::Answer { answer: Answer::Finished(ends), .. } => {
                        self.finished += ends.len();
                    }
                    scheduler::Effect::Answer { answer: Answer::Failed(error), .. } => {
                        panic!("{error}")
                    }
                    scheduler::Effect::Execute(said) => {
                        says.push(executor::Event::Owner { from: NODE, says: said });
                    }
                    scheduler::Effect::Persist(batch) => {
                        let entries = batch.groups.iter().flat_map(|group| &group.entries);
                        self.written += entries.map(|entry| entry.data.len()).sum::<usize>();
                        self.batches += 1;
                        let number = batch.number;
                        self.events.push_back(scheduler::Event::Persisted { number });
                    }
                    scheduler::Effect::Answer { .. }
                    | scheduler::Effect::Admitted
                    | scheduler::Effect::Forget(_)
                    | scheduler::Effect::Joined(_)
                    | scheduler::Effect::Keep(_)
                    | scheduler::Effect::Left
                    | scheduler::Effect::Reload(_)
                    | scheduler::Effect::Spoken(_)
                    | scheduler::Effect::Lost(_)
                    | scheduler::Effect::Meet { .. }
                    | scheduler::Effect::Members(_)
                    | scheduler::Effect::PassedOver { .. }
                    | scheduler::Effect::Refused(_)
                    | scheduler::Effect::Send { .. } => {}
                }
            }
            self.execute(says);
        }
    }

    fn next(&mut self) -> Option<scheduler::Event> {
        self.events.pop_front().or_else(|| {
            let due = self.scheduler.next_deadline() <= now(self.micros).tick;
            due.then_some(scheduler::Event::Due)
        })
    }

    fn execute(&mut self, events: Vec<executor::Event>) {
        let tick = now(self.micros).tick;
        let mut effects = Vec::new();
        for event in events {
            self.executor.step(tick, event, &mut effects);
        }
        let mut ended = Vec::new();
        for effect in mem::take(&mut effects) {
            match effect {
                executor::Effect::Send { says, .. } => {
                    self.events.push_back(scheduler::Event::Executor(says));
                }
                executor::Effect::Start(start) => {
                    let outcome = Outcome::Succeeded(Bytes::from_static(b"null"));
                    ended.push((start.task, start.token, outcome));
                }
                executor::Effect::Heed { .. }
                | executor::Effect::Kill { .. }
                | executor::Effect::Retired
                | executor::Effect::Stop { .. }
                | executor::Effect::Tell { .. } => {}
            }
        }
        if !ended.is_empty() {
            self.execute(vec![executor::Event::Finished(ended)]);
        }
    }
}

fn now(micros: u64) -> Now {
    let wall = Wall::from_millis(EPOCH_MS + micros / 1_000);
    Now { tick: Tick::from_micros(micros), wall }
}

fn batch(micros: u64, number: usize, size: usize) -> Batch {
    let partition = PartitionId(u16::try_from(number % usize::from(PARTITIONS)).unwrap_or(0));
    let at = now(micros).wall;
    let args = Bytes::from(vec![b'1'; 100]);
    let rows = (0..size)
        .map(|place| {
            // Any spread will do; the low bits of an id are random.
            let random = ((number * size + place) as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15);
            Row::new(TaskId::new(at, partition, random), 0, args.clone())
        })
        .collect();
    Batch { templates: vec![Template::new(NAME)], rows }
}

fn resident_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or(0)
}

fn main() {
    let mut numbers = std::env::args().skip(1).map(|arg| arg.parse::<usize>().expect("a number"));
    let tasks = numbers.next().unwrap_or(1_000_000);
    let size = numbers.next().unwrap_or(500);
    let window = numbers.next().unwrap_or(8);
    let mut lone = Lone::new(1_024);
    let before = resident_kib();
    let began = Instant::now();
    let mut sent = 0;
    while lone.finished < tasks {
        while sent < tasks && sent < lone.finished + window * size {
            let number = sent / size;
            let batch = batch(lone.micros, number, size.min(tasks - sent));
            sent += batch.rows.len();
            lone.submit(number as u64, batch);
        }
        lone.run();
    }
    let took = began.elapsed();
    println!(
        "{:.0} ns a task, {tasks} tasks in batches of {size}; {} bytes of log a task, {} writes; \
         {} bytes of memory a task",
        took.as_nanos() as f64 / tasks as f64,
        lone.written / tasks,
        lone.batches,
        resident_kib().saturating_sub(before) * 1_024 / tasks as u64,
    );
}

/// 2027-01-15, as good as any.
const EPOCH_MS: u64 = 1_800_000_000_000;
