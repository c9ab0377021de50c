//! What a source hands to a shard: many records of one source in one allocation.

use std::sync::Arc;

/// The place of one record in its batch.
#[derive(Clone, Debug, PartialEq)]
pub struct Span {
    /// Byte range in `Batch::bytes`, without the line end.
    pub start: u32,
    pub end: u32,
    /// Where a person finds it: the line (text files) or row (Parquet), counted from 1; the record's sequence number.
    pub position: u64,
    /// The reader could not make a record of it (a ragged row, a line over the limit): it becomes a dead letter.
    pub problem: Option<Box<str>>,
}

/// How the bytes of a record are to be read.
#[derive(Clone, Debug, PartialEq)]
pub enum Shape {
    /// A JSON text.
    Json,
    /// Fields of a delimited row, unquoted: each is a little-endian u32 length and that many bytes of UTF-8; these are
    /// their names. An empty field is a missing one.
    Row(Arc<[Box<str>]>),
}

/// Consecutive records of one source.
#[derive(Clone, Debug, PartialEq)]
pub struct Batch {
    pub bytes: Vec<u8>,
    pub records: Vec<Span>,
    pub shape: Shape,
}

/// Where a reader thread puts its batches. Implemented by the shard's inbox; a test uses a `Vec`.
pub trait Intake: Send + Sync {
    /// Hands over a batch; blocks while the bound is reached. False: the shard is closing, stop reading.
    fn offer(&self, batch: Batch) -> bool;
    /// A batch that has been worked off, emptied: its memory for the next one.
    fn spare(&self) -> Option<Batch> {
        None
    }
    /// The source is exhausted (`Ok`) or cannot be read any further (`Err`: what, where and how to mend it).
    fn finish(&self, outcome: Result<(), String>);
}
