//! The folds of a command where nothing can need to be undone: all new values are computed first, and written only when
//! each of them can be kept and no watched lane gets another value. Then the turn is kept as it is opened: no log, no
//! rounds. Whatever else must happen is left to `fold::run`.

use super::{FloatStep, Op, Program, Quick, Source, limited, may_fuse, stepped};
use crate::population::Population;
use crate::population::chunk::Chunked;
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

    /// Steps the folds for one event of the twin at `row`, or writes nothing: false. `values` are the slots' numbers.
    ///
    /// # Safety
    /// It was made for this population, and `row` is live.
    #[inline(always)]
    pub unsafe fn step(&self, population: &mut Population, row: u32, values: &mut [f64]) -> bool {
        let Some((slots, results)) = values.split_at_mut_checked(self.results) else { return false };
        if results.len() < self.folds.len() {
            return false;
        }
        // SAFETY: by the contract above.
        unsafe { self.compute(population, row, slots, results) && self.write(population, row, slots, results) }
    }

    #[inline(always)]
    unsafe fn compute(&self, population: &Population, row: u32, slots: &[f64], results: &mut [f64]) -> bool {
        let value = |results: &[f64], at: u16| match slots.get(at as usize) {
            Some(x) => *x,
            None => results[at as usize - slots.len()],
        };
        for (at, fold) in self.folds.iter().enumerate() {
            let column = &population.columns[fold.out as usize];
            // SAFETY: `fits` has looked at the column's type, and a live row has a cell in each column.
            let same = unsafe {
                match fold.step {
                    Step::Count => {
                        let old = ints(column).get_unchecked(row);
                        let Some(new) = old.unwrap_or(0).checked_add(1) else { return false };
                        results[at] = f64::from_bits(new as u64);
                        false
                    }
                    Step::Float { from, step } => {
                        let old = floats(column).get_unchecked(row);
                        let Ok(new) = stepped(step, old, value(results, from)) else { return false };
                        results[at] = new;
                        fold.watched && old.map(f64::to_bits) == Some(new.to_bits())
                    }
                    Step::Place { lat, lon } => {
                        let (lat, lon) = (value(results, lat), value(results, lon));
                        if point(lat, lon).is_err() {
                            return false;
                        }
                        fold.watched
                            && places(column).get_unchecked(row).map(|old| old.map(f64::to_bits))
                                == Some([lat.to_bits(), lon.to_bits()])
                    }
                    Step::Limit { from, limit, clear, below } => {
                        let old = flags(column).get_unchecked(row);
                        let new = limited(value(results, from), old.unwrap_or(false), limit, clear, below);
                        results[at] = f64::from(u8::from(new));
                        old == Some(new)
                    }
                }
            };
            if fold.watched && !same {
                return false;
            }
        }
        true
    }

    #[inline(always)]
    unsafe fn write(&self, population: &mut Population, row: u32, slots: &[f64], results: &[f64]) -> bool {
        for (at, fold) in self.folds.iter().enumerate() {
            let column = &mut population.columns[fold.out as usize];
            // SAFETY: as above.
            unsafe {
                match (fold.step, column) {
                    (Step::Count, Column::Int(cells)) => {
                        cells.step_unchecked(row).write(results[at].to_bits() as i64);
                    }
                    (Step::Float { .. }, Column::Float(cells)) => cells.step_unchecked(row).write(results[at]),
                    (Step::Place { lat, lon }, Column::Point(cells)) => {
                        cells.step_unchecked(row).write([slots[lat as usize], slots[lon as usize]]);
                    }
                    (Step::Limit { .. }, Column::Bool(cells)) => {
                        let new = results[at] != 0.0;
                        if cells.get_unchecked(row) != Some(new) {
                            cells.step_unchecked(row).write(new);
                        }
                    }
                    _ => std::hint::unreachable_unchecked(),
                }
            }
        }
        true
    }
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

/// The cells of a column whose type is known.
macro_rules! cells {
    ($name:ident, $kind:ident, $type:ty) => {
        /// # Safety
        /// It is a column of this type.
        #[inline(always)]
        unsafe fn $name(column: &Column) -> &Chunked<$type> {
            match column {
                Column::$kind(cells) => cells,
                // SAFETY: by the contract above.
                _ => unsafe { std::hint::unreachable_unchecked() },
            }
        }
    };
}

cells!(ints, Int, i64);
cells!(floats, Float, f64);
cells!(places, Point, [f64; 2]);
cells!(flags, Bool, bool);
