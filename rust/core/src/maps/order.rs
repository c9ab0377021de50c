//! The order of lists: each twin's slots sorted by their labels. A label is a number between those of the neighbours, so
//! that an element that is put in or moved changes no other; where there is none between them, all of the twin's elements
//! get new ones.

use rustc_hash::FxHashMap;

use super::{MapTable, Owner, WORDS};
use crate::population::chunk::Chunked;
use crate::value::Value;

/// Labels are below it: the numbers from here on are those of the keys that the table has made.
pub const END: u64 = 1 << 62;
/// What an element at an end leaves between itself and its neighbour: the middle can be halved 32 times.
const GAP: u64 = 1 << 32;

#[derive(Default)]
pub struct Order {
    rows: FxHashMap<u32, Vec<u32>>,
}

type Owners = Chunked<Owner, WORDS>;

impl Order {
    pub fn of(&self, row: u32) -> &[u32] {
        self.rows.get(&row).map_or(&[], Vec::as_slice)
    }

    pub fn put(&mut self, owners: &Owners, slot: u32) {
        let Owner { row, number } = owners.raw(slot);
        let slots = self.rows.entry(row).or_default();
        let at = slots.partition_point(|other| owners.raw(*other).number <= number);
        slots.insert(at, slot);
    }

    pub fn take(&mut self, owners: &Owners, slot: u32) {
        let row = owners.raw(slot).row;
        let at = self.place(owners, slot);
        let Some(slots) = self.rows.get_mut(&row) else { return };
        slots.remove(at);
        if slots.is_empty() {
            self.rows.remove(&row);
        }
    }

    /// Where a linked slot stands. While a record is applied two may have one label.
    pub fn place(&self, owners: &Owners, slot: u32) -> usize {
        let Owner { row, number } = owners.raw(slot);
        let slots = self.of(row);
        let first = slots.partition_point(|other| owners.raw(*other).number < number);
        first + slots[first..].iter().position(|other| *other == slot).unwrap_or_default()
    }
}

impl MapTable {
    /// It is a list's.
    pub fn is_ordered(&self) -> bool {
        self.order.is_some()
    }

    fn in_order(&self, row: u32) -> &[u32] {
        self.order.as_ref().map_or(&[], |order| order.of(row))
    }

    /// The slot of a list's element.
    pub fn at(&self, row: u32, index: usize) -> Option<u32> {
        self.in_order(row).get(index).copied()
    }

    /// Where a list's element stands.
    pub fn index(&self, slot: u32) -> usize {
        self.order.as_ref().map_or(0, |order| order.place(&self.owners, slot))
    }

    /// A key that no element of the twin has; of the table's own making, counted up.
    pub fn make_key(&mut self, row: u32) -> Value {
        loop {
            let key = Value::Int((self.next_number - END) as i64);
            self.next_number += 1;
            if self.find(row, &key).is_none() {
                return key;
            }
        }
    }

    /// The label of an element that comes to stand at `index` of the twin's others, `but` being none of them. None: there is
    /// no number between its neighbours; `spread` makes room.
    pub fn label(&self, row: u32, index: usize, but: Option<u32>) -> Option<u64> {
        let slots = self.in_order(row);
        let skipped = but.map_or(usize::MAX, |slot| self.index(slot));
        let number = |index: usize| {
            let at = if index < skipped { index } else { index + 1 };
            slots.get(at).map(|slot| self.number(*slot))
        };
        match (index.checked_sub(1).and_then(number), number(index)) {
            (None, None) => Some(END / 2),
            (Some(before), None) => before.checked_add(GAP).filter(|label| *label < END),
            (None, Some(after)) => after.checked_sub(GAP),
            (Some(before), Some(after)) => Some(before + (after - before) / 2).filter(|label| *label > before),
        }
    }

    /// A new element with this label; the caller has looked that there is none with this key.
    pub fn insert_labelled(&mut self, row: u32, key: Value, value: Value, label: u64) -> u32 {
        let slot = self.seat(key, value);
        *self.owners.raw_mut(slot) = Owner { row, number: label };
        self.link(slot);
        slot
    }

    /// Moves an element to where its new label belongs; gives the old one.
    pub fn relabel(&mut self, slot: u32, label: u64) -> u64 {
        self.changed.mark(slot);
        let owner = self.owners.raw(slot);
        if let Some(order) = &mut self.order {
            order.take(&self.owners, slot);
            self.owners.replace(slot, Some(Owner { number: label, ..owner }));
            order.put(&self.owners, slot);
        }
        owner.number
    }

    /// Gives all elements of a twin new labels, in the order in which they stand; gives the slots and their old ones.
    pub fn spread(&mut self, row: u32) -> Vec<(u32, u64)> {
        let slots = self.in_order(row).to_vec();
        let gap = GAP.min(END / (slots.len() as u64 + 1));
        let first = END / 2 - slots.len() as u64 / 2 * gap;
        let mut labels: Vec<(u32, u64)> =
            slots.into_iter().enumerate().map(|(at, slot)| (slot, first + at as u64 * gap)).collect();
        self.swap_labels(&mut labels);
        labels
    }

    /// Swaps labels that leave the order as it is.
    pub fn swap_labels(&mut self, labels: &mut [(u32, u64)]) {
        for (slot, label) in labels {
            self.changed.mark(*slot);
            let owner = self.owners.raw(*slot);
            self.owners.replace(*slot, Some(Owner { number: *label, ..owner }));
            *label = owner.number;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::declaration::{ColumnType, MapDecl, Save};

    fn table() -> MapTable {
        MapTable::new(&MapDecl {
            name: "stops".into(),
            key: ColumnType::Value,
            value: ColumnType::Int64,
            default: serde_json::Value::Null,
            limit: 10_000,
            settable: true,
            save: Save::Async,
            ordered: true,
        })
    }

    fn put(table: &mut MapTable, index: usize, x: i64) -> u32 {
        let label = table.label(1, index, None).unwrap_or_else(|| {
            table.spread(1);
            table.label(1, index, None).unwrap()
        });
        let key = table.make_key(1);
        table.insert_labelled(1, key, Value::Int(x), label)
    }

    fn values(table: &MapTable) -> Vec<Value> {
        table.slots(1).map(|slot| table.value(slot)).collect()
    }

    fn ints(items: impl IntoIterator<Item = i64>) -> Vec<Value> {
        items.into_iter().map(Value::Int).collect()
    }

    #[test]
    fn elements_stand_where_they_are_put_however_often_at_one_place() {
        let mut table = table();
        put(&mut table, 0, 0);
        put(&mut table, 1, 1);
        for x in 2..200 {
            put(&mut table, 1, x);
        }
        assert_eq!(values(&table), ints([0].into_iter().chain((2..200).rev()).chain([1])));
        for (index, slot) in table.slots(1).enumerate() {
            assert_eq!((table.index(slot), table.at(1, index)), (index, Some(slot)));
        }
    }

    #[test]
    fn a_move_and_new_labels_are_undone_by_their_old_ones() {
        let mut table = table();
        let slots: Vec<u32> = (0..5).map(|x| put(&mut table, x as usize, x)).collect();
        let label = table.label(1, 1, Some(slots[4])).unwrap();
        let old = table.relabel(slots[4], label);
        assert_eq!(values(&table), ints([0, 4, 1, 2, 3]));
        let mut labels = table.spread(1);
        assert_eq!(values(&table), ints([0, 4, 1, 2, 3]));
        table.swap_labels(&mut labels);
        assert_eq!(table.relabel(slots[4], old), label);
        assert_eq!(values(&table), ints(0..5));
    }

    #[test]
    fn entries_of_a_store_take_their_places_while_labels_are_swapped() {
        let mut table = table();
        for (key, number) in [(0, 10), (1, 20), (2, 30)] {
            table.restore(1, Value::Int(key), Value::Int(key), number);
        }
        for (key, number) in [(0, 30), (2, 10)] {
            table.restore(1, Value::Int(key), Value::Int(key), number);
        }
        assert_eq!(values(&table), ints([2, 1, 0]));
        table.spend_numbers(END + 7);
        assert_eq!(table.make_key(1), Value::Int(7));
    }
}
