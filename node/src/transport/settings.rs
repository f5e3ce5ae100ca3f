//! How QUIC is set up: sockets, windows, timers. Every number has its reason here.

use std::io;
use std::net::{SocketAddr, UdpSocket};
use std::sync::Arc;
use std::time::Duration;

use quinn::crypto::rustls::{QuicClientConfig, QuicServerConfig};
use quinn::udp::UdpSocketState;
use quinn::{
    ClientConfig, Endpoint, EndpointConfig, IdleTimeout, MtuDiscoveryConfig, ServerConfig,
    TokioRuntime, TransportConfig, VarInt,
};

use super::congestion::CappedCubic;
use crate::tls::{TlsError, TlsFiles};

/// A peer that is silent for so long is gone; gossip notices earlier.
pub(super) const IDLE: Duration = Duration::from_secs(5);
/// Calling an address for somebody who waits for the answer: three round trips over any network,
/// and several losses.
pub(super) const CALL: Duration = Duration::from_secs(4);
/// Calling a peer again and again. Less, because packets to a dead host are sent ever more rarely
/// and it should be noticed soon when it is back.
pub(super) const CALL_AGAIN: Duration = Duration::from_secs(2);
/// A caller that has not said who it is by then is cut off.
pub(super) const GREETING: Duration = Duration::from_secs(5);
/// Connections that have not said who they are; more are not answered until there is room.
pub(super) const UNKNOWN_MAX: usize = 256;

/// Several packets are lost before a peer looks silent.
const KEEP_ALIVE: Duration = Duration::from_secs(1);
/// What the receiver of one stream may have to keep while nobody takes it. The largest frame fits,
/// so one frame never needs two windows.
const STREAM_WINDOW: u32 = 8 * 1024 * 1024;
/// What one connection may have written and not acknowledged: all streams with full windows, so that a snapshot that
/// fills its own never takes the room of consensus.
const SEND_WINDOW: u64 = STREAM_WINDOW as u64 * (UNI_STREAMS as u64 + 1);
/// Two lanes and two snapshots.
const UNI_STREAMS: u32 = 4;
/// The greeting, which is also the stream of a client.
const BIDI_STREAMS: u32 = 1;
/// Gossip that nobody reads is dropped, oldest first.
const DATAGRAM_BUFFER: usize = 256 * 1024;
/// Decides only how soon the first packets are sent again: a network of machines, not a satellite.
const INITIAL_RTT: Duration = Duration::from_millis(30);
/// Few packets on loopback and on networks with jumbo frames; found by probing. QUIC hands ten
/// packets at once to the system, which refuses more than 64 KiB: larger packets would vanish.
const MTU_MAX: u16 = 6_500;
const _: () = assert!(MTU_MAX as u32 * 10 < 65_507);
/// A burst of one round trip at 10 Gbit/s; the system may grant less.
const SOCKET_BUFFER: usize = 4 * 1024 * 1024;

/// Opens an endpoint on `socket`; it takes connections if there is a `server`. Must be called
/// within the runtime that shall drive it.
pub(super) fn endpoint(socket: UdpSocket, server: Option<ServerConfig>) -> io::Result<Endpoint> {
    let buffers = UdpSocketState::new((&socket).into())?;
    // More than the system permits is cut to what it permits: slower, not wrong.
    drop(buffers.set_recv_buffer_size((&socket).into(), SOCKET_BUFFER));
    drop(buffers.set_send_buffer_size((&socket).into(), SOCKET_BUFFER));
    let mut config = EndpointConfig::default();
    config.max_udp_payload_size(MTU_MAX).map_err(io::Error::other)?;
    Endpoint::new(config, server, socket, Arc::new(TokioRuntime))
}

/// A socket for calling only, in the family of `to`.
pub(super) fn calling_socket(to: SocketAddr) -> io::Result<UdpSocket> {
    let any = if to.is_ipv4() { "0.0.0.0:0" } else { "[::]:0" };
    UdpSocket::bind(any)
}

pub(super) fn server(tls: &TlsFiles) -> Result<ServerConfig, TlsError> {
    let crypto = QuicServerConfig::try_from(tls.server()?)
        .map_err(|error| TlsError::Make { why: error.to_string() })?;
    let mut config = ServerConfig::with_crypto(Arc::new(crypto));
    config.transport_config(transport());
    // Nodes do not roam; a client that does connects again.
    config.migration(false);
    config.max_incoming(UNKNOWN_MAX);
    Ok(config)
}

pub(super) fn client(tls: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let crypto = QuicClientConfig::try_from(tls.client()?)
        .map_err(|error| TlsError::Make { why: error.to_string() })?;
    let mut config = ClientConfig::new(Arc::new(crypto));
    config.transport_config(transport());
    Ok(config)
}

fn transport() -> Arc<TransportConfig> {
    let mut mtu = MtuDiscoveryConfig::default();
    mtu.upper_bound(MTU_MAX);
    let idle = IdleTimeout::try_from(IDLE).expect("seconds fit");
    let mut config = TransportConfig::default();
    config
        .max_idle_timeout(Some(idle))
        .keep_alive_interval(Some(KEEP_ALIVE))
        .max_concurrent_bidi_streams(VarInt::from_u32(BIDI_STREAMS))
        .max_concurrent_uni_streams(VarInt::from_u32(UNI_STREAMS))
        .stream_receive_window(VarInt::from_u32(STREAM_WINDOW))
        .send_window(SEND_WINDOW)
        .datagram_receive_buffer_size(Some(DATAGRAM_BUFFER))
        .datagram_send_buffer_size(DATAGRAM_BUFFER)
        .congestion_controller_factory(Arc::new(CappedCubic))
        .initial_rtt(INITIAL_RTT)
        .mtu_discovery_config(Some(mtu));
    Arc::new(config)
}
