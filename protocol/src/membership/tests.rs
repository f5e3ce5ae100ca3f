//! Whole networks of machines in virtual time, and the bytes that they exchange.

// What was measured is printed, for whoever wants the figures rather than the bounds.
#![allow(clippy::print_stdout)]

mod large;
mod life;
mod network;
mod noise;
mod telling;
