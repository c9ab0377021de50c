//! Sources: a reader thread a file, which turns bytes into batches and hands them to the shard's inbox.
//!
//! - `opened`: the file, and whether it changed while it was read
//! - `text`: unpacks .gz and .zst, skips a BOM, refuses UTF-16
//! - `filling`: the batch being filled; holds records to their bounds
//! - `resume`: which records have been applied before, and whether the file is still the same
//! - `lines`, `elements`, `rows`: where a record ends in JSON Lines, in a JSON array, in CSV
//! - `parquet`, `cells`: row groups, and their cells as JSON

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;
use std::thread::JoinHandle;

use serde::Deserialize;

use crate::batch::Intake;

mod cells;
mod elements;
mod filling;
mod lines;
mod opened;
mod parquet;
mod resume;
mod rows;
mod text;

#[cfg(test)]
mod tests;

use filling::{Filling, Stop};
use opened::Opened;
pub use resume::{Head, Resume, head};
use text::Text;

/// What a file holds; by its suffix (before `.gz` or `.zst`) unless it is named.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A JSON text a line. Suffixes .jsonl and .ndjson, and standard input.
    Jsonl,
    /// One array, whose elements are the records, or else a JSON text a line. Suffix .json.
    Json,
    /// Rows under a header; the delimiter is a comma, or what the header has in its place (`;`, tab). Suffix .csv.
    Csv,
    /// The same with tabs. Suffix .tsv.
    Tsv,
    /// Suffixes .parquet and .pq.
    Parquet,
}

/// A file to be read, with the bounds of its batches.
#[derive(Clone, Debug, Deserialize)]
pub struct FileSpec {
    /// `-` is standard input.
    pub path: String,
    #[serde(default)]
    pub format: Option<Format>,
    /// Bytes of one line, row or array element, at most (1 to 512 MiB). What is longer becomes a `Span` with a problem
    /// and the first 64 kB of its bytes.
    #[serde(default = "default_max_line")]
    pub max_line: usize,
    /// A batch is handed over when it holds this many bytes (at most 256 MiB; it may pass it by one record) …
    #[serde(default = "default_batch_bytes")]
    pub batch_bytes: usize,
    /// … or this many records.
    #[serde(default = "default_batch_records")]
    pub batch_records: usize,
    /// Between the fields of a row; one ASCII character.
    #[serde(default)]
    pub delimiter: Option<char>,
    /// What of it has been applied already: those records are passed over. None: it is read from its beginning.
    #[serde(skip)]
    pub resume: Option<Resume>,
}

fn default_max_line() -> usize {
    16 << 20
}

fn default_batch_bytes() -> usize {
    256 << 10
}

fn default_batch_records() -> usize {
    8192
}

impl FileSpec {
    /// A file with the default bounds.
    pub fn new(path: impl Into<String>) -> FileSpec {
        FileSpec {
            path: path.into(),
            format: None,
            max_line: default_max_line(),
            batch_bytes: default_batch_bytes(),
            batch_records: default_batch_records(),
            delimiter: None,
            resume: None,
        }
    }

    /// The path as messages name it.
    fn name(&self) -> String {
        if self.path == "-" { "standard input".into() } else { self.path.clone() }
    }

    fn format(&self) -> Result<Format, String> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        if self.path == "-" {
            return Ok(Format::Jsonl);
        }
        let lower = self.path.to_ascii_lowercase();
        let plain = [".gz", ".zst"].iter().find_map(|suffix| lower.strip_suffix(suffix)).unwrap_or(&lower);
        let suffix = Path::new(plain).extension().and_then(|suffix| suffix.to_str()).unwrap_or("");
        match suffix {
            "jsonl" | "ndjson" => Ok(Format::Jsonl),
            "json" => Ok(Format::Json),
            "csv" => Ok(Format::Csv),
            "tsv" => Ok(Format::Tsv),
            "parquet" | "pq" => Ok(Format::Parquet),
            _ => Err(format!(
                "cannot tell what {} holds by its name; end it in .jsonl, .json, .csv, .tsv (each also with .gz or \
                 .zst) or .parquet",
                self.path
            )),
        }
    }

    fn check(&self) -> Result<Format, String> {
        let bound = |name: &str, value: usize, most: usize| match value {
            0 => Err(format!("{name} of {} is 0; it must be at least 1", self.path)),
            value if value > most => Err(format!("{name} of {} is {value}; it must be at most {most}", self.path)),
            _ => Ok(()),
        };
        bound("max_line", self.max_line, 512 << 20)?;
        bound("batch_bytes", self.batch_bytes, 256 << 20)?;
        bound("batch_records", self.batch_records, 1 << 24)?;
        match self.delimiter {
            Some(mark) if !mark.is_ascii() || matches!(mark, '"' | '\n' | '\r') => Err(format!(
                "the delimiter of {} is {mark:?}; it must be one ASCII character, no quote and no line end",
                self.path
            )),
            _ => self.format(),
        }
    }
}

/// Starts the reader thread of one file.
///
/// Of a file of which a part has been applied (`FileSpec::resume`), the thread hands over the rest; it fails where the
/// file is not the same any more.
///
/// The thread hands batches to `intake` in the order of the file and ends with one call of `Intake::finish`, except
/// after `offer` returned false: then it ends without one. While it waits for a pipe's next bytes it cannot be
/// stopped, so whoever closes a shard must not join the reader of a pipe.
///
/// Errors: the file does not exist or cannot be opened, its name tells no format, or a bound is out of range; no
/// thread was started then. The message says what, where and how to mend it.
pub fn spawn(spec: FileSpec, intake: Arc<dyn Intake>) -> std::io::Result<JoinHandle<()>> {
    let format = spec.check().map_err(|text| std::io::Error::new(std::io::ErrorKind::InvalidInput, text))?;
    let opened = Opened::at(&spec.path, &spec.name())?;
    if format == Format::Parquet && !opened.is_regular() {
        let text =
            format!("{} is not a plain file; Parquet is read from its end, so save it as a file first", spec.name());
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidInput, text));
    }
    std::thread::Builder::new().name(format!("read {}", spec.path)).spawn(move || {
        let name = spec.name();
        let read = AssertUnwindSafe(|| read(&spec, format, opened, &*intake));
        let outcome = catch_unwind(read).unwrap_or_else(|panic| {
            let reason = panic.downcast_ref::<String>().map(String::as_str);
            let reason = reason.or_else(|| panic.downcast_ref::<&str>().copied()).unwrap_or("the reader panicked");
            Err(Stop::Failed(format!("{name} cannot be read: {reason}")))
        });
        match outcome {
            Ok(()) => intake.finish(Ok(())),
            Err(Stop::Failed(reason)) => intake.finish(Err(reason)),
            Err(Stop::Closed) => {}
        }
    })
}

/// Reads one file to its end.
fn read(spec: &FileSpec, format: Format, opened: Opened, intake: &dyn Intake) -> Result<(), Stop> {
    if let Some(resume) = &spec.resume {
        resume.check(&opened).map_err(Stop::Failed)?;
    }
    let opened = std::rc::Rc::new(opened);
    let mut filling = Filling::new(spec, intake);
    let outcome = if format == Format::Parquet {
        parquet::read(&opened, &mut filling)
    } else {
        Text::unpack(opened.clone()).map_err(Stop::Failed).and_then(|mut text| match format {
            Format::Jsonl => filling.drain(&mut text, &mut lines::Lines::from(1)),
            Format::Json => elements::read(&mut text, &mut filling),
            _ => {
                let delimiter = spec.delimiter.map(|mark| mark as u8);
                let delimiter = if format == Format::Tsv { delimiter.or(Some(b'\t')) } else { delimiter };
                filling.drain(&mut text, &mut rows::Rows::new(spec.name(), delimiter))
            }
        })
    };
    match (outcome, opened.changed(format != Format::Parquet)) {
        (Err(Stop::Closed), _) => Err(Stop::Closed),
        // A change explains whatever else was found wrong.
        (_, Some(change)) => Err(Stop::Failed(change)),
        (Ok(()), None) => match &spec.resume {
            Some(resume) => resume.check_end(opened.name(), filling.last).map_err(Stop::Failed),
            None => Ok(()),
        },
        (outcome, None) => outcome,
    }
}
