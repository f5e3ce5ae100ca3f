//! The data directory: whose it is, and which start this is.
