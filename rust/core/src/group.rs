//! The turns of groups: what members have become, told once a commit; it cannot be refused.

use ecow::EcoString;

use crate::dispatch::Step;
use crate::envelope::Kind;
use crate::fold;
use crate::population::PopulationId;
use crate::shard::{Newborn, Shard};
use crate::turn::Cause;

impl Shard {
    /// Opens the turn of a group whose members have changed. False: there is none to tell.
    pub(crate) fn next_group(&mut self) -> bool {
        for at in 0..self.memberships.len() {
            if let Some(key) = self.memberships[at].take_pending() {
                let population = self.memberships[at].group;
                if self.memberships[at].is_all() && self.router.parameters(population) > 0 {
                    // every twin of the population is a group of all members: each has a turn of its own
                    let class = &self.populations[population.0 as usize];
                    let keys: Vec<EcoString> = class.table.live().map(|row| class.table.key(row).into()).collect();
                    self.all_groups.extend(keys.into_iter().map(|key| (population, key)));
                    continue;
                }
                self.group(population, &key);
                return true;
            }
        }
        if !self.all_groups.is_empty()
            && let Some((population, key)) = self.all_groups.pop_front()
        {
            // deleted meanwhile: only its members make it again
            if self.populations[population.0 as usize].table.find(key.as_bytes()).is_some() {
                self.group(population, &key);
            }
            return true;
        }
        false
    }

    /// One turn of a group: its roll-ups' lanes, the folds behind them; then its `changed` handlers are due.
    pub(crate) fn group(&mut self, population: PopulationId, key: &EcoString) {
        let (row, id) = match self.populations[population.0 as usize].table.find(key.as_bytes()) {
            Some(row) => (row, self.populations[population.0 as usize].table.id(row).unwrap_or_default()),
            None => match self.make(population, key, Newborn::Group(population, key.clone())) {
                Ok(Some(Step::Call(what))) => {
                    self.turn.first = Some(what);
                    return;
                }
                Ok(_) => return,
                Err((_, row, id)) => (row, id),
            },
        };
        if self.busy.contains_key(&(population, id)) {
            self.waiting_groups.push((population, key.clone()));
            return;
        }
        self.turn.cause = Cause::Group;
        self.open(population, row, id, 0);
        let groups = self.populations[population.0 as usize].groups.clone();
        for at in groups {
            self.memberships[at].take_pending_of(key);
            let class = &mut self.populations[population.0 as usize];
            let whole = |out: u16| class.decl.columns[out as usize].kind == crate::declaration::ColumnType::Int64;
            for (out, result) in self.memberships[at].results(key, whole) {
                let turn = &mut self.turn;
                let mark = turn.log.mark();
                let stepped = match result {
                    Ok(value) => {
                        let unset = value.is_null();
                        class.table.put(row, out, value, &mut turn.log);
                        let program = &class.programs.columns[out as usize];
                        let mut run = |turn: &mut crate::turn::Turn| {
                            fold::run(program, &mut class.table, row, &[], turn.time, &mut turn.log)
                        };
                        if unset { Ok(()) } else { run(turn).map_err(|error| error.to_string()) }
                    }
                    Err(misfit) => Err(format!("`{}` {misfit}", class.table.lane(out as usize))),
                };
                if let Err(reason) = stepped {
                    class.table.rewind(row, &mut turn.log, &mark);
                    let node = self.router.uri(population, key);
                    self.broken.push((node, reason));
                }
            }
        }
        self.seal();
        for (node, reason) in std::mem::take(&mut self.broken) {
            self.bury(Cause::Group, node, Kind::Failed, &reason);
        }
    }
}
