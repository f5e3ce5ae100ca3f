//! No task waits for long while a slot stands idle that it may run in, on a node that its owner
//! reaches: the cluster conserves work.
//!
//! Slots of a pool are alike, so the one that was freed last is taken to be filled first: what is at
//! the bottom of that pile has been of no use to anybody for as long as it lies there.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::id::TaskId;
use umbel_protocol::job::Target;
use umbel_protocol::limits::AGING;
use umbel_protocol::membership::Liveness;
use umbel_protocol::meta::Subject;
use umbel_protocol::partition::{KeyRoom, Partition};
use umbel_protocol::task::{Record, State};
use umbel_protocol::time::Wall;

use super::{owner, partitions};
use crate::plan::SECOND;
use crate::world::World;

/// While nothing is wrong. A wish goes to two random executors every tenth of a second, to one whose
/// slots another owner keeps for half a second, and what is granted is used at once.
const WITHIN: u64 = 5 * SECOND;
/// So long after everything was healed all know each other again.
const SETTLED: u64 = 20 * SECOND;

/// Since when what has been as it is.
#[derive(Debug, Default)]
pub struct Idle {
    /// Since when each slot of a pool of a process has been idle, the longest first.
    slots: BTreeMap<(usize, u64, usize), Vec<u64>>,
    /// Since when a task was seen to wait, and under which owner.
    waits: BTreeMap<TaskId, (usize, u64)>,
    /// Since when two hosts were seen to reach each other.
    reach: BTreeMap<(usize, usize), u64>,
    /// The longest that a task and a slot have waited for each other.
    pub longest: u64,
}

impl Idle {
    /// A run takes a slot.
    pub fn starts(&mut self, host: usize, life: u64, pool: usize) {
        if let Some(slots) = self.slots.get_mut(&(host, life, pool)) {
            slots.pop();
        }
    }

    /// A run is over.
    pub fn ends(&mut self, host: usize, life: u64, pool: usize, now: u64) {
        if let Some(slots) = self.slots.get_mut(&(host, life, pool)) {
            slots.push(now);
        }
    }

    /// Since when a slot of `pool` has been idle; `idle` of them are now.
    fn since(&mut self, host: usize, life: u64, pool: usize, idle: usize, now: u64) -> Option<u64> {
        let slots = self.slots.entry((host, life, pool)).or_default();
        if slots.len() != idle {
            // A process that is seen for the first time, or whose runs were dropped.
            *slots = vec![now; idle];
        }
        slots.first().copied()
    }
}

/// Looks for tasks and slots that wait for each other.
///
/// # Errors
/// If some have for too long.
pub fn check(world: &mut World) -> Result<(), String> {
    let mut idle = std::mem::take(&mut world.watch.idle);
    let result = look(world, &mut idle);
    world.watch.idle = idle;
    result
}

fn look(world: &World, idle: &mut Idle) -> Result<(), String> {
    let now = world.now;
    let is_settled = world.healed_at.is_some_and(|at| now > at + SETTLED);
    if world.is_troubled && !is_settled {
        *idle = Idle { slots: std::mem::take(&mut idle.slots), ..Idle::default() };
        look_at_slots(world, idle);
        return Ok(());
    }
    let spare = look_at_slots(world, idle);
    let mut waiting = BTreeMap::new();
    let mut starving = None;
    for id in partitions(world) {
        let Some((owner, partition)) = owner(world, id) else {
            continue;
        };
        let kept = kept_waiting(partition);
        let ready = partition.records().filter(|(_, record)| is_ready(partition, record));
        for (task, record) in ready.filter(|(task, _)| !kept.contains(task)) {
            if is_ruled(world, owner, &record.template.queue) {
                continue;
            }
            let known = idle.waits.get(&task).filter(|(by, _)| *by == owner);
            let since = known.map_or(now, |(_, since)| *since);
            waiting.insert(task, (owner, since));
            for (host, pool, idle_since) in &spare {
                let profile = &world.hosts[*host].profile;
                let may = profile.pool(&record.template.queue, &record.template.name);
                if !may_run(world, owner, *host, &partition.target(task, &record)) {
                    continue;
                }
                let Some(reach) = idle.reach.get(&(owner, *host)).filter(|_| may == Some(*pool))
                else {
                    continue;
                };
                let both = now - since.max(*idle_since).max(*reach);
                if starving.as_ref().is_none_or(|(longest, _)| *longest < both) {
                    starving = Some((both, (task, owner, *host, *pool)));
                }
            }
        }
    }
    idle.waits = waiting;
    let Some((longest, (task, owner, host, pool))) = starving else {
        return Ok(());
    };
    idle.longest = idle.longest.max(longest);
    if longest <= WITHIN {
        return Ok(());
    }
    Err(format!(
        "{task} of host {owner} has waited for {longest} us beside a free slot of host {host}, \
         pool {pool}"
    ))
}

/// Hosts and pools with idle slots, and since when the idlest has been so; notes who reaches whom.
fn look_at_slots(world: &World, idle: &mut Idle) -> Vec<(usize, usize, u64)> {
    let now = world.now;
    let mut spare = Vec::new();
    for (host, one) in world.hosts.iter().enumerate() {
        let Some(process) = &one.process else {
            continue;
        };
        for (pool, slots) in one.profile.pools.iter().enumerate() {
            let free = slots.saturating_sub(process.running(pool));
            let free = usize::try_from(free).expect("few slots");
            if let Some(since) = idle.since(host, one.life, pool, free, now) {
                spare.push((host, pool, since));
            }
        }
    }
    let lives: Vec<(usize, u64)> = world.hosts.iter().map(|host| host.life).enumerate().collect();
    idle.slots.retain(|(host, life, _), _| lives.contains(&(*host, *life)));
    let pairs = (0..lives.len()).flat_map(|a| (0..lives.len()).map(move |b| (a, b)));
    let mut reach = BTreeMap::new();
    for pair in pairs.filter(|(a, b)| reaches(world, *a, *b)) {
        reach.insert(pair, idle.reach.get(&pair).copied().unwrap_or(now));
    }
    idle.reach = reach;
    spare
}

/// Whether two hosts know of each other and have a way.
fn reaches(world: &World, a: usize, b: usize) -> bool {
    let knows = |one: usize, other: usize| {
        let host = &world.hosts[one];
        host.paused_until <= world.now
            && host.process.as_ref().is_some_and(|process| {
                let node = host.node;
                let members = process.scheduler.meta().map(|meta| &meta.members);
                let is_member = members.and_then(|members| members.get(&node));
                if !process.is_serving() || is_member.is_none_or(|member| member.draining) {
                    return false;
                }
                let liveness = process.membership.liveness(world.hosts[other].node);
                one == other || liveness == Some(Liveness::Alive)
            })
    };
    serves(world, b) && knows(a, b) && knows(b, a) && (a == b || world.network.is_up(a, b))
}

/// Whether a host takes leases: it neither leaves nor is it drained.
fn serves(world: &World, host: usize) -> bool {
    let one = &world.hosts[host];
    one.process.as_ref().is_some_and(|process| {
        let scheduler = &process.scheduler;
        let member = scheduler.meta().and_then(|meta| meta.members.get(&one.node));
        scheduler.condition().is_serving() && member.is_none_or(|member| !member.draining)
    })
}

/// Whether a task for such nodes may run on a host, as its owner knows it.
fn may_run(world: &World, owner: usize, host: usize, target: &Target) -> bool {
    let process = world.hosts[owner].process.as_ref();
    let meta = process.and_then(|process| process.scheduler.meta());
    let node = world.hosts[host].node;
    *target == Target::Anywhere || meta.is_some_and(|meta| target.includes(node, meta.labels(node)))
}

/// Whether rules keep tasks of a queue from starting that would, or may do so.
fn is_ruled(world: &World, owner: usize, queue: &str) -> bool {
    let process = world.hosts[owner].process.as_ref();
    let meta = process.and_then(|process| process.scheduler.meta());
    meta.is_some_and(|meta| {
        let rule = meta.rules.of(&Subject::Queue(queue.to_owned()));
        rule.is_paused() || rule.is_limiting()
    })
}

fn is_ready(partition: &Partition, record: &Record) -> bool {
    record.state() == State::Ready && !record.is_overdue(partition.now())
}

/// Those that others of their limit key keep waiting. Of one kind they go in order, and whoever has waited for much
/// longer is not passed by those of other kinds either.
fn kept_waiting(partition: &Partition) -> BTreeSet<TaskId> {
    let now = partition.now();
    let mut by_key: BTreeMap<Box<str>, Vec<Waiting>> = BTreeMap::new();
    let waits = |record: &Record| match record.state() {
        State::Ready => true,
        State::Scheduled => record.waits_since() <= now,
        _ => false,
    };
    for (task, record) in partition.records().filter(|(_, record)| waits(record)) {
        let key = record.particulars.as_ref().and_then(|said| said.limit_key.clone());
        let (Some(key), Some(room)) = (key, partition.key_room(task, now)) else {
            continue;
        };
        let (came, priority) = (record.waits_since(), record.template.options.priority());
        let template = &record.template;
        by_key.entry(key).or_default().push(Waiting {
            urgent_at: came + AGING.times((9 - priority).into()),
            came,
            order: record.order,
            task,
            kind: (template.queue.clone(), template.name.clone(), partition.target(task, &record)),
            has_room: matches!(room, KeyRoom::For(_)),
        });
    }
    let mut kept = BTreeSet::new();
    for waiting in by_key.values() {
        for one in waiting {
            let is_kept = !one.has_room || waiting.iter().any(|other| other.keeps(one));
            if is_kept {
                kept.insert(one.task);
            }
        }
    }
    kept
}

/// A task that waits and has a limit key.
struct Waiting {
    urgent_at: Wall,
    came: Wall,
    order: u64,
    task: TaskId,
    kind: (String, String, Target),
    has_room: bool,
}

impl Waiting {
    fn keeps(&self, other: &Self) -> bool {
        if self.kind != other.kind {
            return self.urgent_at + AGING < other.urgent_at;
        }
        let place = |one: &Self| (one.urgent_at, one.came, one.order);
        !self.has_room && place(self) < place(other)
    }
}
