//! Waiting until something is so, by looking again and again.

use std::thread;
use std::time::{Duration, Instant};

/// Far longer than anything here takes on a busy machine.
pub const PATIENCE: Duration = Duration::from_secs(150);
/// Between two looks: most of them start a process, which takes from the nodes what they wait for.
const PACE: Duration = Duration::from_millis(50);

/// Looks until `look` finds what it wants, and returns that.
///
/// # Panics
/// When that takes longer than [`PATIENCE`], with what was seen last.
#[track_caller]
pub fn until<T>(what: &str, look: impl FnMut() -> Result<T, String>) -> T {
    until_within(PATIENCE, what, look)
}

/// The same with another patience.
///
/// # Panics
/// When that takes longer than `patience`, with what was seen last.
#[track_caller]
pub fn until_within<T>(
    patience: Duration,
    what: &str,
    mut look: impl FnMut() -> Result<T, String>,
) -> T {
    let began = Instant::now();
    loop {
        match look() {
            Ok(found) => return found,
            Err(seen) => assert!(began.elapsed() < patience, "{what} within {patience:?}: {seen}"),
        }
        thread::park_timeout(PACE);
    }
}

/// `Ok` if it is so, else what is there instead.
///
/// # Errors
/// It is not so.
pub fn so(is_so: bool, seen: impl FnOnce() -> String) -> Result<(), String> {
    if is_so { Ok(()) } else { Err(seen()) }
}
