//! A disk of its own for one directory, so small that it becomes full.

use std::fs;
use std::path::{Path, PathBuf};

use super::program::system;

/// A file system in memory, which goes with its owner.
#[derive(Debug)]
pub struct SmallDisk {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `mib` MiB at `path`.
    ///
    /// # Errors
    /// That is not allowed here.
    pub fn mount(path: &Path, mib: u32) -> Result<Self, String> {
        fs::create_dir_all(path).map_err(|why| why.to_string())?;
        let (size, at) = (format!("size={mib}m"), path.to_string_lossy());
        system("mount", &["-t", "tmpfs", "-o", &size, "umbel-test", &at])?;
        Ok(Self { path: path.to_owned() })
    }

    /// Gives it another size.
    ///
    /// # Panics
    /// When that cannot be.
    pub fn resize(&self, mib: u32) {
        let size = format!("remount,size={mib}m");
        system("mount", &["-o", &size, &self.path.to_string_lossy()]).expect("it was mounted");
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // What still uses it goes with the process that does.
        drop(system("umount", &["-l", &self.path.to_string_lossy()]));
    }
}
