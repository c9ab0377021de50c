//! May they? Every operation from outside passes `Allow::ask` before the router; policies fill it in.

use crate::peer::Identity;

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    Link,
    Command,
    /// HTTP reads.
    Read,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Verdict {
    Allow,
    /// A link is unlinked, a command dropped (WARP) or answered with 403 (HTTP).
    Deny,
    /// The connection is closed (1008), too.
    Forbid,
}

type Policy = dyn Fn(&Identity, Operation, &str, &str) -> Verdict + Send;

/// The policy of a shard; everything is allowed where there is none.
#[derive(Default)]
pub struct Allow {
    policy: Option<Box<Policy>>,
}

impl Allow {
    /// `policy` sees identity, operation, node and lane ("" for a whole twin) as the peer wrote them.
    pub fn by(policy: Box<Policy>) -> Self {
        Allow { policy: Some(policy) }
    }

    #[inline]
    pub fn is_open(&self) -> bool {
        self.policy.is_none()
    }

    pub fn ask(&self, identity: &Identity, operation: Operation, node: &str, lane: &str) -> Verdict {
        self.policy.as_ref().map_or(Verdict::Allow, |policy| policy(identity, operation, node, lane))
    }
}
