//! A command's body becomes slots, by the rules and with the words of `crate::decode`.

use std::borrow::Cow;

use super::read_body;
use super::scan::{Member, Plain, Scanner};
use crate::body::{BodyType, Field, Invalid, Kind, Plan, Record};
use crate::decode::field::Slot;
use crate::decode::json::{no_extra, not_one_remaining, prepare};
use crate::decode::number::Number;
use crate::decode::record::{MAX_FIELDS, complete, too_many_fields};
use crate::decode::scan::twice;
use crate::decode::{Fail, fail};
use crate::value::Value;

/// Decodes the body of an envelope, what stands behind its header, into `out`, as `decode_json` does a JSON text: what
/// either takes, the other takes too, and gives the same slots. An empty text is no body: null for a builtin type, a
/// record without fields for a record.
///
/// # Errors
/// `Invalid` for whatever `recon::read_body` or the rules of `crate::decode` refuse. Its offset is that of a wrong
/// value where the record has only plain ones, else 0 for what is well-formed.
pub fn decode_recon(plan: &Plan, text: &[u8], out: &mut Record) -> Result<(), Invalid> {
    let text = std::str::from_utf8(text).map_err(|error| {
        let at = error.valid_up_to();
        Invalid { offset: at, reason: format!("Invalid UTF-8 (byte {at})") }
    })?;
    let outcome = match &plan.body {
        BodyType::Record { fields } => record(plan, fields, text, out),
        _ => other_body(plan, text, out),
    };
    outcome.map_err(|fault| *fault)
}

fn malformed(fault: super::ReconError) -> Fail {
    fail(fault.offset, format!("Recon is malformed: {} (byte {})", fault.reason, fault.offset))
}

fn slot<'p>(plan: &'p Plan, field: &'p Field, i: usize) -> Slot<'p> {
    Slot {
        kind: &field.kind,
        nullable: field.nullable,
        timed: plan.time_slot == Some(i),
        name: Some(&field.name),
        zone: &plan.zone,
    }
}

// -- records

fn record(plan: &Plan, fields: &[Field], text: &str, out: &mut Record) -> Result<(), Fail> {
    if fields.len() > MAX_FIELDS {
        return Err(too_many_fields(fields));
    }
    if flat_record(plan, fields, text, out)? {
        return Ok(());
    }
    prepare(plan, out);
    let members = match read_body(text).map_err(malformed)? {
        Value::Map(members) => members,
        Value::Null => [].into(),
        other => return Err(fail(0, format!("Expected `object`, got `{}`", type_name(&other)))),
    };
    for (name, value) in members.iter() {
        match fields.iter().position(|field| field.name == *name) {
            Some(i) => {
                out.given |= 1 << i;
                out.slots[i] = fit(&slot(plan, &fields[i], i), value, plan.wanted >> i & 1 == 1)?;
            }
            None => keep_extra(plan, name, value, &mut out.extra)?,
        }
    }
    complete(plan, fields, text.len(), out)
}

/// The usual record, `{id:"7",speed:3.5}`: only plain values, each name once. Otherwise false, and `out` holds nothing
/// of meaning.
fn flat_record(plan: &Plan, fields: &[Field], text: &str, out: &mut Record) -> Result<bool, Fail> {
    let mut scan = Scanner::new(text);
    scan.skip_spaces();
    if scan.peek() != Some(b'{') {
        return Ok(false);
    }
    scan.at += 1;
    prepare(plan, out);
    let mut undeclared = [""; 8];
    let mut others = 0;
    let mut next = 0;
    while let Some(member) = scan.member() {
        match find(fields, next, member.name) {
            Some(i) => {
                if out.given >> i & 1 == 1 {
                    return Err(twice(member.at, member.name.as_bytes()));
                }
                out.given |= 1 << i;
                let keep = plan.wanted >> i & 1 == 1;
                plain(&slot(plan, &fields[i], i), &member, keep, &mut out.slots[i])?;
                next = i + 1;
            }
            None => {
                if undeclared[..others].contains(&member.name) {
                    return Err(twice(member.at, member.name.as_bytes()));
                }
                // More of them are for the slow way to compare.
                let Some(name) = undeclared.get_mut(others) else { return Ok(false) };
                *name = member.name;
                others += 1;
                if let Some(i) = plan.extra.iter().position(|name| *name == *member.name) {
                    out.extra[i] = match member.value {
                        Plain::Text(text) => Value::Text(text.into()),
                        Plain::Number(Number::Int(x)) => Value::Int(x),
                        Plain::Number(Number::Float(x)) => Value::Float(x),
                        Plain::Bool(_) => return Err(no_extra(member.at, member.name, "bool")),
                    };
                }
            }
        }
        if member.end == b'}' {
            break;
        }
        scan.at += 1;
    }
    if scan.peek() != Some(b'}') {
        return Ok(false);
    }
    scan.at += 1;
    scan.skip_blank();
    if scan.at < text.len() {
        return Ok(false);
    }
    complete(plan, fields, text.len(), out)?;
    Ok(true)
}

/// The field of this name, looked for from `next` on: the records of one sender mostly have one order.
#[inline(always)]
fn find(fields: &[Field], next: usize, name: &str) -> Option<usize> {
    if let Some(field) = fields.get(next)
        && field.name == *name
    {
        return Some(next);
    }
    fields.iter().position(|field| field.name == *name)
}

/// Writes a plain value into its cell.
#[inline(always)]
fn plain(slot: &Slot<'_>, member: &Member<'_>, keep: bool, cell: &mut Value) -> Result<(), Fail> {
    match (&member.value, slot.kind) {
        (Plain::Number(Number::Float(x)), Kind::Float) => *cell = Value::Float(*x),
        (Plain::Number(number), _) => *cell = slot.number(*number, member.at)?,
        (Plain::Text(text), Kind::Text) if keep => match cell {
            // In place, which spares an allocation where nobody shares the old text.
            Value::Text(old) => {
                old.clear();
                old.push_str(text);
            }
            _ => *cell = Value::Text((*text).into()),
        },
        (Plain::Text(text), _) => *cell = slot.text(Cow::Borrowed(text), member.at, keep)?,
        (Plain::Bool(x), Kind::Bool | Kind::Value) => *cell = Value::Bool(*x),
        (Plain::Bool(_), _) => return Err(slot.mismatch(member.at, "`bool`")),
    }
    Ok(())
}

// -- any body, from its value

fn other_body(plan: &Plan, text: &str, out: &mut Record) -> Result<(), Fail> {
    prepare(plan, out);
    out.slots.fill(Value::Null);
    let value = read_body(text).map_err(malformed)?;
    match &plan.body {
        BodyType::Scalar { kind, nullable } => scalar(plan, kind, *nullable, &value, out)?,
        BodyType::Tree { .. } => {
            if let Value::Map(members) = &value {
                keep_extras(plan, members, &mut out.extra)?;
            }
            out.tree = value;
        }
        BodyType::Nothing | BodyType::Record { .. } => {
            if let Value::Map(members) = &value {
                keep_extras(plan, members, &mut out.extra)?;
            }
        }
    }
    Ok(())
}

fn scalar(plan: &Plan, kind: &Kind, nullable: bool, value: &Value, out: &mut Record) -> Result<(), Fail> {
    let slot = Slot { kind, nullable, timed: plan.time_slot == Some(0), name: None, zone: &plan.zone };
    let keep = plan.wanted & 1 == 1;
    let fitted = match value {
        Value::Map(members) if !plan.extra.is_empty() => {
            keep_extras(plan, members, &mut out.extra)?;
            let mut remaining = members.iter().filter(|(name, _)| !plan.extra.contains(name));
            match (remaining.next(), remaining.next()) {
                (Some((name, value)), None) => fit(&Slot { name: Some(name), ..slot }, value, keep)?,
                _ => {
                    let others = members.iter().filter(|(name, _)| !plan.extra.contains(name));
                    let found: Vec<_> = others.map(|(name, _)| (name.to_string(), 0)).collect();
                    return Err(not_one_remaining(0, &found));
                }
            }
        }
        value => fit(&slot, value, keep)?,
    };
    out.given = 1;
    if keep {
        out.slots[0] = fitted;
    }
    Ok(())
}

fn keep_extras(plan: &Plan, members: &[(ecow::EcoString, Value)], extra: &mut [Value]) -> Result<(), Fail> {
    members.iter().try_for_each(|(name, value)| keep_extra(plan, name, value, extra))
}

/// A member that the body does not declare: kept where the plan has it in `extra`.
fn keep_extra(plan: &Plan, name: &str, value: &Value, extra: &mut [Value]) -> Result<(), Fail> {
    let Some(cell) = plan.extra.iter().position(|extra| *extra == *name).and_then(|i| extra.get_mut(i)) else {
        return Ok(());
    };
    match value {
        Value::Null => {}
        Value::Text(_) | Value::Int(_) | Value::Float(_) => *cell = value.clone(),
        other => return Err(no_extra(0, name, type_name(other))),
    }
    Ok(())
}

/// A value in its slot.
fn fit(slot: &Slot<'_>, value: &Value, keep: bool) -> Result<Value, Fail> {
    match value {
        any if *slot.kind == Kind::Value => Ok(if keep { any.clone() } else { Value::Null }),
        Value::Null if slot.nullable => Ok(Value::Null),
        Value::Bool(x) if *slot.kind == Kind::Bool => Ok(Value::Bool(*x)),
        Value::Int(x) => slot.number(Number::Int(*x), 0),
        Value::Float(x) => slot.number(Number::Float(*x), 0),
        Value::Text(text) => slot.text(Cow::Borrowed(text), 0, keep),
        other => Err(slot.mismatch(0, &format!("`{}`", type_name(other)))),
    }
}

/// The name of a value's type in msgspec's words.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Int(_) => "int",
        Value::Float(_) => "float",
        Value::Text(_) | Value::Time(_) => "str",
        Value::Bytes(_) => "bytes",
        Value::List(_) | Value::Point(..) => "array",
        Value::Map(_) => "object",
    }
}
