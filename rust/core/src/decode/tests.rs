//! Whole records: what is taken, what is refused and in which words.

use jiff::tz::TimeZone;
use proptest::prelude::*;

use super::*;
use crate::body::{BodyType, Field, Kind, Plan, Record};
use crate::value::Value;

fn field(name: &str, kind: Kind) -> Field {
    Field { key: Key::new(name), name: name.into(), kind, nullable: false, required: false }
}

fn nullable(name: &str, kind: Kind) -> Field {
    Field { nullable: true, ..field(name, kind) }
}

fn required(name: &str, kind: Kind) -> Field {
    Field { required: true, ..field(name, kind) }
}

fn plan(body: BodyType) -> Plan {
    Plan { body, wanted: u64::MAX, extra: vec![], known: None, time_slot: None, zone: TimeZone::UTC }
}

fn one_of_each() -> Plan {
    plan(BodyType::Record {
        fields: vec![
            field("text", Kind::Text),
            field("float", Kind::Float),
            field("int", Kind::Int),
            field("bool", Kind::Bool),
            field("time", Kind::Time),
            field("color", Kind::TextChoice(vec!["red".into(), "green".into()])),
            field("level", Kind::IntChoice(vec![1, 2])),
            nullable("speed", Kind::Float),
        ],
    })
}

fn decode(plan: &Plan, text: impl AsRef<[u8]>) -> Result<Record, Invalid> {
    let mut record = Record::default();
    decode_json(plan, text.as_ref(), &mut record).map(|()| record)
}

fn refused(plan: &Plan, text: impl AsRef<[u8]>) -> String {
    decode(plan, text).expect_err("must be refused").reason
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

/// `{"FIELD": VALUE}` in a record of one of each kind: the value of the field, or the reason.
fn one(field: &str, value: &str) -> Result<Value, String> {
    let plan = one_of_each();
    let BodyType::Record { fields } = &plan.body else { unreachable!() };
    let i = fields.iter().position(|f| f.name == field).unwrap();
    decode(&plan, format!("{{\"{field}\": {value}}}")).map(|record| record.slots[i].clone()).map_err(|e| e.reason)
}

#[test]
fn a_record_fills_its_slots_in_any_order_and_spacing() {
    let plan = one_of_each();
    let expected = [
        text("a"),
        Value::Float(1.5),
        Value::Int(-7),
        Value::Bool(true),
        Value::Time(0),
        text("green"),
        Value::Int(2),
        Value::Null,
    ];
    let tidy = r#"{"text": "a", "float": 1.5, "int": -7, "bool": true, "time": "1970-01-01T00:00:00Z", "color": "green", "level": 2, "speed": null}"#;
    let tight = tidy.replace(": ", ":").replace(", ", ",");
    let wide =
        tidy.replace(':', " \t:\r\n  ").replace("1970-01-01T00 \t:\r\n  00 \t:\r\n  00Z", "1970-01-01T00:00:00Z");
    let mixed = r#" {"speed":null,"level": 2.0 , "color":"gr\u0065en", "extra": [{"a":1}], "time": "1970-01-01T00:00:00Z", "bool": true, "in\u0074": -7, "float":15e-1, "text":"\u0061"}
"#;
    for json in [tidy, &tight, &wide, mixed, &format!("\u{feff}{tidy}\r\n")] {
        let record = decode(&plan, json).unwrap();
        assert_eq!(record.slots, expected, "{json}");
        assert_eq!(record.given, 0xFF, "{json}");
    }
}

#[test]
fn a_reused_record_keeps_nothing_of_the_one_before() {
    let plan = one_of_each();
    let mut record =
        decode(&plan, r#"{"text": "a text that is too long to be inline", "float": 1.5, "int": 1}"#).unwrap();
    let kept = record.slots[0].clone();
    decode_json(&plan, br#"{"text": "b"}"#, &mut record).unwrap();
    assert_eq!((record.given, &record.slots[..3]), (1, &[text("b"), Value::Null, Value::Null][..]));
    assert_eq!(kept, text("a text that is too long to be inline"));
    decode_json(&super::tests::plan(BodyType::Tree { slots: 2 }), b"[1]", &mut record).unwrap();
    assert_eq!((record.slots.len(), record.given), (2, 0));
    decode_json(&plan, b"{}", &mut record).unwrap();
    assert_eq!(record, Record { slots: vec![Value::Null; 8], ..Record::default() });
}

#[test]
fn types_do_not_bend() {
    assert_eq!(one("float", "3"), Ok(Value::Float(3.0)));
    assert_eq!(one("float", "-0"), Ok(Value::Float(0.0)));
    assert_eq!(one("int", "3.0"), Ok(Value::Int(3)));
    assert_eq!(one("int", "3e2"), Ok(Value::Int(300)));
    assert_eq!(one("int", "9223372036854775807"), Ok(Value::Int(i64::MAX)));
    assert_eq!(one("text", "\"\""), Ok(text("")));
    assert_eq!(
        one("text", "\"\\ud83d\\ude00 \\\" \\\\ \\/ \\b\\f\\n\\r\\t é\""),
        Ok(text("😀 \" \\ / \u{8}\u{c}\n\r\t é"))
    );
    for (field, value, reason) in [
        ("text", "1", "Expected `str`, got `int` - at `$.text`"),
        ("text", "1.5", "Expected `str`, got `float` - at `$.text`"),
        ("text", "null", "Expected `str`, got `null` - at `$.text`"),
        ("float", "\"3.5\"", "Expected `float`, got `str` - at `$.float`"),
        ("float", "true", "Expected `float`, got `bool` - at `$.float`"),
        ("float", "[1]", "Expected `float`, got `array` - at `$.float`"),
        ("float", "{}", "Expected `float`, got `object` - at `$.float`"),
        ("float", "1e999", "Number out of range - at `$.float`"),
        ("float", "-1e400", "Number out of range - at `$.float`"),
        ("float", "9223372036854775808", "Expected `int` within int64 - at `$.float`"),
        ("int", "3.5", "Expected `int`, got `float` - at `$.int`"),
        ("int", "1e16", "Expected `int`, got `float` - at `$.int`"),
        ("int", "true", "Expected `int`, got `bool` - at `$.int`"),
        ("int", "-9223372036854775809", "Expected `int` within int64 - at `$.int`"),
        ("bool", "1", "Expected `bool`, got `int` - at `$.bool`"),
        ("bool", "\"true\"", "Expected `bool`, got `str` - at `$.bool`"),
        ("time", "1633600800", "Expected `datetime`, got `int` - at `$.time`"),
        ("time", "\"noon\"", "Invalid RFC3339 encoded datetime - at `$.time`"),
        ("color", "\"blue\"", "Invalid enum value 'blue' - at `$.color`"),
        ("level", "3", "Invalid enum value 3 - at `$.level`"),
        ("level", "\"1\"", "Expected `int`, got `str` - at `$.level`"),
        ("speed", "\"a\"", "Expected `float | null`, got `str` - at `$.speed`"),
    ] {
        assert_eq!(one(field, value), Err(reason.to_string()), "{field} {value}");
    }
}

#[test]
fn only_required_fields_must_be_there() {
    let plan = plan(BodyType::Record { fields: vec![required("id", Kind::Text), field("x", Kind::Int)] });
    assert_eq!(refused(&plan, r#"{"x": 1}"#), "Object missing required field `id`");
    assert_eq!(decode(&plan, r#"{"id": "a"}"#).unwrap().given, 1);
    for (json, got) in
        [("[]", "array"), ("1", "int"), ("1.5", "float"), ("\"a\"", "str"), ("null", "null"), ("true", "bool")]
    {
        assert_eq!(refused(&plan, json), format!("Expected `object`, got `{got}`"));
    }
}

#[test]
fn what_is_not_wanted_is_checked_all_the_same() {
    let plan = Plan { wanted: 0b10, ..one_of_each() };
    let record = decode(&plan, r#"{"text": "a", "float": 1.5, "int": 3}"#).unwrap();
    assert_eq!((record.given, &record.slots[..3]), (0b111, &[Value::Null, Value::Float(1.5), Value::Null][..]));
    for json in [&br#"{"text": 1}"#[..], br#"{"int": 1.5}"#, b"{\"text\": \"\xff\"}", br#"{"color": "blue"}"#] {
        assert!(decode(&plan, json).is_err());
    }
}

#[test]
fn a_key_twice_is_refused_wherever_it_stands() {
    let all = one_of_each();
    for json in [
        r#"{"int": 1, "int": 1}"#,
        r#"{"int": 1, "float": 1, "in\u0074": 1}"#,
        r#"{"x": 1, "int": 1, "x": 2}"#,
        r#"{"x": 1, "\u0078": 2}"#,
        r#"{"\u0078": 1, "\u0078": 2}"#,
        r#"{"y": {"x": 1, "x": 2}}"#,
        r#"{"y": [{}, {"a": {"": 1, "": 2}}]}"#,
    ] {
        assert!(refused(&all, json).contains("twice"), "{json}");
        assert!(parse_tree(json.as_bytes()).unwrap_err().reason.contains("twice"), "{json}");
    }
    for json in
        [r#"{"x": {"x": {"x": 1}}, "y": {"x": 1}}"#, r#"{"y": [{"x": 1}, {"x": 2}], "x": 1}"#, r#"{"a\\": 1, "a": 2}"#]
    {
        decode(&all, json).unwrap();
        parse_tree(json.as_bytes()).unwrap();
    }
    // More keys than are compared pair by pair.
    let many: Vec<_> = (0..100).map(|i| format!("\"key {i}\": 0")).collect();
    decode(&all, format!("{{{}}}", many.join(", "))).unwrap();
    let again = decode(&all, format!("{{{}, \"key 42\": 1}}", many.join(", "))).unwrap_err();
    assert_eq!(again.offset, many.join(", ").len() + 4);
    assert_eq!(again.reason, format!("Object has the field `key 42` twice (byte {})", again.offset));
}

#[test]
fn a_name_that_json_must_escape_is_matched_unescaped_only() {
    let plan = plan(BodyType::Record {
        fields: vec![field("a\\n", Kind::Int), field("q\"", Kind::Int), field("\u{1}", Kind::Int)],
    });
    let record = decode(&plan, r#"{"a\\n": 1, "q\"": 2, "\u0001": 3}"#).unwrap();
    assert_eq!(record.slots, [Value::Int(1), Value::Int(2), Value::Int(3)]);
    assert_eq!(decode(&plan, "{\"a\\n\": 1      }").unwrap().given, 0);
    assert!(decode(&plan, "{\"x\": 1, \"q\"\": 1      }").is_err());
    assert!(decode(&plan, "{\"a\\\\n\": 1, \"q\"\": 1      }").is_err());
    assert!(decode(&plan, "{\"a\\\\n\": 1, \"q\\\"\": 1, \"\u{1}\": 1    }").is_err());
}

#[test]
fn malformed_text_is_refused_with_its_place() {
    let plan = one_of_each();
    for (json, offset, reason) in [
        ("", 0, "Input data was truncated"),
        ("   ", 3, "Input data was truncated"),
        ("{\"int\": 1", 9, "Input data was truncated"),
        ("{\"int\": 1} x", 12, "JSON is malformed: trailing characters (byte 12)"),
        ("{\"int\": 1,}", 10, "JSON is malformed: trailing comma in object (byte 10)"),
        ("{\"int\": 1 \"a\"", 10, "JSON is malformed: expected ',' or '}' (byte 10)"),
        ("{\"int\" 1}", 7, "JSON is malformed: expected ':' (byte 7)"),
        ("{int: 1}", 1, "JSON is malformed: object keys must be strings (byte 1)"),
        ("{,}", 1, "JSON is malformed: object keys must be strings (byte 1)"),
        ("{\"int\": 01}", 9, "JSON is malformed: invalid number (byte 9)"),
        ("{\"float\": NaN}", 10, "JSON is malformed: invalid character (byte 10)"),
        ("{\"float\": -Infinity}", 11, "JSON is malformed: invalid character (byte 11)"),
        ("{\"float\": 1.}", 12, "JSON is malformed: invalid number (byte 12)"),
        ("{\"text\": \"a\nb\"}", 11, "JSON is malformed: invalid character (byte 11)"),
        ("{\"text\": \"\\x\"}", 12, "JSON is malformed: invalid escape character in string (byte 12)"),
        ("{\"text\": \"\\ud800\"}", 16, "JSON is malformed: unexpected end of escaped utf-16 surrogate pair (byte 16)"),
        ("{\"text\": \"\\udc00\"}", 16, "JSON is malformed: invalid utf-16 surrogate pair (byte 16)"),
        ("{\"x\": [1,]}", 9, "JSON is malformed: trailing comma in array (byte 9)"),
        ("{\"x\": [1 2]}", 9, "JSON is malformed: expected ',' or ']' (byte 9)"),
        ("{\"x\": nul}", 7, "JSON is malformed: invalid character (byte 7)"),
        ("\u{feff}\u{feff}{}", 3, "JSON is malformed: invalid character (byte 3)"),
    ] {
        let invalid = decode(&plan, json).unwrap_err();
        assert_eq!((invalid.offset, &*invalid.reason), (offset, reason), "{json}");
    }
    assert_eq!(refused(&plan, b"{\"text\": \"a\xff\"}"), "Invalid UTF-8 in string (byte 11)");
    assert!(decode(&plan, b"{\"text\": \"\xed\xa0\x80\"}").is_err(), "a surrogate in UTF-8");
    assert!(decode(&plan, "{\"x\": \"é\"}".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<_>>()).is_err());
}

#[test]
fn undeclared_fields_are_only_parsed() {
    let plan = one_of_each();
    for json in [&br#"{"x": 1e999}"#[..], br#"{"x": 99999999999999999999}"#, b"{\"x\": \"\xff\", \"\xff\": 1}"] {
        decode(&plan, json).unwrap();
        assert!(parse_tree(json).is_err());
    }
}

#[test]
fn nesting_is_bounded() {
    let lists = |depth: usize| format!("{}{}", "[".repeat(depth), "]".repeat(depth));
    let objects = |depth: usize| format!("{}1{}", "{\"a\":".repeat(depth), "}".repeat(depth));
    for nested in [lists as fn(usize) -> String, objects] {
        assert!(parse_tree(nested(512).as_bytes()).is_ok());
        assert!(parse_tree(nested(513).as_bytes()).unwrap_err().reason.starts_with("Nested deeper than 512 levels"));
        assert!(decode(&one_of_each(), format!("{{\"x\": {}}}", nested(511))).is_ok());
        assert!(decode(&one_of_each(), format!("{{\"x\": {}}}", nested(512))).is_err());
    }
    assert!(parse_tree("[".repeat(1_000_000).as_bytes()).is_err());
}

#[test]
fn the_time_slot_also_takes_numbers() {
    let mut plan = plan(BodyType::Record { fields: vec![nullable("t", Kind::Time)] });
    plan.time_slot = Some(0);
    let time = |json: &str| {
        decode(&plan, format!("{{\"t\": {json}}}")).map(|record| record.slots[0].clone()).map_err(|e| e.reason)
    };
    for json in [
        "1633608000",
        "1633608000.0",
        "1633608000000",
        "1633608000000000",
        "\"2021-10-07T12:00:00Z\"",
        "\"2021-10-07 12:00:00\"",
    ] {
        assert_eq!(time(json), Ok(Value::Time(1_633_608_000_000_000)), "{json}");
    }
    assert_eq!(time("0.25"), Ok(Value::Time(250_000)));
    assert_eq!(time("null"), Ok(Value::Null));
    assert_eq!(time("1e300"), Err("Time out of range: it must lie in the years 1 to 9999 - at `$.t`".to_string()));
    assert_eq!(time("true"), Err("Expected `datetime | int | float | null`, got `bool` - at `$.t`".to_string()));
}

#[test]
fn extra_members_are_kept_beside_the_slots() {
    let keys = || vec!["id".into(), "t".into()];
    let record = Plan { extra: keys(), ..plan(BodyType::Record { fields: vec![field("x", Kind::Int)] }) };
    let nothing = Plan { extra: keys(), ..plan(BodyType::Nothing) };
    let tree = Plan { extra: keys(), ..plan(BodyType::Tree { slots: 1 }) };
    for plan in [&record, &nothing, &tree] {
        let decoded = decode(plan, r#"{"id": "a\u0062", "x": 1, "t": 7}"#).unwrap();
        assert_eq!(decoded.extra, [text("ab"), Value::Int(7)]);
        assert_eq!(decode(plan, r#"{"x": 1, "t": 1.5, "id": null}"#).unwrap().extra, [Value::Null, Value::Float(1.5)]);
        assert_eq!(refused(plan, r#"{"id": true}"#), "Expected `str | int | float`, got `bool` - at `$.id`");
        assert_eq!(refused(plan, r#"{"id": [1]}"#), "Expected `str | int | float`, got `array` - at `$.id`");
        assert!(refused(plan, r#"{"id": 1, "x": 1, "id": 1}"#).contains("twice"));
        assert!(refused(plan, r#"{"id": 9223372036854775808}"#).contains("int64"));
    }
}

#[test]
fn a_scalar_body_is_the_text_or_the_one_remaining_member() {
    let whole = plan(BodyType::Scalar { kind: Kind::Float, nullable: false });
    assert_eq!(decode(&whole, " 1.5 ").unwrap().slots, [Value::Float(1.5)]);
    assert_eq!(refused(&whole, "\"a\""), "Expected `float`, got `str`");
    assert_eq!(refused(&whole, "{}"), "Expected `float`, got `object`");
    assert_eq!(refused(&whole, "null"), "Expected `float`, got `null`");
    let keyed = Plan { extra: vec!["id".into()], ..whole };
    let record = decode(&keyed, r#"{"speed": 2, "id": 7}"#).unwrap();
    assert_eq!((record.slots, record.extra, record.given), (vec![Value::Float(2.0)], vec![Value::Int(7)], 1));
    assert_eq!(decode(&keyed, "2").unwrap().extra, [Value::Null]);
    let reason = |json| refused(&keyed, json);
    assert_eq!(reason(r#"{"id": 7}"#), "a body of a builtin type takes the one remaining field; found none");
    assert_eq!(
        reason(r#"{"a": "x", "id": 7, "b": 1}"#),
        "a body of a builtin type takes the one remaining field; found `a`, `b`"
    );
    assert_eq!(reason(r#"{"id": 7, "a": "x"}"#), "Expected `float`, got `str` - at `$.a`");
    assert!(reason(r#"{"id": 7, "a": 1, "a": 1}"#).contains("twice"));
    let optional = plan(BodyType::Scalar { kind: Kind::Text, nullable: true });
    assert_eq!(decode(&optional, "null").unwrap().slots, [Value::Null]);
}

#[test]
fn no_body_takes_anything_valid() {
    let plan = plan(BodyType::Nothing);
    for json in ["", " \n", "null", "{}", "{\"a\": [1]}", "7"] {
        assert_eq!(decode(&plan, json), Ok(Record::default()), "{json}");
    }
    for json in ["{", "x", "{} {}"] {
        assert!(decode(&plan, json).is_err(), "{json}");
    }
}

/// The row's bytes, as `batch::Shape::Row` has them.
fn row(cells: &[&str]) -> Vec<u8> {
    let cell = |cell: &&str| [&u32::try_from(cell.len()).unwrap().to_le_bytes()[..], cell.as_bytes()].concat();
    cells.iter().flat_map(cell).collect()
}

fn decode_cells(plan: &Plan, header: &[&str], cells: &[&str]) -> Result<Record, String> {
    let header: Vec<Box<str>> = header.iter().map(|name| (*name).into()).collect();
    let mut record = Record::default();
    decode_row(plan, &RowPlan::new(plan, &header), &row(cells), &mut record).map(|()| record).map_err(|e| e.reason)
}

#[test]
fn a_row_fills_its_slots_from_text() {
    let header = ["x", "level", "color", "time", "bool", "int", "float", "text", "speed"];
    let cells = ["?", "2", "red", " 1970-01-01T00:00:01Z", " TRUE", "3.0", " 1.5 ", " a ", ""];
    let record = decode_cells(&one_of_each(), &header, &cells).unwrap();
    let expected = [
        text(" a "),
        Value::Float(1.5),
        Value::Int(3),
        Value::Bool(true),
        Value::Time(1_000_000),
        text("red"),
        Value::Int(2),
        Value::Null,
    ];
    assert_eq!((&record.slots[..], record.given), (&expected[..], 0x7F));
}

#[test]
fn a_rows_field_of_another_type_is_refused() {
    let all = one_of_each();
    for (name, cell, reason) in [
        ("float", "abc", "Expected `float`, got 'abc' - at `$.float`"),
        ("float", "1.5x", "Expected `float`, got '1.5x' - at `$.float`"),
        ("float", "NaN", "Expected `float`, got 'NaN' - at `$.float`"),
        ("float", "1e999", "Number out of range - at `$.float`"),
        ("int", "3.5", "Expected `int`, got '3.5' - at `$.int`"),
        ("int", "99999999999999999999", "Expected `int` within int64 - at `$.int`"),
        ("bool", "yes", "Expected `bool`, got 'yes' - at `$.bool`"),
        ("time", "1633608000", "Invalid RFC3339 encoded datetime - at `$.time`"),
        ("color", "blue", "Invalid enum value 'blue' - at `$.color`"),
        ("level", "3", "Invalid enum value 3 - at `$.level`"),
    ] {
        assert_eq!(decode_cells(&all, &[name], &[cell]), Err(reason.to_string()), "{name} {cell}");
    }
    let id = plan(BodyType::Record { fields: vec![required("id", Kind::Int)] });
    assert_eq!(decode_cells(&id, &["id"], &[" "]), Err("Object missing required field `id`".to_string()));
    assert_eq!(decode_cells(&id, &["id", "x"], &["1"]), Err("Row has fewer fields than its header".to_string()));
    assert_eq!(decode_cells(&id, &["id"], &["1", "2"]), Err("Row has more fields than its header".to_string()));
    assert_eq!(
        decode_cells(&id, &["id", "id"], &["1", "2"]),
        Err("The header names the column `id` twice".to_string())
    );
    assert!(decode_cells(&id, &["id", "x", "x"], &["1", "2", "3"]).is_ok());
}

#[test]
fn a_row_serves_every_type_of_body() {
    let keyed = |body| Plan { extra: vec!["id".into()], time_slot: Some(0), ..plan(body) };
    let header = ["t", "id"];
    let scalar = keyed(BodyType::Scalar { kind: Kind::Time, nullable: false });
    let record = decode_cells(&scalar, &header, &["1633608000", "7"]).unwrap();
    assert_eq!((record.slots, record.extra), (vec![Value::Time(1_633_608_000_000_000)], vec![text("7")]));
    assert_eq!(decode_cells(&scalar, &header, &["", "7"]), Err("Object missing required field `t`".to_string()));
    let reason = "a body of a builtin type takes the one remaining field; found `a`, `b`";
    assert_eq!(decode_cells(&scalar, &["a", "id", "b"], &["1", "2", "3"]), Err(reason.to_string()));
    let record = decode_cells(&keyed(BodyType::Nothing), &header, &["x", ""]).unwrap();
    assert_eq!(record.extra, [Value::Null]);
    let record = decode_cells(&keyed(BodyType::Tree { slots: 1 }), &["t", "id", "note"], &["1", "7", ""]).unwrap();
    let map = vec![("t".into(), text("1")), ("id".into(), text("7"))];
    assert_eq!((record.tree, record.extra), (Value::Map(map.into()), vec![text("7")]));
}

/// JSON without a key twice, numbers as we and serde_json both read them.
fn json() -> impl Strategy<Value = serde_json::Value> {
    let leaf = prop_oneof![
        Just(serde_json::Value::Null),
        any::<bool>().prop_map(Into::into),
        any::<i64>().prop_map(Into::into),
        any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(Into::into),
        ".{0,20}".prop_map(Into::into),
    ];
    leaf.prop_recursive(4, 40, 6, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..6).prop_map(Into::into),
            prop::collection::vec((".{0,9}", inner), 0..20)
                .prop_map(|members| serde_json::Value::Object(members.into_iter().collect())),
        ]
    })
}

fn as_serde(value: &Value) -> serde_json::Value {
    match value {
        Value::Null => serde_json::Value::Null,
        Value::Bool(x) => (*x).into(),
        Value::Int(x) => (*x).into(),
        Value::Float(x) => (*x).into(),
        Value::Text(x) => x.as_str().into(),
        Value::List(items) => items.iter().map(as_serde).collect(),
        Value::Map(members) => {
            serde_json::Value::Object(members.iter().map(|(key, member)| (key.to_string(), as_serde(member))).collect())
        }
        other => unreachable!("{other:?} is not read from JSON"),
    }
}

/// Equal but for the last digit of floats, which serde_json does not round as exactly.
fn alike(a: &serde_json::Value, b: &serde_json::Value) -> bool {
    use serde_json::Value::{Array, Number, Object};
    match (a, b) {
        (Number(x), Number(y)) if x.is_f64() => {
            x == y || (x.as_f64().unwrap() / y.as_f64().unwrap() - 1.0).abs() < 1e-15
        }
        (Array(a), Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| alike(a, b)),
        (Object(a), Object(b)) => a.len() == b.len() && a.iter().zip(b).all(|((k, a), (l, b))| k == l && alike(a, b)),
        _ => a == b,
    }
}

/// Every plan over the same bytes; gives whether the tree took them.
fn all_plans(bytes: &[u8]) -> bool {
    let mut out = Record::default();
    let mut bodies = vec![one_of_each().body, BodyType::Nothing, BodyType::Tree { slots: 1 }];
    bodies.extend([Kind::Text, Kind::Float, Kind::Int].map(|kind| BodyType::Scalar { kind, nullable: true }));
    for body in bodies {
        for extra in [vec![], vec!["x".into()]] {
            let plan = Plan { extra, time_slot: Some(4), ..plan(body.clone()) };
            if let Err(invalid) = decode_json(&plan, bytes, &mut out) {
                assert!(invalid.offset <= bytes.len());
            }
            let _ = decode_row(&plan, &RowPlan::new(&plan, &["float".into(), "x".into()]), bytes, &mut out);
        }
    }
    check_tree(bytes).is_ok()
}

proptest! {
    #[test]
    fn trees_agree_with_serde_json(value in json(), pretty: bool) {
        let text = if pretty { serde_json::to_string_pretty(&value) } else { serde_json::to_string(&value) }.unwrap();
        let tree = parse_tree(text.as_bytes()).unwrap();
        prop_assert_eq!(as_serde(&tree), value.clone());
        let mut written = Vec::new();
        write_json(&tree, &mut written);
        prop_assert_eq!(parse_tree(&written), Ok(tree));
    }

    #[test]
    fn records_agree_with_serde_json(
        id in ".{0,20}", x in any::<f64>().prop_filter("finite", |x| x.is_finite()), y in -1e4..1e4_f64, places in 0..12_usize, n: i64,
        order in Just(vec![0, 1, 2, 3, 4]).prop_shuffle(), space in prop::sample::select(vec!["", " ", "  ", "\n"]),
    ) {
        let members = [
            format!("\"text\"{space}:{space}{}", serde_json::to_string(&id).unwrap()),
            format!("\"float\":{space}{x:?}"),
            format!("\"speed\":{space}{y:.places$}"),
            format!("\"int\":{space}{n}"),
            format!("\"other\":{space}{{\"a\":[{x:?},{n}]}}"),
        ];
        let json = format!("{{{}}}", order.iter().map(|i| members[*i].clone()).collect::<Vec<_>>().join(&format!("{space},{space}")));
        let record = decode(&one_of_each(), &json).unwrap();
        let expected: serde_json::Value = serde_json::from_str(&json).unwrap();
        let y = format!("{y:.places$}").parse::<f64>().unwrap();
        prop_assert_eq!(&record.slots[..3], &[text(expected["text"].as_str().unwrap()), Value::Float(x), Value::Int(n)]);
        // A whole number is an int, which knows no negative zero.
        prop_assert_eq!(&record.slots[7], &Value::Float(y));
    }

    #[test]
    fn random_bytes_are_safe(bytes in prop::collection::vec(any::<u8>(), 0..80)) {
        all_plans(&bytes);
    }

    #[test]
    fn mutated_records_are_safe_and_agree_with_serde_json(
        edits in prop::collection::vec((0..120_usize, any::<u8>(), 0..4_u8), 1..4), cut in 0..130_usize,
    ) {
        let mut bytes = r#"{"text": "aé\n\ud83d\ude00", "float": -12.5e3, "int": 7, "x": {"a": [1, null, true]}, "speed": 52.1234567, "time": 0}"#.as_bytes().to_vec();
        for (at, byte, kind) in edits {
            let at = at % bytes.len();
            match kind {
                0 => bytes[at] = byte,
                1 => bytes[at] = b"{}[]\",:\\0-.eu "[usize::from(byte) % 14],
                2 => bytes.insert(at, b"{}[]\",:\\0-.eu "[usize::from(byte) % 14]),
                _ => { bytes.remove(at); }
            }
        }
        bytes.truncate(cut);
        let taken = all_plans(&bytes);
        let theirs = serde_json::from_slice::<serde_json::Value>(&bytes);
        // serde_json takes a key twice and whole numbers beyond int64; all else is the same.
        match parse_tree(&bytes) {
            Ok(tree) => prop_assert!(alike(&as_serde(&tree), &theirs.unwrap())),
            Err(invalid) => prop_assert!(theirs.is_err() || invalid.reason.contains("twice") || invalid.reason.contains("int64"), "{}", invalid.reason),
        }
        prop_assert_eq!(taken, parse_tree(&bytes).is_ok());
    }
}
