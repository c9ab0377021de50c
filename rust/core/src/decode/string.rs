//! JSON's strings.

use std::borrow::Cow;

use super::scan::{Scanner, load};
use super::{Fail, fail};

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// The high bit of each byte that ends a run of plain characters: `"`, `\` and control characters. Bits above the
/// lowest one may be wrong.
#[inline(always)]
fn special(word: u64) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zero(word ^ (ONES * u64::from(b'"'))) | zero(word ^ (ONES * u64::from(b'\\'))) | control) & HIGHS
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

/// The content, up to its quote, of a string without escapes that starts at `start`, behind its first quote.
#[inline(always)]
pub(crate) fn plain_text(bytes: &[u8], start: usize) -> Option<&str> {
    let word = load(bytes, start);
    let end = start + ((special(word) | word & HIGHS).trailing_zeros() / 8) as usize;
    if end == start + 8 || bytes.get(end) != Some(&b'"') {
        return plain_long_text(bytes, start);
    }
    // SAFETY: each of these bytes is below 0x80, and ASCII is UTF-8.
    bytes.get(start..end).map(|text| unsafe { std::str::from_utf8_unchecked(text) })
}

#[inline(never)]
fn plain_long_text(bytes: &[u8], start: usize) -> Option<&str> {
    let mut end = start;
    while end < bytes.len() {
        let plain = (special(load(bytes, end)).trailing_zeros() / 8) as usize;
        end += plain;
        if plain < 8 {
            break;
        }
    }
    if bytes.get(end) != Some(&b'"') {
        return None;
    }
    std::str::from_utf8(bytes.get(start..end)?).ok()
}

/// A string as it stands in the record: `bytes[start..end]` lies between the quotes.
#[derive(Clone, Copy)]
pub(crate) struct Raw {
    pub(crate) start: usize,
    pub(crate) end: usize,
    pub(crate) ascii: bool,
    pub(crate) escaped: bool,
}

impl<'a> Scanner<'a> {
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
    pub(crate) fn unescape(&self, raw: Raw) -> Result<Vec<u8>, Fail> {
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
}
