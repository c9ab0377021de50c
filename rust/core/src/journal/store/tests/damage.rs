use std::fs;

use super::*;
use crate::journal::wal::Log;

/// The files of a store whose process was killed: records 1 to 6, the last of them in the log only.
pub(super) struct Killed {
    pub journal: Vec<u8>,
    pub log: Vec<u8>,
    /// Where the last transaction begins in the log.
    pub last: usize,
}

impl Killed {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        let mut store = Store::open(dir.path(), APP).unwrap();
        let epoch = store.claim(SHARD).unwrap();
        append(&mut store, epoch, 2).unwrap();
        store.put_sink("alarms", 7).unwrap();
        store.settle_at = 0;
        store.settle().unwrap();
        store.settle_at = SETTLE_BYTES;
        let row = Checkpoint { number: RecordNumber(1), folder: "1".into(), parts: Vec::new() };
        store.put_checkpoint(SHARD, epoch, &row).unwrap();
        for _ in 0..3 {
            append(&mut store, epoch, 1).unwrap();
        }
        let log = dir.path().join("journal.sqlite-wal");
        let last = Log::scan(&log, tables::PAGE).unwrap().whole.len();
        append(&mut store, epoch, 1).unwrap();
        let whole = Log::scan(&log, tables::PAGE).unwrap();
        assert_eq!((whole.torn, whole.damage.as_ref()), (0, None));
        Killed { journal: fs::read(dir.path().join("journal.sqlite")).unwrap(), log: whole.whole, last }
    }

    /// Opened on a tape, which spares the machine's syncs.
    fn open(&self, journal: &[u8], log: &[u8]) -> (tempfile::TempDir, Result<Store, StoreError>) {
        let dir = tempfile::tempdir().unwrap();
        fs::write(dir.path().join("journal.sqlite"), journal).unwrap();
        fs::write(dir.path().join("journal.sqlite-wal"), log).unwrap();
        let store = open_taped(dir.path());
        (dir, store)
    }

    /// Cut at a byte of the last transaction: all before it is there, and the cut is reported.
    fn torn(&self, length: usize) {
        let (_dir, store) = self.open(&self.journal, &self.log[..length]);
        let store = store.unwrap();
        let newest = if length == self.log.len() { 6 } else { 5 };
        assert_eq!(held(&store).unwrap(), (1..=newest).map(|number| (number, body(number))).collect::<Vec<_>>());
        // Less than a frame's mark is not yet known to be of this transaction.
        let begun = length >= self.last + 16 && newest == 5;
        let cut = Cut { after: RecordNumber(5), bytes: (length - self.last) as u64 };
        assert_eq!(store.cut(), begun.then_some(cut), "{length}");
    }

    /// Never silently wrong.
    fn flipped(&self, at: usize, bit: u8) {
        let (mut journal, mut log) = (self.journal.clone(), self.log.clone());
        match at.checked_sub(journal.len()) {
            None => journal[at] ^= 1 << bit,
            Some(at) => log[at] ^= 1 << bit,
        }
        let (_dir, store) = self.open(&journal, &log);
        let Ok(store) = store else { return };
        let newest = if store.cut().is_some_and(|cut| cut.after == RecordNumber(5) && cut.bytes > 0) { 5 } else { 6 };
        let Ok(found) = held(&store) else { return };
        assert_eq!(
            found,
            (1..=newest).map(|number| (number, body(number))).collect::<Vec<_>>(),
            "byte {at}, bit {bit}"
        );
        assert_eq!(store.sinks().unwrap().get("alarms"), Some(&7), "byte {at}, bit {bit}");
        assert_eq!(store.schemas().len(), 1, "byte {at}, bit {bit}");
        assert_eq!(store.checkpoints(SHARD).unwrap().len(), 1, "byte {at}, bit {bit}");
    }

    fn bytes(&self) -> usize {
        self.journal.len() + self.log.len()
    }
}

#[test]
fn a_log_cut_at_any_byte_of_its_last_transaction_is_cut_there() {
    let killed = Killed::new();
    let page = tables::PAGE;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("log");
    for length in killed.last..killed.log.len() {
        fs::write(&path, &killed.log[..length]).unwrap();
        let log = Log::scan(&path, page).unwrap();
        assert_eq!((log.whole.len(), log.damage), (killed.last, None), "{length}");
    }
    (killed.last..=killed.log.len()).step_by(211).chain([killed.log.len()]).for_each(|length| killed.torn(length));
    (killed.last..killed.last + 30).for_each(|length| killed.torn(length));
}

#[test]
#[ignore = "long"]
fn long_torn_tails() {
    let killed = Killed::new();
    (killed.last..=killed.log.len()).for_each(|length| killed.torn(length));
}

#[test]
fn a_flipped_bit_is_noticed_or_harmless() {
    let killed = Killed::new();
    let mut random = Random(11);
    for _ in 0..600 {
        killed.flipped(random.below(killed.bytes()), random.below(8) as u8);
    }
}

#[test]
#[ignore = "long"]
fn long_flipped_bits() {
    let killed = Killed::new();
    let mut random = Random(12);
    for at in 0..killed.bytes() {
        killed.flipped(at, random.below(8) as u8);
    }
}

#[test]
fn damage_with_saved_transactions_behind_it_is_no_torn_tail() {
    let killed = Killed::new();
    // In every frame before the last transaction: its page number, mark, checksum, and bytes.
    let frame = 24 + tables::PAGE as usize;
    for start in (32..killed.last).step_by(frame) {
        for at in [0, 3, 7, 9, 14, 17, 22, 24, 100, frame - 1] {
            for bit in 0..8 {
                let mut log = killed.log.clone();
                log[start + at] ^= 1 << bit;
                let (_dir, store) = killed.open(&killed.journal, &log);
                let error = store.map(|store| (held(&store), store.cut())).unwrap_err();
                assert!(matches!(error, StoreError::Damaged { .. }), "{start} + {at}: {error}");
            }
        }
    }
    let mut log = killed.log.clone();
    log[20] ^= 1;
    let (_dir, store) = killed.open(&killed.journal, &log);
    let error = store.map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("journal.sqlite-wal: its header is not readable"), "{error}");
}

#[test]
fn a_record_that_vanished_is_noticed() {
    for (statement, what) in [
        ("DELETE FROM records WHERE id = 6", "should have the records 1 to 6, and has 5, 1 to 5"),
        ("DELETE FROM records WHERE id = 3", "and has 5, 1 to 6"),
        ("DELETE FROM shards", "records of a shard that is not in the table of shards"),
        ("UPDATE shards SET number = 5", "the table of shards"),
        ("UPDATE records SET id = 9 WHERE id = 6", "and has 6, 1 to 9"),
        ("DELETE FROM app", "the app's name"),
        ("CREATE TABLE more (id)", "tables are not declared"),
    ] {
        let (dir, error) = altered(statement);
        assert!(error.contains(what), "{statement}: {error}");
        assert!(error.contains("shoal store repair"), "{error}");
        drop(dir);
    }
    for statement in [
        "UPDATE records SET body = x'00' WHERE id = 4",
        "UPDATE records SET schema = 2 WHERE id = 4",
        "UPDATE records SET epoch = 2 WHERE id = 4",
        "UPDATE records SET chain = 1 WHERE id = 4",
        "UPDATE records SET time = time + 1 WHERE id = 4",
    ] {
        let (_dir, error) = altered(statement);
        assert!(error.contains("record 4 of shard 0"), "{statement}: {error}");
    }
}

/// What opening, or else reading, says after somebody has changed the journal by SQL.
fn altered(statement: &str) -> (tempfile::TempDir, String) {
    let dir = tempfile::tempdir().unwrap();
    let mut store = Store::open(dir.path(), APP).unwrap();
    let epoch = store.claim(SHARD).unwrap();
    append(&mut store, epoch, 6).unwrap();
    store.close().unwrap();
    let connection = Connection::open(dir.path().join("journal.sqlite")).unwrap();
    connection.execute(statement, []).unwrap();
    drop(connection);
    let error = Store::open(dir.path(), APP).and_then(|store| held(&store)).unwrap_err();
    (dir, error.to_string())
}
