//! What may be done to a list lane from outside (warp.md, 6), as one tree however it was written: `["update", index, key,
//! value]`, `["move", from, to, key]`, `["remove", index, key]` or `["set", value, …]`. An index or a key that was left out
//! is null.

use ecow::EcoString;

use super::behind;
use crate::envelope::{Body, Bulk};
use crate::recon;
use crate::value::Value;

pub(crate) const TAKES: &str = "a list lane takes @update(index:…,key:…) value, @move(from:…,to:…,key:…), \
                                @remove(index:…,key:…), @clear, @take(n) and @drop(n); one of index and key may be left out";

const TAKES_JSON: &str = "a list lane takes [value, …] for the whole of it, {\"index\": …, \"value\": …}, {\"value\": …} for the \
                          end, {\"from\": …, \"to\": …}, {\"index\": …, \"removed\": true}, {\"cleared\": true}, {\"take\": …} and \
                          {\"drop\": …}; \"key\": … may stand beside or instead of an index";

/// A body of WARP as it was read. None: it is no operation. Errors: it is no Recon.
pub(super) fn tagged(body: &str) -> Result<Option<Body>, String> {
    let tree = recon::read_body(body).map_err(|error| error.to_string())?;
    // as the whole operation is looked at again where its lane is known, the tree itself goes on
    Ok(of_tags(&tree).map(|_| Body::Tree(tree)))
}

/// An operation by its tags, or as JSON has it; the reason why it is none.
pub(crate) fn operation(tree: &Value) -> Result<Body, &'static str> {
    match tree {
        Value::List(values) => {
            let what = std::iter::once(Value::Text("set".into()));
            Ok(Body::Tree(Value::List(what.chain(values.iter().cloned()).collect())))
        }
        Value::Map(members) if !members.first().is_some_and(|(name, _)| name.starts_with('@')) => {
            of_members(members).ok_or(TAKES_JSON)
        }
        Value::Map(_) => of_tags(tree).ok_or(TAKES),
        _ => Err(TAKES_JSON),
    }
}

fn of_tags(tree: &Value) -> Option<Body> {
    let Value::Map(members) = tree else { return None };
    let (name, argument) = members.first()?;
    let slot = |name: &str| match argument {
        Value::Map(slots) => member(slots, name),
        _ => None,
    };
    match name.as_str() {
        "@update" if slot("index").is_some() || slot("key").is_some() => {
            Some(tree_of("update", [index(slot("index"))?, any(slot("key")), behind(&members[1..])]))
        }
        "@move" => Some(tree_of("move", [place(slot("from"))?, place(slot("to"))?, any(slot("key"))])),
        "@remove" if slot("index").is_some() || slot("key").is_some() => {
            Some(tree_of("remove", [index(slot("index"))?, any(slot("key"))]))
        }
        "@clear" => Some(Body::Bulk(Bulk::Clear)),
        "@take" => count(argument).map(|count| Body::Bulk(Bulk::Take(count))),
        "@drop" => count(argument).map(|count| Body::Bulk(Bulk::Drop(count))),
        _ => None,
    }
}

fn of_members(members: &[(EcoString, Value)]) -> Option<Body> {
    let slot = |name: &str| member(members, name);
    if let Some(value) = slot("value") {
        return Some(tree_of("update", [index(slot("index"))?, any(slot("key")), value.clone()]));
    }
    if let Some(to) = slot("to") {
        let from = if slot("key").is_some() { Some(slot("from").unwrap_or(&Value::Int(0))) } else { slot("from") };
        return Some(tree_of("move", [place(from)?, place(Some(to))?, any(slot("key"))]));
    }
    if slot("removed") == Some(&Value::Bool(true)) && (slot("index").is_some() || slot("key").is_some()) {
        return Some(tree_of("remove", [index(slot("index"))?, any(slot("key"))]));
    }
    if slot("cleared") == Some(&Value::Bool(true)) {
        return Some(Body::Bulk(Bulk::Clear));
    }
    let take = slot("take").and_then(count).map(Bulk::Take);
    take.or_else(|| slot("drop").and_then(count).map(Bulk::Drop)).map(Body::Bulk)
}

fn member<'a>(members: &'a [(EcoString, Value)], name: &str) -> Option<&'a Value> {
    members.iter().find(|(known, _)| known == name).map(|(_, value)| value)
}

fn tree_of<const N: usize>(what: &str, rest: [Value; N]) -> Body {
    Body::Tree(Value::List(std::iter::once(Value::Text(what.into())).chain(rest).collect()))
}

fn any(value: Option<&Value>) -> Value {
    value.cloned().unwrap_or_default()
}

/// An index that may be left out. None: it is none.
fn index(value: Option<&Value>) -> Option<Value> {
    value.map_or(Some(Value::Null), |value| place(Some(value)))
}

fn place(value: Option<&Value>) -> Option<Value> {
    match value? {
        Value::Int(index) => Some(Value::Int(*index)),
        _ => None,
    }
}

fn count(value: &Value) -> Option<usize> {
    match value {
        Value::Int(count) => usize::try_from(*count).ok(),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of_recon(text: &str) -> Result<Body, &'static str> {
        operation(&recon::read_body(text).unwrap())
    }

    #[test]
    fn an_operation_is_the_same_in_recon_and_in_json() {
        for (text, json) in [
            ("@update(index:1,key:k) milk", r#"{"index":1,"key":"k","value":"milk"}"#),
            ("@update(index:1) milk", r#"{"index":1,"value":"milk"}"#),
            ("@update(key:k){a:1}", r#"{"key":"k","value":{"a":1}}"#),
            ("@move(from:0,to:2,key:k)", r#"{"from":0,"to":2,"key":"k"}"#),
            ("@move(from:0,to:2)", r#"{"from":0,"to":2}"#),
            ("@remove(index:0)", r#"{"index":0,"removed":true}"#),
            ("@remove(key:k)", r#"{"key":"k","removed":true}"#),
            ("@clear", r#"{"cleared":true}"#),
            ("@take(2)", r#"{"take":2}"#),
            ("@drop(1)", r#"{"drop":1}"#),
        ] {
            let json = crate::decode::parse_tree(json.as_bytes()).unwrap();
            assert_eq!(of_recon(text).unwrap(), operation(&json).unwrap(), "{text}");
            assert!(matches!(tagged(text), Ok(Some(_))), "{text}");
        }
    }

    #[test]
    fn what_is_no_operation_on_a_list_is_refused() {
        for text in
            ["@insert(index:0) w", "@update w", "@update(index:a) w", "@move(from:0)", "@take(-1)", "@remove", "w"]
        {
            assert!(of_recon(text).is_err(), "{text}");
            assert_eq!(tagged(text), Ok(None), "{text}");
        }
        assert_eq!(tagged("{a,b}"), Ok(None), "a list is no operation of WARP's");
        assert!(matches!(of_recon("{a,b}"), Ok(Body::Tree(Value::List(_)))));
    }
}
