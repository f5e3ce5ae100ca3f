//! What is said of one task alone, and would be of no use in a template that many share.

use std::sync::Arc;

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use super::{InvalidBatch, Metadata, TaskGroup, Template, discreet};
use crate::id::{PartitionId, TaskId};
use crate::job::Target;
use crate::limits::{KEY_BYTES_MAX, WEIGHT_MAX};
use crate::time::Wall;

/// What is said of one task alone. Most tasks have nothing of the kind. Since version 3.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Particulars {
    /// When it may start at the earliest, in partition time; in place of a
    /// [delay](super::Options::delay).
    pub not_before: Option<Wall>,
    /// Of all tasks of its name with this key there is one at a time, as its
    /// [scope](super::Options::unique_scope) and its [policy](super::Options::unique_policy) say. All of
    /// them live in [one partition](Particulars::partition). 1 to [`KEY_BYTES_MAX`] bytes.
    pub unique_key: Option<Box<str>>,
    /// On whose behalf it is: of tasks of one queue and priority those of different keys are served in turn,
    /// whatever their names are and however many each has waiting. 1 to [`KEY_BYTES_MAX`] bytes.
    pub fairness_key: Option<Box<str>>,
    /// Tasks with this key, whatever their names, are limited together, as their
    /// [concurrency](super::Options::concurrency), their [rate](super::Options::rate) and whether they are
    /// [exclusive](super::Options::exclusive) say. All of them live in
    /// [one partition](Particulars::partition); those with a unique key, too, are only compared with each
    /// other. 1 to [`KEY_BYTES_MAX`] bytes.
    pub limit_key: Option<Box<str>>,
    /// What is said of it besides how it is treated: labels, headers, a trace.
    pub metadata: Option<Arc<Metadata>>,
    /// Which nodes may run it, of those that know its name and serve its queue.
    pub target: Target,
    /// How many tasks of its fairness key are served for each of one that weighs 1: 1 to [`WEIGHT_MAX`].
    pub fairness_weight: Option<u16>,
    /// The task that had ended and was tried again as this one. Nobody can submit that.
    pub retry_of: Option<TaskId>,
    /// The group that it belongs to.
    pub group: Option<TaskGroup>,
}

discreet!(Particulars {
    not_before, metadata, target, fairness_weight, retry_of, group,
} hides { unique_key, fairness_key, limit_key });

impl Particulars {
    /// Nothing at all.
    pub const NONE: Self = Self {
        not_before: None,
        unique_key: None,
        fairness_key: None,
        limit_key: None,
        metadata: None,
        target: Target::Anywhere,
        fairness_weight: None,
        retry_of: None,
        group: None,
    };

    /// The same in a box, unless there is nothing in it.
    #[must_use]
    pub fn boxed(self) -> Option<Box<Self>> {
        (self != Self::NONE).then(|| Box::new(self))
    }

    /// The same with `metadata`, if there is anything in it.
    #[must_use]
    pub fn with_metadata(self, metadata: Metadata) -> Self {
        Self { metadata: (!metadata.is_empty()).then(|| Arc::new(metadata)), ..self }
    }

    /// Whether the callers of both said the same of a task.
    #[must_use]
    pub fn say_the_same(one: &Option<Box<Self>>, other: &Option<Box<Self>>) -> bool {
        if one == other {
            return true;
        }
        let (nothing, unsaid) = (Self::NONE, Metadata::default());
        let (one, other) =
            (one.as_deref().unwrap_or(&nothing), other.as_deref().unwrap_or(&nothing));
        let Self {
            not_before,
            unique_key,
            fairness_key,
            limit_key,
            metadata,
            target,
            fairness_weight,
            retry_of,
            group,
        } = one;
        let (own, others) = (metadata.as_deref(), other.metadata.as_deref());
        *not_before == other.not_before
            && *unique_key == other.unique_key
            && *fairness_key == other.fairness_key
            && *limit_key == other.limit_key
            && *target == other.target
            && *fairness_weight == other.fairness_weight
            && *retry_of == other.retry_of
            && *group == other.group
            && own.unwrap_or(&unsaid).says_the_same(others.unwrap_or(&unsaid))
    }

    /// The partition in which a task called `name` must live, of so many, if it has a limit key or a unique
    /// key: who decides about a key must know all tasks that have it.
    #[must_use]
    pub fn partition(&self, name: &str, partitions: u16) -> Option<PartitionId> {
        if let Some(key) = &self.limit_key {
            return Self::place(key.as_bytes(), partitions);
        }
        let key = self.unique_key.as_ref()?;
        let mut bytes = Vec::with_capacity(name.len() + 1 + key.len());
        bytes.extend_from_slice(name.as_bytes());
        // No name has a zero in it.
        bytes.push(0);
        bytes.extend_from_slice(key.as_bytes());
        Self::place(&bytes, partitions)
    }

    fn place(key: &[u8], partitions: u16) -> Option<PartitionId> {
        let place = xxh3_64(key) % u64::from(partitions.max(1));
        u16::try_from(place).ok().map(PartitionId)
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
        if let (Some(start), Some(end)) = (self.not_before, template.options.expires_at)
            && end <= start
        {
            return Err(InvalidBatch::conflicting(
                "`at` and `expires_at`",
                "it would be given up before it may start; make it expire later",
            ));
        }
        if self.limit_key.is_none() && template.options.is_limited() {
            return Err(InvalidBatch::conflicting(
                "`concurrency`, `rate` or `exclusive` without `limit_key`",
                "say which tasks are limited together: those with the same `limit_key`",
            ));
        }
        let Template { options, filled_in, .. } = template;
        let is_unique = (options.unique_scope.is_some() && !filled_in.unique_scope)
            || (options.unique_policy.is_some() && !filled_in.unique_policy);
        if self.unique_key.is_none() && is_unique {
            return Err(InvalidBatch::conflicting(
                "`unique_until` or `if_exists` without a unique key",
                "say of which tasks there is one at a time: those with the same key",
            ));
        }
        let keys = [
            ("unique", &self.unique_key),
            ("fairness_key", &self.fairness_key),
            ("limit_key", &self.limit_key),
        ];
        for (what, key) in keys {
            if key.as_ref().is_some_and(|key| !(1..=KEY_BYTES_MAX).contains(&key.len())) {
                let (what, range) = (what.to_owned(), format!("1 to {KEY_BYTES_MAX} bytes long"));
                return Err(InvalidBatch::Option { what, range });
            }
        }
        if self.retry_of.is_some() {
            let range = "left out: the cluster says it of tasks that are tried again by hand";
            return Err(InvalidBatch::option("retry_of", range));
        }
        if let Target::Labels(labels) = &self.target
            && let Err(why) = labels.check()
        {
            return Err(InvalidBatch::option("select", format!("labels: {why}")));
        }
        match (self.fairness_weight, &self.fairness_key) {
            (Some(weight), _) if !(1..=WEIGHT_MAX).contains(&weight) => {
                return Err(InvalidBatch::option("fairness_weight", format!("1 to {WEIGHT_MAX}")));
            }
            (Some(_), None) => {
                return Err(InvalidBatch::conflicting(
                    "`fairness_weight` without `fairness_key`",
                    "say on whose behalf the task is",
                ));
            }
            (Some(_), Some(_)) | (None, _) => {}
        }
        self.metadata.as_ref().map_or(Ok(()), |metadata| metadata.check())
    }

    /// Refuses a limit key that limits nothing, once a task's [declaration](Template::completed) has said what it has
    /// to say.
    ///
    /// # Errors
    /// If it does.
    pub fn check_limited(&self, template: &Template) -> Result<(), InvalidBatch> {
        if self.limit_key.is_some() && !template.options.is_limited() {
            return Err(InvalidBatch::conflicting(
                "`limit_key` without a limit",
                "say what it limits: `concurrency`, `rate` or `exclusive`",
            ));
        }
        Ok(())
    }

    /// No fewer bytes than they take on the wire, in the log and in a snapshot, and about what they take
    /// in memory.
    #[must_use]
    pub fn weight(&self) -> usize {
        // A key is also in the index of those.
        let unique = self.unique_key.as_ref().map_or(0, |key| 2 * key.len() + UNIQUE_WEIGHT);
        let fairness = self.fairness_key.as_ref().map_or(0, |key| key.len());
        let limit = self.limit_key.as_ref().map_or(0, |key| 2 * key.len() + UNIQUE_WEIGHT);
        let metadata = self.metadata.as_ref().map_or(0, |metadata| metadata.weight());
        let group = if self.group.is_some() { GROUP_WEIGHT } else { 0 };
        PARTICULARS_WEIGHT + group + unique + fairness + limit + metadata + self.target.weight()
    }
}

// Parts of the log's meaning, as [`limits`](crate::limits) explains.

/// Without the texts in them.
const PARTICULARS_WEIGHT: usize = 128;
/// The places of a task in its group, and a group of one.
pub(crate) const GROUP_WEIGHT: usize = 256;
/// The place of a key among others.
pub(crate) const UNIQUE_WEIGHT: usize = 96;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_that_is_none_is_refused_by_the_name_that_it_is_given_by() {
        let key = || Some("".into());
        for (said, what) in [
            (Particulars { unique_key: key(), ..Particulars::NONE }, "unique"),
            (Particulars { fairness_key: key(), ..Particulars::NONE }, "fairness_key"),
        ] {
            let told = said.check(&Template::new("a")).unwrap_err().to_string();
            assert_eq!(told, format!("{what} must be 1 to 256 bytes long"));
        }
    }
}
