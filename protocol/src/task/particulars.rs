//! What is said of one task alone, and would be of no use in a template that many share.

use serde::{Deserialize, Serialize};

use super::{InvalidBatch, Template};
use crate::time::Wall;

/// What is said of one task alone. Most tasks have nothing of the kind. Since version 3.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Particulars {
    /// When it may start at the earliest, in partition time; in place of a
    /// [delay](super::Options::delay).
    pub not_before: Option<Wall>,
}

impl Particulars {
    /// Nothing at all.
    pub const NONE: Self = Self { not_before: None };

    /// The same in a box, unless there is nothing in it.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::NONE).then(|| Box::new(self))
    }

    /// Refuses what cannot be meant of a task of `template`.
    ///
    /// # Errors
    /// The first that is wrong.
    pub fn check(&self, template: &Template) -> Result<(), InvalidBatch> {
        if self.not_before.is_some() && !template.options.delay.is_zero() {
            return Err(InvalidBatch::conflicting(
                "`delay` and `at`",
                "both say when it may start; give one of them",
            ));
        }
        Ok(())
    }

    /// No fewer bytes than they take on the wire, in the log and in a snapshot, and about what they take
    /// in memory.
    #[must_use]
    pub const fn weight(&self) -> usize {
        PARTICULARS_WEIGHT
    }
}

/// Without the texts in them. Part of the log's meaning, as [`limits`](crate::limits) explains.
pub(crate) const PARTICULARS_WEIGHT: usize = 64;
