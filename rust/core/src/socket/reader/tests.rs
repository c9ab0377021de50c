use super::*;

#[derive(Default)]
struct Log(Vec<String>);

impl Taker for Log {
    fn message(&mut self, text: &str) -> Result<(), Fault> {
        self.0.push(text.to_owned());
        Ok(())
    }

    fn ping(&mut self, payload: &[u8]) -> Result<(), Fault> {
        self.0.push(format!("ping {}", String::from_utf8_lossy(payload)));
        Ok(())
    }

    fn pong(&mut self) {
        self.0.push("pong".to_owned());
    }

    fn close(&mut self, code: Option<u16>) {
        self.0.push(format!("close {code:?}"));
    }
}

fn limits() -> Limits {
    Limits { max_frame_bytes: 1000, max_message_bytes: 1500, ..Limits::default() }
}

/// A masked frame.
fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    let mask = [0x37, 0xfa, 0x21, 0x3d];
    let mut out = vec![first];
    match payload.len() {
        length @ 0..126 => out.push(0x80 | length as u8),
        length => {
            out.push(0x80 | 126);
            out.extend_from_slice(&(length as u16).to_be_bytes());
        }
    }
    out.extend_from_slice(&mask);
    out.extend(payload.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask));
    out
}

/// As a connection that gets the bytes in pieces.
fn read(bytes: &[u8], pieces: usize) -> Result<Vec<String>, Fault> {
    let mut reader = Reader::new(&limits(), false);
    let mut log = Log::default();
    for piece in bytes.chunks(pieces) {
        let mut whole = std::mem::take(&mut reader.rest);
        whole.extend_from_slice(piece);
        let taken = reader.parse(&mut whole, &mut log)?;
        reader.rest = whole.split_off(taken);
        if log.0.last().is_some_and(|last| last.starts_with("close")) {
            break;
        }
    }
    Ok(log.0)
}

fn refused(bytes: &[u8]) -> (u16, String) {
    let whole = read(bytes, bytes.len()).unwrap_err();
    assert_eq!(read(bytes, 1).unwrap_err(), whole, "the same in pieces");
    assert!(!whole.reason.is_empty() && whole.reason.len() <= 123);
    (whole.code, whole.reason)
}

#[test]
fn frames_are_the_same_however_they_arrive() {
    let mut bytes = frame(0x81, b"one");
    bytes.extend(frame(0x01, b"tw"));
    bytes.extend(frame(0x89, b"?"));
    bytes.extend(frame(0x00, b""));
    bytes.extend(frame(0x80, b"o"));
    bytes.extend(frame(0x82, &[b'x'; 300]));
    bytes.extend(frame(0x8a, b""));
    bytes.extend(frame(0x88, b"\x03\xe8bye"));
    bytes.extend(frame(0x81, b"too late"));
    for pieces in [1, 2, 3, 7, 64, bytes.len()] {
        let log = read(&bytes, pieces).unwrap();
        assert_eq!(log[..3], ["one", "ping ?", "two"], "{pieces}");
        assert_eq!(log[3], "x".repeat(300));
        assert_eq!(log[4..6], ["pong", "close Some(1000)"]);
    }
}

#[test]
fn what_breaks_the_protocol_is_refused_with_its_code() {
    for (bytes, code, part) in [
        (frame(0x91, b""), 1002, "reserved bit"),
        (frame(0xc1, b"compressed"), 1002, "reserved bit"),
        (frame(0x83, b""), 1002, "opcode"),
        (frame(0x8b, b""), 1002, "opcode"),
        (frame(0x09, b""), 1002, "fragmented"),
        (frame(0x89, &[0; 126]), 1002, "125"),
        (frame(0x80, b"x"), 1002, "no message was begun"),
        ([frame(0x01, b"x"), frame(0x81, b"y")].concat(), 1002, "before the one before"),
        (b"\x81\x01x".to_vec(), 1002, "mask"),
        (frame(0x81, b"caf\xe9"), 1007, "UTF-8 from byte 3"),
        ([frame(0x01, b"\xc3"), frame(0x80, b"\x28")].concat(), 1007, "UTF-8"),
        (frame(0x82, b"\xff"), 1007, "UTF-8"),
        (frame(0x81, &[b'x'; 1001]), 1009, "max_frame_bytes"),
        ([frame(0x01, &[b'x'; 900]), frame(0x80, &[b'x'; 601])].concat(), 1009, "max_message_bytes"),
        (b"\x81\xff\xff\xff\xff\xff\xff\xff\xff\xff\x00\x00\x00\x00".to_vec(), 1009, "max_frame_bytes"),
        (frame(0x88, b"\x03"), 1002, "one byte"),
        (frame(0x88, b"\x03\xed"), 1002, "1005"),
        (frame(0x88, b"\x00\x01"), 1002, "close code 1"),
        (frame(0x88, b"\x03\xe8\xff"), 1007, "UTF-8"),
    ] {
        let (found, reason) = refused(&bytes);
        assert_eq!(found, code, "{reason}");
        assert!(reason.contains(part), "{reason}");
    }
}

#[test]
fn a_close_may_be_empty() {
    assert_eq!(read(&frame(0x88, b""), 10).unwrap(), ["close None"]);
}

#[test]
fn unmasking_does_not_depend_on_the_length() {
    for length in 0..40 {
        let text: Vec<u8> = (b'a'..=b'z').cycle().take(length).collect();
        assert_eq!(read(&frame(0x81, &text), 100).unwrap()[0].as_bytes(), text);
    }
}

proptest::proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes: Vec<u8>, pieces in 1usize..20) {
        let _ = read(&bytes, pieces);
    }

    #[test]
    fn frames_of_any_opcode_and_text(first: u8, texts in proptest::collection::vec(".{0,20}", 1..5), pieces in 1usize..20) {
        let bytes: Vec<u8> = texts.iter().flat_map(|text| frame(first, text.as_bytes())).collect();
        proptest::prop_assert_eq!(read(&bytes, pieces), read(&bytes, bytes.len().max(1)));
    }
}

/// Everything that recorded clients have sent, as frames.
fn recorded() -> Vec<Vec<u8>> {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../tests/recordings");
    let mut seeds = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_none_or(|extension| extension != "jsonl") {
            continue;
        }
        let mut bytes = Vec::new();
        for line in std::fs::read_to_string(path).unwrap().lines() {
            let entry: serde_json::Value = serde_json::from_str(line).unwrap();
            let text = entry["text"].as_str().unwrap_or_default();
            let last = if entry["fin"] == false { 0 } else { 0x80 };
            if entry["dir"] == "c2s" && text.len() < 500 {
                match entry["op"].as_str() {
                    Some("text") => bytes.extend(frame(last | 1, text.as_bytes())),
                    Some("cont") => bytes.extend(frame(last, text.as_bytes())),
                    Some("ping") => bytes.extend(frame(0x89, text.as_bytes())),
                    Some("close") => bytes.extend(frame(0x88, &1000u16.to_be_bytes())),
                    _ => {}
                }
            }
        }
        seeds.push(bytes);
    }
    assert!(seeds.len() > 20);
    seeds
}

const GRAMMAR: &[u8] =
    &[0x00, 0x01, 0x02, 0x80, 0x81, 0x82, 0x88, 0x89, 0x8a, 0xc1, 0x7d, 0x7e, 0x7f, 0xfd, 0xfe, 0xff];

/// The same log and the same fault whether the bytes come at once or in pieces; what comes out is text.
fn try_one(bytes: &[u8]) {
    let whole = read(bytes, bytes.len().max(1));
    for pieces in [1, 3, 64] {
        assert_eq!(read(bytes, pieces), whole, "in pieces of {pieces}");
    }
    let mut inflating = Reader::new(&limits(), true);
    let mut copy = bytes.to_vec();
    if let Ok(taken) = inflating.parse(&mut copy, &mut Log::default()) {
        assert!(taken <= bytes.len());
    }
}

#[test]
fn kept_inputs_are_read() {
    crate::fuzz::corpus("socket").iter().for_each(|bytes| try_one(bytes));
    recorded().iter().for_each(|bytes| try_one(bytes));
}

#[test]
#[ignore = "long"]
fn fuzz_the_websocket_reader() {
    crate::fuzz::fuzz("socket", recorded(), GRAMMAR, try_one);
}
