//! Cells and map entries written within a turn: each write keeps what was there before, to undo the turn and for its `changed`
//! handlers.

use super::column::Column;
use crate::undo::{Log, OldBits, Seen, Undo};
use crate::value::Value;

use super::{Population, UNWATCHED, bits};

impl Population {
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

    /// Sets an entry. Errors: the number of entries would pass the lane's limit.
    pub fn map_put(&mut self, row: u32, map: u16, key: Value, value: Value, log: &mut Log) -> Result<(), usize> {
        log.touch(self.columns.len() + map as usize);
        let watched = self.watch[self.columns.len() + map as usize] != UNWATCHED;
        let table = &mut self.maps[map as usize];
        let old = match table.find(row, &key) {
            Some(slot) => {
                let old = table.replace(slot, value);
                if watched {
                    self.note_entry(map, key, old.clone(), log);
                }
                log.entries.push(Undo::Entry { map, slot, old });
                return Ok(());
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

    fn note_entry(&mut self, map: u16, key: Value, old: Value, log: &mut Log) {
        let watch = self.watch[self.columns.len() + map as usize];
        if watch == UNWATCHED {
            return;
        }
        let known =
            log.seen.iter().any(|seen| matches!(seen, Seen::Entry { map: m, key: k, .. } if *m == map && *k == key));
        if !known {
            log.seen.push(Seen::Entry { watch, map, key, old });
        }
    }
}
