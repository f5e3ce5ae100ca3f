//! The name of a job, which says where the job lives.

use std::borrow::Borrow;
use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use xxhash_rust::xxh3::xxh3_64;

use crate::id::PartitionId;
use crate::limits::NAME_BYTES_MAX;

/// The name of a job, unique in its cluster: 1 to [`NAME_BYTES_MAX`] of `A-Z a-z 0-9 _ - . : /`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct JobName(String);

impl JobName {
    /// The partition in which the job lives, of so many: a function of the name, so that any node
    /// finds it.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "the rest is less than `partitions`")]
    pub fn partition(&self, partitions: u16) -> PartitionId {
        PartitionId((xxh3_64(self.0.as_bytes()) % u64::from(partitions.max(1))) as u16)
    }

    /// As text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for JobName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for JobName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for JobName {
    type Err = InvalidJobName;
    fn from_str(text: &str) -> Result<Self, InvalidJobName> {
        let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
        if text.is_empty() || text.len() > NAME_BYTES_MAX || !text.chars().all(legal) {
            return Err(InvalidJobName { name: text.chars().take(40).collect() });
        }
        Ok(Self(text.to_owned()))
    }
}

impl Serialize for JobName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl<'de> Deserialize<'de> for JobName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

/// The text is not the name of a job.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("no job can be called {name:?}: use 1 to {NAME_BYTES_MAX} of A-Z a-z 0-9 _ - . : /")]
pub struct InvalidJobName {
    /// Its beginning.
    pub name: String,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_are_names() {
        for text in ["backup", "db/nightly:full", "a", "A-Z_0.9"] {
            assert_eq!(text.parse::<JobName>().map(|name| name.to_string()), Ok(text.to_owned()));
        }
        for text in ["", "two words", "ä", &"x".repeat(NAME_BYTES_MAX + 1)] {
            assert!(text.parse::<JobName>().is_err(), "{text}");
        }
        let bytes = crate::wire::encode(&"two words".to_owned());
        assert!(crate::wire::decode::<JobName>(&bytes, 100).is_err());
    }

    #[test]
    fn names_spread_over_partitions_and_stay_there() {
        let names: Vec<JobName> = (0..1_000).map(|n| format!("job-{n}").parse().unwrap()).collect();
        let mut used = [0; 16];
        for name in &names {
            used[usize::from(name.partition(16).0)] += 1;
        }
        assert!(used.iter().all(|count| (30..100).contains(count)), "{used:?}");
        // A job that is found elsewhere by the next version would be lost.
        assert_eq!("backup".parse::<JobName>().unwrap().partition(256), PartitionId(70));
    }
}
