//! Whom a job tells of what has happened to it.

use std::ops::Range;

use umbel_protocol::job::Alert;

use super::super::super::Config;
use super::super::super::raw::{RawAlert, Text};
use super::super::super::report::Problems;
use super::super::choice;
use super::super::options::{Treatment, Unsaid};
use super::doubt::Doubts;
use super::what::fits;

/// The alert that `raw` stands for, which stands at `place`.
pub(super) fn alert(
    raw: RawAlert,
    place: Option<Range<usize>>,
    config: &Config,
    doubts: &mut Doubts,
    problems: &mut Problems<'_>,
) -> Option<Alert> {
    let treatment = Treatment::of(raw.options, Unsaid::Declared, &config.queues, problems);
    let mut alert = Alert {
        template: treatment.template(""),
        on_failure: raw.on.is_none(),
        on_recovery: raw.on.is_none(),
        on_missed: raw.on.is_none(),
    };
    if let Some(on) = raw.on.as_ref().filter(|on| on.get_ref().is_empty()) {
        problems.add(
            on.span(),
            "this alert tells of nothing",
            "leave `on` out for \"failure\", \"recovery\" and \"missed\", or list some of them",
        );
    }
    for event in raw.on.iter().flat_map(|on| on.get_ref()) {
        match choice("on", Some(event), &EVENTS, problems) {
            Some(Event::Failure) => alert.on_failure = true,
            Some(Event::Missed) => alert.on_missed = true,
            Some(Event::Recovery) => alert.on_recovery = true,
            None => {}
        }
    }
    let Some(task) = raw.task else {
        // It may be there but no string, or misspelt: that has been reported.
        let is_reported = raw.present.key("task").is_some() || raw.present.has_unknown;
        if let Some(place) = place.filter(|_| !is_reported) {
            problems.add(
                place,
                "an alert needs a task",
                "name the one that tells: task = \"page\"",
            );
        }
        return None;
    };
    if let Err(error) = named(&mut alert, &task) {
        problems.add(task.span(), error, "");
        return None;
    }
    if let Some(Err(error)) = config.tasks.get(task.get_ref()).map(|known| fits(known, ARGS)) {
        problems.add(
            task.span(),
            format!("task `{}` cannot run for this alert: {error}", task.get_ref()),
            "the arguments of an alert are job, event, tick, at, task, node, output and \
             failures_in_row: use some of them, or have another task tell",
        );
        return None;
    }
    doubts.of_name(&task, &config.tasks, problems);
    Some(alert)
}

fn named(alert: &mut Alert, task: &Text) -> Result<(), String> {
    alert.template.name.clone_from(task.get_ref());
    alert.template.check().map_err(|error| error.to_string())
}

/// The arguments of any alert, as far as what takes them can tell.
const ARGS: &str = r#"{"job":"","event":"","tick":"","at":"","task":"","node":"","output":"","failures_in_row":1}"#;

#[derive(Clone, Copy)]
enum Event {
    Failure,
    Missed,
    Recovery,
}

const EVENTS: [(&str, Event); 3] =
    [("failure", Event::Failure), ("recovery", Event::Recovery), ("missed", Event::Missed)];
