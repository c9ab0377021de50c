use std::fs;
use std::path::Path;

use super::damage::Killed;
use super::repair::repair_on;
use super::*;
use crate::journal::disk::rebuild;

/// Records 1 to `records`, checkpoints behind some of them, closed.
fn made(dir: &Path, records: u64, checkpoints: &[u64]) {
    let mut store = Store::open(dir, APP).unwrap();
    let epoch = store.claim(SHARD).unwrap();
    for number in 1..=records {
        append(&mut store, epoch, 1).unwrap();
        if checkpoints.contains(&number) {
            checkpoint(&mut store, epoch).unwrap();
        }
    }
    store.close().unwrap();
}

fn alter(dir: &Path, statement: &str) {
    let connection = Connection::open(dir.join("journal.sqlite")).unwrap();
    connection.execute(statement, []).unwrap();
}

fn expected(numbers: std::ops::RangeInclusive<u64>) -> Vec<(u64, Vec<u8>)> {
    numbers.map(|number| (number, body(number))).collect()
}

#[test]
fn a_whole_store_is_left_alone() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), 3, &[2]);
    let before = fs::read(dir.path().join("journal.sqlite")).unwrap();
    assert_eq!(repair(dir.path(), None), Ok(Repaired::default()));
    assert_eq!(fs::read(dir.path().join("journal.sqlite")).unwrap(), before);
}

#[test]
fn records_up_to_the_damage_are_kept_and_the_others_named() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), 6, &[]);
    alter(dir.path(), "UPDATE records SET body = x'00' WHERE id = 4");
    alter(dir.path(), "UPDATE records SET time = time + 5 WHERE id = 6");
    let repaired = repair(dir.path(), None).unwrap();
    let [Kept { shard: SHARD, checkpoint: None, through: RecordNumber(3), lost: Some(lost) }] = repaired.shards[..]
    else {
        panic!("{repaired:?}")
    };
    assert_eq!((lost.first, lost.last), (RecordNumber(4), Some(RecordNumber(6))));
    assert!(lost.since.unwrap() < lost.until.unwrap());
    assert_eq!(repaired.aside, [dir.path().join("journal.damaged-1.sqlite")]);
    let old = Connection::open(&repaired.aside[0]).unwrap();
    assert_eq!(old.query_row("SELECT count(*) FROM records", [], |row| row.get(0)), Ok(6));
    let mut store = Store::open(dir.path(), APP).unwrap();
    assert_eq!(held(&store).unwrap(), expected(1..=3));
    assert_eq!(store.claim(SHARD), Ok(Epoch(2)));
    assert_eq!(append(&mut store, Epoch(2), 1), Ok(4));
}

#[test]
fn damage_before_a_checkpoint_loses_nothing() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), 8, &[5]);
    alter(dir.path(), "DELETE FROM records WHERE id = 4");
    assert!(Store::open(dir.path(), APP).is_err());
    let repaired = repair(dir.path(), None).unwrap();
    let kept = Kept { shard: SHARD, checkpoint: Some(RecordNumber(5)), through: RecordNumber(8), lost: None };
    assert_eq!(repaired.shards, [kept]);
    let store = Store::open(dir.path(), APP).unwrap();
    assert_eq!(held(&store).unwrap(), expected(6..=8));
    checkpoints_are_whole(&store).unwrap();
}

#[test]
fn a_damaged_checkpoint_gives_way_to_the_one_before() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), 9, &[3, 7]);
    let file = dir.path().join("checkpoints/000000000007/bus-0000.arrow");
    fs::write(&file, b"other").unwrap();
    let report = check(dir.path()).unwrap();
    let problem = "checkpoints/000000000007/bus-0000.arrow: 5 bytes instead of";
    assert!(report.problems.len() == 1 && report.problems[0].contains(problem), "{report:?}");
    let repaired = repair(dir.path(), None).unwrap();
    let kept = Kept { shard: SHARD, checkpoint: Some(RecordNumber(3)), through: RecordNumber(9), lost: None };
    assert_eq!(repaired.shards, [kept]);
    let folder = dir.path().join("checkpoints/000000000007.damaged-1");
    assert_eq!(fs::read(folder.join("bus-0000.arrow")).unwrap(), b"other");
    assert!(repaired.aside.contains(&folder));
    let store = Store::open(dir.path(), APP).unwrap();
    assert_eq!(store.latest(SHARD).unwrap().unwrap().number, RecordNumber(3));
    assert_eq!(held(&store).unwrap(), expected(1..=9));
}

#[test]
fn without_a_beginning_nothing_is_repaired_and_nothing_changed() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), 9, &[3, 7]);
    let mut store = Store::open(dir.path(), APP).unwrap();
    let epoch = store.claim(SHARD).unwrap();
    store.prune(SHARD, epoch, RecordNumber(3)).unwrap();
    store.close().unwrap();
    for number in [3, 7] {
        fs::remove_file(dir.path().join(format!("checkpoints/{number:012}/bus-0000.arrow"))).unwrap();
    }
    let before = fs::read(dir.path().join("journal.sqlite")).unwrap();
    let error = repair(dir.path(), None).unwrap_err().to_string();
    let rest = "the store cannot be repaired: shard 0 has neither a whole checkpoint nor its records from 1 on; nothing was changed; restore a backup";
    assert_eq!(error, format!("{}: {rest}", dir.path().display()));
    assert_eq!(fs::read(dir.path().join("journal.sqlite")).unwrap(), before);
    assert!(!dir.path().join("repair.tmp").exists());
}

#[test]
fn the_name_of_the_app_can_be_said() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), 2, &[]);
    alter(dir.path(), "DELETE FROM app");
    let error = repair(dir.path(), None).unwrap_err().to_string();
    assert!(error.contains("the app's name cannot be read; say it with --app"), "{error}");
    repair(dir.path(), Some(APP)).unwrap();
    assert_eq!(held(&Store::open(dir.path(), APP).unwrap()).unwrap(), expected(1..=2));
}

/// What is kept is right, and what is not is told, unless it is at the log's `tail`.
fn mended(journal: &[u8], log: &[u8], tail: bool, what: &str) -> Option<u64> {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("journal.sqlite"), journal).unwrap();
    fs::write(dir.path().join("journal.sqlite-wal"), log).unwrap();
    let disk = || Disk::taped(Tape::over(dir.path()));
    let repaired = match repair_on(disk(), dir.path(), Some(APP)) {
        Ok(repaired) => repaired,
        Err(error) => {
            assert!(!matches!(error, StoreError::Io { .. }), "{error}");
            return None;
        }
    };
    let store = open_taped(dir.path()).unwrap();
    let newest = store.head(SHARD).0;
    assert_eq!(held(&store).unwrap(), expected(store.pruned(SHARD).0 + 1..=newest));
    if let [kept] = repaired.shards[..] {
        assert_eq!(kept.through.0, newest);
        match kept.lost {
            // Damage of the last transaction cannot be told from one that was never finished.
            None => assert!(newest == 6 || tail, "{what}: {repaired:?}"),
            Some(lost) => assert_eq!(lost.first.0, newest + 1),
        }
    }
    drop(store);
    assert_eq!(check(dir.path()).unwrap().problems, Vec::<String>::new());
    Some(newest)
}

#[test]
fn a_damaged_log_keeps_all_that_verifies() {
    let killed = Killed::new();
    let frame = 24 + tables::PAGE as usize;
    for start in (32..killed.last).step_by(frame) {
        for at in [3, 9, 17, 24, 3000, frame - 1] {
            let mut log = killed.log.clone();
            log[start + at] ^= 4;
            let newest = mended(&killed.journal, &log, false, "");
            // The checksum alone was wrong: nothing is missing.
            assert!(newest >= Some(2) && (at != 17 || newest == Some(6)), "{start} + {at}: {newest:?}");
        }
    }
}

#[test]
fn any_damage_is_mended_or_refused() {
    any_damage(21, 200);
}

#[test]
#[ignore = "long"]
fn long_any_damage() {
    any_damage(22, 5_000);
}

fn any_damage(seed: u64, cases: usize) {
    let killed = Killed::new();
    let mut random = Random(seed);
    let mut mended_well = 0;
    for _ in 0..cases {
        let (mut journal, mut log) = (killed.journal.clone(), killed.log.clone());
        let in_log = random.below(2) == 0;
        let (file, sector) = if in_log { (&mut log, 64) } else { (&mut journal, 512) };
        let at = 100 + random.below(file.len() - 100 - sector);
        file[at..at + sector].iter_mut().for_each(|byte| *byte = random.below(256) as u8);
        mended_well += usize::from(
            mended(&journal, &log, in_log && at + sector > killed.last, &format!("{in_log} {at}")).is_some(),
        );
    }
    assert!(mended_well > cases / 2, "{mended_well}");
}

#[test]
fn a_repair_that_loses_its_power_is_begun_again_or_finished() {
    let killed = Killed::new();
    let dir = tempfile::tempdir().unwrap();
    fs::create_dir(dir.path().join("checkpoints")).unwrap();
    fs::write(dir.path().join("journal.sqlite"), &killed.journal).unwrap();
    let mut log = killed.log.clone();
    log[32 + 17] ^= 4;
    fs::write(dir.path().join("journal.sqlite-wal"), &log).unwrap();
    let tape = Tape::over(dir.path());
    repair_on(Disk::taped(tape.clone()), dir.path(), None).unwrap();
    let mut random = Random(31);
    for point in 0..tape.points() {
        let after = tempfile::tempdir().unwrap();
        rebuild(&tape, point, &mut random, after.path());
        repair_on(Disk::taped(Tape::over(after.path())), after.path(), None).unwrap();
        let store = open_taped(after.path()).unwrap();
        assert_eq!(held(&store).unwrap(), expected(1..=6), "{point}");
    }
}

#[test]
fn what_nobody_needs_is_compacted() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), 60, &[40, 50]);
    fs::create_dir(dir.path().join("checkpoints/000000000045.tmp")).unwrap();
    fs::write(dir.path().join("checkpoints/000000000045.tmp/bus-0000.arrow"), b"half").unwrap();
    let report = check(dir.path()).unwrap();
    assert_eq!((report.problems.len(), report.orphans), (0, vec!["000000000045.tmp".to_owned()]));
    assert_eq!((report.shards[0].first, report.shards[0].last), (RecordNumber(1), RecordNumber(60)));
    assert_eq!(report.checkpoints.iter().map(|held| held.number.0).collect::<Vec<_>>(), [50, 40]);
    let compacted = compact(dir.path()).unwrap();
    assert_eq!(compacted.orphans, ["000000000045.tmp"]);
    assert!(compacted.bytes_after < compacted.bytes_before / 2, "{compacted:?}");
    let store = Store::open(dir.path(), APP).unwrap();
    assert_eq!(held(&store).unwrap(), expected(41..=60));
    checkpoints_are_whole(&store).unwrap();
}

#[test]
fn a_sink_that_lags_keeps_its_records() {
    let dir = tempfile::tempdir().unwrap();
    made(dir.path(), 9, &[4, 8]);
    Store::open(dir.path(), APP).unwrap().put_sink("alarms", 2).unwrap();
    compact(dir.path()).unwrap();
    assert_eq!(held(&Store::open(dir.path(), APP).unwrap()).unwrap(), expected(3..=9));
}
