//! The vectors of `tests/vectors/recon.jsonl`, and properties that no list of cases can show.

mod expressions;
pub(crate) mod fuzz;
mod properties;

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

fn tagged(tree: &Tree) -> Json {
    json(text(|out| write_tagged(tree, out)).as_bytes())
}

#[test]
fn every_vector() {
    let mut wrong = Vec::new();
    let vectors = vectors("recon");
    assert!(vectors.len() > 600);
    for vector in vectors {
        let recon = vector["recon"].as_str().unwrap();
        let read = read_tree(recon);
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
                wrong.push(format!("{recon:?}: {error}"));
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

#[test]
fn floats_are_written_as_jdk_17_writes_them() {
    let path = format!("{}/../../tests/vectors/java_floats.txt", env!("CARGO_MANIFEST_DIR"));
    let lines = std::fs::read_to_string(path).unwrap();
    for line in lines.lines() {
        let parts: Vec<&str> = line.split(' ').collect();
        let [double, double_text, float, float_text] = parts[..] else { panic!("{line}") };
        let double = f64::from_bits(u64::from_str_radix(double, 16).unwrap());
        let float = f32::from_bits(u32::from_str_radix(float, 16).unwrap());
        assert_eq!(text(|out| java::write_double(double, out)), double_text);
        assert_eq!(text(|out| java::write_float(float, out)), float_text);
    }
}

#[test]
fn nesting_is_bounded() {
    for (open, close) in [("{", "}"), ("[", "]"), ("(", ")"), ("@a(", ")"), ("{a:", "}"), ("@a{", "}"), ("[@a{", "}]")]
    {
        let levels = MAX_DEPTH / if open == "[@a{" { 2 } else { 1 };
        let nested = |levels: usize| format!("{}{}", open.repeat(levels), close.repeat(levels));
        let tree = read_tree(&nested(levels)).unwrap_or_else(|error| panic!("{open}: {error}"));
        // What walks the tree ends well, too, on a test's stack.
        for write in [write_tree, write_canonical, write_block, write_tagged] {
            assert!(!text(|out| write(&tree, out)).is_empty() || open == "(");
        }
        assert!(read(&nested(levels)).is_ok());
        let error = read_tree(&nested(levels + 1)).unwrap_err();
        assert!(error.reason.contains("512 levels"), "{error}");
        assert!(read_tree(&open.repeat(100_000)).is_err());
    }
    assert_eq!(read_tree(&format!("{}5", "-".repeat(100_000))), Ok(Tree::Number(Number::Int(5))));
}

#[test]
fn control_characters_in_strings_are_for_bodies_only() {
    for body in ["\"a\tb\"", "{x:'a\nb'}"] {
        assert!(read_tree(body).is_err());
        assert!(check_body(body).is_ok());
        assert!(read_body(body).is_ok());
    }
}

#[test]
fn a_body_is_one_value() {
    for body in ["1,2", "a:1", "a\nb", "a;b"] {
        assert!(read_tree(body).is_ok() && check_body(body).is_err(), "{body}");
    }
    for body in ["", " ", "1,", "{a:1}\n", "@a{b}@c", "(2)", "# c"] {
        assert!(check_body(body).is_ok(), "{body}");
    }
}

#[test]
fn beyond_java_is_taken_what_the_other_peers_write() {
    for (text, same) in [
        ("@a(1,)", "@a(1)"),
        ("@a(1\n)", "@a(1)"),
        ("@a(#c\n)", "@a"),
        ("9223372036854775808.0", "9223372036854775808.0E0"),
    ] {
        assert_eq!(read_tree(text), read_tree(same), "{text}");
    }
}

#[test]
fn other_texts_are_refused_where_they_go_wrong() {
    for (text, offset) in [
        ("{a:1", 4),
        ("{a b}", 3),
        ("007", 1),
        ("\"a", 2),
        ("\"\\q\"", 2),
        ("\"\\u12g4\"", 5),
        ("%AA", 3),
        ("0xg", 2),
        ("@a(b", 4),
        ("@true", 1),
        ("é}", 2),
        ("1.", 2),
        ("{a:{b:}", 7),
        ("[a", 2),
        ("`x", 2),
        ("0x12345678123456781", 0),
    ] {
        assert_eq!(read_tree(text).unwrap_err().offset, offset, "{text}");
        assert_eq!(read(text).unwrap_err().offset, offset, "{text}");
    }
}

#[test]
fn values_are_what_json_carries() {
    let same = [
        ("@a b", r#"{"@a":null,"$1":"b"}"#),
        ("@fix(unit:7){lat:52.5,tags:{a,b}}", r#"{"@fix":{"unit":7},"lat":52.5,"tags":["a","b"]}"#),
        ("{,1,,}", "[null,1,null]"),
        ("{{5}}", "[[5]]"),
        ("@a({b})", r#"{"@a":["b"]}"#),
        ("{\"$0\":1}", r#"{"$0":1}"#),
        ("{\"true\":true}", r#"{"true":true}"#),
        ("@\"\"(1)", r#"{"@":1}"#),
    ];
    for (recon, json) in same {
        let value = crate::decode::parse_tree(json.as_bytes()).unwrap();
        assert_eq!(read(recon), Ok(value.clone()), "{recon}");
        assert_eq!(text(|out| write_interop(&value, out)), recon);
    }
    for (recon, json) in [("{1:2,true:3}", r#"{"1":2,"true":3}"#), ("b@c", r#"{"$0":"b","@c":null}"#), ("0xff", "255")]
    {
        assert_eq!(read(recon), Ok(crate::decode::parse_tree(json.as_bytes()).unwrap()), "{recon}");
    }
    for recon in ["{a:1,a:2}", "99999999999999999999", "1e999", "0xffffffffffffffff"] {
        assert!(read(recon).is_err(), "{recon}");
    }
}

#[test]
fn columns_are_written_as_json_writes_them() {
    use crate::value::Value;
    for (value, recon) in [
        (Value::Point(52.5, -13.0), "{52.5,-13}"),
        (Value::Time(1_633_600_800_000_000), "\"2021-10-07T10:00:00Z\""),
        (Value::Bytes(b"foob".as_slice().into()), "%Zm9vYg=="),
        (Value::Float(-0.0), "-0.0"),
        (Value::Float(1e-7), "0.0000001"),
        (Value::Float(1.5e-8), "1.5E-8"),
        (Value::Float(1e21), "1.0E21"),
        (Value::Text("é".into()), "\"é\""),
        (Value::Text("a-b".into()), "a-b"),
        (Value::Text("".into()), "\"\""),
    ] {
        assert_eq!(text(|out| write_interop(&value, out)), recon);
    }
    for (value, body) in [
        (Value::Null, ""),
        (Value::Int(5), " 5"),
        (Value::Text("on".into()), " on"),
        (Value::Text("true".into()), "\"true\""),
        (Value::List([Value::Int(5)].into()), "{{5}}"),
        (Value::List([Value::Null].into()), "{{,}}"),
        (Value::Bool(true), " true"),
    ] {
        assert_eq!(text(|out| write_body(&value, out)), body);
    }
}

#[test]
fn bodies_go_into_slots() {
    use crate::body::{BodyType, Plan, Record};
    use crate::value::Value;
    let fields =
        json!([{ "name": "id", "kind": "text", "required": true }, { "name": "x", "kind": "float", "nullable": true }]);
    let fields = serde_json::from_value(fields).unwrap();
    let zone = jiff::tz::TimeZone::UTC;
    let plan =
        Plan { body: BodyType::Record { fields }, wanted: u64::MAX, extra: vec![], known: None, time_slot: None, zone };
    let mut record = Record::default();
    let many: String = (0..20).map(|n| format!("u{n}:{n},")).collect();
    for body in [
        "{id:a,x:2}",
        " { x : 2 , id : 'a' } # c",
        "@tag{id:a,x:2.0}",
        &format!("{{{many}id:a,x:2}}"),
        "{id:a,y:{z:1},x:2}",
    ] {
        decode_recon(&plan, body.as_bytes(), &mut record).unwrap_or_else(|error| panic!("{body}: {error:?}"));
        assert_eq!((&record.slots[..], record.given), (&[Value::Text("a".into()), Value::Float(2.0)][..], 3), "{body}");
    }
    decode_recon(&plan, b"{id:b,x:}", &mut record).unwrap();
    assert_eq!(record.slots, [Value::Text("b".into()), Value::Null]);
    for (body, offset, reason) in [
        ("{id:7}", 4, "Expected `str`, got `int` - at `$.id`"),
        ("{id:a,id:b}", 9, "Object has the field `id` twice (byte 9)"),
        ("{id:a,u:1,u:2}", 12, "Object has the field `u` twice (byte 12)"),
        ("{x:1}", 5, "Object missing required field `id`"),
        ("", 0, "Object missing required field `id`"),
        ("{1,2}", 0, "Expected `object`, got `array`"),
        ("{id:a", 5, "Recon is malformed: expected a separator or `}`, the text ends here (byte 5)"),
        ("{id:a},1", 7, "Recon is malformed: expected the end: a body is one value, found `1` (byte 7)"),
    ] {
        let invalid = decode_recon(&plan, body.as_bytes(), &mut record).unwrap_err();
        assert_eq!((invalid.offset, invalid.reason.as_str()), (offset, reason), "{body}");
    }
    assert!(decode_recon(&plan, b"{id:\"\xFF\"}", &mut record).is_err());
}
