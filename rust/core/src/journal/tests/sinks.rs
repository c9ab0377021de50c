//! Records wait for the slowest sink, or it is cut loose.

use super::*;
use crate::journal::store::{Store, StoreError};
use crate::journal::{RecordNumber, ShardId};

/// A store whose only sink stays at record 1 while two checkpoints pass it: whether what is outside waits, and what the
/// sink finds when it reads on.
fn slow_sink(which: &str) -> (bool, Result<Vec<u64>, StoreError>) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    let bounds = format!(r#""journal_max_bytes": 2000, "slow_sinks": "{which}", "journal_seconds": 0.0"#);
    let declaration = DECLARATION.replace(r#""journal_seconds": 0.0"#, &bounds);
    let mut shard = Shard::new(serde_json::from_str(&declaration).unwrap(), true, false).unwrap();
    shard.open_store(&dir, &[]).unwrap();
    shard.sink_has("slow", 1);
    for _ in 0..2 {
        for n in 0..100 {
            perform(&mut shard, &Act::Report(n % 6, f64::from(n), i64::from(n)));
        }
        let before = shard.journal_status().unwrap().progress.checkpoint;
        shard.checkpoint();
        let deadline = std::time::Instant::now() + Duration::from_secs(20);
        while shard.journal_status().unwrap().progress.checkpoint == before {
            assert!(std::time::Instant::now() < deadline, "{:?}", shard.journal_status());
            std::thread::yield_now();
        }
    }
    // a checkpoint that began before the last reports lets go of what was before them only
    let deadline = std::time::Instant::now() + Duration::from_secs(if which == "cut" { 20 } else { 0 });
    loop {
        shard.commit();
        if !shard.is_paused() || std::time::Instant::now() > deadline {
            break;
        }
        std::thread::yield_now();
    }
    let is_paused = shard.is_paused();
    shard.close_journal(Duration::from_secs(20)).unwrap();
    drop(shard);
    let store = Store::open(&dir, "journal").unwrap();
    assert_eq!(store.sinks().unwrap().get("slow"), Some(&1));
    let mut found = Vec::new();
    let read = store.read(ShardId(0), RecordNumber(2), |number, _, _| {
        found.push(number.0);
        Ok(())
    });
    (is_paused, read.map(|()| found))
}

#[test]
fn what_is_outside_waits_for_a_slow_sink() {
    let (is_paused, found) = slow_sink("wait");
    assert!(is_paused);
    let found = found.unwrap();
    assert!(found.len() >= 200, "{}", found.len());
    assert_eq!(found, (2..2 + found.len() as u64).collect::<Vec<_>>());
}

#[test]
fn a_slow_sink_is_cut_loose_and_told_from_where_there_are_records() {
    let (is_paused, found) = slow_sink("cut");
    assert!(!is_paused);
    match found {
        Err(StoreError::Pruned { from, first, .. }) => assert!(from == RecordNumber(2) && first > from, "{first:?}"),
        other => panic!("{other:?}"),
    }
}
