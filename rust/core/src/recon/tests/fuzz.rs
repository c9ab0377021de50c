//! Vectors, cut up and changed at random, through all readers (`crate::fuzz`).

use super::properties::all_readers;
use super::*;

const GRAMMAR: &[u8] = b"{}[]()@,;:\"'`\\#%-+*/&|^=<>?!~.0x19eEtrue \n\tab$_\x00\xC3\xA9";

pub(crate) fn fuzz(name: &str, seeds: Vec<String>, try_one: impl Fn(&str)) {
    let seeds = seeds.into_iter().map(String::into_bytes).collect();
    crate::fuzz::fuzz(name, seeds, GRAMMAR, |bytes| try_one(&String::from_utf8_lossy(bytes)));
}

#[test]
fn kept_texts_are_read() {
    for bytes in ["recon", "warp"].into_iter().flat_map(crate::fuzz::corpus) {
        all_readers(&String::from_utf8_lossy(&bytes));
    }
}

#[test]
#[ignore = "long"]
fn fuzz_the_recon_reader() {
    fuzz(
        "recon",
        vectors("recon").iter().map(|vector| vector["recon"].as_str().unwrap().into()).collect(),
        all_readers,
    );
}
