//! Vectors, cut up and changed at random, through all readers: as long as `SHOAL_FUZZ_SECONDS` says (20). Run by
//! `make test-long`.

use std::time::{Duration, Instant};

use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};

use super::properties::all_readers;
use super::*;

const GRAMMAR: &[u8] = b"{}[]()@,;:\"'`\\#%-+*/&|^=<>?!~.0x19eEtrue \n\tab$_\x00\xC3\xA9";

fn seconds() -> u64 {
    match std::env::var("SHOAL_FUZZ_SECONDS") {
        Ok(text) => text.parse().expect("SHOAL_FUZZ_SECONDS is a whole number"),
        Err(_) => 20,
    }
}

/// Mixes two of the seeds and edits the result.
fn changed(seeds: &[String]) -> impl Strategy<Value = String> + use<> {
    let seed = || prop::sample::select(seeds.to_vec());
    let edit = (any::<usize>(), any::<usize>(), any::<u8>(), 0..4_u8);
    (seed(), seed(), any::<usize>(), any::<usize>(), prop::collection::vec(edit, 0..6)).prop_map(
        |(head, tail, cut, from, edits)| {
            let mut bytes = head.into_bytes();
            bytes.truncate(cut % (bytes.len() + 1));
            bytes.extend_from_slice(&tail.as_bytes()[from % (tail.len() + 1)..]);
            for (at, which, byte, kind) in edits {
                let at = at % (bytes.len() + 1);
                let common = GRAMMAR[which % GRAMMAR.len()];
                match kind {
                    0 => bytes.insert(at, common),
                    1 => bytes.insert(at, byte),
                    2 if at < bytes.len() => drop(bytes.remove(at)),
                    _ if at < bytes.len() => bytes[at] = common,
                    _ => bytes.push(common),
                }
            }
            String::from_utf8_lossy(&bytes).into_owned()
        },
    )
}

pub(crate) fn fuzz(seeds: &[String], try_one: impl Fn(&str)) {
    let deadline = Instant::now() + Duration::from_secs(seconds());
    let texts = changed(seeds);
    let mut cases = 0;
    while Instant::now() < deadline {
        let config = Config { cases: 500, failure_persistence: None, ..Config::default() };
        let outcome = TestRunner::new(config).run(&texts, |text| {
            try_one(&text);
            Ok(())
        });
        outcome.unwrap_or_else(|error| panic!("after {cases} cases: {error}"));
        cases += 500;
    }
    println!("{cases} cases");
}

#[test]
#[ignore = "long"]
fn fuzz_the_recon_reader() {
    let seeds: Vec<String> = vectors("recon").iter().map(|vector| vector["recon"].as_str().unwrap().into()).collect();
    fuzz(&seeds, all_readers);
}
