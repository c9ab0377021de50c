//! Expressions with all the parentheses that they need to be read as the same. No peer but swim-java and swim-js reads
//! them.

use super::{write_items, write_tree};
use crate::recon::expression::{Operation, level};
use crate::recon::number::Number;
use crate::recon::selector::Step;
use crate::recon::tree::Tree;
use crate::recon::write::write_text;

/// An operand that must bind at least as tight as `tightness`.
fn write_operand(tree: &Tree, tightness: u8, out: &mut Vec<u8>) {
    // A record at the start of a sum would take all that follows.
    let bare = !matches!(tree, Tree::Record(_) | Tree::Extant | Tree::Absent) && tree.level() >= tightness;
    if bare {
        return write_tree(tree, out);
    }
    out.push(b'(');
    write_tree(tree, out);
    out.push(b')');
}

pub(super) fn write_operation(operation: &Operation<Tree>, out: &mut Vec<u8>) {
    match operation {
        Operation::Infix(operator, left, right) => {
            let own = operator.level();
            write_operand(left, own + u8::from(own == level::COMPARISON), out);
            out.push(b' ');
            out.extend_from_slice(operator.text().as_bytes());
            out.push(b' ');
            write_operand(right, own + 1, out);
        }
        Operation::Prefix(operator, operand) => {
            out.extend_from_slice(operator.text().as_bytes());
            write_operand(operand, level::PREFIX, out);
        }
        Operation::Conditional(condition, yes, no) => {
            write_operand(condition, level::OR, out);
            out.extend_from_slice(b" ? ");
            write_operand(yes, level::CONDITIONAL, out);
            out.extend_from_slice(b" : ");
            write_operand(no, level::CONDITIONAL, out);
        }
        Operation::Invoke(function, arguments) => {
            write_operand(function, level::PRIMARY, out);
            out.push(b'(');
            match arguments {
                Tree::Record(items) => write_items(items, out),
                scalar => write_tree(scalar, out),
            }
            out.push(b')');
        }
        Operation::Lambda(bindings, template) => {
            write_operand(bindings, level::PRIMARY, out);
            out.extend_from_slice(b" => ");
            write_operand(template, level::CONDITIONAL, out);
        }
    }
}

pub(super) fn write_selector(steps: &[Step<Tree>], out: &mut Vec<u8>) {
    for (at, step) in steps.iter().enumerate() {
        match step {
            Step::Filter(_) | Step::GetItem(_) if at > 0 => {}
            Step::Literal(_) => {}
            _ => out.push(if at == 0 { b'$' } else { b'.' }),
        }
        match step {
            Step::Get(key) => write_key(key, at + 1 == steps.len(), out),
            Step::GetAttr(name) => {
                out.push(b'@');
                out.extend_from_slice(name.as_bytes());
            }
            Step::GetItem(index) => out.extend_from_slice(format!("#{index}").as_bytes()),
            Step::Keys => out.extend_from_slice(b"*:"),
            Step::Values => out.extend_from_slice(b":*"),
            Step::Children => out.push(b'*'),
            Step::Descendants => out.extend_from_slice(b"**"),
            Step::Filter(predicate) => {
                out.push(b'[');
                write_tree(predicate, out);
                out.push(b']');
            }
            Step::Literal(value) => write_tree(value, out),
        }
    }
}

/// Steps behind a number would be its decimals, and those behind a selector its own.
fn write_key(key: &Tree, last: bool, out: &mut Vec<u8>) {
    let bare = match key {
        Tree::Absent => return out.extend_from_slice(b"{}"),
        Tree::Text(text) => return write_text(text, out),
        Tree::Number(Number::Uint32(_) | Number::Uint64(_)) | Tree::Bool(_) | Tree::Data(_) => true,
        Tree::Number(_) | Tree::Selector(_) => last,
        _ => false,
    };
    if bare {
        return write_tree(key, out);
    }
    out.push(b'(');
    write_tree(key, out);
    out.push(b')');
}
