//! What a job is called that had no name: after the program that it runs, and where that was.

use std::collections::{BTreeMap, BTreeSet};
use std::str::FromStr;

use umbel_protocol::job::JobName;
use umbel_protocol::limits::NAME_BYTES_MAX;

/// What all names of a crontab begin with, so that those of several can stand in one file.
#[derive(Clone, Debug, Default)]
pub(super) struct Prefix(String);

impl FromStr for Prefix {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        text.parse::<JobName>().map_err(|error| error.to_string())?;
        if text.len() > PREFIX_BYTES_MAX {
            return Err(format!("it has at most {PREFIX_BYTES_MAX} characters"));
        }
        let dash = if text.ends_with(|c: char| c.is_ascii_alphanumeric()) { "-" } else { "" };
        Ok(Self(format!("{text}{dash}")))
    }
}

/// Names that were given.
#[derive(Debug, Default)]
pub(super) struct NamesGiven {
    prefix: Prefix,
    all: BTreeSet<String>,
    /// How many numbers were tried for each name without one, so that none is tried twice.
    tried: BTreeMap<String, u64>,
}

impl NamesGiven {
    pub(super) fn new(prefix: Prefix) -> Self {
        Self { prefix, ..Self::default() }
    }

    /// A name for what runs `command`, unlike all before: `backup`, `backup-2`, after the prefix.
    pub(super) fn give(&mut self, command: &str) -> String {
        let base = name_of(command);
        let tried = self.tried.entry(base.clone()).or_default();
        loop {
            *tried += 1;
            let name = match *tried {
                1 => base.clone(),
                number => format!("{base}-{number}"),
            };
            if self.all.insert(name.clone()) {
                return format!("{}{name}", self.prefix.0);
            }
        }
    }
}

/// What begins a command that only prepares for another one.
const PREPARES: [&str; 17] = [
    ".", ":", "[", "[[", "cd", "echo", "exit", "export", "false", "set", "sleep", "source", "test",
    "trap", "true", "ulimit", "umask",
];
/// Words of the shell before a command.
const WORDS: [&str; 9] = ["!", "{", "}", "do", "else", "if", "then", "until", "while"];
/// Programs that run the one that is named after them.
const WRAPPERS: [&str; 21] = [
    "chronic",
    "chrt",
    "command",
    "cronic",
    "doas",
    "env",
    "exec",
    "flock",
    "ionice",
    "lckdo",
    "nice",
    "nohup",
    "runuser",
    "setsid",
    "stdbuf",
    "su",
    "sudo",
    "systemd-cat",
    "taskset",
    "time",
    "timeout",
];
/// Of these, the ones that are told of a lock or a user first.
const WITH_ONE_BEFORE: [&str; 3] = ["flock", "lckdo", "su"];
/// Programs that run a text or a file.
const INTERPRETERS: [&str; 12] = [
    "bash",
    "dash",
    "java",
    "ksh",
    "node",
    "perl",
    "php",
    "python",
    "ruby",
    "run-parts",
    "sh",
    "zsh",
];
/// Ends of the names of scripts that say nothing.
const ENDINGS: [&str; 8] = [".bash", ".jar", ".js", ".php", ".pl", ".py", ".rb", ".sh"];
/// Enough to know it by.
const LENGTH_MAX: usize = 60;
/// What is left of a name beside a dash, the program, and a dash with a number.
const PREFIX_BYTES_MAX: usize = NAME_BYTES_MAX - (1 + LENGTH_MAX + 1 + 20);
/// A command in a command in a command is no name any more.
const DEPTH_MAX: usize = 4;

fn name_of(command: &str) -> String {
    let program = program(command, 0).unwrap_or_default();
    let program = program.rsplit('/').find(|part| !part.is_empty()).unwrap_or_default();
    let ending = ENDINGS.iter().find_map(|ending| program.strip_suffix(ending));
    let program = ending.unwrap_or(program);
    let legal = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    let name: String =
        program.chars().take(LENGTH_MAX).map(|c| if legal(c) { c } else { '-' }).collect();
    match name.trim_matches('-') {
        "" => "job".to_owned(),
        name => name.to_owned(),
    }
}

/// The program that does the work.
fn program(command: &str, depth: usize) -> Option<String> {
    let parts = parts(command);
    let found = parts.iter().find_map(|words| program_of(words, depth));
    // Where all of it only prepares, that is the work.
    found.or_else(|| parts.iter().flatten().find(|word| !WORDS.contains(&word.as_str())).cloned())
}

fn program_of(words: &[String], depth: usize) -> Option<String> {
    let mut words = words
        .iter()
        .map(String::as_str)
        .skip_while(|word| WORDS.contains(word) || is_assignment(word))
        .peekable();
    loop {
        let word = words.next()?;
        let base = word.rsplit('/').next().unwrap_or(word);
        if PREPARES.contains(&base) {
            return None;
        }
        let is_interpreter = INTERPRETERS.iter().any(|known| {
            base.strip_prefix(known)
                .is_some_and(|rest| rest.chars().all(|c| c.is_ascii_digit() || c == '.'))
        });
        if is_interpreter {
            return script(&mut words, depth).or_else(|| Some(word.to_owned()));
        }
        if !WRAPPERS.contains(&base) {
            return Some(word.to_owned());
        }
        let mut skips_one = WITH_ONE_BEFORE.contains(&base);
        while let Some(next) = words.peek().copied() {
            let is_option = next.starts_with('-');
            let is_number = next.starts_with(|c: char| c.is_ascii_digit());
            if is_option || is_number || is_assignment(next) {
                words.next();
                if matches!(next, "-u" | "-g" | "-k" | "-w" | "-t") {
                    words.next();
                }
                if next == "-c" && base != "ionice" {
                    return words.next().and_then(|text| deeper(text, depth));
                }
            } else if skips_one {
                skips_one = false;
                words.next();
            } else {
                break;
            }
        }
    }
}

/// What an interpreter is to run.
fn script<'a>(words: &mut impl Iterator<Item = &'a str>, depth: usize) -> Option<String> {
    while let Some(word) = words.next() {
        match word {
            "-c" | "-lc" | "-ec" | "-xc" => return deeper(words.next()?, depth),
            "-m" | "-jar" | "-f" => return words.next().map(str::to_owned),
            word if word.starts_with('-') => {}
            word => return Some(word.to_owned()),
        }
    }
    None
}

fn deeper(text: &str, depth: usize) -> Option<String> {
    if depth < DEPTH_MAX { program(text, depth + 1) } else { None }
}

fn is_assignment(word: &str) -> bool {
    word.split_once('=').is_some_and(|(name, _)| {
        !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
    })
}

/// The commands that a line consists of, each as its words without quotes.
fn parts(command: &str) -> Vec<Vec<String>> {
    let mut parts = vec![Vec::new()];
    let mut word: Option<String> = None;
    let mut quote = None;
    let mut chars = command.chars();
    let end = |word: &mut Option<String>, parts: &mut Vec<Vec<String>>| {
        if let (Some(word), Some(part)) = (word.take(), parts.last_mut()) {
            part.push(word);
        }
    };
    while let Some(c) = chars.next() {
        match (c, quote) {
            (c, Some(open)) if c == open => quote = None,
            ('\\', None | Some('"')) => word.get_or_insert_default().extend(chars.next()),
            (c, Some(_)) => word.get_or_insert_default().push(c),
            ('"' | '\'', None) => {
                quote = Some(c);
                word.get_or_insert_default();
            }
            (';' | '&' | '|' | '(' | ')' | '\n', None) => {
                end(&mut word, &mut parts);
                parts.push(Vec::new());
            }
            (c, None) if c.is_whitespace() => end(&mut word, &mut parts),
            (c, None) => word.get_or_insert_default().push(c),
        }
    }
    end(&mut word, &mut parts);
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_is_called_after_its_program() {
        for (command, name) in [
            ("/usr/local/bin/backup --all", "backup"),
            ("backup.sh", "backup"),
            ("cd /srv && ./clean.py >/dev/null 2>&1", "clean"),
            ("A=b C='d e' run", "run"),
            ("nice -n 10 ionice -c2 -n7 /opt/report", "report"),
            ("flock -n /tmp/x.lock /opt/sync.sh a", "sync"),
            ("flock -n /tmp/x.lock -c 'cd /a && /opt/sync.sh a'", "sync"),
            ("timeout -k 5s 10m fetch", "fetch"),
            ("sudo -u www-data php /srv/cron.php", "cron"),
            ("php8.2 -f /srv/cron.php", "cron"),
            ("python3 -m reports.daily", "reports-daily"),
            ("java -Xmx1g -jar /opt/app.jar", "app"),
            ("/bin/bash -lc 'cd /srv; bin/rake tidy'", "rake"),
            ("su - app -c 'run'", "run"),
            (
                "test -x /usr/sbin/anacron || { cd / && run-parts --report /etc/cron.daily; }",
                "cron-daily",
            ),
            ("[ -x /usr/bin/x ] && /usr/bin/x -q", "x"),
            ("(cd /a; make)", "make"),
            ("sleep 5", "sleep"),
            ("echo hello", "echo"),
            ("\"/opt/my tool/do it.sh\"", "do-it"),
            ("/opt/größe", "gr--e"),
            ("$HOME/bin/x", "x"),
            ("env PATH=/bin x", "x"),
            ("bash", "bash"),
            ("'", "job"),
            ("...", "job"),
            ("", "job"),
        ] {
            assert_eq!(name_of(command), name, "{command}");
        }
        assert!(name_of(&"x".repeat(500)).len() <= LENGTH_MAX);
    }

    #[test]
    fn no_name_is_given_twice() {
        let mut names = NamesGiven::default();
        let given = ["backup", "/x/backup", "backup-2", "backup.sh"].map(|line| names.give(line));
        assert_eq!(given, ["backup", "backup-2", "backup-2-2", "backup-3"]);
        let given = ["a-2", "a", "a", "a-2"].map(|line| names.give(line));
        assert_eq!(given, ["a-2", "a", "a-3", "a-2-2"]);
    }

    #[test]
    fn names_of_several_crontabs_differ() {
        for (prefix, name) in [
            ("web-1", "web-1-backup"),
            ("web-1.example.org", "web-1.example.org-backup"),
            ("web-1/", "web-1/backup"),
            ("web_", "web_backup"),
        ] {
            let mut names = NamesGiven::new(prefix.parse().unwrap());
            assert_eq!(names.give("backup"), name);
            assert_eq!(names.give("backup"), format!("{name}-2"));
        }
        for prefix in ["", "a b", "größe", &"x".repeat(PREFIX_BYTES_MAX + 1)] {
            assert!(prefix.parse::<Prefix>().is_err(), "{prefix}");
        }
        let mut names = NamesGiven::new("x".repeat(PREFIX_BYTES_MAX).parse().unwrap());
        for _ in 0..10 {
            let name = names.give(&"y".repeat(500));
            assert!(name.parse::<JobName>().is_ok(), "{name}");
        }
    }
}
