//! Who is alive: SWIM by `foca`, driven without I/O.

use serde::{Deserialize, Serialize};

/// Whether a node is heard of.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Liveness {
    /// It answers.
    Alive,
    /// It did not answer lately.
    Suspect,
    /// It is taken to be gone.
    Down,
}
