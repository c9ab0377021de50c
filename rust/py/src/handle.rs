//! A twin in a handler's hands: population, row and TwinId. Reused from turn to turn while nobody else holds it.

use std::cell::UnsafeCell;

use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};
use shoal_core::declaration::Observed;
use shoal_core::envelope::{Body, Lane, Node};
use shoal_core::population::{PopulationId, TwinId};
use shoal_core::timers::TimerNumber;
use shoal_core::turn::Within;

use crate::body;
use crate::convert::from_python;
use crate::errors::{TwinStopped, WrongType, refused};
use crate::request;
use crate::shard::Shard;

/// Which twin. Written by the shard when it hands the object out.
pub struct Target {
    pub shard: Option<Py<Shard>>,
    pub population: PopulationId,
    pub row: u32,
    pub id: TwinId,
}

#[pyclass(frozen, subclass, module = "shoal._core")]
pub struct Handle {
    /// Only touched with the GIL held; written when only the shard's cache holds the object.
    target: UnsafeCell<Target>,
}

// SAFETY: `target` is read and written with the GIL held only, and its writer is the only holder of the object.
unsafe impl Sync for Handle {}

impl Handle {
    pub fn nobody() -> Self {
        Handle { target: UnsafeCell::new(Target { shard: None, population: PopulationId(0), row: 0, id: TwinId(0) }) }
    }

    #[inline(always)]
    pub fn target(&self) -> &Target {
        // SAFETY: see the field; no writer runs while a method of the object does.
        unsafe { &*self.target.get() }
    }

    /// Points the object at another twin.
    ///
    /// # Safety
    /// Nobody but the caller holds the object.
    pub unsafe fn point(&self, shard: &Py<Shard>, py: Python<'_>, population: PopulationId, row: u32, id: TwinId) {
        // SAFETY: by the contract above nobody reads it meanwhile.
        let target = unsafe { &mut *self.target.get() };
        if target.shard.is_none() {
            target.shard = Some(shard.clone_ref(py));
        }
        (target.population, target.row, target.id) = (population, row, id);
    }

    /// Points it at the twin of another handle of its shard.
    ///
    /// # Safety
    /// As of `point`.
    #[inline(always)]
    pub unsafe fn point_as(&self, other: &Handle, py: Python<'_>) {
        // SAFETY: by the contract above nobody reads it meanwhile.
        let target = unsafe { &mut *self.target.get() };
        let other = other.target();
        if target.shard.is_none() {
            target.shard = other.shard.as_ref().map(|shard| shard.clone_ref(py));
        }
        (target.population, target.row, target.id) = (other.population, other.row, other.id);
    }

    pub fn shard<'a>(&'a self, py: Python<'a>) -> PyResult<&'a Bound<'a, Shard>> {
        match &self.target().shard {
            Some(shard) => Ok(shard.bind(py)),
            None => Err(TwinStopped::new_err(
                "twins are made by events, not by calling their class; see App.test() for tests",
            )),
        }
    }

    /// The turn that this twin may act in; `what` names the act, for the error.
    pub fn within<'py>(&self, py: Python<'py>, what: &str) -> PyResult<(Bound<'py, Shard>, Within)> {
        let shard = self.shard(py)?.as_unbound().clone_ref(py).into_bound(py);
        let target = self.target();
        let state = shard.get().state()?;
        let found = state.core.within(target.population, target.row, target.id, || state.context.current(py));
        match found {
            Ok(within) => Ok((shard, within)),
            Err(refusal) => Err(refused(refusal, &self.node(), what)),
        }
    }

    /// The twin's URI for messages; "a twin" when it has left memory.
    pub fn node(&self) -> String {
        Python::attach(|py| self.uri(py)).unwrap_or_else(|_| "a twin".to_owned())
    }

    fn key(&self, py: Python<'_>) -> PyResult<String> {
        let target = self.target();
        let state = self.shard(py)?.get().state()?;
        let table = &state.core.populations[target.population.0 as usize].table;
        if table.is(target.row, target.id) {
            Ok(table.key(target.row).to_owned())
        } else {
            Err(TwinStopped::new_err(
                "this twin has left memory; keep its URI and use self.at(uri) instead of the object",
            ))
        }
    }
}

#[pymethods]
impl Handle {
    #[new]
    #[pyo3(signature = (*_args, **_kwargs))]
    fn new(_args: &Bound<'_, PyTuple>, _kwargs: Option<&Bound<'_, PyAny>>) -> Self {
        Handle::nobody()
    }

    #[getter]
    fn uri(&self, py: Python<'_>) -> PyResult<String> {
        let key = self.key(py)?;
        Ok(self.shard(py)?.get().state()?.core.router.uri(self.target().population, &key))
    }

    #[getter]
    fn _id(&self) -> u64 {
        self.target().id.0
    }

    #[getter]
    fn _shard(&self, py: Python<'_>) -> PyResult<Py<Shard>> {
        Ok(self.shard(py)?.clone().unbind())
    }

    #[getter]
    fn _population(&self) -> u16 {
        self.target().population.0
    }

    fn _parameters<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyTuple>> {
        let key = self.key(py)?;
        if self.shard(py)?.get().state()?.core.router.parameters(self.target().population) == 0 {
            return Ok(PyTuple::empty(py));
        }
        PyTuple::new(py, key.split('\0').collect::<Vec<_>>())
    }

    /// The twin's own Python objects, by name; dropped when it leaves memory.
    fn _local<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyDict>> {
        let (shard, _) = self.within(py, "Local")?;
        let target = self.target();
        let locals = &mut shard.get().state()?.locals;
        let made = locals.entry((target.population, target.id)).or_insert_with(|| PyDict::new(py).unbind());
        Ok(made.bind(py).clone())
    }

    fn _now(&self, py: Python<'_>) -> PyResult<i64> {
        let (shard, within) = self.within(py, "now")?;
        let state = shard.get().state()?;
        let now = state.core.clock.now();
        Ok(state.core.turn_of(within).map_or(now, |turn| turn.time))
    }

    fn _sequence(&self, py: Python<'_>) -> PyResult<u64> {
        let (shard, within) = self.within(py, "random")?;
        Ok(shard.get().state()?.core.turn_of(within).map_or(0, |turn| turn.number))
    }

    fn _after(&self, py: Python<'_>, timer: u16, delay: i64) -> PyResult<()> {
        let (shard, within) = self.within(py, "after")?;
        let done = shard.get().state()?.core.after(within, TimerNumber(timer), delay);
        done.map_err(|refusal| refused(refusal, &self.node(), "after"))
    }

    fn _cancel(&self, py: Python<'_>, timer: u16) -> PyResult<()> {
        let (shard, within) = self.within(py, "cancel")?;
        let done = shard.get().state()?.core.cancel(within, TimerNumber(timer));
        done.map_err(|refusal| refused(refusal, &self.node(), "cancel"))
    }

    fn _delete(&self, py: Python<'_>) -> PyResult<()> {
        let (shard, within) = self.within(py, "delete")?;
        let done = shard.get().state()?.core.delete(within);
        done.map_err(|refusal| refused(refusal, &self.node(), "delete"))
    }

    fn _send(
        &self,
        py: Python<'_>,
        population: u16,
        parameters: Vec<String>,
        command: u16,
        body: &Bound<'_, PyAny>,
    ) -> PyResult<()> {
        let (shard, _) = self.within(py, "at")?;
        let body = body::validated(&shard, PopulationId(population), command, body)?;
        let key = body::key(&shard, PopulationId(population), &parameters)?;
        // validating may have run code of the user's: the turn is looked up again
        let (shard, within) = self.within(py, "at")?;
        let node = Node::Key(PopulationId(population), key);
        let sent = shard.get().state()?.core.send(within, node, Lane::Command(command), body);
        sent.map(|_| ()).map_err(|refusal| refused(refusal, &self.node(), "at"))
    }

    /// How many are linked to a lane of this kind and number.
    fn _links(&self, py: Python<'_>, kind: &str, number: u16) -> PyResult<usize> {
        let (shard, _) = self.within(py, "links")?;
        let target = self.target();
        let lane = observed(kind, number)?;
        let core = &shard.get().state()?.core;
        let (population, row) = (target.population, target.row);
        Ok(core.links.count(population, row, lane) + core.downlinks.count(population, row, lane))
    }

    /// A question to another twin: `question.settle(reply, kind, reason)` is called with the answer. Gives its number.
    fn _ask(
        &self,
        py: Python<'_>,
        population: u16,
        parameters: Vec<String>,
        command: u16,
        body: &Bound<'_, PyAny>,
        question: Py<PyAny>,
    ) -> PyResult<u64> {
        let (shard, within) = self.within(py, "at")?;
        if within == Within::Open {
            return Err(request::not_async(&shard, population, command, &self.node()));
        }
        let body = body::validated(&shard, PopulationId(population), command, body)?;
        let key = body::key(&shard, PopulationId(population), &parameters)?;
        // validating may have run code of the user's: the turn is looked up again
        let (shard, within) = self.within(py, "at")?;
        let target = (PopulationId(population), key);
        request::ask(&shard, Some(within), target, command, body, question)
            .map_err(|refusal| refused(refusal, &self.node(), "at"))
    }

    /// Gives the command's number in the turn, for `_unsend`.
    fn _send_uri(&self, py: Python<'_>, uri: &str, lane: &str, body: &Bound<'_, PyAny>) -> PyResult<u64> {
        let body = Body::Tree(body::tree(py, body)?);
        let (shard, within) = self.within(py, "at")?;
        let sent = shard.get().state()?.core.send(within, Node::Uri(uri.into()), Lane::Named(lane.into()), body);
        sent.map_err(|refusal| refused(refusal, &self.node(), "at"))
    }

    fn _unsend(&self, py: Python<'_>, number: u64) -> PyResult<bool> {
        let (shard, within) = self.within(py, "at")?;
        let done = shard.get().state()?.core.unsend(within, number);
        done.map_err(|refusal| refused(refusal, &self.node(), "at"))
    }

    fn _send_each(&self, py: Python<'_>, members: usize, command: u16, body: &Bound<'_, PyAny>) -> PyResult<()> {
        let (shard, _) = self.within(py, "each")?;
        let of = {
            let state = shard.get().state()?;
            let at = state.core.populations[self.target().population.0 as usize].groups[members];
            state.core.memberships[at].member
        };
        let body = body::validated(&shard, of, command, body)?;
        let (shard, within) = self.within(py, "each")?;
        let done = shard.get().state()?.core.send_each(within, members, command, body);
        done.map_err(|refusal| refused(refusal, &self.node(), "each"))
    }

    /// (linked, synced) of one of this twin's links.
    fn _link_state(&self, py: Python<'_>, link: u16) -> PyResult<(bool, bool)> {
        self.key(py)?;
        let target = self.target();
        let state = self.shard(py)?.get().state()?;
        Ok(state.core.downlinks.state(target.population, link, target.row))
    }

    /// A join's link is added.
    fn _join(&self, py: Python<'_>, link: u16, key: &Bound<'_, PyAny>, uri: &str) -> PyResult<()> {
        let key = from_python(key)?;
        let (shard, within) = self.within(py, "add")?;
        let done = shard.get().state()?.core.join(within, link, key, uri.into());
        done.map_err(|refusal| refused(refusal, &self.node(), "add"))
    }

    /// A join's link is taken out; false: there was none.
    fn _leave(&self, py: Python<'_>, link: u16, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let key = from_python(key)?;
        let (shard, within) = self.within(py, "remove")?;
        let done = shard.get().state()?.core.leave(within, link, &key);
        done.map_err(|refusal| refused(refusal, &self.node(), "remove"))
    }

    fn _members(&self, py: Python<'_>, members: usize) -> PyResult<Vec<String>> {
        let key = self.key(py)?;
        let state = self.shard(py)?.get().state()?;
        Ok(state.core.member_uris(self.target().population, &key, members))
    }

    fn _member_count(&self, py: Python<'_>, members: usize) -> PyResult<usize> {
        let key = self.key(py)?;
        let state = self.shard(py)?.get().state()?;
        let at = state.core.populations[self.target().population.0 as usize].groups[members];
        Ok(state.core.memberships[at].size(&key))
    }

    fn _has_member(&self, py: Python<'_>, members: usize, uri: &str) -> PyResult<bool> {
        let key = self.key(py)?;
        let state = self.shard(py)?.get().state()?;
        Ok(state.core.has_member(self.target().population, &key, members, uri))
    }

    fn __eq__(&self, py: Python<'_>, other: &Bound<'_, PyAny>) -> bool {
        match other.cast::<Handle>() {
            Ok(other) => {
                let (a, b) = (self.target(), other.get().target());
                let same = match (&a.shard, &b.shard) {
                    (Some(a), Some(b)) => a.is(b.bind(py)),
                    _ => false,
                };
                same && a.population == b.population && a.id == b.id
            }
            Err(_) => false,
        }
    }

    fn __hash__(&self) -> u64 {
        self.target().id.0
    }

    fn __repr__(slf: &Bound<'_, Self>) -> String {
        let name = slf.get_type().name().map_or_else(|_| "Twin".to_owned(), |name| name.to_string());
        format!("<{name} {}>", slf.get().node())
    }

    fn __reduce__(slf: &Bound<'_, Self>) -> PyResult<()> {
        let class = slf.get_type();
        Err(WrongType::new_err(format!(
            "a {} cannot be copied or pickled: it names a twin; keep its uri",
            class.name()?
        )))
    }
}

/// A lane by its kind's name in the declaration, and its number.
fn observed(kind: &str, number: u16) -> PyResult<Observed> {
    Ok(match kind {
        "column" => Observed::Column(number),
        "map" => Observed::Map(number),
        "command" => Observed::Command(number),
        "members" => Observed::Members(number),
        "supply" => Observed::Supply(number),
        "demand" => Observed::Demand(number),
        _ => return Err(WrongType::new_err(format!("`{kind}` is no kind of lane"))),
    })
}

/// A handle for a twin: the cached one when nobody else holds it.
pub fn handle<'py>(
    py: Python<'py>,
    shard: &Bound<'py, Shard>,
    class: &Bound<'py, PyType>,
    cached: &mut Option<Py<PyAny>>,
    (population, row, id): (PopulationId, u32, TwinId),
) -> PyResult<Bound<'py, PyAny>> {
    if let Some(object) = cached
        // SAFETY: a live object's count is read with the GIL held.
        && unsafe { pyo3::ffi::Py_REFCNT(object.as_ptr()) } == 1
    {
        let bound = object.bind(py);
        // SAFETY: the cache holds the only reference.
        unsafe { bound.cast_unchecked::<Handle>().get().point(shard.as_unbound(), py, population, row, id) };
        return Ok(bound.clone());
    }
    let object = class.call_method1(pyo3::intern!(py, "__new__"), (class,))?;
    // SAFETY: it was made just now.
    unsafe { object.cast::<Handle>()?.get().point(shard.as_unbound(), py, population, row, id) };
    *cached = Some(object.clone().unbind());
    Ok(object)
}
