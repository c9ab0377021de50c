//! A record's bytes become the slots of a body, without a tree in between.
//!
//! - `json`: a JSON text, by the type of the body; `record`: an object with declared fields, by far the most frequent
//! - `row`: a row of delimited text, every field of which is text
//! - `tree`: a JSON text as a `Value`, for the types that only Python can check
//! - `field`: a value of a declared type, in both
//! - `template`: what records of one source have in common, so that most are read without looking for names
//! - `scan`: JSON's grammar; `string`, `number`: its scalars; `key`: a name that is expected; `keys`: no key twice
//! - `write`: a `Value` as JSON
//!
//! What is valid is what msgspec takes in strict mode, and its words say why something is not, except that
//!
//! 1. a key twice in one object, nested ones and undeclared ones too, is refused;
//! 2. a whole number beyond int64 is refused in declared fields, `Plan::extra` and trees, and so is a number beyond
//!    float64 (`1e999`); `NaN` and `Infinity` are no JSON;
//! 3. `3.0` is taken for an int (any whole number up to 2^53 in size);
//! 4. a byte order mark before the text is skipped;
//! 5. a time is one instant: without a zone it is in `Plan::zone`, and in UTC it lies in the years 1 to 9999;
//! 6. more than 512 levels of lists and objects are refused.
//!
//! In fields that the body does not declare only the grammar and the keys are checked, as in msgspec.

pub(crate) mod field;
pub(crate) mod json;
mod key;
mod keys;
pub(crate) mod number;
pub(crate) mod record;
mod row;
pub(crate) mod scan;
mod string;
mod template;
mod tree;
mod write;

pub use json::decode_json;
pub(crate) use json::prepare;
pub(crate) use key::Key;
pub(crate) use number::Number;
pub(crate) use row::row_tree;
pub use row::{RowPlan, decode_row};
pub(crate) use template::{Sink, Target, Template};
pub(crate) use tree::parse_deep_tree;
pub use tree::{check_tree, parse_tree};
pub use write::write_json;

use crate::body::Invalid;

/// Boxed, so that the results which the hot path hands around stay small.
pub(crate) type Fail = Box<Invalid>;

#[cold]
pub(crate) fn fail(offset: usize, reason: impl Into<String>) -> Fail {
    Box::new(Invalid { offset, reason: reason.into() })
}

#[cfg(test)]
mod tests;
