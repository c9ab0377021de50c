//! A checkpoint's files, back into a shard's classes.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Cursor;
use std::path::Path;

use arrow_array::cast::AsArray;
use arrow_array::types::{
    ArrowPrimitiveType, Float64Type, Int64Type, TimestampMicrosecondType, UInt16Type, UInt32Type, UInt64Type,
};
use arrow_array::{Array, ArrayRef, PrimitiveArray, RecordBatch};
use arrow_ipc::reader::FileReader;
use arrow_schema::Field;

use super::columns::fill;
use super::error::CheckpointError;
use super::head::{self, Head};
use super::{part, tables};
use crate::journal::Part;
use crate::journal::schema::{Schema, StoredId};
use crate::maps::Owner;
use crate::population::TwinId;
use crate::route::decode;
use crate::shard::Class;
use crate::window::Pane;

/// Reads a checkpoint into the classes of a shard that has just been made; gives its small bytes. Twins have the ids that
/// they had; what else a new twin sets off (timers, groups, hooks) is the caller's.
///
/// `stored` are the schemas of the store, one of which the checkpoint was written with, `present` that of `classes`, in their order. A lane that the
/// present one has not is passed over; one that the files have not stays at the class's default.
///
/// Errors: a file whose bytes are not those that were written (before anything is changed), or that does not fit. The classes
/// are of no use then.
pub fn load(
    folder: &Path,
    parts: &[Part],
    stored: &[Schema],
    present: &Schema,
    classes: &mut [Class],
) -> Result<Vec<u8>, CheckpointError> {
    super::verify(folder, parts)?;
    let path = folder.join(head::FILE);
    let small = parts.iter().find(|part| part.file == head::FILE);
    let small = small.ok_or_else(|| CheckpointError::damaged(&path, "the checkpoint has none"))?;
    let (head, small) = Head::read(&path, part::read(&path, small)?)?;
    if !stored.iter().any(|stored| stored.number == head.schema) {
        let what = format!("it was written with schema {}, and the store has none of that number", head.schema);
        return Err(CheckpointError::damaged(&path, what));
    }
    let mut loading = Loading { present, classes, twins: HashMap::new(), entries: HashMap::new() };
    let tables = || parts.iter().filter(|part| part.file != head::FILE);
    let mut later = Vec::new();
    for part in tables() {
        if !loading.table(&folder.join(&part.file), part, true)? {
            later.push(part);
        }
    }
    for part in later {
        loading.table(&folder.join(&part.file), part, false)?;
    }
    loading.finish(&path, &head)?;
    Ok(small)
}

struct Loading<'a> {
    present: &'a Schema,
    classes: &'a mut [Class],
    /// What was read, by class.
    twins: HashMap<StoredId, u64>,
    /// By class and map.
    entries: HashMap<(StoredId, StoredId), u64>,
}

impl Loading<'_> {
    /// Reads a file. False: it is not one of twins, and those come first.
    fn table(&mut self, path: &Path, part: &Part, only_twins: bool) -> Result<bool, CheckpointError> {
        let broken = |error: arrow_schema::ArrowError| CheckpointError::damaged(path, error.to_string());
        let file = std::fs::File::open(path).map_err(|error| CheckpointError::read(path, error))?;
        let shape = FileReader::try_new(file, None).map_err(broken)?.schema();
        let said = |key: &str| shape.metadata.get(key).map(String::as_str).unwrap_or_default();
        let kind = said(tables::PART);
        if only_twins && kind != "twins" {
            return Ok(false);
        }
        let population = StoredId(number(path, said(tables::POPULATION))?);
        let Some(at) = self.present.find(population).filter(|at| *at < self.classes.len()) else {
            // a class that is forgotten
            return Ok(true);
        };
        let reader = FileReader::try_new(Cursor::new(part::read(path, part)?), None).map_err(broken)?;
        for batch in reader {
            let batch = batch.map_err(broken)?;
            match kind {
                "twins" => {
                    let count = self.twins_table(path, at, said(tables::PATTERN), &batch)?;
                    *self.twins.entry(population).or_default() += count;
                }
                "entries" => {
                    let map = StoredId(number(path, said(tables::MAP))?);
                    let count = self.entries_table(path, at, map, &batch)?;
                    *self.entries.entry((population, map)).or_default() += count;
                }
                "windows" => self.windows_table(path, at, &batch)?,
                other => {
                    let what = format!("it holds `{other}`, which this version does not know; use a newer Shoal");
                    return Err(CheckpointError::unfit(path, what));
                }
            }
        }
        Ok(true)
    }

    fn twins_table(
        &mut self,
        path: &Path,
        at: usize,
        pattern: &str,
        batch: &RecordBatch,
    ) -> Result<u64, CheckpointError> {
        let damaged = |what: String| CheckpointError::damaged(path, what);
        let ids = cells::<UInt64Type>(path, batch, "_id")?;
        let uris = batch.column_by_name("uri").ok_or_else(|| damaged("it has no column `uri`".into()))?;
        let table = &mut self.classes[at].table;
        let enrolled = match (uris.as_string_opt::<i32>(), uris.as_string_opt::<i64>()) {
            (Some(uris), _) => enroll(table, ids, pattern, |at| uris.value(at)),
            (_, Some(uris)) => enroll(table, ids, pattern, |at| uris.value(at)),
            (None, None) => return Err(damaged("its column `uri` holds no texts".into())),
        };
        let first = enrolled.map_err(|row| damaged(format!("row {row}: a second twin with this id or URI")))?;
        let stored = &self.present.populations[at];
        let mut is_filled = vec![false; table.columns.len()];
        for (field, array) in batch.schema().fields().iter().zip(batch.columns()) {
            let column = lane(path, field)?.and_then(|id| stored.column(id)).map(usize::from);
            if let Some(column) = column.filter(|column| *column < is_filled.len()) {
                fill(&mut table.columns[column], first, array)
                    .map_err(|what| CheckpointError::unfit(path, format!("`{}`: {what}", field.name())))?;
                is_filled[column] = true;
            }
        }
        for column in (0..is_filled.len()).filter(|column| !is_filled[*column]) {
            table.fill_default(column, first, ids.len() as u32);
        }
        Ok(ids.len() as u64)
    }

    fn entries_table(
        &mut self,
        path: &Path,
        at: usize,
        map: StoredId,
        batch: &RecordBatch,
    ) -> Result<u64, CheckpointError> {
        let ids = cells::<UInt64Type>(path, batch, "_id")?;
        let Some(map) = self.present.populations[at].map(map) else { return Ok(ids.len() as u64) };
        let numbers = cells::<UInt64Type>(path, batch, "_number")?;
        let (Some(keys), Some(values)) = (batch.column_by_name("key"), batch.column_by_name("value")) else {
            return Err(CheckpointError::damaged(path, "it has no columns `key` and `value`"));
        };
        let table = &mut self.classes[at].table;
        let mut owners = Vec::with_capacity(ids.len());
        for (id, number) in ids.values().iter().zip(numbers.values()) {
            owners.push(Owner { row: row(path, table, *id)?, number: *number });
        }
        table.maps[map as usize]
            .append(&owners, |key_cells, value_cells, first| {
                fill(key_cells, first, keys)?;
                fill(value_cells, first, values)
            })
            .map_err(|what| CheckpointError::unfit(path, what))?;
        Ok(ids.len() as u64)
    }

    fn windows_table(&mut self, path: &Path, at: usize, batch: &RecordBatch) -> Result<(), CheckpointError> {
        let table = &mut self.classes[at].table;
        let ids = cells::<UInt64Type>(path, batch, "_id")?;
        let windows = cells::<UInt32Type>(path, batch, "_window")?;
        let places = cells::<UInt16Type>(path, batch, "place")?;
        let starts = cells::<TimestampMicrosecondType>(path, batch, "start")?;
        let newest = cells::<TimestampMicrosecondType>(path, batch, "newest")?;
        let counts = cells::<Int64Type>(path, batch, "count")?;
        let whole = cells::<Int64Type>(path, batch, "whole")?;
        let real = cells::<Float64Type>(path, batch, "real")?;
        let lost = cells::<Float64Type>(path, batch, "lost")?;
        for pane in 0..ids.len() {
            let Some(window) = self.present.populations[at].window(StoredId(windows.value(pane))) else { continue };
            let row = row(path, table, ids.value(pane))?;
            let (sum, lost) = match whole.is_valid(pane) {
                true => (whole.value(pane) as u64, 0),
                false => (real.value(pane).to_bits(), lost.value(pane).to_bits()),
            };
            let (start, newest, count) = (starts.value(pane), newest.value(pane), counts.value(pane));
            table.windows[window as usize].restore(row, places.value(pane), Pane { start, newest, count, sum, lost });
        }
        Ok(())
    }

    /// Joins the maps' entries to their twins, and looks whether all that was counted is there.
    fn finish(self, path: &Path, head: &Head) -> Result<(), CheckpointError> {
        let missing = |what: String| CheckpointError::damaged(path, what);
        for counted in &head.populations {
            let Some(at) = self.present.find(counted.id).filter(|at| *at < self.classes.len()) else { continue };
            let class = &mut self.classes[at];
            let found = self.twins.get(&counted.id).copied().unwrap_or_default();
            if found != counted.twins {
                let what =
                    format!("it counts {} twins of {}, and the files hold {found}", counted.twins, class.decl.name);
                return Err(missing(what));
            }
            class.table.spend_ids(counted.next);
            for map in &counted.maps {
                let Some(at_map) = self.present.populations[at].map(map.id) else { continue };
                let lane = &class.decl.maps[at_map as usize].name;
                let found = self.entries.get(&(counted.id, map.id)).copied().unwrap_or_default();
                if found != map.entries {
                    let what = format!(
                        "it counts {} entries of {}.{lane}, and the files hold {found}",
                        map.entries, class.decl.name
                    );
                    return Err(missing(what));
                }
                let table = &mut class.table.maps[at_map as usize];
                table
                    .join(0)
                    .map_err(|_| missing(format!("{}.{lane} has a key twice in one twin", class.decl.name)))?;
                table.spend_numbers(map.next);
            }
        }
        Ok(())
    }
}

fn number(path: &Path, text: &str) -> Result<u32, CheckpointError> {
    text.parse().map_err(|_| CheckpointError::damaged(path, "it does not say what it holds"))
}

/// Which lane a column is. None: none.
fn lane(path: &Path, field: &Field) -> Result<Option<StoredId>, CheckpointError> {
    field.metadata().get(tables::ID).map(|text| number(path, text).map(StoredId)).transpose()
}

fn cells<'a, T: ArrowPrimitiveType>(
    path: &Path,
    batch: &'a RecordBatch,
    name: &str,
) -> Result<&'a PrimitiveArray<T>, CheckpointError> {
    let column: Option<&ArrayRef> = batch.column_by_name(name);
    let column = column.and_then(|column| column.as_primitive_opt::<T>());
    column.ok_or_else(|| CheckpointError::damaged(path, format!("it has no column `{name}`, or of another type")))
}

fn row(path: &Path, table: &crate::population::Population, id: u64) -> Result<u32, CheckpointError> {
    table.row(TwinId(id)).ok_or_else(|| CheckpointError::damaged(path, format!("there is no twin {id}")))
}

fn enroll<'a>(
    table: &mut crate::population::Population,
    ids: &PrimitiveArray<UInt64Type>,
    pattern: &str,
    uri: impl Fn(usize) -> &'a str,
) -> Result<u32, usize> {
    // by number of the part between slashes, the empty one before the first too
    let parameters: Vec<usize> =
        pattern.split('/').enumerate().filter(|(_, part)| part.starts_with('{')).map(|(at, _)| at).collect();
    table.enroll(ids.values(), |at| key(uri(at), &parameters))
}

/// The parameters of a URI, decoded, joined by NUL: what `write_uri` made it of.
fn key<'a>(uri: &'a str, parameters: &[usize]) -> Cow<'a, [u8]> {
    let one = |number: usize| uri.split('/').nth(number).unwrap_or_default();
    match parameters {
        [number] if memchr::memchr(b'%', uri.as_bytes()).is_none() => Cow::Borrowed(one(*number).as_bytes()),
        _ => {
            let parts = parameters.iter().map(|number| decode(one(*number)).unwrap_or_default());
            let parts: Vec<ecow::EcoString> = parts.collect();
            Cow::Owned(parts.join("\0").into_bytes())
        }
    }
}
