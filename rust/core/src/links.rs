//! Who listens: links to lanes, by the twin that they name. What those lanes have to tell is in `telling`.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use ecow::EcoString;
use rustc_hash::FxHashMap;

use crate::declaration::ObserverDecl;
use crate::outbox::{LinkNumber, Overflow};
use crate::peer::{Form, Peer, PeerId};
use crate::population::PopulationId;

mod audience;
mod demand;
mod event;
mod observers;
mod parameters;
mod telling;

pub use demand::{Due, Telling};
pub use event::{Operation, address, event as event_frame, linked, synced, unlinked};
pub use observers::{LinkInfo, Note};
pub use parameters::ParametersId;
pub use telling::elements;

use audience::{Audience, Listener, Spelling};
use parameters::Parameters;

/// A lane of a population, as a link names it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum Place {
    Column(u16),
    Map(u16),
    Command(u16),
    Members(u16),
    Supply(u16),
    /// With what a link has written behind the lane's name, where the lane is computed for each such text.
    Demand(u16, ParametersId),
}

/// Which link of which connection.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct LinkId {
    pub peer: PeerId,
    pub number: LinkNumber,
}

/// A twin that somebody has linked.
#[derive(Debug, Default)]
struct Watched {
    audiences: Vec<Audience>,
    /// It has news, and stands in `Links::pending`.
    pending: bool,
}

#[derive(Debug, Default)]
struct PopulationLinks {
    rows: FxHashMap<u32, Watched>,
    /// One bit a row: somebody has linked it.
    bits: Vec<u64>,
}

/// One connection's links.
#[derive(Debug)]
struct PeerLinks {
    peer: Arc<Peer>,
    links: FxHashMap<(PopulationId, u32, Place), LinkNumber>,
    /// Where its links to demand lanes lead.
    demands: FxHashMap<LinkNumber, (PopulationId, u32, Place)>,
    /// Twins that its links and commands have made.
    made: usize,
}

/// All links of a shard.
#[derive(Debug, Default)]
pub struct Links {
    populations: Vec<PopulationLinks>,
    peers: FxHashMap<PeerId, PeerLinks>,
    /// Twins with news, and such that have told it meanwhile; bounded by a batch's turns, emptied by each commit.
    pending: Vec<(PopulationId, u32)>,
    /// Peers whose outboxes have got something, each once; emptied by each flush.
    touched: Vec<Arc<Peer>>,
    /// Peers with something behind the release fence, each once.
    fenced: Vec<Arc<Peer>>,
    /// Links that could not keep up, to be ended after the walk that found them.
    slow: Vec<(Arc<Peer>, PopulationId, u32, Place, Overflow)>,
    parameters: Parameters,
    /// Demand lanes with somebody to compute for, each once; bounded by the links.
    due: VecDeque<(PopulationId, u32, Place)>,
    /// By population.
    observers: Vec<Vec<ObserverDecl>>,
    /// What observers are to be told: taken before the next turn.
    notes: VecDeque<Note>,
    count: usize,
}

impl Links {
    pub fn new(populations: usize) -> Self {
        Links {
            populations: (0..populations).map(|_| PopulationLinks::default()).collect(),
            observers: vec![Vec::new(); populations],
            ..Links::default()
        }
    }

    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Whether anybody has linked this twin: one test of a bit, on the way of every turn.
    #[inline(always)]
    pub fn watches(&self, population: PopulationId, row: u32) -> bool {
        self.count != 0 && {
            let bits = &self.populations[population.0 as usize].bits;
            bits.get(row as usize / 64).is_some_and(|word| word >> (row % 64) & 1 == 1)
        }
    }

    /// The rows of a population that somebody has linked.
    pub fn rows(&self, population: PopulationId) -> Vec<u32> {
        self.populations[population.0 as usize].rows.keys().copied().collect()
    }

    /// Whether a twin that somebody has linked has news that no commit has told.
    #[inline]
    pub fn has_news(&self, population: PopulationId, row: u32) -> bool {
        self.populations[population.0 as usize].rows.get(&row).is_some_and(|watched| watched.pending)
    }

    // -- peers

    fn peer(&mut self, peer: &Arc<Peer>) -> &mut PeerLinks {
        self.peers.entry(peer.id).or_insert_with(|| PeerLinks {
            peer: Arc::clone(peer),
            links: FxHashMap::default(),
            demands: FxHashMap::default(),
            made: 0,
        })
    }

    /// Counts a twin that this connection is about to make. False: it has made as many as it may.
    pub fn may_make(&mut self, peer: &Arc<Peer>) -> bool {
        let bound = peer.bounds.twins;
        let links = self.peer(peer);
        links.made += 1;
        links.made <= bound
    }

    pub fn links_of(&mut self, peer: &Arc<Peer>) -> usize {
        self.peer(peer).links.len()
    }

    pub fn find(&self, peer: PeerId, population: PopulationId, row: u32, place: Place) -> Option<LinkNumber> {
        self.peers.get(&peer)?.links.get(&(population, row, place)).copied()
    }

    /// A connection is over.
    pub fn forget_peer(&mut self, peer: PeerId) {
        let Some(links) = self.peers.remove(&peer) else { return };
        for ((population, row, place), number) in links.links {
            self.drop_listener(population, row, place, LinkId { peer, number });
        }
    }

    /// Closes the connections when what waits for them is written, streams of events with a word.
    ///
    /// WARP's links end without one: clients take `unlinked` as the end of the link, and would not ask for it again when
    /// the server is back.
    pub fn close(&mut self, code: u16, reason: &str) {
        let peers: Vec<_> = self.peers.drain().collect();
        for (id, links) in peers {
            for ((population, row, place), number) in links.links {
                let spelled = self.drop_listener(population, row, place, LinkId { peer: id, number });
                let spelled = spelled.filter(|spelling| spelling.form == Form::Events);
                if let Some(farewell) = spelled.and_then(|spelling| farewell(&spelling, "")) {
                    links.peer.outbox().shut(number, Some(farewell));
                }
            }
            links.peer.close(code, reason);
            self.touch(&links.peer);
        }
        // no turn follows
        self.notes.clear();
    }

    // -- links

    /// Opens a link. The caller has seen that there is none, and answers it.
    pub fn open(&mut self, peer: &Arc<Peer>, at: (PopulationId, u32, Place), asked: &Asked<'_>) -> LinkNumber {
        let (population, row, place) = at;
        let link = peer.outbox().open(asked.prio, asked.rate);
        self.peer(peer).links.insert(at, link);
        let demanded = matches!(place, Place::Demand(..)).then(|| {
            peer.outbox().tell_taken(link);
            self.peer(peer).demands.insert(link, at);
            Box::default()
        });
        self.parameters.keep(place);
        let links = &mut self.populations[population.0 as usize];
        let word = row as usize / 64;
        if links.bits.len() <= word {
            links.bits.resize(word + 1, 0);
        }
        links.bits[word] |= 1 << (row % 64);
        let watched = links.rows.entry(row).or_default();
        let at = watched.audiences.iter().position(|audience| audience.place == place).unwrap_or_else(|| {
            watched.audiences.push(Audience {
                place,
                spellings: Vec::new(),
                listeners: Vec::new(),
                news: Vec::new(),
                computing: false,
            });
            watched.audiences.len() - 1
        });
        let audience = &mut watched.audiences[at];
        let same = |known: &Spelling| known.form == peer.form && known.node == asked.node && known.lane == asked.lane;
        let known = audience.spellings.iter().position(|known| known.users > 0 && same(known));
        let spelling = known.unwrap_or_else(|| {
            let spelling = Spelling { form: peer.form, node: asked.node.into(), lane: asked.lane.into(), users: 0 };
            match audience.spellings.iter().position(|known| known.users == 0) {
                Some(free) => {
                    audience.spellings[free] = spelling;
                    free
                }
                None => {
                    audience.spellings.push(spelling);
                    audience.spellings.len() - 1
                }
            }
        });
        audience.spellings[spelling].users += 1;
        let tuning = tuning(asked.prio, asked.rate);
        audience.listeners.push(Listener { peer: Arc::clone(peer), link, spelling, tuning, demanded });
        self.count += 1;
        self.note_linked(population, row, place, LinkId { peer: peer.id, number: link });
        link
    }

    /// Another prio and rate, from the next event on.
    pub fn retune(&mut self, peer: &Arc<Peer>, at: (PopulationId, u32, Place), asked: &Asked<'_>) {
        let Some(number) = self.find(peer.id, at.0, at.1, at.2) else { return };
        peer.outbox().retune(number, asked.prio, asked.rate);
        if let Some(listener) = self.listener(at, LinkId { peer: peer.id, number }) {
            listener.tuning = tuning(asked.prio, asked.rate);
        }
    }

    fn audience(&mut self, (population, row, place): (PopulationId, u32, Place)) -> Option<&mut Audience> {
        let watched = self.populations[population.0 as usize].rows.get_mut(&row)?;
        watched.audiences.iter_mut().find(|audience| audience.place == place)
    }

    fn listener(&mut self, at: (PopulationId, u32, Place), link: LinkId) -> Option<&mut Listener> {
        self.audience(at)?.listeners.iter_mut().find(|listener| listener.is(link))
    }

    /// How a peer has spelt the address of an open link.
    pub fn spelling(&self, at: (PopulationId, u32, Place), link: LinkId) -> Option<(EcoString, EcoString)> {
        let (population, row, place) = at;
        let watched = self.populations[population.0 as usize].rows.get(&row)?;
        let audience = watched.audiences.iter().find(|audience| audience.place == place)?;
        let listener = audience.listeners.iter().find(|listener| listener.is(link))?;
        let spelling = &audience.spellings[listener.spelling];
        Some((spelling.node.clone(), spelling.lane.clone()))
    }

    /// Ends a link with `unlinked`, and `reason` as its body where there is one.
    pub fn end(&mut self, peer: &Arc<Peer>, at: (PopulationId, u32, Place), reason: &str) {
        let (population, row, place) = at;
        let Some(links) = self.peers.get_mut(&peer.id) else { return };
        let Some(number) = links.links.remove(&at) else { return };
        links.demands.remove(&number);
        let spelled = self.drop_listener(population, row, place, LinkId { peer: peer.id, number });
        let farewell = spelled.and_then(|spelling| farewell(&spelling, reason));
        peer.outbox().shut(number, farewell);
        self.touch(peer);
    }

    /// A twin has left: all its links end.
    pub fn forget_twin(&mut self, population: PopulationId, row: u32) {
        if !self.watches(population, row) {
            return;
        }
        let Some(watched) = self.populations[population.0 as usize].rows.get(&row) else { return };
        let linked: Vec<(Arc<Peer>, Place)> = watched
            .audiences
            .iter()
            .flat_map(|audience| audience.listeners.iter().map(|listener| (Arc::clone(&listener.peer), audience.place)))
            .collect();
        for (peer, place) in linked {
            self.end(&peer, (population, row, place), "");
        }
        // it is told of nothing any more
        self.notes.retain(|note| (note.population, note.row) != (population, row));
    }

    fn drop_listener(&mut self, population: PopulationId, row: u32, place: Place, link: LinkId) -> Option<Spelling> {
        let links = &mut self.populations[population.0 as usize];
        let watched = links.rows.get_mut(&row)?;
        let at = watched.audiences.iter().position(|audience| audience.place == place)?;
        let audience = &mut watched.audiences[at];
        let listener = audience.listeners.swap_remove(audience.listeners.iter().position(|other| other.is(link))?);
        self.count -= 1;
        let spelling = &mut audience.spellings[listener.spelling];
        spelling.users -= 1;
        let spelled =
            Spelling { form: spelling.form, node: spelling.node.clone(), lane: spelling.lane.clone(), users: 1 };
        let info = LinkInfo::of(&listener, &spelled.lane);
        if audience.listeners.is_empty() {
            watched.audiences.swap_remove(at);
        }
        if watched.audiences.is_empty() {
            links.rows.remove(&row);
            links.bits[row as usize / 64] &= !(1 << (row % 64));
        }
        self.parameters.drop(place);
        self.note_unlinked(population, row, place, info);
        Some(spelled)
    }
}

/// What a peer has asked for with `link` or `sync`.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    pub node: &'a str,
    pub lane: &'a str,
    pub prio: f64,
    pub rate: f64,
    /// Recon text, echoed by `linked`.
    pub body: &'a str,
}

/// None: both are 0.
fn tuning(prio: f64, rate: f64) -> Option<Box<(f64, f64)>> {
    (prio != 0.0 || rate != 0.0).then(|| Box::new((prio, rate)))
}

fn farewell(spelling: &Spelling, reason: &str) -> Option<Bytes> {
    event::unlinked(spelling.form, &spelling.node, &spelling.lane, reason)
}
