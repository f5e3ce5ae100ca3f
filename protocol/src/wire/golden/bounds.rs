//! Bytes that nobody meant: reading them ends, with a value or an error, in memory that the bytes
//! themselves account for.

use proptest::prelude::*;

use super::said::{client_frame, envelope};
use crate::limits::FRAME_BYTES_MAX;
use crate::wire::{ClientFrame, DecodeError, Envelope, decode, encode};

/// Lengths that a liar may announce, as the codec writes them.
fn announced() -> [Vec<u8>; 4] {
    [u64::MAX, 1 << 48, 1 << 40, 1 << 33].map(|length| encode(&length))
}

/// Reads `bytes` as whatever may come in, and checks that what they hold is not more than they are.
fn read(bytes: &[u8]) {
    if let Ok(envelope) = decode::<Envelope>(bytes, FRAME_BYTES_MAX) {
        assert!(encode(&envelope).len() <= bytes.len());
    }
    if let Ok(frame) = decode::<ClientFrame>(bytes, FRAME_BYTES_MAX) {
        assert!(encode(&frame).len() <= bytes.len());
    }
}

#[test]
fn a_length_is_not_believed_before_its_bytes_are_there() {
    // Taken at its word, any of these lengths would end the process.
    for whole in [encode(&envelope()), encode(&client_frame())] {
        for at in 0..whole.len() {
            for length in announced() {
                let mut bytes = whole[..at].to_vec();
                bytes.extend_from_slice(&length);
                read(&bytes);
                bytes.extend_from_slice(&whole[at + 1..]);
                read(&bytes);
            }
        }
    }
}

#[test]
fn no_part_of_a_frame_is_a_frame() {
    let (peer, client) = (encode(&envelope()), encode(&client_frame()));
    for end in 0..peer.len() {
        assert!(decode::<Envelope>(&peer[..end], FRAME_BYTES_MAX).is_err(), "{end}");
    }
    for end in 0..client.len() {
        assert!(decode::<ClientFrame>(&client[..end], FRAME_BYTES_MAX).is_err(), "{end}");
    }
    let longer = [&client[..], &[0]].concat();
    assert!(decode::<ClientFrame>(&longer, FRAME_BYTES_MAX).is_err(), "something follows");
}

#[test]
fn more_than_the_limit_is_not_even_looked_at() {
    let bytes = encode(&client_frame());
    let limit = bytes.len() - 1;
    let error = DecodeError::TooLong { bytes: bytes.len(), limit };
    assert_eq!(decode::<ClientFrame>(&bytes, limit), Err(error));
    assert!(decode::<ClientFrame>(&bytes, bytes.len()).is_ok());
}

proptest! {
    #[test]
    fn noise_is_read_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..512)) {
        read(&bytes);
    }

    #[test]
    fn small_numbers_are_read_without_harm(bytes in prop::collection::vec(0_u8..12, 0..512)) {
        // Few values: many of them are the numbers of variants, so reading gets far.
        read(&bytes);
    }

    #[test]
    fn damage_is_read_without_harm(
        hits in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
    ) {
        for mut bytes in [encode(&envelope()), encode(&client_frame())] {
            for (at, byte) in &hits {
                let at = at.index(bytes.len());
                bytes[at] = *byte;
            }
            read(&bytes);
        }
    }
}
