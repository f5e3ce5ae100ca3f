//! What tasks do when they run: how long, and how they end, told by their arguments.

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use umbel_protocol::id::{PartitionId, TaskId, Token};
use umbel_protocol::limits::LOST_AFTER_MIN;
use umbel_protocol::task::{
    Failure, FailureKind, Options, Outcome, Template, UniquePolicy, UniqueScope,
};
use umbel_protocol::time::{Span, Wall};
use umbel_protocol::wire::{Declaration, Profile, Queue};
use xxhash_rust::xxh3::xxh3_64;

use crate::plan::{MS, SECOND, Work};

/// No run takes longer.
pub const LONGEST: u64 = 300 * SECOND;

/// What one task will do, and the mark that its runs are recognised by, whatever its id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Script {
    /// Unique in the world.
    pub mark: u64,
    /// How long each run takes.
    pub takes: u64,
    /// How many runs fail before one succeeds.
    pub failures: u32,
    /// Whether a failure cannot be tried again.
    pub permanent: bool,
    /// Whether a run kills the process that it is in.
    pub kills: bool,
    /// How it says what it says.
    pub manner: Manner,
}

/// How a task says what it says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Manner {
    /// As most.
    Plain,
    /// When it fails it says how long to wait before the next try.
    Defers,
    /// In place of a success it says that there is nothing to be done.
    Drops,
    /// Every other run says that it is not time yet.
    Snoozes,
}

impl Manner {
    const ALL: [Self; 4] = [Self::Plain, Self::Defers, Self::Drops, Self::Snoozes];

    fn number(self) -> usize {
        Self::ALL.iter().position(|other| *other == self).unwrap_or_default()
    }
}

/// How long a task waits that says so itself.
pub const OWN_PAUSE: Span = Span::from_millis(1_700);

impl Script {
    /// Draws what a task does.
    pub fn draw(mark: u64, work: Work, rng: &mut ChaCha8Rng) -> Self {
        let takes = match (work, rng.random_range(0..20)) {
            (Work::Long, 0) => rng.random_range(120 * SECOND..LONGEST),
            (Work::Overload, _) => rng.random_range(MS..400 * MS),
            (Work::Ruled, _) => rng.random_range(MS..900 * MS),
            (Work::Alone, 0..6) => rng.random_range(2 * SECOND..8 * SECOND),
            (_, 0) => rng.random_range(5 * SECOND..15 * SECOND),
            (_, 1..4) => rng.random_range(SECOND / 2..3 * SECOND),
            _ => rng.random_range(MS..200 * MS),
        };
        let failures = if rng.random_bool(0.2) { rng.random_range(1..5) } else { 0 };
        let permanent = rng.random_bool(0.03);
        // The first few, as each takes some innocent ones with it.
        let kills = work == Work::Poison && mark.is_multiple_of(17) && mark <= 17 * 5;
        if kills {
            return Self { takes: takes.min(SECOND), kills, ..Self::plain(mark) };
        }
        let manner = match rng.random_range(0..20) {
            0..2 => Manner::Defers,
            2 => Manner::Drops,
            3 => Manner::Snoozes,
            _ => Manner::Plain,
        };
        Self { mark, takes, failures, permanent, kills, manner }
    }

    /// One that succeeds at once.
    #[must_use]
    pub const fn plain(mark: u64) -> Self {
        Self { mark, takes: 0, failures: 0, permanent: false, kills: false, manner: Manner::Plain }
    }

    /// Its arguments.
    #[must_use]
    pub fn to_args(&self) -> Bytes {
        let Self { mark, takes, failures, permanent, kills, manner } = self;
        format!("[{mark},{takes},{failures},{permanent},{kills},{}]", manner.number()).into()
    }

    /// What `args` say, if they are of ours.
    #[must_use]
    pub fn of(args: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(args).ok()?;
        let mut parts = text.strip_prefix('[')?.strip_suffix(']')?.split(',');
        Some(Self {
            mark: parts.next()?.parse().ok()?,
            takes: parts.next()?.parse().ok()?,
            failures: parts.next()?.parse().ok()?,
            permanent: parts.next()?.parse().ok()?,
            kills: parts.next()?.parse().ok()?,
            manner: *Manner::ALL.get(parts.next()?.parse::<usize>().ok()?)?,
        })
    }

    /// What the task `id` with these arguments does. All tasks of a job have the same ones, and so have those that
    /// were begun anew, so what they are recognised by follows from their ids; those that tell what has happened to
    /// a job do nothing.
    #[must_use]
    pub fn of_task(id: TaskId, args: &[u8]) -> Option<Self> {
        if !is_known_by_id(id) {
            return Self::of(args);
        }
        let telling = Self { takes: 5 * MS, ..Self::plain(0) };
        let script = if args.starts_with(b"{\"job\":") { telling } else { Self::of(args)? };
        Some(Self { mark: mark_by_id(id), ..script })
    }

    /// How the run `token` ends, which is attempt `attempt`.
    #[must_use]
    pub fn outcome(&self, attempt: u16, token: Token) -> Outcome {
        let mark = Bytes::from(self.mark.to_string());
        let failure = |kind| Failure::new(kind, "as scripted").with_detail(mark.clone());
        if self.manner == Manner::Snoozes && xxh3_64(&token.index.to_le_bytes()).is_multiple_of(2) {
            return Outcome::Snoozed { pause: OWN_PAUSE };
        }
        if self.permanent {
            return Outcome::Failed(failure(FailureKind::Permanent));
        }
        if u32::from(attempt) <= self.failures {
            let failure = failure(FailureKind::Error);
            return match self.manner {
                Manner::Defers => Outcome::Deferred { failure, pause: OWN_PAUSE },
                Manner::Plain | Manner::Drops | Manner::Snoozes => Outcome::Failed(failure),
            };
        }
        match self.manner {
            Manner::Drops => Outcome::Dropped(failure(FailureKind::Dropped)),
            Manner::Plain | Manner::Defers | Manner::Snoozes => Outcome::Succeeded(mark),
        }
    }
}

/// Ids of tasks that clients begin anew are odd, of those that they submit even.
const ANEW: u64 = 1;

/// The id of a task that is begun anew.
#[must_use]
pub const fn id_of_anew(at: Wall, partition: PartitionId, random: u64) -> TaskId {
    TaskId::new(at, partition, random | ANEW)
}

/// The id of a task that is submitted.
#[must_use]
pub const fn id_of_new(at: Wall, partition: PartitionId, random: u64) -> TaskId {
    TaskId::new(at, partition, random & !ANEW)
}

/// Whether a task has its arguments from another, as it is of a job or was begun anew.
#[must_use]
pub const fn is_known_by_id(id: TaskId) -> bool {
    id.is_derived() || id.bits() & ANEW as u128 != 0
}

/// What the runs of a task are recognised by that has its arguments from another. Clients count theirs from one.
#[must_use]
pub fn mark_by_id(id: TaskId) -> u64 {
    xxh3_64(&id.bits().to_le_bytes()) | (1 << 63)
}

const NAMES: [&str; 3] = ["mail", "rare", "resize"];
/// The queues of all tasks; the first has slots of its own.
pub const QUEUES: [&str; 2] = ["bulk", "default"];

/// Draws a template; `now` is the client's clock.
pub fn draw_template(now: Wall, work: Work, rng: &mut ChaCha8Rng) -> Template {
    let mut template = Template::new(NAMES[rng.random_range(0..NAMES.len())]);
    let queue = if work == Work::Hot { 0 } else { rng.random_range(0..QUEUES.len()) };
    template.queue = QUEUES[queue].to_owned();
    let delay = if rng.random_bool(0.2) { rng.random_range(1..8_000) } else { 0 };
    let expires = rng.random_bool(0.05);
    template.options = Options {
        priority: Some(rng.random_range(0..3)),
        delay: Span::from_millis(delay),
        attempts_max: Some(rng.random_range(1..5)),
        backoff_first: Some(Span::from_millis(rng.random_range(10..500))),
        backoff_max: Some(Span::from_millis(2_000)),
        expires_at: expires.then(|| now + Span::from_millis(rng.random_range(1_000..20_000))),
        ..Options::default()
    };
    if work == Work::Alone && rng.random_bool(0.4) {
        make_exclusive(&mut template.options);
    } else {
        draw_rarer(&mut template.options, rng);
    }
    template
}

/// What few tasks ask for.
fn draw_rarer(options: &mut Options, rng: &mut ChaCha8Rng) {
    let kind = rng.random_range(0..20);
    let mut millis = |from, to| Span::from_millis(rng.random_range(from..to));
    match kind {
        0 => options.expires = Some(millis(1_000, 20_000)),
        1 => options.deadline = Some(millis(2_000, 30_000)),
        2 => {
            (options.backoff_first, options.backoff_max) = (None, None);
            options.backoff_list = Some(vec![millis(0, 50), Span::from_millis(900)]);
        }
        3 => options.crashes_max = Some(rng.random_range(1..6)),
        4 => {
            options.at_most_once = Some(true);
            (options.attempts_max, options.backoff_first, options.backoff_max) = (None, None, None);
        }
        5..7 => {
            options.unique_scope = Some(match millis(0, 3).as_millis() {
                0 => UniqueScope::UntilStarted,
                1 => UniqueScope::UntilFinished,
                _ => UniqueScope::For(Span::from_millis(4_000)),
            });
            options.unique_policy = Some(match millis(0, 3).as_millis() {
                0 => UniquePolicy::Existing,
                1 => UniquePolicy::Replace,
                _ => UniquePolicy::Refuse,
            });
        }
        7 => options.concurrency = Some(rng.random_range(1..4)),
        // No more than a tenth of a second has room for: one after the other.
        8 => options.rate = "10/s".parse().ok(),
        9 => make_exclusive(options),
        10..12 => options.retention = Some(millis(1_000, 90_000)),
        _ => {}
    }
}

const fn make_exclusive(options: &mut Options) {
    options.exclusive = Some(true);
    options.lost_after = Some(LOST_AFTER_MIN);
}

/// What a host can run: `rare` tasks only on the even ones.
#[must_use]
pub fn profile(host: usize, rng: &mut ChaCha8Rng) -> Profile {
    let declared = |name: &str| Declaration {
        name: name.to_owned(),
        pool: 0,
        queue: Template::QUEUE_DEFAULT.to_owned(),
        options: Options::default(),
        takes_resource: false,
    };
    let mut tasks = vec![declared("mail"), declared("resize")];
    if host.is_multiple_of(2) {
        tasks.insert(1, declared("rare"));
    }
    let queue = |name: &str, pool| Queue { name: name.to_owned(), pool, priority: None };
    Profile {
        pools: vec![rng.random_range(1..8), rng.random_range(1..4)],
        tasks,
        queues: vec![queue("bulk", Some(1)), queue("default", None)],
        pid: 1,
        serves_all: false,
    }
}
