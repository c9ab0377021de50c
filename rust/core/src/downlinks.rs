//! The other end: links of twins to lanes of other twins. Which twins are linked is state of the twin that links, a column
//! or a map that its turns write; when such a turn is kept, links are opened and closed here. What a linked lane's turn has
//! done is told to those who link it between two turns, each in a turn of its own, before any new outside work.

mod app;
mod copying;
mod far;
mod near;
mod targets;
mod telling;

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;
use ecow::EcoString;
use rustc_hash::{FxHashMap, FxHashSet};

use crate::body::Record;
use crate::declaration::{LinkDecl, LinkKind, Observed, TargetDecl};
use crate::links::{Operation, Place};
use crate::population::{PopulationId, TwinId};
use crate::shard::Class;
use crate::undo::Log;
use crate::value::Value;

pub use app::AppNews;
pub use far::Far;
pub use targets::Target;

const NONE: u32 = u32::MAX;

/// Which link of the shard; its number is used again when it is closed.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct DownlinkId(pub u32);

/// What a link tells its twin besides what comes.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Hook {
    Linked,
    Synced,
    /// The other end has ended it, with this reason.
    Unlinked,
    /// The twin itself has closed it.
    Closed,
    /// It could not be opened.
    Failed,
}

impl Hook {
    pub fn is_in(self, decl: &LinkDecl) -> bool {
        decl.hooks.0 >> self as u8 & 1 == 1
    }
}

/// A lane of a twin of this shard.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Source {
    population: PopulationId,
    row: u32,
    place: Place,
    /// Of those who link the same twin, in the order in which they did: the next, or NONE, and the one before; before the
    /// first stands the last.
    after: u32,
    before: u32,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum End {
    Nowhere,
    Near(Source),
    Far(crate::remote::UplinkId),
}

#[derive(Clone, Copy, Debug)]
struct Downlink {
    /// Whose it is: the population, its link, the twin's row; all of it is closed before the twin leaves.
    population: PopulationId,
    link: u16,
    row: u32,
    /// Where it stands in `Lane::ids`.
    at: u32,
    /// Tells it from those that had its number before.
    serial: u32,
    end: End,
    /// That its value was written waits in `told`.
    pending: bool,
    is_linked: bool,
    is_synced: bool,
}

/// What is to be told to a link's twin.
#[derive(Clone, Debug)]
struct Told {
    link: u32,
    serial: u32,
    /// Of the turn that has caused it.
    hops: u16,
    what: News,
}

#[derive(Clone, Debug)]
enum News {
    /// The value lane was written.
    Value,
    /// The map lane's entry was written or removed.
    Key(Value),
    Cleared,
    /// What has come as it was, from a lane whose values are not known to have the copy's types.
    Came(Operation),
    Linked,
    /// The present state, all of it.
    Sync,
    /// All of the present state has come; of a map or a list, with these keys (`key_text`).
    Synced(Option<Arc<FxHashSet<Bytes>>>),
    Unlinked(EcoString),
    Failed(EcoString),
    /// Whatever has become of the link itself.
    Call(Box<Call>),
}

/// What a twin is told of a link that may be gone by then.
#[derive(Clone, Debug)]
struct Call {
    population: PopulationId,
    twin: TwinId,
    link: u16,
    what: Said,
}

#[derive(Clone, Debug)]
enum Said {
    Hook(Hook, EcoString),
    /// A member has left: what it gave to the copy goes.
    Left(EcoString),
}

/// A target that a kept turn has written, or a member that has joined or left.
#[derive(Clone, Debug)]
enum Changed {
    Target {
        population: PopulationId,
        link: u16,
        at: u32,
    },
    Member {
        membership: usize,
        group: EcoString,
        member: EcoString,
        joined: bool,
    },
    /// A link of the app to a twin that must be made first.
    App {
        number: u16,
        population: PopulationId,
        key: EcoString,
    },
    /// A twin of a class whose groups have all twins as members was made.
    Group {
        population: PopulationId,
        twin: TwinId,
    },
}

/// All links of one lane of a population, by number.
#[derive(Debug)]
enum Lane {
    /// By row of the twin, or by slot of the targets' map; NONE where there is none.
    Targets(Vec<u32>),
    /// By row of the twin and row of the member.
    Members(FxHashMap<(u32, u32), u32>),
}

impl Lane {
    fn new(decl: &LinkDecl) -> Self {
        match decl.target {
            TargetDecl::Members(_) => Lane::Members(FxHashMap::default()),
            TargetDecl::Column(_) | TargetDecl::Map(_) => Lane::Targets(Vec::new()),
        }
    }

    fn get(&self, row: u32, at: u32) -> Option<u32> {
        match self {
            Lane::Targets(ids) => ids.get(at as usize).copied().filter(|id| *id != NONE),
            Lane::Members(ids) => ids.get(&(row, at)).copied(),
        }
    }

    fn set(&mut self, row: u32, at: u32, id: u32) {
        match self {
            Lane::Targets(ids) => {
                if ids.len() <= at as usize {
                    // as a table grows: by its chunks
                    ids.reserve_exact((at as usize + 1 - ids.len()).next_multiple_of(4096));
                    ids.resize(at as usize + 1, NONE);
                }
                ids[at as usize] = id;
            }
            Lane::Members(ids) if id == NONE => drop(ids.remove(&(row, at))),
            Lane::Members(ids) => drop(ids.insert((row, at), id)),
        }
    }
}

/// All links of a shard's twins.
#[derive(Debug, Default)]
pub struct Downlinks {
    slab: Vec<Downlink>,
    free: Vec<u32>,
    serials: u32,
    lanes: Vec<Vec<Lane>>,
    /// By population and row of the linked twin: the first of its links, or NONE.
    heads: Vec<Vec<u32>>,
    near: usize,
    /// In order; a value lane's link stands in it once. It is emptied before outside work is taken, so that it holds what one
    /// batch of turns has caused.
    told: VecDeque<Told>,
    changed: VecDeque<Changed>,
    /// What waits for twins with an async turn in flight; `busy_bound` each, then they are told all of the lane's state.
    waiting: FxHashMap<(PopulationId, TwinId), VecDeque<Told>>,
    /// Lanes of this shard's twins that somebody here has linked (true) or unlinked: their observers are told.
    observed: Vec<(PopulationId, u32, Place, bool)>,
    /// Items of command and supply lanes, to be sent as commands when the turn's end is over.
    events: Vec<(u32, Value)>,
    far: Far,
    /// Links of the app itself, by number.
    app: Vec<app::AppLink>,
    /// What they have told; the program takes it after each batch.
    app_news: Vec<(u16, AppNews)>,
}

impl Downlinks {
    pub fn new(classes: &[Class]) -> Self {
        let lanes = classes.iter().map(|class| class.decl.links.iter().map(Lane::new).collect()).collect();
        Downlinks { lanes, heads: vec![Vec::new(); classes.len()], ..Downlinks::default() }
    }

    /// Links that are open or to be opened.
    pub fn len(&self) -> usize {
        self.slab.len() - self.free.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Something is to be told or opened.
    pub fn has_news(&self) -> bool {
        !self.told.is_empty() || !self.changed.is_empty()
    }

    /// Whether a twin of this shard links this one: one test, on the way of every turn.
    #[inline(always)]
    pub fn watches(&self, population: PopulationId, row: u32) -> bool {
        self.near != 0 && self.heads[population.0 as usize].get(row as usize).is_some_and(|head| *head != NONE)
    }

    /// (linked, synced) of a twin's link.
    pub fn state(&self, population: PopulationId, link: u16, at: u32) -> (bool, bool) {
        let id = self.lanes[population.0 as usize].get(link as usize).and_then(|lane| lane.get(at, at));
        id.map_or((false, false), |id| {
            let link = &self.slab[id as usize];
            (link.is_linked, link.is_synced)
        })
    }

    // -- the slab

    fn insert(&mut self, population: PopulationId, link: u16, row: u32, at: u32) -> u32 {
        self.serials = self.serials.wrapping_add(1);
        let made = Downlink {
            population,
            link,
            row,
            at,
            serial: self.serials,
            end: End::Nowhere,
            pending: false,
            is_linked: false,
            is_synced: false,
        };
        let id = match self.free.pop() {
            Some(id) => {
                self.slab[id as usize] = made;
                id
            }
            None => {
                if self.slab.len() == self.slab.capacity() {
                    // a join of a million must not pay for a second one
                    self.slab.reserve_exact(self.slab.len() / 8 + 64);
                }
                self.slab.push(made);
                self.slab.len() as u32 - 1
            }
        };
        if population != app::APP {
            self.lanes[population.0 as usize][link as usize].set(row, at, id);
        }
        id
    }

    /// Takes a link out. What is still to be told of it is void.
    fn remove(&mut self, id: u32) {
        self.detach(id);
        let Downlink { population, link, row, at, .. } = self.slab[id as usize];
        if population != app::APP {
            self.lanes[population.0 as usize][link as usize].set(row, at, NONE);
        }
        self.slab[id as usize].serial = 0;
        self.free.push(id);
    }

    /// Whose entry an envelope of a link is to become: None for one that is gone.
    pub(crate) fn owner(&self, link: DownlinkId) -> Option<(PopulationId, u16)> {
        self.slab.get(link.0 as usize).filter(|link| link.serial != 0).map(|link| (link.population, link.link))
    }

    /// How many of this shard's twins and of its program have linked a lane of a twin.
    pub fn count(&self, population: PopulationId, row: u32, lane: Observed) -> usize {
        let links = self.links_of(population, row).into_iter().map(|id| &self.slab[id as usize]);
        let is_it = |link: &&Downlink| {
            link.is_linked && matches!(&link.end, End::Near(source) if source.place.observed() == lane)
        };
        links.filter(is_it).count()
    }

    /// A link that is still the one that was meant.
    fn live(&self, id: u32, serial: u32) -> Option<Downlink> {
        self.slab.get(id as usize).copied().filter(|link| link.serial == serial)
    }

    fn tell(&mut self, id: u32, hops: u16, what: News) {
        let serial = self.slab[id as usize].serial;
        self.told.push_back(Told { link: id, serial, hops, what });
    }

    fn call(&mut self, call: Call) {
        self.told.push_back(Told { link: NONE, serial: 0, hops: 0, what: News::Call(Box::new(call)) });
    }

    /// The same, before all else.
    fn call_next(&mut self, call: Call) {
        self.told.push_front(Told { link: NONE, serial: 0, hops: 0, what: News::Call(Box::new(call)) });
    }

    // -- who links a twin

    fn attach(&mut self, id: u32, population: PopulationId, row: u32, place: Place) {
        let heads = &mut self.heads[population.0 as usize];
        if heads.len() <= row as usize {
            heads.resize(row as usize + 1, NONE);
        }
        let first = heads[row as usize];
        let mut before = id;
        if first == NONE {
            heads[row as usize] = id;
        } else if let End::Near(source) = &mut self.slab[first as usize].end {
            before = std::mem::replace(&mut source.before, id);
            if let End::Near(last) = &mut self.slab[before as usize].end {
                last.after = id;
            }
        }
        self.slab[id as usize].end = End::Near(Source { population, row, place, after: NONE, before });
        self.near += 1;
    }

    /// Takes a link out of those of the twin that it links.
    fn detach(&mut self, id: u32) {
        let end = std::mem::replace(&mut self.slab[id as usize].end, End::Nowhere);
        if let (End::Near(source), true) = (&end, self.slab[id as usize].is_linked) {
            self.observed.push((source.population, source.row, source.place, false));
        }
        match end {
            End::Near(Source { population, row, after, before, .. }) => {
                let first = &mut self.heads[population.0 as usize][row as usize];
                let follower = if after == NONE { *first } else { after };
                if *first == id {
                    *first = after;
                } else if let End::Near(source) = &mut self.slab[before as usize].end {
                    source.after = after;
                }
                if follower != id
                    && let End::Near(source) = &mut self.slab[follower as usize].end
                {
                    source.before = before;
                }
                self.near -= 1;
            }
            End::Far(uplink) => self.far.leave(uplink, id),
            End::Nowhere => {}
        }
        let link = &mut self.slab[id as usize];
        (link.is_linked, link.is_synced) = (false, false);
    }

    /// The links to a twin's lanes, in the order in which they were opened.
    fn links_of(&self, population: PopulationId, row: u32) -> Vec<u32> {
        let mut found = Vec::new();
        let mut at = self.heads[population.0 as usize].get(row as usize).copied().unwrap_or(NONE);
        while at != NONE {
            found.push(at);
            at = match &self.slab[at as usize].end {
                End::Near(source) => source.after,
                _ => NONE,
            };
        }
        found
    }
}

/// Tells the keys of maps and lists apart.
fn key_text(key: &Value) -> Bytes {
    Operation::Remove(key.clone()).key()
}

/// One bit for each column and map of a class that says which twins are linked; empty where there is none.
pub fn target_bits(class: &Class) -> Vec<u64> {
    let mut bits = Vec::new();
    for link in &class.decl.links {
        let bit = match link.target {
            TargetDecl::Column(column) => column,
            TargetDecl::Map(map) => class.table.columns.len() + map,
            TargetDecl::Members(_) => continue,
        };
        bits.resize(class.table.words(), 0u64);
        bits[bit / 64] |= 1 << (bit % 64);
    }
    bits
}
