//! The clock: every envelope gets one time when it enters the shard, and a turn sees only that. No other module asks
//! what time it is.

use std::time::{SystemTime, UNIX_EPOCH};

/// Where a virtual clock stands before anything has told the time: 2000-01-01T00:00:00 UTC.
pub const DAWN: i64 = 946_684_800_000_000;

/// Microseconds since 1970 UTC; never goes back.
#[derive(Debug)]
pub struct Clock {
    now: i64,
    /// Moved by events and by `advance` only.
    pub is_virtual: bool,
    /// A virtual clock that no event has set yet.
    adrift: bool,
}

impl Clock {
    pub fn new(is_virtual: bool) -> Self {
        let now = if is_virtual { DAWN } else { system() };
        Clock { now, is_virtual, adrift: is_virtual }
    }

    #[inline(always)]
    pub fn now(&self) -> i64 {
        self.now
    }

    /// A live clock follows the system's, but never backwards.
    pub fn tick(&mut self) {
        if !self.is_virtual {
            self.now = self.now.max(system());
        }
    }

    /// Moves the clock forwards.
    #[inline]
    pub fn reach(&mut self, time: i64) {
        self.now = self.now.max(time);
    }

    /// Goes on from where a run before has stopped.
    pub fn resume(&mut self, now: i64, adrift: bool) {
        if self.is_virtual {
            (self.now, self.adrift) = (now, adrift);
        } else {
            self.now = self.now.max(now);
        }
    }

    /// A virtual clock that no event has set yet.
    pub fn is_adrift(&self) -> bool {
        self.adrift
    }

    /// The first event of a replay sets the clock, back too. Gives the way that it moved, once.
    pub fn anchor(&mut self, time: i64) -> Option<i64> {
        if !self.adrift {
            return None;
        }
        self.adrift = false;
        let by = time - self.now;
        self.now = time;
        Some(by)
    }
}

/// Real time, µs from the first call: for pauses between writes, never for a turn.
pub fn elapsed() -> i64 {
    static START: std::sync::OnceLock<std::time::Instant> = std::sync::OnceLock::new();
    START.get_or_init(std::time::Instant::now).elapsed().as_micros() as i64
}

/// µs since 1970 UTC: for what is written down for people to read, never for a turn.
pub(crate) fn system() -> i64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_micros() as i64)
}
