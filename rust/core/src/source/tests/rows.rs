//! CSV and TSV.

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample;

use super::{Arc, File, FileSpec, Kept, Read, read, spawn};

fn csv(bytes: impl AsRef<[u8]>) -> Read {
    File::new("x.csv", bytes).read()
}

#[test]
fn a_row_is_a_record_under_the_headers_names() {
    let found = csv("id, speed ,note\r\n7,31.5,\r\n8,,\"a, \"\"b\"\"\"\r\n");
    assert_eq!(found.header(), ["id", "speed", "note"]);
    assert_eq!(found.rows(), [["7", "31.5", ""], ["8", "", "a, \"b\""]]);
    assert_eq!(found.positions(), [2, 3]);
    assert!(found.is_whole());
}

#[test]
fn quoted_line_breaks_and_blank_lines_keep_the_line_numbers_right() {
    for end in ["\n", "\r\n", "\r"] {
        let text = "\u{feff}a,b\n\n1,\"x\ny\"\n\n\n2,z\n3,\"\n\"".replace('\n', end);
        let found = csv(&text);
        assert_eq!(found.positions(), [3, 7, 8], "{end:?}");
        assert_eq!(found.rows()[0][1], format!("x{end}y"));
        assert_eq!(found.rows()[2][1], end);
        let small = read(FileSpec { batch_records: 1, ..File::new("x.csv", &text).spec() });
        assert_eq!((small.records, small.batches.len()), (found.records, 3));
    }
}

#[test]
fn rows_survive_any_size_of_batch_and_of_chunk() {
    let mut text = String::from("a,b,c\n");
    for row in 0..9000 {
        text += &format!("{row},\"{}\n\",{}\n", "\"\"".repeat(row % 50), "é".repeat(row % 31));
    }
    let file = File::new("x.csv", &text);
    let whole = file.read();
    assert_eq!(whole.records.len(), 9000);
    for (row, fields) in whole.rows().iter().enumerate() {
        assert_eq!(fields, &[row.to_string(), "\"".repeat(row % 50) + "\n", "é".repeat(row % 31)]);
    }
    assert_eq!(whole.positions(), (0..9000).map(|row| 2 + 2 * row).collect::<Vec<u64>>());
    for batch_bytes in [1, 777, 100_000] {
        assert!(read(FileSpec { batch_bytes, ..file.spec() }).records == whole.records);
    }
}

/// What csv-core makes of a whole text at once; a row that is not UTF-8 or has another length is one with a problem.
fn parsed(text: &[u8]) -> Vec<Option<Vec<String>>> {
    let mut reader = csv_core::Reader::new();
    let (mut rest, mut rows) = (text, Vec::new());
    let (mut fields, mut ends) = (vec![0; text.len() + 1], vec![0; text.len() + 2]);
    let (mut used, mut count) = (0, 0);
    loop {
        let (found, read, wrote, ended) = reader.read_record(rest, &mut fields[used..], &mut ends[count..]);
        (rest, used, count) = (&rest[read..], used + wrote, count + ended);
        match found {
            csv_core::ReadRecordResult::Record => {
                let starts = std::iter::once(0).chain(ends[..count].iter().copied());
                let parts = starts.zip(&ends[..count]).map(|(start, end)| fields[start..*end].to_vec());
                let row: Result<Vec<String>, _> = parts.map(String::from_utf8).collect();
                rows.push(row.ok().filter(|_| count == 3));
                (used, count) = (0, 0);
            }
            csv_core::ReadRecordResult::End => return rows,
            csv_core::ReadRecordResult::InputEmpty => assert!(rest.is_empty()),
            full => panic!("{full:?}"),
        }
    }
}

const PIECES: &[&[u8]] = &[b"a", b",", b",", b"\"", b"\"\"", b"\n", b"\r\n", b"\r", b" ", b"\xc3\xa9", b"\xff", b"7"];

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn rows_are_what_csv_core_makes_of_them(
        pieces in vec(sample::select(PIECES), 0..60),
        batch_records in 1..5_usize,
    ) {
        // A last line end: an open quote at the very end is our own affair.
        let text = [b"x,y,z\n", &pieces.concat()[..], b"\n"].concat();
        let found = read(FileSpec { batch_records, ..File::new("x.csv", &text).spec() });
        let expected = parsed(&text[6..]);
        prop_assert_eq!(found.records.len(), expected.len());
        prop_assert!(found.positions().is_sorted_by(|a, b| a < b));
        let problems = found.records.iter().zip(&expected).map(|(record, row)| !record.2.is_empty() && row.is_some());
        // The last may have an open quote.
        prop_assert!(problems.rev().skip(1).all(|wrong| !wrong));
        let rows = found.rows();
        let good: Vec<Vec<String>> = expected.into_iter().flatten().collect();
        prop_assert!(rows == good || rows == good[..good.len() - 1]);
    }
}

#[test]
fn a_row_that_is_no_record_becomes_a_problem_with_its_text() {
    let found = csv(b"a,b\n1,2\n1,2,3\n4\n\xff,1\n\"\xc3\",\xa9\n5,6\n");
    let utf8 = "the row is not UTF-8; convert the file with iconv";
    let expected =
        [(3, "row has 3 fields, the header has 2"), (4, "row has 1 field, the header has 2"), (5, utf8), (6, utf8)];
    assert_eq!(found.problems(), expected);
    assert_eq!(found.records[1].1, b"1,2,3");
    assert_eq!(found.records[3].1, b"\xff,1");
    assert_eq!(found.rows(), [["1", "2"], ["5", "6"]]);
    assert!(found.is_whole());
    let found = csv(format!("a,b\n{}\n1,2", ",".repeat(1000)));
    assert_eq!(found.problems(), [(2, "row has 1001 fields, the header has 2")]);
}

#[test]
fn an_open_quote_is_a_problem() {
    let found = csv("a,b\n1,2\n3,\"and\nmore\n");
    assert_eq!(found.problems(), [(3, "a quote is opened in this row and never closed")]);
    assert_eq!(csv("a,b\n3,\"cut").problems().len(), 1);
    assert_eq!(csv("a,b\n3,5\" pipe").rows(), [["3", "5\" pipe"]]);
}

#[test]
fn a_row_over_the_limit_becomes_a_problem() {
    let text = format!("a,b\n1,\"{}\n{}\"\n2,3\n", "x".repeat(300_000), ",".repeat(300_000));
    let file = File::new("x.csv", &text);
    let found = read(FileSpec { max_line: 100_000, ..file.spec() });
    assert_eq!(found.problems(), [(2, "row of 600006 bytes is over the limit of 100000")]);
    assert_eq!(found.records[0].1, &text.as_bytes()[4..64_004]);
    assert_eq!((found.rows(), found.positions()), (vec![vec!["2".to_owned(), "3".to_owned()]], vec![2, 4]));
}

#[test]
fn a_header_without_a_name_or_with_one_twice_is_refused() {
    let found = csv("id,,x\n1,2,3\n");
    assert!(
        found.reason().ends_with("x.csv, line 1: column 2 of the header has no name; give it one in the first row")
    );
    let found = csv("\nid,x, id\n1,2,3\n");
    assert!(found.reason().contains("line 2: columns 1 and 3 are both named \"id\"; rename one of them"));
    assert!(found.records.is_empty());
    for nothing in ["", "\n\n", "a,b", "a,b\n"] {
        let found = csv(nothing);
        assert!(found.records.is_empty() && found.is_whole());
    }
}

#[test]
fn wide_headers_are_fine() {
    let names: Vec<String> = (0..300).map(|column| format!("c{column}")).collect();
    let found = csv(format!("{0}\n{0}\n", names.join(",")));
    assert_eq!((found.header(), &found.rows()[0]), (names.clone(), &names));
}

#[test]
fn the_delimiter_is_named_or_seen_in_the_header() {
    assert_eq!(File::new("x.tsv", "a\tb,c\n1\t2,3\n").read().rows(), [["1", "2,3"]]);
    assert_eq!(csv("a;\"b,c\"\n1;2,5\n").rows(), [["1", "2,5"]]);
    assert_eq!(csv("a\tb\n1\t2\n").rows(), [["1", "2"]]);
    assert_eq!(csv("a,b;c\n1,2;3\n").rows(), [["1", "2;3"]]);
    assert_eq!(csv("a\n1;2\n").rows(), [["1;2"]]);
    let file = File::new("x.csv", "a|b\n1|2\n");
    assert_eq!(read(FileSpec { delimiter: Some('|'), ..file.spec() }).rows(), [["1", "2"]]);
    let spec = FileSpec { delimiter: Some('"'), ..file.spec() };
    assert!(spawn(spec, Arc::new(Kept::default())).unwrap_err().to_string().contains("one ASCII character"));
    assert!(csv("a,b\n".encode_utf16().flat_map(u16::to_le_bytes).collect::<Vec<u8>>()).reason().contains("UTF-16"));
}
