//! Folds: lanes that the core writes by itself. A population's folds are compiled once into flat programs: one for each
//! command, column and map that something folds; each operation is followed by those that fold its own lane, so that
//! a write steps everything behind it before the next line of a handler runs.

mod fused;

use ecow::EcoString;

use crate::declaration::{ColumnType, FoldDecl, FoldKind, Input, Limit, PopulationDecl, WindowDecl};
use crate::history;
use crate::population::Population;
use crate::population::column::{Column, Misfit, fit, point};
use crate::timers::{TimerNumber, TimerOp};
use crate::undo::Log;
use crate::value::Value;
use crate::window;

pub use fused::{Fused, RUN};

/// What an operation reads.
#[derive(Clone, Copy, Debug)]
enum From {
    Slot(u16),
    Column(u16),
    Pair(u16, u16),
    /// The event itself.
    Event,
}

#[derive(Clone, Debug)]
enum Step {
    Latest,
    Count,
    SumInt,
    /// `low`: the rounding that the sum has lost so far (Neumaier 1974).
    SumFloat {
        low: u16,
    },
    Mean {
        high: u16,
        low: u16,
        count: u16,
    },
    Smallest,
    Largest,
    Ewma {
        alpha: f64,
    },
    /// `at`: the time of the last step.
    EwmaByTime {
        half_life: i64,
        at: u16,
    },
    Threshold {
        limit: Limit,
        clear: Option<f64>,
        below: bool,
        hold: Option<Hold>,
    },
    /// Over a part of the events: `Programs::windows`.
    Window(u16),
    /// `Programs::histories`.
    History(u16),
    /// What the alarm says while it is active.
    Alarm(EcoString),
}

/// A condition must last: `pending` is true while its timer runs.
#[derive(Clone, Copy, Debug)]
struct Hold {
    length: i64,
    pending: u16,
    timer: TimerNumber,
}

/// The steps that most events are made of, with the types looked up when the program was compiled.
#[derive(Clone, Copy, Debug)]
enum Quick {
    /// None of these: `one` does it.
    No,
    Count,
    /// A float lane from a float field or lane.
    Float {
        from: Source,
        step: FloatStep,
    },
    Place {
        lat: u16,
        lon: u16,
    },
    /// Above or Below a constant, without a hold.
    Limit {
        from: Source,
        limit: f64,
        clear: f64,
        below: bool,
    },
}

/// A float: of the body, or of a float column.
#[derive(Clone, Copy, Debug)]
enum Source {
    Slot(u16),
    Column(u16),
}

#[derive(Clone, Copy, Debug)]
enum FloatStep {
    Latest,
    Smallest,
    Largest,
    Ewma(f64),
}

#[derive(Clone, Debug)]
pub struct Op {
    quick: Quick,
    from: From,
    out: u16,
    step: Step,
    /// How many operations behind this one fold its lane, directly or through others.
    behind: u16,
}

/// A flat list of operations.
pub type Program = Box<[Op]>;

/// All programs of one population.
pub struct Programs {
    pub commands: Vec<Program>,
    pub columns: Vec<Program>,
    pub maps: Vec<Program>,
    /// Types of the hidden columns, numbered after the declared ones.
    pub hidden: Vec<ColumnType>,
    /// Their names in stores: `LANE.PART`.
    pub hidden_names: Vec<EcoString>,
    /// What the timers of holds do: (timer, its lane, its `pending` column).
    pub holds: Vec<(TimerNumber, u16, u16)>,
    pub windows: Vec<window::Spec>,
    pub histories: Vec<history::Spec>,
    /// The hidden column with the time for which the twin's timer of windows and histories is set; null: it is not armed.
    pub alarm: Option<u16>,
}

/// A fold that cannot step: the turn fails.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldError {
    pub lane: EcoString,
    pub misfit: Misfit,
}

impl std::fmt::Display for FoldError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "`{}` {}", self.lane, self.misfit)
    }
}

impl Programs {
    /// Errors: a cycle of folds, with the lane's name.
    pub fn compile(decl: &PopulationDecl) -> Result<Self, String> {
        let mut hidden = Vec::new();
        let mut hidden_names: Vec<EcoString> = Vec::new();
        let mut holds = Vec::new();
        let (mut windows, mut histories, mut alarm) = (Vec::new(), Vec::new(), None);
        let mut steps = Vec::with_capacity(decl.folds.len());
        for fold in &decl.folds {
            let elapses = fold.window.is_some() || matches!(fold.kind, FoldKind::History { last: Some(_), .. });
            if elapses && alarm.is_none() {
                alarm = Some((decl.columns.len() + hidden.len()) as u16);
                hidden.push(ColumnType::Int64);
                hidden_names.push("windows.due".into());
            }
            steps.push(match (fold.window, &fold.kind) {
                (Some(span), _) => windowed(decl, fold, span, &mut windows)?,
                (None, FoldKind::History { last, count }) => {
                    histories.push(history::Spec { out: fold.out as u16, last: *last, count: (*count).max(1) });
                    Step::History(histories.len() as u16 - 1)
                }
                (None, _) => step(decl, fold.out, &fold.kind, &mut hidden, &mut holds),
            });
            let lane = &decl.columns[fold.out].name;
            let parts = parts(&fold.kind).iter().take(hidden.len() - hidden_names.len());
            hidden_names.extend(parts.map(|part| ecow::eco_format!("{lane}.{part}")));
        }
        let program = |starts: &dyn Fn(&Input, &FoldKind) -> bool| -> Result<Box<[Op]>, String> {
            let mut ops = Vec::new();
            for (number, fold) in decl.folds.iter().enumerate() {
                if starts(&fold.input, &fold.kind) {
                    flatten(decl, &steps, number, &mut ops, 0)?;
                }
            }
            Ok(ops.into())
        };
        let commands = (0..decl.commands.len())
            .map(|i| program(&|input, _| matches!(input, Input::Command { command, .. } if *command == i)))
            .collect::<Result<_, _>>()?;
        let columns =
            (0..decl.columns.len()).map(|i| program(&|input, kind| reads(input, kind, i))).collect::<Result<_, _>>()?;
        let maps = (0..decl.maps.len())
            .map(|i| program(&|input, _| matches!(input, Input::Map(map) if *map == i)))
            .collect::<Result<_, _>>()?;
        Ok(Programs { commands, columns, maps, hidden, hidden_names, holds, windows, histories, alarm })
    }
}

/// What the hidden columns of a fold hold, in the order in which `step` makes them.
fn parts(kind: &FoldKind) -> &'static [&'static str] {
    match kind {
        FoldKind::Sum => &["sum_low"],
        FoldKind::Mean => &["mean_high", "mean_low", "mean_count"],
        FoldKind::Ewma { .. } => &["ewma_at"],
        FoldKind::Above(_) | FoldKind::Below(_) => &["pending"],
        _ => &[],
    }
}

fn reads(input: &Input, kind: &FoldKind, column: usize) -> bool {
    let limit = match kind {
        FoldKind::Above(threshold) | FoldKind::Below(threshold) => {
            matches!(threshold.limit, Limit::Column(limit) if limit == column)
        }
        _ => false,
    };
    limit || matches!(input, Input::Column(source) if *source == column)
}

/// Errors: a fold that has no windows, and a window without a length.
fn windowed(
    decl: &PopulationDecl,
    fold: &FoldDecl,
    span: WindowDecl,
    windows: &mut Vec<window::Spec>,
) -> Result<Step, String> {
    let (WindowDecl::Last(length) | WindowDecl::Every(length)) = span;
    let spec = window::Spec::new(decl, fold.out, &fold.kind, span).filter(|_| length > 0);
    let Some(spec) = spec else {
        return Err(format!("{}.{} cannot be over a window", decl.name, decl.columns[fold.out].name));
    };
    windows.push(spec);
    Ok(Step::Window(windows.len() as u16 - 1))
}

fn step(
    decl: &PopulationDecl,
    out: usize,
    kind: &FoldKind,
    hidden: &mut Vec<ColumnType>,
    holds: &mut Vec<(TimerNumber, u16, u16)>,
) -> Step {
    let mut hide = |kind| {
        hidden.push(kind);
        (decl.columns.len() + hidden.len() - 1) as u16
    };
    let whole = decl.columns[out].kind == ColumnType::Int64;
    match kind {
        FoldKind::Latest => Step::Latest,
        FoldKind::Count => Step::Count,
        FoldKind::Sum if whole => Step::SumInt,
        FoldKind::Sum => Step::SumFloat { low: hide(ColumnType::Float64) },
        FoldKind::Mean => Step::Mean {
            high: hide(ColumnType::Float64),
            low: hide(ColumnType::Float64),
            count: hide(ColumnType::Int64),
        },
        FoldKind::Min => Step::Smallest,
        FoldKind::Max => Step::Largest,
        FoldKind::Ewma { half_life: Some(half_life), .. } => {
            Step::EwmaByTime { half_life: *half_life, at: hide(ColumnType::Int64) }
        }
        FoldKind::Ewma { alpha, .. } => Step::Ewma { alpha: alpha.unwrap_or(1.0) },
        FoldKind::Above(threshold) | FoldKind::Below(threshold) => {
            let hold = (threshold.hold > 0).then(|| {
                let pending = hide(ColumnType::Bool);
                let timer = TimerNumber((decl.timers.len() + holds.len()) as u16);
                holds.push((timer, out as u16, pending));
                Hold { length: threshold.hold, pending, timer }
            });
            let below = matches!(kind, FoldKind::Below(_));
            Step::Threshold { limit: threshold.limit.clone(), clear: threshold.clear, below, hold }
        }
        FoldKind::Alarm { text } => Step::Alarm(text.clone()),
        // it has its number from `compile`
        FoldKind::History { .. } => Step::History(0),
    }
}

fn flatten(
    decl: &PopulationDecl,
    steps: &[Step],
    number: usize,
    ops: &mut Vec<Op>,
    depth: usize,
) -> Result<(), String> {
    let fold = &decl.folds[number];
    if depth > decl.folds.len() {
        return Err(format!("{}.{} folds itself through other lanes", decl.name, decl.columns[fold.out].name));
    }
    let from = match &fold.input {
        Input::Command { slots, .. } => match slots.as_slice() {
            [] => From::Event,
            [slot] => From::Slot(*slot as u16),
            [first, second, ..] => From::Pair(*first as u16, *second as u16),
        },
        Input::Column(_) if matches!(fold.kind, FoldKind::Count) => From::Event,
        Input::Column(column) => From::Column(*column as u16),
        Input::Map(_) => From::Event,
        Input::Members => return Ok(()),
    };
    let at = ops.len();
    let quick = quick(decl, from, fold.out, &steps[number]);
    ops.push(Op { quick, from, out: fold.out as u16, step: steps[number].clone(), behind: 0 });
    for (next, other) in decl.folds.iter().enumerate() {
        if reads(&other.input, &other.kind, fold.out) {
            flatten(decl, steps, next, ops, depth + 1)?;
        }
    }
    ops[at].behind = (ops.len() - at - 1) as u16;
    Ok(())
}

fn quick(decl: &PopulationDecl, from: From, out: usize, step: &Step) -> Quick {
    let source = match from {
        From::Slot(slot) => Some(Source::Slot(slot)),
        From::Column(column) if decl.columns[column as usize].kind == ColumnType::Float64 => {
            Some(Source::Column(column))
        }
        _ => None,
    };
    match (step, decl.columns[out].kind, source, from) {
        (Step::Count, ColumnType::Int64, _, From::Event) => Quick::Count,
        (Step::Latest, ColumnType::Point, _, From::Pair(lat, lon)) => Quick::Place { lat, lon },
        (Step::Latest, ColumnType::Float64, Some(from), _) => Quick::Float { from, step: FloatStep::Latest },
        (Step::Smallest, ColumnType::Float64, Some(from), _) => Quick::Float { from, step: FloatStep::Smallest },
        (Step::Largest, ColumnType::Float64, Some(from), _) => Quick::Float { from, step: FloatStep::Largest },
        (Step::Ewma { alpha }, ColumnType::Float64, Some(from), _) => {
            Quick::Float { from, step: FloatStep::Ewma(*alpha) }
        }
        (Step::Threshold { limit: Limit::Constant(limit), clear, below, hold: None }, _, Some(from), _) => {
            Quick::Limit { from, limit: *limit, clear: clear.unwrap_or(*limit), below: *below }
        }
        _ => Quick::No,
    }
}

/// The number that a quick step reads. None: there is none, and what is behind it does not step.
#[inline(always)]
fn number(population: &Population, row: u32, slots: &[Value], from: Source) -> Option<f64> {
    match from {
        Source::Slot(slot) => match slots.get(slot as usize) {
            Some(Value::Float(x)) => Some(*x),
            Some(Value::Int(x)) => Some(*x as f64),
            _ => None,
        },
        Source::Column(column) => float(population, column, row),
    }
}

/// The columns that a program writes.
pub fn outs(program: &[Op]) -> Vec<u16> {
    program.iter().map(|op| op.out).collect()
}

/// Whether bodies may be found for which the program can be `Fused`.
pub(crate) fn may_fuse(program: &Program) -> bool {
    program.iter().all(|op| !matches!(op.quick, Quick::No))
}

/// Runs a program for one event of the twin at `row`. `slots` are the body's (empty for a lane's program).
///
/// Errors: a result that its lane cannot hold; what has been written until then is in the log.
pub fn run(
    program: &[Op],
    population: &mut Population,
    row: u32,
    slots: &[Value],
    now: i64,
    log: &mut Log,
) -> Result<(), FoldError> {
    let mut at = 0;
    while let Some(op) = program.get(at) {
        at += 1;
        let stepped = match op.quick {
            Quick::No => one(op, population, row, slots, now, log),
            Quick::Count => population
                .step_int(row, op.out, log, |old| old.unwrap_or(0).checked_add(1).ok_or(Misfit::Overflow))
                .map(|()| true),
            Quick::Float { from, step } => match number(population, row, slots, from) {
                None => Ok(false),
                Some(x) => {
                    let next = |old: Option<f64>| stepped(step, old, x);
                    // SAFETY: the program was compiled for this population, where `out` is a float column, and a turn's
                    // row is live.
                    unsafe { population.step_float_unchecked(row, op.out, log, next) }.map(|()| true)
                }
            },
            Quick::Place { lat, lon } => match (
                number(population, row, slots, Source::Slot(lat)),
                number(population, row, slots, Source::Slot(lon)),
            ) {
                (Some(lat), Some(lon)) => point(lat, lon).map(|_| {
                    population.put_point(row, op.out, lat, lon, log);
                    true
                }),
                _ => Ok(false),
            },
            Quick::Limit { from, limit, clear, below } => match number(population, row, slots, from) {
                None => Ok(false),
                Some(x) => {
                    let new = limited(x, flag(population, op.out, row), limit, clear, below);
                    population.put_bool(row, op.out, new, log);
                    Ok(true)
                }
            },
        };
        match stepped {
            Ok(true) => {}
            Ok(false) => at += op.behind as usize,
            Err(misfit) => return Err(FoldError { lane: population.lane(op.out as usize).into(), misfit }),
        }
    }
    Ok(())
}

/// What a float lane becomes.
#[inline(always)]
fn stepped(step: FloatStep, old: Option<f64>, x: f64) -> Result<f64, Misfit> {
    let next = match (step, old) {
        (FloatStep::Latest, _) | (_, None) => x,
        (FloatStep::Smallest, Some(old)) => old.min(x),
        (FloatStep::Largest, Some(old)) => old.max(x),
        (FloatStep::Ewma(alpha), Some(old)) => old + alpha * (x - old),
    };
    if next.is_finite() { Ok(next) } else { Err(Misfit::NotFinite) }
}

/// What Above or Below becomes.
#[inline(always)]
fn limited(x: f64, old: bool, limit: f64, clear: f64, below: bool) -> bool {
    let (beyond, back) = if below { (x < limit, x >= clear) } else { (x > limit, x <= clear) };
    // not `||` and `&&`: nobody can foresee which way an alarm goes
    beyond | (old & !back)
}

/// One step; false: it wrote nothing, so what is behind it does not step.
fn one(
    op: &Op,
    population: &mut Population,
    row: u32,
    slots: &[Value],
    now: i64,
    log: &mut Log,
) -> Result<bool, Misfit> {
    let out = op.out;
    if let Step::Window(number) = op.step {
        let x = match op.from {
            From::Slot(slot) => slots[slot as usize].clone(),
            From::Column(column) => population.columns[column as usize].get(row),
            From::Event => Value::Bool(true),
            From::Pair(..) => return Ok(false),
        };
        return window::step(population, row, number, &x, now, log);
    }
    if let (Step::History(number), From::Column(column)) = (&op.step, op.from) {
        let x = population.columns[column as usize].get(row);
        let spec = population.histories[*number as usize].clone();
        return Ok(spec.step(population, row, x, now, log));
    }
    if let (Step::Alarm(text), From::Column(column)) = (&op.step, op.from) {
        if population.columns[column as usize].get(row).is_null() {
            return Ok(false);
        }
        return Ok(alarm(population, row, out, flag(population, column, row), text, now, log));
    }
    if let Step::Count = op.step {
        let given = match op.from {
            From::Slot(slot) => !slots[slot as usize].is_null(),
            _ => true,
        };
        if given {
            population.step_int(row, out, log, |old| old.unwrap_or(0).checked_add(1).ok_or(Misfit::Overflow))?;
        }
        return Ok(given);
    }
    if let Step::Latest = op.step {
        return latest(op, population, row, slots, log);
    }
    let x = match op.from {
        From::Slot(slot) => match &slots[slot as usize] {
            Value::Null => return Ok(false),
            Value::Int(x) if matches!(population.columns[out as usize], Column::Int(_)) => {
                return whole(op, population, row, *x, log);
            }
            value => value.as_f64().ok_or(Misfit::Type(ColumnType::Float64))?,
        },
        From::Column(column) => {
            if let (Column::Int(source), Column::Int(_)) =
                (&population.columns[column as usize], &population.columns[out as usize])
            {
                return match source.get(row) {
                    Some(x) => whole(op, population, row, x, log),
                    None => Ok(false),
                };
            }
            match population.columns[column as usize].number(row) {
                Some(x) => x,
                None => return Ok(false),
            }
        }
        From::Pair(..) | From::Event => return Ok(false),
    };
    match &op.step {
        Step::SumFloat { low } => {
            add(population, out, *low, row, x, log)?;
        }
        Step::Mean { high, low, count } => {
            let sum = add(population, *high, *low, row, x, log)?;
            let n = int(population, *count, row).unwrap_or(0) + 1;
            population.put_int(row, *count, n, log);
            population.put_float(row, out, finite(sum / n as f64)?, log);
        }
        Step::Smallest => {
            population.step_float(row, out, log, |old| finite(old.map_or(x, |old| old.min(x))))?;
        }
        Step::Largest => {
            population.step_float(row, out, log, |old| finite(old.map_or(x, |old| old.max(x))))?;
        }
        Step::Ewma { alpha } => {
            population.step_float(row, out, log, |old| finite(old.map_or(x, |old| old + alpha * (x - old))))?;
        }
        Step::EwmaByTime { half_life, at } => {
            let next = match (float(population, out, row), int(population, *at, row)) {
                (Some(old), Some(then)) => {
                    let keep = (-((now - then).max(0) as f64) / *half_life as f64).exp2();
                    x + (old - x) * keep
                }
                _ => x,
            };
            population.put_float(row, out, finite(next)?, log);
            population.put_int(row, *at, now, log);
        }
        Step::Threshold { limit, clear, below, hold } => {
            let limit = match limit {
                Limit::Constant(limit) => *limit,
                Limit::Column(column) => match population.columns[*column].number(row) {
                    Some(limit) => limit,
                    None => return Ok(false),
                },
            };
            let clear = clear.unwrap_or(limit);
            let (beyond, back) = if *below { (x < limit, x >= clear) } else { (x > limit, x <= clear) };
            let now_true = flag(population, out, row);
            let next = if beyond { true } else { now_true && !back };
            match hold {
                Some(hold) if !now_true => {
                    held(population, row, *hold, beyond, now, log);
                    population.put_bool(row, out, false, log);
                }
                _ => population.put_bool(row, out, next, log),
            }
        }
        Step::Latest | Step::Count | Step::SumInt | Step::Window(_) | Step::History(_) | Step::Alarm(_) => {
            unreachable!("handled above")
        }
    }
    Ok(true)
}

fn latest(op: &Op, population: &mut Population, row: u32, slots: &[Value], log: &mut Log) -> Result<bool, Misfit> {
    let value = match op.from {
        From::Slot(slot) => match (&slots[slot as usize], &population.columns[op.out as usize]) {
            (Value::Null, _) => return Ok(false),
            (Value::Float(x), Column::Float(_)) => {
                population.put_float(row, op.out, finite(*x)?, log);
                return Ok(true);
            }
            (value, _) => value.clone(),
        },
        From::Column(column) => population.columns[column as usize].get(row),
        From::Pair(lat, lon) => match (slots[lat as usize].as_f64(), slots[lon as usize].as_f64()) {
            (Some(lat), Some(lon)) => {
                point(lat, lon)?;
                population.put_point(row, op.out, lat, lon, log);
                return Ok(true);
            }
            _ => return Ok(false),
        },
        From::Event => return Ok(false),
    };
    if value.is_null() {
        return Ok(false);
    }
    let value = fit(population.columns[op.out as usize].kind(), value)?;
    population.put(row, op.out, value, log);
    Ok(true)
}

/// An alarm follows a bool lane: `since` when it is active, with what a person reads; it keeps its acknowledgement and its
/// text when it is over. False: it is as it was.
fn alarm(population: &mut Population, row: u32, out: u16, on: bool, text: &EcoString, now: i64, log: &mut Log) -> bool {
    let state = population.columns[out as usize].get(row);
    let Value::Map(members) = &state else { return false };
    let active = members.iter().any(|(name, value)| name == "active" && *value == Value::Bool(true));
    if active == on {
        return false;
    }
    let next = members.iter().map(|(name, value)| {
        let value = match (name.as_str(), on) {
            ("active", _) => Value::Bool(on),
            ("since", true) => Value::Time(now),
            ("since", false) => Value::Null,
            ("acked", true) => Value::Bool(false),
            ("text", true) => Value::Text(text.clone()),
            ("by", true) => Value::Text(EcoString::new()),
            _ => value.clone(),
        };
        (name.clone(), value)
    });
    let next = Value::Map(next.collect());
    population.put(row, out, next, log);
    true
}

/// A step of whole numbers, which stay whole.
fn whole(op: &Op, population: &mut Population, row: u32, x: i64, log: &mut Log) -> Result<bool, Misfit> {
    let old = int(population, op.out, row);
    let next = match op.step {
        Step::SumInt => old.unwrap_or(0).checked_add(x).ok_or(Misfit::Overflow)?,
        Step::Smallest => old.map_or(x, |old| old.min(x)),
        Step::Largest => old.map_or(x, |old| old.max(x)),
        _ => unreachable!("only sums and extremes have whole results"),
    };
    population.put_int(row, op.out, next, log);
    Ok(true)
}

/// Adds to a compensated sum: `high` is the sum correctly rounded, `low` what the rounding has lost.
fn add(population: &mut Population, high: u16, low: u16, row: u32, x: f64, log: &mut Log) -> Result<f64, Misfit> {
    let (sum, lost) = two_sum(float(population, high, row).unwrap_or(0.0), x);
    let (sum, lost) = two_sum(sum, float(population, low, row).unwrap_or(0.0) + lost);
    finite(sum)?;
    population.put_float(row, high, sum, log);
    population.put_float(row, low, lost, log);
    Ok(sum)
}

/// a + b and what its rounding lost, exactly (Knuth, TAOCP 2, 4.2.2, theorem B).
pub fn two_sum(a: f64, b: f64) -> (f64, f64) {
    let sum = a + b;
    let shadow = sum - a;
    (sum, (a - (sum - shadow)) + (b - shadow))
}

/// Starts or stops the timer of a condition that must last.
fn held(population: &mut Population, row: u32, hold: Hold, beyond: bool, now: i64, log: &mut Log) {
    let pending = flag(population, hold.pending, row);
    if beyond && !pending {
        population.put_bool(row, hold.pending, true, log);
        log.timers.push(TimerOp::Set { timer: hold.timer, due: now.saturating_add(hold.length), every: None });
    } else if !beyond && pending {
        population.put_bool(row, hold.pending, false, log);
        log.timers.push(TimerOp::Cancel { timer: hold.timer });
    }
}

fn finite(x: f64) -> Result<f64, Misfit> {
    if x.is_finite() { Ok(x) } else { Err(Misfit::NotFinite) }
}

#[inline(always)]
fn float(population: &Population, column: u16, row: u32) -> Option<f64> {
    match &population.columns[column as usize] {
        Column::Float(cells) => cells.get(row),
        _ => None,
    }
}

#[inline(always)]
fn int(population: &Population, column: u16, row: u32) -> Option<i64> {
    match &population.columns[column as usize] {
        Column::Int(cells) => cells.get(row),
        _ => None,
    }
}

#[inline(always)]
fn flag(population: &Population, column: u16, row: u32) -> bool {
    match &population.columns[column as usize] {
        Column::Bool(cells) => cells.get(row).unwrap_or(false),
        _ => false,
    }
}
