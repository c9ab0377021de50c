//! What the shard has put into an outbox while the release fence was up.

use std::collections::VecDeque;
use std::sync::Arc;

use bytes::Bytes;

use super::{Item, LinkNumber};
use crate::journal::fence::Fence;

#[derive(Debug)]
pub(super) enum Staged {
    Put(LinkNumber, Item),
    Shut(LinkNumber, Option<Bytes>),
    Control(Bytes),
    Close(u16, String),
}

impl Staged {
    fn bytes(&self) -> usize {
        match self {
            Staged::Put(_, item) => item.frame().len(),
            Staged::Shut(_, farewell) => farewell.as_ref().map_or(0, Bytes::len),
            Staged::Control(frame) => frame.len(),
            Staged::Close(..) => 0,
        }
    }
}

/// In the order in which it was put in; the outbox bounds its bytes with those of its queues.
#[derive(Debug, Default)]
pub(super) struct Staging {
    fence: Arc<Fence>,
    /// With the record that each waits for.
    staged: VecDeque<(u64, Staged)>,
    bytes: usize,
}

impl Staging {
    pub fn behind(fence: Arc<Fence>) -> Self {
        Staging { fence, ..Staging::default() }
    }

    /// What is put in now must wait: the fence is up, or something waits that goes before.
    #[inline]
    pub fn must_wait(&self) -> bool {
        !self.staged.is_empty() || self.fence.is_up()
    }

    pub fn is_empty(&self) -> bool {
        self.staged.is_empty()
    }

    pub fn bytes(&self) -> usize {
        self.bytes
    }

    pub fn push(&mut self, what: Staged) {
        self.bytes += what.bytes();
        self.staged.push_back((self.fence.need(), what));
    }

    /// The next that waits for no record any more.
    pub fn pop(&mut self) -> Option<Staged> {
        let (need, _) = self.staged.front()?;
        if *need > self.fence.durable() {
            return None;
        }
        let (_, what) = self.staged.pop_front()?;
        self.bytes -= what.bytes();
        Some(what)
    }

    /// What waits of a list that is told anew.
    pub fn forget_list(&mut self, link: LinkNumber) {
        let bytes = &mut self.bytes;
        self.staged.retain(|(_, what)| {
            let is_gone = matches!(what, Staged::Put(of, item) if *of == link && item.is_of_list());
            if is_gone {
                *bytes -= what.bytes();
            }
            !is_gone
        });
    }

    pub fn clear(&mut self) {
        self.staged.clear();
        self.bytes = 0;
    }
}
