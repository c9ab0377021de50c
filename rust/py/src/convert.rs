//! Values of columns to Python objects and back. Bool and number never convert into each other.

use ecow::{EcoString, EcoVec};
use pyo3::exceptions::PyOverflowError;
use pyo3::intern;
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{
    PyBool, PyBytes, PyDateTime, PyDelta, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMapping, PyMappingProxy,
    PyString, PyTuple, PyType, PyTzInfo,
};
use shoal_core::declaration::ColumnType;
use shoal_core::links::LinkInfo;
use shoal_core::recon::MAX_DEPTH;
use shoal_core::value::Value;

use crate::errors::WrongType;

fn point_class(py: Python<'_>) -> PyResult<&Bound<'_, PyType>> {
    static POINT: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    POINT.import(py, "shoal.types", "Point")
}

fn epoch(py: Python<'_>) -> PyResult<&Bound<'_, PyAny>> {
    static EPOCH: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
    let make = || -> PyResult<Py<PyAny>> {
        let utc = PyTzInfo::utc(py)?.to_owned();
        Ok(PyDateTime::new(py, 1970, 1, 1, 0, 0, 0, 0, Some(&utc))?.into_any().unbind())
    };
    Ok(EPOCH.get_or_try_init(py, make)?.bind(py))
}

/// A column's value in its builtin form: Null is None, Time an aware datetime in UTC, Point a `Point`.
pub fn to_python<'py>(py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    Ok(match value {
        Value::Null => py.None().into_bound(py),
        Value::Bool(x) => PyBool::new(py, *x).to_owned().into_any(),
        Value::Int(x) => PyInt::new(py, *x).into_any(),
        Value::Float(x) => PyFloat::new(py, *x).into_any(),
        Value::Time(x) => time_to_python(py, *x)?,
        Value::Point(lat, lon) => point_to_python(py, *lat, *lon)?,
        Value::Text(text) => PyString::new(py, text).into_any(),
        Value::Bytes(bytes) => PyBytes::new(py, bytes).into_any(),
        Value::List(items) => {
            let list = PyList::empty(py);
            for item in items.iter() {
                list.append(to_python(py, item)?)?;
            }
            list.into_any()
        }
        Value::Map(members) => {
            let dict = PyDict::new(py);
            for (name, item) in members.iter() {
                dict.set_item(name.as_str(), to_python(py, item)?)?;
            }
            dict.into_any()
        }
    })
}

pub fn point_to_python<'py>(py: Python<'py>, lat: f64, lon: f64) -> PyResult<Bound<'py, PyAny>> {
    point_class(py)?.call1((lat, lon))
}

/// A `shoal.LinkInfo`.
pub fn link_to_python<'py>(py: Python<'py>, link: &LinkInfo) -> PyResult<Bound<'py, PyAny>> {
    static CLASS: PyOnceLock<Py<PyType>> = PyOnceLock::new();
    let class = CLASS.import(py, "shoal.lanes.links", "LinkInfo")?;
    let (query, fragment) = (link.query(), link.fragment());
    class.call1((link.remote.as_str(), link.lane.as_str(), query, fragment, link.prio, link.rate))
}

pub fn time_to_python(py: Python<'_>, micros: i64) -> PyResult<Bound<'_, PyAny>> {
    let day = 86_400_000_000;
    let rest = micros.rem_euclid(day);
    let delta =
        PyDelta::new(py, micros.div_euclid(day) as i32, (rest / 1_000_000) as i32, (rest % 1_000_000) as i32, false)?;
    epoch(py)?.add(delta)
}

/// A datetime with a zone as µs since 1970 UTC.
fn time_from_python(object: &Bound<'_, PyAny>) -> PyResult<Option<i64>> {
    let py = object.py();
    if object.getattr(intern!(py, "tzinfo"))?.is_none() {
        return Ok(None);
    }
    let since = object.sub(epoch(py)?)?;
    let days: i64 = since.getattr(intern!(py, "days"))?.extract()?;
    let seconds: i64 = since.getattr(intern!(py, "seconds"))?.extract()?;
    let micros: i64 = since.getattr(intern!(py, "microseconds"))?.extract()?;
    Ok(Some((days * 86_400 + seconds) * 1_000_000 + micros))
}

/// What was read of a lane of any type, as it is handed out: lists as tuples, dicts as read-only mappings, so that nobody
/// changes a copy and believes to have changed the lane.
#[pyfunction]
#[pyo3(signature = (value, /))]
pub fn frozen<'py>(value: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let py = value.py();
    if let Ok(list) = value.cast::<PyList>() {
        let items = list.iter().map(|item| frozen(&item)).collect::<PyResult<Vec<_>>>()?;
        return Ok(PyTuple::new(py, items)?.into_any());
    }
    if let Ok(dict) = value.cast::<PyDict>() {
        let members = PyDict::new(py);
        for (name, member) in dict.iter() {
            members.set_item(name, frozen(&member)?)?;
        }
        return Ok(PyMappingProxy::new(py, members.as_mapping()).into_any());
    }
    Ok(value.clone())
}

/// Any builtin value as a `Value`. Errors: WrongType for a type that no column holds, and for what is nested more than
/// `MAX_DEPTH` deep; OverflowError beyond int64.
pub fn from_python(object: &Bound<'_, PyAny>) -> PyResult<Value> {
    from_nested(object, 0)
}

fn from_nested(object: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth > MAX_DEPTH {
        return Err(WrongType::new_err(format!("it is nested more than {MAX_DEPTH} levels deep")));
    }
    if object.is_none() {
        return Ok(Value::Null);
    }
    if let Ok(x) = object.cast::<PyFloat>() {
        return Ok(Value::Float(x.value()));
    }
    if let Ok(x) = object.cast::<PyBool>() {
        return Ok(Value::Bool(x.is_true()));
    }
    if object.is_instance_of::<PyInt>() {
        return object.extract().map(Value::Int).map_err(|_| PyOverflowError::new_err("beyond int64"));
    }
    if let Ok(text) = object.cast::<PyString>() {
        return Ok(Value::Text(EcoString::from(&*text.to_cow()?)));
    }
    if let Ok(bytes) = object.cast::<PyBytes>() {
        return Ok(Value::Bytes(EcoVec::from(bytes.as_bytes())));
    }
    if object.is_instance_of::<PyTuple>() && object.get_type().is(point_class(object.py())?) {
        let (lat, lon): (f64, f64) = object.extract()?;
        return Ok(Value::Point(lat, lon));
    }
    if object.is_instance_of::<PyList>() || object.is_instance_of::<PyTuple>() || object.is_instance_of::<PyFrozenSet>()
    {
        let items: PyResult<Vec<Value>> = object.try_iter()?.map(|item| from_nested(&item?, depth + 1)).collect();
        return Ok(Value::List(items?.into()));
    }
    if object.is_instance_of::<PyDateTime>() {
        return match time_from_python(object)? {
            Some(time) => Ok(Value::Time(time)),
            None => Err(WrongType::new_err("a datetime without a time zone; give it one, such as tzinfo=timezone.utc")),
        };
    }
    if let Ok(mapping) = object.cast::<PyMapping>() {
        let mut members: Vec<(EcoString, Value)> = Vec::with_capacity(mapping.len()?);
        for pair in mapping.items()?.iter() {
            let (key, item): (Bound<'_, PyAny>, Bound<'_, PyAny>) = pair.extract()?;
            let name = match from_python(&key)? {
                Value::Text(text) => text,
                Value::Int(x) => x.to_string().into(),
                _ => return Err(WrongType::new_err("keys of a mapping must be str or int")),
            };
            members.push((name, from_nested(&item, depth + 1)?));
        }
        return Ok(Value::Map(members.into()));
    }
    Err(WrongType::new_err(format!("a {} is no value of a lane", object.get_type().name()?)))
}

/// What an assigned object is to a column of this type: the hot path of `__set__`. None: `from_python` and `fit` decide.
#[inline(always)]
pub fn scalar(kind: ColumnType, object: &Bound<'_, PyAny>) -> Option<Value> {
    match kind {
        ColumnType::Float64 => match object.cast_exact::<PyFloat>() {
            Ok(x) => Some(Value::Float(x.value())),
            Err(_) => None,
        },
        ColumnType::Int64 => match object.cast_exact::<PyInt>() {
            Ok(x) => x.extract().ok().map(Value::Int),
            Err(_) => None,
        },
        ColumnType::Bool => match object.cast_exact::<PyBool>() {
            Ok(x) => Some(Value::Bool(x.is_true())),
            Err(_) => None,
        },
        ColumnType::String => match object.cast_exact::<PyString>() {
            Ok(text) => text.to_str().ok().map(|text| Value::Text(text.into())),
            Err(_) => None,
        },
        _ => None,
    }
}

/// Arguments of a call that need no tuple.
pub const FEW: usize = 8;

/// Calls a function with these arguments, up to the first None.
#[inline(always)]
pub fn called<'py, const N: usize>(
    function: &Bound<'py, PyAny>,
    arguments: [Option<Bound<'py, PyAny>>; N],
) -> PyResult<Bound<'py, PyAny>> {
    const { assert!(N <= FEW) };
    let mut pointers = [std::ptr::null_mut::<pyo3::ffi::PyObject>(); FEW + 1];
    let mut count = 0;
    while let Some(Some(argument)) = arguments.get(count) {
        count += 1;
        pointers[count] = argument.as_ptr();
    }
    // SAFETY: live objects, which `arguments` holds during the call. The place before the first may be written by the call.
    unsafe {
        let result = match vectorcall() {
            Some(vectorcall) => vectorcall(
                function.as_ptr(),
                pointers.as_mut_ptr().add(1),
                count | ARGUMENTS_OFFSET,
                std::ptr::null_mut(),
            ),
            // the first null pointer ends them
            None => pyo3::ffi::PyObject_CallFunctionObjArgs(
                function.as_ptr(),
                pointers[1],
                pointers[2],
                pointers[3],
                pointers[4],
                pointers[5],
                pointers[6],
                pointers[7],
                pointers[8],
                std::ptr::null_mut::<pyo3::ffi::PyObject>(),
            ),
        };
        Bound::from_owned_ptr_or_err(function.py(), result)
    }
}

/// PEP 590: the callable, its arguments, their number and a flag, the names of those given by name.
type Vectorcall = unsafe extern "C" fn(
    *mut pyo3::ffi::PyObject,
    *const *mut pyo3::ffi::PyObject,
    usize,
    *mut pyo3::ffi::PyObject,
) -> *mut pyo3::ffi::PyObject;

/// PY_VECTORCALL_ARGUMENTS_OFFSET: the place before the first argument may be written.
const ARGUMENTS_OFFSET: usize = 1 << (usize::BITS - 1);

/// `PyObject_Vectorcall`, public since CPython 3.9 and of the stable ABI since 3.12: a module for 3.11's looks it up.
#[inline(always)]
fn vectorcall() -> Option<Vectorcall> {
    static FOUND: std::sync::OnceLock<Option<Vectorcall>> = std::sync::OnceLock::new();
    *FOUND.get_or_init(|| {
        // SAFETY: a name that ends with NUL. A function of this name has had this type since it was made.
        unsafe {
            let symbol = libc::dlsym(libc::RTLD_DEFAULT, c"PyObject_Vectorcall".as_ptr());
            (!symbol.is_null()).then(|| std::mem::transmute::<*mut libc::c_void, Vectorcall>(symbol))
        }
    })
}

/// A tuple of `length` objects, made in place: no list of them is kept on the way.
#[inline(always)]
pub fn tuple<'py>(
    py: Python<'py>,
    length: usize,
    mut item: impl FnMut(usize) -> PyResult<Bound<'py, PyAny>>,
) -> PyResult<Bound<'py, PyTuple>> {
    // SAFETY: a new tuple of null items, each of which is set once before anybody sees it; `SetItem` takes the reference.
    // On an error the tuple is dropped with the items that it has.
    unsafe {
        let made = Bound::from_owned_ptr_or_err(py, pyo3::ffi::PyTuple_New(length as pyo3::ffi::Py_ssize_t))?;
        for at in 0..length {
            pyo3::ffi::PyTuple_SetItem(made.as_ptr(), at as pyo3::ffi::Py_ssize_t, item(at)?.into_ptr());
        }
        Ok(made.cast_into_unchecked())
    }
}
