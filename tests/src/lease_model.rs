//! The lease protocol, explored exhaustively within bounds: every order in which messages, crashes,
//! takeovers and mistakes about who is alive can come, as long as there are only so many of them.
//!
//! **What is real.** Executors are the real [`Executor`](umbel_protocol::executor::Executor), copied
//! for every step; the log is the real [`Partition`](umbel_protocol::partition::Partition), to which
//! real commands are applied. All that they say to each other is what goes over the wire.
//!
//! **What is written down once more** is the owner: a whole scheduler, with its groups, its disk and
//! its clocks, cannot be told apart from its like a million times. [`owner`] follows
//! `protocol/src/scheduler` (`lessees`, `takeover`, `dispatch`, `applied`) function by function, under
//! the same names. The simulator runs the real one.
//!
//! **What is left out.** Consensus ([`log`] says what is left of it), whose slots are (an owner leases
//! only where one is free), beats (they spare repeats, and repeat words to stop), and time as far as it only orders repeats: what is repeated may be so
//! whenever nothing is under way, and as often as the bounds say even if something is. Nothing is
//! under way for longer than executors are told that it may be
//! ([`CROSSING_MAX`](umbel_protocol::limits::CROSSING_MAX)). Messages between two machines keep their
//! order while their connection lasts. When it breaks, what is under way is lost, but for some that
//! was received already and is looked at late, before or after anything that comes over the next one.
//! What is relayed may overtake what was said before, and executors know that it was relayed.
//!
//! **What is checked** is in [`properties`], [`runs`] and [`step`]: no token starts twice; whatever
//! runs is leased, or was given up for lost and might live; nothing starts after its executor has
//! said that it never had it, or without a committed lease; what has ended stays as it is; tokens
//! grow; a task is given up for crashes only after three losses that nobody has explained; a slot is
//! free or taken by a run; no success is forgotten while its task goes on. And from every state that
//! was reached, what happens by itself leads to rest: every task has ended, nothing is held, every
//! slot is free.
//!
//! **Why it is not `stateright`**, which does much the same: it promises of `eventually` that it is
//! right only where no path comes back to where it was, and repeats make circles of nearly all of
//! ours; and it would bring a web server into the tree. [`explore`](mod@explore) is small, and looks
//! at the graph.
//!
//! # What was explored
//!
//! `cargo test -p umbel-tests --test lease_model -- --nocapture` prints this, in a quarter of a
//! minute of two cores. Ends are states in which nothing is left to be done.
//!
//! | one task, and | states | steps | depth | ends |
//! |---|---|---|---|---|
//! | nothing | 23 | 30 | 7 | 2 |
//! | a second task | 885 | 1,972 | 14 | 8 |
//! | takeover | 1,281 | 3,041 | 18 | 141 |
//! | two takeovers | 34,410 | 103,071 | 28 | 3,834 |
//! | takeover, early repeat | 8,697 | 25,906 | 21 | 1,014 |
//! | takeover, break | 12,337 | 39,656 | 26 | 1,574 |
//! | takeover, relays | 1,867 | 4,330 | 23 | 385 |
//! | takeover, failure, cancel | 100,957 | 316,060 | 33 | 5,843 |
//! | break, early repeat, relays | 1,436 | 3,671 | 16 | 568 |
//! | crash | 29,324 | 104,980 | 24 | 3,564 |
//! | three crashes of a lessee | 40,143 | 147,059 | 33 | 17,383 |
//! | wrongly down, break | 27,819 | 103,370 | 28 | 3,304 |
//! | wrongly down, early repeat, spare slot | 9,618 | 31,568 | 22 | 814 |
//! | wrongly down, early repeat, relays | 33,410 | 108,083 | 29 | 6,183 |
//! | wrongly down, failure | 12,328 | 35,469 | 33 | 748 |
//!
//! With `UMBEL_MODEL=large` it explores larger bounds as well, and with a part of a name those alone:
//!
//! | one task, and | states | steps | depth | ends |
//! |---|---|---|---|---|
//! | takeover, early repeat, relays twice | 26,668 | 78,677 | 26 | 6,594 |
//! | takeover, break, early repeat | 114,179 | 446,266 | 29 | 16,300 |
//! | crash, early repeat | 179,085 | 731,377 | 26 | 25,539 |
//! | wrongly down, takeover | 231,183 | 824,759 | 42 | 19,762 |
//! | wrongly down three times | 354,319 | 1,332,819 | 47 | 19,744 |
//! | a second task, takeover | 636,460 | 2,424,537 | 34 | 10,612 |
//!
//! A second task with a node that is wrongly down, and a crash with a mistake or a takeover, have more
//! than 400,000 states and were explored as far as that.
//!
//! # That it finds something
//!
//! Each [`Sabotage`] must be found; the shortest ways to what they break have from 3 to 13 steps.
//! Three defects were found that had been there, and are among them now:
//!
//! - Executors were told to forget runs that were given up for lost, so that the success of a run
//!   that was only cut off could be lost with one message (`CloseLost`, 8 steps).
//! - An executor could hear over a new connection that a run is closed before it heard of the
//!   connection, forget the run, and start it once more when a repeated dispatch came late over the
//!   one before (`LateReach`, 10 steps).
//! - A lease that came too late for its executor is taken back untold; while that was on its way into
//!   the log it could be dispatched again, and the run start that was then denied (`KeepTakenBack`, 6
//!   steps).

pub mod actions;
pub mod crash;
pub mod digest;
pub mod explore;
pub mod link;
pub mod log;
pub mod owner;
pub mod properties;
pub mod runs;
pub mod sabotage;
pub mod state;
pub mod step;

pub use self::actions::Action;
pub use self::explore::{Counterexample, Report, explore};
pub use self::sabotage::Sabotage;
pub use self::state::{Bounds, State};

/// The lease protocol within [`Bounds`], perhaps with a known defect.
#[derive(Clone, Copy, Debug, Default)]
pub struct Leases {
    /// How much may happen.
    pub bounds: Bounds,
    /// What is wrong with the parts, if anything.
    pub sabotage: Option<Sabotage>,
}
