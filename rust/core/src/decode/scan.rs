//! JSON's grammar: white space, strings, and values that nobody needs.

use std::borrow::Cow;

use super::keys::Keys;
use super::number::{self, Fault, Number};
use super::{Fail, fail};

/// Levels of lists and objects that a record may have.
const MAX_DEPTH: usize = 512;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

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

/// The high bit of each byte that ends a run of plain characters: `"`, `\` and control characters. Bits above the
/// lowest one may be wrong.
#[inline(always)]
fn special(word: u64) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control) & HIGHS
}

/// Whether `bytes[start..start + length]`, which exists, needs no escape in a JSON string.
#[inline(always)]
pub(crate) fn plain(bytes: &[u8], start: usize, length: usize) -> bool {
    let mut at = 0;
    while at < length {
        let clear = special(load(bytes, start + at)).trailing_zeros() as usize / 8;
        if clear < 8 && at + clear < length {
            return false;
        }
        at += 8;
    }
    true
}

/// The content of a string whose quote is at `at`, if it is ASCII, has no escapes and at most 15 bytes.
#[inline(always)]
pub(crate) fn short_text(bytes: &[u8], at: usize) -> Option<&str> {
    if bytes.get(at) != Some(&b'"') {
        return None;
    }
    let end_of_plain = |word: u64| (special(word) | word & HIGHS).trailing_zeros() as usize / 8;
    let start = at + 1;
    let mut length = end_of_plain(load(bytes, start));
    if length == 8 {
        length += end_of_plain(load(bytes, start + 8));
    }
    let text = bytes.get(start..start + length)?;
    if bytes.get(start + length) != Some(&b'"') {
        return None;
    }
    // SAFETY: each of these bytes is below 0x80, and ASCII is UTF-8.
    Some(unsafe { std::str::from_utf8_unchecked(text) })
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

/// A string as it stands in the record: `bytes[start..end]` lies between the quotes.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) ascii: bool,
    pub(crate) escaped: bool,
}

/// Reads one JSON text from the left to the right.
pub(crate) struct Scanner<'a> {
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    pub(crate) keys: Keys,
    depth: usize,
}

impl<'a> Scanner<'a> {
    /// Starts behind a byte order mark, if there is one.
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        let at = if bytes.starts_with(b"\xEF\xBB\xBF") { 3 } else { 0 };
        Scanner { bytes, at, keys: Keys::default(), depth: 0 }
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

    /// A string whose quote is next. Escapes are checked, UTF-8 is not.
    #[inline(always)]
    pub(crate) fn string(&mut self) -> Result<Raw, Fail> {
        let start = self.at + 1;
        let word = load(self.bytes, start);
        let mask = special(word) | word & HIGHS;
        let end = start + (mask.trailing_zeros() / 8) as usize;
        if mask != 0 && self.bytes.get(end) == Some(&b'"') {
            self.at = end + 1;
            return Ok(Raw { start, end, ascii: true, escaped: false });
        }
        self.long_string(start)
    }

    #[inline(never)]
    fn long_string(&mut self, start: usize) -> Result<Raw, Fail> {
        let mut raw = Raw { start, end: start, ascii: true, escaped: false };
        let mut at = start;
        loop {
            let word = load(self.bytes, at);
            let mask = special(word);
            let plain = (mask.trailing_zeros() / 8) as usize;
            // Of the bytes before the special one only.
            let high = if plain == 8 { word & HIGHS } else { word & HIGHS & ((1 << (8 * plain)) - 1) };
            raw.ascii &= high == 0;
            at += plain;
            if plain == 8 {
                continue;
            }
            match self.bytes.get(at) {
                Some(b'"') => {
                    raw.end = at;
                    self.at = at + 1;
                    return Ok(raw);
                }
                Some(b'\\') => {
                    raw.escaped = true;
                    at = self.escape(at)?.1;
                }
                Some(_) => return Err(self.malformed(at, "invalid character")),
                None => return Err(self.truncated()),
            }
        }
    }

    /// The character of the escape whose backslash is at `at`, and the offset after it.
    fn escape(&self, at: usize) -> Result<(char, usize), Fail> {
        let plain = match self.bytes.get(at + 1) {
            Some(b'n') => '\n',
            Some(b't') => '\t',
            Some(b'r') => '\r',
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(&c @ (b'"' | b'\\' | b'/')) => c as char,
            Some(b'u') => return self.code_point(at + 2),
            Some(_) => return Err(self.malformed(at + 2, "invalid escape character in string")),
            None => return Err(self.truncated()),
        };
        Ok((plain, at + 2))
    }

    /// The character of a `\u` escape whose digits start at `at`: one unit, or a surrogate pair (RFC 8259, 7).
    fn code_point(&self, at: usize) -> Result<(char, usize), Fail> {
        let unit = self.hex(at)?;
        if let Some(c) = char::from_u32(unit) {
            return Ok((c, at + 4));
        }
        if unit >= 0xDC00 {
            return Err(self.malformed(at + 4, "invalid utf-16 surrogate pair"));
        }
        match self.bytes.get(at + 4..at + 6) {
            Some(b"\\u") => {}
            Some(_) => return Err(self.malformed(at + 4, "unexpected end of escaped utf-16 surrogate pair")),
            None => return Err(self.truncated()),
        }
        let low = self.hex(at + 6)?;
        let pair = low.checked_sub(0xDC00).map(|low| 0x10000 + ((unit - 0xD800) << 10) + low);
        match pair.and_then(char::from_u32) {
            Some(c) if low < 0xE000 => Ok((c, at + 10)),
            _ => Err(self.malformed(at + 10, "invalid utf-16 surrogate pair")),
        }
    }

    fn hex(&self, at: usize) -> Result<u32, Fail> {
        let digits = self.bytes.get(at..at + 4).ok_or_else(|| self.truncated())?;
        digits.iter().zip(at..).try_fold(0, |unit, (&c, at)| match (c as char).to_digit(16) {
            Some(digit) => Ok(unit << 4 | digit),
            None => Err(self.malformed(at + 1, "invalid character in unicode escape")),
        })
    }

    /// What a string holds, unescaped; not checked for UTF-8.
    #[inline(always)]
    pub(crate) fn content(&self, raw: Raw) -> Result<Cow<'a, [u8]>, Fail> {
        if raw.escaped {
            self.unescape(raw).map(Cow::Owned)
        } else {
            Ok(Cow::Borrowed(&self.bytes[raw.start..raw.end]))
        }
    }

    #[inline(never)]
    fn unescape(&self, raw: Raw) -> Result<Vec<u8>, Fail> {
        let mut content = Vec::with_capacity(raw.end - raw.start);
        let mut at = raw.start;
        while let Some(plain) = memchr::memchr(b'\\', &self.bytes[at..raw.end]) {
            content.extend_from_slice(&self.bytes[at..at + plain]);
            let (c, next) = self.escape(at + plain)?;
            content.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
            at = next;
        }
        content.extend_from_slice(&self.bytes[at..raw.end]);
        Ok(content)
    }

    /// What a string holds, as text.
    #[inline(always)]
    pub(crate) fn text(&self, raw: Raw) -> Result<Cow<'a, str>, Fail> {
        if raw.ascii && !raw.escaped {
            // SAFETY: `string` has seen that each of these bytes is below 0x80, and ASCII is UTF-8.
            return Ok(Cow::Borrowed(unsafe { std::str::from_utf8_unchecked(&self.bytes[raw.start..raw.end]) }));
        }
        self.checked_text(raw)
    }

    #[inline(never)]
    fn checked_text(&self, raw: Raw) -> Result<Cow<'a, str>, Fail> {
        let invalid =
            |valid: usize| fail(raw.start + valid, format!("Invalid UTF-8 in string (byte {})", raw.start + valid));
        match self.content(raw)? {
            Cow::Borrowed(content) => {
                std::str::from_utf8(content).map(Cow::Borrowed).map_err(|e| invalid(e.valid_up_to()))
            }
            Cow::Owned(content) => String::from_utf8(content).map(Cow::Owned).map_err(|_| invalid(0)),
        }
    }

    /// A number that starts here.
    #[inline(always)]
    pub(crate) fn number(&mut self) -> Result<Number, Fault> {
        let (number, end) = number::read(self.bytes, self.at)?;
        self.at = end;
        Ok(number)
    }

    /// What is wrong with a number, in words; `place` is the path of its field.
    #[cold]
    pub(crate) fn number_fault(&self, fault: Fault, place: &str) -> Fail {
        match fault {
            Fault::Truncated => self.truncated(),
            Fault::Character(at) => self.malformed(at, "invalid character"),
            Fault::Grammar(at) => self.malformed(at, "invalid number"),
            Fault::BeyondInt64(at) => fail(at, format!("Expected `int` within int64{place}")),
            Fault::BeyondFloat64(at) => fail(at, format!("Number out of range{place}")),
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
            self.keys.add(raw.start, raw.end);
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
