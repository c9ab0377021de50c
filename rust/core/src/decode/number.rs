//! JSON's numbers, eight digits at a time.
//!
//! Digits are read as words: see "Quickly parsing eight digits" (Johnny Lee, Daniel Lemire). A decimal with a mantissa
//! below 2^53 and at most 22 places is one exact division (Clinger 1990); all others go to the standard library,
//! which rounds correctly.

use super::scan::{load, load_inside};

#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Number {
    Int(i64),
    /// Always finite.
    Float(f64),
}

/// What is wrong with a number, and the offset at which it shows.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Fault {
    /// Ends where a digit must follow.
    Truncated,
    /// No digit where a number must start.
    Character(usize),
    /// Breaks the grammar (`01`, `1.`, `1e`).
    Grammar(usize),
    /// A whole number that int64 does not hold.
    BeyondInt64(usize),
    /// Larger than any float64.
    BeyondFloat64(usize),
}

const TENS: [f64; 23] = [
    1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17, 1e18, 1e19, 1e20,
    1e21, 1e22,
];
const WHOLE_TENS: [u64; 9] = [1, 10, 100, 1_000, 10_000, 100_000, 1_000_000, 10_000_000, 100_000_000];

/// The high bit of each byte that is no ASCII digit; bits above the lowest byte that is not ASCII may be wrong.
#[inline(always)]
fn others(word: u64) -> u64 {
    let value = word ^ 0x3030_3030_3030_3030;
    (value.wrapping_add(0x7676_7676_7676_7676) | value) & 0x8080_8080_8080_8080
}

/// Leading digits of a little-endian word: 0 to 8.
#[inline(always)]
fn digits(word: u64) -> usize {
    (others(word).trailing_zeros() / 8) as usize
}

/// The value of the first `count` (1 to 8) digits of a word.
#[inline(always)]
fn value(word: u64, count: usize) -> u64 {
    let aligned = (word ^ 0x3030_3030_3030_3030) << (64 - 8 * count as u32);
    let pairs = aligned.wrapping_mul(10).wrapping_add(aligned >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = ((pairs >> 16) & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// Reads the number that starts at `start`; also gives the offset after it. What may follow is the caller's to check.
#[inline(always)]
pub(crate) fn read(bytes: &[u8], start: usize) -> Result<(Number, usize), Fault> {
    match read_short(bytes, start) {
        Some(read) => Ok(read),
        None => read_slowly(bytes, start),
    }
}

/// Reads a number of at most 15 digits without an exponent; `None` for all others.
#[inline(always)]
fn read_short(bytes: &[u8], start: usize) -> Option<(Number, usize)> {
    let (negative, first, word, ends, whole) = begin(bytes, start)?;
    if whole < 7 && (word >> (8 * whole)) as u8 == b'.' {
        return read_decimal(bytes, first, word, ends, whole, negative).map(|(x, end)| (Number::Float(x), end));
    }
    read_whole(bytes, first, word, whole, negative).map(|(x, end)| (Number::Int(x), end))
}

/// As `read_short`, for where a float is expected.
#[inline(always)]
pub(crate) fn read_float(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    let (negative, first, word, ends, whole) = begin(bytes, start)?;
    if whole < 7 && (word >> (8 * whole)) as u8 == b'.' {
        return read_decimal(bytes, first, word, ends, whole, negative);
    }
    read_whole(bytes, first, word, whole, negative).map(|(x, end)| (x as f64, end))
}

/// Bytes that `short_float` and `short_float_end` may look at.
pub(crate) const REACH: usize = 24;

/// A float that has a point, at most 14 digits and no exponent, and where it ends; `None` for all others. The same as
/// `read_float`, without looking for the end of the bytes.
///
/// # Safety
/// start + REACH <= bytes.len().
#[inline(always)]
pub(crate) unsafe fn short_float(bytes: &[u8], start: usize) -> Option<(f64, usize)> {
    // SAFETY: by the contract above; the sign and eight bytes are passed at most before the last word.
    let short = unsafe { Short::at(bytes, start)? };
    // the word without the point: the digits before and behind it in one row
    let before = (1 << (8 * short.whole)) - 1;
    let row = short.word & before | short.word >> 8 & !before;
    let mut mantissa = value(row, short.behind - 1);
    if short.more > 0 {
        mantissa = mantissa * WHOLE_TENS[short.more] + value(short.tail, short.more);
    }
    let size = mantissa as i64 as f64 / TENS[short.behind - 1 - short.whole + short.more];
    Some((f64::from_bits(size.to_bits() | u64::from(short.negative) << 63), short.end))
}

/// Where such a float ends.
///
/// # Safety
/// As `short_float`.
#[inline(always)]
pub(crate) unsafe fn short_float_end(bytes: &[u8], start: usize) -> Option<usize> {
    // SAFETY: by the contract above.
    unsafe { Short::at(bytes, start) }.map(|short| short.end)
}

/// The parts of a short float.
struct Short {
    negative: bool,
    /// From the first digit on; its first `behind` bytes are digits and, behind `whole` of them, the point.
    word: u64,
    whole: usize,
    behind: usize,
    /// What follows the word, where that is full: its first `more` (up to 7) bytes are digits.
    tail: u64,
    more: usize,
    end: usize,
}

impl Short {
    /// # Safety
    /// start + REACH <= bytes.len().
    #[inline(always)]
    unsafe fn at(bytes: &[u8], start: usize) -> Option<Short> {
        // SAFETY: by the contract above: start + 1 + 8 + 8 bytes are there.
        unsafe {
            let first = load_inside(bytes, start);
            let negative = first as u8 == b'-';
            let digits_at = start + usize::from(negative);
            let word = if negative { load_inside(bytes, digits_at) } else { first };
            let ends = others(word);
            let whole = (ends.trailing_zeros() / 8) as usize;
            let started = whole > 0 && (word as u8 != b'0' || whole == 1);
            if !started || whole >= 7 || (word >> (8 * whole)) as u8 != b'.' {
                return None;
            }
            let behind = ((ends & (ends - 1)).trailing_zeros() / 8) as usize;
            let end = digits_at + behind;
            let mut short = Short { negative, word, whole, behind, tail: 0, more: 0, end };
            let mut after = (word >> (8 * (behind & 7))) as u8;
            if behind == 8 {
                short.tail = load_inside(bytes, end);
                after = short.tail as u8;
                if after.is_ascii_digit() {
                    short.more = digits(short.tail);
                    if short.more == 8 {
                        return None;
                    }
                    short.end += short.more;
                    after = (short.tail >> (8 * short.more)) as u8;
                }
            }
            (behind > whole + 1 && after | 0x20 != b'e').then_some(short)
        }
    }
}

/// The sign, where the digits start, the word there, `others` of it, and how many digits it starts with.
#[inline(always)]
fn begin(bytes: &[u8], start: usize) -> Option<(bool, usize, u64, u64, usize)> {
    let mut word = load(bytes, start);
    let mut first = start;
    let negative = word as u8 == b'-';
    if negative {
        first += 1;
        word = load(bytes, first);
    }
    let ends = others(word);
    let whole = (ends.trailing_zeros() / 8) as usize;
    (whole > 0 && (word as u8 != b'0' || whole == 1)).then_some((negative, first, word, ends, whole))
}

/// Reads on where byte `whole` (1 to 8) of `word` is no point.
#[inline(always)]
fn read_whole(bytes: &[u8], first: usize, word: u64, whole: usize, negative: bool) -> Option<(i64, usize)> {
    let mut mantissa = value(word, whole);
    let mut end = first + whole;
    if whole == 8 {
        let tail = load(bytes, end);
        let more = digits(tail);
        if more == 8 {
            return None;
        }
        if more > 0 {
            mantissa = mantissa * WHOLE_TENS[more] + value(tail, more);
            end += more;
        }
    }
    if matches!(bytes.get(end), Some(b'.' | b'e' | b'E')) {
        return None;
    }
    // At most 15 digits.
    let size = mantissa as i64;
    Some((if negative { -size } else { size }, end))
}

/// Reads on behind the point, which is byte `whole` (1 to 6) of `word`; `ends` is `others(word)`.
#[inline(always)]
fn read_decimal(
    bytes: &[u8],
    first: usize,
    word: u64,
    ends: u64,
    whole: usize,
    negative: bool,
) -> Option<(f64, usize)> {
    // The word without the point: the digits before and behind it in one row, in bytes 0 to `count`.
    let before = (1 << (8 * whole)) - 1;
    let row = word & before | word >> 8 & !before;
    let count = ((ends & (ends - 1)).trailing_zeros() / 8) as usize - 1;
    let mut places = count - whole;
    if places == 0 {
        return None;
    }
    let mut mantissa = value(row, count);
    let mut end = first + count + 1;
    let mut after = (row >> (8 * count)) as u8;
    if count == 7 {
        let tail = load(bytes, end);
        let more = digits(tail);
        if more == 8 {
            let last = load(bytes, end + 8);
            let still = digits(last);
            // 16 digits fit a u64 whatever they are.
            if still > 1 {
                return None;
            }
            mantissa = mantissa * WHOLE_TENS[8] + value(tail, 8);
            if still == 1 {
                mantissa = mantissa * 10 + u64::from(last as u8 - b'0');
            }
            places += 8 + still;
            end += 8 + still;
        } else if more > 0 {
            mantissa = mantissa * WHOLE_TENS[more] + value(tail, more);
            places += more;
            end += more;
        }
        after = bytes.get(end).copied().unwrap_or(0);
    }
    if mantissa >> 53 != 0 || after | 0x20 == b'e' {
        return None;
    }
    let size = mantissa as i64 as f64 / TENS[places];
    Some((f64::from_bits(size.to_bits() | u64::from(negative) << 63), end))
}

/// The end of the run of digits that starts at `at`.
fn digits_end(bytes: &[u8], mut at: usize) -> usize {
    while bytes.get(at).is_some_and(u8::is_ascii_digit) {
        at += 1;
    }
    at
}

/// Where a number ends, and whether it is whole (has neither point nor exponent).
pub(crate) fn span(bytes: &[u8], start: usize) -> Result<(usize, bool), Fault> {
    let at = |offset: usize| bytes.get(offset).copied();
    let first = start + usize::from(at(start) == Some(b'-'));
    let mut end = digits_end(bytes, first);
    if end == first {
        return Err(if first >= bytes.len() { Fault::Truncated } else { Fault::Character(first) });
    }
    if at(first) == Some(b'0') && end > first + 1 {
        return Err(Fault::Grammar(first + 1));
    }
    let mut whole = true;
    if at(end) == Some(b'.') {
        whole = false;
        let point = end;
        end = digits_end(bytes, point + 1);
        if end == point + 1 {
            return Err(Fault::Grammar(end));
        }
    }
    if matches!(at(end), Some(b'e' | b'E')) {
        whole = false;
        let sign = usize::from(matches!(at(end + 1), Some(b'+' | b'-')));
        let exponent = end + 1 + sign;
        end = digits_end(bytes, exponent);
        if end == exponent {
            return Err(Fault::Grammar(end));
        }
    }
    Ok((end, whole))
}

/// Any number; correctly rounded.
#[inline(never)]
fn read_slowly(bytes: &[u8], start: usize) -> Result<(Number, usize), Fault> {
    let (end, whole) = span(bytes, start)?;
    // Only ASCII passes `span`.
    let text = std::str::from_utf8(&bytes[start..end]).map_err(|_| Fault::Character(start))?;
    if whole {
        return text.parse().map(|x| (Number::Int(x), end)).map_err(|_| Fault::BeyondInt64(start));
    }
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() => Ok((Number::Float(x), end)),
        _ => Err(Fault::BeyondFloat64(start)),
    }
}

/// A float that stands for a whole number, up to 2^53 in size (beyond, a float is not exact).
pub(crate) fn as_whole(x: f64) -> Option<i64> {
    (x.fract() == 0.0 && x.abs() <= 9_007_199_254_740_992.0).then_some(x as i64)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn both(text: &str) {
        let fast = read(text.as_bytes(), 0);
        assert_eq!(fast, read_slowly(text.as_bytes(), 0), "{text}");
        let long = [text.as_bytes(), &[0; REACH]].concat();
        // SAFETY: it has been made long enough.
        let (short, end) = unsafe { (short_float(&long, 0), short_float_end(&long, 0)) };
        assert_eq!(short.map(|(_, end)| end), end, "{text}");
        if let Some((x, end)) = short {
            let same =
                |(y, at): (Number, usize)| at == end && matches!(y, Number::Float(y) if y.to_bits() == x.to_bits());
            assert!(fast.is_ok_and(same), "{text}");
        }
        if let Ok((Number::Float(x), _)) = fast {
            assert_eq!(x.to_bits(), text.trim_end_matches([',', '}', ' ']).parse::<f64>().unwrap().to_bits(), "{text}");
        }
    }

    #[test]
    fn every_length_of_digits_reads_the_same_fast_and_slowly() {
        for sign in ["", "-"] {
            for whole in 1..=20 {
                for places in 0..=20 {
                    for end in ["", ",", "}   ", "          "] {
                        let digits = &"98765432109876543210987654321098765432109"[..whole + places];
                        let (head, tail) = digits.split_at(whole);
                        let point = if places > 0 { "." } else { "" };
                        both(&format!("{sign}{head}{point}{tail}{end}"));
                    }
                }
            }
        }
    }

    #[test]
    fn the_grammar_is_jsons() {
        for bad in ["01", "-", "-a", "1.", "1.e5", "1e", "1e+", ".5", "+1", "00.5", "", "-01.5", "NaN", "Infinity"] {
            assert!(read(bad.as_bytes(), 0).is_err(), "{bad}");
        }
        assert_eq!(read(b"1e999", 0), Err(Fault::BeyondFloat64(0)));
        assert_eq!(read(b"9223372036854775808", 0), Err(Fault::BeyondInt64(0)));
        assert_eq!(read(b"-9223372036854775808", 0), Ok((Number::Int(i64::MIN), 20)));
        assert_eq!(read(b"-0", 0), Ok((Number::Int(0), 2)));
        assert!(matches!(read(b"-0.0", 0), Ok((Number::Float(x), 4)) if x.is_sign_negative()));
    }

    proptest! {
        #[test]
        fn any_float_comes_back(x in any::<f64>().prop_filter("finite", |x| x.is_finite())) {
            both(&format!("{x:?}"));
            both(&format!("{x:e}"));
        }

        #[test]
        fn any_text_reads_the_same_fast_and_slowly(text in "-?[0-9]{0,20}\\.?[0-9]{0,20}([eE][+-]?[0-9]{0,4})?[,} ]?") {
            both(&text);
        }
    }
}
