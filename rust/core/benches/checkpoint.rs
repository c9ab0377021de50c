//! What a checkpoint of a million twins costs: how long it stops the turns, how long they take longer afterwards, how fast it
//! is written and loaded. `cargo bench -p shoal-core --bench checkpoint`

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::json;
use shoal_core::journal::checkpoint::{self, Job};
use shoal_core::journal::files::Disk;
use shoal_core::journal::schema::Schema;
use shoal_core::shard::Shard;
use shoal_core::undo::Log;
use shoal_core::value::Value;

const TWINS: u32 = 1_000_000;
const ENTRIES: u32 = 10;
const TURNS: u32 = 4096;

fn shard() -> Shard {
    let column = |name: &str| json!({"name": name, "type": "float64"});
    let declaration = json!({
        "app": "bench", "zone": "UTC",
        "settings": {"max_sends": 9, "max_hops": 8, "max_rounds": 4, "busy_bound": 9, "commit_turns": 4096, "handler_seconds": 5.0},
        "populations": [{
            "name": "Bus", "pattern": [{"literal": "bus"}, {"parameter": "id"}],
            "columns": [column("speed"), column("level"), column("top")],
            "maps": [{"name": "stops", "key": "string", "value": "int64", "limit": 100}],
            "commands": [], "changed": [], "timers": [], "members": [], "folds": [],
            "hooks": {"create": false, "start": false, "stop": false},
        }],
    });
    Shard::new(serde_json::from_value(declaration).expect("complete"), true, false).expect("it fits")
}

fn job(shard: &mut Shard, schema: &Schema) -> Job {
    Job {
        schema: schema.clone(),
        patterns: vec![shard.populations[0].decl.pattern.clone()],
        snapshots: vec![shard.populations[0].table.snapshot()],
        saved: vec![vec![u64::MAX]],
        changed: None,
        previous: None,
        small: Vec::new(),
    }
}

fn fill(shard: &mut Shard, entries: u32) {
    let table = &mut shard.populations[0].table;
    let mut log = Log::default();
    for twin in 0..TWINS {
        let (row, _) = table.create(format!("vehicle-{twin}").as_bytes());
        log.reset(table.words());
        for column in 0..3 {
            table.put_float(row, column, f64::from(twin) * 0.37 + f64::from(column), &mut log);
        }
        table.keep(row, &mut log);
    }
    // entries come as events do: a twin's are not beside each other
    for entry in 0..entries {
        for row in 0..TWINS {
            log.reset(table.words());
            let key = Value::Text(ecow::eco_format!("stop {entry}"));
            table.map_put(row, 0, key, Value::Int(i64::from(row)), &mut log).expect("there is room");
            table.keep(row, &mut log);
        }
        table.commit();
    }
    table.commit();
}

/// A batch of turns of random twins; `what` is done in each.
fn batch(
    shard: &mut Shard,
    seed: &mut u64,
    what: impl Fn(&mut shoal_core::population::Population, u32, u32, &mut Log),
) -> Duration {
    let table = &mut shard.populations[0].table;
    let mut log = Log::default();
    let begun = Instant::now();
    for _ in 0..TURNS {
        *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        let (row, entry) = ((*seed >> 33) as u32 % TWINS, (*seed >> 20) as u32 % ENTRIES);
        log.reset(table.words());
        what(table, row, entry, &mut log);
        table.keep(row, &mut log);
    }
    table.commit();
    begun.elapsed()
}

fn ms(took: Duration) -> String {
    format!("{:.2} ms", took.as_secs_f64() * 1e3)
}

fn stops(shard: &mut Shard) {
    let key = |entry: u32| Value::Text(ecow::eco_format!("stop {entry}"));
    let mut seed = 1;
    let write_entry = |table: &mut shoal_core::population::Population, row, entry, log: &mut Log| {
        table.map_put(row, 0, key(entry), Value::Int(5), log).expect("it is there");
    };
    let write_cells = |table: &mut shoal_core::population::Population, row, _, log: &mut Log| {
        (0..3).for_each(|column| table.put_float(row, column, 0.5, log));
    };
    // the second one puts in what the first took out, all over the table
    let remove = |table: &mut shoal_core::population::Population, row, entry, log: &mut Log| {
        table.map_remove(row, 0, &key(entry), log);
    };
    type What<'a> = &'a dyn Fn(&mut shoal_core::population::Population, u32, u32, &mut Log);
    let kinds: [(&str, What<'_>); 4] = [
        ("write an entry", &write_entry),
        ("write 3 cells", &write_cells),
        ("remove an entry", &remove),
        ("put an entry", &write_entry),
    ];
    for (name, what) in kinds {
        let (mut worst_snapshot, mut worst_batch, mut plain) = (Duration::ZERO, Duration::ZERO, Duration::MAX);
        let mut dropped = Duration::ZERO;
        for _ in 0..5 {
            plain = plain.min(batch(shard, &mut seed, what));
            let begun = Instant::now();
            let snapshot = shard.populations[0].table.snapshot();
            worst_snapshot = worst_snapshot.max(begun.elapsed());
            worst_batch = worst_batch.max(batch(shard, &mut seed, what));
            let begun = Instant::now();
            drop(black_box(snapshot));
            dropped = dropped.max(begun.elapsed());
        }
        println!(
            "{TURNS} turns that {name}: snapshot {}, the batch after it {} (without one {}), drop {}",
            ms(worst_snapshot),
            ms(worst_batch),
            ms(plain),
            ms(dropped)
        );
    }
}

fn files(shard: &mut Shard, folder: &Path, name: &str) {
    let schema = Schema::of(&shard.populations, None, &[]).expect("a first schema");
    let written = job(shard, &schema);
    let begun = Instant::now();
    let parts = checkpoint::write(&Disk::default(), folder, written).expect("the disk takes it");
    let wrote = begun.elapsed();
    let bytes: u64 = parts.iter().map(|part| part.bytes).sum();
    let mut best = Duration::MAX;
    for _ in 0..3 {
        let mut loaded = self::shard();
        let begun = Instant::now();
        checkpoint::load(folder, &parts, std::slice::from_ref(&schema), &schema, &mut loaded.populations)
            .expect("it is whole");
        best = best.min(begun.elapsed());
        assert_eq!(loaded.populations[0].table.len() as u32, TWINS);
    }
    println!(
        "{name}: {} files, {:.1} MB, written in {}, loaded in {}: {:.2} million twins/s",
        parts.len(),
        bytes as f64 / 1e6,
        ms(wrote),
        ms(best),
        f64::from(TWINS) / best.as_secs_f64() / 1e6
    );
}

fn main() {
    let dir = std::env::temp_dir().join(format!("shoal-bench-checkpoint-{}", std::process::id()));
    std::fs::create_dir(&dir).expect("the folder for temporary files is there");
    let mut small = shard();
    fill(&mut small, 0);
    files(&mut small, &dir.join("1"), "1,000,000 twins, 3 number lanes");
    drop(small);
    let mut large = shard();
    fill(&mut large, ENTRIES);
    stops(&mut large);
    files(&mut large, &dir.join("2"), "the same with a map of 10 entries each");
    std::fs::remove_dir_all(&dir).expect("it was made here");
}
