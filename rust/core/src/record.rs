//! A source's record on its way: decoded, routed by its key, held back until its time, its turn opened. Most events take
//! the shortest way, on which no envelope is made.

use std::time::{Duration, Instant};

use crate::dispatch::Step;
use crate::envelope::{Body, Envelope, Kind, Lane, Node, Origin, SourceId};
use crate::feed::Upcoming;
use crate::shard::{Held, Shard};
use crate::turn::{Cause, Phase};

impl Shard {
    /// Takes one record. True: a turn was opened, or the record is dealt with, or held. False: none (or it is in `hand`).
    #[inline]
    pub(crate) fn feed(&mut self) -> bool {
        if self.merging {
            return self.feed_by_time();
        }
        for _ in 0..self.sources.len() {
            let at = self.next_source;
            if let Some(index) = self.sources[at].take() {
                return self.record(SourceId(at as u16), index);
            }
            self.next_source = (at + 1) % self.sources.len();
        }
        false
    }

    /// Several sources tell the time: the earliest event goes first, so that none is late because of another file.
    fn feed_by_time(&mut self) -> bool {
        self.starved = false;
        let mut first: Option<(i64, usize)> = None;
        for (at, source) in self.sources.iter_mut().enumerate() {
            let population = source.target.map_or(0, |(population, _)| population.0 as usize);
            let time = match source.upcoming(&self.populations[population].table, &self.zone) {
                Upcoming::At(time) => time,
                Upcoming::Now => i64::MIN,
                Upcoming::None => continue,
                Upcoming::Awaited => {
                    // its reader rings when it has something
                    self.starved = true;
                    return false;
                }
            };
            if first.is_none_or(|(earliest, _)| time < earliest) {
                first = Some((time, at));
            }
        }
        let Some((_, at)) = first else { return false };
        match self.sources[at].take() {
            Some(index) => self.record(SourceId(at as u16), index),
            None => false,
        }
    }

    #[inline]
    pub(crate) fn record(&mut self, id: SourceId, index: usize) -> bool {
        if self.sources[id.0 as usize].may_sweep() && (self.sweep(id, index) || self.open_swept(id, index)) {
            return true;
        }
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
        let (population, _) = source.target.unwrap_or_default();
        let class = &self.populations[population.0 as usize];
        let source = &mut self.sources[id.0 as usize];
        let ahead = source.ahead(index, &class.table);
        if let Some(invalid) = ahead.invalid.take() {
            self.bury(Cause::Record(id, index), String::new(), Kind::Invalid, &invalid.reason);
            return true;
        }
        if ahead.record.news {
            source.put_back();
            // the batch ends here: the host looks at it between commits
            self.left = 0;
            return true;
        }
        std::mem::swap(&mut self.turn.record, &mut ahead.record);
        if let Some((row, removals)) = ahead.place
            && class.table.removals() == removals
            && self.busy.is_empty()
            && self.sources[id.0 as usize].has_time().is_none()
        {
            // the way of most events: the twin was found when the record was decoded, and is still there
            self.begin_record(id, index, row);
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

    /// Opens the turn of a decoded record (in the turn's) of a twin that is there.
    #[inline(always)]
    pub(crate) fn begin_record(&mut self, id: SourceId, index: usize, row: u32) {
        let (population, command) = self.sources[id.0 as usize].target.unwrap_or_default();
        let twin = self.populations[population.0 as usize].table.id(row).unwrap_or_default();
        self.turn.cause = Cause::Record(id, index);
        if let Some(Step::Call(what)) = self.begin_command(population, row, twin, 0, command) {
            self.turn.first = Some(what);
        } else if self.turn.phase == Phase::Rounds && self.turn.log.seen.is_empty() {
            // no handler, nothing changed that one watches: the turn is over
            self.keep();
            self.sources[id.0 as usize].counts.applied += 1;
        }
    }

    /// Brings a decoded record (in the turn's) to its twin.
    #[inline]
    pub(crate) fn record_to(&mut self, id: SourceId, index: usize, key: &str, time: Option<i64>) -> bool {
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
    pub(crate) fn must_wait(
        &mut self,
        source: Option<SourceId>,
        time: i64,
        speed: Option<f64>,
    ) -> Option<Option<Instant>> {
        if let Some(by) = self.clock.anchor(time) {
            self.timers.shift(by);
            self.populations.iter_mut().for_each(|class| class.table.shift_windows(by));
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
    pub(crate) fn envelope_of(&self, id: SourceId, index: usize) -> Envelope {
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
            Cause::Record(id, index) => Cause::Envelope(Box::new(self.envelope_of(id, index))),
            Cause::Frame(_) => self.frame_keepable(),
            cause => cause,
        }
    }
}
