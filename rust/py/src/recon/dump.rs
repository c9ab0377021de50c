//! Recon straight from Python objects.

use pyo3::exceptions::PyRuntimeError;
use pyo3::ffi;
use pyo3::prelude::*;
use pyo3::types::{
    PyBool, PyByteArray, PyBytes, PyDateTime, PyDict, PyFloat, PyFrozenSet, PyInt, PyList, PyMapping, PyString, PyTuple,
};
use shoal_core::recon::{
    self, Item, MAX_DEPTH, Number, Tree, members_to_tree, needs_tree, write_bool, write_bytes, write_f64, write_i64,
    write_text, write_time, write_tree,
};
use shoal_core::value::Value;

use crate::convert;
use crate::errors::{ReconError, WrongType};

pub(super) fn dump<'py>(
    object: &Bound<'py, PyAny>,
    default: Option<Bound<'py, PyAny>>,
    sort_keys: bool,
) -> PyResult<Bound<'py, PyString>> {
    let mut writer = Writer { out: Vec::with_capacity(256), default, sort_keys };
    writer.write(object, 0)?;
    // SAFETY: all parts are written from `str`s and ASCII.
    Ok(PyString::new(object.py(), unsafe { std::str::from_utf8_unchecked(&writer.out) }))
}

/// What an object is in Recon.
enum Scalar<'py> {
    Null,
    Bool(bool),
    Int(i64),
    Big(String),
    Float(f64),
    Text(Bound<'py, PyString>),
    Bytes(Vec<u8>),
    Time(i64),
}

struct Writer<'py> {
    out: Vec<u8>,
    default: Option<Bound<'py, PyAny>>,
    sort_keys: bool,
}

impl<'py> Writer<'py> {
    #[inline]
    fn write(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<()> {
        // The usual types, exactly.
        let kind = object.get_type_ptr();
        // SAFETY: of the static type objects only the addresses are taken; an object is used as the type that it has.
        unsafe {
            if kind == &raw mut ffi::PyUnicode_Type {
                write_text(object.cast_unchecked::<PyString>().to_str()?, &mut self.out);
                return Ok(());
            }
            if kind == &raw mut ffi::PyFloat_Type {
                return self.float(ffi::PyFloat_AsDouble(object.as_ptr()));
            }
            if kind == &raw mut ffi::PyLong_Type {
                let mut overflow = 0;
                let x = ffi::PyLong_AsLongLongAndOverflow(object.as_ptr(), &raw mut overflow);
                if overflow == 0 {
                    write_i64(x, &mut self.out);
                    return Ok(());
                }
            }
            if kind == &raw mut ffi::PyDict_Type {
                return self.dict(object.cast_unchecked::<PyDict>(), depth);
            }
            if kind == &raw mut ffi::PyList_Type {
                let list = object.cast_unchecked::<PyList>();
                return self.items(list.len(), |at| list.get_item(at), depth);
            }
        }
        self.write_other(object, depth)
    }

    fn float(&mut self, x: f64) -> PyResult<()> {
        if !x.is_finite() {
            return Err(ReconError::new_err(format!("{x} has no Recon form that all peers read")));
        }
        write_f64(x, &mut self.out);
        Ok(())
    }

    #[inline(never)]
    fn write_other(&mut self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<()> {
        if let Some(scalar) = scalar(object)? {
            match scalar {
                Scalar::Null => {}
                Scalar::Bool(x) => write_bool(x, &mut self.out),
                Scalar::Int(x) => write_i64(x, &mut self.out),
                Scalar::Big(digits) => self.out.extend_from_slice(digits.as_bytes()),
                Scalar::Float(x) => self.float(x)?,
                Scalar::Text(text) => write_text(text.to_str()?, &mut self.out),
                Scalar::Bytes(bytes) => write_bytes(&bytes, &mut self.out),
                Scalar::Time(x) => write_time(x, &mut self.out),
            }
            return Ok(());
        }
        if let Some(items) = sequence(object)? {
            return self.items(items.len(), |at| Ok(items[at].clone()), depth);
        }
        if let Ok(mapping) = object.cast::<PyMapping>() {
            return self.members(pairs(mapping)?, depth);
        }
        let other = self.replaced(object, depth)?;
        self.write(&other, depth + 1)
    }

    /// What `default` gives for an object without a Recon form.
    #[cold]
    fn replaced(&self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<Bound<'py, PyAny>> {
        deeper(depth)?;
        match &self.default {
            Some(default) => default.call1((object,)),
            None => Err(WrongType::new_err(format!(
                "a {} has no Recon form: convert it first, or give dumps(default=…)",
                object.get_type().name()?
            ))),
        }
    }

    #[inline]
    fn items(
        &mut self,
        length: usize,
        item: impl Fn(usize) -> PyResult<Bound<'py, PyAny>>,
        depth: usize,
    ) -> PyResult<()> {
        deeper(depth)?;
        self.out.push(b'{');
        let mut last_is_null = false;
        for at in 0..length {
            if at > 0 {
                self.out.push(b',');
            }
            let item = item(at)?;
            last_is_null = item.is_none();
            self.write(&item, depth + 1)?;
        }
        if last_is_null {
            self.out.push(b',');
        }
        self.out.push(b'}');
        Ok(())
    }

    fn dict(&mut self, dict: &Bound<'py, PyDict>, depth: usize) -> PyResult<()> {
        if self.sort_keys {
            return self.members(pairs(dict.as_mapping())?, depth);
        }
        deeper(depth)?;
        let start = self.out.len();
        self.out.push(b'{');
        let py = dict.py();
        let length = dict.len();
        let (mut at, mut key, mut value) = (0, std::ptr::null_mut(), std::ptr::null_mut());
        // SAFETY: `dict` is alive, and so are a key and a value until the dict changes; both are held while Python code
        // may run (`default`). A dict that has changed by then is refused before the next step.
        while unsafe { ffi::PyDict_Next(dict.as_ptr(), &raw mut at, &raw mut key, &raw mut value) } != 0 {
            let (key, value) = unsafe { (Bound::from_borrowed_ptr(py, key), Bound::from_borrowed_ptr(py, value)) };
            if self.out.len() > start + 1 {
                self.out.push(b',');
            }
            if !self.key(&key)? {
                self.out.truncate(start);
                return self.members(pairs(dict.as_mapping())?, depth);
            }
            self.out.push(b':');
            self.write(&value, depth + 1)?;
            if dict.len() != length {
                return Err(PyRuntimeError::new_err("dictionary changed size during iteration"));
            }
        }
        self.out.push(b'}');
        Ok(())
    }

    /// Writes a key; false: its dict is no plain record of slots, and nothing is written.
    #[inline]
    fn key(&mut self, key: &Bound<'py, PyAny>) -> PyResult<bool> {
        if let Ok(name) = key.cast::<PyString>() {
            let name = name.to_str()?;
            if needs_tree(name) {
                return Ok(false);
            }
            write_text(name, &mut self.out);
        } else {
            recon::write_interop(&key_value(key)?, &mut self.out);
        }
        Ok(true)
    }

    /// A mapping, in order or sorted by name.
    fn members(&mut self, mut pairs: Vec<Pair<'py>>, depth: usize) -> PyResult<()> {
        deeper(depth)?;
        if self.sort_keys {
            sort(&mut pairs)?;
        }
        let plain = |(key, _): &Pair<'py>| key.cast::<PyString>().is_ok_and(|name| name.to_str().is_ok_and(needs_tree));
        if pairs.iter().any(plain) {
            let tree = self.tree_of_members(pairs, depth)?;
            write_tree(&tree, &mut self.out);
            return Ok(());
        }
        self.out.push(b'{');
        for (at, (key, value)) in pairs.iter().enumerate() {
            if at > 0 {
                self.out.push(b',');
            }
            self.key(key)?;
            self.out.push(b':');
            self.write(value, depth + 1)?;
        }
        self.out.push(b'}');
        Ok(())
    }

    // -- as a tree, where attributes come first

    fn tree(&self, object: &Bound<'py, PyAny>, depth: usize) -> PyResult<Tree> {
        if let Some(scalar) = scalar(object)? {
            return Ok(match scalar {
                Scalar::Null => Tree::Extant,
                Scalar::Bool(x) => Tree::Bool(x),
                Scalar::Int(x) => Tree::Number(Number::Int(x)),
                Scalar::Big(digits) => Tree::Number(Number::Big(digits.into())),
                Scalar::Float(x) if x.is_finite() => Tree::Number(Number::Float(x)),
                Scalar::Float(x) => {
                    return Err(ReconError::new_err(format!("{x} has no Recon form that all peers read")));
                }
                Scalar::Text(text) => Tree::text(text.to_str()?),
                Scalar::Bytes(bytes) => Tree::Data(bytes.as_slice().into()),
                Scalar::Time(x) => recon::to_tree(&Value::Time(x)),
            });
        }
        deeper(depth)?;
        if let Some(items) = sequence(object)? {
            let items: PyResult<Vec<Item>> =
                items.iter().map(|item| self.tree(item, depth + 1).map(Item::Value)).collect();
            return Ok(Tree::Record(items?));
        }
        if let Ok(mapping) = object.cast::<PyMapping>() {
            let mut pairs = pairs(mapping)?;
            if self.sort_keys {
                sort(&mut pairs)?;
            }
            return self.tree_of_members(pairs, depth);
        }
        let other = self.replaced(object, depth)?;
        self.tree(&other, depth + 1)
    }

    fn tree_of_members(&self, pairs: Vec<Pair<'py>>, depth: usize) -> PyResult<Tree> {
        let mut members = Vec::with_capacity(pairs.len());
        for (key, value) in &pairs {
            let name = recon::key_text(&key_value(key)?);
            members.push((name, self.tree(value, depth + 1)?));
        }
        Ok(members_to_tree(members))
    }
}

type Pair<'py> = (Bound<'py, PyAny>, Bound<'py, PyAny>);

fn pairs<'py>(mapping: &Bound<'py, PyMapping>) -> PyResult<Vec<Pair<'py>>> {
    mapping.items()?.iter().map(|pair| pair.extract()).collect()
}

fn sort(pairs: &mut [Pair<'_>]) -> PyResult<()> {
    let mut failed = None;
    pairs.sort_by(|(a, _), (b, _)| {
        a.compare(b).unwrap_or_else(|error| {
            failed.get_or_insert(error);
            std::cmp::Ordering::Equal
        })
    });
    failed.map_or(Ok(()), Err)
}

/// One more level of lists and mappings.
#[inline(always)]
fn deeper(depth: usize) -> PyResult<()> {
    if depth < MAX_DEPTH { Ok(()) } else { Err(too_deep()) }
}

#[cold]
fn too_deep() -> PyErr {
    ReconError::new_err(format!("nested deeper than {MAX_DEPTH} levels, or in a circle"))
}

/// A key as a value: text, numbers and bools.
fn key_value(key: &Bound<'_, PyAny>) -> PyResult<Value> {
    match scalar(key)? {
        Some(Scalar::Text(text)) => Ok(Value::Text(text.to_str()?.into())),
        Some(Scalar::Int(x)) => Ok(Value::Int(x)),
        Some(Scalar::Bool(x)) => Ok(Value::Bool(x)),
        Some(Scalar::Float(x)) if x.is_finite() => Ok(Value::Float(x)),
        Some(Scalar::Big(digits)) => Ok(Value::Text(digits.into())),
        _ => Err(WrongType::new_err(format!("keys must be str, int, float or bool, not {}", key.get_type().name()?))),
    }
}

fn scalar<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Scalar<'py>>> {
    Ok(Some(if object.is_none() {
        Scalar::Null
    } else if let Ok(text) = object.cast::<PyString>() {
        Scalar::Text(text.clone())
    } else if let Ok(x) = object.cast::<PyBool>() {
        Scalar::Bool(x.is_true())
    } else if let Ok(x) = object.cast::<PyFloat>() {
        Scalar::Float(x.value())
    } else if object.is_instance_of::<PyInt>() {
        match object.extract() {
            Ok(x) => Scalar::Int(x),
            // Not by the object's own __str__: an IntEnum is its number.
            Err(_) => Scalar::Big(object.py().get_type::<PyInt>().call_method1("__repr__", (object,))?.extract()?),
        }
    } else if let Ok(bytes) = object.cast::<PyBytes>() {
        Scalar::Bytes(bytes.as_bytes().to_vec())
    } else if let Ok(bytes) = object.cast::<PyByteArray>() {
        Scalar::Bytes(bytes.to_vec())
    } else if object.is_instance_of::<PyDateTime>() {
        match convert::from_python(object)? {
            Value::Time(x) => Scalar::Time(x),
            _ => return Ok(None),
        }
    } else {
        return Ok(None);
    }))
}

fn sequence<'py>(object: &Bound<'py, PyAny>) -> PyResult<Option<Vec<Bound<'py, PyAny>>>> {
    let listed = object.is_instance_of::<PyList>()
        || object.is_instance_of::<PyTuple>()
        || object.is_instance_of::<PyFrozenSet>();
    if listed { object.try_iter()?.collect::<PyResult<_>>().map(Some) } else { Ok(None) }
}
