//! What a source, or commands, have come to.

use pyo3::prelude::*;

/// read = applied + filtered + dead + waiting
#[pyclass(frozen, get_all, eq, module = "shoal._core")]
#[derive(Clone, PartialEq)]
pub struct Counts {
    read: u64,
    applied: u64,
    filtered: u64,
    dead: u64,
    waiting: u64,
    late: u64,
    state: String,
}

#[pymethods]
impl Counts {
    #[new]
    fn new(read: u64, applied: u64, filtered: u64, dead: u64, waiting: u64, late: u64, state: String) -> Self {
        Counts { read, applied, filtered, dead, waiting, late, state }
    }

    fn __repr__(&self) -> String {
        let Counts { read, applied, filtered, dead, waiting, late, state } = self;
        format!(
            "Counts(read={read}, applied={applied}, filtered={filtered}, dead={dead}, waiting={waiting}, late={late}, state={state:?})"
        )
    }
}

impl Counts {
    pub fn of(counts: &shoal_core::shard::Counts, state: String) -> Self {
        let waiting = counts.waiting();
        let shoal_core::shard::Counts { read, applied, filtered, dead, late } = *counts;
        Counts { read, applied, filtered, dead, waiting, late, state }
    }
}
