//! The Python half of a population.

use pyo3::prelude::*;
use pyo3::types::{PyTuple, PyType};

use crate::body::Codec;
use crate::teller::Views;

/// A map lane's functions: for its keys, for its values.
type KeyAndValue = (Option<Py<PyAny>>, Option<Py<PyAny>>);

/// A demand lane's functions: for a value, `compute(twin, key, link)`; for all keys, `keys(twin, link)`.
pub struct Demand {
    pub compute: Py<PyAny>,
    pub keys: Option<Py<PyAny>>,
}

/// A link's hooks, each with the number of its arguments after self.
type LinkHooks = Vec<Option<(Py<PyAny>, usize)>>;

/// The Python half of a population (`shoal.handlers.Functions`).
pub struct Class {
    pub class: Py<PyType>,
    /// The twin object of the last call, used again while nobody else holds it.
    pub handle: Option<Py<PyAny>>,
    /// The same of what reading a lane gives that only tells.
    pub views: Views,
    pub handlers: Vec<Option<Py<PyAny>>>,
    /// Of request lanes: what encodes a reply, and the handlers of single methods of HTTP, in the order of `Method::ALL`.
    pub replies: Vec<Option<Py<PyAny>>>,
    pub methods: Vec<Vec<Option<Py<PyAny>>>>,
    pub changed: Vec<(Py<PyAny>, usize)>,
    pub timers: Vec<Py<PyAny>>,
    pub create: Option<Py<PyAny>>,
    pub start: Option<Py<PyAny>>,
    pub stop: Option<Py<PyAny>>,
    pub bodies: Vec<Codec>,
    pub columns: Vec<Option<Py<PyAny>>>,
    pub encoders: Vec<Option<Py<PyAny>>>,
    pub maps: Vec<KeyAndValue>,
    pub map_encoders: Vec<KeyAndValue>,
    /// The hooks of each link, with the number of their arguments after self.
    pub links: Vec<LinkHooks>,
    pub demands: Vec<Demand>,
    pub observers: Vec<Py<PyAny>>,
}

impl Class {
    pub fn new(class: Py<PyType>, functions: &Bound<'_, PyAny>) -> PyResult<Self> {
        let specs: Vec<Bound<'_, PyTuple>> = functions.getattr("bodies")?.extract()?;
        type Sides = (Option<Py<PyAny>>, Option<Py<PyAny>>, Option<Py<PyAny>>, Option<Py<PyAny>>);
        let maps: Vec<Sides> = functions.getattr("maps")?.extract()?;
        let (mut decoders, mut encoders) = (Vec::new(), Vec::new());
        for (decode_key, decode_value, encode_key, encode_value) in maps {
            decoders.push((decode_key, decode_value));
            encoders.push((encode_key, encode_value));
        }
        let demands: Vec<(Py<PyAny>, Option<Py<PyAny>>)> = functions.getattr("demands")?.extract()?;
        Ok(Class {
            demands: demands.into_iter().map(|(compute, keys)| Demand { compute, keys }).collect(),
            observers: functions.getattr("observers")?.extract()?,
            class,
            handle: None,
            views: Views::default(),
            handlers: functions.getattr("handlers")?.extract()?,
            replies: functions.getattr("replies")?.extract()?,
            methods: functions.getattr("methods")?.extract()?,
            changed: functions.getattr("changed")?.extract()?,
            timers: functions.getattr("timers")?.extract()?,
            create: functions.getattr("create")?.extract()?,
            start: functions.getattr("start")?.extract()?,
            stop: functions.getattr("stop")?.extract()?,
            bodies: specs.iter().map(Codec::new).collect::<PyResult<_>>()?,
            columns: functions.getattr("columns")?.extract()?,
            encoders: functions.getattr("encoders")?.extract()?,
            maps: decoders,
            map_encoders: encoders,
            links: functions.getattr("links")?.extract()?,
        })
    }
}
