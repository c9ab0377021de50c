//! Times in records: microseconds since 1970-01-01T00:00:00 UTC, in the years 1 to 9999 (what Python's datetime holds).

use jiff::civil;
use jiff::tz::TimeZone;

use crate::value::Value;

/// 0001-01-01T00:00:00Z and 9999-12-31T23:59:59.999999Z.
const FIRST: i64 = -62_135_596_800_000_000;
const LAST: i64 = 253_402_300_799_999_999;

const DAY: i64 = 86_400_000_000;

/// Reads RFC 3339 as msgspec does: `T`, `t` or a space in the middle, any number of decimals (the seventh rounds half
/// up, further ones do not count), `Z`, `z`, `+01:00` or `+0100`; without an offset the time is in `zone` (one that a
/// clock change repeats is the first of both, one that it leaves out is moved behind the gap, as in Python).
///
/// # Errors
/// A reason in msgspec's words for another grammar; a time outside of the years 1 to 9999 in UTC.
pub fn parse_rfc3339(text: &str, zone: &TimeZone) -> Result<i64, String> {
    let civil = read(text.as_bytes()).ok_or_else(invalid)?;
    let local = civil.days * DAY + civil.micros;
    let time = match civil.offset {
        Some(minutes) => local - minutes * 60_000_000,
        None if *zone == TimeZone::UTC => local,
        None => local - zone_offset(local, zone).ok_or_else(invalid)?,
    };
    in_range(i128::from(time))
}

/// Reads a time from text that may also hold a number: RFC 3339, or s, ms or µs since 1970.
///
/// # Errors
/// As `parse_rfc3339` and `from_number`.
pub fn parse_text(text: &str, zone: &TimeZone) -> Result<i64, String> {
    let text = text.trim_matches(' ');
    if let Ok(x) = text.parse::<i64>() {
        return from_int(x);
    }
    match text.parse::<f64>() {
        Ok(x) if x.is_finite() => from_number(x),
        _ => parse_rfc3339(text, zone),
    }
}

/// A number of s, ms or µs since 1970, by its magnitude: below 1e11 seconds, below 1e14 milliseconds.
///
/// # Errors
/// A time outside of the years 1 to 9999.
pub fn from_int(x: i64) -> Result<i64, String> {
    in_range(i128::from(x) * i128::from(unit(x.unsigned_abs() as f64)))
}

/// As `from_int`, with a fraction; rounded to the nearest µs, half to even.
///
/// # Errors
/// A time outside of the years 1 to 9999; NaN.
pub fn from_number(x: f64) -> Result<i64, String> {
    let unit = unit(x.abs());
    // Whole and fraction apart: both are exact, their product with the unit is rounded once.
    let whole = x.trunc();
    if whole.is_nan() || whole.abs() > LAST as f64 {
        return Err(out_of_range());
    }
    in_range(whole as i128 * i128::from(unit) + ((x - whole) * unit as f64).round_ties_even() as i128)
}

/// Writes a time as RFC 3339 in UTC, with six decimals unless they are zero.
pub fn to_rfc3339(time: i64) -> String {
    let (year, month, day) = date(time.div_euclid(DAY));
    let micros = time.rem_euclid(DAY);
    let (seconds, fraction) = (micros / 1_000_000, micros % 1_000_000);
    let (hour, minute, second) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    let decimals = if fraction == 0 { String::new() } else { format!(".{fraction:06}") };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{decimals}Z")
}

/// µs that are one unit of a number of this size.
fn unit(size: f64) -> i64 {
    if size < 1e11 {
        1_000_000
    } else if size < 1e14 {
        1_000
    } else {
        1
    }
}

fn in_range(time: i128) -> Result<i64, String> {
    match i64::try_from(time) {
        Ok(time) if (FIRST..=LAST).contains(&time) => Ok(time),
        _ => Err(out_of_range()),
    }
}

#[cold]
fn out_of_range() -> String {
    "Time out of range: it must lie in the years 1 to 9999".to_string()
}

#[cold]
fn invalid() -> String {
    "Invalid RFC3339 encoded datetime".to_string()
}

/// A date and a time of day, as written.
struct Civil {
    /// Since 1970-01-01.
    days: i64,
    /// Since midnight; a whole day where rounding carries.
    micros: i64,
    /// Minutes east of UTC.
    offset: Option<i64>,
}

fn read(text: &[u8]) -> Option<Civil> {
    let (head, tail) = text.split_first_chunk::<19>()?;
    let [y1, y2, y3, y4, b'-', m1, m2, b'-', d1, d2, b'T' | b't' | b' ', h1, h2, b':', n1, n2, b':', s1, s2] = *head
    else {
        return None;
    };
    let year = two(y1, y2)? * 100 + two(y3, y4)?;
    let (month, day, hour, minute, second) = (two(m1, m2)?, two(d1, d2)?, two(h1, h2)?, two(n1, n2)?, two(s1, s2)?);
    let right = year > 0
        && (1..=12).contains(&month)
        && (1..=days_in_month(year, month)).contains(&day)
        && hour < 24
        && minute < 60
        && second < 60;
    let (fraction, tail) = decimals(tail)?;
    let offset = offset(tail)?;
    let micros = ((hour * 60 + minute) * 60 + second) * 1_000_000 + fraction;
    // Rounding up may carry over midnight; over the end of year 9999 `in_range` would not see it before the offset.
    let days = days(year, month, day);
    (right && days * DAY + micros <= LAST).then_some(Civil { days, micros, offset })
}

fn two(tens: u8, ones: u8) -> Option<i64> {
    (tens.is_ascii_digit() && ones.is_ascii_digit()).then(|| i64::from(tens - b'0') * 10 + i64::from(ones - b'0'))
}

/// µs, and what follows the decimals.
fn decimals(text: &[u8]) -> Option<(i64, &[u8])> {
    let Some((b'.', rest)) = text.split_first() else { return Some((0, text)) };
    let count = rest.iter().take_while(|c| c.is_ascii_digit()).count();
    let (digits, rest) = rest.split_at(count);
    if count == 0 {
        return None;
    }
    let micros = digits.iter().chain(b"000000").take(6).fold(0, |sum, c| sum * 10 + i64::from(c - b'0'));
    let round = digits.get(6).is_some_and(|c| *c >= b'5');
    Some((micros + i64::from(round), rest))
}

/// Minutes east of UTC; the inner `None` where the text gives no offset.
fn offset(text: &[u8]) -> Option<Option<i64>> {
    let (sign, hours, minutes) = match *text {
        [] => return Some(None),
        [b'Z' | b'z'] => return Some(Some(0)),
        [sign, h1, h2, b':', m1, m2] | [sign, h1, h2, m1, m2] => (sign, two(h1, h2)?, two(m1, m2)?),
        _ => return None,
    };
    let size = (hours < 24 && minutes < 60).then_some(hours * 60 + minutes)?;
    match sign {
        b'+' => Some(Some(size)),
        b'-' => Some(Some(-size)),
        _ => None,
    }
}

fn days_in_month(year: i64, month: i64) -> i64 {
    match month {
        2 if year % 4 == 0 && (year % 100 != 0 || year % 400 == 0) => 29,
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970-01-01 of a date in the proleptic Gregorian calendar (Howard Hinnant, "chrono-compatible low-level
/// date algorithms", days_from_civil).
fn days(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let era = year.div_euclid(400);
    let of_era = year.rem_euclid(400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of `days` (civil_from_days).
fn date(days: i64) -> (i64, i64, i64) {
    let days = days + 719_468;
    let era = days.div_euclid(146_097);
    let of_era = days.rem_euclid(146_097);
    let year = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

/// µs east of UTC of a local time in a zone.
fn zone_offset(local: i64, zone: &TimeZone) -> Option<i64> {
    let (year, month, day) = date(local.div_euclid(DAY));
    let seconds = local.rem_euclid(DAY) / 1_000_000;
    let local = civil::DateTime::new(
        i16::try_from(year).ok()?,
        i8::try_from(month).ok()?,
        i8::try_from(day).ok()?,
        i8::try_from(seconds / 3600).ok()?,
        i8::try_from(seconds / 60 % 60).ok()?,
        i8::try_from(seconds % 60).ok()?,
        0,
    )
    .ok()?;
    // `before` for both is "compatible": the first of two, or behind the gap.
    let offset = match zone.to_ambiguous_timestamp(local).offset() {
        jiff::tz::AmbiguousOffset::Unambiguous { offset } => offset,
        jiff::tz::AmbiguousOffset::Gap { before, .. } | jiff::tz::AmbiguousOffset::Fold { before, .. } => before,
    };
    Some(i64::from(offset.seconds()) * 1_000_000)
}

/// The time that a value stands for: µs since 1970 UTC.
pub fn time_of(value: &Value, zone: &TimeZone) -> Result<Option<i64>, String> {
    match value {
        Value::Null => Ok(None),
        Value::Time(time) => Ok(Some(*time)),
        Value::Int(x) => from_int(*x).map(Some),
        Value::Float(x) => from_number(*x).map(Some),
        Value::Text(text) => parse_text(text, zone).map(Some),
        _ => Err("the time field is neither a text nor a number".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn utc(text: &str) -> Result<i64, String> {
        parse_rfc3339(text, &TimeZone::UTC)
    }

    #[test]
    fn every_accepted_spelling_is_the_same_instant() {
        for text in [
            "2021-10-07T12:00:00.25Z",
            "2021-10-07t12:00:00.25z",
            "2021-10-07 12:00:00.250",
            "2021-10-07T14:00:00.25+02:00",
            "2021-10-07T14:00:00.25+0200",
            "2021-10-07T11:30:00.2500004-00:30",
            "2021-10-07T12:00:00.2499995Z",
            "2021-10-08T11:59:00.25+23:59",
        ] {
            assert_eq!(utc(text), Ok(1_633_608_000_250_000), "{text}");
        }
    }

    #[test]
    fn what_msgspec_refuses_is_refused() {
        for text in [
            "",
            "2021-10-07",
            "2021-10-07T12:00",
            "2021-10-07T12:00:00.",
            "2021-10-07T12:00:00.Z",
            "2021-10-07_12:00:00Z",
            "2021-13-07T12:00:00Z",
            "2021-00-07T12:00:00Z",
            "2021-02-29T12:00:00Z",
            "2021-10-00T12:00:00Z",
            "0000-01-01T00:00:00Z",
            "2021-10-07T24:00:00Z",
            "2021-10-07T12:60:00Z",
            "2021-10-07T12:00:60Z",
            "2021-10-07T12:00:00Zz",
            "2021-10-07T12:00:00+24:00",
            "2021-10-07T12:00:00+01",
            "2021-10-07T12:00:00+01:60",
            "2021-10-07T12:00:00 +01:00",
            "9999-12-31T23:59:59.9999995+01:00",
            "2021-10-07T12:00:00+1:000",
            " 2021-10-07T12:00:00Z",
            "２021-10-07T12:00:0",
        ] {
            assert_eq!(utc(text), Err("Invalid RFC3339 encoded datetime".to_string()), "{text}");
        }
        assert_eq!(utc("0001-01-01T00:00:00Z"), Ok(FIRST));
        assert_eq!(utc("9999-12-31T23:59:59.999999Z"), Ok(LAST));
        assert!(utc("0001-01-01T00:00:00+00:01").is_err());
        assert!(utc("9999-12-31T23:59:59-00:01").is_err());
    }

    #[test]
    fn a_time_without_zone_is_in_the_apps() {
        let berlin = TimeZone::get("Europe/Berlin").unwrap();
        let in_berlin = |text| parse_rfc3339(text, &berlin).map(to_rfc3339);
        assert_eq!(in_berlin("2021-07-01T12:00:00.5").as_deref(), Ok("2021-07-01T10:00:00.500000Z"));
        assert_eq!(in_berlin("2021-01-01T12:00:00").as_deref(), Ok("2021-01-01T11:00:00Z"));
        assert_eq!(in_berlin("2021-01-01T12:00:00Z").as_deref(), Ok("2021-01-01T12:00:00Z"));
        // Left out and repeated by the clock change.
        assert_eq!(in_berlin("2021-03-28T02:30:00").as_deref(), Ok("2021-03-28T01:30:00Z"));
        assert_eq!(in_berlin("2021-10-31T02:30:00").as_deref(), Ok("2021-10-31T00:30:00Z"));
        assert!(in_berlin("0001-01-01T00:00:00").is_err());
        assert!(in_berlin("9999-12-31T23:59:59.9999999").is_err());
    }

    #[test]
    fn a_number_is_read_by_its_magnitude() {
        for x in [1_633_608_000, 1_633_608_000_000, 1_633_608_000_000_000] {
            assert_eq!(from_int(x), Ok(1_633_608_000_000_000));
            assert_eq!(from_number(x as f64), Ok(1_633_608_000_000_000));
        }
        assert_eq!(from_number(1_633_608_000.123456), Ok(1_633_608_000_123_456));
        assert_eq!(from_number(1_633_608_000_123.5), Ok(1_633_608_000_123_500));
        assert_eq!(from_number(-0.5), Ok(-500_000));
        assert_eq!(from_int(99_999_999_999), Ok(99_999_999_999_000_000));
        for x in [f64::NAN, f64::INFINITY, f64::MAX, -6.3e10, 2.6e17] {
            assert!(from_number(x).is_err(), "{x}");
        }
        for x in [i64::MAX, i64::MIN, -62_135_596_801] {
            assert!(from_int(x).is_err(), "{x}");
        }
    }

    #[test]
    fn text_holds_a_time_or_a_number() {
        for text in ["1633608000", " 1633608000.0 ", "1633608000000", "2021-10-07T12:00:00"] {
            assert_eq!(parse_text(text, &TimeZone::UTC), Ok(1_633_608_000_000_000), "{text}");
        }
        for text in ["", "NaN", "inf", "noon"] {
            assert!(parse_text(text, &TimeZone::UTC).is_err(), "{text}");
        }
    }

    proptest! {
        #[test]
        fn a_written_time_reads_back(time in FIRST..=LAST) {
            prop_assert_eq!(utc(&to_rfc3339(time)), Ok(time));
        }

        #[test]
        fn dates_agree_with_jiff(days in -719_162..2_932_896_i64) {
            let other = civil::date(1970, 1, 1) + jiff::Span::new().days(days);
            prop_assert_eq!(date(days), (i64::from(other.year()), i64::from(other.month()), i64::from(other.day())));
        }

        #[test]
        fn any_text_and_any_time_is_safe(text in ".{0,40}", digits in "[0-9TZ:+ .-]{15,35}", time: i64) {
            let _ = utc(&text);
            let _ = utc(&digits);
            let _ = to_rfc3339(time);
        }
    }
}
