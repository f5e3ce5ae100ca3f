//! Time zones: what the clocks of a place show, and when they were or will be changed.
//!
//! Nothing here reads a file or the environment: the database is handed in, or it is the one that was
//! compiled in. Databases differ by what governments have decided since, so two nodes with databases
//! of their own may come to different times for the same tick; who lets several nodes decide must
//! give them the same database.

use std::iter;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};
use serde::{Deserialize, Serialize};

use crate::alike::alike;
use crate::limits::NAME_BYTES_MAX;

/// No clock is further from UTC than this, in seconds: what [`jiff::tz::Offset`] can hold.
pub(super) const OFFSET_MAX: i64 = 26 * 3600;

/// A database of time zones.
#[derive(Clone, Debug)]
pub struct Zones(TimeZoneDatabase);

impl Zones {
    /// The database that was compiled in.
    #[must_use]
    pub fn bundled() -> Self {
        Self(TimeZoneDatabase::bundled())
    }

    /// A database from elsewhere.
    #[must_use]
    pub const fn new(database: TimeZoneDatabase) -> Self {
        Self(database)
    }

    /// The zone called `name`, in any case.
    ///
    /// # Errors
    /// When the database has none of that name.
    pub fn zone(&self, name: &str) -> Result<Zone, UnknownZone> {
        // jiff answers "Etc/Unknown" with a zone that looks like UTC: nobody can mean that.
        match self.0.get(name) {
            Ok(zone) if !zone.is_unknown() && !is_of_host(name) => Ok(Zone(zone)),
            Ok(_) | Err(_) => Err(self.unknown(name)),
        }
    }

    fn unknown(&self, name: &str) -> UnknownZone {
        if name.len() > NAME_BYTES_MAX {
            let end = name.floor_char_boundary(NAME_BYTES_MAX);
            let name = name.get(..end).unwrap_or_default().to_owned();
            return UnknownZone { name, alike: Vec::new() };
        }
        let known = self.0.available().map(|known| known.as_str().to_owned());
        let known: Vec<_> = known.filter(|known| !is_of_host(known) && !is_offset(known)).collect();
        let known = || known.iter().map(String::as_str);
        // Who writes only the city means the zone that is called after it.
        let city = name.replace(' ', "_");
        let is_city = |known: &&str| {
            known.rsplit_once('/').is_some_and(|(_, last)| last.eq_ignore_ascii_case(&city))
        };
        let mut near: Vec<_> = known().filter(is_city).map(str::to_owned).collect();
        if near.is_empty() && !is_offset(name) {
            near = alike(name, known());
        }
        UnknownZone { name: name.to_owned(), alike: near }
    }
}

/// Whether that is another zone on each host, whatever its database has under that name.
fn is_of_host(name: &str) -> bool {
    ["localtime", "posixrules"].iter().any(|own| own.eq_ignore_ascii_case(name))
}

/// Whether it says how far clocks are from UTC, as in `UTC+2`.
///
/// Zones that are called so are never offered: in their names the sign is turned round, so that the
/// clocks of Etc/GMT+2 are behind UTC.
fn is_offset(name: &str) -> bool {
    let name = name
        .get(..4)
        .filter(|area| area.eq_ignore_ascii_case("Etc/"))
        .map_or(name, |area| name.strip_prefix(area).unwrap_or_default());
    let name = name.trim_start_matches(|c: char| c.is_ascii_alphabetic()).trim_start();
    name.strip_prefix(['+', '-', '\u{2212}']).is_some_and(|digits| {
        digits.starts_with(|c: char| c.is_ascii_digit())
            && digits.chars().all(|c| c.is_ascii_digit() || c == ':')
    })
}

/// A time zone. Its clones share what is known of it.
#[derive(Clone, Debug)]
pub struct Zone(TimeZone);

impl Zone {
    /// Universal time, whose clocks are never changed.
    pub const UTC: Self = Self(TimeZone::UTC);

    /// How far the clocks are ahead of UTC at `at`, in seconds.
    pub(super) fn offset(&self, at: Timestamp) -> i64 {
        i64::from(self.0.to_offset(at).seconds())
    }

    /// From `from` on: how long the clocks stay as they are, and how they are after each change.
    pub(super) fn stretches(&self, from: Timestamp) -> impl Iterator<Item = Stretch> + '_ {
        let mut changes = self.0.following(from);
        let mut next = Some((from.as_second(), self.offset(from)));
        iter::from_fn(move || {
            let (start, offset) = next?;
            let change = changes.next().map(|change| {
                (change.timestamp().as_second(), i64::from(change.offset().seconds()))
            });
            // Where a database has no rule for the time to come, jiff tells the last change for ever.
            next = change.filter(|(at, _)| *at > start);
            Some(Stretch { start, end: next.map_or(i64::MAX, |(end, _)| end), offset })
        })
    }
}

/// A time during which clocks are not changed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stretch {
    /// When it begins, in unix seconds.
    pub(super) start: i64,
    /// When the next one begins.
    pub(super) end: i64,
    /// How far the clocks are ahead of UTC, in seconds.
    pub(super) offset: i64,
}

/// The database has no zone of that name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, thiserror::Error)]
#[error("there is no time zone {name:?}; {}", self.suggest())]
pub struct UnknownZone {
    /// The name, cut to what names may have.
    pub name: String,
    /// Names that are alike.
    pub alike: Vec<String>,
}

impl UnknownZone {
    /// How zones are called, for whoever can be offered none.
    #[must_use]
    pub fn rule(&self) -> &'static str {
        if is_offset(&self.name) {
            "an offset from UTC is no zone, for clocks are put forward and back; write a region and a \
             city, as in Europe/Berlin, or UTC"
        } else {
            "zones are called after a region and a city, as in Europe/Berlin, or UTC"
        }
    }

    fn suggest(&self) -> String {
        if self.alike.is_empty() {
            return self.rule().to_owned();
        }
        format!("did you mean {}?", self.alike.join(" or "))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zones_are_found_in_any_case() {
        let zones = Zones::bundled();
        for name in ["UTC", "utc", "Europe/Berlin", "europe/berlin", "Etc/UTC", "US/Pacific"] {
            assert!(zones.zone(name).is_ok(), "{name}");
        }
    }

    #[test]
    fn the_unknown_is_refused_with_what_is_alike() {
        let zones = Zones::bundled();
        for (name, text) in [
            ("europe/berln", "there is no time zone \"europe/berln\"; did you mean Europe/Berlin"),
            ("Berlin", "there is no time zone \"Berlin\"; did you mean Europe/Berlin?"),
            ("new york", "there is no time zone \"new york\"; did you mean America/New_York?"),
            ("Mars/Olympus_Mons", "there is no time zone \"Mars/Olympus_Mons\"; zones are called"),
            ("", "there is no time zone \"\"; zones are called"),
            ("Etc/Unknown", "there is no time zone \"Etc/Unknown\"; zones are called"),
            ("\u{1b}[31m", "there is no time zone \"\\u{1b}[31m\"; "),
        ] {
            let error = zones.zone(name).map(|_| ()).expect_err("unknown").to_string();
            assert!(error.starts_with(text), "{name}: {error}");
        }
    }

    #[test]
    fn offsets_are_no_zones_and_none_is_offered_that_turns_their_sign_round() {
        let zones = Zones::bundled();
        for name in
            ["GMT+2", "gmt-10", "UTC+2", "UTC+02:00", "UTC \u{2212}5", "+01:00", "-5", "Etc/GMT+20"]
        {
            let error = zones.zone(name).map(|_| ()).expect_err(name);
            assert!(error.alike.is_empty(), "{error}");
            assert!(error.to_string().contains("; an offset from UTC is no zone"), "{error}");
        }
        let error = zones.zone("Etc/GMT2").map(|_| ()).expect_err("unknown");
        assert!(!error.alike.iter().any(|known| known.contains(['+', '-'])), "{error}");
        for name in ["Etc/GMT+2", "etc/gmt-14", "GMT+0"] {
            assert!(zones.zone(name).is_ok(), "{name}");
        }
        for name in ["", "Etc", "é+2", "EST5EDT", "America/Port-au-Prince", "GMT+", "+2x", "+:"] {
            assert!(!is_offset(name), "{name}");
        }
    }

    #[test]
    fn what_is_kept_of_a_name_is_bounded() {
        let error = Zones::bundled().zone(&"ä".repeat(10_000)).map(|_| ()).expect_err("too long");
        assert_eq!(error.name.len(), NAME_BYTES_MAX);
        assert!(error.alike.is_empty());
    }

    #[test]
    fn a_database_can_be_handed_in() {
        let none = Zones::new(TimeZoneDatabase::none());
        assert!(none.zone("Europe/Berlin").is_err());
    }

    #[test]
    fn stretches_touch_each_other() {
        let berlin = Zones::bundled().zone("Europe/Berlin").unwrap();
        let from = Timestamp::from_second(1_700_000_000).unwrap();
        let stretches: Vec<_> = berlin.stretches(from).take(5).collect();
        assert_eq!(stretches[0].start, 1_700_000_000);
        for two in stretches.windows(2) {
            assert_eq!(two[0].end, two[1].start);
            assert_eq!((two[0].offset - two[1].offset).abs(), 3600);
        }
        let utc: Vec<_> = Zone::UTC.stretches(from).collect();
        assert_eq!(utc, [Stretch { start: 1_700_000_000, end: i64::MAX, offset: 0 }]);
    }

    #[test]
    fn clocks_stay_as_they_are_where_a_database_has_no_rule_for_the_time_to_come() {
        // One change, to two hours ahead, and no rule: the first version of these files has none.
        let changed_at = 1_000_000_000_i32;
        let counts = [0_u32, 0, 0, 1, 2, 4].map(u32::to_be_bytes).concat();
        let offsets =
            [3_600_i32, 7_200].map(|offset| [&offset.to_be_bytes()[..], &[0, 0]].concat());
        let file = [b"TZif", &[0; 16][..], &counts, &changed_at.to_be_bytes(), &[1]].concat();
        let file = [&file[..], &offsets.concat(), b"NOW\0"].concat();
        let zone = Zone(TimeZone::tzif("Test/Nowhere", &file).unwrap());
        let stretches = |from: i64| {
            let stretches = zone.stretches(Timestamp::from_second(from).unwrap());
            stretches.take(5).map(|stretch| (stretch.start, stretch.end, stretch.offset))
        };
        let changed_at = i64::from(changed_at);
        let after = (changed_at, i64::MAX, 7_200);
        let before = (changed_at - 9, changed_at, 3_600);
        assert_eq!(stretches(changed_at - 9).collect::<Vec<_>>(), [before, after]);
        assert_eq!(stretches(changed_at).collect::<Vec<_>>(), [after]);
        let later = (changed_at + 9, i64::MAX, 7_200);
        assert_eq!(stretches(changed_at + 9).collect::<Vec<_>>(), [later]);
    }
}
