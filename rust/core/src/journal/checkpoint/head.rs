//! `small.bin`: what is not a table. Four bytes `SHCP`, the length of a JSON head (u32, little-endian), the head, then the
//! bytes that the shard gave. It is written anew by each checkpoint: what counts on although no file changes stands here.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::error::CheckpointError;
use crate::journal::schema::StoredId;

pub(super) const FILE: &str = "small.bin";
const MAGIC: &[u8; 4] = b"SHCP";
const FORMAT: u32 = 1;

#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Head {
    pub format: u32,
    pub schema: u32,
    pub populations: Vec<Counted>,
}

#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct Counted {
    pub id: StoredId,
    /// Twins in the files.
    pub twins: u64,
    /// The id that the next twin gets.
    pub next: u64,
    pub maps: Vec<CountedMap>,
}

#[derive(Debug, Deserialize, Eq, PartialEq, Serialize)]
pub(super) struct CountedMap {
    pub id: StoredId,
    pub entries: u64,
    /// The insertion number that the next entry gets.
    pub next: u64,
}

impl Head {
    pub fn new(schema: u32) -> Self {
        Head { format: FORMAT, schema, populations: Vec::new() }
    }

    /// The whole file.
    pub fn write(&self, small: &[u8]) -> Vec<u8> {
        let head = serde_json::to_vec(self).unwrap_or_default();
        let length = (head.len() as u32).to_le_bytes();
        [MAGIC.as_slice(), &length, &head, small].concat()
    }

    /// The head, and what the shard gave.
    pub fn read(file: &Path, bytes: Vec<u8>) -> Result<(Self, Vec<u8>), CheckpointError> {
        let broken = || CheckpointError::damaged(file, "it has no head");
        let (magic, rest) = bytes.split_first_chunk::<4>().ok_or_else(broken)?;
        let (length, rest) = rest.split_first_chunk::<4>().ok_or_else(broken)?;
        let (head, small) = rest.split_at_checked(u32::from_le_bytes(*length) as usize).ok_or_else(broken)?;
        if magic != MAGIC {
            return Err(broken());
        }
        let head: Head = serde_json::from_slice(head).map_err(|_| broken())?;
        if head.format != FORMAT {
            let what = format!("its format is {}, and this version reads {FORMAT}; use a newer Shoal", head.format);
            return Err(CheckpointError::unfit(file, what));
        }
        Ok((head, small.to_vec()))
    }
}
