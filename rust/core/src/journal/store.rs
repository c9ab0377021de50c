//! One machine's journal: records, checkpoints and sinks' positions in one SQLite file (docs/storage.md). A replicated
//! log can stand in its place. What it has acknowledged survives a power cut; what it gives back is what it was given,
//! or an error; after a write that failed it takes no more.

mod check;
mod checkpoints;
mod error;
mod folder;
mod heads;
mod opening;
mod repair;
mod salvage;
mod tables;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::config::DbConfig;
use rusqlite::{Connection, TransactionBehavior};

pub use check::{CheckpointReport, Compacted, Report, ShardReport, check, compact};
pub use checkpoints::Checkpoint;
pub use error::StoreError;
pub use repair::{Kept, Lost, Repaired, repair};

use super::files::Disk;
use super::{Epoch, RecordNumber, ShardId};
use crate::clock;
use folder::{Folder, Lock};
use heads::Head;
use tables::{RecordRow, Sum};

/// What has been appended before the journal's file takes it up from the log beside it.
const SETTLE_BYTES: u64 = 16 << 20;

/// A record to be appended.
#[derive(Clone, Copy, Debug)]
pub struct Record<'a> {
    pub number: RecordNumber,
    pub schema: u32,
    pub body: &'a [u8],
}

/// A transaction that a power cut left unfinished: nobody was told that it was saved.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Cut {
    /// The last whole record.
    pub after: RecordNumber,
    pub bytes: u64,
}

#[derive(Debug)]
pub struct Store {
    connection: Connection,
    folder: Folder,
    /// Held until the connection is closed.
    _lock: Lock,
    app: String,
    heads: BTreeMap<ShardId, Head>,
    schemas: BTreeMap<u32, String>,
    cut: Option<Cut>,
    /// The first failed write. A file whose sync failed may lack what later syncs claim: it is not written again.
    failed: Option<StoreError>,
    unsettled: u64,
    settle_at: u64,
}

impl Store {
    /// Makes the folder, with a store in it, if there is none. All of it is verified but the records' bodies, which
    /// `read` does, and the checkpoints' files.
    pub fn open(dir: &Path, app: &str) -> Result<Store, StoreError> {
        Store::open_on(Disk::default(), dir, Some(app))
    }

    /// `app`: none takes whatever app's store is there, and makes none.
    pub(in crate::journal) fn open_on(disk: Disk, dir: &Path, app: Option<&str>) -> Result<Store, StoreError> {
        let folder = Folder::new(disk, dir);
        opening::open(folder, app)
    }

    pub fn dir(&self) -> &Path {
        &self.folder.dir
    }

    pub fn app(&self) -> &str {
        &self.app
    }

    /// Where checkpoints are written: by this, so that a power cut finds them whole.
    pub fn disk(&self) -> &Disk {
        &self.folder.disk
    }

    /// What opening cut off.
    pub fn cut(&self) -> Option<Cut> {
        self.cut
    }

    /// A new run of the shard begins; from now on only its epoch may write.
    pub fn claim(&mut self, shard: ShardId) -> Result<Epoch, StoreError> {
        let mut head = self.heads.get(&shard).copied().unwrap_or_default();
        head.epoch.0 += 1;
        self.change("claiming a shard", shard, head, |_| Ok(()))?;
        Ok(head.epoch)
    }

    /// The newest record; 0 before the first.
    pub fn head(&self, shard: ShardId) -> RecordNumber {
        self.heads.get(&shard).map_or(RecordNumber(0), |head| head.number)
    }

    /// Which records are there, by what a run may begin with: the number after which they are held.
    pub fn pruned(&self, shard: ShardId) -> RecordNumber {
        self.heads.get(&shard).map_or(RecordNumber(0), |head| head.pruned)
    }

    /// Records that follow the newest one, without gaps, and the schemas that they are the first to name: in one
    /// transaction, durable on return.
    pub fn append(
        &mut self,
        shard: ShardId,
        epoch: Epoch,
        records: &[Record],
        schemas: &[(u32, String)],
    ) -> Result<(), StoreError> {
        let mut head = self.written_by(shard, epoch)?;
        let mut rows = Vec::with_capacity(records.len());
        let time = clock::system();
        for record in records {
            let next = RecordNumber(head.number.0 + 1);
            if record.number != next {
                let what = format!("record {} cannot follow record {}", record.number.0, head.number.0);
                return Err(StoreError::Order { shard, what });
            }
            let id =
                tables::row(shard, next).ok_or_else(|| StoreError::Order { shard, what: "out of numbers".into() })?;
            let row =
                RecordRow { id, epoch: epoch.0 as i64, schema: i64::from(record.schema), time, body: record.body };
            head.chain = row.chain(head.chain);
            head.number = next;
            rows.push((row, head.chain));
        }
        let mut fresh = Vec::new();
        for (number, declaration) in schemas {
            match self.schemas.get(number) {
                None => fresh.push((*number, declaration)),
                Some(known) if known == declaration => {}
                Some(_) => {
                    let what = format!("schema {number} is declared already, and otherwise");
                    return Err(StoreError::Order { shard, what });
                }
            }
        }
        self.change("appending records", shard, head, |connection| {
            for (number, declaration) in &fresh {
                let checksum = Sum::of("schemas").number(i64::from(*number)).text(declaration).finish();
                let mut insert = connection.prepare_cached("INSERT INTO schemas VALUES (?, ?, ?)")?;
                insert.execute((number, declaration, checksum))?;
            }
            let mut insert = connection.prepare_cached("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)")?;
            for (row, chain) in &rows {
                insert.execute((row.id, row.epoch, row.schema, row.time, chain, row.body))?;
            }
            Ok(())
        })?;
        self.schemas.extend(fresh.into_iter().map(|(number, declaration)| (number, declaration.clone())));
        self.unsettled += records.iter().map(|record| record.body.len() as u64).sum::<u64>();
        Ok(())
    }

    /// Takes up into the journal's file what the log beside it has grown to. A writer calls it when nobody waits;
    /// otherwise the next change does it first.
    pub fn settle(&mut self) -> Result<(), StoreError> {
        self.usable()?;
        if self.unsettled < self.settle_at {
            return Ok(());
        }
        let settled = opening::settle(&self.connection, "PASSIVE");
        self.noted("writing the journal's log back", settled)?;
        self.unsettled = 0;
        Ok(())
    }

    /// Calls back with number, schema and body of each record from `from` on, in order, each verified, as well as
    /// that the last one is the newest one.
    pub fn read<E: From<StoreError>>(
        &self,
        shard: ShardId,
        from: RecordNumber,
        mut each: impl FnMut(RecordNumber, u32, &[u8]) -> Result<(), E>,
    ) -> Result<(), E> {
        self.usable()?;
        let head = self.heads.get(&shard).copied().unwrap_or_default();
        let from = from.max(RecordNumber(1));
        if from.0 <= head.pruned.0 {
            return Err(StoreError::Pruned { shard, from, first: RecordNumber(head.pruned.0 + 1) }.into());
        }
        if from > head.number {
            return Ok(());
        }
        let reading = "reading records";
        let mut chain = self.chain_at(shard, RecordNumber(from.0 - 1))?;
        let mut next = from;
        let mut select = self
            .connection
            .prepare_cached(
                "SELECT id, epoch, schema, time, chain, body FROM records WHERE id BETWEEN ? AND ? ORDER BY id",
            )
            .map_err(|error| self.wrong(reading, error))?;
        let (_, last) = tables::rows(shard);
        let mut rows = select.query((tables::row(shard, from), last)).map_err(|error| self.wrong(reading, error))?;
        while let Some(row) = rows.next().map_err(|error| self.wrong(reading, error))? {
            let cells = |error| self.damaged_record(shard, next, error);
            let record = RecordRow {
                id: row.get(0).map_err(cells)?,
                epoch: row.get(1).map_err(cells)?,
                schema: row.get(2).map_err(cells)?,
                time: row.get(3).map_err(cells)?,
                body: row.get_ref(5).map_err(cells)?.as_blob().map_err(|error| cells(error.into()))?,
            };
            chain = record.chain(chain);
            let schema = u32::try_from(record.schema).ok();
            let whole = chain == row.get::<_, i64>(4).map_err(cells)? && tables::number(record.id) == (shard, next);
            let Some(schema) = schema.filter(|_| whole) else {
                return Err(self.folder.damaged(format!("record {} of shard {}", next.0, shard.0)).into());
            };
            each(next, schema, record.body)?;
            next.0 += 1;
        }
        if next.0 != head.number.0 + 1 || chain != head.chain {
            let what = format!("shard {} has records up to {} instead of {}", shard.0, next.0 - 1, head.number.0);
            return Err(self.folder.damaged(what).into());
        }
        Ok(())
    }

    /// Lets the records up to and with `through` go, for which a checkpoint stands.
    pub fn prune(&mut self, shard: ShardId, epoch: Epoch, through: RecordNumber) -> Result<(), StoreError> {
        let mut head = self.written_by(shard, epoch)?;
        if through <= head.pruned {
            return Ok(());
        }
        let latest = self.latest(shard)?.map(|checkpoint| checkpoint.number);
        if latest.is_none_or(|latest| through > latest) {
            let what = format!("record {} cannot be pruned: no checkpoint stands for it", through.0);
            return Err(StoreError::Order { shard, what });
        }
        head.pruned_chain = self.chain_at(shard, through)?;
        head.pruned = through;
        let (first, _) = tables::rows(shard);
        self.change("pruning records", shard, head, |connection| {
            let mut delete = connection.prepare_cached("DELETE FROM records WHERE id BETWEEN ? AND ?")?;
            delete.execute((first, tables::row(shard, through)))?;
            Ok(())
        })
    }

    /// Up to where a sink has what it wants: kept beside the records, forwards and backwards.
    pub fn put_sink(&mut self, name: &str, position: u64) -> Result<(), StoreError> {
        self.usable()?;
        let checksum = Sum::of("sinks").text(name).number(position as i64).finish();
        let (shard, head) = self.heads.first_key_value().map_or_else(Default::default, |(shard, head)| (*shard, *head));
        self.change("saving a sink's position", shard, head, |connection| {
            let mut insert = connection.prepare_cached("INSERT OR REPLACE INTO sinks VALUES (?, ?, ?)")?;
            insert.execute((name, position as i64, checksum))?;
            Ok(())
        })
    }

    pub fn sinks(&self) -> Result<BTreeMap<String, u64>, StoreError> {
        self.usable()?;
        opening::sinks(&self.folder, &self.connection)
    }

    pub fn schemas(&self) -> &BTreeMap<u32, String> {
        &self.schemas
    }

    /// The bytes of the records after `number`.
    pub fn bytes_since(&self, shard: ShardId, number: RecordNumber) -> Result<u64, StoreError> {
        self.usable()?;
        let sum = "SELECT coalesce(sum(length(body)), 0) FROM records WHERE id > ? AND id <= ?";
        let (_, last) = tables::rows(shard);
        let after = tables::row(shard, number).unwrap_or(last);
        let mut select = self.connection.prepare_cached(sum).map_err(|error| self.wrong("counting bytes", error))?;
        let bytes: i64 =
            select.query_row((after, last), |row| row.get(0)).map_err(|error| self.wrong("counting bytes", error))?;
        Ok(bytes as u64)
    }

    /// A copy of the journal, durable on return, as of now; checkpoints' files are not in it. The path must be free.
    pub fn backup_into(&self, path: &Path) -> Result<(), StoreError> {
        self.usable()?;
        self.connection
            .execute("VACUUM INTO ?", [path.to_string_lossy()])
            .map_err(|error| StoreError::sqlite(path, "copying the journal", &error))?;
        let parent = path.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let synced = self.disk().sync_file(path).and_then(|()| self.disk().sync_folder(parent));
        synced.map_err(|error| StoreError::io(path, "syncing the copy", &error))
    }

    /// The journal's file has everything, and no log is beside it, once this has returned without an error.
    pub fn close(mut self) -> Result<(), StoreError> {
        self.usable()?;
        self.leave()
    }

    fn leave(&mut self) -> Result<(), StoreError> {
        let settled = opening::settle(&self.connection, "TRUNCATE");
        self.noted("writing the journal's log back", settled)?;
        // Nothing is left to take up: closing only removes the empty log.
        let closing = self.connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false);
        self.noted("closing the journal", closing.map(|_| ()))
    }

    /// One transaction that also writes the shard's head, so that each of them writes that page: `wal` tells by it
    /// where one ends and the next begins.
    fn change(
        &mut self,
        doing: &'static str,
        shard: ShardId,
        mut head: Head,
        work: impl FnOnce(&Connection) -> rusqlite::Result<()>,
    ) -> Result<(), StoreError> {
        self.usable()?;
        self.settle()?;
        head.transactions += 1;
        let done = self.connection.transaction_with_behavior(TransactionBehavior::Immediate).and_then(|transaction| {
            work(&transaction)?;
            head.write(&transaction, shard)?;
            transaction.commit()
        });
        self.noted(doing, done)?;
        self.heads.insert(shard, head);
        Ok(())
    }

    fn written_by(&self, shard: ShardId, given: Epoch) -> Result<Head, StoreError> {
        self.usable()?;
        let head = self.heads.get(&shard).copied().unwrap_or_default();
        if head.epoch == given && given.0 > 0 {
            return Ok(head);
        }
        Err(StoreError::Stale { shard, given, current: head.epoch })
    }

    /// The checksum that the record after `number` chains to.
    fn chain_at(&self, shard: ShardId, number: RecordNumber) -> Result<i64, StoreError> {
        let head = self.heads.get(&shard).copied().unwrap_or_default();
        if number == head.number {
            return Ok(head.chain);
        }
        if number == head.pruned {
            return Ok(head.pruned_chain);
        }
        let id = tables::row(shard, number);
        let mut select = self
            .connection
            .prepare_cached("SELECT chain FROM records WHERE id = ?")
            .map_err(|error| self.wrong("reading records", error))?;
        select.query_row([id], |row| row.get(0)).map_err(|error| self.damaged_record(shard, number, error))
    }

    fn damaged_record(&self, shard: ShardId, number: RecordNumber, error: rusqlite::Error) -> StoreError {
        match StoreError::sqlite(&self.folder.journal(), "reading records", &error) {
            StoreError::Damaged { .. } => {
                self.folder.damaged(format!("record {} of shard {}: {error}", number.0, shard.0))
            }
            other => other,
        }
    }

    fn wrong(&self, doing: &'static str, error: rusqlite::Error) -> StoreError {
        StoreError::sqlite(&self.folder.journal(), doing, &error)
    }

    fn usable(&self) -> Result<(), StoreError> {
        self.failed.clone().map_or(Ok(()), Err)
    }

    /// Keeps the first failure.
    fn noted(&mut self, doing: &'static str, done: rusqlite::Result<()>) -> Result<(), StoreError> {
        done.map_err(|error| {
            let error = self.wrong(doing, error);
            self.failed.get_or_insert(error).clone()
        })
    }
}

impl Drop for Store {
    fn drop(&mut self) {
        if self.failed.is_none() {
            // Nobody to tell: what is not taken up now is taken up when the store is opened.
            let _ = self.leave();
        }
    }
}

/// The paths of a store's folder, for those who list or copy it.
pub fn checkpoints_folder(dir: &Path) -> PathBuf {
    dir.join("checkpoints")
}
