//! A JSON object becomes the slots of a record body: the hottest code of a source.

use ecow::EcoString;

use super::field::Slot;
use super::json::{prepare, undeclared};
use super::number::{self, Number};
use super::scan::{Scanner, load, twice, type_name};
use super::string::short_text;
use super::{Fail, fail};
use crate::body::{Field, Kind, Plan, Record};
use crate::value::Value;

/// Fields of a record body; `Record::given` and `Plan::wanted` have a bit for each.
pub(crate) const MAX_FIELDS: usize = 64;

/// Empties the slots that were not given or are not wanted; refuses a record without a required field.
#[inline(always)]
pub(crate) fn complete(plan: &Plan, fields: &[Field], at: usize, out: &mut Record) -> Result<(), Fail> {
    let all = u64::MAX >> (MAX_FIELDS - fields.len().clamp(1, MAX_FIELDS));
    let mut empty = all & !(out.given & plan.wanted);
    while empty != 0 {
        let i = empty.trailing_zeros() as usize;
        empty &= empty - 1;
        if let (Some(field), Some(slot)) = (fields.get(i), out.slots.get_mut(i)) {
            if field.required && out.given >> i & 1 == 0 {
                return Err(missing(at, &field.name));
            }
            *slot = Value::Null;
        }
    }
    Ok(())
}

#[cold]
pub(crate) fn missing(at: usize, name: &str) -> Fail {
    fail(at, format!("Object missing required field `{name}`"))
}

#[cold]
pub(crate) fn too_many_fields(fields: &[Field]) -> Fail {
    fail(0, format!("A record body has at most {MAX_FIELDS} fields, this one has {}", fields.len()))
}

/// The field of this name, looked for from `next` on: the records of one source mostly have one order.
fn find(fields: &[Field], next: usize, key: &[u8]) -> Option<usize> {
    let is = |field: &Field| field.name.as_bytes() == key;
    let (before, after) = fields.split_at(next.min(fields.len()));
    after.iter().position(is).map(|i| next + i).or_else(|| before.iter().position(is))
}

/// The record's members, each tried first as most writers write it: the fields in the order of declaration, no escapes,
/// at most one space behind a colon and a comma. For that path the position stays in a register (`at`); all others
/// go through the scanner.
pub(crate) fn record(plan: &Plan, fields: &[Field], bytes: &[u8], out: &mut Record) -> Result<(), Fail> {
    if fields.len() > MAX_FIELDS {
        return Err(too_many_fields(fields));
    }
    prepare(plan, out);
    let scan = &mut Scanner::new(bytes);
    let Record { slots, given, extra, news, .. } = out;
    let slots = slots.as_mut_slice();
    let mut seen = 0;
    let mut next = 0;
    let mut at = scan.at;
    let mut more = true;
    if load(bytes, at) as u16 == u16::from_le_bytes(*b"{\"") {
        scan.enter()?;
        at += 1;
    } else {
        (at, more) = first_member(scan)?;
    }
    while more {
        let expected = fields.get(next).and_then(|field| field.key.value_after(&field.name, bytes, at));
        let i = match expected {
            Some(end) => {
                at = end;
                next
            }
            None => {
                let found;
                (at, found) = other_key(plan, fields, next, at, scan, extra)?;
                match found {
                    Some(i) => i,
                    None => {
                        (at, more) = next_member(scan, at)?;
                        continue;
                    }
                }
            }
        };
        next = i + 1;
        let (Some(field), Some(cell)) = (fields.get(i), slots.get_mut(i)) else { break };
        if seen >> i & 1 == 1 {
            return Err(twice(at, field.name.as_bytes()));
        }
        seen |= 1 << i;
        let keep = plan.wanted >> i & 1 == 1;
        at = match expected_value(bytes, at, &field.kind, keep, cell) {
            Some(end) => end,
            None => declared(plan, field, i, keep, at, scan, cell)?,
        };
        let after = load(bytes, at);
        if after as u32 & 0xFF_FFFF == u32::from_le_bytes(*b", \"\0") {
            at += 2;
        } else if after as u16 == u16::from_le_bytes(*b",\"") {
            at += 1;
        } else if after as u8 == b'}' {
            at += 1;
            break;
        } else {
            (at, more) = next_member(scan, at)?;
        }
    }
    scan.at = at;
    *given = seen;
    *news = scan.news;
    scan.no_key_twice(0)?;
    complete(plan, fields, at, out)?;
    scan.finish()
}

/// Reads a float or a text that stands at `at`; gives the offset after it. `None`: nothing is read.
#[inline(always)]
fn expected_value(bytes: &[u8], at: usize, kind: &Kind, keep: bool, cell: &mut Value) -> Option<usize> {
    match kind {
        Kind::Float => {
            let (x, end) = number::read_float(bytes, at)?;
            match cell {
                _ if !keep => {}
                // The usual case of a reused record: no old value to drop.
                Value::Float(old) => *old = x,
                _ => *cell = Value::Float(x),
            }
            Some(end)
        }
        Kind::Text => {
            let text = short_text(bytes, at)?;
            match cell {
                _ if !keep => {}
                // In place, which spares a copy and, where nobody shares the old text, an allocation.
                Value::Text(old) => {
                    old.clear();
                    old.push_str(text);
                }
                _ => *cell = Value::Text(EcoString::from(text)),
            }
            Some(at + text.len() + 2)
        }
        _ => None,
    }
}

/// Reads the brace at the scanner's position: where its first key is, if there is one, or where the object ended.
#[inline(never)]
fn first_member(scan: &mut Scanner<'_>) -> Result<(usize, bool), Fail> {
    expect_object(scan)?;
    let more = scan.member(true)?;
    Ok((scan.at, more))
}

/// Where the key of the next member is, if there is one, or where the object ended.
#[inline(never)]
fn next_member(scan: &mut Scanner<'_>, at: usize) -> Result<(usize, bool), Fail> {
    scan.at = at;
    let more = scan.member(false)?;
    Ok((scan.at, more))
}

/// Reads a declared field's value, whatever it is; gives the offset after it.
#[inline(never)]
fn declared(
    plan: &Plan,
    field: &Field,
    i: usize,
    keep: bool,
    at: usize,
    scan: &mut Scanner<'_>,
    cell: &mut Value,
) -> Result<usize, Fail> {
    scan.at = at;
    let slot = Slot {
        kind: &field.kind,
        nullable: field.nullable,
        timed: plan.time_slot == Some(i),
        name: Some(&field.name),
        zone: &plan.zone,
    };
    let first = scan.peek()?;
    *cell = slot.read(scan, first, keep)?;
    Ok(scan.at)
}

/// Reads the key at `at` and its colon; gives the offset after it and the field. `None`: the member is not declared,
/// and passed.
#[inline(never)]
fn other_key(
    plan: &Plan,
    fields: &[Field],
    next: usize,
    at: usize,
    scan: &mut Scanner<'_>,
    extra: &mut [Value],
) -> Result<(usize, Option<usize>), Fail> {
    scan.at = at;
    let raw = scan.string()?;
    let key = scan.content(raw)?;
    scan.colon()?;
    let found = find(fields, next, &key);
    if found.is_none() {
        undeclared(plan, raw, scan, extra)?;
    }
    Ok((scan.at, found))
}

#[inline(always)]
fn expect_object(scan: &mut Scanner<'_>) -> Result<(), Fail> {
    let first = scan.peek()?;
    if first != b'{' {
        return Err(no_object(scan, first));
    }
    scan.enter()
}

#[cold]
fn no_object(scan: &mut Scanner<'_>, first: u8) -> Fail {
    let at = scan.at;
    let got = match type_name(first) {
        None => return scan.malformed(at, "invalid character"),
        Some("int") => match scan.number() {
            Ok(Number::Float(_)) => "float",
            Ok(Number::Int(_)) => "int",
            Err(fault) => return scan.number_fault(fault, ""),
        },
        Some("array") => "array",
        Some(got) => match scan.skip() {
            Ok(()) => got,
            Err(fault) => return fault,
        },
    };
    fail(at, format!("Expected `object`, got `{got}`"))
}
