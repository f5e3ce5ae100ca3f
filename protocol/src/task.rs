//! What a task is: its immutable [`Spec`](spec), the [`Record`] of its life, and how it may change.

mod discreet;
mod filter;
mod headers;
mod invalid;
mod metadata;
mod obstacle;
mod options;
mod outcome;
mod particulars;
mod phase;
mod rate;
mod record;
mod redact;
mod spec;
mod states;
mod task_group;
mod template;
mod trace;
mod treatment;
mod unique;
mod view;

pub(crate) use self::discreet::{Unshown, discreet};
pub use self::filter::Filter;
pub use self::headers::Headers;
pub use self::invalid::InvalidBatch;
pub use self::metadata::Metadata;
pub use self::obstacle::Obstacle;
pub use self::options::Options;
pub use self::outcome::{Failure, FailureKind, Outcome};
pub use self::particulars::Particulars;
pub(crate) use self::particulars::{GROUP_WEIGHT, UNIQUE_WEIGHT};
pub use self::phase::{IllegalTransition, Lease, Phase, State, Transition};
pub use self::rate::{InvalidRate, Rate, Steady};
pub(crate) use self::record::{
    FAILURE_WEIGHT, HISTORY_WEIGHT, LEASE_WEIGHT, RECORD_WEIGHT, RUN_ERROR_WEIGHT, RUN_WEIGHT,
    STUB_WEIGHT, TEMPLATE_WEIGHT,
};
pub use self::record::{History, Record, Run, RunEnd};
pub use self::redact::{REDACT_ALL, REDACTED, hides_header, redacted};
pub use self::spec::{Batch, Row};
pub use self::states::States;
pub use self::task_group::{TaskGroup, TaskGroupView};
pub(crate) use self::template::is_name;
pub use self::template::{FilledIn, Template};
pub use self::trace::Trace;
pub use self::treatment::Treatment;
pub use self::unique::{UniquePolicy, UniqueScope};
pub use self::view::{RunView, View};
