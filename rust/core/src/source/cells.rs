//! Arrow cells as JSON: what a row of a Parquet file becomes.
//!
//! | column | JSON |
//! | --- | --- |
//! | bool, ints, floats, decimals | bool, number (a decimal with all its digits; NaN and infinities bare, so that decoding refuses the record) |
//! | string, JSON, enum | text |
//! | UUID | text with hyphens |
//! | binary | base64 text |
//! | date, time of day | `2021-10-07`, `12:30:00.5` |
//! | timestamp | RFC 3339 text, with `Z` where the column is in UTC, without a zone where it is in none |
//! | struct, list, map | object, array, object (keys that are no text are written as text) |
//! | null of any type | null |

use std::io::Write;

use arrow_array::cast::AsArray;
use arrow_array::types::*;
use arrow_array::{Array, ArrayRef, ArrowPrimitiveType, PrimitiveArray, RecordBatch, StructArray};
use arrow_schema::{DataType, Field, Fields, TimeUnit};
use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// The columns of some rows, ready to be written row by row.
pub(super) struct Row<'a>(Object<'a>);

struct Object<'a> {
    /// `{"first":`, `,"second":` …
    openings: Vec<Vec<u8>>,
    columns: Vec<Cells<'a>>,
}

/// One column, with what its type needs for writing.
struct Cells<'a> {
    array: &'a dyn Array,
    write: Kind<'a>,
}

/// Writes the cell of one row; it is not null. An error says what of it JSON cannot hold.
type Scalar<'a> = Box<dyn Fn(usize, &mut Vec<u8>) -> Result<(), String> + 'a>;

enum Kind<'a> {
    Scalar(Scalar<'a>),
    Struct(Object<'a>),
    List { offsets: &'a [i32], items: Box<Cells<'a>> },
    Map { offsets: &'a [i32], keys: Box<Cells<'a>>, values: Box<Cells<'a>> },
}

impl<'a> Row<'a> {
    /// Errors: a column's type has no JSON form; the message names the column.
    pub(super) fn of(rows: &'a RecordBatch) -> Result<Row<'a>, String> {
        Object::of(rows.schema_ref().fields(), rows.columns(), "").map(Row)
    }

    /// Appends row `number` as one JSON object. After an error the object is written as well, with a raw number in the
    /// place of what JSON cannot hold.
    pub(super) fn write(&self, number: usize, into: &mut Vec<u8>) -> Result<(), String> {
        self.0.write(number, into)
    }
}

impl<'a> Object<'a> {
    fn of(fields: &Fields, columns: &'a [ArrayRef], within: &str) -> Result<Object<'a>, String> {
        let mut object = Object { openings: Vec::new(), columns: Vec::new() };
        for (field, column) in fields.iter().zip(columns) {
            let mut opening = vec![if object.openings.is_empty() { b'{' } else { b',' }];
            text(field.name(), &mut opening);
            opening.push(b':');
            object.openings.push(opening);
            object.columns.push(Cells::of(field, column, &format!("{within}{}", field.name()))?);
        }
        Ok(object)
    }

    fn write(&self, row: usize, into: &mut Vec<u8>) -> Result<(), String> {
        if self.columns.is_empty() {
            into.push(b'{');
        }
        let mut outcome = Ok(());
        for (opening, column) in self.openings.iter().zip(&self.columns) {
            into.extend_from_slice(opening);
            outcome = outcome.and(column.write(row, into));
        }
        into.push(b'}');
        outcome
    }
}

impl<'a> Cells<'a> {
    fn of(field: &Field, array: &'a dyn Array, name: &str) -> Result<Cells<'a>, String> {
        let scalar = |write: Scalar<'a>| Kind::Scalar(write);
        let write = match array.data_type() {
            DataType::Null => scalar(Box::new(|_, into| raw(into, "null"))),
            DataType::Boolean => {
                let cells = array.as_boolean();
                scalar(Box::new(move |row, into| raw(into, if cells.value(row) { "true" } else { "false" })))
            }
            DataType::Int8 => number::<Int8Type>(array),
            DataType::Int16 => number::<Int16Type>(array),
            DataType::Int32 => number::<Int32Type>(array),
            DataType::Int64 => number::<Int64Type>(array),
            DataType::UInt8 => number::<UInt8Type>(array),
            DataType::UInt16 => number::<UInt16Type>(array),
            DataType::UInt32 => number::<UInt32Type>(array),
            DataType::UInt64 => number::<UInt64Type>(array),
            DataType::Float16 => float::<Float16Type>(array, |value| value.to_f64()),
            DataType::Float32 => float::<Float32Type>(array, f64::from),
            DataType::Float64 => float::<Float64Type>(array, |value| value),
            DataType::Decimal32(..) => decimal::<Decimal32Type>(array),
            DataType::Decimal64(..) => decimal::<Decimal64Type>(array),
            DataType::Decimal128(..) => decimal::<Decimal128Type>(array),
            DataType::Decimal256(..) => decimal::<Decimal256Type>(array),
            DataType::Utf8 => {
                let cells = array.as_string::<i32>();
                scalar(Box::new(move |row, into| {
                    text(cells.value(row), into);
                    Ok(())
                }))
            }
            DataType::Binary => {
                let cells = array.as_binary::<i32>();
                scalar(Box::new(move |row, into| base64(cells.value(row), into)))
            }
            DataType::FixedSizeBinary(size) => {
                let cells = array.as_fixed_size_binary();
                let is_uuid = *size == 16 && field.extension_type_name() == Some("arrow.uuid");
                let write = if is_uuid { uuid } else { base64 };
                scalar(Box::new(move |row, into| write(cells.value(row), into)))
            }
            DataType::Date32 => {
                let cells = array.as_primitive::<Date32Type>();
                scalar(Box::new(move |row, into| date(cells.value(row), into)))
            }
            DataType::Time32(TimeUnit::Millisecond) => moment::<Time32MillisecondType>(array, 1_000_000, time_of_day),
            DataType::Time64(TimeUnit::Microsecond) => moment::<Time64MicrosecondType>(array, 1_000, time_of_day),
            DataType::Time64(TimeUnit::Nanosecond) => moment::<Time64NanosecondType>(array, 1, time_of_day),
            DataType::Timestamp(unit, zone) => {
                let write = if zone.is_some() { instant } else { local };
                match unit {
                    TimeUnit::Second => moment::<TimestampSecondType>(array, 1_000_000_000, write),
                    TimeUnit::Millisecond => moment::<TimestampMillisecondType>(array, 1_000_000, write),
                    TimeUnit::Microsecond => moment::<TimestampMicrosecondType>(array, 1_000, write),
                    TimeUnit::Nanosecond => moment::<TimestampNanosecondType>(array, 1, write),
                }
            }
            DataType::Struct(fields) => {
                let cells: &'a StructArray = array.as_struct();
                Kind::Struct(Object::of(fields, cells.columns(), &format!("{name}."))?)
            }
            DataType::List(item) => {
                let cells = array.as_list::<i32>();
                let items = Cells::of(item, cells.values(), &format!("{name}[]"))?;
                Kind::List { offsets: cells.value_offsets(), items: Box::new(items) }
            }
            DataType::Map(entry, _) => {
                let cells = array.as_map();
                let DataType::Struct(fields) = entry.data_type() else {
                    return Err(unknown(name, entry.data_type()));
                };
                let keys = Cells::of(&fields[0], cells.keys(), &format!("{name}[]"))?;
                if !matches!(keys.write, Kind::Scalar(_)) {
                    return Err(unknown(name, array.data_type()));
                }
                let values = Cells::of(&fields[1], cells.values(), &format!("{name}[]"))?;
                Kind::Map { offsets: cells.value_offsets(), keys: Box::new(keys), values: Box::new(values) }
            }
            other => return Err(unknown(name, other)),
        };
        Ok(Cells { array, write })
    }

    fn write(&self, row: usize, into: &mut Vec<u8>) -> Result<(), String> {
        if self.array.is_null(row) {
            return raw(into, "null");
        }
        let within = |offsets: &[i32]| offsets[row] as usize..offsets[row + 1] as usize;
        let mut outcome = Ok(());
        match &self.write {
            Kind::Scalar(write) => outcome = write(row, into),
            Kind::Struct(object) => outcome = object.write(row, into),
            Kind::List { offsets, items } => {
                into.push(b'[');
                for (at, item) in within(offsets).enumerate() {
                    if at > 0 {
                        into.push(b',');
                    }
                    outcome = outcome.and(items.write(item, into));
                }
                into.push(b']');
            }
            Kind::Map { offsets, keys, values } => {
                into.push(b'{');
                for (at, entry) in within(offsets).enumerate() {
                    if at > 0 {
                        into.push(b',');
                    }
                    let start = into.len();
                    outcome = outcome.and(keys.write(entry, into));
                    if into.get(start) != Some(&b'"') {
                        into.insert(start, b'"');
                        into.push(b'"');
                    }
                    into.push(b':');
                    outcome = outcome.and(values.write(entry, into));
                }
                into.push(b'}');
            }
        }
        outcome
    }
}

fn unknown(name: &str, kind: &DataType) -> String {
    format!("column {name} is of type {kind}, which has no form in JSON; leave it out or write it as text")
}

fn raw(into: &mut Vec<u8>, text: &str) -> Result<(), String> {
    into.extend_from_slice(text.as_bytes());
    Ok(())
}

/// Anything that serde knows; writing to memory does not fail.
fn json(value: impl serde::Serialize, into: &mut Vec<u8>) -> Result<(), String> {
    serde_json::to_writer(into, &value).map_err(|error| error.to_string())
}

fn text(value: &str, into: &mut Vec<u8>) {
    let _ = json(value, into);
}

fn base64(value: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
    json(BASE64_STANDARD.encode(value), into)
}

fn uuid(value: &[u8], into: &mut Vec<u8>) -> Result<(), String> {
    into.push(b'"');
    for (at, byte) in value.iter().enumerate() {
        if matches!(at, 4 | 6 | 8 | 10) {
            into.push(b'-');
        }
        let _ = write!(into, "{byte:02x}");
    }
    into.push(b'"');
    Ok(())
}

fn number<'a, T: ArrowPrimitiveType>(array: &'a dyn Array) -> Kind<'a>
where
    T::Native: serde::Serialize,
{
    let cells = array.as_primitive::<T>();
    Kind::Scalar(Box::new(move |row, into| json(cells.value(row), into)))
}

fn float<'a, T: ArrowPrimitiveType>(array: &'a dyn Array, widen: fn(T::Native) -> f64) -> Kind<'a> {
    let cells = array.as_primitive::<T>();
    Kind::Scalar(Box::new(move |row, into| {
        let value = widen(cells.value(row));
        match value {
            value if value.is_finite() => json(value, into),
            value if value.is_nan() => raw(into, "NaN"),
            value => raw(into, if value > 0.0 { "Infinity" } else { "-Infinity" }),
        }
    }))
}

fn decimal<'a, T: DecimalType>(array: &'a dyn Array) -> Kind<'a> {
    let cells: &PrimitiveArray<T> = array.as_primitive::<T>();
    Kind::Scalar(Box::new(move |row, into| raw(into, &cells.value_as_string(row))))
}

fn moment<'a, T: ArrowPrimitiveType>(
    array: &'a dyn Array,
    nanoseconds: i128,
    write: fn(i128, &mut Vec<u8>) -> Result<(), String>,
) -> Kind<'a>
where
    T::Native: Into<i64>,
{
    let cells = array.as_primitive::<T>();
    Kind::Scalar(Box::new(move |row, into| {
        let value: i64 = cells.value(row).into();
        let whole = nanoseconds * i128::from(value);
        write(whole, into).inspect_err(|_| {
            let _ = write!(into, "{value}");
        })
    }))
}

fn date(days: i32, into: &mut Vec<u8>) -> Result<(), String> {
    let epoch = Date::constant(1970, 1, 1);
    match epoch.checked_add(SignedDuration::from_hours(24 * i64::from(days))) {
        Ok(date) => quoted(into, date),
        Err(_) => {
            let _ = write!(into, "{days}");
            Err(format!("day {days} since 1970 is out of range"))
        }
    }
}

fn time_of_day(nanoseconds: i128, into: &mut Vec<u8>) -> Result<(), String> {
    let day = 0..86_400_000_000_000;
    if !day.contains(&nanoseconds) {
        return Err(format!("time of day {nanoseconds} ns is out of range"));
    }
    let time = Time::midnight().checked_add(SignedDuration::from_nanos(nanoseconds as i64));
    quoted(into, time.map_err(|error| error.to_string())?)
}

fn timestamp(nanoseconds: i128) -> Result<Timestamp, String> {
    Timestamp::from_nanosecond(nanoseconds).map_err(|_| format!("time {nanoseconds} ns since 1970 is out of range"))
}

fn instant(nanoseconds: i128, into: &mut Vec<u8>) -> Result<(), String> {
    quoted(into, timestamp(nanoseconds)?)
}

fn local(nanoseconds: i128, into: &mut Vec<u8>) -> Result<(), String> {
    quoted(into, TimeZone::UTC.to_datetime(timestamp(nanoseconds)?))
}

fn quoted(into: &mut Vec<u8>, value: impl std::fmt::Display) -> Result<(), String> {
    let _ = write!(into, "\"{value}\"");
    Ok(())
}
