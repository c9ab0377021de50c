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
    /// All lanes of a twin, or one of them.
    Twin { node: String, lane: Option<String> },
    /// The twins of a population.
    Population { node: String, page: Page },
    /// A command, or a value or map lane that is set. Answered when its turn is kept or has failed.
    Command { node: String, lane: String, body: Vec<u8> },
}

/// Which twins of a population, and what of them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// Goes on after this twin's URI.
    pub after: Option<String>,
    pub limit: usize,
    /// Lanes to show; empty: all.
    pub fields: Vec<String>,
    /// As written: `speed>20`.
    pub filters: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Answer {
    /// JSON, and the number of the commit that it shows.
    Json {
        body: Vec<u8>,
        commit: u64,
    },
    /// A command's turn was kept.
    Accepted,
    Refused(Problem),
}

/// Why not.
#[derive(Clone, Debug, PartialEq)]
pub enum Problem {
    /// 404: nobody is there, or no such lane.
    NotFound(String),
    /// 405: the lane takes no commands.
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
