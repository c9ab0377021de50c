//! Recon's tokens: white space, comments, words, strings, data.

use std::borrow::Cow;

use base64::Engine as _;
use base64::alphabet;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::ident;
use super::{Fail, fail};
use crate::decode::number as json;
use crate::decode::scan::load;

const ONES: u64 = 0x0101_0101_0101_0101;
const HIGHS: u64 = 0x8080_8080_8080_8080;

/// Padding is mandatory; what the last digit says beyond the last byte is ignored.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &alphabet::STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::RequireCanonical)
        .with_decode_allow_trailing_bits(true),
);

/// The high bit of each byte that ends a run of plain characters in a string: its quote, `\` and control characters.
/// Bits above the lowest one may be wrong.
#[inline(always)]
fn special(word: u64, quote: u8) -> u64 {
    let zero = |x: u64| x.wrapping_sub(ONES) & !x;
    let control = word.wrapping_sub(ONES * 0x20) & !word;
    (zero(word ^ (ONES * u64::from(quote))) | zero(word ^ (ONES * u64::from(b'\\'))) | control) & HIGHS
}

/// A value that is written without escapes and brackets.
pub(crate) enum Plain<'a> {
    Text(&'a str),
    Bool(bool),
    Number(json::Number),
}

/// A slot as most writers write it: `name:value`, a plain value, and a comma or a brace behind it.
pub(crate) struct Member<'a> {
    pub(crate) name: &'a str,
    pub(crate) value: Plain<'a>,
    /// Where the value stands.
    pub(crate) at: usize,
    /// The comma, or the closing brace.
    pub(crate) end: u8,
}

/// Reads one text from the left to the right.
pub(crate) struct Scanner<'a> {
    pub(crate) text: &'a str,
    pub(crate) bytes: &'a [u8],
    pub(crate) at: usize,
    /// Control characters may stand in strings as they are: Swim's Python client sends them so.
    pub(crate) raw_controls: bool,
}

impl<'a> Scanner<'a> {
    pub(crate) fn new(text: &'a str) -> Scanner<'a> {
        Scanner { text, bytes: text.as_bytes(), at: 0, raw_controls: false }
    }

    #[inline(always)]
    pub(crate) fn peek(&self) -> Option<u8> {
        self.bytes.get(self.at).copied()
    }

    #[inline(always)]
    pub(crate) fn skip_spaces(&mut self) {
        while matches!(self.peek(), Some(b' ' | b'\t')) {
            self.at += 1;
        }
    }

    /// Passes white space and comments; gives whether there was a comment.
    pub(crate) fn skip_blank(&mut self) -> bool {
        let mut comment = false;
        loop {
            match self.peek() {
                Some(b' ' | b'\t' | b'\n' | b'\r') => self.at += 1,
                Some(b'#') => {
                    comment = true;
                    let rest = &self.bytes[self.at..];
                    self.at += memchr::memchr2(b'\n', b'\r', rest).unwrap_or(rest.len());
                }
                _ => return comment,
            }
        }
    }

    /// The character that comes next.
    pub(crate) fn next_char(&self) -> Option<char> {
        self.text.get(self.at..).and_then(|rest| rest.chars().next())
    }

    /// Whether a bare word starts here.
    #[inline]
    pub(crate) fn at_ident(&self) -> bool {
        match self.peek() {
            Some(c) if c < 128 => ident::is_ascii_start(c),
            Some(_) => self.next_char().is_some_and(ident::is_start),
            None => false,
        }
    }

    /// The bare word that starts here.
    #[inline]
    pub(crate) fn ident(&mut self) -> &'a str {
        let start = self.at;
        self.skip_ascii_ident();
        while let Some(c) = self.next_char()
            && ident::is_part(c)
        {
            self.at += c.len_utf8();
        }
        &self.text[start..self.at]
    }

    #[inline(always)]
    pub(crate) fn skip_ascii_ident(&mut self) {
        while let Some(c) = self.peek()
            && ident::is_ascii_part(c)
        {
            self.at += 1;
        }
    }

    /// The content of the string whose quote is next, if it has no escapes; otherwise nothing is read.
    #[inline(always)]
    pub(crate) fn plain_string(&mut self, quote: u8) -> Option<&'a str> {
        let start = self.at + 1;
        let mut end = start;
        loop {
            let plain = (special(load(self.bytes, end), quote).trailing_zeros() / 8) as usize;
            end += plain;
            if plain < 8 {
                break;
            }
        }
        if self.bytes.get(end) != Some(&quote) {
            return None;
        }
        self.at = end + 1;
        // Both ends lie beside ASCII quotes.
        self.text.get(start..end)
    }

    /// The slot that comes next, if it is such a one; what ends it stays unread. Otherwise nothing is read.
    #[inline(always)]
    pub(crate) fn member(&mut self) -> Option<Member<'a>> {
        let start = self.at;
        let member = self.read_member();
        if member.is_none() {
            self.at = start;
        }
        member
    }

    #[inline(always)]
    fn read_member(&mut self) -> Option<Member<'a>> {
        self.skip_one_space();
        let name = match self.peek()? {
            c if ident::is_ascii_start(c) => match self.ascii_ident() {
                "true" | "false" => return None,
                name => name,
            },
            b'"' => self.plain_string(b'"')?,
            _ => return None,
        };
        if self.peek() != Some(b':') {
            return None;
        }
        self.at += 1;
        self.skip_one_space();
        let at = self.at;
        let value = match self.peek()? {
            b'"' => Plain::Text(self.plain_string(b'"')?),
            c if c.is_ascii_digit() || c == b'-' => {
                let (number, end) = json::read(self.bytes, at).ok()?;
                self.at = end;
                Plain::Number(number)
            }
            c if ident::is_ascii_start(c) => match self.ascii_ident() {
                "true" => Plain::Bool(true),
                "false" => Plain::Bool(false),
                word => Plain::Text(word),
            },
            _ => return None,
        };
        let end = self.peek().filter(|c| matches!(c, b',' | b'}'))?;
        Some(Member { name, value, at, end })
    }

    #[inline(always)]
    fn skip_one_space(&mut self) {
        if self.peek() == Some(b' ') {
            self.at += 1;
        }
    }

    /// The bare word of ASCII that starts here.
    #[inline(always)]
    fn ascii_ident(&mut self) -> &'a str {
        let start = self.at;
        self.skip_ascii_ident();
        &self.text[start..self.at]
    }

    /// The content of the string whose quote is next.
    #[inline]
    pub(crate) fn string(&mut self) -> Result<Cow<'a, str>, Fail> {
        let quote = self.bytes[self.at];
        match self.plain_string(quote) {
            Some(content) => Ok(Cow::Borrowed(content)),
            None => self.escaped_string(quote).map(Cow::Owned),
        }
    }

    #[inline(never)]
    fn escaped_string(&mut self, quote: u8) -> Result<String, Fail> {
        let mut content = String::new();
        let opened = self.at;
        self.at += 1;
        loop {
            let start = self.at;
            while let Some(c) = self.peek()
                && c != quote
                && c != b'\\'
                && (c >= b' ' || self.raw_controls)
            {
                self.at += 1;
            }
            content.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(c) if c == quote => {
                    self.at += 1;
                    return Ok(content);
                }
                Some(b'\\') => content.push(self.escape(true)?),
                Some(c) => return Err(fail(self.at, format!("control character {c:#04x} in a string: escape it"))),
                None => return Err(fail(self.at, format!("the string of byte {opened} is not closed"))),
            }
        }
    }

    /// The character of the escape whose backslash is next. `unicode`: `\u0041` is one.
    pub(crate) fn escape(&mut self, unicode: bool) -> Result<char, Fail> {
        let at = self.at;
        let c = match self.bytes.get(at + 1) {
            Some(&c @ (b'"' | b'\'' | b'\\' | b'/' | b'@' | b'$' | b'[' | b']' | b'{' | b'}')) => char::from(c),
            Some(b'b') => '\u{8}',
            Some(b'f') => '\u{c}',
            Some(b'n') => '\n',
            Some(b'r') => '\r',
            Some(b't') => '\t',
            Some(b'u') if unicode => return self.code_point(),
            Some(_) => return Err(fail(at + 1, "no such escape")),
            None => return Err(fail(at + 1, "the text ends in an escape")),
        };
        self.at += 2;
        Ok(c)
    }

    /// `\uD83D\uDE00` is one character; half of a pair alone is U+FFFD.
    fn code_point(&mut self) -> Result<char, Fail> {
        let unit = self.unit(self.at + 2)?;
        self.at += 6;
        if let Some(c) = char::from_u32(unit) {
            return Ok(c);
        }
        if unit < 0xDC00 && self.bytes.get(self.at..self.at + 2) == Some(b"\\u") {
            let low = self.unit(self.at + 2)?;
            if (0xDC00..0xE000).contains(&low) {
                self.at += 6;
                let c = 0x1_0000 + ((unit - 0xD800) << 10) + (low - 0xDC00);
                return Ok(char::from_u32(c).unwrap_or(char::REPLACEMENT_CHARACTER));
            }
        }
        Ok(char::REPLACEMENT_CHARACTER)
    }

    fn unit(&self, start: usize) -> Result<u32, Fail> {
        (start..start + 4).try_fold(0, |unit, at| match self.bytes.get(at).and_then(|c| char::from(*c).to_digit(16)) {
            Some(digit) => Ok(unit << 4 | digit),
            None => Err(fail(at.min(self.bytes.len()), "expected four hexadecimal digits after \\u")),
        })
    }

    /// The content of the raw string whose backtick is next: of one line, or of several between three backticks.
    #[inline(never)]
    pub(crate) fn raw_string(&mut self) -> Result<String, Fail> {
        let opened = self.at;
        let ticks = self.bytes[opened..].iter().take(3).take_while(|c| **c == b'`').count();
        self.at += ticks;
        let mut content = String::new();
        if ticks == 2 {
            return Ok(content);
        }
        loop {
            let start = self.at;
            while let Some(c) = self.peek()
                && c != b'`'
                && c != b'\\'
                && (c >= b' ' || ticks == 3)
            {
                self.at += 1;
            }
            content.push_str(&self.text[start..self.at]);
            match self.peek() {
                Some(b'\\') => {
                    self.at += 1;
                    match self.peek() {
                        Some(c @ (b'`' | b'\\')) => {
                            content.push(char::from(c));
                            self.at += 1;
                        }
                        Some(_) => {
                            content.push('\\');
                            // The character after it is never special.
                            if let Some(c) = self.next_char() {
                                content.push(c);
                                self.at += c.len_utf8();
                            }
                        }
                        None => break,
                    }
                }
                Some(b'`') if self.bytes[self.at..].starts_with(&b"```"[..ticks]) => {
                    self.at += ticks;
                    return Ok(content);
                }
                Some(b'`') => {
                    // One or two of them in a text of several lines.
                    let inner = self.bytes[self.at..].iter().take_while(|c| **c == b'`').count();
                    content.push_str(&"``"[..inner.min(2)]);
                    self.at += inner;
                }
                Some(c) => {
                    return Err(fail(self.at, format!("control character {c:#04x} in a raw string of one line")));
                }
                None => break,
            }
        }
        Err(fail(self.at, format!("the raw string of byte {opened} is not closed")))
    }

    /// The bytes of the data whose `%` is next.
    #[inline(never)]
    pub(crate) fn data(&mut self) -> Result<Vec<u8>, Fail> {
        let start = self.at + 1;
        let is_digit = |c: &u8| c.is_ascii_alphanumeric() || matches!(c, b'+' | b'/');
        let digits = self.bytes[start..].iter().take_while(|c| is_digit(c)).count();
        let padding = (4 - digits % 4) % 4;
        let end = start + digits + padding;
        let padded = self.bytes.get(start + digits..end).is_some_and(|rest| rest.iter().all(|c| *c == b'='));
        if padding == 3 || !padded {
            let missing = self.bytes[start + digits..].iter().take_while(|c| **c == b'=').count();
            let at = (start + digits + missing.min(padding)).min(self.bytes.len());
            return Err(fail(at, "base64 data has digits and padding in groups of four"));
        }
        self.at = end;
        BASE64.decode(&self.bytes[start..end]).map_err(|error| fail(start, error.to_string()))
    }
}
