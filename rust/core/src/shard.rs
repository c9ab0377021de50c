//! A shard: one thread's twins, and all that its turns need. `dispatch` brings envelopes to twins, `turn` runs and ends
//! them, `feed` reads the sources.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Instant;

use ecow::EcoString;
use rustc_hash::FxHashMap;

use crate::allow::Allow;
use crate::ask::{Answer, Problem, Waiter};
use crate::body::{BodyType, Plan};
use crate::clock::Clock;
use crate::declaration::{Declaration, PopulationDecl, Settings, TargetDecl};
use crate::downlinks::{self, Downlinks, Target};
use crate::envelope::{Body, DeadLetter, Envelope, Kind, Lane, Node, Origin};
use crate::feed::Source;
use crate::fold::Programs;
use crate::inbox::Wake;
use crate::journal::Journal;
use crate::journal::small::Mark;
use crate::links::Links;
use crate::members::Membership;
use crate::peer::Exchange;
use crate::population::{Population, PopulationId, TwinId};
use crate::remote::Remotes;
use crate::request::Requests;
use crate::route::Router;
use crate::serve::{Desk, LinkRequest};
use crate::timers::{TimerKey, TimerNumber, Timers};
use crate::turn::{Cause, Turn, What};
use crate::value::Value;
use crate::window;

/// A population with what belongs to it.
pub struct Class {
    pub table: Population,
    pub programs: Programs,
    pub decl: PopulationDecl,
    /// How bodies of its commands are decoded when they come from outside.
    pub plans: Vec<Plan>,
    /// Memberships whose members these twins are.
    pub member_of: Vec<usize>,
    /// Memberships whose groups these twins are, in the order of the declaration's `members`.
    pub groups: Vec<usize>,
    /// A bit for each column and map that says which twins are linked; empty where there is none.
    pub targets: Vec<u64>,
    /// With a journal: a bit for each `save="sync"` lane; empty where there is none.
    pub synced: Vec<u64>,
    /// With a journal: a bit for each lane of which every turn's change is kept; empty where there is none.
    pub full: Vec<u64>,
    /// Their names.
    pub full_lanes: Vec<EcoString>,
}

impl Class {
    /// The lane of a `changed` call, for messages.
    pub fn changed_lane(&self, what: &What) -> &str {
        match what {
            What::Changed { column, .. } => self.table.lane(*column as usize),
            What::ChangedEntry { map, .. } => &self.decl.maps[*map as usize].name,
            _ => "",
        }
    }
}

/// How a coroutine ended: the kind and the reason of its failure.
pub type Outcome = Result<(), (Kind, String)>;

/// Who waits for a creation turn to be kept.
#[derive(Debug)]
pub enum Newborn {
    Envelope(Box<Envelope>),
    Group(PopulationId, EcoString),
    Link(Box<LinkRequest>),
    Target(Target),
}

/// An envelope with its event's time.
#[derive(Debug)]
pub struct Held {
    pub envelope: Envelope,
    pub time: i64,
    /// Not before this instant of real time: the pace of a replay.
    pub until: Option<Instant>,
}

/// sent = applied + dead + waiting; a source's `read` is `sent` here, and it has `filtered` and `late` too.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Counts {
    pub read: u64,
    pub applied: u64,
    pub filtered: u64,
    pub dead: u64,
    pub late: u64,
}

impl Counts {
    pub fn waiting(&self) -> u64 {
        self.read - self.applied - self.filtered - self.dead
    }
}

pub struct Shard {
    /// The app's name.
    pub app: EcoString,
    pub populations: Vec<Class>,
    pub memberships: Vec<Membership>,
    pub router: Router,
    pub clock: Clock,
    pub timers: Timers,
    pub settings: Settings,
    pub sources: Vec<Source>,
    pub wake: Arc<Wake>,
    /// Where connections leave what they send.
    pub exchange: Arc<Exchange>,
    /// Connections are taken: there may be something in the exchange.
    pub serving: bool,
    /// Peers go before sources this time.
    pub peers_first: bool,
    /// What other servers have sent goes before both this time.
    pub far_first: bool,
    pub desk: Desk,
    pub links: Links,
    /// Links of these twins to others' lanes.
    pub downlinks: Downlinks,
    pub allow: Allow,
    /// HTTP requests whose commands are on their way, by `Origin::Asked`; bounded by the exchange.
    pub asked: FxHashMap<u64, Waiter>,
    pub requests: Requests,
    pub zone: jiff::tz::TimeZone,

    /// The turn in progress.
    pub turn: Turn,
    /// Turns since the start; the newest one's number.
    pub turns: u64,
    /// Commits since the start.
    pub commits: u64,
    /// The newest commit with a change.
    pub changed: u64,
    /// Turns, and twins ever made and taken out, as of that commit.
    events: u64,
    /// Turns whose coroutines are under way, by number; at most one is mounted, and only between turns.
    pub parked: FxHashMap<u64, Turn>,
    pub mounted: Option<u64>,
    pub finished: VecDeque<(u64, Outcome)>,
    /// What waits for a twin with a parked turn; bounded by `busy_bound` each.
    pub busy: FxHashMap<(PopulationId, TwinId), VecDeque<Envelope>>,
    /// What had waited for a twin whose turn is no longer parked.
    pub released: VecDeque<Envelope>,

    /// Commands between twins: run before new outside work; bounded by what one batch of turns may send.
    pub inner: VecDeque<Envelope>,
    /// Commands from programs on the shard's thread; each caller runs the shard before it goes on.
    pub outside: VecDeque<Envelope>,
    /// The envelope that the host is asked about.
    pub hand: Option<Envelope>,
    /// An envelope that waits for timers due before it, or for its place in real time.
    pub held: Option<Held>,
    pub newborn: Option<Newborn>,
    /// Twins that have been deleted since the last commit: the host drops what it keeps for them.
    pub gone: Vec<(PopulationId, TwinId)>,
    /// Groups of a population without `by` that are still to be told.
    pub all_groups: VecDeque<(PopulationId, EcoString)>,
    /// Groups whose twin has a parked turn: told when it ends.
    pub waiting_groups: Vec<(PopulationId, EcoString)>,
    /// Roll-ups that could not step, of the group whose turn is being opened.
    pub broken: Vec<(String, String)>,
    /// Room for a record's key.
    pub key: String,
    /// Twins of a store whose `on_start` is still to run.
    pub starting: VecDeque<(PopulationId, TwinId)>,
    /// What a store says of sources, by name, until they are opened.
    pub restored: FxHashMap<EcoString, Mark>,
    pub journal: Option<Box<Journal>>,
    /// Answers that wait for a record, by it, in order; bounded by the exchange.
    pub held_answers: VecDeque<(u64, Waiter, Answer)>,
    /// Twins whose `on_stop` is still to run.
    pub stopping: VecDeque<(PopulationId, TwinId)>,
    /// The next source that is asked for a record.
    pub next_source: usize,
    /// Several sources tell the time: their events are merged by it.
    pub merging: bool,
    /// A source that the others must wait for has nothing yet.
    pub starved: bool,
    /// No turns run ahead of others (`feed::sweep`): for comparing the two ways.
    pub one_by_one: bool,

    pub dead: Vec<DeadLetter>,
    pub inner_counts: Counts,
    pub outside_counts: Counts,
    /// In tests: what was sent to other servers, as (URI, lane, body); nothing of it leaves.
    pub remote: Option<Vec<(String, String, Value)>>,
    /// Links to lanes of other servers, and commands that wait for them.
    pub remotes: Remotes,
    /// What supply lanes have pushed, by class, key and lane: kept here in tests.
    pub pushed: Option<Vec<(PopulationId, EcoString, u16, Value)>>,
    pub next_sequence: u64,
    /// Records with a time are held back to this pace: (first event's time, when it was applied, speed).
    pub pace: Option<(i64, Instant, f64)>,
    /// Turns left in this batch.
    pub left: usize,
    pub deadline: Option<Instant>,
}

impl Shard {
    /// Errors: what in the declaration does not fit together.
    pub fn new(declaration: Declaration, is_virtual: bool, keep_remote: bool) -> Result<Self, String> {
        let zone = jiff::tz::TimeZone::get(&declaration.zone)
            .map_err(|_| format!("`{}` is no time zone; use a name such as Europe/Berlin or UTC", declaration.zone))?;
        let router = Router::new(declaration.populations.iter().map(|population| population.pattern.clone()).collect());
        let mut populations = Vec::new();
        for decl in declaration.populations {
            let programs = Programs::compile(&decl)?;
            let mut table = Population::new(&decl, &programs.hidden)?;
            table.elapsing(&programs, &zone);
            let plan = |command: &crate::declaration::CommandDecl| Plan {
                body: command.body.clone(),
                wanted: u64::MAX,
                extra: Vec::new(),
                known: None,
                time_slot: command.time_slot,
                zone: zone.clone(),
            };
            let plans = decl.commands.iter().map(plan).collect();
            populations.push(Class {
                table,
                programs,
                plans,
                decl,
                member_of: Vec::new(),
                groups: Vec::new(),
                targets: Vec::new(),
                synced: Vec::new(),
                full: Vec::new(),
                full_lanes: Vec::new(),
            });
        }
        let mut memberships = Vec::new();
        for group in 0..populations.len() {
            for members in populations[group].decl.members.clone() {
                let at = memberships.len();
                let Some(class) = populations.get(members.population) else {
                    return Err(format!(
                        "`{}` names population {}, and there is none",
                        members.name, members.population
                    ));
                };
                memberships.push(Membership::new(PopulationId(group as u16), &members, &class.table));
                populations[members.population].member_of.push(at);
                populations[group].groups.push(at);
            }
        }
        for class in &mut populations {
            class.targets = downlinks::target_bits(class);
            for link in &class.decl.links {
                if let TargetDecl::Members(members) = link.target {
                    memberships[class.groups[members]].noting = true;
                }
            }
        }
        let mut links = Links::new(populations.len());
        for (number, class) in populations.iter().enumerate() {
            links.observe(PopulationId(number as u16), &class.decl.observers);
        }
        let wake = Wake::new().map_err(|error| format!("no eventfd could be made: {error}"))?;
        let wake = Arc::new(wake);
        let exchange = Exchange::new(Arc::clone(&wake));
        Ok(Shard {
            app: declaration.app,
            remotes: Remotes::new(&exchange, &declaration.settings.limits, &declaration.settings.remote),
            exchange,
            serving: false,
            peers_first: false,
            far_first: false,
            desk: Desk::default(),
            links,
            downlinks: Downlinks::new(&populations),
            allow: Allow::default(),
            asked: FxHashMap::default(),
            requests: Requests::default(),
            populations,
            memberships,
            router,
            clock: Clock::new(is_virtual),
            timers: Timers::default(),
            settings: declaration.settings,
            sources: Vec::new(),
            wake,
            zone,
            turn: Turn::default(),
            turns: 0,
            commits: 0,
            changed: 0,
            events: 0,
            parked: FxHashMap::default(),
            mounted: None,
            finished: VecDeque::new(),
            busy: FxHashMap::default(),
            released: VecDeque::new(),
            inner: VecDeque::new(),
            outside: VecDeque::new(),
            hand: None,
            held: None,
            newborn: None,
            gone: Vec::new(),
            all_groups: VecDeque::new(),
            waiting_groups: Vec::new(),
            broken: Vec::new(),
            key: String::new(),
            starting: VecDeque::new(),
            restored: FxHashMap::default(),
            journal: None,
            held_answers: VecDeque::new(),
            stopping: VecDeque::new(),
            next_source: 0,
            merging: false,
            starved: false,
            one_by_one: false,
            dead: Vec::new(),
            inner_counts: Counts::default(),
            outside_counts: Counts::default(),
            remote: keep_remote.then(Vec::new),
            pushed: keep_remote.then(Vec::new),
            next_sequence: 0,
            pace: None,
            left: 0,
            deadline: None,
        })
    }

    /// A command from a program on the shard's thread.
    pub fn post(&mut self, origin: EcoString, node: Node, lane: Lane, body: Body) {
        self.next_sequence += 1;
        self.outside_counts.read += 1;
        let sequence = self.next_sequence;
        let origin = Origin::Outside(origin);
        self.outside.push_back(Envelope {
            origin,
            sequence,
            hops: 0,
            node,
            lane,
            body,
            raw: Vec::new(),
            passed: false,
        });
    }

    /// Whether a connection or a twin links this twin.
    #[inline(always)]
    pub fn is_watched(&self, population: PopulationId, row: u32) -> bool {
        self.links.watches(population, row) || self.downlinks.watches(population, row)
    }

    /// A command from a twin whose turn was kept.
    pub fn send_inner(&mut self, mut envelope: Envelope) {
        self.next_sequence += 1;
        envelope.sequence = self.next_sequence;
        self.inner_counts.read += 1;
        if envelope.hops > self.settings.max_hops {
            let reason = format!(
                "this command was caused by a command, caused by a command … {} times (max_hops): twins send to each other in a ring",
                self.settings.max_hops
            );
            let node = self.node_text(&envelope.node);
            self.bury(Cause::Envelope(Box::new(envelope)), node, Kind::Limit, &reason);
            return;
        }
        self.inner.push_back(envelope);
    }

    /// Makes a twin without hooks, or the row of one whose creation turn follows.
    pub fn create(&mut self, population: PopulationId, key: &str) -> (u32, TwinId) {
        self.populations[population.0 as usize].table.create(key.as_bytes())
    }

    /// A new twin is part of the model: its timers run, its groups count it.
    pub fn settle(&mut self, population: PopulationId, row: u32, twin: TwinId) {
        let class = &self.populations[population.0 as usize];
        for (number, timer) in class.decl.timers.iter().enumerate() {
            if let Some(every) = timer.every {
                let key = TimerKey { population, twin, timer: TimerNumber(number as u16) };
                self.timers.set(key, self.clock.now().saturating_add(every), Some(every));
            }
        }
        for at in &class.member_of {
            self.memberships[*at].mark(row);
        }
        let over_all = |link: &crate::declaration::LinkDecl| match link.target {
            TargetDecl::Members(members) => self.memberships[class.groups[members]].is_all(),
            _ => false,
        };
        if !class.decl.links.is_empty() && class.decl.links.iter().any(over_all) {
            self.downlinks.note_group(population, twin);
        }
        if !class.groups.is_empty() {
            let key = class.table.key(row);
            for at in &class.groups {
                self.memberships[*at].group_made(key);
            }
        }
    }

    /// Takes a deleted twin out, with its timers and its places in groups.
    pub fn forget_twin(&mut self, population: PopulationId, row: u32) {
        let class = &mut self.populations[population.0 as usize];
        let Some(twin) = class.table.id(row) else { return };
        for timer in 0..class.decl.timers.len() + class.programs.holds.len() {
            self.timers.cancel(TimerKey { population, twin, timer: TimerNumber(timer as u16) });
        }
        if class.table.alarm.is_some() {
            self.timers.cancel(TimerKey { population, twin, timer: window::TIMER });
        }
        for at in &class.member_of {
            self.memberships[*at].gone(row, twin, &class.table);
        }
        self.links.forget_twin(population, row);
        self.forget_links(population, row);
        let class = &mut self.populations[population.0 as usize];
        class.table.remove(row);
        self.gone.push((population, twin));
    }

    /// Ends a batch of turns: groups learn what their members have become, and what was dirty is published.
    pub fn commit(&mut self) -> u64 {
        self.unmount();
        let mut problems = Vec::new();
        for at in 0..self.memberships.len() {
            let member = self.memberships[at].member;
            if self.memberships[at].is_marked() {
                self.memberships[at].apply(&self.populations[member.0 as usize].table, &mut problems);
                for problem in problems.drain(..) {
                    let node = self.router.uri(member, self.populations[member.0 as usize].table.key(problem.member));
                    self.bury(Cause::Group, node, Kind::Invalid, &problem.reason);
                }
            }
        }
        self.commits += 1;
        self.save();
        self.tell_members();
        self.links.publish(&self.populations, self.commits);
        self.flush();
        let mut events = self.turns;
        for class in &mut self.populations {
            class.table.commit();
            events += class.table.next_id() + class.table.removals();
        }
        if events != self.events {
            self.events = events;
            self.changed = self.commits;
        }
        self.commits
    }

    /// Writes to the sockets; what that costs sets the pace at which they are read.
    fn flush(&mut self) {
        let begun = crate::clock::elapsed();
        let count = self.flush_links();
        self.remotes.flush();
        self.settle_remote();
        if !self.held_answers.is_empty() {
            self.release();
        }
        if count > 0 {
            self.exchange.rest_after(crate::clock::elapsed() - begun, count);
        }
    }

    /// What a slow link is told of a list is what a commit has made of it.
    pub(crate) fn flush_links(&mut self) -> usize {
        self.unmount();
        self.links.flush(&self.populations, self.commits)
    }

    /// Who has joined and left the groups whose lanes somebody has linked.
    fn tell_members(&mut self) {
        for at in 0..self.memberships.len() {
            if !self.memberships[at].noting {
                continue;
            }
            let (group, member, is_all) = {
                let membership = &self.memberships[at];
                (membership.group, membership.member, membership.is_all())
            };
            let class = &self.populations[group.0 as usize];
            let lane = class.groups.iter().position(|other| *other == at).unwrap_or_default() as u16;
            let is_joined = class.decl.links.iter().any(|link| link.target == TargetDecl::Members(lane as usize));
            for (key, joined, is_in) in self.memberships[at].take_notes() {
                if is_joined {
                    self.downlinks.note_member(at, key.clone(), joined.clone(), is_in);
                }
                let uri = EcoString::from(self.router.uri(member, &joined));
                let rows = match is_all {
                    true => self.links.rows(group),
                    false => class.table.find(key.as_bytes()).into_iter().collect(),
                };
                for row in rows {
                    self.links.note_member(group, row, lane, uri.clone(), is_in);
                }
            }
        }
    }

    pub fn node_text(&self, node: &Node) -> String {
        match node {
            Node::Key(population, key) => self.router.uri(*population, key),
            Node::Twin(population, id) => {
                let table = &self.populations[population.0 as usize].table;
                table.row(*id).map_or_else(String::new, |row| self.router.uri(*population, table.key(row)))
            }
            Node::Uri(uri) => uri.to_string(),
            Node::InRecord => String::new(),
        }
    }

    pub fn lane_text(&self, population: Option<PopulationId>, lane: &Lane) -> String {
        let decl = population.map(|population| &self.populations[population.0 as usize].decl);
        match (lane, decl) {
            (Lane::Named(name), _) => name.to_string(),
            (Lane::Command(at), Some(decl)) => decl.commands[*at as usize].name.to_string(),
            (Lane::Column(at), Some(decl)) => decl.columns[*at as usize].name.to_string(),
            (Lane::Map(at), Some(decl)) => decl.maps[*at as usize].name.to_string(),
            (Lane::Link(turn), Some(decl)) => decl.link_lane(turn).to_owned(),
            (Lane::Timer(at), Some(_)) if *at == window::TIMER => "windows".to_owned(),
            (Lane::Timer(at), Some(decl)) => match decl.timers.get(at.0 as usize) {
                Some(timer) => timer.name.to_string(),
                None => {
                    let holds = &self.populations[population.unwrap_or_default().0 as usize].programs.holds;
                    let out = holds.iter().find(|(timer, ..)| timer == at).map_or(0, |(_, out, _)| *out);
                    decl.columns[out as usize].name.to_string()
                }
            },
            _ => String::new(),
        }
    }

    /// Keeps what cannot be applied for a person to look at, and counts it where it came from.
    pub fn bury(&mut self, cause: Cause, node: String, kind: Kind, reason: &str) {
        let time = self.clock.now();
        let letter = |origin: String, sequence: u64, lane: String, record: Vec<u8>| DeadLetter {
            origin,
            sequence,
            time,
            node,
            lane,
            kind,
            reason: reason.to_owned(),
            record,
            number: 0,
        };
        let letter = match cause {
            Cause::Record(source, index) => {
                let source = &mut self.sources[source.0 as usize];
                source.counts.dead += 1;
                let (sequence, raw) = source.raw(index);
                letter(source.name.to_string(), sequence, source.lane.to_string(), raw)
            }
            Cause::Frame(index) => {
                self.outside_counts.dead += 1;
                let sequence = self.next_sequence;
                let (origin, spelt, lane, body) = self.frame_texts(index);
                let mut letter = letter(origin, sequence, lane, body);
                if letter.node.is_empty() {
                    letter.node = spelt;
                }
                letter
            }
            Cause::Envelope(mut envelope) => {
                let population = match (&envelope.node, &envelope.origin) {
                    (Node::Key(population, _) | Node::Twin(population, _), _) => Some(*population),
                    (_, Origin::Source(source)) => {
                        self.sources[source.0 as usize].target.map(|(population, _)| population)
                    }
                    _ => None,
                };
                let lane = self.lane_text(population, &envelope.lane);
                let origin = match &envelope.origin {
                    Origin::Source(source) => {
                        let source = &mut self.sources[source.0 as usize];
                        source.counts.dead += 1;
                        envelope.raw = source.shown(&envelope.raw);
                        source.name.to_string()
                    }
                    Origin::Outside(name) => {
                        self.outside_counts.dead += 1;
                        name.to_string()
                    }
                    Origin::Asked(number) => {
                        let number = *number;
                        self.outside_counts.dead += 1;
                        self.reply(number, Answer::Refused(Problem::of(kind, reason)));
                        "http".to_owned()
                    }
                    Origin::Twin(population, key) => {
                        self.inner_counts.dead += 1;
                        self.router.uri(*population, key)
                    }
                    Origin::Request(number, population, key) => {
                        self.inner_counts.dead += 1;
                        self.requests.end(*number, Err((kind, reason.to_owned())));
                        self.router.uri(*population, key)
                    }
                    Origin::Timer => {
                        self.inner_counts.dead += 1;
                        "timer".to_owned()
                    }
                    Origin::Members => {
                        self.inner_counts.dead += 1;
                        "members".to_owned()
                    }
                    Origin::Downlink(_) => {
                        self.inner_counts.read += 1;
                        self.inner_counts.dead += 1;
                        "link".to_owned()
                    }
                    Origin::Link => {
                        self.inner_counts.dead += 1;
                        "link".to_owned()
                    }
                };
                let record = if envelope.raw.is_empty() { self.body_json(population, &envelope) } else { envelope.raw };
                letter(origin, envelope.sequence, lane, record)
            }
            Cause::Link(population, link) => {
                self.inner_counts.read += 1;
                self.inner_counts.dead += 1;
                let lane = self.populations[population.0 as usize].decl.links[link as usize].name.to_string();
                letter("link".to_owned(), 0, lane, Vec::new())
            }
            Cause::Group => {
                self.inner_counts.read += 1;
                self.inner_counts.dead += 1;
                letter("members".to_owned(), 0, String::new(), Vec::new())
            }
            Cause::Start => letter("shard".to_owned(), 0, "on_start".to_owned(), Vec::new()),
            Cause::Creation | Cause::Stop => letter("shard".to_owned(), 0, "on_stop".to_owned(), Vec::new()),
        };
        self.dead.push(letter);
    }

    fn body_json(&self, population: Option<PopulationId>, envelope: &Envelope) -> Vec<u8> {
        let mut out = Vec::new();
        match (&envelope.body, &envelope.lane, population) {
            (Body::Tree(value), ..) => crate::decode::write_json(value, &mut out),
            (Body::Record(record), Lane::Command(at), Some(population)) => {
                let body = &self.populations[population.0 as usize].decl.commands[*at as usize].body;
                crate::decode::write_json(&record_value(body, record), &mut out);
            }
            _ => {}
        }
        out
    }
}

/// A record as a tree again.
pub fn record_value(body: &BodyType, record: &crate::body::Record) -> Value {
    match body {
        BodyType::Nothing => Value::Null,
        BodyType::Scalar { .. } => record.slots.first().cloned().unwrap_or_default(),
        BodyType::Tree { .. } => record.tree.clone(),
        BodyType::Record { fields } => Value::Map(
            fields
                .iter()
                .zip(&record.slots)
                .enumerate()
                .filter(|(at, _)| record.given >> at & 1 == 1)
                .map(|(_, (field, value))| (field.name.clone(), value.clone()))
                .collect(),
        ),
    }
}
