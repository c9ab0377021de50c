//! May they? Every operation from outside passes `Allow::ask` before the router; policies fill it in.

use crate::peer::Identity;
use crate::route::resolve;
use crate::serve::bare;

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
    /// `policy` sees identity, operation, node and lane ("" for a whole twin), both in their normal form
    /// (RFC 3986, 6.2.2): no spelling of an address passes by a rule that holds for another.
    pub fn by(policy: Box<Policy>) -> Self {
        Allow { policy: Some(policy) }
    }

    #[inline]
    pub fn is_open(&self) -> bool {
        self.policy.is_none()
    }

    /// `node` is resolved against `base`, the path of the connection's request.
    pub fn ask(&self, identity: &Identity, operation: Operation, base: &str, node: &str, lane: &str) -> Verdict {
        let Some(policy) = &self.policy else { return Verdict::Allow };
        // an address of another scheme has no path: it is compared as it is
        let node = resolve(base, node).unwrap_or_else(|_| node.to_owned());
        policy(identity, operation, &node, &bare(lane))
    }
}
