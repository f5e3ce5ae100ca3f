//! bincode with every decode bounded.
//!
//! Variable-length integers, little endian, no trailing bytes, and never more read than `limit`.
//! Types on the wire are flat: none contains itself, so nesting cannot exhaust the stack.

use bincode::Options;
use serde::Serialize;
use serde::de::DeserializeOwned;

fn options() -> impl Options + Copy {
    bincode::DefaultOptions::new()
}

/// The bytes of `value`.
///
/// # Panics
/// Never for our own types: all of them can be written and memory is the only sink.
#[must_use]
pub fn encode<T: Serialize>(value: &T) -> Vec<u8> {
    // Growing a buffer a few times is cheaper than measuring the value first.
    let mut bytes = Vec::with_capacity(BYTES_FIRST);
    options()
        .serialize_into(&mut bytes, value)
        .expect("types of ours are always writable to memory");
    bytes
}

/// Room for most of what is not a batch.
const BYTES_FIRST: usize = 512;

/// The value that `bytes` hold, all of them.
///
/// # Errors
/// When they are longer than `limit`, do not hold a `T`, or hold more than one.
pub fn decode<T: DeserializeOwned>(bytes: &[u8], limit: usize) -> Result<T, DecodeError> {
    if bytes.len() > limit {
        return Err(DecodeError::TooLong { bytes: bytes.len(), limit });
    }
    options().with_limit(limit as u64).deserialize(bytes).map_err(|error| DecodeError::Malformed {
        type_name: std::any::type_name::<T>(),
        why: error.to_string(),
    })
}

/// Bytes that do not hold what they should.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DecodeError {
    /// They are not an encoded value of the type.
    #[error("the bytes do not hold a {type_name}: {why}")]
    Malformed {
        /// What was expected.
        type_name: &'static str,
        /// What is wrong.
        why: String,
    },
    /// There are more of them than may be.
    #[error("{bytes} bytes where at most {limit} are allowed")]
    TooLong {
        /// How many there are.
        bytes: usize,
        /// How many may be.
        limit: usize,
    },
}
