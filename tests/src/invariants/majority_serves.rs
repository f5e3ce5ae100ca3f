//! Where a majority of a group's copies is on hosts that are well and hear each other, the group has an owner
//! that they hear, if they are the same for long enough, and nothing stays leased to processes that are gone, whatever happens to the other hosts
//! meanwhile.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::id::{GroupId, ReplicaId, TaskId, Token};
use umbel_protocol::limits::GUARD_GRACE;
use umbel_protocol::task::Phase;

use super::partitions;
use crate::host::{Host, Process};
use crate::network::LAG_FOR;
use crate::plan::SECOND;
use crate::world::World;

/// For how long a majority may be without an owner. It takes 1.5 s until a node is suspected, 4 s where
/// its group finds out by itself, and a second or two more if votes are split.
const OWNED_WITHIN: u64 = 6 * SECOND;
/// For how long an owner may leave a run to a process that is gone, which is known after 4 s.
const RELEASED_WITHIN: u64 = 8 * SECOND;
/// The same for one that has started since, and may have heard of the other from nobody: it waits for 10 s
/// before it takes a member to be gone that nobody has told of.
const RELEASED_BY_NEW: u64 = 14 * SECOND;
/// How much longer either may take where messages get lost, ways are slow, or only one of two is heard.
const ON_BAD_WAYS: u64 = LAG_FOR + SECOND;

/// Majorities of a group without an owner, and since when each of them could have one. It takes the same hosts all the
/// while: where others hear each other every second, whoever was about to be elected begins anew.
type Waiting = BTreeMap<BTreeSet<usize>, u64>;

/// What is not yet as it has to be, and since when.
#[derive(Debug, Default)]
pub struct Pending {
    unowned: BTreeMap<GroupId, Waiting>,
    left: BTreeMap<(TaskId, Token), u64>,
    /// When ways were last bad.
    bad_at: u64,
}

impl Pending {
    /// How much longer something may be as it is that has been so `since` then.
    const fn grace(&self, since: u64) -> u64 {
        if since <= self.bad_at { ON_BAD_WAYS } else { 0 }
    }
}

/// Looks at all groups.
///
/// # Errors
/// What has been without an owner for too long, or is still left to somebody who is gone.
pub fn check(world: &mut World) -> Result<(), String> {
    let known = std::mem::take(&mut world.watch.pending);
    // Nobody misses a scheduler that fell: its node is alive, and its groups may sleep. It is built anew.
    let has_fallen = |one: &Host| one.process.is_some() && one.is_being_built(world.now);
    if world.hosts.iter().any(has_fallen) {
        return Ok(());
    }
    let bad_at =
        if has_bad_ways(world) || has_half_open_ways(world) { world.now } else { known.bad_at };
    let mut pending = Pending { bad_at, ..Pending::default() };
    let circles = circles(world, |host| is_well(world, host));
    for group in partitions(world).map(GroupId::of).chain([GroupId::META]) {
        let able: Vec<_> =
            circles.iter().filter(|hosts| has_majority(world, group, hosts)).collect();
        if able.is_empty() {
            continue;
        }
        // Whoever they hear may own it as well as one of them, and whoever another majority hears.
        let may_own = |host: usize| {
            let is_heard = |other: &usize| host == *other || hear_each_other(world, host, *other);
            let around = || (0..world.hosts.len()).filter(is_heard).collect();
            !world.stands(host)
                && (able.iter().any(|hosts| hosts.iter().all(is_heard))
                    || is_followed(world, group, host, &around()))
        };
        let settled = (0..world.hosts.len()).filter(|host| may_own(*host)).filter_map(|host| {
            let copy = world.hosts[host].process.as_ref()?.scheduler.copy(group)?;
            copy.is_settled().then_some((host, copy))
        });
        let Some((host, copy)) = settled.max_by_key(|(_, copy)| copy.term()) else {
            let mut waiting: Waiting =
                able.iter().map(|hosts| (BTreeSet::clone(hosts), world.now)).collect();
            let still_can = |hosts: &BTreeSet<usize>| {
                able.iter().any(|circle| hosts.is_subset(circle))
                    && has_majority(world, group, hosts)
            };
            let before = known.unowned.get(&group).into_iter().flatten();
            waiting.extend(
                before.filter(|(hosts, _)| still_can(hosts)).map(|(h, at)| (h.clone(), *at)),
            );
            for (hosts, since) in &mut waiting {
                // One that crashed and came back between two looks begins anew, and so do those who need it.
                *since = (*since).max(up_since(world, group, hosts).unwrap_or(0));
                let age = world.now - *since;
                if age > OWNED_WITHIN + pending.grace(*since) {
                    return Err(format!(
                        "{group} has had no owner for {age} us, though {hosts:?} are well"
                    ));
                }
            }
            pending.unowned.insert(group, waiting);
            continue;
        };
        for (task, record) in copy.partition().into_iter().flat_map(|owned| owned.records()) {
            let Phase::Leased(lease) = record.phase() else {
                continue;
            };
            let start = (lease.lessee.node, lease.lessee.incarnation);
            if !world.ledger.ended.contains_key(&start) && !world.ledger.left.contains_key(&start) {
                continue;
            }
            let run = (task, lease.token);
            let since = known.left.get(&run).copied().unwrap_or(world.now);
            let age = world.now - since;
            let started_at = world.hosts[host].process.as_ref().map_or(0, |one| one.started_at);
            let within = if started_at + RELEASED_BY_NEW > world.now {
                RELEASED_BY_NEW
            } else {
                RELEASED_WITHIN
            };
            // Some are to be waited for, by each owner anew.
            let patience = record.template.options.lost_after().map_or(0, |patience| {
                let patience = patience.as_micros();
                patience + patience / 50 + GUARD_GRACE.as_micros()
            });
            if age > within + patience + pending.grace(since) {
                return Err(format!(
                    "{task} is left to {:?}, gone for {age} us, by host {host}",
                    lease.lessee
                ));
            }
            pending.left.insert(run, since);
        }
    }
    world.watch.pending = pending;
    Ok(())
}

/// Since when all of these hosts have run that have a copy of `group`.
fn up_since(world: &World, group: GroupId, hosts: &BTreeSet<usize>) -> Option<u64> {
    let processes = hosts.iter().filter_map(|host| world.hosts[*host].process.as_ref());
    let holders = processes.filter(|process| process.scheduler.copy(group).is_some());
    holders.map(|process| process.started_at).max()
}

/// Sets of hosts that all hear each other, around each of those that are meant. Where not all who hear one
/// of them hear each other there is none around it.
pub(super) fn circles(world: &World, is_meant: impl Fn(usize) -> bool) -> Vec<BTreeSet<usize>> {
    let hosts: Vec<usize> = (0..world.hosts.len()).filter(|host| is_meant(*host)).collect();
    let hear = |one: &usize, other: &usize| one == other || hear_each_other(world, *one, *other);
    let around = hosts.iter().map(|middle| -> BTreeSet<usize> {
        hosts.iter().copied().filter(|host| hear(middle, host)).collect()
    });
    around.filter(|all| all.iter().all(|one| all.iter().all(|other| hear(one, other)))).collect()
}

/// Whether two hosts are connected, nothing stands between them, and what they say is not on its way for
/// longer than elections take.
pub(super) fn hear_each_other(world: &World, one: usize, other: usize) -> bool {
    let network = &world.network;
    let is_blocked = |from, to| network.blocked.contains(&(from, to));
    network.is_up(one, other)
        && !is_blocked(one, other)
        && !is_blocked(other, one)
        && !network.is_late(one, other, world.now)
}

/// Whether messages get lost, or ways are slow at times.
pub(super) fn has_bad_ways(world: &World) -> bool {
    let noise = world.network.noise;
    let loses = noise.datagrams_lost > 0 || noise.consensus_lost > 0;
    // What was late when the storm ended may be so for as long as anything is.
    let lags = world
        .healed_at
        .map_or(world.network.lags, |at| world.plan.faults.lags && world.now < at + LAG_FOR);
    lags || noise.has_tails || loses
}

/// Whether a connection stands over which only one of two is heard. It is silent for some seconds before both know, and
/// meanwhile others tell either that the other is there: whoever owns a group that sleeps is missed by nobody, and when
/// the first follower does, the others have to find out by themselves.
fn has_half_open_ways(world: &World) -> bool {
    let network = &world.network;
    let is_one_way = |(from, to): &(usize, usize)| !network.blocked.contains(&(*to, *from));
    let mut one_way = network.blocked.iter().filter(|way| is_one_way(way));
    one_way.any(|(from, to)| network.is_up(*from, *to))
}

/// Whether a host runs and can do all that it is asked for.
pub(super) fn is_well(world: &World, host: usize) -> bool {
    let one = &world.hosts[host];
    // What was being written when its disk became fast again takes as long as it takes.
    let written = one.slow_until + one.slow_sync.1;
    let until = [one.late_until, one.starved_until, written, one.full_until];
    // One that was unfit a moment ago lets others go before.
    let is_fit = |process: &Process| process.scheduler.condition().is_serving();
    one.process.as_ref().is_some_and(is_fit) && until.into_iter().all(|until| until < world.now)
}

/// Whether a majority of those that vote, by the account of the copy on `host`, is on `hosts`.
fn is_followed(world: &World, group: GroupId, host: usize, hosts: &BTreeSet<usize>) -> bool {
    let copy = |host: usize| world.hosts[host].process.as_ref()?.scheduler.copy(group);
    let ready: BTreeSet<ReplicaId> =
        hosts.iter().filter_map(|host| Some(copy(*host)?.replica())).collect();
    copy(host).is_some_and(|own| {
        let copies = own.copies();
        let mut both = [copies.voters, copies.voters_outgoing].into_iter();
        both.all(|voters| is_most(&voters, &ready))
    })
}

/// Whether most of these voters, if there are any, are among those who are `ready`.
fn is_most(voters: &[ReplicaId], ready: &BTreeSet<ReplicaId>) -> bool {
    let there = voters.iter().filter(|voter| ready.contains(*voter)).count();
    voters.is_empty() || 2 * there > voters.len()
}

/// Whether a majority of those that vote, by every copy's account, is on `hosts`.
pub(super) fn has_majority(world: &World, group: GroupId, hosts: &BTreeSet<usize>) -> bool {
    let here = |host: usize| world.hosts[host].process.as_ref()?.scheduler.copy(group);
    let ready: BTreeSet<ReplicaId> =
        hosts.iter().filter_map(|host| Some(here(*host)?.replica())).collect();
    let all = (0..world.hosts.len()).filter_map(here).map(|copy| copy.copies());
    let both = all.flat_map(|copies| [copies.voters, copies.voters_outgoing]);
    // A copy that has not been filled yet knows of none.
    let mut known = both.filter(|voters| !voters.is_empty()).peekable();
    known.peek().is_some() && known.all(|voters| is_most(&voters, &ready))
}
