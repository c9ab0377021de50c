//! A request that the shard answers between two turns: what HTTP asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::sync::oneshot;

use crate::allow::{Operation, Verdict};
use crate::body::{BodyType, Invalid, Record};
use crate::decode::{decode_json, parse_tree};
use crate::dispatch::Step;
use crate::envelope::{Body, Envelope, Kind, Lane, Node, Origin};
use crate::peer::Identity;
use crate::population::PopulationId;
use crate::recon::{decode_recon, read_body};
use crate::request::{Given, Method};
use crate::shard::Shard;
use crate::value::Value;

pub struct Ask {
    pub query: Query,
    pub identity: Identity,
    pub remote: String,
    /// Dropped unanswered when the shard ends: the caller answers 503.
    pub reply: oneshot::Sender<Answer>,
    /// Set when it has become a question to a twin, which may take its time.
    pub taken_up: Arc<AtomicBool>,
}

pub enum Query {
    /// All lanes of a twin; where no class has such a path, a page of the population below it; at `/` the app.
    Read { node: String, page: Page },
    /// GET or DELETE of one lane: of a request lane a question, whose query is in the URL's other parameters; of any
    /// other GET reads its state.
    Lane { node: String, lane: String, method: Method, pairs: Vec<(String, String)>, durable: bool },
    /// The lanes of the class that a path belongs to, or one of them. `exists`: the twin must be there.
    Lanes { node: String, lane: Option<String>, exists: bool },
    /// A command, a value or map lane that is set, or a question to a request lane. Answered when its turn is kept or has
    /// failed. The body is Recon or JSON. `durable`: the answer is wanted when the turn is in the journal, where there is
    /// one. `method`: POST or PUT.
    Command { node: String, lane: String, method: Method, body: Vec<u8>, recon: bool, durable: bool },
}

/// Who waits for the end of a command that he has asked for.
pub struct Waiter {
    pub reply: oneshot::Sender<Answer>,
    /// He would rather wait until its turn is in the journal, and then be told so by `Answer::Durable`.
    pub durable: bool,
    taken_up: Arc<AtomicBool>,
    /// Of a request: which of the lane's handlers he wants.
    pub method: Option<Method>,
    /// Its query was in a URL: texts are taken for what its type wants.
    pub lax: bool,
}

impl Waiter {
    pub fn new(reply: oneshot::Sender<Answer>, taken_up: Arc<AtomicBool>, durable: bool) -> Self {
        Waiter { reply, durable, taken_up, method: None, lax: false }
    }

    pub fn taken_up(&self) {
        self.taken_up.store(true, Ordering::Relaxed);
    }

    pub fn answer(self, answer: Answer) {
        // whoever has hung up meanwhile needs no answer
        _ = self.reply.send(answer);
    }
}

/// Which twins of a population, and what of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Goes on after this twin: its URI, or the number that a page before has given.
    pub after: Option<String>,
    pub limit: usize,
    /// Bytes at most; the last twin may exceed them.
    pub bytes: usize,
    /// Only how many there are.
    pub count: bool,
    /// Lanes to show; empty: all.
    pub fields: Vec<String>,
    /// As written: `speed>20`; all of them hold.
    pub filters: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// JSON, and the number of the commit that it shows. Empty: the lane is unset.
    Json {
        body: Vec<u8>,
        commit: u64,
    },
    /// A part of a population.
    Part(Part),
    /// Lanes by name, and which of them take commands.
    Lanes(Vec<(String, bool)>),
    /// A command's turn was kept.
    Accepted,
    /// It is in the journal, too.
    Durable,
    /// A request's turn was kept; `durable`: it is in the journal, too, as was asked for.
    Reply {
        value: Value,
        durable: bool,
    },
    /// The methods that a request lane answers.
    Methods(String),
    Refused(Problem),
}

#[derive(Clone, Debug, Default, PartialEq)]
pub struct Part {
    /// JSON objects, separated by commas.
    pub twins: Vec<u8>,
    /// How many were found.
    pub found: usize,
    /// Where to go on; None: there is nothing behind this part.
    pub next: Option<u64>,
    pub commit: u64,
}

/// Why not.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// 404: nobody is there, or no such lane.
    NotFound(String),
    /// 405: the lane takes no commands, or has no state.
    NotAllowed(String),
    /// 405: the request lane does not answer this method, but these.
    NoMethod { reason: String, allow: String },
    /// 400: the body or a parameter is not valid; byte offset where known.
    Invalid { reason: String, offset: Option<usize> },
    /// 409: a handler raised Reject.
    Rejected(String),
    /// 500: a handler failed.
    Failed(String),
    /// 429: a bound was reached.
    Limit(String),
    /// 403: `allow` said no.
    Forbidden(String),
}

impl Problem {
    /// What a command's dead letter says.
    pub fn of(kind: Kind, reason: &str) -> Self {
        let reason = reason.to_owned();
        match kind {
            Kind::Invalid => Problem::Invalid { reason, offset: None },
            Kind::Unrouted => Problem::NotFound(reason),
            Kind::Rejected => Problem::Rejected(reason),
            Kind::Failed => Problem::Failed(reason),
            Kind::Limit => Problem::Limit(reason),
        }
    }
}

impl Shard {
    /// Takes up a request of HTTP's.
    pub(crate) fn ask(&mut self, ask: Ask) -> Option<Step> {
        let (node, lane, operation) = match &ask.query {
            Query::Read { node, .. } => (node.as_str(), "", Operation::Read),
            Query::Lanes { node, lane, .. } => (node.as_str(), lane.as_deref().unwrap_or_default(), Operation::Read),
            Query::Lane { node, lane, .. } => (node.as_str(), lane.as_str(), Operation::Read),
            Query::Command { node, lane, .. } => (node.as_str(), lane.as_str(), Operation::Command),
        };
        let request = match &ask.query {
            Query::Lane { .. } | Query::Command { .. } => self.request_lane(node, lane),
            Query::Read { .. } | Query::Lanes { .. } => None,
        };
        // a request may change its twin by whatever method
        let operation = if request.is_some() { Operation::Command } else { operation };
        if !self.allow.is_open() && self.allow.ask(&ask.identity, operation, "/", node, lane) != Verdict::Allow {
            let problem = Problem::Forbidden("the policy does not allow it".to_owned());
            _ = ask.reply.send(Answer::Refused(problem));
            return None;
        }
        match ask.query {
            Query::Command { node, lane, method, body, recon, durable } => {
                let waiter = Waiter::new(ask.reply, ask.taken_up, durable);
                match request {
                    Some((_, at)) => self.ask_request(&node, at, method, &Given::Bytes(&body, recon), waiter),
                    None => self.ask_command((&node, &lane), &body, recon, waiter),
                }
            }
            Query::Lane { ref node, method, ref pairs, durable, .. } if request.is_some() => {
                let waiter = Waiter::new(ask.reply, ask.taken_up, durable);
                let (_, at) = request?;
                self.ask_request(node, at, method, &Given::Pairs(pairs), waiter)
            }
            _ => match self.asked_demand(&ask) {
                Some((at, demand, link)) => {
                    let waiter = Waiter::new(ask.reply, ask.taken_up, false);
                    self.ask_demand(at, demand, link, waiter)
                }
                None => {
                    self.answer(ask);
                    None
                }
            },
        }
    }

    fn ask_command(&mut self, (node, lane): (&str, &str), body: &[u8], recon: bool, waiter: Waiter) -> Option<Step> {
        let checked = self.located(node).and_then(|(population, key)| {
            let (lane, body) = self.ask_body(population, lane, body, recon)?;
            Ok((population, key, lane, body))
        });
        match checked {
            Err(problem) => {
                waiter.answer(Answer::Refused(problem));
                None
            }
            Ok((population, key, lane, body)) => {
                self.next_sequence += 1;
                self.outside_counts.read += 1;
                let sequence = self.next_sequence;
                self.asked.insert(sequence, waiter);
                self.bring(Envelope {
                    origin: Origin::Asked(sequence),
                    sequence,
                    hops: 0,
                    node: Node::Key(population, key),
                    lane,
                    body,
                    raw: Vec::new(),
                    passed: false,
                })
            }
        }
    }

    /// The lane, and the body as it takes it; no body is null in JSON, nothing in Recon.
    fn ask_body(
        &self,
        population: PopulationId,
        lane: &str,
        body: &[u8],
        recon: bool,
    ) -> Result<(Lane, Body), Problem> {
        let lane = self.lane_named(population, lane).map_err(|(kind, reason)| match kind {
            Kind::Unrouted => Problem::NotFound(reason),
            _ => Problem::NotAllowed(reason),
        })?;
        let body = self.ask_body_of(population, lane.clone(), body, recon)?;
        Ok((lane, body))
    }

    pub(crate) fn ask_body_of(
        &self,
        population: PopulationId,
        lane: Lane,
        body: &[u8],
        recon: bool,
    ) -> Result<Body, Problem> {
        let invalid = |invalid: Invalid| Problem::Invalid { reason: invalid.reason, offset: Some(invalid.offset) };
        let body = if body.is_empty() && !recon { b"null" } else { body };
        if let Lane::Command(at) = lane {
            let plan = &self.populations[population.0 as usize].plans[at as usize];
            if !matches!(plan.body, BodyType::Tree { .. }) {
                let mut record = Record::default();
                let decode = if recon { decode_recon } else { decode_json };
                decode(plan, body, &mut record).map_err(invalid)?;
                return Ok(Body::Record(record));
            }
        }
        if !recon {
            return Ok(Body::Tree(parse_tree(body).map_err(invalid)?));
        }
        let text = std::str::from_utf8(body)
            .map_err(|error| Problem::Invalid { reason: "not UTF-8".to_owned(), offset: Some(error.valid_up_to()) })?;
        let tree =
            read_body(text).map_err(|error| Problem::Invalid { reason: error.reason, offset: Some(error.offset) })?;
        Ok(Body::Tree(tree))
    }

    /// Answers a request whose command has come to its end.
    pub(crate) fn reply(&mut self, number: u64, answer: Answer) {
        let Some(waiter) = self.asked.remove(&number) else { return self.settle_program(number, answer) };
        let durable = match &answer {
            Answer::Accepted => Some(Answer::Durable),
            Answer::Reply { value, .. } => Some(Answer::Reply { value: value.clone(), durable: true }),
            _ => None,
        };
        if waiter.durable
            && let Some(durable) = durable
            && let Some(record) = self.await_record()
        {
            self.held_answers.push_back((record, waiter, durable));
            return;
        }
        self.let_out(waiter, answer);
    }

    /// Answers when the release fence is open.
    pub(crate) fn let_out(&mut self, waiter: Waiter, answer: Answer) {
        let fence = &self.exchange.fence;
        if fence.is_up() {
            self.held_answers.push_back((fence.need(), waiter, answer));
        } else {
            waiter.answer(answer);
        }
    }
}
