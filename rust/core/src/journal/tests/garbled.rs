//! Bytes that are no record: a checksum was right by accident, or the writer has a bug. They are refused.

use super::*;
use crate::journal::ShardId;
use crate::journal::record::apply;
use crate::journal::schema::Schema;
use crate::journal::small::Small;

/// Records of random histories, and the schema that they were written for.
fn seeds() -> (Vec<Vec<u8>>, Schema) {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path().join("store");
    let mut shard = reopened(&dir);
    let stop = |n: u8| Act::Put(n % 4, n % 7, i64::from(n) << (n % 60));
    for n in 0..40u8 {
        perform(&mut shard, &Act::Report(n % 5, f64::from(n) * 3.5, i64::from(n)));
        perform(&mut shard, &stop(n));
        perform(&mut shard, &Act::Notes(n % 3, -i64::from(n), "note".into()));
        perform(&mut shard, &Act::Any(n % 3, i64::from(n % 2), "any".into()));
        perform(&mut shard, &Act::Where(n % 3, 1.0, 2.0));
        match n % 8 {
            3 => perform(&mut shard, &Act::Delete(n % 5)),
            5 => perform(&mut shard, &Act::Take(n % 4, n % 7)),
            6 => perform(&mut shard, &Act::Clear(n % 4)),
            7 => set(&mut shard, n % 5, "speed", Value::Text("read-only".into())),
            _ => perform(&mut shard, &Act::Advance(9_000_000)),
        }
    }
    shard.close_journal(Duration::from_secs(20)).unwrap();
    let schema = Schema::of(&shard.populations, None, &[]).unwrap();
    drop(shard);
    let store = Store::open(&dir, "journal").unwrap();
    let mut bodies = Vec::new();
    let each = |_, _, body: &[u8]| -> Result<(), crate::journal::store::StoreError> {
        bodies.push(body.to_vec());
        Ok(())
    };
    store.read(ShardId(0), crate::journal::RecordNumber(1), each).unwrap();
    (bodies, schema)
}

/// What is in no way bounded by the bytes that are there would show as gigabytes, or as minutes.
fn try_one(bytes: &[u8], schema: &Schema, shard: &mut Shard, small: &mut Small) {
    // a second one behind it meets what the first has left
    for _ in 0..2 {
        _ = apply(bytes, schema, schema, &mut shard.populations, small);
    }
}

#[test]
fn each_prefix_and_each_flipped_bit_of_a_record_is_read_or_refused() {
    let (seeds, schema) = seeds();
    let longest = seeds.iter().max_by_key(|seed| seed.len()).unwrap();
    for seed in [&seeds[0], longest] {
        for length in 0..seed.len() {
            assert!(apply(&seed[..length], &schema, &schema, &mut shard().populations, &mut Small::default()).is_err());
        }
        for bit in 0..8 * seed.len() {
            let mut bytes = seed.clone();
            bytes[bit / 8] ^= 1 << (bit % 8);
            try_one(&bytes, &schema, &mut shard(), &mut Small::default());
        }
    }
}

#[test]
fn ids_beyond_all_reason_are_refused() {
    let (_, schema) = seeds();
    for next in [u64::MAX, 1 << 40, 1 << 63] {
        let mut out = crate::journal::bytes::Out::default();
        out.byte(0);
        out.number(schema.populations[0].id.0.into());
        out.number(next);
        out.count(1);
        out.number(next - 1);
        out.text("1");
        // deaths, rows, columns, maps, panes, no further population
        (0..6).for_each(|_| out.number(0));
        assert!(apply(&out.0, &schema, &schema, &mut shard().populations, &mut Small::default()).is_err());
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]

    #[test]
    fn any_bytes_are_a_record_or_none(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
        let mut shard = shard();
        let schema = Schema::of(&shard.populations, None, &[]).unwrap();
        try_one(&bytes, &schema, &mut shard, &mut Small::default());
    }
}

#[test]
#[ignore = "fuzzes"]
fn fuzz_records() {
    let (seeds, schema) = seeds();
    let grammar = &[0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0x7f, 0x80, 0xff];
    crate::fuzz::fuzz("records", seeds, grammar, |bytes| {
        try_one(bytes, &schema, &mut shard(), &mut Small::default());
    });
}

#[test]
fn what_broke_it_once_does_no_more() {
    let (_, schema) = seeds();
    for bytes in crate::fuzz::corpus("records") {
        try_one(&bytes, &schema, &mut shard(), &mut Small::default());
    }
}
