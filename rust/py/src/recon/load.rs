//! Python objects straight from the reader.

use std::borrow::Cow;

use pyo3::prelude::*;
use pyo3::types::{PyBool, PyBytes, PyDict, PyFloat, PyInt, PyList, PyString};
use shoal_core::recon::{Build, Key, Number, ReconError, Rules, key_text, read_with};

use super::decode_error;
use super::names::Names;
use crate::convert;

pub(super) fn load<'py>(text: &str, document: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    let mut names = Names::take();
    let loaded = read_with(text, Rules::default(), Objects { py: document.py(), names: &mut names });
    names.put_back();
    loaded.map_err(|fault| match *fault.0 {
        Why::Text(fault) => decode_error(&fault, text, document),
        Why::Python(error) => error,
    })
}

/// Boxed, so that the results which the reader hands around stay small.
struct Fault(Box<Why>);

enum Why {
    Text(ReconError),
    Python(PyErr),
}

impl From<ReconError> for Fault {
    #[cold]
    fn from(fault: ReconError) -> Fault {
        Fault(Box::new(Why::Text(fault)))
    }
}

impl From<PyErr> for Fault {
    #[cold]
    fn from(error: PyErr) -> Fault {
        Fault(Box::new(Why::Python(error)))
    }
}

/// A record whose items are still coming; the number of items of a dict tells the place of a plain value.
enum Record<'py> {
    Empty,
    List(Bound<'py, PyList>),
    Dict(Bound<'py, PyDict>, usize),
}

struct Objects<'py, 'n> {
    py: Python<'py>,
    names: &'n mut Names,
}

impl<'py> Objects<'py, '_> {
    #[inline(always)]
    fn member(
        &mut self,
        record: &mut Record<'py>,
        name: Bound<'py, PyString>,
        value: Bound<'py, PyAny>,
    ) -> Result<(), Fault> {
        if let Record::Dict(dict, items) = record {
            dict.set_item(name, value)?;
            *items += 1;
            return Ok(());
        }
        let dict = PyDict::new(self.py);
        let mut items = 0;
        if let Record::List(list) = record {
            for item in list.iter() {
                dict.set_item(format!("${items}"), item)?;
                items += 1;
            }
        }
        dict.set_item(name, value)?;
        *record = Record::Dict(dict, items + 1);
        Ok(())
    }

    /// The name that a key other than text gets, as in `shoal_core::recon::key_text`.
    #[cold]
    fn name_of(&self, key: &Bound<'py, PyAny>) -> Result<Bound<'py, PyString>, Fault> {
        // Beyond int64, which no `Value` holds.
        if key.is_exact_instance_of::<PyInt>() {
            return Ok(key.str()?);
        }
        Ok(PyString::new(self.py, &key_text(&convert::from_python(key)?)))
    }
}

impl<'a, 'py> Build<'a> for Objects<'py, '_> {
    type Value = Bound<'py, PyAny>;
    type Record = Record<'py>;
    type Error = Fault;

    fn absent(&mut self) -> Self::Value {
        self.py.None().into_bound(self.py)
    }

    fn extant(&mut self) -> Self::Value {
        self.py.None().into_bound(self.py)
    }

    #[inline(always)]
    fn bool(&mut self, x: bool) -> Self::Value {
        PyBool::new(self.py, x).to_owned().into_any()
    }

    #[inline(always)]
    fn number(&mut self, x: Number, _: usize) -> Result<Self::Value, Fault> {
        Ok(match x {
            Number::Int(x) => PyInt::new(self.py, x).into_any(),
            Number::Float(x) => PyFloat::new(self.py, x).into_any(),
            Number::Uint32(x) => PyInt::new(self.py, x).into_any(),
            Number::Uint64(x) => PyInt::new(self.py, x).into_any(),
            Number::Big(digits) => self.py.get_type::<PyInt>().call1((&*digits,))?,
        })
    }

    #[inline(always)]
    fn text(&mut self, text: Cow<'a, str>) -> Result<Self::Value, Fault> {
        Ok(PyString::new(self.py, &text).into_any())
    }

    fn data(&mut self, bytes: Vec<u8>) -> Result<Self::Value, Fault> {
        Ok(PyBytes::new(self.py, &bytes).into_any())
    }

    #[inline(always)]
    fn record(&mut self) -> Record<'py> {
        Record::Empty
    }

    fn push(&mut self, record: &mut Record<'py>, value: Self::Value) -> Result<(), Fault> {
        match record {
            Record::Empty => *record = Record::List(PyList::new(self.py, [value])?),
            Record::List(list) => list.append(value)?,
            Record::Dict(dict, items) => {
                dict.set_item(format!("${items}"), value)?;
                *items += 1;
            }
        }
        Ok(())
    }

    #[inline(always)]
    fn slot(&mut self, record: &mut Record<'py>, key: Key<'a, Self::Value>, value: Self::Value) -> Result<(), Fault> {
        let name = match key {
            Key::Text(text) => self.names.get(self.py, &text),
            Key::Other(key) => self.name_of(&key)?,
        };
        self.member(record, name, value)
    }

    fn attr(&mut self, record: &mut Record<'py>, name: Cow<'a, str>, value: Self::Value) -> Result<(), Fault> {
        let name = self.names.get(self.py, &format!("@{name}"));
        self.member(record, name, value)
    }

    #[inline(always)]
    fn end(&mut self, record: Record<'py>, _: usize) -> Result<Self::Value, Fault> {
        Ok(match record {
            Record::Empty => PyDict::new(self.py).into_any(),
            Record::List(list) => list.into_any(),
            Record::Dict(dict, _) => dict.into_any(),
        })
    }

    #[inline(always)]
    fn block(&mut self, record: Record<'py>, at: usize) -> Result<Self::Value, Fault> {
        match record {
            Record::List(list) if list.len() == 1 => Ok(list.get_item(0)?),
            other => self.end(other, at),
        }
    }
}
