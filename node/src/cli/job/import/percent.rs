//! The percent signs of a crontab's command: the first one ends it, and what follows is its input.

/// The command, and its input if it has one. Further signs begin new lines of that; one with a
/// backslash before it is a percent sign.
pub(super) fn split(text: &str) -> (String, Option<String>) {
    let mut command = String::new();
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => return (command, Some(input(chars.as_str()))),
            '\\' => match chars.next() {
                Some('%') => command.push('%'),
                next => command.extend(std::iter::once('\\').chain(next)),
            },
            c => command.push(c),
        }
    }
    (command, None)
}

/// Ends with a newline, unless it is nothing at all.
fn input(text: &str) -> String {
    let mut input = String::new();
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '%' => input.push('\n'),
            '\\' if chars.next_if_eq(&'%').is_some() => input.push('%'),
            c => input.push(c),
        }
    }
    if !input.is_empty() && !input.ends_with('\n') {
        input.push('\n');
    }
    input
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_sign_ends_the_command() {
        for (text, command, input) in [
            ("run it", "run it", None),
            ("mail -s hi root%Hello,%%it works", "mail -s hi root", Some("Hello,\n\nit works\n")),
            (r"date +\%F", "date +%F", None),
            (r"date +\%F%a\%b%", "date +%F", Some("a%b\n")),
            ("cat%", "cat", Some("")),
            ("cat%%", "cat", Some("\n")),
            // A backslash that is escaped escapes nothing.
            (r"echo \\%in", r"echo \\", Some("in\n")),
            (r"echo \n \", r"echo \n \", None),
            (r"cat%a\b\", "cat", Some("a\\b\\\n")),
        ] {
            assert_eq!(split(text), (command.to_owned(), input.map(str::to_owned)), "{text:?}");
        }
    }
}
