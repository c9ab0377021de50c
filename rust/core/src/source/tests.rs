//! Files in, batches out: each test writes a file and reads it through `spawn`.

use std::io::Write;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use tempfile::TempDir;

use super::{FileSpec, spawn};
use crate::batch::{Batch, Intake, Shape};

mod changes;
mod packed;
mod parquet;
mod resume;
mod rows;
mod texts;

/// An inbox that keeps everything.
#[derive(Default)]
struct Kept {
    batches: Mutex<Vec<Batch>>,
    finished: Mutex<Vec<Result<(), String>>>,
    /// Called after each batch, with their number so far; false closes the inbox.
    hook: Option<Box<dyn Fn(usize) -> bool + Send + Sync>>,
}

impl Intake for Kept {
    fn offer(&self, batch: Batch) -> bool {
        let count = {
            let mut batches = self.batches.lock().unwrap();
            batches.push(batch);
            batches.len()
        };
        self.hook.as_ref().is_none_or(|hook| hook(count))
    }

    fn finish(&self, outcome: Result<(), String>) {
        self.finished.lock().unwrap().push(outcome);
    }
}

/// What came out of a file.
#[derive(Debug)]
struct Read {
    batches: Vec<Batch>,
    /// Position, bytes, problem ("" if there is none).
    records: Vec<(u64, Vec<u8>, String)>,
    outcome: Option<Result<(), String>>,
}

impl Read {
    fn texts(&self) -> Vec<String> {
        assert!(self.records.iter().all(|record| record.2.is_empty()), "{:?}", self.records);
        self.records.iter().map(|record| String::from_utf8(record.1.clone()).unwrap()).collect()
    }

    fn positions(&self) -> Vec<u64> {
        self.records.iter().map(|record| record.0).collect()
    }

    fn problems(&self) -> Vec<(u64, &str)> {
        self.records.iter().filter(|record| !record.2.is_empty()).map(|record| (record.0, &*record.2)).collect()
    }

    #[track_caller]
    fn reason(&self) -> &str {
        self.outcome.as_ref().unwrap().as_ref().unwrap_err()
    }

    #[track_caller]
    fn is_whole(&self) -> bool {
        assert_eq!(self.outcome, Some(Ok(())));
        true
    }

    /// The fields of the rows, by name.
    fn rows(&self) -> Vec<Vec<String>> {
        let unpack = |mut bytes: &[u8]| {
            let mut fields = Vec::new();
            while let Some((length, rest)) = bytes.split_first_chunk::<4>() {
                let (field, rest) = rest.split_at(u32::from_le_bytes(*length) as usize);
                fields.push(String::from_utf8(field.to_vec()).unwrap());
                bytes = rest;
            }
            assert!(bytes.is_empty());
            fields
        };
        self.records.iter().filter(|record| record.2.is_empty()).map(|record| unpack(&record.1)).collect()
    }

    fn header(&self) -> Vec<String> {
        match &self.batches[0].shape {
            Shape::Row(names) => names.iter().map(|name| name.to_string()).collect(),
            Shape::Json => panic!("no rows"),
        }
    }
}

fn read_into(spec: FileSpec, kept: Kept) -> Read {
    let kept = Arc::new(kept);
    let thread = spawn(spec, kept.clone()).unwrap();
    thread.join().unwrap();
    let kept = Arc::into_inner(kept).unwrap();
    let batches = kept.batches.into_inner().unwrap();
    let mut finished = kept.finished.into_inner().unwrap();
    assert!(finished.len() <= 1, "finished more than once");
    let mut records = Vec::new();
    for batch in &batches {
        assert!(!batch.records.is_empty(), "an empty batch");
        for span in &batch.records {
            let bytes = batch.bytes[span.start as usize..span.end as usize].to_vec();
            records.push((span.position, bytes, span.problem.as_deref().unwrap_or("").to_owned()));
        }
    }
    Read { batches, records, outcome: finished.pop() }
}

fn read(spec: FileSpec) -> Read {
    read_into(spec, Kept::default())
}

/// A folder with one file in it.
struct File {
    folder: TempDir,
    path: PathBuf,
}

impl File {
    fn new(name: &str, bytes: impl AsRef<[u8]>) -> File {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join(name);
        std::fs::File::create(&path).unwrap().write_all(bytes.as_ref()).unwrap();
        File { folder, path }
    }

    fn spec(&self) -> FileSpec {
        FileSpec::new(self.path.to_str().unwrap())
    }

    fn read(&self) -> Read {
        read(self.spec())
    }
}
