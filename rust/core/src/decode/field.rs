//! A value of a declared type.

use std::borrow::Cow;

use ecow::EcoString;
use jiff::tz::TimeZone;

use super::number::{Number, as_whole};
use super::scan::{Scanner, type_name};
use super::{Fail, fail, tree};
use crate::body::Kind;
use crate::time;
use crate::value::Value;

/// What a slot takes.
#[derive(Clone, Copy)]
pub(crate) struct Slot<'p> {
    pub(crate) kind: &'p Kind,
    pub(crate) nullable: bool,
    /// Numbers are taken for times.
    pub(crate) timed: bool,
    /// The field's name; `None` for a whole body.
    pub(crate) name: Option<&'p str>,
    pub(crate) zone: &'p TimeZone,
}

impl Slot<'_> {
    /// msgspec's ending of a reason: where in the record.
    #[cold]
    pub(crate) fn place(&self) -> String {
        self.name.map_or_else(String::new, |name| format!(" - at `$.{name}`"))
    }

    #[cold]
    pub(crate) fn mismatch(&self, offset: usize, got: &str) -> Fail {
        let expected = match self.kind {
            Kind::Bool => "bool",
            Kind::Int | Kind::IntChoice(_) => "int",
            Kind::Float => "float",
            Kind::Text | Kind::TextChoice(_) => "str",
            Kind::Time if self.timed => "datetime | int | float",
            Kind::Time => "datetime",
            Kind::Value => "any",
        };
        let null = if self.nullable { " | null" } else { "" };
        fail(offset, format!("Expected `{expected}{null}`, got {got}{}", self.place()))
    }

    #[cold]
    fn no_choice(&self, offset: usize, got: &str) -> Fail {
        fail(offset, format!("Invalid enum value {got}{}", self.place()))
    }

    #[cold]
    fn no_time(&self, offset: usize, reason: &str) -> Fail {
        fail(offset, format!("{reason}{}", self.place()))
    }

    pub(crate) fn text(&self, text: Cow<'_, str>, offset: usize, keep: bool) -> Result<Value, Fail> {
        match self.kind {
            Kind::Text if keep => Ok(Value::Text(EcoString::from(text.as_ref()))),
            Kind::Value if keep => Ok(Value::Text(EcoString::from(text.as_ref()))),
            Kind::Text | Kind::Value => Ok(Value::Null),
            Kind::TextChoice(choices) => match choices.iter().find(|choice| **choice == *text) {
                Some(choice) => Ok(Value::Text(choice.clone())),
                None => Err(self.no_choice(offset, &format!("'{}'", clip(&text).escape_debug()))),
            },
            Kind::Time => match time::parse_rfc3339(&text, self.zone) {
                Ok(time) => Ok(Value::Time(time)),
                Err(reason) => Err(self.no_time(offset, &reason)),
            },
            _ => Err(self.mismatch(offset, "`str`")),
        }
    }

    pub(crate) fn number(&self, number: Number, offset: usize) -> Result<Value, Fail> {
        match (self.kind, number) {
            (Kind::Float, Number::Float(x)) => Ok(Value::Float(x)),
            (Kind::Float, Number::Int(x)) => Ok(Value::Float(x as f64)),
            (Kind::Int | Kind::Value, Number::Int(x)) => Ok(Value::Int(x)),
            (Kind::Value, Number::Float(x)) => Ok(Value::Float(x)),
            (Kind::Int | Kind::IntChoice(_), Number::Float(x)) => match as_whole(x) {
                Some(x) => self.number(Number::Int(x), offset),
                None => Err(self.mismatch(offset, "`float`")),
            },
            (Kind::IntChoice(choices), Number::Int(x)) if choices.contains(&x) => Ok(Value::Int(x)),
            (Kind::IntChoice(_), Number::Int(x)) => Err(self.no_choice(offset, &x.to_string())),
            (Kind::Time, _) if self.timed => {
                let time = match number {
                    Number::Int(x) => time::from_int(x),
                    Number::Float(x) => time::from_number(x),
                };
                time.map(Value::Time).map_err(|reason| self.no_time(offset, &reason))
            }
            (_, Number::Int(_)) => Err(self.mismatch(offset, "`int`")),
            (_, Number::Float(_)) => Err(self.mismatch(offset, "`float`")),
        }
    }

    /// The value that starts with `first`, which is next. A text that nobody keeps is checked and read as `Null`.
    #[inline(always)]
    pub(crate) fn read(&self, scan: &mut Scanner<'_>, first: u8, keep: bool) -> Result<Value, Fail> {
        match self.kind {
            Kind::Float if first == b'-' || first.is_ascii_digit() => match scan.number() {
                Ok(Number::Float(x)) => Ok(Value::Float(x)),
                Ok(Number::Int(x)) => Ok(Value::Float(x as f64)),
                Err(fault) => Err(scan.number_fault(fault, &self.place())),
            },
            Kind::Text if first == b'"' => {
                let raw = scan.string()?;
                let text = scan.text(raw)?;
                Ok(if keep { Value::Text(EcoString::from(text.as_ref())) } else { Value::Null })
            }
            _ => self.read_other(scan, first, keep),
        }
    }

    #[inline(never)]
    fn read_other(&self, scan: &mut Scanner<'_>, first: u8, keep: bool) -> Result<Value, Fail> {
        let at = scan.at;
        match (first, self.kind) {
            (_, Kind::Value) if keep => tree::value(scan),
            (_, Kind::Value) => scan.skip().map(|()| Value::Null),
            (b'n', _) if self.nullable => scan.word(b"null").map(|()| Value::Null),
            (b't', Kind::Bool) => scan.word(b"true").map(|()| Value::Bool(true)),
            (b'f', Kind::Bool) => scan.word(b"false").map(|()| Value::Bool(false)),
            (b'"', Kind::Text | Kind::TextChoice(_) | Kind::Time) => {
                let raw = scan.string()?;
                let text = scan.text(raw)?;
                self.text(text, at, keep)
            }
            (b'-' | b'0'..=b'9', _) => match scan.number() {
                Ok(number) => self.number(number, at),
                Err(fault) => Err(scan.number_fault(fault, &self.place())),
            },
            _ => match type_name(first) {
                Some(got) => {
                    // As in msgspec: the grammar of a wrong scalar comes first, a wrong list or object is not read.
                    if !matches!(first, b'[' | b'{') {
                        scan.skip()?;
                    }
                    Err(self.mismatch(at, &format!("`{got}`")))
                }
                None => Err(scan.malformed(at, "invalid character")),
            },
        }
    }
}

/// The start of a text, for a message.
pub(crate) fn clip(text: &str) -> Cow<'_, str> {
    match text.char_indices().nth(40) {
        Some((end, _)) => Cow::Owned(format!("{}…", &text[..end])),
        None => Cow::Borrowed(text),
    }
}
