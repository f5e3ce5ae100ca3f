//! Rules for the workspace and its packages.

use std::collections::BTreeSet;
use std::fs;

use toml::{Table, Value};

use super::{files, none, read, root};

/// All that stands in the root, besides names that begin with a dot.
const TOP_LEVEL: [&str; 11] = [
    "Cargo.lock",
    "Cargo.toml",
    "LICENSE-APACHE",
    "LICENSE-MIT",
    "README.md",
    "benches",
    "cluster.toml",
    "examples",
    "node",
    "protocol",
    "tests",
];

/// What `protocol` may depend on: encodings, ids, errors, calendars, and machines without I/O.
const PROTOCOL_DEPENDENCIES: [&str; 13] = [
    "bincode",
    "bytes",
    "croner",
    "foca",
    "jiff",
    "protobuf",
    "raft",
    "rand",
    "serde",
    "slog",
    "thiserror",
    "uuid",
    "xxhash-rust",
];

fn parse(path: &str) -> Table {
    read(path).parse().unwrap_or_else(|why| panic!("{path}: {why}"))
}

fn members() -> Vec<String> {
    let workspace = parse("Cargo.toml");
    let members = workspace["workspace"]["members"].as_array().expect("a list");
    members.iter().map(|member| member.as_str().expect("a path").to_owned()).collect()
}

fn names<'a>(manifest: &'a Table, section: &str) -> BTreeSet<&'a str> {
    let table = manifest.get(section).and_then(Value::as_table);
    table.map(|table| table.keys().map(String::as_str).collect()).unwrap_or_default()
}

#[test]
fn every_manifest_is_a_member() {
    let known: BTreeSet<_> =
        members().iter().map(|member| format!("{member}/Cargo.toml")).collect();
    let found = files("", "Cargo.toml").into_iter().map(|file| file.path);
    let strangers = found.filter(|path| path != "Cargo.toml" && !known.contains(path));
    none(strangers.collect(), "packages that are not built with the others");
}

#[test]
fn protocol_depends_on_nothing_that_does() {
    let manifest = parse("protocol/Cargo.toml");
    assert_eq!(names(&manifest, "dependencies"), BTreeSet::from(PROTOCOL_DEPENDENCIES));
    assert_eq!(names(&manifest, "dev-dependencies"), BTreeSet::from(["proptest"]));
    for section in ["build-dependencies", "target"] {
        assert!(names(&manifest, section).is_empty(), "protocol has no {section}");
    }
    assert_eq!(names(&manifest, "features"), BTreeSet::from(["sabotage"]));
}

#[test]
fn only_the_tests_can_switch_defects_on() {
    let workspace = parse("Cargo.toml");
    assert_eq!(workspace["workspace"]["default-members"].to_string(), "[\"node\"]");
    let able = members().into_iter().filter(|member| {
        let manifest = parse(&format!("{member}/Cargo.toml"));
        let mut sections = ["dependencies", "dev-dependencies", "features"].into_iter();
        member != "protocol"
            && sections.any(|section| {
                manifest.get(section).is_some_and(|table| table.to_string().contains("sabotage"))
            })
    });
    assert_eq!(able.collect::<Vec<_>>(), ["tests"]);
}

#[test]
fn every_package_keeps_the_same_rules() {
    let workspace = parse("Cargo.toml");
    let unsafe_code = workspace["workspace"]["lints"]["rust"]["unsafe_code"].as_str();
    assert_eq!(unsafe_code, Some("forbid"));
    let lax = members().into_iter().filter(|member| {
        let manifest = parse(&format!("{member}/Cargo.toml"));
        let lints = manifest.get("lints").and_then(Value::as_table);
        lints.is_none_or(|lints| lints.get("workspace") != Some(&Value::Boolean(true)))
    });
    none(lax.collect(), "packages without the workspace's lints");
}

#[test]
fn versions_stand_in_one_place() {
    let mut elsewhere = Vec::new();
    for member in members() {
        let manifest = parse(&format!("{member}/Cargo.toml"));
        for section in ["dependencies", "dev-dependencies", "build-dependencies"] {
            let Some(table) = manifest.get(section).and_then(Value::as_table) else { continue };
            let own = table.iter().filter(|(_, dependency)| dependency.get("workspace").is_none());
            elsewhere.extend(own.map(|(name, _)| format!("{member}: {name}")));
        }
    }
    none(elsewhere, "dependencies that are not the workspace's");
}

#[test]
fn every_dependency_has_a_reason() {
    let text = read("Cargo.toml");
    let (_, section) = text.split_once("[workspace.dependencies]\n").expect("the section");
    let section = section.split("\n[").next().expect("its end");
    let entries = section
        .lines()
        .filter(|line| !line.is_empty() && !line.starts_with('#') && !line.contains("path = \""));
    let bare = entries.filter(|line| {
        let reason = line.rsplit_once(" # ").map(|(_, reason)| reason.trim());
        reason.is_none_or(str::is_empty)
    });
    none(bare.map(str::to_owned).collect(), "dependencies without a reason beside them");
}

#[test]
fn every_exception_to_the_rules_for_dependencies_has_a_reason() {
    let deny = parse(".deny.toml");
    let mut bare = Vec::new();
    for (section, list) in [("advisories", "ignore"), ("bans", "deny")] {
        for entry in deny[section][list].as_array().expect("a list") {
            if entry.get("reason").and_then(Value::as_str).is_none_or(|reason| reason.len() < 8) {
                bare.push(format!("{section}.{list}: {entry}"));
            }
        }
    }
    none(bare, "entries of .deny.toml without a reason");
}

#[test]
fn the_root_holds_what_it_should() {
    let ignored = read(".gitignore");
    let ignored: BTreeSet<_> = ignored.lines().map(|line| line.trim_matches('/')).collect();
    let mut strangers = Vec::new();
    for entry in fs::read_dir(root()).expect("it can be read") {
        let name = entry.expect("it can be read").file_name().to_string_lossy().into_owned();
        let is_known = name.starts_with('.') || TOP_LEVEL.contains(&name.as_str());
        if !is_known && !ignored.contains(name.as_str()) {
            strangers.push(name);
        }
    }
    none(strangers, "what does not belong into the root");
    for name in TOP_LEVEL {
        assert!(root().join(name).exists(), "{name} is missing");
    }
}
