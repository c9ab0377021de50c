//! Files of which a part has been applied: what is read then is the rest of a whole reading.

use std::io::Write;
use std::sync::Arc as Shared;

use ::parquet::arrow::ArrowWriter;
use ::parquet::file::properties::WriterProperties;
use arrow_array::{ArrayRef, Float64Array, Int64Array, RecordBatch};
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::*;
use crate::source::{Head, Resume, head};

impl File {
    /// Reads it as one of which all records up to `through` have been applied but those that are `waiting`.
    fn after(&self, through: u64, waiting: &[u64]) -> FileSpec {
        let head = head(self.path.to_str().unwrap()).unwrap().unwrap();
        FileSpec { resume: Some(Resume { through, waiting: waiting.to_vec(), head }), ..self.spec() }
    }
}

/// Reads a file from after each of its records, and with a few before it that wait.
#[track_caller]
fn resumes_anywhere(file: &File, bounds: impl Fn(FileSpec) -> FileSpec) {
    let whole = read(bounds(file.spec()));
    assert!(whole.is_whole() && whole.records.len() > 4);
    let positions = whole.positions();
    for (index, &through) in positions.iter().enumerate() {
        for step in [usize::MAX, 7, 2, 1] {
            let waiting: Vec<u64> = positions[..=index].iter().copied().skip(step / 2).step_by(step).collect();
            let rest = whole.records.iter().filter(|record| record.0 > through || waiting.contains(&record.0));
            let found = read(bounds(file.after(through, &waiting)));
            assert_eq!(found.outcome, Some(Ok(())), "after {through}");
            assert!(found.records.iter().eq(rest), "after {through}, waiting {waiting:?}");
        }
    }
}

fn all_bounds(file: &File) {
    resumes_anywhere(file, |spec| spec);
    resumes_anywhere(file, |spec| FileSpec { batch_records: 1, ..spec });
    resumes_anywhere(file, |spec| FileSpec { batch_bytes: 10, batch_records: 3, ..spec });
}

fn parquet(rows: i64, group: usize) -> Vec<u8> {
    let numbers: ArrayRef = Shared::new(Int64Array::from((0..rows).collect::<Vec<i64>>()));
    let floats: ArrayRef = Shared::new(Float64Array::from((0..rows).map(|row| row as f64).collect::<Vec<f64>>()));
    let rows = RecordBatch::try_from_iter([("n", numbers), ("x", floats)]).unwrap();
    let properties = WriterProperties::builder().set_max_row_group_row_count(Some(group)).build();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

#[test]
fn lines_are_read_on_after_any_of_them() {
    let text = "\u{feff}{\"a\":1}\n\n{\"a\":2}\r\n  \r\n3\n\"a line over its limit of 20\"\n\n4\n5\n\n6";
    for (name, text) in [("x.jsonl", text.to_owned()), ("x.json", format!("{}\n", &text[3..]))] {
        let file = File::new(name, text);
        all_bounds(&file);
        resumes_anywhere(&file, |spec| FileSpec { max_line: 20, ..spec });
    }
}

#[test]
fn elements_are_read_on_after_any_of_them() {
    let text = "\n[ {\"a\":[1,\"]\\\"\"]}, 2 ,, \"an element over its limit\",3\n, [4],\"5\" ]\n";
    let file = File::new("x.json", text);
    all_bounds(&file);
    resumes_anywhere(&file, |spec| FileSpec { max_line: 22, ..spec });
}

#[test]
fn rows_are_read_on_after_any_of_them() {
    let text = "id,text\n1,a\n\n2,\"b\nb\"\r\n3\n4,\"d\"\"\n\n\"\n5,\"é\",6\n6,f\n7,\n";
    all_bounds(&File::new("x.csv", text));
    all_bounds(&File::new("x.tsv", text.replace(',', "\t")));
}

#[test]
fn row_groups_are_read_on_after_any_row() {
    all_bounds(&File::new("x.parquet", parquet(13, 5)));
    let file = File::new("x.parquet", parquet(30_000, 7_000));
    for (through, waiting) in [(20_999, vec![3]), (21_000, vec![7_000, 7_001]), (21_001, vec![]), (30_000, vec![])] {
        let found = read(file.after(through, &waiting));
        let rest = waiting.into_iter().chain(through + 1..=30_000);
        assert!(found.is_whole() && found.positions().into_iter().eq(rest));
        assert!(
            found
                .records
                .iter()
                .all(|(position, text, _)| { text.starts_with(format!("{{\"n\":{},", position - 1).as_bytes()) })
        );
    }
}

#[test]
fn row_groups_that_are_passed_over_are_not_decoded() {
    let mut bytes = parquet(20, 10);
    // the first group's pages come first
    bytes[8..60].fill(0xff);
    let file = File::new("x.parquet", bytes);
    assert!(file.read().reason().contains("cannot be read"));
    let found = read(file.after(10, &[]));
    assert!(found.is_whole() && found.positions() == (11..=20).collect::<Vec<u64>>());
}

#[test]
fn packed_lines_are_read_on() {
    let text: String = (0..40).map(|row| format!("{row}\n")).collect();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text.as_bytes()).unwrap();
    resumes_anywhere(&File::new("x.jsonl.gz", encoder.finish().unwrap()), |spec| spec);
    resumes_anywhere(&File::new("x.jsonl.zst", zstd::stream::encode_all(text.as_bytes(), 1).unwrap()), |spec| spec);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    /// Lines of all lengths, over several of the reader's chunks.
    #[test]
    fn many_chunks_are_read_on_without_a_seam(
        lengths in prop::collection::vec(prop_oneof![0_usize..40, Just(0), 10_000_usize..70_000], 5..60),
        (through, waiting) in (1_u64..60, prop::collection::btree_set(1_u64..60, 0..5)),
        ended: bool,
    ) {
        let text: String = lengths.iter().map(|length| "7".repeat(*length) + "\n").collect();
        let text = if ended { text.as_str() } else { text.trim_end_matches('\n') };
        let file = File::new("x.jsonl", text);
        let whole = file.read();
        let last = whole.positions().last().copied().unwrap_or(0);
        let through = through.min(last);
        let waiting: Vec<u64> = waiting.into_iter().filter(|position| *position <= through).collect();
        let found = read(file.after(through, &waiting));
        prop_assert_eq!(&found.outcome, &Some(Ok(())));
        let rest = whole.records.iter().filter(|record| record.0 > through || waiting.contains(&record.0));
        prop_assert!(found.records.iter().eq(rest));
    }
}

#[test]
fn a_file_that_has_grown_is_read_on() {
    for rows in [3_usize, 5000] {
        let text: String = (0..rows).map(|row| format!("{row}\n")).collect();
        let file = File::new("x.jsonl", &text);
        let spec = file.after(rows as u64, &[2]);
        std::fs::OpenOptions::new().append(true).open(&file.path).unwrap().write_all(b"a\nb\n").unwrap();
        let found = read(spec);
        assert!(found.is_whole());
        assert_eq!(found.texts(), ["1", "a", "b"]);
        assert_eq!(found.positions(), [2, rows as u64 + 1, rows as u64 + 2]);
    }
}

#[test]
fn another_file_of_the_same_name_is_refused_before_anything_is_read() {
    let (long, other) = ("{\"a\":1}\n".repeat(1000), "{\"a\":2}\n".repeat(1000));
    for (old, new, why) in [
        ("1\n2\n3\n", "1\n3\n2\n4\n", "it begins with other bytes"),
        ("1\n2\n3\n", "1\n2\n", "it has 4 bytes, and had 6 or more"),
        (&*long, &*other, "it begins with other bytes"),
        (&*long, "", "it has 0 bytes, and had 4096 or more"),
    ] {
        let file = File::new("x.jsonl", old);
        let spec = file.after(2, &[1]);
        std::fs::write(&file.path, new).unwrap();
        let found = read(spec);
        assert!(found.records.is_empty());
        let name = file.path.display();
        assert_eq!(
            found.reason(),
            format!(
                "{name} is not the file whose records up to position 2 have been applied: {why}. Give the new file \
                 another name, put the old one back, or start without the store"
            )
        );
    }
}

#[test]
fn a_file_that_ends_before_what_was_applied_is_refused() {
    let lines = "{\"a\":1}\n".repeat(1000);
    let cells = format!("a,b\n{}", "1,2\n".repeat(2000));
    let array = format!("[{}1]", "1,".repeat(4000));
    for (name, text, last) in [
        ("x.jsonl", &*lines, 1000),
        ("x.jsonl", &lines[..lines.len() - 1], 1000),
        ("x.json", &*lines, 1000),
        ("x.csv", &*cells, 2001),
        ("x.json", &*array, 4001),
    ] {
        let file = File::new(name, text);
        assert!(read(file.after(last, &[])).is_whole());
        for waiting in [vec![], vec![1], vec![last], vec![last + 1]] {
            let found = read(file.after(last + 1, &waiting));
            assert!(found.reason().contains(&format!(": it ends at position {last}. Give")), "{}", found.reason());
        }
    }
    let file = File::new("x.parquet", parquet(30, 10));
    assert!(read(file.after(30, &[])).is_whole());
    assert!(read(file.after(31, &[])).reason().contains("it ends at position 30."));
}

#[test]
fn what_cannot_be_read_again_has_no_head() {
    assert_eq!(head("-").unwrap(), None);
    assert_eq!(head("/dev/null").unwrap(), None);
    let folder = TempDir::new().unwrap();
    let pipe = folder.path().join("pipe.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    assert_eq!(head(pipe.to_str().unwrap()).unwrap(), None);
    assert!(head(folder.path().join("none").to_str().unwrap()).is_err());
    let resume = Resume { through: 3, waiting: vec![], head: Head { bytes: 0, hash: 0 } };
    let found = read(FileSpec { resume: Some(resume), ..FileSpec::new(pipe.to_str().unwrap()) });
    assert!(found.reason().contains("it is a pipe, which cannot be read again"), "{}", found.reason());
}
