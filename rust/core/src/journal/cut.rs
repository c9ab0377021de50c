//! Cutting a record, on the shard's thread at a commit: the net changes since the record before.

use std::time::Instant;

use ecow::EcoString;

use super::bytes::Out;
use super::record::{end_populations, write_population};
use super::schema::StoredId;
use super::small::{Address, Armed, Mark, Moment, PendingGroup, SmallChange, StoredTimer, Unapplied};
use super::{Cut, Journal, RecordNumber, Rest};
use crate::body::Record;
use crate::envelope::{Body, Envelope, Lane, Node, Origin, SourceId};
use crate::population::PopulationId;
use crate::shard::{Counts, Shard, record_value};
use crate::timers::TimerKey;
use crate::turn::{Cause, Turn};
use crate::window;

/// Of the timer of a twin's windows.
pub const WINDOWS: StoredId = StoredId(0);

impl Shard {
    /// Hands a record of all changes to the writer; nothing where nothing has changed. `whole`: also where only counts have.
    pub(super) fn cut(&mut self, journal: &mut Journal, whole: bool) {
        let mut change = SmallChange { moment: self.moment(journal), ..SmallChange::default() };
        for key in self.timers.take_changes() {
            let timer = journal.stored_timer(key);
            match self.timers.get(key) {
                Some((due, every, number)) => change.set.push((timer, Armed { due, every, number })),
                None => change.cancelled.push(timer),
            }
        }
        let marks = self.marks();
        for (source, mark) in self.sources.iter().zip(marks) {
            if journal.marks.get(&source.name) != Some(&mark) {
                journal.marks.insert(source.name.clone(), mark.clone());
                change.origins.push((source.name.as_str(), mark));
            }
        }
        self.note_waiting(journal, &mut change);
        let groups = self.pending_groups(journal);
        if groups != journal.groups {
            journal.groups.clone_from(&groups);
            change.groups = Some(groups);
        }
        let letters = std::mem::take(&mut self.dead);
        change.letters = &letters;
        let rest = Rest {
            counts: (change.moment.inner, change.moment.outside),
            now: self.clock.is_virtual.then(|| self.clock.now()),
        };
        let mut any = !change.set.is_empty()
            || !change.cancelled.is_empty()
            || !change.origins.is_empty()
            || !change.done.is_empty()
            || !change.waiting.is_empty()
            || change.groups.is_some()
            || !letters.is_empty()
            || journal.schema_is_new
            // somebody waits for this number, though all that has changed is gone again
            || journal.wanted
            || whole && journal.rest != rest;
        let mut out = Out(journal.writer.spare());
        change.write(&mut out);
        drop(change);
        for (number, class) in self.populations.iter_mut().enumerate() {
            if let Some(mut changes) = class.table.take_changes() {
                let (schema, saved) = (&journal.schema.populations[number], &journal.saved[number]);
                any |= write_population(&class.table, &mut changes, schema, saved, &mut out);
                class.table.cut(changes);
            }
        }
        end_populations(&mut out);
        any |= !journal.full.is_empty();
        super::full::write(&std::mem::take(&mut journal.full), &mut out);
        journal.cut_at = Instant::now();
        let first = journal.first_change.take();
        journal.wanted = false;
        if !any {
            journal.writer.give_back(out.0);
            return;
        }
        journal.rest = rest;
        let number = journal.next;
        journal.next = RecordNumber(number.0 + 1);
        journal.bytes_since_checkpoint += out.0.len() as u64;
        journal.cuts.push_back(Cut { number, since: first.unwrap_or(journal.cut_at), turns: self.turns });
        if !letters.is_empty() {
            journal.letters.push_back((number, letters));
        }
        let schema = std::mem::take(&mut journal.schema_is_new).then(|| journal.schema.clone());
        journal.writer.append(number, journal.schema.number, schema, out.0);
    }

    fn moment(&self, journal: &Journal) -> Moment {
        Moment {
            commit: self.commits,
            turns: self.turns,
            sequence: self.next_sequence,
            now: self.clock.now(),
            adrift: self.clock.is_adrift(),
            letters: journal.last_letter,
            inner: self.saved_counts(),
            outside: self.outside_counts,
        }
    }

    /// Without the turns that links wait for: after a restart there are no links.
    fn saved_counts(&self) -> Counts {
        let mut counts = self.inner_counts;
        // a request in flight goes with the process, as the turn that waits for it
        counts.read -= self.requests.in_flight();
        if counts.waiting() > 0 {
            self.each_waiting(|envelope, _| counts.read -= u64::from(envelope.origin == Origin::Link));
        }
        counts
    }

    /// What has been applied of each source.
    fn marks(&self) -> Vec<Mark> {
        let mut waiting: Vec<Vec<u64>> = self.sources.iter().map(|source| source.unread()).collect();
        if self.sources.iter().any(|source| source.counts.waiting() > 0) {
            self.each_waiting(|envelope, _| {
                if let Origin::Source(SourceId(source)) = envelope.origin {
                    waiting[source as usize].push(envelope.sequence);
                }
            });
        }
        let mark = |(source, mut waiting): (&crate::feed::Source, Vec<u64>)| {
            waiting.sort_unstable();
            waiting.dedup();
            Mark { through: source.through(), waiting, counts: source.counts, head: source.head }
        };
        self.sources.iter().zip(waiting).map(mark).collect()
    }

    /// Every envelope that has been taken and whose turn has not ended, with its record where the turn holds it.
    fn each_waiting<'a>(&'a self, mut each: impl FnMut(&'a Envelope, Option<&'a Record>)) {
        let queues = self.released.iter().chain(&self.inner).chain(self.busy.values().flatten());
        queues.chain(&self.hand).chain(self.remotes.waiting()).for_each(|envelope| each(envelope, None));
        if let Some(held) = &self.held {
            each(&held.envelope, None);
        }
        let cause = |turn: &'a Turn| match &turn.cause {
            Cause::Envelope(envelope) => Some((&**envelope, &turn.record)),
            _ => None,
        };
        self.parked.values().filter_map(cause).for_each(|(envelope, record)| each(envelope, Some(record)));
    }

    /// Commands between twins, and timers that have fired: those that wait now and did not at the cut before, and the
    /// other way round.
    fn note_waiting(&self, journal: &mut Journal, change: &mut SmallChange<'_>) {
        if self.inner_counts.waiting() == 0 && journal.waiting.is_empty() {
            return;
        }
        let mut present = rustc_hash::FxHashSet::default();
        self.each_waiting(|envelope, record| {
            if matches!(envelope.origin, Origin::Twin(..) | Origin::Timer | Origin::Members) {
                present.insert(envelope.sequence);
                if !journal.waiting.contains(&envelope.sequence) {
                    change.waiting.push((envelope.sequence, self.unapplied(journal, envelope, record)));
                }
            }
        });
        change.done.extend(journal.waiting.iter().filter(|sequence| !present.contains(sequence)));
        journal.waiting = present;
    }

    fn unapplied(&self, journal: &Journal, envelope: &Envelope, record: Option<&Record>) -> Unapplied {
        let stored = |population: PopulationId| journal.schema.populations[population.0 as usize].id;
        let from = match &envelope.origin {
            Origin::Twin(population, key) => Some((stored(*population), key.clone())),
            _ => None,
        };
        let (to, population) = match &envelope.node {
            Node::Key(population, key) => (Address::Key(stored(*population), key.clone()), Some(*population)),
            Node::Twin(population, twin) => (Address::Twin(stored(*population), twin.0), Some(*population)),
            Node::Uri(uri) => (Address::Uri(uri.clone()), None),
            Node::InRecord => (Address::Uri(EcoString::new()), None),
        };
        let decl = population.map(|population| &self.populations[population.0 as usize].decl);
        let lane = match (&envelope.lane, decl) {
            (Lane::Timer(timer), Some(_)) => {
                let population = population.unwrap_or_default();
                Err(journal.stored_timer(TimerKey { population, twin: Default::default(), timer: *timer }).timer)
            }
            (Lane::Command(at), Some(decl)) => Ok(decl.commands[*at as usize].name.clone()),
            (Lane::Column(at), Some(decl)) => Ok(decl.columns[*at as usize].name.clone()),
            (Lane::Map(at), Some(decl)) => Ok(decl.maps[*at as usize].name.clone()),
            (Lane::Named(name), _) => Ok(name.clone()),
            (Lane::Link(_), _) | (_, None) => Ok(EcoString::new()),
        };
        let body = match (&envelope.body, record, &envelope.lane, decl) {
            (Body::Tree(tree), None, ..) => tree.clone(),
            (Body::Record(own), held, Lane::Command(at), Some(decl)) => {
                record_value(&decl.commands[*at as usize].body, held.unwrap_or(own))
            }
            (_, Some(held), Lane::Command(at), Some(decl)) => record_value(&decl.commands[*at as usize].body, held),
            _ => crate::value::Value::Null,
        };
        Unapplied { hops: envelope.hops, from, to, lane, body }
    }

    fn pending_groups(&self, journal: &Journal) -> Vec<PendingGroup> {
        let mut groups = Vec::new();
        let stored = |population: PopulationId| journal.schema.populations[population.0 as usize].id;
        for (number, class) in self.populations.iter().enumerate() {
            for (members, at) in class.decl.members.iter().zip(&class.groups) {
                let keys = self.memberships[*at].pending_keys();
                let population = journal.schema.populations[number].id;
                groups.extend(keys.map(|key| (population, members.name.clone(), key)));
            }
        }
        let all = self.all_groups.iter().chain(&self.waiting_groups);
        groups.extend(all.map(|(population, key)| (stored(*population), EcoString::new(), key.clone())));
        groups
    }
}

impl Journal {
    pub(super) fn stored_timer(&self, key: TimerKey) -> StoredTimer {
        let population = &self.schema.populations[key.population.0 as usize];
        let timer = match key.timer {
            window::TIMER => WINDOWS,
            timer => population.timers.get(timer.0 as usize).map_or(WINDOWS, |timer| timer.id),
        };
        StoredTimer { population: population.id, twin: key.twin.0, timer }
    }
}
