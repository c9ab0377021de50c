//! A JSON text becomes the slots of a body.

use ecow::EcoString;

use super::field::Slot;
use super::number::Number;
use super::record::record;
use super::scan::{Scanner, type_name};
use super::string::Raw;
use super::{Fail, fail, tree};
use crate::body::{BodyType, Invalid, Kind, Plan, Record};
use crate::value::Value;

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
    let outcome = match &plan.body {
        BodyType::Record { fields } => record(plan, fields, bytes, out),
        _ => other_body(plan, bytes, out),
    };
    outcome.map_err(|fault| *fault)
}

#[inline(never)]
fn other_body(plan: &Plan, bytes: &[u8], out: &mut Record) -> Result<(), Fail> {
    let mut scan = Scanner::new(bytes);
    prepare(plan, out);
    out.slots.fill(Value::Null);
    match &plan.body {
        BodyType::Scalar { kind, nullable } => scalar(plan, kind, *nullable, &mut scan, out)?,
        BodyType::Tree { .. } => whole_tree(plan, &mut scan, out)?,
        BodyType::Nothing | BodyType::Record { .. } => nothing(plan, &mut scan, out)?,
    }
    scan.finish()
}

/// Gives `out` the plan's size. Slots keep their old values: `record` writes each of them.
#[inline(always)]
pub(crate) fn prepare(plan: &Plan, out: &mut Record) {
    let slots = plan.body.slots();
    if out.slots.len() != slots {
        out.slots.clear();
        out.slots.resize(slots, Value::Null);
    }
    if !(plan.extra.is_empty() && out.extra.is_empty()) {
        out.extra.clear();
        out.extra.resize(plan.extra.len(), Value::Null);
    }
    if !out.tree.is_null() {
        out.tree = Value::Null;
    }
    out.given = 0;
    out.news = false;
}

/// A member that the body does not declare: kept where the plan has it in `extra`, or passed. Its key is remembered.
#[inline(never)]
pub(crate) fn undeclared(plan: &Plan, raw: Raw, scan: &mut Scanner<'_>, extra: &mut [Value]) -> Result<(), Fail> {
    scan.remember(raw)?;
    match extra_index(plan, scan, raw)? {
        Some(i) => {
            let value = needed(&plan.extra[i], scan)?;
            if let Some(cell) = extra.get_mut(i) {
                *cell = value;
            }
            Ok(())
        }
        None => {
            if let Some(known) = &plan.known
                && scan.peek()? != b'n'
                && !known.contains(&*String::from_utf8_lossy(&scan.content(raw)?))
            {
                scan.news = true;
            }
            scan.skip()
        }
    }
}

fn extra_index(plan: &Plan, scan: &Scanner<'_>, raw: Raw) -> Result<Option<usize>, Fail> {
    if plan.extra.is_empty() {
        return Ok(None);
    }
    let key = scan.content(raw)?;
    Ok(plan.extra.iter().position(|name| *name.as_bytes() == *key))
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
pub(crate) fn no_extra(at: usize, name: &str, got: &str) -> Fail {
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
