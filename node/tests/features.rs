//! Each test and each invariant that the table of features names is there.

use std::path::{Path, PathBuf};

const TABLE: &str = include_str!("../src/features.rs");

/// All sources below `dir`.
fn sources(dir: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(dir).expect("it can be read") {
        let path = entry.expect("it can be read").path();
        if path.is_dir() && !path.ends_with("target") {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn what_shows_a_feature_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("it is in the workspace");
    let mut paths = Vec::new();
    for part in ["node", "protocol", "tests", "examples"] {
        sources(&root.join(part), &mut paths);
    }
    let text: String = paths
        .iter()
        .filter(|path| !path.ends_with("src/features.rs") && !path.ends_with("tests/features.rs"))
        .map(|path| std::fs::read_to_string(path).expect("it is text"))
        .collect();
    let rows: Vec<&str> = TABLE.lines().filter(|line| line.starts_with("//! | ")).skip(1).collect();
    assert!(rows.len() > 30, "{} rows", rows.len());
    for row in rows {
        let proofs =
            row.trim_end_matches('|').trim_end().rsplit('|').next().expect("it has columns");
        let names: Vec<&str> = proofs.split('`').skip(1).step_by(2).collect();
        assert!(!names.is_empty(), "nothing shows this: {row}");
        for name in names {
            assert!(
                is_test(&text, name) || is_invariant(&text, name),
                "no test is `{name}`: {row}"
            );
        }
    }
}

/// Whether a test is called so.
fn is_test(text: &str, name: &str) -> bool {
    let declared = format!("fn {name}(");
    let heads = text.match_indices(&declared).map(|(at, _)| &text[..at]);
    let attributes = heads.map(|head| head.rsplit("\n\n").next().unwrap_or_default());
    let is_test =
        |attributes: &str| attributes.contains("#[test]") || attributes.contains("::test");
    attributes.into_iter().any(is_test)
}

/// Whether simulated clusters are held to an invariant that is called so.
fn is_invariant(text: &str, name: &str) -> bool {
    let is_looked_at = [format!("by(\"{name}\""), format!("must(\"{name}\"")];
    is_looked_at.iter().any(|call| text.contains(call))
}
