//! Each error as a user reads it, met with real folders, and that nothing was overwritten.

use std::fs;
use std::path::Path;

use super::*;
use crate::journal::disk::{Failure, Tape};

fn refusal(dir: &Path) -> String {
    Store::open(dir, APP).map(|_| ()).unwrap_err().to_string()
}

fn made(dir: &Path) {
    Store::open(dir, APP).unwrap().claim(SHARD).unwrap();
}

#[test]
fn a_folder_that_cannot_be_made() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "mine").unwrap();
    for dir in [file.clone(), file.join("store")] {
        let error = refusal(&dir);
        assert!(error.starts_with(&format!("{}: the store's folder cannot be made: ", dir.display())), "{error}");
        assert!(error.ends_with("; name a folder that can"), "{error}");
    }
    assert_eq!(fs::read(&file).unwrap(), b"mine");
}

/// Of this thread only, and root's rights over files go with it.
struct Nobody(i32);

impl Nobody {
    fn new() -> Self {
        // SAFETY: takes a number, changes this thread alone.
        Nobody(unsafe { libc::setfsuid(65_534) })
    }
}

impl Drop for Nobody {
    fn drop(&mut self) {
        // SAFETY: as above.
        unsafe { libc::setfsuid(self.0 as u32) };
    }
}

#[test]
fn a_folder_that_may_not_be_written() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o555)).unwrap();
    let error = {
        let _nobody = Nobody::new();
        refusal(dir.path())
    };
    let lock = dir.path().join("lock");
    assert_eq!(
        error,
        format!(
            "{}: may not be written by this user, or its file system is read-only; change the folder's owner, or name another one",
            lock.display()
        )
    );
}

#[test]
fn a_full_disk() {
    let dir = tempfile::tempdir().unwrap();
    let tape = Tape::over(dir.path());
    let mut store = Store::open_on(Disk::taped(tape.clone()), dir.path(), Some(APP)).unwrap();
    let epoch = store.claim(SHARD).unwrap();
    tape.fail(Failure::NoSpace, 0);
    let error = append(&mut store, epoch, 1).unwrap_err().to_string();
    let journal = dir.path().join("journal.sqlite");
    let rest = "the disk is full; make room and start again: all that was reported as saved is there";
    assert_eq!(error, format!("{}: {rest}", journal.display()));
}

#[test]
fn a_disk_that_fails() {
    let dir = tempfile::tempdir().unwrap();
    let tape = Tape::over(dir.path());
    let mut store = Store::open_on(Disk::taped(tape.clone()), dir.path(), Some(APP)).unwrap();
    let epoch = store.claim(SHARD).unwrap();
    tape.fail(Failure::Sync, 0);
    let error = append(&mut store, epoch, 1).unwrap_err().to_string();
    assert!(error.contains("journal.sqlite: appending records failed: "), "{error}");
    assert!(error.contains("; look at the disk (dmesg, smartctl), then start again"), "{error}");
}

#[test]
fn a_store_in_use() {
    let dir = tempfile::tempdir().unwrap();
    let store = Store::open(dir.path(), APP).unwrap();
    let error = refusal(dir.path());
    let process = std::process::id();
    let rest = format!("process {process} is using this store; stop it first, or name another folder");
    assert_eq!(error, format!("{}: {rest}", dir.path().display()));
    drop(store);
    made(dir.path());
}

#[test]
fn a_journal_open_in_another_program() {
    use std::os::fd::AsRawFd;
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let path = dir.path().join("journal.sqlite");
    let log = dir.path().join("journal.sqlite-wal");
    fs::write(&log, b"theirs, and longer than a log's header is").unwrap();
    let shell = fs::OpenOptions::new().read(true).write(true).open(&path).unwrap();
    // SAFETY: all zero is a valid `flock`; the file is open. This kind of lock is not that of a process.
    unsafe {
        let mut lock: libc::flock = std::mem::zeroed();
        lock.l_type = libc::F_RDLCK as libc::c_short;
        (lock.l_start, lock.l_len) = (0x4000_0002, 510);
        assert_eq!(libc::fcntl(shell.as_raw_fd(), libc::F_OFD_SETLK, &lock), 0);
    }
    let rest =
        "another process is using this store; stop it first (an open sqlite3 shell counts), or name another folder";
    assert_eq!(refusal(dir.path()), format!("{}: {rest}", dir.path().display()));
    assert_eq!(fs::read(&log).unwrap(), b"theirs, and longer than a log's header is");
    drop(shell);
    fs::remove_file(&log).unwrap();
    made(dir.path());
}

#[test]
fn a_folder_of_other_things() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("thesis.tex"), "mine").unwrap();
    let rest = "not a store, and not empty (it holds thesis.tex); name an empty folder, or one that is not there yet";
    assert_eq!(refusal(dir.path()), format!("{}: {rest}", dir.path().display()));
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was added");
}

#[test]
fn checkpoints_without_their_journal() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    fs::create_dir(dir.path().join("checkpoints/000000000001")).unwrap();
    fs::remove_file(dir.path().join("journal.sqlite")).unwrap();
    assert!(refusal(dir.path()).contains("not a store, and not empty (it holds checkpoints)"));
}

#[test]
fn a_file_of_another_program() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    let other = Connection::open(&path).unwrap();
    other.execute_batch("PRAGMA application_id = 258; CREATE TABLE bookmarks (id)").unwrap();
    drop(other);
    let before = fs::read(&path).unwrap();
    let rest = "a SQLite file of another program (application id 0x00000102); name another folder";
    assert_eq!(refusal(dir.path()), format!("{}: {rest}", path.display()));
    assert_eq!(fs::read(&path).unwrap(), before);
}

#[test]
fn a_file_that_is_no_database() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("journal.sqlite");
    for bytes in [Vec::new(), b"mine".to_vec(), vec![7; 5000]] {
        fs::write(&path, &bytes).unwrap();
        let error = refusal(dir.path());
        assert!(error.contains("not a journal: it does not begin as SQLite's files do"), "{error}");
        assert_eq!(fs::read(&path).unwrap(), bytes);
    }
}

#[test]
fn a_newer_format() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path());
    let path = dir.path().join("journal.sqlite");
    let newer = Connection::open(&path).unwrap();
    newer.pragma_update(None, "user_version", tables::FORMAT + 1).unwrap();
    drop(newer);
    let rest = "written in format 2 by a newer Shoal, this one reads up to 1; install the newer version";
    assert_eq!(refusal(dir.path()), format!("{}: {rest}", path.display()));
}

#[test]
fn the_store_of_another_app() {
    let dir = tempfile::tempdir().unwrap();
    drop(Store::open(dir.path(), "weather").unwrap());
    let rest = "the store of the app \"weather\", not of \"transit\"; name another folder, or run \"weather\"";
    assert_eq!(refusal(dir.path()), format!("{}: {rest}", dir.path().display()));
}

#[test]
fn a_run_that_is_not_the_last() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), APP).unwrap();
    let old = store.claim(SHARD).unwrap();
    store.claim(SHARD).unwrap();
    let error = append(&mut store, old, 1).unwrap_err().to_string();
    assert_eq!(error, "shard 0: run 2 has it now, and run 1 may not write any more; stop the older process");
}

#[test]
fn records_that_are_gone() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), APP).unwrap();
    let epoch = store.claim(SHARD).unwrap();
    append(&mut store, epoch, 4).unwrap();
    checkpoint(&mut store, epoch).unwrap();
    store.prune(SHARD, epoch, RecordNumber(3)).unwrap();
    let read = store.read(SHARD, RecordNumber(2), |_, _, _| Ok::<(), StoreError>(()));
    let rest = "record 2 is not held any more, the first is 4; begin with the checkpoint before it";
    assert_eq!(read.unwrap_err().to_string(), format!("shard 0: {rest}"));
}
