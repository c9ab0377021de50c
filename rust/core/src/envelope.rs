//! Anything that enters a shard: a command, a record of a source, a timer that fires. It has an origin, a sequence number
//! and a time.

use ecow::EcoString;

use crate::body::Record;
use crate::downlinks::DownlinkId;
use crate::link_turn::LinkTurn;
use crate::population::{PopulationId, TwinId};
use crate::timers::TimerNumber;
use crate::value::Value;

/// Which source of the shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct SourceId(pub u16);

/// Who sent it: counted there.
#[derive(Clone, Debug, PartialEq)]
pub enum Origin {
    Source(SourceId),
    /// A program or a test, by name; a connection, by its address.
    Outside(EcoString),
    /// An HTTP request (`Shard::asked`) or a program (`Shard::requests`) that waits for its answer.
    Asked(u64),
    /// Another twin, or the same.
    Twin(PopulationId, EcoString),
    /// A twin that waits for the answer to its request of this number (`Shard::requests`).
    Request(u64, PopulationId, EcoString),
    Timer,
    /// The members of a group.
    Members,
    /// A link of the twin itself.
    Downlink(DownlinkId),
    /// A link: what is computed for it, and who is told of it. Nobody's state: no record holds it.
    Link,
}

/// Whom it is for.
#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// The twin with these parameters (joined by NUL); made when there is none.
    Key(PopulationId, EcoString),
    /// This very twin and no later one at its address.
    Twin(PopulationId, TwinId),
    /// Not looked up yet.
    Uri(EcoString),
    /// In the record: the source's key fields or its `to=` say.
    InRecord,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Lane {
    Command(u16),
    Timer(TimerNumber),
    /// Not looked up yet.
    Named(EcoString),
    /// A value lane that is set.
    Column(u16),
    /// A map lane one of whose entries is set: the body is `[key, value]`; of an `[key]` it is removed. Or a list lane:
    /// `serve::list` says what its body is.
    Map(u16),
    /// What a link asks of its twin.
    Link(Box<LinkTurn>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Body {
    /// The raw bytes of a source's record.
    Raw,
    /// Not validated yet.
    Tree(Value),
    /// Validated: the slots of the command's body. A `Tree` command's tree is in the record too.
    Record(Record),
    /// What is done to a whole map or list lane.
    Bulk(Bulk),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Bulk {
    Clear,
    /// Keeps the first entries, in the order of insertion.
    Take(usize),
    /// Removes the first entries.
    Drop(usize),
}

#[derive(Clone, Debug, PartialEq)]
pub struct Envelope {
    pub origin: Origin,
    /// Line or row of a source; the shard's own count otherwise.
    pub sequence: u64,
    pub hops: u16,
    pub node: Node,
    pub lane: Lane,
    pub body: Body,
    /// The record as its source had it; empty for all others.
    pub raw: Vec<u8>,
    /// Has passed its source's filter and the clock: only its twin was busy.
    pub passed: bool,
}

/// What could not be applied, kept for a person to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct DeadLetter {
    pub origin: String,
    pub sequence: u64,
    pub time: i64,
    pub node: String,
    pub lane: String,
    pub kind: Kind,
    pub reason: String,
    /// The record as it was read, or the body as JSON.
    pub record: Vec<u8>,
    /// Its number among those of the store, from 1 on and rising; 0 without a store. What made it makes it again under
    /// the same number when a run starts anew.
    pub number: u64,
}

/// Why a letter is dead.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Kind {
    /// Not what the lane takes.
    Invalid,
    /// Nobody is at the address.
    Unrouted,
    /// A handler raised Reject.
    Rejected,
    /// A handler raised anything else, or a fold could not step.
    Failed,
    /// A bound was reached.
    Limit,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Kind::Invalid => "invalid",
            Kind::Unrouted => "unrouted",
            Kind::Rejected => "rejected",
            Kind::Failed => "failed",
            Kind::Limit => "limit",
        }
    }

    pub fn named(name: &str) -> Kind {
        match name {
            "invalid" => Kind::Invalid,
            "unrouted" => Kind::Unrouted,
            "rejected" => Kind::Rejected,
            "limit" => Kind::Limit,
            _ => Kind::Failed,
        }
    }
}
