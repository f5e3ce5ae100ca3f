//! A disk of its own for one directory, that can be made to hang, and to lose what was not synced.

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
        let disk = Self { image, path: path.to_owned() };
        disk.attach()?;
        drop(disk.freeze()?);
        Ok(disk)
    }

    /// Nothing is written but what somebody waits for, as far as that can be had: not the journal now
    /// and then.
    fn attach(&self) -> Result<(), String> {
        let (image, path) = (self.image.to_string_lossy(), self.path.to_string_lossy());
        system("mount", &["-o", "loop,commit=300", &image, &path]).map(drop)
    }

    /// The disk is as it would be if its power had been cut a moment ago: what the file system still
    /// had in memory is gone. Nobody may use it meanwhile.
    ///
    /// # Errors
    /// It cannot be mounted once more.
    pub fn lose_power(&mut self) -> Result<(), String> {
        let image = self.image.with_extension("cut");
        fs::copy(&self.image, &image).map_err(|why| why.to_string())?;
        system("umount", &[&*self.path.to_string_lossy()])?;
        fs::rename(&image, &self.image).map_err(|why| why.to_string())?;
        self.attach()
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
