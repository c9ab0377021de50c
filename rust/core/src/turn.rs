//! One envelope handled by one twin: what its handlers may do, and how it ends: kept or undone as a whole.

use std::collections::VecDeque;

use ecow::EcoString;

use crate::body::Record;
use crate::downlinks::Hook;
use crate::envelope::{Body, Envelope, Kind, SourceId};
use crate::fold::FoldError;
use crate::link_turn::Computing;
use crate::links::{LinkInfo, Place, Telling};
use crate::population::column::Misfit;
use crate::population::{PopulationId, TwinId};
use crate::request::Method;
use crate::shard::{Newborn, Shard};
use crate::timers::{TimerKey, TimerNumber, TimerOp};
use crate::undo::{Log, Seen};
use crate::value::Value;

/// What the host runs next for the open turn.
#[derive(Clone, Debug, PartialEq)]
pub enum What {
    Create,
    Start,
    Stop,
    /// The body is in the turn's record.
    Handler(u16),
    /// The same of a request lane: what the handler gives is the turn's reply. `method`: it is that method's own.
    Answer {
        command: u16,
        method: Option<Method>,
    },
    Timer(TimerNumber),
    Changed {
        number: u16,
        column: u16,
        new: Value,
        old: Value,
    },
    ChangedEntry {
        number: u16,
        map: u16,
        /// Of a list the index.
        key: Value,
        new: Value,
        old: Value,
    },
    /// A hook of a link of the twin.
    Link {
        link: u16,
        hook: Hook,
        reason: EcoString,
    },
    /// A demand lane's value, or that of one key (Null: it has none); then `Shard::computed`.
    Demand {
        demand: u16,
        key: Value,
        link: Option<Box<LinkInfo>>,
    },
    /// All keys of a demand-map lane, as a list; then `Shard::computed`.
    Keys {
        demand: u16,
        link: Option<Box<LinkInfo>>,
    },
    Observed {
        observer: u16,
        link: Box<LinkInfo>,
    },
}

/// Where the open turn stands; what `advance` does with it next.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Phase {
    /// No turn is open.
    #[default]
    None,
    /// `on_start` comes next.
    Start,
    /// Rounds of `changed` handlers, then the end.
    Rounds,
    /// `on_stop` has run; only the end is left.
    End,
}

/// Why there is this turn: whom to tell how it ended.
#[derive(Clone, Debug, PartialEq)]
pub enum Cause {
    /// Record `index` of the source's present batch.
    Record(SourceId, usize),
    Envelope(Box<Envelope>),
    /// Envelope `index` of those that a peer has sent together (`Shard::desk`).
    Frame(usize),
    /// A roll-up's change: cannot be refused.
    Group,
    /// Something that a link of the twin has brought.
    Link(PopulationId, u16),
    /// The creation of the twin that an envelope is for, which follows (`Shard::newborn`).
    Creation,
    /// The twin has come back from a store.
    Start,
    /// The shard stops.
    Stop,
}

#[derive(Debug)]
pub struct Turn {
    pub population: PopulationId,
    pub row: u32,
    pub id: TwinId,
    pub phase: Phase,
    pub cause: Cause,
    pub hops: u16,
    pub time: i64,
    /// Counts the shard's turns.
    pub number: u64,
    /// The command that it handles.
    pub command: Option<u16>,
    pub record: Record,
    /// What a request's handler has answered; it leaves when the turn is kept.
    pub reply: Value,
    pub log: Log,
    pub sends: Vec<Envelope>,
    /// Sends counted against the turn's bound.
    pub sent: usize,
    /// What those who listen are told when it is kept.
    pub told: Vec<Telling>,
    /// What it computes for a link.
    pub computing: Option<Box<Computing>>,
    pub deleted: bool,
    /// The first call of a turn that was opened where no step could be returned.
    pub first: Option<What>,
    rounds: u16,
    pub(crate) calls: VecDeque<What>,
}

impl Default for Turn {
    fn default() -> Self {
        Turn {
            population: PopulationId(0),
            row: 0,
            id: TwinId(0),
            phase: Phase::None,
            cause: Cause::Stop,
            hops: 0,
            time: 0,
            number: 0,
            command: None,
            record: Record::default(),
            reply: Value::Null,
            log: Log::default(),
            sends: Vec::new(),
            sent: 0,
            told: Vec::new(),
            computing: None,
            deleted: false,
            first: None,
            rounds: 0,
            calls: VecDeque::new(),
        }
    }
}

/// Why something that a handler asked for cannot be done.
#[derive(Clone, Debug, PartialEq)]
pub enum Refusal {
    NotInTurn,
    TwinStopped,
    Misfit {
        lane: EcoString,
        misfit: Misfit,
    },
    Fold(FoldError),
    Limit(String),
    /// A list has no such element or place.
    NoElement(String),
    /// A request cannot be asked.
    Ask(String),
    /// A request would wait for itself.
    Deadlock(String),
}

impl std::fmt::Display for Refusal {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Refusal::NotInTurn => write!(f, "this twin has no turn in progress"),
            Refusal::TwinStopped => write!(f, "this twin has left memory"),
            Refusal::Misfit { lane, misfit } => write!(f, "`{lane}` {misfit}"),
            Refusal::Fold(error) => write!(f, "{error}"),
            Refusal::Limit(reason) | Refusal::NoElement(reason) | Refusal::Ask(reason) | Refusal::Deadlock(reason) => {
                write!(f, "{reason}")
            }
        }
    }
}

/// Which turn a call from Python belongs to.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Within {
    /// The open turn.
    Open,
    /// A turn that waits for its coroutine.
    Parked(u64),
}

/// Whether two sets of bits have one in common.
#[inline(always)]
pub(crate) fn meets(some: &[u64], others: &[u64]) -> bool {
    some.iter().zip(others).any(|(some, other)| some & other != 0)
}

impl Shard {
    /// Finds the turn that a twin's handle may write in: the open one when it is this twin's, else the parked turn that the
    /// calling coroutine belongs to, which is taken up.
    #[inline(always)]
    pub fn within(
        &mut self,
        population: PopulationId,
        row: u32,
        id: TwinId,
        parked: impl FnOnce() -> Option<u64>,
    ) -> Result<Within, Refusal> {
        if self.turn.phase != Phase::None
            && self.turn.row == row
            && self.turn.id == id
            && self.turn.population == population
        {
            return Ok(Within::Open);
        }
        if !self.populations[population.0 as usize].table.is(row, id) {
            return Err(Refusal::TwinStopped);
        }
        if self.turn.phase == Phase::None
            && let Some(number) = parked()
            && self.parked.get(&number).is_some_and(|turn| turn.population == population && turn.id == id)
        {
            self.mount(number);
            return Ok(Within::Parked(number));
        }
        Err(Refusal::NotInTurn)
    }

    pub(crate) fn mount(&mut self, number: u64) {
        if self.mounted == Some(number) {
            return;
        }
        self.unmount();
        if let Some(turn) = self.parked.get_mut(&number) {
            self.populations[turn.population.0 as usize].table.mount(turn.row, &mut turn.log);
            self.mounted = Some(number);
        }
    }

    /// Lays the coroutine's changes aside: everybody else reads the last committed state.
    #[inline]
    pub fn unmount(&mut self) {
        if let Some(number) = self.mounted.take()
            && let Some(turn) = self.parked.get_mut(&number)
        {
            self.populations[turn.population.0 as usize].table.unmount(turn.row, &mut turn.log);
        }
    }

    // -- how a turn goes on and ends

    /// Opens a turn; its cause has been set.
    #[inline]
    pub fn open(&mut self, population: PopulationId, row: u32, id: TwinId, hops: u16) {
        if self.links.watches(population, row) {
            // what the turn before has done is told as it was: a commit alone would tell the last of a batch
            self.links.publish_one(population, row, &self.populations, self.commits + 1);
        }
        let words = self.populations[population.0 as usize].table.words();
        self.turns += 1;
        let turn = &mut self.turn;
        turn.population = population;
        turn.row = row;
        turn.id = id;
        turn.hops = hops;
        turn.time = self.clock.now();
        turn.number = self.turns;
        turn.log.reset(words);
        if !turn.sends.is_empty() {
            turn.sends.clear();
        }
        turn.sent = 0;
        turn.deleted = false;
        turn.command = None;
        if !turn.reply.is_null() {
            turn.reply = Value::Null;
        }
        turn.rounds = 0;
        if !turn.calls.is_empty() {
            turn.calls.clear();
        }
        turn.phase = Phase::Rounds;
    }

    /// The next `changed` call of the open turn; None: nothing differs any more. Errors: too many rounds.
    pub fn next_changed(&mut self) -> Result<Option<What>, String> {
        loop {
            if !self.turn.calls.is_empty()
                && let Some(what) = self.turn.calls.pop_front()
            {
                return Ok(Some(what));
            }
            if self.turn.log.seen.is_empty() {
                return Ok(None);
            }
            let turn = &mut self.turn;
            let table = &self.populations[turn.population.0 as usize].table;
            let mut seen = std::mem::take(&mut turn.log.seen);
            seen.sort_by_key(|seen| match seen {
                Seen::Column { watch, .. } | Seen::Entry { watch, .. } | Seen::Element { watch, .. } => *watch,
            });
            for seen in seen.drain(..) {
                match seen {
                    Seen::Column { watch, column, old } => {
                        let new = table.columns[column as usize].get(turn.row);
                        if new != old {
                            turn.calls.push_back(What::Changed { number: watch, column, new, old });
                        }
                    }
                    Seen::Entry { watch, map, key, old } => {
                        let table = &table.maps[map as usize];
                        let new = table.find(turn.row, &key).map_or(Value::Null, |slot| table.value(slot));
                        if new != old {
                            turn.calls.push_back(What::ChangedEntry { number: watch, map, key, new, old });
                        }
                    }
                    Seen::Element { watch, map, key, old, index, moved } => {
                        let table = &table.maps[map as usize];
                        let slot = table.find(turn.row, &key);
                        let new = slot.map_or(Value::Null, |slot| table.value(slot));
                        let now = slot.map_or(index, |slot| table.index(slot) as u32);
                        if new != old || moved && now != index {
                            let key = Value::Int(now.into());
                            turn.calls.push_back(What::ChangedEntry { number: watch, map, key, new, old });
                        }
                    }
                }
            }
            turn.log.seen = seen;
            if !turn.calls.is_empty() {
                turn.rounds += 1;
                if turn.rounds > self.settings.max_rounds {
                    let lanes: Vec<&str> = turn
                        .calls
                        .iter()
                        .map(|what| self.populations[turn.population.0 as usize].changed_lane(what))
                        .collect();
                    return Err(format!(
                        "`changed` handlers still change lanes after {} rounds (max_rounds): {}",
                        self.settings.max_rounds,
                        lanes.join(", ")
                    ));
                }
            }
        }
    }

    /// Keeps the open turn: its changes are the twin's, its commands wait, its timers run.
    #[inline]
    pub fn keep(&mut self) {
        let turn = &mut self.turn;
        turn.phase = Phase::None;
        let population = &mut self.populations[turn.population.0 as usize];
        if self.links.watches(turn.population, turn.row) {
            self.links.note(turn.population, turn.row, population, &turn.log);
            if let Some(command) = turn.command {
                self.links.note_command(turn.population, turn.row, population, command, &turn.record);
            }
        }
        if self.downlinks.watches(turn.population, turn.row) {
            self.downlinks.note(turn.population, turn.row, population, &turn.log, turn.hops + 1);
            if let Some(command) = turn.command {
                self.downlinks.note_command(turn.population, turn.row, population, command, &turn.record);
            }
        }
        if !population.targets.is_empty() && meets(&population.targets, &turn.log.touched) {
            self.downlinks.note_targets(turn.population, turn.row, population, &turn.log);
        }
        if !turn.told.is_empty() {
            let told = std::mem::take(&mut turn.told);
            let (at, row) = (turn.population, turn.row);
            if let Some(pushed) = &mut self.pushed {
                let items = told.iter().filter_map(|telling| match telling {
                    Telling::Item { supply, item } => Some((*supply, item.clone())),
                    Telling::Cue { .. } | Telling::Gone { .. } => None,
                });
                let key = EcoString::from(population.table.key(row));
                pushed.extend(items.map(|(supply, item)| (at, key.clone(), supply, item)));
            }
            for telling in &told {
                if let (Telling::Item { supply, item }, true) = (telling, self.downlinks.watches(at, row)) {
                    self.downlinks.note_item(at, row, Place::Supply(*supply), item);
                }
            }
            turn.told = self.links.tell_listeners(at, row, told, self.commits + 1);
        }
        if crate::journal::full::concerns(population, &turn.log.touched)
            && let Some(journal) = &mut self.journal
        {
            journal.note_in_full(population, turn);
        }
        population.table.keep(turn.row, &mut turn.log);
        // a twin that goes takes its sync lanes with it
        let is_synced = meets(&population.synced, &turn.log.touched) || turn.deleted && !population.synced.is_empty();
        for at in &population.member_of {
            self.memberships[*at].mark_touched(turn.row, &turn.log.touched);
        }
        if !turn.log.timers.is_empty() {
            let (population, twin) = (turn.population, turn.id);
            for op in turn.log.timers.drain(..) {
                match op {
                    TimerOp::Set { timer, due, every } => {
                        self.timers.set(TimerKey { population, twin, timer }, due, every)
                    }
                    TimerOp::Cancel { timer } => self.timers.cancel(TimerKey { population, twin, timer }),
                }
            }
        }
        if !turn.sends.is_empty() {
            let mut sends = std::mem::take(&mut turn.sends);
            for envelope in sends.drain(..) {
                self.send_inner(envelope);
            }
            self.turn.sends = sends;
        }
        if self.downlinks.has_events() {
            let (population, row, hops) = (self.turn.population, self.turn.row, self.turn.hops);
            self.send_events(population, row, hops);
        }
        if self.turn.deleted {
            let (population, row) = (self.turn.population, self.turn.row);
            self.forget_twin(population, row);
        }
        if is_synced {
            self.raise_fence();
        }
    }

    /// What folds of a group wrote cannot be refused: it is kept whatever its handlers do.
    pub fn seal(&mut self) {
        let turn = &mut self.turn;
        self.populations[turn.population.0 as usize].table.note_changes(turn.row, &turn.log);
        turn.log.seal();
        let (population, twin) = (turn.population, turn.id);
        for op in turn.log.timers.drain(..) {
            match op {
                TimerOp::Set { timer, due, every } => self.timers.set(TimerKey { population, twin, timer }, due, every),
                TimerOp::Cancel { timer } => self.timers.cancel(TimerKey { population, twin, timer }),
            }
        }
        turn.log.sealed = turn.log.touched.clone();
    }

    /// Undoes the open turn; its envelope is a dead letter.
    pub fn fail(&mut self, kind: Kind, reason: &str) {
        if self.turn.phase == Phase::None {
            return;
        }
        self.turn.phase = Phase::None;
        let turn = &mut self.turn;
        let table = &mut self.populations[turn.population.0 as usize].table;
        table.roll_back(turn.row, &mut turn.log);
        turn.sends.clear();
        turn.told.clear();
        turn.calls.clear();
        let computing = turn.computing.take();
        let (population, row) = (turn.population, turn.row);
        let cause = std::mem::replace(&mut turn.cause, Cause::Stop);
        let node = self.router.uri(population, self.populations[population.0 as usize].table.key(row));
        match cause {
            Cause::Creation => {
                self.populations[population.0 as usize].table.uncreate(row);
                let reason = format!("the twin could not be made: {reason}");
                match self.newborn.take() {
                    Some(Newborn::Envelope(envelope)) => self.bury(Cause::Envelope(envelope), node, kind, &reason),
                    Some(Newborn::Link(request)) => {
                        self.bury(Cause::Group, node, kind, &reason);
                        self.link_stillborn(*request);
                    }
                    Some(Newborn::Target(target)) => {
                        self.bury(Cause::Group, node, kind, &reason);
                        self.target_newborn(target, None);
                    }
                    _ => self.bury(Cause::Group, node, kind, &reason),
                }
            }
            Cause::Group => {
                // what the folds wrote stays: it is the members', and dirty
                let turn = &mut self.turn;
                turn.log.touched = std::mem::take(&mut turn.log.sealed);
                if self.links.watches(population, row) {
                    let class = &self.populations[population.0 as usize];
                    self.links.note(population, row, class, &self.turn.log);
                }
                if self.downlinks.watches(population, row) {
                    let class = &self.populations[population.0 as usize];
                    self.downlinks.note(population, row, class, &self.turn.log, 1);
                }
                let class = &mut self.populations[population.0 as usize];
                if crate::journal::full::concerns(class, &self.turn.log.touched)
                    && let Some(journal) = &mut self.journal
                {
                    journal.note_in_full(class, &self.turn);
                }
                class.table.keep(row, &mut self.turn.log);
                if meets(&class.synced, &self.turn.log.touched) {
                    self.raise_fence();
                }
                self.mark_members(population, row);
                self.bury(Cause::Group, node, kind, reason);
            }
            Cause::Envelope(mut envelope) => {
                if envelope.raw.is_empty() {
                    envelope.body = Body::Record(std::mem::take(&mut self.turn.record));
                }
                if let Some(computing) = computing {
                    self.untold(&envelope, computing.key.as_ref());
                }
                self.bury(Cause::Envelope(envelope), node, kind, reason);
            }
            cause => self.bury(cause, node, kind, reason),
        }
    }

    fn mark_members(&mut self, population: PopulationId, row: u32) {
        for at in &self.populations[population.0 as usize].member_of {
            self.memberships[*at].mark_touched(row, &self.turn.log.touched);
        }
    }

    // -- async turns

    /// Sets the open turn aside: its coroutine goes on in the loop.
    pub fn park(&mut self) -> u64 {
        let number = self.turn.number;
        let cause = std::mem::replace(&mut self.turn.cause, Cause::Stop);
        self.turn.cause = self.keepable(cause);
        let turn = std::mem::take(&mut self.turn);
        self.turn.phase = Phase::None;
        self.busy.insert((turn.population, turn.id), VecDeque::new());
        self.parked.insert(number, turn);
        self.mounted = Some(number);
        self.unmount();
        number
    }

    /// The coroutine of a parked turn has ended; `advance` applies or undoes it.
    pub fn finish(&mut self, number: u64, outcome: Result<(), (Kind, String)>) {
        if self.parked.contains_key(&number) {
            self.finished.push_back((number, outcome));
        }
    }

    /// Opens a parked turn again for its last part.
    pub fn resume(&mut self, number: u64) -> bool {
        self.unmount();
        let Some(mut turn) = self.parked.remove(&number) else { return false };
        self.populations[turn.population.0 as usize].table.mount(turn.row, &mut turn.log);
        turn.phase = Phase::Rounds;
        let waiting = self.busy.remove(&(turn.population, turn.id)).unwrap_or_default();
        self.turn = turn;
        // before what is released already: that came later
        for envelope in waiting.into_iter().rev() {
            self.released.push_front(envelope);
        }
        let told = std::mem::take(&mut self.waiting_groups);
        self.all_groups.extend(told);
        let (population, id) = (self.turn.population, self.turn.id);
        self.resume_told(population, id);
        true
    }
}
