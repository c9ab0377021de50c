//! The way of an envelope to its twin: what is next, where it goes, what must happen before. `advance` runs all turns
//! that need no Python and stops at the next that does.

use std::time::{Duration, Instant};

use crate::envelope::{Kind, Lane, Origin, SourceId};
use crate::population::PopulationId;
use crate::shard::{Held, Newborn, Shard};
use crate::turn::{Cause, Phase, What};

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
        self.settle_remote();
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
    pub(crate) fn close(&mut self) {
        self.keep();
        match &mut self.turn.cause {
            Cause::Record(source, _) => self.sources[source.0 as usize].counts.applied += 1,
            Cause::Frame(_) => self.outside_counts.applied += 1,
            Cause::Envelope(envelope) => match &envelope.origin {
                Origin::Source(source) => self.sources[source.0 as usize].counts.applied += 1,
                Origin::Outside(_) => self.outside_counts.applied += 1,
                Origin::Asked(number) => {
                    let number = *number;
                    self.outside_counts.applied += 1;
                    match self.turn.computing.is_some() {
                        true => self.tell_computed(Some(number)),
                        false => {
                            let answer = self.turn_answer();
                            self.reply(number, answer);
                        }
                    }
                }
                Origin::Request(number, ..) => {
                    let number = *number;
                    self.inner_counts.applied += 1;
                    let reply = std::mem::take(&mut self.turn.reply);
                    self.requests.end(number, Ok(reply));
                }
                Origin::Link => {
                    self.inner_counts.applied += 1;
                    self.tell_computed(None);
                }
                Origin::Twin(..) | Origin::Timer | Origin::Members => self.inner_counts.applied += 1,
                Origin::Downlink(_) => {}
            },
            Cause::Creation => {
                let (population, row, id) = (self.turn.population, self.turn.row, self.turn.id);
                if self.populations[population.0 as usize].table.is(row, id) {
                    self.settle(population, row, id);
                }
                match self.newborn.take() {
                    Some(Newborn::Envelope(envelope)) => self.hand = Some(*envelope),
                    Some(Newborn::Group(population, key)) => self.group(population, &key),
                    Some(Newborn::Link(request)) => self.link_newborn(*request),
                    Some(Newborn::Target(target)) => self.target_newborn(target, Some((population, row))),
                    None => {}
                }
            }
            Cause::Group | Cause::Link(..) | Cause::Start | Cause::Stop => {}
        }
    }

    /// Whether `advance` would find work now.
    pub fn waiting(&mut self) -> bool {
        self.turn.phase != Phase::None
            || !self.finished.is_empty()
            || self.hand.is_some()
            || !self.released.is_empty()
            || !self.inner.is_empty()
            || self.links.has_notes()
            || self.links.has_due()
            || !self.outside.is_empty()
            || !self.starting.is_empty()
            || self.downlinks.has_news()
            || self.remotes.is_stirred()
            || !self.is_paused() && self.waiting_outside()
            || !self.stopping.is_empty()
            || self.memberships.iter().any(|membership| membership.is_pending() || membership.is_marked())
            || self.timers.next_due().is_some_and(|due| due <= self.clock.now())
    }

    /// The same of connections and sources.
    fn waiting_outside(&self) -> bool {
        self.has_far_news()
            || self.serving && (self.desk.has_more() || self.exchange.has_news())
            || self.held.as_ref().is_some_and(|held| held.until.is_none_or(|until| until <= Instant::now()))
            || self.held.is_none() && !self.starved && self.sources.iter().any(|source| source.has_news())
    }

    /// Real time until the event that a replay's pace holds back, or until a record must be cut.
    pub fn next_wake(&self) -> Option<Duration> {
        let held = self.held.as_ref().and_then(|held| held.until);
        let held = held.map(|until| until.saturating_duration_since(Instant::now()));
        held.into_iter().chain(self.next_cut()).min()
    }

    /// Opens the next turn, or says what the host must do first. None: look at the turn's phase again.
    pub(crate) fn next(&mut self) -> Option<Step> {
        if self.mounted.is_some() {
            self.unmount();
        }
        // an event that has made its twin follows in the same batch: no record is cut between the two
        if self.hand.is_some()
            && let Some(envelope) = self.hand.take()
        {
            return self.bring(envelope);
        }
        if self.left == 0 {
            return Some(Step::Idle);
        }
        if self.left.is_multiple_of(32) && self.deadline.is_some_and(|deadline| Instant::now() >= deadline) {
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
        if !self.released.is_empty()
            && let Some(envelope) = self.released.pop_front()
        {
            return self.bring(envelope);
        }
        if !self.starting.is_empty()
            && let Some((population, id)) = self.starting.pop_front()
        {
            if let Some(row) = self.populations[population.0 as usize].table.row(id) {
                self.turn.cause = Cause::Start;
                self.open(population, row, id, 0);
                self.turn.phase = Phase::Start;
            }
            return None;
        }
        if self.next_group() {
            return None;
        }
        if self.downlinks.has_news() {
            return self.next_link();
        }
        if self.links.has_notes() || self.links.has_due() {
            self.take_link_turns();
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
        if self.is_paused() {
            return Some(Step::Idle);
        }
        self.far_first = !self.far_first;
        if self.far_first && self.has_far_news() && self.next_far() {
            return None;
        }
        self.peers_first = self.serving && !self.peers_first;
        if self.peers_first
            && let Some(step) = self.serve()
        {
            return step;
        }
        if self.held.is_none() && self.feed() {
            return None;
        }
        if let Some(envelope) = self.hand.take() {
            return self.bring(envelope);
        }
        if self.serving
            && !self.peers_first
            && let Some(step) = self.serve()
        {
            return step;
        }
        if self.has_far_news() && self.next_far() {
            return None;
        }
        Some(Step::Idle)
    }
}
