//! The vectors of `tests/vectors/recon.jsonl`, and properties that no list of cases can show.

use serde_json::{Value as Json, json};

use super::*;

pub(crate) fn vectors(name: &str) -> Vec<Json> {
    let path = format!("{}/../../tests/vectors/{name}.jsonl", env!("CARGO_MANIFEST_DIR"));
    let text = std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{path}: {error}"));
    text.lines().map(|line| json(line.as_bytes())).collect()
}

/// Reads JSON by the core's own reader: serde_json takes 128 levels only.
pub(crate) fn json(text: &[u8]) -> Json {
    fn convert(value: &crate::value::Value) -> Json {
        use crate::value::Value;
        match value {
            Value::Bool(x) => json!(x),
            Value::Int(x) => json!(x),
            Value::Float(x) => json!(x),
            Value::Text(text) => json!(text.as_str()),
            Value::List(items) => items.iter().map(convert).collect(),
            Value::Map(members) => members.iter().map(|(name, value)| (name.to_string(), convert(value))).collect(),
            _ => Json::Null,
        }
    }
    convert(&crate::decode::parse_tree(text).unwrap())
}

pub(crate) fn text(write: impl FnOnce(&mut Vec<u8>)) -> String {
    let mut out = Vec::new();
    write(&mut out);
    String::from_utf8(out).unwrap()
}

/// Tagged JSON with floats as numbers' bits: their text may differ.
pub(crate) fn comparable(tagged: &Json) -> Json {
    match tagged {
        Json::Object(members) => match members.get("float") {
            Some(x) => {
                let x: f64 = x.as_str().unwrap().replace("Infinity", "inf").parse().unwrap();
                json!({ "float": x.to_bits() })
            }
            None => members.iter().map(|(key, value)| (key.clone(), comparable(value))).collect(),
        },
        Json::Array(items) => items.iter().map(comparable).collect(),
        other => other.clone(),
    }
}

/// Whether a structure has what is refused: selectors and expressions.
pub(crate) fn has_expression(tagged: &Json) -> bool {
    match tagged {
        Json::Object(members) => {
            ["op", "cond", "invoke", "lambda", "selector"].iter().any(|key| members.contains_key(*key))
                || members.values().any(has_expression)
        }
        Json::Array(items) => items.iter().any(has_expression),
        _ => false,
    }
}

fn tagged(tree: &Tree) -> Json {
    json(text(|out| write_tagged(tree, out)).as_bytes())
}

#[test]
fn every_vector() {
    let mut wrong = Vec::new();
    for vector in vectors("recon") {
        let recon = vector["recon"].as_str().unwrap();
        let read = read_tree(recon);
        let optional = vector["group"] == "selector" || vector["group"] == "expr";
        let expected = if vector["liberal"] == true { &vector["js_accepts"] } else { &vector["json"] };
        if expected.is_null() {
            match read {
                Ok(tree) => wrong.push(format!("{recon:?} must be refused, was read as {tree:?}")),
                Err(error) => assert!(error.offset <= recon.len() && !error.reason.is_empty()),
            }
            continue;
        }
        let tree = match read {
            Ok(tree) => tree,
            Err(error) => {
                let said = error.reason.contains("expressions are not supported");
                if !(said && (optional || has_expression(expected))) {
                    wrong.push(format!("{recon:?}: {error}"));
                }
                continue;
            }
        };
        let mut compare = |what: &str, ours: Json, theirs: &Json| {
            if ours != *theirs {
                wrong.push(format!("{recon:?}: {what}\n  ours   {ours}\n  theirs {theirs}"));
            }
        };
        compare("structure", comparable(&tagged(&tree)), &comparable(expected));
        if vector["liberal"] == true {
            continue;
        }
        let canonical = text(|out| write_canonical(&tree, out));
        compare("canonical", json!(canonical), &vector["canonical"]);
        let block = text(|out| write_block(&tree, out));
        compare("block", json!(block), vector.get("block").unwrap_or(&vector["canonical"]));
        let interop = text(|out| write_tree(&tree, out));
        if let Some(theirs) = vector.get("interop") {
            compare("interop", json!(interop), theirs);
        }
    }
    assert!(wrong.is_empty(), "{} wrong\n{}", wrong.len(), wrong.join("\n"));
}
