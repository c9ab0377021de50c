//! Bodies of commands: Python objects to the core's records and back.

use ecow::EcoString;
use pyo3::exceptions::PyException;
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyMapping, PyString, PyTuple};
use shoal_core::body::{BodyType, Record};
use shoal_core::envelope::Body;
use shoal_core::population::PopulationId;
use shoal_core::value::Value;

use crate::convert::{FEW, called, from_python, to_python, tuple};
use crate::errors::WrongType;
use crate::shard::Shard;

/// How the Python object of a command's body is made (`Functions.bodies`).
pub enum Codec {
    Nothing,
    Scalar,
    /// `cls(*values)`, or `cls(**given)` when a field is missing or the class takes keywords only.
    Call {
        class: Py<PyAny>,
        names: Vec<Py<PyString>>,
        positional: bool,
    },
    /// A dict of what was given.
    Dict {
        names: Vec<Py<PyString>>,
    },
    /// Python validates a tree: `admit(builtins, lax, time = "") -> (body, slots)`; `encode(body) -> builtins`.
    Tree {
        admit: Py<PyAny>,
        encode: Py<PyAny>,
    },
}

impl Codec {
    pub fn new(spec: &Bound<'_, PyTuple>) -> PyResult<Self> {
        let kind: String = spec.get_item(0)?.extract()?;
        let names = |at: usize| -> PyResult<Vec<Py<PyString>>> {
            let names: Vec<String> = spec.get_item(at)?.extract()?;
            Ok(names.iter().map(|name| PyString::intern(spec.py(), name).unbind()).collect())
        };
        Ok(match kind.as_str() {
            "nothing" => Codec::Nothing,
            "scalar" => Codec::Scalar,
            "call" => Codec::Call {
                class: spec.get_item(1)?.unbind(),
                names: names(2)?,
                positional: spec.get_item(3)?.extract()?,
            },
            "dict" => Codec::Dict { names: names(1)? },
            "tree" => Codec::Tree { admit: spec.get_item(1)?.unbind(), encode: spec.get_item(2)?.unbind() },
            other => return Err(WrongType::new_err(format!("`{other}` is no body codec"))),
        })
    }

    /// The object that a handler gets. None: it takes no body. A `Tree`'s object is `admitted` already.
    #[inline]
    pub fn object<'py>(
        &self,
        py: Python<'py>,
        record: &Record,
        admitted: &mut Option<Py<PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(Some(match self {
            Codec::Nothing => return Ok(None),
            Codec::Scalar => to_python(py, record.slots.first().unwrap_or(&Value::Null))?,
            Codec::Call { class, names, positional } => {
                let all = names.len() == 64 && record.given == u64::MAX
                    || names.len() < 64 && record.given == (1 << names.len()) - 1;
                if *positional && all && names.len() <= FEW {
                    let mut values = [const { None }; FEW];
                    for (value, slot) in values.iter_mut().zip(&record.slots) {
                        *value = Some(to_python(py, slot)?);
                    }
                    called(class.bind(py), values)?
                } else if *positional && all {
                    class.bind(py).call1(tuple(py, names.len(), |at| to_python(py, &record.slots[at]))?)?
                } else {
                    class.bind(py).call((), Some(&given(py, names, record)?))?
                }
            }
            Codec::Dict { names } => given(py, names, record)?.into_any(),
            Codec::Tree { .. } => match admitted.take() {
                Some(object) => object.into_bound(py),
                None => py.None().into_bound(py),
            },
        }))
    }
}

fn given<'py>(py: Python<'py>, names: &[Py<PyString>], record: &Record) -> PyResult<Bound<'py, PyDict>> {
    let dict = PyDict::new(py);
    for (at, (name, slot)) in names.iter().zip(&record.slots).enumerate() {
        if record.given >> at & 1 == 1 {
            dict.set_item(name, to_python(py, slot)?)?;
        }
    }
    Ok(dict)
}

/// Any body as a tree of builtins; objects that only msgspec knows go through `msgspec.to_builtins`.
pub fn tree(py: Python<'_>, body: &Bound<'_, PyAny>) -> PyResult<Value> {
    match from_python(body) {
        Ok(value) => Ok(value),
        Err(_) => {
            let builtins = py.import("msgspec")?.call_method1("to_builtins", (body,))?;
            from_python(&builtins)
        }
    }
}

/// A body as the command's own type makes it a tree.
fn tree_of(
    shard: &Bound<'_, Shard>,
    population: PopulationId,
    command: u16,
    body: &Bound<'_, PyAny>,
) -> PyResult<Value> {
    let py = shard.py();
    enum How {
        Nothing,
        Scalar,
        /// Each field's name in the class and in a record, and the class.
        Fields(Vec<(String, EcoString)>, Py<PyAny>),
        Encode(Py<PyAny>),
    }
    let how = {
        let state = shard.get().state()?;
        let declared = &state.core.populations[population.0 as usize].decl.commands[command as usize].body;
        let pairs = |names: &[Py<PyString>]| -> Vec<(String, EcoString)> {
            let BodyType::Record { fields } = declared else { return Vec::new() };
            names.iter().zip(fields).map(|(name, field)| (name.to_string(), field.name.clone())).collect()
        };
        match &state.classes[population.0 as usize].bodies[command as usize] {
            Codec::Nothing => How::Nothing,
            Codec::Scalar => How::Scalar,
            Codec::Call { class, names, .. } => How::Fields(pairs(names), class.clone_ref(py)),
            Codec::Dict { names } => How::Fields(pairs(names), py.None()),
            Codec::Tree { encode, .. } => How::Encode(encode.clone_ref(py)),
        }
    };
    match how {
        How::Nothing => Ok(Value::Null),
        How::Scalar => from_python(body),
        How::Fields(names, class) => {
            if let Ok(mapping) = body.cast::<PyMapping>() {
                return from_python(mapping);
            }
            if !class.is_none(py) && body.is_instance(class.bind(py))? {
                let members: PyResult<Vec<(EcoString, Value)>> = names
                    .iter()
                    .filter_map(|(name, wire)| {
                        let field = body.getattr(name.as_str()).and_then(|field| {
                            // a field of any type may hold what only msgspec knows
                            from_python(&field).or_else(|error| tree(py, &field).map_err(|_| error))
                        });
                        match field {
                            // a field without a value (msgspec.UNSET) is a missing one
                            Err(error) if error.is_instance_of::<WrongType>(py) && is_unset(body, name) => None,
                            field => Some(field.map(|field| (wire.clone(), field))),
                        }
                    })
                    .collect();
                return Ok(Value::Map(members?.into()));
            }
            tree(py, body)
        }
        How::Encode(encode) => from_python(&encode.bind(py).call1((body,))?),
    }
}

fn is_unset(body: &Bound<'_, PyAny>, name: &str) -> bool {
    body.getattr(name)
        .and_then(|field| field.get_type().name()?.extract::<String>())
        .is_ok_and(|name| name == "UnsetType")
}

/// The body of a command that a twin or a program sends: validated and copied now.
///
/// Errors: WrongType with msgspec's words and the command's name.
pub fn validated(
    shard: &Bound<'_, Shard>,
    population: PopulationId,
    command: u16,
    body: &Bound<'_, PyAny>,
) -> PyResult<Body> {
    let py = shard.py();
    let refuse = |reason: String| -> PyErr {
        match shard.get().state() {
            Ok(state) => {
                let decl = &state.core.populations[population.0 as usize].decl;
                WrongType::new_err(format!("{}.{}: {reason}", decl.name, decl.commands[command as usize].name))
            }
            Err(error) => error,
        }
    };
    let value = tree_of(shard, population, command, body).map_err(|error| refuse(error.value(py).to_string()))?;
    let admit = {
        let state = shard.get().state()?;
        match &state.classes[population.0 as usize].bodies[command as usize] {
            Codec::Tree { admit, .. } => Some(admit.clone_ref(py)),
            _ => None,
        }
    };
    let Some(admit) = admit else {
        let record = shard.get().state()?.core.validate(population, command, &value).map_err(refuse)?;
        return Ok(Body::Record(record));
    };
    match admit.bind(py).call1((to_python(py, &value)?, false)) {
        Ok(_) => Ok(Body::Record(Record { tree: value, ..Record::default() })),
        Err(error) if error.is_instance_of::<PyException>(py) => Err(refuse(error.value(py).to_string())),
        Err(error) => Err(error),
    }
}

/// Parameters joined as the core's keys are. Errors: their number, or one that no URI can carry.
pub fn key(shard: &Bound<'_, Shard>, population: PopulationId, parameters: &[String]) -> PyResult<EcoString> {
    let state = shard.get().state()?;
    let expected = state.core.router.parameters(population);
    if parameters.len() != expected {
        let name = &state.core.populations[population.0 as usize].decl.name;
        return Err(WrongType::new_err(format!("{name} has {expected} URI parameters, not {}", parameters.len())));
    }
    let mut key = EcoString::new();
    for (number, parameter) in parameters.iter().enumerate() {
        shoal_core::route::check_parameter(parameter)
            .map_err(|reason| WrongType::new_err(format!("URI parameter {} {reason}", number + 1)))?;
        if number > 0 {
            key.push('\0');
        }
        key.push_str(parameter);
    }
    Ok(key)
}
