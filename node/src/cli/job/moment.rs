//! Moments as people write and read them: by the clocks of a place.

use anyhow::{Context, bail};
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::{AmbiguousOffset, TimeZone};
use umbel_protocol::job::Zone;
use umbel_protocol::time::Wall;

use crate::cli::time::stamp;
use crate::timezones;

/// A moment that was typed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Moment {
    /// Whatever the clocks show.
    Instant(Wall),
    /// When the clocks of a place that is named elsewhere show it.
    Local(DateTime),
}

/// Reads a moment.
pub(super) fn moment(text: &str) -> Result<Moment, String> {
    let text = text.trim();
    if let Ok(at) = text.parse::<Timestamp>() {
        let millis = u64::try_from(at.as_millisecond());
        return millis
            .map(|millis| Moment::Instant(Wall::from_millis(millis)))
            .map_err(|_| "it lies before 1970".to_owned());
    }
    // What stands in brackets would be dropped without a word.
    if let Some((time, zone)) = text.strip_suffix(']').and_then(|text| text.split_once('[')) {
        return Err(format!(
            "a time zone in brackets is not read here: write {time} and say --timezone {zone}, or \
             write how far its clocks are from UTC, as in 2030-03-01T02:30:00+01:00"
        ));
    }
    text.parse::<DateTime>().map(Moment::Local).map_err(|_| {
        "write 2030-03-01T02:30:00+01:00, or without +01:00 for the clocks of the time zone"
            .to_owned()
    })
}

impl Moment {
    /// When that is by the clocks of `place`.
    pub(super) fn at(self, place: &Place) -> anyhow::Result<Wall> {
        let local = match self {
            Self::Instant(at) => return Ok(at),
            Self::Local(local) => local,
        };
        let name = &place.name;
        let found = place.clocks.to_ambiguous_timestamp(local);
        match found.offset() {
            AmbiguousOffset::Unambiguous { .. } => {}
            AmbiguousOffset::Gap { before, .. } => bail!(
                "the clocks of {name} never show {local}, for they are put forward then; write \
                 another time, or go by the clock that is not put forward: {local}{before}"
            ),
            AmbiguousOffset::Fold { before, after } => bail!(
                "the clocks of {name} show {local} twice, for they are put back then; write which \
                 one is meant: {local}{before} or {local}{after}"
            ),
        }
        let at = found.unambiguous().with_context(|| format!("{local} is beyond all calendars"))?;
        let Ok(millis) = u64::try_from(at.as_millisecond()) else {
            bail!("{local} lies before 1970");
        };
        Ok(Wall::from_millis(millis))
    }
}

/// A place, by whose clocks times are told.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// Of its time zone.
    pub(super) name: String,
    /// What decides about ticks.
    pub(super) zone: Zone,
    clocks: TimeZone,
}

impl Place {
    /// Where the clocks are never changed.
    pub(super) fn utc() -> Self {
        Self { name: "UTC".to_owned(), zone: Zone::UTC, clocks: TimeZone::UTC }
    }

    /// The place whose time zone is called `name`.
    pub(super) fn named(name: &str) -> anyhow::Result<Self> {
        let zone = timezones::zones().zone(name)?;
        let clocks = timezones::database().get(name)?;
        Ok(Self { name: name.to_owned(), zone, clocks })
    }

    /// As [`named`](Self::named); a zone of which only the cluster knows is told in universal time.
    pub(super) fn or_utc(name: &str) -> Self {
        Self::named(name).unwrap_or_else(|_| Self::utc())
    }

    /// `2030-03-01 02:30:00 +01:00`.
    pub(super) fn show(&self, at: Wall) -> String {
        self.format(at, "%Y-%m-%d %H:%M:%S %:z")
    }

    /// The same with the day of the week: `Fri 2030-03-01 02:30:00 +01:00`.
    pub(super) fn show_day(&self, at: Wall) -> String {
        self.format(at, "%a %Y-%m-%d %H:%M:%S %:z")
    }

    fn format(&self, at: Wall, format: &str) -> String {
        let millis = i64::try_from(at.as_millis()).unwrap_or(i64::MAX);
        match Timestamp::from_millisecond(millis) {
            Ok(at) => at.to_zoned(self.clocks.clone()).strftime(format).to_string(),
            Err(_) => stamp(at),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str, place: &str) -> anyhow::Result<Wall> {
        moment(text).map_err(anyhow::Error::msg)?.at(&Place::named(place)?)
    }

    #[test]
    fn a_moment_is_an_instant_or_what_clocks_show() {
        for (text, place, seconds) in [
            ("2030-03-01T02:30:00Z", "Europe/Berlin", 1_898_562_600),
            ("2030-03-01T02:30:00+01:00", "UTC", 1_898_559_000),
            ("2030-03-01T02:30:00", "Europe/Berlin", 1_898_559_000),
            ("2030-03-01 02:30", "UTC", 1_898_562_600),
            ("2030-03-01", "UTC", 1_898_553_600),
        ] {
            let found = at(text, place).expect(text);
            assert_eq!(found, Wall::from_millis(seconds * 1_000), "{text} {place}");
        }
        let berlin = Place::named("Europe/Berlin").unwrap();
        let shown = berlin.show_day(Wall::from_millis(1_898_559_000_000));
        assert_eq!(shown, "Fri 2030-03-01 02:30:00 +01:00");
        assert_eq!(Place::or_utc("Mars").show(Wall::EPOCH), "1970-01-01 00:00:00 +00:00");
    }

    #[test]
    fn what_clocks_never_or_twice_show_is_refused() {
        for (text, told) in [
            ("2030-03-31T02:30", "never show"),
            ("2030-10-27T02:30", "2030-10-27T02:30:00+02 or 2030-10-27T02:30:00+01"),
            ("tomorrow", "write 2030-03-01T02:30:00+01:00"),
            (
                "2030-03-01T02:30:00[America/New_York]",
                "write 2030-03-01T02:30:00 and say --timezone America/New_York",
            ),
            ("1969-01-01T00:00:00Z", "before 1970"),
            ("1969-01-01", "before 1970"),
        ] {
            let error = at(text, "Europe/Berlin").expect_err(text);
            assert_eq!(error.chain().count(), 1, "all is said at once: {error:#}");
            assert!(error.to_string().contains(told), "{error}");
        }
        assert!(at("2030-10-27T02:30:00+02", "Europe/Berlin").is_ok(), "as it is told to write it");
    }
}
