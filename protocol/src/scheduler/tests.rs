//! Effect tests of the scheduler.

mod beating;
mod entries;
mod loads;
mod lone_owner;
mod noise;
mod retaining;
mod sweeping;
mod weighing;
