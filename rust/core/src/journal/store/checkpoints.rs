//! The rows that make checkpoints valid: a folder without one is none.

use rusqlite::Row;

use super::tables::{self, Sum};
use super::{Store, StoreError};
use crate::clock;
use crate::journal::{Epoch, Part, RecordNumber, ShardId};

/// Two are kept: the older one is what a run falls back to when files of the newer one are damaged.
const KEPT: usize = 2;

#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Checkpoint {
    /// The last record whose changes are in it.
    pub number: RecordNumber,
    /// Its folder's name within `checkpoints/`.
    pub folder: String,
    pub parts: Vec<Part>,
}

/// As it is in the table.
#[derive(Clone, Debug)]
pub(super) struct CheckpointRow {
    pub shard: ShardId,
    pub epoch: i64,
    /// µs since 1970 UTC.
    pub time: i64,
    /// The checksum of the record that it ends with: what follows chains to it.
    pub chain: i64,
    pub checkpoint: Checkpoint,
}

impl CheckpointRow {
    /// None: not what was written.
    pub fn read(row: &Row) -> rusqlite::Result<Option<Self>> {
        let id: i64 = row.get(0)?;
        let (shard, number) = tables::number(id);
        let parts: String = row.get(5)?;
        let folder: String = row.get(4)?;
        let (epoch, time, chain) = (row.get(1)?, row.get(2)?, row.get(3)?);
        let checksum: i64 = row.get(6)?;
        let sum = Sum::of("checkpoints").number(id).number(epoch).number(time).number(chain);
        if checksum != sum.text(&folder).text(&parts).finish() {
            return Ok(None);
        }
        let Ok(parts) = serde_json::from_str(&parts) else { return Ok(None) };
        Ok(Some(CheckpointRow { shard, epoch, time, chain, checkpoint: Checkpoint { number, folder, parts } }))
    }

    pub fn write(&self, connection: &rusqlite::Connection) -> rusqlite::Result<()> {
        let id = tables::row(self.shard, self.checkpoint.number);
        let parts = serde_json::to_string(&self.checkpoint.parts)
            .map_err(|error| rusqlite::Error::ToSqlConversionFailure(error.into()))?;
        let sum = Sum::of("checkpoints").number(id.unwrap_or_default()).number(self.epoch);
        let sum = sum.number(self.time).number(self.chain).text(&self.checkpoint.folder).text(&parts);
        let mut insert = connection.prepare_cached("INSERT INTO checkpoints VALUES (?, ?, ?, ?, ?, ?, ?)")?;
        let checkpoint = &self.checkpoint;
        insert.execute((id, self.epoch, self.time, self.chain, &checkpoint.folder, parts, sum.finish()))?;
        Ok(())
    }
}

impl Store {
    /// Makes a checkpoint valid whose files and folder are synced. Gives back the folders that no row names any more
    /// and that may now be removed: all but those of the newest two.
    pub fn put_checkpoint(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        checkpoint: &Checkpoint,
    ) -> Result<Vec<String>, StoreError> {
        let head = self.written_by(shard, epoch)?;
        let held = self.checkpoints(shard)?;
        let after = held.first().map_or(head.pruned.0, |latest| latest.number.0 + 1);
        if checkpoint.number.0 < after || checkpoint.number > head.number {
            let (number, newest) = (checkpoint.number.0, head.number.0);
            let what = format!("a checkpoint at record {number} is not between {after} and {newest}");
            return Err(StoreError::Order { shard, what });
        }
        let chain = self.chain_at(shard, checkpoint.number)?;
        let row = CheckpointRow {
            shard,
            epoch: epoch.0 as i64,
            time: clock::system(),
            chain,
            checkpoint: checkpoint.clone(),
        };
        let old = held.get(KEPT - 1..).unwrap_or_default();
        self.change("saving a checkpoint", shard, head, |connection| {
            row.write(connection)?;
            for old in old {
                let mut delete = connection.prepare_cached("DELETE FROM checkpoints WHERE id = ?")?;
                delete.execute([tables::row(shard, old.number)])?;
            }
            Ok(())
        })?;
        Ok(old.iter().map(|old| old.folder.clone()).collect())
    }

    /// When the store was made, µs since 1970 UTC: no other was then.
    pub fn made(&self) -> Result<i64, StoreError> {
        self.usable()?;
        let made = self.connection.query_row("SELECT made FROM app", [], |row| row.get(0));
        made.map_err(|error| self.wrong("reading when it was made", error))
    }

    /// The newest one.
    pub fn latest(&self, shard: ShardId) -> Result<Option<Checkpoint>, StoreError> {
        Ok(self.checkpoints(shard)?.into_iter().next())
    }

    /// The newest one first; two at most.
    pub fn checkpoints(&self, shard: ShardId) -> Result<Vec<Checkpoint>, StoreError> {
        Ok(self.checkpoint_rows(shard)?.into_iter().map(|row| row.checkpoint).collect())
    }

    pub(super) fn checkpoint_rows(&self, shard: ShardId) -> Result<Vec<CheckpointRow>, StoreError> {
        self.usable()?;
        let read = || -> rusqlite::Result<Vec<Option<CheckpointRow>>> {
            let statement = "SELECT * FROM checkpoints WHERE id BETWEEN ? AND ? ORDER BY id DESC";
            self.connection.prepare_cached(statement)?.query_map(tables::rows(shard), CheckpointRow::read)?.collect()
        };
        let rows = read().map_err(|error| self.wrong("reading the checkpoints", error))?;
        let rows: Option<Vec<CheckpointRow>> = rows.into_iter().collect();
        rows.ok_or_else(|| self.folder.damaged("the table of checkpoints".into()))
    }
}
