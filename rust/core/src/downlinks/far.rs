//! Links to lanes of other servers: several that lead to one lane share an uplink, and what comes is told to each.

use std::sync::Arc;

use bytes::Bytes;
use ecow::EcoString;
use rustc_hash::{FxHashMap, FxHashSet};

use super::{Downlink, End, News, key_text};
use crate::declaration::LinkKind;
use crate::links::Operation;
use crate::remote::{Address, RemoteNews, Shape, UplinkId};
use crate::shard::Shard;

/// Who shares what.
#[derive(Debug, Default)]
pub struct Far {
    links: FxHashMap<UplinkId, Vec<u32>>,
    /// Uplinks that the server has answered, and whose connection stands.
    up: FxHashSet<UplinkId>,
    /// Of maps and lists whose present state is being told: the keys that are there (`key_text`).
    seen: FxHashMap<UplinkId, FxHashSet<Bytes>>,
    /// Uplinks that have one user less: to be closed.
    left: Vec<UplinkId>,
}

impl Far {
    pub(super) fn leave(&mut self, uplink: UplinkId, link: u32) {
        if let Some(links) = self.links.get_mut(&uplink) {
            links.retain(|other| *other != link);
            if links.is_empty() {
                self.links.remove(&uplink);
                self.up.remove(&uplink);
                self.seen.remove(&uplink);
            }
            self.left.push(uplink);
        }
    }

    fn links(&self, uplink: UplinkId) -> Vec<u32> {
        self.links.get(&uplink).cloned().unwrap_or_default()
    }

    /// Keeps account of the keys of a state that is being told.
    fn see(&mut self, uplink: UplinkId, operation: &Operation) {
        let Some(seen) = self.seen.get_mut(&uplink) else { return };
        match operation {
            Operation::Update(key, _) | Operation::Element { key, .. } => drop(seen.insert(key_text(key))),
            Operation::Remove(key) | Operation::Out { key, .. } => drop(seen.remove(&key_text(key))),
            Operation::Clear => seen.clear(),
            _ => {}
        }
    }
}

impl Shard {
    pub(super) fn connect_far(&mut self, id: u32, uri: &str) {
        if self.remote.is_some() {
            // a test speaks to no server
            return;
        }
        let Downlink { population, link, .. } = self.downlinks.slab[id as usize];
        let decl = self.link_decl(population, link);
        let shape = shape(decl.kind);
        let (sync, prio, rate) = (decl.sync, decl.prio, decl.rate);
        let opened =
            Address::parse(uri, &decl.lane).and_then(|address| self.remotes.open(&address, shape, sync, prio, rate));
        match opened {
            Ok(uplink) => {
                self.downlinks.slab[id as usize].end = End::Far(uplink);
                let far = &mut self.downlinks.far;
                far.links.entry(uplink).or_default().push(id);
                if sync && matches!(shape, Shape::Map | Shape::List) {
                    // the state comes once more, for the links that were there as well
                    far.seen.entry(uplink).or_default();
                }
                if far.up.contains(&uplink) {
                    self.downlinks.tell(id, 0, News::Linked);
                }
            }
            Err(reason) => self.downlinks.tell(id, 0, News::Failed(reason.into())),
        }
    }

    /// Whether something has come that a link here waits for.
    pub(crate) fn has_far_news(&self) -> bool {
        !self.downlinks.far.links.is_empty() && self.remotes.has_news()
    }

    /// Takes what has come of one link of another server. False: nothing has.
    pub(crate) fn next_far(&mut self) -> bool {
        let Some(news) = self.remotes.next() else { return false };
        let uplink = news.uplink();
        let links = self.downlinks.far.links(uplink);
        match news {
            RemoteNews::Linked(_) => {
                let far = &mut self.downlinks.far;
                far.up.insert(uplink);
                far.seen.insert(uplink, FxHashSet::default());
                links.into_iter().for_each(|id| self.downlinks.tell(id, 0, News::Linked));
            }
            RemoteNews::Event(_, Operation::Take(_) | Operation::Drop(_))
                if links.iter().any(|id| !self.is_list_link(*id)) =>
            {
                // which entries are the first is the server's own matter: its state is asked for again
                links.into_iter().for_each(|id| self.ask_again(id, uplink));
            }
            RemoteNews::Event(_, operation) => {
                self.downlinks.far.see(uplink, &operation);
                links.into_iter().for_each(|id| self.downlinks.tell(id, 0, News::Came(operation.clone())));
            }
            RemoteNews::Synced(_) => {
                let keys = self.downlinks.far.seen.remove(&uplink).map(Arc::new);
                links.into_iter().for_each(|id| self.downlinks.tell(id, 0, News::Synced(keys.clone())));
            }
            RemoteNews::Broken(_) => {
                self.downlinks.far.up.remove(&uplink);
                for id in links {
                    let link = &mut self.downlinks.slab[id as usize];
                    (link.is_linked, link.is_synced) = (false, false);
                    super::app::broken(&mut self.downlinks.app_news, link);
                }
            }
            RemoteNews::Unlinked(_, reason) => {
                self.downlinks.far.up.remove(&uplink);
                for id in links {
                    let was_linked = self.downlinks.slab[id as usize].is_linked;
                    self.downlinks.detach(id);
                    let reason = EcoString::from(words(&reason));
                    let news = if was_linked { News::Unlinked(reason) } else { News::Failed(reason) };
                    self.downlinks.tell(id, 0, news);
                }
            }
        }
        self.close_left();
        true
    }

    fn is_list_link(&self, id: u32) -> bool {
        let Downlink { population, link, .. } = self.downlinks.slab[id as usize];
        self.link_decl(population, link).kind == LinkKind::List
    }

    fn ask_again(&mut self, id: u32, uplink: UplinkId) {
        self.downlinks.slab[id as usize].is_synced = false;
        self.downlinks.far.seen.entry(uplink).or_default();
        let Downlink { population, link, at, .. } = self.downlinks.slab[id as usize];
        super::app::begins(&mut self.downlinks.app_news, &self.downlinks.slab[id as usize]);
        let Some(uri) = self.target_uri(population, link, at) else { return };
        let decl = self.link_decl(population, link);
        let (shape, prio, rate) = (shape(decl.kind), decl.prio, decl.rate);
        let opened =
            Address::parse(&uri, &decl.lane).and_then(|address| self.remotes.open(&address, shape, true, prio, rate));
        if let Ok(uplink) = opened {
            self.remotes.close(uplink);
        }
    }

    pub(super) fn linked(&mut self, id: u32) {
        let link = &mut self.downlinks.slab[id as usize];
        link.is_linked = true;
        if let End::Near(source) = link.end {
            self.downlinks.observed.push((source.population, source.row, source.place, true));
        }
        self.close_left();
    }

    /// Uplinks whose links have been closed are given up, and observers of lanes here are told.
    pub(crate) fn close_left(&mut self) {
        for (population, row, place, is_linked) in std::mem::take(&mut self.downlinks.observed) {
            let decl = &self.populations[population.0 as usize].decl;
            if !decl.observers.is_empty() {
                let lane = place.name(decl);
                self.links.note_near((population, row, place), lane, is_linked);
            }
        }
        if !self.downlinks.far.left.is_empty() {
            for uplink in std::mem::take(&mut self.downlinks.far.left) {
                self.remotes.close(uplink);
            }
        }
    }
}

fn shape(kind: LinkKind) -> Shape {
    match kind {
        LinkKind::Value | LinkKind::Join => Shape::Value,
        LinkKind::Map | LinkKind::JoinMap => Shape::Map,
        LinkKind::List => Shape::List,
        LinkKind::Event => Shape::Event,
    }
}

/// Why a server has ended a link.
fn words(reason: &str) -> &str {
    match reason {
        "nodeNotFound" => "the server has no such node",
        "laneNotFound" => "the node has no such lane",
        "unsupported" => "the lane cannot be linked",
        "" => "the server has ended the link and gives no reason",
        reason => reason,
    }
}
