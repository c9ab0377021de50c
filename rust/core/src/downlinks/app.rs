//! Links of the app itself: of no twin, told to the program that runs the shard, between two batches of turns.

use ecow::EcoString;

use super::{Downlink, End, News, Place};
use crate::declaration::{CopyDecl, LinkDecl, LinkHooks, LinkKind, TargetDecl};
use crate::links::{Operation, elements};
use crate::population::PopulationId;
use crate::shard::Shard;

/// Whose links those of the app are.
pub(super) const APP: PopulationId = PopulationId(u16::MAX);

#[derive(Debug)]
pub(super) struct AppLink {
    pub decl: LinkDecl,
    pub uri: EcoString,
    /// None: it is over.
    pub id: Option<u32>,
}

/// What a link of the app tells, in order.
#[derive(Clone, Debug, PartialEq)]
pub enum AppNews {
    Linked,
    /// The present state follows, after which `Synced` comes.
    Begins,
    Came(Operation),
    Synced,
    /// The connection broke: the link comes back with it.
    Broken,
    /// It is over, for this reason.
    Ended(EcoString),
}

impl Shard {
    /// Links a lane for the program: `app_news` has what comes, under the number that is given.
    pub fn open_app_link(&mut self, uri: &str, lane: &str, kind: LinkKind, sync: bool, rates: (f64, f64)) -> u16 {
        let number = self.downlinks.app.len() as u16;
        let decl = LinkDecl {
            name: lane.into(),
            kind,
            lane: lane.into(),
            copy: CopyDecl::Command(0),
            target: TargetDecl::Column(0),
            owners: None,
            typed: None,
            nullable: true,
            sync,
            prio: rates.0,
            rate: rates.1,
            hooks: LinkHooks::default(),
        };
        self.downlinks.app.push(AppLink { decl, uri: uri.into(), id: None });
        self.connect_app(number);
        number
    }

    /// Ends a link of the program.
    pub fn close_app_link(&mut self, number: u16) {
        if let Some(id) = self.downlinks.app.get_mut(number as usize).and_then(|link| link.id.take()) {
            self.downlinks.remove(id);
            self.close_left();
        }
    }

    /// What has come for the program since the last call, by the links' numbers.
    pub fn take_app_news(&mut self) -> Vec<(u16, AppNews)> {
        std::mem::take(&mut self.downlinks.app_news)
    }

    pub(super) fn connect_app(&mut self, number: u16) {
        let uri = self.downlinks.app[number as usize].uri.clone();
        let id = self.downlinks.insert(APP, number, u32::MAX, 0);
        self.downlinks.app[number as usize].id = Some(id);
        if crate::remote::is_remote(&uri) {
            self.connect_far(id, &uri);
            return;
        }
        match self.router.route(&uri) {
            Ok((population, key)) => {
                let found = self.populations[population.0 as usize].table.find(key.as_bytes());
                match found {
                    Some(row) => self.connect_near(id, population, row),
                    None => self.downlinks.changed.push_back(super::Changed::App { number, population, key }),
                }
            }
            Err(reason) => self.downlinks.tell(id, 0, News::Failed(reason.into())),
        }
    }

    /// Tells the program instead of a twin.
    pub(super) fn tell_app(&mut self, id: u32, link: &Downlink, news: News) {
        let number = link.link;
        let mut told: Vec<AppNews> = Vec::new();
        match news {
            News::Value | News::Key(_) | News::Cleared => {
                self.downlinks.slab[id as usize].pending = false;
                told.extend(self.came(link, news).map(AppNews::Came));
            }
            News::Came(operation) => told.push(AppNews::Came(operation)),
            News::Linked => {
                self.linked(id);
                told.push(AppNews::Linked);
                if matches!(link.end, End::Far(_)) && self.downlinks.app[number as usize].decl.sync {
                    told.push(AppNews::Begins);
                }
            }
            News::Sync => {
                self.downlinks.slab[id as usize].is_synced = true;
                told.push(AppNews::Begins);
                told.extend(self.present(link).into_iter().map(AppNews::Came));
                told.push(AppNews::Synced);
            }
            News::Synced(_) => {
                self.downlinks.slab[id as usize].is_synced = true;
                told.push(AppNews::Synced);
            }
            News::Unlinked(reason) | News::Failed(reason) => {
                self.close_app_link(number);
                told.push(AppNews::Ended(reason));
            }
            News::Call(_) => {}
        }
        self.downlinks.app_news.extend(told.into_iter().map(|news| (number, news)));
    }

    /// What has happened to a lane of this shard, as it is now.
    fn came(&self, link: &Downlink, news: News) -> Option<Operation> {
        let End::Near(source) = link.end else { return None };
        let table = &self.populations[source.population.0 as usize].table;
        Some(match (news, source.place) {
            (News::Value, Place::Column(column)) => Operation::Value(table.columns[column as usize].get(source.row)),
            (News::Key(key), Place::Map(map)) => {
                let map = &table.maps[map as usize];
                match map.find(source.row, &key) {
                    Some(slot) => Operation::Update(key, map.value(slot)),
                    None => Operation::Remove(key),
                }
            }
            (News::Cleared, _) => Operation::Clear,
            _ => return None,
        })
    }

    fn present(&self, link: &Downlink) -> Vec<Operation> {
        let End::Near(source) = link.end else { return Vec::new() };
        let class = &self.populations[source.population.0 as usize];
        match source.place {
            Place::Column(column) => vec![Operation::Value(class.table.columns[column as usize].get(source.row))],
            Place::Map(map) if class.decl.maps[map as usize].ordered => elements(class, source.row, map).collect(),
            Place::Map(map) => {
                let table = &class.table.maps[map as usize];
                table.slots(source.row).map(|slot| Operation::Update(table.key(slot), table.value(slot))).collect()
            }
            _ => Vec::new(),
        }
    }
}

/// A link of the app whose connection broke.
pub(super) fn broken(app_news: &mut Vec<(u16, AppNews)>, link: &Downlink) {
    if link.population == APP {
        app_news.push((link.link, AppNews::Broken));
    }
}

/// Its state will be told anew.
pub(super) fn begins(app_news: &mut Vec<(u16, AppNews)>, link: &Downlink) {
    if link.population == APP {
        app_news.push((link.link, AppNews::Begins));
    }
}
