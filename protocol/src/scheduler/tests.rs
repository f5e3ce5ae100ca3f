//! Effect tests of the scheduler.
