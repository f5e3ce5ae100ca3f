//! How the parts of a node fare, as the Supervisor tells whoever asks: a health page, say.

use std::time::{Duration, Instant};

use actix::Message;

use super::Which;

/// Asks the [`Supervisor`](super::Supervisor) how the actors fare that it watches, in the order of
/// [`Which`]. It answers at once, also while the node stops.
///
/// ```
/// # async fn page(node: &umbel::Node) -> Result<(), Box<dyn std::error::Error>> {
/// use umbel::actors::Health;
/// for part in node.supervisor().send(Health).await? {
///     match part.running_for {
///         Some(time) => println!("{:?}: for {time:?}, {} restarts", part.which, part.restarts),
///         None => println!("{:?}: is being restarted", part.which),
///     }
/// }
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Copy, Debug, Message)]
#[rtype(result = "Vec<PartHealth>")]
pub struct Health;

/// How one actor fares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartHealth {
    /// Which.
    pub which: Which,
    /// Since when it runs without a break; nothing while it is being built, anew or for the first
    /// time, and once the node stops.
    pub running_for: Option<Duration>,
    /// How often it fell and was built anew since the node was started. A number that grows is a bug
    /// of ours: the log says what happened.
    pub restarts: u32,
}

/// What the supervisor remembers of one actor.
#[derive(Clone, Copy)]
pub(super) struct Part {
    /// The pause before it is built the next time.
    pub(super) pause: Duration,
    /// When it was built last.
    since: Instant,
    restarts: u32,
}

impl Part {
    pub(super) fn new(pause: Duration) -> Self {
        Self { pause, since: Instant::now(), restarts: 0 }
    }

    /// It is built; when that was.
    pub(super) fn built(&mut self) -> Instant {
        self.since = Instant::now();
        self.since
    }

    pub(super) const fn fell(&mut self) {
        self.restarts = self.restarts.saturating_add(1);
    }

    pub(super) fn health(&self, which: Which, is_running: bool) -> PartHealth {
        let running_for = is_running.then(|| self.since.elapsed());
        PartHealth { which, running_for, restarts: self.restarts }
    }
}
