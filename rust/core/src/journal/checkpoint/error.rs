//! Why a checkpoint could not be written or read: the file, the cause, the remedy.

use std::io;
use std::path::{Path, PathBuf};

use arrow_schema::ArrowError;

#[derive(Debug)]
pub struct CheckpointError {
    pub file: PathBuf,
    pub cause: Cause,
}

#[derive(Debug)]
pub enum Cause {
    /// What was being done, and what the system said.
    Write(&'static str, io::Error),
    Read(io::Error),
    /// Its bytes are not those that were written.
    Damaged(String),
    /// Its bytes are whole, and do not fit the app or this version.
    Unfit(String),
}

impl CheckpointError {
    pub(super) fn write(file: &Path, doing: &'static str, error: io::Error) -> Self {
        CheckpointError { file: file.to_owned(), cause: Cause::Write(doing, error) }
    }

    pub(super) fn read(file: &Path, error: io::Error) -> Self {
        CheckpointError { file: file.to_owned(), cause: Cause::Read(error) }
    }

    pub(super) fn damaged(file: &Path, what: impl Into<String>) -> Self {
        CheckpointError { file: file.to_owned(), cause: Cause::Damaged(what.into()) }
    }

    pub(super) fn unfit(file: &Path, what: impl Into<String>) -> Self {
        CheckpointError { file: file.to_owned(), cause: Cause::Unfit(what.into()) }
    }

    /// What Arrow says of a file that is being written.
    pub(super) fn arrow(file: &Path, error: ArrowError) -> Self {
        let error = match error {
            ArrowError::IoError(_, error) => error,
            other => io::Error::other(other.to_string()),
        };
        CheckpointError::write(file, "written", error)
    }
}

impl std::fmt::Display for CheckpointError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let file = self.file.display();
        match &self.cause {
            Cause::Write(doing, error) => write!(
                f,
                "{file} could not be {doing}: {error}. The checkpoint before it stays valid; see that the disk has room and \
                 the folder may be written"
            ),
            Cause::Read(error) if error.kind() == io::ErrorKind::NotFound => {
                write!(f, "{file} is missing from its checkpoint. `shoal store repair` goes back to an older one")
            }
            Cause::Read(error) => write!(f, "{file} could not be read: {error}. See that this user may read it"),
            Cause::Damaged(what) => {
                write!(f, "{file} is damaged: {what}. `shoal store repair` goes back to an older checkpoint")
            }
            Cause::Unfit(what) => write!(f, "{file} does not fit: {what}"),
        }
    }
}

impl std::error::Error for CheckpointError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match &self.cause {
            Cause::Write(_, error) | Cause::Read(error) => Some(error),
            Cause::Damaged(_) | Cause::Unfit(_) => None,
        }
    }
}
