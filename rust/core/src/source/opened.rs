//! The file that is being read, and whether it stayed what it was.
//!
//! A path that is renamed over does no harm: the opened file is read whole. A file that only grows is read to the end
//! that is seen. What must not pass silently is a file truncated or rewritten in place, of which the reader saw a
//! mixture: then sizes, the time of modification or the bytes at its beginning and end tell.

use std::cell::RefCell;
use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::fd::AsFd;
use std::os::unix::fs::{FileExt, FileTypeExt};
use std::rc::Rc;
use std::time::SystemTime;

/// Bytes compared at the beginning and at the end of what was read.
const COMPARED: usize = 4096;

pub(super) struct Opened {
    name: String,
    /// `None`: a named pipe, which opens only when somebody writes to it.
    file: Option<File>,
    path: String,
    regular: bool,
    size: u64,
    modified: Option<SystemTime>,
    /// What the reader has seen; written by `Bytes` alone.
    seen: RefCell<Seen>,
}

#[derive(Default)]
struct Seen {
    size: u64,
    head: Vec<u8>,
    tail: Vec<u8>,
}

impl Opened {
    /// Opens what `path` names (`-`: standard input); `name` is what messages call it.
    pub(super) fn at(path: &str, name: &str) -> Result<Opened> {
        let opened = |file: Option<File>, regular: bool, size: u64, modified| Opened {
            name: name.into(),
            path: path.into(),
            file,
            regular,
            size,
            modified,
            seen: RefCell::default(),
        };
        let file = if path == "-" {
            File::from(std::io::stdin().as_fd().try_clone_to_owned().map_err(|error| explain(path, name, &error))?)
        } else {
            let found = std::fs::metadata(path).map_err(|error| explain(path, name, &error))?;
            if found.is_dir() {
                let text = format!("{name} is a folder; name one file in it");
                return Err(Error::new(ErrorKind::IsADirectory, text));
            }
            if found.file_type().is_fifo() {
                return Ok(opened(None, false, 0, None));
            }
            File::open(path).map_err(|error| explain(path, name, &error))?
        };
        let found = file.metadata().map_err(|error| explain(path, name, &error))?;
        // Standard input may be a file of which somebody has already read a part: then offsets say nothing.
        Ok(opened(Some(file), found.is_file() && path != "-", found.len(), found.modified().ok()))
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    /// A named file on a disk, which has a size and can be read at any place.
    pub(super) fn is_regular(&self) -> bool {
        self.regular
    }

    /// Its bytes may come one by one, with pauses.
    pub(super) fn is_live(&self) -> bool {
        match &self.file {
            Some(file) => !file.metadata().is_ok_and(|found| found.is_file()),
            None => true,
        }
    }

    /// The open file itself, for readers that seek.
    pub(super) fn file(&self) -> Result<File> {
        match &self.file {
            Some(file) => file.try_clone(),
            None => File::open(&self.path).map_err(|error| explain(&self.path, &self.name, &error)),
        }
    }

    /// What happened to the file since it was opened, if that means that the records read may be mixed or missing.
    /// `may_grow`: it was read from its beginning to its end, so that more at its end does no harm.
    pub(super) fn changed(&self, may_grow: bool) -> Option<String> {
        let file = self.file.as_ref().filter(|_| self.regular)?;
        let now = file.metadata().ok()?;
        let seen = self.seen.borrow();
        let what = if now.len() < self.size.max(seen.size) {
            format!("it shrank from {} to {} bytes", self.size.max(seen.size), now.len())
        } else if now.modified().ok() == self.modified {
            return None;
        } else if now.len() == self.size || !may_grow {
            "it was written to in place".to_owned()
        } else {
            let mut again = vec![0; COMPARED];
            let mut same = |bytes: &[u8], at: u64| {
                let again = &mut again[..bytes.len()];
                file.read_exact_at(again, at).is_ok() && again == bytes
            };
            if same(&seen.head, 0) && same(&seen.tail, seen.size - seen.tail.len() as u64) {
                return None;
            }
            "it was rewritten in place".to_owned()
        };
        Some(format!(
            "{} changed while it was read: {what}, so records may be missing or mixed. Read it again when it is \
             complete; a writer that writes a new file and renames it over the old one disturbs no reader",
            self.name
        ))
    }
}

/// An error's message with the path and a hint.
fn explain(path: &str, name: &str, error: &Error) -> Error {
    let text = match error.kind() {
        ErrorKind::NotFound if path.starts_with('/') => {
            format!("{name} does not exist; check the path")
        }
        ErrorKind::NotFound => match std::env::current_dir() {
            Ok(here) => format!("{name} does not exist in {}; check the path or start there", here.display()),
            Err(_) => format!("{name} does not exist; check the path"),
        },
        ErrorKind::PermissionDenied => {
            format!("{name} may not be read by this user; check its permissions")
        }
        _ => format!("{name} cannot be opened: {error}"),
    };
    Error::new(error.kind(), text)
}

/// The file's bytes from its beginning, noted in `Opened` as they go by.
pub(super) struct Bytes {
    opened: Rc<Opened>,
    file: File,
}

impl Bytes {
    pub(super) fn of(opened: Rc<Opened>) -> Result<Bytes> {
        let file = opened.file()?;
        Ok(Bytes { opened, file })
    }
}

impl Read for Bytes {
    fn read(&mut self, into: &mut [u8]) -> Result<usize> {
        let count = self.file.read(into)?;
        if self.opened.regular {
            self.opened.seen.borrow_mut().note(&into[..count]);
        }
        Ok(count)
    }
}

impl Seen {
    fn note(&mut self, bytes: &[u8]) {
        self.size += bytes.len() as u64;
        let missing = COMPARED - self.head.len();
        self.head.extend_from_slice(&bytes[..missing.min(bytes.len())]);
        let last = &bytes[bytes.len().saturating_sub(COMPARED)..];
        let kept = self.tail.len().min(COMPARED - last.len());
        self.tail.drain(..self.tail.len() - kept);
        self.tail.extend_from_slice(last);
    }
}
