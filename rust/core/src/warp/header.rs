//! The header of an envelope, read and written.

use std::borrow::Cow;

use super::uri::{check_uri, is_plain};
use super::{Message, Tag};
use crate::recon::{
    self, Fail, Item, Number, ReconError, Rules, Tree, TreeBuild, fail, first_attribute, write_java_double,
};

const NO_ENVELOPE: &str = "not an envelope";

/// Reads one frame. `body` is the Recon text after the header, trimmed; `check_body` tells whether it is one.
///
/// A header has `node` and `lane` by name, in any order, or as its first and second item; `prio` and `rate` where the
/// tag has them; other slots are ignored.
///
/// # Errors
/// What is no envelope: a malformed or incomplete header, an unknown tag, an address that is no URI, a `prio` or `rate`
/// that is no number, another item behind the first. Offsets are those in `text`.
pub fn read(text: &str) -> Result<Message<'_>, ReconError> {
    match read_plain(text) {
        Some(message) => Ok(message),
        None => read_any(text).map_err(|fault| *fault),
    }
}

/// `@command(node:"/unit/7",lane:publish)` and a body: as every client writes it.
#[inline]
fn read_plain(text: &str) -> Option<Message<'_>> {
    let bytes = text.as_bytes();
    let name = bytes.get(1..)?.iter().take(9).take_while(|c| c.is_ascii_lowercase()).count();
    let start = name + 1;
    if bytes[0] != b'@' || !bytes[start..].starts_with(b"(node:") {
        return None;
    }
    let tag = Tag::of(&bytes[1..start]).filter(|tag| tag.is_addressed())?;
    let (node, at) = address(text, start + 6)?;
    if !bytes[at..].starts_with(b",lane:") {
        return None;
    }
    let (lane, at) = address(text, at + 6)?;
    if bytes.get(at) != Some(&b')') {
        return None;
    }
    let rest = &text[at + 1..];
    let body = rest.trim_matches([' ', '\t', '\n', '\r']);
    // A body stands in the header's line.
    let blank = rest.len() - rest.trim_start_matches([' ', '\t']).len();
    if !body.is_empty() && matches!(rest.as_bytes()[blank], b'\n' | b'\r' | b',' | b';' | b'#' | b':') {
        return None;
    }
    Some(Message { tag, node: Cow::Borrowed(node), lane: Cow::Borrowed(lane), prio: 0.0, rate: 0.0, body })
}

/// An address without escapes, in quotes or as a bare word; and the offset after it.
#[inline(always)]
fn address(text: &str, start: usize) -> Option<(&str, usize)> {
    let bytes = text.as_bytes();
    let quoted = bytes.get(start) == Some(&b'"');
    let from = start + usize::from(quoted);
    let mut end = from;
    if quoted {
        while bytes.get(end).is_some_and(|c| is_plain(*c)) {
            end += 1;
        }
        // A colon may end a scheme, two slashes may start a host: those have rules of their own.
        let address = text.get(from..end)?;
        let plain = bytes.get(end) == Some(&b'"') && !address.contains(':') && !address.starts_with("//");
        return plain.then_some((address, end + 1));
    }
    while bytes.get(end).is_some_and(|c| c.is_ascii_alphanumeric() || matches!(c, b'_' | b'-')) {
        end += 1;
    }
    let word = text.get(from..end)?;
    let bare = bytes.get(from).is_some_and(|c| c.is_ascii_alphabetic() || *c == b'_');
    (bare && word != "true" && word != "false").then_some((word, end))
}

fn read_any(text: &str) -> Result<Message<'_>, Fail> {
    let start = recon::blank(text, 0);
    if text.as_bytes().get(start) != Some(&b'@') {
        return Err(fail(start, NO_ENVELOPE));
    }
    let rules = Rules { strict_arguments: true, ..Rules::default() };
    let (name, value, end) = first_attribute(text, start, rules, TreeBuild { expressions: false }).map_err(Box::new)?;
    let tag = Tag::of(name.as_bytes()).ok_or_else(|| fail(start, format!("{NO_ENVELOPE}: unknown tag @{name}")))?;
    let body = body(text, end)?;
    let mut message = Message { tag, node: Cow::Borrowed(""), lane: Cow::Borrowed(""), prio: 0.0, rate: 0.0, body };
    if tag.is_addressed() {
        let items = match value {
            None | Some(Tree::Extant | Tree::Absent) => Vec::new(),
            Some(Tree::Record(items)) => items,
            Some(scalar) => vec![Item::Value(scalar)],
        };
        address_of(&mut message, items, start)?;
    }
    Ok(message)
}

/// What stands behind the header, which ends at `end`: in its line, and nothing after it but separators and comments.
fn body(text: &str, end: usize) -> Result<&str, Fail> {
    let rest = &text[end..];
    let line = rest.trim_start_matches([' ', '\t']);
    let at = text.len() - line.len();
    match line.as_bytes().first() {
        None => Ok(""),
        Some(c @ (b',' | b';' | b'\n' | b'\r' | b'#')) => {
            let separator = usize::from(*c != b'#');
            match recon::blank(text, at + separator) {
                after if after < text.len() => Err(fail(after, format!("{NO_ENVELOPE}: a second item"))),
                _ => Ok(""),
            }
        }
        Some(b':') => Err(fail(at, NO_ENVELOPE)),
        Some(_) => Ok(line.trim_end_matches([' ', '\t', '\n', '\r'])),
    }
}

fn address_of(message: &mut Message<'_>, items: Vec<Item>, at: usize) -> Result<(), Fail> {
    let (mut node, mut lane) = (None, None);
    for (i, item) in items.into_iter().enumerate() {
        match item {
            Item::Slot(Tree::Text(name), value) => match name.as_str() {
                "node" => node = Some(value),
                "lane" => lane = Some(value),
                "prio" if message.tag.has_rate() => message.prio = number(&value, "prio", at)?,
                "rate" if message.tag.has_rate() => message.rate = number(&value, "rate", at)?,
                _ => {}
            },
            Item::Value(value) if i == 0 => node = Some(value),
            Item::Value(value) if i == 1 => lane = Some(value),
            _ => {}
        }
    }
    let tag = message.tag.name();
    let missing = |name: &str| fail(at, format!("{NO_ENVELOPE}: @{tag} without {name}"));
    message.node = uri_of(&node.ok_or_else(|| missing("node"))?, "node", at)?;
    message.lane = uri_of(&lane.ok_or_else(|| missing("lane"))?, "lane", at)?;
    Ok(())
}

fn uri_of(value: &Tree, name: &str, at: usize) -> Result<Cow<'static, str>, Fail> {
    let text = text_of(value);
    check_uri(&text).map_err(|fault| fail(at, format!("{name} is no address: {}", fault.reason)))?;
    Ok(Cow::Owned(text))
}

/// Text, and numbers in decimal; a record of one of them as that one; nothing of all else.
fn text_of(value: &Tree) -> String {
    match value {
        Tree::Text(text) => text.to_string(),
        Tree::Number(number) => match number.clone().plain() {
            Number::Float(x) => {
                let mut out = Vec::new();
                write_java_double(x, &mut out);
                String::from_utf8_lossy(&out).into_owned()
            }
            Number::Big(digits) => digits.into(),
            Number::Int(x) => x.to_string(),
            Number::Uint32(x) => x.to_string(),
            Number::Uint64(x) => x.to_string(),
        },
        Tree::Record(items) => match &items[..] {
            [Item::Value(only)] => text_of(only),
            _ => String::new(),
        },
        _ => String::new(),
    }
}

fn number(value: &Tree, name: &str, at: usize) -> Result<f64, Fail> {
    let x = match value {
        Tree::Number(Number::Float(x)) => Some(*x),
        Tree::Number(_) | Tree::Text(_) => text_of(value).trim().parse().ok(),
        _ => None,
    };
    x.filter(|x: &f64| x.is_finite()).ok_or_else(|| fail(at, format!("{name} must be a number")))
}

/// Appends `@tag(node:…,lane:…[,prio:…][,rate:…])`, or `@tag` where the tag has no address. `prio` and `rate` are left
/// out where they are 0 or NaN, or the tag has none. The body follows as `recon::write_body` writes it.
pub fn write_header(out: &mut Vec<u8>, tag: Tag, node: &str, lane: &str, prio: f64, rate: f64) {
    out.push(b'@');
    out.extend_from_slice(tag.name().as_bytes());
    if !tag.is_addressed() {
        return;
    }
    out.extend_from_slice(b"(node:");
    recon::write_text(node, out);
    out.extend_from_slice(b",lane:");
    recon::write_text(lane, out);
    for (name, x) in [(b",prio:", prio), (b",rate:", rate)] {
        if tag.has_rate() && x != 0.0 && x.is_finite() {
            out.extend_from_slice(name);
            recon::write_f64(x, out);
        }
    }
    out.push(b')');
}
