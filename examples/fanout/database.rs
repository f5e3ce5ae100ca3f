//! Who follows whom, and what stands in whose timeline: SQLite, with the durability it has by default.
//!
//! To deliver a post again changes nothing: a task that was cut off in the middle is run once more.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rusqlite::{Connection, params};
use serde::{Deserialize, Serialize};
use umbel::TaskId;

/// Rows that are written in one transaction: others get their turn in between.
const CHUNK: u32 = 100;
/// Posts of a timeline that are shown.
const SHOWN_MAX: u32 = 50;

/// Something that somebody has posted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Post {
    /// Of the task as well, if one delivers it.
    pub(crate) id: TaskId,
    pub(crate) author: u32,
    pub(crate) text: String,
}

/// The database, a handle that is cheap to clone.
#[derive(Clone)]
pub(crate) struct Database {
    connections: Arc<Connections>,
}

/// Whoever reads need not wait for whoever writes.
struct Connections {
    writing: Mutex<Connection>,
    reading: Mutex<Connection>,
}

/// Why a post is not delivered to all. What was written until then is kept.
#[derive(Debug, thiserror::Error)]
pub(crate) enum DatabaseError {
    /// The database cannot be read or written.
    #[error(transparent)]
    Sqlite(#[from] rusqlite::Error),
    /// Nobody waits for it any more.
    #[error("told to stop after {rows} rows")]
    Stopped { rows: usize },
}

impl Database {
    pub(crate) fn open(path: &Path) -> Result<Self, DatabaseError> {
        let open = || {
            let connection = Connection::open(path)?;
            connection.busy_timeout(Duration::from_secs(10))?;
            connection.pragma_update(None, "journal_mode", "WAL")?;
            Ok::<_, rusqlite::Error>(connection)
        };
        let (writing, reading) = (open()?, open()?);
        writing.execute_batch(SCHEMA)?;
        let (writing, reading) = (Mutex::new(writing), Mutex::new(reading));
        Ok(Self { connections: Arc::new(Connections { writing, reading }) })
    }

    /// Has all of `followers` follow `author`.
    pub(crate) fn follow(
        &self,
        author: u32,
        followers: impl IntoIterator<Item = u32>,
    ) -> Result<(), DatabaseError> {
        let mut writing = lock(&self.connections.writing);
        let transaction = writing.transaction()?;
        {
            let mut insert =
                transaction.prepare("INSERT OR IGNORE INTO followers VALUES (?1, ?2)")?;
            for follower in followers {
                insert.execute([author, follower])?;
            }
        }
        Ok(transaction.commit()?)
    }

    /// Puts `post` into the timeline of each follower of its author, as long as `go_on` says so; how many
    /// there are.
    pub(crate) fn deliver(
        &self,
        post: &Post,
        go_on: impl Fn() -> bool,
    ) -> Result<usize, DatabaseError> {
        let number = self.number(post)?;
        let (mut rows, mut last) = (0, None);
        loop {
            let chunk = self.followers_after(post.author, last)?;
            last = chunk.last().copied();
            if last.is_none() {
                return Ok(rows);
            }
            if !go_on() {
                return Err(DatabaseError::Stopped { rows });
            }
            let mut writing = lock(&self.connections.writing);
            let transaction = writing.transaction()?;
            {
                let mut insert =
                    transaction.prepare("INSERT OR IGNORE INTO timelines VALUES (?1, ?2)")?;
                for follower in &chunk {
                    insert.execute(params![follower, number])?;
                }
            }
            transaction.commit()?;
            rows += chunk.len();
        }
    }

    /// The number of `post`, which it is given if it is new.
    fn number(&self, post: &Post) -> Result<i64, DatabaseError> {
        let writing = lock(&self.connections.writing);
        let Post { id, author, text } = post;
        let id = id.to_string();
        writing.execute(
            "INSERT OR IGNORE INTO posts (id, author, text) VALUES (?1, ?2, ?3)",
            params![id, author, text],
        )?;
        Ok(writing.query_one("SELECT number FROM posts WHERE id = ?1", [id], |row| row.get(0))?)
    }

    fn followers_after(&self, author: u32, last: Option<u32>) -> Result<Vec<u32>, DatabaseError> {
        let reading = lock(&self.connections.reading);
        let mut select = reading.prepare(
            "SELECT follower FROM followers WHERE author = ?1 AND follower > ?2
             ORDER BY follower LIMIT ?3",
        )?;
        let last = last.map_or(-1, i64::from);
        let rows = select.query_map(params![author, last, CHUNK], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// The texts of the newest posts of those whom `follower` follows, the newest first.
    pub(crate) fn timeline(&self, follower: u32) -> Result<Vec<String>, DatabaseError> {
        let reading = lock(&self.connections.reading);
        let mut select = reading.prepare(
            "SELECT text FROM timelines JOIN posts ON post = number WHERE follower = ?1
             ORDER BY number DESC LIMIT ?2",
        )?;
        let rows = select.query_map([follower, SHOWN_MAX], |row| row.get(0))?;
        Ok(rows.collect::<Result<_, _>>()?)
    }

    /// How many posts of `author` there are, and how often one is not in the timeline of a follower.
    pub(crate) fn lacking(&self, author: u32) -> Result<(u32, u32), DatabaseError> {
        let reading = lock(&self.connections.reading);
        let posts = "SELECT count(*) FROM posts WHERE author = ?1";
        let lacking = "SELECT count(*) FROM posts JOIN followers USING (author) WHERE author = ?1
             AND NOT EXISTS (SELECT 1 FROM timelines AS t
                             WHERE t.follower = followers.follower AND t.post = number)";
        let count = |sql: &str| reading.query_one(sql, [author], |row| row.get(0));
        Ok((count(posts)?, count(lacking)?))
    }
}

/// A thread that panicked has left no transaction behind: it was rolled back.
fn lock(connection: &Mutex<Connection>) -> MutexGuard<'_, Connection> {
    connection.lock().unwrap_or_else(PoisonError::into_inner)
}

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS followers (
        author INTEGER, follower INTEGER, PRIMARY KEY (author, follower)
    ) WITHOUT ROWID;
    CREATE TABLE IF NOT EXISTS posts (
        number INTEGER PRIMARY KEY, id TEXT UNIQUE, author INTEGER, text TEXT
    );
    CREATE TABLE IF NOT EXISTS timelines (
        follower INTEGER, post INTEGER, PRIMARY KEY (follower, post)
    ) WITHOUT ROWID;
";
