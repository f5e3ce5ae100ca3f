//! The time zone of this host, where it says so.

use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::cli::job::moment::Place;

/// By whose clocks this host goes, if that can be told.
pub(super) fn of_host() -> Option<Place> {
    told_in(Path::new("/etc"))
}

/// What `TZ` says, if that is the name of a zone.
pub(super) fn of_variable() -> Option<Place> {
    told_by(&std::env::var("TZ").ok()?)
}

fn told_in(etc: &Path) -> Option<Place> {
    let link = fs::read_link(etc.join("localtime"));
    // Where there is no such file at all, the C library has universal time.
    let otherwise = match &link {
        Err(error) if error.kind() == ErrorKind::NotFound => Some(Place::utc()),
        Ok(_) | Err(_) => None,
    };
    let linked = link.ok().and_then(|link| place(named_by(link.to_str()?)?));
    let written = || place(fs::read_to_string(etc.join("timezone")).ok()?.trim());
    linked.or_else(written).or(otherwise)
}

fn told_by(variable: &str) -> Option<Place> {
    let text = variable.strip_prefix(':').unwrap_or(variable);
    place(if text.starts_with('/') { named_by(text)? } else { text })
}

fn place(name: &str) -> Option<Place> {
    Place::named(name).ok()
}

/// The zone whose file this is.
fn named_by(path: &str) -> Option<&str> {
    let (_, name) = path.split_once("zoneinfo/")?;
    Some(name.strip_prefix("posix/").or_else(|| name.strip_prefix("right/")).unwrap_or(name))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::*;

    #[test]
    fn files_of_the_host_name_the_zone() {
        for (link, text, name) in [
            (
                Some("/usr/share/zoneinfo/Europe/Berlin"),
                Some("Asia/Tokyo\n"),
                Some("Europe/Berlin"),
            ),
            (Some("../usr/share/zoneinfo/posix/Asia/Tokyo"), None, Some("Asia/Tokyo")),
            (Some("/etc/elsewhere"), Some("Asia/Tokyo\n"), Some("Asia/Tokyo")),
            (Some("/etc/elsewhere"), None, None),
            (Some("/usr/share/zoneinfo/"), None, None),
            (Some("/usr/share/zoneinfo/Nowhere"), Some("\n"), None),
            (None, Some("Asia/Tokyo"), Some("Asia/Tokyo")),
            (None, None, Some("UTC")),
        ] {
            let etc = tempfile::tempdir().unwrap();
            if let Some(link) = link {
                symlink(link, etc.path().join("localtime")).unwrap();
            }
            if let Some(text) = text {
                fs::write(etc.path().join("timezone"), text).unwrap();
            }
            let told = told_in(etc.path()).map(|place| place.name);
            assert_eq!(told.as_deref(), name, "{link:?} {text:?}");
        }
    }

    #[test]
    fn a_copied_file_names_none() {
        let etc = tempfile::tempdir().unwrap();
        fs::write(etc.path().join("localtime"), "TZif2").unwrap();
        assert!(told_in(etc.path()).is_none());
        fs::write(etc.path().join("timezone"), "Europe/Berlin\n").unwrap();
        assert_eq!(told_in(etc.path()).unwrap().name, "Europe/Berlin");
    }

    #[test]
    fn a_variable_may_name_a_zone() {
        for (text, name) in [
            ("Europe/Berlin", Some("Europe/Berlin")),
            (":Europe/Berlin", Some("Europe/Berlin")),
            (":/usr/share/zoneinfo/Europe/Berlin", Some("Europe/Berlin")),
            ("/etc/localtime", None),
            ("XYZ-1ZYX,M3.5.0,M10.5.0/3", None),
            ("", None),
        ] {
            assert_eq!(told_by(text).map(|place| place.name).as_deref(), name, "{text}");
        }
    }
}
