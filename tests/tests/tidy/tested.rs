//! What is written of the simulator is what it does: its invariants, its kinds of worlds, its defects.

use std::collections::{BTreeMap, BTreeSet};

use umbel_protocol::sabotage::Defect;
use umbel_tests::plan::KINDS;
use umbel_tests::sabotage::{ALONE, Sabotage};

use super::links::spans;
use super::{files, none, read};

/// The section of tests/README.md that is headed so.
fn section(heading: &str) -> String {
    let page = read("tests/README.md");
    let (_, rest) = page.split_once(&format!("\n{heading}\n")).expect("there is such a section");
    rest.split("\n## ").next().unwrap_or_default().to_owned()
}

/// The cells of each row of its first table, without its head.
fn rows(section: &str) -> Vec<Vec<&str>> {
    let lines = section.lines().skip_while(|line| !line.starts_with('|'));
    let rows = lines.take_while(|line| line.starts_with('|')).skip(2);
    rows.map(|row| row.trim_matches('|').split('|').map(str::trim).collect()).collect()
}

#[test]
fn the_promises_are_the_invariants() {
    let section = section("## The promises");
    let named: BTreeSet<String> =
        rows(&section).iter().flat_map(|row| spans(row[2])).map(str::to_owned).collect();
    let dir = "tests/src/invariants/";
    let stems = files(dir, ".rs").into_iter().filter_map(|file| {
        let stem = file.path.strip_prefix(dir)?.strip_suffix(".rs")?;
        (!stem.contains('/')).then(|| stem.to_owned())
    });
    let there: BTreeSet<String> = stems.collect();
    none(named.symmetric_difference(&there).cloned().collect(), "not both in the table and a file");
}

#[test]
fn each_kind_of_worlds_is_in_the_matrix() {
    let section = section("## The matrix");
    let cells: Vec<String> = rows(&section).iter().map(|row| format!(", {},", row[1])).collect();
    let is_there = |kind: &str| {
        cells.iter().any(|cell| {
            let rest = cell.split_once(&format!(", {kind} ")).map(|(_, rest)| rest);
            // How long, in hours.
            rest.and_then(|rest| rest.split(',').next()).is_some_and(|long| long.ends_with(" h"))
        })
    };
    let missing = KINDS.iter().filter(|kind| !is_there(kind.name));
    none(missing.map(|kind| kind.name.to_owned()).collect(), "kinds that are not in the matrix");
}

#[test]
fn so_many_are_there_as_is_written() {
    let page = read("tests/README.md");
    let (defects, all) = (Defect::ALL.len(), Sabotage::all().count());
    for words in [
        format!("any {} successive seeds have", KINDS.len()),
        format!("`protocol/src/sabotage.rs` has {defects} defects"),
        format!("All {all} are found"),
        format!("must find one of them; {} that seldom speak first", ALONE.len()),
    ] {
        assert!(page.contains(&words), "tests/README.md should say: {words}");
    }
}

/// The invariants that the doc of each defect names.
fn documented() -> BTreeMap<String, BTreeSet<String>> {
    let text = read("protocol/src/sabotage.rs");
    let (_, body) = text.split_once("pub enum Defect {\n").expect("it is there");
    let body = body.split("\n}").next().unwrap_or_default();
    let (mut found, mut named) = (BTreeMap::new(), BTreeSet::new());
    for line in body.lines().map(str::trim) {
        match line.strip_prefix("///") {
            Some(doc) => named.extend(spans(doc).into_iter().map(str::to_owned)),
            None => drop(
                found.insert(line.trim_end_matches(',').to_owned(), std::mem::take(&mut named)),
            ),
        }
    }
    found
}

#[test]
fn the_doc_of_each_defect_names_the_invariants_that_must_find_it() {
    let documented = documented();
    let wrong = Defect::ALL.into_iter().map(Sabotage::Inside).filter_map(|defect| {
        let must: BTreeSet<String> =
            defect.found_by().iter().map(|&name| name.to_owned()).collect();
        let named = documented.get(&defect.name()).cloned().unwrap_or_default();
        (named != must).then(|| format!("{}: {named:?}, not {must:?}", defect.name()))
    });
    none(wrong.collect(), "defects whose docs name other invariants");
}
