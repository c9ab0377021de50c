//! Links to lanes of other servers.

/// One link of this shard to a lane of another server; shared by all who use it.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct UplinkId(pub u32);

/// Whether an address names another server.
pub fn is_remote(uri: &str) -> bool {
    uri.starts_with("warp://") || uri.starts_with("warps://")
}
