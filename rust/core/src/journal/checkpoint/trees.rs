//! Trees as JSON that loses nothing: whole numbers stay whole, reals real (`3.0`), members in their order. What JSON has no
//! word for is an object of one member: `{"$time":µs}`, `{"$point":[lat,lon]}`, `{"$bytes":"base64"}`. A key that begins with
//! `$` has one `$` more before it.

use std::sync::Arc;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ecow::EcoString;
use serde::Serialize;

use crate::decode::parse_deep_tree;
use crate::value::Value;

/// Levels beyond those of a record: what a fold puts around its values, and what stands for a point.
const LEVELS: u8 = 64;

pub(super) fn write(tree: &Value, out: &mut Vec<u8>) {
    match tree {
        Value::Null => out.extend_from_slice(b"null"),
        Value::Bool(x) => plain(x, out),
        Value::Int(x) => plain(x, out),
        Value::Float(x) => plain(x, out),
        Value::Text(x) => plain(x.as_str(), out),
        Value::Time(x) => {
            out.extend_from_slice(b"{\"$time\":");
            plain(x, out);
            out.push(b'}');
        }
        Value::Point(lat, lon) => {
            out.extend_from_slice(b"{\"$point\":");
            plain(&[lat, lon], out);
            out.push(b'}');
        }
        Value::Bytes(bytes) => {
            out.extend_from_slice(b"{\"$bytes\":\"");
            out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
            out.extend_from_slice(b"\"}");
        }
        Value::List(items) => {
            out.push(b'[');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write(item, out);
            }
            out.push(b']');
        }
        Value::Map(members) => {
            out.push(b'{');
            for (at, (key, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                match key.starts_with('$') {
                    true => plain(&format!("${key}"), out),
                    false => plain(key.as_str(), out),
                }
                out.push(b':');
                write(member, out);
            }
            out.push(b'}');
        }
    }
}

/// It cannot fail for these into a Vec.
fn plain<T: Serialize + ?Sized>(value: &T, out: &mut Vec<u8>) {
    let _ = serde_json::to_writer(out, value);
}

/// The tree that `write` wrote. Errors: it did not write this.
pub(super) fn read(text: &[u8]) -> Result<Value, String> {
    restored(parse_deep_tree(text, LEVELS).map_err(|invalid| invalid.reason.to_string())?)
}

fn restored(tree: Value) -> Result<Value, String> {
    match tree {
        Value::List(items) => Ok(Value::List(items.iter().cloned().map(restored).collect::<Result<_, _>>()?)),
        Value::Map(members) => match members.first() {
            Some((key, _)) if key.starts_with('$') && !key.starts_with("$$") => special(&members),
            _ => {
                let member = |(key, member): &(EcoString, Value)| {
                    let key = key.strip_prefix('$').map_or_else(|| key.clone(), EcoString::from);
                    restored(member.clone()).map(|member| (key, member))
                };
                let members: Arc<[_]> = members.iter().map(member).collect::<Result<_, _>>()?;
                Ok(Value::Map(members))
            }
        },
        scalar => Ok(scalar),
    }
}

fn special(members: &[(EcoString, Value)]) -> Result<Value, String> {
    let [(key, value)] = members else { return Err("an object begins with a `$` that stands for nothing".into()) };
    match (key.as_str(), value) {
        ("$time", Value::Int(x)) => Ok(Value::Time(*x)),
        ("$point", Value::List(pair)) => match &pair[..] {
            [Value::Float(lat), Value::Float(lon)] => Ok(Value::Point(*lat, *lon)),
            _ => Err("`$point` stands for two reals".into()),
        },
        ("$bytes", Value::Text(text)) => {
            let bytes = STANDARD.decode(text.as_bytes()).map_err(|error| format!("`$bytes`: {error}"))?;
            Ok(Value::Bytes(bytes.as_slice().into()))
        }
        _ => Err(format!("`{key}` stands for nothing")),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn written(tree: &Value) -> String {
        let mut out = Vec::new();
        write(tree, &mut out);
        String::from_utf8(out).unwrap()
    }

    /// Equal values of another kind, or zeros of another sign, differ here.
    fn shown(tree: &Value) -> String {
        format!("{tree:?}")
    }

    pub(crate) fn tree() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::Bool),
            any::<i64>().prop_map(Value::Int),
            any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::Float),
            prop::sample::select(vec![0.0, -0.0, 3.0, 1e300, 5e-324]).prop_map(Value::Float),
            any::<i64>().prop_map(Value::Time),
            (-90.0..90.0, -180.0..360.0).prop_map(|(lat, lon)| Value::Point(lat, lon)),
            Just(Value::Point(-0.0, 5.0)),
            any::<String>().prop_map(|x| Value::Text(x.as_str().into())),
            prop::collection::vec(any::<u8>(), 0..20).prop_map(|x| Value::Bytes(x.as_slice().into())),
        ];
        let key = prop_oneof![
            any::<String>(),
            prop::sample::select(vec!["$time", "$$time", "$", "$point", "$bytes", "a", ""]).prop_map(str::to_owned),
        ];
        leaf.prop_recursive(4, 40, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..6).prop_map(|items| Value::List(items.into())),
                prop::collection::vec((key.clone(), inner), 0..6).prop_map(|mut members| {
                    let mut seen = std::collections::HashSet::new();
                    members.retain(|(key, _)| seen.insert(key.clone()));
                    Value::Map(members.into_iter().map(|(key, member)| (key.as_str().into(), member)).collect())
                }),
            ]
        })
    }

    proptest! {
        #[test]
        fn a_tree_is_read_as_it_was_written(tree in tree()) {
            let text = written(&tree);
            prop_assert_eq!(read(text.as_bytes()).map(|tree| shown(&tree)), Ok(shown(&tree)), "{}", text);
        }
    }

    #[test]
    fn what_json_has_no_word_for_is_an_object() {
        let map = |key: &str, value: Value| Value::Map([(key.into(), value)].into());
        assert_eq!(written(&Value::Time(-5)), r#"{"$time":-5}"#);
        assert_eq!(written(&Value::Point(52.0, 13.5)), r#"{"$point":[52.0,13.5]}"#);
        assert_eq!(written(&Value::Bytes(b"foo".as_slice().into())), r#"{"$bytes":"Zm9v"}"#);
        assert_eq!(written(&map("$time", Value::Int(1))), r#"{"$$time":1}"#);
        assert_eq!(read(br#"{"$$time":1}"#), Ok(map("$time", Value::Int(1))));
        for wrong in [r#"{"$time":1.0}"#, r#"{"$other":1}"#, r#"{"$time":1,"a":2}"#, r#"{"$bytes":"!"}"#, "[1", "1 2"] {
            assert!(read(wrong.as_bytes()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn the_deepest_tree_that_a_lane_takes_is_read_again() {
        let mut tree = Value::Point(1.0, 2.0);
        for _ in 0..crate::recon::MAX_DEPTH + 8 {
            tree = Value::List([tree].into());
        }
        assert_eq!(read(written(&tree).as_bytes()), Ok(tree));
    }
}
