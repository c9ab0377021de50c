//! For tests: a disk that writes down what is done to it, fails when told to, and can be found as a power cut at any
//! point would have left it.

mod tape;

pub(super) use tape::Tape;
