//! What waits to be written to another server: envelopes as masked frames (RFC 6455, 5.3), commands until they are
//! written whole, all of it behind the release fence. The shard's thread and the connection's task write from it alike.

use std::collections::VecDeque;
use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;

use super::line::Line;
use crate::journal::fence::Fence;
use crate::outbox::Flushed;
use crate::socket::reader::unmask;

/// Bytes that are put together for one write.
const GULP: usize = 64 << 10;

/// Names a command until its outcome is known.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Ticket(pub u64);

#[derive(Debug)]
struct Waiting {
    ticket: Ticket,
    /// The record that it waits for.
    need: u64,
    since: Instant,
    text: Vec<u8>,
}

/// At most this.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    pub commands: usize,
    pub bytes: usize,
}

pub struct Queue {
    fence: Arc<Fence>,
    room: Room,
    line: Option<Arc<Line>>,
    /// Pings and pongs: at most one of each is worth sending.
    control: VecDeque<(u8, Vec<u8>)>,
    /// Requests of links; made anew for each connection.
    asks: VecDeque<(u64, Vec<u8>)>,
    commands: VecDeque<Waiting>,
    /// Frames that are being written, how much of them is, and where each command among them ends.
    writing: Vec<u8>,
    written: usize,
    ends: VecDeque<(usize, Waiting)>,
    done: Vec<Ticket>,
    /// Of asks and commands.
    bytes: usize,
    /// Since when there has been no connection.
    down: Instant,
    mask: u64,
}

impl Queue {
    pub fn new(fence: Arc<Fence>, room: Room) -> Self {
        Queue {
            fence,
            room,
            line: None,
            control: VecDeque::new(),
            asks: VecDeque::new(),
            commands: VecDeque::new(),
            writing: Vec::new(),
            written: 0,
            ends: VecDeque::new(),
            done: Vec::new(),
            bytes: 0,
            down: Instant::now(),
            mask: RandomState::new().hash_one(0u8),
        }
    }

    // -- in

    /// Takes a command's envelope. Errors: as many wait as may.
    pub fn command(&mut self, ticket: Ticket, text: Vec<u8>) -> Result<(), &'static str> {
        if self.commands() >= self.room.commands {
            return Err("remote_queue");
        }
        if self.bytes + text.len() > self.room.bytes {
            return Err("connection_queue");
        }
        self.bytes += text.len();
        self.commands.push_back(Waiting { ticket, need: need(&self.fence), since: Instant::now(), text });
        Ok(())
    }

    /// False: the server takes so little that more wait than may.
    pub fn ask(&mut self, asks: Vec<(u64, Vec<u8>)>) -> bool {
        if self.line.is_some() {
            self.bytes += asks.iter().map(|(_, text)| text.len()).sum::<usize>();
            self.asks.extend(asks);
        }
        self.asks.is_empty() || self.bytes <= self.room.bytes
    }

    /// A ping (0x9) or a pong (0xa): the newest of its kind.
    pub fn control(&mut self, opcode: u8, payload: &[u8]) {
        self.control.retain(|(other, _)| *other != opcode);
        self.control.push_back((opcode, payload.to_vec()));
    }

    /// Commands that wait.
    pub fn commands(&self) -> usize {
        self.commands.len() + self.ends.len()
    }

    pub fn is_empty(&self) -> bool {
        self.commands() == 0 && self.asks.is_empty() && self.writing.is_empty()
    }

    pub fn is_connected(&self) -> bool {
        self.line.is_some()
    }

    // -- the connection

    pub fn begin(&mut self, line: Arc<Line>) {
        self.line = Some(line);
    }

    /// The connection is gone: what was not written whole is written again to the next one. `farewell`: the payload of a
    /// close frame, which is written where no frame is cut in two; gives whether it was.
    pub fn end(&mut self, farewell: Option<&[u8]>) -> bool {
        let Some(line) = self.line.take() else { return false };
        let mut parted = false;
        if let Some(payload) = farewell
            && (self.written == 0 || self.written == self.writing.len())
        {
            self.writing.clear();
            self.frame(0x8, payload);
            parted = line.write(&self.writing).is_ok_and(|count| count == self.writing.len());
        }
        while let Some((_, command)) = self.ends.pop_back() {
            self.commands.push_front(command);
        }
        self.writing = Vec::new();
        self.written = 0;
        self.control.clear();
        self.asks.clear();
        self.bytes = self.commands.iter().map(|command| command.text.len()).sum();
        self.down = Instant::now();
        parted
    }

    // -- out

    /// Writes until nothing waits that may leave, or the socket takes no more.
    pub fn flush(&mut self) -> Flushed {
        let Some(line) = self.line.clone() else { return Flushed::All };
        loop {
            if self.written == self.writing.len() {
                self.writing.clear();
                self.written = 0;
                self.fill();
                if self.writing.is_empty() {
                    return match line.settle() {
                        Ok(true) => Flushed::All,
                        Ok(false) => Flushed::Blocked,
                        Err(_) => Flushed::Closed,
                    };
                }
            }
            match line.write(&self.writing[self.written..]) {
                Ok(0) => return Flushed::Closed,
                Ok(count) => self.wrote(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => return Flushed::Blocked,
                Err(_) => return Flushed::Closed,
            }
        }
    }

    fn wrote(&mut self, count: usize) {
        self.written += count;
        while let Some((end, _)) = self.ends.front()
            && *end <= self.written
            && let Some((_, command)) = self.ends.pop_front()
        {
            self.bytes -= command.text.len();
            self.done.push(command.ticket);
        }
    }

    fn fill(&mut self) {
        let durable = self.fence.durable();
        while let Some((opcode, payload)) = self.control.pop_front() {
            self.frame(opcode, &payload);
        }
        while self.writing.len() < GULP
            && self.asks.front().is_some_and(|(need, _)| *need <= durable)
            && let Some((_, text)) = self.asks.pop_front()
        {
            self.bytes -= text.len();
            self.frame(0x1, &text);
        }
        while self.writing.len() < GULP
            && self.commands.front().is_some_and(|command| command.need <= durable)
            && let Some(command) = self.commands.pop_front()
        {
            self.frame(0x1, &command.text);
            self.ends.push_back((self.writing.len(), command));
        }
    }

    /// Something waits for a record.
    pub fn is_fenced(&self) -> bool {
        let durable = self.fence.durable();
        self.asks.front().is_some_and(|(need, _)| *need > durable)
            || self.commands.front().is_some_and(|command| command.need > durable)
    }

    /// A whole frame, masked.
    fn frame(&mut self, opcode: u8, payload: &[u8]) {
        // splitmix64 from a seed that the system gave: nobody can foresee what a proxy between would see
        self.mask = self.mask.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.mask;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let mask = ((z ^ (z >> 31)) as u32).to_ne_bytes();
        let out = &mut self.writing;
        out.push(0x80 | opcode);
        match payload.len() {
            length @ 0..126 => out.push(0x80 | length as u8),
            length @ 126..=0xffff => {
                out.push(0x80 | 126);
                out.extend_from_slice(&(length as u16).to_be_bytes());
            }
            length => {
                out.push(0x80 | 127);
                out.extend_from_slice(&(length as u64).to_be_bytes());
            }
        }
        out.extend_from_slice(&mask);
        let start = out.len();
        out.extend_from_slice(payload);
        unmask(&mut out[start..], mask);
    }

    // -- commands' ends

    /// Those that have been written since.
    pub fn take_done(&mut self) -> Vec<Ticket> {
        std::mem::take(&mut self.done)
    }

    /// When the first command has waited too long without a connection.
    pub fn next_expiry(&self, patience: Duration) -> Option<Instant> {
        self.commands.front().filter(|_| self.line.is_none()).map(|command| command.since.max(self.down) + patience)
    }

    /// Takes those out that have.
    pub fn expire(&mut self, now: Instant, patience: Duration) -> Vec<Ticket> {
        let mut late = Vec::new();
        while self.next_expiry(patience).is_some_and(|at| at <= now)
            && let Some(command) = self.commands.pop_front()
        {
            self.bytes -= command.text.len();
            late.push(command.ticket);
        }
        late
    }
}

/// The record that must be durable before what is computed now may leave; 0: none.
pub fn need(fence: &Fence) -> u64 {
    if fence.is_up() { fence.need() } else { 0 }
}

#[cfg(test)]
mod tests;
