//! What a task is: its immutable [`Spec`](spec), the [`Record`] of its life, and how it may change.

mod outcome;
mod phase;
mod record;
mod spec;
mod view;

pub use self::outcome::{Failure, FailureKind, Outcome};
pub use self::phase::{IllegalTransition, Lease, Phase, State, Transition};
pub use self::record::{History, Record, Run, RunEnd};
pub use self::spec::{Batch, FilledIn, InvalidBatch, Options, Row, Template};
pub use self::view::{RunView, View};
