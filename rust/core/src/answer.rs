//! The shard's answers to HTTP: committed state as JSON, straight from the columns.

pub(crate) mod json;

use ecow::EcoString;

use crate::ask::{Answer, Ask, Page, Part, Problem, Query, Waiter};
use crate::links::LinkInfo;
use crate::population::{PopulationId, TwinId};
use crate::query::Filter;
use crate::request::Method;
use crate::serve::bare;
use crate::shard::{Class, Shard};

/// Twins that one answer looks at; a longer search goes on after the turns that wait.
const LOOK: u64 = 16_384;

/// A public lane of a class.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum LaneRef {
    Column(usize),
    Map(usize),
    /// Number among the class's `groups`.
    Members(usize),
    Command(usize),
    Supply(usize),
    Demand(usize),
}

impl LaneRef {
    /// It holds something between turns.
    pub fn has_state(self) -> bool {
        !matches!(self, LaneRef::Command(_) | LaneRef::Supply(_) | LaneRef::Demand(_))
    }
}

impl Class {
    /// All public lanes with their names, those with state first. A leading underscore means private.
    pub fn lanes(&self) -> impl Iterator<Item = (&str, LaneRef)> + '_ {
        let decl = &self.decl;
        let columns = decl.columns.iter().enumerate().map(|(at, column)| (column.name.as_str(), LaneRef::Column(at)));
        let maps = decl.maps.iter().enumerate().map(|(at, map)| (map.name.as_str(), LaneRef::Map(at)));
        let members = decl.members.iter().enumerate().map(|(at, lane)| (lane.name.as_str(), LaneRef::Members(at)));
        let commands = decl.commands.iter().enumerate().map(|(at, lane)| (lane.name.as_str(), LaneRef::Command(at)));
        let supplies = decl.supplies.iter().enumerate().map(|(at, lane)| (lane.name.as_str(), LaneRef::Supply(at)));
        let demands = decl.demands.iter().enumerate().map(|(at, lane)| (lane.name.as_str(), LaneRef::Demand(at)));
        let told = commands.chain(supplies).chain(demands);
        columns.chain(maps).chain(members).chain(told).filter(|(name, _)| !name.starts_with('_'))
    }

    fn lane_or_problem(&self, wanted: &str) -> Result<LaneRef, Problem> {
        self.lanes().find(|(name, _)| *name == wanted).map(|(_, lane)| lane).ok_or_else(|| {
            let names: Vec<&str> = self.lanes().map(|(name, _)| name).collect();
            Problem::NotFound(format!("{} has no lane `{wanted}`; it has {}", self.decl.name, names.join(", ")))
        })
    }

    fn takes(&self, lane: LaneRef) -> bool {
        match lane {
            LaneRef::Column(at) => self.decl.columns[at].settable,
            LaneRef::Map(at) => self.decl.maps[at].settable,
            LaneRef::Members(_) | LaneRef::Supply(_) | LaneRef::Demand(_) => false,
            LaneRef::Command(_) => true,
        }
    }
}

impl Shard {
    /// Answers what asks for committed state; commands are not among it.
    pub(crate) fn answer(&mut self, ask: Ask) {
        self.unmount();
        let answer = match &ask.query {
            Query::Read { node, page } => self.try_read(node, None, page).unwrap_or_else(Answer::Refused),
            Query::Lane { node, lane, method: Method::Get, .. } => {
                self.try_read(node, Some(lane), &Page::default()).unwrap_or_else(Answer::Refused)
            }
            Query::Lane { node, lane, method, .. } => self.no_request(node, lane, *method),
            Query::Lanes { node, lane, exists } => self.read_lanes(node, lane.as_deref(), *exists),
            Query::Command { .. } => return,
        };
        self.let_out(Waiter::new(ask.reply, ask.taken_up, false), answer);
    }

    /// A method that only request lanes answer, of another lane.
    fn no_request(&self, node: &str, lane: &str, method: Method) -> Answer {
        let found = self.located(node).and_then(|(population, _)| {
            self.populations[population.0 as usize].lane_or_problem(lane)?;
            Ok(format!("`{lane}` is no request lane: it does not answer {}", method.name()))
        });
        Answer::Refused(found.map_or_else(|problem| problem, Problem::NotAllowed))
    }

    /// The lanes of a twin's class; of a request lane the methods that it answers.
    fn read_lanes(&self, node: &str, lane: Option<&str>, exists: bool) -> Answer {
        if let Some((population, at)) = lane.and_then(|lane| self.request_lane(node, lane)) {
            let decl = &self.populations[population.0 as usize].decl;
            let (name, allow) = (&decl.commands[at as usize].name, decl.commands[at as usize].allowed());
            return match exists {
                true => {
                    let reason = format!("`{name}` of {} is a request lane: it has no stream, ask it", decl.name);
                    Answer::Refused(Problem::NoMethod { reason, allow })
                }
                false => Answer::Methods(allow),
            };
        }
        let found = match exists {
            true => self.twin(node).map(|(population, _)| population),
            false => self.located(node).map(|(population, _)| population),
        };
        let lanes = found.and_then(|population| {
            let class = &self.populations[population.0 as usize];
            let whole = |name: &&str| name.contains(|sign: char| sign.is_control());
            let wanted = lane.map(|name| match Some(name).filter(whole) {
                Some(name) => class.lane_or_problem(name),
                None => class.lane_or_problem(&bare(name)),
            });
            let wanted = wanted.transpose()?;
            let lanes = class.lanes().filter(|(_, lane)| wanted.is_none_or(|wanted| wanted == *lane));
            // a twin's lanes are those with state
            let lanes = lanes.filter(|(_, lane)| wanted.is_some() || lane.has_state());
            // a lane with its query and fragment, where it was asked for so
            let spelt = |name: &str| lane.unwrap_or(name).to_owned();
            Ok(lanes.map(|(name, lane)| (spelt(name), class.takes(lane))).collect())
        });
        lanes.map_or_else(Answer::Refused, Answer::Lanes)
    }

    /// The demand lane that a request wants to read.
    pub(crate) fn asked_demand(&self, ask: &Ask) -> Option<((PopulationId, u32), u16, LinkInfo)> {
        let Query::Lane { node, lane, method: Method::Get, .. } = &ask.query else { return None };
        let at = self.twin(&self.router.normal(node).ok()?).ok()?;
        let name = bare(lane);
        let demands = &self.populations[at.0.0 as usize].decl.demands;
        let demand = demands.iter().position(|demand| demand.name == *name && !name.starts_with('_'))?;
        let link = LinkInfo { remote: ask.remote.as_str().into(), lane: lane.as_str().into(), prio: 0.0, rate: 0.0 };
        Some((at, demand as u16, link))
    }

    fn try_read(&self, address: &str, lane: Option<&str>, page: &Page) -> Result<Answer, Problem> {
        let node = &self.router.normal(address).map_err(Problem::NotFound)?;
        if lane.is_none() && (node.ends_with("/*") || !self.router.matches(node)) {
            if let Some(population) = self.router.population_below(node) {
                return self.part(population, page).map(Answer::Part);
            }
            if node == "/" {
                // how the journal and other servers are doing changes without a commit: no two answers are taken to be
                // the same
                let live = self.journal.is_some() || !self.remotes.is_unused();
                let commit = if live { crate::clock::system() as u64 } else { self.changed };
                return Ok(Answer::Json { body: self.summary(), commit });
            }
        }
        let (population, row) = self.twin(node)?;
        let class = &self.populations[population.0 as usize];
        let mut body = Vec::with_capacity(256);
        match lane {
            None => {
                body.push(b'{');
                self.lanes_json(population, row, None, &mut body);
                body.push(b'}');
            }
            Some(name) => {
                let lane = class.lane_or_problem(name)?;
                if matches!(lane, LaneRef::Supply(_)) {
                    let reason = format!(
                        "`{name}` is a supply lane, which keeps nothing: follow it with the header `Accept: text/event-stream`"
                    );
                    return Err(Problem::NotAllowed(reason));
                }
                if matches!(lane, LaneRef::Command(_)) {
                    let reason = format!(
                        "`{name}` is a command: POST to it, or follow it with the header `Accept: text/event-stream`"
                    );
                    return Err(Problem::NotAllowed(reason));
                }
                self.lane_json(population, row, lane, &mut body);
            }
        }
        Ok(Answer::Json { body, commit: self.changed })
    }

    /// The class and the parameters of an address.
    ///
    /// Errors: no class has such a path (404), or a parameter is refused (400).
    pub(crate) fn located(&self, address: &str) -> Result<(PopulationId, EcoString), Problem> {
        let node = self.router.normal(address).map_err(Problem::NotFound)?;
        self.router.route(&node).map_err(|reason| match self.router.matches(&node) {
            true => Problem::Invalid { reason, offset: None },
            false => Problem::NotFound(reason),
        })
    }

    fn twin(&self, address: &str) -> Result<(PopulationId, u32), Problem> {
        let (population, key) = self.located(address)?;
        let class = &self.populations[population.0 as usize];
        let row = class.table.find(key.as_bytes()).ok_or_else(|| {
            let uri = self.router.uri(population, &key);
            Problem::NotFound(format!(
                "there is no {} at {uri}; reading never makes one, its first command does",
                class.decl.name
            ))
        })?;
        Ok((population, row))
    }

    fn part(&self, population: PopulationId, page: &Page) -> Result<Part, Problem> {
        let class = &self.populations[population.0 as usize];
        let invalid = |reason: String| Problem::Invalid { reason, offset: None };
        let mut filters = Vec::new();
        for text in &page.filters {
            Filter::parse(text, class, &self.zone, &mut filters).map_err(invalid)?;
        }
        let mut fields = Vec::new();
        for name in &page.fields {
            match class.lane_or_problem(name) {
                Ok(lane) if !lane.has_state() => {
                    return Err(invalid(format!(
                        "fields: `{name}` has no state: it is a command, a supply or a demand lane"
                    )));
                }
                Ok(lane) => fields.push(lane),
                Err(Problem::NotFound(reason)) => return Err(invalid(format!("fields: {reason}"))),
                Err(problem) => return Err(problem),
            }
        }
        let mut part = Part { commit: self.changed, ..Part::default() };
        if page.count && filters.is_empty() && page.after.is_none() {
            part.found = class.table.len();
            return Ok(part);
        }
        let first = match &page.after {
            None => 0,
            Some(after) => self.place(population, after)? + 1,
        };
        let end = class.table.next_id();
        let stop = end.min(first.saturating_add(LOOK));
        for id in first..stop {
            let Some(row) = class.table.row(TwinId(id)) else { continue };
            if !filters.iter().all(|filter| filter.matches(&class.table, row)) {
                continue;
            }
            if !page.count && (part.found >= page.limit || part.twins.len() >= page.bytes) {
                part.next = Some(id - 1);
                return Ok(part);
            }
            part.found += 1;
            if !page.count {
                self.twin_json(population, row, &fields, &mut part.twins);
            }
        }
        part.next = (stop < end).then(|| stop - 1);
        Ok(part)
    }

    /// The number of the twin after which a page begins.
    fn place(&self, population: PopulationId, after: &str) -> Result<u64, Problem> {
        if let Ok(number) = after.parse() {
            return Ok(number);
        }
        let invalid = |reason: String| Problem::Invalid { reason: format!("after: {reason}"), offset: None };
        let (found, row) = self.twin(after).map_err(|problem| match problem {
            Problem::NotFound(reason) => invalid(format!("{reason}; use the `next` of the page before")),
            problem => problem,
        })?;
        let class = &self.populations[population.0 as usize];
        if found != population {
            return Err(invalid(format!("{after} is no {}", class.decl.name)));
        }
        Ok(class.table.id(row).map_or(0, |id| id.0))
    }
}
