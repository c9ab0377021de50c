//! Files and folders of a store, written so that a power cut finds them whole: all that `std::fs` changes for the
//! journal goes through `Disk`, so that tests can record each step, let it fail, and cut the power behind it.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
#[cfg(test)]
use std::sync::Arc;

#[cfg(test)]
use super::disk::Tape;

/// The machine's own disk; in tests one whose every step is on a tape.
#[derive(Clone, Debug, Default)]
pub struct Disk {
    #[cfg(test)]
    tape: Option<Arc<Tape>>,
}

/// What changes a disk.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Step {
    Create(PathBuf),
    Write {
        path: PathBuf,
        at: u64,
        bytes: Vec<u8>,
    },
    #[cfg(test)]
    Truncate {
        path: PathBuf,
        length: u64,
    },
    Sync(PathBuf),
    MakeFolder(PathBuf),
    SyncFolder(PathBuf),
    Rename {
        from: PathBuf,
        to: PathBuf,
    },
    Link {
        from: PathBuf,
        to: PathBuf,
    },
    Remove(PathBuf),
    RemoveFolder(PathBuf),
}

/// A file that was not there before. After a power cut its bytes are sure to be there once `sync` is done, its name
/// once `Disk::sync_folder` is.
#[derive(Debug)]
pub struct NewFile {
    file: File,
    path: PathBuf,
    disk: Disk,
    length: u64,
}

impl Disk {
    /// `AlreadyExists` if there is one.
    pub fn create(&self, path: &Path) -> io::Result<NewFile> {
        let file =
            self.take(|| Step::Create(path.into()), || OpenOptions::new().write(true).create_new(true).open(path))?;
        Ok(NewFile { file, path: path.into(), disk: self.clone(), length: 0 })
    }

    /// Makes one folder; `AlreadyExists` if there is one.
    pub fn make_folder(&self, path: &Path) -> io::Result<()> {
        self.take(|| Step::MakeFolder(path.into()), || fs::create_dir(path))
    }

    /// Makes the names in a folder last: of files made, renamed and removed in it.
    pub fn sync_folder(&self, path: &Path) -> io::Result<()> {
        self.sync(|| Step::SyncFolder(path.into()), || File::open(path)?.sync_all())
    }

    /// Makes a file's bytes last, whoever wrote them.
    pub fn sync_file(&self, path: &Path) -> io::Result<()> {
        self.sync(|| Step::Sync(path.into()), || OpenOptions::new().write(true).open(path)?.sync_all())
    }

    /// Takes the place of what `to` named.
    pub fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.take(|| Step::Rename { from: from.into(), to: to.into() }, || fs::rename(from, to))
    }

    /// A second name for a file; `AlreadyExists` if it is taken.
    pub fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.take(|| Step::Link { from: from.into(), to: to.into() }, || fs::hard_link(from, to))
    }

    pub fn remove(&self, path: &Path) -> io::Result<()> {
        self.take(|| Step::Remove(path.into()), || fs::remove_file(path))
    }

    /// With all that is in it.
    pub fn remove_folder(&self, path: &Path) -> io::Result<()> {
        self.take(|| Step::RemoveFolder(path.into()), || fs::remove_dir_all(path))
    }

    /// SQLite's layer below its files; none: its own.
    pub(super) fn vfs(&self) -> Option<&str> {
        #[cfg(test)]
        return self.tape.as_deref().map(Tape::vfs);
        #[cfg(not(test))]
        return None;
    }

    #[cfg(test)]
    pub(super) fn taped(tape: Arc<Tape>) -> Self {
        Disk { tape: Some(tape) }
    }

    /// On a tape it is enough that it is written down.
    fn sync(&self, step: impl FnOnce() -> Step, does: impl FnOnce() -> io::Result<()>) -> io::Result<()> {
        #[cfg(test)]
        if let Some(tape) = &self.tape {
            return tape.take(step(), || Ok(()));
        }
        self.take(step, does)
    }

    #[cfg_attr(not(test), inline(always))]
    fn take<T>(&self, step: impl FnOnce() -> Step, does: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        #[cfg(test)]
        if let Some(tape) = &self.tape {
            return tape.take(step(), does);
        }
        let _ = step;
        does()
    }
}

impl NewFile {
    pub fn sync(&mut self) -> io::Result<()> {
        self.disk.sync(|| Step::Sync(self.path.clone()), || self.file.sync_all())
    }

    /// What has been written.
    pub fn length(&self) -> u64 {
        self.length
    }
}

impl Write for NewFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let step = || Step::Write { path: self.path.clone(), at: self.length, bytes: bytes.to_vec() };
        let written = self.disk.take(step, || {
            (&self.file).write_all(bytes)?;
            Ok(bytes.len())
        })?;
        self.length += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was removed may have been gone before.
pub(super) fn absent(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
