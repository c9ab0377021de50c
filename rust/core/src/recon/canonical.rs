//! The text that swim-java writes for a structure, its faults included: text `true` bare, whole floats as whole
//! numbers, empty items lost, and markup (`[a{1}]`) wherever text stands before a value that is neither text, bool nor
//! field.

mod expression;

use std::io::Write;

use super::ident;
use super::java;
use super::number::Number;
use super::tree::{Item, Tree};
use super::write::{write_bool, write_bytes, write_i64, write_quoted};

/// Appends what `Recon.toString` gives.
pub fn write_canonical(tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Absent | Tree::Extant => {}
        Tree::Bool(x) => write_bool(*x, out),
        Tree::Number(number) => write_number(number, out),
        Tree::Text(text) => write_text(text, out),
        Tree::Data(bytes) => write_bytes(bytes, out),
        Tree::Record(items) => Block::record(items, out),
        Tree::Operation(operation) => expression::write_operation(operation, out),
        Tree::Selector(steps) => expression::write_selector(steps, out),
    }
}

/// Appends what `Recon.toBlockString` gives: no braces around the items of a record without attributes.
pub fn write_block(tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Record(items) if !items.is_empty() => {
            let bare = !items.iter().any(|item| matches!(item, Item::Attr(..)));
            Block { in_block: bare, in_markup: false, out }.write(items);
        }
        other => write_canonical(other, out),
    }
}

fn write_text(text: &str, out: &mut Vec<u8>) {
    if ident::is_ident(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_quoted(text, out);
    }
}

fn write_number(number: &Number, out: &mut Vec<u8>) {
    match number {
        Number::Int(x) => write_i64(*x, out),
        Number::Big(digits) => out.extend_from_slice(digits.as_bytes()),
        // Writing to a Vec cannot fail.
        Number::Uint32(x) => drop(write!(out, "0x{x:08x}")),
        Number::Uint64(x) => drop(write!(out, "0x{x:016x}")),
        // A double that a long holds when it is converted back; 2^63 saturates, as in Java.
        Number::Float(x) if (*x as i64) as f64 == *x => write_i64(*x as i64, out),
        Number::Float(x) if f64::from(*x as f32) == *x => java::write_float(*x as f32, out),
        Number::Float(x) => java::write_double(*x, out),
    }
}

/// Text between markup's brackets.
fn write_markup(text: &str, out: &mut Vec<u8>) {
    for c in text.chars() {
        let escape = match c {
            '$' | '@' | '[' | '\\' | ']' | '{' | '}' => c,
            '\u{8}' => 'b',
            '\u{c}' => 'f',
            '\n' => 'n',
            '\r' => 'r',
            '\t' => 't',
            c => {
                let _ = if c < ' ' { write!(out, "\\u{:04X}", c as u32) } else { write!(out, "{c}") };
                continue;
            }
        };
        let _ = write!(out, "\\{escape}");
    }
}

fn write_item(item: &Item, out: &mut Vec<u8>) {
    match item {
        Item::Attr(name, value) => {
            out.push(b'@');
            write_text(name, out);
            if *value != Tree::Extant {
                out.push(b'(');
                write_block(value, out);
                out.push(b')');
            }
        }
        Item::Slot(key, value) => {
            write_canonical(key, out);
            out.push(b':');
            write_canonical(value, out);
        }
        Item::Value(value) => write_canonical(value, out),
    }
}

fn text_of(item: &Item) -> Option<&str> {
    match item {
        Item::Value(Tree::Text(text)) => Some(text),
        _ => None,
    }
}

fn is_attr(item: &Item) -> bool {
    matches!(item, Item::Attr(..))
}

/// One attribute, and it comes first: such a record can stand in markup as it is.
fn is_markup_safe(items: &[Item]) -> bool {
    items.first().is_some_and(is_attr) && !items[1..].iter().any(is_attr)
}

struct Block<'o> {
    /// Between parentheses, or at the top: items need no braces.
    in_block: bool,
    /// Behind text in markup.
    in_markup: bool,
    out: &'o mut Vec<u8>,
}

impl Block<'_> {
    fn record(items: &[Item], out: &mut Vec<u8>) {
        if items.is_empty() {
            out.extend_from_slice(b"{}");
        } else {
            Block { in_block: false, in_markup: false, out }.write(items);
        }
    }

    fn write(self, items: &[Item]) {
        let Block { in_block, in_markup, out } = self;
        let (mut braces, mut brackets, mut first) = (false, false, true);
        // No expression came before.
        let mut may_mark_up = true;
        let mut rest = items.iter().peekable();
        while let Some(item) = rest.next() {
            let next = rest.peek().copied();
            may_mark_up &= !matches!(item, Item::Value(value) if value.is_expression());
            if let Item::Attr(..) = item {
                if std::mem::take(&mut braces) {
                    out.push(b'}');
                }
                if std::mem::take(&mut brackets) {
                    out.push(b']');
                }
                write_item(item, out);
                first = false;
                continue;
            }
            match (item, text_of(item)) {
                (_, Some(text)) if brackets => {
                    if std::mem::take(&mut braces) {
                        out.push(b'}');
                    }
                    write_markup(text, out);
                }
                _ if braces => {
                    if !std::mem::take(&mut first) {
                        out.push(b',');
                    }
                    write_item(item, out);
                }
                (Item::Value(Tree::Record(inner)), _) if brackets && is_markup_safe(inner) => {
                    Block { in_block: false, in_markup: true, out: &mut *out }.write(inner);
                    match next {
                        Some(next) if text_of(next).is_some() => {
                            write_markup(text_of(next).unwrap_or_default(), out);
                            rest.next();
                        }
                        Some(next) if !is_attr(next) => {
                            out.push(b'{');
                            (braces, first) = (true, true);
                        }
                        _ => {
                            out.push(b']');
                            brackets = false;
                        }
                    }
                }
                _ if brackets => {
                    out.push(b'{');
                    write_item(item, out);
                    (braces, first) = (true, false);
                }
                (_, Some(text)) if may_mark_up && next.is_some_and(opens_markup) => {
                    out.push(b'[');
                    write_markup(text, out);
                    brackets = true;
                }
                _ if in_block => {
                    if !std::mem::take(&mut first) {
                        out.push(b',');
                    }
                    write_item(item, out);
                }
                (_, Some(text)) if in_markup && next.is_none() => {
                    out.push(b'[');
                    write_markup(text, out);
                    out.push(b']');
                }
                (Item::Value(value), _) if !in_markup && stands_alone(value, first, next) => {
                    let bare = match value {
                        Tree::Text(text) => ident::is_ident(text),
                        Tree::Number(_) | Tree::Bool(_) => true,
                        _ => false,
                    };
                    if !first && bare {
                        out.push(b' ');
                    }
                    write_item(item, out);
                }
                _ => {
                    out.push(b'{');
                    write_item(item, out);
                    (braces, first) = (true, false);
                }
            }
        }
        if braces {
            out.push(b'}');
        }
        if brackets {
            out.push(b']');
        }
    }
}

/// Text before this item opens markup.
fn opens_markup(next: &Item) -> bool {
    matches!(next, Item::Value(value) if !matches!(value, Tree::Text(_) | Tree::Bool(_)))
}

fn stands_alone(value: &Tree, first: bool, next: Option<&Item>) -> bool {
    !matches!(value, Tree::Record(_)) && (!first && next.is_none() || next.is_some_and(is_attr))
}
