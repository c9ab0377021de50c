//! One connection, as both sides see it: I/O threads leave what it sends, the shard leaves what it shall get.

use std::collections::VecDeque;
use std::io::IoSlice;
use std::ops::Range;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::Notify;

use crate::ask::Ask;
use crate::inbox::Wake;
use crate::journal::fence::Fence;
use crate::outbox::{Flushed, LinkNumber, Outbox};
use crate::warp::Tag;

/// Names a connection for the life of a shard.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct PeerId(pub u64);

/// How the shard writes to a connection.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Form {
    /// WARP envelopes with Recon bodies, each a whole unmasked WebSocket text frame (RFC 6455, 5.2).
    Warp,
    /// Server-Sent Events: `event: LANE`, `data: JSON`, `id: COMMIT`, and an empty line (WHATWG HTML, 9.2).
    Events,
}

/// One envelope of a peer: places in `Frames::text`.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    pub tag: Tag,
    pub node: Range<u32>,
    pub lane: Range<u32>,
    /// The body's Recon text, not yet checked; JSON where the peer's form is `Events`.
    pub body: Range<u32>,
    pub prio: f64,
    pub rate: f64,
}

/// What one read of a connection has brought: at most a few hundred envelopes in one allocation.
#[derive(Debug, Default)]
pub struct Frames {
    pub text: String,
    pub frames: Vec<Frame>,
}

impl Frames {
    /// Takes up an envelope that has been read from `text`.
    pub fn push(&mut self, message: &crate::warp::Message<'_>) {
        let mut put = |part: &str| {
            let start = self.text.len() as u32;
            self.text.push_str(part);
            start..self.text.len() as u32
        };
        let (node, lane, body) = (put(&message.node), put(&message.lane), put(message.body));
        self.frames.push(Frame { tag: message.tag, node, lane, body, prio: message.prio, rate: message.rate });
    }

    pub fn part(&self, place: &Range<u32>) -> &str {
        &self.text[place.start as usize..place.end as usize]
    }
}

/// What a connection may take up, at most; each is a setting (docs/settings.md).
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of envelopes that wait for the shard; past it the connection is not read.
    pub intake_bytes: usize,
    /// Bytes that wait to be written, over all links; past it the connection is closed (1008).
    pub queue_bytes: usize,
    /// Events of one link that wait, where none may be left out; past it the link is unlinked.
    pub queue_events: usize,
    /// Links open at a time.
    pub links: usize,
    /// Twins that the connection's links and commands may make.
    pub twins: usize,
}

/// A socket that takes bytes without blocking and without a thread's switch.
pub trait Direct: Send + Sync {
    /// Writes what it can at once. `WouldBlock`: nothing.
    fn write(&self, parts: &[IoSlice<'_>]) -> std::io::Result<usize>;
}

#[derive(Default)]
struct Intake {
    waiting: VecDeque<Frames>,
    bytes: usize,
    spares: Vec<Frames>,
    /// The connection is over: the shard drops its links.
    left: bool,
}

pub struct Peer {
    pub id: PeerId,
    pub form: Form,
    /// The request's path: relative node URIs resolve against it (RFC 3986, 5.2).
    pub base: String,
    /// The other end's address, for logs and for `allow`.
    pub remote: String,
    pub bounds: Bounds,
    /// The request's query and what the connection has said of itself, for `allow`.
    pub identity: Mutex<Identity>,
    exchange: Arc<Exchange>,
    /// Held for a push or a pop of a whole `Frames`; bounded by `Bounds::intake_bytes` and one read.
    intake: Mutex<Intake>,
    /// Whether the peer stands in the exchange's queue already.
    queued: AtomicBool,
    room: Notify,
    /// Held while events are put in and while a non-blocking write takes them out.
    outbox: Mutex<Outbox>,
    flush: Notify,
    direct: OnceLock<Arc<dyn Direct>>,
    /// Stands in `Links::touched`: the shard's thread alone reads and writes it.
    touched: AtomicBool,
    /// The outbox has let go of values that a demand lane waits for.
    taken: AtomicBool,
}

impl std::fmt::Debug for Peer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Peer({}, {})", self.id.0, self.remote)
    }
}

/// Who speaks; unauthenticated until something says otherwise.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Identity {
    /// The path and query of the connection's request.
    pub request: String,
    /// The claims of `@auth`, as Recon text; empty: none.
    pub claims: String,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // whoever panicked has left single pushes and pops behind, which are whole
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For the I/O threads.
impl Peer {
    /// Leaves envelopes for the shard. False: as many wait as may; `room` says when to read on.
    pub fn offer(self: &Arc<Self>, frames: Frames) -> bool {
        let full = {
            let mut intake = lock(&self.intake);
            intake.bytes += frames.text.len() + 1;
            intake.waiting.push_back(frames);
            intake.bytes >= self.bounds.intake_bytes
        };
        self.exchange.queue(self);
        !full
    }

    /// An emptied `Frames`, for its memory.
    pub fn spare(&self) -> Frames {
        lock(&self.intake).spares.pop().unwrap_or_default()
    }

    /// Waits until sockets are to be read: `Exchange::rest`.
    pub fn rest(&self) {
        self.exchange.rest();
    }

    /// Ends when fewer envelopes wait than may.
    pub async fn room(&self) {
        loop {
            let room = self.room.notified();
            let mut room = std::pin::pin!(room);
            room.as_mut().enable();
            if lock(&self.intake).bytes < self.bounds.intake_bytes {
                return;
            }
            room.await;
        }
    }

    /// The connection is over, for whatever reason: the shard drops its links.
    pub fn leave(self: &Arc<Self>) {
        lock(&self.intake).left = true;
        lock(&self.outbox).end();
        self.exchange.queue(self);
    }

    /// Lets commits write at once. Not for connections whose frames are changed on the way (permessage-deflate).
    pub fn directly(&self, socket: Arc<dyn Direct>) {
        _ = self.direct.set(socket);
    }

    pub fn outbox(&self) -> MutexGuard<'_, Outbox> {
        lock(&self.outbox)
    }

    /// Writes until nothing waits or the socket takes no more; demand lanes learn what has left.
    pub fn write(self: &Arc<Self>, socket: &dyn Direct) -> Flushed {
        let (flushed, has_taken) = {
            let mut outbox = self.outbox();
            (outbox.flush(socket), outbox.has_taken())
        };
        if has_taken {
            self.tell_taken();
        }
        flushed
    }

    /// The outbox has let go of values that a demand lane waits for.
    pub fn tell_taken(self: &Arc<Self>) {
        self.taken.store(true, Ordering::Release);
        self.exchange.queue(self);
    }

    /// Ends when the outbox has something that no commit could write at once; it may have been written meanwhile.
    pub async fn flush_wanted(&self) {
        self.flush.notified().await;
    }
}

/// For the shard's thread.
impl Peer {
    pub(crate) fn take(&self) -> Option<Frames> {
        let mut intake = lock(&self.intake);
        let frames = intake.waiting.pop_front()?;
        let before = intake.bytes;
        intake.bytes -= frames.text.len() + 1;
        if before >= self.bounds.intake_bytes && intake.bytes < self.bounds.intake_bytes {
            drop(intake);
            self.room.notify_waiters();
        }
        Some(frames)
    }

    pub(crate) fn give_back(&self, mut frames: Frames) {
        frames.text.clear();
        frames.frames.clear();
        let mut intake = lock(&self.intake);
        if intake.spares.len() < 2 && frames.text.capacity() <= 1 << 18 {
            intake.spares.push(frames);
        }
    }

    pub(crate) fn has_left(&self) -> bool {
        lock(&self.intake).left
    }

    pub(crate) fn has_waiting(&self) -> bool {
        !lock(&self.intake).waiting.is_empty()
    }

    /// Writes what waits, as far as the socket takes it at once; the rest is the I/O thread's.
    pub(crate) fn flush(self: &Arc<Self>) {
        let rest = match self.direct.get() {
            Some(socket) => self.write(&**socket),
            None => Flushed::Blocked,
        };
        match rest {
            Flushed::All => {}
            Flushed::Later | Flushed::Blocked | Flushed::Closed => self.flush.notify_one(),
        }
    }

    /// What has left the outbox since the last call.
    pub(crate) fn take_taken(&self) -> Vec<(LinkNumber, Bytes)> {
        match self.taken.swap(false, Ordering::AcqRel) {
            true => self.outbox().take_taken(),
            false => Vec::new(),
        }
    }

    pub fn identity(&self) -> Identity {
        lock(&self.identity).clone()
    }

    /// What the connection says of itself, as Recon text.
    pub(crate) fn claim(&self, claims: &str) {
        claims.clone_into(&mut lock(&self.identity).claims);
    }

    /// Marks the peer for the next flush; true: it was not marked yet.
    pub(crate) fn touch(&self) -> bool {
        !self.touched.swap(true, Ordering::Relaxed)
    }

    pub(crate) fn settle(&self) {
        self.touched.store(false, Ordering::Relaxed);
    }

    /// Closes the connection when what waits has been written: a WebSocket close code (RFC 6455, 7.4) and why.
    pub fn close(&self, code: u16, reason: &str) {
        self.outbox().close(code, reason);
        self.flush.notify_one();
    }
}

/// Where I/O threads and the shard meet.
pub struct Exchange {
    wake: Arc<Wake>,
    /// What leaves through connections waits at it.
    pub fence: Arc<Fence>,
    next: AtomicU64,
    /// Peers with something for the shard, each once; bounded by the number of connections.
    peers: Mutex<VecDeque<Arc<Peer>>>,
    /// Bounded by `ASKS`.
    asks: Mutex<VecDeque<Ask>>,
    closed: AtomicBool,
    /// Sockets are not read before, µs of `Outbox::now`.
    rest_until: AtomicI64,
    /// The server's threads while there is one: links to other servers use them, too. Held to read or set it.
    threads: Mutex<Option<tokio::runtime::Handle>>,
}

/// A write to many sockets costs microseconds for each: at ten thousand commands a second, each told to ten connections,
/// nearly all of the time. So the sockets are read again when this many times the last write's time has passed, and the
/// next write takes the events of all commands that have come meanwhile. As an Ethernet card moderates its interrupts.
const REST_FACTOR: i64 = 16;
/// Shorter rests are not worth a thread's sleep, µs.
const SHORTEST_REST: i64 = 150;
/// Fewer connections are written to at once: their events wait for nobody.
const FEWEST_WRITES: usize = 4;
/// What a rest may add to a command's time, µs.
const LONGEST_REST: i64 = 1000;
/// What one connection's write can cost, µs: more was somebody else's time.
const DEAREST_WRITE: i64 = 15;

/// HTTP requests that may wait for the shard; more are answered with 503.
const ASKS: usize = 4096;

impl Exchange {
    pub fn new(wake: Arc<Wake>) -> Arc<Self> {
        Arc::new(Exchange {
            wake,
            fence: Arc::default(),
            next: AtomicU64::new(1),
            peers: Mutex::default(),
            asks: Mutex::default(),
            closed: AtomicBool::new(false),
            rest_until: AtomicI64::new(0),
            threads: Mutex::default(),
        })
    }

    /// A new connection. The caller bounds their number.
    pub fn connect(self: &Arc<Self>, form: Form, request: &str, remote: String, bounds: Bounds) -> Arc<Peer> {
        Arc::new(Peer {
            id: PeerId(self.next.fetch_add(1, Ordering::Relaxed)),
            form,
            base: request.split('?').next().unwrap_or_default().to_owned(),
            remote,
            bounds,
            identity: Mutex::new(Identity { request: request.to_owned(), claims: String::new() }),
            exchange: Arc::clone(self),
            intake: Mutex::default(),
            queued: AtomicBool::new(false),
            room: Notify::new(),
            outbox: Mutex::new(Outbox::behind(bounds, Arc::clone(&self.fence))),
            flush: Notify::new(),
            direct: OnceLock::new(),
            touched: AtomicBool::new(false),
            taken: AtomicBool::new(false),
        })
    }

    /// There are threads for sockets from here on, or no more.
    pub fn lend_threads(&self, threads: Option<tokio::runtime::Handle>) {
        *lock(&self.threads) = threads;
    }

    pub(crate) fn threads(&self) -> Option<tokio::runtime::Handle> {
        lock(&self.threads).clone()
    }

    pub(crate) fn wake(&self) -> &Arc<Wake> {
        &self.wake
    }

    /// Hands a request to the shard. False: too many wait, or the shard takes no more; the request is dropped.
    pub fn ask(&self, ask: Ask) -> bool {
        if self.closed.load(Ordering::Acquire) {
            return false;
        }
        {
            let mut asks = lock(&self.asks);
            if asks.len() >= ASKS {
                return false;
            }
            asks.push_back(ask);
        }
        self.wake.ring();
        true
    }

    /// A commit was written to `count` connections, which took `cost` µs.
    pub(crate) fn rest_after(&self, cost: i64, count: usize) {
        if count < FEWEST_WRITES {
            return;
        }
        let rest = (cost.min(count as i64 * DEAREST_WRITE) * REST_FACTOR).min(LONGEST_REST);
        if rest >= SHORTEST_REST {
            self.rest_until.store(Outbox::now() + rest, Ordering::Relaxed);
        }
    }

    /// Waits, in an I/O thread, until sockets are to be read again: at most `LONGEST_REST`.
    pub fn rest(&self) {
        let until = self.rest_until.load(Ordering::Relaxed);
        if until != 0 {
            let rest = until - Outbox::now();
            if rest > 0 {
                std::thread::sleep(Duration::from_micros(rest.min(LONGEST_REST) as u64));
            }
            self.rest_until.store(0, Ordering::Relaxed);
        }
    }

    fn queue(&self, peer: &Arc<Peer>) {
        if !peer.queued.swap(true, Ordering::AcqRel) {
            lock(&self.peers).push_back(Arc::clone(peer));
            self.wake.ring();
        }
    }

    /// The next peer with something for the shard; the caller asks `take` and `has_left`, in this order.
    pub(crate) fn next_peer(&self) -> Option<Arc<Peer>> {
        let peer = lock(&self.peers).pop_front()?;
        peer.queued.store(false, Ordering::Release);
        Some(peer)
    }

    /// The peer has more: it stands at the end again, so that each has its turn.
    pub(crate) fn requeue(&self, peer: &Arc<Peer>) {
        if !peer.queued.swap(true, Ordering::AcqRel) {
            lock(&self.peers).push_back(Arc::clone(peer));
        }
    }

    pub(crate) fn next_ask(&self) -> Option<Ask> {
        lock(&self.asks).pop_front()
    }

    pub(crate) fn has_news(&self) -> bool {
        !lock(&self.peers).is_empty() || !lock(&self.asks).is_empty()
    }

    /// No more requests are taken; those that wait are dropped.
    pub(crate) fn close(&self) {
        self.closed.store(true, Ordering::Release);
        lock(&self.asks).clear();
    }
}
