//! The turns in which twins are told what their links bring. What comes is written and kept first; then the handlers that it
//! concerns run, in a turn of their own: one that fails undoes what it did, and the copy stays what the linked lane is.

use super::*;
use crate::declaration::{ColumnType, CopyDecl};
use crate::dispatch::Step;
use crate::envelope::{Body, Envelope, Kind, Lane as EnvelopeLane, Node, Origin};
use crate::fold;
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
                    return self.bring_came(id, &link, twin, Operation::Value(value));
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
                    return self.bring_came(id, &link, twin, operation);
                }
                self.open_link(&link, twin, hops);
                self.write_entry(&link, key, value);
            }
            News::Cleared => self.clear_copy(&link, twin, hops),
            News::Came(operation) => return self.bring_came(id, &link, twin, operation),
            News::Linked => {
                self.downlinks.slab[id as usize].is_linked = true;
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
                let kind = self.link_decl(link.population, link.link).kind;
                if let (Some(keys), LinkKind::Map | LinkKind::JoinMap) = (keys, kind) {
                    for key in self.copied_keys(&link) {
                        if !keys.contains(&Operation::Remove(key.clone()).key()) {
                            self.write_entry(&link, key, None);
                        }
                    }
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

    fn open_link(&mut self, link: &Downlink, twin: TwinId, hops: u16) {
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

    // -- what is written

    fn source_table(&self, link: &Downlink) -> Option<&crate::population::Population> {
        match link.end {
            End::Near(source) => Some(&self.populations[source.population.0 as usize].table),
            _ => None,
        }
    }

    fn source_entry(&self, link: &Downlink, key: &Value) -> Option<Value> {
        let (End::Near(Source { place: Place::Map(map), row, .. }), Some(table)) = (link.end, self.source_table(link))
        else {
            return None;
        };
        let table = &table.maps[map as usize];
        table.find(row, key).map(|slot| table.value(slot))
    }

    /// The key of a join's link: that of its target, or the member's URI.
    fn target_key(&self, link: &Downlink) -> Value {
        match (self.link_decl(link.population, link.link).target, link.end) {
            (TargetDecl::Map(map), _) => self.populations[link.population.0 as usize].table.maps[map].key(link.at),
            (TargetDecl::Members(_), End::Near(source)) => {
                let table = &self.populations[source.population.0 as usize].table;
                Value::Text(self.router.uri(source.population, table.key(source.row)).into())
            }
            _ => Value::Null,
        }
    }

    /// A value of the linked lane, for the copy or for the join's entry. Null: it is unset.
    fn write_value(&mut self, link: &Downlink, value: Value) {
        let decl = self.link_decl(link.population, link.link);
        match (decl.kind, decl.copy) {
            (LinkKind::Join, _) => {
                let key = self.target_key(link);
                self.write_entry(link, key, (!value.is_null()).then_some(value));
            }
            (_, CopyDecl::Column(column)) => {
                if let Err((kind, reason)) = self.copy_cell(column as u16, value) {
                    self.bury_link(link, kind, &reason);
                }
            }
            _ => {}
        }
    }

    fn copy_cell(&mut self, column: u16, value: Value) -> Result<(), (Kind, String)> {
        let turn = &mut self.turn;
        let class = &mut self.populations[turn.population.0 as usize];
        let program = &class.programs.columns[column as usize];
        let unset = value.is_null();
        let misfit = |misfit: crate::population::column::Misfit| {
            (Kind::Invalid, format!("`{}` {misfit}", class.decl.columns[column as usize].name))
        };
        let value = class.table.fit(column, value).map_err(misfit)?;
        let mark = turn.log.mark();
        class.table.put(turn.row, column, value, &mut turn.log);
        if unset || program.is_empty() {
            return Ok(());
        }
        fold::run(program, &mut class.table, turn.row, &[], turn.time, &mut turn.log).map_err(|error| {
            class.table.rewind(turn.row, &mut turn.log, &mark);
            (Kind::Failed, error.to_string())
        })
    }

    /// An entry of a copy that is a map; None: it goes.
    fn write_entry(&mut self, link: &Downlink, key: Value, value: Option<Value>) {
        let decl = self.link_decl(link.population, link.link);
        let (CopyDecl::Map(map), owners) = (decl.copy, decl.owners) else { return };
        let (map, target) = (map as u16, owners.map(|_| self.target_key(link)));
        let done = match (value, owners, target) {
            (Some(value), None, _) => self.map_put(Within::Open, map, key, value),
            (None, None, _) => self.map_remove(Within::Open, map, &key).map(drop),
            (Some(value), Some(owners), Some(target)) => self
                .map_put(Within::Open, map, key.clone(), value)
                .and_then(|()| self.map_put(Within::Open, owners as u16, key, target)),
            // an entry belongs to the link that has set it last
            (None, Some(owners), Some(target)) if self.entry(link, owners, &key).as_ref() == Some(&target) => self
                .map_remove(Within::Open, map, &key)
                .and_then(|_| self.map_remove(Within::Open, owners as u16, &key).map(drop)),
            _ => Ok(()),
        };
        if let Err(refusal) = done {
            let kind = if matches!(refusal, Refusal::Limit(_)) { Kind::Limit } else { Kind::Failed };
            self.bury_link(link, kind, &refusal.to_string());
        }
    }

    fn entry(&self, link: &Downlink, map: usize, key: &Value) -> Option<Value> {
        let table = &self.populations[link.population.0 as usize].table.maps[map];
        table.find(link.row, key).map(|slot| table.value(slot))
    }

    /// The keys that the link has given to its copy.
    fn copied_keys(&self, link: &Downlink) -> Vec<Value> {
        let decl = self.link_decl(link.population, link.link);
        let CopyDecl::Map(map) = decl.copy else { return Vec::new() };
        let maps = &self.populations[link.population.0 as usize].table.maps;
        match decl.owners {
            None => maps[map].slots(link.row).map(|slot| maps[map].key(slot)).collect(),
            Some(owners) => {
                let (owners, target) = (&maps[owners], self.target_key(link));
                let own = owners.slots(link.row).filter(|slot| owners.value(*slot) == target);
                own.map(|slot| owners.key(slot)).collect()
            }
        }
    }

    /// What comes has the types of the copy, or is made to fit it without Python.
    fn is_plain(&self, link: &Downlink) -> bool {
        let End::Near(source) = link.end else { return false };
        let decl = self.link_decl(link.population, link.link);
        let table = &self.populations[link.population.0 as usize].table;
        decl.typed == Some(source.population.0 as usize)
            || match decl.copy {
                CopyDecl::Column(column) => table.columns[column].kind() != ColumnType::Value,
                CopyDecl::Map(map) => {
                    table.maps[map].key_type() != ColumnType::Value && table.maps[map].value_type() != ColumnType::Value
                }
                CopyDecl::Command(_) => true,
            }
    }

    /// What has come goes the way of a lane that is set from outside: through its type.
    fn bring_came(&mut self, id: u32, link: &Downlink, twin: TwinId, operation: Operation) -> Option<Step> {
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
                    self.open_link(link, twin, 0);
                    self.write_value(link, value);
                    self.settle_copy();
                    return None;
                }
                (EnvelopeLane::Column(column as u16), Body::Tree(value))
            }
            (LinkKind::Join, CopyDecl::Map(map), Operation::Value(value)) => {
                let key = self.target_key(link);
                let old = self.entry(link, map, &key);
                if !link.is_synced && is_alike(&old.unwrap_or_default(), &value) {
                    return None;
                }
                match value {
                    Value::Null => (EnvelopeLane::Map(map as u16), list(vec![key])),
                    value => (EnvelopeLane::Map(map as u16), list(vec![key, value])),
                }
            }
            (LinkKind::Map | LinkKind::JoinMap, CopyDecl::Map(map), Operation::Update(key, value)) => {
                let old = self.entry(link, map, &key);
                if !link.is_synced && decl.owners.is_none() && old.is_some_and(|old| is_alike(&old, &value)) {
                    return None;
                }
                (EnvelopeLane::Map(map as u16), list(vec![key, value]))
            }
            (LinkKind::Map | LinkKind::JoinMap, _, Operation::Remove(key)) => {
                self.open_link(link, twin, 0);
                self.write_entry(link, key, None);
                self.settle_copy();
                return None;
            }
            (_, CopyDecl::Map(_), Operation::Clear) => {
                self.clear_copy(link, twin, 0);
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
            origin: Origin::Link(DownlinkId(id)),
            sequence: self.next_sequence,
            hops: 0,
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
                let map = &table.maps[map as usize];
                let all: Vec<_> =
                    map.slots(source.row).map(|slot| Operation::Update(map.key(slot), map.value(slot))).collect();
                keys = Some(Arc::new(all.iter().map(Operation::key).collect()));
                all
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

    /// Makes the copy what the linked lane is; what is alike already is not written again.
    fn copy_all(&mut self, link: &Downlink) {
        let End::Near(source) = link.end else { return };
        let decl = self.link_decl(link.population, link.link);
        match (decl.kind, decl.copy, source.place) {
            (LinkKind::Value, CopyDecl::Column(copy), Place::Column(column)) => {
                let new = self.populations[source.population.0 as usize].table.columns[column as usize].get(source.row);
                let old = self.populations[link.population.0 as usize].table.columns[copy].get(link.row);
                if new != old {
                    self.write_value(link, new);
                }
            }
            (LinkKind::Join, CopyDecl::Map(map), Place::Column(column)) => {
                let new = self.populations[source.population.0 as usize].table.columns[column as usize].get(source.row);
                let old = self.entry(link, map, &self.target_key(link));
                if old.as_ref() != Some(&new) {
                    self.write_value(link, new);
                }
            }
            (LinkKind::Map | LinkKind::JoinMap, CopyDecl::Map(map), Place::Map(of)) => {
                let owners = decl.owners;
                let table = &self.populations[source.population.0 as usize].table.maps[of as usize];
                let present: Vec<(Value, Value)> =
                    table.slots(source.row).map(|slot| (table.key(slot), table.value(slot))).collect();
                for key in self.copied_keys(link) {
                    if self.source_entry(link, &key).is_none() {
                        self.write_entry(link, key, None);
                    }
                }
                let target = owners.map(|_| self.target_key(link));
                for (key, value) in present {
                    let alike = self.entry(link, map, &key).as_ref() == Some(&value)
                        && owners.is_none_or(|owners| self.entry(link, owners, &key) == target);
                    if !alike {
                        self.write_entry(link, key, Some(value));
                    }
                }
            }
            _ => {}
        }
    }

    /// The link is over: its target says so, and what it has given to a join goes.
    fn end_link(&mut self, link: &Downlink, twin: TwinId) {
        self.open_link(link, twin, 0);
        match self.link_decl(link.population, link.link).target {
            TargetDecl::Column(column) => {
                let turn = &mut self.turn;
                let table = &mut self.populations[turn.population.0 as usize].table;
                table.put(turn.row, column as u16, Value::Null, &mut turn.log);
            }
            TargetDecl::Map(map) => {
                let key = self.target_key(link);
                self.drop_given(link, &key);
                if let Err(refusal) = self.map_remove(Within::Open, map as u16, &key) {
                    self.bury_link(link, Kind::Failed, &refusal.to_string());
                }
            }
            TargetDecl::Members(_) => {
                let key = self.target_key(link);
                self.drop_given(link, &key);
            }
        }
    }

    /// Takes out of a join what the target of this key has given.
    fn drop_given(&mut self, link: &Downlink, target: &Value) {
        let keys = self.given(link.population, link.row, link.link, target);
        let decl = self.link_decl(link.population, link.link);
        let (CopyDecl::Map(map), owners) = (decl.copy, decl.owners) else { return };
        for key in keys {
            let done = self.map_remove(Within::Open, map as u16, &key).and_then(|_| match owners {
                Some(owners) => self.map_remove(Within::Open, owners as u16, &key).map(drop),
                None => Ok(()),
            });
            if let Err(refusal) = done {
                self.bury_link(link, Kind::Failed, &refusal.to_string());
            }
        }
    }

    /// The keys of a join's copy that the target of this key has given.
    fn given(&self, population: PopulationId, row: u32, link: u16, target: &Value) -> Vec<Value> {
        let maps = &self.populations[population.0 as usize].table.maps;
        match self.link_decl(population, link).owners {
            None => vec![target.clone()],
            Some(owners) => {
                let owners = &maps[owners];
                let own = owners.slots(row).filter(|slot| owners.value(*slot) == *target);
                own.map(|slot| owners.key(slot)).collect()
            }
        }
    }

    fn bury_link(&mut self, link: &Downlink, kind: Kind, reason: &str) {
        let node = self.router.uri(link.population, self.populations[link.population.0 as usize].table.key(link.row));
        self.bury(Cause::Link(link.population, link.link), node, kind, reason);
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

/// The same value; Recon writes a whole number of a float lane as an integer.
fn is_alike(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Float(old), Value::Int(new)) => *old == *new as f64,
        (old, new) => old == new,
    }
}
