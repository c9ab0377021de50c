//! The release fence: nothing that was computed after a change of a `save="sync"` lane leaves the process before the
//! journal has that change.

use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

/// Shared by the shard, which raises it, the journal's writer, which opens it, and the connections, which wait at it.
/// Atomics, because a connection looks at it under its own lock only.
#[derive(Debug, Default)]
pub struct Fence {
    /// The record without which nothing computed from now on may leave.
    need: AtomicU64,
    /// The newest record that is durable.
    durable: AtomicU64,
    /// Why there will be no further one.
    failure: OnceLock<String>,
}

impl Fence {
    /// Record `number` will hold a change that must not be lost.
    pub fn raise(&self, number: u64) {
        self.need.fetch_max(number, Ordering::AcqRel);
    }

    #[inline]
    pub fn is_up(&self) -> bool {
        let need = self.need.load(Ordering::Acquire);
        need != 0 && need > self.durable.load(Ordering::Acquire)
    }

    pub fn need(&self) -> u64 {
        self.need.load(Ordering::Acquire)
    }

    pub fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// All records up to this one are on the disk.
    pub fn reach(&self, number: u64) {
        self.durable.fetch_max(number, Ordering::AcqRel);
    }

    /// A write has failed: the fence stays up for ever.
    pub fn fail(&self, reason: String) {
        _ = self.failure.set(reason);
    }

    pub fn failure(&self) -> Option<&str> {
        self.failure.get().map(String::as_str)
    }
}
