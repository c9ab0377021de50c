//! Runs of records whose turns only fold. They are decoded and looked up together, ahead of their turns; then each has its
//! turn, in order: its folds step at once, and nothing else can happen in between. The first record for which something
//! else must happen ends the run and takes the general way (`record`): it is no template's, a fold refuses it, a lane
//! changes that a handler waits for, or somebody has linked its twin.

use std::ops::Range;

use crate::batch::Batch;
use crate::decode::{Number, Sink, Target, Template, prepare};
use crate::envelope::SourceId;
use crate::feed::known::{Known, Layout};
use crate::fold::{Fused, Program, RUN};
use crate::population::Population;
use crate::shard::Shard;
use crate::value::Value;

/// Records decoded ahead.
const WINDOW: usize = RUN;
const NO_ROW: u32 = u32::MAX;

/// A decoded record; its numbers stand in `Sweep::values`.
#[derive(Clone, Copy, Default)]
struct Entry {
    /// Of its template; None: it takes the general way.
    layout: Option<u8>,
    /// NO_ROW: its twin was not found.
    row: u32,
    /// Its key in the batch.
    start: u32,
    length: u32,
}

pub(crate) struct Sweep {
    key: Target,
    program: Program,
    /// Slots of the body.
    slots: usize,
    window: Range<usize>,
    entries: Vec<Entry>,
    /// `stride` for each record: its slots' numbers, then room for the folds' results.
    values: Vec<f64>,
    stride: usize,
    /// Twins removed when the records were looked up: while that stays, rows stay.
    removals: u64,
}

/// Takes the numbers of a record, and where its key is.
struct Numbers<'a> {
    values: &'a mut [f64],
    key: Target,
    start: usize,
    length: usize,
}

impl Sink for Numbers<'_> {
    #[inline(always)]
    fn float(&mut self, slot: usize, x: f64) {
        if let Some(value) = self.values.get_mut(slot) {
            *value = x;
        }
    }

    #[inline(always)]
    fn int(&mut self, slot: usize, x: i64) {
        self.float(slot, x as f64);
    }

    fn bool(&mut self, _slot: usize, _x: bool) {}

    #[inline(always)]
    fn text(&mut self, slot: usize, text: &str, at: usize) {
        if self.key == Target::Slot(slot) {
            (self.start, self.length) = (at, text.len());
        }
    }

    fn extra_text(&mut self, extra: usize, text: &str, at: usize) {
        if self.key == Target::Extra(extra) {
            (self.start, self.length) = (at, text.len());
        }
    }

    fn extra_number(&mut self, _extra: usize, _number: Number) {}
}

impl Sweep {
    /// For a source whose records are routed by `key` to a command with these folds.
    pub(crate) fn new(program: &Program, slots: usize, key: Target) -> Sweep {
        let stride = Fused::room(program, slots);
        Sweep {
            key,
            program: program.clone(),
            slots,
            window: 0..0,
            entries: vec![Entry::default(); WINDOW],
            values: vec![0.0; WINDOW * stride],
            stride,
            removals: 0,
        }
    }

    /// The folds of records that fit a template. None: their turns are opened one by one.
    pub(crate) fn fuse(&self, template: &Template, table: &Population) -> Option<Fused> {
        let keyed = template.has_text(self.key);
        keyed.then(|| Fused::new(&self.program, self.slots, template.numbers, table)).flatten()
    }

    /// Another batch, or other templates: what was decoded is void.
    pub(crate) fn forget(&mut self) {
        self.window = 0..0;
    }

    #[inline(never)]
    fn look_ahead(&mut self, index: usize, batch: &Batch, known: &mut Known, table: &Population, outs: &[u16]) {
        self.window = index..(index + WINDOW).min(batch.records.len());
        let records = &batch.records[self.window.clone()];
        let entries = &mut self.entries[..records.len()];
        let (key, slots) = (self.key, self.slots);
        for ((entry, values), span) in entries.iter_mut().zip(self.values.chunks_exact_mut(self.stride)).zip(records) {
            let mut sink = Numbers { values: &mut values[..slots], key, start: 0, length: 0 };
            let layout = match span.problem {
                None => known.read(&batch.bytes, span.start as usize, span.end as usize, &mut sink),
                Some(_) => None,
            };
            entry.layout = layout.map(|number| number as u8);
            (entry.start, entry.length) = (sink.start as u32, sink.length as u32);
        }
        self.look_up(batch, table, outs);
    }

    /// Finds the rows of the window's records.
    fn look_up(&mut self, batch: &Batch, table: &Population, outs: &[u16]) {
        self.removals = table.removals();
        let entries = &mut self.entries[..self.window.len()];
        for entry in entries.iter_mut().filter(|entry| entry.layout.is_some()) {
            let key = &batch.bytes[entry.start as usize..(entry.start + entry.length) as usize];
            entry.row = table.find(key).inspect(|row| table.prefetch(*row, outs)).unwrap_or(NO_ROW);
        }
    }
}

impl Shard {
    /// Has as many records as it can their turns, the first of them taken already. False: not even that one.
    #[inline]
    pub(crate) fn sweep(&mut self, id: SourceId, first: usize) -> bool {
        if !self.busy.is_empty() || self.merging || self.one_by_one {
            return false;
        }
        // `next` looks at the clock when `left` is a multiple of 32
        let room = 1 + self.left % 32;
        let mut kept = 0;
        while kept < room {
            match self.swept(id, first + kept, room - kept) {
                0 => break,
                more => kept += more,
            }
        }
        if kept == 0 {
            return false;
        }
        let source = &mut self.sources[id.0 as usize];
        source.next += kept - 1;
        source.counts.read += kept as u64 - 1;
        source.counts.applied += kept as u64;
        self.turns += kept as u64;
        self.left -= kept - 1;
        true
    }

    /// The turns of records of one layout from `index` on, `most` of them. Gives how many; 0: that record takes the general
    /// way, and nothing has happened but that its twin was made.
    fn swept(&mut self, id: SourceId, index: usize, most: usize) -> usize {
        let Some(source) = self.sources.get_mut(id.0 as usize) else { return 0 };
        let (Some(sweep), Some((population, _))) = (&mut source.sweep, source.target) else { return 0 };
        let class = &mut self.populations[population.0 as usize];
        if !class.full.is_empty() {
            // each turn of it is told by itself
            return 0;
        }
        if !sweep.window.contains(&index) {
            if index >= source.batch.records.len() {
                return 0;
            }
            sweep.look_ahead(index, &source.batch, &mut source.known, &class.table, &source.outs);
        } else if class.table.removals() != sweep.removals {
            sweep.look_up(&source.batch, &class.table, &source.outs);
        }
        let at = index - sweep.window.start;
        let Entry { layout, row, start, length } = sweep.entries[at];
        let Some(number) = layout else { return 0 };
        if row == NO_ROW {
            let key = start as usize..(start + length) as usize;
            let row = match class.table.find(&source.batch.bytes[key.clone()]) {
                Some(row) => row,
                None if class.decl.hooks.create || class.decl.hooks.start => return 0,
                None => match self.bear(id, key) {
                    Some(row) => row,
                    None => return 0,
                },
            };
            return self.swept_at(id, at, number, row);
        }
        let mut rows = [NO_ROW; RUN];
        let ahead = &sweep.entries[at..sweep.window.len()];
        let mut count = 0;
        for (place, entry) in rows[..most.min(RUN)].iter_mut().zip(ahead) {
            // listeners are told of each turn
            let alone = entry.layout == layout && entry.row != NO_ROW;
            let watched = |row: u32| self.links.watches(population, row) || self.downlinks.watches(population, row);
            if !alone || watched(entry.row) {
                break;
            }
            *place = entry.row;
            count += 1;
        }
        self.step_fused(id, at, number, &rows[..count])
    }

    /// The same for one record, whose twin has been looked up just now.
    #[inline(never)]
    fn swept_at(&mut self, id: SourceId, at: usize, layout: u8, row: u32) -> usize {
        let Some((population, _)) = self.sources[id.0 as usize].target else { return 0 };
        if self.is_watched(population, row) {
            return 0;
        }
        self.step_fused(id, at, layout, &[row])
    }

    #[inline(always)]
    fn step_fused(&mut self, id: SourceId, at: usize, layout: u8, rows: &[u32]) -> usize {
        let Some(source) = self.sources.get_mut(id.0 as usize) else { return 0 };
        let (Some(sweep), Some((population, _))) = (&mut source.sweep, source.target) else { return 0 };
        let layout = source.known.layout(layout as usize);
        let Some(fused) = layout.and_then(|layout| layout.fused.as_mut()) else { return 0 };
        let class = &mut self.populations[population.0 as usize];
        let values = &mut sweep.values[at * sweep.stride..];
        // SAFETY: it was made for this population, and nobody has removed a row since they were found.
        let kept = unsafe { fused.step(&mut class.table, rows, values) };
        for row in &rows[..kept] {
            class.table.soil(*row, fused.touched());
        }
        let is_synced = kept > 0 && crate::turn::meets(&class.synced, fused.touched());
        for at in &class.member_of {
            for row in &rows[..kept] {
                self.memberships[*at].mark_touched(*row, fused.touched());
            }
        }
        if is_synced {
            self.raise_fence();
        }
        kept
    }

    /// Opens the turn of a record that has been decoded ahead, and that `sweep` has left: a lane changes that a handler
    /// waits for. False: nothing has happened.
    pub(crate) fn open_swept(&mut self, id: SourceId, index: usize) -> bool {
        if !self.busy.is_empty() || self.merging || self.one_by_one {
            return false;
        }
        let source = &mut self.sources[id.0 as usize];
        let (Some(sweep), Some((population, _))) = (&source.sweep, source.target) else { return false };
        let table = &self.populations[population.0 as usize].table;
        if !sweep.window.contains(&index) || table.removals() != sweep.removals {
            return false;
        }
        let at = index - sweep.window.start;
        let Entry { layout: Some(number), row, .. } = sweep.entries[at] else { return false };
        let Some(Layout { template, fused: Some(_), .. }) = source.known.layout(number as usize) else { return false };
        // listeners are told of the whole record
        if row == NO_ROW || self.links.watches(population, row) || self.downlinks.watches(population, row) {
            return false;
        }
        let record = &mut self.turn.record;
        prepare(&source.plan, record);
        record.given = template.given;
        // all that folds read which may be fused
        for (slot, (cell, x)) in record.slots.iter_mut().zip(&sweep.values[at * sweep.stride..]).enumerate() {
            *cell = if template.numbers >> (slot % 64) & 1 == 1 { Value::Float(*x) } else { Value::Null };
        }
        self.begin_record(id, index, row);
        true
    }

    /// Makes the twin of the key that stands there in the batch, of a class without hooks. None: no key of a twin.
    #[inline(never)]
    fn bear(&mut self, id: SourceId, key: Range<usize>) -> Option<u32> {
        let source = &self.sources[id.0 as usize];
        let (population, _) = source.target?;
        let mut text = std::mem::take(&mut self.key);
        text.clear();
        text.push_str(std::str::from_utf8(source.batch.bytes.get(key)?).ok()?);
        let fit = source.check_key(&text).is_ok();
        let row = fit.then(|| {
            let (row, twin) = self.create(population, &text);
            self.settle(population, row, twin);
            row
        });
        self.key = text;
        row
    }
}
