//! What a turn has done to its twin, so that it can be undone as a whole, and laid aside and taken up again (an async
//! turn between two of its steps): every entry is its own inverse once it has been swapped with the cell.

use crate::links::Operation;
use crate::timers::TimerOp;
use crate::value::Value;
use crate::window::OldPane;

/// A change of a cell of eight bytes or fewer: what most turns are made of. Its own kind, so that keeping a turn forgets
/// them all at once.
#[derive(Clone, Copy, Debug)]
pub struct OldBits {
    pub column: u16,
    pub set: bool,
    pub bits: u64,
}

/// Any other change, with what was there before it.
#[derive(Debug)]
pub enum Undo {
    Cell {
        column: u16,
        old: Value,
    },
    /// A map entry that this change put in or took out; `present` is how it was before.
    Presence {
        map: u16,
        slot: u32,
        present: bool,
    },
    /// A map entry's value.
    Entry {
        map: u16,
        slot: u32,
        old: Value,
    },
    /// A list's element was moved: its label.
    Label {
        map: u16,
        slot: u32,
        number: u64,
    },
    /// All of a list's elements got new labels and stand as they stood.
    Labels {
        map: u16,
        labels: Vec<(u32, u64)>,
    },
}

impl Undo {
    /// The slot of this map's entry that it is about.
    pub fn slot(&self, of: u16) -> Option<u32> {
        match self {
            Undo::Presence { map, slot, .. } | Undo::Entry { map, slot, .. } | Undo::Label { map, slot, .. } => {
                (*map == of).then_some(*slot)
            }
            Undo::Cell { .. } | Undo::Labels { .. } => None,
        }
    }
}

/// A lane with a `changed` handler that was written in this round, and its value before the first write.
#[derive(Debug, PartialEq)]
pub enum Seen {
    Column {
        watch: u16,
        column: u16,
        old: Value,
    },
    Entry {
        watch: u16,
        map: u16,
        key: Value,
        old: Value,
    },
    /// A list's element: where it stood, and whether it was moved from there.
    Element {
        watch: u16,
        map: u16,
        key: Value,
        old: Value,
        index: u32,
        moved: bool,
    },
}

/// The changes of one turn, all of one row.
#[derive(Debug, Default)]
pub struct Log {
    pub bits: Vec<OldBits>,
    /// Undone in their own order; no cell is in both lists.
    pub entries: Vec<Undo>,
    /// Panes of windows; independent of the cells.
    pub panes: Vec<OldPane>,
    pub seen: Vec<Seen>,
    /// One bit a column (hidden ones too), then one a map.
    pub touched: Vec<u64>,
    /// Map slots taken out in this turn: free again when it is kept.
    pub freed: Vec<(u16, u32)>,
    /// `touched` as it was when the log was sealed.
    pub sealed: Vec<u64>,
    /// Maps that were emptied, and how many entries the log had then: whoever listens to them is told so.
    pub cleared: Vec<(u16, usize)>,
    /// What was done to lists, in order, as whoever listens to them is told.
    pub lists: Vec<(u16, Operation)>,
    /// What the turn does to timers, in order, when it is kept.
    pub timers: Vec<TimerOp>,
}

/// How far a log had come.
#[derive(Debug)]
pub struct Mark {
    pub bits: usize,
    pub entries: usize,
    pub panes: usize,
    pub freed: usize,
    pub timers: usize,
    pub cleared: usize,
    pub lists: usize,
}

impl Log {
    pub fn mark(&self) -> Mark {
        Mark {
            bits: self.bits.len(),
            entries: self.entries.len(),
            panes: self.panes.len(),
            freed: self.freed.len(),
            timers: self.timers.len(),
            cleared: self.cleared.len(),
            lists: self.lists.len(),
        }
    }

    #[inline(always)]
    pub fn touch(&mut self, bit: usize) {
        self.touched[bit / 64] |= 1 << (bit % 64);
    }

    #[inline]
    pub fn reset(&mut self, words: usize) {
        // most are empty: the turn before was kept
        self.bits.clear();
        if !self.entries.is_empty() {
            self.entries.clear();
        }
        if !self.panes.is_empty() {
            self.panes.clear();
        }
        if !self.seen.is_empty() {
            self.seen.clear();
        }
        if !self.freed.is_empty() {
            self.freed.clear();
        }
        if !self.cleared.is_empty() {
            self.cleared.clear();
        }
        if !self.lists.is_empty() {
            self.lists.clear();
        }
        if !self.timers.is_empty() {
            self.timers.clear();
        }
        match self.touched.as_mut_slice() {
            [word] if words == 1 => *word = 0,
            touched if touched.len() == words => touched.fill(0),
            _ => self.touched = vec![0; words],
        }
    }

    /// Nothing before this point can be undone any more; what was touched and seen stays.
    pub fn seal(&mut self) {
        self.bits.clear();
        self.entries.clear();
        self.panes.clear();
    }
}
