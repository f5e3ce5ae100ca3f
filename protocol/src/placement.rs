//! Which nodes should hold which group, and how its copies get there.

mod mover;
mod rendezvous;

pub use self::mover::{Aim, next_change};
pub use self::rendezvous::ranking;

/// How many of `copies` copies vote: an even number of voters survives no more losses than the odd
/// one below it.
#[must_use]
pub const fn voters_of(copies: usize) -> usize {
    if copies.is_multiple_of(2) { copies.saturating_sub(1) } else { copies }
}
