//! What a link's turn writes to its copy: a cell, entries of a map, elements of a list; and what it takes out again.

use super::*;
use crate::declaration::{ColumnType, CopyDecl};
use crate::envelope::{Bulk, Kind};
use crate::fold;
use crate::links::elements;
use crate::shard::Shard;
use crate::turn::{Cause, Refusal, Within};

impl Shard {
    pub(super) fn source_table(&self, link: &Downlink) -> Option<&crate::population::Population> {
        match link.end {
            End::Near(source) => Some(&self.populations[source.population.0 as usize].table),
            _ => None,
        }
    }

    pub(super) fn source_entry(&self, link: &Downlink, key: &Value) -> Option<Value> {
        let (End::Near(Source { place: Place::Map(map), row, .. }), Some(table)) = (link.end, self.source_table(link))
        else {
            return None;
        };
        let table = &table.maps[map as usize];
        table.find(row, key).map(|slot| table.value(slot))
    }

    /// The key of a join's link: that of its target, or the member's URI.
    pub(super) fn target_key(&self, link: &Downlink) -> Value {
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
    pub(super) fn write_value(&mut self, link: &Downlink, value: Value) {
        let decl = self.link_decl(link.population, link.link);
        match (decl.kind, decl.copy) {
            (LinkKind::Join, _) => {
                let is_there = decl.nullable || !value.is_null();
                let key = self.target_key(link);
                self.write_entry(link, key, is_there.then_some(value));
            }
            (_, CopyDecl::Column(column)) => {
                if let Err((kind, reason)) = self.copy_cell(column as u16, value) {
                    self.bury_link(link, kind, &reason);
                }
            }
            _ => {}
        }
    }

    pub(super) fn copy_cell(&mut self, column: u16, value: Value) -> Result<(), (Kind, String)> {
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
    pub(super) fn write_entry(&mut self, link: &Downlink, key: Value, value: Option<Value>) {
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

    pub(super) fn entry(&self, link: &Downlink, map: usize, key: &Value) -> Option<Value> {
        let table = &self.populations[link.population.0 as usize].table.maps[map];
        table.find(link.row, key).map(|slot| table.value(slot))
    }

    /// The keys that the link has given to its copy.
    pub(super) fn copied_keys(&self, link: &Downlink) -> Vec<Value> {
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
    pub(super) fn is_plain(&self, link: &Downlink) -> bool {
        let End::Near(_) = link.end else { return false };
        let decl = self.link_decl(link.population, link.link);
        let table = &self.populations[link.population.0 as usize].table;
        self.is_typed(link)
            || match decl.copy {
                CopyDecl::Column(column) => table.columns[column].kind() != ColumnType::Value,
                CopyDecl::Map(map) => {
                    let map = &table.maps[map];
                    let is_plain = |kind: ColumnType| kind != ColumnType::Value;
                    is_plain(map.value_type()) && (map.is_ordered() || is_plain(map.key_type()))
                }
                CopyDecl::Command(_) => true,
            }
    }

    /// It leads to the very lane that it was declared with.
    pub(super) fn is_typed(&self, link: &Downlink) -> bool {
        let End::Near(source) = link.end else { return false };
        self.link_decl(link.population, link.link).typed == Some(source.population.0 as usize)
    }

    /// What has happened to a list: its elements are told apart by their keys.
    pub(super) fn write_element(&mut self, link: &Downlink, map: u16, operation: Operation) {
        let table = &self.populations[link.population.0 as usize].table.maps[map as usize];
        let length = table.len(link.row);
        let place = |key: &Value, index: u32| match key.is_null() {
            true => ((index as usize) < length).then_some(index as usize),
            false => table.find(link.row, key).map(|slot| table.index(slot)),
        };
        let done = match operation {
            Operation::Element { index, key, value } => match place(&key, index) {
                Some(at) => {
                    let to = (index as usize).min(length - 1);
                    let moved = if at == to { Ok(()) } else { self.list_move(Within::Open, map, at, to) };
                    let alike = !link.is_synced && self.entry(link, map as usize, &key).as_ref() == Some(&value);
                    moved.and_then(|()| match alike {
                        true => Ok(()),
                        false => self.list_update(Within::Open, map, to, value),
                    })
                }
                None => {
                    let key = (!key.is_null()).then_some(key);
                    self.list_insert(Within::Open, map, (index as usize).min(length), key, value)
                }
            },
            Operation::Move { from, to, key } => match place(&key, from) {
                Some(at) => self.list_move(Within::Open, map, at, (to as usize).min(length - 1)),
                None => Ok(()),
            },
            Operation::Out { index, key } => match place(&key, index) {
                Some(at) => self.list_remove(Within::Open, map, at).map(drop),
                None => Ok(()),
            },
            Operation::Clear => self.list_bulk(Within::Open, map, Bulk::Clear),
            Operation::Take(count) => self.list_bulk(Within::Open, map, Bulk::Take(count)),
            Operation::Drop(count) => self.list_bulk(Within::Open, map, Bulk::Drop(count)),
            _ => Ok(()),
        };
        if let Err(refusal) = done {
            let kind = if matches!(refusal, Refusal::Limit(_)) { Kind::Limit } else { Kind::Failed };
            self.bury_link(link, kind, &refusal.to_string());
        }
    }

    /// Takes out of a copy what is not there any more.
    pub(super) fn keep_only(&mut self, link: &Downlink, keys: &FxHashSet<Bytes>) {
        let decl = self.link_decl(link.population, link.link);
        let (kind, copy) = (decl.kind, decl.copy);
        for key in self.copied_keys(link) {
            if keys.contains(&key_text(&key)) {
                continue;
            }
            match (kind, copy) {
                (LinkKind::List, CopyDecl::Map(map)) => {
                    self.write_element(link, map as u16, Operation::Out { index: u32::MAX, key });
                }
                (LinkKind::Map | LinkKind::JoinMap, _) => self.write_entry(link, key, None),
                _ => return,
            }
        }
    }

    /// Makes the copy what the linked lane is; what is alike already is not written again.
    pub(super) fn copy_all(&mut self, link: &Downlink) {
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
            (LinkKind::List, CopyDecl::Map(map), Place::Map(of)) => {
                let present: Vec<Operation> =
                    elements(&self.populations[source.population.0 as usize], source.row, of).collect();
                let copy: Vec<Operation> =
                    elements(&self.populations[link.population.0 as usize], link.row, map as u16).collect();
                if present != copy {
                    let key = |operation: &Operation| match operation {
                        Operation::Element { key, .. } => key_text(key),
                        _ => Bytes::new(),
                    };
                    self.keep_only(link, &present.iter().map(key).collect());
                    present.into_iter().for_each(|element| self.write_element(link, map as u16, element));
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
    pub(super) fn end_link(&mut self, link: &Downlink, twin: TwinId) {
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
    pub(super) fn drop_given(&mut self, link: &Downlink, target: &Value) {
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
    pub(super) fn given(&self, population: PopulationId, row: u32, link: u16, target: &Value) -> Vec<Value> {
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

    pub(super) fn bury_link(&mut self, link: &Downlink, kind: Kind, reason: &str) {
        let node = self.router.uri(link.population, self.populations[link.population.0 as usize].table.key(link.row));
        self.bury(Cause::Link(link.population, link.link), node, kind, reason);
    }
}

/// The same value; Recon writes a whole number of a float lane as an integer.
pub(super) fn is_alike(old: &Value, new: &Value) -> bool {
    match (old, new) {
        (Value::Float(old), Value::Int(new)) => *old == *new as f64,
        (old, new) => old == new,
    }
}
