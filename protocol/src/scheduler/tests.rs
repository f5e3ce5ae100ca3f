//! Effect tests of the scheduler.

mod lone_owner;
mod retaining;
