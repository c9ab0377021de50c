//! The layout that records of one source have in common, learned from a record that the general reader has taken: the
//! bytes between the values, which are compared at once, and the kinds of the values. Keys, brackets, white space and
//! nulls are in those bytes, so a record that fits has the same fields, each once. Whatever does not fit in any way is
//! left to the general reader, which alone says what is wrong with a record.

use ecow::EcoString;
use rustc_hash::FxHashSet;

use super::number::{self, Number, REACH};
use super::scan::{Scanner, load, load_inside};
use super::string::plain_text;
use crate::body::{BodyType, Kind, Plan};

/// Bytes that must lie behind a record in its batch, so that words may be read without looking for the end.
const SLACK: usize = 16 + REACH;

/// Values of a record that a template may have.
const MOST_PARTS: usize = 64;

/// Where a value goes.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Target {
    Slot(usize),
    Extra(usize),
    /// Nobody needs it; its grammar is checked.
    Nothing,
}

/// What takes the values of a record, in the order in which they stand there.
pub(crate) trait Sink {
    fn float(&mut self, slot: usize, x: f64);
    fn int(&mut self, slot: usize, x: i64);
    fn bool(&mut self, slot: usize, x: bool);
    /// `at`: where the text starts in the batch.
    fn text(&mut self, slot: usize, text: &str, at: usize);
    fn extra_text(&mut self, extra: usize, text: &str, at: usize);
    fn extra_number(&mut self, extra: usize, number: Number);
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Form {
    Float,
    Int,
    Bool,
    /// Between quotes, which belong to the literals beside it.
    Text,
    /// A float that nobody needs.
    Passed,
    /// Of a member that the body does not declare.
    Number,
}

/// Bytes that stand in every record.
#[derive(Clone, Debug, PartialEq)]
struct Literal {
    low: u64,
    low_mask: u64,
    high: u64,
    high_mask: u64,
    length: usize,
    /// What is behind the first 16.
    rest: Box<[u8]>,
}

impl Literal {
    fn new(bytes: &[u8]) -> Literal {
        let mask = |length: usize| match length.min(8) {
            0 => 0,
            n => u64::MAX >> (64 - 8 * n),
        };
        let rest = bytes.get(16..).unwrap_or_default();
        Literal {
            low: load(bytes, 0),
            low_mask: mask(bytes.len()),
            high: load(bytes, 8),
            high_mask: mask(bytes.len().saturating_sub(8)),
            length: bytes.len(),
            rest: rest.into(),
        }
    }

    /// Whether it stands at `at`, where at least `SLACK` bytes are.
    #[inline(always)]
    fn stands(&self, bytes: &[u8], at: usize) -> bool {
        let other = (load(bytes, at) ^ self.low) & self.low_mask | (load(bytes, at + 8) ^ self.high) & self.high_mask;
        other == 0 && (self.rest.is_empty() || self.rest_stands(bytes, at + 16))
    }

    /// The same, without looking for the end of the bytes.
    ///
    /// # Safety
    /// at + 16 <= bytes.len().
    #[inline(always)]
    unsafe fn stands_inside(&self, bytes: &[u8], at: usize) -> bool {
        // SAFETY: by the contract above.
        let (low, high) = unsafe { (load_inside(bytes, at), load_inside(bytes, at + 8)) };
        let other = (low ^ self.low) & self.low_mask | (high ^ self.high) & self.high_mask;
        other == 0 && (self.rest.is_empty() || self.rest_stands(bytes, at + 16))
    }

    #[inline(never)]
    fn rest_stands(&self, bytes: &[u8], at: usize) -> bool {
        bytes.get(at..).is_some_and(|bytes| bytes.starts_with(&self.rest))
    }
}

#[derive(Clone, Debug, PartialEq)]
struct Part {
    /// What stands before the value.
    before: Literal,
    form: Form,
    target: Target,
}

#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Template {
    parts: Box<[Part]>,
    /// From the last value to the record's end.
    tail: Literal,
    /// As `Record::given`.
    pub(crate) given: u64,
    /// Slots and extras that the sink is given; the others are null in each record.
    pub(crate) filled: u64,
    pub(crate) extras: u64,
    /// Of the filled slots, those with numbers.
    pub(crate) numbers: u64,
}

impl Template {
    /// The template of a record that `decode_json` has taken by the same plan. None: it holds something that only the
    /// general reader reads (nested values, times, choices, escapes in keys), or a field that nobody knows, which the
    /// general reader tells of in each record.
    pub(crate) fn learn(plan: &Plan, record: &[u8]) -> Option<Template> {
        let BodyType::Record { fields } = &plan.body else { return None };
        if fields.len() > MOST_PARTS || plan.extra.len() > MOST_PARTS {
            return None;
        }
        let mut scan = Scanner::new(record);
        let mut parts = Vec::new();
        let (mut given, mut filled, mut extras) = (0u64, 0u64, 0u64);
        let mut literal = 0;
        if scan.at != 0 || scan.peek().ok()? != b'{' {
            return None;
        }
        scan.enter().ok()?;
        let mut first = true;
        while scan.member(first).ok()? {
            first = false;
            let raw = scan.string().ok()?;
            let key = record.get(raw.start..raw.end).filter(|_| !raw.escaped)?;
            scan.colon().ok()?;
            let start = scan.peek().ok()?;
            let field = fields.iter().position(|field| field.name.as_bytes() == key);
            let extra = plan.extra.iter().position(|name| name.as_bytes() == key);
            if let Some(i) = field {
                given |= 1 << i;
            }
            let target = match (field, extra) {
                (Some(i), _) if plan.wanted >> i & 1 == 1 => Target::Slot(i),
                (None, Some(i)) => Target::Extra(i),
                _ => Target::Nothing,
            };
            let unknown =
                |known: &FxHashSet<EcoString>| std::str::from_utf8(key).map_or(true, |key| !known.contains(key));
            if start != b'n' && field.is_none() && extra.is_none() && plan.known.as_deref().is_some_and(unknown) {
                return None;
            }
            let kind = field.map(|i| &fields[i].kind);
            let form = match (start, kind) {
                (b'n', _) => {
                    scan.skip().ok()?;
                    continue;
                }
                (b'"', None | Some(Kind::Text)) => Form::Text,
                (b'-' | b'0'..=b'9', Some(Kind::Float)) if target == Target::Nothing => Form::Passed,
                (b'-' | b'0'..=b'9', Some(Kind::Float)) => Form::Float,
                (b'-' | b'0'..=b'9', Some(Kind::Int)) => Form::Int,
                (b'-' | b'0'..=b'9', None) => Form::Number,
                (b't' | b'f', Some(Kind::Bool)) => Form::Bool,
                (b't' | b'f', None) if target == Target::Nothing => Form::Bool,
                _ => return None,
            };
            match target {
                Target::Slot(i) => filled |= 1 << i,
                Target::Extra(i) => extras |= 1 << i,
                Target::Nothing => {}
            }
            let (value, quote) = (scan.at, usize::from(form == Form::Text));
            scan.skip().ok()?;
            parts.push(Part { before: Literal::new(record.get(literal..value + quote)?), form, target });
            literal = scan.at - quote;
        }
        scan.finish().ok()?;
        let tail = Literal::new(record.get(literal..)?);
        let number = |part: &&Part| matches!(part.form, Form::Float | Form::Int);
        let slot = |part: &Part| match part.target {
            Target::Slot(i) => 1 << i,
            _ => 0,
        };
        let numbers = parts.iter().filter(number).map(slot).sum();
        let template = Template { parts: parts.into(), tail, given, filled, extras, numbers };
        (template.parts.len() <= MOST_PARTS).then_some(template)
    }

    /// Whether a text goes there.
    pub(crate) fn has_text(&self, target: Target) -> bool {
        self.parts.iter().any(|part| part.form == Form::Text && part.target == target)
    }

    /// Reads the record at `start..end` of a batch. False: it does not fit, and what the sink was given means nothing.
    #[inline(always)]
    pub(crate) fn read(&self, bytes: &[u8], start: usize, end: usize, sink: &mut impl Sink) -> bool {
        if end + SLACK > bytes.len() {
            return false;
        }
        let mut at = start;
        for part in &self.parts {
            // a value may have gone past the record's end
            // SAFETY: up to the record's end, and `SLACK` beyond it, words may be read.
            if at > end || !unsafe { part.before.stands_inside(bytes, at) } {
                return false;
            }
            at += part.before.length;
            if at > end {
                return false;
            }
            at = match part.form {
                Form::Float => {
                    // SAFETY: at + REACH <= end + SLACK.
                    let read = match unsafe { number::short_float(bytes, at) } {
                        Some(read) => Some(read),
                        None => slow_float(bytes, at),
                    };
                    let Some((x, next)) = read else { return false };
                    if let Target::Slot(slot) = part.target {
                        sink.float(slot, x);
                    }
                    next
                }
                // SAFETY: as above.
                Form::Passed => match unsafe { number::short_float_end(bytes, at) } {
                    Some(next) => next,
                    None => match slow_float(bytes, at) {
                        Some((_, next)) => next,
                        None => return false,
                    },
                },
                Form::Text => {
                    let Some(text) = plain_text(bytes, at) else { return false };
                    match part.target {
                        Target::Slot(slot) => sink.text(slot, text, at),
                        Target::Extra(extra) => sink.extra_text(extra, text, at),
                        Target::Nothing => {}
                    }
                    at + text.len()
                }
                form => match other_value(form, part.target, bytes, at, sink) {
                    Some(next) => next,
                    None => return false,
                },
            };
        }
        self.tail.stands(bytes, at) && at + self.tail.length == end
    }
}

#[inline(never)]
fn slow_float(bytes: &[u8], at: usize) -> Option<(f64, usize)> {
    if let Some(read) = number::read_float(bytes, at) {
        return Some(read);
    }
    match number::read(bytes, at).ok()? {
        (Number::Float(x), end) => Some((x, end)),
        (Number::Int(x), end) => Some((x as f64, end)),
    }
}

#[inline(always)]
fn other_value(form: Form, target: Target, bytes: &[u8], at: usize, sink: &mut impl Sink) -> Option<usize> {
    if form == Form::Bool {
        let (x, next) = match load(bytes, at) {
            word if word as u32 == u32::from_le_bytes(*b"true") => (true, at + 4),
            word if word & 0xFF_FFFF_FFFF == load(b"false", 0) => (false, at + 5),
            _ => return None,
        };
        if let Target::Slot(slot) = target {
            sink.bool(slot, x);
        }
        return Some(next);
    }
    let (number, next) = number::read(bytes, at).ok()?;
    match (number, target) {
        (Number::Int(x), Target::Slot(slot)) => sink.int(slot, x),
        // 3.0 for an int
        (Number::Float(_), _) if form == Form::Int => return None,
        (number, Target::Extra(extra)) => sink.extra_number(extra, number),
        _ => {}
    }
    Some(next)
}
