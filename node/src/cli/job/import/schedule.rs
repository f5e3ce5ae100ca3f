//! When an entry of a crontab runs, as an expression and a delay of this program.
//!
//! The languages are nearly the same. What differs: a random time (`0~59`), which some crons choose
//! once, is a [jitter](umbel_protocol::job::Job::jitter), which is chosen once, too; a step without a
//! range (`5/10`) gets one; and where a day of the month and a day of the week are both named and one
//! of them begins with `*`, cron wants both, which cannot be said here.

use umbel_protocol::job::Cron;
use umbel_protocol::time::Span;

use super::crontab::When;
use crate::cli::job::cron_text;

/// An expression, and what is to be added to its times.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Times {
    pub(super) cron: String,
    /// No jitter if it is nothing.
    pub(super) jitter: Span,
    /// What differs a little from what cron does.
    pub(super) note: Option<&'static str>,
}

/// Words that this program does not know, and what they stand for.
const WORDS: [(&str, &str); 2] = [("@every_minute", "* * * * *"), ("@every_second", "* * * * * *")];

/// The greatest minute, hour, day, month and day of the week.
const MOST: [u32; 5] = [59, 23, 31, 12, 7];
const DAY: usize = 2;
const WEEKDAY: usize = 4;

/// When that is, or why it cannot be said.
pub(super) fn times(when: &When<'_>) -> Result<Times, String> {
    let fields = match when {
        When::Word(word) => {
            let known = WORDS.iter().find(|(name, _)| word.eq_ignore_ascii_case(name));
            let cron = known.map_or(*word, |(_, cron)| *cron);
            return checked(Times { cron: cron.to_owned(), jitter: Span::ZERO, note: None });
        }
        When::Fields(fields) => fields,
    };
    let mut jitter = Span::ZERO;
    let mut note = None;
    let mut plain = Vec::with_capacity(fields.len());
    for (place, field) in fields.iter().enumerate() {
        let field = match field.contains('~') {
            true => {
                let (first, span) = random(place, field)?;
                jitter = Span::from_micros(jitter.as_micros() + span.as_micros());
                // An hour at random is not a time at random within hours.
                note = note.or_else(|| (place == HOUR).then_some(RANDOM_HOUR));
                first.to_string()
            }
            false => stepped(place, field),
        };
        plain.push(field);
    }
    let [day, weekday] = [plain[DAY].as_str(), plain[WEEKDAY].as_str()];
    let is_narrowed = |field: &str| !matches!(field, "*" | "?");
    if is_narrowed(day)
        && is_narrowed(weekday)
        && (day.starts_with('*') || weekday.starts_with('*'))
    {
        return Err(format!(
            "cron means days that are both `{day}` of the month and `{weekday}` of the week; here \
             one of the two would do, so have the command look at the date for one of them"
        ));
    }
    checked(Times { cron: plain.join(" "), jitter, note })
}

fn checked(times: Times) -> Result<Times, String> {
    let parsed: Result<Cron, _> = cron_text::parse(&times.cron);
    parsed.map(|_| times).map_err(|error| error.to_string())
}

/// `*/1` is every one, and `5/10` is `5-59/10`; the rest is as it is.
fn stepped(place: usize, field: &str) -> String {
    if field == "*/1" {
        return "*".to_owned();
    }
    let parts = field.split(',').map(|part| match part.split_once('/') {
        Some((from, step)) if is_number(from) => format!("{from}-{}/{step}", MOST[place]),
        _ => part.to_owned(),
    });
    parts.collect::<Vec<_>>().join(",")
}

/// A value that cron chooses at random: its least one, and how far its greatest one is from that.
fn random(place: usize, field: &str) -> Result<(u32, Span), String> {
    let unit = match place {
        MINUTE => 60_000,
        HOUR => 3_600_000,
        _ => {
            return Err(format!(
                "a day at random (`{field}`) cannot be said; choose one, or use --jitter with hours"
            ));
        }
    };
    let unclear = || format!("`{field}` is no random value that can be carried over; choose one");
    let (from, to) = field.split_once('~').ok_or_else(unclear)?;
    let end = |text: &str, otherwise: u32| match text {
        "" => Some(otherwise),
        text if is_number(text) => text.parse().ok(),
        _ => None,
    };
    let (from, to) = end(from, 0).zip(end(to, MOST[place])).ok_or_else(unclear)?;
    let width = to.checked_sub(from).filter(|_| to <= MOST[place]).ok_or_else(unclear)?;
    Ok((from, Span::from_millis(u64::from(width) * unit)))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit())
}

const MINUTE: usize = 0;
const HOUR: usize = 1;
const RANDOM_HOUR: &str =
    "cron chooses a whole hour at random; here the time is any one within those hours";

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<(String, u64), String> {
        let when = match text.split_whitespace().collect::<Vec<_>>()[..] {
            [word] => times(&When::Word(word)),
            [a, b, c, d, e] => times(&When::Fields([a, b, c, d, e])),
            _ => panic!("{text}"),
        };
        when.map(|times| (times.cron, times.jitter.as_millis() / 60_000))
    }

    #[test]
    fn most_is_as_it_was() {
        for (text, cron, jitter) in [
            ("30 2 * * *", "30 2 * * *", 0),
            ("*/15 0,12 1-7 JAN-mar mon", "*/15 0,12 1-7 JAN-mar mon", 0),
            ("0 0 * * 7", "0 0 * * 7", 0),
            ("*/1 */1 */1 */1 */1", "* * * * *", 0),
            ("5/10 * * * *", "5-59/10 * * * *", 0),
            ("0 6/2,1 * * *", "0 6-23/2,1 * * *", 0),
            ("0 0 */2 * *", "0 0 */2 * *", 0),
            ("0 0 1,15 * MON", "0 0 1,15 * MON", 0),
            ("@daily", "@daily", 0),
            ("@Every_Minute", "* * * * *", 0),
            ("0~59 * * * *", "0 * * * *", 59),
            ("~ * * * *", "0 * * * *", 59),
            ("30~ 2 * * *", "30 2 * * *", 29),
            ("10~20 2 * * 1-5", "10 2 * * 1-5", 10),
            ("30 1~4 * * *", "30 1 * * *", 180),
            ("~10 1~4 * * *", "0 1 * * *", 190),
        ] {
            assert_eq!(of(text), Ok((cron.to_owned(), jitter)), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_said_is_explained() {
        for (text, told) in [
            ("@reboot", "submit a task where your service starts"),
            ("@often", "is not known"),
            ("61 * * * *", "\n  | ^^"),
            ("0 0 */2 * MON", "both `*/2` of the month and `MON` of the week"),
            ("0 0 1 * */2", "both `1` of the month and `*/2` of the week"),
            ("0 0 1~28 * *", "a day at random (`1~28`)"),
            ("0 0 * * 1~5", "a day at random"),
            ("5~1 * * * *", "no random value"),
            ("5~99 * * * *", "no random value"),
            ("1~5,30 * * * *", "no random value"),
            ("0~30/5 * * * *", "no random value"),
            ("0 0 31 2 *", "no day ever matches"),
        ] {
            let error = of(text).expect_err(text);
            assert!(error.contains(told), "{text}: {error}");
        }
    }
}
