//! Scenarios and generated histories of one partition.
