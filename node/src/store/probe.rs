//! Where in the log's files an entry lies.
//!
//! One record of the log holds entries of many groups, and the engine reads and checks all of it for
//! each of them: group by group, a start would read the log hundreds of times over. It does keep
//! the last record that it read, so reading in the order of the files costs one pass. The engine
//! does not tell that order, but it asks its file system for it: this one can be told to note where
//! a read goes and refuse it. Nothing but speed depends on the answers.

use std::io::{Error, Read, Result, Seek, SeekFrom};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};

use raft_engine::env::{DefaultFileSystem, FileSystem, Handle, Permission};

/// The engine on top of it.
pub(super) type Engine = raft_engine::Engine<ProbingFiles>;

/// A place in the files; only good for putting places in order.
pub(super) type Location = (usize, u64);

/// Tells where reads would go.
#[derive(Debug, Default)]
pub(super) struct Probe {
    on: AtomicBool,
    file: AtomicUsize,
    offset: AtomicU64,
    /// Lets the next sync fail.
    #[cfg(test)]
    pub(super) fail_sync: AtomicBool,
}

impl Probe {
    /// Where `read` looks first, if it looks into a file at all. Only one thread may use the engine
    /// meanwhile.
    pub(super) fn locate<T>(&self, read: impl FnOnce() -> T) -> Location {
        self.file.store(0, Ordering::Relaxed);
        self.on.store(true, Ordering::Relaxed);
        drop(read());
        self.on.store(false, Ordering::Relaxed);
        (self.file.load(Ordering::Relaxed), self.offset.load(Ordering::Relaxed))
    }
}

/// The files of the operating system, with a probe.
pub(super) struct ProbingFiles {
    pub(super) probe: Arc<Probe>,
}

impl FileSystem for ProbingFiles {
    type Handle = ProbingHandle;
    type Reader = Reader;
    type Writer = <DefaultFileSystem as FileSystem>::Writer;

    fn create<P: AsRef<Path>>(&self, path: P) -> Result<ProbingHandle> {
        Ok(self.handle(DefaultFileSystem.create(path)?))
    }

    fn open<P: AsRef<Path>>(&self, path: P, permission: Permission) -> Result<ProbingHandle> {
        Ok(self.handle(DefaultFileSystem.open(path, permission)?))
    }

    fn delete<P: AsRef<Path>>(&self, path: P) -> Result<()> {
        DefaultFileSystem.delete(path)
    }

    fn rename<P: AsRef<Path>>(&self, from: P, to: P) -> Result<()> {
        DefaultFileSystem.rename(from, to)
    }

    fn new_reader(&self, handle: Arc<ProbingHandle>) -> Result<Reader> {
        // The engine holds on to its handles, so their addresses tell files apart.
        let file = Arc::as_ptr(&handle.inner).addr();
        let inner = DefaultFileSystem.new_reader(Arc::clone(&handle.inner))?;
        Ok(Reader { inner, file, offset: 0, probe: Arc::clone(&self.probe) })
    }

    fn new_writer(&self, handle: Arc<ProbingHandle>) -> Result<Self::Writer> {
        DefaultFileSystem.new_writer(Arc::clone(&handle.inner))
    }
}

impl ProbingFiles {
    fn handle(&self, inner: DefaultHandle) -> ProbingHandle {
        ProbingHandle { inner: Arc::new(inner), probe: Arc::clone(&self.probe) }
    }
}

type DefaultHandle = <DefaultFileSystem as FileSystem>::Handle;

/// An open file.
pub(super) struct ProbingHandle {
    inner: Arc<DefaultHandle>,
    #[cfg_attr(not(test), expect(dead_code, reason = "only tests let a sync fail"))]
    probe: Arc<Probe>,
}

impl Handle for ProbingHandle {
    fn truncate(&self, offset: usize) -> Result<()> {
        Handle::truncate(&*self.inner, offset)
    }

    fn file_size(&self) -> Result<usize> {
        self.inner.file_size()
    }

    fn sync(&self) -> Result<()> {
        #[cfg(test)]
        if self.probe.fail_sync.swap(false, Ordering::Relaxed) {
            return Err(Error::other("the disk lost its cache"));
        }
        self.inner.sync()
    }
}

/// A reader that may be told to note and refuse.
pub(super) struct Reader {
    inner: <DefaultFileSystem as FileSystem>::Reader,
    file: usize,
    offset: u64,
    probe: Arc<Probe>,
}

impl Seek for Reader {
    fn seek(&mut self, to: SeekFrom) -> Result<u64> {
        self.offset = self.inner.seek(to)?;
        Ok(self.offset)
    }
}

impl Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        if self.probe.on.load(Ordering::Relaxed) {
            self.probe.file.store(self.file, Ordering::Relaxed);
            self.probe.offset.store(self.offset, Ordering::Relaxed);
            return Err(Error::other("only asked where it is"));
        }
        self.inner.read(buffer)
    }
}
