//! Dead letters, as Python sees them.

use pyo3::prelude::*;
use pyo3::types::PyBytes;

/// What could not be applied, and why.
#[pyclass(frozen, get_all, module = "shoal._core")]
pub struct DeadLetter {
    origin: String,
    sequence: u64,
    time: i64,
    node: String,
    lane: String,
    kind: String,
    reason: String,
    record: Py<PyBytes>,
    number: u64,
}

#[pymethods]
impl DeadLetter {
    #[new]
    #[pyo3(signature = (origin, sequence, time, node, lane, kind, reason, record, number = 0))]
    #[expect(clippy::too_many_arguments, reason = "one for each field")]
    fn new(
        origin: String,
        sequence: u64,
        time: i64,
        node: String,
        lane: String,
        kind: String,
        reason: String,
        record: Py<PyBytes>,
        number: u64,
    ) -> Self {
        DeadLetter { origin, sequence, time, node, lane, kind, reason, record, number }
    }

    fn __repr__(&self) -> String {
        format!("<DeadLetter {}:{} {} {}>", self.origin, self.sequence, self.kind, self.reason)
    }
}

impl DeadLetter {
    pub fn of(py: Python<'_>, letter: shoal_core::envelope::DeadLetter) -> Self {
        DeadLetter {
            number: letter.number,
            origin: letter.origin,
            sequence: letter.sequence,
            time: letter.time,
            node: letter.node,
            lane: letter.lane,
            kind: letter.kind.name().to_owned(),
            reason: letter.reason,
            record: PyBytes::new(py, &letter.record).unbind(),
        }
    }
}
