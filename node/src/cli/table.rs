//! Columns for people.

/// `rows` below `head`, each column as wide as its widest cell. The last one may be of any width.
pub(super) fn table<const N: usize>(head: [&str; N], rows: &[[String; N]]) -> Vec<String> {
    let mut widths = head.map(|cell| cell.chars().count());
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: [&str; N]| {
        let mut line = String::new();
        for (cell, width) in cells.into_iter().zip(widths) {
            line.push_str(&format!("{cell:width$}  "));
        }
        line.truncate(line.trim_end().len());
        line
    };
    let mut lines = vec![line(head)];
    lines.extend(rows.iter().map(|row| line(row.each_ref().map(String::as_str))));
    lines
}

/// Names and what they stand for, one below the other. Further lines of a fact stand below its first.
pub(super) fn facts(facts: &[(&str, String)]) -> Vec<String> {
    let width = facts.iter().map(|(name, _)| name.len()).max().unwrap_or_default();
    facts
        .iter()
        .map(|(name, fact)| {
            let fact = fact.replace('\n', &format!("\n{:width$}  ", ""));
            format!("{name:width$}  {fact}").trim_end().to_owned()
        })
        .collect()
}

/// The beginning of `text` on one line, at most `max` characters.
pub(super) fn brief(text: &str, max: usize) -> String {
    let mut shown: String =
        text.chars().take(max + 1).map(|c| if c.is_control() { ' ' } else { c }).collect();
    if shown.chars().count() > max {
        shown = shown.chars().take(max.saturating_sub(3)).collect::<String>() + "...";
    }
    shown
}

/// The end of `text` on one line, at most `max` characters: of what a program printed, the last is what
/// says how it ended.
pub(super) fn brief_end(text: &str, max: usize) -> String {
    let shown: Vec<char> = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    match shown.len().checked_sub(max) {
        None | Some(0) => shown.into_iter().collect(),
        Some(excess) => "...".chars().chain(shown.into_iter().skip(excess + 3)).collect(),
    }
}

/// `text` without what terminals obey; its lines stay.
pub(super) fn printable(text: &str) -> String {
    text.replace(|c: char| c.is_control() && !matches!(c, '\n' | '\t'), "\u{fffd}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_aligned() {
        let rows =
            [["a", "127.0.0.1:7400", ""], ["länger", "b", "x"]].map(|r| r.map(str::to_owned));
        assert_eq!(
            table(["NODE", "ADDRESS", "STATE"], &rows),
            [
                "NODE    ADDRESS         STATE",
                "a       127.0.0.1:7400",
                "länger  b               x",
            ]
        );
        let told = [("a", "1".into()), ("abc", "2\n3".into())];
        assert_eq!(facts(&told), ["a    1", "abc  2\n     3"]);
    }

    #[test]
    fn long_texts_are_cut() {
        assert_eq!(brief("a\nb", 10), "a b");
        assert_eq!(brief("0123456789", 10), "0123456789");
        assert_eq!(brief("0123456789a", 10), "0123456...");
        assert_eq!(brief_end("a\nb", 10), "a b");
        assert_eq!(brief_end("0123456789", 10), "0123456789");
        assert_eq!(brief_end("0123456789ä", 10), "...456789ä");
    }
}
