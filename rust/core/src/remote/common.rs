//! What the servers of a shard share: its wake, its fence, its bounds, and who has something for it.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::Duration;

use super::Bounds;
use super::host::{Host, lock};
use crate::inbox::Wake;
use crate::journal::fence::Fence;
use crate::limits::Limits;

/// What all hosts of a shard share.
pub struct Common {
    pub wake: Arc<Wake>,
    pub fence: Arc<Fence>,
    pub limits: Limits,
    pub bounds: Bounds,
    /// Hosts with news, each once; bounded by their number.
    arrivals: Mutex<VecDeque<Arc<Host>>>,
    /// A host has outcomes, or a task that has ended before its time.
    stirred: AtomicBool,
    /// Sockets are not read any more.
    draining: AtomicBool,
    /// Tasks that run. Held to count one.
    tasks: Mutex<usize>,
    ended: Condvar,
}

impl Common {
    pub fn new(wake: Arc<Wake>, fence: Arc<Fence>, limits: Limits, bounds: Bounds) -> Arc<Self> {
        Arc::new(Common {
            wake,
            fence,
            limits,
            bounds,
            arrivals: Mutex::default(),
            stirred: AtomicBool::new(false),
            draining: AtomicBool::new(false),
            tasks: Mutex::default(),
            ended: Condvar::new(),
        })
    }

    pub fn has_arrivals(&self) -> bool {
        !lock(&self.arrivals).is_empty()
    }

    /// The next host with news; it comes again when it has got more.
    pub fn next_arrival(&self) -> Option<Arc<Host>> {
        let host = lock(&self.arrivals).pop_front()?;
        host.leaves();
        Some(host)
    }

    pub fn arrive(&self, host: &Arc<Host>) {
        lock(&self.arrivals).push_back(Arc::clone(host));
    }

    pub fn is_stirred(&self) -> bool {
        self.stirred.load(Ordering::Acquire)
    }

    pub fn calm(&self) -> bool {
        self.stirred.swap(false, Ordering::AcqRel)
    }

    /// The shard looks at outcomes, and whether tasks have ended.
    pub fn stir(&self) {
        self.stirred.store(true, Ordering::Release);
        self.wake.ring();
    }

    /// The same, for the shard's own thread.
    pub fn stir_quietly(&self) {
        self.stirred.store(true, Ordering::Release);
    }

    pub fn is_draining(&self) -> bool {
        self.draining.load(Ordering::Relaxed)
    }

    pub fn drain(&self) {
        self.draining.store(true, Ordering::Relaxed);
    }

    pub fn task_begins(&self) {
        *lock(&self.tasks) += 1;
    }

    pub fn task_ends(&self) {
        *lock(&self.tasks) -= 1;
        self.ended.notify_all();
    }

    /// Blocks until no task runs, at most for `patience`.
    pub fn await_tasks(&self, patience: Duration) {
        // whoever panicked has left a count behind, which is whole
        _ = self.ended.wait_timeout_while(lock(&self.tasks), patience, |tasks| *tasks > 0);
    }
}
