//! Map lanes: the descriptor, and the view of one twin's entries that reading it gives.

use std::sync::OnceLock;

use pyo3::exceptions::PyKeyError;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyList, PyTuple};
use shoal_core::declaration::ColumnType;
use shoal_core::population::column::{fit, fits};
use shoal_core::turn::Within;
use shoal_core::value::Value;

use crate::cell::column_type;
use crate::convert::{from_python, scalar, to_python};
use crate::errors::{WrongType, refused};
use crate::handle::Handle;
use crate::shard::Inner;

/// The way of one side of an entry, key or value.
pub struct Side {
    pub kind: ColumnType,
    pub decode: Option<Py<PyAny>>,
    pub encode: Option<Py<PyAny>>,
}

impl Side {
    #[inline]
    pub fn decode<'py>(&self, py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
        let object = to_python(py, value)?;
        match &self.decode {
            Some(decode) => decode.bind(py).call1((object,)),
            None => Ok(object),
        }
    }

    #[inline(always)]
    pub fn encode(&self, object: &Bound<'_, PyAny>) -> PyResult<Value> {
        if self.encode.is_none()
            && let Some(value) = scalar(self.kind, object)
            && fits(self.kind, &value)
        {
            return Ok(value);
        }
        self.convert(object)
    }

    #[inline(never)]
    fn convert(&self, object: &Bound<'_, PyAny>) -> PyResult<Value> {
        let value = match &self.encode {
            Some(encode) => from_python(&encode.bind(object.py()).call1((object,))?)?,
            None => from_python(object)?,
        };
        fit(self.kind, value).map_err(|misfit| WrongType::new_err(misfit.to_string()))
    }
}

struct Bound_ {
    name: String,
    map: u16,
    key: Side,
    value: Side,
    default: Option<Py<PyAny>>,
}

#[pyclass(frozen, subclass, module = "shoal._core")]
pub struct Table {
    bound: OnceLock<Bound_>,
}

impl Table {
    fn bound(&self) -> PyResult<&Bound_> {
        self.bound.get().ok_or_else(|| WrongType::new_err("this lane belongs to no twin class yet"))
    }
}

#[pymethods]
impl Table {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyAny>>) -> Self {
        Table { bound: OnceLock::new() }
    }

    #[expect(clippy::too_many_arguments, reason = "one call binds the descriptor; see the stub")]
    fn _bind(
        &self,
        name: String,
        map: u16,
        key: &str,
        value: &str,
        decode_key: Option<Py<PyAny>>,
        encode_key: Option<Py<PyAny>>,
        decode_value: Option<Py<PyAny>>,
        encode_value: Option<Py<PyAny>>,
        default: Py<PyAny>,
        has_default: bool,
    ) -> PyResult<()> {
        let key = Side { kind: column_type(key)?, decode: decode_key, encode: encode_key };
        let value = Side { kind: column_type(value)?, decode: decode_value, encode: encode_value };
        let bound = Bound_ { name, map, key, value, default: has_default.then_some(default) };
        self.bound.set(bound).map_err(|_| WrongType::new_err("this lane is bound already"))
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        obj: Option<&Bound<'py, PyAny>>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(obj) = obj else { return Ok(slf.clone().into_any()) };
        let handle = obj.cast::<Handle>()?.clone().unbind();
        Ok(Bound::new(slf.py(), TableView { lane: slf.clone().unbind(), handle })?.into_any())
    }

    fn __set__(slf: &Bound<'_, Self>, obj: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let view = TableView { lane: slf.clone().unbind(), handle: obj.cast::<Handle>()?.clone().unbind() };
        // read first: the new entries may come out of this very map
        let fresh = PyDict::new(slf.py());
        fresh.update(
            value
                .cast::<pyo3::types::PyMapping>()
                .map_err(|_| WrongType::new_err(format!("a map lane takes a mapping, not a {}", value.get_type())))?,
        )?;
        view.clear(slf.py())?;
        for (key, value) in fresh.iter() {
            view.__setitem__(&key, &value)?;
        }
        Ok(())
    }
}

/// One twin's entries of a map lane, in the order of insertion; reads and writes go to the twin.
#[pyclass(frozen, mapping, module = "shoal._core")]
pub struct TableView {
    lane: Py<Table>,
    handle: Py<Handle>,
}

impl TableView {
    /// The lane, the shard's state, and the turn that may act; the state is dropped before Python code runs.
    #[inline]
    fn within<'a>(&'a self, py: Python<'a>) -> PyResult<(&'a Bound_, &'a mut Inner, Within)> {
        let bound = self.lane.get().bound()?;
        let handle = self.handle.get();
        let target = handle.target();
        let state = handle.shard(py)?.get().state()?;
        match state.core.within(target.population, target.row, target.id, || state.context.current(py)) {
            Ok(within) => Ok((bound, state, within)),
            Err(refusal) => Err(refused(refusal, &handle.node(), &bound.name)),
        }
    }

    /// The entries' (key, value) in order.
    fn entries(&self, py: Python<'_>) -> PyResult<Vec<(Value, Value)>> {
        let (bound, state, _) = self.within(py)?;
        let target = self.handle.get().target();
        let table = &state.core.populations[target.population.0 as usize].table.maps[bound.map as usize];
        Ok(table.slots(target.row).map(|slot| (table.key(slot), table.value(slot))).collect())
    }

    fn find(&self, py: Python<'_>, key: &Value) -> PyResult<Option<Value>> {
        let (bound, state, _) = self.within(py)?;
        let target = self.handle.get().target();
        let table = &state.core.populations[target.population.0 as usize].table.maps[bound.map as usize];
        Ok(table.find(target.row, key).map(|slot| table.value(slot)))
    }

    fn remove(&self, py: Python<'_>, key: &Value) -> PyResult<Option<Value>> {
        let (bound, state, within) = self.within(py)?;
        let removed = state.core.map_remove(within, bound.map, key);
        removed.map_err(|refusal| refused(refusal, &self.handle.get().node(), &bound.name))
    }

    fn wrong(&self, bound: &Bound_, error: &PyErr, py: Python<'_>) -> PyErr {
        WrongType::new_err(format!("{}: `{}` {}", self.handle.get().node(), bound.name, error.value(py)))
    }
}

#[pymethods]
impl TableView {
    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let bound = self.lane.get().bound()?;
        let cell = bound.key.encode(key).map_err(|error| self.wrong(bound, &error, py))?;
        match (self.find(py, &cell)?, &bound.default) {
            (Some(value), _) => bound.value.decode(py, &value),
            (None, Some(default)) => Ok(default.bind(py).clone()),
            (None, None) => Err(PyKeyError::new_err(key.clone().unbind())),
        }
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        let bound = self.lane.get().bound()?;
        let key = bound.key.encode(key).map_err(|error| self.wrong(bound, &error, py))?;
        let value = bound.value.encode(value).map_err(|error| self.wrong(bound, &error, py))?;
        let (_, state, within) = self.within(py)?;
        let done = state.core.map_put(within, bound.map, key, value);
        done.map_err(|refusal| refused(refusal, &self.handle.get().node(), &bound.name))
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let bound = self.lane.get().bound()?;
        let cell = bound.key.encode(key).map_err(|error| self.wrong(bound, &error, key.py()))?;
        match self.remove(key.py(), &cell)? {
            Some(_) => Ok(()),
            None => Err(PyKeyError::new_err(key.clone().unbind())),
        }
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.keys(py)?.try_iter()?.into_any())
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let (bound, state, _) = self.within(py)?;
        let target = self.handle.get().target();
        Ok(state.core.populations[target.population.0 as usize].table.maps[bound.map as usize].len(target.row))
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let bound = self.lane.get().bound()?;
        match bound.key.encode(key) {
            Ok(cell) => Ok(self.find(key.py(), &cell)?.is_some()),
            Err(_) => Ok(false),
        }
    }

    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let bound = self.lane.get().bound()?;
        let list = PyList::empty(py);
        for (key, _) in self.entries(py)? {
            list.append(bound.key.decode(py, &key)?)?;
        }
        Ok(list)
    }

    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let bound = self.lane.get().bound()?;
        let list = PyList::empty(py);
        for (_, value) in self.entries(py)? {
            list.append(bound.value.decode(py, &value)?)?;
        }
        Ok(list)
    }

    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let bound = self.lane.get().bound()?;
        let list = PyList::empty(py);
        for (key, value) in self.entries(py)? {
            list.append((bound.key.decode(py, &key)?, bound.value.decode(py, &value)?))?;
        }
        Ok(list)
    }

    #[pyo3(signature = (key, default = None, /))]
    fn get<'py>(&self, key: &Bound<'py, PyAny>, default: Option<Bound<'py, PyAny>>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let bound = self.lane.get().bound()?;
        if let Ok(cell) = bound.key.encode(key)
            && let Some(value) = self.find(py, &cell)?
        {
            return bound.value.decode(py, &value);
        }
        Ok(default.unwrap_or_else(|| py.None().into_bound(py)))
    }

    #[pyo3(signature = (key, *default))]
    fn pop<'py>(&self, key: &Bound<'py, PyAny>, default: &Bound<'py, PyTuple>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        let bound = self.lane.get().bound()?;
        let cell = bound.key.encode(key).map_err(|error| self.wrong(bound, &error, py))?;
        match self.remove(py, &cell)? {
            Some(value) => bound.value.decode(py, &value),
            None if default.is_empty() => Err(PyKeyError::new_err(key.clone().unbind())),
            None => default.get_item(0),
        }
    }

    fn popitem<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyAny>, Bound<'py, PyAny>)> {
        let bound = self.lane.get().bound()?;
        let Some((key, _)) = self.entries(py)?.pop() else {
            return Err(PyKeyError::new_err("the map is empty"));
        };
        let value = self.remove(py, &key)?.unwrap_or_default();
        Ok((bound.key.decode(py, &key)?, bound.value.decode(py, &value)?))
    }

    #[pyo3(signature = (key, default = None, /))]
    fn setdefault<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        if !self.__contains__(key)? {
            let default = default.unwrap_or_else(|| key.py().None().into_bound(key.py()));
            self.__setitem__(key, &default)?;
        }
        self.__getitem__(key)
    }

    #[pyo3(signature = (other = None, /, **entries))]
    fn update(
        &self,
        py: Python<'_>,
        other: Option<Bound<'_, PyAny>>,
        entries: Option<Bound<'_, PyDict>>,
    ) -> PyResult<()> {
        let fresh = PyDict::new(py);
        if let Some(other) = other {
            fresh.call_method1("update", (other,))?;
        }
        if let Some(entries) = entries {
            fresh.update(entries.as_mapping())?;
        }
        for (key, value) in fresh.iter() {
            self.__setitem__(&key, &value)?;
        }
        Ok(())
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        for (key, _) in self.entries(py)? {
            self.remove(py, &key)?;
        }
        let (bound, state, within) = self.within(py)?;
        let cleared = state.core.map_cleared(within, bound.map);
        cleared.map_err(|refusal| refused(refusal, &self.handle.get().node(), &bound.name))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<bool> {
        let mine = PyDict::new(py);
        mine.update_from(self.items(py)?.as_any())?;
        match other.cast::<TableView>() {
            Ok(other) => {
                let theirs = PyDict::new(py);
                theirs.update_from(other.get().items(py)?.as_any())?;
                mine.eq(theirs)
            }
            Err(_) => mine.eq(other),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        let shown: Vec<String> = self
            .items(py)?
            .iter()
            .map(|pair| Ok(format!("{}: {}", pair.get_item(0)?.repr()?, pair.get_item(1)?.repr()?)))
            .collect::<PyResult<_>>()?;
        Ok(format!("{{{}}}", shown.join(", ")))
    }
}

trait UpdateFrom {
    fn update_from(&self, pairs: &Bound<'_, PyAny>) -> PyResult<()>;
}

impl UpdateFrom for Bound<'_, PyDict> {
    fn update_from(&self, pairs: &Bound<'_, PyAny>) -> PyResult<()> {
        self.call_method1("update", (pairs,)).map(|_| ())
    }
}
