//! `Preview`: a look at a source's first records, before there is a shard.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use pyo3::prelude::*;
use pyo3::types::PyBytes;

use crate::errors::{DeclarationError, RunFailed};

#[pyclass(frozen, module = "shoal._core")]
pub struct Preview {
    /// None: a shard has taken it over. Locked for one call.
    inner: Mutex<Option<shoal_core::preview::Preview>>,
}

impl Preview {
    fn with<R>(&self, f: impl FnOnce(&shoal_core::preview::Preview) -> R) -> PyResult<R> {
        match &*self.inner.lock().unwrap_or_else(PoisonError::into_inner) {
            Some(preview) => Ok(f(preview)),
            None => Err(RunFailed::new_err("this source is a shard's by now")),
        }
    }

    pub fn take(&self) -> Option<shoal_core::preview::Preview> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

#[pymethods]
impl Preview {
    #[new]
    fn new(file: &[u8]) -> PyResult<Self> {
        let spec = serde_json::from_slice(file)
            .map_err(|error| DeclarationError::new_err(format!("the source cannot be read: {error}")))?;
        let preview =
            shoal_core::preview::Preview::open(spec).map_err(|error| RunFailed::new_err(error.to_string()))?;
        Ok(Preview { inner: Mutex::new(Some(preview)) })
    }

    #[pyo3(signature = (frm, to, seconds, /))]
    fn look<'py>(&self, py: Python<'py>, frm: usize, to: usize, seconds: f64) -> PyResult<Vec<Bound<'py, PyBytes>>> {
        let patience = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::ZERO);
        let texts = py.detach(|| self.with(|preview| preview.look(frm, to, patience)))?.map_err(RunFailed::new_err)?;
        Ok(texts.iter().map(|text| PyBytes::new(py, text)).collect())
    }

    fn header(&self) -> PyResult<Option<Vec<String>>> {
        self.with(shoal_core::preview::Preview::header)
    }

    fn total(&self) -> PyResult<Option<usize>> {
        self.with(shoal_core::preview::Preview::total)
    }

    /// Ends the reader.
    fn close(&self) {
        drop(self.take());
    }
}
