//! What became of each entry of a crontab, as a line of JSON.
//!
//! What the file would say of its job stands under the keys that it has there. What concerns no single
//! entry is not told here.

use serde::{Serialize, Serializer};
use toml::Value;

use super::convert::{CronJob, Import, Item};
use super::write::{Where, keys};

/// An entry.
#[derive(Debug, Serialize)]
pub(super) struct EntryLine<'a> {
    /// Its line of the crontab.
    line: usize,
    /// Null if no job came of it.
    name: Option<&'a str>,
    #[serde(flatten)]
    keys: Keys,
    /// What is as it was, but in another form.
    notes: &'a [String],
    /// What of it was not carried over, and why.
    lost: Option<&'a str>,
}

/// In the order of the file.
#[derive(Debug)]
struct Keys(Vec<(&'static str, Value)>);

/// All entries, in the order of the crontab.
pub(super) fn entries<'a>(
    import: &'a Import,
    place: &Where,
) -> impl Iterator<Item = EntryLine<'a>> {
    import.items.iter().map(|item| match item {
        Item::Job(job) => EntryLine::of(job, place),
        Item::LeftOut { line, why, .. } => EntryLine {
            line: *line,
            name: None,
            keys: Keys(Vec::new()),
            notes: &[],
            lost: Some(why),
        },
    })
}

impl<'a> EntryLine<'a> {
    fn of(job: &'a CronJob, place: &Where) -> Self {
        Self {
            line: job.line,
            name: Some(&job.name),
            keys: Keys(keys(job, place)),
            notes: &job.notes,
            lost: job.lost.as_deref(),
        }
    }
}

impl Serialize for Keys {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().map(|(key, value)| (key, value)))
    }
}

#[cfg(test)]
mod tests {
    use umbel_protocol::job::{Labels, On};

    use super::super::convert::convert;
    use super::super::crontab::read;
    use super::super::name::NamesGiven;
    use super::*;

    const ANYWHERE: Where = Where { select: Labels::NONE, on: On::One };

    fn told(text: &str, is_system: bool, place: &Where) -> Vec<String> {
        let import = convert(&read(text, is_system), "UTC", NamesGiven::default());
        entries(&import, place).map(|line| serde_json::to_string(&line).unwrap()).collect()
    }

    #[test]
    fn an_entry_is_told_in_the_words_of_the_file() {
        let place = Where { select: "role=db".parse().unwrap(), on: On::Each };
        let text = "# nightly\nHOME=/srv\nA={x}\n0~10 2 * * 1-5 -s backup --all\n";
        assert_eq!(
            told(text, false, &place),
            [concat!(
                r#"{"line":4,"name":"backup","cron":"0 2 * * 1-5","timezone":"UTC","#,
                r#""select":{"role":"db"},"on":"each","jitter":"10m","misfire":"skip","#,
                r#""overlap":"forbid","attempts":1,"run":"exec </dev/null; backup --all","#,
                r#""shell":true,"env":{"A":"{{x}}","HOME":"/srv"},"#,
                r#""cwd":"/srv","notes":["what cron chooses at random each time it starts "#,
                r#"follows from the job's name here (jitter of backup)"],"lost":null}"#,
            )]
        );
    }

    #[test]
    fn what_became_of_none_or_not_of_all_of_it_is_told_in_its_place() {
        let text = "MAILTO=ops\n@daily root a\n@reboot root b\n61 * * * * root c\nnonsense";
        let lines = told(text, true, &ANYWHERE);
        let [a, b, c, nonsense] = &lines[..] else { panic!("{lines:#?}") };
        assert_eq!(
            a,
            concat!(
                r#"{"line":2,"name":"a","cron":"@daily","timezone":"UTC","misfire":"skip","#,
                r#""attempts":1,"run":"exec </dev/null; a","shell":true,"#,
                r#""notes":[],"lost":"that user root runs it: jobs run as the user that runs the "#,
                r#"node"}"#,
            )
        );
        for (told, begin) in [
            (b, r#"{"line":3,"name":null,"notes":[],"lost":"a cluster is not booted"#),
            (c, r#"{"line":4,"name":null,"notes":[],"lost":"`61` is not a minute"#),
            (nonsense, r#"{"line":5,"name":null,"notes":[],"lost":"an entry"#),
        ] {
            assert!(told.starts_with(begin), "{told}");
        }
    }

    #[test]
    fn what_is_so_of_several_entries_is_told_of_each() {
        let lines = told("@daily a\nSHELL=/bin/bash\n@daily b\n@daily c", false, &ANYWHERE);
        let noted: Vec<_> = lines.iter().map(|line| line.contains("has /bin/bash run")).collect();
        assert_eq!(noted, [false, true, true], "{lines:#?}");
    }
}
