//! When a job fires, and what time it is where it is written.

use std::ops::Range;

use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use umbel_protocol::job::{Cron, Schedule, Zones};
use umbel_protocol::limits::DELAY_MAX;
use umbel_protocol::time::{Span, Wall};

use super::super::super::raw::{RawJob, Text};
use super::super::super::report::Problems;
use super::super::span;
use crate::timezones;

/// When a job fires.
pub(super) struct When {
    pub(super) schedule: Schedule,
    /// The expression, if there is one.
    pub(super) cron: Option<Cron>,
    /// Where it stands.
    pub(super) place: Range<usize>,
}

/// What `raw` says of it.
pub(super) fn schedule(
    name: &Text,
    raw: &RawJob,
    times: &Times,
    problems: &mut Problems<'_>,
) -> Option<When> {
    let keys = ["cron", "every", "at"];
    let mut given: Vec<_> = keys.into_iter().filter_map(|key| raw.present.key(key)).collect();
    given.sort_unstable_by_key(|place| place.start);
    match given.as_slice() {
        [_] => {}
        // What is missing may be what was misspelt, and that has been reported.
        [] if raw.present.has_unknown => return None,
        [] => {
            problems.add(
                name.span(),
                format!("job `{}` has no schedule", name.get_ref()),
                "give it a cron = \"0 3 * * *\", every = \"15m\" or at = \"2027-01-01T00:00:00Z\"",
            );
            return None;
        }
        [_, second, ..] => {
            problems.add(
                second.clone(),
                format!("job `{}` has two schedules", name.get_ref()),
                "keep one of them, and give the other a [jobs.NAME] of its own",
            );
            return None;
        }
    }
    if let Some(text) = &raw.cron {
        return match Cron::parse(text.get_ref()) {
            Ok(cron) => {
                let schedule = Schedule::Cron(text.get_ref().clone());
                Some(When { schedule, cron: Some(cron), place: text.span() })
            }
            Err(error) => {
                let place = problems.inside(text.span(), text.get_ref(), error.place);
                problems.add(place, error.why, "");
                None
            }
        };
    }
    if let Some(text) = &raw.every {
        let every = span("every", Some(text), EVERY_MIN..=DELAY_MAX, problems)?;
        return Some(When { schedule: Schedule::Every(every), cron: None, place: text.span() });
    }
    let place = raw.at.as_ref()?.span();
    let at = times.time("at", raw.at.as_ref(), problems)?;
    Some(When { schedule: Schedule::At(at), cron: None, place })
}

/// Reads times by the clocks of one place.
pub(super) struct Times {
    name: String,
    /// Nothing if there is no such place, which has been reported.
    zone: Option<TimeZone>,
}

impl Times {
    pub(super) fn of(raw: Option<&Text>, zones: &Zones, problems: &mut Problems<'_>) -> Self {
        let Some(raw) = raw else {
            return Self { name: "UTC".to_owned(), zone: Some(TimeZone::UTC) };
        };
        let name = raw.get_ref().clone();
        match zones.zone(&name) {
            Ok(_) => {
                let zone = timezones::database().get(&name).ok();
                Self { name, zone }
            }
            Err(error) => {
                let help = if error.alike.is_empty() {
                    error.rule().to_owned()
                } else {
                    format!("did you mean \"{}\"?", error.alike.join("\" or \""))
                };
                problems.add(raw.span(), format!("there is no time zone {:?}", error.name), help);
                Self { name, zone: None }
            }
        }
    }

    /// The name of the place.
    pub(super) fn into_zone(self) -> String {
        self.name
    }

    /// The time that `raw` is.
    pub(super) fn time(
        &self,
        name: &str,
        raw: Option<&Text>,
        problems: &mut Problems<'_>,
    ) -> Option<Wall> {
        let raw = raw?;
        let at = match raw.get_ref().parse::<Timestamp>() {
            Ok(at) => at,
            Err(_) => self.local(raw, problems)?,
        };
        let Ok(millis) = u64::try_from(at.as_millisecond()) else {
            let problem = format!("`{name}` lies before 1970");
            problems.add(raw.span(), problem, "write a time that is still to come");
            return None;
        };
        Some(Wall::from_millis(millis))
    }

    /// A time without an offset. One that comes twice is the first of both, as in cron expressions;
    /// of one that never comes nobody can know what was meant.
    fn local(&self, raw: &Text, problems: &mut Problems<'_>) -> Option<Timestamp> {
        let text = raw.get_ref();
        let read = text.parse::<DateTime>().ok().filter(|_| !text.contains('['));
        let Some(local) = read else {
            problems.add(raw.span(), format!("{text:?} is not a time"), TIME_HELP);
            return None;
        };
        let time = self.zone.as_ref()?.to_ambiguous_zoned(local);
        let skipped = matches!(time.offset(), AmbiguousOffset::Gap { .. });
        let Ok(first) = time.compatible() else {
            problems.add(raw.span(), format!("{text:?} lies outside of the calendar"), TIME_HELP);
            return None;
        };
        if skipped {
            problems.add(
                raw.span(),
                format!("the clocks of {} skip {local}", self.name),
                format!("did you mean \"{}\"?", first.strftime("%Y-%m-%dT%H:%M:%S%:z")),
            );
            return None;
        }
        Some(first.timestamp())
    }
}

/// What fires more often is a loop, and belongs into a task.
const EVERY_MIN: Span = Span::from_millis(1_000);
const TIME_HELP: &str = "write \"2027-01-01T00:00:00Z\", with another offset in place of Z, or \
                         without one for a time in `timezone`";
