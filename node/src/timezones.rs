//! The time zones by which this node, and the command line, read clocks.
//!
//! Whoever owns the partition of a job decides when it ticks, so all hosts must know the same zones.
//! Those that were compiled in are the same wherever the binary is. What governments have decided since
//! then is in the database of a host that is kept up to date: where the variable `TZDIR` names its
//! directory (mostly `/usr/share/zoneinfo`), that one is used instead. Set it for all nodes or for none.

use std::env;
use std::path::Path;
use std::sync::OnceLock;

use jiff::tz::TimeZoneDatabase;
use tracing::warn;
use umbel_protocol::job::Zones;

/// The variable that names the directory of another database, as in other programs.
const DIRECTORY: &str = "TZDIR";

/// All zones that are known here.
pub(crate) fn zones() -> Zones {
    Zones::new(database().clone())
}

/// The same, to read and show times by.
pub(crate) fn database() -> &'static TimeZoneDatabase {
    static DATABASE: OnceLock<TimeZoneDatabase> = OnceLock::new();
    DATABASE.get_or_init(|| {
        let directory = env::var_os(DIRECTORY).filter(|directory| !directory.is_empty());
        directory
            .map_or_else(TimeZoneDatabase::bundled, |directory| of_directory(directory.as_ref()))
    })
}

fn of_directory(directory: &Path) -> TimeZoneDatabase {
    // A directory without any zones is no database either.
    let known =
        TimeZoneDatabase::from_dir(directory).ok().filter(|known| !known.is_definitively_empty());
    known.unwrap_or_else(|| {
        let directory = directory.display();
        warn!(%directory, "{DIRECTORY} names no database of time zones: those of the binary are used");
        TimeZoneDatabase::bundled()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_directory_without_zones_is_not_used() {
        let nowhere = of_directory(Path::new("/nowhere"));
        assert!(nowhere.get("Europe/Berlin").is_ok());
    }

    #[test]
    fn what_is_another_zone_on_each_host_is_none() {
        let dir = tempfile::tempdir().unwrap();
        // No changes, one offset of nothing, and its name.
        let counts = [0_u32, 0, 0, 0, 1, 4].map(u32::to_be_bytes).concat();
        let zone = [b"TZif", &[0; 16][..], &counts, &[0; 6], b"UTC\0"].concat();
        for name in ["localtime", "posixrules", "Somewhere"] {
            std::fs::write(dir.path().join(name), &zone).unwrap();
        }
        let zones = Zones::new(of_directory(dir.path()));
        assert!(zones.zone("Somewhere").is_ok());
        for name in ["localtime", "LocalTime", "posixrules", "localtim"] {
            let error = zones.zone(name).map(|_| ()).expect_err(name);
            assert!(error.alike.is_empty(), "{error}");
        }
    }
}
