//! One member of a crowd, and who it is.

use std::net::{Ipv4Addr, SocketAddr};

use umbel_protocol::id::{Incarnation, NodeId};
use umbel_protocol::membership::{Config, Identity, Load, Membership};
use umbel_protocol::time::{Tick, Wall};

/// A member.
pub struct Host {
    /// Its machine.
    pub machine: Membership,
    /// It is gone for good, or until it is started again.
    pub stopped: bool,
    /// Until then it does nothing, and what comes for it waits.
    pub paused_until: Tick,
    /// When it is to be woken.
    pub wake_at: Tick,
}

impl Host {
    /// A start of the host at a place.
    #[must_use]
    pub fn start(place: usize, incarnation: u64, seed: u64) -> Self {
        Self {
            machine: Membership::new(Config::default(), identity(place, incarnation), seed),
            stopped: false,
            paused_until: Tick::START,
            wake_at: Tick::NEVER,
        }
    }
}

/// The id of the host at a place: ids of nodes are random, and so these are not in order.
#[must_use]
pub const fn node(place: usize) -> NodeId {
    NodeId((place as u128 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835))
}

/// Who a host is.
///
/// # Panics
/// If there are more hosts than ports.
#[must_use]
pub fn identity(place: usize, incarnation: u64) -> Identity {
    let port = 1_000 + u16::try_from(place).expect("fewer hosts than ports");
    let address = SocketAddr::from((Ipv4Addr::new(10, 0, 0, 1), port));
    let start = ((place as u64) << 8) | incarnation;
    Identity::new(node(place), Incarnation(incarnation), start, address)
}

/// A load that is another one each time.
#[must_use]
pub fn load(turn: u64) -> Load {
    let clock = Wall::from_millis(1_800_000_000_000 + turn * 1_000);
    let free = u16::try_from(turn % 1_000).unwrap_or_default();
    Load { free: [free, 16, 16, 16], backlog: 77, clock, ..Load::default() }
}
