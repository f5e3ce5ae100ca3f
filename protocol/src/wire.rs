//! What goes over the network, and how it is written as bytes.

mod codec;
pub mod frame;
#[cfg(test)]
mod golden;
pub mod hello;
mod peer;
mod request;
mod spoken;

pub use self::codec::{DecodeError, decode, encode};
pub use self::peer::{
    AskPermits, Declaration, Dispatch, Envelope, ExecutorSays, OwnerSays, PeerMessage, Permits,
    Profile, Queue, Relayed, Said,
};
pub use self::request::{
    Answer, Ask, Claim, Claims, ClientFrame, Drain, Ending, MemberStatus, QueueLine, Reloaded,
    Request, RequestError, ServerFrame, Share, Status, TaskGroupPart, Told, Welcome,
};
pub(crate) use self::spoken::{Since, grown, grown_enum, since_3, spoken};
pub use self::spoken::{decode_from, encode_for};
