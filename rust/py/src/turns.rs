//! The iterator of a batch: its `next` ends the turn before, runs the following turns, their handlers too, and stops at one
//! whose handler has given back something (a coroutine) or raised.

use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyString, PyTuple};
use shoal_core::dispatch::Step;

use shoal_core::envelope::{Body, Kind, Lane, Origin, SourceId};
use shoal_core::links::LinkInfo;
use shoal_core::population::PopulationId;
use shoal_core::turn::{What, Within};
use shoal_core::value::Value;

use crate::body::Codec;
use crate::convert::{called, from_python, link_to_python, to_python};
use crate::errors::refused;
use crate::handle::handle;
use crate::request;
use crate::shard::{Inner, Shard};

#[pyclass(frozen, module = "shoal._core")]
pub struct Turns {
    pub shard: Py<Shard>,
}

#[pymethods]
impl Turns {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    /// Calls the handlers of the turns that come next, until one has given back something or raised: that is returned, as
    /// (result, None) or (None, exception), with its turn still open.
    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Bound<'py, PyTuple>>> {
        let shard = self.shard.bind(py);
        ended(py, shard.get().state()?);
        let mut step = shard.get().state()?.core.advance();
        loop {
            // the state is looked up again after each step that may run Python
            let next = match step {
                Step::Idle => return Ok(None),
                Step::Call(what) => {
                    let answers = matches!(what, What::Answer { .. });
                    let asked = matches!(what, What::Demand { .. } | What::Keys { .. }).then(|| what.clone());
                    let result = match (call(py, shard, what)?, asked) {
                        (Ok(result), Some(asked)) => computed(shard, &asked, &result),
                        (result, _) => result,
                    };
                    match result {
                        Ok(result) if answers && !request::is_coroutine(&result)? => {
                            if let Err(error) = request::reply(py, shard, Within::Open, &result) {
                                let error = error.into_value(py).into_bound(py).into_any();
                                return pair(py, py.None().into_bound(py), error).map(Some);
                            }
                        }
                        Ok(result) if result.is_none() => {}
                        Ok(result) => return pair(py, result, py.None().into_bound(py)).map(Some),
                        Err(error) => {
                            let error = error.into_value(py).into_bound(py).into_any();
                            return pair(py, py.None().into_bound(py), error).map(Some);
                        }
                    }
                    ended(py, shard.get().state()?);
                    None
                }
                Step::Admit { population, lane: Lane::Command(command), lax } => {
                    let outcome = admit(py, shard, population, command, lax)?;
                    shard.get().state()?.core.admitted(outcome)
                }
                Step::Admit { population, lane, .. } => {
                    let outcome = admit_lane(py, shard, population, &lane)?;
                    shard.get().state()?.core.admitted(outcome)
                }
                Step::Filter { source, population, command } => {
                    let outcome = filter(py, shard, source, population, command)?;
                    shard.get().state()?.core.filtered(outcome)
                }
                Step::Route { source } => {
                    let outcome = route(py, shard, source)?;
                    shard.get().state()?.core.routed(outcome)
                }
            };
            step = match next {
                Some(step) => step,
                None => shard.get().state()?.core.advance(),
            };
        }
    }
}

/// The call of the open turn has ended, if there was one; it fails where it had been interrupted without noticing.
#[inline(always)]
fn ended(py: Python<'_>, state: &mut Inner) {
    if state.deadline.done(py) {
        let seconds = state.core.settings.handler_seconds;
        state.core.fail(Kind::Limit, &format!("the handler ran over {seconds} s (handler_seconds)"));
    }
}

/// Calls the function of the open turn, the twin as its first argument. The outer result is the core's.
fn call<'py>(py: Python<'py>, shard: &Bound<'py, Shard>, what: What) -> PyResult<PyResult<Bound<'py, PyAny>>> {
    let state = shard.get().state()?;
    let turn = &state.core.turn;
    let class = &mut state.classes[turn.population.0 as usize];
    let twin = handle(py, shard, class.class.bind(py), &mut class.handle, (turn.population, turn.row, turn.id))?;
    let mut arguments = [Some(twin), None, None, None];
    let function = match what {
        What::Handler(command) => {
            arguments[1] = class.bodies[command as usize].object(py, &turn.record, &mut state.admitted)?;
            optional(py, &class.handlers[command as usize])
        }
        What::Answer { command, method } => {
            arguments[1] = class.bodies[command as usize].object(py, &turn.record, &mut state.admitted)?;
            match method {
                None => optional(py, &class.handlers[command as usize]),
                Some(method) => optional(py, &class.methods[command as usize][method as usize]),
            }
        }
        What::Create => optional(py, &class.create),
        What::Start => optional(py, &class.start),
        What::Stop => optional(py, &class.stop),
        What::Timer(timer) => class.timers[timer.0 as usize].clone_ref(py),
        What::Changed { number, column, new, old } => {
            let (function, arity) = &class.changed[number as usize];
            let decode = &class.columns.get(column as usize).and_then(Option::as_ref);
            let object = |value: &Value| decoded(py, decode.map(|f| f.bind(py)), value);
            arguments[1] = Some(object(&new)?);
            if *arity > 1 {
                arguments[2] = Some(object(&old)?);
            }
            function.clone_ref(py)
        }
        What::ChangedEntry { number, map, key, new, old } => {
            let (function, _) = &class.changed[number as usize];
            let (decode_key, decode_value) = &class.maps[map as usize];
            let value = |value: &Value| decoded(py, decode_value.as_ref().map(|f| f.bind(py)), value);
            arguments[1] = Some(decoded(py, decode_key.as_ref().map(|f| f.bind(py)), &key)?);
            (arguments[2], arguments[3]) = (Some(value(&new)?), Some(value(&old)?));
            function.clone_ref(py)
        }
        What::Link { link, hook, reason } => match &class.links[link as usize][hook as usize] {
            Some((function, arity)) => {
                if *arity > 0 {
                    arguments[1] = Some(PyString::new(py, &reason).into_any());
                }
                function.clone_ref(py)
            }
            None => return Ok(Ok(py.None().into_bound(py))),
        },
        What::Demand { demand, key, link } => {
            arguments[1] = Some(to_python(py, &key)?);
            arguments[2] = Some(optional_link(py, link.as_deref())?);
            class.demands[demand as usize].compute.clone_ref(py)
        }
        What::Keys { demand, link } => {
            arguments[1] = Some(optional_link(py, link.as_deref())?);
            optional(py, &class.demands[demand as usize].keys)
        }
        What::Observed { observer, link } => {
            arguments[1] = Some(link_to_python(py, &link)?);
            class.observers[observer as usize].clone_ref(py)
        }
    };
    shard.get().state()?.deadline.call();
    Ok(called(function.bind(py), arguments))
}

fn optional_link<'py>(py: Python<'py>, link: Option<&LinkInfo>) -> PyResult<Bound<'py, PyAny>> {
    link.map_or_else(|| Ok(py.None().into_bound(py)), |link| link_to_python(py, link))
}

/// What a demand lane's function has given is the turn's; None.
fn computed<'py>(shard: &Bound<'py, Shard>, what: &What, result: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let value = from_python(result)?;
    let state = shard.get().state()?;
    let done = state.core.computed(what, value);
    let node = || {
        let turn = &state.core.turn;
        state.core.router.uri(turn.population, state.core.populations[turn.population.0 as usize].table.key(turn.row))
    };
    done.map_err(|refusal| refused(refusal, &node(), ""))?;
    Ok(shard.py().None().into_bound(shard.py()))
}

fn pair<'py>(py: Python<'py>, first: Bound<'py, PyAny>, second: Bound<'py, PyAny>) -> PyResult<Bound<'py, PyTuple>> {
    PyTuple::new(py, [first, second])
}

fn optional(py: Python<'_>, function: &Option<Py<PyAny>>) -> Py<PyAny> {
    function.as_ref().map_or_else(|| py.None(), |f| f.clone_ref(py))
}

fn decoded<'py>(py: Python<'py>, decode: Option<&Bound<'py, PyAny>>, value: &Value) -> PyResult<Bound<'py, PyAny>> {
    let object = to_python(py, value)?;
    match decode {
        Some(decode) if !object.is_none() => decode.call1((object,)),
        _ => Ok(object),
    }
}

/// What Python says of a value: an exception is the reason why not; what stops a program goes on.
fn outcome<T>(py: Python<'_>, result: PyResult<T>) -> PyResult<Result<T, String>> {
    match result {
        Ok(value) => Ok(Ok(value)),
        Err(error) if error.is_instance_of::<PyException>(py) => Ok(Err(error.value(py).to_string())),
        Err(error) => Err(error),
    }
}

fn admit(
    py: Python<'_>,
    shard: &Bound<'_, Shard>,
    population: PopulationId,
    command: u16,
    lax: bool,
) -> PyResult<Result<Vec<Value>, String>> {
    let (tree, admit, time) = {
        let state = shard.get().state()?;
        // the source's own time field may be a number, as that of a command
        let time = match state.core.hand.as_ref().map(|envelope| &envelope.origin) {
            Some(Origin::Source(source)) => state.core.sources[source.0 as usize].time_field.to_string(),
            _ => String::new(),
        };
        let tree = match state.core.hand.as_ref().map(|envelope| &envelope.body) {
            Some(Body::Record(record)) => record.tree.clone(),
            _ => Value::Null,
        };
        match &state.classes[population.0 as usize].bodies[command as usize] {
            Codec::Tree { admit, .. } => (tree, admit.clone_ref(py), time),
            _ => return Ok(Err("this body needs no validation by Python".to_owned())),
        }
    };
    let run = || -> PyResult<(Py<PyAny>, Vec<Value>)> {
        let (body, slots): (Bound<'_, PyAny>, Vec<Bound<'_, PyAny>>) =
            admit.bind(py).call1((to_python(py, &tree)?, lax, time))?.extract()?;
        let slots: PyResult<Vec<Value>> = slots.iter().map(from_python).collect();
        Ok((body.unbind(), slots?))
    };
    match outcome(py, run())? {
        Ok((body, slots)) => {
            shard.get().state()?.admitted = Some(body);
            Ok(Ok(slots))
        }
        Err(reason) => Ok(Err(reason)),
    }
}

/// A lane that is set from outside: through the lane's own type.
fn admit_lane(
    py: Python<'_>,
    shard: &Bound<'_, Shard>,
    population: PopulationId,
    lane: &Lane,
) -> PyResult<Result<Vec<Value>, String>> {
    let (tree, sides) = {
        let state = shard.get().state()?;
        let tree = match state.core.hand.as_ref().map(|envelope| &envelope.body) {
            Some(Body::Tree(tree)) => tree.clone(),
            _ => Value::Null,
        };
        let class = &state.classes[population.0 as usize];
        let pair = |decode: &Option<Py<PyAny>>, encode: &Option<Py<PyAny>>| {
            (decode.as_ref().map(|f| f.clone_ref(py)), encode.as_ref().map(|f| f.clone_ref(py)))
        };
        let decl = &state.core.populations[population.0 as usize].decl;
        let sides = match lane {
            Lane::Column(at) => {
                let at = *at as usize;
                if tree.is_null() && !decl.columns[at].nullable {
                    return Ok(Err(format!("`{}` takes no null", decl.columns[at].name)));
                }
                vec![pair(&class.columns[at], &class.encoders[at])]
            }
            // of an operation on a list only the values have a type: `update` has one, `set` any number
            Lane::Map(at) if decl.maps[*at as usize].ordered => {
                let value = pair(&class.maps[*at as usize].1, &class.map_encoders[*at as usize].1);
                return admit_operation(py, &tree, &value);
            }
            Lane::Map(at) => {
                let at = *at as usize;
                vec![
                    pair(&class.maps[at].0, &class.map_encoders[at].0),
                    pair(&class.maps[at].1, &class.map_encoders[at].1),
                ]
            }
            _ => Vec::new(),
        };
        (tree, sides)
    };
    let trees = match (lane, &tree) {
        (Lane::Map(_), Value::List(pair)) if (1..=2).contains(&pair.len()) => pair.to_vec(),
        (Lane::Map(_), _) => return Ok(Err("a map lane is set by [key, value], an entry removed by [key]".to_owned())),
        _ => vec![tree],
    };
    let run = || trees.iter().zip(&sides).map(|(tree, side)| fitted(py, tree, side)).collect::<PyResult<Vec<Value>>>();
    outcome(py, run())
}

/// A type's function from what a lane holds to what users read, and the one back.
type Functions = (Option<Py<PyAny>>, Option<Py<PyAny>>);

/// A value as its lane holds it. Errors: it is not of the lane's type.
fn fitted(py: Python<'_>, tree: &Value, (decode, encode): &Functions) -> PyResult<Value> {
    let Some(encode) = encode else { return Ok(tree.clone()) };
    let mut object = to_python(py, tree)?;
    if let Some(decode) = decode
        && !object.is_none()
    {
        object = decode.bind(py).call1((object,))?;
    }
    from_python(&encode.bind(py).call1((object,))?)
}

/// An operation on a list (`shoal_core::serve::list`), its values through the list's type.
fn admit_operation(py: Python<'_>, tree: &Value, value: &Functions) -> PyResult<Result<Vec<Value>, String>> {
    let Value::List(slots) = tree else { return Ok(Err("this is no operation on a list".to_owned())) };
    let typed = match slots.first() {
        Some(Value::Text(what)) if what == "update" => 3..4,
        Some(Value::Text(what)) if what == "set" => 1..slots.len(),
        _ => 0..0,
    };
    let one = |(at, slot): (usize, &Value)| match typed.contains(&at) {
        true => fitted(py, slot, value),
        false => Ok(slot.clone()),
    };
    outcome(py, slots.iter().enumerate().map(one).collect())
}

fn filter(
    py: Python<'_>,
    shard: &Bound<'_, Shard>,
    source: SourceId,
    population: PopulationId,
    command: u16,
) -> PyResult<Result<bool, String>> {
    let (function, body) = {
        let state = shard.get().state()?;
        let function = state.filters[source.0 as usize].as_ref().map_or_else(|| py.None(), |f| f.clone_ref(py));
        let codec = &state.classes[population.0 as usize].bodies[command as usize];
        let mut admitted = state.admitted.as_ref().map(|object| object.clone_ref(py));
        let body = match state.core.hand.as_ref().map(|envelope| &envelope.body) {
            Some(Body::Record(record)) => codec.object(py, record, &mut admitted)?,
            _ => None,
        };
        (function, body)
    };
    let body = body.unwrap_or_else(|| py.None().into_bound(py));
    outcome(py, function.bind(py).call1((body,)).and_then(|kept| kept.is_truthy()))
}

fn route(py: Python<'_>, shard: &Bound<'_, Shard>, source: SourceId) -> PyResult<Result<String, String>> {
    let (function, tree) = {
        let state = shard.get().state()?;
        let function = state.routes[source.0 as usize].as_ref().map_or_else(|| py.None(), |f| f.clone_ref(py));
        let raw = state.core.hand.as_ref().map(|envelope| envelope.raw.as_slice()).unwrap_or_default();
        (function, state.core.sources[source.0 as usize].tree(raw))
    };
    match tree {
        Err(invalid) => Ok(Err(invalid.reason)),
        Ok(tree) => {
            outcome(py, to_python(py, &tree).and_then(|record| function.bind(py).call1((record,))?.extract::<String>()))
        }
    }
}
