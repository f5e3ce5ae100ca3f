//! How a task is treated, as it is shown.

use serde::{Deserialize, Serialize};

use super::{Options, Particulars, REDACTED, Record};

/// How a task is treated, as whoever submitted it, its declaration and its rules have said when it was taken in.
/// Since version 3.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Treatment {
    /// What may be said of many at once.
    pub options: Options,
    /// What is said of it alone, but for its [metadata](super::View::metadata). Of one of whose arguments some are
    /// never shown no key is: it may be made of them.
    pub particulars: Particulars,
}

impl Treatment {
    /// How the task of `record` is treated.
    pub(super) fn of(record: &Record) -> Self {
        let options = record.template.options.clone();
        let said = record.particulars.as_deref().cloned().unwrap_or_default();
        let mut particulars = Particulars { metadata: None, ..said };
        if !options.redact().is_empty() {
            let Particulars { unique_key, fairness_key, limit_key, .. } = &mut particulars;
            for key in [unique_key, fairness_key, limit_key].into_iter().flatten() {
                *key = REDACTED.into();
            }
        }
        Self { options, particulars }
    }
}
