//! The journal of a shard, for the loop.

use std::path::PathBuf;
use std::sync::mpsc::{TryRecvError, sync_channel};
use std::time::Duration;

use pyo3::prelude::*;

use crate::errors::RunFailed;
use crate::shard::Inner;

/// What a start has found in its store.
#[pyclass(frozen, get_all, module = "shoal._core")]
pub struct Recovered {
    /// The store was made just now.
    is_new: bool,
    twins: u64,
    /// Cells and entries that records have changed since the checkpoint.
    changes: u64,
    records: u64,
    /// The record that the checkpoint holds all up to; 0: there was none.
    checkpoint: u64,
    seconds: f64,
    /// Dead letters up to this number are in their file.
    letters: u64,
    /// Names the store, and no other that was ever made.
    store: String,
    /// What the operator should know.
    notes: Vec<String>,
}

/// How a journal is doing.
#[pyclass(frozen, get_all, module = "shoal._core")]
pub struct JournalStatus {
    /// Age of the oldest change that is not on the disk, s; 0: there is none.
    risk_seconds: f64,
    /// Turns that are not on the disk.
    risk_changes: u64,
    /// The newest record on the disk.
    durable: u64,
    /// What comes from outside waits for the disk.
    paused: bool,
    /// Of this run: records, their bytes, transactions (one fsync each).
    records: u64,
    bytes: u64,
    transactions: u64,
    /// The newest record that a checkpoint holds, and how long that checkpoint took.
    checkpoint: u64,
    checkpoint_seconds: f64,
    /// Bytes of records behind it.
    kept_bytes: u64,
    /// Why the last checkpoint could not be written; "": it could.
    problem: String,
}

pub fn open_store(state: &mut Inner, folder: PathBuf, forget: &[String]) -> PyResult<Recovered> {
    let found = state.core.open_store(&folder, forget).map_err(RunFailed::new_err)?;
    let shoal_core::recover::Recovered { is_new, twins, changes, records, checkpoint, seconds, letters, store, notes } =
        found;
    Ok(Recovered { is_new, twins, changes, records, checkpoint, seconds, letters, store, notes })
}

pub fn status(state: &Inner) -> Option<JournalStatus> {
    let shoal_core::journal::Status { risk, durable, paused, progress } = state.core.journal_status()?;
    Some(JournalStatus {
        risk_seconds: risk.seconds,
        risk_changes: risk.changes,
        durable,
        paused,
        records: progress.records,
        bytes: progress.bytes,
        transactions: progress.transactions,
        checkpoint: progress.checkpoint,
        checkpoint_seconds: progress.checkpoint_seconds,
        kept_bytes: progress.kept_bytes,
        problem: progress.problem.unwrap_or_default(),
    })
}

/// Fails where a write has failed: no turn may follow.
pub fn check(state: &Inner) -> PyResult<()> {
    match state.core.lost() {
        None => Ok(()),
        Some(reason) => Err(RunFailed::new_err(format!(
            "the journal cannot be written: {reason}. The run stops so that nothing leaves it that is not saved"
        ))),
    }
}

pub fn close(state: &mut Inner, seconds: f64) -> PyResult<()> {
    let patience = Duration::try_from_secs_f64(seconds).unwrap_or_default();
    state.core.close_journal(patience).map_err(RunFailed::new_err)
}

pub fn begin_backup(state: &mut Inner, to: PathBuf) -> PyResult<()> {
    if state.backup.is_some() {
        return Err(RunFailed::new_err("another backup of this store is being made: try again when it is done"));
    }
    let (sender, receiver) = sync_channel(1);
    state.core.backup(to, sender);
    state.backup = Some(receiver);
    Ok(())
}

pub fn backup_answer(state: &mut Inner) -> PyResult<Option<String>> {
    let Some(receiver) = &state.backup else { return Ok(None) };
    let answer = match receiver.try_recv() {
        Err(TryRecvError::Empty) => return Ok(None),
        Err(TryRecvError::Disconnected) => Err("the run has ended before the backup was made".to_owned()),
        Ok(answer) => answer,
    };
    state.backup = None;
    answer.map(Some).map_err(RunFailed::new_err)
}

/// What has been applied of a source: up to there, but these positions.
pub fn mark(state: &Inner, name: &str) -> Option<(u64, Vec<u64>)> {
    let mark = state.core.restored.get(name)?;
    (mark.through > 0).then(|| (mark.through, mark.waiting.clone()))
}
