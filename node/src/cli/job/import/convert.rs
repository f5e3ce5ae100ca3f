//! From the lines of a crontab to jobs, and to what is to be said of the rest.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::time::Span;

use super::crontab::{Entry, Line, What};
use super::name::NamesGiven;
use super::percent;
use super::schedule::{Times, times};
use super::wrap::wrap;
use crate::cli::job::moment::Place;
use crate::cli::table::printable;

/// What came of a crontab.
#[derive(Debug, Default)]
pub(super) struct Import {
    /// In the order of the crontab.
    pub(super) items: Vec<Item>,
    /// What is as it was, but in another form.
    pub(super) notes: Vec<String>,
    /// What is not as it was.
    pub(super) lost: Vec<String>,
    /// The lines of the jobs of which the crontab does not say by whose clocks they run.
    pub(super) zone_unsaid: Vec<usize>,
    /// Of the notes, those that are so of several entries.
    of_several: BTreeSet<String>,
}

/// What stands in the result.
#[derive(Debug)]
pub(super) enum Item {
    Job(Box<CronJob>),
    /// An entry that is no job, and why.
    LeftOut {
        line: usize,
        text: String,
        why: String,
    },
}

/// A job as `cluster.toml` will have it.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct CronJob {
    pub(super) name: String,
    /// Its line of the crontab.
    pub(super) line: usize,
    /// What stood above it.
    pub(super) comments: Vec<String>,
    /// As whom it ran.
    pub(super) user: Option<String>,
    pub(super) cron: String,
    pub(super) timezone: String,
    pub(super) jitter: Span,
    /// Whether no run begins while another goes on.
    pub(super) is_single: bool,
    /// A text for the shell.
    pub(super) run: String,
    pub(super) env: BTreeMap<String, String>,
    pub(super) cwd: Option<String>,
    /// What of it is as it was, but in another form.
    pub(super) notes: Vec<String>,
    /// What of it is not as it was.
    pub(super) lost: Option<String>,
}

/// Something that is as it was, but in another form.
struct Note {
    text: String,
    /// Whether it is so of one entry, and not of all for which the same was set.
    is_of_entry: bool,
}

impl Import {
    /// All that is carried over.
    pub(super) fn jobs(&self) -> impl Iterator<Item = &CronJob> {
        self.items.iter().filter_map(|item| match item {
            Item::Job(job) => Some(&**job),
            Item::LeftOut { .. } => None,
        })
    }

    /// Says something once, for however many entries it is so.
    fn note(&mut self, note: &str) {
        if self.of_several.insert(note.to_owned()) {
            self.notes.push(note.to_owned());
        }
    }
}

/// Makes jobs of a crontab. Where it does not say by whose clocks, it is by those of `zone`.
pub(super) fn convert(lines: &[Line<'_>], zone: &str, mut names: NamesGiven) -> Import {
    let mut import = Import::default();
    let mut variables = Variables::default();
    let mut comments = Vec::new();
    let mut users: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
    for Line { number, text, what } in lines {
        let above = std::mem::take(&mut comments);
        match what {
            What::Blank => {}
            What::Comment(comment) => {
                comments = above;
                comments.push(printable(comment.trim()));
            }
            What::Variable { name, value } => variables.set(*number, name, value, &mut import),
            What::Unreadable(why) => import.leave_out(*number, text, why),
            What::Entry(entry) if entry.command.contains('\0') => {
                import.leave_out(*number, text, &format!("the command {NUL}"));
            }
            What::Entry(entry) => match times(&entry.when) {
                Ok(times) => {
                    let name = names.give(entry.command);
                    let Some(mut job) = variables.job(name, entry, times, zone) else {
                        import.leave_out(*number, text, &variables.unknown_zone());
                        continue;
                    };
                    job.line = *number;
                    job.comments = above;
                    if variables.cron_zone.is_none() {
                        import.zone_unsaid.push(*number);
                    }
                    if let Some(user) = entry.user {
                        users.entry(user).or_default().push(*number);
                        job.lost = Some(format!("that user {user} runs it: {USER}"));
                    }
                    for Note { text, is_of_entry } in variables.notes(entry, &job) {
                        match is_of_entry {
                            true => import.notes.push(format!("line {number}: {text}")),
                            false => import.note(&text),
                        }
                        job.notes.push(text);
                    }
                    import.items.push(Item::Job(Box::new(job)));
                }
                Err(why) => import.leave_out(*number, text, &why),
            },
        }
    }
    for (user, lines) in users {
        let lines: Vec<_> = lines.iter().map(usize::to_string).collect();
        import.lost.push(format!("that user {user} runs it (line {}): {USER}", lines.join(", ")));
    }
    import
}

impl Import {
    fn leave_out(&mut self, line: usize, text: &str, why: &str) {
        let text = printable(text);
        self.lost.push(format!("line {line}: {text}\n  why: {}", why.replace('\n', "\n     ")));
        // Carets point at nothing among comments.
        let why = why.lines().next().unwrap_or_default().to_owned();
        self.items.push(Item::LeftOut { line, text, why });
    }
}

/// What was set above an entry.
#[derive(Debug, Default)]
struct Variables {
    env: BTreeMap<String, String>,
    /// If it is no `sh`.
    shell: Option<String>,
    cron_zone: Option<String>,
    home: Option<String>,
    delay: Span,
}

impl Variables {
    fn set(&mut self, line: usize, name: &str, value: &str, import: &mut Import) {
        match name {
            "SHELL" => {
                let is_sh = value.rsplit('/').next() == Some("sh");
                self.shell = (!is_sh).then(|| value.to_owned());
                return;
            }
            // Whatever else is said about mail says only how it would have looked.
            "MAILFROM" | "CONTENT_TYPE" | "CONTENT_TRANSFER_ENCODING" => return,
            // cron itself says who that is, whatever is written.
            "LOGNAME" => return,
            "MAILTO" => {
                if !value.is_empty() {
                    import.lost.push(format!(
                        "line {line}: no mail is sent to {value}; `alert` has a task told of \
                         failures, `umbel job history` shows what was printed"
                    ));
                }
                return;
            }
            "CRON_TZ" => {
                self.cron_zone = (!value.is_empty()).then(|| value.to_owned());
                return;
            }
            "RANDOM_DELAY" => {
                match value.parse::<u64>() {
                    Ok(minutes) => self.delay = Span::from_millis(minutes.saturating_mul(60_000)),
                    Err(_) => import.lost.push(format!(
                        "line {line}: {name} is a number of minutes, and {value:?} is none"
                    )),
                }
                return;
            }
            "HOME" => self.home = (!value.is_empty()).then(|| value.to_owned()),
            _ => {}
        }
        if value.contains('\0') {
            import.lost.push(format!("line {line}: {name} {NUL}"));
        } else if is_variable(name) {
            self.env.insert(name.to_owned(), value.to_owned());
        } else {
            import.lost.push(format!("line {line}: {name:?} cannot be the name of a variable"));
        }
    }

    /// The job, if it is known by whose clocks it runs.
    fn job(&self, name: String, entry: &Entry<'_>, times: Times, zone: &str) -> Option<CronJob> {
        let timezone = match &self.cron_zone {
            Some(zone) => Place::named(zone).ok().map(|place| place.name)?,
            None => zone.to_owned(),
        };
        let (command, input) = percent::split(entry.command);
        Some(CronJob {
            name,
            line: 0,
            comments: Vec::new(),
            user: entry.user.map(str::to_owned),
            cron: times.cron,
            timezone,
            jitter: if times.jitter.is_zero() { self.delay } else { times.jitter },
            is_single: entry.is_single,
            run: wrap(&command, input.as_deref(), self.shell.as_deref()),
            env: self.env.clone(),
            cwd: self.home.clone(),
            notes: Vec::new(),
            lost: None,
        })
    }

    /// What is another form of what stood there.
    fn notes(&self, entry: &Entry<'_>, job: &CronJob) -> Vec<Note> {
        let name = &job.name;
        let of_entry = |text: String| Note { text, is_of_entry: true };
        let of_all = |text: String| Note { text, is_of_entry: false };
        let mut notes = Vec::new();
        if let Some(shell) = &self.shell {
            notes.push(of_all(format!(
                "/bin/sh runs all commands, and has {shell} run those that want it"
            )));
        }
        if percent::split(entry.command).1.is_some() {
            notes.push(of_entry(format!("the input after % is part of the command of {name}")));
        }
        if !job.jitter.is_zero() {
            let why = times(&entry.when).ok().and_then(|times| times.note).unwrap_or(
                "what cron chooses at random each time it starts follows from the job's name here",
            );
            notes.push(of_entry(format!("{why} (jitter of {name})")));
        }
        if self.cron_zone.is_none() && self.env.get("TZ").is_some_and(|zone| !zone.is_empty()) {
            notes.push(of_all(
                "TZ is for the commands only, as in cron; CRON_TZ would say by whose clocks they run"
                    .to_owned(),
            ));
        }
        notes
    }

    fn unknown_zone(&self) -> String {
        let name = self.cron_zone.as_deref().unwrap_or_default();
        match Place::named(name) {
            Ok(_) => String::new(),
            Err(error) => format!("CRON_TZ: {error}"),
        }
    }
}

const USER: &str = "jobs run as the user that runs the node";
const NUL: &str = "holds a NUL character, which no program can be given";

fn is_variable(name: &str) -> bool {
    !name.starts_with(|c: char| c.is_ascii_digit())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

#[cfg(test)]
mod tests {
    use super::super::crontab::read;
    use super::*;

    fn import(text: &str) -> Import {
        convert(&read(text, false), "Europe/Berlin", NamesGiven::default())
    }

    #[test]
    fn variables_hold_for_the_entries_below_them() {
        let import = import(
            "@daily early\nPATH=/bin:/usr/bin\nHOME = \"/srv/app\"\nSHELL=/bin/sh\nMAILTO=\"\"\n\
             A={x}\n@daily late\n",
        );
        let [early, late] = &import.jobs().collect::<Vec<_>>()[..] else { panic!("{import:?}") };
        assert_eq!((early.name.as_str(), early.env.len(), &early.cwd), ("early", 0, &None));
        let env: Vec<_> = late.env.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(env, ["A={x}", "HOME=/srv/app", "PATH=/bin:/usr/bin"]);
        assert_eq!(
            (late.cwd.as_deref(), late.run.as_str()),
            (Some("/srv/app"), "exec </dev/null; late")
        );
        assert_eq!((late.line, late.timezone.as_str()), (7, "Europe/Berlin"));
        assert!(import.lost.is_empty() && import.notes.is_empty(), "{import:?}");
    }

    #[test]
    fn what_is_not_as_it_was_is_told() {
        for (text, told) in [
            ("@reboot x", "line 1: @reboot x\n  why: a cluster is not booted"),
            ("61 * * * * x", "line 1: 61 * * * * x\n  why: `61` is not a minute"),
            ("nonsense", "line 1: nonsense\n  why: an entry has five fields"),
            ("MAILTO=ops@example.org", "line 1: no mail is sent to ops@example.org"),
            ("A-B=c", "\"A-B\" cannot be the name of a variable"),
            ("CRON_TZ=Berlin\n@daily x", "CRON_TZ: there is no time zone \"Berlin\"; did you mean"),
            ("RANDOM_DELAY=soon", "RANDOM_DELAY is a number of minutes"),
            ("@daily a\0b", "why: the command holds a NUL character"),
            ("A=b\0", "line 1: A holds a NUL character"),
        ] {
            let import = import(text);
            assert_eq!(import.lost.len(), 1, "{text}: {import:?}");
            assert!(import.lost[0].contains(told), "{text}: {import:?}");
            assert_eq!(import.jobs().count(), 0, "{text}");
        }
    }

    #[test]
    fn what_is_in_another_form_is_told_and_no_fault() {
        for (text, told) in [
            ("SHELL=/bin/bash\n@daily a\n@daily b", "has /bin/bash run those"),
            (
                "@daily mail -s x y%hello",
                "line 1: the input after % is part of the command of mail",
            ),
            ("0~59 2 * * * x", "line 1: what cron chooses at random"),
            ("0 2~4 * * * x", "line 1: cron chooses a whole hour at random"),
            ("RANDOM_DELAY=30\n@daily x", "line 2: what cron chooses at random"),
            ("TZ=America/New_York\n@daily x\n@daily y", "TZ is for the commands only"),
        ] {
            let import = import(text);
            assert_eq!((import.notes.len(), import.lost.len()), (1, 0), "{text}: {import:?}");
            assert!(import.notes[0].contains(told), "{text}: {import:?}");
        }
    }

    #[test]
    fn clocks_are_those_that_the_crontab_names() {
        let import = import(
            "TZ=Asia/Tokyo\n@daily a\nCRON_TZ=UTC\n@daily b\nCRON_TZ=\nTZ=:Asia/Tokyo\n@daily c\n\
             TZ=\n@daily d",
        );
        let zones: Vec<_> = import.jobs().map(|job| job.timezone.as_str()).collect();
        assert_eq!(zones, ["Europe/Berlin", "UTC", "Europe/Berlin", "Europe/Berlin"]);
        let told: Vec<_> = import.jobs().map(|job| job.env["TZ"].as_str()).collect();
        assert_eq!(told, ["Asia/Tokyo", "Asia/Tokyo", ":Asia/Tokyo", ""]);
    }

    #[test]
    fn a_system_crontab_says_as_whom_which_is_not_carried_over() {
        let import = convert(
            &read("@daily root a\n@daily www b\n@daily root c", true),
            "UTC",
            NamesGiven::default(),
        );
        assert_eq!(import.lost.len(), 2);
        assert!(import.lost[0].starts_with("that user root runs it (line 1, 3): jobs run as"));
        assert_eq!(import.jobs().next().unwrap().user.as_deref(), Some("root"));
    }

    #[test]
    fn comments_stay_with_what_is_below_them() {
        let import = import("# about all\n\n# nightly\n#  and long\n@daily a\n@daily b\n");
        let comments: Vec<_> = import.jobs().map(|job| job.comments.join("|")).collect();
        assert_eq!(comments, ["nightly|and long", ""]);
    }
}
