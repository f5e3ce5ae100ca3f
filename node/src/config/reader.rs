//! Typed reading of one table of a TOML file, with a note of everything that has the wrong shape.
//!
//! What cannot be read is reported and then treated as if it were not there, so that one mistake
//! hides no other.

use std::ops::Range;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use super::json;
use super::keys::{self, Key};
use super::report::Problems;
use super::suggest::nearest;

/// A table whose keys are known.
pub(super) struct Reader<'t, 'p, 's> {
    title: String,
    table: &'t DeTable<'t>,
    known: &'static [Key],
    has_unknown: bool,
    problems: &'p mut Problems<'s>,
}

impl<'t, 'p, 's> Reader<'t, 'p, 's> {
    /// A reader of the table `value`, called `title`; keys that are not `known` are reported.
    pub(super) fn open(
        title: &str,
        value: &'t Spanned<DeValue<'t>>,
        known: &'static [Key],
        problems: &'p mut Problems<'s>,
    ) -> Option<Self> {
        let Some(table) = value.get_ref().as_table() else {
            problems.add(
                value.span(),
                format!("`{title}` must be a table, not {}", described(value.get_ref())),
                format!("write [{title}] and below it its keys"),
            );
            return None;
        };
        let mut has_unknown = false;
        for (key, value) in table {
            let name: &str = key.get_ref();
            if !known.iter().any(|known| known.name == name) {
                has_unknown = true;
                problems.add(
                    key.span(),
                    format!("unknown key `{name}` in [{title}]"),
                    unknown_help(title, name, value.get_ref(), known),
                );
            }
        }
        Some(Self { title: title.to_owned(), table, known, has_unknown, problems })
    }

    /// Whether there are keys that are not known, so that a missing one may only be misspelt.
    pub(super) const fn has_unknown(&self) -> bool {
        self.has_unknown
    }

    /// Where the keys that are there stand.
    pub(super) fn present(&self) -> Vec<(&'static str, Range<usize>)> {
        self.known
            .iter()
            .filter_map(|known| {
                self.table.get_key_value(known.name).map(|(key, _)| (known.name, key.span()))
            })
            .collect()
    }

    pub(super) fn boolean(&mut self, name: &str) -> Option<Spanned<bool>> {
        let value = self.value(name)?;
        match value.get_ref().as_bool() {
            Some(boolean) => Some(Spanned::new(value.span(), boolean)),
            None => self.wrong(name, "true or false", value),
        }
    }

    pub(super) fn integer(&mut self, name: &str) -> Option<Spanned<i64>> {
        let value = self.value(name)?;
        let Some(integer) = value.get_ref().as_integer() else {
            return self.wrong(name, "an integer", value);
        };
        match i64::from_str_radix(integer.as_str(), integer.radix()) {
            Ok(integer) => Some(Spanned::new(value.span(), integer)),
            Err(_) => self.wrong(name, "an integer of 64 bits", value),
        }
    }

    pub(super) fn text(&mut self, name: &str) -> Option<Spanned<String>> {
        let value = self.value(name)?;
        match value.get_ref().as_str() {
            Some(text) => Some(Spanned::new(value.span(), text.to_owned())),
            None => self.wrong(name, "a string", value),
        }
    }

    /// A number of bytes: an integer, or a string with a unit.
    pub(super) fn size(&mut self, name: &str) -> Option<Spanned<String>> {
        let value = self.value(name)?;
        match value.get_ref() {
            DeValue::Integer(_) => {
                self.integer(name).map(|size| Spanned::new(size.span(), size.get_ref().to_string()))
            }
            DeValue::String(text) => Some(Spanned::new(value.span(), text.to_string())),
            DeValue::Array(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Float(_)
            | DeValue::Table(_) => self.wrong(name, "an integer or a string with a unit", value),
        }
    }

    /// A time: a date of TOML's own, which is read on as its text, or a string.
    pub(super) fn time(&mut self, name: &str) -> Option<Spanned<String>> {
        let value = self.value(name)?;
        match value.get_ref() {
            DeValue::Datetime(time) if time.date.is_some() => {
                Some(Spanned::new(value.span(), time.to_string()))
            }
            DeValue::String(text) => Some(Spanned::new(value.span(), text.to_string())),
            DeValue::Array(_)
            | DeValue::Boolean(_)
            | DeValue::Datetime(_)
            | DeValue::Float(_)
            | DeValue::Integer(_)
            | DeValue::Table(_) => self.wrong(name, "a date and a time", value),
        }
    }

    /// Any value that JSON can hold, as JSON.
    pub(super) fn json(&mut self, name: &str) -> Option<Spanned<String>> {
        let value = self.value(name)?;
        match json::of(value) {
            Ok(json) => Some(Spanned::new(value.span(), json.to_string())),
            Err(part) => {
                self.problems.add(
                    part.span(),
                    format!("`{name}` must be what JSON can hold"),
                    "its numbers have 64 bits, and are neither inf nor nan",
                );
                None
            }
        }
    }

    /// A table whose keys are known; what reads it is told of nothing else.
    pub(super) fn table<T>(
        &mut self,
        name: &str,
        known: &'static [Key],
        read: impl FnOnce(Reader<'_, '_, '_>) -> T,
    ) -> Option<T> {
        let value = self.value(name)?;
        let title = format!("{}.{name}", self.title);
        Reader::open(&title, value, known, self.problems).map(read)
    }

    /// A list of strings.
    pub(super) fn texts(&mut self, name: &str) -> Option<Spanned<Vec<Spanned<String>>>> {
        let value = self.value(name)?;
        let Some(array) = value.get_ref().as_array() else {
            return self.wrong(name, "a list of strings", value);
        };
        let mut texts = Vec::new();
        for element in array.iter() {
            let Some(text) = element.get_ref().as_str() else {
                return self.wrong(name, "a list of nothing but strings", element);
            };
            texts.push(Spanned::new(element.span(), text.to_owned()));
        }
        Some(Spanned::new(value.span(), texts))
    }

    /// Whether the value is a string, so that [`Self::text`] will find one.
    pub(super) fn is_text(&self, name: &str) -> bool {
        self.table.get(name).is_some_and(|value| value.get_ref().is_str())
    }

    /// Whether the value is a table, so that [`Self::table`] can read it.
    pub(super) fn is_table(&self, name: &str) -> bool {
        self.table.get(name).is_some_and(|value| value.get_ref().is_table())
    }

    /// Says that a value, if there is one, is none of what is `expected`.
    pub(super) fn refuse(&mut self, name: &str, expected: &str) {
        if let Some(value) = self.value(name) {
            self.wrong::<()>(name, expected, value);
        }
    }

    /// A table of strings under names of the operator's choice, in the order of their names.
    pub(super) fn named_texts(&mut self, name: &str) -> Vec<(Spanned<String>, Spanned<String>)> {
        self.named(name, "strings", |value| value.as_str().map(str::to_owned))
    }

    /// A table of integers under names of the operator's choice, in the order of their names.
    pub(super) fn named_integers(&mut self, name: &str) -> Vec<(Spanned<String>, Spanned<i64>)> {
        self.named(name, "integers", |value| {
            let integer = value.as_integer()?;
            i64::from_str_radix(integer.as_str(), integer.radix()).ok()
        })
    }

    fn named<T>(
        &mut self,
        name: &str,
        what: &str,
        read: impl Fn(&DeValue<'_>) -> Option<T>,
    ) -> Vec<(Spanned<String>, Spanned<T>)> {
        let Some(value) = self.value(name) else { return Vec::new() };
        let Some(table) = value.get_ref().as_table() else {
            self.wrong::<()>(name, &format!("a table of {what}"), value);
            return Vec::new();
        };
        let mut found = Vec::new();
        for (key, value) in table {
            let Some(read) = read(value.get_ref()) else {
                self.wrong::<()>(name, &format!("a table of nothing but {what}"), value);
                continue;
            };
            let key = Spanned::new(key.span(), key.get_ref().to_string());
            found.push((key, Spanned::new(value.span(), read)));
        }
        found
    }

    fn value(&self, name: &str) -> Option<&'t Spanned<DeValue<'t>>> {
        debug_assert!(self.known.iter().any(|known| known.name == name), "`{name}` is not listed");
        self.table.get(name)
    }

    fn wrong<T>(&mut self, name: &str, expected: &str, value: &Spanned<DeValue<'_>>) -> Option<T> {
        let example = self.known.iter().find(|known| known.name == name);
        self.problems.add(
            value.span(),
            format!("`{name}` must be {expected}, not {}", described(value.get_ref())),
            example
                .map(|key| format!("for example: {} = {}", key.name, key.example))
                .unwrap_or_default(),
        );
        None
    }
}

fn described(value: &DeValue<'_>) -> &'static str {
    match value {
        DeValue::Array(_) => "a list",
        DeValue::Boolean(_) => "a boolean",
        DeValue::Datetime(time) if time.date.is_none() => "a time of the day",
        DeValue::Datetime(_) => "a date",
        DeValue::Float(_) => "a number with a fraction",
        DeValue::Integer(integer)
            if i64::from_str_radix(integer.as_str(), integer.radix()).is_err() =>
        {
            "a larger one"
        }
        DeValue::Integer(_) => "an integer",
        DeValue::String(_) => "a string",
        DeValue::Table(_) => "a table",
    }
}

fn unknown_help(title: &str, name: &str, value: &DeValue<'_>, known: &[Key]) -> String {
    let names = || known.iter().map(|known| known.name);
    if let Some(help) = keys::meant(name, known) {
        return help;
    }
    if let Some(near) = nearest(name, names()) {
        return format!("did you mean `{near}`?");
    }
    if let Some(home) = keys::home_of(name) {
        return format!("`{name}` belongs to [{}]", home.path);
    }
    // In TOML a dot divides, so a name with one is taken for a table within a table.
    if let (Some((section, first)), DeValue::Table(_)) = (title.split_once('.'), value) {
        let whole = format!("{}.{name}", first.trim_matches('"'));
        return format!("if {whole} is one name, put it in quotes: [{section}.\"{whole}\"]");
    }
    format!("known here: {}", names().collect::<Vec<_>>().join(", "))
}
