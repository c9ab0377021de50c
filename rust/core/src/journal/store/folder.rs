//! A store's folder: whose it is, who has it, and that what is made in it is made whole.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use super::StoreError;
use super::tables::{APPLICATION, FORMAT};
use crate::journal::files::Disk;

/// What SQLite's files begin with, and what of a header is read here.
const MAGIC: &[u8; 16] = b"SQLite format 3\0";
const HEADER: usize = 100;
/// The first of the bytes that SQLite locks.
const LOCKED: i64 = 0x4000_0000;

#[derive(Clone, Debug)]
pub(super) struct Folder {
    pub disk: Disk,
    pub dir: PathBuf,
}

/// The `lock` file, `flock`ed while this lives; it holds the number of the process.
#[derive(Debug)]
pub(super) struct Lock(File);

impl Folder {
    pub fn new(disk: Disk, dir: &Path) -> Self {
        Folder { disk, dir: dir.into() }
    }

    pub fn journal(&self) -> PathBuf {
        self.dir.join("journal.sqlite")
    }

    pub fn log(&self) -> PathBuf {
        self.dir.join("journal.sqlite-wal")
    }

    /// Complete before it is named so: the first thing that opening does is to put it in the journal's place.
    pub fn repaired(&self) -> PathBuf {
        self.dir.join("journal.sqlite.repaired")
    }

    /// Where a repair works; what is left in it is of no use.
    pub fn scratch(&self) -> PathBuf {
        self.dir.join("repair.tmp")
    }

    pub fn checkpoints(&self) -> PathBuf {
        super::checkpoints_folder(&self.dir)
    }

    pub fn damaged(&self, what: String) -> StoreError {
        StoreError::Damaged { dir: self.dir.clone(), what }
    }

    /// Makes it with those above it, each durable in the one above.
    pub fn make(&self) -> Result<(), StoreError> {
        let absolute = std::path::absolute(&self.dir).unwrap_or_else(|_| self.dir.clone());
        self.make_at(&absolute).map_err(|error| match error.kind() {
            // `lock` says it for a folder that is there and may not be written.
            ErrorKind::StorageFull | ErrorKind::QuotaExceeded => StoreError::Full { path: self.dir.clone() },
            _ => StoreError::Folder { dir: self.dir.clone(), cause: error.to_string() },
        })
    }

    fn make_at(&self, path: &Path) -> io::Result<()> {
        match fs::metadata(path) {
            Ok(there) if there.is_dir() => return Ok(()),
            Ok(_) => return Err(io::Error::new(ErrorKind::NotADirectory, "there is a file of that name")),
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(error),
            Err(_) => {}
        }
        let Some(above) = path.parent() else { return Err(ErrorKind::NotFound.into()) };
        self.make_at(above)?;
        match self.disk.make_folder(path) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => Err(error),
            _ => self.disk.sync_folder(above),
        }
    }

    /// Refuses what is somebody else's. True: the journal is there.
    pub fn look(&self) -> Result<bool, StoreError> {
        let io = |error: io::Error| StoreError::io(&self.dir, "looking into the folder", &error);
        let mut other = None;
        for entry in fs::read_dir(&self.dir).map_err(io)? {
            let entry = entry.map_err(io)?;
            let name = entry.file_name().to_string_lossy().into_owned();
            if name == "journal.sqlite" || name == "journal.sqlite.repaired" {
                return Ok(true);
            }
            // What a start that was cut off has left is no reason to refuse.
            let left = match name.as_str() {
                "lock" | "control" => true,
                "journal.sqlite.new" | "journal.sqlite.new-wal" | "journal.sqlite.new-journal" => true,
                "checkpoints" => fs::read_dir(entry.path()).is_ok_and(|mut entries| entries.next().is_none()),
                _ => false,
            };
            if !left {
                other = other.min(Some(name.clone())).or(Some(name));
            }
        }
        match other {
            Some(found) => Err(StoreError::NoStore { dir: self.dir.clone(), found }),
            None => Ok(false),
        }
    }

    pub fn lock(&self) -> Result<Lock, StoreError> {
        let path = self.dir.join("lock");
        let io = |error: io::Error| StoreError::io(&path, "locking the store", &error);
        let mut file =
            OpenOptions::new().read(true).write(true).create(true).truncate(false).open(&path).map_err(io)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut holder = String::new();
                // It may be about to write it: then nobody is named.
                let process = file.read_to_string(&mut holder).ok().and_then(|_| holder.trim().parse().ok());
                return Err(StoreError::InUse { dir: self.dir.clone(), process });
            }
            Err(TryLockError::Error(error)) => return Err(io(error)),
        }
        let line = format!("{}\n", std::process::id());
        file.set_len(0).and_then(|()| file.rewind()).and_then(|()| file.write_all(line.as_bytes())).map_err(io)?;
        Ok(Lock(file))
    }

    /// Whose file the journal is, and that no other SQLite has it open: its log is to be cut and written anew. Gives
    /// its page size.
    pub fn header(&self) -> Result<u32, StoreError> {
        let path = self.journal();
        let io = |error: io::Error| StoreError::io(&path, "reading the journal", &error);
        let mut file = File::open(&path).map_err(io)?;
        if let Some(process) = holder(&file).map_err(io)? {
            return Err(StoreError::InUse { dir: self.dir.clone(), process });
        }
        let mut header = [0; HEADER];
        match file.read_exact(&mut header) {
            Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Err(StoreError::NoDatabase { path }),
            read => read.map_err(io)?,
        }
        let word = |at: usize| u32::from_be_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        if !header.starts_with(MAGIC) {
            return Err(StoreError::NoDatabase { path });
        }
        let (application, format) = (word(68), word(60));
        if application != APPLICATION {
            return Err(StoreError::Foreign { path, application });
        }
        if format > FORMAT {
            return Err(StoreError::Newer { path, found: format, known: FORMAT });
        }
        if format == 0 {
            return Err(self.damaged("journal.sqlite says that it is in format 0".into()));
        }
        let page = u32::from(u16::from_be_bytes([header[16], header[17]]));
        match page {
            1 => Ok(65_536),
            512..=32_768 if page.is_power_of_two() => Ok(page),
            _ => Err(self.damaged(format!("journal.sqlite says that its pages have {page} bytes"))),
        }
    }
}

/// Who has locked any of the bytes that SQLite locks (sqlite.org/fileformat2.html#the_lock_byte_page): a connection to
/// a file with a log does so as long as it is open. None within: a lock without an owner.
fn holder(file: &File) -> io::Result<Option<Option<u32>>> {
    // SAFETY: all zero is a valid `flock`.
    let mut lock: libc::flock = unsafe { std::mem::zeroed() };
    lock.l_type = libc::F_WRLCK as libc::c_short;
    lock.l_whence = libc::SEEK_SET as libc::c_short;
    (lock.l_start, lock.l_len) = (LOCKED, 512);
    // SAFETY: the file is open, and `lock` is what the call reads and writes.
    if unsafe { libc::fcntl(file.as_raw_fd(), libc::F_GETLK, &mut lock) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok((lock.l_type != libc::F_UNLCK as libc::c_short).then(|| u32::try_from(lock.l_pid).ok()))
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Closing unlocks; a number that stays would only name a process that is gone.
        let _ = self.0.set_len(0);
    }
}
