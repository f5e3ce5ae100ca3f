//! Streams and datagrams between hosts, and what goes wrong with them.
//!
//! Two hosts have at most one connection. What is sent on it arrives in order, in two classes of
//! which neither waits for the other; when it breaks, what is under way is lost, but for what its
//! receiver had already taken in and not yet looked at: that may come late, even behind the word that
//! there is a new connection. Both sides are told of that. A message that does not get through dooms
//! its connection: a stream never leaves a gap. Each direction and class is slow at times.

use std::collections::{BTreeMap, BTreeSet};

use rand::RngExt;
use rand::rngs::ChaCha8Rng;

use crate::plan::{MS, Noise, SECOND};

/// Later than that no message comes, unless its receiver stands still.
const LAG_MAX: u64 = 3 * SECOND;
/// For how long it is that slow at most, before it is drawn anew.
pub const LAG_FOR: u64 = 8 * SECOND;
/// So late that elections may not come to an end.
const MUCH_LATER: u64 = 200 * MS;

/// All connections.
#[derive(Debug, Default)]
pub struct Network {
    links: BTreeMap<(usize, usize), Link>,
    /// Ways that nothing passes.
    pub blocked: BTreeSet<(usize, usize)>,
    /// Counts the cuts: what heals one does not heal the next.
    pub cut: u64,
    /// What becomes of single messages.
    pub noise: Noise,
    /// Whether messages are late at times.
    pub lags: bool,
    lagged: bool,
}

#[derive(Debug, Default)]
struct Link {
    up: bool,
    /// Which connection between the two this is.
    epoch: u64,
    /// In which version what goes over it is written.
    version: u16,
    /// When the next try is made.
    retry_at: u64,
    /// Directions in which something was lost: nothing more arrives there.
    doomed: BTreeSet<usize>,
    /// When the last message of each direction and class arrives.
    arrives: BTreeMap<(usize, bool), u64>,
    /// When the last message of each direction arrives that others may overtake.
    unruly: BTreeMap<usize, u64>,
    /// Until when what was sent in each direction and class before the last cut is still looked at, and
    /// whether all of it is looked at only then, as whoever reads it is late.
    grace: BTreeMap<(usize, bool), (u64, bool)>,
    /// How long messages of each direction and class take, and until when.
    lag: BTreeMap<(usize, bool), (u64, u64)>,
}

/// What becomes of a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fate {
    /// It arrives then, if the connection is still that one.
    Arrives {
        /// When.
        at: u64,
        /// On which connection.
        epoch: u64,
        /// Whether it comes before one that was sent earlier.
        overtakes: bool,
    },
    /// It is lost; the connection breaks at that time.
    Dooms {
        /// When.
        at: u64,
        /// Which connection.
        epoch: u64,
    },
    /// It is lost.
    Lost,
}

const fn pair(a: usize, b: usize) -> (usize, usize) {
    if a < b { (a, b) } else { (b, a) }
}

impl Link {
    /// How long messages take now, at the least.
    fn lag_of(&mut self, to: usize, urgent: bool, now: u64, rng: &mut ChaCha8Rng) -> u64 {
        let (lag, until) = self.lag.entry((to, urgent)).or_default();
        if *until <= now {
            *until = now + rng.random_range(SECOND..LAG_FOR);
            *lag = match rng.random_range(0..12) {
                0..8 => MS / 10,
                8..11 => rng.random_range(MS..100 * MS),
                _ => rng.random_range(200 * MS..LAG_MAX),
            };
        }
        *lag
    }
}

impl Network {
    /// Nobody is connected yet.
    #[must_use]
    pub fn new(noise: Noise, lags: bool) -> Self {
        let lagged = lags || noise.has_tails;
        Self { noise, lags, lagged, ..Self::default() }
    }

    /// With how many others a host is connected.
    #[must_use]
    pub fn connected(&self, host: usize) -> usize {
        let is_of = |a: usize, b: usize| a == host || b == host;
        self.links.iter().filter(|((a, b), link)| link.up && is_of(*a, *b)).count()
    }

    /// Whether a datagram may get from one to the other: it travels on their connection.
    #[must_use]
    pub fn carries(&self, from: usize, to: usize) -> bool {
        let link = self.links.get(&pair(from, to));
        !self.blocked.contains(&(from, to))
            && link.is_some_and(|link| link.up && !link.doomed.contains(&to))
    }

    /// The connection that the two have now, if any.
    #[must_use]
    pub fn present(&self, a: usize, b: usize) -> Option<u64> {
        self.links.get(&pair(a, b)).filter(|link| link.up).map(|link| link.epoch)
    }

    /// How long a message takes that waits for no other: `usual` at most, but for a few.
    pub fn delay(&self, usual: u64, rng: &mut ChaCha8Rng) -> u64 {
        let most = match rng.random_range(0..200) {
            0 if self.noise.has_tails => LAG_MAX,
            1..10 if self.noise.has_tails => 500 * MS,
            _ => usual,
        };
        rng.random_range(MS / 10..most)
    }

    /// Whether something may pass both ways.
    #[must_use]
    pub fn passes(&self, a: usize, b: usize) -> bool {
        !self.blocked.contains(&(a, b)) && !self.blocked.contains(&(b, a))
    }

    /// The longest that a message of some connection takes.
    #[must_use]
    pub const fn slowest(&self) -> u64 {
        if self.lagged { 2 * LAG_MAX } else { 25 * MS }
    }

    /// In which version the two write to each other.
    #[must_use]
    pub fn version(&self, a: usize, b: usize) -> u16 {
        self.links.get(&pair(a, b)).map_or(0, |link| link.version)
    }

    /// Whether `epoch` is the connection that the two have.
    #[must_use]
    pub fn is_current(&self, a: usize, b: usize, epoch: u64) -> bool {
        self.links.get(&pair(a, b)).is_some_and(|link| link.up && link.epoch == epoch)
    }

    /// When `to` looks at what came over connection `epoch`, if it does.
    #[must_use]
    pub fn read_at(
        &self,
        from: usize,
        to: usize,
        epoch: u64,
        urgent: bool,
        now: u64,
    ) -> Option<u64> {
        let link = self.links.get(&pair(from, to))?;
        if link.up && link.epoch == epoch {
            return Some(now);
        }
        let is_last = if link.up { epoch + 1 == link.epoch } else { epoch == link.epoch };
        let (until, is_late) = *link.grace.get(&(to, urgent))?;
        (is_last && now <= until).then_some(if is_late { until } else { now })
    }

    /// Nothing gets to `to` any more, though nobody has noticed; which connection that is.
    pub fn silence(&mut self, from: usize, to: usize) -> Option<u64> {
        let link = self.links.get_mut(&pair(from, to)).filter(|link| link.up)?;
        link.doomed.insert(to);
        Some(link.epoch)
    }

    /// Whether the two are connected.
    #[must_use]
    pub fn is_up(&self, a: usize, b: usize) -> bool {
        self.links.get(&pair(a, b)).is_some_and(|link| link.up)
    }

    /// Whether what one of them says now comes to the other much later.
    #[must_use]
    pub fn is_late(&self, a: usize, b: usize, now: u64) -> bool {
        self.links.get(&pair(a, b)).is_some_and(|link| {
            let lags = |(lag, until): &(u64, u64)| *until > now && *lag > MUCH_LATER;
            link.lag.values().any(lags) || link.arrives.values().any(|at| *at > now + MUCH_LATER)
        })
    }

    /// Whether it is time to try to connect the two.
    #[must_use]
    pub fn wants_try(&self, a: usize, b: usize, now: u64) -> bool {
        self.links.get(&pair(a, b)).is_none_or(|link| !link.up && link.retry_at <= now)
    }

    /// The two are connected from now on.
    pub fn connect(&mut self, a: usize, b: usize, version: u16) {
        let link = self.links.entry(pair(a, b)).or_default();
        link.up = true;
        link.epoch += 1;
        link.version = version;
        link.doomed.clear();
        link.arrives.clear();
        link.unruly.clear();
    }

    /// The connection is gone; whether there was one.
    pub fn cut(
        &mut self,
        a: usize,
        b: usize,
        now: u64,
        retry_at: u64,
        rng: &mut ChaCha8Rng,
    ) -> bool {
        let link = self.links.entry(pair(a, b)).or_default();
        link.retry_at = retry_at;
        if link.up {
            for to in [a, b] {
                for urgent in [false, true] {
                    let grace = if rng.random_bool(0.5) { rng.random_range(0..50 * MS) } else { 0 };
                    link.grace.insert((to, urgent), (now + grace, false));
                }
            }
        }
        std::mem::take(&mut link.up)
    }

    /// What came to `to` over the connection that broke is looked at only then, as it reads late, and
    /// comes after what was said over the next one.
    pub fn read_late(&mut self, from: usize, to: usize, until: u64) {
        if let Some(link) = self.links.get_mut(&pair(from, to)) {
            for urgent in [false, true] {
                link.grace.insert((to, urgent), (until, true));
            }
        }
    }

    /// Decides what becomes of a message on a stream.
    pub fn send(
        &mut self,
        from: usize,
        to: usize,
        urgent: bool,
        now: u64,
        rng: &mut ChaCha8Rng,
    ) -> Fate {
        let is_blocked = self.blocked.contains(&(from, to));
        let unruly = self.noise.is_unruly && urgent;
        let late = if unruly { self.delay(20 * MS, rng) } else { 0 };
        let Some(link) = self.links.get_mut(&pair(from, to)).filter(|link| link.up) else {
            return Fate::Lost;
        };
        let epoch = link.epoch;
        if link.doomed.contains(&to) {
            return Fate::Lost;
        }
        if is_blocked {
            link.doomed.insert(to);
            return Fate::Dooms { at: now + rng.random_range(SECOND / 2..3 * SECOND), epoch };
        }
        if unruly {
            if rng.random_ratio(self.noise.consensus_lost, 1_000) {
                return Fate::Lost;
            }
            let at = now + late;
            let latest = link.unruly.entry(to).or_default();
            let overtakes = at < *latest;
            *latest = at.max(*latest);
            return Fate::Arrives { at, epoch, overtakes };
        }
        let lag = if self.lags { link.lag_of(to, urgent, now, rng) } else { MS / 10 };
        let latest = link.arrives.entry((to, urgent)).or_default();
        let at = (now + rng.random_range(lag..lag + 3 * MS)).max(*latest);
        *latest = at;
        Fate::Arrives { at, epoch, overtakes: false }
    }
}
