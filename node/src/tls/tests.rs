//! What is wrong with a certificate is said before it is used, and by name.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use tempfile::TempDir;

use super::ca::{Validity, init, issue, issue_for};
use super::*;

fn authority() -> TempDir {
    let dir = TempDir::new().unwrap();
    init(dir.path()).unwrap();
    dir
}

fn load_node(dir: &Path) -> Result<TlsFiles, TlsError> {
    TlsFiles::load(dir, Role::Node, None)
}

#[test]
fn what_is_issued_is_accepted() {
    let dir = authority();
    issue(dir.path(), "web-1.example", Role::Node).unwrap();
    issue(dir.path(), "cli", Role::Client).unwrap();
    let node = load_node(dir.path()).unwrap();
    assert_eq!(node.identity(), &Identity { name: "web-1.example".into(), role: Role::Node });
    node.server().unwrap();
    node.client().unwrap();
    let client = TlsFiles::load(dir.path(), Role::Client, Some("cli")).unwrap();
    assert_eq!(client.identity(), &Identity { name: "cli".into(), role: Role::Client });
    for key in ["ca.key", "cli.key"] {
        let mode = fs::metadata(dir.path().join(key)).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
}

#[test]
fn nothing_is_overwritten_and_a_kept_key_is_renewed() {
    let dir = authority();
    assert!(matches!(init(dir.path()), Err(TlsError::Exists { .. })));
    issue(dir.path(), "a", Role::Node).unwrap();
    assert!(matches!(issue(dir.path(), "a", Role::Node), Err(TlsError::Exists { .. })));
    let key = fs::read(dir.path().join("a.key")).unwrap();
    fs::remove_file(dir.path().join("a.pem")).unwrap();
    issue(dir.path(), "a", Role::Node).unwrap();
    assert_eq!(fs::read(dir.path().join("a.key")).unwrap(), key);
    load_node(dir.path()).unwrap();
}

#[test]
fn names_that_are_no_names_are_refused() {
    let dir = authority();
    for name in ["", "ca", "A", "../a", "a..b", "-a", "a b", &"a".repeat(64)] {
        let refused = issue(dir.path(), name, Role::Node);
        assert!(matches!(refused, Err(TlsError::BadName { .. })), "{name:?}");
    }
}

#[test]
fn missing_files_are_named() {
    let empty = TempDir::new().unwrap();
    let error = load_node(empty.path()).unwrap_err();
    assert!(matches!(error, TlsError::Missing { what: "node certificate", .. }), "{error}");
    let error = issue(empty.path(), "a", Role::Node).unwrap_err();
    assert!(matches!(error, TlsError::Missing { what: "authority", .. }), "{error}");
    let dir = authority();
    issue(dir.path(), "a", Role::Node).unwrap();
    fs::remove_file(dir.path().join("a.key")).unwrap();
    let error = load_node(dir.path()).unwrap_err();
    assert!(matches!(error, TlsError::Missing { what: "private key", .. }), "{error}");
    issue(dir.path(), "b", Role::Node).unwrap();
    let error = load_node(dir.path()).unwrap_err();
    assert!(matches!(error, TlsError::Ambiguous { .. }), "{error}");
    assert!(TlsFiles::load(dir.path(), Role::Node, Some("b")).is_ok());
}

#[test]
fn files_that_are_not_pem_are_named() {
    let dir = authority();
    issue(dir.path(), "a", Role::Node).unwrap();
    for file in ["a.key", "a.pem", "ca.pem"] {
        let path = dir.path().join(file);
        let good = fs::read(&path).unwrap();
        fs::write(&path, "not PEM").unwrap();
        let error = TlsFiles::load(dir.path(), Role::Node, Some("a")).unwrap_err();
        assert!(matches!(&error, TlsError::NotPem { path: told, .. } if *told == path), "{error}");
        fs::write(&path, good).unwrap();
    }
}

#[test]
fn a_key_of_another_pair_is_told() {
    let dir = authority();
    issue(dir.path(), "a", Role::Node).unwrap();
    issue(dir.path(), "b", Role::Node).unwrap();
    fs::copy(dir.path().join("b.key"), dir.path().join("a.key")).unwrap();
    let error = TlsFiles::load(dir.path(), Role::Node, Some("a")).unwrap_err();
    assert!(matches!(error, TlsError::KeyMismatch { .. }), "{error}");
}

#[test]
fn times_are_told() {
    let dir = authority();
    let past = Validity { not_before: 1_000_000_000, not_after: 1_500_000_000 };
    issue_for(dir.path(), "old", Role::Node, past).unwrap();
    let error = TlsFiles::load(dir.path(), Role::Node, Some("old")).unwrap_err();
    assert!(error.to_string().contains("expired at 2017-07-14T02:40:00Z"), "{error}");
    let future = Validity { not_before: 4_000_000_000, not_after: 4_100_000_000 };
    issue_for(dir.path(), "new", Role::Node, future).unwrap();
    let error = TlsFiles::load(dir.path(), Role::Node, Some("new")).unwrap_err();
    assert!(error.to_string().contains("only from 2096-10-02T07:06:40Z"), "{error}");
}

#[test]
fn another_authority_and_another_role_are_told() {
    let dir = authority();
    issue(dir.path(), "a", Role::Client).unwrap();
    let error = TlsFiles::load(dir.path(), Role::Node, Some("a")).unwrap_err();
    assert!(matches!(error, TlsError::WrongRole { .. }), "{error}");
    let other = authority();
    fs::copy(other.path().join("ca.pem"), dir.path().join("ca.pem")).unwrap();
    let error = TlsFiles::load(dir.path(), Role::Client, Some("a")).unwrap_err();
    assert!(matches!(error, TlsError::WrongCa { .. }), "{error}");
}

#[test]
fn many_at_once_make_one_local_authority() {
    let dir = TempDir::new().unwrap();
    let path = dir.path().join("tls");
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                ensure_local(&path).unwrap();
                load_node(&path).unwrap();
                TlsFiles::load(&path, Role::Client, None).unwrap();
            });
        }
    });
}

#[test]
fn a_local_authority_whose_making_was_cut_short_is_completed() {
    let dir = TempDir::new().unwrap();
    ensure_local(dir.path()).unwrap();
    for file in ["ca.pem", "node.pem", "client.pem"] {
        fs::remove_file(dir.path().join(file)).unwrap();
    }
    ensure_local(dir.path()).unwrap();
    load_node(dir.path()).unwrap();
}
