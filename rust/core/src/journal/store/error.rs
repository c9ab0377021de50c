//! What can be wrong with a store, each with what, where and how to mend it. None of these has overwritten anything.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use rusqlite::ErrorCode;

use crate::journal::{Epoch, RecordNumber, ShardId};

#[derive(Clone, Debug, Eq, PartialEq)]
pub enum StoreError {
    /// The folder cannot be made, or is none.
    Folder {
        dir: PathBuf,
        cause: String,
    },
    ReadOnly {
        path: PathBuf,
    },
    Full {
        path: PathBuf,
    },
    /// `process`: who has it, where the lock file says so.
    InUse {
        dir: PathBuf,
        process: Option<u32>,
    },
    /// A folder of somebody's with something else in it.
    NoStore {
        dir: PathBuf,
        found: String,
    },
    /// SQLite's, but another program's.
    Foreign {
        path: PathBuf,
        application: u32,
    },
    /// Not SQLite's at all.
    NoDatabase {
        path: PathBuf,
    },
    Newer {
        path: PathBuf,
        found: u32,
        known: u32,
    },
    OtherApp {
        dir: PathBuf,
        found: String,
        wanted: String,
    },
    /// What was read is not what was written.
    Damaged {
        dir: PathBuf,
        what: String,
    },
    /// Nothing that the folder holds leads to a whole state.
    BeyondRepair {
        dir: PathBuf,
        what: String,
    },
    /// Another run has claimed the shard since.
    Stale {
        shard: ShardId,
        given: Epoch,
        current: Epoch,
    },
    /// The caller's numbers do not fit what is there.
    Order {
        shard: ShardId,
        what: String,
    },
    /// These records are no longer held: a checkpoint stands for them.
    Pruned {
        shard: ShardId,
        from: RecordNumber,
        first: RecordNumber,
    },
    Io {
        path: PathBuf,
        doing: &'static str,
        cause: String,
    },
    /// A SQLite with known faults.
    Library {
        found: String,
    },
}

impl StoreError {
    pub(in crate::journal) fn io(path: &Path, doing: &'static str, error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => StoreError::Full { path: path.into() },
            io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => {
                StoreError::ReadOnly { path: path.into() }
            }
            _ => StoreError::Io { path: path.into(), doing, cause: error.to_string() },
        }
    }

    /// `path`: the journal's file.
    pub(in crate::journal) fn sqlite(path: &Path, doing: &'static str, error: &rusqlite::Error) -> Self {
        let dir = || path.parent().unwrap_or(path).to_path_buf();
        match error {
            rusqlite::Error::SqliteFailure(failure, _) => match failure.code {
                ErrorCode::DiskFull => StoreError::Full { path: path.into() },
                ErrorCode::ReadOnly | ErrorCode::PermissionDenied => StoreError::ReadOnly { path: path.into() },
                ErrorCode::DatabaseBusy | ErrorCode::DatabaseLocked => StoreError::InUse { dir: dir(), process: None },
                ErrorCode::DatabaseCorrupt | ErrorCode::NotADatabase => {
                    StoreError::Damaged { dir: dir(), what: format!("{}: {error}", name(path)) }
                }
                _ => StoreError::Io { path: path.into(), doing, cause: error.to_string() },
            },
            // A cell of another type than it was written with.
            rusqlite::Error::FromSqlConversionFailure(..)
            | rusqlite::Error::IntegralValueOutOfRange(..)
            | rusqlite::Error::InvalidColumnType(..)
            | rusqlite::Error::Utf8Error(..)
            | rusqlite::Error::QueryReturnedNoRows => {
                StoreError::Damaged { dir: dir(), what: format!("{}: {error}", name(path)) }
            }
            _ => StoreError::Io { path: path.into(), doing, cause: error.to_string() },
        }
    }
}

fn name(path: &Path) -> String {
    path.file_name().unwrap_or(path.as_os_str()).to_string_lossy().into_owned()
}

impl fmt::Display for StoreError {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        match self {
            StoreError::Folder { dir, cause } => {
                write!(f, "{}: the store's folder cannot be made: {cause}; name a folder that can", dir.display())
            }
            StoreError::ReadOnly { path } => write!(
                f,
                "{}: may not be written by this user, or its file system is read-only; change the folder's owner, or name another one",
                path.display()
            ),
            StoreError::Full { path } => write!(
                f,
                "{}: the disk is full; make room and start again: all that was reported as saved is there",
                path.display()
            ),
            StoreError::InUse { dir, process: Some(process) } => write!(
                f,
                "{}: process {process} is using this store; stop it first, or name another folder",
                dir.display()
            ),
            StoreError::InUse { dir, process: None } => write!(
                f,
                "{}: another process is using this store; stop it first (an open sqlite3 shell counts), or name another folder",
                dir.display()
            ),
            StoreError::NoStore { dir, found } => write!(
                f,
                "{}: not a store, and not empty (it holds {found}); name an empty folder, or one that is not there yet",
                dir.display()
            ),
            StoreError::Foreign { path, application } => write!(
                f,
                "{}: a SQLite file of another program (application id {application:#010x}); name another folder",
                path.display()
            ),
            StoreError::NoDatabase { path } => write!(
                f,
                "{}: not a journal: it does not begin as SQLite's files do; name another folder, or restore the file from a backup",
                path.display()
            ),
            StoreError::Newer { path, found, known } => write!(
                f,
                "{}: written in format {found} by a newer Shoal, this one reads up to {known}; install the newer version",
                path.display()
            ),
            StoreError::OtherApp { dir, found, wanted } => write!(
                f,
                "{}: the store of the app {found:?}, not of {wanted:?}; name another folder, or run {found:?}",
                dir.display()
            ),
            StoreError::Damaged { dir, what } => write!(
                f,
                "{dir}: the store is damaged: {what}; `shoal store repair {dir}` keeps what is whole and says what is lost, or restore a backup",
                dir = dir.display()
            ),
            StoreError::BeyondRepair { dir, what } => write!(
                f,
                "{}: the store cannot be repaired: {what}; nothing was changed; restore a backup",
                dir.display()
            ),
            StoreError::Stale { shard, given, current } => write!(
                f,
                "shard {}: run {} has it now, and run {} may not write any more; stop the older process",
                shard.0, current.0, given.0
            ),
            StoreError::Order { shard, what } => write!(f, "shard {}: {what}", shard.0),
            StoreError::Pruned { shard, from, first } => write!(
                f,
                "shard {}: record {} is not held any more, the first is {}; begin with the checkpoint before it",
                shard.0, from.0, first.0
            ),
            StoreError::Io { path, doing, cause } => write!(
                f,
                "{}: {doing} failed: {cause}; look at the disk (dmesg, smartctl), then start again: all that was reported as saved is there",
                path.display()
            ),
            StoreError::Library { found } => {
                write!(f, "SQLite {found} can lose a commit (fixed in 3.51.3); build with the bundled one")
            }
        }
    }
}

impl std::error::Error for StoreError {}
