//! Random histories: after any of them, a checkpoint that links what has not changed loads as the shard stands.

use proptest::prelude::*;

use super::*;

#[derive(Clone, Debug)]
enum Act {
    Create(u8),
    Remove(u8),
    /// Cells of a twin, at a time.
    Write(u8, Vec<(u16, Value)>, i64),
    Entry(u8, u16, u8, Option<i64>),
    /// Time passes: windows lose what has left them.
    Elapse(u8, i64),
    Checkpoint,
    /// One that fails: what had changed is still to be written.
    Failed,
    /// The process ends, and another one loads.
    Restart,
}

fn cell() -> impl Strategy<Value = (u16, Value)> {
    prop_oneof![
        any::<bool>().prop_map(|x| (0, Value::Bool(x))),
        (-9..9i64).prop_map(|x| (1, Value::Int(x))),
        (-9.0..9.0).prop_map(|x| (2, Value::Float(x))),
        (-9.0..9.0).prop_map(|x| (3, Value::Point(x, x))),
        "[a-z]{0,20}".prop_map(|x| (4, Value::Text(x.as_str().into()))),
        prop::collection::vec(any::<u8>(), 0..20).prop_map(|x| (5, Value::Bytes(x.as_slice().into()))),
        any::<i64>().prop_map(|x| (6, Value::Time(x))),
        any::<i64>().prop_map(|x| (7, Value::List([Value::Int(x), Value::Null].into()))),
        (3..8u16).prop_map(|column| (column, Value::Null)),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let twin = || 0..12u8;
    prop_oneof![
        3 => twin().prop_map(Act::Create),
        1 => twin().prop_map(Act::Remove),
        6 => (twin(), prop::collection::vec(cell(), 1..4), 0..40_000_000i64).prop_map(|(twin, cells, by)| Act::Write(twin, cells, by)),
        6 => (twin(), 0..2u16, 0..6u8, prop::option::weighted(0.7, any::<i64>())).prop_map(|(twin, map, key, x)| Act::Entry(twin, map, key, x)),
        1 => (twin(), 0..100_000_000i64).prop_map(|(twin, by)| Act::Elapse(twin, by)),
        2 => Just(Act::Checkpoint),
        1 => Just(Act::Failed),
        1 => Just(Act::Restart),
    ]
}

struct Run {
    shard: Shard,
    schema: Schema,
    dir: tempfile::TempDir,
    number: usize,
    previous: Option<(PathBuf, Vec<Part>)>,
    /// The last checkpoint failed, and with it went what had changed before it.
    failed: bool,
    now: i64,
}

impl Run {
    fn row(&self, twin: u8) -> Option<u32> {
        self.shard.populations[0].table.find(twin.to_string().as_bytes())
    }

    fn act(&mut self, act: Act) {
        match act {
            Act::Create(twin) => {
                if self.row(twin).is_none() {
                    self.shard.populations[0].table.create(twin.to_string().as_bytes());
                }
            }
            Act::Remove(twin) => {
                if let Some(row) = self.row(twin) {
                    self.shard.populations[0].table.remove(row);
                }
            }
            Act::Write(twin, cells, by) => {
                self.now += by;
                if let Some(row) = self.row(twin) {
                    turn(&mut self.shard, 0, row, &cells, self.now);
                }
            }
            Act::Entry(twin, map, key, value) => {
                if let Some(row) = self.row(twin) {
                    let key = if map == 0 { text(&format!("key {key}")) } else { Value::Int(i64::from(key)) };
                    entry(&mut self.shard, row, map, key, value.map(Value::Int));
                }
            }
            Act::Elapse(twin, by) => {
                self.now += by;
                if let Some(row) = self.row(twin) {
                    let class = &mut self.shard.populations[0];
                    let mut log = Log::default();
                    log.reset(class.table.words());
                    crate::window::elapse(class, row, self.now, &mut log).unwrap();
                    class.table.keep(row, &mut log);
                }
            }
            Act::Checkpoint => self.checkpoint(),
            Act::Failed => {
                self.shard.commit();
                self.gather();
            }
            Act::Restart => {
                self.checkpoint();
                self.shard = self.loaded();
                (self.previous, self.failed) = (None, false);
            }
        }
    }

    /// What has changed since the last checkpoint that succeeded.
    fn gather(&mut self) -> Option<Vec<Changed>> {
        let changed = changes(&mut self.shard);
        (!std::mem::replace(&mut self.failed, true)).then_some(changed)
    }

    fn checkpoint(&mut self) {
        self.shard.commit();
        let changed = self.gather();
        let job = Job { changed, previous: self.previous.take(), ..job(&mut self.shard, &self.schema) };
        self.number += 1;
        let folder = self.dir.path().join(self.number.to_string());
        let parts = write(&Disk::default(), &folder, job).unwrap();
        self.previous = Some((folder, parts));
        self.failed = false;
        assert_eq!(states(&mut self.loaded()), states(&mut self.shard));
    }

    fn loaded(&self) -> Shard {
        let (folder, parts) = self.previous.as_ref().unwrap();
        let mut loaded = shard_of(declared());
        load(folder, parts, std::slice::from_ref(&self.schema), &self.schema, &mut loaded.populations).unwrap();
        loaded
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_history_is_loaded_as_it_stands(acts in prop::collection::vec(act(), 1..60)) {
        let shard = shard_of(declared());
        let schema = schema(&shard, None, &[]);
        let dir = tempfile::tempdir().unwrap();
        let mut run = Run { shard, schema, dir, number: 0, previous: None, failed: false, now: 0 };
        for act in acts {
            run.act(act);
        }
        run.checkpoint();
    }
}
