//! A JSON text as a `Value`.

use ecow::EcoString;

use super::Fail;
use super::number::Number;
use super::scan::Scanner;
use crate::body::Invalid;
use crate::value::Value;

/// Reads any JSON text. Whole numbers become `Int`, others `Float`; texts stay `Text`.
///
/// # Errors
/// `Invalid` for whatever the module's rules refuse, with a byte offset into `bytes`.
pub fn parse_tree(bytes: &[u8]) -> Result<Value, Invalid> {
    let mut scan = Scanner::new(bytes);
    value(&mut scan).and_then(|tree| scan.finish().map(|()| tree)).map_err(|fault| *fault)
}

/// `parse_tree` with room for so many levels more than a record may have.
///
/// # Errors
/// As `parse_tree`.
pub(crate) fn parse_deep_tree(bytes: &[u8], levels: u8) -> Result<Value, Invalid> {
    let mut scan = Scanner::new(bytes).deeper(levels);
    value(&mut scan).and_then(|tree| scan.finish().map(|()| tree)).map_err(|fault| *fault)
}

/// Whether `parse_tree` would take this text.
///
/// # Errors
/// As `parse_tree`.
pub fn check_tree(bytes: &[u8]) -> Result<(), Invalid> {
    parse_tree(bytes).map(drop)
}

/// The value that comes next.
pub(crate) fn value(scan: &mut Scanner<'_>) -> Result<Value, Fail> {
    match scan.peek()? {
        b'"' => {
            let raw = scan.string()?;
            Ok(Value::Text(EcoString::from(scan.text(raw)?.as_ref())))
        }
        b'{' => object(scan),
        b'[' => list(scan),
        b'n' => scan.word(b"null").map(|()| Value::Null),
        b't' => scan.word(b"true").map(|()| Value::Bool(true)),
        b'f' => scan.word(b"false").map(|()| Value::Bool(false)),
        _ => match scan.number() {
            Ok(Number::Int(x)) => Ok(Value::Int(x)),
            Ok(Number::Float(x)) => Ok(Value::Float(x)),
            Err(fault) => Err(scan.number_fault(fault, "")),
        },
    }
}

fn list(scan: &mut Scanner<'_>) -> Result<Value, Fail> {
    scan.enter()?;
    let mut items = Vec::new();
    while scan.item(items.is_empty())? {
        items.push(value(scan)?);
    }
    Ok(Value::List(items.into()))
}

fn object(scan: &mut Scanner<'_>) -> Result<Value, Fail> {
    let mark = scan.keys.enter();
    scan.enter()?;
    let mut members = Vec::new();
    while scan.member(members.is_empty())? {
        let raw = scan.string()?;
        scan.remember(raw)?;
        let key = EcoString::from(scan.text(raw)?.as_ref());
        scan.colon()?;
        members.push((key, value(scan)?));
    }
    scan.no_key_twice(mark)?;
    Ok(Value::Map(members.into()))
}
