//! From the text of an expression to its fields.
//!
//! Each field is checked here, part by part, so that what is wrong can be shown and explained, and
//! written down anew in numbers. croner reads only what was written so: left to itself it takes names
//! in the midst of words, `SUN-SUN` for the whole week, and lists with nothing in them.

use std::fmt;
use std::ops::Range;

use croner::parser::{CronParser, Seconds, Year};

use super::InvalidCron;
use super::field::Field;
use super::next::Fields;
use crate::limits::CRON_BYTES_MAX;

/// Words that stand for a whole expression.
const NICKNAMES: [(&str, &str); 7] = [
    ("@yearly", "0 0 1 1 *"),
    ("@annually", "0 0 1 1 *"),
    ("@monthly", "0 0 1 * *"),
    ("@weekly", "0 0 * * 0"),
    ("@daily", "0 0 * * *"),
    ("@midnight", "0 0 * * *"),
    ("@hourly", "0 * * * *"),
];

/// What is said of the form of an expression wherever that is wrong.
const FORM: &str = "write minute, hour, day of month, month and day of week, as in `30 2 * * MON`; \
                    a sixth field in front is the second";

/// The fields of `text`.
pub(super) fn fields(text: &str) -> Result<Fields, InvalidCron> {
    if text.len() > CRON_BYTES_MAX {
        let place = text.floor_char_boundary(CRON_BYTES_MAX)..text.len();
        return refuse(place, format!("an expression has at most {CRON_BYTES_MAX} bytes"));
    }
    let words = words(text);
    let Some(first) = words.first() else {
        return refuse(0..text.len(), format!("there is nothing here: {FORM}"));
    };
    if first.text.starts_with('@') {
        return nickname(*first, words.get(1));
    }
    let all = place_of(&words);
    // What a line of a crontab runs was taken over with the fields before it.
    if let Some(file) = words.iter().skip(5).find(|word| word.is_file()) {
        let why =
            format!("{file} is no field: leave out the command, an expression says only when");
        return refuse(file.start..all.end, why);
    }
    match words.as_slice() {
        [minute, hour, day, month, weekday] => {
            let second = Word { text: "0", start: minute.start };
            read([second, *minute, *hour, *day, *month, *weekday], all)
        }
        [second, minute, hour, day, month, weekday] => {
            read([*second, *minute, *hour, *day, *month, *weekday], all)
        }
        [_, _, _, _, _, _, year] => {
            let why = "there is no field for the year, and this is the seventh: leave it out";
            refuse(year.place(), why)
        }
        [_, _, _, _, _, _, more @ ..] => {
            refuse(place_of(more), format!("there are {} fields: {FORM}", words.len()))
        }
        [_] => refuse(all, format!("there is only one field: {FORM}")),
        few => refuse(all, format!("there are only {} fields: {FORM}", few.len())),
    }
}

/// The fields that `word` stands for.
fn nickname(word: Word<'_>, next: Option<&Word<'_>>) -> Result<Fields, InvalidCron> {
    if word.text.eq_ignore_ascii_case("@reboot") {
        let why = "a cluster is not booted at one time: submit a task where your service starts, \
                   or have your service manager run a command at boot";
        return refuse(word.place(), why);
    }
    let known = NICKNAMES.iter().find(|(name, _)| word.text.eq_ignore_ascii_case(name));
    let Some((name, meaning)) = known else {
        let names = NICKNAMES.map(|(name, _)| name).join(", ");
        return refuse(word.place(), format!("{word} is not known: there are {names}"));
    };
    if let Some(next) = next {
        let why = format!("`{name}` stands alone: leave out what comes after it");
        return refuse(next.place(), why);
    }
    fields(meaning)
}

/// What the six fields say, which take `all` of the text.
fn read(words: [Word<'_>; 6], all: Range<usize>) -> Result<Fields, InvalidCron> {
    let mut numbers = Vec::with_capacity(words.len());
    for (field, word) in Field::ALL.into_iter().zip(words) {
        numbers.push(field.read(word)?);
    }
    let [second, minute, hour, day, month, _] = words;
    let is_fixed = [second, minute, hour].iter().all(Word::is_list_of_numbers);
    let parser = CronParser::builder().seconds(Seconds::Required).year(Year::Disallowed).build();
    let read = parser
        .parse(&numbers.join(" "))
        .map_err(|why| InvalidCron { place: all, why: why.to_string() })?;
    let fields = Fields::new(read.pattern, is_fixed);
    // A day of the week comes in every month, and sooner or later as the fifth in every February.
    if fields.is_any_weekday() && !fields.has_day_in_leap_year() {
        let days = fields.days_of_longest_month();
        let why = format!(
            "no day ever matches: the longest month of {month} has {days} days; write `L` for the \
             last day of a month"
        );
        return refuse(day.place(), why);
    }
    Ok(fields)
}

/// A part of the text.
#[derive(Clone, Copy)]
pub(super) struct Word<'a> {
    pub(super) text: &'a str,
    pub(super) start: usize,
}

impl<'a> Word<'a> {
    pub(super) const fn place(&self) -> Range<usize> {
        self.start..self.start + self.text.len()
    }

    pub(super) fn split(self, at: char) -> impl Iterator<Item = Self> {
        let mut start = self.start;
        self.text.split(at).map(move |text| {
            let word = Self { text, start };
            start += text.len() + at.len_utf8();
            word
        })
    }

    pub(super) fn split_once(self, at: char) -> Option<(Self, Self)> {
        let (before, after) = self.text.split_once(at)?;
        let start = self.start + before.len() + at.len_utf8();
        Some((Self { text: before, ..self }, Self { text: after, start }))
    }

    /// Without `end`, in any case.
    pub(super) fn without_end(self, end: char) -> Option<Self> {
        let text = self.text.strip_suffix([end.to_ascii_lowercase(), end.to_ascii_uppercase()])?;
        Some(Self { text, ..self })
    }

    pub(super) fn is(self, text: &str) -> bool {
        self.text.eq_ignore_ascii_case(text)
    }

    /// Whether it is a path rather than a field, in which a number follows a `/`.
    fn is_file(&self) -> bool {
        let is_rooted = |rest: &str| !rest.starts_with(|c: char| c.is_ascii_digit());
        self.text.starts_with(['.', '~', '$']) || self.text.strip_prefix('/').is_some_and(is_rooted)
    }

    fn is_list_of_numbers(&self) -> bool {
        self.text.bytes().all(|byte| byte.is_ascii_digit() || byte == b',')
    }
}

/// Quoted, and with nothing in it that a terminal would obey.
impl fmt::Display for Word<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "`{}`", self.text.escape_debug())
    }
}

fn words(text: &str) -> Vec<Word<'_>> {
    let mut words = Vec::new();
    let mut rest = text;
    loop {
        rest = rest.trim_ascii_start();
        let start = text.len() - rest.len();
        let end = rest.find(|c: char| c.is_ascii_whitespace()).unwrap_or(rest.len());
        let (word, after) = rest.split_at(end);
        if word.is_empty() {
            return words;
        }
        words.push(Word { text: word, start });
        rest = after;
    }
}

fn place_of(words: &[Word<'_>]) -> Range<usize> {
    let start = words.first().map_or(0, |word| word.start);
    start..words.last().map_or(start, |word| word.place().end)
}

pub(super) fn refuse<T>(place: Range<usize>, why: impl Into<String>) -> Result<T, InvalidCron> {
    Err(InvalidCron { place, why: why.into() })
}
