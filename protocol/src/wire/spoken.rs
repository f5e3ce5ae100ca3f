//! In which version something is written, and read.
//!
//! A cluster is upgraded node by node, so for a while nodes of two versions speak to each other, read
//! each other's states and each other's logs. What has changed from one version to the next is little;
//! the few types that have write themselves in either form. Which form is decided by who reads: a
//! connection by its handshake, and whatever all members read (states, logs, gossip) by the version
//! that the whole cluster speaks, which stands in its [facts](crate::meta).
//!
//! A struct that has grown is described by `grown`, an enum by `grown_enum`.
//!
//! The serializer has no way to hand that down, so it lies in a place of the thread while a value is
//! written or read. Nothing else looks there, and it is as before when that is done.

use std::cell::Cell;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

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

/// What is written and read in version `V` and those after it, and takes no byte before.
pub(crate) struct Since<const V: u16, T>(pub(crate) Option<T>);

impl<const V: u16, T: Serialize> Serialize for Since<V, T> {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match &self.0 {
            Some(value) if spoken() >= V => value.serialize(to),
            Some(_) | None => ().serialize(to),
        }
    }
}

impl<'de, const V: u16, T: Deserialize<'de>> Deserialize<'de> for Since<V, T> {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        if spoken() >= V {
            return T::deserialize(from).map(|value| Self(Some(value)));
        }
        <()>::deserialize(from).map(|()| Self(None))
    }
}

/// Writes and reads one field that came with version 3, at the end of what derives the rest of its form:
/// whoever speaks an earlier version neither gets nor gives it, and what is read without it has the
/// default. For what `grown` has too few places for, and for variants.
pub(crate) mod since_3 {
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    use super::Since;

    pub(crate) fn serialize<T: Serialize, S: Serializer>(
        value: &T,
        to: S,
    ) -> Result<S::Ok, S::Error> {
        Since::<3, _>(Some(value)).serialize(to)
    }

    pub(crate) fn deserialize<'de, T: Deserialize<'de> + Default, D: Deserializer<'de>>(
        from: D,
    ) -> Result<T, D::Error> {
        Since::<3, T>::deserialize(from).map(|Since(value)| value.unwrap_or_default())
    }
}

/// Writes and reads a struct that has grown: fields that came with a later version stand behind those
/// that were there before, and whoever speaks an earlier one neither gets nor gives them. What is read
/// without them has the value that is named here.
macro_rules! grown {
    ($type:ident { $($field:ident),+ $(,)? }
        $(since $version:literal { $first:ident = $without_first:expr
            $(, $late:ident = $without:expr)* $(,)? })+) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                let early = ($(&self.$field,)+);
                (early, $($crate::wire::Since::<$version, _>(
                    Some((&self.$first, $(&self.$late,)*)),
                ),)+).serialize(to)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                let (($($field,)+), $($crate::wire::Since::<$version, _>($first),)+) =
                    serde::Deserialize::deserialize(from)?;
                $(let ($first, $($late,)*) =
                    $first.unwrap_or_else(|| ($without_first, $($without,)*));)+
                Ok(Self { $($field,)+ $($first, $($late,)*)+ })
            }
        }
    };
}
pub(crate) use grown;

/// Writes and reads an enum that has grown. Whoever speaks a version before gets, in place of a variant
/// that came with it, what `$early` makes of it. The type derives its form with `serde(remote = "Self")`.
macro_rules! grown_enum {
    ($type:ident since $version:literal, before that $early:ident) => {
        impl serde::Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
                if $crate::wire::spoken() < $version {
                    return Self::serialize(&self.$early(), to);
                }
                Self::serialize(self, to)
            }
        }

        impl<'de> serde::Deserialize<'de> for $type {
            fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
                Self::deserialize(from)
            }
        }
    };
}
pub(crate) use grown_enum;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_version_holds_for_one_value_only() {
        struct Told;
        impl Serialize for Told {
            fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
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
