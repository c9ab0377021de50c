//! Commands to twins of other servers: they wait in the queue of their server, in the journal, too, until they are
//! written to a connection.

use super::address::Address;
use super::host::Outcome;
use crate::ask::Answer;
use crate::decode::parse_tree;
use crate::dispatch::Step;
use crate::envelope::{Body, Envelope, Kind, Lane, Node, Origin};
use crate::recon::write_body;
use crate::shard::Shard;

impl Shard {
    /// Takes a command whose address names a server.
    pub(crate) fn send_away(&mut self, envelope: Envelope) -> Option<Step> {
        let Node::Uri(uri) = &envelope.node else { return self.dead(envelope, Kind::Unrouted, "it has no address") };
        let lane = match &envelope.lane {
            Lane::Named(name) => name.as_str(),
            _ => "",
        };
        let tree = match &envelope.body {
            Body::Tree(tree) => Ok(tree.clone()),
            // a record of a source, as it was read
            Body::Raw => parse_tree(&envelope.raw).map_err(|invalid| invalid.reason),
            Body::Record(_) | Body::Bulk(_) => Err("its body is of no lane of another server".to_owned()),
        };
        let tree = match tree {
            Ok(tree) => tree,
            Err(reason) => return self.dead(envelope, Kind::Invalid, &reason),
        };
        if let Some(kept) = &mut self.remote {
            kept.push((uri.to_string(), lane.to_owned(), tree));
            self.accept(&envelope.origin);
            self.sent(&envelope.origin);
            return None;
        }
        let address = match Address::parse(uri, lane) {
            Ok(address) => address,
            Err(reason) => return self.dead(envelope, Kind::Unrouted, &reason),
        };
        let mut body = Vec::new();
        write_body(&tree, &mut body);
        let origin = envelope.origin.clone();
        match self.remotes.command(&address, &body, envelope) {
            Ok(()) => self.accept(&origin),
            Err((envelope, reason)) => _ = self.dead(*envelope, Kind::Limit, &reason),
        }
        None
    }

    /// Who waits for an answer is told that it has been taken.
    fn accept(&mut self, origin: &Origin) {
        if let Origin::Asked(number) = origin {
            self.reply(*number, Answer::Accepted);
        }
    }

    fn sent(&mut self, origin: &Origin) {
        match origin {
            Origin::Source(source) => self.sources[source.0 as usize].counts.applied += 1,
            Origin::Outside(_) | Origin::Asked(_) => self.outside_counts.applied += 1,
            Origin::Twin(..) | Origin::Timer | Origin::Members => self.inner_counts.applied += 1,
            // neither is sent to other servers
            Origin::Downlink(_) | Origin::Link | Origin::Request(..) => {}
        }
    }

    /// Counts commands that have been written to other servers, and buries those that have waited too long.
    pub(crate) fn settle_remote(&mut self) {
        if !self.remotes.is_stirred() {
            return;
        }
        for (envelope, outcome) in self.remotes.take_outcomes() {
            match outcome {
                Outcome::Written => self.sent(&envelope.origin),
                Outcome::Late(reason) => _ = self.dead(envelope, Kind::Unrouted, &reason),
            }
        }
    }
}
