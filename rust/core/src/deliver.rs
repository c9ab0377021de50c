//! An envelope on its way: its address and its lane looked up, its body validated, its twin found or made, its turn opened.

use crate::body::{BodyType, Record};
use crate::decode::{decode_json, write_json};
use crate::dispatch::Step;
use crate::envelope::{Body, Envelope, Kind, Lane, Node, Origin, SourceId};
use crate::fold;
use crate::link_turn::LinkTurn;
use crate::population::column::fit;
use crate::population::{PopulationId, TwinId};
use crate::request::not_a_command;
use crate::serve::{list, operation_of};
use crate::shard::{Held, Newborn, Shard};
use crate::time::time_of;
use crate::timers::{TimerKey, TimerNumber};
use crate::turn::{Cause, Phase, What};
use crate::value::Value;
use crate::window;

impl Shard {
    pub(crate) fn dead(&mut self, envelope: Envelope, kind: Kind, reason: &str) -> Option<Step> {
        let node = self.node_text(&envelope.node);
        self.bury(Cause::Envelope(Box::new(envelope)), node, kind, reason);
        None
    }

    /// Looks an envelope's address and lane up, has its body validated, and delivers it.
    pub(crate) fn bring(&mut self, mut envelope: Envelope) -> Option<Step> {
        if let Node::Uri(uri) = &envelope.node {
            if crate::remote::is_remote(uri) {
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
        if let (Lane::Map(map), Body::Tree(tree)) = (&envelope.lane, &envelope.body) {
            match self.is_list(population, *map) {
                true => match list::operation(tree) {
                    Ok(body) => envelope.body = body,
                    Err(reason) => return self.dead(envelope, Kind::Invalid, reason),
                },
                // what links and Recon write has the form that it has on the wire
                false => envelope.body = operation_of(tree).unwrap_or_else(|| envelope.body.clone()),
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

    pub(crate) fn bring_command(
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
            (Body::Record(_) | Body::Bulk(_), _) | (Body::Raw, None) => Ok(()),
        };
        if let Err(reason) = decoded {
            return self.dead(envelope, Kind::Invalid, &reason);
        }
        if !matches!(envelope.body, Body::Record(_)) {
            envelope.body = Body::Record(record);
        }
        if is_tree {
            let lax = match envelope.origin {
                Origin::Asked(number) => self.asked.get(&number).is_some_and(|waiter| waiter.lax),
                _ => source.is_some_and(|source| self.sources[source.0 as usize].is_lax()),
            };
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

    pub(crate) fn decode_raw(
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
            None => source.decode_routed(
                &self.populations[population.0 as usize].plans[command as usize],
                &envelope.raw,
                record,
            ),
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

    pub(crate) fn ask_filter(&mut self, envelope: Envelope) -> Option<Step> {
        if let (Origin::Source(source), Lane::Command(command), false) =
            (&envelope.origin, &envelope.lane, envelope.passed)
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
    pub(crate) fn keep_time(&mut self, envelope: Envelope) -> Option<Step> {
        let (Body::Record(record), Lane::Command(command), false) = (&envelope.body, &envelope.lane, envelope.passed)
        else {
            return self.address(envelope);
        };
        let (time, source, speed) = match &envelope.origin {
            Origin::Source(source) if self.sources[source.0 as usize].target.is_some() => {
                let of = &self.sources[source.0 as usize];
                (of.time(record, &self.zone), Some(*source), of.speed)
            }
            Origin::Source(_) | Origin::Outside(_) | Origin::Asked(_) => {
                let Node::Key(population, _) = envelope.node else { return self.address(envelope) };
                let class = &self.populations[population.0 as usize];
                let slot = class.decl.commands[*command as usize].time_slot;
                match &envelope.origin {
                    Origin::Source(source) => {
                        let of = &self.sources[source.0 as usize];
                        (
                            of.time_routed(&class.plans[*command as usize].body, slot, record, &self.zone),
                            Some(*source),
                            of.speed,
                        )
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
    pub(crate) fn address(&mut self, mut envelope: Envelope) -> Option<Step> {
        if let (Node::InRecord, Origin::Source(id), Body::Record(record)) =
            (&envelope.node, &envelope.origin, &envelope.body)
        {
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

    pub(crate) fn is_list(&self, population: PopulationId, map: u16) -> bool {
        self.populations[population.0 as usize].table.maps[map as usize].is_ordered()
    }

    pub(crate) fn lane_named(&self, population: PopulationId, name: &str) -> Result<Lane, (Kind, String)> {
        let decl = &self.populations[population.0 as usize].decl;
        if !name.starts_with('_') {
            if let Some(at) = decl.commands.iter().position(|lane| lane.name == name) {
                return match decl.commands[at].request {
                    None => Ok(Lane::Command(at as u16)),
                    Some(_) => Err((Kind::Invalid, not_a_command(&decl.name, name))),
                };
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
        if !name.starts_with('_')
            && let Some(kind) = decl.told_only(name)
        {
            return Err((Kind::Invalid, format!("`{name}` of {} is a {kind} lane: it takes no commands", decl.name)));
        }
        let known: Vec<&str> =
            decl.commands.iter().map(|lane| lane.name.as_str()).filter(|name| !name.starts_with('_')).collect();
        Err((Kind::Unrouted, format!("{} has no command lane `{name}`; it has: {}", decl.name, known.join(", "))))
    }

    /// Opens the turn of an envelope whose address and body are known; makes the twin first where there is none.
    pub(crate) fn deliver(&mut self, mut envelope: Envelope) -> Option<Step> {
        let (population, row, twin) = match &envelope.node {
            Node::Twin(population, id) => match self.populations[population.0 as usize].table.row(*id) {
                Some(row) => (*population, row, *id),
                // there is nobody left to tell
                None if envelope.origin == Origin::Link => {
                    self.inner_counts.applied += 1;
                    return None;
                }
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
                            Err(_) => return None,
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
        let bulk = match &mut envelope.body {
            Body::Record(record) => {
                self.turn.record = std::mem::take(record);
                None
            }
            Body::Bulk(bulk) => Some(*bulk),
            Body::Raw | Body::Tree(_) => None,
        };
        let hops = envelope.hops;
        let lane = envelope.lane.clone();
        let link = match envelope.origin {
            Origin::Downlink(link) => Some(link),
            _ => None,
        };
        self.turn.cause = Cause::Envelope(Box::new(envelope));
        match lane {
            Lane::Command(command) => self.begin_command(population, row, twin, hops, command),
            Lane::Timer(timer) => self.begin_timer(population, row, twin, timer),
            Lane::Column(column) => {
                self.open(population, row, twin, hops);
                let value = self.turn.record.slots.first().cloned().unwrap_or_default();
                match (self.write(crate::turn::Within::Open, column, value), link) {
                    (Err(refusal), _) => self.fail(Kind::Invalid, &refusal.to_string()),
                    (Ok(()), Some(link)) => self.keep_came(link, None),
                    (Ok(()), None) => {}
                }
                None
            }
            Lane::Map(map) => {
                self.open(population, row, twin, hops);
                let slots = if bulk.is_some() { Vec::new() } else { self.turn.record.slots.clone() };
                let is_list = self.is_list(population, map);
                let done = match slots.as_slice() {
                    [] if is_list => bulk.map_or(Ok(()), |bulk| self.list_bulk(crate::turn::Within::Open, map, bulk)),
                    slots if is_list => self.list_operation(crate::turn::Within::Open, map, slots),
                    [] => bulk.map_or(Ok(()), |bulk| self.map_bulk(crate::turn::Within::Open, map, bulk)),
                    [key, value] => self.map_put(crate::turn::Within::Open, map, key.clone(), value.clone()),
                    [key] => {
                        let kind = self.populations[population.0 as usize].table.maps[map as usize].key_type();
                        let key = fit(kind, key.clone()).unwrap_or_default();
                        self.map_remove(crate::turn::Within::Open, map, &key).map(|_| ())
                    }
                    _ => Ok(()),
                };
                match (done, link) {
                    (Err(refusal), _) => self.fail(Kind::Invalid, &refusal.to_string()),
                    (Ok(()), Some(link)) => self.keep_came(link, slots.first()),
                    (Ok(()), None) => {}
                }
                None
            }
            Lane::Link(turn) => self.begin_link_turn(population, row, twin, *turn),
            Lane::Named(_) => {
                self.turn.cause = Cause::Stop;
                None
            }
        }
    }

    /// Makes a twin. Ok: its creation turn is open. Err: it is made already, having no hooks; who waited comes back.
    pub(crate) fn make(
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
            Newborn::Group(..) | Newborn::Link(_) | Newborn::Target(_) => 0,
        };
        self.newborn = Some(newborn);
        self.turn.cause = Cause::Creation;
        self.open(population, row, id, hops);
        self.turn.phase = Phase::Start;
        Ok(hooks.create.then_some(Step::Call(What::Create)))
    }

    pub(crate) fn queue_for_busy(&mut self, population: PopulationId, twin: TwinId, envelope: Envelope) {
        let bound = self.settings.busy_bound;
        if let Some(queue) = self.busy.get_mut(&(population, twin)) {
            // of these there is one a lane that somebody has linked
            let is_one = matches!(&envelope.lane, Lane::Link(turn) if matches!(**turn, LinkTurn::Compute(_)));
            if queue.len() < bound || is_one {
                queue.push_back(envelope);
            } else {
                let reason = format!("{bound} events wait already for this twin's async handler (busy_bound)");
                self.dead(envelope, Kind::Limit, &reason);
            }
        }
    }

    /// Opens a command's turn: the folds of the command step, then its handler is due.
    #[inline]
    pub(crate) fn begin_command(
        &mut self,
        population: PopulationId,
        row: u32,
        twin: TwinId,
        hops: u16,
        command: u16,
    ) -> Option<Step> {
        self.open(population, row, twin, hops);
        self.turn.command = Some(command);
        let class = &mut self.populations[population.0 as usize];
        let program = &class.programs.commands[command as usize];
        let turn = &mut self.turn;
        if let Err(error) = fold::run(program, &mut class.table, row, &turn.record.slots, turn.time, &mut turn.log) {
            self.fail(Kind::Failed, &error.to_string());
            return None;
        }
        let lane = &class.decl.commands[command as usize];
        if lane.request.is_some() {
            return Some(Step::Call(self.answer_step(population, command)));
        }
        lane.handler.map(|_| Step::Call(What::Handler(command)))
    }

    // -- timers

    pub(crate) fn fire(&mut self, key: TimerKey, due: i64, every: Option<i64>, horizon: i64) -> Option<Step> {
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

    pub(crate) fn begin_timer(
        &mut self,
        population: PopulationId,
        row: u32,
        twin: TwinId,
        timer: TimerNumber,
    ) -> Option<Step> {
        self.open(population, row, twin, 0);
        let class = &mut self.populations[population.0 as usize];
        if (timer.0 as usize) < class.decl.timers.len() {
            return Some(Step::Call(What::Timer(timer)));
        }
        if timer == window::TIMER {
            let turn = &mut self.turn;
            if let Err(error) = window::elapse(class, row, turn.time, &mut turn.log) {
                self.fail(Kind::Failed, &error.to_string());
            }
            return None;
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
}
