//! What a task is: its immutable [`Spec`](spec), the [`Record`] of its life, and how it may change.

mod outcome;
mod phase;
mod record;
mod spec;
mod view;

pub use self::outcome::{Failure, FailureKind, Outcome};
pub use self::phase::{IllegalTransition, Lease, Phase, State, Transition};
pub(crate) use self::record::{
    FAILURE_WEIGHT, HISTORY_WEIGHT, LEASE_WEIGHT, RECORD_WEIGHT, RUN_WEIGHT, STUB_WEIGHT,
    TEMPLATE_WEIGHT,
};
pub use self::record::{History, Record, Run, RunEnd};
pub use self::spec::{Batch, FilledIn, InvalidBatch, Options, Row, Template};
pub use self::view::{RunView, View};
