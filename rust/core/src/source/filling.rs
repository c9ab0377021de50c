//! The batch being filled. It holds whole records, and after them the beginning of the next one.

use crate::batch::{Batch, Intake, Shape, Span};

use super::FileSpec;
use super::resume::Wanted;
use super::text::{CHUNK, Text};

/// Bytes kept of a record that is over the limit.
pub(super) const KEPT: usize = 64_000;

/// Why reading ended before the file did.
pub(super) enum Stop {
    /// The shard takes no more.
    Closed,
    Failed(String),
}

/// Finds out where records end in a text.
pub(super) trait Split {
    /// Takes from the beginning of `chunk` (at least one byte of it, and all unless the batch is full) and returns how
    /// many bytes it took. An error ends the source; the records found before it count.
    fn scan(&mut self, chunk: &[u8], filling: &mut Filling) -> Result<usize, String>;
    /// The text is at its end; `cut`: in a place where it cannot be complete, so that a record without its end is one
    /// with a problem.
    fn end(&mut self, filling: &mut Filling, cut: bool) -> Result<(), String>;
}

pub(super) struct Filling<'a> {
    intake: &'a dyn Intake,
    max_line: usize,
    batch_bytes: usize,
    batch_records: usize,
    pub(super) shape: Shape,
    pub(super) bytes: Vec<u8>,
    pub(super) records: Vec<Span>,
    /// Where in `bytes` the unfinished record starts.
    pub(super) start: usize,
    /// Bytes of the unfinished record that were not kept, because it is over the limit.
    pub(super) dropped: u64,
    pub(super) wanted: Wanted,
    /// The position of the last record that has ended, handed over or not.
    pub(super) last: u64,
}

impl<'a> Filling<'a> {
    pub(super) fn new(spec: &FileSpec, intake: &'a dyn Intake) -> Filling<'a> {
        Filling {
            intake,
            max_line: spec.max_line,
            batch_bytes: spec.batch_bytes,
            batch_records: spec.batch_records,
            shape: Shape::Json,
            bytes: Vec::new(),
            records: Vec::new(),
            start: 0,
            dropped: 0,
            wanted: Wanted::after(spec.resume.as_ref()),
            last: 0,
        }
    }

    /// Feeds a text to `split`, to its end.
    pub(super) fn drain(&mut self, text: &mut Text, split: &mut dyn Split) -> Result<(), Stop> {
        loop {
            let chunk = match text.fill() {
                Ok(chunk) => chunk,
                Err(error) => {
                    let reason = text.describe(&error);
                    // Whatever `split` finds wrong with the rest follows from this.
                    let _ = split.end(self, true);
                    self.hand_over()?;
                    return Err(Stop::Failed(reason));
                }
            };
            let ended = chunk.is_empty();
            let (taken, all) = if ended {
                (split.end(self, text.is_cut()).map(|()| 0), true)
            } else {
                let taken = split.scan(chunk, self);
                let all = taken.as_ref().is_ok_and(|taken| *taken == chunk.len());
                (taken, all)
            };
            match taken {
                Ok(taken) => text.consume(taken),
                Err(reason) => {
                    self.hand_over()?;
                    return Err(Stop::Failed(reason));
                }
            }
            if ended {
                return self.hand_over();
            }
            if self.is_full() || (all && text.live) {
                self.hand_over()?;
            }
        }
    }

    /// It should be handed over before it takes another record.
    pub(super) fn is_full(&self) -> bool {
        self.room() == 0 || (self.start > 0 && self.bytes.len() >= self.batch_bytes)
    }

    /// Records that still go into this batch.
    pub(super) fn room(&self) -> usize {
        self.batch_records.saturating_sub(self.records.len())
    }

    /// Whatever the next `count` bytes are, no record over the limit can end in them.
    pub(super) fn fits(&self, count: usize) -> bool {
        self.dropped == 0 && self.bytes.len() - self.start + count <= self.max_line
    }

    /// Makes room for `count` more bytes: at first for a whole batch, unless the batch is likely to stay small.
    pub(super) fn reserve(&mut self, count: usize) {
        if self.bytes.capacity() - self.bytes.len() < count {
            let whole = if count < CHUNK / 2 { count } else { self.batch_bytes + count };
            self.bytes.reserve(whole.saturating_sub(self.bytes.len()).max(count));
        }
    }

    /// More bytes of the unfinished record. Past the limit only the first 64 kB of it are kept.
    pub(super) fn extend(&mut self, bytes: &[u8]) {
        if self.dropped > 0 {
            self.dropped += bytes.len() as u64;
            return;
        }
        self.reserve(bytes.len());
        self.bytes.extend_from_slice(bytes);
        let length = self.bytes.len() - self.start;
        if length > self.max_line.max(KEPT) {
            self.bytes.truncate(self.start + KEPT);
            self.bytes.shrink_to(self.batch_bytes);
            self.dropped = (length - KEPT) as u64;
        }
    }

    /// Bytes of the unfinished record so far.
    pub(super) fn pending(&self) -> u64 {
        (self.bytes.len() - self.start) as u64 + self.dropped
    }

    /// What is wrong with the unfinished record if it ends here: it is over the limit.
    pub(super) fn too_long(&self, noun: &str) -> Option<Box<str>> {
        let (length, limit) = (self.pending(), self.max_line);
        (length > limit as u64).then(|| format!("{noun} of {length} bytes is over the limit of {limit}").into())
    }

    /// The unfinished record is complete, or has a problem, of which only the first 64 kB are kept then.
    pub(super) fn end_record(&mut self, position: u64, problem: Option<Box<str>>) {
        self.last = position;
        if self.wanted.next(position) != position {
            self.forget();
            return;
        }
        if problem.is_some() {
            self.bytes.truncate(self.start + KEPT);
        }
        let (start, end) = (self.start as u32, self.bytes.len() as u32);
        self.records.push(Span { start, end, position, problem });
        self.start = self.bytes.len();
        self.dropped = 0;
    }

    /// Forgets the unfinished record: it was none (a blank line), or is to be written anew.
    pub(super) fn forget(&mut self) {
        self.bytes.truncate(self.start);
        self.dropped = 0;
    }

    /// Hands the whole records over; the unfinished one goes to the next batch.
    pub(super) fn hand_over(&mut self) -> Result<(), Stop> {
        let spare = self.intake.spare();
        let (mut bytes, next) = spare.map_or((Vec::new(), Vec::new()), |spare| (spare.bytes, spare.records));
        if self.start < self.bytes.len() {
            bytes.reserve(self.batch_bytes.min(self.bytes.capacity()).max(self.bytes.len() - self.start));
            bytes.extend_from_slice(&self.bytes[self.start..]);
            self.bytes.truncate(self.start);
        }
        let mut bytes = std::mem::replace(&mut self.bytes, bytes);
        if bytes.capacity() > 2 * bytes.len().max(self.batch_bytes) {
            bytes.shrink_to_fit();
        }
        let records = std::mem::replace(&mut self.records, next);
        self.records.reserve(records.len());
        self.start = 0;
        if records.is_empty() {
            return Ok(());
        }
        let batch = Batch { bytes, records, shape: self.shape.clone() };
        if self.intake.offer(batch) { Ok(()) } else { Err(Stop::Closed) }
    }
}
