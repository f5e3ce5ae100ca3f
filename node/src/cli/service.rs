//! What a node tells the service manager that started it, systemd or one that speaks like it.
//!
//! Where `NOTIFY_SOCKET` is set the manager is told when the node is ready, and when it stops. Where
//! `WATCHDOG_USEC` is set, too, it is told twice in that time that the node is well: only while all
//! actors take messages. Of a node that hangs it hears nothing, and ends it.

use std::convert::Infallible;
use std::time::Duration;

use sd_notify::NotifyState;

use crate::Node;

/// The node is a member and takes work.
pub(super) fn ready(node: &Node) {
    let status = format!("{} is ready on {}", node.name(), node.address());
    tell(&[NotifyState::Ready, NotifyState::Status(&status)]);
}

/// The node stops.
pub(super) fn stopping() {
    tell(&[NotifyState::Stopping, NotifyState::Status("handing over, and ending runs")]);
}

/// Says again and again that `node` is well, for as long as that is so. Never returns.
pub(super) async fn watch(node: &Node) -> Infallible {
    let Some(patience) = sd_notify::watchdog_enabled().filter(|patience| !patience.is_zero())
    else {
        return std::future::pending().await;
    };
    // As the manager's own manual has it.
    let pause = patience / 2;
    let mut turns = tokio::time::interval(pause.max(Duration::from_millis(1)));
    loop {
        turns.tick().await;
        match node.responds(pause).await {
            Ok(()) => tell(&[NotifyState::Watchdog]),
            Err(which) => {
                tracing::warn!(
                    ?which,
                    ?pause,
                    "an actor does not answer: the watchdog is not told"
                );
            }
        }
    }
}

/// Does nothing where nobody listens.
fn tell(state: &[NotifyState<'_>]) {
    if let Err(error) = sd_notify::notify(state) {
        tracing::warn!(%error, "the service manager cannot be told how this node is");
    }
}
