//! How far something is, for those who watch.

use std::fmt::{Result, Write};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::out;
use super::time::{count, count_of};

/// A bar of tasks on stderr, unless nobody watches. Where nobody knows how many there are it only
/// says how many are done.
pub(super) fn progress(tasks: Option<u64>) -> ProgressBar {
    if !out::is_watched() {
        return ProgressBar::with_draw_target(tasks, ProgressDrawTarget::hidden());
    }
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr());
    match tasks {
        Some(tasks) => of_so_many(&bar, tasks),
        None => bar.set_style(style(COUNT)),
    }
    bar
}

/// Lets a bar know how many tasks there are.
pub(super) fn of_so_many(bar: &ProgressBar, tasks: u64) {
    bar.set_style(style(BAR));
    bar.set_length(tasks);
}

fn style(template: &str) -> ProgressStyle {
    let style = ProgressStyle::with_template(template);
    style
        .unwrap_or_else(|_| ProgressStyle::default_bar())
        .with_key("done", |state: &ProgressState, text: &mut dyn Write| {
            tell(text, &done(state.pos(), state.len()));
        })
        .with_key("rate", |state: &ProgressState, text: &mut dyn Write| {
            tell(text, &rate(state.per_sec()));
        })
}

const BAR: &str = "{bar:40} {done}, {rate}, {elapsed}";
const COUNT: &str = "{spinner} {done}, {rate}, {elapsed}";

/// What cannot be drawn is not worth failing for.
fn tell(text: &mut dyn Write, what: &str) {
    let _: Result = text.write_str(what);
}

fn done(position: u64, length: Option<u64>) -> String {
    match length {
        Some(length) => format!("{} of {}", count(position), count_of(length, "task")),
        None => count_of(position, "task"),
    }
}

fn rate(per_second: f64) -> String {
    format!("{}/s", count(per_second.round() as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_for_people() {
        assert_eq!(done(1, None), "1 task");
        assert_eq!(done(12_345, Some(100_000)), "12,345 of 100,000 tasks");
        assert_eq!(done(0, Some(1)), "0 of 1 task");
        assert_eq!([rate(88_947.94), rate(0.2)], ["88,948/s", "0/s"]);
    }

    #[test]
    fn templates_are_legal() {
        for template in [BAR, COUNT] {
            assert!(ProgressStyle::with_template(template).is_ok(), "{template}");
        }
    }
}
