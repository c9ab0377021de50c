//! What of a damaged journal can be read and verified, row by row.

use std::collections::BTreeMap;

use rusqlite::{Connection, OptionalExtension, Row};

use super::checkpoints::CheckpointRow;
use super::heads::Head;
use super::opening::{app_row, schema_row, sink_row};
use super::tables::{self, RecordRow};
use crate::journal::{RecordNumber, ShardId};

/// One way to read the files: with all of the log, with its whole part, without it.
pub(super) struct View {
    pub connection: Connection,
    /// Nothing of the log was left out.
    pub all: bool,
    pub app: Option<String>,
    pub schemas: BTreeMap<u32, String>,
    /// Some of them could not be read: records that name others than these are of no use.
    pub schemas_damaged: bool,
    pub sinks: BTreeMap<String, u64>,
    pub heads: BTreeMap<ShardId, Head>,
    pub checkpoints: Vec<CheckpointRow>,
}

/// A number after which records are read, and the checksum that the next one chains to.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Base {
    pub number: RecordNumber,
    pub chain: i64,
}

/// Where verified records end.
#[derive(Clone, Copy, Debug)]
pub(super) struct End {
    pub base: Base,
    pub epoch: i64,
    /// Of the last one, µs since 1970 UTC.
    pub time: Option<i64>,
}

impl View {
    pub fn read(connection: Connection, all: bool) -> Self {
        let apps = verified(&connection, "app", "id", app_row).0;
        let (schemas, schemas_whole) = verified(&connection, "schemas", "number", schema_row);
        let sinks = verified(&connection, "sinks", "name", sink_row).0;
        let heads = verified(&connection, "shards", "shard", Head::read).0;
        let checkpoints = verified(&connection, "checkpoints", "id", |row| {
            Ok(CheckpointRow::read(row)?.map(|row| (tables::row(row.shard, row.checkpoint.number), row)))
        });
        View {
            app: apps.into_iter().next(),
            schemas: schemas.into_iter().collect(),
            schemas_damaged: !schemas_whole,
            sinks: sinks.into_iter().collect(),
            heads: heads.into_iter().collect(),
            checkpoints: checkpoints.0.into_iter().collect::<BTreeMap<_, _>>().into_values().collect(),
            all,
            connection,
        }
    }

    /// The shards of which there is anything.
    pub fn shards(&self) -> Vec<ShardId> {
        let mut shards: Vec<ShardId> = self.heads.keys().copied().collect();
        shards.extend(self.checkpoints.iter().map(|row| row.shard));
        // From each shard's first record to that of the next shard.
        let mut after = Some(-1);
        while let Some(id) = after {
            let next = "SELECT id FROM records WHERE id > ? ORDER BY id LIMIT 1";
            let found: Option<i64> = self.connection.query_row(next, [id], |row| row.get(0)).optional().ok().flatten();
            after = found.map(|id| {
                let (shard, _) = tables::number(id);
                shards.push(shard);
                tables::rows(shard).1
            });
        }
        shards.sort();
        shards.dedup();
        shards
    }

    /// Calls back with each record after `base` and its checksum as long as they verify, and `each` has no error.
    pub fn walk(
        &self,
        shard: ShardId,
        base: Base,
        mut each: impl FnMut(&RecordRow, i64) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<End> {
        let mut end = End { base, epoch: 0, time: None };
        loop {
            let number = RecordNumber(end.base.number.0 + 1);
            let Some(id) = tables::row(shard, number) else { return Ok(end) };
            let Some((row, body, stored)) = self.record(id) else { return Ok(end) };
            let row = RecordRow { body: &body, ..row };
            let chain = row.chain(end.base.chain);
            let known = u32::try_from(row.schema).is_ok_and(|schema| self.schemas.contains_key(&schema));
            if chain != stored || (self.schemas_damaged && !known) {
                return Ok(end);
            }
            each(&row, chain)?;
            end = End { base: Base { number, chain }, epoch: row.epoch, time: Some(row.time) };
        }
    }

    /// The number and time of the last record that can be read at all, verified or not.
    pub fn last(&self, shard: ShardId) -> Option<(RecordNumber, i64)> {
        let last = "SELECT id, time FROM records WHERE id BETWEEN ? AND ? ORDER BY id DESC LIMIT 1";
        let read = |row: &Row| Ok((tables::number(row.get(0)?).1, row.get(1)?));
        self.connection.query_row(last, tables::rows(shard), read).ok()
    }

    fn record(&self, id: i64) -> Option<(RecordRow<'static>, Vec<u8>, i64)> {
        let statement = "SELECT epoch, schema, time, body, chain FROM records WHERE id = ?";
        let mut select = self.connection.prepare_cached(statement).ok()?;
        let read = |row: &Row| {
            let row_of = RecordRow { id, epoch: row.get(0)?, schema: row.get(1)?, time: row.get(2)?, body: &[] };
            Ok((row_of, row.get(3)?, row.get(4)?))
        };
        select.query_row([id], read).ok()
    }
}

/// The rows that are what was written, from both ends of the table, since a damaged page stops reading at it; and
/// whether these are all.
fn verified<T>(
    connection: &Connection,
    table: &str,
    key: &str,
    mut read: impl FnMut(&Row) -> rusqlite::Result<Option<T>>,
) -> (Vec<T>, bool) {
    let mut found = Vec::new();
    for order in ["ASC", "DESC"] {
        let mut all = || -> rusqlite::Result<bool> {
            let mut whole = true;
            let mut statement = connection.prepare(&format!("SELECT * FROM {table} ORDER BY {key} {order}"))?;
            let mut rows = statement.query([])?;
            while let Some(row) = rows.next()? {
                match read(row) {
                    Ok(Some(row)) => found.push(row),
                    _ => whole = false,
                }
            }
            Ok(whole)
        };
        match all() {
            Ok(whole) => return (found, whole),
            Err(_) => continue,
        }
    }
    (found, false)
}
