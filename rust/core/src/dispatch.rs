//! The way of an envelope to its twin: what is next, where it goes, what must happen before. `advance` runs all turns
//! that need no Python and stops at the next that does.

use std::time::{Duration, Instant};

use ecow::EcoString;

use crate::body::{BodyType, Record};
use crate::decode::{decode_json, write_json};
use crate::envelope::{Body, Envelope, Kind, Lane, Node, Origin, SourceId};
use crate::feed::time_of;
use crate::fold;
use crate::population::column::fit;
use crate::population::{PopulationId, TwinId};
use crate::shard::{Held, Newborn, Shard};
use crate::timers::{TimerKey, TimerNumber};
use crate::turn::{Cause, Phase, What};
use crate::value::Value;

/// What the host does before it calls `advance` again.
#[derive(Clone, Debug, PartialEq)]
pub enum Step {
    /// Run this for the open turn's twin; then `advance`, `fail` or `park`.
    Call(What),
    /// Validate `Shard::hand`'s tree; then `admitted`.
    Admit { population: PopulationId, lane: Lane, lax: bool },
    /// Ask the source's filter about `Shard::hand`; then `filtered`.
    Filter { source: SourceId, population: PopulationId, command: u16 },
    /// Ask the source's `to=` where `Shard::hand` goes; then `routed`.
    Route { source: SourceId },
    /// The batch is over, or nothing waits.
    Idle,
}

impl Shard {
    /// Begins a batch: at most `commit_turns` turns, and `budget` of real time.
    pub fn batch(&mut self, budget: Duration) {
        self.clock.tick();
        self.left = self.settings.commit_turns;
        self.deadline = Some(Instant::now() + budget);
    }

    /// Goes on: ends the open turn, runs those that need no Python, stops at the next that does.
    pub fn advance(&mut self) -> Step {
        loop {
            if self.turn.first.is_some()
                && let Some(what) = self.turn.first.take()
            {
                return Step::Call(what);
            }
            match self.turn.phase {
                Phase::None => {
                    if let Some(step) = self.next() {
                        return step;
                    }
                }
                Phase::Start => {
                    self.turn.phase = Phase::Rounds;
                    if self.populations[self.turn.population.0 as usize].decl.hooks.start {
                        return Step::Call(What::Start);
                    }
                }
                Phase::Rounds => match self.next_changed() {
                    Ok(Some(what)) => return Step::Call(what),
                    Ok(None) => {
                        if self.turn.deleted && self.populations[self.turn.population.0 as usize].decl.hooks.stop {
                            self.turn.phase = Phase::End;
                            return Step::Call(What::Stop);
                        }
                        self.close();
                    }
                    Err(reason) => self.fail(Kind::Limit, &reason),
                },
                Phase::End => {
                    self.turn.log.seen.clear();
                    self.close();
                }
            }
        }
    }

    /// The open turn is kept.
    #[inline]
    fn close(&mut self) {
        self.keep();
        match &mut self.turn.cause {
            Cause::Record(source, _) => self.sources[source.0 as usize].counts.applied += 1,
            Cause::Envelope(envelope) => match &envelope.origin {
                Origin::Source(source) => self.sources[source.0 as usize].counts.applied += 1,
                Origin::Outside(_) => self.outside_counts.applied += 1,
                Origin::Twin(..) | Origin::Timer | Origin::Members => self.inner_counts.applied += 1,
            },
            Cause::Creation => {
                let (population, row, id) = (self.turn.population, self.turn.row, self.turn.id);
                if self.populations[population.0 as usize].table.is(row, id) {
                    self.settle(population, row, id);
                }
                match self.newborn.take() {
                    Some(Newborn::Envelope(envelope)) => self.hand = Some(*envelope),
                    Some(Newborn::Group(population, key)) => self.group(population, &key),
                    None => {}
                }
            }
            Cause::Group | Cause::Stop => {}
        }
    }

    /// Whether `advance` would find work now.
    pub fn waiting(&mut self) -> bool {
        self.turn.phase != Phase::None
            || !self.finished.is_empty()
            || self.hand.is_some()
            || !self.released.is_empty()
            || !self.inner.is_empty()
            || !self.outside.is_empty()
            || !self.stopping.is_empty()
            || self.held.as_ref().is_some_and(|held| held.until.is_none_or(|until| until <= Instant::now()))
            || self.held.is_none() && self.sources.iter().any(|source| source.has_news())
            || self.memberships.iter().any(|membership| membership.is_pending() || membership.is_marked())
            || self.timers.next_due().is_some_and(|due| due <= self.clock.now())
    }

    /// Real time until the event that a replay's pace holds back.
    pub fn next_wake(&self) -> Option<Duration> {
        self.held.as_ref()?.until.map(|until| until.saturating_duration_since(Instant::now()))
    }

    /// Opens the next turn, or says what the host must do first. None: look at the turn's phase again.
    fn next(&mut self) -> Option<Step> {
        if self.mounted.is_some() {
            self.unmount();
        }
        if self.left == 0 {
            return Some(Step::Idle);
        }
        if self.left % 32 == 0 && self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
            self.left = 0;
            return Some(Step::Idle);
        }
        self.left -= 1;
        if !self.finished.is_empty()
            && let Some((number, outcome)) = self.finished.pop_front()
        {
            if self.resume(number)
                && let Err((kind, reason)) = outcome
            {
                self.fail(kind, &reason);
            }
            return None;
        }
        if self.hand.is_some()
            && let Some(envelope) = self.hand.take()
        {
            return self.bring(envelope);
        }
        if !self.released.is_empty()
            && let Some(envelope) = self.released.pop_front()
        {
            return self.bring(envelope);
        }
        if self.next_group() {
            return None;
        }
        if !self.inner.is_empty()
            && let Some(envelope) = self.inner.pop_front()
        {
            return self.bring(envelope);
        }
        let horizon = match &self.held {
            Some(held) if held.until.is_none() => held.time.max(self.clock.now()),
            _ => self.clock.now(),
        };
        if !self.timers.is_empty()
            && let Some((key, due, every)) = self.timers.take(horizon)
        {
            return self.fire(key, due, every, horizon);
        }
        if self.held.is_some()
            && let Some(held) = self.held.take()
        {
            match held.until {
                Some(until) if until > Instant::now() => self.held = Some(held),
                Some(_) => {
                    // its time has come; timers due before it go first
                    self.held = Some(Held { until: None, ..held });
                    return None;
                }
                None => {
                    self.clock.reach(held.time);
                    let mut envelope = held.envelope;
                    envelope.passed = true;
                    return self.bring(envelope);
                }
            }
        }
        if !self.outside.is_empty()
            && let Some(envelope) = self.outside.pop_front()
        {
            return self.bring(envelope);
        }
        if !self.stopping.is_empty()
            && let Some((population, id)) = self.stopping.pop_front()
        {
            if let Some(row) = self.populations[population.0 as usize].table.row(id) {
                self.turn.cause = Cause::Stop;
                self.open(population, row, id, 0);
                return Some(Step::Call(What::Stop));
            }
            return None;
        }
        if self.held.is_none() && self.feed() {
            return None;
        }
        match self.hand.take() {
            Some(envelope) => self.bring(envelope),
            None => Some(Step::Idle),
        }
    }

    // -- sources

    /// Takes one record. True: a turn was opened, or the record is dealt with, or held. False: none (or it is in `hand`).
    #[inline]
    fn feed(&mut self) -> bool {
        for _ in 0..self.sources.len() {
            let at = self.next_source;
            if let Some(index) = self.sources[at].take() {
                return self.record(SourceId(at as u16), index);
            }
            self.next_source = (at + 1) % self.sources.len();
        }
        false
    }

    #[inline]
    fn record(&mut self, id: SourceId, index: usize) -> bool {
        let source = &self.sources[id.0 as usize];
        if let Some(problem) = source.problem(index) {
            let problem = problem.to_owned();
            self.bury(Cause::Record(id, index), String::new(), Kind::Invalid, &problem);
            return true;
        }
        if !source.direct {
            self.hand = Some(self.envelope_of(id, index));
            return false;
        }
        let (population, command) = source.target.unwrap_or_default();
        let class = &self.populations[population.0 as usize];
        let source = &mut self.sources[id.0 as usize];
        let ahead = source.ahead(index, &class.table);
        if let Some(invalid) = ahead.invalid.take() {
            self.bury(Cause::Record(id, index), String::new(), Kind::Invalid, &invalid.reason);
            return true;
        }
        std::mem::swap(&mut self.turn.record, &mut ahead.record);
        if let Some((row, removals)) = ahead.place
            && class.table.removals() == removals
            && self.busy.is_empty()
            && self.sources[id.0 as usize].has_time().is_none()
        {
            // the way of most events: the twin was found when the record was decoded, and is still there
            let twin = class.table.id(row).unwrap_or_default();
            self.turn.cause = Cause::Record(id, index);
            if let Some(Step::Call(what)) = self.begin_command(population, row, twin, 0, command) {
                self.turn.first = Some(what);
            } else if self.turn.phase == Phase::Rounds && self.turn.log.seen.is_empty() {
                // no handler, nothing changed that one watches: the turn is over
                self.keep();
                self.sources[id.0 as usize].counts.applied += 1;
            }
            return true;
        }
        let source = &self.sources[id.0 as usize];
        let mut key = std::mem::take(&mut self.key);
        let routed = source.key(&self.turn.record, &mut key).and_then(|()| source.time(&self.turn.record, &self.zone));
        let opened = match routed {
            Err(reason) => {
                self.bury(Cause::Record(id, index), String::new(), Kind::Invalid, &reason);
                true
            }
            Ok(time) => self.record_to(id, index, &key, time),
        };
        self.key = key;
        opened
    }

    /// Brings a decoded record (in the turn's) to its twin.
    #[inline]
    fn record_to(&mut self, id: SourceId, index: usize, key: &str, time: Option<i64>) -> bool {
        let source = &self.sources[id.0 as usize];
        let Some((population, command)) = source.target else { return true };
        let speed = source.speed;
        let found = self.populations[population.0 as usize].table.find(key.as_bytes());
        if found.is_none()
            && let Err(reason) = source.check_key(key)
        {
            self.bury(Cause::Record(id, index), String::new(), Kind::Invalid, &reason);
            return true;
        }
        if let Some(time) = time
            && self.clock.is_virtual
        {
            if let Some(until) = self.must_wait(Some(id), time, speed) {
                let mut envelope = self.envelope_of(id, index);
                envelope.node = Node::Key(population, key.into());
                envelope.body = Body::Record(std::mem::take(&mut self.turn.record));
                self.held = Some(Held { envelope, time, until });
                return true;
            }
            self.clock.reach(time);
        }
        let class = &self.populations[population.0 as usize];
        let (row, twin) = match found {
            Some(row) => (row, class.table.id(row).unwrap_or_default()),
            None if class.decl.hooks.create || class.decl.hooks.start => {
                let mut envelope = self.envelope_of(id, index);
                envelope.node = Node::Key(population, key.into());
                envelope.body = Body::Record(std::mem::take(&mut self.turn.record));
                envelope.passed = true;
                self.hand = Some(envelope);
                return false;
            }
            None => {
                let (row, twin) = self.create(population, key);
                self.settle(population, row, twin);
                (row, twin)
            }
        };
        if !self.busy.is_empty() && self.busy.contains_key(&(population, twin)) {
            let mut envelope = self.envelope_of(id, index);
            envelope.node = Node::Key(population, key.into());
            envelope.body = Body::Record(std::mem::take(&mut self.turn.record));
            envelope.passed = true;
            self.queue_for_busy(population, twin, envelope);
            return true;
        }
        self.turn.cause = Cause::Record(id, index);
        if let Some(Step::Call(what)) = self.begin_command(population, row, twin, 0, command) {
            self.turn.first = Some(what);
        }
        true
    }

    /// Whether an event at `time` must wait: for timers that are due before it, or for its place in real time.
    #[inline]
    fn must_wait(&mut self, source: Option<SourceId>, time: i64, speed: Option<f64>) -> Option<Option<Instant>> {
        if let Some(by) = self.clock.anchor(time) {
            self.timers.shift(by);
        }
        if time < self.clock.now() {
            match source {
                Some(source) => self.sources[source.0 as usize].counts.late += 1,
                None => self.outside_counts.late += 1,
            }
            return None;
        }
        if let Some(speed) = speed {
            let (first, start, _) = *self.pace.get_or_insert((time, Instant::now(), speed));
            let until = start + Duration::from_secs_f64(((time - first).max(0) as f64 / 1e6 / speed).min(1e9));
            if until > Instant::now() {
                return Some(Some(until));
            }
        }
        self.timers.next_due().is_some_and(|due| due <= time).then_some(None)
    }

    /// The record as an envelope of its own, which outlives its batch.
    fn envelope_of(&self, id: SourceId, index: usize) -> Envelope {
        let source = &self.sources[id.0 as usize];
        let lane = match source.target {
            Some((_, command)) => Lane::Command(command),
            None => Lane::Named(source.lane.clone()),
        };
        Envelope {
            origin: Origin::Source(id),
            sequence: source.position(index),
            hops: 0,
            node: Node::InRecord,
            lane,
            body: Body::Raw,
            raw: source.record_bytes(index).to_vec(),
            passed: false,
        }
    }

    /// A cause that no longer needs the source's batch.
    pub fn keepable(&self, cause: Cause) -> Cause {
        match cause {
            Cause::Record(id, index) => {
                Cause::Envelope(Box::new(self.envelope_of(id, index)))
            }
            cause => cause,
        }
    }

    // -- envelopes

    fn dead(&mut self, envelope: Envelope, kind: Kind, reason: &str) -> Option<Step> {
        let node = self.node_text(&envelope.node);
        self.bury(Cause::Envelope(Box::new(envelope)), node, kind, reason);
        None
    }

    /// Looks an envelope's address and lane up, has its body validated, and delivers it.
    fn bring(&mut self, mut envelope: Envelope) -> Option<Step> {
        if let Node::Uri(uri) = &envelope.node {
            if uri.starts_with("warp://") || uri.starts_with("warps://") {
                return self.send_away(envelope);
            }
            match self.router.route(uri) {
                Ok((population, key)) => envelope.node = Node::Key(population, key),
                Err(reason) => return self.dead(envelope, Kind::Unrouted, &reason),
            }
        }
        let source = match envelope.origin {
            Origin::Source(source) => Some(source),
            _ => None,
        };
        let population = match (&envelope.node, source) {
            (Node::Key(population, _) | Node::Twin(population, _), _) => *population,
            (Node::InRecord, Some(source)) => match self.sources[source.0 as usize].target {
                Some((population, _)) => population,
                None => {
                    self.hand = Some(envelope);
                    return Some(Step::Route { source });
                }
            },
            _ => return self.dead(envelope, Kind::Unrouted, "it has no address"),
        };
        if let Lane::Named(name) = &envelope.lane {
            match self.lane_named(population, name) {
                Ok(lane) => envelope.lane = lane,
                Err((kind, reason)) => return self.dead(envelope, kind, &reason),
            }
        }
        match envelope.lane {
            Lane::Command(command) => self.bring_command(envelope, source, population, command),
            Lane::Column(_) | Lane::Map(_) if matches!(envelope.body, Body::Tree(_)) => {
                self.hand = Some(envelope.clone());
                Some(Step::Admit { population, lane: envelope.lane, lax: false })
            }
            _ => self.deliver(envelope),
        }
    }

    fn bring_command(
        &mut self,
        mut envelope: Envelope,
        source: Option<SourceId>,
        population: PopulationId,
        command: u16,
    ) -> Option<Step> {
        let class = &self.populations[population.0 as usize];
        let is_tree = matches!(class.plans[command as usize].body, BodyType::Tree { .. });
        let mut record = Record::default();
        let decoded = match (&envelope.body, source) {
            (Body::Raw, Some(id)) => self.decode_raw(id, &envelope, population, command, &mut record),
            (Body::Tree(tree), _) if is_tree => {
                record.tree = tree.clone();
                Ok(())
            }
            (Body::Tree(tree), _) => self.validate(population, command, tree).map(|valid| record = valid),
            (Body::Record(_), _) | (Body::Raw, None) => Ok(()),
        };
        if let Err(reason) = decoded {
            return self.dead(envelope, Kind::Invalid, &reason);
        }
        if !matches!(envelope.body, Body::Record(_)) {
            envelope.body = Body::Record(record);
        }
        if is_tree {
            let lax = source.is_some_and(|source| self.sources[source.0 as usize].is_lax());
            let lane = envelope.lane.clone();
            self.hand = Some(envelope);
            return Some(Step::Admit { population, lane, lax });
        }
        self.ask_filter(envelope)
    }

    /// Decodes the tree of a body by the command's type; not for types that the host validates.
    pub fn validate(&self, population: PopulationId, command: u16, tree: &Value) -> Result<Record, String> {
        // it has been a tree of Python's: its JSON goes through the same reader as everybody's
        let mut json = Vec::new();
        write_json(tree, &mut json);
        let mut record = Record::default();
        decode_json(&self.populations[population.0 as usize].plans[command as usize], &json, &mut record)
            .map_err(|invalid| invalid.reason)?;
        Ok(record)
    }

    fn decode_raw(
        &self,
        id: SourceId,
        envelope: &Envelope,
        population: PopulationId,
        command: u16,
        record: &mut Record,
    ) -> Result<(), String> {
        let source = &self.sources[id.0 as usize];
        let result = match source.target {
            Some(_) => source.decode_bytes(&envelope.raw, record),
            None => source.decode_routed(&self.populations[population.0 as usize].plans[command as usize], &envelope.raw, record),
        };
        result.map_err(|invalid| invalid.reason)
    }

    /// The host has validated `hand`'s tree: its slots, or the reason why not.
    pub fn admitted(&mut self, outcome: Result<Vec<Value>, String>) -> Option<Step> {
        let mut envelope = self.hand.take()?;
        match (outcome, &mut envelope.body) {
            (Err(reason), _) => self.dead(envelope, Kind::Invalid, &reason),
            (Ok(slots), Body::Record(record)) => {
                record.slots = slots;
                self.ask_filter(envelope)
            }
            (Ok(slots), _) => {
                envelope.body = Body::Record(Record { slots, ..Record::default() });
                self.deliver(envelope)
            }
        }
    }

    fn ask_filter(&mut self, envelope: Envelope) -> Option<Step> {
        if let (Origin::Source(source), Lane::Command(command), false) = (&envelope.origin, &envelope.lane, envelope.passed)
            && self.sources[source.0 as usize].filter
            && let Some(population) = match (&envelope.node, self.sources[source.0 as usize].target) {
                (Node::Key(population, _), _) => Some(*population),
                (_, target) => target.map(|(population, _)| population),
            }
        {
            let step = Step::Filter { source: *source, population, command: *command };
            self.hand = Some(envelope);
            return Some(step);
        }
        self.keep_time(envelope)
    }

    /// The source's filter has answered.
    pub fn filtered(&mut self, outcome: Result<bool, String>) -> Option<Step> {
        let envelope = self.hand.take()?;
        match (outcome, &envelope.origin) {
            (Ok(true), _) => self.keep_time(envelope),
            (Ok(false), Origin::Source(source)) => {
                self.sources[source.0 as usize].counts.filtered += 1;
                None
            }
            (Ok(false), _) => None,
            (Err(reason), _) => self.dead(envelope, Kind::Failed, &reason),
        }
    }

    /// The source's `to=` has answered with a node URI.
    pub fn routed(&mut self, outcome: Result<String, String>) -> Option<Step> {
        let mut envelope = self.hand.take()?;
        match outcome {
            Ok(uri) => {
                envelope.node = Node::Uri(uri.into());
                self.bring(envelope)
            }
            Err(reason) => self.dead(envelope, Kind::Failed, &reason),
        }
    }

    /// An envelope from outside waits for its time; one from within has its sender's.
    fn keep_time(&mut self, envelope: Envelope) -> Option<Step> {
        let (Body::Record(record), Lane::Command(command), false) = (&envelope.body, &envelope.lane, envelope.passed) else {
            return self.address(envelope);
        };
        let (time, source, speed) = match &envelope.origin {
            Origin::Source(source) if self.sources[source.0 as usize].target.is_some() => {
                let of = &self.sources[source.0 as usize];
                (of.time(record, &self.zone), Some(*source), of.speed)
            }
            Origin::Source(_) | Origin::Outside(_) => {
                let Node::Key(population, _) = envelope.node else { return self.address(envelope) };
                let class = &self.populations[population.0 as usize];
                let slot = class.decl.commands[*command as usize].time_slot;
                match &envelope.origin {
                    Origin::Source(source) => {
                        let of = &self.sources[source.0 as usize];
                        (of.time_routed(&class.plans[*command as usize].body, slot, record, &self.zone), Some(*source), of.speed)
                    }
                    _ => {
                        let value = slot.and_then(|slot| record.slots.get(slot));
                        (value.map_or(Ok(None), |value| time_of(value, &self.zone)), None, None)
                    }
                }
            }
            _ => (Ok(None), None, None),
        };
        match time {
            Err(reason) => self.dead(envelope, Kind::Invalid, &reason),
            Ok(Some(time)) if self.clock.is_virtual => {
                if let Some(until) = self.must_wait(source, time, speed) {
                    // only one event waits at a time: outside work is not taken while one does
                    self.held = Some(Held { envelope, time, until });
                    return None;
                }
                self.clock.reach(time);
                self.address(envelope)
            }
            Ok(_) => self.address(envelope),
        }
    }

    /// The record's own key says which twin.
    fn address(&mut self, mut envelope: Envelope) -> Option<Step> {
        if let (Node::InRecord, Origin::Source(id), Body::Record(record)) = (&envelope.node, &envelope.origin, &envelope.body) {
            let source = &self.sources[id.0 as usize];
            let mut key = String::new();
            let checked = source.key(record, &mut key).and_then(|()| source.check_key(&key));
            match (checked, source.target) {
                (Ok(()), Some((population, _))) => envelope.node = Node::Key(population, key.into()),
                (Ok(()), None) => return self.dead(envelope, Kind::Unrouted, "it has no address"),
                (Err(reason), _) => return self.dead(envelope, Kind::Invalid, &reason),
            }
        }
        self.deliver(envelope)
    }

    fn lane_named(&self, population: PopulationId, name: &str) -> Result<Lane, (Kind, String)> {
        let decl = &self.populations[population.0 as usize].decl;
        if !name.starts_with('_') {
            if let Some(at) = decl.commands.iter().position(|lane| lane.name == name) {
                return Ok(Lane::Command(at as u16));
            }
            if let Some(at) = decl.columns.iter().position(|lane| lane.name == name) {
                return match decl.columns[at].settable {
                    true => Ok(Lane::Column(at as u16)),
                    false => Err((Kind::Invalid, format!("lane `{name}` of {} is read-only", decl.name))),
                };
            }
            if let Some(at) = decl.maps.iter().position(|lane| lane.name == name) {
                return match decl.maps[at].settable {
                    true => Ok(Lane::Map(at as u16)),
                    false => Err((Kind::Invalid, format!("lane `{name}` of {} is read-only", decl.name))),
                };
            }
        }
        let known: Vec<&str> = decl.commands.iter().map(|lane| lane.name.as_str()).filter(|name| !name.starts_with('_')).collect();
        Err((Kind::Unrouted, format!("{} has no command lane `{name}`; it has: {}", decl.name, known.join(", "))))
    }

    fn send_away(&mut self, envelope: Envelope) -> Option<Step> {
        let (Node::Uri(uri), Body::Tree(tree)) = (&envelope.node, &envelope.body) else { return None };
        let Some(kept) = &mut self.remote else {
            return self.dead(envelope, Kind::Unrouted, "no remote links yet: this version sends to its own twins only");
        };
        let lane = match &envelope.lane {
            Lane::Named(name) => name.to_string(),
            _ => String::new(),
        };
        kept.push((uri.to_string(), lane, tree.clone()));
        match envelope.origin {
            Origin::Outside(_) => self.outside_counts.applied += 1,
            _ => self.inner_counts.applied += 1,
        }
        None
    }

    /// Opens the turn of an envelope whose address and body are known; makes the twin first where there is none.
    fn deliver(&mut self, mut envelope: Envelope) -> Option<Step> {
        let (population, row, twin) = match &envelope.node {
            Node::Twin(population, id) => match self.populations[population.0 as usize].table.row(*id) {
                Some(row) => (*population, row, *id),
                None => return self.dead(envelope, Kind::Unrouted, "the twin has been deleted meanwhile"),
            },
            Node::Key(population, key) => {
                let (population, key) = (*population, key.clone());
                let class = &self.populations[population.0 as usize];
                match class.table.find(key.as_bytes()) {
                    Some(row) => (population, row, class.table.id(row).unwrap_or_default()),
                    None => {
                        envelope.passed = true;
                        match self.make(population, &key, Newborn::Envelope(Box::new(envelope))) {
                            Ok(step) => return step,
                            Err((Newborn::Envelope(same), row, id)) => {
                                envelope = *same;
                                (population, row, id)
                            }
                            Err((Newborn::Group(..), ..)) => return None,
                        }
                    }
                }
            }
            Node::Uri(_) | Node::InRecord => return self.dead(envelope, Kind::Unrouted, "it has no address"),
        };
        if !self.busy.is_empty() && self.busy.contains_key(&(population, twin)) {
            envelope.passed = true;
            self.queue_for_busy(population, twin, envelope);
            return None;
        }
        if let Body::Record(record) = &mut envelope.body {
            self.turn.record = std::mem::take(record);
        }
        let hops = envelope.hops;
        let lane = envelope.lane.clone();
        self.turn.cause = Cause::Envelope(Box::new(envelope));
        match lane {
            Lane::Command(command) => self.begin_command(population, row, twin, hops, command),
            Lane::Timer(timer) => self.begin_timer(population, row, twin, timer),
            Lane::Column(column) => {
                self.open(population, row, twin, hops);
                let value = self.turn.record.slots.first().cloned().unwrap_or_default();
                if let Err(refusal) = self.write(crate::turn::Within::Open, column, value) {
                    self.fail(Kind::Invalid, &refusal.to_string());
                }
                None
            }
            Lane::Map(map) => {
                self.open(population, row, twin, hops);
                let slots = self.turn.record.slots.clone();
                let done = match slots.as_slice() {
                    [key, value] => self.map_put(crate::turn::Within::Open, map, key.clone(), value.clone()),
                    [key] => {
                        let kind = self.populations[population.0 as usize].table.maps[map as usize].key_type();
                        let key = fit(kind, key.clone()).unwrap_or_default();
                        self.map_remove(crate::turn::Within::Open, map, &key).map(|_| ())
                    }
                    _ => Ok(()),
                };
                if let Err(refusal) = done {
                    self.fail(Kind::Invalid, &refusal.to_string());
                }
                None
            }
            Lane::Named(_) => {
                self.turn.cause = Cause::Stop;
                None
            }
        }
    }

    /// Makes a twin. Ok: its creation turn is open. Err: it is made already, having no hooks; who waited comes back.
    fn make(
        &mut self,
        population: PopulationId,
        key: &str,
        newborn: Newborn,
    ) -> Result<Option<Step>, (Newborn, u32, TwinId)> {
        let hooks = self.populations[population.0 as usize].decl.hooks.clone();
        let (row, id) = self.create(population, key);
        if !hooks.create && !hooks.start {
            self.settle(population, row, id);
            return Err((newborn, row, id));
        }
        let hops = match &newborn {
            Newborn::Envelope(envelope) => envelope.hops,
            Newborn::Group(..) => 0,
        };
        self.newborn = Some(newborn);
        self.turn.cause = Cause::Creation;
        self.open(population, row, id, hops);
        self.turn.phase = Phase::Start;
        Ok(hooks.create.then_some(Step::Call(What::Create)))
    }

    fn queue_for_busy(&mut self, population: PopulationId, twin: TwinId, envelope: Envelope) {
        let bound = self.settings.busy_bound;
        if let Some(queue) = self.busy.get_mut(&(population, twin)) {
            if queue.len() < bound {
                queue.push_back(envelope);
            } else {
                let reason = format!("{bound} events wait already for this twin's async handler (busy_bound)");
                self.dead(envelope, Kind::Limit, &reason);
            }
        }
    }

    /// Opens a command's turn: the folds of the command step, then its handler is due.
    #[inline]
    fn begin_command(&mut self, population: PopulationId, row: u32, twin: TwinId, hops: u16, command: u16) -> Option<Step> {
        self.open(population, row, twin, hops);
        let class = &mut self.populations[population.0 as usize];
        let program = &class.programs.commands[command as usize];
        let turn = &mut self.turn;
        if let Err(error) = fold::run(program, &mut class.table, row, &turn.record.slots, turn.time, &mut turn.log) {
            self.fail(Kind::Failed, &error.to_string());
            return None;
        }
        class.decl.commands[command as usize].handler.map(|_| Step::Call(What::Handler(command)))
    }

    // -- timers

    fn fire(&mut self, key: TimerKey, due: i64, every: Option<i64>, horizon: i64) -> Option<Step> {
        if self.clock.is_virtual {
            self.clock.reach(due);
        }
        if let Some(every) = every {
            // once after a jump: the next is the first period that lies beyond it
            let periods = (horizon - due).max(0) / every.max(1) + 1;
            self.timers.set(key, due.saturating_add(periods * every), Some(every));
        }
        self.next_sequence += 1;
        self.inner_counts.read += 1;
        self.deliver(Envelope {
            origin: Origin::Timer,
            sequence: self.next_sequence,
            hops: 0,
            node: Node::Twin(key.population, key.twin),
            lane: Lane::Timer(key.timer),
            body: Body::Tree(Value::Null),
            raw: Vec::new(),
            passed: true,
        })
    }

    fn begin_timer(&mut self, population: PopulationId, row: u32, twin: TwinId, timer: TimerNumber) -> Option<Step> {
        self.open(population, row, twin, 0);
        let class = &mut self.populations[population.0 as usize];
        if (timer.0 as usize) < class.decl.timers.len() {
            return Some(Step::Call(What::Timer(timer)));
        }
        let (_, out, pending) = *class.programs.holds.iter().find(|(number, ..)| *number == timer)?;
        let turn = &mut self.turn;
        class.table.put_bool(row, pending, false, &mut turn.log);
        class.table.put_bool(row, out, true, &mut turn.log);
        let program = &class.programs.columns[out as usize];
        if let Err(error) = fold::run(program, &mut class.table, row, &[], turn.time, &mut turn.log) {
            self.fail(Kind::Failed, &error.to_string());
        }
        None
    }

    // -- groups

    /// Opens the turn of a group whose members have changed. False: there is none to tell.
    fn next_group(&mut self) -> bool {
        for at in 0..self.memberships.len() {
            while let Some(key) = self.memberships[at].take_pending() {
                let population = self.memberships[at].group;
                if self.memberships[at].is_all() && self.router.parameters(population) > 0 {
                    // every twin of the population is a group of all members: each has a turn of its own
                    let class = &self.populations[population.0 as usize];
                    let keys: Vec<EcoString> = class.table.live().map(|row| class.table.key(row).into()).collect();
                    self.all_groups.extend(keys.into_iter().map(|key| (population, key)));
                    break;
                }
                self.group(population, &key);
                return true;
            }
        }
        if !self.all_groups.is_empty()
            && let Some((population, key)) = self.all_groups.pop_front()
        {
            self.group(population, &key);
            return true;
        }
        false
    }

    /// One turn of a group: its roll-ups' lanes, the folds behind them; then its `changed` handlers are due.
    fn group(&mut self, population: PopulationId, key: &EcoString) {
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
