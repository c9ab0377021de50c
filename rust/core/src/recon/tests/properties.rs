//! What holds for every text and every value.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::body::{BodyType, Field, Kind, Plan, Record};
use crate::decode::{decode_json, parse_tree, write_json};
use crate::value::Value;

/// A text's worth of Recon: tokens in any order.
fn tokens() -> impl Strategy<Value = String> {
    let token = prop::sample::select(vec![
        "{",
        "}",
        "[",
        "]",
        "(",
        ")",
        "@",
        "@a",
        "@a(",
        ",",
        ";",
        ":",
        "\n",
        " ",
        "\"",
        "'",
        "`",
        "```",
        "\\",
        "#",
        "%",
        "%AA==",
        "-",
        "0",
        "1",
        "0x1",
        "1.5",
        "1e9",
        "true",
        "a",
        "b:",
        "é",
        "\u{2028}",
        "\"x y\"",
        "$",
        "+",
        "*",
        "!",
        "~",
        "&&",
        "|",
        "^",
        "==",
        "=>",
        "<",
        ">",
        "?",
        " : ",
        "f(",
        "$a",
        ".b",
        "#0",
        "$*",
        "{a:1,b:\"x\"}",
        "\t",
    ]);
    prop::collection::vec(token, 0..24).prop_map(|tokens| tokens.concat())
}

fn scalar() -> impl Strategy<Value = Tree> {
    prop_oneof![
        Just(Tree::Extant),
        any::<bool>().prop_map(Tree::Bool),
        any::<i64>().prop_map(|x| Tree::Number(Number::Int(x))),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| Tree::Number(Number::Float(x))),
        any::<u32>().prop_map(|x| Tree::Number(Number::Uint32(x))),
        any::<u64>().prop_map(|x| Tree::Number(Number::Uint64(x))),
        "-?[1-9][0-9]{20,30}".prop_map(|digits| Tree::Number(Number::Big(digits.into()))),
        any_text().prop_map(|text| Tree::Text(text.into())),
        prop::collection::vec(any::<u8>(), 0..9).prop_map(|bytes| Tree::Data(bytes.as_slice().into())),
    ]
}

fn any_text() -> impl Strategy<Value = String> {
    prop_oneof!["[a-z]{0,8}", ".{0,12}", Just("true".to_string()), Just("a\n\"\\\u{1}".to_string())]
}

fn tree() -> impl Strategy<Value = Tree> {
    scalar().prop_recursive(4, 40, 5, |inner| {
        let item = prop_oneof![
            (any_text(), inner.clone()).prop_map(|(name, value)| Item::Attr(name.into(), value)),
            (inner.clone(), inner.clone()).prop_map(|(key, value)| Item::Slot(key, value)),
            (any_text(), inner.clone()).prop_map(|(key, value)| Item::Slot(Tree::Text(key.into()), value)),
            inner.prop_map(Item::Value),
        ];
        prop::collection::vec(item, 0..6).prop_map(Tree::Record)
    })
}

/// As a text gives it back: whole floats are whole numbers.
fn read_back(tree: Tree) -> Tree {
    match tree {
        Tree::Number(Number::Float(x)) if x.fract() == 0.0 && x.abs() < 9_007_199_254_740_992.0 => {
            if x == 0.0 && x.is_sign_negative() { tree } else { Tree::Number(Number::Int(x as i64)) }
        }
        mut other => {
            children(&mut other).into_iter().for_each(|tree| *tree = read_back(std::mem::replace(tree, Tree::Absent)));
            other
        }
    }
}

/// The trees that a tree is made of.
fn children(tree: &mut Tree) -> Vec<&mut Tree> {
    match tree {
        Tree::Record(items) => items
            .iter_mut()
            .flat_map(|item| match item {
                Item::Slot(key, value) => vec![key, value],
                Item::Attr(_, value) | Item::Value(value) => vec![value],
            })
            .collect(),
        Tree::Operation(operation) => match &mut **operation {
            Operation::Prefix(_, a) => vec![a],
            Operation::Infix(_, a, b) | Operation::Invoke(a, b) | Operation::Lambda(a, b) => vec![a, b],
            Operation::Conditional(a, b, c) => vec![a, b, c],
        },
        Tree::Selector(steps) => steps
            .iter_mut()
            .filter_map(|step| match step {
                Step::Get(value) | Step::Filter(value) | Step::Literal(value) => Some(value),
                _ => None,
            })
            .collect(),
        _ => vec![],
    }
}

/// JSON as Recon brings it back: `[]` as `{}`, whole floats as whole numbers, `"@a"` before other members.
fn carried(value: &Value) -> Value {
    match value {
        Value::Float(x) => match read_back(Tree::Number(Number::Float(*x))) {
            Tree::Number(Number::Int(x)) => Value::Int(x),
            _ => value.clone(),
        },
        Value::List(items) if items.is_empty() => Value::Map([].into()),
        Value::List(items) => Value::List(items.iter().map(carried).collect()),
        Value::Map(members) => {
            let (mut first, rest): (Vec<_>, Vec<_>) = members
                .iter()
                .map(|(name, member)| (name.clone(), carried(member)))
                .partition(|(name, _)| name.starts_with('@'));
            first.extend(rest);
            Value::Map(first.into())
        }
        other => other.clone(),
    }
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        any::<i64>().prop_map(Value::Int),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Value::Float),
        (-1e4..1e4_f64).prop_map(Value::Float),
        any_text().prop_map(|text| Value::Text(text.into())),
    ];
    let name = || prop_oneof!["[a-e]", ".{0,6}", "@[a-c]?", "\\$[0-3]", Just("true".to_string())];
    leaf.prop_recursive(4, 40, 6, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..5).prop_map(|items| Value::List(items.into())),
            prop::collection::hash_map(name(), inner, 0..6).prop_map(|members| Value::Map(
                members.into_iter().map(|(name, member)| (name.into(), member)).collect()
            )),
        ]
    })
}

fn field(name: &str, kind: Kind, nullable: bool, required: bool) -> Field {
    let declared = json!({ "name": name, "kind": "bool", "nullable": nullable, "required": required });
    Field { kind, ..serde_json::from_value(declared).unwrap() }
}

fn plans() -> Vec<Plan> {
    let record = BodyType::Record {
        fields: vec![
            field("a", Kind::Float, false, true),
            field("b", Kind::Text, true, false),
            field("c", Kind::Int, false, false),
            field("d", Kind::Bool, true, false),
            field("e", Kind::Time, false, false),
            field("f", Kind::Value, false, false),
        ],
    };
    let mut bodies = vec![record, BodyType::Nothing, BodyType::Tree { slots: 1 }];
    for kind in [Kind::Bool, Kind::Int, Kind::Float, Kind::Text, Kind::Time, Kind::IntChoice(vec![1, 2])] {
        bodies.push(BodyType::Scalar { kind: kind.clone(), nullable: false });
        bodies.push(BodyType::Scalar { kind, nullable: true });
    }
    let plan = |body| Plan { body, wanted: !2, extra: vec![], known: None, time_slot: None, zone: TimeZone::UTC };
    let mut plans: Vec<Plan> = bodies.into_iter().map(plan).collect();
    let extra = plans.iter().map(|plan| Plan { extra: vec!["x".into()], time_slot: Some(0), ..plan.clone() });
    let extra: Vec<_> = extra.collect();
    plans.extend(extra);
    plans
}

/// Each reader over the same text: none panics, they agree on the grammar, and positions lie in the text.
pub(crate) fn all_readers(text: &str) {
    let tree = read_tree(text);
    let checked = check(text, Rules::default());
    match &checked {
        Err(error) if error.reason.contains("expressions are not supported") => {}
        _ => assert_eq!(tree.as_ref().err(), checked.as_ref().err(), "{text:?}"),
    }
    for error in [read(text).err(), read_body(text).err(), check_body(text).err(), checked.err()].into_iter().flatten()
    {
        assert!(error.offset <= text.len() && !error.reason.is_empty(), "{text:?}: {error:?}");
    }
    let mut out = Record::default();
    for plan in plans() {
        if let Err(invalid) = decode_recon(&plan, text.as_bytes(), &mut out) {
            assert!(invalid.offset <= text.len(), "{text:?}: {invalid:?}");
        }
    }
    if let Ok(tree) = tree {
        // Java's forms need not read back, but writing them must end well.
        text_of(|out| write_canonical(&tree, out));
        text_of(|out| write_block(&tree, out));
        json(text_of(|out| write_tagged(&tree, out)).as_bytes());
        let written = text_of(|out| write_tree(&tree, out));
        let again = read_tree(&written).unwrap_or_else(|error| panic!("{text:?} -> {written:?}: {error}"));
        let absent = |tree: Tree| if tree == Tree::Extant { Tree::Absent } else { tree };
        let mut expected = read_back(tree);
        finite(&mut expected);
        assert_eq!(again, absent(expected), "{text:?} -> {written:?}");
    }
}

/// Infinities are written as text.
fn finite(tree: &mut Tree) {
    match tree {
        Tree::Number(Number::Float(x)) if x.is_infinite() => {
            *tree = Tree::text(if *x > 0.0 { "Infinity" } else { "-Infinity" });
        }
        other => children(other).into_iter().for_each(finite),
    }
}

fn text_of(write: impl FnOnce(&mut Vec<u8>)) -> String {
    text(write)
}

/// Slots as both readers give them: a float for what is whole and a whole number are the same.
fn alike(a: &Value, b: &Value) -> bool {
    carried(a) == carried(b)
}

proptest! {
    #[test]
    fn any_text_is_safe(text in tokens()) {
        all_readers(&text);
    }

    #[test]
    fn any_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        all_readers(&String::from_utf8_lossy(&bytes));
        let mut out = Record::default();
        for plan in plans() {
            let _ = decode_recon(&plan, &bytes, &mut out);
        }
    }

    #[test]
    fn a_structure_comes_back(tree in tree()) {
        let written = text_of(|out| write_tree(&tree, out));
        let read = read_tree(&written).map_err(|error| TestCaseError::fail(format!("{written}: {error}")))?;
        let expected = read_back(tree);
        prop_assert_eq!(if read == Tree::Absent { Tree::Extant } else { read }, expected, "{}", written);
    }

    #[test]
    fn json_comes_back(value in value()) {
        let written = text_of(|out| write_interop(&value, out));
        let read = read(&written).map_err(|error| TestCaseError::fail(format!("{written}: {error}")))?;
        prop_assert_eq!(read, carried(&value), "{}", written);
        let body = text_of(|out| write_body(&value, out));
        let read = read_body(&body).map_err(|error| TestCaseError::fail(format!("{body}: {error}")))?;
        prop_assert_eq!(read, carried(&value), "{}", body);
        // Behind a header, too.
        let frame = format!("@event(node:\"/x\",lane:y){body}");
        prop_assert_eq!(crate::warp::read(&frame).unwrap().body, body.trim());
        prop_assert!(check_body(&body).is_ok());
    }

    #[test]
    fn a_text_cut_anywhere_is_safe(tree in tree()) {
        let written = text_of(|out| write_tree(&tree, out));
        for end in (0..written.len()).filter(|end| written.is_char_boundary(*end)) {
            let _ = read_tree(&written[..end]);
            let _ = check_body(&written[..end]);
        }
    }

    /// What JSON's decoder takes, Recon's takes, into the same slots.
    #[test]
    fn bodies_decode_as_their_json_does(value in prop_oneof![value(), body()]) {
        let mut text = Vec::new();
        write_json(&value, &mut text);
        // Numbers as JSON's reader gives them.
        let value = parse_tree(&text).unwrap();
        let body = text_of(|out| write_body(&value, out));
        for plan in plans() {
            let (mut theirs, mut ours) = (Record::default(), Record::default());
            let json = decode_json(&plan, &text, &mut theirs);
            let recon = decode_recon(&plan, body.as_bytes(), &mut ours);
            let list = |value: &Value| matches!(value, Value::List(items) if items.is_empty());
            let no_body = value.is_null() && matches!(plan.body, BodyType::Record { .. });
            if list(&value) || no_body {
                continue; // an empty list is `{}`; no body is a record without fields
            }
            if let (Value::Map(members), BodyType::Scalar { .. } | BodyType::Record { .. }) = (&value, &plan.body)
                && members.iter().any(|(_, member)| list(member))
            {
                continue;
            }
            prop_assert_eq!(json.is_ok(), recon.is_ok(), "{:?} {:?}: {:?} {:?}", plan.body, body, json, recon);
            if json.is_ok() {
                prop_assert_eq!(theirs.given, ours.given);
                let pairs = theirs.slots.iter().zip(&ours.slots).chain(theirs.extra.iter().zip(&ours.extra));
                for (theirs, ours) in pairs.chain([(&theirs.tree, &ours.tree)]) {
                    prop_assert!(alike(theirs, ours), "{:?} {:?}: {:?} {:?}", plan.body, body, theirs, ours);
                }
            }
        }
    }

    #[test]
    fn floats_come_back(x in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
        let written = text_of(|out| write_f64(x, out));
        let read = match read(&written).unwrap() {
            Value::Int(x) => x as f64,
            Value::Float(x) => x,
            other => return Err(TestCaseError::fail(format!("{written}: {other:?}"))),
        };
        prop_assert_eq!(read.to_bits(), x.to_bits(), "{}", written);
        let plain = x.fract() != 0.0 && (1e-7..1e21).contains(&x.abs());
        prop_assert!(!plain || !written.contains(['e', 'E']), "{}", written);
    }
}

/// Objects near what the plans declare.
fn body() -> impl Strategy<Value = Value> {
    let member = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        (-3..4_i64).prop_map(Value::Int),
        (-9..9_i32).prop_map(|x| Value::Float(f64::from(x) / 2.0)),
        Just(Value::Text("2021-10-07T10:00:00Z".into())),
        "[a-z ]{0,3}".prop_map(|text| Value::Text(text.into())),
        Just(Value::List([Value::Int(1)].into())),
    ];
    let name = prop::sample::select(vec!["a", "b", "c", "d", "e", "f", "x", "other", "@tag"]);
    prop::collection::hash_map(name, member, 0..7)
        .prop_map(|members| Value::Map(members.into_iter().map(|(name, member)| (name.into(), member)).collect()))
}
