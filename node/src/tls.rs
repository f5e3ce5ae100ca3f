//! Certificates: the cluster's own authority, and what is read from a directory.
