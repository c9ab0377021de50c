//! Parquet files, written with the crate's own writer.

use std::sync::Arc as Shared;

use ::parquet::arrow::ArrowWriter;
use ::parquet::basic::{Compression, ZstdLevel};
use ::parquet::file::properties::WriterProperties;
use arrow_array::builder::*;
use arrow_array::types::*;
use arrow_array::*;
use arrow_buffer::{NullBuffer, OffsetBuffer};
use arrow_schema::{DataType, Field, Fields, Schema};

use super::*;

fn written(columns: Vec<(&str, ArrayRef)>, properties: WriterProperties) -> Vec<u8> {
    let rows =
        RecordBatch::try_from_iter_with_nullable(columns.into_iter().map(|(name, array)| (name, array, true))).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), Some(properties)).unwrap();
    writer.write(&rows).unwrap();
    writer.into_inner().unwrap()
}

fn parquet(columns: Vec<(&str, ArrayRef)>) -> Read {
    File::new("x.parquet", written(columns, WriterProperties::default())).read()
}

fn column(array: impl Array + 'static) -> Vec<String> {
    let found = parquet(vec![("x", Shared::new(array))]);
    assert!(found.is_whole());
    found.texts().iter().map(|text| text[5..text.len() - 1].to_owned()).collect()
}

#[test]
fn a_row_is_a_json_object() {
    let names = StringArray::from(vec![Some("a\"b\n"), None]);
    let counts = Int64Array::from(vec![i64::MAX, -1]);
    let found = parquet(vec![("na\"me", Shared::new(names)), ("count", Shared::new(counts))]);
    let expected = [r#"{"na\"me":"a\"b\n","count":9223372036854775807}"#, r#"{"na\"me":null,"count":-1}"#];
    assert_eq!(found.texts(), expected);
    assert_eq!(found.positions(), [1, 2]);
    assert_eq!(found.batches[0].shape, Shape::Json);
}

#[test]
fn scalars_keep_their_values() {
    assert_eq!(column(BooleanArray::from(vec![true, false])), ["true", "false"]);
    assert_eq!(column(UInt64Array::from(vec![u64::MAX])), ["18446744073709551615"]);
    assert_eq!(column(UInt8Array::from(vec![255])), ["255"]);
    assert_eq!(column(Int16Array::from(vec![-3])), ["-3"]);
    assert_eq!(column(Float64Array::from(vec![0.1, 2.0, 1e300])), ["0.1", "2.0", "1e+300"]);
    assert_eq!(column(Float32Array::from(vec![0.5, 0.1])), ["0.5", "0.10000000149011612"]);
    assert_eq!(column(BinaryArray::from(vec![&b"\x00\xff!"[..]])), ["\"AP8h\""]);
    assert_eq!(column(Date32Array::from(vec![18907, -1])), ["\"2021-10-07\"", "\"1969-12-31\""]);
    assert_eq!(column(Time64MicrosecondArray::from(vec![45_000_500_000])), ["\"12:30:00.5\""]);
    assert_eq!(column(Time32MillisecondArray::from(vec![0])), ["\"00:00:00\""]);
}

#[test]
fn decimals_are_numbers_with_all_their_digits() {
    let small = Decimal128Array::from(vec![Some(-12345), Some(5), None]).with_precision_and_scale(9, 3).unwrap();
    assert_eq!(column(small), ["-12.345", "0.005", "null"]);
    let digits = 12345678901234567890123456789012345678_i128;
    let large = Decimal128Array::from(vec![digits]).with_precision_and_scale(38, 10).unwrap();
    assert_eq!(column(large), ["1234567890123456789012345678.9012345678"]);
    let whole = Decimal128Array::from(vec![700]).with_precision_and_scale(18, 0).unwrap();
    assert_eq!(column(whole), ["700"]);
}

#[test]
fn timestamps_are_rfc_3339_with_a_zone_only_where_there_is_one() {
    let at = 1_633_608_000_123_456;
    assert_eq!(column(TimestampMicrosecondArray::from(vec![at])), ["\"2021-10-07T12:00:00.123456\""]);
    assert_eq!(
        column(TimestampMicrosecondArray::from(vec![at]).with_timezone("UTC")),
        ["\"2021-10-07T12:00:00.123456Z\""]
    );
    let paris = TimestampMillisecondArray::from(vec![1_633_608_000_000]).with_timezone("Europe/Paris");
    assert_eq!(column(paris), ["\"2021-10-07T12:00:00Z\""]);
    let fine = TimestampNanosecondArray::from(vec![-1, 1_633_608_000_000_000_001]);
    assert_eq!(column(fine), ["\"1969-12-31T23:59:59.999999999\"", "\"2021-10-07T12:00:00.000000001\""]);
}

#[test]
fn what_json_cannot_hold_does_not_vanish() {
    assert_eq!(
        column(Float64Array::from(vec![f64::NAN, f64::INFINITY, f64::NEG_INFINITY])),
        ["NaN", "Infinity", "-Infinity"]
    );
    let late = TimestampMicrosecondArray::from(vec![i64::MAX, 0]);
    let found = parquet(vec![("t", Shared::new(late)), ("n", Shared::new(Int32Array::from(vec![1, 2])))]);
    assert_eq!(found.problems(), [(1, "time 9223372036854775807000 ns since 1970 is out of range")]);
    assert_eq!(found.records[0].1, br#"{"t":9223372036854775807,"n":1}"#);
    assert_eq!(found.records[1].1, br#"{"t":"1970-01-01T00:00:00","n":2}"#);
}

#[test]
fn nested_columns_become_objects_and_arrays() {
    let mut lists = ListBuilder::new(Int32Builder::new());
    lists.append_value([Some(1), None]);
    lists.append_value([]);
    lists.append_null();
    let lists = lists.finish();
    let mut maps = MapBuilder::new(None, Int32Builder::new(), StringBuilder::new());
    maps.keys().append_value(7);
    maps.values().append_value("seven");
    maps.append(true).unwrap();
    maps.append(true).unwrap();
    maps.append(false).unwrap();
    let fields = Fields::from(vec![
        Field::new("list", lists.data_type().clone(), true),
        Field::new("name", DataType::Utf8, true),
    ]);
    let names: ArrayRef = Shared::new(StringArray::from(vec![Some("a"), None, Some("c")]));
    let valid = NullBuffer::from(vec![true, true, false]);
    let structs = StructArray::new(fields, vec![Shared::new(lists), names], Some(valid));
    let found = parquet(vec![("s", Shared::new(structs)), ("m", Shared::new(maps.finish()))]);
    let expected = [
        r#"{"s":{"list":[1,null],"name":"a"},"m":{"7":"seven"}}"#,
        r#"{"s":{"list":[],"name":null},"m":{}}"#,
        r#"{"s":null,"m":null}"#,
    ];
    assert_eq!(found.texts(), expected);
    let points = StructArray::from(vec![(
        Shared::new(Field::new("lat", DataType::Float64, false)),
        Shared::new(Float64Array::from(vec![1.5, 2.5])) as ArrayRef,
    )]);
    let item = Shared::new(Field::new_list_field(points.data_type().clone(), false));
    let tracks = ListArray::new(item, OffsetBuffer::new(vec![0, 2].into()), Shared::new(points), None);
    assert_eq!(column(tracks), [r#"[{"lat":1.5},{"lat":2.5}]"#]);
}

#[test]
fn other_layouts_of_text_come_out_as_text() {
    let words: DictionaryArray<Int32Type> = vec!["a", "b", "a"].into_iter().collect();
    assert_eq!(column(words), ["\"a\"", "\"b\"", "\"a\""]);
    assert_eq!(column(LargeStringArray::from(vec!["long"])), ["\"long\""]);
    assert_eq!(column(StringViewArray::from(vec!["view"])), ["\"view\""]);
    let id = FixedSizeBinaryArray::try_from_iter([[0x12_u8; 16]].iter()).unwrap();
    assert_eq!(column(id.clone()), ["\"EhISEhISEhISEhISEhISEg==\""]);
    let field = Field::new("x", DataType::FixedSizeBinary(16), true)
        .with_metadata([("ARROW:extension:name".to_owned(), "arrow.uuid".to_owned())]);
    let rows = RecordBatch::try_new(Shared::new(Schema::new(vec![field])), vec![Shared::new(id)]).unwrap();
    let mut writer = ArrowWriter::try_new(Vec::new(), rows.schema(), None).unwrap();
    writer.write(&rows).unwrap();
    let found = File::new("x.parquet", writer.into_inner().unwrap()).read();
    assert_eq!(found.texts(), [r#"{"x":"12121212-1212-1212-1212-121212121212"}"#]);
}

#[test]
fn many_row_groups_of_every_codec_are_read_in_order() {
    let numbers: Vec<i64> = (0..30_000).collect();
    let codecs = [
        Compression::UNCOMPRESSED,
        Compression::SNAPPY,
        Compression::GZIP(Default::default()),
        Compression::LZ4_RAW,
        Compression::ZSTD(ZstdLevel::default()),
    ];
    for codec in codecs {
        let properties =
            WriterProperties::builder().set_compression(codec).set_max_row_group_row_count(Some(7000)).build();
        let bytes = written(vec![("n", Shared::new(Int64Array::from(numbers.clone())))], properties);
        let found = File::new("x.parquet", bytes).read();
        assert!(found.is_whole());
        assert!(found.texts().iter().zip(&numbers).all(|(text, number)| *text == format!("{{\"n\":{number}}}")));
        assert_eq!(found.positions(), (1..=30_000).collect::<Vec<u64>>());
        assert!(found.batches.len() >= 4 && found.batches.iter().all(|batch| batch.records.len() <= 8192));
    }
}

#[test]
fn a_file_that_is_rewritten_while_it_is_read_is_refused() {
    let numbers = |count| Shared::new(Int64Array::from((0..count).collect::<Vec<i64>>()));
    let file = File::new("x.parquet", written(vec![("n", numbers(9000))], WriterProperties::default()));
    let longer = written(vec![("n", numbers(19_000))], WriterProperties::default());
    let path = file.path.clone();
    std::fs::File::options().write(true).open(&path).unwrap().set_modified(std::time::UNIX_EPOCH).unwrap();
    let hook = move |_| std::fs::write(&path, &longer).is_ok();
    let found = read_into(file.spec(), Kept { hook: Some(Box::new(hook)), ..Kept::default() });
    assert!(found.reason().contains("x.parquet changed while it was read: it was written to in place"));
}

#[test]
fn a_file_that_is_no_parquet_or_is_cut_says_so() {
    let found = File::new("x.parquet", "{\"a\":1}\n").read();
    assert!(found.reason().contains("x.parquet cannot be read as Parquet"), "{}", found.reason());
    let numbers = Int64Array::from((0..1000).collect::<Vec<i64>>());
    let bytes = written(vec![("n", Shared::new(numbers))], WriterProperties::default());
    assert!(File::new("x.parquet", &bytes[..bytes.len() / 2]).read().reason().contains("cannot be read as Parquet"));
    assert!(File::new("x.parquet", "").read().reason().contains("cannot be read as Parquet"));
    let mut broken = bytes;
    broken[8..200].fill(0xff);
    assert!(File::new("x.parquet", &broken).read().reason().contains("cannot be read"));
}
