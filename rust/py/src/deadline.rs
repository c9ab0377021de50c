//! Interrupts plain handlers that run past their deadline, at their next bytecode. A thread of its own looks a few times a
//! deadline whether the same call is still running; the loop pays one store a call and asks no clock.

use std::os::raw::c_long;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use pyo3::prelude::*;

use crate::errors::HandlerDeadline;

/// Shared by the shard's thread, which counts calls, and the watching thread.
pub struct Deadline {
    /// Odd while a call runs; counts up at its start and at its end.
    serial: AtomicU64,
    /// The serial of the call that was interrupted last.
    fired: AtomicU64,
    seconds: f64,
    /// Python's name of the shard's thread.
    thread: c_long,
    /// Set at the end; `bell` wakes the watching thread at once.
    over: Mutex<bool>,
    bell: Condvar,
    any: AtomicBool,
}

impl Deadline {
    pub fn start(thread: c_long, seconds: f64) -> std::io::Result<Arc<Self>> {
        let deadline = Arc::new(Deadline {
            serial: AtomicU64::new(0),
            fired: AtomicU64::new(0),
            seconds,
            thread,
            over: Mutex::new(false),
            bell: Condvar::new(),
            any: AtomicBool::new(false),
        });
        let watched = Arc::clone(&deadline);
        std::thread::Builder::new().name("shoal-deadline".to_owned()).spawn(move || watched.watch())?;
        Ok(deadline)
    }

    #[inline(always)]
    pub fn call(&self) {
        self.serial.store(self.serial.load(Ordering::Relaxed) | 1, Ordering::Relaxed);
    }

    /// The call has ended. True: it had been interrupted, and the interruption may not have come through yet.
    #[inline(always)]
    pub fn done(&self, py: Python<'_>) -> bool {
        let serial = self.serial.load(Ordering::Relaxed);
        if serial & 1 == 0 {
            return false;
        }
        self.serial.store(serial + 1, Ordering::Relaxed);
        self.any.load(Ordering::Relaxed) && self.missed(py, serial)
    }

    #[cold]
    fn missed(&self, _py: Python<'_>, serial: u64) -> bool {
        self.any.store(false, Ordering::Relaxed);
        if self.fired.load(Ordering::Acquire) != serial {
            return false;
        }
        // SAFETY: the GIL is held; a null exception takes back one that has not been raised yet.
        unsafe { pyo3::ffi::PyThreadState_SetAsyncExc(self.thread, std::ptr::null_mut()) };
        true
    }

    pub fn stop(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.bell.notify_all();
    }

    fn watch(&self) {
        let look = Duration::from_secs_f64((self.seconds / 20.0).clamp(0.005, 0.25));
        let limit = Duration::from_secs_f64(self.seconds.max(0.001));
        let (mut seen, mut since) = (0u64, Instant::now());
        let mut over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        while !*over {
            over = self.bell.wait_timeout(over, look).unwrap_or_else(PoisonError::into_inner).0;
            let serial = self.serial.load(Ordering::Relaxed);
            if serial != seen {
                (seen, since) = (serial, Instant::now());
            } else if serial & 1 == 1 && since.elapsed() >= limit && !*over {
                drop(over);
                self.interrupt(serial);
                since = Instant::now();
                over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
            }
        }
    }

    fn interrupt(&self, serial: u64) {
        Python::attach(|py| {
            // with the GIL held the shard's thread stands still: the call cannot end in between
            if self.serial.load(Ordering::Acquire) == serial {
                self.fired.store(serial, Ordering::Release);
                self.any.store(true, Ordering::Release);
                let class = py.get_type::<HandlerDeadline>();
                // SAFETY: the GIL is held; the thread's number is the one that made the shard.
                unsafe { pyo3::ffi::PyThreadState_SetAsyncExc(self.thread, class.as_ptr()) };
            }
        });
    }
}
