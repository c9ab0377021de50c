//! Recon, Swim's data language: text to values and back.
//!
//! - `tree`: `Tree`, what a text says, faithfully, with `expression` and `selector`; `value`: what JSON carries of it
//!   (`crate::value::Value`)
//! - `read`: the grammar, in one pass and without recursion; a `Build` (`build`) makes of it what is wanted
//! - `scan`, `number`, `ident`: its tokens
//! - `write`: values for the wire, as all of Swim's peers read them; `interop`: the same of a `Tree`
//! - `canonical`: the text that swim-java writes; `java`: its floats
//! - `tagged`: a `Tree` as JSON in which no difference is lost
//! - `decode`: a command's body straight into its slots
//!
//! Selectors (`$a`) and expressions (`a + 1`) are for trees only: no peer sends them. docs/protocol.md has the mapping
//! between Recon and JSON.

mod build;
mod canonical;
mod decode;
mod expression;
mod ident;
mod interop;
mod java;
mod number;
mod read;
mod scan;
mod selector;
mod tagged;
mod tree;
mod value;
mod write;

#[cfg(test)]
pub(crate) mod tests;

pub use build::{Build, Key};
pub use canonical::{write_block, write_canonical};
pub use decode::decode_recon;
pub use expression::{Operation, Operator};
pub use interop::write_tree;
pub(crate) use java::write_double as write_java_double;
pub use number::Number;
pub(crate) use read::first_attribute;
pub use read::{Rules, check, check_body, read_with};
pub use selector::Step;
pub use tagged::write_tagged;
pub(crate) use tree::TreeBuild;
pub use tree::{Item, Tree, body_of, read_body_tree, read_tree};
pub use value::{key_text, members_to_tree, read, read_body, to_tree};
pub use write::{
    needs_tree, write_body, write_body_text, write_bool, write_bytes, write_f64, write_i64, write_interop, write_point,
    write_text, write_time,
};

/// Levels of braces, brackets, parentheses and operators that a text may have.
pub const MAX_DEPTH: usize = 512;

/// Why a text is refused, and where.
#[derive(Clone, Debug, PartialEq)]
pub struct ReconError {
    /// Byte offset in the text; its length where the text ends too early.
    pub offset: usize,
    pub reason: String,
}

impl std::fmt::Display for ReconError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} (byte {})", self.reason, self.offset)
    }
}

impl std::error::Error for ReconError {}

/// The offset after white space and comments.
pub(crate) fn blank(text: &str, at: usize) -> usize {
    let mut scan = scan::Scanner::new(text);
    scan.at = at;
    scan.skip_blank();
    scan.at
}

/// Boxed, so that the results which the reader hands around stay small.
pub(crate) type Fail = Box<ReconError>;

#[cold]
pub(crate) fn fail(offset: usize, reason: impl Into<String>) -> Fail {
    Box::new(ReconError { offset, reason: reason.into() })
}
