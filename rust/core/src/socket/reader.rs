//! WebSocket frames out of bytes (RFC 6455, 5): unmasked where they lie, fragments joined, each rule of the protocol
//! checked. Keeps nothing of a frame that is whole, so that an idle connection costs no buffer.

use std::io::Cursor;

use tungstenite::protocol::frame::FrameHeader;
use tungstenite::protocol::frame::coding::{Control, Data, OpCode};

use super::deflate::Inflater;
use crate::limits::Limits;

/// Why a connection is closed: a code (RFC 6455, 7.4.1) and a sentence.
#[derive(Clone, Debug, PartialEq)]
pub struct Fault {
    pub code: u16,
    pub reason: String,
}

pub fn fault(code: u16, reason: impl Into<String>) -> Fault {
    Fault { code, reason: reason.into() }
}

/// What is done with frames.
pub trait Taker {
    /// A message, text or binary.
    fn message(&mut self, text: &str) -> Result<(), Fault>;
    fn ping(&mut self, payload: &[u8]) -> Result<(), Fault>;
    fn pong(&mut self);
    /// The other end closes, with this code. Nothing comes after it.
    fn close(&mut self, code: Option<u16>);
}

pub struct Reader {
    /// A frame that is not whole yet; bounded by `max_frame_bytes` and one read.
    pub rest: Vec<u8>,
    /// The fragments of a message so far; bounded by `max_message_bytes`.
    message: Vec<u8>,
    fragmented: bool,
    squeezed: bool,
    inflater: Option<Inflater>,
    /// The other end is a client, and masks what it sends; servers do not (RFC 6455, 5.1).
    masked: bool,
    max_frame: u64,
    max_message: usize,
}

impl Reader {
    /// `compression`: permessage-deflate was agreed on.
    pub fn new(limits: &Limits, compression: bool) -> Self {
        Reader {
            rest: Vec::new(),
            message: Vec::new(),
            fragmented: false,
            squeezed: false,
            inflater: compression.then(|| Inflater::new(limits.max_message_bytes)),
            masked: true,
            max_frame: limits.max_frame_bytes.min(LONGEST) as u64,
            max_message: limits.max_message_bytes.min(LONGEST),
        }
    }

    /// Of what a server sends.
    pub fn of_server(limits: &Limits) -> Self {
        Reader { masked: false, ..Reader::new(limits, false) }
    }

    /// Takes all whole frames out of `bytes`; gives how many bytes they were.
    pub fn parse(&mut self, bytes: &mut [u8], taker: &mut impl Taker) -> Result<usize, Fault> {
        let mut at = 0;
        loop {
            let mut cursor = Cursor::new(&bytes[at..]);
            let parsed = FrameHeader::parse(&mut cursor).map_err(|error| fault(1002, error.to_string()))?;
            let Some((header, length)) = parsed else { return Ok(at) };
            let start = at + cursor.position() as usize;
            let mask = self.check(&header, length)?;
            let end = start + length as usize;
            let Some(payload) = bytes.get_mut(start..end) else { return Ok(at) };
            if let Some(mask) = mask {
                unmask(payload, mask);
            }
            at = end;
            match header.opcode {
                OpCode::Data(_) => self.data(&header, payload, taker)?,
                OpCode::Control(Control::Ping) => taker.ping(payload)?,
                OpCode::Control(Control::Close) => {
                    taker.close(close_code(payload)?);
                    return Ok(bytes.len());
                }
                OpCode::Control(_) => taker.pong(),
            }
        }
    }

    /// The mask. Checked before the payload is there, so that nobody waits for what will be refused.
    fn check(&self, header: &FrameHeader, length: u64) -> Result<Option<[u8; 4]>, Fault> {
        let squeezed =
            header.rsv1 && self.inflater.is_some() && matches!(header.opcode, OpCode::Data(Data::Text | Data::Binary));
        if header.rsv2 || header.rsv3 || header.rsv1 && !squeezed {
            return Err(fault(1002, "a reserved bit is set, and no extension that uses it was agreed on"));
        }
        match header.opcode {
            OpCode::Control(_) if !header.is_final => return Err(fault(1002, "a control frame is fragmented")),
            OpCode::Control(_) if length > 125 => return Err(fault(1002, "a control frame has over 125 bytes")),
            OpCode::Data(Data::Continue) if !self.fragmented => {
                return Err(fault(1002, "a continuation, and no message was begun"));
            }
            OpCode::Data(Data::Text | Data::Binary) if self.fragmented => {
                return Err(fault(1002, "a message begins before the one before has ended"));
            }
            _ => {}
        }
        if length > self.max_frame {
            let bound = self.max_frame;
            return Err(fault(1009, format!("a frame of {length} bytes; at most {bound} are taken (max_frame_bytes)")));
        }
        if self.message.len() as u64 + length > self.max_message as u64 {
            return Err(self.too_big());
        }
        match (header.mask, self.masked) {
            (None, true) => Err(fault(1002, "a frame without a mask: clients mask theirs")),
            (Some(_), false) => Err(fault(1002, "a frame with a mask: servers send theirs without")),
            (mask, _) => Ok(mask),
        }
    }

    fn too_big(&self) -> Fault {
        fault(1009, format!("a message of over {} bytes (max_message_bytes)", self.max_message))
    }

    fn data(&mut self, header: &FrameHeader, payload: &[u8], taker: &mut impl Taker) -> Result<(), Fault> {
        if !self.fragmented {
            self.squeezed = header.rsv1;
        }
        if header.is_final && !self.fragmented && !self.squeezed {
            return taker.message(text(payload)?);
        }
        self.message.extend_from_slice(payload);
        self.fragmented = !header.is_final;
        if !header.is_final {
            return Ok(());
        }
        let mut whole = std::mem::take(&mut self.message);
        if self.squeezed
            && let Some(inflater) = &mut self.inflater
        {
            whole = inflater.inflate(&whole)?;
        }
        let done = text(&whole).and_then(|text| taker.message(text));
        if whole.capacity() <= KEPT {
            whole.clear();
            self.message = whole;
        }
        done
    }
}

/// Places in `peer::Frames` are 32 bits wide, whatever the settings say.
const LONGEST: usize = 1 << 30;
/// Memory that a connection keeps for its next message.
const KEPT: usize = 1 << 12;

fn text(payload: &[u8]) -> Result<&str, Fault> {
    std::str::from_utf8(payload)
        .map_err(|error| fault(1007, format!("a message that is no UTF-8 from byte {} on", error.valid_up_to())))
}

/// RFC 6455, 7.4: what a close frame may say.
fn close_code(payload: &[u8]) -> Result<Option<u16>, Fault> {
    let [high, low, reason @ ..] = payload else {
        return if payload.is_empty() { Ok(None) } else { Err(fault(1002, "a close frame of one byte")) };
    };
    let code = u16::from_be_bytes([*high, *low]);
    if std::str::from_utf8(reason).is_err() {
        return Err(fault(1007, "a close reason that is no UTF-8"));
    }
    match code {
        1000..=1003 | 1007..=1014 | 3000..=4999 => Ok(Some(code)),
        _ => Err(fault(1002, format!("the close code {code}, which nobody may send"))),
    }
}

/// RFC 6455, 5.3, eight bytes at a time.
pub(crate) fn unmask(payload: &mut [u8], mask: [u8; 4]) {
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, rest) = payload.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in rest.iter_mut().zip([a, b, c, d, a, b, c]) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
