//! Records against the shard that wrote them: what is read back is what was there.

use std::path::Path;
use std::time::{Duration, Instant};

use proptest::prelude::*;

use crate::dispatch::Step;
use crate::dump::dump;
use crate::envelope::{Body, Lane, Node};
use crate::journal::store::Store;
use crate::population::PopulationId;
use crate::shard::Shard;
use crate::value::Value;

mod crashing;
mod garbled;
mod schemas;
mod sinks;
mod turns;

/// A class with every kind of lane that has hidden state, and a group of its twins.
const DECLARATION: &str = r#"{
    "app": "journal", "zone": "UTC",
    "settings": {"max_sends": 100, "max_hops": 8, "max_rounds": 4, "busy_bound": 10, "commit_turns": 50,
        "handler_seconds": 1.0, "journal_seconds": 0.0},
    "populations": [
        {"name": "Bus", "pattern": [{"literal": "bus"}, {"parameter": "id"}],
         "columns": [
            {"name": "speed", "type": "float64"}, {"name": "mean", "type": "float64"},
            {"name": "count", "type": "int64", "default": 0}, {"name": "total", "type": "int64", "default": 0},
            {"name": "recent", "type": "float64"}, {"name": "late", "type": "bool", "default": false},
            {"name": "route", "type": "string", "settable": true}, {"name": "where", "type": "point", "settable": true},
            {"name": "seen", "type": "timestamp", "settable": true}, {"name": "notes", "type": "value", "settable": true},
            {"name": "scratch", "type": "int64", "default": 7, "settable": true, "save": "never"},
            {"name": "raw", "type": "bytes", "settable": true}],
         "maps": [{"name": "stops", "key": "string", "value": "int64", "default": 0, "limit": 1000, "settable": true},
                  {"name": "any", "key": "value", "value": "value", "limit": 1000, "settable": true},
                  {"name": "order", "key": "value", "value": "int64", "limit": 1000, "settable": true, "ordered": true}],
         "commands": [{"name": "report", "body": {"record": {"fields": [
            {"name": "speed", "kind": "float"}, {"name": "n", "kind": "int"}]}}}],
         "folds": [
            {"out": 0, "input": {"command": {"command": 0, "slots": [0]}}, "fold": "latest"},
            {"out": 1, "input": {"column": 0}, "fold": "mean"},
            {"out": 2, "input": {"command": {"command": 0, "slots": []}}, "fold": "count"},
            {"out": 3, "input": {"command": {"command": 0, "slots": [1]}}, "fold": "sum"},
            {"out": 4, "input": {"column": 0}, "fold": "mean", "window": {"last": 60000000}},
            {"out": 5, "input": {"column": 0}, "fold": "above", "limit": {"constant": 50.0}, "hold": 5000000}],
         "changed": [], "hooks": {"create": false, "start": false, "stop": false},
         "timers": [{"name": "tick", "every": 7000000}], "members": []},
        {"name": "City", "pattern": [{"literal": "city"}],
         "columns": [{"name": "all", "type": "int64", "default": 0}, {"name": "sum", "type": "int64", "default": 0}],
         "maps": [], "commands": [],
         "folds": [{"out": 0, "input": "members", "fold": "count"}, {"out": 1, "input": "members", "fold": "sum"}],
         "changed": [], "hooks": {"create": false, "start": false, "stop": false}, "timers": [],
         "members": [{"name": "buses", "population": 0, "by": null, "rollups": [
            {"kind": "count", "column": null, "out": 0}, {"kind": "sum", "column": 3, "out": 1}]}]}
    ]}"#;

fn shard() -> Shard {
    Shard::new(serde_json::from_str(DECLARATION).unwrap(), true, false).unwrap()
}

#[derive(Clone, Debug)]
enum Act {
    Report(u8, f64, i64),
    Route(u8, Option<String>),
    Where(u8, f64, f64),
    Notes(u8, i64, String),
    Scratch(u8, i64),
    Put(u8, u8, i64),
    Take(u8, u8),
    Clear(u8),
    Any(u8, i64, String),
    Insert(u8, i64, i64),
    Move(u8, i64, i64),
    Out(u8, i64),
    Delete(u8),
    Advance(i64),
    /// Commits without running what waits.
    Commit,
    Checkpoint,
}

fn acts() -> impl Strategy<Value = Vec<Act>> {
    let bus = 0..6u8;
    let act = prop_oneof![
        6 => (bus.clone(), -100.0..100.0, -1000..1000i64).prop_map(|(bus, speed, n)| Act::Report(bus, speed, n)),
        1 => (bus.clone(), prop::option::of(".{0,20}")).prop_map(|(bus, route)| Act::Route(bus, route)),
        1 => (bus.clone(), -90.0..90.0, -180.0..180.0).prop_map(|(bus, lat, lon)| Act::Where(bus, lat, lon)),
        1 => (bus.clone(), any::<i64>(), ".{0,9}").prop_map(|(bus, n, text)| Act::Notes(bus, n, text)),
        1 => (bus.clone(), any::<i64>()).prop_map(|(bus, n)| Act::Scratch(bus, n)),
        4 => (bus.clone(), 0..8u8, any::<i64>()).prop_map(|(bus, stop, n)| Act::Put(bus, stop, n)),
        2 => (bus.clone(), 0..8u8).prop_map(|(bus, stop)| Act::Take(bus, stop)),
        1 => bus.clone().prop_map(Act::Clear),
        1 => (bus.clone(), 0..4i64, ".{0,9}").prop_map(|(bus, key, text)| Act::Any(bus, key, text)),
        4 => (bus.clone(), 0..4i64, any::<i64>()).prop_map(|(bus, index, n)| Act::Insert(bus, index, n)),
        2 => (bus.clone(), 0..4i64, 0..4i64).prop_map(|(bus, from, to)| Act::Move(bus, from, to)),
        2 => (bus.clone(), 0..4i64).prop_map(|(bus, index)| Act::Out(bus, index)),
        1 => bus.prop_map(Act::Delete),
        3 => (0..20_000_000i64).prop_map(Act::Advance),
        2 => Just(Act::Commit),
        1 => Just(Act::Checkpoint),
    ];
    prop::collection::vec(act, 1..60)
}

/// What is done after a commit.
type Each<'a> = &'a mut dyn FnMut(&mut Shard);

fn run(shard: &mut Shard) {
    run_and(shard, &mut |_| {});
}

/// Until nothing waits; calls back after each commit.
fn run_and(shard: &mut Shard, each: Each<'_>) {
    loop {
        shard.batch(Duration::from_secs(10));
        loop {
            match shard.advance() {
                Step::Idle => break,
                // `tick` does nothing
                Step::Call(_) => {}
                // what is set from outside is valid here
                Step::Admit { .. } => admit(shard),
                step => panic!("{step:?}"),
            }
        }
        shard.commit();
        each(shard);
        if !shard.waiting() {
            break;
        }
    }
}

fn admit(shard: &mut Shard) {
    let Some(envelope) = &mut shard.hand else { return };
    let slots = match (&envelope.body, &envelope.lane) {
        (Body::Tree(Value::List(parts)), Lane::Map(_)) => parts.to_vec(),
        (Body::Tree(tree), _) => vec![tree.clone()],
        _ => Vec::new(),
    };
    let step = shard.admitted(Ok(slots));
    assert_eq!(step, None);
}

fn set(shard: &mut Shard, bus: u8, lane: &str, value: Value) {
    set_and(shard, bus, lane, value, &mut |_| {});
}

fn set_and(shard: &mut Shard, bus: u8, lane: &str, value: Value, each: Each<'_>) {
    let node = Node::Uri(format!("/bus/{bus}").into());
    shard.post("test".into(), node, Lane::Named(lane.into()), Body::Tree(value));
    run_and(shard, each);
}

fn perform(shard: &mut Shard, act: &Act) {
    perform_and(shard, act, &mut |_| {});
}

fn perform_and(shard: &mut Shard, act: &Act, each: Each<'_>) {
    let stop = |stop: u8| Value::Text(format!("stop {stop}").into());
    match act {
        Act::Report(bus, speed, n) => {
            let body = [("speed".into(), Value::Float(*speed)), ("n".into(), Value::Int(*n))];
            set_and(shard, *bus, "report", Value::Map(body.into()), each);
        }
        Act::Route(bus, route) => set_and(
            shard,
            *bus,
            "route",
            route.as_ref().map_or(Value::Null, |route| Value::Text(route.as_str().into())),
            each,
        ),
        Act::Where(bus, lat, lon) => set_and(shard, *bus, "where", Value::Point(*lat, *lon), each),
        Act::Notes(bus, n, text) => {
            let notes = [Value::Int(*n), Value::Null, Value::Text(text.as_str().into()), Value::Float(0.5)];
            set_and(shard, *bus, "notes", Value::List(notes.into()), each)
        }
        Act::Scratch(bus, n) => set_and(shard, *bus, "scratch", Value::Int(*n), each),
        Act::Put(bus, at, n) => set_and(shard, *bus, "stops", Value::List([stop(*at), Value::Int(*n)].into()), each),
        Act::Take(bus, at) => set_and(shard, *bus, "stops", Value::List([stop(*at)].into()), each),
        Act::Any(bus, key, text) => {
            let entry = [Value::List([Value::Int(*key)].into()), Value::Text(text.as_str().into())];
            set_and(shard, *bus, "any", Value::List(entry.into()), each)
        }
        // every other one has a key of its own
        Act::Insert(bus, index, n) => {
            let mut members = vec![("index".into(), Value::Int(*index)), ("value".into(), Value::Int(*n))];
            if n % 2 == 0 {
                members.push(("key".into(), stop((n / 2 % 8) as u8)));
            }
            set_and(shard, *bus, "order", Value::Map(members.into()), each);
        }
        Act::Move(bus, from, to) => {
            let members = [("from".into(), Value::Int(*from)), ("to".into(), Value::Int(*to))];
            set_and(shard, *bus, "order", Value::Map(members.into()), each);
        }
        Act::Out(bus, index) => {
            let members = [("index".into(), Value::Int(*index)), ("removed".into(), Value::Bool(true))];
            set_and(shard, *bus, "order", Value::Map(members.into()), each);
        }
        Act::Clear(bus) => {
            let node = Node::Uri(format!("/bus/{bus}").into());
            shard.post("test".into(), node, Lane::Map(0), Body::Bulk(crate::envelope::Bulk::Clear));
            run_and(shard, each);
        }
        Act::Delete(bus) => {
            let found = shard.populations[0].table.find(format!("{bus}").as_bytes());
            if let Some(row) = found {
                shard.forget_twin(PopulationId(0), row);
            }
            run_and(shard, each);
        }
        Act::Advance(by) => {
            let to = shard.clock.now() + by;
            shard.clock.reach(to);
            run_and(shard, each);
        }
        Act::Commit => {
            shard.commit();
            each(shard);
        }
        Act::Checkpoint => {
            shard.checkpoint();
            each(shard);
        }
    }
}

/// The state without what is never saved.
fn seen(shard: &mut Shard) -> serde_json::Value {
    let mut state = dump(shard);
    let scratch = 10;
    for twin in state["populations"]["Bus"]["twins"].as_array_mut().unwrap() {
        twin["cells"][scratch] = serde_json::Value::Null;
        twin["dirty"] = serde_json::Value::Null;
    }
    for twin in state["populations"]["City"]["twins"].as_array_mut().unwrap() {
        twin["dirty"] = serde_json::Value::Null;
    }
    state
}

/// Ends as a process that is killed: no last record, and no checkpoint, which an end has. All that was cut is on the disk.
fn abandoned(mut shard: Shard, folder: &Path) {
    let deadline = Instant::now() + Duration::from_secs(20);
    shard.commit();
    let newest = shard.journal.as_ref().unwrap().next.0 - 1;
    while shard.exchange.fence.durable() < newest {
        assert!(Instant::now() < deadline, "{:?}", shard.lost());
        std::thread::yield_now();
    }
    drop(shard);
    // its thread leaves the store a little later
    while let Err(error) = Store::open(folder, "journal") {
        assert!(Instant::now() < deadline, "{error}");
        std::thread::yield_now();
    }
}

fn reopened(folder: &Path) -> Shard {
    let mut shard = shard();
    let found = shard.open_store(folder, &[]).unwrap();
    assert_eq!(found.notes, Vec::<String>::new());
    shard
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    /// Applies, ends cleanly, recovers, compares; and goes on as a shard that was never stopped.
    #[test]
    fn what_is_saved_is_what_was_there(before in acts(), between in acts(), after in acts()) {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path().join("store");
        let mut never_stopped = shard();
        let mut first = reopened(&folder);
        for act in &before {
            perform(&mut first, act);
            perform(&mut never_stopped, act);
        }
        first.close_journal(Duration::from_secs(20)).unwrap();
        prop_assert_eq!(seen(&mut first), seen(&mut never_stopped));
        drop(first);
        let mut second = reopened(&folder);
        prop_assert_eq!(seen(&mut second), seen(&mut never_stopped));
        for twin in &mut never_stopped.populations[0].table.columns[10..11] {
            // what is never saved is as in a new twin
            for row in 0..6 {
                twin.reach(row);
            }
        }
        for act in &between {
            perform(&mut second, act);
            perform(&mut never_stopped, act);
        }
        second.close_journal(Duration::from_secs(20)).unwrap();
        drop(second);
        let mut third = reopened(&folder);
        prop_assert_eq!(seen(&mut third), seen(&mut never_stopped));
        for act in &after {
            perform(&mut third, act);
            perform(&mut never_stopped, act);
        }
        prop_assert_eq!(seen(&mut third), seen(&mut never_stopped));
        third.close_journal(Duration::from_secs(20)).unwrap();
    }
}

#[test]
fn lanes_that_are_needed_in_full_keep_every_turns_change() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path().join("store");
    let mut shard = reopened(&folder);
    assert!(shard.keep_in_full(PopulationId(0), "nothing").is_err());
    for lane in ["speed", "stops"] {
        shard.keep_in_full(PopulationId(0), lane).unwrap();
    }
    let node = || Node::Uri("/bus/1".into());
    let mut expected = Vec::new();
    for n in 0..20 {
        let body = Value::Map([("speed".into(), Value::Float(f64::from(n))), ("n".into(), Value::Int(1))].into());
        shard.post("test".into(), node(), Lane::Named("report".into()), Body::Tree(body));
        expected.push((None, Value::Float(f64::from(n))));
        let key = Value::Text(format!("{}", n % 3).into());
        let entry = if n % 5 == 4 { vec![key.clone()] } else { vec![key.clone(), Value::Int(n.into())] };
        let is_there = expected.iter().rev().find(|(known, _)| *known == Some(key.clone()));
        let is_there = is_there.is_some_and(|(_, value)| !value.is_null());
        shard.post("test".into(), node(), Lane::Named("stops".into()), Body::Tree(Value::List(entry.clone().into())));
        if n % 5 != 4 || is_there {
            expected.push((Some(key), entry.get(1).cloned().unwrap_or_default()));
        }
    }
    run(&mut shard);
    shard.close_journal(Duration::from_secs(20)).unwrap();
    drop(shard);
    let store = super::store::Store::open(&folder, "journal").unwrap();
    let schema: super::schema::Schema = serde_json::from_str(store.schemas().values().next().unwrap()).unwrap();
    let mut found = Vec::new();
    let mut turn = 0;
    store
        .read(super::ShardId(0), super::RecordNumber(1), |_, _, body| {
            for change in super::record::changes_in_full(body, &schema).unwrap() {
                assert!(change.turn > turn, "in the order of turns");
                turn = change.turn;
                found.push((change.key, change.value));
            }
            Ok::<(), super::store::StoreError>(())
        })
        .unwrap();
    assert_eq!(found, expected);
}
