//! One connection to one node: requests are numbered, answers find their askers by the number.

use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard};

use bytes::Bytes;
use tokio::sync::mpsc;
use umbel_protocol::limits::FRAME_BYTES_MAX;
use umbel_protocol::time::Span;
use umbel_protocol::wire::{
    Answer, Ask, ClientFrame, Request, RequestError, ServerFrame, decode_from, encode_for,
};

use super::local::ANSWERS_MAX;
use crate::transport::dial::ClientSender;

/// The number of questions about the cluster itself, which nobody in particular asks.
const WELCOME: u64 = 0;

/// One connection to one node.
pub(super) struct Session {
    address: SocketAddr,
    /// In which frames are written and read.
    version: u16,
    sender: ClientSender,
    books: Mutex<Books>,
}

struct Books {
    last: u64,
    /// Who waits for which number.
    asked: HashMap<u64, mpsc::Sender<Answer>>,
    lost: bool,
}

/// A request on the books of a session; dropping it takes it off.
pub(super) struct Ticket {
    session: Arc<Session>,
    id: u64,
}

impl Session {
    pub(super) fn new(address: SocketAddr, version: u16, sender: ClientSender) -> Arc<Self> {
        let books = Books { last: WELCOME, asked: HashMap::new(), lost: false };
        Arc::new(Self { address, version, sender, books: Mutex::new(books) })
    }

    /// Where the node listens.
    pub(super) const fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sends a request; nothing if the session is lost.
    pub(super) async fn ask(
        self: &Arc<Self>,
        request: Request,
    ) -> Option<(mpsc::Receiver<Answer>, Ticket)> {
        let (answers, receiver) = mpsc::channel(ANSWERS_MAX);
        if request.ask.needs_version() > self.version {
            // It would be asked for less than is wanted.
            let _ = answers.try_send(Answer::Failed(RequestError::NotUpgraded));
            return Some((receiver, Ticket { session: Arc::clone(self), id: WELCOME }));
        }
        let ticket = {
            let mut books = self.books();
            if books.lost {
                return None;
            }
            books.last += 1;
            let id = books.last;
            books.asked.insert(id, answers);
            Ticket { session: Arc::clone(self), id }
        };
        let frame = ClientFrame { id: ticket.id, request };
        let frame = Bytes::from(encode_for(self.version, &frame));
        match self.sender.try_send(frame.clone()) {
            Ok(()) => {}
            // Full, or lost: waiting finds out which.
            Err(_) => self.sender.send(frame).await.ok()?,
        }
        Some((receiver, ticket))
    }

    /// Asks where to submit. If that cannot be sent now it is not important.
    pub(super) fn ask_welcome(&self) {
        let request = Request { deadline: Span::from_millis(2_000), ask: Ask::Welcome };
        let frame = encode_for(self.version, &ClientFrame { id: WELCOME, request });
        let _ = self.sender.try_send(frame.into());
    }

    /// Hands an answer to whoever asked; returns one that nobody in particular asked for.
    pub(super) fn hear(&self, frame: &[u8]) -> Result<Option<Answer>, String> {
        let ServerFrame { id, answer } = decode_from(self.version, frame, FRAME_BYTES_MAX)
            .map_err(|error| format!("the node sent what cannot be read: {error}"))?;
        if id == WELCOME {
            return Ok(Some(answer));
        }
        let books = self.books();
        if let Some(asker) = books.asked.get(&id) {
            // Nobody is waiting any more, or the node says more than it should.
            drop(asker.try_send(answer));
        }
        Ok(None)
    }

    /// A number that grows as long as the node's host is heard of.
    pub(super) fn life(&self) -> u64 {
        self.sender.packets_received()
    }

    /// Tells all askers that no answers will come.
    pub(super) fn lose(&self) {
        let mut books = self.books();
        books.lost = true;
        books.asked.clear();
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().expect("nothing panics while it holds this lock")
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.session.books().asked.remove(&self.id);
    }
}
