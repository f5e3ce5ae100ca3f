//! A command of a crontab as a text for `/bin/sh`, with its input and by its own shell.
//!
//! A task finds its arguments on stdin, and a job without any `null`. cron gives a command nothing but
//! what follows a `%`, and many take whatever they are given: `cat`, `mail`, `ssh`.

/// The text. `shell` is what the crontab wants its commands to be run by, if that is no `sh`.
pub(super) fn wrap(command: &str, input: Option<&str>, shell: Option<&str>) -> String {
    let command = match shell {
        Some(shell) => format!("{} -c {}", quote(shell), quote(command)),
        None => command.to_owned(),
    };
    let input = input.unwrap_or_default();
    if input.is_empty() {
        // Before the command, for it holds for all that it consists of.
        return format!("exec </dev/null; {command}");
    }
    // All that the command consists of shares its input, and a comment in it ends with its line.
    let command = match shell {
        Some(_) => command,
        None => format!("{{\n{command}\n}}"),
    };
    let mut end = "END".to_owned();
    while input.lines().any(|line| line == end) {
        end.push('_');
    }
    format!("{command} <<'{end}'\n{input}{end}\n")
}

/// One word for `sh`, as it is.
fn quote(text: &str) -> String {
    let is_plain =
        |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | '/' | ':' | '=');
    if !text.is_empty() && text.chars().all(is_plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', r"'\''"))
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_plain_stays_as_it_is() {
        for (command, shell, text) in [
            ("a && b >/dev/null 2>&1", None, "a && b >/dev/null 2>&1"),
            ("a", Some("/bin/bash"), "/bin/bash -c a"),
            ("echo 'a'", Some("/bin/bash"), r"/bin/bash -c 'echo '\''a'\'''"),
        ] {
            assert_eq!(wrap(command, None, shell), format!("exec </dev/null; {text}"));
        }
    }

    /// What it prints, and with which code it ends, where stdin is that of a task.
    fn run(text: &str) -> (String, Option<i32>) {
        let (arguments, mut feed) = std::io::pipe().unwrap();
        feed.write_all(b"null").unwrap();
        drop(feed);
        let ran = Command::new("/bin/sh").args(["-c", text]).stdin(arguments).output().unwrap();
        (String::from_utf8(ran.stdout).unwrap(), ran.status.code())
    }

    #[test]
    fn a_shell_does_with_it_what_cron_does() {
        for (command, input, shell, printed, code) in [
            ("cat", Some("a\nEND\n$HOME `b`\n"), None, "a\nEND\n$HOME `b`\n", 0),
            ("read a; echo $a; cat # all", Some("1\n2\n"), None, "1\n2\n", 0),
            ("cat; exit 3", Some("1\n"), None, "1\n", 3),
            ("cat", Some(""), None, "", 0),
            ("cat; exit 4", Some("1\n"), Some("/bin/sh"), "1\n", 4),
            ("cat", None, None, "", 0),
            ("(cat; cat) | cat && exit 5 # all", None, None, "", 5),
            ("while read a; do echo $a; done; exit 6", None, Some("/bin/sh"), "", 6),
            ("cat </dev/zero | head -c 1 | tr '\\0' 1", None, None, "1", 0),
            (r#"echo "it's" '$HOME'"#, None, Some("/bin/sh"), "it's $HOME\n", 0),
        ] {
            let text = wrap(command, input, shell);
            assert_eq!(run(&text), (printed.to_owned(), Some(code)), "{text}");
        }
    }
}
