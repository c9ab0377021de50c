//! What links to demand lanes are owed. A turn that cues leaves it here; a lane is computed while somebody is owed a value
//! and has taken the one before, so that it is computed as fast as they read and never for nobody.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use rustc_hash::{FxHashMap, FxHashSet};

use super::audience::{Audience, Listener, News};
use super::telling::touch;
use super::{LinkId, LinkInfo, Links, Operation, Place, event};
use crate::outbox::{Item, LinkNumber, Overflow};
use crate::peer::PeerId;
use crate::population::PopulationId;
use crate::value::Value;

/// What a turn tells those who listen, once it is kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Telling {
    /// An item of a supply lane.
    Item { supply: u16, item: Value },
    /// A demand lane's value may have changed; of a demand-map lane, that of a key.
    Cue { demand: u16, key: Option<Value> },
    /// A key of a demand-map lane is gone.
    Gone { demand: u16, key: Value },
}

/// What one link to a demand lane waits for. A key is empty where the lane has one value.
#[derive(Debug, Default)]
pub(super) struct Demanded {
    /// Owed, in the order of the cues; those that are not in `owed` any more have been told. Bounded by `link_queue`.
    order: VecDeque<(Bytes, Value)>,
    owed: FxHashSet<Bytes>,
    /// Put into the outbox and not taken out of it.
    unsent: FxHashSet<Bytes>,
    /// Owed when `unsent` has it no more; bounded by it.
    held: FxHashMap<Bytes, Value>,
    /// Requests for the present state that wait; bounded by what may wait of a connection.
    syncs: u32,
}

/// What is to be computed next of a lane.
#[derive(Debug, PartialEq)]
pub enum Due {
    /// All of it, for those who have asked for its present state.
    State(LinkInfo),
    /// What has been cued: a key, null where the lane has one value.
    Key(Bytes, Value, LinkInfo),
}

impl Demanded {
    /// False: as much is owed already as may be.
    fn cue(&mut self, key: &Bytes, value: &Value, most: usize) -> bool {
        if self.unsent.contains(key) {
            self.held.insert(key.clone(), value.clone());
        } else if self.owed.insert(key.clone()) {
            self.order.push_back((key.clone(), value.clone()));
        }
        self.owed.len() + self.held.len() <= most
    }

    fn forget(&mut self, key: &Bytes) -> bool {
        self.held.remove(key);
        self.owed.remove(key)
    }

    /// The value of a key has left the outbox.
    fn taken(&mut self, key: &Bytes) {
        self.unsent.remove(key);
        if let Some(value) = self.held.remove(key)
            && self.owed.insert(key.clone())
        {
            self.order.push_back((key.clone(), value));
        }
    }

    fn next(&mut self) -> Option<&(Bytes, Value)> {
        while let Some((key, _)) = self.order.front() {
            if self.owed.contains(key) {
                break;
            }
            self.order.pop_front();
        }
        self.order.front()
    }

    fn is_due(&self) -> bool {
        self.syncs > 0 || !self.owed.is_empty()
    }
}

impl Listener {
    /// Of a link to a demand lane.
    fn demanded(&mut self) -> Option<&mut Demanded> {
        self.demanded.as_deref_mut()
    }
}

/// An event of a lane, encoded once a spelling.
struct Encoded<'a> {
    operation: &'a Operation,
    commit: u64,
    frames: Vec<Option<Bytes>>,
}

impl<'a> Encoded<'a> {
    fn new(operation: &'a Operation, commit: u64, audience: &Audience) -> Self {
        Encoded { operation, commit, frames: vec![None; audience.spellings.len()] }
    }

    fn frame(&mut self, audience: &Audience, spelling: usize) -> Bytes {
        let frame = self.frames[spelling].get_or_insert_with(|| {
            let known = &audience.spellings[spelling];
            event::event(known.form, &known.node, &known.lane, self.operation, self.commit)
        });
        frame.clone()
    }
}

fn bytes_of(key: Option<&Value>) -> Bytes {
    key.map_or_else(Bytes::new, |key| Operation::Remove(key.clone()).key())
}

impl Links {
    /// The place of a demand lane as a link writes it. A link opens there, or `settle` follows.
    pub fn demand_place(&mut self, demand: u16, lane: &str, parametric: bool) -> Place {
        let parameters = if parametric { self.parameters.number(lane) } else { Default::default() };
        Place::Demand(demand, parameters)
    }

    /// No link has opened there.
    pub fn settle(&mut self, place: Place) {
        self.parameters.settle(place);
    }

    /// What a kept turn has told those who listen to its twin. Gives the list back, empty.
    pub fn tell_listeners(
        &mut self,
        population: PopulationId,
        row: u32,
        mut told: Vec<Telling>,
        commit: u64,
    ) -> Vec<Telling> {
        for telling in told.drain(..) {
            match telling {
                Telling::Item { supply, item } => self.note_item(population, row, supply, item),
                Telling::Cue { demand, key } => self.cue(population, row, demand, key),
                Telling::Gone { demand, key } => self.tell_gone((population, row), demand, &key, commit),
            }
        }
        told
    }

    fn note_item(&mut self, population: PopulationId, row: u32, supply: u16, item: Value) {
        let Some(watched) = self.populations[population.0 as usize].rows.get_mut(&row) else { return };
        let place = Place::Supply(supply);
        let Some(audience) = watched.audiences.iter_mut().find(|audience| audience.place == place) else { return };
        audience.news.push(News::Item(item));
        if !watched.pending {
            watched.pending = true;
            self.pending.push((population, row));
        }
    }

    fn cue(&mut self, population: PopulationId, row: u32, demand: u16, key: Option<Value>) {
        let Some(watched) = self.populations[population.0 as usize].rows.get_mut(&row) else { return };
        let bytes = bytes_of(key.as_ref());
        let value = key.unwrap_or_default();
        for audience in &mut watched.audiences {
            let place = audience.place;
            if !matches!(place, Place::Demand(at, _) if at == demand) {
                continue;
            }
            for listener in &mut audience.listeners {
                let most = listener.peer.bounds.queue_events;
                if let Some(demanded) = listener.demanded.as_deref_mut()
                    && !demanded.cue(&bytes, &value, most)
                {
                    self.slow.push((Arc::clone(&listener.peer), population, row, place, Overflow::Link));
                }
            }
            audience.make_due((population, row), &mut self.due);
        }
        // none of them is a list's
        self.end_slow(&[], 0);
    }

    fn tell_gone(&mut self, (population, row): (PopulationId, u32), demand: u16, key: &Value, commit: u64) {
        let Some(watched) = self.populations[population.0 as usize].rows.get_mut(&row) else { return };
        let bytes = bytes_of(Some(key));
        let operation = Operation::Remove(key.clone());
        for audience in &mut watched.audiences {
            let place = audience.place;
            if !matches!(place, Place::Demand(at, _) if at == demand) {
                continue;
            }
            let mut encoded = Encoded::new(&operation, commit, audience);
            for at in 0..audience.listeners.len() {
                let frame = encoded.frame(audience, audience.listeners[at].spelling);
                let listener = &mut audience.listeners[at];
                let Some(demanded) = listener.demanded() else { continue };
                demanded.forget(&bytes);
                demanded.unsent.insert(bytes.clone());
                if let Err(overflow) = listener.peer.outbox().put(listener.link, Item::Entry(bytes.clone(), frame)) {
                    self.slow.push((Arc::clone(&listener.peer), population, row, place, overflow));
                }
                touch(&mut self.touched, &listener.peer);
            }
        }
        // none of them is a list's
        self.end_slow(&[], 0);
    }

    /// A link wants the lane's present state.
    pub fn want_state(&mut self, at: (PopulationId, u32, Place), link: LinkId) {
        if let Some(demanded) = self.listener(at, link).and_then(Listener::demanded) {
            demanded.syncs += 1;
        }
        self.make_due(at);
    }

    /// A connection's outbox has let go of values of demand lanes.
    pub fn taken(&mut self, peer: PeerId, taken: Vec<(LinkNumber, Bytes)>) {
        for (number, key) in taken {
            let Some(at) = self.peers.get(&peer).and_then(|links| links.demands.get(&number)).copied() else {
                continue;
            };
            if let Some(demanded) = self.listener(at, LinkId { peer, number }).and_then(Listener::demanded) {
                demanded.taken(&key);
            }
            self.make_due(at);
        }
    }

    fn make_due(&mut self, at: (PopulationId, u32, Place)) {
        let watched = self.populations[at.0.0 as usize].rows.get_mut(&at.1);
        let audience = watched.and_then(|watched| watched.audiences.iter_mut().find(|audience| audience.place == at.2));
        if let Some(audience) = audience {
            audience.make_due((at.0, at.1), &mut self.due);
        }
    }

    pub fn has_due(&self) -> bool {
        !self.due.is_empty()
    }

    /// The next lane with somebody to compute for: its turn is on its way until `told` or `untold`.
    pub fn next_due(&mut self) -> Option<(PopulationId, u32, Place)> {
        self.due.pop_front()
    }

    /// What the turn has to compute. None: they have all left.
    pub fn due(&mut self, at: (PopulationId, u32, Place)) -> Option<Due> {
        let audience = self.audience(at)?;
        let info = |audience: &Audience, at: usize| {
            let listener = &audience.listeners[at];
            LinkInfo::of(listener, &audience.spellings[listener.spelling].lane)
        };
        for at in 0..audience.listeners.len() {
            if audience.listeners[at].demanded().is_some_and(|demanded| demanded.syncs > 0) {
                return Some(Due::State(info(audience, at)));
            }
        }
        for at in 0..audience.listeners.len() {
            if let Some((key, value)) = audience.listeners[at].demanded().and_then(Demanded::next).cloned() {
                return Some(Due::Key(key, value, info(audience, at)));
            }
        }
        audience.computing = false;
        None
    }

    /// The value of a key, for all who are owed it.
    pub fn tell_value(&mut self, at: (PopulationId, u32, Place), key: &Bytes, operation: &Operation, commit: u64) {
        let Some(watched) = self.populations[at.0.0 as usize].rows.get_mut(&at.1) else { return };
        let Some(audience) = watched.audiences.iter_mut().find(|audience| audience.place == at.2) else { return };
        let mut encoded = Encoded::new(operation, commit, audience);
        for listener in 0..audience.listeners.len() {
            let frame_at = audience.listeners[listener].spelling;
            let is_owed = audience.listeners[listener].demanded().is_some_and(|demanded| demanded.owed.remove(key));
            if !is_owed {
                continue;
            }
            let frame = encoded.frame(audience, frame_at);
            let listener = &mut audience.listeners[listener];
            if let Some(demanded) = listener.demanded() {
                demanded.unsent.insert(key.clone());
            }
            let item = match operation {
                Operation::Value(_) => Item::Value(frame),
                _ => Item::Entry(key.clone(), frame),
            };
            if let Err(overflow) = listener.peer.outbox().put(listener.link, item) {
                self.slow.push((Arc::clone(&listener.peer), at.0, at.1, at.2, overflow));
            }
            touch(&mut self.touched, &listener.peer);
        }
        audience.end((at.0, at.1), &mut self.due);
        // none of them is a list's
        self.end_slow(&[], 0);
    }

    /// The lane's present state, and `synced`, for all who have asked for it.
    pub fn tell_state(&mut self, at: (PopulationId, u32, Place), operations: &[Operation], commit: u64) {
        let Some(audience) = self.audience(at) else { return };
        let mut encoded: Vec<_> =
            operations.iter().map(|operation| Encoded::new(operation, commit, audience)).collect();
        let keys: Vec<_> = operations.iter().map(Operation::key).collect();
        let mut answers = Vec::new();
        for listener in 0..audience.listeners.len() {
            let Some(demanded) = audience.listeners[listener].demanded().filter(|demanded| demanded.syncs > 0) else {
                continue;
            };
            demanded.syncs -= 1;
            keys.iter().for_each(|key| _ = demanded.forget(key));
            let spelling = audience.listeners[listener].spelling;
            let mut frames: Vec<_> = encoded.iter_mut().map(|encoded| encoded.frame(audience, spelling)).collect();
            let known = &audience.spellings[spelling];
            frames.extend(event::synced(known.form, &known.node, &known.lane, commit));
            answers.push((Arc::clone(&audience.listeners[listener].peer), audience.listeners[listener].link, frames));
        }
        if let Some(audience) = self.audience(at) {
            audience.computing = false;
        }
        for (peer, link, frames) in answers {
            frames.into_iter().for_each(|frame| self.answer(&peer, link, frame));
        }
        self.make_due(at);
    }

    /// The value of a key could not be computed: nobody is told, and all are owed it no more.
    pub fn untold(&mut self, at: (PopulationId, u32, Place), key: &Bytes) {
        let Some(watched) = self.populations[at.0.0 as usize].rows.get_mut(&at.1) else { return };
        let Some(audience) = watched.audiences.iter_mut().find(|audience| audience.place == at.2) else { return };
        for listener in &mut audience.listeners {
            if let Some(demanded) = listener.demanded() {
                demanded.owed.remove(key);
            }
        }
        audience.end((at.0, at.1), &mut self.due);
    }
}

impl Audience {
    fn make_due(&mut self, (population, row): (PopulationId, u32), due: &mut VecDeque<(PopulationId, u32, Place)>) {
        let is_owed = |listener: &Listener| listener.demanded.as_ref().is_some_and(|demanded| demanded.is_due());
        if !self.computing && self.listeners.iter().any(is_owed) {
            self.computing = true;
            due.push_back((population, row, self.place));
        }
    }

    fn end(&mut self, twin: (PopulationId, u32), due: &mut VecDeque<(PopulationId, u32, Place)>) {
        self.computing = false;
        self.make_due(twin, due);
    }
}
