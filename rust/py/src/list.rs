//! List lanes: the descriptor, and the view of one twin's elements that reading it gives.

use std::sync::OnceLock;

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyIndexError, PyTypeError, PyValueError};
use pyo3::prelude::*;
use pyo3::types::{PyList, PySlice, PyTuple};
use shoal_core::envelope::Bulk;
use shoal_core::turn::{Refusal, Within};
use shoal_core::value::Value;

use crate::cell::column_type;
use crate::convert::to_python;
use crate::errors::{WrongType, refused};
use crate::handle::Handle;
use crate::shard::Inner;
use crate::table::Side;

struct Bound_ {
    name: String,
    map: u16,
    value: Side,
}

#[pyclass(frozen, subclass, module = "shoal._core")]
pub struct ListTable {
    bound: OnceLock<Bound_>,
}

impl ListTable {
    fn bound(&self) -> PyResult<&Bound_> {
        self.bound.get().ok_or_else(|| WrongType::new_err("this lane belongs to no twin class yet"))
    }
}

#[pymethods]
impl ListTable {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyAny>>) -> Self {
        ListTable { bound: OnceLock::new() }
    }

    fn _bind(
        &self,
        name: String,
        map: u16,
        value: &str,
        decode: Option<Py<PyAny>>,
        encode: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let value = Side { kind: column_type(value)?, decode, encode };
        self.bound.set(Bound_ { name, map, value }).map_err(|_| WrongType::new_err("this lane is bound already"))
    }

    fn __get__<'py>(
        slf: &Bound<'py, Self>,
        obj: Option<&Bound<'py, PyAny>>,
        _owner: Option<&Bound<'py, PyAny>>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let Some(obj) = obj else { return Ok(slf.clone().into_any()) };
        let handle = obj.cast::<Handle>()?.clone().unbind();
        Ok(Bound::new(slf.py(), ListView { lane: slf.clone().unbind(), handle })?.into_any())
    }

    fn __set__(slf: &Bound<'_, Self>, obj: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let handle = obj.cast::<Handle>()?;
        if let Ok(same) = value.cast::<ListView>()
            && same.get().lane.is(slf)
            && same.get().handle.is(handle)
        {
            // what `self.stops += …` assigns
            return Ok(());
        }
        let view = ListView { lane: slf.clone().unbind(), handle: handle.clone().unbind() };
        // read first: the new elements may come out of this very list
        let fresh = view.encoded(value)?;
        view.clear(slf.py())?;
        view.put_in(slf.py(), 0, fresh)
    }
}

/// One twin's elements of a list lane; reads and writes go to the twin.
#[pyclass(frozen, sequence, module = "shoal._core")]
pub struct ListView {
    lane: Py<ListTable>,
    handle: Py<Handle>,
}

impl ListView {
    /// The lane, the shard's state, and the turn that may act; the state is dropped before Python code runs.
    #[inline]
    fn within<'a>(&'a self, py: Python<'a>) -> PyResult<(&'a Bound_, &'a mut Inner, Within)> {
        let bound = self.lane.get().bound()?;
        let handle = self.handle.get();
        let target = handle.target();
        let state = handle.shard(py)?.get().state()?;
        match state.core.within(target.population, target.row, target.id, || state.context.current(py)) {
            Ok(within) => Ok((bound, state, within)),
            Err(refusal) => Err(self.refused(bound, refusal)),
        }
    }

    fn refused(&self, bound: &Bound_, refusal: Refusal) -> PyErr {
        refused(refusal, &self.handle.get().node(), &bound.name)
    }

    /// One write.
    fn act<T>(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut shoal_core::shard::Shard, Within, u16) -> Result<T, Refusal>,
    ) -> PyResult<T> {
        let (bound, state, within) = self.within(py)?;
        act(&mut state.core, within, bound.map).map_err(|refusal| self.refused(bound, refusal))
    }

    /// The elements' values in order.
    fn cells(&self, py: Python<'_>) -> PyResult<Vec<Value>> {
        let (bound, state, _) = self.within(py)?;
        let target = self.handle.get().target();
        let table = &state.core.populations[target.population.0 as usize].table.maps[bound.map as usize];
        Ok(table.slots(target.row).map(|slot| table.value(slot)).collect())
    }

    /// Key and value of the element at an index.
    fn element(&self, py: Python<'_>, index: usize) -> PyResult<Option<(Value, Value)>> {
        let (bound, state, _) = self.within(py)?;
        let target = self.handle.get().target();
        let table = &state.core.populations[target.population.0 as usize].table.maps[bound.map as usize];
        Ok(table.at(target.row, index).map(|slot| (table.key(slot), table.value(slot))))
    }

    /// An index as Python has it, from the end where it is negative.
    fn place(&self, py: Python<'_>, index: isize) -> PyResult<usize> {
        let length = self.__len__(py)?;
        let place = if index < 0 { index + length as isize } else { index };
        if (0..length as isize).contains(&place) {
            return Ok(place as usize);
        }
        let name = &self.lane.get().bound()?.name;
        Err(PyIndexError::new_err(format!(
            "{}: `{name}` has {length} elements, and {index} is no index of it",
            self.handle.get().node()
        )))
    }

    fn encode(&self, value: &Bound<'_, PyAny>) -> PyResult<Value> {
        let bound = self.lane.get().bound()?;
        bound.value.encode(value).map_err(|error| {
            let node = self.handle.get().node();
            WrongType::new_err(format!("{node}: `{}` {}", bound.name, error.value(value.py())))
        })
    }

    fn encoded(&self, values: &Bound<'_, PyAny>) -> PyResult<Vec<Value>> {
        let values = values
            .try_iter()
            .map_err(|_| WrongType::new_err(format!("a list lane takes an iterable, not a {}", values.get_type())))?;
        values.map(|value| self.encode(&value?)).collect()
    }

    fn decode<'py>(&self, py: Python<'py>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
        self.lane.get().bound()?.value.decode(py, value)
    }

    fn decoded<'py>(&self, py: Python<'py>, values: &[Value]) -> PyResult<Bound<'py, PyList>> {
        let list = PyList::empty(py);
        for value in values {
            list.append(self.decode(py, value)?)?;
        }
        Ok(list)
    }

    fn list<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        self.decoded(py, &self.cells(py)?)
    }

    fn put_in(&self, py: Python<'_>, index: usize, values: Vec<Value>) -> PyResult<()> {
        for (offset, value) in values.into_iter().enumerate() {
            self.act(py, |core, within, map| core.list_insert(within, map, index + offset, None, value))?;
        }
        Ok(())
    }

    fn take_out(&self, py: Python<'_>, index: usize) -> PyResult<Value> {
        self.act(py, |core, within, map| core.list_remove(within, map, index))
    }

    fn replace(&self, py: Python<'_>, index: usize, value: Value) -> PyResult<()> {
        self.act(py, |core, within, map| core.list_update(within, map, index, value))
    }

    fn first(&self, value: &Bound<'_, PyAny>) -> PyResult<Option<usize>> {
        for (index, item) in self.list(value.py())?.iter().enumerate() {
            if item.eq(value)? {
                return Ok(Some(index));
            }
        }
        Ok(None)
    }

    fn set_slice(&self, slice: &Bound<'_, PySlice>, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = slice.py();
        let fresh = self.encoded(values)?;
        let (places, start) = self.places(slice)?;
        if slice.getattr("step")?.is_none() || slice.getattr("step")?.eq(1)? {
            let kept = places.len().min(fresh.len());
            for place in places[kept..].iter().rev() {
                self.take_out(py, *place)?;
            }
            let mut fresh = fresh;
            let rest = fresh.split_off(kept);
            for (place, value) in places.iter().zip(fresh) {
                self.replace(py, *place, value)?;
            }
            return self.put_in(py, start + kept, rest);
        }
        if places.len() != fresh.len() {
            return Err(PyValueError::new_err(format!(
                "attempt to assign sequence of size {} to extended slice of size {}",
                fresh.len(),
                places.len()
            )));
        }
        places.iter().zip(fresh).try_for_each(|(place, value)| self.replace(py, *place, value))
    }

    /// The indices of a slice, and where it begins.
    fn places(&self, slice: &Bound<'_, PySlice>) -> PyResult<(Vec<usize>, usize)> {
        let slice = slice.indices(self.__len__(slice.py())? as isize)?;
        let places = (0..slice.slicelength as isize).map(|at| (slice.start + at * slice.step) as usize).collect();
        Ok((places, slice.start.max(0) as usize))
    }
}

#[pymethods]
impl ListView {
    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let (bound, state, _) = self.within(py)?;
        let target = self.handle.get().target();
        Ok(state.core.populations[target.population.0 as usize].table.maps[bound.map as usize].len(target.row))
    }

    fn __getitem__<'py>(&self, index: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = index.py();
        if let Ok(slice) = index.cast::<PySlice>() {
            let cells = self.cells(py)?;
            let wanted: Vec<Value> = self.places(slice)?.0.into_iter().map(|place| cells[place].clone()).collect();
            return Ok(self.decoded(py, &wanted)?.into_any());
        }
        let place = self.place(py, whole(index)?)?;
        let (_, value) = self.element(py, place)?.unwrap_or_default();
        self.decode(py, &value)
    }

    fn __setitem__(&self, index: &Bound<'_, PyAny>, value: &Bound<'_, PyAny>) -> PyResult<()> {
        if let Ok(slice) = index.cast::<PySlice>() {
            return self.set_slice(slice, value);
        }
        let place = self.place(index.py(), whole(index)?)?;
        self.replace(index.py(), place, self.encode(value)?)
    }

    fn __delitem__(&self, index: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = index.py();
        if let Ok(slice) = index.cast::<PySlice>() {
            let mut places = self.places(slice)?.0;
            places.sort_unstable();
            return places.into_iter().rev().try_for_each(|place| self.take_out(py, place).map(|_| ()));
        }
        let place = self.place(py, whole(index)?)?;
        self.take_out(py, place).map(|_| ())
    }

    /// Over the elements as they are now.
    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        Ok(self.list(py)?.try_iter()?.into_any())
    }

    fn __reversed__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let list = self.list(py)?;
        list.reverse()?;
        Ok(list.try_iter()?.into_any())
    }

    fn __contains__(&self, value: &Bound<'_, PyAny>) -> PyResult<bool> {
        Ok(self.first(value)?.is_some())
    }

    #[pyo3(signature = (value, start = None, stop = None, /))]
    fn index(&self, value: &Bound<'_, PyAny>, start: Option<isize>, stop: Option<isize>) -> PyResult<usize> {
        let list = self.list(value.py())?;
        let found = list.call_method1("index", (value, start.unwrap_or(0), stop.unwrap_or(isize::MAX)))?;
        found.extract()
    }

    fn count(&self, value: &Bound<'_, PyAny>) -> PyResult<usize> {
        self.list(value.py())?.call_method1("count", (value,))?.extract()
    }

    fn insert(&self, index: isize, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, value) = (value.py(), self.encode(value)?);
        let length = self.__len__(py)? as isize;
        let place = if index < 0 { (index + length).max(0) } else { index.min(length) };
        self.put_in(py, place as usize, vec![value])
    }

    fn append(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let (py, value) = (value.py(), self.encode(value)?);
        self.put_in(py, self.__len__(py)?, vec![value])
    }

    fn extend(&self, values: &Bound<'_, PyAny>) -> PyResult<()> {
        let fresh = self.encoded(values)?;
        self.put_in(values.py(), self.__len__(values.py())?, fresh)
    }

    fn __iadd__(&self, values: &Bound<'_, PyAny>) -> PyResult<()> {
        self.extend(values)
    }

    #[pyo3(signature = (index = -1), text_signature = "($self, index=-1)")]
    fn pop<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        let place = self.place(py, index)?;
        let value = self.take_out(py, place)?;
        self.decode(py, &value)
    }

    fn remove(&self, value: &Bound<'_, PyAny>) -> PyResult<()> {
        match self.first(value)? {
            Some(place) => self.take_out(value.py(), place).map(|_| ()),
            None => Err(PyValueError::new_err(format!("{} is not in the list", value.repr()?))),
        }
    }

    /// The elements move, and keep their keys.
    fn reverse(&self, py: Python<'_>) -> PyResult<()> {
        let last = self.__len__(py)?.saturating_sub(1);
        (0..last).try_for_each(|to| self.act(py, |core, within, map| core.list_move(within, map, last, to)))
    }

    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.act(py, |core, within, map| core.list_bulk(within, map, Bulk::Clear))
    }

    fn r#move(&self, py: Python<'_>, from_: isize, to: isize) -> PyResult<()> {
        let (from, to) = (self.place(py, from_)?, self.place(py, to)?);
        self.act(py, |core, within, map| core.list_move(within, map, from, to))
    }

    fn take(&self, py: Python<'_>, n: isize) -> PyResult<()> {
        let count = counted(n)?;
        self.act(py, |core, within, map| core.list_bulk(within, map, Bulk::Take(count)))
    }

    fn drop(&self, py: Python<'_>, n: isize) -> PyResult<()> {
        let count = counted(n)?;
        self.act(py, |core, within, map| core.list_bulk(within, map, Bulk::Drop(count)))
    }

    fn key<'py>(&self, py: Python<'py>, index: isize) -> PyResult<Bound<'py, PyAny>> {
        let place = self.place(py, index)?;
        let (key, _) = self.element(py, place)?.unwrap_or_default();
        to_python(py, &key)
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> PyResult<Py<PyAny>> {
        let mine = self.list(py)?;
        match other.cast::<ListView>() {
            Ok(other) => mine.eq(other.get().list(py)?)?.into_py_any(py),
            Err(_) if other.is_instance_of::<PyList>() => mine.eq(other)?.into_py_any(py),
            Err(_) => Ok(py.NotImplemented()),
        }
    }

    fn __repr__(&self, py: Python<'_>) -> PyResult<String> {
        Ok(self.list(py)?.repr()?.to_string())
    }
}

fn whole(index: &Bound<'_, PyAny>) -> PyResult<isize> {
    index
        .extract()
        .map_err(|_| PyTypeError::new_err(format!("list indices must be integers or slices, not {}", index.get_type())))
}

fn counted(n: isize) -> PyResult<usize> {
    usize::try_from(n).map_err(|_| PyValueError::new_err(format!("{n} is no number of elements")))
}
