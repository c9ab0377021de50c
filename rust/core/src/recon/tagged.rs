//! A `Tree` as JSON in which no difference is lost: `{"int":"1"}`, `{"record":[{"slot":[…,…]}]}`.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::expression::Operation;
use super::java;
use super::number::Number;
use super::selector::Step;
use super::tree::{Item, Tree};

/// Appends `tree`: `{"absent":true}`, `{"extant":true}`, `{"bool":b}`, `{"int":"digits"}`, `{"float":"…"}` (may be
/// `Infinity`), `{"uint32":"8 hex digits"}`, `{"uint64":"16 hex digits"}`, `{"text":"…"}`, `{"data":"base64"}`, or
/// `{"record":[…]}` of values, `{"attr":["name",value]}` and `{"slot":[key,value]}`. Expressions: `{"op":"+","lhs":…,
/// "rhs":…}`, `{"op":"!","arg":…}`, `{"cond":[…,…,…]}`, `{"invoke":[…,…]}`, `{"lambda":[…,…]}`, and `{"selector":[…]}` of
/// `"keys"`, `"values"`, `"children"`, `"descendants"`, `{"get":…}`, `{"getAttr":…}`, `{"getItem":…}`, `{"filter":…}`,
/// `{"literal":…}`.
pub fn write_tagged(tree: &Tree, out: &mut Vec<u8>) {
    match tree {
        Tree::Absent => out.extend_from_slice(br#"{"absent":true}"#),
        Tree::Extant => out.extend_from_slice(br#"{"extant":true}"#),
        // Writing to a Vec cannot fail, here and below.
        Tree::Bool(x) => drop(write!(out, r#"{{"bool":{x}}}"#)),
        Tree::Number(Number::Int(x)) => drop(write!(out, r#"{{"int":"{x}"}}"#)),
        Tree::Number(Number::Big(digits)) => drop(write!(out, r#"{{"int":"{digits}"}}"#)),
        Tree::Number(Number::Float(x)) => {
            out.extend_from_slice(br#"{"float":""#);
            java::write_double(*x, out);
            out.extend_from_slice(br#""}"#);
        }
        Tree::Number(Number::Uint32(x)) => drop(write!(out, r#"{{"uint32":"{x:08x}"}}"#)),
        Tree::Number(Number::Uint64(x)) => drop(write!(out, r#"{{"uint64":"{x:016x}"}}"#)),
        Tree::Text(text) => {
            out.extend_from_slice(br#"{"text":"#);
            string(text, out);
            out.push(b'}');
        }
        Tree::Data(bytes) => drop(write!(out, r#"{{"data":"{}"}}"#, STANDARD.encode(bytes))),
        Tree::Record(items) => write_list("record", items, write_item, out),
        Tree::Operation(operation) => write_operation(operation, out),
        Tree::Selector(steps) => write_list("selector", steps, write_step, out),
    }
}

fn write_list<T>(kind: &str, items: &[T], write_one: impl Fn(&T, &mut Vec<u8>), out: &mut Vec<u8>) {
    let _ = write!(out, r#"{{"{kind}":["#);
    for (at, item) in items.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        write_one(item, out);
    }
    out.extend_from_slice(b"]}");
}

fn write_operation(operation: &Operation<Tree>, out: &mut Vec<u8>) {
    let tagged = |tree: &&Tree, out: &mut Vec<u8>| write_tagged(tree, out);
    match operation {
        Operation::Infix(operator, left, right) => {
            let _ = write!(out, r#"{{"op":"{}","lhs":"#, operator.text());
            write_tagged(left, out);
            out.extend_from_slice(br#","rhs":"#);
            write_tagged(right, out);
            out.push(b'}');
        }
        Operation::Prefix(operator, operand) => {
            let _ = write!(out, r#"{{"op":"{}","arg":"#, operator.text());
            write_tagged(operand, out);
            out.push(b'}');
        }
        Operation::Conditional(condition, yes, no) => write_list("cond", &[condition, yes, no], tagged, out),
        Operation::Invoke(function, arguments) => write_list("invoke", &[function, arguments], tagged, out),
        Operation::Lambda(bindings, template) => write_list("lambda", &[bindings, template], tagged, out),
    }
}

fn write_step(step: &Step<Tree>, out: &mut Vec<u8>) {
    let (kind, value) = match step {
        Step::Get(key) => ("get", key),
        Step::Filter(predicate) => ("filter", predicate),
        Step::Literal(value) => ("literal", value),
        Step::GetAttr(name) => ("getAttr", &Tree::Text(name.clone())),
        Step::GetItem(index) => ("getItem", &Tree::Number(Number::Int(i64::from(*index)))),
        Step::Keys => return out.extend_from_slice(br#""keys""#),
        Step::Values => return out.extend_from_slice(br#""values""#),
        Step::Children => return out.extend_from_slice(br#""children""#),
        Step::Descendants => return out.extend_from_slice(br#""descendants""#),
    };
    let _ = write!(out, r#"{{"{kind}":"#);
    write_tagged(value, out);
    out.push(b'}');
}

fn write_item(item: &Item, out: &mut Vec<u8>) {
    match item {
        Item::Value(value) => write_tagged(value, out),
        Item::Attr(name, value) => {
            out.extend_from_slice(br#"{"attr":["#);
            string(name, out);
            out.push(b',');
            write_tagged(value, out);
            out.extend_from_slice(b"]}");
        }
        Item::Slot(key, value) => {
            out.extend_from_slice(br#"{"slot":["#);
            write_tagged(key, out);
            out.push(b',');
            write_tagged(value, out);
            out.extend_from_slice(b"]}");
        }
    }
}

fn string(text: &str, out: &mut Vec<u8>) {
    // A text into a Vec cannot fail.
    let _ = serde_json::to_writer(out, text);
}
