//! The folds of a command where nothing can need to be undone: all new values are computed first, and written only when
//! each of them can be kept and no watched lane gets another value. Then the turn is kept as it is opened: no log, no
//! rounds. Whatever else must happen is left to `fold::run`.

use super::{FloatStep, Op, Program, Quick, Source, limited, may_fuse, stepped};
use crate::population::Population;
use crate::population::chunk::{CHUNK, Chunked};
use crate::population::column::{Column, point};

/// Folds of a command that may be fused.
const MOST: usize = 64;

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
}

/// A command's folds for bodies that have the same numbers.
#[derive(Debug)]
pub struct Fused {
    folds: Box<[Fold]>,
    /// Where the results of the folds start among the values, one for each.
    results: usize,
    /// As `Log::touched` after these folds.
    touched: Box<[u64]>,
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
                Source::Column(column) => {
                    folds.iter().position(|fold| fold.out == column).map(|fold| (slots + fold) as u16)
                }
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
                    folds.push(Fold { step, out: op.out, watched: population.is_watched(op.out) });
                }
                None => at += op.behind as usize,
            }
        }
        let once = |(at, fold): (usize, &Fold)| folds[..at].iter().all(|other| other.out != fold.out);
        let fitting = folds.iter().all(|fold| fits(fold, population)) && folds.iter().enumerate().all(once);
        fitting.then(|| Fused { folds: folds.into(), results: slots, touched: touched.into() })
    }

    /// Values that `step` needs room for: the slots', then the results.
    pub fn room(program: &[Op], slots: usize) -> usize {
        slots + program.len()
    }

    pub fn touched(&self) -> &[u64] {
        &self.touched
    }

    /// Steps the folds for one event of the twin at `row`, or writes nothing: false. `values` are the slots' numbers, with
    /// room for the results; `cells` is this run's.
    ///
    /// # Safety
    /// It was made for this population, `row` is live, and no snapshot has been taken since `cells` were renewed.
    #[inline(always)]
    pub unsafe fn step(&self, population: &mut Population, cells: &mut Cells, row: u32, values: &mut [f64]) -> bool {
        if values.len() < self.results + self.folds.len() {
            return false;
        }
        let at = row as usize % CHUNK;
        let cells = cells.of(population, row as usize / CHUNK, &self.folds);
        let (word, bit) = (at / 64, 1u64 << (at % 64));
        let mut unset = 0u64;
        // SAFETY: `cells.of` has found the chunk of each fold's column, whose type `fits` has looked at; slots and results
        // are numbered within `values`.
        unsafe {
            for (number, (fold, cell)) in self.folds.iter().zip(cells).enumerate() {
                let set = *cell.valid.add(word) & bit != 0;
                unset |= u64::from(!set) << number;
                let result = match fold.step {
                    Step::Count => {
                        let old = if set { *cell.values.cast::<i64>().add(at) } else { 0 };
                        let Some(new) = old.checked_add(1) else { return false };
                        if fold.watched {
                            return false;
                        }
                        f64::from_bits(new as u64)
                    }
                    Step::Float { from, step } => {
                        let old = set.then(|| *cell.values.cast::<f64>().add(at));
                        let Ok(new) = stepped(step, old, *values.get_unchecked(from as usize)) else { return false };
                        if fold.watched && old.map(f64::to_bits) != Some(new.to_bits()) {
                            return false;
                        }
                        new
                    }
                    Step::Place { lat, lon } => {
                        let place = [*values.get_unchecked(lat as usize), *values.get_unchecked(lon as usize)];
                        let same = |old: [f64; 2]| set && old.map(f64::to_bits) == place.map(f64::to_bits);
                        if point(place[0], place[1]).is_err()
                            || fold.watched && !same(*cell.values.cast::<[f64; 2]>().add(at))
                        {
                            return false;
                        }
                        0.0
                    }
                    Step::Limit { from, limit, clear, below } => {
                        let old = set && *cell.values.cast::<bool>().add(at);
                        let new = limited(*values.get_unchecked(from as usize), old, limit, clear, below);
                        if fold.watched && !(set && old == new) {
                            return false;
                        }
                        f64::from(u8::from(new))
                    }
                };
                *values.get_unchecked_mut(self.results + number) = result;
            }
            for (number, (fold, cell)) in self.folds.iter().zip(cells).enumerate() {
                let result = *values.get_unchecked(self.results + number);
                match fold.step {
                    Step::Count | Step::Float { .. } => *cell.values.cast::<f64>().add(at) = result,
                    Step::Place { lat, lon } => {
                        let place = [*values.get_unchecked(lat as usize), *values.get_unchecked(lon as usize)];
                        *cell.values.cast::<[f64; 2]>().add(at) = place;
                    }
                    Step::Limit { .. } => *cell.values.cast::<bool>().add(at) = result != 0.0,
                }
            }
            if unset != 0 {
                for (number, cell) in cells.iter().enumerate() {
                    *cell.valid.add(word) |= if unset >> number & 1 == 1 { bit } else { 0 };
                }
            }
        }
        true
    }
}

/// The chunk of a fold's column, for writing.
#[derive(Clone, Copy)]
struct Cell {
    valid: *mut u64,
    values: *mut u8,
}

/// Chunks of which `Cells` remembers where they are.
const REMEMBERED: usize = 8;

/// Where the cells of a run's rows are: looked up once a chunk, not once a row. Holds for one run, in which nothing else
/// can happen that gives a chunk to a snapshot.
#[derive(Default)]
pub struct Cells {
    /// Chunk numbers, by their number modulo REMEMBERED.
    chunks: [usize; REMEMBERED],
    cells: Vec<Cell>,
    stride: usize,
    /// Whose cells they are.
    folds: usize,
}

impl Cells {
    /// Another run, or other folds.
    #[inline(always)]
    pub fn renew(&mut self) {
        self.chunks = [usize::MAX; REMEMBERED];
    }

    #[inline(always)]
    fn of(&mut self, population: &mut Population, chunk: usize, folds: &[Fold]) -> &[Cell] {
        let at = chunk % REMEMBERED;
        if self.chunks[at] != chunk || self.folds != folds.as_ptr() as usize {
            self.look_up(population, chunk, folds);
        }
        &self.cells[at * self.stride..(at + 1) * self.stride]
    }

    #[inline(never)]
    fn look_up(&mut self, population: &mut Population, chunk: usize, folds: &[Fold]) {
        if self.folds != folds.as_ptr() as usize || self.stride != folds.len() {
            (self.folds, self.stride) = (folds.as_ptr() as usize, folds.len());
            let nowhere = Cell { valid: std::ptr::null_mut(), values: std::ptr::null_mut() };
            self.cells.clear();
            self.cells.resize(REMEMBERED * self.stride, nowhere);
            self.renew();
        }
        let at = chunk % REMEMBERED;
        for (cell, fold) in self.cells[at * self.stride..].iter_mut().zip(folds) {
            let (valid, values) = match &mut population.columns[fold.out as usize] {
                Column::Int(cells) => parts(cells, chunk),
                Column::Float(cells) => parts(cells, chunk),
                Column::Point(cells) => parts(cells, chunk),
                Column::Bool(cells) => parts(cells, chunk),
                _ => unreachable!("`fits` lets no other column in"),
            };
            *cell = Cell { valid, values };
        }
        self.chunks[at] = chunk;
    }
}

fn parts<T: Copy + Default>(cells: &mut Chunked<T>, chunk: usize) -> (*mut u64, *mut u8) {
    let chunk = cells.chunk_mut(chunk);
    (chunk.valid.words_mut().as_mut_ptr(), chunk.values.as_mut_ptr().cast())
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
