//! What goes over the network, and how it is written as bytes.

mod codec;
pub mod frame;
pub mod hello;

pub use self::codec::{DecodeError, decode, encode};
