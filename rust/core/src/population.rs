//! A population: all twins of one class on one shard, as a table. A row a twin, columns for its lanes and for the folds'
//! hidden state, child tables for its maps.

mod cells;
pub mod changed;
mod changes;
pub mod chunk;
pub mod column;
mod list;
mod rewind;
mod snapshot;

use std::borrow::Cow;
use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};

use ecow::EcoString;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use self::changed::Segments;
pub use self::changes::{Changes, MapChanges};
use self::chunk::{Chunked, ChunkedViews, inline_view};
use self::column::{Column, Misfit, fit};
pub use self::snapshot::Snapshot;
use crate::declaration::{ColumnType, PopulationDecl, Watched};
use crate::fold::Programs;
use crate::history;
use crate::maps::MapTable;
use crate::undo::Log;
use crate::value::Value;
use crate::window::Window;

/// Names a twin within its population: never reused, unlike a row.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TwinId(pub u64);

/// Which population of the shard.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PopulationId(pub u16);

const UNWATCHED: u16 = u16::MAX;
const NO_ROW: u32 = u32::MAX;
const PAGE: usize = 4096;
/// Changes of entries that a log keeps room for: a turn with more is rare.
const LOGGED: usize = 16_384;

pub struct Population {
    pub name: EcoString,
    pub columns: Vec<Column>,
    pub maps: Vec<MapTable>,
    /// Hidden state of windowed folds.
    pub windows: Vec<Window>,
    pub histories: Vec<history::Spec>,
    /// `Programs::alarm`.
    pub alarm: Option<u16>,
    names: Vec<EcoString>,
    defaults: Vec<Value>,
    /// By column, then by map: the number of the `changed` handler, or UNWATCHED.
    watch: Vec<u16>,
    /// The URI's parameters, decoded and joined by NUL, which no parameter holds.
    keys: ChunkedViews,
    /// Valid where the row is live.
    ids: Chunked<u64>,
    index: HashTable<u32>,
    /// TwinId → row, by pages of ids.
    rows: Vec<Box<[u32; PAGE]>>,
    free: Vec<u32>,
    used: u32,
    next_id: u64,
    removals: u64,
    snapshots: Cell<u64>,
    count: usize,
    /// Word w of a row's dirty bits: what has changed since the last commit.
    dirty: Vec<Chunked<u64>>,
    dirty_rows: Vec<u32>,
    /// Where there is a journal: then rows stay dirty until a record is cut, not until the commit.
    changes: Option<Box<Changes>>,
    /// Rows that have changed since the last checkpoint, as of the last commit.
    changed: Segments,
}

impl Population {
    /// `hidden`: types of the columns that folds keep for themselves, after the declared ones.
    pub fn new(decl: &PopulationDecl, hidden: &[ColumnType]) -> Result<Self, String> {
        let mut columns: Vec<Column> = decl.columns.iter().map(|column| Column::new(column.kind)).collect();
        columns.extend(hidden.iter().map(|kind| Column::new(*kind)));
        let mut defaults = Vec::with_capacity(columns.len());
        for column in &decl.columns {
            let value = match (column.kind, &column.default) {
                (ColumnType::Timestamp, serde_json::Value::String(text)) => {
                    Value::Time(crate::time::parse_rfc3339(text, &jiff::tz::TimeZone::UTC)?)
                }
                // JSON has no bytes: an array of their numbers
                (ColumnType::Bytes, serde_json::Value::Array(bytes)) => {
                    Value::Bytes(bytes.iter().filter_map(|byte| byte.as_u64().map(|x| x as u8)).collect())
                }
                (_, default) => crate::declaration::value(default),
            };
            defaults
                .push(fit(column.kind, value).map_err(|misfit| format!("{}.{}: {misfit}", decl.name, column.name))?);
        }
        defaults.resize(columns.len(), Value::Null);
        let mut watch = vec![UNWATCHED; columns.len() + decl.maps.len()];
        for (number, watched) in decl.changed.iter().enumerate() {
            match watched {
                Watched::Column(column) => watch[*column] = number as u16,
                Watched::Map(map) => watch[columns.len() + map] = number as u16,
            }
        }
        let words = watch.len().div_ceil(64).max(1);
        Ok(Population {
            name: decl.name.clone(),
            names: decl.columns.iter().map(|column| column.name.clone()).collect(),
            maps: decl.maps.iter().map(MapTable::new).collect(),
            windows: Vec::new(),
            histories: Vec::new(),
            alarm: None,
            columns,
            defaults,
            watch,
            keys: ChunkedViews::default(),
            ids: Chunked::default(),
            index: HashTable::new(),
            rows: Vec::new(),
            free: Vec::new(),
            used: 0,
            next_id: 1,
            removals: 0,
            snapshots: Cell::new(0),
            count: 0,
            dirty: vec![Chunked::default(); words],
            dirty_rows: Vec::new(),
            changes: None,
            changed: Segments::default(),
        })
    }

    /// Adds columns, behind the declared and behind the hidden ones, and maps; existing twins have them at their defaults. Nothing
    /// is dirty: a commit has just ended.
    ///
    /// Errors: a default that does not fit.
    pub fn extend(
        &mut self,
        decl: &PopulationDecl,
        programs: &Programs,
        zone: &jiff::tz::TimeZone,
    ) -> Result<(), String> {
        let grown = Population::new(decl, &programs.hidden)?;
        let declared = self.names.len();
        let added = decl.columns.len() - declared;
        let mut old = std::mem::take(&mut self.columns);
        let old_hidden = old.split_off(declared);
        let kept = old_hidden.len();
        let fresh = |at: usize| {
            let (kind, default) = (grown.columns[at].kind(), &grown.defaults[at]);
            let mut column = Column::new(kind);
            for row in 0..self.used {
                column.reach(row);
                if !default.is_null() && self.ids.get(row).is_some() {
                    column.replace(row, default.clone());
                }
            }
            column
        };
        let mut columns = old;
        columns.extend((declared..declared + added).map(fresh));
        columns.extend(old_hidden);
        columns.extend((decl.columns.len() + kept..grown.columns.len()).map(fresh));
        self.columns = columns;
        (self.names, self.defaults, self.watch) = (grown.names, grown.defaults, grown.watch);
        let known = self.maps.len();
        self.maps.extend(grown.maps.into_iter().skip(known));
        if let Some(changes) = &mut self.changes {
            changes.maps.resize_with(self.maps.len(), MapChanges::default);
        }
        while self.dirty.len() < grown.dirty.len() {
            let mut word = Chunked::default();
            (0..self.used).for_each(|row| word.reach(row));
            self.dirty.push(word);
        }
        self.elapsing(programs, zone);
        self.changed.mark_all();
        Ok(())
    }

    /// Takes up what changes by time alone; windows that it has keep what they hold.
    pub fn elapsing(&mut self, programs: &Programs, zone: &jiff::tz::TimeZone) {
        for (window, spec) in self.windows.iter_mut().zip(&programs.windows) {
            window.rename(spec.clone());
        }
        for spec in &programs.windows[self.windows.len()..] {
            self.windows.push(Window::new(spec.clone(), zone.clone()));
        }
        self.histories = programs.histories.clone();
        self.alarm = programs.alarm;
    }

    pub fn words(&self) -> usize {
        self.dirty.len()
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Counts rows taken out, undone creations too: while it stays, a row that was found stays its twin's.
    pub fn removals(&self) -> u64 {
        self.removals
    }

    /// Counts snapshots: while it stays, a chunk that has been written stays where it is.
    #[inline(always)]
    pub fn snapshots(&self) -> u64 {
        self.snapshots.get()
    }

    /// The id that the next twin gets.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// What a column holds in a new twin.
    pub fn first(&self, column: u16) -> Value {
        self.defaults[column as usize].clone()
    }

    /// A column's lane, for messages.
    pub fn lane(&self, column: usize) -> &str {
        self.names.get(column).map_or("hidden state", EcoString::as_str)
    }

    // -- rows

    #[inline(always)]
    pub fn find(&self, key: &[u8]) -> Option<u32> {
        let view = inline_view(key);
        self.index.find(hash(key), |&row| self.keys.holds(row, key, view)).copied()
    }

    /// Has a row's cells on their way to the cache: the columns named, and what every turn touches.
    #[inline]
    pub fn prefetch(&self, row: u32, columns: &[u16]) {
        self.ids.prefetch(row);
        self.dirty[0].prefetch(row);
        for column in columns {
            match &self.columns[*column as usize] {
                Column::Float(cells) => cells.prefetch(row),
                Column::Int(cells) | Column::Time(cells) => cells.prefetch(row),
                Column::Point(cells) => cells.prefetch(row),
                Column::Bool(_) | Column::Text(_) | Column::Bytes(_) | Column::Tree(_) => {}
            }
        }
    }

    /// A new twin with every lane at its default.
    pub fn create(&mut self, key: &[u8]) -> (u32, TwinId) {
        let id = TwinId(self.next_id);
        self.next_id += 1;
        (self.seat(id, key), id)
    }

    /// A twin of a store, under the id that it had, with every lane at its default. None: there is one with this id or key.
    pub fn revive(&mut self, id: TwinId, key: &[u8]) -> Option<u32> {
        if self.row(id).is_some() || self.find(key).is_some() {
            return None;
        }
        self.next_id = self.next_id.max(id.0 + 1);
        Some(self.seat(id, key))
    }

    /// Twins of a store, in a run of rows behind all others, under the ids that they had; gives its first row. Their cells are
    /// empty: the caller fills them. `key` writes the key of the twin at that place.
    ///
    /// Errors: the place of the first twin whose id or key another has; the population is of no use any more.
    pub fn enroll<'a>(&mut self, ids: &[u64], key: impl Fn(usize) -> Cow<'a, [u8]>) -> Result<u32, usize> {
        let (first, count) = (self.used, ids.len() as u32);
        if count == 0 {
            return Ok(first);
        }
        self.used += count;
        let last = self.used - 1;
        self.columns.iter_mut().for_each(|column| column.reach(last));
        self.dirty.iter_mut().for_each(|word| word.reach(last));
        self.keys.reach(last);
        self.ids.reach(last);
        self.ids.fill(first, ids, None);
        self.index.reserve(ids.len(), |&row| hash(self.keys.get(row).unwrap_or_default()));
        self.changed.mark_run(first, last);
        for (place, id) in ids.iter().enumerate() {
            let row = first + place as u32;
            let key = key(place);
            if *id == 0 || self.row(TwinId(*id)).is_some() || self.find(&key).is_some() {
                return Err(place);
            }
            self.keys.set(row, Some(&key));
            self.enter(TwinId(*id), row);
            self.next_id = self.next_id.max(*id + 1);
            let keys = &self.keys;
            self.index.insert_unique(hash(&key), row, |&other| hash(keys.get(other).unwrap_or_default()));
        }
        self.count += ids.len();
        Ok(first)
    }

    /// Writes a column's default into a run of rows whose cells are empty.
    pub fn fill_default(&mut self, column: usize, first: u32, count: u32) {
        let default = &self.defaults[column];
        if !default.is_null() {
            for row in first..first + count {
                self.columns[column].replace(row, default.clone());
            }
        }
    }

    /// The ids below it are spent.
    pub fn spend_ids(&mut self, next: u64) {
        self.next_id = self.next_id.max(next);
    }

    fn seat(&mut self, id: TwinId, key: &[u8]) -> u32 {
        let row = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        self.changed.mark(row);
        for (column, default) in self.columns.iter_mut().zip(&self.defaults) {
            column.reach(row);
            if !default.is_null() {
                column.replace(row, default.clone());
            }
        }
        self.keys.reach(row);
        self.keys.set(row, Some(key));
        self.ids.reach(row);
        self.ids.replace(row, Some(id.0));
        for word in &mut self.dirty {
            word.reach(row);
        }
        self.enter(id, row);
        let keys = &self.keys;
        self.index.insert_unique(hash(key), row, |&other| hash(keys.get(other).unwrap_or_default()));
        self.count += 1;
        row
    }

    /// The twin is found by its id.
    fn enter(&mut self, id: TwinId, row: u32) {
        let page = id.0 as usize / PAGE;
        while self.rows.len() <= page {
            self.rows.push(Box::new([NO_ROW; PAGE]));
        }
        self.rows[page][id.0 as usize % PAGE] = row;
    }

    /// Takes a twin out: its cells, its map entries, its place in the index. The id is spent.
    pub fn remove(&mut self, row: u32) {
        self.changed.mark(row);
        let key = self.keys.get(row).unwrap_or_default().to_vec();
        if let Ok(entry) = self.index.find_entry(hash(&key), |&other| other == row) {
            entry.remove();
        }
        if let Some(id) = self.ids.replace(row, None) {
            self.note_death(TwinId(id));
            self.rows[id as usize / PAGE][id as usize % PAGE] = NO_ROW;
        }
        self.keys.set(row, None);
        for column in &mut self.columns {
            column.replace(row, Value::Null);
        }
        for map in &mut self.maps {
            let slots: Vec<u32> = map.slots(row).collect();
            for slot in slots {
                map.unlink(slot);
                map.release(slot);
            }
        }
        for window in &mut self.windows {
            window.clear(row);
        }
        self.free.push(row);
        self.removals += 1;
        self.count -= 1;
    }

    /// Undoes `create`: as if the twin had never been.
    pub fn uncreate(&mut self, row: u32) {
        let id = self.ids.get(row).unwrap_or_default();
        self.remove(row);
        for word in &mut self.dirty {
            *word.raw_mut(row) = 0;
        }
        if id + 1 == self.next_id {
            self.next_id = id;
        }
    }

    pub fn id(&self, row: u32) -> Option<TwinId> {
        self.ids.get(row).map(TwinId)
    }

    /// True while `row` is this twin's.
    #[inline(always)]
    pub fn is(&self, row: u32, id: TwinId) -> bool {
        row < self.used && self.ids.get(row) == Some(id.0)
    }

    pub fn row(&self, id: TwinId) -> Option<u32> {
        let row = *self.rows.get(id.0 as usize / PAGE)?.get(id.0 as usize % PAGE)?;
        (row != NO_ROW).then_some(row)
    }

    pub fn key(&self, row: u32) -> &str {
        // SAFETY: keys are written from text only.
        unsafe { std::str::from_utf8_unchecked(self.keys.get(row).unwrap_or_default()) }
    }

    /// Live rows in the order of creation.
    pub fn live(&self) -> impl Iterator<Item = u32> + '_ {
        self.rows.iter().flat_map(|page| page.iter().copied()).filter(|row| *row != NO_ROW)
    }

    /// Whether a `changed` handler waits for this column.
    pub fn is_watched(&self, column: u16) -> bool {
        self.watch[column as usize] != UNWATCHED
    }

    // -- the turn's end

    /// Keeps the turn: its changes are the row's, and dirty until the next commit.
    #[inline]
    pub fn keep(&mut self, row: u32, log: &mut Log) {
        self.soil(row, &log.touched);
        self.note_changes(row, log);
        if !log.freed.is_empty() {
            for (map, slot) in log.freed.drain(..) {
                self.maps[map as usize].release(slot);
            }
        }
        log.bits.clear();
        if !log.entries.is_empty() {
            log.entries.clear();
            log.entries.shrink_to(LOGGED);
        }
        if !log.panes.is_empty() {
            log.panes.clear();
        }
    }

    /// What a kept turn has touched (one bit a column, then one a map) is dirty until the next commit.
    #[inline(always)]
    pub fn soil(&mut self, row: u32, touched: &[u64]) {
        let any = match (self.dirty.as_mut_slice(), touched) {
            ([word], [touched]) => {
                let bits = word.raw_mut(row);
                std::mem::replace(bits, *bits | touched)
            }
            (words, touched) => words.iter_mut().zip(touched).fold(0, |any, (word, touched)| {
                let bits = word.raw_mut(row);
                any | std::mem::replace(bits, *bits | touched)
            }),
        };
        if any == 0 {
            self.dirty_rows.push(row);
        }
    }

    /// Ends the commit: what was dirty is clean, unless a journal waits for it.
    pub fn commit(&mut self) {
        if self.changes.is_some() {
            return;
        }
        for row in &self.dirty_rows {
            self.changed.mark(*row);
            for word in &mut self.dirty {
                *word.raw_mut(*row) = 0;
            }
        }
        self.dirty_rows.clear();
    }

    /// A row's dirty bits, a word each 64 columns and maps.
    pub fn dirty(&self, row: u32) -> Vec<u64> {
        self.dirty.iter().map(|word| word.raw(row)).collect()
    }

    /// The clock has found out what time it is: what windows hold moves with it.
    pub fn shift_windows(&mut self, by: i64) {
        let Some(alarm) = self.alarm else { return };
        self.changed.mark_all();
        for window in &mut self.windows {
            window.shift(by);
        }
        if self.changes.is_some() {
            let mut touched = vec![0u64; self.words()];
            touched[alarm as usize / 64] |= 1 << (alarm % 64);
            for row in self.live().collect::<Vec<_>>() {
                self.soil(row, &touched);
                let panes = |(number, window): (usize, &Window)| {
                    (0..window.len(row)).map(|at| (number as u16, row, at as u16)).collect::<Vec<_>>()
                };
                let panes: Vec<_> = self.windows.iter().enumerate().flat_map(panes).collect();
                if let Some(changes) = &mut self.changes {
                    changes.panes.extend(panes);
                }
            }
        }
        if let Column::Int(cells) = &mut self.columns[alarm as usize] {
            for row in 0..self.used {
                if let Some(due) = cells.get(row) {
                    cells.replace(row, Some(due.saturating_add(by)));
                }
            }
        }
    }

    /// The value as the column holds it.
    pub fn fit(&self, column: u16, value: Value) -> Result<Value, Misfit> {
        fit(self.columns[column as usize].kind(), value)
    }
}

/// The bits of a cell of eight bytes or fewer; None: it is empty.
fn bits(value: &Value) -> Option<u64> {
    match value {
        Value::Bool(x) => Some(u64::from(*x)),
        Value::Int(x) | Value::Time(x) => Some(*x as u64),
        Value::Float(x) => Some(x.to_bits()),
        _ => None,
    }
}

#[inline]
fn hash(key: &[u8]) -> u64 {
    let mut hasher = FxBuildHasher.build_hasher();
    hasher.write(key);
    hasher.finish()
}
