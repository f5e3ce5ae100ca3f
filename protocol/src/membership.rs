//! Who is alive: SWIM by `foca`, driven without I/O.
