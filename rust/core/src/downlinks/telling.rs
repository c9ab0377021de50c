//! The turns in which twins are told what their links bring. What comes is written and kept first; then the handlers that it
//! concerns run, in a turn of their own: one that fails undoes what it did, and the copy stays what the linked lane is.

use super::app::APP;
use super::copying::is_alike;
use super::*;
use crate::declaration::{ColumnType, CopyDecl};
use crate::dispatch::Step;
use crate::envelope::{Body, Envelope, Kind, Lane as EnvelopeLane, Node, Origin};
use crate::links::elements;
use crate::shard::Shard;
use crate::turn::{Cause, Refusal, What, Within};

impl Shard {
    /// Opens the turn of what is to be told next. None: nothing is, or there is nothing to run for it.
    pub(crate) fn next_told(&mut self) -> Option<Step> {
        let told = self.downlinks.told.pop_front()?;
        if let News::Call(call) = told.what {
            return self.called(*call);
        }
        let link = self.downlinks.live(told.link, told.serial)?;
        if link.population == APP {
            self.tell_app(told.link, &link, told.what);
            return None;
        }
        let twin = self.populations[link.population.0 as usize].table.id(link.row)?;
        if self.is_busy(link.population, twin) {
            self.wait_told(link.population, twin, told);
            return None;
        }
        let Told { link: id, hops, what, .. } = told;
        if hops > self.settings.max_hops {
            self.downlinks.slab[id as usize].pending = false;
            let reason = format!(
                "what a link brought changed a lane that a link brought … {} times (max_hops): twins link each other in a ring",
                self.settings.max_hops
            );
            self.bury_link(&link, Kind::Limit, &reason);
            return None;
        }
        match what {
            News::Value => {
                self.downlinks.slab[id as usize].pending = false;
                let (End::Near(source), Some(table)) = (link.end, self.source_table(&link)) else { return None };
                let Place::Column(column) = source.place else { return None };
                let value = table.columns[column as usize].get(source.row);
                if !self.is_plain(&link) {
                    return self.bring_came(id, &link, (twin, hops), Operation::Value(value));
                }
                self.open_link(&link, twin, hops);
                self.write_value(&link, value);
            }
            News::Key(key) => {
                let value = self.source_entry(&link, &key);
                if !self.is_plain(&link) {
                    let operation = match value {
                        Some(value) => Operation::Update(key, value),
                        None => Operation::Remove(key),
                    };
                    return self.bring_came(id, &link, (twin, hops), operation);
                }
                self.open_link(&link, twin, hops);
                self.write_entry(&link, key, value);
            }
            News::Cleared => self.clear_copy(&link, twin, hops),
            News::Came(operation) => return self.bring_came(id, &link, (twin, hops), operation),
            News::Linked => {
                self.linked(id);
                self.hook(&link, twin, Hook::Linked, EcoString::new());
                return None;
            }
            News::Sync if self.is_plain(&link) => {
                self.open_link(&link, twin, hops);
                self.copy_all(&link);
                self.synced(id, &link, twin);
            }
            News::Sync => {
                self.tell_all(id, &link);
                return None;
            }
            News::Synced(keys) => {
                self.open_link(&link, twin, hops);
                if let Some(keys) = keys {
                    self.keep_only(&link, &keys);
                }
                self.synced(id, &link, twin);
            }
            News::Unlinked(reason) => {
                self.end_link(&link, twin);
                self.downlinks.remove(id);
                self.hook(&link, twin, Hook::Unlinked, reason);
            }
            News::Failed(reason) => {
                if !Hook::Failed.is_in(self.link_decl(link.population, link.link)) {
                    self.bury_link(&link, Kind::Unrouted, &reason);
                }
                self.end_link(&link, twin);
                self.downlinks.remove(id);
                self.hook(&link, twin, Hook::Failed, reason);
            }
            News::Call(_) => return None,
        }
        self.settle_copy();
        None
    }

    fn called(&mut self, call: Call) -> Option<Step> {
        let Call { population, twin, link, .. } = call;
        let row = self.populations[population.0 as usize].table.row(twin)?;
        if self.is_busy(population, twin) {
            self.wait_told(population, twin, Told { link: NONE, serial: 0, hops: 0, what: News::Call(Box::new(call)) });
            return None;
        }
        self.turn.cause = Cause::Link(population, link);
        self.open(population, row, twin, 0);
        match call.what {
            Said::Hook(hook, reason) => Some(Step::Call(What::Link { link, hook, reason })),
            Said::Left(uri) => {
                let gone = Downlink {
                    population,
                    link,
                    row,
                    at: NONE,
                    serial: 0,
                    end: End::Nowhere,
                    pending: false,
                    is_linked: false,
                    is_synced: false,
                };
                self.drop_given(&gone, &Value::Text(uri));
                self.settle_copy();
                None
            }
        }
    }

    fn synced(&mut self, id: u32, link: &Downlink, twin: TwinId) {
        if !std::mem::replace(&mut self.downlinks.slab[id as usize].is_synced, true) {
            self.hook(link, twin, Hook::Synced, EcoString::new());
        }
    }

    fn clear_copy(&mut self, link: &Downlink, twin: TwinId, hops: u16) {
        self.open_link(link, twin, hops);
        for key in self.copied_keys(link) {
            self.write_entry(link, key, None);
        }
    }

    /// Has a hook called next, if there is one.
    fn hook(&mut self, link: &Downlink, twin: TwinId, hook: Hook, reason: EcoString) {
        let (population, number) = (link.population, link.link);
        if hook.is_in(self.link_decl(population, number)) {
            self.downlinks.call_next(Call { population, twin, link: number, what: Said::Hook(hook, reason) });
        }
    }

    pub(super) fn open_link(&mut self, link: &Downlink, twin: TwinId, hops: u16) {
        self.turn.cause = Cause::Link(link.population, link.link);
        self.open(link.population, link.row, twin, hops);
    }

    /// Keeps what was written to the copy, and opens the turn of the handlers that watch it.
    pub(crate) fn settle_copy(&mut self) {
        let seen = std::mem::take(&mut self.turn.log.seen);
        if seen.is_empty() {
            return;
        }
        let (population, row, id, hops) = (self.turn.population, self.turn.row, self.turn.id, self.turn.hops);
        self.keep();
        self.open(population, row, id, hops);
        self.turn.log.seen = seen;
    }

    fn is_busy(&self, population: PopulationId, twin: TwinId) -> bool {
        !self.busy.is_empty() && self.busy.contains_key(&(population, twin))
    }

    /// The twin has an async turn in flight.
    fn wait_told(&mut self, population: PopulationId, twin: TwinId, told: Told) {
        let bound = self.settings.busy_bound;
        let waiting = self.downlinks.waiting.entry((population, twin)).or_default();
        if waiting.len() < bound || matches!(told.what, News::Call(_)) {
            waiting.push_back(told);
        } else if !waiting.iter().rev().any(|other| other.link == told.link && matches!(other.what, News::Sync)) {
            // too much for one by one: the state as it will be then
            waiting.retain(|other| other.link != told.link || matches!(other.what, News::Linked | News::Call(_)));
            waiting.push_back(Told { what: News::Sync, ..told });
        }
    }

    /// The twin's async turn is over.
    pub(crate) fn resume_told(&mut self, population: PopulationId, twin: TwinId) {
        if let Some(waiting) = self.downlinks.waiting.remove(&(population, twin)) {
            for told in waiting.into_iter().rev() {
                self.downlinks.told.push_front(told);
            }
        }
    }

    // -- through the lane's type

    /// What has come goes the way of a lane that is set from outside: through its type.
    fn bring_came(
        &mut self,
        id: u32,
        link: &Downlink,
        (twin, hops): (TwinId, u16),
        operation: Operation,
    ) -> Option<Step> {
        let decl = self.link_decl(link.population, link.link);
        let list = |items: Vec<Value>| Body::Tree(Value::List(items.into()));
        let (lane, body) = match (decl.kind, decl.copy, operation) {
            (LinkKind::Value, CopyDecl::Column(column), Operation::Value(value)) => {
                let old = self.populations[link.population.0 as usize].table.columns[column].get(link.row);
                // a link that comes back tells what is known already
                if !link.is_synced && is_alike(&old, &value) {
                    return None;
                }
                if value.is_null() {
                    self.open_link(link, twin, hops);
                    self.write_value(link, value);
                    self.settle_copy();
                    return None;
                }
                (EnvelopeLane::Column(column as u16), Body::Tree(value))
            }
            (LinkKind::Join, CopyDecl::Map(map), Operation::Value(value)) => {
                let key = self.target_key(link);
                let old = self.entry(link, map, &key);
                let is_known = match &old {
                    Some(old) => is_alike(old, &value),
                    None => value.is_null() && !decl.nullable,
                };
                if !link.is_synced && is_known {
                    return None;
                }
                if value.is_null() {
                    self.open_link(link, twin, hops);
                    self.write_value(link, value);
                    self.settle_copy();
                    return None;
                }
                (EnvelopeLane::Map(map as u16), list(vec![key, value]))
            }
            (LinkKind::Map | LinkKind::JoinMap, CopyDecl::Map(map), Operation::Update(key, value)) => {
                let old = self.entry(link, map, &key);
                if !link.is_synced && decl.owners.is_none() && old.is_some_and(|old| is_alike(&old, &value)) {
                    return None;
                }
                (EnvelopeLane::Map(map as u16), list(vec![key, value]))
            }
            (LinkKind::Map | LinkKind::JoinMap, _, Operation::Remove(key)) => {
                self.open_link(link, twin, hops);
                self.write_entry(link, key, None);
                self.settle_copy();
                return None;
            }
            (LinkKind::List, CopyDecl::Map(map), operation) => {
                let is_looked_at = self.populations[link.population.0 as usize].table.maps[map].value_type()
                    == ColumnType::Value
                    && !self.is_typed(link);
                match operation {
                    Operation::Element { index, key, value } if is_looked_at => {
                        let slot = |name: &str, value: Value| (EcoString::from(name), value);
                        let mut members = vec![slot("index", Value::Int(index.into())), slot("value", value)];
                        if !key.is_null() {
                            members.push(slot("key", key));
                        }
                        (EnvelopeLane::Map(map as u16), Body::Tree(Value::Map(members.into_iter().collect())))
                    }
                    operation => {
                        self.open_link(link, twin, hops);
                        self.write_element(link, map as u16, operation);
                        self.settle_copy();
                        return None;
                    }
                }
            }
            (_, CopyDecl::Map(_), Operation::Clear) => {
                self.clear_copy(link, twin, hops);
                self.settle_copy();
                return None;
            }
            (LinkKind::Event, CopyDecl::Command(command), Operation::Body(body) | Operation::Value(body)) => {
                (EnvelopeLane::Command(command as u16), Body::Tree(body))
            }
            _ => return None,
        };
        self.next_sequence += 1;
        self.bring(Envelope {
            origin: Origin::Downlink(DownlinkId(id)),
            sequence: self.next_sequence,
            hops,
            node: Node::Twin(link.population, twin),
            lane,
            body,
            raw: Vec::new(),
            passed: false,
        })
    }

    /// What a link has brought is written: the entry is the link's, and the copy is kept whatever its handlers do.
    pub(crate) fn keep_came(&mut self, id: DownlinkId, key: Option<&Value>) {
        let owner = self.downlinks.owner(id);
        if let (Some((population, link)), Some(key)) = (owner, key)
            && (population, self.downlinks.slab[id.0 as usize].row) == (self.turn.population, self.turn.row)
            && let Some(owners) = self.link_decl(population, link).owners
        {
            let link = self.downlinks.slab[id.0 as usize];
            let target = self.target_key(&link);
            if let Err(refusal) = self.map_put(Within::Open, owners as u16, key.clone(), target) {
                self.bury_link(&link, Kind::Limit, &refusal.to_string());
            }
        }
        self.settle_copy();
    }

    /// The present state, to be told piece by piece.
    fn tell_all(&mut self, id: u32, link: &Downlink) {
        let (End::Near(source), Some(table)) = (link.end, self.source_table(link)) else { return };
        let mut keys = None;
        let operations: Vec<Operation> = match source.place {
            Place::Column(column) => vec![Operation::Value(table.columns[column as usize].get(source.row))],
            Place::Map(map) => {
                let of = &table.maps[map as usize];
                keys = Some(Arc::new(of.slots(source.row).map(|slot| key_text(&of.key(slot))).collect()));
                match of.is_ordered() {
                    true => elements(&self.populations[source.population.0 as usize], source.row, map).collect(),
                    false => of.slots(source.row).map(|slot| Operation::Update(of.key(slot), of.value(slot))).collect(),
                }
            }
            _ => Vec::new(),
        };
        let serial = link.serial;
        let told = |what| Told { link: id, serial, hops: 0, what };
        self.downlinks.told.push_front(told(News::Synced(keys)));
        for operation in operations.into_iter().rev() {
            self.downlinks.told.push_front(told(News::Came(operation)));
        }
    }

    // -- what handlers do

    /// A target of a join: linked when the turn is kept.
    pub fn join(&mut self, within: Within, link: u16, key: Value, uri: EcoString) -> Result<(), Refusal> {
        let (population, _) = self.place_of(within)?;
        let TargetDecl::Map(map) = self.link_decl(population, link).target else { return Ok(()) };
        self.map_put(within, map as u16, key, Value::Text(uri))
    }

    /// Takes a target out, with what it has given. False: there was none.
    pub fn leave(&mut self, within: Within, link: u16, key: &Value) -> Result<bool, Refusal> {
        let (population, row) = self.place_of(within)?;
        let decl = self.link_decl(population, link).clone();
        let (TargetDecl::Map(map), CopyDecl::Map(copy)) = (decl.target, decl.copy) else { return Ok(false) };
        for given in self.given(population, row, link, key) {
            self.map_remove(within, copy as u16, &given)?;
            if let Some(owners) = decl.owners {
                self.map_remove(within, owners as u16, &given)?;
            }
        }
        Ok(self.map_remove(within, map as u16, key)?.is_some())
    }

    fn place_of(&mut self, within: Within) -> Result<(PopulationId, u32), Refusal> {
        let turn = self.turn_of(within)?;
        Ok((turn.population, turn.row))
    }

    // -- items

    /// Sends the items that a kept turn has brought, as commands to the twins that link it.
    pub(crate) fn send_events(&mut self, population: PopulationId, row: u32, hops: u16) {
        for (id, item) in self.downlinks.take_events() {
            let link = self.downlinks.slab[id as usize];
            if link.population == APP {
                self.downlinks.tell(id, hops, News::Came(Operation::Body(item)));
                continue;
            }
            let CopyDecl::Command(command) = self.link_decl(link.population, link.link).copy else { continue };
            let Some(twin) = self.populations[link.population.0 as usize].table.id(link.row) else { continue };
            let key = self.populations[population.0 as usize].table.key(row).into();
            self.send_inner(Envelope {
                origin: Origin::Twin(population, key),
                sequence: 0,
                hops: hops + 1,
                node: Node::Twin(link.population, twin),
                lane: EnvelopeLane::Command(command as u16),
                body: Body::Tree(item),
                raw: Vec::new(),
                passed: false,
            });
        }
    }
}
