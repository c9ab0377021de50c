//! Timers of a shard: one for each (twin, timer method); set again moves it.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use rustc_hash::FxHashMap;

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
}

impl Timers {
    pub fn set(&mut self, key: TimerKey, due: i64, every: Option<i64>) {
        let number = self.next_number;
        self.next_number += 1;
        self.armed.insert(key, Armed { due, number, every });
        self.heap.push(Reverse((due, number, key)));
        if self.heap.len() > 64 && self.heap.len() > 2 * self.armed.len() {
            self.heap = self.armed.iter().map(|(key, armed)| Reverse((armed.due, armed.number, *key))).collect();
        }
    }

    pub fn cancel(&mut self, key: TimerKey) {
        self.armed.remove(&key);
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
        Some((key, due, armed.every))
    }

    /// Moves all timers: the clock has found out what time it is.
    pub fn shift(&mut self, by: i64) {
        for armed in self.armed.values_mut() {
            armed.due = armed.due.saturating_add(by);
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
