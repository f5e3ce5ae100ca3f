//! The id of a task, which says where the task lives.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use uuid::Uuid;

use super::PartitionId;
use crate::time::Wall;

const VERSION_7: u128 = 7;
const VERSION_8: u128 = 8;
const VARIANT: u128 = 0b10;
const RAND_B_MASK: u128 = (1 << 62) - 1;
const PARTITION_MASK: u128 = (1 << 10) - 1;

/// The id of a task: a UUIDv7 (RFC 9562) whose twelve `rand_a` bits carry the partition in their
/// low ten; the two spare bits are zero. It is also the idempotency key of the submission.
///
/// ```text
/// |  unix milliseconds, 48  | version 4 | 00 | partition 10 | variant 2 |    random, 62    |
/// ```
///
/// Ids that are derived from a key instead of drawn at random have version 8.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TaskId(u128);

impl TaskId {
    /// No id comes before it.
    pub(crate) const MIN: Self = Self(0);
    /// No id comes after it.
    pub(crate) const MAX: Self = Self(u128::MAX);

    /// An id made at `at` in `partition`; of `random` the low 62 bits are used.
    #[must_use]
    pub const fn new(at: Wall, partition: PartitionId, random: u64) -> Self {
        let millis = (at.as_millis() as u128) & ((1 << 48) - 1);
        Self(
            (millis << 80)
                | (VERSION_7 << 76)
                | ((partition.0 as u128 & PARTITION_MASK) << 64)
                | (VARIANT << 62)
                | (random as u128 & RAND_B_MASK),
        )
    }

    /// The id that follows from `hash`, of which the low 62 bits are used, for something that is to
    /// happen at `at`: whoever makes it makes the same.
    #[must_use]
    pub const fn derived(at: Wall, partition: PartitionId, hash: u64) -> Self {
        Self((Self::new(at, partition, hash).0 & !(0xf << 76)) | (VERSION_8 << 76))
    }

    /// Whether it follows from something, instead of being drawn at random.
    #[must_use]
    pub const fn is_derived(self) -> bool {
        (self.0 >> 76) & 0xf == VERSION_8
    }

    /// The id with these bits, if they are those of a task id.
    ///
    /// # Errors
    /// When version, variant or the spare bits are not those of a task id.
    pub const fn from_bits(bits: u128) -> Result<Self, InvalidTaskId> {
        let version = (bits >> 76) & 0xf;
        let spare = (bits >> 74) & 0b11;
        let variant = (bits >> 62) & 0b11;
        if (version != VERSION_7 && version != VERSION_8) || variant != VARIANT || spare != 0 {
            return Err(InvalidTaskId);
        }
        Ok(Self(bits))
    }

    /// All its bits.
    #[must_use]
    pub const fn bits(self) -> u128 {
        self.0
    }

    /// The partition in which the task lives.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "masked to ten bits")]
    pub const fn partition(self) -> PartitionId {
        PartitionId(((self.0 >> 64) & PARTITION_MASK) as u16)
    }

    /// When the id was made, by the clock of its maker.
    #[must_use]
    #[allow(clippy::cast_possible_truncation, reason = "48 bits")]
    pub const fn made_at(self) -> Wall {
        Wall::from_millis((self.0 >> 80) as u64)
    }
}

impl fmt::Display for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Uuid::from_u128(self.0).fmt(f)
    }
}

impl fmt::Debug for TaskId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl FromStr for TaskId {
    type Err = InvalidTaskId;
    fn from_str(text: &str) -> Result<Self, InvalidTaskId> {
        Self::from_bits(Uuid::try_parse(text).map_err(|_| InvalidTaskId)?.as_u128())
    }
}

/// People and their formats get the text, machines the bits.
impl Serialize for TaskId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u128(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for TaskId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
            text.parse().map_err(de::Error::custom)
        } else {
            Self::from_bits(u128::deserialize(deserializer)?).map_err(de::Error::custom)
        }
    }
}

/// The text or number is not the id of a task.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("not a task id: expected a UUID of version 7 as `umbel submit` prints it")]
pub struct InvalidTaskId;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn carries_partition_and_time_and_survives_printing() {
        let id = TaskId::new(Wall::from_millis(1_700_000_000_123), PartitionId(1023), u64::MAX);
        assert_eq!(id.partition(), PartitionId(1023));
        assert_eq!(id.made_at(), Wall::from_millis(1_700_000_000_123));
        assert_eq!(id.to_string().parse::<TaskId>(), Ok(id));
        let uuid = Uuid::from_u128(id.bits());
        assert_eq!(uuid.get_version_num(), 7);
        assert_eq!(uuid.get_variant(), uuid::Variant::RFC4122);
    }

    #[test]
    fn a_derived_one_says_so_and_is_the_same_each_time() {
        let id = || TaskId::derived(Wall::from_millis(5), PartitionId(7), 9);
        assert_eq!(
            (id(), id().partition(), id().made_at()),
            (id(), PartitionId(7), Wall::from_millis(5))
        );
        assert!(
            id().is_derived() && !TaskId::new(Wall::from_millis(5), PartitionId(7), 9).is_derived()
        );
        assert_eq!(TaskId::from_bits(id().bits()), Ok(id()));
    }

    #[test]
    fn travels_as_bits_and_never_as_others() {
        let id = TaskId::new(Wall::from_millis(5), PartitionId(7), 9);
        let bytes = crate::wire::encode(&id);
        assert_eq!(bytes, crate::wire::encode(&id.bits()));
        assert_eq!(crate::wire::decode::<TaskId>(&bytes, 32), Ok(id));
        assert!(crate::wire::decode::<TaskId>(&crate::wire::encode(&1_u128), 32).is_err());
    }

    #[test]
    fn refuses_other_uuids() {
        for text in [
            "not-an-id",
            "00000000-0000-0000-0000-000000000000",
            "f47ac10b-58cc-4372-a567-0e02b2c3d479",
            "018bcfe5-687b-7fff-8000-000000000000",
        ] {
            assert_eq!(text.parse::<TaskId>(), Err(InvalidTaskId), "{text}");
        }
    }
}
