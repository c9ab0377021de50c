//! A `Tree` as JSON in which no difference is lost: `{"int":"1"}`, `{"record":[{"slot":[…,…]}]}`.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::java;
use super::number::Number;
use super::tree::{Item, Tree};

/// Appends `tree`: `{"absent":true}`, `{"extant":true}`, `{"bool":b}`, `{"int":"digits"}`, `{"float":"…"}` (may be
/// `Infinity`), `{"uint32":"8 hex digits"}`, `{"uint64":"16 hex digits"}`, `{"text":"…"}`, `{"data":"base64"}`, or
/// `{"record":[…]}` of values, `{"attr":["name",value]}` and `{"slot":[key,value]}`.
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
        Tree::Record(items) => {
            out.extend_from_slice(br#"{"record":["#);
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_item(item, out);
            }
            out.extend_from_slice(b"]}");
        }
    }
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
