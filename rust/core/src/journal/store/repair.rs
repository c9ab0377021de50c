//! What `shoal store repair` does: everything that verifies, and that a run can begin with, is copied into a new
//! journal; the damaged files stay beside it.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use rusqlite::Connection;
use rusqlite::config::DbConfig;

use super::check::{check_on, part_damage};
use super::checkpoints::CheckpointRow;
use super::folder::Folder;
use super::heads::Head;
use super::salvage::{Base, End, View};
use super::tables::{self, Sum};
use super::{StoreError, opening};
use crate::clock;
use crate::journal::files::{Disk, absent};
use crate::journal::wal::Log;
use crate::journal::{Epoch, RecordNumber, ShardId};

/// What is left of a store, and what is not.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Repaired {
    /// What the damaged files and folders are called now; none: nothing was damaged, and nothing was changed.
    pub aside: Vec<PathBuf>,
    pub shards: Vec<Kept>,
    /// Sentences on what else could not be read.
    pub notes: Vec<String>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Kept {
    pub shard: ShardId,
    /// The checkpoint that a run begins with, unless it begins with the first record.
    pub checkpoint: Option<RecordNumber>,
    /// The last record that is kept.
    pub through: RecordNumber,
    pub lost: Option<Lost>,
}

/// Records from `first` on.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Lost {
    pub first: RecordNumber,
    /// None: how many there were cannot be read any more.
    pub last: Option<RecordNumber>,
    /// When the last record that is kept, and the last that is not, were appended: µs since 1970 UTC, where known.
    pub since: Option<i64>,
    pub until: Option<i64>,
}

/// `app`: its name, in case it cannot be read any more. Refuses without having changed anything where no state can be
/// told: `BeyondRepair`.
pub fn repair(dir: &Path, app: Option<&str>) -> Result<Repaired, StoreError> {
    repair_on(Disk::default(), dir, app)
}

pub(super) fn repair_on(disk: Disk, dir: &Path, app: Option<&str>) -> Result<Repaired, StoreError> {
    if check_on(disk.clone(), dir)?.problems.is_empty() {
        return Ok(Repaired::default());
    }
    let folder = Folder::new(disk, dir);
    let _lock = folder.lock()?;
    let page = folder.header()?;
    let scratch = folder.scratch();
    let io = |error: &io::Error| StoreError::io(&scratch, "repairing", error);
    let views = folder.disk.make_folder(&scratch).and_then(|()| views(&folder, page)).map_err(|error| io(&error))?;
    let plans: Vec<Plan> = views.iter().map(|view| Plan::of(&folder, view)).collect();
    // The first of the best: the later ones leave out more of the log.
    let best = (0..plans.len()).rev().max_by_key(|at| plans[*at].reach()).unwrap_or_default();
    let repaired = match (views.get(best), plans.get(best)) {
        (Some(view), Some(plan)) => plan.carry_out(&folder, view, &views, app),
        _ => Err(beyond(&folder, "its file cannot be opened".into())),
    };
    drop(views);
    absent(folder.disk.remove_folder(&scratch)).map_err(|error| io(&error))?;
    repaired
}

fn beyond(folder: &Folder, what: String) -> StoreError {
    StoreError::BeyondRepair { dir: folder.dir.clone(), what }
}

/// Copies of the files, each opened with another part of the log.
fn views(folder: &Folder, page: u32) -> io::Result<Vec<View>> {
    let log = match fs::read(folder.log()) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
        log => log?,
    };
    let Log { whole, damage, .. } = Log::scan(&folder.log(), page)?;
    let (trusting, sure) = Log::trusting(&log, page as usize);
    let all = [sure, damage.is_none(), log.is_empty()];
    let mut views = Vec::new();
    for (at, log) in [trusting, whole, Vec::new()].into_iter().enumerate() {
        let copy = folder.scratch().join(format!("{at}.sqlite"));
        io::copy(&mut File::open(folder.journal())?, &mut folder.disk.create(&copy)?)?;
        folder.disk.create(&folder.scratch().join(format!("{at}.sqlite-wal")))?.write_all(&log)?;
        // What SQLite itself cannot open is no view.
        if let Ok(connection) = opening::connect(folder, &copy) {
            views.push(View::read(connection, all[at]));
        }
    }
    Ok(views)
}

/// What is to be kept of each shard; none of a shard that nothing can begin with.
struct Plan {
    shards: BTreeMap<ShardId, Option<Part>>,
    /// Checkpoints of which a file is damaged.
    damaged: Vec<CheckpointRow>,
}

struct Part {
    start: Base,
    end: End,
    /// In the order of their numbers.
    checkpoints: Vec<CheckpointRow>,
}

impl Plan {
    fn of(folder: &Folder, view: &View) -> Plan {
        let (damaged, whole): (Vec<CheckpointRow>, Vec<CheckpointRow>) =
            view.checkpoints.iter().cloned().partition(|row| {
                let path = folder.checkpoints().join(&row.checkpoint.folder);
                row.checkpoint.parts.iter().any(|part| part_damage(&path, part).is_some())
            });
        let part = |shard: ShardId| -> Option<Part> {
            let whole: Vec<&CheckpointRow> = whole.iter().filter(|row| row.shard == shard).collect();
            let end = |base: Base| view.walk(shard, base, |_, _| Ok(())).ok().map(|end| (base, end));
            let of = |row: &CheckpointRow| Base { number: row.checkpoint.number, chain: row.chain };
            let mut ends: Vec<(Base, End)> = whole.iter().filter_map(|row| end(of(row))).collect();
            ends.extend(end(Base { number: RecordNumber(0), chain: 0 }).filter(|(_, end)| {
                // Without any record it is a beginning only if there never was one.
                end.base.number.0 > 0 || view.heads.get(&shard).is_some_and(|head| head.pruned.0 == 0)
            }));
            let furthest = ends.iter().map(|(_, end)| end.base.number).max()?;
            // Records that a checkpoint stands for are kept as well, for the day when its files are damaged.
            if let Some(head) = view.heads.get(&shard) {
                ends.extend(end(Base { number: head.pruned, chain: head.pruned_chain }));
            }
            ends.retain(|(_, end)| end.base.number == furthest);
            let (start, end) = ends.into_iter().min_by_key(|(base, _)| base.number)?;
            let stands =
                |row: &&CheckpointRow| row.checkpoint.number >= start.number && row.checkpoint.number <= furthest;
            Some(Part { start, end, checkpoints: whole.into_iter().filter(stands).cloned().collect() })
        };
        let shards = view.shards().into_iter().map(|shard| (shard, part(shard))).collect();
        Plan { shards, damaged }
    }

    /// How much is kept: the greater, the better.
    fn reach(&self) -> (usize, u64) {
        let parts = || self.shards.values().flatten();
        (parts().count(), parts().map(|part| part.end.base.number.0).sum())
    }

    fn carry_out(
        &self,
        folder: &Folder,
        view: &View,
        views: &[View],
        app: Option<&str>,
    ) -> Result<Repaired, StoreError> {
        let Some(app) = views.iter().find_map(|view| view.app.as_deref()).or(app) else {
            return Err(beyond(folder, "the app's name cannot be read; say it with --app".into()));
        };
        let mut repaired = Repaired::default();
        for shard in views.iter().flat_map(View::shards).collect::<std::collections::BTreeSet<_>>() {
            let Some(part) = self.shards.get(&shard).and_then(Option::as_ref) else {
                let what = format!("shard {} has neither a whole checkpoint nor its records from 1 on", shard.0);
                return Err(beyond(folder, what));
            };
            repaired.shards.push(part.kept(shard, views));
        }
        if repaired.shards.is_empty() && views.iter().all(|view| view.heads.is_empty() && view.app.is_none()) {
            return Err(beyond(folder, "none of its tables can be read".into()));
        }
        if view.schemas_damaged {
            repaired.notes.push("a schema could not be read: records that name it are lost".into());
        }
        for row in &self.damaged {
            let (number, file) = (row.checkpoint.number.0, &row.checkpoint.folder);
            repaired.notes.push(format!("the checkpoint at record {number} has damaged files: checkpoints/{file}"));
        }
        let new = folder.dir.join("journal.sqlite.new");
        self.write(folder, view, app, &new)
            .map_err(|error| StoreError::sqlite(&new, "writing what is kept", &error))?;
        repaired.aside = self.exchange(folder, &new).map_err(|error| StoreError::io(&new, "repairing", &error))?;
        Ok(repaired)
    }

    fn write(&self, folder: &Folder, view: &View, app: &str, new: &Path) -> rusqlite::Result<()> {
        let mut connection = opening::connect_new(folder, new)?;
        let transaction = connection.transaction()?;
        tables::make(&transaction, app, clock::system())?;
        for (number, declaration) in &view.schemas {
            let checksum = Sum::of("schemas").number(i64::from(*number)).text(declaration).finish();
            transaction.execute("INSERT INTO schemas VALUES (?, ?, ?)", (number, declaration, checksum))?;
        }
        for (name, position) in &view.sinks {
            let checksum = Sum::of("sinks").text(name).number(*position as i64).finish();
            transaction.execute("INSERT INTO sinks VALUES (?, ?, ?)", (name, *position as i64, checksum))?;
        }
        for (shard, part) in &self.shards {
            if let Some(part) = part {
                part.write(&transaction, view, *shard)?;
            }
        }
        transaction.commit()?;
        opening::settle(&connection, "TRUNCATE")?;
        connection.set_db_config(DbConfig::SQLITE_DBCONFIG_NO_CKPT_ON_CLOSE, false)?;
        connection.close().map_err(|(_, error)| error)
    }

    /// The damaged files get names of their own before the new journal takes their place.
    fn exchange(&self, folder: &Folder, new: &Path) -> io::Result<Vec<PathBuf>> {
        let disk = &folder.disk;
        disk.sync_file(new)?;
        let name = |number: usize| folder.dir.join(format!("journal.damaged-{number}.sqlite"));
        let number = (1..).find(|number| !name(*number).exists()).unwrap_or_default();
        let mut aside = vec![name(number)];
        disk.link(&folder.journal(), &name(number))?;
        if folder.log().try_exists()? {
            let log = folder.dir.join(format!("journal.damaged-{number}.sqlite-wal"));
            disk.link(&folder.log(), &log)?;
            aside.push(log);
        }
        disk.sync_folder(&folder.dir)?;
        // From here on a repair that is cut off is finished when the store is opened.
        disk.rename(new, &folder.repaired())?;
        disk.sync_folder(&folder.dir)?;
        for row in &self.damaged {
            let path = folder.checkpoints().join(&row.checkpoint.folder);
            let to = folder.checkpoints().join(format!("{}.damaged-{number}", row.checkpoint.folder));
            if path.try_exists()? {
                disk.rename(&path, &to)?;
                aside.push(to);
            }
        }
        if folder.checkpoints().try_exists()? {
            disk.sync_folder(&folder.checkpoints())?;
        }
        opening::finish(folder)?;
        Ok(aside)
    }
}

impl Part {
    fn kept(&self, shard: ShardId, views: &[View]) -> Kept {
        let through = self.end.base.number;
        // A head that a part of the log was left out for is not sure to be the last one.
        let head = views.iter().filter(|view| view.all).find_map(|view| view.heads.get(&shard));
        let read = views.iter().filter_map(|view| view.last(shard)).max().filter(|(number, _)| *number > through);
        let last = head.map(|head| head.number.max(read.map_or(through, |(number, _)| number)));
        let lost = (last != Some(through)).then_some(Lost {
            first: RecordNumber(through.0 + 1),
            last,
            since: self.end.time,
            until: read.filter(|(number, _)| last.is_none_or(|last| last == *number)).map(|(_, time)| time),
        });
        let checkpoint = self.checkpoints.last().map(|row| row.checkpoint.number);
        Kept { shard, checkpoint, through, lost }
    }

    fn write(&self, connection: &Connection, view: &View, shard: ShardId) -> rusqlite::Result<()> {
        let mut insert = connection.prepare("INSERT INTO records VALUES (?, ?, ?, ?, ?, ?)")?;
        let end = view.walk(shard, self.start, |row, chain| {
            insert.execute((row.id, row.epoch, row.schema, row.time, chain, row.body)).map(|_| ())
        })?;
        for row in &self.checkpoints {
            row.write(connection)?;
        }
        let epochs = self.checkpoints.iter().map(|row| row.epoch).max().unwrap_or_default().max(end.epoch);
        let old = view.heads.get(&shard).copied().unwrap_or_default();
        let head = Head {
            epoch: Epoch(old.epoch.0.max(epochs as u64)),
            number: end.base.number,
            chain: end.base.chain,
            pruned: self.start.number,
            pruned_chain: self.start.chain,
            transactions: old.transactions + 1,
        };
        head.write(connection, shard)
    }
}
