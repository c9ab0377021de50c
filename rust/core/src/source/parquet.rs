//! Parquet: a record a row, as a JSON object of its columns. Positions are row numbers from 1.
//!
//! The file is read by row groups, page by page; what is held is a few pages a column and one batch of rows. Groups of
//! which no row is wanted are passed over.

use std::ops::Range;

use ::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use ::parquet::file::metadata::ParquetMetaData;

use super::cells::Row;
use super::filling::{Filling, Stop};
use super::opened::Opened;

/// Rows decoded at once.
const ROWS: usize = 8192;

/// Reads the rows of a file from the first to the last.
pub(super) fn read(opened: &Opened, filling: &mut Filling) -> Result<(), Stop> {
    let name = opened.name();
    let file = opened.file().map_err(|error| Stop::Failed(error.to_string()))?;
    // Types are Parquet's own: a writer's Arrow schema would only add other layouts of the same values.
    let options = ArrowReaderOptions::new().with_skip_arrow_metadata(true);
    let unreadable = |error| Stop::Failed(format!("{name} cannot be read as Parquet: {error}; write it again"));
    let builder = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options).map_err(unreadable)?;
    let groups = Groups::wanted(builder.metadata(), filling);
    let reader = builder.with_batch_size(ROWS).with_row_groups(groups.numbers).build().map_err(unreadable)?;
    let mut positions = groups.positions.into_iter().flatten();
    let mut position = 0;
    for rows in reader {
        let rows = match rows {
            Ok(rows) => rows,
            Err(error) => {
                filling.hand_over()?;
                return Err(Stop::Failed(format!(
                    "{name} cannot be read after row {position}: {error}; write it again"
                )));
            }
        };
        let row = Row::of(&rows).map_err(|reason| Stop::Failed(format!("{name}: {reason}")))?;
        for number in 0..rows.num_rows() {
            position = positions.next().unwrap_or(position + 1);
            write(&row, number, position, filling)?;
        }
    }
    filling.last = filling.last.max(groups.rows);
    filling.hand_over()
}

/// The row groups that are read.
struct Groups {
    numbers: Vec<usize>,
    /// Of the rows of each.
    positions: Vec<Range<u64>>,
    /// Rows of the whole file.
    rows: u64,
}

impl Groups {
    fn wanted(file: &ParquetMetaData, filling: &Filling) -> Groups {
        let mut groups = Groups { numbers: Vec::new(), positions: Vec::new(), rows: 0 };
        for (number, group) in file.row_groups().iter().enumerate() {
            let first = groups.rows + 1;
            groups.rows += u64::try_from(group.num_rows()).unwrap_or(0);
            if filling.wanted.any(first, groups.rows + 1) {
                groups.numbers.push(number);
                groups.positions.push(first..groups.rows + 1);
            }
        }
        groups
    }
}

fn write(row: &Row, number: usize, position: u64, filling: &mut Filling) -> Result<(), Stop> {
    if filling.wanted.next(position) != position {
        return Ok(());
    }
    filling.reserve(256);
    let problem = row.write(number, &mut filling.bytes).err();
    let problem = filling.too_long("row").or(problem.map(String::into_boxed_str));
    filling.end_record(position, problem);
    if filling.is_full() {
        filling.hand_over()?;
    }
    Ok(())
}
