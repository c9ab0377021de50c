//! Files that change while they are read. The inbox's hook changes them after the first batch.

use std::fs::OpenOptions;
use std::path::Path;
use std::time::{Duration, SystemTime};

use super::*;

type Change = fn(&Path);

const ROWS: usize = 100_000;

/// Reads a file of 100,000 lines (2.2 MB) that was last written an hour ago.
fn read_while(change: impl Fn(&Path) + Send + Sync + 'static) -> Read {
    let text: String = (0..ROWS).map(|row| format!("{{\"row\":{row:0>13}}}\n")).collect();
    let file = File::new("x.jsonl", text);
    let past = SystemTime::now() - Duration::from_secs(3600);
    OpenOptions::new().write(true).open(&file.path).unwrap().set_modified(past).unwrap();
    let path = file.path.clone();
    let hook = move |count| {
        if count == 1 {
            change(&path);
        }
        true
    };
    let found = read_into(file.spec(), Kept { hook: Some(Box::new(hook)), ..Kept::default() });
    drop(file.folder);
    found
}

fn open(path: &Path) -> std::fs::File {
    OpenOptions::new().read(true).write(true).open(path).unwrap()
}

#[test]
fn a_file_that_is_left_alone_is_whole() {
    let found = read_while(|_| {});
    assert!(found.is_whole() && found.records.len() == ROWS);
}

#[test]
fn a_file_that_is_replaced_is_read_as_it_was() {
    let found = read_while(|path| {
        let new = path.with_extension("new");
        std::fs::write(&new, "{}\n").unwrap();
        std::fs::rename(new, path).unwrap();
    });
    assert!(found.is_whole() && found.records.len() == ROWS);
    let found = read_while(|path| std::fs::remove_file(path).unwrap());
    assert!(found.is_whole() && found.records.len() == ROWS);
}

#[test]
fn a_file_that_grows_is_read_to_its_end() {
    let found = read_while(|path| OpenOptions::new().append(true).open(path).unwrap().write_all(b"1\n2\n").unwrap());
    assert!(found.is_whole());
    assert_eq!(found.records.len(), ROWS + 2);
}

#[test]
fn a_file_that_is_cut_or_rewritten_in_place_is_refused() {
    let cases: [(&str, Change); 5] = [
        ("shrank from 2200000 to 0 bytes", |path| open(path).set_len(0).unwrap()),
        ("shrank from 2200000 to 2100000 bytes", |path| open(path).set_len(2_100_000).unwrap()),
        ("was written to in place", |path| open(path).write_all(b"{\"row\":1").unwrap()),
        ("was rewritten in place", |path| std::fs::write(path, "{\"new\":0000000000000}\n".repeat(110_000)).unwrap()),
        ("shrank from 2200000 to 22 bytes", |path| std::fs::write(path, "{\"new\":0000000000000}\n").unwrap()),
    ];
    for (what, change) in cases {
        let found = read_while(change);
        assert!(found.reason().contains("x.jsonl changed while it was read: it "), "{}", found.reason());
        assert!(found.reason().contains(what), "{}", found.reason());
    }
}

/// A file that is cut when half of it has been read: what stands before the cut looks like a whole record.
#[test]
fn the_record_before_a_cut_is_not_taken_for_a_whole_one() {
    for (name, head, line, problem) in [
        ("x.csv", "id,x\n", "7,12345\n", "the file ends in the middle of this row"),
        ("x.jsonl", "", "{\"x\":12345}\n", "the file ends in the middle of this line"),
    ] {
        let file = File::new(name, format!("{head}{}", line.repeat(200_000)));
        let path = file.path.clone();
        // the cut leaves a record without its line end, beyond all that was read ahead by then
        let (lines, length) = (100_000, head.len() + 100_000 * line.len());
        let hook = move |count| {
            if count == 1 {
                open(&path).set_len(length as u64 - 1).unwrap();
            }
            true
        };
        let found = read_into(file.spec(), Kept { hook: Some(Box::new(hook)), ..Kept::default() });
        assert!(found.reason().contains("it shrank from"), "{}", found.reason());
        assert_eq!(found.records.len(), lines);
        let last = found.records.last().unwrap();
        assert_eq!(last.2, problem);
        assert!(found.records[..lines - 1].iter().all(|record| record.2.is_empty()));
    }
}
