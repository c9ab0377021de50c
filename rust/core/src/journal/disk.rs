//! For tests: a disk that writes down what is done to it, fails when told to, and can be found as a power cut at any
//! point would have left it.

mod rebuild;
mod tape;
mod vfs;

pub(super) use rebuild::{Random, rebuild};
pub(super) use tape::{Failure, Tape};
