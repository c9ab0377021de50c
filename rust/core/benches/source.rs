//! `cargo bench -p shoal-core --bench source`: how fast a reader passes over the lines of a file that have been applied,
//! beside how fast it reads them for nobody. The file's bytes are in the page cache. Prints the best of five.

use std::sync::Arc;
use std::time::Instant;

use shoal_core::batch::{Batch, Intake};
use shoal_core::source::{FileSpec, Resume, head, spawn};

const LINE: &str = "{\"id\":\"bus-12\",\"lat\":37.77,\"lon\":-122.41,\"speed\":12.5,\"t\":1700000000}\n";
const LINES: usize = 8_000_000;

struct Dropped;

impl Intake for Dropped {
    fn offer(&self, _: Batch) -> bool {
        true
    }

    fn finish(&self, outcome: Result<(), String>) {
        outcome.expect("a readable file");
    }
}

fn main() {
    let path = std::env::temp_dir().join(format!("shoal-bench-{}.jsonl", std::process::id()));
    std::fs::write(&path, LINE.repeat(LINES)).expect("space for the file");
    let name = path.to_str().expect("a UTF-8 path");
    let head = head(name).expect("a readable file").expect("a file");
    for (what, through) in [("passed over", LINES as u64), ("read", 0)] {
        let rate = || {
            let resume = Some(Resume { through, waiting: Vec::new(), head });
            let begun = Instant::now();
            let reader = spawn(FileSpec { resume, ..FileSpec::new(name) }, Arc::new(Dropped)).expect("a reader");
            reader.join().expect("an end");
            (LINE.len() * LINES) as f64 / begun.elapsed().as_secs_f64()
        };
        let best = (0..5).map(|_| rate()).fold(0.0, f64::max);
        println!("{:>6.2} GB/s, {:>12.0} lines a second {what}", best / 1e9, best / LINE.len() as f64);
    }
    std::fs::remove_file(path).expect("the file");
}
