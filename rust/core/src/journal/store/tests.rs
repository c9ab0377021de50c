use super::*;

const APP: &str = "transit";
const SHARD: ShardId = ShardId(0);

/// Number and body of each record.
fn all(store: &Store, from: u64) -> Result<Vec<(u64, Vec<u8>)>, StoreError> {
    let mut found = Vec::new();
    store.read(SHARD, RecordNumber(from), |number, _, body| {
        found.push((number.0, body.to_vec()));
        Ok::<(), StoreError>(())
    })?;
    Ok(found)
}

#[test]
fn what_is_appended_is_read_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let dir = dir.path().join("a/store");
    let mut store = Store::open(&dir, APP).unwrap();
    assert_eq!(store.claim(SHARD).unwrap(), Epoch(1));
    let bodies: Vec<Vec<u8>> = (0..20).map(|size| vec![size as u8; size * 1000]).collect();
    for (at, body) in bodies.iter().enumerate() {
        let record = Record { number: RecordNumber(at as u64 + 1), schema: 1, body };
        store.append(SHARD, Epoch(1), &[record], &[(1, "{}".into())]).unwrap();
    }
    let expected: Vec<_> = bodies.into_iter().enumerate().map(|(at, body)| (at as u64 + 1, body)).collect();
    assert_eq!(all(&store, 1).unwrap(), expected);
    drop(store);
    let store = Store::open(&dir, APP).unwrap();
    assert_eq!(all(&store, 1).unwrap(), expected);
    assert_eq!(store.cut(), None);
    assert_eq!(store.schemas().get(&1).map(String::as_str), Some("{}"));
}
