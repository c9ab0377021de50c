//! What links of the app tell, as Python has it.

use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shoal_core::downlinks::AppNews;
use shoal_core::links::Operation;

use crate::convert::to_python as value;

/// (link, what, arguments of it …); see `shoal/app_link.py`.
pub fn to_python<'py>(py: Python<'py>, link: u16, news: &AppNews) -> PyResult<Bound<'py, PyTuple>> {
    match news {
        AppNews::Linked => (link, "linked").into_pyobject(py),
        AppNews::Begins => (link, "begins").into_pyobject(py),
        AppNews::Synced => (link, "synced").into_pyobject(py),
        AppNews::Broken => (link, "broken").into_pyobject(py),
        AppNews::Ended(reason) => (link, "ended", reason.as_str()).into_pyobject(py),
        AppNews::Came(operation) => match operation {
            Operation::Value(new) | Operation::Body(new) | Operation::Item(new) => {
                (link, "set", value(py, new)?).into_pyobject(py)
            }
            Operation::Update(key, new) => (link, "update", value(py, key)?, value(py, new)?).into_pyobject(py),
            Operation::Remove(key) => (link, "remove", value(py, key)?).into_pyobject(py),
            Operation::Clear => (link, "clear").into_pyobject(py),
            Operation::Element { index, key, value: new } => {
                (link, "element", *index, value(py, key)?, value(py, new)?).into_pyobject(py)
            }
            Operation::Move { from, to, key } => (link, "move", *from, *to, value(py, key)?).into_pyobject(py),
            Operation::Out { index, key } => (link, "out", *index, value(py, key)?).into_pyobject(py),
            Operation::Take(count) => (link, "take", *count).into_pyobject(py),
            Operation::Drop(count) => (link, "drop", *count).into_pyobject(py),
        },
    }
}
