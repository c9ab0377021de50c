//! A record: the net changes of all twins since the record before, and of what a shard has besides (`small`). Cells stand
//! column by column, so that a number costs its eight bytes and little more (docs/storage.md draws them).

use super::bytes::{Bits, Garbled, In, Out, Read};
use super::schema::{Schema, StoredId, StoredPopulation};
use super::small::{Small, read_id};
use crate::declaration::ColumnType;
use crate::population::column::{Column, fit};
use crate::population::{Changes, Population, TwinId};
use crate::shard::Class;
use crate::value::Value;
use crate::window::Pane;

/// Behind the last population.
const NO_POPULATION: u64 = 0;
/// Twins made between two records: many times what a batch of turns can make.
const MOST_IDS: u64 = 1 << 24;
/// What of a population stands where.
const SOME: u8 = 0;
const ALL: u8 = 1;

/// Writes what has changed of a population, and nothing where nothing has. `saved`: one bit a column, then one a map.
pub(super) fn write_population(
    table: &Population,
    changes: &mut Changes,
    schema: &StoredPopulation,
    saved: &[u64],
    out: &mut Out,
) -> bool {
    let births: Vec<(TwinId, u32)> = changes.births(table).collect();
    let rows = changes.rows(table, &births);
    let spent = changes.has_spent_ids(table);
    if rows.is_empty() && !spent && changes.deaths.is_empty() && changes.is_plain() {
        return false;
    }
    out.number(schema.id.0.into());
    out.number(table.next_id());
    out.count(births.len());
    let mut before = 0;
    for (id, row) in &births {
        out.number(id.0 - before);
        before = id.0;
        out.text(table.key(*row));
    }
    out.count(changes.deaths.len());
    changes.deaths.iter().for_each(|id| out.number(id.0));
    write_cells(table, &rows, births.first().map(|(id, _)| *id), schema, saved, out);
    write_maps(table, changes, schema, saved, out);
    write_panes(table, changes, schema, saved, out);
    true
}

pub(super) fn end_populations(out: &mut Out) {
    out.number(NO_POPULATION);
}

fn is_in(bits: &[u64], at: usize) -> bool {
    bits.get(at / 64).is_some_and(|word| word >> (at % 64) & 1 == 1)
}

fn write_cells(
    table: &Population,
    rows: &[u32],
    first_birth: Option<TwinId>,
    schema: &StoredPopulation,
    saved: &[u64],
    out: &mut Out,
) {
    let words = table.words();
    let mut dirty = Vec::with_capacity(rows.len() * words);
    let (mut any, mut all) = (vec![0u64; words], vec![u64::MAX; words]);
    out.count(rows.len());
    let mut before = 0i64;
    for row in rows {
        let id = table.id(*row).unwrap_or_default();
        out.signed((id.0 as i64).wrapping_sub(before));
        before = id.0 as i64;
        // a newborn is written whole: its defaults are those of the class at its birth
        let whole = first_birth.is_some_and(|first| id >= first);
        for word in 0..words {
            let bits = if whole { u64::MAX } else { table.dirty_word(*row, word) };
            any[word] |= bits;
            all[word] &= bits;
            dirty.push(bits);
        }
    }
    let columns: Vec<usize> = (0..table.columns.len()).filter(|at| is_in(&any, *at) && is_in(saved, *at)).collect();
    out.count(if rows.is_empty() { 0 } else { columns.len() });
    if rows.is_empty() {
        return;
    }
    let mut part = Vec::new();
    for at in columns {
        let column = &table.columns[at];
        out.number(schema.columns[at].id.0.into());
        if is_in(&all, at) {
            out.byte(ALL);
            write_column(column, rows, out);
        } else {
            out.byte(SOME);
            let has = |number: usize| dirty[number * words + at / 64] >> (at % 64) & 1 == 1;
            out.bits((0..rows.len()).map(has));
            part.clear();
            part.extend(rows.iter().enumerate().filter(|(number, _)| has(*number)).map(|(_, row)| *row));
            write_column(column, &part, out);
        }
    }
}

/// Which cells are set, then their values.
fn write_column(column: &Column, rows: &[u32], out: &mut Out) {
    let kind = column.kind();
    out.byte(kind_byte(kind));
    let set = |row: &u32| match column {
        Column::Bool(cells) => cells.get(*row).is_some(),
        Column::Int(cells) | Column::Time(cells) => cells.get(*row).is_some(),
        Column::Float(cells) => cells.get(*row).is_some(),
        Column::Point(cells) => cells.get(*row).is_some(),
        Column::Text(cells) | Column::Bytes(cells) => cells.get(*row).is_some(),
        Column::Tree(cells) => !cells.get(*row).is_null(),
    };
    match rows.iter().all(set) {
        true => out.byte(ALL),
        false => {
            out.byte(SOME);
            out.bits(rows.iter().map(set));
        }
    }
    match column {
        Column::Bool(cells) => out.bits(rows.iter().filter_map(|row| cells.get(*row))),
        Column::Int(cells) => rows.iter().filter_map(|row| cells.get(*row)).for_each(|x| out.signed(x)),
        Column::Time(cells) => {
            let mut before = 0i64;
            for time in rows.iter().filter_map(|row| cells.get(*row)) {
                out.signed(time.wrapping_sub(before));
                before = time;
            }
        }
        Column::Float(cells) => {
            out.0.reserve(8 * rows.len());
            rows.iter().filter_map(|row| cells.get(*row)).for_each(|x| out.real(x));
        }
        Column::Point(cells) => rows.iter().filter_map(|row| cells.get(*row)).for_each(|[lat, lon]| {
            out.real(lat);
            out.real(lon);
        }),
        Column::Text(cells) | Column::Bytes(cells) => {
            rows.iter().filter_map(|row| cells.get(*row)).for_each(|bytes| out.bytes(bytes));
        }
        Column::Tree(cells) => {
            rows.iter().map(|row| cells.get(*row)).filter(|value| !value.is_null()).for_each(|value| out.value(value));
        }
    }
}

fn kind_byte(kind: ColumnType) -> u8 {
    match kind {
        ColumnType::Bool => 0,
        ColumnType::Int64 => 1,
        ColumnType::Float64 => 2,
        ColumnType::Point => 3,
        ColumnType::String => 4,
        ColumnType::Bytes => 5,
        ColumnType::Timestamp => 6,
        ColumnType::Value => 7,
    }
}

fn write_maps(table: &Population, changes: &mut Changes, schema: &StoredPopulation, saved: &[u64], out: &mut Out) {
    let columns = table.columns.len();
    let is_changed = |at: &usize| !changes.maps[*at].is_empty() && is_in(saved, columns + at);
    let changed: Vec<usize> = (0..table.maps.len()).filter(is_changed).collect();
    out.count(changed.len());
    for at in changed {
        let (map, changes) = (&table.maps[at], &changes.maps[at]);
        out.number(schema.maps[at].id.0.into());
        out.number(map.next_number());
        out.count(changes.removed.len());
        for (id, key) in &changes.removed {
            out.number(id.0);
            out.value(key);
        }
        let puts: Vec<(u32, TwinId)> =
            changes.slots.iter().filter_map(|slot| Some((*slot, table.id(map.owner(*slot)?)?))).collect();
        out.count(puts.len());
        let (mut before, mut before_number) = (0i64, 0i64);
        for (slot, id) in puts {
            let (id, number) = (id.0 as i64, map.number(slot) as i64);
            out.signed(id.wrapping_sub(before));
            out.signed(number.wrapping_sub(before_number));
            (before, before_number) = (id, number);
            out.value(&map.key(slot));
            out.value(&map.value(slot));
        }
    }
}

fn write_panes(table: &Population, changes: &mut Changes, schema: &StoredPopulation, saved: &[u64], out: &mut Out) {
    let is_saved = |window: u16| is_in(saved, table.windows[window as usize].out() as usize);
    let panes: Vec<(u16, u16, TwinId, Pane)> = changes
        .panes
        .iter()
        .filter(|(window, ..)| is_saved(*window))
        .filter_map(|(window, row, at)| {
            Some((*window, *at, table.id(*row)?, table.windows[*window as usize].pane(*row, *at)?))
        })
        .collect();
    out.count(panes.len());
    for (window, at, id, pane) in panes {
        out.number(schema.windows[window as usize].id.0.into());
        out.number(id.0);
        out.number(at.into());
        for x in pane.numbers() {
            out.signed(x);
        }
        for bits in pane.bits() {
            out.word(bits);
        }
    }
}

/// Applies a record to tables, whose classes are those of `present`; the record was written for `stored`. Gives the number
/// of cells and entries.
///
/// Errors: bytes that are none of a record.
pub fn apply(body: &[u8], stored: &Schema, present: &Schema, classes: &mut [Class], small: &mut Small) -> Read<u64> {
    let mut input = In::new(body);
    small.read(&mut input)?;
    let mut changes = 0;
    loop {
        let id = input.number()?;
        if id == NO_POPULATION {
            break;
        }
        let id = u32::try_from(id).map(StoredId).map_err(|_| Garbled)?;
        let from = stored.populations.iter().find(|population| population.id == id).ok_or(Garbled)?;
        let to = present.find(id).map(|at| (&present.populations[at], &mut classes[at].table));
        changes += read_population(&mut input, from, to)?;
    }
    // sinks read those
    super::full::read(&mut input)?;
    Ok(changes)
}

/// The changes of lanes that somebody needs in full, in the order of their turns.
///
/// Errors: bytes that are none of a record.
pub fn changes_in_full(body: &[u8], stored: &Schema) -> Read<Vec<super::full::Change>> {
    let mut input = In::new(body);
    Small::default().read(&mut input)?;
    loop {
        match input.number()? {
            NO_POPULATION => return super::full::read(&mut input),
            id => {
                let id = u32::try_from(id).map(StoredId).map_err(|_| Garbled)?;
                let from = stored.populations.iter().find(|population| population.id == id).ok_or(Garbled)?;
                read_population(&mut input, from, None)?;
            }
        }
    }
}

type Target<'a> = Option<(&'a StoredPopulation, &'a mut Population)>;

fn read_population(input: &mut In<'_>, from: &StoredPopulation, mut to: Target<'_>) -> Read<u64> {
    let next = input.number()?;
    if let Some((_, table)) = &mut to {
        // garbled ids must not make room for billions
        if next > table.next_id().saturating_add(MOST_IDS) {
            return Err(Garbled);
        }
        table.spend_ids(next);
    }
    let mut id = 0u64;
    let mut births = Vec::new();
    for _ in 0..input.count()? {
        id = id.checked_add(input.number()?).ok_or(Garbled)?;
        births.push((TwinId(id), input.text()?));
    }
    let deaths = input.count()?;
    for _ in 0..deaths {
        let id = TwinId(input.number()?);
        if let Some((_, table)) = &mut to
            && let Some(row) = table.row(id)
        {
            table.remove(row);
        }
    }
    if births.last().is_some_and(|(id, _)| id.0 >= next) {
        return Err(Garbled);
    }
    if let Some((_, table)) = &mut to {
        for (id, key) in births {
            table.revive(id, key.as_bytes()).ok_or(Garbled)?;
        }
    }
    Ok(read_cells(input, from, &mut to)? + read_maps(input, from, &mut to)? + read_panes(input, from, &mut to)?)
}

fn read_cells(input: &mut In<'_>, from: &StoredPopulation, to: &mut Target<'_>) -> Read<u64> {
    let count = input.count()?;
    let (mut rows, mut id) = (Vec::with_capacity(count), 0i64);
    for _ in 0..count {
        id = id.wrapping_add(input.signed()?);
        // a twin may have died in the record in which it was written: then nothing of it was
        rows.push(to.as_ref().and_then(|(_, table)| table.row(TwinId(id as u64))));
    }
    let mut cells = 0;
    let mut part = Vec::new();
    for _ in 0..input.count()? {
        let stored = read_id(input)?;
        let stored = from.columns.iter().find(|column| column.id == stored).ok_or(Garbled)?;
        let target = match to {
            Some((schema, table)) => schema.column(stored.id).map(|at| &mut table.columns[at as usize]),
            None => None,
        };
        let rows = match input.byte()? {
            ALL => &rows,
            SOME => {
                let has = input.bits(rows.len())?;
                part.clear();
                part.extend(rows.iter().enumerate().filter(|(number, _)| has.get(*number)).map(|(_, row)| *row));
                &part
            }
            _ => return Err(Garbled),
        };
        read_column(input, stored.kind, rows, target)?;
        cells += rows.len() as u64;
    }
    Ok(cells)
}

fn read_column(input: &mut In<'_>, kind: ColumnType, rows: &[Option<u32>], target: Option<&mut Column>) -> Read<()> {
    if input.byte()? != kind_byte(kind) {
        return Err(Garbled);
    }
    let set: Option<Bits<'_>> = match input.byte()? {
        ALL => None,
        SOME => Some(input.bits(rows.len())?),
        _ => return Err(Garbled),
    };
    let is_set = |at: usize| set.is_none_or(|set| set.get(at));
    match (kind, target) {
        (ColumnType::Float64, Some(Column::Float(cells))) => {
            for (at, row) in rows.iter().enumerate() {
                let x = if is_set(at) { Some(input.real()?) } else { None };
                if let Some(row) = row {
                    cells.replace(*row, x);
                }
            }
        }
        (ColumnType::Int64, Some(Column::Int(cells))) => {
            for (at, row) in rows.iter().enumerate() {
                let x = if is_set(at) { Some(input.signed()?) } else { None };
                if let Some(row) = row {
                    cells.replace(*row, x);
                }
            }
        }
        (ColumnType::Bool, target) => {
            let count = (0..rows.len()).filter(|at| is_set(*at)).count();
            let values = input.bits(count)?;
            let mut next = 0;
            let mut cells = match target {
                Some(Column::Bool(cells)) => Some(cells),
                _ => None,
            };
            for (at, row) in rows.iter().enumerate() {
                let x = is_set(at).then(|| {
                    next += 1;
                    values.get(next - 1)
                });
                if let (Some(row), Some(cells)) = (row, &mut cells) {
                    cells.replace(*row, x);
                }
            }
        }
        (kind, mut target) => {
            let mut before = 0i64;
            for (at, row) in rows.iter().enumerate() {
                let value = match is_set(at) {
                    false => Value::Null,
                    true => read_cell(input, kind, &mut before)?,
                };
                if let (Some(row), Some(column)) = (row, target.as_deref_mut()) {
                    let value = fit(column.kind(), value).map_err(|_| Garbled)?;
                    column.replace(*row, value);
                }
            }
        }
    }
    Ok(())
}

fn read_cell(input: &mut In<'_>, kind: ColumnType, before: &mut i64) -> Read<Value> {
    Ok(match kind {
        ColumnType::Bool => return Err(Garbled),
        ColumnType::Int64 => Value::Int(input.signed()?),
        ColumnType::Float64 => Value::Float(input.real()?),
        ColumnType::Timestamp => {
            *before = before.wrapping_add(input.signed()?);
            Value::Time(*before)
        }
        ColumnType::Point => Value::Point(input.real()?, input.real()?),
        ColumnType::String => Value::Text(input.text()?.into()),
        ColumnType::Bytes => Value::Bytes(input.bytes()?.into()),
        ColumnType::Value => input.value()?,
    })
}

fn read_maps(input: &mut In<'_>, from: &StoredPopulation, to: &mut Target<'_>) -> Read<u64> {
    let mut entries = 0;
    for _ in 0..input.count()? {
        let stored = read_id(input)?;
        let stored = from.maps.iter().find(|map| map.id == stored).ok_or(Garbled)?;
        let next = input.number()?;
        if next > i64::MAX as u64 {
            return Err(Garbled);
        }
        let at = to.as_ref().and_then(|(schema, _)| schema.map(stored.id));
        let mut target = match (to.as_mut(), at) {
            (Some((_, table)), Some(at)) => Some((&mut **table, at as usize)),
            _ => None,
        };
        for _ in 0..input.count()? {
            let (id, key) = (TwinId(input.number()?), input.value()?);
            if let Some((table, at)) = &mut target
                && let Some(row) = table.row(id)
                && let Some(slot) = table.maps[*at].find(row, &key)
            {
                table.maps[*at].unlink(slot);
                table.maps[*at].release(slot);
            }
        }
        let (mut id, mut number) = (0i64, 0i64);
        for _ in 0..input.count()? {
            id = id.wrapping_add(input.signed()?);
            number = number.wrapping_add(input.signed()?);
            let (key, value) = (input.value()?, input.value()?);
            entries += 1;
            if number as u64 >= next {
                return Err(Garbled);
            }
            if let Some((table, at)) = &mut target
                && let Some(row) = table.row(TwinId(id as u64))
            {
                let key = fit(stored.key, key).map_err(|_| Garbled)?;
                let value = fit(stored.value, value).map_err(|_| Garbled)?;
                if key.is_null() {
                    return Err(Garbled);
                }
                table.maps[*at].restore(row, key, value, number as u64);
            }
        }
        if let Some((table, at)) = &mut target {
            table.maps[*at].spend_numbers(next);
        }
    }
    Ok(entries)
}

fn read_panes(input: &mut In<'_>, from: &StoredPopulation, to: &mut Target<'_>) -> Read<u64> {
    let count = input.count()?;
    for _ in 0..count {
        let window = read_id(input)?;
        if from.window(window).is_none() {
            return Err(Garbled);
        }
        let id = TwinId(input.number()?);
        let at = u16::try_from(input.number()?).map_err(|_| Garbled)?;
        let numbers = [input.signed()?, input.signed()?, input.signed()?];
        let pane = Pane::of(numbers, [input.word()?, input.word()?]);
        if let Some((schema, table)) = to
            && let (Some(window), Some(row)) = (schema.window(window), table.row(id))
        {
            table.windows[window as usize].restore(row, at, pane);
        }
    }
    Ok(count as u64)
}
