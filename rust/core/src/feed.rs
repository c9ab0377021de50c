//! Sources as the shard sees them: batches taken from their readers' queues, records decoded, routed by their key fields,
//! counted.
//!
//! - `known`: the templates of a source's records
//! - `sweep`: runs of records whose turns only fold
//! - `wiring`: how records are decoded and routed

mod known;
mod sweep;
mod wiring;

use std::ops::Range;
use std::sync::Arc;
use std::thread::JoinHandle;

use ecow::EcoString;

use crate::batch::{Batch, Shape, Span};
use crate::body::{BodyType, Invalid, Plan, Record};
use crate::decode::{RowPlan, Template, decode_json, decode_row, row_tree};
use crate::inbox::{SourceQueue, Taken};
use crate::journal::small::Mark;
use crate::population::{Population, PopulationId};
use crate::preview::Preview;
use crate::route::check_parameter;
use crate::shard::{Counts, Shard};
use crate::source::{self, Head, Resume};
use crate::time::time_of;
use crate::value::Value;
use known::Known;
use sweep::Sweep;
pub use wiring::SourceDecl;
use wiring::{Wiring, part};

#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Open,
    Done,
    /// Cannot be read any further.
    Failed(String),
}

/// What a source has next.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Upcoming {
    /// A record whose event was then.
    At(i64),
    /// A record that need not wait for any other.
    Now,
    /// Nothing yet, and what will come has a time that the others must wait for.
    Awaited,
    None,
}

/// Where a value stands in a decoded record.
#[derive(Clone, Copy, Debug)]
enum Part {
    Slot(usize),
    Extra(usize),
}

pub struct Source {
    pub name: EcoString,
    pub lane: EcoString,
    pub target: Option<(PopulationId, u16)>,
    pub filter: bool,
    pub speed: Option<f64>,
    pub counts: Counts,
    pub state: State,
    /// Decoded and routed here alone: nobody in Python needs to see the record before its turn.
    pub direct: bool,
    plan: Plan,
    keys: Vec<(EcoString, Part)>,
    time: Option<Part>,
    /// As it was declared, for the wiring when a schema grows.
    decl: SourceDecl,
    /// The next record has a field that nobody knows.
    pub stopped: bool,
    /// The field that `time=` names; "": none.
    pub time_field: EcoString,
    queue: Arc<SourceQueue>,
    reader: Option<JoinHandle<()>>,
    /// The position of the last record that the program has handed over.
    handed: u64,
    /// The last record of batches before the present one.
    taken: u64,
    /// What a run before has applied of it.
    before: Option<Mark>,
    /// What its file begins with; (0, 0): it cannot be read again.
    pub head: (u64, u64),
    closed: bool,
    batch: Batch,
    next: usize,
    row: Option<RowPlan>,
    /// Records `seen` of the batch, decoded and looked up before their turns.
    ahead: Vec<Ahead>,
    seen: Range<usize>,
    /// Columns that the command's folds write: what a turn will want in the cache.
    outs: Vec<u16>,
    /// What its records have in common.
    known: Known,
    /// Its records' turns may run ahead; None: each is opened by itself.
    sweep: Option<Sweep>,
}

/// Records decoded ahead of their turns. While one is worked on, the cells of the next are on their way to the cache.
const AHEAD: usize = 8;

/// A record whose turn is about to come.
#[derive(Default)]
pub struct Ahead {
    pub record: Record,
    pub invalid: Option<Invalid>,
    /// Its twin's row, if there was one when the record was looked up, and how many twins had been removed by then: while
    /// that stays, rows stay.
    pub place: Option<(u32, u64)>,
}

impl Source {
    /// Takes the next record of this source, if there is one now: its index in the present batch.
    #[inline]
    pub fn take(&mut self) -> Option<usize> {
        if self.stopped || !self.refill() {
            return None;
        }
        self.next += 1;
        self.counts.read += 1;
        Some(self.next - 1)
    }

    /// Leaves a record for later: it has something that the host must see first.
    #[cold]
    pub fn put_back(&mut self) {
        self.next -= 1;
        self.counts.read -= 1;
        self.stopped = true;
    }

    /// When the next record's event was, for a replay of several files.
    pub fn upcoming(&mut self, table: &Population, zone: &jiff::tz::TimeZone) -> Upcoming {
        if self.stopped {
            return Upcoming::Awaited;
        }
        if !self.refill() {
            let awaited = self.state == State::Open && self.time.is_some() && !self.closed;
            return if awaited { Upcoming::Awaited } else { Upcoming::None };
        }
        if self.time.is_none() || !self.direct || self.problem(self.next).is_some() {
            return Upcoming::Now;
        }
        let ahead = self.next;
        self.ahead(ahead, table);
        let ahead = &self.ahead[ahead - self.seen.start];
        match (&ahead.invalid, self.time(&ahead.record, zone)) {
            (None, Ok(Some(time))) => Upcoming::At(time),
            _ => Upcoming::Now,
        }
    }

    /// Makes sure of a next record; false: there is none now.
    fn refill(&mut self) -> bool {
        while self.next >= self.batch.records.len() {
            if self.state != State::Open {
                return false;
            }
            match self.queue.take() {
                Taken::Batch(batch) => {
                    if let (Shape::Row(header), None) = (&batch.shape, &self.row) {
                        self.row = Some(RowPlan::new(&self.plan, header));
                        self.sweep = None;
                    }
                    self.taken = self.last_taken();
                    self.queue.give_back(std::mem::replace(&mut self.batch, batch));
                    self.next = 0;
                    self.seen = 0..0;
                    if let Some(sweep) = &mut self.sweep {
                        sweep.forget();
                    }
                }
                Taken::Empty => return false,
                Taken::Finished(Ok(())) => self.state = State::Done,
                Taken::Finished(Err(reason)) => self.state = State::Failed(reason),
            }
        }
        true
    }

    /// The position of the last record that was taken in this run; 0: none.
    fn last_taken(&self) -> u64 {
        match self.next.checked_sub(1) {
            Some(last) => self.batch.records[last].position,
            None => self.taken,
        }
    }

    /// The highest position that was ever taken.
    pub fn through(&self) -> u64 {
        self.last_taken().max(self.before.as_ref().map_or(0, |before| before.through))
    }

    /// Records that waited when a run before ended, and that this one has not come to yet.
    pub fn unread(&self) -> Vec<u64> {
        let last = self.last_taken();
        let waiting = self.before.iter().flat_map(|before| before.waiting.iter().copied());
        waiting.filter(|position| *position > last).collect()
    }

    /// Whether `take` would give a record, or learn that the source has ended.
    pub fn has_news(&self) -> bool {
        !self.stopped && (self.next < self.batch.records.len() || self.state == State::Open && !self.queue.is_empty())
    }

    #[inline(always)]
    fn bytes(&self, index: usize) -> &[u8] {
        let span = &self.batch.records[index];
        &self.batch.bytes[span.start as usize..span.end as usize]
    }

    pub fn position(&self, index: usize) -> u64 {
        self.batch.records[index].position
    }

    pub fn problem(&self, index: usize) -> Option<&str> {
        self.batch.records[index].problem.as_deref()
    }

    /// A record's bytes, as its batch has them.
    pub fn record_bytes(&self, index: usize) -> &[u8] {
        self.bytes(index)
    }

    /// Position and text of a record, for the dead letters.
    pub fn raw(&self, index: usize) -> (u64, Vec<u8>) {
        let shown = match self.problem(index) {
            Some(_) => self.bytes(index).to_vec(),
            None => self.shown(self.bytes(index)),
        };
        (self.position(index), shown)
    }

    /// A record's bytes as a person reads them: a row as its fields.
    pub fn shown(&self, bytes: &[u8]) -> Vec<u8> {
        match &self.batch.shape {
            Shape::Row(header) => {
                let mut out = Vec::new();
                crate::decode::write_json(&row_tree(header, bytes), &mut out);
                out
            }
            Shape::Json => bytes.to_vec(),
        }
    }

    /// A decoded record of the present batch, for its turn; the next ones are decoded with it.
    #[inline]
    pub fn ahead(&mut self, index: usize, table: &Population) -> &mut Ahead {
        if !self.seen.contains(&index) {
            self.look_ahead(index, table);
        }
        &mut self.ahead[index - self.seen.start]
    }

    fn look_ahead(&mut self, index: usize, table: &Population) {
        // of a source whose turns run ahead, only what could not is decoded here
        let count = if self.may_sweep() { 1 } else { AHEAD };
        self.seen = index..(index + count).min(self.batch.records.len());
        let mut ahead = std::mem::take(&mut self.ahead);
        for (ahead, index) in ahead.iter_mut().zip(self.seen.clone()) {
            ahead.place = None;
            // a record that its reader could not make out is not decoded, but a dead letter
            ahead.invalid = match self.problem(index) {
                Some(_) => None,
                None => self.decode_known(index, &mut ahead.record, table).err(),
            };
        }
        for (ahead, index) in ahead.iter_mut().zip(self.seen.clone()) {
            // what could not be decoded has no key
            let decoded = ahead.invalid.is_none() && self.problem(index).is_none();
            let key = if decoded { self.plain_key(&ahead.record) } else { None };
            let row = key.and_then(|key| table.find(key.as_bytes()));
            ahead.place = row.map(|row| {
                table.prefetch(row, &self.outs);
                (row, table.removals())
            });
        }
        self.ahead = ahead;
    }

    /// Decodes a record of the present batch: by what records before it had in common, if it has that too.
    #[inline]
    fn decode_known(&mut self, index: usize, record: &mut Record, table: &Population) -> Result<(), Invalid> {
        let (start, end) = (self.batch.records[index].start as usize, self.batch.records[index].end as usize);
        if self.row.is_none() && self.known.decode(&self.plan, &self.batch.bytes, start, end, record) {
            return Ok(());
        }
        self.decode(index, record)?;
        if self.row.is_none() {
            self.learn(index, table);
        }
        Ok(())
    }

    /// The general reader has taken this record.
    fn learn(&mut self, index: usize, table: &Population) {
        let span = &self.batch.records[index];
        let bytes = &self.batch.bytes[span.start as usize..span.end as usize];
        let fuse = |template: &Template| self.sweep.as_ref().and_then(|sweep| sweep.fuse(template, table));
        if self.known.learn(&self.plan, bytes, fuse)
            && let Some(sweep) = &mut self.sweep
        {
            sweep.forget();
        }
    }

    /// Decodes a record of the present batch.
    #[inline]
    pub fn decode(&self, index: usize, record: &mut Record) -> Result<(), Invalid> {
        self.decode_bytes(self.bytes(index), record)
    }

    /// Decodes a record's bytes, as its batch held them.
    #[inline]
    pub fn decode_bytes(&self, bytes: &[u8], record: &mut Record) -> Result<(), Invalid> {
        match &self.row {
            None => decode_json(&self.plan, bytes, record),
            Some(row) => decode_row(&self.plan, row, bytes, record),
        }
    }

    /// Decodes a record of a source with `to=`, for the command that its address has chosen.
    pub fn decode_routed(&self, plan: &Plan, bytes: &[u8], record: &mut Record) -> Result<(), Invalid> {
        let mut plan = plan.clone();
        if !self.time_field.is_empty()
            && let Part::Slot(at) = part(&mut plan, &self.time_field)
        {
            plan.time_slot = Some(at);
        }
        match &self.batch.shape {
            Shape::Json => decode_json(&plan, bytes, record),
            Shape::Row(header) => decode_row(&plan, &RowPlan::new(&plan, header), bytes, record),
        }
    }

    /// The time of such a record: of the source's field, or of the command's own (`slot`).
    pub fn time_routed(
        &self,
        body: &BodyType,
        slot: Option<usize>,
        record: &Record,
        zone: &jiff::tz::TimeZone,
    ) -> Result<Option<i64>, String> {
        let own = match body {
            BodyType::Record { fields } => fields.iter().position(|field| field.name == self.time_field),
            _ => None,
        };
        let value = match (self.time_field.is_empty(), own) {
            (true, _) => slot.and_then(|at| record.slots.get(at)),
            (false, Some(at)) => record.slots.get(at),
            (false, None) => record.extra.first(),
        };
        value.map_or(Ok(None), |value| time_of(value, zone))
    }

    /// A whole record as a tree, for `to=`.
    pub fn tree(&self, bytes: &[u8]) -> Result<Value, Invalid> {
        match &self.batch.shape {
            Shape::Json => crate::decode::parse_tree(bytes),
            Shape::Row(header) => Ok(row_tree(header, bytes)),
        }
    }

    /// Texts that the host validates may be numbers in disguise: rows have no types.
    pub fn is_lax(&self) -> bool {
        matches!(self.batch.shape, Shape::Row(_))
    }

    /// Its command has no handler, its records no time, and its folds can step without a log (see `sweep`).
    #[inline(always)]
    pub(crate) fn may_sweep(&self) -> bool {
        self.sweep.is_some() && self.known.is_fit()
    }

    /// Some where the records tell the time.
    #[inline(always)]
    pub fn has_time(&self) -> Option<()> {
        self.time.map(|_| ())
    }

    /// The event's time, when the source has one.
    #[inline]
    pub fn time(&self, record: &Record, zone: &jiff::tz::TimeZone) -> Result<Option<i64>, String> {
        match self.time {
            None => Ok(None),
            Some(Part::Slot(at)) => time_of(&record.slots[at], zone),
            Some(Part::Extra(at)) => time_of(&record.extra[at], zone),
        }
    }

    /// The twin's only parameter, where it is a text of the record.
    #[inline(always)]
    pub fn plain_key<'a>(&self, record: &'a Record) -> Option<&'a str> {
        let [(_, part)] = self.keys.as_slice() else { return None };
        let value = match *part {
            Part::Slot(at) => &record.slots[at],
            Part::Extra(at) => &record.extra[at],
        };
        match value {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// The twin's parameters, joined by NUL, into `key`. What is in them is checked when they name no twin yet.
    #[inline]
    pub fn key(&self, record: &Record, key: &mut String) -> Result<(), String> {
        key.clear();
        for (number, (name, part)) in self.keys.iter().enumerate() {
            let value = match *part {
                Part::Slot(at) => &record.slots[at],
                Part::Extra(at) => &record.extra[at],
            };
            if number > 0 {
                key.push('\0');
            }
            match value {
                Value::Text(text) => key.push_str(text),
                Value::Int(x) => {
                    use std::fmt::Write;
                    _ = write!(key, "{x}");
                }
                Value::Null => return Err(format!("key field `{name}` is missing or null")),
                _ => return Err(format!("key field `{name}` is neither text nor a whole number")),
            }
        }
        Ok(())
    }

    /// A key that names no twin yet: whether one may be made of it.
    pub fn check_key(&self, key: &str) -> Result<(), String> {
        if let [(name, _)] = self.keys.as_slice() {
            return check_parameter(key).map_err(|reason| format!("key field `{name}` {reason}"));
        }
        if key.split('\0').count() != self.keys.len().max(1) {
            return Err("a key field holds the character NUL".to_owned());
        }
        key.split('\0').zip(&self.keys).try_for_each(|(part, (name, _))| {
            check_parameter(part).map_err(|reason| format!("key field `{name}` {reason}"))
        })
    }

    /// Takes JSON texts from the program itself, in the shard's thread; the caller bounds them. `first`: the position of
    /// the first of them, which is behind those before; 0: the next.
    pub fn hand_from(&mut self, first: u64, texts: &[Vec<u8>]) {
        self.handed = first.checked_sub(1).unwrap_or(self.handed);
        self.hand(texts);
    }

    /// The same, at the next positions.
    pub fn hand(&mut self, texts: &[Vec<u8>]) {
        let mut batch = Batch { bytes: Vec::new(), records: Vec::new(), shape: Shape::Json };
        for text in texts {
            let start = batch.bytes.len() as u32;
            batch.bytes.extend_from_slice(text);
            self.handed += 1;
            batch.records.push(Span { start, end: batch.bytes.len() as u32, position: self.handed, problem: None });
        }
        self.queue.push(batch);
    }

    /// No more is taken than has been: the reader stops.
    pub fn close(&mut self) {
        self.queue.close();
        self.closed = true;
        if let Some(reader) = self.reader.take() {
            // a reader blocked in a read of a pipe ends with the process; all others have seen the closed queue
            if reader.is_finished() {
                _ = reader.join();
            }
        }
    }
}

impl Drop for Source {
    fn drop(&mut self) {
        self.close();
    }
}

impl Shard {
    /// Opens a source and starts its reader. Errors: what is wrong with the file or the declaration, and how to mend it.
    pub fn ingest(&mut self, decl: SourceDecl) -> Result<u16, String> {
        self.ingest_from(decl, None)
    }

    /// The same for a source that has been looked at already.
    pub fn ingest_from(&mut self, decl: SourceDecl, preview: Option<Preview>) -> Result<u16, String> {
        let Wiring { plan, keys, time, direct, outs, sweep } = self.wire(&decl);
        let queue = Arc::new(SourceQueue::new(Arc::clone(&self.wake)));
        let mut file = decl.file.clone();
        let head = match &file {
            Some(file) if self.journal.is_some() => source::head(&file.path).ok().flatten(),
            _ => None,
        };
        // what cannot be read again goes on from wherever it is
        let before = self.restored.remove(&decl.name);
        let mut counts = before.as_ref().map_or_else(Counts::default, |before| before.counts);
        let is_replayable = decl.replayable && (head.is_some() || decl.file.is_none());
        let before = before.filter(|before| is_replayable && before.through > 0);
        // those are read again, or lost
        counts.read -= counts.waiting();
        if let (Some(file), Some(before)) = (&mut file, &before) {
            let head = Head { bytes: before.head.0, hash: before.head.1 };
            file.resume = Some(Resume { through: before.through, waiting: before.waiting.clone(), head });
        }
        // what has been looked at lies before where a source goes on
        let preview = preview.filter(|_| file.as_ref().is_none_or(|file| file.resume.is_none()));
        let reader = match (preview, file) {
            (Some(preview), _) => preview.hand_over(&queue),
            (None, Some(file)) => {
                let intake = Arc::clone(&queue) as Arc<dyn crate::batch::Intake>;
                Some(source::spawn(file, intake).map_err(|error| format!("{}: {error}", decl.name))?)
            }
            (None, None) => None,
        };
        self.sources.push(Source {
            name: decl.name.clone(),
            lane: decl.lane.clone(),
            target: decl.target.map(|(population, command)| (PopulationId(population), command)),
            filter: decl.filter,
            speed: decl.speed,
            counts,
            state: State::Open,
            direct,
            plan,
            keys,
            time,
            time_field: decl.time.clone(),
            decl,
            stopped: false,
            queue,
            reader,
            handed: 0,
            taken: 0,
            before,
            head: head.map_or((0, 0), |head| (head.bytes, head.hash)),
            closed: false,
            batch: Batch { bytes: Vec::new(), records: Vec::new(), shape: Shape::Json },
            next: 0,
            row: None,
            ahead: (0..AHEAD).map(|_| Ahead::default()).collect(),
            seen: 0..0,
            outs,
            known: Known::default(),
            sweep,
        });
        self.merging = self.sources.iter().filter(|source| source.has_time().is_some()).count() > 1;
        Ok(self.sources.len() as u16 - 1)
    }

    /// Records with a field that nobody knows, which their sources wait with: (source, its position, its text).
    pub fn news(&self) -> Vec<(u16, u64, Vec<u8>)> {
        let stopped = self.sources.iter().enumerate().filter(|(_, source)| source.stopped);
        let told = |(at, source): (usize, &Source)| {
            let (position, text) = source.raw(source.next);
            (at as u16, position, text)
        };
        stopped.map(told).collect()
    }

    /// The host has seen the news: the source goes on, and `passed` are fields that need not be told of again.
    pub fn go_on(&mut self, source: u16, passed: Vec<EcoString>) {
        let source = &mut self.sources[source as usize];
        if let Some(known) = &mut source.decl.known {
            known.extend(passed);
        }
        source.stopped = false;
        self.rewire();
    }
}

#[cfg(test)]
mod tests;
