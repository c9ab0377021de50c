//! Lanes that somebody needs in full: each turn's net change of them is in the record, with its time, not only the last
//! one of an interval. A sink of every change reads them, and records stay until it has.

use super::Journal;
use super::bytes::{Garbled, In, Out, Read};
use super::schema::StoredId;
use super::small::read_id;
use crate::population::{PopulationId, TwinId};
use crate::shard::{Class, Shard};
use crate::turn::{Turn, meets};
use crate::value::Value;

/// What a turn has made of a lane.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    pub population: StoredId,
    pub twin: TwinId,
    /// The turn's number and time.
    pub turn: u64,
    pub time: i64,
    /// A column, or a map.
    pub lane: StoredId,
    /// Of a map lane.
    pub key: Option<Value>,
    /// Null: unset, or an entry that is gone.
    pub value: Value,
}

impl Change {
    fn write(&self, out: &mut Out) {
        out.number(self.population.0.into());
        out.number(self.twin.0);
        out.number(self.turn);
        out.signed(self.time);
        out.number(self.lane.0.into());
        out.byte(u8::from(self.key.is_some()));
        if let Some(key) = &self.key {
            out.value(key);
        }
        out.value(&self.value);
    }

    fn read(input: &mut In<'_>) -> Read<Change> {
        Ok(Change {
            population: read_id(input)?,
            twin: TwinId(input.number()?),
            turn: input.number()?,
            time: input.signed()?,
            lane: read_id(input)?,
            key: if input.flag()? { Some(input.value()?) } else { None },
            value: input.value()?,
        })
    }
}

pub(super) fn write(changes: &[Change], out: &mut Out) {
    out.count(changes.len());
    changes.iter().for_each(|change| change.write(out));
}

pub(super) fn read(input: &mut In<'_>) -> Read<Vec<Change>> {
    let count = input.count()?;
    let changes = (0..count).map(|_| Change::read(input)).collect::<Read<_>>()?;
    if input.is_empty() { Ok(changes) } else { Err(Garbled) }
}

impl Shard {
    /// From here on records hold every turn's change of a value or map lane. Without a journal nothing happens.
    ///
    /// Errors: the class has no such lane.
    pub fn keep_in_full(&mut self, population: PopulationId, lane: &str) -> Result<(), String> {
        let class = &mut self.populations[population.0 as usize];
        if place(class, lane).is_none() {
            return Err(format!("{} has no value or map lane `{lane}`", class.decl.name));
        }
        if self.journal.is_some() && !class.full_lanes.iter().any(|known| known == lane) {
            class.full_lanes.push(lane.into());
            class.full = mask(class);
        }
        Ok(())
    }
}

/// Its bit among the touched ones: columns, then maps.
fn place(class: &Class, lane: &str) -> Option<usize> {
    let column = class.decl.columns.iter().position(|column| column.name == lane);
    let map = || class.decl.maps.iter().position(|map| map.name == lane).map(|at| class.table.columns.len() + at);
    column.or_else(map)
}

/// A bit for each lane that is needed in full; empty: there is none.
pub(super) fn mask(class: &Class) -> Vec<u64> {
    let mut bits = Vec::new();
    for place in class.full_lanes.iter().filter_map(|lane| place(class, lane)) {
        bits.resize(class.table.words(), 0u64);
        bits[place / 64] |= 1 << (place % 64);
    }
    bits
}

impl Journal {
    /// A turn of a class with such a lane is being kept; before its log is emptied.
    #[inline(never)]
    pub(crate) fn note_in_full(&mut self, class: &Class, turn: &Turn) {
        let schema = &self.schema.populations[turn.population.0 as usize];
        let log = &turn.log;
        let columns = class.table.columns.len();
        let is_full = |bit: usize| {
            let has = |words: &[u64]| words.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1);
            has(&class.full) && has(&log.touched)
        };
        let (population, twin, time) = (schema.id, turn.id, turn.time);
        let change = |lane, key, value| Change { population, twin, turn: turn.number, time, lane, key, value };
        for at in (0..columns).filter(|at| is_full(*at)) {
            self.full.push(change(schema.columns[at].id, None, class.table.columns[at].get(turn.row)));
        }
        for at in (0..class.table.maps.len()).filter(|at| is_full(columns + at)) {
            let table = &class.table.maps[at];
            let mut keys: Vec<Value> = Vec::new();
            for entry in &log.entries {
                if let Some(slot) = entry.slot(at as u16) {
                    let key = table.key(slot);
                    if !keys.contains(&key) {
                        keys.push(key);
                    }
                }
            }
            for key in keys {
                let value = table.find(turn.row, &key).map_or(Value::Null, |slot| table.value(slot));
                self.full.push(change(schema.maps[at].id, Some(key), value));
            }
        }
    }
}

/// Whether a turn has touched a lane that is needed in full.
#[inline(always)]
pub(crate) fn concerns(class: &Class, touched: &[u64]) -> bool {
    !class.full.is_empty() && meets(&class.full, touched)
}
