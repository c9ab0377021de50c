//! A WebSocket connection (RFC 6455) that speaks WARP: bytes into envelopes for the shard, the shard's frames out. One
//! task a connection; a commit writes by itself what the socket takes at once, the rest leaves from here.

mod deflate;
pub mod handshake;
pub mod reader;

use std::cell::RefCell;
use std::io::{ErrorKind, IoSlice};
use std::os::fd::AsRawFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use tokio::net::TcpStream;
use tokio::time::{Instant, sleep_until, timeout};

use self::deflate::Deflater;
use self::reader::{Fault, Reader, Taker, fault};
use crate::limits::{Allowance, Limits, seconds};
use crate::listen::{Stage, Stages};
use crate::outbox::{Flushed, Outbox};
use crate::peer::{Direct, Frames, Peer};
use crate::warp::{self, Tag};

/// Bytes of one read: some thousand small envelopes.
const READ: usize = 64 << 10;
/// A longer beginning of a frame stays where it is, and the read goes on behind it.
const MOVED: usize = 4 << 10;

thread_local! {
    /// What is read into; of this thread's connections one at a time uses it, and leaves nothing in it.
    static ROOM: RefCell<Vec<u8>> = RefCell::new(vec![0; MOVED + READ]);
}

/// Writes for the shard's thread and for the connection's task alike; the outbox's lock keeps them apart.
struct Line {
    stream: Arc<TcpStream>,
    /// Bytes that the socket has taken.
    written: AtomicU64,
}

impl Direct for Line {
    fn write(&self, parts: &[IoSlice<'_>]) -> std::io::Result<usize> {
        let count = self.stream.try_write_vectored(parts)?;
        self.written.fetch_add(count as u64, Ordering::Relaxed);
        Ok(count)
    }
}

impl Line {
    /// Bytes in the kernel that the other end has not acknowledged (tcp(7), SIOCOUTQ); 0 where that cannot be told.
    fn unacknowledged(&self) -> u64 {
        let mut count: libc::c_int = 0;
        // SAFETY: the descriptor is open while the stream lives; an int is written into a local.
        unsafe { libc::ioctl(self.stream.as_raw_fd(), libc::TIOCOUTQ, &mut count) };
        count.max(0) as u64
    }

    /// Bytes that have arrived at the other end.
    fn arrived(&self) -> u64 {
        self.written.load(Ordering::Relaxed).saturating_sub(self.unacknowledged())
    }
}

/// What one read has brought.
struct Taken {
    frames: Frames,
    pong: Option<Bytes>,
    pings: Allowance,
    /// The other end's close frame.
    farewell: Option<Option<u16>>,
}

impl Taker for Taken {
    fn message(&mut self, text: &str) -> Result<(), Fault> {
        let message = warp::read(text).map_err(|error| fault(1002, format!("no WARP envelope: {error}")))?;
        match message.tag {
            // from a client they answer nothing: the shard opens no links of its own
            Tag::Linked | Tag::Synced | Tag::Unlinked | Tag::Event | Tag::Authed | Tag::Deauthed => {}
            _ => self.frames.push(&message),
        }
        Ok(())
    }

    /// Only the newest ping of a read is answered (RFC 6455, 5.5.3).
    fn ping(&mut self, payload: &[u8]) -> Result<(), Fault> {
        if self.pings.take(1).is_err() {
            return Err(fault(1008, "more pings a second than connection_pings"));
        }
        let mut frame = Vec::with_capacity(2 + payload.len());
        frame.extend_from_slice(&[0x8a, payload.len() as u8]);
        frame.extend_from_slice(payload);
        self.pong = Some(frame.into());
        Ok(())
    }

    fn pong(&mut self) {}

    fn close(&mut self, code: Option<u16>) {
        self.farewell = Some(code);
    }
}

/// Why a connection ends.
enum End {
    /// TCP is gone, or the other end hung up without a close frame.
    Gone,
    /// With a close frame of ours; what still waits is not written.
    Close(u16, String),
}

pub struct Socket {
    line: Arc<Line>,
    peer: Arc<Peer>,
    limits: Arc<Limits>,
    reader: Reader,
    taken: Taken,
    commands: Allowance,
    /// Frames are compressed on their way: the compressor, what it has given, and how much of that is written.
    squeeze: Option<(Deflater, Vec<u8>, usize)>,
    blocked: bool,
    /// As many envelopes wait for the shard as may.
    full: bool,
    /// Not read before this time.
    rests_until: Option<Instant>,
    heard: Instant,
    /// The last envelope of either direction.
    busy: Instant,
    /// When a ping was sent, and what had arrived at the other end then.
    pinged: Option<(Instant, u64)>,
}

impl Socket {
    /// `begun`: what came behind the request. `compression`: permessage-deflate was agreed on.
    pub fn new(stream: TcpStream, begun: &[u8], peer: Arc<Peer>, limits: Arc<Limits>, compression: bool) -> Self {
        let line = Arc::new(Line { stream: Arc::new(stream), written: AtomicU64::new(0) });
        let mut reader = Reader::new(&limits, compression);
        reader.rest.extend_from_slice(begun);
        if !compression {
            peer.directly(Arc::<Line>::clone(&line));
        }
        let now = Instant::now();
        Socket {
            line,
            reader,
            taken: Taken {
                frames: Frames::default(),
                pong: None,
                pings: Allowance::new(limits.connection_pings),
                farewell: None,
            },
            commands: Allowance::new(limits.connection_commands),
            squeeze: compression.then(|| (Deflater::new(limits.compression), Vec::new(), 0)),
            peer,
            limits,
            blocked: false,
            full: false,
            rests_until: None,
            heard: now,
            busy: now,
            pinged: None,
        }
    }

    /// Until the connection is over; the peer has left then.
    pub async fn run(mut self, mut stages: Stages) {
        let mut begun = std::mem::take(&mut self.reader.rest);
        let end = match self.take_up(&mut begun) {
            Ok(taken) => {
                self.reader.rest = begun.split_off(taken);
                self.talk(&mut stages).await
            }
            Err(end) => end,
        };
        if let End::Close(code, reason) = end {
            _ = timeout(seconds(self.limits.close_seconds), self.part(code, &reason)).await;
        }
        self.peer.leave();
        // the shard may hold the socket a little longer
        self.shut(libc::SHUT_RDWR);
    }

    async fn talk(&mut self, stages: &mut Stages) -> End {
        loop {
            match self.flush() {
                Flushed::Closed => {
                    let outbox = self.peer.outbox();
                    return match outbox.closing() {
                        Some((1006, _)) | None => End::Gone,
                        Some((code, reason)) => End::Close(code, reason.to_owned()),
                    };
                }
                Flushed::Blocked => self.blocked = true,
                Flushed::All | Flushed::Later => self.blocked = false,
            }
            let due = self.due();
            let check = self.next_check();
            let resumes = self.rests_until;
            let draining = stages.is(Stage::Draining);
            tokio::select! {
                biased;
                () = self.peer.flush_wanted() => {}
                _ = self.line.stream.writable(), if self.blocked => {}
                () = sleep_until(due.unwrap_or(check)), if due.is_some() && !self.blocked => {}
                () = sleep_until(check) => if let Some(end) = self.check(Instant::now()) { return end },
                () = sleep_until(resumes.unwrap_or(check)), if resumes.is_some() => self.rests_until = None,
                () = self.peer.room(), if self.full => self.full = false,
                () = stages.reached(Stage::Draining), if !draining => {}
                _ = self.line.stream.readable(), if !self.full && !draining && resumes.is_none() => match self.read() {
                    // others have their turn
                    Ok(count) if count >= READ / 2 => tokio::task::yield_now().await,
                    Ok(_) => {}
                    Err(end) => return end,
                },
            }
        }
    }

    // -- in

    /// One read; gives the bytes that it brought.
    fn read(&mut self) -> Result<usize, End> {
        self.peer.rest();
        let kept = self.reader.rest.len();
        if kept > MOVED {
            self.reader.rest.reserve(READ);
            let mut whole = std::mem::take(&mut self.reader.rest);
            let count = self.line.stream.try_read_buf(&mut whole);
            let count = self.count(count)?;
            let taken = if count == 0 { 0 } else { self.take_up(&mut whole)? };
            if taken == whole.len() {
                return Ok(count);
            }
            whole.drain(..taken);
            if taken > 0 {
                whole.shrink_to(2 * whole.len());
            }
            self.reader.rest = whole;
            return Ok(count);
        }
        ROOM.with_borrow_mut(|room| {
            room[..kept].copy_from_slice(&self.reader.rest);
            let count = self.line.stream.try_read(&mut room[kept..kept + READ]);
            let count = self.count(count)?;
            if count == 0 {
                return Ok(0);
            }
            self.reader.rest.clear();
            let bytes = &mut room[..kept + count];
            let taken = self.take_up(bytes)?;
            self.reader.rest.extend_from_slice(&bytes[taken..]);
            Ok(count)
        })
    }

    fn count(&mut self, result: std::io::Result<usize>) -> Result<usize, End> {
        match result {
            Ok(0) => Err(End::Gone),
            Ok(count) => {
                self.heard = Instant::now();
                self.pinged = None;
                Ok(count)
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => Ok(0),
            Err(_) => Err(End::Gone),
        }
    }

    /// Hands all whole frames over; gives the bytes that they were.
    fn take_up(&mut self, bytes: &mut [u8]) -> Result<usize, End> {
        self.taken.frames = self.peer.spare();
        let result = self.reader.parse(bytes, &mut self.taken);
        let frames = std::mem::take(&mut self.taken.frames);
        let count = frames.frames.len();
        if count > 0 {
            self.busy = self.heard;
            // what was right before a fault is applied: it was sent before it
            self.full = !self.peer.offer(frames);
            if let Err(wait) = self.commands.take(count) {
                self.rests_until = Some(self.heard + wait);
            }
        }
        if let Some(pong) = self.taken.pong.take() {
            let mut outbox = self.peer.outbox();
            if outbox.bytes() > self.limits.connection_queue {
                return Err(End::Close(1008, "what waits is not read (connection_queue)".to_owned()));
            }
            outbox.control(pong);
        }
        match result {
            Err(Fault { code, reason }) => Err(End::Close(code, reason)),
            Ok(taken) => match self.taken.farewell {
                // RFC 6455, 5.5.1: the code that came goes back
                Some(code) => Err(End::Close(code.unwrap_or(1000), String::new())),
                None => Ok(taken),
            },
        }
    }

    // -- out

    fn flush(&mut self) -> Flushed {
        let Some((deflater, out, at)) = &mut self.squeeze else {
            return self.peer.write(&*self.line);
        };
        let mut outbox = self.peer.outbox();
        let flushed = loop {
            if *at == out.len() {
                out.clear();
                *at = 0;
                while out.len() < READ
                    && let Some(frame) = outbox.pop()
                {
                    deflater.frame(&frame, out);
                }
            }
            if out.is_empty() {
                break match (outbox.closing(), outbox.next_due()) {
                    (Some(_), _) => Flushed::Closed,
                    (None, Some(_)) => Flushed::Later,
                    (None, None) => Flushed::All,
                };
            }
            match self.line.write(&[IoSlice::new(&out[*at..])]) {
                Ok(0) => break Self::lost(&mut outbox),
                Ok(count) => *at += count,
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => break Flushed::Blocked,
                Err(_) => break Self::lost(&mut outbox),
            }
        };
        if outbox.has_taken() {
            drop(outbox);
            self.peer.tell_taken();
        }
        flushed
    }

    fn lost(outbox: &mut Outbox) -> Flushed {
        outbox.end();
        Flushed::Closed
    }

    /// When a link's rate lets its next event go.
    fn due(&self) -> Option<Instant> {
        let due = self.peer.outbox().next_due()?;
        Some(Instant::now() + Duration::from_micros((due - Outbox::now()).max(0) as u64))
    }

    // -- whether anybody is there

    fn next_check(&self) -> Instant {
        let idle = self.busy + seconds(self.limits.idle_seconds);
        let alive = match self.pinged {
            Some((at, _)) => at + seconds(self.limits.pong_seconds),
            None => self.heard + seconds(self.limits.ping_seconds),
        };
        // whoever has links is not idle; the envelope that ends the last one counts as busy
        if self.peer.outbox().links() > 0 { alive } else { alive.min(idle) }
    }

    fn check(&mut self, now: Instant) -> Option<End> {
        if self.peer.outbox().links() > 0 {
            self.busy = now;
        } else if now >= self.busy + seconds(self.limits.idle_seconds) {
            return Some(End::Close(1000, format!("no link and no command for {} s", self.limits.idle_seconds)));
        }
        match self.pinged {
            None if now >= self.heard + seconds(self.limits.ping_seconds) => {
                self.pinged = Some((now, self.line.arrived()));
                self.peer.outbox().control(Bytes::from_static(b"\x89\x00"));
            }
            Some((at, before)) if now >= at + seconds(self.limits.pong_seconds) => {
                // a slow reader's pong is behind what it has not read yet
                let arrived = self.line.arrived();
                if self.line.unacknowledged() == 0 || arrived == before {
                    return Some(End::Close(1011, "no answer to a ping".to_owned()));
                }
                self.pinged = Some((now, arrived));
            }
            _ => {}
        }
        None
    }

    // -- the end

    /// The closing handshake: our close frame behind the frame that is being written, then the other end's end.
    async fn part(&mut self, code: u16, reason: &str) {
        self.peer.outbox().abandon(code, reason);
        while self.flush() == Flushed::Blocked {
            if self.line.stream.writable().await.is_err() {
                return;
            }
        }
        // from here on nobody else writes
        self.peer.outbox().end();
        let frame = close_frame(code, reason);
        let mut rest = &frame[..];
        while !rest.is_empty() {
            match self.line.stream.try_write(rest) {
                Ok(0) => return,
                Ok(count) => rest = &rest[count..],
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if self.line.stream.writable().await.is_err() {
                        return;
                    }
                }
                Err(_) => return,
            }
        }
        self.shut(libc::SHUT_WR);
        self.drain().await;
    }

    /// Bytes that nobody reads would turn the end into a reset, which may overtake the close frame.
    async fn drain(&self) {
        loop {
            if self.line.stream.readable().await.is_err() {
                return;
            }
            let result = ROOM.with_borrow_mut(|room| self.line.stream.try_read(room));
            match result {
                Ok(0) => return,
                Ok(_) => tokio::task::yield_now().await,
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(_) => return,
            }
        }
    }

    fn shut(&self, how: libc::c_int) {
        // SAFETY: the descriptor is open while the stream lives. An error means that it is shut already.
        unsafe { libc::shutdown(self.line.stream.as_raw_fd(), how) };
    }
}

/// RFC 6455, 5.5.1: at most 125 bytes, two of them the code.
fn close_frame(code: u16, reason: &str) -> Vec<u8> {
    let reason = match reason.len() {
        0..=123 => reason,
        _ => &reason[..(0..=123).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0)],
    };
    let mut frame = vec![0x88, 2 + reason.len() as u8];
    frame.extend_from_slice(&code.to_be_bytes());
    frame.extend_from_slice(reason.as_bytes());
    frame
}
