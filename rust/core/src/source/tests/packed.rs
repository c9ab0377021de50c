//! .gz and .zst.

use flate2::Compression;
use flate2::write::GzEncoder;

use super::*;

fn gzip(text: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(text).unwrap();
    encoder.finish().unwrap()
}

fn zstd(text: &[u8]) -> Vec<u8> {
    zstd::stream::encode_all(text, 1).unwrap()
}

fn rows(count: usize) -> Vec<String> {
    (0..count)
        .map(|row| format!("{{\"row\":{row},\"hash\":{}}}", (row as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15)))
        .collect()
}

#[test]
fn packed_files_of_many_members_are_read_through() {
    let rows = rows(5000);
    let (first, second) = (rows[..2000].join("\n") + "\n", rows[2000..].join("\n"));
    for (name, pack) in
        [("x.jsonl.gz", gzip as fn(&[u8]) -> Vec<u8>), ("x.jsonl.zst", zstd), ("x.jsonl", gzip), ("x.jsonl", zstd)]
    {
        let found = File::new(name, [pack(first.as_bytes()), pack(b""), pack(second.as_bytes())].concat()).read();
        assert!(found.is_whole());
        assert_eq!(found.texts(), rows);
        let found = File::new(name, pack("\u{feff}1\n2".as_bytes())).read();
        assert_eq!(found.texts(), ["1", "2"]);
        assert!(File::new(name, pack(b"")).read().is_whole());
    }
    let found = File::new("x.csv.gz", gzip(b"a,b\n1,2\n")).read();
    assert_eq!(found.rows(), [["1", "2"]]);
    // Unpacked on its way, for example by a browser, under the old name.
    assert_eq!(File::new("x.jsonl.gz", "1\n2\n").read().texts(), ["1", "2"]);
}

#[test]
fn all_whole_records_before_a_cut_are_delivered() {
    let rows = rows(400);
    let text = rows.join("\n") + "\n";
    for (name, bytes) in [("x.jsonl.gz", gzip(text.as_bytes())), ("x.jsonl.zst", zstd(text.as_bytes()))] {
        for length in (0..40).chain((40..bytes.len()).step_by(97)) {
            let found = File::new(name, &bytes[..length]).read();
            assert!(found.reason().contains(" ends in the middle of its "), "{length}: {}", found.reason());
            let whole = found.records.iter().take_while(|record| record.2.is_empty()).count();
            assert!(found.records[..whole].iter().zip(&rows).all(|(record, row)| record.1 == row.as_bytes()));
            match &found.records[whole..] {
                [] => {}
                [(position, bytes, problem)] => {
                    assert_eq!((*position, &**problem), (whole as u64 + 1, "the file ends in the middle of this line"));
                    assert!(rows[whole].as_bytes().starts_with(bytes));
                }
                more => panic!("{more:?}"),
            }
        }
    }
    let gz = gzip(text.as_bytes());
    let found = File::new("x.jsonl.gz", &gz[..gz.len() - 9]).read();
    assert!(found.records.len() > 300, "{}", found.records.len());
    let csv = gzip(format!("a\n{}", text.replace([',', '"'], "")).as_bytes());
    let found = File::new("x.csv.gz", &csv[..csv.len() / 2]).read();
    assert_eq!(found.problems().len(), 1);
    assert_eq!(found.problems()[0].1, "the file ends in the middle of this row");
    assert!(found.reason().contains("gzip"));
}

#[test]
fn a_damaged_file_says_so() {
    let mut bytes = gzip(rows(400).join("\n").as_bytes());
    let last = bytes.len() - 6;
    bytes[last] ^= 1;
    let found = File::new("x.jsonl.gz", &bytes).read();
    assert!(found.reason().contains("is damaged"), "{}", found.reason());
    let found = File::new("x.jsonl.gz", gzip(&[0xff, 0xfe, b'1', 0])).read();
    assert!(found.reason().contains("is UTF-16"));
}
