//! The column with the user: whether a crontab has it, by what stands there.
//!
//! Nothing else tells a system crontab from one of a user, and read in the wrong way each becomes jobs
//! that run something else: a program called `root`, or the arguments of what was taken for a user.

use super::crontab::{Line, NO_USER, What, word};

/// Users that have entries in system crontabs, and whose names no program has that cron runs.
const KNOWN: [&str; 6] = ["apache", "nobody", "postgres", "root", "www", "www-data"];

/// Whether a user may be called that.
pub(super) fn is_name(word: &str) -> bool {
    // The account of a machine in a domain ends with a dollar sign.
    let name = word.strip_suffix('$').unwrap_or(word);
    let begins = |c: char| c.is_alphanumeric() || c == '_';
    name.starts_with(begins)
        && name.chars().all(|c| begins(c) || matches!(c, '-' | '.' | '@' | '+' | ':' | '\\'))
}

/// What to do instead, if it is clear that the lines were read in the wrong way.
pub(super) fn mistaken(lines: &[Line<'_>], is_system: bool) -> Option<&'static str> {
    let mut commands = lines.iter().filter_map(|line| match &line.what {
        What::Entry(entry) => Some(entry.command),
        What::Blank | What::Comment(_) | What::Variable { .. } | What::Unreadable(_) => None,
    });
    if is_system {
        let no_user = lines.iter().any(|line| line.what == What::Unreadable(NO_USER));
        return (no_user && commands.next().is_none())
            .then_some("no entry has a user before its command: leave out --system");
    }
    let mut commands = commands.peekable();
    let is_system = commands.peek().is_some() && commands.all(begins_with_user);
    is_system.then_some(
        "each entry begins with a user, as in a system crontab: say --system, or name a program \
         that is called so by its path",
    )
}

/// Whether it is a user and a command, rather than a program and what that is told.
fn begins_with_user(command: &str) -> bool {
    word(command).is_some_and(|(first, rest)| {
        KNOWN.contains(&first) && !rest.is_empty() && !rest.starts_with('-')
    })
}

#[cfg(test)]
mod tests {
    use super::super::crontab::read;
    use super::*;

    #[test]
    fn names_are_no_paths_and_no_shell() {
        for name in r"root www-data _apt j.doe a@b.c D+u D\u host$ größe".split(' ') {
            assert!(is_name(name), "{name}");
        }
        for word in "/bin/a bin/a ./a ~/a $HOME A=b * [ (cd { : . ! -q a; 'a' a>b `a` $".split(' ')
        {
            assert!(!is_name(word), "{word}");
        }
    }

    const DEBIAN: &str = "\
# /etc/crontab: system-wide crontab
SHELL=/bin/sh
# m h dom mon dow user  command
17 *\t* * *\troot    cd / && run-parts --report /etc/cron.hourly
25 6\t* * *\troot\ttest -x /usr/sbin/anacron || ( cd / && run-parts --report /etc/cron.daily )
";

    #[test]
    fn a_system_crontab_is_known_by_its_users() {
        for (text, is_so) in [
            (DEBIAN, true),
            ("@reboot root a", true),
            ("0 5 * * * root a\n0 6 * * * www-data b", true),
            // Others may be programs, and so may these.
            ("0 5 * * * backup a\n0 6 * * * git pull", false),
            ("0 5 * * * root a\n0 6 * * * b", false),
            ("0 5 * * * root -b fit.C", false),
            ("0 5 * * * root", false),
            ("0 5 * * * /opt/root a", false),
            ("0 5 * * * rooted a", false),
            ("A=root a\n# 0 5 * * * root a", false),
            ("", false),
        ] {
            let told = mistaken(&read(text, false), false);
            assert_eq!(told.is_some_and(|why| why.contains("say --system")), is_so, "{text}");
        }
    }

    #[test]
    fn a_crontab_of_a_user_is_known_by_having_none() {
        for (text, is_so) in [
            ("0 5 * * * /usr/bin/foo a", true),
            ("0 5 * * * ./foo a\n0 6 * * * foo\n@daily [ -x b ]", true),
            // One line is wrong, not all of them.
            (DEBIAN, false),
            ("0 5 * * * /usr/bin/foo a\n0 6 * * * root b", false),
            ("nonsense", false),
        ] {
            let told = mistaken(&read(text, true), true);
            assert_eq!(told.is_some_and(|why| why.contains("leave out --system")), is_so, "{text}");
        }
    }
}
