//! The module `shoal._core`. It converts and forwards; what to do is decided in `shoal_core` or in Python.
//!
//! - `shard`: the loop's side: batches, turns, sources, dead letters, committed state
//! - `preview`: a look at a source's first records
//! - `handle`: a twin in a handler's hands; `cell`, `table`, `list` and `teller` are its lanes' descriptors
//! - `convert`: values of columns to Python and back; `body`: the same for commands
//! - `recon`: Recon to builtin objects and back
//! - `deadline`: interrupts handlers that never return
//! - `class`: the functions of a twin class
//! - `counts`, `letter`: numbers and dead letters for Python
//! - `server`: the listener, begun and ended; `journal`: what is saved; `store`: the same while nobody runs it
//! - `errors`: every exception, made in one place

mod body;
mod cell;
mod class;
mod convert;
mod counts;
mod deadline;
mod errors;
mod handle;
mod journal;
mod letter;
mod list;
mod news;
mod preview;
mod recon;
mod request;
mod server;
mod shard;
mod store;
mod table;
mod teller;
mod turns;

use pyo3::prelude::*;

#[pymodule]
mod _core {
    #[pymodule_export]
    use crate::convert::frozen;
    #[pymodule_export]
    use crate::counts::Counts;
    #[pymodule_export]
    use crate::handle::Handle;
    #[pymodule_export]
    use crate::journal::{JournalStatus, Recovered};
    #[pymodule_export]
    use crate::letter::DeadLetter;
    #[pymodule_export]
    use crate::list::{ListTable, ListView};
    #[pymodule_export]
    use crate::preview::Preview;
    #[pymodule_export]
    use crate::recon::{recon_canonical, recon_tagged, warp_fields};
    #[pymodule_export]
    use crate::shard::Shard;
    #[pymodule_export]
    use crate::store::{store_backup, store_check, store_compact, store_export, store_repair};
    #[pymodule_export]
    use crate::table::{Table, TableView};
    #[pymodule_export]
    use crate::teller::{Cueing, CueingKey, Pushing};
    #[pymodule_export]
    use crate::turns::Turns;

    use pyo3::prelude::*;
    use pyo3::types::IntoPyDict;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        let after = wrap_pyfunction!(crate::shard::_after_fork, module)?;
        let hook = [("after_in_child", after)].into_py_dict(module.py())?;
        module.py().import("os")?.call_method("register_at_fork", (), Some(&hook))?;
        crate::cell::add(module)?;
        crate::teller::add(module)?;
        crate::recon::add(module)?;
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
