//! What a handler does with its twin: lanes and map entries written, commands sent, timers set. All of it is the turn's until
//! it is kept.

use crate::envelope::{Body, Bulk, Envelope, Lane, Node, Origin};
use crate::fold::{self};
use crate::population::column::{Column, fit_entry, fits};
use crate::population::{Population, PopulationId};
use crate::shard::Shard;
use crate::timers::{TimerNumber, TimerOp};
use crate::turn::{Refusal, Turn, Within};
use crate::undo::Log;
use crate::value::Value;

mod list;

impl Shard {
    /// Writes a lane and steps its folds.
    #[inline]
    pub fn write(&mut self, within: Within, column: u16, value: Value) -> Result<(), Refusal> {
        let turn = match within {
            Within::Open => &mut self.turn,
            Within::Parked(number) => self.parked.get_mut(&number).ok_or(Refusal::NotInTurn)?,
        };
        let population = &mut self.populations[turn.population.0 as usize];
        if population.programs.columns[column as usize].is_empty()
            && population.table.put_scalar(turn.row, column, &value, &mut turn.log)
        {
            return Ok(());
        }
        let value = match population.table.fit(column, value) {
            Ok(value) => value,
            Err(misfit) => {
                return Err(Refusal::Misfit { lane: population.table.lane(column as usize).into(), misfit });
            }
        };
        let program = &population.programs.columns[column as usize];
        if program.is_empty() {
            population.table.put(turn.row, column, value, &mut turn.log);
            return Ok(());
        }
        let mark = turn.log.mark();
        population.table.put(turn.row, column, value, &mut turn.log);
        let result = fold::run(program, &mut population.table, turn.row, &[], turn.time, &mut turn.log);
        result.map_err(|error| {
            // the write is undone with its folds, also where the handler catches the error
            population.table.rewind(turn.row, &mut turn.log, &mark);
            Refusal::Fold(error)
        })
    }

    /// Writes a float lane of the open turn that nothing folds; false: nothing is written, and `write` decides.
    #[inline(always)]
    pub fn write_float(&mut self, within: Within, column: u16, x: f64) -> bool {
        let Some((table, row, log)) = self.unfolded(within, column) else { return false };
        let fits = x.is_finite() && matches!(table.columns[column as usize], Column::Float(_));
        if fits {
            table.put_float(row, column, x, log);
        }
        fits
    }

    /// The same for an int lane.
    #[inline(always)]
    pub fn write_int(&mut self, within: Within, column: u16, x: i64) -> bool {
        let Some((table, row, log)) = self.unfolded(within, column) else { return false };
        let fits = matches!(table.columns[column as usize], Column::Int(_));
        if fits {
            table.put_int(row, column, x, log);
        }
        fits
    }

    #[inline(always)]
    fn unfolded(&mut self, within: Within, column: u16) -> Option<(&mut Population, u32, &mut Log)> {
        let turn = &mut self.turn;
        let population = &mut self.populations[turn.population.0 as usize];
        let alone = within == Within::Open && population.programs.columns[column as usize].is_empty();
        alone.then_some((&mut population.table, turn.row, &mut turn.log))
    }

    pub fn map_put(&mut self, within: Within, map: u16, key: Value, value: Value) -> Result<(), Refusal> {
        let turn = match within {
            Within::Open => &mut self.turn,
            Within::Parked(number) => self.parked.get_mut(&number).ok_or(Refusal::NotInTurn)?,
        };
        let population = &mut self.populations[turn.population.0 as usize];
        let table = &population.table.maps[map as usize];
        let kinds = (table.key_type(), table.value_type());
        let (key, value) = match fits(kinds.0, &key) && fits(kinds.1, &value) {
            true => (key, value),
            false => fit_entry(kinds, key, value)
                .map_err(|misfit| Refusal::Misfit { lane: population.decl.maps[map as usize].name.clone(), misfit })?,
        };
        let mark = turn.log.mark();
        let table = &mut population.table;
        if let Err(limit) = table.map_put(turn.row, map, key, value, &mut turn.log) {
            return Err(Refusal::Limit(format!(
                "`{}` has {limit} entries, its limit; remove some, or raise it with Map(…, limit=…)",
                population.decl.maps[map as usize].name
            )));
        }
        let program = &population.programs.maps[map as usize];
        if program.is_empty() {
            return Ok(());
        }
        fold::run(program, table, turn.row, &[], turn.time, &mut turn.log).map_err(|error| {
            table.rewind(turn.row, &mut turn.log, &mark);
            Refusal::Fold(error)
        })
    }

    /// Clears a map lane, or all but its first entries, or those.
    pub fn map_bulk(&mut self, within: Within, map: u16, bulk: Bulk) -> Result<(), Refusal> {
        let (population, row) = match within {
            Within::Open => (self.turn.population, self.turn.row),
            Within::Parked(number) => {
                let turn = self.parked.get(&number).ok_or(Refusal::NotInTurn)?;
                (turn.population, turn.row)
            }
        };
        let table = &self.populations[population.0 as usize].table.maps[map as usize];
        let keys = |slots: Vec<u32>| slots.into_iter().map(|slot| table.key(slot)).collect::<Vec<_>>();
        let gone = match bulk {
            Bulk::Clear => keys(table.slots(row).collect()),
            Bulk::Take(count) => keys(table.slots(row).skip(count).collect()),
            Bulk::Drop(count) => keys(table.slots(row).take(count).collect()),
        };
        for key in gone {
            self.map_remove(within, map, &key)?;
        }
        if bulk == Bulk::Clear {
            self.map_cleared(within, map)?;
        }
        Ok(())
    }

    /// The handler has taken all entries out, one by one: listeners are told of one clear.
    pub fn map_cleared(&mut self, within: Within, map: u16) -> Result<(), Refusal> {
        let turn = match within {
            Within::Open => &mut self.turn,
            Within::Parked(number) => self.parked.get_mut(&number).ok_or(Refusal::NotInTurn)?,
        };
        let table = &self.populations[turn.population.0 as usize].table;
        if table.maps[map as usize].len(turn.row) == 0 {
            turn.log.touch(table.columns.len() + map as usize);
            turn.log.cleared.push((map, turn.log.entries.len()));
        }
        Ok(())
    }

    pub fn map_remove(&mut self, within: Within, map: u16, key: &Value) -> Result<Option<Value>, Refusal> {
        let turn = match within {
            Within::Open => &mut self.turn,
            Within::Parked(number) => self.parked.get_mut(&number).ok_or(Refusal::NotInTurn)?,
        };
        let population = &mut self.populations[turn.population.0 as usize];
        let mark = turn.log.mark();
        let old = population.table.map_remove(turn.row, map, key, &mut turn.log);
        if old.is_some() {
            let program = &population.programs.maps[map as usize];
            fold::run(program, &mut population.table, turn.row, &[], turn.time, &mut turn.log).map_err(|error| {
                population.table.rewind(turn.row, &mut turn.log, &mark);
                Refusal::Fold(error)
            })?;
        }
        Ok(old)
    }

    /// A command, sent when the turn is kept. Gives its number in the turn, for `unsend`.
    pub fn send(&mut self, within: Within, node: Node, lane: Lane, body: Body) -> Result<u64, Refusal> {
        let (origin, hops) = self.sender(within)?;
        let turn = self.turn_of(within)?;
        let sequence = turn.sent as u64;
        turn.sends.push(Envelope { origin, sequence, hops, node, lane, body, raw: Vec::new(), passed: false });
        Ok(sequence)
    }

    /// Takes a command back that the turn would have sent. False: there is none of this number.
    pub fn unsend(&mut self, within: Within, number: u64) -> Result<bool, Refusal> {
        let sends = &mut self.turn_of(within)?.sends;
        let before = sends.len();
        sends.retain(|envelope| envelope.sequence != number);
        Ok(sends.len() < before)
    }

    /// A command to every member of one of this twin's groups; counts as one of the turn's.
    pub fn send_each(&mut self, within: Within, members: usize, command: u16, body: Body) -> Result<(), Refusal> {
        let (origin, hops) = self.sender(within)?;
        let turn = self.turn_of(within)?;
        let (population, row) = (turn.population, turn.row);
        let class = &self.populations[population.0 as usize];
        let membership = &self.memberships[class.groups[members]];
        let of = membership.member;
        let envelopes: Vec<Envelope> = membership
            .members(class.table.key(row))
            .map(|id| Envelope {
                origin: origin.clone(),
                sequence: 0,
                hops,
                node: Node::Twin(of, id),
                lane: Lane::Command(command),
                body: body.clone(),
                raw: Vec::new(),
                passed: false,
            })
            .collect();
        self.turn_of(within)?.sends.extend(envelopes);
        Ok(())
    }

    /// Counts a send against the turn's bound; gives the sender and the hops of what it sends.
    pub(crate) fn sender(&mut self, within: Within) -> Result<(Origin, u16), Refusal> {
        let limit = self.settings.max_sends;
        let turn = self.turn_of(within)?;
        if turn.sent >= limit {
            return Err(Refusal::Limit(format!(
                "this turn has sent {limit} commands, the most that one may send (max_sends); spread them over turns with self.after"
            )));
        }
        turn.sent += 1;
        let (population, row, hops) = (turn.population, turn.row, turn.hops);
        let key = self.populations[population.0 as usize].table.key(row).into();
        Ok((Origin::Twin(population, key), hops + 1))
    }

    /// The URIs of a group's members, in the order of their creation.
    pub fn member_uris(&self, population: PopulationId, key: &str, members: usize) -> Vec<String> {
        let membership = &self.memberships[self.populations[population.0 as usize].groups[members]];
        let table = &self.populations[membership.member.0 as usize].table;
        let rows = membership.members(key).filter_map(|id| table.row(id));
        rows.map(|row| self.router.uri(membership.member, table.key(row))).collect()
    }

    pub fn has_member(&self, population: PopulationId, key: &str, members: usize, uri: &str) -> bool {
        let membership = &self.memberships[self.populations[population.0 as usize].groups[members]];
        let table = &self.populations[membership.member.0 as usize].table;
        match self.router.route(uri) {
            Ok((of, member)) if of == membership.member => {
                let id = table.find(member.as_bytes()).and_then(|row| table.id(row));
                id.is_some_and(|id| membership.contains(key, id))
            }
            _ => false,
        }
    }

    pub fn after(&mut self, within: Within, timer: TimerNumber, delay: i64) -> Result<(), Refusal> {
        let turn = self.turn_of(within)?;
        turn.log.timers.push(TimerOp::Set { timer, due: turn.time.saturating_add(delay), every: None });
        Ok(())
    }

    pub fn cancel(&mut self, within: Within, timer: TimerNumber) -> Result<(), Refusal> {
        self.turn_of(within)?.log.timers.push(TimerOp::Cancel { timer });
        Ok(())
    }

    pub fn delete(&mut self, within: Within) -> Result<(), Refusal> {
        self.turn_of(within)?.deleted = true;
        Ok(())
    }

    pub fn turn_of(&mut self, within: Within) -> Result<&mut Turn, Refusal> {
        match within {
            Within::Open => Ok(&mut self.turn),
            Within::Parked(number) => self.parked.get_mut(&number).ok_or(Refusal::NotInTurn),
        }
    }
}
