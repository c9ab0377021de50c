//! Recon as the values that JSON carries: an attribute `@tag` is the member `"@tag"`, a record of plain values is a
//! list, any other record is a map (docs/protocol.md).

use std::borrow::Cow;
use std::sync::Arc;

use ecow::{EcoString, EcoVec};

use super::build::{Build, Key};
use super::number::Number;
use super::read::{Rules, read_with};
use super::tree::{Item, Tree};
use super::{ReconError, fail, write};
use crate::time;
use crate::value::Value;

/// Reads a whole text. Nothing at all and what is empty (`a:`) are both `Null`.
///
/// # Errors
/// What breaks the grammar, selectors and expressions, more than `MAX_DEPTH` levels; and what no `Value` holds: whole
/// numbers beyond int64, numbers beyond float64, a key twice in one record.
pub fn read(text: &str) -> Result<Value, ReconError> {
    read_with(text, Rules::default(), ValueBuild)
}

/// Reads the body of an envelope: at most one value, and a record of one plain value is that value. An
/// empty text is `Null`; `{}` stays an empty map. Control characters in strings are taken as they are.
///
/// # Errors
/// As `read`, and more than one value.
pub fn read_body(text: &str) -> Result<Value, ReconError> {
    let value = read_with(text, Rules { one_value: true, raw_controls: true, ..Rules::default() }, ValueBuild)?;
    Ok(match &value {
        Value::List(items) => match &items[..] {
            [only] => only.clone(),
            _ => value,
        },
        _ => value,
    })
}

/// The member's name that a key other than text gets: numbers and bools as they are written, others as Recon.
pub fn key_text(key: &Value) -> EcoString {
    match key {
        Value::Text(text) => text.clone(),
        other => {
            let mut out = Vec::new();
            write::write_interop(other, &mut out);
            String::from_utf8_lossy(&out).as_ref().into()
        }
    }
}

/// The name of a plain value in a record that also has attributes or slots: `$` and its place, as in swim-js.
fn place(index: usize) -> EcoString {
    ecow::eco_format!("${index}")
}

/// A value as a tree: what `read` gives for the tree's text is the value again.
pub fn to_tree(value: &Value) -> Tree {
    match value {
        Value::Null => Tree::Extant,
        Value::Bool(x) => Tree::Bool(*x),
        Value::Int(x) => Tree::Number(Number::Int(*x)),
        Value::Float(x) => Tree::Number(Number::Float(*x)),
        Value::Time(x) => Tree::text(&time::to_rfc3339(*x)),
        Value::Point(latitude, longitude) => Tree::Record(
            [*latitude, *longitude].into_iter().map(|x| Item::Value(Tree::Number(Number::Float(x)))).collect(),
        ),
        Value::Text(text) => Tree::Text(text.clone()),
        Value::Bytes(bytes) => Tree::Data(bytes.clone()),
        Value::List(items) => Tree::Record(items.iter().map(|item| Item::Value(to_tree(item))).collect()),
        Value::Map(members) => {
            members_to_tree(members.iter().map(|(name, member)| (name.clone(), to_tree(member))).collect())
        }
    }
}

/// A map's members as a record: `"@tag"` is an attribute, and attributes come first; `"$1"` in place 1 is a plain
/// value, where the record has an attribute or a slot besides.
pub fn members_to_tree(members: Vec<(EcoString, Tree)>) -> Tree {
    let (attributes, others): (Vec<_>, Vec<_>) = members.into_iter().partition(|(name, _)| name.starts_with('@'));
    let first = attributes.len();
    let in_place = |at: usize, name: &str, member: &Tree| *member != Tree::Extant && place(first + at) == name;
    let plain = first > 0 || others.iter().enumerate().any(|(at, (name, member))| !in_place(at, name, member));
    let mut items: Vec<Item> = Vec::with_capacity(first + others.len());
    items.extend(attributes.into_iter().map(|(name, member)| Item::Attr(name[1..].into(), member)));
    items.extend(others.into_iter().enumerate().map(|(at, (name, member))| {
        match plain && in_place(at, &name, &member) {
            true => Item::Value(member),
            false => Item::Slot(Tree::Text(name), member),
        }
    }));
    Tree::Record(items)
}

pub(crate) struct ValueBuild;

/// A record whose items are still coming.
pub(crate) enum Record {
    Plain(Vec<Value>),
    Members(Vec<(EcoString, Value)>),
}

impl Record {
    /// The members, after a first attribute or slot.
    fn members(&mut self) -> &mut Vec<(EcoString, Value)> {
        if let Record::Plain(items) = self {
            let named = items.drain(..).enumerate().map(|(at, item)| (place(at), item)).collect();
            *self = Record::Members(named);
        }
        match self {
            Record::Members(members) => members,
            Record::Plain(_) => unreachable!("has just been replaced"),
        }
    }
}

impl<'a> Build<'a> for ValueBuild {
    type Value = Value;
    type Record = Record;
    type Error = ReconError;

    fn absent(&mut self) -> Value {
        Value::Null
    }

    fn extant(&mut self) -> Value {
        Value::Null
    }

    fn bool(&mut self, x: bool) -> Value {
        Value::Bool(x)
    }

    fn number(&mut self, x: Number, at: usize) -> Result<Value, ReconError> {
        match x.plain() {
            Number::Int(x) => Ok(Value::Int(x)),
            Number::Float(x) if x.is_finite() => Ok(Value::Float(x)),
            Number::Float(_) => Err(*fail(at, "number out of range")),
            _ => Err(*fail(at, "whole number beyond int64")),
        }
    }

    fn text(&mut self, text: Cow<'a, str>) -> Result<Value, ReconError> {
        Ok(Value::Text(text.as_ref().into()))
    }

    fn data(&mut self, bytes: Vec<u8>) -> Result<Value, ReconError> {
        Ok(Value::Bytes(EcoVec::from(bytes)))
    }

    fn record(&mut self) -> Record {
        Record::Plain(Vec::new())
    }

    fn push(&mut self, record: &mut Record, value: Value) -> Result<(), ReconError> {
        match record {
            Record::Plain(items) => items.push(value),
            Record::Members(members) => members.push((place(members.len()), value)),
        }
        Ok(())
    }

    fn slot(&mut self, record: &mut Record, key: Key<'a, Value>, value: Value) -> Result<(), ReconError> {
        let name = match key {
            Key::Text(text) => text.as_ref().into(),
            Key::Other(key) => key_text(&key),
        };
        record.members().push((name, value));
        Ok(())
    }

    fn attr(&mut self, record: &mut Record, name: Cow<'a, str>, value: Value) -> Result<(), ReconError> {
        record.members().push((ecow::eco_format!("@{name}"), value));
        Ok(())
    }

    fn end(&mut self, record: Record, at: usize) -> Result<Value, ReconError> {
        match record {
            Record::Plain(items) if items.is_empty() => Ok(Value::Map(Arc::new([]))),
            Record::Plain(items) => Ok(Value::List(items.into())),
            Record::Members(members) => match twice(&members) {
                None => Ok(Value::Map(members.into())),
                Some(name) => Err(*fail(at, format!("Object has the field `{name}` twice"))),
            },
        }
    }

    fn block(&mut self, record: Record, at: usize) -> Result<Value, ReconError> {
        match record {
            Record::Plain(mut items) if items.len() == 1 => Ok(items.pop().unwrap_or_default()),
            other => self.end(other, at),
        }
    }
}

/// A name that stands twice among the members.
fn twice(members: &[(EcoString, Value)]) -> Option<&EcoString> {
    if members.len() <= 16 {
        let before = |at: usize, name: &EcoString| members[..at].iter().any(|(other, _)| other == name);
        return members.iter().enumerate().find(|(at, (name, _))| before(*at, name)).map(|(_, (name, _))| name);
    }
    let mut names: Vec<&EcoString> = members.iter().map(|(name, _)| name).collect();
    names.sort_unstable();
    names.windows(2).find(|pair| pair[0] == pair[1]).map(|pair| pair[0])
}
