//! The time zone of this host, where it says so.

use std::fs;
use std::path::Path;

/// What the zone is called, if that can be told. Not `TZ`: cron does not know that of a terminal.
pub(super) fn of_host() -> Option<String> {
    let link = fs::read_link("/etc/localtime").ok();
    link.and_then(|link| named_by(&link)).or_else(|| {
        let text = fs::read_to_string("/etc/timezone").ok()?;
        let name = text.trim();
        (!name.is_empty()).then(|| name.to_owned())
    })
}

/// The zone whose file this is.
fn named_by(path: &Path) -> Option<String> {
    let (_, name) = path.to_str()?.split_once("zoneinfo/")?;
    let name = name.strip_prefix("posix/").or_else(|| name.strip_prefix("right/")).unwrap_or(name);
    (!name.is_empty()).then(|| name.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_names_the_zone() {
        for (path, name) in [
            ("/usr/share/zoneinfo/Europe/Berlin", Some("Europe/Berlin")),
            ("../usr/share/zoneinfo/posix/UTC", Some("UTC")),
            ("/etc/elsewhere", None),
            ("/usr/share/zoneinfo/", None),
        ] {
            assert_eq!(named_by(Path::new(path)).as_deref(), name, "{path}");
        }
    }
}
