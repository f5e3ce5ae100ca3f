//! A node whose disk is full stops and says what to do; the others go on, and nothing that was
//! acknowledged is lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::program::Program;

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
const POLL: Duration = Duration::from_millis(20);
/// What the small disk holds: an empty store, and a little more.
const SMALL_KIB: usize = 16 * 1024;

/// A directory on a disk of its own where that may be; else files there are kept from growing.
struct Disk {
    path: String,
    is_mounted: bool,
    is_small: bool,
}

impl Disk {
    fn small(path: String) -> Self {
        fs::create_dir_all(&path).unwrap();
        let size = format!("size={SMALL_KIB}k");
        let mut mount = Command::new("mount");
        mount.args(["-t", "tmpfs", "-o", &size, "umbel-test", &path]);
        let is_mounted = mount.stderr(Stdio::null()).status().is_ok_and(|status| status.success());
        Self { path, is_mounted, is_small: true }
    }

    fn command(&self, program: &Program, args: &[&str]) -> Command {
        if self.is_mounted || !self.is_small {
            return program.command(args);
        }
        // Without the signal the system says that the file is too large.
        let script = format!("trap '' XFSZ; ulimit -f {}; exec \"$@\"", 2 * SMALL_KIB);
        program.command_by("sh", &["-c", &script, "sh", env!("CARGO_BIN_EXE_umbel")], args)
    }

    fn make_room(&mut self) {
        self.is_small = false;
        if self.is_mounted {
            let mut mount = Command::new("mount");
            let status = mount.args(["-o", "remount,size=512m", &self.path]).status();
            assert!(status.unwrap().success(), "the disk becomes larger");
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if self.is_mounted {
            // What stays behind goes with the machine's memory.
            let _ = Command::new("umount").args(["-l", &self.path]).status();
        }
    }
}

/// A process, which goes when the test does.
struct Process {
    child: Child,
    address: String,
}

impl Process {
    fn start(mut command: Command) -> Self {
        let piped = command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = piped.spawn().unwrap();
        let mut ready = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
        let words: Vec<&str> = ready.split(' ').collect();
        assert_eq!(words.get(2..5), Some(&["is", "ready", "on"][..]), "{ready}");
        Self { child, address: words[5].to_owned() }
    }

    fn stop(mut self) {
        drop(self.child.stdin.take());
        assert!(self.child.wait().unwrap().success());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn until(what: &str, mut is_met: impl FnMut() -> bool) {
    let began = Instant::now();
    while !is_met() {
        assert!(began.elapsed() < PATIENCE, "{what} within {PATIENCE:?}");
        thread::sleep(POLL);
    }
}

#[test]
fn a_node_whose_disk_is_full_says_so_and_the_cluster_goes_on() {
    let program = Program::new();
    let config = program.path("cluster.toml");
    fs::write(&config, "[cluster]\npartitions = 16\n").unwrap();
    let mut disk = Disk::small(program.path("c"));
    let args = |name: &'static str, join: Option<&String>| {
        let mut args: Vec<String> = ["node", "-c", &config, "--name", name, "--tethered"]
            .map(str::to_owned)
            .into_iter()
            .chain(["--listen", "127.0.0.1:0", "--data"].map(str::to_owned))
            .collect();
        args.push(program.path(name));
        args.extend(join.into_iter().flat_map(|to| ["--join".to_owned(), to.clone()]));
        args
    };
    let command = |args: &[String]| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = program.command(&args);
        command.stderr(Stdio::null());
        command
    };
    let on_disk = |disk: &Disk, args: &[String], said: &str| {
        let args: Vec<&str> = args.iter().map(String::as_str).collect();
        let mut command = disk.command(&program, &args);
        command.stderr(fs::File::create(program.path(said)).unwrap());
        command
    };
    let a = Process::start(command(&args("a", None)));
    let b = Process::start(command(&args("b", Some(&a.address))));
    let mut c = Process::start(on_disk(&disk, &args("c", Some(&a.address)), "c.log"));
    let tls = program.path("tls");
    // Through two of the three: the third may be gone at any time.
    let through = format!("{},{}", a.address, b.address);
    let ask =
        |args: &[&str]| program.run(&[args, &["--connect", &through, "--tls", &tls]].concat());
    let states = || {
        let mut states: Vec<String> = (ask(&["cluster", "status", "--json"]).json().iter())
            .map(|node| node["state"].as_str().unwrap_or_default().to_owned())
            .collect();
        states.sort();
        states
    };
    until("all three are there", || states() == ["alive", "alive", "alive"]);

    // Tasks until the third has no room for more of them.
    let large = "x".repeat(300_000);
    let line = format!("{{\"task\":\"umbel.noop\",\"args\":\"{large}\"}}\n");
    fs::write(program.path("some.jsonl"), line.repeat(10)).unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut code = None;
    until("the disk is full", || {
        let ran = ask(&["submit", "--from", "some.jsonl", "--json"]);
        // Of some it may not be known whether they were taken in, as the third goes.
        let taken = ran.json().into_iter().filter(|row| row["error"].is_null());
        acknowledged.extend(taken.filter_map(|row| row["id"].as_str().map(str::to_owned)));
        code = c.child.try_wait().unwrap();
        code.is_some()
    });
    let said = fs::read_to_string(program.path("c.log")).unwrap();
    assert!(!code.unwrap().success(), "{said}");
    let told = said.find("error: the node had to stop").map(|at| &said[at..]);
    let told = told.unwrap_or_else(|| panic!("it says why: {said}"));
    assert!(told.contains("no space left for"), "{told}");
    assert!(told.contains("free some and start the node again"), "{told}");

    let ran = ask(&["submit", "umbel.noop", "--wait", "--json"]);
    assert!(ran.ok, "the others go on: {ran:?}");
    acknowledged.extend(ran.json()[0]["id"].as_str().map(str::to_owned));

    disk.make_room();
    c = Process::start(on_disk(&disk, &args("c", Some(&a.address)), "c-again.log"));
    until("it is back", || states() == ["alive", "alive", "alive"]);
    let kept = || {
        let args = ["task", "list", "--limit", "10000", "--state", "succeeded", "--json"];
        let through = format!("{},{}", b.address, c.address);
        let connect = ["--connect", &through, "--tls", &tls];
        let listed = program.run(&[&args[..], &connect].concat()).json();
        listed.iter().filter_map(|task| task["id"].as_str().map(str::to_owned)).collect()
    };
    until("all of it has ended", || acknowledged.is_subset(&kept()));
    // What the first had can be had from the other two as well.
    a.stop();
    until("nothing is lost", || acknowledged.is_subset(&kept()));
    c.stop();
    drop(b);
}
