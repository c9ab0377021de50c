//! An app that is no longer what it was when its store was written.

use serde_json::{Value as Json, json};

use super::*;
use crate::population::TwinId;

const PATIENCE: Duration = Duration::from_secs(20);

fn declared(change: impl Fn(&mut Json)) -> Shard {
    let mut declaration: Json = serde_json::from_str(DECLARATION).unwrap();
    change(&mut declaration);
    Shard::new(serde_json::from_value(declaration).unwrap(), true, false).unwrap()
}

/// A store with two buses, whose state lies in records, or in a checkpoint with nothing behind it.
fn written(folder: &Path, in_checkpoint: bool) {
    written_by(shard(), folder, in_checkpoint);
}

fn written_by(mut shard: Shard, folder: &Path, in_checkpoint: bool) {
    shard.open_store(folder, &[]).unwrap();
    for (bus, speed, n) in [(1, 60.0, 5), (2, 20.0, -3), (1, 80.0, 6)] {
        perform(&mut shard, &Act::Report(bus, speed, n));
        perform(&mut shard, &Act::Put(bus, 1, n));
        perform(&mut shard, &Act::Route(bus, Some("r".into())));
    }
    if in_checkpoint {
        shard.checkpoint();
        let deadline = std::time::Instant::now() + PATIENCE;
        while shard.journal_status().unwrap().progress.checkpoint == 0 {
            assert!(std::time::Instant::now() < deadline, "{:?}", shard.journal_status());
            std::thread::yield_now();
        }
        shard.close_journal(PATIENCE).unwrap();
    } else {
        abandoned(shard, folder);
    }
}

fn both(test: impl Fn(&Path, bool)) {
    for in_checkpoint in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        written(&store, in_checkpoint);
        test(&store, in_checkpoint);
    }
}

fn opened(mut shard: Shard, folder: &Path, forget: &[&str]) -> Shard {
    let forget: Vec<String> = forget.iter().map(|name| (*name).to_owned()).collect();
    shard.open_store(folder, &forget).unwrap();
    shard
}

/// A bus's lane.
fn cell(shard: &Shard, bus: u64, lane: &str) -> Value {
    let class = &shard.populations[0];
    let at = class.decl.columns.iter().position(|column| column.name == lane).unwrap();
    class.table.columns[at].get(class.table.row(TwinId(bus)).unwrap())
}

fn without(declaration: &mut Json, part: &str, at: usize) {
    declaration["populations"][0][part].as_array_mut().unwrap().remove(at);
}

#[test]
fn a_lane_that_is_new_starts_at_its_default() {
    both(|folder, _| {
        let more = |declaration: &mut Json| {
            let columns = declaration["populations"][0]["columns"].as_array_mut().unwrap();
            columns.push(json!({"name": "extra", "type": "int64", "default": 9}));
        };
        let mut shard = opened(declared(more), folder, &[]);
        assert_eq!(cell(&shard, 1, "extra"), Value::Int(9));
        assert_eq!(cell(&shard, 1, "mean"), Value::Float(70.0));
        perform(&mut shard, &Act::Report(1, 100.0, 1));
        shard.close_journal(PATIENCE).unwrap();
        let shard = opened(declared(more), folder, &[]);
        assert_eq!(cell(&shard, 1, "mean"), Value::Float(80.0));
        assert_eq!(cell(&shard, 2, "extra"), Value::Int(9));
    });
}

#[test]
fn lanes_may_stand_in_another_order() {
    both(|folder, _| {
        let turned = |declaration: &mut Json| {
            let columns = declaration["populations"][0]["columns"].as_array_mut().unwrap();
            columns[8..].reverse();
            declaration["populations"][0]["maps"].as_array_mut().unwrap().reverse();
        };
        let shard = opened(declared(turned), folder, &[]);
        assert_eq!(cell(&shard, 1, "route"), Value::Text("r".into()));
        let class = &shard.populations[0];
        let row = class.table.row(TwinId(1)).unwrap();
        assert_eq!((class.table.maps[1].len(row), class.table.maps[2].len(row)), (0, 1));
    });
}

#[test]
fn whole_numbers_become_floats() {
    both(|folder, _| {
        let real = |declaration: &mut Json| declaration["populations"][0]["columns"][3]["type"] = "float64".into();
        let mut shard = opened(declared(real), folder, &[]);
        assert_eq!(cell(&shard, 1, "total"), Value::Float(11.0));
        perform(&mut shard, &Act::Report(1, 1.0, 2));
        shard.close_journal(PATIENCE).unwrap();
        assert_eq!(cell(&opened(declared(real), folder, &[]), 1, "total"), Value::Float(13.0));
    });
}

#[test]
fn what_would_be_lost_is_named_and_nothing_is_touched() {
    both(|folder, _| {
        let gone = |declaration: &mut Json| {
            without(declaration, "columns", 11);
            without(declaration, "maps", 1);
            declaration["populations"].as_array_mut().unwrap().pop();
        };
        let refused = declared(gone).open_store(folder, &[]).unwrap_err();
        let expected = format!(
            "{}: the store holds Bus.raw, Bus.any, City, which the app no longer declares. If it was renamed, give it its old \
             name (name= of a lane); if it is to go, run once with --forget Bus.raw --forget Bus.any --forget City",
            folder.display()
        );
        assert_eq!(refused, expected);
        // it was not even claimed
        assert_eq!(cell(&opened(shard(), folder, &[]), 1, "total"), Value::Int(11));
    });
}

#[test]
fn a_lane_of_another_type_is_refused() {
    both(|folder, _| {
        let text = |declaration: &mut Json| declaration["populations"][0]["columns"][8]["type"] = "string".into();
        let refused = declared(text).open_store(folder, &[]).unwrap_err();
        assert!(refused.contains("Bus.seen is timestamp in the store and string in the app"), "{refused}");
        let shard = opened(declared(text), folder, &["Bus.seen"]);
        assert_eq!((cell(&shard, 1, "seen"), cell(&shard, 1, "total")), (Value::Null, Value::Int(11)));
    });
}

#[test]
fn what_is_forgotten_stays_forgotten() {
    both(|folder, _| {
        let gone = |declaration: &mut Json| {
            without(declaration, "columns", 11);
            declaration["populations"].as_array_mut().unwrap().pop();
        };
        let mut forgetful = opened(declared(gone), folder, &["Bus.raw", "City"]);
        assert_eq!(cell(&forgetful, 1, "total"), Value::Int(11));
        perform(&mut forgetful, &Act::Report(1, 1.0, 2));
        forgetful.close_journal(PATIENCE).unwrap();
        let mut shard = opened(declared(gone), folder, &[]);
        assert_eq!(cell(&shard, 1, "total"), Value::Int(13));
        shard.close_journal(PATIENCE).unwrap();
        // a class of that name is another one from now on
        let mut shard = opened(self::shard(), folder, &[]);
        run(&mut shard);
        assert_eq!(cell(&shard, 1, "raw"), Value::Null);
        let city = &shard.populations[1].table;
        assert_eq!((city.len(), city.columns[1].get(0)), (1, Value::Int(10)));
        shard.close_journal(PATIENCE).unwrap();
    });
}

#[test]
fn a_fold_that_is_forgotten_starts_anew() {
    both(|folder, _| {
        let mut shard = opened(shard(), folder, &["Bus.mean", "Bus.recent", "Bus.late"]);
        assert_eq!((cell(&shard, 1, "mean"), cell(&shard, 1, "recent")), (Value::Null, Value::Null));
        perform(&mut shard, &Act::Report(1, 10.0, 1));
        assert_eq!((cell(&shard, 1, "mean"), cell(&shard, 1, "recent")), (Value::Float(10.0), Value::Float(10.0)));
        // it was about to become true in the run before
        perform(&mut shard, &Act::Advance(6_000_000));
        assert_eq!(cell(&shard, 2, "late"), Value::Bool(false));
        shard.close_journal(PATIENCE).unwrap();
        assert_eq!(cell(&opened(self::shard(), folder, &[]), 1, "mean"), Value::Float(10.0));
    });
}

#[test]
fn a_threshold_that_is_forgotten_has_no_timer_left() {
    both(|folder, _| {
        let mut shard = opened(shard(), folder, &["Bus.late"]);
        perform(&mut shard, &Act::Advance(6_000_000));
        assert_eq!(cell(&shard, 1, "late"), Value::Bool(false));
        shard.close_journal(PATIENCE).unwrap();
    });
}

#[test]
fn other_windows_start_anew() {
    both(|folder, _| {
        let longer = |declaration: &mut Json| {
            declaration["populations"][0]["folds"][4]["window"] = json!({"last": 90_000_000});
        };
        let mut shard = opened(declared(longer), folder, &[]);
        perform(&mut shard, &Act::Report(1, 10.0, 1));
        assert_eq!(cell(&shard, 1, "recent"), Value::Float(10.0));
        // the alarm of the window before finds nothing
        perform(&mut shard, &Act::Advance(70_000_000));
        assert_eq!(cell(&shard, 1, "recent"), Value::Float(10.0));
        perform(&mut shard, &Act::Advance(30_000_000));
        assert_eq!(cell(&shard, 1, "recent"), Value::Null);
        shard.close_journal(PATIENCE).unwrap();
    });
}

#[test]
fn a_schema_that_grows_in_a_run_is_saved_as_it_grows() {
    for in_checkpoint in [false, true] {
        let folder = tempfile::tempdir().unwrap();
        let store = folder.path().join("store");
        let more = |declaration: &mut Json| {
            let population = &mut declaration["populations"][0];
            population["columns"].as_array_mut().unwrap().push(json!({"name": "most", "type": "float64"}));
            let fold = json!({"out": 12, "input": {"column": 0}, "fold": "mean", "window": {"last": 30_000_000}});
            population["folds"].as_array_mut().unwrap().push(fold);
        };
        let mut declaration: Json = serde_json::from_str(DECLARATION).unwrap();
        more(&mut declaration);
        let mut never_stopped = shard();
        let mut shard = reopened(&store);
        for shard in [&mut shard, &mut never_stopped] {
            perform(shard, &Act::Report(1, 60.0, 1));
            perform(shard, &Act::Put(2, 3, 4));
            // dirty when it grows
            let node = Node::Uri("/bus/1".into());
            shard.post("test".into(), node, Lane::Named("route".into()), Body::Tree(Value::Text("r".into())));
            shard.extend(serde_json::from_value(declaration.clone()).unwrap()).unwrap();
            run(shard);
            perform(shard, &Act::Report(1, 70.0, 1));
            perform(shard, &Act::Advance(2_000_000));
            perform(shard, &Act::Report(3, 30.0, 1));
        }
        if in_checkpoint {
            shard.checkpoint();
            perform(&mut shard, &Act::Report(3, 31.0, 1));
            perform(&mut never_stopped, &Act::Report(3, 31.0, 1));
            shard.close_journal(PATIENCE).unwrap();
        } else {
            abandoned(shard, &store);
        }
        let mut second = opened(declared(more), &store, &[]);
        assert_eq!(seen(&mut second), seen(&mut never_stopped), "{in_checkpoint}");
        perform(&mut second, &Act::Advance(40_000_000));
        perform(&mut never_stopped, &Act::Advance(40_000_000));
        assert_eq!(seen(&mut second), seen(&mut never_stopped));
        second.close_journal(PATIENCE).unwrap();
    }
}
