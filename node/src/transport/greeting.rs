//! Exchanging hellos on the first stream of a connection.
//!
//! The caller opens it. With a node it ends after the answer; with a client it goes on as the
//! stream of the session.

use std::net::SocketAddr;

use quinn::{Connection, ReadExactError, RecvStream, SendStream, VarInt, WriteError};
use rustls::pki_types::CertificateDer;
use umbel_protocol::wire::hello::{Answer, HEAD_BYTES, Head, Hello, HelloError};

use super::close::{Code, DialError};
use crate::tls::Identity;

/// Who is on the other end, as its certificate proves.
pub(super) fn identity(connection: &Connection) -> Option<Identity> {
    let chain = connection.peer_identity()?.downcast::<Vec<CertificateDer<'static>>>().ok()?;
    Identity::of(chain.first()?)
}

/// The caller's side.
pub(super) async fn call(
    connection: &Connection,
    own: &Hello,
) -> Result<(Answer, SendStream, RecvStream), DialError> {
    let addr = connection.remote_address();
    let (mut send, mut recv) =
        connection.open_bi().await.map_err(|error| DialError::lost(addr, error))?;
    send.write_all(&own.encode()).await.map_err(|error| match error {
        WriteError::ConnectionLost(error) => DialError::lost(addr, error),
        WriteError::Stopped(_) | WriteError::ClosedStream | WriteError::ZeroRttRejected => {
            DialError::Lost { addr, why: error.to_string() }
        }
    })?;
    let (head, body) = read(&mut recv).await.map_err(|error| error.calling(addr))?;
    let answer = Answer::decode(head, &body).map_err(|error| DialError::garbled(addr, error))?;
    Ok((answer, send, recv))
}

/// The called side, first half: who calls?
pub(super) async fn listen(
    connection: &Connection,
) -> Result<(Hello, SendStream, RecvStream), GreetingError> {
    let (send, mut recv) = connection.accept_bi().await?;
    let (head, body) = read(&mut recv).await?;
    Ok((Hello::decode(head, &body)?, send, recv))
}

/// The called side, when it will not go on. Returns after the caller has the answer or is gone.
pub(super) async fn refuse(connection: &Connection, mut send: SendStream, answer: &Answer) {
    let Err(refusal) = &answer.verdict else { return };
    if send.write_all(&answer.encode()).await.is_ok() && send.finish().is_ok() {
        // The caller hangs up once it has read; one that does not is hung up on.
        drop(tokio::time::timeout(super::settings::CALL, connection.closed()).await);
    }
    let mut why = refusal.to_string();
    why.truncate(why.floor_char_boundary(CLOSE_REASON_BYTES_MAX));
    connection.close(VarInt::from(Code::Refused), why.as_bytes());
}

async fn read(recv: &mut RecvStream) -> Result<(Head, Vec<u8>), GreetingError> {
    let mut head = [0; HEAD_BYTES];
    recv.read_exact(&mut head).await?;
    let head = Head::decode(head)?;
    let mut body = vec![0; head.body_bytes];
    recv.read_exact(&mut body).await?;
    Ok((head, body))
}

/// A greeting that did not come about.
#[derive(Debug, thiserror::Error)]
pub(super) enum GreetingError {
    #[error("{}", super::close::words(.0))]
    Connection(#[from] quinn::ConnectionError),
    #[error("the stream ended in the middle of the greeting")]
    CutOff,
    #[error(transparent)]
    Malformed(#[from] HelloError),
}

impl From<ReadExactError> for GreetingError {
    fn from(error: ReadExactError) -> Self {
        match error {
            ReadExactError::ReadError(quinn::ReadError::ConnectionLost(error)) => {
                Self::Connection(error)
            }
            ReadExactError::ReadError(_) | ReadExactError::FinishedEarly(_) => Self::CutOff,
        }
    }
}

impl GreetingError {
    fn calling(self, addr: SocketAddr) -> DialError {
        match self {
            Self::Connection(error) => DialError::lost(addr, error),
            Self::CutOff => DialError::Lost { addr, why: self.to_string() },
            Self::Malformed(error) => DialError::garbled(addr, error),
        }
    }
}

/// A reason must fit the last packet of a connection.
const CLOSE_REASON_BYTES_MAX: usize = 512;
