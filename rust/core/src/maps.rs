//! Map lanes: a child table of a population, (twin, key) → value, with an insertion number per entry. A twin without
//! entries costs nothing. A list lane is one whose entries stand by labels that may change: `order`.

use std::cell::Cell;
use std::hash::{BuildHasher, Hash, Hasher};

use hashbrown::HashTable;
use rustc_hash::{FxBuildHasher, FxHashMap, FxHasher};

use crate::declaration::MapDecl;
use crate::population::changed::Segments;
use crate::population::chunk::{Chunked, inline_view};
use crate::population::column::Column;
use crate::value::Value;

mod order;

use order::Order;

const NONE: u32 = u32::MAX;

/// Words of 64 slots of a chunk: a batch of turns writes entries all over a large table, and a snapshot before it has each
/// chunk copied that they meet.
pub const WORDS: usize = 4;

/// Whose an entry is; valid where it is linked.
#[derive(Clone, Copy, Debug, Default)]
pub struct Owner {
    pub row: u32,
    /// The insertion number, counted over the whole table; never reused. Of a list its label: below those of the elements
    /// behind it.
    pub number: u64,
}

/// An entry's neighbours in the order of insertion. Apart from its owner: no snapshot needs them.
#[derive(Clone, Copy, Debug, Default)]
struct Neighbours {
    before: u32,
    after: u32,
}

/// What a snapshot of a map holds, by pointer.
#[derive(Clone)]
pub struct Snapshot {
    pub keys: Column<WORDS>,
    pub values: Column<WORDS>,
    pub owners: Chunked<Owner, WORDS>,
    /// Slots.
    pub used: u32,
    pub next_number: u64,
}

#[derive(Clone, Copy, Debug)]
struct Ends {
    first: u32,
    last: u32,
    length: u32,
}

pub struct MapTable {
    keys: Column<WORDS>,
    values: Column<WORDS>,
    owners: Chunked<Owner, WORDS>,
    neighbours: Chunked<Neighbours>,
    index: HashTable<u32>,
    ends: FxHashMap<u32, Ends>,
    /// A list's, instead of neighbours and ends.
    order: Option<Order>,
    free: Vec<u32>,
    used: u32,
    /// Of a list `order::END` and the key that its next element gets.
    next_number: u64,
    /// The entry that was found last, linked still, or NONE: what reads an entry often writes it next.
    found: Cell<u32>,
    /// Since the last checkpoint.
    changed: Segments,
    pub limit: usize,
}

impl MapTable {
    pub fn new(decl: &MapDecl) -> Self {
        MapTable {
            keys: Column::new(decl.key),
            values: Column::new(decl.value),
            owners: Chunked::default(),
            neighbours: Chunked::default(),
            index: HashTable::new(),
            ends: FxHashMap::default(),
            order: decl.ordered.then(Order::default),
            free: Vec::new(),
            used: 0,
            next_number: if decl.ordered { order::END } else { 0 },
            found: Cell::new(NONE),
            changed: Segments::default(),
            limit: decl.limit,
        }
    }

    pub fn key_type(&self) -> crate::declaration::ColumnType {
        self.keys.kind()
    }

    pub fn value_type(&self) -> crate::declaration::ColumnType {
        self.values.kind()
    }

    pub fn len(&self, row: u32) -> usize {
        match &self.order {
            Some(order) => order.of(row).len(),
            None => self.ends.get(&row).map_or(0, |ends| ends.length as usize),
        }
    }

    #[inline]
    pub fn find(&self, row: u32, key: &Value) -> Option<u32> {
        let is = |slot: u32| self.owners.raw(slot).row == row && self.key_is(slot, key);
        let last = self.found.get();
        if last != NONE && is(last) {
            return Some(last);
        }
        let slot = self.index.find(hash(row, key), |&slot| is(slot)).copied()?;
        self.found.set(slot);
        Some(slot)
    }

    #[inline(always)]
    fn key_is(&self, slot: u32, key: &Value) -> bool {
        match (&self.keys, key) {
            (Column::Text(cells), Value::Text(text)) => {
                cells.holds(slot, text.as_bytes(), inline_view(text.as_bytes()))
            }
            (Column::Int(cells), Value::Int(x)) => cells.get(slot) == Some(*x),
            (keys, key) => keys.get(slot) == *key,
        }
    }

    pub fn key(&self, slot: u32) -> Value {
        self.keys.get(slot)
    }

    pub fn value(&self, slot: u32) -> Value {
        self.values.get(slot)
    }

    pub fn replace(&mut self, slot: u32, new: Value) -> Value {
        self.changed.mark(slot);
        self.values.replace(slot, new)
    }

    /// A new entry at the end of the twin's; the caller has looked that there is none.
    pub fn insert(&mut self, row: u32, key: Value, value: Value) -> u32 {
        let before = self.ends.get(&row).map_or(NONE, |ends| ends.last);
        let slot = self.seat(key, value);
        self.next_number += 1;
        self.place(slot, Owner { row, number: self.next_number - 1 }, Neighbours { before, after: NONE });
        slot
    }

    /// A slot with these cells, of nobody yet.
    fn seat(&mut self, key: Value, value: Value) -> u32 {
        let slot = self.free.pop().unwrap_or_else(|| {
            self.used += 1;
            self.used - 1
        });
        self.keys.reach(slot);
        self.values.reach(slot);
        self.owners.reach(slot);
        if self.order.is_none() {
            self.neighbours.reach(slot);
        }
        self.keys.replace(slot, key);
        self.values.replace(slot, value);
        slot
    }

    fn place(&mut self, slot: u32, owner: Owner, neighbours: Neighbours) {
        *self.owners.raw_mut(slot) = owner;
        if self.order.is_none() {
            *self.neighbours.raw_mut(slot) = neighbours;
        }
        self.link(slot);
    }

    /// An entry of a store, with the number that it had: among the twin's entries it stands by it.
    pub fn restore(&mut self, row: u32, key: Value, value: Value, number: u64) {
        if let Some(slot) = self.find(row, &key) {
            if self.number(slot) == number {
                self.replace(slot, value);
                return;
            }
            self.unlink(slot);
            self.release(slot);
        }
        let mut after = NONE;
        let mut before = self.ends.get(&row).map_or(NONE, |ends| ends.last);
        while before != NONE && self.number(before) > number {
            (after, before) = (before, self.neighbours.raw(before).before);
        }
        let slot = self.seat(key, value);
        self.place(slot, Owner { row, number }, Neighbours { before, after });
        self.next_number = self.next_number.max(number + 1);
    }

    /// Entries of a store, in a run of slots behind all others; `fill` writes their keys and values from a slot on. Nobody
    /// finds them before `join`.
    ///
    /// Errors: those of `fill`.
    pub fn append<E>(
        &mut self,
        owners: &[Owner],
        fill: impl FnOnce(&mut Column<WORDS>, &mut Column<WORDS>, u32) -> Result<(), E>,
    ) -> Result<(), E> {
        let first = self.used;
        if owners.is_empty() {
            return Ok(());
        }
        self.used += owners.len() as u32;
        let last = self.used - 1;
        self.keys.reach(last);
        self.values.reach(last);
        self.owners.reach(last);
        if self.order.is_none() {
            self.neighbours.reach(last);
        }
        self.owners.fill(first, owners, None);
        self.changed.mark_run(first, last);
        fill(&mut self.keys, &mut self.values, first)
    }

    /// Makes what was appended from slot `from` on the entries of their twins, each twin's in the order of their numbers.
    ///
    /// Errors: the slot of an entry without a key, or whose twin has the key already; the table is of no use any more.
    pub fn join(&mut self, from: u32) -> Result<(), u32> {
        let mut slots: Vec<u32> = (from..self.used).collect();
        let number = |slot: u32| self.owners.raw(slot).number;
        if !slots.is_sorted_by_key(|slot| number(*slot)) {
            slots.sort_unstable_by_key(|slot| number(*slot));
        }
        let (keys, owners) = (&self.keys, &self.owners);
        self.index.reserve(slots.len(), |&other| hash(owners.raw(other).row, &keys.get(other)));
        for slot in slots {
            let Owner { row, number } = self.owners.raw(slot);
            let key = self.keys.get(slot);
            if key.is_null() || self.find(row, &key).is_some() {
                return Err(slot);
            }
            if self.order.is_none() {
                let before = self.ends.get(&row).map_or(NONE, |ends| ends.last);
                *self.neighbours.raw_mut(slot) = Neighbours { before, after: NONE };
            }
            self.next_number = self.next_number.max(number + 1);
            self.link(slot);
        }
        Ok(())
    }

    /// Slots in use, free ones among them.
    pub fn used(&self) -> u32 {
        self.used
    }

    pub fn next_number(&self) -> u64 {
        self.next_number
    }

    /// The numbers below it are spent.
    pub fn spend_numbers(&mut self, next: u64) {
        self.next_number = self.next_number.max(next);
    }

    /// An entry is there, and its twin's row.
    pub fn owner(&self, slot: u32) -> Option<u32> {
        if slot < self.used { self.owners.get(slot).map(|owner| owner.row) } else { None }
    }

    /// A list of pointers: later writes copy the chunks that they touch.
    pub fn snapshot(&self) -> Snapshot {
        let (keys, values, owners) = (self.keys.clone(), self.values.clone(), self.owners.clone());
        Snapshot { keys, values, owners, used: self.used, next_number: self.next_number }
    }

    /// The segments of slots that have changed since this was last called.
    pub fn take_changed(&mut self) -> Segments {
        std::mem::take(&mut self.changed)
    }

    /// Puts an entry back between the neighbours it had; they are as they were when it was taken out.
    pub fn link(&mut self, slot: u32) {
        self.changed.mark(slot);
        let owner = self.owners.raw(slot);
        self.owners.replace(slot, Some(owner));
        match &mut self.order {
            Some(order) => order.put(&self.owners, slot),
            None => self.chain(owner.row, slot),
        }
        let key = self.keys.get(slot);
        let (keys, owners) = (&self.keys, &self.owners);
        self.index.insert_unique(hash(owner.row, &key), slot, |&other| hash(owners.raw(other).row, &keys.get(other)));
    }

    /// Takes an entry out of the twin's; its cells stay until `release`.
    pub fn unlink(&mut self, slot: u32) {
        self.found.set(NONE);
        self.changed.mark(slot);
        let row = self.owners.raw(slot).row;
        self.owners.replace(slot, None);
        match &mut self.order {
            Some(order) => order.take(&self.owners, slot),
            None => self.unchain(row, slot),
        }
        let key = self.keys.get(slot);
        if let Ok(entry) = self.index.find_entry(hash(row, &key), |&other| other == slot) {
            entry.remove();
        }
    }

    fn chain(&mut self, row: u32, slot: u32) {
        let Neighbours { before, after } = self.neighbours.raw(slot);
        let ends = self.ends.entry(row).or_insert(Ends { first: NONE, last: NONE, length: 0 });
        ends.length += 1;
        match before {
            NONE => ends.first = slot,
            _ => self.neighbours.raw_mut(before).after = slot,
        }
        match after {
            NONE => ends.last = slot,
            _ => self.neighbours.raw_mut(after).before = slot,
        }
    }

    fn unchain(&mut self, row: u32, slot: u32) {
        let Neighbours { before, after } = self.neighbours.raw(slot);
        let ends = self.ends.get_mut(&row).expect("a linked entry's twin has ends");
        ends.length -= 1;
        match before {
            NONE => ends.first = after,
            _ => self.neighbours.raw_mut(before).after = after,
        }
        match after {
            NONE => ends.last = before,
            _ => self.neighbours.raw_mut(after).before = before,
        }
        if ends.length == 0 {
            self.ends.remove(&row);
        }
    }

    /// The slot of an entry that is out for good.
    pub fn release(&mut self, slot: u32) {
        self.keys.replace(slot, Value::Null);
        self.values.replace(slot, Value::Null);
        self.free.push(slot);
    }

    /// Takes back the slot of an entry whose insertion was undone, as if it had never been used.
    pub fn forget(&mut self, slot: u32) {
        let number = match (&self.order, self.keys.get(slot)) {
            (None, _) => Some(self.owners.raw(slot).number),
            (Some(_), Value::Int(key)) if key >= 0 => order::END.checked_add(key as u64),
            (Some(_), _) => None,
        };
        if number.is_some_and(|number| number + 1 == self.next_number) {
            self.next_number -= 1;
        }
        self.release(slot);
    }

    /// The twin's slots in the order of insertion; a list's in its own.
    pub fn slots(&self, row: u32) -> Slots<'_> {
        match &self.order {
            Some(order) => Slots::Ordered(order.of(row).iter()),
            None => Slots::Chained { table: self, next: self.ends.get(&row).map_or(NONE, |ends| ends.first) },
        }
    }

    pub fn number(&self, slot: u32) -> u64 {
        self.owners.raw(slot).number
    }
}

pub enum Slots<'a> {
    Chained { table: &'a MapTable, next: u32 },
    Ordered(std::slice::Iter<'a, u32>),
}

impl Iterator for Slots<'_> {
    type Item = u32;

    fn next(&mut self) -> Option<u32> {
        match self {
            Slots::Chained { next: NONE, .. } => None,
            Slots::Chained { table, next } => {
                let slot = *next;
                *next = table.neighbours.raw(slot).after;
                Some(slot)
            }
            Slots::Ordered(slots) => slots.next().copied(),
        }
    }
}

fn hash(row: u32, key: &Value) -> u64 {
    let mut hasher: FxHasher = FxBuildHasher.build_hasher();
    row.hash(&mut hasher);
    hash_value(key, &mut hasher);
    hasher.finish()
}

fn hash_value(value: &Value, hasher: &mut FxHasher) {
    match value {
        Value::Null => 0u8.hash(hasher),
        Value::Bool(x) => x.hash(hasher),
        Value::Int(x) | Value::Time(x) => x.hash(hasher),
        Value::Float(x) => (x + 0.0).to_bits().hash(hasher),
        Value::Point(lat, lon) => ((lat + 0.0).to_bits(), (lon + 0.0).to_bits()).hash(hasher),
        Value::Text(text) => text.as_bytes().hash(hasher),
        Value::Bytes(bytes) => bytes.hash(hasher),
        Value::List(items) => items.iter().for_each(|item| hash_value(item, hasher)),
        Value::Map(members) => members.iter().for_each(|(name, item)| {
            name.as_bytes().hash(hasher);
            hash_value(item, hasher);
        }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration::{ColumnType, Save};

    #[test]
    fn an_entry_is_found_while_it_is_linked_and_by_its_own_twin_alone() {
        let (key, value, default) = (ColumnType::String, ColumnType::Int64, serde_json::Value::Null);
        let name = "stops".into();
        let decl = MapDecl { name, key, value, default, limit: 10, settable: false, save: Save::Async, ordered: false };
        let mut table = MapTable::new(&decl);
        for name in ["short", "a name of more than twelve bytes"] {
            let key = Value::Text(name.into());
            let slot = table.insert(1, key.clone(), Value::Int(5));
            for _ in 0..2 {
                assert_eq!(table.find(1, &key), Some(slot));
                assert_eq!(table.find(2, &key), None);
                assert_eq!(table.find(1, &Value::Text("another".into())), None);
            }
            table.unlink(slot);
            assert_eq!(table.find(1, &key), None);
            table.link(slot);
            assert_eq!((table.find(1, &key), table.find(1, &key)), (Some(slot), Some(slot)));
            table.unlink(slot);
            table.release(slot);
            assert_eq!(table.find(1, &key), None);
        }
    }
}
