//! The links of one connection, by node and lane: what has been asked for, what the server has answered, who uses it.
//! Knows no socket: it says what to send and what to tell.

use std::collections::BTreeMap;
use std::hash::{Hash, Hasher};
use std::time::Duration;

use hashbrown::HashTable;
use rustc_hash::FxHasher;
use tokio::time::Instant;

use super::event::operation;
use super::{RemoteNews, Shape, UplinkId};
use crate::links::address;
use crate::recon::read_body;
use crate::value::Value;
use crate::warp::{Message, Tag, normalise};

/// Waits that the server's silence ends.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// After an `unlinked` without a reason: a server that stops says so to every link, and closes the connection then.
    pub parting: Duration,
    /// For the answer to an `unlink`.
    pub answer: Duration,
    /// Before a node is asked for again that a server which has come back does not know, growing by `GROWTH` …
    pub absent: Duration,
    /// … so many times.
    pub tries: u32,
}

/// How pauses grow.
pub const GROWTH: f64 = 1.8;

/// What a link wants.
#[derive(Clone, Copy, Debug)]
pub struct Wish {
    pub shape: Shape,
    /// The present state, too.
    pub sync: bool,
    pub prio: f64,
    pub rate: f64,
    /// The record before which it must not leave; 0: none.
    pub need: u64,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum State {
    /// Asked for, or to be asked for when there is a connection.
    Asked,
    Linked,
    /// The server has ended it without a reason.
    Parting,
    /// The server that has come back does not know the node yet.
    Absent,
}

#[derive(Debug)]
struct Place {
    node: String,
    lane: String,
    wish: Wish,
    /// Who is told, each in its own shape. None: it is closed here, and the answer to `unlink` is to come.
    views: Vec<(UplinkId, Shape)>,
    state: State,
    was_linked: bool,
    /// Its users know that there is no connection.
    told: bool,
    /// Answers to `unlink` that are to come; what comes before them belongs to the link that was closed.
    leaving: u32,
    tries: u32,
    due: Option<Instant>,
}

/// What is to be done after a change.
#[derive(Debug, Default)]
pub struct Effects {
    pub news: Vec<RemoteNews>,
    /// Envelopes to send, each with the record that it waits for.
    pub asks: Vec<(u64, Vec<u8>)>,
}

#[derive(Debug)]
pub struct Places {
    patience: Patience,
    slots: Vec<Option<Place>>,
    free: Vec<u32>,
    by_name: HashTable<u32>,
    /// Places whose wait ends; the earliest first.
    due: BTreeMap<(Instant, u32), ()>,
    /// There is a connection.
    live: bool,
}

fn hash(node: &str, lane: &str) -> u64 {
    let mut hasher = FxHasher::default();
    (node, lane).hash(&mut hasher);
    hasher.finish()
}

impl Place {
    fn request(&self) -> (u64, Vec<u8>) {
        let tag = if self.wish.sync { Tag::Sync } else { Tag::Link };
        (self.wish.need, address(tag, &self.node, &self.lane, self.wish.prio, self.wish.rate))
    }

    fn unlink(&self) -> (u64, Vec<u8>) {
        (self.wish.need, address(Tag::Unlink, &self.node, &self.lane, 0.0, 0.0))
    }

    fn tell(&self, news: &mut Vec<RemoteNews>, what: impl Fn(UplinkId) -> RemoteNews) {
        news.extend(self.views.iter().map(|(id, _)| what(*id)));
    }

    fn linked(&mut self, news: &mut Vec<RemoteNews>) {
        if self.state != State::Linked {
            (self.state, self.was_linked, self.told, self.tries) = (State::Linked, true, false, 0);
            self.tell(news, RemoteNews::Linked);
        }
    }
}

impl Places {
    pub fn new(patience: Patience) -> Self {
        Places {
            patience,
            slots: Vec::new(),
            free: Vec::new(),
            by_name: HashTable::new(),
            due: BTreeMap::new(),
            live: false,
        }
    }

    pub fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Whether this lane is linked, or on its way in or out.
    pub fn has(&self, node: &str, lane: &str) -> bool {
        self.find(node, lane).is_some()
    }

    fn find(&self, node: &str, lane: &str) -> Option<u32> {
        let same =
            |at: &u32| self.slots[*at as usize].as_ref().is_some_and(|place| place.node == node && place.lane == lane);
        self.by_name.find(hash(node, lane), same).copied()
    }

    fn insert(&mut self, place: Place) -> u32 {
        let at = self.free.pop().unwrap_or(self.slots.len() as u32);
        let hashed = hash(&place.node, &place.lane);
        if at as usize == self.slots.len() {
            self.slots.push(None);
        }
        self.slots[at as usize] = Some(place);
        let slots = &self.slots;
        let rehash = |at: &u32| slots[*at as usize].as_ref().map_or(0, |place| hash(&place.node, &place.lane));
        self.by_name.insert_unique(hashed, at, rehash);
        at
    }

    fn remove(&mut self, at: u32) {
        let Some(place) = self.slots[at as usize].take() else { return };
        if let Ok(entry) = self.by_name.find_entry(hash(&place.node, &place.lane), |other| *other == at) {
            entry.remove();
        }
        if let Some(due) = place.due {
            self.due.remove(&(due, at));
        }
        self.free.push(at);
    }

    fn wait(&mut self, at: u32, until: Option<Instant>) {
        let Some(place) = self.slots[at as usize].as_mut() else { return };
        if let Some(before) = std::mem::replace(&mut place.due, until) {
            self.due.remove(&(before, at));
        }
        if let Some(until) = until {
            self.due.insert((until, at), ());
        }
    }

    // -- for the shard

    /// Opens a link, or another view of one; gives the view's id, which is `fresh` where there was none in this shape.
    /// `node` and `lane` are in their normal form.
    pub fn open(&mut self, node: &str, lane: &str, wish: Wish, fresh: UplinkId, effects: &mut Effects) -> UplinkId {
        let view = (fresh, wish.shape);
        let Some(at) = self.find(node, lane) else {
            let place = Place {
                node: node.to_owned(),
                lane: lane.to_owned(),
                wish,
                views: vec![view],
                state: State::Asked,
                was_linked: false,
                told: false,
                leaving: 0,
                tries: 0,
                due: None,
            };
            if self.live {
                effects.asks.push(place.request());
            }
            self.insert(place);
            return fresh;
        };
        let live = self.live;
        let Some(place) = self.slots[at as usize].as_mut() else { return fresh };
        if place.views.is_empty() {
            place.views.push(view);
            (place.wish, place.state, place.was_linked, place.tries) = (wish, State::Asked, false, 0);
            if live {
                effects.asks.push(place.request());
            }
            return fresh;
        }
        let known = place.views.iter().find(|(_, shape)| *shape == wish.shape).map(|(id, _)| *id);
        if known.is_none() {
            place.views.push(view);
            match place.state {
                State::Linked => effects.news.push(RemoteNews::Linked(fresh)),
                _ if place.told => effects.news.push(RemoteNews::Broken(fresh)),
                _ => {}
            }
        }
        let before = place.wish;
        // as often as the one who wants it most often
        let rate = if before.rate == 0.0 || wish.rate == 0.0 { 0.0 } else { before.rate.max(wish.rate) };
        let prio = before.prio.max(wish.prio);
        place.wish =
            Wish { sync: before.sync || wish.sync, prio, rate, need: before.need.max(wish.need), ..place.wish };
        let retuned = prio != before.prio || rate != before.rate;
        let again = match place.state {
            State::Linked => wish.sync || retuned,
            // the answer to what was asked is still to come, with the whole state where that was asked for
            State::Asked => wish.sync && !before.sync || retuned,
            State::Parting | State::Absent => false,
        };
        if live && again {
            // without a user who wants the state, none is sent
            let tag = if wish.sync { Tag::Sync } else { Tag::Link };
            effects.asks.push((place.wish.need, address(tag, node, lane, prio, rate)));
        }
        known.unwrap_or(fresh)
    }

    /// Closes a view; the last one unlinks. One that is not there is closed already.
    pub fn close(&mut self, node: &str, lane: &str, id: UplinkId, need: u64, effects: &mut Effects) {
        let Some(at) = self.find(node, lane) else { return };
        let Some(place) = self.slots[at as usize].as_mut() else { return };
        let before = place.views.len();
        place.views.retain(|(view, _)| *view != id);
        if before == 0 || !place.views.is_empty() {
            return;
        }
        if self.live && matches!(place.state, State::Asked | State::Linked) {
            place.leaving += 1;
            place.wish.need = place.wish.need.max(need);
            effects.asks.push(place.unlink());
            self.wait(at, Some(Instant::now() + self.patience.answer));
        } else if place.leaving == 0 {
            self.remove(at);
        }
    }

    // -- for the connection

    /// There is a connection: everything is asked for.
    pub fn begin(&mut self, effects: &mut Effects) {
        self.live = true;
        for place in self.slots.iter_mut().flatten() {
            place.state = State::Asked;
            effects.asks.push(place.request());
        }
    }

    /// There is none, or none could be made.
    pub fn broke(&mut self, effects: &mut Effects) {
        self.live = false;
        self.due.clear();
        for at in 0..self.slots.len() as u32 {
            let Some(place) = self.slots[at as usize].as_mut() else { continue };
            (place.due, place.leaving, place.state) = (None, 0, State::Asked);
            if place.views.is_empty() {
                self.remove(at);
                continue;
            }
            if !place.told {
                place.told = true;
                place.tell(&mut effects.news, RemoteNews::Broken);
            }
        }
    }

    /// Takes up an envelope of the server's. One of a link that nobody has asked for is passed over.
    ///
    /// Errors: an event's body is no Recon.
    pub fn hear(&mut self, message: &Message<'_>, effects: &mut Effects) -> Result<(), String> {
        // servers may write escapes in another way than they were written to them
        let Some(at) = self.find(&normalise(&message.node), &normalise(&message.lane)) else { return Ok(()) };
        let Some(place) = self.slots[at as usize].as_mut() else { return Ok(()) };
        if place.leaving > 0 {
            if message.tag == Tag::Unlinked {
                place.leaving -= 1;
                if place.leaving == 0 {
                    self.wait(at, None);
                    if self.slots[at as usize].as_ref().is_some_and(|place| place.views.is_empty()) {
                        self.remove(at);
                    }
                }
            }
            return Ok(());
        }
        match message.tag {
            Tag::Linked => place.linked(&mut effects.news),
            Tag::Event => {
                place.linked(&mut effects.news);
                for (id, shape) in &place.views {
                    if let Some(operation) = operation(*shape, message.body)? {
                        effects.news.push(RemoteNews::Event(*id, operation));
                    }
                }
            }
            Tag::Synced => {
                place.linked(&mut effects.news);
                place.tell(&mut effects.news, RemoteNews::Synced);
            }
            Tag::Unlinked => self.unlinked(at, message.body, effects),
            _ => {}
        }
        Ok(())
    }

    fn unlinked(&mut self, at: u32, body: &str, effects: &mut Effects) {
        let reason = reason_of(body);
        let Some(place) = self.slots[at as usize].as_mut() else { return };
        match place.state {
            State::Linked if reason.is_empty() => {
                place.state = State::Parting;
                let until = Instant::now() + self.patience.parting;
                self.wait(at, Some(until));
            }
            State::Asked if place.was_linked && reason == "nodeNotFound" && place.tries < self.patience.tries => {
                let pause = self.patience.absent.mul_f64(GROWTH.powi(place.tries as i32));
                place.state = State::Absent;
                place.tries += 1;
                self.wait(at, Some(Instant::now() + pause));
            }
            State::Absent => {}
            state => {
                if state == State::Asked {
                    // swim-java answers no further request for what it has refused before it is told so (warp.md, 5)
                    effects.asks.push(place.unlink());
                }
                self.end(at, &reason, effects);
            }
        }
    }

    fn end(&mut self, at: u32, reason: &str, effects: &mut Effects) {
        if let Some(place) = &self.slots[at as usize] {
            place.tell(&mut effects.news, |id| RemoteNews::Unlinked(id, reason.to_owned()));
        }
        self.remove(at);
    }

    pub fn next_due(&self) -> Option<Instant> {
        self.due.keys().next().map(|(due, _)| *due)
    }

    /// Waits that are over.
    pub fn tend(&mut self, now: Instant, effects: &mut Effects) {
        while let Some(((due, at), ())) = self.due.first_key_value().map(|(key, ())| (*key, ()))
            && due <= now
        {
            self.wait(at, None);
            let Some(place) = self.slots[at as usize].as_mut() else { continue };
            match place.state {
                _ if place.leaving > 0 => {
                    place.leaving = 0;
                    if place.views.is_empty() {
                        self.remove(at);
                    } else {
                        effects.asks.push(place.request());
                    }
                }
                State::Parting => self.end(at, "", effects),
                State::Absent => {
                    place.state = State::Asked;
                    effects.asks.push(place.unlink());
                    effects.asks.push(place.request());
                }
                State::Asked | State::Linked => {}
            }
        }
    }
}

/// `nodeNotFound` of `@nodeNotFound`; a text as it is; "" where there is none.
fn reason_of(body: &str) -> String {
    match read_body(body) {
        Ok(Value::Text(text)) => text.to_string(),
        Ok(Value::Null) => String::new(),
        Ok(Value::Map(members)) => match &members[..] {
            [(name, Value::Null)] => name.trim_start_matches('@').to_owned(),
            _ => body.to_owned(),
        },
        _ => body.to_owned(),
    }
}

#[cfg(test)]
mod tests;
