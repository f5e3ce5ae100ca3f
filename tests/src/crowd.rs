//! Membership at size: many machines of the real [`Membership`](umbel_protocol::membership) over a
//! network of datagrams, in virtual time.
//!
//! [`Figures`] says what is measured. Everything follows from one seed. Where traffic is measured the
//! load of each host changes every second and is told with the gossip; where only opinions are
//! measured it is left out, since what is told of members comes first in every datagram, and loads
//! take most of the time of such a test.
//!
//! `cargo test -p umbel-tests --test membership -- --nocapture` prints this table, in half a minute of
//! two cores; `UMBEL_SEED=2` measures with another seed.
//!
//! | hosts | 10 | 100 | 1,000 |
//! |---|---|---|---|
//! | a death is known to all, median of 5 | 2.64 s | 4.68 s | 6.24 s |
//! | the same, worst | 2.68 s | 5.28 s | 6.62 s |
//! | the same, one while all loads change | 2.72 s | 4.44 s | 6.72 s |
//! | datagrams, bytes per host and second, idle | 20.1, 4965 | 20.1, 22394 | 20.6, 22222 |
//! | the same, during a death | 19.6, 4732 | 19.1, 21832 | 19.0, 21265 |
//! | false deaths, 5 % loss for 60 s | 0 | 0 | 0 |
//! | false deaths of others, 5 % stand still for 3 s | 0 | 0 | 0 |
//! | false deaths of those that stood still | 1 of 1 | 0 of 5 | 0 of 50 |
//! | a newcomer is known to all | 0.26 s | 0.62 s | 0.86 s |
//! | a newcomer knows all | 0.26 s | 0.78 s | 20.02 s |
//! | a host that starts again is known to all | 0.12 s | 0.54 s | 0.82 s |
//!
//! A host sends some twenty datagrams a second in a cluster of any size, and whatever happens. From a
//! hundred hosts on each is as long as datagrams may be, filled with loads; in a small cluster there
//! is less to tell. A host that stands still for three seconds is down to a cluster of
//! ten, where suspicion lasts 1.5 s, and not to one of a hundred, where it lasts 3.1 s; it comes back
//! by itself.

pub mod host;
pub mod measure;
pub mod network;

pub use self::measure::Figures;
pub use self::network::Network;
