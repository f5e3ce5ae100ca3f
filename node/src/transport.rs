//! Moving bytes between nodes over QUIC.
