//! The lines of a crontab: comments, variables and entries.
//!
//! As cron reads them: a line that may set a variable does, all other lines that are no comments are
//! entries. There are no quotes and no continued lines in entries.

use super::user;

/// One line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Line<'a> {
    /// From 1.
    pub(super) number: usize,
    /// Without spaces around it.
    pub(super) text: &'a str,
    pub(super) what: What<'a>,
}

/// What a line says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum What<'a> {
    Blank,
    /// Without its sign.
    Comment(&'a str),
    Entry(Entry<'a>),
    /// Holds for the entries below it.
    Variable {
        name: &'a str,
        value: &'a str,
    },
    /// Neither, and why.
    Unreadable(&'static str),
}

/// A line that runs something.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    pub(super) when: When<'a>,
    /// As whom, in a system crontab.
    pub(super) user: Option<&'a str>,
    /// Whether the next run waits until the last one has ended: `-s` of some crons.
    pub(super) is_single: bool,
    /// To the end of the line.
    pub(super) command: &'a str,
}

/// When an entry runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum When<'a> {
    /// Minute, hour, day of month, month, day of week.
    Fields([&'a str; 5]),
    /// A word with an `@`.
    Word(&'a str),
}

/// Reads a crontab, with a column for the user if it is that of a system.
pub(super) fn read(text: &str, is_system: bool) -> Vec<Line<'_>> {
    let lines = text.strip_prefix('\u{feff}').unwrap_or(text).lines();
    lines
        .enumerate()
        .map(|(at, line)| {
            let text = line.trim_matches(is_space);
            Line { number: at + 1, text, what: what(text, is_system) }
        })
        .collect()
}

fn what(text: &str, is_system: bool) -> What<'_> {
    if text.is_empty() {
        return What::Blank;
    }
    if let Some(comment) = text.strip_prefix('#') {
        return What::Comment(comment);
    }
    if let Some((name, value)) = variable(text) {
        return What::Variable { name, value };
    }
    match entry(text, is_system) {
        Ok(entry) => What::Entry(entry),
        Err(why) => What::Unreadable(why),
    }
}

/// `NAME = value`, each in quotes or not.
fn variable(text: &str) -> Option<(&str, &str)> {
    let (name, rest) = match quoted(text) {
        Some(parts) => parts,
        None => text.split_at(text.find(|c: char| c == '=' || is_space(c))?),
    };
    let value = rest.trim_start_matches(is_space).strip_prefix('=')?.trim_matches(is_space);
    if name.is_empty() {
        return None;
    }
    match quoted(value) {
        Some((value, "")) => Some((name, value)),
        None if !value.starts_with(['"', '\'']) => Some((name, value)),
        // A quote that does not end at the end makes an entry of it, or nothing.
        Some(_) | None => None,
    }
}

/// What is in the quotes at the beginning of `text`, and what comes after them.
fn quoted(text: &str) -> Option<(&str, &str)> {
    let quote = text.chars().next().filter(|c| matches!(c, '"' | '\''))?;
    text[1..].split_once(quote)
}

fn entry(text: &str, is_system: bool) -> Result<Entry<'_>, &'static str> {
    // cron is not to log what it runs: nothing that matters here.
    let text = text.strip_prefix('-').unwrap_or(text);
    let (when, rest) = if text.starts_with('@') {
        let (word, rest) = word(text).ok_or(NO_COMMAND)?;
        (When::Word(word), rest)
    } else {
        let mut rest = text;
        let mut fields = [""; 5];
        for field in &mut fields {
            (*field, rest) = word(rest).ok_or("an entry has five fields and a command")?;
        }
        (When::Fields(fields), rest)
    };
    let (user, rest) = match is_system {
        true => {
            let (user, rest) = word(rest).ok_or("an entry of a system has a user, too")?;
            if !user::is_name(user) {
                return Err(NO_USER);
            }
            (Some(user), rest)
        }
        false => (None, rest),
    };
    let mut command = rest;
    let mut is_single = false;
    // What some crons let say between: no mail, no log, one at a time. No command begins so.
    while let Some((flag @ ("-n" | "-q" | "-s"), rest)) = word(command) {
        is_single |= flag == "-s";
        command = rest;
    }
    if command.is_empty() {
        return Err(NO_COMMAND);
    }
    Ok(Entry { when, user, is_single, command })
}

/// The first word of `text`, and what comes after it.
pub(super) fn word(text: &str) -> Option<(&str, &str)> {
    let text = text.trim_start_matches(is_space);
    let (word, rest) = text.split_at(text.find(is_space).unwrap_or(text.len()));
    (!word.is_empty()).then(|| (word, rest.trim_start_matches(is_space)))
}

fn is_space(c: char) -> bool {
    matches!(c, ' ' | '\t' | '\r')
}

const NO_COMMAND: &str = "an entry has a command";
pub(super) const NO_USER: &str =
    "what stands before the command is no user: leave out --system if the crontab has no users";

#[cfg(test)]
mod tests {
    use super::*;

    fn one(text: &str, is_system: bool) -> What<'_> {
        let [line] = &read(text, is_system)[..] else { panic!("{text:?}") };
        line.what.clone()
    }

    #[test]
    fn variables_are_set_as_cron_does_it() {
        for (text, expected) in [
            ("A=b", Some(("A", "b"))),
            ("  A = b c  ", Some(("A", "b c"))),
            ("A=", Some(("A", ""))),
            ("MAILTO=\"\"", Some(("MAILTO", ""))),
            ("A = \" b \"", Some(("A", " b "))),
            ("'A' = 'b\"'", Some(("A", "b\""))),
            ("\"A\"=b", Some(("A", "b"))),
            ("A=b#c", Some(("A", "b#c"))),
            ("A=b=c", Some(("A", "b=c"))),
            ("PATH=$HOME/bin:/bin\r", Some(("PATH", "$HOME/bin:/bin"))),
            ("A=\"b\" c", None),
            ("A=\"b", None),
            ("=b", None),
            ("* * * * * A=b c", None),
            ("@daily A=b c", None),
        ] {
            let found = match one(text, false) {
                What::Variable { name, value } => Some((name, value)),
                _ => None,
            };
            assert_eq!(found, expected, "{text:?}");
        }
    }

    fn fields(fields: [&'static str; 5], command: &'static str) -> Entry<'static> {
        Entry { when: When::Fields(fields), user: None, is_single: false, command }
    }

    #[test]
    fn entries_are_split() {
        let daily = ["0", "5", "*", "*", "1-5"];
        for (text, is_system, expected) in [
            ("0 5 * * 1-5 run  it", false, fields(daily, "run  it")),
            ("\t0\t5 *  * 1-5\trun", false, fields(daily, "run")),
            ("-0 5 * * 1-5 run", false, fields(daily, "run")),
            (
                "0 5 * * 1-5 -q -s run -n",
                false,
                Entry { is_single: true, ..fields(daily, "run -n") },
            ),
            ("0 5 * * 1-5 root run", true, Entry { user: Some("root"), ..fields(daily, "run") }),
            ("0 5 * * 1-5 A=b run # why", false, fields(daily, "A=b run # why")),
            ("@daily run", false, Entry { when: When::Word("@daily"), ..fields(daily, "run") }),
            (
                "@daily root run",
                true,
                Entry { when: When::Word("@daily"), user: Some("root"), ..fields(daily, "run") },
            ),
        ] {
            assert_eq!(one(text, is_system), What::Entry(expected), "{text:?}");
        }
    }

    #[test]
    fn the_rest_is_nothing_or_nonsense() {
        for text in ["# a", "#", "  # a"] {
            assert!(matches!(one(text, false), What::Comment(_)), "{text:?}");
        }
        assert_eq!(one("  \t", false), What::Blank);
        for (text, is_system) in [
            ("0 5 * *", false),
            ("0 5 * * *", false),
            ("@daily", false),
            ("0 5 * * * root", true),
            ("0 5 * * * /usr/bin/run a", true),
            ("run", false),
            ("0 5 * * * -q", false),
        ] {
            assert!(matches!(one(text, is_system), What::Unreadable(_)), "{text:?}");
        }
        let numbers: Vec<_> = read("\u{feff}A=b\n\n# c\n", false);
        assert_eq!(numbers.iter().map(|line| line.number).collect::<Vec<_>>(), [1, 2, 3]);
        assert_eq!(numbers[0].what, What::Variable { name: "A", value: "b" });
    }
}
