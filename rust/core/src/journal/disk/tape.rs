//! What was done to a disk, in order; by SQLite through `vfs`, by the rest through `Disk`.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard};

use super::vfs::Vfs;
use crate::journal::files::Step;

/// What a step meets instead of being done.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(in crate::journal) enum Failure {
    /// A write writes half; then there is no room.
    Short,
    NoSpace,
    /// EIO of whatever writes.
    Write,
    /// EIO of a sync. What was to be synced may be on the disk or not, and no later sync brings it there.
    Sync,
    /// Not once, but always: the file system has no second names.
    Links,
}

#[derive(Clone, Debug)]
pub(super) enum Entry {
    Done(Step),
    SyncFailed(PathBuf),
    /// The test was told that this is safe.
    Mark(u64),
}

/// Folders, and files with their bytes, by their paths below the root.
type Base = Vec<(PathBuf, Option<Vec<u8>>)>;

#[derive(Debug)]
pub(in crate::journal) struct Tape {
    /// What was below it at the beginning is durable.
    pub(super) root: PathBuf,
    vfs: Vfs,
    /// Of this test's thread and the store's: held for a step.
    inner: Mutex<Inner>,
}

#[derive(Debug, Default)]
struct Inner {
    entries: Vec<Entry>,
    base: Base,
    /// How many steps of its kind are done before it comes, once.
    failure: Option<(Failure, usize)>,
    failed: Option<Step>,
    /// Folder syncs that are reported as done, and are not: counted from the first.
    skipped: Option<usize>,
    folder_syncs: usize,
}

impl Tape {
    /// Of all that happens below `root`.
    pub fn over(root: &Path) -> Arc<Tape> {
        let mut base = Vec::new();
        if root.is_dir() {
            collect(root, root, &mut base);
        }
        let inner = Mutex::new(Inner { base, ..Inner::default() });
        Arc::new_cyclic(|tape| Tape { root: root.into(), vfs: Vfs::register(tape.as_ptr()), inner })
    }

    pub fn vfs(&self) -> &str {
        self.vfs.name()
    }

    /// The step of that kind that comes after so many others of it fails.
    pub fn fail(&self, failure: Failure, after: usize) {
        self.inner().failure = Some((failure, after));
    }

    /// The step that has failed.
    pub fn failed(&self) -> Option<Step> {
        self.inner().failed.clone()
    }

    /// Leaves one folder sync out.
    pub fn skip_folder_sync(&self, index: usize) {
        self.inner().skipped = Some(index);
    }

    pub fn folder_syncs(&self) -> usize {
        self.inner().folder_syncs
    }

    pub fn mark(&self, safe: u64) {
        self.inner().entries.push(Entry::Mark(safe));
    }

    /// The points at which the power may be cut: before the first step to behind the last.
    pub fn points(&self) -> usize {
        self.inner().entries.len() + 1
    }

    /// The last mark before a point; 0: none.
    pub fn marked(&self, point: usize) -> u64 {
        let marks = |entry: &Entry| if let Entry::Mark(safe) = entry { Some(*safe) } else { None };
        self.inner().entries[..point].iter().rev().find_map(marks).unwrap_or(0)
    }

    /// What was done from a point on.
    pub fn steps(&self, from: usize) -> Vec<Step> {
        let step = |entry: &Entry| if let Entry::Done(step) = entry { Some(step.clone()) } else { None };
        self.inner().entries[from..].iter().filter_map(step).collect()
    }

    pub(super) fn before(&self, point: usize) -> (Base, Vec<Entry>) {
        let inner = self.inner();
        (inner.base.clone(), inner.entries[..point].to_vec())
    }

    /// Does a step, or has it fail.
    pub fn take<T>(&self, step: Step, does: impl FnOnce() -> io::Result<T>) -> io::Result<T> {
        match self.refusal(&step) {
            Some(Failure::Sync | Failure::Write) => return Err(io::Error::from_raw_os_error(libc::EIO)),
            Some(Failure::Links) => return Err(io::ErrorKind::Unsupported.into()),
            Some(Failure::NoSpace | Failure::Short) => return Err(io::Error::from_raw_os_error(libc::ENOSPC)),
            None => {}
        }
        let done = does()?;
        self.note(step);
        Ok(done)
    }

    /// Whether this step is the one that fails.
    pub(super) fn refusal(&self, step: &Step) -> Option<Failure> {
        let mut inner = self.inner();
        let is_sync = matches!(step, Step::Sync(_) | Step::SyncFolder(_));
        let (failure, after) = inner.failure.as_mut()?;
        let failure = *failure;
        let fits = match failure {
            Failure::Sync => is_sync,
            Failure::Short => matches!(step, Step::Write { .. }),
            Failure::NoSpace => {
                matches!(step, Step::Write { .. } | Step::Create(_) | Step::MakeFolder(_) | Step::Link { .. })
            }
            Failure::Write => !is_sync,
            Failure::Links => return matches!(step, Step::Link { .. }).then_some(failure),
        };
        if !fits {
            return None;
        }
        if *after > 0 {
            *after -= 1;
            return None;
        }
        inner.failure = None;
        inner.failed = Some(step.clone());
        if let Step::Sync(path) = step {
            inner.entries.push(Entry::SyncFailed(path.clone()));
        }
        Some(failure)
    }

    pub(super) fn note(&self, step: Step) {
        let mut inner = self.inner();
        if let Step::SyncFolder(_) = step {
            inner.folder_syncs += 1;
            if inner.skipped == Some(inner.folder_syncs - 1) {
                return;
            }
        }
        inner.entries.push(Entry::Done(step));
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().expect("no thread panics with it")
    }
}

/// All folders (without bytes) and files below `at`, by their paths below `root`.
fn collect(root: &Path, at: &Path, into: &mut Base) {
    let mut paths: Vec<PathBuf> =
        std::fs::read_dir(at).expect("a folder").map(|entry| entry.expect("an entry").path()).collect();
    paths.sort();
    for path in paths {
        let below = path.strip_prefix(root).expect("below the root").to_path_buf();
        if path.is_dir() {
            into.push((below, None));
            collect(root, &path, into);
        } else {
            into.push((below, Some(std::fs::read(&path).expect("a file"))));
        }
    }
}
