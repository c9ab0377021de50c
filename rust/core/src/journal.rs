//! The journal: what survives. At a commit the shard cuts a record of what has changed since the last one; a thread
//! appends it to the store; checkpoints make old records needless; `recover` reads both back.

pub mod checkpoint;
pub mod files;
pub mod schema;

use serde::{Deserialize, Serialize};

/// Names a record of a shard: from 1 on, without gaps.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct RecordNumber(pub u64);

/// Which run of a shard writes: a later one refuses what an earlier one still sends.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct Epoch(pub u64);

#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd, Serialize, Deserialize)]
pub struct ShardId(pub u16);

/// A file of a checkpoint.
#[derive(Clone, Debug, Eq, PartialEq, Serialize, Deserialize)]
pub struct Part {
    /// Its name within the checkpoint's folder.
    pub file: String,
    pub bytes: u64,
    /// xxh3-64 of the whole file.
    pub checksum: u64,
}
