//! A node whose disk is full stops and says what to do; the others go on, and nothing that was
//! acknowledged is lost.

use std::collections::BTreeSet;
use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::program::{Program, eventually};

/// Far longer than anything here takes on a busy machine.
const PATIENCE: Duration = Duration::from_secs(120);
/// What the small disk holds: an empty store, and a little more.
const SMALL_KIB: usize = 16 * 1024;
/// Which node owns which is decided by a hash of ids that are new each time: so many that chance leaves
/// none of three nodes without `OWNED_MIN` of them more often than once in a million times.
const PARTITIONS: usize = 64;
/// Submissions go to what the node owns that takes them: of one partition it would not keep all.
const OWNED_MIN: u64 = 4;

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
    fn start(command: Command) -> Self {
        let [process] = Self::start_all([command]);
        process
    }

    /// Starts all before it waits for any: none is ready before it has a cluster.
    fn start_all<const N: usize>(commands: [Command; N]) -> [Self; N] {
        let children = commands.map(|mut command| {
            command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap()
        });
        children.map(|mut child| {
            let mut ready = String::new();
            BufReader::new(child.stdout.take().unwrap()).read_line(&mut ready).unwrap();
            let words: Vec<&str> = ready.split(' ').collect();
            assert_eq!(words.get(2..5), Some(&["is", "ready", "on"][..]), "{ready}");
            Self { child, address: words[5].to_owned() }
        })
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

/// Where a node listens: an address that only this process of tests uses, so that its port is free.
fn address(node: u8) -> String {
    let [high, low] = u16::try_from(std::process::id() % 60_000).unwrap().to_be_bytes();
    format!("127.{}.{low}.{node}:7411", high + 1)
}

#[test]
fn a_node_whose_disk_is_full_says_so_and_the_cluster_goes_on() {
    let program = Program::new();
    let config = program.path("cluster.toml");
    // Formed by all three together: nothing is acknowledged before each group has three voters, so
    // that any two of the nodes have all of it.
    let seeds = [address(1), address(2), address(3)];
    fs::write(&config, format!("[cluster]\npartitions = {PARTITIONS}\nseeds = {seeds:?}\n"))
        .unwrap();
    let mut disk = Disk::small(program.path("c"));
    let args = |name: &'static str, listen: &String| {
        let data = program.path(name);
        ["node", "-c", &config, "--name", name, "--tethered", "--listen", listen, "--data", &data]
            .map(str::to_owned)
            .to_vec()
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
    let [a, b, mut c] = Process::start_all([
        command(&args("a", &seeds[0])),
        command(&args("b", &seeds[1])),
        on_disk(&disk, &args("c", &seeds[2]), "c.log"),
    ]);
    let tls = program.path("a/tls");
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
    eventually("all three are there", || states() == ["alive", "alive", "alive"]);
    eventually("all own their part", || {
        let nodes = ask(&["cluster", "status", "--json"]).json();
        nodes.iter().all(|node| node["partitions"].as_u64() >= Some(OWNED_MIN))
    });

    // Tasks until the third has no room for more of them.
    let large = "x".repeat(100_000);
    let line = format!("{{\"task\":\"umbel.noop\",\"args\":\"{large}\"}}\n");
    // Each submission is in one partition. Few together, so that none gets more of them than it keeps when
    // they have ended.
    fs::write(program.path("some.jsonl"), line.repeat(5)).unwrap();
    let mut acknowledged = BTreeSet::new();
    let mut code = None;
    eventually("the disk is full", || {
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
    c = Process::start(on_disk(&disk, &args("c", &seeds[2]), "c-again.log"));
    eventually("it is back", || states() == ["alive", "alive", "alive"]);
    let kept = || -> BTreeSet<String> {
        let args = ["task", "list", "--limit", "10000", "--state", "succeeded", "--json"];
        let through = format!("{},{}", b.address, c.address);
        let connect = ["--connect", &through, "--tls", &tls];
        let listed = program.run(&[&args[..], &connect].concat()).json();
        listed.iter().filter_map(|task| task["id"].as_str().map(str::to_owned)).collect()
    };
    let missing = || acknowledged.difference(&kept()).cloned().collect::<Vec<String>>();
    let began = Instant::now();
    while let [one, rest @ ..] = &missing()[..] {
        let told = || {
            let shown = ask(&["task", "show", one, "--json"]);
            format!("{one} and {} more of {}: {shown:?}", rest.len(), acknowledged.len())
        };
        assert!(began.elapsed() < PATIENCE, "not among those that have ended: {}", told());
    }
    // What the first had can be had from the other two as well.
    a.stop();
    eventually("nothing is lost", || acknowledged.is_subset(&kept()));
    c.stop();
    drop(b);
}
