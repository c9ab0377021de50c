//! What runs ahead ends where records end that have their turns one by one.

use std::io::Write;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::known::Known;
use super::*;
use crate::body::{Field, Kind};
use crate::decode::Key;
use crate::dispatch::Step;
use crate::dump::dump;
use crate::envelope;
use crate::turn::{Phase, What, Within};

/// The members of a record, and how one writer writes it: which fields, in which order, with which white space.
#[derive(Clone, Copy, Debug)]
struct Style {
    order: u8,
    spaced: u8,
    extra: u8,
}

fn style() -> impl Strategy<Value = Style> {
    (0..6u8, 0..4u8, 0..9u8).prop_map(|(order, spaced, extra)| Style { order, spaced, extra })
}

fn object(style: Style, members: &[(&str, String)]) -> String {
    let (comma, colon, end) = match style.spaced {
        0 => (", ", ": ", ""),
        1 => (",", ":", ""),
        2 => (" ,\t", " :  ", "  "),
        _ => (", ", ":", ""),
    };
    let mut members: Vec<(String, String)> = members.iter().map(|(name, x)| ((*name).to_owned(), x.clone())).collect();
    match style.order {
        0 | 1 => {}
        2 => members.reverse(),
        n => members.rotate_left(n as usize % 4),
    }
    match style.extra {
        1 => members.insert(0, ("note".into(), "\"x\"".into())),
        2 => members.push(("a name of more than sixteen bytes".into(), "-1.5e3".into())),
        3 => members.push(("ok".into(), "true".into())),
        4 => members.push(("inner".into(), "{\"a\": [1, 2]}".into())),
        5 => _ = members.pop(),
        6 => members.push(("nothing".into(), "null".into())),
        7 => members.push(("note".into(), "\"\\n\"".into())),
        _ => {}
    }
    let members: Vec<String> = members.iter().map(|(name, x)| format!("\"{name}\"{colon}{x}")).collect();
    format!("{{{}{end}}}", members.join(comma))
}

fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        6 => (-200.0..200.0f64).prop_map(|x| format!("{x:.2}")),
        2 => (-200..200i32).prop_map(|x| x.to_string()),
        1 => any::<f64>().prop_filter("finite", |x| x.is_finite()).prop_map(|x| format!("{x:?}")),
        1 => prop::sample::select(vec![
            "1e308", "-1e308", "1e999", "null", "01", "1.", "-", "true", "\"5\"", "123456789012345678", "0.1e1", "-0.0",
            "12345678901234567890", "0.12345678901234567890", "[1]", "",
        ])
        .prop_map(str::to_owned),
    ]
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        12 => (0..9u8).prop_map(|x| format!("\"v{x}\"")),
        1 => prop::sample::select(vec![
            "\"vehicle-number-123456\"", "\"züri\"", "\"a\\u0062\"", "\"\"", "\"..\"", "\"a b\"", "\"12345678\"",
            "\"1234567\"", "7", "null", "\"tab\\t\"", "\"a\u{1}\"", "\"NUL\\u0000\"",
        ])
        .prop_map(str::to_owned),
    ]
}

fn fields() -> Vec<Field> {
    let field = |name: &str, kind: Kind, required: bool| Field {
        key: Key::new(name),
        name: name.into(),
        kind,
        nullable: !required,
        required,
    };
    vec![
        field("id", Kind::Text, true),
        field("n", Kind::Int, true),
        field("speed", Kind::Float, true),
        field("lat", Kind::Float, false),
        field("lon", Kind::Float, false),
        field("on", Kind::Bool, false),
    ]
}

/// Records of a few writers, and now and then bytes that are no record.
fn records() -> impl Strategy<Value = Vec<String>> {
    let record = (0..3usize, name(), number(), number(), number(), 0..40u8);
    (prop::collection::vec(style(), 3), prop::collection::vec(record, 1..160)).prop_map(|(styles, records)| {
        let one = |(at, (style, id, speed, lat, lon, odd)): (usize, _)| {
            let mut members = vec![
                ("id", id),
                ("n", at.to_string()),
                ("speed", speed),
                ("lat", lat),
                ("lon", lon),
                ("on", (odd % 2 == 0).to_string()),
            ];
            match odd {
                30 => _ = members.remove(3),
                31 => members.push(("id", "\"twice\"".into())),
                32 => members[1].1 = "3.0".into(),
                33 => members[1].1 = "3.5".into(),
                34 => return "not JSON".to_owned(),
                35 => return object(styles[style], &members).chars().take(20).collect(),
                36 => return object(styles[style], &members) + "  ",
                37 => return object(styles[style], &members) + "x",
                38 => return "\u{feff}".to_owned() + &object(styles[style], &members),
                _ => {}
            }
            object(styles[style], &members)
        };
        records.into_iter().enumerate().map(one).collect()
    })
}

proptest! {
    /// A record that fits a template is decoded as the general reader decodes it.
    #[test]
    fn templates_read_what_the_general_reader_reads(records in records(), wanted in any::<u64>(), keyed in any::<bool>(), told in any::<bool>()) {
        let body = BodyType::Record { fields: fields() };
        let extra = if keyed { vec!["note".into(), "ok".into()] } else { Vec::new() };
        let known = told.then(|| Arc::new(["note".into(), "inner".into()].into_iter().collect()));
        let plan = Plan { body, wanted, extra, known, time_slot: None, zone: jiff::tz::TimeZone::UTC };
        let mut bytes = Vec::new();
        let spans: Vec<(usize, usize)> = records.iter().map(|record| {
            let start = bytes.len();
            bytes.extend_from_slice(record.as_bytes());
            (start, bytes.len())
        }).collect();
        bytes.extend_from_slice(b"\n{\"id\": \"next\"                     ");
        let mut known = Known::default();
        let mut fast = Record::default();
        for (start, end) in spans {
            let mut slow = Record::default();
            let taken = decode_json(&plan, &bytes[start..end], &mut slow);
            if known.decode(&plan, &bytes, start, end, &mut fast) {
                prop_assert_eq!(&taken, &Ok(()));
                prop_assert_eq!(&fast, &slow, "{}", String::from_utf8_lossy(&bytes[start..end]));
            } else if taken.is_ok() {
                known.learn(&plan, &bytes[start..end], |_| None);
            }
        }
    }
}

/// A class with all folds that can be fused, one that is watched, and a group over it.
fn declared(all: bool) -> serde_json::Value {
    let column = |name: &str, kind: &str, default: serde_json::Value| serde_json::json!({"name": name, "type": kind, "default": default});
    let from = |slots: &[usize]| serde_json::json!({"command": {"command": 0, "slots": slots}});
    let body = serde_json::json!({"record": {"fields": [
        {"name": "id", "kind": "text", "required": true}, {"name": "n", "kind": "int", "required": true},
        {"name": "speed", "kind": "float", "required": true}, {"name": "lat", "kind": "float", "nullable": true},
        {"name": "lon", "kind": "float", "nullable": true}, {"name": "on", "kind": "bool", "nullable": true}]}});
    let hooks = serde_json::json!({"create": false, "start": false, "stop": false});
    let null = serde_json::Value::Null;
    let mut folds = vec![
        serde_json::json!({"out": 0, "input": from(&[]), "fold": "count"}),
        serde_json::json!({"out": 1, "input": from(&[2]), "fold": "ewma", "alpha": 0.25}),
        serde_json::json!({"out": 2, "input": from(&[2]), "fold": "max"}),
        serde_json::json!({"out": 3, "input": from(&[3, 4]), "fold": "latest"}),
        serde_json::json!({"out": 4, "input": {"column": 1}, "fold": "above", "limit": {"constant": 60.0}, "clear": 20.0}),
        serde_json::json!({"out": 5, "input": {"column": 4}, "fold": "count"}),
        serde_json::json!({"out": 7, "input": from(&[4]), "fold": "min"}),
        serde_json::json!({"out": 8, "input": {"column": 7}, "fold": "below", "limit": {"constant": -50.0}}),
        serde_json::json!({"out": 9, "input": from(&[1]), "fold": "latest"}),
    ];
    if !all {
        folds.truncate(5);
    }
    serde_json::json!({
        "app": "test", "zone": "UTC",
        "settings": {"max_sends": 100, "max_hops": 8, "max_rounds": 4, "busy_bound": 10, "commit_turns": 70,
            "handler_seconds": 5.0},
        "populations": [{
            "name": "V", "pattern": [{"literal": "v"}, {"parameter": "id"}],
            "columns": [column("count", "int64", 0.into()), column("smooth", "float64", null.clone()),
                column("top", "float64", null.clone()), column("position", "point", null.clone()),
                column("alarm", "bool", false.into()), column("alarms", "int64", 0.into()),
                column("changes", "int64", 0.into()), column("least", "float64", null.clone()),
                column("low", "bool", false.into()), column("n", "float64", null.clone())],
            "maps": [], "changed": [{"column": 4}], "timers": [], "members": [], "hooks": hooks,
            "commands": [{"name": "report", "body": body}], "folds": folds,
        }, {
            "name": "All", "pattern": [{"literal": "all"}],
            "columns": [column("total", "float64", null.clone()), column("size", "int64", 0.into())],
            "maps": [], "changed": [], "timers": [], "hooks": hooks, "commands": [], "folds": [
                {"out": 0, "input": "members", "fold": "sum"}, {"out": 1, "input": "members", "fold": "count"}],
            "members": [{"name": "all", "population": 0, "by": null, "rollups": [
                {"kind": "sum", "column": 2, "out": 0}, {"kind": "count", "column": null, "out": 1}]}],
        }],
    })
}

fn declaration(all: bool) -> crate::declaration::Declaration {
    serde_json::from_value(declared(all)).expect("the declaration is complete")
}

/// What a run has come to: its state before the last commit and after it, and all that it has told.
#[derive(Debug, PartialEq)]
struct Outcome {
    dirty: serde_json::Value,
    settled: serde_json::Value,
    counts: Counts,
    turns: u64,
    dead: Vec<(u64, String, String)>,
    calls: Vec<What>,
}

fn run(lines: &str, batch_records: usize, all: bool, one_by_one: bool) -> Outcome {
    let mut file = tempfile::NamedTempFile::with_suffix(".jsonl").unwrap();
    file.write_all(lines.as_bytes()).unwrap();
    let mut shard = Shard::new(declaration(all), true, false).unwrap();
    shard.one_by_one = one_by_one;
    let spec = serde_json::json!({"path": file.path(), "batch_records": batch_records});
    let source = serde_json::json!({"name": "test", "file": spec, "target": [0, 0]});
    shard.ingest(serde_json::from_value(source).unwrap()).unwrap();
    let mut calls = Vec::new();
    let until = Instant::now() + Duration::from_secs(20);
    while shard.sources[0].state == State::Open || shard.sources[0].has_news() {
        assert!(Instant::now() < until, "the run does not end");
        shard.batch(Duration::from_secs(1));
        loop {
            match shard.advance() {
                Step::Idle => break,
                Step::Call(what) => {
                    assert!(shard.turn.phase != Phase::None && shard.sources[0].counts.waiting() == 1);
                    // a handler that writes, deletes its twin, or fails
                    match calls.len() % 5 {
                        0 => shard.fail(envelope::Kind::Failed, "as it should"),
                        3 => shard.delete(Within::Open).unwrap(),
                        n => shard.write(Within::Open, 6, Value::Int(n as i64)).unwrap(),
                    }
                    calls.push(what);
                }
                step => panic!("{step:?}"),
            }
        }
        assert_eq!(shard.sources[0].counts.waiting(), 0);
        if shard.sources[0].state == State::Open {
            std::thread::yield_now();
        }
    }
    let dirty = dump(&mut shard);
    for _ in 0..3 {
        shard.commit();
        shard.batch(Duration::from_secs(1));
        while shard.advance() != Step::Idle {}
    }
    let dead = shard.dead.iter().map(|letter| (letter.sequence, letter.node.clone(), letter.reason.clone())).collect();
    Outcome { dirty, settled: dump(&mut shard), counts: shard.sources[0].counts, turns: shard.turns, dead, calls }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    /// The same state, dirty bits, counts, dead letters and calls, in the same order.
    #[test]
    fn running_ahead_changes_nothing(records in records(), batch in 3..200usize, all in any::<bool>()) {
        let lines = records.join("\n");
        let (ahead, one_by_one) = (run(&lines, batch, all, false), run(&lines, batch, all, true));
        prop_assert_eq!(ahead, one_by_one);
    }
}

/// Runs step in chunks whose place they remember: a snapshot keeps its own all the same.
#[test]
fn a_snapshot_holds_what_was_when_it_was_taken() {
    let mut shard = Shard::new(declaration(true), true, false).unwrap();
    let source = serde_json::json!({"name": "test", "file": null, "target": [0, 0]});
    shard.ingest(serde_json::from_value(source).unwrap()).unwrap();
    let text =
        |i: usize| format!("{{\"id\": \"v{}\", \"n\": {i}, \"speed\": {i}.5, \"lat\": 1.0, \"lon\": 2.0}}", i % 3);
    let run = |shard: &mut Shard, events: Range<usize>| {
        let texts: Vec<Vec<u8>> = events.map(|i| text(i).into_bytes()).collect();
        shard.sources[0].hand(&texts);
        while shard.sources[0].has_news() {
            shard.batch(Duration::from_secs(1));
            while shard.advance() != Step::Idle {}
        }
    };
    let held =
        |columns: &[crate::population::column::Column]| (columns[0].get(0), columns[2].get(0), columns[3].get(0));
    let then = (Value::Int(10), Value::Float(27.5), Value::Point(1.0, 2.0));
    run(&mut shard, 0..30);
    let snapshot = shard.populations[0].table.snapshot();
    run(&mut shard, 30..60);
    assert_eq!(held(&snapshot.columns), then);
    assert_eq!(held(&shard.populations[0].table.columns), (Value::Int(20), Value::Float(57.5), then.2));
}

/// That the fast way is taken at all, so that the comparison above compares two ways.
#[test]
fn records_of_one_writer_run_ahead() {
    let lines: String = (0..500)
        .map(|i| {
            format!("{{\"id\": \"v{}\", \"n\": {i}, \"speed\": {}.5, \"lat\": 1.0, \"lon\": 2.0}}\n", i % 7, i % 50)
        })
        .collect();
    let ahead = run(&lines, 8192, true, false);
    assert_eq!((ahead.counts.applied, ahead.turns, ahead.calls.len()), (500, 501, 0));
    assert_eq!(ahead, run(&lines, 8192, true, true));
}

/// The same class with a field, a lane and a roll-up more, and many lanes that move those of the folds' hidden state.
fn grown() -> crate::declaration::Declaration {
    let mut decl = declared(true);
    let mut push = |at: &str, what: serde_json::Value| {
        decl.pointer_mut(at).and_then(serde_json::Value::as_array_mut).expect("it is a list").push(what);
    };
    push("/populations/0/commands/0/body/record/fields", serde_json::json!({"name": "w", "kind": "float"}));
    for number in 0..70 {
        push(
            "/populations/0/columns",
            serde_json::json!({"name": format!("w{number}"), "type": "float64", "default": null}),
        );
    }
    let from = serde_json::json!({"command": {"command": 0, "slots": [6]}});
    push("/populations/0/folds", serde_json::json!({"out": 79, "input": from, "fold": "latest"}));
    push("/populations/1/columns", serde_json::json!({"name": "w", "type": "float64", "default": null}));
    push("/populations/1/folds", serde_json::json!({"out": 2, "input": "members", "fold": "max"}));
    push("/populations/1/members/0/rollups", serde_json::json!({"kind": "max", "column": 79, "out": 2}));
    serde_json::from_value(decl).expect("the declaration is complete")
}

/// As `Shard::news` has it.
type News = (u16, u64, Vec<u8>);

/// Records of a source whose fields are known, in batches that end with the run: the third part has a new field, each
/// second time.
fn growing(one_by_one: bool) -> (serde_json::Value, Vec<bool>, Vec<News>) {
    let mut shard = Shard::new(declaration(true), true, false).unwrap();
    shard.one_by_one = one_by_one;
    let source = serde_json::json!({"name": "test", "target": [0, 0], "known": ["set aside"]});
    shard.ingest(serde_json::from_value(source).unwrap()).unwrap();
    let record = |i: usize| {
        let more = match i {
            400.. if i.is_multiple_of(2) => format!(", \"w\": {i}.25"),
            _ => String::new(),
        };
        let start = format!("{{\"id\": \"v{}\", \"n\": {i}, \"speed\": {}.5, \"lat\": 1.0", i % 7, i % 50);
        format!("{start}, \"lon\": 2.0, \"set aside\": {i}, \"empty\": null{more}}}").into_bytes()
    };
    let (mut ahead, mut news) = (Vec::new(), Vec::new());
    for part in 0..3 {
        shard.sources[0].hand(&(part * 200..part * 200 + 200).map(record).collect::<Vec<_>>());
        while shard.sources[0].has_news() || !shard.news().is_empty() {
            shard.batch(Duration::from_secs(1));
            while shard.advance() != Step::Idle {}
            shard.commit();
            if let Some((source, position, text)) = shard.news().pop() {
                shard.extend(grown()).unwrap();
                shard.go_on(source, Vec::new());
                assert!(!shard.sources[0].may_sweep(), "what was known of the records is void");
                news.push((source, position, text));
            }
        }
        ahead.push(shard.sources[0].may_sweep());
    }
    assert_eq!(shard.sources[0].counts.applied, 600);
    let row = shard.populations[0].table.find(b"v5").unwrap();
    assert_eq!(shard.populations[0].table.columns[79].get(row), Value::Float(586.25));
    for _ in 0..3 {
        shard.commit();
        shard.batch(Duration::from_secs(1));
        while shard.advance() != Step::Idle {}
    }
    (dump(&mut shard), ahead, news)
}

#[test]
fn a_new_field_ends_a_run_and_what_runs_ahead_after_it_is_made_for_the_new_schema() {
    let (ahead, swept, news) = growing(false);
    assert_eq!(swept, [true; 3]);
    assert_eq!(news.iter().map(|(source, position, _)| (*source, *position)).collect::<Vec<_>>(), [(0, 401)]);
    let (one_by_one, _, same) = growing(true);
    assert_eq!((ahead, news), (one_by_one, same));
}
