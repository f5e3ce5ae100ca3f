//! Remembers the process groups of running commands, so that whatever outlives a killed node is
//! killed by the next one.
//!
//! One small file per run, named by the task and the run's token. Its first line is written before the process is
//! started, the second once the number of the group is known, and it is removed when the group is
//! gone. Files are not synced: what a power cut takes from the disk it takes from the process table.
//!
//! Invariant: [`Ledger::sweep`] signals a group only if it is certainly one of a recorded run: its
//! leader lives and started when the file says, or a member carries the run's marks in its
//! environment. A number that the kernel has given to someone else since is never signalled. What a
//! command moved into a group of its own is its own business.

use std::fs::File;
use std::io::{ErrorKind, Write as _};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use nix::unistd::Pid;
use umbel_protocol::id::{TaskId, Token};

use super::process_group::{self, Process};

/// How long [`Ledger::sweep`] waits for killed groups to be gone.
const GONE_WITHIN: Duration = Duration::from_secs(5);

/// The process groups of running commands, on disk.
#[derive(Debug)]
pub struct Ledger {
    dir: PathBuf,
    world: String,
}

/// Remembering process groups failed. Nothing was started or killed because of it; whether another
/// try can help depends on the disk.
#[derive(Debug, thiserror::Error)]
#[error("cannot {action} {path:?}")]
pub struct LedgerError {
    action: &'static str,
    path: PathBuf,
    #[source]
    source: std::io::Error,
}

/// One recorded run. It is forgotten by [`Entry::close`], when its group is gone.
#[derive(Debug)]
pub(super) struct Entry {
    path: PathBuf,
    file: File,
}

/// What a file of the ledger says.
#[derive(Debug, PartialEq, Eq)]
struct Record {
    world: String,
    marks: [String; 2],
    /// Number of the group and start of its leader, if the process got that far.
    group: Option<(i32, u64)>,
}

impl Ledger {
    /// The ledger in directory `dir`, which is made if it is missing. One process owns it.
    ///
    /// # Errors
    /// When the directory cannot be made.
    pub fn open(dir: impl Into<PathBuf>) -> Result<Self, LedgerError> {
        let dir = dir.into();
        std::fs::create_dir_all(&dir).map_err(failed("create", &dir))?;
        Ok(Self { dir, world: world() })
    }

    /// Kills the groups that a former owner of this directory left behind and waits until they are
    /// gone; answers how many. Blocks; called before anything is run.
    ///
    /// # Errors
    /// When the directory cannot be read. Groups found before that are killed.
    pub fn sweep(&self) -> Result<usize, LedgerError> {
        let living = process_group::living().unwrap_or_default();
        let mut killed = Vec::new();
        for entry in self.dir.read_dir().map_err(failed("read", &self.dir))? {
            let path = entry.map_err(failed("read", &self.dir))?.path();
            let text = match std::fs::read_to_string(&path) {
                Ok(text) => text,
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed("read", &path)(error)),
            };
            let group = Record::parse(&text)
                .filter(|record| record.world == self.world)
                .and_then(|record| record.survivors(&living));
            match group {
                Some(group) => {
                    tracing::info!(%group, "killing what an earlier process left running");
                    process_group::signal(group, Signal::SIGKILL);
                    killed.push((group, path));
                }
                None => remove(&path)?,
            }
        }
        let count = killed.len();
        let give_up = Instant::now() + GONE_WITHIN;
        while !killed.is_empty() && Instant::now() < give_up {
            let mut kept = Vec::new();
            for (group, path) in killed {
                if process_group::is_gone(group) {
                    remove(&path)?;
                } else {
                    kept.push((group, path));
                }
            }
            killed = kept;
            if !killed.is_empty() {
                std::thread::sleep(Duration::from_millis(2));
            }
        }
        for (group, _) in killed {
            // Its file stays, so the next start tries again.
            tracing::warn!(%group, "killed processes of an earlier run do not go away");
        }
        Ok(count)
    }

    /// Waits until no process of a run goes on that was dropped, which has killed them; not for one that
    /// hangs in the kernel. What is no command, and what has ended in order, is not waited for.
    pub(super) async fn gone(&self, id: TaskId, token: Token) {
        let path = self.dir.join(file_name(id, token));
        let Ok(text) = std::fs::read_to_string(&path) else { return };
        let living = process_group::living().unwrap_or_default();
        if let Some(group) = Record::parse(&text).and_then(|record| record.survivors(&living))
            && !process_group::killed(group, process_group::lifeless(group)).await
        {
            return;
        }
        if let Err(error) = remove(&path) {
            tracing::warn!(%error, "a run that was given up stays in the ledger");
        }
    }

    /// Records a run whose process is about to be started with [`marks`] in its environment.
    pub(super) fn enter(&self, id: TaskId, token: Token) -> Result<Entry, LedgerError> {
        let path = self.dir.join(file_name(id, token));
        let mut file = File::create(&path).map_err(failed("create", &path))?;
        let [task, run] = marks(id, token);
        let line = format!("{} {task} {run}\n", self.world);
        let entry = |file| Entry { path: path.clone(), file };
        match file.write_all(line.as_bytes()) {
            Ok(()) => Ok(entry(file)),
            Err(error) => {
                let error = failed("write", &path)(error);
                entry(file).close();
                Err(error)
            }
        }
    }
}

impl Entry {
    /// Records the group that `leader`, which has not been waited for, leads.
    pub(super) fn started(&mut self, leader: Pid) -> Result<(), LedgerError> {
        // Where there is no `/proc` the file stays incomplete, and a sweep finds nothing.
        let Some(process) = process_group::process(leader.as_raw()) else { return Ok(()) };
        let line = format!("{leader} {}\n", process.start);
        self.file.write_all(line.as_bytes()).map_err(failed("write", &self.path))
    }

    /// Forgets the run: its group is gone, or never was.
    pub(super) fn close(self) {
        if let Err(error) = remove(&self.path) {
            // The next sweep finds no process that fits and removes it.
            tracing::warn!(%error, "a finished run stays in the ledger");
        }
    }
}

impl Record {
    fn parse(text: &str) -> Option<Self> {
        let (first, rest) = text.split_once('\n')?;
        let mut words = first.split(' ').map(str::to_owned);
        let (world, task, run) = (words.next()?, words.next()?, words.next()?);
        let group = rest.split_once('\n').and_then(|(line, _)| {
            let (group, start) = line.split_once(' ')?;
            Some((group.parse().ok()?, start.parse().ok()?))
        });
        Some(Self { world, marks: [task, run], group })
    }

    /// The group of this run, if it certainly has a member among `living`.
    fn survivors(&self, living: &[Process]) -> Option<Pid> {
        let marks = [self.marks[0].as_str(), self.marks[1].as_str()];
        let is_ours = |process: &&Process| match self.group {
            Some((group, start)) => {
                process.group == group
                    && if process.pid == group {
                        process.start == start
                    } else {
                        process.start >= start && process_group::has_marks(process.pid, &marks)
                    }
            }
            // The node was killed between starting it and learning its number.
            None => process.pid == process.group && process_group::has_marks(process.pid, &marks),
        };
        living.iter().find(is_ours).map(|process| Pid::from_raw(process.group))
    }
}

/// Tokens are those of a partition's log: only together with the task they name one run.
fn file_name(id: TaskId, token: Token) -> String {
    format!("{id}_{token}")
}

/// What the environment of a run's processes holds to tell that they belong to it.
pub(super) fn marks(id: TaskId, token: Token) -> [String; 2] {
    [format!("UMBEL_TASK_ID={id}"), format!("UMBEL_TOKEN={token}")]
}

/// What numbers of processes depend on: this boot and this process namespace. After a restart of
/// the machine or the container the same numbers mean others.
fn world() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap_or_default();
    let namespace = std::fs::read_link("/proc/self/ns/pid").unwrap_or_default();
    format!("{}/{}", boot.trim(), namespace.display())
}

fn remove(path: &Path) -> Result<(), LedgerError> {
    match std::fs::remove_file(path) {
        Err(error) if error.kind() != ErrorKind::NotFound => Err(failed("remove", path)(error)),
        Ok(()) | Err(_) => Ok(()),
    }
}

fn failed(action: &'static str, path: &Path) -> impl FnOnce(std::io::Error) -> LedgerError {
    let path = path.to_owned();
    move |source| LedgerError { action, path, source }
}

#[cfg(test)]
mod tests;
