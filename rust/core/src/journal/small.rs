//! What a shard has besides its tables: clock, counts, timers, what has been applied of each origin, commands that wait,
//! groups that are to be told, dead letters that nobody has taken over. A record holds what has changed of it; the writer
//! and recovery keep the whole.

use std::collections::BTreeMap;

use ecow::EcoString;
use rustc_hash::FxHashMap;

use super::bytes::{Garbled, In, Out, Read};
use super::schema::StoredId;
use crate::envelope::{DeadLetter, Kind};
use crate::shard::Counts;
use crate::value::Value;

const END: u8 = 0;
const MOMENT: u8 = 1;
const TIMERS: u8 = 2;
const ORIGINS: u8 = 3;
const WAITING: u8 = 4;
const GROUPS: u8 = 5;
const LETTERS: u8 = 6;

/// Where a shard stands.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Moment {
    pub commit: u64,
    pub turns: u64,
    /// Of envelopes.
    pub sequence: u64,
    /// The shard's clock, µs.
    pub now: i64,
    /// It is virtual, and no event has set it yet.
    pub adrift: bool,
    /// The newest dead letter's number.
    pub letters: u64,
    pub inner: Counts,
    pub outside: Counts,
}

/// A timer of a twin; `timer` 0 is that of its windows and histories.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct StoredTimer {
    pub population: StoredId,
    pub twin: u64,
    pub timer: StoredId,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Armed {
    pub due: i64,
    pub every: Option<i64>,
    /// Of two timers that are due at one time the one that was set first goes first.
    pub number: u64,
}

/// What has been applied of a source.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Mark {
    /// The highest position that has been taken; all below it are done but `waiting`.
    pub through: u64,
    /// In order.
    pub waiting: Vec<u64>,
    pub counts: Counts,
    /// What the file began with: so many bytes, their xxh3-64. 0: it cannot be read again.
    pub head: (u64, u64),
}

/// A command between twins, or a timer that has fired, whose turn has not come yet.
#[derive(Clone, Debug, PartialEq)]
pub struct Unapplied {
    pub hops: u16,
    /// The sender: its class and parameters; None: a timer.
    pub from: Option<(StoredId, EcoString)>,
    pub to: Address,
    /// A command lane by its name, or a timer.
    pub lane: Result<EcoString, StoredId>,
    pub body: Value,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Address {
    Key(StoredId, EcoString),
    Twin(StoredId, u64),
    Uri(EcoString),
}

/// A group of a membership: the class and lane, and the group's parameters.
pub type PendingGroup = (StoredId, EcoString, EcoString);

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Small {
    pub moment: Moment,
    pub timers: FxHashMap<StoredTimer, Armed>,
    pub origins: BTreeMap<EcoString, Mark>,
    /// By sequence.
    pub waiting: BTreeMap<u64, Unapplied>,
    pub groups: Vec<PendingGroup>,
    /// By number.
    pub letters: BTreeMap<u64, DeadLetter>,
}

/// Changes since the record before.
#[derive(Debug, Default)]
pub struct SmallChange<'a> {
    pub moment: Moment,
    pub set: Vec<(StoredTimer, Armed)>,
    pub cancelled: Vec<StoredTimer>,
    pub origins: Vec<(&'a str, Mark)>,
    /// Sequences of commands that wait no longer.
    pub done: Vec<u64>,
    pub waiting: Vec<(u64, Unapplied)>,
    /// All that are to be told now; None: as before.
    pub groups: Option<Vec<PendingGroup>>,
    pub letters: &'a [DeadLetter],
}

impl SmallChange<'_> {
    pub fn write(&self, out: &mut Out) {
        write_moment(&self.moment, out);
        if !self.set.is_empty() || !self.cancelled.is_empty() {
            write_timers(self.set.iter().copied(), &self.cancelled, out);
        }
        if !self.origins.is_empty() {
            write_origins(self.origins.iter().map(|(name, mark)| (*name, mark)), out);
        }
        if !self.done.is_empty() || !self.waiting.is_empty() {
            write_waiting(&self.done, self.waiting.iter().map(|(sequence, waiting)| (*sequence, waiting)), out);
        }
        if let Some(groups) = &self.groups {
            write_groups(groups, out);
        }
        if !self.letters.is_empty() {
            write_letters(self.letters.iter(), out);
        }
        out.byte(END);
    }
}

impl Small {
    /// All of it, as one change from nothing.
    pub fn write(&self, out: &mut Out) {
        write_moment(&self.moment, out);
        write_timers(self.timers.iter().map(|(timer, armed)| (*timer, *armed)), &[], out);
        write_origins(self.origins.iter().map(|(name, mark)| (name.as_str(), mark)), out);
        write_waiting(&[], self.waiting.iter().map(|(sequence, waiting)| (*sequence, waiting)), out);
        write_groups(&self.groups, out);
        write_letters(self.letters.values(), out);
        out.byte(END);
    }

    /// Takes up a change.
    pub fn read(&mut self, input: &mut In<'_>) -> Read<()> {
        loop {
            match input.byte()? {
                END => return Ok(()),
                MOMENT => self.moment = read_moment(input)?,
                TIMERS => {
                    for _ in 0..input.count()? {
                        let timer = read_timer(input)?;
                        let armed = Armed { due: input.signed()?, every: input.optional()?, number: input.number()? };
                        self.timers.insert(timer, armed);
                    }
                    for _ in 0..input.count()? {
                        self.timers.remove(&read_timer(input)?);
                    }
                }
                ORIGINS => {
                    for _ in 0..input.count()? {
                        let name = EcoString::from(input.text()?);
                        self.origins.insert(name, read_mark(input)?);
                    }
                }
                WAITING => {
                    for _ in 0..input.count()? {
                        self.waiting.remove(&input.number()?);
                    }
                    for _ in 0..input.count()? {
                        let sequence = input.number()?;
                        self.waiting.insert(sequence, read_unapplied(input)?);
                    }
                }
                GROUPS => {
                    let count = input.count()?;
                    let group = |input: &mut In<'_>| Ok((read_id(input)?, input.text()?.into(), input.text()?.into()));
                    self.groups = (0..count).map(|_| group(input)).collect::<Read<_>>()?;
                }
                LETTERS => {
                    for _ in 0..input.count()? {
                        let letter = read_letter(input)?;
                        self.letters.insert(letter.number, letter);
                    }
                }
                _ => return Err(Garbled),
            }
        }
    }

    /// Letters up to this number are in their file.
    pub fn forget_letters(&mut self, through: u64) {
        self.letters = self.letters.split_off(&(through + 1));
    }
}

fn write_moment(moment: &Moment, out: &mut Out) {
    out.byte(MOMENT);
    let Moment { commit, turns, sequence, now, adrift, letters, inner, outside } = moment;
    [*commit, *turns, *sequence].into_iter().for_each(|x| out.number(x));
    out.signed(*now);
    out.byte(u8::from(*adrift));
    out.number(*letters);
    write_counts(inner, out);
    write_counts(outside, out);
}

fn read_moment(input: &mut In<'_>) -> Read<Moment> {
    Ok(Moment {
        commit: input.number()?,
        turns: input.number()?,
        sequence: input.number()?,
        now: input.signed()?,
        adrift: input.flag()?,
        letters: input.number()?,
        inner: read_counts(input)?,
        outside: read_counts(input)?,
    })
}

fn write_counts(counts: &Counts, out: &mut Out) {
    let Counts { read, applied, filtered, dead, late } = *counts;
    [read, applied, filtered, dead, late].into_iter().for_each(|x| out.number(x));
}

fn read_counts(input: &mut In<'_>) -> Read<Counts> {
    Ok(Counts {
        read: input.number()?,
        applied: input.number()?,
        filtered: input.number()?,
        dead: input.number()?,
        late: input.number()?,
    })
}

pub(super) fn read_id(input: &mut In<'_>) -> Read<StoredId> {
    u32::try_from(input.number()?).map(StoredId).map_err(|_| Garbled)
}

fn write_timer(timer: &StoredTimer, out: &mut Out) {
    out.number(timer.population.0.into());
    out.number(timer.twin);
    out.number(timer.timer.0.into());
}

fn read_timer(input: &mut In<'_>) -> Read<StoredTimer> {
    Ok(StoredTimer { population: read_id(input)?, twin: input.number()?, timer: read_id(input)? })
}

fn write_timers(set: impl ExactSizeIterator<Item = (StoredTimer, Armed)>, cancelled: &[StoredTimer], out: &mut Out) {
    out.byte(TIMERS);
    out.count(set.len());
    for (timer, armed) in set {
        write_timer(&timer, out);
        out.signed(armed.due);
        out.optional(armed.every);
        out.number(armed.number);
    }
    out.count(cancelled.len());
    cancelled.iter().for_each(|timer| write_timer(timer, out));
}

fn write_origins<'a>(origins: impl ExactSizeIterator<Item = (&'a str, &'a Mark)>, out: &mut Out) {
    out.byte(ORIGINS);
    out.count(origins.len());
    for (name, mark) in origins {
        out.text(name);
        out.number(mark.through);
        out.count(mark.waiting.len());
        let mut before = 0;
        for position in &mark.waiting {
            out.number(position - before);
            before = *position;
        }
        write_counts(&mark.counts, out);
        out.number(mark.head.0);
        out.word(mark.head.1);
    }
}

fn read_mark(input: &mut In<'_>) -> Read<Mark> {
    let through = input.number()?;
    let count = input.count()?;
    let (mut waiting, mut position) = (Vec::new(), 0u64);
    for _ in 0..count {
        position = position.checked_add(input.number()?).ok_or(Garbled)?;
        waiting.push(position);
    }
    Ok(Mark { through, waiting, counts: read_counts(input)?, head: (input.number()?, input.word()?) })
}

fn write_waiting<'a>(done: &[u64], waiting: impl ExactSizeIterator<Item = (u64, &'a Unapplied)>, out: &mut Out) {
    out.byte(WAITING);
    out.count(done.len());
    done.iter().for_each(|sequence| out.number(*sequence));
    out.count(waiting.len());
    for (sequence, unapplied) in waiting {
        out.number(sequence);
        out.number(unapplied.hops.into());
        out.byte(u8::from(unapplied.from.is_some()));
        if let Some((population, key)) = &unapplied.from {
            out.number(population.0.into());
            out.text(key);
        }
        match &unapplied.to {
            Address::Key(population, key) => {
                out.byte(0);
                out.number(population.0.into());
                out.text(key);
            }
            Address::Twin(population, twin) => {
                out.byte(1);
                out.number(population.0.into());
                out.number(*twin);
            }
            Address::Uri(uri) => {
                out.byte(2);
                out.text(uri);
            }
        }
        match &unapplied.lane {
            Ok(name) => {
                out.byte(0);
                out.text(name);
            }
            Err(timer) => {
                out.byte(1);
                out.number(timer.0.into());
            }
        }
        out.value(&unapplied.body);
    }
}

fn read_unapplied(input: &mut In<'_>) -> Read<Unapplied> {
    let hops = u16::try_from(input.number()?).map_err(|_| Garbled)?;
    let from = match input.flag()? {
        true => Some((read_id(input)?, input.text()?.into())),
        false => None,
    };
    let to = match input.byte()? {
        0 => Address::Key(read_id(input)?, input.text()?.into()),
        1 => Address::Twin(read_id(input)?, input.number()?),
        2 => Address::Uri(input.text()?.into()),
        _ => return Err(Garbled),
    };
    let lane = match input.byte()? {
        0 => Ok(input.text()?.into()),
        1 => Err(read_id(input)?),
        _ => return Err(Garbled),
    };
    Ok(Unapplied { hops, from, to, lane, body: input.value()? })
}

fn write_groups(groups: &[PendingGroup], out: &mut Out) {
    out.byte(GROUPS);
    out.count(groups.len());
    for (population, lane, key) in groups {
        out.number(population.0.into());
        out.text(lane);
        out.text(key);
    }
}

fn write_letters<'a>(letters: impl ExactSizeIterator<Item = &'a DeadLetter>, out: &mut Out) {
    out.byte(LETTERS);
    out.count(letters.len());
    for letter in letters {
        out.number(letter.number);
        out.text(&letter.origin);
        out.number(letter.sequence);
        out.signed(letter.time);
        out.text(&letter.node);
        out.text(&letter.lane);
        out.text(letter.kind.name());
        out.text(&letter.reason);
        out.bytes(&letter.record);
    }
}

fn read_letter(input: &mut In<'_>) -> Read<DeadLetter> {
    Ok(DeadLetter {
        number: input.number()?,
        origin: input.text()?.to_owned(),
        sequence: input.number()?,
        time: input.signed()?,
        node: input.text()?.to_owned(),
        lane: input.text()?.to_owned(),
        kind: Kind::named(input.text()?),
        reason: input.text()?.to_owned(),
        record: input.bytes()?.to_vec(),
    })
}
