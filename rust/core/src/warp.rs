//! WARP, Swim's protocol of links: one envelope a frame, Recon, `@tag(node:…,lane:…)` and a body behind it.
//!
//! - `read`, `check_body`, `write_header`: what a server and a client need of a frame
//! - `uri`: the addresses in a header: their grammar, and their normal form
//! - `fields`: a frame as JSON, for `shoal warp`

mod fields;
mod header;
mod uri;

#[cfg(test)]
mod tests;

use std::borrow::Cow;

pub use crate::recon::{ReconError, check_body};
pub use fields::write_fields;
pub use header::{read, write_header};
pub use uri::{check_uri, normalise};

/// What an envelope does.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
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

impl Tag {
    pub fn name(self) -> &'static str {
        match self {
            Tag::Link => "link",
            Tag::Sync => "sync",
            Tag::Unlink => "unlink",
            Tag::Command => "command",
            Tag::Linked => "linked",
            Tag::Synced => "synced",
            Tag::Unlinked => "unlinked",
            Tag::Event => "event",
            Tag::Auth => "auth",
            Tag::Authed => "authed",
            Tag::Deauth => "deauth",
            Tag::Deauthed => "deauthed",
        }
    }

    /// The tag of this name; case matters.
    pub fn of(name: &[u8]) -> Option<Tag> {
        Some(match name {
            b"link" => Tag::Link,
            b"sync" => Tag::Sync,
            b"unlink" => Tag::Unlink,
            b"command" => Tag::Command,
            b"linked" => Tag::Linked,
            b"synced" => Tag::Synced,
            b"unlinked" => Tag::Unlinked,
            b"event" => Tag::Event,
            b"auth" => Tag::Auth,
            b"authed" => Tag::Authed,
            b"deauth" => Tag::Deauth,
            b"deauthed" => Tag::Deauthed,
            _ => return None,
        })
    }

    /// Its header names a node and a lane; the others' are empty.
    pub fn is_addressed(self) -> bool {
        !matches!(self, Tag::Auth | Tag::Authed | Tag::Deauth | Tag::Deauthed)
    }

    /// Its header may have a priority and a rate.
    pub fn has_rate(self) -> bool {
        matches!(self, Tag::Link | Tag::Sync | Tag::Linked)
    }
}

/// One envelope.
#[derive(Clone, Debug, PartialEq)]
pub struct Message<'a> {
    pub tag: Tag,
    /// As the peer wrote it, which is how an answer must write it; `normalise` gives what to compare. Empty where the
    /// tag has none.
    pub node: Cow<'a, str>,
    pub lane: Cow<'a, str>,
    /// 0 where the header has none.
    pub prio: f64,
    /// 0 where the header has none.
    pub rate: f64,
    /// What stands behind the header, without the white space around it. `read` does not look into it.
    pub body: &'a str,
}
