//! Effect tests of the executor's side.

mod turns;
