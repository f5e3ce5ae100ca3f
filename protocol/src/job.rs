//! Periodic jobs: definitions, when they are due, and what is remembered of them.
//!
//! A [`Job`] lives in the [partition](crate::partition) that its [name](JobName) leads to. The owner of
//! that partition works out which ticks are [due], and has one entry say so: it moves how far the job
//! has fired and creates the tasks, so a tick fires once, whoever dies.

pub mod cron;
mod definition;
pub mod due;
mod history;
mod labels;
mod name;
mod output;
mod plan;
mod state;
mod target;
mod view;
mod zone;

pub use self::cron::{Cron, InvalidCron};
pub use self::definition::{
    Alert, InvalidJob, Job, MISFIRE_GRACE_DEFAULT, MISFIRES_DEFAULT, Misfire, On, Overlap, Schedule,
};
pub use self::history::{JobCounts, TickEnd, TickEnds, TickHistory, TickRecord, TickRun, Verdict};
pub use self::labels::{InvalidLabel, Labels};
pub use self::name::{InvalidJobName, JobName};
pub(crate) use self::output::end_of;
pub use self::output::tail;
pub use self::plan::Plan;
pub use self::state::{AlertEvent, JobState, Notice, SentAlert, Source};
pub use self::target::Target;
pub use self::view::{Declared, JobLine, JobView};
pub use self::zone::{UnknownZone, Zone, Zones};
