use std::path::Path;

use super::*;
use crate::journal::disk::{Tape, rebuild};

/// A run that appends, checkpoints, prunes, and tells the tape what it has been told to be saved.
pub(super) fn run(tape: &Arc<Tape>, dir: &Path, acts: usize, random: &mut Random) -> Result<(), StoreError> {
    run_with(tape, dir, acts, random, |_| {})
}

fn run_with(
    tape: &Arc<Tape>,
    dir: &Path,
    acts: usize,
    random: &mut Random,
    prepare: impl FnOnce(&Store),
) -> Result<(), StoreError> {
    let mut store = Store::open_on(Disk::taped(tape.clone()), dir, Some(APP))?;
    prepare(&store);
    // The log begins anew every few transactions, or hardly ever.
    store.settle_at = [30_000, 300_000][random.below(2)];
    let epoch = store.claim(SHARD)?;
    for _ in 0..acts {
        match random.below(8) {
            0 if store.latest(SHARD)?.is_none_or(|latest| latest.number < store.head(SHARD)) => {
                checkpoint(&mut store, epoch)?;
            }
            1 => {
                if let Some(oldest) = store.checkpoints(SHARD)?.last() {
                    store.prune(SHARD, epoch, oldest.number)?;
                }
            }
            2 => store.put_sink("alarms", random.below(1000) as u64)?,
            _ => {
                let newest = append(&mut store, epoch, 1 + random.below(3) as u64)?;
                tape.mark(newest);
            }
        }
    }
    store.close()
}

/// Everything that was acknowledged is there, and nothing that was never appended.
pub(super) fn verify(dir: &Path, safe: u64) -> Result<u64, String> {
    let store = open_taped(dir).map_err(|error| error.to_string())?;
    let newest = store.head(SHARD).0;
    if newest < safe {
        return Err(format!("{newest} records of {safe}"));
    }
    let first = store.pruned(SHARD).0 + 1;
    let expected: Vec<_> = (first..=newest).map(|number| (number, body(number))).collect();
    match held(&store) {
        Ok(found) if found == expected => {}
        Ok(_) => return Err("other records".into()),
        Err(error) => return Err(error.to_string()),
    }
    if store.checkpoints(SHARD).map_err(|error| error.to_string())?.is_empty() && first > 1 {
        return Err("no checkpoint stands for what was pruned".into());
    }
    checkpoints_are_whole(&store)?;
    Ok(newest)
}

/// Runs, cuts the power somewhere, verifies, and goes on from there: `rounds` of it, some cuts of each run.
fn cuts(seed: u64, runs: usize, rounds: usize, each: usize) -> Result<(), String> {
    let mut random = Random(seed);
    for _ in 0..runs {
        let mut before = tempfile::tempdir().unwrap();
        let mut safe = 0;
        for round in 0..rounds {
            let tape = Tape::over(before.path());
            run(&tape, &before.path().join("store"), 40, &mut random).unwrap();
            let mut next = None;
            for _ in 0..each {
                let point = random.below(tape.points());
                let after = tempfile::tempdir().unwrap();
                rebuild(&tape, point, &mut random, after.path());
                let acknowledged = safe.max(tape.marked(point));
                let newest = verify(&after.path().join("store"), acknowledged)
                    .map_err(|error| format!("seed {seed}, round {round}, point {point}: {error}"))?;
                next = Some((after, newest));
            }
            (before, safe) = next.unwrap();
        }
    }
    Ok(())
}

#[test]
fn a_power_cut_loses_nothing_that_was_acknowledged() {
    cuts(1, 3, 2, 10).unwrap();
}

#[test]
#[ignore = "long"]
fn long_power_cuts() {
    for seed in 0..10 {
        cuts(1000 + seed, 5, 2, 10).unwrap();
    }
}

/// At how many of some points a run that was prepared so is found to have lost something.
fn losses(prepare: impl Fn(&Tape, Option<&Store>)) -> usize {
    let before = tempfile::tempdir().unwrap();
    let tape = Tape::over(before.path());
    prepare(&tape, None);
    let mut random = Random(7);
    let run = run_with(&tape, &before.path().join("store"), 40, &mut random, |store| prepare(&tape, Some(store)));
    run.unwrap();
    let mut lost = 0;
    for _ in 0..60 {
        let point = random.below(tape.points());
        let after = tempfile::tempdir().unwrap();
        rebuild(&tape, point, &mut random, after.path());
        lost += usize::from(verify(&after.path().join("store"), tape.marked(point)).is_err());
    }
    lost
}

#[test]
fn a_power_cut_is_felt_without_syncs() {
    let off = |_: &Tape, store: Option<&Store>| {
        if let Some(store) = store {
            store.connection.pragma_update(None, "synchronous", "OFF").unwrap();
        }
    };
    assert_eq!(losses(|_, _| {}), 0);
    assert!(losses(off) > 5);
}

#[test]
fn a_power_cut_is_felt_without_the_sync_of_a_folder() {
    let syncs = {
        let before = tempfile::tempdir().unwrap();
        let tape = Tape::over(before.path());
        run(&tape, &before.path().join("store"), 40, &mut Random(7)).unwrap();
        tape.folder_syncs()
    };
    let felt: Vec<usize> = (0..syncs).filter(|index| losses(|tape, _| tape.skip_folder_sync(*index)) > 0).collect();
    // The first makes the store's own folder last; some later ones a checkpoint's folder, and the files in it.
    assert!(felt.contains(&0) && felt.len() >= 3, "felt of {syncs}: {felt:?}");
}
