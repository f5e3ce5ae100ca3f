//! In which version something is written, and read.
//!
//! A cluster is upgraded node by node, so for a while nodes of two versions speak to each other, read
//! each other's states and each other's logs. What has changed from one version to the next is little;
//! the few types that have write themselves in either form. Which form is decided by who reads: a
//! connection by its handshake, and whatever all members read (states, logs, gossip) by the version
//! that the whole cluster speaks, which stands in its [facts](crate::meta).
//!
//! The serializer has no way to hand that down, so it lies in a place of the thread while a value is
//! written or read. Nothing else looks there, and it is as before when that is done.

use std::cell::Cell;

use serde::Serialize;
use serde::de::DeserializeOwned;

use super::codec::{DecodeError, decode, encode};
use super::hello::Versions;

std::thread_local! {
    static SPOKEN: Cell<u16> = const { Cell::new(Versions::OWN.max) };
}

/// The version in which a value is written or read just now. For those types only that have more
/// than one form.
pub(crate) fn spoken() -> u16 {
    SPOKEN.get()
}

/// The bytes of `value` for whoever speaks `version`.
#[must_use]
pub fn encode_for<T: Serialize>(version: u16, value: &T) -> Vec<u8> {
    let _speaking = Speaking::in_version(version);
    encode(value)
}

/// The value that `bytes` hold, written by somebody who speaks `version`.
///
/// # Errors
/// As [`decode`].
pub fn decode_from<T: DeserializeOwned>(
    version: u16,
    bytes: &[u8],
    limit: usize,
) -> Result<T, DecodeError> {
    let _speaking = Speaking::in_version(version);
    decode(bytes, limit)
}

/// While this lives, things are written in another version.
struct Speaking {
    before: u16,
}

impl Speaking {
    fn in_version(version: u16) -> Self {
        Self { before: SPOKEN.replace(version) }
    }
}

impl Drop for Speaking {
    fn drop(&mut self) {
        SPOKEN.set(self.before);
    }
}

/// Writes and reads a struct that has grown: fields that came with a later version stand at its end, and
/// whoever speaks an earlier one neither gets nor gives them. What is read without them has the value
/// that is named here.
macro_rules! grown {
    ($type:ident { $($field:ident),+ } since $version:literal { $($late:ident = $without:expr),+ }) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let early = ($(&self.$field,)+);
                if $crate::wire::spoken() < $version {
                    return early.serialize(to);
                }
                (early, ($(&self.$late,)+)).serialize(to)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                if $crate::wire::spoken() < $version {
                    let ($($field,)+) = serde::Deserialize::deserialize(from)?;
                    return Ok(Self { $($field,)+ $($late: $without,)+ });
                }
                let (($($field,)+), ($($late,)+)) = serde::Deserialize::deserialize(from)?;
                Ok(Self { $($field,)+ $($late,)+ })
            }
        }
    };
}
pub(crate) use grown;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_holds_for_one_value_only() {
        struct Told;
        impl Serialize for Told {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                spoken().serialize(to)
            }
        }
        let newest = Versions::OWN.max;
        assert_eq!(encode_for(newest + 7, &Told), encode(&(newest + 7)));
        assert_eq!(encode(&Told), encode(&newest));
        // Also if what is read makes no sense.
        assert!(decode_from::<u64>(newest + 7, &[], 8).is_err());
        assert_eq!(spoken(), newest);
    }
}
