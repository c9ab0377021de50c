//! What waits to be written to one connection. Each link has one ordered queue: a value lane's newest value replaces the
//! one that waits, a map lane's newest operation on a key replaces the one that waits in its place, a clear empties the
//! queue first; commands wait all, bounded, and so do a list's operations, but where too many wait the list is told anew. While the socket takes everything nothing is left out.

mod staging;

use std::collections::{BTreeMap, VecDeque};
use std::io::{ErrorKind, IoSlice};
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::FxHashMap;

use self::staging::{Staged, Staging};
use crate::journal::fence::Fence;
use crate::peer::{Bounds, Direct};

/// A link of this connection: an index that is used again when the link is gone.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct LinkNumber(pub u32);

/// What waits for one link.
#[derive(Clone, Debug, PartialEq)]
pub enum Item {
    /// linked, synced, and the events of a snapshot: never left out.
    Control(Bytes),
    /// A value lane's value.
    Value(Bytes),
    /// An operation on one key of a map lane.
    Entry(Bytes, Bytes),
    /// A map lane was emptied.
    Clear(Bytes),
    /// A command or a supply: all of them, in order.
    Ordered(Bytes),
    /// An operation on a list: all of them, in order, until the list is cleared or told anew.
    Delta(Bytes),
    /// A part of a list that is told anew: a clear, then its elements.
    Anew(Bytes),
}

impl Item {
    fn frame(&self) -> &Bytes {
        match self {
            Item::Control(frame) | Item::Value(frame) | Item::Clear(frame) | Item::Ordered(frame) => frame,
            Item::Delta(frame) | Item::Anew(frame) | Item::Entry(_, frame) => frame,
        }
    }

    /// A list that is told anew makes it void.
    fn is_of_list(&self) -> bool {
        matches!(self, Item::Delta(_) | Item::Anew(_))
    }
}

/// Why an event could not be put in.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Overflow {
    /// The link's events may not be left out, and as many wait as may.
    Link,
    /// The connection's bytes.
    Peer,
}

/// What a flush has left.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Flushed {
    All,
    /// What remains may be written at a later time only (a link's rate): `Outbox::next_due`.
    Later,
    /// The socket takes no more now.
    Blocked,
    /// The socket is gone, or all has been written and it is to be closed: `Outbox::closing`.
    Closed,
}

/// Bytes given to the socket in one go: what has been taken out of the queues can no longer be replaced.
const GULP: usize = 64 << 10;
/// Parts of one gathered write.
const PARTS: usize = 64;
/// Values of one link that wait beside each other while the socket takes everything: a burst, not a backlog.
const BURST: usize = 256;

struct Queue {
    items: VecDeque<Item>,
    /// Counts items ever taken from the front: an item's place is its number minus this.
    taken: u64,
    /// Key → number of the operation that waits.
    keys: FxHashMap<Bytes, u64>,
    /// Number of the newest value that waits.
    newest: Option<u64>,
    values: usize,
    ordered: usize,
    rank: i64,
    /// Least time between two of its events, µs; 0: as fast as it goes.
    interval: i64,
    due: i64,
    ready: bool,
    /// The shard wants to know when a value has left it.
    tells: bool,
}

pub struct Outbox {
    bounds: Bounds,
    staging: Staging,
    /// Pongs, refusals and farewells: before all links.
    control: VecDeque<Bytes>,
    queues: Vec<Option<Queue>>,
    free: Vec<u32>,
    /// Links with something to write, by rank (higher prio first); each once.
    ready: BTreeMap<i64, VecDeque<u32>>,
    /// Links that wait for their time, by it.
    later: BTreeMap<(i64, u32), ()>,
    /// Taken out of the queues, not yet in the socket.
    writing: VecDeque<Bytes>,
    /// Values in `writing` whose links want to know; with their keys, empty for a value lane's.
    handed: Vec<(LinkNumber, Bytes)>,
    /// Those that are in the socket: until the shard takes them, which bounds both.
    taken: Vec<(LinkNumber, Bytes)>,
    /// Bytes of the first of `writing` that are in the socket already.
    written: usize,
    bytes: usize,
    blocked: bool,
    closing: Option<(u16, String)>,
    ended: bool,
}

impl Outbox {
    pub fn new(bounds: Bounds) -> Self {
        Outbox::behind(bounds, Arc::default())
    }

    /// What is put in while the fence is up waits for `release`.
    pub fn behind(bounds: Bounds, fence: Arc<Fence>) -> Self {
        Outbox {
            bounds,
            staging: Staging::behind(fence),
            control: VecDeque::new(),
            queues: Vec::new(),
            free: Vec::new(),
            ready: BTreeMap::new(),
            later: BTreeMap::new(),
            writing: VecDeque::new(),
            handed: Vec::new(),
            taken: Vec::new(),
            written: 0,
            bytes: 0,
            blocked: false,
            closing: None,
            ended: false,
        }
    }

    // -- links

    /// A queue for a new link. Higher `prio` is written first; `rate` is events a second at most, 0: all of them.
    pub fn open(&mut self, prio: f64, rate: f64) -> LinkNumber {
        let queue = Queue {
            items: VecDeque::new(),
            taken: 0,
            keys: FxHashMap::default(),
            newest: None,
            values: 0,
            ordered: 0,
            rank: rank(prio),
            interval: interval(rate),
            due: 0,
            ready: false,
            tells: false,
        };
        match self.free.pop() {
            Some(at) => {
                self.queues[at as usize] = Some(queue);
                LinkNumber(at)
            }
            None => {
                self.queues.push(Some(queue));
                LinkNumber(self.queues.len() as u32 - 1)
            }
        }
    }

    /// From here on `take_taken` gives this link's values that are in the socket.
    pub fn tell_taken(&mut self, link: LinkNumber) {
        if let Some(Some(queue)) = self.queues.get_mut(link.0 as usize) {
            queue.tells = true;
        }
    }

    pub fn has_taken(&self) -> bool {
        !self.taken.is_empty()
    }

    /// Values that have left since the last call: their links, and their keys, empty for a value lane's.
    pub fn take_taken(&mut self) -> Vec<(LinkNumber, Bytes)> {
        std::mem::take(&mut self.taken)
    }

    /// Another prio and rate, from the next event on.
    pub fn retune(&mut self, link: LinkNumber, prio: f64, rate: f64) {
        let Some(queue) = self.queues[link.0 as usize].as_mut() else { return };
        (queue.rank, queue.interval) = (rank(prio), interval(rate));
        if queue.interval == 0 {
            self.later.remove(&(queue.due, link.0));
            queue.due = 0;
            queue.ready = false;
            self.make_ready(link.0);
        }
    }

    // -- the release fence

    /// Something waits for a record.
    pub fn is_staged(&self) -> bool {
        !self.staging.is_empty()
    }

    /// Lets out what waited for records that are durable. Gives the links whose queues had no room.
    pub fn release(&mut self) -> Vec<(LinkNumber, Overflow)> {
        let mut slow = Vec::new();
        while let Some(staged) = self.staging.pop() {
            match staged {
                Staged::Put(link, item) => {
                    if let Err(overflow) = self.put_now(link, item) {
                        slow.push((link, overflow));
                    }
                }
                Staged::Shut(link, farewell) => self.shut_now(link, farewell),
                Staged::Control(frame) => self.control(frame),
                Staged::Close(code, reason) => self.close_now(code, &reason),
            }
        }
        slow
    }

    /// Ends a link: what answers its own requests is still written, then `farewell`; its events are not.
    pub fn shut(&mut self, link: LinkNumber, farewell: Option<Bytes>) {
        if self.staging.must_wait() && !self.ended {
            self.staging.push(Staged::Shut(link, farewell));
        } else {
            self.shut_now(link, farewell);
        }
    }

    fn shut_now(&mut self, link: LinkNumber, farewell: Option<Bytes>) {
        let Some(queue) = self.queues[link.0 as usize].take() else { return };
        self.later.remove(&(queue.due, link.0));
        if queue.ready
            && let Some(ready) = self.ready.get_mut(&queue.rank)
        {
            ready.retain(|other| *other != link.0);
        }
        for item in queue.items {
            match item {
                Item::Control(frame) => self.control.push_back(frame),
                item => self.bytes -= item.frame().len(),
            }
        }
        if let Some(frame) = farewell {
            self.control(frame);
        }
        self.free.push(link.0);
    }

    /// Puts an event in; where one waits that it makes void, in its place.
    ///
    /// Errors: more waits than may. Nothing was put in.
    pub fn put(&mut self, link: LinkNumber, item: Item) -> Result<(), Overflow> {
        if !self.staging.must_wait() || self.ended || self.closing.is_some() {
            return self.put_now(link, item);
        }
        if self.bytes() + item.frame().len() > self.bounds.queue_bytes {
            return Err(Overflow::Peer);
        }
        self.staging.push(Staged::Put(link, item));
        Ok(())
    }

    fn put_now(&mut self, link: LinkNumber, item: Item) -> Result<(), Overflow> {
        if self.ended || self.closing.is_some() {
            return Ok(());
        }
        let Some(Some(queue)) = self.queues.get_mut(link.0 as usize) else { return Ok(()) };
        let size = item.frame().len();
        // a burst that the socket will take is no reason to leave anything out
        let spacious = !self.blocked && queue.interval == 0 && queue.values < BURST;
        match &item {
            Item::Value(_) => {
                if let (false, Some(newest)) = (spacious, queue.newest) {
                    self.bytes += size;
                    self.bytes -=
                        std::mem::replace(&mut queue.items[(newest - queue.taken) as usize], item).frame().len();
                    return Ok(());
                }
            }
            Item::Entry(key, _) => {
                if let (false, Some(waiting)) = (spacious, queue.keys.get(key)) {
                    let waiting = (*waiting - queue.taken) as usize;
                    self.bytes += size;
                    self.bytes -= std::mem::replace(&mut queue.items[waiting], item).frame().len();
                    return Ok(());
                }
            }
            Item::Clear(_) => {
                if !spacious {
                    let bytes = &mut self.bytes;
                    queue.items.retain(|item| {
                        let stays = matches!(item, Item::Control(_) | Item::Ordered(_));
                        if !stays {
                            *bytes -= item.frame().len();
                        }
                        stays
                    });
                    queue.values = 0;
                    queue.ordered = queue.items.iter().filter(|item| matches!(item, Item::Ordered(_))).count();
                }
                queue.keys.clear();
                queue.newest = None;
            }
            Item::Ordered(_) | Item::Delta(_) if queue.ordered >= self.bounds.queue_events => {
                return Err(Overflow::Link);
            }
            Item::Ordered(_) | Item::Control(_) | Item::Delta(_) | Item::Anew(_) => {}
        }
        if self.bytes + size > self.bounds.queue_bytes {
            // a list may be shorter than what has been done to it
            let is_delta = matches!(item, Item::Delta(_)) && queue.ordered > 0;
            return Err(if is_delta { Overflow::Link } else { Overflow::Peer });
        }
        let number = queue.taken + queue.items.len() as u64;
        match &item {
            Item::Value(_) => {
                queue.newest = Some(number);
                queue.values += 1;
            }
            Item::Entry(key, _) => {
                queue.keys.insert(key.clone(), number);
                queue.values += 1;
            }
            Item::Ordered(_) | Item::Delta(_) => queue.ordered += 1,
            Item::Control(_) => {
                // it may be a snapshot's event: what is newer must not take a place before it
                queue.newest = None;
                queue.keys.clear();
            }
            Item::Clear(_) | Item::Anew(_) => {}
        }
        self.bytes += size;
        queue.items.push_back(item);
        if !queue.ready && queue.due == 0 {
            self.make_ready(link.0);
        }
        Ok(())
    }

    /// Tells a list anew, by these frames, in the place of all that waits of it.
    ///
    /// Errors: they are more than the connection's bytes.
    pub fn renew(&mut self, link: LinkNumber, frames: Vec<Bytes>) -> Result<(), Overflow> {
        self.staging.forget_list(link);
        if let Some(Some(queue)) = self.queues.get_mut(link.0 as usize) {
            let bytes = &mut self.bytes;
            queue.items.retain(|item| {
                if item.is_of_list() {
                    *bytes -= item.frame().len();
                }
                !item.is_of_list()
            });
            (queue.ordered, queue.newest) = (0, None);
            queue.keys.clear();
        }
        frames.into_iter().try_for_each(|frame| self.put(link, Item::Anew(frame)))
    }

    fn make_ready(&mut self, link: u32) {
        if let Some(Some(queue)) = self.queues.get_mut(link as usize)
            && !queue.ready
            && !queue.items.is_empty()
        {
            queue.ready = true;
            self.ready.entry(queue.rank).or_default().push_back(link);
        }
    }

    /// Links that are open.
    pub fn links(&self) -> usize {
        self.queues.len() - self.free.len()
    }

    // -- the connection

    /// A whole frame that goes before all links': a pong, a refusal.
    pub fn control(&mut self, frame: Bytes) {
        if !self.ended {
            self.bytes += frame.len();
            self.control.push_back(frame);
        }
    }

    /// The shard's answer to something that is no link's: as `control`, behind the fence.
    pub fn say(&mut self, frame: Bytes) {
        if self.staging.must_wait() && !self.ended {
            self.staging.push(Staged::Control(frame));
        } else {
            self.control(frame);
        }
    }

    /// Nothing more is put in; when all has been written, the connection is closed. The first reason stands.
    pub fn close(&mut self, code: u16, reason: &str) {
        if self.staging.must_wait() && !self.ended {
            self.staging.push(Staged::Close(code, reason.to_owned()));
        } else {
            self.close_now(code, reason);
        }
    }

    fn close_now(&mut self, code: u16, reason: &str) {
        if self.closing.is_none() {
            self.closing = Some((code, reason.to_owned()));
        }
    }

    /// Closes without writing what waits: whoever does not read will not read that either.
    pub fn abandon(&mut self, code: u16, reason: &str) {
        self.staging.clear();
        self.close_now(code, reason);
        self.control.clear();
        self.ready.clear();
        self.later.clear();
        for queue in self.queues.iter_mut().flatten() {
            queue.items.clear();
            queue.keys.clear();
            queue.newest = None;
            queue.ready = false;
        }
        self.bytes = self.writing.iter().map(Bytes::len).sum();
    }

    /// The code and the reason for closing, once it has been decided on.
    pub fn closing(&self) -> Option<(u16, &str)> {
        self.closing.as_ref().map(|(code, reason)| (*code, reason.as_str()))
    }

    /// The connection is gone: nothing is kept and nothing taken any more.
    pub fn end(&mut self) {
        self.abandon(1006, "the connection is gone");
        self.writing.clear();
        self.handed.clear();
        self.taken.clear();
        self.bytes = 0;
        self.ended = true;
    }

    /// Bytes that wait.
    pub fn bytes(&self) -> usize {
        self.bytes + self.staging.bytes()
    }

    /// When the first of the links that wait for their time may go on, in µs of `Outbox::now`.
    pub fn next_due(&self) -> Option<i64> {
        self.later.keys().next().map(|(due, _)| *due)
    }

    /// Real time, µs from an arbitrary start.
    pub fn now() -> i64 {
        crate::clock::elapsed()
    }

    // -- taking out

    /// The next whole frame, for a writer that changes frames on their way. What it takes is written.
    pub fn pop(&mut self) -> Option<Bytes> {
        self.fill();
        let frame = self.writing.pop_front()?;
        self.bytes -= frame.len();
        Some(frame)
    }

    /// Writes until nothing waits or the socket takes no more.
    pub fn flush(&mut self, socket: &dyn Direct) -> Flushed {
        loop {
            self.fill();
            if self.ended {
                return Flushed::Closed;
            }
            let Some(first) = self.writing.front() else {
                self.blocked = false;
                return match (&self.closing, self.later.is_empty()) {
                    (Some(_), _) => Flushed::Closed,
                    (None, true) => Flushed::All,
                    (None, false) => Flushed::Later,
                };
            };
            let result = if self.writing.len() == 1 {
                socket.write(&[IoSlice::new(&first[self.written..])])
            } else {
                let mut parts = [IoSlice::new(&[]); PARTS];
                let mut count = 0;
                for (part, frame) in parts.iter_mut().zip(&self.writing) {
                    *part = IoSlice::new(if count == 0 { &frame[self.written..] } else { frame });
                    count += 1;
                }
                socket.write(&parts[..count])
            };
            match result {
                Ok(0) => return self.gone(),
                Ok(count) => self.wrote(count),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    self.blocked = true;
                    return Flushed::Blocked;
                }
                Err(_) => return self.gone(),
            }
        }
    }

    fn gone(&mut self) -> Flushed {
        self.end();
        Flushed::Closed
    }

    fn wrote(&mut self, count: usize) {
        self.bytes -= count;
        self.written += count;
        while let Some(first) = self.writing.front()
            && self.written >= first.len()
        {
            self.written -= first.len();
            self.writing.pop_front();
        }
    }

    /// Takes frames out of the queues until a gulp is full.
    fn fill(&mut self) {
        if self.writing.is_empty() && !self.handed.is_empty() {
            self.taken.append(&mut self.handed);
        }
        let mut gulp: usize = self.writing.iter().map(Bytes::len).sum();
        if !self.later.is_empty() {
            self.let_in(Self::now());
        }
        while gulp < GULP && self.writing.len() < PARTS {
            if let Some(frame) = self.control.pop_front() {
                gulp += frame.len();
                self.writing.push_back(frame);
                continue;
            }
            let Some(mut entry) = self.ready.first_entry() else { return };
            let Some(link) = entry.get_mut().pop_front() else {
                entry.remove();
                continue;
            };
            let Some(queue) = self.queues[link as usize].as_mut() else { continue };
            queue.ready = false;
            let Some(item) = queue.items.pop_front() else { continue };
            let number = queue.taken;
            queue.taken += 1;
            let mut event = true;
            match &item {
                Item::Value(_) => {
                    queue.values -= 1;
                    if queue.newest == Some(number) {
                        queue.newest = None;
                    }
                }
                Item::Entry(key, _) => {
                    queue.values -= 1;
                    if queue.keys.get(key) == Some(&number) {
                        queue.keys.remove(key);
                    }
                }
                Item::Ordered(_) | Item::Delta(_) => queue.ordered -= 1,
                Item::Clear(_) | Item::Anew(_) => {}
                Item::Control(_) => event = false,
            }
            if queue.tells {
                match &item {
                    Item::Value(_) => self.handed.push((LinkNumber(link), Bytes::new())),
                    Item::Entry(key, _) => self.handed.push((LinkNumber(link), key.clone())),
                    Item::Control(_) | Item::Clear(_) | Item::Ordered(_) | Item::Delta(_) | Item::Anew(_) => {}
                }
            }
            let frame = item.frame().clone();
            gulp += frame.len();
            self.writing.push_back(frame);
            if event && queue.interval > 0 {
                queue.due = Self::now() + queue.interval;
                self.later.insert((queue.due, link), ());
            } else if !queue.items.is_empty() {
                queue.ready = true;
                entry.get_mut().push_back(link);
            }
        }
    }

    /// Links whose time has come.
    fn let_in(&mut self, now: i64) {
        while let Some((&(due, link), ())) = self.later.first_key_value()
            && due <= now
        {
            self.later.remove(&(due, link));
            if let Some(Some(queue)) = self.queues.get_mut(link as usize) {
                queue.due = 0;
            }
            self.make_ready(link);
        }
    }
}

fn rank(prio: f64) -> i64 {
    -(prio.clamp(-1e9, 1e9) * 1e6) as i64
}

fn interval(rate: f64) -> i64 {
    if rate > 0.0 { (1e6 / rate).min(3.6e9) as i64 } else { 0 }
}

/// An unmasked WebSocket text frame (RFC 6455, 5.2).
pub fn text_frame(payload: &[u8]) -> Bytes {
    let mut frame = Vec::with_capacity(payload.len() + 10);
    frame.push(0x81);
    match payload.len() {
        length @ 0..126 => frame.push(length as u8),
        length @ 126..=0xffff => {
            frame.push(126);
            frame.extend_from_slice(&(length as u16).to_be_bytes());
        }
        length => {
            frame.push(127);
            frame.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
    frame.extend_from_slice(payload);
    frame.into()
}

#[cfg(test)]
mod tests;
