//! What a journal must be told of a population besides its dirty cells: births and deaths, entries of maps, panes of
//! windows. Kept only where there is a journal; emptied by each cut of a record.

use rustc_hash::FxHashSet;

use super::{Population, TwinId};
use crate::undo::{Log, Undo};
use crate::value::Value;

#[derive(Debug, Default)]
pub struct Changes {
    /// Twins with this id and later ones are new.
    first: u64,
    /// Twins that were there before.
    pub deaths: Vec<TwinId>,
    pub maps: Vec<MapChanges>,
    /// Window, row, place.
    pub panes: FxHashSet<(u16, u32, u16)>,
}

/// Bounded by the writes of one interval.
#[derive(Debug, Default)]
pub struct MapChanges {
    /// Entries taken out, also such as came after the last cut or have come back since.
    pub removed: Vec<(TwinId, Value)>,
    /// Entries written, each once; some may be gone or another twin's by now.
    pub slots: Vec<u32>,
    marks: Vec<u64>,
}

impl MapChanges {
    pub fn is_empty(&self) -> bool {
        self.removed.is_empty() && self.slots.is_empty()
    }

    #[inline]
    fn mark(&mut self, slot: u32) {
        let word = slot as usize / 64;
        if self.marks.len() <= word {
            self.marks.resize(word + 1, 0);
        }
        if self.marks[word] >> (slot % 64) & 1 == 0 {
            self.marks[word] |= 1 << (slot % 64);
            self.slots.push(slot);
        }
    }

    fn clear(&mut self) {
        for slot in self.slots.drain(..) {
            self.marks[slot as usize / 64] = 0;
        }
        self.removed.clear();
    }
}

impl Changes {
    /// Neither entries nor panes.
    pub fn is_plain(&self) -> bool {
        self.panes.is_empty() && self.maps.iter().all(MapChanges::is_empty)
    }

    /// Twins were made since the last cut, which may be gone again.
    pub fn has_spent_ids(&self, table: &Population) -> bool {
        self.first != table.next_id
    }

    /// Rows with changes, and those of newborns, in order.
    pub fn rows(&self, table: &Population, births: &[(TwinId, u32)]) -> Vec<u32> {
        let mut rows: Vec<u32> = table.dirty_rows.iter().copied().filter(|row| table.id(*row).is_some()).collect();
        let is_clean = |row: &u32| table.dirty.iter().all(|word| word.raw(*row) == 0);
        rows.extend(births.iter().map(|(_, row)| *row).filter(is_clean));
        rows.sort_unstable();
        rows.dedup();
        rows
    }

    /// Twins made since the last cut that are still there, in order.
    pub fn births<'a>(&self, table: &'a Population) -> impl Iterator<Item = (TwinId, u32)> + 'a {
        (self.first..table.next_id).filter_map(|id| Some((TwinId(id), table.row(TwinId(id))?)))
    }

    /// A kept turn's entries and panes; before its freed slots are released.
    fn note(&mut self, table: &Population, row: u32, log: &Log) {
        for entry in &log.entries {
            match entry {
                Undo::Presence { map, slot, .. } | Undo::Entry { map, slot, .. } | Undo::Label { map, slot, .. } => {
                    self.maps[*map as usize].mark(*slot)
                }
                Undo::Labels { map, labels } => {
                    labels.iter().for_each(|(slot, _)| self.maps[*map as usize].mark(*slot))
                }
                Undo::Cell { .. } => {}
            }
        }
        let id = table.id(row).unwrap_or_default();
        for (map, slot) in &log.freed {
            self.maps[*map as usize].removed.push((id, table.maps[*map as usize].key(*slot)));
        }
        for pane in &log.panes {
            self.panes.insert((pane.window, row, pane.at));
        }
    }
}

impl Population {
    /// From here on changes are kept for a journal; what is there now counts as known to it.
    pub fn keep_changes(&mut self) {
        for row in std::mem::take(&mut self.dirty_rows) {
            self.dirty.iter_mut().for_each(|word| *word.raw_mut(row) = 0);
        }
        let maps = self.maps.iter().map(|_| MapChanges::default()).collect();
        self.changes = Some(Box::new(Changes { first: self.next_id, maps, ..Changes::default() }));
    }

    /// Changes for a journal, to be given back to `cut`.
    pub fn take_changes(&mut self) -> Option<Box<Changes>> {
        self.changes.take()
    }

    /// The record is cut: nothing is dirty.
    pub fn cut(&mut self, mut changes: Box<Changes>) {
        for row in self.dirty_rows.drain(..) {
            self.changed.mark(row);
            self.dirty.iter_mut().for_each(|word| *word.raw_mut(row) = 0);
        }
        changes.first = self.next_id;
        changes.deaths.clear();
        changes.maps.iter_mut().for_each(MapChanges::clear);
        changes.panes.clear();
        self.changes = Some(changes);
    }

    /// Rows that a record would hold.
    pub fn unsaved(&self) -> usize {
        let born = self.changes.as_ref().map_or(0, |changes| self.next_id.saturating_sub(changes.first) as usize);
        self.dirty_rows.len().max(born)
    }

    /// What a kept turn has done to entries and panes.
    #[inline]
    pub fn note_changes(&mut self, row: u32, log: &Log) {
        if self.changes.is_some() && !(log.entries.is_empty() && log.freed.is_empty() && log.panes.is_empty()) {
            self.note_them(row, log);
        }
    }

    #[inline(never)]
    fn note_them(&mut self, row: u32, log: &Log) {
        if let Some(mut changes) = self.changes.take() {
            changes.note(self, row, log);
            self.changes = Some(changes);
        }
    }

    /// A twin is about to be taken out.
    pub(super) fn note_death(&mut self, id: TwinId) {
        if let Some(changes) = &mut self.changes
            && id.0 < changes.first
        {
            changes.deaths.push(id);
        }
    }

    /// A row's dirty bits of 64 columns and maps.
    #[inline(always)]
    pub fn dirty_word(&self, row: u32, word: usize) -> u64 {
        self.dirty[word].raw(row)
    }
}
