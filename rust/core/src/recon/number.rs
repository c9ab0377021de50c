//! Recon's numbers.

use super::{Fail, fail};
use crate::decode::number as json;

/// A number as it was written.
#[derive(Clone, Debug, PartialEq)]
pub enum Number {
    Int(i64),
    /// A whole number beyond int64, in decimal.
    Big(Box<str>),
    /// May be infinite: `1e999`.
    Float(f64),
    /// `0x` and at most 8 digits.
    Uint32(u32),
    /// `0x` and 9 to 16 digits.
    Uint64(u64),
}

/// Reads the number at `start`, which has no sign of its own but the one given; gives the offset after it.
#[inline]
pub(crate) fn read(bytes: &[u8], start: usize, negative: bool) -> Result<(Number, usize), Fail> {
    if bytes.get(start) == Some(&b'0') && bytes.get(start + 1) == Some(&b'x') {
        return hexadecimal(bytes, start, negative);
    }
    match json::read(bytes, start) {
        Ok((json::Number::Int(x), end)) => Ok((Number::Int(if negative { -x } else { x }), end)),
        Ok((json::Number::Float(x), end)) => Ok((Number::Float(if negative { -x } else { x }), end)),
        Err(_) => unusual(bytes, start, negative),
    }
}

/// A number beyond int64 or float64, or none.
#[cold]
fn unusual(bytes: &[u8], start: usize, negative: bool) -> Result<(Number, usize), Fail> {
    let (end, whole) = json::span(bytes, start).map_err(|fault| match fault {
        json::Fault::Truncated => fail(bytes.len(), "expected a digit, the text ends here"),
        json::Fault::Grammar(at) if bytes.get(start) == Some(&b'0') && at == start + 1 => {
            fail(at, "a number has no leading zeros")
        }
        json::Fault::Character(at) | json::Fault::Grammar(at) => fail(at, "expected a digit"),
        json::Fault::BeyondInt64(at) | json::Fault::BeyondFloat64(at) => fail(at, "number out of range"),
    })?;
    // Only ASCII passes `span`.
    let digits = std::str::from_utf8(&bytes[start..end]).map_err(|_| fail(start, "expected a number"))?;
    let text = if negative { format!("-{digits}") } else { digits.to_string() };
    if !whole {
        let x = text.parse().map_err(|_| fail(start, "expected a number"))?;
        return Ok((Number::Float(x), end));
    }
    Ok((text.parse().map_or_else(|_| Number::Big(text.into()), Number::Int), end))
}

fn hexadecimal(bytes: &[u8], start: usize, negative: bool) -> Result<(Number, usize), Fail> {
    let first = start + 2;
    let mut end = first;
    let mut value = 0_u64;
    while let Some(digit) = bytes.get(end).and_then(|c| char::from(*c).to_digit(16)) {
        if end - first == 16 {
            return Err(fail(start, "a hexadecimal number has at most 16 digits"));
        }
        value = value << 4 | u64::from(digit);
        end += 1;
    }
    let number = match end - first {
        0 => return Err(fail(end, "expected a hexadecimal digit")),
        1..=8 => Number::Uint32(value as u32),
        _ => Number::Uint64(value),
    };
    Ok((if negative { number.negated() } else { number }, end))
}

/// Reads the whole number at `start` as swim-java reads an index: white space before it, a sign, its lowest 32 bits.
pub(crate) fn index(bytes: &[u8], start: usize) -> Result<(i32, usize), Fail> {
    let blank = bytes[start..].iter().take_while(|c| matches!(c, b' ' | b'\t' | b'\n' | b'\r')).count();
    let mut at = start + blank;
    let negative = bytes.get(at) == Some(&b'-');
    at += usize::from(negative);
    let radix = match (bytes.get(at), bytes.get(at + 1)) {
        (Some(b'0'), Some(b'x')) if !negative => {
            at += 2;
            16
        }
        (Some(b'0'), _) => return Ok((0, at + 1)),
        _ => 10,
    };
    let first = at;
    let mut value = 0_u32;
    while let Some(digit) = bytes.get(at).and_then(|c| char::from(*c).to_digit(radix)) {
        value = value.wrapping_mul(radix).wrapping_add(digit);
        at += 1;
    }
    if at == first {
        return Err(fail(at.min(bytes.len()), "expected a digit"));
    }
    let value = value.cast_signed();
    Ok((if negative { value.wrapping_neg() } else { value }, at))
}

impl Number {
    /// What a minus before the number makes of it; literals in hexadecimal become ordinary whole numbers.
    pub(crate) fn negated(self) -> Number {
        match self {
            Number::Int(x) => x.checked_neg().map_or_else(|| Number::Big("9223372036854775808".into()), Number::Int),
            Number::Big(digits) => match digits.strip_prefix('-') {
                Some(rest) => rest.parse().map_or_else(|_| Number::Big(rest.into()), Number::Int),
                None => whole(&format!("-{digits}")),
            },
            Number::Float(x) => Number::Float(-x),
            Number::Uint32(x) => Number::Int(-i64::from(x)),
            Number::Uint64(x) => whole(&format!("-{x}")),
        }
    }

    /// Literals in hexadecimal as ordinary numbers.
    pub(crate) fn plain(self) -> Number {
        match self {
            Number::Uint32(x) => Number::Int(i64::from(x)),
            Number::Uint64(x) => i64::try_from(x).map_or_else(|_| Number::Big(x.to_string().into()), Number::Int),
            other => other,
        }
    }
}

fn whole(text: &str) -> Number {
    text.parse().map_or_else(|_| Number::Big(text.into()), Number::Int)
}
