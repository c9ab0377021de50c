//! A population as Arrow's tables: one of twins, one a map, one of its windows, each a segment of rows or slots at a time.
//!
//! What a file is stands in the metadata of its schema, under names that begin with `shoal.`; which lane a column is, in that
//! of the field.

use std::collections::HashMap;
use std::sync::Arc;

use arrow_array::{
    ArrayRef, Float64Array, Int64Array, RecordBatch, StringArray, UInt16Array, UInt32Array, UInt64Array,
};
use arrow_schema::{ArrowError, DataType, Field, Schema as Shape};
use ecow::EcoString;

use super::columns::{data_type, time, times, to_arrow};
use crate::declaration::{ColumnType, Segment};
use crate::journal::schema::{StoredId, StoredPopulation};
use crate::population::Snapshot;
use crate::population::changed::SEGMENT;
use crate::route::write_uri;

pub(super) const ID: &str = "shoal.id";
pub(super) const PART: &str = "shoal.part";
pub(super) const POPULATION: &str = "shoal.population";
pub(super) const PATTERN: &str = "shoal.pattern";
pub(super) const MAP: &str = "shoal.map";

/// What the tables of a population are made of.
pub(super) struct Tables<'a> {
    pub schema: u32,
    pub stored: &'a StoredPopulation,
    pub pattern: &'a [Segment],
    pub snapshot: &'a Snapshot,
    /// One bit a column, then one a map.
    pub saved: &'a [u64],
}

impl Tables<'_> {
    fn is_saved(&self, bit: usize) -> bool {
        self.saved.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1)
    }

    pub fn is_map_saved(&self, map: usize) -> bool {
        self.is_saved(self.snapshot.columns.len() + map)
    }

    fn columns(&self) -> impl Iterator<Item = usize> + '_ {
        (0..self.snapshot.columns.len().min(self.stored.columns.len())).filter(|at| self.is_saved(*at))
    }

    /// Windows whose lanes are saved.
    fn windows(&self) -> impl Iterator<Item = usize> + '_ {
        let windows = self.snapshot.windows.len().min(self.stored.windows.len());
        (0..windows).filter(|at| self.is_saved(self.snapshot.windows[*at].out as usize))
    }

    pub fn has_windows(&self) -> bool {
        self.windows().next().is_some()
    }

    /// Live rows of a segment.
    pub fn rows(&self, segment: u32) -> Vec<u32> {
        let ids = &self.snapshot.ids;
        range(segment, self.snapshot.rows).filter(|row| ids.get(*row).is_some()).collect()
    }

    fn shape(&self, part: &str, segment: u32, more: &[(&str, String)], fields: Vec<Field>) -> Shape {
        let mut metadata: HashMap<String, String> =
            more.iter().map(|(key, x)| ((*key).to_owned(), x.clone())).collect();
        for (key, value) in [
            (PART, part.to_owned()),
            (POPULATION, self.stored.id.0.to_string()),
            ("shoal.class", self.stored.name.to_string()),
            ("shoal.schema", self.schema.to_string()),
            ("shoal.segment", segment.to_string()),
        ] {
            metadata.insert(key.to_owned(), value);
        }
        Shape::new_with_metadata(fields, metadata)
    }

    // -- twins

    pub fn twins_shape(&self, segment: u32) -> Shape {
        let mut taken = vec![EcoString::from("_id"), "uri".into()];
        let mut fields = vec![Field::new("_id", DataType::UInt64, false), Field::new("uri", DataType::Utf8, false)];
        for at in self.columns() {
            let column = &self.stored.columns[at];
            // a lane may have the name of another column here; readers refuse a name that stands twice
            let name = match taken.contains(&column.name) {
                true => ecow::eco_format!("{}~{}", column.name, column.id.0),
                false => column.name.clone(),
            };
            fields.push(lane(&name, column.kind, true, column.id));
            taken.push(name);
        }
        self.shape("twins", segment, &[(PATTERN, text(self.pattern))], fields)
    }

    pub fn twins(&self, segment: u32, rows: &[u32]) -> Result<RecordBatch, ArrowError> {
        let ids = rows.iter().map(|row| self.snapshot.ids.get(*row).unwrap_or_default()).collect::<UInt64Array>();
        let mut uris = String::new();
        let mut ends = Vec::with_capacity(rows.len());
        for row in rows {
            // SAFETY: keys are written from text only.
            let key = unsafe { std::str::from_utf8_unchecked(self.snapshot.keys.get(*row).unwrap_or_default()) };
            write_uri(self.pattern, key, &mut uris);
            ends.push(uris.len());
        }
        let starts = std::iter::once(0).chain(ends.iter().copied());
        let uris = super::columns::texts(starts.zip(&ends).map(|(start, end)| Some(&uris[start..*end])));
        let lanes = self.columns().map(|at| to_arrow(&self.snapshot.columns[at], rows));
        let arrays = [Arc::new(ids) as ArrayRef, uris].into_iter().chain(lanes).collect();
        table(self.twins_shape(segment), arrays)
    }

    // -- maps

    pub fn entries_shape(&self, map: usize, segment: u32) -> Shape {
        let stored = &self.stored.maps[map];
        let fields = vec![
            Field::new("_id", DataType::UInt64, false),
            Field::new("_number", DataType::UInt64, false),
            lane("key", stored.key, false, stored.id),
            lane("value", stored.value, true, stored.id),
        ];
        self.shape(
            "entries",
            segment,
            &[(MAP, stored.id.0.to_string()), ("shoal.lane", stored.name.to_string())],
            fields,
        )
    }

    /// Linked slots of a segment.
    pub fn slots(&self, map: usize, segment: u32) -> Vec<u32> {
        let map = &self.snapshot.maps[map];
        range(segment, map.used).filter(|slot| map.owners.get(*slot).is_some()).collect()
    }

    pub fn entries(&self, map: usize, segment: u32, slots: &[u32]) -> Result<RecordBatch, ArrowError> {
        let table_of = &self.snapshot.maps[map];
        let owner = |slot: &u32| table_of.owners.raw(*slot);
        let ids = slots.iter().map(|slot| self.snapshot.ids.get(owner(slot).row).unwrap_or_default());
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(ids.collect::<UInt64Array>()),
            Arc::new(slots.iter().map(|slot| owner(slot).number).collect::<UInt64Array>()),
            to_arrow(&table_of.keys, slots),
            to_arrow(&table_of.values, slots),
        ];
        table(self.entries_shape(map, segment), arrays)
    }

    // -- windows

    pub fn windows_shape(&self, segment: u32) -> Shape {
        let fields = vec![
            Field::new("_id", DataType::UInt64, false),
            Field::new("_window", DataType::UInt32, false),
            Field::new("window", DataType::Utf8, false),
            Field::new("place", DataType::UInt16, false),
            Field::new("start", time(), false),
            Field::new("newest", time(), false),
            Field::new("count", DataType::Int64, false),
            Field::new("whole", DataType::Int64, true),
            Field::new("real", DataType::Float64, true),
            Field::new("lost", DataType::Float64, true),
        ];
        self.shape("windows", segment, &[], fields)
    }

    /// The panes of these rows that hold something. None: there is none.
    pub fn panes(&self, segment: u32, rows: &[u32]) -> Result<Option<RecordBatch>, ArrowError> {
        let mut found = Vec::new();
        for window in self.windows() {
            for row in rows {
                let panes = self.snapshot.windows[window].panes.get(*row).iter().enumerate();
                found.extend(panes.filter(|(_, pane)| !pane.is_free()).map(|(at, pane)| (window, *row, at, *pane)));
            }
        }
        if found.is_empty() {
            return Ok(None);
        }
        let stored = |window: usize| &self.stored.windows[window];
        let is_whole = |window: usize| self.snapshot.windows[window].kind.is_whole();
        let id = |row: u32| self.snapshot.ids.get(row).unwrap_or_default();
        let panes = || found.iter();
        let name = |window: usize| stored(window).name.as_str();
        let real = |window: usize, bits: u64| (!is_whole(window)).then(|| f64::from_bits(bits));
        let arrays: Vec<ArrayRef> = vec![
            Arc::new(panes().map(|(_, row, ..)| id(*row)).collect::<UInt64Array>()),
            Arc::new(panes().map(|(window, ..)| stored(*window).id.0).collect::<UInt32Array>()),
            Arc::new(panes().map(|(window, ..)| Some(name(*window))).collect::<StringArray>()),
            Arc::new(panes().map(|(_, _, at, _)| *at as u16).collect::<UInt16Array>()),
            times(panes().map(|(.., pane)| Some(pane.start))),
            times(panes().map(|(.., pane)| Some(pane.newest))),
            Arc::new(panes().map(|(.., pane)| pane.count).collect::<Int64Array>()),
            Arc::new(panes().map(|(at, .., pane)| is_whole(*at).then_some(pane.sum as i64)).collect::<Int64Array>()),
            Arc::new(panes().map(|(at, .., pane)| real(*at, pane.sum)).collect::<Float64Array>()),
            Arc::new(panes().map(|(at, .., pane)| real(*at, pane.lost)).collect::<Float64Array>()),
        ];
        table(self.windows_shape(segment), arrays).map(Some)
    }
}

/// How many segments so many rows make.
pub(super) fn segments(rows: u32) -> u32 {
    rows.div_ceil(SEGMENT)
}

fn range(segment: u32, rows: u32) -> std::ops::Range<u32> {
    let start = segment.saturating_mul(SEGMENT);
    start..rows.min(start.saturating_add(SEGMENT))
}

fn lane(name: &str, kind: ColumnType, nullable: bool, id: StoredId) -> Field {
    Field::new(name, data_type(kind), nullable).with_metadata(HashMap::from([(ID.to_owned(), id.0.to_string())]))
}

/// The table, with the type of each column as its array has it.
fn table(shape: Shape, arrays: Vec<ArrayRef>) -> Result<RecordBatch, ArrowError> {
    let typed = |(field, array): (&Arc<Field>, &ArrayRef)| match field.data_type() == array.data_type() {
        true => Arc::clone(field),
        false => Arc::new(field.as_ref().clone().with_data_type(array.data_type().clone())),
    };
    let fields: Vec<Arc<Field>> = shape.fields().iter().zip(&arrays).map(typed).collect();
    RecordBatch::try_new(Arc::new(Shape::new_with_metadata(fields, shape.metadata)), arrays)
}

/// `/bus/{id}`
pub(super) fn text(pattern: &[Segment]) -> String {
    pattern.iter().fold(String::new(), |text, segment| match segment {
        Segment::Literal(literal) => text + "/" + literal,
        Segment::Parameter(name) => text + "/{" + name + "}",
    })
}
