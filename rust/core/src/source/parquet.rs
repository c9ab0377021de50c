//! Parquet: a record a row, as a JSON object of its columns. Positions are row numbers from 1.
//!
//! The file is read by row groups, page by page; what is held is a few pages a column and one batch of rows.

use ::parquet::arrow::arrow_reader::{ArrowReaderOptions, ParquetRecordBatchReaderBuilder};
use arrow_array::RecordBatch;

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
    let reader = ParquetRecordBatchReaderBuilder::try_new_with_options(file, options)
        .and_then(|builder| builder.with_batch_size(ROWS).build())
        .map_err(|error| Stop::Failed(format!("{name} cannot be read as Parquet: {error}; write it again")))?;
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
        write(name, &rows, &mut position, filling)?;
    }
    filling.hand_over()
}

fn write(name: &str, rows: &RecordBatch, position: &mut u64, filling: &mut Filling) -> Result<(), Stop> {
    let row = Row::of(rows).map_err(|reason| Stop::Failed(format!("{name}: {reason}")))?;
    for number in 0..rows.num_rows() {
        *position += 1;
        filling.reserve(256);
        let problem = row.write(number, &mut filling.bytes).err();
        let problem = filling.too_long("row").or(problem.map(String::into_boxed_str));
        filling.end_record(*position, problem);
        if filling.is_full() {
            filling.hand_over()?;
        }
    }
    Ok(())
}
