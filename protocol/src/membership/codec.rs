//! How the engine's headers and members are written: each item is one byte of length and then our
//! usual encoding, so that every decode is bounded by what the item says and ends where it ends.
//!
//! The codec is also where suspicion becomes visible. The engine tells of members that go up and
//! down but not of suspects; yet it encodes every change that it accepts, at once, to pass it on.
//! So whatever it encodes is noted in a journal, which the machine reads after each call. Members
//! that it encodes to answer a newcomer are noted too: they say what is known already.

use std::sync::mpsc::Sender;

use bytes::{Buf, BufMut};
use foca::{Header, Member};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::Identity;
use crate::wire::{self, DecodeError};

/// Longest item: its length is one byte. A header, the longest, has three identities of at most 60
/// bytes each.
const ITEM_BYTES_MAX: usize = u8::MAX as usize;

/// Writes and reads items for the engine.
pub(super) struct Codec {
    journal: Sender<Member<Identity>>,
}

impl Codec {
    /// A codec that notes every member that it writes in `journal`.
    pub(super) const fn new(journal: Sender<Member<Identity>>) -> Self {
        Self { journal }
    }
}

impl foca::Codec<Identity> for Codec {
    type Error = CodecError;

    fn encode_header(
        &mut self,
        header: &Header<Identity>,
        buf: impl BufMut,
    ) -> Result<(), CodecError> {
        encode_item(header, buf)
    }

    fn decode_header(&mut self, buf: impl Buf) -> Result<Header<Identity>, CodecError> {
        Ok(decode_item(buf)?)
    }

    fn encode_member(
        &mut self,
        member: &Member<Identity>,
        buf: impl BufMut,
    ) -> Result<(), CodecError> {
        encode_item(member, buf)?;
        // The other end lives as long as the engine; without it nobody would care.
        let _ = self.journal.send(member.clone());
        Ok(())
    }

    fn decode_member(&mut self, buf: impl Buf) -> Result<Member<Identity>, CodecError> {
        Ok(decode_item(buf)?)
    }
}

/// Reads only the header of a datagram.
pub(super) fn decode_header(data: &[u8]) -> Result<Header<Identity>, DecodeError> {
    decode_item(data)
}

/// Why an item could not be written or read.
#[derive(Debug, thiserror::Error)]
pub(super) enum CodecError {
    /// It does not fit what is left of the datagram. The engine stops filling it then.
    #[error("no room for {bytes} more bytes")]
    Full {
        /// What it needs.
        bytes: usize,
    },
    /// It does not hold what it should.
    #[error(transparent)]
    Malformed(#[from] DecodeError),
}

fn encode_item<T: Serialize>(item: &T, mut buf: impl BufMut) -> Result<(), CodecError> {
    let bytes = wire::encode(item);
    let needed = bytes.len() + 1;
    let length = match u8::try_from(bytes.len()) {
        Ok(length) if buf.remaining_mut() >= needed => length,
        Ok(_) | Err(_) => return Err(CodecError::Full { bytes: needed }),
    };
    buf.put_u8(length);
    buf.put_slice(&bytes);
    Ok(())
}

fn decode_item<T: DeserializeOwned>(mut buf: impl Buf) -> Result<T, DecodeError> {
    // The engine promises contiguous bytes, so the chunk is all there is.
    let chunk = buf.chunk();
    let length = chunk.first().map_or(0, |&length| usize::from(length));
    let bytes = chunk.get(1..=length).unwrap_or_default();
    let item = wire::decode(bytes, ITEM_BYTES_MAX)?;
    buf.advance(length + 1);
    Ok(item)
}
