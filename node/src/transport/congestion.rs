//! Cubic with a ceiling: how much of one connection may be on its way at a time.
//!
//! Lanes are served by priority when packets are made; what is on its way already cannot be
//! overtaken. Without loss, and loopback has none, Cubic would put whole snapshots on their way and
//! a vote would wait behind them in the buffers of the system. The ceiling keeps that wait short,
//! and several peers at once from overflowing those buffers.

use std::any::Any;
use std::sync::Arc;
use std::time::Instant;

use quinn::congestion::{Controller, ControllerFactory, ControllerMetrics, CubicConfig};
use quinn_proto::RttEstimator;

/// Makes controllers with a ceiling.
pub(super) struct CappedCubic;

impl ControllerFactory for CappedCubic {
    fn build(self: Arc<Self>, now: Instant, mtu: u16) -> Box<dyn Controller> {
        let mut cubic = CubicConfig::default();
        cubic.initial_window(INITIAL);
        Box::new(Capped(Arc::new(cubic).build(now, mtu)))
    }
}

struct Capped(Box<dyn Controller>);

impl Controller for Capped {
    fn on_sent(&mut self, now: Instant, bytes: u64, last_packet_number: u64) {
        self.0.on_sent(now, bytes, last_packet_number);
    }

    fn on_ack(
        &mut self,
        now: Instant,
        sent: Instant,
        bytes: u64,
        app_limited: bool,
        rtt: &RttEstimator,
    ) {
        // Held back by the ceiling is not held back by the network: growing on would only mean
        // shrinking for longer after a loss.
        let held_back = app_limited || self.0.window() >= CEILING;
        self.0.on_ack(now, sent, bytes, held_back, rtt);
    }

    fn on_end_acks(
        &mut self,
        now: Instant,
        in_flight: u64,
        app_limited: bool,
        largest_packet_num_acked: Option<u64>,
    ) {
        self.0.on_end_acks(now, in_flight, app_limited, largest_packet_num_acked);
    }

    fn on_congestion_event(
        &mut self,
        now: Instant,
        sent: Instant,
        is_persistent_congestion: bool,
        lost_bytes: u64,
    ) {
        self.0.on_congestion_event(now, sent, is_persistent_congestion, lost_bytes);
    }

    fn on_mtu_update(&mut self, new_mtu: u16) {
        self.0.on_mtu_update(new_mtu);
    }

    fn window(&self) -> u64 {
        self.0.window().min(CEILING)
    }

    fn metrics(&self) -> ControllerMetrics {
        self.0.metrics()
    }

    fn clone_box(&self) -> Box<dyn Controller> {
        Box::new(Self(self.0.clone_box()))
    }

    fn initial_window(&self) -> u64 {
        self.0.initial_window()
    }

    fn into_any(self: Box<Self>) -> Box<dyn Any> {
        self
    }
}

/// What one round trip of a millisecond takes at 8 Gbit/s, and a few milliseconds of a busy core.
const CEILING: u64 = 1024 * 1024;
/// Clusters live in one network: starting at ten packets would cost every new connection round
/// trips, and a lost packet corrects us.
const INITIAL: u64 = CEILING / 2;
