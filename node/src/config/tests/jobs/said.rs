//! What a job says of its tasks besides how they are treated.

use super::{noop, parse};
use crate::config::Config;

#[test]
fn labels_headers_and_a_name_are_said_of_each_of_its_tasks() {
    let job = noop(
        "every = \"1m\"\nlabels = { team = \"ops\" }\nheaders = { locale = \"de\" }\n\
         display_name = \"Nightly\"\nredact = [\"password\"]",
    );
    let said = job.metadata.as_ref().expect("it says something");
    assert_eq!((said.labels.get("team"), said.headers.get("locale")), (Some("ops"), Some("de")));
    assert_eq!(said.display_name.as_deref(), Some("Nightly"));
    assert_eq!(job.template.options.redact(), ["password".into()]);
    assert_eq!(job.needs_version(), 3);
    let plain = noop("every = \"1m\"");
    assert_eq!((&plain.metadata, plain.needs_version()), (&None, 2));
    // A command of its own hides as much, whoever submits it.
    let config = parse("[jobs.a]\nevery = \"1m\"\nrun = [\"true\"]\nredact = [\"*\"]");
    let task = config.jobs[0].command.as_ref().expect("it has a command");
    assert_eq!(task.options.redact(), ["*".into()]);
}

#[test]
fn what_cannot_be_said_is_refused_where_it_stands() {
    let long = format!("headers = {{ a = {:?} }}", "x".repeat(5_000));
    for (line, problem, column) in [
        ("labels = { a = \"b c\" }", "\"b c\" cannot be the value of a label", 16),
        ("headers = { X-Id = \"1\" }", "the name \"X-Id\" of one of `headers` must be", 13),
        ("headers = { a = \"é\" }", "the value of `a` in `headers` must be printable", 13),
        (&long, "headers must be at most 32, of 4096 bytes together", 13),
        ("display_name = \"\"", "display_name must be 1 to 128 bytes", 16),
        ("redact = []", "`redact` has 0 names", 10),
        ("redact = [\"a\", \"\"]", "no argument is called \"\"", 16),
        ("tags = { a = \"b\" }", "unknown key `tags`", 1),
    ] {
        let text = format!("[jobs.a]\nevery = \"1m\"\ntask = \"umbel.noop\"\n{line}");
        let report = Config::parse("f.toml", &text).expect_err(line).to_string();
        assert!(report.starts_with(&format!("error: {problem}")), "{line}: {report}");
        assert!(report.contains(&format!(" --> f.toml:4:{column}\n")), "{line}: {report}");
    }
}
