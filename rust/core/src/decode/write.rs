//! A `Value` as JSON.

use std::io::Write;

use serde::Serialize;

use crate::time;
use crate::value::Value;

/// Appends `value` as JSON without white space: floats are the shortest text that reads back the same, times are
/// RFC 3339 with `Z`, a point is `[latitude, longitude]`, bytes are base64 (RFC 4648, 4) in a string.
pub fn write_json(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(x) => out.extend_from_slice(if *x { b"true" } else { b"false" }),
        Value::Int(x) => plain(x, out),
        Value::Float(x) => plain(x, out),
        Value::Time(x) => {
            // Writing to a Vec cannot fail.
            let _ = write!(out, "\"{}\"", time::to_rfc3339(*x));
        }
        Value::Point(latitude, longitude) => plain(&[*latitude, *longitude], out),
        Value::Text(x) => plain(x.as_str(), out),
        Value::Bytes(x) => {
            out.push(b'"');
            base64(x, out);
            out.push(b'"');
        }
        Value::List(items) => {
            out.push(b'[');
            for (i, item) in items.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                write_json(item, out);
            }
            out.push(b']');
        }
        Value::Map(members) => {
            out.push(b'{');
            for (i, (key, member)) in members.iter().enumerate() {
                if i > 0 {
                    out.push(b',');
                }
                plain(key.as_str(), out);
                out.push(b':');
                write_json(member, out);
            }
            out.push(b'}');
        }
    }
}

/// What serde_json writes as we do; it cannot fail for numbers, texts and arrays of them into a Vec.
fn plain<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}

fn base64(bytes: &[u8], out: &mut Vec<u8>) {
    const ALPHABET: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    for group in bytes.chunks(3) {
        let bits = group.iter().fold(0, |bits, byte| bits << 8 | usize::from(*byte)) << (8 * (3 - group.len()));
        for i in 0..4 {
            out.push(if i <= group.len() { ALPHABET[bits >> (18 - 6 * i) & 63] } else { b'=' });
        }
    }
}

#[cfg(test)]
mod tests {
    use ecow::EcoVec;

    use super::*;

    fn json(value: &Value) -> String {
        let mut out = Vec::new();
        write_json(value, &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn every_kind_of_value_has_its_json() {
        let map = vec![
            ("a\"\n".into(), Value::Null),
            ("b".into(), Value::List(vec![Value::Int(-7), Value::Bool(true)].into())),
        ];
        assert_eq!(json(&Value::Map(map.into())), r#"{"a\"\n":null,"b":[-7,true]}"#);
        assert_eq!(json(&Value::Point(52.5, -13.0)), "[52.5,-13.0]");
        assert_eq!(json(&Value::Float(0.1 + 0.2)), "0.30000000000000004");
        assert_eq!(json(&Value::Time(1_633_600_800_000_000)), "\"2021-10-07T10:00:00Z\"");
        assert_eq!(json(&Value::Text("é\u{1}".into())), "\"é\\u0001\"");
    }

    #[test]
    fn bytes_are_padded_base64() {
        // RFC 4648, 10.
        for (bytes, text) in [
            ("", ""),
            ("f", "Zg=="),
            ("fo", "Zm8="),
            ("foo", "Zm9v"),
            ("foob", "Zm9vYg=="),
            ("fooba", "Zm9vYmE="),
            ("foobar", "Zm9vYmFy"),
        ] {
            assert_eq!(json(&Value::Bytes(EcoVec::from(bytes.as_bytes()))), format!("\"{text}\""));
        }
    }
}
