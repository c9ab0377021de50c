//! Stores that nobody runs: what they hold, copied, exported, mended. Answers are JSON (`shoal.stores`); the interpreter
//! is free meanwhile.

use std::path::{Path, PathBuf};

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use serde_json::{Value, json};
use shoal_core::journal::backup;
use shoal_core::journal::export::{ExportError, Format, export};
use shoal_core::journal::store::{self, StoreError};

use crate::errors::RunFailed;

/// The whole of the store, verified.
#[pyfunction]
pub fn store_check<'py>(py: Python<'py>, folder: PathBuf) -> PyResult<Bound<'py, PyBytes>> {
    let report = py.detach(|| store::check(&folder)).map_err(wrong)?;
    let checkpoint = |checkpoint: &store::CheckpointReport| json!({"number": checkpoint.number.0, "folder": checkpoint.folder, "bytes": checkpoint.bytes});
    let shard = |shard: &store::ShardReport| {
        json!({"shard": shard.shard.0, "epoch": shard.epoch.0, "first": shard.first.0, "last": shard.last.0,
            "bytes": shard.bytes})
    };
    Ok(told(
        py,
        &json!({
            "app": report.app,
            "shards": report.shards.iter().map(shard).collect::<Vec<_>>(),
            "checkpoints": report.checkpoints.iter().map(checkpoint).collect::<Vec<_>>(),
            "orphans": report.orphans,
            "cut": report.cut.map(|cut| json!({"after": cut.after.0, "bytes": cut.bytes})),
            "problems": report.problems,
        }),
    ))
}

#[pyfunction]
pub fn store_compact<'py>(py: Python<'py>, folder: PathBuf) -> PyResult<Bound<'py, PyBytes>> {
    let won = py.detach(|| store::compact(&folder)).map_err(wrong)?;
    let (before, after) = (won.bytes_before, won.bytes_after);
    Ok(told(py, &json!({"bytes_before": before, "bytes_after": after, "orphans": won.orphans})))
}

/// `app`: its name, in case the store does not say it any more.
#[pyfunction]
#[pyo3(signature = (folder, app = None))]
pub fn store_repair<'py>(py: Python<'py>, folder: PathBuf, app: Option<String>) -> PyResult<Bound<'py, PyBytes>> {
    let repaired = py.detach(|| store::repair(&folder, app.as_deref())).map_err(wrong)?;
    let lost = |lost: &store::Lost| json!({"first": lost.first.0, "last": lost.last.map(|last| last.0), "since": lost.since, "until": lost.until});
    let kept = |kept: &store::Kept| {
        json!({"shard": kept.shard.0, "checkpoint": kept.checkpoint.map(|number| number.0), "through": kept.through.0,
            "lost": kept.lost.as_ref().map(lost)})
    };
    let aside: Vec<_> = repaired.aside.iter().map(|path| path.to_string_lossy()).collect();
    let shards: Vec<_> = repaired.shards.iter().map(kept).collect();
    Ok(told(py, &json!({"aside": aside, "shards": shards, "notes": repaired.notes})))
}

/// The present state, as files for other programs. `format`: "arrow" or "jsonl".
#[pyfunction]
pub fn store_export<'py>(py: Python<'py>, folder: PathBuf, to: PathBuf, format: &str) -> PyResult<Bound<'py, PyBytes>> {
    let format = if format == "jsonl" { Format::Lines } else { Format::Arrow };
    let made = py.detach(|| export(&folder, &to, format)).map_err(|error| match error {
        ExportError::Store(error) => wrong(error),
        ExportError::State(sentence) => RunFailed::new_err(sentence),
    })?;
    let (record, twins, files, bytes) = (made.record.0, made.twins, made.files, made.bytes);
    Ok(told(py, &json!({"record": record, "twins": twins, "files": files, "bytes": bytes})))
}

/// A copy of a store that nobody runs; the number of the last record in it.
#[pyfunction]
pub fn store_backup(py: Python<'_>, folder: PathBuf, to: PathBuf) -> PyResult<u64> {
    py.detach(|| backup::backup(&folder, &to)).map(|record| record.0).map_err(wrong)
}

fn told<'py>(py: Python<'py>, answer: &Value) -> Bound<'py, PyBytes> {
    PyBytes::new(py, answer.to_string().as_bytes())
}

fn wrong(error: StoreError) -> PyErr {
    RunFailed::new_err(match error {
        StoreError::InUse { dir, process } => in_use(&dir, process),
        error => error.to_string(),
    })
}

/// What a run says here, names another folder as the way out, which is none here.
fn in_use(dir: &Path, process: Option<u32>) -> String {
    let dir = dir.display();
    let who = process.map_or_else(|| "another process".to_owned(), |process| format!("process {process}"));
    format!("{dir}: {who} is using this store: stop it first, or `shoal store backup {dir} COPY` and look at the copy")
}
