//! A copy votes once in a term, whatever it went through meanwhile.
//!
//! Two leaders of one term are seldom seen even where votes are given twice, and second votes are
//! seldom asked for. Here the second vote is enough, and a copy that begins anew without knowing of
//! its first.

use std::collections::BTreeMap;

use umbel_protocol::group::{Body, RaftKind};
use umbel_protocol::id::{GroupId, ReplicaId};
use umbel_protocol::wire::PeerMessage;

use crate::world::World;

/// For whom each copy was seen to vote, by group and term.
pub type Votes = BTreeMap<(GroupId, ReplicaId, u64), ReplicaId>;

/// A host has just started.
///
/// # Errors
/// If a copy of it does not know any more what it has promised.
pub fn on_start(world: &World, host: usize) -> Result<(), String> {
    let one = &world.hosts[host];
    for copy in one.process.iter().flat_map(|process| process.scheduler.copies()) {
        let (known, _) = one.disk.synced(copy.group(), copy.replica());
        let vote = copy.vote().map_or(0, |vote| vote.0);
        let knows = copy.term() > known.term || (copy.term() == known.term && vote == known.vote);
        if !knows {
            let (group, term) = (copy.group(), copy.term());
            return Err(format!("host {host} is in {term} of {group} for {vote}: {known:?}"));
        }
    }
    Ok(())
}

/// A message leaves a host.
///
/// # Errors
/// If it is a second vote.
pub fn on_send(world: &mut World, message: &PeerMessage) -> Result<(), String> {
    let PeerMessage::Group(messages) = message else {
        return Ok(());
    };
    for message in messages {
        let Body::Raft(raft) = &message.body else {
            continue;
        };
        let choice = match raft.kind {
            // Whoever asks has voted for itself.
            RaftKind::Vote => {
                let key = (message.group, raft.term);
                let first = *world.watch.candidates.entry(key).or_insert(message.from);
                if first != message.from {
                    world.saw("vote split");
                }
                message.from
            }
            RaftKind::VoteResponse if !raft.reject => message.to,
            RaftKind::VoteResponse => {
                world.saw("vote refused");
                continue;
            }
            _ => continue,
        };
        let key = (message.group, message.from, raft.term);
        let known = *world.watch.votes.entry(key).or_insert(choice);
        if known != choice {
            let (group, from, term) = key;
            return Err(format!(
                "{from:?} of {group} votes for {known:?} and {choice:?} in {term}"
            ));
        }
    }
    Ok(())
}
