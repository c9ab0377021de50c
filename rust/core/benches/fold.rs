//! ns an event of the way that needs no Python: decode, route, folds. `cargo bench -p shoal-core --bench fold`.

use std::io::Write;
use std::time::{Duration, Instant};

use shoal_core::declaration::Declaration;
use shoal_core::dispatch::Step;
use shoal_core::feed::State;
use shoal_core::shard::Shard;

const TWINS: usize = 10_000;
const EVENTS: usize = 1_000_000;

fn declaration() -> Declaration {
    let field = |name: &str, kind: &str| serde_json::json!({"name": name, "kind": kind, "required": true});
    let column = |name: &str, kind: &str, default: serde_json::Value| serde_json::json!({"name": name, "type": kind, "default": default});
    let from = |slots: &[usize]| serde_json::json!({"command": {"command": 0, "slots": slots}});
    let null = serde_json::Value::Null;
    serde_json::from_value(serde_json::json!({
        "app": "bench", "zone": "UTC",
        "settings": {"max_sends": 10000, "max_hops": 64, "max_rounds": 16, "busy_bound": 1000,
            "commit_turns": 4096, "handler_seconds": 5.0},
        "populations": [{
            "name": "V", "pattern": [{"literal": "v"}, {"parameter": "id"}],
            "columns": [column("count", "int64", 0.into()), column("smooth", "float64", null.clone()),
                column("top", "float64", null.clone()), column("position", "point", null.clone()),
                column("alarm", "bool", false.into())],
            "maps": [], "changed": [], "timers": [], "members": [],
            "hooks": {"create": false, "start": false, "stop": false},
            "commands": [{"name": "report", "body": {"record": {"fields": [field("id", "text"), field("t", "float"),
                field("speed", "float"), field("lat", "float"), field("lon", "float")]}}}],
            "folds": [
                {"out": 0, "input": from(&[]), "fold": "count"},
                {"out": 1, "input": from(&[2]), "fold": "ewma", "alpha": 0.2},
                {"out": 2, "input": from(&[2]), "fold": "max"},
                {"out": 3, "input": from(&[3, 4]), "fold": "latest"},
                {"out": 4, "input": {"column": 1}, "fold": "above", "limit": {"constant": 80.0}},
            ],
        }],
    }))
    .expect("the declaration is complete")
}

fn main() {
    let mut path = std::env::temp_dir();
    path.push(format!("shoal-bench-{}.jsonl", std::process::id()));
    let mut out = std::io::BufWriter::new(std::fs::File::create(&path).expect("a file in the temporary folder"));
    let mut seed = 42u64;
    let mut random = || {
        seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (seed >> 33) as usize
    };
    for i in 0..EVENTS {
        let (id, speed, lat, lon) = (random() % TWINS, random() % 12_000, random() % 100_000, random() % 100_000);
        writeln!(
            out,
            r#"{{"id": "v{id}", "t": {}.{:03}, "speed": {}.{:02}, "lat": 52.{lat:05}, "lon": 13.{lon:05}}}"#,
            i / 1000,
            i % 1000,
            speed / 100,
            speed % 100
        )
        .expect("room for 80 MB");
    }
    drop(out);
    let mut shard = Shard::new(declaration(), false, false).expect("a shard");
    let source = serde_json::json!({"name": "bench", "file": {"path": path}, "target": [0, 0]});
    shard.ingest(serde_json::from_value(source).expect("a source")).expect("the file opens");
    let start = Instant::now();
    while shard.sources[0].state == State::Open || shard.waiting() {
        shard.batch(Duration::from_secs(1));
        while shard.advance() != Step::Idle {}
        shard.commit();
        if !shard.waiting() {
            std::thread::yield_now();
        }
    }
    let took = start.elapsed();
    assert_eq!(shard.sources[0].counts.applied as usize, EVENTS);
    println!("{:.0} ns an event, wall", took.as_nanos() as f64 / EVENTS as f64);
    std::fs::remove_file(path).expect("our own file");
}
