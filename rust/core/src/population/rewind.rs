//! A turn undone, laid aside and taken up again, by its log.

use super::Population;
use super::column::Column;
use crate::maps::MapTable;
use crate::undo::{Log, Mark, OldBits, Undo};
use crate::window::Window;

impl Population {
    /// Swaps every change of the log with its cell, the last first: the row is as it was before the turn, and the log
    /// holds what the turn had made of it.
    pub fn unmount(&mut self, row: u32, log: &mut Log) {
        for entry in log.bits.iter_mut().rev() {
            swap_bits(&mut self.columns, row, entry);
        }
        for entry in log.entries.iter_mut().rev() {
            swap(&mut self.columns, &mut self.maps, row, entry);
        }
        for pane in log.panes.iter_mut().rev() {
            Window::swap(&mut self.windows, row, pane);
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
        for pane in &mut log.panes {
            Window::swap(&mut self.windows, row, pane);
        }
    }

    /// Undoes the turn for good.
    pub fn roll_back(&mut self, row: u32, log: &mut Log) {
        self.rewind(row, log, &Mark { bits: 0, entries: 0, panes: 0, freed: 0, timers: 0, cleared: 0, lists: 0 });
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
        for mut pane in log.panes.drain(mark.panes..).rev() {
            Window::swap(&mut self.windows, row, &mut pane);
        }
        log.freed.truncate(mark.freed);
        log.cleared.truncate(mark.cleared);
        log.lists.truncate(mark.lists);
        log.timers.truncate(mark.timers);
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
        Undo::Label { map, slot, number } => *number = maps[*map as usize].relabel(*slot, *number),
        Undo::Labels { map, labels } => maps[*map as usize].swap_labels(labels),
    }
}
