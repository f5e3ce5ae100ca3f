//! A task runs again only if the node that ran it was lost or cut off, or its policy says so.
//!
//! That somebody took a node to be down is no excuse by itself: something must have been wrong with
//! one of the two, or between them and others, a moment before. Each second run is counted by its reason.

use umbel_protocol::id::{GroupId, Lessee, TaskId, Token};

use crate::plan::SECOND;
use crate::world::World;

/// So long after its reason a node may still be found to be down: suspicion takes seconds, more of
/// them where many suspect each other, and what is known spreads from one to the next.
const LATE: u64 = 20 * SECOND;
/// Members that nobody has told of for so long after a node's start are taken to be down there.
const UNHEARD: u64 = 10 * SECOND;

/// A run of the task `mark` starts. A dispatch may be late: of two runs the one with the lesser
/// token was leased first, whichever starts first, and must have been given up.
///
/// # Errors
/// If the earlier one of two neither failed nor was lost, or a token runs twice.
pub fn on_start(
    world: &World,
    mark: u64,
    task: TaskId,
    token: Token,
    lessee: Lessee,
) -> Result<(), String> {
    let Some(log) = world.ledger.tasks.get(&mark) else {
        return Err(format!("#{mark} runs and was never submitted"));
    };
    for start in &log.starts {
        if start.token == token {
            return Err(format!("#{mark}: the token {token} runs twice"));
        }
        let failed = start.has_passed_on();
        let is_late = token < start.token && task == start.task;
        let (first, by) = if is_late { (token, lessee) } else { (start.token, start.lessee) };
        let leased_at = world.ledger.leased.get(&(start.task, first)).copied().unwrap_or(start.at);
        let until = if is_late { start.at } else { world.now };
        let lost = world.ledger.was_lost(by, leased_at, until) || unheard(world, task, by);
        if !lost && (is_late || !failed) {
            return Err(format!(
                "#{mark} runs as {token} and as {} though {first} by {by:?} was not lost",
                start.token
            ));
        }
    }
    Ok(())
}

/// Why a run that starts as `token` is not the first of its task, if a failure of the task itself was
/// not the reason.
#[must_use]
pub fn why(world: &World, mark: u64, token: Token) -> Option<&'static str> {
    let log = world.ledger.tasks.get(&mark)?;
    let before = log.starts.iter().filter(|start| start.token < token);
    let before = before.max_by_key(|start| start.token)?;
    let key = (before.lessee.node, before.lessee.incarnation);
    if before.has_passed_on() {
        None
    } else if world.ledger.ended.get(&key).is_some_and(|at| *at <= world.now) {
        Some("second run: lost with its process")
    } else if world.ledger.fallen.contains_key(&before.lessee) {
        Some("second run: lost with its executor")
    } else if world.ledger.was_lost(before.lessee, before.at, world.now) {
        Some("second run: cut off")
    } else {
        Some("second run: not heard of")
    }
}

/// Whether `observer` may take `other` to be down now.
#[must_use]
pub fn is_excused(world: &World, observer: usize, other: usize) -> bool {
    let is_recent = |at: u64| world.now < at + LATE;
    let was_troubled = |host: &usize| {
        let paused = world.hosts[*host].paused_until;
        let noted = world.watch.troubles.get(host).copied();
        (paused > 0 && is_recent(paused)) || noted.is_some_and(is_recent)
    };
    world.hosts[other].process.is_none()
        || world.network.noise.datagrams_lost > 0
        || [observer, other].iter().any(was_troubled)
}

/// Looks which hosts are cut from others, stand still or do not run.
pub fn look(world: &mut World) {
    for host in 0..world.hosts.len() {
        let one = &world.hosts[host];
        let is_cut = world.network.blocked.iter().any(|(a, b)| *a == host || *b == host);
        if is_cut || one.process.is_none() || one.paused_until > world.now {
            world.note_trouble(host);
        }
    }
}

impl World {
    /// Something is wrong with a host, or between it and others, so that it may be taken to be down.
    pub fn note_trouble(&mut self, host: usize) {
        self.watch.troubles.insert(host, self.now);
    }
}

/// Whether some node that may decide on `task` has not heard of the lessee's since it started.
fn unheard(world: &World, task: TaskId, lessee: Lessee) -> bool {
    let group = GroupId::of(task.partition());
    let processes = world.hosts.iter().filter_map(|host| host.process.as_ref());
    processes
        .filter(|process| process.scheduler.copy(group).is_some())
        .filter(|process| world.now - process.started_at > UNHEARD)
        .any(|process| process.membership.liveness(lessee.node).is_none())
}
