//! Reading `cluster.toml`.
