//! Keys of which there is one task at a time: for how long, and what becomes of another.

use serde::{Deserialize, Serialize};

use crate::time::Span;

/// For how long a task keeps others with its unique key out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UniqueScope {
    /// Until it is first given to an executor.
    UntilStarted,
    /// Until it has ended, however it ends.
    #[default]
    UntilFinished,
    /// Until it has ended, and so long after it was accepted at the least.
    For(Span),
}

/// What becomes of a task while another with its unique key is there.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum UniquePolicy {
    /// It is not taken in; its caller gets the other one in its place.
    #[default]
    Existing,
    /// It takes the place of the other one, which ends as cancelled. If that one runs it is refused.
    Replace,
    /// It is refused.
    Refuse,
}
