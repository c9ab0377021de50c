//! What clients may take of a server: each a setting (docs/settings.md), so that one client never harms the others.

use std::time::Duration;

use serde::Deserialize;

use crate::peer::Bounds;

#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Threads that read and write sockets.
    pub io_threads: usize,
    /// Connections at a time; more are answered with 503.
    pub max_connections: usize,
    /// Bytes of a request's line and headers (431), at least 8,192.
    pub max_header_bytes: usize,
    /// Headers of a request (431).
    pub max_headers: usize,
    /// s until a request's headers must be complete (408), from the connection's start or the request before.
    pub header_seconds: f64,
    /// s until a request's body must be complete (408).
    pub body_seconds: f64,
    /// Bytes of a request's body (413).
    pub max_body_bytes: usize,
    /// s that the shard may take for an answer (503).
    pub answer_seconds: f64,
    /// s without a byte in either direction, after which an answer nobody reads, or a socket without links, is closed.
    pub idle_seconds: f64,
    /// s without a byte from a socket, after which it is pinged.
    pub ping_seconds: f64,
    /// s after a ping without a pong and without a byte taken, after which the connection is dropped.
    pub pong_seconds: f64,
    /// s that the other end has for its half of a WebSocket's closing handshake.
    pub close_seconds: f64,
    /// Bytes of one WebSocket frame (1009).
    pub max_frame_bytes: usize,
    /// Bytes of one WebSocket message, all its frames together (1009).
    pub max_message_bytes: usize,
    /// Pings a second that one socket may send (1008).
    pub connection_pings: usize,
    /// Envelopes a second that are taken from one socket: past it the socket is read more slowly.
    pub connection_commands: usize,
    /// Bytes of envelopes of one socket that wait for the shard: past it the socket is not read.
    pub connection_intake: usize,
    /// Bytes that wait to be written to one connection (1008).
    pub connection_queue: usize,
    /// Events of one link that wait, where none may be left out: past it the link is unlinked.
    pub link_queue: usize,
    /// Links of one connection.
    pub connection_links: usize,
    /// Twins that one connection's links and commands may make.
    pub connection_twins: usize,
    /// Twins on one page of a population.
    pub max_page: usize,
    /// Bytes of a page of a population: it ends there, and says where the next begins.
    pub page_bytes: usize,
    /// URIs of a members lane that an answer lists.
    pub max_members: usize,
    /// permessage-deflate (RFC 7692): its level, 1 to 9; 0 declines it.
    pub compression: u32,
    /// Origins of other sites whose pages may read, send and link, separated by commas; `*`: all.
    pub origins: String,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            io_threads: 1,
            max_connections: 16_384,
            max_header_bytes: 16 << 10,
            max_headers: 100,
            header_seconds: 10.0,
            body_seconds: 30.0,
            max_body_bytes: 1 << 20,
            answer_seconds: 10.0,
            idle_seconds: 120.0,
            ping_seconds: 30.0,
            pong_seconds: 60.0,
            close_seconds: 2.0,
            max_frame_bytes: 16 << 20,
            max_message_bytes: 16 << 20,
            connection_pings: 10,
            connection_commands: 2_000_000,
            connection_intake: 1 << 20,
            connection_queue: 32 << 20,
            link_queue: 100_000,
            connection_links: 100_000,
            connection_twins: 1_000_000,
            max_page: 1_000,
            page_bytes: 4 << 20,
            max_members: 10_000,
            compression: 0,
            origins: String::new(),
        }
    }
}

impl Limits {
    pub fn bounds(&self) -> Bounds {
        Bounds {
            intake_bytes: self.connection_intake,
            queue_bytes: self.connection_queue,
            queue_events: self.link_queue,
            links: self.connection_links,
            twins: self.connection_twins,
        }
    }
}

/// A setting in seconds; what is no time is the longest that a timer takes.
pub fn seconds(setting: f64) -> Duration {
    Duration::try_from_secs_f64(setting).unwrap_or(Duration::MAX).min(Duration::from_secs(365 * 86_400))
}

/// So many a second, and as many at once.
#[derive(Debug)]
pub struct Allowance {
    rate: f64,
    left: f64,
    /// µs of `clock::elapsed` when `left` was counted.
    at: i64,
}

impl Allowance {
    pub fn new(rate: usize) -> Self {
        Allowance { rate: rate as f64, left: rate as f64, at: crate::clock::elapsed() }
    }

    /// Takes `count`. Err: how long until they are within the allowance again; they are taken all the same.
    pub fn take(&mut self, count: usize) -> Result<(), Duration> {
        let now = crate::clock::elapsed();
        self.take_at(count, now)
    }

    fn take_at(&mut self, count: usize, now: i64) -> Result<(), Duration> {
        let passed = (now - self.at).max(0) as f64 / 1e6;
        self.at = now;
        self.left = (self.left + passed * self.rate).min(self.rate) - count as f64;
        if self.left >= 0.0 { Ok(()) } else { Err(seconds(-self.left / self.rate)) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_allowance_comes_back_with_time_and_never_exceeds_a_second() {
        let mut allowance = Allowance { rate: 10.0, left: 10.0, at: 0 };
        assert_eq!(allowance.take_at(10, 0), Ok(()));
        assert_eq!(allowance.take_at(5, 0), Err(Duration::from_millis(500)));
        assert_eq!(allowance.take_at(0, 500_000), Ok(()));
        assert_eq!(allowance.take_at(11, 3_600_000_000), Err(Duration::from_millis(100)));
    }
}
