//! A schema that grows while the shard runs: lanes, folds and roll-ups are added at a commit, behind those that are
//! there. Twins that exist have the new lanes at their defaults, and what waits keeps what it holds.

use crate::body::Plan;
use crate::declaration::{Declaration, PopulationDecl};
use crate::envelope::{Body, Envelope, Lane, Node};
use crate::fold::Programs;
use crate::population::PopulationId;
use crate::shard::{Newborn, Shard};
use crate::turn::Phase;

impl Shard {
    /// Commits, and goes on with a declaration that only adds to the present one: columns, folds, maps and supply lanes of
    /// populations, fields of bodies, roll-ups of groups.
    ///
    /// Links are told of all that has been before: their news name columns by the old numbers.
    ///
    /// Errors: what does not fit, and nothing has happened then; a turn is open, or an async one is in flight (try again
    /// after it).
    pub fn extend(&mut self, declaration: Declaration) -> Result<(), String> {
        if self.turn.phase != Phase::None {
            return Err("a turn is open".to_owned());
        }
        if !self.parked.is_empty() {
            return Err("an async turn is in flight".to_owned());
        }
        if declaration.populations.len() != self.populations.len() {
            return Err("a schema grows by lanes, not by populations".to_owned());
        }
        let mut programs = Vec::with_capacity(self.populations.len());
        for (class, new) in self.populations.iter().zip(&declaration.populations) {
            grows(&class.decl, new)?;
            programs.push(Programs::compile(new)?);
        }
        self.commit();
        self.cut_before_growing();
        for ((class, new), programs) in self.populations.iter_mut().zip(declaration.populations).zip(programs) {
            class.table.extend(&new, &programs, &self.zone)?;
            let plan = |command: &crate::declaration::CommandDecl| Plan {
                body: command.body.clone(),
                wanted: u64::MAX,
                extra: Vec::new(),
                known: None,
                time_slot: command.time_slot,
                zone: self.zone.clone(),
            };
            class.plans = new.commands.iter().map(plan).collect();
            (class.programs, class.decl) = (programs, new);
            class.targets = crate::downlinks::target_bits(class);
        }
        for group in 0..self.populations.len() {
            for number in 0..self.populations[group].groups.len() {
                let at = self.populations[group].groups[number];
                let decl = self.populations[group].decl.members[number].clone();
                let members = self.memberships[at].member;
                self.memberships[at].extend(&decl, &self.populations[members.0 as usize].table);
            }
        }
        self.rewire();
        self.refit();
        self.grow_journal()
    }

    /// Bodies that were decoded already have no value for a new slot.
    fn refit(&mut self) {
        let sizes: Vec<Vec<usize>> =
            self.populations.iter().map(|class| class.plans.iter().map(|plan| plan.body.slots()).collect()).collect();
        let targets: Vec<Option<PopulationId>> =
            self.sources.iter().map(|source| source.target.map(|(population, _)| population)).collect();
        let refit = |envelope: &mut Envelope| {
            let population = match (&envelope.node, &envelope.origin) {
                (Node::Key(population, _) | Node::Twin(population, _), _) => Some(*population),
                (_, crate::envelope::Origin::Source(source)) => targets[source.0 as usize],
                _ => None,
            };
            if let (Body::Record(record), Lane::Command(command), Some(population)) =
                (&mut envelope.body, &envelope.lane, population)
            {
                let size = sizes[population.0 as usize][*command as usize];
                if record.slots.len() < size {
                    record.slots.resize(size, crate::value::Value::Null);
                }
            }
        };
        self.hand.iter_mut().for_each(&refit);
        self.held.iter_mut().for_each(|held| refit(&mut held.envelope));
        self.released.iter_mut().chain(&mut self.inner).chain(&mut self.outside).for_each(&refit);
        self.busy.values_mut().flatten().for_each(&refit);
        if let Some(Newborn::Envelope(envelope)) = &mut self.newborn {
            refit(envelope);
        }
    }
}

/// Errors: what of a population would change instead of grow.
fn grows(old: &PopulationDecl, new: &PopulationDecl) -> Result<(), String> {
    let columns = new.columns.len() >= old.columns.len()
        && old.columns.iter().zip(&new.columns).all(|(old, new)| old.name == new.name && old.kind == new.kind);
    let folds = new.folds.len() >= old.folds.len()
        && old.folds.iter().zip(&new.folds).all(|(old, new)| old.out == new.out && old.window == new.window);
    let bodies = old.commands.len() == new.commands.len()
        && old.commands.iter().zip(&new.commands).all(|(old, new)| {
            old.name == new.name && old.handler == new.handler && new.body.slots() >= old.body.slots()
        });
    let members = old.members.len() == new.members.len()
        && old.members.iter().zip(&new.members).all(|(old, new)| {
            old.population == new.population && old.by == new.by && new.rollups.len() >= old.rollups.len()
        });
    let maps = new.maps.len() >= old.maps.len()
        && old
            .maps
            .iter()
            .zip(&new.maps)
            .all(|(old, new)| old.name == new.name && (old.key, old.value) == (new.key, new.value));
    let rest = new.supplies.starts_with(&old.supplies)
        && old.demands == new.demands
        && old.observers == new.observers
        && old.timers.len() == new.timers.len()
        && old.changed == new.changed
        && old.pattern.len() == new.pattern.len();
    match [columns, folds, bodies, members, maps, rest].iter().all(|same| *same) {
        true => Ok(()),
        false => Err(format!("{}: lanes can only be added behind those that are there", old.name)),
    }
}
