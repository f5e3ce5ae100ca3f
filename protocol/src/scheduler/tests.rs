//! Effect tests of the scheduler.

mod beating;
mod lone_owner;
mod retaining;
