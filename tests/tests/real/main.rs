//! Real clusters of processes, and what is done to them: one file a family of faults.

mod addresses;
mod certificates;
mod clocks;
mod cuts;
mod damage;
mod kills;
mod pauses;
mod weather;
mod work;
