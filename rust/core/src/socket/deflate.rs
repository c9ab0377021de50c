//! permessage-deflate (RFC 7692), without context takeover: each message is compressed by itself, so that a connection
//! keeps no window.

use bytes::Bytes;
use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::reader::{Fault, fault};

/// What ends a compressed message, and is left out on the wire (RFC 7692, 7.2.1).
const TAIL: [u8; 4] = [0, 0, 0xff, 0xff];
/// Shorter messages are sent as they are.
const WORTH: usize = 64;

/// Whether one of the offers of `Sec-WebSocket-Extensions` can be agreed to: permessage-deflate with parameters that are
/// known and with windows of any size.
pub fn acceptable(offers: &str) -> bool {
    offers.split(',').any(|offer| {
        let mut parts = offer.split(';').map(str::trim);
        parts.next() == Some("permessage-deflate")
            && parts.all(|parameter| {
                let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
                match name.trim() {
                    "server_no_context_takeover" | "client_no_context_takeover" => value.is_empty(),
                    "client_max_window_bits" => value.is_empty() || window(value),
                    // a smaller window than ours cannot be promised
                    "server_max_window_bits" => value.trim().trim_matches('"') == "15",
                    _ => false,
                }
            })
    })
}

fn window(value: &str) -> bool {
    value.trim().trim_matches('"').parse::<u8>().is_ok_and(|bits| (8..=15).contains(&bits))
}

/// The answer to an offer that is acceptable.
pub const AGREED: &str = "permessage-deflate; server_no_context_takeover; client_no_context_takeover";

pub struct Inflater {
    state: Decompress,
    max: usize,
}

impl Inflater {
    pub fn new(max: usize) -> Self {
        Inflater { state: Decompress::new(false), max }
    }

    /// Errors: 1007 for what is no deflate stream, 1009 for more than `max` bytes.
    pub fn inflate(&mut self, message: &[u8]) -> Result<Vec<u8>, Fault> {
        self.state.reset(false);
        let mut out = Vec::with_capacity((message.len() * 4).clamp(256, 1 << 16));
        for part in [message, &TAIL] {
            let before = self.state.total_in();
            loop {
                let done = (self.state.total_in() - before) as usize;
                let status = self
                    .state
                    .decompress_vec(&part[done..], &mut out, FlushDecompress::Sync)
                    .map_err(|_| fault(1007, "a compressed message that is no deflate stream (RFC 7692)"))?;
                if out.len() > self.max {
                    let max = self.max;
                    return Err(fault(1009, format!("a message of over {max} bytes (max_message_bytes)")));
                }
                if out.len() == out.capacity() {
                    out.reserve(out.capacity());
                    continue;
                }
                if status == Status::StreamEnd || (self.state.total_in() - before) as usize == part.len() {
                    break;
                }
            }
        }
        Ok(out)
    }
}

pub struct Deflater {
    state: Compress,
}

impl Deflater {
    pub fn new(level: u32) -> Self {
        Deflater { state: Compress::new(Compression::new(level.clamp(1, 9)), false) }
    }

    /// A whole text frame (`outbox::text_frame`) as a whole compressed one, appended to `out`. Others go as they are.
    pub fn frame(&mut self, frame: &Bytes, out: &mut Vec<u8>) {
        let head = match frame.get(1) {
            Some(126) => 4,
            Some(127) => 10,
            _ => 2,
        };
        let Some(payload) = frame.get(head..).filter(|payload| frame[0] == 0x81 && payload.len() >= WORTH) else {
            out.extend_from_slice(frame);
            return;
        };
        self.state.reset();
        let mut squeezed = Vec::with_capacity(payload.len() / 2 + 64);
        loop {
            let done = self.state.total_in() as usize;
            let result = self.state.compress_vec(&payload[done..], &mut squeezed, FlushCompress::Sync);
            if result.is_err() {
                out.extend_from_slice(frame);
                return;
            }
            if squeezed.len() < squeezed.capacity() {
                break;
            }
            squeezed.reserve(squeezed.capacity());
        }
        if squeezed.ends_with(&TAIL) {
            squeezed.truncate(squeezed.len() - TAIL.len());
        }
        let text = crate::outbox::text_frame(&squeezed);
        let start = out.len();
        out.extend_from_slice(&text);
        out[start] |= 0x40;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outbox::text_frame;

    #[test]
    fn offers_are_agreed_to_only_as_a_whole() {
        for offer in [
            "permessage-deflate",
            "permessage-deflate; client_max_window_bits",
            "x-webkit-deflate-frame, permessage-deflate; client_max_window_bits=10; server_no_context_takeover",
            "permessage-deflate; server_max_window_bits=15",
        ] {
            assert!(acceptable(offer), "{offer}");
        }
        for offer in [
            "",
            "permessage-deflat",
            "permessage-deflate; mystery",
            "permessage-deflate; client_max_window_bits=16",
            "permessage-deflate; server_max_window_bits=10",
            "permessage-deflate; server_no_context_takeover=1",
        ] {
            assert!(!acceptable(offer), "{offer}");
        }
    }

    #[test]
    fn what_was_deflated_inflates_to_the_same() {
        let mut deflater = Deflater::new(6);
        let mut inflater = Inflater::new(1 << 20);
        for length in [64, 125, 126, 1000, 65_535, 65_536, 1 << 20] {
            let text: Vec<u8> = (0..length as u64).map(|at| b'a' + (at * at / 7 % 26) as u8).collect();
            let mut out = Vec::new();
            deflater.frame(&text_frame(&text), &mut out);
            assert_eq!(out[0], 0xc1);
            let head = match out[1] {
                126 => 4,
                127 => 10,
                _ => 2,
            };
            assert_eq!(inflater.inflate(&out[head..]).unwrap(), text, "{length}");
        }
    }

    #[test]
    fn the_example_of_the_rfc_inflates() {
        // RFC 7692, 7.2.3.1
        let mut inflater = Inflater::new(100);
        assert_eq!(inflater.inflate(&[0xf2, 0x48, 0xcd, 0xc9, 0xc9, 0x07, 0x00]).unwrap(), b"Hello");
    }

    #[test]
    fn a_bomb_ends_at_the_bound() {
        let mut out = Vec::new();
        Deflater::new(9).frame(&text_frame(&vec![b'x'; 1 << 20]), &mut out);
        assert!(out.len() < 5000);
        assert_eq!(Inflater::new(1 << 19).inflate(&out[4..]).unwrap_err().code, 1009);
        assert_eq!(Inflater::new(1 << 19).inflate(b"\xff\xff\xff\xff").unwrap_err().code, 1007);
    }

    #[test]
    fn short_and_other_frames_go_as_they_are() {
        let mut out = Vec::new();
        Deflater::new(6).frame(&text_frame(b"short"), &mut out);
        Deflater::new(6).frame(&Bytes::from_static(b"\x8a\x00"), &mut out);
        assert_eq!(out, b"\x81\x05short\x8a\x00");
    }
}
