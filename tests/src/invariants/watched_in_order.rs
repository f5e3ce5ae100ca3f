//! Whoever watches a task hears what its runs say in order, nothing twice and nothing left out, whoever
//! runs it and whoever owns it meanwhile.
//!
//! Runs here say their lines as numbers, from zero. What was not told before an end may be lost with a
//! node or a message; what is told is never out of its place.

use umbel_protocol::journal::{News, Place, Seen};

/// A watcher is told this who knew as much; what it knows now.
///
/// # Errors
/// If something comes twice or out of its place.
pub fn on_news(seen: Option<Seen>, news: &News) -> Result<Seen, String> {
    let known = seen.filter(|seen| seen.token == news.token);
    if let (Some(before), None) = (seen, known)
        && before.token > news.token
    {
        return Err(format!("{} is told of after {}", news.token, before.token));
    }
    let place = known.map(|seen| seen.place).unwrap_or_default();
    let told = news.words.place();
    if news.words.first != place.lines {
        return Err(format!(
            "{} lines were known, told are those after {}",
            place.lines, news.words.first
        ));
    }
    for (number, line) in (news.words.first..).zip(&news.words.lines) {
        if *line.text != *number.to_string() {
            return Err(format!("line {number} is {:?}", line.text));
        }
    }
    let is_new = told.lines > place.lines || told.changes > place.changes;
    if known.is_some() && !is_new {
        return Err(format!("{place:?} was known, and {told:?} is told as news"));
    }
    let place = Place { changes: told.changes.max(place.changes), lines: told.lines };
    Ok(Seen { token: news.token, place })
}
