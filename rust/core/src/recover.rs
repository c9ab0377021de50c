//! Recovery: the newest checkpoint, then the records behind it. `on_create` does not run again, `on_start` does; a timer
//! that is overdue fires; sources are read on from where they were applied.

use std::path::Path;
use std::time::Instant;

use crate::envelope::{Body, Envelope, Lane, Node, Origin};
use crate::journal::bytes::In;
use crate::journal::checkpoint;
use crate::journal::cut::WINDOWS;
use crate::journal::schema::{Schema, StoredId};
use crate::journal::small::{Address, Small, StoredTimer, Unapplied};
use crate::journal::store::{Checkpoint, Store, StoreError, checkpoints_folder};
use crate::journal::writer::Start;
use crate::journal::{Journal, RecordNumber, ShardId, record};
use crate::population::{PopulationId, TwinId};
use crate::shard::Shard;
use crate::timers::{TimerKey, TimerNumber};
use crate::value::Value;
use crate::window;

/// What a start has found in its store.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Recovered {
    /// The store was made just now.
    pub is_new: bool,
    pub twins: u64,
    /// Cells and entries that records have changed.
    pub changes: u64,
    pub records: u64,
    /// The record that the checkpoint holds all up to; 0: there is none.
    pub checkpoint: u64,
    pub seconds: f64,
    /// Dead letters up to this number are in their file.
    pub letters: u64,
    /// Names the store, and no other that was ever made.
    pub store: String,
    /// What the operator should know: a torn tail that was cut, origins that nobody reads any more.
    pub notes: Vec<String>,
}

/// Why there can be no run with this store: what, where, and how to mend it.
pub type Refused = String;

impl Shard {
    /// Takes up the state of the store in a folder, which is made where there is none, and saves to it from here on.
    /// Nothing may have happened in the shard yet.
    ///
    /// `forget`: classes and `CLASS.LANE`s whose saved values may go.
    ///
    /// Errors: the store is damaged, in use, of another app, of a newer format, does not fit the app, or cannot be written.
    pub fn open_store(&mut self, folder: &Path, forget: &[String]) -> Result<Recovered, Refused> {
        let store = Store::open(folder, &self.app).map_err(|error| error.to_string())?;
        self.open_from(store, forget)
    }

    pub(crate) fn open_from(&mut self, mut store: Store, forget: &[String]) -> Result<Recovered, Refused> {
        let begun = Instant::now();
        let text = |error: crate::journal::store::StoreError| error.to_string();
        let shard = ShardId(0);
        let schemas = schemas(&store)?;
        let before = schemas.last();
        let present = Schema::of(&self.populations, before, forget)
            .map_err(|unfit| format!("{}: {unfit}", store.dir().display()))?;
        let mut found = Recovered { is_new: before.is_none(), ..Recovered::default() };
        let mut small = Small::default();
        let checkpoint = store.latest(shard).map_err(text)?;
        if let Some(checkpoint) = &checkpoint {
            small = self.load(&store, checkpoint, &schemas, &present)?;
            found.checkpoint = checkpoint.number.0;
        }
        let from = RecordNumber(found.checkpoint + 1);
        let (newest, changes, records) = self.replay(&store, shard, from, &schemas, &present, &mut small)?;
        (found.changes, found.records) = (changes, records);
        found.store = format!("{:x}", store.made().map_err(text)?);
        if let Some(position) = store.sinks().map_err(text)?.get(crate::journal::LETTERS) {
            small.forget_letters(*position);
            found.letters = *position;
        }
        if let Some(cut) = store.cut() {
            found.notes.push(format!(
                "{}: a record that was being written when the machine stopped is cut off ({} bytes behind record {}); none \
                 of it had been acknowledged",
                store.dir().display(),
                cut.bytes,
                cut.after.0
            ));
        }
        let grown = before.is_none_or(|before| before.number != present.number);
        self.take_up(&small, &present, grown, &mut found);
        let epoch = store.claim(shard).map_err(text)?;
        let newest = newest.max(RecordNumber(found.checkpoint));
        let kept = store.bytes_since(shard, RecordNumber(found.checkpoint)).map_err(text)?;
        let start = Start { store, shard, epoch, small, newest, checkpoint, kept };
        for class in &mut self.populations {
            class.table.keep_changes();
            class.table.take_changed();
            class.synced = crate::journal::synced(class);
        }
        self.timers.keep_changes();
        let journal = Journal::new(start, present, grown, self)
            .map_err(|error| format!("the journal's thread could not be started: {error}"))?;
        self.journal = Some(Box::new(journal));
        found.seconds = begun.elapsed().as_secs_f64();
        Ok(found)
    }

    pub(crate) fn load(
        &mut self,
        store: &Store,
        checkpoint: &Checkpoint,
        schemas: &[Schema],
        present: &Schema,
    ) -> Result<Small, Refused> {
        let folder = checkpoints_folder(store.dir()).join(&checkpoint.folder);
        let loaded = checkpoint::load(&folder, &checkpoint.parts, schemas, present, &mut self.populations)
            .map_err(|error| error.to_string())?;
        let mut small = Small::default();
        small.read(&mut In::new(&loaded)).map_err(|garbled| {
            format!("{}: {garbled}; run shoal store repair {}", folder.display(), store.dir().display())
        })?;
        Ok(small)
    }

    /// Applies the records from `from` on. Gives the newest one's number, their cells and entries, and how many they were.
    pub(crate) fn replay(
        &mut self,
        store: &Store,
        shard: ShardId,
        from: RecordNumber,
        schemas: &[Schema],
        present: &Schema,
        small: &mut Small,
    ) -> Result<(RecordNumber, u64, u64), Refused> {
        let (mut newest, mut changes, mut records) = (RecordNumber(from.0 - 1), 0, 0);
        let classes = &mut self.populations;
        let read = store.read(shard, from, |number, schema, body| {
            let Some(stored) = schemas.iter().find(|known| known.number == schema) else {
                return Err(Unreadable::Record(format!(
                    "record {} names schema {schema}, and there is none",
                    number.0
                )));
            };
            let count = record::apply(body, stored, present, classes, small)
                .map_err(|garbled| Unreadable::Record(format!("record {}: {garbled}", number.0)))?;
            (newest, changes, records) = (number, changes + count, records + 1);
            Ok(())
        });
        match read {
            Ok(()) => Ok((newest, changes, records)),
            Err(Unreadable::Store(error)) => Err(error.to_string()),
            Err(Unreadable::Record(problem)) => {
                let folder = store.dir().display();
                Err(format!("{folder}: {problem}. Restore a backup, or run shoal store repair {folder}"))
            }
        }
    }

    /// Takes up what a shard has besides its tables. `grown`: the app declares something else than before.
    fn take_up(&mut self, small: &Small, present: &Schema, grown: bool, found: &mut Recovered) {
        let moment = &small.moment;
        (self.commits, self.turns, self.next_sequence) = (moment.commit, moment.turns, moment.sequence);
        (self.inner_counts, self.outside_counts) = (moment.inner, moment.outside);
        if !found.is_new {
            self.clock.resume(moment.now, moment.adrift);
        }
        self.dead = small.letters.values().cloned().collect();
        self.restored = small.origins.iter().map(|(name, mark)| (name.clone(), mark.clone())).collect();
        self.take_up_timers(small, present);
        for (sequence, unapplied) in &small.waiting {
            match self.envelope_from(*sequence, unapplied, present) {
                Some(envelope) => self.inner.push_back(envelope),
                // its class or timer is gone, as the operator has said that it may
                None => self.inner_counts.dead += 1,
            }
        }
        // commands from outside that had been taken and not applied were never acknowledged
        let lost = self.outside_counts.waiting();
        self.outside_counts.read -= lost;
        self.take_up_groups(small, present, grown);
        self.relink();
        for number in 0..self.populations.len() {
            let class = &self.populations[number];
            found.twins += class.table.len() as u64;
            if class.decl.hooks.start {
                let population = PopulationId(number as u16);
                self.starting.extend(class.table.live().filter_map(|row| Some((population, class.table.id(row)?))));
            }
        }
    }

    fn timer_key(&self, timer: &StoredTimer, present: &Schema) -> Option<TimerKey> {
        let at = present.find(timer.population)?;
        let number = match timer.timer {
            WINDOWS => window::TIMER,
            id => TimerNumber(present.populations[at].timer(id)?),
        };
        let (population, twin) = (PopulationId(at as u16), TwinId(timer.twin));
        self.populations[at].table.row(twin)?;
        Some(TimerKey { population, twin, timer: number })
    }

    fn take_up_timers(&mut self, small: &Small, present: &Schema) {
        for (timer, armed) in &small.timers {
            if let Some(key) = self.timer_key(timer, present) {
                self.timers.restore(key, armed.due, armed.every, armed.number);
            }
        }
        // periods that the app did not have before begin now
        for (number, class) in self.populations.iter().enumerate() {
            for (timer, decl) in class.decl.timers.iter().enumerate() {
                let Some(every) = decl.every else { continue };
                for twin in class.table.live().filter_map(|row| class.table.id(row)) {
                    let key =
                        TimerKey { population: PopulationId(number as u16), twin, timer: TimerNumber(timer as u16) };
                    if self.timers.get(key).is_none() {
                        self.timers.set(key, self.clock.now().saturating_add(every), Some(every));
                    }
                }
            }
        }
    }

    fn envelope_from(&self, sequence: u64, unapplied: &Unapplied, present: &Schema) -> Option<Envelope> {
        let population = |id: StoredId| present.find(id).map(|at| PopulationId(at as u16));
        let origin = match &unapplied.from {
            Some((id, key)) => Origin::Twin(population(*id)?, key.clone()),
            None => Origin::Timer,
        };
        let (node, at) = match &unapplied.to {
            Address::Key(id, key) => (Node::Key(population(*id)?, key.clone()), population(*id)),
            Address::Twin(id, twin) => (Node::Twin(population(*id)?, TwinId(*twin)), population(*id)),
            Address::Uri(uri) => (Node::Uri(uri.clone()), None),
        };
        let lane = match &unapplied.lane {
            Ok(name) => Lane::Named(name.clone()),
            Err(WINDOWS) => Lane::Timer(window::TIMER),
            Err(timer) => Lane::Timer(TimerNumber(present.populations[at?.0 as usize].timer(*timer)?)),
        };
        // a lane of its own is named for twins, too: `_private` ones are found by number
        let lane = match (lane, at) {
            (Lane::Named(name), Some(at)) => {
                let commands = &self.populations[at.0 as usize].decl.commands;
                match commands.iter().position(|command| command.name == name && command.request.is_none()) {
                    Some(command) => Lane::Command(command as u16),
                    None => Lane::Named(name),
                }
            }
            (lane, _) => lane,
        };
        let passed = matches!(lane, Lane::Timer(_));
        let body = Body::Tree(match &lane {
            Lane::Timer(_) => Value::Null,
            _ => unapplied.body.clone(),
        });
        Some(Envelope { origin, sequence, hops: unapplied.hops, node, lane, body, raw: Vec::new(), passed })
    }

    fn take_up_groups(&mut self, small: &Small, present: &Schema, grown: bool) {
        let mut problems = Vec::new();
        for at in 0..self.memberships.len() {
            let member = self.memberships[at].member;
            let members = &self.populations[member.0 as usize].table;
            self.memberships[at].rebuild(members, &mut problems);
            // what a group has been told stands in its lanes; a sum of what is not saved does not
            let decl = &self.populations[member.0 as usize].decl;
            let is_unsaved = |column: u16| {
                decl.columns.get(column as usize).is_some_and(|column| column.save == crate::declaration::Save::Never)
            };
            if !grown && !self.memberships[at].reads(is_unsaved) {
                while self.memberships[at].take_pending().is_some() {}
            }
        }
        // named no group before, too: their dead letters have been written
        problems.clear();
        for (id, lane, key) in &small.groups {
            let Some(number) = present.find(*id) else { continue };
            let class = &self.populations[number];
            let members = class.decl.members.iter().position(|members| members.name == *lane);
            match members.and_then(|members| class.groups.get(members)) {
                Some(at) => self.memberships[*at].tell_again(key),
                None => self.all_groups.push_back((PopulationId(number as u16), key.clone())),
            }
        }
    }
}

enum Unreadable {
    Store(StoreError),
    Record(String),
}

impl From<StoreError> for Unreadable {
    fn from(error: StoreError) -> Self {
        Unreadable::Store(error)
    }
}

/// All that the store's records were written with, in the order of their numbers.
pub(crate) fn schemas(store: &Store) -> Result<Vec<Schema>, Refused> {
    let schema = |(number, text): (&u32, &String)| {
        let garbled = |error: serde_json::Error| {
            let folder = store.dir().display();
            format!(
                "{folder}: schema {number} cannot be read ({error}). Restore a backup, or run shoal store repair {folder}"
            )
        };
        serde_json::from_str(text).map_err(garbled)
    };
    store.schemas().iter().map(schema).collect()
}
