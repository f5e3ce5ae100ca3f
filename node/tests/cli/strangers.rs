//! Whoever does not belong to a cluster, as an operator meets it: at the start of a node, and at the
//! first request.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};
use std::time::Duration;

use rcgen::{CertificateParams, Issuer, KeyPair};

use crate::program::Program;

/// A node with certificates of an authority in `ca`, for as long as this lives.
struct Guarded {
    child: Child,
    address: String,
}

impl Guarded {
    fn start(program: &Program) -> Self {
        let ca = program.path("ca");
        assert!(program.run(&["ca", "init", &ca]).ok);
        assert!(program.run(&["ca", "issue", "a", "--dir", &ca]).ok);
        assert!(program.run(&["ca", "issue", "me", "--dir", &ca, "--client"]).ok);
        let mut command = program.command(&node(program, "a", &ca));
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut child = piped.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let address = ready.split(' ').nth(5).unwrap_or_else(|| panic!("{ready}")).to_owned();
        Self { child, address }
    }

    /// Asks it for something with the certificates in `tls`.
    fn ask(&self, program: &Program, tls: &str) -> crate::program::Ran {
        let args = ["submit", "umbel.noop", "--wait", "--connect", &self.address, "--tls", tls];
        program.run(&args)
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The arguments that start a node with certificates in `tls`.
fn node(program: &Program, name: &str, tls: &str) -> Vec<&'static str> {
    let config = program.path(&format!("{name}.toml"));
    fs::write(&config, format!("[tls]\ndir = {tls:?}\n")).unwrap();
    let args = ["node", "-c", &config, "--name", name, "--listen", "127.0.0.1:0", "--tethered"];
    args.map(leaked).to_vec()
}

/// For a node that ends by itself: it must not end because nobody holds its input.
fn untethered(mut args: Vec<&'static str>) -> Vec<&'static str> {
    args.retain(|arg| *arg != "--tethered");
    args
}

/// A handful of bytes for as long as a test runs.
fn leaked(text: &str) -> &'static str {
    Box::leak(text.to_owned().into_boxed_str())
}

/// Runs until it logs a line with `what`, which is returned.
fn said(program: &Program, args: &[&str], what: &str) -> String {
    let mut command = program.command(args);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut child = piped.spawn().unwrap();
    let mut lines = BufReader::new(child.stderr.take().unwrap()).lines().map_while(Result::ok);
    let found = lines.find(|line| line.contains(what));
    child.kill().unwrap();
    child.wait().unwrap();
    found.unwrap_or_else(|| panic!("it ended without a word of {what:?}"))
}

/// Puts a certificate whose time is over in the place of the one for `name`, of a role as
/// certificates name it.
fn expire(dir: &str, name: &str, role: &str) {
    let read = |file: &str| fs::read_to_string(format!("{dir}/{file}")).unwrap();
    let authority = KeyPair::from_pem(&read("ca.key")).unwrap();
    let issuer = Issuer::from_ca_cert_pem(&read("ca.pem"), authority).unwrap();
    let key = KeyPair::from_pem(&read(&format!("{name}.key"))).unwrap();
    let names = vec![role.to_owned(), format!("{name}.{role}")];
    let mut params = CertificateParams::new(names).unwrap();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    params.not_before = epoch + now - Duration::from_secs(20 * 24 * 3_600);
    params.not_after = epoch + now - Duration::from_secs(10 * 24 * 3_600);
    params.use_authority_key_identifier_extension = true;
    params.extended_key_usages = vec![
        rcgen::ExtendedKeyUsagePurpose::ClientAuth,
        rcgen::ExtendedKeyUsagePurpose::ServerAuth,
    ];
    let certificate = params.signed_by(&key, &issuer).unwrap();
    fs::write(format!("{dir}/{name}.pem"), certificate.pem()).unwrap();
}

#[test]
fn a_certificate_whose_time_is_over_is_named_and_how_to_renew_it() {
    let program = Program::new();
    let guarded = Guarded::start(&program);
    let ca = program.path("ca");
    assert!(guarded.ask(&program, &ca).ok);

    expire(&ca, "me", "client.umbel");
    let ran = guarded.ask(&program, &ca);
    assert!(!ran.ok && ran.err.contains("me.pem expired at"), "{ran:?}");
    assert!(ran.err.contains("umbel ca issue me --dir"), "{ran:?}");

    assert!(program.run(&["ca", "issue", "b", "--dir", &ca]).ok);
    expire(&ca, "b", "node.umbel");
    let ran = program.run(&untethered(node(&program, "b", &ca)));
    assert!(!ran.ok && ran.err.starts_with("error: cannot start the node"), "{ran:?}");
    assert!(ran.err.contains("b.pem expired at"), "{ran:?}");

    // The node lives on: a certificate that is issued anew is taken.
    assert!(program.run(&["ca", "issue", "you", "--dir", &ca, "--client"]).ok);
    fs::remove_file(format!("{ca}/me.pem")).unwrap();
    assert!(guarded.ask(&program, &ca).ok);
}

#[test]
fn certificates_of_another_authority_are_refused_on_both_sides() {
    let program = Program::new();
    let guarded = Guarded::start(&program);
    let other = program.path("other");
    assert!(program.run(&["ca", "init", &other]).ok);
    assert!(program.run(&["ca", "issue", "me", "--dir", &other, "--client"]).ok);
    assert!(program.run(&["ca", "issue", "b", "--dir", &other]).ok);

    let ran = guarded.ask(&program, &other);
    assert!(!ran.ok && ran.err.contains("authority"), "{ran:?}");
    assert!(ran.err.contains(&guarded.address), "{ran:?}");

    // A node of it starts, finds nobody who talks to it, and says why for as long as it runs.
    let mut args = node(&program, "b", &other);
    args.extend(["--join", leaked(&guarded.address)]);
    let told = said(&program, &args, "waiting for a seed");
    assert!(told.contains("authority"), "it says what is wrong: {told}");

    // A client's certificate makes no node, and one that was copied wrong none at all.
    let ca = program.path("ca");
    assert!(program.run(&["ca", "issue", "c", "--dir", &ca, "--client"]).ok);
    let ran = program.run(&untethered(node(&program, "c", &ca)));
    assert!(!ran.ok && ran.err.contains("is that of a client"), "{ran:?}");
    fs::remove_file(format!("{ca}/c.pem")).unwrap();
    fs::copy(format!("{other}/me.pem"), format!("{ca}/me.pem")).unwrap();
    let ran = guarded.ask(&program, &ca);
    assert!(!ran.ok && ran.err.contains("me."), "{ran:?}");

    assert!(program.run(&["ca", "issue", "you", "--dir", &ca, "--client"]).ok);
    fs::remove_file(format!("{ca}/me.pem")).unwrap();
    assert!(guarded.ask(&program, &ca).ok, "the node lives on");
}

#[test]
fn a_node_of_another_cluster_is_told_what_to_mend() {
    let program = Program::new();
    let guarded = Guarded::start(&program);
    let ca = program.path("ca");
    assert!(program.run(&["ca", "issue", "b", "--dir", &ca]).ok);

    // One with data of its own: it has been a cluster by itself.
    let args = node(&program, "b", &ca);
    let mut command = program.command(&args);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut alone = piped.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(alone.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    assert!(ready.starts_with("node b is ready"), "{ready}");
    drop(alone.stdin.take());
    assert!(alone.wait().unwrap().success());
    let joining = [&args[..], &["--join", &guarded.address]].concat();
    let told = said(&program, &joining, "belongs to cluster");
    assert!(told.contains("correct the seeds, or start with an empty data directory"), "{told}");
    // It still is a cluster by itself, but does not claim to be more.
    let mut command = program.command(&joining);
    let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
    let mut child = piped.spawn().unwrap();
    let mut ready = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
    assert!(ready.ends_with(", but no other node has let it in yet\n"), "{ready}");

    // A blank one that was told of another cluster.
    assert!(program.run(&["ca", "issue", "d", "--dir", &ca]).ok);
    let config = program.path("d.toml");
    let args = node(&program, "d", &ca);
    fs::write(&config, format!("cluster.name = \"other\"\ntls.dir = {ca:?}\n")).unwrap();
    let joining = [&args[..], &["--join", &guarded.address]].concat();
    let told = said(&program, &joining, "waiting for a seed");
    assert!(told.contains("other") && told.contains("cluster.toml"), "{told}");

    assert!(guarded.ask(&program, &ca).ok, "the node lives on");
    let status =
        program.run(&["cluster", "status", "--json", "--connect", &guarded.address, "--tls", &ca]);
    assert_eq!(status.json().len(), 1, "nobody was let in");
}

#[test]
fn a_node_that_is_not_let_in_is_never_ready() {
    let program = Program::new();
    let guarded = Guarded::start(&program);
    let ca = program.path("ca");

    // Another with the name of a member, twice: what it has learned meanwhile makes it none.
    let data = program.path("twin");
    let args = untethered(node(&program, "a", &ca));
    let joining = [&args[..], &["--data", &data, "--join", &guarded.address]].concat();
    for _ in 0..2 {
        let ran = program.run(&joining);
        assert!(!ran.ok && ran.err.contains("belongs to another member"), "{ran:?}");
        assert!(ran.err.contains("waiting to be a member"), "{ran:?}");
        assert_eq!(ran.out, "", "it is not ready, and does not say so");
    }
    assert!(guarded.ask(&program, &ca).ok, "the node lives on");
}
