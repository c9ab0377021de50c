//! The task of one host: connects when somebody needs it, reads, writes what the shard's thread could not, sees whether
//! anybody is there, and connects again.

use std::hash::{BuildHasher, RandomState};
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep_until, timeout};

use super::hello::connect;
use super::host::{Hearing, Host, close_payload};
use super::line::Line;
use super::places::GROWTH;
use crate::limits::seconds;
use crate::outbox::Flushed;
use crate::socket::reader::{Fault, Reader, Taker, fault};
use crate::warp::{self, Tag};

/// Bytes of one read.
const READ: usize = 64 << 10;
/// Room for a large frame is given back when it is read.
const KEPT: usize = 1 << 20;

/// Why a connection is over.
enum End {
    Gone(String),
    /// The server breaks a rule: it is told so.
    Fault(Fault),
    /// Nobody needs it.
    Idle,
    /// The run ends.
    Closing,
}

/// Takes the task's end for the host's, however it comes.
struct Life {
    host: Arc<Host>,
    over: bool,
}

impl Drop for Life {
    fn drop(&mut self) {
        if !self.over {
            self.host.died();
        }
    }
}

/// As long as somebody needs the host.
pub async fn run(host: Arc<Host>) {
    let mut life = Life { host: Arc::clone(&host), over: false };
    let first = seconds(host.common.bounds.remote_first_pause);
    let longest = seconds(host.common.bounds.remote_longest_pause);
    let open = host.common.bounds.remote_open_seconds;
    let mut pause = first;
    loop {
        if host.rest() {
            life.over = true;
            return;
        }
        let attempt = timeout(seconds(open), connect(&host.name, &host.common.bounds.remote_ca));
        let attempt = tokio::select! {
            biased;
            () = host.closed() => continue,
            attempt = attempt => attempt,
        };
        let reason = match attempt.unwrap_or_else(|_| Err(format!("{}: no connection within {open} s", host.name))) {
            Err(reason) => reason,
            Ok((line, begun)) => {
                let begun_at = Instant::now();
                let mut talk = Talk::new(&host, line, &begun);
                let end = talk.run(begun.len()).await;
                let useful = talk.has_heard || begun_at.elapsed() > longest;
                match end {
                    End::Idle => {
                        talk.part(1000, "no link and no command").await;
                        host.broke(None);
                        pause = first;
                        continue;
                    }
                    End::Closing => {
                        talk.part(1001, "the other server stops").await;
                        host.broke(None);
                        continue;
                    }
                    End::Gone(reason) => {
                        if useful {
                            pause = first;
                        }
                        reason
                    }
                    End::Fault(Fault { code, reason }) => {
                        talk.part(code, &reason).await;
                        format!("{} breaks the protocol ({code}): {reason}", host.name)
                    }
                }
            }
        };
        host.broke(Some(&reason));
        wait(&host, shortened(pause)).await;
        pause = longest.min(pause.mul_f64(GROWTH));
    }
}

/// The pause between two attempts; commands that wait too long are given up in it.
async fn wait(host: &Arc<Host>, pause: Duration) {
    let until = Instant::now() + pause;
    loop {
        let now = Instant::now();
        host.expire(now);
        if now >= until || host.is_closing() || host.is_idle() {
            return;
        }
        let next = host.next_expiry().map_or(until, |expiry| expiry.min(until));
        tokio::select! {
            () = sleep_until(next) => {}
            () = host.nudged() => {}
        }
    }
}

/// By up to half, so that not all come back at once.
fn shortened(pause: Duration) -> Duration {
    let random = RandomState::new().hash_one(0u8) >> 11;
    pause.mul_f64(0.5 + 0.5 * random as f64 / (1u64 << 53) as f64)
}

/// What one read brings.
struct Taken<'a> {
    hearing: Hearing<'a>,
    heard: bool,
    ping: Option<Vec<u8>>,
    farewell: Option<Option<u16>>,
}

impl Taker for Taken<'_> {
    fn message(&mut self, text: &str) -> Result<(), Fault> {
        let message = match warp::read(text) {
            Ok(message) => message,
            Err(_) if has_unknown_tag(text) => return Ok(()),
            Err(error) => return Err(fault(1002, format!("no WARP envelope: {error}"))),
        };
        self.heard = true;
        match message.tag {
            Tag::Linked | Tag::Synced | Tag::Unlinked | Tag::Event => self
                .hearing
                .hear(&message)
                .map_err(|error| fault(1002, format!("the body of @{} is not Recon: {error}", message.tag.name()))),
            // what it asks of this end is nobody's: this end asks
            _ => Ok(()),
        }
    }

    /// Only the newest ping of a read is answered (RFC 6455, 5.5.3).
    fn ping(&mut self, payload: &[u8]) -> Result<(), Fault> {
        self.ping = Some(payload.to_vec());
        Ok(())
    }

    fn pong(&mut self) {}

    fn close(&mut self, code: Option<u16>) {
        self.farewell = Some(code);
    }
}

/// An envelope of a newer protocol.
fn has_unknown_tag(text: &str) -> bool {
    let Some(rest) = text.trim_start().strip_prefix('@') else { return false };
    let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_' && c != '-').unwrap_or(rest.len());
    let name = &rest.as_bytes()[..end];
    name.first().is_some_and(u8::is_ascii_alphabetic) && Tag::of(name).is_none()
}

/// One connection.
struct Talk<'a> {
    host: &'a Arc<Host>,
    line: Arc<Line>,
    reader: Reader,
    /// What is read, and how much of its beginning is a frame that is not whole yet.
    room: Vec<u8>,
    kept: usize,
    /// As much waits for the shard as may.
    full: bool,
    /// The last read has filled its room: there may be more.
    more: bool,
    heard: Instant,
    pinged: Option<Instant>,
    idle: Option<Instant>,
    has_heard: bool,
}

impl<'a> Talk<'a> {
    fn new(host: &'a Arc<Host>, line: Line, begun: &[u8]) -> Self {
        let line = Arc::new(line);
        host.begin(Arc::clone(&line));
        let mut room = begun.to_vec();
        room.resize(begun.len() + READ, 0);
        Talk {
            host,
            line,
            reader: Reader::of_server(&host.common.limits),
            room,
            kept: 0,
            full: false,
            more: false,
            heard: Instant::now(),
            pinged: None,
            idle: None,
            has_heard: false,
        }
    }

    async fn run(&mut self, begun: usize) -> End {
        if begun > 0
            && let Err(end) = self.take_up(begun)
        {
            return end;
        }
        loop {
            if !self.host.is_connected() {
                return End::Gone(self.host.trouble());
            }
            let blocked = match self.host.write() {
                Flushed::Closed => return End::Gone(format!("the connection to {} broke", self.host.name)),
                Flushed::Blocked => true,
                Flushed::All | Flushed::Later => false,
            };
            if self.host.is_closing() {
                return End::Closing;
            }
            let now = Instant::now();
            self.idle = if self.host.is_idle() { self.idle.or(Some(now)) } else { None };
            self.full &= self.host.is_full();
            let reads = !self.full && !self.host.common.is_draining();
            if !reads {
                // a server that is not read cannot show that it lives
                (self.heard, self.pinged) = (now, None);
            }
            let next = self.next();
            tokio::select! {
                biased;
                () = self.host.nudged() => {}
                _ = self.line.writable(), if blocked => {}
                () = sleep_until(next) => if let Some(end) = self.check(Instant::now()) { return end },
                () = self.host.has_room(), if self.full => {}
                () = std::future::ready(()), if reads && self.more => if let Some(end) = self.read().await { return end },
                _ = self.line.readable(), if reads && !self.more => if let Some(end) = self.read().await { return end },
            }
        }
    }

    // -- in

    async fn read(&mut self) -> Option<End> {
        if self.room.len() - self.kept < READ {
            self.room.resize(2 * self.room.len(), 0);
        }
        let space = self.room.len() - self.kept;
        match self.line.read(&mut self.room[self.kept..]) {
            Ok(0) => Some(End::Gone(format!("{} has ended the connection", self.host.name))),
            Ok(count) => {
                self.more = count == space;
                (self.heard, self.pinged) = (Instant::now(), None);
                let end = self.take_up(self.kept + count).err();
                if count >= READ / 2 {
                    // others have their turn
                    tokio::task::yield_now().await;
                }
                end
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {
                self.more = false;
                None
            }
            Err(error) => Some(End::Gone(format!("the connection to {} broke: {error}", self.host.name))),
        }
    }

    /// Hands all whole frames over.
    fn take_up(&mut self, filled: usize) -> Result<(), End> {
        let mut taken = Taken { hearing: self.host.listen(), heard: false, ping: None, farewell: None };
        let result = self.reader.parse(&mut self.room[..filled], &mut taken);
        let Taken { hearing, heard, ping, farewell } = taken;
        // what was right before a fault is told: it came before it
        self.full = !hearing.end();
        self.has_heard |= heard;
        if let Some(payload) = ping {
            self.host.control(0xa, &payload);
        }
        let used = result.map_err(End::Fault)?;
        if let Some(code) = farewell {
            let code = code.unwrap_or(1000);
            self.host.end_line(Some(&code.to_be_bytes()));
            self.line.shut();
            return Err(End::Gone(format!("{} has closed the connection ({code})", self.host.name)));
        }
        self.room.copy_within(used..filled, 0);
        self.kept = filled - used;
        if self.room.len() > KEPT && self.kept < READ {
            self.room.truncate(self.kept + READ);
            self.room.shrink_to_fit();
        }
        Ok(())
    }

    // -- whether anybody is there

    fn next(&self) -> Instant {
        let limits = &self.host.common.limits;
        let alive = match self.pinged {
            Some(at) => at + seconds(limits.pong_seconds),
            None => self.heard + seconds(limits.ping_seconds),
        };
        let idle = self.idle.map(|since| since + seconds(self.host.common.bounds.remote_idle_seconds));
        [idle, self.host.next_due()].into_iter().flatten().fold(alive, Instant::min)
    }

    fn check(&mut self, now: Instant) -> Option<End> {
        let limits = &self.host.common.limits;
        self.host.tend(now);
        if self.idle.is_some_and(|since| now >= since + seconds(self.host.common.bounds.remote_idle_seconds)) {
            return self.host.is_idle().then_some(End::Idle);
        }
        match self.pinged {
            None if now >= self.heard + seconds(limits.ping_seconds) => {
                self.pinged = Some(now);
                self.host.control(0x9, b"");
            }
            Some(at) if now >= at + seconds(limits.pong_seconds) => {
                let name = &self.host.name;
                return Some(End::Gone(format!(
                    "{name} answers no ping within {} s (pong_seconds)",
                    limits.pong_seconds
                )));
            }
            _ => {}
        }
        None
    }

    // -- the end

    /// The closing handshake, as far as the other end takes part in it.
    async fn part(&mut self, code: u16, reason: &str) {
        if !self.host.end_line(Some(&close_payload(code, reason))) {
            return;
        }
        self.line.shut();
        let line = Arc::clone(&self.line);
        let room = &mut self.room;
        // bytes that nobody reads would turn the end into a reset, which may overtake the close frame
        let drained = async {
            while line.readable().await.is_ok() {
                match line.read(room) {
                    Ok(0) => return,
                    Ok(_) => tokio::task::yield_now().await,
                    Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                    Err(_) => return,
                }
            }
        };
        _ = timeout(seconds(self.host.common.limits.close_seconds), drained).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn envelopes_of_newer_protocols_are_known_by_their_shape() {
        for text in ["@hello", " @relink(node:\"/a\",lane:b) 5", "@auth2"] {
            assert!(has_unknown_tag(text), "{text}");
        }
        for text in ["", "hello", "@", "@event", "@event(node:", "@\"x\"", "{}"] {
            assert!(!has_unknown_tag(text), "{text}");
        }
    }

    #[test]
    fn pauses_are_shortened_by_up_to_half() {
        for _ in 0..100 {
            let pause = shortened(Duration::from_secs(10));
            assert!((5.0..=10.0).contains(&pause.as_secs_f64()), "{pause:?}");
        }
    }
}
