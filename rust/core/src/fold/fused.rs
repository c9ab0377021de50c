//! The folds of a command where nothing can need to be undone: a run of events is stepped fold by fold, each over all
//! events in their order, and written at once. An event that a fold refuses, or that gives a watched lane another value,
//! ends the run: what it and the events after it have written by then is taken back, and it is left to `fold::run`. The
//! events before it are kept: no log, no rounds. Fold by fold comes to the same as event by event, for a fold reads nothing
//! but its own cell, the event, and what other folds have made of the same event.

use super::{FloatStep, Op, Program, Quick, Source, limited, may_fuse, stepped};
use crate::population::Population;
use crate::population::chunk::{CHUNK, Chunked};
use crate::population::column::{Column, point};

/// Folds of a command that may be fused.
const MOST: usize = 64;

/// Events of a run, at most.
pub const RUN: usize = 32;

/// The same where a handler waits for a fold: what is stepped behind an event that calls it is taken back.
const WATCHED_RUN: usize = 16;

#[derive(Clone, Copy, Debug)]
enum Step {
    Count,
    Float { from: u16, step: FloatStep },
    Place { lat: u16, lon: u16 },
    Limit { from: u16, limit: f64, clear: f64, below: bool },
}

#[derive(Clone, Copy, Debug)]
struct Fold {
    step: Step,
    out: u16,
    /// A handler waits for it to change.
    watched: bool,
    /// Where its result stands among an event's values.
    result: u16,
}

/// A command's folds for bodies that have the same numbers.
#[derive(Debug)]
pub struct Fused {
    /// Those first that watched lanes hang on: they end most runs, when the others have written nothing yet.
    folds: Box<[Fold]>,
    watching: bool,
    /// Values of one event: the slots', then the results of the folds.
    stride: usize,
    /// As `Log::touched` after these folds.
    touched: Box<[u64]>,
    /// By chunk, then by fold: where its cells are; nowhere where nobody has looked yet. Holds until a snapshot is taken,
    /// after which chunks are copied before they are written.
    cells: Vec<Cells>,
    snapshots: u64,
    /// By fold, then by event: what the present run has found in the cell.
    before: Box<[[Before; RUN]]>,
}

/// The chunk of a fold's column, for writing.
#[derive(Clone, Copy, Debug)]
struct Cells {
    valid: *mut u64,
    values: *mut u8,
}

const NOWHERE: Cells = Cells { valid: std::ptr::null_mut(), values: std::ptr::null_mut() };

/// A cell as it was: whether it was set, and its value as bits.
#[derive(Clone, Copy, Debug, Default)]
struct Before {
    bits: [u64; 2],
    set: bool,
}

impl Fused {
    /// `numbers`: bit i says that slot i holds a number; the others step no fold. None: some fold is of another kind.
    pub fn new(program: &Program, slots: usize, numbers: u64, population: &Population) -> Option<Fused> {
        let mut folds: Vec<Fold> = Vec::new();
        let mut touched = vec![0u64; population.words()];
        if program.len() > MOST || slots > MOST || !may_fuse(program) {
            return None;
        }
        let given = |slot: u16| numbers.checked_shr(u32::from(slot)).unwrap_or(0) & 1 == 1;
        let mut at = 0;
        while let Some(op) = program.get(at) {
            at += 1;
            // a fold of a lane is fused where that lane's own fold is, and then reads its result
            let value = |from: Source| match from {
                Source::Slot(slot) => given(slot).then_some(slot),
                Source::Column(column) => folds.iter().find(|fold| fold.out == column).map(|fold| fold.result),
            };
            let step = match op.quick {
                Quick::Count => Some(Step::Count),
                Quick::Float { from, step } => value(from).map(|from| Step::Float { from, step }),
                Quick::Place { lat, lon } => (given(lat) && given(lon)).then_some(Step::Place { lat, lon }),
                Quick::Limit { from, limit, clear, below } => {
                    value(from).map(|from| Step::Limit { from, limit, clear, below })
                }
                Quick::No => None,
            };
            match step {
                Some(step) => {
                    touched[op.out as usize / 64] |= 1 << (op.out % 64);
                    let result = (slots + folds.len()) as u16;
                    folds.push(Fold { step, out: op.out, watched: population.is_watched(op.out), result });
                }
                None => at += op.behind as usize,
            }
        }
        let once = |(at, fold): (usize, &Fold)| folds[..at].iter().all(|other| other.out != fold.out);
        let fitting = folds.iter().all(|fold| fits(fold, population)) && folds.iter().enumerate().all(once);
        if !fitting {
            return None;
        }
        let mut first = vec![false; folds.len()];
        for (at, fold) in folds.iter().enumerate().rev() {
            first[at] |= fold.watched;
            let (Step::Float { from, .. } | Step::Limit { from, .. }) = fold.step else { continue };
            if first[at] && from as usize >= slots {
                first[from as usize - slots] = true;
            }
        }
        // in either part, a fold comes after what it reads
        folds.sort_by_key(|fold| !first[fold.result as usize - slots]);
        Some(Fused {
            before: vec![[Before::default(); RUN]; folds.len()].into(),
            watching: folds.iter().any(|fold| fold.watched),
            folds: folds.into(),
            stride: Fused::room(program, slots),
            touched: touched.into(),
            cells: Vec::new(),
            snapshots: population.snapshots(),
        })
    }

    /// Values of one event: the slots', then the results.
    pub fn room(program: &[Op], slots: usize) -> usize {
        slots + program.len()
    }

    pub fn touched(&self) -> &[u64] {
        &self.touched
    }

    /// Steps the folds for events of the twins at `rows` (at most `RUN`), in their order. Gives how many it has stepped; for
    /// the others nothing is written. `values` are the slots' numbers of each event, with room for the results.
    ///
    /// # Safety
    /// It was made for this population, and the rows are live.
    pub unsafe fn step(&mut self, population: &mut Population, rows: &[u32], values: &mut [f64]) -> usize {
        if rows.len() > RUN || values.len() < rows.len() * self.stride {
            return 0;
        }
        let rows = if self.watching { &rows[..rows.len().min(WATCHED_RUN)] } else { rows };
        self.find_cells(population, rows);
        let mut kept = rows.len();
        for at in 0..self.folds.len() {
            let written = kept;
            let lane =
                Lane { cells: self.cells[at..].as_ptr(), folds: self.folds.len(), watched: self.folds[at].watched };
            // SAFETY: the cells of these rows have been found, of types that `fits` has looked at; slots and results are
            // numbered within `stride`, for which all events have room.
            unsafe {
                kept = pass(&self.folds[at], lane, &rows[..kept], values, self.stride, &mut self.before[at]);
                for (at, fold) in self.folds[..at].iter().enumerate().filter(|_| kept < written) {
                    let lane = Lane { cells: self.cells[at..].as_ptr(), ..lane };
                    take_back(fold, lane, &rows[..written], &self.before[at], kept);
                }
            }
        }
        kept
    }

    /// Makes sure that `cells` knows the chunks of these rows.
    #[inline(always)]
    fn find_cells(&mut self, population: &mut Population, rows: &[u32]) {
        if self.snapshots != population.snapshots() {
            self.cells.clear();
            self.snapshots = population.snapshots();
        }
        for row in rows {
            let chunk = *row as usize / CHUNK;
            if self.cells.get(chunk * self.folds.len()).is_none_or(|cells| cells.values.is_null()) {
                self.find_chunk(population, chunk);
            }
        }
    }

    #[inline(never)]
    fn find_chunk(&mut self, population: &mut Population, chunk: usize) {
        let width = self.folds.len();
        if self.cells.len() < (chunk + 1) * width {
            self.cells.resize((chunk + 1) * width, NOWHERE);
        }
        for (cells, fold) in self.cells[chunk * width..].iter_mut().zip(&self.folds) {
            let (valid, values) = match &mut population.columns[fold.out as usize] {
                Column::Int(cells) => parts(cells, chunk),
                Column::Float(cells) => parts(cells, chunk),
                Column::Point(cells) => parts(cells, chunk),
                Column::Bool(cells) => parts(cells, chunk),
                _ => unreachable!("`fits` lets no other column in"),
            };
            *cells = Cells { valid, values };
        }
    }
}

/// A fold's column, by its known chunks.
#[derive(Clone, Copy)]
struct Lane {
    /// Each `folds`th is this fold's.
    cells: *const Cells,
    folds: usize,
    watched: bool,
}

impl Lane {
    /// Where a row's cell is: the word of its validity, its bit there, its value.
    ///
    /// # Safety
    /// The row's chunk is known, and the column holds `T`.
    #[inline(always)]
    unsafe fn cell<T>(self, row: u32) -> (*mut u64, u64, *mut T) {
        let at = row as usize % CHUNK;
        // SAFETY: by the contract above.
        unsafe {
            let cells = *self.cells.add(row as usize / CHUNK * self.folds);
            (cells.valid.add(at / 64), 1 << (at % 64), cells.values.cast::<T>().add(at))
        }
    }

    /// Writes what `next` makes of each event and the cell's old value, until it makes nothing, or something else than was
    /// there where a handler waits for that. Gives the number of events written.
    ///
    /// # Safety
    /// As `cell`, for all rows.
    #[inline(always)]
    unsafe fn pass<T: Plain>(
        self,
        rows: &[u32],
        before: &mut [Before; RUN],
        mut next: impl FnMut(usize, Option<T>) -> Option<T>,
    ) -> usize {
        for (event, (row, before)) in rows.iter().zip(before).enumerate() {
            // SAFETY: by the contract above.
            unsafe {
                let (word, bit, value) = self.cell::<T>(*row);
                let (old, set) = (*value, *word & bit != 0);
                let Some(new) = next(event, set.then_some(old)) else { return event };
                if self.watched && !(set && old.bits() == new.bits()) {
                    return event;
                }
                *before = Before { bits: old.bits(), set };
                *value = new;
                if !set {
                    *word |= bit;
                }
            }
        }
        rows.len()
    }

    /// Gives the cells of the events from `kept` on what they held before them.
    ///
    /// # Safety
    /// As `cell`, for all rows.
    unsafe fn take_back<T: Plain>(self, rows: &[u32], before: &[Before; RUN], kept: usize) {
        for (row, before) in rows.iter().zip(before).skip(kept).rev() {
            // SAFETY: by the contract above.
            unsafe {
                let (word, bit, value) = self.cell::<T>(*row);
                *value = T::of(before.bits);
                *word = *word & !bit | if before.set { bit } else { 0 };
            }
        }
    }
}

/// Steps one fold for a run's events; gives how many of them.
///
/// # Safety
/// As `Lane::pass`; `values` has `stride` values for each row, among them those that the fold names.
#[inline(always)]
unsafe fn pass(
    fold: &Fold,
    lane: Lane,
    rows: &[u32],
    values: &mut [f64],
    stride: usize,
    before: &mut [Before; RUN],
) -> usize {
    let values = values.as_mut_ptr();
    // SAFETY: by the contract above.
    let place = |event: usize, at: u16| unsafe { values.add(event * stride + at as usize) };
    let result = |event: usize, x: f64| unsafe { *place(event, fold.result) = x };
    let float = |from: u16, step: FloatStep, before: &mut [Before; RUN]| {
        let next = |event: usize, old: Option<f64>| {
            let new = stepped(step, old, unsafe { *place(event, from) }).ok()?;
            result(event, new);
            Some(new)
        };
        unsafe { lane.pass::<f64>(rows, before, next) }
    };
    // SAFETY: by the contract above.
    unsafe {
        match fold.step {
            Step::Count => lane.pass::<i64>(rows, before, |_, old| old.unwrap_or(0).checked_add(1)),
            // each step in a loop of its own
            Step::Float { from, step: FloatStep::Latest } => float(from, FloatStep::Latest, before),
            Step::Float { from, step: FloatStep::Smallest } => float(from, FloatStep::Smallest, before),
            Step::Float { from, step: FloatStep::Largest } => float(from, FloatStep::Largest, before),
            Step::Float { from, step: FloatStep::Ewma(alpha) } => float(from, FloatStep::Ewma(alpha), before),
            Step::Place { lat, lon } => lane.pass::<[f64; 2]>(rows, before, |event, _| {
                let (lat, lon) = (*place(event, lat), *place(event, lon));
                point(lat, lon).is_ok().then_some([lat, lon])
            }),
            Step::Limit { from, limit, clear, below } => lane.pass::<bool>(rows, before, |event, old| {
                Some(limited(*place(event, from), old.unwrap_or(false), limit, clear, below))
            }),
        }
    }
}

/// Takes back what a fold has written for the events from `kept` on.
///
/// # Safety
/// As `Lane::take_back`.
#[inline(never)]
unsafe fn take_back(fold: &Fold, lane: Lane, rows: &[u32], before: &[Before; RUN], kept: usize) {
    // SAFETY: by the contract above.
    unsafe {
        match fold.step {
            Step::Count => lane.take_back::<i64>(rows, before, kept),
            Step::Float { .. } => lane.take_back::<f64>(rows, before, kept),
            Step::Place { .. } => lane.take_back::<[f64; 2]>(rows, before, kept),
            Step::Limit { .. } => lane.take_back::<bool>(rows, before, kept),
        }
    }
}

/// What a cell holds.
trait Plain: Copy {
    fn bits(self) -> [u64; 2];
    fn of(bits: [u64; 2]) -> Self;
}

impl Plain for i64 {
    #[inline(always)]
    fn bits(self) -> [u64; 2] {
        [self as u64, 0]
    }

    fn of(bits: [u64; 2]) -> i64 {
        bits[0] as i64
    }
}

impl Plain for f64 {
    #[inline(always)]
    fn bits(self) -> [u64; 2] {
        [self.to_bits(), 0]
    }

    fn of(bits: [u64; 2]) -> f64 {
        f64::from_bits(bits[0])
    }
}

impl Plain for bool {
    #[inline(always)]
    fn bits(self) -> [u64; 2] {
        [u64::from(self), 0]
    }

    fn of(bits: [u64; 2]) -> bool {
        bits[0] != 0
    }
}

impl Plain for [f64; 2] {
    #[inline(always)]
    fn bits(self) -> [u64; 2] {
        self.map(f64::to_bits)
    }

    fn of(bits: [u64; 2]) -> [f64; 2] {
        bits.map(f64::from_bits)
    }
}

fn parts<T: Copy + Default>(cells: &mut Chunked<T>, chunk: usize) -> (*mut u64, *mut u8) {
    let chunk = cells.chunk_mut(chunk);
    (chunk.valid.words_mut().as_mut_ptr(), chunk.values_mut().as_mut_ptr().cast())
}

fn fits(fold: &Fold, population: &Population) -> bool {
    matches!(
        (fold.step, &population.columns[fold.out as usize]),
        (Step::Count, Column::Int(_))
            | (Step::Float { .. }, Column::Float(_))
            | (Step::Place { .. }, Column::Point(_))
            | (Step::Limit { .. }, Column::Bool(_))
    )
}
