//! Where a shard's records end, and who may write the next.

use rusqlite::{Connection, Row};

use super::tables::Sum;
use crate::journal::{Epoch, RecordNumber, ShardId};

#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub(super) struct Head {
    pub epoch: Epoch,
    /// The newest record, and its checksum: a record that vanished behind all others is noticed by them.
    pub number: RecordNumber,
    pub chain: i64,
    /// The last record that is not held any more, and its checksum.
    pub pruned: RecordNumber,
    pub pruned_chain: i64,
    /// Counts what was written, so that no two transactions leave this row the same.
    pub transactions: i64,
}

impl Head {
    pub fn write(&self, connection: &Connection, shard: ShardId) -> rusqlite::Result<()> {
        let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO shards VALUES (?, ?, ?, ?, ?, ?, ?, ?)")?;
        insert.execute((
            shard.0,
            self.epoch.0 as i64,
            self.number.0 as i64,
            self.chain,
            self.pruned.0 as i64,
            self.pruned_chain,
            self.transactions,
            self.checksum(shard),
        ))?;
        Ok(())
    }

    /// None: not what was written.
    pub fn read(row: &Row) -> rusqlite::Result<Option<(ShardId, Head)>> {
        let shard = ShardId(row.get(0)?);
        let head = Head {
            epoch: Epoch(row.get::<_, i64>(1)? as u64),
            number: RecordNumber(row.get::<_, i64>(2)? as u64),
            chain: row.get(3)?,
            pruned: RecordNumber(row.get::<_, i64>(4)? as u64),
            pruned_chain: row.get(5)?,
            transactions: row.get(6)?,
        };
        let checksum: i64 = row.get(7)?;
        Ok((checksum == head.checksum(shard)).then_some((shard, head)))
    }

    fn checksum(&self, shard: ShardId) -> i64 {
        let sum = Sum::of("shards").number(i64::from(shard.0)).number(self.epoch.0 as i64);
        let sum = sum.number(self.number.0 as i64).number(self.chain);
        let sum = sum.number(self.pruned.0 as i64).number(self.pruned_chain);
        sum.number(self.transactions).finish()
    }
}
