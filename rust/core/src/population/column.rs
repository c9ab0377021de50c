//! A typed column of a population: one cell a twin.

use ecow::{EcoString, EcoVec};

use super::chunk::{Chunked, ChunkedViews, Shared, WORDS};
use crate::declaration::ColumnType;
use crate::value::Value;

/// Trees of one chunk: copying it counts up a reference in each.
const GROVE: usize = 64;

/// Trees without an end; `Null` is the empty cell. Each tree is itself shared by reference count.
#[derive(Clone, Debug, Default)]
pub struct Trees {
    chunks: Vec<Shared<[Value; GROVE]>>,
}

impl Trees {
    fn reach(&mut self, row: u32) {
        while self.chunks.len() * GROVE <= row as usize {
            self.chunks.push(Shared::new([const { Value::Null }; GROVE]));
        }
    }

    pub fn get(&self, row: u32) -> &Value {
        &self.chunks[row as usize / GROVE].read()[row as usize % GROVE]
    }

    fn replace(&mut self, row: u32, new: Value) -> Value {
        std::mem::replace(&mut self.chunks[row as usize / GROVE].write()[row as usize % GROVE], new)
    }
}

/// Why a value does not fit a column.
#[derive(Clone, Debug, PartialEq)]
pub enum Misfit {
    /// Another type: what the column holds.
    Type(ColumnType),
    /// NaN or an infinity for a float column.
    NotFinite,
    /// 3.5 for an int column.
    NotWhole,
    /// Beyond int64.
    Overflow,
    /// Latitude outside -90..90.
    Latitude(f64),
    /// Longitude outside -180..360.
    Longitude(f64),
    /// None as a map's key.
    NoKey,
    /// None as an entry of a map whose column has no cell for it.
    NoEntry,
    /// None where the declared type does not allow it.
    NoNone,
}

impl std::fmt::Display for Misfit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Misfit::Type(kind) => write!(f, "takes {}", words(*kind)),
            Misfit::NotFinite => write!(f, "takes no NaN and no infinity"),
            Misfit::NotWhole => write!(f, "takes whole numbers"),
            Misfit::Overflow => write!(f, "holds int64, and the number is beyond it"),
            Misfit::Latitude(x) => write!(f, "takes a latitude of -90 to 90 degrees, not {x}"),
            Misfit::NoKey => write!(f, "takes no None as a key"),
            Misfit::NoNone => write!(f, "takes no None; where it may be None, say so in its type: `… | None`"),
            Misfit::NoEntry => write!(f, "takes no entry without a value"),
            Misfit::Longitude(x) => write!(f, "takes a longitude of -180 to 360 degrees, not {x}"),
        }
    }
}

fn words(kind: ColumnType) -> &'static str {
    match kind {
        ColumnType::Bool => "a bool",
        ColumnType::Int64 => "an int",
        ColumnType::Float64 => "a float",
        ColumnType::Point => "a Point",
        ColumnType::String => "a str",
        ColumnType::Bytes => "bytes",
        ColumnType::Timestamp => "a datetime with a time zone",
        ColumnType::Value => "a value",
    }
}

/// `W`: words of 64 rows of its chunks.
#[derive(Clone, Debug)]
pub enum Column<const W: usize = WORDS> {
    Bool(Chunked<bool, W>),
    Int(Chunked<i64, W>),
    Float(Chunked<f64, W>),
    Time(Chunked<i64, W>),
    Point(Chunked<[f64; 2], W>),
    Text(ChunkedViews<W>),
    Bytes(ChunkedViews<W>),
    Tree(Trees),
}

impl<const W: usize> Column<W> {
    pub fn new(kind: ColumnType) -> Self {
        match kind {
            ColumnType::Bool => Column::Bool(Chunked::default()),
            ColumnType::Int64 => Column::Int(Chunked::default()),
            ColumnType::Float64 => Column::Float(Chunked::default()),
            ColumnType::Timestamp => Column::Time(Chunked::default()),
            ColumnType::Point => Column::Point(Chunked::default()),
            ColumnType::String => Column::Text(ChunkedViews::default()),
            ColumnType::Bytes => Column::Bytes(ChunkedViews::default()),
            ColumnType::Value => Column::Tree(Trees::default()),
        }
    }

    /// Makes room for `row`.
    pub fn reach(&mut self, row: u32) {
        match self {
            Column::Bool(cells) => cells.reach(row),
            Column::Int(cells) | Column::Time(cells) => cells.reach(row),
            Column::Float(cells) => cells.reach(row),
            Column::Point(cells) => cells.reach(row),
            Column::Text(cells) | Column::Bytes(cells) => cells.reach(row),
            Column::Tree(cells) => cells.reach(row),
        }
    }

    pub fn get(&self, row: u32) -> Value {
        match self {
            Column::Bool(cells) => cells.get(row).map_or(Value::Null, Value::Bool),
            Column::Int(cells) => cells.get(row).map_or(Value::Null, Value::Int),
            Column::Float(cells) => cells.get(row).map_or(Value::Null, Value::Float),
            Column::Time(cells) => cells.get(row).map_or(Value::Null, Value::Time),
            Column::Point(cells) => cells.get(row).map_or(Value::Null, |[lat, lon]| Value::Point(lat, lon)),
            Column::Text(cells) => cells.get(row).map_or(Value::Null, |text| Value::Text(EcoString::from(utf8(text)))),
            Column::Bytes(cells) => cells.get(row).map_or(Value::Null, |bytes| Value::Bytes(EcoVec::from(bytes))),
            Column::Tree(cells) => cells.get(row).clone(),
        }
    }

    /// Writes the cell and gives back what it held. The value has gone through `fit`, or comes out of this column.
    pub fn replace(&mut self, row: u32, new: Value) -> Value {
        match (self, new) {
            (Column::Bool(cells), Value::Bool(x)) => cells.replace(row, Some(x)).map_or(Value::Null, Value::Bool),
            (Column::Int(cells), Value::Int(x)) => cells.replace(row, Some(x)).map_or(Value::Null, Value::Int),
            (Column::Float(cells), Value::Float(x)) => cells.replace(row, Some(x)).map_or(Value::Null, Value::Float),
            (Column::Time(cells), Value::Time(x)) => cells.replace(row, Some(x)).map_or(Value::Null, Value::Time),
            (Column::Point(cells), Value::Point(lat, lon)) => {
                cells.replace(row, Some([lat, lon])).map_or(Value::Null, |[lat, lon]| Value::Point(lat, lon))
            }
            (Column::Tree(cells), new) => cells.replace(row, new),
            (this, new) => {
                let old = this.get(row);
                match (this, new) {
                    (Column::Text(cells), Value::Text(text)) => cells.set(row, Some(text.as_bytes())),
                    (Column::Bytes(cells), Value::Bytes(bytes)) => cells.set(row, Some(&bytes)),
                    (Column::Text(cells) | Column::Bytes(cells), Value::Null) => cells.set(row, None),
                    (Column::Bool(cells), Value::Null) => _ = cells.replace(row, None),
                    (Column::Int(cells) | Column::Time(cells), Value::Null) => _ = cells.replace(row, None),
                    (Column::Float(cells), Value::Null) => _ = cells.replace(row, None),
                    (Column::Point(cells), Value::Null) => _ = cells.replace(row, None),
                    (this, new) => unreachable!("{new:?} was not fitted to {:?}", this.kind()),
                }
                old
            }
        }
    }

    pub fn kind(&self) -> ColumnType {
        match self {
            Column::Bool(_) => ColumnType::Bool,
            Column::Int(_) => ColumnType::Int64,
            Column::Float(_) => ColumnType::Float64,
            Column::Time(_) => ColumnType::Timestamp,
            Column::Point(_) => ColumnType::Point,
            Column::Text(_) => ColumnType::String,
            Column::Bytes(_) => ColumnType::Bytes,
            Column::Tree(_) => ColumnType::Value,
        }
    }

    /// A number cell as f64.
    #[inline]
    pub fn number(&self, row: u32) -> Option<f64> {
        match self {
            Column::Float(cells) => cells.get(row),
            Column::Int(cells) => cells.get(row).map(|x| x as f64),
            _ => None,
        }
    }

    /// A text cell.
    pub fn text(&self, row: u32) -> Option<&str> {
        match self {
            Column::Text(cells) => cells.get(row).map(utf8),
            _ => None,
        }
    }
}

/// The value as a column of this type holds it. A float column takes ints, an int column takes 3.0; nothing else bends.
pub fn fit(kind: ColumnType, value: Value) -> Result<Value, Misfit> {
    match (kind, value) {
        (_, Value::Null) => Ok(Value::Null),
        (ColumnType::Bool, value @ Value::Bool(_))
        | (ColumnType::Int64, value @ Value::Int(_))
        | (ColumnType::Timestamp, value @ Value::Time(_))
        | (ColumnType::String, value @ Value::Text(_))
        | (ColumnType::Bytes, value @ Value::Bytes(_)) => Ok(value),
        (ColumnType::Value, value) if is_finite(&value) => Ok(value),
        (ColumnType::Value, _) => Err(Misfit::NotFinite),
        (ColumnType::Float64, Value::Float(x)) if x.is_finite() => Ok(Value::Float(x)),
        (ColumnType::Float64, Value::Float(_)) => Err(Misfit::NotFinite),
        (ColumnType::Float64, Value::Int(x)) => Ok(Value::Float(x as f64)),
        (ColumnType::Int64, Value::Float(x)) => whole(x).map(Value::Int),
        (ColumnType::Point, Value::Point(lat, lon)) => point(lat, lon),
        (ColumnType::Point, Value::List(pair)) if pair.len() == 2 => match (pair[0].as_f64(), pair[1].as_f64()) {
            (Some(lat), Some(lon)) => point(lat, lon),
            _ => Err(Misfit::Type(kind)),
        },
        _ => Err(Misfit::Type(kind)),
    }
}

/// The same for an entry of a map.
pub fn fit_entry(kinds: (ColumnType, ColumnType), key: Value, value: Value) -> Result<(Value, Value), Misfit> {
    match (kinds.1, &key, &value) {
        (_, Value::Null, _) => Err(Misfit::NoKey),
        (kind, _, Value::Null) if kind != ColumnType::Value => Err(Misfit::NoEntry),
        _ => Ok((fit(kinds.0, key)?, fit(kinds.1, value)?)),
    }
}

/// Whether all numbers in it are.
fn is_finite(value: &Value) -> bool {
    match value {
        Value::Float(x) => x.is_finite(),
        Value::List(items) => items.iter().all(is_finite),
        Value::Map(members) => members.iter().all(|(_, member)| is_finite(member)),
        _ => true,
    }
}

/// Whether `fit` would give a number, a flag, a time or a text back as it is. Looks only: a value that is moved through
/// `fit` costs more than the rest of a write.
#[inline(always)]
pub fn fits(kind: ColumnType, value: &Value) -> bool {
    match (kind, value) {
        (ColumnType::Float64, Value::Float(x)) => x.is_finite(),
        (ColumnType::Bool, Value::Bool(_))
        | (ColumnType::Int64, Value::Int(_))
        | (ColumnType::Timestamp, Value::Time(_))
        | (ColumnType::String, Value::Text(_)) => true,
        _ => false,
    }
}

/// A place on Earth in degrees; longitudes may count -180..180 or 0..360.
pub fn point(lat: f64, lon: f64) -> Result<Value, Misfit> {
    if !lat.is_finite() || !lon.is_finite() {
        Err(Misfit::NotFinite)
    } else if !(-90.0..=90.0).contains(&lat) {
        Err(Misfit::Latitude(lat))
    } else if !(-180.0..=360.0).contains(&lon) {
        Err(Misfit::Longitude(lon))
    } else {
        Ok(Value::Point(lat, lon))
    }
}

fn whole(x: f64) -> Result<i64, Misfit> {
    if !x.is_finite() {
        Err(Misfit::NotFinite)
    } else if x.fract() != 0.0 {
        Err(Misfit::NotWhole)
    } else if (-9_223_372_036_854_775_808.0..9_223_372_036_854_775_808.0).contains(&x) {
        Ok(x as i64)
    } else {
        Err(Misfit::Overflow)
    }
}

#[inline(always)]
fn utf8(bytes: &[u8]) -> &str {
    // SAFETY: text cells are only written from `EcoString` and `&str`.
    unsafe { std::str::from_utf8_unchecked(bytes) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_fits_is_given_back_as_it_is() {
        let numbers = [Value::Float(1.5), Value::Float(3.0), Value::Float(f64::NAN), Value::Float(f64::INFINITY)];
        let others = [Value::Null, Value::Bool(true), Value::Int(3), Value::Time(5), Value::Point(1.0, 2.0)];
        let texts = [Value::Text("x".into()), Value::Bytes(b"x".as_slice().into()), Value::List([].into())];
        let kinds = [ColumnType::Bool, ColumnType::Int64, ColumnType::Float64, ColumnType::Timestamp];
        let mut seen = 0;
        for value in numbers.iter().chain(&others).chain(&texts) {
            for kind in kinds.into_iter().chain([ColumnType::String, ColumnType::Bytes, ColumnType::Point]) {
                if fits(kind, value) {
                    assert_eq!(fit(kind, value.clone()), Ok(value.clone()), "{kind:?}");
                    seen += 1;
                }
            }
        }
        assert_eq!(seen, 6);
    }
}
