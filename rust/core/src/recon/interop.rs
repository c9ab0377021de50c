//! A `Tree` as Recon that all of Swim's peers read alike: what `write` promises, for all that a text can say.

mod expression;

use std::io::Write;

use super::ident;
use super::number::Number;
use super::tree::{Item, Tree};
use super::write::{write_bool, write_bytes, write_f64, write_i64, write_text};

/// Appends `tree`: what `read_tree` gives for the text is the tree again, but for whole floats, which become whole
/// numbers, and infinities, which become text.
pub fn write_tree(tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Absent | Tree::Extant => {}
        Tree::Bool(x) => write_bool(*x, out),
        Tree::Number(Number::Int(x)) => write_i64(*x, out),
        Tree::Number(Number::Big(digits)) => out.extend_from_slice(digits.as_bytes()),
        Tree::Number(Number::Float(x)) => write_f64(*x, out),
        // Writing to a Vec cannot fail.
        Tree::Number(Number::Uint32(x)) => drop(write!(out, "0x{x:08x}")),
        Tree::Number(Number::Uint64(x)) => drop(write!(out, "0x{x:016x}")),
        Tree::Text(text) => write_text(text, out),
        Tree::Data(bytes) => write_bytes(bytes, out),
        Tree::Record(items) if items.is_empty() => out.extend_from_slice(b"{}"),
        Tree::Record(items) => write_record(items, out),
        Tree::Operation(operation) => expression::write_operation(operation, out),
        Tree::Selector(steps) => expression::write_selector(steps, out),
    }
}

/// Attributes stand side by side; a single value behind them stands as it is, other items in braces.
fn write_record(items: &[Item], out: &mut Vec<u8>) {
    let mut braces = false;
    for (at, item) in items.iter().enumerate() {
        let next = items.get(at + 1);
        match item {
            Item::Attr(name, value) => {
                if braces {
                    close(items.get(at.wrapping_sub(1)), out);
                    braces = false;
                }
                write_attribute(name, value, out);
            }
            _ if braces => {
                out.push(b',');
                write_item(item, out);
            }
            Item::Value(value) if stands_alone(value, at, next) => {
                if at > 0 && needs_space(value) {
                    out.push(b' ');
                }
                write_tree(value, out);
            }
            _ => {
                out.push(b'{');
                braces = true;
                write_item(item, out);
            }
        }
    }
    if braces {
        close(items.last(), out);
    }
}

/// A scalar that needs no braces: the only item behind attributes, or between them.
fn stands_alone(value: &Tree, at: usize, next: Option<&Item>) -> bool {
    let scalar = !matches!(value, Tree::Record(_) | Tree::Extant | Tree::Absent) && !value.is_expression();
    scalar && matches!((at, next), (1.., None) | (_, Some(Item::Attr(..))))
}

fn needs_space(value: &Tree) -> bool {
    match value {
        Tree::Bool(_) => true,
        Tree::Number(Number::Float(x)) => x.is_finite(),
        Tree::Number(_) => true,
        Tree::Text(text) => ident::is_safe_ident(text),
        _ => false,
    }
}

/// The closing brace; an empty last item needs a comma of its own.
fn close(last: Option<&Item>, out: &mut Vec<u8>) {
    if let Some(Item::Value(Tree::Extant | Tree::Absent)) = last {
        out.push(b',');
    }
    out.push(b'}');
}

fn write_item(item: &Item, out: &mut Vec<u8>) {
    match item {
        Item::Attr(name, value) => write_attribute(name, value, out),
        Item::Slot(key, value) => {
            write_tree(key, out);
            if out.ends_with(b"*") {
                // `$*:` selects keys
                out.push(b' ');
            }
            out.push(b':');
            write_tree(value, out);
        }
        Item::Value(value) => write_tree(value, out),
    }
}

fn write_attribute(name: &str, value: &Tree, out: &mut Vec<u8>) {
    out.push(b'@');
    write_text(name, out);
    match value {
        Tree::Absent | Tree::Extant => {}
        Tree::Record(items) => {
            out.push(b'(');
            write_items(items, out);
            out.push(b')');
        }
        scalar => {
            out.push(b'(');
            write_tree(scalar, out);
            out.push(b')');
        }
    }
}

/// Items without braces where they are read as the same record: not one plain value, nothing empty.
fn write_items(items: &[Item], out: &mut Vec<u8>) {
    let empty = |tree: &Tree| matches!(tree, Tree::Absent | Tree::Extant);
    let bare = match items {
        [] | [Item::Value(_)] => false,
        _ => items.iter().all(|item| match item {
            Item::Attr(..) => false,
            Item::Slot(key, _) => !empty(key),
            Item::Value(value) => !empty(value),
        }),
    };
    if bare {
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_item(item, out);
        }
    } else if items.iter().any(|item| matches!(item, Item::Attr(..))) {
        write_record(items, out);
    } else {
        out.push(b'{');
        for (at, item) in items.iter().enumerate() {
            if at > 0 {
                out.push(b',');
            }
            write_item(item, out);
        }
        if items.is_empty() {
            out.push(b'}');
        } else {
            close(items.last(), out);
        }
    }
}
