//! Elements of list lanes put in, replaced, moved and taken out, with what a turn's log needs of it.

use super::{Population, UNWATCHED};
use crate::links::Operation;
use crate::undo::{Log, Seen, Undo};
use crate::value::Value;

impl Population {
    /// Puts an element in before the one at `index`, which is no more than the length; no element has this key.
    ///
    /// Errors: the number of elements would pass the lane's limit.
    pub fn list_insert(
        &mut self,
        row: u32,
        map: u16,
        index: usize,
        (key, value): (Value, Value),
        log: &mut Log,
    ) -> Result<(), usize> {
        let table = &mut self.maps[map as usize];
        if table.len(row) >= table.limit {
            return Err(table.limit);
        }
        let label = self.label(row, map, index, None, log);
        let slot = self.maps[map as usize].insert_labelled(row, key.clone(), value.clone(), label);
        log.touch(self.columns.len() + map as usize);
        log.entries.push(Undo::Presence { map, slot, present: false });
        self.note_element(map, (key.clone(), Value::Null), index, false, log);
        log.lists.push((map, Operation::Element { index: index as u32, key, value }));
        Ok(())
    }

    /// Replaces the element at `index`, which is there.
    pub fn list_update(&mut self, row: u32, map: u16, index: usize, value: Value, log: &mut Log) {
        let table = &mut self.maps[map as usize];
        let Some(slot) = table.at(row, index) else { return };
        let key = table.key(slot);
        let old = table.replace(slot, value.clone());
        log.touch(self.columns.len() + map as usize);
        self.note_element(map, (key.clone(), old.clone()), index, false, log);
        log.entries.push(Undo::Entry { map, slot, old });
        log.lists.push((map, Operation::Element { index: index as u32, key, value }));
    }

    /// Takes the element at `from` out and puts it in at `to`; both are there.
    pub fn list_move(&mut self, row: u32, map: u16, from: usize, to: usize, log: &mut Log) {
        let Some(slot) = self.maps[map as usize].at(row, from) else { return };
        let label = self.label(row, map, to, Some(slot), log);
        let table = &mut self.maps[map as usize];
        let (key, value) = (table.key(slot), table.value(slot));
        let number = table.relabel(slot, label);
        log.touch(self.columns.len() + map as usize);
        log.entries.push(Undo::Label { map, slot, number });
        self.note_element(map, (key.clone(), value), from, true, log);
        log.lists.push((map, Operation::Move { from: from as u32, to: to as u32, key }));
    }

    /// Takes the element at `index` out; gives its key and value. Who listens has not been told.
    pub fn list_remove(&mut self, row: u32, map: u16, index: usize, log: &mut Log) -> Option<(Value, Value)> {
        let table = &mut self.maps[map as usize];
        let slot = table.at(row, index)?;
        let (key, old) = (table.key(slot), table.value(slot));
        table.unlink(slot);
        log.touch(self.columns.len() + map as usize);
        log.entries.push(Undo::Presence { map, slot, present: true });
        log.freed.push((map, slot));
        self.note_element(map, (key.clone(), old.clone()), index, false, log);
        Some((key, old))
    }

    fn label(&mut self, row: u32, map: u16, index: usize, but: Option<u32>, log: &mut Log) -> u64 {
        let table = &mut self.maps[map as usize];
        if let Some(label) = table.label(row, index, but) {
            return label;
        }
        log.entries.push(Undo::Labels { map, labels: table.spread(row) });
        table.label(row, index, but).unwrap_or_default()
    }

    /// A `changed` handler learns what an element was first, and of one that is gone where it stood.
    fn note_element(&mut self, map: u16, (key, old): (Value, Value), index: usize, is_move: bool, log: &mut Log) {
        let watch = self.watch[self.columns.len() + map as usize];
        if watch == UNWATCHED {
            return;
        }
        for seen in &mut log.seen {
            if let Seen::Element { map: of, key: known, moved, .. } = seen
                && *of == map
                && *known == key
            {
                *moved |= is_move;
                return;
            }
        }
        log.seen.push(Seen::Element { watch, map, key, old, index: index as u32, moved: is_move });
    }
}
