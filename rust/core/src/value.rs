//! A value: what a cell holds, what JSON carries. Immutable; shared by reference count.

use std::sync::Arc;

use ecow::{EcoString, EcoVec};

/// One value. Scalars are what columns hold natively; `List` and `Map` are trees for `value` columns.
#[derive(Clone, Debug, Default, PartialEq)]
pub enum Value {
    /// Null in JSON, None in Python, an unset or empty cell in a column.
    #[default]
    Null,
    Bool(bool),
    Int(i64),
    /// Always finite: readers refuse NaN and infinities.
    Float(f64),
    /// Microseconds since 1970-01-01T00:00:00 UTC.
    Time(i64),
    /// Latitude and longitude in degrees.
    Point(f64, f64),
    Text(EcoString),
    Bytes(EcoVec<u8>),
    List(Arc<[Value]>),
    /// In the order in which the members were written; keys are unique.
    Map(Arc<[(EcoString, Value)]>),
}

impl Value {
    pub fn is_null(&self) -> bool {
        matches!(self, Value::Null)
    }

    /// A number as f64; int64 converts (exactly up to 2^53). `None` for everything else.
    pub fn as_f64(&self) -> Option<f64> {
        match self {
            Value::Float(x) => Some(*x),
            Value::Int(x) => Some(*x as f64),
            _ => None,
        }
    }
}
