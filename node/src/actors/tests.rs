//! Each actor is made to panic, and comes back.
