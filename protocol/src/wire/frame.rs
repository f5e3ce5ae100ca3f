//! Frames: four bytes of length (little endian), then as many bytes.
//!
//! What is inside a frame is the business of whoever sends it. Frames that wait together are joined
//! into few large pieces, and a frame that arrived in one piece is handed on without being copied.
//! Nothing is allocated for a length that a peer merely announced: memory follows arrived bytes.

use bytes::{Buf, BufMut, Bytes, BytesMut};

use crate::limits;

/// The classes of traffic on streams. None waits for another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Lane {
    /// Large single messages, each on a stream of its own and not ordered among each other.
    Bulk,
    /// What consensus groups say to each other: first in line.
    Consensus,
    /// Dispatches, outcomes, requests and replies.
    Work,
}

impl Lane {
    /// The byte that a stream of this lane begins with.
    #[must_use]
    pub const fn first_byte(self) -> u8 {
        match self {
            Self::Bulk => 3,
            Self::Consensus => 1,
            Self::Work => 2,
        }
    }

    /// The lane of a stream that begins with `byte`.
    #[must_use]
    pub fn from_first_byte(byte: u8) -> Option<Self> {
        [Self::Bulk, Self::Consensus, Self::Work].into_iter().find(|l| l.first_byte() == byte)
    }

    /// Most bytes of one frame, or of one bulk message.
    #[must_use]
    pub const fn bytes_max(self) -> usize {
        match self {
            Self::Bulk => limits::SNAPSHOT_BYTES_MAX,
            Self::Consensus | Self::Work => limits::FRAME_BYTES_MAX,
        }
    }
}

/// Bytes before each frame.
pub const HEAD_BYTES: usize = 4;

/// Writes `frames` as one stretch of a stream: small ones copied together, large ones passed on.
#[must_use]
pub fn join(frames: &[Bytes]) -> Vec<Bytes> {
    let mut pieces = Vec::new();
    let mut small = BytesMut::new();
    for frame in frames {
        if small.len() >= PIECE_BYTES {
            pieces.push(small.split().freeze());
        }
        small.put_u32_le(u32::try_from(frame.len()).expect("frames are far below 4 GiB"));
        if frame.len() < COPIED_BYTES_MAX {
            small.extend_from_slice(frame);
        } else {
            pieces.push(small.split().freeze());
            pieces.push(frame.clone());
        }
    }
    if !small.is_empty() {
        pieces.push(small.freeze());
    }
    pieces
}

/// Cuts a stream into frames. Give it all bytes in order with [`push`](Self::push), and after each
/// take frames with [`next`](Self::next) until there is none. After an error it is of no more use:
/// where the next frame starts is unknown.
#[derive(Debug)]
pub struct Decoder {
    bytes_max: usize,
    /// A frame of which only a part has arrived, with its head.
    partial: BytesMut,
    /// What arrived last and has not been looked at.
    chunk: Bytes,
}

impl Decoder {
    /// A decoder at the start of a stream whose frames have at most `bytes_max` bytes.
    #[must_use]
    pub fn new(bytes_max: usize) -> Self {
        Self { bytes_max, partial: BytesMut::new(), chunk: Bytes::new() }
    }

    /// Takes what arrived next.
    ///
    /// # Panics
    /// When frames of the last chunk have not been taken yet.
    pub fn push(&mut self, chunk: Bytes) {
        assert!(self.chunk.is_empty(), "all frames of a chunk are taken before the next is pushed");
        self.chunk = chunk;
    }

    /// The next complete frame, if it has arrived.
    ///
    /// # Errors
    /// When the stream announces a frame that is longer than it may be.
    #[expect(clippy::should_implement_trait, reason = "more may follow after a `None`")]
    pub fn next(&mut self) -> Result<Option<Bytes>, FrameTooLong> {
        if self.partial.is_empty() {
            if let Some(len) = self.announced(&self.chunk)?
                && let Some(end) = HEAD_BYTES.checked_add(len)
                && self.chunk.len() >= end
            {
                self.chunk.advance(HEAD_BYTES);
                return Ok(Some(self.chunk.split_to(len)));
            }
            // What is left is less than a frame.
            self.partial.extend_from_slice(&self.chunk);
            self.chunk = Bytes::new();
            return Ok(None);
        }
        if self.partial.len() < HEAD_BYTES {
            self.fill(HEAD_BYTES);
        }
        let Some(len) = self.announced(&self.partial)? else { return Ok(None) };
        self.fill(HEAD_BYTES + len);
        if self.partial.len() < HEAD_BYTES + len {
            return Ok(None);
        }
        let mut frame = std::mem::take(&mut self.partial).freeze();
        frame.advance(HEAD_BYTES);
        Ok(Some(frame))
    }

    /// Whether the stream may end here.
    #[must_use]
    pub fn is_between_frames(&self) -> bool {
        self.partial.is_empty() && self.chunk.is_empty()
    }

    /// Moves bytes from the chunk to the partial frame until that has `len` of them.
    fn fill(&mut self, len: usize) {
        let missing = len.saturating_sub(self.partial.len()).min(self.chunk.len());
        self.partial.extend_from_slice(&self.chunk.split_to(missing));
    }

    fn announced(&self, bytes: &[u8]) -> Result<Option<usize>, FrameTooLong> {
        let Some(head) = bytes.first_chunk::<HEAD_BYTES>() else { return Ok(None) };
        let len = u32::from_le_bytes(*head) as usize;
        if len > self.bytes_max {
            return Err(FrameTooLong { bytes: len, bytes_max: self.bytes_max });
        }
        Ok(Some(len))
    }
}

/// A peer announced a frame that is longer than it may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("a frame of {bytes} bytes where at most {bytes_max} are allowed")]
pub struct FrameTooLong {
    /// What it announced.
    pub bytes: usize,
    /// What is allowed.
    pub bytes_max: usize,
}

/// Joined pieces are about this long: large enough to make their bookkeeping invisible.
const PIECE_BYTES: usize = 64 * 1024;
/// From this length on, copying a frame costs more than another piece.
const COPIED_BYTES_MAX: usize = 16 * 1024;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn all(decoder: &mut Decoder) -> Vec<Bytes> {
        std::iter::from_fn(|| decoder.next().unwrap()).collect()
    }

    #[test]
    fn lanes_are_known_by_their_first_byte() {
        for lane in [Lane::Bulk, Lane::Consensus, Lane::Work] {
            assert_eq!(Lane::from_first_byte(lane.first_byte()), Some(lane));
        }
        assert_eq!(
            [1, 2, 3].map(Lane::from_first_byte).map(Option::unwrap),
            [Lane::Consensus, Lane::Work, Lane::Bulk]
        );
        assert_eq!(Lane::from_first_byte(0), None);
    }

    #[test]
    fn golden_bytes() {
        let pieces = join(&[Bytes::from_static(b"umbel"), Bytes::new()]);
        assert_eq!(pieces, [Bytes::from_static(b"\x05\0\0\0umbel\0\0\0\0")]);
    }

    #[test]
    fn a_frame_in_one_piece_is_not_copied() {
        let [piece] = &join(&[Bytes::from_static(b"umbel")])[..] else { panic!("one piece") };
        let mut decoder = Decoder::new(5);
        decoder.push(piece.clone());
        let frame = decoder.next().unwrap().unwrap();
        assert_eq!(frame.as_ptr(), piece[HEAD_BYTES..].as_ptr());
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.is_between_frames());
    }

    #[test]
    fn a_frame_over_the_limit_is_refused_before_it_arrives() {
        let mut decoder = Decoder::new(8);
        decoder.push(Bytes::from_static(&[9, 0]));
        assert_eq!(decoder.next(), Ok(None));
        assert!(!decoder.is_between_frames());
        decoder.push(Bytes::from_static(&[0, 0]));
        assert_eq!(decoder.next(), Err(FrameTooLong { bytes: 9, bytes_max: 8 }));
        let mut decoder = Decoder::new(8);
        decoder.push(Bytes::from_static(&[255; 4]));
        assert_eq!(decoder.next().unwrap_err().bytes, u32::MAX as usize);
    }

    #[test]
    fn announcing_much_allocates_nothing() {
        let mut decoder = Decoder::new(1 << 30);
        decoder.push(Bytes::from_static(&[0, 0, 0, 0x20, 1]));
        assert_eq!(decoder.next(), Ok(None));
        assert!(decoder.partial.capacity() < 1024);
    }

    #[test]
    fn large_frames_are_passed_on_and_keep_their_place() {
        let large = Bytes::from(vec![7; COPIED_BYTES_MAX]);
        let frames = [Bytes::from_static(b"a"), large.clone(), Bytes::from_static(b"b")];
        let pieces = join(&frames);
        assert_eq!(pieces.len(), 3);
        assert_eq!(pieces[1].as_ptr(), large.as_ptr());
        let mut decoder = Decoder::new(COPIED_BYTES_MAX);
        let mut seen = Vec::new();
        for piece in pieces {
            decoder.push(piece);
            seen.extend(all(&mut decoder));
        }
        assert_eq!(seen, frames);
    }

    proptest! {
        #[test]
        fn any_cut_of_the_stream_gives_the_same_frames(
            frames in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..20),
            cuts in prop::collection::vec(1_usize..30, 1..20),
        ) {
            let frames: Vec<Bytes> = frames.into_iter().map(Bytes::from).collect();
            let mut stream = Bytes::from(join(&frames).concat());
            let mut decoder = Decoder::new(40);
            let mut seen = Vec::new();
            for cut in cuts.iter().cycle() {
                if stream.is_empty() {
                    break;
                }
                decoder.push(stream.split_to((*cut).min(stream.len())));
                seen.extend(all(&mut decoder));
            }
            prop_assert_eq!(seen, frames);
            prop_assert!(decoder.is_between_frames());
        }
    }
}
