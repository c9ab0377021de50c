//! A population: all twins of one class on one shard, as a table. A row a twin, columns for its lanes and for the folds'
//! hidden state, child tables for its maps.

pub mod chunk;
pub mod column;

use std::hash::{BuildHasher, Hasher};

use ecow::EcoString;
use hashbrown::HashTable;
use rustc_hash::FxBuildHasher;

use self::chunk::{Chunked, ChunkedViews, inline_view};
use self::column::{Column, Misfit, fit};
use crate::declaration::{ColumnType, PopulationDecl, Watched};
use crate::maps::MapTable;
use crate::undo::{Log, Mark, OldBits, Seen, Undo};
use crate::value::Value;

/// Names a twin within its population: never reused, unlike a row.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TwinId(pub u64);

/// Which population of the shard.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PopulationId(pub u16);

const UNWATCHED: u16 = u16::MAX;
const NO_ROW: u32 = u32::MAX;
const PAGE: usize = 4096;

/// What a snapshot of a population holds: its columns at a commit, by pointer.
#[derive(Clone)]
pub struct Snapshot {
    pub columns: Vec<Column>,
    pub ids: Chunked<u64>,
    pub keys: ChunkedViews,
    pub rows: u32,
}

pub struct Population {
    pub name: EcoString,
    pub columns: Vec<Column>,
    pub maps: Vec<MapTable>,
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
    count: usize,
    /// Word w of a row's dirty bits: what has changed since the last commit.
    dirty: Vec<Chunked<u64>>,
    dirty_rows: Vec<u32>,
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
            defaults.push(fit(column.kind, value).map_err(|misfit| format!("{}.{}: {misfit}", decl.name, column.name))?);
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
            count: 0,
            dirty: vec![Chunked::default(); words],
            dirty_rows: Vec::new(),
        })
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

    /// The id that the next twin gets.
    pub fn next_id(&self) -> u64 {
        self.next_id
    }

    /// A column's lane, for messages.
    pub fn lane(&self, column: usize) -> &str {
        self.names.get(column).map_or("hidden state", EcoString::as_str)
    }

    // -- rows

    #[inline]
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
        let row = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        for (column, default) in self.columns.iter_mut().zip(&self.defaults) {
            column.reach(row);
            if !default.is_null() {
                column.replace(row, default.clone());
            }
        }
        self.keys.reach(row);
        self.keys.set(row, Some(key));
        self.ids.reach(row);
        let id = TwinId(self.next_id);
        self.next_id += 1;
        self.ids.replace(row, Some(id.0));
        for word in &mut self.dirty {
            word.reach(row);
        }
        let page = id.0 as usize / PAGE;
        while self.rows.len() <= page {
            self.rows.push(Box::new([NO_ROW; PAGE]));
        }
        self.rows[page][id.0 as usize % PAGE] = row;
        let keys = &self.keys;
        self.index.insert_unique(hash(key), row, |&other| hash(keys.get(other).unwrap_or_default()));
        self.count += 1;
        (row, id)
    }

    /// Takes a twin out: its cells, its map entries, its place in the index. The id is spent.
    pub fn remove(&mut self, row: u32) {
        let key = self.keys.get(row).unwrap_or_default().to_vec();
        if let Ok(entry) = self.index.find_entry(hash(&key), |&other| other == row) {
            entry.remove();
        }
        if let Some(id) = self.ids.replace(row, None) {
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

    // -- cells, within a turn

    /// Writes a cell of the turn's twin; the value fits.
    pub fn put(&mut self, row: u32, column: u16, new: Value, log: &mut Log) {
        if let Column::Text(cells) = &self.columns[column as usize]
            && let (Some(old), Value::Text(text)) = (cells.get(row), &new)
            && old == text.as_bytes()
        {
            log.touch(column as usize);
            return;
        }
        if self.put_scalar(row, column, &new, log) {
            return;
        }
        log.touch(column as usize);
        let old = self.columns[column as usize].replace(row, new);
        match self.columns[column as usize] {
            Column::Float(_) | Column::Int(_) | Column::Bool(_) | Column::Time(_) => {
                self.note_bits(column, bits(&old), || old, log);
            }
            _ => self.note(column, old, log),
        }
    }

    /// Writes a number or a bool that fits its column as it is; false: it does not, and nothing is written.
    #[inline(always)]
    pub fn put_scalar(&mut self, row: u32, column: u16, new: &Value, log: &mut Log) -> bool {
        match (&self.columns[column as usize], new) {
            (Column::Float(_), Value::Float(x)) if x.is_finite() => self.put_float(row, column, *x, log),
            (Column::Int(_), Value::Int(x)) => self.put_int(row, column, *x, log),
            (Column::Bool(_), Value::Bool(x)) => self.put_bool(row, column, *x, log),
            _ => return false,
        }
        true
    }

    /// One step of a fold: `next` makes the new value of the old one.
    #[inline(always)]
    pub fn step_float<E>(
        &mut self,
        row: u32,
        column: u16,
        log: &mut Log,
        next: impl FnOnce(Option<f64>) -> Result<f64, E>,
    ) -> Result<(), E> {
        let Column::Float(cells) = &mut self.columns[column as usize] else { unreachable!("a float column") };
        let cell = cells.step(row);
        let (old, new) = (cell.old, next(cell.old)?);
        cell.write(new);
        self.note_float(column, old, new, log);
        Ok(())
    }

    /// The same for a compiled program.
    ///
    /// # Safety
    /// `column` is a float column of this population, and `row` is live.
    #[inline(always)]
    pub unsafe fn step_float_unchecked<E>(
        &mut self,
        row: u32,
        column: u16,
        log: &mut Log,
        next: impl FnOnce(Option<f64>) -> Result<f64, E>,
    ) -> Result<(), E> {
        debug_assert!(matches!(self.columns[column as usize], Column::Float(_)));
        // SAFETY: by the contract above.
        let cell = match unsafe { self.columns.get_unchecked_mut(column as usize) } {
            Column::Float(cells) => unsafe { cells.step_unchecked(row) },
            _ => unsafe { std::hint::unreachable_unchecked() },
        };
        let (old, new) = (cell.old, next(cell.old)?);
        cell.write(new);
        self.note_float(column, old, new, log);
        Ok(())
    }

    #[inline(always)]
    fn note_float(&mut self, column: u16, old: Option<f64>, new: f64, log: &mut Log) {
        log.touch(column as usize);
        // by bits: 0.0 and -0.0 are equal, and undoing must tell them apart
        if old.map(f64::to_bits) != Some(new.to_bits()) {
            self.note_bits(column, old.map(f64::to_bits), || old.map_or(Value::Null, Value::Float), log);
        }
    }

    #[inline(always)]
    pub fn step_int<E>(
        &mut self,
        row: u32,
        column: u16,
        log: &mut Log,
        next: impl FnOnce(Option<i64>) -> Result<i64, E>,
    ) -> Result<(), E> {
        let Column::Int(cells) = &mut self.columns[column as usize] else { unreachable!("an int column") };
        let cell = cells.step(row);
        let (old, new) = (cell.old, next(cell.old)?);
        cell.write(new);
        log.touch(column as usize);
        if old != Some(new) {
            self.note_bits(column, old.map(|old| old as u64), || old.map_or(Value::Null, Value::Int), log);
        }
        Ok(())
    }

    #[inline(always)]
    pub fn put_float(&mut self, row: u32, column: u16, new: f64, log: &mut Log) {
        _ = self.step_float(row, column, log, |_| Ok::<_, std::convert::Infallible>(new));
    }

    #[inline(always)]
    pub fn put_int(&mut self, row: u32, column: u16, new: i64, log: &mut Log) {
        _ = self.step_int(row, column, log, |_| Ok::<_, std::convert::Infallible>(new));
    }

    #[inline(always)]
    pub fn put_point(&mut self, row: u32, column: u16, lat: f64, lon: f64, log: &mut Log) {
        let Column::Point(cells) = &mut self.columns[column as usize] else { unreachable!("a point column") };
        let cell = cells.step(row);
        let old = cell.old;
        cell.write([lat, lon]);
        if old.map(|old| old.map(f64::to_bits)) != Some([lat.to_bits(), lon.to_bits()]) {
            self.note(column, old.map_or(Value::Null, |[lat, lon]| Value::Point(lat, lon)), log);
        }
        log.touch(column as usize);
    }

    #[inline(always)]
    pub fn put_bool(&mut self, row: u32, column: u16, new: bool, log: &mut Log) {
        let Column::Bool(cells) = &mut self.columns[column as usize] else { unreachable!("a bool column") };
        let cell = cells.step(row);
        let old = cell.old;
        if old != Some(new) {
            cell.write(new);
            self.note_bits(column, old.map(u64::from), || old.map_or(Value::Null, Value::Bool), log);
        }
        log.touch(column as usize);
    }

    /// Keeps a cell's old value: to undo the turn, and for its `changed` handler. An equal write is neither.
    #[inline(always)]
    fn note(&mut self, column: u16, old: Value, log: &mut Log) {
        if self.watch[column as usize] != UNWATCHED {
            self.see(column, &old, log);
        }
        log.entries.push(Undo::Cell { column, old });
    }

    #[inline(always)]
    fn note_bits(&mut self, column: u16, old: Option<u64>, value: impl FnOnce() -> Value, log: &mut Log) {
        if self.watch[column as usize] != UNWATCHED {
            self.see(column, &value(), log);
        }
        log.bits.push(OldBits { column, set: old.is_some(), bits: old.unwrap_or(0) });
    }

    #[inline(never)]
    fn see(&self, column: u16, old: &Value, log: &mut Log) {
        if !log.seen.iter().any(|seen| matches!(seen, Seen::Column { column: c, .. } if *c == column)) {
            log.seen.push(Seen::Column { watch: self.watch[column as usize], column, old: old.clone() });
        }
    }

    // -- map entries, within a turn

    /// Sets an entry. Errors: the number of entries would pass the lane's limit.
    pub fn map_put(&mut self, row: u32, map: u16, key: Value, value: Value, log: &mut Log) -> Result<(), usize> {
        log.touch(self.columns.len() + map as usize);
        let table = &mut self.maps[map as usize];
        let old = match table.find(row, &key) {
            Some(slot) => {
                let old = table.replace(slot, value);
                log.entries.push(Undo::Entry { map, slot, old: old.clone() });
                old
            }
            None if table.len(row) >= table.limit => return Err(table.limit),
            None => {
                let slot = table.insert(row, key.clone(), value);
                log.entries.push(Undo::Presence { map, slot, present: false });
                Value::Null
            }
        };
        self.note_entry(map, key, old, log);
        Ok(())
    }

    /// Takes an entry out; gives its value.
    pub fn map_remove(&mut self, row: u32, map: u16, key: &Value, log: &mut Log) -> Option<Value> {
        let table = &mut self.maps[map as usize];
        let slot = table.find(row, key)?;
        let old = table.value(slot);
        table.unlink(slot);
        log.touch(self.columns.len() + map as usize);
        log.entries.push(Undo::Presence { map, slot, present: true });
        log.freed.push((map, slot));
        self.note_entry(map, key.clone(), old.clone(), log);
        Some(old)
    }

    pub fn map_clear(&mut self, row: u32, map: u16, log: &mut Log) {
        let keys: Vec<Value> = self.maps[map as usize].slots(row).map(|slot| self.maps[map as usize].key(slot)).collect();
        for key in keys {
            self.map_remove(row, map, &key, log);
        }
    }

    fn note_entry(&mut self, map: u16, key: Value, old: Value, log: &mut Log) {
        let watch = self.watch[self.columns.len() + map as usize];
        if watch == UNWATCHED {
            return;
        }
        let known = log.seen.iter().any(|seen| matches!(seen, Seen::Entry { map: m, key: k, .. } if *m == map && *k == key));
        if !known {
            log.seen.push(Seen::Entry { watch, map, key, old });
        }
    }

    // -- the turn's end

    /// Swaps every change of the log with its cell, the last first: the row is as it was before the turn, and the log
    /// holds what the turn had made of it.
    pub fn unmount(&mut self, row: u32, log: &mut Log) {
        for entry in log.bits.iter_mut().rev() {
            swap_bits(&mut self.columns, row, entry);
        }
        for entry in log.entries.iter_mut().rev() {
            swap(&mut self.columns, &mut self.maps, row, entry);
        }
    }

    /// Takes up again what `unmount` laid aside.
    pub fn mount(&mut self, row: u32, log: &mut Log) {
        for entry in &mut log.bits {
            swap_bits(&mut self.columns, row, entry);
        }
        for entry in &mut log.entries {
            swap(&mut self.columns, &mut self.maps, row, entry);
        }
    }

    /// Undoes the turn for good.
    pub fn roll_back(&mut self, row: u32, log: &mut Log) {
        self.rewind(row, log, &Mark { bits: 0, entries: 0, freed: 0, timers: 0 });
        log.seen.clear();
    }

    /// Undoes what the turn has done since `mark`. Lanes stay touched and seen: they compare as unchanged.
    pub fn rewind(&mut self, row: u32, log: &mut Log, mark: &Mark) {
        for mut entry in log.bits.drain(mark.bits..).rev() {
            swap_bits(&mut self.columns, row, &mut entry);
        }
        for entry in log.entries[mark.entries..].iter_mut().rev() {
            swap(&mut self.columns, &mut self.maps, row, entry);
        }
        for entry in log.entries.drain(mark.entries..).rev() {
            if let Undo::Presence { map, slot, present: true } = entry {
                // swapped: the turn had put this entry in, and it is out again
                self.maps[map as usize].forget(slot);
            }
        }
        log.freed.truncate(mark.freed);
        log.timers.truncate(mark.timers);
    }

    /// Keeps the turn: its changes are the row's, and dirty until the next commit.
    #[inline]
    pub fn keep(&mut self, row: u32, log: &mut Log) {
        let any = match (self.dirty.as_mut_slice(), log.touched.as_slice()) {
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
        if !log.freed.is_empty() {
            for (map, slot) in log.freed.drain(..) {
                self.maps[map as usize].release(slot);
            }
        }
        log.bits.clear();
        if !log.entries.is_empty() {
            log.entries.clear();
        }
    }

    /// Ends the commit: what was dirty is clean. Gives the number of rows that had changed.
    pub fn commit(&mut self) -> usize {
        for row in &self.dirty_rows {
            for word in &mut self.dirty {
                *word.raw_mut(*row) = 0;
            }
        }
        let changed = self.dirty_rows.len();
        self.dirty_rows.clear();
        changed
    }

    /// A row's dirty bits, a word each 64 columns and maps.
    pub fn dirty(&self, row: u32) -> Vec<u64> {
        self.dirty.iter().map(|word| word.raw(row)).collect()
    }

    /// A list of pointers: later writes copy the chunks that they touch.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { columns: self.columns.clone(), ids: self.ids.clone(), keys: self.keys.clone(), rows: self.used }
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

fn swap_bits(columns: &mut [Column], row: u32, entry: &mut OldBits) {
    let old = entry.set.then_some(entry.bits);
    let now = match &mut columns[entry.column as usize] {
        Column::Float(cells) => cells.replace(row, old.map(f64::from_bits)).map(f64::to_bits),
        Column::Int(cells) | Column::Time(cells) => cells.replace(row, old.map(|x| x as i64)).map(|x| x as u64),
        Column::Bool(cells) => cells.replace(row, old.map(|x| x != 0)).map(u64::from),
        _ => unreachable!("wider cells are in the other list"),
    };
    (entry.set, entry.bits) = (now.is_some(), now.unwrap_or(0));
}

fn swap(columns: &mut [Column], maps: &mut [MapTable], row: u32, entry: &mut Undo) {
    match entry {
        Undo::Cell { column, old } => *old = columns[*column as usize].replace(row, std::mem::take(old)),
        Undo::Entry { map, slot, old } => *old = maps[*map as usize].replace(*slot, std::mem::take(old)),
        Undo::Presence { map, slot, present } => {
            if *present {
                maps[*map as usize].link(*slot);
            } else {
                maps[*map as usize].unlink(*slot);
            }
            *present = !*present;
        }
    }
}

#[inline]
fn hash(key: &[u8]) -> u64 {
    let mut hasher = FxBuildHasher.build_hasher();
    hasher.write(key);
    hasher.finish()
}
