//! One server that this shard has links to or commands for, as both sides see it: the shard's thread, and the task that
//! has the socket.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio::time::Instant;

use super::common::Common;
use super::line::Line;
use super::places::{Effects, Patience, Places, Wish};
use super::queue::{Queue, Room, Ticket, need};
use super::{RemoteNews, UplinkId};
use crate::limits::seconds;
use crate::outbox::Flushed;
use crate::warp::Message;

/// What has become of a command.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Outcome {
    /// It was written to the socket of a live connection.
    Written,
    /// It has waited too long without a connection.
    Late(String),
}

/// News that came together, and how many bytes of envelopes they were.
type Batch = (usize, Vec<RemoteNews>);

#[derive(Default)]
struct Incoming {
    waiting: VecDeque<Batch>,
    bytes: usize,
}

/// Locks are taken in this order: places, queue, incoming.
pub struct Host {
    /// `warp://host:port`.
    pub name: String,
    pub common: Arc<Common>,
    /// Held while the shard opens or closes a link, and while the task takes up what one read has brought.
    places: Mutex<Places>,
    /// Held while something is put in and while a non-blocking write takes it out.
    queue: Mutex<Queue>,
    /// Held for a push or a pop of a batch; bounded by `connection_intake` and one read.
    incoming: Mutex<Incoming>,
    /// Held for a push, or to take all; bounded by the queue.
    outcomes: Mutex<Vec<(Ticket, Outcome)>>,
    /// Why there is no connection; "" before the first attempt.
    trouble: Mutex<String>,
    queued: AtomicBool,
    /// There is a task.
    running: AtomicBool,
    closing: AtomicBool,
    /// Something is to be written, opened or closed.
    nudge: Notify,
    room: Notify,
    /// Stands in `Remotes::touched`: the shard's thread alone reads and writes it.
    pub touched: AtomicBool,
}

pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // whoever panicked has left single steps behind, which are whole
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// For the shard's thread.
impl Host {
    pub fn new(name: &str, common: &Arc<Common>) -> Arc<Host> {
        let patience = Patience {
            parting: seconds(common.limits.close_seconds),
            answer: seconds(common.limits.pong_seconds),
            absent: seconds(common.bounds.remote_first_pause),
            tries: common.bounds.remote_absent,
        };
        let room = Room { commands: common.bounds.remote_queue, bytes: common.limits.connection_queue };
        Arc::new(Host {
            name: name.to_owned(),
            common: Arc::clone(common),
            places: Mutex::new(Places::new(patience)),
            queue: Mutex::new(Queue::new(Arc::clone(&common.fence), room)),
            incoming: Mutex::default(),
            outcomes: Mutex::default(),
            trouble: Mutex::default(),
            queued: AtomicBool::new(false),
            running: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            nudge: Notify::new(),
            room: Notify::new(),
            touched: AtomicBool::new(false),
        })
    }

    /// Errors: as many links as may be open.
    pub fn open(self: &Arc<Self>, node: &str, lane: &str, mut wish: Wish, fresh: UplinkId) -> Result<UplinkId, String> {
        wish.need = need(&self.common.fence);
        let mut places = lock(&self.places);
        let bound = self.common.limits.connection_links;
        if places.len() >= bound && !places.has(node, lane) {
            return Err(format!("there are {bound} links to {} already (connection_links)", self.name));
        }
        let mut effects = Effects::default();
        let id = places.open(node, lane, wish, fresh, &mut effects);
        self.carry_out(effects, 0);
        Ok(id)
    }

    pub fn close(self: &Arc<Self>, node: &str, lane: &str, id: UplinkId) {
        let mut effects = Effects::default();
        let mut places = lock(&self.places);
        places.close(node, lane, id, need(&self.common.fence), &mut effects);
        self.carry_out(effects, 0);
    }

    /// Errors: as many commands wait as may; the setting that says so.
    pub fn command(&self, ticket: Ticket, text: Vec<u8>) -> Result<(), &'static str> {
        lock(&self.queue).command(ticket, text)
    }

    /// Writes what waits, as far as the socket takes it at once; the rest is the task's. False: something waits for a
    /// record.
    pub fn flush(&self) -> bool {
        let mut queue = lock(&self.queue);
        let connected = queue.is_connected();
        let flushed = queue.flush();
        let fenced = queue.is_fenced();
        self.note_done(&mut queue, false);
        drop(queue);
        if flushed != Flushed::All || !connected {
            self.nudge.notify_one();
        }
        !fenced
    }

    /// Takes the oldest news; and whether there are more.
    pub fn take(&self) -> (Option<Vec<RemoteNews>>, bool) {
        let mut incoming = lock(&self.incoming);
        let Some((bytes, news)) = incoming.waiting.pop_front() else { return (None, false) };
        let bound = self.common.limits.connection_intake;
        let was_full = incoming.bytes >= bound;
        incoming.bytes -= bytes;
        if was_full && incoming.bytes < bound {
            self.room.notify_one();
        }
        (Some(news), !incoming.waiting.is_empty())
    }

    /// Its turn comes again.
    pub fn requeue(self: &Arc<Self>) {
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.common.arrive(self);
        }
    }

    pub fn leaves(&self) {
        self.queued.store(false, Ordering::Release);
    }

    pub fn take_outcomes(&self) -> Vec<(Ticket, Outcome)> {
        std::mem::take(&mut *lock(&self.outcomes))
    }

    /// Marks that there is a task; false: there is one already.
    pub fn starts(&self) -> bool {
        let starts = !self.running.swap(true, Ordering::AcqRel);
        if starts {
            self.common.task_begins();
        }
        starts
    }

    pub fn is_running(&self) -> bool {
        self.running.load(Ordering::Acquire)
    }

    /// Its task ends, with a close frame.
    pub fn hang_up(&self) {
        self.closing.store(true, Ordering::Release);
        self.nudge.notify_one();
    }

    // -- how it is doing

    pub fn links(&self) -> usize {
        lock(&self.places).len()
    }

    pub fn commands(&self) -> usize {
        lock(&self.queue).commands()
    }

    pub fn is_connected(&self) -> bool {
        lock(&self.queue).is_connected()
    }

    /// Commands wait, and nothing is known that keeps them from being written.
    pub fn is_sending(&self) -> bool {
        let queue = lock(&self.queue);
        queue.commands() > 0 && (queue.is_connected() || lock(&self.trouble).is_empty())
    }

    pub fn trouble(&self) -> String {
        lock(&self.trouble).clone()
    }
}

/// For the task.
impl Host {
    pub fn is_closing(&self) -> bool {
        self.closing.load(Ordering::Acquire)
    }

    /// Until `hang_up`.
    pub async fn closed(&self) {
        while !self.is_closing() {
            self.nudge.notified().await;
        }
    }

    pub async fn nudged(&self) {
        self.nudge.notified().await;
    }

    pub async fn has_room(&self) {
        self.room.notified().await;
    }

    /// Nobody needs a connection.
    pub fn is_idle(&self) -> bool {
        let places = lock(&self.places);
        places.is_empty() && lock(&self.queue).is_empty()
    }

    /// The task ends, unless somebody needs it. True: it is over.
    pub fn rest(&self) -> bool {
        let places = lock(&self.places);
        let queue = lock(&self.queue);
        let over = self.is_closing() || places.is_empty() && queue.is_empty();
        if over {
            self.ends();
        }
        over
    }

    /// The task was ended from outside.
    pub fn died(self: &Arc<Self>) {
        self.broke(None);
        self.ends();
        self.common.stir();
    }

    fn ends(&self) {
        if self.running.swap(false, Ordering::AcqRel) {
            self.common.task_ends();
        }
    }

    pub fn begin(self: &Arc<Self>, line: Arc<Line>) {
        let mut places = lock(&self.places);
        lock(&self.trouble).clear();
        lock(&self.queue).begin(line);
        let mut effects = Effects::default();
        places.begin(&mut effects);
        self.carry_out(effects, 0);
    }

    /// There is no connection, for this reason. None: as before.
    pub fn broke(self: &Arc<Self>, reason: Option<&str>) {
        if let Some(reason) = reason {
            reason.clone_into(&mut lock(&self.trouble));
        }
        let mut places = lock(&self.places);
        lock(&self.queue).end(None);
        let mut effects = Effects::default();
        places.broke(&mut effects);
        self.carry_out(effects, 0);
        // a run that ends waits for this server no more
        self.common.wake.ring();
    }

    /// Lets go of the socket, with a close frame where none is cut in two. True: it was written.
    pub fn end_line(&self, farewell: Option<&[u8]>) -> bool {
        let mut queue = lock(&self.queue);
        let parted = queue.end(farewell);
        self.note_done(&mut queue, true);
        parted
    }

    /// Begins to take up what a read has brought.
    pub fn listen(self: &Arc<Self>) -> Hearing<'_> {
        Hearing { host: self, places: lock(&self.places), effects: Effects::default(), bytes: 0 }
    }

    pub fn next_due(&self) -> Option<Instant> {
        lock(&self.places).next_due()
    }

    pub fn tend(self: &Arc<Self>, now: Instant) {
        let mut effects = Effects::default();
        let mut places = lock(&self.places);
        places.tend(now, &mut effects);
        self.carry_out(effects, 0);
    }

    /// Writes what waits.
    pub fn write(&self) -> Flushed {
        let mut queue = lock(&self.queue);
        let flushed = queue.flush();
        self.note_done(&mut queue, true);
        flushed
    }

    pub fn control(&self, opcode: u8, payload: &[u8]) {
        lock(&self.queue).control(opcode, payload);
    }

    pub fn next_expiry(&self) -> Option<Instant> {
        lock(&self.queue).next_expiry(seconds(self.common.bounds.remote_seconds))
    }

    /// Gives up commands that have waited too long.
    pub fn expire(&self, now: Instant) {
        let patience = self.common.bounds.remote_seconds;
        let late = lock(&self.queue).expire(now, seconds(patience));
        if late.is_empty() {
            return;
        }
        let trouble = self.trouble();
        let reason = format!("no connection to {} within {patience} s (remote_seconds): {trouble}", self.name);
        lock(&self.outcomes).extend(late.into_iter().map(|ticket| (ticket, Outcome::Late(reason.clone()))));
        self.common.stir();
    }

    /// Fewer bytes wait for the shard than may.
    pub fn is_full(&self) -> bool {
        lock(&self.incoming).bytes >= self.common.limits.connection_intake
    }
}

impl Host {
    fn note_done(&self, queue: &mut Queue, stir: bool) {
        let done = queue.take_done();
        if !done.is_empty() {
            lock(&self.outcomes).extend(done.into_iter().map(|ticket| (ticket, Outcome::Written)));
            match stir {
                true => self.common.stir(),
                false => self.common.stir_quietly(),
            }
        }
    }

    /// The caller holds the places: news and requests keep their order. False: as much waits for the shard as may.
    fn carry_out(self: &Arc<Self>, effects: Effects, bytes: usize) -> bool {
        if !effects.asks.is_empty() && !lock(&self.queue).ask(effects.asks) {
            // it reads nothing: whatever is asked for is asked for again by the next connection
            "it takes less than is written to it (connection_queue)".clone_into(&mut lock(&self.trouble));
            lock(&self.queue).end(None);
            self.nudge.notify_one();
        }
        if effects.news.is_empty() {
            return !self.is_full();
        }
        let room = {
            let mut incoming = lock(&self.incoming);
            incoming.bytes += bytes;
            incoming.waiting.push_back((bytes, effects.news));
            incoming.bytes < self.common.limits.connection_intake
        };
        if !self.queued.swap(true, Ordering::AcqRel) {
            self.common.arrive(self);
        }
        self.common.wake.ring();
        room
    }
}

/// The envelopes of one read, on their way to the shard.
pub struct Hearing<'a> {
    host: &'a Arc<Host>,
    places: MutexGuard<'a, Places>,
    effects: Effects,
    bytes: usize,
}

impl Hearing<'_> {
    /// Errors: an event's body is no Recon.
    pub fn hear(&mut self, message: &Message<'_>) -> Result<(), String> {
        // what a value takes besides its text
        self.bytes += message.body.len() + 64;
        self.places.hear(message, &mut self.effects)
    }

    /// Hands them over. False: as much waits for the shard as may.
    pub fn end(self) -> bool {
        self.host.carry_out(self.effects, self.bytes)
    }
}

/// RFC 6455, 5.5.1: the code and the reason, 125 bytes at most.
pub fn close_payload(code: u16, reason: &str) -> Vec<u8> {
    let end = (0..=reason.len().min(123)).rev().find(|at| reason.is_char_boundary(*at)).unwrap_or(0);
    let mut payload = code.to_be_bytes().to_vec();
    payload.extend_from_slice(&reason.as_bytes()[..end]);
    payload
}
