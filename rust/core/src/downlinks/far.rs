//! Links to lanes of other servers: who shares which.

use rustc_hash::FxHashMap;

use crate::remote::UplinkId;

/// The links that share a link to another server's lane.
#[derive(Debug, Default)]
pub struct Far {
    links: FxHashMap<UplinkId, Vec<u32>>,
    /// Uplinks that nobody uses any more: to be closed.
    left: Vec<UplinkId>,
}

impl Far {
    pub fn join(&mut self, uplink: UplinkId, link: u32) {
        self.links.entry(uplink).or_default().push(link);
    }

    pub fn leave(&mut self, uplink: UplinkId, link: u32) {
        if let Some(links) = self.links.get_mut(&uplink) {
            links.retain(|other| *other != link);
            if links.is_empty() {
                self.links.remove(&uplink);
            }
            self.left.push(uplink);
        }
    }

    pub fn links(&self, uplink: UplinkId) -> Vec<u32> {
        self.links.get(&uplink).cloned().unwrap_or_default()
    }

    pub fn take_left(&mut self) -> Vec<UplinkId> {
        std::mem::take(&mut self.left)
    }
}
