//! The descriptor of a lane that only tells those who have linked it (supply, demand, demand map), and what reading it in a
//! turn gives: an object to push or to cue with, used again while nobody else holds it.

use std::cell::UnsafeCell;
use std::ffi::c_void;
use std::sync::OnceLock;

use pyo3::PyClass;
use pyo3::ffi::{self, PyType_Slot};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::PyTuple;
use shoal_core::declaration::ColumnType;
use shoal_core::shard;
use shoal_core::turn::{Refusal, Within};
use shoal_core::value::Value;

use crate::cell::{column_type, guarded, handle_of, with_slots};
use crate::convert::{from_python, scalar};
use crate::errors::{WrongType, refused};
use crate::handle::Handle;

#[derive(Clone, Copy)]
enum Kind {
    Demand,
    DemandMap,
    Supply,
}

/// What `_bind` has told.
struct Bound_ {
    name: String,
    kind: Kind,
    /// Among the class's lanes of its kind.
    number: u16,
    /// Of a supply lane's items, of a demand map's keys.
    column: Option<ColumnType>,
    encode: Option<Py<PyAny>>,
}

/// The base of `shoal._core.Teller`, which adds the slot below.
#[pyclass(frozen, subclass, name = "_Teller", module = "shoal._core")]
pub struct Teller {
    bound: OnceLock<Bound_>,
    /// As that of a `Cell`.
    class: OnceLock<Py<PyAny>>,
}

#[pymethods]
impl Teller {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyAny>>) -> Self {
        Teller { bound: OnceLock::new(), class: OnceLock::new() }
    }

    /// The class holds its lanes, and they hold the class.
    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        if let Some(class) = self.class.get() {
            visit.call(class)?;
        }
        match self.bound.get() {
            Some(bound) => visit.call(&bound.encode),
            None => Ok(()),
        }
    }

    #[pyo3(signature = (name, kind, number, r#type = None, encode = None))]
    fn _bind(
        &self,
        name: String,
        kind: &str,
        number: u16,
        r#type: Option<&str>,
        encode: Option<Py<PyAny>>,
    ) -> PyResult<()> {
        let kind = match kind {
            "demand" => Kind::Demand,
            "demand map" => Kind::DemandMap,
            "supply" => Kind::Supply,
            _ => return Err(WrongType::new_err(format!("`{kind}` is no kind of lane that only tells"))),
        };
        let column = r#type.map(column_type).transpose()?;
        let bound = Bound_ { name, kind, number, column, encode };
        self.bound.set(bound).map_err(|_| WrongType::new_err("this lane is bound already"))
    }
}

impl Teller {
    #[inline(always)]
    fn bound(&self) -> PyResult<&Bound_> {
        self.bound.get().ok_or_else(|| WrongType::new_err("this lane belongs to no twin class yet"))
    }
}

impl Bound_ {
    /// An item or a key. It is looked at whether anybody listens or not: a turn must not fail by who does.
    #[inline]
    fn value(&self, object: &Bound<'_, PyAny>) -> PyResult<Value> {
        match (&self.encode, self.column) {
            (Some(encode), _) => from_python(&encode.bind(object.py()).call1((object,))?),
            (None, Some(column)) => scalar(column, object).map_or_else(|| from_python(object), Ok),
            (None, None) => from_python(object),
        }
    }
}

// -- what reading the lane gives

/// Which lane of which twin.
struct At {
    /// Only touched with the GIL held; written when only the class's `Views` hold the object.
    lane: UnsafeCell<Py<Teller>>,
    /// No object of Python's: that one is used again for the next turn, while nobody holds it.
    twin: Handle,
}

// SAFETY: `lane` is read and written with the GIL held only, and its writer is the only holder of the object.
unsafe impl Sync for At {}

impl At {
    #[inline(always)]
    fn lane(&self) -> PyResult<&Bound_> {
        // SAFETY: see the field; no writer runs while a method of the object does.
        unsafe { &*self.lane.get() }.get().bound()
    }

    /// One act of the twin's turn.
    #[inline(always)]
    fn act(
        &self,
        py: Python<'_>,
        act: impl FnOnce(&mut shard::Shard, Within, u16) -> Result<(), Refusal>,
    ) -> PyResult<()> {
        let bound = self.lane()?;
        let target = self.twin.target();
        let state = self.twin.shard(py)?.get().state()?;
        let within = state.core.within(target.population, target.row, target.id, || state.context.current(py));
        match within.and_then(|within| act(&mut state.core, within, bound.number)) {
            Ok(()) => Ok(()),
            Err(refusal) => Err(refused(refusal, &self.twin.node(), &bound.name)),
        }
    }
}

/// A twin's demand lane.
#[pyclass(frozen, module = "shoal._core")]
pub struct Cueing(At);

#[pymethods]
impl Cueing {
    fn cue(&self, py: Python<'_>) -> PyResult<()> {
        self.0.act(py, |core, within, demand| core.cue(within, demand, None))
    }
}

/// A twin's demand-map lane.
#[pyclass(frozen, module = "shoal._core")]
pub struct CueingKey(At);

#[pymethods]
impl CueingKey {
    #[pyo3(signature = (key, /))]
    fn cue(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = self.0.lane()?.value(key)?;
        self.0.act(key.py(), |core, within, demand| core.cue(within, demand, Some(value)))
    }

    #[pyo3(signature = (key, /))]
    fn remove(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = self.0.lane()?.value(key)?;
        self.0.act(key.py(), |core, within, demand| core.gone(within, demand, value))
    }
}

/// A twin's supply lane.
#[pyclass(frozen, module = "shoal._core")]
pub struct Pushing(At);

#[pymethods]
impl Pushing {
    #[pyo3(signature = (item, /))]
    fn push(&self, item: &Bound<'_, PyAny>) -> PyResult<()> {
        let value = self.0.lane()?.value(item)?;
        self.0.act(item.py(), |core, within, supply| core.push(within, supply, value))
    }
}

/// The objects of the last reads in a class, used again while nobody else holds them.
#[derive(Default)]
pub struct Views {
    cueing: Option<Py<Cueing>>,
    cueing_key: Option<Py<CueingKey>>,
    pushing: Option<Py<Pushing>>,
}

trait View: PyClass<Frozen = pyo3::pyclass::boolean_struct::True> + Into<PyClassInitializer<Self>> + Sync {
    fn new(at: At) -> Self;
    fn at(&self) -> &At;
    fn kept(views: &mut Views) -> &mut Option<Py<Self>>;
}

macro_rules! views {
    ($($view:ident $kept:ident),*) => {$(
        impl View for $view {
            fn new(at: At) -> Self {
                $view(at)
            }
            #[inline(always)]
            fn at(&self) -> &At {
                &self.0
            }
            #[inline(always)]
            fn kept(views: &mut Views) -> &mut Option<Py<Self>> {
                &mut views.$kept
            }
        }
    )*};
}

views!(Cueing cueing, CueingKey cueing_key, Pushing pushing);

/// `self.nearest`
#[inline(always)]
fn view<V: View>(lane: Borrowed<'_, '_, Teller>, handle: &Handle) -> PyResult<*mut ffi::PyObject> {
    let py = lane.py();
    let target = handle.target();
    let state = handle.shard(py)?.get().state()?;
    if let Some(kept) = V::kept(&mut state.classes[target.population.0 as usize].views)
        // SAFETY: a live object's count is read with the GIL held.
        && unsafe { ffi::Py_REFCNT(kept.as_ptr()) } == 1
    {
        let kept = kept.clone_ref(py);
        let at = kept.get().at();
        // SAFETY: a moment ago the class held the only reference; nobody reads them meanwhile.
        unsafe {
            at.twin.point_as(handle, py);
            let known = &mut *at.lane.get();
            if known.as_ptr() != lane.as_ptr() {
                *known = lane.to_owned().unbind();
            }
        }
        return Ok(kept.into_ptr());
    }
    another::<V>(lane, handle)
}

#[inline(never)]
fn another<V: View>(lane: Borrowed<'_, '_, Teller>, handle: &Handle) -> PyResult<*mut ffi::PyObject> {
    let py = lane.py();
    let twin = Handle::nobody();
    // SAFETY: it was made just now.
    unsafe { twin.point_as(handle, py) };
    let made = Py::new(py, V::new(At { lane: UnsafeCell::new(lane.to_owned().unbind()), twin }))?;
    let state = handle.shard(py)?.get().state()?;
    let views = &mut state.classes[handle.target().population.0 as usize].views;
    let before = V::kept(views).replace(made.clone_ref(py));
    drop(before);
    Ok(made.into_ptr())
}

/// Adds `Teller` to the module, as `Cell` is made.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    let slots = [PyType_Slot { slot: ffi::Py_tp_descr_get, pfunc: get as *mut c_void }];
    let class = with_slots(&module.py().get_type::<Teller>(), c"shoal._core.Teller", &slots)?;
    module.add("Teller", class)
}

extern "C" fn get(slf: *mut ffi::PyObject, obj: *mut ffi::PyObject, _owner: *mut ffi::PyObject) -> *mut ffi::PyObject {
    guarded(std::ptr::null_mut(), |py| {
        // SAFETY: Python calls the slot with live objects; `slf` is a Teller, `obj` is null on the class itself.
        unsafe {
            if obj.is_null() || obj == ffi::Py_None() {
                ffi::Py_INCREF(slf);
                return Ok(slf);
            }
            let lane = Borrowed::from_ptr(py, slf).cast_unchecked::<Teller>();
            let handle = handle_of(py, &lane.get().class, obj)?.get();
            match lane.get().bound()?.kind {
                Kind::Demand => view::<Cueing>(lane, handle),
                Kind::DemandMap => view::<CueingKey>(lane, handle),
                Kind::Supply => view::<Pushing>(lane, handle),
            }
        }
    })
}
