//! The descriptor of a lane that is one column: `self.speed` reads the cell, `self.speed = 31.5` writes it.

use std::ffi::{CStr, c_int, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::OnceLock;

use pyo3::ffi::{self, PyType_Slot, PyType_Spec};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::panic::PanicException;
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyFloat, PyInt, PyString, PyTuple, PyType};
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

/// The base of `shoal._core.Cell`, which adds the two slots below.
#[pyclass(frozen, subclass, name = "_Cell", module = "shoal._core")]
pub struct Cell {
    bound: OnceLock<Bound_>,
    /// The class of twins that was seen first, nearly always the only one: kept, so that its address stays its own.
    class: OnceLock<Py<PyAny>>,
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
        Cell { bound: OnceLock::new(), class: OnceLock::new() }
    }

    /// The class holds its lanes, and they hold the class.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(class) = self.class.get() {
            visit.call(class)?;
        }
        if let Some(bound) = self.bound.get() {
            visit.call(&bound.decode)?;
            visit.call(&bound.encode)?;
        }
        Ok(())
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
}

impl Cell {
    /// `self.speed`
    #[inline(always)]
    fn read<'py>(&self, py: Python<'py>, handle: &Handle) -> PyResult<Bound<'py, PyAny>> {
        let bound = self.bound()?;
        let target = handle.target();
        let shard = handle.shard(py)?;
        let state = shard.get().state()?;
        if let Err(refusal) = state.core.within(target.population, target.row, target.id, || state.context.current(py))
        {
            return Err(refused(refusal, &handle.node(), &bound.name));
        }
        let column = &state.core.populations[target.population.0 as usize].table.columns[bound.column as usize];
        let object = match column {
            Column::Float(cells) => cells.get(target.row).map(|x| PyFloat::new(py, x).into_any()),
            Column::Int(cells) => cells.get(target.row).map(|x| PyInt::new(py, x).into_any()),
            Column::Bool(cells) => cells.get(target.row).map(|x| PyBool::new(py, x).to_owned().into_any()),
            Column::Text(_) => column.text(target.row).map(|text| PyString::new(py, text).into_any()),
            Column::Time(cells) => cells.get(target.row).map(|x| time_to_python(py, x)).transpose()?,
            Column::Point(cells) => {
                cells.get(target.row).map(|[lat, lon]| point_to_python(py, lat, lon)).transpose()?
            }
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

    /// `self.speed = 31.5`
    #[inline(always)]
    fn write(&self, py: Python<'_>, handle: &Handle, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let bound = self.bound()?;
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
        let written = match cell {
            Value::Float(x) => state.core.write_float(within, bound.column, x),
            Value::Int(x) => state.core.write_int(within, bound.column, x),
            _ => false,
        };
        if written {
            return Ok(());
        }
        match state.core.write(within, bound.column, cell) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refused(refusal, &handle.node(), &bound.name)),
        }
    }

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

// -- the slots

/// Adds `Cell` to the module: the class above with slots of its own. A lane is read and written several times an event; these
/// slots do the same as `__get__` and `__set__` methods would, without their conversions of arguments.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let slots = [
        PyType_Slot { slot: ffi::Py_tp_descr_get, pfunc: get as *mut c_void },
        PyType_Slot { slot: ffi::Py_tp_descr_set, pfunc: set as *mut c_void },
    ];
    let class = with_slots(&module.py().get_type::<Cell>(), c"shoal._core.Cell", &slots)?;
    module.add("Cell", class)
}

/// A class like `base` with these slots besides.
pub fn with_slots<'py>(
    base: &Bound<'py, PyType>,
    name: &'static CStr,
    slots: &[PyType_Slot],
) -> PyResult<Bound<'py, PyAny>> {
    let py = base.py();
    let mut slots = slots.to_vec();
    slots.push(PyType_Slot { slot: 0, pfunc: std::ptr::null_mut() });
    let mut spec = PyType_Spec {
        name: name.as_ptr(),
        basicsize: 0,
        itemsize: 0,
        flags: (ffi::Py_TPFLAGS_DEFAULT | ffi::Py_TPFLAGS_BASETYPE) as u32,
        slots: slots.as_mut_ptr(),
    };
    let bases = PyTuple::new(py, [base])?;
    // SAFETY: spec, slots and bases outlive the call; the size is the base's, to which nothing is added.
    unsafe { Bound::from_owned_ptr_or_err(py, ffi::PyType_FromSpecWithBases(&raw mut spec, bases.as_ptr())) }
}

/// The twin that a descriptor was asked about; `seen` is the class of the first. Errors: it is no twin.
///
/// # Safety
/// `obj` is a live object.
#[inline(always)]
pub unsafe fn handle_of<'a>(
    py: Python<'a>,
    seen: &OnceLock<Py<PyAny>>,
    obj: *mut ffi::PyObject,
) -> PyResult<Borrowed<'a, 'a, Handle>> {
    // SAFETY: by the contract above; it lives at least as long as the call that holds the GIL. An object of a class
    // whose objects were found to be twins is one.
    unsafe {
        let object = Borrowed::from_ptr(py, obj);
        match seen.get() {
            Some(class) if class.as_ptr() == ffi::Py_TYPE(obj).cast() => Ok(object.cast_unchecked::<Handle>()),
            _ => another_class(seen, object),
        }
    }
}

#[inline(never)]
fn another_class<'a>(
    seen: &OnceLock<Py<PyAny>>,
    object: Borrowed<'a, 'a, PyAny>,
) -> PyResult<Borrowed<'a, 'a, Handle>> {
    let handle = object.cast::<Handle>()?;
    _ = seen.set(object.get_type().into_any().unbind());
    Ok(handle)
}

extern "C" fn get(slf: *mut ffi::PyObject, obj: *mut ffi::PyObject, _owner: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guarded(std::ptr::null_mut(), |py| {
        // SAFETY: Python calls the slot with live objects; `slf` is a Cell, `obj` is null on the class itself.
        unsafe {
            if obj.is_null() || obj == ffi::Py_None() {
                ffi::Py_INCREF(slf);
                return Ok(slf);
            }
            let cell = Borrowed::from_ptr(py, slf).cast_unchecked::<Cell>();
            cell.get().read(py, handle_of(py, &cell.get().class, obj)?.get()).map(Bound::into_ptr)
        }
    })
}

extern "C" fn set(slf: *mut ffi::PyObject, obj: *mut ffi::PyObject, value: *mut ffi::PyObject) -> c_int {
    guarded(-1, |py| {
        // SAFETY: as above; `value` is null where the attribute is deleted.
        unsafe {
            let cell = Borrowed::from_ptr(py, slf).cast_unchecked::<Cell>();
            if value.is_null() {
                let name = &cell.get().bound()?.name;
                return Err(WrongType::new_err(format!(
                    "`{name}` cannot be deleted: a lane always is; write None, or a default"
                )));
            }
            let value = Borrowed::from_ptr(py, value);
            cell.get().write(py, handle_of(py, &cell.get().class, obj)?.get(), &value).map(|()| 0)
        }
    })
}

/// Runs a slot: its error, or its panic, becomes Python's.
#[inline(always)]
pub fn guarded<T>(failed: T, run: impl FnOnce(Python<'_>) -> PyResult<T>) -> T {
    // SAFETY: Python calls its slots with the GIL held.
    let py = unsafe { Python::assume_attached() };
    match catch_unwind(AssertUnwindSafe(|| run(py))) {
        Ok(Ok(value)) => value,
        Ok(Err(error)) => {
            error.restore(py);
            failed
        }
        Err(panic) => {
            let what = panic.downcast_ref::<&str>().copied().unwrap_or("the core has panicked");
            PanicException::new_err(what.to_owned()).restore(py);
            failed
        }
    }
}
