//! `shoal.recon`: text to builtin objects and back, without a tree in between.
//!
//! - `load`: objects straight from the reader; `names`: short keys are made once
//! - `dump`: text straight from objects

mod dump;
mod load;
mod names;

use std::fmt::Write;

use pyo3::exceptions::PyTypeError;
use pyo3::prelude::*;
use pyo3::types::{PyByteArray, PyBytes, PyString};
use shoal_core::recon::{self, ReconError};
use shoal_core::warp;

use crate::errors::ReconDecodeError;

/// The error of a text in Python's terms: `pos` counts characters in a str, bytes in bytes.
#[cold]
fn decode_error(fault: &ReconError, text: &str, document: &Bound<'_, PyAny>) -> PyErr {
    let offset = fault.offset.min(text.len());
    let position = match document.is_instance_of::<PyString>() {
        true => text.get(..offset).map_or(offset, |before| before.chars().count()),
        false => offset,
    };
    ReconDecodeError::new_err((fault.reason.clone(), document.clone().unbind(), position))
}

/// Reads one Recon text (str, or UTF-8 bytes): None, bool, int, float, str, bytes, list and dict.
///
/// A record of plain values is a list, any other record a dict; an attribute ``@tag`` is the key ``"@tag"``. Of a key
/// that stands twice the last one counts, as in json. Raises ``ReconDecodeError``.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub fn loads<'py>(text: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
    if let Ok(string) = text.cast::<PyString>() {
        return load::load(string.to_str()?, text);
    }
    let copied;
    let bytes: &[u8] = if let Ok(bytes) = text.cast::<PyBytes>() {
        bytes.as_bytes()
    } else if let Ok(bytes) = text.cast::<PyByteArray>() {
        copied = bytes.to_vec();
        &copied
    } else {
        let kind = text.get_type();
        return Err(PyTypeError::new_err(format!(
            "the Recon text must be str, bytes or bytearray, not {}",
            kind.name()?
        )));
    };
    match std::str::from_utf8(bytes) {
        Ok(string) => load::load(string, text),
        Err(error) => Err(ReconDecodeError::new_err(("invalid UTF-8", text.clone().unbind(), error.valid_up_to()))),
    }
}

/// Writes an object as one Recon text, which Swim's clients of all languages read alike.
///
/// ``loads`` gives the object back, but for these: a tuple comes back as a list, an empty list as ``{}``, a float that
/// is whole as an int, a datetime as RFC 3339 text. ``default`` is called with what has no Recon form and gives
/// something that has. Raises ``WrongType`` for such an object, ``ReconError`` for NaN, infinities and more than 512
/// levels.
#[pyfunction]
#[pyo3(signature = (obj, /, *, default=None, sort_keys=false))]
pub fn dumps<'py>(
    obj: &Bound<'py, PyAny>,
    default: Option<Bound<'py, PyAny>>,
    sort_keys: bool,
) -> PyResult<Bound<'py, PyString>> {
    dump::dump(obj, default, sort_keys)
}

fn utf8(out: Vec<u8>) -> String {
    String::from_utf8_lossy(&out).into_owned()
}

/// JSON in ASCII, so that no reader splits its line at U+2028. Other characters stand in strings only.
fn ascii(json: Vec<u8>) -> String {
    let json = utf8(json);
    if json.is_ascii() {
        return json;
    }
    let mut out = String::with_capacity(json.len() * 2);
    for c in json.chars() {
        if c.is_ascii() {
            out.push(c);
            continue;
        }
        for unit in c.encode_utf16(&mut [0; 2]) {
            // Writing to a String cannot fail.
            let _ = write!(out, "\\u{unit:04x}");
        }
    }
    out
}

/// The structure of a text as JSON in which no difference is lost.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub fn recon_tagged(text: &Bound<'_, PyString>) -> PyResult<String> {
    let mut out = Vec::new();
    let string = text.to_str()?;
    recon::write_tagged(&recon::read_tree(string).map_err(|fault| decode_error(&fault, string, text))?, &mut out);
    Ok(ascii(out))
}

/// The text that swim-java writes for what a text says.
#[pyfunction]
#[pyo3(signature = (text, /))]
pub fn recon_canonical(text: &Bound<'_, PyString>) -> PyResult<String> {
    let mut out = Vec::new();
    let string = text.to_str()?;
    recon::write_canonical(&recon::read_tree(string).map_err(|fault| decode_error(&fault, string, text))?, &mut out);
    Ok(utf8(out))
}

/// The fields of a WARP frame as JSON.
#[pyfunction]
#[pyo3(signature = (frame, /))]
pub fn warp_fields(frame: &Bound<'_, PyString>) -> PyResult<String> {
    let mut out = Vec::new();
    let string = frame.to_str()?;
    warp::write_fields(string, &mut out).map_err(|fault| decode_error(&fault, string, frame))?;
    Ok(ascii(out))
}

/// Adds `loads` and `dumps` under names of their own.
pub fn add(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("recon_loads", wrap_pyfunction!(loads, module)?)?;
    module.add("recon_dumps", wrap_pyfunction!(dumps, module)?)
}
