//! Requests: questions that a twin answers in a turn of its own (docs/requests.md). A request is an envelope like a
//! command; its reply leaves when its turn is kept, its failure when that is undone. `http` has those of HTTP.

mod http;

pub(crate) use self::http::Given;

use ecow::EcoString;
use rustc_hash::{FxHashMap, FxHashSet};
use serde::Deserialize;

use crate::ask::{Answer, Problem};
use crate::declaration::CommandDecl;
use crate::envelope::{Body, Envelope, Kind, Lane, Node, Origin};
use crate::population::PopulationId;
use crate::shard::Shard;
use crate::turn::{Cause, Refusal, What, Within};
use crate::value::Value;

/// A method of HTTP; HEAD is a GET of which only the headers are sent.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    Get,
    Put,
    Post,
    Delete,
}

impl Method {
    pub const ALL: [Method; 4] = [Method::Get, Method::Put, Method::Post, Method::Delete];

    pub fn name(self) -> &'static str {
        match self {
            Method::Get => "GET",
            Method::Put => "PUT",
            Method::Post => "POST",
            Method::Delete => "DELETE",
        }
    }
}

/// A twin by its class and its parameters: it need not exist yet.
pub type Address = (PopulationId, EcoString);

/// The reply, or the kind and the reason of the turn's dead letter.
pub type Reply = Result<Value, (Kind, String)>;

/// A request whose answer somebody of this process waits for.
#[derive(Debug)]
struct Pending {
    target: Address,
    /// The asker and the number of its turn; None: a program.
    asker: Option<(Address, u64)>,
}

/// Who asks whom. Bounded by `max_asks`.
#[derive(Debug, Default)]
pub struct Requests {
    pending: FxHashMap<u64, Pending>,
    /// Numbers of what a twin has asked.
    of: FxHashMap<Address, Vec<u64>>,
    /// Answers that the host has not taken yet; at most one of each that is pending.
    answered: Vec<(u64, Reply)>,
    /// Requests of twins whose turns have not ended, whether somebody waits for them or not: a crash takes them along.
    in_flight: u64,
}

impl Requests {
    /// The turn of a twin's request has ended. Nobody may wait for that any more.
    pub(crate) fn end(&mut self, number: u64, reply: Reply) {
        self.in_flight = self.in_flight.saturating_sub(1);
        self.settle(number, reply);
    }

    /// Keeps an answer for the host, if somebody waits for it.
    pub(crate) fn settle(&mut self, number: u64, reply: Reply) {
        if self.forget(number) {
            self.answered.push((number, reply));
        }
    }

    /// Nobody waits for this one any more. False: nobody did.
    pub fn forget(&mut self, number: u64) -> bool {
        let Some(pending) = self.pending.remove(&number) else { return false };
        if let Some((asker, _)) = pending.asker
            && let Some(numbers) = self.of.get_mut(&asker)
        {
            numbers.retain(|other| *other != number);
            if numbers.is_empty() {
                self.of.remove(&asker);
            }
        }
        true
    }

    /// Answers that have come since the last call, in their order.
    pub fn take_answered(&mut self) -> Vec<(u64, Reply)> {
        std::mem::take(&mut self.answered)
    }

    /// How many requests somebody waits for.
    pub fn waiting(&self) -> usize {
        self.pending.len()
    }

    pub(crate) fn in_flight(&self) -> u64 {
        self.in_flight
    }

    fn insert(&mut self, number: u64, target: Address, asker: Option<(Address, u64)>) {
        if let Some((asker, _)) = &asker {
            self.of.entry(asker.clone()).or_default().push(number);
        }
        self.pending.insert(number, Pending { target, asker });
    }

    /// The way from a twin that asks `target` back to itself, over twins that wait for answers, if there is one.
    fn circle(&self, asker: &Address, target: &Address, waits: impl Fn(u64) -> bool) -> Option<Vec<Address>> {
        let mut before: FxHashMap<Address, Address> = FxHashMap::default();
        let mut seen = FxHashSet::from_iter([target.clone()]);
        let mut open = vec![target.clone()];
        while let Some(at) = open.pop() {
            if at == *asker {
                let mut way = vec![at.clone()];
                let mut step = &at;
                while let Some(earlier) = before.get(step) {
                    way.push(earlier.clone());
                    step = earlier;
                }
                way.push(asker.clone());
                way.reverse();
                return Some(way);
            }
            let asked = self.of.get(&at).into_iter().flatten().filter_map(|number| self.pending.get(number));
            for pending in asked.filter(|pending| pending.asker.as_ref().is_some_and(|(_, turn)| waits(*turn))) {
                if seen.insert(pending.target.clone()) {
                    before.insert(pending.target.clone(), at.clone());
                    open.push(pending.target.clone());
                }
            }
        }
        None
    }
}

impl CommandDecl {
    /// Whether a request lane answers twins (None), or this method of HTTP.
    pub(crate) fn answers(&self, method: Option<Method>) -> bool {
        let own = |method| self.request.as_ref().is_some_and(|request| request.methods.contains(&method));
        self.handler.is_some() || method.is_some_and(own)
    }
}

/// What is said to who sends a command to a request lane.
pub fn not_a_command(class: &str, lane: &str) -> String {
    format!(
        "lane `{lane}` of {class} is a request lane, which takes no commands: ask it by `await self.at(…).{lane}(query)` in an \
         async handler, or by HTTP: POST NODE?lane={lane}"
    )
}

impl Shard {
    /// A question to a twin; `within` is the parked turn of the twin that asks, None a program. It leaves at once. Gives
    /// the number that `Requests::take_answered` has.
    ///
    /// Errors: a bound is reached, nobody answers such a question, or the twin would wait for itself.
    pub fn ask_twin(&mut self, within: Option<Within>, target: Address, lane: u16, body: Body) -> Result<u64, Refusal> {
        let class = &self.populations[target.0.0 as usize];
        let decl = &class.decl.commands[lane as usize];
        if !decl.answers(None) {
            let reason = format!("`{}` of {} has no @{0}.handler, only methods of HTTP", decl.name, class.decl.name);
            return Err(Refusal::Ask(reason));
        }
        let bound = self.settings.max_asks;
        if self.requests.waiting() >= bound {
            return Err(Refusal::Ask(format!("{bound} requests wait for their answers already (max_asks)")));
        }
        let (asker, hops) = match within {
            None => (None, 0),
            Some(within) => {
                let (asker, hops) = self.asking(within, &target)?;
                (Some(asker), hops)
            }
        };
        self.next_sequence += 1;
        let number = self.next_sequence;
        // a twin that is there now is the one that is meant: another one that comes after it is not asked
        let table = &self.populations[target.0.0 as usize].table;
        let node = match table.find(target.1.as_bytes()).and_then(|row| table.id(row)) {
            Some(id) => Node::Twin(target.0, id),
            None => Node::Key(target.0, target.1.clone()),
        };
        let origin = match &asker {
            Some(((population, key), _)) => Origin::Request(number, *population, key.clone()),
            None => Origin::Asked(number),
        };
        let inner = asker.is_some();
        self.requests.insert(number, target, asker);
        let envelope = Envelope {
            origin,
            sequence: number,
            hops,
            node,
            lane: Lane::Command(lane),
            body,
            raw: Vec::new(),
            passed: false,
        };
        if inner {
            self.requests.in_flight += 1;
            self.inner_counts.read += 1;
            self.inner.push_back(envelope);
        } else {
            self.outside_counts.read += 1;
            self.outside.push_back(envelope);
        }
        Ok(number)
    }

    /// Who asks: its address, its turn's number, and the hops of what it asks.
    fn asking(&mut self, within: Within, target: &Address) -> Result<((Address, u64), u16), Refusal> {
        let (population, row, number) = {
            let turn = self.turn_of(within)?;
            (turn.population, turn.row, turn.number)
        };
        let asker = (population, EcoString::from(self.populations[population.0 as usize].table.key(row)));
        if let Some(way) = self.requests.circle(&asker, target, |turn| self.parked.contains_key(&turn)) {
            let way: Vec<String> = way.iter().map(|(population, key)| self.router.uri(*population, key)).collect();
            return Err(Refusal::Deadlock(format!("{} would wait for itself: {}", way[0], way.join(" → "))));
        }
        let (_, hops) = self.sender(within)?;
        if hops > self.settings.max_hops {
            return Err(Refusal::Ask(format!(
                "this request was caused by a request, caused by a request … {} times (max_hops)",
                self.settings.max_hops
            )));
        }
        Ok(((asker, number), hops))
    }

    /// What the handler of a parked or open turn has answered.
    pub fn put_reply(&mut self, within: Within, reply: Value) -> Result<(), Refusal> {
        self.turn_of(within)?.reply = reply;
        Ok(())
    }

    /// The lane of the request that a turn answers; None: it answers none.
    pub fn answering(&self, within: Within) -> Option<(PopulationId, u16)> {
        let turn = match within {
            Within::Open => &self.turn,
            Within::Parked(number) => self.parked.get(&number)?,
        };
        let command = turn.command?;
        let decl = &self.populations[turn.population.0 as usize].decl.commands[command as usize];
        decl.request.as_ref().map(|_| (turn.population, command))
    }

    /// The open turn of a request has been begun: which of the lane's handlers answers.
    #[cold]
    pub(crate) fn answer_step(&self, population: PopulationId, command: u16) -> What {
        let method = match &self.turn.cause {
            Cause::Envelope(envelope) => match envelope.origin {
                Origin::Asked(number) => self.asked.get(&number).and_then(|waiter| waiter.method),
                _ => None,
            },
            _ => None,
        };
        let request = self.populations[population.0 as usize].decl.commands[command as usize].request.as_ref();
        let own = |method: &Method| request.is_some_and(|request| request.methods.contains(method));
        What::Answer { command, method: method.filter(own) }
    }

    /// What the one who asked for the open turn, which is kept, is told.
    pub(crate) fn turn_answer(&mut self) -> Answer {
        match self.answering(Within::Open) {
            Some(_) => Answer::Reply { value: std::mem::take(&mut self.turn.reply), durable: false },
            None => Answer::Accepted,
        }
    }

    /// A program's request has come to its end.
    pub(crate) fn settle_program(&mut self, number: u64, answer: Answer) {
        let reply = match answer {
            Answer::Reply { value, .. } => Ok(value),
            Answer::Refused(problem) => Err(failure(problem)),
            _ => Ok(Value::Null),
        };
        self.requests.settle(number, reply);
    }
}

fn failure(problem: Problem) -> (Kind, String) {
    match problem {
        Problem::Invalid { reason, .. } => (Kind::Invalid, reason),
        Problem::Rejected(reason) => (Kind::Rejected, reason),
        Problem::Failed(reason) => (Kind::Failed, reason),
        Problem::Limit(reason) => (Kind::Limit, reason),
        Problem::NotFound(reason) | Problem::NotAllowed(reason) | Problem::Forbidden(reason) => {
            (Kind::Unrouted, reason)
        }
        Problem::NoMethod { reason, .. } => (Kind::Unrouted, reason),
    }
}

#[cfg(test)]
mod tests;
