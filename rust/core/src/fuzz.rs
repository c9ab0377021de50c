//! For tests: seeds cut up, mixed and changed at random, as long as `SHOAL_FUZZ_SECONDS` says (20). What makes a reader
//! panic is kept in `tests/corpus/NAME` and tried first ever after. The long tests run it (`make test-long`).

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::PathBuf;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

/// The kept inputs of one reader.
pub(crate) fn corpus(name: &str) -> Vec<Vec<u8>> {
    let Ok(entries) = std::fs::read_dir(folder(name)) else { return Vec::new() };
    let mut paths: Vec<PathBuf> = entries.filter_map(|entry| Some(entry.ok()?.path())).collect();
    paths.sort();
    paths.iter().map(|path| std::fs::read(path).expect("a file of the corpus")).collect()
}

fn folder(name: &str) -> PathBuf {
    PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/corpus")).join(name)
}

fn seconds() -> u64 {
    std::env::var("SHOAL_FUZZ_SECONDS").map_or(20, |text| text.parse().expect("SHOAL_FUZZ_SECONDS is a whole number"))
}

/// Tries what is kept, then changed seeds until the time is over. `grammar` has the bytes that the reader cares about.
pub(crate) fn fuzz(name: &str, seeds: Vec<Vec<u8>>, grammar: &'static [u8], try_one: impl Fn(&[u8])) {
    let kept = corpus(name);
    kept.iter().for_each(|bytes| try_one(bytes));
    let inputs = changed(seeds.into_iter().chain(kept).collect(), grammar);
    let deadline = Instant::now() + Duration::from_secs(seconds());
    let mut runner = TestRunner::default();
    let mut cases = 0;
    while cases == 0 || Instant::now() < deadline {
        let bytes = inputs.new_tree(&mut runner).expect("a strategy without filters").current();
        if let Err(panic) = catch_unwind(AssertUnwindSafe(|| try_one(&bytes))) {
            let path = folder(name).join(format!("{cases}-{}", bytes.len()));
            std::fs::create_dir_all(folder(name)).expect("a place for the corpus");
            std::fs::write(&path, &bytes).expect("room for the corpus");
            println!("case {cases} is kept as {}", path.display());
            resume_unwind(panic);
        }
        cases += 1;
    }
    println!("{cases} cases");
}

/// The beginning of a seed, the end of another, and up to eight edits.
fn changed(seeds: Vec<Vec<u8>>, grammar: &'static [u8]) -> impl Strategy<Value = Vec<u8>> {
    let seed = || prop::sample::select(seeds.clone());
    let edit = (any::<usize>(), any::<usize>(), any::<u8>(), 0..5_u8);
    (seed(), seed(), any::<usize>(), any::<usize>(), prop::collection::vec(edit, 0..8)).prop_map(
        move |(head, tail, cut, from, edits)| {
            let mut bytes = head;
            bytes.truncate(cut % (bytes.len() + 1));
            bytes.extend_from_slice(&tail[from % (tail.len() + 1)..]);
            for (at, which, byte, kind) in edits {
                let at = at % (bytes.len() + 1);
                let common = grammar[which % grammar.len()];
                match kind {
                    0 => bytes.insert(at, common),
                    1 => bytes.insert(at, byte),
                    2 if at < bytes.len() => _ = bytes.remove(at),
                    3 if at < bytes.len() => bytes[at] ^= 1 << (byte % 8),
                    _ if at < bytes.len() => bytes[at] = common,
                    _ => bytes.push(common),
                }
            }
            bytes
        },
    )
}
