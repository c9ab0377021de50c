//! The panes of a window, by row: a twin's are one block behind a reference count, and so is each run of twins. A snapshot
//! clones the pointers to the runs; the first write after it copies a run's pointers and one twin's panes.

use std::sync::Arc;
use std::sync::atomic::{Ordering, fence};

use super::{FREE, Pane};
use crate::population::chunk::Shared;

/// Twins of one run.
const RUN: usize = 32;

/// None: the twin has none.
type Block = Option<Arc<[Pane]>>;

/// Only its owner writes; clones are snapshots.
#[derive(Clone, Debug, Default)]
pub struct Panes {
    runs: Vec<Shared<[Block; RUN]>>,
}

impl Panes {
    /// A twin's panes, free ones among them.
    #[inline(always)]
    pub fn get(&self, row: u32) -> &[Pane] {
        match self.runs.get(row as usize / RUN) {
            Some(run) => run.read()[row as usize % RUN].as_deref().unwrap_or_default(),
            None => &[],
        }
    }

    /// A pane, for writing; a block that does not reach so far grows.
    #[inline]
    pub fn cell(&mut self, row: u32, at: usize) -> &mut Pane {
        if self.get(row).len() <= at {
            self.grow(row, at);
        }
        match &mut self.runs[row as usize / RUN].write()[row as usize % RUN] {
            Some(block) => &mut owned(block)[at],
            None => unreachable!("it has just grown"),
        }
    }

    #[cold]
    #[inline(never)]
    fn grow(&mut self, row: u32, at: usize) {
        while self.runs.len() * RUN <= row as usize {
            self.runs.push(Shared::new([const { None }; RUN]));
        }
        let old = self.get(row);
        // by doubling, to the 62 that a sliding window can come to
        let length = match at + 1 {
            length @ 1..=4 => length,
            length => length.next_power_of_two(),
        };
        let free = std::iter::repeat_n(FREE, length - old.len());
        let block: Arc<[Pane]> = old.iter().copied().chain(free).collect();
        self.runs[row as usize / RUN].write()[row as usize % RUN] = Some(block);
    }

    pub fn clear(&mut self, row: u32) {
        if let Some(run) = self.runs.get_mut(row as usize / RUN) {
            run.write()[row as usize % RUN] = None;
        }
    }

    /// Changes every pane that is not free.
    pub fn each(&mut self, mut change: impl FnMut(&mut Pane)) {
        let blocks = self.runs.iter_mut().flat_map(|run| run.write().iter_mut().flatten());
        blocks.flat_map(owned).filter(|pane| !pane.is_free()).for_each(&mut change);
    }
}

/// The block, for writing; copied first where a snapshot holds it too. As `Shared::write`.
#[inline(always)]
fn owned(block: &mut Arc<[Pane]>) -> &mut [Pane] {
    if Arc::strong_count(block) != 1 {
        part(block);
    }
    // The snapshot's last reads happen before this write, although another thread dropped it.
    fence(Ordering::Acquire);
    // SAFETY: the count is 1, no Weak is ever made, and `&mut` keeps others from cloning it meanwhile.
    unsafe { &mut *Arc::as_ptr(block).cast_mut() }
}

#[cold]
#[inline(never)]
fn part(block: &mut Arc<[Pane]>) {
    *block = Arc::from(&block[..]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_snapshot_keeps_what_it_saw() {
        let mut panes = Panes::default();
        let pane = |count| Pane { start: 1, newest: 2, count, sum: 0, lost: 0 };
        *panes.cell(40, 0) = pane(1);
        *panes.cell(41, 0) = pane(2);
        let snapshot = panes.clone();
        *panes.cell(40, 0) = pane(3);
        *panes.cell(40, 61) = pane(4);
        panes.each(|pane| pane.start += 1);
        panes.clear(41);
        assert_eq!((snapshot.get(40), snapshot.get(41)), (&[pane(1)][..], &[pane(2)][..]));
        assert_eq!(panes.get(40)[0], Pane { start: 2, ..pane(3) });
        assert_eq!(panes.get(40).len(), 64);
        assert!(panes.get(40)[1..61].iter().all(Pane::is_free));
        assert!(panes.get(41).is_empty() && panes.get(1000).is_empty());
    }
}
