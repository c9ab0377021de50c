//! From what a kept turn has written to links that are open: addresses looked up, twins made where there are none.

use super::app::APP;
use super::*;
use crate::declaration::CommandDecl;
use crate::dispatch::Step;
use crate::serve::bare;
use crate::shard::{Newborn, Shard};

/// Room that is kept for targets that change.
const SPARE: usize = 1024;

/// A link whose twin has to be made first.
#[derive(Clone, Copy, Debug)]
pub struct Target {
    population: PopulationId,
    link: u16,
    at: u32,
}

impl Shard {
    /// Tells the next twin what its link has brought, else opens or closes the next link whose target has changed. None: look
    /// at the turn's phase again.
    pub(crate) fn next_link(&mut self) -> Option<Step> {
        if !self.downlinks.told.is_empty() {
            return self.next_told();
        }
        let changed = self.downlinks.changed.pop_front()?;
        if self.downlinks.changed.is_empty() && self.downlinks.changed.capacity() > SPARE {
            // as many as that are opened once
            self.downlinks.changed.shrink_to(SPARE);
        }
        match changed {
            Changed::Target { population, link, at } => self.connect(Target { population, link, at }),
            Changed::Member { membership, group, member, joined } => {
                let population = self.memberships[membership].group;
                let rows: Vec<u32> = match self.memberships[membership].is_all() {
                    true => self.populations[population.0 as usize].table.live().collect(),
                    false => self.populations[population.0 as usize].table.find(group.as_bytes()).into_iter().collect(),
                };
                rows.into_iter().for_each(|row| self.connect_member(membership, row, &member, joined));
                None
            }
            Changed::App { number, population, key } => {
                let id = self.downlinks.app[number as usize].id?;
                match self.populations[population.0 as usize].table.find(key.as_bytes()) {
                    Some(row) => self.connect_near(id, population, row),
                    None => {
                        let target = Target { population: APP, link: number, at: id };
                        match self.make(population, &key, Newborn::Target(target)) {
                            Ok(step) => return step,
                            Err((_, row, _)) => self.connect_near(id, population, row),
                        }
                    }
                }
                None
            }
            Changed::Group { population, twin } => {
                let row = self.populations[population.0 as usize].table.row(twin)?;
                for membership in self.populations[population.0 as usize].groups.clone() {
                    let of = self.memberships[membership].member;
                    let table = &self.populations[of.0 as usize].table;
                    let members = self.memberships[membership].members("").filter_map(|member| table.row(member));
                    let members: Vec<EcoString> = members.map(|row| table.key(row).into()).collect();
                    members.iter().for_each(|member| self.connect_member(membership, row, member, true));
                }
                None
            }
        }
    }

    /// A member of a group whose class has joins over it.
    fn connect_member(&mut self, membership: usize, row: u32, member: &str, joined: bool) {
        let (population, of) = (self.memberships[membership].group, self.memberships[membership].member);
        // one that is deleted has been taken out already
        let Some(at) = self.populations[of.0 as usize].table.find(member.as_bytes()) else { return };
        let class = &self.populations[population.0 as usize];
        let Some(number) = class.groups.iter().position(|other| *other == membership) else { return };
        let links: Vec<u16> = (0..class.decl.links.len() as u16)
            .filter(|link| class.decl.links[*link as usize].target == TargetDecl::Members(number))
            .collect();
        for link in links {
            let known = self.downlinks.lanes[population.0 as usize][link as usize].get(row, at);
            match (known, joined) {
                (Some(id), false) => {
                    self.member_left(id);
                    self.close_left();
                }
                (None, true) => {
                    let id = self.downlinks.insert(population, link, row, at);
                    self.connect_near(id, of, at);
                }
                _ => {}
            }
        }
    }

    /// Takes a join's link to a member out; the entry goes in a turn of its own.
    fn member_left(&mut self, id: u32) {
        let Downlink { population, link, row, end, .. } = self.downlinks.slab[id as usize];
        self.downlinks.remove(id);
        let Some(twin) = self.populations[population.0 as usize].table.id(row) else { return };
        if let End::Near(source) = end {
            let table = &self.populations[source.population.0 as usize].table;
            let uri = self.router.uri(source.population, table.key(source.row)).into();
            self.downlinks.call(Call { population, twin, link, what: Said::Left(uri) });
        }
    }

    pub(super) fn link_decl(&self, population: PopulationId, link: u16) -> &LinkDecl {
        match population {
            APP => &self.downlinks.app[link as usize].decl,
            population => &self.populations[population.0 as usize].decl.links[link as usize],
        }
    }

    /// Brings a link in line with what its target says now.
    fn connect(&mut self, target: Target) -> Option<Step> {
        let Target { population, link, at } = target;
        if let Some(id) = self.downlinks.lanes[population.0 as usize][link as usize].get(at, at) {
            let Downlink { row, is_linked, .. } = self.downlinks.slab[id as usize];
            self.downlinks.remove(id);
            if is_linked
                && Hook::Closed.is_in(self.link_decl(population, link))
                && let Some(twin) = self.populations[population.0 as usize].table.id(row)
            {
                let what = Said::Hook(Hook::Closed, EcoString::new());
                self.downlinks.call(Call { population, twin, link, what });
            }
        }
        self.close_left();
        let (row, uri) = self.target(target)?;
        let id = self.downlinks.insert(population, link, row, at);
        if crate::remote::is_remote(&uri) {
            self.connect_far(id, &uri);
            self.close_left();
            return None;
        }
        let (source, key) = match self.router.route(&uri) {
            Ok(routed) => routed,
            Err(reason) => {
                self.downlinks.tell(id, 0, News::Failed(reason.into()));
                return None;
            }
        };
        match self.populations[source.0 as usize].table.find(key.as_bytes()) {
            Some(row) => self.connect_near(id, source, row),
            None => match self.make(source, &key, Newborn::Target(target)) {
                Ok(step) => return step,
                Err((_, row, _)) => self.connect_near(id, source, row),
            },
        }
        None
    }

    /// A link's twin has been made, or could not be: None.
    pub(crate) fn target_newborn(&mut self, target: Target, made: Option<(PopulationId, u32)>) {
        let Target { population, link, at } = target;
        let id = match population {
            APP => self.downlinks.app[link as usize].id,
            population => self.downlinks.lanes[population.0 as usize][link as usize].get(at, at),
        };
        let Some(id) = id else { return };
        match made {
            Some((source, row)) => self.connect_near(id, source, row),
            None => self.downlinks.tell(id, 0, News::Failed("the twin could not be made".into())),
        }
    }

    pub(super) fn target_uri(&self, population: PopulationId, link: u16, at: u32) -> Option<EcoString> {
        if population == APP {
            return Some(self.downlinks.app[link as usize].uri.clone());
        }
        self.target(Target { population, link, at }).map(|(_, uri)| uri)
    }

    /// Whose link it is, and the node URI. None: it is closed.
    fn target(&self, target: Target) -> Option<(u32, EcoString)> {
        let Target { population, link, at } = target;
        let table = &self.populations[population.0 as usize].table;
        match self.link_decl(population, link).target {
            TargetDecl::Column(column) => Some((at, table.columns[column].text(at)?.into())),
            TargetDecl::Map(map) => match table.maps[map].value(at) {
                Value::Text(uri) => Some((table.maps[map].owner(at)?, uri)),
                _ => None,
            },
            TargetDecl::Members(_) => None,
        }
    }

    pub(super) fn connect_near(&mut self, id: u32, population: PopulationId, row: u32) {
        let Downlink { population: own, link, .. } = self.downlinks.slab[id as usize];
        let decl = self.link_decl(own, link);
        let class = &self.populations[population.0 as usize];
        match near_place(decl, class) {
            Ok(place) => self.attached(id, population, row, place),
            Err(reason) => self.downlinks.tell(id, 0, News::Failed(reason.into())),
        }
    }

    fn attached(&mut self, id: u32, population: PopulationId, row: u32, place: Place) {
        let Downlink { population: own, link, .. } = self.downlinks.slab[id as usize];
        self.downlinks.attach(id, population, row, place);
        self.downlinks.tell(id, 0, News::Linked);
        if self.link_decl(own, link).sync {
            self.downlinks.tell(id, 0, News::Sync);
        }
    }

    // -- twins that leave

    /// A twin is about to leave: its links are closed, and those of others to it are ended.
    pub(crate) fn forget_links(&mut self, population: PopulationId, row: u32) {
        if self.downlinks.is_empty() {
            return;
        }
        self.close_left();
        for id in self.downlinks.links_of(population, row) {
            let Downlink { population: own, link, .. } = self.downlinks.slab[id as usize];
            if matches!(self.link_decl(own, link).target, TargetDecl::Members(_)) {
                self.member_left(id);
            } else {
                self.downlinks.detach(id);
                self.downlinks.tell(id, 0, News::Unlinked("the twin has been deleted".into()));
            }
        }
        // a twin that ends hears nothing more
        self.downlinks.observed.clear();
        let class = &self.populations[population.0 as usize];
        let mut own = Vec::new();
        for (number, link) in class.decl.links.iter().enumerate() {
            let lane = &self.downlinks.lanes[population.0 as usize][number];
            match link.target {
                TargetDecl::Column(_) => own.extend(lane.get(row, row)),
                TargetDecl::Map(map) => {
                    own.extend(class.table.maps[map].slots(row).filter_map(|slot| lane.get(row, slot)))
                }
                TargetDecl::Members(members) => {
                    let membership = &self.memberships[class.groups[members]];
                    let table = &self.populations[membership.member.0 as usize].table;
                    let rows = membership.members(class.table.key(row)).filter_map(|member| table.row(member));
                    own.extend(rows.filter_map(|at| lane.get(row, at)));
                }
            }
        }
        own.into_iter().for_each(|id| self.downlinks.remove(id));
        self.close_left();
    }

    /// After a start from a store: everything that is linked is linked again.
    pub(crate) fn relink(&mut self) {
        for number in 0..self.populations.len() {
            let class = &self.populations[number];
            let population = PopulationId(number as u16);
            for (link, decl) in class.decl.links.iter().enumerate() {
                let link = link as u16;
                let targets: Vec<u32> = match decl.target {
                    TargetDecl::Column(column) => {
                        class.table.live().filter(|row| class.table.columns[column].text(*row).is_some()).collect()
                    }
                    TargetDecl::Map(map) => {
                        let table = &class.table.maps[map];
                        (0..table.used()).filter(|slot| table.owner(*slot).is_some()).collect()
                    }
                    TargetDecl::Members(_) => Vec::new(),
                };
                let changed = targets.into_iter().map(|at| Changed::Target { population, link, at });
                self.downlinks.changed.extend(changed);
            }
        }
    }
}

/// The lane of a twin of this class that a link names. Errors: it has none that such a link can have.
fn near_place(decl: &LinkDecl, class: &Class) -> Result<Place, String> {
    let name = &class.decl.name;
    let Some(place) = place_of(class, &decl.lane) else {
        return Err(format!("{name} has no public lane `{}`", decl.lane));
    };
    let fits = match (decl.kind, place) {
        (LinkKind::Value | LinkKind::Join, Place::Column(_)) => true,
        (LinkKind::Map | LinkKind::JoinMap, Place::Map(map)) => !class.decl.maps[map as usize].ordered,
        (LinkKind::List, Place::Map(map)) => class.decl.maps[map as usize].ordered,
        (LinkKind::Event, Place::Command(_) | Place::Supply(_)) => true,
        _ => false,
    };
    let wanted = match decl.kind {
        LinkKind::Value | LinkKind::Join => "a value lane",
        LinkKind::Map | LinkKind::JoinMap => "a map lane",
        LinkKind::List => "a list lane",
        LinkKind::Event => "a command or supply lane",
    };
    if fits { Ok(place) } else { Err(format!("`{}` of {name} is not {wanted}", decl.lane)) }
}

/// A public lane that keeps state, or passes items on.
fn place_of(class: &Class, lane: &str) -> Option<Place> {
    let (decl, name) = (&class.decl, &*bare(lane));
    if name.starts_with('_') {
        return None;
    }
    let is_it = |command: &CommandDecl| command.name == name && command.request.is_none();
    let column = decl.columns.iter().position(|column| column.name == name).map(|at| Place::Column(at as u16));
    column
        .or_else(|| decl.maps.iter().position(|map| map.name == name).map(|at| Place::Map(at as u16)))
        .or_else(|| decl.commands.iter().position(is_it).map(|at| Place::Command(at as u16)))
        .or_else(|| decl.supplies.iter().position(|supply| supply.name == name).map(|at| Place::Supply(at as u16)))
}
