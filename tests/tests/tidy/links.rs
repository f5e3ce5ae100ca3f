//! What a page refers to is there.

use super::{File, files, none, root};

/// What follows each `](` of a page.
fn targets(page: &File) -> impl Iterator<Item = &str> {
    page.text.split("](").skip(1).filter_map(|rest| rest.split_once(')')).map(|(to, _)| to)
}

/// What stands between single backticks outside of blocks.
pub(crate) fn spans(text: &str) -> Vec<&str> {
    let mut in_block = false;
    let mut spans = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            in_block = !in_block;
        } else if !in_block {
            spans.extend(line.split('`').skip(1).step_by(2));
        }
    }
    spans
}

#[test]
fn links_lead_somewhere() {
    let mut broken = Vec::new();
    for page in files("", ".md") {
        let dir = root().join(&page.path).parent().expect("a directory").to_owned();
        for target in targets(&page) {
            let path = target.split('#').next().unwrap_or_default();
            let is_elsewhere = target.contains("://") || path.is_empty();
            if !is_elsewhere && !dir.join(path).exists() {
                broken.push(format!("{}: {target}", page.path));
            }
        }
    }
    none(broken, "links to files that do not exist");
}

#[test]
fn files_that_are_named_exist() {
    let mut broken = Vec::new();
    for page in files("", ".md") {
        for span in spans(&page.text) {
            let looks_like_a_file = span.contains('/')
                && !span.contains([' ', '*', '<', ':', '$'])
                && !span.starts_with(['/', '~', '.'])
                && (span.ends_with('/') || span.ends_with(".rs") || span.ends_with(".toml"));
            if looks_like_a_file && !root().join(span).exists() {
                broken.push(format!("{}: {span}", page.path));
            }
        }
    }
    none(broken, "files that are named and do not exist");
}
