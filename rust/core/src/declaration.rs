//! What an app declares, as data: the Python side writes it as JSON (`python/shoal/declaration.py`), a shard is made
//! from it. Numbers are indices into the lists beside them.

use ecow::EcoString;
use serde::{Deserialize, Serialize};

use crate::body::BodyType;
use crate::link_turn::LinkTurn;
use crate::links::Place;
use crate::value::Value;

#[derive(Clone, Debug, Deserialize)]
pub struct Declaration {
    pub app: EcoString,
    /// IANA name: times without a zone are in it.
    pub zone: String,
    pub populations: Vec<PopulationDecl>,
    pub settings: Settings,
}

/// Bounds, each a documented setting (docs/settings.md).
#[derive(Clone, Debug, Deserialize)]
pub struct Settings {
    /// Commands one turn may send.
    pub max_sends: usize,
    /// Hops of a command caused by a command caused by …
    pub max_hops: u16,
    /// Rounds of `changed` handlers in one turn.
    pub max_rounds: u16,
    /// Events that wait for one twin with an async turn in flight; more are dead letters.
    pub busy_bound: usize,
    /// Requests of twins that wait for their answers.
    #[serde(default = "max_asks")]
    pub max_asks: usize,
    /// Turns of one commit, at most.
    pub commit_turns: usize,
    /// Real seconds of a plain handler, seconds of the app's clock of an async one.
    pub handler_seconds: f64,
    /// Those of the journal.
    #[serde(flatten)]
    pub journal: crate::journal::Bounds,
    /// Those of the server.
    #[serde(flatten)]
    pub limits: crate::limits::Limits,
    /// Those of links and commands to other servers.
    #[serde(flatten)]
    pub remote: crate::remote::Bounds,
}

fn max_asks() -> usize {
    10_000
}

#[derive(Clone, Debug, Deserialize)]
pub struct PopulationDecl {
    /// The class's name, for messages.
    pub name: EcoString,
    pub pattern: Vec<Segment>,
    pub columns: Vec<ColumnDecl>,
    pub maps: Vec<MapDecl>,
    pub commands: Vec<CommandDecl>,
    /// In the order of declaration.
    pub folds: Vec<FoldDecl>,
    /// Lanes with a `changed` handler, in the order of declaration; the index is the handler's number.
    pub changed: Vec<Watched>,
    pub hooks: Hooks,
    /// Timer methods: those with `every`, and all that may be given to `after`.
    pub timers: Vec<TimerDecl>,
    pub members: Vec<MembersDecl>,
    /// Links of these twins to lanes of others, joins among them.
    #[serde(default)]
    pub links: Vec<LinkDecl>,
    #[serde(default)]
    pub supplies: Vec<SupplyDecl>,
    /// Demand and demand-map lanes.
    #[serde(default)]
    pub demands: Vec<DemandDecl>,
    /// Methods that are told of links; the index is the method's number.
    #[serde(default)]
    pub observers: Vec<ObserverDecl>,
}

#[derive(Clone, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Segment {
    Literal(EcoString),
    Parameter(EcoString),
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum ColumnType {
    Bool,
    Int64,
    Float64,
    Point,
    String,
    Bytes,
    Timestamp,
    Value,
}

/// How durable a change of a lane is, where the run has a store. A turn is as durable as the strongest lane it wrote.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Save {
    /// In the journal within its interval; nobody waits for it.
    #[default]
    Async,
    /// In the journal before anything that was computed from it leaves the process.
    Sync,
    /// Not saved: after a restart the lane is as in a new twin.
    Never,
}

#[derive(Clone, Debug, Deserialize)]
pub struct ColumnDecl {
    /// The lane's wire name; hidden fold state has none of its own.
    pub name: EcoString,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    /// A new twin's value as JSON; null: unset, or None where `nullable`.
    #[serde(default)]
    pub default: serde_json::Value,
    /// The type allows None: reading an empty cell gives None instead of raising Unset.
    #[serde(default)]
    pub nullable: bool,
    /// Links and commands from outside may set it (Value lanes that are not `readonly`).
    #[serde(default)]
    pub settable: bool,
    #[serde(default)]
    pub save: Save,
}

#[derive(Clone, Debug, Deserialize)]
pub struct MapDecl {
    pub name: EcoString,
    pub key: ColumnType,
    pub value: ColumnType,
    #[serde(default)]
    pub default: serde_json::Value,
    pub limit: usize,
    #[serde(default)]
    pub settable: bool,
    #[serde(default)]
    pub save: Save,
    /// A list lane: its entries have places, which may change; their keys are of any type.
    #[serde(default)]
    pub ordered: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct CommandDecl {
    pub name: EcoString,
    pub body: BodyType,
    /// There is a handler; true: it is `async def`.
    #[serde(default)]
    pub handler: Option<bool>,
    /// The slot with the event's time.
    #[serde(default)]
    pub time_slot: Option<usize>,
    /// It is a request lane: its turns have answers.
    #[serde(default)]
    pub request: Option<RequestDecl>,
}

/// What makes a command lane a request lane.
#[derive(Clone, Debug, Default, Deserialize, PartialEq)]
pub struct RequestDecl {
    /// Methods of HTTP that have a handler of their own; `CommandDecl::handler` answers twins and all others.
    #[serde(default)]
    pub methods: Vec<crate::request::Method>,
    /// The query is no record: a URL has it in its one parameter `body`.
    #[serde(default)]
    pub single: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct FoldDecl {
    /// The column that it writes.
    pub out: usize,
    pub input: Input,
    #[serde(flatten)]
    pub kind: FoldKind,
    /// Sum, Mean, Min, Max and Count over a part of the events only.
    #[serde(default)]
    pub window: Option<WindowDecl>,
}

/// Which events a windowed fold is over; µs.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum WindowDecl {
    /// Those of the time that ends now.
    Last(i64),
    /// Those of the last whole window, aligned to the clock.
    Every(i64),
}

/// What a fold steps on.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Input {
    /// A command's body: the slots that it reads (two for a Point, none to count the command itself).
    Command { command: usize, slots: Vec<usize> },
    /// Another lane.
    Column(usize),
    /// A map lane (Count of its writes).
    Map(usize),
    /// Nothing: a roll-up (see MembersDecl) writes it.
    Members,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(tag = "fold", rename_all = "snake_case")]
pub enum FoldKind {
    Latest,
    Count,
    Sum,
    Mean,
    Min,
    Max,
    /// `alpha` of each event, or by time: half_life in µs. Starts at the first value.
    Ewma {
        #[serde(default)]
        alpha: Option<f64>,
        #[serde(default)]
        half_life: Option<i64>,
    },
    Above(Threshold),
    Below(Threshold),
    /// The values with their times: at most `count` of them, and none older than `last` (µs).
    History {
        #[serde(default)]
        last: Option<i64>,
        count: usize,
    },
    /// An alarm's state, active while a bool lane is true.
    Alarm {
        #[serde(default)]
        text: EcoString,
    },
}

#[derive(Clone, Debug, Deserialize)]
pub struct Threshold {
    /// A constant, or the column that holds each twin's own.
    pub limit: Limit,
    /// Default: the limit.
    #[serde(default)]
    pub clear: Option<f64>,
    /// µs that the condition must last before the lane becomes true.
    #[serde(default)]
    pub hold: i64,
}

#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Limit {
    Constant(f64),
    Column(usize),
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Watched {
    Column(usize),
    Map(usize),
}

#[derive(Clone, Debug, Default, Deserialize)]
pub struct Hooks {
    pub create: bool,
    pub start: bool,
    pub stop: bool,
}

#[derive(Clone, Debug, Deserialize)]
pub struct TimerDecl {
    pub name: EcoString,
    /// µs; set for `@every`.
    #[serde(default)]
    pub every: Option<i64>,
    /// An `async def` method.
    #[serde(default)]
    pub is_async: bool,
}

/// A standing link of each twin to a lane of one other twin, or, a join, of many. Its targets are state of the twin like
/// any other: a column, or a map, that handlers write.
#[derive(Clone, Debug, Deserialize)]
pub struct LinkDecl {
    pub name: EcoString,
    pub kind: LinkKind,
    /// The linked lane's name on the wire.
    pub lane: EcoString,
    /// Where what comes is written.
    pub copy: CopyDecl,
    /// Which twins are linked.
    pub target: TargetDecl,
    /// Of a `join_map`: the map that says which target has set each key of the copy.
    #[serde(default)]
    pub owners: Option<usize>,
    /// The population whose lane it was declared with: its values have the copy's types. None: they are looked at.
    #[serde(default)]
    pub typed: Option<usize>,
    /// Of a `join`: the lane may be None, which is an entry like any other value.
    #[serde(default)]
    pub nullable: bool,
    /// The present state first.
    pub sync: bool,
    #[serde(default)]
    pub prio: f64,
    #[serde(default)]
    pub rate: f64,
    /// The hooks that there are.
    #[serde(default)]
    pub hooks: LinkHooks,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum LinkKind {
    /// A value lane's value.
    Value,
    Map,
    List,
    /// Each item of a command or supply lane.
    Event,
    /// Value lanes of many twins, by key.
    Join,
    /// The union of map lanes of many twins.
    JoinMap,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum CopyDecl {
    Column(usize),
    Map(usize),
    /// Nothing is kept: each item is a command to the twin itself.
    Command(usize),
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum TargetDecl {
    /// A text column with a node URI; null: the link is closed.
    Column(usize),
    /// A map, key → node URI.
    Map(usize),
    /// The members of this twin's group of that number; the key is their URI.
    Members(usize),
}

/// One bit for each hook of a link, in the order of `downlinks::Hook`.
#[derive(Clone, Copy, Debug, Default, Deserialize, Eq, PartialEq)]
#[serde(transparent)]
pub struct LinkHooks(pub u8);

#[derive(Clone, Debug, Deserialize)]
pub struct MembersDecl {
    pub name: EcoString,
    /// The population whose twins are the members.
    pub population: usize,
    /// Their columns that hold this twin's parameters, in order; None: all of them are members.
    pub by: Option<Vec<usize>>,
    pub rollups: Vec<RollupDecl>,
}

#[derive(Clone, Debug, Deserialize)]
pub struct RollupDecl {
    pub kind: RollupKind,
    /// The members' column; None counts the members themselves.
    pub column: Option<usize>,
    /// The group's column that it writes.
    pub out: usize,
}

#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum RollupKind {
    Sum,
    Mean,
    Min,
    Max,
    Count,
}

/// A lane whose items are kept by nobody.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct SupplyDecl {
    pub name: EcoString,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    #[serde(default)]
    pub nullable: bool,
}

/// A lane that its handler computes for those who have linked it.
#[derive(Clone, Debug, Deserialize, PartialEq)]
pub struct DemandDecl {
    pub name: EcoString,
    /// Of a demand-map lane; None: it has one value.
    #[serde(default)]
    pub key: Option<ColumnType>,
    #[serde(rename = "type")]
    pub kind: ColumnType,
    #[serde(default)]
    pub nullable: bool,
    /// Its handler takes the link: what it computes is for those who spell the lane's query and fragment alike.
    #[serde(default)]
    pub parametric: bool,
    /// Of a demand-map lane: there is a method that gives all keys.
    #[serde(default)]
    pub keys: bool,
}

/// A method that is told of the links of a lane.
#[derive(Clone, Copy, Debug, Deserialize, PartialEq)]
pub struct ObserverDecl {
    pub lane: Observed,
    pub event: LinkEvent,
}

#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum LinkEvent {
    Linked,
    Unlinked,
}

/// A lane that may be linked, by its kind and number.
#[derive(Clone, Copy, Debug, Deserialize, Eq, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum Observed {
    Column(u16),
    Map(u16),
    Command(u16),
    Members(u16),
    Supply(u16),
    Demand(u16),
}

impl PopulationDecl {
    /// The kind of a lane that only its twin tells something.
    pub fn told_only(&self, lane: &str) -> Option<&'static str> {
        if self.supplies.iter().any(|supply| supply.name == lane) {
            return Some("supply");
        }
        let demand = self.demands.iter().find(|demand| demand.name == lane)?;
        Some(if demand.key.is_some() { "demand-map" } else { "demand" })
    }

    /// The lane of a link's turn, for messages.
    pub fn link_lane<'a>(&'a self, turn: &'a LinkTurn) -> &'a str {
        match turn {
            LinkTurn::Compute(Place::Demand(demand, _)) | LinkTurn::Read { demand, .. } => {
                &self.demands[*demand as usize].name
            }
            LinkTurn::Compute(_) => "",
            LinkTurn::Observe { link, .. } => &link.lane,
        }
    }
}

/// A default as written in the declaration.
pub fn value(json: &serde_json::Value) -> Value {
    match json {
        serde_json::Value::Null => Value::Null,
        serde_json::Value::Bool(x) => Value::Bool(*x),
        serde_json::Value::Number(x) => match x.as_i64() {
            Some(x) => Value::Int(x),
            None => x.as_f64().map_or(Value::Null, Value::Float),
        },
        serde_json::Value::String(text) => Value::Text(text.as_str().into()),
        serde_json::Value::Array(items) => Value::List(items.iter().map(value).collect()),
        serde_json::Value::Object(members) => {
            Value::Map(members.iter().map(|(name, item)| (name.as_str().into(), value(item))).collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lane_says_how_durable_it_is() {
        for (text, save) in [("async", Save::Async), ("sync", Save::Sync), ("never", Save::Never)] {
            let column = format!(r#"{{"name":"speed","type":"float64","save":"{text}"}}"#);
            assert_eq!(serde_json::from_str::<ColumnDecl>(&column).unwrap().save, save);
            let map = format!(r#"{{"name":"stops","key":"string","value":"int64","limit":10,"save":"{text}"}}"#);
            assert_eq!(serde_json::from_str::<MapDecl>(&map).unwrap().save, save);
        }
        let column = r#"{"name":"speed","type":"float64"}"#;
        assert_eq!(serde_json::from_str::<ColumnDecl>(column).unwrap().save, Save::Async);
        let column = r#"{"name":"speed","type":"float64","save":"always"}"#;
        assert!(serde_json::from_str::<ColumnDecl>(column).is_err());
    }
}
