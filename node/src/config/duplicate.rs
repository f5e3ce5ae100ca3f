//! What stands in a file twice: the parser says where it stands for the second time only.

use std::ops::Range;

/// What the parser says of it.
pub(super) const MESSAGE: &str = "duplicate key";

/// What stands twice, and on which line it stood before, if that can be told from the lines alone. The
/// place is that of the second one.
pub(super) fn told(text: &str, second: Range<usize>) -> (String, String) {
    let name = text.get(second.clone()).unwrap_or_default();
    let start = text[..second.start.min(text.len())].rfind('\n').map_or(0, |newline| newline + 1);
    let line = text[start..].lines().next().unwrap_or_default().trim_start();
    let header = header_of(line);
    let what = match header {
        Some(header) => format!("[{header}] stands here twice"),
        None => format!("`{name}` is said twice here"),
    };
    let first = match header {
        Some(header) => {
            // Quotes make no other name.
            let name = |header: &str| header.replace('"', "");
            let is_same = |line| header_of(line).is_some_and(|first| name(first) == name(header));
            text[..start].lines().position(is_same)
        }
        None => {
            // Only what belongs to the same table: all that is below its header.
            let lines: Vec<_> = text[..start].lines().enumerate().collect();
            let own = lines.iter().rev().take_while(|(_, line)| header_of(line).is_none());
            own.filter(|(_, line)| key_of(line) == Some(name)).map(|(number, _)| *number).last()
        }
    };
    let help = first.map_or_else(
        || "keep one of them".to_owned(),
        |first| format!("it stands on line {} already; keep one of them", first + 1),
    );
    (what, help)
}

/// The table that begins with `line`.
fn header_of(line: &str) -> Option<&str> {
    let (header, _) = line.trim_start().strip_prefix('[')?.split_once(']')?;
    Some(header.trim())
}

/// The key that `line` says something of.
fn key_of(line: &str) -> Option<&str> {
    line.split_once('=').map(|(key, _)| key.trim())
}
