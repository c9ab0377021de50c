//! JSON's grammar: white space, brackets, and values that nobody needs.

use super::keys::Keys;
use super::number::{self, Fault, Number};
use super::string::Raw;
use super::{Fail, fail};

/// Levels of lists and objects that a record may have.
const MAX_DEPTH: isize = 512;

/// Eight bytes at `at` as a little-endian word; zeros stand for what is past the end.
#[inline(always)]
pub(crate) fn load(bytes: &[u8], at: usize) -> u64 {
    if at < bytes.len().saturating_sub(7) {
        // SAFETY: at + 8 <= bytes.len(), and a u64 may hold any bytes. (One comparison instead of three.)
        u64::from_le(unsafe { bytes.as_ptr().add(at).cast::<u64>().read_unaligned() })
    } else {
        load_last(bytes, at)
    }
}

/// `load` where there are eight bytes.
///
/// # Safety
/// at + 8 <= bytes.len().
#[inline(always)]
pub(crate) unsafe fn load_inside(bytes: &[u8], at: usize) -> u64 {
    debug_assert!(at + 8 <= bytes.len());
    // SAFETY: by the contract above; a u64 may hold any bytes.
    u64::from_le(unsafe { bytes.as_ptr().add(at).cast::<u64>().read_unaligned() })
}

/// `load` where fewer than eight bytes remain.
#[inline(always)]
fn load_last(bytes: &[u8], at: usize) -> u64 {
    let remaining = bytes.len().saturating_sub(at);
    if remaining == 0 {
        return 0;
    }
    match bytes.last_chunk::<8>() {
        Some(chunk) => u64::from_le_bytes(*chunk) >> (64 - 8 * remaining as u32),
        None => bytes[at..].iter().rev().fold(0, |word, byte| word << 8 | u64::from(*byte)),
    }
}

/// The name of the type that a value starting with this byte has, in msgspec's words. Numbers are not told apart.
pub(crate) fn type_name(first: u8) -> Option<&'static str> {
    Some(match first {
        b'"' => "str",
        b'{' => "object",
        b'[' => "array",
        b't' | b'f' => "bool",
        b'n' => "null",
        b'-' | b'0'..=b'9' => "int",
        _ => return None,
    })
}

/// Reads one JSON text from the left to the right.
pub(crate) struct Scanner<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    pub(crate) keys: Keys,
    /// A field that nobody knows has come by.
    pub(crate) news: bool,
    depth: isize,
}

impl<'a> Scanner<'a> {
    /// Starts behind a byte order mark, if there is one.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Scanner { bytes, at, keys: Keys::default(), news: false, depth: 0 }
    }

    /// With room for so many levels more.
    pub(crate) fn deeper(self, levels: u8) -> Self {
        Scanner { depth: -isize::from(levels), ..self }
    }

    /// The next byte that is not white space, which stays unread.
    #[inline(always)]
    pub(crate) fn peek(&mut self) -> Result<u8, Fail> {
        match self.bytes.get(self.at) {
            Some(&c) if c > b' ' => Ok(c),
            _ => self.peek_past_space(),
        }
    }

    #[inline(always)]
    fn peek_past_space(&mut self) -> Result<u8, Fail> {
        // One space is what most writers put behind a colon and a comma.
        if let Some(&[b' ', c]) = self.bytes.get(self.at..).and_then(|rest| rest.first_chunk::<2>())
            && c > b' '
        {
            self.at += 1;
            return Ok(c);
        }
        self.peek_past_spaces()
    }

    #[inline(never)]
    fn peek_past_spaces(&mut self) -> Result<u8, Fail> {
        loop {
            match self.bytes.get(self.at) {
                Some(b' ' | b'\n' | b'\r' | b'\t') => self.at += 1,
                Some(&c) => return Ok(c),
                None => return Err(self.truncated()),
            }
        }
    }

    #[cold]
    pub(crate) fn truncated(&self) -> Fail {
        fail(self.bytes.len(), "Input data was truncated")
    }

    #[cold]
    pub(crate) fn malformed(&self, offset: usize, what: &str) -> Fail {
        fail(offset, format!("JSON is malformed: {what} (byte {offset})"))
    }

    /// Nothing but white space may follow.
    #[inline(always)]
    pub(crate) fn finish(&mut self) -> Result<(), Fail> {
        if self.at == self.bytes.len() { Ok(()) } else { self.finish_slowly() }
    }

    #[inline(never)]
    fn finish_slowly(&mut self) -> Result<(), Fail> {
        while let Some(&c) = self.bytes.get(self.at) {
            self.at += 1;
            if !matches!(c, b' ' | b'\n' | b'\r' | b'\t') {
                return Err(self.malformed(self.at, "trailing characters"));
            }
        }
        Ok(())
    }

    /// Enters a list or object whose bracket is next.
    pub(crate) fn enter(&mut self) -> Result<(), Fail> {
        if self.depth == MAX_DEPTH {
            return Err(fail(self.at, format!("Nested deeper than {MAX_DEPTH} levels (byte {})", self.at)));
        }
        self.depth += 1;
        self.at += 1;
        Ok(())
    }

    /// Leaves a list or object whose bracket is next.
    pub(crate) fn leave(&mut self) {
        self.depth -= 1;
        self.at += 1;
    }

    /// Goes to the next item of a list, or leaves the list: false.
    pub(crate) fn item(&mut self, first: bool) -> Result<bool, Fail> {
        match self.peek()? {
            b']' => {
                self.leave();
                return Ok(false);
            }
            b',' if !first => self.at += 1,
            _ if first => return Ok(true),
            _ => return Err(self.malformed(self.at, "expected ',' or ']'")),
        }
        if self.peek()? == b']' {
            return Err(self.malformed(self.at, "trailing comma in array"));
        }
        Ok(true)
    }

    /// Goes to the quote of an object's next key, or leaves the object: false.
    #[inline(always)]
    pub(crate) fn member(&mut self, first: bool) -> Result<bool, Fail> {
        let mut c = self.peek()?;
        if c == b'}' {
            self.leave();
            return Ok(false);
        }
        if !first {
            if c != b',' {
                return Err(self.malformed(self.at, "expected ',' or '}'"));
            }
            self.at += 1;
            c = self.peek()?;
        }
        if c != b'"' {
            let what = if c == b'}' { "trailing comma in object" } else { "object keys must be strings" };
            return Err(self.malformed(self.at, what));
        }
        Ok(true)
    }

    #[inline(always)]
    pub(crate) fn colon(&mut self) -> Result<(), Fail> {
        if self.peek()? != b':' {
            return Err(self.malformed(self.at, "expected ':'"));
        }
        self.at += 1;
        Ok(())
    }

    /// A number that starts here.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Result<Number, Fault> {
        let (number, end) = number::read(self.bytes, self.at)?;
        self.at = end;
        Ok(number)
    }

    /// What is wrong with a number, in words; `place` is the ending with the path of its field, empty where it has none.
    #[cold]
    pub(crate) fn number_fault(&self, fault: Fault, place: &str) -> Fail {
        let place = |at| if place.is_empty() { format!(" (byte {at})") } else { place.to_string() };
        match fault {
            Fault::Truncated => self.truncated(),
            Fault::Character(at) => self.malformed(at, "invalid character"),
            Fault::Grammar(at) => self.malformed(at, "invalid number"),
            Fault::BeyondInt64(at) => fail(at, format!("Expected `int` within int64{}", place(at))),
            Fault::BeyondFloat64(at) => fail(at, format!("Number out of range{}", place(at))),
        }
    }

    /// `null`, `true` or `false`, whose first byte has been seen.
    #[inline(always)]
    pub(crate) fn word(&mut self, word: &'static [u8]) -> Result<(), Fail> {
        if !self.bytes[self.at..].starts_with(word) {
            return Err(self.not_the_word(word));
        }
        self.at += word.len();
        Ok(())
    }

    #[cold]
    fn not_the_word(&self, word: &'static [u8]) -> Fail {
        if self.bytes.len() - self.at < word.len() {
            self.truncated()
        } else {
            self.malformed(self.at + 1, "invalid character")
        }
    }

    /// Remembers a key for the check at the end of its object.
    #[inline(always)]
    pub(crate) fn remember(&mut self, raw: Raw) -> Result<(), Fail> {
        if raw.escaped {
            let key = self.unescape(raw)?;
            self.keys.add_unescaped(raw.start, &key, self.bytes);
        } else {
            self.keys.add(raw.start, raw.end, self.bytes);
        }
        Ok(())
    }

    /// Refuses an object that has a key twice; `mark` is from `Keys::enter`.
    #[inline(always)]
    pub(crate) fn no_key_twice(&mut self, mark: usize) -> Result<(), Fail> {
        if self.keys.enter() - mark < 2 {
            self.keys.forget(mark);
            return Ok(());
        }
        match self.keys.leave(mark, self.bytes) {
            None => Ok(()),
            Some((at, key)) => Err(twice(at, &key)),
        }
    }

    /// Passes a value that nobody needs: its grammar and keys are checked, its numbers' sizes and UTF-8 are not.
    pub(crate) fn skip(&mut self) -> Result<(), Fail> {
        match self.peek()? {
            b'"' => self.string().map(drop),
            b'n' => self.word(b"null"),
            b't' => self.word(b"true"),
            b'f' => self.word(b"false"),
            b'[' => self.skip_list(),
            b'{' => self.skip_object(),
            _ => match number::span(self.bytes, self.at) {
                Ok((end, _)) => {
                    self.at = end;
                    Ok(())
                }
                Err(fault) => Err(self.number_fault(fault, "")),
            },
        }
    }

    fn skip_list(&mut self) -> Result<(), Fail> {
        self.enter()?;
        let mut first = true;
        while self.item(first)? {
            first = false;
            self.skip()?;
        }
        Ok(())
    }

    fn skip_object(&mut self) -> Result<(), Fail> {
        let mark = self.keys.enter();
        self.enter()?;
        let mut first = true;
        while self.member(first)? {
            first = false;
            let key = self.string()?;
            self.remember(key)?;
            self.colon()?;
            self.skip()?;
        }
        self.no_key_twice(mark)
    }
}

#[cold]
pub(crate) fn twice(at: usize, key: &[u8]) -> Fail {
    fail(at, format!("Object has the field `{}` twice (byte {at})", String::from_utf8_lossy(key)))
}
