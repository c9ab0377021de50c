//! The bodies of events, read as the link's user wants them (warp.md, 6).

use crate::links::Operation;
use crate::recon::read_body;
use crate::serve::behind;
use crate::value::Value;

use super::Shape;

/// What an event's body says. None: nothing that a lane of this kind tells, which is passed over, as in Swim.
///
/// Errors: it is no Recon.
pub fn operation(shape: Shape, body: &str) -> Result<Option<Operation>, String> {
    let value = read_body(body).map_err(|error| error.to_string())?;
    Ok(match shape {
        Shape::Value => Some(Operation::Value(value)),
        Shape::Event => Some(Operation::Body(value)),
        Shape::Map => in_map(&value),
        Shape::List => in_list(&value),
    })
}

/// An operation's name, what stands in its parentheses, and what stands behind them.
fn parts(value: &Value) -> Option<(&str, &Value, Value)> {
    let Value::Map(members) = value else { return None };
    let (name, argument) = members.first()?;
    Some((name, argument, behind(&members[1..])))
}

fn slot(argument: &Value, wanted: &str) -> Option<Value> {
    let Value::Map(slots) = argument else { return None };
    slots.iter().find(|(name, _)| name == wanted).map(|(_, value)| value.clone())
}

fn whole(value: &Value) -> Option<usize> {
    match value {
        Value::Int(count) => usize::try_from(*count).ok(),
        _ => None,
    }
}

fn in_map(value: &Value) -> Option<Operation> {
    let (name, argument, behind) = parts(value)?;
    match name {
        "@update" => Some(Operation::Update(slot(argument, "key")?, behind)),
        "@remove" => Some(Operation::Remove(slot(argument, "key")?)),
        _ => in_bulk(name, argument),
    }
}

fn in_list(value: &Value) -> Option<Operation> {
    let (name, argument, behind) = parts(value)?;
    let place = |wanted: &str| u32::try_from(whole(&slot(argument, wanted)?)?).ok();
    let key = || slot(argument, "key").unwrap_or_default();
    match name {
        "@update" => Some(Operation::Element { index: place("index")?, key: key(), value: behind }),
        "@move" => Some(Operation::Move { from: place("from")?, to: place("to")?, key: key() }),
        "@remove" => Some(Operation::Out { index: place("index")?, key: key() }),
        _ => in_bulk(name, argument),
    }
}

fn in_bulk(name: &str, argument: &Value) -> Option<Operation> {
    match name {
        "@clear" => Some(Operation::Clear),
        "@take" => whole(argument).map(Operation::Take),
        "@drop" => whole(argument).map(Operation::Drop),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(shape: Shape, body: &str) -> Option<Operation> {
        operation(shape, body).unwrap()
    }

    fn text(text: &str) -> Value {
        Value::Text(text.into())
    }

    #[test]
    fn each_kind_of_lane_has_its_operations() {
        assert_eq!(read(Shape::Value, ""), Some(Operation::Value(Value::Null)));
        assert_eq!(read(Shape::Value, "@update(key:a) 1").map(|told| matches!(told, Operation::Value(_))), Some(true));
        assert_eq!(read(Shape::Event, " 5"), Some(Operation::Body(Value::Int(5))));
        for (body, told) in [
            ("@update(key:a) 1", Operation::Update(text("a"), Value::Int(1))),
            ("@update(key:a)", Operation::Update(text("a"), Value::Null)),
            ("@remove(key:5)", Operation::Remove(Value::Int(5))),
            ("@clear", Operation::Clear),
            ("@take(3)", Operation::Take(3)),
            ("@drop(1)", Operation::Drop(1)),
        ] {
            assert_eq!(read(Shape::Map, body), Some(told), "{body}");
        }
        for (body, told) in [
            ("@update(index:2,key:k)x", Operation::Element { index: 2, key: text("k"), value: text("x") }),
            ("@update(index:2) x", Operation::Element { index: 2, key: Value::Null, value: text("x") }),
            ("@move(from:2,to:0,key:k)", Operation::Move { from: 2, to: 0, key: text("k") }),
            ("@remove(index:1,key:k)", Operation::Out { index: 1, key: text("k") }),
            ("@clear", Operation::Clear),
        ] {
            assert_eq!(read(Shape::List, body), Some(told), "{body}");
        }
    }

    #[test]
    fn a_body_that_no_lane_of_the_kind_tells_is_passed_over() {
        for (shape, body) in [
            (Shape::Map, " 5"),
            (Shape::Map, "@update(a) 1"),
            (Shape::Map, "@take(-1)"),
            (Shape::List, "@update(key:a) 1"),
            (Shape::List, "@move(from:-1,to:0)"),
        ] {
            assert_eq!(read(shape, body), None, "{body}");
        }
        for (shape, body) in [(Shape::Map, "@update(key:"), (Shape::Value, "\"x")] {
            assert!(operation(shape, body).is_err(), "{body}");
        }
    }
}
