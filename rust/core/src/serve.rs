//! What peers send, on the shard's side: each connection's envelopes in their order, connections in turn. Links are
//! answered between two turns; a command is a turn like any other.

use std::borrow::Cow;
use std::sync::Arc;

use ecow::EcoString;

use crate::allow::{Operation, Verdict};
use crate::body::{BodyType, Record};
use crate::declaration::{CommandDecl, PopulationDecl};
use crate::dispatch::Step;
use crate::envelope::{Body, Bulk, Envelope, Kind, Lane, Node, Origin};
use crate::links::{Asked, LinkId, Links, Operation as Told, Place, elements, event_frame, linked, synced, unlinked};
use crate::outbox::LinkNumber;
use crate::peer::{Frame, Frames, Peer};
use crate::population::PopulationId;
use crate::recon;
use crate::route;
use crate::shard::{Newborn, Shard};
use crate::turn::{Cause, Phase};
use crate::value::Value;
use crate::warp::{self, Tag};

/// Reads of one connection that are worked off before the next connection has its turn.
const QUANTUM: usize = 4;

const NODE_NOT_FOUND: &str = "@nodeNotFound";
const LANE_NOT_FOUND: &str = "@laneNotFound";
/// A lane of a kind that has no links.
const UNSUPPORTED: &str = "@unsupported";

/// The envelopes that are being worked off.
#[derive(Debug, Default)]
pub struct Desk {
    peer: Option<Arc<Peer>>,
    frames: Frames,
    next: usize,
    left: usize,
}

impl Desk {
    fn node(&self, frame: &Frame) -> &str {
        self.frames.part(&frame.node)
    }

    fn lane(&self, frame: &Frame) -> &str {
        self.frames.part(&frame.lane)
    }

    fn body(&self, frame: &Frame) -> &str {
        self.frames.part(&frame.body)
    }

    pub fn has_more(&self) -> bool {
        self.next < self.frames.frames.len()
    }
}

/// A link whose twin has to be made first.
#[derive(Debug)]
pub struct LinkRequest {
    peer: Arc<Peer>,
    frames: Frames,
    frame: Frame,
    population: PopulationId,
    key: EcoString,
}

impl Shard {
    /// Connections are taken from here on, by a server that leaves what they send in `exchange`.
    pub fn open_doors(&mut self) {
        self.serving = true;
    }

    /// Ends every link, and every request without an answer; connections are closed when what waits for them is written.
    pub fn close_doors(&mut self, reason: &str) {
        self.serving = false;
        self.exchange.close();
        self.asked.clear();
        self.links.close(1001, reason);
        self.flush_links();
    }

    /// Works off the next envelope of a peer. None: there is none.
    #[inline]
    pub(crate) fn serve(&mut self) -> Option<Option<Step>> {
        if self.desk.next >= self.desk.frames.frames.len() && !self.seat() {
            let ask = self.exchange.next_ask()?;
            return Some(self.ask(ask));
        }
        self.desk.next += 1;
        Some(self.envelope(self.desk.next - 1))
    }

    /// Takes the next read of the present peer, or of the next one.
    fn seat(&mut self) -> bool {
        loop {
            if let Some(peer) = self.desk.peer.take() {
                let frames = std::mem::take(&mut self.desk.frames);
                if frames.text.capacity() > 0 {
                    peer.give_back(frames);
                }
                self.desk.next = 0;
                if self.desk.left > 0 {
                    self.desk.left -= 1;
                    if let Some(frames) = peer.take() {
                        self.desk.frames = frames;
                        self.desk.peer = Some(peer);
                        return true;
                    }
                }
                if peer.has_waiting() {
                    self.exchange.requeue(&peer);
                } else if peer.has_left() {
                    self.links.forget_peer(peer.id);
                }
            }
            match self.exchange.next_peer() {
                Some(peer) => {
                    let taken = peer.take_taken();
                    if !taken.is_empty() {
                        self.links.taken(peer.id, taken);
                    }
                    self.desk.peer = Some(peer);
                    self.desk.left = QUANTUM;
                }
                None => return false,
            }
        }
    }

    fn envelope(&mut self, index: usize) -> Option<Step> {
        let frame = &self.desk.frames.frames[index];
        match frame.tag {
            Tag::Command => self.command(index),
            Tag::Link | Tag::Sync | Tag::Unlink => {
                let peer = self.desk.peer.clone()?;
                let frame = frame.clone();
                let frames = std::mem::take(&mut self.desk.frames);
                let step = self.link(&peer, &frames, &frame);
                self.desk.frames = frames;
                step
            }
            Tag::Auth | Tag::Deauth => {
                let peer = self.desk.peer.clone()?;
                let claims = if frame.tag == Tag::Auth { self.desk.body(frame) } else { "" };
                peer.claim(claims);
                let answer: &[u8] = if frame.tag == Tag::Auth { b"@authed" } else { b"@deauthed" };
                self.links.control(&peer, crate::outbox::text_frame(answer));
                None
            }
            // answers to links that this end has not opened
            Tag::Linked | Tag::Synced | Tag::Unlinked | Tag::Event | Tag::Authed | Tag::Deauthed => None,
        }
    }

    // -- links

    fn link(&mut self, peer: &Arc<Peer>, frames: &Frames, frame: &Frame) -> Option<Step> {
        let asked = asked(frames, frame);
        if let Err(error) = warp::check_body(asked.body) {
            peer.close(1002, &format!("the body of @{} is not Recon: {error}", tag_text(frame.tag)));
            return None;
        }
        if !self.allow.is_open() {
            match self.allow.ask(&peer.identity(), Operation::Link, &peer.base, asked.node, asked.lane) {
                Verdict::Allow => {}
                Verdict::Deny => {
                    self.refuse(peer, frame.tag, &asked, "");
                    return None;
                }
                Verdict::Forbid => {
                    peer.close(1008, "Forbidden");
                    return None;
                }
            }
        }
        let mut key = std::mem::take(&mut self.key);
        let routed = self.router.locate(&peer.base, asked.node, &mut key);
        let Some(population) = routed.ok() else {
            self.key = key;
            self.refuse(peer, frame.tag, &asked, NODE_NOT_FOUND);
            return None;
        };
        let found = self.populations[population.0 as usize].table.find(key.as_bytes());
        let decl = &self.populations[population.0 as usize].decl;
        let place = lane_place(decl, &mut self.links, asked.lane);
        let step = match (found, place) {
            (_, None) => {
                let name = bare(asked.lane);
                let commands = &self.populations[population.0 as usize].decl.commands;
                let is_request = |lane: &CommandDecl| lane.request.is_some() && lane.name == *name;
                let reason = match commands.iter().any(is_request) && !name.starts_with('_') {
                    true => UNSUPPORTED,
                    false => LANE_NOT_FOUND,
                };
                self.refuse(peer, frame.tag, &asked, reason);
                None
            }
            (Some(row), Some(place)) => {
                self.link_to(peer, frame.tag, &asked, (population, row, place));
                None
            }
            (None, _) if frame.tag == Tag::Unlink => None,
            (None, Some(place)) if !self.links.may_make(peer) => {
                self.links.settle(place);
                let reason = format!("this connection has made {} twins already (connection_twins)", peer.bounds.twins);
                self.refuse(peer, frame.tag, &asked, &reason);
                None
            }
            (None, Some(place)) => {
                self.links.settle(place);
                let request = LinkRequest {
                    peer: Arc::clone(peer),
                    frames: one(frames, frame),
                    frame: whole(frames, frame),
                    population,
                    key: key.as_str().into(),
                };
                match self.make(population, &key, Newborn::Link(Box::new(request))) {
                    Ok(step) => step,
                    Err((Newborn::Link(request), ..)) => {
                        self.link_newborn(*request);
                        None
                    }
                    Err(_) => None,
                }
            }
        };
        self.key = key;
        step
    }

    /// A link's twin has been made.
    pub(crate) fn link_newborn(&mut self, request: LinkRequest) {
        let LinkRequest { peer, frames, frame, population, key } = request;
        let asked = asked(&frames, &frame);
        let class = &self.populations[population.0 as usize];
        let place = lane_place(&class.decl, &mut self.links, asked.lane);
        match (class.table.find(key.as_bytes()), place) {
            (Some(row), Some(place)) => self.link_to(&peer, frame.tag, &asked, (population, row, place)),
            _ => self.refuse(&peer, frame.tag, &asked, NODE_NOT_FOUND),
        }
        self.flush_links();
    }

    /// A link's twin could not be made.
    pub(crate) fn link_stillborn(&mut self, request: LinkRequest) {
        let asked = asked(&request.frames, &request.frame);
        self.refuse(&request.peer, request.frame.tag, &asked, NODE_NOT_FOUND);
        self.flush_links();
    }

    fn refuse(&mut self, peer: &Arc<Peer>, tag: Tag, asked: &Asked<'_>, reason: &str) {
        if tag != Tag::Unlink
            && let Some(frame) = unlinked(peer.form, asked.node, asked.lane, reason)
        {
            self.links.control(peer, frame);
        }
    }

    fn link_to(&mut self, peer: &Arc<Peer>, tag: Tag, asked: &Asked<'_>, at: (PopulationId, u32, Place)) {
        let (population, row, place) = at;
        let known = self.links.find(peer.id, population, row, place);
        if tag == Tag::Unlink {
            match known {
                Some(_) => self.links.end(peer, at, ""),
                None => self.links.settle(place),
            }
            return;
        }
        if known.is_none() && self.links.links_of(peer) >= peer.bounds.links {
            let reason = format!("this connection has {} links already (connection_links)", peer.bounds.links);
            self.refuse(peer, tag, asked, &reason);
            self.links.settle(place);
            return;
        }
        if let Place::Members(members) = place {
            let at = self.populations[population.0 as usize].groups[members as usize];
            self.memberships[at].noting = true;
        }
        // what the turns until now have done is told before, to those who listened then
        self.links.publish_one(population, row, &self.populations, self.commits + 1);
        let link = match known {
            Some(link) => link,
            None => self.links.open(peer, at, asked),
        };
        let (node, lane) = match known {
            // one link, one spelling: the one that opened it
            Some(number) => self
                .links
                .spelling(at, LinkId { peer: peer.id, number })
                .unwrap_or_else(|| (asked.node.into(), asked.lane.into())),
            None => (asked.node.into(), asked.lane.into()),
        };
        if tag == Tag::Link || known.is_none() {
            if known.is_some() {
                self.links.retune(peer, at, asked);
            }
            if let Some(frame) = linked(peer.form, &node, &lane, asked.prio, asked.rate, asked.body) {
                self.links.answer(peer, link, frame);
            }
        }
        if tag == Tag::Sync {
            self.snapshot(peer, link, at, (&node, &lane));
        }
    }

    /// The lane's present state, then `synced`.
    fn snapshot(&mut self, peer: &Arc<Peer>, link: LinkNumber, at: (PopulationId, u32, Place), spelt: (&str, &str)) {
        self.unmount();
        let (population, row, place) = at;
        if matches!(place, Place::Demand(..)) {
            self.links.want_state(at, LinkId { peer: peer.id, number: link });
            return;
        }
        let (node, lane) = spelt;
        let commit = self.commits;
        let class = &self.populations[population.0 as usize];
        let frame = |told: Told| event_frame(peer.form, node, lane, &told, commit);
        let frames: Vec<_> = match place {
            Place::Column(column) => vec![frame(Told::Value(class.table.columns[column as usize].get(row)))],
            Place::Map(map) if class.table.maps[map as usize].is_ordered() => {
                elements(class, row, map).map(frame).collect()
            }
            Place::Map(map) => {
                let table = &class.table.maps[map as usize];
                table.slots(row).map(|slot| frame(Told::Update(table.key(slot), table.value(slot)))).collect()
            }
            Place::Members(members) => self
                .member_uris(population, class.table.key(row), members as usize)
                .into_iter()
                .map(|uri| frame(Told::Update(Value::Text(uri.into()), Value::Bool(true))))
                .collect(),
            Place::Command(_) | Place::Supply(_) | Place::Demand(..) => Vec::new(),
        };
        for frame in frames {
            self.links.answer(peer, link, frame);
        }
        if let Some(frame) = synced(peer.form, node, lane, commit) {
            self.links.answer(peer, link, frame);
        }
    }

    // -- commands

    /// A command, or a value or map lane that is set.
    #[inline]
    fn command(&mut self, index: usize) -> Option<Step> {
        let Shard { desk, router, populations, turn, key, busy, .. } = self;
        let frame = &desk.frames.frames[index];
        let peer = desk.peer.as_ref()?;
        self.next_sequence += 1;
        self.outside_counts.read += 1;
        if !self.allow.is_open() {
            match self.allow.ask(&peer.identity(), Operation::Command, &peer.base, desk.node(frame), desk.lane(frame)) {
                Verdict::Allow => {}
                verdict => {
                    if verdict == Verdict::Forbid {
                        peer.close(1008, "Forbidden");
                    }
                    return self.dead_frame(index, Kind::Rejected, "the policy does not allow it");
                }
            }
        }
        let population = match router.locate(&peer.base, desk.node(frame), key) {
            Ok(population) => population,
            Err(reason) => return self.dead_frame(index, Kind::Unrouted, &reason),
        };
        let class = &populations[population.0 as usize];
        let lane = desk.lane(frame);
        let command = class.decl.commands.iter().position(|command| command.name == lane && command.request.is_none());
        let Some(command) = command.filter(|_| !lane.starts_with('_')) else {
            return self.set(index, population);
        };
        let plan = &class.plans[command];
        let body = desk.body(frame);
        if matches!(plan.body, BodyType::Tree { .. }) {
            return self.command_tree(index, population, command as u16);
        }
        if let Err(invalid) = recon::decode_recon(plan, body.as_bytes(), &mut turn.record) {
            return self.invalid(index, &invalid.reason);
        }
        let row = class.table.find(key.as_bytes());
        let timed = self.clock.is_virtual && class.decl.commands[command].time_slot.is_some();
        let Some(row) = row.filter(|_| busy.is_empty() && !timed) else {
            return self.command_by_envelope(index, population, command as u16);
        };
        let twin = class.table.id(row).unwrap_or_default();
        self.turn.cause = Cause::Frame(index);
        let step = self.begin_command(population, row, twin, 0, command as u16);
        if step.is_none() && self.turn.phase == Phase::Rounds && self.turn.log.seen.is_empty() {
            // no handler, nothing changed that one watches: the turn is over
            self.keep();
            self.outside_counts.applied += 1;
        }
        step
    }

    /// A body that only Python can validate.
    fn command_tree(&mut self, index: usize, population: PopulationId, command: u16) -> Option<Step> {
        let body = self.desk.body(&self.desk.frames.frames[index]);
        match recon::read_body(body) {
            Err(error) => self.invalid(index, &error.to_string()),
            Ok(tree) => {
                let node = Node::Key(population, self.key.as_str().into());
                self.bring_frame(index, node, Lane::Command(command), Body::Tree(tree))
            }
        }
    }

    /// The long way: the twin must be made, or is busy, or the event has a time of its own.
    fn command_by_envelope(&mut self, index: usize, population: PopulationId, command: u16) -> Option<Step> {
        let record = std::mem::take(&mut self.turn.record);
        let node = Node::Key(population, self.key.as_str().into());
        self.bring_frame(index, node, Lane::Command(command), Body::Record(record))
    }

    /// A value, map or list lane that a peer sets.
    fn set(&mut self, index: usize, population: PopulationId) -> Option<Step> {
        let frame = &self.desk.frames.frames[index];
        let lane = match self.lane_named(population, &bare(self.desk.lane(frame))) {
            Ok(lane) => lane,
            Err((kind, reason)) => return self.dead_frame(index, kind, &reason),
        };
        let body = self.desk.body(frame);
        let is_list = matches!(lane, Lane::Map(map) if self.is_list(population, map));
        let body = match lane {
            Lane::Map(_) if is_list => list::tagged(body),
            Lane::Map(_) => map_operation(body),
            _ => recon::read_body(body).map(|tree| Some(Body::Tree(tree))).map_err(|error| error.to_string()),
        };
        match body {
            Err(reason) => self.invalid(index, &reason),
            // as Swim: what is no operation on a map is ignored, here with a word
            Ok(None) if is_list => self.dead_frame(index, Kind::Invalid, list::TAKES),
            Ok(None) => self.dead_frame(
                index,
                Kind::Invalid,
                "a map lane takes @update(key:…) value, @remove(key:…), @clear, @take(n) and @drop(n)",
            ),
            Ok(Some(body)) => {
                let node = Node::Key(population, self.key.as_str().into());
                self.bring_frame(index, node, lane, body)
            }
        }
    }

    fn bring_frame(&mut self, index: usize, node: Node, lane: Lane, body: Body) -> Option<Step> {
        if let Node::Key(population, key) = &node
            && self.populations[population.0 as usize].table.find(key.as_bytes()).is_none()
            && let Some(peer) = self.desk.peer.clone()
            && !self.links.may_make(&peer)
        {
            let reason = format!("this connection has made {} twins already (connection_twins)", peer.bounds.twins);
            return self.dead_frame(index, Kind::Limit, &reason);
        }
        let envelope = self.frame_envelope(node, lane, body);
        self.bring(envelope)
    }

    pub(crate) fn frame_envelope(&self, node: Node, lane: Lane, body: Body) -> Envelope {
        let origin =
            Origin::Outside(self.desk.peer.as_ref().map_or_else(EcoString::new, |peer| peer.remote.as_str().into()));
        Envelope { origin, sequence: self.next_sequence, hops: 0, node, lane, body, raw: Vec::new(), passed: false }
    }

    /// A body that its lane does not take; one that is no Recon ends the connection.
    #[cold]
    fn invalid(&mut self, index: usize, reason: &str) -> Option<Step> {
        let body = self.desk.body(&self.desk.frames.frames[index]);
        if let Err(error) = warp::check_body(body)
            && let Some(peer) = &self.desk.peer
        {
            peer.close(1002, &format!("the body of @command is not Recon: {error}"));
        }
        self.dead_frame(index, Kind::Invalid, reason)
    }

    #[cold]
    fn dead_frame(&mut self, index: usize, kind: Kind, reason: &str) -> Option<Step> {
        self.bury(Cause::Frame(index), String::new(), kind, reason);
        None
    }

    /// Origin, node, lane and body of an envelope that is being worked off, for the dead letters.
    pub(crate) fn frame_texts(&self, index: usize) -> (String, String, String, Vec<u8>) {
        let origin = self.desk.peer.as_ref().map_or_else(String::new, |peer| peer.remote.clone());
        match self.desk.frames.frames.get(index) {
            Some(frame) => (
                origin,
                self.desk.node(frame).to_owned(),
                self.desk.lane(frame).to_owned(),
                self.desk.body(frame).as_bytes().to_vec(),
            ),
            None => (origin, String::new(), String::new(), Vec::new()),
        }
    }

    /// A frame's turn in an envelope of its own, which outlives what the peer has sent with it.
    pub(crate) fn frame_keepable(&self) -> Cause {
        let lane = Lane::Command(self.turn.command.unwrap_or_default());
        let node = Node::Twin(self.turn.population, self.turn.id);
        let body = Body::Record(Record::clone(&self.turn.record));
        Cause::Envelope(Box::new(self.frame_envelope(node, lane, body)))
    }
}

/// An operation on a map lane (warp.md, 6). None: it is none. Errors: it is no Recon.
fn map_operation(body: &str) -> Result<Option<Body>, String> {
    recon::read_body(body).map(|tree| operation_of(&tree)).map_err(|error| error.to_string())
}

/// The same of a body that has been read.
pub(crate) fn operation_of(tree: &Value) -> Option<Body> {
    let Value::Map(members) = tree else { return None };
    let (name, argument) = members.first()?;
    let key = || match argument {
        Value::Map(slots) => slots.iter().find(|(name, _)| name == "key").map(|(_, key)| key.clone()),
        _ => None,
    };
    let count = || match argument {
        Value::Int(count) if *count >= 0 => Some(*count as usize),
        _ => None,
    };
    match name.as_str() {
        "@update" => key().map(|key| Body::Tree(Value::List([key, behind(&members[1..])].into()))),
        "@remove" => key().map(|key| Body::Tree(Value::List([key].into()))),
        "@clear" => Some(Body::Bulk(Bulk::Clear)),
        "@take" => count().map(|count| Body::Bulk(Bulk::Take(count))),
        "@drop" => count().map(|count| Body::Bulk(Bulk::Drop(count))),
        _ => None,
    }
}

/// What stands behind a first attribute, as a value of its own: plain values move up by one place.
pub(crate) fn behind(members: &[(EcoString, Value)]) -> Value {
    let plain = |at: usize| ecow::eco_format!("${at}");
    if members.iter().enumerate().all(|(at, (name, _))| *name == plain(at + 1)) {
        return match members {
            [] => Value::Null,
            [(_, only)] => only.clone(),
            all => Value::List(all.iter().map(|(_, value)| value.clone()).collect()),
        };
    }
    let moved = |(at, (name, value)): (usize, &(EcoString, Value))| match *name == plain(at + 1) {
        true => (plain(at), value.clone()),
        false => (name.clone(), value.clone()),
    };
    Value::Map(members.iter().enumerate().map(moved).collect())
}

/// A lane that may be linked, by its name on the wire.
fn lane_place(decl: &PopulationDecl, links: &mut Links, lane: &str) -> Option<Place> {
    let name = &*bare(lane);
    if name.starts_with('_') {
        return None;
    }
    let column = decl.columns.iter().position(|column| column.name == name).map(|at| Place::Column(at as u16));
    column
        .or_else(|| {
            let is_it = |command: &CommandDecl| command.name == name && command.request.is_none();
            decl.commands.iter().position(is_it).map(|at| Place::Command(at as u16))
        })
        .or_else(|| decl.maps.iter().position(|map| map.name == name).map(|at| Place::Map(at as u16)))
        .or_else(|| decl.members.iter().position(|members| members.name == name).map(|at| Place::Members(at as u16)))
        .or_else(|| decl.supplies.iter().position(|supply| supply.name == name).map(|at| Place::Supply(at as u16)))
        .or_else(|| {
            let at = decl.demands.iter().position(|demand| demand.name == name)?;
            Some(links.demand_place(at as u16, lane, decl.demands[at].parametric))
        })
}

/// A lane's address without its query and fragment and without escapes: what its name is compared with.
pub(crate) fn bare(lane: &str) -> Cow<'_, str> {
    let name = lane.split(['?', '#']).next().unwrap_or_default();
    match route::decode(name) {
        Ok(decoded) if name.contains('%') => Cow::Owned(decoded.into()),
        _ => Cow::Borrowed(name),
    }
}

fn asked<'a>(frames: &'a Frames, frame: &Frame) -> Asked<'a> {
    Asked {
        node: frames.part(&frame.node),
        lane: frames.part(&frame.lane),
        prio: frame.prio,
        rate: frame.rate,
        body: frames.part(&frame.body),
    }
}

/// One frame with its texts, on its own.
fn one(frames: &Frames, frame: &Frame) -> Frames {
    let text = [&frame.node, &frame.lane, &frame.body].map(|part| frames.part(part)).concat();
    Frames { text, frames: Vec::new() }
}

/// The frame's places in `one`.
fn whole(frames: &Frames, frame: &Frame) -> Frame {
    let lengths = [&frame.node, &frame.lane, &frame.body].map(|part| frames.part(part).len() as u32);
    let (node, lane) = (lengths[0], lengths[0] + lengths[1]);
    Frame { node: 0..node, lane: node..lane, body: lane..lane + lengths[2], ..frame.clone() }
}

fn tag_text(tag: Tag) -> &'static str {
    match tag {
        Tag::Link => "link",
        Tag::Sync => "sync",
        _ => "unlink",
    }
}

pub(crate) mod list;

#[cfg(test)]
mod convergence;
#[cfg(test)]
mod recordings;
#[cfg(test)]
mod tests;
