//! Addresses in a header: URI references (RFC 3986), as swim-java reads and writes them. What is escaped without need
//! and how an escape is written makes no difference between two addresses; their normal form has neither.

use std::borrow::Cow;

use crate::recon::{Fail, ReconError, fail};

const UNRESERVED: u8 = 1;
const SUB_DELIMITER: u8 = 2;
const PATH: u8 = 4;
const QUERY: u8 = 8;
const SCHEME: u8 = 16;

static CLASS: [u8; 256] = {
    let mut table = [0; 256];
    let mut c = 0;
    while c < 256 {
        table[c] = match c as u8 {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' => UNRESERVED | SCHEME,
            b'_' | b'~' => UNRESERVED,
            b'+' => SUB_DELIMITER | SCHEME,
            b'!' | b'$' | b'&' | b'\'' | b'(' | b')' | b'*' | b',' | b';' | b'=' => SUB_DELIMITER,
            b':' | b'@' => PATH | QUERY,
            b'/' | b'?' => QUERY,
            _ => 0,
        };
        c += 1;
    }
    table[b'_' as usize] = UNRESERVED;
    table
};

/// Characters of a host, of a path's segment, and of a query or fragment.
const IN_HOST: u8 = UNRESERVED | SUB_DELIMITER;
const IN_PATH: u8 = IN_HOST | PATH;
const IN_QUERY: u8 = IN_HOST | QUERY;

#[inline(always)]
fn is(c: u8, classes: u8) -> bool {
    CLASS[usize::from(c)] & classes != 0
}

/// Whether this byte stands for itself in a path: no escape, no end of the path.
#[inline(always)]
pub(crate) fn is_plain(c: u8) -> bool {
    is(c, IN_PATH) || c == b'/'
}

/// Whether swim-java takes this text for a URI reference.
///
/// # Errors
/// The offset of the first character that may not stand where it does, or of an escape without two digits.
pub fn check_uri(uri: &str) -> Result<(), ReconError> {
    walk(uri, &mut |_| {}).map_err(|fault| *fault)
}

/// The normal form: characters are escaped only where they must be, by lower-case digits; scheme and host in lower
/// case. Dots are left alone. What is no URI stays as it is.
pub fn normalise(uri: &str) -> Cow<'_, str> {
    if uri.bytes().all(is_plain) && !uri.starts_with("//") && !uri.contains(':') {
        return Cow::Borrowed(uri);
    }
    let mut normal = Vec::with_capacity(uri.len());
    let mut add = |c| normal.push(c);
    match walk(uri, &mut add) {
        Ok(()) => Cow::Owned(String::from_utf8_lossy(&normal).into_owned()),
        Err(_) => Cow::Borrowed(uri),
    }
}

/// Reads a URI from part to part; gives the bytes of its normal form.
fn walk(uri: &str, add: &mut impl FnMut(u8)) -> Result<(), Fail> {
    let bytes = uri.as_bytes();
    let mut at = 0;
    let scheme = bytes.iter().take_while(|c| is(**c, SCHEME)).count();
    if bytes.get(scheme) == Some(&b':') {
        if !bytes[0].is_ascii_alphabetic() {
            return Err(unexpected(uri, 0));
        }
        bytes[..=scheme].iter().for_each(|c| add(c.to_ascii_lowercase()));
        at = scheme + 1;
    }
    if bytes[at..].starts_with(b"//") {
        add(b'/');
        add(b'/');
        at = authority(uri, at + 2, add)?;
    }
    loop {
        at = part(uri, at, IN_PATH, false, add)?;
        if bytes.get(at) != Some(&b'/') {
            break;
        }
        add(b'/');
        at += 1;
    }
    for mark in [b'?', b'#'] {
        if bytes.get(at) == Some(&mark) {
            add(mark);
            at = part(uri, at + 1, IN_QUERY, false, add)?;
        }
    }
    if at < bytes.len() { Err(unexpected(uri, at)) } else { Ok(()) }
}

/// User, host and port.
fn authority(uri: &str, start: usize, add: &mut impl FnMut(u8)) -> Result<usize, Fail> {
    let bytes = uri.as_bytes();
    let rest = &bytes[start..];
    let end = start + rest.iter().take_while(|c| !matches!(c, b'/' | b'?' | b'#')).count();
    let mut at = start;
    if let Some(user) = memchr::memchr(b'@', &bytes[start..end]) {
        while at < start + user {
            at = part(uri, at, IN_HOST, false, add)?;
            match bytes.get(at) {
                Some(b':') => add(b':'),
                Some(b'@') if at == start + user => break,
                _ => return Err(unexpected(uri, at)),
            }
            at += 1;
        }
        add(b'@');
        at = start + user + 1;
    }
    if bytes.get(at) == Some(&b'[') {
        let close = memchr::memchr(b']', &bytes[at..end]).ok_or_else(|| unexpected(uri, end))?;
        let literal = &bytes[at + 1..at + close];
        if let Some(bad) = literal.iter().position(|c| !is(*c, IN_HOST) && *c != b':') {
            return Err(unexpected(uri, at + 1 + bad));
        }
        bytes[at..=at + close].iter().for_each(|c| add(c.to_ascii_lowercase()));
        at += close + 1;
    } else {
        at = part(uri, at, IN_HOST, true, add)?;
    }
    if bytes.get(at) == Some(&b':') {
        add(b':');
        at += 1;
        while let Some(digit) = bytes.get(at).filter(|c| c.is_ascii_digit()) {
            add(*digit);
            at += 1;
        }
    }
    if at == end { Ok(at) } else { Err(unexpected(uri, at)) }
}

/// A run of characters of these classes, and of escapes; gives where it ends.
fn part(uri: &str, mut at: usize, classes: u8, lower: bool, add: &mut impl FnMut(u8)) -> Result<usize, Fail> {
    let bytes = uri.as_bytes();
    while let Some(&c) = bytes.get(at) {
        if is(c, classes) {
            add(if lower { c.to_ascii_lowercase() } else { c });
            at += 1;
        } else if c == b'%' {
            let c = escaped(uri, at)?;
            if is(c, classes) {
                add(if lower { c.to_ascii_lowercase() } else { c });
            } else {
                let digits = b"0123456789abcdef";
                [b'%', digits[usize::from(c >> 4)], digits[usize::from(c & 15)]].into_iter().for_each(&mut *add);
            }
            at += 3;
        } else {
            break;
        }
    }
    Ok(at)
}

/// The byte of the escape whose `%` is at `at`.
fn escaped(uri: &str, at: usize) -> Result<u8, Fail> {
    let digit = |at: usize| {
        let c = uri.as_bytes().get(at).copied();
        match c.and_then(|c| char::from(c).to_digit(16)) {
            Some(digit) => Ok(digit as u8),
            None if c.is_none() => Err(fail(at.min(uri.len()), "expected a hexadecimal digit, the address ends here")),
            None => Err(fail(at, "expected a hexadecimal digit")),
        }
    };
    Ok(digit(at + 1)? << 4 | digit(at + 2)?)
}

#[cold]
fn unexpected(uri: &str, at: usize) -> Fail {
    let reason = match uri.get(at..).and_then(|rest| rest.chars().next()) {
        Some(c) => format!("`{}` in an address: escape it as %XX", c.escape_debug()),
        None => "the address ends here".to_string(),
    };
    fail(at, reason)
}
