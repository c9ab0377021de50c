use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Append(u64),
    Checkpoint,
    /// Up to so many records before the latest checkpoint's.
    Prune(u64),
    Sink(u64),
    Claim,
    Settle,
    Open,
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        6 => (1..5u64).prop_map(Act::Append),
        1 => Just(Act::Checkpoint),
        1 => (0..4u64).prop_map(Act::Prune),
        1 => any::<u64>().prop_map(Act::Sink),
        1 => Just(Act::Claim),
        1 => Just(Act::Settle),
        1 => Just(Act::Open),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    #[test]
    fn any_history_reads_as_a_list_does(acts in prop::collection::vec(act(), 1..40)) {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), APP).unwrap();
        let mut epoch = store.claim(SHARD).unwrap();
        let (mut newest, mut pruned, mut marks, mut sink) = (0, 0, Vec::new(), None);
        for act in acts {
            match act {
                Act::Append(count) => newest = append(&mut store, epoch, count).unwrap(),
                Act::Checkpoint => match checkpoint_fits(&marks, newest, pruned) {
                    true => {
                        checkpoint(&mut store, epoch).unwrap();
                        marks.insert(0, newest);
                        marks.truncate(2);
                    }
                    false => prop_assert!(checkpoint_row(&mut store, epoch).is_err()),
                },
                Act::Prune(short) => {
                    let through = marks.first().map_or(1, |latest: &u64| latest.saturating_sub(short));
                    let done = store.prune(SHARD, epoch, RecordNumber(through));
                    prop_assert_eq!(done.is_ok(), !marks.is_empty());
                    if done.is_ok() {
                        pruned = pruned.max(through);
                    }
                }
                Act::Sink(position) => {
                    store.put_sink("alarms", position).unwrap();
                    sink = Some(position);
                }
                Act::Claim => {
                    let old = epoch;
                    epoch = store.claim(SHARD).unwrap();
                    prop_assert!(epoch > old);
                    let refused = append(&mut store, old, 1);
                    prop_assert_eq!(refused, Err(StoreError::Stale { shard: SHARD, given: old, current: epoch }));
                }
                Act::Settle => {
                    store.settle_at = 0;
                    store.settle().unwrap();
                    store.settle_at = SETTLE_BYTES;
                }
                Act::Open => {
                    drop(store);
                    store = Store::open(dir.path(), APP).unwrap();
                    prop_assert_eq!(store.cut(), None);
                }
            }
            let expected: Vec<_> = (pruned + 1..=newest).map(|number| (number, body(number))).collect();
            let bytes = expected.iter().map(|(_, body)| body.len() as u64).sum::<u64>();
            prop_assert_eq!(held(&store).unwrap(), expected);
            prop_assert_eq!(store.bytes_since(SHARD, RecordNumber(pruned)).unwrap(), bytes);
            let numbers: Vec<u64> = store.checkpoints(SHARD).unwrap().iter().map(|held| held.number.0).collect();
            prop_assert_eq!(&numbers, &marks);
            prop_assert_eq!(store.sinks().unwrap().get("alarms").copied(), sink);
            checkpoints_are_whole(&store).unwrap();
        }
    }
}

fn checkpoint_fits(marks: &[u64], newest: u64, pruned: u64) -> bool {
    marks.first().map_or(newest >= pruned, |latest| newest > *latest)
}

fn checkpoint_row(store: &mut Store, epoch: Epoch) -> Result<Vec<String>, StoreError> {
    let row = Checkpoint { number: store.head(SHARD), folder: "0".into(), parts: Vec::new() };
    store.put_checkpoint(SHARD, epoch, &row)
}

#[test]
fn a_record_that_does_not_follow_is_refused_and_the_store_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), APP).unwrap();
    let epoch = store.claim(SHARD).unwrap();
    for number in [0, 2, u64::MAX] {
        let record = Record { number: RecordNumber(number), schema: 1, body: b"" };
        assert!(matches!(store.append(SHARD, epoch, &[record], &[]), Err(StoreError::Order { .. })));
    }
    append(&mut store, epoch, 1).unwrap();
    let other = store.append(SHARD, epoch, &[], &[(1, "speed: int".into())]);
    assert!(matches!(other, Err(StoreError::Order { .. })), "{other:?}");
    assert_eq!(append(&mut store, epoch, 1), Ok(2));
}

#[test]
fn shards_do_not_mix() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), APP).unwrap();
    let shards = [ShardId(0), ShardId(1), ShardId(u16::MAX)];
    for (at, shard) in shards.into_iter().enumerate() {
        let epoch = store.claim(shard).unwrap();
        for number in 1..=at as u64 + 2 {
            let record = Record { number: RecordNumber(number), schema: 1, body: &[at as u8] };
            store.append(shard, epoch, &[record], &[]).unwrap();
        }
    }
    drop(store);
    let store = Store::open(dir.path(), APP).unwrap();
    for (at, shard) in shards.into_iter().enumerate() {
        let mut found = Vec::new();
        let read = store.read(shard, RecordNumber(2), |number, _, body| {
            found.push((number.0, body.to_vec()));
            Ok::<(), StoreError>(())
        });
        assert_eq!(read, Ok(()));
        assert_eq!(found, (2..=at as u64 + 2).map(|number| (number, vec![at as u8])).collect::<Vec<_>>());
    }
}

#[test]
fn a_backup_of_a_running_store_opens_as_it_was() {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(&dir.path().join("store"), APP).unwrap();
    let epoch = store.claim(SHARD).unwrap();
    append(&mut store, epoch, 5).unwrap();
    let copy = dir.path().join("copy");
    std::fs::create_dir(&copy).unwrap();
    store.backup_into(&copy.join("journal.sqlite")).unwrap();
    append(&mut store, epoch, 5).unwrap();
    assert!(store.backup_into(&copy.join("journal.sqlite")).is_err(), "the path is taken");
    assert_eq!(append(&mut store, epoch, 1), Ok(11));
    let copy = Store::open(&copy, APP).unwrap();
    assert_eq!(held(&copy).unwrap(), (1..=5).map(|number| (number, body(number))).collect::<Vec<_>>());
}
