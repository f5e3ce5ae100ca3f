//! Which ticks of a job are due, and what its misfire rule makes of late ones.
//!
//! Pure: the owner of the job's partition asks with partition time, and writes what comes out into a
//! command, so that copies need neither clocks nor time zones. A tick is *due* once its nominal time
//! and the job's own part of its jitter have passed, and *late* once the grace has passed as well.
//!
//! After a long downtime there may be hundreds of thousands of late ticks, which nobody needs one by
//! one: no more than [`COUNTED_MAX`] are looked at, the last ones. So a count of missed ticks may be too
//! low then, and the cost of catching up is bounded.

use xxhash_rust::xxh3::xxh3_64;

use super::definition::{Job, Misfire};
use super::name::JobName;
use super::plan::Plan;
use crate::limits::MISFIRES_MAX;
use crate::time::{Span, Wall};

/// Most ticks that are decided about at once: the rest is due in the next round.
pub const COUNTED_MAX: usize = 200;

/// Ticks that are due.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Due {
    /// Those to be fired, ascending.
    pub fire: Vec<Wall>,
    /// Those that were missed, ascending.
    pub missed: Vec<Wall>,
    /// The last of all.
    pub through: Wall,
}

/// By how much the ticks of `name` are delayed so that those of many jobs spread over `jitter`.
#[must_use]
pub fn offset(name: &JobName, jitter: Span) -> Span {
    let millis = jitter.as_millis();
    if millis == 0 {
        return Span::ZERO;
    }
    Span::from_millis(xxh3_64(name.as_str().as_bytes()) % (millis + 1))
}

/// The first tick of `job` after `after`, within its start and end. An interval without a start is
/// counted from `since`.
#[must_use]
pub fn next_tick(job: &Job, plan: &Plan, since: Wall, after: Wall) -> Option<Wall> {
    let next = match (plan, job.start) {
        // An interval has a tick at its start; nobody wants to wait for the second one.
        (Plan::Every(_), Some(start)) if after < start => start,
        (Plan::Every(_), Some(start)) => plan.next_after(start, after)?,
        (Plan::At(_) | Plan::Cron(..), Some(start)) => {
            plan.next_after(since, after.max(start - Span::from_millis(1)))?
        }
        (_, None) => plan.next_after(since, after)?,
    };
    job.end.is_none_or(|end| next < end).then_some(next)
}

/// What is due at `now` of the ticks after `fired_through`, if anything is. `left` is how many the job
/// may still fire.
#[must_use]
pub fn due(
    job: &Job,
    plan: &Plan,
    since: Wall,
    fired_through: Wall,
    left: u64,
    offset: Span,
    now: Wall,
) -> Option<Due> {
    let now = now - offset;
    let ticks_after = |after: Wall, until: Wall| {
        let mut last = after;
        std::iter::from_fn(move || {
            let next = next_tick(job, plan, since, last).filter(|next| *next <= until)?;
            last = next;
            Some(next)
        })
    };
    if left == 0 || ticks_after(fired_through, now).next().is_none() {
        return None;
    }
    // The last instant whose ticks are late.
    let late_until = now - job.grace() - Span::from_millis(1);
    let from = start_of_last(fired_through, late_until, |from| ticks_after(from, late_until));
    let late: Vec<Wall> = ticks_after(from, late_until).take(COUNTED_MAX).collect();
    let timely: Vec<Wall> =
        ticks_after(fired_through.max(late_until), now).take(COUNTED_MAX).collect();
    let through = timely.last().or_else(|| late.last()).copied()?;
    let kept = match job.misfire {
        Misfire::Skip => 0,
        Misfire::Once => usize::from(timely.is_empty()),
        Misfire::All { most } => usize::from(most.min(MISFIRES_MAX)),
    };
    let (missed, fired) = late.split_at(late.len().saturating_sub(kept));
    let left = usize::try_from(left).unwrap_or(usize::MAX);
    let mut fire: Vec<Wall> = fired.iter().chain(&timely).copied().collect();
    // About what comes after the last that it may fire nothing is decided: it may come to fire it.
    let is_cut = fire.len() > left;
    fire.truncate(left);
    let through = fire.last().copied().filter(|_| is_cut).unwrap_or(through);
    Some(Due { fire, missed: missed.to_vec(), through })
}

/// From when on to look so that no more than [`COUNTED_MAX`] ticks come until `until`, but enough for
/// any rule.
fn start_of_last<I: Iterator<Item = Wall>>(
    from: Wall,
    until: Wall,
    ticks: impl Fn(Wall) -> I,
) -> Wall {
    let count = |from| ticks(from).take(COUNTED_MAX + 1).count();
    if count(from) <= COUNTED_MAX {
        return from;
    }
    // Most schedules are even: what the first ones take tells where the last ones begin.
    let sample = ticks(from).take(COUNTED_MAX).last().unwrap_or(until).since(from);
    let guess = until - Span::from_millis(sample.as_millis() / 4 * 3);
    if (usize::from(MISFIRES_MAX)..=COUNTED_MAX).contains(&count(guess)) {
        return guess;
    }
    let (mut too_many, mut few) = (from, until);
    // Ticks are a second apart at the least, so this comes to an end; it is halving a few centuries.
    while few.since(too_many) > Span::from_millis(1_000) {
        let middle = too_many + Span::from_millis(few.since(too_many).as_millis() / 2);
        match count(middle) {
            COUNTED_MAX.. => too_many = middle,
            found => {
                few = middle;
                if found >= usize::from(MISFIRES_MAX) {
                    break;
                }
            }
        }
    }
    few
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::job::definition::Schedule;
    use crate::job::zone::Zones;
    use crate::task::Template;

    fn at(seconds: u64) -> Wall {
        Wall::from_millis(seconds * 1_000)
    }

    fn seconds(seconds: u64) -> Span {
        Span::from_millis(seconds * 1_000)
    }

    /// A job every ten seconds with a grace of thirty.
    fn job(misfire: Misfire) -> Job {
        let mut job = Job::new(Schedule::Every(seconds(10)), Template::new("t"));
        (job.misfire, job.misfire_grace) = (misfire, seconds(30));
        job
    }

    fn plan(job: &Job) -> Plan {
        Plan::new(&job.schedule, &job.timezone, &Zones::bundled()).unwrap()
    }

    fn due_at(job: &Job, through: u64, now: u64) -> Option<Due> {
        due(job, &plan(job), at(0), at(through), u64::MAX, Span::ZERO, at(now))
    }

    fn all(from: u64, to: u64) -> Vec<Wall> {
        (from..=to).step_by(10).map(at).collect()
    }

    #[test]
    fn what_is_in_time_is_fired_by_every_rule() {
        for misfire in [Misfire::Skip, Misfire::Once, Misfire::All { most: 1 }] {
            let job = job(misfire);
            assert_eq!(due_at(&job, 100, 109), None);
            let due = due_at(&job, 100, 130).unwrap();
            assert_eq!((due.fire, due.through), (all(110, 130), at(130)), "{misfire:?}");
            assert!(due.missed.is_empty());
        }
    }

    #[test]
    fn late_ticks_follow_the_rule() {
        let of = |misfire| due_at(&job(misfire), 0, 100).map(|due| (due.fire, due.missed));
        // In time are those of 70 and later.
        assert_eq!(of(Misfire::Skip), Some((all(70, 100), all(10, 60))));
        assert_eq!(of(Misfire::Once), Some((all(70, 100), all(10, 60))));
        assert_eq!(of(Misfire::All { most: 2 }), Some((all(50, 100), all(10, 40))));
        let alone = |misfire| {
            let mut job = job(misfire);
            job.end = Some(at(60));
            due_at(&job, 0, 100).map(|due| (due.fire, due.missed))
        };
        assert_eq!(alone(Misfire::Skip), Some((vec![], all(10, 50))));
        assert_eq!(alone(Misfire::Once), Some((all(50, 50), all(10, 40))));
        assert_eq!(alone(Misfire::All { most: 9 }), Some((all(10, 50), vec![])));
    }

    #[test]
    fn a_year_of_ticks_costs_no_more_than_some() {
        let year = 366 * 86_400;
        let mut job = job(Misfire::All { most: MISFIRES_MAX });
        job.schedule = Schedule::Every(seconds(1));
        job.end = Some(at(year));
        let due = due_at(&job, 0, year + 3_600).unwrap();
        assert!(due.missed.len() + due.fire.len() <= COUNTED_MAX);
        assert_eq!(due.fire.len(), usize::from(MISFIRES_MAX));
        assert_eq!(due.fire.last(), Some(&at(year - 1)));
        // Where they come in bunches as well.
        job.schedule = Schedule::Cron("* * * * * *".to_owned());
        let sparse = due_at(&job, 0, 3_600 + 40 * year).unwrap();
        assert_eq!((sparse.fire.last(), sparse.through), (Some(&at(year - 1)), at(year - 1)));
    }

    #[test]
    fn more_than_can_be_decided_at_once_is_left_for_the_next_round() {
        let mut job = job(Misfire::Skip);
        (job.schedule, job.misfire_grace) = (Schedule::Every(seconds(1)), seconds(3_600));
        let first = due_at(&job, 0, 500).unwrap();
        assert_eq!((first.fire.len(), first.through), (COUNTED_MAX, at(200)));
        assert_eq!(due_at(&job, 200, 500).unwrap().through, at(400));
    }

    #[test]
    fn jitter_shifts_all_ticks_alike_and_no_more_than_it_says() {
        let name: JobName = "nightly".parse().unwrap();
        let by = offset(&name, seconds(60));
        assert!(by > Span::ZERO && by <= seconds(60));
        assert_eq!(by, offset(&name, seconds(60)));
        assert_eq!(offset(&name, Span::ZERO), Span::ZERO);
        let job = job(Misfire::Skip);
        let by = seconds(5);
        assert_eq!(due(&job, &plan(&job), at(0), at(0), 9, by, at(14)), None);
        let due = due(&job, &plan(&job), at(0), at(0), 9, by, at(15)).unwrap();
        assert_eq!(due.fire, [at(10)]);
    }

    #[test]
    fn start_end_and_count_are_kept_to() {
        let mut job = job(Misfire::All { most: 50 });
        (job.start, job.end) = (Some(at(35)), Some(at(65)));
        let ticks = due_at(&job, 0, 1_000).unwrap().fire;
        assert_eq!(ticks, [at(35), at(45), at(55)], "counted from the start, before the end");
        let two = due(&job, &plan(&job), at(0), at(0), 2, Span::ZERO, at(1_000)).unwrap();
        assert_eq!(two.fire, [at(35), at(45)]);
        assert_eq!(due(&job, &plan(&job), at(0), at(0), 0, Span::ZERO, at(1_000)), None);
    }

    #[test]
    fn an_interval_begins_at_its_start_however_early_that_is() {
        let mut job = job(Misfire::Skip);
        (job.schedule, job.start) = (Schedule::Every(seconds(3_600)), Some(at(1_800)));
        let next = |after| next_tick(&job, &plan(&job), at(0), at(after));
        assert_eq!([next(0), next(1_800)], [Some(at(1_800)), Some(at(5_400))]);
    }

    #[test]
    fn nobody_is_too_late_by_less_than_a_second() {
        let mut job = job(Misfire::Skip);
        job.misfire_grace = Span::ZERO;
        let due_at = |now| {
            let due = due(&job, &plan(&job), at(0), at(0), 9, Span::ZERO, now).unwrap();
            (due.fire.len(), due.missed.len())
        };
        assert_eq!(due_at(at(10) + Span::from_millis(900)), (1, 0));
        assert_eq!(due_at(at(10) + Span::from_millis(1_100)), (0, 1));
    }
}
