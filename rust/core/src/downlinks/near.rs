//! Links within the shard: what a kept turn of a linked twin has done, noted without encoding anything.

use super::*;
use crate::undo::Undo;

impl Downlinks {
    /// A turn of a twin that others link is being kept.
    pub fn note(&mut self, population: PopulationId, row: u32, class: &Class, log: &Log, hops: u16) {
        let columns = class.table.columns.len();
        let touched = |bit: usize| log.touched.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1);
        let mut at = self.heads[population.0 as usize][row as usize];
        while at != NONE {
            let id = at;
            let link = &mut self.slab[id as usize];
            let End::Near(source) = link.end else { return };
            at = source.after;
            // what comes before the state has been told is in it
            if !link.is_linked {
                continue;
            }
            match source.place {
                Place::Column(column) if touched(column as usize) && !link.pending => {
                    link.pending = true;
                    self.tell(id, hops, News::Value);
                }
                Place::Map(map) if touched(columns + map as usize) && class.decl.maps[map as usize].ordered => {
                    for (_, operation) in log.lists.iter().filter(|(of, _)| *of == map) {
                        self.tell(id, hops, News::Came(operation.clone()));
                    }
                }
                Place::Map(map) if touched(columns + map as usize) => {
                    for news in map_news(map, class, log) {
                        self.tell(id, hops, news);
                    }
                }
                _ => {}
            }
        }
    }

    /// A command's turn is being kept.
    pub fn note_command(&mut self, population: PopulationId, row: u32, class: &Class, command: u16, record: &Record) {
        let place = Place::Command(command);
        if self.links(population, row, place).next().is_some() {
            let body = crate::shard::record_value(&class.decl.commands[command as usize].body, record);
            self.note_item(population, row, place, &body);
        }
    }

    /// An item of a command or supply lane.
    pub fn note_item(&mut self, population: PopulationId, row: u32, place: Place, item: &Value) {
        let links: Vec<u32> = self.links(population, row, place).collect();
        self.events.extend(links.into_iter().map(|id| (id, item.clone())));
    }

    fn links(&self, population: PopulationId, row: u32, place: Place) -> impl Iterator<Item = u32> + '_ {
        let first = self.heads[population.0 as usize].get(row as usize).copied().unwrap_or(NONE);
        let next = |id: &u32| match &self.slab[*id as usize].end {
            End::Near(source) if source.after != NONE => Some(source.after),
            _ => None,
        };
        std::iter::successors((first != NONE).then_some(first), next).filter(move |id| {
            let link = &self.slab[*id as usize];
            link.is_linked && matches!(&link.end, End::Near(source) if source.place == place)
        })
    }

    /// Whose targets a kept turn has written.
    pub fn note_targets(&mut self, population: PopulationId, row: u32, class: &Class, log: &Log) {
        let columns = class.table.columns.len();
        let touched = |bit: usize| log.touched.get(bit / 64).is_some_and(|word| word >> (bit % 64) & 1 == 1);
        for (number, link) in class.decl.links.iter().enumerate() {
            let link_number = number as u16;
            match link.target {
                TargetDecl::Column(column) if touched(column) => self.change(population, link_number, row, row),
                TargetDecl::Map(map) if touched(columns + map) => {
                    let slots = log.entries.iter().filter_map(|entry| match entry {
                        Undo::Entry { map: of, slot, .. } | Undo::Presence { map: of, slot, .. }
                            if *of as usize == map =>
                        {
                            Some(*slot)
                        }
                        _ => None,
                    });
                    for at in slots {
                        self.change(population, link_number, row, at);
                    }
                }
                _ => {}
            }
        }
    }

    /// What the link that is there has still to tell is void.
    fn change(&mut self, population: PopulationId, link: u16, row: u32, at: u32) {
        if let Some(id) = self.lanes[population.0 as usize][link as usize].get(row, at) {
            self.serials = self.serials.wrapping_add(1);
            self.slab[id as usize].serial = self.serials;
        }
        self.changed.push_back(Changed::Target { population, link, at });
    }

    /// Who has joined and left the groups of a membership.
    pub fn note_member(&mut self, membership: usize, group: EcoString, member: EcoString, joined: bool) {
        self.changed.push_back(Changed::Member { membership, group, member, joined });
    }

    /// A twin of a class that links the members of its groups was made.
    pub fn note_group(&mut self, population: PopulationId, twin: TwinId) {
        self.changed.push_back(Changed::Group { population, twin });
    }

    /// The commands that a kept turn's items come to: whose link it is, and the item.
    pub(super) fn take_events(&mut self) -> Vec<(u32, Value)> {
        std::mem::take(&mut self.events)
    }

    pub fn has_events(&self) -> bool {
        !self.events.is_empty()
    }
}

/// The keys that a turn has written, in the order of their first write; a clear makes those before it void.
fn map_news(map: u16, class: &Class, log: &Log) -> Vec<News> {
    let table = &class.table.maps[map as usize];
    let mut news: Vec<News> = Vec::new();
    let mut cleared = log.cleared.iter().filter(|(of, _)| *of == map).map(|(_, at)| *at).peekable();
    for (at, entry) in log.entries.iter().enumerate() {
        while cleared.next_if(|clear| *clear <= at).is_some() {
            news = vec![News::Cleared];
        }
        let slot = match entry {
            Undo::Entry { map: of, slot, .. } | Undo::Presence { map: of, slot, .. } if *of == map => *slot,
            _ => continue,
        };
        let key = table.key(slot);
        if !news.iter().rev().take(8).any(|known| matches!(known, News::Key(known) if *known == key)) {
            news.push(News::Key(key));
        }
    }
    if cleared.next().is_some() {
        news = vec![News::Cleared];
    }
    news
}
