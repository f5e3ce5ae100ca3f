//! Effect tests: what happens to one scheduler or a few, and all that they want done then.

mod answering;
mod beating;
mod cancelling;
mod clocks;
mod cutting_off;
mod ending;
mod entries;
mod founding;
mod leasing;
mod leaving;
mod limits;
mod loads;
mod lone_owner;
mod losing;
mod naming;
mod network;
mod node;
mod noise;
mod owning;
mod passing;
mod remembering;
mod restarting;
mod retaining;
mod said;
mod slots;
mod submitting;
mod surveying;
mod sweeping;
mod taking_over;
mod unheard;
mod waiting;
mod weighing;

use self::network::Network;
use self::node::{DEADLINE, Node, PARTITIONS, SESSION, Step};
use self::said::*;
use super::{Caller, Effect, Event};
