//! A disk of its own for one directory, that can be made to hang.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use super::program::system;

/// A file system in a file.
#[derive(Debug)]
pub struct LoopDisk {
    image: PathBuf,
    path: PathBuf,
}

/// All that is written waits for as long as this lives.
#[derive(Debug)]
pub struct Frozen<'a>(&'a Path);

impl LoopDisk {
    /// Mounts one of `mib` MiB at `path`.
    ///
    /// # Errors
    /// That is not allowed here, or its tools are not.
    pub fn mount(path: &Path, mib: u64) -> Result<Self, String> {
        fs::create_dir_all(path).map_err(|why| why.to_string())?;
        let image = path.with_extension("image");
        let file = File::create(&image).map_err(|why| why.to_string())?;
        file.set_len(mib * 1024 * 1024).map_err(|why| why.to_string())?;
        system("mkfs.ext4", &["-q", &image.to_string_lossy()])?;
        system("mount", &["-o", "loop", &image.to_string_lossy(), &path.to_string_lossy()])?;
        let disk = Self { image, path: path.to_owned() };
        drop(disk.freeze()?);
        Ok(disk)
    }

    /// Lets all that is written to it wait.
    ///
    /// # Errors
    /// That is not allowed here.
    pub fn freeze(&self) -> Result<Frozen<'_>, String> {
        system("fsfreeze", &["--freeze", &self.path.to_string_lossy()])?;
        Ok(Frozen(&self.path))
    }
}

impl Drop for Frozen<'_> {
    fn drop(&mut self) {
        // What waits could not even be killed.
        drop(system("fsfreeze", &["--unfreeze", &self.0.to_string_lossy()]));
    }
}

impl Drop for LoopDisk {
    fn drop(&mut self) {
        // What still uses it goes with the process that does.
        drop(system("umount", &["-l", &self.path.to_string_lossy()]));
        drop(fs::remove_file(&self.image));
    }
}
