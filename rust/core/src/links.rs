//! Who listens: links to lanes, by the twin that they name, and what their lanes have still to tell them. A turn that is
//! kept leaves marks here, a commit makes events of them, encoded once a lane, and puts them into the peers' outboxes.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use ecow::EcoString;
use rustc_hash::FxHashMap;

use crate::body::Record;
use crate::declaration::ObserverDecl;
use crate::outbox::{Item, LinkNumber, Overflow};
use crate::peer::{Form, Peer, PeerId};
use crate::population::PopulationId;
use crate::shard::Class;
use crate::undo::Log;
use crate::value::Value;

mod demand;
mod event;
mod observers;
mod parameters;

pub use demand::{Due, Telling};
pub use event::{Operation, address, event as event_frame, linked, synced, unlinked};
pub use observers::{LinkInfo, Note};
pub use parameters::ParametersId;

use demand::Demanded;
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

/// Node and lane as a peer wrote them when it opened its link: all its answers and events say it so.
#[derive(Debug)]
struct Spelling {
    form: Form,
    node: EcoString,
    lane: EcoString,
    users: usize,
}

#[derive(Debug)]
struct Listener {
    peer: Arc<Peer>,
    link: LinkNumber,
    spelling: usize,
    /// prio and rate, where they are not 0.
    tuning: Option<Box<(f64, f64)>>,
    /// Of a link to a demand lane.
    demanded: Option<Box<Demanded>>,
}

/// Everybody who listens to one lane of one twin, and what they have not been told yet.
#[derive(Debug)]
struct Audience {
    place: Place,
    spellings: Vec<Spelling>,
    listeners: Vec<Listener>,
    /// What a commit will tell, in order; of a value lane just that it was written.
    news: Vec<News>,
    /// Of a demand lane: a turn that computes is on its way.
    computing: bool,
}

#[derive(Debug)]
enum News {
    /// The lane was written.
    Written,
    Key(Value),
    Cleared,
    /// What was done to a list.
    List(Operation),
    /// A command's body, in both forms where they are wanted.
    Body(Value),
    /// An item of a supply lane.
    Item(Value),
    Member {
        uri: EcoString,
        joined: bool,
    },
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

    // -- news

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

    // -- telling

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
    fn end_slow(&mut self, classes: &[Class], commit: u64) {
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

    fn touch(&mut self, peer: &Arc<Peer>) {
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

fn touch(touched: &mut Vec<Arc<Peer>>, peer: &Arc<Peer>) {
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

impl Listener {
    fn is(&self, link: LinkId) -> bool {
        self.link == link.number && self.peer.id == link.peer
    }
}

impl Audience {
    /// The keys that a turn has written, in the order of their first write; a clear makes those before it void.
    fn note_map(&mut self, map: u16, class: &Class, log: &Log) {
        let table = &class.table.maps[map as usize];
        let mut cleared = log.cleared.iter().filter(|(of, _)| *of == map).map(|(_, at)| *at).peekable();
        for (at, entry) in log.entries.iter().enumerate() {
            while cleared.next_if(|clear| *clear <= at).is_some() {
                self.news.clear();
                self.news.push(News::Cleared);
            }
            let Some(slot) = entry.slot(map) else { continue };
            let key = table.key(slot);
            if !self.news.iter().rev().take(8).any(|known| matches!(known, News::Key(known) if *known == key)) {
                self.news.push(News::Key(key));
            }
        }
        if cleared.next().is_some() {
            self.news.clear();
            self.news.push(News::Cleared);
        }
    }

    /// What a turn has done to a list, all of it; a clear makes what was before it void.
    fn note_list(&mut self, map: u16, log: &Log) {
        for (_, operation) in log.lists.iter().filter(|(of, _)| *of == map) {
            if *operation == Operation::Clear {
                self.news.clear();
            }
            self.news.push(News::List(operation.clone()));
        }
    }

    /// What a piece of news comes to now.
    fn operation(&self, news: News, row: u32, class: &Class) -> Option<Operation> {
        Some(match (news, self.place) {
            (News::Written, Place::Column(column)) => Operation::Value(class.table.columns[column as usize].get(row)),
            (News::Key(key), Place::Map(map)) => {
                let table = &class.table.maps[map as usize];
                match table.find(row, &key) {
                    Some(slot) => Operation::Update(key, table.value(slot)),
                    None => Operation::Remove(key),
                }
            }
            (News::Cleared, _) => Operation::Clear,
            (News::List(operation), _) => operation,
            (News::Body(body), _) => Operation::Body(body),
            (News::Item(item), _) => Operation::Item(item),
            (News::Member { uri, joined: true }, _) => Operation::Update(Value::Text(uri), Value::Bool(true)),
            (News::Member { uri, joined: false }, _) => Operation::Remove(Value::Text(uri)),
            _ => return None,
        })
    }

    /// Encodes an event once a spelling and puts it into every listener's queue.
    fn send(
        &self,
        operation: &Operation,
        commit: u64,
        touched: &mut Vec<Arc<Peer>>,
        mut slow: impl FnMut(&Arc<Peer>, Overflow),
    ) {
        let key = operation.key();
        let mut frames: Vec<Option<Bytes>> = vec![None; self.spellings.len()];
        for listener in &self.listeners {
            let frame = frames[listener.spelling].get_or_insert_with(|| {
                let spelling = &self.spellings[listener.spelling];
                event::event(spelling.form, &spelling.node, &spelling.lane, operation, commit)
            });
            let frame = frame.clone();
            let item = match operation {
                Operation::Value(_) => Item::Value(frame),
                Operation::Update(..) | Operation::Remove(_) => Item::Entry(key.clone(), frame),
                Operation::Clear => Item::Clear(frame),
                // an operation on a list holds for the list as the one before it has left it
                Operation::Element { .. } | Operation::Move { .. } | Operation::Out { .. } => Item::Delta(frame),
                Operation::Body(_) | Operation::Item(_) | Operation::Take(_) | Operation::Drop(_) => {
                    Item::Ordered(frame)
                }
            };
            if let Err(overflow) = listener.peer.outbox().put(listener.link, item) {
                slow(&listener.peer, overflow);
            }
            touch(touched, &listener.peer);
        }
    }
}

/// None: both are 0.
fn tuning(prio: f64, rate: f64) -> Option<Box<(f64, f64)>> {
    (prio != 0.0 || rate != 0.0).then(|| Box::new((prio, rate)))
}

fn farewell(spelling: &Spelling, reason: &str) -> Option<Bytes> {
    event::unlinked(spelling.form, &spelling.node, &spelling.lane, reason)
}
