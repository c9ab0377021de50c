//! Every exception that crosses the boundary is made here; the classes are Python's (`shoal.errors`).

use pyo3::PyErr;
use pyo3::exceptions::PyIndexError;
use shoal_core::turn::Refusal;

pyo3::import_exception!(shoal.errors, AskFailed);
pyo3::import_exception!(shoal.errors, DeclarationError);
pyo3::import_exception!(shoal.errors, HandlerDeadline);
pyo3::import_exception!(shoal.errors, NoSuchTwin);
pyo3::import_exception!(shoal.errors, NotInTurn);
pyo3::import_exception!(shoal.errors, OverLimit);
pyo3::import_exception!(shoal.errors, ReconDecodeError);
pyo3::import_exception!(shoal.errors, ReconError);
pyo3::import_exception!(shoal.errors, RunFailed);
pyo3::import_exception!(shoal.errors, ShoalError);
pyo3::import_exception!(shoal.errors, TwinStopped);
pyo3::import_exception!(shoal.errors, Unset);
pyo3::import_exception!(shoal.errors, WouldDeadlock);
pyo3::import_exception!(shoal.errors, WrongThread);
pyo3::import_exception!(shoal.errors, WrongType);

/// What the core refuses a handler. `node` and `lane` say where.
#[cold]
pub fn refused(refusal: Refusal, node: &str, lane: &str) -> PyErr {
    match refusal {
        Refusal::NotInTurn => NotInTurn::new_err(format!(
            "{node}: `{lane}` is only at hand in the twin's own turn; from elsewhere send it a command: self.at(…).command(…)"
        )),
        Refusal::TwinStopped => TwinStopped::new_err(format!(
            "`{lane}` of a twin that has left memory; keep its URI and use self.at(uri) instead of the object"
        )),
        Refusal::Misfit { lane, misfit } => WrongType::new_err(format!("{node}: `{lane}` {misfit}")),
        Refusal::Fold(error) => OverLimit::new_err(format!("{node}: {error}")),
        Refusal::NoElement(reason) => PyIndexError::new_err(format!("{node}: {reason}")),
        Refusal::Limit(reason) => OverLimit::new_err(format!("{node}: {reason}")),
        Refusal::Ask(reason) => AskFailed::new_err(reason),
        Refusal::Deadlock(reason) => WouldDeadlock::new_err(reason),
    }
}

#[cold]
pub fn wrong_thread(forked: bool) -> PyErr {
    WrongThread::new_err(match forked {
        true => {
            "this process was forked from the shard's, whose twins stay there: start a helper process by spawning it"
        }
        false => {
            "twins live in their shard's thread; hand this thread plain values, or send a command with loop.call_soon_threadsafe"
        }
    })
}
