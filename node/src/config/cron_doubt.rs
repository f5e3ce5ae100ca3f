//! Cron expressions with six fields that were meant to have five.

use umbel_protocol::job::Cron;
use umbel_protocol::time::Span;

use super::quantity;

/// What an expression does, and what may have been meant.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Doubt {
    /// What it does, as a whole sentence.
    pub(crate) what: String,
    /// What to write instead.
    pub(crate) instead: String,
}

/// What may not be meant by the first of six fields.
pub(crate) fn doubt(cron: &Cron) -> Option<Doubt> {
    let fields: Vec<&str> = cron.as_str().split_whitespace().collect();
    let (second, five) = fields.split_first().filter(|(_, five)| five.len() == 5)?;
    let written = five.join(" ");
    let of = |what: String, instead: String| {
        Some(Doubt { what, instead: format!("six fields begin with the second; {instead}") })
    };
    let is_any = |field: &&str| matches!(*field, "*" | "?");
    if cron.nearest() == Span::from_millis(1_000) {
        let is_all = five.iter().all(is_any);
        return match (*second, is_all) {
            ("*", true) => of(
                "this fires every second".to_owned(),
                "leave that out to fire once a minute".to_owned(),
            ),
            ("*", false) => of(
                format!("this fires every second of each minute that `{written}` is"),
                format!("write \"{written}\" to fire once in each of these minutes"),
            ),
            _ => of(
                format!("ticks of this are only {} apart", quantity::spelled(cron.nearest())),
                "leave that out to fire once a minute".to_owned(),
            ),
        };
    }
    // As `30 2 * * *` was meant, and a `*` too many was written.
    let [minute, rest @ ..] = five else { return None };
    let second: u8 = second.parse().ok()?;
    let minute: u8 = minute.parse().ok()?;
    if !rest.iter().all(is_any) || minute > 23 {
        return None;
    }
    of(
        format!("this fires every hour, at second {second} of minute {minute}"),
        format!(
            "write \"{second} {minute} * * *\" to fire every day at {minute:02}:{second:02}, or \
             \"{minute} * * * *\" to fire every hour"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn six_fields_that_may_be_five_are_told() {
        for (text, what, instead) in [
            ("* * * * * *", "this fires every second", "leave that out to fire once a minute"),
            (
                "* 0 3 * * *",
                "this fires every second of each minute that `0 3 * * *` is",
                "write \"0 3 * * *\" to fire once in each of these minutes",
            ),
            ("0-9 * * * * *", "ticks of this are only 1s apart", "leave that out"),
            (
                "30 2 * * * *",
                "this fires every hour, at second 30 of minute 2",
                "write \"30 2 * * *\" to fire every day at 02:30, or \"2 * * * *\" to",
            ),
        ] {
            let found = doubt(&Cron::parse(text).unwrap()).expect(text);
            assert_eq!(found.what, what, "{text}");
            assert!(found.instead.contains(instead), "{text}: {}", found.instead);
        }
        for text in ["30 2 * * *", "0 0 3 * * *", "0 30 * * * *", "*/2 * * * * *", "@daily"] {
            assert_eq!(doubt(&Cron::parse(text).unwrap()), None, "{text}");
        }
    }
}
