//! What tasks do when they run: how long, and how they end, told by their arguments.

use bytes::Bytes;
use rand::RngExt;
use rand::rngs::ChaCha8Rng;
use umbel_protocol::id::TaskId;
use umbel_protocol::task::{Failure, FailureKind, Options, Outcome, Template};
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
}

impl Script {
    /// Draws what a task does.
    pub fn draw(mark: u64, work: Work, rng: &mut ChaCha8Rng) -> Self {
        let takes = match (work, rng.random_range(0..20)) {
            (Work::Long, 0) => rng.random_range(120 * SECOND..LONGEST),
            (Work::Overload, _) => rng.random_range(MS..400 * MS),
            (_, 0) => rng.random_range(5 * SECOND..15 * SECOND),
            (_, 1..4) => rng.random_range(SECOND / 2..3 * SECOND),
            _ => rng.random_range(MS..200 * MS),
        };
        let failures = if rng.random_bool(0.2) { rng.random_range(1..5) } else { 0 };
        let permanent = rng.random_bool(0.03);
        // The first few, as each takes some innocent ones with it.
        let kills = work == Work::Poison && mark.is_multiple_of(17) && mark <= 17 * 5;
        if kills {
            return Self { mark, takes: takes.min(SECOND), failures: 0, permanent: false, kills };
        }
        Self { mark, takes, failures, permanent, kills }
    }

    /// Its arguments.
    #[must_use]
    pub fn to_args(&self) -> Bytes {
        let Self { mark, takes, failures, permanent, kills } = self;
        format!("[{mark},{takes},{failures},{permanent},{kills}]").into()
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
        })
    }

    /// What the task `id` with these arguments does. All tasks of a job have the same ones, so what they are
    /// recognised by follows from their ids; those that tell what has happened to a job do nothing.
    #[must_use]
    pub fn of_task(id: TaskId, args: &[u8]) -> Option<Self> {
        if !id.is_derived() {
            return Self::of(args);
        }
        let telling = Self { mark: 0, takes: 5 * MS, failures: 0, permanent: false, kills: false };
        let script = if args.starts_with(b"{\"job\":") { telling } else { Self::of(args)? };
        Some(Self { mark: mark_of_job_task(id), ..script })
    }

    /// How the run of attempt `attempt` ends.
    #[must_use]
    pub fn outcome(&self, attempt: u16) -> Outcome {
        let mark = Bytes::from(self.mark.to_string());
        let failed =
            |kind| Outcome::Failed(Failure::new(kind, "as scripted").with_detail(mark.clone()));
        if self.permanent {
            return failed(FailureKind::Permanent);
        }
        if u32::from(attempt) <= self.failures {
            return failed(FailureKind::Error);
        }
        Outcome::Succeeded(mark)
    }
}

/// What the runs of a task that a job has made are recognised by. Clients count theirs from one.
#[must_use]
pub fn mark_of_job_task(id: TaskId) -> u64 {
    xxh3_64(&id.bits().to_le_bytes()) | (1 << 63)
}

const NAMES: [&str; 3] = ["mail", "rare", "resize"];
const QUEUES: [&str; 2] = ["bulk", "default"];

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
    template
}

/// What a host can run: `rare` tasks only on the even ones.
#[must_use]
pub fn profile(host: usize, rng: &mut ChaCha8Rng) -> Profile {
    let declared = |name: &str| Declaration {
        name: name.to_owned(),
        pool: 0,
        queue: Template::QUEUE_DEFAULT.to_owned(),
        options: Options::default(),
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
    }
}
