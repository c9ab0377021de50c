//! A JSON text becomes the slots of a body.

use ecow::EcoString;

use super::field::Slot;
use super::number::{self, Number};
use super::scan::{self, Raw, Scanner, plain, short_text, twice, type_name};
use super::{Fail, fail, tree};
use crate::body::{BodyType, Field, Invalid, Kind, Plan, Record};
use crate::value::Value;

/// Fields of a record body; `Record::given` and `Plan::wanted` have a bit for each.
pub(crate) const MAX_FIELDS: usize = 64;

/// Decodes one JSON text into `out`, which is overwritten whole; after an error it holds nothing of meaning. The slot
/// of a field that is null, missing or not wanted is `Null`. Members named in `Plan::extra` go to `Record::extra`: a
/// text, a whole number or a float; null counts as missing.
///
/// A scalar body is the whole text, or, where `Plan::extra` is not empty and the text is an object, its only member
/// that is not named there.
///
/// # Errors
/// `Invalid` with a byte offset into `bytes`, for whatever the module's rules refuse.
pub fn decode_json(plan: &Plan, bytes: &[u8], out: &mut Record) -> Result<(), Invalid> {
    let mut scan = Scanner::new(bytes);
    prepare(plan, out);
    let outcome = match &plan.body {
        BodyType::Record { fields } => record(plan, fields, &mut scan, out),
        BodyType::Scalar { kind, nullable } => scalar(plan, kind, *nullable, &mut scan, out),
        BodyType::Nothing => nothing(plan, &mut scan, out),
        BodyType::Tree { .. } => whole_tree(plan, &mut scan, out),
    };
    outcome.and_then(|()| scan.finish()).map_err(|fault| *fault)
}

/// Gives `out` the plan's size. Slots keep their old values: `record` writes each of them.
#[inline(always)]
pub(crate) fn prepare(plan: &Plan, out: &mut Record) {
    let slots = plan.body.slots();
    if out.slots.len() != slots {
        out.slots.clear();
        out.slots.resize(slots, Value::Null);
    }
    if !matches!(plan.body, BodyType::Record { .. }) {
        out.slots.fill(Value::Null);
    }
    if !(plan.extra.is_empty() && out.extra.is_empty()) {
        out.extra.clear();
        out.extra.resize(plan.extra.len(), Value::Null);
    }
    if !out.tree.is_null() {
        out.tree = Value::Null;
    }
    out.given = 0;
}

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

/// Equal, for texts that are mostly shorter than a call of memcmp is long.
#[inline(always)]
fn same(a: &[u8], b: &[u8]) -> bool {
    if a.len() != b.len() {
        return false;
    }
    if let (Some(x), Some(y), Some(v), Some(w)) =
        (a.first_chunk::<4>(), b.first_chunk::<4>(), a.last_chunk::<4>(), b.last_chunk::<4>())
        && a.len() <= 8
    {
        return x == y && v == w;
    }
    match (a, b) {
        ([x], [y]) => x == y,
        ([x @ .., v], [y @ .., w]) if a.len() <= 3 => v == w && x.first() == y.first() && x.last() == y.last(),
        _ => a == b,
    }
}

/// The field of this name, looked for from `next` on: the records of one source mostly have one order.
fn find(fields: &[Field], next: usize, key: &[u8]) -> Option<usize> {
    let is = |field: &Field| same(field.name.as_bytes(), key);
    let (before, after) = fields.split_at(next.min(fields.len()));
    after.iter().position(is).map(|i| next + i).or_else(|| before.iter().position(is))
}

/// The record's members, each tried first as most writers write it: the fields in the order of declaration, no escapes,
/// at most one space behind a colon and a comma. For that path the position stays in a register (`at`); all others
/// go through the scanner.
#[inline(always)]
fn record(plan: &Plan, fields: &[Field], scan: &mut Scanner<'_>, out: &mut Record) -> Result<(), Fail> {
    if fields.len() > MAX_FIELDS {
        return Err(too_many_fields(fields));
    }
    expect_object(scan)?;
    let bytes = scan.bytes;
    let Record { slots, given, extra, .. } = out;
    let mut seen = 0;
    let mut next = 0;
    let mut more = scan.member(true)?;
    let mut at = scan.at;
    while more {
        let expected = fields.get(next).and_then(|field| expected_key(bytes, at, field.name.as_bytes()));
        let i = match expected {
            Some(end) => {
                at = end;
                next
            }
            None => {
                scan.at = at;
                let found = other_key(plan, fields, next, scan, extra)?;
                at = scan.at;
                match found {
                    Some(i) => i,
                    None => {
                        more = scan.member(false)?;
                        at = scan.at;
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
        match expected_value(bytes, at, &field.kind, keep, cell) {
            Some(end) => at = end,
            None => {
                scan.at = at;
                *cell = declared(plan, field, i, keep, scan)?;
                at = scan.at;
            }
        }
        let after = scan::load(bytes, at);
        if after as u32 & 0xFF_FFFF == u32::from_le_bytes(*b", \"\0") {
            at += 2;
        } else if after as u16 == u16::from_le_bytes(*b",\"") {
            at += 1;
        } else if after as u8 == b'}' {
            scan.at = at + 1;
            break;
        } else {
            scan.at = at;
            more = scan.member(false)?;
            at = scan.at;
        }
    }
    *given = seen;
    scan.no_key_twice(0)?;
    complete(plan, fields, scan.at, out)
}

/// The offset of the value, if this key (without escapes) and a colon stand at `at`.
#[inline(always)]
fn expected_key(bytes: &[u8], at: usize, name: &[u8]) -> Option<usize> {
    let end = at + 1 + name.len();
    let colon = bytes.get(end..)?.first_chunk::<3>()?;
    // A name that holds a backslash or a quote is not written as it is.
    if !same(bytes.get(at + 1..end)?, name) || !plain(bytes, at + 1, name.len()) {
        return None;
    }
    match colon {
        b"\": " => Some(end + 3),
        [b'"', b':', _] => Some(end + 2),
        _ => None,
    }
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

/// A declared field's value, whatever it is.
#[inline(never)]
fn declared(plan: &Plan, field: &Field, i: usize, keep: bool, scan: &mut Scanner<'_>) -> Result<Value, Fail> {
    let slot = Slot {
        kind: &field.kind,
        nullable: field.nullable,
        timed: plan.time_slot == Some(i),
        name: Some(&field.name),
        zone: &plan.zone,
    };
    let first = scan.peek()?;
    slot.read(scan, first, keep)
}

/// The field whose key is next, and its colon; `None`: the member is not declared, and passed.
#[inline(never)]
fn other_key(
    plan: &Plan,
    fields: &[Field],
    next: usize,
    scan: &mut Scanner<'_>,
    extra: &mut [Value],
) -> Result<Option<usize>, Fail> {
    let raw = scan.string()?;
    let key = scan.content(raw)?;
    scan.colon()?;
    let found = find(fields, next, &key);
    if found.is_none() {
        undeclared(plan, raw, scan, extra)?;
    }
    Ok(found)
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
        Some(got) => match scan.skip() {
            Ok(()) => got,
            Err(fault) => return fault,
        },
    };
    fail(at, format!("Expected `object`, got `{got}`"))
}

/// A member that the body does not declare: kept where the plan has it in `extra`, or passed. Its key is remembered.
#[inline(never)]
fn undeclared(plan: &Plan, raw: Raw, scan: &mut Scanner<'_>, extra: &mut [Value]) -> Result<(), Fail> {
    scan.remember(raw)?;
    match extra_index(plan, scan, raw)? {
        Some(i) => {
            let value = needed(&plan.extra[i], scan)?;
            if let Some(cell) = extra.get_mut(i) {
                *cell = value;
            }
            Ok(())
        }
        None => scan.skip(),
    }
}

fn extra_index(plan: &Plan, scan: &Scanner<'_>, raw: Raw) -> Result<Option<usize>, Fail> {
    if plan.extra.is_empty() {
        return Ok(None);
    }
    let key = scan.content(raw)?;
    Ok(plan.extra.iter().position(|name| same(name.as_bytes(), &key)))
}

/// A member that routing or the clock needs.
fn needed(name: &str, scan: &mut Scanner<'_>) -> Result<Value, Fail> {
    let first = scan.peek()?;
    let at = scan.at;
    match first {
        b'"' => {
            let raw = scan.string()?;
            Ok(Value::Text(EcoString::from(scan.text(raw)?.as_ref())))
        }
        b'n' => scan.word(b"null").map(|()| Value::Null),
        _ => match type_name(first) {
            None => Err(scan.malformed(at, "invalid character")),
            Some("int") => match scan.number() {
                Ok(Number::Int(x)) => Ok(Value::Int(x)),
                Ok(Number::Float(x)) => Ok(Value::Float(x)),
                Err(fault) => Err(scan.number_fault(fault, &format!(" - at `$.{name}`"))),
            },
            Some(got) => Err(no_extra(at, name, got)),
        },
    }
}

#[cold]
fn no_extra(at: usize, name: &str, got: &str) -> Fail {
    fail(at, format!("Expected `str | int | float`, got `{got}` - at `$.{name}`"))
}

fn scalar(plan: &Plan, kind: &Kind, nullable: bool, scan: &mut Scanner<'_>, out: &mut Record) -> Result<(), Fail> {
    let slot = Slot { kind, nullable, timed: plan.time_slot == Some(0), name: None, zone: &plan.zone };
    let keep = plan.wanted & 1 == 1;
    let first = scan.peek()?;
    let value = if first == b'{' && !plan.extra.is_empty() {
        remaining_member(plan, slot, keep, scan, out)?
    } else {
        slot.read(scan, first, keep)?
    };
    out.given = 1;
    if keep {
        out.slots[0] = value;
    }
    Ok(())
}

/// The value of an object's only member that is not in `Plan::extra`.
fn remaining_member(
    plan: &Plan,
    slot: Slot<'_>,
    keep: bool,
    scan: &mut Scanner<'_>,
    out: &mut Record,
) -> Result<Value, Fail> {
    let object = scan.at;
    let mut remaining: Vec<(String, usize)> = Vec::new();
    scan.enter()?;
    let mut first = true;
    while scan.member(first)? {
        first = false;
        let raw = scan.string()?;
        scan.colon()?;
        if extra_index(plan, scan, raw)?.is_none() {
            let name = String::from_utf8_lossy(&scan.content(raw)?).into_owned();
            scan.peek()?;
            remaining.push((name, scan.at));
        }
        undeclared(plan, raw, scan, &mut out.extra)?;
    }
    scan.no_key_twice(0)?;
    let [(name, start)] = &remaining[..] else { return Err(not_one_remaining(object, &remaining)) };
    let end = std::mem::replace(&mut scan.at, *start);
    let value = Slot { name: Some(name), ..slot }.read(scan, scan.bytes[*start], keep)?;
    scan.at = end;
    Ok(value)
}

#[cold]
pub(crate) fn not_one_remaining(at: usize, found: &[(String, usize)]) -> Fail {
    let names: Vec<_> = found.iter().map(|(name, _)| format!("`{name}`")).collect();
    let names = if names.is_empty() { "none".to_string() } else { names.join(", ") };
    fail(at, format!("a body of a builtin type takes the one remaining field; found {names}"))
}

fn nothing(plan: &Plan, scan: &mut Scanner<'_>, out: &mut Record) -> Result<(), Fail> {
    let text = &scan.bytes[scan.at..];
    if text.iter().all(|c| matches!(c, b' ' | b'\n' | b'\r' | b'\t')) {
        scan.at = scan.bytes.len();
        return Ok(());
    }
    if scan.peek()? != b'{' || plan.extra.is_empty() {
        return scan.skip();
    }
    scan.enter()?;
    let mut first = true;
    while scan.member(first)? {
        first = false;
        let raw = scan.string()?;
        scan.colon()?;
        undeclared(plan, raw, scan, &mut out.extra)?;
    }
    scan.no_key_twice(0)
}

fn whole_tree(plan: &Plan, scan: &mut Scanner<'_>, out: &mut Record) -> Result<(), Fail> {
    scan.peek()?;
    let at = scan.at;
    out.tree = tree::value(scan)?;
    let Value::Map(members) = &out.tree else { return Ok(()) };
    for (name, cell) in plan.extra.iter().zip(&mut out.extra) {
        let Some((_, value)) = members.iter().find(|(key, _)| key == name) else { continue };
        match value {
            Value::Null => {}
            Value::Text(_) | Value::Int(_) | Value::Float(_) => *cell = value.clone(),
            Value::Bool(_) => return Err(no_extra(at, name, "bool")),
            Value::List(_) => return Err(no_extra(at, name, "array")),
            _ => return Err(no_extra(at, name, "object")),
        }
    }
    Ok(())
}
