//! Values as Recon that all of Swim's peers read alike (docs/protocol.md): one value with explicit braces, no markup, no
//! expressions, text bare only where each peer takes it for a word.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::value::to_tree;
use super::{ident, interop};
use crate::time;
use crate::value::Value;

/// Appends `value`: what `read` gives for the text is the value again. `Null` is written as nothing; a list that ends
/// in `Null` has one more comma. Floats that are whole are written as whole numbers, times as RFC 3339 text, a point as
/// `{latitude,longitude}`, bytes as `%` and base64.
pub fn write_interop(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Null => {}
        Value::Bool(x) => write_bool(*x, out),
        Value::Int(x) => write_i64(*x, out),
        Value::Float(x) => write_f64(*x, out),
        Value::Time(x) => write_time(*x, out),
        Value::Point(latitude, longitude) => write_point(*latitude, *longitude, out),
        Value::Text(text) => write_text(text, out),
        Value::Bytes(bytes) => write_bytes(bytes, out),
        Value::List(items) => {
            out.push(b'{');
            for (at, item) in items.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_interop(item, out);
            }
            if items.last().is_some_and(Value::is_null) {
                out.push(b',');
            }
            out.push(b'}');
        }
        Value::Map(members) if members.iter().any(|(name, _)| needs_tree(name)) => {
            interop::write_tree(&to_tree(value), out);
        }
        Value::Map(members) => {
            out.push(b'{');
            for (at, (name, member)) in members.iter().enumerate() {
                if at > 0 {
                    out.push(b',');
                }
                write_text(name, out);
                out.push(b':');
                write_interop(member, out);
            }
            out.push(b'}');
        }
    }
}

/// Whether a map with this name is no plain record of slots.
#[inline]
pub fn needs_tree(name: &str) -> bool {
    matches!(name.as_bytes().first(), Some(b'@' | b'$'))
}

/// Appends `value` as it stands behind an envelope's header: a space before a bare word, number or bool, `Null` as
/// nothing, and a list of one item in two pairs of braces, for a record of one value behind a header is that value.
pub fn write_body(value: &Value, out: &mut Vec<u8>) {
    let start = out.len();
    match value {
        Value::List(items) if items.len() == 1 => {
            out.push(b'{');
            write_interop(value, out);
            out.push(b'}');
        }
        Value::Bool(_) | Value::Int(_) | Value::Float(_) => {
            out.push(b' ');
            write_interop(value, out);
        }
        Value::Text(text) => write_body_text(text, out),
        _ => write_interop(value, out),
    }
    debug_assert!(out.len() > start || value.is_null());
}

/// Appends a text as it stands behind an envelope's header.
pub fn write_body_text(text: &str, out: &mut Vec<u8>) {
    if ident::is_safe_ident(text) {
        out.push(b' ');
    }
    write_text(text, out);
}

pub fn write_bool(x: bool, out: &mut Vec<u8>) {
    out.extend_from_slice(if x { b"true" } else { b"false" });
}

pub fn write_i64(x: i64, out: &mut Vec<u8>) {
    out.extend_from_slice(itoa::Buffer::new().format(x).as_bytes());
}

/// Whole numbers below 2^53 as such; others in plain decimals where 1e-7 <= |x| < 1e21, else with an exponent. NaN and
/// infinities, which no column holds, as quoted words.
pub fn write_f64(x: f64, out: &mut Vec<u8>) {
    let size = x.abs();
    if x.fract() == 0.0 && size < 9_007_199_254_740_992.0 {
        return match x == 0.0 && x.is_sign_negative() {
            true => out.extend_from_slice(b"-0.0"),
            false => write_i64(x as i64, out),
        };
    }
    if x.fract() != 0.0 && (1e-7..1e21).contains(&size) {
        let mut buffer = zmij::Buffer::new();
        let text = buffer.format_finite(x).as_bytes();
        if memchr::memchr(b'e', text).is_none() {
            return out.extend_from_slice(text);
        }
        // Writing to a Vec cannot fail.
        let _ = write!(out, "{x}");
        return;
    }
    if !x.is_finite() {
        let word = if x.is_nan() { "NaN" } else { "Infinity" };
        let sign = if x == f64::NEG_INFINITY { "-" } else { "" };
        let _ = write!(out, "\"{sign}{word}\"");
        return;
    }
    let text = format!("{x:e}");
    let (mantissa, exponent) = text.split_once('e').unwrap_or((&text, "0"));
    let point = if mantissa.contains('.') { "" } else { ".0" };
    let _ = write!(out, "{mantissa}{point}E{exponent}");
}

/// A record of two numbers, as JSON has an array of them.
pub fn write_point(latitude: f64, longitude: f64, out: &mut Vec<u8>) {
    out.push(b'{');
    write_f64(latitude, out);
    out.push(b',');
    write_f64(longitude, out);
    out.push(b'}');
}

/// Microseconds since 1970 UTC as RFC 3339 text.
pub fn write_time(micros: i64, out: &mut Vec<u8>) {
    write_quoted(&time::to_rfc3339(micros), out);
}

pub fn write_bytes(bytes: &[u8], out: &mut Vec<u8>) {
    out.push(b'%');
    out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
}

/// Bare where each peer takes the text for a word, else in quotes.
#[inline]
pub fn write_text(text: &str, out: &mut Vec<u8>) {
    if ident::is_safe_ident(text) {
        out.extend_from_slice(text.as_bytes());
    } else {
        write_quoted(text, out);
    }
}

/// In double quotes; only quotes, backslashes and control characters are escaped.
pub(crate) fn write_quoted(text: &str, out: &mut Vec<u8>) {
    out.push(b'"');
    let mut start = 0;
    for (at, &c) in text.as_bytes().iter().enumerate() {
        if c >= b' ' && c != b'"' && c != b'\\' {
            continue;
        }
        out.extend_from_slice(&text.as_bytes()[start..at]);
        start = at + 1;
        let short = match c {
            b'"' | b'\\' => c,
            0x08 => b'b',
            0x0C => b'f',
            b'\n' => b'n',
            b'\r' => b'r',
            b'\t' => b't',
            _ => {
                let _ = write!(out, "\\u{c:04X}");
                continue;
            }
        };
        out.extend_from_slice(&[b'\\', short]);
    }
    out.extend_from_slice(&text.as_bytes()[start..]);
    out.push(b'"');
}
