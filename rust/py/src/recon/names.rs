//! Names that have been made as Python strings, so that the next record has them for a look-up.

use std::cell::Cell;

use pyo3::prelude::*;
use pyo3::types::PyString;

const SLOTS: usize = 512;

/// A name of at most 16 bytes: its bytes and its length.
#[derive(Clone, Copy, PartialEq)]
struct Short(u128, usize);

impl Short {
    #[inline(always)]
    fn of(name: &str) -> Option<Short> {
        let bytes = name.as_bytes();
        let length = bytes.len();
        let word = match length {
            0..=7 => bytes.iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)).into(),
            8..=16 => {
                let low = u64::from_le_bytes(*bytes.first_chunk()?);
                let high = u64::from_le_bytes(*bytes.last_chunk()?);
                u128::from(low) | u128::from(high) << 64
            }
            _ => return None,
        };
        Some(Short(word, length))
    }

    #[inline(always)]
    fn slot(self) -> usize {
        let mixed = (self.0 as u64 ^ (self.0 >> 64) as u64).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        (mixed >> 32) as usize % SLOTS
    }
}

/// A name and its string.
type Known = (Short, Py<PyString>);

/// At most `SLOTS` short names; a new one takes the place of the one in its slot.
pub(super) struct Names(Box<[Option<Known>]>);

thread_local! {
    /// Between two texts of one thread; taken out while one is read, so that nobody holds it when Python code runs.
    static SPARE: Cell<Option<Names>> = const { Cell::new(None) };
}

impl Names {
    pub(super) fn take() -> Names {
        SPARE.take().unwrap_or_else(|| Names((0..SLOTS).map(|_| None).collect()))
    }

    pub(super) fn put_back(self) {
        SPARE.set(Some(self));
    }

    #[inline(always)]
    pub(super) fn get<'py>(&mut self, py: Python<'py>, name: &str) -> Bound<'py, PyString> {
        let Some(short) = Short::of(name) else { return PyString::new(py, name) };
        let slot = &mut self.0[short.slot()];
        match slot {
            Some((known, string)) if *known == short => string.bind(py).clone(),
            _ => {
                let string = PyString::new(py, name);
                *slot = Some((short, string.clone().unbind()));
                string
            }
        }
    }
}
