//! The end of all connections to other servers: whoever waits for it has let go of the shard.

use std::sync::Arc;
use std::time::Duration;

use tokio::runtime::Runtime;

use super::common::Common;

/// Connections that are being closed. Dropped, those that are not yet are cut.
pub struct Parting {
    common: Arc<Common>,
    /// Where the app does not serve.
    runtime: Option<Runtime>,
}

impl Parting {
    pub fn new(common: &Arc<Common>, runtime: Option<Runtime>) -> Self {
        Parting { common: Arc::clone(common), runtime }
    }

    /// Blocks until the other ends have read what was written to them and closed, too; at most for `patience`.
    pub fn wait(self, patience: Duration) {
        self.common.await_tasks(patience);
    }
}

impl Drop for Parting {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}
