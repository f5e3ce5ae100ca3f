//! A member that is not connected with a majority of the others asks its seeds, again and again.
//!
//! It calls the others where they were last; if all have moved, the seeds are the one way left, and
//! their names may lead to the new addresses only some time after it has started. Those that have
//! found each other by then may be two parties that have not.

use std::time::Duration;

use futures_util::future::join_all;
use tracing::warn;
use umbel_protocol::formation;
use umbel_protocol::wire::hello::Refusal;

use crate::actors::Handles;
use crate::config::HostPort;
use crate::former::resolve;
use crate::transport::DialError;

/// First pause between two rounds; it doubles up to the limit.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(30);
/// How often it is looked whether enough are connected.
const LOOK_EVERY: Duration = Duration::from_secs(1);

/// Runs for as long as the node does, or until all seeds turn out to be this node.
pub(crate) async fn seek(mut seeds: Vec<HostPort>, handles: Handles) {
    let mut pause = PAUSE_MIN;
    while !seeds.is_empty() {
        if !formation::calls_seeds(handles.transport.connected(), handles.met.len()) {
            pause = PAUSE_MIN;
            tokio::time::sleep(LOOK_EVERY).await;
            continue;
        }
        let others = join_all(seeds.iter().map(|seed| is_other(seed, &handles))).await;
        let mut others = others.into_iter();
        seeds.retain(|_| others.next().unwrap_or(true));
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(PAUSE_MAX);
    }
}

/// Calls a seed; whether it is, or may be, another node.
async fn is_other(seed: &HostPort, handles: &Handles) -> bool {
    let why = match resolve(seed).await {
        Ok(address) => match handles.transport.greet(address).await {
            Ok(_) => return true,
            Err(DialError::Refused { refusal: Refusal::Yourself, .. }) => return false,
            Err(DialError::Refused { refusal: Refusal::Duplicate, .. }) => return true,
            Err(why) => why.to_string(),
        },
        Err(why) => why,
    };
    warn!(%seed, why, "too few other nodes are connected, and this seed is none of them");
    true
}
