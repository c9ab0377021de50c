//! Histories: the values of a lane with their times, back to a time or a number of them. A history is one immutable list:
//! links, snapshots and undo take it as any other value, and a write costs a copy of it, so that it is kept short.

use crate::population::Population;
use crate::population::column::Column;
use crate::undo::Log;
use crate::value::Value;
use crate::window::{self, Stepped};

#[derive(Clone, Debug, PartialEq)]
pub struct Spec {
    pub out: u16,
    /// µs; None: as old as they are.
    pub last: Option<i64>,
    /// Entries, at most.
    pub count: usize,
}

impl Spec {
    fn is_over(&self, entry: &Value, now: i64) -> bool {
        let Value::List(parts) = entry else { return true };
        match (parts.first(), self.last) {
            (Some(Value::Time(time)), Some(last)) => time.saturating_add(last) <= now,
            _ => false,
        }
    }

    /// When the oldest entry leaves.
    pub fn due(&self, population: &Population, row: u32) -> Option<i64> {
        let last = self.last?;
        match entries(population, self.out, row).first()? {
            Value::List(parts) => match parts.first() {
                Some(Value::Time(time)) => Some(time.saturating_add(last)),
                _ => None,
            },
            _ => None,
        }
    }

    /// Adds a value of this time; false: there is none to add.
    pub fn step(&self, population: &mut Population, row: u32, x: Value, now: i64, log: &mut Log) -> bool {
        if x.is_null() {
            return false;
        }
        let old = entries(population, self.out, row);
        let from = old.iter().position(|entry| !self.is_over(entry, now)).unwrap_or(old.len());
        let from = from.max((old.len() + 1).saturating_sub(self.count));
        let entry = Value::List([Value::Time(now), x].into());
        let new: Vec<Value> = old[from..].iter().cloned().chain([entry]).collect();
        population.put(row, self.out, Value::List(new.into()), log);
        if let Some(last) = self.last {
            window::arm_by(population, row, now.saturating_add(last), now, log);
        }
        true
    }

    /// Entries that are too old by now leave.
    pub fn elapse(&self, population: &mut Population, row: u32, now: i64, log: &mut Log) -> Stepped {
        let old = entries(population, self.out, row);
        let from = old.iter().position(|entry| !self.is_over(entry, now)).unwrap_or(old.len());
        if from == 0 {
            return Stepped::No;
        }
        let new: Vec<Value> = old[from..].to_vec();
        population.put(row, self.out, Value::List(new.into()), log);
        Stepped::Yes
    }
}

fn entries(population: &Population, column: u16, row: u32) -> std::sync::Arc<[Value]> {
    match &population.columns[column as usize] {
        Column::Tree(cells) => match cells.get(row) {
            Value::List(items) => items.clone(),
            _ => [].into(),
        },
        _ => [].into(),
    }
}
