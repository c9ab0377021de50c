//! Requests: questions that twins and programs ask, and the replies of their handlers.

use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::PyType;
use shoal_core::envelope::Body;
use shoal_core::request::Address;
use shoal_core::turn::{Refusal, Within};

use crate::convert::{from_python, to_python};
use crate::errors::AskFailed;
use crate::shard::Shard;

/// Whether a handler has only begun: its result comes later.
pub fn is_coroutine(result: &Bound<'_, PyAny>) -> PyResult<bool> {
    static COROUTINE: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    result.is_instance(COROUTINE.import(result.py(), "types", "CoroutineType")?)
}

/// Keeps what a handler has given as its turn's reply, by the lane's type; nothing where the turn answers no request.
///
/// Errors: it is of another type.
pub fn reply(py: Python<'_>, shard: &Bound<'_, Shard>, within: Within, result: &Bound<'_, PyAny>) -> PyResult<()> {
    let encode = {
        let state = shard.get().state()?;
        let Some((population, command)) = state.core.answering(within) else { return Ok(()) };
        state.classes[population.0 as usize].replies[command as usize].as_ref().map(|encode| encode.clone_ref(py))
    };
    let value = match encode {
        Some(encode) => from_python(&encode.bind(py).call1((result,))?)?,
        None => from_python(result)?,
    };
    // the turn may have gone: then nobody wants the reply
    _ = shard.get().state()?.core.put_reply(within, value);
    Ok(())
}

/// Asks; `question` is kept until it is settled or forgotten.
pub fn ask(
    shard: &Bound<'_, Shard>,
    within: Option<Within>,
    target: Address,
    command: u16,
    body: Body,
    question: Py<PyAny>,
) -> Result<u64, Refusal> {
    let state = shard.get().state().map_err(|error| Refusal::Ask(error.to_string()))?;
    let number = state.core.ask_twin(within, target, command, body)?;
    state.questions.insert(number, question);
    Ok(number)
}

/// Tells those who wait: `settle(reply, "", "")`, or `settle(None, kind, reason)`.
pub fn settle(shard: &Bound<'_, Shard>) -> PyResult<()> {
    let py = shard.py();
    for (number, reply) in shard.get().state()?.core.requests.take_answered() {
        let Some(question) = shard.get().state()?.questions.remove(&number) else { continue };
        let (value, kind, reason) = match &reply {
            Ok(value) => (to_python(py, value)?, "", ""),
            Err((kind, reason)) => (py.None().into_bound(py), kind.name(), reason.as_str()),
        };
        question.bind(py).call_method1(pyo3::intern!(py, "settle"), (value, kind, reason))?;
    }
    Ok(())
}

/// A plain handler cannot wait.
pub fn not_async(shard: &Bound<'_, Shard>, population: u16, command: u16, node: &str) -> PyErr {
    let lane = match shard.get().state() {
        Ok(state) => {
            let decl = &state.core.populations[population as usize].decl;
            format!("{}.{}", decl.name, decl.commands[command as usize].name)
        }
        Err(error) => return error,
    };
    AskFailed::new_err(format!(
        "{node}: only an `async def` handler can wait for the answer of {lane}: write `async def` and `await`"
    ))
}
