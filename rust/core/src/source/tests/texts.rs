//! JSON Lines and JSON arrays.

use std::io::Write;
use std::sync::mpsc;

use super::*;

fn lines(bytes: impl AsRef<[u8]>) -> Read {
    File::new("x.jsonl", bytes).read()
}

#[test]
fn each_line_is_a_record_with_its_number() {
    let found = lines("{\"a\":1}\n{\"a\":2}\n");
    assert_eq!(found.texts(), ["{\"a\":1}", "{\"a\":2}"]);
    assert_eq!(found.positions(), [1, 2]);
    assert!(found.is_whole());
    assert_eq!(found.batches[0].shape, Shape::Json);
}

#[test]
fn bom_crlf_blank_lines_and_a_missing_last_line_end_are_fine() {
    let found = lines("\u{feff}1\r\n\r\n  \n2\r\n\n3");
    assert_eq!(found.texts(), ["1", "2", "3"]);
    assert_eq!(found.positions(), [1, 4, 6]);
    assert!(found.is_whole());
    for nothing in ["", "\u{feff}", "\n\n", " \r\n"] {
        let found = lines(nothing);
        assert!(found.records.is_empty() && found.is_whole());
    }
}

#[test]
fn lines_survive_any_size_of_batch() {
    let rows: Vec<String> =
        (0..3000).map(|row| format!("{{\"row\":{row},\"pad\":\"{}\"}}", "x".repeat(row % 97))).collect();
    let file = File::new("x.jsonl", rows.join("\r\n"));
    for (batch_records, batch_bytes) in
        [(1, 1 << 20), (7, 1 << 20), (8192, 1), (8192, 1000), (8192, 70_000), (8192, 1 << 20)]
    {
        let found = read(FileSpec { batch_records, batch_bytes, ..file.spec() });
        assert_eq!(found.texts(), rows);
        assert_eq!(found.positions(), (1..=3000).collect::<Vec<_>>());
        assert!(found.batches.iter().all(|batch| batch.records.len() <= batch_records));
        assert!(found.is_whole());
    }
}

#[test]
fn many_chunks_join_without_a_seam() {
    let rows: Vec<String> = (0..20_000).map(|row| format!("{row}{}", "7".repeat(row % 211))).collect();
    let found = lines(rows.join("\n"));
    assert!(found.texts() == rows);
    assert!(found.batches.len() > 1);
    assert!(found.batches.iter().all(|batch| batch.bytes.len() < (1 << 20) + (128 << 10)));
}

#[test]
fn a_line_over_the_limit_becomes_a_problem_and_keeps_its_beginning() {
    let long = "y".repeat(100_000_000);
    let found = lines(format!("1\n{long}\n2\n"));
    let problem = "line of 100000000 bytes is over the limit of 16777216";
    assert_eq!(found.problems(), [(2, problem)]);
    assert_eq!(found.records[1].1, &long.as_bytes()[..64_000]);
    assert_eq!(
        (&found.records[0].1[..], &found.records[2].1[..], found.positions()),
        (&b"1"[..], &b"2"[..], vec![1, 2, 3])
    );
    assert!(found.is_whole());
    assert!(found.batches.iter().all(|batch| batch.bytes.capacity() <= 3 << 20));
}

#[test]
fn the_limit_holds_for_short_lines_too_and_for_the_last() {
    let file = File::new("x.jsonl", "12345\n123456\r\n1234567\n\n123456789");
    let found = read(FileSpec { max_line: 6, ..file.spec() });
    let over = |length| format!("line of {length} bytes is over the limit of 6");
    assert_eq!(found.problems(), [(2, &*over(7)), (3, &*over(7)), (5, &*over(9))]);
    assert_eq!(found.records[0].1, b"12345");
}

#[test]
fn utf_16_is_named_with_the_way_out() {
    let wide = |mark: bool, little: bool| -> Vec<u8> {
        let text = if mark { "\u{feff}{\"a\":1}\n" } else { "{\"a\":1}\n" };
        text.encode_utf16().flat_map(|unit| if little { unit.to_le_bytes() } else { unit.to_be_bytes() }).collect()
    };
    for bytes in [wide(true, true), wide(true, false), wide(false, true), wide(false, false)] {
        let found = lines(bytes);
        assert!(found.reason().contains("is UTF-16; convert it with iconv -f utf-16 -t utf-8"), "{}", found.reason());
        assert!(found.records.is_empty());
    }
}

#[test]
fn a_missing_file_a_folder_and_an_unknown_name_are_found_before_a_thread_starts() {
    let refused = |path: &str| spawn(FileSpec::new(path), Arc::new(Kept::default())).unwrap_err().to_string();
    let folder = TempDir::new().unwrap();
    assert!(refused("no/such.jsonl").starts_with("no/such.jsonl does not exist in "));
    assert!(refused("/no/such.csv").contains("check the path"));
    std::fs::create_dir(folder.path().join("x.jsonl")).unwrap();
    assert!(refused(folder.path().join("x.jsonl").to_str().unwrap()).contains("is a folder"));
    assert!(refused("x.txt").contains("end it in .jsonl"));
    let spec = FileSpec { max_line: 0, ..FileSpec::new("x.jsonl") };
    assert!(spawn(spec, Arc::new(Kept::default())).unwrap_err().to_string().contains("max_line of x.jsonl is 0"));
}

#[test]
fn the_thread_ends_without_a_last_word_when_the_inbox_closes() {
    let file = File::new("x.jsonl", "1\n".repeat(100_000));
    let kept = Kept { hook: Some(Box::new(|count| count < 3)), ..Kept::default() };
    let found = read_into(FileSpec { batch_records: 10, ..file.spec() }, kept);
    assert_eq!((found.batches.len(), found.outcome), (3, None));
}

#[test]
fn records_of_a_pipe_arrive_before_it_is_full() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("pipe.jsonl");
    assert!(std::process::Command::new("mkfifo").arg(&path).status().unwrap().success());
    let (sender, arrived) = mpsc::channel();
    let sender = Mutex::new(sender);
    let hook = move |count| sender.lock().unwrap().send(count).is_ok();
    let kept = Arc::new(Kept { hook: Some(Box::new(hook)), ..Kept::default() });
    let thread = spawn(FileSpec::new(path.to_str().unwrap()), kept.clone()).unwrap();
    let mut writer = std::fs::OpenOptions::new().write(true).open(&path).unwrap();
    // Each line is waited for before the next is written, or half of it.
    writer.write_all(b"1\n").unwrap();
    assert_eq!(arrived.recv(), Ok(1));
    writer.write_all(b"22\n3").unwrap();
    assert_eq!(arrived.recv(), Ok(2));
    writer.write_all(b"3\n").unwrap();
    assert_eq!(arrived.recv(), Ok(3));
    drop(writer);
    thread.join().unwrap();
    let batches = kept.batches.lock().unwrap();
    let texts: Vec<&[u8]> = batches
        .iter()
        .map(|batch| &batch.bytes[batch.records[0].start as usize..batch.records[0].end as usize])
        .collect();
    assert_eq!(texts, [b"1".as_slice(), b"22", b"33"]);
    assert_eq!(*kept.finished.lock().unwrap(), [Ok(())]);
}

#[test]
fn the_elements_of_an_array_are_records() {
    let elements = [r#"{"a": [1, {"b": "]},["}]}"#, r#""\"],[\\""#, "3", "[4, 5]", "null", "{\n  \"six\": 6\n}"];
    let array = format!(" \n[ {} \n]\n", elements.join(" ,\n "));
    let found = File::new("x.json", &array).read();
    assert_eq!(found.texts(), elements);
    assert_eq!(found.positions(), [1, 2, 3, 4, 5, 6]);
    assert!(found.is_whole());
    let small = read(FileSpec { batch_records: 1, ..File::new("x.json", &array).spec() });
    assert_eq!(small.texts(), elements);
    for empty in ["[]", " [ \n ] "] {
        let found = File::new("x.json", empty).read();
        assert!(found.records.is_empty() && found.is_whole());
    }
}

#[test]
fn a_long_array_is_read_in_pieces() {
    let elements: Vec<String> =
        (0..30_000).map(|row| format!("{{\"row\":{row},\"text\":\"{}\\\"\"}}", ",".repeat(row % 89))).collect();
    let found = File::new("x.json", format!("[{}]", elements.join(","))).read();
    assert!(found.texts() == elements && found.is_whole());
    assert!(found.batches.len() > 1);
}

#[test]
fn nothing_of_a_broken_array_disappears() {
    let found = File::new("x.json", "[1,,2,]").read();
    assert_eq!(found.problems(), [(2, "there is a comma but no element"), (4, "there is a comma but no element")]);
    assert!(found.is_whole());
    let found = File::new("x.json", "[1,{\"a\":").read();
    assert_eq!(found.problems(), [(2, "the file ends in the middle of this element")]);
    assert_eq!(found.records[1].1, b"{\"a\":");
    assert!(found.reason().contains("ends in the middle of its array"));
    let found = File::new("x.json", "[1] [2]").read();
    assert_eq!(found.positions(), [1]);
    assert!(found.reason().contains("goes on after the end of its array"));
    let file = File::new("x.json", format!("[1,\"{}\",2]", "z".repeat(200_000)));
    let found = read(FileSpec { max_line: 100_000, ..file.spec() });
    assert_eq!(found.problems(), [(2, "element of 200002 bytes is over the limit of 100000")]);
    assert_eq!((found.records[1].1.len(), &found.records[2].1[..]), (64_000, &b"2"[..]));
}

#[test]
fn a_json_file_without_an_array_has_a_record_a_line() {
    let found = File::new("x.json", "\n{\"a\":1}\n{\"a\":2}").read();
    assert_eq!((found.texts(), found.positions()), (vec!["{\"a\":1}".to_owned(), "{\"a\":2}".to_owned()], vec![2, 3]));
    assert!(File::new("x.json", "{\n  \"a\": 1\n}\n").read().reason().contains("holds an object over many lines"));
    assert!(File::new("x.json", "").read().is_whole());
}
