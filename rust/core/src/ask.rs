//! A request that the shard answers between two turns: what HTTP asks.

use tokio::sync::oneshot;

use crate::peer::Identity;

pub struct Ask {
    pub query: Query,
    pub identity: Identity,
    pub remote: String,
    /// Dropped unanswered when the shard ends: the caller answers 503.
    pub reply: oneshot::Sender<Answer>,
}

pub enum Query {
    /// All lanes of a twin, or one of them; where no class has such a path, a page of the population below it; at `/`
    /// the app.
    Read { node: String, lane: Option<String>, page: Page },
    /// The lanes of the class that a path belongs to, or one of them. `exists`: the twin must be there.
    Lanes { node: String, lane: Option<String>, exists: bool },
    /// A command, or a value or map lane that is set. Answered when its turn is kept or has failed. The body is Recon
    /// or JSON.
    Command { node: String, lane: String, body: Vec<u8>, recon: bool },
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
