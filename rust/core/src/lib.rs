//! The heart of Shoal, without Python. In the order of an event:
//!
//! - `source`: reader threads turn files into batches of records (`batch`)
//! - `preview`: a look at the first of them, by which an app can be inferred
//! - `inbox`: where they leave them, bounded; wakes the shard's thread once per batch
//! - `feed`: the shard takes records; `decode` turns their bytes into the slots of a `body`, without a tree
//! - `envelope`: anything that enters a shard; `clock` gives it its time
//! - `dispatch`: what is next; `record` and `deliver` bring it to its twin, which `route` finds and `population` holds as a
//!   row of columns
//! - `turn`: one envelope handled by one twin; `fold` steps the lanes that the core writes, `acts` is what handlers do,
//!   `window`s are folds over a part of the events, `history` keeps them, `maps` are child tables, `undo` takes everything back
//! - `request`: questions that twins answer in a turn, asked by other twins and over HTTP
//! - `link_turn`: turns that links ask for: computed lanes, observers of links
//! - `members`: live groups and their roll-ups, `group` their turns; `timers`
//! - `shard`: what owns all of it, and the commit at the end of a batch
//! - `journal`: what is saved at a commit; `recover`: how it comes back
//!
//! `recon` is Swim's data language, `warp` its envelopes.
//!
//! `declaration` is what an app declares, as data, and `extend` what it declares later; `value` is what a cell holds; `dump` shows the whole state to tests.

pub mod acts;
pub mod allow;
pub mod answer;
pub mod ask;
pub mod batch;
pub mod body;
pub mod clock;
pub mod connect;
pub mod declaration;
pub mod decode;
pub mod deliver;
pub mod dispatch;
pub mod downlinks;
pub mod dump;
pub mod envelope;
pub mod extend;
pub mod feed;
pub mod fold;
#[cfg(test)]
mod fuzz;
pub mod group;
pub mod history;
pub mod http;
pub mod inbox;
pub mod journal;
pub mod limits;
pub mod link_turn;
pub mod links;
pub mod listen;
pub mod maps;
pub mod members;
pub mod outbox;
pub mod peer;
pub mod population;
pub mod preview;
pub mod query;
pub mod recon;
pub mod record;
pub mod recover;
pub mod remote;
pub mod request;
pub mod route;
pub mod serve;
pub mod shard;
pub mod socket;
pub mod source;
pub mod time;
pub mod timers;
pub mod turn;
pub mod undo;
pub mod value;
pub mod warp;
pub mod window;
