//! What a copy promises to others, and a cluster to its clients, is on disk when it is said.
//!
//! A crash that would make a lie of an early promise hits a window of a few milliseconds; here no
//! crash is needed. Of a group nothing leaves a host with a higher term than is synced there (but
//! pre-votes, which promise nothing), no vote that is not synced, and no acknowledgement of entries
//! that are not. A submission is acknowledged when a majority of the voters has it synced.

use umbel_protocol::group::{Body, GroupMessage, RaftKind};
use umbel_protocol::id::{GroupId, TaskId};
use umbel_protocol::placement::voters_of;
use umbel_protocol::wire::PeerMessage;

use super::leased_runs_only::{durable, is_in_all_majorities};
use crate::world::World;

/// A message leaves `host`.
///
/// # Errors
/// If it promises what a crash could take back.
pub fn on_send(world: &World, host: usize, message: &PeerMessage) -> Result<(), String> {
    let PeerMessage::Group(messages) = message else {
        return Ok(());
    };
    for message in messages {
        let kept = promises_what_is_kept(world, host, message);
        kept.map_err(|what| format!("host {host} {what}: {message:?}"))?;
    }
    Ok(())
}

fn promises_what_is_kept(world: &World, host: usize, message: &GroupMessage) -> Result<(), String> {
    let (hard_state, last) = world.hosts[host].disk.synced(message.group, message.from);
    let claim = |holds: bool, what: &str| if holds { Ok(()) } else { Err(what.to_owned()) };
    match &message.body {
        Body::Raft(raft) => {
            let promises_nothing =
                matches!(raft.kind, RaftKind::PreVote | RaftKind::PreVoteResponse);
            let term_is_kept = promises_nothing || raft.term <= hard_state.term;
            claim(term_is_kept, "speaks in a term that is not synced")?;
            match raft.kind {
                RaftKind::VoteResponse if !raft.reject && raft.term == hard_state.term => {
                    claim(hard_state.vote == message.to.0, "grants a vote that is not synced")
                }
                RaftKind::AppendResponse if !raft.reject => {
                    claim(last >= raft.index, "acknowledges entries that are not synced")
                }
                _ => Ok(()),
            }
        }
        Body::Slept { term, index } => {
            claim(*term <= hard_state.term && last >= *index, "sleeps on what is not synced")
        }
        Body::Sleep { .. } | Body::Gone | Body::Lost | Body::Stray => Ok(()),
    }
}

/// A client is told that `task` was taken in.
///
/// # Errors
/// If there is no majority of the voters, as the newest copy knows them, that has it on disk.
pub fn on_submitted(world: &World, task: TaskId) -> Result<(), String> {
    let group = GroupId::of(task.partition());
    let copies = world.hosts.iter().enumerate().filter_map(|(host, one)| {
        let copy = one.process.as_ref()?.scheduler.copy(group)?;
        Some((copy.applied(), host, copy.is_settled()))
    });
    let Some((_, newest, is_owner)) = copies.max() else {
        // All who could tell have crashed since.
        return Ok(());
    };
    let places = world.hosts.iter().flat_map(|host| host.disk.accepted(task));
    // Nothing is acknowledged before the cluster has as many copies as it was formed to have.
    let founders = world.plan.seeds.max(1).min(usize::from(world.plan.replicas));
    // Unless the operator has left fewer than that to serve.
    let metas = world.hosts.iter().filter_map(|host| host.process.as_ref()?.scheduler.meta());
    let drained = world.operator.asked() > 0;
    let needed = metas.max_by_key(|meta| meta.version).filter(|_| drained);
    let least = needed.map_or(usize::MAX, |meta| usize::from(meta.voters_min));
    let whole = voters_of(founders);
    // Of fewer one may have taken it in before another began to vote: it is needed for all elections.
    let is_fewer = |have: usize| least < whole && have >= least;
    let least = least.min(whole);
    let mut best = (0, 0);
    for (index, term) in places {
        let (have, voters) = durable(world, newest, group, index, term);
        if (is_in_all_majorities(have, voters) || is_fewer(have)) && voters >= least {
            return Ok(());
        }
        best = best.max((have, voters));
    }
    let (have, voters) = best;
    if voters < least && !is_owner {
        // Those that are left have not heard yet of the voters that took it in.
        return Ok(());
    }
    Err(format!("{task} is acknowledged, and {have} of {voters} voters have it on disk"))
}
