//! Turns that links ask for: what a demand lane computes for them, and who is told of them. They wait with the commands
//! between twins, are counted with these, and are nobody's state: after a restart there are no links.

use bytes::Bytes;

use crate::ask::{Answer, Waiter};
use crate::declaration::ColumnType;
use crate::decode::write_json;
use crate::dispatch::Step;
use crate::envelope::{Body, Envelope, Lane, Node, Origin};
use crate::links::{Due, LinkInfo, Note, Operation, Place, Telling};
use crate::population::column::{Misfit, fit};
use crate::population::{PopulationId, TwinId};
use crate::shard::Shard;
use crate::turn::{Refusal, What, Within};
use crate::value::Value;

/// What a link asks of its twin.
#[derive(Clone, Debug, PartialEq)]
pub enum LinkTurn {
    /// Computes what the listeners of a demand lane are owed.
    Compute(Place),
    /// Computes a demand lane for an HTTP request.
    Read { demand: u16, link: LinkInfo },
    /// Tells an observer of a link that has opened or ended.
    Observe { observer: u16, link: LinkInfo },
}

/// What the open turn computes.
#[derive(Clone, Debug, PartialEq)]
pub struct Computing {
    pub demand: u16,
    /// Whom it is for; None: an HTTP request.
    pub place: Option<Place>,
    /// What was cued; None: all of the lane.
    pub key: Option<Bytes>,
    /// Keys (null where the lane has one value) with their values, null where there is none.
    pub rows: Vec<(Value, Value)>,
}

impl Shard {
    /// Has the turns that links ask for wait with the commands between twins.
    pub(crate) fn take_link_turns(&mut self) {
        while let Some(Note { population, row, observer, link }) = self.links.next_note() {
            self.queue_link_turn(population, row, LinkTurn::Observe { observer, link });
        }
        while let Some((population, row, place)) = self.links.next_due() {
            self.queue_link_turn(population, row, LinkTurn::Compute(place));
        }
    }

    fn queue_link_turn(&mut self, population: PopulationId, row: u32, turn: LinkTurn) {
        // without the twin there is nobody to call
        let Some(twin) = self.populations[population.0 as usize].table.id(row) else { return };
        let mut envelope = link_envelope(Origin::Link, population, twin, turn);
        self.next_sequence += 1;
        envelope.sequence = self.next_sequence;
        self.inner_counts.read += 1;
        self.inner.push_back(envelope);
    }

    /// Opens the turn. None without an open turn: there is nothing left to do.
    pub(crate) fn begin_link_turn(
        &mut self,
        population: PopulationId,
        row: u32,
        twin: TwinId,
        turn: LinkTurn,
    ) -> Option<Step> {
        let (computing, link) = match turn {
            LinkTurn::Observe { observer, link } => {
                self.open(population, row, twin, 0);
                return Some(Step::Call(What::Observed { observer, link: Box::new(link) }));
            }
            LinkTurn::Read { demand, link } => {
                (Computing { demand, place: None, key: None, rows: Vec::new() }, (Value::Null, link))
            }
            LinkTurn::Compute(place) => {
                let Place::Demand(demand, _) = place else { return None };
                let Some(due) = self.links.due((population, row, place)) else {
                    self.inner_counts.applied += 1;
                    return None;
                };
                let (key, value, link) = match due {
                    Due::State(link) => (None, Value::Null, link),
                    Due::Key(key, value, link) => (Some(key), value, link),
                };
                (Computing { demand, place: Some(place), key, rows: Vec::new() }, (value, link))
            }
        };
        self.open(population, row, twin, 0);
        let decl = &self.populations[population.0 as usize].decl.demands[computing.demand as usize];
        let demand = computing.demand;
        let (key, link) = link;
        let link = decl.parametric.then(|| Box::new(link));
        let whole = decl.key.is_some() && computing.key.is_none();
        let call = match (whole, decl.keys) {
            (true, false) => None,
            (true, true) => Some(What::Keys { demand, link }),
            (false, _) => Some(What::Demand { demand, key, link }),
        };
        self.turn.computing = Some(Box::new(computing));
        call.map(Step::Call)
    }

    /// The open turn's function has computed: a value after `What::Demand`, a list of keys after `What::Keys`.
    ///
    /// Errors: what is no value of the lane, as the end of a sentence about it; the caller fails the turn.
    pub fn computed(&mut self, what: &What, value: Value) -> Result<(), Refusal> {
        let most = self.settings.limits.link_queue;
        let turn = &mut self.turn;
        let (What::Demand { demand, .. } | What::Keys { demand, .. }) = what else { return Ok(()) };
        let Some(computing) = turn.computing.as_mut() else { return Ok(()) };
        let decl = &self.populations[turn.population.0 as usize].decl.demands[*demand as usize];
        let misfit = |misfit| Refusal::Misfit { lane: decl.name.clone(), misfit };
        match what {
            What::Demand { key, .. } => {
                if value.is_null() && decl.key.is_none() && !decl.nullable {
                    return Err(misfit(Misfit::NoNone));
                }
                computing.rows.push((key.clone(), fit(decl.kind, value).map_err(misfit)?));
            }
            What::Keys { link, .. } => {
                let keys = match value {
                    Value::List(keys) => keys,
                    _ => return Ok(()),
                };
                if keys.len() > most {
                    let reason = format!("`{}` has {} keys, more than {most} (link_queue)", decl.name, keys.len());
                    return Err(Refusal::Limit(reason));
                }
                for key in keys.iter() {
                    let key = fit(decl.key.unwrap_or(ColumnType::Value), key.clone()).map_err(misfit)?;
                    turn.calls.push_back(What::Demand { demand: *demand, key, link: link.clone() });
                }
            }
            _ => {}
        }
        Ok(())
    }

    /// The open turn has been kept: what it has computed goes to whom it is for.
    pub(crate) fn tell_computed(&mut self, number: Option<u64>) {
        let Some(computing) = self.turn.computing.take() else { return };
        let Computing { demand, place, key, rows } = *computing;
        let decl = &self.populations[self.turn.population.0 as usize].decl.demands[demand as usize];
        let is_map = decl.key.is_some();
        if let Some(number) = number {
            let body = json(decl.key, rows);
            self.reply(number, Answer::Json { body, commit: self.commits });
            return;
        }
        let Some(place) = place else { return };
        let at = (self.turn.population, self.turn.row, place);
        let commit = self.commits + 1;
        let operations = rows.into_iter().map(|(key, value)| match (is_map, value) {
            (false, value) => Operation::Value(value),
            (true, Value::Null) => Operation::Remove(key),
            (true, value) => Operation::Update(key, value),
        });
        match key {
            // a key that is gone is no state
            None => {
                let state: Vec<_> = operations.filter(|operation| !matches!(operation, Operation::Remove(_))).collect();
                self.links.tell_state(at, &state, commit);
            }
            Some(key) => {
                for operation in operations {
                    self.links.tell_value(at, &key, &operation, commit);
                }
            }
        }
    }

    /// The turn has failed, or never came: those who wait for it are answered without, and stay linked.
    pub(crate) fn untold(&mut self, envelope: &Envelope, key: Option<&Bytes>) {
        let (Lane::Link(turn), Node::Twin(population, twin)) = (&envelope.lane, &envelope.node) else { return };
        let row = self.populations[population.0 as usize].table.row(*twin);
        if let (LinkTurn::Compute(place), Some(row)) = (&**turn, row) {
            let at = (*population, row, *place);
            match key {
                Some(key) => self.links.untold(at, key),
                None => self.links.tell_state(at, &[], self.commits + 1),
            }
        }
    }

    /// An HTTP request for a demand lane.
    pub(crate) fn ask_demand(
        &mut self,
        at: (PopulationId, u32),
        demand: u16,
        link: LinkInfo,
        waiter: Waiter,
    ) -> Option<Step> {
        let twin = self.populations[at.0.0 as usize].table.id(at.1)?;
        self.next_sequence += 1;
        self.outside_counts.read += 1;
        let sequence = self.next_sequence;
        self.asked.insert(sequence, waiter);
        let mut envelope = link_envelope(Origin::Asked(sequence), at.0, twin, LinkTurn::Read { demand, link });
        envelope.sequence = sequence;
        self.bring(envelope)
    }

    // -- what handlers do

    /// An item for those who have linked a supply lane; counts as one of the turn's sends.
    pub fn push(&mut self, within: Within, supply: u16, item: Value) -> Result<(), Refusal> {
        let limit = self.settings.max_sends;
        let is_kept = self.pushed.is_some();
        let turn = self.turn_of(within)?;
        let (population, row) = (turn.population, turn.row);
        if turn.sent >= limit {
            return Err(Refusal::Limit(format!(
                "this turn has sent {limit} commands and items, the most that one may send (max_sends); spread them over turns with self.after"
            )));
        }
        turn.sent += 1;
        let decl = &self.populations[population.0 as usize].decl.supplies[supply as usize];
        let item = match item.is_null() && !decl.nullable {
            true => Err(Misfit::NoNone),
            false => fit(decl.kind, item),
        };
        let item = item.map_err(|misfit| Refusal::Misfit { lane: decl.name.clone(), misfit })?;
        if is_kept || self.may_be_heard(within, population, row) {
            self.turn_of(within)?.told.push(Telling::Item { supply, item });
        }
        Ok(())
    }

    /// A demand lane may have changed; of a demand-map lane, what it has under a key. Nobody linked: one bit is looked at,
    /// and whether the key is one, so that a turn does not fail by who listens.
    #[inline]
    pub fn cue(&mut self, within: Within, demand: u16, key: Option<Value>) -> Result<(), Refusal> {
        if key.is_none() && within == Within::Open && !self.is_watched(self.turn.population, self.turn.row) {
            return Ok(());
        }
        self.call_for(within, demand, key, |demand, key| Telling::Cue { demand, key })
    }

    /// A key of a demand-map lane is gone.
    pub fn gone(&mut self, within: Within, demand: u16, key: Value) -> Result<(), Refusal> {
        self.call_for(within, demand, Some(key), |demand, key| Telling::Gone { demand, key: key.unwrap_or_default() })
    }

    fn call_for(
        &mut self,
        within: Within,
        demand: u16,
        key: Option<Value>,
        telling: impl FnOnce(u16, Option<Value>) -> Telling,
    ) -> Result<(), Refusal> {
        let limit = self.settings.max_sends;
        let turn = self.turn_of(within)?;
        let (population, row) = (turn.population, turn.row);
        let decl = &self.populations[population.0 as usize].decl.demands[demand as usize];
        let key = match (key, decl.key) {
            (Some(key), Some(kind)) => {
                let key = if key.is_null() { Err(Misfit::NoNone) } else { fit(kind, key) };
                Some(key.map_err(|misfit| Refusal::Misfit { lane: decl.name.clone(), misfit })?)
            }
            _ => None,
        };
        if !self.may_be_heard(within, population, row) {
            return Ok(());
        }
        let turn = self.turn_of(within)?;
        let telling = telling(demand, key);
        if turn.told.last() == Some(&telling) && matches!(telling, Telling::Cue { .. }) {
            return Ok(());
        }
        if turn.told.len() >= limit {
            return Err(Refusal::Limit(format!(
                "this turn has told listeners {limit} times, as often as one may (max_sends); spread it over turns with self.after"
            )));
        }
        turn.told.push(telling);
        Ok(())
    }

    /// Whether somebody may listen when the turn is kept: while an async one is under way, links come and go.
    #[inline]
    fn may_be_heard(&self, within: Within, population: PopulationId, row: u32) -> bool {
        within != Within::Open || self.is_watched(population, row)
    }
}

fn link_envelope(origin: Origin, population: PopulationId, twin: TwinId, turn: LinkTurn) -> Envelope {
    Envelope {
        origin,
        sequence: 0,
        hops: 0,
        node: Node::Twin(population, twin),
        lane: Lane::Link(Box::new(turn)),
        body: Body::Tree(Value::Null),
        raw: Vec::new(),
        passed: true,
    }
}

/// A value; or an object in the order of the keys, and where these are no texts a list of pairs. Empty: it is None.
fn json(key: Option<ColumnType>, rows: Vec<(Value, Value)>) -> Vec<u8> {
    let mut out = Vec::new();
    let Some(kind) = key else {
        if let Some((_, value)) = rows.first() {
            write_json(value, &mut out);
        }
        return out;
    };
    let is_text = kind == ColumnType::String;
    let rows = rows.into_iter().filter(|(_, value)| !value.is_null());
    let value = match is_text {
        true => {
            let member = |(key, value)| match key {
                Value::Text(name) => (name, value),
                _ => Default::default(),
            };
            Value::Map(rows.map(member).collect())
        }
        false => Value::List(rows.map(|(key, value)| Value::List([key, value].into())).collect()),
    };
    write_json(&value, &mut out);
    out
}

#[cfg(test)]
mod tests;
