//! Jobs as they stand in `cluster.toml`.

use toml::Value;
use umbel_protocol::job::{Labels, Misfire, On, Overlap};

use super::convert::{CronJob, Import, Item};
use crate::cli::job::words;
use crate::config::quantity::spelled;

/// Says what each job has in common with cron, for whoever knows what jobs do otherwise.
const HEAD: &str = "\
# Made of a crontab by `umbel job import`. As cron does it, what fails is not tried again (attempts),
# what was missed is not made up for (misfire), and a command has no input (exec </dev/null).
";

/// On which nodes the jobs run.
#[derive(Clone, Debug)]
pub(super) struct Where {
    pub(super) select: Labels,
    pub(super) on: On,
}

/// The sections of all jobs; what was left out stands between them as comments.
pub(super) fn toml(import: &Import, place: &Where) -> String {
    let mut text = String::from(HEAD);
    for item in &import.items {
        text.push('\n');
        match item {
            Item::Job(job) => push_job(&mut text, job, place),
            Item::LeftOut { line, text: entry, why } => {
                push_comment(&mut text, &format!("left out, line {line}: {entry}"));
                push_comment(&mut text, &format!("  {why}"));
            }
        }
    }
    text
}

/// What the file says of a job, key by key.
pub(super) fn keys(job: &CronJob, place: &Where) -> Vec<(&'static str, Value)> {
    let string = |text: &str| Value::String(text.to_owned());
    let mut keys = vec![("cron", string(&job.cron)), ("timezone", string(&job.timezone))];
    if !place.select.is_empty() {
        let labels = place.select.iter().map(|(name, value)| (name.to_owned(), string(value)));
        keys.push(("select", Value::Table(labels.collect())));
    }
    if place.on != On::default() {
        keys.push(("on", string(words::on(place.on))));
    }
    if !job.jitter.is_zero() {
        keys.push(("jitter", string(&spelled(job.jitter))));
    }
    keys.push(("misfire", string(words::misfire(Misfire::Skip))));
    if job.is_single {
        keys.push(("overlap", string(words::overlap(Overlap::Forbid))));
    }
    keys.push(("attempts", Value::Integer(1)));
    keys.extend([("run", string(&job.run)), ("shell", Value::Boolean(true))]);
    if !job.env.is_empty() {
        // Values have places for arguments in braces; here a brace is a brace.
        let literal = |value: &str| value.replace('{', "{{").replace('}', "}}");
        let set = job.env.iter().map(|(name, value)| (name.clone(), string(&literal(value))));
        keys.push(("env", Value::Table(set.collect())));
    }
    keys.extend(job.cwd.iter().map(|cwd| ("cwd", string(cwd))));
    keys
}

fn push_job(text: &mut String, job: &CronJob, place: &Where) {
    for comment in &job.comments {
        push_comment(text, comment);
    }
    push_comment(text, &format!("line {} of the crontab", job.line));
    if let Some(user) = &job.user {
        push_comment(text, &format!("ran as {user}; a job runs as the user that runs the node"));
    }
    text.push_str(&format!("[jobs.{}]\n", header(&job.name)));
    for (key, value) in keys(job, place) {
        text.push_str(&format!("{key} = {value}\n"));
    }
}

fn push_comment(text: &mut String, comment: &str) {
    // A comment ends with its line, and has no other control characters than tabs.
    let comment: String =
        comment.chars().map(|c| if c.is_control() && c != '\t' { ' ' } else { c }).collect();
    text.push_str(format!("# {comment}").trim_end());
    text.push('\n');
}

/// The name of a job as TOML wants it.
fn header(name: &str) -> String {
    let is_bare = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-');
    if !name.is_empty() && name.chars().all(is_bare) {
        return name.to_owned();
    }
    Value::String(name.to_owned()).to_string()
}

#[cfg(test)]
mod tests {
    use toml::Table;
    use umbel_protocol::job::Cron;

    use super::super::convert::convert;
    use super::super::crontab::read;
    use super::super::name::NamesGiven;
    use super::*;

    const ANYWHERE: Where = Where { select: Labels::NONE, on: On::One };

    const CRONTAB: &str = "\
# The backup,
#\tevery night.
PATH=/usr/bin:/bin
FORMAT={date}
30 2 * * *  backup --all 'it''s' \"$HOME\" | tee \\\\x  # why
@reboot     start
10~20 * * * 1-5 -s poll
0 8 * * MON mail -s \"100\\%\" root%Hello%'''\"\"\"%%bye
";

    #[test]
    fn what_is_written_can_be_read() {
        let import = convert(&read(CRONTAB, false), "Europe/Berlin", NamesGiven::default());
        let text = toml(&import, &ANYWHERE);
        let table: Table = text.parse().unwrap_or_else(|why| panic!("{why}\n{text}"));
        let jobs = table["jobs"].as_table().unwrap();
        assert_eq!(jobs.keys().collect::<Vec<_>>(), ["backup", "mail", "poll"]);
        for (name, job) in jobs {
            assert!(Cron::parse(job["cron"].as_str().unwrap()).is_ok(), "{name}");
            assert_eq!(job["timezone"].as_str(), Some("Europe/Berlin"));
            assert_eq!(job["shell"].as_bool(), Some(true));
            assert_eq!(job["attempts"].as_integer(), Some(1));
            assert_eq!(job["misfire"].as_str(), Some("skip"));
            assert_eq!(job["env"]["PATH"].as_str(), Some("/usr/bin:/bin"));
            assert_eq!(job["env"]["FORMAT"].as_str(), Some("{{date}}"));
        }
        let run = |name: &str| jobs[name]["run"].as_str().unwrap().to_owned();
        let backup = r#"exec </dev/null; backup --all 'it''s' "$HOME" | tee \\x  # why"#;
        assert_eq!(run("backup"), backup);
        assert_eq!(
            run("mail"),
            "{\nmail -s \"100%\" root\n} <<'END'\nHello\n'''\"\"\"\n\nbye\nEND\n"
        );
        assert_eq!(jobs["poll"]["jitter"].as_str(), Some("10m"));
        assert_eq!(jobs["poll"]["overlap"].as_str(), Some("forbid"));
    }

    #[test]
    fn jobs_run_where_it_is_said() {
        let place = Where { select: "role=db,a.b=c".parse().unwrap(), on: On::Each };
        let text = toml(
            &convert(&read("@daily x\n@daily y", false), "UTC", NamesGiven::default()),
            &place,
        );
        let table: Table = text.parse().unwrap_or_else(|why| panic!("{why}\n{text}"));
        for name in ["x", "y"] {
            let job = &table["jobs"][name];
            assert_eq!(job["select"]["role"].as_str(), Some("db"));
            assert_eq!(job["select"]["a.b"].as_str(), Some("c"));
            assert_eq!(job["on"].as_str(), Some("each"));
        }
    }

    #[test]
    fn it_reads_well() {
        let text = toml(&convert(&read(CRONTAB, false), "UTC", NamesGiven::default()), &ANYWHERE);
        let begin = "\n# line 5 of the crontab\n[jobs.backup]\ncron = \"30 2 * * *\"\n\
                     timezone = \"UTC\"\nmisfire = \"skip\"\nattempts = 1\nrun = ";
        assert!(text.starts_with(&format!("{HEAD}{begin}")), "{text}");
        let left_out = "\n# left out, line 6: @reboot     start\n#   a cluster is not booted";
        assert!(text.contains(left_out), "{text}");
    }

    #[test]
    fn nothing_in_a_crontab_ends_a_comment() {
        let text = toml(
            &convert(
                &read("#a\u{85}b\u{1b}[31m\n@daily x\n@often a\u{7}b", false),
                "UTC",
                NamesGiven::default(),
            ),
            &ANYWHERE,
        );
        let table: Table = text.parse().unwrap_or_else(|why| panic!("{why}\n{text}"));
        assert_eq!(table["jobs"].as_table().unwrap().len(), 1);
    }
}
