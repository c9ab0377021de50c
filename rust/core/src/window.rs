//! Windows: folds over the events of the last hour (`last`), or of the last whole quarter of an hour (`every`). What a
//! window holds is a hidden child table of its population: panes, each the sum of the events of a part of the window, so
//! that a twin's memory is bounded whatever its rate.
//!
//! A sliding window has panes of 1/60 of its length, each beginning with an event. A pane leaves when its newest event
//! does: nothing leaves early, and where events come no more often than 60 a window, nothing late either; else a value
//! stays up to 1/60 of the length longer. At most 62 panes are in a window at once.
//!
//! One timer a twin, for all of its windows, is armed while one of them holds something; an idle twin costs nothing once
//! its windows are empty.

pub mod panes;

use jiff::Timestamp;
use jiff::civil::Date;
use jiff::tz::TimeZone;

use self::panes::Panes;
use crate::declaration::{ColumnType, FoldKind, PopulationDecl, WindowDecl};
use crate::fold::{self, FoldError, two_sum};
use crate::population::Population;
use crate::population::changed::Segments;
use crate::population::column::{Column, Misfit, fit};
use crate::shard::Class;
use crate::timers::{TimerNumber, TimerOp};
use crate::undo::Log;
use crate::value::Value;

/// The timer of a twin's windows.
pub const TIMER: TimerNumber = TimerNumber(u16::MAX);

const PANES: i64 = 60;
const DAY: i64 = 86_400_000_000;
/// No event is this old.
const NEVER: i64 = i64::MIN;
/// Monday, 1970-01-05: weeks, and other windows of several days, are counted from there.
const MONDAY: i64 = 4;

/// A window of a population, as its programs name it.
#[derive(Clone, Debug)]
pub struct Spec {
    pub out: u16,
    pub kind: Aggregate,
    pub span: WindowDecl,
}

#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Aggregate {
    Count,
    SumWhole,
    Sum,
    Mean,
    MinWhole,
    MaxWhole,
    Min,
    Max,
}

impl Aggregate {
    /// Whether a pane's sum is a whole number; else it is a real.
    pub fn is_whole(self) -> bool {
        matches!(self, Aggregate::SumWhole | Aggregate::MinWhole | Aggregate::MaxWhole)
    }
}

impl Spec {
    /// None: this kind of fold has no windows.
    pub fn new(decl: &PopulationDecl, out: usize, kind: &FoldKind, span: WindowDecl) -> Option<Self> {
        let whole = decl.columns[out].kind == ColumnType::Int64;
        let kind = match kind {
            FoldKind::Count => Aggregate::Count,
            FoldKind::Sum if whole => Aggregate::SumWhole,
            FoldKind::Sum => Aggregate::Sum,
            FoldKind::Mean => Aggregate::Mean,
            FoldKind::Min if whole => Aggregate::MinWhole,
            FoldKind::Max if whole => Aggregate::MaxWhole,
            FoldKind::Min => Aggregate::Min,
            FoldKind::Max => Aggregate::Max,
            _ => return None,
        };
        Some(Spec { out: out as u16, kind, span })
    }
}

/// The events of a part of a window.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Pane {
    /// The first event's time; with `every`, when the window began.
    pub start: i64,
    /// The newest event's time; with `every`, when the window ends. NEVER: the pane is free.
    pub newest: i64,
    pub count: i64,
    /// A whole number, or the bits of a real.
    pub sum: u64,
    /// The bits of what a real sum has lost by rounding.
    pub lost: u64,
}

pub(crate) const FREE: Pane = Pane { start: NEVER, newest: NEVER, count: 0, sum: 0, lost: 0 };

impl Pane {
    /// Its times and its count, as stores have them.
    pub fn numbers(&self) -> [i64; 3] {
        [self.start, self.newest, self.count]
    }

    /// Its sum, and what that has lost.
    pub fn bits(&self) -> [u64; 2] {
        [self.sum, self.lost]
    }

    pub fn of([start, newest, count]: [i64; 3], [sum, lost]: [u64; 2]) -> Pane {
        Pane { start, newest, count, sum, lost }
    }

    pub fn is_free(&self) -> bool {
        self.newest == NEVER
    }

    fn real(&self) -> f64 {
        f64::from_bits(self.sum)
    }

    fn whole(&self) -> i64 {
        self.sum as i64
    }
}

/// A pane as it was before a turn wrote it: its own inverse once it has been swapped.
#[derive(Clone, Copy, Debug)]
pub struct OldPane {
    pub window: u16,
    pub at: u16,
    old: Pane,
}

/// One window of all twins of a population.
pub struct Window {
    spec: Spec,
    zone: TimeZone,
    rows: Panes,
    /// Since the last checkpoint, by row.
    changed: Segments,
}

/// What a snapshot of a window holds, by pointer.
#[derive(Clone)]
pub struct Snapshot {
    /// Its lane's column.
    pub out: u16,
    pub kind: Aggregate,
    pub panes: Panes,
}

/// What became of a window's lane.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Stepped {
    No,
    /// It has no value any more: nothing behind it steps.
    Unset,
    Yes,
}

impl Window {
    pub fn new(spec: Spec, zone: TimeZone) -> Self {
        Window { spec, zone, rows: Panes::default(), changed: Segments::default() }
    }

    pub fn kind(&self) -> Aggregate {
        self.spec.kind
    }

    /// What all twins have in it, by pointer.
    pub fn snapshot(&self) -> Snapshot {
        Snapshot { out: self.spec.out, kind: self.spec.kind, panes: self.rows.clone() }
    }

    /// The segments of rows that have changed since this was last called.
    pub fn take_changed(&mut self) -> Segments {
        std::mem::take(&mut self.changed)
    }

    /// A pane of a store, in the place where it was.
    pub fn restore(&mut self, row: u32, at: u16, pane: Pane) {
        self.changed.mark(row);
        *self.rows.cell(row, at as usize) = pane;
    }

    pub fn swap(windows: &mut [Window], row: u32, entry: &mut OldPane) {
        let window = &mut windows[entry.window as usize];
        window.changed.mark(row);
        std::mem::swap(window.rows.cell(row, entry.at as usize), &mut entry.old);
    }

    /// The twin is gone.
    pub fn clear(&mut self, row: u32) {
        if !self.panes(row).is_empty() {
            self.changed.mark(row);
            self.rows.clear(row);
        }
    }

    /// Its columns have other numbers.
    pub fn rename(&mut self, spec: Spec) {
        self.spec = spec;
    }

    /// The clock has found out what time it is.
    pub fn shift(&mut self, by: i64) {
        self.changed.mark_all();
        self.rows.each(|pane| {
            pane.start = pane.start.saturating_add(by);
            pane.newest = pane.newest.saturating_add(by);
        });
    }

    /// What a twin's window holds: for comparing states.
    pub fn describe(&self, row: u32) -> Vec<String> {
        self.panes(row).iter().filter(|pane| pane.newest != NEVER).map(|pane| format!("{pane:?}")).collect()
    }

    /// The column that it writes.
    pub fn out(&self) -> u16 {
        self.spec.out
    }

    pub fn pane(&self, row: u32, at: u16) -> Option<Pane> {
        self.panes(row).get(at as usize).copied()
    }

    /// Places of a twin's panes.
    pub fn len(&self, row: u32) -> usize {
        self.panes(row).len()
    }

    fn panes(&self, row: u32) -> &[Pane] {
        self.rows.get(row)
    }

    /// When the window next changes by itself.
    fn due(&self, row: u32) -> Option<i64> {
        let newest = self.panes(row).iter().map(|pane| pane.newest).filter(|newest| *newest != NEVER).min()?;
        Some(match self.spec.span {
            WindowDecl::Last(length) => newest.saturating_add(length),
            WindowDecl::Every(_) => newest,
        })
    }

    /// Writes a pane, a new one behind the last too.
    fn put(&mut self, number: u16, row: u32, at: usize, new: Pane, log: &mut Log) {
        self.changed.mark(row);
        let old = std::mem::replace(self.rows.cell(row, at), new);
        log.panes.push(OldPane { window: number, at: at as u16, old });
    }

    /// Frees the panes that have left; gives whether there were any.
    fn leave(&mut self, number: u16, row: u32, now: i64, length: i64, log: &mut Log) -> bool {
        let mut any = false;
        for at in 0..self.panes(row).len() {
            let newest = self.panes(row)[at].newest;
            if newest != NEVER && newest.saturating_add(length) <= now {
                self.put(number, row, at, FREE, log);
                any = true;
            }
        }
        any
    }

    /// One event into the pane of its time.
    fn add(&mut self, number: u16, row: u32, x: &Value, now: i64, length: i64, log: &mut Log) -> Result<(), Misfit> {
        let part = (length / PANES + i64::from(length % PANES != 0)).max(1);
        let panes = self.panes(row);
        let open = panes.iter().position(|pane| pane.newest != NEVER && now - pane.start < part && now >= pane.start);
        let (at, old) = match open {
            Some(at) => (at, panes[at]),
            None => {
                let free = panes.iter().position(|pane| pane.newest == NEVER).unwrap_or(panes.len());
                (free, Pane { start: now, ..FREE })
            }
        };
        let new = Pane { newest: now, ..grown(self.spec.kind, old, x)? };
        self.put(number, row, at, new, log);
        Ok(())
    }

    /// What the panes come to. None: there is no event in them.
    fn result(&self, row: u32) -> Result<Option<Value>, Misfit> {
        total(self.spec.kind, self.panes(row).iter().filter(|pane| pane.count > 0))
    }
}

/// A pane with one event more.
fn grown(kind: Aggregate, pane: Pane, x: &Value) -> Result<Pane, Misfit> {
    let first = pane.count == 0;
    let real = || x.as_f64().filter(|x| x.is_finite()).ok_or(Misfit::Type(ColumnType::Float64));
    let whole = || match fit(ColumnType::Int64, x.clone()) {
        Ok(Value::Int(x)) => Ok(x),
        Ok(_) => Err(Misfit::Type(ColumnType::Int64)),
        Err(misfit) => Err(misfit),
    };
    let (sum, lost) = match kind {
        Aggregate::Count => (0, 0),
        Aggregate::SumWhole => (pane.whole().checked_add(whole()?).ok_or(Misfit::Overflow)? as u64, 0),
        Aggregate::MinWhole if first => (whole()? as u64, 0),
        Aggregate::MinWhole => (pane.whole().min(whole()?) as u64, 0),
        Aggregate::MaxWhole if first => (whole()? as u64, 0),
        Aggregate::MaxWhole => (pane.whole().max(whole()?) as u64, 0),
        Aggregate::Min if first => (real()?.to_bits(), 0),
        Aggregate::Min => (pane.real().min(real()?).to_bits(), 0),
        Aggregate::Max if first => (real()?.to_bits(), 0),
        Aggregate::Max => (pane.real().max(real()?).to_bits(), 0),
        Aggregate::Sum | Aggregate::Mean => {
            let (sum, lost) = two_sum(pane.real(), real()?);
            let (sum, lost) = two_sum(sum, f64::from_bits(pane.lost) + lost);
            if !sum.is_finite() {
                return Err(Misfit::NotFinite);
            }
            (sum.to_bits(), lost.to_bits())
        }
    };
    Ok(Pane { count: pane.count + 1, sum, lost, ..pane })
}

fn total<'a>(kind: Aggregate, panes: impl Iterator<Item = &'a Pane>) -> Result<Option<Value>, Misfit> {
    let (mut count, mut whole, mut high, mut low) = (0i64, 0i128, 0.0f64, 0.0f64);
    for pane in panes {
        let first = count == 0;
        count += pane.count;
        match kind {
            Aggregate::Count => {}
            Aggregate::SumWhole => whole += i128::from(pane.whole()),
            Aggregate::MinWhole | Aggregate::MaxWhole if first => whole = i128::from(pane.whole()),
            Aggregate::MinWhole => whole = whole.min(i128::from(pane.whole())),
            Aggregate::MaxWhole => whole = whole.max(i128::from(pane.whole())),
            Aggregate::Min | Aggregate::Max if first => high = pane.real(),
            Aggregate::Min => high = high.min(pane.real()),
            Aggregate::Max => high = high.max(pane.real()),
            Aggregate::Sum | Aggregate::Mean => {
                let (sum, lost) = two_sum(high, pane.real());
                high = sum;
                low += lost + f64::from_bits(pane.lost);
            }
        }
    }
    if count == 0 {
        return Ok(None);
    }
    let value = match kind {
        Aggregate::Count => Value::Int(count),
        Aggregate::SumWhole | Aggregate::MinWhole | Aggregate::MaxWhole => {
            Value::Int(i64::try_from(whole).map_err(|_| Misfit::Overflow)?)
        }
        Aggregate::Min | Aggregate::Max => Value::Float(high),
        Aggregate::Sum => Value::Float(high + low),
        Aggregate::Mean => Value::Float((high + low) / count as f64),
    };
    match value {
        Value::Float(x) if !x.is_finite() => Err(Misfit::NotFinite),
        value => Ok(Some(value)),
    }
}

/// One event of a twin; true: the window's lane has a new value.
pub fn step(
    population: &mut Population,
    row: u32,
    number: u16,
    x: &Value,
    now: i64,
    log: &mut Log,
) -> Result<bool, Misfit> {
    if x.is_null() {
        return Ok(false);
    }
    let window = &mut population.windows[number as usize];
    let (stepped, due) = match window.spec.span {
        WindowDecl::Last(length) => {
            window.leave(number, row, now, length, log);
            window.add(number, row, x, now, length, log)?;
            (write(population, row, number, log)?, now.saturating_add(length))
        }
        WindowDecl::Every(length) => {
            let stepped = end(population, row, number, now, log)?;
            let window = &mut population.windows[number as usize];
            let pane = match window.panes(row).first() {
                Some(pane) if pane.newest != NEVER => *pane,
                _ => {
                    let (start, end) = bounds(now, length, &window.zone);
                    Pane { start, newest: end, ..FREE }
                }
            };
            let new = grown(window.spec.kind, pane, x)?;
            window.put(number, row, 0, new, log);
            (stepped, new.newest)
        }
    };
    arm_by(population, row, due, now, log);
    Ok(stepped == Stepped::Yes)
}

/// Has the twin's timer fire by then.
pub fn arm_by(population: &mut Population, row: u32, due: i64, now: i64, log: &mut Log) {
    let Some(alarm) = population.alarm else { return };
    let armed = match &population.columns[alarm as usize] {
        Column::Int(cells) => cells.get(row),
        _ => None,
    };
    // one that is past has fired in vain: its turn failed
    if armed.is_none_or(|armed| armed <= now || due < armed) {
        let due = if armed.is_some_and(|armed| armed <= now) { now } else { due };
        arm(population, row, alarm, Some(due), log);
    }
}

/// The twin's timer: what has left its windows leaves them, and the timer is set for what leaves next.
///
/// Errors: as `fold::run`.
pub fn elapse(class: &mut Class, row: u32, now: i64, log: &mut Log) -> Result<(), FoldError> {
    for number in 0..class.table.windows.len() as u16 {
        let window = &mut class.table.windows[number as usize];
        let out = window.spec.out;
        let stepped = match window.spec.span {
            WindowDecl::Last(length) => match window.leave(number, row, now, length, log) {
                true => write(&mut class.table, row, number, log),
                false => Ok(Stepped::No),
            },
            WindowDecl::Every(_) => end(&mut class.table, row, number, now, log),
        };
        let stepped = stepped.map_err(|misfit| FoldError { lane: class.table.lane(out as usize).into(), misfit })?;
        if stepped == Stepped::Yes {
            fold::run(&class.programs.columns[out as usize], &mut class.table, row, &[], now, log)?;
        }
    }
    for number in 0..class.table.histories.len() {
        let spec = class.table.histories[number].clone();
        if spec.elapse(&mut class.table, row, now, log) == Stepped::Yes {
            fold::run(&class.programs.columns[spec.out as usize], &mut class.table, row, &[], now, log)?;
        }
    }
    let table = &class.table;
    let windows = table.windows.iter().map(|window| window.due(row));
    let histories = table.histories.iter().map(|history| history.due(table, row));
    let next = windows.chain(histories).flatten().min();
    if let Some(alarm) = table.alarm {
        arm(&mut class.table, row, alarm, next, log);
    }
    Ok(())
}

fn arm(population: &mut Population, row: u32, alarm: u16, due: Option<i64>, log: &mut Log) {
    population.put(row, alarm, due.map_or(Value::Null, Value::Int), log);
    if let Some(due) = due {
        log.timers.push(TimerOp::Set { timer: TIMER, due, every: None });
    }
}

/// Writes what the panes come to; an empty window is as the lane was at first.
fn write(population: &mut Population, row: u32, number: u16, log: &mut Log) -> Result<Stepped, Misfit> {
    let window = &population.windows[number as usize];
    let out = window.spec.out;
    let value = window.result(row)?.unwrap_or_else(|| population.first(out));
    let unset = value.is_null();
    population.put(row, out, value, log);
    Ok(if unset { Stepped::Unset } else { Stepped::Yes })
}

/// Ends the present window of an `every`, if it is over. An empty one behind it has an end, too.
fn end(population: &mut Population, row: u32, number: u16, now: i64, log: &mut Log) -> Result<Stepped, Misfit> {
    let window = &mut population.windows[number as usize];
    let WindowDecl::Every(length) = window.spec.span else { return Ok(Stepped::No) };
    let Some(over) = window.panes(row).first().copied().filter(|pane| pane.newest != NEVER && pane.newest <= now)
    else {
        return Ok(Stepped::No);
    };
    let (start, end) = bounds(now, length, &window.zone);
    let is_last = start == over.newest;
    let next = if is_last && over.count > 0 { Pane { start, newest: end, ..FREE } } else { FREE };
    let stepped = match is_last {
        true => write(population, row, number, log)?,
        false => {
            // the clock has jumped: the last whole window had no event
            population.windows[number as usize].put(number, row, 0, FREE, log);
            write(population, row, number, log)?
        }
    };
    population.windows[number as usize].put(number, row, 0, next, log);
    Ok(stepped)
}

/// The window of this length that a time lies in: from the beginning of the day in `zone` where the length divides a day,
/// cut at the next midnight; whole days from Monday, 1970-01-05; from 1970 UTC for any other length.
fn bounds(at: i64, length: i64, zone: &TimeZone) -> (i64, i64) {
    let floor = |from: i64| (from + (at - from).div_euclid(length) * length, length);
    let plain = |(start, length): (i64, i64)| (start, start.saturating_add(length));
    if length % DAY != 0 && DAY % length != 0 {
        return plain(floor(0));
    }
    if *zone == TimeZone::UTC {
        return plain(floor(if length % DAY == 0 { MONDAY * DAY } else { 0 }));
    }
    let Some(day) = day_of(at, zone) else { return plain(floor(0)) };
    let days = (length / DAY).max(1);
    let first = MONDAY + (day - MONDAY).div_euclid(days) * days;
    let (Some(start), Some(end)) = (midnight(first, zone), midnight(first + days, zone)) else {
        return plain(floor(0));
    };
    if length % DAY == 0 {
        return (start, end);
    }
    let (start, _) = floor(start);
    (start, start.saturating_add(length).min(end))
}

/// Days since 1970-01-01 of a time's date in a zone.
fn day_of(at: i64, zone: &TimeZone) -> Option<i64> {
    let date = zone.to_datetime(Timestamp::from_microsecond(at).ok()?).date();
    Some(i64::from((date - Date::constant(1970, 1, 1)).get_days()))
}

/// When a day begins in a zone.
fn midnight(day: i64, zone: &TimeZone) -> Option<i64> {
    let date = Date::constant(1970, 1, 1).checked_add(jiff::Span::new().try_days(day).ok()?).ok()?;
    Some(zone.to_zoned(date.at(0, 0, 0, 0)).ok()?.timestamp().as_microsecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::time::{parse_rfc3339, to_rfc3339};

    fn window(at: &str, length: i64, zone: &str) -> (String, String) {
        let at = parse_rfc3339(at, &TimeZone::UTC).unwrap();
        let (start, end) = bounds(at, length, &TimeZone::get(zone).unwrap());
        (to_rfc3339(start), to_rfc3339(end))
    }

    fn is(at: &str, length: i64, zone: &str, start: &str, end: &str) {
        assert_eq!(window(at, length, zone), (start.into(), end.into()), "{at} {length} {zone}");
    }

    #[test]
    fn windows_are_aligned_to_the_clock() {
        let minute = 60_000_000;
        is("2026-03-01T12:07:30Z", 15 * minute, "UTC", "2026-03-01T12:00:00Z", "2026-03-01T12:15:00Z");
        is("2026-03-01T12:15:00Z", 15 * minute, "Asia/Kolkata", "2026-03-01T12:15:00Z", "2026-03-01T12:30:00Z");
        is("2026-03-01T12:15:00Z", 60 * minute, "Asia/Kolkata", "2026-03-01T11:30:00Z", "2026-03-01T12:30:00Z");
        is("2026-07-01T23:00:00Z", DAY, "Europe/Berlin", "2026-07-01T22:00:00Z", "2026-07-02T22:00:00Z");
        is("1969-12-31T23:59:59Z", DAY, "UTC", "1969-12-31T00:00:00Z", "1970-01-01T00:00:00Z");
        // Sunday: the week began on Monday
        is("2026-03-01T12:00:00Z", 7 * DAY, "UTC", "2026-02-23T00:00:00Z", "2026-03-02T00:00:00Z");
        is("2026-03-01T12:00:00Z", 7 * DAY, "Europe/Berlin", "2026-02-22T23:00:00Z", "2026-03-01T23:00:00Z");
        is("1970-01-01T00:00:10Z", 7_000_000, "Europe/Berlin", "1970-01-01T00:00:07Z", "1970-01-01T00:00:14Z");
    }

    #[test]
    fn a_day_of_a_clock_change_is_as_long_as_it_is() {
        let hour = 3_600_000_000;
        is("2026-03-29T12:00:00Z", DAY, "Europe/Berlin", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z");
        is("2026-10-25T12:00:00Z", DAY, "Europe/Berlin", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z");
        // 23 hours: the second half of the day is cut
        is("2026-03-29T21:59:00Z", 12 * hour, "Europe/Berlin", "2026-03-29T11:00:00Z", "2026-03-29T22:00:00Z");
    }
}
