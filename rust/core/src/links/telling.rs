//! What lanes with listeners have to tell: a turn that is kept leaves news here, a commit makes events of it and puts them
//! into the peers' outboxes, each flush writes what the sockets take. Who cannot keep up is unlinked, or told anew.

use std::sync::Arc;

use bytes::Bytes;
use ecow::EcoString;

use super::audience::News;
use super::{LinkId, Links, Operation, Place, event};
use crate::body::Record;
use crate::outbox::{Item, LinkNumber, Overflow};
use crate::peer::Peer;
use crate::population::PopulationId;
use crate::shard::Class;
use crate::undo::Log;

impl Links {
    /// A turn of a twin that somebody has linked is being kept: what it has done to lanes with listeners.
    pub fn note(&mut self, population: PopulationId, row: u32, class: &Class, log: &Log) {
        let Some(watched) = self.populations[population.0 as usize].rows.get_mut(&row) else { return };
        let columns = class.table.columns.len();
        let touched = |bit: usize| log.touched.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1);
        let mut any = false;
        for audience in &mut watched.audiences {
            match audience.place {
                Place::Column(column) if touched(column as usize) => {
                    if audience.news.is_empty() {
                        audience.news.push(News::Written);
                    }
                    any = true;
                }
                Place::Map(map) if touched(columns + map as usize) => {
                    match class.table.maps[map as usize].is_ordered() {
                        true => audience.note_list(map, log),
                        false => audience.note_map(map, class, log),
                    }
                    any = true;
                }
                _ => {}
            }
        }
        if any && !watched.pending {
            watched.pending = true;
            self.pending.push((population, row));
        }
    }

    /// A command's turn is being kept.
    pub fn note_command(&mut self, population: PopulationId, row: u32, class: &Class, command: u16, record: &Record) {
        let Some(watched) = self.populations[population.0 as usize].rows.get_mut(&row) else { return };
        let place = Place::Command(command);
        let Some(audience) = watched.audiences.iter_mut().find(|audience| audience.place == place) else { return };
        let body = &class.decl.commands[command as usize].body;
        audience.news.push(News::Body(crate::shard::record_value(body, record)));
        if !watched.pending {
            watched.pending = true;
            self.pending.push((population, row));
        }
    }

    /// A twin has become a member of a group, or is none any more.
    pub fn note_member(&mut self, population: PopulationId, row: u32, members: u16, uri: EcoString, joined: bool) {
        let Some(watched) = self.populations[population.0 as usize].rows.get_mut(&row) else { return };
        let place = Place::Members(members);
        let Some(audience) = watched.audiences.iter_mut().find(|audience| audience.place == place) else { return };
        audience.news.push(News::Member { uri, joined });
        if !watched.pending {
            watched.pending = true;
            self.pending.push((population, row));
        }
    }

    /// Makes events of all news, for the peers' outboxes.
    pub fn publish(&mut self, classes: &[Class], commit: u64) {
        let mut pending = std::mem::take(&mut self.pending);
        for (population, row) in pending.drain(..) {
            self.tell(population, row, &classes[population.0 as usize], commit);
        }
        self.pending = pending;
        self.end_slow(classes, commit);
    }

    /// The same for one twin, before its next turn or for a link that is about to see its state.
    pub fn publish_one(&mut self, population: PopulationId, row: u32, classes: &[Class], commit: u64) {
        if self.has_news(population, row) {
            self.tell(population, row, &classes[population.0 as usize], commit);
            self.end_slow(classes, commit);
        }
    }

    fn tell(&mut self, population: PopulationId, row: u32, class: &Class, commit: u64) {
        let Some(watched) = self.populations[population.0 as usize].rows.get_mut(&row) else { return };
        if !std::mem::replace(&mut watched.pending, false) {
            return;
        }
        for audience in &mut watched.audiences {
            if !audience.news.is_empty() {
                let mut news = std::mem::take(&mut audience.news);
                for news in news.drain(..) {
                    let Some(operation) = audience.operation(news, row, class) else { continue };
                    audience.send(&operation, commit, &mut self.touched, |peer, overflow| {
                        self.slow.push((Arc::clone(peer), population, row, audience.place, overflow));
                    });
                }
                audience.news = news;
            }
        }
    }

    /// Links and connections whose queues are full.
    pub(super) fn end_slow(&mut self, classes: &[Class], commit: u64) {
        let mut renewed = Vec::new();
        while let Some((peer, population, row, place, overflow)) = self.slow.pop() {
            match overflow {
                Overflow::Link if classes.get(population.0 as usize).is_some_and(|class| is_list(class, place)) => {
                    let at = (population, row, place);
                    if !renewed.contains(&(peer.id, at)) {
                        renewed.push((peer.id, at));
                        self.renew(&peer, at, &classes[population.0 as usize], commit);
                    }
                }
                Overflow::Link => {
                    let reason = format!("{} events wait already (link_queue): read faster", peer.bounds.queue_events);
                    self.end(&peer, (population, row, place), &reason);
                }
                Overflow::Peer => self.abandon(&peer),
            }
        }
    }

    /// As many operations of a list wait as may: the list as it is now takes their place.
    fn renew(&mut self, peer: &Arc<Peer>, at: (PopulationId, u32, Place), class: &Class, commit: u64) {
        let (population, row, place) = at;
        // what has been done to it meanwhile is in what it is now
        self.tell(population, row, class, commit);
        let (Some(link), Place::Map(map)) = (self.find(peer.id, population, row, place), place) else { return };
        let Some((node, lane)) = self.spelling(at, LinkId { peer: peer.id, number: link }) else { return };
        let operations = std::iter::once(Operation::Clear).chain(elements(class, row, map));
        let frames = operations.map(|operation| event::event(peer.form, &node, &lane, &operation, commit)).collect();
        if peer.outbox().renew(link, frames).is_err() {
            self.abandon(peer);
        }
        self.touch(peer);
    }

    /// Puts an answer into a link's queue.
    pub fn answer(&mut self, peer: &Arc<Peer>, link: LinkNumber, frame: Bytes) {
        let put = peer.outbox().put(link, Item::Control(frame));
        if put.is_err() {
            self.abandon(peer);
        }
        self.touch(peer);
    }

    /// As much waits for a connection as may: it is closed without what waits.
    fn abandon(&mut self, peer: &Arc<Peer>) {
        let reason = format!("{} bytes wait already (connection_queue): read faster", peer.bounds.queue_bytes);
        peer.outbox().abandon(1008, &reason);
        self.forget_peer(peer.id);
        self.touch(peer);
    }

    /// Puts a frame before all links' events.
    pub fn control(&mut self, peer: &Arc<Peer>, frame: Bytes) {
        let full = {
            let mut outbox = peer.outbox();
            let full = outbox.bytes() + frame.len() > peer.bounds.queue_bytes;
            if !full {
                outbox.say(frame);
            }
            full
        };
        if full {
            self.abandon(peer);
        }
        self.touch(peer);
    }

    pub(super) fn touch(&mut self, peer: &Arc<Peer>) {
        touch(&mut self.touched, peer);
    }

    /// Writes what the sockets take at once. Gives the number of connections written to.
    pub fn flush(&mut self, classes: &[Class], commit: u64) -> usize {
        for peer in std::mem::take(&mut self.fenced) {
            self.touch(&peer);
        }
        let count = self.touched.len();
        let mut slow = Vec::new();
        for peer in self.touched.drain(..) {
            peer.settle();
            let is_staged = {
                let mut outbox = peer.outbox();
                if outbox.is_staged() {
                    slow.extend(
                        outbox.release().into_iter().map(|(link, overflow)| (Arc::clone(&peer), link, overflow)),
                    );
                }
                outbox.is_staged()
            };
            if is_staged {
                self.fenced.push(Arc::clone(&peer));
            }
            peer.flush();
        }
        for (peer, link, overflow) in slow {
            let links = self.peers.get(&peer.id).map(|links| &links.links);
            let at = links.and_then(|links| links.iter().find(|(_, number)| **number == link)).map(|(at, _)| *at);
            if let Some((population, row, place)) = at {
                self.slow.push((peer, population, row, place, overflow));
            }
        }
        self.end_slow(classes, commit);
        count
    }
}

pub(super) fn touch(touched: &mut Vec<Arc<Peer>>, peer: &Arc<Peer>) {
    if peer.touch() {
        touched.push(Arc::clone(peer));
    }
}

fn is_list(class: &Class, place: Place) -> bool {
    matches!(place, Place::Map(map) if class.table.maps[map as usize].is_ordered())
}

/// What a list holds, as operations on an empty one.
pub fn elements(class: &Class, row: u32, map: u16) -> impl Iterator<Item = Operation> {
    let table = &class.table.maps[map as usize];
    let element = move |(index, slot): (usize, u32)| Operation::Element {
        index: index as u32,
        key: table.key(slot),
        value: table.value(slot),
    };
    table.slots(row).enumerate().map(element)
}
