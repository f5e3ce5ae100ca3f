//! Frames onto and off QUIC streams.

use std::sync::Arc;

use bytes::Bytes;
use quinn::{Connection, ReadError, RecvStream, SendStream};
use umbel_protocol::wire::frame::{self, Decoder, FrameTooLong};

use super::outbox::{Outbox, costs};

/// Writes what `outbox` gathers until it is closed and empty, or the connection ends.
pub(super) async fn write_frames(
    connection: Connection,
    mut send: SendStream,
    outbox: Arc<Outbox>,
) {
    loop {
        let frames = tokio::select! {
            biased;
            _ = connection.closed() => return,
            frames = outbox.take() => frames,
        };
        let Some(frames) = frames else { break };
        let bytes = costs(&frames);
        let mut pieces = frame::join(&frames);
        drop(frames);
        if send.write_all_chunks(&mut pieces).await.is_err() {
            return;
        }
        outbox.written(bytes);
    }
    // An error means that the connection is gone, and then there is nobody to tell.
    drop(send.finish());
    drop(send.stopped().await);
}

/// Reads frames off a stream, several pieces at a time.
pub(super) struct FrameReader {
    recv: RecvStream,
    decoder: Decoder,
    chunks: [Bytes; CHUNKS],
    at: usize,
    filled: usize,
}

impl FrameReader {
    pub(super) fn new(recv: RecvStream, bytes_max: usize) -> Self {
        let chunks = [const { Bytes::new() }; CHUNKS];
        Self { recv, decoder: Decoder::new(bytes_max), chunks, at: 0, filled: 0 }
    }

    /// The next frame; `None` when the stream has ended between two. Cancelling loses nothing.
    pub(super) async fn next(&mut self) -> Result<Option<Bytes>, StreamError> {
        loop {
            if let Some(frame) = self.decoder.next()? {
                return Ok(Some(frame));
            }
            if self.at < self.filled {
                self.decoder.push(std::mem::take(&mut self.chunks[self.at]));
                self.at += 1;
                continue;
            }
            match self.recv.read_chunks(&mut self.chunks).await? {
                Some(filled) => (self.at, self.filled) = (0, filled),
                None if self.decoder.is_between_frames() => return Ok(None),
                None => return Err(StreamError::CutOff),
            }
        }
    }
}

/// A stream that gives no more frames.
#[derive(Debug, thiserror::Error)]
pub(super) enum StreamError {
    #[error("a stream ended in the middle of a frame")]
    CutOff,
    #[error(transparent)]
    Lost(#[from] ReadError),
    #[error(transparent)]
    TooLong(#[from] FrameTooLong),
}

/// Pieces taken off a stream at once: as many as packets arrive in one burst.
const CHUNKS: usize = 32;
