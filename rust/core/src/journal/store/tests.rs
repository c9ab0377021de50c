//! The store against a plain list: as it is used, over power cuts, failing writes, and damage of any byte.

mod damage;
mod failing;
mod model;
mod power;
mod repairing;
mod sentences;

use super::*;
use crate::journal::Part;
use crate::journal::disk::{Random, Tape};
use crate::journal::files::absent;
use std::io::{self, Write};
use std::sync::Arc;
use xxhash_rust::xxh3::xxh3_64;

const APP: &str = "transit";
const SHARD: ShardId = ShardId(0);

/// The bytes of a record, by its number: what a store must give back.
fn body(number: u64) -> Vec<u8> {
    let mut random = Random(number);
    let size = [0, 10, 300, 2_000, 9_000][random.below(5)];
    (0..size).map(|_| random.below(256) as u8).collect()
}

/// Number and bytes of each record that is held.
fn held(store: &Store) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let mut found = Vec::new();
    store.read(SHARD, RecordNumber(store.pruned(SHARD).0 + 1), |number, schema, body| {
        assert_eq!(schema, 1);
        found.push((number.0, body.to_vec()));
        Ok::<(), StoreError>(())
    })?;
    Ok(found)
}

fn append(store: &mut Store, epoch: Epoch, count: u64) -> Result<u64, StoreError> {
    let from = store.head(SHARD).0 + 1;
    let bodies: Vec<Vec<u8>> = (from..from + count).map(body).collect();
    let records: Vec<Record> = bodies
        .iter()
        .zip(from..)
        .map(|(body, number)| Record { number: RecordNumber(number), schema: 1, body })
        .collect();
    store.append(SHARD, epoch, &records, &[(1, "speed: float".into())])?;
    Ok(from + count - 1)
}

/// A checkpoint of one file, whose bytes tell its record's number.
fn checkpoint(store: &mut Store, epoch: Epoch) -> Result<(), StoreError> {
    let number = store.head(SHARD);
    let folder = format!("{:012}", number.0);
    let bytes = body(number.0);
    let part = Part { file: "bus-0000.arrow".into(), bytes: bytes.len() as u64, checksum: xxh3_64(&bytes) };
    let disk = store.disk().clone();
    let above = checkpoints_folder(store.dir());
    let aside = above.join(format!("{folder}.tmp"));
    let write = || -> io::Result<()> {
        // What a power cut has left without a row.
        absent(disk.remove_folder(&aside))?;
        absent(disk.remove_folder(&above.join(&folder)))?;
        disk.make_folder(&aside)?;
        let mut file = disk.create(&aside.join(&part.file))?;
        file.write_all(&bytes)?;
        file.sync()?;
        disk.sync_folder(&aside)?;
        disk.rename(&aside, &above.join(&folder))?;
        disk.sync_folder(&above)
    };
    write().map_err(|error| StoreError::io(&aside, "writing a checkpoint", &error))?;
    for old in store.put_checkpoint(SHARD, epoch, &Checkpoint { number, folder, parts: vec![part] })? {
        disk.remove_folder(&above.join(old)).map_err(|error| StoreError::io(&above, "removing", &error))?;
    }
    Ok(())
}

/// The bytes of all files of all checkpoints are what they were.
fn checkpoints_are_whole(store: &Store) -> Result<(), String> {
    for checkpoint in store.checkpoints(SHARD).map_err(|error| error.to_string())? {
        for part in &checkpoint.parts {
            let path = checkpoints_folder(store.dir()).join(&checkpoint.folder).join(&part.file);
            let bytes = std::fs::read(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            if bytes != body(checkpoint.number.0) || xxh3_64(&bytes) != part.checksum {
                return Err(format!("{}: other bytes", path.display()));
            }
        }
    }
    Ok(())
}

/// On a tape of its own, which spares the machine's syncs.
fn open_taped(dir: &Path) -> Result<Store, StoreError> {
    Store::open_on(Disk::taped(Tape::over(dir)), dir, Some(APP))
}
