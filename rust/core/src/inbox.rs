//! Where outside readers leave their batches for the shard's thread: bounded, and it wakes Python once per batch.

use std::collections::VecDeque;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};

use crate::batch::{Batch, Intake};

/// Bytes of batches that one source may have waiting: a few batches keep the reader ahead of the shard, and stay in cache.
const BOUND: usize = 1 << 20;
/// Worked-off batches kept for their memory.
const SPARES: usize = 5;

/// An eventfd that the shard's loop watches. Readers write to it once until the loop has reset it.
pub struct Wake {
    fd: RawFd,
    /// Set by readers, cleared by the shard: whether the fd is already readable.
    rung: AtomicBool,
}

impl Wake {
    pub fn new() -> std::io::Result<Self> {
        // SAFETY: eventfd takes no pointer; the result is checked.
        let fd = unsafe { libc::eventfd(0, libc::EFD_NONBLOCK | libc::EFD_CLOEXEC) };
        if fd < 0 {
            return Err(std::io::Error::last_os_error());
        }
        Ok(Wake { fd, rung: AtomicBool::new(false) })
    }

    pub fn fd(&self) -> RawFd {
        self.fd
    }

    pub fn ring(&self) {
        if !self.rung.swap(true, Ordering::AcqRel) {
            let one = 1u64.to_ne_bytes();
            // SAFETY: the fd is ours and open; 8 bytes of a local are read. A full counter is readable all the same.
            unsafe { libc::write(self.fd, one.as_ptr().cast(), 8) };
        }
    }

    pub fn reset(&self) {
        let mut count = [0u8; 8];
        // SAFETY: the fd is ours and open; 8 bytes are written into a local. It is non-blocking.
        unsafe { libc::read(self.fd, count.as_mut_ptr().cast(), 8) };
        self.rung.store(false, Ordering::Release);
    }
}

impl Drop for Wake {
    fn drop(&mut self) {
        // SAFETY: closed once, by its only owner.
        unsafe { libc::close(self.fd) };
    }
}

#[derive(Default)]
struct Waiting {
    batches: VecDeque<Batch>,
    bytes: usize,
    spares: Vec<Batch>,
    outcome: Option<Result<(), String>>,
    closed: bool,
}

/// The batches of one source. The reader's thread and the shard's thread share it; the lock is held for a push or a pop
/// of a whole batch, never while one is worked on.
pub struct SourceQueue {
    waiting: Mutex<Waiting>,
    space: Condvar,
    wake: Arc<Wake>,
}

/// What a source has for the shard now.
pub enum Taken {
    Batch(Batch),
    /// Nothing yet.
    Empty,
    /// Exhausted, or failed with the reason.
    Finished(Result<(), String>),
}

impl SourceQueue {
    pub fn new(wake: Arc<Wake>) -> Self {
        SourceQueue { waiting: Mutex::default(), space: Condvar::new(), wake }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        // a reader that panicked leaves a queue that is still whole: pushes and pops are single steps
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn take(&self) -> Taken {
        let mut waiting = self.lock();
        match waiting.batches.pop_front() {
            Some(batch) => {
                waiting.bytes -= batch.bytes.len();
                // not at each batch: the reader then fills several at a time
                if waiting.bytes < BOUND / 2 {
                    self.space.notify_one();
                }
                Taken::Batch(batch)
            }
            None => match waiting.outcome.take() {
                Some(outcome) => Taken::Finished(outcome),
                None => Taken::Empty,
            },
        }
    }

    /// Takes a worked-off batch back, for its memory.
    pub fn give_back(&self, mut batch: Batch) {
        batch.bytes.clear();
        batch.records.clear();
        let mut waiting = self.lock();
        if waiting.spares.len() < SPARES && batch.bytes.capacity() <= 2 * BOUND {
            waiting.spares.push(batch);
        }
    }

    pub fn is_empty(&self) -> bool {
        let waiting = self.lock();
        waiting.batches.is_empty() && waiting.outcome.is_none()
    }

    /// A batch from the shard's own thread, which must not wait for itself.
    pub fn push(&self, batch: Batch) {
        let mut waiting = self.lock();
        waiting.bytes += batch.bytes.len();
        waiting.batches.push_back(batch);
    }

    /// The shard takes no more: the reader's next `offer` is refused.
    pub fn close(&self) {
        self.lock().closed = true;
        self.space.notify_all();
    }
}

impl Intake for SourceQueue {
    fn offer(&self, batch: Batch) -> bool {
        let mut waiting = self.lock();
        while waiting.bytes >= BOUND && !waiting.closed {
            waiting = self.space.wait(waiting).unwrap_or_else(PoisonError::into_inner);
        }
        if waiting.closed {
            return false;
        }
        waiting.bytes += batch.bytes.len();
        waiting.batches.push_back(batch);
        drop(waiting);
        self.wake.ring();
        true
    }

    fn spare(&self) -> Option<Batch> {
        self.lock().spares.pop()
    }

    fn finish(&self, outcome: Result<(), String>) {
        self.lock().outcome = Some(outcome);
        self.wake.ring();
    }
}
