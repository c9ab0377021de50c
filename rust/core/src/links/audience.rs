//! Everybody who listens to one lane of one twin, how they have spelt it, and what they have not been told yet.

use std::sync::Arc;

use bytes::Bytes;
use ecow::EcoString;

use super::demand::Demanded;
use super::telling::touch;
use super::{LinkId, Operation, Place, event};
use crate::outbox::{Item, LinkNumber, Overflow};
use crate::peer::{Form, Peer};
use crate::shard::Class;
use crate::undo::Log;
use crate::value::Value;

/// Node and lane as a peer wrote them when it opened its link: all its answers and events say it so.
#[derive(Debug)]
pub(super) struct Spelling {
    pub(super) form: Form,
    pub(super) node: EcoString,
    pub(super) lane: EcoString,
    pub(super) users: usize,
}

#[derive(Debug)]
pub(super) struct Listener {
    pub(super) peer: Arc<Peer>,
    pub(super) link: LinkNumber,
    pub(super) spelling: usize,
    /// prio and rate, where they are not 0.
    pub(super) tuning: Option<Box<(f64, f64)>>,
    /// Of a link to a demand lane.
    pub(super) demanded: Option<Box<Demanded>>,
}

/// Everybody who listens to one lane of one twin, and what they have not been told yet.
#[derive(Debug)]
pub(super) struct Audience {
    pub(super) place: Place,
    pub(super) spellings: Vec<Spelling>,
    pub(super) listeners: Vec<Listener>,
    /// What a commit will tell, in order; of a value lane just that it was written.
    pub(super) news: Vec<News>,
    /// Of a demand lane: a turn that computes is on its way.
    pub(super) computing: bool,
}

#[derive(Debug)]
pub(super) enum News {
    /// The lane was written.
    Written,
    Key(Value),
    Cleared,
    /// What was done to a list.
    List(Operation),
    /// A command's body, in both forms where they are wanted.
    Body(Value),
    /// An item of a supply lane.
    Item(Value),
    Member {
        uri: EcoString,
        joined: bool,
    },
}

impl Listener {
    pub(super) fn is(&self, link: LinkId) -> bool {
        self.link == link.number && self.peer.id == link.peer
    }
}

impl Audience {
    /// The keys that a turn has written, in the order of their first write; a clear makes those before it void.
    pub(super) fn note_map(&mut self, map: u16, class: &Class, log: &Log) {
        let table = &class.table.maps[map as usize];
        let mut cleared = log.cleared.iter().filter(|(of, _)| *of == map).map(|(_, at)| *at).peekable();
        for (at, entry) in log.entries.iter().enumerate() {
            while cleared.next_if(|clear| *clear <= at).is_some() {
                self.news.clear();
                self.news.push(News::Cleared);
            }
            let Some(slot) = entry.slot(map) else { continue };
            let key = table.key(slot);
            if !self.news.iter().rev().take(8).any(|known| matches!(known, News::Key(known) if *known == key)) {
                self.news.push(News::Key(key));
            }
        }
        if cleared.next().is_some() {
            self.news.clear();
            self.news.push(News::Cleared);
        }
    }

    /// What a turn has done to a list, all of it; a clear makes what was before it void.
    pub(super) fn note_list(&mut self, map: u16, log: &Log) {
        for (_, operation) in log.lists.iter().filter(|(of, _)| *of == map) {
            if *operation == Operation::Clear {
                self.news.clear();
            }
            self.news.push(News::List(operation.clone()));
        }
    }

    /// What a piece of news comes to now.
    pub(super) fn operation(&self, news: News, row: u32, class: &Class) -> Option<Operation> {
        Some(match (news, self.place) {
            (News::Written, Place::Column(column)) => Operation::Value(class.table.columns[column as usize].get(row)),
            (News::Key(key), Place::Map(map)) => {
                let table = &class.table.maps[map as usize];
                match table.find(row, &key) {
                    Some(slot) => Operation::Update(key, table.value(slot)),
                    None => Operation::Remove(key),
                }
            }
            (News::Cleared, _) => Operation::Clear,
            (News::List(operation), _) => operation,
            (News::Body(body), _) => Operation::Body(body),
            (News::Item(item), _) => Operation::Item(item),
            (News::Member { uri, joined: true }, _) => Operation::Update(Value::Text(uri), Value::Bool(true)),
            (News::Member { uri, joined: false }, _) => Operation::Remove(Value::Text(uri)),
            _ => return None,
        })
    }

    /// Encodes an event once a spelling and puts it into every listener's queue.
    pub(super) fn send(
        &self,
        operation: &Operation,
        commit: u64,
        touched: &mut Vec<Arc<Peer>>,
        mut slow: impl FnMut(&Arc<Peer>, Overflow),
    ) {
        let key = operation.key();
        let mut frames: Vec<Option<Bytes>> = vec![None; self.spellings.len()];
        for listener in &self.listeners {
            let frame = frames[listener.spelling].get_or_insert_with(|| {
                let spelling = &self.spellings[listener.spelling];
                event::event(spelling.form, &spelling.node, &spelling.lane, operation, commit)
            });
            let frame = frame.clone();
            let item = match operation {
                Operation::Value(_) => Item::Value(frame),
                Operation::Update(..) | Operation::Remove(_) => Item::Entry(key.clone(), frame),
                Operation::Clear => Item::Clear(frame),
                // an operation on a list holds for the list as the one before it has left it
                Operation::Element { .. } | Operation::Move { .. } | Operation::Out { .. } => Item::Delta(frame),
                Operation::Body(_) | Operation::Item(_) | Operation::Take(_) | Operation::Drop(_) => {
                    Item::Ordered(frame)
                }
            };
            if let Err(overflow) = listener.peer.outbox().put(listener.link, item) {
                slow(&listener.peer, overflow);
            }
            touch(touched, &listener.peer);
        }
    }
}
