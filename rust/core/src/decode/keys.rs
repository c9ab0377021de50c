//! No key twice in one object: the keys of the objects being read, checked when each object ends.

use std::cell::Cell;

use super::scan::load;

thread_local! {
    /// One thread's list of keys between records, so that a record with undeclared fields allocates nothing; at most
    /// `SPARE_KEYS` long.
    static SPARE: Cell<Vec<Key>> = const { Cell::new(Vec::new()) };
}

/// A key: where it stands in the record, and where its unescaped bytes are.
#[derive(Clone, Copy)]
struct Key {
    /// Its first eight bytes and its length: different keys mostly differ in these.
    print: (u64, usize),
    at: usize,
    start: usize,
    end: usize,
}

/// Keys of the open objects, innermost last.
#[derive(Default)]
pub(crate) struct Keys {
    list: Vec<Key>,
    /// Bytes of keys that are written with escapes; `start` and `end` count from the end of the record.
    unescaped: Vec<u8>,
}

const SPARE_KEYS: usize = 4096;

/// At most so many keys are compared pair by pair; more are sorted.
const PAIRWISE: usize = 16;

/// Of a key that starts with the bytes of `word`.
#[inline(always)]
fn print(word: u64, length: usize) -> (u64, usize) {
    (if length < 8 { word & ((1 << (8 * length)) - 1) } else { word }, length)
}

impl Keys {
    /// The mark to give to `leave` at the end of an object that starts now.
    pub(crate) fn enter(&self) -> usize {
        self.list.len()
    }

    /// A key without escapes: `record[start..end]`.
    #[inline(always)]
    pub(crate) fn add(&mut self, start: usize, end: usize, record: &[u8]) {
        self.push(Key { print: print(load(record, start), end - start), at: start, start, end });
    }

    /// A key with escapes that stands at `at`.
    pub(crate) fn add_unescaped(&mut self, at: usize, key: &[u8], record: &[u8]) {
        let start = record.len() + self.unescaped.len();
        self.unescaped.extend_from_slice(key);
        self.push(Key { print: print(load(key, 0), key.len()), at, start, end: start + key.len() });
    }

    #[inline(always)]
    fn push(&mut self, key: Key) {
        if self.list.capacity() == 0 {
            self.list = SPARE.take();
        }
        self.list.push(key);
    }

    /// Ends an object of at most one key.
    pub(crate) fn forget(&mut self, mark: usize) {
        self.list.truncate(mark);
    }

    /// Ends an object: the offset and bytes of a key that it holds twice.
    pub(crate) fn leave(&mut self, mark: usize, record: &[u8]) -> Option<(usize, Vec<u8>)> {
        let unescaped = &self.unescaped;
        let bytes = |key: &Key| -> &[u8] {
            match key.start.checked_sub(record.len()) {
                // An empty key at the very end of a record cannot be: a quote follows every key.
                Some(start) => &unescaped[start..key.end - record.len()],
                None => &record[key.start..key.end],
            }
        };
        let keys = &mut self.list[mark..];
        let twice = if keys.len() <= PAIRWISE {
            keys.iter()
                .enumerate()
                .find(|(i, key)| keys[..*i].iter().any(|other| other.print == key.print && bytes(other) == bytes(key)))
                .map(|(_, key)| *key)
        } else {
            keys.sort_unstable_by(|a, b| {
                a.print.cmp(&b.print).then_with(|| bytes(a).cmp(bytes(b))).then(a.at.cmp(&b.at))
            });
            keys.windows(2).find(|pair| bytes(&pair[0]) == bytes(&pair[1])).map(|pair| pair[1])
        };
        let found = twice.map(|key| (key.at, bytes(&key).to_vec()));
        self.list.truncate(mark);
        if mark == 0 {
            self.unescaped.clear();
        }
        found
    }
}

impl Drop for Keys {
    fn drop(&mut self) {
        if (1..=SPARE_KEYS).contains(&self.list.capacity()) {
            self.list.clear();
            SPARE.set(std::mem::take(&mut self.list));
        }
    }
}
