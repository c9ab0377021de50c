//! The journal's tables, and the checksum that every row carries.

use rusqlite::Connection;
use xxhash_rust::xxh3::Xxh3;

use crate::journal::{RecordNumber, ShardId};

/// `SHOA`: what SQLite's header says about whose file it is.
pub(super) const APPLICATION: u32 = 0x5348_4F41;
/// Of the tables and of what is in them.
pub(super) const FORMAT: u32 = 1;
/// Measured: see docs/storage.md.
pub(super) const PAGE: u32 = 4096;

/// A record's row number is shard × 2⁴⁷ + number: one b-tree, in the order of reading, without an index beside it.
const NUMBER_BITS: u32 = 47;

/// By name and statement, as `sqlite_schema` has them: what it has otherwise is damage.
pub(super) const TABLES: [(&str, &str); 6] = [
    (
        "app",
        "CREATE TABLE app (id INTEGER PRIMARY KEY, name TEXT NOT NULL, made INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT",
    ),
    (
        "checkpoints",
        "CREATE TABLE checkpoints (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, time INTEGER NOT NULL, chain INTEGER NOT NULL, folder TEXT NOT NULL, parts TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT",
    ),
    (
        "records",
        "CREATE TABLE records (id INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, schema INTEGER NOT NULL, time INTEGER NOT NULL, chain INTEGER NOT NULL, body BLOB NOT NULL) STRICT",
    ),
    (
        "schemas",
        "CREATE TABLE schemas (number INTEGER PRIMARY KEY, declaration TEXT NOT NULL, checksum INTEGER NOT NULL) STRICT",
    ),
    (
        "shards",
        "CREATE TABLE shards (shard INTEGER PRIMARY KEY, epoch INTEGER NOT NULL, number INTEGER NOT NULL, chain INTEGER NOT NULL, pruned INTEGER NOT NULL, pruned_chain INTEGER NOT NULL, transactions INTEGER NOT NULL, checksum INTEGER NOT NULL) STRICT",
    ),
    (
        "sinks",
        "CREATE TABLE sinks (name TEXT PRIMARY KEY, position INTEGER NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID, STRICT",
    ),
];

/// In a file that has no tables yet.
pub(super) fn make(connection: &Connection, app: &str, made: i64) -> rusqlite::Result<()> {
    for (_, statement) in TABLES {
        connection.execute(statement, [])?;
    }
    let checksum = Sum::of("app").text(app).number(made).finish();
    connection.execute("INSERT INTO app VALUES (1, ?, ?, ?)", (app, made, checksum))?;
    connection.pragma_update(None, "application_id", APPLICATION)?;
    connection.pragma_update(None, "user_version", FORMAT)
}

/// None: a number past 2⁴⁷.
pub(super) fn row(shard: ShardId, number: RecordNumber) -> Option<i64> {
    (number.0 >> NUMBER_BITS == 0).then(|| (i64::from(shard.0) << NUMBER_BITS) | number.0 as i64)
}

pub(super) fn number(row: i64) -> (ShardId, RecordNumber) {
    (ShardId((row >> NUMBER_BITS) as u16), RecordNumber(row as u64 & ((1 << NUMBER_BITS) - 1)))
}

/// The row numbers of a shard.
pub(super) fn rows(shard: ShardId) -> (i64, i64) {
    let first = i64::from(shard.0) << NUMBER_BITS;
    (first, first | ((1 << NUMBER_BITS) - 1))
}

/// xxh3-64 over the table's name and the row's cells, little endian, texts and bytes with their length before them.
pub(super) struct Sum(Xxh3);

impl Sum {
    pub fn of(table: &str) -> Self {
        Sum(Xxh3::new()).text(table)
    }

    pub fn number(mut self, number: i64) -> Self {
        self.0.update(&number.to_le_bytes());
        self
    }

    pub fn text(self, text: &str) -> Self {
        self.bytes(text.as_bytes())
    }

    pub fn bytes(mut self, bytes: &[u8]) -> Self {
        self.0.update(&(bytes.len() as u64).to_le_bytes());
        self.0.update(bytes);
        self
    }

    pub fn finish(self) -> i64 {
        self.0.digest() as i64
    }
}

/// A record's row, but for its checksum, which chains it to the one before.
pub(super) struct RecordRow<'a> {
    pub id: i64,
    pub epoch: i64,
    pub schema: i64,
    pub time: i64,
    pub body: &'a [u8],
}

impl RecordRow<'_> {
    pub fn chain(&self, before: i64) -> i64 {
        let sum = Sum::of("records").number(before).number(self.id).number(self.epoch);
        sum.number(self.schema).number(self.time).bytes(self.body).finish()
    }
}
