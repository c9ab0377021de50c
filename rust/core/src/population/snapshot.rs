//! All of a population at a commit, by pointer, and what has changed since the last one was written.

use super::Population;
use super::changed::{Changed, Segments};
use super::chunk::{Chunked, ChunkedViews};
use super::column::Column;
use crate::maps::{self, MapTable};
use crate::window::{self, Window};

/// What a snapshot of a population holds: all of it at a commit, by pointer. Dropping one of a million twins takes
/// milliseconds: leave that to another thread than the shard's.
#[derive(Clone)]
pub struct Snapshot {
    pub columns: Vec<Column>,
    /// Valid where the row is live.
    pub ids: Chunked<u64>,
    pub keys: ChunkedViews,
    pub rows: u32,
    pub next_id: u64,
    pub maps: Vec<maps::Snapshot>,
    pub windows: Vec<window::Snapshot>,
}

impl Population {
    /// A list of pointers: later writes copy the chunks that they touch. No turn is mounted.
    pub fn snapshot(&self) -> Snapshot {
        self.snapshots.set(self.snapshots.get() + 1);
        Snapshot {
            columns: self.columns.clone(),
            ids: self.ids.clone(),
            keys: self.keys.clone(),
            rows: self.used,
            next_id: self.next_id,
            maps: self.maps.iter().map(MapTable::snapshot).collect(),
            windows: self.windows.iter().map(Window::snapshot).collect(),
        }
    }

    /// What has changed since this was last called: what a checkpoint of a snapshot of now has to write anew.
    pub fn take_changed(&mut self) -> Changed {
        for row in &self.dirty_rows {
            self.changed.mark(*row);
        }
        let mut panes = Segments::default();
        for window in &mut self.windows {
            panes.merge(&window.take_changed());
        }
        let maps = self.maps.iter_mut().map(MapTable::take_changed).collect();
        Changed { rows: std::mem::take(&mut self.changed), maps, panes }
    }
}
