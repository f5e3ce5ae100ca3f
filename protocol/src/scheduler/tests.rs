//! Effect tests: what happens to one scheduler or a few, and all that they want done then.

mod answering;
mod cancelling;
mod clocks;
mod cutting_off;
mod ending;
mod founding;
mod leasing;
mod limits;
mod losing;
mod naming;
mod network;
mod node;
mod owning;
mod passing;
mod restarting;
mod said;
mod slots;
mod submitting;
mod taking_over;
mod waiting;

use self::network::Network;
use self::node::{DEADLINE, Node, PARTITIONS, SESSION, Step};
use self::said::*;
use super::{Caller, Effect, Event};
