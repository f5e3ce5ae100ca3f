//! One field of an expression: what may stand in it, checked part by part and written in numbers.

use super::InvalidCron;
use super::parse::{Word, refuse};

/// A field.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Field {
    Second,
    Minute,
    Hour,
    Day,
    Month,
    Weekday,
}

const MONTHS: [&str; 12] =
    ["JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC"];
const WEEKDAYS: [&str; 7] = ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"];

/// Sunday once more, for those who count from Monday.
const SUNDAY: u16 = 7;

impl Field {
    /// All of them, in the order of an expression.
    pub(super) const ALL: [Self; 6] =
        [Self::Second, Self::Minute, Self::Hour, Self::Day, Self::Month, Self::Weekday];

    /// One of its values, in words.
    const fn one(self) -> &'static str {
        match self {
            Self::Second => "a second",
            Self::Minute => "a minute",
            Self::Hour => "an hour",
            Self::Day => "a day of month",
            Self::Month => "a month",
            Self::Weekday => "a day of week",
        }
    }

    /// Its least and its greatest value, each in one way.
    const fn ends(self) -> (u16, u16) {
        match self {
            Self::Second | Self::Minute => (0, 59),
            Self::Hour => (0, 23),
            Self::Day => (1, 31),
            Self::Month => (1, 12),
            Self::Weekday => (0, 6),
        }
    }

    /// The names of its values, from the least on.
    const fn names(self) -> &'static [&'static str] {
        match self {
            Self::Second | Self::Minute | Self::Hour | Self::Day => &[],
            Self::Month => &MONTHS,
            Self::Weekday => &WEEKDAYS,
        }
    }

    /// What to write, in words.
    const fn values(self) -> &'static str {
        match self {
            Self::Second | Self::Minute => "0 to 59",
            Self::Hour => "0 to 23",
            Self::Day => "1 to 31, or L for the last",
            Self::Month => "1 to 12 or JAN to DEC",
            Self::Weekday => "0 to 7 or SUN to SAT",
        }
    }

    /// What `word` says, in numbers.
    pub(super) fn read(self, word: Word<'_>) -> Result<String, InvalidCron> {
        match word.text {
            "*" => return Ok(word.text.to_owned()),
            "?" if matches!(self, Self::Day | Self::Weekday) => return Ok("*".to_owned()),
            "?" => {
                let why = "`?` is for the day of month and the day of week only: write `*`";
                return refuse(word.place(), why);
            }
            _ => {}
        }
        let mut parts = Vec::new();
        for part in word.split(',') {
            if part.text.is_empty() {
                // Nothing can be pointed at, so point at the comma.
                let comma = part.start.saturating_sub(1).max(word.start);
                let why = format!(
                    "{} is missing at this comma: add it, or take the comma away",
                    self.one()
                );
                return refuse(comma..comma + 1, why);
            }
            parts.push(self.part(part)?);
        }
        // croner would forget the former.
        if let (true, Some(at)) =
            (parts.iter().any(|part| part == "L"), parts.iter().position(|part| part == "LW"))
            && let Some(part) = word.split(',').nth(at)
        {
            let why = "`L` and `LW` cannot stand in one list: make it two expressions";
            return refuse(part.place(), why);
        }
        Ok(parts.join(","))
    }

    fn part(self, part: Word<'_>) -> Result<String, InvalidCron> {
        if part.text == "*" || part.text == "?" {
            let why = format!("{part} means all there are: let it stand alone");
            return refuse(part.place(), why);
        }
        if let Some((base, step)) = part.split_once('/') {
            return self.stepped(part, base, step);
        }
        match self {
            Self::Second | Self::Minute | Self::Hour | Self::Month => {}
            Self::Day => {
                if let Some(read) = self.special_day(part)? {
                    return Ok(read);
                }
            }
            Self::Weekday => {
                if let Some(read) = self.special_weekday(part)? {
                    return Ok(read);
                }
            }
        }
        match part.split_once('-') {
            Some((from, to)) => self.range(part, from, to),
            None => Ok(self.value(part)?.to_string()),
        }
    }

    /// `L`, `LW`, `15W`.
    fn special_day(self, part: Word<'_>) -> Result<Option<String>, InvalidCron> {
        if part.is("L") || part.is("LW") {
            return Ok(Some(part.text.to_ascii_uppercase()));
        }
        if let Some((last, _)) = part.split_once('-')
            && last.is("L")
        {
            let why = "days cannot be counted back from the last one: write `L` or a number";
            return refuse(part.place(), why);
        }
        let Some(day) = part.without_end('W') else { return Ok(None) };
        if day.text.is_empty() {
            let why = "`W` needs a day before it: write `15W` for the weekday nearest to the 15th, \
                       or `LW` for the last";
            return refuse(part.place(), why);
        }
        Ok(Some(format!("{}W", self.value(day)?)))
    }

    /// `MON#2`, `5L`.
    fn special_weekday(self, part: Word<'_>) -> Result<Option<String>, InvalidCron> {
        if let Some((day, count)) = part.split_once('#') {
            let day = self.value(day)?;
            return match count.text {
                "1" | "2" | "3" | "4" | "5" => Ok(Some(format!("{day}#{}", count.text))),
                _ => {
                    let why = "after `#` write 1 to 5, for the first to the fifth in the month; the \
                               last is `L`, as in `FRIL`";
                    let place = if count.text.is_empty() { part.place() } else { count.place() };
                    refuse(place, why)
                }
            };
        }
        let Some(day) = part.without_end('L') else { return Ok(None) };
        if day.text.is_empty() {
            let why = "`L` needs a day of week before it: write `FRIL` or `5L` for the last Friday";
            return refuse(part.place(), why);
        }
        Ok(Some(format!("{}L", self.value(day)?)))
    }

    fn stepped(
        self,
        part: Word<'_>,
        base: Word<'_>,
        step: Word<'_>,
    ) -> Result<String, InvalidCron> {
        let (least, most) = self.ends();
        let base = match base.split_once('-') {
            Some((from, to)) => self.range(base, from, to)?,
            None if base.text == "*" => base.text.to_owned(),
            None if base.text.is_empty() => {
                let why = format!("a step needs a range: write `*/{}`", step.text.escape_debug());
                return refuse(part.place(), why);
            }
            None => {
                let from = self.value(base)?;
                let step = step.text.escape_debug();
                let why = format!("a step needs a range: write `{from}-{most}/{step}`");
                return refuse(part.place(), why);
            }
        };
        let count = most - least + 1;
        match number(step.text) {
            Some(0) => refuse(step.place(), "a step of 0 does not move: write 1 or more"),
            Some(step) if step <= count => Ok(format!("{base}/{step}")),
            Some(_) => {
                let why = format!(
                    "{step} is more than there is: steps begin anew with each {}, so write {count} \
                     at most",
                    self.whole(),
                );
                refuse(step.place(), why)
            }
            None => {
                let place = if step.text.is_empty() { part.place() } else { step.place() };
                refuse(place, "a step is a number: write it after the `/`, as in `*/5`")
            }
        }
    }

    /// What its values divide.
    const fn whole(self) -> &'static str {
        match self {
            Self::Second => "minute",
            Self::Minute => "hour",
            Self::Hour => "day",
            Self::Day => "month",
            Self::Month => "year",
            Self::Weekday => "week",
        }
    }

    fn range(self, part: Word<'_>, from: Word<'_>, to: Word<'_>) -> Result<String, InvalidCron> {
        if from.text.is_empty() || to.text.is_empty() {
            let why = "a range needs both of its ends, as in `1-5`; nothing here is less than 0";
            return refuse(part.place(), why);
        }
        let (mut first, mut last) = (self.value(from)?, self.value(to)?);
        if self == Self::Weekday {
            // Sunday is at that end of the week where it makes a range.
            if first == SUNDAY && last < SUNDAY {
                first = 0;
            }
            if to.is("SUN") && first > 0 {
                last = SUNDAY;
            }
        }
        if first > last {
            let (least, most) = self.ends();
            let [least, most] = match (self.names(), number(from.text)) {
                ([least, .., most], None) => [(*least).to_owned(), (*most).to_owned()],
                _ => [least.to_string(), most.to_string()],
            };
            let (from, to) = (from.text, to.text);
            let why = format!("{part} goes backwards: write `{from}-{most},{least}-{to}`");
            return refuse(part.place(), why);
        }
        Ok(format!("{first}-{last}"))
    }

    fn value(self, word: Word<'_>) -> Result<u16, InvalidCron> {
        let (least, most) = self.ends();
        let most = if self == Self::Weekday { SUNDAY } else { most };
        let named = self.names().iter().zip(least..).find(|(name, _)| word.is(name));
        let value = named.map(|(_, value)| value).or_else(|| number(word.text));
        match value {
            Some(value) if (least..=most).contains(&value) => Ok(value),
            _ => {
                let why = format!("{word} is not {}: write {}", self.one(), self.values());
                refuse(word.place(), why)
            }
        }
    }
}

/// Digits only: Rust would take a sign, too.
fn number(text: &str) -> Option<u16> {
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok())?
}
