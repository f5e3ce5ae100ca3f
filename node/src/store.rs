//! Keeping what must survive a crash.
