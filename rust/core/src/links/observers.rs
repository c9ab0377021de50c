//! Who is told of links: what observers hear of those who link and unlink, and how many there are.

use ecow::EcoString;

use super::audience::Listener;
use super::{LinkId, Links, Place};
use crate::declaration::{LinkEvent, Observed, ObserverDecl, PopulationDecl};
use crate::population::PopulationId;

/// A link, as its twin sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct LinkInfo {
    /// The other end's address; empty: a twin of this shard.
    pub remote: EcoString,
    /// As the other end has written it.
    pub lane: EcoString,
    pub prio: f64,
    pub rate: f64,
}

/// An observer is to be told of a link.
#[derive(Debug)]
pub struct Note {
    pub population: PopulationId,
    pub row: u32,
    pub observer: u16,
    pub link: LinkInfo,
}

impl LinkInfo {
    pub(super) fn of(listener: &Listener, lane: &EcoString) -> Self {
        let (prio, rate) = listener.tuning.as_deref().copied().unwrap_or_default();
        LinkInfo { remote: listener.peer.remote.as_str().into(), lane: lane.clone(), prio, rate }
    }

    /// The lane's query, decoded; what is no percent-encoding stays as it is.
    pub fn query(&self) -> String {
        let whole = self.lane.split('#').next().unwrap_or_default();
        decoded(whole.split_once('?').map_or("", |(_, query)| query))
    }

    /// The same of its fragment.
    pub fn fragment(&self) -> String {
        decoded(self.lane.split_once('#').map_or("", |(_, fragment)| fragment))
    }
}

/// Without percent-escapes (RFC 3986, 2.1).
fn decoded(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        let escaped = match (byte, tail) {
            (b'%', [high, low, ..]) => {
                let digit = |byte: &u8| (*byte as char).to_digit(16).map(|digit| digit as u8);
                digit(high).zip(digit(low)).map(|(high, low)| high << 4 | low)
            }
            _ => None,
        };
        bytes.push(escaped.unwrap_or(*byte));
        rest = if escaped.is_some() { &tail[2..] } else { tail };
    }
    String::from_utf8(bytes).unwrap_or_else(|_| text.to_owned())
}

impl Place {
    pub(crate) fn observed(self) -> Observed {
        match self {
            Place::Column(at) => Observed::Column(at),
            Place::Map(at) => Observed::Map(at),
            Place::Command(at) => Observed::Command(at),
            Place::Members(at) => Observed::Members(at),
            Place::Supply(at) => Observed::Supply(at),
            Place::Demand(at, _) => Observed::Demand(at),
        }
    }
}

impl Place {
    /// The lane's name on the wire.
    pub(crate) fn name(self, decl: &PopulationDecl) -> EcoString {
        let name = match self {
            Place::Column(at) => &decl.columns[at as usize].name,
            Place::Map(at) => &decl.maps[at as usize].name,
            Place::Command(at) => &decl.commands[at as usize].name,
            Place::Members(at) => &decl.members[at as usize].name,
            Place::Supply(at) => &decl.supplies[at as usize].name,
            Place::Demand(at, _) => &decl.demands[at as usize].name,
        };
        name.clone()
    }
}

impl Links {
    /// The observers of a population's lanes.
    pub fn observe(&mut self, population: PopulationId, observers: &[ObserverDecl]) {
        self.observers[population.0 as usize] = observers.to_vec();
    }

    /// How many are linked to a lane of a twin.
    pub fn count(&self, population: PopulationId, row: u32, lane: Observed) -> usize {
        let watched = self.populations[population.0 as usize].rows.get(&row);
        watched.map_or(0, |watched| {
            let of_lane = watched.audiences.iter().filter(|audience| audience.place.observed() == lane);
            of_lane.map(|audience| audience.listeners.len()).sum()
        })
    }

    pub(super) fn note_linked(&mut self, population: PopulationId, row: u32, place: Place, link: LinkId) {
        let Some(observer) = self.observer(population, place, LinkEvent::Linked) else { return };
        let at = (population, row, place);
        let Some(lane) = self.spelling(at, link).map(|(_, lane)| lane) else { return };
        if let Some(listener) = self.listener(at, link) {
            let link = LinkInfo::of(listener, &lane);
            self.notes.push_back(Note { population, row, observer, link });
        }
    }

    pub(super) fn note_unlinked(&mut self, population: PopulationId, row: u32, place: Place, link: LinkInfo) {
        if let Some(observer) = self.observer(population, place, LinkEvent::Unlinked) {
            self.notes.push_back(Note { population, row, observer, link });
        }
    }

    /// The same of a link within the shard.
    pub(crate) fn note_near(
        &mut self,
        (population, row, place): (PopulationId, u32, Place),
        lane: EcoString,
        is_linked: bool,
    ) {
        let event = if is_linked { LinkEvent::Linked } else { LinkEvent::Unlinked };
        if let Some(observer) = self.observer(population, place, event) {
            let link = LinkInfo { remote: EcoString::new(), lane, prio: 0.0, rate: 0.0 };
            self.notes.push_back(Note { population, row, observer, link });
        }
    }

    fn observer(&self, population: PopulationId, place: Place, event: LinkEvent) -> Option<u16> {
        let wanted = ObserverDecl { lane: place.observed(), event };
        let at = self.observers[population.0 as usize].iter().position(|observer| *observer == wanted)?;
        Some(at as u16)
    }

    pub fn has_notes(&self) -> bool {
        !self.notes.is_empty()
    }

    pub fn next_note(&mut self) -> Option<Note> {
        self.notes.pop_front()
    }
}
