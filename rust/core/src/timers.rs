//! Timers of a shard: one for each (twin, timer method); set again moves it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::{FxHashMap, FxHashSet};

use crate::population::{PopulationId, TwinId};

/// A population's timer methods, then the holds of its thresholds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TimerNumber(pub u16);

/// What a turn does to its twin's timers, when it is kept.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum TimerOp {
    /// `every`: set again by itself after this many µs.
    Set {
        timer: TimerNumber,
        due: i64,
        every: Option<i64>,
    },
    Cancel {
        timer: TimerNumber,
    },
}

#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct TimerKey {
    pub population: PopulationId,
    pub twin: TwinId,
    pub timer: TimerNumber,
}

#[derive(Clone, Copy, Debug)]
struct Armed {
    due: i64,
    number: u64,
    every: Option<i64>,
}

/// Bounded by the twins' timers: a moved timer leaves one stale entry, and the heap is rebuilt when half of it is stale.
#[derive(Default)]
pub struct Timers {
    armed: FxHashMap<TimerKey, Armed>,
    heap: BinaryHeap<Reverse<(i64, u64, TimerKey)>>,
    next_number: u64,
    /// For a journal: those that were set, cancelled or taken since `take_changes`.
    changed: Option<FxHashSet<TimerKey>>,
}

impl Timers {
    pub fn set(&mut self, key: TimerKey, due: i64, every: Option<i64>) {
        let number = self.next_number;
        self.next_number += 1;
        if let Some(changed) = &mut self.changed {
            changed.insert(key);
        }
        self.armed.insert(key, Armed { due, number, every });
        self.heap.push(Reverse((due, number, key)));
        if self.heap.len() > 64 && self.heap.len() > 2 * self.armed.len() {
            self.heap = self.armed.iter().map(|(key, armed)| Reverse((armed.due, armed.number, *key))).collect();
        }
    }

    /// A timer of a store, under the number that it had there.
    pub fn restore(&mut self, key: TimerKey, due: i64, every: Option<i64>, number: u64) {
        self.next_number = self.next_number.max(number.saturating_add(1));
        self.armed.insert(key, Armed { due, number, every });
        self.heap.push(Reverse((due, number, key)));
    }

    pub fn cancel(&mut self, key: TimerKey) {
        if self.armed.remove(&key).is_some()
            && let Some(changed) = &mut self.changed
        {
            changed.insert(key);
        }
    }

    /// From here on changes are kept for a journal.
    pub fn keep_changes(&mut self) {
        self.changed = Some(FxHashSet::default());
    }

    /// The timers that have changed since the last call.
    pub fn take_changes(&mut self) -> Vec<TimerKey> {
        self.changed.as_mut().map_or_else(Vec::new, |changed| changed.drain().collect())
    }

    /// When it is due, its period, and its place among those that are due then; None: it is not set.
    pub fn get(&self, key: TimerKey) -> Option<(i64, Option<i64>, u64)> {
        self.armed.get(&key).map(|armed| (armed.due, armed.every, armed.number))
    }

    /// The earliest, when it is armed.
    #[inline]
    pub fn next_due(&mut self) -> Option<i64> {
        while let Some(Reverse((due, number, key))) = self.heap.peek() {
            if self.armed.get(key).is_some_and(|armed| armed.number == *number) {
                return Some(*due);
            }
            self.heap.pop();
        }
        None
    }

    /// Takes the earliest timer that is due until `now`, in the order of due times, then of setting.
    pub fn take(&mut self, now: i64) -> Option<(TimerKey, i64, Option<i64>)> {
        if self.next_due()? > now {
            return None;
        }
        let Reverse((due, _, key)) = self.heap.pop()?;
        let armed = self.armed.remove(&key)?;
        if let Some(changed) = &mut self.changed {
            changed.insert(key);
        }
        Some((key, due, armed.every))
    }

    /// Moves all timers: the clock has found out what time it is.
    pub fn shift(&mut self, by: i64) {
        for armed in self.armed.values_mut() {
            armed.due = armed.due.saturating_add(by);
        }
        if let Some(changed) = &mut self.changed {
            changed.extend(self.armed.keys().copied());
        }
        self.heap = self.armed.iter().map(|(key, armed)| Reverse((armed.due, armed.number, *key))).collect();
    }

    pub fn len(&self) -> usize {
        self.armed.len()
    }

    pub fn is_empty(&self) -> bool {
        self.armed.is_empty()
    }

    /// All that are armed, ordered: for comparing states.
    pub fn all(&self) -> Vec<(TimerKey, i64, Option<i64>)> {
        let mut all: Vec<_> = self.armed.iter().map(|(key, armed)| (*key, armed.due, armed.every)).collect();
        all.sort();
        all
    }
}
