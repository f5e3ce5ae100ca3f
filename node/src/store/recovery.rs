//! Opening a store: reading all of it, and finding out what cannot be vouched for.
//!
//! Of every copy here one of two things is true afterwards: it has all that it ever acknowledged,
//! or it is durably destroyed and reported as doubtful. What the engine finds by itself and what it
//! does not:
//!
//! | damage | found by |
//! |---|---|
//! | a torn last write | nothing to find: it was never acknowledged, the engine cuts it off |
//! | a cut or a flipped bit in the last file, which the engine takes for a torn write | the watermark, or markers behind the cut |
//! | a flipped bit in an older file | the engine, which refuses; the log is put aside |
//! | a flipped bit in entries | their checksum when they are read: one group is lost |
//! | a lost end of the rewritten log | records older than the census knows; entries that do not follow each other |
//! | a snapshot file missing or damaged | its checksum: one group is lost |
//!
//! The engine's other modes do not serve: the strict one refuses every torn write, the lax one
//! drops damage anywhere without a word.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use raft_engine::{Command, Config, LogBatch, ReadableSize, RecoveryMode};

use super::census::{Census, Row};
use super::disk::{DiskStore, Held, Sizes, put};
use super::error::{StoreError, panic_text};
use super::known::Known;
use super::probe::{Engine, Probe, ProbingFiles};
use super::reading::{Groups, Reader};
use super::record::{self, COMMON_REGION, COUNTER_KEY, RECORD_KEY, Record};
use super::snapshot_file::SnapshotDir;
use super::watermark::{self, Nonce, Watermark};
use super::{Damage, Doubt, Recovered};
use crate::data_dir::durable_file;

const LOG: &str = "log";
const LOG_ASIDE: &str = "log.damaged";
const CENSUS: &str = "copies";
const SNAPSHOTS: &str = "snapshots";
const WATERMARK: &str = "watermark";

/// How the engine calls it when it cuts a file off.
const CUT_OFF: &str = "ftruncate";

/// See [`DiskStore::open_with`].
pub(super) fn open(dir: &Path, sizes: Sizes) -> Result<(DiskStore, Recovered), StoreError> {
    durable_file::create_dir(dir).map_err(|error| StoreError::io("create", dir, error))?;
    let census_path = dir.join(CENSUS);
    // First, because it also tells whether this is a version's files that we understand.
    let census = Census::load(&census_path)?;
    let mark = Watermark::load(&dir.join(WATERMARK))?;
    let snapshots = SnapshotDir::open(dir.join(SNAPSHOTS))?;
    let log_path = dir.join(LOG);
    let last_file = last_log_file(&log_path)?;
    let blank = census.is_none() && mark.is_none() && last_file.is_none();

    let nonce: Nonce = mark.as_ref().map_or_else(rand::random, |mark| mark.nonce);
    let marked = match &last_file {
        Some(file) => watermark::highest_marker(file, nonce)
            .map_err(|error| StoreError::io("read", file, error))?,
        None => None,
    };
    // The last write may be torn, the one before it cannot be.
    let marked = marked.map_or(0, |marked| marked.saturating_sub(1));
    let completed = mark.as_ref().map_or(0, |mark| mark.completed.max(marked));
    if blank || mark.as_ref().is_some_and(|mark| mark.completed < completed) {
        // A first start that is killed must not look like one whose watermark was lost; and to open
        // the engine may cut off the very markers that say more than the watermark.
        Watermark::create(dir.join(WATERMARK), nonce, completed)?;
    }
    let probe = Arc::new(Probe::default());
    let (engine, found, doubt) = match open_engine(&log_path, &sizes, &probe)? {
        Ok(engine) => {
            let found = counter(&engine);
            let cut_off = (found < completed).then_some(Damage::CutOff { found, completed });
            let unmarked = (mark.is_none() && !blank).then_some(Damage::Watermark);
            (engine, found, unmarked.or(cut_off))
        }
        Err(what) => {
            let damage = Damage::Log(what);
            if census.is_none() {
                return Err(beyond_repair(dir, &damage));
            }
            // An empty log below this mark is as doubtful as the one that is put aside.
            Watermark::create(dir.join(WATERMARK), nonce, completed.max(1))?;
            put_aside(&log_path)?;
            let engine = open_engine(&log_path, &sizes, &probe)?;
            let engine = engine.map_err(|what| beyond_repair(dir, &Damage::Log(what)))?;
            (engine, 0, Some(damage))
        }
    };
    if let Some(damage) = &doubt
        && census.is_none()
    {
        return Err(beyond_repair(dir, damage));
    }

    let census = census.unwrap_or_else(|| Census::new(census_path));
    let doubted = doubt.is_some();
    let reader = Reader { engine: &engine, probe: &probe, snapshots: &snapshots, doubt };
    let Groups { stored, doubtful } = reader.read_all(&census.rows);

    let counter = found.max(completed);
    // A doubt lasts until it has been settled by the next write.
    let completed = counter + u64::from(doubted);
    let watermark = Watermark::create(dir.join(WATERMARK), nonce, completed)?;
    let known = stored
        .iter()
        .map(|(stored, stamp)| (stored.group, Held { known: Known::of(stored), stamp: *stamp }))
        .collect();
    // Processes before this one may have ended too soon to look at any of it.
    let written_bytes = engine.get_used_size() as u64;
    let mut store = DiskStore {
        engine: Some(Arc::new(engine)),
        #[cfg(test)]
        probe,
        log_path,
        snapshots,
        census,
        watermark,
        counter,
        known,
        saved: Vec::new(),
        kept: std::collections::BTreeMap::new(),
        sizes,
        written_bytes,
        purging: false,
    };
    store.settle(&doubtful)?;
    let groups = stored.into_iter().map(|(stored, _)| stored).collect();
    Ok((store, Recovered { groups, doubtful }))
}

impl DiskStore {
    /// Makes what was found when opening the durable truth.
    fn settle(&mut self, doubtful: &[Doubt]) -> Result<(), StoreError> {
        let mut log = LogBatch::default();
        let counter = self.counter + 1;
        for doubt in doubtful {
            tracing::error!(group = %doubt.group, replica = doubt.replica.0, damage = %doubt.damage,
                "a copy cannot be vouched for and is given up");
            let region = record::region(doubt.group);
            let known = Known::tombstone(doubt.replica);
            log.add_command(region, Command::Clean);
            put(&mut log, region, RECORD_KEY, Record::new(&known, counter).encode());
            self.known.insert(doubt.group, Held { known, stamp: counter });
        }
        for (group, held) in &self.known {
            // The engine may have forgotten that it once let these entries go.
            let index = held.known.base().index + 1;
            log.add_command(record::region(*group), Command::Compact { index });
        }
        put(&mut log, COMMON_REGION, COUNTER_KEY, self.watermark.marker(counter));
        self.commit(log)?;

        let named = self.known.iter().filter_map(|(group, held)| {
            let index = held.known.snapshot?.index;
            Some(self.snapshots.path(*group, held.known.replica, index))
        });
        self.snapshots.keep_only(&named.collect::<BTreeSet<_>>())?;
        for (group, held) in &self.known {
            let row = Row { replica: held.known.replica, stamp: held.stamp };
            let row = self
                .census
                .rows
                .insert(*group, row)
                .map_or(row, |old| Row { replica: row.replica.max(old.replica), ..row });
            self.census.rows.insert(*group, row);
        }
        self.save_census()
    }
}

fn beyond_repair(dir: &Path, damage: &Damage) -> StoreError {
    let what = format!("{damage}, and the list of copies is lost too");
    StoreError::Damaged { path: dir.to_owned(), what }
}

/// The engine in `path`, or why the log there cannot be read.
fn open_engine(
    path: &Path,
    sizes: &Sizes,
    probe: &Arc<Probe>,
) -> Result<Result<Engine, String>, StoreError> {
    let config = Config {
        dir: path.to_string_lossy().into_owned(),
        recovery_mode: RecoveryMode::TolerateTailCorruption,
        // A core is worth more than the disk's bandwidth here.
        batch_compression_threshold: ReadableSize(0),
        target_file_size: ReadableSize(sizes.log_file_bytes),
        purge_threshold: ReadableSize(sizes.log_bytes),
        recovery_threads: 2,
        ..Config::default()
    };
    if path.to_str().is_none() {
        let source = io::Error::new(io::ErrorKind::InvalidInput, "the path is not UTF-8");
        return Err(StoreError::io("open", path, source));
    }
    let files = Arc::new(ProbingFiles { probe: Arc::clone(probe) });
    // Damaged files make the engine fail in most cases and panic in others.
    match catch_unwind(AssertUnwindSafe(|| Engine::open_with_file_system(config, files))) {
        Ok(Ok(engine)) => Ok(Ok(engine)),
        Ok(Err(
            error @ (raft_engine::Error::Corruption(_)
            | raft_engine::Error::Codec(_)
            | raft_engine::Error::Protobuf(_)),
        )) => Ok(Err(error.to_string())),
        // A tail that it would cut off, in a file that it only reads: no crash leaves such a thing.
        Ok(Err(raft_engine::Error::Io(error)))
            if error.kind() == io::ErrorKind::InvalidInput && error.to_string() == CUT_OFF =>
        {
            Ok(Err(format!("{error}: an old file ends in rubble")))
        }
        Ok(Err(error)) => Err(StoreError::engine(path, error)),
        Err(payload) => Ok(Err(panic_text(&*payload))),
    }
}

/// Keeps the damaged log for whoever wants to look at it; only the newest one.
fn put_aside(path: &Path) -> Result<(), StoreError> {
    let aside = path.with_file_name(LOG_ASIDE);
    match fs::remove_dir_all(&aside) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => {
            return Err(StoreError::io("remove", &aside, error));
        }
        Ok(()) | Err(_) => {}
    }
    let parent = path.parent().unwrap_or(path);
    fs::rename(path, &aside)
        .and_then(|()| durable_file::sync_dir(parent))
        .map_err(|error| StoreError::io("rename", path, error))
}

/// The newest file of the log that writes go to, if there is any.
fn last_log_file(path: &Path) -> Result<Option<PathBuf>, StoreError> {
    let failed = |error| StoreError::io("read", path, error);
    let entries = match fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let mut last = None;
    for entry in entries {
        let path = entry.map_err(failed)?.path();
        // Their names are numbers of equal width.
        if path.extension().is_some_and(|extension| extension == "raftlog") {
            last = last.max(Some(path));
        }
    }
    Ok(last)
}

/// The last write in the log.
fn counter(engine: &Engine) -> u64 {
    let marker = engine.get(COMMON_REGION, COUNTER_KEY);
    marker.as_deref().and_then(watermark::decode_marker).unwrap_or(0)
}
