//! The task: it makes thumbnails of all pictures of an album, and says how far it is.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::{Deserialize, Serialize};
use umbel::{Context, TaskError};

use super::picture::Picture;

/// Points of the longer side of a thumbnail.
pub(crate) const SIDE: usize = 120;

/// What came of an album.
#[derive(Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Summary {
    pub(crate) made: u64,
    /// Files that are no pictures.
    pub(crate) broken: Vec<String>,
    pub(crate) bytes: u64,
}

/// It computes without a pause, so it is `blocking`: each run has a thread of its own, and as many run at a
/// time as its queue has slots (see `main.rs`).
#[umbel::task(name = "thumbnails/album", blocking, queue = "images", attempts = 2)]
pub(crate) fn make_thumbnails(ctx: Context, dir: PathBuf) -> Result<Summary, TaskError> {
    let pictures = pictures(&dir).map_err(TaskError::new)?;
    let target = dir.join("thumbnails");
    fs::create_dir_all(&target).map_err(TaskError::new)?;
    let total = pictures.len() as u64;
    let mut summary = Summary { made: 0, broken: Vec::new(), bytes: 0 };
    ctx.progress(0, total);
    for (path, done) in pictures.iter().zip(1..) {
        // Nothing stops a thread from outside.
        if ctx.is_cancelled() {
            return Err(TaskError::new("stopped"));
        }
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        ctx.progress_message(&name);
        let began = Instant::now();
        match thumbnail(path, &target.join(&name)) {
            Ok((picture, bytes)) => {
                summary.made += 1;
                summary.bytes += bytes;
                ctx.log(format!("{name}: {picture} in {:.0?}", began.elapsed()));
            }
            Err(error) => {
                ctx.log_error(format!("{name}: {error}"));
                summary.broken.push(name);
            }
        }
        ctx.progress(done, total);
    }
    Ok(summary)
}

/// All files of a directory that may be pictures, by name.
fn pictures(dir: &Path) -> std::io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir)? {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "ppm") {
            found.push(path);
        }
    }
    found.sort();
    Ok(found)
}

fn thumbnail(path: &Path, target: &Path) -> std::io::Result<(String, u64)> {
    let picture = Picture::read(path)?;
    let small = picture.thumbnail(SIDE);
    small.write(target)?;
    let told = format!("{}x{} to {}x{}", picture.width, picture.height, small.width, small.height);
    Ok((told, fs::metadata(target)?.len()))
}
