//! Where reading goes on after a restart, and whether the file is still the one that was read.

use std::fs::File;
use std::io::{self, ErrorKind};
use std::os::unix::fs::FileExt;

use xxhash_rust::xxh3::xxh3_64;

use super::opened::Opened;

/// Bytes of a file's beginning that tell it from others.
const COMPARED: u64 = 4096;

/// What of a file has been applied.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Resume {
    /// All records up to this position …
    pub through: u64,
    /// … but these; rising.
    pub waiting: Vec<u64>,
    /// The file's beginning when they were read.
    pub head: Head,
}

/// A file's beginning, as it lies on the disk (packed, if it is).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Head {
    /// 4,096, or the file's size where that was less.
    pub bytes: u64,
    /// xxh3-64 of so many bytes.
    pub hash: u64,
}

/// The beginning of the file at `path`; None for standard input, pipes and devices, which cannot be read again.
///
/// Errors: it does not exist or cannot be read.
pub fn head(path: &str) -> io::Result<Option<Head>> {
    // a pipe would not open before somebody writes to it
    if path == "-" || !std::fs::metadata(path)?.is_file() {
        return Ok(None);
    }
    Head::of(&File::open(path)?, COMPARED).map(Some)
}

impl Head {
    /// Of the first `count` bytes, or of all that there are.
    fn of(file: &File, count: u64) -> io::Result<Head> {
        let mut bytes = vec![0; count.min(COMPARED) as usize];
        let mut known = 0;
        while known < bytes.len() {
            match file.read_at(&mut bytes[known..], known as u64) {
                Ok(0) => break,
                Ok(more) => known += more,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(Head { bytes: known as u64, hash: xxh3_64(&bytes[..known]) })
    }
}

impl Resume {
    /// Errors: the file that was opened is not the one that was read.
    pub(super) fn check(&self, opened: &Opened) -> Result<(), String> {
        let (name, through) = (opened.name(), self.through);
        let found = match opened.is_regular() {
            true => opened.file().and_then(|file| Head::of(&file, self.head.bytes)),
            false => return Err(self.other(name, "it is a pipe, which cannot be read again")),
        };
        match found {
            Ok(found) if found == self.head => Ok(()),
            Ok(found) if found.bytes < self.head.bytes => {
                Err(self.other(name, &format!("it has {} bytes, and had {} or more", found.bytes, self.head.bytes)))
            }
            Ok(_) => Err(self.other(name, "it begins with other bytes")),
            Err(error) => Err(format!("{name} cannot be read on after position {through}: {error}")),
        }
    }

    /// Errors: the file, read to its end, has no record at a position that was read. `last`: its last one.
    pub(super) fn check_end(&self, name: &str, last: u64) -> Result<(), String> {
        match last < self.through {
            true => Err(self.other(name, &format!("it ends at position {last}"))),
            false => Ok(()),
        }
    }

    fn other(&self, name: &str, why: &str) -> String {
        format!(
            "{name} is not the file whose records up to position {} have been applied: {why}. Give the new file another \
             name, put the old one back, or start without the store",
            self.through
        )
    }
}

/// Which records are still to be handed over. Positions are asked about in rising order.
#[derive(Default)]
pub(super) struct Wanted {
    through: u64,
    waiting: Vec<u64>,
    /// How many of `waiting` have been passed.
    passed: usize,
}

impl Wanted {
    pub(super) fn after(resume: Option<&Resume>) -> Wanted {
        resume.map_or_else(Wanted::default, |resume| Wanted {
            through: resume.through,
            waiting: resume.waiting.clone(),
            passed: 0,
        })
    }

    /// The first position from `at` on whose record is wanted.
    pub(super) fn next(&mut self, at: u64) -> u64 {
        if at > self.through {
            return at;
        }
        let passed = self.waiting[self.passed..].iter().take_while(|position| **position < at).count();
        self.passed += passed;
        let waiting = self.waiting.get(self.passed).copied().filter(|position| *position <= self.through);
        waiting.unwrap_or(self.through.saturating_add(1))
    }

    /// Whether any record from `first` to before `end` is wanted; does not count as asking.
    pub(super) fn any(&self, first: u64, end: u64) -> bool {
        let at = self.waiting.partition_point(|position| *position < first);
        end > self.through.saturating_add(1) || self.waiting.get(at).is_some_and(|position| *position < end)
    }

    /// All records from `at` on are wanted.
    pub(super) fn all(&self, at: u64) -> bool {
        at > self.through
    }
}
