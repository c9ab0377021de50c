//! What is written is loaded again; what has not changed is linked; what is broken is refused.

mod histories;

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde_json::{Value as Json, json};

use super::*;
use crate::declaration::{ColumnType, Declaration};
use crate::dump::dump;
use crate::journal::disk::{Failure, Tape};
use crate::journal::files::Disk;
use crate::population::changed::SEGMENT;
use crate::shard::Shard;
use crate::undo::Log;
use crate::value::Value;

/// A class with a lane of every type, folds with hidden state, windows, two maps; and one of two parameters.
pub(super) fn declared() -> Json {
    let column = |name: &str, kind: &str| json!({"name": name, "type": kind});
    let hooks = json!({"create": false, "start": false, "stop": false});
    let minute = 60_000_000;
    json!({
        "app": "test", "zone": "UTC",
        "settings": {"max_sends": 9, "max_hops": 8, "max_rounds": 4, "busy_bound": 9, "commit_turns": 70, "handler_seconds": 5.0},
        "populations": [{
            "name": "Bus", "pattern": [{"literal": "bus"}, {"parameter": "id"}],
            "columns": [
                column("moving", "bool"), {"name": "line", "type": "int64", "default": 7}, column("speed", "float64"),
                column("position", "point"), column("driver", "string"), column("key", "bytes"), column("seen", "timestamp"),
                column("any", "value"), column("smooth", "float64"), column("hour", "float64"), column("lately", "int64"),
                column("uri", "string"), column("least", "int64")],
            "maps": [
                {"name": "stops", "key": "string", "value": "int64", "limit": 100},
                {"name": "windows", "key": "int64", "value": "value", "limit": 100}],
            "commands": [], "changed": [], "timers": [], "members": [], "hooks": hooks,
            "folds": [
                {"out": 8, "input": {"column": 2}, "fold": "ewma", "half_life": minute},
                {"out": 9, "input": {"column": 2}, "fold": "mean", "window": {"last": minute}},
                {"out": 10, "input": {"column": 2}, "fold": "count", "window": {"every": minute}},
                {"out": 12, "input": {"column": 1}, "fold": "min", "window": {"last": 5 * minute}}],
        }, {
            "name": "Stop", "pattern": [{"parameter": "town"}, {"literal": "stop"}, {"parameter": "id"}],
            "columns": [column("waiting", "int64")], "maps": [], "commands": [], "changed": [], "timers": [],
            "members": [], "hooks": hooks, "folds": [],
        }, {
            "name": "City", "pattern": [{"literal": "city"}], "columns": [column("name", "string")], "maps": [],
            "commands": [], "changed": [], "timers": [], "members": [], "hooks": hooks, "folds": [],
        }],
    })
}

pub(super) fn shard_of(declared: Json) -> Shard {
    Shard::new(serde_json::from_value::<Declaration>(declared).unwrap(), true, false).unwrap()
}

pub(super) fn schema(shard: &Shard, before: Option<&Schema>, forget: &[&str]) -> Schema {
    let forget: Vec<String> = forget.iter().map(|name| (*name).to_owned()).collect();
    Schema::of(&shard.populations, before, &forget).unwrap()
}

/// A checkpoint of the shard as it is; everything is saved.
pub(super) fn job(shard: &mut Shard, schema: &Schema) -> Job {
    Job {
        schema: schema.clone(),
        patterns: shard.populations.iter().map(|class| class.decl.pattern.clone()).collect(),
        snapshots: shard.populations.iter().map(|class| class.table.snapshot()).collect(),
        saved: vec![vec![u64::MAX]; shard.populations.len()],
        changed: None,
        previous: None,
        small: b"small".to_vec(),
    }
}

pub(super) fn changes(shard: &mut Shard) -> Vec<Changed> {
    shard.populations.iter_mut().map(|class| class.table.take_changed()).collect()
}

/// One turn of one twin: writes cells, and steps what follows from the speed and the line.
pub(super) fn turn(shard: &mut Shard, class: usize, row: u32, cells: &[(u16, Value)], now: i64) {
    let mut log = Log::default();
    let class = &mut shard.populations[class];
    log.reset(class.table.words());
    for (column, value) in cells {
        class.table.put(row, *column, value.clone(), &mut log);
        let program = &class.programs.columns[*column as usize];
        crate::fold::run(program, &mut class.table, row, &[], now, &mut log).unwrap();
    }
    class.table.keep(row, &mut log);
}

pub(super) fn entry(shard: &mut Shard, row: u32, map: u16, key: Value, value: Option<Value>) {
    let mut log = Log::default();
    let table = &mut shard.populations[0].table;
    log.reset(table.words());
    match value {
        Some(value) => table.map_put(row, map, key, value, &mut log).unwrap(),
        None => _ = table.map_remove(row, map, &key, &mut log),
    }
    table.keep(row, &mut log);
}

fn text(text: &str) -> Value {
    Value::Text(text.into())
}

fn a_tree() -> Value {
    let point = Value::List([Value::Point(1.0, -0.0), Value::Null, Value::Bytes(b"\0\xff".as_slice().into())].into());
    Value::Map([("$z".into(), point), ("a".into(), Value::Float(3.0)), ("b".into(), Value::Time(-5))].into())
}

/// A shard with some of everything: unset cells, twins that are gone, entries out of their order.
fn filled() -> Shard {
    let mut shard = shard_of(declared());
    for id in ["7", "a/b", "ü %", "gone", "…"] {
        shard.populations[0].table.create(id.as_bytes());
    }
    shard.populations[1].table.create("Bad Ems\x00nord/süd".as_bytes());
    shard.populations[1].table.create(b"X\x001");
    shard.populations[2].table.create(b"");
    let cells = [
        (0, Value::Bool(false)),
        (1, Value::Int(i64::MIN)),
        (2, Value::Float(-0.0)),
        (3, Value::Point(52.5, 13.25)),
        (4, text("a driver whose name has more than twelve bytes: é")),
        (5, Value::Bytes(b"\xff\0".as_slice().into())),
        (6, Value::Time(1_700_000_000_123_456)),
        (7, a_tree()),
        (11, text("")),
    ];
    for now in [0, 1_000_000, 30_000_000, 61_000_000] {
        turn(&mut shard, 0, 0, &cells, now);
        turn(&mut shard, 0, 4, &[(2, Value::Float(now as f64 / 7.0)), (1, Value::Int(now))], now);
    }
    turn(&mut shard, 0, 1, &[(1, Value::Null), (4, text("short"))], 0);
    turn(&mut shard, 1, 1, &[(0, Value::Int(5))], 0);
    for (row, key) in [(0, "x"), (4, "y"), (0, "a stop of more than twelve bytes"), (0, "z"), (3, "w"), (0, "y")] {
        entry(&mut shard, row, 0, text(key), Some(Value::Int(i64::from(row))));
    }
    for key in ["x", "z"] {
        entry(&mut shard, 0, 0, text(key), None);
    }
    // it takes the slot of the last one removed, before an older entry of the same twin
    entry(&mut shard, 0, 0, text("x"), Some(Value::Int(99)));
    entry(&mut shard, 0, 1, Value::Int(-1), Some(Value::Null));
    entry(&mut shard, 0, 1, Value::Int(1), Some(a_tree()));
    shard.populations[0].table.remove(3);
    shard.commit();
    shard
}

fn write_all(shard: &mut Shard, folder: &Path) -> (Schema, Vec<Part>) {
    let schema = schema(shard, None, &[]);
    let job = job(shard, &schema);
    let parts = write(&Disk::default(), folder, job).unwrap();
    (schema, parts)
}

fn states(shard: &mut Shard) -> Json {
    dump(shard)["populations"].take()
}

fn inode(folder: &Path, file: &str) -> u64 {
    fs::metadata(folder.join(file)).unwrap().ino()
}

#[test]
fn a_checkpoint_is_loaded_as_it_was_written() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("checkpoints").join("000000000123");
    let mut shard = filled();
    let (schema, parts) = write_all(&mut shard, &folder);
    let names: Vec<&str> = parts.iter().map(|part| part.file.as_str()).collect();
    let expected = [
        "Bus-0000.arrow",
        "Bus.windows-0000.arrow",
        "Bus.stops-0000.arrow",
        "Bus.windows~1.19-0000.arrow",
        "Stop-0000.arrow",
        "City-0000.arrow",
        "small.bin",
    ];
    let map = schema.populations[0].maps[1].id.0;
    let expected = expected.map(|name| name.replace("1.19", &format!("1.{map}")));
    assert_eq!(names, expected);
    let mut found: Vec<_> = fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    found.sort();
    assert_eq!(found.len(), parts.len());
    assert!(!aside(&folder).exists());

    let mut loaded = shard_of(declared());
    let small = load(&folder, &parts, std::slice::from_ref(&schema), &schema, &mut loaded.populations).unwrap();
    assert_eq!(small, b"small");
    assert_eq!(states(&mut loaded), states(&mut shard));
    // what comes next is the same, too
    for shard in [&mut shard, &mut loaded] {
        let (row, _) = shard.populations[0].table.create(b"new");
        entry(shard, row, 0, text("x"), Some(Value::Int(1)));
        let row = shard.populations[0].table.find("…".as_bytes()).unwrap();
        turn(shard, 0, row, &[(2, Value::Float(1e17))], 90_000_000);
    }
    assert_eq!(states(&mut loaded), states(&mut shard));
}

#[test]
fn the_files_have_the_lanes_as_columns() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("1");
    write_all(&mut filled(), &folder);
    let file = fs::File::open(folder.join("Bus-0000.arrow")).unwrap();
    let batch = arrow_ipc::reader::FileReader::try_new(file, None).unwrap().next().unwrap().unwrap();
    let names: Vec<String> = batch.schema().fields().iter().map(|field| field.name().clone()).collect();
    assert_eq!(names[..5], ["_id", "uri", "moving", "line", "speed"]);
    assert!(names.contains(&"smooth.ewma_at".to_owned()), "{names:?}");
    assert!(names.iter().any(|name| name.starts_with("uri~")), "a lane that is called as a column: {names:?}");
    use arrow_array::cast::AsArray;
    let uris: Vec<Option<&str>> = batch["uri"].as_string::<i32>().iter().collect();
    assert_eq!(uris, [Some("/bus/7"), Some("/bus/a%2Fb"), Some("/bus/%C3%BC%20%25"), Some("/bus/%E2%80%A6")]);
    let trees = batch["any"].as_string::<i32>();
    let tree = r#"{"$$z":[{"$point":[1.0,-0.0]},null,{"$bytes":"AP8="}],"a":3.0,"b":{"$time":-5}}"#;
    assert_eq!(trees.iter().collect::<Vec<_>>(), [Some(tree), None, None, None]);
}

/// Twins enough for three segments, made quickly.
fn many() -> Shard {
    let mut shard = shard_of(declared());
    for number in 0..2 * SEGMENT + 10 {
        shard.populations[0].table.create(number.to_string().as_bytes());
    }
    entry(&mut shard, 5, 0, text("x"), Some(Value::Int(1)));
    turn(&mut shard, 0, 5, &[(2, Value::Float(1.0))], 0);
    turn(&mut shard, 0, SEGMENT, &[(2, Value::Float(1.0))], 0);
    shard.commit();
    shard
}

#[test]
fn what_has_not_changed_is_linked() {
    let dir = tempfile::tempdir().unwrap();
    let paths: Vec<PathBuf> = (1..=3).map(|number| dir.path().join(number.to_string())).collect();
    let mut shard = many();
    let schema = schema(&shard, None, &[]);
    changes(&mut shard);
    let job_one = job(&mut shard, &schema);
    let first = write(&Disk::default(), &paths[0], job_one).unwrap();

    let next = |shard: &mut Shard, at: usize, before: &[Part]| {
        let changed = Some(changes(shard));
        let previous = Some((paths[at - 1].clone(), before.to_vec()));
        let job = Job { changed, previous, ..job(shard, &schema) };
        write(&Disk::default(), &paths[at], job).unwrap()
    };
    turn(&mut shard, 0, SEGMENT + 3, &[(4, text("new"))], 0);
    shard.commit();
    let second = next(&mut shard, 1, &first);
    let linked = |at: usize| -> Vec<&str> {
        let is_linked = |part: &&Part| {
            paths[at - 1].join(&part.file).exists()
                && inode(&paths[at - 1], &part.file) == inode(&paths[at], &part.file)
        };
        let parts = if at == 1 { &second } else { &first };
        parts.iter().filter(is_linked).map(|part| part.file.as_str()).collect()
    };
    let all = ["Bus-0000.arrow", "Bus.windows-0000.arrow", "Bus-0002.arrow", "Bus.stops-0000.arrow"];
    assert_eq!(linked(1), all);
    let mut loaded = shard_of(declared());
    load(&paths[1], &second, std::slice::from_ref(&schema), &schema, &mut loaded.populations).unwrap();
    assert_eq!(states(&mut loaded), states(&mut shard));

    // an entry and panes alone change without their twins' segment, and a deleted twin changes all three
    entry(&mut shard, 5, 0, text("x"), None);
    shard.populations[0].table.remove(2 * SEGMENT + 1);
    shard.commit();
    let third = next(&mut shard, 2, &second);
    let inodes = |file: &str| (inode(&paths[1], file), inode(&paths[2], file));
    let is_linked = |file: &str| inodes(file).0 == inodes(file).1;
    assert!(is_linked("Bus-0001.arrow") && is_linked("Bus.windows-0001.arrow"));
    assert!(!is_linked("Bus-0002.arrow") && !is_linked("Bus-0000.arrow"));
    assert!(!third.iter().any(|part| part.file.starts_with("Bus.stops")), "the map is empty");
    // the first one goes, and the others stay whole
    fs::remove_dir_all(&paths[0]).unwrap();
    let mut loaded = shard_of(declared());
    load(&paths[2], &third, std::slice::from_ref(&schema), &schema, &mut loaded.populations).unwrap();
    assert_eq!(states(&mut loaded), states(&mut shard));
}

#[test]
fn any_flipped_bit_is_refused_and_nothing_is_loaded() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("1");
    let (schema, parts) = write_all(&mut filled(), &folder);
    let mut seen = 0;
    for part in &parts {
        let path = folder.join(&part.file);
        let whole = fs::read(&path).unwrap();
        // every 7th byte: all kinds of places, in every file
        for at in (0..whole.len()).step_by(7).chain([whole.len() - 1]) {
            let mut bytes = whole.clone();
            bytes[at] ^= 1 << (at % 8);
            fs::write(&path, &bytes).unwrap();
            let error = verify(&folder, &parts).unwrap_err();
            assert_eq!(error.file, path);
            assert!(matches!(error.cause, Cause::Damaged(_)), "{error}");
            seen += 1;
        }
        for bytes in [&whole[..whole.len() - 1], &[whole.as_slice(), b"x"].concat()] {
            fs::write(&path, bytes).unwrap();
            let mut loaded = shard_of(declared());
            let error = load(&folder, &parts, std::slice::from_ref(&schema), &schema, &mut loaded.populations)
                .unwrap_err()
                .to_string();
            assert!(error.contains(&part.file) && error.contains("shoal store repair"), "{error}");
            assert!(loaded.populations.iter().all(|class| class.table.is_empty()));
        }
        fs::remove_file(&path).unwrap();
        let error = verify(&folder, &parts).unwrap_err().to_string();
        assert!(error.contains("is missing") && error.contains("shoal store repair"), "{error}");
        fs::write(&path, whole).unwrap();
    }
    assert!(seen > 1000);
    verify(&folder, &parts).unwrap();
    // a list of files that leaves one out
    for at in 0..parts.len() {
        let mut fewer = parts.clone();
        fewer.remove(at);
        let mut loaded = shard_of(declared());
        assert!(
            load(&folder, &fewer, std::slice::from_ref(&schema), &schema, &mut loaded.populations).is_err()
                || parts[at].file.contains("windows-")
        );
    }
}

#[test]
fn a_lane_may_be_added_forgotten_or_become_real() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("1");
    let mut shard = filled();
    let (stored, parts) = write_all(&mut shard, &folder);
    let mut newer = declared();
    let bus = &mut newer["populations"][0];
    bus["columns"][1] = json!({"name": "line", "type": "float64", "default": 1.5});
    bus["columns"][12] = json!({"name": "least", "type": "float64"});
    bus["columns"][4] = json!({"name": "note", "type": "string", "default": "none"});
    bus["maps"].as_array_mut().unwrap().remove(0);
    bus["pattern"] = json!([{"literal": "vehicles"}, {"literal": "bus"}, {"parameter": "number"}]);
    newer["populations"].as_array_mut().unwrap().remove(1);
    let mut loaded = shard_of(newer);
    let present = schema(&loaded, Some(&stored), &["Bus.driver", "Bus.stops", "Stop"]);
    load(&folder, &parts, std::slice::from_ref(&stored), &present, &mut loaded.populations).unwrap();
    let table = &loaded.populations[0].table;
    let old = &shard.populations[0].table;
    assert_eq!(table.len(), old.len());
    for row in old.live() {
        let new = table.row(old.id(row).unwrap()).unwrap();
        assert_eq!(table.key(new), old.key(row));
        let line = old.columns[1].get(row).as_f64().map_or(Value::Null, Value::Float);
        assert_eq!(table.columns[1].get(new), line, "null stays null, although there is a default");
        assert_eq!(table.columns[4].get(new), text("none"));
        assert_eq!(format!("{:?}", table.columns[7].get(new)), format!("{:?}", old.columns[7].get(row)));
        let entries = |map: &crate::maps::MapTable, row| map.slots(row).map(|slot| map.value(slot)).collect::<Vec<_>>();
        assert_eq!(entries(&table.maps[0], new), entries(&old.maps[1], row));
    }
    assert_eq!(loaded.populations[1].table.len(), 1);
    assert_eq!(loaded.populations[0].table.columns[1].kind(), ColumnType::Float64);
}

#[test]
fn what_is_not_saved_is_not_written() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("1");
    let mut shard = filled();
    let schema = schema(&shard, None, &[]);
    let mut job = job(&mut shard, &schema);
    let width = shard.populations[0].table.columns.len();
    // neither the line, nor the mean of the last hour, nor the stops
    job.saved[0][0] &= !(1 << 1 | 1 << 9 | 1 << width);
    let parts = write(&Disk::default(), &folder, job).unwrap();
    assert!(!parts.iter().any(|part| part.file.starts_with("Bus.stops")));
    let mut loaded = shard_of(declared());
    load(&folder, &parts, std::slice::from_ref(&schema), &schema, &mut loaded.populations).unwrap();
    let table = &loaded.populations[0].table;
    let row = table.find(b"7").unwrap();
    assert_eq!((table.columns[1].get(row), table.columns[9].get(row)), (Value::Int(7), Value::Null));
    assert_eq!(table.maps[0].len(row), 0);
    assert!(table.windows[0].describe(row).is_empty() && !table.windows[1].describe(row).is_empty());
}

#[test]
fn without_links_files_are_copied_and_a_full_disk_leaves_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    let mut shard = filled();
    let (schema, parts) = write_all(&mut shard, &one);
    changes(&mut shard);
    let mut again = |failure: Failure, after: usize| {
        let changed = Some(changes(&mut shard));
        let job = Job { changed, previous: Some((one.clone(), parts.clone())), ..job(&mut shard, &schema) };
        let tape = Tape::over(dir.path());
        tape.fail(failure, after);
        (write(&Disk::taped(Arc::clone(&tape)), &two, job), tape.failed())
    };
    let mut refused = 0;
    for after in 0.. {
        match again(Failure::NoSpace, after) {
            (Err(error), _) => {
                assert!(error.to_string().contains("stays valid"), "{error}");
                assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "only the first one is there");
                refused += 1;
            }
            (Ok(copied), failed) => {
                // a link that cannot be made is a copy
                assert_eq!(copied, parts);
                verify(&two, &copied).unwrap();
                if failed.is_none() {
                    break;
                }
                fs::remove_dir_all(&two).unwrap();
            }
        }
    }
    assert!(refused > 1, "{refused}");
    fs::remove_dir_all(&two).unwrap();
    let (copied, _) = again(Failure::Links, 0);
    assert_eq!(copied.unwrap(), parts);
    assert_ne!(inode(&one, "Bus-0000.arrow"), inode(&two, "Bus-0000.arrow"));
    verify(&two, &parts).unwrap();
    // there is one already
    assert!(again(Failure::Links, 0).0.is_err());
    verify(&two, &parts).unwrap();

    fs::create_dir(dir.path().join("3.tmp")).unwrap();
    tidy(&Disk::default(), dir.path(), std::slice::from_ref(&two)).unwrap();
    assert!(two.exists() && fs::read_dir(dir.path()).unwrap().count() == 1);
    tidy(&Disk::default(), &dir.path().join("none"), &[]).unwrap();
}

#[test]
fn files_of_another_schema_are_not_taken_over() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    let mut shard = filled();
    let (mut schema, parts) = write_all(&mut shard, &one);
    changes(&mut shard);
    schema.number += 1;
    let changed = Some(changes(&mut shard));
    let job = Job { changed, previous: Some((one.clone(), parts)), ..job(&mut shard, &schema) };
    for part in write(&Disk::default(), &two, job).unwrap() {
        assert_ne!(inode(&one, &part.file), inode(&two, &part.file), "{}", part.file);
    }
}
