//! The templates that a source's records have fitted so far.

use ecow::EcoString;

use crate::body::{Plan, Record};
use crate::decode::{Number, Sink, Template, prepare};
use crate::fold::Fused;
use crate::value::Value;

/// Templates of one source: records whose fields are sometimes missing have several.
const MOST: usize = 4;
/// After so many records in a row that fitted none, only each 64th is tried.
const PATIENCE: u32 = 64;

pub(crate) struct Layout {
    pub(crate) template: Template,
    /// The command's folds for these records, where they may be fused.
    pub(crate) fused: Option<Fused>,
    hits: u32,
}

#[derive(Default)]
pub(crate) struct Known {
    layouts: Vec<Layout>,
    /// The one that the last record fitted, which is tried first.
    last: usize,
    /// Records in a row that fitted none.
    missed: u32,
    /// Records that are not learned from; it grows while learning is in vain.
    pause: u32,
    vain: u32,
}

impl Known {
    pub(crate) fn layout(&mut self, number: usize) -> Option<&mut Layout> {
        self.layouts.get_mut(number)
    }

    /// Whether records are likely to fit.
    #[inline(always)]
    pub(crate) fn is_fit(&self) -> bool {
        !self.layouts.is_empty() && self.missed <= PATIENCE
    }

    /// Reads the record at `start..end` of a batch by the template that it fits; gives its number.
    #[inline(always)]
    pub(crate) fn read(&mut self, bytes: &[u8], start: usize, end: usize, sink: &mut impl Sink) -> Option<usize> {
        let layout = self.layouts.get_mut(self.last)?;
        if layout.template.read(bytes, start, end, sink) {
            layout.hits = layout.hits.saturating_add(1);
            self.missed = 0;
            return Some(self.last);
        }
        self.read_by_another(bytes, start, end, sink)
    }

    #[inline(never)]
    fn read_by_another(&mut self, bytes: &[u8], start: usize, end: usize, sink: &mut impl Sink) -> Option<usize> {
        self.missed = self.missed.saturating_add(1);
        if self.missed > PATIENCE && !self.missed.is_multiple_of(64) {
            return None;
        }
        let others = self.layouts.iter_mut().enumerate().filter(|(number, _)| *number != self.last);
        let fits = |(number, layout): (usize, &mut Layout)| {
            layout.template.read(bytes, start, end, sink).then(|| {
                layout.hits = layout.hits.saturating_add(1);
                number
            })
        };
        self.last = { others }.find_map(fits)?;
        self.missed = 0;
        Some(self.last)
    }

    /// A record has fitted none, and the general reader has taken it. True: the templates are others now.
    #[inline]
    pub(crate) fn learn(&mut self, plan: &Plan, record: &[u8], fuse: impl FnOnce(&Template) -> Option<Fused>) -> bool {
        if self.pause > 0 {
            self.pause -= 1;
            return false;
        }
        let learned = Template::learn(plan, record);
        let Some(template) = learned.filter(|new| self.layouts.iter().all(|known| known.template != *new)) else {
            self.vain = (self.vain * 2).clamp(16, 1 << 16);
            self.pause = self.vain;
            return false;
        };
        let layout = Layout { fused: fuse(&template), template, hits: 0 };
        if self.layouts.len() < MOST {
            self.last = self.layouts.len();
            self.layouts.push(layout);
            return true;
        }
        if let Some((least, old)) = self.layouts.iter_mut().enumerate().min_by_key(|(_, layout)| layout.hits) {
            // one that nothing fitted was learned in vain
            self.vain = if old.hits < 64 { (self.vain * 2).clamp(16, 1 << 16) } else { 0 };
            self.pause = self.vain;
            *old = layout;
            self.last = least;
        }
        for layout in &mut self.layouts {
            layout.hits /= 2;
        }
        true
    }
}

/// Fills a record.
struct Slots<'a> {
    slots: &'a mut [Value],
    extra: &'a mut [Value],
}

impl Sink for Slots<'_> {
    #[inline(always)]
    fn float(&mut self, slot: usize, x: f64) {
        match self.slots.get_mut(slot) {
            // the usual case of a reused record: no old value to drop
            Some(Value::Float(old)) => *old = x,
            Some(cell) => *cell = Value::Float(x),
            None => {}
        }
    }

    #[inline(always)]
    fn int(&mut self, slot: usize, x: i64) {
        match self.slots.get_mut(slot) {
            Some(Value::Int(old)) => *old = x,
            Some(cell) => *cell = Value::Int(x),
            None => {}
        }
    }

    fn bool(&mut self, slot: usize, x: bool) {
        if let Some(cell) = self.slots.get_mut(slot) {
            *cell = Value::Bool(x);
        }
    }

    #[inline(always)]
    fn text(&mut self, slot: usize, text: &str, _at: usize) {
        match self.slots.get_mut(slot) {
            Some(Value::Text(old)) => {
                old.clear();
                old.push_str(text);
            }
            Some(cell) => *cell = Value::Text(EcoString::from(text)),
            None => {}
        }
    }

    fn extra_text(&mut self, extra: usize, text: &str, _at: usize) {
        if let Some(cell) = self.extra.get_mut(extra) {
            *cell = Value::Text(EcoString::from(text));
        }
    }

    fn extra_number(&mut self, extra: usize, number: Number) {
        if let Some(cell) = self.extra.get_mut(extra) {
            *cell = match number {
                Number::Int(x) => Value::Int(x),
                Number::Float(x) => Value::Float(x),
            };
        }
    }
}

impl Known {
    /// Decodes the record at `start..end` of a batch as `decode_json` does, if it fits a template. False: nothing is said
    /// of the record, and `out` means nothing.
    #[inline(always)]
    pub(crate) fn decode(&mut self, plan: &Plan, bytes: &[u8], start: usize, end: usize, out: &mut Record) -> bool {
        if self.layouts.is_empty() {
            return false;
        }
        prepare(plan, out);
        let sink = &mut Slots { slots: &mut out.slots, extra: &mut out.extra };
        let Some(number) = self.read(bytes, start, end, sink) else { return false };
        let Some(Layout { template, .. }) = self.layouts.get(number) else { return false };
        out.given = template.given;
        empty(&mut out.slots, template.filled);
        empty(&mut out.extra, template.extras);
        true
    }
}

/// Empties the values that the template does not fill.
#[inline(always)]
fn empty(values: &mut [Value], filled: u64) {
    if values.is_empty() {
        return;
    }
    let mut empty = u64::MAX >> (64 - values.len().clamp(1, 64)) & !filled;
    while empty != 0 {
        if let Some(value) = values.get_mut(empty.trailing_zeros() as usize) {
            *value = Value::Null;
        }
        empty &= empty - 1;
    }
}
