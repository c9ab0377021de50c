//! The descriptor of a lane that is one column: `self.speed` reads the cell, `self.speed = 31.5` writes it.

use std::sync::OnceLock;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyTuple};
use shoal_core::declaration::ColumnType;
use shoal_core::population::column::Column;
use shoal_core::value::Value;

use crate::convert::{from_python, point_to_python, scalar, time_to_python, to_python};
use crate::errors::{Unset, WrongType, refused};
use crate::handle::Handle;

/// What `_bind` has told.
struct Bound_ {
    name: String,
    column: u16,
    kind: ColumnType,
    nullable: bool,
    read_only: String,
    decode: Option<Py<PyAny>>,
    encode: Option<Py<PyAny>>,
}

#[pyclass(frozen, subclass, module = "shoal._core")]
pub struct Cell {
    bound: OnceLock<Bound_>,
}

/// A column type by its name in the declaration.
pub fn column_type(name: &str) -> PyResult<ColumnType> {
    serde_json::from_value(serde_json::Value::String(name.to_owned()))
        .map_err(|_| WrongType::new_err(format!("`{name}` is no column type")))
}

#[pymethods]
impl Cell {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyAny>>) -> Self {
        Cell { bound: OnceLock::new() }
    }

    #[expect(clippy::too_many_arguments, reason = "one call binds the descriptor; see the stub")]
    fn _bind(
        &self,
        name: String,
        column: u16,
        r#type: &str,
        nullable: bool,
        read_only: String,
        decode: Option<Py<PyAny>>,
        encode: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let kind = column_type(r#type)?;
        let bound = Bound_ { name, column, kind, nullable, read_only, decode, encode };
        self.bound.set(bound).map_err(|_| WrongType::new_err("this lane is bound already"))
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        obj: Option<&Bound<'py, PyAny>>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let py = slf.py();
        let Some(obj) = obj else { return Ok(slf.clone().into_any()) };
        let bound = slf.get().bound()?;
        let handle = obj.cast::<Handle>()?.get();
        let target = handle.target();
        let shard = handle.shard(py)?;
        let state = shard.get().state()?;
        if let Err(refusal) = state.core.within(target.population, target.row, target.id, || state.context.current(py)) {
            return Err(refused(refusal, &handle.node(), &bound.name));
        }
        let column = &state.core.populations[target.population.0 as usize].table.columns[bound.column as usize];
        let object = match column {
            Column::Float(cells) => cells.get(target.row).map(|x| PyFloat::new(py, x).into_any()),
            Column::Int(cells) => cells.get(target.row).map(|x| PyInt::new(py, x).into_any()),
            Column::Bool(cells) => cells.get(target.row).map(|x| PyBool::new(py, x).to_owned().into_any()),
            Column::Text(_) => column.text(target.row).map(|text| PyString::new(py, text).into_any()),
            Column::Time(cells) => cells.get(target.row).map(|x| time_to_python(py, x)).transpose()?,
            Column::Point(cells) => cells.get(target.row).map(|[lat, lon]| point_to_python(py, lat, lon)).transpose()?,
            column => match column.get(target.row) {
                Value::Null => None,
                value => Some(to_python(py, &value)?),
            },
        };
        match (object, &bound.decode) {
            (Some(object), None) => Ok(object),
            (Some(object), Some(decode)) => decode.bind(py).call1((object,)),
            (None, _) if bound.nullable => Ok(py.None().into_bound(py)),
            (None, _) => Err(Unset::new_err(format!(
                "{}: `{}` has no value yet; give the lane a default, or allow None in its type",
                handle.node(),
                bound.name
            ))),
        }
    }

    fn __set__(slf: &Bound<'_, Self>, obj: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slf.py();
        let bound = slf.get().bound()?;
        let handle = obj.cast::<Handle>()?.get();
        if !bound.read_only.is_empty() {
            return Err(WrongType::new_err(format!("{}: `{}` {}", handle.node(), bound.name, bound.read_only)));
        }
        let cell = match &bound.encode {
            None => match scalar(bound.kind, value) {
                Some(cell) => cell,
                None => bound.convert(handle, value)?,
            },
            Some(encode) => bound.convert(handle, &encode.bind(py).call1((value,))?)?,
        };
        let target = handle.target();
        let state = handle.shard(py)?.get().state()?;
        let within = match state.core.within(target.population, target.row, target.id, || state.context.current(py)) {
            Ok(within) => within,
            Err(refusal) => return Err(refused(refusal, &handle.node(), &bound.name)),
        };
        match state.core.write(within, bound.column, cell) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refused(refusal, &handle.node(), &bound.name)),
        }
    }
}

impl Cell {
    #[inline(always)]
    fn bound(&self) -> PyResult<&Bound_> {
        self.bound.get().ok_or_else(|| WrongType::new_err("this lane belongs to no twin class yet"))
    }
}

impl Bound_ {
    #[cold]
    fn convert(&self, handle: &Handle, value: &Bound<'_, PyAny>) -> PyResult<Value> {
        if value.is_none() && !self.nullable {
            return Err(WrongType::new_err(format!(
                "{}: `{}` takes no None; allow it in the lane's type: Value(… | None)",
                handle.node(),
                self.name
            )));
        }
        from_python(value).map_err(|error| {
            let py = value.py();
            WrongType::new_err(format!("{}: `{}` cannot hold it: {}", handle.node(), self.name, error.value(py)))
        })
    }
}
