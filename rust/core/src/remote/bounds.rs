//! How much of other servers a shard takes and has.

use serde::Deserialize;

/// Bounds of what a shard has with other servers (docs/settings.md); those of connections are `Limits`.
#[derive(Clone, Debug, Deserialize)]
#[serde(default)]
pub struct Bounds {
    /// Commands that wait for one server: more are dead letters. While so many as half of it wait for one that there is
    /// a connection to, nothing more is taken from outside.
    pub remote_queue: usize,
    /// s that a command waits without a connection before it is a dead letter.
    pub remote_seconds: f64,
    /// Servers that a shard has links to or commands for at a time.
    pub remote_hosts: usize,
    /// s until a connection must be open, TLS and handshake included.
    pub remote_open_seconds: f64,
    /// s without links and commands after which a connection is closed.
    pub remote_idle_seconds: f64,
    /// s before the first attempt after a break; each is shortened at random by up to half, and the next is 1.8 times as
    /// long …
    pub remote_first_pause: f64,
    /// … up to this.
    pub remote_longest_pause: f64,
    /// How often a node is asked for again that a server which has come back does not know.
    pub remote_absent: u32,
    /// A file with the certificates of the authorities that are trusted (PEM); empty: those of the system.
    pub remote_ca: String,
}

impl Default for Bounds {
    fn default() -> Self {
        Bounds {
            remote_queue: 100_000,
            remote_seconds: 60.0,
            remote_hosts: 1_000,
            remote_open_seconds: 10.0,
            remote_idle_seconds: 10.0,
            remote_first_pause: 0.5,
            remote_longest_pause: 30.0,
            remote_absent: 6,
            remote_ca: String::new(),
        }
    }
}
