use std::path::Path;

use super::power::{run, verify};
use super::*;
use crate::journal::disk::{Failure, Tape, rebuild};
use crate::journal::files::Step;

/// At every countdown up to the run's length.
fn each_countdown(failure: Failure) {
    let mut reported = 0;
    for after in 0.. {
        let before = tempfile::tempdir().unwrap();
        let tape = Tape::over(before.path());
        let dir = before.path().join("store");
        tape.fail(failure, after);
        let done = run(&tape, &dir, 12, &mut Random(3));
        let Some(step) = tape.failed() else {
            done.unwrap();
            break;
        };
        let safe = tape.marked(tape.points() - 1);
        match (failure, done) {
            // The log could not be shortened or removed; nothing in it was needed any more.
            (Failure::Write, Ok(())) if matches!(&step, Step::Remove(path) | Step::Truncate { path, .. } if is_log(path)) =>
                {}
            (Failure::Short | Failure::NoSpace, Err(StoreError::Full { .. } | StoreError::Io { .. }))
            | (Failure::Write | Failure::Sync, Err(StoreError::Io { .. } | StoreError::Folder { .. })) => reported += 1,
            (_, done) => panic!("{failure:?} after {after}, at {step:?}: {done:?}"),
        }
        // The power may fail, too, before anybody looks.
        let after_cut = tempfile::tempdir().unwrap();
        rebuild(&tape, tape.points() - 1, &mut Random(after as u64), after_cut.path());
        verify(&after_cut.path().join("store"), safe)
            .unwrap_or_else(|error| panic!("{failure:?} after {after}, and a power cut: {error}"));
        verify(&dir, safe).unwrap_or_else(|error| panic!("{failure:?} after {after}: {error}"));
    }
    assert!(reported > 10, "{failure:?}: {reported}");
}

fn is_log(path: &Path) -> bool {
    path.to_string_lossy().ends_with("-wal")
}

#[test]
fn a_short_write_is_reported_and_loses_nothing() {
    each_countdown(Failure::Short);
}

#[test]
fn a_full_disk_is_reported_and_loses_nothing() {
    each_countdown(Failure::NoSpace);
}

#[test]
fn a_failed_write_is_reported_and_loses_nothing() {
    each_countdown(Failure::Write);
}

#[test]
fn a_failed_sync_is_reported_and_loses_nothing() {
    each_countdown(Failure::Sync);
}

#[test]
fn after_a_failed_sync_nothing_is_written_and_the_first_error_stays() {
    let dir = tempfile::tempdir().unwrap();
    let tape = Tape::over(dir.path());
    let mut store = Store::open_on(Disk::taped(tape.clone()), &dir.path().join("store"), Some(APP)).unwrap();
    let epoch = store.claim(SHARD).unwrap();
    append(&mut store, epoch, 2).unwrap();
    tape.fail(Failure::Sync, 0);
    let first = append(&mut store, epoch, 1).unwrap_err();
    let points = tape.points();
    assert!(matches!(first, StoreError::Io { .. }), "{first}");
    assert_eq!(append(&mut store, epoch, 1), Err(first.clone()));
    assert_eq!(store.claim(SHARD), Err(first.clone()));
    assert_eq!(store.put_sink("alarms", 1), Err(first.clone()));
    assert_eq!(store.prune(SHARD, epoch, RecordNumber(1)), Err(first.clone()));
    assert_eq!(held(&store), Err(first.clone()));
    assert_eq!(store.settle(), Err(first.clone()));
    assert_eq!(store.close(), Err(first));
    assert_eq!(tape.steps(points - 1), Vec::<Step>::new(), "no write and no sync after the failed one");
}
