//! WARP envelopes.

use std::borrow::Cow;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Tag {
    Link,
    Sync,
    Unlink,
    Command,
    Linked,
    Synced,
    Unlinked,
    Event,
    Auth,
    Authed,
    Deauth,
    Deauthed,
}

#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    pub tag: Tag,
    pub node: Cow<'a, str>,
    pub lane: Cow<'a, str>,
    pub prio: f64,
    pub rate: f64,
    pub body: &'a str,
}
