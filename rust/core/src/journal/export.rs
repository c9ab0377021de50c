//! The state of a store as files for other programs, without the app that wrote it: its schema says which lanes there
//! are. The store is opened as for a run, but not claimed, and nothing is written to it.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use super::checkpoint::{self, Cause, Job, Names};
use super::files::Disk;
use super::schema::{Schema, StoredPopulation};
use super::small::Small;
use super::store::{Store, StoreError};
use super::{RecordNumber, ShardId};
use crate::answer::LaneRef;
use crate::answer::json::plain;
use crate::declaration::{ColumnDecl, Declaration, Hooks, MapDecl, PopulationDecl, Save, Segment};
use crate::population::PopulationId;
use crate::recover;
use crate::shard::Shard;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Format {
    /// The files of a checkpoint: Arrow IPC, hidden fold state too.
    Arrow,
    /// `CLASS.jsonl`: an object a twin, as HTTP shows it, with private lanes.
    Lines,
}

/// What was written.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Exported {
    /// The state is that of this record.
    pub record: RecordNumber,
    pub twins: u64,
    pub files: u64,
    pub bytes: u64,
}

#[derive(Debug)]
pub enum ExportError {
    Store(StoreError),
    /// What, where, and how to mend it.
    State(String),
}

impl From<StoreError> for ExportError {
    fn from(error: StoreError) -> Self {
        ExportError::Store(error)
    }
}

/// Writes the present state, checkpoint and records together, into a folder that is made for it: durable on return, and
/// complete once it has its name.
///
/// Errors: the store is in use or damaged; there is something at `to` already, or it cannot be written.
pub fn export(dir: &Path, to: &Path, format: Format) -> Result<Exported, ExportError> {
    let store = Store::open_on(Disk::default(), dir, None)?;
    let id = ShardId(0);
    let schemas = recover::schemas(&store).map_err(ExportError::State)?;
    let mut schema = schemas.last().cloned().unwrap_or_default();
    let mut shard = shard_of(&mut schema, store.app()).map_err(ExportError::State)?;
    let mut through = RecordNumber(0);
    if let Some(checkpoint) = store.latest(id)? {
        shard.load(&store, &checkpoint, &schemas, &schema).map_err(ExportError::State)?;
        through = checkpoint.number;
    }
    let from = RecordNumber(through.0 + 1);
    let replayed = shard.replay(&store, id, from, &schemas, &schema, &mut Small::default());
    let (record, ..) = replayed.map_err(ExportError::State)?;
    let absolute = std::path::absolute(to).unwrap_or_else(|_| to.to_owned());
    let (files, bytes) = write(&mut shard, schema, &absolute, format)?;
    let twins = shard.populations.iter().map(|class| class.table.len() as u64).sum();
    store.close()?;
    Ok(Exported { record, twins, files, bytes })
}

/// A shard with the tables of a schema, and nothing that would happen in them. What stands in `schema` and not in the
/// tables is taken out of it.
fn shard_of(schema: &mut Schema, app: &str) -> Result<Shard, String> {
    let settings = serde_json::json!({
        "max_sends": 1, "max_hops": 1, "max_rounds": 1, "busy_bound": 1, "commit_turns": 1, "handler_seconds": 1.0
    });
    let settings = serde_json::from_value(settings).map_err(|error| error.to_string())?;
    let populations = schema.populations.iter_mut().map(population).collect();
    Shard::new(Declaration { app: app.into(), zone: "UTC".into(), populations, settings }, true, false)
}

fn population(stored: &mut StoredPopulation) -> PopulationDecl {
    // panes are of no use without their fold
    stored.windows.clear();
    let column = |column: &super::schema::StoredColumn| ColumnDecl {
        name: column.name.clone(),
        kind: column.kind,
        default: serde_json::Value::Null,
        nullable: false,
        settable: false,
        save: Save::Async,
    };
    let map = |map: &super::schema::StoredMap| MapDecl {
        name: map.name.clone(),
        key: map.key,
        value: map.value,
        default: serde_json::Value::Null,
        limit: usize::MAX,
        settable: false,
        save: Save::Async,
        ordered: map.ordered,
    };
    PopulationDecl {
        name: stored.name.clone(),
        pattern: pattern(stored),
        columns: stored.columns.iter().map(column).collect(),
        maps: stored.maps.iter().map(map).collect(),
        commands: Vec::new(),
        folds: Vec::new(),
        changed: Vec::new(),
        hooks: Hooks::default(),
        timers: Vec::new(),
        members: Vec::new(),
        links: Vec::new(),
        supplies: Vec::new(),
        demands: Vec::new(),
        observers: Vec::new(),
    }
}

/// Of a store whose schema does not have it: by the class's name.
fn pattern(stored: &StoredPopulation) -> Vec<Segment> {
    if !stored.pattern.is_empty() || stored.parameters.is_empty() {
        return stored.pattern.clone();
    }
    let parameters = stored.parameters.iter().cloned().map(Segment::Parameter);
    std::iter::once(Segment::Literal(stored.name.clone())).chain(parameters).collect()
}

/// Gives how many files there are, and their bytes.
fn write(shard: &mut Shard, schema: Schema, to: &Path, format: Format) -> Result<(u64, u64), ExportError> {
    let failed = |path: &Path, error: &io::Error| StoreError::io(path, "writing the export", error);
    match fs::read_dir(to).map(|mut entries| entries.next().is_none()) {
        // what is made has its name only once it is complete
        Ok(true) => fs::remove_dir(to).map_err(|error| failed(to, &error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        _ => {
            let folder = to.display();
            return Err(ExportError::State(format!("{folder} is there already: name a new folder, or an empty one")));
        }
    }
    match format {
        Format::Arrow => {
            let job = Job {
                patterns: shard.populations.iter().map(|class| class.decl.pattern.clone()).collect(),
                snapshots: shard.populations.iter().map(|class| class.table.snapshot()).collect(),
                saved: shard.populations.iter().map(super::saved).collect(),
                schema,
                changed: None,
                previous: None,
                small: Vec::new(),
            };
            let above = parent(to);
            fs::create_dir_all(above).map_err(|error| failed(above, &error))?;
            let mut parts = checkpoint::write(&Disk::default(), to, job).map_err(|error| match error.cause {
                Cause::Write(_, cause) => failed(&error.file, &cause).into(),
                _ => ExportError::State(error.to_string()),
            })?;
            // what only a run needs
            let small = to.join(checkpoint::SMALL);
            fs::remove_file(&small).map_err(|error| failed(&small, &error))?;
            parts.retain(|part| part.file != checkpoint::SMALL);
            Ok((parts.len() as u64, parts.iter().map(|part| part.bytes).sum()))
        }
        Format::Lines => {
            let mut name = to.file_name().unwrap_or_default().to_owned();
            name.push(".tmp");
            let aside = to.with_file_name(name);
            let written = lines(shard, &schema, &aside).and_then(|sizes| {
                fs::rename(&aside, to)?;
                Disk::default().sync_folder(parent(to))?;
                Ok(sizes)
            });
            written.map_err(|error| {
                // what is left has a name that says what it is
                _ = fs::remove_dir_all(&aside);
                failed(to, &error).into()
            })
        }
    }
}

fn parent(path: &Path) -> &Path {
    path.parent().unwrap_or(path)
}

fn lines(shard: &Shard, schema: &Schema, folder: &Path) -> io::Result<(u64, u64)> {
    if folder.exists() {
        fs::remove_dir_all(folder)?;
    }
    fs::create_dir_all(folder)?;
    let (mut names, mut bytes) = (Names::default(), 0);
    for (at, stored) in schema.populations.iter().enumerate() {
        let path: PathBuf = folder.join(format!("{}.jsonl", names.of(stored, None)));
        let mut out = BufWriter::new(File::create(path)?);
        let mut line = Vec::new();
        for row in shard.populations[at].table.live() {
            line.clear();
            twin(shard, stored, PopulationId(at as u16), row, &mut line);
            out.write_all(&line)?;
            bytes += line.len() as u64;
        }
        out.into_inner().map_err(io::IntoInnerError::into_error)?.sync_all()?;
    }
    Disk::default().sync_folder(folder)?;
    Ok((schema.populations.len() as u64, bytes))
}

/// A line: `uri`, then all lanes that are set, then the maps.
fn twin(shard: &Shard, stored: &StoredPopulation, population: PopulationId, row: u32, line: &mut Vec<u8>) {
    line.extend_from_slice(b"{\"uri\":");
    let key = shard.populations[population.0 as usize].table.key(row);
    plain(shard.router.uri(population, key).as_str(), line);
    let columns = stored.columns.iter().enumerate().filter(|(_, column)| !column.hidden);
    let columns = columns.map(|(at, column)| (&column.name, column.id, LaneRef::Column(at)));
    let maps = stored.maps.iter().enumerate().map(|(at, map)| (&map.name, map.id, LaneRef::Map(at)));
    for (name, id, lane) in columns.chain(maps) {
        let before = line.len();
        line.push(b',');
        match name.as_str() {
            // as in a checkpoint's files
            "uri" => plain(&format!("uri~{}", id.0), line),
            name => plain(name, line),
        }
        line.push(b':');
        if !shard.lane_json(population, row, lane, line) {
            line.truncate(before);
        }
    }
    line.extend_from_slice(b"}\n");
}
