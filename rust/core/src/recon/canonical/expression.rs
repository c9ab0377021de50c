//! Expressions as swim-java writes them: parentheses only where the precedence of its classes asks for them, which is
//! not always that of its grammar (`a - (b - c)` loses them, `(a == b) & c` keeps them).

use super::{is_attr, write_block, write_canonical, write_item, write_text};
use crate::recon::expression::{Operation, Operator};
use crate::recon::selector::Step;
use crate::recon::tree::{Item, Tree};

const CONDITIONAL: u8 = 2;
const PREFIX: u8 = 10;
const SELECTOR: u8 = 11;

fn precedence_of(operator: Operator) -> u8 {
    match operator {
        Operator::Or => 3,
        Operator::And => 4,
        Operator::BitOr => 5,
        Operator::BitXor => 6,
        Operator::BitAnd => 7,
        Operator::Plus | Operator::Minus => 8,
        Operator::Times | Operator::Divide | Operator::Modulo => 9,
        Operator::Not | Operator::BitNot | Operator::Negative | Operator::Positive => PREFIX,
        _ => 0, // comparisons
    }
}

fn precedence(tree: &Tree) -> u8 {
    match tree {
        Tree::Operation(operation) => match &**operation {
            Operation::Infix(operator, ..) | Operation::Prefix(operator, _) => precedence_of(*operator),
            Operation::Conditional(..) => CONDITIONAL,
            Operation::Invoke(..) => 11,
            Operation::Lambda(..) => 1,
        },
        Tree::Selector(_) => SELECTOR,
        _ => 12,
    }
}

fn write_operand(tree: &Tree, in_parentheses: bool, out: &mut Vec<u8>) {
    if in_parentheses {
        out.push(b'(');
    }
    write_canonical(tree, out);
    if in_parentheses {
        out.push(b')');
    }
}

pub(super) fn write_operation(operation: &Operation<Tree>, out: &mut Vec<u8>) {
    match operation {
        Operation::Infix(operator, left, right) => {
            let own = precedence_of(*operator);
            write_operand(left, precedence(left) < own, out);
            out.push(b' ');
            out.extend_from_slice(operator.text().as_bytes());
            out.push(b' ');
            write_operand(right, precedence(right) < own, out);
        }
        Operation::Prefix(operator, operand) => {
            out.extend_from_slice(operator.text().as_bytes());
            write_operand(operand, precedence(operand) < PREFIX, out);
        }
        Operation::Conditional(condition, yes, no) => {
            write_operand(condition, (1..=CONDITIONAL).contains(&precedence(condition)), out);
            out.extend_from_slice(b" ? ");
            write_canonical(yes, out);
            out.extend_from_slice(b" : ");
            write_canonical(no, out);
        }
        Operation::Invoke(function, arguments) => {
            write_canonical(function, out);
            out.push(b'(');
            write_block(arguments, out);
            out.push(b')');
        }
        Operation::Lambda(bindings, template) => {
            match bindings {
                Tree::Extant => out.extend_from_slice(b"()"),
                Tree::Record(items) => write_bindings(items, out),
                other => write_canonical(other, out),
            }
            out.extend_from_slice(b" => ");
            write_canonical(template, out);
        }
    }
}

/// Items in parentheses, but for attributes and a single value beside them.
fn write_bindings(items: &[Item], out: &mut Vec<u8>) {
    if items.is_empty() {
        out.extend_from_slice(b"()");
    }
    // A single value before an attribute does not count as the first.
    let (mut open, mut first) = (false, true);
    for (at, item) in items.iter().enumerate() {
        let next = items.get(at + 1);
        if !open && !first {
            out.push(b' ');
        }
        match item {
            Item::Attr(..) => {
                if std::mem::take(&mut open) {
                    out.push(b')');
                }
                write_item(item, out);
                first = false;
            }
            _ if open => {
                out.push(b',');
                match item {
                    Item::Value(value) => write_block(value, out),
                    field => write_item(field, out),
                }
            }
            Item::Value(value)
                if !matches!(value, Tree::Record(_)) && (!first && next.is_none() || next.is_some_and(is_attr)) =>
            {
                write_canonical(value, out);
            }
            _ => {
                out.push(b'(');
                write_item(item, out);
                (open, first) = (true, false);
            }
        }
    }
    if open {
        out.push(b')');
    }
}

pub(super) fn write_selector(steps: &[Step<Tree>], out: &mut Vec<u8>) {
    for (at, step) in steps.iter().enumerate() {
        let first = at == 0;
        match step {
            Step::Filter(_) | Step::GetItem(_) if !first => {}
            Step::Literal(_) => {}
            _ => out.push(if first { b'$' } else { b'.' }),
        }
        match step {
            Step::Get(key @ Tree::Record(_)) => {
                out.push(b'{');
                write_block(key, out);
                out.push(b'}');
            }
            Step::Get(key) => write_canonical(key, out),
            Step::GetAttr(name) => {
                out.push(b'@');
                write_text(name, out);
            }
            Step::GetItem(index) => out.extend_from_slice(format!("#{index}").as_bytes()),
            Step::Keys => out.extend_from_slice(b"*:"),
            Step::Values => out.extend_from_slice(b":*"),
            Step::Children => out.push(b'*'),
            Step::Descendants => out.extend_from_slice(b"**"),
            Step::Filter(predicate) => {
                out.push(b'[');
                write_canonical(predicate, out);
                out.push(b']');
            }
            Step::Literal(value) => write_operand(value, precedence(value) < SELECTOR, out),
        }
    }
}
