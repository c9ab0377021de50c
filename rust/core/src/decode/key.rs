//! A field's name as most writers write it in a record, to be compared in one step.

use super::scan::load;

/// A name and its closing quote, as the bytes of a word.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Key {
    /// The first eight bytes of the name and the quote; zeros after it.
    word: u64,
    /// The bytes of `word` that count.
    mask: u64,
    length: usize,
}

impl Key {
    pub(crate) fn new(name: &str) -> Key {
        let length = name.len();
        if name.bytes().any(|c| c < b' ' || c == b'"' || c == b'\\') {
            // JSON cannot have it as it is: no word has a bit that is not in the mask.
            return Key { word: 1, mask: 0, length };
        }
        let quoted: Vec<u8> = name.bytes().chain([b'"']).take(8).collect();
        let mask = u64::MAX >> (64 - 8 * quoted.len());
        Key { word: load(&quoted, 0), mask, length }
    }

    /// The offset of the value, if this key (without escapes) stands with a colon and at most one space at `at`.
    #[inline(always)]
    pub(crate) fn value_after(&self, name: &str, bytes: &[u8], at: usize) -> Option<usize> {
        if load(bytes, at + 1) & self.mask != self.word {
            return None;
        }
        let quote = at + 1 + self.length;
        if self.length > 7 && !rest_stands(name, bytes, at + 1) {
            return None;
        }
        match bytes.get(quote + 1..)?.first_chunk::<2>()? {
            b": " => Some(quote + 3),
            [b':', _] => Some(quote + 2),
            _ => None,
        }
    }
}

/// Whether a name of more than 7 bytes, of which the first eight are known to stand at `start`, goes on there.
#[inline(never)]
fn rest_stands(name: &str, bytes: &[u8], start: usize) -> bool {
    let rest = name.as_bytes().get(8..).unwrap_or_default();
    let end = start + name.len();
    bytes.get(start + 8..end) == Some(rest) && bytes.get(end) == Some(&b'"')
}
