//! What a handler, a peer or a link does with a list lane: elements put in, replaced, moved and taken out by their index.

use ecow::EcoString;

use crate::envelope::Bulk;
use crate::fold;
use crate::links::Operation;
use crate::population::Population;
use crate::population::column::{Misfit, fit};
use crate::shard::Shard;
use crate::turn::{Refusal, Within};
use crate::undo::Log;
use crate::value::Value;

/// Why a list is left as it is; the lane's name comes later.
enum Unlisted {
    /// There is no such index; the length.
    Index(i64, usize),
    /// No element has this key.
    Key(Value),
    /// An element has this key.
    Taken(Value),
    Misfit(Misfit),
    Limit(usize),
}

impl From<Misfit> for Unlisted {
    fn from(misfit: Misfit) -> Self {
        Unlisted::Misfit(misfit)
    }
}

impl Unlisted {
    fn of(self, lane: EcoString) -> Refusal {
        match self {
            Unlisted::Index(index, length) => {
                let elements = if length == 1 { "element" } else { "elements" };
                Refusal::NoElement(format!("`{lane}` has {length} {elements}, and {index} is no index of it"))
            }
            Unlisted::Key(key) => Refusal::NoElement(format!("`{lane}` has no element with the key {}", json(&key))),
            Unlisted::Taken(key) => {
                Refusal::NoElement(format!("`{lane}` has an element with the key {} already", json(&key)))
            }
            Unlisted::Misfit(misfit) => Refusal::Misfit { lane, misfit },
            Unlisted::Limit(limit) => Refusal::Limit(format!(
                "`{lane}` has {limit} elements, its limit; remove some, or raise it with List(…, limit=…)"
            )),
        }
    }
}

impl Shard {
    /// Puts an element in before the one at `index`, or at the end. A key of its own making where none is given.
    pub fn list_insert(
        &mut self,
        within: Within,
        map: u16,
        index: usize,
        key: Option<Value>,
        value: Value,
    ) -> Result<(), Refusal> {
        self.with_list(within, map, |table, row, log| {
            let of = &mut table.maps[map as usize];
            let length = of.len(row);
            if index > length {
                return Err(Unlisted::Index(index as i64, length));
            }
            let value = fit(of.value_type(), value)?;
            if length >= of.limit {
                return Err(Unlisted::Limit(of.limit));
            }
            let key = match key {
                Some(key) => fit(of.key_type(), key)?,
                None => of.make_key(row),
            };
            if key.is_null() {
                return Err(Unlisted::Misfit(Misfit::NoKey));
            }
            if of.find(row, &key).is_some() {
                return Err(Unlisted::Taken(key));
            }
            table.list_insert(row, map, index, (key, value), log).map_err(Unlisted::Limit)
        })
    }

    /// Replaces the element at `index`; it keeps its key.
    pub fn list_update(&mut self, within: Within, map: u16, index: usize, value: Value) -> Result<(), Refusal> {
        self.with_list(within, map, |table, row, log| {
            let of = &table.maps[map as usize];
            check(index, of.len(row))?;
            let value = fit(of.value_type(), value)?;
            table.list_update(row, map, index, value, log);
            Ok(())
        })
    }

    /// Takes an element out and puts it in again, so that it stands at `to`.
    pub fn list_move(&mut self, within: Within, map: u16, from: usize, to: usize) -> Result<(), Refusal> {
        self.with_list(within, map, |table, row, log| {
            let length = table.maps[map as usize].len(row);
            check(from, length)?;
            check(to, length)?;
            table.list_move(row, map, from, to, log);
            Ok(())
        })
    }

    /// Takes an element out; gives its value.
    pub fn list_remove(&mut self, within: Within, map: u16, index: usize) -> Result<Value, Refusal> {
        self.with_list(within, map, |table, row, log| {
            let length = table.maps[map as usize].len(row);
            let (key, value) = table.list_remove(row, map, index, log).ok_or(Unlisted::Index(index as i64, length))?;
            log.lists.push((map, Operation::Out { index: index as u32, key }));
            Ok(value)
        })
    }

    /// Takes all elements out, or all but the first ones, or those.
    pub fn list_bulk(&mut self, within: Within, map: u16, bulk: Bulk) -> Result<(), Refusal> {
        let turn = self.turn_of(within)?;
        let (population, row) = (turn.population, turn.row);
        let length = self.populations[population.0 as usize].table.maps[map as usize].len(row);
        let gone = match bulk {
            Bulk::Clear => return self.list_clear(within, map, length),
            Bulk::Take(count) => count.min(length)..length,
            Bulk::Drop(count) => 0..count.min(length),
        };
        // from the last on: the others stay where they are
        for index in gone.rev() {
            self.list_remove(within, map, index)?;
        }
        Ok(())
    }

    /// Who listens is told of one clear, also where there was nothing.
    fn list_clear(&mut self, within: Within, map: u16, length: usize) -> Result<(), Refusal> {
        for index in (0..length).rev() {
            self.with_list(within, map, |table, row, log| {
                table.list_remove(row, map, index, log);
                Ok(())
            })?;
        }
        let turn = self.turn_of(within)?;
        let (population, log) = (turn.population, &mut turn.log);
        log.lists.push((map, Operation::Clear));
        let columns = self.populations[population.0 as usize].table.columns.len();
        self.turn_of(within)?.log.touch(columns + map as usize);
        Ok(())
    }

    /// What has come from outside for a list lane, as `serve::list` has it.
    pub(crate) fn list_operation(&mut self, within: Within, map: u16, slots: &[Value]) -> Result<(), Refusal> {
        let turn = self.turn_of(within)?;
        let (population, row) = (turn.population, turn.row);
        let class = &self.populations[population.0 as usize];
        let (table, lane) = (&class.table.maps[map as usize], &class.decl.maps[map as usize].name);
        let length = table.len(row);
        // a key goes before an index, which others may have shifted meanwhile
        let found = |key: &Value| table.find(row, key).map(|slot| table.index(slot));
        let place = |index: i64| usize::try_from(index).map_err(|_| Unlisted::Index(index, length).of(lane.clone()));
        match slots {
            [Value::Text(what), index, key, value] if what == "update" => {
                let index = match (index, found(key)) {
                    (_, Some(index)) => return self.list_update(within, map, index, value.clone()),
                    (Value::Int(index), None) => place(*index)?,
                    (_, None) => length,
                };
                match key.is_null() && index < length {
                    true => self.list_update(within, map, index, value.clone()),
                    false => self.list_insert(within, map, index, (!key.is_null()).then(|| key.clone()), value.clone()),
                }
            }
            [Value::Text(what), Value::Int(from), Value::Int(to), key] if what == "move" => {
                let from = match (key, found(key)) {
                    (_, Some(from)) => from,
                    (Value::Null, None) => place(*from)?,
                    (key, None) => return Err(Unlisted::Key(key.clone()).of(lane.clone())),
                };
                let to = place(*to)?;
                self.list_move(within, map, from, to)
            }
            [Value::Text(what), index, key] if what == "remove" => match (index, key, found(key)) {
                (_, _, Some(index)) => self.list_remove(within, map, index).map(|_| ()),
                (Value::Int(index), Value::Null, None) => {
                    let index = place(*index)?;
                    self.list_remove(within, map, index).map(|_| ())
                }
                // as with a map: it is gone already
                _ => Ok(()),
            },
            [Value::Text(what), values @ ..] if what == "set" => {
                self.list_bulk(within, map, Bulk::Clear)?;
                for (index, value) in values.iter().enumerate() {
                    self.list_insert(within, map, index, None, value.clone())?;
                }
                Ok(())
            }
            _ => Ok(()),
        }
    }

    /// One write of a list, then its folds; undone with them where one cannot step.
    fn with_list<T>(
        &mut self,
        within: Within,
        map: u16,
        act: impl FnOnce(&mut Population, u32, &mut Log) -> Result<T, Unlisted>,
    ) -> Result<T, Refusal> {
        let turn = match within {
            Within::Open => &mut self.turn,
            Within::Parked(number) => self.parked.get_mut(&number).ok_or(Refusal::NotInTurn)?,
        };
        let class = &mut self.populations[turn.population.0 as usize];
        let mark = turn.log.mark();
        let done = act(&mut class.table, turn.row, &mut turn.log)
            .map_err(|why| why.of(class.decl.maps[map as usize].name.clone()))?;
        let program = &class.programs.maps[map as usize];
        if !program.is_empty() {
            let table = &mut class.table;
            fold::run(program, table, turn.row, &[], turn.time, &mut turn.log).map_err(|error| {
                table.rewind(turn.row, &mut turn.log, &mark);
                Refusal::Fold(error)
            })?;
        }
        Ok(done)
    }
}

fn check(index: usize, length: usize) -> Result<(), Unlisted> {
    if index < length { Ok(()) } else { Err(Unlisted::Index(index as i64, length)) }
}

fn json(key: &Value) -> String {
    let mut text = Vec::new();
    crate::decode::write_json(key, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
