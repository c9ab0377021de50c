//! Cells as Arrow's arrays, and back.

use std::sync::Arc;

use arrow_array::builder::{BinaryBuilder, LargeBinaryBuilder, LargeStringBuilder, StringBuilder};
use arrow_array::cast::AsArray;
use arrow_array::types::{Float64Type, Int64Type, TimestampMicrosecondType};
use arrow_array::{
    Array, ArrayRef, BooleanArray, Float64Array, GenericByteArray, Int64Array, OffsetSizeTrait, StructArray,
    TimestampMicrosecondArray,
};
use arrow_buffer::NullBuffer;
use arrow_schema::{DataType, Field, Fields, TimeUnit};

use super::trees;
use crate::declaration::ColumnType;
use crate::population::chunk::{Chunked, ChunkedViews};
use crate::population::column::Column;

/// The type that a column has in a file; texts of over 2 GiB in one file have the `Large` one.
pub(super) fn data_type(kind: ColumnType) -> DataType {
    match kind {
        ColumnType::Bool => DataType::Boolean,
        ColumnType::Int64 => DataType::Int64,
        ColumnType::Float64 => DataType::Float64,
        ColumnType::Point => DataType::Struct(point()),
        ColumnType::String | ColumnType::Value => DataType::Utf8,
        ColumnType::Bytes => DataType::Binary,
        ColumnType::Timestamp => time(),
    }
}

pub(super) fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

fn point() -> Fields {
    ["lat", "lon"].into_iter().map(|name| Field::new(name, DataType::Float64, true)).collect()
}

/// The cells of these rows.
pub(super) fn to_arrow<const W: usize>(column: &Column<W>, rows: &[u32]) -> ArrayRef {
    let rows = rows.iter().copied();
    match column {
        Column::Bool(cells) => Arc::new(rows.map(|row| cells.get(row)).collect::<BooleanArray>()),
        Column::Int(cells) => Arc::new(rows.map(|row| cells.get(row)).collect::<Int64Array>()),
        Column::Float(cells) => Arc::new(rows.map(|row| cells.get(row)).collect::<Float64Array>()),
        Column::Time(cells) => times(rows.map(|row| cells.get(row))),
        Column::Point(cells) => {
            let part = |at: usize| -> ArrayRef {
                Arc::new(rows.clone().map(|row| cells.get(row).map(|point| point[at])).collect::<Float64Array>())
            };
            let valid: NullBuffer = rows.clone().map(|row| cells.get(row).is_some()).collect();
            // SAFETY-free: lengths are those of `rows`
            Arc::new(StructArray::new(point(), vec![part(0), part(1)], Some(valid)))
        }
        Column::Text(cells) => {
            // SAFETY: text cells are only written from text.
            let text = |row| cells.get(row).map(|text| unsafe { std::str::from_utf8_unchecked(text) });
            texts(rows.map(text))
        }
        Column::Bytes(cells) => {
            let bytes: usize = rows.clone().filter_map(|row| cells.get(row)).map(<[u8]>::len).sum();
            let count = rows.len();
            let cells = rows.map(|row| cells.get(row));
            if i32::try_from(bytes).is_ok() {
                let mut array = BinaryBuilder::with_capacity(count, bytes);
                cells.for_each(|cell| array.append_option(cell));
                Arc::new(array.finish())
            } else {
                let mut array = LargeBinaryBuilder::with_capacity(count, bytes);
                cells.for_each(|cell| array.append_option(cell));
                Arc::new(array.finish())
            }
        }
        Column::Tree(cells) => {
            let (mut bytes, mut ends) = (Vec::new(), Vec::with_capacity(rows.len()));
            for row in rows {
                let tree = cells.get(row);
                if !tree.is_null() {
                    trees::write(tree, &mut bytes);
                }
                ends.push((bytes.len(), tree.is_null()));
            }
            // SAFETY: JSON of texts is text.
            let text = unsafe { std::str::from_utf8_unchecked(&bytes) };
            let mut start = 0;
            texts(ends.into_iter().map(|(end, is_null)| {
                let cell = (!is_null).then(|| &text[start..end]);
                start = end;
                cell
            }))
        }
    }
}

pub(super) fn times(cells: impl Iterator<Item = Option<i64>>) -> ArrayRef {
    Arc::new(cells.collect::<TimestampMicrosecondArray>().with_timezone("UTC"))
}

pub(super) fn texts<'a>(cells: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    let cells: Vec<Option<&str>> = cells.collect();
    let bytes: usize = cells.iter().flatten().map(|text| text.len()).sum();
    if i32::try_from(bytes).is_ok() {
        let mut array = StringBuilder::with_capacity(cells.len(), bytes);
        cells.into_iter().for_each(|cell| array.append_option(cell));
        Arc::new(array.finish())
    } else {
        let mut array = LargeStringBuilder::with_capacity(cells.len(), bytes);
        cells.into_iter().for_each(|cell| array.append_option(cell));
        Arc::new(array.finish())
    }
}

/// Writes an array into the cells of a run of rows that are empty. An int becomes a float where the column is one.
///
/// Errors: the array does not fit the column; says why.
pub(super) fn fill<const W: usize>(column: &mut Column<W>, first: u32, array: &ArrayRef) -> Result<(), String> {
    let nulls = array.nulls().filter(|nulls| nulls.null_count() > 0);
    let valid = nulls.map(|nulls| move |at: usize| nulls.is_valid(at));
    let valid = valid.as_ref().map(|valid| valid as &dyn Fn(usize) -> bool);
    match (column, array.data_type()) {
        (Column::Float(cells), DataType::Float64) => {
            cells.fill(first, array.as_primitive::<Float64Type>().values(), valid)
        }
        (Column::Float(cells), DataType::Int64) => {
            let whole = array.as_primitive::<Int64Type>().values();
            let real: Vec<f64> = whole.iter().map(|x| *x as f64).collect();
            cells.fill(first, &real, valid);
        }
        (Column::Int(cells), DataType::Int64) => cells.fill(first, array.as_primitive::<Int64Type>().values(), valid),
        (Column::Time(cells), DataType::Timestamp(TimeUnit::Microsecond, _)) => {
            cells.fill(first, array.as_primitive::<TimestampMicrosecondType>().values(), valid);
        }
        (Column::Bool(cells), DataType::Boolean) => {
            let bits: Vec<bool> = array.as_boolean().values().iter().collect();
            cells.fill(first, &bits, valid);
        }
        (Column::Point(cells), DataType::Struct(_)) => fill_points(cells, first, array.as_struct(), valid)?,
        (Column::Text(cells), DataType::Utf8) => fill_views(cells, first, array.as_string::<i32>()),
        (Column::Text(cells), DataType::LargeUtf8) => fill_views(cells, first, array.as_string::<i64>()),
        (Column::Bytes(cells), DataType::Binary) => fill_views(cells, first, array.as_binary::<i32>()),
        (Column::Bytes(cells), DataType::LargeBinary) => fill_views(cells, first, array.as_binary::<i64>()),
        (column @ Column::Tree(_), DataType::Utf8) => fill_trees(column, first, array.as_string::<i32>().iter())?,
        (column @ Column::Tree(_), DataType::LargeUtf8) => fill_trees(column, first, array.as_string::<i64>().iter())?,
        (column, found) => return Err(format!("it has {found} where the app has {:?}", column.kind())),
    }
    Ok(())
}

fn fill_points<const W: usize>(
    cells: &mut Chunked<[f64; 2], W>,
    first: u32,
    array: &StructArray,
    valid: Option<&dyn Fn(usize) -> bool>,
) -> Result<(), String> {
    let [lat, lon] = array.columns() else { return Err("a point has two parts".into()) };
    let part = |part: &'_ ArrayRef| part.as_primitive_opt::<Float64Type>().map(|part| part.values().clone());
    let (Some(lat), Some(lon)) = (part(lat), part(lon)) else { return Err("a point's parts are reals".into()) };
    let points: Vec<[f64; 2]> = lat.iter().zip(lon.iter()).map(|(lat, lon)| [*lat, *lon]).collect();
    cells.fill(first, &points, valid);
    Ok(())
}

fn fill_views<T, O: OffsetSizeTrait, const W: usize>(
    cells: &mut ChunkedViews<W>,
    first: u32,
    array: &GenericByteArray<T>,
) where
    T: arrow_array::types::ByteArrayType<Offset = O>,
    T::Native: AsRef<[u8]>,
{
    for (row, cell) in (first..).zip(array.iter()) {
        if let Some(cell) = cell {
            cells.set(row, Some(AsRef::<[u8]>::as_ref(cell)));
        }
    }
}

fn fill_trees<'a, const W: usize>(
    column: &mut Column<W>,
    first: u32,
    cells: impl Iterator<Item = Option<&'a str>>,
) -> Result<(), String> {
    for (row, cell) in (first..).zip(cells) {
        if let Some(text) = cell {
            column.replace(row, trees::read(text.as_bytes())?);
        }
    }
    Ok(())
}
