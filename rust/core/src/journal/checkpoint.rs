//! Checkpoints: all state at one record, as a folder of Arrow IPC files. They are written by a thread of their own from
//! snapshots, aside, and renamed when every byte is on the disk; a row in the store makes the folder valid. Files of what
//! has not changed are links to those of the checkpoint before: no file is ever changed in place.

mod columns;
mod error;
mod head;
mod loading;
mod names;
mod part;
mod tables;
#[cfg(test)]
mod tests;
mod trees;

use std::io;
use std::path::{Path, PathBuf};

pub use self::error::{Cause, CheckpointError};
use self::head::{Counted, CountedMap, Head};
pub use self::loading::load;
pub(super) use self::names::Names;
use self::part::Folder;
use self::tables::{Tables, segments};
use super::Part;
use super::files::Disk;
use super::schema::Schema;
use crate::declaration::Segment;
use crate::population::Snapshot;
pub use crate::population::changed::Changed;

/// The file with all that is not a table.
pub(super) const SMALL: &str = head::FILE;

/// What a checkpoint is made of; the lists are by population, in the order of the schema.
pub struct Job {
    pub schema: Schema,
    pub patterns: Vec<Vec<Segment>>,
    /// All of one commit. They are dropped as they are done with, in the thread that writes.
    pub snapshots: Vec<Snapshot>,
    /// One bit a column, then one a map: what is saved. Windows are where their lanes are.
    pub saved: Vec<Vec<u64>>,
    /// What has changed since `previous`; None: everything is written.
    pub changed: Option<Vec<Changed>>,
    /// The checkpoint before: its folder and files. Those of the same schema are linked where nothing has changed.
    pub previous: Option<(PathBuf, Vec<Part>)>,
    /// All that is not a table: it comes back from `load`.
    pub small: Vec<u8>,
}

/// Writes a checkpoint; gives its files when all of it, the folder's name too, is on the disk. `folder` appears whole or
/// not at all. Its parent may be missing, but not its parent's.
///
/// Errors: there is a folder of that name; the disk refuses. What was written of it is removed where that works.
pub fn write(files: &Disk, folder: &Path, job: Job) -> Result<Vec<Part>, CheckpointError> {
    let fails = |path: &Path, doing| {
        let path = path.to_owned();
        move |error| CheckpointError::write(&path, doing, error)
    };
    if folder.exists() {
        return Err(CheckpointError::write(folder, "made", io::ErrorKind::AlreadyExists.into()));
    }
    let parent = folder.parent().unwrap_or(Path::new("."));
    if !parent.exists() {
        files.make_folder(parent).map_err(fails(parent, "made"))?;
        let above = parent.parent().unwrap_or(Path::new("."));
        files.sync_folder(above).map_err(fails(above, "synced"))?;
    }
    let aside = aside(folder);
    if aside.exists() {
        files.remove_folder(&aside).map_err(fails(&aside, "removed"))?;
    }
    files.make_folder(&aside).map_err(fails(&aside, "made"))?;
    let written = fill(files, &aside, job).and_then(|parts| {
        files.sync_folder(&aside).map_err(fails(&aside, "synced"))?;
        files.rename(&aside, folder).map_err(fails(folder, "renamed"))?;
        files.sync_folder(parent).map_err(fails(parent, "synced"))?;
        Ok(parts)
    });
    if written.is_err() {
        // there may be no room even for the next try
        let _ = files.remove_folder(&aside);
    }
    written
}

/// Removes what is no valid checkpoint, and those that are no longer needed: all of the folder but `keep`.
pub fn tidy(files: &Disk, checkpoints: &Path, keep: &[PathBuf]) -> Result<(), CheckpointError> {
    let entries = match std::fs::read_dir(checkpoints) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(CheckpointError::read(checkpoints, error)),
    };
    for entry in entries {
        let path = entry.map_err(|error| CheckpointError::read(checkpoints, error))?.path();
        if !keep.iter().any(|kept| kept.file_name() == path.file_name()) {
            let removed = if path.is_dir() { files.remove_folder(&path) } else { files.remove(&path) };
            removed.map_err(|error| CheckpointError::write(&path, "removed", error))?;
        }
    }
    Ok(())
}

/// Reads all files and compares them with what was written.
pub fn verify(folder: &Path, parts: &[Part]) -> Result<(), CheckpointError> {
    parts.iter().try_for_each(|part| part::verify(&folder.join(&part.file), part))
}

fn aside(folder: &Path) -> PathBuf {
    let mut name = folder.file_name().unwrap_or_default().to_owned();
    name.push(".tmp");
    folder.with_file_name(name)
}

fn fill(files: &Disk, aside: &Path, job: Job) -> Result<Vec<Part>, CheckpointError> {
    let Job { schema, patterns, snapshots, saved, changed, previous, small } = job;
    let previous = changed.is_some().then_some(previous).flatten();
    let mut folder = Folder { files, path: aside.to_owned(), parts: Vec::new(), previous };
    let (mut head, mut names) = (Head::new(schema.number), Names::default());
    for (at, snapshot) in snapshots.into_iter().enumerate() {
        let (Some(stored), Some(pattern), Some(saved)) = (schema.populations.get(at), patterns.get(at), saved.get(at))
        else {
            let error = io::Error::other("the schema has fewer classes than there are");
            return Err(CheckpointError::write(aside, "written", error));
        };
        let tables = Tables { schema: schema.number, stored, pattern, snapshot: &snapshot, saved };
        let changed = changed.as_ref().and_then(|changed| changed.get(at));
        head.populations.push(write_population(&tables, changed, &mut folder, &mut names)?);
    }
    let bytes = head.write(&small);
    folder.write(head::FILE.to_owned(), |out, path| {
        out.write_all(&bytes).map_err(|error| CheckpointError::write(path, "written", error))
    })?;
    Ok(folder.parts)
}

/// `changed`: None: everything.
fn write_population(
    tables: &Tables<'_>,
    changed: Option<&Changed>,
    folder: &mut Folder<'_>,
    names: &mut Names,
) -> Result<Counted, CheckpointError> {
    let (snapshot, stored) = (tables.snapshot, tables.stored);
    let mut counted = Counted { id: stored.id, twins: 0, next: snapshot.next_id, maps: Vec::new() };
    let twins = names.of(stored, None);
    let windows = names.of(stored, Some(("windows", 0)));
    for segment in 0..segments(snapshot.rows) {
        let rows = tables.rows(segment);
        counted.twins += rows.len() as u64;
        let is_same = changed.is_some_and(|changed| !changed.rows.has(segment));
        let name = names::file(&twins, segment);
        if !rows.is_empty() {
            let same = is_same.then(|| tables.twins_shape(segment));
            folder.write_table(name, same, || tables.twins(segment, &rows).map(Some))?;
        }
        let is_same = changed.is_some_and(|changed| !changed.rows.has(segment) && !changed.panes.has(segment));
        let name = names::file(&windows, segment);
        if tables.has_windows() {
            let same = is_same.then(|| tables.windows_shape(segment));
            folder.write_table(name, same, || tables.panes(segment, &rows))?;
        }
    }
    for (at, map) in snapshot.maps.iter().enumerate().filter(|(at, _)| tables.is_map_saved(*at)) {
        let Some(stored_map) = stored.maps.get(at) else { continue };
        let mut entries = 0;
        let name_of_map = names.of(stored, Some((&stored_map.name, stored_map.id.0)));
        for segment in 0..segments(map.used) {
            let slots = tables.slots(at, segment);
            entries += slots.len() as u64;
            let is_same = changed.is_some_and(|changed| !changed.has_slots(at, segment));
            let name = names::file(&name_of_map, segment);
            if !slots.is_empty() {
                let same = is_same.then(|| tables.entries_shape(at, segment));
                folder.write_table(name, same, || tables.entries(at, segment, &slots).map(Some))?;
            }
        }
        counted.maps.push(CountedMap { id: stored_map.id, entries, next: map.next_number });
    }
    Ok(counted)
}
