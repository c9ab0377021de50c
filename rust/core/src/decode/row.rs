//! A row of delimited text becomes the slots of a body: every field is text, an empty one is missing.

use std::borrow::Cow;

use ecow::EcoString;

use super::field::{Slot, clip};
use super::json::{not_one_remaining, prepare};
use super::number::{self, Fault, Number, as_whole};
use super::record::{MAX_FIELDS, complete, missing, too_many_fields};
use super::{Fail, fail};
use crate::body::{BodyType, Invalid, Kind, Plan, Record};
use crate::time;
use crate::value::Value;

/// What becomes of one column.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Target {
    Slot(usize),
    Extra(usize),
    Ignored,
    /// Nobody knows it.
    News,
}

/// A header's columns against a plan, worked out once for all rows of a source.
#[derive(Clone, Debug)]
pub struct RowPlan {
    columns: Vec<(EcoString, Target)>,
    /// Why no row can be read.
    problem: Option<String>,
}

impl RowPlan {
    /// `header` names the columns. A header that does not fit the plan (two columns of one name that is needed; none or
    /// several for a body of a builtin type) makes `decode_row` refuse each row with that reason.
    pub fn new(plan: &Plan, header: &[Box<str>]) -> RowPlan {
        let target = |name: &str| {
            if let BodyType::Record { fields } = &plan.body
                && let Some(i) = fields.iter().position(|field| field.name == name)
            {
                return Target::Slot(i);
            }
            match plan.extra.iter().position(|extra| extra == name) {
                Some(i) => Target::Extra(i),
                None if plan.known.as_ref().is_some_and(|known| !known.contains(name)) => Target::News,
                None => Target::Ignored,
            }
        };
        let mut columns: Vec<_> = header.iter().map(|name| (EcoString::from(&**name), target(name))).collect();
        let mut problem = match &plan.body {
            BodyType::Record { fields } if fields.len() > MAX_FIELDS => Some(too_many_fields(fields).reason),
            _ => None,
        };
        if matches!(plan.body, BodyType::Scalar { .. }) {
            let remaining = columns.iter().enumerate().filter(|(_, (_, target))| *target == Target::Ignored);
            match remaining.map(|(i, (name, _))| (name.to_string(), i)).collect::<Vec<_>>()[..] {
                [(_, i)] => columns[i].1 = Target::Slot(0),
                ref found => problem = Some(not_one_remaining(0, found).reason),
            }
        }
        let every_name_counts = matches!(plan.body, BodyType::Tree { .. });
        let twice = columns.iter().enumerate().find(|(i, (name, target))| {
            (every_name_counts || !matches!(target, Target::Ignored | Target::News))
                && columns[..*i].iter().any(|(other, _)| other == name)
        });
        if let Some((_, (name, _))) = twice {
            problem = Some(format!("The header names the column `{name}` twice"));
        }
        RowPlan { columns, problem }
    }
}

/// Decodes a row (`batch::Shape::Row`) into `out`, which is overwritten whole; `row` was made from the same plan.
///
/// Numbers, bools and times may have spaces around them. A bool is `true`, `false` (in any case), `1` or `0`; a time is
/// RFC 3339, or a number in the time slot; a tree is a map of texts without the empty fields.
///
/// # Errors
/// `Invalid` with the byte offset of the field, for a value that is not of its type, a required field that is empty
/// and a row that has not its header's number of fields.
pub fn decode_row(plan: &Plan, row: &RowPlan, bytes: &[u8], out: &mut Record) -> Result<(), Invalid> {
    prepare(plan, out);
    out.slots.fill(Value::Null);
    cells(plan, row, bytes, out).map_err(|fault| *fault)
}

fn cells(plan: &Plan, row: &RowPlan, bytes: &[u8], out: &mut Record) -> Result<(), Fail> {
    if let Some(problem) = &row.problem {
        return Err(fail(0, problem.clone()));
    }
    let mut at = 0;
    let mut members = Vec::new();
    for (name, target) in &row.columns {
        let (start, text) = cell(bytes, at)?;
        at = start + text.len();
        if text.is_empty() {
            continue;
        }
        match (&plan.body, *target) {
            (BodyType::Record { fields }, Target::Slot(i)) => {
                let field = &fields[i];
                let slot = slot(plan, &field.kind, field.nullable, i, name);
                if let Some(value) = read(slot, text, start, plan.wanted >> i & 1 == 1)? {
                    out.given |= 1 << i;
                    out.slots[i] = value;
                }
            }
            (BodyType::Scalar { kind, nullable }, Target::Slot(_)) => {
                let keep = plan.wanted & 1 == 1;
                if let Some(value) = read(slot(plan, kind, *nullable, 0, name), text, start, keep)? {
                    out.given = 1;
                    out.slots[0] = if keep { value } else { Value::Null };
                }
            }
            (BodyType::Tree { .. }, _) => members.push((name.clone(), Value::Text(text.into()))),
            _ => {}
        }
        match *target {
            Target::Extra(i) => out.extra[i] = Value::Text(text.into()),
            Target::News => out.news = true,
            Target::Slot(_) | Target::Ignored => {}
        }
    }
    if at < bytes.len() {
        return Err(fail(at, "Row has more fields than its header"));
    }
    match &plan.body {
        BodyType::Record { fields } => complete(plan, fields, at, out),
        BodyType::Scalar { nullable: false, .. } if out.given == 0 => {
            let name = row.columns.iter().find(|(_, target)| matches!(target, Target::Slot(_)));
            Err(missing(at, name.map_or("", |(name, _)| name)))
        }
        BodyType::Scalar { .. } | BodyType::Nothing => Ok(()),
        BodyType::Tree { .. } => {
            out.tree = Value::Map(members.into());
            Ok(())
        }
    }
}

/// The field that starts at `at`: where its text starts, and the text.
fn cell(bytes: &[u8], at: usize) -> Result<(usize, &str), Fail> {
    let Some((length, rest)) = bytes[at..].split_first_chunk::<4>() else {
        return Err(fail(at, "Row has fewer fields than its header"));
    };
    let text = usize::try_from(u32::from_le_bytes(*length)).ok().and_then(|length| rest.get(..length));
    let text = text.ok_or_else(|| fail(at, "Input data was truncated"))?;
    let text = std::str::from_utf8(text).map_err(|e| fail(at + 4 + e.valid_up_to(), "Invalid UTF-8 in field"))?;
    Ok((at + 4, text))
}

fn slot<'p>(plan: &'p Plan, kind: &'p Kind, nullable: bool, i: usize, name: &'p str) -> Slot<'p> {
    Slot { kind, nullable, timed: plan.time_slot == Some(i), name: Some(name), zone: &plan.zone }
}

/// The value of a field that is not empty; `None` where it has nothing but spaces and its type is not text.
fn read(slot: Slot<'_>, text: &str, at: usize, keep: bool) -> Result<Option<Value>, Fail> {
    if matches!(slot.kind, Kind::Text | Kind::TextChoice(_) | Kind::Value) {
        return slot.text(Cow::Borrowed(text), at, keep).map(Some);
    }
    let trimmed = text.trim_matches(' ');
    if trimmed.is_empty() {
        return Ok(None);
    }
    let mismatch = || slot.mismatch(at, &format!("'{}'", clip(text)));
    let value = match slot.kind {
        Kind::Bool if trimmed == "1" || trimmed.eq_ignore_ascii_case("true") => Value::Bool(true),
        Kind::Bool if trimmed == "0" || trimmed.eq_ignore_ascii_case("false") => Value::Bool(false),
        Kind::Bool => return Err(mismatch()),
        Kind::Time if !slot.timed || trimmed.get(4..5) == Some("-") => slot.text(Cow::Borrowed(trimmed), at, keep)?,
        Kind::Time => {
            Value::Time(time::parse_text(trimmed, slot.zone).map_err(|reason| fail(at, reason + &slot.place()))?)
        }
        _ => match number::read(trimmed.as_bytes(), 0) {
            Ok((Number::Float(x), end))
                if end == trimmed.len() && *slot.kind != Kind::Float && as_whole(x).is_none() =>
            {
                return Err(mismatch());
            }
            Ok((number, end)) if end == trimmed.len() => slot.number(number, at)?,
            Err(Fault::BeyondInt64(_)) => return Err(fail(at, format!("Expected `int` within int64{}", slot.place()))),
            Err(Fault::BeyondFloat64(_)) => return Err(fail(at, format!("Number out of range{}", slot.place()))),
            _ => return Err(mismatch()),
        },
    };
    Ok(Some(value))
}

/// A row as an object of its texts, without the empty ones.
pub(crate) fn row_tree(header: &[Box<str>], bytes: &[u8]) -> Value {
    let mut rest = bytes;
    let mut members = Vec::with_capacity(header.len());
    for name in header {
        let Some((length, tail)) = rest.split_first_chunk::<4>() else { break };
        let (text, tail) = tail.split_at(u32::from_le_bytes(*length) as usize);
        rest = tail;
        if !text.is_empty() {
            members.push((EcoString::from(&**name), Value::Text(String::from_utf8_lossy(text).as_ref().into())));
        }
    }
    Value::Map(members.into())
}
