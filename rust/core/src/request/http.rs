//! Requests over HTTP: the method and the query of a URL as a request lane takes them (docs/http.md).

use ecow::EcoString;

use super::Method;
use crate::ask::{Problem, Waiter};
use crate::body::{BodyType, Invalid, Kind, Record};
use crate::declaration::CommandDecl;
use crate::decode::{decode_json, parse_tree, write_json};
use crate::dispatch::Step;
use crate::envelope::{Body, Envelope, Lane, Node, Origin};
use crate::population::PopulationId;
use crate::serve::bare;
use crate::shard::Shard;
use crate::value::Value;

/// The one parameter of a query that is no record.
const BODY: &str = "body";

/// A query as HTTP has it.
pub(crate) enum Given<'a> {
    /// A body, in Recon or in JSON.
    Bytes(&'a [u8], bool),
    /// The parameters of the URL.
    Pairs(&'a [(String, String)]),
}

impl CommandDecl {
    /// What `Allow` says of a request lane (RFC 9110, 10.2.1).
    pub fn allowed(&self) -> String {
        let methods = Method::ALL.into_iter().filter(|method| self.answers(Some(*method)));
        let names = methods.flat_map(|method| match method {
            Method::Get => vec!["GET", "HEAD"],
            other => vec![other.name()],
        });
        names.chain(["OPTIONS"]).collect::<Vec<_>>().join(", ")
    }
}

impl Shard {
    /// The request lane of this name at an address; None: there is none.
    pub(crate) fn request_lane(&self, node: &str, lane: &str) -> Option<(PopulationId, u16)> {
        let node = self.router.normal(node).ok()?;
        let (population, _) = self.router.route(&node).ok()?;
        let lane = bare(lane);
        let commands = &self.populations[population.0 as usize].decl.commands;
        let at = commands.iter().position(|command| command.request.is_some() && command.name == *lane)?;
        (!lane.starts_with('_')).then_some((population, at as u16))
    }

    /// Brings a request of HTTP's to its twin. GET and DELETE never make one.
    pub(crate) fn ask_request(
        &mut self,
        node: &str,
        lane: u16,
        method: Method,
        given: &Given<'_>,
        mut waiter: Waiter,
    ) -> Option<Step> {
        let checked = self.located(node).and_then(|(population, key)| {
            let class = &self.populations[population.0 as usize];
            let decl = &class.decl.commands[lane as usize];
            if !decl.answers(Some(method)) {
                let reason = format!("`{}` of {} does not answer {}", decl.name, class.decl.name, method.name());
                return Err(Problem::NoMethod { reason, allow: decl.allowed() });
            }
            let node = match class.table.find(key.as_bytes()).and_then(|row| class.table.id(row)) {
                Some(id) => Node::Twin(population, id),
                None if matches!(method, Method::Get | Method::Delete) => {
                    return Err(self.nobody(population, &key, method));
                }
                None => Node::Key(population, key),
            };
            Ok((node, self.query_body(population, lane, given)?))
        });
        match checked {
            Err(problem) => {
                waiter.answer(crate::ask::Answer::Refused(problem));
                None
            }
            Ok((node, body)) => {
                (waiter.method, waiter.lax) = (Some(method), matches!(given, Given::Pairs(_)));
                waiter.taken_up();
                self.next_sequence += 1;
                self.outside_counts.read += 1;
                let sequence = self.next_sequence;
                self.asked.insert(sequence, waiter);
                self.bring(Envelope {
                    origin: Origin::Asked(sequence),
                    sequence,
                    hops: 0,
                    node,
                    lane: Lane::Command(lane),
                    body,
                    raw: Vec::new(),
                    passed: false,
                })
            }
        }
    }

    fn nobody(&self, population: PopulationId, key: &EcoString, method: Method) -> Problem {
        let uri = self.router.uri(population, key);
        let name = &self.populations[population.0 as usize].decl.name;
        Problem::NotFound(format!("there is no {name} at {uri}; {} never makes one, POST does", method.name()))
    }

    fn query_body(&self, population: PopulationId, lane: u16, given: &Given<'_>) -> Result<Body, Problem> {
        let invalid = |invalid: Invalid| Problem::Invalid { reason: invalid.reason, offset: None };
        let pairs = match given {
            Given::Bytes(bytes, recon) => return self.ask_body_of(population, Lane::Command(lane), bytes, *recon),
            Given::Pairs(pairs) => pairs,
        };
        let class = &self.populations[population.0 as usize];
        let decl = &class.decl.commands[lane as usize];
        let single = decl.request.as_ref().is_some_and(|request| request.single);
        let refuse = |reason: String| Err(Problem::Invalid { reason, offset: None });
        if single && let Some((name, _)) = pairs.iter().find(|(name, _)| name != BODY) {
            return refuse(format!("`{}` takes its query in the one parameter `{BODY}`, not `{name}`", decl.name));
        }
        let plan = &class.plans[lane as usize];
        match &plan.body {
            BodyType::Nothing => match pairs.first() {
                Some((name, _)) => refuse(format!("`{}` takes no query, and `{name}` is given", decl.name)),
                None => Ok(Body::Record(Record::default())),
            },
            BodyType::Tree { .. } => Ok(Body::Tree(tree_of(pairs, single))),
            BodyType::Scalar { kind, nullable } => {
                let mut json = Vec::new();
                match pairs {
                    [] => json.extend_from_slice(b"null"),
                    [(_, text)] => text_as(kind, *nullable, text, &mut json),
                    _ => return refuse(format!("`{BODY}` is given twice")),
                }
                let mut record = Record::default();
                decode_json(plan, &json, &mut record).map_err(invalid)?;
                Ok(Body::Record(record))
            }
            BodyType::Record { fields } => {
                let mut json = vec![b'{'];
                for (at, (name, text)) in pairs.iter().enumerate() {
                    if pairs[..at].iter().any(|(other, _)| other == name) {
                        return refuse(format!("`{name}` is given twice"));
                    }
                    if at > 0 {
                        json.push(b',');
                    }
                    write_json(&Value::Text(name.as_str().into()), &mut json);
                    json.push(b':');
                    match fields.iter().find(|field| field.name == name.as_str()) {
                        Some(field) => text_as(&field.kind, field.nullable, text, &mut json),
                        None => json.extend_from_slice(b"null"),
                    }
                }
                json.push(b'}');
                let mut record = Record::default();
                decode_json(plan, &json, &mut record).map_err(invalid)?;
                Ok(Body::Record(record))
            }
        }
    }
}

/// A text of a URL as JSON of the kind that is wanted; where it is none of it, as a text, which the decoder refuses.
fn text_as(kind: &Kind, nullable: bool, text: &str, out: &mut Vec<u8>) {
    let is_text = matches!(kind, Kind::Text | Kind::TextChoice(_) | Kind::Time | Kind::Value);
    let plain = match (kind, text) {
        (_, "null") if nullable => Some("null"),
        (Kind::Bool, "true" | "1") => Some("true"),
        (Kind::Bool, "false" | "0") => Some("false"),
        (Kind::Int | Kind::IntChoice(_) | Kind::Float, _) => {
            matches!(parse_tree(text.as_bytes()), Ok(Value::Int(_) | Value::Float(_))).then_some(text)
        }
        _ => None,
    };
    match plain {
        Some(plain) => out.extend_from_slice(plain.as_bytes()),
        None if text.is_empty() && nullable && !is_text => out.extend_from_slice(b"null"),
        None => write_json(&Value::Text(text.into()), out),
    }
}

/// Parameters for a type that the host converts (laxly): texts, lists of those that are given several times, and what is
/// written as a JSON object or list.
fn tree_of(pairs: &[(String, String)], single: bool) -> Value {
    let value = |text: &str| match text.starts_with(['{', '[']) || single {
        true => parse_tree(text.as_bytes()).unwrap_or_else(|_| Value::Text(text.into())),
        false => Value::Text(text.into()),
    };
    if single && let [(_, text)] = pairs {
        return value(text);
    }
    let mut members: Vec<(EcoString, Vec<Value>)> = Vec::new();
    for (name, text) in pairs {
        match members.iter_mut().find(|(other, _)| other == name) {
            Some((_, values)) => values.push(value(text)),
            None => members.push((name.as_str().into(), vec![value(text)])),
        }
    }
    let member = |(name, mut values): (EcoString, Vec<Value>)| match values.len() {
        1 => (name, values.pop().unwrap_or_default()),
        _ => (name, Value::List(values.into_iter().collect())),
    };
    match single {
        true => members.pop().map_or(Value::Null, |(_, values)| Value::List(values.into_iter().collect())),
        false => Value::Map(members.into_iter().map(member).collect()),
    }
}
