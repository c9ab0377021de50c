//! A store is opened: made if there is none, its log cut or refused, its tables verified.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind};
use std::path::Path;

use rusqlite::config::DbConfig;
use rusqlite::types::Value;
use rusqlite::{Connection, OpenFlags, Row};

use super::checkpoints::CheckpointRow;
use super::folder::Folder;
use super::heads::Head;
use super::tables::{self, Sum, TABLES};
use super::{Cut, SETTLE_BYTES, Store, StoreError};
use crate::clock;
use crate::journal::files::absent;
use crate::journal::wal::Log;
use crate::journal::{RecordNumber, ShardId};

/// The first version without the loss of a commit that sqlite.org/wal.html#walresetbug tells of.
const SQLITE: i32 = 3_051_003;

pub(super) fn open(folder: Folder, app: Option<&str>) -> Result<Store, StoreError> {
    if rusqlite::version_number() < SQLITE {
        return Err(StoreError::Library { found: rusqlite::version().into() });
    }
    if app.is_some() {
        folder.make()?;
    }
    folder.look()?;
    let lock = folder.lock()?;
    finish(&folder).map_err(|error| io(&folder, "finishing a repair", &error))?;
    // Looked at again, now that nobody else can make one.
    if !folder.look()? {
        let Some(app) = app else {
            return Err(StoreError::NoStore { dir: folder.dir.clone(), found: "nothing".into() });
        };
        make(&folder, app)?;
    }
    let page = folder.header()?;
    let log = Log::scan(&folder.log(), page).map_err(|error| io(&folder, "reading the journal's log", &error))?;
    if let Some(damage) = &log.damage {
        return Err(folder.damaged(format!("journal.sqlite-wal: {damage}")));
    }
    log.keep(&folder.disk, &folder.log()).map_err(|error| io(&folder, "cutting the journal's log", &error))?;
    let connection = connect(&folder, &folder.journal()).map_err(|error| sqlite(&folder, &error))?;
    let (app, heads) = verify(&folder, &connection, app)?;
    let schemas = schemas(&folder, &connection)?;
    sinks(&folder, &connection)?;
    // From here on nothing depends on what an earlier run has left in the log.
    settle(&connection, "TRUNCATE").map_err(|error| sqlite(&folder, &error))?;
    // SQLite has made the log, and does not look whether its name lasts.
    folder.disk.sync_folder(&folder.dir).map_err(|error| io(&folder, "syncing the folder", &error))?;
    let after = heads.first_key_value().map_or(RecordNumber(0), |(_, head)| head.number);
    let cut = (log.torn > 0).then_some(Cut { after, bytes: log.torn });
    Ok(Store {
        connection,
        folder,
        _lock: lock,
        app,
        heads,
        schemas,
        cut,
        failed: None,
        unsettled: 0,
        settle_at: SETTLE_BYTES,
    })
}

/// Puts a repaired journal in the place of the damaged one, which has got another name.
pub(super) fn finish(folder: &Folder) -> io::Result<()> {
    let repaired = folder.repaired();
    for half in ["journal.sqlite.new", "journal.sqlite.new-wal", "journal.sqlite.new-journal"] {
        absent(folder.disk.remove(&folder.dir.join(half)))?;
    }
    absent(folder.disk.remove_folder(&folder.scratch()))?;
    if !repaired.try_exists()? {
        return Ok(());
    }
    absent(folder.disk.remove(&folder.log()))?;
    // The old log must be gone for good before the new journal can be found beside it.
    folder.disk.sync_folder(&folder.dir)?;
    folder.disk.rename(&repaired, &folder.journal())?;
    folder.disk.sync_folder(&folder.dir)
}

/// A journal without records, under its name only once it is whole.
fn make(folder: &Folder, app: &str) -> Result<(), StoreError> {
    let new = folder.dir.join("journal.sqlite.new");
    let made = || -> rusqlite::Result<()> {
        let mut connection = connect_new(folder, &new)?;
        let transaction = connection.transaction()?;
        tables::make(&transaction, app, clock::system())?;
        transaction.commit()?;
        settle(&connection, "TRUNCATE")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.close().map_err(|(_, error)| error)
    };
    made().map_err(|error| StoreError::sqlite(&new, "making the journal", &error))?;
    let named = || -> io::Result<()> {
        folder.disk.sync_file(&new)?;
        match folder.disk.make_folder(&folder.checkpoints()) {
            Err(error) if error.kind() != ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        folder.disk.rename(&new, &folder.journal())?;
        folder.disk.sync_folder(&folder.dir)
    };
    named().map_err(|error| StoreError::io(&new, "making the journal", &error))
}

pub(super) fn connect_new(folder: &Folder, path: &Path) -> rusqlite::Result<Connection> {
    let connection = raw(folder, path, OpenFlags::SQLITE_OPEN_CREATE)?;
    connection.pragma_update(None, "page_size", tables::PAGE)?;
    configure(&connection)?;
    Ok(connection)
}

pub(super) fn connect(folder: &Folder, path: &Path) -> rusqlite::Result<Connection> {
    let connection = raw(folder, path, OpenFlags::empty())?;
    configure(&connection)?;
    Ok(connection)
}

fn raw(folder: &Folder, path: &Path, more: OpenFlags) -> rusqlite::Result<Connection> {
    let flags = OpenFlags::SQLITE_OPEN_READ_WRITE | OpenFlags::SQLITE_OPEN_NO_MUTEX | OpenFlags::SQLITE_OPEN_EXRESCODE;
    match folder.disk.vfs() {
        Some(vfs) => Connection::open_with_flags_and_vfs(path, flags | more, vfs),
        None => Connection::open_with_flags(path, flags | more),
    }
}

/// Of one connection, which is the only one.
fn configure(connection: &Connection) -> rusqlite::Result<()> {
    connection.busy_timeout(std::time::Duration::ZERO)?;
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_DEFENSIVE, true)?;
    // `Store` takes the log up by itself, since SQLite would keep a failure to itself, and never after a failure.
    connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, true)?;
    // First of all: with it SQLite needs no shared memory beside the file.
    pragma(connection, "locking_mode = EXCLUSIVE")?;
    if pragma(connection, "journal_mode = WAL")? != Value::Text("wal".into()) {
        let failure = rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_IOERR);
        return Err(rusqlite::Error::SqliteFailure(failure, Some("no log could be made beside the file".into())));
    }
    pragma(connection, "wal_autocheckpoint = 0")?;
    pragma(connection, "journal_size_limit = 67108864")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "temp_store", "MEMORY")?;
    // A page goes to the log in the commit of its transaction only: `wal` reckons with that.
    connection.pragma_update(None, "cache_spill", 0)?;
    connection.pragma_update(None, "cell_size_check", true)?;
    connection.pragma_update(None, "trusted_schema", false)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(())
}

/// Gives the first cell, and goes on to the end: there a transaction that it was may fail yet.
fn pragma(connection: &Connection, pragma: &str) -> rusqlite::Result<Value> {
    let mut statement = connection.prepare(&format!("PRAGMA {pragma}"))?;
    let mut rows = statement.query([])?;
    let mut first = Value::Null;
    while let Some(row) = rows.next()? {
        first = row.get(0)?;
    }
    Ok(first)
}

/// Writes the log's pages into the journal's file and syncs it.
pub(super) fn settle(connection: &Connection, how: &str) -> rusqlite::Result<()> {
    match pragma(connection, &format!("wal_checkpoint({how})"))? {
        Value::Integer(0) => Ok(()),
        _ => Err(rusqlite::Error::SqliteFailure(rusqlite::ffi::Error::new(rusqlite::ffi::SQLITE_BUSY), None)),
    }
}

/// SQLite's structure, the tables' declarations, whose store it is, and that the heads have their records.
fn verify(
    folder: &Folder,
    connection: &Connection,
    app: Option<&str>,
) -> Result<(String, BTreeMap<ShardId, Head>), StoreError> {
    let found: Vec<String> = rows(folder, connection, "PRAGMA quick_check(1)", |row| row.get(0).map(Some), "")?;
    if found != ["ok"] {
        return Err(folder.damaged(format!("journal.sqlite: {}", found.join("; "))));
    }
    let declared: Vec<(String, String)> = rows(
        folder,
        connection,
        "SELECT name, sql FROM sqlite_schema ORDER BY name",
        |row| Ok(Some((row.get(0)?, row.get(1)?))),
        "",
    )?;
    if !declared.iter().map(|(name, sql)| (name.as_str(), sql.as_str())).eq(TABLES) {
        return Err(folder.damaged("journal.sqlite: its tables are not declared as they were".into()));
    }
    let apps: Vec<String> = rows(folder, connection, "SELECT * FROM app", app_row, "the app's name")?;
    let [found] = apps.as_slice() else { return Err(folder.damaged("the app's name".into())) };
    if let Some(wanted) = app.filter(|wanted| wanted != found) {
        return Err(StoreError::OtherApp { dir: folder.dir.clone(), found: found.clone(), wanted: wanted.into() });
    }
    let heads: BTreeMap<ShardId, Head> =
        rows(folder, connection, "SELECT * FROM shards", Head::read, "the table of shards")?.into_iter().collect();
    let mut held = 0;
    for (shard, head) in &heads {
        let first_and_last = "SELECT count(*), min(id), max(id) FROM records WHERE id BETWEEN ? AND ?";
        let (count, first, last): (i64, Option<i64>, Option<i64>) = connection
            .query_row(first_and_last, tables::rows(*shard), |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?)))
            .map_err(|error| sqlite(folder, &error))?;
        let number = |id: Option<i64>| id.map(|id| tables::number(id).1.0);
        let (pruned, newest) = (head.pruned.0, head.number.0);
        let whole = match count {
            0 => pruned == newest,
            _ => {
                newest.checked_sub(pruned) == Some(count as u64)
                    && number(first) == Some(pruned + 1)
                    && number(last) == Some(newest)
            }
        };
        if !whole {
            let what = format!(
                "shard {} should have the records {} to {newest}, and has {count}, {} to {}",
                shard.0,
                pruned + 1,
                number(first).unwrap_or_default(),
                number(last).unwrap_or_default()
            );
            return Err(folder.damaged(what));
        }
        held += count;
    }
    let count = |table: &str| -> Result<i64, StoreError> {
        let count = format!("SELECT count(*) FROM {table}");
        connection.query_row(&count, [], |row| row.get(0)).map_err(|error| sqlite(folder, &error))
    };
    if count("records")? != held {
        return Err(folder.damaged("there are records of a shard that is not in the table of shards".into()));
    }
    let checkpoints: Vec<CheckpointRow> =
        rows(folder, connection, "SELECT * FROM checkpoints", CheckpointRow::read, "the table of checkpoints")?;
    for row in &checkpoints {
        let number = row.checkpoint.number;
        if heads.get(&row.shard).is_none_or(|head| number > head.number) {
            return Err(folder.damaged(format!("the checkpoint at record {} is of no shard's records", number.0)));
        }
    }
    for (shard, head) in &heads {
        let stands = |row: &CheckpointRow| row.shard == *shard && row.checkpoint.number >= head.pruned;
        if head.pruned.0 > 0 && !checkpoints.iter().any(stands) {
            return Err(folder.damaged(format!("no checkpoint stands for the records up to {}", head.pruned.0)));
        }
    }
    Ok((found.clone(), heads))
}

pub(super) fn app_row(row: &Row) -> rusqlite::Result<Option<String>> {
    let (name, made, checksum): (String, i64, i64) = (row.get(1)?, row.get(2)?, row.get(3)?);
    Ok((checksum == Sum::of("app").text(&name).number(made).finish()).then_some(name))
}

fn schemas(folder: &Folder, connection: &Connection) -> Result<BTreeMap<u32, String>, StoreError> {
    Ok(rows(folder, connection, "SELECT * FROM schemas", schema_row, "the table of schemas")?.into_iter().collect())
}

pub(super) fn schema_row(row: &Row) -> rusqlite::Result<Option<(u32, String)>> {
    let (number, declaration, checksum): (u32, String, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let sum = Sum::of("schemas").number(i64::from(number)).text(&declaration).finish();
    Ok((checksum == sum).then_some((number, declaration)))
}

pub(super) fn sinks(folder: &Folder, connection: &Connection) -> Result<BTreeMap<String, u64>, StoreError> {
    Ok(rows(folder, connection, "SELECT * FROM sinks", sink_row, "the table of sinks")?.into_iter().collect())
}

pub(super) fn sink_row(row: &Row) -> rusqlite::Result<Option<(String, u64)>> {
    let (name, position, checksum): (String, i64, i64) = (row.get(0)?, row.get(1)?, row.get(2)?);
    let sum = Sum::of("sinks").text(&name).number(position).finish();
    Ok((checksum == sum).then_some((name, position as u64)))
}

/// All rows of a table; `what` is damaged if one is not what was written.
fn rows<T>(
    folder: &Folder,
    connection: &Connection,
    statement: &str,
    read: impl FnMut(&Row) -> rusqlite::Result<Option<T>>,
    what: &str,
) -> Result<Vec<T>, StoreError> {
    let all = || -> rusqlite::Result<Vec<Option<T>>> { connection.prepare(statement)?.query_map([], read)?.collect() };
    let all = all().map_err(|error| sqlite(folder, &error))?;
    let all: Option<Vec<T>> = all.into_iter().collect();
    all.ok_or_else(|| folder.damaged(what.into()))
}

fn io(folder: &Folder, doing: &'static str, error: &io::Error) -> StoreError {
    StoreError::io(&folder.journal(), doing, error)
}

fn sqlite(folder: &Folder, error: &rusqlite::Error) -> StoreError {
    StoreError::sqlite(&folder.journal(), "opening the journal", error)
}
